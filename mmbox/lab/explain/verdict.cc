#include "mmbox/lab/explain/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "mmbox/lab/explain/node_list.h"
#include "mmbox/lab/explain/remedies.h"

namespace mmbox::lab::explain {

namespace {

/// Writes the verdict of one explanation; one method for each kind of report.
class Judge {
 public:
  Judge(Explanation& explanation, const KernelFacts& kernel) : e_(&explanation), kernel_(&kernel) {}

  void judge() {
    switch (e_->kind) {
      case ReportKind::MemcgOom: memcg_verdict(); break;
      case ReportKind::PageFaultOom: page_fault_verdict(); break;
      case ReportKind::Snapshot: snapshot_verdict(); break;
      case ReportKind::CmaFailure: cma_verdict(); break;
      case ReportKind::Headless: headless_verdict(); break;
      case ReportKind::VmallocFailure: vmalloc_verdict(); break;
      default: allocator_verdict(); break;
    }
  }

 private:
  [[nodiscard]] std::string request_text() const {
    const RequestFacts& request = *e_->request;
    return fmt::format("order-{} request ({}, {})", request.order, size_text(request.bytes), request.mask_text);
  }

  /// The zone that speaks for the refusal: one that passes contradicts it; else the first eligible one that is known.
  [[nodiscard]] const ZoneFacts* deciding_zone() const {
    const ZoneFacts* first = nullptr;
    for (const ZoneFacts& zone : e_->zones) {
      if (!zone.is_eligible)
        continue;
      if (zone.check == Check::Passes)
        return &zone;
      if (zone.check == Check::CannotTell)
        continue;
      if (first == nullptr)
        first = &zone;
    }
    if (first != nullptr)
      return first;
    for (const ZoneFacts& zone : e_->zones)
      if (zone.is_eligible && zone.check != Check::CannotTell)
        return &zone;
    return nullptr;
  }

  void allocator_verdict() {
    Verdict& verdict = e_->verdict;
    if (!e_->request) {
      verdict.check = Check::CannotTell;
      verdict.sentence = e_->report.headline == Headline::OomKill
                             ? fmt::format(
                                   "The OOM killer ended {} (pid {}); the report that says why is not here, so "
                                   "no zone can be judged.",
                                   e_->report.victim, e_->report.victim_pid.value_or(0))
                             : "Cannot tell what refused: the report does not say which order or mask was asked for.";
      e_->confidence = Confidence::None;
      return;
    }
    if (e_->zones.empty()) {
      verdict.check = Check::CannotTell;
      verdict.sentence =
          fmt::format("Cannot tell which zone refused the {}: the report has no zone lines.", request_text());
      e_->confidence = Confidence::None;
      find_remedies(*e_, *kernel_);
      return;
    }
    const ZoneFacts* const zone = deciding_zone();
    const bool any_eligible =
        std::any_of(e_->zones.begin(), e_->zones.end(), [](const ZoneFacts& z) { return z.is_eligible; });
    if (zone == nullptr && any_eligible) {
      verdict.check = Check::CannotTell;
      verdict.sentence = fmt::format(
          "Cannot tell which check refused the {}: the numbers of the zones it may use are "
          "incomplete.",
          request_text());
      e_->confidence = Confidence::None;
      return;
    }
    if (zone == nullptr) {
      no_candidate_verdict();
      return;
    }
    verdict.check = zone->check;
    verdict.zone = zone->label();
    if (zone->short_by > 0)
      verdict.short_by = zone->short_by;
    verdict.sentence = sentence(*zone);
    judge_confidence(*zone);
    find_remedies(*e_, *kernel_);
  }

