// What happened, as records: one type per kernel tracepoint, and a few for steps that the kernel does not announce.
//
// Core reports the *why* of each step sideways, through an `EventSink` that the host may attach. Without one nothing is
// built. The order of the calls is the kernel's order of events (03 §11).
#pragma once

#include <cstdint>

#include "mmbox/core/base/gfp.h"
#include "mmbox/core/base/migratetype.h"
#include "mmbox/core/base/units.h"

namespace mmbox {

/// kmem:mm_page_alloc. One per request, also a failed one.
struct MmPageAlloc {
  Pfn pfn;  ///< kNoPfn if the request failed
  Order order;
  Gfp gfp;
  Migratetype migratetype;  ///< of the request
};
/// The pfn of a failed request in binary traces.
inline constexpr Pfn kNoPfn{~0ULL};

/// kmem:mm_page_free. One per free call, before the block goes anywhere.
struct MmPageFree {
  Pfn pfn;
  Order order;
};

/// kmem:mm_page_free_batched. A page of a freed list reaches its per-cpu list.
struct MmPageFreeBatched {
  Pfn pfn;
};

/// kmem:mm_page_alloc_zone_locked. A block left the free lists (after the split).
struct MmPageAllocZoneLocked {
  Pfn pfn;
  Order order;
  Migratetype migratetype;  ///< of the list it was taken from
  bool percpu_refill;       ///< order and type may have per-cpu lists; not that it went to one
};

/// kmem:mm_page_pcpu_drain. A block goes from a per-cpu list back to the free lists.
struct MmPagePcpuDrain {
  Pfn pfn;
  Order order;
  Migratetype migratetype;  ///< the type under which it is freed
};

/// kmem:mm_page_alloc_extfrag. A request took from another type's block.
struct MmPageAllocExtfrag {
  Pfn pfn;
  Order alloc_order;
  Order fallback_order;
  Migratetype alloc_migratetype;
  Migratetype fallback_migratetype;
  bool change_ownership;  ///< the pageblock's type equals the request's afterwards
};

/// vmscan:mm_vmscan_wakeup_kswapd: kswapd of `node` is woken (a refused wake has no event).
struct MmVmscanWakeupKswapd {
  NodeId node;
  ZoneIndex highest;
  Order order;
  Gfp gfp;
};

// ------------------------------------------------------------- compaction

/// compaction:mm_compaction_isolate_migratepages: the migrate scanner went through `[start, end)`.
struct MmCompactionIsolateMigratepages {
  Pfn start;
  Pfn end;
  std::uint64_t nr_scanned;
  std::uint64_t nr_taken;
};
/// compaction:mm_compaction_isolate_freepages: so did the free scanner.
struct MmCompactionIsolateFreepages : MmCompactionIsolateMigratepages {};
/// The free scanner took blocks from the lists. Since 6.x.
struct MmCompactionFastIsolateFreepages : MmCompactionIsolateMigratepages {};
/// compaction:mm_compaction_migratepages: what became of the pages that were isolated last.
struct MmCompactionMigratepages {
  std::uint64_t nr_migrated;
  std::uint64_t nr_failed;
};
/// compaction:mm_compaction_begin: one zone is compacted; both scanners' first pageblocks.
struct MmCompactionBegin {
  Pfn zone_start;
  Pfn migrate_pfn;
  Pfn free_pfn;
  Pfn zone_end;
  bool sync;
};
struct MmCompactionEnd : MmCompactionBegin {
  std::int32_t status;  ///< enum compact_result, 07 §3
};
struct MmCompactionTryToCompactPages {
  std::int32_t order;
  Gfp gfp;
  std::int32_t priority;
};
/// compaction:mm_compaction_suitable and _finished. `order` is -1 when the whole node is compacted.
struct MmCompactionSuitable {
  NodeId node;
  ZoneIndex zone;
  std::int32_t order;
  std::int32_t result;
};
struct MmCompactionFinished : MmCompactionSuitable {};
/// compaction:mm_compaction_deferred: the zone is left alone this time. `order` is the request's.
struct MmCompactionDeferred {
  NodeId node;
  ZoneIndex zone;
  std::int32_t order;
  std::uint32_t considered;
  std::uint32_t defer_shift;
  std::int32_t order_failed;
};
struct MmCompactionDeferCompaction : MmCompactionDeferred {};
struct MmCompactionDeferReset : MmCompactionDeferred {};
struct MmCompactionKcompactdSleep {
  NodeId node;
};
struct MmCompactionWakeupKcompactd {
  NodeId node;
  std::int32_t order;
  ZoneIndex highest;
};
struct MmCompactionKcompactdWake : MmCompactionWakeupKcompactd {};

/// A page in use was copied and its frame freed. Source: unmap_and_move(), mm/migrate.c.
struct PageMigrated {
  Pfn from;
  Pfn to;
};
/// A page kept its frame; `target` goes back to the free scanner's pages. Source: compaction_free().
struct PageNotMigrated {
  Pfn page;
  Pfn target;
};

// ------------------------------------------------------------- steps without a tracepoint

/// A block enters the free lists with this type, before it merges. Source: __free_one_page().
struct FreeOnePage {
  Pfn pfn;
  Order order;
  Migratetype migratetype;
  bool to_tail;
};
/// A free block of another type is about to be moved or claimed. Source: steal_suitable_fallback().
struct StealFallback {
  Pfn pfn;
  Order order;
  Migratetype start_type;
  bool whole_block;
};
/// How a steal weighed the pageblock: claimed if free + alike ≥ half of it. Follows StealFallback.
struct StealWeighed {
  Pfn pageblock;
  std::uint32_t free_pages;
  std::uint32_t alike_pages;
  bool claimed;
};
/// The free blocks of a pageblock move to another type's lists. Source: move_freepages_block().
struct MoveFreepagesBlock {
  Pfn pfn;
  Migratetype migratetype;
  std::uint32_t moved_pages;
};
/// A pageblock's type changes. Source: set_pageblock_migratetype().
struct SetPageblockType {
  Pfn pfn;
  Migratetype migratetype;
};
/// A per-cpu list is about to be refilled with up to `blocks` blocks. Source: rmqueue_bulk().
struct RmqueueBulk {
  ZoneId zone;
  Order order;
  Migratetype migratetype;
  std::uint32_t blocks;
  AllocFlags flags;
};
/// Per-cpu pages are about to return to the free lists. Source: free_pcppages_bulk().
struct FreePcppagesBulk {
  ZoneId zone;
  CpuId cpu;
  std::uint32_t pages;
  std::uint32_t list_index;
};
/// What one zone of the zonelist answered.
enum class ZoneVerdict : std::uint8_t {
  Cpuset,            ///< the cpuset forbids its node
  DirtyLimit,        ///< its node has too many dirty pages for this writer
  RestartLocality,   ///< NOFRAGMENT is dropped: a local fallback beats a remote zone
  KswapdBusy,        ///< its node's kswapd runs: passed over in the first round
  BelowWatermark,    ///< not enough free pages, or no block of the size
  ReclaimTooFar,     ///< below the mark, and node reclaim is off or the node too far
  ReclaimNoScan,     ///< node_reclaim() did not try
  ReclaimFull,       ///< node_reclaim() found nothing to take
  ReclaimNotEnough,  ///< node_reclaim() worked, the mark is still not met
  NoBlock,           ///< passed the checks, but no block could be taken
  Passed,            ///< all checks passed; a block is taken unless NoBlock follows
};
/// One zone was looked at for a request. Source: the loop of get_page_from_freelist().
struct ZoneChecked {
  ZoneId zone;
  ZoneVerdict verdict;
  AllocFlags flags;
  std::int64_t free_pages;      ///< NR_FREE_PAGES as the check saw it
  std::int64_t unusable_pages;  ///< deducted for this request
  std::int64_t mark;            ///< watermark with boost, before the request's discounts
  std::int64_t lowmem_reserve;
};
/// An attempt at the free lists begins. Source: get_page_from_freelist().
struct AttemptBegins {
  Gfp gfp;
  Order order;
  AllocFlags flags;
  ZoneIndex highest;
};
/// A pageblock becomes part of the high-atomic reserve, or leaves it.
struct HighAtomicReserve {
  Pfn pfn;
  bool reserved;
  std::uint32_t reserved_pages;  ///< of the zone, afterwards
};
/// A zone's watermark is boosted after a fallback. Source: boost_watermark().
struct WatermarkBoost {
  ZoneId zone;
  std::uint64_t boost;
};

/// Receives what happens, in the kernel's order. Every handler does nothing unless overridden.
class EventSink {
 public:
  virtual void on(const MmPageAlloc&) {}
  virtual void on(const MmPageFree&) {}
  virtual void on(const MmPageFreeBatched&) {}
  virtual void on(const MmPageAllocZoneLocked&) {}
  virtual void on(const MmPagePcpuDrain&) {}
  virtual void on(const MmPageAllocExtfrag&) {}
  virtual void on(const MmVmscanWakeupKswapd&) {}
  virtual void on(const MmCompactionIsolateMigratepages&) {}
  virtual void on(const MmCompactionIsolateFreepages&) {}
  virtual void on(const MmCompactionMigratepages&) {}
  virtual void on(const MmCompactionBegin&) {}
  virtual void on(const MmCompactionEnd&) {}
  virtual void on(const MmCompactionTryToCompactPages&) {}
  virtual void on(const MmCompactionSuitable&) {}
  virtual void on(const MmCompactionFinished&) {}
  virtual void on(const MmCompactionDeferred&) {}
  virtual void on(const MmCompactionDeferCompaction&) {}
  virtual void on(const MmCompactionDeferReset&) {}
  virtual void on(const MmCompactionKcompactdSleep&) {}
  virtual void on(const MmCompactionWakeupKcompactd&) {}
  virtual void on(const MmCompactionKcompactdWake&) {}
  virtual void on(const PageMigrated&) {}
  virtual void on(const PageNotMigrated&) {}
  virtual void on(const FreeOnePage&) {}
  virtual void on(const StealFallback&) {}
  virtual void on(const StealWeighed&) {}
  virtual void on(const MoveFreepagesBlock&) {}
  virtual void on(const SetPageblockType&) {}
  virtual void on(const RmqueueBulk&) {}
  virtual void on(const FreePcppagesBulk&) {}
  virtual void on(const ZoneChecked&) {}
  virtual void on(const AttemptBegins&) {}
  virtual void on(const HighAtomicReserve&) {}
  virtual void on(const WatermarkBoost&) {}

 protected:
  ~EventSink() = default;
};

/// Where core reports to; nothing is built while no sink is attached.
class Trace {
 public:
  void attach(EventSink* sink) { sink_ = sink; }
  [[nodiscard]] EventSink* sink() const { return sink_; }
  template <class Event>
  void emit(const Event& event) const {
    if (sink_ != nullptr) [[unlikely]] {
      const Event told = event;  // a copy, so that the event is made here only
      sink_->on(told);
    }
  }

 private:
  EventSink* sink_ = nullptr;
};

}  // namespace mmbox
