// How a request of one migratetype takes from another's blocks: which block, and whether the pageblock changes hands.
#include <bit>

#include "mmbox/core/buddy/buddy.h"
#include "mmbox/core/topology/arith.h"

namespace mmbox {
namespace {

/// The first type in `type`'s row of the fallback table that has a block of `order`.
std::optional<Migratetype> find_fallback(const ZoneState& zone, unsigned order, Migratetype type) {
  for (const Migratetype other : kFallbacks[raw(type)])
    if ((zone.nonempty[raw(other)] >> order & 1U) != 0)
      return other;
  return std::nullopt;
}

}  // namespace

std::optional<TakenBlock> Buddy::rmqueue(unsigned order, Migratetype type, AllocFlags flags) {
  const bool cma = env_.rules->has_cma && flags.has(alloc_flag::kCma);
  // Movable requests use CMA pages evenly: once CMA holds more than half of what is free, it comes first.
  if (cma && racy(zone_.stat[1]) > racy(zone_.stat[0]) / 2)
    if (auto taken = rmqueue_smallest(order, Migratetype::Cma))
      return taken;
  do {
    if (auto taken = rmqueue_smallest(order, type))
      return taken;
    if (cma)
      if (auto taken = rmqueue_smallest(order, Migratetype::Cma))
        return taken;
  } while (rmqueue_fallback(order, type, flags));
  return std::nullopt;
}

bool Buddy::rmqueue_fallback(unsigned order, Migratetype type, AllocFlags flags) {
  const auto& row = kFallbacks[raw(type)];
  const unsigned foreign = static_cast<unsigned>(zone_.nonempty[raw(row[0])]) | zone_.nonempty[raw(row[1])];
  const unsigned lowest = order < kPageblockOrder && flags.has(alloc_flag::kNoFragment) ? kPageblockOrder : order;
  if (foreign >> lowest == 0)
    return false;
  // The largest foreign block is the least likely to mix a pageblock.
  unsigned found = static_cast<unsigned>(std::bit_width(foreign)) - 1;
  if (type == Migratetype::Movable && found > order &&
      !can_steal_fallback(found, type, env_.rules->mobility_disabled)) {
    // Movable pages can be moved away again: a small block that would not be claimed whole is spared, and the smallest
    // one that serves is taken instead.
    found = order + static_cast<unsigned>(std::countr_zero(foreign >> order));
  }
  const Migratetype fallback = *find_fallback(zone_, found, type);
  const FrameIndex index = zone_.lists[found][raw(fallback)].head;
  steal_suitable_fallback(index, found, type, flags, can_steal_fallback(found, type, env_.rules->mobility_disabled));
  env_.trace.emit(MmPageAllocExtfrag{env_.map.pfn(index), Order{order}, Order{found}, type, fallback,
                                     pageblock_type(index) == type});
  return true;
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

void Buddy::steal_suitable_fallback(FrameIndex index, unsigned order, Migratetype type, AllocFlags flags,
                                    bool whole_block) {
  const MemMap& map = env_.map;
  env_.trace.emit(StealFallback{map.pfn(index), Order{order}, type, whole_block});
  const Migratetype old_type = pageblock_type(index);
  if (old_type == Migratetype::HighAtomic) {
    move_to_tail(index, order, type);
    return;
  }
  if (order >= kPageblockOrder) {
    for (FrameIndex i = 0; i < FrameIndex{1} << (order - kPageblockOrder); ++i)
      set_pageblock_type(index + i * static_cast<FrameIndex>(kPageblockPages), type);
    move_to_tail(index, order, type);
    return;
  }
  // The pageblock is about to hold two kinds of pages: kswapd should free more, so that this happens less often.
  if (boost_watermark() && flags.has(alloc_flag::kKswapd))
    zone_.flags |= zone_flag::kBoostedWatermark;
  if (!whole_block) {
    move_to_tail(index, order, type);
    return;
  }

  const auto block = static_cast<FrameIndex>(kPageblockPages);
  const FrameIndex first = index & ~(block - 1);
  // Asked before the blocks move: what is in use does not change by it.
  const Pfn begin = map.pfn(in_zone(first) ? first : index);
  const auto movable =
      env_.contents == nullptr
          ? 0U
          : static_cast<std::uint32_t>(env_.contents->movable_pages(begin, map.pfn(first) + PageCount{block}).raw());
  const auto free_pages = static_cast<std::uint32_t>(move_freepages_block(index, type).raw());
  if (free_pages == 0) {
    move_to_tail(index, order, type);
    return;
  }
  std::uint32_t alike = 0;
  if (type == Migratetype::Movable)
    alike = movable;
  else if (old_type == Migratetype::Movable)
    alike = block - (free_pages + movable);
  const bool claimed = free_pages + alike >= block / 2 || env_.rules->mobility_disabled;
  env_.trace.emit(StealWeighed{map.pfn(first), free_pages, alike, claimed});
  if (claimed)
    set_pageblock_type(index, type);
}

}  // namespace mmbox
