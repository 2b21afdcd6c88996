#include "mmbox/lab/replay/redirect.h"

#include <algorithm>
#include <array>

namespace mmbox::lab {
namespace {

/// The block before one on a list; kNil for the first. nullopt if it is not on it. The ends are where blocks leave,
/// nearly always.
std::optional<FrameIndex> before_on(const PcpList& list, const MemMap& map, FrameIndex index, unsigned order) {
  if (list.head == index)
    return kNil;
  if (list.head != kNil && list.tail == index)
    return map.links(index, order).prev;
  FrameIndex before = list.head;
  while (before != kNil && map.links(before, order).next != index)
    before = map.links(before, order).next;
  return before == kNil ? std::nullopt : std::optional{before};
}

/// Unlinks a block of a type from the per-cpu list of its zone that holds it.
bool unlink_pcp(const MachineView& view, FrameIndex index, unsigned order, Migratetype type) {
  const ZoneState& zone = view.zone_of(index);
  const MemMap& map = view.env.map;
  const unsigned l = view.pcp_shape.index(order, type);
  const auto unlink = [&](auto may_have) {
    for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu) {
      PcpState& pageset = view.pageset(zone.id, CpuId{cpu});
      PcpList& list = pageset.lists[l];
      if (list.head == kNil || !may_have(list))
        continue;
      const auto before = before_on(list, map, index, order);
      if (!before)
        continue;
      const FrameIndex next = map.links(index, order).next;
      (*before == kNil ? list.head : map.links(*before, order).next) = next;
      (next == kNil ? list.tail : map.links(next, order).prev) = *before;
      pageset.count -= std::int32_t{1} << order;
      map.set_state(index, order, FrameState{});
      return true;
    }
    return false;
  };
  // Whose list it is, is told by the ends, before any list is gone through.
  return unlink([&](const PcpList& list) { return list.head == index || list.tail == index; }) ||
         unlink([](const PcpList&) { return true; });
}

/// The same from whichever list. Most often that is its own type's; a stolen block is on the one that asked.
bool unlink_pcp(const MachineView& view, FrameIndex index, unsigned order) {
  const Migratetype own = pcp_list_type(view.env.map.state(index).type());
  if (unlink_pcp(view, index, order, own))
    return true;
  return std::ranges::any_of(std::array{Migratetype::Unmovable, Migratetype::Movable, Migratetype::Reclaimable},
                             [&](Migratetype type) { return type != own && unlink_pcp(view, index, order, type); });
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
