// The recorded machine that a command works on: a snapshot with its page dump, or a moment of a trace.
#pragma once

#include <CLI/CLI.hpp>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mmbox/lab/population/moment.h"

namespace mmbox::cli {

/// What a command's words name.
struct AskedMoment {
  std::string state{};  ///< FILE[:LABEL]; with `from` a trace
  std::string from{};   ///< LOG[:LABEL]; empty: `state` is no trace
  std::string at{};
};

/// How the words go, for a command's help.
inline constexpr const char* kStateHelp =
    "FILE[:LABEL]: a snapshot with the page dump of the same moment; with --from a trace";

/// Adds --from and --at.
void add_moment_options(CLI::App& command, AskedMoment& asked);

/// The machine with its pages, from either.
[[nodiscard]] lab::Expected<lab::PopulatedMachine> populated(const AskedMoment& asked);

/// Why a log cannot be used: `error`, or that it is no log but a trace, which needs --from.
[[nodiscard]] lab::Error log_error(const std::string& file, lab::Error error);
/// Members of a moment of a trace: trace, not_known. None of another one.
void add_trace(const lab::PopulatedMachine& machine, nlohmann::ordered_json& json);
/// A line for each thing that is not known of it.
void write_lacks(const std::vector<std::string>& lacks, std::ostream& out);

}  // namespace mmbox::cli
