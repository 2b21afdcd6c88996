// The naive model's free lists: splitting, merging, taking from other types, and the counters that follow.
#pragma once

#include <functional>

#include "tests/model/naive_watermarks.h"

namespace mmbox::test {

class NaiveLists {
 public:
  // ------------------------------------------------------------- what a test sets
  NaiveRules rules;
  bool has_cma = false;
  bool mobility_disabled = false;
  std::int64_t boost_factor = 15000;
  std::vector<NaiveZone> zones;                     // [nodes][zone_types]
  std::vector<std::vector<NaivePageset>> pagesets;  // [zone][cpu]
  std::map<std::uint64_t, int> pageblock_type;      // by first frame of the pageblock
  std::function<bool(std::uint64_t)> is_lru = [](std::uint64_t) { return false; };
  /// The second page of a compound block of two pages in use.
  std::function<bool(std::uint64_t)> is_order_one_tail = [](std::uint64_t) { return false; };

  // ------------------------------------------------------------- parts that a test looks at
  [[nodiscard]] int type_of(std::uint64_t pfn) const {
    const auto it = pageblock_type.find(pfn & ~511ULL);
    return it == pageblock_type.end() ? kUnmovable : it->second;
  }
  [[nodiscard]] std::size_t zone_of(std::uint64_t pfn) const {
    for (std::size_t z = 0; z < zones.size(); ++z)
      if (zones[z].populated && zones[z].spans(pfn))
        return z;
    return zones.size();
  }
  void put_back(std::uint64_t pfn, int order, int type, std::size_t cpu) {
    free_one(zone_of(pfn), cpu, pfn, order, type, true);
  }

  // ------------------------------------------------------------- isolation
  /// `unmovable`: something in the pageblock cannot move. The drains that go with it are the caller's.
  bool isolate(std::uint64_t pfn, std::size_t cpu, bool unmovable) {
    const std::uint64_t block = pfn & ~511ULL;
    const std::size_t z = zone_of(pfn);
    const int old = type_of(block);
    if ((old == kIsolateType && !rules.isolates_again) || unmovable)
      return false;
    if (rules.isolation == NaiveIsolation::Stepwise && !zones[z].spans_pageblock(block))
      return false;
    covered_[block] = old;
    if (rules.counts_isolated)
      zones[z].isolated_pageblocks += 1;
    change_isolation(z, cpu, block, old, kIsolateType);
    return true;
  }
  void unisolate(std::uint64_t pfn, std::size_t cpu, int to) {
    const std::uint64_t block = pfn & ~511ULL;
    if (type_of(block) != kIsolateType)
      return;
    const std::size_t z = zone_of(pfn);
    if (rules.isolation_covers)
      to = covered_[block];
    if (rules.counts_isolated)
      zones[z].isolated_pageblocks -= 1;
    if (!freed_anew(z, cpu, block, to))
      change_isolation(z, cpu, block, kIsolateType, to);
  }

  // ------------------------------------------------------------- blocks taken by position
  /// Takes one frame out of its free block.
  bool take_off(std::uint64_t pfn, std::size_t cpu) {
    const std::size_t z = zone_of(pfn);
    for (int order = 0; order < kNaiveOrders; ++order) {
      std::uint64_t head = pfn & ~((1ULL << order) - 1);
      const auto it = zones[z].blocks.find(head);
      if (it == zones[z].blocks.end() || it->second.order < order)
        continue;
      const int type = type_of(head);
      int k = it->second.order;
      unlink(z, cpu, head);
      while (k-- > 0) {
        const std::uint64_t upper = head + (1ULL << k);
        insert(z, cpu, pfn >= upper ? head : upper, k, type, false);
        head = pfn >= upper ? upper : head;
      }
      count_free(z, cpu, -1, type);
      return true;
    }
    return false;
  }
  /// Takes a free block for compaction; 0 if the zone is too short of pages.
  std::int64_t isolate_free(std::uint64_t pfn, int order, std::size_t cpu) {
    const std::size_t z = zone_of(pfn);
    const NaiveZone& zone = zones[z];
    const int type = type_of(pfn);
    if (type != kIsolateType) {
      const auto which = static_cast<std::size_t>(rules.isolate_free_mark);
      const std::int64_t mark = zone.mark[which] + (rules.isolate_free_mark_has_boost ? zone.boost : 0);
      const std::uint32_t flags = rules.isolate_free_uses_cma ? naive_flag::kCma : 0;
      if (!full_ok(rules, zone, 0, mark + pages_of(order), 0, flags, zone.free_pages()))
        return 0;
      count_free(z, cpu, -pages_of(order), type);
    }
    unlink(z, cpu, pfn);
    if (order >= 8)
      for (std::uint64_t p = pfn; p < pfn + (1ULL << order) - 1; p += 512) {
        const int old = type_of(p);
        if (old > kHighAtomicType || (old == kHighAtomicType && !rules.isolate_free_retypes_reserve))
          continue;
        if (rules.typed && old != kMovable && zone.spans_pageblock(p))
          move_block(z, cpu, p, kMovable, nullptr);
        set_type(p & ~511ULL, kMovable);
      }
    return pages_of(order);
  }

