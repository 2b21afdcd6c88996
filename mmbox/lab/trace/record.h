// One event of a trace, whatever file it came from.
//
// The allocator's and compaction's tracepoints are core's event records (mmbox/core/base/event.h). Beside them stand
// what reclaim and the OOM killer say, and what the recordings' probes tell about steps that have no tracepoint.
// How each is called in a file and which fields it has there is data: mmbox/lab/trace/schema.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <variant>

#include "mmbox/core/base/event.h"
#include "mmbox/core/base/units.h"

namespace mmbox::lab {

/// The highest zone index where a trace does not tell it (text of kswapd's wake events).
inline constexpr ZoneIndex kZoneNotTold{255};

// ------------------------------------------------------------------ reclaim

struct MmVmscanKswapdSleep {
  NodeId node;
};
struct MmVmscanKswapdWake {
  NodeId node;
  ZoneIndex highest;  ///< kZoneNotTold in text
  std::int32_t order;
};
struct MmVmscanBalancePgdatBegin {
  NodeId node;
  std::int32_t order;
  ZoneIndex highest;
};
struct MmVmscanBalancePgdatEnd : MmVmscanBalancePgdatBegin {
  std::uint64_t nr_reclaimed;
};
struct MmVmscanDirectReclaimBegin {
  std::int32_t order;
  Gfp gfp;
};
struct MmVmscanDirectReclaimEnd {
  std::uint64_t nr_reclaimed;
};
struct MmVmscanNodeReclaimBegin {
  NodeId node;
  std::int32_t order;
  Gfp gfp;
};
struct MmVmscanNodeReclaimEnd {
  std::uint64_t nr_reclaimed;
};
struct MmShrinkSlabStart {
  NodeId node;
  Gfp gfp;
  std::int32_t priority;
  std::int64_t nr_objects_to_shrink;
  std::uint64_t cache_items;
  std::uint64_t delta;
  std::uint64_t total_scan;
};
struct MmShrinkSlabEnd {
  NodeId node;
  std::int64_t unused_scan;
  std::int64_t new_scan;
  std::int64_t total_scan;
  std::int32_t retval;
};
struct MmVmscanLruIsolate {
  ZoneIndex highest;
  std::int32_t order;
  std::uint64_t nr_requested;
  std::uint64_t nr_scanned;
  std::uint64_t nr_skipped;
  std::uint64_t nr_taken;
  std::uint32_t isolate_mode;  ///< 0 since 6.7, which does not tell it
  std::int32_t lru;            ///< enum lru_list
};
/// vmscan:mm_vmscan_reclaim_pages (7.x), and what mm_vmscan_lru_shrink_inactive begins with. Counts are of one batch.
struct MmVmscanReclaimPages {
  NodeId node;
  std::uint32_t nr_scanned;
  std::uint32_t nr_reclaimed;
  std::uint32_t nr_dirty;
  std::uint32_t nr_writeback;
  std::uint32_t nr_congested;
  std::uint32_t nr_immediate;
  std::uint32_t nr_activate_anon;
  std::uint32_t nr_activate_file;
  std::uint32_t nr_ref_keep;
  std::uint32_t nr_unmap_fail;
};
struct MmVmscanLruShrinkInactive : MmVmscanReclaimPages {
  std::int8_t priority;
  std::uint8_t reclaim_flags;  ///< RECLAIM_WB_*
};
struct MmVmscanLruShrinkActive {
  NodeId node;
  std::uint64_t nr_taken;
  std::uint64_t nr_active;
  std::uint64_t nr_deactivated;
  std::uint64_t nr_referenced;
  std::int32_t priority;
  std::uint32_t reclaim_flags;
};
/// migrate:mm_migrate_pages. Unit: pages, and huge pages for thp_*.
struct MmMigratePages {
  std::uint64_t succeeded;
  std::uint64_t failed;
  std::uint64_t thp_succeeded;
  std::uint64_t thp_failed;
  std::uint64_t thp_split;
  std::int32_t mode;    ///< enum migrate_mode
  std::int32_t reason;  ///< enum migrate_reason
};

// ------------------------------------------------------------------ oom

struct OomScoreAdjUpdate {
  std::int32_t task;
  std::int32_t oom_score_adj;
};
struct ReclaimRetryZone {
  NodeId node;
  ZoneIndex zone;
  std::int32_t order;
  std::uint64_t reclaimable;
  std::uint64_t available;
  std::uint64_t min_wmark;
  std::int32_t no_progress_loops;
  bool wmark_check;
};
struct CompactRetry {
  std::int32_t order;
  std::int32_t priority;
  std::int32_t result;  ///< 1 failed, 2 withdrawn, 3 progress
  std::int32_t retries;
  std::int32_t max_retries;
  bool should_retry;
};
struct MarkVictim {
  std::int32_t task;
};

// ------------------------------------------------------------------ the recordings' probes

/// What the probes of the recordings tell: entries of functions that change the allocator's state without a tracepoint.
///
/// `zone`, `pcp`, `control`, … are kernel addresses: they tell two of a kind apart, and mean nothing else. Page
/// pointers have become pfns; kNoPfn stands for a null pointer.
namespace probe {

/// mmoracle:mmo_free_one, at each __free_one_page(). A block enters the buddy.
struct FreeOne {
  Pfn pfn;
  Order order;
  Migratetype migratetype;
  std::int32_t fpi;  ///< FPI flags; 2: to the tail
  NodeId node;
  ZoneIndex zone;
  Pfn captured;  ///< the block that is handed to direct compaction instead; Pfn{0}: none
};
/// mmoracle:mmo_head. Compaction rotated a movable free list: its head now.
struct ListHead {
  Pfn pfn;
  Order order;
  NodeId node;
  ZoneIndex zone;
};
/// steal_suitable_fallback(), up to 6.8.
struct Steal {
  std::uint64_t zone;
  Pfn page;
  AllocFlags flags;
  Migratetype start_type;
  bool whole_block;
};
/// move_freepages_block(), up to 6.8.
struct MoveFreepagesBlock {
  std::uint64_t zone;
  Pfn page;
  Migratetype migratetype;
};
/// __move_freepages_block(), since 6.10.
struct MoveBlock {
  std::uint64_t zone;
  Pfn start;
  Migratetype old_type;
  Migratetype new_type;
};
/// move_freepages_block(), since 6.10: a high-atomic reserve, unreserve or __isolate_free_page. MoveBlock follows.
struct MoveBlockP {
  std::uint64_t zone;
  Pfn page;
  Migratetype old_type;
  Migratetype new_type;
};
/// set_pfnblock_flags_mask(). Mask 7: `flags` is a migratetype in the kernel's numbering; mask 8: the skip bit.
struct SetPageblockFlags {
  std::uint64_t flags;
  Pfn pfn;
  std::uint64_t mask;
};
/// __set_pfnblock_flags_mask() of 7.2: sets a pageblock's type.
struct SetPageblockMigratetype {
  Pfn pfn;
  std::uint32_t migratetype;  ///< the kernel's numbering
};
/// __isolate_free_page(): compaction wants a free block.
struct IsolateFree {
  Pfn page;
  Order order;
};
/// Its answer. 0: refused by the watermark.
struct IsolateFreeRet {
  std::int32_t got_pages;
};
struct PutbackIsolated {
  Pfn page;
  Order order;
  Migratetype migratetype;
};
struct FreePagesOk {
  Pfn page;
  Order order;
  std::uint32_t fpi;
};
struct FreePcppagesBulk {
  std::uint64_t zone;
  std::int32_t count;
  std::uint64_t pcp;
  std::int32_t pindex;
};
struct RmqueueBulk {
  std::uint64_t zone;
  Order order;
  std::uint64_t count;
  Migratetype migratetype;
  AllocFlags flags;
};
/// get_page_from_freelist() is called.
struct GetPage {
  Gfp gfp;
  Order order;
  AllocFlags flags;
};
struct UnreserveHighatomic {
  std::uint64_t context;
  bool force;
};
struct DrainZone {
  std::uint32_t cpu;
  std::uint64_t zone;
};
struct DrainZonePages {
  std::uint64_t zone;
  std::uint64_t pcp;
};
/// drain_pages() of 5.10.
struct DrainPages {
  std::uint32_t cpu;
};
/// decay_pcp_high(), since 6.7.
struct DecayPcp {
  std::uint64_t zone;
  std::uint64_t pcp;
};
/// refresh_cpu_vm_stats(): this CPU's counter deltas are folded.
struct FoldVmstat {
  bool do_pagesets;
};
struct SplitPage {
  Pfn page;
  Order order;
};
struct SplitFreePage {
  Pfn page;
  Order order;
  std::uint64_t offset_pages;
};
struct BulkAlloc {
  Gfp gfp;
  std::int32_t node;  ///< -1: the CPU's own
  std::int32_t pages;
};
struct NodeReclaim {
  std::uint64_t node;
  Gfp gfp;
  Order order;
};
/// wakeup_kswapd() is called, also where it then decides against waking.
struct WakeupKswapdCall {
  std::uint64_t zone;
  Gfp gfp;
  Order order;
  ZoneIndex highest;
};
struct ResetIsolation {
  std::uint64_t zone;
  Pfn pfn;
  bool check_source;
  bool check_target;
};
struct ResetIsolationSuitable {
  std::uint64_t zone;
};
/// isolate_migratepages_block().
struct IsolateMigrate {
  std::uint64_t control;
  Pfn low;
  Pfn end;
  std::uint32_t mode;
};
/// isolate_freepages_block().
struct IsolateFreeBlock {
  std::uint64_t control;
  Pfn start;
  Pfn end;
  std::uint32_t stride;
  bool strict;
};
/// What compaction_alloc() returned.
struct CompactionAllocRet {
  Pfn page;
};
struct CompactionFree {
  Pfn page;
};

}  // namespace probe

// ------------------------------------------------------------------ what belongs to the trace itself

/// A `print` event: text written into the trace, such as "mmo: snapshot-begin LABEL". Lives until the reader's next
/// call.
struct Marker {
  std::string_view text;
};
/// The ring buffer was overrun before the event that follows.
struct Lost {
  static constexpr std::uint64_t kUnknownCount = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t events;
};
/// An event that mmbox does not use. The name lives until the reader's next call.
struct Unknown {
  std::string_view name;
};

/// Any event; Unknown{} by default. Small: a replay looks tens of thousands of them ahead.
using TraceEvent =
    std::variant<Unknown, MmPageAlloc, MmPageFree, MmPageFreeBatched, MmPageAllocZoneLocked, MmPagePcpuDrain,
                 MmPageAllocExtfrag,
                 MmVmscanWakeupKswapd,                                                                             //
                 MmCompactionIsolateMigratepages, MmCompactionIsolateFreepages, MmCompactionFastIsolateFreepages,  //
                 MmCompactionMigratepages, MmCompactionBegin, MmCompactionEnd, MmCompactionTryToCompactPages,      //
                 MmCompactionSuitable, MmCompactionFinished, MmCompactionDeferred, MmCompactionDeferCompaction,    //
                 MmCompactionDeferReset, MmCompactionKcompactdSleep, MmCompactionWakeupKcompactd,                  //
                 MmCompactionKcompactdWake,                                                                        //
                 MmVmscanKswapdSleep, MmVmscanKswapdWake, MmVmscanBalancePgdatBegin, MmVmscanBalancePgdatEnd,      //
                 MmVmscanDirectReclaimBegin, MmVmscanDirectReclaimEnd, MmVmscanNodeReclaimBegin,                   //
                 MmVmscanNodeReclaimEnd, MmShrinkSlabStart, MmShrinkSlabEnd, MmVmscanLruIsolate,                   //
                 MmVmscanReclaimPages, MmVmscanLruShrinkInactive, MmVmscanLruShrinkActive, MmMigratePages,         //
                 OomScoreAdjUpdate, ReclaimRetryZone, CompactRetry, MarkVictim,                                    //
                 probe::FreeOne, probe::ListHead, probe::Steal, probe::MoveFreepagesBlock, probe::MoveBlock,       //
                 probe::MoveBlockP, probe::SetPageblockFlags, probe::SetPageblockMigratetype, probe::IsolateFree,  //
                 probe::IsolateFreeRet, probe::PutbackIsolated, probe::FreePagesOk, probe::FreePcppagesBulk,       //
                 probe::RmqueueBulk, probe::GetPage, probe::UnreserveHighatomic, probe::DrainZone,                 //
                 probe::DrainZonePages, probe::DrainPages, probe::DecayPcp, probe::FoldVmstat, probe::SplitPage,   //
                 probe::SplitFreePage, probe::BulkAlloc, probe::NodeReclaim, probe::WakeupKswapdCall,              //
                 probe::ResetIsolation, probe::ResetIsolationSuitable, probe::IsolateMigrate,                      //
                 probe::IsolateFreeBlock, probe::CompactionAllocRet, probe::CompactionFree,                        //
                 Marker, Lost>;

/// The name of a task: at most 15 bytes, as in the kernel; empty where a trace does not tell it.
class Comm {
 public:
  constexpr Comm() = default;
  /// Keeps the first 15 bytes.
  constexpr explicit Comm(std::string_view text)
      : size_(static_cast<std::uint8_t>(std::min<std::size_t>(text.size(), 15))) {
    std::copy_n(text.begin(), size_, text_.begin());
  }
  [[nodiscard]] constexpr std::string_view view() const { return {text_.data(), size_}; }
  friend constexpr bool operator==(const Comm&, const Comm&) = default;

 private:
  std::array<char, 15> text_{};
  std::uint8_t size_ = 0;
};

/// One line of a trace.
struct TraceRecord {
  /// Nanoseconds, or a plain count where the trace was taken with the `counter` clock; never decreasing in a sound
  /// trace.
  std::uint64_t timestamp = 0;
  CpuId cpu;
  std::int32_t pid = 0;
  Comm comm;
  TraceEvent event;
};
static_assert(std::is_trivially_copyable_v<TraceRecord>);
static_assert(sizeof(TraceEvent) <= 56, "a replay's window should not outgrow the caches");

}  // namespace mmbox::lab
