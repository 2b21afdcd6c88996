#include "mmbox/cli/step_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "mmbox/cli/command_testing.h"

namespace mmbox::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string moment(const std::string& name) {
  return std::string{MMBOX_TEST_DATA} + "/hugepages/" + name + ".log.zst:" + name + "-before";
}

TEST(StepCommand, TellsTheFastPath) {
  const Ran ran = run_command(add_step_command, {"step", "64M", "--order", "3"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("get_page_from_freelist: order 3"));
  EXPECT_THAT(ran.out, Not(HasSubstr("direct reclaim")));
}

TEST(StepCommand, GoesOnWithTheSlowPathWhereThePagesAreKnown) {
  const Ran ran = run_command(add_step_command, {"step", "--snapshot", moment("cachefull"), "--order", "9", "--gfp",
                                                 "GFP_KERNEL|GFP_DMA|__GFP_COMP"});
  // Each stage in its turn.
  std::size_t at = 0;
  for (const char* step :
       {"get_page_from_freelist: order 9", "kswapd of node 0 is woken for order 9", "WMARK_MIN|CPUSET|KSWAPD",
        "direct compaction for order 9, asynchronous", "is compaction suitable for order 9? skipped",
        "direct reclaim for order 9", "pages freed", "result: "}) {
    at = ran.out.find(step, at);
    ASSERT_NE(at, std::string::npos) << step << "\n" << ran.out;
  }
  EXPECT_LT(ran.out.size(), 30'000u) << "pages are told as sums";
}

TEST(StepCommand, CompactionIsToldZoneByZone) {
  const std::string log = std::string{MMBOX_TEST_DATA} + "/compaction/explicit.log.zst:explicit-before";
  const Ran ran = run_command(add_step_command, {"step", "--snapshot", log, "--order", "9", "--gfp",
                                                 "GFP_KERNEL|GFP_DMA|__GFP_MOVABLE|__GFP_COMP"});
  EXPECT_EQ(ran.exit_code, kDone);
  EXPECT_THAT(ran.out, HasSubstr("compaction of Node 0, zone DMA: pages from 0x"));
  EXPECT_THAT(ran.out, HasSubstr("390 pages moved, 0 not")) << "all batches together";
  EXPECT_THAT(ran.out, HasSubstr("success: there is a block"));
}

TEST(StepCommand, ALogThatEndsInTheMomentsPagesIsRefused) {
  std::ifstream whole{std::string{MMBOX_TEST_DATA} + "/hugepages/fresh.log.zst", std::ios::binary};
  std::string bytes(9000, '\0');
  whole.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(whole);
  const std::string torn = testing::TempDir() + "step_torn.log.zst";
  std::ofstream{torn, std::ios::binary} << bytes;
  const Ran ran = run_command(add_step_command, {"step", "--snapshot", torn, "--order", "9"});
  EXPECT_EQ(ran.exit_code, kUnusable) << ran.out;
  EXPECT_THAT(ran.err, HasSubstr("the compressed data ends in the middle"));
}

TEST(StepCommand, BadWordsAreTold) {
  const Ran gfp = run_command(add_step_command, {"step", "64M", "--gfp", "GFP_WHAT"});
  EXPECT_EQ(gfp.exit_code, kUnusable);
  EXPECT_THAT(gfp.err, HasSubstr("no such request flags"));
}

}  // namespace
}  // namespace mmbox::cli
