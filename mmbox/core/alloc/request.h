// A request for pages as its caller makes it, and the reasons for which it may be refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mmbox/core/base/gfp.h"
#include "mmbox/core/base/result.h"
#include "mmbox/core/base/units.h"
#include "mmbox/core/topology/zonelist.h"

namespace mmbox {

/// The task that asks, as far as the allocator looks at it. The default is an ordinary task without scopes.
struct Task {
  bool in_interrupt = false;
  bool serving_softirq = false;
  bool realtime = false;
  bool memalloc = false;  ///< PF_MEMALLOC: it is freeing memory itself
  bool oom_victim = false;
  bool exiting = false;
  bool fatal_signal = false;
  bool scope_noio = false;  ///< PF_MEMALLOC_NOIO
  bool scope_nofs = false;
  bool scope_pin = false;  ///< pages will be pinned: they must not be movable
  bool workqueue = false;
  bool cpusets_enabled = false;                      ///< more than the root cpuset exists
  NodeMask mems_allowed = NodeMask::all();           ///< of its cpuset
  NodeMask hardwall_mems_allowed = NodeMask::all();  ///< of the nearest ancestor that is a wall
};

/// One request. `order` > kMaxPageOrder is refused, not misuse.
struct Request {
  Gfp gfp;
  Order order{0};
  CpuId cpu;
  std::optional<NodeId> node = std::nullopt;        ///< preferred; nullopt: that of the CPU
  std::optional<NodeMask> nodemask = std::nullopt;  ///< nullopt: all nodes
  const Task* task = nullptr;                       ///< nullptr: a default Task

  /// True if nothing but order and mask are asked for.
  [[nodiscard]] bool is_plain() const { return !node && !nodemask && task == nullptr; }
};

/// Why a request got nothing.
enum class AllocFailure : std::uint8_t {
  None,
  OrderTooLarge,  ///< above kMaxPageOrder; no zone was looked at
  NoZone,         ///< no zone of the list may serve this mask and nodemask
  NoMemory,       ///< every eligible zone refused, in every attempt that the mask allows
};

/// "every zone that may serve it said no"
[[nodiscard]] constexpr std::string_view reason_text(AllocFailure failure) {
  switch (failure) {
    case AllocFailure::OrderTooLarge: return "no block is that large";
    case AllocFailure::NoZone: return "no zone may serve this mask on these nodes";
    case AllocFailure::NoMemory: return "every zone that may serve it said no";
    case AllocFailure::None: break;
  }
  return "";
}

using AllocResult = Result<Pfn, AllocFailure>;

}  // namespace mmbox
