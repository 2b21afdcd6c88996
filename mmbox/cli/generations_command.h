// `mmbox generations`: the modelled kernels, policy by policy, and where two of them differ.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 printed; 2 a generation is not known.
CLI::App* add_generations_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
