// Per-cpu page lists: a short stock of blocks for each CPU and zone, above that zone's free lists.
//
// `PcpState` is the plain data in the machine's bytes, `Pcp` the handle for one call. The caller holds the per-cpu
// lock; `Pcp` takes the zone lock where it goes to the free lists (refill, bulk free).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "mmbox/core/base/sync.h"
#include "mmbox/core/buddy/buddy.h"

namespace mmbox {

/// Lists of one pageset: 3 types × orders 0 … 3, then one or two for order 9.
inline constexpr unsigned kPcpSmallLists = kPcpTypes * (kCostlyOrder + 1);
inline constexpr unsigned kPcpLists = kPcpSmallLists + 2;

/// A list of blocks: most recently freed at the head, next to return to the free lists at the tail.
struct PcpList {
  FrameIndex head = kNil;
  FrameIndex tail = kNil;
};

/// What requests did on this CPU in this zone. Unit: pages for the first two, events for the rest (one per block).
/// Source: PGALLOC_*, PGFREE, NUMA_* in /proc/vmstat and /proc/zoneinfo.
struct CpuEvents {
  std::uint64_t pgalloc = 0;
  std::uint64_t pgfree = 0;
  std::uint64_t numa_hit = 0;
  std::uint64_t numa_miss = 0;
  std::uint64_t numa_foreign = 0;
  std::uint64_t numa_local = 0;
  std::uint64_t numa_other = 0;
};

/// The pages that one CPU keeps of one zone.
struct alignas(64) PcpState {
  std::int32_t count = 0;  ///< pages on all lists together
  std::int32_t high = 0;   ///< pages at which a free returns some
  std::int32_t batch = 1;  ///< pages moved at a time
  std::int16_t free_factor = 0;
  std::uint8_t expire = 0;  ///< counter folds until a remote pageset is trimmed
  std::uint32_t lock_word = 0;
  CpuZoneStat stat;
  std::array<PcpList, kPcpLists> lists{};
  CpuEvents events;
};

/// Which lists a machine's pagesets have.
struct PcpShape {
  bool has_huge;  ///< order 9 is kept as well
  PcpHugeLists huge_lists;

  [[nodiscard]] constexpr bool allows(unsigned order) const {
    return order <= kCostlyOrder || (has_huge && order == kPageblockOrder);
  }
  [[nodiscard]] constexpr unsigned lists() const {
    if (!has_huge)
      return kPcpSmallLists;
    return kPcpSmallLists + (huge_lists == PcpHugeLists::Split ? 2 : 1);
  }
  /// Position of the list of `order` and `type`. Checks nothing: `allows(order)`, `type` is one of the first three.
  [[nodiscard]] constexpr unsigned index(unsigned order, Migratetype type) const {
    if (order <= kCostlyOrder)
      return kPcpTypes * order + raw(type);
    return kPcpSmallLists + (huge_lists == PcpHugeLists::Split && type == Migratetype::Movable ? 1 : 0);
  }
  /// Order of the blocks on list `index`.
  [[nodiscard]] static constexpr unsigned order(unsigned index) {
    return index < kPcpSmallLists ? index / kPcpTypes : kPageblockOrder;
  }
};
static_assert(PcpShape{true, PcpHugeLists::Split}.index(2, Migratetype::Movable) == 7);
static_assert(PcpShape{true, PcpHugeLists::Split}.index(9, Migratetype::Reclaimable) == 12);
static_assert(PcpShape{true, PcpHugeLists::Split}.index(9, Migratetype::Movable) == 13);

/// How many pages a free returns, and what it leaves behind in the pageset.
struct FreePlan {
  std::int32_t pages;        ///< to return; 0 if the pageset may keep all
  std::int16_t free_factor;  ///< afterwards
};

/// Decides what a free of an `order` block does once it is on its list.
///
/// `count` includes the block. Pure. Source: nr_pcp_high(), nr_pcp_free() and free_unref_page_commit().
[[nodiscard]] FreePlan plan_free(const PcpState& pcp, unsigned order, bool reclaim_active, unsigned free_factor_max);

template <SyncPolicy S>
class Pcp {
 public:
  Pcp(Buddy buddy, PcpState& pcp, PcpShape shape, CpuId cpu) : buddy_(buddy), pcp_(pcp), shape_(shape), cpu_(cpu) {}

  /// Takes a block from its list, refilling an empty one from the free lists. Leaves it without a state.
  /// Returns nullopt if the free lists gave nothing either. Source: __rmqueue_pcplist().
  [[nodiscard]] std::optional<FrameIndex> take(unsigned order, Migratetype type, AllocFlags flags) {
    const unsigned list_index = shape_.index(order, type);
    PcpList& list = pcp_.lists[list_index];
    if (list.head == kNil) [[unlikely]] {
      refill(list, order, type, flags);
      if (list.head == kNil)
        return std::nullopt;
    }
    const MemMap& map = buddy_.env().map;
    const FrameIndex index = list.head;
    list.head = map.links(index, order).next;
    if (list.head == kNil)
      list.tail = kNil;
    pcp_.count -= std::int32_t{1} << order;
    return index;
  }

