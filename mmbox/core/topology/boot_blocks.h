// In which blocks, and in which order, boot memory reaches the free lists.
//
// Generators: each calls back in order of release. The caller frees what it is given, at the tail of the lists.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mmbox/core/base/units.h"
#include "mmbox/core/topology/arith.h"
#include "mmbox/core/topology/layout.h"

namespace mmbox {

/// Pages of one memory section (128 MiB), the unit of the memmap.
inline constexpr std::uint64_t kSectionPages = 32768;

/// Calls `visit(Pfn, Order)` for each block in which a free range is released: the largest that is aligned and fits.
/// Source: __free_pages_memory(), mm/memblock.c.
template <class Visit>
constexpr void for_each_boot_block(PfnRange free, Visit&& visit) {
  for (Pfn pfn = free.begin; pfn < free.end;) {
    // PFN 0 has 64 trailing zeros.
    auto order = static_cast<unsigned>(lesser(kMaxPageOrder, static_cast<unsigned>(std::countr_zero(pfn.raw()))));
    while (pfn + PageCount::in(Order{order}) > free.end)
      --order;
    visit(pfn, Order{order});
    pfn = pfn + PageCount::in(Order{order});
  }
}

/// The same for kernels that release whole words of their bitmap: order-6 blocks, and single pages at the edges.
/// Source: free_all_bootmem_core(), 3.10.
template <class Visit>
constexpr void for_each_boot_word(PfnRange free, Visit&& visit) {
  constexpr std::uint64_t kWord = 64;
  const std::uint64_t first = round_up(free.begin.raw(), kWord);
  const std::uint64_t last = free.end.raw() & ~(kWord - 1);
  for (std::uint64_t pfn = free.begin.raw(); pfn < free.end.raw();) {
    const bool is_word = pfn >= first && pfn + kWord <= last;
    visit(Pfn{pfn}, Order{is_word ? 6U : 0U});
    pfn += is_word ? kWord : 1;
  }
}

/// Where the early initialisation of a zone's memmap stops, with DEFERRED_STRUCT_PAGE_INIT; the rest is released later.
///
/// Only the zone that ends with its node is deferred: for every other zone, and for one without a section-aligned PFN
///   above its first 32768 pages of memory, the end of the zone.
/// Source: defer_init(), mm/page_alloc.c. That the page at the stop itself counts is deduced from recorded drift marks.
[[nodiscard]] constexpr Pfn first_deferred_pfn(std::span<const MemoryRange> memory, const ZoneConfig& zone) {
  const Pfn end = zone.start + zone.spanned;
  if (end != detail::node_range(memory, zone.node).end)
    return end;
  std::uint64_t initialised = 0;
  for (const MemoryRange& m : memory) {
    if (m.node != zone.node)
      continue;
    const Pfn first{greater(m.range.begin.raw(), zone.start.raw())};
    const Pfn last{lesser(m.range.end.raw(), end.raw())};
    if (first >= last)
      continue;
    const std::uint64_t missing = initialised < kSectionPages ? kSectionPages - initialised : 0;
    const Pfn stop{round_up(first.raw() + missing, kSectionPages)};
    if (stop < last)
      return stop;
    initialised += (last - first).raw();
  }
  return end;
}

/// Calls `visit(Pfn, Order)` for each piece in which a free range at or above first_deferred_pfn() is released: whole
/// pageblocks, all else page by page.
///
/// The order within one range. A real kernel works on sections in several threads, so that the order between sections
///   is not determined; in ascending order the lists come out as for_each_boot_block() leaves them.
/// Source: deferred_free_range(), mm/page_alloc.c.
template <class Visit>
constexpr void for_each_deferred_block(PfnRange free, Visit&& visit) {
  constexpr Order kPageblock{kPageblockOrder};
  for (Pfn pfn = free.begin; pfn < free.end;) {
    const bool is_whole = pfn.is_aligned(kPageblock) && pfn + PageCount{kPageblockPages} <= free.end;
    const Order order = is_whole ? kPageblock : Order{0};
    visit(pfn, order);
    pfn = pfn + PageCount::in(order);
  }
}

}  // namespace mmbox
