#include "mmbox/cli/run_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "mmbox/cli/progress.h"
#include "mmbox/cli/shown_machine.h"
#include "mmbox/lab/snapshot/script_log.h"
#include "mmbox/lab/workload/run.h"

namespace mmbox::cli {
namespace {

constexpr const char* kCommand = "run";
constexpr const char* kSchema = "mmbox-run/1";
/// Counters of vmstat that tell how a run went.
constexpr std::array<std::string_view, 18> kTold{"nr_free_pages",
                                                 "pgscan_kswapd",
                                                 "pgsteal_kswapd",
                                                 "pgscan_direct",
                                                 "pgsteal_direct",
                                                 "pswpout",
                                                 "pswpin",
                                                 "slabs_scanned",
                                                 "workingset_refault_file",
                                                 "pgmigrate_success",
                                                 "pgmigrate_fail",
                                                 "compact_stall",
                                                 "compact_fail",
                                                 "compact_success",
                                                 "compact_daemon_wake",
                                                 "allocstall_normal",
                                                 "allocstall_movable",
                                                 "oom_kill"};

struct Options {
  std::string workload{};
  std::vector<std::string> settings{};
  std::optional<std::uint64_t> seed{};
  std::string generation{};
  std::string oom{};
  std::string out{};
  std::string events{};
  std::vector<std::string> systems{};
  bool json = false;
};

std::string time_text(std::uint64_t ns) {
  return fmt::format("{}.{:03} s", ns / 1'000'000'000, ns / 1'000'000 % 1000);
}

std::string_view words_of(lab::Stage stage) {
  switch (stage) {
    case lab::Stage::KswapdWoken: return "kswapd is woken";
    case lab::Stage::KswapdReclaims: return "kswapd reclaims";
    case lab::Stage::DirectReclaim: return "direct reclaim";
    case lab::Stage::DirectCompaction: return "direct compaction";
    case lab::Stage::KcompactdWakes: return "kcompactd works";
    case lab::Stage::SwapOut: return "a page is swapped out";
    case lab::Stage::Refused: return "a request is refused";
    case lab::Stage::OomKill: return "a task is killed";
  }
  return "";
}

std::int64_t counter(const lab::RunOutcome& outcome, const lab::Sample& sample, std::string_view name) {
  const auto found = std::ranges::find(outcome.vmstat, name);
  return found == outcome.vmstat.end() ? 0 : sample.vmstat[static_cast<std::size_t>(found - outcome.vmstat.begin())];
}

void write_text(const lab::RunOutcome& outcome, std::ostream& out) {
  out << fmt::format("seed {}, {} simulated", outcome.seed, time_text(outcome.duration_ns));
  if (outcome.waits > 0)
    out << fmt::format(", of which requests waited {} ticks", outcome.waits);
  out << "\nphases\n";
  for (const lab::PhaseOutcome& phase : outcome.phases)
    out << fmt::format("  {:<16} {:>12} to {:>12}   free {:>9} pages, refused {}, killed {}\n", phase.name,
                       time_text(phase.begin_ns), time_text(phase.end_ns), phase.free_pages, phase.refused,
                       phase.kills);
  out << "what it came to, in order of the first time\n";
  std::vector<lab::Stage> stages;
  for (std::size_t i = 0; i < lab::kStages; ++i)
    if (outcome.stages[i].count > 0)
      stages.push_back(static_cast<lab::Stage>(i));
  const auto of = [&](lab::Stage stage) { return outcome.stages[static_cast<std::size_t>(stage)]; };
  std::ranges::stable_sort(stages, {}, [&](lab::Stage stage) { return of(stage).first_ns; });
  for (const lab::Stage stage : stages)
    out << fmt::format("  {:<22} first at {:>12}, {} times\n", words_of(stage), time_text(of(stage).first_ns),
                       of(stage).count);
  if (stages.empty())
    out << "  nothing: memory was never short\n";
  const lab::DemandCounters& demand = outcome.demand;
  out << fmt::format("asked for: {} movable, {} unmovable, {} reclaimable blocks got, {} freed; refused",
                     demand.allocated[0], demand.allocated[1], demand.allocated[2], demand.freed);
  bool any = false;
  for (unsigned order = 0; order < kOrders; ++order) {
    if (outcome.refused[order] == 0)
      continue;
    out << fmt::format("{} {} of order {}", any ? "," : "", outcome.refused[order], order);
    any = true;
  }
  out << (any ? "\n" : " none\n")
      << fmt::format(
             "files: {} pages read, {} written, {} not in memory, {} writes held back; tasks: {} touched, {} back from "
             "swap\n",
             demand.reads, demand.writes, demand.file_misses, demand.writes_held_back, demand.touches, demand.swap_ins);
  for (const lab::OomKillRecord& kill : outcome.kills)
    out << fmt::format("killed at {}: {} (pid {}), {} pages and {} in swap\n", time_text(kill.at_ns), kill.task,
                       kill.pid, kill.freed_pages, kill.freed_swap_pages);
  out << "vmstat             at the beginning       in the end\n";
  for (const std::string_view name : kTold) {
    const std::int64_t before = counter(outcome, outcome.before, name);
    const std::int64_t after = counter(outcome, outcome.after, name);
    if (before != 0 || after != 0)
      out << fmt::format("  {:<24} {:>10} {:>16}\n", name, before, after);
  }
  out << fmt::format(
      "free blocks by order, 0 to {}; the part of free memory in blocks that are too small, thousandths\n",
      kMaxPageOrder);
  for (const lab::ZoneSample& zone : outcome.after.zones) {
    out << fmt::format("  Node {}, zone {:>8}", zone.node, zone.zone);
    for (const std::int64_t blocks : zone.free_blocks)
      out << fmt::format(" {:>6}", blocks);
    out << "\n                 unusable";
    for (const std::int64_t index : zone.unusable_index)
      out << fmt::format(" {:>6}", index);
    out << '\n';
  }
  out << fmt::format("digest of the state {:016x}\n", outcome.digest);
}

nlohmann::ordered_json to_json(const lab::RunOutcome& outcome) {
  nlohmann::ordered_json json{{"schema", kSchema},
                              {"seed", outcome.seed},
                              {"duration_ms", outcome.duration_ns / 1'000'000},
                              {"waits", outcome.waits}};
  nlohmann::ordered_json phases = nlohmann::ordered_json::array();
  for (const lab::PhaseOutcome& phase : outcome.phases)
    phases.push_back({{"name", phase.name},
                      {"begin_ms", phase.begin_ns / 1'000'000},
                      {"end_ms", phase.end_ns / 1'000'000},
                      {"free_pages", phase.free_pages},
                      {"refused", phase.refused},
                      {"oom_kills", phase.kills}});
  json["phases"] = phases;
  nlohmann::ordered_json stages = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < lab::kStages; ++i) {
    const lab::Occurrence& occurrence = outcome.stages[i];
    nlohmann::ordered_json& stage = stages[std::string{lab::name_of(static_cast<lab::Stage>(i))}];
    stage["count"] = occurrence.count;
    stage["first_ms"] = occurrence.count == 0 ? nlohmann::ordered_json(nullptr)
                                              : nlohmann::ordered_json(occurrence.first_ns / 1'000'000);
  }
  json["stages"] = stages;
  const lab::DemandCounters& demand = outcome.demand;
  json["demand"] = {{"movable", demand.allocated[0]},
                    {"unmovable", demand.allocated[1]},
                    {"reclaimable", demand.allocated[2]},
                    {"freed", demand.freed},
                    {"refused_by_order", outcome.refused},
                    {"pinned", demand.pinned},
                    {"reads", demand.reads},
                    {"writes", demand.writes},
                    {"file_misses", demand.file_misses},
                    {"writes_held_back", demand.writes_held_back},
                    {"touches", demand.touches},
                    {"swap_ins", demand.swap_ins}};
  nlohmann::ordered_json kills = nlohmann::ordered_json::array();
  for (const lab::OomKillRecord& kill : outcome.kills)
    kills.push_back({{"ms", kill.at_ns / 1'000'000},
                     {"task", kill.task},
                     {"pid", kill.pid},
                     {"pages", kill.freed_pages},
                     {"swap_pages", kill.freed_swap_pages}});
  json["kills"] = kills;
  for (const auto& [name, sample] : {std::pair{"before", &outcome.before}, std::pair{"after", &outcome.after}}) {
    nlohmann::ordered_json& told = json[name];
    for (std::size_t i = 0; i < outcome.vmstat.size(); ++i)
      told["vmstat"][outcome.vmstat[i]] = sample->vmstat[i];
    told["zones"] = nlohmann::ordered_json::array();
    for (const lab::ZoneSample& zone : sample->zones)
      told["zones"].push_back({{"node", zone.node},
                               {"zone", zone.zone},
                               {"free_blocks", zone.free_blocks},
                               {"extfrag_index", zone.extfrag_index},
                               {"unusable_index", zone.unusable_index}});
  }
  json["digest"] = fmt::format("{:016x}", outcome.digest);
  return json;
}

/// The folder of --out with its samples, and the file of reports.
lab::Expected<std::optional<lab::ByteSink>> open_outputs(const std::string& folder, const ShownMachine& machine,
                                                         lab::RunOutputs& outputs) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed)
    return lab::Error{.file = folder,
                      .message = fmt::format("the folder cannot be made: {}", failed.message()),
                      .remedy = "choose a place that can be written to"};
  const std::vector<std::string> names = lab::vmstat_names({machine.image.machine().view(), *machine.format, nullptr});
  auto csv = lab::csv_samples(folder, names);
  if (!csv)
    return csv.error();
  outputs.samples.push_back(std::move(*csv));
  auto database = lab::sqlite_samples(folder + "/run.db", names);
  if (!database)
    return database.error();
  outputs.samples.push_back(std::move(*database));
  auto reports = lab::ByteSink::create(folder + "/reports.txt");
  if (!reports)
    return reports.error();
  return std::optional<lab::ByteSink>{std::move(*reports)};
}

