#include "mmbox/lab/population/gfp_use.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mmbox/lab/formats/gfp_layout.h"

namespace mmbox::lab {
namespace {

Gfp mask(const std::string& text, std::string_view release = "6.1") {
  const GfpLayout* const layout = gfp_layout_for_release(release);
  const auto raw = layout->parse(text);
  EXPECT_TRUE(raw) << text;
  return layout->decode(raw.value_or(0));
}

struct Case {
  const char* release;
  const char* mask;
  unsigned order;
  PageUse use;
};

/// Masks of recorded traces, whose pages the page dump afterwards showed to be of that use.
TEST(GfpUse, RecordedMasksAreOfTheUseThatTheDumpShowed) {
  const Case cases[] = {
      {"6.1", "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO", 0, PageUse::Anonymous},
      {"6.1", "GFP_NOFS|__GFP_HIGHMEM|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_HARDWALL|__GFP_MOVABLE", 0,
       PageUse::File},
      {"7.2", "GFP_NOFS|__GFP_HIGHMEM|__GFP_MOVABLE|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_HARDWALL", 9,
       PageUse::File},
      {"6.1", "GFP_HIGHUSER_MOVABLE|__GFP_COMP", 0, PageUse::File},
      {"6.1", "GFP_NOFS|__GFP_NOFAIL|__GFP_COMP|__GFP_HARDWALL|__GFP_MOVABLE", 0, PageUse::File},
      {"6.1", "GFP_NOFS|__GFP_NOFAIL|__GFP_COMP|__GFP_HARDWALL", 0, PageUse::File},
      {"5.10", "GFP_NOFS|__GFP_NOFAIL|__GFP_HARDWALL", 0, PageUse::File},
      {"6.12", "GFP_NOWAIT|__GFP_COMP", 0, PageUse::File},
      {"6.1", "GFP_NOWAIT|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_RECLAIMABLE", 1, PageUse::Slab},
      {"6.12", "GFP_NOWAIT|__GFP_NORETRY|__GFP_COMP", 0, PageUse::Slab},
      {"6.1", "GFP_KERNEL|__GFP_NOWARN|__GFP_NORETRY", 0, PageUse::Slab},
      {"6.1", "__GFP_IO|__GFP_FS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_NOMEMALLOC", 3, PageUse::Slab},
      {"6.1", "GFP_HIGHUSER|__GFP_NOWARN|__GFP_COMP|__GFP_ZERO|__GFP_NOMEMALLOC", 9, PageUse::Kernel},
      {"7.2", "GFP_KERNEL_ACCOUNT|__GFP_ZERO|__GFP_COMP", 0, PageUse::Kernel},
      {"7.2", "GFP_NOIO|__GFP_HIGHMEM|__GFP_NOWARN|__GFP_NORETRY", 0, PageUse::Kernel},
      {"6.1", "GFP_KERNEL|__GFP_NOWARN|__GFP_RETRY_MAYFAIL", 9, PageUse::Kernel},
      {"6.1", "GFP_KERNEL|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP", 9, PageUse::Kernel},
  };
  for (const Case& each : cases)
    EXPECT_EQ(use_of(mask(each.mask, each.release), Order{each.order}).use, each.use)
        << each.release << ' ' << each.mask << ": " << use_of(mask(each.mask, each.release), Order{each.order}).what;
}

TEST(GfpUse, NothingIsKnownOfAMaskWithoutFlagsButThatItStays) {
  EXPECT_EQ(use_of(Gfp{}, Order{0}).use, PageUse::Kernel);
  EXPECT_EQ(use_of(Gfp{}, Order{10}).use, PageUse::Kernel);
}

TEST(GfpUse, SlabAsksForNoCostlyOrder) {
  const Gfp gfp = gfp::kKernel | gfp::kNoWarn | gfp::kNoRetry | gfp::kComp;
  EXPECT_EQ(use_of(gfp, Order{3}).use, PageUse::Slab);
  EXPECT_EQ(use_of(gfp, Order{4}).use, PageUse::Kernel);
}

TEST(GfpUse, ABlockOfSeveralPagesThatIsNotCompoundStays) {
  const Gfp gfp = gfp::kHighUserMovable | gfp::kZero;
  EXPECT_EQ(use_of(gfp, Order{0}).use, PageUse::Anonymous);
  EXPECT_EQ(use_of(gfp, Order{1}).use, PageUse::Kernel);
  EXPECT_EQ(use_of(gfp | gfp::kComp, Order{1}).use, PageUse::Anonymous);
}

TEST(GfpUse, HugePagesOfThePoolStayAndTransparentOnesDoNot) {
  const Gfp pool = gfp::kHighUserMovable | gfp::kComp | gfp::kNoWarn | gfp::kRetryMayfail;
  EXPECT_EQ(use_of(pool, Order{9}).use, PageUse::Kernel);
  EXPECT_EQ(use_of(gfp::kTranshuge, Order{9}).use, PageUse::Anonymous);
  EXPECT_EQ(use_of(gfp::kTranshugeLight | gfp::kNoRetry, Order{9}).use, PageUse::Anonymous);
}

TEST(GfpUse, WhatIsWrittenIsDirtyAndSharedMemoryGoesToSwap) {
  const Gfp written = gfp::kHighUserMovable | gfp::kComp | gfp::kWrite;
  EXPECT_TRUE(page_of(use_of(written, Order{0}), written, Order{0}).is_dirty);
  const Gfp shared = gfp::kHighUserMovable | gfp::kComp;
  const PopulationPage page = page_of(use_of(shared, Order{0}), shared, Order{0});
  EXPECT_TRUE(page.is_swap_backed);
  EXPECT_FALSE(page.is_dirty);
  EXPECT_FALSE(page.is_compound) << "a single page is no compound one, whatever its mask says";
}

TEST(GfpUse, CompressedSwapMovesByItsDriver) {
  const Gfp gfp = gfp::kKswapdReclaim | gfp::kHighMem | gfp::kMovable | gfp::kNoWarn;
  EXPECT_EQ(use_of(gfp, Order{0}).use, PageUse::Driver);
}

}  // namespace
}  // namespace mmbox::lab
