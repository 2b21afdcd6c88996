// The free lists of one zone: take, split, free, merge, and move between migratetypes.
//
// A `Buddy` is a handle of a few pointers, made for one call, on one zone, for one executing CPU. It does not lock; its
// caller holds the zone lock. Above it stand pcp/ and alloc/; below it are only frame records and numbers.
//
// Invariants of a zone's lists, between calls: blocks are aligned, inside the zone and disjoint; `nr_free`, `blocks`
// and `nonempty` agree with the lists; the state of each head names its order and the type of the list it is on; two
// free buddies of an order below 9 have merged.
#pragma once

#include <cstdint>
#include <optional>

#include "mmbox/core/base/check.h"
#include "mmbox/core/base/event.h"
#include "mmbox/core/base/generation.h"
#include "mmbox/core/base/sync.h"
#include "mmbox/core/buddy/frame.h"
#include "mmbox/core/buddy/zone_state.h"

namespace mmbox {

/// What the host knows about the pages that it holds. The engine asks when a steal is weighed.
class PageContents {
 public:
  /// The pages of `[begin, end)` that could be migrated: on an LRU list, or movable by their driver. Not among them,
  /// where MovablePages::LruAndOrderOneTails holds, the second page of a compound block of two: the engine counts it.
  virtual PageCount movable_pages(Pfn begin, Pfn end) = 0;

 protected:
  ~PageContents() = default;
};

/// A zone's counter changes on one CPU that have not reached the zone yet.
struct CpuZoneStat {
  std::int16_t threshold = 0;  ///< a delta beyond it moves to the zone, whole
  std::array<std::int8_t, kZoneStats> delta{};
};

/// Direct compaction waits for a block of this shape in one zone and may take it as it is freed.
/// Source: struct capture_control.
struct CaptureControl {
  ZoneId zone;
  Order order;
  Migratetype migratetype;
  std::optional<Pfn> page;
};

/// The rules that a machine runs by; plain data in its bytes.
struct Rules {
  Generation generation = kLinux61;
  bool has_cma = false;
  bool mobility_disabled = false;  ///< small machines do not group pages by mobility
  std::uint32_t watermark_boost_factor = 0;
};

/// What all zones of a machine share: frame records, rules, and the ways outward.
struct BuddyEnv {
  MemMap map;
  const Rules* rules = nullptr;
  Trace trace;
  PageContents* contents = nullptr;   ///< nullptr: nothing in use is movable
  CaptureControl* capture = nullptr;  ///< set while the running task compacts
};

/// How far a caller that takes several blocks has got in its search; begins as Normal, and lives as long as one refill.
/// Read by FallbackRule::ClaimSteal alone. Source: enum rmqueue_mode.
enum class RmqueueMode : std::uint8_t {
  Normal,  ///< own lists first
  Cma,     ///< a block came from CMA: the own lists are empty
  Claim,
  Steal,  ///< a block was stolen: nothing can be claimed
};

/// A block just taken from the free lists, or several that lie one behind the other.
struct TakenBlock {
  FrameIndex index;
  Migratetype type;          ///< of the list it came from; the kernel's cached type
  std::uint32_t blocks = 1;  ///< how many
};

class Buddy {
 public:
  enum class Place : bool { Head, Tail };

  Buddy(const BuddyEnv& env, ZoneState& zone, CpuZoneStat& stat) : env_(env), zone_(zone), stat_(stat) {}

  [[nodiscard]] ZoneState& zone() const { return zone_; }
  [[nodiscard]] const BuddyEnv& env() const { return env_; }

  /// Adds `pages` (negative: takes them away) to the zone's free counters, through this CPU's deltas.
  /// Pages of isolated blocks are not counted at all; those of CMA blocks are counted twice.
  /// Source: __mod_zone_freepage_state().
  void count_free(std::int64_t pages, Migratetype type);
  /// The same for one counter. Source: __mod_zone_page_state().
  void count(ZoneStat item, std::int64_t pages);

