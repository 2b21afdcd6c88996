#include "mmbox/cli/replay_command.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "mmbox/cli/chosen_generation.h"
#include "mmbox/cli/free_report.h"
#include "mmbox/cli/progress.h"
#include "mmbox/lab/replay/buddy.h"
#include "mmbox/lab/replay/free_replay.h"
#include "mmbox/lab/replay/scripted.h"
#include "mmbox/lab/replay/top.h"

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-replay/1";
constexpr std::size_t kDifferencesShown = 5;

struct Options {
  std::string input{};
  std::string from{};
  std::string run{};
  std::string generation{};
  bool free = false;
  bool json = false;
};

nlohmann::ordered_json to_json(const lab::Tally& tally) {
  return {{"checked", tally.checked}, {"agreed", tally.agreed}, {"agreement", tally.agreement()}};
}

template <class Key>
nlohmann::ordered_json to_json(const std::map<Key, lab::Tally>& tallies) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [key, tally] : tallies)
    json[fmt::format("{}", key)] = to_json(tally);
  return json;
}

nlohmann::ordered_json to_json(const lab::ReplayReport& report) {
  nlohmann::ordered_json json{{"schema", kSchema},
                              {"strength", report.strength},
                              {"source", report.source},
                              {"events", report.events},
                              {"checked", report.decisions.checked},
                              {"agreed", report.decisions.agreed},
                              {"agreement", report.decisions.agreement()},
                              {"by_order", to_json(report.by_order())},
                              {"by_type", to_json(report.by_type())},
                              {"by_cpu", to_json(report.by_cpu())}};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const lab::ComparedSnapshot& snapshot : report.snapshots) {
    nlohmann::ordered_json differences = nlohmann::ordered_json::array();
    for (const lab::Difference& difference : snapshot.comparison.differences)
      differences.push_back(difference.text());
    list.push_back({{"label", snapshot.label},
                    {"equal", snapshot.comparison.equal()},
                    {"lists", snapshot.comparison.lists},
                    {"entries", snapshot.comparison.entries},
                    {"counters", snapshot.comparison.counters},
                    {"differences", std::move(differences)}});
  }
  json["snapshots"] = {
      {"compared", report.snapshots.size()}, {"equal", report.snapshots_equal()}, {"list", std::move(list)}};
  json["first_divergence"] = nullptr;
  if (const auto& first = report.first_divergence)
    json["first_divergence"] = {{"where", first->where},
                                {"request", first->request},
                                {"expected", first->expected},
                                {"actual", first->actual},
                                {"context", first->context}};
  json["divergence_kinds"] = report.divergence_kinds;
  json["taken_from_recording"] = report.taken_from_recording;
  json["notes"] = report.notes;
  return json;
}

/// "99.9995 %", never rounded up to 100.
std::string percent(const lab::Tally& tally) {
  if (tally.checked == tally.agreed)
    return "100 %";
  return fmt::format("{:.4f} %", std::min(tally.agreement() * 100, 99.9999));
}

void write_text(const lab::ReplayReport& report, std::ostream& out) {
  out << fmt::format("{}: {} replay, {} events\n", report.source, report.strength, report.events);
  out << fmt::format("  decisions compared {}, agreed {} ({})\n", report.decisions.checked, report.decisions.agreed,
                     percent(report.decisions));
  const auto table = [&](const char* title, const auto& tallies) {
    if (tallies.size() < 2)
      return;
    out << "  by " << title << ":";
    for (const auto& [key, tally] : tallies)
      out << fmt::format("  {} {}/{}", key, tally.agreed, tally.checked);
    out << '\n';
  };
  table("order", report.by_order());
  table("type", report.by_type());
  table("cpu", report.by_cpu());
  out << fmt::format("  snapshots compared {}, equal {}\n", report.snapshots.size(), report.snapshots_equal());
  for (const lab::ComparedSnapshot& snapshot : report.snapshots) {
    out << fmt::format(
        "    {:<24} {} ({} lists, {} entries, {} counters)\n", snapshot.label,
        snapshot.comparison.equal() ? std::string{"equal"} : fmt::format("{} differences", snapshot.comparison.found),
        snapshot.comparison.lists, snapshot.comparison.entries, snapshot.comparison.counters);
    for (std::size_t i = 0; i < std::min(kDifferencesShown, snapshot.comparison.differences.size()); ++i)
      out << "      " << snapshot.comparison.differences[i].text() << '\n';
  }
  const auto counts = [&](const char* title, const std::map<std::string, std::uint64_t>& kinds) {
    if (kinds.empty())
      return;
    out << "  " << title << ":\n";
    for (const auto& [kind, count] : kinds)
      out << fmt::format("    {:>8}  {}\n", count, kind);
  };
  counts("taken from the recording (it hangs on things outside the allocator)", report.taken_from_recording);
  counts("divergences by kind", report.divergence_kinds);
  if (const auto& first = report.first_divergence) {
    out << fmt::format("  first divergence: {}\n    {}: recorded {}, engine {}\n", first->where, first->request,
                       first->expected, first->actual);
    for (const std::string& line : first->context)
      out << "    | " << line << '\n';
  }
  for (const std::string& note : report.notes)
    out << "  note: " << note << '\n';
}

enum class Strength : std::uint8_t { Scripted, Buddy, Top };