  /// Puts a block at the head of its list, under the pageblock's type as it is now, and returns pages if the pageset
  /// is over its limit. Source: free_unref_page_commit().
  void put(FrameIndex index, unsigned order, Migratetype pageblock_type) {
    const MemMap& map = buddy_.env().map;
    const unsigned list_index = shape_.index(order, pcp_list_type(pageblock_type));
    PcpList& list = pcp_.lists[list_index];
    Links& links = map.links(index, order);
    links = {list.head, kNil};
    (list.head == kNil ? list.tail : map.links(list.head, order).prev) = index;
    list.head = index;
    map.set_state(index, order, FrameState::pcp(order, pageblock_type));
    pcp_.count += std::int32_t{1} << order;
    // The common case first: below the limit nothing else happens.
    if (pcp_.count < pcp_.high && pcp_.free_factor == 0 && buddy_.zone().flags == 0)
      return;
    const bool reclaim_active = (buddy_.zone().flags & zone_flag::kReclaimActive) != 0;
    const FreePlan plan = plan_free(pcp_, order, reclaim_active, buddy_.env().rules->generation.free_factor_max);
    pcp_.free_factor = plan.free_factor;
    if (plan.pages > 0)
      free_bulk(plan.pages, list_index);
  }

  /// Returns up to `pages` pages to the free lists, beginning with list `start`, each list from its tail.
  /// A large block may make it more. Source: free_pcppages_bulk().
  void free_bulk(std::int32_t pages, unsigned start);

  /// Returns everything, in portions. Source: drain_pages_zone().
  void drain() {
    while (pcp_.count > 0) {
      const std::int32_t portion = pcp_.batch << kDrainScale;
      free_bulk(pcp_.count < portion ? pcp_.count : portion, 0);
    }
  }

 private:
  static constexpr unsigned kDrainScale = 5;  // CONFIG_PCP_BATCH_SCALE_MAX

  void refill(PcpList& list, unsigned order, Migratetype type, AllocFlags flags);

  Buddy buddy_;
  PcpState& pcp_;
  PcpShape shape_;
  CpuId cpu_;
};

template <SyncPolicy S>
void Pcp<S>::refill(PcpList& list, unsigned order, Migratetype type, AllocFlags flags) {
  const MemMap& map = buddy_.env().map;
  std::uint32_t blocks = static_cast<std::uint32_t>(pcp_.batch);
  if (blocks > 1)
    blocks = (blocks >> order) > 2 ? blocks >> order : 2;
  buddy_.env().trace.emit(RmqueueBulk{buddy_.zone().id, Order{order}, type, blocks, flags});
  const Guard<S> lock{buddy_.zone().lock_word};
  std::int64_t got = 0;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const auto taken = buddy_.rmqueue(order, type, flags);
    if (!taken)
      break;
    // The first block taken is the next one handed out: the list was empty, each block goes to its tail.
    map.links(taken->index, order) = {kNil, list.tail};
    (list.tail == kNil ? list.head : map.links(list.tail, order).next) = taken->index;
    list.tail = taken->index;
    map.set_state(taken->index, order, FrameState::pcp(order, taken->type));
    if (taken->type == Migratetype::Cma)
      buddy_.count(ZoneStat::FreeCmaPages, -(std::int64_t{1} << order));
    ++got;
  }
  pcp_.count += static_cast<std::int32_t>(got << order);
  // One update for the whole refill; watermark checks see the difference.
  buddy_.count(ZoneStat::FreePages, -(got << order));
}

template <SyncPolicy S>
void Pcp<S>::free_bulk(std::int32_t pages, unsigned start) {
  const MemMap& map = buddy_.env().map;
  if (pages > pcp_.count)
    pages = pcp_.count;
  buddy_.env().trace.emit(FreePcppagesBulk{buddy_.zone().id, cpu_, static_cast<std::uint32_t>(pages), start});
  const Guard<S> lock{buddy_.zone().lock_word};
  const bool has_isolated = buddy_.zone().nr_isolate_pageblock != 0;
  unsigned list_index = start;
  while (pages > 0) {
    PcpList& list = pcp_.lists[list_index];
    const unsigned order = PcpShape::order(list_index);
    while (pages > 0 && list.tail != kNil) {
      const FrameIndex index = list.tail;
      // The head's back link is stale where blocks were taken from the front, so the last one is told by the head.
      if (index == list.head) {
        list.head = list.tail = kNil;
      } else {
        list.tail = map.links(index, order).prev;
        map.links(list.tail, order).next = kNil;
      }
      pages -= std::int32_t{1} << order;
      pcp_.count -= std::int32_t{1} << order;
      // The cached type decides, even if the pageblock has changed hands since; only isolation is looked up anew.
      const Migratetype type = has_isolated ? buddy_.pageblock_type(index) : map.state(index).type();
      map.set_state(index, order, FrameState{});
      buddy_.free_one_page(index, order, type);
      buddy_.env().trace.emit(MmPagePcpuDrain{map.pfn(index), Order{order}, type});
    }
    list_index = list_index + 1 == shape_.lists() ? 0 : list_index + 1;
  }
}

}  // namespace mmbox
