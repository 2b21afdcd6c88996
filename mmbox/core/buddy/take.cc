// The fallback of 3.10: the largest foreign block is handed out itself, and what is left of it joins the request's type
// (CMA stays CMA). The Reserve pageblocks are the last resort of every request.
#include "mmbox/core/buddy/buddy.h"
#include "mmbox/core/topology/arith.h"

namespace mmbox {

std::optional<TakenBlock> Buddy::rmqueue_take(unsigned order, Migratetype type) {
  auto taken = rmqueue_smallest(order, type);
  if (!taken)
    taken = take_fallback(order, type);
  if (!taken)
    taken = rmqueue_smallest(order, kReserve);
  // Whatever list it came from, it is remembered as what was asked for.
  if (taken)
    taken->type = pageblock_type(taken->index) == Migratetype::Cma ? Migratetype::Cma : type;
  return taken;
}

std::optional<TakenBlock> Buddy::take_fallback(unsigned order, Migratetype type) {
  const bool disabled = env_.rules->mobility_disabled;
  for (unsigned found = kMaxPageOrder + 1; found-- > order;) {
    const bool cma_listed = env_.rules->has_cma && type == Migratetype::Movable &&
                            (zone_.nonempty[raw(Migratetype::Cma)] >> found & 1U) != 0;
    const auto fallback = cma_listed ? std::optional{Migratetype::Cma} : find_fallback(found, type);
    if (!fallback)
      continue;
    const FrameIndex index = zone_.lists[found][raw(*fallback)].head;
    const bool is_cma = *fallback == Migratetype::Cma;
    Migratetype reported = *fallback;
    if (!is_cma && (found >= kPageblockOrder / 2 || type == Migratetype::Reclaimable || disabled)) {
      const std::uint64_t moved = move_freepages_block(index, type).raw();
      if (moved >= kPageblockPages / 2 || disabled)
        set_pageblock_type(index, type);
      reported = type;
    }
    remove(index, found);
    if (found >= kPageblockOrder && reported != Migratetype::Cma)
      set_pageblock_types(index, found, type);
    const Migratetype rest = is_cma ? Migratetype::Cma : type;
    list_rest(index, found, FrameIndex{1} << order, rest);
    env_.trace.emit(MmPageAllocExtfrag{env_.map.pfn(index), Order{order}, Order{found}, type, reported,
                                       pageblock_type(index) == type});
    return TakenBlock{index, rest};
  }
  return std::nullopt;
}

namespace {

/// True if every frame of a pageblock belongs to a free block, a per-cpu list or an allocated block.
bool is_all_handed_out(const MemMap& map, FrameIndex first, FrameIndex end) {
  FrameIndex at = first;
  // A block of order 10 may begin in the pageblock before.
  const FrameIndex pair = first & ~((FrameIndex{1} << kMaxPageOrder) - 1);
  if (pair != first && !map.state(pair).is_none() && map.state(pair).order() == kMaxPageOrder)
    return true;
  while (at < end) {
    const FrameState state = map.state(at);
    if (state.is_none())
      return false;
    at += FrameIndex{1} << state.order();
  }
  return true;
}

}  // namespace

void Buddy::setup_reserve() {
  const auto block = static_cast<FrameIndex>(kPageblockPages);
  const std::uint64_t min = static_cast<std::uint64_t>(zone_.watermark[0]);
  constexpr std::uint64_t kMost = 2;
  std::uint64_t wanted = lesser(kMost, round_up(min, kPageblockPages) / kPageblockPages);
  for (FrameIndex at = (zone_.begin + block - 1) & ~(block - 1); at < zone_.end; at += block) {
    if (!in_zone(at) || env_.map.pageblock(at).zone != zone_.id.raw())
      continue;
    const Migratetype type = pageblock_type(at);
    Migratetype wanted_type = type == kReserve ? Migratetype::Movable : type;
    if (wanted > 0) {
      const FrameIndex end = at + block < zone_.end ? at + block : zone_.end;
      // Such a pageblock neither counts nor is it given back.
      if (!is_all_handed_out(env_.map, at, end))
        continue;
      if (type == kReserve || type == Migratetype::Movable) {
        --wanted;
        wanted_type = kReserve;
      }
    }
    if (wanted_type == type)
      continue;
    set_pageblock_type(at, wanted_type);
    move_freepages_block(at, wanted_type);
  }
}

}  // namespace mmbox
