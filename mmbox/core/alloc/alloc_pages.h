// The front of the allocator: one request, or many single pages at once.
#pragma once

#include <span>

#include "mmbox/core/alloc/quick_path.h"
#include "mmbox/core/alloc/slow_path_orders.h"

namespace mmbox {

/// A request through the whole path: prepare, first attempt, slow path. See alloc_pages().
template <SyncPolicy S>
[[nodiscard, gnu::noinline]] AllocResult alloc_pages_whole_path(const MachineView& machine, Request request) {
  if (request.order.raw() > kMaxPageOrder) [[unlikely]] {
    if (machine.env.rules->generation.requests.too_large_order == TooLargeOrder::InSlowPath)
      machine.env.trace.emit(MmPageAlloc{kNoPfn, request.order, request.gfp, gfp_migratetype(request.gfp)});
    return AllocFailure::OrderTooLarge;
  }
  AllocContext context = prepare(machine, request);
  const AllocFlags flags = context.flags | first_attempt_flags(machine, context);
  auto index = get_page_from_freelist<S>(machine, context, flags);
  const bool hides_hardwall = machine.env.rules->generation.requests.cpuset == CpusetRule::FlagAlways;
  Gfp reported = hides_hardwall ? request.gfp : context.gfp;
  AllocFailure failure = AllocFailure::None;
  if (!index) [[unlikely]] {
    SlowPath<S> slow{machine, context, request};
    index = slow.run();
    failure = slow.failure();
    reported = slow.gfp();
  }
  const Pfn pfn = index ? machine.env.map.pfn(*index) : kNoPfn;
  machine.env.trace.emit(MmPageAlloc{pfn, request.order, reported, context.migratetype});
  if (!index)
    return failure;
  return pfn;
}

/// The same for a plain request, which then need not be put together where the quick path serves it.
template <SyncPolicy S>
[[nodiscard, gnu::noinline]] AllocResult alloc_pages_whole_path(const MachineView& machine, Gfp gfp, Order order,
                                                                CpuId cpu) {
  return alloc_pages_whole_path<S>(machine, {.gfp = gfp, .order = order, .cpu = cpu});
}

/// A request from beginning to end.
///
/// Events: MmPageAlloc last, also for a request that failed (pfn kNoPfn). Source: __alloc_pages().
template <SyncPolicy S>
[[nodiscard, gnu::always_inline]] inline AllocResult alloc_pages(const MachineView& machine, const Request& request) {
  if (!request.is_plain())
    return alloc_pages_whole_path<S>(machine, request);
  const FrameIndex index = take_at_once<S>(machine, request.gfp, request.order.raw(), request.cpu);
  if (index != kNil) [[likely]]
    return machine.env.map.pfn(index);
  return alloc_pages_whole_path<S>(machine, request.gfp, request.order, request.cpu);
}

/// The part of the bulk API that takes from one zone's per-cpu list: fills empty slots of `out`, in order.
///
/// Returns how many it filled. 0 if no zone stays above its mark for all of `out`, or accounting or a single page is
/// asked: a single allocation serves then. Emits no MmPageAlloc. Source: __alloc_pages_bulk(), without its fallback.
template <SyncPolicy S>
std::size_t take_bulk(const MachineView& machine, const Request& request, std::span<Pfn> out) {
  std::size_t filled = 0;
  while (filled < out.size() && out[filled] != kNoPfn)
    ++filled;
  if (request.gfp.has(gfp::kAccount) || out.size() - filled <= 1)
    return 0;
  Request single = request;
  single.order = Order{0};
  const AllocContext context = prepare(machine, single);
  const AllocFlags flags = context.flags;  // neither NOFRAGMENT nor the right to wake kswapd
  const Generation& generation = machine.env.rules->generation;
  const std::size_t wanted = generation.walk.bulk_api == BulkApi::StillWanted ? out.size() - filled : out.size();
  ZoneState* chosen = nullptr;
  for (std::size_t z = context.preferred; z < context.list.size() && chosen == nullptr;
       z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
    ZoneState& zone = machine.zones[context.list[z].zone.raw()];
    const ZoneRef& preferred = context.preferred_zone();
    if (context.task->cpusets_enabled && flags.has(alloc_flag::kCpuset) &&
        !cpuset_node_allowed(context, zone.node, context.gfp))
      continue;
    if (machine.nodes.size() > 1 && zone.id != preferred.zone && zone.node != preferred.node)
      break;
    const std::int64_t mark = zone.mark(flags.watermark()) + static_cast<std::int64_t>(wanted);
    if (watermark_fast_ok(generation.watermark, Order{0}, mark, racy(zone.watermark_boost), context.gfp, flags,
                          watermark_zone(generation, zone, preferred.index), ZoneBlocks{zone}))
      chosen = &zone;
  }
  if (chosen == nullptr)
    return 0;

  std::size_t got = 0;
  PcpState& pageset = machine.pageset(chosen->id, context.cpu);
  const TryGuard<PagesetSync<S>> lock{pageset.lock_word};
  if (!lock.held())
    return 0;
  Pcp<S> pcp = machine.pcp<S>(*chosen, context.cpu);
  for (Pfn& slot : out.subspan(filled)) {
    if (slot != kNoPfn)
      continue;
    const auto index = pcp.take(0, context.migratetype, flags);
    if (!index)
      break;
    machine.env.map.set_state(*index, 0, FrameState::allocated(0, FrameState::Compound::No));
    slot = machine.env.map.pfn(*index);
    ++got;
  }
  if (got != 0)
    count_allocation<S>(machine, context, machine.zones[context.preferred_zone().zone.raw()], *chosen, got, got);
  return got;
}

/// Allocates single pages into the empty slots of `out`, in order.
///
/// Slots that are not kNoPfn are kept, and count as got. Returns how many slots at the front are filled afterwards,
/// which may be fewer than asked without memory being short: one zone must stay above its mark for all of them.
/// Falls back to a single allocation of one page. Source: __alloc_pages_bulk().
template <SyncPolicy S>
std::size_t alloc_pages_bulk(const MachineView& machine, const Request& request, std::span<Pfn> out) {
  const auto filled = [&] {
    std::size_t n = 0;
    while (n < out.size() && out[n] != kNoPfn)
      ++n;
    return n;
  };
  const std::size_t before = filled();
  if (before == out.size() || take_bulk<S>(machine, request, out) != 0)
    return filled();
  Request one = request;
  one.order = Order{0};
  if (const auto page = alloc_pages<S>(machine, one))
    out[before] = *page;
  return filled();
}

}  // namespace mmbox
