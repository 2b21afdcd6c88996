// `mmbox show`: lists the snapshots of a log, prints one of them, or tells two apart.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 done, compared snapshots are equal; 1 they differ, the log is
/// not complete, or not all numbers are known; 2 an input that cannot be used.
CLI::App* add_show_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
