// The naive model's per-cpu lists: what a CPU keeps of a zone, and when it refills and returns.
#pragma once

#include "tests/model/naive_lists.h"

namespace mmbox::test {

class NaivePagesets : public NaiveLists {
 public:
  bool has_thp = true;
  std::vector<std::size_t> cpu_node;
  std::vector<NaiveNode> nodes;
  std::size_t movable_index = 3;  ///< of the Movable zone

  // ------------------------------------------------------------- drains and folds
  void drain(std::size_t z, std::size_t cpu) {
    NaivePageset& p = pagesets[z][cpu];
    while (p.count > 0)
      bulk(z, cpu, rules.fixed_returns ? p.count : std::min(p.count, p.batch << 5), 0);
  }
  void drain_cpu(std::size_t cpu) {
    for (std::size_t z = 0; z < zones.size(); ++z)
      if (zones[z].populated)
        drain(z, cpu);
  }
  void drain_all() {
    for (std::size_t cpu = 0; cpu < cpu_node.size(); ++cpu)
      drain_cpu(cpu);
  }
  void fold(std::size_t cpu, bool worker) {
    for (std::size_t z = 0; z < zones.size(); ++z) {
      if (!zones[z].populated)
        continue;
      NaivePageset& p = pagesets[z][cpu];
      bool any = false;
      for (std::size_t item = 0; item < 3; ++item) {
        any = any || p.delta[item] != 0;
        zones[z].stat[item] += p.delta[item];
        p.delta[item] = 0;
      }
      if (worker && rules.tuned)
        decay(z, cpu);
      if (nodes.size() == 1)
        continue;
      if (any)
        p.expire = 3;
      if (!worker || p.expire == 0 || p.count == 0)
        continue;
      if (zones[z].node == cpu_node[cpu]) {
        p.expire = 0;
      } else if (--p.expire == 0) {
        bulk(z, cpu, std::min(p.count, p.batch), 0);
      }
    }
  }

 protected:
  // ---- which lists there are
  [[nodiscard]] bool pcp_order(int order) const {
    if (rules.cpu_lists == NaiveCpuLists::OrderZero)
      return order == 0;
    return order <= 3 || (order == 9 && has_thp);
  }
  [[nodiscard]] std::size_t list_index(int order, int type) const {
    if (order == 9)
      return rules.cpu_lists == NaiveCpuLists::TwoHuge && type == kMovable ? 13 : 12;
    return static_cast<std::size_t>(3 * order + type);
  }
  [[nodiscard]] std::size_t list_count() const {
    if (!has_thp)
      return 12;
    return rules.cpu_lists == NaiveCpuLists::TwoHuge ? 14 : 13;
  }
  static int list_order(std::size_t index) { return index < 12 ? static_cast<int>(index / 3) : 9; }

  // ---- taking
  /// What every request does to the pageset that it turns to; the bulk API does not.
  static void note_request(NaivePageset& p) {
    p.free_factor >>= 1;
    p.free_count >>= 1;
  }
  std::uint64_t pcp_take(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags, bool cold) {
    NaivePageset& p = pagesets[z][cpu];
    auto& list = p.lists[list_index(order, type)];
    if (list.empty())
      refill(z, cpu, order, type, flags, cold);
    if (list.empty())
      return kNone;
    const auto at = cold ? list.end() - 1 : list.begin();
    const std::uint64_t page = at->pfn;
    list.erase(at);
    p.count -= pages_of(order);
    return page;
  }

  // ---- returning
  void pcp_put(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order) {
    const int type = type_of(pfn);
    if (type == kIsolateType)
      return free_one(z, cpu, pfn, order, type, false);
    NaivePageset& p = pagesets[z][cpu];
    const std::size_t index = list_index(order, type < 3 ? type : kMovable);
    p.alloc_factor >>= 1;
    p.lists[index].insert(p.lists[index].begin(), {pfn, type});
    p.count += pages_of(order);
    p.events.pgfree += 1ULL << order;
    if (rules.fixed_returns) {
      if (p.count >= p.high)
        bulk(z, cpu, p.batch, index);
    } else if (rules.tuned) {
      return_tuned(z, cpu, order, index);
    } else {
      return_by_factor(z, cpu, order, index);
    }
  }

