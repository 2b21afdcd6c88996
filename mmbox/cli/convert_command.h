// `mmbox convert`: any trace into mmbox's compact form.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 done; 1 done, but the trace had lost events; 2 not done.
CLI::App* add_convert_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