  void no_candidate_verdict() {
    Verdict& verdict = e_->verdict;
    const RequestFacts& request = *e_->request;
    const auto first_with = [&](Check check) {
      return std::find_if(e_->zones.begin(), e_->zones.end(), [&](const ZoneFacts& z) { return z.check == check; });
    };
    auto found = first_with(Check::NotEligible);
    const bool any_above = found != e_->zones.end();
    if (!any_above)
      found = first_with(Check::NodeForbidden);
    if (found == e_->zones.end()) {
      verdict.check = Check::Empty;
      verdict.sentence = fmt::format("No zone may serve the {}: none of those listed has memory.", request_text());
      e_->confidence = e_->is_torn ? Confidence::Low : Confidence::High;
      return;
    }
    const ZoneFacts& zone = *found;
    verdict.check = zone.check;
    verdict.zone = zone.label();
    const std::string where = is_node_list(e_->report.mems_allowed)
                                  ? fmt::format(" on the nodes that its cpuset allows ({})", *e_->report.mems_allowed)
                                  : std::string{};
    if (any_above)
      verdict.sentence = fmt::format(
          "No zone may serve the {}{}: it reaches up to {}, and only {} is there with {} free "
          "pages that it may not use.",
          request_text(), where, zone_type_name(request.highest_zone), zone.label(), zone.free.value_or(0));
    else
      verdict.sentence = fmt::format("No zone may serve the {}: nodemask or cpuset forbids every node that is listed.",
                                     request_text());
    e_->confidence = e_->is_torn && e_->report.zones.empty() ? Confidence::Low : Confidence::High;
    find_remedies(*e_, *kernel_);
  }

  [[nodiscard]] std::string others_text(const ZoneFacts& deciding) const {
    std::string text;
    unsigned n = 0;
    for (const ZoneFacts& zone : e_->zones) {
      if (!zone.is_eligible || &zone == &deciding)
        continue;
      if (++n > 3)
        return " Every other zone that it may use refused as well.";
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", zone.label(), name_of(zone.check));
    }
    return text.empty() ? std::string{} : fmt::format(" Refused as well: {}.", text);
  }

  [[nodiscard]] std::string sentence(const ZoneFacts& zone) const {
    const RequestFacts& request = *e_->request;
    const Attempt& attempt = zone.attempts.back();
    const std::string what = request_text();
    const std::string free = fmt::format("{} free pages", zone.free.value_or(0));
    const std::string mark = attempt.mark_name;
    const std::string need = attempt.lowmem_reserve > 0
                                 ? fmt::format("more than {} must remain ({} {} + lowmem_reserve {})", attempt.need,
                                               mark, attempt.lowered_mark, attempt.lowmem_reserve)
                                 : fmt::format("more than {} must remain ({})", attempt.need, mark);
    std::string text;
    switch (zone.check) {
      case Check::LowmemReserve:
        text = fmt::format(
            "The {} was refused because {} protects itself from it: of {}, {} are usable and {}; short by "
            "{}, and all of that is lowmem_reserve.",
            what, zone.label(), free, attempt.left, need, attempt.short_by);
        break;
      case Check::LowMemory:
        text = fmt::format(
            "The {} was refused because {} is low on memory: of {}, {} are usable and {}; short by {} "
            "page{}.",
            what, zone.label(), free, attempt.left, need, attempt.short_by, attempt.short_by == 1 ? "" : "s");
        break;
      case Check::Boost:
        text = fmt::format(
            "The {} was refused because the watermark of {} is boosted by {} pages for the moment: {} are "
            "usable and {}; short by {}.",
            what, zone.label(), zone.boost.value_or(0), attempt.left, need, attempt.short_by);
        break;
      case Check::HighAtomic:
        text = fmt::format(
            "The {} was refused because {} holds {}{} pages back for high-order atomic requests: {} are "
            "usable and {}; short by {}{}.",
            what, zone.label(), zone.highatomic_is_exact ? "" : "at least ", attempt.highatomic_pages, attempt.left,
            need, zone.highatomic_is_exact ? "" : "at least ", attempt.short_by);
        break;
      case Check::Cma:
        text = fmt::format(
            "The {} was refused because {} of the {} in {} are CMA's and it may not use those: {} are "
            "usable and {}; short by {}.",
            what, attempt.cma_pages, free, zone.label(), attempt.left, need, attempt.short_by);
        break;
      case Check::HighOrderWatermark:
        text = fmt::format(
            "The {} was refused by the per-order watermark of kernels before 4.4: without its smaller "
            "blocks (up to order {}) {} has {} pages, and more than {} are asked for; short by {}{}.",
            what, attempt.loop_failed_order, zone.label(), attempt.loop_left, attempt.loop_mark, attempt.short_by,
            has_fitting_block(zone) ? ", although large enough blocks are free" : "");
        break;
      case Check::Fragmented:
        text = fmt::format(
            "The {} was refused because memory is fragmented: {} has {}, enough for its watermark, but no "
            "free block of {} or larger{}.",
            what, zone.label(), free, size_text(request.bytes), compaction_clause(zone));
        break;
      case Check::OnlyCma:
        text = fmt::format(
            "The {} was refused because every free block of {} or larger in {} belongs to CMA, which only "
            "movable requests may use.",
            what, size_text(request.bytes), zone.label());
        break;
      case Check::OnlyHighAtomic:
        text = fmt::format(
            "The {} was refused because every free block of {} or larger in {} is reserved for high-order "
            "atomic requests.",
            what, size_text(request.bytes), zone.label());
        break;
      case Check::OnlyIsolated:
        text = fmt::format(
            "The {} was refused because every free block of {} or larger in {} is isolated (memory going "
            "offline, or a contiguous allocation at work).",
            what, size_text(request.bytes), zone.label());
        break;
      case Check::Exhausted:
        text = fmt::format("The {} was refused because nothing is free in {}{}.", what, zone.label(),
                           request.no_watermarks ? ", not even for a task that may use the last reserves" : "");
        break;
      case Check::Passes:
        if (request.no_watermarks && !is_oom(e_->kind))
          return fmt::format(
              "The state that was printed would satisfy the {}: {} has a free block, and no watermark "
              "applies to this task, so it changed between the refusal and the report (a race).",
              what, zone.label());
        return fmt::format(
            "The state that was printed would satisfy the {}: {} passes {} by {} page{}, so it changed "
            "between the refusal and the report (a race), or a rule that is not printed refused.",
            what, zone.label(), "the " + mark + " mark", attempt.spare(), attempt.spare() == 1 ? "" : "s");
      default: text = fmt::format("Cannot tell which check refused the {}.", what); break;
    }
    for (const Check also : attempt.also)
      text += fmt::format(" It would also have passed {}.", also == Check::Boost ? "without the boost"
                                                            : also == Check::HighAtomic
                                                                ? "if the high-atomic reserve counted"
                                                                : "if CMA pages counted");
    if (e_->kind == ReportKind::AllocationStall)
      text = "Slow, not failed. " + text;
    if (zone.attempts.size() > 1 && zone.attempts.front().check == Check::Passes)
      text += " In the printed state it passes the min mark, which was tried before.";
    else if (zone.attempts.size() > 1 && zone.attempts.front().check != zone.check)
      text += fmt::format(" At the min mark, tried before: {}.", name_of(zone.attempts.front().check));
    if (is_oom(e_->kind) && !e_->report.victim.empty())
      text += fmt::format(" {} was killed for it.", e_->report.victim);
    return text + others_text(zone);
  }

