#include "mmbox/lab/explain/remedies.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/explain/request.h"
#include "mmbox/lab/explain/zone_walk.h"

namespace mmbox::lab::explain {
namespace {

/// Works on one explanation; each method adds what it finds.
///
/// A request is let through by the first attempt that passes, and the one at the min mark comes first and asks less
/// than the last one before the OOM killer. So what would have helped is asked of the min mark, always.
class RemedyFinder {
 public:
  RemedyFinder(Explanation& explanation, const KernelFacts& kernel)
      : explanation_(&explanation), request_(*explanation.request), kernel_(&kernel) {}

  void find() {
    if (explanation_->verdict.check == Check::Passes) {
      add(Certainty::Likely, "nothing needs to change if the caller tries again: the printed state has room for it");
      return;
    }
    exhaustion();
    if (const ZoneFacts* const zone = passing_at_min()) {
      add(Certainty::Likely,
          fmt::format("no setting was in the way: in the printed state {} passes the min mark by {} pages, so memory "
                      "came free between the refusal and the report",
                      zone->label(), zone->attempts.front().spare()),
          zone->label(), zone->attempts.front().spare());
      return;
    }
    smaller_order();
    compaction_by_mask();
    sleeping_caller();
    reserve_rights();
    cma_rights();
    higher_zones();
    retry_harder();
    boost_off();
    reserve_ratio();
    earlier_kswapd();
    compact_beforehand();
    newer_test();
    reserves_that_hold();
    structural();
    if (explanation_->remedies.empty())
      more_memory();
  }

 private:
  void add(Certainty certainty, std::string text, std::string zone = {}, std::optional<std::int64_t> margin = {}) {
    explanation_->remedies.push_back({certainty, std::move(text), std::move(zone), margin});
  }

  [[nodiscard]] const std::vector<ZoneFacts>& zones() const { return explanation_->zones; }

  /// The first eligible zone in which `request` passes, with its margin.
  [[nodiscard]] std::optional<std::pair<const ZoneFacts*, std::int64_t>> passes(const RequestFacts& request,
                                                                                WhatIf what_if = {}) const {
    for (const ZoneFacts& zone : zones()) {
      if (!zone.is_eligible)
        continue;
      const Attempt attempt = last_attempt(zone, request, *kernel_, kMinOnly, what_if);
      if (attempt.check == Check::Passes)
        return std::pair{&zone, attempt.spare()};
    }
    return std::nullopt;
  }

  [[nodiscard]] RequestFacts changed(Gfp gfp, unsigned order) const {
    return with_mask(request_, gfp, order, *kernel_, explanation_->layout, explanation_->page_bytes);
  }

  [[nodiscard]] std::int64_t reclaimable() const {
    std::int64_t pages = 0;
    for (const ZoneFacts& zone : zones())
      if (zone.is_eligible)
        pages += zone.reclaimable_file + zone.reclaimable_anon;
    return pages;
  }

  /// Zones where compaction was suitable, as text; empty if none.
  [[nodiscard]] std::string suitable_zones() const {
    std::string text;
    for (const ZoneFacts& zone : zones())
      if (zone.is_eligible && zone.is_compaction_suitable)
        text += (text.empty() ? "" : ", ") + zone.label();
    return text;
  }

  [[nodiscard]] bool any_zone_is(Check check) const {
    return std::any_of(zones().begin(), zones().end(),
                       [&](const ZoneFacts& zone) { return zone.is_eligible && blames(zone, check); });
  }

  /// What the attempt at the min mark said.
  [[nodiscard]] static Check first_check(const ZoneFacts& zone) {
    return zone.attempts.empty() ? zone.check : zone.attempts.front().check;
  }

  /// True if the attempt at the min mark failed on this check, or would have passed without it as well.
  [[nodiscard]] static bool blames(const ZoneFacts& zone, Check check) {
    if (first_check(zone) == check)
      return true;
    return !zone.attempts.empty() && std::find(zone.attempts.front().also.begin(), zone.attempts.front().also.end(),
                                               check) != zone.attempts.front().also.end();
  }

  /// Pages short at the min mark in the zone of the verdict.
  [[nodiscard]] std::int64_t short_by() const {
    for (const ZoneFacts& zone : zones())
      if (zone.is_eligible && zone.label() == explanation_->verdict.zone && !zone.attempts.empty())
        return zone.attempts.front().short_by;
    return 0;
  }

