// A machine: the bytes that hold all of its state, and the calls that work on them.
//
// The caller brings the bytes (`storage_size`, zero-filled) and keeps them alive. Nothing in them is a pointer, so a
// copy of the bytes is a snapshot, and a second machine can be opened on the copy. The handle holds what is not state:
// where events go, and the hosts that free and move pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "mmbox/core/alloc/alloc_pages.h"
#include "mmbox/core/alloc/contig.h"
#include "mmbox/core/machine/config.h"

namespace mmbox {

namespace detail {
/// The beginning of a machine's bytes.
struct MachineHeader {
  std::uint64_t magic = 0;
  Rules rules;
  Tunables tunables;
  Pfn first;
  std::uint32_t frames = 0;
  std::uint32_t nodes = 0;
  std::uint32_t zone_types = 0;
  std::uint32_t cpus = 0;
  std::uint32_t has_thp = 0;
  VmEvents events;
  bool booted = false;  ///< the per-cpu lists and counters have their sizes
};
}  // namespace detail

/// A machine under one locking policy; see `Machine`.
template <SyncPolicy S>
class BasicMachine {
 public:
  /// Bytes that a machine of this shape needs. The frames from the first to the last of `config.zones` are covered,
  /// holes included; what is never touched of zero-filled pages stays without memory behind it.
  [[nodiscard]] static std::size_t storage_size(const MachineConfig& config);

  /// Makes a machine without free memory: zones, nodes and zonelists stand, every frame is in use.
  ///
  /// `storage` is aligned to 64 and zero-filled. Checks: it is large enough; zones do not share a pageblock.
  BasicMachine(const MachineConfig& config, std::span<std::byte> storage);
  /// Opens the machine whose bytes these are, or are a copy of.
  explicit BasicMachine(std::span<std::byte> storage) { open(storage); }

  // ------------------------------------------------------------- boot and settings

  /// Hands a range of boot memory to the free lists, in the kernel's blocks, ascending. Source: memblock_free_all().
  void release_boot_memory(PfnRange range);
  /// Sizes what depends on memory: counters' thresholds, min_free_kbytes, watermarks, reserves, per-cpu lists.
  /// Source: init_per_zone_wmark_min(), setup_per_cpu_pageset().
  void finish_boot();
  /// khugepaged's wish for a larger min_free_kbytes. Source: set_recommended_min_free_kbytes().
  void start_khugepaged();
  [[nodiscard]] const Tunables& tunables() const { return header_->tunables; }
  /// Changes settings as a write to their sysctls would: what depends on a changed value is computed anew.
  void set_tunables(const Tunables& tunables);

  // ------------------------------------------------------------- requests

  /// Allocates a block. Refusals say why; see AllocFailure. The CPU is one of the machine's, which is not checked.
  [[nodiscard, gnu::always_inline]] AllocResult alloc(const Request& request) { return alloc_pages<S>(view_, request); }
  /// Fills the slots of `out` that are kNoPfn with single pages. Returns the filled slots at the front.
  std::size_t alloc_bulk(const Request& request, std::span<Pfn> out) {
    return alloc_pages_bulk<S>(view_, request, out);
  }

