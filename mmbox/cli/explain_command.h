// `mmbox explain`: reads logs, explains each failure report in them.
#pragma once

#include <CLI/CLI.hpp>

namespace mmbox::cli {

/// Adds the subcommand. Its callback sets `exit_code`: 0 every report is whole and explained; 1 done, but no report was
/// found, or one is torn, or an exact state does not refuse; 2 an input cannot be used.
CLI::App* add_explain_command(CLI::App& app, int& exit_code);

}  // namespace mmbox::cli
