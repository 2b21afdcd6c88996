#include "mmbox/lab/image/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mmbox/lab/snapshot/compare.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

const std::string kData = MMBOX_TEST_DATA "/";

/// Every snapshot of a recording.
std::vector<Snapshot> snapshots_of(const std::string& file) {
  std::vector<Snapshot> found;
  auto reader = LogReader::open(kData + file);
  EXPECT_TRUE(reader) << file;
  while (reader) {
    auto item = reader->next();
    if (!item || !*item)
      break;
    if (auto* snapshot = std::get_if<Snapshot>(&**item))
      found.push_back(std::move(*snapshot));
  }
  EXPECT_FALSE(found.empty()) << file;
  return found;
}

TEST(Image, ARecordedStateComesBackAsItWas) {
  for (const char* file :
       {"recordings/scripted-basic-uma/basic-1.log.zst", "recordings/scripted-basic-movable/basic-1.log.zst",
        "recordings/scripted-basic-numa20/basicn-1.log.zst"}) {
    for (const Snapshot& snapshot : snapshots_of(file)) {
      const auto image = image_of(snapshot, kLinux61);
      ASSERT_TRUE(image) << image.error().message;
      EXPECT_EQ(validate(image->machine().view()), std::nullopt) << file << " " << snapshot.label;
      EXPECT_TRUE(compare(snapshot, snapshot_of(image->machine(), snapshot), {}).equal()) << file << snapshot.label;
    }
  }
}

TEST(Image, ACopyGoesItsOwnWay) {
  const std::vector<Snapshot> snapshots = snapshots_of("recordings/scripted-basic-uma/basic-1.log.zst");
  auto image = image_of(snapshots.front(), kLinux61);
  ASSERT_TRUE(image);
  Image copy = image->copy();
  const Request request{.gfp = gfp::kKernel, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}};
  const AllocResult first = copy.machine().alloc(request);
  ASSERT_TRUE(first);
  EXPECT_EQ(validate(copy.machine().view()), std::nullopt);
  EXPECT_TRUE(compare(snapshots.front(), snapshot_of(image->machine(), snapshots.front()), {}).equal());
  EXPECT_FALSE(compare(snapshots.front(), snapshot_of(copy.machine(), snapshots.front()), {}).equal());
  const AllocResult again = image->machine().alloc(request);
  ASSERT_TRUE(again);
  EXPECT_EQ(*first, *again);
}

TEST(Image, ASnapshotOfAnUnknownMachineIsRefused) {
  Snapshot snapshot = snapshots_of("recordings/scripted-basic-uma/basic-1.log.zst").front();
  snapshot.zones.front().type = ZoneType::HighMem;
  const auto image = image_of(snapshot, kLinux61);
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message, testing::HasSubstr("no known set of"));
}

TEST(Image, APerCpuListThatTheKernelDoesNotHaveIsRefused) {
  Snapshot snapshot = snapshots_of("recordings/scripted-basic-uma/basic-1.log.zst").front();
  snapshot.zones.front().cpus.front().lists[7].push_back({snapshot.zones.front().start, Migratetype::Movable});
  const auto image = image_of(snapshot, kLinux510);
  ASSERT_FALSE(image);
  EXPECT_NE(image.error().message.find("has blocks, and this kernel has no such list"), std::string::npos)
      << image.error().message;
}

TEST(Image, PagesOnPerCpuListsAreCountedNotBelieved) {
  Snapshot snapshot = snapshots_of("recordings/scripted-basic-uma/basic-1.log.zst").front();
  const std::int32_t pages = snapshot.zones.front().cpus.front().count;
  snapshot.zones.front().cpus.front().count = pages + 1000;
  const auto image = image_of(snapshot, kLinux61);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->machine().view().pageset(ZoneId{0}, CpuId{0}).count, pages);
}

TEST(Image, ASnapshotWithoutCpusIsRefused) {
  Snapshot snapshot = snapshots_of("recordings/scripted-basic-uma/basic-1.log.zst").front();
  snapshot.cpus.clear();
  const auto image = image_of(snapshot, kLinux61);
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message, testing::HasSubstr("CPU"));
}

}  // namespace
}  // namespace mmbox::lab
