#include "mmbox/cli/asked_moment.h"

#include <ostream>

#include "mmbox/cli/command.h"
#include "mmbox/cli/progress.h"
#include "mmbox/lab/replay/trace_moment.h"
#include "mmbox/lab/trace/reader.h"

namespace mmbox::cli {

void add_moment_options(CLI::App& command, AskedMoment& asked) {
  auto* const from = command.add_option("--from", asked.from,
                                        "LOG[:LABEL]: the state is a moment of a trace, replayed from this snapshot");
  command
      .add_option("--at", asked.at,
                  "which moment: the label of a later snapshot, or a time as the trace counts it (default: its end)")
      ->needs(from);
}

lab::Expected<lab::PopulatedMachine> populated(const AskedMoment& asked) {
  if (!asked.from.empty()) {
    ProgressLine line{"replaying " + asked.state};
    const LogMoment from = log_moment(asked.from);
    return lab::populated_machine({.trace = asked.state, .log = from.file, .label = from.label, .at = asked.at},
                                  [&](lab::Progress progress) { line.show(progress); });
  }
  const LogMoment where = log_moment(asked.state);
  const auto moment = lab::load_moment(where.file, where.label);
  return moment ? lab::populated_machine(*moment) : log_error(where.file, moment.error());
}

lab::Error log_error(const std::string& file, lab::Error error) {
  if (file == "-")
    return error;
  // Any text could be a trace; the binary forms are sure.
  const auto trace = lab::open_trace(file);
  if (!trace || ((*trace)->info().format != "trace.dat" && (*trace)->info().format != "compact"))
    return error;
  return {.file = file,
          .message = "this is a trace, and no log with snapshots",
          .remedy = "say from which snapshot it goes on: --from LOG[:LABEL]"};
}

void add_trace(const lab::PopulatedMachine& machine, nlohmann::ordered_json& json) {
  if (machine.trace.empty())
    return;
  json["trace"] = machine.trace;
  json["not_known"] = machine.lacks;
}

void write_lacks(const std::vector<std::string>& lacks, std::ostream& out) {
  for (const std::string& lack : lacks)
    out << "not known: " << lack << '\n';
}

}  // namespace mmbox::cli