  [[nodiscard]] std::string compaction_clause(const ZoneFacts& zone) const {
    const RequestFacts& request = *e_->request;
    if (!request.may_reclaim)
      return ", and this caller cannot wait for compaction";
    if (!request.may_compact)
      return kernel_->compaction_needs_fs ? ", and its mask forbids compaction (no __GFP_IO and __GFP_FS)"
                                          : ", and its mask forbids compaction (no __GFP_IO)";
    if (zone.is_compaction_suitable)
      return "; compaction was suitable there and did not make one";
    if (zone.compaction == "too little free memory")
      return "; too little was free there for compaction to start";
    return "";
  }

  [[nodiscard]] bool has_fitting_block(const ZoneFacts& zone) const {
    for (std::size_t o = e_->request->order; o < zone.blocks.size(); ++o)
      if (zone.blocks[o].count > 0)
        return true;
    return false;
  }

  void judge_confidence(const ZoneFacts& zone) {
    const Attempt& attempt = zone.attempts.back();
    Confidence confidence = Confidence::High;
    const auto at_most = [&](Confidence limit) { confidence = std::max(confidence, limit); };
    if (zone.check == Check::Passes)
      at_most(Confidence::Low);
    if (kernel_->is_inferred || e_->request->names_contradict_mask)
      at_most(Confidence::Medium);
    if (e_->is_torn)
      at_most(Confidence::Medium);
    if (!zone.reserve_is_known)
      at_most(Confidence::Low);
    // Would other numbers of high-atomic pages, within what the letters allow, have given another answer?
    if (!reaches_highatomic_pages(kernel_->watermark.rule, e_->request->flags) && !attempt.is_loop &&
        attempt.margin > 0 && attempt.margin <= zone.highatomic_most - zone.highatomic_least &&
        zone.check != Check::Fragmented)
      at_most(Confidence::Medium);
    if (zone.check == Check::HighAtomic && !zone.highatomic_is_exact)
      at_most(Confidence::Medium);
    if (zone.check == Check::Boost && zone.boost_is_inferred)
      at_most(Confidence::Medium);
    // The shortcut of 4.7 to 5.8 does not deduct the reserve; by it one page passes, so the refusal was a near thing.
    if (zone.check == Check::HighAtomic && e_->request->order == 0 &&
        kernel_->watermark.fast == WatermarkFastRule::CmaOnly) {
      const std::int64_t margin = attempt.margin + attempt.highatomic_pages;
      e_->notes.push_back(
          fmt::format("before 5.9 a single page is first tried without deducting the high-atomic "
                      "reserve; by that test {} passes by {} pages, so the state when it was refused "
                      "was a little lower than the printed one",
                      zone.label(), margin));
    }
    if (has_several_nodes(*e_) && zone.check == Check::Passes)
      e_->notes.emplace_back(
          "with vm.zone_reclaim_mode on, or a request bound to another node, a remote zone that "
          "passes is not used");
    if (zone.check == Check::Passes)
      explain_race(zone, attempt);
    e_->confidence = confidence;
  }

