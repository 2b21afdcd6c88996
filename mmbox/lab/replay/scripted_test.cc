#include "mmbox/lab/replay/scripted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mmbox::lab {
namespace {

const std::string kRecordings = MMBOX_TEST_DATA "/recordings/";

TEST(ReplayScripted, EveryFrameAndEverySnapshotOfTheRecordingsIsEqual) {
  for (const char* file : {"scripted-basic-uma/basic-1.log.zst", "scripted-basic-plain/basic-1.log.zst",
                           "scripted-basic-movable/basic-1.log.zst", "scripted-basic-numa20/basicn-1.log.zst"}) {
    const auto report = replay_scripted(kRecordings + file, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_GT(report->decisions.checked, 100u) << file;
    EXPECT_EQ(report->decisions.agreed, report->decisions.checked) << file;
    EXPECT_GT(report->snapshots.size(), 0u) << file;
    EXPECT_EQ(report->snapshots_equal(), report->snapshots.size()) << file;
    EXPECT_FALSE(report->first_divergence) << file;
  }
}

TEST(ReplayScripted, AnotherReleaseIsToldApart) {
  // The first release of the series keeps its order-9 blocks on one list; whatever differs must be counted and named.
  const auto report =
      replay_scripted(kRecordings + "scripted-basic-uma/basic-1.log.zst", {.run = "", .generation = kLinux610});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->agrees());
}

TEST(ReplayScripted, AMissingRunOrFileIsNamed) {
  const auto run = replay_scripted(kRecordings + "scripted-basic-uma/basic-1.log.zst", {.run = "no-such-run"});
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message, testing::HasSubstr("no-such-run"));
  EXPECT_FALSE(replay_scripted(kRecordings + "absent.log.zst", {}));
}

}  // namespace
}  // namespace mmbox::lab
