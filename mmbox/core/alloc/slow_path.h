// What a request does after its first attempt failed: lower the mark, use the reserves, have memory freed or moved,
// try again, and in the end give up.
//
// The order of the attempts and the decisions to go on are here; compaction, reclaim and the OOM killer are hosts.
#pragma once

#include "mmbox/core/alloc/fast_path.h"
#include "mmbox/core/alloc/free_path.h"
#include "mmbox/core/alloc/hosts.h"

namespace mmbox {

/// The flags of the slow path, from the mask. Source: gfp_to_alloc_flags().
[[nodiscard]] inline AllocFlags slow_path_flags(const MachineView& machine, const AllocContext& context, Gfp gfp) {
  AllocFlags flags = alloc_flag::kWmarkMin | alloc_flag::kCpuset;
  flags |= AllocFlags{gfp.raw()} & (alloc_flag::kMinReserve | alloc_flag::kKswapd);
  const bool realtime = context.task->realtime && !context.task->in_interrupt;
  switch (machine.env.rules->generation.reserve.atomic_rule) {
    case AtomicRule::NoWait:
    case AtomicRule::GfpAtomic:
      if (gfp.has(gfp::kAtomic)) {
        if (!gfp.has(gfp::kNoMemalloc))
          flags |= alloc_flag::kHarder;
        flags = flags.without(alloc_flag::kCpuset);
      } else if (realtime) {
        flags |= alloc_flag::kHarder;
      }
      break;
    case AtomicRule::NonBlock:
      if (!gfp.has(gfp::kDirectReclaim)) {
        if (!gfp.has(gfp::kNoMemalloc)) {
          flags |= alloc_flag::kNonBlock;
          if (context.order.raw() > 0 && flags.has(alloc_flag::kMinReserve))
            flags |= alloc_flag::kHighAtomic;
        }
        if (flags.has(alloc_flag::kMinReserve))
          flags = flags.without(alloc_flag::kCpuset);
      } else if (realtime) {
        flags |= alloc_flag::kMinReserve;
      }
      break;
  }
  if (machine.env.rules->has_cma && context.migratetype == Migratetype::Movable)
    flags |= alloc_flag::kCma;
  return flags;
}

/// The flags of a task that is entitled to reserves whatever the mark; none for all others.
/// Source: __gfp_pfmemalloc_flags().
[[nodiscard]] inline AllocFlags reserve_flags(const Task& task, Gfp gfp) {
  if (gfp.has(gfp::kNoMemalloc))
    return {};
  if (gfp.has(gfp::kMemalloc))
    return alloc_flag::kNoWatermarks;
  if (task.serving_softirq && task.memalloc)
    return alloc_flag::kNoWatermarks;
  if (task.in_interrupt)
    return {};
  if (task.memalloc)
    return alloc_flag::kNoWatermarks;
  return task.oom_victim ? alloc_flag::kOom : AllocFlags{};
}

/// Is there a zone in which another round of reclaim could still meet the MIN mark?
///
/// Counts the rounds without progress in `no_progress_loops`. A "no" may turn into "yes" when the last high-atomic
/// pageblock is given back. Source: should_reclaim_retry().
template <SyncPolicy S>
[[nodiscard]] bool should_reclaim_retry(const MachineView& machine, const AllocContext& context, AllocFlags flags,
                                        bool progress, unsigned& no_progress_loops) {
  const Generation& generation = machine.env.rules->generation;
  no_progress_loops = progress && context.order.raw() <= kCostlyOrder ? 0 : no_progress_loops + 1;
  if (no_progress_loops > kMaxReclaimRetries)
    return unreserve_highatomic<S>(machine, context, UnreserveForce::TakeLast);
  bool retry = false;
  for (std::size_t z = context.preferred; z < context.list.size() && !retry;
       z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
    const ZoneState& zone = machine.zones[context.list[z].zone.raw()];
    const std::int64_t free = zone_stat_snapshot(machine, zone, ZoneStat::FreePages);
    std::int64_t reclaimable =
        machine.hosts.reclaimer == nullptr
            ? 0
            : static_cast<std::int64_t>(machine.hosts.reclaimer->reclaimable_pages(zone.id).raw());
    // A zone without LRU pages counts its free pages twice here.
    if (reclaimable == 0)
      reclaimable = free;
    WatermarkZone numbers = watermark_zone(generation, zone, context.highest);
    numbers.free_pages = reclaimable + free;
    retry = watermark_ok(generation.watermark.rule, context.order, zone.mark(0), flags, numbers, ZoneBlocks{zone});
  }
  if (machine.hosts.waiter != nullptr)
    machine.hosts.waiter->wait_tick();
  if (!retry && generation.slow.last_unreserve == LastUnreserve::OnEveryNo)
    retry = unreserve_highatomic<S>(machine, context, UnreserveForce::TakeLast);
  return retry;
}

/// Should compaction be tried again, and how hard? Source: should_compact_retry().
[[nodiscard]] inline bool should_compact_retry(const MachineView& machine, const AllocContext& context,
                                               CompactResult result, CompactPriority& priority, unsigned& retries) {
  constexpr unsigned kMaxCompactRetries = 16;
  const unsigned order = context.order.raw();
  if (order == 0 || context.task->fatal_signal)
    return false;
  const bool costly = order > kCostlyOrder;
  bool raise = false;
  switch (result) {
    case CompactResult::Complete:
    case CompactResult::Deferred:
    case CompactResult::Contended:
    case CompactResult::PartialSkipped: raise = true; break;
    case CompactResult::Skipped:
      if (machine.hosts.compactor == nullptr || machine.hosts.reclaimer == nullptr)
        return false;
      for (std::size_t z = context.preferred; z < context.list.size();
           z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
        const ZoneState& zone = machine.zones[context.list[z].zone.raw()];
        const std::uint64_t reclaimable = machine.hosts.reclaimer->reclaimable_pages(zone.id).raw();
        const auto free = static_cast<std::uint64_t>(zone_stat_snapshot(machine, zone, ZoneStat::FreePages));
        if (machine.hosts.compactor->suitable_with(zone.id, context, PageCount{free + reclaimable / order}))
          return true;
      }
      return false;
    case CompactResult::Success: ++retries; [[fallthrough]];
    default: raise = retries > (costly ? kMaxCompactRetries / 4 : kMaxCompactRetries); break;
  }
  if (!raise)
    return true;
  const CompactPriority hardest = costly ? CompactPriority::SyncLight : CompactPriority::SyncFull;
  if (priority <= hardest)
    return false;
  priority = static_cast<CompactPriority>(static_cast<unsigned>(priority) - 1);
  retries = 0;
  return true;
}

/// The slow path of one request. Source: __alloc_pages_slowpath().
template <SyncPolicy S>
class SlowPath {
 public:
  /// `context` is that of the first attempt; mask, nodemask and flags are reset here to the caller's.
  SlowPath(const MachineView& machine, const AllocContext& first, const Request& request)
      : machine_(machine), context_(first), nodes_(request.nodemask ? *request.nodemask : NodeMask::all()) {
    context_.gfp = scoped_gfp(request.gfp, *context_.task);
    context_.spread_dirty_pages = false;
    context_.nodes = nodes_;
    can_reclaim_ = context_.gfp.has(gfp::kDirectReclaim);
    // A mask that cannot wait wins over a contradictory ATOMIC.
    if (can_reclaim_)
      context_.gfp = context_.gfp.without(gfp::kAtomic);
    can_compact_ = context_.gfp.has(gfp::kIo);
    costly_ = context_.order.raw() > kCostlyOrder;
  }