  static constexpr std::uint64_t kNone = ~0ULL;

 private:
  // ---- refills
  void refill(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags, bool cold) {
    NaivePageset& p = pagesets[z][cpu];
    auto& list = p.lists[list_index(order, type)];
    std::int64_t n = rules.tuned ? tuned_refill(zones[z], p, order) : p.batch;
    if (n > 1 && !rules.fixed_returns)
      n = std::max<std::int64_t>(n >> order, 2);
    if (!rules.highatomic_refills && (flags & naive_flag::kHighAtomic) != 0)
      return;
    std::int64_t got = 0;
    Mode mode = Mode::Normal;
    for (; got < n; ++got) {
      const auto taken = core(z, cpu, order, type, flags, mode);
      if (!taken)
        break;
      int cached = taken->type;
      if (rules.cached_type_is_requested) {
        const int now = type_of(taken->pfn);
        cached = has_cma && (now == kCmaType || now == kIsolateType) ? now : type;
      }
      list.insert(cold ? list.begin() : list.end(), {taken->pfn, cached});
      if (!rules.typed && cached == kCmaType)
        count(z, cpu, 1, -pages_of(order));
    }
    p.count += got << order;
    if (!rules.typed && got != 0)
      count(z, cpu, 0, -(got << order));
  }
  /// Base pages that a tuned refill fetches, before the order is considered.
  std::int64_t tuned_refill(const NaiveZone& zone, NaivePageset& p, int order) const {
    p.high = std::clamp(p.high, p.high_min, p.high_max);
    if (p.high < p.batch)
      return 1;
    std::int64_t n = order > 0 ? p.batch : p.batch << p.alloc_factor;
    if (p.high_min != p.high_max && !zone.below_high)
      p.high = std::min(p.high + n, p.high_max);
    if (order == 0) {
      const std::int64_t limit = std::max(p.high - p.count - p.batch, p.batch);
      if (n <= limit && p.alloc_factor < 5)
        p.alloc_factor += 1;
      n = std::min(n, limit);
    }
    return n;
  }

  // ---- how much goes back after a free
  void return_by_factor(std::size_t z, std::size_t cpu, int order, std::size_t index) {
    NaivePageset& p = pagesets[z][cpu];
    const bool heavy = p.free_factor > 0 && order >= 1 && order <= 3;
    std::int64_t high = p.high == 0 || heavy ? 0 : p.high;
    if (high != 0 && zones[z].reclaim_active)
      high = std::min(p.batch * 4, p.high);
    if (p.count < high)
      return;
    std::int64_t n = p.count;
    if (!heavy) {
      if (high < p.batch) {
        n = 1;
      } else {
        const std::int64_t b = p.batch << p.free_factor;
        if (b < high - p.batch && (!rules.free_factor_is_limited || p.free_factor < 5))
          p.free_factor += 1;
        n = std::min(std::max(b, p.batch), high - p.batch);
      }
    }
    bulk(z, cpu, n, index);
  }
  void return_tuned(std::size_t z, std::size_t cpu, int order, std::size_t index) {
    NaivePageset& p = pagesets[z][cpu];
    NaiveZone& zone = zones[z];
    const bool is_high_order = order >= 1 && order <= 3;
    const bool heavy = is_high_order && p.previous_was_high_order && (!p.large_cache || p.count >= p.batch) &&
                       p.free_count >= p.batch + rules.tuned_heavy_halves * (p.high_min / 2);
    p.previous_was_high_order = is_high_order;
    if (p.free_count < p.batch << 5)
      p.free_count += pages_of(order);
    p.high = std::clamp(p.high, p.high_min, p.high_max);
    const std::int64_t limit = tuned_limit(zone, p, heavy);
    if (p.count < limit)
      return;
    std::int64_t n = std::min(std::max(p.free_count, p.batch), limit - p.batch);
    if (heavy)
      n = std::min(p.count, p.batch << 5);
    else if (limit < p.batch)
      n = 1;
    if (!rules.returns_in_portions)
      bulk(z, cpu, n, index);
    while (rules.returns_in_portions && n > 0 && p.count > 0) {
      const std::int64_t portion = std::min(n, p.batch);
      bulk(z, cpu, portion, index);
      n -= portion;
    }
    if (!zone.below_high || !full_ok(rules, zone, 0, zone.boosted_mark(2), movable_index, 0, zone.free_pages()))
      return;
    zone.below_high = false;
    if (rules.revives_hopeless_nodes && nodes[zone.node].failures >= 16 && has_memory_above(zone.node))
      nodes[zone.node].failures = 0;
  }
  [[nodiscard]] bool has_memory_above(std::size_t node) const {
    for (const NaiveZone& zone : zones)
      if (zone.populated && zone.node > node)
        return true;
    return false;
  }
  /// Pages at which a tuned pageset returns some; sets the `high` of the next time.
  static std::int64_t tuned_limit(const NaiveZone& zone, NaivePageset& p, bool heavy) {
    const std::int64_t high = p.high;
    const std::int64_t lower = std::max(high - std::max(p.free_count, p.batch), p.high_min);
    if (high == 0)
      return 0;
    if (heavy) {
      p.high = std::max(high - (p.batch << 5), p.high_min);
      return 0;
    }
    if (zone.reclaim_active) {
      p.high = lower;
      return std::min(4 * p.batch, p.high);
    }
    if (p.high_min == p.high_max)
      return high;
    if (zone.below_high) {
      p.high = lower;
      return std::max(p.count, p.high_min);
    }
    if (p.count >= high && high < p.free_count + p.batch)
      p.high = std::clamp(p.free_count + p.batch, p.high_min, p.high_max);
    return high;
  }
  void decay(std::size_t z, std::size_t cpu) {
    NaivePageset& p = pagesets[z][cpu];
    if (p.high > p.high_min)
      p.high = std::max({p.count - (p.batch << 5), p.high - (p.high >> 3), p.high_min});
    for (std::int64_t excess = p.count - p.high; excess > 0; excess -= p.batch)
      bulk(z, cpu, std::min(excess, p.batch), 0);
  }

