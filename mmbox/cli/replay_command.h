// `mmbox replay`: recorded calls or traces through the engine, compared decision by decision.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand with its three strengths. Its callback sets `exit_code`: 0 all agrees; 1 something differs; 2 an
/// input cannot be used.
CLI::App* add_replay_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
