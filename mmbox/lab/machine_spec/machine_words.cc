// The short forms of a machine: plain words, and hwloc's synthetic description.
#include <fmt/format.h>
#include <hwloc.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/lab/machine_spec/plan.h"
#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

/// A description is a line, not a file.
constexpr std::size_t kMaxWordsText = 1024;

Error refuse(std::string_view part, std::string_view message, std::string_view remedy) {
  return error_at("", Place{.key = "machine " + in_quotes(part)}, message, remedy);
}

// ------------------------------------------------------------------------------------------------ plain words

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  text = trimmed(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n"), text.size());
    words.push_back(lower_case(text.substr(0, end)));
    text = trimmed(text.substr(end));
  }
  return words;
}

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
    error_ = refuse(clause_, message, remedy);
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

// ------------------------------------------------------------------------------------------------ synthetic form

constexpr std::string_view kSyntheticRemedy = "write levels from the outside in, \"node:2(memory=64GB) core:8 pu:1\"";

bool is_word(std::string_view text) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  return !text.empty() && lower_case(text).find_first_not_of(kLetters) == std::string::npos;
}

/// The part before a "(memory=SIZE)" at the end; nullopt if there are other attributes, which mean nothing here.
std::optional<std::string_view> without_memory(std::string_view level, bool& has_size) {
  const std::size_t open = level.find('(');
  if (open == std::string_view::npos)
    return level;
  std::string_view inside = level.substr(open + 1);
  constexpr std::string_view kMemory = "memory=";
  if (!inside.ends_with(')') || !inside.starts_with(kMemory) ||
      !is_word(inside.substr(kMemory.size(), inside.size() - kMemory.size() - 1)))
    return std::nullopt;
  has_size = true;
  return level.substr(0, open);
}

bool is_node_type(std::string_view type) {
  const std::string name = lower_case(type);
  return name == "node" || name == "numa" || name == "numanode";
}

/// Bounds what hwloc is asked to build, and refuses what it would take silently: nodes without a size (hwloc gives them
/// 1 GiB), attributes that have no meaning here.
Expected<void> check_synthetic(std::string_view text) {
  std::uint64_t objects = 1;
  std::uint64_t nodes = 0;
  for (const std::string& level : split_words(text)) {
    const bool is_attached = level.starts_with('[') && level.ends_with(']');
    bool has_size = false;
    const auto name =
        without_memory(is_attached ? std::string_view{level}.substr(1, level.size() - 2) : level, has_size);
    if (!name)
      return refuse(level, "only memory= with a size is understood in brackets", kSyntheticRemedy);
    const std::size_t colon = name->find(':');
    const std::string_view type = name->substr(0, colon);
    const bool is_node = is_node_type(type);
    if (is_attached && !(is_node && colon == std::string_view::npos))
      return refuse(level, "only memory can be attached", "write [numa(memory=64GB)]");
    if (!is_attached) {
      const std::uint64_t count =
          colon == std::string_view::npos ? 0 : parse_number(name->substr(colon + 1)).value_or(0);
      if (!is_word(type) || count == 0)
        return refuse(level, "this is not a level with a number", kSyntheticRemedy);
      if (count > kMaxCpus || objects * count > kMaxCpus)
        return refuse(level, "these are too many CPUs", fmt::format("a machine may have {}", kMaxCpus));
      objects *= count;
    }
    if (is_node != has_size)
      return refuse(level, is_node ? "the node has no memory" : "only nodes have memory", kSyntheticRemedy);
    nodes += is_node ? objects : 0;
    if (nodes > kMaxNodes)
      return refuse(level, "these are too many nodes", fmt::format("a machine may have {}", kMaxNodes));
  }
  if (nodes == 0)
    return refuse(text, "there is no node", kSyntheticRemedy);
  return {};
}

struct DestroyTopology {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, DestroyTopology>;

Expected<MachinePlan> read_synthetic(const std::string& text) {
  if (const Expected<void> checked = check_synthetic(text); !checked)
    return checked.error();
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0)
    return refuse(text, "hwloc has no memory for it", "try again with fewer levels");
  const Topology topology{raw};
  if (hwloc_topology_set_synthetic(raw, text.c_str()) != 0 || hwloc_topology_load(raw) != 0)
    return refuse(text, "hwloc does not understand this", kSyntheticRemedy);
  MachinePlan plan;
  hwloc_obj_t node = nullptr;
  const std::unique_ptr<hwloc_bitmap_s, void (*)(hwloc_bitmap_t)> left{
      hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(raw)), hwloc_bitmap_free};
  while ((node = hwloc_get_next_obj_by_type(raw, HWLOC_OBJ_NUMANODE, node)) != nullptr) {
    NodePlan one;
    one.place.key = "machine " + in_quotes(text);
    // hwloc's GB is 10^9 bytes; what does not fill a page is lost.
    one.bytes = node->attr->numanode.local_memory / kPageSize * kPageSize;
    // Of nodes that share CPUs the first has them, the others are memory only, as Linux sees it.
    for (int cpu = hwloc_bitmap_first(node->cpuset); cpu >= 0; cpu = hwloc_bitmap_next(node->cpuset, cpu)) {
      if (hwloc_bitmap_isset(left.get(), static_cast<unsigned>(cpu)) == 0)
        continue;
      hwloc_bitmap_clr(left.get(), static_cast<unsigned>(cpu));
      one.cpus.push_back(static_cast<std::uint64_t>(cpu));
    }
    plan.nodes.push_back(std::move(one));
  }
  return plan;
}

}  // namespace

Expected<MachineSpec> read_machine_words(std::string_view words) {
  words = trimmed(words);
  if (words.size() > kMaxWordsText || words.find('\0') != std::string_view::npos)
    return refuse(words, "this is no description in words", "give a line such as \"2 nodes of 64G, 16 cpus\"");
  const bool is_synthetic = words.find_first_of(":[(") != std::string_view::npos;
  const Expected<MachinePlan> plan = is_synthetic ? read_synthetic(std::string{words}) : WordReader{}.read(words);
  if (!plan)
    return plan.error();
  return build(*plan);
}

}  // namespace mmbox::lab
