// Direct compaction and kcompactd as recorded on a 6.1.192, each attempt run again from the state that it began in.
#include "mmbox/lab/replay/compaction_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "mmbox/lab/replay/top.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

TEST(CompactionCheck, RecordedRequestsCompactAlikeWhereNobodyElseIsAtWork) {
  const std::string path = std::string{MMBOX_TEST_DATA} + "/compaction/direct";
  const auto dump = load_page_dump(path + ".log.zst", "direct-before");
  ASSERT_TRUE(dump) << dump.error().message;
  std::unique_ptr<CompactionCheck> check;
  TraceReplayOptions options;
  options.observer = [&](const TraceRecord& record, Image& engine) {
    if (!check)
      check = std::make_unique<CompactionCheck>(engine, *dump);
    check->record(record, engine);
  };
  const auto replayed = replay_top(path + ".mmbox", path + ".log.zst", "direct-before", options);
  ASSERT_TRUE(replayed) << replayed.error().message;
  ASSERT_TRUE(check);
  const CompactionReport report = check->take();
  EXPECT_EQ(report.attempts.checked, 66u);
  EXPECT_EQ(report.results.checked, 163u);
  // In the others kswapd frees pages, or the two compact at the same time.
  EXPECT_GE(report.attempts.agreed, 65u);
  EXPECT_GE(report.results.agreed, 162u);
  EXPECT_GE(report.whole.agreed, 46u) << testing::PrintToString(report.differences);
  EXPECT_GE(report.positions.agreed, 27u);
  EXPECT_GE(report.moves.agreed, 3360u);
}

}  // namespace
}  // namespace mmbox::lab