  // ---- giving pages back
  void bulk(std::size_t z, std::size_t cpu, std::int64_t n, std::size_t index) {
    NaivePageset& p = pagesets[z][cpu];
    n = std::min(n, p.count);
    if (rules.fixed_returns)
      return bulk_in_turn(z, cpu, n);
    for (; n > 0; index = (index + 1) % list_count()) {
      while (n > 0 && !p.lists[index].empty()) {
        give_back(z, cpu, index);
        n -= pages_of(list_order(index));
      }
    }
  }
  /// Before 5.18: one page of a list, two of the next …; all of the last list that has any.
  void bulk_in_turn(std::size_t z, std::size_t cpu, std::int64_t n) {
    const std::array<std::size_t, 3> kNewOrder{kUnmovable, kMovable, kReclaimable};
    const std::array<std::size_t, 3> kOldOrder{kUnmovable, kReclaimable, kMovable};
    const auto& lists = rules.reclaimable_list_second ? kOldOrder : kNewOrder;
    NaivePageset& p = pagesets[z][cpu];
    std::size_t t = 0;
    std::int64_t q = 0;
    while (n > 0) {
      do {
        q += 1;
        t = (t + 1) % 3;
      } while (p.lists[lists[t]].empty());
      if (q == 3)
        q = n;
      do {
        give_back(z, cpu, lists[t]);
        if (--n == 0)
          return;
        q -= 1;
      } while (q != 0 && !p.lists[lists[t]].empty());
    }
  }
  /// Frees the last block of a list.
  void give_back(std::size_t z, std::size_t cpu, std::size_t index) {
    NaivePageset& p = pagesets[z][cpu];
    const NaivePageset::Page page = p.lists[index].back();
    const int order = list_order(index);
    p.lists[index].pop_back();
    p.count -= pages_of(order);
    const int now = type_of(page.pfn);
    const bool is_cached =
        rules.cached_type_at_bulk && !(rules.pageblock_type_while_isolated && zones[z].isolated_pageblocks != 0);
    const int type = is_cached ? page.cached : now;
    if (!rules.bulk_skips_isolated_count)
      return free_one(z, cpu, page.pfn, order, type, false);
    list_block(z, cpu, page.pfn, order, type, false);
    if (now == kIsolateType)
      return;
    count(z, cpu, 0, 1);
    if (type == kCmaType)
      count(z, cpu, 1, 1);
  }
};

}  // namespace mmbox::test