lab::Expected<lab::RunOutcome> run_it(const Options& options, const Streams& streams) {
  auto workload = lab::load_workload(options.workload);
  if (!workload)
    return workload.error();
  if (options.seed)
    workload->seed = *options.seed;
  if (!options.oom.empty())
    workload->oom = options.oom == "kill" ? lab::OomDecision::Kill : lab::OomDecision::Fail;
  if (!options.generation.empty())
    workload->generation = options.generation;
  std::vector<std::string> settings = workload->settings;
  settings.insert(settings.end(), options.settings.begin(), options.settings.end());
  std::vector<std::string> words;
  if (!workload->machine.empty())
    words.push_back(workload->machine);
  auto machine = asked_machine(words, workload->snapshot, settings, workload->generation);
  if (!machine)
    return machine.error();
  for (const std::string& note : {machine->doubt, machine->rules_note})
    if (!note.empty())
      streams.err << "mmbox run: note: " << note << '\n';
  // What a recording knows of its pages; without it they are in use, and stay so.
  std::optional<lab::PageDump> dump;
  if (!workload->snapshot.empty()) {
    const LogMoment moment = log_moment(workload->snapshot);
    const auto snapshot = lab::load_snapshot(moment.file, moment.label);
    if (!snapshot)
      return snapshot.error();
    auto found = lab::find_page_dump(moment.file, snapshot->label);
    if (!found)
      return found.error();
    dump = std::move(*found);
    if (!dump)
      streams.err << "mmbox run: note: " << workload->snapshot
                  << " has no page dump: pages in use at that moment neither move nor go\n";
  }

  machine->image.prefer_huge_pages();
  lab::RunOutputs outputs;
  std::optional<lab::ByteSink> reports;
  if (!options.out.empty()) {
    auto opened = open_outputs(options.out, *machine, outputs);
    if (!opened)
      return opened.error();
    reports = std::move(*opened);
    outputs.report = [&](const std::string& text) { static_cast<void>(reports->write(text + "\n")); };
  }
  std::optional<lab::EventLog> events;
  if (!options.events.empty()) {
    auto sink = lab::ByteSink::create(options.events);
    if (!sink)
      return sink.error();
    events.emplace(std::move(*sink), machine->image.machine().rules().generation, options.systems);
    outputs.events = &*events;
  }
  ProgressLine line{"mmbox run"};
  outputs.progress = [&](std::uint64_t done, std::uint64_t all) { line.show({done, all}); };
  auto outcome = lab::run_workload(machine->image.machine(), *workload, dump ? &*dump : nullptr, *machine->format,
                                   &machine->host, outputs);
  if (outcome && reports)
    if (auto finished = reports->finish(); !finished)
      return finished.error();
  return outcome;
}

