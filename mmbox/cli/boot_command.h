// `mmbox boot`: makes a machine and prints what its /proc would show.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 done; 1 done, but not all numbers of the snapshot are known; 2
/// a description, snapshot, setting or view that cannot be used.
CLI::App* add_boot_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