/// Why the words make no sense together; nullopt if they do.
std::optional<lab::Error> contradiction(Strength strength, const Options& options) {
  if (!options.free)
    return std::nullopt;
  if (strength == Strength::Buddy)
    return lab::Error{.file = "--free",
                      .message = "at the level of the free lists there are no requests that could be served otherwise",
                      .remedy = "use `mmbox replay top TRACE --from LOG --generation NAME --free`"};
  if (options.generation.empty())
    return lab::Error{.file = "--free",
                      .message = "no second generation to run the demand under",
                      .remedy = "add --generation NAME; `mmbox generations` lists them"};
  return std::nullopt;
}

/// An error with the name of the input, if it has none of its own.
lab::Error named(lab::Error error, const Options& options) {
  if (error.file.empty())
    error.file = options.input;
  return error;
}

int run_free(Strength strength, const Options& options, const Generation& other, const Streams& streams) {
  const auto replay = [&] {
    if (strength == Strength::Scripted)
      return lab::free_replay_script(options.input, {.run = options.run, .left = {}, .right = other});
    ProgressLine line{"replaying " + options.input};
    const LogMoment from = log_moment(options.from);
    return lab::free_replay_trace(
        options.input, from.file, from.label,
        {.run = {}, .left = {}, .right = other, .progress = [&](lab::Progress progress) { line.show(progress); }});
  };
  const auto report = replay();
  if (!report)
    return refuse(streams, "replay", named(report.error(), options));
  if (options.json)
    streams.out << cli::to_json(*report).dump(2) << '\n';
  else
    cli::write_text(*report, streams.out);
  return finish(streams, "replay", report->first_difference ? kFlagged : kDone);
}

int run(Strength strength, const Options& options, const Streams& streams) {
  if (const auto error = contradiction(strength, options))
    return refuse(streams, "replay", *error);
  std::optional<Generation> generation;
  if (!options.generation.empty()) {
    const auto chosen = chosen_generation(options.generation);
    if (!chosen)
      return refuse(streams, "replay", chosen.error());
    generation = **chosen;
  }
  if (options.free)
    return run_free(strength, options, *generation, streams);
  const auto replay = [&]() -> lab::Expected<lab::ReplayReport> {
    if (strength == Strength::Scripted)
      return lab::replay_scripted(options.input, {.run = options.run, .generation = generation});
    ProgressLine line{"replaying " + options.input};
    const LogMoment from = log_moment(options.from);
    const lab::TraceReplayOptions how{.generation = generation,
                                      .progress = [&](lab::Progress progress) { line.show(progress); }};
    return strength == Strength::Buddy ? lab::replay_buddy(options.input, from.file, from.label, how)
                                       : lab::replay_top(options.input, from.file, from.label, how);
  };
  const auto report = replay();
  if (!report)
    return refuse(streams, "replay", named(report.error(), options));
  if (options.json)
    streams.out << to_json(*report).dump(2) << '\n';
  else
    write_text(*report, streams.out);
  return finish(streams, "replay", report->agrees() ? kDone : kFlagged);
}

void add_common(CLI::App& command, Options& options) {
  command.add_option("--generation", options.generation,
                     "decide by this kernel's rules (default: the recorded kernel's)");
  command.add_flag("--free", options.free,
                   "run the demand under the recorded kernel's rules and under --generation's, off the recorded path");
  command.add_flag("--json", options.json, "print JSON");
}

}  // namespace

CLI::App* add_replay_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("replay", "Run what a real kernel recorded through the engine, and compare");
  command->require_subcommand(1);
  command->footer(R"(
Examples
  mmbox replay scripted basic-1.log.zst                      every run of a script log
  mmbox replay scripted basic-1.log.zst --run basic-1 --json
  mmbox replay buddy workload.dat.zst --from workload.log.zst
  mmbox replay top workload.dat.zst --from workload.log.zst:workload-before
  mmbox replay top workload.dat.zst --from workload.log.zst --generation linux-6.12 --free

With --free nothing is compared with the recording: the same requests and frees run on two engines side by side, and
the report says which request they first answered otherwise, by which rule, and what has become of memory at the end.

Exit code: 0 everything agrees (both give the same frames); 1 something differs; 2 an input that cannot be used.)");

  const auto scripted = std::make_shared<Options>();
  CLI::App* const calls =
      command->add_subcommand("scripted", "Recorded call sequences: each frame, each refusal, each snapshot");
  calls->add_option("LOG", scripted->input, "a script log, plain or zstd-compressed; - for standard input")->required();
  calls->add_option("--run", scripted->run, "replay only the run of this label");
  add_common(*calls, *scripted);
  calls->callback([=, &exit_code] { exit_code = run(Strength::Scripted, *scripted, streams); });

  const auto add_trace = [&](const char* name, const char* help, Strength strength) {
    const auto options = std::make_shared<Options>();
    CLI::App* const trace = command->add_subcommand(name, help);
    trace->add_option("TRACE", options->input, "trace.dat, a trace in text, or mmbox's compact form; may be compressed")
        ->required();
    trace->add_option("--from", options->from, "LOG[:LABEL]: the snapshot to start from (default: the log's first)")
        ->required();
    add_common(*trace, *options);
    trace->callback([=, &exit_code] { exit_code = run(strength, *options, streams); });
  };
  add_trace("buddy", "A trace at the level of the free lists: each block taken, each later snapshot", Strength::Buddy);
  add_trace("top", "A trace at the level of requests: the whole engine names each frame", Strength::Top);
  return command;
}

}  // namespace mmbox::cli
