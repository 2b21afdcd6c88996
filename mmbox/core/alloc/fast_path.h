// The walk over the zonelist: which zone may serve this attempt, and the block it gives.
#pragma once

#include "mmbox/core/alloc/context.h"
#include "mmbox/core/alloc/zone.h"
#include "mmbox/core/alloc/zone_check.h"

namespace mmbox {

/// True if the node's dirty pages are within its share of the limit, so that a writer may add to them.
/// Source: node_dirty_ok(), mm/page-writeback.c.
[[nodiscard]] inline bool node_dirty_ok(const MachineView& machine, NodeId id, const Task& task) {
  const auto dirtyable = [&](const NodeState& node) {
    std::int64_t pages = 0;
    const std::size_t types = machine.zone_types.size();
    for (std::size_t i = 0; i < types; ++i) {
      const ZoneState& zone = machine.zones[node.id.raw() * types + i];
      if (zone.is_populated())
        pages += racy(zone.stat[0]) < 0 ? 0 : racy(zone.stat[0]);
    }
    pages -= pages < node.totalreserve_pages ? pages : node.totalreserve_pages;
    return pages + node.pages.inactive_file + node.pages.active_file;
  };
  const NodeState& node = machine.nodes[id.raw()];
  std::uint64_t limit = 0;
  if (machine.tunables->dirty_bytes != 0) {
    std::int64_t all = 0;
    for (const NodeState& each : machine.nodes)
      all += dirtyable(each);
    const std::uint64_t pages = (machine.tunables->dirty_bytes + kPageSize - 1) / kPageSize;
    limit = all == 0 ? 0 : pages * static_cast<std::uint64_t>(dirtyable(node)) / static_cast<std::uint64_t>(all);
  } else {
    limit = machine.tunables->dirty_ratio * static_cast<std::uint64_t>(dirtyable(node)) / 100;
  }
  if (task.realtime)
    limit += limit / 4;
  if (limit > 0xffff'ffffU)
    limit = 0xffff'ffffU;
  return static_cast<std::uint64_t>(node.pages.file_dirty + node.pages.writeback) <= limit;
}

/// Reclaims on a zone's own node instead of going further away, if the node has something to reclaim and this request
/// may do it. Source: node_reclaim(), mm/vmscan.c.
[[nodiscard]] inline NodeReclaimResult node_reclaim(const MachineView& machine, const AllocContext& context,
                                                    NodeId id) {
  NodeState& node = machine.nodes[id.raw()];
  const NodePageStats& pages = node.pages;
  const std::uint32_t mode = machine.tunables->zone_reclaim_mode;
  const std::int64_t file = pages.inactive_file + pages.active_file;
  const std::int64_t unmapped = file < pages.file_mapped ? 0 : file - pages.file_mapped;
  std::int64_t reclaimable = (mode & 4U) != 0 ? file : unmapped;
  if ((mode & 2U) == 0)
    reclaimable -= reclaimable < pages.file_dirty ? reclaimable : pages.file_dirty;
  if (reclaimable <= node.min_unmapped_pages && pages.slab_reclaimable <= node.min_slab_pages)
    return NodeReclaimResult::Full;
  if (!context.gfp.has(gfp::kDirectReclaim) || context.task->memalloc)
    return NodeReclaimResult::NoScan;
  // A node with CPUs is reclaimed by those who run there.
  if (node.cpus != 0 && id != context.cpu_node)
    return NodeReclaimResult::NoScan;
  if (node.reclaim_locked || machine.hosts.reclaimer == nullptr)
    return NodeReclaimResult::NoScan;
  node.reclaim_locked = true;
  const NodeReclaimResult result = machine.hosts.reclaimer->node_reclaim(id, context);
  node.reclaim_locked = false;
  return result;
}

/// True if the first round of a walk leaves nodes alone whose kswapd is at work already.
[[nodiscard]] inline bool prefers_idle_nodes(const MachineView& machine) {
  return machine.env.rules->generation.walk.kswapd == KswapdPreference::IdleFirst && machine.nodes.size() > 1;
}

/// True if a zone is so far above its HIGH mark that nothing else need be asked. A zone that is not is marked as
/// BELOW_HIGH, whatever else it passes. Source: get_page_from_freelist().
[[nodiscard]] inline bool above_high_mark(const Generation& generation, const AllocContext& context, AllocFlags flags,
                                          ZoneState& zone, const WatermarkZone& numbers) {
  if ((racy(zone.flags) & zone_flag::kBelowHigh) != 0)
    return false;
  const std::int64_t boost = racy(zone.watermark_boost);
  const std::int64_t mark = zone.watermark[static_cast<unsigned>(Watermark::High)] + boost;
  if (watermark_fast_ok(generation.watermark, context.order, mark, 0, context.gfp, flags, numbers, ZoneBlocks{zone}))
    return true;
  // The second chance without the boost is at MIN, also here.
  if (boost != 0 && may_ignore_boost(generation.watermark.boost_exception, context.order, context.gfp, flags) &&
      watermark_ok(generation.watermark.rule, context.order, zone.watermark[0], flags, numbers, ZoneBlocks{zone}))
    return true;
  set_bits(zone.flags, zone_flag::kBelowHigh);
  return false;
}

/// Takes a block from a zone that passed every check, marks it as allocated, and sets its pageblock aside if it was for
/// an atomic request. nullopt if the zone has none for these flags.
template <SyncPolicy S>
[[nodiscard]] std::optional<FrameIndex> take_from_zone(const MachineView& machine, const AllocContext& context,
                                                       ZoneState& preferred, ZoneState& zone, AllocFlags flags) {
  const Generation& generation = machine.env.rules->generation;
  const unsigned order = context.order.raw();
  const auto index = rmqueue<S>(machine, context, preferred, zone, flags);
  if (!index)
    return std::nullopt;
  machine.env.map.set_state(*index, order, allocated_state(context.gfp, order));
  if (uses_highatomic(generation, context.order, flags) && generation.reserve.when == ReserveWhen::AnySuccess)
    reserve_highatomic<S>(machine, zone, context.cpu, *index, order);
  return index;
}

/// The walk of kernels that remember for a second which zones of a list were full; see get_page_from_freelist().
///
/// The cache is switched on by the first zone below its mark; a scan that then finds nothing is repeated without it.
/// Differs: dirty pages and local reclaim are counted by node here, by zone there. Source: get_page_from_freelist() and
/// zlc_zone_worth_trying(), 3.10.
template <SyncPolicy S>
[[nodiscard]] std::optional<FrameIndex> walk_past_full_zones(const MachineView& machine, const AllocContext& context,
                                                             AllocFlags flags, ZoneIndex highest) {
  const Generation& generation = machine.env.rules->generation;
  ZoneState& preferred = machine.zones[context.first_preferred().zone.raw()];
  NodeState* owner = nullptr;  // only fallback lists have a memory
  for (NodeState& node : machine.nodes)
    if (machine.zonelist(node.fallback).data() == context.list.data() && !context.gfp.has(gfp::kThisNode))
      owner = &node;
  const auto mark_full = [&](std::size_t z) {
    if (owner != nullptr && machine.nodes.size() > 1)
      owner->full_zones[z / 64] |= std::uint64_t{1} << z % 64;
  };
  const auto is_full = [&](std::size_t z) {
    return owner != nullptr && (owner->full_zones[z / 64] >> z % 64 & 1U) != 0;
  };
  const NodeMask allowed =
      flags.has(alloc_flag::kCpuset) && !context.task->in_interrupt && context.task->cpusets_enabled
          ? context.task->mems_allowed
          : NodeMask::all();
  bool active = false;
  bool ready = false;
  while (true) {
    for (std::size_t z = context.preferred; z < context.list.size();
         z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
      ZoneState& zone = machine.zones[context.list[z].zone.raw()];
      if (active && (!allowed.has(zone.node) || is_full(z)))
        continue;
      if (context.task->cpusets_enabled && flags.has(alloc_flag::kCpuset) &&
          !cpuset_node_allowed(context, zone.node, context.gfp))
        continue;
      if ((flags.raw() & alloc_flag::kWmarkLow.raw()) != 0 && context.spread_dirty_pages &&
          !node_dirty_ok(machine, zone.node, *context.task)) {
        mark_full(z);
        continue;
      }
      const auto passes = [&] {
        return watermark_ok(generation.watermark.rule, context.order, zone.mark(flags.watermark()), flags,
                            watermark_zone(generation, zone, highest), ZoneBlocks{zone});
      };
      if (!flags.has(alloc_flag::kNoWatermarks) && !passes()) {
        if (machine.nodes.size() > 1 && !ready)
          active = ready = true;
        if (machine.tunables->zone_reclaim_mode == 0 ||
            machine.distance(preferred.node, zone.node) > machine.tunables->node_reclaim_distance) {
          mark_full(z);
          continue;
        }
        if (active && (!allowed.has(zone.node) || is_full(z)))
          continue;
        const NodeReclaimResult result = node_reclaim(machine, context, zone.node);
        if (result == NodeReclaimResult::NoScan || result == NodeReclaimResult::Full)
          continue;
        if (!passes()) {
          if (flags.watermark() == alloc_flag::kWmarkMin.watermark() || result == NodeReclaimResult::Some)
            mark_full(z);
          continue;
        }
      }
      if (auto index = take_from_zone<S>(machine, context, preferred, zone, flags))
        return index;
      mark_full(z);
    }
    if (!active)
      return std::nullopt;
    active = false;
  }
}

/// One attempt at the free lists: the first zone of the list that passes every check and has a block.
///
/// Returns the block, marked as allocated. nullopt says only that this attempt, with these flags, got nothing.
/// `gfp` is the mask of this attempt (COMP and ATOMIC are read). Events: AttemptBegins, ZoneChecked for each zone.
/// Source: get_page_from_freelist().
template <SyncPolicy S>
[[nodiscard]] std::optional<FrameIndex> get_page_from_freelist(const MachineView& machine, const AllocContext& context,
                                                               AllocFlags flags) {
  const Generation& generation = machine.env.rules->generation;
  const ZoneIndex highest = lowmem_index(generation, context);
  EventSink* const sink = machine.env.trace.sink();
  if (sink != nullptr) [[unlikely]]
    sink->on(AttemptBegins{context.gfp, context.order, flags, context.highest});

  if (generation.walk.full_zones == FullZoneCache::OneSecond && context.has_preferred()) [[unlikely]]
    return walk_past_full_zones<S>(machine, context, flags, highest);

  std::optional<NodeId> dirty_checked;
  bool dirty_ok = false;
  bool no_fallback = flags.has(alloc_flag::kNoFragment) && !defrag_mode(machine);
  bool prefers_idle = prefers_idle_nodes(machine);
  bool skipped_busy = false;
  std::size_t z = context.preferred;
  while (true) {
    if (z >= context.list.size()) {
      if (prefers_idle && skipped_busy) {
        prefers_idle = false;
        z = context.preferred;
        continue;
      }
      if (!no_fallback)
        return std::nullopt;
      // Every zone would have had to mix pageblocks: now that is allowed.
      flags = flags.without(alloc_flag::kNoFragment);
      no_fallback = false;
      z = context.preferred;
      continue;
    }
    ZoneState& zone = machine.zones[context.list[z].zone.raw()];
    ZoneState& preferred = machine.zones[context.preferred_zone().zone.raw()];
    const std::int64_t mark = racy(zone.watermark[flags.watermark()]) + racy(zone.watermark_boost);
    const auto checked = [&](ZoneVerdict verdict) {
      if (sink == nullptr) [[likely]]
        return;
      const WatermarkZone numbers = watermark_zone(generation, zone, highest);
      sink->on(ZoneChecked{zone.id, verdict, flags, numbers.free_pages,
                           unusable_pages(generation.watermark.rule, context.order, flags, numbers), mark,
                           numbers.lowmem_reserve});
    };
    const auto go_on = [&] { z = next_zone(context.list, z + 1, context.highest, context.nodes); };

    if (context.task->cpusets_enabled && flags.has(alloc_flag::kCpuset) &&
        !cpuset_node_allowed(context, zone.node, context.gfp)) {
      checked(ZoneVerdict::Cpuset);
      go_on();
      continue;
    }
    if (context.spread_dirty_pages) {
      if (!dirty_checked || *dirty_checked != zone.node) {
        dirty_checked = zone.node;
        dirty_ok = node_dirty_ok(machine, zone.node, *context.task);
      }
      if (!dirty_ok) {
        checked(ZoneVerdict::DirtyLimit);
        go_on();
        continue;
      }
    }
    if (no_fallback && machine.nodes.size() > 1 && zone.id != preferred.id && zone.node != preferred.node) {
      // Staying on this node with mixed pageblocks is better than leaving it.
      checked(ZoneVerdict::RestartLocality);
      flags = flags.without(alloc_flag::kNoFragment);
      no_fallback = false;
      z = context.preferred;
      continue;
    }

    if (prefers_idle && racy(machine.nodes[zone.node.raw()].kswapd.running)) [[unlikely]] {
      checked(ZoneVerdict::KswapdBusy);
      skipped_busy = true;
      go_on();
      continue;
    }

    const WatermarkZone numbers = watermark_zone(generation, zone, highest);
    const bool plenty = generation.walk.high_mark_first == HighMarkFirst::Yes &&
                        above_high_mark(generation, context, flags, zone, numbers);
    if (!plenty &&
        !watermark_fast_ok(generation.watermark, context.order, mark, racy(zone.watermark_boost), context.gfp, flags,
                           numbers, ZoneBlocks{zone}) &&
        !flags.has(alloc_flag::kNoWatermarks)) {
      const std::uint32_t modes = generation.walk.reclaim_gate == ReclaimGate::KnownBits ? 7 : ~0U;
      if ((machine.tunables->zone_reclaim_mode & modes) == 0 ||
          machine.distance(preferred.node, zone.node) > machine.tunables->node_reclaim_distance) {
        checked((machine.tunables->zone_reclaim_mode & modes) == 0 ? ZoneVerdict::BelowWatermark
                                                                   : ZoneVerdict::ReclaimTooFar);
        go_on();
        continue;
      }
      const NodeReclaimResult result = node_reclaim(machine, context, zone.node);
      if (result == NodeReclaimResult::NoScan || result == NodeReclaimResult::Full) {
        checked(result == NodeReclaimResult::Full ? ZoneVerdict::ReclaimFull : ZoneVerdict::ReclaimNoScan);
        go_on();
        continue;
      }
      if (!watermark_ok(generation.watermark.rule, context.order, mark, flags,
                        watermark_zone(generation, zone, highest), ZoneBlocks{zone})) {
        checked(ZoneVerdict::ReclaimNotEnough);
        go_on();
        continue;
      }
    }

    // Reported before the block is taken: the numbers are those that were compared.
    checked(ZoneVerdict::Passed);
    if (const auto index = take_from_zone<S>(machine, context, preferred, zone, flags))
      return index;
    checked(ZoneVerdict::NoBlock);
    go_on();
  }
}

}  // namespace mmbox
