// hwloc's synthetic description of a machine: "node:2(memory=64GB) core:8 pu:1", also as lstopo exports it.
#include <fmt/format.h>
#include <hwloc.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mmbox/lab/machine_spec/plan.h"
#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

/// hwloc takes time that grows with the square of these, 0.3 s at this many CPUs.
constexpr std::uint64_t kMaxSyntheticCpus = 2048;
constexpr std::size_t kMaxSyntheticLevels = 16;
constexpr std::string_view kSyntheticRemedy = "write levels from the outside in, \"node:2(memory=64GB) core:8 pu:1\"";

/// One level of a synthetic description, as hwloc is going to see it.
struct Level {
  std::string type;                    ///< hwloc's name, in lower case
  std::uint64_t count = 0;             ///< in each object of the level above; 0 for memory attached to it, "[numa]"
  std::optional<std::uint64_t> bytes;  ///< of a node
};

/// hwloc's units: GB is 10^9 bytes, GiB 2^30.
std::optional<std::uint64_t> parse_hwloc_size(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  constexpr Unit kUnits[] = {{"kb", 1000},          {"kib", 1ULL << 10}, {"mb", 1000000},
                             {"mib", 1ULL << 20},   {"gb", 1000000000},  {"gib", 1ULL << 30},
                             {"tb", 1000000000000}, {"tib", 1ULL << 40}, {"", 1}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::uint64_t> number = parse_number(text.substr(0, digits));
  for (const Unit& unit : kUnits) {
    if (number && lower_case(text.substr(digits)) == unit.name && *number <= ~0ULL / unit.bytes)
      return *number * unit.bytes;
  }
  return std::nullopt;
}

/// Splits at spaces that are outside parentheses.
std::vector<std::string_view> split_levels(std::string_view text) {
  std::vector<std::string_view> levels;
  bool is_inside = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i == text.size() ? ' ' : text[i];
    is_inside = i < text.size() && (c == '(' || (is_inside && c != ')'));
    if (is_inside || (c != ' ' && c != '\t' && c != '\n' && c != '\r'))
      continue;
    if (i > start)
      levels.push_back(text.substr(start, i - start));
    start = i + 1;
  }
  return levels;
}

Expected<void> read_attributes(std::string_view text, Level& level) {
  for (const std::string& attribute : split_words(text)) {
    const std::size_t equals = std::min(attribute.find('='), attribute.size());
    const std::string name = attribute.substr(0, equals);
    if (name == "size")  // of a cache
      continue;
    if (name != "memory") {
      return refuse_words(attribute, "this attribute is not understood",
                          "leave it out; memory= is, and CPUs are numbered in the order of the levels");
    }
    level.bytes = parse_hwloc_size(std::string_view{attribute}.substr(std::min(equals + 1, attribute.size())));
    if (!level.bytes)
      return refuse_words(attribute, "this is not a size",
                          "give a whole number and a unit, memory=64GB or memory=64GiB");
  }
  return {};
}

