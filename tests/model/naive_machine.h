// The allocator a second time, as plainly as it can be said: maps, vectors and whole-list searches.
//
// Written from the specification alone, without a look at the engine's rules; it shares the engine's vocabulary
// (Gfp bits, Migratetype, event numbers) and nothing else. Slow, and meant to be: where the two differ, this one is
// easier to believe. What a generation does otherwise is a switch of NaiveRules.
//
// Not modelled, in any generation: hosts (nothing can be reclaimed, compacted or killed, and a request that could only
// wait for that fails), boot and the sizes that it computes, scopes, cpusets, dirty limits, local reclaim,
// __GFP_NOFAIL, contiguous ranges and their drains, captures, events. Of 3.10 and 4.12: the look at the lists that a
// request of an order above 10 takes before it fails. Of 3.10: how Reserve pageblocks are chosen. Of 7.2: requests from
// NMI context.
#pragma once

#include "tests/model/naive_pagesets.h"

namespace mmbox::test {

class NaiveMachine : public NaivePagesets {
 public:
  // ------------------------------------------------------------- what a test sets
  bool dma32_compiled_in = true;
  bool defrag_mode = false;
  std::size_t zone_types = 5;
  std::vector<ZoneType> types;
  std::vector<std::vector<std::size_t>> fallback_list;  // by node: zone numbers

  using NaivePagesets::kNone;

  // ------------------------------------------------------------- requests
  /// The frame, or kNone. `no_zone` tells the two reasons for kNone apart.
  std::uint64_t alloc(const NaiveRequest& request, bool* no_zone = nullptr) {
    if (request.order > 10)
      return kNone;
    Context c = prepare(request);
    if (c.preferred == zones.size()) {
      if (no_zone != nullptr)
        *no_zone = true;
      return kNone;
    }
    std::uint32_t flags = naive_flag::kLow | cma_flag(c) | (c.gfp & naive_flag::kKswapd);
    const NaiveZone& first = zones[c.preferred];
    if (defrag_mode || (rules.no_fragment && dma32_compiled_in && first.type == ZoneType::Normal &&
                        (nodes.size() == 1 || dma32_of(first.node))))
      flags |= naive_flag::kNoFragment;
    const std::uint64_t page = attempt(c, flags);
    if (page != kNone)
      return page;
    switch (rules.slow_path) {
      case NaiveSlowPath::Sp310: return slow_path_310(c);
      case NaiveSlowPath::Sp72: return slow_path_72(c);
      default: return slow_path(c);
    }
  }

  /// Fills empty slots (kNone); returns how many stand filled at the front.
  std::size_t alloc_bulk(const NaiveRequest& request, std::vector<std::uint64_t>& out) {
    std::size_t filled = 0;
    while (filled < out.size() && out[filled] != kNone)
      ++filled;
    const std::size_t wanted = out.size() - filled;
    if (wanted == 0)
      return filled;
    if ((request.gfp & naive_gfp::kAccount) != 0 || wanted == 1)
      return single_at(request, out, filled);
    Context c = prepare(request);
    const std::uint32_t flags = naive_flag::kLow | cma_flag(c);
    const auto pages = static_cast<std::int64_t>(rules.bulk_mark_spares_filled ? wanted : out.size());
    const std::size_t none = c.list.size();
    std::size_t chosen = none;
    for (std::size_t i = c.z0; i < c.list.size(); i = next(c, i + 1)) {
      NaiveZone& zone = zones[c.list[i]];
      if (nodes.size() > 1 && i != c.z0 && zone.node != zones[c.preferred].node)
        break;
      const std::int64_t mark = zone.boosted_mark(1) + pages;
      if (fast_ok(rules, zone, 0, mark, zones[c.preferred].index, flags, c.gfp)) {
        chosen = i;
        break;
      }
    }
    if (chosen == none)
      return single_at(request, out, filled);
    const std::size_t z = c.list[chosen];
    std::size_t got = 0;
    while (filled < out.size()) {
      if (out[filled] != kNone) {
        ++filled;
        continue;
      }
      const std::uint64_t page = pcp_take(z, c.cpu, 0, c.type, flags, false);
      if (page == kNone) {
        if (got == 0)
          return single_at(request, out, filled);
        break;
      }
      out[filled++] = page;
      ++got;
    }
    statistics(c, z, static_cast<std::uint64_t>(got), static_cast<std::uint64_t>(got));
    return filled;
  }

