#include "mmbox/core/compaction/compaction.h"

#include "mmbox/core/alloc/suitability.h"
#include "mmbox/core/compaction/deferral.h"
#include "mmbox/core/compaction/zone_compaction.h"

namespace mmbox {

template <class Visit>
void Compaction::for_each_zone(NodeId node, Visit visit) {
  for (ZoneState& zone : machine_.zones)
    if (zone.node == node && zone.is_populated())
      visit(zone);
}

// ------------------------------------------------------------- deferral

bool Compaction::is_deferred(ZoneState& zone, Order order) {
  const auto k = static_cast<std::int32_t>(order.raw());
  if (!compaction_deferred(zone.compaction, k))
    return false;
  machine_.env.trace.emit(deferral_event<MmCompactionDeferred>(zone, k));
  return true;
}

void Compaction::defer(ZoneState& zone, Order order) {
  const auto k = static_cast<std::int32_t>(order.raw());
  defer_compaction(zone.compaction, k);
  machine_.env.trace.emit(deferral_event<MmCompactionDeferCompaction>(zone, k));
}

void Compaction::reset_deferral_of(ZoneState& zone, Order order, bool allocated) {
  const auto k = static_cast<std::int32_t>(order.raw());
  reset_deferral(zone.compaction, k, allocated ? CompactionSuccess::Allocated : CompactionSuccess::Expected);
  machine_.env.trace.emit(deferral_event<MmCompactionDeferReset>(zone, k));
}

// ------------------------------------------------------------- requests

CompactOutcome Compaction::direct_compact(const AllocContext& context, CompactPriority priority) {
  CompactOutcome outcome;
  if (!context.gfp.has(gfp::kIo))
    return outcome;
  machine_.env.trace.emit(MmCompactionTryToCompactPages{static_cast<std::int32_t>(context.order.raw()), context.gfp,
                                                        static_cast<std::int32_t>(priority)});
  const CompactionPlan plan = plan_for_request(context, priority);
  const auto note = [&](CompactResult result) { outcome.result = outcome.result < result ? result : outcome.result; };
  for (std::size_t z = context.preferred; z < context.list.size();
       z = next_zone(context.list, z + 1, context.highest, context.nodes)) {
    ZoneState& zone = machine_.zones[context.list[z].zone.raw()];
    if (priority != CompactPriority::SyncFull && is_deferred(zone, context.order)) {
      note(CompactResult::Deferred);
      continue;
    }
    const ZoneCompacted zone_outcome = compact_zone(machine_, zone, context.cpu, pages_, hands_, plan);
    note(zone_outcome.result);
    if (zone_outcome.captured) {
      outcome.captured = zone_outcome.captured;
      note(CompactResult::Success);
    }
    if (zone_outcome.result == CompactResult::Success) {
      reset_deferral_of(zone, context.order, false);
      break;
    }
    if (priority != CompactPriority::Async &&
        (zone_outcome.result == CompactResult::Complete || zone_outcome.result == CompactResult::PartialSkipped))
      defer(zone, context.order);
    if (outcome.captured || context.task->fatal_signal)
      break;
  }
  return outcome;
}

void Compaction::compaction_succeeded(ZoneId id, Order order) {
  ZoneState& zone = machine_.zones[id.raw()];
  zone.compaction.blockskip_flush = false;
  reset_deferral_of(zone, order, true);
}

// ------------------------------------------------------------- kcompactd

bool Compaction::is_worth_waking(NodeId node, Order order, ZoneIndex highest) {
  bool is_worth = false;
  for_each_zone(node, [&](const ZoneState& zone) {
    is_worth = is_worth || (zone.index <= highest && compaction_suitable(machine_, zone, order, AllocFlags{},
                                                                         highest) == CompactResult::Continue);
  });
  return is_worth;
}

void Compaction::wake_kcompactd(NodeId id, Order order, ZoneIndex highest) {
  KcompactdState& asked = machine_.nodes[id.raw()].kcompactd;
  if (order.raw() == 0 || !is_worth_waking(id, order, highest))
    return;
  machine_.env.trace.emit(MmCompactionWakeupKcompactd{id, static_cast<std::int32_t>(order.raw()), highest});
  asked.order = asked.order < order.raw() ? static_cast<std::uint8_t>(order.raw()) : asked.order;
  asked.highest = asked.highest < highest.raw() ? static_cast<std::uint8_t>(highest.raw()) : asked.highest;
}

bool Compaction::run_kcompactd(NodeId id, CpuId cpu) {
  KcompactdState& asked = machine_.nodes[id.raw()].kcompactd;
  if (asked.order == 0)
    return false;
  const Order order{asked.order};
  const ZoneIndex highest{asked.highest};
  asked = {};
  VmEvents& events = *machine_.events;
  count_event(events.compact_daemon_wake);
  machine_.env.trace.emit(MmCompactionKcompactdWake{{id, static_cast<std::int32_t>(order.raw()), highest}});
  const CompactionPlan plan = plan_for_kcompactd(order, highest);
  for_each_zone(id, [&](ZoneState& zone) {
    if (zone.index > highest || is_deferred(zone, order))
      return;
    // Recorded: the first look leaves out what is kept from higher zones' requests; the run itself does not.
    if (compaction_suitable(machine_, zone, order, AllocFlags{}, zone.index) != CompactResult::Continue)
      return;
    const ZoneCompacted outcome = compact_zone(machine_, zone, cpu, pages_, hands_, plan);
    if (outcome.result == CompactResult::Success) {
      reset_deferral_of(zone, order, false);
    } else if (outcome.result == CompactResult::PartialSkipped || outcome.result == CompactResult::Complete) {
      hands_.drain_all_cpus(machine_, zone);
      defer(zone, order);
    }
    count_event(events.compact_daemon_migrate_scanned, outcome.sources_scanned);
    count_event(events.compact_daemon_free_scanned, outcome.targets_scanned);
  });
  machine_.env.trace.emit(MmCompactionKcompactdSleep{id});
  return true;
}

void Compaction::reset_skip_hints(NodeId node) {
  for_each_zone(node, [&](ZoneState& zone) { ZoneMemory{machine_.env.map, zone}.reset_hints(pages_); });
}

unsigned fragmentation_score(const MachineView& machine, NodeId node) {
  std::int64_t present = 0;
  for (const ZoneState& zone : machine.zones)
    present += zone.node == node ? zone.present : 0;
  std::int64_t score = 0;
  for (const ZoneState& zone : machine.zones)
    if (zone.node == node && zone.is_populated())
      score += zone_fragmentation_score(zone) * zone.present / (present + 1);
  return static_cast<unsigned>(score);
}

ProactiveOutcome Compaction::run_proactively(NodeId id, CpuId cpu) {
  const unsigned proactiveness = machine_.tunables->compaction_proactiveness;
  const unsigned before = fragmentation_score(machine_, id);
  if (proactiveness == 0 || racy(machine_.nodes[id.raw()].kswapd.running) ||
      before <= proactive_high_score(proactiveness))
    return ProactiveOutcome::NotDue;
  // Recorded: what is scanned here is not the daemon's in the counters.
  for_each_zone(id, [&](ZoneState& zone) {
    static_cast<void>(compact_zone(machine_, zone, cpu, pages_, hands_, plan_proactive()));
  });
  return fragmentation_score(machine_, id) < before ? ProactiveOutcome::Improved : ProactiveOutcome::NoProgress;
}

// ------------------------------------------------------------- on demand

void Compaction::compact_all(CpuId cpu) {
  for (const NodeState& node : machine_.nodes)
    for_each_zone(node.id, [&](ZoneState& zone) {
      static_cast<void>(compact_zone(machine_, zone, cpu, pages_, hands_, plan_on_demand()));
    });
}

}  // namespace mmbox
