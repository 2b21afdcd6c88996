#include "mmbox/cli/show_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/cli/asked_moment.h"
#include "mmbox/cli/shown_machine.h"
#include "mmbox/lab/snapshot/compare.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::cli {
namespace {

constexpr const char* kCommand = "show";
constexpr const char* kSchema = "mmbox-show/1";

constexpr const char* kExamples = R"(
Examples
  mmbox show run.log.zst                                 which snapshots are in it
  mmbox show run.log.zst:before                          one of them, as /proc/buddyinfo
  mmbox show run.log.zst:before --view zoneinfo --zone Normal
  mmbox show run.log.zst:before --lists --zone 0/DMA32   every free block, in the order of the lists
  mmbox show run.log.zst:before --compare run.log.zst:after
  mmbox show run.log.zst:before --compare other.log:before --facts buddy --json
  mmbox show run.mmbox --from run.log.zst:before --at after --lists

Exit code: 0 done (compared snapshots are equal); 1 they differ, lines of the log were lost, or not all numbers
are known; 2 an input that cannot be used.)";

struct Options {
  AskedMoment moment{};
  std::string compare{};
  std::string facts = "all";
  std::size_t differences_max = 200;
  std::vector<std::string> views{};
  std::string zone{};
  bool lists = false;
  bool json = false;
};

/// A snapshot of a log, and when it was taken.
struct Listed {
  std::string label;
  std::uint64_t line = 0;
  std::optional<std::uint64_t> clock_ns{};
  std::int64_t free_pages = 0;
  std::string run{};  ///< the script that had begun last; empty before the first
};

std::optional<std::uint64_t> number_of(std::optional<std::string_view> text) {
  std::uint64_t value = 0;
  if (!text)
    return std::nullopt;
  const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), value);
  return code == std::errc{} && end == text->data() + text->size() ? std::optional{value} : std::nullopt;
}

Listed listed(const lab::Snapshot& snapshot, std::uint64_t line, std::string run) {
  Listed result{snapshot.label, line, number_of(snapshot.value("clock")), 0, std::move(run)};
  for (const lab::SnapshotZone& zone : snapshot.zones)
    result.free_pages += zone.vm_stat.empty() ? 0 : zone.vm_stat.front();
  return result;
}

