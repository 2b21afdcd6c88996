// `mmbox run`: a machine, what is in its memory, and a workload over simulated time.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

CLI::App* add_run_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
