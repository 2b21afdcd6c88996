// A request made ready: decided once, read by every attempt.
#pragma once

#include <array>
#include <span>

#include "mmbox/core/alloc/machine_view.h"
#include "mmbox/core/alloc/request.h"

namespace mmbox {

/// A request, prepared.
struct AllocContext {
  Gfp gfp;  ///< of the attempts of the fast path
  Order order{0};
  AllocFlags flags;
  ZoneIndex highest;
  Migratetype migratetype = Migratetype::Unmovable;
  std::span<const ZoneRef> list;
  std::size_t preferred = 0;  ///< position of the first eligible zone; list.size() if there is none
  /// 3.10: the first zone of the list that a request began with, once reserve rights have led it to another list.
  const ZoneRef* kept_preferred = nullptr;
  NodeMask nodes = NodeMask::all();
  bool spread_dirty_pages = false;
  CpuId cpu;
  NodeId cpu_node;
  const Task* task = nullptr;  ///< never nullptr once prepared

  [[nodiscard]] bool has_preferred() const { return preferred < list.size(); }
  [[nodiscard]] const ZoneRef& preferred_zone() const { return list[preferred]; }
  [[nodiscard]] const ZoneRef& first_preferred() const {
    return kept_preferred != nullptr ? *kept_preferred : preferred_zone();
  }
};

/// True for zone masks that name no zone (two of DMA, DMA32 and HIGHMEM).
[[nodiscard]] constexpr bool gfp_zone_is_valid(Gfp gfp) {
  constexpr unsigned kBad = 0b1110'1000'1110'1000;  // 3, 5, 6, 7, B, D, E, F
  return (kBad >> (gfp.raw() & 0xf) & 1U) == 0;
}

/// The highest zone that a mask may use, as an index into the compiled-in types.
///
/// Illegal combinations (3, 5, 6, 7, B, D, E, F) are treated as their strongest restriction. Types that are compiled
/// out fall to Normal. Source: gfp_zone() and GFP_ZONE_TABLE, include/linux/gfp.h.
[[nodiscard]] constexpr ZoneIndex gfp_zone(Gfp gfp, std::span<const ZoneType> types) {
  ZoneType wanted = ZoneType::Normal;
  if (gfp.has(gfp::kDma))
    wanted = ZoneType::Dma;
  else if (gfp.has(gfp::kDma32))
    wanted = ZoneType::Dma32;
  else if (gfp.has(gfp::kHighMem))
    wanted = gfp.has(gfp::kMovable) ? ZoneType::Movable : ZoneType::HighMem;
  std::size_t normal = 0;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] == wanted)
      return ZoneIndex{i};
    if (types[i] == ZoneType::Normal)
      normal = i;
  }
  return ZoneIndex{normal};
}

/// The gfp mask after the task's scopes. Source: current_gfp_context(), include/linux/sched/mm.h.
[[nodiscard]] constexpr Gfp scoped_gfp(const RequestPolicy& policy, Gfp gfp, const Task& task) {
  if (task.scope_noio)
    gfp = gfp.without(gfp::kIo | gfp::kFs);
  else if (task.scope_nofs && policy.scopes != ScopeRule::NoIoInSlowPath)
    gfp = gfp.without(gfp::kFs);
  return task.scope_pin && policy.pin_scope == PinScope::NotMovable ? gfp.without(gfp::kMovable) : gfp;
}

/// True if a movable request of this task may have CMA pages.
[[nodiscard]] constexpr bool may_have_cma(const RequestPolicy& policy, const Task& task) {
  return policy.pin_scope != PinScope::NoCma || !task.scope_pin;
}

inline constexpr Task kPlainTask{};

/// The state of a block that a request of this mask and order gets.
[[nodiscard]] constexpr FrameState allocated_state(Gfp gfp, unsigned order) {
  return FrameState::allocated(order,
                               order > 0 && gfp.has(gfp::kComp) ? FrameState::Compound::Yes : FrameState::Compound::No);
}

