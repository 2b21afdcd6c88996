#include "mmbox/lab/formats/gfp_layout.h"

#include <gtest/gtest.h>

namespace mmbox::lab {
namespace {

const GfpLayout& layout(std::string_view release) {
  return *gfp_layout_for_release(release);
}

TEST(GfpLayout, ReleaseChoosesTheLayout) {
  EXPECT_EQ(layout("3.10.0-1160.el7").name(), "linux-3.10");
  EXPECT_EQ(layout("2.6.32").name(), "linux-3.10");
  EXPECT_EQ(layout("4.4").name(), "linux-4.4");
  EXPECT_EQ(layout("4.12.14").name(), "linux-4.10");
  EXPECT_EQ(layout("4.19.0-27-amd64").name(), "linux-4.18");
  EXPECT_EQ(layout("linux-5.10").name(), "linux-5.1");
  EXPECT_EQ(layout("6.1.0-56-cloud-amd64").name(), "linux-5.1");
  EXPECT_EQ(layout("6.7").name(), "linux-6.3");
  EXPECT_EQ(layout("6.12.95+deb12").name(), "linux-6.8");
  EXPECT_EQ(layout("7.2.13").name(), "linux-6.13");
  EXPECT_EQ(gfp_layout_for_release("vmlinuz"), nullptr);
  EXPECT_EQ(gfp_layout_for_release("6"), nullptr);
}

struct Composite {
  std::string_view release;
  std::uint32_t kernel, atomic, movable;
  Gfp atomic_flags;
};

// The recognisers of 09 §7.1 and the composites of 05 §4.
class EveryLayout : public testing::TestWithParam<Composite> {};

TEST_P(EveryLayout, ReadsItsCompositesAsCoreFlags) {
  const Composite& c = GetParam();
  EXPECT_EQ(layout(c.release).decode(c.kernel), gfp::kKernel);
  EXPECT_EQ(layout(c.release).decode(c.atomic), c.atomic_flags);
  EXPECT_EQ(layout(c.release).decode(c.movable), gfp::kHighUserMovable);
  EXPECT_EQ(layout(c.release).encode(gfp::kKernel), c.kernel);
  EXPECT_EQ(layout(c.release).encode(gfp::kHighUserMovable), c.movable);
  EXPECT_EQ(layout(c.release).text(c.kernel), "GFP_KERNEL");
  EXPECT_EQ(layout(c.release).text(c.atomic), "GFP_ATOMIC");
  EXPECT_EQ(layout(c.release).text(c.movable), "GFP_HIGHUSER_MOVABLE");
}

INSTANTIATE_TEST_SUITE_P(GfpLayout, EveryLayout,
                         testing::Values(Composite{"3.10", 0xd0, 0x20, 0x200da, gfp::kHigh | gfp::kKswapdReclaim},
                                         Composite{"4.4", 0x24000c0, 0x2080020, 0x24200ca, gfp::kAtomicRequest},
                                         Composite{"4.12", 0x14000c0, 0x1080020, 0x14200ca, gfp::kAtomicRequest},
                                         Composite{"4.19", 0x6000c0, 0x480020, 0x6200ca, gfp::kAtomicRequest},
                                         Composite{"5.10", 0xcc0, 0xa20, 0x100cca, gfp::kAtomicRequest},
                                         Composite{"6.1", 0xcc0, 0xa20, 0x100cca, gfp::kAtomicRequest},
                                         Composite{"6.3", 0xcc0, 0x820, 0x100cca, gfp::kHigh | gfp::kKswapdReclaim},
                                         Composite{"6.12", 0xcc0, 0x820, 0x100cca, gfp::kHigh | gfp::kKswapdReclaim},
                                         Composite{"7.2", 0xcc0, 0x820, 0x100cca, gfp::kHigh | gfp::kKswapdReclaim}));

TEST(GfpLayout, EveryRawBitOfEveryLayoutSurvivesARoundTrip) {
  for (const GfpLayout& each : gfp_layouts()) {
    std::uint32_t known = 0;
    for (std::uint32_t bit = 1; bit != 0; bit <<= 1)
      if (each.encode(each.decode(bit)) == bit)
        known |= bit;
    EXPECT_GE(std::popcount(known), 24) << each.name();
    // In any combination too: no two bits share a flag.
    for (std::uint32_t seed = 1, i = 0; i < 200; ++i, seed = seed * 1664525 + 1013904223)
      EXPECT_EQ(each.encode(each.decode(seed & known)), seed & known) << each.name();
  }
}

TEST(GfpLayout, TextNamesWholeCompositesFirstAndLeavesTheRestInHex) {
  EXPECT_EQ(layout("6.1").text(0xc04), "GFP_NOIO|GFP_DMA32");
  EXPECT_EQ(layout("6.1").text(0xc0c40), "GFP_NOFS|__GFP_COMP|__GFP_NOMEMALLOC");
  EXPECT_EQ(layout("6.1").text(0x400dc0), "GFP_KERNEL_ACCOUNT|__GFP_ZERO");
  EXPECT_EQ(layout("6.1").text(0), "none");
  EXPECT_EQ(layout("5.10").text(0x40dc0), "GFP_KERNEL|__GFP_COMP|__GFP_ZERO");
  EXPECT_EQ(layout("6.17").text(0x40dc0), "GFP_KERNEL|__GFP_ZERO|__GFP_COMP");
  EXPECT_EQ(layout("6.12").text(0x800), "__GFP_KSWAPD_RECLAIM");
  EXPECT_EQ(layout("6.1").text(0x11000cc0), "GFP_KERNEL|0x11000000");
}

TEST(GfpLayout, ParseIsTheInverseOfTextForEveryLayout) {
  for (const GfpLayout& each : gfp_layouts()) {
    for (std::uint32_t seed = 7, i = 0; i < 500; ++i, seed = seed * 1664525 + 1013904223)
      EXPECT_EQ(each.parse(each.text(seed)), seed) << each.name();
    EXPECT_EQ(each.parse("none"), 0U);
  }
}

TEST(GfpLayout, ParseTakesAnyOrderAndTheNamesOfOtherKernels) {
  EXPECT_EQ(layout("6.1").parse("__GFP_ZERO|GFP_KERNEL|__GFP_COMP"), 0x40dc0U);
  EXPECT_EQ(layout("6.1").parse("GFP_WAIT|GFP_IO"), 0x440U);
  EXPECT_EQ(layout("6.1").parse("0xcc0"), 0xcc0U);
  EXPECT_EQ(layout("6.1").parse("GFP_KERNEL|0x1000000"), 0x1000cc0U);
}

TEST(GfpLayout, ParseRefusesWhatNoKernelPrints) {
  for (std::string_view bad : {"", "GFP_", "GFP_KERNEL|", "KERNEL", "GFP_SOMETHING", "0x", "0x123456789", "12"})
    EXPECT_EQ(layout("6.1").parse(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace mmbox::lab
