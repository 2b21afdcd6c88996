#include "mmbox/cli/generations_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "mmbox/cli/command_testing.h"
#include "mmbox/cli/replay_command.h"

namespace mmbox::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kScript = MMBOX_TEST_DATA "/recordings/linux-6.1/pressuren-2.log.zst";
constexpr const char* kTrace = MMBOX_SOURCE_DIR "/examples/recordings/workload.mmbox";
constexpr const char* kLog = MMBOX_SOURCE_DIR "/examples/recordings/workload.log.zst";

Ran generations(std::vector<std::string> words) {
  words.insert(words.begin(), "generations");
  return run_command(add_generations_command, words);
}
Ran replay(std::vector<std::string> words) {
  words.insert(words.begin(), "replay");
  return run_command(add_replay_command, words);
}

TEST(GenerationsCommand, PrintsEveryGenerationAndWhatItIsProvedBy) {
  const Ran ran = generations({});
  EXPECT_EQ(ran.exit_code, kDone);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("linux-3.10   3.10.105, by specification, not proved against a kernel"),
                             HasSubstr("linux-6.12   6.12.95, proved on recordings"),
                             HasSubstr("    linux-3.10 to 6.1    all of its pages\n")));
}

TEST(GenerationsCommand, ADifferenceHasOnlyTheRowsThatDiffer) {
  const Ran ran = generations({"--diff", "linux-6.1", "linux-6.12"});
  EXPECT_EQ(ran.exit_code, kDone);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("take.fallback"), HasSubstr("is claimed whole or stolen in part"),
                             Not(HasSubstr("take.boost)")), Not(HasSubstr("linux-7.2"))));
}

TEST(GenerationsCommand, JsonHasAValueForEachGenerationShown) {
  const Ran ran = generations({"--diff", "linux-6.1.0", "linux-6.1", "--json"});
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["schema"], "mmbox-generations/1");
  ASSERT_EQ(json["generations"].size(), 2U);
  EXPECT_EQ(json["generations"][1]["reference"], "6.1.192");
  ASSERT_FALSE(json["policies"].empty());
  for (const auto& policy : json["policies"])
    EXPECT_NE(policy["values"]["linux-6.1.0"], policy["values"]["linux-6.1"]) << policy;
}

TEST(GenerationsCommand, SaysWhichGenerationsThereAre) {
  const Ran unknown = generations({"--diff", "linux-6.1", "linux-2.4"});
  EXPECT_EQ(unknown.exit_code, kUnusable);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("linux-2.4"), HasSubstr("linux-3.10, linux-4.12")));
  EXPECT_EQ(generations({"--diff", "linux-6.1", "linux-6.1"}).exit_code, kUnusable);
  EXPECT_EQ(generations({"--diff", "linux-6.1"}).exit_code, kUnusable);
}

TEST(FreeReplayCommand, AScriptUnderAnotherGenerationTellsRuleAndOutcome) {
  const Ran ran = replay({"scripted", kScript, "--generation", "linux-6.12", "--free"});
  EXPECT_EQ(ran.exit_code, kFlagged);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("the same demand under linux-6.1 and linux-6.12"),
                             HasSubstr("first difference: run pressuren-2, operation "), HasSubstr("| linux-6.12:"),
                             HasSubstr("refused"), HasSubstr("pageblocks of mixed use"), HasSubstr("free blocks")));
}

TEST(FreeReplayCommand, ATraceUnderAnotherGenerationTellsRuleAndOutcome) {
  const Ran ran = replay({"top", kTrace, "--from", kLog, "--generation", "linux-6.12", "--free", "--json"});
  EXPECT_EQ(ran.exit_code, kFlagged);
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["schema"], "mmbox-free-replay/1");
  EXPECT_GT(json["same_frames"].get<std::uint64_t>(), 0U);
  EXPECT_EQ(json["left"]["requests"], json["right"]["requests"]);
  EXPECT_FALSE(json["first_difference"]["steps"].empty());
  // Neither side loses a page: what the demand holds is the same, refusals and their pages apart.
  EXPECT_EQ(json["left"]["free_blocks"].size(), json["right"]["free_blocks"].size());
}

TEST(FreeReplayCommand, ATraceUnderItsOwnRulesHasOneOutcome) {
  const Ran ran = replay({"top", kTrace, "--from", kLog, "--generation", "linux-6.1", "--free", "--json"});
  EXPECT_EQ(ran.exit_code, kDone);
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_TRUE(json["first_difference"].is_null());
  EXPECT_EQ(json["same_frames"], json["left"]["requests"]);
  EXPECT_EQ(json["left"], json["right"]);
}

TEST(FreeReplayCommand, WordsThatMakeNoSenseTogetherAreRefusedWithARemedy) {
  const Ran alone = replay({"scripted", kScript, "--free"});
  EXPECT_EQ(alone.exit_code, kUnusable);
  EXPECT_THAT(alone.err, AllOf(HasSubstr("no second generation"), HasSubstr("--generation NAME")));
  const Ran lists = replay({"buddy", kTrace, "--from", kLog, "--generation", "linux-6.12", "--free"});
  EXPECT_EQ(lists.exit_code, kUnusable);
  EXPECT_THAT(lists.err, HasSubstr("mmbox replay top"));
  const Ran unknown = replay({"scripted", kScript, "--generation", "linux-9", "--free"});
  EXPECT_EQ(unknown.exit_code, kUnusable);
  EXPECT_THAT(unknown.err, HasSubstr("known are linux-3.10"));
}

}  // namespace
}  // namespace mmbox::cli
