// The fallback of 3.10: the largest foreign block is handed out itself, and what is left of it joins the request's type
// (CMA stays CMA). The Reserve pageblocks are the last resort of every request.
#include "mmbox/core/buddy/buddy.h"

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
    split_down(index, found, order, rest);
    env_.trace.emit(MmPageAllocExtfrag{env_.map.pfn(index), Order{order}, Order{found}, type, reported,
                                       pageblock_type(index) == type});
    return TakenBlock{index, rest};
  }
  return std::nullopt;
}

}  // namespace mmbox
