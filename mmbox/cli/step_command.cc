#include "mmbox/cli/step_command.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "mmbox/cli/shown_machine.h"
#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/replay/story.h"
#include "mmbox/lab/snapshot/script_log.h"
#include "mmbox/lab/workload/world.h"

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-step/1";

struct Options {
  std::vector<std::string> words{};
  std::string snapshot{};
  std::vector<std::string> settings{};
  std::string generation{};
  std::string gfp = "GFP_KERNEL";
  unsigned order = 0;
  unsigned cpu = 0;
  int node = -1;
  bool json = false;
};

/// The page dump of a moment, if its log has one.
lab::Expected<std::optional<lab::PageDump>> page_dump_of(const std::string& name) {
  const LogMoment moment = log_moment(name);
  const auto snapshot = lab::load_snapshot(moment.file, moment.label);
  if (!snapshot)
    return snapshot.error();
  return lab::find_page_dump(moment.file, snapshot->label);
}

int run(const Options& options, const Streams& streams) {
  auto shown = asked_machine(options.words, options.snapshot, options.settings, options.generation);
  if (!shown)
    return refuse(streams, "step", shown.error());
  Machine& machine = shown->image.machine();
  const lab::GfpLayout& layout = lab::gfp_layout_default();
  const auto mask = layout.parse(options.gfp);
  if (!mask)
    return refuse(streams, "step",
                  {.file = "--gfp " + options.gfp,
                   .message = "no such request flags",
                   .remedy = "write names joined with | (GFP_KERNEL|__GFP_COMP) or a number (0x40cc0)"});
  const Gfp gfp = layout.decode(*mask);
  if (!gfp_zone_is_valid(gfp))
    return refuse(streams, "step",
                  {.file = "--gfp " + options.gfp,
                   .message = "names two zones at once",
                   .remedy = "give at most one of __GFP_DMA, __GFP_DMA32 and __GFP_HIGHMEM"});
  if (options.cpu >= machine.view().cpu_nodes.size())
    return refuse(streams, "step",
                  {.file = fmt::format("--cpu {}", options.cpu),
                   .message = fmt::format("the machine has CPUs 0 to {}", machine.view().cpu_nodes.size() - 1)});
  if (options.node >= static_cast<int>(machine.view().nodes.size()))
    return refuse(streams, "step",
                  {.file = fmt::format("--node {}", options.node),
                   .message = fmt::format("the machine has nodes 0 to {}", machine.view().nodes.size() - 1)});
  Request request{.gfp = gfp,
                  .order = Order{options.order},
                  .cpu = CpuId{options.cpu},
                  .node = {},
                  .nodemask = {},
                  .task = nullptr};
  if (options.node >= 0)
    request.node = NodeId{static_cast<std::size_t>(options.node)};

  // With the pages of that moment the machine can work for its memory as a live one does.
  std::optional<lab::PageDump> dump;
  if (!options.snapshot.empty()) {
    auto found = page_dump_of(options.snapshot);
    if (!found)
      return refuse(streams, "step", found.error());
    dump = std::move(*found);
  }
  lab::Story story{machine};
  std::optional<lab::World> world;
  if (dump) {
    lab::Workload nothing;
    nothing.file_pages = 1;
    world.emplace(machine, nothing, &*dump);
    world->on_event = [&](const lab::TraceEvent& event) { story.tell(event); };
  }
  machine.attach(&story);
  const AllocResult result = machine.alloc(request);
  world.reset();
  machine.attach(nullptr);
  const std::string asked =
      fmt::format("order {} ({} pages), {} (0x{:x}), cpu {}", options.order,
                  std::uint64_t{1} << std::min(options.order, 20U), layout.text(*mask), *mask, options.cpu);
  std::string got;
  if (result) {
    const ZoneState& zone = machine.view().zone_of(machine.view().env.map.index(*result));
    got = fmt::format("pfn 0x{:x} in {}", result->raw(), lab::zone_name(machine, zone.id));
  } else {
    got = fmt::format("refused: {}", reason_text(result.error()));
  }
  if (options.json) {
    nlohmann::ordered_json json{{"schema", kSchema}, {"request", asked}, {"steps", story.lines()}, {"result", got}};
    json["pfn"] = result ? nlohmann::ordered_json(result->raw()) : nlohmann::ordered_json(nullptr);
    streams.out << json.dump(2) << '\n';
  } else {
    streams.out << "request: " << asked << '\n';
    for (const std::string& line : story.lines())
      streams.out << "  " << line << '\n';
    streams.out << "result: " << got << '\n';
  }
  return finish(streams, "step", result ? kDone : kFlagged);
}

}  // namespace

CLI::App* add_step_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("step", "Tell one request as a story: each check with its numbers, and the frame it got");
  const auto options = std::make_shared<Options>();
  command->add_option("MACHINE", options->words, "words, hwloc's synthetic form, or a .toml file, as for `mmbox boot`");
  command->add_option("--snapshot", options->snapshot, "FILE[:LABEL]: the machine of a recorded snapshot");
  command->add_option("--generation", options->generation,
                      "the kernel of a described machine, as linux-6.12 (default: linux-6.1)");
  command->add_option("--set", options->settings, "NAME=VALUE: write a setting first")->take_all();
  command->add_option("--gfp", options->gfp, "request flags, by name or number (default: GFP_KERNEL)");
  command->add_option("--order", options->order, "log2 of the pages (default: 0)")->check(CLI::Range(0, 64));
  command->add_option("--cpu", options->cpu, "the CPU that asks (default: 0)");
  command->add_option("--node", options->node, "the preferred node (default: the CPU's)");
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox step 64G --order 9 --gfp GFP_HIGHUSER_MOVABLE
  mmbox step --snapshot basic-1.log.zst:basic-1-before --order 3 --gfp 'GFP_ATOMIC|__GFP_NOWARN'
  mmbox step --snapshot holes.log.zst:holes-before --order 9 --gfp GFP_KERNEL

With a page dump of the same moment in the log the story goes on where the fast path fails: kswapd, direct reclaim and
compaction work on the pages of that moment. Without one nothing can be reclaimed or moved.

Exit code: 0 the request got a block; 1 it was refused; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
