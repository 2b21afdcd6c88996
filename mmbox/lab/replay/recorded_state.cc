#include "mmbox/lab/replay/recorded_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/replay/redirect.h"

namespace mmbox::lab {

namespace {

template <class... Events>
bool holds(const TraceEvent& event) {
  return (std::holds_alternative<Events>(event) || ...);
}

}  // namespace

RecordedKernel RecordedKernel::of(const Snapshot& snapshot) {
  const Generation& generation = *generation_of_recording(snapshot.release()).generation;
  return {.numbering = snapshot.numbering(),
          .takes_by_extfrag = generation.take.fallback == FallbackRule::ClaimSteal,
          .hides_reserve =
              generation.pcp.lists == mmbox::PcpLists::OrderZero && generation.reserve.kind == ReserveKind::HighAtomic};
}

RecordedState::RecordedState(Image image, RecordedKernel kernel, PcpLists pcp, OnDecision on_decision)
    : image_(std::move(image)),
      kernel_(kernel),
      pcp_(pcp),
      on_decision_(std::move(on_decision)),
      cpus_(image_.machine().view().cpu_nodes.size()) {
  if (pcp_ == PcpLists::Followed)
    return;
  for (const ZoneState& zone : view().zones) {
    for (std::size_t cpu = 0; cpu < view().cpu_nodes.size(); ++cpu) {
      PcpState& pageset = view().pageset(zone.id, CpuId{cpu});
      for (unsigned list = 0; list < view().pcp_shape.lists(); ++list)
        for (FrameIndex i = pageset.lists[list].head; i != kNil; i = map().links(i, PcpShape::order(list)).next)
          map().set_state(i, PcpShape::order(list), FrameState{});
      pageset.lists = {};
      pageset.count = 0;
    }
  }
}

void RecordedState::apply(const TraceRecord& record) {
  if (record.cpu.raw() >= cpus_.size())
    return;
  time_ = record.timestamp;
  cpu_ = record.cpu;
  const TraceEvent& event = record.event;
  // Every event of a refill, a spill or a steal but its last announces more of the same.
  cpus_[cpu_.raw()].busy = holds<probe::RmqueueBulk, MmPageAllocZoneLocked, probe::FreePcppagesBulk, probe::FreeOne,
                                 MmPagePcpuDrain, probe::Steal, probe::MoveFreepagesBlock, probe::MoveBlock,
                                 probe::MoveBlockP, probe::SetPageblockFlags, probe::SetPageblockMigratetype,
                                 MmPageAllocExtfrag, probe::IsolateFree, probe::DrainZone, probe::DrainPages>(event);
  std::visit([this](const auto& e) { on(e); }, event);
}

bool RecordedState::in_operation() const {
  return std::ranges::any_of(cpus_, [](const Cpu& cpu) { return cpu.busy; });
}

std::optional<FrameIndex> RecordedState::index_of(Pfn pfn, unsigned order) {
  if (!map().contains(pfn) || !pfn.is_aligned(Order{order}))
    return std::nullopt;
  const FrameIndex index = map().index(pfn);
  if (map().pageblock(index).zone == kNoZone)
    return std::nullopt;
  return index;
}

void RecordedState::decide(bool equal, std::string what, Pfn expected, std::optional<Pfn> actual, Order order,
                           Migratetype type) {
  ++events_;
  on_decision_({equal, std::move(what), expected, actual, order, type, time_, cpu_});
}

void RecordedState::unlink_if_on_pcp(FrameIndex index) {
  const FrameState state = map().state(index);
  if (state.kind() != FrameState::Kind::Pcp)
    return;
  if (take_recorded(image_.machine(), map().pfn(index), Order{state.order()}, cpu_))
    map().set_state(index, state.order(), FrameState{});
}

void RecordedState::clear_inside(FrameIndex index, unsigned order) {
  for (FrameIndex i = index + 1; i < index + (FrameIndex{1} << order); ++i) {
    unlink_if_on_pcp(i);
    if (const FrameState state = map().state(i); state.kind() == FrameState::Kind::Allocated)
      map().set_state(i, state.order(), FrameState{});
  }
}

void RecordedState::set_allocated(FrameIndex index, unsigned order) {
  // Blocks fall apart without an event (a huge page is split): what was here may have had another order.
  if (const FrameState state = map().state(index); !state.is_none())
    map().set_state(index, state.order(), FrameState{});
  map().set_state(index, order, FrameState::allocated(order, FrameState::Compound::No));
}

std::optional<Pfn> RecordedState::smallest(const Buddy& buddy, Order order, Migratetype type) {
  for (unsigned o = order.raw(); o < kOrders; ++o)
    if (const FrameIndex head = buddy.zone().lists[o][raw(type)].head; head != kNil)
      return map().pfn(head);
  return std::nullopt;
}

void RecordedState::on(const MmPageAllocZoneLocked& e) {
  const auto index = index_of(e.pfn, e.order.raw());
  if (!index) {
    decide(false, "a block outside of every zone was taken", e.pfn, std::nullopt, e.order, e.migratetype);
    return;
  }
  Buddy buddy = buddy_of(*index);
  Migratetype type = e.migratetype;
  if (kernel_.hides_reserve && e.order > Order{0} && smallest(buddy, e.order, type) != e.pfn &&
      smallest(buddy, e.order, Migratetype::HighAtomic) == e.pfn) {
    type = Migratetype::HighAtomic;
    ++taken_["blocks of the high-atomic reserve, told with the request's type"];
  }
  const auto taken = buddy.rmqueue_smallest(e.order.raw(), type);
  const bool equal = taken && taken->index == *index;
  if (taken && !buddy.counts_per_block())
    buddy.count_free(-(std::int64_t{1} << e.order.raw()), type);
  decide(equal,
         equal ? std::string{} : fmt::format("block of order {} taken from {}", e.order.raw(), migratetype_name(type)),
         e.pfn, taken ? std::optional{map().pfn(taken->index)} : std::nullopt, e.order, type);
  if (!equal) {
    if (taken)
      buddy.free_one_page(taken->index, e.order.raw(), type);
    if (!take_recorded(image_.machine(), e.pfn, e.order, cpu_))
      return;
    map().set_state(*index, e.order.raw(), FrameState{});
  }
  cpus_[cpu_.raw()].last_locked = e.pfn;
  if (e.percpu_refill)
    refill(*index, e.order, type);
}

void RecordedState::refill(FrameIndex index, Order order, Migratetype type) {
  if (pcp_ == PcpLists::Ignored || !view().pcp_shape.allows(order.raw()) || pcp_list_type(type) != type)
    return;
  PcpState& pageset = view().pageset(view().zone_of(index).id, cpu_);
  pageset.lists[view().pcp_shape.index(order.raw(), type)].append(map(), index, order.raw());
  pageset.count += std::int32_t{1} << order.raw();
  map().set_state(index, order.raw(), FrameState::pcp(order.raw(), type));
}

// Where nothing else tells of a foreign block: a claim of whole pageblocks takes the largest and gives the rest to the
// request's type, a steal the smallest and leaves the rest where it is.
void RecordedState::on(const MmPageAllocExtfrag& e) {
  if (!kernel_.takes_by_extfrag)
    return;
  if (std::exchange(cpus_[cpu_.raw()].last_locked, std::nullopt) == e.pfn)
    return;  // part of a pageblock was claimed: its blocks moved, and zone_locked told of the one taken
  const unsigned found = e.fallback_order.raw();
  const auto index = index_of(e.pfn, found);
  if (!index || !map().is_free_head(*index, found))
    return;  // direct compaction captures it: told by its free
  Buddy buddy = buddy_of(*index);
  const bool claims = found >= kPageblockOrder;
  std::optional<Pfn> actual;
  for (unsigned i = e.alloc_order.raw(); i < kOrders && !actual; ++i) {
    const unsigned order = claims ? kMaxPageOrder - (i - e.alloc_order.raw()) : i;
    if (const auto type = buddy.find_fallback(order, e.alloc_migratetype))
      actual = map().pfn(buddy.zone().lists[order][raw(*type)].head);
  }
  decide(actual == e.pfn,
         fmt::format("block of order {} of {} {} for {}", found, migratetype_name(e.fallback_migratetype),
                     claims ? "claimed" : "stolen", migratetype_name(e.alloc_migratetype)),
         e.pfn, actual, e.alloc_order, e.alloc_migratetype);
  const Migratetype from = buddy.remove(*index, found);
  const Migratetype rest = claims ? e.alloc_migratetype : from;
  for (unsigned order = found; order-- > e.alloc_order.raw();)
    buddy.insert(*index + (FrameIndex{1} << order), order, rest, Buddy::Place::Head);
  buddy.count_free(-(std::int64_t{1} << e.alloc_order.raw()), rest);
  refill(*index, e.alloc_order, e.alloc_migratetype);
}

void RecordedState::on(const MmPageAlloc& e) {
  cpus_[cpu_.raw()].unreserving = false;
  const auto index = index_of(e.pfn, e.order.raw());
  if (!index)
    return;
  if (const auto captured = captured_.find(e.pfn.raw()); captured != captured_.end()) {
    // The block may be larger than what its free had merged to when it was caught.
    for (unsigned order = captured->second; order < e.order.raw(); ++order) {
      const FrameIndex other = *index ^ (FrameIndex{1} << order);
      if (!map().is_free_head(other, order))
        break;
      Buddy buddy = buddy_of(other);
      buddy.count_free(-(std::int64_t{1} << order), buddy.remove(other, order));
    }
    captured_.erase(captured);
  }
  if (pcp_ == PcpLists::Ignored)
    return;
  unlink_if_on_pcp(*index);
  clear_inside(*index, e.order.raw());
  if (map().state(*index).kind() != FrameState::Kind::Buddy)
    set_allocated(*index, e.order.raw());
}

void RecordedState::put_on_pcp(Pfn pfn, Order order, CpuId cpu) {
  const auto index = index_of(pfn, order.raw());
  if (!index || map().state(*index).kind() == FrameState::Kind::Buddy ||
      map().state(*index).kind() == FrameState::Kind::Pcp)
    return;
  const Migratetype type = map().pageblock(*index).type;
  if (!view().pcp_shape.allows(order.raw()) || type == Migratetype::Isolate) {
    map().set_state(*index, order.raw(), FrameState{});
    return;
  }
  clear_inside(*index, order.raw());
  set_allocated(*index, order.raw());
  give_back(image_.machine(), pfn, order, cpu);
}

void RecordedState::take_bulk(const std::vector<Pfn>& pages) {
  for (const Pfn pfn : pages) {
    const auto index = pfn == kNoPfn ? std::nullopt : index_of(pfn);
    if (!index)
      continue;
    unlink_if_on_pcp(*index);
    if (map().state(*index).is_none())
      set_allocated(*index, 0);
  }
}

void RecordedState::on(const probe::FreeOne& e) {
  const auto index = index_of(e.pfn, e.order.raw());
  if (!index || buddy_of(*index).free_block_of(*index)) {
    decide(false, "a block was freed that is free already, or in no zone", e.pfn, e.pfn, e.order, e.migratetype);
    return;
  }
  if (pcp_ == PcpLists::Followed) {
    unlink_if_on_pcp(*index);
    clear_inside(*index, e.order.raw());
    if (const FrameState state = map().state(*index); state.kind() == FrameState::Kind::Allocated)
      map().set_state(*index, state.order(), FrameState{});
  }
  Buddy buddy = buddy_of(*index);
  ++events_;
  if (e.captured == Pfn{0}) {
    buddy.free_one_page(*index, e.order.raw(), e.migratetype,
                        (e.fpi & 2) != 0 ? Buddy::Place::Tail : Buddy::Place::Head);
    return;
  }
  // Handed to direct compaction as it merged: its buddies leave the lists with it, up to the block captured.
  ++taken_["blocks captured by direct compaction"];
  FrameIndex at = *index;
  unsigned order = e.order.raw();
  while (order < kMaxPageOrder && map().pfn(at) != e.captured) {
    const FrameIndex other = at ^ (FrameIndex{1} << order);
    if (!map().is_free_head(other, order))
      break;
    buddy.count_free(-(std::int64_t{1} << order), buddy.remove(other, order));
    at &= ~(FrameIndex{1} << order);
    ++order;
  }
  captured_[e.captured.raw()] = order;
}

void RecordedState::on(const probe::Steal& e) {
  const auto index = index_of(e.page);
  if (!index || map().state(*index).kind() != FrameState::Kind::Buddy) {
    decide(false, "a block was stolen that is not free", e.page, std::nullopt, Order{0}, e.start_type);
    return;
  }
  Buddy buddy = buddy_of(*index);
  const FrameState state = map().state(*index);
  const unsigned order = state.order();
  const FrameIndex head = buddy.zone().lists[order][raw(state.type())].head;
  decide(head == *index, fmt::format("block of order {} stolen for {}", order, migratetype_name(e.start_type)), e.page,
         map().pfn(head), Order{order}, e.start_type);
  const bool single =
      buddy.pageblock_type(*index) == Migratetype::HighAtomic || order >= kPageblockOrder || !e.whole_block;
  if (single || buddy.move_freepages_block(*index, e.start_type).raw() == 0)
    buddy.move_to_tail(*index, order, e.start_type);
  else
    cpus_[cpu_.raw()].moved_by_steal = e.page;
}

void RecordedState::on(const probe::MoveFreepagesBlock& e) {
  auto& moved = cpus_[cpu_.raw()].moved_by_steal;
  if (moved == e.page) {
    moved.reset();
    return;
  }
  if (const auto index = index_of(e.page)) {
    ++events_;
    buddy_of(*index).move_freepages_block(*index, e.migratetype);
  }
}

void RecordedState::on(const probe::MoveBlock& e) {
  if (const auto index = index_of(e.start)) {
    ++events_;
    buddy_of(*index).move_freepages_block(*index, e.new_type);
  }
}

void RecordedState::on(const probe::SetPageblockFlags& e) {
  if ((e.mask & 7U) != 0)
    set_type(e.pfn, static_cast<unsigned>(e.flags & 7U));
}

void RecordedState::set_type(Pfn pfn, unsigned number) {
  const auto index = index_of(pfn);
  if (!index || number >= kernel_.numbering.count())
    return;
  ++events_;
  const Migratetype type = kernel_.numbering.type(number);
  Buddy buddy = buddy_of(*index);
  // A large block of the reserve is given back as it is, with no event but the types of its pageblocks.
  if (kernel_.takes_by_extfrag && cpus_[cpu_.raw()].unreserving)
    if (const FrameState state = map().state(*index); state.kind() == FrameState::Kind::Buddy &&
                                                      state.order() >= kPageblockOrder &&
                                                      state.type() == Migratetype::HighAtomic)
      buddy.move_to_tail(*index, state.order(), type);
  map().pageblock(*index).type = type;
}

void RecordedState::on(const probe::IsolateFree& e) {
  cpus_[cpu_.raw()].isolating.emplace(e.page, e.order);
}

void RecordedState::on(const probe::IsolateFreeRet& e) {
  const auto asked = std::exchange(cpus_[cpu_.raw()].isolating, std::nullopt);
  if (!asked || e.got_pages == 0)
    return;
  const auto [pfn, order] = *asked;
  ++taken_["free blocks isolated by compaction"];
  const auto index = index_of(pfn, order.raw());
  if (!index || !map().is_free_head(*index, order.raw())) {
    decide(false, "a block was isolated that is not free", pfn, std::nullopt, order, Migratetype::Movable);
    return;
  }
  Buddy buddy = buddy_of(*index);
  buddy.count_free(-(std::int64_t{1} << order.raw()), buddy.remove(*index, order.raw()));
}

void RecordedState::on(const probe::ListHead& e) {
  const auto index = index_of(e.pfn, e.order.raw());
  if (!index || !map().is_free_head(*index, e.order.raw())) {
    // The probe reads the head without the lock: the block may have left meanwhile.
    ++taken_["list heads read too late to be followed"];
    return;
  }
  if (map().state(*index).type() == Migratetype::Movable && buddy_of(*index).rotate_to_head(*index, e.order.raw()))
    ++taken_["movable lists rotated by compaction"];
}

void RecordedState::copy_lists_to(Machine& engine) const {
  const MachineView& from = image_.machine().view();
  MachineView& to = engine.view();
  // Pageblocks, states and links lie one behind the other at the end of a machine's bytes.
  const std::span<const std::byte> bytes = image_.machine().bytes();
  const auto* const first = reinterpret_cast<const std::byte*>(&from.env.map.pageblock(0));
  const auto size = static_cast<std::size_t>(bytes.data() + bytes.size() - first);
  copy_differences({reinterpret_cast<std::byte*>(&to.env.map.pageblock(0)), size}, {first, size});
  for (std::size_t i = 0; i < from.zones.size(); ++i) {
    const ZoneState& source = from.zones[i];
    ZoneState& target = to.zones[i];
    target.nonempty = source.nonempty;
    target.nr_free = source.nr_free;
    target.lists = source.lists;
    std::int64_t listed = 0;
    for (unsigned order = 0; order < kOrders; ++order)
      listed += static_cast<std::int64_t>(source.nr_free[order] - source.lists[order][raw(Migratetype::Isolate)].blocks)
                << order;
    std::int64_t deltas = 0;
    for (std::size_t cpu = 0; cpu < from.cpu_nodes.size(); ++cpu) {
      PcpState& pageset = to.pageset(target.id, CpuId{cpu});
      pageset.lists = from.pageset(source.id, CpuId{cpu}).lists;
      pageset.count = from.pageset(source.id, CpuId{cpu}).count;
      deltas += pageset.stat.delta[0];
    }
    target.stat[0] = listed - deltas;
    target.nr_free_highatomic = source.nr_free_highatomic;
    target.stat[static_cast<std::size_t>(ZoneStat::FreePagesBlocks)] =
        zone_stat_snapshot(from, source, ZoneStat::FreePagesBlocks);
    for (std::size_t cpu = 0; cpu < from.cpu_nodes.size(); ++cpu)
      to.pageset(target.id, CpuId{cpu}).stat.delta[static_cast<std::size_t>(ZoneStat::FreePagesBlocks)] = 0;
  }
}

}  // namespace mmbox::lab
