// Who compacts a zone, and how: the kinds of work of 07 §4, and how far direct and proactive work is asked to go.
//
// Pure data, made once for a run; the scanners only read it.
#pragma once

#include <cstdint>
#include <optional>

#include "mmbox/core/alloc/context.h"
#include "mmbox/core/alloc/hosts.h"

namespace mmbox {

/// One run over one zone, as its caller wants it.
struct CompactionPlan {
  MoveMode mode = MoveMode::Sync;
  std::optional<Order> order{};  ///< of the block wanted; none: whatever can be moved
  Migratetype type = Migratetype::Movable;
  Gfp gfp = gfp::kKernel;
  AllocFlags flags{};              ///< of the attempt that failed: the mark that would satisfy the caller
  ZoneIndex highest{};             ///< the highest zone that the caller could use
  const Task* task = &kPlainTask;  ///< who stops when killed
  bool is_direct = false;          ///< a request waits for it, which may also catch its block
  bool is_proactive = false;       ///< ends when the zone's score is good enough, or kswapd wakes
  bool whole_zone = false;         ///< from end to end, wherever the last run stopped
  bool ignores_hints = false;      ///< looks at pageblocks that were found fruitless
  bool any_target_block = false;   ///< puts pages into pageblocks of every type

  [[nodiscard]] constexpr bool is_async() const { return mode == MoveMode::Async; }
  /// An asynchronous request empties aligned runs of its size, each whole or not at all, in pageblocks of its type.
  [[nodiscard]] constexpr bool takes_whole_runs() const { return is_direct && is_async(); }
  /// The order as events tell it.
  [[nodiscard]] constexpr std::int32_t told_order() const {
    return order ? static_cast<std::int32_t>(order->raw()) : -1;
  }
};

/// A request that waits for a block.
[[nodiscard]] inline CompactionPlan plan_for_request(const AllocContext& request, CompactPriority priority) {
  const bool last_try = priority == CompactPriority::SyncFull;
  return {.mode = priority == CompactPriority::Async ? MoveMode::Async : MoveMode::SyncLight,
          .order = request.order,
          .type = request.migratetype,
          .gfp = request.gfp,
          .flags = request.flags,
          .highest = request.highest,
          .task = request.task,
          .is_direct = true,
          .whole_zone = last_try,
          .ignores_hints = last_try,
          .any_target_block = last_try};
}

/// kcompactd, asked for blocks of `order` in zones up to `highest`.
[[nodiscard]] constexpr CompactionPlan plan_for_kcompactd(Order order, ZoneIndex highest) {
  return {.mode = MoveMode::SyncLight, .order = order, .highest = highest};
}

/// kcompactd, on its own account.
[[nodiscard]] constexpr CompactionPlan plan_proactive() {
  return {.mode = MoveMode::SyncLight, .is_proactive = true, .whole_zone = true, .ignores_hints = true};
}

/// A write to compact_memory.
[[nodiscard]] constexpr CompactionPlan plan_on_demand() {
  return {.mode = MoveMode::Sync, .whole_zone = true, .ignores_hints = true};
}

/// Scores at which proactive work ends, and above which it begins. Unit: percent. Source: 07 §10.
[[nodiscard]] constexpr unsigned proactive_low_score(unsigned proactiveness) {
  return proactiveness > 95 ? 5 : 100 - proactiveness;
}
[[nodiscard]] constexpr unsigned proactive_high_score(unsigned proactiveness) {
  const unsigned low = proactive_low_score(proactiveness);
  return low > 90 ? 100 : low + 10;
}

/// May this page be taken off its list in order to be moved? Source: 07 §4 and §6.
[[nodiscard]] constexpr bool may_move(const PageFacts& page, const CompactionPlan& plan, bool mlocked_pages_too) {
  switch (page.kind) {
    case PageFacts::Kind::Fixed: return false;
    case PageFacts::Kind::Driver: return true;
    case PageFacts::Kind::Lru: break;
  }
  // Holders of an anonymous page beyond its mappings would not notice that it moved.
  if (page.is_pinned && !page.has_mapping)
    return false;
  if (page.has_mapping && !plan.gfp.has(gfp::kFs))
    return false;
  if (page.is_unevictable && !mlocked_pages_too)
    return false;
  if (plan.mode == MoveMode::Sync)
    return true;
  if (page.is_writeback)
    return false;
  return !page.is_dirty || (!page.is_locked && (!page.has_mapping || page.mapping_migrates));
}

}  // namespace mmbox
