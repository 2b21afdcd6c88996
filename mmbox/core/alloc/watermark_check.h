// May this request dip into this zone? The watermark tests of every modelled generation, as functions on plain numbers.
//
// The engine asks them on its live counters, `mmbox explain` on the numbers of a printed report: the same arithmetic.
// Nothing here knows a zone or a machine; free lists are seen through a small view (`FreeBlockView`).
// Source: __zone_watermark_ok() and zone_watermark_fast(), mm/page_alloc.c.
#pragma once

#include <concepts>
#include <cstdint>

#include "mmbox/core/base/generation.h"
#include "mmbox/core/base/gfp.h"
#include "mmbox/core/base/migratetype.h"

namespace mmbox {

namespace alloc_flag {
/// What 0x10 and 0x20 are called under the rules Loop, Harder and HarderOom.
inline constexpr AllocFlags kHarder = kNonBlock;
inline constexpr AllocFlags kHigh = kMinReserve;
}  // namespace alloc_flag

/// What the tests read of one zone. Unit: pages; signed, because the tests subtract below zero.
struct WatermarkZone {
  std::int64_t free_pages;        ///< NR_FREE_PAGES as visible (without per-cpu deltas)
  std::int64_t highatomic_pages;  ///< nr_reserved_highatomic; free pages on HighAtomic lists since 6.12
  std::int64_t free_cma_pages;    ///< NR_FREE_CMA_PAGES
  std::int64_t lowmem_reserve;    ///< of this zone, for the request's zone index
};

/// Shows which free blocks a zone has: `free_blocks(order)` over all types, `has_block(order, type)` of one type, and
/// the top order.
template <class View>
concept FreeBlockView = requires(const View& view, unsigned order, Migratetype type) {
  { view.free_blocks(order) } -> std::convertible_to<std::uint64_t>;
  { view.has_block(order, type) } -> std::convertible_to<bool>;
  { view.max_order() } -> std::convertible_to<unsigned>;
};

/// True if these flags cancel the deduction of the high-atomic reserve.
[[nodiscard]] constexpr bool reaches_highatomic_pages(WatermarkRule rule, AllocFlags flags) {
  switch (rule) {
    case WatermarkRule::Loop: return true;  // there is no such reserve yet
    case WatermarkRule::Harder: return flags.has(alloc_flag::kHarder);
    case WatermarkRule::HarderOom: return flags.has(alloc_flag::kHarder | alloc_flag::kOom);
    case WatermarkRule::Reserves: return flags.has(alloc_flag::kReserves);
  }
  return false;
}

/// Pages that are free but that this request may not count on.
/// Unit: pages. The block's own last 2^order - 1 pages are part of it, so that one page more than the mark is left.
[[nodiscard]] constexpr std::int64_t unusable_pages(WatermarkRule rule, Order order, AllocFlags flags,
                                                    const WatermarkZone& zone) {
  std::int64_t pages = (std::int64_t{1} << order.raw()) - 1;
  if (!reaches_highatomic_pages(rule, flags))
    pages += zone.highatomic_pages;
  if (!flags.has(alloc_flag::kCma))
    pages += zone.free_cma_pages;
  return pages;
}

/// The mark after what the flags may take off it. Each half and quarter is truncated before it is subtracted.
[[nodiscard]] constexpr std::int64_t lowered_mark(WatermarkRule rule, std::int64_t mark, AllocFlags flags) {
  const bool high = flags.has(alloc_flag::kHigh);
  const bool harder = flags.has(alloc_flag::kHarder);
  const bool oom = flags.has(alloc_flag::kOom);
  if (high)
    mark -= mark / 2;
  switch (rule) {
    case WatermarkRule::Loop:
    case WatermarkRule::Harder:
      if (harder)
        mark -= mark / 4;
      break;
    case WatermarkRule::HarderOom:
      if (oom)
        mark -= mark / 2;
      else if (harder)
        mark -= mark / 4;
      break;
    case WatermarkRule::Reserves:
      if (high && harder)
        mark -= mark / 4;
      if (oom)
        mark -= mark / 2;
      break;
  }
  return mark;
}

/// True if a free block on the list of `type` counts for this request.
[[nodiscard]] constexpr bool may_use_blocks_of(WatermarkRule rule, Migratetype type, AllocFlags flags) {
  switch (type) {
    case Migratetype::Unmovable:
    case Migratetype::Movable:
    case Migratetype::Reclaimable: return true;
    case Migratetype::Cma: return flags.has(alloc_flag::kCma);
    case Migratetype::HighAtomic:
      if (rule == WatermarkRule::Reserves)
        return flags.has(alloc_flag::kHighAtomic | alloc_flag::kOom);
      return reaches_highatomic_pages(rule, flags);
    case Migratetype::Isolate: return false;
  }
  return false;
}

/// True if this request may be given a block from the HighAtomic lists, first or as a last resort.
/// Not the same as counting on them: an order-0 request passes the test on pages that it then may not take.
/// Source: rmqueue(), mm/page_alloc.c; 03 section 5 and 05 section 2.4 of the specification.
[[nodiscard]] constexpr bool may_take_highatomic(WatermarkRule rule, Order order, AllocFlags flags) {
  switch (rule) {
    case WatermarkRule::Loop: return false;
    case WatermarkRule::Harder:
    case WatermarkRule::HarderOom: return order.raw() > 0 && flags.has(alloc_flag::kHarder);
    case WatermarkRule::Reserves: return flags.has(alloc_flag::kHighAtomic | alloc_flag::kOom | alloc_flag::kNonBlock);
  }
  return false;
}

/// True if some list holds a block of at least `order` that this request may take.
/// Under Harder, HARDER is content with any block at all, isolated ones included.
template <FreeBlockView View>
[[nodiscard]] constexpr bool has_usable_block(WatermarkRule rule, Order order, AllocFlags flags, const View& view) {
  const unsigned top = view.max_order();
  for (unsigned o = order.raw(); o <= top; ++o) {
    if (view.free_blocks(o) == 0)
      continue;
    if (rule == WatermarkRule::Harder && flags.has(alloc_flag::kHarder))
      return true;
    for (unsigned type = 0; type < kPcpTypes; ++type)
      if (view.has_block(o, static_cast<Migratetype>(type)))
        return true;
    for (const Migratetype type : {Migratetype::Cma, Migratetype::HighAtomic})
      if (may_use_blocks_of(rule, type, flags) && view.has_block(o, type))
        return true;
  }
  return false;
}

/// Where the Loop rule stops.
struct LoopOutcome {
  bool passes;
  bool failed_first;       ///< the comparison with mark + reserve failed, before any order was taken off
  unsigned failed_order;   ///< else: the order whose pages were taken off last
  std::int64_t free_left;  ///< the two sides of the deciding comparison; pages
  std::int64_t mark;
};

/// The per-order test of kernels before 4.4. `mark` is lowered already.
/// It does not look at lists: it can refuse although a block is free, and pass although none is.
template <FreeBlockView View>
[[nodiscard]] constexpr LoopOutcome loop_test(Order order, std::int64_t mark, AllocFlags flags,
                                              const WatermarkZone& zone, const View& view) {
  std::int64_t free = zone.free_pages - ((std::int64_t{1} << order.raw()) - 1);
  const std::int64_t cma = flags.has(alloc_flag::kCma) ? 0 : zone.free_cma_pages;
  if (free - cma <= mark + zone.lowmem_reserve)
    return {false, true, 0, free - cma, mark + zone.lowmem_reserve};
  for (unsigned o = 0; o < order.raw(); ++o) {
    free -= static_cast<std::int64_t>(view.free_blocks(o)) << o;
    mark >>= 1;
    if (free <= mark)
      return {false, false, o, free, mark};
  }
  return {true, false, 0, free, mark};
}

/// The full test: enough pages above `mark`, and for order > 0 a block to take.
/// `mark` is the printed one, boost included. False says only "not from this zone, not with these flags".
template <FreeBlockView View>
[[nodiscard]] constexpr bool watermark_ok(WatermarkRule rule, Order order, std::int64_t mark, AllocFlags flags,
                                          const WatermarkZone& zone, const View& view) {
  const std::int64_t lowered = lowered_mark(rule, mark, flags);
  if (rule == WatermarkRule::Loop)
    return loop_test(order, lowered, flags, zone, view).passes;
  if (zone.free_pages - unusable_pages(rule, order, flags, zone) <= lowered + zone.lowmem_reserve)
    return false;
  return order.raw() == 0 || has_usable_block(rule, order, flags, view);
}

/// The shortcut for one page alone. True means "pass"; false means only that the full test must decide.
[[nodiscard]] constexpr bool watermark_shortcut_ok(const WatermarkPolicy& policy, std::int64_t mark, AllocFlags flags,
                                                   const WatermarkZone& zone) {
  const std::int64_t need = mark + zone.lowmem_reserve;
  switch (policy.fast) {
    case WatermarkFastRule::None: return false;
    case WatermarkFastRule::CmaOnly: {
      const std::int64_t cma = flags.has(alloc_flag::kCma) ? 0 : zone.free_cma_pages;
      // Unsigned on purpose, as in those kernels: more visible CMA pages than free ones pass.
      return static_cast<std::uint64_t>(zone.free_pages - cma) > static_cast<std::uint64_t>(need);
    }
    case WatermarkFastRule::AllDeductions: {
      const std::int64_t unusable = unusable_pages(policy.rule, Order{0}, flags, zone);
      return (unusable < zone.free_pages ? zone.free_pages - unusable : 0) > need;
    }
  }
  return false;
}

/// True if the zone is so far above `mark` that the number of its pages is no reason to refuse a block to anybody: all
/// that any rule deducts has been deducted, and nothing taken off the mark. False says nothing.
[[nodiscard]] constexpr bool watermark_clearly_ok(unsigned order, std::int64_t mark, const WatermarkZone& zone) {
  const std::int64_t own = (std::int64_t{1} << order) - 1;
  return zone.free_pages - own - zone.highatomic_pages - zone.free_cma_pages > mark + zone.lowmem_reserve;
}

/// The mark that a first attempt is held to first: LOW, or HIGH where that comes first.
[[nodiscard]] constexpr unsigned first_mark(const WalkPolicy& policy) {
  static_assert(alloc_flag::kWmarkLow.watermark() + static_cast<unsigned>(HighMarkFirst::Yes) ==
                alloc_flag::kWmarkHigh.watermark());
  return alloc_flag::kWmarkLow.watermark() + static_cast<unsigned>(policy.high_mark_first);
}

/// True if this attempt may try the unboosted MIN mark when the boosted one refused one page.
[[nodiscard]] constexpr bool may_ignore_boost(BoostException exception, Order order, Gfp gfp, AllocFlags flags) {
  if (order.raw() != 0 || flags.watermark() != alloc_flag::kWmarkMin.watermark())
    return false;
  switch (exception) {
    case BoostException::None: return false;
    case BoostException::GfpAtomic: return gfp.has(gfp::kAtomic);
    case BoostException::MinReserve: return flags.has(alloc_flag::kMinReserve);
  }
  return false;
}

/// The test as the zone walk asks it: shortcut, full test, second chance without the boost.
/// Shape: `mark` includes `boost`; pages.
template <FreeBlockView View>
[[nodiscard]] constexpr bool watermark_fast_ok(const WatermarkPolicy& policy, Order order, std::int64_t mark,
                                               std::int64_t boost, Gfp gfp, AllocFlags flags, const WatermarkZone& zone,
                                               const View& view) {
  // Most often there is far more than any rule asks for. (Loop looks at the orders one by one.)
  if (watermark_clearly_ok(order.raw(), mark, zone) &&
      (order.raw() == 0 || (policy.rule != WatermarkRule::Loop && has_usable_block(policy.rule, order, flags, view))))
    return true;
  if (order.raw() == 0 && watermark_shortcut_ok(policy, mark, flags, zone))
    return true;
  if (watermark_ok(policy.rule, order, mark, flags, zone, view))
    return true;
  return boost != 0 && may_ignore_boost(policy.boost_exception, order, gfp, flags) &&
         watermark_ok(policy.rule, order, mark - boost, flags, zone, view);
}

}  // namespace mmbox