  void free(std::uint64_t pfn, int order, std::size_t cpu) { release(pfn, order, cpu); }
  /// Somebody else still holds the first page.
  void free_but_first(std::uint64_t pfn, int order, std::size_t cpu) {
    for (int k = order - 1; k >= 0 && rules.frees_all_but_first; --k)
      release(pfn + (1ULL << k), k, cpu);
  }
  void free_list(const std::vector<std::uint64_t>& pages, std::size_t cpu) {
    std::vector<std::uint64_t> rest;
    for (const std::uint64_t pfn : pages) {
      if (rules.list_free == NaiveListFree::IsolatedFirst && type_of(pfn) == kIsolateType)
        free_one(zone_of(pfn), cpu, pfn, 0, kIsolateType, false);
      else
        rest.push_back(pfn);
    }
    for (const std::uint64_t pfn : rest)
      pcp_put(zone_of(pfn), cpu, pfn, 0);
  }
  /// Allocates exactly `pages` pages; the tail goes straight back.
  std::uint64_t alloc_exact(NaiveRequest request, std::uint64_t pages) {
    int order = 0;
    while (order <= 10 && (1ULL << order) < pages)
      ++order;
    request.order = order;
    const std::uint64_t page = alloc(request);
    if (page == kNone)
      return page;
    for (std::uint64_t pfn = page + pages; pfn < page + (1ULL << order); ++pfn) {
      if (!rules.exact_trims_directly) {
        pcp_put(zone_of(pfn), request.cpu, pfn, 0);
        continue;
      }
      free_one(zone_of(pfn), request.cpu, pfn, 0, type_of(pfn), true);
      pagesets[zone_of(pfn)][request.cpu].events.pgfree += 1;
    }
    return page;
  }

 private:
  struct Context {
    std::uint32_t gfp;
    int order;
    int type;
    std::size_t cpu;
    std::size_t highest;
    std::size_t node;               ///< whose fallback list it is
    std::vector<std::size_t> list;  ///< zone numbers
    std::optional<std::uint64_t> nodemask;
    std::size_t z0;         ///< position of the first eligible zone
    std::size_t preferred;  ///< that zone's number; how many zones there are if none
    NaiveTask task;

    [[nodiscard]] bool has(std::uint32_t flag) const { return (gfp & flag) != 0; }
  };

