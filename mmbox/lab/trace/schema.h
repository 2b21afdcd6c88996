// What the events are called in files and which fields they have there, as data.
//
// One table per event serves all directions: the binary reader looks field names up in a trace's format descriptions,
// the text readers look for "name=", the text writer fills the event's text, and the compact form packs the fields by
// their `Coding`. A new event is a struct in record.h and an entry here.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/trace/record.h"

namespace mmbox::lab {

/// What readers must know of the traced kernel to understand its numbers.
struct FieldContext {
  const GfpLayout* gfp;
  MigratetypeNumbering migratetypes{false};
  std::uint64_t vmemmap_base = 0xffffea0000000000;  ///< address of the `struct page` of pfn 0
};
/// Bytes of a `struct page`.
inline constexpr std::uint64_t kStructPageSize = 64;

/// How the compact form packs a field.
enum class Coding : std::uint8_t {
  Symbol,  ///< few distinct values: part of the event's dictionary entry
  Delta,   ///< a place: distance from the last one
  Value,   ///< a count
};

/// A word that text prints for a number.
struct Symbol {
  std::int64_t value;
  std::string_view text;
};

inline constexpr std::size_t kFieldNamesMax = 4;

/// One field of the event `E`, or of its base.
///
/// `names` are tried in order: those of binary formats, then those that only text uses. A name with '*' in front is
/// that of a `struct page` pointer; one that ends in ' ' is followed by its value instead of by '='.
template <class E, class T>
struct Field {
  using Value = T;
  T E::*member;
  std::array<std::string_view, kFieldNamesMax> names;
  Coding coding;
  bool required = true;
  bool zero_is_none = false;  ///< text writes a missing page as pfn 0
  std::span<const Symbol> symbols = {};

  [[nodiscard]] constexpr Field optional() const {
    Field copy = *this;
    copy.required = false;
    return copy;
  }
  [[nodiscard]] constexpr Field or_none() const {
    Field copy = *this;
    copy.zero_is_none = true;
    return copy;
  }
  [[nodiscard]] constexpr Field with(std::span<const Symbol> words) const {
    Field copy = *this;
    copy.symbols = words;
    return copy;
  }
  /// Not what its type suggests.
  [[nodiscard]] constexpr Field coded(Coding other) const {
    Field copy = *this;
    copy.coding = other;
    return copy;
  }
};

template <class E, class T>
constexpr Field<E, T> field(T E::*member, std::string_view name, std::string_view second = {},
                            std::string_view third = {}, std::string_view fourth = {}) {
  constexpr bool kIsWide = std::is_same_v<T, std::uint64_t> || std::is_same_v<T, std::int64_t>;
  constexpr Coding kCoding = std::is_same_v<T, Pfn> ? Coding::Delta : kIsWide ? Coding::Value : Coding::Symbol;
  return {.member = member, .names = {name, second, third, fourth}, .coding = kCoding};
}
/// A count of 32 bits: unlike other numbers as narrow it takes many values.
template <class E>
constexpr Field<E, std::uint32_t> count(std::uint32_t E::*member, std::string_view name, std::string_view second = {}) {
  return field(member, name, second).coded(Coding::Value);
}
/// An opaque kernel address.
template <class E>
constexpr Field<E, std::uint64_t> address(std::uint64_t E::*member, std::string_view name) {
  return field(member, name).coded(Coding::Symbol);
}

// ------------------------------------------------------------------ values

/// The number as the kernel records it.
constexpr std::uint64_t to_raw(Pfn value, const FieldContext&) {
  return value.raw();
}
constexpr std::uint64_t to_raw(Order value, const FieldContext&) {
  return value.raw();
}
inline std::uint64_t to_raw(Gfp value, const FieldContext& context) {
  return context.gfp->encode(value);
}
constexpr std::uint64_t to_raw(Migratetype value, const FieldContext& context) {
  return context.migratetypes.number(value);
}
constexpr std::uint64_t to_raw(AllocFlags value, const FieldContext&) {
  return value.raw();
}
template <class Tag, class Rep>
constexpr std::uint64_t to_raw(detail::Index<Tag, Rep> value, const FieldContext&) {
  return value.raw();
}
template <std::integral T>
constexpr std::uint64_t to_raw(T value, const FieldContext&) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
}

/// Takes a recorded number over, sign-extended to 64 bits. False if it is out of range for what it means.
constexpr bool from_raw(std::uint64_t raw, const FieldContext&, Pfn& value) {
  value = Pfn{raw};
  return true;
}
constexpr bool from_raw(std::uint64_t raw, const FieldContext&, Order& value) {
  value = Order{static_cast<unsigned>(raw & 0xff)};
  return raw <= kMaxPageOrder;
}
inline bool from_raw(std::uint64_t raw, const FieldContext& context, Gfp& value) {
  value = context.gfp->decode(static_cast<std::uint32_t>(raw));
  return raw <= 0xffffffff;
}
constexpr bool from_raw(std::uint64_t raw, const FieldContext& context, Migratetype& value) {
  if (raw >= context.migratetypes.count())
    return false;
  value = context.migratetypes.type(static_cast<unsigned>(raw));
  return true;
}
constexpr bool from_raw(std::uint64_t raw, const FieldContext&, AllocFlags& value) {
  value = AllocFlags{static_cast<std::uint32_t>(raw)};
  return raw <= 0xffffffff;
}
constexpr bool from_raw(std::uint64_t raw, const FieldContext&, NodeId& value) {
  value = NodeId{static_cast<std::size_t>(raw & 0xffff)};
  return raw < 1024;  // MAX_NUMNODES of the largest configuration
}
constexpr bool from_raw(std::uint64_t raw, const FieldContext&, ZoneIndex& value) {
  value = ZoneIndex{static_cast<std::size_t>(raw & 0xff)};
  return raw < 8 || value == kZoneNotTold;
}
constexpr bool from_raw(std::uint64_t raw, const FieldContext&, bool& value) {
  value = raw != 0;
  return true;
}
template <std::integral T>
constexpr bool from_raw(std::uint64_t raw, const FieldContext&, T& value) {
  value = static_cast<T>(raw);
  if constexpr (sizeof(T) == 8)
    return true;
  // A number of 32 bits may come sign-extended or not.
  using Wide = std::conditional_t<std::is_signed_v<T>, std::int32_t, std::uint32_t>;
  return static_cast<Wide>(raw) == value && ((raw >> 32) == 0 || (raw >> 31) == 0x1ffffffff);
}

