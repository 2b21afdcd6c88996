#include "mmbox/cli/boot_command.h"

#include <fmt/format.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "mmbox/cli/shown_machine.h"
#include "mmbox/lab/image/boot.h"
#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/lab/machine_spec/settings.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::cli {
namespace {

constexpr const char* kCommand = "boot";
constexpr const char* kSchema = "mmbox-boot/1";

constexpr const char* kExamples = R"(
Examples
  mmbox boot 64G                                     one node, the usual reserve for the kernel
  mmbox boot "2 nodes of 64G, 16 cpus" --view zoneinfo
  mmbox boot "node:2(memory=64GB) core:8 pu:1"       the same in hwloc's words
  mmbox boot examples/machines/laptop.toml --view buddyinfo,pagetypeinfo
  mmbox boot 64G --set vm.min_free_kbytes=1048576 --view zoneinfo
  mmbox boot 64G --generation linux-7.2 --view zoneinfo
  mmbox boot --snapshot run.log.zst:before --set vm.watermark_scale_factor=100 --view zoneinfo
  mmbox boot 64G --view vmstat,zoneinfo --json       for programs

Exit code: 0 done; 1 done, but not all numbers of the snapshot are known; 2 an input that cannot be used.)";

struct Options {
  std::vector<std::string> words{};
  std::string snapshot{};
  std::vector<std::string> settings{};
  std::string generation{};
  std::vector<std::string> views{};
  std::string zone{};
  bool lists = false;
  bool json = false;
};

int run(const Options& options, const Streams& streams) {
  const lab::Expected<Shown> what = shown(options.views, options.lists, options.zone);
  if (!what)
    return refuse(streams, kCommand, what.error());

  lab::Expected<ShownMachine> machine =
      asked_machine(options.words, options.snapshot, options.settings, options.generation);
  if (!machine)
    return refuse(streams, kCommand, machine.error());

  if (!options.settings.empty() && !machine->rules_note.empty())
    streams.err << "mmbox boot: note: " << machine->rules_note << '\n';
  if (!machine->doubt.empty())
    streams.err << "mmbox boot: " << machine->doubt << '\n';
  if (options.json) {
    nlohmann::ordered_json json{{"schema", kSchema}};
    json.update(to_json(*machine, *what));
    streams.out << json.dump(2) << '\n';
  } else {
    write_text(*machine, *what, streams.out);
  }
  return finish(streams, kCommand, machine->doubt.empty() ? kDone : kFlagged);
}

}  // namespace

CLI::App* add_boot_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command = app.add_subcommand(
      "boot", "Make a machine from a description or a snapshot, and print what its /proc would show");
  const auto options = std::make_shared<Options>();
  command->add_option("MACHINE", options->words,
                      "words (\"2 nodes of 64G, 16 cpus\"), hwloc's synthetic form, or a file that ends in .toml");
  command->add_option("--snapshot", options->snapshot, "FILE[:LABEL]: the machine of a recorded snapshot");
  command->add_option("--generation", options->generation,
                      "the kernel of a described machine, as linux-6.12 (default: linux-6.1)");
  command->add_option("--set", options->settings, "NAME=VALUE: write a setting after boot (vm.min_free_kbytes=65536)")
      ->take_all();
  command->add_option("--view", options->views, "what to print, several with commas between (default: buddyinfo)")
      ->delimiter(',');
  command->add_option("--zone", options->zone, "only this zone: NODE, ZONE or NODE/ZONE");
  command->add_flag("--lists", options->lists, "print the free lists and per-cpu lists, head first");
  command->add_flag("--json", options->json, "print JSON");
  command->footer(views_help() + kExamples);
  command->callback([options, &exit_code, streams] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