 protected:
  struct Taken {
    std::uint64_t pfn;
    int type;  ///< of the list that it was on
  };
  /// What a refill or a direct take remembers between its blocks.
  enum class Mode { Normal, Cma, Claim, Steal };

  // ---- taking
  std::optional<Taken> core(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags, Mode& mode) {
    switch (rules.fallback) {
      case NaiveFallback::Take: return core_take(z, cpu, order, type);
      case NaiveFallback::ClaimSteal: return core_claim(z, cpu, order, type, flags, mode);
      default: return core_move(z, cpu, order, type, flags);
    }
  }
  std::optional<Taken> smallest(std::size_t z, std::size_t cpu, int order, int type) {
    for (int c = order; c < kNaiveOrders; ++c) {
      if (!zones[z].has_block(c, type))
        continue;
      const std::uint64_t pfn = zones[z].first_block(c, type);
      unlink(z, cpu, pfn);
      split(z, cpu, pfn, c, order, type);
      if (rules.typed)
        count_free(z, cpu, -pages_of(order), type);
      return Taken{pfn, type};
    }
    return std::nullopt;
  }

  // ---- freeing
  void free_one(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order, int type, bool to_tail) {
    count_free(z, cpu, pages_of(order), type);
    list_block(z, cpu, pfn, order, type, to_tail);
  }
  /// A direct free by position.
  void free_direct(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order, bool to_tail) {
    if (rules.typed && order == 10) {
      free_one(z, cpu, pfn, 9, type_of(pfn), to_tail);
      free_one(z, cpu, pfn + 512, 9, type_of(pfn + 512), to_tail);
    } else {
      free_one(z, cpu, pfn, order, type_of(pfn), to_tail);
    }
  }
  /// Merges the block with its buddies and puts it on a list; the counters know of it already.
  void list_block(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order, int type, bool to_tail) {
    for (; order < 10; ++order) {
      const std::uint64_t buddy = pfn ^ (1ULL << order);
      const auto it = zones[z].blocks.find(buddy);
      if (it == zones[z].blocks.end() || it->second.order != order || !may_merge(zones[z], order, type, buddy))
        break;
      unlink(z, cpu, buddy);
      if (order >= 9 && rules.merge == NaiveMerge::MergeableAndRetyped && type_of(buddy) != type)
        set_type(buddy, type);
      pfn &= buddy;
    }
    bool tail = to_tail;
    if (!tail && order < 9) {
      const std::uint64_t pair = (pfn & ~(1ULL << order)) ^ (2ULL << order);
      const auto it = zones[z].blocks.find(pair);
      tail = it != zones[z].blocks.end() && it->second.order == order + 1;
    }
    insert(z, cpu, pfn, order, type, tail);
  }

