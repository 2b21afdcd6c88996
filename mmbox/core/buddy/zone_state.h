// The state of one zone, as it lies in the machine's bytes: counters, marks and free lists.
//
// The first 128 bytes are all that an order-0 request reads of a zone. Plain data: a copy of the bytes is a snapshot.
#pragma once

#include <array>
#include <cstdint>

#include "mmbox/core/base/units.h"
#include "mmbox/core/buddy/frame.h"
#include "mmbox/core/topology/tunables.h"

namespace mmbox {

/// Indices of the watermarks. Source: enum zone_watermarks.
enum class Watermark : std::uint8_t { Min, Low, High, Promo };
inline constexpr unsigned kWatermarks = 4;

/// Zone counters that the allocator itself keeps. Source: enum zone_stat_item.
enum class ZoneStat : std::uint8_t {
  FreePages,
  FreeCmaPages,
  FreePagesBlocks,  ///< in blocks of pageblock order or more; kept by BlockCounter::Kept only
};
inline constexpr unsigned kZoneStats = 3;

/// One free list of a zone, its first block at `head`.
struct FreeList {
  FrameIndex head = kNil;
  FrameIndex tail = kNil;
  std::uint32_t blocks = 0;
};

namespace zone_flag {
inline constexpr std::uint32_t kBoostedWatermark = 1;  ///< kswapd is to be woken by the next request
inline constexpr std::uint32_t kReclaimActive = 2;     ///< kswapd is at work: per-cpu lists stay short
inline constexpr std::uint32_t kBelowHigh = 4;         ///< some request found fewer pages than the HIGH mark
}  // namespace zone_flag

/// The largest CompactionState::defer_shift. Source: COMPACT_MAX_DEFER_SHIFT.
inline constexpr std::uint32_t kMaxCompactionDeferShift = 6;

/// What compaction remembers of a zone between its runs. Written by compaction alone.
///
/// Positions are whatever the scanners left, also outside the zone: a run that begins there starts anew.
/// Source: struct zone, compact_*.
struct CompactionState {
  std::array<Pfn, 2> cached_migrate{};  ///< where the migrate scanner goes on: asynchronous, synchronous
  Pfn cached_free{};
  Pfn init_migrate{};  ///< where they began when the skip hints were last reset
  Pfn init_free{};
  std::uint32_t considered = 0;   ///< attempts since the last failure
  std::uint32_t defer_shift = 0;  ///< only one attempt of 2^defer_shift is made
  std::int32_t order_failed = 0;  ///< the smallest order that failed; smaller ones are never deferred
  bool blockskip_flush = false;   ///< a whole round went by: the skip hints may be reset
};

struct alignas(64) ZoneState {
  // -------- read by every request
  std::array<std::int64_t, kZoneStats> stat{};  ///< pages, without the per-cpu deltas
  std::array<std::int64_t, kWatermarks> watermark{};
  std::int64_t watermark_boost = 0;
  std::int64_t nr_reserved_highatomic = 0;  ///< pages
  std::uint32_t flags = 0;
  /// By migratetype: bit n is set while the list of order n is not empty.
  std::array<std::uint16_t, kMigratetypes> nonempty{};
  std::array<std::int64_t, kMaxZoneTypes> lowmem_reserve{};

  // -------- read when blocks move
  FrameIndex begin = 0;  ///< span, [begin, end)
  FrameIndex end = 0;
  std::uint32_t lock_word = 0;  ///< belongs to the locking policy
  std::uint32_t nr_isolate_pageblock = 0;
  std::int64_t nr_free_highatomic = 0;           ///< pages on HighAtomic lists, exact; ReserveDeduction::FreePages only
  std::array<std::uint32_t, kOrders> nr_free{};  ///< blocks of each order, all types together
  ZoneId id;
  NodeId node;
  ZoneIndex index;
  ZoneType type = ZoneType::Normal;
  bool is_highmem = false;
  bool interleaved = false;  ///< frames of other zones lie inside its span
  std::array<std::array<FreeList, kMigratetypes>, kOrders> lists{};

  // -------- limits and sizes
  std::int64_t spanned = 0;
  std::int64_t present = 0;
  std::int64_t managed = 0;
  std::int64_t pageset_high = 0;      ///< what per-cpu lists of this zone got when they were last sized; the least
  std::int64_t pageset_high_max = 0;  ///< PcpSizing::Range: the most
  std::int64_t pageset_batch = 1;
  std::int64_t percpu_drift_mark = 0;
  Pfn start;
  CompactionState compaction;

  [[nodiscard]] bool is_populated() const { return present != 0; }
  /// A watermark as every comparison uses it, boost included.
  [[nodiscard]] std::int64_t mark(unsigned which) const { return racy(watermark[which]) + racy(watermark_boost); }
};

}  // namespace mmbox
