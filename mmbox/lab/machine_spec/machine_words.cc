// The short forms of a machine: here plain words, and the choice between them and hwloc's synthetic description.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/lab/machine_spec/plan.h"
#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

/// A description is a line, not a file.
constexpr std::size_t kMaxWordsText = 1024;

/// Clauses, as written; "," and "and" separate them.
std::vector<std::string_view> split_clauses(std::string_view text) {
  std::vector<std::string_view> clauses;
  constexpr std::string_view kAnd = " and ";
  while (true) {
    const std::size_t comma = text.find(',');
    const std::size_t conjunction = text.find(kAnd);
    const std::size_t end = std::min(comma, conjunction);
    clauses.push_back(trimmed(text.substr(0, end)));
    if (end == std::string_view::npos)
      return clauses;
    text.remove_prefix(end + (end == comma ? 1 : kAnd.size()));
  }
}

/// One line of words into a plan.
class WordReader {
 public:
  Expected<MachinePlan> read(std::string_view text) {
    for (const std::string_view clause : split_clauses(text)) {
      clause_ = clause;
      words_ = split_words(clause);
      at_ = 0;
      if (!read_clause())
        return *std::move(error_);
    }
    clause_ = text;
    if (plan_.nodes.empty()) {
      fail("no memory is given", "say how much, \"64G, 8 cpus\" or \"2 nodes of 64G, 16 cpus\"");
      return *std::move(error_);
    }
    spread_cpus();
    if (remote_distance_)
      plan_.distances = flat_distances(plan_.nodes.size(), *remote_distance_);
    return std::move(plan_);
  }

 private:
  static constexpr std::string_view kClauses =
      "clauses are \"2 nodes of 64G\", \"64G\", \"16 cpus\", \"8 cpus each\", \"distance 21\", \"kernelcore 4G\", "
      "\"movablecore 8G\", \"no reserve\", \"no thp\"";

  bool fail(std::string_view message, std::string_view remedy) {
    error_ = refuse_words(clause_, message, remedy);
    return false;
  }
  [[nodiscard]] bool is_at(std::string_view word) const { return at_ < words_.size() && words_[at_] == word; }
  bool skip(std::string_view word) {
    if (!is_at(word))
      return false;
    ++at_;
    return true;
  }
  bool skip_any(std::initializer_list<std::string_view> words) {
    for (const std::string_view word : words) {
      if (skip(word))
        return true;
    }
    return false;
  }
  bool end() {
    return at_ == words_.size() || fail(fmt::format("{} is not understood", in_quotes(words_[at_])), kClauses);
  }

  bool read_clause() {
    if (skip("no")) {
      if (skip("reserve"))
        plan_.has_typical_reserve = false;
      else if (skip("thp"))
        plan_.has_thp = false;
      else
        return fail("this is not understood", kClauses);
      return end();
    }
    if (skip("distance")) {
      const std::optional<std::uint64_t> number = read_number();
      if (!number || *number <= kLocalDistance || *number > 254)
        return fail("this is not a distance", "give a number from 11 to 254");
      remote_distance_ = static_cast<std::uint8_t>(*number);
      return end();
    }
    if (skip("kernelcore"))
      return read_share(plan_.movable.kernelcore);
    if (skip("movablecore"))
      return read_share(plan_.movable.movablecore);
    return read_counted();
  }

  bool read_share(PageCount& pages) {
    std::uint64_t bytes = 0;
    if (!read_size(bytes))
      return false;
    pages = PageCount{bytes / kPageSize};
    return end();
  }

  std::optional<std::uint64_t> read_number() {
    if (at_ == words_.size())
      return std::nullopt;
    const std::optional<std::uint64_t> number = parse_number(words_[at_]);
    if (number)
      ++at_;
    return number;
  }

  /// "64G", also as "64 G".
  bool read_size(std::uint64_t& bytes) {
    std::optional<std::uint64_t> size;
    if (at_ + 1 < words_.size())
      size = parse_size(words_[at_] + words_[at_ + 1]);
    if (size)
      at_ += 2;
    else if (at_ < words_.size() && (size = parse_size(words_[at_])))
      ++at_;
    if (!size || *size == 0 || *size % kPageSize != 0)
      return fail("a size is missing or wrong", "give a number and a unit (K, M, G, T), \"64G\", in whole pages of 4K");
    bytes = *size;
    return true;
  }

  /// "2 nodes of 64G", "64G", "16 cpus", "8 cpus each".
  bool read_counted() {
    const std::size_t start = at_;
    const std::optional<std::uint64_t> count = read_number();
    if (count && skip_any({"cpu", "cpus"})) {
      if (*count == 0 || *count > kMaxCpus)
        return fail(fmt::format("{} is not a number of CPUs", *count), fmt::format("give 1 to {}", kMaxCpus));
      cpus_ = *count;
      are_cpus_each_ = skip("each") || (skip("per") && skip("node"));
      return end();
    }
    std::uint64_t nodes = 1;
    if (count && skip_any({"node", "nodes"})) {
      nodes = *count;
      skip_any({"of", "with"});
    } else {
      at_ = start;
    }
    NodePlan node;
    if (!read_size(node.bytes)) {
      // Neither a number of something nor a size.
      return at_ == start && !count ? fail("this is not understood", kClauses) : false;
    }
    skip("each");
    if (nodes == 0 || nodes + plan_.nodes.size() > kMaxNodes)
      return fail(fmt::format("{} is not a number of nodes", nodes),
                  fmt::format("a machine may have 1 to {}", kMaxNodes));
    node.place.key = "machine " + in_quotes(clause_);
    plan_.nodes.insert(plan_.nodes.end(), nodes, node);
    return end();
  }

  void spread_cpus() {
    const std::uint64_t nodes = plan_.nodes.size();
    const std::uint64_t total = !cpus_ ? nodes : are_cpus_each_ ? *cpus_ * nodes : *cpus_;
    for (std::uint64_t cpu = 0; cpu < total; ++cpu)
      plan_.nodes[cpu * nodes / total].cpus.push_back(cpu);
  }

  MachinePlan plan_;
  std::string_view clause_;
  std::vector<std::string> words_;
  std::size_t at_ = 0;
  std::optional<std::uint64_t> cpus_;
  bool are_cpus_each_ = false;
  std::optional<std::uint8_t> remote_distance_;
  std::optional<Error> error_;
};

}  // namespace

Expected<MachineSpec> read_machine_words(std::string_view words) {
  words = trimmed(words);
  if (words.size() > kMaxWordsText || words.find('\0') != std::string_view::npos)
    return refuse_words(words, "this is no description in words", "give a line such as \"2 nodes of 64G, 16 cpus\"");
  const bool is_synthetic = words.find_first_of(":[(") != std::string_view::npos;
  const Expected<MachinePlan> plan = is_synthetic ? read_synthetic(words) : WordReader{}.read(words);
  if (!plan)
    return plan.error();
  return build(*plan);
}

}  // namespace mmbox::lab