/// Decides zone, type, list and flags of a request's first attempt.
/// Source: prepare_alloc_pages() and alloc_flags_nofragment(), mm/page_alloc.c.
[[nodiscard]] inline AllocContext prepare(const MachineView& machine, const Request& request) {
  const Task& task = request.task == nullptr ? kPlainTask : *request.task;
  const RequestPolicy& policy = machine.env.rules->generation.requests;
  const bool scoped = request.task != nullptr && policy.scopes == ScopeRule::BeforeFirstAttempt;
  const Gfp gfp = scoped ? scoped_gfp(policy, request.gfp, task) : request.gfp;
  AllocContext context;
  context.task = &task;
  context.cpu = request.cpu;
  context.cpu_node = machine.cpu_nodes[request.cpu.raw()];
  context.order = request.order;
  context.highest = machine.usual_start(request.cpu, gfp).highest;
  context.migratetype = machine.env.rules->mobility_disabled ? Migratetype::Unmovable : gfp_migratetype(gfp);
  const NodeState& node = machine.nodes[request.node ? request.node->raw() : context.cpu_node.raw()];
  context.list = machine.zonelist(gfp.has(gfp::kThisNode) ? node.no_fallback : node.fallback);
  if (request.nodemask)
    context.nodes = *request.nodemask;
  context.gfp = gfp;
  context.flags = alloc_flag::kWmarkLow;
  NodeMask preferred_nodes = context.nodes;
  if (task.cpusets_enabled) {
    context.gfp = gfp | gfp::kHardwall;
    const bool becomes_nodemask = policy.cpuset == CpusetRule::NodemaskAlways ||
                                  (policy.cpuset == CpusetRule::NodemaskInTask && !task.in_interrupt);
    if (becomes_nodemask && !request.nodemask)
      context.nodes = task.mems_allowed;
    else
      context.flags |= alloc_flag::kCpuset;
    preferred_nodes = request.nodemask ? context.nodes : task.mems_allowed;
  }
  if (machine.env.rules->has_cma && context.migratetype == Migratetype::Movable && may_have_cma(policy, task))
    context.flags |= alloc_flag::kCma;
  context.spread_dirty_pages = gfp.has(gfp::kWrite);
  // With a flag instead of a nodemask the walk begins where the cpuset begins, and asks of each zone.
  if (policy.cpuset != CpusetRule::FlagAlways)
    preferred_nodes = context.nodes;
  context.preferred = next_zone(context.list, 0, context.highest, preferred_nodes);
  return context;
}

/// The zone index whose reserves a request is held to: that of the highest zone that the mask allows, or of the first
/// zone of its list. Source: classzone_idx, highest_zoneidx.
[[nodiscard]] inline ZoneIndex lowmem_index(const Generation& generation, const AllocContext& context) {
  if (generation.walk.lowmem_index == LowmemIndex::Preferred && context.has_preferred()) [[unlikely]]
    return context.first_preferred().index;
  return context.highest;
}

/// True if requests avoid mixing pageblocks until nothing else is left. Source: vm.defrag_mode.
[[nodiscard]] inline bool defrag_mode(const MachineView& machine) {
  return machine.tunables->defrag_mode != 0 && machine.env.rules->generation.walk.defrag_mode == DefragMode::Sysctl;
}

/// The flags that only the first attempt of a single request has: NOFRAGMENT, and the right to wake kswapd.
[[nodiscard]] inline AllocFlags first_attempt_flags(const MachineView& machine, const AllocContext& context) {
  AllocFlags flags = AllocFlags{context.gfp.raw()} & alloc_flag::kKswapd;
  const WalkPolicy& policy = machine.env.rules->generation.walk;
  if (policy.no_fragment == NoFragment::Off || !context.has_preferred())
    return flags;
  if (defrag_mode(machine))
    return flags | alloc_flag::kNoFragment;
  const ZoneRef& preferred = context.preferred_zone();
  if (machine.zones[preferred.zone.raw()].type != ZoneType::Normal)
    return flags;
  const auto dma32 = machine.index_of(ZoneType::Dma32);
  if (!dma32)
    return flags;
  // With several nodes it only makes sense if the node has a DMA32 zone below to be spared.
  const ZoneState& below = machine.zones[preferred.node.raw() * machine.zone_types.size() + dma32->raw()];
  if (machine.nodes.size() > 1 && !below.is_populated())
    return flags;
  return flags | alloc_flag::kNoFragment;
}

/// May this request use memory of `node`, by the cpuset of its task?
/// Source: __cpuset_node_allowed(), kernel/cgroup/cpuset.c.
[[nodiscard]] inline bool cpuset_node_allowed(const AllocContext& context, NodeId node, Gfp gfp) {
  const Task& task = *context.task;
  if (task.in_interrupt || task.mems_allowed.has(node) || task.oom_victim)
    return true;
  if (gfp.has(gfp::kHardwall))
    return false;
  return task.exiting || task.hardwall_mems_allowed.has(node);
}

}  // namespace mmbox
