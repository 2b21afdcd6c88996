#include "mmbox/lab/explain/slow_path_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace mmbox::lab::explain {

namespace {

/// Kernels before 2.6.28 count page cache and anonymous memory as one.
bool lists_are_split(const FailureReport& report) {
  return std::any_of(report.zones.begin(), report.zones.end(),
                     [](const ZoneText& zone) { return zone.kb[ZoneField::InactiveFile].has_value(); });
}

std::string lowered_text(const RequestFacts& request, const KernelFacts& kernel) {
  constexpr std::int64_t kWhole = 1000;
  const std::int64_t lowered = lowered_mark(kernel.watermark.rule, kWhole, request.flags);
  if (lowered == kWhole)
    return "the mark is not lowered, but the high-atomic reserve is not deducted";
  const std::int64_t tenth = lowered % 10;
  return fmt::format("min is lowered to {}{} % of itself", lowered / 10,
                     tenth == 0 ? std::string{} : fmt::format(".{}", tenth));
}

}  // namespace

void describe_slow_path(Explanation& e, const KernelFacts& kernel) {
  const RequestFacts& request = *e.request;
  auto& facts = e.slow_path;
  std::int64_t file = 0;
  std::int64_t anon = 0;
  std::string suitable;
  std::string unsuitable;
  for (const ZoneFacts& zone : e.zones) {
    if (!zone.is_eligible)
      continue;
    file += zone.reclaimable_file;
    anon += zone.reclaimable_anon;
    if (zone.is_compaction_suitable)
      suitable += (suitable.empty() ? "" : ", ") + zone.label();
    else if (zone.compaction && zone.check != Check::Passes)
      unsuitable += fmt::format("{}{} ({})", unsuitable.empty() ? "" : ", ", zone.label(), *zone.compaction);
  }
  facts.push_back({"kswapd", request.may_wake_kswapd,
                   request.may_wake_kswapd ? "woken" : "background reclaim is not even started by this request"});
  std::string reclaim;
  if (request.may_reclaim && !lists_are_split(e.report)) {
    reclaim = "the report does not say how much page cache there was to take";
  } else if (request.may_reclaim) {
    reclaim = fmt::format("{} clean file pages", file);
    if (anon > 0)
      reclaim += fmt::format(" and {} anonymous pages (swap has room)", anon);
    reclaim += " were there to take in the zones that it may use";
    if (!request.may_enter_fs)
      reclaim += request.may_do_io ? "; no __GFP_FS: clean pages and little slab only"
                                   : "; no __GFP_IO: clean pages only, no swapping";
  } else if (request.context.has_pf_memalloc && request.gfp.has(gfp::kDirectReclaim)) {
    reclaim = "already inside reclaim (PF_MEMALLOC): does not reclaim again";
  } else {
    reclaim = "cannot wait: only the pages that are free right now count";
  }
  facts.push_back({"direct reclaim", request.may_reclaim, std::move(reclaim)});
  if (request.order > 0) {
    std::string compaction;
    if (!request.may_compact)
      compaction = request.may_reclaim ? (kernel.compaction_needs_fs ? "the mask lacks __GFP_IO or __GFP_FS"
                                                                     : "the mask lacks __GFP_IO")
                                       : "needs a caller that can wait";
    if (!suitable.empty())
      compaction += fmt::format("{}{} in {}", compaction.empty() ? "" : "; ",
                                request.may_compact ? "suitable, but it made no block:" : "it would have been suitable",
                                suitable);
    if (!unsuitable.empty())
      compaction += fmt::format("{}not suitable: {}", compaction.empty() ? "" : "; ", unsuitable);
    facts.push_back({"compaction", request.may_compact, std::move(compaction)});
  }
  if (request.may_reclaim) {
    const bool costly = request.order > kCostlyOrder;
    facts.push_back({"retries", request.may_loop,
                     request.may_loop                 ? "loops while it makes progress"
                     : request.gfp.has(gfp::kNoRetry) ? "__GFP_NORETRY: a single pass"
                     : costly ? fmt::format("a single pass: order {} is costly, and {} is not set", request.order,
                                            kernel.version < 4013 ? "__GFP_REPEAT" : "__GFP_RETRY_MAYFAIL")
                              : "a single pass"});
    std::string killer;
    if (request.may_oom_kill)
      killer = is_oom(e.kind) ? "called; this is its report" : "would be called before the request fails";
    else if (costly)
      killer = "not for orders above 3";
    else if (request.highest_zone == ZoneType::Dma || request.highest_zone == ZoneType::Dma32)
      killer = fmt::format("not for {} requests", zone_type_name(request.highest_zone));
    else if (!request.gfp.has(gfp::kFs))
      killer = "not without __GFP_FS";
    else
      killer = "not with this mask";
    facts.push_back({"OOM killer", request.may_oom_kill, std::move(killer)});
  }
  std::string reserves;
  if (request.no_watermarks)
    reserves = "all of them: no watermark applies (PF_MEMALLOC or __GFP_MEMALLOC)";
  else if (request.flags.has(alloc_flag::kReserves))
    reserves = lowered_text(request, kernel);
  else
    reserves = "none";
  facts.push_back({"reserves", request.may_use_reserves, std::move(reserves)});
  if (request.may_not_fail)
    facts.push_back(
        {"must not fail", true, "__GFP_NOFAIL: a report here is a kernel bug or a caller that cannot wait"});
}

}  // namespace mmbox::lab::explain
