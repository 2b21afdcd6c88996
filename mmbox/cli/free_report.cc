#include "mmbox/cli/free_report.h"

#include <fmt/format.h>

#include <ostream>
#include <string>

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-free-replay/1";

std::string type_name(unsigned type) {
  return std::string{migratetype_name(static_cast<Migratetype>(type))};
}

/// Free blocks by order, one line for each type that either side has.
void write_blocks(const lab::FreeReplayReport& report, std::ostream& out) {
  out << fmt::format("  free blocks at the end{:>11}", "order");
  for (unsigned order = 0; order < kOrders; ++order)
    out << fmt::format(" {:>6}", order);
  out << '\n';
  for (unsigned type = 0; type < kMigratetypes; ++type) {
    const auto has = [&](const lab::FreeOutcome& outcome) {
      return std::ranges::any_of(outcome.free_blocks, [&](const auto& blocks) { return blocks[type] != 0; });
    };
    if (!has(report.left) && !has(report.right))
      continue;
    for (const lab::FreeOutcome* outcome : {&report.left, &report.right}) {
      out << fmt::format("    {:<14} {:>18}", outcome == &report.left ? type_name(type) : "", outcome->generation);
      for (unsigned order = 0; order < kOrders; ++order)
        out << fmt::format(" {:>6}", outcome->free_blocks[order][type]);
      out << '\n';
    }
  }
}

nlohmann::ordered_json to_json(const lab::FreeOutcome& outcome) {
  nlohmann::ordered_json json{{"generation", outcome.generation},
                              {"requests", outcome.requests},
                              {"refusals", outcome.refusals},
                              {"refusals_by_order", nlohmann::ordered_json::object()},
                              {"fallbacks", outcome.fallbacks},
                              {"claims", outcome.claims},
                              {"free_pages", outcome.free_pages},
                              {"pcp_pages", outcome.pcp_pages},
                              {"highatomic_pages", outcome.highatomic_pages},
                              {"mixed_pageblocks", outcome.mixed_pageblocks},
                              {"mixed_pageblocks_most", outcome.mixed_pageblocks_most}};
  for (const auto& [order, count] : outcome.refusals_by_order)
    json["refusals_by_order"][std::to_string(order)] = count;
  for (unsigned type = 0; type < kMigratetypes; ++type) {
    json["pageblocks"][type_name(type)] = outcome.pageblocks[type];
    for (unsigned order = 0; order < kOrders; ++order)
      json["free_blocks"][type_name(type)].push_back(outcome.free_blocks[order][type]);
  }
  return json;
}

}  // namespace

void write_text(const lab::FreeReplayReport& report, std::ostream& out) {
  const lab::FreeOutcome& left = report.left;
  const lab::FreeOutcome& right = report.right;
  out << fmt::format("{}{}: the same demand under {} and {}\n", report.source,
                     report.run.empty() ? "" : ", run " + report.run, left.generation, right.generation);
  if (const auto& first = report.first_difference) {
    out << fmt::format("  first difference: {}\n    {}: {} gives {}, {} gives {}\n", first->where, first->request,
                       left.generation, first->expected, right.generation, first->actual);
    for (const std::string& line : first->context)
      out << "    | " << line << '\n';
  } else {
    out << "  no difference: both gave the same frame for each request\n";
  }
  out << fmt::format("  requests answered alike {} of {}\n\n", report.same_frames, left.requests);

  out << fmt::format("  {:<44} {:>14} {:>14}\n", "", left.generation, right.generation);
  const auto row = [&](std::string_view what, auto a, auto b) {
    out << fmt::format("  {:<44} {:>14} {:>14}\n", what, a, b);
  };
  row("requests", left.requests, right.requests);
  row("refused", left.refusals, right.refusals);
  for (unsigned order = 0; order < kOrders; ++order) {
    const auto count = [&](const lab::FreeOutcome& outcome) {
      const auto found = outcome.refusals_by_order.find(order);
      return found == outcome.refusals_by_order.end() ? 0 : found->second;
    };
    if (count(left) + count(right) != 0)
      row(fmt::format("  of order {}", order), count(left), count(right));
  }
  row("served from another type's blocks", left.fallbacks, right.fallbacks);
  row("  with the pageblock taken over", left.claims, right.claims);
  row("pages free at the end", left.free_pages, right.free_pages);
  row("pages on per-cpu lists at the end", left.pcp_pages, right.pcp_pages);
  row("pages set aside for atomic requests", left.highatomic_pages, right.highatomic_pages);
  row("pageblocks of mixed use at the end", left.mixed_pageblocks, right.mixed_pageblocks);
  row("  at most", left.mixed_pageblocks_most, right.mixed_pageblocks_most);
  for (unsigned type = 0; type < kMigratetypes; ++type)
    if (left.pageblocks[type] + right.pageblocks[type] != 0)
      row(fmt::format("pageblocks of type {} at the end", type_name(type)), left.pageblocks[type],
          right.pageblocks[type]);
  out << '\n';
  write_blocks(report, out);
  for (const std::string& note : report.notes)
    out << "  note: " << note << '\n';
}

nlohmann::ordered_json to_json(const lab::FreeReplayReport& report) {
  nlohmann::ordered_json json{{"schema", kSchema}, {"source", report.source}, {"run", report.run}};
  json["same_frames"] = report.same_frames;
  json["first_difference"] = nullptr;
  if (const auto& first = report.first_difference)
    json["first_difference"] = {{"where", first->where},
                                {"request", first->request},
                                {"left", first->expected},
                                {"right", first->actual},
                                {"steps", first->context}};
  json["left"] = to_json(report.left);
  json["right"] = to_json(report.right);
  json["notes"] = report.notes;
  return json;
}

}  // namespace mmbox::cli