  [[nodiscard]] std::optional<FrameIndex> run();
  /// Why run() returned nothing.
  [[nodiscard]] AllocFailure failure() const { return failure_; }
  /// The mask that a success is reported with.
  [[nodiscard]] Gfp gfp() const { return context_.gfp; }

 private:
  enum class Next : std::uint8_t { Retry, Fail };
  [[nodiscard]] std::optional<FrameIndex> attempt(AllocFlags flags) {
    return get_page_from_freelist<S>(machine_, context_, flags);
  }
  [[nodiscard]] std::optional<FrameIndex> direct_reclaim();
  [[nodiscard]] std::optional<FrameIndex> direct_compact(CompactPriority priority);
  [[nodiscard]] std::optional<FrameIndex> out_of_memory();
  [[nodiscard]] std::optional<FrameIndex> last_resort_of_nofail();
  void find_preferred() { context_.preferred = next_zone(context_.list, 0, context_.highest, context_.nodes); }

  const MachineView& machine_;
  AllocContext context_;
  NodeMask nodes_;
  AllocFlags flags_;
  bool can_reclaim_ = false;
  bool can_compact_ = false;
  bool costly_ = false;
  bool progress_ = false;
  CompactResult compact_result_ = CompactResult::Skipped;
  AllocFailure failure_ = AllocFailure::None;
};

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::run() {
  const Gfp gfp = context_.gfp;
  const Task& task = *context_.task;
  CompactPriority priority = CompactPriority::SyncLight;
  unsigned compaction_retries = 0;
  unsigned no_progress_loops = 0;
  flags_ = slow_path_flags(machine_, context_, gfp);
  find_preferred();
  if (!context_.has_preferred()) {
    failure_ = AllocFailure::NoZone;
    return std::nullopt;
  }
  if (flags_.has(alloc_flag::kKswapd))
    wake_all_kswapds(machine_, context_, gfp);
  if (auto index = attempt(flags_))
    return index;

  failure_ = AllocFailure::NoMemory;
  const bool movable = context_.migratetype == Migratetype::Movable;
  bool give_up = false;
  if (can_reclaim_ && can_compact_ && (costly_ || (context_.order.raw() > 0 && !movable)) &&
      reserve_flags(task, gfp) == AllocFlags{}) {
    if (auto index = direct_compact(CompactPriority::Async))
      return index;
    if (costly_ && gfp.has(gfp::kNoRetry)) {
      give_up = compact_result_ == CompactResult::Skipped || compact_result_ == CompactResult::Deferred ||
                gfp.has(gfp::kThisNode);
      priority = CompactPriority::Async;
    }
  }

  while (true) {
    bool again = false;
    if (!give_up) {
      if (flags_.has(alloc_flag::kKswapd))
        wake_all_kswapds(machine_, context_, gfp);
      const AllocFlags reserves = reserve_flags(task, gfp);
      if (reserves != AllocFlags{})
        flags_ = reserves | (flags_ & (alloc_flag::kCma | alloc_flag::kKswapd));
      if (!flags_.has(alloc_flag::kCpuset) || reserves != AllocFlags{}) {
        context_.nodes = NodeMask::all();
        find_preferred();
      }
      if (auto index = attempt(flags_))
        return index;
      if (can_reclaim_ && !task.memalloc) {
        if (auto index = direct_reclaim())
          return index;
        if (auto index = direct_compact(priority))
          return index;
        const bool once = gfp.has(gfp::kNoRetry) || (costly_ && (!can_compact_ || !gfp.has(gfp::kRetryMayfail)));
        if (!once) {
          again = should_reclaim_retry<S>(machine_, context_, flags_, progress_, no_progress_loops) ||
                  (progress_ && can_compact_ &&
                   should_compact_retry(machine_, context_, compact_result_, priority, compaction_retries));
          if (!again) {
            if (auto index = out_of_memory())
              return index;
            const bool victim_done = task.oom_victim && (flags_.has(alloc_flag::kOom) || gfp.has(gfp::kNoMemalloc));
            if (!victim_done && progress_) {
              no_progress_loops = 0;
              again = true;
            }
          }
        }
      }
    }
    if (again)
      continue;
    if (!gfp.has(gfp::kNoFail) || !can_reclaim_)
      return std::nullopt;
    if (auto index = last_resort_of_nofail())
      return index;
    // Only the host can change anything now; without one this would never end.
    if (machine_.hosts.waiter == nullptr)
      return std::nullopt;
    machine_.hosts.waiter->wait_tick();
    give_up = false;
  }
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::direct_reclaim() {
  progress_ = machine_.hosts.reclaimer != nullptr && machine_.hosts.reclaimer->direct_reclaim(context_).raw() > 0;
  if (!progress_)
    return std::nullopt;
  if (auto index = attempt(flags_))
    return index;
  // What was freed may be held back by the reserve or by per-cpu lists.
  unreserve_highatomic<S>(machine_, context_, UnreserveForce::KeepLast);
  drain_all<S>(machine_);
  return attempt(flags_);
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::direct_compact(CompactPriority priority) {
  compact_result_ = CompactResult::Skipped;
  if (context_.order.raw() == 0 || !can_compact_ || machine_.hosts.compactor == nullptr)
    return std::nullopt;
  compact_result_ = machine_.hosts.compactor->direct_compact(context_, priority);
  if (compact_result_ == CompactResult::Skipped)
    return std::nullopt;
  auto index = attempt(flags_);
  if (index)
    machine_.hosts.compactor->compaction_succeeded(machine_.zone_of(*index).id, context_.order);
  return index;
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::out_of_memory() {
  progress_ = false;
  // Somebody else's exit may have freed enough meanwhile; only a comfortable mark stops the killer.
  AllocContext high = context_;
  high.gfp = (context_.gfp | gfp::kHardwall).without(gfp::kDirectReclaim);
  if (auto index = get_page_from_freelist<S>(machine_, high, alloc_flag::kWmarkHigh | alloc_flag::kCpuset))
    return index;
  const Gfp gfp = context_.gfp;
  if (costly_ || gfp.has(gfp::kRetryMayfail | gfp::kThisNode))
    return std::nullopt;
  if (machine_.zone_types[context_.highest.raw()] < ZoneType::Normal)
    return std::nullopt;
  const bool killed = machine_.hosts.oom != nullptr && machine_.hosts.oom->out_of_memory(context_);
  if (!killed && !gfp.has(gfp::kNoFail))
    return std::nullopt;
  progress_ = machine_.hosts.oom != nullptr;
  if (!gfp.has(gfp::kNoFail))
    return std::nullopt;
  if (auto index = attempt(alloc_flag::kNoWatermarks | alloc_flag::kCpuset))
    return index;
  return attempt(alloc_flag::kNoWatermarks);
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::last_resort_of_nofail() {
  const AllocFlags helper = machine_.env.rules->generation.reserve.atomic_rule == AtomicRule::GfpAtomic
                                ? alloc_flag::kHarder
                                : alloc_flag::kMinReserve;
  if (auto index = attempt(helper | alloc_flag::kCpuset))
    return index;
  return attempt(helper);
}

}  // namespace mmbox
