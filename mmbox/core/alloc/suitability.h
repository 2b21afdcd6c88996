// Would compacting a zone help a request? Asked by compaction itself, by reclaim, which would rather leave the work to
// it, and by the slow path before it tries again.
#pragma once

#include <array>

#include "mmbox/core/alloc/context.h"
#include "mmbox/core/alloc/zone_check.h"
#include "mmbox/core/topology/fragmentation.h"

namespace mmbox {

/// Free pages that compaction needs above the mark, for the copies that it makes. Source: compact_gap().
[[nodiscard]] constexpr std::int64_t compact_gap(Order order) {
  return std::int64_t{2} << order.raw();
}

/// Success: the zone has such a block above the mark that `flags` name; nothing to do. Skipped: too little is free,
/// were it `free_pages`. Continue: compaction could help. Source: __compaction_suitable().
[[nodiscard]] inline CompactResult compaction_suitable(const MachineView& machine, const ZoneState& zone, Order order,
                                                       AllocFlags flags, ZoneIndex highest, std::int64_t free_pages) {
  const Generation& generation = machine.env.rules->generation;
  const WatermarkRule rule = generation.watermark.rule;
  WatermarkZone numbers = watermark_zone(generation, zone, highest);
  if (watermark_ok(rule, order, zone.mark(flags.watermark()), flags, numbers, ZoneBlocks{zone}))
    return CompactResult::Success;
  const auto mark = static_cast<unsigned>(order.raw() > kCostlyOrder ? Watermark::Low : Watermark::Min);
  numbers.free_pages = free_pages;
  const bool enough =
      watermark_ok(rule, Order{0}, zone.mark(mark) + compact_gap(order), alloc_flag::kCma, numbers, ZoneBlocks{zone});
  return enough ? CompactResult::Continue : CompactResult::Skipped;
}

/// A zone's free blocks of all types, for the indices of fragmentation. Shape: [kOrders], blocks.
[[nodiscard]] inline std::array<std::uint64_t, kOrders> free_blocks_of(const ZoneState& zone) {
  std::array<std::uint64_t, kOrders> blocks{};
  for (unsigned order = 0; order < kOrders; ++order)
    blocks[order] = racy(zone.nr_free[order]);
  return blocks;
}

/// The same with the zone's own free pages; costly orders are also Skipped where memory is short rather than broken up.
/// Events: MmCompactionSuitable, with the reason. Source: compaction_suitable().
[[nodiscard]] inline CompactResult compaction_suitable(const MachineView& machine, const ZoneState& zone, Order order,
                                                       AllocFlags flags, ZoneIndex highest) {
  const std::int64_t free = watermark_zone(machine.env.rules->generation, zone, highest).free_pages;
  CompactResult result = compaction_suitable(machine, zone, order, flags, highest, free);
  if (result == CompactResult::Continue && order.raw() > kCostlyOrder) {
    const std::int64_t index = fragmentation_index(free_blocks_of(zone), order);
    if (index >= 0 && index <= static_cast<std::int64_t>(machine.tunables->extfrag_threshold))
      result = CompactResult::NotSuitableZone;
  }
  machine.env.trace.emit(MmCompactionSuitable{zone.node, zone.index, static_cast<std::int32_t>(order.raw()),
                                              static_cast<std::int32_t>(result)});
  return result == CompactResult::NotSuitableZone ? CompactResult::Skipped : result;
}

/// Would compaction be tried in some zone if reclaim freed a fair part of what it can reach?
/// Source: compaction_zonelist_suitable().
[[nodiscard]] inline bool compaction_zonelist_suitable(const MachineView& machine, const AllocContext& context,
                                                       AllocFlags flags) {
  if (machine.hosts.reclaimer == nullptr)
    return false;
  for (std::size_t z = context.preferred; z < context.list.size();
       z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
    const ZoneState& zone = machine.zones[context.list[z].zone.raw()];
    const auto reclaimable = static_cast<std::int64_t>(machine.hosts.reclaimer->reclaimable_pages(zone.id).raw());
    const std::int64_t available =
        reclaimable / context.order.raw() + zone_stat_snapshot(machine, zone, ZoneStat::FreePages);
    if (compaction_suitable(machine, zone, context.order, flags, context.highest, available) == CompactResult::Continue)
      return true;
  }
  return false;
}

}  // namespace mmbox
