// Deferral: after a run that was in vain, most attempts at blocks as large are not made (07 §5).
#pragma once

#include "mmbox/core/base/event.h"
#include "mmbox/core/buddy/zone_state.h"

namespace mmbox {

/// How a zone's compaction turned out to have worked.
enum class CompactionSuccess : std::uint8_t {
  Expected,   ///< there is a block now
  Allocated,  ///< the request has got it
};

/// True if this attempt at a block of `order` is to be left out; each call is one attempt.
[[nodiscard]] constexpr bool compaction_deferred(CompactionState& state, std::int32_t order) {
  if (order < state.order_failed)
    return false;
  const std::uint32_t pause = 1U << state.defer_shift;
  if (++state.considered < pause)
    return true;
  state.considered = pause;
  return false;
}

/// A run for `order` went through everything and made no block: the pause doubles.
constexpr void defer_compaction(CompactionState& state, std::int32_t order) {
  state.considered = 0;
  if (state.defer_shift < kMaxCompactionDeferShift)
    ++state.defer_shift;
  if (order < state.order_failed)
    state.order_failed = order;
}

/// A run for `order` worked.
constexpr void reset_deferral(CompactionState& state, std::int32_t order, CompactionSuccess success) {
  if (success == CompactionSuccess::Allocated)
    state.considered = state.defer_shift = 0;
  if (order >= state.order_failed)
    state.order_failed = order + 1;
}

/// True at the end of the longest pause: what was learnt of the zone so far is old.
[[nodiscard]] constexpr bool ends_longest_pause(const CompactionState& state, std::int32_t order) {
  return order >= state.order_failed && state.defer_shift == kMaxCompactionDeferShift &&
         state.considered >= 1U << kMaxCompactionDeferShift;
}

/// What events say of a zone's deferral; `E` is one of the three of that shape.
template <class E>
[[nodiscard]] E deferral_event(const ZoneState& zone, std::int32_t order) {
  const CompactionState& state = zone.compaction;
  return {{zone.node, zone.index, order, state.considered, state.defer_shift, state.order_failed}};
}
template <>
[[nodiscard]] inline MmCompactionDeferred deferral_event(const ZoneState& zone, std::int32_t order) {
  const CompactionState& state = zone.compaction;
  return {zone.node, zone.index, order, state.considered, state.defer_shift, state.order_failed};
}

}  // namespace mmbox
