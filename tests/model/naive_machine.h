// The allocator a second time, as plainly as it can be said: maps, vectors and whole-list searches.
//
// Written from the specification alone, without a look at the engine's rules; it shares the engine's vocabulary
// (Gfp bits, Migratetype, event numbers) and nothing else. Slow, and meant to be: where the two differ, this one is
// easier to believe. It has no hosts: nothing can be reclaimed, compacted or killed.
#pragma once

#include <functional>

#include "tests/model/naive_state.h"

namespace mmbox::test {

class NaiveMachine {
 public:
  // ------------------------------------------------------------- what a test sets
  bool first_release = false;  // 6.1.0 instead of 6.1.192
  bool has_cma = false;
  bool has_thp = true;
  bool mobility_disabled = false;
  bool dma32_compiled_in = true;
  std::int64_t boost_factor = 15000;
  std::size_t zone_types = 5;
  std::vector<ZoneType> types;
  std::vector<std::size_t> cpu_node;
  std::vector<NaiveZone> zones;  // [nodes][zone_types]
  std::vector<NaiveNode> nodes;
  std::vector<std::vector<NaivePageset>> pagesets;      // [zone][cpu]
  std::vector<std::vector<std::size_t>> fallback_list;  // by node: zone numbers
  std::map<std::uint64_t, int> pageblock_type;          // by first frame of the pageblock
  std::function<bool(std::uint64_t)> is_lru = [](std::uint64_t) { return false; };

  static constexpr std::uint64_t kNone = ~0ULL;

  // ------------------------------------------------------------- requests
  /// The frame, or kNone. `no_zone` tells the two reasons for kNone apart.
  std::uint64_t alloc(const NaiveRequest& request, bool* no_zone = nullptr) {
    if (request.order > 10)
      return kNone;
    Context c = prepare(request);
    std::uint32_t flags = kLow | cma_flag(c) | (c.gfp & 0x800);
    if (c.z0 < c.list.size()) {
      const NaiveZone& z0 = zones[c.list[c.z0]];
      if (dma32_compiled_in && z0.type == ZoneType::Normal && (nodes.size() == 1 || dma32_of(z0.node)))
        flags |= kNoFragment;
    }
    const std::uint64_t page = attempt(c, flags);
    return page != kNone ? page : slow_path(c, no_zone);
  }

