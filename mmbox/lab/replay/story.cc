#include "mmbox/lab/replay/story.h"

#include <fmt/format.h>

#include <algorithm>

namespace mmbox::lab {
namespace {

std::string hex(Pfn pfn) {
  return fmt::format("0x{:x}", pfn.raw());
}

const char* verdict_text(ZoneVerdict verdict) {
  switch (verdict) {
    case ZoneVerdict::Cpuset: return "skipped: the cpuset forbids its node";
    case ZoneVerdict::DirtyLimit: return "skipped: its node has too many dirty pages for this writer";
    case ZoneVerdict::RestartLocality:
      return "NOFRAGMENT is dropped and the walk begins anew: mixing pageblocks beats leaving the node";
    case ZoneVerdict::KswapdBusy: return "passed over: kswapd of its node is at work";
    case ZoneVerdict::BelowWatermark: return "refused: below the watermark, or no block of the size";
    case ZoneVerdict::ReclaimTooFar: return "refused: below the watermark, and too far away for node reclaim";
    case ZoneVerdict::ReclaimNoScan: return "refused: below the watermark, node reclaim did not try";
    case ZoneVerdict::ReclaimFull: return "refused: below the watermark, node reclaim has nothing to take";
    case ZoneVerdict::ReclaimNotEnough: return "refused: below the watermark even after node reclaim";
    case ZoneVerdict::NoBlock: return "passed, but no list has a block for these flags";
    case ZoneVerdict::Passed: return "passes";
  }
  return "?";
}

}  // namespace

std::string zone_name(const Machine& machine, ZoneId zone) {
  const ZoneState& state = machine.view().zones[zone.raw()];
  return fmt::format("Node {}, zone {}", state.node.raw(), zone_type_name(state.type));
}

std::string alloc_flag_names(AllocFlags flags) {
  constexpr std::array<const char*, 3> kMarks{"WMARK_MIN", "WMARK_LOW", "WMARK_HIGH"};
  std::string names = flags.has(alloc_flag::kNoWatermarks) ? "NO_WATERMARKS" : kMarks[flags.watermark() % 3];
  const std::pair<AllocFlags, const char*> known[] = {
      {alloc_flag::kOom, "OOM"},
      {alloc_flag::kNonBlock, "NON_BLOCK"},
      {alloc_flag::kMinReserve, "MIN_RESERVE"},
      {alloc_flag::kCpuset, "CPUSET"},
      {alloc_flag::kCma, "CMA"},
      {alloc_flag::kNoFragment, "NOFRAGMENT"},
      {alloc_flag::kHighAtomic, "HIGHATOMIC"},
      {alloc_flag::kKswapd, "KSWAPD"},
  };
  for (const auto& [flag, name] : known)
    if (flags.has(flag))
      (names += '|') += name;
  return names;
}

std::vector<std::string> describe_zone(const Machine& machine, ZoneId id) {
  const MachineView& view = machine.view();
  const ZoneState& zone = view.zones[id.raw()];
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{}: free {} pages, min {} low {} high {} boost {}, high-atomic {}, managed {}",
                              zone_name(machine, id), zone.stat[0], zone.watermark[0], zone.watermark[1],
                              zone.watermark[2], zone.watermark_boost, zone.nr_reserved_highatomic, zone.managed));
  for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu) {
    const PcpState& pageset = view.pageset(id, CpuId{cpu});
    lines.push_back(fmt::format("  cpu {}: count {} high {} batch {} free_factor {}, counter delta {}", cpu,
                                pageset.count, pageset.high, pageset.batch, pageset.free_factor,
                                pageset.stat.delta[0]));
  }
  for (unsigned type = 0; type < kMigratetypes; ++type) {
    if (zone.nonempty[type] == 0)
      continue;
    std::string line = fmt::format("  free {:<12}", migratetype_name(static_cast<Migratetype>(type)));
    for (unsigned order = 0; order < kOrders; ++order)
      line += fmt::format(" {}", zone.lists[order][type].blocks);
    lines.push_back(line);
  }
  return lines;
}

namespace {

/// Tells an event in one line.
struct Line {
  const Machine& machine;

