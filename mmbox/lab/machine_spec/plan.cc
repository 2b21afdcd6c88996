#include "mmbox/lab/machine_spec/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

/// Video memory and firmware below 1 MiB: memory on no PC.
constexpr PfnRange kLegacyHole{Pfn{0x9f}, Pfn{0x100}};
/// Linux never uses the first page.
constexpr Pfn kFirstPfn{1};
/// What is left of the first megabyte belongs to firmware and real-mode code.
constexpr PfnRange kLowMegabyte{Pfn{1}, Pfn{0x100}};
/// A kernel of 24 MiB at its usual address: about what the recorded machines have reserved there.
constexpr PfnRange kKernelImage{Pfn{0x1000}, Pfn{0x2800}};
constexpr std::uint64_t kPageRecordBytes = 64;
/// The end of low memory of a 32-bit kernel with the usual 3:1 split.
constexpr Pfn kMaxLow32{0x38000};

PfnRange intersection(PfnRange a, PfnRange b) {
  return PfnRange{std::max(a.begin, b.begin), std::min(a.end, b.end)};
}
bool is_empty(PfnRange range) {
  return range.begin >= range.end;
}

/// One machine in the making; each step stops at the first error.
class Builder {
 public:
  explicit Builder(const MachinePlan& plan) : plan_(plan) {}

  Expected<MachineSpec> run() {
    spec_.generation = plan_.generation;
    spec_.zone_types = plan_.zone_types;
    spec_.nodes = plan_.nodes.size();
    spec_.movable = plan_.movable;
    spec_.has_cma = plan_.has_cma;
    spec_.has_thp = plan_.has_thp;
    spec_.tunables = plan_.tunables;
    if (!check_nodes() || !place_memory() || !check_memory() || !number_cpus() || !set_distances())
      return *std::move(error_);
    lay_out_zones();
    if (!reserve())
      return *std::move(error_);
    return std::move(spec_);
  }

 private:
  bool fail(const Place& place, std::string_view message, std::string_view remedy) {
    error_ = error_at(plan_.file, place, message, remedy);
    return false;
  }

  bool check_nodes() {
    if (plan_.nodes.empty())
      return fail({}, "a machine needs a node", "describe one, \"[[node]]\" with memory = \"4G\" and cpus = 4");
    if (plan_.nodes.size() > kMaxNodes) {
      return fail(plan_.nodes[kMaxNodes].place, fmt::format("{} nodes are too many", plan_.nodes.size()),
                  fmt::format("a machine may have {}", kMaxNodes));
    }
    return true;
  }

