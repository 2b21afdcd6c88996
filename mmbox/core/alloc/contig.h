// Free blocks taken out by position instead of by size: for compaction, isolation of pageblocks, and contiguous ranges.
#pragma once

#include "mmbox/core/alloc/free_path.h"
#include "mmbox/core/alloc/zone_check.h"

namespace mmbox {

/// Takes one free block out of the lists for compaction or a contiguous range; the caller owns it, without a state.
///
/// Returns its pages; 0 if taking them would leave too little above the MIN mark (pages of isolated pageblocks are
/// always given). Large blocks turn mergeable pageblocks Movable. Checks: `index` heads a free block of `order`.
/// Source: __isolate_free_page().
[[nodiscard]] inline PageCount isolate_free_page(const MachineView& machine, ZoneState& zone, CpuId cpu,
                                                 FrameIndex index, unsigned order) {
  MMBOX_CHECK(machine.env.map.is_free_head(index, order), "isolate: pfn does not head a free block of order",
              machine.env.map.pfn(index).raw(), order);
  Buddy buddy = machine.buddy(zone, cpu);
  const Migratetype type = buddy.pageblock_type(index);
  const Generation& generation = machine.env.rules->generation;
  if (type != Migratetype::Isolate) {
    const IsolateFreeMark rule = generation.free.isolate_free_mark;
    std::int64_t mark = zone.watermark[static_cast<unsigned>(Watermark::Min)];
    if (rule == IsolateFreeMark::Low)
      mark = zone.mark(static_cast<unsigned>(Watermark::Low));
    else if (rule == IsolateFreeMark::MinWithBoost)
      mark = zone.mark(static_cast<unsigned>(Watermark::Min));
    const AllocFlags flags = rule == IsolateFreeMark::Low ? AllocFlags{} : alloc_flag::kCma;
    if (!watermark_ok(generation.watermark.rule, Order{0}, mark + (std::int64_t{1} << order), flags,
                      watermark_zone(generation, zone, ZoneIndex{0}), ZoneBlocks{zone}))
      return PageCount{0};
    buddy.count_free(-(std::int64_t{1} << order), type);
  }
  buddy.remove(index, order);
  if (order >= kPageblockOrder - 1) {
    const FrameIndex last = index + (FrameIndex{1} << order) - 1;
    for (FrameIndex at = index; at < last; at += static_cast<FrameIndex>(kPageblockPages)) {
      const Migratetype at_type = buddy.pageblock_type(at);
      const bool is_reserve = generation.reserve.kind == ReserveKind::ReserveBlocks && at_type == kReserve;
      if (!is_mergeable(at_type) && !is_reserve)
        continue;
      if (buddy.counts_per_block() && at_type != Migratetype::Movable && buddy.spans_pageblock(at))
        buddy.move_freepages_block(at, Migratetype::Movable);
      buddy.set_pageblock_type(at, Migratetype::Movable);
    }
  }
  return PageCount::in(Order{order});
}

/// Puts an isolated block back, at the tail. Source: __putback_isolated_page().
inline void putback_isolated_page(const MachineView& machine, ZoneState& zone, CpuId cpu, FrameIndex index,
                                  unsigned order, Migratetype type) {
  machine.buddy(zone, cpu).free_one_page(index, order, type, Buddy::Place::Tail);
}

/// Takes the one page `index` out of its free block, for good: the rest of the block stays free.
/// At each level the half without the page goes to the head of its list. Returns false if the page is not free.
/// Source: take_page_off_buddy().
[[nodiscard]] inline bool take_page_off_buddy(const MachineView& machine, ZoneState& zone, CpuId cpu,
                                              FrameIndex index) {
  Buddy buddy = machine.buddy(zone, cpu);
  const auto found = buddy.free_block_of(index);
  if (!found)
    return false;
  FrameIndex head = *found;
  unsigned order = machine.env.map.state(head).order();
  const Migratetype type = buddy.pageblock_type(head);
  buddy.remove(head, order);
  while (order > 0) {
    --order;
    const FrameIndex upper = head + (FrameIndex{1} << order);
    if (index >= upper) {
      buddy.insert(head, order, type, Buddy::Place::Head);
      head = upper;
    } else {
      buddy.insert(upper, order, type, Buddy::Place::Head);
    }
  }
  buddy.count_free(-1, type);
  return true;
}

/// Gives the pageblock of `index`, so far `from`, and its free blocks the type `to`, and keeps the counters right.
///
/// Where lists are typed, a free block that is larger than the pageblock is taken apart first.
/// Source: move_freepages_block() and its callers; move_freepages_block_isolate() since 6.10.
inline void change_isolation(const MachineView& machine, Buddy& buddy, FrameIndex index, Migratetype from,
                             Migratetype to) {
  const MemMap& map = machine.env.map;
  if (machine.env.rules->generation.free.isolation == PageblockIsolation::WholeBlocks) {
    const FrameIndex large = index & ~((FrameIndex{1} << kMaxPageOrder) - 1);
    if (map.is_free_head(large, kMaxPageOrder)) {
      const Migratetype listed = buddy.remove(large, kMaxPageOrder);
      buddy.count_free(-(std::int64_t{1} << kMaxPageOrder), listed);
      buddy.set_pageblock_type(index, to);
      buddy.free_block(large, kMaxPageOrder);
      return;
    }
  }
  const bool to_isolate = to == Migratetype::Isolate;
  if (to_isolate)
    buddy.set_pageblock_type(index, to);
  const auto moved = static_cast<std::int64_t>(buddy.move_freepages_block(index, to).raw());
  if (!buddy.counts_per_block()) {
    buddy.count_free(-moved, from);
    buddy.count_free(moved, to);
  }
  if (!to_isolate)
    buddy.set_pageblock_type(index, to);
}

/// Why a pageblock could not be isolated.
enum class IsolateFailure : std::uint8_t {
  None,
  AlreadyIsolated,  ///< somebody else is at work on it
  Unmovable,        ///< it holds a page that cannot be moved away
};

/// Sets a pageblock apart: nothing is allocated from it until unisolate_pageblock().
///
/// `unmovable`: the host's answer whether the pageblock holds, in the caller's range, a page that cannot be moved.
/// Free blocks move to the Isolate lists and leave the free counters. Source: set_migratetype_isolate().
[[nodiscard]] inline IsolateFailure isolate_pageblock(const MachineView& machine, ZoneState& zone, CpuId cpu,
                                                      FrameIndex index, bool unmovable) {
  Buddy buddy = machine.buddy(zone, cpu);
  const Migratetype old_type = buddy.pageblock_type(index);
  const PageblockIsolation rule = machine.env.rules->generation.free.isolation;
  const bool may_repeat = rule == PageblockIsolation::DrainAll || rule == PageblockIsolation::DrainZone;
  if (old_type == Migratetype::Isolate && !may_repeat)
    return IsolateFailure::AlreadyIsolated;
  if (unmovable || (rule == PageblockIsolation::WholeBlocks && !buddy.spans_pageblock(index)))
    return IsolateFailure::Unmovable;
  change_isolation(machine, buddy, index, old_type, Migratetype::Isolate);
  if (rule != PageblockIsolation::DrainAll)
    ++zone.nr_isolate_pageblock;
  return IsolateFailure::None;
}

/// Gives an isolated pageblock back as `type`. A free block that could merge with a neighbour outside does so now.
/// Source: unset_migratetype_isolate().
inline void unisolate_pageblock(const MachineView& machine, ZoneState& zone, CpuId cpu, FrameIndex index,
                                Migratetype type) {
  Buddy buddy = machine.buddy(zone, cpu);
  if (buddy.pageblock_type(index) != Migratetype::Isolate)
    return;
  const MemMap& map = machine.env.map;
  const Generation& generation = machine.env.rules->generation;
  if (generation.requests.isolation_mark == IsolationMark::Covers)
    type = map.pageblock(index).covered;
  const PageblockIsolation rule = generation.free.isolation;
  const FrameIndex neighbour = index ^ static_cast<FrameIndex>(kPageblockPages);
  const bool is_open =
      map.pageblock(neighbour).zone != kNoZone && buddy.pageblock_type(neighbour) != Migratetype::Isolate;
  const bool may_merge = rule == PageblockIsolation::DrainZone || map.is_free_head(neighbour, kPageblockOrder);
  if (rule != PageblockIsolation::DrainAll && map.is_free_head(index, kPageblockOrder) && is_open && may_merge) {
    buddy.remove(index, kPageblockOrder);
    buddy.set_pageblock_type(index, type);
    if (rule == PageblockIsolation::DrainZone) {
      // 4.12 makes a block in use of it and frees that; later kernels put it back as what it is.
      machine.env.trace.emit(MmPageFree{map.pfn(index), Order{kPageblockOrder}});
      buddy.free_one_page(index, kPageblockOrder, type, Buddy::Place::Head);
      machine.pageset(zone.id, cpu).events.pgfree += kPageblockPages;
    } else {
      buddy.free_one_page(index, kPageblockOrder, type, Buddy::Place::Tail);
    }
  } else {
    change_isolation(machine, buddy, index, Migratetype::Isolate, type);
  }
  if (rule != PageblockIsolation::DrainAll)
    --zone.nr_isolate_pageblock;
}

/// Splits a free block whose pageblocks have different types at `offset` pages; each piece goes to its own type's
/// lists. Source: split_free_page().
inline void split_free_page(const MachineView& machine, ZoneState& zone, CpuId cpu, FrameIndex index, unsigned order,
                            FrameIndex offset) {
  Buddy buddy = machine.buddy(zone, cpu);
  buddy.count_free(-(std::int64_t{1} << order), buddy.pageblock_type(index));
  buddy.remove(index, order);
  const FrameIndex end = index + (FrameIndex{1} << order);
  FrameIndex left = offset;
  FrameIndex at = index;
  while (at < end) {
    const std::uint64_t pfn = machine.env.map.pfn(at).raw();
    unsigned piece = pfn == 0 ? order : static_cast<unsigned>(std::countr_zero(pfn));
    const unsigned fits = static_cast<unsigned>(std::bit_width(left)) - 1;
    if (piece > fits)
      piece = fits;
    buddy.free_one_page(at, piece, buddy.pageblock_type(at));
    at += FrameIndex{1} << piece;
    left -= FrameIndex{1} << piece;
    if (left == 0)
      left = end - at;
  }
}

/// What contiguous ranges need of the host: which pages may move, and to move them.
class RangeMigrator {
 public:
  /// True if `[begin, end)`, inside one pageblock, holds a page that can neither be moved nor is free.
  virtual bool has_unmovable(Pfn begin, Pfn end) = 0;
  /// Moves every page in use out of `[begin, end)` and frees it. Returns false if some page stayed.
  virtual bool migrate_range(Pfn begin, Pfn end) = 0;