  // ---- the high-atomic reserve
  void reserve_highatomic(std::size_t z, std::size_t cpu, std::uint64_t page, int order) {
    NaiveZone& zone = zones[z];
    std::int64_t limit = zone.managed / 100 + 512;
    if (rules.reserve_limit_rounded) {
      if (zone.managed / 100 < 512)
        return;
      limit = (zone.managed / 100 + 511) / 512 * 512;
    }
    if (zone.reserved_highatomic >= limit || type_of(page) >= 3)
      return;
    if (rules.reserve_limit_rounded && order >= 9) {
      zone.reserved_highatomic += pages_of(order);
      set_types(page, order, kHighAtomicType);
      return;
    }
    if (rules.reserve_limit_rounded && !zone.spans_pageblock(page))
      return;
    zone.reserved_highatomic += 512;
    set_type(page & ~511ULL, kHighAtomicType);
    move_block(z, cpu, page, kHighAtomicType, nullptr);
  }
  /// Gives one pageblock of the zone back as `type`; true if that freed pages.
  bool unreserve_highatomic(std::size_t z, std::size_t cpu, int type) {
    NaiveZone& zone = zones[z];
    for (int order = 0; order < kNaiveOrders; ++order) {
      if (!zone.has_block(order, kHighAtomicType))
        continue;
      const std::uint64_t page = zone.first_block(order, kHighAtomicType);
      const std::int64_t pages = rules.reserve_limit_rounded ? std::max<std::int64_t>(512, pages_of(order)) : 512;
      if (type_of(page) == kHighAtomicType)
        zone.reserved_highatomic -= std::min(pages, zone.reserved_highatomic);
      if (rules.reserve_limit_rounded && order >= 9) {
        relist(z, cpu, page, type, true);
        set_types(page, order, type);
        return true;
      }
      set_type(page & ~511ULL, type);
      if (move_block(z, cpu, page, type, nullptr) > 0)
        return true;
    }
    return false;
  }

  // ---- counters
  void count_free(std::size_t z, std::size_t cpu, std::int64_t pages, int type) {
    if (type == kIsolateType || pages == 0)
      return;
    count(z, cpu, 0, pages);
    if (type == kCmaType)
      count(z, cpu, 1, pages);
  }
  void count(std::size_t z, std::size_t cpu, std::size_t item, std::int64_t pages) {
    NaivePageset& p = pagesets[z][cpu];
    const std::int64_t x = pages + p.delta[item];
    const bool over = x > p.threshold || x < -p.threshold;
    if (over)
      zones[z].stat[item] += x;
    p.delta[item] = over ? 0 : static_cast<int>(x);
  }
  [[nodiscard]] std::int64_t snapshot(std::size_t z, std::size_t item) const {
    std::int64_t pages = zones[z].stat[item];
    for (const NaivePageset& p : pagesets[z])
      pages += p.delta[item];
    return std::max<std::int64_t>(0, pages);
  }

 private:
  // ---- lists
  void insert(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order, int type, bool tail) {
    auto& list = zones[z].lists[static_cast<std::size_t>(order)][static_cast<std::size_t>(type)];
    list.insert(tail ? list.end() : list.begin(), pfn);
    zones[z].blocks[pfn] = {order, type};
    count_large(z, cpu, order, type, 1);
  }
  NaiveZone::Block unlink(std::size_t z, std::size_t cpu, std::uint64_t pfn) {
    const NaiveZone::Block block = zones[z].blocks.at(pfn);
    auto& list = zones[z].lists[static_cast<std::size_t>(block.order)][static_cast<std::size_t>(block.type)];
    list.erase(std::find(list.begin(), list.end(), pfn));
    zones[z].blocks.erase(pfn);
    count_large(z, cpu, block.order, block.type, -1);
    return block;
  }
  /// Moves a free block from its list to another.
  void relist(std::size_t z, std::size_t cpu, std::uint64_t pfn, int type, bool tail) {
    const NaiveZone::Block old = zones[z].blocks.at(pfn);
    auto& from = zones[z].lists[static_cast<std::size_t>(old.order)][static_cast<std::size_t>(old.type)];
    from.erase(std::find(from.begin(), from.end(), pfn));
    auto& to = zones[z].lists[static_cast<std::size_t>(old.order)][static_cast<std::size_t>(type)];
    to.insert(tail ? to.end() : to.begin(), pfn);
    zones[z].blocks[pfn].type = type;
    if (rules.typed) {
      count_free(z, cpu, -pages_of(old.order), old.type);
      count_free(z, cpu, pages_of(old.order), type);
    }
    if ((old.type == kIsolateType) != (type == kIsolateType)) {
      count_large(z, cpu, old.order, old.type, -1);
      count_large(z, cpu, old.order, type, 1);
    }
  }
  void count_large(std::size_t z, std::size_t cpu, int order, int type, int sign) {
    if (rules.counts_large_blocks && order >= 9 && type != kIsolateType)
      count(z, cpu, 2, sign * pages_of(order));
  }
  /// Puts the upper halves of a block on lists until its lower end has order `to`.
  void split(std::size_t z, std::size_t cpu, std::uint64_t pfn, int from, int to, int type) {
    for (int k = from - 1; k >= to; --k)
      insert(z, cpu, pfn + (1ULL << k), k, type, false);
  }
  [[nodiscard]] bool may_merge(const NaiveZone& zone, int order, int type, std::uint64_t buddy) const {
    const int other = type_of(buddy);
    if (order < 9 || type == other)
      return true;
    switch (rules.merge) {
      case NaiveMerge::Always: return true;
      case NaiveMerge::UnlessIsolated:
        return zone.isolated_pageblocks == 0 || (type != kIsolateType && other != kIsolateType);
      default: return type < 3 && other < 3;
    }
  }
  void set_type(std::uint64_t pageblock, int type) {
    const bool filtered = mobility_disabled && (type < 3 || rules.unmovable_for_every_type);
    pageblock_type[pageblock] = filtered ? kUnmovable : type;
  }
  void set_types(std::uint64_t pfn, int order, int type) {
    for (std::uint64_t p = pfn; p < pfn + (1ULL << order); p += 512)
      set_type(p, type);
  }