  /// Frees a block. Checks: `pfn` heads an allocated block of `order`; a double free, a foreign frame and a wrong
  /// order are told apart in the text.
  [[gnu::always_inline]] void free(Pfn pfn, Order order, CpuId cpu) {
    free_pages<S>(view_, index_of(pfn), order.raw(), cpu);
  }
  /// Frees all of a block but its first page, which somebody else still holds.
  void free_but_first(Pfn pfn, Order order, CpuId cpu) {
    free_pages_but_first<S>(view_, index_of(pfn), order.raw(), cpu);
  }
  /// Frees single pages as a list.
  void free_list(std::span<const Pfn> pages, CpuId cpu) {
    for (const Pfn pfn : pages)
      static_cast<void>(index_of(pfn));
    free_page_list<S>(view_, pages, cpu);
  }
  /// Frees adjacent single pages together, as a vmalloc area or a contiguous range goes back.
  void free_range(PfnRange range, CpuId cpu) {
    free_page_range<S>(view_, index_of(range.begin), range.pages().raw(), cpu);
  }
  /// Makes single pages of a block, each to be freed alone.
  void split(Pfn pfn, Order order) { split_page(view_, index_of(pfn), order.raw()); }
  /// Allocates exactly `pages` pages, at least one: the tail of the block beyond them goes back at once.
  /// Source: alloc_pages_exact().
  [[nodiscard]] AllocResult alloc_exact(Request request, PageCount pages);
  /// Allocates exactly the frames of `range`, which lies in one zone. False if something in it cannot move.
  [[nodiscard]] bool alloc_range(PfnRange range, CpuId cpu, RangeMigrator& host) {
    const FrameIndex begin = index_of(range.begin);
    const FrameIndex last = index_of(Pfn{range.end.raw() - 1});
    return alloc_contig_range<S>(view_, cpu, begin, last + 1, Migratetype::Movable, host);
  }

  // ------------------------------------------------------------- what happens beside requests

  void drain(CpuId cpu) { drain_cpu<S>(view_, cpu); }
  void drain(ZoneId zone, CpuId cpu) { drain_zone<S>(view_, view_.zones[zone.raw()], cpu); }
  void drain_all() { mmbox::drain_all<S>(view_); }
  /// A second has passed: zones that were full are worth a try again (FullZoneCache::OneSecond).
  void forget_full_zones() {
    for (NodeState& node : view_.nodes)
      node.full_zones = {};
  }
  /// Folds a CPU's counters; see fold_counters().
  void fold(CpuId cpu, FoldBy by, std::span<const bool> other_deltas = {}) {
    fold_counters<S>(view_, cpu, by, other_deltas);
  }

  /// Declares a block as allocated that this machine does not know of: memory in use when its state was recorded.
  /// False if some page of it is free, on a per-cpu list, or of a block that was handed out.
  [[nodiscard]] bool adopt(Pfn pfn, Order order);
  [[nodiscard]] FrameState frame_state(Pfn pfn) const {
    return view_.env.map.contains(pfn) ? view_.env.map.state(view_.env.map.index(pfn)) : FrameState{};
  }

  // ------------------------------------------------------------- the ways outward

  void attach(EventSink* sink) { view_.env.trace.attach(sink); }
  void set_hosts(const Hosts& hosts) { view_.hosts = hosts; }
  void set_contents(PageContents* contents) { view_.env.contents = contents; }

  /// The parts, for what reads all of them (observe) or sets them from a recording (the lab).
  [[nodiscard]] const MachineView& view() const { return view_; }
  [[nodiscard]] MachineView& view() { return view_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return storage_; }
  [[nodiscard]] const Rules& rules() const { return header_->rules; }
  /// Changes the rules in place: `change(Rules&)`; what hangs on them is worked out anew.
  template <class Change>
  void change_rules(Change&& change) {
    change(header_->rules);
    find_usual_starts();
  }

 private:
  void open(std::span<std::byte> storage);
  [[nodiscard]] FrameIndex index_of(Pfn pfn) const {
    MMBOX_CHECK(view_.env.map.contains(pfn), "frame outside of the machine: pfn, frames of the map", pfn.raw(),
                view_.env.map.frames());
    return view_.env.map.index(pfn);
  }
  void find_usual_starts();
  void setup_watermarks();
  void setup_lowmem_reserve();
  void setup_totalreserve();
  void setup_pagesets();
  void setup_thresholds();
  void setup_reclaim_ratios();
  [[nodiscard]] std::uint64_t free_pages_above_high(ZoneType highest) const;

  std::span<std::byte> storage_;
  detail::MachineHeader* header_ = nullptr;
  MachineView view_;
};

/// The lab's machine: one request at a time, no locks.
using Machine = BasicMachine<NoSync>;
extern template class BasicMachine<NoSync>;

}  // namespace mmbox
