#include "mmbox/lab/snapshot/page_dump.h"

#include <gtest/gtest.h>

#include "mmbox/lab/snapshot/snapshot_testing.h"

namespace mmbox::lab {
namespace {

TEST(PageDump, KnowsTheKindOfEachPage) {
  const Expected<PageDump> dump = load_page_dump(test_data(kEveryLine));
  ASSERT_TRUE(dump) << dump.error().text();
  EXPECT_EQ(dump->label, "every-line-before");
  EXPECT_EQ(dump->kind_of(Pfn{0}), std::nullopt);
  EXPECT_EQ(dump->kind_of(Pfn{1}), PageKind::Reserved);
  EXPECT_EQ(dump->kind_of(Pfn{0x1f}), PageKind::Reserved);
  EXPECT_EQ(dump->kind_of(Pfn{0x20}), PageKind::Buddy);
  EXPECT_EQ(dump->kind_of(Pfn{0x23}), PageKind::Buddy);
  EXPECT_EQ(dump->kind_of(Pfn{0x25}), PageKind::Anonymous);
  EXPECT_EQ(dump->kind_of(Pfn{0x26}), std::nullopt) << "inside the span of a zone that does not have it";
  EXPECT_EQ(dump->kind_of(Pfn{0x403}), PageKind::Other);
  EXPECT_EQ(dump->kind_of(Pfn{0x404}), std::nullopt);
}

TEST(PageDump, KeepsRunsWithTheirFields) {
  const Expected<PageDump> dump = load_page_dump(test_data(kEveryLine));
  ASSERT_TRUE(dump);
  const PageRun* run = dump->run_of(Pfn{0x21});
  ASSERT_NE(run, nullptr);
  EXPECT_EQ(*run, (PageRun{Pfn{0x20}, PageCount{4}, 0x7ffffc0000000, 0, -128, 2, PageKind::Buddy}));
}

TEST(PageDump, AgreesWithTheFreeListsOfItsSnapshot) {
  const std::string file = "recordings/scripted-basic-numa20/basicn-1.log.zst";
  const Snapshot snapshot = snapshot_of(file, "basicn-1-after");
  const Expected<PageDump> dump = load_page_dump(test_data(file), "basicn-1-after");
  ASSERT_TRUE(dump);
  std::size_t blocks = 0;
  for (const SnapshotZone& zone : snapshot.zones) {
    for (unsigned order = 0; order < kOrders; ++order) {
      for (const std::vector<Pfn>& list : zone.free_areas[order].lists) {
        for (const Pfn pfn : list) {
          const PageRun* run = dump->run_of(pfn);
          ASSERT_NE(run, nullptr);
          EXPECT_EQ(run->start, pfn);
          EXPECT_EQ(run->kind, PageKind::Buddy);
          EXPECT_EQ(run->order, static_cast<int>(order));
          ++blocks;
        }
      }
    }
  }
  EXPECT_GT(blocks, 100U);
}

TEST(PageDump, RefusesWhatIsDamaged) {
  const std::string good = text_of(kEveryLine);
  const struct {
    const char* from;
    const char* to;
    const char* told;
  } cases[] = {
      {"PG 20 4 7", "PG 1f 4 7", "begins before the run above it ends"},
      {"PG 20 4 7", "PG 20 0 7", "PG line"},
      {"PG 20 4 7", "PG 20 99999999999999999999 7", "PG line"},
      {"PG 20 4 7ffffc0000000 0 -128 2 B", "PG 20 4 7ffffc0000000 0 -128 2 Q", "PG line"},
      {"PG 20 4 7ffffc0000000 0 -128 2 B", "PG 20 4 7ffffc0000000 0 -128 B", "PG line"},
      {"PZ node=0 zone=DMA\n", "", "PG line"},
      {"PZ node=0 zone=DMA", "PZ node=0 zone=DNA", "PZ line"},
      {"ENDPAGES every-line-before", "ENDPAGES other", "ends page dump"},
      {"ENDPAGES every-line-before\n", "", "a line that begins with \"OPS\" inside page dump"},
  };
  for (const auto& damage : cases) {
    const ReadLog log = read_log(replaced(good, damage.from, damage.to));
    EXPECT_NE(log.error.find(damage.told), std::string::npos) << damage.from << " gives: " << log.error;
  }
}

TEST(PageFlagBits, AreThoseOfTheDumpsKernel) {
  // Recorded: pages of tmpfs, dirty and swap-backed, on an LRU list.
  EXPECT_EQ(0x8003cU & page_flag_bits(kLinux61).swap_backed, page_flag_bits(kLinux61).swap_backed);
  EXPECT_EQ(0x8003cU & page_flag_bits(kLinux61).dirty, page_flag_bits(kLinux61).dirty);
  for (const Generation& generation : {kLinux612, kLinux72})
    for (const std::uint64_t bit :
         {page_flag_bits(generation).swap_backed, page_flag_bits(generation).dirty, page_flag_bits(generation).lru})
      EXPECT_EQ(0x2003cU & bit, bit) << generation.name;
  EXPECT_EQ(&page_flag_bits(kLinux510), &page_flag_bits(kLinux61));
}

}  // namespace
}  // namespace mmbox::lab