int run(const Options& options, const Streams& streams) {
  const auto outcome = run_it(options, streams);
  if (!outcome)
    return refuse(streams, kCommand, outcome.error());
  if (options.json)
    streams.out << to_json(*outcome).dump(2) << '\n';
  else
    write_text(*outcome, streams.out);
  const bool flagged = outcome->stages[static_cast<std::size_t>(lab::Stage::Refused)].count > 0 ||
                       outcome->stages[static_cast<std::size_t>(lab::Stage::OomKill)].count > 0;
  return finish(streams, kCommand, flagged ? kFlagged : kDone);
}

}  // namespace

CLI::App* add_run_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("run", "Run a workload on a machine over simulated time: reclaim, compaction, OOM and all");
  const auto options = std::make_shared<Options>();
  command->add_option("WORKLOAD", options->workload, "a .toml file: machine, settings, population and phases")
      ->required();
  command->add_option("--set", options->settings, "NAME=VALUE: write a setting after those of the file")->take_all();
  command->add_option("--seed", options->seed, "another seed than the file's");
  command->add_option("--generation", options->generation, "the kernel of a described machine, as linux-6.12");
  command->add_option("--oom", options->oom, "what happens when nothing is left: kill a task, or fail the request")
      ->check(CLI::IsMember({"kill", "fail"}));
  command->add_option("--out", options->out,
                      "FOLDER for vmstat.csv, buddyinfo.csv, extfrag.csv, unusable.csv, run.db and reports.txt");
  auto* const events =
      command->add_option("--events", options->events, "FILE for every event, as lines of the kernel's trace");
  command->add_option("--systems", options->systems, "only these events: kmem,vmscan,compaction,oom")
      ->delimiter(',')
      ->check(CLI::IsMember({"kmem", "vmscan", "compaction", "oom"}))
      ->needs(events);
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox run examples/workloads/exhaustion.toml
  mmbox run examples/workloads/exhaustion.toml --out results --events trace.txt --systems vmscan,compaction,oom
  mmbox run examples/workloads/desktop.toml --seed 7 --set vm.swappiness=10 --json
  sqlite3 results/run.db 'SELECT ms, nr_free_pages, pgscan_direct FROM vmstat'

The same workload and seed give the same output, byte for byte.

Exit code: 0 every request was served; 1 some were refused, or a task was killed; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
