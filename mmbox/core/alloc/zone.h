// One zone's part of a request: take a block from the per-cpu lists, the free lists or the high-atomic reserve; and
// what follows from taking it (reserve, boost, statistics).
#pragma once

#include "mmbox/core/alloc/context.h"
#include "mmbox/core/alloc/kswapd.h"
#include "mmbox/core/base/sync.h"
#include "mmbox/core/topology/arith.h"

namespace mmbox {

/// True if a request with these flags takes from the high-atomic reserve first and sets pageblocks aside for it.
[[nodiscard]] inline bool uses_highatomic(const Generation& generation, Order order, AllocFlags flags) {
  switch (generation.reserve.atomic_rule) {
    case AtomicRule::NoWait: return false;
    case AtomicRule::GfpAtomic: return order.raw() > 0 && flags.has(alloc_flag::kHarder);
    case AtomicRule::NonBlock: return flags.has(alloc_flag::kHighAtomic);
  }
  return false;
}

/// Takes a block from the zone's free lists. Source: rmqueue_buddy().
template <SyncPolicy S>
[[nodiscard]] std::optional<FrameIndex> rmqueue_buddy(const MachineView& machine, const AllocContext& context,
                                                      ZoneState& zone, AllocFlags flags) {
  Buddy buddy = machine.buddy(zone, context.cpu);
  const unsigned order = context.order.raw();
  const Guard<S> lock{zone.lock_word};
  std::optional<TakenBlock> taken;
  RmqueueMode mode = RmqueueMode::Normal;
  if (uses_highatomic(machine.env.rules->generation, context.order, flags))
    taken = buddy.rmqueue_smallest(order, Migratetype::HighAtomic);
  if (!taken)
    taken = buddy.rmqueue(order, context.migratetype, flags, mode);
  // A request that cannot wait would rather break into the reserve than fail.
  if (!taken && machine.env.rules->generation.reserve.atomic_rule == AtomicRule::NonBlock &&
      flags.has(alloc_flag::kOom | alloc_flag::kNonBlock))
    taken = buddy.rmqueue_smallest(order, Migratetype::HighAtomic);
  if (!taken)
    return std::nullopt;
  if (!buddy.counts_per_block())
    buddy.count_free(-(std::int64_t{1} << order), taken->type);
  return taken->index;
}

/// Counts a block handed out by `zone` to a request that preferred `preferred`. Source: zone_statistics().
template <SyncPolicy S>
void count_allocation(const MachineView& machine, const AllocContext& context, const ZoneState& preferred,
                      const ZoneState& zone, std::uint64_t blocks, std::uint64_t pages) {
  CpuEvents& events = machine.pageset(zone.id, context.cpu).events;
  events.template count<S>(blocks, pages);
  if (zone.node != preferred.node) {
    add<S>(events.numa_miss, blocks);
    add<S>(machine.pageset(preferred.id, context.cpu).events.numa_foreign, blocks);
  }
  if (zone.node != context.cpu_node)
    add<S>(events.numa_other, blocks);
}

/// Sets the pageblock of a block that an atomic request just got aside for such requests, while the zone's share lasts.
/// Source: reserve_highatomic_pageblock().
template <SyncPolicy S>
void reserve_highatomic(const MachineView& machine, ZoneState& zone, CpuId cpu, FrameIndex index, unsigned order) {
  const ReservePolicy& policy = machine.env.rules->generation.reserve;
  const auto block = static_cast<std::int64_t>(kPageblockPages);
  std::int64_t limit = zone.managed / 100;
  if (policy.limit == ReserveLimit::PercentAndBlock)
    limit += block;
  else
    limit = limit < block ? 0 : static_cast<std::int64_t>(round_up(static_cast<std::uint64_t>(limit), kPageblockPages));
  if (racy(zone.nr_reserved_highatomic) >= limit)
    return;
  const Guard<S> lock{zone.lock_word};
  Buddy buddy = machine.buddy(zone, cpu);
  if (!is_mergeable(buddy.pageblock_type(index)))
    return;
  if (policy.extent == ReserveExtent::OneBlock) {
    publish(zone.nr_reserved_highatomic, zone.nr_reserved_highatomic + block);
    buddy.set_pageblock_type(index, Migratetype::HighAtomic);
    buddy.move_freepages_block(index, Migratetype::HighAtomic);
  } else if (order < kPageblockOrder) {
    if (!buddy.spans_pageblock(index))
      return;
    buddy.move_freepages_block(index, Migratetype::HighAtomic);
    buddy.set_pageblock_type(index, Migratetype::HighAtomic);
    publish(zone.nr_reserved_highatomic, zone.nr_reserved_highatomic + block);
  } else {
    buddy.set_pageblock_types(index, order, Migratetype::HighAtomic);
    publish(zone.nr_reserved_highatomic, zone.nr_reserved_highatomic + (std::int64_t{1} << order));
  }
  machine.env.trace.emit(
      HighAtomicReserve{machine.env.map.pfn(index), true, static_cast<std::uint32_t>(zone.nr_reserved_highatomic)});
}

/// Takes a block of the request's order and type out of `zone`. The block has no state yet.
/// Returns nullopt if neither list has one for these flags. Source: rmqueue().
template <SyncPolicy S>
[[nodiscard]] std::optional<FrameIndex> rmqueue(const MachineView& machine, const AllocContext& context,
                                                ZoneState& preferred, ZoneState& zone, AllocFlags flags) {
  const unsigned order = context.order.raw();
  std::optional<FrameIndex> index;
  const Generation& generation = machine.env.rules->generation;
  // CMA pages sit on the Movable per-cpu list, so a Movable request that must not have them stays away from it.
  const bool pcp_allowed = !machine.env.rules->has_cma || flags.has(alloc_flag::kCma) ||
                           context.migratetype != Migratetype::Movable ||
                           generation.pcp.without_cma == PcpWithoutCma::PerCpu;
  if (machine.pcp_shape.allows(order) && pcp_allowed) {
    PcpState& pageset = machine.pageset(zone.id, context.cpu);
    const TryGuard<PagesetSync<S>> lock{pageset.lock_word};
    if (lock.held()) {
      pageset.note_request();
      Pcp<S> pcp = machine.pcp<S>(zone, pageset, context.cpu);
      const bool cold = context.gfp.has(gfp::kCold) && generation.pcp.cold == ColdPages::GfpCold;
      index = cold ? pcp.take_cold(context.migratetype, flags) : pcp.take(order, context.migratetype, flags);
    }
  }
  if (!index) {
    index = rmqueue_buddy<S>(machine, context, zone, flags);
    if (index && generation.reserve.when == ReserveWhen::FreeListOnly &&
        uses_highatomic(generation, context.order, flags))
      reserve_highatomic<S>(machine, zone, context.cpu, *index, order);
  }
  if (index)
    count_allocation<S>(machine, context, preferred, zone, 1, std::uint64_t{1} << order);
  if ((racy(zone.flags) & zone_flag::kBoostedWatermark) != 0 &&
      (generation.take.boost_consumer == BoostConsumer::AnyRequest || flags.has(alloc_flag::kKswapd))) [[unlikely]] {
    clear_bits(zone.flags, zone_flag::kBoostedWatermark);
    wakeup_kswapd(machine, context, zone, Gfp{}, Order{0}, zone.index);
  }
  return index;
}

enum class UnreserveForce : bool { KeepLast, TakeLast };

/// Gives one high-atomic pageblock with free pages back to `context`'s type.
///
/// Returns true if that freed pages for it. KeepLast leaves zones alone that have no more than one.
/// Source: unreserve_highatomic_pageblock().
template <SyncPolicy S>
bool unreserve_highatomic(const MachineView& machine, const AllocContext& context, UnreserveForce force) {
  const Generation& generation = machine.env.rules->generation;
  const auto block = static_cast<std::int64_t>(kPageblockPages);
  for (std::size_t z = context.preferred; z < context.list.size();
       z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
    ZoneState& zone = machine.zones[context.list[z].zone.raw()];
    if (force == UnreserveForce::KeepLast && racy(zone.nr_reserved_highatomic) <= block)
      continue;
    const Guard<S> lock{zone.lock_word};
    Buddy buddy = machine.buddy(zone, context.cpu);
    for (unsigned order = 0; order < kOrders; ++order) {
      const FrameIndex index = zone.lists[order][raw(Migratetype::HighAtomic)].head;
      if (index == kNil)
        continue;
      const bool all_blocks = generation.reserve.extent == ReserveExtent::AllBlocks;
      const std::int64_t size = all_blocks && order > kPageblockOrder ? std::int64_t{1} << order : block;
      // The pageblock may have been counted out already; its free blocks still come back.
      if (buddy.pageblock_type(index) == Migratetype::HighAtomic) {
        const std::int64_t reserved = zone.nr_reserved_highatomic;
        publish(zone.nr_reserved_highatomic, reserved - (reserved < size ? reserved : size));
      }
      bool moved = true;
      if (all_blocks && order >= kPageblockOrder) {
        buddy.move_to(index, order, context.migratetype, Buddy::Place::Tail);
        buddy.count_free(-(std::int64_t{1} << order), Migratetype::HighAtomic);
        buddy.count_free(std::int64_t{1} << order, context.migratetype);
        buddy.set_pageblock_types(index, order, context.migratetype);
      } else if (all_blocks) {
        moved = buddy.move_freepages_block(index, context.migratetype).raw() > 0;
        buddy.set_pageblock_type(index, context.migratetype);
      } else {
        buddy.set_pageblock_type(index, context.migratetype);
        moved = buddy.move_freepages_block(index, context.migratetype).raw() > 0;
      }
      machine.env.trace.emit(HighAtomicReserve{machine.env.map.pfn(index), false,
                                               static_cast<std::uint32_t>(zone.nr_reserved_highatomic)});
      if (moved)
        return true;
    }
  }
  return false;
}

}  // namespace mmbox