/// The pfn of a `struct page` pointer: kNoPfn for null. False if it points at no page.
constexpr bool page_to_pfn(std::uint64_t address, const FieldContext& context, std::uint64_t& pfn) {
  pfn = kNoPfn.raw();
  if (address == 0)
    return true;
  if (address < context.vmemmap_base)
    return false;
  pfn = (address - context.vmemmap_base) / kStructPageSize;
  return true;
}
constexpr std::uint64_t pfn_to_page(Pfn pfn, const FieldContext& context) {
  return pfn == kNoPfn ? 0 : context.vmemmap_base + pfn.raw() * kStructPageSize;
}

// ------------------------------------------------------------------ words

inline constexpr Symbol kZoneWords[] = {{0, "DMA"}, {1, "DMA32"}, {2, "Normal"}, {3, "Movable"}, {4, "Device"}};
inline constexpr Symbol kSyncWords[] = {{0, "async"}, {1, "sync"}};
// enum compact_result; 5.x counts the same way.
inline constexpr Symbol kCompactWords[] = {{0, "not_suitable_zone"}, {1, "skipped"},   {2, "deferred"},
                                           {3, "no_suitable_page"},  {4, "continue"},  {5, "complete"},
                                           {6, "partial_skipped"},   {7, "contended"}, {8, "success"}};
inline constexpr Symbol kPriorityWords[] = {
    {0, "COMPACT_PRIO_SYNC_FULL"}, {1, "COMPACT_PRIO_SYNC_LIGHT"}, {2, "COMPACT_PRIO_ASYNC"}};
inline constexpr Symbol kRetryWords[] = {{1, "failed"}, {2, "withdrawn"}, {3, "progress"}};
inline constexpr Symbol kLruWords[] = {
    {0, "inactive_anon"}, {1, "active_anon"}, {2, "inactive_file"}, {3, "active_file"}, {4, "unevictable"}};
inline constexpr Symbol kMigrateModeWords[] = {
    {0, "MIGRATE_ASYNC"}, {1, "MIGRATE_SYNC_LIGHT"}, {2, "MIGRATE_SYNC"}, {3, "MIGRATE_SYNC_NO_COPY"}};
inline constexpr Symbol kMigrateReasonWords[] = {
    {0, "compaction"},      {1, "memory_failure"}, {2, "memory_hotplug"}, {3, "syscall_or_cpuset"},
    {4, "mempolicy_mbind"}, {5, "numa_misplaced"}, {6, "contig_range"},   {7, "longterm_pin"},
    {8, "demotion"},        {9, "damon"}};
// Joined with '|' in text.
inline constexpr Symbol kReclaimWords[] = {{0, "RECLAIM_WB_NONE"}, {1, "RECLAIM_WB_ANON"},  {2, "RECLAIM_WB_FILE"},
                                           {4, "RECLAIM_WB_SYNC"}, {8, "RECLAIM_WB_ASYNC"}, {16, "RECLAIM_WB_MIXED"}};

// ------------------------------------------------------------------ the table

/// What an event is called ("system:name"), its fields, and its text. In kText, {N} stands for field N in decimal,
/// {Nx} in hex with 0x, {Ng} for flag names, {Ns} and {NS} for its word (padded to 8), {Nr} for reclaim flags, {Nb} for
/// 1 << N, {Np} for the page pointer.
template <class E>
struct Schema;

