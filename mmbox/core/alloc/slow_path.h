// What a request does after its first attempt failed: lower the mark, use the reserves, have memory freed or moved,
// try again, and in the end give up.
//
// The order of the attempts and the decisions to go on are here; compaction, reclaim and the OOM killer are hosts.
#pragma once

#include "mmbox/core/alloc/fast_path.h"
#include "mmbox/core/alloc/free_path.h"
#include "mmbox/core/alloc/hosts.h"
#include "mmbox/core/alloc/suitability.h"

namespace mmbox {

/// The flags of the slow path, from the mask. Source: gfp_to_alloc_flags().
[[nodiscard]] inline AllocFlags slow_path_flags(const MachineView& machine, const AllocContext& context, Gfp gfp) {
  AllocFlags flags = alloc_flag::kWmarkMin | alloc_flag::kCpuset;
  flags |= AllocFlags{gfp.raw()} & (alloc_flag::kMinReserve | alloc_flag::kKswapd);
  const bool realtime = context.task->realtime && !context.task->in_interrupt;
  const AtomicRule rule = machine.env.rules->generation.reserve.atomic_rule;
  switch (rule) {
    case AtomicRule::NoWait:
    case AtomicRule::GfpAtomic: {
      // Before there was __GFP_ATOMIC: neither waiting nor avoiding kswapd.
      const bool no_wait = !gfp.has(gfp::kDirectReclaim) && gfp.has(gfp::kKswapdReclaim);
      if (rule == AtomicRule::GfpAtomic ? gfp.has(gfp::kAtomic) : no_wait) {
        if (!gfp.has(gfp::kNoMemalloc))
          flags |= alloc_flag::kHarder;
        flags = flags.without(alloc_flag::kCpuset);
      } else if (realtime) {
        flags |= alloc_flag::kHarder;
      }
      break;
    }
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
  if (machine.env.rules->has_cma && context.migratetype == Migratetype::Movable &&
      may_have_cma(machine.env.rules->generation.requests, *context.task))
    flags |= alloc_flag::kCma;
  if (defrag_mode(machine))
    flags |= alloc_flag::kNoFragment;
  return flags;
}

/// The flags of a task that is entitled to reserves whatever the mark; none for all others.
/// Source: __gfp_pfmemalloc_flags().
[[nodiscard]] inline AllocFlags reserve_flags(OomVictim victims, const Task& task, Gfp gfp) {
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
  if (!task.oom_victim)
    return {};
  return victims == OomVictim::OomFlag ? alloc_flag::kOom : alloc_flag::kNoWatermarks;
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
    if (reclaimable == 0 && generation.slow.nothing_reclaimable == NothingReclaimable::FreePages)
      reclaimable = free;
    WatermarkZone numbers = watermark_zone(generation, zone, lowmem_index(generation, context));
    numbers.free_pages = reclaimable + free;
    retry = watermark_ok(generation.watermark.rule, context.order, zone.mark(0), flags, numbers, ZoneBlocks{zone});
  }
  if (machine.hosts.waiter != nullptr)
    machine.hosts.waiter->yield();
  if (!retry && generation.slow.last_unreserve == LastUnreserve::OnEveryNo)
    retry = unreserve_highatomic<S>(machine, context, UnreserveForce::TakeLast);
  return retry;
}

/// Should compaction be tried again, and how hard? Source: should_compact_retry().
[[nodiscard]] inline bool should_compact_retry(const MachineView& machine, const AllocContext& context,
                                               AllocFlags flags, CompactResult result, CompactPriority& priority,
                                               unsigned& retries) {
  constexpr unsigned kMaxCompactRetries = 16;
  const unsigned order = context.order.raw();
  if (order == 0 || context.task->fatal_signal)
    return false;
  const bool costly = order > kCostlyOrder;
  bool raise = false;
  if (machine.env.rules->generation.slow.withdrawn == WithdrawnCompaction::AsksSuitability &&
      (result == CompactResult::Deferred || result == CompactResult::Contended ||
       result == CompactResult::PartialSkipped))
    result = CompactResult::Skipped;
  switch (result) {
    case CompactResult::Complete:
    case CompactResult::Deferred:
    case CompactResult::Contended:
    case CompactResult::PartialSkipped: raise = true; break;
    case CompactResult::Skipped: return compaction_zonelist_suitable(machine, context, flags);
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
      : machine_(machine),
        policy_(machine.env.rules->generation.slow),
        context_(first),
        nodes_(request.nodemask ? *request.nodemask : NodeMask::all()) {
    context_.gfp = scoped_gfp(machine.env.rules->generation.requests, request.gfp, *context_.task);
    context_.spread_dirty_pages = false;
    context_.nodes = nodes_;
    can_reclaim_ = context_.gfp.has(gfp::kDirectReclaim);
    // A mask that cannot wait wins over a contradictory ATOMIC.
    if (can_reclaim_)
      context_.gfp = context_.gfp.without(gfp::kAtomic);
    can_compact_ = context_.gfp.has(gfp::kIo);
    asks_compaction_ = can_compact_ || policy_.compact_without_io == CompactWithoutIo::Skips;
    costly_ = context_.order.raw() > kCostlyOrder;
  }

  [[nodiscard]] std::optional<FrameIndex> run() {
    switch (policy_.order) {
      case SlowPathOrder::Restarts: return run_restarts();
      case SlowPathOrder::EarlyCompact: return run_early_compact();
      case SlowPathOrder::OneLoop: return run_one_loop();
    }
    return std::nullopt;
  }
  /// Why run() returned nothing.
  [[nodiscard]] AllocFailure failure() const { return failure_; }
  /// The mask that a success is reported with.
  [[nodiscard]] Gfp gfp() const { return context_.gfp; }

 private:
  // One for each SlowPathOrder; the first and the last are in slow_path_orders.h.
  [[nodiscard]] std::optional<FrameIndex> run_restarts();
  [[nodiscard]] std::optional<FrameIndex> run_early_compact();
  [[nodiscard]] std::optional<FrameIndex> run_one_loop();

  /// False if no zone may serve the request at all.
  [[nodiscard]] bool begin();
  /// Takes up the flags of a task that is entitled to reserves; true if it is.
  bool take_up_reserves();
  /// Above cpusets, or with reserves: looks beyond the nodemask, or from the executing CPU's node on.
  void look_everywhere();
  [[nodiscard]] bool was_last_try() const;
  [[nodiscard]] bool early_compaction_gate() const {
    return can_reclaim_ && asks_compaction_ &&
           (costly_ || (context_.order.raw() > 0 && context_.migratetype != Migratetype::Movable));
  }
  /// One pass of reclaim, compaction and the questions whether to go on; sets `again`.
  [[nodiscard]] std::optional<FrameIndex> reclaim_or_compact(bool& again);
  [[nodiscard]] std::optional<FrameIndex> go_on_or_kill(bool& again);
  [[nodiscard]] std::optional<FrameIndex> attempt(AllocFlags flags) {
    return get_page_from_freelist<S>(machine_, context_, flags);
  }
  [[nodiscard]] std::optional<FrameIndex> direct_reclaim();
  [[nodiscard]] std::optional<FrameIndex> direct_compact(CompactPriority priority);
  /// The block that compaction caught for this request, made ready.
  [[nodiscard]] std::optional<FrameIndex> take_captured(Pfn pfn, Order captured);
  [[nodiscard]] std::optional<FrameIndex> out_of_memory();
  [[nodiscard]] std::optional<FrameIndex> last_resort_of_nofail();
  [[nodiscard]] AllocFlags reserves() const { return reserve_flags(policy_.oom_victim, *context_.task, context_.gfp); }
  /// What reclaim and compaction work for: a whole pageblock if this request may not mix any.
  [[nodiscard]] AllocContext effort() const {
    AllocContext wider = context_;
    wider.flags = flags_;
    if (defrag_mode(machine_) && flags_.has(alloc_flag::kNoFragment) && context_.migratetype != Migratetype::Movable &&
        context_.order < Order{kPageblockOrder})
      wider.order = Order{kPageblockOrder};
    return wider;
  }
  void find_preferred() { context_.preferred = next_zone(context_.list, 0, context_.highest, context_.nodes); }

  const MachineView& machine_;
  const SlowPolicy& policy_;
  AllocContext context_;
  NodeMask nodes_;
  AllocFlags flags_;
  bool can_reclaim_ = false;
  bool can_compact_ = false;
  bool asks_compaction_ = false;
  bool costly_ = false;
  bool progress_ = false;
  CompactPriority priority_ = CompactPriority::SyncLight;
  unsigned compaction_retries_ = 0;
  unsigned no_progress_loops_ = 0;
  CompactResult compact_result_ = CompactResult::Skipped;
  AllocFailure failure_ = AllocFailure::None;
};

template <SyncPolicy S>
bool SlowPath<S>::begin() {
  flags_ = slow_path_flags(machine_, context_, context_.gfp);
  find_preferred();
  failure_ = context_.has_preferred() ? AllocFailure::NoMemory : AllocFailure::NoZone;
  return context_.has_preferred();
}

template <SyncPolicy S>
bool SlowPath<S>::take_up_reserves() {
  const AllocFlags entitled = reserves();
  if (entitled == AllocFlags{})
    return false;
  // Victims without watermarks have nothing else to be told.
  const AllocFlags cma = policy_.oom_victim == OomVictim::OomFlag ? alloc_flag::kCma : AllocFlags{};
  const AllocFlags kswapd =
      policy_.reserve_flags_kswapd == ReserveFlagsKswapd::Kept ? alloc_flag::kKswapd : AllocFlags{};
  flags_ = entitled | (flags_ & (cma | kswapd));
  return true;
}

template <SyncPolicy S>
void SlowPath<S>::look_everywhere() {
  if (policy_.privileged_list == PrivilegedList::AllNodes) {
    context_.nodes = NodeMask::all();
  } else {
    const NodeState& node = machine_.nodes[context_.cpu_node.raw()];
    context_.list = machine_.zonelist(context_.gfp.has(gfp::kThisNode) ? node.no_fallback : node.fallback);
  }
  find_preferred();
}

/// Whether a request that must not retry ends with the first compaction.
template <SyncPolicy S>
bool SlowPath<S>::was_last_try() const {
  const bool deferred = compact_result_ == CompactResult::Deferred;
  const bool skipped = compact_result_ == CompactResult::Skipped;
  const bool this_node = context_.gfp.has(gfp::kThisNode);
  switch (policy_.no_retry_exit) {
    case NoRetryExit::None: return false;
    case NoRetryExit::Deferred: return deferred;
    case NoRetryExit::SkippedOrDeferred: return skipped || deferred;
    case NoRetryExit::AlsoThisNode: return skipped || deferred || this_node;
    case NoRetryExit::OnlyThisNode: return this_node;
  }
  return false;
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::run_early_compact() {
  const Gfp gfp = context_.gfp;
  if (!begin())
    return std::nullopt;
  if (flags_.has(alloc_flag::kKswapd))
    wake_all_kswapds(machine_, context_, gfp);
  if (auto index = attempt(flags_))
    return index;

  bool give_up = false;
  if (early_compaction_gate() && reserves() == AllocFlags{}) {
    if (auto index = direct_compact(CompactPriority::Async))
      return index;
    if (costly_ && gfp.has(gfp::kNoRetry)) {
      give_up = was_last_try();
      priority_ = CompactPriority::Async;
    }
  }

  while (true) {
    bool again = false;
    if (!give_up) {
      if (flags_.has(alloc_flag::kKswapd))
        wake_all_kswapds(machine_, context_, gfp);
      if (take_up_reserves() || !flags_.has(alloc_flag::kCpuset))
        look_everywhere();
      if (auto index = attempt(flags_))
        return index;
      if (can_reclaim_ && !context_.task->memalloc)
        if (auto index = reclaim_or_compact(again))
          return index;
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
std::optional<FrameIndex> SlowPath<S>::reclaim_or_compact(bool& again) {
  if (auto index = direct_reclaim())
    return index;
  if (auto index = direct_compact(priority_))
    return index;
  return go_on_or_kill(again);
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::go_on_or_kill(bool& again) {
  const Gfp gfp = context_.gfp;
  again = false;
  if (gfp.has(gfp::kNoRetry) || (costly_ && (!asks_compaction_ || !gfp.has(gfp::kRetryMayfail))))
    return std::nullopt;
  again = should_reclaim_retry<S>(machine_, context_, flags_, progress_, no_progress_loops_) ||
          (progress_ && asks_compaction_ &&
           should_compact_retry(machine_, context_, flags_, compact_result_, priority_, compaction_retries_));
  if (again)
    return std::nullopt;
  // Before anything is killed, pageblocks may be mixed after all.
  if (defrag_mode(machine_) && flags_.has(alloc_flag::kNoFragment)) {
    flags_ = flags_.without(alloc_flag::kNoFragment);
    again = true;
    return std::nullopt;
  }
  if (auto index = out_of_memory())
    return index;
  const AllocFlags victims_flag =
      policy_.oom_victim == OomVictim::OomFlag ? alloc_flag::kOom : alloc_flag::kNoWatermarks;
  const bool had_all = flags_.has(victims_flag) || gfp.has(gfp::kNoMemalloc);
  if (!(context_.task->oom_victim && had_all) && progress_) {
    no_progress_loops_ = 0;
    again = true;
  }
  return std::nullopt;
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::direct_reclaim() {
  progress_ = machine_.hosts.reclaimer != nullptr && machine_.hosts.reclaimer->direct_reclaim(effort()).raw() > 0;
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
  const AllocContext wanted = effort();
  if (wanted.order.raw() == 0 || !can_compact_)
    return std::nullopt;
  std::optional<Pfn> captured;
  if (machine_.hosts.compactor != nullptr) {
    const CompactOutcome outcome = machine_.hosts.compactor->direct_compact(wanted, priority);
    compact_result_ = outcome.result;
    captured = outcome.captured;
  }
  const bool skipped = compact_result_ == CompactResult::Skipped;
  const bool deferred = compact_result_ == CompactResult::Deferred;
  switch (policy_.try_after_compaction) {
    case TryAfterCompaction::UnlessSkipped:
      if (skipped)
        return std::nullopt;
      break;
    case TryAfterCompaction::UnlessSkippedOrDeferred:
      if (skipped || deferred)
        return std::nullopt;
      break;
    case TryAfterCompaction::Always: break;
  }
  if (!skipped)
    count_event(machine_.events->compact_stall);
  auto index = captured ? take_captured(*captured, wanted.order) : attempt(flags_);
  if (index && machine_.hosts.compactor != nullptr)
    machine_.hosts.compactor->compaction_succeeded(machine_.zone_of(*index).id, context_.order);
  if (!skipped)
    count_event(index ? machine_.events->compact_success : machine_.events->compact_fail);
  return index;
}

template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::take_captured(Pfn pfn, Order captured) {
  const FrameIndex index = machine_.env.map.index(pfn);
  if (captured != context_.order) {
    // It worked for a larger block than was asked for; what was caught is free like any other.
    ZoneState& zone = machine_.zone_of(index);
    {
      const Guard<S> lock{zone.lock_word};
      machine_.buddy(zone, context_.cpu).free_block(index, captured.raw());
    }
    return attempt(flags_);
  }
  const unsigned order = captured.raw();
  const auto compound = context_.gfp.has(gfp::kComp) ? FrameState::Compound::Yes : FrameState::Compound::No;
  machine_.env.map.set_state(index, order, FrameState::allocated(order, compound));
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
  const AllocFlags helper = machine_.env.rules->generation.reserve.atomic_rule == AtomicRule::NonBlock
                                ? alloc_flag::kMinReserve
                                : alloc_flag::kHarder;
  if (auto index = attempt(helper | alloc_flag::kCpuset))
    return index;
  return attempt(helper);
}

}  // namespace mmbox