  void explain_race(const ZoneFacts& zone, const Attempt& attempt) {
    const std::int64_t pcp = zone.free_pcp.value_or(0);
    constexpr std::int64_t kUsualMovement = 512;  // what reclaim and per-cpu lists move within milliseconds
    if (attempt.spare() <= std::max(pcp, kUsualMovement))
      e_->notes.push_back(
          fmt::format("a margin of {} pages is within what moves while a report is printed ({} pages "
                      "were on per-cpu lists): consistent with a race",
                      attempt.spare(), pcp));
    else
      e_->notes.push_back(
          fmt::format("a margin of {} pages is more than usually moves while a report is printed: "
                      "something freed a lot at that moment, or the cause lies elsewhere",
                      attempt.spare()));
  }

  void memcg_verdict() {
    e_->verdict.check = Check::None;
    std::string text = "Not the page allocator: a memory cgroup reached its limit";
    if (!e_->report.memcg_path.empty())
      text += fmt::format(" ({})", e_->report.memcg_path);
    if (e_->report.memcg_usage_kb && e_->report.memcg_limit_kb)
      text += fmt::format(", usage {} kB of {} kB", *e_->report.memcg_usage_kb, *e_->report.memcg_limit_kb);
    if (!e_->report.victim.empty())
      text += fmt::format("; {} (pid {}) was killed", e_->report.victim, e_->report.victim_pid.value_or(0));
    e_->verdict.sentence = text + ". No zone refused anything.";
    e_->confidence = Confidence::High;
    e_->remedies.push_back({Certainty::Likely, "raise the cgroup's memory limit, or make its tasks use less", {}, {}});
  }

  void page_fault_verdict() {
    e_->verdict.check = Check::None;
    e_->verdict.sentence =
        "Not a request to the page allocator: the OOM killer was called at the end of a page fault, with an empty "
        "mask, "
        "after something else had failed, often a memory cgroup's charge. The zones have no refusal to show.";
    e_->confidence = Confidence::High;
    e_->remedies.push_back(
        {Certainty::Likely, "look for the memory cgroup of the task and its limit just before this report", {}, {}});
  }

  void snapshot_verdict() {
    e_->verdict.check = Check::None;
    e_->verdict.sentence = e_->report.headline == Headline::ShowMemory
                               ? "A snapshot that someone asked for (SysRq): nothing was refused."
                               : "The OOM killer was called by hand (SysRq, order -1): nothing was refused.";
    e_->confidence = Confidence::High;
  }

  void headless_verdict() {
    e_->verdict.check = Check::CannotTell;
    e_->verdict.sentence =
        "Cannot tell what was refused: the report's first line, with order and mask, is missing; "
        "below is the state of memory that it printed.";
    e_->confidence = Confidence::None;
  }

