// Per-cpu page lists: a short stock of blocks for each CPU and zone, above that zone's free lists.
//
// `PcpState` is the plain data in the machine's bytes, `Pcp` the handle for one call. The caller holds the per-cpu
// lock; `Pcp` takes the zone lock where it goes to the free lists (refill, bulk free).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "mmbox/core/base/near.h"
#include "mmbox/core/base/sync.h"
#include "mmbox/core/buddy/buddy.h"

namespace mmbox {

/// Lists of one pageset: 3 types × orders 0 … 3, then one or two for order 9.
inline constexpr unsigned kPcpSmallLists = kPcpTypes * (kCostlyOrder + 1);
inline constexpr unsigned kPcpLists = kPcpSmallLists + 2;
/// Behind the others, a list that is always empty.
inline constexpr unsigned kNoPcpList = kPcpLists;

/// The most that a return, a refill or a drain doubles a batch, as a power of two.
/// Source: CONFIG_PCP_BATCH_SCALE_MAX.
inline constexpr unsigned kPcpBatchScaleMax = 5;

/// A list of blocks: most recently freed at the head, next to return to the free lists at the tail.
/// Without a head it is empty, whatever the tail says; the first block's link back says nothing.
struct PcpList {
  FrameIndex head = kNil;
  FrameIndex tail = kNil;

  /// Puts a block at the tail.
  void append(const MemMap& map, FrameIndex index, unsigned order) {
    map.links(index, order) = {kNil, tail};
    (head == kNil ? head : map.links(tail, order).next) = index;
    tail = index;
  }
};

/// What requests did on this CPU in this zone. Unit: pages for the first two, blocks for the rest.
/// What nearly every block adds to, hits and local ones, is what the exceptions leave.
/// Source: PGALLOC_*, PGFREE, NUMA_* in /proc/vmstat and /proc/zoneinfo.
struct CpuEvents {
  std::uint64_t pgalloc = 0;
  std::uint64_t pgfree = 0;
  std::uint64_t allocs = 0;
  std::uint64_t numa_miss = 0;
  std::uint64_t numa_foreign = 0;
  std::uint64_t numa_other = 0;

  template <SyncPolicy S = NoSync>
  void count(std::uint64_t blocks, std::uint64_t pages) {
    add<S>(allocs, blocks);
    add<S>(pgalloc, pages);
  }
  [[nodiscard]] std::uint64_t numa_hit() const { return allocs - numa_miss; }
  [[nodiscard]] std::uint64_t numa_local() const { return allocs - numa_other; }
};

/// The pages that one CPU keeps of one zone. Single pages concern its first and its third 64 bytes.
struct alignas(64) PcpState {
  std::int32_t count = 0;        ///< pages on all lists together
  std::int32_t high = 0;         ///< pages at which a free returns some
  std::int32_t batch = 1;        ///< pages moved at a time
  std::int16_t free_factor = 0;  ///< FreeFactor: doublings of the next return; halved by every allocation
  std::uint8_t expire = 0;       ///< counter folds until a remote pageset is trimmed
  // Tuned only.
  std::uint8_t alloc_factor = 0;  ///< doublings of the next refill; halved by every free
  std::int32_t high_min = 0;      ///< the bounds of `high`
  std::int32_t high_max = 0;
  std::int16_t free_count = 0;          ///< pages freed without allocations between; halved by every allocation
  bool previous_free_was_high = false;  ///< the last free was of order 1 to 3
  bool has_large_cache = false;         ///< the CPU's share of the last cache holds more than three batches

  std::uint32_t lock_word = 0;
  Near<ZoneState> zone;
  std::array<PcpList, kPcpLists + 1> lists{};
  CpuEvents events;
  CpuZoneStat stat;