 protected:
  ~RangeMigrator() = default;
};

/// Isolates, in the kernel's order, every pageblock that `[begin, end)` touches; all or none.
///
/// A free block that reaches over an outer boundary is split there. Source: start_isolate_page_range().
template <SyncPolicy S>
class PageRangeIsolation {
 public:
  PageRangeIsolation(const MachineView& machine, CpuId cpu, FrameIndex begin, FrameIndex end, Migratetype type)
      : machine_(machine), cpu_(cpu), range_begin_(begin), range_end_(end), type_(type) {
    // Until free blocks that cross the edge could be split, the range was widened to what they can reach.
    const bool splits = rule() == PageblockIsolation::SplitRange || rule() == PageblockIsolation::WholeBlocks;
    const FrameIndex step = splits ? static_cast<FrameIndex>(kPageblockPages) : FrameIndex{1} << kMaxPageOrder;
    first_ = begin & ~(step - 1);
    end_ = (end + step - 1) & ~(step - 1);
  }

  /// False if a pageblock refused; nothing stays isolated then.
  [[nodiscard]] bool start(RangeMigrator& host) {
    const auto block = static_cast<FrameIndex>(kPageblockPages);
    const FrameIndex last = end_ - block;
    if (!isolate_one(host, first_))
      return false;
    split_at(first_);
    if (last != first_) {
      if (!isolate_one(host, last)) {
        undo_one(first_);
        return false;
      }
      split_at(end_);
      for (FrameIndex at = first_ + block; at < last; at += block) {
        if (isolate_one(host, at))
          continue;
        for (FrameIndex done = first_; done < at; done += block)
          undo_one(done);
        undo_one(last);
        return false;
      }
    } else {
      split_at(end_);
    }
    return true;
  }

