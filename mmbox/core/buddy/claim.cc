// Claim and steal (6.15 on, 6.12.95): a request either makes a whole pageblock its own, or takes from the smallest
// foreign block that serves and leaves the rest of it where it is.
//
// Lists are typed here: a free block is on the list of its pageblock's type, so that a stolen page leaves no trace.
#include "mmbox/core/buddy/buddy.h"

namespace mmbox {

std::optional<TakenBlock> Buddy::rmqueue_claim_steal(unsigned order, Migratetype type, AllocFlags flags,
                                                     RmqueueMode& mode) {
  const bool cma = env_.rules->has_cma && flags.has(alloc_flag::kCma);
  if (cma_comes_first(cma))
    if (auto taken = rmqueue_smallest(order, Migratetype::Cma))
      return taken;
  // What was in vain for the last block of a refill is in vain for the next one.
  switch (mode) {
    case RmqueueMode::Normal:
      if (auto taken = rmqueue_smallest(order, type))
        return taken;
      [[fallthrough]];
    case RmqueueMode::Cma:
      if (cma) {
        if (auto taken = rmqueue_smallest(order, Migratetype::Cma)) {
          mode = RmqueueMode::Cma;
          return taken;
        }
      }
      [[fallthrough]];
    case RmqueueMode::Claim:
      if (auto taken = claim(order, type, flags)) {
        mode = RmqueueMode::Normal;
        return taken;
      }
      [[fallthrough]];
    case RmqueueMode::Steal:
      if (!flags.has(alloc_flag::kNoFragment)) {
        if (auto taken = steal(order, type)) {
          mode = RmqueueMode::Steal;
          return taken;
        }
      }
  }
  return std::nullopt;
}

std::optional<TakenBlock> Buddy::claim(unsigned order, Migratetype type, AllocFlags flags) {
  const unsigned lowest = lowest_fallback_order(order, flags);
  for (unsigned found = kMaxPageOrder + 1; found-- > lowest;) {
    const auto fallback = find_fallback(found, type);
    if (!fallback)
      continue;
    if (!can_steal_fallback(found, type, env_.rules->mobility_disabled))
      return std::nullopt;  // smaller blocks are claimed even less
    const FrameIndex index = zone_.lists[found][raw(*fallback)].head;
    if (found >= kPageblockOrder) {
      remove(index, found);
      set_pageblock_types(index, found, type);
      list_rest(index, found, FrameIndex{1} << order, type);
      count_free(-(std::int64_t{1} << found), *fallback);
      count_free((std::int64_t{1} << found) - (std::int64_t{1} << order), type);
      report_fallback(index, order, found, type, *fallback);
      return TakenBlock{index, type};
    }
    boost_for(flags);
    if (!spans_pageblock(index))
      continue;
    const FrameIndex first = index & ~static_cast<FrameIndex>(kPageblockPages - 1);
    std::uint32_t free_pages = 0;
    for (FrameIndex at = first; at < first + static_cast<FrameIndex>(kPageblockPages);) {
      const FrameState state = env_.map.state(at);
      const FrameIndex step = state.kind() == FrameState::Kind::Buddy ? FrameIndex{1} << state.order() : 1;
      free_pages += state.kind() == FrameState::Kind::Buddy ? step : 0;
      at += step;
    }
    if (!is_worth_claiming(first, free_pages, movable_pages_of(first), type, *fallback))
      continue;
    move_freepages_block(index, type);
    set_pageblock_type(first, type);
    const auto taken = rmqueue_smallest(order, type);
    if (taken)
      report_fallback(taken->index, order, found, type, *fallback);
    return taken;
  }
  return std::nullopt;
}

std::optional<TakenBlock> Buddy::steal(unsigned order, Migratetype type) {
  for (unsigned found = order; found < kOrders; ++found) {
    const auto fallback = find_fallback(found, type);
    if (!fallback)
      continue;
    const FrameIndex index = zone_.lists[found][raw(*fallback)].head;
    remove(index, found);
    list_rest(index, found, FrameIndex{1} << order, *fallback);
    count_free(-(std::int64_t{1} << order), *fallback);
    report_fallback(index, order, found, type, *fallback);
    return TakenBlock{index, *fallback};
  }
  return std::nullopt;
}

}  // namespace mmbox