  /// Moves the free blocks of a pageblock to another type's lists. Returns their pages.
  std::int64_t move_block(std::size_t z, std::size_t cpu, std::uint64_t pfn, int type, std::int64_t* movable) {
    const NaiveZone& zone = zones[z];
    if (!zone.spans(pfn | 511ULL))
      return 0;
    const std::uint64_t s = zone.spans(pfn & ~511ULL) ? pfn & ~511ULL : pfn;
    std::int64_t moved = 0;
    for (std::uint64_t p = s; p <= (pfn | 511ULL);) {
      const auto it = zone.blocks.find(p);
      if (it == zone.blocks.end()) {
        if (movable != nullptr && counts_as_movable(p))
          *movable += 1;
        ++p;
        continue;
      }
      const int order = it->second.order;
      relist(z, cpu, p, type, rules.moves_to_tail);
      moved += pages_of(order);
      p += 1ULL << order;
    }
    return moved;
  }
  [[nodiscard]] bool counts_as_movable(std::uint64_t pfn) const {
    return is_lru(pfn) || (rules.order_one_tails_count && is_order_one_tail(pfn));
  }

  // ---- other types' memory
  /// The type of the first list of `order` that a request of `type` may turn to; -1 if they are empty.
  [[nodiscard]] int pick(const NaiveZone& zone, int order, int type) const {
    static constexpr int kRows[3][2] = {{kReclaimable, kMovable}, {kReclaimable, kUnmovable}, {kUnmovable, kMovable}};
    for (const int other : kRows[type])
      if (zone.has_block(order, other))
        return other;
    return -1;
  }
  [[nodiscard]] bool whole(int order, int type) const { return order >= 4 || type != kMovable || mobility_disabled; }
  /// The lowest order of foreign blocks that a request may look at.
  [[nodiscard]] int lowest_foreign(int order, std::uint32_t flags) const {
    const bool bound = (flags & naive_flag::kNoFragment) != 0 && (order < 9 || rules.no_fragment_for_every_order);
    return bound ? 9 : order;
  }
  [[nodiscard]] bool cma_comes_first(const NaiveZone& zone, std::uint32_t flags) const {
    return has_cma && rules.cma_balance && (flags & naive_flag::kCma) != 0 && zone.free_cma() > zone.free_pages() / 2;
  }
  [[nodiscard]] bool cma_comes_second(int type, std::uint32_t flags) const {
    return rules.cma_for_every_movable ? type == kMovable : (flags & naive_flag::kCma) != 0;
  }
  bool boost(NaiveZone& zone) const {
    if (!rules.boosts || boost_factor == 0 || 2048 > zone.managed)
      return false;
    std::int64_t most = zone.mark[2] / 10000 * boost_factor + zone.mark[2] % 10000 * boost_factor / 10000;
    if (most == 0)
      return false;
    most = std::max<std::int64_t>(512, most);
    zone.boost = std::min(zone.boost + 512, most);
    return true;
  }
  void boost_and_flag(NaiveZone& zone, std::uint32_t flags) {
    if (boost(zone) && (flags & naive_flag::kKswapd) != 0)
      zone.boosted_flag = true;
  }
  /// Pages of the pageblock that are in use as a request of `type` uses them.
  static std::int64_t alike_pages(int type, int old, std::int64_t free, std::int64_t movable) {
    if (type == kMovable)
      return movable;
    return old == kMovable ? 512 - (free + movable) : 0;
  }

