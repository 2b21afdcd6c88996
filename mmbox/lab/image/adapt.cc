#include "mmbox/lab/image/adapt.h"

#include <algorithm>
#include <vector>

#include "mmbox/mmbox.h"

namespace mmbox::lab {
namespace {

ZoneSize size_of(const ZoneState& zone) {
  return {.node = zone.node,
          .type = zone.type,
          .is_highmem = zone.is_highmem,
          .present_pages = static_cast<std::uint64_t>(zone.present),
          .managed_pages = static_cast<std::uint64_t>(zone.managed)};
}

/// Gives back what lies on lists that the new generation does not have.
void leave_lists(Machine& machine, const PcpShape& shape) {
  MachineView& view = machine.view();
  for (ZoneState& zone : view.zones) {
    for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu) {
      PcpState& pageset = view.pageset(zone.id, CpuId{cpu});
      for (unsigned list = 0; list < kPcpLists; ++list) {
        const unsigned order = PcpShape::order(list);
        if (shape.allows(order) && list < shape.lists())
          continue;
        for (FrameIndex index = kNil; (index = pageset.pop(view.env.map, list, order)) != kNil;) {
          view.env.map.set_state(index, order, FrameState{});
          view.buddy(zone, CpuId{cpu}).free_block(index, order);
        }
      }
    }
  }
}

/// Puts every free block on the list of its pageblock's type.
void type_lists(const MachineView& view, ZoneState& zone) {
  Buddy buddy = view.buddy(zone, CpuId{0});
  for (unsigned order = 0; order < kOrders; ++order) {
    for (unsigned type = 0; type < kMigratetypes; ++type) {
      std::vector<FrameIndex> strangers;
      for (FrameIndex i = zone.lists[order][type].head; i != kNil; i = view.env.map.links(i, order).next)
        if (raw(buddy.pageblock_type(i)) != type)
          strangers.push_back(i);
      for (const FrameIndex i : strangers)
        buddy.move_to_tail(i, order, buddy.pageblock_type(i));
    }
  }
}

void recount(const MachineView& view, ZoneState& zone) {
  zone.nr_free_highatomic = 0;
  std::int64_t in_blocks = 0;
  for (unsigned order = 0; order < kOrders; ++order) {
    const auto pages = [&](unsigned type) {
      return static_cast<std::int64_t>(zone.lists[order][type].blocks) << order;
    };
    zone.nr_free_highatomic += pages(raw(Migratetype::HighAtomic));
    for (unsigned type = 0; type < kMigratetypes && order >= kPageblockOrder; ++type)
      in_blocks += static_cast<Migratetype>(type) == Migratetype::Isolate ? 0 : pages(type);
  }
  const auto item = static_cast<std::size_t>(ZoneStat::FreePagesBlocks);
  const bool kept = view.env.rules->generation.free.block_counter == BlockCounter::Kept;
  zone.stat[item] = kept ? in_blocks : 0;
  for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu)
    view.pageset(zone.id, CpuId{cpu}).stat.delta[item] = 0;
}

void size_watermarks(Machine& machine, const BootPolicy& boot) {
  MachineView& view = machine.view();
  const Tunables& tunables = machine.tunables();
  std::vector<ZoneSize> sizes;
  for (const ZoneState& zone : view.zones)
    sizes.push_back(size_of(zone));
  const std::uint64_t lowmem = watermark_lowmem_pages(sizes, boot.movable_zone_marks);
  for (ZoneState& zone : view.zones) {
    const Watermarks marks =
        zone_watermarks(sizes[zone.id.raw()], lowmem, tunables.min_free_kbytes, tunables.watermark_scale_factor,
                        boot.watermark_gaps, boot.movable_zone_marks);
    zone.watermark = {static_cast<std::int64_t>(marks.min), static_cast<std::int64_t>(marks.low),
                      static_cast<std::int64_t>(marks.high), static_cast<std::int64_t>(marks.promo)};
  }
}

void size_pagesets(Machine& machine, PcpSizing sizing) {
  MachineView& view = machine.view();
  const auto cpus = static_cast<std::uint32_t>(view.cpu_nodes.size());
  for (ZoneState& zone : view.zones) {
    if (!zone.is_populated())
      continue;
    const std::uint32_t sharing = view.nodes[zone.node.raw()].cpus;
    const PcpSize size =
        pcp_size(static_cast<std::uint64_t>(zone.managed), static_cast<std::uint64_t>(zone.mark(1)),
                 machine.tunables().percpu_pagelist_high_fraction, sharing == 0 ? cpus : sharing, sizing);
    zone.pageset_high = size.high;
    zone.pageset_high_max = size.high_max;
    zone.pageset_batch = size.batch;
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
      PcpState& pageset = view.pageset(zone.id, CpuId{cpu});
      pageset.batch = static_cast<std::int32_t>(size.batch);
      pageset.high = static_cast<std::int32_t>(size.high);
      pageset.high_min = sizing == PcpSizing::Range ? static_cast<std::int32_t>(size.high) : 0;
      pageset.high_max = static_cast<std::int32_t>(size.high_max);
      pageset.free_factor = 0;
      pageset.free_count = 0;
      pageset.alloc_factor = 0;
      pageset.previous_free_was_high = false;
    }
  }
}

}  // namespace

void change_generation(Machine& machine, const Generation& to) {
  MachineView& view = machine.view();
  const Generation from = machine.rules().generation;
  const bool has_thp = view.pcp_shape.has_huge || from.pcp.lists == PcpLists::OrderZero;
  const PcpShape shape = PcpShape::of(to.pcp.lists, has_thp);
  if (from.pcp.lists != to.pcp.lists)
    leave_lists(machine, shape);
  machine.change_rules([&](Rules& rules) { rules.generation = to; });
  view.pcp_shape = shape;
  for (ZoneState& zone : view.zones) {
    if (!zone.is_populated())
      continue;
    if (to.free.counters == CounterTiming::PerBlock && from.free.counters != CounterTiming::PerBlock)
      type_lists(view, zone);
    recount(view, zone);
    if (to.walk.high_mark_first == HighMarkFirst::No)
      zone.flags &= ~zone_flag::kBelowHigh;
  }
  const bool other_gaps =
      (from.boot.watermark_gaps == WatermarkGaps::Quarters) != (to.boot.watermark_gaps == WatermarkGaps::Quarters);
  const bool has_movable = std::ranges::any_of(
      view.zones, [](const ZoneState& zone) { return zone.type == ZoneType::Movable && zone.is_populated(); });
  // Recorded marks come from the managed pages of early boot; what need not change is left as it was recorded.
  if (other_gaps || (has_movable && from.boot.movable_zone_marks != to.boot.movable_zone_marks))
    size_watermarks(machine, to.boot);
  if (from.pcp.sizing != to.pcp.sizing)
    size_pagesets(machine, to.pcp.sizing);
}

}  // namespace mmbox::lab
