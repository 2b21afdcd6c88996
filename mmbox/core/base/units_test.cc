#include "mmbox/core/base/units.h"

#include <gtest/gtest.h>

namespace mmbox {
namespace {

TEST(Pfn, BuddyIsTheOtherHalf) {
  EXPECT_EQ(Pfn{12}.buddy(Order{2}), Pfn{8});
  EXPECT_EQ(Pfn{8}.buddy(Order{2}), Pfn{12});
  EXPECT_EQ(Pfn{0}.buddy(Order{10}), Pfn{1024});
}

TEST(Pfn, AlignsDownToItsBlock) {
  EXPECT_EQ(Pfn{1023}.align_down(Order{9}), Pfn{512});
  EXPECT_TRUE(Pfn{512}.is_aligned(Order{9}));
  EXPECT_FALSE(Pfn{513}.is_aligned(Order{1}));
}

}  // namespace
}  // namespace mmbox
