#include "mmbox/lab/generations/matrix.h"

#include <algorithm>
#include <array>

#include "mmbox/lab/generations/generations.h"

namespace mmbox::lab {
namespace {

/// A policy: where its value stands in a Generation, and what each value means.
struct Policy {
  std::string_view section;
  std::string_view name;
  std::string_view field;
  std::string_view (*value)(const Generation&);
  void (*copy)(Generation& to, const Generation& from);
};

/// The word for an enumeration's value, by its number.
template <std::size_t N, class E>
std::string_view word(E value, const std::array<std::string_view, N>& words) {
  const auto at = static_cast<std::size_t>(value);
  return at < N ? words[at] : std::string_view{"?"};
}

/// The word for a number that is a policy.
std::string_view number_word(std::uint32_t value) {
  switch (value) {
    case 0: return "none";
    case 5: return "5";
    case 255: return "no limit";
    case 65536: return "65536";
    case 262144: return "262144";
    default: return "?";
  }
}

// Field, words and accessors of one policy: the name of the field is written once.
#define MMBOX_POLICY(group, member, ...) \
#group "." #member, [](const Generation& g) { return word(g.group.member, std::to_array<std::string_view>(__VA_ARGS__)); }, \
      [](Generation& to, const Generation& from) { to.group.member = from.group.member; }

constexpr Policy kPolicies[] = {
    {"Requests", "an isolated pageblock",
     MMBOX_POLICY(requests, isolation_mark, {"loses its type", "keeps its type beneath a flag"})},
    {"Requests", "numbers of the types",
     MMBOX_POLICY(requests, type_order, {"Unmovable, Reclaimable, Movable", "Unmovable, Movable, Reclaimable"})},
    {"Requests", "without mobility grouping, Unmovable are",
     MMBOX_POLICY(requests, mobility_off_filter, {"all types", "the three with per-cpu lists"})},
    {"Requests", "a task that pins pages",
     MMBOX_POLICY(requests, pin_scope, {"is like any other", "gets no CMA page", "asks for unmovable pages"})},
    {"Requests", "NOIO and NOFS scopes",
     MMBOX_POLICY(requests, scopes, {"only NOIO, in the slow path", "in the slow path", "from the first attempt on"})},
    {"Requests", "cpuset in the first attempt",
     MMBOX_POLICY(
         requests, cpuset,
         {"asked of every zone, HARDWALL", "becomes the nodemask", "becomes the nodemask, but not in an interrupt"})},
    {"Requests", "orders above 10", MMBOX_POLICY(requests, too_large_order, {"fail in the slow path", "fail at once"})},
    {"Boot and limits", "boot memory is freed",
     MMBOX_POLICY(boot, chunk, {"64 pages at a time", "in the largest blocks that fit"})},
    {"Boot and limits", "to which end", MMBOX_POLICY(boot, place, {"as any free", "the tail"})},
    {"Boot and limits", "pageblocks that start Movable",
     MMBOX_POLICY(boot, memmap_movable, {"whose first frame has a record", "whose first frame is memory"})},
    {"Boot and limits", "zones in zonelists",
     MMBOX_POLICY(boot, zonelist_members, {"with present pages", "with managed pages"})},
    {"Boot and limits", "order of zonelists",
     MMBOX_POLICY(boot, zonelist_order, {"by node or by zone, by a heuristic", "by node"})},
    {"Boot and limits", "the first node of a distance",
     MMBOX_POLICY(boot, node_load, {"gets the rank of its place as load", "gets one more load"})},
    {"Boot and limits", "computed min_free_kbytes, at most", "boot.min_free_cap_kbytes",
     [](const Generation& x) { return number_word(x.boot.min_free_cap_kbytes); },
     [](Generation& to, const Generation& from) { to.boot.min_free_cap_kbytes = from.boot.min_free_cap_kbytes; }},
    {"Boot and limits", "a user's min_free_kbytes",
     MMBOX_POLICY(boot, user_min_free, {"is overwritten", "stays if not lower"})},
    {"Boot and limits", "zones that khugepaged counts", MMBOX_POLICY(boot, khugepaged_zones, {"all", "up to Normal"})},
    {"Boot and limits", "gaps between the marks",
     MMBOX_POLICY(
         boot, watermark_gaps,
         {"quarters of the share", "quarters or the scale factor", "quarters or the scale factor, with PROMO"})},
    {"Boot and limits", "the Movable zone",
     MMBOX_POLICY(boot, movable_zone_marks, {"shares min_free_kbytes", "has a small MIN of its own"})},
    {"Boot and limits", "lowmem_reserve_ratio 0", MMBOX_POLICY(boot, lowmem_ratio, {"counts as 1", "is no reserve"})},
    {"Watermark tests", "full test",
     MMBOX_POLICY(watermark, rule,
                  {"order by order, lists unseen", "HARDER, a block must exist", "HARDER or OOM, a block must exist",
                   "reserve rights, a block must exist"})},
    {"Watermark tests", "shortcut for one page",
     MMBOX_POLICY(watermark, fast, {"none", "CMA pages off", "all deductions"})},
    {"Watermark tests", "who may ignore a boost at MIN",
     MMBOX_POLICY(watermark, boost_exception, {"nobody", "__GFP_ATOMIC", "MIN_RESERVE"})},
    {"Zone walk", "full zones are remembered", MMBOX_POLICY(walk, full_zones, {"no", "for a second"})},
    {"Zone walk", "a zone above HIGH is taken at once", MMBOX_POLICY(walk, high_mark_first, {"no", "yes"})},
    {"Zone walk", "nodes with a running kswapd",
     MMBOX_POLICY(walk, kswapd, {"as any other", "passed over in a first round"})},
    {"Zone walk", "lowmem_reserve of",
     MMBOX_POLICY(walk, lowmem_index, {"the first zone of the list", "the highest zone asked for"})},
    {"Zone walk", "first attempts avoid mixing pageblocks",
     MMBOX_POLICY(walk, no_fragment, {"no", "below order 9", "below order 9, for orders below 9"})},
    {"Zone walk", "vm.defrag_mode", MMBOX_POLICY(walk, defrag_mode, {"absent", "there"})},
    {"Zone walk", "node reclaim is on with", MMBOX_POLICY(walk, reclaim_gate, {"any bit", "the three known bits"})},
    {"Zone walk", "many pages in one call",
     MMBOX_POLICY(walk, bulk_api, {"absent", "above LOW for all asked", "above LOW for those still wanted"})},
    {"Taking from other types", "a foreign block",
     MMBOX_POLICY(take, fallback,
                  {"is handed out, the rest joins", "is moved, largest first", "is moved, largest or smallest first",
                   "is claimed whole or stolen in part"})},
    {"Taking from other types", "pages that count as movable",
     MMBOX_POLICY(take, movable_pages,
                  {"on LRU lists or movable by drivers", "those, and tails of order-1 compounds"})},
    {"Taking from other types", "a pageblock's blocks move to the",
     MMBOX_POLICY(take, block_move_place, {"head", "tail"})},
    {"Taking from other types", "a single block moves to the", MMBOX_POLICY(take, single_place, {"head", "tail"})},
    {"Taking from other types", "CMA after the own lists for",
     MMBOX_POLICY(take, cma_after_own,
                  {"movable requests, at each order", "movable requests", "attempts with the flag CMA"})},
    {"Taking from other types", "CMA first when it has more than half", MMBOX_POLICY(take, cma_balance, {"no", "yes"})},
    {"Taking from other types", "mixing raises the marks", MMBOX_POLICY(take, boost, {"no", "yes"})},
    {"Taking from other types", "kswapd for a boosted zone is woken by",
     MMBOX_POLICY(take, boost_consumer, {"any request", "one that may wake kswapd"})},
    {"Reserve for atomic requests", "what is set aside",
     MMBOX_POLICY(reserve, kind, {"one or two pageblocks of type Reserve", "pageblocks after atomic requests"})},
    {"Reserve for atomic requests", "who is atomic",
     MMBOX_POLICY(reserve, atomic_rule,
                  {"no WAIT, no NO_KSWAPD", "__GFP_ATOMIC", "no direct reclaim, with __GFP_HIGH"})},
    {"Reserve for atomic requests", "others may not count on",
     MMBOX_POLICY(reserve, deduction, {"all of its pages", "its free pages"})},
    {"Reserve for atomic requests", "atomic requests fill per-cpu lists", MMBOX_POLICY(reserve, refill, {"yes", "no"})},
    {"Reserve for atomic requests", "it grows with",
     MMBOX_POLICY(reserve, when, {"any success", "blocks from the free lists"})},
    {"Reserve for atomic requests", "its limit",
     MMBOX_POLICY(reserve, limit, {"1 % and a pageblock", "1 % rounded up, none in small zones"})},
    {"Reserve for atomic requests", "for large or ragged pageblocks",
     MMBOX_POLICY(reserve, extent, {"one pageblock", "every pageblock, whole ones only"})},
    {"Per-cpu lists", "which lists",
     MMBOX_POLICY(pcp, lists, {"order 0", "orders 0 to 3, one for order 9", "orders 0 to 3, two for order 9"})},
    {"Per-cpu lists", "size",
     MMBOX_POLICY(pcp, sizing,
                  {"six batches, of 512 KiB", "six batches, of 1 MiB", "a share of LOW",
                   "from a share of LOW to an eighth of the zone"})},
    {"Per-cpu lists", "refill and return",
     MMBOX_POLICY(pcp, control, {"a batch", "doubling returns", "tuned by traffic"})},
    {"Per-cpu lists", "doublings, at most", "pcp.free_factor_max",
     [](const Generation& x) { return number_word(x.pcp.free_factor_max); },
     [](Generation& to, const Generation& from) { to.pcp.free_factor_max = from.pcp.free_factor_max; }},
    {"Per-cpu lists", "high-order frees flush from",
     MMBOX_POLICY(pcp, heavy_free, {"a batch freed in a row", "a batch and half of high_min"})},
    {"Per-cpu lists", "a return goes", MMBOX_POLICY(pcp, returns, {"in one", "batch by batch"})},
    {"Per-cpu lists", "order of a return",
     MMBOX_POLICY(pcp, bulk_order, {"lists in turn", "list by list, the freed page's first"})},
    {"Per-cpu lists", "a page returns as",
     MMBOX_POLICY(
         pcp, type,
         {"the type it was freed with", "the type it was freed with, isolation looked up", "its pageblock's type"})},
    {"Per-cpu lists", "movable requests without CMA",
     MMBOX_POLICY(pcp, without_cma, {"use per-cpu lists", "use the free lists"})},
    {"Per-cpu lists", "__GFP_COLD", MMBOX_POLICY(pcp, cold, {"absent", "takes from the tail"})},
    {"Per-cpu lists", "a drain returns", MMBOX_POLICY(pcp, drain, {"everything at once", "32 batches at a time"})},
    {"Freeing", "buddies of order 9",
     MMBOX_POLICY(free, merge,
                  {"always join", "stay apart if one is isolated", "stay apart if one is set apart",
                   "stay apart if one is set apart, else share a type"})},
    {"Freeing", "a block of order 10", MMBOX_POLICY(free, largest, {"is freed whole", "is freed by pageblocks"})},
    {"Freeing", "adjacent pages freed together", MMBOX_POLICY(free, ranges, {"page by page", "in aligned blocks"})},
    {"Freeing", "tail of an exact allocation",
     MMBOX_POLICY(free, exact_trim, {"to per-cpu lists", "to the tail of the free lists"})},
    {"Freeing", "block whose first page is held",
     MMBOX_POLICY(free, shared_first_page, {"stays in use", "its rest is freed"})},
    {"Freeing", "a list of pages",
     MMBOX_POLICY(free, lists,
                  {"one pass", "two passes, isolated in place", "two passes, isolated first",
                   "two passes, blocks of any order"})},
    {"Freeing", "free counters change", MMBOX_POLICY(free, counters, {"once a request", "with every block"})},
    {"Freeing", "nr_free_pages_blocks", MMBOX_POLICY(free, block_counter, {"absent", "kept"})},
    {"Freeing", "isolating a free block leaves",
     MMBOX_POLICY(free, isolate_free_mark, {"LOW, without CMA", "MIN with boost", "MIN"})},
    {"Freeing", "isolating pageblocks",
     MMBOX_POLICY(free, isolation,
                  {"drains every list", "drains the zone", "drains the zone, refuses twice",
                   "splits blocks at the edges", "takes larger blocks apart"})},
    {"Freeing", "compaction captures",
     MMBOX_POLICY(free, capture, {"nothing", "not from Movable pageblocks", "movable for movable too"})},
    {"Slow path", "order of the attempts",
     MMBOX_POLICY(slow, order, {"compaction, reclaim, restart", "early compaction, then a loop", "one loop"})},
    {"Slow path", "NORETRY ends after early compaction if",
     MMBOX_POLICY(slow, no_retry_exit,
                  {"never", "deferred", "skipped or deferred", "skipped, deferred or THISNODE", "THISNODE"})},
    {"Slow path", "lists tried after compaction",
     MMBOX_POLICY(slow, try_after_compaction, {"unless skipped", "unless skipped or deferred", "always"})},
    {"Slow path", "compaction withdrawn",
     MMBOX_POLICY(slow, withdrawn, {"asks what reclaim could do", "tries harder"})},
    {"Slow path", "an OOM victim", MMBOX_POLICY(slow, oom_victim, {"ignores the marks", "needs half of MIN"})},
    {"Slow path", "with reserve rights, kswapd",
     MMBOX_POLICY(slow, reserve_flags_kswapd, {"is not woken", "is woken"})},
    {"Slow path", "privileged attempts look",
     MMBOX_POLICY(slow, privileged_list, {"from the CPU's node on", "at all nodes"})},
    {"Slow path", "the last reserve is given up",
     MMBOX_POLICY(slow, last_unreserve, {"after 16 vain rounds", "before any failure"})},
    {"Slow path", "a zone without LRU pages",
     MMBOX_POLICY(slow, nothing_reclaimable, {"counts its free pages", "counts its free pages twice"})},
    {"Slow path", "compaction without __GFP_IO",
     MMBOX_POLICY(slow, compact_without_io, {"answers skipped", "is not asked"})},
    {"Slow path", "kswapd is woken for",
     MMBOX_POLICY(slow, kswapd_wake, {"each zone below LOW", "each node that is not balanced"})},
    {"Slow path", "a refused wake of kswapd", MMBOX_POLICY(slow, refused_wake, {"is forgotten", "goes to kcompactd"})},
    {"Slow path", "a node that kswapd gave up on",
     MMBOX_POLICY(slow, hopeless_node, {"waits for kswapd", "is tried again when frees lift a zone"})},
};
#undef MMBOX_POLICY

}  // namespace

std::vector<MatrixRow> generation_matrix() {
  std::vector<MatrixRow> rows;
  for (const Policy& policy : kPolicies) {
    MatrixRow row{policy.section, policy.name, policy.field, {}};
    for (const Generation* generation : generations())
      row.values.push_back(policy.value(*generation));
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<MatrixRow> generation_difference(const Generation& a, const Generation& b) {
  std::vector<MatrixRow> rows;
  for (const Policy& policy : kPolicies)
    if (policy.value(a) != policy.value(b))
      rows.push_back({policy.section, policy.name, policy.field, {policy.value(a), policy.value(b)}});
  return rows;
}

std::vector<GenerationFlip> generation_flips(const Generation& from) {
  std::vector<GenerationFlip> flips;
  for (const Policy& policy : kPolicies) {
    std::vector<std::string_view> seen{policy.value(from)};
    for (const Generation* other : generations()) {
      const std::string_view value = policy.value(*other);
      if (std::ranges::find(seen, value) != seen.end())
        continue;
      seen.push_back(value);
      GenerationFlip flip{policy.field, value, from};
      policy.copy(flip.generation, *other);
      flips.push_back(flip);
    }
  }
  return flips;
}

}  // namespace mmbox::lab
