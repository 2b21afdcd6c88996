#include "mmbox/core/topology/boot_blocks.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

namespace mmbox {
namespace {

using Block = std::pair<std::uint64_t, unsigned>;

std::vector<Block> boot_blocks(std::uint64_t begin, std::uint64_t end) {
  std::vector<Block> blocks;
  for_each_boot_block(PfnRange{Pfn{begin}, Pfn{end}},
                      [&](Pfn pfn, Order order) { blocks.emplace_back(pfn.raw(), order.raw()); });
  return blocks;
}

TEST(BootBlocks, AreTheLargestAlignedOnesThatFit) {
  // 02 §11 example 1.
  const std::vector<Block> expected{{1, 0},    {2, 1},    {4, 2},    {8, 3},    {16, 4},    {32, 5},
                                    {64, 6},   {128, 7},  {256, 8},  {512, 9},  {1024, 10}, {2048, 9},
                                    {2560, 8}, {2816, 7}, {2944, 5}, {2976, 4}, {2992, 3}};
  EXPECT_EQ(boot_blocks(1, 3000), expected);
}

TEST(BootBlocks, NeverExceedTheLargestOrder) {
  EXPECT_EQ(boot_blocks(0, 2048), (std::vector<Block>{{0, 10}, {1024, 10}}));
  EXPECT_EQ(boot_blocks(4096, 4096 + 1023).front(), (Block{4096, 9}));
  EXPECT_EQ(boot_blocks(4096, 4096 + 1024).front(), (Block{4096, 10}));
}

TEST(BootBlocks, AreNoneInAnEmptyRange) {
  EXPECT_TRUE(boot_blocks(7, 7).empty());
  EXPECT_TRUE(boot_blocks(8, 7).empty());
}

TEST(BootBlocks, CoverEveryRangeWithoutGapsInAscendingOrder) {
  for (std::uint64_t begin = 0; begin < 70; ++begin) {
    for (std::uint64_t end = begin; end < 140; ++end) {
      std::uint64_t at = begin;
      for (const auto& [pfn, order] : boot_blocks(begin, end)) {
        ASSERT_EQ(pfn, at);
        ASSERT_EQ(pfn % (1ULL << order), 0u);
        // One order more would be misaligned or would not fit.
        ASSERT_TRUE(order == kMaxPageOrder || pfn % (2ULL << order) != 0 || pfn + (2ULL << order) > end);
        at += 1ULL << order;
      }
      ASSERT_EQ(at, end);
    }
  }
}

TEST(DeferredBlocks, AreWholePageblocksOrSinglePages) {
  std::vector<Block> blocks;
  for_each_deferred_block(PfnRange{Pfn{510}, Pfn{1537}},
                          [&](Pfn pfn, Order order) { blocks.emplace_back(pfn.raw(), order.raw()); });
  EXPECT_EQ(blocks, (std::vector<Block>{{510, 0}, {511, 0}, {512, 9}, {1024, 9}, {1536, 0}}));
}

TEST(DeferredBlocks, OfARangeJustTooShortForAPageblockAreSinglePages) {
  std::size_t singles = 0;
  for_each_deferred_block(PfnRange{Pfn{512}, Pfn{1023}}, [&](Pfn, Order order) {
    ASSERT_EQ(order, Order{0});
    ++singles;
  });
  EXPECT_EQ(singles, 511u);
}

PfnRange pfns(std::uint64_t begin, std::uint64_t end) {
  return PfnRange{Pfn{begin}, Pfn{end}};
}

ZoneConfig zone(std::uint64_t start, std::uint64_t spanned) {
  return ZoneConfig{.node = NodeId{0},
                    .index = ZoneIndex{2},
                    .type = ZoneType::Normal,
                    .start = Pfn{start},
                    .spanned = PageCount{spanned},
                    .present = PageCount{spanned}};
}

TEST(Deferred, StartsAfterOneSectionOfTheHighestZone) {
  const std::array memory{MemoryRange{pfns(1, 0x10000), NodeId{0}}, MemoryRange{pfns(0x100000, 0x120000), NodeId{0}}};
  EXPECT_EQ(first_deferred_pfn(memory, zone(0x100000, 0x20000)), Pfn{0x108000});
  // Exactly one section: nothing is left to defer.
  const std::array small{MemoryRange{pfns(0x100000, 0x108000), NodeId{0}}};
  EXPECT_EQ(first_deferred_pfn(small, zone(0x100000, 0x8000)), Pfn{0x108000});
}

TEST(Deferred, StartsAtASectionBoundary) {
  const std::array memory{MemoryRange{pfns(0x1000, 0x20000), NodeId{0}}};
  EXPECT_EQ(first_deferred_pfn(memory, zone(0x1000, 0x1f000)), Pfn{0x10000});
  // Holes do not count as initialised: the second range has to supply the missing 0x4000 pages.
  const std::array holes{MemoryRange{pfns(0x100000, 0x104000), NodeId{0}},
                         MemoryRange{pfns(0x10c000, 0x130000), NodeId{0}}};
  EXPECT_EQ(first_deferred_pfn(holes, zone(0x100000, 0x30000)), Pfn{0x110000});
}

TEST(Deferred, LeavesLowerZonesAlone) {
  const std::array memory{MemoryRange{pfns(1, 0x30000), NodeId{0}}, MemoryRange{pfns(0x100000, 0x120000), NodeId{0}}};
  EXPECT_EQ(first_deferred_pfn(memory, zone(0x1000, 0xff000)), Pfn{0x100000});
}

}  // namespace
}  // namespace mmbox
