#include "mmbox/cli/predict_command.h"

#include <fmt/format.h>

#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/population/outlook.h"

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-predict/1";
/// What a write to nr_hugepages asks with.
constexpr Gfp kHugePageGfp = gfp::kHighUserMovable | gfp::kComp | gfp::kNoWarn | gfp::kRetryMayfail;

struct Options {
  std::string snapshot{};
  unsigned order = kPageblockOrder;
  std::string gfp{};
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  bool json = false;
};

int run(const Options& options, bool counted, const Streams& streams) {
  const LogMoment where = log_moment(options.snapshot);
  Gfp gfp = kHugePageGfp;
  if (!options.gfp.empty()) {
    const auto mask = lab::gfp_layout_default().parse(options.gfp);
    if (!mask)
      return refuse(streams, "predict",
                    {.file = "--gfp " + options.gfp,
                     .message = "no such request flags",
                     .remedy = "write names joined with | (GFP_KERNEL|__GFP_COMP) or a number (0x40cc0)"});
    gfp = lab::gfp_layout_default().decode(*mask);
  }
  const auto moment = lab::load_moment(where.file, where.label);
  if (!moment)
    return refuse(streams, "predict", moment.error());
  const auto outlook = lab::request_outlook(*moment, Order{options.order}, gfp, options.most);
  if (!outlook)
    return refuse(streams, "predict", outlook.error());
  if (options.json) {
    nlohmann::ordered_json obstacles = nlohmann::ordered_json::object();
    for (const auto& [use, pages] : outlook->obstacles)
      obstacles[std::string{lab::name_of(use)}] = pages;
    const nlohmann::ordered_json json{{"schema", kSchema},
                                      {"snapshot", moment->snapshot.label},
                                      {"order", options.order},
                                      {"now", outlook->now},
                                      {"after_compaction", outlook->after_compaction},
                                      {"after_reclaim", outlook->after_reclaim},
                                      {"moved_pages", outlook->moved_pages},
                                      {"evicted_pages", outlook->evicted_pages},
                                      {"blocked_runs", outlook->blocked_runs},
                                      {"obstacle_pages", obstacles}};
    streams.out << json.dump(2) << '\n';
  } else {
    streams.out << fmt::format("snapshot {}: blocks of order {} that can be had\n", moment->snapshot.label,
                               options.order)
                << fmt::format("  {:>6}  now, from the free lists\n", outlook->now)
                << fmt::format("  {:>6}  with compaction\n", outlook->after_compaction)
                << fmt::format("  {:>6}  with compaction and reclaim ({} pages moved, {} evicted)\n",
                               outlook->after_reclaim, outlook->moved_pages, outlook->evicted_pages)
                << fmt::format("{} runs of that size hold pages that stay:\n", outlook->blocked_runs);
    for (const auto& [use, pages] : outlook->obstacles)
      streams.out << fmt::format("  {:>8} pages {}\n", pages, lab::name_of(use));
  }
  const bool enough = !counted || outlook->after_reclaim >= options.most;
  return finish(streams, "predict", enough ? kDone : kFlagged);
}

}  // namespace

CLI::App* add_predict_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("predict", "How many blocks a recorded machine could give, and what stands in the way");
  const auto options = std::make_shared<Options>();
  command->add_option("SNAPSHOT", options->snapshot, "FILE[:LABEL]: a snapshot with the page dump of the same moment")
      ->required();
  auto* const huge = command->add_option("--hugepages", options->most, "ask for N huge pages, as nr_hugepages does");
  auto* const order = command->add_option("--order", options->order, "log2 of the pages (default: 9)");
  order->check(CLI::Range(0U, kMaxPageOrder));
  order->excludes(huge);
  command->add_option("--gfp", options->gfp, "request flags (default: those of nr_hugepages)");
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox predict holes.log.zst:holes-before
  mmbox predict holes.log.zst:holes-before --hugepages 64
  mmbox predict holes.log.zst:holes-before --order 4 --gfp GFP_KERNEL

The order of pages on the LRU lists is not in a page dump: pages are evicted from the lowest frame upward. Slab caches
do not shrink.

Exit code: 0 all that was asked for could be had, or no number was asked for; 1 less; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, huge->count() != 0, streams); });
  return command;
}

}  // namespace mmbox::cli