int list(const std::string& file, bool as_json, const Streams& streams) {
  lab::Expected<lab::LogReader> reader = lab::LogReader::open(file);
  if (!reader)
    return refuse(streams, kCommand, reader.error());
  std::vector<Listed> snapshots;
  std::string run;
  for (;;) {
    lab::Expected<std::optional<lab::LogItem>> item = reader->next();
    if (!item)
      return refuse(streams, kCommand, log_error(file, item.error()));
    if (!item->has_value())
      break;
    if (const auto* begin = std::get_if<lab::RunBegin>(&**item))
      run = begin->label;
    else if (const auto* snapshot = std::get_if<lab::Snapshot>(&**item))
      snapshots.push_back(listed(*snapshot, reader->line(), run));
  }
  if (snapshots.empty())
    return refuse(streams, kCommand,
                  {.file = file, .message = "no snapshot in this log", .remedy = "give a log with SNAP … ENDSNAP"});

  if (as_json) {
    nlohmann::ordered_json json{{"schema", kSchema}, {"file", file}, {"lost", reader->lost()}};
    for (const Listed& one : snapshots) {
      json["snapshots"].push_back(
          {{"label", one.label}, {"line", one.line}, {"free_pages", one.free_pages}, {"run", one.run}});
      json["snapshots"].back()["clock_ns"] = one.clock_ns ? nlohmann::ordered_json(*one.clock_ns) : nullptr;
    }
    streams.out << json.dump(2) << '\n';
  } else {
    std::size_t width = 5;
    for (const Listed& one : snapshots)
      width = std::max(width, one.label.size());
    streams.out << fmt::format("{:<{}}  {:>8}  {:>13}  {:>10}  {}\n", "LABEL", width, "LINE", "SECONDS", "FREE PAGES",
                               "RUN");
    for (const Listed& one : snapshots) {
      const std::string seconds =
          one.clock_ns ? fmt::format("{}.{:06}", *one.clock_ns / 1'000'000'000, *one.clock_ns / 1000 % 1'000'000) : "-";
      streams.out << fmt::format("{:<{}}  {:>8}  {:>13}  {:>10}  {}\n", one.label, width, one.line, seconds,
                                 one.free_pages, one.run);
    }
  }
  if (reader->lost() != 0)
    streams.err << fmt::format("mmbox show: {}: {} lines were lost when this was recorded\n", file, reader->lost());
  return finish(streams, kCommand, reader->lost() == 0 ? kDone : kFlagged);
}

lab::Expected<lab::CompareOptions> facts_named(const std::string& name) {
  if (name == "all")
    return lab::CompareOptions{};
  if (name == "allocator")
    return lab::CompareOptions::allocator();
  if (name == "buddy")
    return lab::CompareOptions::buddy();
  return lab::Error{.file = "--facts " + name,
                    .message = "not a set of facts",
                    .remedy = "write all, allocator (lists, counters, marks, types) or buddy (free lists and types)"};
}

int compare(const Options& options, const lab::Snapshot& first, const Streams& streams) {
  lab::Expected<lab::CompareOptions> facts = facts_named(options.facts);
  if (!facts)
    return refuse(streams, kCommand, facts.error());
  facts->differences_max = options.differences_max;
  const LogMoment moment = log_moment(options.compare);
  const lab::Expected<lab::Snapshot> second = lab::load_snapshot(moment.file, moment.label);
  if (!second)
    return refuse(streams, kCommand, second.error());
  const lab::Comparison comparison = lab::compare(first, *second, *facts);

  if (options.json) {
    nlohmann::ordered_json json{{"schema", kSchema},
                                {"first", first.label},
                                {"second", second->label},
                                {"equal", comparison.equal()},
                                {"differences_found", comparison.found},
                                {"lists", comparison.lists},
                                {"entries", comparison.entries},
                                {"counters", comparison.counters},
                                {"differences", nlohmann::ordered_json::array()}};
    for (const lab::Difference& difference : comparison.differences)
      json["differences"].push_back({{"where", difference.where},
                                     {"first", difference.expected},
                                     {"second", difference.actual},
                                     {"note", difference.note}});
    streams.out << json.dump(2) << '\n';
  } else {
    for (const lab::Difference& difference : comparison.differences)
      streams.out << fmt::format("{}: {} -> {}{}\n", difference.where, difference.expected, difference.actual,
                                 difference.note.empty() ? "" : fmt::format(" ({})", difference.note));
    if (comparison.found > comparison.differences.size())
      streams.out << fmt::format("… and {} more (--differences {})\n", comparison.found - comparison.differences.size(),
                                 comparison.found);
    streams.out << fmt::format("{} and {}: {}; compared {} lists with {} entries, {} counters\n", first.label,
                               second->label,
                               comparison.equal() ? "equal" : fmt::format("{} differences", comparison.found),
                               comparison.lists, comparison.entries, comparison.counters);
  }
  return finish(streams, kCommand, comparison.equal() ? kDone : kFlagged);
}

/// The state that is asked for; of a trace's moment as a snapshot of it would be.
lab::Expected<lab::Snapshot> asked_snapshot(const AskedMoment& asked, const Shown& what) {
  if (asked.from.empty()) {
    const LogMoment moment = log_moment(asked.state);
    auto snapshot = lab::load_snapshot(moment.file, moment.label);
    return snapshot ? std::move(snapshot) : log_error(moment.file, snapshot.error());
  }
  const LogMoment from = log_moment(asked.from);
  const auto start = lab::load_snapshot(from.file, from.label);
  if (!start)
    return start.error();
  const auto machine = populated(asked);
  if (!machine)
    return machine.error();
  lab::Snapshot snapshot = lab::snapshot_of(machine->image.machine(), *start);
  snapshot.label = machine->label;
  const auto has_others = [](lab::View view) { return view == lab::View::Zoneinfo || view == lab::View::Vmstat; };
  if (std::ranges::any_of(what.views, has_others))
    snapshot.doubts.push_back("counters that the allocator does not keep are those of " + start->label);
  return snapshot;
}

int run(const Options& options, const Streams& streams) {
  const LogMoment moment = options.moment.from.empty() ? log_moment(options.moment.state)
                                                       : LogMoment{.file = options.moment.state, .label = {}};
  const bool asks_for_one = !options.views.empty() || options.lists || !options.zone.empty() ||
                            !options.compare.empty() || !options.moment.from.empty();
  if (moment.label.empty() && !asks_for_one)
    return list(moment.file, options.json, streams);
  const lab::Expected<Shown> what = shown(options.views, options.lists, options.zone);
  if (!what)
    return refuse(streams, kCommand, what.error());
  const lab::Expected<lab::Snapshot> snapshot = asked_snapshot(options.moment, *what);
  if (!snapshot)
    return refuse(streams, kCommand, snapshot.error());
  if (!options.compare.empty())
    return compare(options, *snapshot, streams);

  lab::Expected<ShownMachine> machine = shown_machine(*snapshot);
  if (!machine) {
    lab::Error error = machine.error();
    if (error.file.empty())
      error.file = moment.file;
    return refuse(streams, kCommand, error);
  }
  std::vector<std::string> doubts = snapshot->doubts;
  if (!machine->doubt.empty())
    doubts.push_back(machine->doubt);
  for (const std::string& doubt : doubts)
    streams.err << fmt::format("mmbox show: {}: {}\n", moment.file, doubt);
  if (options.json) {
    nlohmann::ordered_json json{{"schema", kSchema}, {"file", moment.file}, {"snapshot", snapshot->label}};
    json.update(to_json(*machine, *what));
    streams.out << json.dump(2) << '\n';
  } else {
    write_text(*machine, *what, streams.out);
  }
  return finish(streams, kCommand, doubts.empty() ? kDone : kFlagged);
}

}  // namespace

CLI::App* add_show_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("show", "List the snapshots of a log, print one as /proc would, or compare two");
  const auto options = std::make_shared<Options>();
  command
      ->add_option("FILE[:LABEL]", options->moment.state,
                   "a script log, also zstd-compressed; without a label its snapshots are listed; with --from a trace")
      ->required();
  add_moment_options(*command, options->moment);
  command->add_option("--view", options->views, "what to print, several with commas between (default: buddyinfo)")
      ->delimiter(',');
  command->add_flag("--lists", options->lists, "print the free lists and per-cpu lists, head first");
  command->add_option("--zone", options->zone, "only this zone: NODE, ZONE or NODE/ZONE");
  command->add_option("--compare", options->compare, "FILE[:LABEL]: tell what is different there");
  command->add_option("--facts", options->facts, "what is compared: all, allocator or buddy")->capture_default_str();
  command->add_option("--differences", options->differences_max, "print at most so many")->capture_default_str();
  command->add_flag("--json", options->json, "print JSON");
  command->footer(views_help() + kExamples);
  command->callback([options, &exit_code, streams] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