  void smaller_order() {
    for (unsigned order = request_.order; order-- > 0;) {
      const auto found = passes(changed(request_.gfp, order));
      if (!found)
        continue;
      const auto& [zone, margin] = *found;
      add(Certainty::Exact,
          fmt::format("an order-{} request ({}) would have succeeded in {}, with {} pages to spare", order,
                      size_text(explanation_->page_bytes << order), zone->label(), margin),
          zone->label(), margin);
      // Single pages are what vmalloc asks for; that is an answer only where the caller may sleep.
      const auto single = order == 0 ? found : passes(changed(request_.gfp, 0));
      const bool is_kernels_own = request_.type == Migratetype::Unmovable && !request_.gfp.has(gfp::kHighMem) &&
                                  !request_.gfp.has(gfp::kDma) && !request_.gfp.has(gfp::kDma32);
      if (single && request_.may_reclaim && request_.may_enter_fs && is_kernels_own)
        add(Certainty::Exact,
            fmt::format("kvmalloc() in the caller falls back on single pages, and order 0 passes in {} by {} pages",
                        single->first->label(), single->second),
            single->first->label(), single->second);
      return;
    }
  }

  void compaction_by_mask() {
    if (request_.order == 0 || request_.may_compact || !request_.may_reclaim)
      return;
    const std::string zones_text = suitable_zones();
    if (zones_text.empty())
      return;
    add(Certainty::Likely,
        fmt::format("with {} compaction would have been allowed, and it was suitable in {}",
                    kernel_->compaction_needs_fs ? "__GFP_IO and __GFP_FS (GFP_KERNEL)" : "__GFP_IO (GFP_KERNEL)",
                    zones_text));
  }

  void sleeping_caller() {
    if (request_.gfp.has(gfp::kDirectReclaim) || request_.context.is_interrupt)
      return;
    const std::int64_t pages = reclaimable();
    const std::string zones_text = request_.order > 0 ? suitable_zones() : std::string{};
    // The per-order test is short of larger blocks, which reclaim does not make.
    if (short_by() > 0 && pages > short_by() && !any_zone_is(Check::HighOrderWatermark))
      add(Certainty::Likely,
          fmt::format("a caller that may sleep (GFP_KERNEL) could have reclaimed: {} pages of clean "
                      "page cache{} were there, {} were short",
                      pages, explanation_->report.free_swap_kb.value_or(0) > 0 ? " and swappable memory" : "",
                      short_by()));
    else if (!zones_text.empty())
      add(Certainty::Likely,
          fmt::format("a caller that may sleep (GFP_KERNEL) could have compacted: suitable in {}", zones_text));
  }

  void reserve_rights() {
    if (request_.gfp.has(gfp::kHigh) || request_.gfp.has(gfp::kDirectReclaim))
      return;
    const RequestFacts atomic = changed(request_.gfp | gfp::kHigh | gfp::kAtomic | gfp::kKswapdReclaim, request_.order);
    if (const auto found = passes(atomic))
      add(Certainty::Exact,
          fmt::format("with GFP_ATOMIC's right to the reserves {} would have passed by {} pages", found->first->label(),
                      found->second),
          found->first->label(), found->second);
  }

  void cma_rights() {
    if (request_.type == Migratetype::Movable)
      return;
    if (!any_zone_is(Check::OnlyCma) && !any_zone_is(Check::Cma))
      return;
    if (const auto found = passes(request_, {.with_cma = true}))
      add(Certainty::Exact,
          fmt::format("a movable request may use CMA pages: {} would have passed by {} pages; or make the area smaller "
                      "(cma=)",
                      found->first->label(), found->second),
          found->first->label(), found->second);
  }

  void higher_zones() {
    for (const ZoneFacts& zone : zones()) {
      if (zone.is_eligible || zone.check != Check::NotEligible || !zone.index)
        continue;
      const bool is_movable = zone.name == "Movable";
      const bool is_highmem = zone.name == "HighMem";
      Gfp gfp = request_.gfp;
      if (is_movable)
        gfp = gfp | gfp::kHighMem | gfp::kMovable;
      else if (is_highmem)
        gfp = gfp | gfp::kHighMem;
      else
        gfp = gfp.without(gfp::kDma | gfp::kDma32);
      const RequestFacts wider = changed(gfp, request_.order);
      const Attempt attempt = last_attempt(zone, wider, *kernel_, kMinOnly);
      if (attempt.check != Check::Passes)
        continue;
      add(Certainty::Exact,
          fmt::format("{} would have passed by {} pages, but only a request {} may use it", zone.label(),
                      attempt.margin,
                      is_movable   ? "with __GFP_HIGHMEM|__GFP_MOVABLE"
                      : is_highmem ? "with __GFP_HIGHMEM"
                                   : "without a DMA restriction"),
          zone.label(), attempt.margin);
    }
  }