  /// An allocation comes to this pageset, whether it has a block for it or not.
  void note_request() {
    free_factor = static_cast<std::int16_t>(free_factor >> 1);
    free_count = static_cast<std::int16_t>(free_count >> 1);
  }
  /// Puts a block at the head of a list.
  template <SyncPolicy S = NoSync>
  void push(const MemMap& map, unsigned list_index, FrameIndex index, unsigned order) {
    PcpList& list = lists[list_index];
    map.links(index, order) = {list.head, kNil};
    (list.head == kNil ? list.tail : map.links(list.head, order).prev) = index;
    list.head = index;
    add<S>(count, std::int32_t{1} << order);
  }
  /// Takes the block at the head of a list; kNil if that is empty.
  template <SyncPolicy S = NoSync>
  [[nodiscard]] FrameIndex pop(const MemMap& map, unsigned list_index, unsigned order) {
    PcpList& list = lists[list_index];
    const FrameIndex index = list.head;
    if (index == kNil) [[unlikely]]
      return kNil;
    list.head = map.links(index, order).next;
    add<S>(count, -(std::int32_t{1} << order));
    return index;
  }
};

/// Which lists a machine's pagesets have.
struct PcpShape {
  bool has_huge = false;       ///< order 9 is kept as well
  bool splits_huge = false;    ///< in two lists, by whether it moves
  std::uint8_t order_max = 0;  ///< of the other orders

  [[nodiscard]] static constexpr PcpShape of(PcpLists lists, bool has_thp) {
    return {has_thp && lists != PcpLists::OrderZero, lists == PcpLists::SplitHuge,
            static_cast<std::uint8_t>(lists == PcpLists::OrderZero ? 0 : kCostlyOrder)};
  }
  [[nodiscard]] constexpr bool allows(unsigned order) const {
    return order <= order_max || (has_huge && order == kPageblockOrder);
  }
  [[nodiscard]] constexpr unsigned lists() const {
    if (!has_huge)
      return kPcpTypes * (order_max + 1U);
    return kPcpSmallLists + (splits_huge ? 2 : 1);
  }
  /// Position of the list of `order` and `type`. Checks nothing: `allows(order)`, `type` is one of the first three.
  [[nodiscard]] constexpr unsigned index(unsigned order, Migratetype type) const {
    if (order <= kCostlyOrder)
      return kPcpTypes * order + raw(type);
    return kPcpSmallLists + (splits_huge && type == Migratetype::Movable ? 1 : 0);
  }
  /// Order of the blocks on list `index`.
  [[nodiscard]] static constexpr unsigned order(unsigned index) {
    return index < kPcpSmallLists ? index / kPcpTypes : kPageblockOrder;
  }
};
static_assert(PcpShape::of(PcpLists::SplitHuge, true).index(2, Migratetype::Movable) == 7);
static_assert(PcpShape::of(PcpLists::SplitHuge, true).index(9, Migratetype::Reclaimable) == 12);
static_assert(PcpShape::of(PcpLists::SplitHuge, true).index(9, Migratetype::Movable) == 13);
static_assert(PcpShape::of(PcpLists::SharedHuge, true).index(9, Migratetype::Movable) == 12);
static_assert(PcpShape::of(PcpLists::OrderZero, true).lists() == 3);

/// What a pageset's decisions read of its zone: bits of zone_flag.
using ZoneFlags = std::uint32_t;

/// Decides what a free of an `order` block does once it is on its list, and keeps what the pageset remembers of it.
///
/// `count` includes the block. Returns the pages to give back, 0 if the pageset may keep all.
/// Source: nr_pcp_high(), nr_pcp_free() and free_unref_page_commit().
[[nodiscard]] std::int32_t plan_free(PcpState& pcp, const PcpPolicy& policy, unsigned order, ZoneFlags zone_flags);

/// What a tuned pageset remembers of every free. Source: free_unref_page_commit().
inline void note_tuned_free(PcpState& pcp, unsigned order) {
  pcp.alloc_factor = static_cast<std::uint8_t>(pcp.alloc_factor >> 1);
  pcp.previous_free_was_high = order >= 1 && order <= kCostlyOrder;
  if (pcp.free_count < pcp.batch << kPcpBatchScaleMax)
    pcp.free_count = static_cast<std::int16_t>(pcp.free_count + (1 << order));
}

/// plan_free() where its answer is plain: room on the lists, no run of high-order frees and a zone without troubles.
/// True if all is done.
[[nodiscard]] inline bool keeps_block(PcpState& pcp, const PcpPolicy& policy, unsigned order, ZoneFlags zone_flags) {
  if (pcp.count >= pcp.high || zone_flags != 0) [[unlikely]]
    return false;
  if (policy.control != PcpControl::Tuned)
    return order == 0 || pcp.free_factor == 0;
  if (order != 0 || pcp.high < pcp.high_min || pcp.high > pcp.high_max) [[unlikely]]
    return false;  // the last two: the bounds have moved, `high` follows
  note_tuned_free(pcp, 0);
  return true;
}

/// Decides how many blocks of `order` a refill of an empty list asks for, and keeps what the pageset remembers of it.
/// Source: nr_pcp_alloc().
[[nodiscard]] std::uint32_t plan_refill(PcpState& pcp, const PcpPolicy& policy, unsigned order, ZoneFlags zone_flags);

/// Lets `high` of a tuned pageset sink towards its least, about once a second.
/// Returns the pages that are too many now. Source: decay_pcp_high().
[[nodiscard]] std::int32_t decay_high(PcpState& pcp);

/// In which order the lists give one block each: the list of the k-th block to go.
///
/// Rotating bulk frees look at list 1 first, take one block there, two from the next list that has any, and so on; what
/// a list cannot give is left for the next. Source: free_pcppages_bulk() to 5.17.
class BulkRotation {
 public:
  explicit constexpr BulkRotation(TypeOrder order) : order_(order) {}
  /// The list to take the next block from, if `left` more are to go. `has_pages(list)` says which lists can give;
  /// one must.
  template <class HasPages>
  [[nodiscard]] constexpr unsigned next(std::int32_t left, HasPages&& has_pages) {
    if (quota_ == 0 || !has_pages(list())) {
      do {
        ++quota_;
        position_ = position_ + 1 == kPcpTypes ? 0 : position_ + 1;
      } while (!has_pages(list()));
      if (quota_ == static_cast<std::int32_t>(kPcpTypes))
        quota_ = left;  // the only list that has any
    }
    --quota_;
    return list();
  }

