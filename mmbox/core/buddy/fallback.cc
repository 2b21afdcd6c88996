// How a request of one migratetype takes from another's blocks: which block, and whether the pageblock changes hands.
//
// Each rule has a file of its own: moving blocks here (4.12 to 6.9), claim and steal in claim.cc, taking in take.cc.
// What they share stands at the end of this file.
#include <bit>

#include "mmbox/core/buddy/buddy.h"
#include "mmbox/core/topology/arith.h"

namespace mmbox {

std::optional<TakenBlock> Buddy::rmqueue(unsigned order, Migratetype type, AllocFlags flags, RmqueueMode& mode,
                                         std::uint32_t most) {
  // Most often the own lists have a block, and only CMA could come before them.
  if (!env_.rules->has_cma && mode == RmqueueMode::Normal && zone_.nonempty[raw(type)] >> order != 0) [[likely]]
    return rmqueue_smallest(order, type, most);
  switch (env_.rules->generation.take.fallback) {
    case FallbackRule::Take: return rmqueue_take(order, type);
    case FallbackRule::Move:
    case FallbackRule::MoveSmallest: return rmqueue_move(order, type, flags);
    case FallbackRule::ClaimSteal: return rmqueue_claim_steal(order, type, flags, mode);
  }
  return std::nullopt;
}

std::optional<TakenBlock> Buddy::rmqueue_move(unsigned order, Migratetype type, AllocFlags flags) {
  const bool cma = env_.rules->has_cma &&
                   (env_.rules->generation.take.cma_after_own == CmaAfterOwn::Movable ? type == Migratetype::Movable
                                                                                      : flags.has(alloc_flag::kCma));
  if (cma_comes_first(cma))
    if (auto taken = rmqueue_smallest(order, Migratetype::Cma))
      return taken;
  do {
    if (auto taken = rmqueue_smallest(order, type))
      return taken;
    if (cma)
      if (auto taken = rmqueue_smallest(order, Migratetype::Cma))
        return taken;
  } while (move_fallback(order, type, flags));
  return std::nullopt;
}

bool Buddy::move_fallback(unsigned order, Migratetype type, AllocFlags flags) {
  const auto& row = kFallbacks[raw(type)];
  const unsigned foreign = static_cast<unsigned>(zone_.nonempty[raw(row[0])]) | zone_.nonempty[raw(row[1])];
  if (foreign >> lowest_fallback_order(order, flags) == 0)
    return false;
  // The largest foreign block is the least likely to mix a pageblock.
  unsigned found = static_cast<unsigned>(std::bit_width(foreign)) - 1;
  const bool disabled = env_.rules->mobility_disabled;
  if (env_.rules->generation.take.fallback == FallbackRule::MoveSmallest && type == Migratetype::Movable &&
      found > order && !can_steal_fallback(found, type, disabled)) {
    // Movable pages can be moved away again: a small block that would not be claimed whole is spared, and the smallest
    // one that serves is taken instead.
    found = order + static_cast<unsigned>(std::countr_zero(foreign >> order));
  }
  const Migratetype fallback = *find_fallback(found, type);
  const FrameIndex index = zone_.lists[found][raw(fallback)].head;
  steal_suitable_fallback(index, found, type, flags, can_steal_fallback(found, type, disabled));
  report_fallback(index, order, found, type, fallback);
  return true;
}

void Buddy::steal_suitable_fallback(FrameIndex index, unsigned order, Migratetype type, AllocFlags flags,
                                    bool whole_block) {
  const MemMap& map = env_.map;
  const auto single = [&] {
    move_to(index, order, type,
            env_.rules->generation.take.single_place == MovePlace::Head ? Place::Head : Place::Tail);
  };
  env_.trace.emit(StealFallback{map.pfn(index), Order{order}, type, whole_block});
  const Migratetype old_type = pageblock_type(index);
  if (old_type == Migratetype::HighAtomic) {
    single();
    return;
  }
  if (order >= kPageblockOrder) {
    set_pageblock_types(index, order, type);
    single();
    return;
  }
  boost_for(flags);
  if (!whole_block) {
    single();
    return;
  }
  const FrameIndex first = index & ~static_cast<FrameIndex>(kPageblockPages - 1);
  // Asked before the blocks move: what is in use does not change by it.
  const std::uint32_t movable = movable_pages_of(in_zone(first) ? first : index);
  const auto free_pages = static_cast<std::uint32_t>(move_freepages_block(index, type).raw());
  if (free_pages == 0) {
    single();
    return;
  }
  if (is_worth_claiming(first, free_pages, movable, type, old_type))
    set_pageblock_type(index, type);
}

// ------------------------------------------------------------- what the rules share

std::optional<Migratetype> Buddy::find_fallback(unsigned order, Migratetype type) const {
  for (const Migratetype other : kFallbacks[raw(type)])
    if ((racy(zone_.nonempty[raw(other)]) >> order & 1U) != 0)
      return other;
  return std::nullopt;
}

unsigned Buddy::lowest_fallback_order(unsigned order, AllocFlags flags) const {
  if (!flags.has(alloc_flag::kNoFragment))
    return order;
  const bool for_all = env_.rules->generation.walk.no_fragment == NoFragment::BelowPageblock;
  return order < kPageblockOrder || for_all ? kPageblockOrder : order;
}

bool Buddy::cma_comes_first(bool cma) const {
  // Movable requests use CMA pages evenly: once CMA holds more than half of what is free, it comes first.
  return cma && env_.rules->generation.take.cma_balance == CmaBalance::MoreThanHalf &&
         racy(zone_.stat[1]) > racy(zone_.stat[0]) / 2;
}

std::uint32_t Buddy::movable_pages_of(FrameIndex first) const {
  const MemMap& map = env_.map;
  const FrameIndex end = (first | static_cast<FrameIndex>(kPageblockPages - 1)) + 1;
  std::uint32_t pages = 0;
  if (env_.contents != nullptr)
    pages = static_cast<std::uint32_t>(env_.contents->movable_pages(map.pfn(first), map.pfn(end)).raw());
  if (env_.rules->generation.take.movable_pages == MovablePages::LruAndOrderOneTails) {
    for (FrameIndex at = first & ~FrameIndex{1}; at < end; at += 2)
      if (map.state(at).is_allocated_as(1) && map.state(at).is_compound())
        ++pages;
  }
  return pages;
}

bool Buddy::is_worth_claiming(FrameIndex first, std::uint32_t free_pages, std::uint32_t movable, Migratetype type,
                              Migratetype old_type) const {
  const auto block = static_cast<std::uint32_t>(kPageblockPages);
  std::uint32_t alike = 0;
  if (type == Migratetype::Movable)
    alike = movable;
  else if (old_type == Migratetype::Movable)
    alike = block - (free_pages + movable);
  const bool claimed = free_pages + alike >= block / 2 || env_.rules->mobility_disabled;
  env_.trace.emit(StealWeighed{env_.map.pfn(first), free_pages, alike, claimed});
  return claimed;
}

void Buddy::boost_for(AllocFlags flags) {
  // The pageblock is about to hold two kinds of pages: kswapd should free more, so that this happens less often.
  if (env_.rules->generation.take.boost == FallbackBoost::On && boost_watermark() && flags.has(alloc_flag::kKswapd))
    set_bits(zone_.flags, zone_flag::kBoostedWatermark);
}

bool Buddy::boost_watermark() {
  const std::int64_t factor = env_.rules->watermark_boost_factor;
  const auto block = static_cast<std::int64_t>(kPageblockPages);
  // A boost larger than a small zone could keep kswapd busy without end.
  if (factor == 0 || block * 4 > zone_.managed)
    return false;
  const auto high = static_cast<std::uint64_t>(zone_.watermark[static_cast<unsigned>(Watermark::High)]);
  const auto max_boost = static_cast<std::int64_t>(mult_frac(high, static_cast<std::uint64_t>(factor), 10000));
  if (max_boost == 0)
    return false;  // marks are not set up yet
  const std::int64_t limit = max_boost < block ? block : max_boost;
  const std::int64_t boosted = zone_.watermark_boost + block;
  publish(zone_.watermark_boost, boosted < limit ? boosted : limit);
  env_.trace.emit(WatermarkBoost{zone_.id, static_cast<std::uint64_t>(zone_.watermark_boost)});
  return true;
}

void Buddy::report_fallback(FrameIndex index, unsigned order, unsigned found, Migratetype type,
                            Migratetype fallback) const {
  env_.trace.emit(MmPageAllocExtfrag{env_.map.pfn(index), Order{order}, Order{found}, type, fallback,
                                     pageblock_type(index) == type});
}

}  // namespace mmbox