  /// Fills addresses upwards, node after node, around the hole; then takes away what is memory on no PC.
  bool place_memory() {
    const bool has_ranges =
        std::any_of(plan_.nodes.begin(), plan_.nodes.end(), [](const NodePlan& n) { return !n.ranges.empty(); });
    std::uint64_t at = 0;
    for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
      const NodePlan& node = plan_.nodes[n];
      if (node.bytes != 0 && has_ranges) {
        return fail(node.place, "some nodes have a size and others have ranges",
                    "give all of them as ranges, or all as sizes");
      }
      for (const PfnRange& range : node.ranges)
        add_memory(range, n);
      std::uint64_t pages = node.bytes / kPageSize;
      if (pages > kMaxPfn) {
        return fail(node.place, fmt::format("{} of memory is too much", size_text(node.bytes)),
                    "a machine may have 16T of addresses");
      }
      while (pages != 0) {
        if (Pfn{at} >= plan_.hole.begin && Pfn{at} < plan_.hole.end)
          at = plan_.hole.end.raw();
        const std::uint64_t room = Pfn{at} < plan_.hole.begin ? plan_.hole.begin.raw() - at : pages;
        const PfnRange whole{Pfn{at}, Pfn{at + std::min(pages, room)}};
        add_memory(intersection(whole, PfnRange{kFirstPfn, kLegacyHole.begin}), n);
        add_memory(intersection(whole, PfnRange{kLegacyHole.end, Pfn{~0ULL}}), n);
        at = whole.end.raw();
        pages -= whole.pages().raw();
      }
    }
    return true;
  }

  void add_memory(PfnRange range, std::size_t node) {
    if (!is_empty(range))
      spec_.memory.push_back(MemoryRange{range, NodeId{node}, plan_.nodes[node].is_hotpluggable});
  }

  bool check_memory() {
    auto& memory = spec_.memory;
    std::stable_sort(memory.begin(), memory.end(),
                     [](const MemoryRange& a, const MemoryRange& b) { return a.range.begin < b.range.begin; });
    if (memory.empty())
      return fail(plan_.nodes[0].place, "no node has memory", "give a node some, memory = \"4G\"");
    for (std::size_t i = 1; i < memory.size(); ++i) {
      if (memory[i].range.begin < memory[i - 1].range.end) {
        return fail(
            plan_.nodes[memory[i].node.raw()].place,
            fmt::format("{} of node {} overlaps {} of node {}", address_range_text(memory[i].range),
                        memory[i].node.raw(), address_range_text(memory[i - 1].range), memory[i - 1].node.raw()),
            "let each address belong to one range");
      }
    }
    if (memory.back().range.end > Pfn{kMaxPfn}) {
      return fail(plan_.nodes[memory.back().node.raw()].place,
                  fmt::format("memory ends at {:#x}", memory.back().range.end.raw() * kPageSize),
                  "a machine may have 16T of addresses");
    }
    // Neighbours of one node are one range, as firmware reports them.
    std::vector<MemoryRange> joined;
    for (const MemoryRange& m : memory) {
      if (!joined.empty() && joined.back().range.end == m.range.begin && joined.back().node == m.node)
        joined.back().range.end = m.range.end;
      else
        joined.push_back(m);
    }
    memory = std::move(joined);
    return true;
  }

  bool number_cpus() {
    std::vector<std::pair<std::uint64_t, std::size_t>> cpus;
    for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
      for (const std::uint64_t cpu : plan_.nodes[n].cpus)
        cpus.emplace_back(cpu, n);
    }
    if (cpus.empty())
      return fail(plan_.nodes[0].place, "no node has a CPU", "give a node some, cpus = 4");
    std::sort(cpus.begin(), cpus.end());
    for (std::size_t i = 0; i < cpus.size(); ++i) {
      const auto [cpu, node] = cpus[i];
      if (cpu < i)
        return fail(plan_.nodes[node].place, fmt::format("CPU {} belongs to two nodes", cpu),
                    "give each CPU to one node");
      if (cpu > i)
        return fail(plan_.nodes[node].place, fmt::format("there is a CPU {}, but no CPU {}", cpu, i),
                    "number the CPUs of all nodes from 0 without gaps");
      if (i == kMaxCpus)
        return fail(plan_.nodes[node].place, fmt::format("{} CPUs are too many", cpus.size()),
                    fmt::format("a machine may have {}", kMaxCpus));
      spec_.cpus.push_back(NodeId{node});
    }
    return true;
  }

  bool set_distances() {
    const std::size_t nodes = spec_.nodes;
    spec_.distances = plan_.distances.empty() ? flat_distances(nodes, kRemoteDistance) : plan_.distances;
    if (spec_.distances.size() != nodes * nodes) {
      return fail(plan_.distances_place, fmt::format("{} nodes need {} rows of {} distances", nodes, nodes, nodes),
                  "give one row for each node, [[10, 20], [20, 10]]");
    }
    for (std::size_t n = 0; n < nodes; ++n) {
      if (spec_.distances[n * nodes + n] != kLocalDistance) {
        return fail(plan_.distances_place,
                    fmt::format("node {} is {} away from itself", n, spec_.distances[n * nodes + n]),
                    "the distance of a node to itself is 10");
      }
    }
    return true;
  }

  void lay_out_zones() {
    const Pfn end = spec_.memory.back().range.end;
    const bool has_highmem = std::count(spec_.zone_types.begin(), spec_.zone_types.end(), ZoneType::HighMem) != 0;
    spec_.max_low = has_highmem ? std::min(end, plan_.max_low.value_or(kMaxLow32)) : end;
    spec_.zones.resize(spec_.nodes * spec_.zone_types.size());
    layout_zones(spec_.memory, spec_.zone_types, x86_zone_limits(spec_.zone_types, spec_.max_low, end), spec_.movable,
                 spec_.zones);
  }

  bool reserve() {
    for (const ReservedPlan& r : plan_.reserved) {
      const bool covers_memory = std::any_of(spec_.memory.begin(), spec_.memory.end(), [&](const MemoryRange& m) {
        return !is_empty(intersection(m.range, r.reserved.range));
      });
      if (!covers_memory) {
        return fail(r.place, fmt::format("there is no memory at {}", address_range_text(r.reserved.range)),
                    "reserve a range that a node has");
      }
      spec_.reserved.push_back(r.reserved);
    }
    if (plan_.has_typical_reserve)
      reserve_typically();
    std::stable_sort(spec_.reserved.begin(), spec_.reserved.end(),
                     [](const ReservedRange& a, const ReservedRange& b) { return a.range.begin < b.range.begin; });
    if (spec_.free_ranges().empty())
      return fail(plan_.nodes[0].place, "all memory is reserved", "give the machine more memory, or reserve less");
    return true;
  }

  void reserve_typically() {
    reserve_memory_in(kLowMegabyte, "first megabyte");
    reserve_memory_in(kKernelImage, "kernel image");
    // The records of each node's pages, taken from the top of its memory.
    for (std::size_t n = 0; n < spec_.nodes; ++n) {
      std::uint64_t pages = 0;
      for (const MemoryRange& m : spec_.memory)
        pages += m.node == NodeId{n} ? m.range.pages().raw() : 0;
      std::uint64_t memmap = (pages * kPageRecordBytes + kPageSize - 1) / kPageSize;
      for (auto m = spec_.memory.rbegin(); m != spec_.memory.rend() && memmap != 0; ++m) {
        if (m->node != NodeId{n})
          continue;
        const std::uint64_t part = std::min(memmap, m->range.pages().raw());
        spec_.reserved.push_back(
            {PfnRange{Pfn{m->range.end.raw() - part}, m->range.end}, fmt::format("memmap of node {}", n)});
        memmap -= part;
      }
    }
  }

  void reserve_memory_in(PfnRange range, std::string_view what) {
    for (const MemoryRange& m : spec_.memory) {
      const PfnRange part = intersection(m.range, range);
      if (!is_empty(part))
        spec_.reserved.push_back({part, std::string{what}});
    }
  }

  const MachinePlan& plan_;
  MachineSpec spec_;
  std::optional<Error> error_;
};

}  // namespace