 private:
  /// Old kernels number Reclaimable before Movable; our lists do not.
  [[nodiscard]] constexpr unsigned list() const {
    return order_ == TypeOrder::MovableSecond || position_ == 0 ? position_ : kPcpTypes - position_;
  }
  TypeOrder order_;
  unsigned position_ = 0;
  std::int32_t quota_ = 0;
};

template <SyncPolicy S>
class Pcp {
 public:
  Pcp(Buddy buddy, PcpState& pcp, const PcpShape& shape, CpuId cpu)
      : buddy_(buddy), pcp_(pcp), shape_(shape), cpu_(cpu) {}

  /// Takes a block from its list, refilling an empty one from the free lists. Leaves it without a state.
  /// Returns nullopt if the free lists gave nothing either. Source: __rmqueue_pcplist().
  [[nodiscard]] std::optional<FrameIndex> take(unsigned order, Migratetype type, AllocFlags flags) {
    const unsigned list_index = shape_.index(order, type);
    if (pcp_.lists[list_index].head == kNil) [[unlikely]]
      refill(pcp_.lists[list_index], order, type, flags);
    const FrameIndex index = pcp_.template pop<S>(buddy_.env().map, list_index, order);
    return index == kNil ? std::nullopt : std::optional{index};
  }
  /// The same from the other end of the list: the page that has been here longest. Kernels with ColdPages only.
  [[nodiscard]] std::optional<FrameIndex> take_cold(Migratetype type, AllocFlags flags);

