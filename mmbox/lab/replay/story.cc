#include "mmbox/lab/replay/story.h"

#include <fmt/format.h>

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

void Story::on(const AttemptBegins& e) {
  lines_.push_back(fmt::format("get_page_from_freelist: order {}, gfp 0x{:x}, {}", e.order.raw(), e.gfp.raw(),
                               alloc_flag_names(e.flags)));
}
void Story::on(const ZoneChecked& e) {
  lines_.push_back(fmt::format("  {}: free {} - unusable {} against mark {} + lowmem_reserve {}: {}",
                               zone_name(machine_, e.zone), e.free_pages, e.unusable_pages, e.mark, e.lowmem_reserve,
                               verdict_text(e.verdict)));
}
void Story::on(const RmqueueBulk& e) {
  lines_.push_back(fmt::format("    rmqueue_bulk: the {} list of order {} is empty, up to {} blocks are fetched",
                               migratetype_name(e.migratetype), e.order.raw(), e.blocks));
}
void Story::on(const MmPageAllocZoneLocked& e) {
  lines_.push_back(fmt::format("      rmqueue_smallest: {} of order {} from the {} lists", hex(e.pfn), e.order.raw(),
                               migratetype_name(e.migratetype)));
}
void Story::on(const StealFallback& e) {
  lines_.push_back(fmt::format("      steal_suitable_fallback: block {} of order {} for {}, {}", hex(e.pfn),
                               e.order.raw(), migratetype_name(e.start_type),
                               e.whole_block ? "whole pageblock if worth it" : "this block only"));
}
void Story::on(const StealWeighed& e) {
  lines_.push_back(fmt::format("        pageblock {}: {} free + {} alike pages of 512: {}", hex(e.pageblock),
                               e.free_pages, e.alike_pages, e.claimed ? "claimed" : "keeps its type"));
}
void Story::on(const MoveFreepagesBlock& e) {
  lines_.push_back(fmt::format("        move_freepages_block: {} pages to the {} lists", e.moved_pages,
                               migratetype_name(e.migratetype)));
}
void Story::on(const SetPageblockType& e) {
  lines_.push_back(fmt::format("        pageblock {} is now {}", hex(e.pfn), migratetype_name(e.migratetype)));
}
void Story::on(const MmPageAllocExtfrag& e) {
  lines_.push_back(fmt::format("      fallback: {} of order {} served from {} order {}, ownership {}", hex(e.pfn),
                               e.alloc_order.raw(), migratetype_name(e.fallback_migratetype), e.fallback_order.raw(),
                               e.change_ownership ? "changed" : "kept"));
}
void Story::on(const WatermarkBoost& e) {
  lines_.push_back(fmt::format("        {}: watermark boost is now {} pages", zone_name(machine_, e.zone), e.boost));
}
void Story::on(const HighAtomicReserve& e) {
  lines_.push_back(fmt::format("    high-atomic reserve: pageblock of {} {}, {} pages reserved in the zone", hex(e.pfn),
                               e.reserved ? "set aside" : "given back", e.reserved_pages));
}
void Story::on(const MmVmscanWakeupKswapd& e) {
  lines_.push_back(fmt::format("    kswapd of node {} is woken for order {}", e.node.raw(), e.order.raw()));
}
void Story::on(const MmPageAlloc& e) {
  if (e.pfn == kNoPfn)
    lines_.push_back(fmt::format("mm_page_alloc: order {} failed", e.order.raw()));
  else
    lines_.push_back(
        fmt::format("mm_page_alloc: {} of order {}, {}", hex(e.pfn), e.order.raw(), migratetype_name(e.migratetype)));
}
void Story::on(const MmPageFree& e) {
  lines_.push_back(fmt::format("mm_page_free: {} of order {}", hex(e.pfn), e.order.raw()));
}
void Story::on(const MmPageFreeBatched& e) {
  lines_.push_back(fmt::format("mm_page_free_batched: {}", hex(e.pfn)));
}
void Story::on(const FreePcppagesBulk& e) {
  lines_.push_back(fmt::format("    free_pcppages_bulk: {}, cpu {}: {} pages back to the free lists, from list {}",
                               zone_name(machine_, e.zone), e.cpu.raw(), e.pages, e.list_index));
}
void Story::on(const FreeOnePage& e) {
  lines_.push_back(fmt::format("      free_one_page: {} of order {} as {}{}", hex(e.pfn), e.order.raw(),
                               migratetype_name(e.migratetype), e.to_tail ? ", to the tail" : ""));
}
void Story::on(const MmPagePcpuDrain& e) {
  lines_.push_back(fmt::format("      mm_page_pcpu_drain: {} of order {}", hex(e.pfn), e.order.raw()));
}

}  // namespace mmbox::lab
