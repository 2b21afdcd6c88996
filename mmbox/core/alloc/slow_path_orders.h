// The slow paths of 3.10 and 7.2, which go through the same steps in another order. Included where they are
// instantiated.
#pragma once

#include "mmbox/core/alloc/slow_path.h"

namespace mmbox {

/// 7.2: the early compaction is the first round of the common loop, so that the attempt and the wake before it are
/// repeated. Source: __alloc_pages_slowpath().
template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::run_one_loop() {
  const Gfp gfp = context_.gfp;
  if (!begin())
    return std::nullopt;
  bool first = early_compaction_gate();
  if (first)
    priority_ = CompactPriority::Async;
  bool looked_everywhere = false;
  while (true) {
    bool again = false;
    bool give_up = false;
    if (flags_.has(alloc_flag::kKswapd))
      wake_all_kswapds(machine_, context_, gfp);
    if (auto index = attempt(flags_))
      return index;
    if (take_up_reserves() || !flags_.has(alloc_flag::kCpuset)) {
      look_everywhere();
      if (!looked_everywhere) {
        looked_everywhere = true;
        continue;
      }
    }
    if (!can_reclaim_) {
      // It cannot free anything itself, but may wake those who can: rather mix pageblocks than fail.
      if (!defrag_mode(machine_) || !flags_.has(alloc_flag::kNoFragment) || !gfp.has(gfp::kKswapdReclaim))
        return std::nullopt;
      flags_ = flags_.without(alloc_flag::kNoFragment);
      continue;
    }
    if (!context_.task->memalloc) {
      if (!first)
        if (auto index = direct_reclaim())
          return index;
      if (auto index = direct_compact(priority_))
        return index;
      if (first) {
        first = false;
        give_up = gfp.has(gfp::kNoRetry) && was_last_try();
        if (!gfp.has(gfp::kNoRetry))
          priority_ = CompactPriority::SyncLight;
        if (!give_up)
          continue;
      } else if (auto index = go_on_or_kill(again)) {
        return index;
      }
    }
    if (again)
      continue;
    if (!gfp.has(gfp::kNoFail))
      return std::nullopt;
    if (auto index = last_resort_of_nofail())
      return index;
    if (machine_.hosts.waiter == nullptr)
      return std::nullopt;
    machine_.hosts.waiter->wait_tick();
  }
}

/// 3.10: compaction comes before reclaim, asynchronous the first time; what reclaim freed so far decides whether a
/// large request goes on. Source: __alloc_pages_slowpath(), 3.10.
template <SyncPolicy S>
std::optional<FrameIndex> SlowPath<S>::run_restarts() {
  const Gfp gfp = context_.gfp;
  const Task& task = *context_.task;
  failure_ = context_.has_preferred() ? AllocFailure::NoMemory : AllocFailure::NoZone;
  // What GFP_THISNODE stood for then: this node or nothing, and no effort.
  if (machine_.nodes.size() > 1 && gfp.has_all(gfp::kThisNode | gfp::kNoRetry | gfp::kNoWarn))
    return std::nullopt;
  const bool no_fail = gfp.has(gfp::kNoFail);
  const bool wakes_kswapd = gfp.has(gfp::kKswapdReclaim);
  priority_ = CompactPriority::Async;
  std::uint64_t reclaimed = 0;
  bool restart = true;
  while (true) {
    if (restart) {
      if (!begin())
        return std::nullopt;
      if (wakes_kswapd)
        wake_all_kswapds(machine_, context_, gfp);
      restart = false;
    }
    if (auto index = attempt(flags_))
      return index;
    if (reserves() != AllocFlags{}) {
      if (context_.kept_preferred == nullptr)
        context_.kept_preferred = &context_.preferred_zone();
      look_everywhere();
      if (auto index = attempt(alloc_flag::kNoWatermarks))
        return index;
    }
    if (!can_reclaim_ || task.memalloc || (task.oom_victim && !no_fail))
      return std::nullopt;

    if (auto index = direct_compact(priority_))
      return index;
    priority_ = CompactPriority::SyncLight;
    if (!wakes_kswapd && (compact_result_ == CompactResult::Deferred || compact_result_ == CompactResult::Contended))
      return std::nullopt;

    std::uint64_t pages = 0;
    if (machine_.hosts.reclaimer != nullptr)
      pages = machine_.hosts.reclaimer->direct_reclaim(context_).raw();
    progress_ = pages > 0;
    if (progress_) {
      for (NodeState& node : machine_.nodes)
        if (machine_.zonelist(node.fallback).data() == context_.list.data())
          node.full_zones = {};
      if (auto index = attempt(flags_))
        return index;
      drain_all<S>(machine_);
      if (auto index = attempt(flags_))
        return index;
    } else if (gfp.has(gfp::kFs) && !gfp.has(gfp::kNoRetry)) {
      if (auto index = out_of_memory())
        return index;
      const bool in_vain = costly_ || machine_.zone_types[context_.highest.raw()] < ZoneType::Normal;
      if (!no_fail && in_vain)
        return std::nullopt;
      if (!progress_ && machine_.hosts.oom == nullptr)
        return std::nullopt;  // nobody will ever free anything
      restart = true;
      continue;
    }
    reclaimed += pages;
    const bool far_enough = gfp.has(gfp::kRetryMayfail) && reclaimed < std::uint64_t{1} << context_.order.raw();
    const bool again = !gfp.has(gfp::kNoRetry) && (no_fail || !costly_ || far_enough);
    if (!again)
      return direct_compact(priority_);
    if (!progress_ && machine_.hosts.waiter == nullptr)
      return std::nullopt;
    if (machine_.hosts.waiter != nullptr)
      machine_.hosts.waiter->wait_tick();
  }
}

}  // namespace mmbox
