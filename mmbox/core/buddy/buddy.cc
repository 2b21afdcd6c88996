#include "mmbox/core/buddy/buddy.h"

#include <bit>

namespace mmbox {

void Buddy::count(ZoneStat item, std::int64_t pages) {
  const auto i = static_cast<std::size_t>(item);
  std::int64_t delta = pages + stat_.delta[i];
  // The whole delta moves, not just what exceeds the threshold.
  if (delta > stat_.threshold || delta < -stat_.threshold) {
    publish(zone_.stat[i], zone_.stat[i] + delta);
    delta = 0;
  }
  publish(stat_.delta[i], static_cast<std::int8_t>(delta));
}

void Buddy::count_free(std::int64_t pages, Migratetype type) {
  if (type == Migratetype::Isolate)
    return;
  count(ZoneStat::FreePages, pages);
  if (type == Migratetype::Cma)
    count(ZoneStat::FreeCmaPages, pages);
  else if (type == Migratetype::HighAtomic)
    publish(zone_.nr_free_highatomic, zone_.nr_free_highatomic + pages);
}

void Buddy::count_listed(unsigned order, Migratetype type, std::int64_t blocks) {
  if (type != Migratetype::Isolate && env_.rules->generation.free.block_counter == BlockCounter::Kept)
    count(ZoneStat::FreePagesBlocks, blocks * (std::int64_t{1} << order));
}

void Buddy::insert(FrameIndex index, unsigned order, Migratetype type, Place place) {
  FreeList& list = zone_.lists[order][raw(type)];
  const MemMap& map = env_.map;
  Links& links = map.links(index, order);
  if (list.blocks == 0) {
    links = {kNil, kNil};
    list.head = list.tail = index;
    publish(zone_.nonempty[raw(type)], static_cast<std::uint16_t>(zone_.nonempty[raw(type)] | (1U << order)));
  } else if (place == Place::Head) {
    links = {list.head, kNil};
    map.links(list.head, order).prev = index;
    list.head = index;
  } else {
    links = {kNil, list.tail};
    map.links(list.tail, order).next = index;
    list.tail = index;
  }
  ++list.blocks;
  publish(zone_.nr_free[order], zone_.nr_free[order] + 1);
  map.set_state(index, order, FrameState::buddy(order, type));
  if (order >= kPageblockOrder)
    count_listed(order, type, 1);
}

Migratetype Buddy::remove(FrameIndex index, unsigned order) {
  const MemMap& map = env_.map;
  const Migratetype type = map.state(index).type();
  FreeList& list = zone_.lists[order][raw(type)];
  const Links links = map.links(index, order);
  (links.prev == kNil ? list.head : map.links(links.prev, order).next) = links.next;
  (links.next == kNil ? list.tail : map.links(links.next, order).prev) = links.prev;
  if (--list.blocks == 0)
    publish(zone_.nonempty[raw(type)], static_cast<std::uint16_t>(zone_.nonempty[raw(type)] & ~(1U << order)));
  publish(zone_.nr_free[order], zone_.nr_free[order] - 1);
  map.set_state(index, order, FrameState{});
  if (order >= kPageblockOrder)
    count_listed(order, type, -1);
  return type;
}

bool Buddy::rotate_to_head(FrameIndex index, unsigned order) {
  const MemMap& map = env_.map;
  FreeList& list = zone_.lists[order][raw(map.state(index).type())];
  if (list.head == index)
    return false;
  const FrameIndex last = map.links(index, order).prev;
  map.links(list.tail, order).next = list.head;
  map.links(list.head, order).prev = list.tail;
  map.links(index, order).prev = kNil;
  map.links(last, order).next = kNil;
  list.head = index;
  list.tail = last;
  return true;
}

std::optional<FrameIndex> Buddy::free_block_of(FrameIndex index) const {
  for (unsigned order = 0; order < kOrders; ++order) {
    const FrameIndex head = index & ~((FrameIndex{1} << order) - 1);
    if (env_.map.is_free_head(head, order))
      return head;
  }
  return std::nullopt;
}

bool Buddy::in_zone(FrameIndex index) const {
  if (index < zone_.begin || index >= zone_.end)
    return false;
  return !zone_.interleaved || env_.map.pageblock(index).zone == zone_.id.raw();
}

std::optional<TakenBlock> Buddy::rmqueue_smallest(unsigned order, Migratetype type, std::uint32_t most) {
  const unsigned usable = static_cast<unsigned>(zone_.nonempty[raw(type)]) >> order;
  if (usable == 0)
    return std::nullopt;
  const unsigned found = order + static_cast<unsigned>(std::countr_zero(usable));
  const FrameIndex index = zone_.lists[found][raw(type)].head;
  remove(index, found);
  std::uint32_t blocks = 1;
  if (most > 1 && found > order && env_.trace.sink() == nullptr) {
    const std::uint32_t held = std::uint32_t{1} << (found - order);
    blocks = most < held ? most : held;
  }
  list_rest(index, found, blocks << order, type);
  if (counts_per_block())
    for (std::uint32_t i = 0; i < blocks; ++i)
      count_free(-(std::int64_t{1} << order), type);
  env_.trace.emit(MmPageAllocZoneLocked{env_.map.pfn(index), Order{order}, type,
                                        is_mergeable(type) && (order <= kCostlyOrder || order == kPageblockOrder)});
  return TakenBlock{index, type, blocks};
}

void Buddy::list_rest(FrameIndex index, unsigned order, FrameIndex used, Migratetype type) {
  for (FrameIndex rest = used; rest >> order == 0;) {
    const auto largest = static_cast<unsigned>(std::countr_zero(rest));
    insert(index + rest, largest, type, Place::Head);
    rest += FrameIndex{1} << largest;
  }
}

bool Buddy::buddy_merge_likely(FrameIndex index, unsigned order) const {
  if (order >= kMaxPageOrder - 1)
    return false;
  // Would the pair of this block and its buddy find a free buddy of its own?
  const FrameIndex pair = index & ~(FrameIndex{1} << order);
  const FrameIndex pair_buddy = pair ^ (FrameIndex{1} << (order + 1));
  return env_.map.is_free_head(pair_buddy, order + 1) && in_zone(pair_buddy);
}

bool Buddy::capture(FrameIndex index, unsigned order, Migratetype type) {
  CaptureControl* control = env_.capture;
  if (control->page || control->zone != zone_.id || control->order.raw() != order)
    return false;
  if (type == Migratetype::Cma || type == Migratetype::Isolate)
    return false;
  // Small blocks of movable pageblocks stay there, so that captures do not mix pageblocks.
  const bool may_be_movable = env_.rules->generation.free.capture == CaptureRule::MovableForMovable &&
                              control->migratetype == Migratetype::Movable;
  if (order < kPageblockOrder && type == Migratetype::Movable && !may_be_movable)
    return false;
  count_free(-(std::int64_t{1} << order), type);
  control->page = env_.map.pfn(index);
  return true;
}

void Buddy::free_one_page(FrameIndex index, unsigned order, Migratetype type, Place place) {
  const MemMap& map = env_.map;
  env_.trace.emit(FreeOnePage{map.pfn(index), Order{order}, type, place == Place::Tail});
  count_free(std::int64_t{1} << order, type);
  while (order < kMaxPageOrder) {
    if (env_.capture != nullptr && capture(index, order, type)) [[unlikely]]
      return;
    const FrameIndex buddy = index ^ (FrameIndex{1} << order);
    if (!map.is_free_head(buddy, order) || !in_zone(buddy))
      break;
    if (order >= kPageblockOrder && !may_join(buddy, type))
      break;
    remove(buddy, order);
    index &= ~(FrameIndex{1} << order);
    ++order;
  }
  insert(index, order, type, place == Place::Tail || buddy_merge_likely(index, order) ? Place::Tail : Place::Head);
}

bool Buddy::may_join(FrameIndex buddy, Migratetype type) {
  const MergeRule rule = env_.rules->generation.free.merge;
  const Migratetype buddy_type = pageblock_type(buddy);
  if (type == buddy_type || rule == MergeRule::Always)
    return true;
  if (rule == MergeRule::ApartIfIsolated)
    return type != Migratetype::Isolate && buddy_type != Migratetype::Isolate;
  // Pageblocks that are set apart (high-atomic, CMA, isolated) only join their own kind.
  if (!is_mergeable(type) || !is_mergeable(buddy_type))
    return false;
  if (rule == MergeRule::RetypesBuddy)
    set_pageblock_type(buddy, type);
  return true;
}

void Buddy::free_block(FrameIndex index, unsigned order, Place place) {
  if (order <= kPageblockOrder || env_.rules->generation.free.largest == LargestFree::Whole) {
    free_one_page(index, order, pageblock_type(index), place);
    return;
  }
  const FrameIndex end = index + (FrameIndex{1} << order);
  for (FrameIndex piece = index; piece < end; piece += static_cast<FrameIndex>(kPageblockPages))
    free_one_page(piece, kPageblockOrder, pageblock_type(piece), place);
}

void Buddy::set_pageblock_type(FrameIndex index, Migratetype type) {
  const bool filtered =
      is_mergeable(type) || env_.rules->generation.requests.mobility_off_filter == MobilityOffFilter::EveryType;
  if (env_.rules->mobility_disabled && filtered)
    type = Migratetype::Unmovable;
  Pageblock& block = env_.map.pageblock(index);
  if (type == Migratetype::Isolate)
    block.covered = block.type;
  publish(block.type, type);
  env_.trace.emit(SetPageblockType{env_.map.pfn(index), type});
}

void Buddy::set_pageblock_types(FrameIndex index, unsigned order, Migratetype type) {
  const FrameIndex end = index + (FrameIndex{1} << order);
  for (FrameIndex at = index; at < end; at += static_cast<FrameIndex>(kPageblockPages))
    set_pageblock_type(at, type);
}

bool Buddy::spans_pageblock(FrameIndex index) const {
  constexpr FrameIndex kLast = static_cast<FrameIndex>(kPageblockPages - 1);
  return in_zone(index & ~kLast) && in_zone(index | kLast);
}

PageCount Buddy::move_freepages_block(FrameIndex index, Migratetype type) {
  constexpr FrameIndex kLast = static_cast<FrameIndex>(kPageblockPages - 1);
  FrameIndex at = index & ~kLast;
  const FrameIndex last = at | kLast;
  if (!in_zone(at))
    at = index;  // the zone begins inside the pageblock
  const Place place = env_.rules->generation.take.block_move_place == MovePlace::Head ? Place::Head : Place::Tail;
  std::uint32_t moved = 0;
  if (in_zone(last)) {
    while (at <= last) {
      const FrameState state = env_.map.state(at);
      if (state.kind() != FrameState::Kind::Buddy) {
        ++at;
        continue;
      }
      const unsigned order = state.order();
      move_to(at, order, type, place);
      if (counts_per_block()) {
        count_free(-(std::int64_t{1} << order), state.type());
        count_free(std::int64_t{1} << order, type);
      }
      at += FrameIndex{1} << order;
      moved += 1U << order;
    }
  }
  env_.trace.emit(MoveFreepagesBlock{env_.map.pfn(index), type, moved});
  return PageCount{moved};
}

}  // namespace mmbox
