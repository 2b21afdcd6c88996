#include "mmbox/core/topology/fragmentation.h"

#include <gtest/gtest.h>

#include <array>

namespace mmbox {
namespace {

using Counts = std::array<std::uint64_t, kOrders>;

TEST(Fragmentation, IndexIsMinusThousandWhenABlockFits) {
  EXPECT_EQ(fragmentation_index(Counts{5, 0, 0, 1}, Order{3}), -1000);
  EXPECT_EQ(fragmentation_index(Counts{5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, Order{3}), -1000);
  EXPECT_NE(fragmentation_index(Counts{5, 0, 1}, Order{3}), -1000);
}

TEST(Fragmentation, IndexIsZeroWithoutFreeBlocksOrAboveTheTopOrder) {
  EXPECT_EQ(fragmentation_index(Counts{}, Order{3}), 0);
  EXPECT_EQ(fragmentation_index(Counts{1, 2, 3}, Order{11}), 0);
}

// 10 section 7, E2 Normal: 193495 pages in 167595 blocks
TEST(Fragmentation, TendsToThousandWhenMemoryIsBrokenUp) {
  const Counts e2{141767, 25812, 6, 10};
  ASSERT_EQ(sum_free_blocks(e2, Order{4}).pages, 193495U);
  ASSERT_EQ(sum_free_blocks(e2, Order{4}).blocks, 167595U);
  EXPECT_EQ(fragmentation_index(e2, Order{4}), 928);
  EXPECT_EQ(unusable_free_index(e2, Order{4}), 1000);
  EXPECT_EQ(external_fragmentation_percent(e2, Order{4}), 100U);
}

TEST(Fragmentation, ASingleBlockGivesANegativeIndexThatNeverBlocksCompaction) {
  // 07 section 1: -(F * 1000 / 2^k); one order-2 block, order 3 wanted
  EXPECT_EQ(fragmentation_index(Counts{0, 0, 1}, Order{3}), -500);
  EXPECT_EQ(fragmentation_index(Counts{1}, Order{3}), -125);
}

TEST(Fragmentation, TowardZeroMemoryIsShort) {
  EXPECT_EQ(fragmentation_index(Counts{2}, Order{9}), 1000 - (1000 + 2000 / 512) / 2);
}

TEST(Fragmentation, UnusableIndexIsThePartInSmallerBlocks) {
  EXPECT_EQ(unusable_free_index(Counts{8, 0, 0, 1}, Order{3}), 500);
  EXPECT_EQ(unusable_free_index(Counts{}, Order{3}), 1000);
  EXPECT_EQ(external_fragmentation_percent(Counts{}, Order{3}), 0U);
}

}  // namespace
}  // namespace mmbox
