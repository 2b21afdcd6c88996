#include "mmbox/core/alloc/watermark_check.h"

#include <gtest/gtest.h>

#include <array>

namespace mmbox {
namespace {

using alloc_flag::kCma;
using alloc_flag::kHarder;
using alloc_flag::kHigh;
using alloc_flag::kHighAtomic;
using alloc_flag::kMinReserve;
using alloc_flag::kNonBlock;
using alloc_flag::kOom;

/// Blocks by order; which types they are of, by order.
struct Blocks {
  std::array<std::uint64_t, kOrders> count{};
  std::array<unsigned, kOrders> types{};  // bit n: Migratetype n is there
  constexpr std::uint64_t free_blocks(unsigned order) const { return count[order]; }
  constexpr bool has_block(unsigned order, Migratetype type) const { return (types[order] >> raw(type) & 1U) != 0; }
  static constexpr unsigned max_order() { return kMaxPageOrder; }
};

constexpr Blocks one_block(unsigned order, Migratetype type) {
  Blocks blocks;
  blocks.count[order] = 1;
  blocks.types[order] = 1U << raw(type);
  return blocks;
}

constexpr WatermarkPolicy kPolicy412{WatermarkRule::Harder, WatermarkFastRule::CmaOnly, BoostException::None};
constexpr WatermarkPolicy kPolicy510{WatermarkRule::HarderOom, WatermarkFastRule::AllDeductions,
                                     BoostException::GfpAtomic};
constexpr WatermarkPolicy kPolicy61{WatermarkRule::Reserves, WatermarkFastRule::AllDeductions,
                                    BoostException::GfpAtomic};
constexpr WatermarkPolicy kPolicy612{WatermarkRule::Reserves, WatermarkFastRule::AllDeductions,
                                     BoostException::MinReserve};

bool one_page_ok(const WatermarkPolicy& policy, std::int64_t mark, AllocFlags flags, const WatermarkZone& zone) {
  return watermark_fast_ok(policy, Order{0}, mark, 0, Gfp{}, flags, zone, Blocks{});
}

TEST(Watermark, RightsLowerTheMarkByTruncatedHalvesAndQuarters) {
  struct Case {
    WatermarkRule rule;
    std::int64_t mark;
    AllocFlags flags;
    std::int64_t lowered;
  };
  const std::array cases{
      // 06 section 1, "Worked arithmetic", mark 1000
      Case{WatermarkRule::Reserves, 1000, AllocFlags{}, 1000},
      Case{WatermarkRule::Reserves, 1000, kMinReserve, 500},
      Case{WatermarkRule::Reserves, 1000, kMinReserve | kNonBlock, 375},
      Case{WatermarkRule::Reserves, 1000, kNonBlock, 1000},
      Case{WatermarkRule::Reserves, 1000, kOom, 500},
      Case{WatermarkRule::Reserves, 1000, kMinReserve | kOom, 250},
      Case{WatermarkRule::Reserves, 1000, kMinReserve | kNonBlock | kOom, 188},
      // 03 section 4: the larger half stays
      Case{WatermarkRule::Reserves, 101, kMinReserve, 51},
      Case{WatermarkRule::Reserves, 101, kMinReserve | kNonBlock, 39},
      Case{WatermarkRule::HarderOom, 1000, kHigh | kHarder, 375},
      Case{WatermarkRule::HarderOom, 1000, kHarder, 750},
      Case{WatermarkRule::HarderOom, 1000, kHigh | kHarder | kOom, 250},
      Case{WatermarkRule::HarderOom, 1000, kOom, 500},
      Case{WatermarkRule::Harder, 1000, kHigh | kHarder, 375},
      Case{WatermarkRule::Harder, 1000, kHarder, 750},
      Case{WatermarkRule::Loop, 1000, kHigh | kHarder, 375},
  };
  for (const Case& c : cases)
    EXPECT_EQ(lowered_mark(c.rule, c.mark, c.flags), c.lowered)
        << "rule " << static_cast<int>(c.rule) << " mark " << c.mark << " flags " << c.flags.raw();
}

// 03 section 12, example 10
TEST(Watermark, TheComparisonIsStrictAfterTheHighAtomicDeduction) {
  const WatermarkZone at{1512, 512, 0, 0};
  const WatermarkZone above{1513, 512, 0, 0};
  EXPECT_FALSE(one_page_ok(kPolicy61, 1000, AllocFlags{}, at));
  EXPECT_TRUE(one_page_ok(kPolicy61, 1000, AllocFlags{}, above));
}

TEST(Watermark, AtomicMayDipBelowMin) {
  EXPECT_FALSE(one_page_ok(kPolicy61, 1000, kMinReserve | kNonBlock, {375, 512, 0, 0}));
  EXPECT_TRUE(one_page_ok(kPolicy61, 1000, kMinReserve | kNonBlock, {376, 512, 0, 0}));
  EXPECT_FALSE(one_page_ok(kPolicy61, 1000, kOom, {500, 512, 0, 0}));
  EXPECT_TRUE(one_page_ok(kPolicy61, 1000, kOom, {501, 512, 0, 0}));
}

TEST(Watermark, AHighOrderNeedsAFreeBlockBesidesThePages) {
  const WatermarkZone zone{1008, 0, 0, 0};  // 1008 - 7 = 1001 > 1000
  for (const WatermarkRule rule : {WatermarkRule::Harder, WatermarkRule::HarderOom, WatermarkRule::Reserves}) {
    EXPECT_TRUE(watermark_ok(rule, Order{3}, 1000, AllocFlags{}, zone, one_block(3, Migratetype::Movable)));
    EXPECT_TRUE(watermark_ok(rule, Order{3}, 1000, AllocFlags{}, zone, one_block(10, Migratetype::Reclaimable)));
    EXPECT_FALSE(watermark_ok(rule, Order{3}, 1000, AllocFlags{}, zone, one_block(2, Migratetype::Movable)));
    EXPECT_FALSE(watermark_ok(rule, Order{3}, 1000, AllocFlags{}, {1007, 0, 0, 0}, one_block(3, Migratetype::Movable)));
  }
}

TEST(Watermark, WhoMayUseABlockDependsOnItsType) {
  struct Case {
    WatermarkRule rule;
    Migratetype type;
    AllocFlags flags;
    bool usable;
  };
  const std::array cases{
      Case{WatermarkRule::Reserves, Migratetype::Cma, AllocFlags{}, false},
      Case{WatermarkRule::Reserves, Migratetype::Cma, kCma, true},
      Case{WatermarkRule::Reserves, Migratetype::HighAtomic, kNonBlock, false},
      Case{WatermarkRule::Reserves, Migratetype::HighAtomic, kHighAtomic, true},
      Case{WatermarkRule::Reserves, Migratetype::HighAtomic, kOom, true},
      Case{WatermarkRule::HarderOom, Migratetype::HighAtomic, kHigh, false},
      Case{WatermarkRule::HarderOom, Migratetype::HighAtomic, kHarder, true},
      Case{WatermarkRule::HarderOom, Migratetype::Isolate, kHarder, false},
      Case{WatermarkRule::Harder, Migratetype::Isolate, kHarder, true},  // 05a section 6: any block
      Case{WatermarkRule::Harder, Migratetype::Isolate, kHigh, false},
      Case{WatermarkRule::Harder, Migratetype::HighAtomic, kHigh, false},
  };
  for (const Case& c : cases)
    EXPECT_EQ(has_usable_block(c.rule, Order{2}, c.flags, one_block(5, c.type)), c.usable)
        << "rule " << static_cast<int>(c.rule) << " type " << raw(c.type) << " flags " << c.flags.raw();
}

TEST(Watermark, OnlyTheReservesRuleGivesSinglePagesFromTheHighAtomicReserve) {
  EXPECT_FALSE(may_take_highatomic(WatermarkRule::HarderOom, Order{0}, kHigh | kHarder));
  EXPECT_TRUE(may_take_highatomic(WatermarkRule::HarderOom, Order{1}, kHigh | kHarder));
  EXPECT_FALSE(may_take_highatomic(WatermarkRule::HarderOom, Order{1}, kHigh));
  EXPECT_TRUE(may_take_highatomic(WatermarkRule::Reserves, Order{0}, kNonBlock));
  EXPECT_FALSE(may_take_highatomic(WatermarkRule::Reserves, Order{3}, kMinReserve));
}

// 05a section 19, example 15
TEST(Watermark, LoopPassesWithoutLookingForABlock) {
  Blocks blocks;
  blocks.count[0] = 20;
  blocks.count[1] = 10;
  const WatermarkZone zone{130, 0, 0, 0};
  EXPECT_TRUE(watermark_ok(WatermarkRule::Loop, Order{2}, 100, AllocFlags{}, zone, blocks));
  EXPECT_FALSE(watermark_ok(WatermarkRule::Harder, Order{2}, 100, AllocFlags{}, zone, blocks));
}

// 10 section 7, E5: DMA32 of a 3.13 kernel
TEST(Watermark, LoopRefusesAtOrderTwoAlthoughOrderFourBlocksAreFree) {
  Blocks blocks;
  blocks.count = {17854, 2829, 1547, 0, 15, 0, 0, 0, 0, 0, 0};
  blocks.types[4] = 1U << raw(Migratetype::Unmovable);
  const WatermarkZone zone{30388, 0, 0, 694};
  const LoopOutcome outcome = loop_test(Order{4}, 13840, AllocFlags{}, zone, blocks);
  EXPECT_FALSE(outcome.passes);
  EXPECT_FALSE(outcome.failed_first);
  EXPECT_EQ(outcome.failed_order, 2U);
  EXPECT_EQ(outcome.free_left, 673);
  EXPECT_EQ(outcome.mark, 1730);
  EXPECT_TRUE(watermark_ok(WatermarkRule::Harder, Order{4}, 13840, AllocFlags{}, zone, blocks));
}

TEST(Watermark, LoopTakesCmaPagesOffInTheFirstComparisonOnly) {
  Blocks blocks;
  blocks.count[0] = 40;
  // First: 101 - 1 - 49 = 51 > 50. Then 100 - 40 = 60 > 25, with the CMA pages back in.
  EXPECT_TRUE(watermark_ok(WatermarkRule::Loop, Order{1}, 50, AllocFlags{}, {101, 0, 49, 0}, blocks));
  EXPECT_FALSE(watermark_ok(WatermarkRule::Loop, Order{1}, 50, AllocFlags{}, {101, 0, 50, 0}, blocks));
}

// 05a section 19, example 16
TEST(Watermark, TheShortcutOf412IgnoresTheHighAtomicReserve) {
  const WatermarkZone zone{1512, 512, 0, 0};
  EXPECT_FALSE(watermark_ok(WatermarkRule::Harder, Order{0}, 1000, AllocFlags{}, zone, Blocks{}));
  EXPECT_TRUE(one_page_ok(kPolicy412, 1000, AllocFlags{}, zone));
  EXPECT_FALSE(one_page_ok(kPolicy510, 1000, AllocFlags{}, zone));
}

TEST(Watermark, TheShortcutOf412PassesWhenMoreCmaThanFreePagesAreVisible) {
  EXPECT_TRUE(one_page_ok(kPolicy412, 1000, AllocFlags{}, {10, 0, 11, 0}));
  EXPECT_FALSE(one_page_ok(kPolicy510, 1000, AllocFlags{}, {10, 0, 11, 0}));
}

TEST(Watermark, CmaPagesCountOnlyForThoseWhoMayUseThem) {
  EXPECT_FALSE(one_page_ok(kPolicy61, 1000, AllocFlags{}, {1200, 0, 200, 0}));
  EXPECT_TRUE(one_page_ok(kPolicy61, 1000, kCma, {1200, 0, 200, 0}));
}

TEST(Watermark, LowmemReserveIsAddedToTheMarkAfterItWasLowered) {
  EXPECT_FALSE(one_page_ok(kPolicy61, 1000, kMinReserve | kNonBlock, {475, 0, 0, 100}));
  EXPECT_TRUE(one_page_ok(kPolicy61, 1000, kMinReserve | kNonBlock, {476, 0, 0, 100}));
}

TEST(Watermark, TheBoostIsIgnoredOnlyByTheNamedCallersForOnePageAtMin) {
  const WatermarkZone zone{900, 0, 0, 0};
  const auto ok = [&](const WatermarkPolicy& policy, Order order, Gfp gfp, AllocFlags flags) {
    return watermark_fast_ok(policy, order, 1500, 700, gfp, flags, zone, one_block(4, Migratetype::Movable));
  };
  EXPECT_TRUE(ok(kPolicy61, Order{0}, gfp::kAtomic, AllocFlags{}));
  EXPECT_FALSE(ok(kPolicy61, Order{0}, Gfp{}, AllocFlags{}));
  EXPECT_FALSE(ok(kPolicy61, Order{1}, gfp::kAtomic, AllocFlags{}));
  EXPECT_FALSE(ok(kPolicy61, Order{0}, gfp::kAtomic, alloc_flag::kWmarkLow));
  EXPECT_FALSE(ok(kPolicy412, Order{0}, gfp::kAtomic, AllocFlags{}));
  // 1500 halved is 750 < 900 anyway; a bigger boost shows the exception of 6.3 and later.
  EXPECT_FALSE(watermark_fast_ok(kPolicy61, Order{0}, 2000, 1200, Gfp{}, kMinReserve, zone, Blocks{}));
  EXPECT_TRUE(watermark_fast_ok(kPolicy612, Order{0}, 2000, 1200, Gfp{}, kMinReserve, zone, Blocks{}));
}

// The quick path relies on it: where a zone is clearly above a mark, no rule refuses an ordinary first attempt.
TEST(Watermark, NoRuleRefusesOnePageWhereTheMarkIsClearlyMet) {
  constexpr std::array<WatermarkPolicy, 5> kPolicies{
      WatermarkPolicy{WatermarkRule::Loop, WatermarkFastRule::None, BoostException::None}, kPolicy412, kPolicy510,
      kPolicy61, kPolicy612};
  unsigned clear = 0;
  for (const std::int64_t free : {0, 1, 7, 8, 9, 107, 108, 109, 300}) {
    for (const std::int64_t highatomic : {0, 1, 5, 100}) {
      for (const std::int64_t cma : {0, 1, 5, 100}) {
        for (const std::int64_t mark : {0, 1, 2, 100}) {
          const WatermarkZone zone{free, highatomic, cma, mark / 2};
          if (!watermark_clearly_ok(0, mark, zone))
            continue;
          ++clear;
          for (const WatermarkPolicy& policy : kPolicies)
            for (const AllocFlags flags : {alloc_flag::kWmarkLow, alloc_flag::kWmarkLow | kCma})
              EXPECT_TRUE(one_page_ok(policy, mark, flags, zone)) << free << ' ' << highatomic << ' ' << cma;
        }
      }
    }
  }
  EXPECT_GT(clear, 100U);
  EXPECT_FALSE(watermark_clearly_ok(0, 10, {20, 4, 3, 3}));
  EXPECT_TRUE(watermark_clearly_ok(0, 10, {21, 4, 3, 3}));
}

}  // namespace
}  // namespace mmbox