  /// Takes the smallest free block of `type` that holds `order` and splits it down.
  ///
  /// Returns nullopt when this type has no block large enough; the caller may still fall back.
  /// Leaves the unused halves on the lists of the same type, one per order from `order` to the order found - 1, and the
  ///   block itself without a state. Unless counts_per_block(), the free counters are the caller's.
  /// Events: MmPageAllocZoneLocked, once, on success.
  /// With `most` above 1 it may take up to so many, which leaves everything as that many calls would: what is split off
  ///   the first block is all that the next ones can come from. Without an event sink only, which would see the calls.
  /// Source: __rmqueue_smallest() and expand().
  [[nodiscard]] std::optional<TakenBlock> rmqueue_smallest(unsigned order, Migratetype type, std::uint32_t most = 1);

  /// Takes a block for a request of `type`: its own lists, CMA, then the fallbacks.
  /// Returns nullopt if no type that may be used has a block; under NOFRAGMENT this is not out of memory.
  /// `mode` is kept by the caller between the blocks of one refill; `most` as in rmqueue_smallest().
  /// Source: __rmqueue().
  [[nodiscard]] std::optional<TakenBlock> rmqueue(unsigned order, Migratetype type, AllocFlags flags, RmqueueMode& mode,
                                                  std::uint32_t most = 1);
  /// True if taking, moving and claiming blocks updates the free counters by itself.
  [[nodiscard]] bool counts_per_block() const {
    return env_.rules->generation.free.counters == CounterTiming::PerBlock;
  }

  /// Puts a block into the free lists under `type`, merging upward as far as it goes.
  ///
  /// Without `Place::Tail` the block goes to the head, or to the tail if it is likely to merge again soon.
  /// The block has no state when this is called. Counts the pages first.
  /// Events: FreeOnePage. Source: __free_one_page().
  void free_one_page(FrameIndex index, unsigned order, Migratetype type, Place place = Place::Head);
  /// The same under the pageblock's type; the largest blocks enter by pageblocks where the generation says so.
  /// Source: free_one_page(), split_large_buddy().
  void free_block(FrameIndex index, unsigned order, Place place = Place::Head);

  /// The type that a request of `type` takes blocks of exactly `order` from when its own lists are empty.
  [[nodiscard]] std::optional<Migratetype> find_fallback(unsigned order, Migratetype type) const;

  /// Moves every free block whose head lies in the pageblock of `index` to `type`'s lists.
  ///
  /// Returns the pages moved; 0 also when the zone ends inside the pageblock. Counters change only where blocks are
  /// counted one by one; Isolate on either side is the caller's to count otherwise.
  /// Events: MoveFreepagesBlock. Source: move_freepages_block().
  PageCount move_freepages_block(FrameIndex index, Migratetype type);

  /// Sets one or two pageblocks of the zone aside as Reserve, and gives back those that are too many; 3.10 only.
  /// Pageblocks with frames that belong to no block (reserved, holes) are passed over.
  /// Source: setup_zone_migrate_reserve().
  void setup_reserve();

  /// Stores a pageblock's type; mergeable types become Unmovable while grouping by mobility is off.
  /// Source: set_pageblock_migratetype().
  void set_pageblock_type(FrameIndex index, Migratetype type);
  [[nodiscard]] Migratetype pageblock_type(FrameIndex index) const { return racy(env_.map.pageblock(index).type); }
  /// Stores the type of each pageblock of a block of `order`, at least one. Source: change_pageblock_range().
  void set_pageblock_types(FrameIndex index, unsigned order, Migratetype type);
  /// True if the zone spans the whole pageblock of `index`.
  [[nodiscard]] bool spans_pageblock(FrameIndex index) const;

  /// Pages in use from `first`, a pageblock's or the zone's first frame, to the end of its pageblock that count as
  /// movable when it is weighed.
  [[nodiscard]] std::uint32_t movable_pages_of(FrameIndex first) const;

  // ---- list primitives: counters, types and events are the caller's

