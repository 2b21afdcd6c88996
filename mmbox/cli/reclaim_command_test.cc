#include "mmbox/cli/reclaim_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "mmbox/cli/command_testing.h"

namespace mmbox::cli {
namespace {

using testing::HasSubstr;

const std::string kCacheFull = std::string{MMBOX_TEST_DATA} + "/hugepages/cachefull.log.zst:cachefull-before";

nlohmann::json reclaim(std::vector<std::string> words) {
  words.insert(words.begin(), {"reclaim", kCacheFull, "--json"});
  const Ran ran = run_command(add_reclaim_command, words);
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  return nlohmann::json::parse(ran.out);
}

TEST(ReclaimCommand, FreesWhatARequestAsksForOutOfTheCache) {
  const auto told = reclaim({"--pages", "1000"});
  EXPECT_GE(told["reclaimed"], 1000);
  EXPECT_LT(told["reclaimed"], 1100) << "no more than the last round's";
  EXPECT_EQ(told["pgscan_anon"], 0) << "there is no swap";
  const auto& file = told["lists"]["inactive_file"];
  EXPECT_EQ(file["before"].get<int>() - file["after"].get<int>(), told["reclaimed"].get<int>());
  const Ran text = run_command(add_reclaim_command, {"reclaim", kCacheFull});
  EXPECT_THAT(text.out, HasSubstr("as many as were asked for"));
}

TEST(ReclaimCommand, AMomentOfATraceIsAStateToo) {
  const std::string workload = MMBOX_SOURCE_DIR "/examples/recordings/workload";
  const Ran ran = run_command(add_reclaim_command, {"reclaim", workload + ".mmbox", "--from", workload + ".log.zst",
                                                    "--at", "workload-cachefull", "--pages", "1000", "--json"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  const auto told = nlohmann::json::parse(ran.out);
  EXPECT_GE(told["reclaimed"], 1000);
  EXPECT_EQ(told["trace"], workload + ".mmbox");
  EXPECT_GT(told["not_known"].size(), 0u);
}

TEST(ReclaimCommand, MoreThanThereIsIsFlagged) {
  const Ran ran = run_command(add_reclaim_command, {"reclaim", kCacheFull, "--pages", "1000000"});
  EXPECT_EQ(ran.exit_code, kFlagged) << ran.err;
}

TEST(ReclaimCommand, KswapdStopsAtTheHighMark) {
  const auto told = reclaim({"--kswapd"});
  EXPECT_THAT(told["result"].get<std::string>(), HasSubstr("balanced"));
}

TEST(ReclaimCommand, ALowerPriorityNumberLooksAtMore) {
  const auto light = reclaim({"--priority", "12"});
  const auto hard = reclaim({"--priority", "2", "--pages", "1000000"});
  EXPECT_LT(light["pgscan_file"], hard["pgscan_file"]);
}

TEST(ReclaimCommand, NodeReclaimFreesForOneRequest) {
  const auto told = reclaim({"--zone-reclaim-mode", "1", "--order", "2"});
  EXPECT_THAT(told["result"].get<std::string>(), HasSubstr("success"));
  EXPECT_GE(told["reclaimed"], 4);
  const auto waitless = reclaim({"--zone-reclaim-mode", "1", "--gfp", "GFP_NOWAIT"});
  EXPECT_THAT(waitless["result"].get<std::string>(), HasSubstr("not tried"));
}

TEST(ReclaimCommand, AZoneCountsForItsPages) {
  const auto told = reclaim({"--zone", "0/DMA32", "--priority", "4", "--pages", "100"});
  const auto& normal = told["zones"][2];
  EXPECT_EQ(normal["zone"], "Normal");
  EXPECT_EQ(normal["free_before"], normal["free_after"]);
}

TEST(ReclaimCommand, BadWordsAreTold) {
  const auto error_of = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"reclaim", kCacheFull});
    const Ran ran = run_command(add_reclaim_command, words);
    EXPECT_EQ(ran.exit_code, kUnusable);
    return ran.err;
  };
  EXPECT_THAT(error_of({"--zone", "7"}), HasSubstr("no node 7"));
  EXPECT_THAT(error_of({"--zone", "Movable"}), HasSubstr("no zone Movable"));
  EXPECT_THAT(error_of({"--gfp", "GFP_WHAT"}), HasSubstr("no such request flags"));
  EXPECT_THAT(error_of({"--swap", "lots"}), HasSubstr("not a size"));
  error_of({"--kswapd", "--priority", "3"});
}

}  // namespace
}  // namespace mmbox::cli