  void cma_verdict() {
    e_->verdict.check = Check::None;
    const std::string name =
        e_->report.cma_name.empty() ? std::string{"a CMA area"} : "CMA area " + e_->report.cma_name;
    std::string text = fmt::format("Not a free-list request: {} could not hand out {} contiguous pages", name,
                                   e_->report.cma_pages ? std::to_string(*e_->report.cma_pages) : std::string{"its"});
    if (e_->report.cma_error == -16)
      text += ": pages in it are pinned and could not be moved (EBUSY)";
    else if (e_->report.cma_error == -12)
      text += ": no free run of that length is left in it (ENOMEM)";
    else if (e_->report.cma_error == -4)
      text += ": the caller was interrupted (EINTR)";
    if (e_->report.cma_free_pages && e_->report.cma_total_pages)
      text += fmt::format("; {} of its {} pages are free, in smaller runs", *e_->report.cma_free_pages,
                          *e_->report.cma_total_pages);
    e_->verdict.sentence = text + ".";
    e_->confidence = e_->report.cma_error ? Confidence::High : Confidence::Medium;
    if (e_->report.cma_error == -16)
      e_->remedies.push_back(
          {Certainty::Likely, "find who pins pages of the area (long-term GUP, page cache of a busy device)", {}, {}});
    else
      e_->remedies.push_back({Certainty::Likely, "a larger area (cma=, or its device-tree size)", {}, {}});
  }

  /// What the words of the message say. Source: mm/vmalloc.c of 5.13 and later, whose messages differ by cause.
  [[nodiscard]] const char* vmalloc_cause() const {
    constexpr std::array<std::pair<std::string_view, const char*>, 4> kCauses{
        {{"exceeds total pages", "A size larger than all memory of the machine"},
         {"failed to map pages", "Memory for the page tables, or a killed task,"},
         {"vm_struct allocation failed", "Kernel address space, or an over-large size,"},
         {"vmap allocation for size", "Kernel address space (vmalloc=), or an over-large size,"}}};
    for (const auto& [words, cause] : kCauses)
      if (e_->report.vmalloc_message.find(words) != std::string::npos)
        return cause;
    return "Kernel address space, an over-large size or a killed task";
  }

  void vmalloc_verdict() {
    Verdict& verdict = e_->verdict;
    bool any_passes = false;
    for (const ZoneFacts& zone : e_->zones)
      any_passes = any_passes || (zone.is_eligible && zone.check == Check::Passes);
    std::string size;
    if (e_->report.vmalloc_bytes)
      size = fmt::format(" of {} bytes", *e_->report.vmalloc_bytes);
    if (e_->report.vmalloc_got_bytes)
      size += fmt::format(" ({} bytes were got)", *e_->report.vmalloc_got_bytes);
    const bool pages_failed = e_->report.vmalloc_message.find("failed to allocate pages") != std::string::npos ||
                              e_->report.vmalloc_got_bytes.has_value();
    const ZoneFacts* const zone = e_->request ? deciding_zone() : nullptr;
    if (!any_passes && zone != nullptr && zone->check != Check::Passes) {
      verdict.check = zone->check;
      verdict.zone = zone->label();
      if (zone->short_by > 0)
        verdict.short_by = zone->short_by;
      verdict.sentence = fmt::format("vmalloc{} failed, and single pages were short too: ", size) + sentence(*zone);
      e_->confidence = e_->is_torn ? Confidence::Low : Confidence::Medium;
      find_remedies(*e_, *kernel_);
      return;
    }
    verdict.check = Check::None;
    if (any_passes && !pages_failed) {
      verdict.sentence = fmt::format(
          "Not a shortage of pages: vmalloc{} failed while {} has {} free pages and passes its "
          "watermark. {} is the cause.",
          size, zone->label(), zone->free.value_or(0), vmalloc_cause());
      e_->confidence = Confidence::High;
    } else if (any_passes) {
      verdict.sentence = fmt::format(
          "vmalloc{} failed; {} passes its watermark with {} free pages now, so a killed task, "
          "the limits of address space or a passing shortage is the cause, not a lasting lack "
          "of pages.",
          size, zone->label(), zone->free.value_or(0));
      e_->confidence = Confidence::Medium;
    } else {
      verdict.sentence = fmt::format("vmalloc{} failed; the report does not show whether pages were short.", size);
      e_->confidence = Confidence::Low;
    }
    e_->remedies.push_back(
        {Certainty::Likely, "check the size that the caller asks for, and vmalloc= on 32-bit kernels", {}, {}});
  }

  Explanation* e_;
  const KernelFacts* kernel_;
};

}  // namespace

void find_verdict(Explanation& explanation, const KernelFacts& kernel) {
  Judge{explanation, kernel}.judge();
}

}  // namespace mmbox::lab::explain
