// Traces of other kernels than 6.1, whose events have to be read otherwise.
#include <gtest/gtest.h>

#include <string>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/replay/buddy.h"
#include "mmbox/lab/replay/top.h"

namespace mmbox::lab {
namespace {

constexpr const char* k510 = MMBOX_TEST_DATA "/recordings/linux-5.10/pressure-2";
constexpr const char* k612 = MMBOX_TEST_DATA "/recordings/linux-6.12/basic-1";
constexpr const char* k72 = MMBOX_TEST_DATA "/recordings/linux-7.2/pressuren-2";

Expected<ReplayReport> buddy(const std::string& name) {
  return replay_buddy(name + ".mmbox", name + ".log.zst", "", {});
}

TEST(BuddyReplayOfGenerations, FollowsEveryBlockAndEverySnapshot) {
  for (const char* name : {k510, k612, k72}) {
    const auto report = buddy(name);
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_GT(report->decisions.checked, 5000U) << name;
    EXPECT_EQ(report->decisions.agreed, report->decisions.checked) << name;
    EXPECT_GE(report->snapshots.size(), 1U) << name;
    EXPECT_EQ(report->snapshots_equal(), report->snapshots.size()) << name;
  }
}

TEST(BuddyReplayOfGenerations, FindsTheReserveOf510BehindTheRequestsType) {
  const auto report = buddy(k510);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_GT(report->taken_from_recording.at("blocks of the high-atomic reserve, told with the request's type"), 0U);
}

TEST(TopReplayOfGenerations, NamesEveryFrameOf612) {
  const auto report = replay_top(std::string{k612} + ".mmbox", std::string{k612} + ".log.zst", "", {});
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_GT(report->decisions.checked, 2500U);
  EXPECT_EQ(report->decisions.agreed, report->decisions.checked)
      << (report->first_divergence ? report->first_divergence->where : "");
  EXPECT_EQ(report->snapshots_equal(), report->snapshots.size());
}

}  // namespace
}  // namespace mmbox::lab