  // ---- context
  [[nodiscard]] std::size_t index_of(ZoneType type) const {
    for (std::size_t i = 0; i < types.size(); ++i)
      if (types[i] == type)
        return i;
    for (std::size_t i = 0; i < types.size(); ++i)
      if (types[i] == ZoneType::Normal)
        return i;
    return 0;
  }
  [[nodiscard]] std::size_t highest_of(std::uint32_t gfp) const {
    if ((gfp & 1) != 0)
      return index_of(ZoneType::Dma);
    if ((gfp & 4) != 0)
      return index_of(ZoneType::Dma32);
    return index_of((gfp & 0xa) == 0xa ? ZoneType::Movable : ZoneType::Normal);
  }
  [[nodiscard]] std::size_t next(const Context& c, std::size_t i) const {
    while (i < c.list.size() &&
           (zones[c.list[i]].index > c.highest || (c.nodemask && (*c.nodemask >> zones[c.list[i]].node & 1) == 0)))
      ++i;
    return i;
  }
  void use_list_of(Context& c, std::size_t node) const {
    c.node = node;
    c.list.clear();
    for (const std::size_t z : fallback_list[node])
      if (!c.has(naive_gfp::kThisNode) || zones[z].node == node)
        c.list.push_back(z);
    c.z0 = next(c, 0);
  }
  void find_preferred(Context& c) const {
    c.z0 = next(c, 0);
    c.preferred = c.z0 < c.list.size() ? c.list[c.z0] : zones.size();
  }
  [[nodiscard]] Context prepare(const NaiveRequest& r) const {
    Context c{};
    c.gfp = r.gfp;
    c.order = r.order;
    c.cpu = r.cpu;
    c.task = r.task;
    c.nodemask = r.nodemask;
    c.type = mobility_disabled ? kUnmovable : static_cast<int>((r.gfp & 0x18) >> 3);
    c.highest = highest_of(r.gfp);
    use_list_of(c, r.node < 0 ? cpu_node[r.cpu] : static_cast<std::size_t>(r.node));
    find_preferred(c);
    return c;
  }
  [[nodiscard]] std::uint32_t cma_flag(const Context& c) const {
    return has_cma && c.type == kMovable ? naive_flag::kCma : 0;
  }
  [[nodiscard]] bool dma32_of(std::size_t node) const {
    for (const NaiveZone& zone : zones)
      if (zone.populated && zone.node == node && zone.type == ZoneType::Dma32)
        return true;
    return false;
  }
  /// Whose lowmem_reserve a request is held to.
  [[nodiscard]] std::size_t reserve_index(const Context& c) const {
    return rules.reserve_of_preferred_zone ? zones[c.preferred].index : c.highest;
  }

  // ---- the zone walk
  std::uint64_t attempt(const Context& c, std::uint32_t flags) {
    return rules.full_zone_cache ? attempt_310(c, flags) : attempt_412(c, flags);
  }
  std::uint64_t attempt_412(const Context& c, std::uint32_t flags) {
    bool prefer_idle = rules.prefers_idle_nodes && nodes.size() > 1;
    while (true) {
      const bool no_fallback = (flags & naive_flag::kNoFragment) != 0;
      bool skipped = false;
      bool too_far = false;
      for (std::size_t i = c.z0; i < c.list.size() && !too_far; i = next(c, i + 1)) {
        const std::size_t z = c.list[i];
        too_far = no_fallback && !defrag_mode && nodes.size() > 1 && z != c.preferred &&
                  zones[z].node != zones[c.preferred].node;
        if (too_far)
          break;
        if (prefer_idle && nodes[zones[z].node].running) {
          skipped = true;
          continue;
        }
        if (!may_take(c, zones[z], flags))
          continue;
        const std::uint64_t page = rmqueue(c, z, flags);
        if (page == kNone)
          continue;
        if (!rules.reserves_only_from_buddy && takes_highatomic(c.order, flags))
          reserve_highatomic(z, c.cpu, page, c.order);
        return page;
      }
      if (!too_far && skipped)
        prefer_idle = false;
      else if (no_fallback && !defrag_mode)
        flags &= ~naive_flag::kNoFragment;
      else
        return kNone;
    }
  }
  bool may_take(const Context& c, NaiveZone& zone, std::uint32_t flags) {
    if (rules.high_mark_first && !zone.below_high) {
      if (fast_ok(rules, zone, c.order, zone.boosted_mark(2), reserve_index(c), flags, c.gfp))
        return true;
      zone.below_high = true;
    }
    return fast_ok(rules, zone, c.order, zone.boosted_mark(flags & 3), reserve_index(c), flags, c.gfp) ||
           (flags & naive_flag::kNoWatermarks) != 0;
  }
  /// 3.10: remembers zones that had nothing, and passes them over once the cache is active.
  std::uint64_t attempt_310(const Context& c, std::uint32_t flags) {
    std::set<std::size_t> nowhere;  // a list of one node keeps no marks
    std::set<std::size_t>& full = c.has(naive_gfp::kThisNode) ? nowhere : nodes[c.node].full_zones;
    bool active = false;
    bool ready = false;
    for (int scan = 0; scan < 2; ++scan) {
      for (std::size_t i = c.z0; i < c.list.size(); i = next(c, i + 1)) {
        const std::size_t z = c.list[i];
        if (active && full.contains(z) && !c.has(naive_gfp::kThisNode))
          continue;
        if ((flags & naive_flag::kNoWatermarks) == 0 && !full_ok(rules, zones[z], c.order, zones[z].mark[flags & 3],
                                                                 reserve_index(c), flags, zones[z].free_pages())) {
          if (!ready && nodes.size() > 1)
            active = ready = true;
          full.insert(z);
          continue;
        }
        const std::uint64_t page = rmqueue(c, z, flags);
        if (page != kNone)
          return page;
        full.insert(z);
      }
      if (!active)
        break;
      active = false;
    }
    return kNone;
  }

