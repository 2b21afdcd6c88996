// Runs a command inside a test, as main() would, and keeps what it wrote.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "mmbox/cli/command.h"

namespace mmbox::cli {

struct Ran {
  int exit_code = 0;
  std::string out;
  std::string err;
};

using AddCommand = CLI::App* (*)(CLI::App&, int&, const Streams&);

/// `words` are what stands behind "mmbox", the subcommand first.
inline Ran run_command(AddCommand add, std::vector<std::string> words) {
  std::ostringstream out;
  std::ostringstream err;
  CLI::App app{"mmbox"};
  app.require_subcommand(1);
  Ran ran;
  const Streams streams{out, err};
  add(app, ran.exit_code, streams);
  std::ranges::reverse(words);  // CLI11 takes them last first
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    ran.exit_code = app.exit(error, out, err) == 0 ? kDone : kUnusable;
  }
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

}  // namespace mmbox::cli
