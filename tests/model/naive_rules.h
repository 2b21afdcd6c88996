// What the modelled kernels do differently, as named switches: one struct, read like the specification's matrix.
//
// The defaults are linux-6.1; each of the functions below lists the cells in which one more kernel differs from its
// neighbour. Written from the specification alone, without a look at the engine's own table.
#pragma once

#include <string_view>

namespace mmbox::test {

/// How a request takes memory of another type.
enum class NaiveFallback {
  Take,          ///< the largest block itself is split; its pageblock perhaps comes along
  Move,          ///< blocks go to the request's lists, then it looks there again
  MoveSmallest,  ///< the same, but Movable prefers small blocks
  ClaimSteal,    ///< a pageblock is claimed whole, or a single block stolen
};
/// The test of a zone's free pages.
enum class NaiveMarks {
  Loop,       ///< each smaller order is taken off, and the mark halved
  Harder,     ///< a look at the lists; HARDER
  HarderOom,  ///< OOM beside it
  Reserves,   ///< MIN_RESERVE, NON_BLOCK, OOM
};
/// What lets an order-0 request at the MIN mark forget the boost.
enum class NaiveBoostException { None, GfpAtomic, MinReserve };
/// Which masks lead to reserves.
enum class NaiveAtomic { NoWait, GfpAtomic, NonBlock };
enum class NaiveCpuLists { OrderZero, OneHuge, TwoHuge };
/// When pageblocks of two types merge to order 10.
enum class NaiveMerge { Always, UnlessIsolated, Mergeable, MergeableAndRetyped };
enum class NaiveListFree { OnePass, IsolatedFirst };
enum class NaiveSlowPath { Sp310, Common, Sp72 };
/// How a pageblock is set apart and given back.
enum class NaiveIsolation {
  Plain,       ///< i310
  FreedAgain,  ///< i412: a free block goes back by a normal free
  PutBack,     ///< i510 and 6.1: it is put back at the tail, if its buddy is free
  Stepwise,    ///< i612: a larger block is taken apart; i72
};

struct NaiveRules {
  // ---- types and requests
  bool unmovable_for_every_type = false;  ///< mobility off: also Reserve, CMA and Isolate are stored as Unmovable
  bool takes_cold_requests = false;
  NaiveAtomic atomic = NaiveAtomic::NonBlock;

  // ---- zone walk and watermark tests
  bool zonelists_by_heuristic = false;  ///< by node or by zone, as the sizes suggest
  bool zonelists_by_estimate = false;   ///< zones that the estimate at boot leaves no page are missing
  bool full_zone_cache = false;
  bool high_mark_first = false;
  bool prefers_idle_nodes = false;
  bool reserve_of_preferred_zone = false;  ///< lowmem_reserve is looked up by the preferred zone's index
  NaiveMarks marks = NaiveMarks::Reserves;
  NaiveBoostException boost_exception = NaiveBoostException::GfpAtomic;
  bool deducts_free_highatomic = false;  ///< the pages on HighAtomic lists, not the pages reserved
  bool no_fragment = true;
  bool no_fragment_for_every_order = false;  ///< its lower bound of 9 also for orders 9 and 10
  bool bulk_api = true;
  bool bulk_mark_spares_filled = false;

  // ---- taking pages
  NaiveFallback fallback = NaiveFallback::MoveSmallest;
  bool moves_to_tail = true;
  bool order_one_tails_count = false;  ///< as movable pages of their pageblock
  bool cma_balance = true;
  bool cma_for_every_movable = false;  ///< CMA after the own type asks for no flag
  bool boosts = true;
  bool boosted_needs_kswapd = false;
  bool has_highatomic = true;
  bool highatomic_is_harder = false;  ///< order > 0 with HARDER takes and reserves; else flag HIGHATOMIC, last resort
  bool highatomic_refills = true;
  bool reserves_only_from_buddy = false;
  bool reserve_limit_rounded = false;  ///< none below one pageblock; whole pageblocks only, large blocks entirely

