#include "mmbox/core/reclaim/reclaim.h"

#include "mmbox/core/alloc/suitability.h"

namespace mmbox {

std::span<ZoneState> Reclaim::zones_of(NodeId node, ZoneIndex highest) const {
  const std::size_t types = machine_.zone_types.size();
  return machine_.zones.subspan(node.raw() * types, lesser(highest.raw() + 1, types));
}

PageCount Reclaim::reclaimable_pages(ZoneId zone) {
  std::uint64_t pages = lru_.pages(zone, LruList::InactiveFile) + lru_.pages(zone, LruList::ActiveFile);
  if (host_.free_swap() > PageCount{})
    pages += lru_.pages(zone, LruList::InactiveAnon) + lru_.pages(zone, LruList::ActiveAnon);
  return PageCount{pages};
}

// ------------------------------------------------------------- before a request reclaims: the reserves

bool Reclaim::has_reserves(const NodeState& node, ZoneIndex highest) {
  if (node.kswapd.failures >= kMaxReclaimRetries)
    return true;  // nobody to wait for
  std::int64_t reserves = 0;
  std::int64_t free = 0;
  for (const ZoneState& zone : zones_of(node.id, highest)) {
    const std::int64_t zone_free = zone_stat_snapshot(machine_, zone, ZoneStat::FreePages);
    const bool counts_free =
        machine_.env.rules->generation.slow.nothing_reclaimable == NothingReclaimable::FreePages && zone_free > 0;
    if (zone.managed == 0 || (reclaimable_pages(zone.id) == PageCount{} && !counts_free))
      continue;
    reserves += zone.mark(static_cast<unsigned>(Watermark::Min));
    free += zone_free;
  }
  return reserves == 0 || free > reserves / 2;
}

bool Reclaim::is_killed_waiting_for_kswapd(const AllocContext& context) {
  // A second, where one tick is the 1/250 s of Debian's kernels.
  constexpr unsigned kTicksMax = 250;
  const Task& task = *context.task;
  const auto normal = machine_.index_of(ZoneType::Normal);
  if (!normal || task.workqueue || task.fatal_signal)
    return false;
  std::size_t first = next_zone(context.list, 0, context.highest, context.nodes);
  while (first < context.list.size() && context.list[first].index > *normal)
    first = next_zone(context.list, first + 1, context.highest, context.nodes);
  if (first >= context.list.size())
    return false;
  NodeState& node = machine_.nodes[context.list[first].node.raw()];
  if (has_reserves(node, *normal))
    return false;
  count_event(machine_.events->pgscan_direct_throttle);
  KswapdState& kswapd = node.kswapd;
  if (kswapd.highest == KswapdState::kNoZone || kswapd.highest > normal->raw())
    kswapd.highest = static_cast<std::uint8_t>(normal->raw());
  kswapd.running = true;
  wake_kswapd(node.id);
  for (unsigned tick = 0; tick < kTicksMax && machine_.hosts.waiter != nullptr; ++tick) {
    machine_.hosts.waiter->wait_tick();
    if (task.fatal_signal)
      return true;
    if (has_reserves(node, *normal))
      break;
  }
  return false;
}

// ------------------------------------------------------------- direct reclaim

PageCount Reclaim::direct_reclaim(const AllocContext& context) {
  if (is_killed_waiting_for_kswapd(context))
    return PageCount{1};
  ReclaimEffort effort{.by = ReclaimEffort::By::Direct,
                       .gfp = context.gfp,
                       .order = context.order,
                       .highest = context.highest,
                       .cpu = context.cpu};
  ReclaimProgress progress;
  bool left_to_compaction = reclaim_harder_and_harder(context, effort, progress);
  if (progress.reclaimed == 0 && !left_to_compaction && progress.spared_active) {
    effort.spares_active = false;
    left_to_compaction = reclaim_harder_and_harder(context, effort, progress);
  }
  return PageCount{progress.reclaimed == 0 && left_to_compaction ? 1 : progress.reclaimed};
}

bool Reclaim::reclaim_harder_and_harder(const AllocContext& context, const ReclaimEffort& effort,
                                        ReclaimProgress& progress) {
  count_event(machine_.events->allocstall[context.highest.raw()]);
  for (unsigned priority = kFirstPriority + 1; priority-- > 0;) {
    progress.scanned = 0;
    const bool left_to_compaction = pass_over_nodes(context, effort, priority, progress);
    rest_without_progress(context, priority, progress);
    if (left_to_compaction || progress.reclaimed >= effort.target)
      return left_to_compaction;
  }
  return false;
}

bool Reclaim::pass_over_nodes(const AllocContext& context, const ReclaimEffort& effort, unsigned priority,
                              ReclaimProgress& progress) {
  bool left_to_compaction = false;
  NodeMask done;
  for (std::size_t z = next_zone(context.list, 0, context.highest, context.nodes); z < context.list.size();
       z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
    const ZoneState& zone = machine_.zones[context.list[z].zone.raw()];
    if (context.task->cpusets_enabled && !cpuset_node_allowed(context, zone.node, gfp::kKernel | gfp::kHardwall))
      continue;
    if (effort.order.raw() > kCostlyOrder && is_ready_for_compaction(zone, effort)) {
      left_to_compaction = true;
      continue;
    }
    if (done.has(zone.node))
      continue;
    done.add(zone.node);
    const ReclaimParts all = parts();
    NodePass{all, zone.node, effort, priority, progress}.run();
  }
  return left_to_compaction;
}

bool Reclaim::is_ready_for_compaction(const ZoneState& zone, const ReclaimEffort& effort) const {
  if (!effort.gfp.has(gfp::kIo))
    return false;
  switch (compaction_suitable(machine_, zone, effort.order, AllocFlags{}, effort.highest)) {
    case CompactResult::Success: return true;
    case CompactResult::Continue:
      return zone_watermark_ok_safe(machine_, zone, Order{0},
                                    zone.mark(static_cast<unsigned>(Watermark::High)) + compact_gap(effort.order),
                                    effort.highest);
    default: return false;
  }
}

void Reclaim::rest_without_progress(const AllocContext& context, unsigned priority, const ReclaimProgress& progress) {
  if (priority != 1 || progress.reclaimed > 0 || !context.has_preferred() || machine_.hosts.waiter == nullptr)
    return;
  const NodeState& node = machine_.nodes[context.preferred_zone().node.raw()];
  if (node.kswapd.failures >= kMaxReclaimRetries)
    return;
  std::int64_t reclaimable = 0;
  for (const ZoneState& zone : zones_of(node.id, context.highest))
    reclaimable += static_cast<std::int64_t>(reclaimable_pages(zone.id).raw());
  // Only what is being written is worth waiting for.
  if (2 * (node.pages.file_dirty + node.pages.writeback) > reclaimable)
    machine_.hosts.waiter->wait_tick();
}

// ------------------------------------------------------------- node reclaim

NodeReclaimResult Reclaim::node_reclaim(NodeId node, const AllocContext& context) {
  constexpr unsigned kFirstNodePriority = 4;
  const std::uint32_t mode = machine_.tunables->zone_reclaim_mode;
  const std::uint64_t wanted = PageCount::in(context.order).raw();
  const ReclaimEffort effort{.by = ReclaimEffort::By::NodeReclaim,
                             .gfp = context.gfp,
                             .order = context.order,
                             .highest = context.highest,
                             .cpu = context.cpu,
                             .target = greater(wanted, kReclaimBatch),
                             .may_write = (mode & 2U) != 0,
                             .may_unmap = (mode & 4U) != 0};
  ReclaimProgress progress;
  const ReclaimParts all = parts();
  for (unsigned priority = kFirstNodePriority + 1; priority-- > 0 && progress.reclaimed < wanted;)
    NodePass{all, node, effort, priority, progress}.run();
  if (progress.reclaimed >= wanted)
    return NodeReclaimResult::Success;
  count_event(machine_.events->zone_reclaim_failed);
  return NodeReclaimResult::Some;
}

}  // namespace mmbox