  // ---- taking from a zone
  [[nodiscard]] bool takes_highatomic(int order, std::uint32_t flags) const {
    if (!rules.has_highatomic)
      return false;
    return rules.highatomic_is_harder ? order > 0 && (flags & naive_flag::kNonBlock) != 0
                                      : (flags & naive_flag::kHighAtomic) != 0;
  }
  std::uint64_t rmqueue(const Context& c, std::size_t z, std::uint32_t flags) {
    std::uint64_t page = kNone;
    const bool may_have_movable = !has_cma || (flags & naive_flag::kCma) != 0 || c.type != kMovable;
    if (pcp_order(c.order) && (may_have_movable || !rules.movable_without_cma_bypasses)) {
      note_request(pagesets[z][c.cpu]);
      const bool cold = rules.takes_cold_requests && c.has(naive_gfp::kCold);
      page = pcp_take(z, c.cpu, c.order, c.type, flags, cold);
    }
    if (page == kNone)
      page = from_buddy(c, z, flags);
    if (page != kNone)
      statistics(c, z, 1ULL << c.order, 1);
    if (zones[z].boosted_flag && (!rules.boosted_needs_kswapd || (flags & naive_flag::kKswapd) != 0)) {
      zones[z].boosted_flag = false;
      wake_kswapd(z, 0, static_cast<int>(zones[z].index));
    }
    return page;
  }
  std::uint64_t from_buddy(const Context& c, std::size_t z, std::uint32_t flags) {
    std::optional<Taken> taken;
    Mode mode = Mode::Normal;
    if (takes_highatomic(c.order, flags))
      taken = smallest(z, c.cpu, c.order, kHighAtomicType);
    if (!taken)
      taken = core(z, c.cpu, c.order, c.type, flags, mode);
    if (!taken && !rules.highatomic_is_harder && (flags & (naive_flag::kOom | naive_flag::kNonBlock)) != 0)
      taken = smallest(z, c.cpu, c.order, kHighAtomicType);
    if (!taken)
      return kNone;
    if (!rules.typed)
      count_free(z, c.cpu, -pages_of(c.order), rules.direct_count_by_pageblock ? type_of(taken->pfn) : taken->type);
    if (rules.reserves_only_from_buddy && takes_highatomic(c.order, flags))
      reserve_highatomic(z, c.cpu, taken->pfn, c.order);
    return taken->pfn;
  }
  void statistics(const Context& c, std::size_t z, std::uint64_t pages, std::uint64_t blocks) {
    auto& e = pagesets[z][c.cpu].events;
    e.pgalloc += pages;
    if (zones[z].node == zones[c.preferred].node) {
      e.hit += blocks;
    } else {
      e.miss += blocks;
      pagesets[c.preferred][c.cpu].events.foreign += blocks;
    }
    (zones[z].node == cpu_node[c.cpu] ? e.local : e.other) += blocks;
  }

