// The engine against what real kernels recorded. These are the project's first claim: nothing here has a tolerance but
// the replay of requests, whose inputs a trace does not tell in full.
#include <gtest/gtest.h>

#include <string>

#include "mmbox/lab/replay/buddy.h"
#include "mmbox/lab/replay/scripted.h"
#include "mmbox/lab/replay/top.h"

namespace mmbox::lab {
namespace {

const std::string kRecordings = std::string{MMBOX_TEST_DATA} + "/recordings/";
const std::string kWorkload = std::string{MMBOX_SOURCE_DIR} + "/examples/recordings/workload";

std::string first_of(const ReplayReport& report) {
  return report.first_divergence ? report.first_divergence->where + ": " + report.first_divergence->request + ": " +
                                       report.first_divergence->expected + " against " + report.first_divergence->actual
                                 : "no divergence";
}

class Scripted : public testing::TestWithParam<const char*> {};

TEST_P(Scripted, EveryFrameAndEveryFactOfTheSnapshotsIsTheKernels) {
  const auto report = replay_scripted(kRecordings + GetParam(), {});
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_GT(report->decisions.checked, 4000u);
  EXPECT_EQ(report->decisions.agreed, report->decisions.checked) << first_of(*report);
  EXPECT_GE(report->snapshots.size(), 1u);
  EXPECT_EQ(report->snapshots_equal(), report->snapshots.size());
}

INSTANTIATE_TEST_SUITE_P(MachineShapes, Scripted,
                         testing::Values("scripted-basic-uma/basic-1.log.zst", "scripted-basic-plain/basic-1.log.zst",
                                         "scripted-basic-movable/basic-1.log.zst",
                                         "scripted-basic-numa20/basicn-1.log.zst"),
                         [](const auto& shape) {
                           const std::string name{shape.param};
                           return name.substr(15, name.find('/') - 15);
                         });

TEST(ScriptedReplay, AnotherGenerationsRulesAreFoundToDisagree) {
  const auto report =
      replay_scripted(kRecordings + "scripted-basic-uma/basic-1.log.zst", {.run = {}, .generation = kLinux610});
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_LT(report->decisions.agreed, report->decisions.checked);
  ASSERT_TRUE(report->first_divergence);
  EXPECT_FALSE(report->first_divergence->context.empty());
  // Put back on the recorded path, most decisions agree all the same.
  EXPECT_GT(report->decisions.agreement(), 0.5);
}

TEST(ScriptedReplay, ARunThatIsNotInTheLogIsAnError) {
  const auto report =
      replay_scripted(kRecordings + "scripted-basic-uma/basic-1.log.zst", {.run = "none", .generation = {}});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().text().find("no run is called none"), std::string::npos);
}

TEST(BuddyReplay, EveryBlockOfARealWorkloadIsTakenFromWhereTheKernelTookIt) {
  const auto report = replay_buddy(kWorkload + ".mmbox", kWorkload + ".log.zst", "", {});
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->decisions.checked, 285972u);
  EXPECT_EQ(report->decisions.agreed, report->decisions.checked) << first_of(*report);
  EXPECT_EQ(report->snapshots.size(), 2u);
  EXPECT_EQ(report->snapshots_equal(), 2u);
}

TEST(TopReplay, TheEngineNamesTheFramesOfARealWorkload) {
  const auto report = replay_top(kWorkload + ".mmbox", kWorkload + ".log.zst", "workload-before", {});
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->decisions.checked, 395609u);
  EXPECT_GE(report->decisions.agreed, 395608u) << first_of(*report);
  // One more was interrupted between its event and its effect; the order of events does not tell when.
  EXPECT_EQ(report->taken_from_recording.at("per-cpu pages taken earlier or freed later than their event"), 1u);
  EXPECT_EQ(report->snapshots.size(), 2u);
  EXPECT_EQ(report->snapshots_equal(), 2u);
}

TEST(TopReplay, ATraceThatNeverComesToTheSnapshotIsAnError) {
  const auto report = replay_top(kWorkload + ".mmbox", kRecordings + "scripted-basic-uma/basic-1.log.zst", "", {});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().text().find("never comes to the snapshot"), std::string::npos);
}

}  // namespace
}  // namespace mmbox::lab
