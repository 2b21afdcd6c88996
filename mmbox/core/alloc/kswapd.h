// When a request wakes kswapd, and when the wake is refused. kswapd itself is the host's.
#pragma once

#include "mmbox/core/alloc/context.h"
#include "mmbox/core/alloc/zone_check.h"

namespace mmbox {

/// True if some zone of the node up to `highest` has a block of `order` above its HIGH mark, or none is managed.
/// With vm.defrag_mode what counts for orders above 0 is the pages in whole pageblocks.
/// Source: pgdat_balanced(), mm/vmscan.c.
[[nodiscard]] inline bool node_balanced(const MachineView& machine, NodeId node, Order order, ZoneIndex highest) {
  const std::size_t types = machine.zone_types.size();
  const bool by_blocks = defrag_mode(machine) && order > Order{0};
  const ZoneStat counted = by_blocks ? ZoneStat::FreePagesBlocks : ZoneStat::FreePages;
  bool any = false;
  for (std::size_t i = 0; i <= highest.raw() && i < types; ++i) {
    const ZoneState& zone = machine.zones[node.raw() * types + i];
    if (zone.managed == 0)
      continue;
    any = true;
    if (zone_watermark_ok_safe(machine, zone, order, zone.mark(static_cast<unsigned>(Watermark::High)), highest,
                               counted))
      return true;
  }
  return !any;
}

/// True if kswapd of the zone's node has nothing to do for blocks of `order`, or has given up.
[[nodiscard]] inline bool wake_is_vain(const MachineView& machine, const ZoneState& zone, Order order,
                                       ZoneIndex highest) {
  if (machine.env.rules->generation.slow.kswapd_wake == KswapdWake::EachZone)
    return zone_watermark_ok_safe(machine, zone, order, zone.mark(static_cast<unsigned>(Watermark::Low)), ZoneIndex{0});
  const NodeState& node = machine.nodes[zone.node.raw()];
  if (racy(node.kswapd.failures) >= kMaxReclaimRetries)
    return true;
  const std::size_t types = machine.zone_types.size();
  for (std::size_t i = 0; i <= highest.raw() && i < types; ++i)
    if (racy(machine.zones[node.id.raw() * types + i].watermark_boost) != 0)
      return false;
  return node_balanced(machine, node.id, order, highest);
}

/// Asks kswapd of the zone's node for blocks of `order`, and wakes it unless that would be in vain.
///
/// What was asked is remembered in any case. A refused wake turns to kcompactd if the request itself cannot reclaim.
/// Source: wakeup_kswapd(), mm/vmscan.c.
inline void wakeup_kswapd(const MachineView& machine, const AllocContext& context, const ZoneState& zone, Gfp gfp,
                          Order order, ZoneIndex highest) {
  if (zone.managed == 0)
    return;
  if (context.task->cpusets_enabled && !cpuset_node_allowed(context, zone.node, gfp))
    return;
  NodeState& node = machine.nodes[zone.node.raw()];
  KswapdState& kswapd = node.kswapd;
  const std::uint8_t asked = racy(kswapd.highest);
  if (asked == KswapdState::kNoZone || asked < highest.raw())
    publish(kswapd.highest, static_cast<std::uint8_t>(highest.raw()));
  if (racy(kswapd.order) < order.raw())
    publish(kswapd.order, static_cast<std::uint8_t>(order.raw()));
  if (racy(kswapd.running))
    return;
  if (wake_is_vain(machine, zone, order, highest)) {
    const bool tells_kcompactd = machine.env.rules->generation.slow.refused_wake == RefusedWake::Kcompactd;
    if (tells_kcompactd && !gfp.has(gfp::kDirectReclaim) && machine.hosts.compactor != nullptr)
      machine.hosts.compactor->wake_kcompactd(node.id, order, highest);
    return;
  }
  // Of those who got here at the same time one wakes it.
  if (__atomic_exchange_n(&kswapd.running, true, __ATOMIC_ACQ_REL))
    return;
  machine.env.trace.emit(MmVmscanWakeupKswapd{node.id, highest, order, gfp});
  if (machine.hosts.reclaimer != nullptr)
    machine.hosts.reclaimer->wake_kswapd(node.id);
}

/// Wakes kswapd of every node that the request may use, once for each run of zones of one node; in old kernels for each
/// zone, and on all nodes. Source: wake_all_kswapds(), wake_all_kswapd().
inline void wake_all_kswapds(const MachineView& machine, const AllocContext& context, Gfp gfp) {
  const Generation& generation = machine.env.rules->generation;
  const bool each_zone = generation.slow.kswapd_wake == KswapdWake::EachZone;
  const NodeMask nodes = each_zone ? NodeMask::all() : context.nodes;
  const ZoneIndex highest = each_zone ? lowmem_index(generation, context) : context.highest;
  const Order order =
      defrag_mode(machine) && context.order < Order{kPageblockOrder} ? Order{kPageblockOrder} : context.order;
  std::optional<NodeId> last;
  for (std::size_t z = next_zone(context.list, 0, context.highest, nodes); z < context.list.size();
       z = next_zone(context.list, z + 1, context.highest, nodes)) {
    const ZoneState& zone = machine.zones[context.list[z].zone.raw()];
    if (zone.managed == 0)
      continue;
    if (!each_zone && last && *last == zone.node)
      continue;
    wakeup_kswapd(machine, context, zone, gfp, order, highest);
    last = zone.node;
  }
}

}  // namespace mmbox