  // ---- what the slow path may do
  [[nodiscard]] std::uint32_t slow_flags(const Context& c) const {
    std::uint32_t flags = naive_flag::kCpuset | (c.gfp & (naive_flag::kMinReserve | naive_flag::kKswapd));
    const bool reclaims = c.has(naive_gfp::kDirectReclaim);
    const bool may_use_reserves = !c.has(naive_gfp::kNoMemalloc);
    const bool rt = c.task.realtime && !c.task.interrupt;
    if (rules.atomic != NaiveAtomic::NonBlock) {
      const bool atomic = rules.atomic == NaiveAtomic::GfpAtomic ? c.has(naive_gfp::kAtomic)
                                                                 : !reclaims && c.has(naive_gfp::kKswapdReclaim);
      if (atomic && may_use_reserves)
        flags |= naive_flag::kNonBlock;
      if (atomic)
        flags &= ~naive_flag::kCpuset;
      else if (rt)
        flags |= naive_flag::kNonBlock;
    } else if (!reclaims) {
      if (may_use_reserves) {
        flags |= naive_flag::kNonBlock;
        if (c.order > 0 && (flags & naive_flag::kMinReserve) != 0)
          flags |= naive_flag::kHighAtomic;
      }
      if ((flags & naive_flag::kMinReserve) != 0)
        flags &= ~naive_flag::kCpuset;
    } else if (rt) {
      flags |= naive_flag::kMinReserve;
    }
    return flags | cma_flag(c) | (defrag_mode ? naive_flag::kNoFragment : 0);
  }
  [[nodiscard]] std::uint32_t reserve_flags(const Context& c) const {
    if (c.has(naive_gfp::kNoMemalloc))
      return 0;
    if (c.has(naive_gfp::kMemalloc) || (c.task.softirq && c.task.memalloc))
      return naive_flag::kNoWatermarks;
    if (c.task.interrupt)
      return 0;
    if (c.task.memalloc)
      return naive_flag::kNoWatermarks;
    if (c.task.victim)
      return rules.victims_ignore_marks ? naive_flag::kNoWatermarks : naive_flag::kOom;
    return 0;
  }
  [[nodiscard]] std::uint32_t with_rights(const Context& c, std::uint32_t flags, std::uint32_t rights) const {
    if (rights == 0)
      return flags;
    return rights | (rules.rights_keep_cma ? cma_flag(c) : 0) |
           (rules.rights_keep_kswapd ? flags & naive_flag::kKswapd : 0);
  }
  [[nodiscard]] bool wants_kswapd(const Context& c, std::uint32_t flags) const {
    return rules.kswapd_flag ? (flags & naive_flag::kKswapd) != 0 : c.has(naive_gfp::kKswapdReclaim);
  }
  /// The last attempt before the OOM killer, who is not there.
  std::uint64_t before_oom(Context c) {
    c.gfp = (c.gfp & ~naive_gfp::kDirectReclaim) | naive_gfp::kHardwall;
    return attempt(c, naive_flag::kHigh | naive_flag::kCpuset);
  }

