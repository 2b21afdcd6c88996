#include "mmbox/lab/explain/explain_result.h"

#include <fmt/format.h>

#include <algorithm>

namespace mmbox::lab::explain {

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

bool is_oom(ReportKind kind) {
  return kind == ReportKind::GlobalOom || kind == ReportKind::CpusetOom || kind == ReportKind::MempolicyOom;
}

bool is_refusal(ReportKind kind) {
  return is_oom(kind) || kind == ReportKind::AllocationFailure || kind == ReportKind::AllocationStall ||
         kind == ReportKind::VmallocFailure;
}

bool has_several_nodes(const Explanation& e) {
  return !e.zones.empty() && std::any_of(e.zones.begin(), e.zones.end(),
                                         [&](const ZoneFacts& zone) { return zone.node != e.zones.front().node; });
}

std::string size_text(std::uint64_t bytes) {
  if (bytes >= 1U << 20 && bytes % (1U << 20) == 0)
    return fmt::format("{} MiB", bytes >> 20);
  return fmt::format("{} KiB", bytes >> 10);
}

}  // namespace mmbox::lab::explain