  void retry_harder() {
    if (request_.order <= kCostlyOrder || !request_.may_compact || request_.gfp.has(gfp::kRetryMayfail))
      return;
    const bool needs_reclaim = suitable_zones().empty();
    if (needs_reclaim && reclaimable() < (std::int64_t{2} << request_.order))
      return;
    add(Certainty::Likely,
        fmt::format("{} makes the kernel repeat reclaim and compaction for this order instead of a single pass{}",
                    kernel_->version < 4013 ? "__GFP_REPEAT" : "__GFP_RETRY_MAYFAIL",
                    request_.gfp.has(gfp::kNoRetry) ? " (in place of __GFP_NORETRY)" : ""));
  }

  void boost_off() {
    if (!any_zone_is(Check::Boost))
      return;
    if (const auto found = passes(request_, {.without_boost = true}))
      add(Certainty::Exact,
          fmt::format("without the temporary watermark boost of {} pages (vm.watermark_boost_factor=0) {} would have "
                      "passed by {} pages",
                      found->first->boost.value_or(0), found->first->label(), found->second),
          found->first->label(), found->second);
  }

  /// reserve = managed pages of the zones above / ratio, so the ratio that gives a small enough reserve is computable.
  void reserve_ratio() {
    for (const ZoneFacts& zone : zones()) {
      if (!zone.is_eligible || first_check(zone) != Check::LowmemReserve)
        continue;
      const Attempt without = last_attempt(zone, request_, *kernel_, kMinOnly, {.without_reserve = true});
      if (without.check != Check::Passes || without.margin < 2)
        continue;
      const std::int64_t reserve_now = zone.attempts.front().lowmem_reserve;
      const std::int64_t reserve_most = without.margin - 1;
      std::int64_t managed_above = 0;
      for (const ZoneFacts& other : zones())
        if (other.node == zone.node && other.index && zone.index && *other.index > *zone.index &&
            *other.index <= request_.highest_index)
          managed_above += other.managed.value_or(0);
      const std::int64_t ratio_now = reserve_now > 0 ? managed_above / reserve_now : 0;
      const bool is_known = ratio_now > 0 && managed_above / ratio_now == reserve_now;
      if (is_known) {
        const std::int64_t ratio = managed_above / reserve_most + 1;
        const std::int64_t margin = without.margin - managed_above / ratio;
        add(Certainty::Exact,
            fmt::format(
                "with {} for {} in vm.lowmem_reserve_ratio (now {}) its reserve is {} pages instead of {}, and it "
                "would have passed by {}",
                ratio, zone.name, ratio_now, managed_above / ratio, reserve_now, margin),
            zone.label(), margin);
      } else {
        // The managed pages have changed since the reserve was computed, or zones are not listed.
        const std::string about =
            ratio_now > 0 ? fmt::format(" (about {}, now about {})", managed_above / reserve_most + 1, ratio_now)
                          : std::string{};
        add(Certainty::Exact,
            fmt::format("with a larger vm.lowmem_reserve_ratio for {}{}, so that its reserve is at most {} pages "
                        "instead of {}, it would have passed",
                        zone.name, about, reserve_most, reserve_now),
            zone.label(), 1);
      }
    }
  }

  void earlier_kswapd() {
    if (request_.may_reclaim || !request_.may_wake_kswapd)
      return;
    if (short_by() <= 0 || reclaimable() < short_by())
      return;
    const ZoneFacts* const zone = first_eligible();
    if (zone == nullptr || !zone->low || !zone->min)
      return;
    add(Certainty::Likely,
        fmt::format(
            "a larger vm.min_free_kbytes or vm.watermark_scale_factor makes kswapd start earlier: it now begins "
            "{} pages above min in {}",
            *zone->low - *zone->min, zone->label()),
        zone->label());
  }

  void compact_beforehand() {
    if (request_.order == 0 || !any_zone_is(Check::Fragmented))
      return;
    const std::string zones_text = suitable_zones();
    if (zones_text.empty())
      return;
    add(Certainty::Likely,
        fmt::format("compacting beforehand (vm.compact_memory once, or vm.compaction_proactiveness): "
                    "{} had enough free memory for it",
                    zones_text));
  }

  void newer_test() {
    if (kernel_->watermark.rule != WatermarkRule::Loop)
      return;
    KernelFacts later = *kernel_;
    later.watermark = {WatermarkRule::Harder, WatermarkFastRule::CmaOnly, BoostException::None};
    for (const ZoneFacts& zone : zones()) {
      if (!zone.is_eligible || first_check(zone) != Check::HighOrderWatermark)
        continue;
      const Attempt attempt = last_attempt(zone, request_, later, kMinOnly);
      if (attempt.check == Check::Passes) {
        add(Certainty::Exact,
            fmt::format("kernels since 4.4 only ask whether a block is free: {} would have passed by {} pages",
                        zone.label(), attempt.spare()),
            zone.label(), attempt.spare());
        return;
      }
    }
  }