template <>
struct Schema<MmPageAlloc> {
  static constexpr std::string_view kName = "kmem:mm_page_alloc";
  static constexpr std::tuple kFields{field(&MmPageAlloc::pfn, "pfn", "*page").or_none(),
                                      field(&MmPageAlloc::order, "order"), field(&MmPageAlloc::gfp, "gfp_flags"),
                                      field(&MmPageAlloc::migratetype, "migratetype")};
  static constexpr std::string_view kText = "page={0p} pfn={0n} order={1} migratetype={3} gfp_flags={2g}";
};
template <>
struct Schema<MmPageFree> {
  static constexpr std::string_view kName = "kmem:mm_page_free";
  static constexpr std::tuple kFields{field(&MmPageFree::pfn, "pfn", "*page"), field(&MmPageFree::order, "order")};
  static constexpr std::string_view kText = "page={0p} pfn={0x} order={1}";
};
template <>
struct Schema<MmPageFreeBatched> {
  static constexpr std::string_view kName = "kmem:mm_page_free_batched";
  static constexpr std::tuple kFields{field(&MmPageFreeBatched::pfn, "pfn", "*page")};
  static constexpr std::string_view kText = "page={0p} pfn={0x} order=0";
};
template <>
struct Schema<MmPageAllocZoneLocked> {
  using E = MmPageAllocZoneLocked;
  static constexpr std::string_view kName = "kmem:mm_page_alloc_zone_locked";
  static constexpr std::tuple kFields{field(&E::pfn, "pfn", "*page").or_none(), field(&E::order, "order"),
                                      field(&E::migratetype, "migratetype"),
                                      field(&E::percpu_refill, "percpu_refill").optional()};
  static constexpr std::string_view kText = "page={0p} pfn={0n} order={1} migratetype={2} percpu_refill={3}";
  /// Before 5.13 the field was not recorded, and printed from the order.
  static constexpr void complete(E& event, std::uint32_t missing) {
    if ((missing & 1U << 3) != 0)
      event.percpu_refill = event.order == Order{0};
  }
};
template <>
struct Schema<MmPagePcpuDrain> {
  using E = MmPagePcpuDrain;
  static constexpr std::string_view kName = "kmem:mm_page_pcpu_drain";
  static constexpr std::tuple kFields{field(&E::pfn, "pfn", "*page"), field(&E::order, "order"),
                                      field(&E::migratetype, "migratetype")};
  static constexpr std::string_view kText = "page={0p} pfn={0x} order={1} migratetype={2}";
};
template <>
struct Schema<MmPageAllocExtfrag> {
  using E = MmPageAllocExtfrag;
  static constexpr std::string_view kName = "kmem:mm_page_alloc_extfrag";
  static constexpr std::tuple kFields{field(&E::pfn, "pfn", "*page"),
                                      field(&E::alloc_order, "alloc_order"),
                                      field(&E::fallback_order, "fallback_order"),
                                      field(&E::alloc_migratetype, "alloc_migratetype"),
                                      field(&E::fallback_migratetype, "fallback_migratetype"),
                                      field(&E::change_ownership, "change_ownership")};
  static constexpr std::string_view kText =
      "page={0p} pfn={0x} alloc_order={1} fallback_order={2} pageblock_order={2P} alloc_migratetype={3} "
      "fallback_migratetype={4} fragmenting={2f} change_ownership={5}";
};
template <>
struct Schema<MmVmscanWakeupKswapd> {
  using E = MmVmscanWakeupKswapd;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_wakeup_kswapd";
  static constexpr std::tuple kFields{field(&E::node, "nid"), field(&E::highest, "zid").optional(),
                                      field(&E::order, "order"), field(&E::gfp, "gfp_flags")};
  static constexpr std::string_view kText = "nid={0} order={2} gfp_flags={3g}";
  static constexpr void complete(E& event, std::uint32_t missing) {
    if ((missing & 1U << 1) != 0)
      event.highest = kZoneNotTold;
  }
};

template <>
struct Schema<MmCompactionIsolateMigratepages> {
  using E = MmCompactionIsolateMigratepages;
  static constexpr std::string_view kName = "compaction:mm_compaction_isolate_migratepages";
  static constexpr std::tuple kFields{field(&E::start, "start_pfn", "range=("), field(&E::end, "end_pfn", "~ "),
                                      field(&E::nr_scanned, "nr_scanned"), field(&E::nr_taken, "nr_taken")};
  static constexpr std::string_view kText = "range=({0x} ~ {1x}) nr_scanned={2} nr_taken={3}";
};
template <>
struct Schema<MmCompactionIsolateFreepages> : Schema<MmCompactionIsolateMigratepages> {
  static constexpr std::string_view kName = "compaction:mm_compaction_isolate_freepages";
};
template <>
struct Schema<MmCompactionFastIsolateFreepages> : Schema<MmCompactionIsolateMigratepages> {
  static constexpr std::string_view kName = "compaction:mm_compaction_fast_isolate_freepages";
};
template <>
struct Schema<MmCompactionMigratepages> {
  using E = MmCompactionMigratepages;
  static constexpr std::string_view kName = "compaction:mm_compaction_migratepages";
  static constexpr std::tuple kFields{field(&E::nr_migrated, "nr_migrated"), field(&E::nr_failed, "nr_failed")};
  static constexpr std::string_view kText = "nr_migrated={0} nr_failed={1}";
};
template <>
struct Schema<MmCompactionBegin> {
  using E = MmCompactionBegin;
  static constexpr std::string_view kName = "compaction:mm_compaction_begin";
  static constexpr std::tuple kFields{field(&E::zone_start, "zone_start"), field(&E::migrate_pfn, "migrate_pfn"),
                                      field(&E::free_pfn, "free_pfn"), field(&E::zone_end, "zone_end"),
                                      field(&E::sync, "sync", "mode").with(kSyncWords)};
  static constexpr std::string_view kText = "zone_start={0x} migrate_pfn={1x} free_pfn={2x} zone_end={3x}, mode={4s}";
};
template <>
struct Schema<MmCompactionEnd> {
  static constexpr std::string_view kName = "compaction:mm_compaction_end";
  static constexpr auto kFields = std::tuple_cat(
      Schema<MmCompactionBegin>::kFields, std::tuple{field(&MmCompactionEnd::status, "status").with(kCompactWords)});
  static constexpr std::string_view kText =
      "zone_start={0x} migrate_pfn={1x} free_pfn={2x} zone_end={3x}, mode={4s} status={5s}";
};
template <>
struct Schema<MmCompactionTryToCompactPages> {
  using E = MmCompactionTryToCompactPages;
  static constexpr std::string_view kName = "compaction:mm_compaction_try_to_compact_pages";
  static constexpr std::tuple kFields{field(&E::order, "order"), field(&E::gfp, "gfp_mask"),
                                      field(&E::priority, "prio", "priority")};
  static constexpr std::string_view kText = "order={0} gfp_mask={1g} priority={2}";
};
template <>
struct Schema<MmCompactionSuitable> {
  using E = MmCompactionSuitable;
  static constexpr std::string_view kName = "compaction:mm_compaction_suitable";
  static constexpr std::tuple kFields{field(&E::node, "nid", "node"), field(&E::zone, "idx", "zone").with(kZoneWords),
                                      field(&E::order, "order"), field(&E::result, "ret").with(kCompactWords)};
  static constexpr std::string_view kText = "node={0} zone={1S} order={2} ret={3s}";
};
template <>
struct Schema<MmCompactionFinished> : Schema<MmCompactionSuitable> {
  static constexpr std::string_view kName = "compaction:mm_compaction_finished";
};
template <>
struct Schema<MmCompactionDeferred> {
  using E = MmCompactionDeferred;
  static constexpr std::string_view kName = "compaction:mm_compaction_deferred";
  static constexpr std::tuple kFields{field(&E::node, "nid", "node"),
                                      field(&E::zone, "idx", "zone").with(kZoneWords),
                                      field(&E::order, "order"),
                                      field(&E::considered, "considered", "consider"),
                                      field(&E::defer_shift, "defer_shift", "1<<limit"),
                                      field(&E::order_failed, "order_failed")};
  static constexpr std::string_view kText = "node={0} zone={1S} order={2} order_failed={5} consider={3} limit={4b}";
};
template <>
struct Schema<MmCompactionDeferCompaction> : Schema<MmCompactionDeferred> {
  static constexpr std::string_view kName = "compaction:mm_compaction_defer_compaction";
};
template <>
struct Schema<MmCompactionDeferReset> : Schema<MmCompactionDeferred> {
  static constexpr std::string_view kName = "compaction:mm_compaction_defer_reset";
};
template <>
struct Schema<MmCompactionKcompactdSleep> {
  static constexpr std::string_view kName = "compaction:mm_compaction_kcompactd_sleep";
  static constexpr std::tuple kFields{field(&MmCompactionKcompactdSleep::node, "nid")};
  static constexpr std::string_view kText = "nid={0}";
};
template <>
struct Schema<MmCompactionWakeupKcompactd> {
  using E = MmCompactionWakeupKcompactd;
  static constexpr std::string_view kName = "compaction:mm_compaction_wakeup_kcompactd";
  static constexpr std::tuple kFields{field(&E::node, "nid"), field(&E::order, "order"),
                                      field(&E::highest, "highest_zoneidx", "classzone_idx").with(kZoneWords)};
  static constexpr std::string_view kText = "nid={0} order={1} classzone_idx={2S}";
};
template <>
struct Schema<MmCompactionKcompactdWake> : Schema<MmCompactionWakeupKcompactd> {
  static constexpr std::string_view kName = "compaction:mm_compaction_kcompactd_wake";
};