  /// Puts a block without state on a list.
  void insert(FrameIndex index, unsigned order, Migratetype type, Place place);
  /// Unlinks a free block and leaves it without state. Returns the type of the list it was on.
  Migratetype remove(FrameIndex index, unsigned order);
  /// Moves a free block of `order` to another type's list.
  void move_to(FrameIndex index, unsigned order, Migratetype type, Place place) {
    remove(index, order);
    insert(index, order, type, place);
  }
  void move_to_tail(FrameIndex index, unsigned order, Migratetype type) { move_to(index, order, type, Place::Tail); }
  /// Turns the ring of a list so that this block of it becomes the first. False if it is that already.
  /// Source: move_freelist_head(), mm/compaction.c.
  bool rotate_to_head(FrameIndex index, unsigned order);
  /// The same, so that this block becomes the last. Source: move_freelist_tail().
  bool rotate_to_tail(FrameIndex index, unsigned order) {
    const FrameIndex next = env_.map.links(index, order).next;
    return next != kNil && rotate_to_head(next, order);
  }
  /// The free block that holds `index`, if it is free: its head's index. Looks upward through the orders.
  [[nodiscard]] std::optional<FrameIndex> free_block_of(FrameIndex index) const;

 private:
  [[nodiscard]] bool in_zone(FrameIndex index) const;
  [[nodiscard]] bool buddy_merge_likely(FrameIndex index, unsigned order) const;
  [[nodiscard]] bool capture(FrameIndex index, unsigned order, Migratetype type);
  [[nodiscard]] bool may_join(FrameIndex buddy, Migratetype type);
  void count_listed(unsigned order, Migratetype type, std::int64_t blocks);
  // Take, Move and MoveSmallest, ClaimSteal: the ways to another type's blocks.
  [[nodiscard]] std::optional<TakenBlock> rmqueue_take(unsigned order, Migratetype type);
  [[nodiscard]] std::optional<TakenBlock> rmqueue_move(unsigned order, Migratetype type, AllocFlags flags);
  [[nodiscard]] std::optional<TakenBlock> rmqueue_claim_steal(unsigned order, Migratetype type, AllocFlags flags,
                                                              RmqueueMode& mode);
  [[nodiscard]] std::optional<TakenBlock> take_fallback(unsigned order, Migratetype type);
  [[nodiscard]] bool move_fallback(unsigned order, Migratetype type, AllocFlags flags);
  void steal_suitable_fallback(FrameIndex index, unsigned order, Migratetype type, AllocFlags flags, bool whole_block);
  [[nodiscard]] std::optional<TakenBlock> claim(unsigned order, Migratetype type, AllocFlags flags);
  [[nodiscard]] std::optional<TakenBlock> steal(unsigned order, Migratetype type);

  // What they have in common.
  [[nodiscard]] unsigned lowest_fallback_order(unsigned order, AllocFlags flags) const;
  [[nodiscard]] bool cma_comes_first(bool cma) const;
  [[nodiscard]] bool is_worth_claiming(FrameIndex first, std::uint32_t free_pages, std::uint32_t movable,
                                       Migratetype type, Migratetype old_type) const;
  void boost_for(AllocFlags flags);
  [[nodiscard]] bool boost_watermark();
  /// Lists what is left of a block, of which the first `used` pages are taken. Source: expand().
  void list_rest(FrameIndex index, unsigned order, FrameIndex used, Migratetype type);
  void report_fallback(FrameIndex index, unsigned order, unsigned found, Migratetype type, Migratetype fallback) const;

  const BuddyEnv& env_;
  ZoneState& zone_;
  CpuZoneStat& stat_;
};

/// True if a request of `type` that takes a foreign block of `order` goes for the whole pageblock.
/// Source: can_steal_fallback().
[[nodiscard]] constexpr bool can_steal_fallback(unsigned order, Migratetype type, bool mobility_disabled) {
  return order >= kPageblockOrder / 2 || type == Migratetype::Reclaimable || type == Migratetype::Unmovable ||
         mobility_disabled;
}

}  // namespace mmbox