Error error_at(std::string_view file, const Place& place, std::string_view message, std::string_view remedy) {
  std::string text;
  if (place.column != 0)
    text = fmt::format("column {}, ", place.column);
  if (!place.key.empty())
    text += place.key + ": ";
  text += message;
  return Error{
      .file = std::string{file}, .line = place.line, .message = std::move(text), .remedy = std::string{remedy}};
}

Error refuse_words(std::string_view part, std::string_view message, std::string_view remedy) {
  return error_at("", Place{.key = "machine " + in_quotes(part)}, message, remedy);
}

std::vector<ZoneType> default_zone_types() {
  return {ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable, ZoneType::Device};
}

Tunables default_tunables(std::span<const ZoneType> zone_types) {
  Tunables tunables;
  for (std::size_t i = 0; i < zone_types.size(); ++i)
    tunables.lowmem_reserve_ratio[i] = default_lowmem_reserve_ratio(zone_types[i]);
  return tunables;
}

std::vector<std::uint8_t> flat_distances(std::size_t nodes, std::uint8_t remote) {
  std::vector<std::uint8_t> distances(nodes * nodes, remote);
  for (std::size_t n = 0; n < nodes; ++n)
    distances[n * nodes + n] = kLocalDistance;
  return distances;
}

Expected<MachineSpec> build(const MachinePlan& plan) {
  return Builder{plan}.run();
}

}  // namespace mmbox::lab
