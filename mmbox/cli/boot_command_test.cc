#include "mmbox/cli/boot_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "mmbox/cli/command_testing.h"

namespace mmbox::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

Ran boot(std::vector<std::string> words) {
  words.insert(words.begin(), "boot");
  return run_command(add_boot_command, std::move(words));
}

std::string test_data(const std::string& name) {
  return std::string{MMBOX_TEST_DATA} + "/" + name;
}

std::string text_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
}

// Even with "no reserve" a PC has no memory from 640 KiB to 1 MiB and does not hand out page 0: 3998 pages in DMA.
TEST(BootCommand, PrintsOneViewAsTheKernelsFile) {
  const Ran ran = boot({"512M, 2 cpus, no reserve"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_EQ(ran.out,
            "Node 0, zone      DMA      2      2      2      2      2      1      1      0      1      1      3 \n"
            "Node 0, zone    DMA32      0      0      0      0      0      0      0      0      0      0    124 \n");
  EXPECT_THAT(ran.err, IsEmpty());
}

// Golden. To write it anew: mmbox boot "2 nodes of 512M, 4 cpus" --view buddyinfo,pagetypeinfo,zoneinfo,vmstat,unusable
TEST(BootCommand, PrintsAMachineOfTwoNodesWhole) {
  const Ran ran =
      boot({"2 nodes of 512M, 4 cpus", "--view", "buddyinfo,pagetypeinfo,zoneinfo", "--view", "vmstat,unusable"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_EQ(ran.out, text_of(test_data("views/boot-two-nodes.txt")));
}

TEST(BootCommand, SettingsAreWrittenAfterBootAndOneAfterAnother) {
  const Ran ran = boot({"2G, 1 cpus", "--set", "vm.min_free_kbytes=131072", "--set", "vm.watermark_scale_factor=100",
                        "--view", "zoneinfo", "--json"});
  ASSERT_EQ(ran.exit_code, kDone) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["settings"]["vm.min_free_kbytes"], "131072");
  EXPECT_EQ(json["settings"]["vm.watermark_scale_factor"], "100");
  std::int64_t min = 0;
  for (const auto& zone : json["views"]["zoneinfo"])
    min += zone["min"].get<std::int64_t>();
  // 128 MiB, shared out to the zones, each share rounded down.
  EXPECT_LE(min, 32'768);
  EXPECT_GE(min, 32'768 - 3);
}

TEST(BootCommand, JsonHasAMemberForEachViewAndList) {
  const Ran ran = boot({"512M, 1 cpus, no reserve", "--view", "buddyinfo,extfrag,vmstat,pagetypeinfo", "--lists",
                        "--zone", "dma", "--json"});
  ASSERT_EQ(ran.exit_code, kDone) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["schema"], "mmbox-boot/1");
  EXPECT_EQ(json["kernel"], "linux-6.1");
  EXPECT_EQ(json["nodes"], 1);
  const auto& buddyinfo = json["views"]["buddyinfo"];
  ASSERT_EQ(buddyinfo.size(), 1U);
  EXPECT_EQ(buddyinfo[0]["zone"], "DMA");
  EXPECT_EQ(buddyinfo[0]["free_blocks"][10], 3);
  EXPECT_EQ(json["views"]["extfrag"][0]["permille"][0], -1000);
  EXPECT_EQ(json["views"]["pagetypeinfo"][0]["pageblocks"]["Movable"], 7);
  EXPECT_EQ(json["views"]["vmstat"]["nr_free_pages"], 130'974);
  EXPECT_EQ(json["lists"]["free"][0]["pfns"], (std::vector<std::string>{"1", "9e"}));
}

TEST(BootCommand, TakesTheMachineOfASnapshot) {
  const Ran ran = boot({"--snapshot", test_data("recordings/scripted-basic-uma/basic-1.log.zst:basic-1-after"),
                        "--view", "zoneinfo", "--set", "vm.min_free_kbytes=8192", "--zone", "Normal"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_THAT(ran.out, AllOf(StartsWith("Node 0, zone   Normal\n  pages free "), HasSubstr("  managed  63178\n")));
  // 8 MiB for 120317 managed pages: Normal's share is 2048 × 63178 / 120317.
  EXPECT_THAT(ran.out, HasSubstr("        min      1075\n"));
}

struct Refusal {
  std::vector<std::string> words;
  std::vector<std::string> said;
};

TEST(BootCommand, SaysWhatCannotBeUsedAndWhatToDo) {
  const std::string snapshot = test_data("recordings/scripted-basic-uma/basic-1.log.zst");
  const std::vector<Refusal> refusals{
      {{}, {"mmbox boot: no machine is given", "64G"}},
      {{"64M", "--snapshot", snapshot}, {"two machines are given"}},
      {{"64 apples"}, {"mmbox boot: "}},
      {{"/nonexistent/machine.toml"}, {"/nonexistent/machine.toml: ", "cannot be opened"}},
      {{"64M", "--view", "slabinfo"}, {"no view \"slabinfo\"", "buddyinfo, pagetypeinfo"}},
      {{"64M", "--zone", "0/Nurmal"}, {"\"0/Nurmal\" names no zone", "0/DMA32"}},
      {{"64M", "--set", "vm.min_free_kbytes"}, {"--set vm.min_free_kbytes: no value", "NAME=VALUE"}},
      {{"64M", "--set", "vm.nosuch=1"}, {"--set vm.nosuch=1: ", "vm.min_free_kbytes"}},
      {{"64M", "--set", "vm.watermark_scale_factor=4000"}, {"--set vm.watermark_scale_factor=4000: ", "3000"}},
      {{"--snapshot", snapshot + ":nosuch"}, {snapshot, "\"nosuch\"", "basic-1-before, basic-1-after"}},
      {{"--snapshot", "/nonexistent.log"}, {"/nonexistent.log: cannot be opened"}},
      {{"64M", "--frobnicate"}, {"--frobnicate"}},
  };
  for (const Refusal& refusal : refusals) {
    const Ran ran = boot(refusal.words);
    EXPECT_EQ(ran.exit_code, kUnusable) << ::testing::PrintToString(refusal.words);
    EXPECT_THAT(ran.out, IsEmpty());
    for (const std::string& words : refusal.said)
      EXPECT_THAT(ran.err, HasSubstr(words));
  }
}

TEST(BootCommand, WhatTheEngineCannotHoldIsRefusedAndNotTried) {
  // Node 1 begins in the middle of a pageblock of node 0.
  const std::string path = ::testing::TempDir() + "mmbox-shared-pageblock.toml";
  std::ofstream{path} << "[machine]\nreserve = \"none\"\n[[node]]\nmemory = [\"16M-32772K\"]\n"
                         "[[node]]\nmemory = [\"32772K-64M\"]\n";
  const Ran ran = boot({path});
  EXPECT_EQ(ran.exit_code, kUnusable) << ran.out;
  EXPECT_THAT(ran.err, AllOf(HasSubstr(path), HasSubstr("pageblock"), HasSubstr("2 MiB")));
}

TEST(BootCommand, HelpHasViewsExamplesAndExitCodes) {
  const Ran ran = boot({"--help"});
  EXPECT_EQ(ran.exit_code, kDone);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("pagetypeinfo"), HasSubstr("Examples"), HasSubstr("Exit code: 0")));
}

TEST(BootCommand, MakesTheMachineOfTheGenerationAskedFor) {
  const Ran old = boot({"4G", "--generation", "linux-5.10", "--view", "zoneinfo"});
  EXPECT_EQ(old.exit_code, kDone) << old.err;
  const Ran recent = boot({"4G", "--generation", "linux-6.12", "--view", "zoneinfo"});
  EXPECT_EQ(recent.exit_code, kDone) << recent.err;
  // Six batches of 63 pages; and a counter that only the newer kernel has.
  EXPECT_THAT(old.out, AllOf(HasSubstr("high:  378"), testing::Not(HasSubstr("nr_unaccepted"))));
  EXPECT_THAT(recent.out, HasSubstr("nr_unaccepted"));
}

TEST(BootCommand, AGenerationWithoutRecordedFilesIsPrintedAsTheNearestAndFlagged) {
  const Ran ran = boot({"4G", "--generation", "linux-3.10"});
  EXPECT_EQ(ran.exit_code, kFlagged);
  EXPECT_THAT(ran.err, HasSubstr("no files of linux-3.10 are recorded; printed as linux-5.10 does"));
}

TEST(BootCommand, RefusesAGenerationThatIsUnknownOrBesideASnapshot) {
  const Ran unknown = boot({"4G", "--generation", "linux-2.6"});
  EXPECT_EQ(unknown.exit_code, kUnusable);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("linux-2.6"), HasSubstr("known are linux-3.10")));
  const Ran snapshot =
      boot({"--snapshot", test_data("recordings/linux-6.12/pressuren-2.log.zst"), "--generation", "linux-6.1"});
  EXPECT_EQ(snapshot.exit_code, kUnusable);
  EXPECT_THAT(snapshot.err, HasSubstr("a snapshot is of one kernel"));
}

}  // namespace
}  // namespace mmbox::cli