  // ---- 3.10: take
  std::optional<Taken> core_take(std::size_t z, std::size_t cpu, int order, int type) {
    if (const auto taken = smallest(z, cpu, order, type))
      return taken;
    if (const auto taken = take(z, cpu, order, type))
      return taken;
    return smallest(z, cpu, order, kHighAtomicType);  // Reserve
  }
  std::optional<Taken> take(std::size_t z, std::size_t cpu, int order, int type) {
    static const std::vector<int> kRows[3] = {
        {kReclaimable, kMovable}, {kCmaType, kReclaimable, kUnmovable}, {kUnmovable, kMovable}};
    for (int c = 10; c >= order; --c)
      for (const int from : kRows[type]) {
        if (!zones[z].has_block(c, from))
          continue;
        const std::uint64_t pfn = zones[z].first_block(c, from);
        int now = from;
        if (from != kCmaType && (c >= 4 || type == kReclaimable || mobility_disabled)) {
          if (move_block(z, cpu, pfn, type, nullptr) >= 256 || mobility_disabled)
            set_type(pfn & ~511ULL, type);
          now = type;
        }
        unlink(z, cpu, pfn);
        if (c >= 9 && now != kCmaType)
          set_types(pfn, c, type);
        split(z, cpu, pfn, c, order, now == kCmaType ? kCmaType : type);
        return Taken{pfn, now};
      }
    return std::nullopt;
  }

  // ---- 4.12 to 6.1: blocks change lists until the request finds one on its own
  std::optional<Taken> core_move(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags) {
    if (cma_comes_first(zones[z], flags))
      if (const auto taken = smallest(z, cpu, order, kCmaType))
        return taken;
    do {
      if (const auto taken = smallest(z, cpu, order, type))
        return taken;
      if (cma_comes_second(type, flags))
        if (const auto taken = smallest(z, cpu, order, kCmaType))
          return taken;
    } while (fall_back(z, cpu, order, type, flags));
    return std::nullopt;
  }
  bool fall_back(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags) {
    const NaiveZone& zone = zones[z];
    for (int c = 10; c >= lowest_foreign(order, flags); --c) {
      int from = pick(zone, c, type);
      if (from < 0)
        continue;
      int at = c;
      if (rules.fallback == NaiveFallback::MoveSmallest && !whole(c, type) && type == kMovable && c > order)
        for (at = order; (from = pick(zone, at, type)) < 0;)
          ++at;
      move_over(z, cpu, zone.first_block(at, from), at, type, flags);
      return true;
    }
    return false;
  }
  void move_over(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order, int type, std::uint32_t flags) {
    const int old = type_of(pfn);
    const auto single = [&] { relist(z, cpu, pfn, type, rules.moves_to_tail); };
    if (old == kHighAtomicType)
      return single();
    if (order >= 9) {
      set_types(pfn, order, type);
      return single();
    }
    boost_and_flag(zones[z], flags);
    if (!whole(order, type))
      return single();
    std::int64_t movable = 0;
    const std::int64_t free = move_block(z, cpu, pfn, type, &movable);
    if (free == 0)
      return single();
    if (free + alike_pages(type, old, free, movable) >= 256 || mobility_disabled)
      set_type(pfn & ~511ULL, type);
  }