  /// Gives every pageblock back, ascending. Source: undo_isolate_page_range().
  void undo() {
    for (FrameIndex at = first_; at < end_; at += static_cast<FrameIndex>(kPageblockPages))
      undo_one(at);
  }

 private:
  [[nodiscard]] bool isolate_one(RangeMigrator& host, FrameIndex at) {
    const auto block = static_cast<FrameIndex>(kPageblockPages);
    const FrameIndex from = at > range_begin_ ? at : range_begin_;
    const FrameIndex to = at + block < range_end_ ? at + block : range_end_;
    ZoneState& zone = machine_.zone_of(at);
    const bool cma = racy(machine_.env.map.pageblock(at).type) == Migratetype::Cma;
    const bool unmovable =
        cma ? type_ != Migratetype::Cma : host.has_unmovable(machine_.env.map.pfn(from), machine_.env.map.pfn(to));
    {
      const Guard<S> lock{zone.lock_word};
      if (isolate_pageblock(machine_, zone, cpu_, at, unmovable) != IsolateFailure::None)
        return false;
    }
    if (rule() == PageblockIsolation::DrainAll)
      drain_all<S>(machine_);
    else if (rule() == PageblockIsolation::DrainZone || rule() == PageblockIsolation::TailDrain)
      drain_all<S>(machine_, zone);
    return true;
  }
  [[nodiscard]] PageblockIsolation rule() const { return machine_.env.rules->generation.free.isolation; }
  void undo_one(FrameIndex at) {
    ZoneState& zone = machine_.zone_of(at);
    const Guard<S> lock{zone.lock_word};
    unisolate_pageblock(machine_, zone, cpu_, at, type_);
  }
  /// Splits a free block that crosses `boundary`, so that its two sides can have different types.
  void split_at(FrameIndex boundary) {
    if (rule() != PageblockIsolation::SplitRange || boundary == 0 || boundary >= machine_.env.map.frames())
      return;
    const FrameIndex inside = boundary == end_ ? boundary - 1 : boundary;
    ZoneState& zone = machine_.zone_of(inside);
    const Guard<S> lock{zone.lock_word};
    const auto head = machine_.buddy(zone, cpu_).free_block_of(inside);
    if (!head)
      return;
    const unsigned order = machine_.env.map.state(*head).order();
    if (*head < boundary && boundary < *head + (FrameIndex{1} << order))
      split_free_page(machine_, zone, cpu_, *head, order, boundary - *head);
  }

