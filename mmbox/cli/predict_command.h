// `mmbox predict`: how many blocks of an order a recorded machine could give, and what stands in the way.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 all that was asked for could be had; 1 less; 2 an input cannot
/// be used.
CLI::App* add_predict_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