  // ---- the slow path, without hosts
  std::uint64_t slow_path(Context c) {
    if (c.has(naive_gfp::kAtomic) && c.has(naive_gfp::kDirectReclaim))
      c.gfp &= ~naive_gfp::kAtomic;
    const bool reclaims = c.has(naive_gfp::kDirectReclaim);
    const bool compacts = c.has(naive_gfp::kIo);
    const bool costly = c.order > 3;
    std::uint32_t flags = slow_flags(c);
    if (wants_kswapd(c, flags))
      wake_all(c);
    std::uint64_t page = attempt(c, flags);
    if (page != kNone)
      return page;
    // Early compaction is skipped without a host.
    if (rules.early_compaction_exit && reclaims && compacts && reserve_flags(c) == 0 && costly &&
        c.has(naive_gfp::kNoRetry))
      return kNone;
    int no_progress = 0;
    while (true) {
      if (wants_kswapd(c, flags))
        wake_all(c);
      const std::uint32_t rights = reserve_flags(c);
      flags = with_rights(c, flags, rights);
      if ((flags & naive_flag::kCpuset) == 0 || rights != 0) {
        if (rules.rights_use_own_list)
          use_list_of(c, cpu_node[c.cpu]);
        else
          c.nodemask.reset();
        find_preferred(c);
        if (c.preferred == zones.size())
          return kNone;
      }
      page = attempt(c, flags);
      if (page != kNone || !reclaims || c.task.memalloc)
        return page;
      if (c.has(naive_gfp::kNoRetry))
        return kNone;
      if (costly && ((rules.costly_retry_needs_io && !compacts) || !c.has(naive_gfp::kRetryMayfail)))
        return kNone;
      if (!retry_reclaim(c, flags, no_progress))
        return before_oom(c);
    }
  }
  std::uint64_t slow_path_72(Context c) {
    const bool reclaims = c.has(naive_gfp::kDirectReclaim);
    const bool compacts = reclaims && c.has(naive_gfp::kIo);
    const bool costly = c.order > 3;
    bool reserves_once = true;
    bool first = compacts && (costly || (c.order > 0 && c.type != kMovable));
    std::uint32_t flags = slow_flags(c);
    int no_progress = 0;
    while (true) {
      if (wants_kswapd(c, flags))
        wake_all(c);
      const std::uint64_t page = attempt(c, flags);
      if (page != kNone)
        return page;
      const std::uint32_t rights = reserve_flags(c);
      flags = with_rights(c, flags, rights);
      if ((flags & naive_flag::kCpuset) == 0 || rights != 0) {
        c.nodemask.reset();
        find_preferred(c);
        if (reserves_once) {
          reserves_once = false;
          continue;
        }
      }
      const bool avoids_fragments = defrag_mode && (flags & naive_flag::kNoFragment) != 0;
      if (!reclaims) {
        if (!avoids_fragments || !c.has(naive_gfp::kKswapdReclaim))
          return kNone;
        flags &= ~naive_flag::kNoFragment;
        continue;
      }
      if (c.task.memalloc)
        return kNone;
      if (first) {
        if (c.has(naive_gfp::kNoRetry) && c.has(naive_gfp::kThisNode))
          return kNone;
        first = false;
        continue;
      }
      if (c.has(naive_gfp::kNoRetry) || (costly && (!compacts || !c.has(naive_gfp::kRetryMayfail))))
        return kNone;
      if (retry_reclaim(c, flags, no_progress))
        continue;
      if (!avoids_fragments)
        return before_oom(c);
      flags &= ~naive_flag::kNoFragment;
    }
  }
  std::uint64_t slow_path_310(Context c) {
    // A machine of one node stands for a kernel that knows of no more.
    constexpr std::uint32_t kOwnNodeOrNothing = naive_gfp::kThisNode | naive_gfp::kNoRetry | naive_gfp::kNoWarn;
    if (nodes.size() > 1 && (c.gfp & kOwnNodeOrNothing) == kOwnNodeOrNothing)
      return kNone;
    std::uint32_t flags = slow_flags(c);
    if (wants_kswapd(c, flags))
      wake_each_zone(c);
    std::uint64_t page = attempt(c, flags);
    if (page != kNone)
      return page;
    if (reserve_flags(c) != 0) {
      use_list_of(c, cpu_node[c.cpu]);
      page = attempt(c, naive_flag::kNoWatermarks);
      if (page != kNone)
        return page;
    }
    if (!c.has(naive_gfp::kDirectReclaim) || c.task.memalloc || c.task.victim)
      return kNone;
    // Whoever asked for less than the OOM killer now waits for ever, or fails; without hosts it fails.
    return c.has(naive_gfp::kFs) && !c.has(naive_gfp::kNoRetry) ? before_oom(c) : kNone;
  }
  bool retry_reclaim(const Context& c, std::uint32_t flags, int& no_progress) {
    if (++no_progress > 16)
      return unreserve_any(c);
    for (std::size_t i = c.z0; i < c.list.size(); i = next(c, i + 1)) {
      const NaiveZone& zone = zones[c.list[i]];
      // Nothing can be reclaimed, and then the free pages may stand in for it.
      const std::int64_t available = snapshot(c.list[i], 0) * (rules.free_stands_for_reclaimable ? 2 : 1);
      if (full_ok(rules, zone, c.order, zone.boosted_mark(0), reserve_index(c), flags, available))
        return true;
    }
    return !rules.unreserves_only_after_many_rounds && unreserve_any(c);
  }
  bool unreserve_any(const Context& c) {
    for (std::size_t i = next(c, 0); i < c.list.size(); i = next(c, i + 1))
      if (rules.has_highatomic && unreserve_highatomic(c.list[i], c.cpu, c.type))
        return true;
    return false;
  }

