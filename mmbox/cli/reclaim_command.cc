#include "mmbox/cli/reclaim_command.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "mmbox/cli/asked_moment.h"
#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/machine_spec/words.h"
#include "mmbox/lab/population/outlook.h"
#include "mmbox/lab/views/views.h"

namespace mmbox::cli {
namespace {

constexpr const char* kCommand = "reclaim";
constexpr const char* kSchema = "mmbox-reclaim/1";
constexpr std::array<std::string_view, kLruLists> kListNames{"inactive_anon", "active_anon", "inactive_file",
                                                             "active_file", "unevictable"};

struct Options {
  AskedMoment moment{};
  std::string zone{};
  std::string gfp{};
  std::string swap{};
  std::uint64_t pages = 32;
  unsigned order = 0;
  unsigned priority = 12;
  unsigned mode = 1;
  bool kswapd = false;
  bool json = false;
};

lab::Expected<lab::ReclaimWish> wish_of(const Options& options) {
  lab::ReclaimWish wish;
  wish.pages = options.pages;
  wish.order = Order{options.order};
  wish.priority = options.priority;
  wish.zone_reclaim_mode = options.mode;
  if (!options.zone.empty()) {
    const auto filter = lab::zone_filter(options.zone);
    if (!filter)
      return filter.error();
    wish.node = filter->node.value_or(NodeId{0});
    wish.highest = filter->type;
  }
  if (!options.gfp.empty()) {
    const auto mask = lab::gfp_layout_default().parse(options.gfp);
    if (!mask)
      return lab::Error{.file = "--gfp " + options.gfp,
                        .message = "no such request flags",
                        .remedy = "write names joined with | (GFP_KERNEL|__GFP_COMP) or a number (0x40cc0)"};
    wish.gfp = lab::gfp_layout_default().decode(*mask);
  }
  if (!options.swap.empty()) {
    const auto bytes = lab::parse_size(options.swap);
    if (!bytes)
      return lab::Error{.file = "--swap " + options.swap,
                        .message = "this is not a size",
                        .remedy = "give a number and a unit, 512M"};
    wish.free_swap = PageCount{*bytes / kPageSize};
  }
  return wish;
}

void write_text(const lab::PopulatedMachine& machine, const lab::ReclaimOutlook& outlook, NodeId node,
                std::ostream& out) {
  out << fmt::format("{}, node {}: {}\n", machine.name(), node.raw(), outlook.result)
      << fmt::format("pages freed {}, scanned {} anonymous and {} of files, written to swap {}; rounds {}\n",
                     outlook.reclaimed, outlook.scanned_anon, outlook.scanned_file, outlook.swapped_out, outlook.rounds)
      << "free pages, per-cpu lists included\n";
  for (const lab::ReclaimOutlook::Zone& zone : outlook.zones)
    out << fmt::format("  zone {:<8} {:>9} -> {:>9}   low {}, high {}\n", zone.name, zone.free_before, zone.free_after,
                       zone.low, zone.high);
  out << "pages on the lists\n";
  for (std::size_t list = 0; list < kLruLists; ++list)
    out << fmt::format("  {:<13} {:>9} -> {:>9}\n", kListNames[list], outlook.before[list], outlook.after[list]);
  write_lacks(machine.lacks, out);
}

nlohmann::ordered_json to_json(const lab::PopulatedMachine& machine, const lab::ReclaimOutlook& outlook, NodeId node) {
  nlohmann::ordered_json json{{"schema", kSchema},
                              {"snapshot", machine.label},
                              {"node", node.raw()},
                              {"result", outlook.result},
                              {"reclaimed", outlook.reclaimed},
                              {"pgscan_anon", outlook.scanned_anon},
                              {"pgscan_file", outlook.scanned_file},
                              {"pswpout", outlook.swapped_out},
                              {"rounds", outlook.rounds}};
  json["zones"] = nlohmann::ordered_json::array();
  for (const lab::ReclaimOutlook::Zone& zone : outlook.zones)
    json["zones"].push_back({{"zone", zone.name},
                             {"free_before", zone.free_before},
                             {"free_after", zone.free_after},
                             {"low", zone.low},
                             {"high", zone.high}});
  for (std::size_t list = 0; list < kLruLists; ++list)
    json["lists"][std::string{kListNames[list]}] = {{"before", outlook.before[list]}, {"after", outlook.after[list]}};
  add_trace(machine, json);
  return json;
}

int run(const Options& options, lab::ReclaimWish::By by, const Streams& streams) {
  auto wish = wish_of(options);
  if (!wish)
    return refuse(streams, kCommand, wish.error());
  wish->by = by;
  const auto machine = populated(options.moment);
  if (!machine)
    return refuse(streams, kCommand, machine.error());
  const auto outlook = lab::reclaim_outlook(*machine, *wish);
  if (!outlook)
    return refuse(streams, kCommand, outlook.error());
  if (options.json)
    streams.out << to_json(*machine, *outlook, wish->node).dump(2) << '\n';
  else
    write_text(*machine, *outlook, wish->node, streams.out);
  const bool is_short = by == lab::ReclaimWish::By::Direct && outlook->reclaimed < options.pages;
  return finish(streams, kCommand, is_short ? kFlagged : kDone);
}

}  // namespace

CLI::App* add_reclaim_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("reclaim", "Reclaim pages of a recorded machine, as a request, kswapd or node reclaim does");
  const auto options = std::make_shared<Options>();
  command->add_option("STATE", options->moment.state, kStateHelp)->required();
  add_moment_options(*command, options->moment);
  command->add_option("--zone", options->zone,
                      "NODE, ZONE or NODE/ZONE: the node (default: 0) and the highest zone whose pages are of use");
  auto* const pages = command->add_option("--pages", options->pages, "how many (default: 32)");
  pages->check(CLI::PositiveNumber);
  command->add_option("--order", options->order, "log2 of the block that is wanted (default: 0)")
      ->check(CLI::Range(0U, kMaxPageOrder));
  command->add_option("--gfp", options->gfp, "request flags (default: GFP_HIGHUSER_MOVABLE)");
  auto* const priority =
      command->add_option("--priority", options->priority, "one pass over the node at this priority, 12 to 0");
  priority->check(CLI::Range(0U, 12U));
  auto* const kswapd = command->add_flag("--kswapd", options->kswapd, "one run of kswapd, woken for --order");
  auto* const mode = command->add_option("--zone-reclaim-mode", options->mode,
                                         "node reclaim with these bits: 1 on, 2 may write, 4 may unmap");
  mode->check(CLI::Range(1U, 7U));
  priority->excludes(kswapd)->excludes(mode);
  kswapd->excludes(mode)->excludes(pages);
  command->add_option("--swap", options->swap, "free swap, as 512M (default: none; a snapshot does not tell)");
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox reclaim cachefull.log.zst:cachefull-before --pages 1000
  mmbox reclaim cachefull.log.zst:cachefull-before --priority 8 --zone DMA32
  mmbox reclaim cachefull.log.zst:cachefull-before --kswapd --order 3
  mmbox reclaim cachefull.log.zst:cachefull-before --zone-reclaim-mode 1 --order 2
  mmbox reclaim workload.mmbox --from workload.log.zst --at workload-cachefull --kswapd

The order of pages on the LRU lists is not in a page dump, and a trace is not asked for it: pages are taken from the highest zone down, in each from the
lowest frame upward. Slab caches do not shrink.

Exit code: 0 done; 1 fewer pages than were asked for; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] {
    using By = lab::ReclaimWish::By;
    const By by = options->kswapd          ? By::Kswapd
                  : mode->count() != 0     ? By::Node
                  : priority->count() != 0 ? By::Pass
                                           : By::Direct;
    exit_code = run(*options, by, streams);
  });
  return command;
}

}  // namespace mmbox::cli
