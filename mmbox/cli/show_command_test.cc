#include "mmbox/cli/show_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "mmbox/cli/command_testing.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

Ran show(std::vector<std::string> words) {
  words.insert(words.begin(), "show");
  return run_command(add_show_command, std::move(words));
}

std::string log_file() {
  return std::string{MMBOX_TEST_DATA} + "/recordings/scripted-basic-uma/basic-1.log.zst";
}
std::string moment(const std::string& label) {
  return log_file() + ":" + label;
}

/// A log of its own with the first snapshot of the recording, changed by `change`.
template <class Change>
std::string written_log(const std::string& name, Change change) {
  lab::Expected<lab::Snapshot> snapshot = lab::load_snapshot(log_file());
  EXPECT_TRUE(snapshot);
  change(*snapshot);
  std::string text;
  lab::write(*snapshot, text);
  const std::string path = ::testing::TempDir() + name;
  std::ofstream{path, std::ios::binary} << text;
  return path;
}

TEST(ShowCommand, ListsTheSnapshotsOfALogWithTheirMoments) {
  const Ran ran = show({log_file()});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_EQ(ran.out,
            "LABEL               LINE        SECONDS  FREE PAGES  RUN\n"
            "basic-1-before         2      18.234313       94685  basic-1\n"
            "basic-1-after      11351      20.136805       93955  basic-1\n");
}

TEST(ShowCommand, ListsAsJson) {
  const Ran ran = show({log_file(), "--json"});
  ASSERT_EQ(ran.exit_code, kDone) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["schema"], "mmbox-show/1");
  EXPECT_EQ(json["lost"], 0);
  ASSERT_EQ(json["snapshots"].size(), 2U);
  EXPECT_EQ(json["snapshots"][1]["label"], "basic-1-after");
  EXPECT_EQ(json["snapshots"][1]["clock_ns"], 20'136'805'986U);
}

TEST(ShowCommand, PrintsTheSnapshotOfALabel) {
  const Ran ran = show({moment("basic-1-before")});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_EQ(ran.out,
            "Node 0, zone      DMA      0      0      0      0      0      1      1      1      0      1      3 \n"
            "Node 0, zone    DMA32      4      5      4      5      5      6      8      8      6      3     47 \n"
            "Node 0, zone   Normal      1      1      1      2      1      2      3      1      0      3     35 \n");
}

TEST(ShowCommand, AZoneFilterLeavesTheOtherZonesOut) {
  const Ran ran = show({log_file(), "--view", "buddyinfo,pagetypeinfo,zoneinfo", "--zone", "0/dma"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_THAT(ran.out, AllOf(StartsWith("==> /proc/buddyinfo <==\nNode 0, zone      DMA "),
                             HasSubstr("Node    0, zone      DMA, type    Unmovable"), HasSubstr("  managed  3840\n"),
                             Not(HasSubstr("DMA32")), Not(HasSubstr("Normal"))));
}

TEST(ShowCommand, ListsAreInTheOrderOfTheirLinks) {
  const Ran ran = show({moment("basic-1-after"), "--lists", "--zone", "DMA"});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Node 0, zone DMA, order 10, Movable: 800 c00\n"));
  EXPECT_THAT(ran.out, HasSubstr("Node 0, zone DMA, cpu 0, order 0, Unmovable: 159 158\n"));
}

TEST(ShowCommand, ASnapshotComparedWithItselfIsEqual) {
  const Ran ran = show({moment("basic-1-after"), "--compare", moment("basic-1-after")});
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("basic-1-after and basic-1-after: equal; compared "));
}

TEST(ShowCommand, TellsOneChangedFactAndFlagsIt) {
  const std::string other =
      written_log("mmbox-one-changed-fact.log", [](lab::Snapshot& snapshot) { snapshot.zones[0].flags ^= 1; });
  const Ran ran = show({moment("basic-1-before"), "--compare", other});
  EXPECT_EQ(ran.exit_code, kFlagged) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("Node 0, zone DMA"));
  EXPECT_THAT(ran.out, HasSubstr(": 1 differences; compared "));
}

TEST(ShowCommand, PrintsAtMostAsManyDifferencesAsAskedFor) {
  const Ran ran = show({moment("basic-1-before"), "--compare", moment("basic-1-after"), "--differences", "2"});
  EXPECT_EQ(ran.exit_code, kFlagged);
  EXPECT_THAT(ran.out, HasSubstr("… and 94 more"));
  const Ran json = show({moment("basic-1-before"), "--compare", moment("basic-1-after"), "--facts", "buddy", "--json"});
  EXPECT_EQ(json.exit_code, kFlagged);
  const auto parsed = nlohmann::json::parse(json.out);
  EXPECT_FALSE(parsed["equal"].get<bool>());
  EXPECT_EQ(parsed["differences"].size(), parsed["differences_found"]);
  EXPECT_LT(parsed["differences_found"], 96);
}

TEST(ShowCommand, AKernelWhoseCountersHaveNoNamesIsShownAndFlagged) {
  const std::string other = written_log("mmbox-unknown-release.log", [](lab::Snapshot& snapshot) {
    snapshot.info.push_back({"release", "9.9.1-custom"});
  });
  const Ran ran = show({other, "--view", "buddyinfo"});
  EXPECT_EQ(ran.exit_code, kFlagged);
  EXPECT_THAT(ran.out, StartsWith("Node 0, zone      DMA "));
  EXPECT_THAT(ran.err, AllOf(HasSubstr(other), HasSubstr("linux-7.2 prints"), HasSubstr("shown as 0")));
}

