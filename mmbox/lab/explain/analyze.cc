// From the text of a report to a verdict: which zone refused, which check, how sure that is, and what is missing.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"
#include "mmbox/lab/explain/node_list.h"
#include "mmbox/lab/explain/notes.h"
#include "mmbox/lab/explain/request.h"
#include "mmbox/lab/explain/slow_path_facts.h"
#include "mmbox/lab/explain/verdict.h"
#include "mmbox/lab/explain/zone_walk.h"

namespace mmbox::lab::explain {
namespace {

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
  explicit Analyzer(FailureReport report) {
    result_.report = std::move(report);
    kernel_ = kernel_facts(result_.report);
    result_.kind = kind_of(result_.report);
    result_.kernel = kernel_.text;
    result_.kernel_is_inferred = kernel_.is_inferred;
    result_.rules = kernel_.rules;
    result_.page_bytes = page_bytes_of(result_.report);
    result_.layout = zone_layout(result_.report);
  }

  Explanation run() {
    read_zones();
    find_missing();
    if (is_refusal(result_.kind))
      walk();
    find_verdict(result_, kernel_);
    add_notes(result_, kernel_);
    return std::move(result_);
  }

 private:
  void read_zones() {
    for (const ZoneText& zone : result_.report.zones)
      result_.zones.push_back(zone_facts(zone, result_.report, kernel_, result_.layout, result_.page_bytes));
    // The order of the walk: nodes as printed (which one was preferred is not), in each the highest zone first.
    std::stable_sort(result_.zones.begin(), result_.zones.end(), [](const ZoneFacts& a, const ZoneFacts& b) {
      if (a.node != b.node)
        return a.node < b.node;
      return a.index.value_or(0) > b.index.value_or(0);
    });
  }

  void find_missing() {
    auto& missing = result_.missing;
    const bool wants_request = result_.kind != ReportKind::Snapshot && result_.kind != ReportKind::MemcgOom &&
                               result_.kind != ReportKind::CmaFailure;
    const bool wants_zones = result_.kind != ReportKind::MemcgOom && result_.kind != ReportKind::CmaFailure &&
                             result_.report.headline != Headline::OomKill;
    const auto lacks = [&](std::string text) {
      missing.push_back(std::move(text));
      result_.is_torn = true;
    };
    if (result_.report.headline == Headline::None)
      lacks("the first line (order and mask of the request)");
    else if (wants_request && result_.report.headline == Headline::OomKill)
      lacks("the report of the OOM killer: only its last line is here");
    else if (wants_request && !result_.report.order)
      lacks("order of the request");
    if (wants_request && result_.report.headline != Headline::None && result_.report.headline != Headline::OomKill &&
        !result_.report.gfp_mask)
      lacks("mask of the request");
    if (result_.report.release.empty() && wants_zones)
      missing.emplace_back("kernel release");
    if (!wants_zones)
      return;
    if (result_.report.zones.empty()) {
      lacks(result_.report.has_mem_info ? "the zone lines" : "the memory state (Mem-Info)");
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
    if (!result_.report.has_mem_info || !result_.report.global_pages[GlobalField::Free])
      lacks("the global numbers after Mem-Info");
    if (has_several_nodes(result_))
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
    if (is_node_list(result_.report.nodemask) && !list_has(*result_.report.nodemask, *zone.node))
      return true;
    const bool obeys_cpuset = is_oom(result_.kind) || (request.flags.has(alloc_flag::kCpuset) &&
                                                       !request.no_watermarks && !request.context.is_interrupt);
    return obeys_cpuset && is_node_list(result_.report.mems_allowed) &&
           !list_has(*result_.report.mems_allowed, *zone.node);
  }

  void walk() {
    result_.request = request_facts(result_.report, kernel_, result_.layout, result_.page_bytes);
    if (!result_.request)
      return;
    const RequestFacts& request = *result_.request;
    const TestPlan plan{.tests_min = true, .tests_high = is_oom(result_.kind)};
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
      walk_zone(zone, request, kernel_, plan);
      if (!zone.reserve_is_known && zone.check == Check::Passes)
        zone.check = Check::CannotTell;  // its reserve might refuse
    }
    std::stable_partition(result_.zones.begin(), result_.zones.end(), [](const ZoneFacts& z) { return z.is_eligible; });
    describe_slow_path(result_, kernel_);
  }

  KernelFacts kernel_;
  Explanation result_{};
};

}  // namespace

Explanation explain(FailureReport report) {
  return Analyzer{std::move(report)}.run();
}

}  // namespace mmbox::lab::explain
