// The allocator's exact state at one moment, as a recording's SNAP … ENDSNAP block has it: plain data, no behaviour.
//
// Read from a script log (script_log.h), made from an engine, compared (compare.h) and written back. What was read is
// written back byte for byte. Numbers of migratetypes are translated to core's; everything else is as the kernel has
// it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mmbox/core/base/migratetype.h"
#include "mmbox/core/base/units.h"
#include "mmbox/lab/error.h"

namespace mmbox::lab {

/// One `key=value` of a line.
struct KeyValue {
  std::string key;
  std::string value;
  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};
using KeyValues = std::vector<KeyValue>;

/// A kernel variable, a SYM line.
struct SnapshotSymbol {
  std::string name;
  std::string value;  ///< decimal; "absent" if this kernel does not have the variable
  friend bool operator==(const SnapshotSymbol&, const SnapshotSymbol&) = default;
};

/// An online CPU: one word of the CPUS line.
struct SnapshotCpu {
  CpuId cpu;
  NodeId node;
  NodeId memory_node;  ///< nearest node with memory: where "-1" requests of this CPU begin
  friend bool operator==(const SnapshotCpu&, const SnapshotCpu&) = default;
};

/// One entry of a zonelist.
struct SnapshotZoneRef {
  NodeId node;
  ZoneType type{};
  ZoneIndex index;
  friend bool operator==(const SnapshotZoneRef&, const SnapshotZoneRef&) = default;
};

/// NODE, NK, ND, NS and the two ZL lines of one online node.
struct SnapshotNode {
  NodeId id;
  Pfn start;
  PageCount spanned;
  PageCount present;
  PageCount totalreserve;
  PageCount min_unmapped;
  PageCount min_slab;
  std::uint64_t flags = 0;  ///< pgdat->flags
  KeyValues more;           ///< further pairs of the NODE line

  std::int32_t kswapd_order = 0;
  std::int32_t kswapd_highest_zone = 0;  ///< a zone index; the number of zone types stands for "none"
  std::int32_t kswapd_failures = 0;
  std::int32_t kcompactd_order = 0;
  std::int32_t kcompactd_highest_zone = 0;
  std::optional<std::int32_t> kswapd_waiting;     ///< 1: kswapd sleeps; 7.2 skips the node of a running one at first
  std::optional<std::int32_t> proactive_compact;  ///< since 5.15
  KeyValues more_daemons;                         ///< further pairs of the NK line

  std::vector<std::pair<NodeId, std::uint32_t>> distances;  ///< to each online node; 10 is local
  std::vector<std::int64_t> vm_stat;                        ///< node counters, in the kernel's enum order
  /// Shape: [0: fallback, 1: __GFP_THISNODE][position].
  std::array<std::vector<SnapshotZoneRef>, 2> zonelists;
};

/// Number of per-cpu lists at the most: order 0 … 3 by type, and two of pageblock order.
inline constexpr unsigned kPcpLists = 14;
/// The order of the pages on per-cpu list `index` (the kernel's pindex).
/// Checks: `index` < kPcpLists.
[[nodiscard]] constexpr Order pcp_index_order(unsigned index) {
  return Order{index < 12 ? index / kPcpTypes : kPageblockOrder};
}
/// The type that stands for per-cpu list `index`; of the two large ones 12 holds what does not move, 13 what does.
[[nodiscard]] constexpr Migratetype pcp_index_type(unsigned index) {
  return index == 13 ? Migratetype::Movable
                     : (index == 12 ? Migratetype::Unmovable : static_cast<Migratetype>(index % kPcpTypes));
}

/// A page (or block) on a per-cpu list.
struct PcpPage {
  Pfn pfn;
  /// Until 6.9 the type kept in the page, under which it returns to the free lists. Later kernels keep none, and this
  /// is the list's own (see pcp_index_type).
  Migratetype cached_type{};
  friend bool operator==(const PcpPage&, const PcpPage&) = default;
};

/// ZSD, PCP and the PL lines: one CPU's part of one zone.
struct SnapshotZoneCpu {
  CpuId cpu;
  std::int32_t stat_threshold = 0;
  std::vector<std::int32_t> vm_stat_diff;  ///< not yet folded into the zone's counters; item 0 is NR_FREE_PAGES

  std::int32_t count = 0;  ///< base pages
  std::int32_t high = 0;
  std::int32_t batch = 0;
  std::optional<std::int32_t> free_factor;  ///< 5.14 … 6.6
  std::optional<std::int32_t> high_min;     ///< since 6.7, as are the next four
  std::optional<std::int32_t> high_max;
  std::optional<std::int32_t> flags;
  std::optional<std::int32_t> alloc_factor;
  std::optional<std::int32_t> free_count;
  std::int32_t expire = 0;
  KeyValues more;  ///< further pairs of the PCP line
  /// By pindex, each list head first: the head is what the next request gets.
  std::array<std::vector<PcpPage>, kPcpLists> lists;
};

/// The free blocks of one order.
struct SnapshotFreeArea {
  /// By migratetype (core's number), each list head first.
  std::array<std::vector<Pfn>, kMigratetypes> lists;
  std::uint64_t free_blocks = 0;  ///< nr_free
};

/// A pageblock that has memory: a PB line.
struct SnapshotPageblock {
  Pfn start;
  Migratetype type{};
  bool skip = false;                ///< compaction's hint
  std::uint32_t buddy_pages = 0;    ///< a free block of order 10 is counted whole where it begins
  std::uint32_t movable_pages = 0;  ///< on an LRU list or movable by their driver: what a steal weighs
  std::uint32_t reserved_pages = 0;
  std::uint32_t other_zone_pages = 0;
  friend bool operator==(const SnapshotPageblock&, const SnapshotPageblock&) = default;
};

/// The comment that stands before the PB lines.
inline constexpr std::string_view kPageblockComment =
    "# PB start_pfn migratetype skip nr_buddy nr_lru_or_movable nr_reserved nr_other_zone";

/// ZONE to the last PB line: one populated zone. Watermarks are as stored, without the boost.
struct SnapshotZone {
  NodeId node;
  ZoneIndex index;
  ZoneType type{};
  Pfn start;
  PageCount spanned;
  PageCount present;
  PageCount managed;
  KeyValues more;  ///< further pairs of the ZONE line