template <>
struct Schema<MmVmscanKswapdSleep> {
  static constexpr std::string_view kName = "vmscan:mm_vmscan_kswapd_sleep";
  static constexpr std::tuple kFields{field(&MmVmscanKswapdSleep::node, "nid")};
  static constexpr std::string_view kText = "nid={0}";
};
template <>
struct Schema<MmVmscanKswapdWake> {
  using E = MmVmscanKswapdWake;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_kswapd_wake";
  static constexpr std::tuple kFields{field(&E::node, "nid"), field(&E::highest, "zid").optional(),
                                      field(&E::order, "order")};
  static constexpr std::string_view kText = "nid={0} order={2}";
  static constexpr void complete(E& event, std::uint32_t missing) {
    if ((missing & 1U << 1) != 0)
      event.highest = kZoneNotTold;
  }
};
template <>
struct Schema<MmVmscanBalancePgdatBegin> {
  using E = MmVmscanBalancePgdatBegin;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_balance_pgdat_begin";
  static constexpr std::tuple kFields{field(&E::node, "nid"), field(&E::order, "order"),
                                      field(&E::highest, "highest_zoneidx").with(kZoneWords)};
  static constexpr std::string_view kText = "nid={0} order={1} highest_zoneidx={2S}";
};
template <>
struct Schema<MmVmscanBalancePgdatEnd> {
  static constexpr std::string_view kName = "vmscan:mm_vmscan_balance_pgdat_end";
  static constexpr auto kFields =
      std::tuple_cat(Schema<MmVmscanBalancePgdatBegin>::kFields,
                     std::tuple{field(&MmVmscanBalancePgdatEnd::nr_reclaimed, "nr_reclaimed")});
  static constexpr std::string_view kText = "nid={0} order={1} highest_zoneidx={2S} nr_reclaimed={3}";
};
template <>
struct Schema<MmVmscanDirectReclaimBegin> {
  using E = MmVmscanDirectReclaimBegin;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_direct_reclaim_begin";
  static constexpr std::tuple kFields{field(&E::order, "order"), field(&E::gfp, "gfp_flags")};
  static constexpr std::string_view kText = "order={0} gfp_flags={1g}";
};
template <>
struct Schema<MmVmscanDirectReclaimEnd> {
  static constexpr std::string_view kName = "vmscan:mm_vmscan_direct_reclaim_end";
  static constexpr std::tuple kFields{field(&MmVmscanDirectReclaimEnd::nr_reclaimed, "nr_reclaimed")};
  static constexpr std::string_view kText = "nr_reclaimed={0}";
};
template <>
struct Schema<MmVmscanNodeReclaimBegin> {
  using E = MmVmscanNodeReclaimBegin;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_node_reclaim_begin";
  static constexpr std::tuple kFields{field(&E::node, "nid"), field(&E::order, "order"), field(&E::gfp, "gfp_flags")};
  static constexpr std::string_view kText = "nid={0} order={1} gfp_flags={2g}";
};
template <>
struct Schema<MmVmscanNodeReclaimEnd> {
  static constexpr std::string_view kName = "vmscan:mm_vmscan_node_reclaim_end";
  static constexpr std::tuple kFields{field(&MmVmscanNodeReclaimEnd::nr_reclaimed, "nr_reclaimed")};
  static constexpr std::string_view kText = "nr_reclaimed={0}";
};
template <>
struct Schema<MmShrinkSlabStart> {
  using E = MmShrinkSlabStart;
  static constexpr std::string_view kName = "vmscan:mm_shrink_slab_start";
  static constexpr std::tuple kFields{field(&E::node, "nid", "nid: "),
                                      field(&E::nr_objects_to_shrink, "nr_objects_to_shrink", "objects to shrink "),
                                      field(&E::gfp, "gfp_flags", "gfp_flags "),
                                      field(&E::cache_items, "cache_items", "cache items "),
                                      field(&E::delta, "delta", "delta "),
                                      field(&E::total_scan, "total_scan", "total_scan "),
                                      field(&E::priority, "priority", "priority ")};
  static constexpr std::string_view kText =
      "nid: {0} objects to shrink {1} gfp_flags {2g} cache items {3} delta {4} total_scan {5} priority {6}";
};
template <>
struct Schema<MmShrinkSlabEnd> {
  using E = MmShrinkSlabEnd;
  static constexpr std::string_view kName = "vmscan:mm_shrink_slab_end";
  static constexpr std::tuple kFields{
      field(&E::node, "nid", "nid: "), field(&E::unused_scan, "unused_scan", "unused scan count "),
      field(&E::new_scan, "new_scan", "new scan count "), field(&E::total_scan, "total_scan", "total_scan "),
      field(&E::retval, "retval", "last shrinker return val ")};
  static constexpr std::string_view kText =
      "nid: {0} unused scan count {1} new scan count {2} total_scan {3} last shrinker return val {4}";
};
template <>
struct Schema<MmVmscanLruIsolate> {
  using E = MmVmscanLruIsolate;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_lru_isolate";
  static constexpr std::tuple kFields{field(&E::highest, "highest_zoneidx", "classzone_idx", "classzone"),
                                      field(&E::order, "order"),
                                      field(&E::nr_requested, "nr_requested"),
                                      field(&E::nr_scanned, "nr_scanned"),
                                      field(&E::nr_skipped, "nr_skipped"),
                                      field(&E::nr_taken, "nr_taken"),
                                      field(&E::isolate_mode, "isolate_mode").optional(),
                                      field(&E::lru, "lru").with(kLruWords)};
  static constexpr std::string_view kText =
      "isolate_mode={6} classzone={0} order={1} nr_requested={2} nr_scanned={3} nr_skipped={4} nr_taken={5} lru={7s}";
};
template <>
struct Schema<MmVmscanReclaimPages> {
  using E = MmVmscanReclaimPages;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_reclaim_pages";
  static constexpr std::tuple kFields{field(&E::node, "nid"),
                                      count(&E::nr_scanned, "nr_scanned"),
                                      count(&E::nr_reclaimed, "nr_reclaimed"),
                                      count(&E::nr_dirty, "nr_dirty"),
                                      count(&E::nr_writeback, "nr_writeback"),
                                      count(&E::nr_congested, "nr_congested"),
                                      count(&E::nr_immediate, "nr_immediate"),
                                      count(&E::nr_activate_anon, "nr_activate0", "nr_activate_anon"),
                                      count(&E::nr_activate_file, "nr_activate1", "nr_activate_file"),
                                      count(&E::nr_ref_keep, "nr_ref_keep"),
                                      count(&E::nr_unmap_fail, "nr_unmap_fail")};
  static constexpr std::string_view kText =
      "nid={0} nr_scanned={1} nr_reclaimed={2} nr_dirty={3} nr_writeback={4} nr_congested={5} nr_immediate={6} "
      "nr_activate_anon={7} nr_activate_file={8} nr_ref_keep={9} nr_unmap_fail={10}";
};
template <>
struct Schema<MmVmscanLruShrinkInactive> {
  using E = MmVmscanLruShrinkInactive;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_lru_shrink_inactive";
  static constexpr auto kFields =
      std::tuple_cat(Schema<MmVmscanReclaimPages>::kFields,
                     std::tuple{field(&E::priority, "priority"),
                                field(&E::reclaim_flags, "reclaim_flags", "flags").with(kReclaimWords)});
  static constexpr std::string_view kText =
      "nid={0} nr_scanned={1} nr_reclaimed={2} nr_dirty={3} nr_writeback={4} nr_congested={5} nr_immediate={6} "
      "nr_activate_anon={7} nr_activate_file={8} nr_ref_keep={9} nr_unmap_fail={10} priority={11} flags={12r}";
};
template <>
struct Schema<MmVmscanLruShrinkActive> {
  using E = MmVmscanLruShrinkActive;
  static constexpr std::string_view kName = "vmscan:mm_vmscan_lru_shrink_active";
  static constexpr std::tuple kFields{field(&E::node, "nid"),
                                      field(&E::nr_taken, "nr_taken"),
                                      field(&E::nr_active, "nr_active"),
                                      field(&E::nr_deactivated, "nr_deactivated"),
                                      field(&E::nr_referenced, "nr_referenced"),
                                      field(&E::priority, "priority"),
                                      field(&E::reclaim_flags, "reclaim_flags", "flags").with(kReclaimWords)};
  static constexpr std::string_view kText =
      "nid={0} nr_taken={1} nr_active={2} nr_deactivated={3} nr_referenced={4} priority={5} flags={6r}";
};
template <>
struct Schema<MmMigratePages> {
  using E = MmMigratePages;
  static constexpr std::string_view kName = "migrate:mm_migrate_pages";
  static constexpr std::tuple kFields{field(&E::succeeded, "succeeded", "nr_succeeded"),
                                      field(&E::failed, "failed", "nr_failed"),
                                      field(&E::thp_succeeded, "thp_succeeded", "nr_thp_succeeded").optional(),
                                      field(&E::thp_failed, "thp_failed", "nr_thp_failed").optional(),
                                      field(&E::thp_split, "thp_split", "nr_thp_split").optional(),
                                      field(&E::mode, "mode").with(kMigrateModeWords),
                                      field(&E::reason, "reason").with(kMigrateReasonWords)};
  static constexpr std::string_view kText =
      "nr_succeeded={0} nr_failed={1} nr_thp_succeeded={2} nr_thp_failed={3} nr_thp_split={4} mode={5s} reason={6s}";
};

