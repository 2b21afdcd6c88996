// From the text of a report to a verdict: which zone refused, which check, how sure that is, and what is missing.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"
#include "mmbox/lab/explain/remedies.h"
#include "mmbox/lab/explain/request.h"
#include "mmbox/lab/explain/zone_walk.h"

namespace mmbox::lab::explain {
namespace {

std::string size_text(std::uint64_t bytes) {
  if (bytes >= 1U << 20 && bytes % (1U << 20) == 0)
    return fmt::format("{} MiB", bytes >> 20);
  return fmt::format("{} KiB", bytes >> 10);
}

/// True if node `n` is in a list such as "0-3,8"; false for text that is no list.
bool list_has(std::string_view list, std::uint32_t n) {
  while (!list.empty()) {
    std::uint32_t first = 0;
    auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), first);
    if (error != std::errc{})
      return false;
    list.remove_prefix(static_cast<std::size_t>(end - list.data()));
    std::uint32_t last = first;
    if (!list.empty() && list.front() == '-') {
      list.remove_prefix(1);
      const auto range = std::from_chars(list.data(), list.data() + list.size(), last);
      if (range.ec != std::errc{})
        return false;
      list.remove_prefix(static_cast<std::size_t>(range.ptr - list.data()));
    }
    if (n >= first && n <= last)
      return true;
    if (!list.empty() && list.front() == ',')
      list.remove_prefix(1);
    else if (!list.empty())
      return false;
  }
  return false;
}

bool is_node_list(const std::optional<std::string>& list) {
  return list && !list->empty() && list->front() >= '0' && list->front() <= '9';
}

/// vmalloc prints through the allocator's own function: the caller of warn_alloc tells the two apart.
bool stack_says_vmalloc(const FailureReport& report) {
  for (std::size_t i = 0; i + 1 < report.trace.size(); ++i)
    if (report.trace[i].rfind("warn_alloc", 0) == 0)
      return report.trace[i + 1].rfind("__vmalloc", 0) == 0 || report.trace[i + 1].rfind("vmalloc", 0) == 0 ||
             report.trace[i + 1].rfind("__vmap", 0) == 0;
  return false;
}

ReportKind kind_of(const FailureReport& report) {
  switch (report.headline) {
    case Headline::AllocationFailure:
      return stack_says_vmalloc(report) ? ReportKind::VmallocFailure : ReportKind::AllocationFailure;
    case Headline::AllocationStall: return ReportKind::AllocationStall;
    case Headline::VmallocFailure: return ReportKind::VmallocFailure;
    case Headline::CmaFailure: return ReportKind::CmaFailure;
    case Headline::ShowMemory: return ReportKind::Snapshot;
    case Headline::MemcgOomKill: return ReportKind::MemcgOom;
    case Headline::OomKill: return report.is_memcg ? ReportKind::MemcgOom : ReportKind::GlobalOom;
    case Headline::OomKiller: break;
    case Headline::None: return ReportKind::Headless;
  }
  if (report.is_memcg)
    return ReportKind::MemcgOom;
  if (report.order == -1)
    return ReportKind::Snapshot;
  if (report.gfp_mask && *report.gfp_mask == 0 && report.order.value_or(0) == 0)
    return ReportKind::PageFaultOom;
  if (report.constraint == "CONSTRAINT_CPUSET")
    return ReportKind::CpusetOom;
  if (report.constraint == "CONSTRAINT_MEMORY_POLICY" || (report.constraint.empty() && is_node_list(report.nodemask)))
    return ReportKind::MempolicyOom;
  return ReportKind::GlobalOom;
}

/// The size of the first block is that of a page. Without such a line the zones' memory in kB, beside the machine's in
/// pages, tells it: 4, 16 and 64 KiB are far apart.
std::uint64_t page_bytes_of(const FailureReport& report) {
  for (const ZoneText& zone : report.zones)
    if (!zone.blocks.empty())
      return zone.blocks.front().size_kb * 1024;
  double present_kb = 0;
  for (const ZoneText& zone : report.zones)
    present_kb += static_cast<double>(zone.kb.value_or(ZoneField::Present, 0));
  std::uint64_t page_kb = 4;
  constexpr std::uint64_t kLargestKb = 64;
  constexpr double kNear = 1.4;  // between one size and the next
  while (page_kb < kLargestKb && report.ram_pages.value_or(0) > 0 &&
         present_kb > kNear * static_cast<double>(page_kb) * static_cast<double>(*report.ram_pages))
    page_kb *= 2;
  return page_kb * 1024;
}

