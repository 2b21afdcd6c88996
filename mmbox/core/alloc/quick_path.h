// What a machine does most often, seen where nothing can come between: a block for an ordinary task, from the first
// zone of its CPU's list, well above the mark, with a block on the per-cpu list.
//
// Made of the same steps as the whole path, without those that would change nothing here. Whenever one of them might,
// nothing has happened yet and the whole path is taken; always, while an event sink is attached.
#pragma once

#include "mmbox/core/alloc/fast_path.h"

namespace mmbox {

/// True if the walk over the zones might do more with this one than look at its marks: it has CMA pages, which not all
/// may count on, or its kswapd is at work.
[[nodiscard]] inline bool asks_more_of(const MachineView& machine, const ZoneState& zone) {
  return racy(zone.stat[static_cast<unsigned>(ZoneStat::FreeCmaPages)]) > 0 ||
         (prefers_idle_nodes(machine) && racy(machine.nodes[zone.node.raw()].kswapd.running));
}

/// Takes a block for a plain request, if nothing stands in its way; kNil if the whole path has to look.
template <SyncPolicy S>
[[nodiscard, gnu::always_inline]] inline FrameIndex take_at_once(const MachineView& machine, Gfp gfp, unsigned order,
                                                                 CpuId cpu) {
  constexpr Gfp kDetours = gfp::kThisNode | gfp::kWrite | gfp::kCold;
  if (gfp.has(kDetours) || machine.env.trace.sink() != nullptr || !machine.pcp_shape.allows(order)) [[unlikely]]
    return kNil;
  const UsualStart& start = machine.usual_start(cpu, gfp);
  const ZoneState& zone = *start.zone;
  if (racy<S>(zone.flags) != 0 || (start.asks_more && asks_more_of(machine, zone))) [[unlikely]]
    return kNil;
  const std::int64_t mark = racy<S>(zone.watermark[start.mark]) + racy<S>(zone.watermark_boost);
  const WatermarkZone numbers{racy<S>(zone.stat[static_cast<unsigned>(ZoneStat::FreePages)]),
                              racy<S>(*start.highatomic), 0, zone.lowmem_reserve[start.highest.raw()]};
  if (!watermark_clearly_ok(order, mark, numbers)) [[unlikely]]
    return kNil;
  unsigned list = start.list;
  if (order != 0) {
    if (list == kNoPcpList || !has_usual_block(zone, order))
      return kNil;
    list = machine.pcp_shape.index(order, static_cast<Migratetype>(list));
  }

  PcpState& pageset = *start.pageset;
  const TryGuard<PagesetSync<S>> lock{pageset.lock_word};
  if (!lock.held() || pageset.lists[list].head == kNil) [[unlikely]]
    return kNil;
  pageset.note_request();
  const FrameIndex index = pageset.template pop<S>(machine.env.map, list, order);
  pageset.events.template count<S>(1, std::uint64_t{1} << order);
  machine.env.map.set_state(index, order, allocated_state(gfp, order));
  return index;
}

}  // namespace mmbox
