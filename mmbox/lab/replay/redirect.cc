#include "mmbox/lab/replay/redirect.h"

namespace mmbox::lab {
namespace {

/// Unlinks a page from whichever per-cpu list of its zone holds it.
bool unlink_pcp(const MachineView& view, FrameIndex index, unsigned order) {
  const ZoneState& zone = view.zone_of(index);
  const MemMap& map = view.env.map;
  const unsigned list = view.pcp_shape.index(order, pcp_list_type(map.state(index).type()));
  const auto owner = [&](FrameIndex head) -> PcpState* {
    for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu)
      if (PcpState& pageset = view.pageset(zone.id, CpuId{cpu});
          pageset.lists[list].head == head || view.cpu_nodes.size() == 1)
        return &pageset;
    return nullptr;
  };
  // Only its first block tells whose list it is.
  PcpState* pageset = nullptr;
  for (FrameIndex at = index; at != kNil && pageset == nullptr; at = map.links(at, order).prev)
    pageset = owner(at);
  if (pageset == nullptr)
    return false;
  const auto [next, before] = map.links(index, order);
  const bool first = pageset->lists[list].head == index;
  (first ? pageset->lists[list].head : map.links(before, order).next) = next;
  if (next == kNil)
    pageset->lists[list].tail = first ? kNil : before;
  else
    map.links(next, order).prev = first ? kNil : before;
  pageset->count -= std::int32_t{1} << order;
  map.set_state(index, order, FrameState{});
  return true;
}

}  // namespace

bool take_recorded(Machine& machine, Pfn pfn, Order order, CpuId cpu) {
  MachineView& view = machine.view();
  const MemMap& map = view.env.map;
  if (!map.contains(pfn) || !pfn.is_aligned(order))
    return false;
  const FrameIndex index = map.index(pfn);
  if (map.pageblock(index).zone == kNoZone)
    return false;
  ZoneState& zone = view.zone_of(index);
  const FrameState state = map.state(index);
  if (state.kind() == FrameState::Kind::Pcp) {
    if (state.order() != order.raw() || !unlink_pcp(view, index, order.raw()))
      return false;
  } else {
    Buddy buddy = view.buddy(zone, cpu);
    const auto head = buddy.free_block_of(index);
    if (!head)
      return false;
    unsigned found = map.state(*head).order();
    if (found < order.raw())
      return false;
    FrameIndex at = *head;
    const Migratetype type = buddy.remove(at, found);
    buddy.count_free(-(std::int64_t{1} << order.raw()), type);
    while (found > order.raw()) {
      --found;
      const FrameIndex upper = at + (FrameIndex{1} << found);
      buddy.insert(index >= upper ? at : upper, found, type, Buddy::Place::Head);
      if (index >= upper)
        at = upper;
    }
  }
  map.set_state(index, order.raw(), FrameState::allocated(order.raw(), FrameState::Compound::No));
  return true;
}

void give_back(Machine& machine, Pfn pfn, Order order, CpuId cpu) {
  MachineView& view = machine.view();
  const MemMap& map = view.env.map;
  const FrameIndex index = map.index(pfn);
  ZoneState& zone = view.zone_of(index);
  map.set_state(index, order.raw(), FrameState{});
  if (!view.pcp_shape.allows(order.raw())) {
    view.buddy(zone, cpu).free_one_page(index, order.raw(), map.pageblock(index).type);
    return;
  }
  PcpState& pageset = view.pageset(zone.id, cpu);
  const Migratetype type = map.pageblock(index).type;
  pageset.push(map, view.pcp_shape.index(order.raw(), pcp_list_type(type)), index, order.raw());
  map.set_state(index, order.raw(), FrameState::pcp(order.raw(), type));
}

bool ensure_allocated(Machine& machine, Pfn pfn, Order order, CpuId cpu) {
  const FrameState state = machine.frame_state(pfn);
  if (state.is_allocated_as(order.raw()))
    return true;
  if (take_recorded(machine, pfn, order, cpu))
    return true;
  return machine.adopt(pfn, order);
}

}  // namespace mmbox::lab