  /// Fills empty slots (kNone); returns how many stand filled at the front.
  std::size_t alloc_bulk(const NaiveRequest& request, std::vector<std::uint64_t>& out) {
    std::size_t filled = 0;
    while (filled < out.size() && out[filled] != kNone)
      ++filled;
    const std::size_t wanted = out.size() - filled;
    if (wanted == 0)
      return filled;
    if ((request.gfp & 0x400000) != 0 || wanted == 1)
      return single_at(request, out, filled);
    Context c = prepare(request);
    const std::uint32_t flags = kLow | cma_flag(c);
    const std::size_t none = c.list.size();
    std::size_t chosen = none;
    for (std::size_t i = c.z0; i < c.list.size(); i = next(c, i + 1)) {
      NaiveZone& zone = zones[c.list[i]];
      if (nodes.size() > 1 && i != c.z0 && zone.node != zones[c.list[c.z0]].node)
        break;
      const std::int64_t mark = zone.mark[1] + zone.boost + static_cast<std::int64_t>(out.size());
      if (fast_ok(zone, 0, mark, zones[c.list[c.z0]].index, flags, c.gfp)) {
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
      const std::uint64_t page = pcp_take(z, c.cpu, 0, c.type, flags);
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
  void free_but_first(std::uint64_t pfn, int order, std::size_t cpu) {
    for (int k = order - 1; k >= 0; --k)
      release(pfn + (1ULL << k), k, cpu);
  }
  void free_list(const std::vector<std::uint64_t>& pages, std::size_t cpu) {
    std::vector<std::uint64_t> rest;
    for (const std::uint64_t pfn : pages) {
      if (type_of(pfn) == kIsolateType)
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
      free_one(zone_of(pfn), request.cpu, pfn, 0, type_of(pfn), true);
      pagesets[zone_of(pfn)][request.cpu].events.pgfree += 1;
    }
    return page;
  }

  // ------------------------------------------------------------- drains and folds
  void drain(std::size_t z, std::size_t cpu) {
    NaivePageset& p = pagesets[z][cpu];
    while (p.count > 0)
      bulk(z, cpu, std::min(p.count, p.batch << 5), 0);
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
      for (std::size_t item = 0; item < 2; ++item) {
        any = any || p.delta[item] != 0;
        zones[z].stat[item] += p.delta[item];
        p.delta[item] = 0;
      }
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

  // ------------------------------------------------------------- isolation
  /// `unmovable`: something in the pageblock cannot move.
  bool isolate(std::uint64_t pfn, std::size_t cpu, bool unmovable) {
    const std::uint64_t block = pfn & ~511ULL;
    const int old = type_of(block);
    if (old == kIsolateType || unmovable)
      return false;
    const std::size_t z = zone_of(pfn);
    set_type(block, kIsolateType);
    zones[z].isolated_pageblocks += 1;
    const std::int64_t moved = move_block(zones[z], pfn, kIsolateType, nullptr);
    count_free(z, cpu, -moved, old);
    return true;
  }
  void unisolate(std::uint64_t pfn, std::size_t cpu, int to) {
    const std::uint64_t block = pfn & ~511ULL;
    if (type_of(block) != kIsolateType)
      return;
    const std::size_t z = zone_of(pfn);
    NaiveZone& zone = zones[z];
    const auto head = zone.blocks.find(pfn);
    if (head != zone.blocks.end() && head->second.order == 9) {
      const std::uint64_t buddy = pfn ^ 512;
      const auto other = zone.blocks.find(buddy);
      if (other != zone.blocks.end() && other->second.order == 9 && type_of(buddy) != kIsolateType) {
        unlink(zone, pfn);
        set_type(block, to);
        free_one(z, cpu, pfn, 9, to, true);
        zone.isolated_pageblocks -= 1;
        return;
      }
    }
    const std::int64_t moved = move_block(zone, pfn, to, nullptr);
    count_free(z, cpu, moved, to);
    set_type(block, to);
    zone.isolated_pageblocks -= 1;
  }
  /// Takes one frame out of its free block.
  bool take_off(std::uint64_t pfn, std::size_t cpu) {
    const std::size_t z = zone_of(pfn);
    NaiveZone& zone = zones[z];
    for (int order = 0; order < kNaiveOrders; ++order) {
      std::uint64_t head = pfn & ~((1ULL << order) - 1);
      const auto it = zone.blocks.find(head);
      if (it == zone.blocks.end() || it->second.order < order)
        continue;
      const int type = type_of(head);
      for (int k = it->second.order, first = 1; k >= 0; --k, first = 0) {
        if (first != 0) {
          unlink(zone, head);
          continue;
        }
        const std::uint64_t upper = head + (1ULL << k);
        insert(zone, pfn >= upper ? head : upper, k, type, false);
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
    NaiveZone& zone = zones[z];
    const int type = type_of(pfn);
    if (type != kIsolateType) {
      if (!full_ok(zone, 0, zone.mark[0] + pages_of(order), 0, kCma, zone.free_pages()))
        return 0;
      count_free(z, cpu, -pages_of(order), type);
    }
    unlink(zone, pfn);
    if (order >= 8)
      for (std::uint64_t p = pfn; p < pfn + (1ULL << order) - 1; p += 512)
        if (type_of(p) < 3)
          set_type(p & ~511ULL, kMovable);
    return pages_of(order);
  }
  void put_back(std::uint64_t pfn, int order, int type, std::size_t cpu) {
    free_one(zone_of(pfn), cpu, pfn, order, type, true);
  }

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
  void insert(NaiveZone& zone, std::uint64_t pfn, int order, int type, bool tail) {
    auto& list = zone.lists[static_cast<std::size_t>(order)][static_cast<std::size_t>(type)];
    list.insert(tail ? list.end() : list.begin(), pfn);
    zone.blocks[pfn] = {order, type};
  }

 private:
  static constexpr std::uint32_t kLow = 1, kHigh = 2, kNoWatermarks = 4, kOom = 8, kNonBlock = 0x10, kMinReserve = 0x20,
                                 kCpuset = 0x40, kCma = 0x80, kNoFragment = 0x100, kHighAtomicFlag = 0x200,
                                 kKswapd = 0x800;
  static constexpr std::uint32_t kReserves = 0x238;

  struct Context {
    std::uint32_t gfp;
    int order;
    int type;
    std::size_t cpu;
    std::size_t highest;
    std::vector<std::size_t> list;
    std::optional<std::uint64_t> nodemask;
    std::size_t z0;
    NaiveTask task;
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
  [[nodiscard]] Context prepare(const NaiveRequest& r) const {
    Context c{};
    c.gfp = r.gfp;
    c.order = r.order;
    c.cpu = r.cpu;
    c.task = r.task;
    c.nodemask = r.nodemask;
    c.type = mobility_disabled ? kUnmovable : static_cast<int>((r.gfp & 0x18) >> 3);
    c.highest = highest_of(r.gfp);
    const std::size_t node = r.node < 0 ? cpu_node[r.cpu] : static_cast<std::size_t>(r.node);
    for (const std::size_t z : fallback_list[node])
      if ((r.gfp & 0x200000) == 0 || zones[z].node == node)
        c.list.push_back(z);
    c.z0 = next(c, 0);
    return c;
  }
  [[nodiscard]] std::uint32_t cma_flag(const Context& c) const { return has_cma && c.type == kMovable ? kCma : 0; }
  [[nodiscard]] bool dma32_of(std::size_t node) const {
    for (const NaiveZone& zone : zones)
      if (zone.populated && zone.node == node && zone.type == ZoneType::Dma32)
        return true;
    return false;
  }

  // ---- the zone loop
  std::uint64_t attempt(const Context& c, std::uint32_t flags) {
    while (true) {
      const bool no_fallback = (flags & kNoFragment) != 0;
      bool restart = false;
      for (std::size_t i = c.z0; i < c.list.size(); i = next(c, i + 1)) {
        const std::size_t z = c.list[i];
        NaiveZone& zone = zones[z];
        if (no_fallback && nodes.size() > 1 && i != c.z0 && zone.node != zones[c.list[c.z0]].node) {
          restart = true;
          break;
        }
        const std::int64_t mark = zone.mark[flags & 3] + zone.boost;
        if (!fast_ok(zone, c.order, mark, c.highest, flags, c.gfp) && (flags & kNoWatermarks) == 0)
          continue;
        const std::uint64_t page = rmqueue(c, z, flags);
        if (page == kNone)
          continue;
        if (first_release ? c.order > 0 && (flags & kNonBlock) != 0 : (flags & kHighAtomicFlag) != 0)
          reserve_highatomic(z, page);
        return page;
      }
      if (!restart && !no_fallback)
        return kNone;
      flags &= ~kNoFragment;
    }
  }

  // ---- watermarks
  [[nodiscard]] std::int64_t unusable(const NaiveZone& zone, int order, std::uint32_t flags) const {
    std::int64_t pages = pages_of(order) - 1;
    const std::uint32_t rights = first_release ? kNonBlock | kOom : kReserves;
    if ((flags & rights) == 0)
      pages += zone.reserved_highatomic;
    if (has_cma && (flags & kCma) == 0)
      pages += zone.free_cma();
    return pages;
  }
  [[nodiscard]] bool full_ok(const NaiveZone& zone, int order, std::int64_t mark, std::size_t highest,
                             std::uint32_t flags, std::int64_t free) const {
    free -= unusable(zone, order, flags);
    std::int64_t min = mark;
    if (first_release) {
      if ((flags & kMinReserve) != 0)
        min -= min / 2;
      if ((flags & kOom) != 0)
        min -= min / 2;
      else if ((flags & kNonBlock) != 0)
        min -= min / 4;
    } else {
      if ((flags & kMinReserve) != 0) {
        min -= min / 2;
        if ((flags & kNonBlock) != 0)
          min -= min / 4;
      }
      if ((flags & kOom) != 0)
        min -= min / 2;
    }
    if (free <= min + zone.lowmem_reserve[highest])
      return false;
    if (order == 0)
      return true;
    const std::uint32_t opens = first_release ? kNonBlock | kOom : kHighAtomicFlag | kOom;
    for (std::size_t o = static_cast<std::size_t>(order); o < kNaiveOrders; ++o) {
      for (std::size_t type = 0; type < 3; ++type)
        if (!zone.lists[o][type].empty())
          return true;
      if ((flags & kCma) != 0 && !zone.lists[o][kCmaType].empty())
        return true;
      if ((flags & opens) != 0 && !zone.lists[o][kHighAtomicType].empty())
        return true;
    }
    return false;
  }
  [[nodiscard]] bool fast_ok(const NaiveZone& zone, int order, std::int64_t mark, std::size_t highest,
                             std::uint32_t flags, std::uint32_t gfp) const {
    if (order == 0) {
      std::int64_t usable = zone.free_pages();
      usable -= std::min(usable, unusable(zone, 0, flags));
      if (usable > mark + zone.lowmem_reserve[highest])
        return true;
    }
    if (full_ok(zone, order, mark, highest, flags, zone.free_pages()))
      return true;
    return order == 0 && (gfp & 0x200) != 0 && zone.boost != 0 && (flags & 3) == 0 &&
           full_ok(zone, 0, zone.mark[0], highest, flags, zone.free_pages());
  }

  // ---- taking from a zone
  [[nodiscard]] bool pcp_order(int order) const { return order <= 3 || (order == 9 && has_thp); }
  std::uint64_t rmqueue(const Context& c, std::size_t z, std::uint32_t flags) {
    NaiveZone& zone = zones[z];
    std::uint64_t page = kNone;
    if (pcp_order(c.order) && (!has_cma || (flags & kCma) != 0 || c.type != kMovable)) {
      pagesets[z][c.cpu].free_factor >>= 1;
      page = pcp_take(z, c.cpu, c.order, c.type, flags);
    }
    if (page == kNone) {
      std::optional<Taken> taken;
      if (first_release ? c.order > 0 && (flags & kNonBlock) != 0 : (flags & kHighAtomicFlag) != 0)
        taken = smallest(zone, c.order, kHighAtomicType);
      if (!taken)
        taken = core(z, c.order, c.type, flags);
      if (!taken && !first_release && (flags & (kOom | kNonBlock)) != 0)
        taken = smallest(zone, c.order, kHighAtomicType);
      if (taken) {
        count_free(z, c.cpu, -pages_of(c.order), taken->type);
        page = taken->pfn;
      }
    }
    if (page != kNone)
      statistics(c, z, 1ULL << c.order, 1);
    if (zone.boosted_flag) {
      zone.boosted_flag = false;
      wake_kswapd(z, 0, static_cast<int>(zone.index));
    }
    return page;
  }
  void statistics(const Context& c, std::size_t z, std::uint64_t pages, std::uint64_t blocks) {
    auto& e = pagesets[z][c.cpu].events;
    e.pgalloc += pages;
    const std::size_t preferred = c.list[c.z0];
    if (zones[z].node == zones[preferred].node) {
      e.hit += blocks;
    } else {
      e.miss += blocks;
      pagesets[preferred][c.cpu].events.foreign += blocks;
    }
    (zones[z].node == cpu_node[c.cpu] ? e.local : e.other) += blocks;
  }
  [[nodiscard]] std::size_t list_index(int order, int type) const {
    if (order == 9)
      return !first_release && type == kMovable ? 13 : 12;
    return static_cast<std::size_t>(3 * order + type);
  }
  [[nodiscard]] std::size_t list_count() const { return !has_thp ? 12 : first_release ? 13 : 14; }
  static int list_order(std::size_t index) { return index < 12 ? static_cast<int>(index / 3) : 9; }

  std::uint64_t pcp_take(std::size_t z, std::size_t cpu, int order, int type, std::uint32_t flags) {
    NaivePageset& p = pagesets[z][cpu];
    auto& list = p.lists[list_index(order, type)];
    if (list.empty()) {
      std::int64_t n = p.batch;
      if (n > 1)
        n = std::max<std::int64_t>(n >> order, 2);
      std::int64_t got = 0;
      for (; got < n; ++got) {
        const auto taken = core(z, order, type, flags);
        if (!taken)
          break;
        list.push_back({taken->pfn, taken->type});
        if (taken->type == kCmaType)
          count(z, cpu, 1, -pages_of(order));
      }
      p.count += got << order;
      count(z, cpu, 0, -(got << order));
    }
    if (list.empty())
      return kNone;
    const std::uint64_t page = list.front().pfn;
    list.erase(list.begin());
    p.count -= pages_of(order);
    return page;
  }

  struct Taken {
    std::uint64_t pfn;
    int type;
  };
  std::optional<Taken> smallest(NaiveZone& zone, int order, int type) {
    for (int c = order; c < kNaiveOrders; ++c) {
      const auto& list = zone.lists[static_cast<std::size_t>(c)][static_cast<std::size_t>(type)];
      if (list.empty())
        continue;
      const std::uint64_t pfn = list.front();
      unlink(zone, pfn);
      for (int k = c - 1; k >= order; --k)
        insert(zone, pfn + (1ULL << k), k, type, false);
      return Taken{pfn, type};
    }
    return std::nullopt;
  }
  std::optional<Taken> core(std::size_t z, int order, int type, std::uint32_t flags) {
    NaiveZone& zone = zones[z];
    if (has_cma && (flags & kCma) != 0 && zone.free_cma() > zone.free_pages() / 2)
      if (const auto taken = smallest(zone, order, kCmaType))
        return taken;
    do {
      if (const auto taken = smallest(zone, order, type))
        return taken;
      if ((flags & kCma) != 0)
        if (const auto taken = smallest(zone, order, kCmaType))
          return taken;
    } while (fallback(zone, order, type, flags));
    return std::nullopt;
  }

  // ---- fallback and stealing
  [[nodiscard]] int pick(const NaiveZone& zone, int order, int type) const {
    static constexpr int kRows[3][2] = {{kReclaimable, kMovable}, {kReclaimable, kUnmovable}, {kUnmovable, kMovable}};
    for (const int other : kRows[type])
      if (!zone.lists[static_cast<std::size_t>(order)][static_cast<std::size_t>(other)].empty())
        return other;
    return -1;
  }
  [[nodiscard]] bool whole(int order, int type) const { return order >= 4 || type != kMovable || mobility_disabled; }
  bool fallback(NaiveZone& zone, int order, int type, std::uint32_t flags) {
    const int lowest = order < 9 && (flags & kNoFragment) != 0 ? 9 : order;
    for (int c = 10; c >= lowest; --c) {
      int from = pick(zone, c, type);
      if (from < 0)
        continue;
      int at = c;
      if (!whole(c, type) && type == kMovable && c > order)
        for (at = order; (from = pick(zone, at, type)) < 0;)
          ++at;
      const std::uint64_t pfn = zone.lists[static_cast<std::size_t>(at)][static_cast<std::size_t>(from)].front();
      steal(zone, pfn, at, type, flags, whole(at, type));
      return true;
    }
    return false;
  }
  void steal(NaiveZone& zone, std::uint64_t pfn, int order, int type, std::uint32_t flags, bool is_whole) {
    const std::uint64_t block = pfn & ~511ULL;
    const int old = type_of(pfn);
    const auto single = [&] {
      unlink(zone, pfn);
      insert(zone, pfn, order, type, true);
    };
    if (old == kHighAtomicType)
      return single();
    if (order >= 9) {
      for (std::uint64_t p = pfn; p < pfn + (1ULL << order); p += 512)
        set_type(p, type);
      return single();
    }
    if (boost(zone) && (flags & kKswapd) != 0)
      zone.boosted_flag = true;
    if (!is_whole)
      return single();
    std::int64_t movable = 0;
    const std::int64_t free = move_block(zone, pfn, type, &movable);
    std::int64_t alike = 0;
    if (type == kMovable)
      alike = movable;
    else if (old == kMovable)
      alike = 512 - (free + movable);
    if (free == 0)
      return single();
    if (free + alike >= 256 || mobility_disabled)
      set_type(block, type);
  }
  std::int64_t move_block(NaiveZone& zone, std::uint64_t pfn, int type, std::int64_t* movable) {
    std::uint64_t s = pfn & ~511ULL;
    const std::uint64_t e = s + 511;
    if (!zone.spans(s))
      s = pfn;
    if (!zone.spans(e))
      return 0;
    std::int64_t moved = 0;
    for (std::uint64_t p = s; p <= e;) {
      const auto it = zone.blocks.find(p);
      if (it == zone.blocks.end()) {
        if (movable != nullptr && is_lru(p))
          *movable += 1;
        ++p;
        continue;
      }
      const int order = it->second.order;
      unlink(zone, p);
      insert(zone, p, order, type, true);
      moved += pages_of(order);
      p += 1ULL << order;
    }
    return moved;
  }
  bool boost(NaiveZone& zone) const {
    if (boost_factor == 0 || 2048 > zone.managed)
      return false;
    std::int64_t most = zone.mark[2] / 10000 * boost_factor + zone.mark[2] % 10000 * boost_factor / 10000;
    if (most == 0)
      return false;
    most = std::max<std::int64_t>(512, most);
    zone.boost = std::min(zone.boost + 512, most);
    return true;
  }
  void set_type(std::uint64_t pageblock, int type) {
    pageblock_type[pageblock] = mobility_disabled && type < 3 ? kUnmovable : type;
  }

  // ---- the high-atomic reserve
  void reserve_highatomic(std::size_t z, std::uint64_t page) {
    NaiveZone& zone = zones[z];
    if (zone.reserved_highatomic >= zone.managed / 100 + 512)
      return;
    if (type_of(page) >= 3)
      return;
    zone.reserved_highatomic += 512;
    set_type(page & ~511ULL, kHighAtomicType);
    move_block(zone, page, kHighAtomicType, nullptr);
  }
  bool unreserve_highatomic(const Context& c, bool force) {
    for (std::size_t i = next(c, 0); i < c.list.size(); i = next(c, i + 1)) {
      NaiveZone& zone = zones[c.list[i]];
      if (!force && zone.reserved_highatomic <= 512)
        continue;
      for (std::size_t order = 0; order < kNaiveOrders; ++order) {
        const auto& list = zone.lists[order][kHighAtomicType];
        if (list.empty())
          continue;
        const std::uint64_t page = list.front();
        if (type_of(page) == kHighAtomicType)
          zone.reserved_highatomic -= std::min<std::int64_t>(512, zone.reserved_highatomic);
        set_type(page & ~511ULL, c.type);
        if (move_block(zone, page, c.type, nullptr) > 0)
          return true;
      }
    }
    return false;
  }

  // ---- the slow path, without hosts
  [[nodiscard]] std::uint32_t slow_flags(const Context& c) const {
    std::uint32_t flags = kCpuset | (c.gfp & (0x20 | 0x800));
    const bool reclaims = (c.gfp & 0x400) != 0;
    const bool may_use_reserves = (c.gfp & 0x80000) == 0;
    const bool rt = c.task.realtime && !c.task.interrupt;
    if (first_release) {
      if ((c.gfp & 0x200) != 0) {
        if (may_use_reserves)
          flags |= kNonBlock;
        flags &= ~kCpuset;
      } else if (rt) {
        flags |= kNonBlock;
      }
    } else if (!reclaims) {
      if (may_use_reserves) {
        flags |= kNonBlock;
        if (c.order > 0 && (flags & kMinReserve) != 0)
          flags |= kHighAtomicFlag;
      }
      if ((flags & kMinReserve) != 0)
        flags &= ~kCpuset;
    } else if (rt) {
      flags |= kMinReserve;
    }
    return flags | cma_flag(c);
  }
  [[nodiscard]] std::uint32_t reserve_flags(const Context& c) const {
    if ((c.gfp & 0x80000) != 0)
      return 0;
    if ((c.gfp & 0x20000) != 0)
      return kNoWatermarks;
    if (c.task.softirq && c.task.memalloc)
      return kNoWatermarks;
    if (!c.task.interrupt) {
      if (c.task.memalloc)
        return kNoWatermarks;
      if (c.task.victim)
        return kOom;
    }
    return 0;
  }
  std::uint64_t slow_path(Context c, bool* no_zone) {
    if ((c.gfp & 0x600) == 0x600)
      c.gfp &= ~0x200U;
    const bool reclaims = (c.gfp & 0x400) != 0;
    const bool compacts = (c.gfp & 0x40) != 0;
    const bool costly = c.order > 3;
    std::uint32_t flags = slow_flags(c);
    if (c.z0 >= c.list.size()) {
      if (no_zone != nullptr)
        *no_zone = true;
      return kNone;
    }
    if ((flags & kKswapd) != 0)
      wake_all(c);
    std::uint64_t page = attempt(c, flags);
    if (page != kNone)
      return page;
    // Early compaction is skipped without a host.
    if (reclaims && compacts && reserve_flags(c) == 0 && costly && (c.gfp & 0x10000) != 0)
      return kNone;
    int no_progress = 0;
    while (true) {
      if ((flags & kKswapd) != 0)
        wake_all(c);
      const std::uint32_t rights = reserve_flags(c);
      if (rights != 0)
        flags = rights | cma_flag(c) | (flags & kKswapd);
      if ((flags & kCpuset) == 0 || rights != 0) {
        c.nodemask.reset();
        c.z0 = next(c, 0);
      }
      page = attempt(c, flags);
      if (page != kNone || !reclaims || c.task.memalloc)
        return page;
      if ((c.gfp & 0x10000) != 0)
        return kNone;
      if (costly && ((!first_release && !compacts) || (c.gfp & 0x4000) == 0))
        return kNone;
      if (retry_reclaim(c, flags, no_progress))
        continue;
      Context last = c;
      last.gfp = (c.gfp & ~0x400U) | 0x100000;
      return attempt(last, kHigh | kCpuset);
    }
  }
  bool retry_reclaim(const Context& c, std::uint32_t flags, int& no_progress) {
    if (++no_progress > 16)
      return unreserve_highatomic(c, true);
    for (std::size_t i = c.z0; i < c.list.size(); i = next(c, i + 1)) {
      const NaiveZone& zone = zones[c.list[i]];
      // Nothing can be reclaimed, and then the free pages stand in for it.
      const std::int64_t available = 2 * snapshot_free(c.list[i]);
      if (full_ok(zone, c.order, zone.mark[0] + zone.boost, c.highest, flags, available))
        return true;
    }
    return !first_release && unreserve_highatomic(c, true);
  }
  [[nodiscard]] std::int64_t snapshot_free(std::size_t z) const {
    std::int64_t free = zones[z].stat[0];
    for (const NaivePageset& p : pagesets[z])
      free += p.delta[0];
    return std::max<std::int64_t>(0, free);
  }

  // ---- kswapd
  void wake_all(const Context& c) {
    std::size_t last = nodes.size();
    for (std::size_t i = next(c, 0); i < c.list.size(); i = next(c, i + 1)) {
      const NaiveZone& zone = zones[c.list[i]];
      if (zone.managed == 0)
        continue;
      if (zone.node != last)
        wake_kswapd(c.list[i], c.order, static_cast<int>(c.highest));
      last = zone.node;
    }
  }
  void wake_kswapd(std::size_t z, int order, int highest) {
    if (zones[z].managed == 0)
      return;
    NaiveNode& node = nodes[zones[z].node];
    if (node.highest == 0xff || node.highest < highest)
      node.highest = highest;
    node.order = std::max(node.order, order);
    if (node.running || node.failures >= 16)
      return;
    bool balanced = false, boosted = false, any = false;
    for (std::size_t i = 0; i <= static_cast<std::size_t>(highest); ++i) {
      const std::size_t other = zones[z].node * zone_types + i;
      const NaiveZone& zone = zones[other];
      if (zone.managed == 0)
        continue;
      any = true;
      boosted = boosted || zone.boost != 0;
      std::int64_t free = zone.free_pages();
      if (zone.drift_mark != 0 && free < zone.drift_mark)
        free = snapshot_free(other);
      balanced =
          balanced || full_ok(zone, order, zone.mark[2] + zone.boost, static_cast<std::size_t>(highest), 0, free);
    }
    if ((balanced || !any) && !boosted)
      return;
    node.running = true;
  }

  // ---- freeing
  void release(std::uint64_t pfn, int order, std::size_t cpu) {
    const std::size_t z = zone_of(pfn);
    if (pcp_order(order)) {
      pcp_put(z, cpu, pfn, order);
    } else {
      free_one(z, cpu, pfn, order, type_of(pfn), false);
      pagesets[z][cpu].events.pgfree += 1ULL << order;
    }
  }
  void pcp_put(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order) {
    const int type = type_of(pfn);
    if (type == kIsolateType)
      return free_one(z, cpu, pfn, order, type, false);
    NaivePageset& p = pagesets[z][cpu];
    const std::size_t index = list_index(order, type < 3 ? type : kMovable);
    p.lists[index].insert(p.lists[index].begin(), {pfn, type});
    p.count += pages_of(order);
    p.events.pgfree += 1ULL << order;
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
        if (b < high - p.batch && (first_release || p.free_factor < 5))
          p.free_factor += 1;
        n = std::min(std::max(b, p.batch), high - p.batch);
      }
    }
    bulk(z, cpu, n, index);
  }
  void bulk(std::size_t z, std::size_t cpu, std::int64_t n, std::size_t index) {
    NaivePageset& p = pagesets[z][cpu];
    n = std::min(n, p.count);
    for (; n > 0; index = (index + 1) % list_count()) {
      auto& list = p.lists[index];
      const int order = list_order(index);
      while (n > 0 && !list.empty()) {
        const NaivePageset::Page page = list.back();
        list.pop_back();
        n -= pages_of(order);
        p.count -= pages_of(order);
        free_one(z, cpu, page.pfn, order, zones[z].isolated_pageblocks != 0 ? type_of(page.pfn) : page.cached, false);
      }
    }
  }
  void free_one(std::size_t z, std::size_t cpu, std::uint64_t pfn, int order, int type, bool to_tail) {
    NaiveZone& zone = zones[z];
    count_free(z, cpu, pages_of(order), type);
    for (; order < 10; ++order) {
      const std::uint64_t buddy = pfn ^ (1ULL << order);
      const auto it = zone.blocks.find(buddy);
      if (it == zone.blocks.end() || it->second.order != order)
        break;
      const int other = type_of(buddy);
      if (order >= 9 && type != other && (type >= 3 || other >= 3))
        break;
      unlink(zone, buddy);
      pfn &= buddy;
    }
    bool tail = to_tail;
    if (!tail && order < 9) {
      const std::uint64_t pair = (pfn & ~(1ULL << order)) ^ (2ULL << order);
      const auto it = zone.blocks.find(pair);
      tail = it != zone.blocks.end() && it->second.order == order + 1;
    }
    insert(zone, pfn, order, type, tail);
  }
  static void unlink(NaiveZone& zone, std::uint64_t pfn) {
    const auto it = zone.blocks.find(pfn);
    auto& list = zone.lists[static_cast<std::size_t>(it->second.order)][static_cast<std::size_t>(it->second.type)];
    list.erase(std::find(list.begin(), list.end(), pfn));
    zone.blocks.erase(it);
  }

  // ---- counters
  void count_free(std::size_t z, std::size_t cpu, std::int64_t pages, int type) {
    if (type == kIsolateType)
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