/// Writes one explanation; split into steps that fill it in turn.
class Analyzer {
 public:
  explicit Analyzer(FailureReport report) : report_(report) {
    result_.report = std::move(report);
    kernel_ = kernel_facts(report_);
    result_.kind = kind_of(report_);
    result_.kernel = kernel_.text;
    result_.kernel_is_inferred = kernel_.is_inferred;
    result_.rules = kernel_.rules;
    result_.page_bytes = page_bytes_of(report_);
    result_.layout = zone_layout(report_);
  }

  Explanation run() {
    read_zones();
    find_missing();
    switch (result_.kind) {
      case ReportKind::MemcgOom: memcg_verdict(); break;
      case ReportKind::PageFaultOom: page_fault_verdict(); break;
      case ReportKind::Snapshot: snapshot_verdict(); break;
      case ReportKind::CmaFailure: cma_verdict(); break;
      case ReportKind::Headless: headless_verdict(); break;
      case ReportKind::VmallocFailure:
        walk();
        vmalloc_verdict();
        break;
      default:
        walk();
        allocator_verdict();
        break;
    }
    add_notes();
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool is_oom() const {
    return result_.kind == ReportKind::GlobalOom || result_.kind == ReportKind::CpusetOom ||
           result_.kind == ReportKind::MempolicyOom;
  }

  void read_zones() {
    for (const ZoneText& zone : report_.zones)
      result_.zones.push_back(zone_facts(zone, report_, kernel_, result_.layout, result_.page_bytes));
    // The order of the walk: nodes as printed (which one was preferred is not), in each the highest zone first.
    std::stable_sort(result_.zones.begin(), result_.zones.end(), [](const ZoneFacts& a, const ZoneFacts& b) {
      if (a.node != b.node)
        return a.node < b.node;
      return a.index.value_or(0) > b.index.value_or(0);
    });
  }

  [[nodiscard]] bool has_several_nodes() const {
    return !result_.zones.empty() &&
           std::any_of(result_.zones.begin(), result_.zones.end(),
                       [&](const ZoneFacts& zone) { return zone.node != result_.zones.front().node; });
  }

  void find_missing() {
    auto& missing = result_.missing;
    const bool wants_request = result_.kind != ReportKind::Snapshot && result_.kind != ReportKind::MemcgOom &&
                               result_.kind != ReportKind::CmaFailure;
    const bool wants_zones = result_.kind != ReportKind::MemcgOom && result_.kind != ReportKind::CmaFailure &&
                             report_.headline != Headline::OomKill;
    const auto lacks = [&](std::string text) {
      missing.push_back(std::move(text));
      result_.is_torn = true;
    };
    if (report_.headline == Headline::None)
      lacks("the first line (order and mask of the request)");
    else if (wants_request && report_.headline == Headline::OomKill)
      lacks("the report of the OOM killer: only its last line is here");
    else if (wants_request && !report_.order)
      lacks("order of the request");
    if (wants_request && report_.headline != Headline::None && report_.headline != Headline::OomKill &&
        !report_.gfp_mask)
      lacks("mask of the request");
    if (report_.release.empty() && wants_zones)
      missing.emplace_back("kernel release");
    if (!wants_zones)
      return;
    if (report_.zones.empty()) {
      lacks(report_.has_mem_info ? "the zone lines" : "the memory state (Mem-Info)");
      return;
    }
    for (const ZoneFacts& zone : result_.zones) {
      const bool has_line = zone.free.has_value();
      if (!has_line)
        lacks("the line of zone " + zone.label());
      else if (!zone.min)
        lacks("the marks of zone " + zone.label());
      if (has_line && zone.lowmem_reserve.empty())
        lacks("lowmem_reserve[] of " + zone.label());
      if ((zone.blocks.empty() && zone.managed != 0) || zone.blocks_elided)
        lacks("the free blocks of " + zone.label());
    }
    if (!report_.has_mem_info || !report_.global_pages[GlobalField::Free])
      lacks("the global numbers after Mem-Info");
    if (has_several_nodes())
      missing.emplace_back("preferred node and vm.zone_reclaim_mode (never printed)");
    if (result_.kind == ReportKind::Snapshot)
      return;
    if (kernel_.highatomic == HighAtomicPrint::Hidden && kernel_.prints_letters)
      missing.emplace_back("size of the high-atomic reserve (printed since 5.5)");
    if (kernel_.highatomic == HighAtomicPrint::Bounded)
      missing.emplace_back("free pages of the high-atomic reserve (printed since 6.13)");
    if (!kernel_.prints_boost && kernel_.version >= 5000)
      missing.emplace_back("watermark boost (printed since 5.16; min includes it)");
  }

  /// Is a zone's node allowed? The mask of nodes always counts, the cpuset only for attempts that obey it.
  [[nodiscard]] bool node_is_forbidden(const ZoneFacts& zone, const RequestFacts& request) const {
    if (!zone.node)
      return false;
    if (is_node_list(report_.nodemask) && !list_has(*report_.nodemask, *zone.node))
      return true;
    const bool obeys_cpuset =
        is_oom() || (request.flags.has(alloc_flag::kCpuset) && !request.no_watermarks && !request.context.is_interrupt);
    return obeys_cpuset && is_node_list(report_.mems_allowed) && !list_has(*report_.mems_allowed, *zone.node);
  }

  void walk() {
    result_.request = request_facts(report_, kernel_, result_.layout, result_.page_bytes);
    if (!result_.request)
      return;
    const RequestFacts& request = *result_.request;
    plan_ = {.tests_min = true, .tests_high = is_oom()};
    for (ZoneFacts& zone : result_.zones) {
      if (zone.managed == 0) {
        zone.check = Check::Empty;
        continue;
      }
      if (zone.index && *zone.index > request.highest_index) {
        zone.check = Check::NotEligible;
        continue;
      }
      if (node_is_forbidden(zone, request)) {
        zone.check = Check::NodeForbidden;
        continue;
      }
      zone.is_eligible = true;
      walk_zone(zone, request, kernel_, plan_);
      if (!zone.reserve_is_known && zone.check == Check::Passes)
        zone.check = Check::CannotTell;  // its reserve might refuse
    }
    std::stable_partition(result_.zones.begin(), result_.zones.end(), [](const ZoneFacts& z) { return z.is_eligible; });
    describe_slow_path(request);
  }

  // ---------------------------------------------------------------- verdicts

  [[nodiscard]] std::string request_text() const {
    const RequestFacts& request = *result_.request;
    return fmt::format("order-{} request ({}, {})", request.order, size_text(request.bytes), request.mask_text);
  }

  /// The zone that speaks for the refusal: one that passes contradicts it; else the first eligible one that is known.
  [[nodiscard]] const ZoneFacts* deciding_zone() const {
    const ZoneFacts* first = nullptr;
    for (const ZoneFacts& zone : result_.zones) {
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
    for (const ZoneFacts& zone : result_.zones)
      if (zone.is_eligible && zone.check != Check::CannotTell)
        return &zone;
    return nullptr;
  }

  void allocator_verdict() {
    Verdict& verdict = result_.verdict;
    if (!result_.request) {
      verdict.check = Check::CannotTell;
      verdict.sentence = report_.headline == Headline::OomKill
                             ? fmt::format(
                                   "The OOM killer ended {} (pid {}); the report that says why is not here, so "
                                   "no zone can be judged.",
                                   report_.victim, report_.victim_pid.value_or(0))
                             : "Cannot tell what refused: the report does not say which order or mask was asked for.";
      result_.confidence = Confidence::None;
      return;
    }
    if (result_.zones.empty()) {
      verdict.check = Check::CannotTell;
      verdict.sentence =
          fmt::format("Cannot tell which zone refused the {}: the report has no zone lines.", request_text());
      result_.confidence = Confidence::None;
      find_remedies(result_, kernel_);
      return;
    }
    const ZoneFacts* const zone = deciding_zone();
    const bool any_eligible =
        std::any_of(result_.zones.begin(), result_.zones.end(), [](const ZoneFacts& z) { return z.is_eligible; });
    if (zone == nullptr && any_eligible) {
      verdict.check = Check::CannotTell;
      verdict.sentence = fmt::format(
          "Cannot tell which check refused the {}: the numbers of the zones it may use are "
          "incomplete.",
          request_text());
      result_.confidence = Confidence::None;
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
    find_remedies(result_, kernel_);
  }

  void no_candidate_verdict() {
    Verdict& verdict = result_.verdict;
    const RequestFacts& request = *result_.request;
    const auto first_with = [&](Check check) {
      return std::find_if(result_.zones.begin(), result_.zones.end(),
                          [&](const ZoneFacts& z) { return z.check == check; });
    };
    auto found = first_with(Check::NotEligible);
    const bool any_above = found != result_.zones.end();
    if (!any_above)
      found = first_with(Check::NodeForbidden);
    if (found == result_.zones.end()) {
      verdict.check = Check::Empty;
      verdict.sentence = fmt::format("No zone may serve the {}: none of those listed has memory.", request_text());
      result_.confidence = result_.is_torn ? Confidence::Low : Confidence::High;
      return;
    }
    const ZoneFacts& zone = *found;
    verdict.check = zone.check;
    verdict.zone = zone.label();
    const std::string where = is_node_list(report_.mems_allowed)
                                  ? fmt::format(" on the nodes that its cpuset allows ({})", *report_.mems_allowed)
                                  : std::string{};
    if (any_above)
      verdict.sentence = fmt::format(
          "No zone may serve the {}{}: it reaches up to {}, and only {} is there with {} free "
          "pages that it may not use.",
          request_text(), where, zone_type_name(request.highest_zone), zone.label(), zone.free.value_or(0));
    else
      verdict.sentence = fmt::format("No zone may serve the {}: nodemask or cpuset forbids every node that is listed.",
                                     request_text());
    result_.confidence = result_.is_torn && report_.zones.empty() ? Confidence::Low : Confidence::High;
    find_remedies(result_, kernel_);
  }

  [[nodiscard]] std::string others_text(const ZoneFacts& deciding) const {
    std::string text;
    unsigned n = 0;
    for (const ZoneFacts& zone : result_.zones) {
      if (!zone.is_eligible || &zone == &deciding)
        continue;
      if (++n > 3)
        return " Every other zone that it may use refused as well.";
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", zone.label(), name_of(zone.check));
    }
    return text.empty() ? std::string{} : fmt::format(" Refused as well: {}.", text);
  }

  [[nodiscard]] std::string sentence(const ZoneFacts& zone) const {
    const RequestFacts& request = *result_.request;
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
        if (request.no_watermarks && !plan_.tests_high)
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
    if (result_.kind == ReportKind::AllocationStall)
      text = "Slow, not failed. " + text;
    if (zone.attempts.size() > 1 && zone.attempts.front().check == Check::Passes)
      text += " In the printed state it passes the min mark, which was tried before.";
    else if (zone.attempts.size() > 1 && zone.attempts.front().check != zone.check)
      text += fmt::format(" At the min mark, tried before: {}.", name_of(zone.attempts.front().check));
    if (is_oom() && !report_.victim.empty())
      text += fmt::format(" {} was killed for it.", report_.victim);
    return text + others_text(zone);
  }

  [[nodiscard]] std::string compaction_clause(const ZoneFacts& zone) const {
    const RequestFacts& request = *result_.request;
    if (!request.may_reclaim)
      return ", and this caller cannot wait for compaction";
    if (!request.may_compact)
      return kernel_.compaction_needs_fs ? ", and its mask forbids compaction (no __GFP_IO and __GFP_FS)"
                                         : ", and its mask forbids compaction (no __GFP_IO)";
    if (zone.is_compaction_suitable)
      return "; compaction was suitable there and did not make one";
    if (zone.compaction == "too little free memory")
      return "; too little was free there for compaction to start";
    return "";
  }

  [[nodiscard]] bool has_fitting_block(const ZoneFacts& zone) const {
    for (std::size_t o = result_.request->order; o < zone.blocks.size(); ++o)
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
    if (kernel_.is_inferred || result_.request->names_contradict_mask)
      at_most(Confidence::Medium);
    if (result_.is_torn)
      at_most(Confidence::Medium);
    if (!zone.reserve_is_known)
      at_most(Confidence::Low);
    // Would other numbers of high-atomic pages, within what the letters allow, have given another answer?
    if (!reaches_highatomic_pages(kernel_.watermark.rule, result_.request->flags) && !attempt.is_loop &&
        attempt.margin > 0 && attempt.margin <= zone.highatomic_most - zone.highatomic_least &&
        zone.check != Check::Fragmented)
      at_most(Confidence::Medium);
    if (zone.check == Check::HighAtomic && !zone.highatomic_is_exact)
      at_most(Confidence::Medium);
    if (zone.check == Check::Boost && zone.boost_is_inferred)
      at_most(Confidence::Medium);
    // The shortcut of 4.7 to 5.8 does not deduct the reserve; by it one page passes, so the refusal was a near thing.
    if (zone.check == Check::HighAtomic && result_.request->order == 0 &&
        kernel_.watermark.fast == WatermarkFastRule::CmaOnly) {
      const std::int64_t margin = attempt.margin + attempt.highatomic_pages;
      result_.notes.push_back(
          fmt::format("before 5.9 a single page is first tried without deducting the high-atomic "
                      "reserve; by that test {} passes by {} pages, so the state when it was refused "
                      "was a little lower than the printed one",
                      zone.label(), margin));
    }
    if (has_several_nodes() && zone.check == Check::Passes)
      result_.notes.emplace_back(
          "with vm.zone_reclaim_mode on, or a request bound to another node, a remote zone that "
          "passes is not used");
    if (zone.check == Check::Passes)
      explain_race(zone, attempt);
    result_.confidence = confidence;
  }

  void explain_race(const ZoneFacts& zone, const Attempt& attempt) {
    const std::int64_t pcp = zone.free_pcp.value_or(0);
    constexpr std::int64_t kUsualMovement = 512;  // what reclaim and per-cpu lists move within milliseconds
    if (attempt.spare() <= std::max(pcp, kUsualMovement))
      result_.notes.push_back(
          fmt::format("a margin of {} pages is within what moves while a report is printed ({} pages "
                      "were on per-cpu lists): consistent with a race",
                      attempt.spare(), pcp));
    else
      result_.notes.push_back(
          fmt::format("a margin of {} pages is more than usually moves while a report is printed: "
                      "something freed a lot at that moment, or the cause lies elsewhere",
                      attempt.spare()));
  }

  void memcg_verdict() {
    result_.verdict.check = Check::None;
    std::string text = "Not the page allocator: a memory cgroup reached its limit";
    if (!report_.memcg_path.empty())
      text += fmt::format(" ({})", report_.memcg_path);
    if (report_.memcg_usage_kb && report_.memcg_limit_kb)
      text += fmt::format(", usage {} kB of {} kB", *report_.memcg_usage_kb, *report_.memcg_limit_kb);
    if (!report_.victim.empty())
      text += fmt::format("; {} (pid {}) was killed", report_.victim, report_.victim_pid.value_or(0));
    result_.verdict.sentence = text + ". No zone refused anything.";
    result_.confidence = Confidence::High;
    result_.remedies.push_back(
        {Certainty::Likely, "raise the cgroup's memory limit, or make its tasks use less", {}, {}});
  }

  void page_fault_verdict() {
    result_.verdict.check = Check::None;
    result_.verdict.sentence =
        "Not a request to the page allocator: the OOM killer was called at the end of a page fault, with an empty "
        "mask, "
        "after something else had failed, often a memory cgroup's charge. The zones have no refusal to show.";
    result_.confidence = Confidence::High;
    result_.remedies.push_back(
        {Certainty::Likely, "look for the memory cgroup of the task and its limit just before this report", {}, {}});
  }

  void snapshot_verdict() {
    result_.verdict.check = Check::None;
    result_.verdict.sentence = report_.headline == Headline::ShowMemory
                                   ? "A snapshot that someone asked for (SysRq): nothing was refused."
                                   : "The OOM killer was called by hand (SysRq, order -1): nothing was refused.";
    result_.confidence = Confidence::High;
  }

  void headless_verdict() {
    result_.verdict.check = Check::CannotTell;
    result_.verdict.sentence =
        "Cannot tell what was refused: the report's first line, with order and mask, is missing; "
        "below is the state of memory that it printed.";
    result_.confidence = Confidence::None;
  }

  void cma_verdict() {
    result_.verdict.check = Check::None;
    const std::string name = report_.cma_name.empty() ? std::string{"a CMA area"} : "CMA area " + report_.cma_name;
    std::string text = fmt::format("Not a free-list request: {} could not hand out {} contiguous pages", name,
                                   report_.cma_pages ? std::to_string(*report_.cma_pages) : std::string{"its"});
    if (report_.cma_error == -16)
      text += ": pages in it are pinned and could not be moved (EBUSY)";
    else if (report_.cma_error == -12)
      text += ": no free run of that length is left in it (ENOMEM)";
    else if (report_.cma_error == -4)
      text += ": the caller was interrupted (EINTR)";
    if (report_.cma_free_pages && report_.cma_total_pages)
      text += fmt::format("; {} of its {} pages are free, in smaller runs", *report_.cma_free_pages,
                          *report_.cma_total_pages);
    result_.verdict.sentence = text + ".";
    result_.confidence = report_.cma_error ? Confidence::High : Confidence::Medium;
    if (report_.cma_error == -16)
      result_.remedies.push_back(
          {Certainty::Likely, "find who pins pages of the area (long-term GUP, page cache of a busy device)", {}, {}});
    else
      result_.remedies.push_back({Certainty::Likely, "a larger area (cma=, or its device-tree size)", {}, {}});
  }

  /// What the words of the message say. Source: mm/vmalloc.c of 5.13 and later, whose messages differ by cause.
  [[nodiscard]] const char* vmalloc_cause() const {
    constexpr std::array<std::pair<std::string_view, const char*>, 4> kCauses{
        {{"exceeds total pages", "A size larger than all memory of the machine"},
         {"failed to map pages", "Memory for the page tables, or a killed task,"},
         {"vm_struct allocation failed", "Kernel address space, or an over-large size,"},
         {"vmap allocation for size", "Kernel address space (vmalloc=), or an over-large size,"}}};
    for (const auto& [words, cause] : kCauses)
      if (report_.vmalloc_message.find(words) != std::string::npos)
        return cause;
    return "Kernel address space, an over-large size or a killed task";
  }

  void vmalloc_verdict() {
    Verdict& verdict = result_.verdict;
    bool any_passes = false;
    for (const ZoneFacts& zone : result_.zones)
      any_passes = any_passes || (zone.is_eligible && zone.check == Check::Passes);
    std::string size;
    if (report_.vmalloc_bytes)
      size = fmt::format(" of {} bytes", *report_.vmalloc_bytes);
    if (report_.vmalloc_got_bytes)
      size += fmt::format(" ({} bytes were got)", *report_.vmalloc_got_bytes);
    const bool pages_failed = report_.vmalloc_message.find("failed to allocate pages") != std::string::npos ||
                              report_.vmalloc_got_bytes.has_value();
    const ZoneFacts* const zone = result_.request ? deciding_zone() : nullptr;
    if (!any_passes && zone != nullptr && zone->check != Check::Passes) {
      verdict.check = zone->check;
      verdict.zone = zone->label();
      if (zone->short_by > 0)
        verdict.short_by = zone->short_by;
      verdict.sentence = fmt::format("vmalloc{} failed, and single pages were short too: ", size) + sentence(*zone);
      result_.confidence = result_.is_torn ? Confidence::Low : Confidence::Medium;
      find_remedies(result_, kernel_);
      return;
    }
    verdict.check = Check::None;
    if (any_passes && !pages_failed) {
      verdict.sentence = fmt::format(
          "Not a shortage of pages: vmalloc{} failed while {} has {} free pages and passes its "
          "watermark. {} is the cause.",
          size, zone->label(), zone->free.value_or(0), vmalloc_cause());
      result_.confidence = Confidence::High;
    } else if (any_passes) {
      verdict.sentence = fmt::format(
          "vmalloc{} failed; {} passes its watermark with {} free pages now, so a killed task, "
          "the limits of address space or a passing shortage is the cause, not a lasting lack "
          "of pages.",
          size, zone->label(), zone->free.value_or(0));
      result_.confidence = Confidence::Medium;
    } else {
      verdict.sentence = fmt::format("vmalloc{} failed; the report does not show whether pages were short.", size);
      result_.confidence = Confidence::Low;
    }
    result_.remedies.push_back(
        {Certainty::Likely, "check the size that the caller asks for, and vmalloc= on 32-bit kernels", {}, {}});
  }

  // ---------------------------------------------------------------- slow path

  void describe_slow_path(const RequestFacts& request) {
    auto& facts = result_.slow_path;
    std::int64_t file = 0;
    std::int64_t anon = 0;
    std::string suitable;
    std::string unsuitable;
    for (const ZoneFacts& zone : result_.zones) {
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
    if (request.may_reclaim && !lists_are_split()) {
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
        compaction = request.may_reclaim ? (kernel_.compaction_needs_fs ? "the mask lacks __GFP_IO or __GFP_FS"
                                                                        : "the mask lacks __GFP_IO")
                                         : "needs a caller that can wait";
      if (!suitable.empty())
        compaction += fmt::format(
            "{}{} in {}", compaction.empty() ? "" : "; ",
            request.may_compact ? "suitable, but it made no block:" : "it would have been suitable", suitable);
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
                                              kernel_.version < 4013 ? "__GFP_REPEAT" : "__GFP_RETRY_MAYFAIL")
                                : "a single pass"});
      std::string killer;
      if (request.may_oom_kill)
        killer = is_oom() ? "called; this is its report" : "would be called before the request fails";
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
      reserves = lowered_text(request);
    else
      reserves = "none";
    facts.push_back({"reserves", request.may_use_reserves, std::move(reserves)});
    if (request.may_not_fail)
      facts.push_back(
          {"must not fail", true, "__GFP_NOFAIL: a report here is a kernel bug or a caller that cannot wait"});
  }

  /// Kernels before 2.6.28 count page cache and anonymous memory as one.
  [[nodiscard]] bool lists_are_split() const {
    return std::any_of(report_.zones.begin(), report_.zones.end(),
                       [](const ZoneText& zone) { return zone.kb[ZoneField::InactiveFile].has_value(); });
  }

  [[nodiscard]] std::string lowered_text(const RequestFacts& request) const {
    constexpr std::int64_t kWhole = 1000;
    const std::int64_t lowered = lowered_mark(kernel_.watermark.rule, kWhole, request.flags);
    if (lowered == kWhole)
      return "the mark is not lowered, but the high-atomic reserve is not deducted";
    const std::int64_t tenth = lowered % 10;
    return fmt::format("min is lowered to {}{} % of itself", lowered / 10,
                       tenth == 0 ? std::string{} : fmt::format(".{}", tenth));
  }

  // ---------------------------------------------------------------- notes

  void add_notes() {
    auto& notes = result_.notes;
    for (const ZoneFacts& zone : result_.zones)
      if (zone.boost_is_inferred)
        notes.push_back(
            fmt::format("min of {} is more than 4 x (low - min), so at least {} pages of it are a boost that "
                        "this kernel does not print",
                        zone.label(), zone.boost.value_or(0)));
    if (result_.request) {
      const RequestFacts& request = *result_.request;
      const bool loops = request.may_loop && request.order <= kCostlyOrder && !request.no_watermarks;
      if (result_.kind == ReportKind::AllocationFailure && loops && request.may_oom_kill)
        notes.emplace_back(
            "a request like this loops or calls the OOM killer rather than fail: a dying task, or "
            "PF_MEMALLOC that the stack does not show, is likely");
      if (request.names_contradict_mask)
        notes.push_back(fmt::format(
            "the mask 0x{:x} and its names contradict each other in every known layout; the names are believed",
            request.raw_mask));
      if (request.no_watermarks)
        notes.push_back(fmt::format("{}: watermarks do not apply, only free blocks count",
                                    request.gfp.has(gfp::kMemalloc)
                                        ? "the mask has __GFP_MEMALLOC"
                                        : "the stack or the task's name shows PF_MEMALLOC"));
      for (const ZoneFacts& zone : result_.zones)
        if (zone.is_eligible && zone.fitting_letters.size() > 1 &&
            zone.fitting_letters.find_first_of("CHI") != std::string::npos && zone.check == Check::Passes)
          notes.push_back(fmt::format("in {} blocks of the size are ({}): the letters do not say how many may be used",
                                      zone.label(), zone.fitting_letters));
    }
    hidden_memory_note();
    total_note();
    kdump_note();
    for (const std::string& note : report_.notes)
      notes.push_back(note);
    if (result_.request && zones_guess_matters())
      notes.emplace_back("several zone layouts fit this report; the usual one was taken");
  }

  /// The guess matters if another layout that fits gives the request another reserve somewhere.
  [[nodiscard]] bool zones_guess_matters() const {
    const RequestFacts& request = *result_.request;
    const auto reserve = [](const ZoneFacts& zone, std::size_t index) {
      return index < zone.lowmem_reserve.size() ? zone.lowmem_reserve[index] : 0;
    };
    for (const std::vector<ZoneType>& types : result_.layout.also_fit) {
      const ZoneLayout other{types};
      const std::size_t index = other.index_of(highest_zone(request.gfp, other)).value_or(0);
      for (const ZoneFacts& zone : result_.zones)
        if (zone.is_eligible && reserve(zone, index) != reserve(zone, request.highest_index))
          return true;
    }
    return false;
  }

  void hidden_memory_note() {
    const auto& global = report_.global_pages[GlobalField::Free];
    if (!global || !kernel_.hides_higher_zones || !result_.request)
      return;
    std::int64_t listed = 0;
    for (const ZoneFacts& zone : result_.zones)
      listed += zone.free.value_or(0);
    constexpr std::int64_t kNoise = 4096;  // the two are read at different instants
    if (*global - listed > kNoise && *global > listed * 2)
      result_.notes.push_back(
          fmt::format("{} of {} free pages are in zones or nodes that are not listed, because this "
                      "request may not use them",
                      *global - listed, *global));
  }

  void total_note() {
    for (std::size_t i = 0; i < report_.zones.size(); ++i) {
      const ZoneText& zone = report_.zones[i];
      if (!zone.blocks_total_kb || zone.blocks_elided || zone.blocks.empty())
        continue;
      std::uint64_t sum = 0;
      for (const OrderBlocks& blocks : zone.blocks)
        sum += blocks.count * blocks.size_kb;
      if (sum != static_cast<std::uint64_t>(std::max<std::int64_t>(0, *zone.blocks_total_kb)))
        result_.notes.push_back(
            fmt::format("the blocks of {} add up to {} kB, not the {} kB printed: the line is damaged", zone.name, sum,
                        *zone.blocks_total_kb));
    }
  }

  void kdump_note() {
    bool is_empty_dma = false;
    std::int64_t managed = 0;
    for (const ZoneFacts& zone : result_.zones) {
      is_empty_dma = is_empty_dma || (zone.name == "DMA" && zone.managed == 0 && zone.min == 0);
      managed += zone.managed.value_or(0);
    }
    constexpr std::int64_t kSmallPages = 131072;  // 512 MiB
    if (is_empty_dma && managed > 0 && managed < kSmallPages) {
      result_.notes.emplace_back("little memory and an empty DMA zone: this looks like a crash-dump (kdump) kernel");
      result_.remedies.push_back({Certainty::Likely, "if this is the kdump kernel, a larger crashkernel=", {}, {}});
    }
  }

  FailureReport report_;
  KernelFacts kernel_;
  TestPlan plan_{};
  Explanation result_{};
};

}  // namespace

const char* name_of(ReportKind kind) {
  switch (kind) {
    case ReportKind::AllocationFailure: return "allocation-failure";
    case ReportKind::AllocationStall: return "allocation-stall";
    case ReportKind::GlobalOom: return "global-oom";
    case ReportKind::MemcgOom: return "memcg-oom";
    case ReportKind::CpusetOom: return "cpuset-oom";
    case ReportKind::MempolicyOom: return "mempolicy-oom";
    case ReportKind::VmallocFailure: return "vmalloc-failure";
    case ReportKind::PageFaultOom: return "page-fault-oom";
    case ReportKind::Snapshot: return "snapshot";
    case ReportKind::CmaFailure: return "cma-failure";
    case ReportKind::Headless: return "headless";
  }
  return "?";
}

const char* name_of(Check check) {
  switch (check) {
    case Check::None: return "none";
    case Check::Empty: return "empty";
    case Check::NotEligible: return "not-eligible";
    case Check::NodeForbidden: return "node-forbidden";
    case Check::LowmemReserve: return "lowmem-reserve";
    case Check::Boost: return "boost";
    case Check::HighAtomic: return "highatomic";
    case Check::Cma: return "cma";
    case Check::LowMemory: return "low-memory";
    case Check::HighOrderWatermark: return "high-order-watermark";
    case Check::Fragmented: return "fragmented";
    case Check::OnlyCma: return "only-cma";
    case Check::OnlyHighAtomic: return "only-highatomic";
    case Check::OnlyIsolated: return "only-isolated";
    case Check::Exhausted: return "exhausted";
    case Check::Passes: return "passes";
    case Check::CannotTell: return "cannot-tell";
  }
  return "?";
}

const char* name_of(Confidence confidence) {
  switch (confidence) {
    case Confidence::High: return "high";
    case Confidence::Medium: return "medium";
    case Confidence::Low: return "low";
    case Confidence::None: return "none";
  }
  return "?";
}

const char* remedies_heading(const Explanation& e) {
  const bool was_refused = e.request && e.verdict.check != Check::None;
  return was_refused ? "What would have let it through, cheapest first" : "What to look at";
}

Explanation explain(FailureReport report) {
  return Analyzer{std::move(report)}.run();
}

}  // namespace mmbox::lab::explain