  // ---- per-cpu lists
  NaiveCpuLists cpu_lists = NaiveCpuLists::TwoHuge;
  bool tuned = false;
  int tuned_heavy_halves = 0;  ///< of high_min, added to the threshold of a flush
  bool returns_in_portions = false;
  bool revives_hopeless_nodes = false;  ///< when a zone is above HIGH again
  bool movable_without_cma_bypasses = true;
  bool fixed_returns = false;  ///< a batch at `high`, lists in turn
  bool reclaimable_list_second = false;
  bool free_factor_is_limited = true;
  bool cached_type_is_requested = false;
  bool cached_type_at_bulk = true;            ///< unless …
  bool pageblock_type_while_isolated = true;  ///< … the zone has isolated pageblocks

  // ---- free path
  NaiveMerge merge = NaiveMerge::Mergeable;
  bool typed = false;  ///< lists follow pageblocks, counters follow lists, order 10 is freed in halves
  bool counts_large_blocks = false;
  bool exact_trims_directly = true;
  bool frees_all_but_first = true;
  bool takes_pages_off = true;  ///< single frames from free blocks; isolated free blocks are put back as such
  NaiveListFree list_free = NaiveListFree::IsolatedFirst;
  bool bulk_skips_isolated_count = false;  ///< t310
  bool direct_count_by_pageblock = false;  ///< t310
  int isolate_free_mark = 0;
  bool isolate_free_mark_has_boost = false;
  bool isolate_free_uses_cma = true;
  bool isolate_free_retypes_reserve = false;
  NaiveIsolation isolation = NaiveIsolation::PutBack;
  bool isolates_again = false;    ///< an isolated pageblock
  bool counts_isolated = true;    ///< per zone
  bool isolation_covers = false;  ///< the old type comes back
  bool reclaim_active_flag = true;

