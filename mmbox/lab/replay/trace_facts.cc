#include "mmbox/lab/replay/trace_facts.h"

#include <algorithm>

namespace mmbox::lab {

std::optional<Pfn> attempt(Machine& machine, const MmPageAlloc& event, CpuId cpu, bool slow, AllocFlags more,
                           std::optional<NodeId> node) {
  MachineView& view = machine.view();
  const Task task{};
  const Request request{.gfp = event.gfp.without(gfp::kHardwall),
                        .order = event.order,
                        .cpu = cpu,
                        .node = node,
                        .nodemask = {},
                        .task = &task};
  AllocContext context = prepare(view, request);
  std::optional<FrameIndex> index;
  if (!slow)
    index = get_page_from_freelist<NoSync>(view, context, context.flags | first_attempt_flags(view, context));
  if (!index) {
    context.spread_dirty_pages = false;
    index = get_page_from_freelist<NoSync>(view, context, slow_path_flags(view, context, context.gfp) | more);
  }
  return index ? std::optional{view.env.map.pfn(*index)} : std::nullopt;
}

std::optional<NodeId> node_asked_for(const Machine& machine, const MmPageAlloc& event, CpuId cpu) {
  const MachineView& view = machine.view();
  if (view.nodes.size() == 1)
    return std::nullopt;
  const NodeId own = view.cpu_nodes[cpu.raw()];
  NodeId asked = own;
  if (event.pfn != kNoPfn) {
    if (!view.env.map.contains(event.pfn))
      return std::nullopt;
    const Pageblock& block = view.env.map.pageblock(view.env.map.index(event.pfn));
    if (block.zone == kNoZone)
      return std::nullopt;
    asked = view.zones[block.zone].node;
  } else if (event.gfp.has(gfp::kThisNode) && view.nodes.size() == 2) {
    asked = NodeId{1 - own.raw()};
  }
  if (asked == own)
    return std::nullopt;
  const ZoneIndex highest = view.usual_start(cpu, event.gfp).highest;
  for (const ZoneState& zone : view.zones)
    if (zone.node == own && zone.index <= highest && zone.managed > 0 &&
        zone_watermark_ok_safe(view, zone, event.order, zone.mark(static_cast<unsigned>(Watermark::Low)), highest))
      return asked;
  return std::nullopt;
}

void KswapdRuns::wake(NodeId node) {
  lower_boosts();
  reclaiming_ = node;
  for (ZoneState& zone : machine_.zones) {
    if (zone.node != node)
      continue;
    zone.flags |= zone_flag::kReclaimActive;
    boosts_[zone.id.raw()] = zone.watermark_boost;
  }
  if (node.raw() < machine_.nodes.size())
    machine_.nodes[node.raw()].kswapd.running = true;
}

void KswapdRuns::sleep(NodeId node) {
  if (node.raw() < machine_.nodes.size())
    machine_.nodes[node.raw()].kswapd = {};
}

void KswapdRuns::end() {
  if (reclaiming_)
    for (ZoneState& zone : machine_.zones)
      if (zone.node == *reclaiming_)
        zone.flags &= ~zone_flag::kReclaimActive;
  lower_boosts();
  reclaiming_.reset();
}

void KswapdRuns::lower_boosts() {
  for (const auto& [zone, boost] : boosts_) {
    std::int64_t& now = machine_.zones[zone].watermark_boost;
    if (boost == 0 || now == 0)
      continue;
    ++boosts_ended_;
    now -= std::min(now, boost);
  }
  boosts_.clear();
}

StatWorker::StatWorker(const MachineView& machine) {
  for (const ZoneState& zone : machine.zones)
    zones_ += zone.is_populated() ? 1U : 0U;
  zones_ = std::max<std::size_t>(zones_, 1);
}

std::optional<ZoneId> ZoneAddresses::find(std::uint64_t address) {
  const auto known = known_.find(address);
  if (known != known_.end())
    return known->second;
  const MemMap& map = machine_.env.map;
  for (std::uint64_t i = window_.position(); const Slot* slot = window_.at(i); ++i) {
    const TraceEvent& event = slot->record.event;
    std::optional<std::uint64_t> zone;
    if (const auto* bulk = std::get_if<probe::FreePcppagesBulk>(&event))
      zone = bulk->zone;
    if (const auto* refill = std::get_if<probe::RmqueueBulk>(&event))
      zone = refill->zone;
    if (!zone || *zone != address)
      continue;
    for (std::uint64_t j = i + 1; const Slot* next = window_.at(j); ++j) {
      if (next->record.cpu != slot->record.cpu)
        continue;
      std::optional<Pfn> pfn;
      if (const auto* one = std::get_if<probe::FreeOne>(&next->record.event))
        pfn = one->pfn;
      if (const auto* taken = std::get_if<MmPageAllocZoneLocked>(&next->record.event))
        pfn = taken->pfn;
      if (!pfn)
        break;
      if (map.contains(*pfn) && map.pageblock(map.index(*pfn)).zone != kNoZone)
        return known_.emplace(address, machine_.zone_of(map.index(*pfn)).id).first->second;
    }
  }
  return std::nullopt;
}

}  // namespace mmbox::lab