  // ---- kswapd
  void wake_all(const Context& c) {
    std::size_t last = nodes.size();
    for (std::size_t i = next(c, 0); i < c.list.size(); i = next(c, i + 1)) {
      const NaiveZone& zone = zones[c.list[i]];
      if (zone.managed == 0)
        continue;
      if (zone.node != last)
        wake_kswapd(c.list[i], defrag_mode ? std::max(c.order, 9) : c.order, static_cast<int>(c.highest));
      last = zone.node;
    }
  }
  /// 3.10: every zone of the list, on whatever node.
  void wake_each_zone(Context c) {
    const auto highest = static_cast<int>(zones[c.preferred].index);
    c.nodemask.reset();
    for (std::size_t i = next(c, 0); i < c.list.size(); i = next(c, i + 1))
      wake_kswapd(c.list[i], c.order, highest);
  }
  void wake_kswapd(std::size_t z, int order, int highest) {
    if (zones[z].managed == 0)
      return;
    NaiveNode& node = nodes[zones[z].node];
    if (node.highest == 0xff || node.highest < highest)
      node.highest = highest;
    node.order = std::max(node.order, order);
    if (node.running)
      return;
    if (rules.kswapd_by_zone) {
      node.running = !full_ok(rules, zones[z], order, zones[z].mark[1], 0, 0, exact_free(z, 0));
      return;
    }
    if (node.failures >= 16)
      return;
    bool balanced = false, boosted = false, any = false;
    for (std::size_t i = 0; i <= static_cast<std::size_t>(highest); ++i) {
      const std::size_t other = zones[z].node * zone_types + i;
      const NaiveZone& zone = zones[other];
      if (zone.managed == 0)
        continue;
      any = true;
      boosted = boosted || zone.boost != 0;
      const std::int64_t free = exact_free(other, defrag_mode && order > 0 ? 2 : 0);
      balanced =
          balanced || full_ok(rules, zone, order, zone.boosted_mark(2), static_cast<std::size_t>(highest), 0, free);
    }
    node.running = boosted || (!balanced && any);
  }
  /// A counter of a zone, with the CPUs' deltas where the zone is short enough for that.
  [[nodiscard]] std::int64_t exact_free(std::size_t z, std::size_t item) const {
    const std::int64_t free = std::max<std::int64_t>(0, zones[z].stat[item]);
    return zones[z].drift_mark != 0 && free < zones[z].drift_mark ? snapshot(z, item) : free;
  }

  // ---- freeing
  void release(std::uint64_t pfn, int order, std::size_t cpu) {
    const std::size_t z = zone_of(pfn);
    if (pcp_order(order)) {
      pcp_put(z, cpu, pfn, order);
    } else {
      free_direct(z, cpu, pfn, order, false);
      pagesets[z][cpu].events.pgfree += 1ULL << order;
    }
  }

  /// One page of the bulk API by way of an ordinary request.
  std::size_t single_at(const NaiveRequest& request, std::vector<std::uint64_t>& out, std::size_t filled) {
    NaiveRequest one = request;
    one.order = 0;
    const std::uint64_t page = alloc(one);
    if (page != kNone)
      out[filled] = page;
    while (filled < out.size() && out[filled] != kNone)
      ++filled;
    return filled;
  }
};

}  // namespace mmbox::test