  const MachineView& machine_;
  CpuId cpu_;
  FrameIndex range_begin_;
  FrameIndex range_end_;
  Migratetype type_;
  FrameIndex first_ = 0;
  FrameIndex end_ = 0;
};

/// Allocates exactly `[begin, end)` as single pages, moving what is in the way.
///
/// False if a page could not be moved or taken; the range is then as before, but for moved pages and drained lists.
/// Source: alloc_contig_range().
template <SyncPolicy S>
[[nodiscard]] bool alloc_contig_range(const MachineView& machine, CpuId cpu, FrameIndex begin, FrameIndex end,
                                      Migratetype type, RangeMigrator& host) {
  const MemMap& map = machine.env.map;
  ZoneState& zone = machine.zone_of(begin);
  PageRangeIsolation<S> isolation{machine, cpu, begin, end, type};
  if (!isolation.start(host))
    return false;
  drain_all<S>(machine, zone);
  if (!host.migrate_range(map.pfn(begin), map.pfn(end))) {
    isolation.undo();
    return false;
  }
  // The free block that holds `begin` may start before it.
  FrameIndex outer = begin;
  FrameIndex outer_end = begin;
  bool is_free = true;
  {
    const Guard<S> lock{zone.lock_word};
    const auto head = machine.buddy(zone, cpu).free_block_of(begin);
    if (head && *head + (FrameIndex{1} << map.state(*head).order()) > begin)
      outer = *head;
    // All of it must be free and isolated before any of it is taken.
    for (outer_end = outer; outer_end < end && is_free;) {
      const FrameState state = map.state(outer_end);
      is_free = state.kind() == FrameState::Kind::Buddy && racy(map.pageblock(outer_end).type) == Migratetype::Isolate;
      outer_end += is_free ? FrameIndex{1} << state.order() : 0;
    }
    for (FrameIndex at = outer; is_free && at < outer_end;) {
      const unsigned order = map.state(at).order();
      (void)isolate_free_page(machine, zone, cpu, at, order);
      at += FrameIndex{1} << order;
    }
  }
  if (!is_free) {
    isolation.undo();
    return false;
  }
  for (FrameIndex at = outer; at < outer_end; ++at)
    map.set_state(at, 0, FrameState::allocated(0, FrameState::Compound::No));
  free_page_range<S>(machine, outer, begin - outer, cpu);
  free_page_range<S>(machine, end, outer_end - end, cpu);
  isolation.undo();
  return true;
}

}  // namespace mmbox