  // ---- slow path, kswapd
  NaiveSlowPath slow_path = NaiveSlowPath::Common;
  bool early_compaction_exit = true;  ///< costly with NORETRY, after compaction was skipped
  bool costly_retry_needs_io = true;
  bool victims_ignore_marks = false;
  bool rights_keep_cma = true;
  bool rights_keep_kswapd = true;
  bool rights_use_own_list = false;
  bool unreserves_only_after_many_rounds = false;
  bool free_stands_for_reclaimable = true;
  bool kswapd_by_zone = false;
  bool kswapd_flag = true;  ///< else the mask itself is asked
};

[[nodiscard]] inline NaiveRules naive_linux_6_1() {
  return {};
}

[[nodiscard]] inline NaiveRules naive_linux_6_1_0() {
  NaiveRules r = naive_linux_6_1();
  r.atomic = NaiveAtomic::GfpAtomic;
  r.marks = NaiveMarks::HarderOom;
  r.highatomic_is_harder = true;
  r.cpu_lists = NaiveCpuLists::OneHuge;
  r.free_factor_is_limited = false;
  r.unreserves_only_after_many_rounds = true;
  r.costly_retry_needs_io = false;
  return r;
}

[[nodiscard]] inline NaiveRules naive_linux_5_10() {
  NaiveRules r = naive_linux_6_1_0();
  r.no_fragment_for_every_order = true;
  r.bulk_api = false;
  r.order_one_tails_count = true;
  r.cpu_lists = NaiveCpuLists::OrderZero;
  r.fixed_returns = true;
  r.merge = NaiveMerge::UnlessIsolated;
  r.exact_trims_directly = false;
  r.list_free = NaiveListFree::OnePass;  // two passes, but isolated pages go in the second, at their place
  r.reclaim_active_flag = false;
  r.costly_retry_needs_io = true;
  r.rights_keep_kswapd = false;
  r.free_stands_for_reclaimable = false;
  return r;
}

[[nodiscard]] inline NaiveRules naive_linux_4_12() {
  NaiveRules r = naive_linux_5_10();
  r.takes_cold_requests = true;
  r.zonelists_by_estimate = true;
  r.reserve_of_preferred_zone = true;
  r.marks = NaiveMarks::Harder;
  r.boost_exception = NaiveBoostException::None;
  r.no_fragment = false;
  r.fallback = NaiveFallback::Move;
  r.moves_to_tail = false;
  r.order_one_tails_count = false;
  r.cma_balance = false;
  r.cma_for_every_movable = true;
  r.boosts = false;
  r.movable_without_cma_bypasses = false;
  r.frees_all_but_first = false;
  r.takes_pages_off = false;
  r.isolate_free_mark_has_boost = true;
  r.isolation = NaiveIsolation::FreedAgain;
  r.isolates_again = true;
  r.early_compaction_exit = false;
  r.costly_retry_needs_io = false;
  r.victims_ignore_marks = true;
  r.rights_keep_cma = false;
  r.rights_use_own_list = true;
  r.kswapd_flag = false;
  return r;
}

[[nodiscard]] inline NaiveRules naive_linux_3_10() {
  NaiveRules r = naive_linux_4_12();
  r.unmovable_for_every_type = true;
  r.atomic = NaiveAtomic::NoWait;
  r.zonelists_by_heuristic = true;
  r.zonelists_by_estimate = false;
  r.full_zone_cache = true;
  r.marks = NaiveMarks::Loop;
  r.fallback = NaiveFallback::Take;
  r.has_highatomic = false;
  r.reclaimable_list_second = true;
  r.cached_type_is_requested = true;
  r.pageblock_type_while_isolated = false;
  r.merge = NaiveMerge::Always;
  r.bulk_skips_isolated_count = true;
  r.direct_count_by_pageblock = true;
  r.isolate_free_mark = 1;
  r.isolate_free_uses_cma = false;
  r.isolate_free_retypes_reserve = true;
  r.isolation = NaiveIsolation::Plain;
  r.counts_isolated = false;
  r.slow_path = NaiveSlowPath::Sp310;
  r.kswapd_by_zone = true;
  return r;
}

[[nodiscard]] inline NaiveRules naive_linux_6_12() {
  NaiveRules r = naive_linux_6_1();
  r.high_mark_first = true;
  r.boost_exception = NaiveBoostException::MinReserve;
  r.deducts_free_highatomic = true;
  r.fallback = NaiveFallback::ClaimSteal;
  r.boosted_needs_kswapd = true;
  r.reserve_limit_rounded = true;
  r.tuned = true;
  r.movable_without_cma_bypasses = false;
  r.cached_type_at_bulk = false;
  r.merge = NaiveMerge::MergeableAndRetyped;
  r.typed = true;
  r.list_free = NaiveListFree::OnePass;
  r.isolation = NaiveIsolation::Stepwise;
  return r;
}

[[nodiscard]] inline NaiveRules naive_linux_7_2() {
  NaiveRules r = naive_linux_6_12();
  r.prefers_idle_nodes = true;
  r.bulk_mark_spares_filled = true;
  r.highatomic_refills = false;
  r.reserves_only_from_buddy = true;
  r.tuned_heavy_halves = 1;
  r.returns_in_portions = true;
  r.revives_hopeless_nodes = true;
  r.counts_large_blocks = true;
  r.isolation_covers = true;
  r.slow_path = NaiveSlowPath::Sp72;
  r.free_stands_for_reclaimable = false;
  return r;
}

/// The rules of a generation; those of linux-6.1 for a name that is none.
[[nodiscard]] inline NaiveRules naive_rules(std::string_view name) {
  if (name == "linux-3.10")
    return naive_linux_3_10();
  if (name == "linux-4.12")
    return naive_linux_4_12();
  if (name == "linux-5.10")
    return naive_linux_5_10();
  if (name == "linux-6.1.0")
    return naive_linux_6_1_0();
  if (name == "linux-6.12")
    return naive_linux_6_12();
  if (name == "linux-7.2")
    return naive_linux_7_2();
  return naive_linux_6_1();
}

}  // namespace mmbox::test
