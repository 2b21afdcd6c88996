// `mmbox reclaim`: what reclaim would free on a recorded machine.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 done; 1 fewer pages than were asked for; 2 an input cannot be
/// used.
CLI::App* add_reclaim_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
