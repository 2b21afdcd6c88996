#include "mmbox/cli/predict_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "mmbox/cli/asked_moment.h"
#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/machine_spec/words.h"
#include "mmbox/lab/population/outlook.h"
#include "mmbox/lab/proc/approximate.h"

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-predict/1";
/// What a write to nr_hugepages asks with.
constexpr Gfp kHugePageGfp = gfp::kHighUserMovable | gfp::kComp | gfp::kNoWarn | gfp::kRetryMayfail;

/// Owners told in text: those of most pages, and those in most runs.
constexpr std::size_t kTopHolders = 8;

struct Options {
  AskedMoment moment{};
  std::string hugepages{};
  unsigned order = kPageblockOrder;
  std::string gfp{};
  unsigned layouts = 5;
  bool live = false;
  bool json = false;
};

/// What was found out, from whatever source.
struct Answer {
  std::string name;    ///< "snapshot LABEL", "TRACE at LABEL", "files of FOLDER"
  std::string source;  ///< the moment's label, or the folder
  std::string trace{};
  lab::RequestOutlook outlook;
  lab::RequestOutlook least;
  lab::RequestOutlook most;
  std::size_t layouts = 0;  ///< 0: from an exact state
  [[nodiscard]] std::string tries() const {
    return layouts > 1 ? fmt::format("{} layouts", layouts) : fmt::format("{} draws", lab::kDraws);
  }
  std::vector<std::string> lacks{};
};

lab::Expected<Answer> answer_of(const Options& options, Gfp gfp, std::uint64_t most) {
  std::error_code ignored;
  const bool is_trace = !options.moment.from.empty();
  if (options.live || (!is_trace && std::filesystem::is_directory(options.moment.state, ignored))) {
    auto state = lab::load_proc(options.live ? "/proc" : options.moment.state);
    if (!state)
      return state.error();
    const std::size_t layouts = state->kpageflags.empty() ? options.layouts : 1;
    const auto outlook = lab::approximate_outlook(*state, Order{options.order}, gfp, most, layouts);
    if (!outlook)
      return outlook.error();
    std::vector<std::string> lacks = state->lacks;
    if (!state->kpageflags.empty())
      lacks.emplace_back(
          "who holds a page, and which pages wait on per-cpu lists: pinned pages count as movable, types of pageblocks "
          "are guessed from their pages");
    Answer answer{.name = "files of " + state->where,
                  .source = state->where,
                  .outlook = outlook->middle,
                  .least = outlook->least,
                  .most = outlook->most,
                  .layouts = outlook->layouts,
                  .lacks = std::move(lacks)};
    return answer;
  }
  const auto machine = populated(options.moment);
  if (!machine)
    return machine.error();
  Answer answer;
  answer.name = machine->name();
  answer.source = machine->label;
  answer.trace = machine->trace;
  answer.outlook = lab::request_outlook(*machine, Order{options.order}, gfp, most);
  answer.least = answer.most = answer.outlook;
  answer.least.after_reclaim = answer.outlook.least_after_reclaim;
  answer.most.after_reclaim = answer.outlook.most_after_reclaim;
  answer.lacks = machine->lacks;
  return answer;
}

/// The owners that have most of the pages in the way, and those that block most runs.
std::vector<lab::RequestOutlook::Holder> top_holders(const lab::RequestOutlook& outlook) {
  std::vector<lab::RequestOutlook::Holder> by_runs = outlook.holders;
  std::ranges::stable_sort(by_runs, std::ranges::greater{}, &lab::RequestOutlook::Holder::runs);
  if (by_runs.size() <= kTopHolders)
    return outlook.holders;
  const std::uint64_t pages = outlook.holders[kTopHolders - 1].pages;
  const std::uint64_t runs = by_runs[kTopHolders - 1].runs;
  std::vector<lab::RequestOutlook::Holder> top;
  std::ranges::copy_if(outlook.holders, std::back_inserter(top),
                       [&](const auto& holder) { return holder.pages >= pages || holder.runs > runs; });
  return top;
}

