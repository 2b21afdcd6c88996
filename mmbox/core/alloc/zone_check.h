// The watermark tests of watermark_check.h, asked of a live zone.
#pragma once

#include "mmbox/core/alloc/machine_view.h"
#include "mmbox/core/alloc/watermark_check.h"

namespace mmbox {

/// A zone's free lists, as the watermark tests look at them.
struct ZoneBlocks {
  const ZoneState& zone;
  [[nodiscard]] std::uint64_t free_blocks(unsigned order) const { return racy(zone.nr_free[order]); }
  [[nodiscard]] bool has_block(unsigned order, Migratetype type) const {
    return (racy(zone.nonempty[raw(type)]) >> order & 1U) != 0;
  }
  [[nodiscard]] static constexpr unsigned max_order() { return kMaxPageOrder; }
};

/// True if the zone has a block of at least `order` that any request may count on.
[[nodiscard]] inline bool has_usual_block(const ZoneState& zone, unsigned order) {
  unsigned orders = 0;
  for (unsigned type = 0; type < kPcpTypes; ++type)
    orders |= racy(zone.nonempty[type]);
  return orders >> order != 0;
}

/// The numbers that the tests compare, for a request that could go up to `highest`.
/// `free_pages` is the visible count: without the per-cpu deltas, never below zero.
[[nodiscard]] inline WatermarkZone watermark_zone(const Generation& generation, const ZoneState& zone,
                                                  ZoneIndex highest) {
  const auto visible = [&](ZoneStat item) {
    const std::int64_t pages = racy(zone.stat[static_cast<std::size_t>(item)]);
    return pages < 0 ? 0 : pages;
  };
  const std::int64_t highatomic = generation.reserve.deduction == ReserveDeduction::FreePages
                                      ? racy(zone.nr_free_highatomic)
                                      : racy(zone.nr_reserved_highatomic);
  return {visible(ZoneStat::FreePages), highatomic, visible(ZoneStat::FreeCmaPages),
          zone.lowmem_reserve[highest.raw()]};
}

/// A counter with all CPUs' deltas folded in, never below zero. Source: zone_page_state_snapshot().
[[nodiscard]] inline std::int64_t zone_stat_snapshot(const MachineView& machine, const ZoneState& zone, ZoneStat item) {
  const auto i = static_cast<std::size_t>(item);
  std::int64_t pages = racy(zone.stat[i]);
  for (std::size_t cpu = 0; cpu < machine.cpu_nodes.size(); ++cpu)
    pages += racy(machine.pageset(zone.id, CpuId{cpu}).stat.delta[i]);
  return pages < 0 ? 0 : pages;
}

/// The full test with a count that the per-cpu deltas cannot falsify near the mark. `counted`: the counter that stands
/// for the free pages.
/// Source: zone_watermark_ok_safe().
[[nodiscard]] inline bool zone_watermark_ok_safe(const MachineView& machine, const ZoneState& zone, Order order,
                                                 std::int64_t mark, ZoneIndex highest,
                                                 ZoneStat counted = ZoneStat::FreePages) {
  const Generation& generation = machine.env.rules->generation;
  WatermarkZone numbers = watermark_zone(generation, zone, highest);
  if (counted != ZoneStat::FreePages) {
    const std::int64_t pages = racy(zone.stat[static_cast<std::size_t>(counted)]);
    numbers.free_pages = pages < 0 ? 0 : pages;
  }
  if (zone.percpu_drift_mark != 0 && numbers.free_pages < zone.percpu_drift_mark)
    numbers.free_pages = zone_stat_snapshot(machine, zone, counted);
  return watermark_ok(generation.watermark.rule, order, mark, AllocFlags{}, numbers, ZoneBlocks{zone});
}

}  // namespace mmbox