  /// Puts a block at the head of its list, under the pageblock's type as it is now, and returns pages to the free lists
  /// if the pageset is over its limit; true if it did. Source: free_unref_page_commit().
  [[gnu::always_inline]] bool put(FrameIndex index, unsigned order, Migratetype pageblock_type) {
    const MemMap& map = buddy_.env().map;
    const unsigned list_index = shape_.index(order, pcp_list_type(pageblock_type));
    pcp_.template push<S>(map, list_index, index, order);
    map.set_state(index, order, FrameState::pcp(order, pageblock_type));
    const PcpPolicy& policy = buddy_.env().rules->generation.pcp;
    if (keeps_block(pcp_, policy, order, racy<S>(buddy_.zone().flags))) [[likely]]
      return false;
    return Pcp{*this}.give_back(order, list_index);  // a copy, so that the handle is made here only
  }

  /// Returns up to `pages` pages to the free lists, beginning with list `start`, each list from its tail.
  /// A large block may make it more. Source: free_pcppages_bulk().
  void free_bulk(std::int32_t pages, unsigned start);

  /// Returns everything, in portions. Source: drain_pages_zone().
  void drain() {
    const bool all = buddy_.env().rules->generation.pcp.drain == PcpDrain::Everything;
    while (pcp_.count > 0) {
      const std::int32_t portion = pcp_.batch << kPcpBatchScaleMax;
      free_bulk(all || pcp_.count < portion ? pcp_.count : portion, 0);
    }
  }

 private:
  void refill(PcpList& list, unsigned order, Migratetype type, AllocFlags flags);
  /// Does what plan_free() says after a block of `order` was put on a list. True if it was anything.
  bool give_back(unsigned order, unsigned list_index);
  FrameIndex take_tail(PcpList& list, unsigned order);
  /// Gives the last block of a list back to the free lists. `rule` is Cached or Pageblock.
  void return_tail(unsigned list_index, PcpType rule);

