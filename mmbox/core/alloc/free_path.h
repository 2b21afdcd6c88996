// Giving blocks back: to the per-cpu lists, past them to the free lists, and the drains that empty the former.
#pragma once

#include <bit>
#include <span>

#include "mmbox/core/alloc/machine_view.h"
#include "mmbox/core/alloc/zone_check.h"

namespace mmbox {

/// Takes the mark BELOW_HIGH off a zone that per-cpu pages just went back to, if they lift it above its HIGH mark.
/// Source: free_frozen_page_commit().
inline void zone_recovers(const MachineView& machine, ZoneState& zone) {
  const Generation& generation = machine.env.rules->generation;
  const auto movable = machine.index_of(ZoneType::Movable);
  const ZoneIndex highest = movable ? *movable : ZoneIndex{machine.zone_types.size() - 1};
  if (!watermark_ok(generation.watermark.rule, Order{0}, zone.mark(static_cast<unsigned>(Watermark::High)),
                    AllocFlags{}, watermark_zone(generation, zone, highest), ZoneBlocks{zone}))
    return;
  clear_bits(zone.flags, zone_flag::kBelowHigh);
  NodeState& node = machine.nodes[zone.node.raw()];
  if (generation.slow.hopeless_node != HopelessNode::RecoveredZone || racy(node.kswapd.failures) < kMaxReclaimRetries)
    return;
  // Some other node may have sent its requests here.
  for (const ZoneState& other : machine.zones)
    if (other.node > zone.node && other.is_populated())
      publish(node.kswapd.failures, 0);
}

/// Puts a block past the per-cpu lists into the free lists; see release_block().
template <SyncPolicy S>
[[gnu::noinline]] void release_to_zone(const MachineView& machine, FrameIndex index, unsigned order, CpuId cpu) {
  ZoneState& zone = machine.zone_of(index);
  PcpState& pageset = machine.pageset(zone.id, cpu);
  machine.env.map.set_state(index, order, FrameState{});
  const Guard<S> lock{zone.lock_word};
  // The type is read again under the lock: isolation may have changed it.
  machine.buddy(zone, cpu).free_block(index, order);
  // A block that only missed its per-cpu list is not counted: the kernel counts where it puts it there, or in the path
  // of the other orders.
  if (!machine.pcp_shape.allows(order))
    add<S>(pageset.events.pgfree, std::uint64_t{1} << order);
}

/// Puts a block that has left its owner where free blocks go: on a per-cpu list, or past those into the free lists.
/// Source: free_unref_page() and __free_pages_ok().
template <SyncPolicy S>
[[gnu::always_inline]] inline void release_block(const MachineView& machine, FrameIndex index, unsigned order,
                                                 CpuId cpu) {
  const Pageblock& block = machine.env.map.pageblock(index);
  const Migratetype type = racy<S>(block.type);
  PcpState& pageset = machine.pageset(ZoneId{block.zone}, cpu);
  ZoneState& zone = *pageset.zone;
  // Isolated pages must not wait on a per-cpu list: somebody is collecting them.
  if (machine.pcp_shape.allows(order) && (is_mergeable(type) || type != Migratetype::Isolate)) {
    const TryGuard<PagesetSync<S>> lock{pageset.lock_word};
    if (lock.held()) {
      add<S>(pageset.events.pgfree, std::uint64_t{1} << order);
      if (machine.pcp<S>(zone, pageset, cpu).put(index, order, type) &&
          (racy<S>(zone.flags) & zone_flag::kBelowHigh) != 0) [[unlikely]]
        zone_recovers(machine, zone);
      return;
    }
  }
  release_to_zone<S>(machine, index, order, cpu);
}

/// Says what is wrong with a block that its owner gives back.
[[noreturn, gnu::cold]] inline void refuse_block(const MachineView& machine, FrameIndex index, unsigned order) {
  const FrameState state = machine.env.map.state(index);
  const std::uint64_t pfn = machine.env.map.pfn(index).raw();
  switch (state.kind()) {
    case FrameState::Kind::Buddy:
    case FrameState::Kind::Pcp:
      MMBOX_CHECK(false, "double free: pfn is free already, as a block of order", pfn, state.order());
    case FrameState::Kind::Allocated:
      MMBOX_CHECK(false, "free with the wrong order: pfn was allocated with order", pfn, state.order());
    case FrameState::Kind::None:
      MMBOX_CHECK(false, "free of a foreign frame: pfn heads no allocated block; order given", pfn, order);
  }
  __builtin_unreachable();
}

/// Checks that a block which its owner gives back is an allocated block of this order.
inline void check_owned(const MachineView& machine, FrameIndex index, unsigned order) {
  if (order > kMaxPageOrder || !machine.env.map.state(index, order).is_allocated_as(order)) [[unlikely]]
    refuse_block(machine, index, order);
}

/// Takes a block back from its owner, to be released or used otherwise. Checks: as check_owned().
inline void surrender_block(const MachineView& machine, FrameIndex index, unsigned order) {
  check_owned(machine, index, order);
  machine.env.map.set_state(index, order, FrameState{});
}

/// Frees one block: its last holder lets go. Events: MmPageFree. Source: __free_pages().
template <SyncPolicy S>
[[gnu::always_inline]] inline void free_pages(const MachineView& machine, FrameIndex index, unsigned order, CpuId cpu) {
  check_owned(machine, index, order);
  machine.env.trace.emit(MmPageFree{machine.env.map.pfn(index), Order{order}});
  release_block<S>(machine, index, order, cpu);
}

/// Frees a non-compound block whose first page somebody else still holds: that page stays allocated, as order 0; the
/// rest goes back in pieces, the upper half first. Old kernels lose the rest: it stays in use as single pages that
/// nobody will free. Source: __free_pages(), "put_page_testzero() failed".
template <SyncPolicy S>
void free_pages_but_first(const MachineView& machine, FrameIndex index, unsigned order, CpuId cpu) {
  surrender_block(machine, index, order);
  machine.env.map.set_state(index, 0, FrameState::allocated(0, FrameState::Compound::No));
  if (machine.env.rules->generation.free.shared_first_page == SharedFirstPage::Leaks)
    return;
  while (order-- > 0) {
    const FrameIndex piece = index + (FrameIndex{1} << order);
    machine.env.trace.emit(MmPageFree{machine.env.map.pfn(piece), Order{order}});
    release_block<S>(machine, piece, order, cpu);
  }
}

/// Frees a list of single pages, in one pass or in two.
///
/// Events: MmPageFree for each in the first pass, MmPageFreeBatched in the second; in kernels with one pass the other
/// way round, page by page. Source: free_hot_cold_page_list(), free_unref_page_list(), free_unref_folios().
template <SyncPolicy S>
void free_page_list(const MachineView& machine, std::span<const Pfn> pages, CpuId cpu) {
  const MemMap& map = machine.env.map;
  const ListFree rule = machine.env.rules->generation.free.lists;
  if (rule == ListFree::OnePass) {
    for (const Pfn pfn : pages) {
      machine.env.trace.emit(MmPageFreeBatched{pfn});
      free_pages<S>(machine, map.index(pfn), 0, cpu);
    }
    return;
  }
  const auto goes_first = [&](FrameIndex index) {
    return rule == ListFree::IsolatedFirst && racy(map.pageblock(index).type) == Migratetype::Isolate;
  };
  for (const Pfn pfn : pages) {
    const FrameIndex index = map.index(pfn);
    surrender_block(machine, index, 0);
    machine.env.trace.emit(MmPageFree{pfn, Order{0}});
    if (goes_first(index))
      release_block<S>(machine, index, 0, cpu);
  }
  for (const Pfn pfn : pages) {
    const FrameIndex index = map.index(pfn);
    // A page that went back in the first pass is free, alone or inside a larger block.
    if (goes_first(index))
      continue;
    machine.env.trace.emit(MmPageFreeBatched{pfn});
    release_block<S>(machine, index, 0, cpu);
  }
}

/// Frees `pages` adjacent single pages together: one by one, or in the aligned blocks that they make up.
/// Source: free_contig_range().
template <SyncPolicy S>
void free_page_range(const MachineView& machine, FrameIndex begin, std::uint64_t pages, CpuId cpu) {
  if (machine.env.rules->generation.free.ranges == RangeFree::PageByPage) {
    for (std::uint64_t i = 0; i < pages; ++i)
      free_pages<S>(machine, begin + static_cast<FrameIndex>(i), 0, cpu);
    return;
  }
  for (std::uint64_t i = 0; i < pages; ++i)
    surrender_block(machine, begin + static_cast<FrameIndex>(i), 0);
  FrameIndex at = begin;
  while (pages > 0) {
    const std::uint64_t pfn = machine.env.map.pfn(at).raw();
    unsigned order = static_cast<unsigned>(std::bit_width(pages)) - 1;
    const auto aligned = static_cast<unsigned>(std::countr_zero(pfn));  // 64 for pfn 0
    order = order < aligned ? order : aligned;
    order = order < kMaxPageOrder ? order : kMaxPageOrder;
    machine.env.trace.emit(MmPageFree{machine.env.map.pfn(at), Order{order}});
    release_block<S>(machine, at, order, cpu);
    at += FrameIndex{1} << order;
    pages -= std::uint64_t{1} << order;
  }
}

/// Splits an allocated block into single pages, each of which is freed alone. Source: split_page().
inline void split_page(const MachineView& machine, FrameIndex index, unsigned order) {
  const FrameState state = machine.env.map.state(index);
  MMBOX_CHECK(state.is_allocated_as(order), "split: pfn is not an allocated block of order",
              machine.env.map.pfn(index).raw(), order);
  MMBOX_CHECK(!state.is_compound(), "split: pfn is a compound block of order", machine.env.map.pfn(index).raw(), order);
  machine.env.map.set_state(index, order, FrameState{});
  for (FrameIndex i = 0; i < FrameIndex{1} << order; ++i)
    machine.env.map.set_state(index + i, 0, FrameState::allocated(0, FrameState::Compound::No));
}

/// Returns one CPU's pages of one zone to the free lists. Source: drain_pages_zone().
template <SyncPolicy S>
void drain_zone(const MachineView& machine, ZoneState& zone, CpuId cpu) {
  PcpState& pageset = machine.pageset(zone.id, cpu);
  const Guard<PagesetSync<S>> lock{pageset.lock_word};
  machine.pcp<S>(zone, cpu).drain();
}

/// Returns one CPU's pages of all zones, in the order of the zones. Source: drain_local_pages().
template <SyncPolicy S>
void drain_cpu(const MachineView& machine, CpuId cpu) {
  for (ZoneState& zone : machine.zones)
    if (zone.is_populated())
      drain_zone<S>(machine, zone, cpu);
}

/// Returns the pages of every CPU that has any, CPUs ascending. Source: drain_all_pages().
template <SyncPolicy S>
void drain_all(const MachineView& machine) {
  for (std::size_t cpu = 0; cpu < machine.cpu_nodes.size(); ++cpu) {
    bool has_pages = false;
    for (const ZoneState& zone : machine.zones)
      has_pages = has_pages || (zone.is_populated() && racy(machine.pageset(zone.id, CpuId{cpu}).count) > 0);
    if (has_pages)
      drain_cpu<S>(machine, CpuId{cpu});
  }
}

/// Returns the pages that any CPU has of one zone, CPUs ascending. Source: drain_all_pages(zone).
template <SyncPolicy S>
void drain_all(const MachineView& machine, ZoneState& zone) {
  for (std::size_t cpu = 0; cpu < machine.cpu_nodes.size(); ++cpu)
    if (racy(machine.pageset(zone.id, CpuId{cpu}).count) > 0)
      drain_zone<S>(machine, zone, CpuId{cpu});
}

/// Who folds a CPU's counters: the worker that runs once a second also ages remote pagesets, an idle CPU does not.
enum class FoldBy : bool { IdleCpu, StatWorker };

/// Adds a CPU's counter deltas to the zones, and trims pagesets of other nodes that have gone quiet.
///
/// `other_deltas`: by ZoneId, true where the host's own counters of that zone (LRU sizes, …) changed on this CPU; they
///   keep a pageset alive as well. An empty span stands for none.
/// Source: refresh_cpu_vm_stats(), mm/vmstat.c.
template <SyncPolicy S>
void fold_counters(const MachineView& machine, CpuId cpu, FoldBy by, std::span<const bool> other_deltas = {}) {
  constexpr std::uint8_t kExpire = 3;
  const bool numa = machine.nodes.size() > 1;
  for (ZoneState& zone : machine.zones) {
    if (!zone.is_populated())
      continue;
    PcpState& pageset = machine.pageset(zone.id, cpu);
    bool changed = !other_deltas.empty() && other_deltas[zone.id.raw()];
    {
      // The kernel adds atomically; here whoever changes a free counter holds the zone's lock.
      const Guard<S> lock{zone.lock_word};
      for (std::size_t i = 0; i < kZoneStats; ++i) {
        if (pageset.stat.delta[i] == 0)
          continue;
        publish(zone.stat[i], zone.stat[i] + pageset.stat.delta[i]);
        publish(pageset.stat.delta[i], 0);
        changed = true;
      }
    }
    if (changed && numa)
      publish(pageset.expire, kExpire);
    if (by == FoldBy::StatWorker && machine.env.rules->generation.pcp.control == PcpControl::Tuned) {
      std::int32_t excess = decay_high(pageset);
      const Guard<PagesetSync<S>> lock{pageset.lock_word};
      for (; excess > 0; excess -= pageset.batch)
        machine.pcp<S>(zone, cpu).free_bulk(excess < pageset.batch ? excess : pageset.batch, 0);
    }
    if (by != FoldBy::StatWorker || !numa || pageset.expire == 0 || pageset.count == 0)
      continue;
    if (zone.node == machine.cpu_nodes[cpu.raw()]) {
      pageset.expire = 0;
      continue;
    }
    if (--pageset.expire != 0)
      continue;
    const Guard<PagesetSync<S>> lock{pageset.lock_word};
    machine.pcp<S>(zone, cpu).free_bulk(pageset.count < pageset.batch ? pageset.count : pageset.batch, 0);
  }
}

}  // namespace mmbox