TEST(ShowCommand, SaysWhatCannotBeUsedAndWhatToDo) {
  const std::string torn = ::testing::TempDir() + "mmbox-torn.log";
  std::ofstream{torn} << "SNAP torn cpu=0\nCPUS 0:node0:mem0\n";
  const std::string without = ::testing::TempDir() + "mmbox-no-snapshot.log";
  std::ofstream{without} << "NOTE nothing was taken\n";
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> refusals{
      {{}, {"FILE[:LABEL]"}},
      {{"/nonexistent.log"}, {"/nonexistent.log: cannot be opened"}},
      {{moment("nosuch")}, {log_file(), "nosuch", "basic-1-before"}},
      {{torn}, {torn + ":"}},
      {{torn, "--view", "buddyinfo"}, {torn + ":"}},
      {{without}, {without, "no snapshot"}},
      {{log_file(), "--view", "meminfo"}, {"no view \"meminfo\""}},
      {{log_file(), "--zone", "x"}, {"\"x\" names no zone"}},
      {{log_file(), "--compare", "/nonexistent.log"}, {"/nonexistent.log: cannot be opened"}},
      {{log_file(), "--compare", log_file(), "--facts", "some"}, {"--facts some", "allocator"}},
      {{log_file(), "--differences", "many"}, {"--differences"}},
  };
  for (const auto& [words, said] : refusals) {
    const Ran ran = show(words);
    EXPECT_EQ(ran.exit_code, kUnusable) << ::testing::PrintToString(words) << ran.out;
    EXPECT_THAT(ran.out, IsEmpty());
    for (const std::string& part : said)
      EXPECT_THAT(ran.err, HasSubstr(part));
  }
}

const std::string kWorkload = MMBOX_SOURCE_DIR "/examples/recordings/workload";

TEST(ShowCommand, AMomentOfATraceIsShownAsItsSnapshotIs) {
  const std::vector<std::string> at{kWorkload + ".mmbox", "--from", kWorkload + ".log.zst", "--at", "workload-after"};
  const auto with = [](std::vector<std::string> words, const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return show(words);
  };
  const Ran replayed = with(at, {"--view", "buddyinfo,pagetypeinfo", "--lists"});
  EXPECT_EQ(replayed.exit_code, kDone) << replayed.err;
  const Ran recorded = show({kWorkload + ".log.zst:workload-after", "--view", "buddyinfo,pagetypeinfo", "--lists"});
  EXPECT_EQ(replayed.out, recorded.out);
  const Ran compared = with(at, {"--compare", kWorkload + ".log.zst:workload-after", "--facts", "buddy"});
  EXPECT_EQ(compared.exit_code, kDone) << compared.out;
  const Ran counters = with(at, {"--view", "vmstat"});
  EXPECT_EQ(counters.exit_code, kFlagged);
  EXPECT_THAT(counters.err, HasSubstr("are those of workload-before"));
}

TEST(ShowCommand, AMomentNeedsATrace) {
  EXPECT_EQ(show({log_file(), "--at", "basic-1-after"}).exit_code, kUnusable);
  EXPECT_THAT(show({kWorkload + ".mmbox"}).err, HasSubstr("--from LOG[:LABEL]"));
  const Ran ran = show({kWorkload + ".mmbox", "--from", kWorkload + ".log.zst", "--at", "nowhere"});
  EXPECT_EQ(ran.exit_code, kUnusable);
  EXPECT_THAT(ran.err, HasSubstr("never comes to a snapshot nowhere"));
}

TEST(LogMoment, TheLabelStandsBehindTheLastColon) {
  EXPECT_EQ(log_moment("a.log:before").file, "a.log");
  EXPECT_EQ(log_moment("a.log:before").label, "before");
  EXPECT_EQ(log_moment("a.log").label, "");
  EXPECT_EQ(log_moment("a:b/c.log").file, "a:b/c.log");
  const std::string path = ::testing::TempDir() + "mmbox-name-with:colon";
  std::ofstream{path} << "x";
  EXPECT_EQ(log_moment(path).file, path);
  EXPECT_EQ(log_moment(path + ":label").label, "label");
}

TEST(ShowCommand, ARecordedKernelIsShownInItsOwnFormat) {
  for (const auto& [file, has, has_not] :
       {std::tuple{"linux-5.10/pressure-2", "kernel\": \"linux-5.10", "high_max"},
        std::tuple{"linux-6.12/pressuren-2", "kernel\": \"linux-6.12", "linux-6.1\""},
        std::tuple{"linux-7.2/pressuren-2", "kernel\": \"linux-7.2", "linux-6.1\""}}) {
    const std::string log = std::string{MMBOX_TEST_DATA "/recordings/"} + file + ".log.zst";
    const std::string label = std::string{file}.substr(std::string{file}.find('/') + 1) + "-before";
    const Ran ran = show({log + ":" + label, "--view", "zoneinfo", "--json"});
    EXPECT_EQ(ran.exit_code, kDone) << ran.err;
    EXPECT_THAT(ran.out, AllOf(HasSubstr(has), testing::Not(HasSubstr(has_not))));
  }
}

}  // namespace
}  // namespace mmbox::cli
