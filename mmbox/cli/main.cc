// The `mmbox` command: flags, subcommands, exit codes.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "mmbox/cli/boot_command.h"
#include "mmbox/cli/compact_command.h"
#include "mmbox/cli/convert_command.h"
#include "mmbox/cli/explain_command.h"
#include "mmbox/cli/generations_command.h"
#include "mmbox/cli/predict_command.h"
#include "mmbox/cli/reclaim_command.h"
#include "mmbox/cli/replay_command.h"
#include "mmbox/cli/run_command.h"
#include "mmbox/cli/show_command.h"
#include "mmbox/cli/step_command.h"

namespace {

int run(int argc, char** argv) {
  // A closed pipe is told as a write error, not by a signal.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"mmbox: the Linux physical page allocator, out of the kernel"};
  app.set_version_flag("--version", "mmbox " MMBOX_VERSION);
  app.require_subcommand(1);
  app.footer(R"(
Start with
  mmbox boot 64G --view zoneinfo                   a machine, and what its /proc shows
  mmbox explain dmesg.txt                          why an allocation failed
  mmbox replay top trace.dat --from snapshots.log  a real kernel's traffic through the engine
  mmbox generations --diff linux-6.1 linux-6.12    what an upgrade changes

`mmbox COMMAND --help` has examples for each command.)");
  int exit_code = 0;
  mmbox::cli::add_explain_command(app, exit_code);
  mmbox::cli::add_boot_command(app, exit_code);
  mmbox::cli::add_show_command(app, exit_code);
  mmbox::cli::add_replay_command(app, exit_code);
  mmbox::cli::add_step_command(app, exit_code);
  mmbox::cli::add_convert_command(app, exit_code);
  mmbox::cli::add_generations_command(app, exit_code);
  mmbox::cli::add_run_command(app, exit_code);
  mmbox::cli::add_compact_command(app, exit_code);
  mmbox::cli::add_reclaim_command(app, exit_code);
  mmbox::cli::add_predict_command(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : mmbox::cli::kUnusable;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  // Nothing here throws but what ran out: memory, mostly.
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fputs("mmbox: ", stderr);
    std::fputs(error.what(), stderr);
    std::fputs("\n", stderr);
    return mmbox::cli::kUnusable;
  }
}
