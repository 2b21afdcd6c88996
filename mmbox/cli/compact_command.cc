#include "mmbox/cli/compact_command.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "mmbox/lab/population/outlook.h"

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-compact/1";

struct Options {
  std::string snapshot{};
  bool json = false;
};

std::string row(std::string_view label, const lab::BlocksByOrder& blocks) {
  std::string text = fmt::format("  {:<7}", label);
  for (const std::uint64_t count : blocks)
    text += fmt::format(" {:>6}", count);
  return text + '\n';
}

int run(const Options& options, const Streams& streams) {
  const LogMoment where = log_moment(options.snapshot);
  const auto moment = lab::load_moment(where.file, where.label);
  if (!moment)
    return refuse(streams, "compact", moment.error());
  const auto outlook = lab::compaction_outlook(*moment);
  if (!outlook)
    return refuse(streams, "compact", outlook.error());
  if (options.json) {
    nlohmann::ordered_json zones = nlohmann::ordered_json::array();
    for (const auto& zone : outlook->zones)
      zones.push_back({{"zone", zone.name}, {"free_blocks_before", zone.before}, {"free_blocks_after", zone.after}});
    const nlohmann::ordered_json json{{"schema", kSchema},
                                      {"snapshot", moment->snapshot.label},
                                      {"zones", zones},
                                      {"pgmigrate_success", outlook->moved_pages},
                                      {"pgmigrate_fail", outlook->failed_pages},
                                      {"compact_migrate_scanned", outlook->migrate_scanned},
                                      {"compact_free_scanned", outlook->free_scanned}};
    streams.out << json.dump(2) << '\n';
  } else {
    streams.out << fmt::format("snapshot {}: free blocks by order, 0 to {}\n", moment->snapshot.label, kMaxPageOrder);
    for (const auto& zone : outlook->zones)
      streams.out << zone.name << '\n' << row("before", zone.before) << row("after", zone.after);
    streams.out << fmt::format("pages moved {}, not moved {}; frames scanned {} for pages, {} for free ones\n",
                               outlook->moved_pages, outlook->failed_pages, outlook->migrate_scanned,
                               outlook->free_scanned);
  }
  return finish(streams, "compact", kDone);
}

}  // namespace

CLI::App* add_compact_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("compact", "Compact all memory of a recorded machine, as a write to compact_memory does");
  const auto options = std::make_shared<Options>();
  command->add_option("SNAPSHOT", options->snapshot, "FILE[:LABEL]: a snapshot with the page dump of the same moment")
      ->required();
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox compact explicit.log.zst:explicit-before

Per-cpu lists are drained afterwards. Whether a page's holders would let it move at that moment is not in a page dump:
pages with more holders than their mappings account for stay.

Exit code: 0 done; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