void write_holders(const lab::RequestOutlook& outlook, std::ostream& out) {
  const auto top = top_holders(outlook);
  out << fmt::format("whose they are, and in how many runs:\n  {:>8} {:>6} {:>6}\n", "pages", "runs", "alone");
  for (const auto& holder : top)
    out << fmt::format("  {:>8} {:>6} {:>6}  {}, {}\n", holder.pages, holder.runs, holder.runs_alone, holder.owner,
                       lab::name_of(holder.use));
  if (outlook.holders.size() > top.size())
    out << fmt::format("  and {} more with fewer\n", outlook.holders.size() - top.size());
}

void write_text(const Answer& answer, unsigned order, std::ostream& out) {
  out << fmt::format("{}: blocks of order {} that can be had\n", answer.name, order);
  const auto row = [&](std::uint64_t lab::RequestOutlook::*number, const std::string& words) {
    out << fmt::format("  {:>6}  {}", answer.outlook.*number, words);
    if (answer.layouts > 1 || answer.least.*number != answer.most.*number)
      out << fmt::format(", {} to {} in {}", answer.least.*number, answer.most.*number, answer.tries());
    out << '\n';
  };
  row(&lab::RequestOutlook::now, "now, from the free lists");
  row(&lab::RequestOutlook::after_compaction, "with compaction");
  row(&lab::RequestOutlook::after_reclaim, fmt::format("with compaction and reclaim ({} pages moved, {} evicted)",
                                                       answer.outlook.moved_pages, answer.outlook.evicted_pages));
  out << fmt::format("{} runs of that size hold pages that stay:\n", answer.outlook.blocked_runs);
  for (const auto& [use, pages] : answer.outlook.obstacles)
    out << fmt::format("  {:>8} pages {}\n", pages, lab::name_of(use));
  if (!answer.trace.empty())
    write_holders(answer.outlook, out);
  write_lacks(answer.lacks, out);
  if (answer.layouts > 1)
    out << "uncertain: what lies where was drawn by chance\n";
  if (answer.least.after_reclaim != answer.most.after_reclaim)
    out << "uncertain: which cached pages are the oldest, and who has the CPU when, was drawn by chance; 45 of 54 real "
           "machines lay in the range\n";
}

nlohmann::ordered_json to_json(const Answer& answer, unsigned order) {
  nlohmann::ordered_json obstacles = nlohmann::ordered_json::object();
  for (const auto& [use, pages] : answer.outlook.obstacles)
    obstacles[std::string{lab::name_of(use)}] = pages;
  nlohmann::ordered_json json{{"schema", kSchema},
                              {"snapshot", answer.source},
                              {"order", order},
                              {"now", answer.outlook.now},
                              {"after_compaction", answer.outlook.after_compaction},
                              {"after_reclaim", answer.outlook.after_reclaim},
                              {"moved_pages", answer.outlook.moved_pages},
                              {"evicted_pages", answer.outlook.evicted_pages},
                              {"blocked_runs", answer.outlook.blocked_runs},
                              {"obstacle_pages", obstacles}};
  if (!answer.trace.empty()) {
    json["trace"] = answer.trace;
    json["obstacle_owners"] = nlohmann::ordered_json::array();
    for (const auto& holder : answer.outlook.holders)
      json["obstacle_owners"].push_back({{"owner", holder.owner},
                                         {"kind", lab::name_of(holder.use)},
                                         {"pages", holder.pages},
                                         {"runs", holder.runs},
                                         {"runs_alone", holder.runs_alone}});
  }
  if (answer.layouts <= 1)
    json["draws"] = lab::kDraws;
  if (answer.layouts > 0)
    json["layouts"] = answer.layouts;
  for (const auto& [name, outlook] : {std::pair{"least", &answer.least}, std::pair{"most", &answer.most}})
    json[name] = {{"now", outlook->now},
                  {"after_compaction", outlook->after_compaction},
                  {"after_reclaim", outlook->after_reclaim}};
  if (answer.layouts != 0 || !answer.trace.empty())
    json["not_known"] = answer.lacks;
  return json;
}

