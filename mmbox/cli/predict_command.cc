#include "mmbox/cli/predict_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/machine_spec/words.h"
#include "mmbox/lab/population/outlook.h"
#include "mmbox/lab/proc/approximate.h"

namespace mmbox::cli {
namespace {

constexpr const char* kSchema = "mmbox-predict/1";
/// What a write to nr_hugepages asks with.
constexpr Gfp kHugePageGfp = gfp::kHighUserMovable | gfp::kComp | gfp::kNoWarn | gfp::kRetryMayfail;

struct Options {
  std::string snapshot{};
  std::string hugepages{};
  unsigned order = kPageblockOrder;
  std::string gfp{};
  unsigned layouts = 5;
  bool live = false;
  bool json = false;
};

/// What was found out, from whatever source.
struct Answer {
  std::string source;  ///< the snapshot's label, or the folder
  lab::RequestOutlook outlook;
  lab::RequestOutlook least;
  lab::RequestOutlook most;
  std::size_t layouts = 0;  ///< 0: from an exact snapshot
  [[nodiscard]] std::string tries() const {
    return layouts > 1 ? fmt::format("{} layouts", layouts) : fmt::format("{} draws", lab::kDraws);
  }
  std::vector<std::string> lacks;
};

lab::Expected<Answer> answer_of(const Options& options, Gfp gfp, std::uint64_t most) {
  std::error_code ignored;
  if (options.live || std::filesystem::is_directory(options.snapshot, ignored)) {
    auto state = lab::load_proc(options.live ? "/proc" : options.snapshot);
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
    return Answer{state->where, outlook->middle, outlook->least, outlook->most, outlook->layouts, std::move(lacks)};
  }
  const LogMoment where = log_moment(options.snapshot);
  const auto moment = lab::load_moment(where.file, where.label);
  if (!moment)
    return moment.error();
  auto outlook = lab::request_outlook(*moment, Order{options.order}, gfp, most);
  if (!outlook)
    return outlook.error();
  Answer answer;
  answer.source = moment->snapshot.label;
  answer.outlook = answer.least = answer.most = std::move(*outlook);
  answer.least.after_reclaim = answer.outlook.least_after_reclaim;
  answer.most.after_reclaim = answer.outlook.most_after_reclaim;
  return answer;
}

void write_text(const Answer& answer, unsigned order, std::ostream& out) {
  out << fmt::format("{} {}: blocks of order {} that can be had\n", answer.layouts == 0 ? "snapshot" : "files of",
                     answer.source, order);
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
  for (const std::string& lack : answer.lacks)
    out << "not known: " << lack << '\n';
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
  if (answer.layouts <= 1)
    json["draws"] = lab::kDraws;
  if (answer.layouts > 0)
    json["layouts"] = answer.layouts;
  for (const auto& [name, outlook] : {std::pair{"least", &answer.least}, std::pair{"most", &answer.most}})
    json[name] = {{"now", outlook->now},
                  {"after_compaction", outlook->after_compaction},
                  {"after_reclaim", outlook->after_reclaim}};
  if (answer.layouts != 0)
    json["not_known"] = answer.lacks;
  return json;
}

int run(Options options, bool counted, const Streams& streams) {
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (counted && !options.hugepages.empty()) {
    const auto number = lab::parse_number(options.hugepages);
    if (number && *number > 0) {
      most = *number;
    } else if (!number && options.snapshot.empty() && !options.live) {
      // "--hugepages FILE": the number is left out, and this is the machine.
      options.snapshot = options.hugepages;
    } else {
      return refuse(streams, "predict",
                    {.file = "--hugepages " + options.hugepages,
                     .message = "this is no number of huge pages",
                     .remedy = "give how many are wanted, or leave it out"});
    }
  }
  if (options.live != options.snapshot.empty())
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
  command->add_option("SNAPSHOT", options->snapshot,
                      "FILE[:LABEL], a snapshot with the page dump of the same moment; or a folder with copies of "
                      "/proc/zoneinfo, buddyinfo, pagetypeinfo and, if they are there, kpageflags and version");
  command->add_flag("--live", options->live, "this machine, from its /proc; as root it says more");
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
  mmbox predict --live --hugepages
  mkdir p; sudo sh -c 'cat /proc/zoneinfo >p/zoneinfo; cat /proc/buddyinfo >p/buddyinfo;
    cat /proc/pagetypeinfo >p/pagetypeinfo; cat /proc/kpageflags | zstd >p/kpageflags.zst'; mmbox predict p

The order of pages on the LRU lists is neither in a page dump nor in /proc: pages are evicted from the highest zone
down, in each from the lowest frame upward. Slab caches do not shrink. Whose pages stand in the way is not in these sources either, only their kind.

Exit code: 0 all that was asked for could be had, or no number was asked for; 1 less; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, huge->count() != 0, streams); });
  return command;
}

}  // namespace mmbox::cli