  // ---- 6.12 and later: claim a pageblock, or steal a block
  std::optional<Taken> core_claim(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags,
                                  Mode& mode) {
    if (cma_comes_first(zones[z], flags))
      if (const auto taken = smallest(z, cpu, order, kCmaType))
        return taken;
    if (mode == Mode::Normal)
      if (const auto taken = smallest(z, cpu, order, type))
        return taken;
    if ((mode == Mode::Normal || mode == Mode::Cma) && cma_comes_second(type, flags))
      if (const auto taken = smallest(z, cpu, order, kCmaType)) {
        mode = Mode::Cma;
        return taken;
      }
    if (mode != Mode::Steal)
      if (const auto taken = claim(z, cpu, order, type, flags)) {
        mode = Mode::Normal;
        return taken;
      }
    if ((flags & naive_flag::kNoFragment) == 0)
      if (const auto taken = steal(z, cpu, order, type)) {
        mode = Mode::Steal;
        return taken;
      }
    return std::nullopt;
  }
  std::optional<Taken> claim(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags) {
    for (int c = 10; c >= lowest_foreign(order, flags); --c) {
      const int from = pick(zones[z], c, type);
      if (from < 0)
        continue;
      if (!whole(c, type))
        return std::nullopt;
      const std::uint64_t pfn = zones[z].first_block(c, from);
      if (c >= 9) {
        unlink(z, cpu, pfn);
        count_free(z, cpu, -pages_of(c), from);
        set_types(pfn, c, type);
        split(z, cpu, pfn, c, order, type);
        count_free(z, cpu, pages_of(c) - pages_of(order), type);
        return Taken{pfn, type};
      }
      boost_and_flag(zones[z], flags);
      if (!zones[z].spans_pageblock(pfn))
        continue;
      std::int64_t movable = 0;
      const std::int64_t free = weigh(zones[z], pfn, movable);
      if (free + alike_pages(type, from, free, movable) < 256 && !mobility_disabled)
        continue;
      move_block(z, cpu, pfn, type, nullptr);
      set_type(pfn & ~511ULL, type);
      return smallest(z, cpu, order, type);
    }
    return std::nullopt;
  }
  /// The free pages of a pageblock, and those in use that can move.
  [[nodiscard]] std::int64_t weigh(const NaiveZone& zone, std::uint64_t pfn, std::int64_t& movable) const {
    std::int64_t free = 0;
    for (std::uint64_t p = pfn & ~511ULL; p <= (pfn | 511ULL);) {
      const auto it = zone.blocks.find(p);
      const int order = it == zone.blocks.end() ? 0 : it->second.order;
      if (it != zone.blocks.end())
        free += pages_of(order);
      else if (counts_as_movable(p))
        movable += 1;
      p += 1ULL << order;
    }
    return free;
  }
  std::optional<Taken> steal(std::size_t z, std::size_t cpu, int order, int type) {
    for (int c = order; c < kNaiveOrders; ++c) {
      const int from = pick(zones[z], c, type);
      if (from < 0)
        continue;
      const std::uint64_t pfn = zones[z].first_block(c, from);
      unlink(z, cpu, pfn);
      split(z, cpu, pfn, c, order, from);
      count_free(z, cpu, -pages_of(order), from);
      return Taken{pfn, from};
    }
    return std::nullopt;
  }

  // ---- isolation
  void change_isolation(std::size_t z, std::size_t cpu, std::uint64_t block, int from, int to) {
    const std::uint64_t large = block & ~1023ULL;
    const auto it = zones[z].blocks.find(large);
    if (rules.isolation == NaiveIsolation::Stepwise && it != zones[z].blocks.end() && it->second.order == 10) {
      count_free(z, cpu, -1024, it->second.type);
      unlink(z, cpu, large);
      set_type(block, to);
      free_one(z, cpu, large, 9, type_of(large), false);
      free_one(z, cpu, large + 512, 9, type_of(large + 512), false);
      return;
    }
    const std::int64_t moved = move_block(z, cpu, block, to, nullptr);
    if (!rules.typed) {
      count_free(z, cpu, -moved, from);
      count_free(z, cpu, moved, to);
    }
    set_type(block, to);
  }
  /// A free pageblock that could merge beyond its edge is not moved but freed.
  bool freed_anew(std::size_t z, std::size_t cpu, std::uint64_t block, int to) {
    if (rules.isolation == NaiveIsolation::Plain)
      return false;
    const auto head = zones[z].blocks.find(block);
    if (head == zones[z].blocks.end() || head->second.order != 9)
      return false;
    const std::uint64_t buddy = block ^ 512;
    if (!pageblock_type.contains(buddy) || type_of(buddy) == kIsolateType)
      return false;
    if (rules.isolation == NaiveIsolation::FreedAgain) {
      unlink(z, cpu, block);
      set_type(block, to);
      free_one(z, cpu, block, 9, to, false);
      pagesets[z][cpu].events.pgfree += 512;
      return true;
    }
    const auto other = zones[z].blocks.find(buddy);
    if (other == zones[z].blocks.end() || other->second.order != 9)
      return false;
    unlink(z, cpu, block);
    set_type(block, to);
    free_one(z, cpu, block, 9, to, true);
    return true;
  }
  std::map<std::uint64_t, int> covered_;  ///< by pageblock: its type below the isolation
};

}  // namespace mmbox::test