int run(Options options, bool counted, const Streams& streams) {
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (counted && !options.hugepages.empty()) {
    const auto number = lab::parse_number(options.hugepages);
    if (number && *number > 0) {
      most = *number;
    } else if (!number && options.moment.state.empty() && !options.live) {
      // "--hugepages FILE": the number is left out, and this is the machine.
      options.moment.state = options.hugepages;
    } else {
      return refuse(streams, "predict",
                    {.file = "--hugepages " + options.hugepages,
                     .message = "this is no number of huge pages",
                     .remedy = "give how many are wanted, or leave it out"});
    }
  }
  if (options.live != options.moment.state.empty())
    return refuse(streams, "predict",
                  {.message = options.live ? "two machines are given" : "no machine is given",
                   .remedy = "give a snapshot, FILE[:LABEL], a folder with files of /proc, or --live"});
  Gfp gfp = kHugePageGfp;
  if (!options.gfp.empty()) {
    const auto mask = lab::gfp_layout_default().parse(options.gfp);
    if (!mask)
      return refuse(streams, "predict",
                    {.file = "--gfp " + options.gfp,
                     .message = "no such request flags",
                     .remedy = "write names joined with | (GFP_KERNEL|__GFP_COMP) or a number (0x40cc0)"});
    gfp = lab::gfp_layout_default().decode(*mask);
  }
  const auto answer = answer_of(options, gfp, most);
  if (!answer)
    return refuse(streams, "predict", answer.error());
  if (options.json)
    streams.out << to_json(*answer, options.order).dump(2) << '\n';
  else
    write_text(*answer, options.order, streams.out);
  const bool enough = most == std::numeric_limits<std::uint64_t>::max() || answer->outlook.after_reclaim >= most;
  return finish(streams, "predict", enough ? kDone : kFlagged);
}

}  // namespace

CLI::App* add_predict_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command =
      app.add_subcommand("predict", "How many blocks a machine could give, and what stands in the way");
  const auto options = std::make_shared<Options>();
  command->add_option("STATE", options->moment.state,
                      std::string{kStateHelp} +
                          "; or a folder with copies of /proc/zoneinfo, buddyinfo, pagetypeinfo "
                          "and, if they are there, kpageflags and version");
  add_moment_options(*command, options->moment);
  command->add_flag("--live", options->live, "this machine, from its /proc; as root it says more")->excludes("--from");
  auto* const huge = command->add_option("--hugepages", options->hugepages,
                                         "[N]: ask for N huge pages as nr_hugepages does, or for as many as there are");
  huge->expected(0, 1);
  auto* const order = command->add_option("--order", options->order, "log2 of the pages (default: 9)");
  order->check(CLI::Range(0U, kMaxPageOrder));
  order->excludes(huge);
  command->add_option("--gfp", options->gfp, "request flags (default: those of nr_hugepages)");
  command->add_option("--layouts", options->layouts, "without kpageflags: how many layouts to draw (default: 5)")
      ->check(CLI::Range(1U, 1000U));
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox predict holes.log.zst:holes-before
  mmbox predict holes.log.zst:holes-before --hugepages 64
  mmbox predict holes.log.zst:holes-before --order 4 --gfp GFP_KERNEL
  mmbox predict workload.mmbox --from workload.log.zst --at workload-cachefull
  mmbox predict --live --hugepages
  mkdir p; sudo sh -c 'cat /proc/zoneinfo >p/zoneinfo; cat /proc/buddyinfo >p/buddyinfo;
    cat /proc/pagetypeinfo >p/pagetypeinfo; cat /proc/kpageflags | zstd >p/kpageflags.zst'; mmbox predict p

The order of pages on the LRU lists is neither in a page dump nor in /proc, and a trace is not asked for it: pages are
evicted from the highest zone down, in each from the lowest frame upward. Slab caches do not shrink. Whose pages stand in
the way only a trace tells; of what was in use before it began, and in the other sources, the kind alone is known.

Exit code: 0 all that was asked for could be had, or no number was asked for; 1 less; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, huge->count() != 0, streams); });
  return command;
}

}  // namespace mmbox::cli
