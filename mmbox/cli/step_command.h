// `mmbox step`: one request told as a story.
#pragma once

#include <CLI/CLI.hpp>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 the request got a block; 1 it was refused; 2 an input cannot
/// be used.
CLI::App* add_step_command(CLI::App& app, int& exit_code, const Streams& streams = standard_streams());

}  // namespace mmbox::cli
