#include <CLI/CLI.hpp>

#include "mmbox/cli/boot_command.h"
#include "mmbox/cli/explain_command.h"
#include "mmbox/cli/show_command.h"

int main(int argc, char** argv) {
  CLI::App app{"The Linux physical page allocator, out of the kernel"};
  app.require_subcommand(1);
  int exit_code = 0;
  mmbox::cli::add_boot_command(app, exit_code);
  mmbox::cli::add_show_command(app, exit_code);
  mmbox::cli::add_explain_command(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    constexpr int kUnusable = 2;
    return app.exit(error) == 0 ? 0 : kUnusable;
  }
  return exit_code;
}
