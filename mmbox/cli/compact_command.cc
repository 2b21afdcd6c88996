#include "mmbox/cli/compact_command.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "mmbox/cli/asked_moment.h"
#include "mmbox/lab/population/outlook.h"

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-compact/1";

struct Options {
  AskedMoment moment{};
  bool json = false;
};

std::string row(std::string_view label, const lab::BlocksByOrder& blocks) {
  std::string text = fmt::format("  {:<7}", label);
  for (const std::uint64_t count : blocks)
    text += fmt::format(" {:>6}", count);
  return text + '\n';
}

int run(const Options& options, const Streams& streams) {
  const auto machine = populated(options.moment);
  if (!machine)
    return refuse(streams, "compact", machine.error());
  const lab::CompactionOutlook outlook = lab::compaction_outlook(*machine);
  if (options.json) {
    nlohmann::ordered_json zones = nlohmann::ordered_json::array();
    for (const auto& zone : outlook.zones)
      zones.push_back({{"zone", zone.name}, {"free_blocks_before", zone.before}, {"free_blocks_after", zone.after}});
    nlohmann::ordered_json json{{"schema", kSchema},
                                {"snapshot", machine->label},
                                {"zones", zones},
                                {"pgmigrate_success", outlook.moved_pages},
                                {"pgmigrate_fail", outlook.failed_pages},
                                {"compact_migrate_scanned", outlook.migrate_scanned},
                                {"compact_free_scanned", outlook.free_scanned}};
    add_trace(*machine, json);
    streams.out << json.dump(2) << '\n';
  } else {
    streams.out << fmt::format("{}: free blocks by order, 0 to {}\n", machine->name(), kMaxPageOrder);
    for (const auto& zone : outlook.zones)
      streams.out << zone.name << '\n' << row("before", zone.before) << row("after", zone.after);
    streams.out << fmt::format("pages moved {}, not moved {}; frames scanned {} for pages, {} for free ones\n",
                               outlook.moved_pages, outlook.failed_pages, outlook.migrate_scanned,
                               outlook.free_scanned);
    write_lacks(machine->lacks, streams.out);
  }
  return finish(streams, "compact", kDone);
}

}  // namespace

CLI::App* add_compact_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("compact", "Compact all memory of a recorded machine, as a write to compact_memory does");
  const auto options = std::make_shared<Options>();
  command->add_option("STATE", options->moment.state, kStateHelp)->required();
  add_moment_options(*command, options->moment);
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox compact explicit.log.zst:explicit-before
  mmbox compact workload.mmbox --from workload.log.zst --at workload-cachefull

Per-cpu lists are drained afterwards. Whether a page's holders would let it move at that moment is not in a page dump:
pages with more holders than their mappings account for stay. Of a trace, pages are what the flags of their requests say.

Exit code: 0 done; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
