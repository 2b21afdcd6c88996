// The naive model's watermark tests: may a request of this order go below or not?
#pragma once

#include "tests/model/naive_rules.h"
#include "tests/model/naive_state.h"

namespace mmbox::test {

/// 3.10: the pages of smaller blocks are of no use to a larger request.
[[nodiscard]] inline bool loop_ok(const NaiveZone& zone, int order, std::int64_t min, std::int64_t reserve,
                                  std::uint32_t flags, std::int64_t free) {
  free -= pages_of(order) - 1;
  if ((flags & naive_flag::kMinReserve) != 0)
    min -= min / 2;
  if ((flags & naive_flag::kNonBlock) != 0)
    min -= min / 4;
  const std::int64_t cma = (flags & naive_flag::kCma) != 0 ? 0 : zone.free_cma();
  if (free - cma <= min + reserve)
    return false;
  for (int o = 0; o < order; ++o) {
    free -= zone.blocks_of(o) << o;
    min >>= 1;
    if (free <= min)
      return false;
  }
  return true;
}

/// Pages that count as free and cannot be had.
[[nodiscard]] inline std::int64_t unusable_pages(const NaiveRules& rules, const NaiveZone& zone, int order,
                                                 std::uint32_t flags) {
  std::uint32_t rights = naive_flag::kReserves;
  if (rules.marks == NaiveMarks::Harder)
    rights = naive_flag::kNonBlock;
  else if (rules.marks == NaiveMarks::HarderOom)
    rights = naive_flag::kNonBlock | naive_flag::kOom;
  std::int64_t pages = pages_of(order) - 1;
  if ((flags & rights) == 0)
    pages += rules.deducts_free_highatomic ? zone.pages_on_highatomic_lists() : zone.reserved_highatomic;
  if ((flags & naive_flag::kCma) == 0)
    pages += zone.free_cma();
  return pages;
}

[[nodiscard]] inline std::int64_t lowered_mark(const NaiveRules& rules, std::int64_t min, std::uint32_t flags) {
  const bool high = (flags & naive_flag::kMinReserve) != 0;
  const bool harder = (flags & naive_flag::kNonBlock) != 0;
  const bool oom = (flags & naive_flag::kOom) != 0;
  if (high)
    min -= min / 2;
  switch (rules.marks) {
    case NaiveMarks::Loop:
    case NaiveMarks::Harder: return harder ? min - min / 4 : min;
    case NaiveMarks::HarderOom:
      if (oom)
        return min - min / 2;
      return harder ? min - min / 4 : min;
    case NaiveMarks::Reserves:
      if (high && harder)
        min -= min / 4;
      return oom ? min - min / 2 : min;
  }
  return min;
}

/// Is there a block that the request may have?
[[nodiscard]] inline bool has_suitable_block(const NaiveRules& rules, const NaiveZone& zone, int order,
                                             std::uint32_t flags) {
  for (int o = order; o < kNaiveOrders; ++o) {
    if (rules.marks == NaiveMarks::Harder && (flags & naive_flag::kNonBlock) != 0 && zone.blocks_of(o) != 0)
      return true;
    for (int type = 0; type < 3; ++type)
      if (zone.has_block(o, type))
        return true;
    if ((flags & naive_flag::kCma) != 0 && zone.has_block(o, kCmaType))
      return true;
    std::uint32_t opens = 0;
    if (rules.marks == NaiveMarks::HarderOom)
      opens = naive_flag::kNonBlock | naive_flag::kOom;
    else if (rules.marks == NaiveMarks::Reserves)
      opens = naive_flag::kHighAtomic | naive_flag::kOom;
    if ((flags & opens) != 0 && zone.has_block(o, kHighAtomicType))
      return true;
  }
  return false;
}

/// `index`: whose lowmem_reserve is asked for.
[[nodiscard]] inline bool full_ok(const NaiveRules& rules, const NaiveZone& zone, int order, std::int64_t mark,
                                  std::size_t index, std::uint32_t flags, std::int64_t free) {
  if (rules.marks == NaiveMarks::Loop)
    return loop_ok(zone, order, mark, zone.lowmem_reserve[index], flags, free);
  free -= unusable_pages(rules, zone, order, flags);
  if (free <= lowered_mark(rules, mark, flags) + zone.lowmem_reserve[index])
    return false;
  return order == 0 || has_suitable_block(rules, zone, order, flags);
}

[[nodiscard]] inline bool fast_ok(const NaiveRules& rules, const NaiveZone& zone, int order, std::int64_t mark,
                                  std::size_t index, std::uint32_t flags, std::uint32_t gfp) {
  const std::int64_t free = zone.free_pages();
  if (order == 0 && rules.marks == NaiveMarks::Harder) {
    // The comparison is unsigned: more CMA pages than free ones pass.
    const std::int64_t cma = (flags & naive_flag::kCma) != 0 ? 0 : zone.free_cma();
    if (static_cast<std::uint64_t>(free - cma) > static_cast<std::uint64_t>(mark + zone.lowmem_reserve[index]))
      return true;
  } else if (order == 0 && rules.marks != NaiveMarks::Loop) {
    const std::int64_t usable = free - std::min(free, unusable_pages(rules, zone, 0, flags));
    if (usable > mark + zone.lowmem_reserve[index])
      return true;
  }
  if (full_ok(rules, zone, order, mark, index, flags, free))
    return true;
  if (order != 0 || zone.boost == 0 || (flags & 3) != 0)
    return false;
  const bool may = (rules.boost_exception == NaiveBoostException::GfpAtomic && (gfp & naive_gfp::kAtomic) != 0) ||
                   (rules.boost_exception == NaiveBoostException::MinReserve && (flags & naive_flag::kMinReserve) != 0);
  return may && full_ok(rules, zone, 0, zone.mark[0], index, flags, free);
}

}  // namespace mmbox::test