  void reserves_that_hold() {
    if (any_zone_is(Check::HighAtomic) || any_zone_is(Check::OnlyHighAtomic))
      add(Certainty::Likely,
          "the high-atomic reserve (at most 1 % of the zone and a block) is given back under "
          "pressure; fewer high-order atomic requests by drivers keep it small");
    if (any_zone_is(Check::OnlyIsolated))
      add(Certainty::Likely,
          "the isolated blocks come back when memory offlining or the contiguous allocation that "
          "holds them ends");
  }

  void structural() {
    const bool is_dma = request_.highest_zone == ZoneType::Dma || request_.highest_zone == ZoneType::Dma32;
    if (is_dma && (any_zone_is(Check::LowMemory) || any_zone_is(Check::Exhausted)))
      add(Certainty::Likely,
          fmt::format("a device that can address more memory (wider DMA mask, IOMMU) does not need {}",
                      zone_type_name(request_.highest_zone)));
    if (request_.no_watermarks && any_zone_is(Check::Exhausted))
      add(Certainty::Likely,
          "reclaim itself ran out of the memory that it needs (swap or zswap writes): a larger "
          "vm.min_free_kbytes keeps more back for it");
    if (explanation_->kind == ReportKind::CpusetOom || any_node_forbidden())
      add(Certainty::Likely,
          fmt::format("give the cpuset or memory policy a node that has {} memory", zone_type_name(eligible_top())));
  }

  /// When nothing that can be set would have helped.
  void more_memory() {
    const std::int64_t pages = short_by();
    if (pages <= 0)
      return;
    if (request_.may_reclaim && reclaimable() > pages)
      add(Certainty::Likely,
          fmt::format("a later try: {} pages were short, and {} could be reclaimed meanwhile", pages, reclaimable()));
    else
      add(Certainty::Likely,
          fmt::format("less use of {}, or more memory in it: {} pages were short", explanation_->verdict.zone, pages));
  }

  void exhaustion() {
    if (!is_oom(explanation_->kind) || first_eligible() == nullptr ||
        explanation_->verdict.check == Check::NodeForbidden)
      return;
    const FailureReport& report = explanation_->report;
    std::string text;
    if (report.largest_task && report.largest_task->rss_pages > 0)
      text = fmt::format("the largest task is {}pid {}{} with {} resident pages",
                         report.largest_task->name.empty() ? "" : report.largest_task->name + " (",
                         report.largest_task->pid, report.largest_task->name.empty() ? "" : ")",
                         report.largest_task->rss_pages);
    if (report.total_swap_kb && *report.total_swap_kb == 0)
      text += text.empty() ? "there is no swap, so anonymous memory cannot be reclaimed"
                           : "; there is no swap, so anonymous memory cannot be reclaimed";
    else if (report.free_swap_kb && *report.free_swap_kb == 0)
      text += text.empty() ? "swap is full" : "; swap is full";
    if (!text.empty())
      add(Certainty::Likely, "less use, or more memory or swap: " + text);
  }

  /// An OOM report whose printed state passes the mark that was tried first: what would help is already there.
  [[nodiscard]] const ZoneFacts* passing_at_min() const {
    for (const ZoneFacts& zone : zones())
      if (zone.is_eligible && first_check(zone) == Check::Passes)
        return &zone;
    return nullptr;
  }

  [[nodiscard]] const ZoneFacts* first_eligible() const {
    for (const ZoneFacts& zone : zones())
      if (zone.is_eligible)
        return &zone;
    return nullptr;
  }

  [[nodiscard]] bool any_node_forbidden() const {
    return std::any_of(zones().begin(), zones().end(),
                       [](const ZoneFacts& zone) { return zone.check == Check::NodeForbidden; });
  }

  /// The highest zone type that the request may use and that a machine normally has.
  [[nodiscard]] ZoneType eligible_top() const {
    return request_.highest_zone == ZoneType::Movable ? ZoneType::Movable : request_.highest_zone;
  }

  Explanation* explanation_;
  RequestFacts request_;
  const KernelFacts* kernel_;
  static constexpr TestPlan kMinOnly{.tests_min = true, .tests_high = false};
};

}  // namespace

void find_remedies(Explanation& explanation, const KernelFacts& kernel) {
  if (!explanation.request || explanation.zones.empty())
    return;
  RemedyFinder{explanation, kernel}.find();
}

}  // namespace mmbox::lab::explain