template <>
struct Schema<OomScoreAdjUpdate> {
  using E = OomScoreAdjUpdate;
  static constexpr std::string_view kName = "oom:oom_score_adj_update";
  static constexpr std::tuple kFields{field(&E::task, "pid"), field(&E::oom_score_adj, "oom_score_adj")};
  static constexpr std::string_view kText = "pid={0} oom_score_adj={1}";
};
template <>
struct Schema<ReclaimRetryZone> {
  using E = ReclaimRetryZone;
  static constexpr std::string_view kName = "oom:reclaim_retry_zone";
  static constexpr std::tuple kFields{field(&E::node, "node"),
                                      field(&E::zone, "zone_idx", "zone").with(kZoneWords),
                                      field(&E::order, "order"),
                                      field(&E::reclaimable, "reclaimable"),
                                      field(&E::available, "available"),
                                      field(&E::min_wmark, "min_wmark"),
                                      field(&E::no_progress_loops, "no_progress_loops"),
                                      field(&E::wmark_check, "wmark_check")};
  static constexpr std::string_view kText =
      "node={0} zone={1S} order={2} reclaimable={3} available={4} min_wmark={5} no_progress_loops={6} wmark_check={7}";
};
template <>
struct Schema<CompactRetry> {
  using E = CompactRetry;
  static constexpr std::string_view kName = "oom:compact_retry";
  static constexpr std::tuple kFields{field(&E::order, "order"),
                                      field(&E::priority, "priority").with(kPriorityWords),
                                      field(&E::result, "result", "compaction_result").with(kRetryWords),
                                      field(&E::retries, "retries"),
                                      field(&E::max_retries, "max_retries"),
                                      field(&E::should_retry, "ret", "should_retry")};
  static constexpr std::string_view kText =
      "order={0} priority={1s} compaction_result={2s} retries={3} max_retries={4} should_retry={5}";
};
template <>
struct Schema<MarkVictim> {
  static constexpr std::string_view kName = "oom:mark_victim";
  static constexpr std::tuple kFields{field(&MarkVictim::task, "pid")};
  static constexpr std::string_view kText = "pid={0}";
};