  PageCount min;
  PageCount low;
  PageCount high;
  std::optional<PageCount> promo;  ///< since 5.18
  PageCount boost;
  PageCount reserved_highatomic;
  std::uint64_t flags = 0;  ///< bit 0 boosted watermark, bit 1 reclaim active, …
  PageCount drift_mark;     ///< percpu_drift_mark
  std::uint64_t isolated_pageblocks = 0;
  bool contiguous = false;
  bool initialized = false;
  std::optional<std::int32_t> pageset_high;      ///< 5.14 … 6.6
  std::optional<std::int32_t> pageset_high_min;  ///< since 6.7
  std::optional<std::int32_t> pageset_high_max;  ///< since 6.7
  std::optional<std::int32_t> pageset_batch;     ///< since 5.14
  std::optional<std::uint64_t> free_highatomic;  ///< pages; since 6.12
  std::optional<std::uint64_t> cma;              ///< pages; with CMA
  KeyValues more_watermarks;                     ///< further pairs of the ZW line

  std::vector<std::int64_t> lowmem_reserve;  ///< pages, by zone index of the request

  /// Compaction's memory (ZC).
  Pfn compact_cached_free;
  std::array<Pfn, 2> compact_cached_migrate;  ///< for asynchronous and for synchronous compaction
  Pfn compact_init_migrate;
  Pfn compact_init_free;
  std::uint32_t compact_considered = 0;
  std::uint32_t compact_defer_shift = 0;
  std::int32_t compact_order_failed = 0;
  bool compact_blockskip_flush = false;
  KeyValues more_compaction;  ///< further pairs of the ZC line

  std::vector<std::int64_t> vm_stat;  ///< zone counters, in the kernel's enum order; item 0 is NR_FREE_PAGES
  std::vector<SnapshotZoneCpu> cpus;
  std::array<SnapshotFreeArea, kOrders> free_areas;
  std::vector<std::string> comments{std::string{kPageblockComment}};  ///< whole lines, before the PB lines
  std::vector<SnapshotPageblock> pageblocks;                          ///< ascending
  std::vector<PfnRange> holes;  ///< pageblocks without memory; ascending, disjoint, maximal

  [[nodiscard]] Pfn end() const { return start + spanned; }
  /// "Node 0, zone Normal".
  [[nodiscard]] std::string name() const;
};

/// One snapshot.
struct Snapshot {
  std::string label;
  KeyValues info;                     ///< the SNAP line: cpu, clock, migrate_types, release, …
  std::vector<std::string> comments;  ///< whole lines, written after the SNAP line
  std::vector<SnapshotSymbol> symbols;
  std::vector<SnapshotCpu> cpus;
  std::vector<SnapshotNode> nodes;
  std::vector<SnapshotZone> zones;  ///< populated ones: those of the first node by index, then the next node's
  KeyValues end_info;               ///< the ENDSNAP line
  /// What the reader found doubtful but not wrong, such as a per-cpu count that differs from its lists. Not written.
  std::vector<std::string> doubts;

  /// The value of a pair of the SNAP line; nullopt if there is none.
  [[nodiscard]] std::optional<std::string_view> value(std::string_view key) const;
  /// The kernel's release; nullopt in older recordings of 6.1.
  [[nodiscard]] std::optional<std::string_view> release() const { return value("release"); }
  /// How the kernel numbers migratetypes: 6 types (with CMA) or 5.
  [[nodiscard]] MigratetypeNumbering numbering() const { return MigratetypeNumbering{value("migrate_types") == "6"}; }
  /// A kernel variable as a number; nullopt if it is missing, "absent" or not in the range of the result.
  [[nodiscard]] std::optional<std::int64_t> symbol(std::string_view name) const;
  [[nodiscard]] const SnapshotZone* zone(NodeId node, ZoneIndex index) const;
};

/// Appends the SNAP … ENDSNAP block of `snapshot` to `out`.
///
/// What `read` gave is written byte for byte, if the pairs of each line stood in the order in which the recorder
/// writes them; pairs that mmbox does not know go to the end of their line.
void write(const Snapshot& snapshot, std::string& out);

/// Takes a snapshot line by line.
///
/// Feed it the SNAP line first, then each following line without its newline, until a call returns true (ENDSNAP);
/// then `take` the result once. An Error (without file and line) ends it: the state is of no use afterwards.
/// Holds to the format strictly: every section once, in the recorder's order, lists as long as FLN and FA say, every
/// block aligned, inside its zone, on memory, and in one place only.
class SnapshotParser {
 public:
  SnapshotParser();
  SnapshotParser(SnapshotParser&&) noexcept;
  SnapshotParser& operator=(SnapshotParser&&) noexcept;
  ~SnapshotParser();
  [[nodiscard]] Expected<bool> feed(std::string_view line);
  /// Legal once, after a `feed` that returned true.
  [[nodiscard]] Snapshot take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mmbox::lab