  std::string operator()(const AttemptBegins& e) const {
    return fmt::format("get_page_from_freelist: order {}, gfp 0x{:x}, {}", e.order.raw(), e.gfp.raw(),
                       alloc_flag_names(e.flags));
  }
  std::string operator()(const ZoneChecked& e) const {
    return fmt::format("  {}: free {} - unusable {} against mark {} + lowmem_reserve {}: {}",
                       zone_name(machine, e.zone), e.free_pages, e.unusable_pages, e.mark, e.lowmem_reserve,
                       verdict_text(e.verdict));
  }
  std::string operator()(const RmqueueBulk& e) const {
    return fmt::format("    rmqueue_bulk: the {} list of order {} is empty, up to {} blocks are fetched",
                       migratetype_name(e.migratetype), e.order.raw(), e.blocks);
  }
  std::string operator()(const MmPageAllocZoneLocked& e) const {
    return fmt::format("      rmqueue_smallest: {} of order {} from the {} lists", hex(e.pfn), e.order.raw(),
                       migratetype_name(e.migratetype));
  }
  std::string operator()(const StealFallback& e) const {
    return fmt::format("      steal_suitable_fallback: block {} of order {} for {}, {}", hex(e.pfn), e.order.raw(),
                       migratetype_name(e.start_type),
                       e.whole_block ? "whole pageblock if worth it" : "this block only");
  }
  std::string operator()(const StealWeighed& e) const {
    return fmt::format("        pageblock {}: {} free + {} alike pages of 512: {}", hex(e.pageblock), e.free_pages,
                       e.alike_pages, e.claimed ? "claimed" : "keeps its type");
  }
  std::string operator()(const MoveFreepagesBlock& e) const {
    return fmt::format("        move_freepages_block: {} pages to the {} lists", e.moved_pages,
                       migratetype_name(e.migratetype));
  }
  std::string operator()(const SetPageblockType& e) const {
    return fmt::format("        pageblock {} is now {}", hex(e.pfn), migratetype_name(e.migratetype));
  }
  std::string operator()(const MmPageAllocExtfrag& e) const {
    return fmt::format("      fallback: {} of order {} served from {} order {}, ownership {}", hex(e.pfn),
                       e.alloc_order.raw(), migratetype_name(e.fallback_migratetype), e.fallback_order.raw(),
                       e.change_ownership ? "changed" : "kept");
  }
  std::string operator()(const WatermarkBoost& e) const {
    return fmt::format("        {}: watermark boost is now {} pages", zone_name(machine, e.zone), e.boost);
  }
  std::string operator()(const HighAtomicReserve& e) const {
    return fmt::format("    high-atomic reserve: pageblock of {} {}, {} pages reserved in the zone", hex(e.pfn),
                       e.reserved ? "set aside" : "given back", e.reserved_pages);
  }
  std::string operator()(const MmVmscanWakeupKswapd& e) const {
    return fmt::format("    kswapd of node {} is woken for order {}", e.node.raw(), e.order.raw());
  }
  std::string operator()(const MmPageAlloc& e) const {
    if (e.pfn == kNoPfn)
      return fmt::format("mm_page_alloc: order {} failed", e.order.raw());
    else
      return fmt::format("mm_page_alloc: {} of order {}, {}", hex(e.pfn), e.order.raw(),
                         migratetype_name(e.migratetype));
  }
  std::string operator()(const MmPageFree& e) const {
    return fmt::format("mm_page_free: {} of order {}", hex(e.pfn), e.order.raw());
  }
  std::string operator()(const MmPageFreeBatched& e) const {
    return fmt::format("mm_page_free_batched: {}", hex(e.pfn));
  }
  std::string operator()(const FreePcppagesBulk& e) const {
    return fmt::format("    free_pcppages_bulk: {}, cpu {}: {} pages back to the free lists, from list {}",
                       zone_name(machine, e.zone), e.cpu.raw(), e.pages, e.list_index);
  }
  std::string operator()(const FreeOnePage& e) const {
    return fmt::format("      free_one_page: {} of order {} as {}{}", hex(e.pfn), e.order.raw(),
                       migratetype_name(e.migratetype), e.to_tail ? ", to the tail" : "");
  }
  std::string operator()(const MmPagePcpuDrain& e) const {
    return fmt::format("      mm_page_pcpu_drain: {} of order {}", hex(e.pfn), e.order.raw());
  }