template <>
struct Schema<probe::FreeOne> {
  using E = probe::FreeOne;
  static constexpr std::string_view kName = "mmoracle:mmo_free_one";
  static constexpr std::tuple kFields{field(&E::pfn, "pfn"),
                                      field(&E::order, "order"),
                                      field(&E::migratetype, "mt"),
                                      field(&E::fpi, "fpi"),
                                      field(&E::node, "node"),
                                      field(&E::zone, "zone"),
                                      field(&E::captured, "captured").coded(Coding::Symbol)};
  static constexpr std::string_view kText = "pfn={0x} order={1} mt={2} fpi={3} node={4} zone={5} captured={6x}";
};
template <>
struct Schema<probe::ListHead> {
  using E = probe::ListHead;
  static constexpr std::string_view kName = "mmoracle:mmo_head";
  static constexpr std::tuple kFields{field(&E::pfn, "pfn"), field(&E::order, "order"), field(&E::node, "node"),
                                      field(&E::zone, "zone")};
  static constexpr std::string_view kText = "pfn={0x} order={1} node={2} zone={3}";
};
template <>
struct Schema<probe::Steal> {
  using E = probe::Steal;
  static constexpr std::string_view kName = "mmo:steal";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::page, "*page"), field(&E::flags, "aflags"),
                                      field(&E::start_type, "start"), field(&E::whole_block, "whole")};
  static constexpr std::string_view kText = "zone={0x} page={1p} aflags={2x} start={3} whole={4}";
};
template <>
struct Schema<probe::MoveFreepagesBlock> {
  using E = probe::MoveFreepagesBlock;
  static constexpr std::string_view kName = "mmo:move_freepages_block";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::page, "*page"),
                                      field(&E::migratetype, "mt")};
  static constexpr std::string_view kText = "zone={0x} page={1p} mt={2}";
};
template <>
struct Schema<probe::MoveBlock> {
  using E = probe::MoveBlock;
  static constexpr std::string_view kName = "mmo:move_block";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::start, "start"),
                                      field(&E::old_type, "oldmt"), field(&E::new_type, "newmt")};
  static constexpr std::string_view kText = "zone={0x} start={1x} oldmt={2} newmt={3}";
};
template <>
struct Schema<probe::MoveBlockP> {
  using E = probe::MoveBlockP;
  static constexpr std::string_view kName = "mmo:move_block_p";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::page, "*page"), field(&E::old_type, "oldmt"),
                                      field(&E::new_type, "newmt")};
  static constexpr std::string_view kText = "zone={0x} page={1p} oldmt={2} newmt={3}";
};
template <>
struct Schema<probe::SetPageblockFlags> {
  using E = probe::SetPageblockFlags;
  static constexpr std::string_view kName = "mmo:set_pb_flags";
  static constexpr std::tuple kFields{address(&E::flags, "flags"), field(&E::pfn, "pfn"), address(&E::mask, "mask")};
  static constexpr std::string_view kText = "flags={0x} pfn={1x} mask={2x}";
};
template <>
struct Schema<probe::SetPageblockMigratetype> {
  using E = probe::SetPageblockMigratetype;
  static constexpr std::string_view kName = "mmo:set_pb_mt";
  static constexpr std::tuple kFields{field(&E::pfn, "pfn"), field(&E::migratetype, "mt")};
  static constexpr std::string_view kText = "pfn={0x} mt={1}";
};
template <>
struct Schema<probe::IsolateFree> {
  using E = probe::IsolateFree;
  static constexpr std::string_view kName = "mmo:isolate_free";
  static constexpr std::tuple kFields{field(&E::page, "*page"), field(&E::order, "order")};
  static constexpr std::string_view kText = "page={0p} order={1}";
};
template <>
struct Schema<probe::IsolateFreeRet> {
  static constexpr std::string_view kName = "mmo:isolate_free_ret";
  static constexpr std::tuple kFields{field(&probe::IsolateFreeRet::got_pages, "got")};
  static constexpr std::string_view kText = "got={0}";
};
template <>
struct Schema<probe::PutbackIsolated> {
  using E = probe::PutbackIsolated;
  static constexpr std::string_view kName = "mmo:putback_isolated";
  static constexpr std::tuple kFields{field(&E::page, "*page"), field(&E::order, "order"),
                                      field(&E::migratetype, "mt")};
  static constexpr std::string_view kText = "page={0p} order={1} mt={2}";
};
template <>
struct Schema<probe::FreePagesOk> {
  using E = probe::FreePagesOk;
  static constexpr std::string_view kName = "mmo:free_pages_ok";
  static constexpr std::tuple kFields{field(&E::page, "*page"), field(&E::order, "order"), field(&E::fpi, "fpi")};
  static constexpr std::string_view kText = "page={0p} order={1} fpi={2}";
};
template <>
struct Schema<probe::FreePcppagesBulk> {
  using E = probe::FreePcppagesBulk;
  static constexpr std::string_view kName = "mmo:free_pcppages_bulk";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::count, "count"), address(&E::pcp, "pcp"),
                                      field(&E::pindex, "pindex")};
  static constexpr std::string_view kText = "zone={0x} count={1} pcp={2x} pindex={3}";
};
template <>
struct Schema<probe::RmqueueBulk> {
  using E = probe::RmqueueBulk;
  static constexpr std::string_view kName = "mmo:rmqueue_bulk";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::order, "order"),
                                      field(&E::count, "count").coded(Coding::Symbol), field(&E::migratetype, "mt"),
                                      field(&E::flags, "aflags")};
  static constexpr std::string_view kText = "zone={0x} order={1} count={2} mt={3} aflags={4x}";
};
template <>
struct Schema<probe::GetPage> {
  using E = probe::GetPage;
  static constexpr std::string_view kName = "mmo:get_page";
  static constexpr std::tuple kFields{field(&E::gfp, "gfp"), field(&E::order, "order"), field(&E::flags, "aflags")};
  static constexpr std::string_view kText = "gfp={0x} order={1} aflags={2x}";
};
template <>
struct Schema<probe::UnreserveHighatomic> {
  using E = probe::UnreserveHighatomic;
  static constexpr std::string_view kName = "mmo:unreserve_ha";
  static constexpr std::tuple kFields{address(&E::context, "ac"), field(&E::force, "force")};
  static constexpr std::string_view kText = "ac={0x} force={1}";
};
template <>
struct Schema<probe::DrainZone> {
  using E = probe::DrainZone;
  static constexpr std::string_view kName = "mmo:drain_zone";
  static constexpr std::tuple kFields{field(&E::cpu, "cpu"), address(&E::zone, "zone")};
  static constexpr std::string_view kText = "cpu={0} zone={1x}";
};
template <>
struct Schema<probe::DrainZonePages> {
  using E = probe::DrainZonePages;
  static constexpr std::string_view kName = "mmo:drain_zone_pages";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), address(&E::pcp, "pcp")};
  static constexpr std::string_view kText = "zone={0x} pcp={1x}";
};
template <>
struct Schema<probe::DrainPages> {
  static constexpr std::string_view kName = "mmo:drain_pages";
  static constexpr std::tuple kFields{field(&probe::DrainPages::cpu, "cpu")};
  static constexpr std::string_view kText = "cpu={0}";
};
template <>
struct Schema<probe::DecayPcp> {
  using E = probe::DecayPcp;
  static constexpr std::string_view kName = "mmo:decay_pcp";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), address(&E::pcp, "pcp")};
  static constexpr std::string_view kText = "zone={0x} pcp={1x}";
};
template <>
struct Schema<probe::FoldVmstat> {
  static constexpr std::string_view kName = "mmo:fold_vmstat";
  static constexpr std::tuple kFields{field(&probe::FoldVmstat::do_pagesets, "do_pagesets")};
  static constexpr std::string_view kText = "do_pagesets={0}";
};
template <>
struct Schema<probe::SplitPage> {
  using E = probe::SplitPage;
  static constexpr std::string_view kName = "mmo:split_page";
  static constexpr std::tuple kFields{field(&E::page, "*page"), field(&E::order, "order")};
  static constexpr std::string_view kText = "page={0p} order={1}";
};
template <>
struct Schema<probe::SplitFreePage> {
  using E = probe::SplitFreePage;
  static constexpr std::string_view kName = "mmo:split_free_page";
  static constexpr std::tuple kFields{field(&E::page, "*page"), field(&E::order, "order"),
                                      field(&E::offset_pages, "off")};
  static constexpr std::string_view kText = "page={0p} order={1} off={2}";
};
template <>
struct Schema<probe::BulkAlloc> {
  using E = probe::BulkAlloc;
  static constexpr std::string_view kName = "mmo:bulk_alloc";
  static constexpr std::tuple kFields{field(&E::gfp, "gfp"), field(&E::node, "nid"), field(&E::pages, "nr")};
  static constexpr std::string_view kText = "gfp={0x} nid={1} nr={2}";
};
template <>
struct Schema<probe::NodeReclaim> {
  using E = probe::NodeReclaim;
  static constexpr std::string_view kName = "mmo:node_reclaim";
  static constexpr std::tuple kFields{address(&E::node, "pgdat"), field(&E::gfp, "gfp"), field(&E::order, "order")};
  static constexpr std::string_view kText = "pgdat={0x} gfp={1x} order={2}";
};
template <>
struct Schema<probe::WakeupKswapdCall> {
  using E = probe::WakeupKswapdCall;
  static constexpr std::string_view kName = "mmo:wakeup_kswapd";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::gfp, "gfp"), field(&E::order, "order"),
                                      field(&E::highest, "hzi")};
  static constexpr std::string_view kText = "zone={0x} gfp={1x} order={2} hzi={3}";
};
template <>
struct Schema<probe::ResetIsolation> {
  using E = probe::ResetIsolation;
  static constexpr std::string_view kName = "mmo:reset_isolation";
  static constexpr std::tuple kFields{address(&E::zone, "zone"), field(&E::pfn, "pfn"),
                                      field(&E::check_source, "chksrc"), field(&E::check_target, "chktgt")};
  static constexpr std::string_view kText = "zone={0x} pfn={1x} chksrc={2} chktgt={3}";
};
template <>
struct Schema<probe::ResetIsolationSuitable> {
  static constexpr std::string_view kName = "mmo:reset_iso_suitable";
  static constexpr std::tuple kFields{address(&probe::ResetIsolationSuitable::zone, "zone")};
  static constexpr std::string_view kText = "zone={0x}";
};
template <>
struct Schema<probe::IsolateMigrate> {
  using E = probe::IsolateMigrate;
  static constexpr std::string_view kName = "mmo:iso_migrate";
  static constexpr std::tuple kFields{address(&E::control, "cc"), field(&E::low, "low"), field(&E::end, "end"),
                                      field(&E::mode, "mode")};
  static constexpr std::string_view kText = "cc={0x} low={1x} end={2x} mode={3x}";
};
template <>
struct Schema<probe::IsolateFreeBlock> {
  using E = probe::IsolateFreeBlock;
  static constexpr std::string_view kName = "mmo:iso_freeblk";
  static constexpr std::tuple kFields{address(&E::control, "cc"), field(&E::start, "start"), field(&E::end, "end"),
                                      field(&E::stride, "stride"), field(&E::strict, "strict")};
  static constexpr std::string_view kText = "cc={0x} start={1x} end={2x} stride={3} strict={4}";
};
template <>
struct Schema<probe::CompactionAllocRet> {
  static constexpr std::string_view kName = "mmo:compaction_alloc_ret";
  static constexpr std::tuple kFields{field(&probe::CompactionAllocRet::page, "*page")};
  static constexpr std::string_view kText = "page={0p}";
};
template <>
struct Schema<probe::CompactionFree> {
  static constexpr std::string_view kName = "mmo:compaction_free";
  static constexpr std::tuple kFields{field(&probe::CompactionFree::page, "*page")};
  static constexpr std::string_view kText = "page={0p}";
};
// These three carry text or nothing; their readers treat them by hand.
template <>
struct Schema<Marker> {
  static constexpr std::string_view kName = "ftrace:print";
  static constexpr std::tuple<> kFields{};
  static constexpr std::string_view kText{};
};
template <>
struct Schema<Lost> {
  static constexpr std::string_view kName{};
  static constexpr std::tuple<> kFields{};
  static constexpr std::string_view kText{};
};
template <>
struct Schema<Unknown> : Schema<Lost> {};