  Buddy buddy_;
  PcpState& pcp_;
  const PcpShape& shape_;
  CpuId cpu_;
};

template <SyncPolicy S>
void Pcp<S>::refill(PcpList& list, unsigned order, Migratetype type, AllocFlags flags) {
  const MemMap& map = buddy_.env().map;
  const Generation& generation = buddy_.env().rules->generation;
  const std::uint32_t blocks = plan_refill(pcp_, generation.pcp, order, racy<S>(buddy_.zone().flags));
  // The plan is made all the same: it has changed what the pageset remembers.
  if (generation.reserve.refill == ReserveRefill::Refused && flags.has(alloc_flag::kHighAtomic))
    return;
  buddy_.env().trace.emit(RmqueueBulk{buddy_.zone().id, Order{order}, type, blocks, flags});
  const Guard<S> lock{buddy_.zone().lock_word};
  std::uint32_t got = 0;
  RmqueueMode mode = RmqueueMode::Normal;
  const bool counted = buddy_.counts_per_block();
  while (got < blocks) {
    const auto taken = buddy_.rmqueue(order, type, flags, mode, blocks - got);
    if (!taken)
      break;
    for (std::uint32_t i = 0; i < taken->blocks; ++i) {
      // The first block taken is the next one handed out.
      const FrameIndex index = taken->index + (FrameIndex{i} << order);
      list.append(map, index, order);
      map.set_state(index, order, FrameState::pcp(order, taken->type));
      if (!counted && taken->type == Migratetype::Cma)
        buddy_.count(ZoneStat::FreeCmaPages, -(std::int64_t{1} << order));
    }
    got += taken->blocks;
  }
  add<S>(pcp_.count, static_cast<std::int32_t>(got << order));
  // One update for the whole refill; watermark checks see the difference.
  if (!counted)
    buddy_.count(ZoneStat::FreePages, -(std::int64_t{got} << order));
}

template <SyncPolicy S>
std::optional<FrameIndex> Pcp<S>::take_cold(Migratetype type, AllocFlags flags) {
  const MemMap& map = buddy_.env().map;
  PcpList& list = pcp_.lists[shape_.index(0, type)];
  if (list.head == kNil) {
    refill(list, 0, type, flags);
    if (list.head == kNil)
      return std::nullopt;  // its tail is of no value then
    // A cold refill puts each page before the last one, so that the tail is what was taken first.
    FrameIndex before = kNil;
    for (FrameIndex at = list.head; at != kNil;) {
      const FrameIndex next = map.links(at, 0).next;
      map.links(at, 0) = {before, next};
      before = at;
      at = next;
    }
    const FrameIndex head = list.head;
    list.head = list.tail;
    list.tail = head;
  }
  return take_tail(list, 0);
}

template <SyncPolicy S>
FrameIndex Pcp<S>::take_tail(PcpList& list, unsigned order) {
  const MemMap& map = buddy_.env().map;
  const FrameIndex index = list.tail;
  if (index == list.head) {
    list.head = kNil;
  } else {
    list.tail = map.links(index, order).prev;
    map.links(list.tail, order).next = kNil;
  }
  add<S>(pcp_.count, -(std::int32_t{1} << order));
  return index;
}

template <SyncPolicy S>
void Pcp<S>::return_tail(unsigned list_index, PcpType rule) {
  const MemMap& map = buddy_.env().map;
  const unsigned order = PcpShape::order(list_index);
  const FrameIndex index = take_tail(pcp_.lists[list_index], order);
  const Migratetype type = rule == PcpType::Pageblock ? buddy_.pageblock_type(index) : map.state(index).type();
  map.set_state(index, order, FrameState{});
  buddy_.free_one_page(index, order, type);
  buddy_.env().trace.emit(MmPagePcpuDrain{map.pfn(index), Order{order}, type});
}

template <SyncPolicy S>
[[gnu::noinline]] bool Pcp<S>::give_back(unsigned order, unsigned list_index) {
  const PcpPolicy& policy = buddy_.env().rules->generation.pcp;
  std::int32_t pages = plan_free(pcp_, policy, order, racy<S>(buddy_.zone().flags));
  if (pages <= 0)
    return false;
  const bool at_once = policy.returns == PcpReturn::AtOnce;
  while (pages > 0 && pcp_.count > 0) {
    const std::int32_t portion = at_once || pages < pcp_.batch ? pages : pcp_.batch;
    free_bulk(portion, list_index);
    pages -= portion;
  }
  return true;
}

template <SyncPolicy S>
void Pcp<S>::free_bulk(std::int32_t pages, unsigned start) {
  if (pages > pcp_.count)
    pages = pcp_.count;
  const Generation& generation = buddy_.env().rules->generation;
  buddy_.env().trace.emit(FreePcppagesBulk{buddy_.zone().id, cpu_, static_cast<std::uint32_t>(pages), start});
  const Guard<S> lock{buddy_.zone().lock_word};
  // The cached type decides, even if the pageblock has changed hands since; isolation is looked up anew.
  PcpType type = generation.pcp.type;
  if (type == PcpType::CachedUnlessIsolated)
    type = buddy_.zone().nr_isolate_pageblock != 0 ? PcpType::Pageblock : PcpType::Cached;
  if (generation.pcp.bulk_order == PcpBulkOrder::Rotate) {
    BulkRotation rotation{generation.requests.type_order};
    for (; pages > 0; --pages)
      return_tail(rotation.next(pages, [&](unsigned list) { return pcp_.lists[list].head != kNil; }), type);
    return;
  }
  unsigned list_index = start;
  while (pages > 0) {
    while (pages > 0 && pcp_.lists[list_index].head != kNil) {
      pages -= std::int32_t{1} << PcpShape::order(list_index);
      return_tail(list_index, type);
    }
    list_index = list_index + 1 == shape_.lists() ? 0 : list_index + 1;
  }
}

}  // namespace mmbox
