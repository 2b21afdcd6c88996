// A machine to look at, and its views as text or JSON: the common half of `mmbox boot` and `mmbox show`.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/cli/command.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/snapshot/snapshot.h"
#include "mmbox/lab/views/counters.h"
#include "mmbox/lab/views/views.h"

namespace mmbox::cli {

/// A machine with what is needed to print it.
struct ShownMachine {
  lab::Image image;
  const ProcFormat* format;
  lab::RecordedCounters host;
  std::string doubt{};       ///< why not all of it is as recorded; empty if it is
  std::string rules_note{};  ///< how the kernel's rules may differ from those that settings are computed by
};

/// The format of a generation; kernels older than all known formats get the oldest one.
[[nodiscard]] const ProcFormat* nearest_format(const Generation& generation);

/// A recorded machine. If its kernel's counters have no names here, they are shown as 0, and the doubt says so.
[[nodiscard]] lab::Expected<ShownMachine> shown_machine(const lab::Snapshot& snapshot);

/// The machine that a command's words ask for: a description (words, synthetic form, TOML file) or, instead, a recorded
/// snapshot ("FILE[:LABEL]"); with `settings` ("NAME=VALUE") written after boot. A `generation` replaces the one that
/// the description names; a snapshot has the rules of its own kernel.
[[nodiscard]] lab::Expected<ShownMachine> asked_machine(const std::vector<std::string>& words,
                                                        const std::string& snapshot,
                                                        const std::vector<std::string>& settings,
                                                        const std::string& generation);

/// What is to be shown of it.
struct Shown {
  std::vector<lab::View> views;
  bool lists = false;
  lab::ZoneFilter zones;
};
/// Understands the words of --view and --zone. Without a view and without lists: buddyinfo.
[[nodiscard]] lab::Expected<Shown> shown(const std::vector<std::string>& views, bool lists, const std::string& zone);

/// One view alone is printed as the kernel's file, byte for byte; several have a line "==> /proc/… <==" before each.
void write_text(ShownMachine& machine, const Shown& what, std::ostream& out);
/// Members: kernel, nodes, cpus, settings (by sysctl name), views (by name), lists.
[[nodiscard]] nlohmann::ordered_json to_json(ShownMachine& machine, const Shown& what);

/// The names of all views with a line of help for each, for a command's footer.
[[nodiscard]] std::string views_help();

}  // namespace mmbox::cli