/// One level of any legal form. hwloc's refusals tell no reason (and leak memory), so that it sees only what it takes.
Expected<Level> read_level(std::string_view text) {
  Level level;
  const bool is_attached = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  std::string_view rest = is_attached ? text.substr(1, text.size() - 2) : text;
  if (const std::size_t open = rest.find('('); open != std::string_view::npos && rest.ends_with(')')) {
    if (const Expected<void> read = read_attributes(rest.substr(open + 1, rest.size() - open - 2), level); !read)
      return read.error();
    rest = rest.substr(0, open);
  }
  const std::size_t colon = std::min(rest.find(':'), rest.size());
  level.type = lower_case(rest.substr(0, colon));
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"node", "numa"},   {"numa", "numa"},  {"numanode", "numa"}, {"pack", "pack"},    {"package", "pack"},
      {"socket", "pack"}, {"die", "die"},    {"group", "group"},   {"l5cache", "l5"},   {"l4cache", "l4"},
      {"l3cache", "l3"},  {"l2cache", "l2"}, {"l1cache", "l1"},    {"l1dcache", "l1d"}, {"l1icache", "l1i"},
      {"l5", "l5"},       {"l4", "l4"},      {"l3", "l3"},         {"l2", "l2"},        {"l1", "l1"},
      {"l1d", "l1d"},     {"l1i", "l1i"},    {"core", "core"},     {"pu", "pu"}};
  const auto type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& t) { return t.first == level.type; });
  if (type == std::end(kTypes)) {
    return refuse_words(text, fmt::format("there is no level {}", in_quotes(rest.substr(0, colon))),
                        suggestion(level.type, {"node", "package", "die", "group", "core", "pu"}));
  }
  level.type = type->second;
  const bool is_node = level.type == "numa";
  if (is_node != level.bytes.has_value())
    return refuse_words(text, is_node ? "the node has no memory" : "only nodes have memory", kSyntheticRemedy);
  if (is_attached) {
    if (!is_node || colon != rest.size())
      return refuse_words(text, "only memory can be attached", "write [numa(memory=64GB)]");
    return level;
  }
  level.count = colon == rest.size() ? 0 : parse_number(rest.substr(colon + 1)).value_or(0);
  if (level.count == 0)
    return refuse_words(text, "this is not a level with a number", kSyntheticRemedy);
  return level;
}

/// Bounds what hwloc is asked to build, and refuses what it would refuse.
Expected<std::vector<Level>> read_levels(std::string_view text) {
  const std::vector<std::string_view> parts = split_levels(text);
  if (parts.size() > kMaxSyntheticLevels)
    return refuse_words(text, "these are too many levels", fmt::format("up to {} are possible", kMaxSyntheticLevels));
  std::vector<Level> levels;
  std::uint64_t objects = 1;
  std::uint64_t nodes = 0;
  for (const std::string_view part : parts) {
    const Expected<Level> level = read_level(part);
    if (!level)
      return level.error();
    const auto is_same = [&](const Level& other) {
      // Memory is either a level or attached.
      return other.type == level->type && level->type != "group" && !(level->count == 0 && other.count == 0);
    };
    if (std::any_of(levels.begin(), levels.end(), is_same))
      return refuse_words(part, "there is such a level already", kSyntheticRemedy);
    if (level->count != 0) {
      if (!levels.empty() && levels.back().type == "pu")
        return refuse_words(part, "no level comes after pu", kSyntheticRemedy);
      if (level->count > kMaxSyntheticCpus || objects * level->count > kMaxSyntheticCpus) {
        return refuse_words(
            part, "these are too many CPUs",
            fmt::format("up to {} are possible here, more in words: \"2 nodes of 64G, 4096 cpus\"", kMaxSyntheticCpus));
      }
      objects *= level->count;
    }
    nodes += level->type == "numa" ? objects : 0;
    if (nodes > kMaxNodes)
      return refuse_words(part, "these are too many nodes", fmt::format("a machine may have {}", kMaxNodes));
    levels.push_back(*level);
  }
  if (nodes == 0)
    return refuse_words(text, "there is no node", kSyntheticRemedy);
  if (levels.back().type != "pu")
    return refuse_words(text, "the last level is not pu", kSyntheticRemedy);
  return levels;
}

std::string hwloc_text(const std::vector<Level>& levels) {
  std::string text;
  for (const Level& level : levels) {
    const std::string memory = level.bytes ? fmt::format("(memory={})", *level.bytes) : "";
    text +=
        level.count == 0 ? fmt::format("[numa{}] ", memory) : fmt::format("{}:{}{} ", level.type, level.count, memory);
  }
  return text;
}

struct DestroyTopology {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, DestroyTopology>;

}  // namespace

Expected<MachinePlan> read_synthetic(std::string_view text) {
  const Expected<std::vector<Level>> levels = read_levels(text);
  if (!levels)
    return levels.error();
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0)
    return refuse_words(text, "hwloc has no memory for it", "try again with fewer levels");
  const Topology topology{raw};
  if (hwloc_topology_set_synthetic(raw, hwloc_text(*levels).c_str()) != 0 || hwloc_topology_load(raw) != 0)
    return refuse_words(text, "hwloc does not understand this", kSyntheticRemedy);
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

}  // namespace mmbox::lab
