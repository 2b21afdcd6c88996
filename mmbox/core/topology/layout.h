// Where the zones of each node lie: from the memory map, the limits of the architecture and the share of ZONE_MOVABLE.
//
// Lowest file of topology. Pure arithmetic; results go into the caller's spans.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mmbox/core/base/units.h"
#include "mmbox/core/topology/arith.h"
#include "mmbox/core/topology/tunables.h"

namespace mmbox {

/// Nodes that a machine may have.
inline constexpr std::size_t kMaxNodes = 64;
/// Zones that a machine may have, empty ones included.
inline constexpr std::size_t kMaxZones = kMaxNodes * kMaxZoneTypes;

/// One zone of one node. Every node has an entry for every compiled-in zone type, empty ones with all zeros.
struct ZoneConfig {
  NodeId node;
  ZoneIndex index;
  ZoneType type;
  Pfn start;
  PageCount spanned;
  PageCount present;
  bool is_highmem = false;  ///< HighMem, or Movable carved from it; never on 64-bit machines
};

/// Memory as the firmware's map has it, without the holes, with the node that it belongs to.
struct MemoryRange {
  PfnRange range;
  NodeId node;
  bool is_hotpluggable = false;  ///< counts with movable_node only
};

/// Calls `visit(const MemoryRange&)` for each free range: memory minus reserved, ascending, never across two ranges of
/// `memory`.
///
/// `memory`: ascending, disjoint. `reserved`: ascending; may overlap each other and what is no memory.
/// Source: for_each_free_mem_range(), include/linux/memblock.h.
template <class Visit>
constexpr void for_each_free_range(std::span<const MemoryRange> memory, std::span<const PfnRange> reserved,
                                   Visit&& visit) {
  for (const MemoryRange& m : memory) {
    Pfn at = m.range.begin;
    for (const PfnRange& r : reserved) {
      if (r.end <= at || r.pages() == PageCount{})
        continue;
      if (r.begin >= m.range.end)
        break;
      if (r.begin > at)
        visit(MemoryRange{PfnRange{at, r.begin}, m.node, m.is_hotpluggable});
      at = r.end;
    }
    if (at < m.range.end)
      visit(MemoryRange{PfnRange{at, m.range.end}, m.node, m.is_hotpluggable});
  }
}

/// The first PFN above each zone type, by zone index; 0 for types that have no place of their own (Movable, Device).
/// Source: arch_zone_lowest/highest_possible_pfn, filled by the architecture's zone_sizes_init().
struct ZoneLimits {
  std::array<Pfn, kMaxZoneTypes> end{};
};

/// Where x86 ends its zones: DMA at 16 MiB, DMA32 at 4 GiB, Normal at the last low page.
///
/// `max_low`: last PFN of low memory + 1, which on 64-bit machines is the end of memory; `max`: the end of memory,
/// where
///   HighMem ends. Source: zone_sizes_init(), arch/x86/mm/init.c.
[[nodiscard]] constexpr ZoneLimits x86_zone_limits(std::span<const ZoneType> types, Pfn max_low, Pfn max) {
  constexpr std::uint64_t kDmaEnd = 16ULL * 1024 * 1024 / kPageSize;
  constexpr std::uint64_t kDma32End = 4ULL * 1024 * 1024 * 1024 / kPageSize;
  ZoneLimits limits;
  for (std::size_t i = 0; i < types.size(); ++i) {
    switch (types[i]) {
      case ZoneType::Dma: limits.end[i] = Pfn{lesser(kDmaEnd, max_low.raw())}; break;
      case ZoneType::Dma32: limits.end[i] = Pfn{lesser(kDma32End, max_low.raw())}; break;
      case ZoneType::Normal: limits.end[i] = max_low; break;
      case ZoneType::HighMem: limits.end[i] = max; break;
      case ZoneType::Movable:
      case ZoneType::Device: break;
    }
  }
  return limits;
}

/// How much memory ZONE_MOVABLE gets; all zero: none. These are boot options.
struct MovableShare {
  PageCount kernelcore{};     ///< pages that kernel allocations may use, spread over the nodes
  PageCount movablecore{};    ///< pages that they may not; the larger resulting kernelcore counts
  bool movable_node = false;  ///< hotpluggable memory is movable, and the two amounts do not count
};

namespace detail {

/// Pages of `memory` in `span` that belong to `node`.
[[nodiscard]] constexpr std::uint64_t pages_in(std::span<const MemoryRange> memory, NodeId node, PfnRange span) {
  std::uint64_t pages = 0;
  for (const MemoryRange& m : memory) {
    if (m.node == node)
      pages +=
          PfnRange{Pfn{greater(m.range.begin.raw(), span.begin.raw())}, Pfn{lesser(m.range.end.raw(), span.end.raw())}}
              .pages()
              .raw();
  }
  return pages;
}

/// From the lowest to the highest memory of a node; empty if it has none.
[[nodiscard]] constexpr PfnRange node_range(std::span<const MemoryRange> memory, NodeId node) {
  PfnRange whole{Pfn{~0ULL}, Pfn{0}};
  for (const MemoryRange& m : memory) {
    if (m.node != node || m.range.pages() == PageCount{})
      continue;
    whole.begin = Pfn{lesser(whole.begin.raw(), m.range.begin.raw())};
    whole.end = Pfn{greater(whole.end.raw(), m.range.end.raw())};
  }
  return whole.begin < whole.end ? whole : PfnRange{};
}

/// What each zone type may span on any node, by zone index. Types without a limit of their own stay empty.
[[nodiscard]] constexpr std::array<PfnRange, kMaxZoneTypes> possible_ranges(std::span<const MemoryRange> memory,
                                                                            std::size_t types,
                                                                            const ZoneLimits& limits) {
  std::array<PfnRange, kMaxZoneTypes> ranges{};
  Pfn previous{~0ULL};
  for (const MemoryRange& m : memory)
    previous = Pfn{lesser(previous.raw(), m.range.begin.raw())};
  for (std::size_t i = 0; i < types; ++i) {
    if (limits.end[i] == Pfn{})
      continue;
    ranges[i] = PfnRange{previous, Pfn{greater(limits.end[i].raw(), previous.raw())}};
    previous = ranges[i].end;
  }
  return ranges;
}

/// The zone that ZONE_MOVABLE is carved from: the highest one that has room. Source: find_usable_zone_for_movable().
[[nodiscard]] constexpr std::size_t movable_base(const std::array<PfnRange, kMaxZoneTypes>& possible) {
  for (std::size_t i = kMaxZoneTypes; i-- > 0;) {
    if (possible[i].pages() != PageCount{})
      return i;
  }
  return 0;
}

/// Moves `starts`, where each node's ZONE_MOVABLE begins so far, up until `kernelcore` pages lie below them.
///
/// Memory below `base`, the lowest PFN that can be movable, counts too. A node that is too small leaves its part to the
/// others, in further passes.
constexpr void spread_kernelcore(std::span<const MemoryRange> memory, std::uint64_t kernelcore, Pfn base,
                                 std::span<Pfn> starts) {
  std::uint64_t sharers = 0;
  for (std::size_t n = 0; n < starts.size(); ++n)
    sharers += node_range(memory, NodeId{n}).pages() != PageCount{} ? 1 : 0;
  std::uint64_t wanted = kernelcore;
  while (sharers != 0) {
    std::uint64_t share = wanted / sharers;
    for (std::size_t n = 0; n < starts.size(); ++n) {
      if (wanted < share)
        share = wanted / sharers;
      std::uint64_t remaining = share;
      for (const MemoryRange& m : memory) {
        if (m.node != NodeId{n})
          continue;
        Pfn begin{greater(m.range.begin.raw(), starts[n].raw())};
        if (begin >= m.range.end)
          continue;
        if (begin < base) {
          const Pfn end{lesser(m.range.end.raw(), base.raw())};
          const std::uint64_t pages = (end - begin).raw();
          remaining -= lesser(pages, remaining);
          wanted -= lesser(pages, wanted);
          if (m.range.end <= base) {
            // Never movable, even if the share is used up: the start moves past it.
            starts[n] = m.range.end;
            continue;
          }
          begin = base;
        }
        const std::uint64_t pages = lesser((m.range.end - begin).raw(), remaining);
        starts[n] = begin + PageCount{pages};
        wanted -= lesser(pages, wanted);
        remaining -= pages;
        if (remaining == 0)
          break;
      }
    }
    --sharers;
    if (wanted <= sharers)
      break;
  }
}

}  // namespace detail

/// Writes the PFN where ZONE_MOVABLE begins on each node, 0 where it has none.
///
/// `memory`: ascending, disjoint. Shape of `starts`: [nodes].
/// Source: find_zone_movable_pfns_for_nodes(), mm/page_alloc.c.
constexpr void movable_starts(std::span<const MemoryRange> memory, std::size_t types, const ZoneLimits& limits,
                              const MovableShare& share, std::span<Pfn> starts) {
  for (Pfn& start : starts)
    start = Pfn{};
  std::uint64_t total = 0;
  for (const MemoryRange& m : memory)
    total += m.range.pages().raw();
  if (share.movable_node) {
    for (const MemoryRange& m : memory) {
      Pfn& start = starts[m.node.raw()];
      if (m.is_hotpluggable && (start == Pfn{} || m.range.begin < start))
        start = m.range.begin;
    }
  } else {
    std::uint64_t kernelcore = share.kernelcore.raw();
    if (share.movablecore != PageCount{}) {
      const std::uint64_t movablecore = lesser(round_up(share.movablecore.raw(), 1ULL << kMaxPageOrder), total);
      kernelcore = greater(kernelcore, total - movablecore);
    }
    // Without a wish, or with one that covers everything, there is no movable zone.
    if (kernelcore == 0 || kernelcore >= total)
      return;
    const auto possible = detail::possible_ranges(memory, types, limits);
    detail::spread_kernelcore(memory, kernelcore, possible[detail::movable_base(possible)].begin, starts);
  }
  for (std::size_t n = 0; n < starts.size(); ++n) {
    starts[n] = Pfn{round_up(starts[n].raw(), 1ULL << kMaxPageOrder)};
    if (starts[n] >= detail::node_range(memory, NodeId{n}).end)
      starts[n] = Pfn{};
  }
}

/// Writes the zones of a machine at boot: spans and present pages.
///
/// `memory`: ascending, disjoint. `types`: compiled in, by zone index. `zones` has the shape [nodes][types].
/// A zone without a page of span is all zeros; one that spans only holes has present = 0.
/// Source: free_area_init() and calculate_node_totalpages(), mm/page_alloc.c.
constexpr void layout_zones(std::span<const MemoryRange> memory, std::span<const ZoneType> types,
                            const ZoneLimits& limits, const MovableShare& share, std::span<ZoneConfig> zones) {
  const std::size_t nodes = zones.size() / types.size();
  std::array<Pfn, kMaxNodes> starts{};
  movable_starts(memory, types.size(), limits, share, std::span{starts}.first(nodes));
  const auto possible = detail::possible_ranges(memory, types.size(), limits);
  const std::size_t base = detail::movable_base(possible);
  for (std::size_t n = 0; n < nodes; ++n) {
    const NodeId node{n};
    const PfnRange whole = detail::node_range(memory, node);
    for (std::size_t i = 0; i < types.size(); ++i) {
      const bool is_movable = types[i] == ZoneType::Movable;
      PfnRange span = possible[i];
      if (is_movable)
        span = starts[n] == Pfn{} ? PfnRange{} : PfnRange{starts[n], possible[base].end};
      else if (starts[n] != Pfn{})
        span.end = Pfn{lesser(span.end.raw(), starts[n].raw())};
      span.begin = Pfn{greater(span.begin.raw(), whole.begin.raw())};
      span.end = Pfn{lesser(span.end.raw(), whole.end.raw())};
      if (span.pages() == PageCount{})
        span = PfnRange{};
      zones[n * types.size() + i] = ZoneConfig{
          .node = node,
          .index = ZoneIndex{i},
          .type = types[i],
          .start = span.begin,
          .spanned = span.pages(),
          .present = PageCount{detail::pages_in(memory, node, span)},
          .is_highmem = types[i] == ZoneType::HighMem || (is_movable && types[base] == ZoneType::HighMem),
      };
    }
  }
}

/// managed_pages as the kernel guesses it before memory is released: present pages without those of the memmap.
///
/// `dma_reserve`: pages known to be reserved in the zone of index 0. The mobility switch sees this number.
/// Source: free_area_init_core(), mm/page_alloc.c.
[[nodiscard]] constexpr std::uint64_t managed_estimate(const ZoneConfig& zone, std::uint64_t dma_reserve = 0) {
  constexpr std::uint64_t kPageRecordBytes = 64;  // sizeof(struct page)
  const std::uint64_t present = zone.present.raw();
  // With large holes the memmap is made for the present parts only.
  const std::uint64_t covered = zone.spanned.raw() > present + (present >> 4) ? present : zone.spanned.raw();
  const std::uint64_t memmap = (covered * kPageRecordBytes + kPageSize - 1) / kPageSize;
  std::uint64_t pages = present;
  if (!zone.is_highmem && pages >= memmap)
    pages -= memmap;
  if (zone.index == ZoneIndex{0} && pages > dma_reserve)
    pages -= dma_reserve;
  return pages;
}

}  // namespace mmbox
