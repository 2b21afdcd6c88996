#include "mmbox/lab/explain/check_against.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "mmbox/lab/explain/kernel_facts.h"
#include "mmbox/lab/explain/zone_walk.h"
#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/image/image.h"

namespace mmbox::lab::explain {
namespace {

/// An exact zone in the form that a printed one is read into; every number is known.
ZoneFacts zone_facts_of(const SnapshotZone& state, const KernelFacts& kernel) {
  constexpr std::string_view kLetters = "UMEHCI";
  ZoneFacts zone{};
  zone.node = static_cast<std::uint32_t>(state.node.raw());
  zone.name = zone_type_name(state.type);
  zone.index = static_cast<unsigned>(state.index.raw());
  const auto pages = [](PageCount n) { return static_cast<std::int64_t>(n.raw()); };
  zone.free = state.vm_stat.empty() ? 0 : std::max<std::int64_t>(0, state.vm_stat.front());
  zone.boost = pages(state.boost);
  zone.min = pages(state.min) + *zone.boost;
  zone.low = pages(state.low) + *zone.boost;
  zone.high = pages(state.high) + *zone.boost;
  zone.managed = pages(state.managed);
  zone.present = pages(state.present);
  zone.reserved_highatomic = pages(state.reserved_highatomic);
  zone.lowmem_reserve = state.lowmem_reserve;
  std::int64_t free_highatomic = 0;
  std::int64_t free_cma = 0;
  for (unsigned order = 0; order < kOrders; ++order) {
    const SnapshotFreeArea& area = state.free_areas[order];
    OrderBlocks blocks{.count = area.free_blocks, .size_kb = (kPageSize / 1024) << order};
    for (unsigned type = 0; type < kMigratetypes; ++type)
      if (!area.lists[type].empty())
        blocks.letters += kLetters[type];
    free_highatomic += static_cast<std::int64_t>(area.lists[raw(Migratetype::HighAtomic)].size()) << order;
    free_cma += static_cast<std::int64_t>(area.lists[raw(Migratetype::Cma)].size()) << order;
    zone.blocks.push_back(std::move(blocks));
  }
  zone.free_cma = free_cma;
  zone.free_highatomic = free_highatomic;
  const bool deducts_free = kernel.highatomic == HighAtomicPrint::Free || kernel.highatomic == HighAtomicPrint::Bounded;
  const bool has_reserve = kernel.highatomic != HighAtomicPrint::None;
  zone.highatomic_least = !has_reserve ? 0 : deducts_free ? free_highatomic : *zone.reserved_highatomic;
  zone.highatomic_most = zone.highatomic_least;
  return zone;
}

std::optional<std::int64_t> margin_of(const ZoneFacts& zone) {
  return zone.attempts.empty() ? std::nullopt : std::optional{zone.attempts.back().margin};
}

/// Each zone by its counters: what the report's arithmetic makes of the exact numbers.
std::vector<ZoneAgreement> zones_by_counters(const Explanation& explanation, const Snapshot& snapshot) {
  const KernelFacts kernel = kernel_facts(explanation.report);
  const RequestFacts& request = *explanation.request;
  const bool is_oom = explanation.kind == ReportKind::GlobalOom || explanation.kind == ReportKind::CpusetOom ||
                      explanation.kind == ReportKind::MempolicyOom;
  const TestPlan plan{.tests_min = true, .tests_high = is_oom};
  std::vector<ZoneAgreement> zones;
  for (const SnapshotZone& state : snapshot.zones) {
    ZoneFacts zone = zone_facts_of(state, kernel);
    const auto printed = std::find_if(explanation.zones.begin(), explanation.zones.end(), [&](const ZoneFacts& z) {
      return z.name == zone.name && z.node.value_or(0) == zone.node.value_or(0);
    });
    ZoneAgreement agreement{};
    agreement.zone = zone.label();
    agreement.state_free = zone.free;
    if (zone.managed == 0) {
      zone.check = Check::Empty;
    } else if (*zone.index > request.highest_index) {
      zone.check = Check::NotEligible;
    } else if (printed != explanation.zones.end() && printed->check == Check::NodeForbidden) {
      zone.check = Check::NodeForbidden;
    } else {
      walk_zone(zone, request, kernel, plan);
      agreement.state_margin = margin_of(zone);
    }
    agreement.from_state = zone.check;
    if (printed != explanation.zones.end()) {
      agreement.from_report = printed->check;
      agreement.report_margin = margin_of(*printed);
      agreement.report_free = printed->free;
    } else {
      // Kernels since 6.1 leave out what the request may not use.
      agreement.from_report = *zone.index > request.highest_index ? Check::NotEligible : Check::CannotTell;
    }
    zones.push_back(std::move(agreement));
  }
  return zones;
}

/// Nodes that the report says the request could not use are left out; of others nothing is known.
std::optional<NodeMask> allowed_nodes(const Explanation& explanation) {
  std::uint64_t forbidden = 0;
  for (const ZoneFacts& zone : explanation.zones) {
    if (zone.check == Check::NodeForbidden && zone.node && *zone.node < kMaxNodes)
      forbidden |= std::uint64_t{1} << *zone.node;
  }
  return forbidden == 0 ? std::nullopt : std::optional{NodeMask{~forbidden}};
}

AllocResult ask_engine(Machine& machine, const Explanation& explanation) {
  const RequestFacts& facts = *explanation.request;
  const Task task{.in_interrupt = facts.context.is_interrupt,
                  .serving_softirq = facts.context.is_softirq,
                  .memalloc = facts.context.has_pf_memalloc,
                  .exiting = facts.context.is_dying};
  const auto cpu = static_cast<std::size_t>(std::max(0, explanation.report.cpu.value_or(0)));
  const bool knows_cpu = cpu < machine.view().cpu_nodes.size();
  return machine.alloc({.gfp = facts.gfp,
                        .order = Order{facts.order},
                        .cpu = CpuId{knows_cpu ? cpu : 0},
                        .nodemask = allowed_nodes(explanation),
                        .task = &task});
}

}  // namespace

RefusalAnswer check_against(const Explanation& explanation, const Snapshot& snapshot) {
  RefusalAnswer answer{};
  if (!explanation.request) {
    answer.reason = "There is no request to ask for.";
    return answer;
  }
  answer.zones = zones_by_counters(explanation, snapshot);
  for (const ZoneAgreement& zone : answer.zones) {
    if (zone.from_state == Check::Passes)
      answer.counters_pass_in += (answer.counters_pass_in.empty() ? "" : ", ") + zone.zone;
  }
  const Generation& generation = *generation_of_recording(snapshot.release()).generation;
  answer.engine = generation.name;
  Expected<Image> image = image_of(snapshot, generation);
  if (!image) {
    answer.reason = fmt::format("The engine cannot hold this state: {}.", image.error().text());
    return answer;
  }
  const AllocResult result = ask_engine(image->machine(), explanation);
  answer.is_known = true;
  answer.refuses = !result;
  if (result) {
    answer.served = *result;
    answer.reason =
        fmt::format("The engine ({}) serves this request with the block at pfn {:#x}.", answer.engine, result->raw());
  } else {
    answer.reason =
        fmt::format("The engine ({}) refuses this request: {}.", answer.engine, reason_text(result.error()));
  }
  if (answer.refuses != answer.counters_pass_in.empty())
    answer.reason += answer.refuses ? fmt::format(" By their counters {} would serve it.", answer.counters_pass_in)
                                    : " By their counters no zone would.";
  return answer;
}

std::optional<std::uint64_t> distance(const Explanation& explanation, const Snapshot& snapshot) {
  std::uint64_t sum = 0;
  bool any = false;
  for (const SnapshotZone& state : snapshot.zones) {
    for (const ZoneFacts& zone : explanation.zones) {
      if (zone.name != zone_type_name(state.type) || zone.node.value_or(0) != state.node.raw() || !zone.free ||
          state.vm_stat.empty())
        continue;
      any = true;
      const std::int64_t difference = *zone.free - state.vm_stat.front();
      sum += static_cast<std::uint64_t>(difference < 0 ? -difference : difference);
    }
  }
  return any ? std::optional{sum} : std::nullopt;
}

std::string to_text(const RefusalAnswer& answer) {
  std::string text = fmt::format("\n  Against the exact state: {}\n", answer.reason);
  if (answer.zones.empty())
    return text;
  text += fmt::format("  {:<18}{:>12}{:>12}  {:<22}{:<22}\n", "zone", "free then", "printed", "exact state", "report");
  for (const ZoneAgreement& zone : answer.zones) {
    const auto cell = [](const std::optional<std::int64_t>& n) { return n ? std::to_string(*n) : std::string{"-"}; };
    text += fmt::format("  {:<18}{:>12}{:>12}  {:<22}{}{}\n", zone.zone, cell(zone.state_free), cell(zone.report_free),
                        name_of(zone.from_state), name_of(zone.from_report),
                        zone.from_state == zone.from_report ? "" : "  (differs)");
  }
  return text;
}

std::string to_json(const RefusalAnswer& answer) {
  using Json = nlohmann::ordered_json;
  const auto number = [](const std::optional<std::int64_t>& n) { return n ? Json(*n) : Json(nullptr); };
  Json zones = Json::array();
  for (const ZoneAgreement& zone : answer.zones)
    zones.push_back({{"zone", zone.zone},
                     {"report", name_of(zone.from_report)},
                     {"state", name_of(zone.from_state)},
                     {"report_margin_pages", number(zone.report_margin)},
                     {"state_margin_pages", number(zone.state_margin)},
                     {"report_free_pages", number(zone.report_free)},
                     {"state_free_pages", number(zone.state_free)}});
  return Json{{"known", answer.is_known}, {"refuses", answer.refuses},
              {"engine", answer.engine},  {"served_pfn", answer.served ? Json(answer.served->raw()) : Json(nullptr)},
              {"reason", answer.reason},  {"zones", zones}}
      .dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mmbox::lab::explain