// ------------------------------------------------------------------ walking over it

/// Number of kinds of events; a kind is an index into TraceEvent.
inline constexpr std::size_t kEventKinds = std::variant_size_v<TraceEvent>;
template <std::size_t kind>
using EventOf = std::variant_alternative_t<kind, TraceEvent>;
template <class E>
inline constexpr std::size_t kFieldsOf = std::tuple_size_v<std::remove_const_t<decltype(Schema<E>::kFields)>>;
namespace detail {
template <class E, std::size_t... kind>
constexpr std::size_t kind_of(std::index_sequence<kind...>) {
  return ((std::is_same_v<E, EventOf<kind>> ? kind : 0) + ...);
}
}  // namespace detail
template <class E>
inline constexpr std::size_t kKindOf = detail::kind_of<E>(std::make_index_sequence<kEventKinds>{});
/// No event has more fields.
inline constexpr std::size_t kFieldsMax = 16;

/// An event with all bytes zero; core's events have no default.
template <class E>
constexpr E zero_event() {
  static_assert(std::is_trivially_copyable_v<E> && kFieldsOf<E> <= kFieldsMax);
  return std::bit_cast<E>(std::array<std::byte, sizeof(E)>{});
}
/// Calls `visit(index, field)` for each field of E, in order.
template <class E, class Visit>
constexpr void for_each_field(Visit&& visit) {
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    (visit(i, std::get<i>(Schema<E>::kFields)), ...);
  }
  (std::make_index_sequence<kFieldsOf<E>>{});
}
/// Fills in what older kernels do not tell. Bit i of `missing`: field i was not found.
template <class E>
constexpr void complete_event(E& event, std::uint32_t missing) {
  if constexpr (requires { Schema<E>::complete(event, missing); })
    Schema<E>::complete(event, missing);
}

/// The full name of a kind, "system:name"; "" for Lost and Unknown.
[[nodiscard]] std::string_view event_name(std::size_t kind);
/// The kind of an event by its name, with or without its system. kEventKinds if mmbox does not use it.
[[nodiscard]] std::size_t find_event(std::string_view name);

/// True if both tell the same: all fields, as numbers.
[[nodiscard]] bool same_event(const TraceEvent& a, const TraceEvent& b);

}  // namespace mmbox::lab
