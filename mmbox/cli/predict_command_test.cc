#include "mmbox/cli/predict_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "mmbox/cli/command_testing.h"
#include "mmbox/cli/compact_command.h"

namespace mmbox::cli {
namespace {

using testing::HasSubstr;

std::string data(const std::string& name) {
  return std::string{MMBOX_TEST_DATA} + "/" + name;
}

TEST(PredictCommand, SaysWhatCanBeHadAndWhatStandsInTheWay) {
  const std::string moment = data("hugepages/fresh.log.zst") + ":fresh-before";
  const Ran all = run_command(add_predict_command, {"predict", moment});
  EXPECT_EQ(all.exit_code, kDone) << all.err;
  EXPECT_THAT(all.out, HasSubstr("231  now, from the free lists"));
  EXPECT_THAT(all.out, HasSubstr("236  with compaction and reclaim"));
  EXPECT_THAT(all.out, HasSubstr("pages slab"));
  const Ran few = run_command(add_predict_command, {"predict", moment, "--hugepages", "10", "--json"});
  EXPECT_EQ(few.exit_code, kDone);
  EXPECT_EQ(nlohmann::json::parse(few.out)["after_reclaim"], 10);
  const Ran many = run_command(add_predict_command, {"predict", moment, "--hugepages", "300"});
  EXPECT_EQ(many.exit_code, kFlagged);
}

TEST(PredictCommand, TheNumberOfHugePagesMayBeLeftOut) {
  const std::string moment = data("hugepages/fresh.log.zst") + ":fresh-before";
  for (const std::vector<std::string>& words : {std::vector<std::string>{"predict", moment, "--hugepages", "--json"},
                                                {"predict", "--hugepages", moment, "--json"}}) {
    const Ran ran = run_command(add_predict_command, words);
    EXPECT_EQ(ran.exit_code, kDone) << ran.err;
    EXPECT_EQ(nlohmann::json::parse(ran.out)["after_reclaim"], 236);
  }
  const Ran bad = run_command(add_predict_command, {"predict", moment, "--hugepages", "many"});
  EXPECT_EQ(bad.exit_code, kUnusable);
  EXPECT_THAT(bad.err, HasSubstr("this is no number of huge pages"));
}

TEST(PredictCommand, FilesOfProcAreEnoughForAGuess) {
  const Ran text = run_command(add_predict_command, {"predict", data("hugepages/proc-fresh")});
  EXPECT_EQ(text.exit_code, kDone) << text.err;
  EXPECT_THAT(text.out, HasSubstr("in 5 layouts"));
  EXPECT_THAT(text.out, HasSubstr("not known: kpageflags (only root may read it)"));
  EXPECT_THAT(text.out, HasSubstr("uncertain: "));
  const Ran json = run_command(add_predict_command,
                               {"predict", data("hugepages/proc-fresh"), "--layouts", "2", "--json", "--order", "4"});
  const auto told = nlohmann::json::parse(json.out);
  EXPECT_EQ(told["layouts"], 2);
  EXPECT_LE(told["least"]["after_reclaim"], told["most"]["after_reclaim"]);
  EXPECT_EQ(told["not_known"].size(), 1u);
}

const std::string kWorkload = MMBOX_SOURCE_DIR "/examples/recordings/workload";

TEST(PredictCommand, ATraceTellsWhoseThePagesInTheWayAre) {
  const std::vector<std::string> words{"predict", kWorkload + ".mmbox", "--from", kWorkload + ".log.zst"};
  const Ran text = run_command(add_predict_command, words);
  EXPECT_EQ(text.exit_code, kDone) << text.err;
  EXPECT_THAT(text.out, HasSubstr("workload.mmbox at its end: blocks of order 9 that can be had"));
  EXPECT_THAT(text.out, HasSubstr("whose they are"));
  EXPECT_THAT(text.out, HasSubstr("in use before the trace, kernel"));
  EXPECT_THAT(text.out, HasSubstr("cp:128, slab"));
  EXPECT_THAT(text.out, HasSubstr("not known: whose "));
  std::vector<std::string> more = words;
  more.insert(more.end(), {"--at", "workload-cachefull", "--hugepages", "1", "--json"});
  const auto told = nlohmann::json::parse(run_command(add_predict_command, more).out);
  EXPECT_EQ(told["snapshot"], "workload-cachefull");
  EXPECT_EQ(told["trace"], kWorkload + ".mmbox");
  EXPECT_GT(told["not_known"].size(), 0u);
  std::uint64_t pages = 0;
  for (const auto& holder : told["obstacle_owners"])
    pages += holder["kind"] == "slab" ? holder["pages"].get<std::uint64_t>() : 0;
  EXPECT_EQ(pages, told["obstacle_pages"]["slab"]);
}

TEST(PredictCommand, ATraceNeedsTheSnapshotThatItGoesOnFrom) {
  const Ran ran = run_command(add_predict_command, {"predict", kWorkload + ".mmbox"});
  EXPECT_EQ(ran.exit_code, kUnusable);
  EXPECT_THAT(ran.err, HasSubstr("this is a trace, and no log with snapshots; say from which snapshot"));
  EXPECT_EQ(run_command(add_predict_command, {"predict", "--live", "--from", kWorkload + ".log.zst"}).exit_code,
            kUnusable);
}

TEST(PredictCommand, WhoseTheyAreIsNotSaidOfAPageDump) {
  const std::string moment = data("hugepages/fresh.log.zst") + ":fresh-before";
  EXPECT_THAT(run_command(add_predict_command, {"predict", moment}).out, testing::Not(HasSubstr("whose")));
  const auto told = nlohmann::json::parse(run_command(add_predict_command, {"predict", moment, "--json"}).out);
  EXPECT_FALSE(told.contains("obstacle_owners"));
}

TEST(PredictCommand, OneMachineIsNeeded) {
  EXPECT_THAT(run_command(add_predict_command, {"predict"}).err, HasSubstr("no machine is given"));
  EXPECT_THAT(run_command(add_predict_command, {"predict", "x.log", "--live"}).err,
              HasSubstr("two machines are given"));
}

TEST(PredictCommand, BadWordsAreTold) {
  const Ran none = run_command(add_predict_command, {"predict", "/no/such/file"});
  EXPECT_EQ(none.exit_code, kUnusable);
  EXPECT_THAT(none.err, HasSubstr("mmbox predict:"));
  const Ran gfp = run_command(add_predict_command, {"predict", data("hugepages/fresh.log.zst"), "--gfp", "GFP_WHAT"});
  EXPECT_EQ(gfp.exit_code, kUnusable);
  EXPECT_THAT(gfp.err, HasSubstr("no such request flags"));
}

TEST(CompactCommand, ShowsEachZoneBeforeAndAfter) {
  const std::string moment = data("compaction/explicit.log.zst") + ":explicit-before";
  const Ran text = run_command(add_compact_command, {"compact", moment});
  EXPECT_EQ(text.exit_code, kDone) << text.err;
  EXPECT_THAT(text.out, HasSubstr("Node 0, zone Normal"));
  EXPECT_THAT(text.out, HasSubstr("pages moved"));
  const Ran json = run_command(add_compact_command, {"compact", moment, "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out)["zones"].size(), 3u);
}

TEST(CompactCommand, AMomentOfATraceIsAStateToo) {
  const Ran ran = run_command(add_compact_command, {"compact", kWorkload + ".mmbox", "--from", kWorkload + ".log.zst",
                                                    "--at", "workload-cachefull"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("pages moved 1060, not moved 467"));
  EXPECT_THAT(ran.out, HasSubstr("not known: whose "));
}

TEST(CompactCommand, AMomentWithoutItsPagesIsRefused) {
  const Ran ran =
      run_command(add_compact_command, {"compact", data("compaction/explicit.log.zst") + ":explicit-after"});
  EXPECT_EQ(ran.exit_code, kUnusable);
}

}  // namespace
}  // namespace mmbox::cli