  // -------- the slow path
  [[nodiscard]] std::string zone_at(Pfn pfn) const {
    const MemMap& map = machine.view().env.map;
    return map.contains(pfn) ? zone_name(machine, machine.view().zone_of(map.index(pfn)).id) : "a zone";
  }
  std::string operator()(const MmCompactionTryToCompactPages& e) const {
    constexpr std::array<const char*, 3> kHow{"synchronous, the whole zone", "waiting little", "asynchronous"};
    const auto priority = static_cast<std::size_t>(e.priority);
    return fmt::format("direct compaction for order {}, {}", e.order, priority < kHow.size() ? kHow[priority] : "?");
  }
  std::string operator()(const MmCompactionSuitable& e) const {
    return fmt::format("  Node {}, zone index {}: is compaction suitable for order {}? {}", e.node.raw(), e.zone.raw(),
                       e.order, result_text(e.result));
  }
  std::string operator()(const MmCompactionDeferred& e) const {
    return fmt::format("  Node {}, zone index {}: deferred for order {}, {} of {} attempts passed over", e.node.raw(),
                       e.zone.raw(), e.order, e.considered, 1U << e.defer_shift);
  }
  std::string operator()(const MmCompactionDeferCompaction& e) const {
    return fmt::format("  Node {}, zone index {}: it was in vain; the next {} attempts for order {} are passed over",
                       e.node.raw(), e.zone.raw(), 1U << e.defer_shift, e.order);
  }
  std::string operator()(const MmCompactionWakeupKcompactd& e) const {
    return fmt::format("    kcompactd of node {} is asked for order {}", e.node.raw(), e.order);
  }
  std::string operator()(const MmCompactionBegin& e) const {
    return fmt::format("  compaction of {}: pages from {} on, free ones from {} down, {}", zone_at(e.zone_start),
                       hex(e.migrate_pfn), hex(e.free_pfn), e.sync ? "may wait" : "does not wait");
  }
  std::string operator()(const MmCompactionMigratepages& e) const {
    return fmt::format("    {} pages moved, {} not", e.nr_migrated, e.nr_failed);
  }
  std::string operator()(const MmCompactionEnd& e) const {
    return fmt::format("    ends at {} and {}: {}", hex(e.migrate_pfn), hex(e.free_pfn), result_text(e.status));
  }
  std::string operator()(const MmVmscanDirectReclaimBegin& e) const {
    return fmt::format("direct reclaim for order {}", e.order);
  }
  std::string operator()(const MmVmscanDirectReclaimEnd& e) const {
    return e.nr_reclaimed == 0 ? std::string{"  nothing could be freed"}
                               : fmt::format("  {} pages freed, or left to compaction", e.nr_reclaimed);
  }
  std::string operator()(const MmVmscanNodeReclaimBegin& e) const {
    return fmt::format("    node reclaim on node {} for order {}", e.node.raw(), e.order);
  }
  std::string operator()(const MmVmscanNodeReclaimEnd& e) const {
    return fmt::format("      {} pages freed", e.nr_reclaimed);
  }
  std::string operator()(const MmVmscanBalancePgdatBegin& e) const {
    return fmt::format("meanwhile kswapd of node {} works for order {}", e.node.raw(), e.order);
  }
  std::string operator()(const MmVmscanBalancePgdatEnd& e) const {
    return fmt::format("  {} pages freed", e.nr_reclaimed);
  }
  std::string operator()(const MarkVictim& e) const { return fmt::format("out of memory: pid {} is killed", e.task); }

  static const char* result_text(std::int32_t result) {
    constexpr std::array<const char*, 9> kTexts{"no, the zone is not suitable",
                                                "skipped: too little is free to work with",
                                                "deferred",
                                                "no suitable page",
                                                "yes",
                                                "complete: both ends met",
                                                "partly skipped: it began in the middle and met the other end",
                                                "contended",
                                                "success: there is a block"};
    const auto at = static_cast<std::size_t>(result);
    return at < kTexts.size() ? kTexts[at] : "?";
  }
};

}  // namespace

std::vector<std::string> Story::lines() const {
  // A drain is many pages of which nobody wants to hear one by one.
  constexpr std::size_t kRunMax = 16;
  constexpr std::size_t kRunTold = 4;
  const auto is_one_of_many = [](const Event& event) {
    return std::holds_alternative<FreeOnePage>(event) || std::holds_alternative<MmPagePcpuDrain>(event) ||
           std::holds_alternative<MmPageFreeBatched>(event);
  };
  std::vector<std::string> lines;
  lines.reserve(events_.size());
  for (auto event = events_.begin(); event != events_.end();) {
    const auto end = std::find_if_not(event, events_.end(), is_one_of_many);
    const auto run = static_cast<std::size_t>(end - event);
    const std::size_t told = run > kRunMax ? kRunTold : std::max<std::size_t>(run, 1);
    for (std::size_t i = 0; i < told; ++i)
      lines.push_back(std::visit(Line{*machine_}, *event++));
    if (run > told) {
      lines.push_back(fmt::format("        ... and {} steps more like these", run - told));
      event = end;
    }
  }
  return lines;
}

void Story::on(const MmCompactionMigratepages& e) {
  // Of one zone's many batches, the sum.
  if (depth_ != 1 || events_.empty())
    return;
  if (auto* sum = std::get_if<MmCompactionMigratepages>(&events_.back())) {
    sum->nr_migrated += e.nr_migrated;
    sum->nr_failed += e.nr_failed;
  } else if (std::holds_alternative<MmCompactionBegin>(events_.back())) {
    events_.emplace_back(e);
  }
}

void Story::tell(const TraceEvent& event) {
  if (const auto* e = std::get_if<MmVmscanDirectReclaimBegin>(&event))
    return begin(*e);
  if (const auto* e = std::get_if<MmVmscanDirectReclaimEnd>(&event))
    return end(*e);
  if (const auto* e = std::get_if<MmVmscanNodeReclaimBegin>(&event))
    return begin(*e);
  if (const auto* e = std::get_if<MmVmscanNodeReclaimEnd>(&event))
    return end(*e);
  if (const auto* e = std::get_if<MmVmscanBalancePgdatBegin>(&event))
    return begin(*e);
  if (const auto* e = std::get_if<MmVmscanBalancePgdatEnd>(&event))
    return end(*e);
  if (const auto* e = std::get_if<MarkVictim>(&event))
    return keep(*e);
}

}  // namespace mmbox::lab
