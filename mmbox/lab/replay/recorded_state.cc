#include "mmbox/lab/replay/recorded_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "mmbox/lab/replay/redirect.h"

namespace mmbox::lab {

RecordedState::RecordedState(Image image, MigratetypeNumbering numbering, PcpLists pcp, OnDecision on_decision)
    : image_(std::move(image)),
      numbering_(numbering),
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
  const bool busy =
      std::holds_alternative<probe::RmqueueBulk>(event) || std::holds_alternative<MmPageAllocZoneLocked>(event) ||
      std::holds_alternative<probe::FreePcppagesBulk>(event) || std::holds_alternative<probe::FreeOne>(event) ||
      std::holds_alternative<MmPagePcpuDrain>(event) || std::holds_alternative<probe::Steal>(event) ||
      std::holds_alternative<probe::MoveFreepagesBlock>(event) || std::holds_alternative<MmPageAllocExtfrag>(event) ||
      std::holds_alternative<probe::IsolateFree>(event) || std::holds_alternative<probe::DrainZone>(event);
  cpus_[cpu_.raw()].busy = busy;
  if (std::holds_alternative<MmPageFree>(event) || std::holds_alternative<MmPageFreeBatched>(event) ||
      std::holds_alternative<probe::BulkAlloc>(event))
    cpus_[cpu_.raw()].refilling.reset();
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

void RecordedState::set_allocated(FrameIndex index, unsigned order) {
  // Blocks fall apart without an event (a huge page is split): what was here may have had another order.
  if (const FrameState state = map().state(index); !state.is_none())
    map().set_state(index, state.order(), FrameState{});
  map().set_state(index, order, FrameState::allocated(order, FrameState::Compound::No));
}

void RecordedState::on(const probe::RmqueueBulk& e) {
  if (view().pcp_shape.allows(e.order.raw()))
    cpus_[cpu_.raw()].refilling = view().pcp_shape.index(e.order.raw(), pcp_list_type(e.migratetype));
}

void RecordedState::on(const MmPageAllocZoneLocked& e) {
  const auto index = index_of(e.pfn, e.order.raw());
  if (!index) {
    decide(false, "a block outside of every zone was taken", e.pfn, std::nullopt, e.order, e.migratetype);
    return;
  }
  Buddy buddy = buddy_of(*index);
  const auto taken = buddy.rmqueue_smallest(e.order.raw(), e.migratetype);
  const bool equal = taken && taken->index == *index;
  if (taken)
    buddy.count_free(-(std::int64_t{1} << e.order.raw()), e.migratetype);
  decide(equal,
         equal ? std::string{}
               : fmt::format("block of order {} taken from {}", e.order.raw(), migratetype_name(e.migratetype)),
         e.pfn, taken ? std::optional{map().pfn(taken->index)} : std::nullopt, e.order, e.migratetype);
  if (!equal) {
    if (taken)
      buddy.free_one_page(taken->index, e.order.raw(), e.migratetype);
    if (!take_recorded(image_.machine(), e.pfn, e.order, cpu_))
      return;
    map().set_state(*index, e.order.raw(), FrameState{});
  }
  const auto& refilling = cpus_[cpu_.raw()].refilling;
  if (pcp_ == PcpLists::Ignored || !refilling || PcpShape::order(*refilling) != e.order.raw())
    return;
  PcpState& pageset = view().pageset(view().zone_of(*index).id, cpu_);
  pageset.lists[*refilling].append(map(), *index, e.order.raw());
  pageset.count += std::int32_t{1} << e.order.raw();
  map().set_state(*index, e.order.raw(), FrameState::pcp(e.order.raw(), e.migratetype));
}

void RecordedState::on(const MmPageAlloc& e) {
  cpus_[cpu_.raw()].refilling.reset();
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

void RecordedState::on(const probe::SetPageblockFlags& e) {
  if ((e.mask & 7U) != 0)
    set_type(e.pfn, static_cast<unsigned>(e.flags & 7U));
}

void RecordedState::set_type(Pfn pfn, unsigned number) {
  const auto index = index_of(pfn);
  if (!index || number >= numbering_.count())
    return;
  ++events_;
  map().pageblock(*index).type = numbering_.type(number);
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
  std::memcpy(&to.env.map.pageblock(0), first, size);
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
  }
}

}  // namespace mmbox::lab
