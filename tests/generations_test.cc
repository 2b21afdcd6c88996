// What each generation does otherwise, by the worked examples of the specification; and that every policy matters.
#include "mmbox/lab/generations/generations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mmbox/core/topology/boot_blocks.h"
#include "mmbox/core/topology/watermark.h"
#include "mmbox/core/topology/zonelist.h"
#include "tests/support/small_machine.h"

namespace mmbox {
namespace {

using enum Migratetype;
using test::EventText;
using test::SmallConfig;
using test::SmallMachine;
using test::SmallZone;
using testing::ElementsAre;
using testing::IsEmpty;
using Pfns = SmallMachine::Pfns;

SmallConfig config_of(const Generation& generation, std::int32_t batch = 1) {
  SmallConfig config;
  config.generation = generation;
  config.batch = batch;
  return config;
}

/// The frame that the free lists give, or kFailed.
std::uint64_t take(SmallMachine& m, unsigned order, Migratetype type, RmqueueMode& mode) {
  const auto taken = m.buddy().rmqueue(order, type, alloc_flag::kKswapd, mode);
  return taken ? m.view().env.map.pfn(taken->index).raw() : SmallMachine::kFailed;
}
std::uint64_t take(SmallMachine& m, unsigned order, Migratetype type) {
  RmqueueMode mode = RmqueueMode::Normal;
  return take(m, order, type, mode);
}

// ------------------------------------------------------------- boot (05a §2, example 1)

TEST(Boot, WordsAndLargestBlocksEndInTheSameLists) {
  for (const Generation* generation : lab::generations()) {
    const bool by_rule = generation == &kLinux310 || generation == &kLinux412;
    SmallConfig config = config_of(*generation);
    config.zones = {SmallZone{.pages = 5120}};
    SmallMachine m{config};
    m->release_boot_memory({Pfn{1}, Pfn{5000}});
    EXPECT_EQ(m.list(0, Movable), (Pfns{1})) << generation->name;
    EXPECT_EQ(m.list(9, Movable), by_rule ? (Pfns{4096, 512}) : (Pfns{512, 4096})) << generation->name;
    EXPECT_EQ(m.list(3, Movable), by_rule ? (Pfns{4992, 8}) : (Pfns{8, 4992})) << generation->name;
    EXPECT_EQ(m.list(7, Movable), (Pfns{128, 4864})) << generation->name;
    EXPECT_EQ(m.list(8, Movable), (Pfns{256, 4608})) << generation->name;
    EXPECT_EQ(m.violation(), "") << generation->name;
  }
}

TEST(Boot, AWordIsReleasedWholeAndItsEdgesPageByPage) {
  std::vector<std::pair<std::uint64_t, unsigned>> blocks;
  for_each_boot_word({Pfn{62}, Pfn{194}}, [&](Pfn pfn, Order order) { blocks.emplace_back(pfn.raw(), order.raw()); });
  EXPECT_THAT(blocks, ElementsAre(std::pair{62, 0U}, std::pair{63, 0U}, std::pair{64, 6U}, std::pair{128, 6U},
                                  std::pair{192, 0U}, std::pair{193, 0U}));
}

// ------------------------------------------------------------- fallback (05a §7, examples 2 to 6)

/// The zone of examples 2 and 3: a Movable pageblock with four free blocks and `movable` pages on LRU lists.
void prepare_example_2(SmallMachine& m, std::uint64_t movable) {
  m.zone().watermark[2] = 150;
  m.free_block(100, 0);
  m.free_block(16, 2);
  m.free_block(64, 2);
  m.free_block(40, 3);
  m.contents.ranges = {{Pfn{128}, Pfn{128 + movable}}};
}

struct FallbackCase {
  const Generation* generation;
  std::uint64_t first;       // what an Unmovable request of order 0 gets
  std::uint64_t next;        // and then one of order 2
  std::int64_t boost;        // after the first
  Migratetype type;          // of the pageblock
  Pfns unmovable_order_two;  // after the first
};

TEST(Fallback, AnUnclaimedPageblockIsSharedInEachKernelsOwnWay) {
  const FallbackCase cases[] = {
      {&kLinux310, 40, 44, 0, Movable, {44}},        {&kLinux412, 100, 64, 0, Movable, {64, 16}},
      {&kLinux510, 100, 16, 512, Movable, {16, 64}}, {&kLinux61, 100, 16, 512, Movable, {16, 64}},
      {&kLinux612, 100, 16, 512, Movable, {}},       {&kLinux72, 100, 16, 512, Movable, {}},
  };
  for (const FallbackCase& c : cases) {
    SmallMachine m{config_of(*c.generation)};
    prepare_example_2(m, 384);
    EXPECT_EQ(take(m, 0, Unmovable), c.first) << c.generation->name;
    EXPECT_EQ(m.zone().watermark_boost, c.boost) << c.generation->name;
    EXPECT_EQ(m.type(0), c.type) << c.generation->name;
    EXPECT_EQ(m.list(2, Unmovable), c.unmovable_order_two) << c.generation->name;
    EXPECT_EQ(take(m, 2, Unmovable), c.next) << c.generation->name;
    EXPECT_EQ(m.type(0), Movable) << c.generation->name;
  }
}

TEST(Fallback, TheRemainderOfABlockTakenIn310IsOfTheRequestsType) {
  SmallMachine m{config_of(kLinux310)};
  prepare_example_2(m, 384);
  EXPECT_EQ(take(m, 0, Unmovable), 40U);
  EXPECT_EQ(m.lists(), "o0 Unmovable [41] o0 Movable [100] o1 Unmovable [42] o2 Unmovable [44] o2 Movable [16, 64]");
}

TEST(Fallback, AStolenPageLeavesTheOtherBlocksWhereTheyAre) {
  SmallMachine m{config_of(kLinux612)};
  prepare_example_2(m, 384);
  EXPECT_EQ(take(m, 0, Unmovable), 100U);
  EXPECT_EQ(m.lists(), "o2 Movable [16, 64] o3 Movable [40]");
  EXPECT_NE(m.zone().flags & zone_flag::kBoostedWatermark, 0U);
}

TEST(Fallback, APageblockWorthItIsClaimed) {
  const FallbackCase cases[] = {
      {&kLinux310, 40, 0, 0, Movable, {44}},          {&kLinux412, 100, 0, 0, Unmovable, {64, 16}},
      {&kLinux510, 100, 0, 512, Unmovable, {16, 64}}, {&kLinux61, 100, 0, 512, Unmovable, {16, 64}},
      {&kLinux612, 100, 0, 512, Unmovable, {16, 64}}, {&kLinux72, 100, 0, 512, Unmovable, {16, 64}},
  };
  for (const FallbackCase& c : cases) {
    SmallMachine m{config_of(*c.generation)};
    prepare_example_2(m, 172);
    EXPECT_EQ(take(m, 0, Unmovable), c.first) << c.generation->name;
    EXPECT_EQ(m.type(0), c.type) << c.generation->name;
    EXPECT_EQ(m.list(2, Unmovable), c.unmovable_order_two) << c.generation->name;
    EXPECT_EQ(m.zone().watermark_boost, c.boost) << c.generation->name;
  }
}

TEST(Fallback, In310ALargeBlockBringsItsPageblock) {
  SmallMachine m{config_of(kLinux310)};
  m.free_block(0, 8);
  m.free_block(300, 2);
  EXPECT_EQ(take(m, 0, Unmovable), 0U);
  EXPECT_EQ(m.type(0), Unmovable);
  EXPECT_EQ(m.list(0, Unmovable), (Pfns{1}));
  EXPECT_EQ(m.list(2, Unmovable), (Pfns{4, 300}));
  EXPECT_EQ(m.list(7, Unmovable), (Pfns{128}));
}

TEST(Fallback, AMovableRequestSparesTheLargerBlockSince413) {
  struct Case {
    const Generation* generation;
    std::uint64_t got;
    std::int64_t boost;
    Pfns movable;  // what is left of the block, by list
    Pfns unmovable;
  };
  const Case cases[] = {
      {&kLinux412, 16, 0, {17}, {}}, {&kLinux510, 40, 512, {41}, {}}, {&kLinux61, 40, 512, {41}, {}},
      {&kLinux612, 40, 0, {}, {41}}, {&kLinux72, 40, 0, {}, {41}},
  };
  for (const Case& c : cases) {
    SmallMachine m{config_of(*c.generation)};
    m.zone().watermark[2] = 150;
    m.set_type(0, Unmovable);
    m.free_block(16, 3, Unmovable);
    m.free_block(40, 2, Unmovable);
    EXPECT_EQ(take(m, 0, Movable), c.got) << c.generation->name;
    EXPECT_EQ(m.list(0, Movable), c.movable) << c.generation->name;
    EXPECT_EQ(m.list(0, Unmovable), c.unmovable) << c.generation->name;
    EXPECT_EQ(m.zone().watermark_boost, c.boost) << c.generation->name;
  }
}

TEST(Fallback, OnceARefillStealsItOnlySteals) {
  SmallMachine m{config_of(kLinux612)};
  m.set_type(0, Unmovable);
  m.free_block(16, 3, Unmovable);
  m.free_block(40, 0, Unmovable);
  m.free_block(50, 0, Unmovable);
  RmqueueMode mode = RmqueueMode::Normal;
  Pfns got;
  for (int i = 0; i < 4; ++i)
    got.push_back(take(m, 0, Movable, mode));
  EXPECT_EQ(got, (Pfns{40, 50, 16, 17}));
  EXPECT_EQ(m.lists(), "o1 Unmovable [18] o2 Unmovable [20]");
}

TEST(Fallback, OldestKernelsTurnToReserveLast) {
  SmallMachine m{config_of(kLinux310)};
  m.set_type(0, kReserve);
  m.free_block(0, 3, kReserve);
  EXPECT_EQ(take(m, 0, Unmovable), 0U);
  EXPECT_EQ(m.list(0, kReserve), (Pfns{1}));
}

TEST(Fallback, TheBoundOfNoFragmentHoldsForLargeRequestsUntil60) {
  for (const Generation* generation : {&kLinux510, &kLinux61}) {
    SmallMachine m{config_of(*generation)};
    m.free_block(512, 9);
    RmqueueMode mode = RmqueueMode::Normal;
    EXPECT_FALSE(m.buddy().rmqueue(10, Unmovable, alloc_flag::kNoFragment, mode));
    // 5.10 takes the pageblock over although that cannot serve the request.
    EXPECT_EQ(m.type(512), generation == &kLinux510 ? Unmovable : Movable) << generation->name;
  }
}

TEST(Fallback, TailsOfOrderOneCompoundsCountIn510) {
  for (const Generation* generation : {&kLinux510, &kLinux61}) {
    SmallMachine m{config_of(*generation)};
    m.free_block(0, 2);
    ASSERT_EQ(m.alloc(gfp::kHighUserMovable | gfp::kComp, 1), 0U);
    EXPECT_EQ(m.buddy().movable_pages_of(0), generation == &kLinux510 ? 1U : 0U) << generation->name;
  }
}

// ------------------------------------------------------------- per-cpu lists (05a §11, examples 7 to 9 and 12)

/// The lists that give, one for each block of a bulk free of `pages`.
std::vector<unsigned> rotate(TypeOrder order, std::array<int, 3> blocks, std::int32_t pages) {
  BulkRotation rotation{order};
  std::vector<unsigned> lists;
  for (; pages > 0; --pages) {
    lists.push_back(rotation.next(pages, [&](unsigned list) { return blocks[list] > 0; }));
    --blocks[lists.back()];
  }
  return lists;
}

TEST(PcpBulk, ListsTakeTurnsUntil517) {
  // By position: Unmovable has 1, Movable 3, Reclaimable none.
  EXPECT_THAT(rotate(TypeOrder::MovableSecond, {1, 3, 0}, 3), ElementsAre(1, 0, 1));
  EXPECT_THAT(rotate(TypeOrder::ReclaimableSecond, {1, 3, 0}, 3), ElementsAre(1, 1, 0));
  EXPECT_THAT(rotate(TypeOrder::MovableSecond, {0, 5, 0}, 5), ElementsAre(1, 1, 1, 1, 1));
}

TEST(PcpBulk, AFullPagesetOf510ReturnsOneBatchInTurns) {
  SmallConfig config = config_of(kLinux510, 3);
  config.high = 4;
  SmallMachine m{config};
  m.set_type(512, Unmovable);
  m.adopt(0, 0, 3);
  m.adopt(512, 0);
  for (const std::uint64_t pfn : {0U, 1U, 2U})
    m.free(pfn, 0);
  m.free(512, 0);
  EXPECT_EQ(m.pageset().count, 1);
  EXPECT_EQ(m.pcp(1), (Pfns{2}));
  EXPECT_EQ(m.pcp(0), Pfns{});
}

PcpState tuned_pageset() {
  PcpState pcp;
  pcp.batch = 7;
  pcp.high_min = 40;
  pcp.high_max = 1250;
  return pcp;
}

TEST(PcpTuned, RefillsDoubleWhileTheListIsEmptied) {
  PcpState pcp = tuned_pageset();
  std::vector<std::uint32_t> blocks;
  std::vector<std::int32_t> high;
  for (int i = 0; i < 7; ++i) {
    blocks.push_back(plan_refill(pcp, kLinux612.pcp, 0, 0));
    high.push_back(pcp.high);
  }
  EXPECT_THAT(blocks, ElementsAre(7, 14, 28, 56, 112, 224, 224));
  EXPECT_THAT(high, ElementsAre(47, 61, 89, 145, 257, 481, 705));
}

TEST(PcpTuned, ThePagesetOfEarlyBootTakesOne) {
  PcpState pcp = tuned_pageset();
  pcp.high_min = pcp.high_max = 0;
  EXPECT_EQ(plan_refill(pcp, kLinux612.pcp, 0, 0), 1U);
}

TEST(PcpTuned, BelowTheHighMarkFreesReturnEverMore) {
  PcpState pcp = tuned_pageset();
  pcp.high = 40;
  std::vector<int> at;
  for (int i = 1; i <= 140; ++i) {
    ++pcp.count;
    if (const std::int32_t pages = plan_free(pcp, kLinux612.pcp, 0, zone_flag::kBelowHigh); pages > 0) {
      EXPECT_EQ(pages, 33);
      pcp.count -= pages;
      at.push_back(i);
    }
  }
  EXPECT_THAT(at, ElementsAre(40, 73, 106, 139));
}

TEST(PcpTuned, FreesOfHighOrdersFlush) {
  const auto first_flush = [](const Generation& generation) {
    PcpState pcp = tuned_pageset();
    for (int i = 1; i < 100; ++i) {
      pcp.count += 4;
      if (plan_free(pcp, generation.pcp, 2, 0) > 0)
        return std::pair{i, pcp.count};
    }
    return std::pair{0, 0};
  };
  EXPECT_EQ(first_flush(kLinux612), (std::pair{3, 12}));
  EXPECT_EQ(first_flush(kLinux72), (std::pair{8, 32}));
}

TEST(PcpTuned, PortionsRunOverByALargeBlockEach) {
  for (const Generation* generation : {&kLinux612, &kLinux72}) {
    SmallConfig config = config_of(*generation, 63);
    config.zones = {SmallZone{.pages = 16384}};
    SmallMachine m{config};
    PcpState& pageset = m.pageset();
    // High enough that ten blocks of order 9 do not fit, with 512 pages freed in a row before the last.
    pageset.high = pageset.high_min = 5120;
    pageset.high_max = 6000;
    m.adopt(0, 9, 10);
    for (std::uint64_t i = 0; i < 9; ++i)
      m.free(i * 512, 9);
    ASSERT_EQ(pageset.count, 9 * 512);
    pageset.free_count = 512 - 512;
    m.free(9 * 512, 9);
    EXPECT_EQ(pageset.count, generation == &kLinux612 ? 9 * 512 : 512) << generation->name;
  }
}

TEST(PcpSize, EachGenerationHasItsFormula) {
  const auto size = [](std::uint64_t managed, std::uint64_t low, PcpSizing sizing) {
    return pcp_size(managed, low, 0, 4, sizing);
  };
  EXPECT_EQ(size(3840, 40, PcpSizing::SixBatchesOf512K), (PcpSize{0, 1, 0}));
  EXPECT_EQ(size(3840, 40, PcpSizing::SixBatchesOf1M), (PcpSize{0, 1, 0}));
  EXPECT_EQ(size(40000, 160, PcpSizing::SixBatchesOf1M), (PcpSize{42, 7, 0}));
  EXPECT_EQ(size(1500000, 15808, PcpSizing::SixBatchesOf512K), (PcpSize{186, 31, 0}));
  EXPECT_EQ(size(1500000, 15808, PcpSizing::SixBatchesOf1M), (PcpSize{378, 63, 0}));
  EXPECT_EQ(size(1500000, 15808, PcpSizing::LowMark), (PcpSize{3952, 63, 0}));
  EXPECT_EQ(size(1500000, 15808, PcpSizing::Range), (PcpSize{3952, 63, 46875}));
  EXPECT_EQ(pcp_size(40000, 160, 8, 4, PcpSizing::SixBatchesOf1M), (PcpSize{5000, 96, 0}));
  EXPECT_EQ(pcp_size(40000, 160, 8, 4, PcpSizing::Range), (PcpSize{1250, 7, 1250}));
}

// ------------------------------------------------------------- watermarks (05a §4, examples 10 and 11)

TEST(Marks, OldKernelsKeepQuarters) {
  const ZoneSize dma32{.node = {}, .type = ZoneType::Dma32, .present_pages = 500000, .managed_pages = 500000};
  const ZoneSize normal{.node = {}, .type = ZoneType::Normal, .present_pages = 1500000, .managed_pages = 1500000};
  const auto marks = [](const ZoneSize& zone, std::uint64_t min_free, WatermarkGaps gaps) {
    return zone_watermarks(zone, 2003840, min_free, 10, gaps);
  };
  EXPECT_EQ(marks(dma32, 67584, WatermarkGaps::Quarters), (Watermarks{4215, 5268, 6322, 0}));
  EXPECT_EQ(marks(normal, 67584, WatermarkGaps::Quarters), (Watermarks{12647, 15808, 18970, 0}));
  EXPECT_EQ(marks(normal, 11324, WatermarkGaps::Quarters), (Watermarks{2119, 2648, 3178, 0}));
  EXPECT_EQ(marks(normal, 11324, WatermarkGaps::Scaled), (Watermarks{2119, 3619, 5119, 0}));
  EXPECT_EQ(marks(normal, 11324, WatermarkGaps::ScaledAndPromo), (Watermarks{2119, 3619, 5119, 6619}));
}

TEST(Marks, TheMovableZoneHasItsOwnSince66) {
  std::vector<ZoneSize> zones;
  for (const auto& [type, pages] : {std::pair{ZoneType::Dma, 3840}, std::pair{ZoneType::Dma32, 500000},
                                    std::pair{ZoneType::Normal, 500000}, std::pair{ZoneType::Movable, 1000000}})
    zones.push_back({.node = {},
                     .type = type,
                     .present_pages = static_cast<std::uint64_t>(pages),
                     .managed_pages = static_cast<std::uint64_t>(pages)});
  const auto marks = [&](std::size_t zone, MovableZoneMarks rule) {
    return zone_watermarks(zones[zone], watermark_lowmem_pages(zones, rule), 67584, 10, WatermarkGaps::ScaledAndPromo,
                           rule);
  };
  EXPECT_EQ(marks(2, MovableZoneMarks::AsLowmem).min, 4215U);
  EXPECT_EQ(marks(3, MovableZoneMarks::AsLowmem).min, 8431U);
  EXPECT_EQ(marks(2, MovableZoneMarks::OwnSmall).min, 8415U);
  EXPECT_EQ(marks(3, MovableZoneMarks::OwnSmall), (Watermarks{128, 4335, 8542, 12749}));
}

TEST(Marks, ARatioBelowOneMeansOneOrNothing) {
  const std::array<std::uint64_t, 3> managed{0, 1000, 3200};
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{0}, 256, LowmemRatio::AtLeastOne)[2], 16);
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{0}, 256, LowmemRatio::ZeroIsOff)[2], 0);
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{1}, 0, LowmemRatio::AtLeastOne)[2], 3200);
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{1}, 0, LowmemRatio::ZeroIsOff)[2], 0);
}

TEST(Marks, AUsersMinFreeKbytesIsOverwrittenIn310) {
  Tunables tunables;
  tunables.min_free_kbytes = 90000;
  tunables.user_min_free_kbytes = 90000;
  EXPECT_EQ(recomputed_min_free_kbytes(2003840, tunables), 90000U);
  EXPECT_EQ(recomputed_min_free_kbytes(2003840, tunables, {}, UserMinFree::Overwritten), 11324U);
  EXPECT_EQ(recomputed_min_free_kbytes(1ULL << 30, Tunables{}, {.cap_kbytes = 65536}), 65536U);
}

// ------------------------------------------------------------- the reserve (05a §10, example 13)

TEST(Reserve, SmallZonesHaveNoneSince67) {
  struct Case {
    std::int64_t managed;
    std::int64_t old_pages;
    std::int64_t new_pages;
  };
  for (const Case& c : {Case{40000, 1024, 0}, Case{60000, 1536, 1024}}) {
    for (const Generation* generation : {&kLinux61, &kLinux612}) {
      SmallMachine m{config_of(*generation)};
      m.zone().managed = c.managed;
      for (FrameIndex block = 0; block < 8; ++block)
        reserve_highatomic<NoSync>(m.view(), m.zone(), CpuId{0}, block * 512, 1);
      EXPECT_EQ(m.zone().nr_reserved_highatomic, generation == &kLinux61 ? c.old_pages : c.new_pages)
          << generation->name << " " << c.managed;
    }
  }
}

TEST(Reserve, OldestKernelsSetPageblocksAside) {
  SmallMachine m{config_of(kLinux310)};
  m->release_boot_memory({Pfn{0}, Pfn{4096}});
  m.zone().watermark[0] = 513;
  m.buddy().setup_reserve();
  EXPECT_EQ(m.type(0), kReserve);
  EXPECT_EQ(m.type(512), kReserve);
  EXPECT_EQ(m.type(1024), Movable);
  m.zone().watermark[0] = 512;
  m.buddy().setup_reserve();
  EXPECT_EQ(m.type(0), kReserve);
  EXPECT_EQ(m.type(512), Movable);
}

// ------------------------------------------------------------- zonelists (05a §3, example 14)

TEST(NodeLoads, TheRankMakesTheFirstOfANearerGroupDearer) {
  const std::array<std::uint8_t, 16> distances{10, 12, 20, 20, 12, 10, 20, 20, 20, 20, 10, 12, 20, 20, 12, 10};
  const NodeTopology topology{4, distances, NodeMask{15}, NodeMask{15}};
  const auto orders = [&](NodeLoadRule rule) {
    NodeLoads loads{};
    std::vector<std::vector<std::size_t>> all;
    for (std::size_t n = 0; n < 4; ++n) {
      std::array<NodeId, 4> out{};
      all.emplace_back();
      for (std::size_t i = 0, count = node_order(topology, NodeId{n}, rule, loads, out); i < count; ++i)
        all.back().push_back(out[i].raw());
    }
    return all;
  };
  EXPECT_THAT(orders(NodeLoadRule::Rank), ElementsAre(ElementsAre(0, 1, 2, 3), ElementsAre(1, 0, 3, 2),
                                                      ElementsAre(2, 3, 0, 1), ElementsAre(3, 2, 0, 1)));
  EXPECT_THAT(orders(NodeLoadRule::PlusOne)[3], ElementsAre(3, 2, 1, 0));
}

TEST(ZoneOrder, SavesLowMemoryOfLargeMachines) {
  const auto zones = [](std::uint64_t dma32, std::uint64_t normal0, std::uint64_t normal1) {
    std::vector<ZoneConfig> all;
    for (std::size_t node = 0; node < 2; ++node)
      for (std::size_t i = 0; i < 2; ++i)
        all.push_back({.node = NodeId{node},
                       .index = ZoneIndex{i},
                       .type = i == 0 ? ZoneType::Dma32 : ZoneType::Normal,
                       .start = {},
                       .spanned = {},
                       .present = PageCount{i == 1 ? (node == 0 ? normal0 : normal1) : (node == 0 ? dma32 : 0)}});
    return all;
  };
  EXPECT_TRUE(prefers_zone_order(zones(1000, 3000, 4000), 2));
  EXPECT_FALSE(prefers_zone_order(zones(1000, 0, 4000), 2));     // a node without Normal
  EXPECT_FALSE(prefers_zone_order(zones(5000, 2000, 2000), 2));  // most memory is low
  EXPECT_FALSE(prefers_zone_order(zones(3000, 1000, 3000), 2));  // most of a large node is low
  const auto config = zones(1000, 3000, 4000);
  const std::array order{NodeId{0}, NodeId{1}};
  std::array<ZoneRef, 4> list{};
  ASSERT_EQ(build_zonelist_by_zone(config, 2, order, list), 3U);
  EXPECT_EQ(list[0].zone, ZoneId{1});
  EXPECT_EQ(list[1].zone, ZoneId{3});
  EXPECT_EQ(list[2].zone, ZoneId{0});
}

// ------------------------------------------------------------- freeing (05a §12, examples 17 and 18)

TEST(FreeRange, AdjacentPagesGoBackAsBlocksIn72) {
  for (const Generation* generation : {&kLinux612, &kLinux72}) {
    SmallConfig config = config_of(*generation, 63);
    SmallMachine m{config};
    m.pageset().high = m.pageset().high_min = 500;
    m.pageset().high_max = 1000;
    m.adopt(6, 0, 11);
    m->free_range({Pfn{6}, Pfn{17}}, CpuId{0});
    const bool blocks = generation == &kLinux72;
    EXPECT_EQ(m.pcp(4), blocks ? Pfns{6} : Pfns{}) << generation->name;
    EXPECT_EQ(m.pcp(10), blocks ? Pfns{8} : Pfns{}) << generation->name;
    EXPECT_EQ(m.pcp(1).size(), blocks ? 1U : 11U) << generation->name;
  }
}

TEST(Merge, PageblocksThatJoinShareATypeSince610) {
  for (const Generation* generation : {&kLinux61, &kLinux612}) {
    SmallMachine m{config_of(*generation)};
    m.set_type(512, Reclaimable);
    m.free_block(512, 9, Reclaimable);
    m.adopt(0, 9);
    m.free_direct(0, 9);
    EXPECT_EQ(m.lists(), "o10 Movable [0]") << generation->name;
    EXPECT_EQ(m.type(512), generation == &kLinux61 ? Reclaimable : Movable) << generation->name;
  }
}

TEST(Merge, WhoStaysApartDependsOnTheKernel) {
  struct Case {
    const Generation* generation;
    Migratetype neighbour;
    bool joins;
  };
  const Case cases[] = {{&kLinux310, Isolate, true},     {&kLinux412, Isolate, false},  {&kLinux412, HighAtomic, true},
                        {&kLinux510, HighAtomic, true},  {&kLinux510, Isolate, false},  {&kLinux61, HighAtomic, false},
                        {&kLinux612, HighAtomic, false}, {&kLinux72, HighAtomic, false}};
  for (const Case& c : cases) {
    SmallMachine m{config_of(*c.generation)};
    m.set_type(512, c.neighbour);
    m.free_block(512, 9, c.neighbour);
    m.adopt(0, 9);
    m.free_direct(0, 9);
    EXPECT_EQ(m.list(10, Movable), c.joins ? Pfns{0} : Pfns{}) << c.generation->name;
  }
}

TEST(Free, TheLargestBlockGoesBackByPageblocksSince610) {
  for (const Generation* generation : {&kLinux61, &kLinux612}) {
    SmallMachine m{config_of(*generation)};
    m.set_type(512, HighAtomic);
    m.adopt(0, 10);
    m.free(0, 10);
    EXPECT_EQ(m.lists(), generation == &kLinux61 ? "o10 Movable [0]" : "o9 Movable [0] o9 HighAtomic [512]")
        << generation->name;
  }
}

TEST(Free, ASharedFirstPageKeepsTheRestInOldKernels) {
  for (const Generation* generation : {&kLinux412, &kLinux510}) {
    SmallMachine m{config_of(*generation)};
    m.pageset().high = 0;
    m.adopt(0, 4);
    m->free_but_first(Pfn{0}, Order{4}, CpuId{0});
    EXPECT_EQ(m.list(3, Movable), generation == &kLinux412 ? Pfns{} : Pfns{8}) << generation->name;
  }
}

// ------------------------------------------------------------- the walk of 3.10 (05a §5)

TEST(FullZones, AreSkippedForAWhile) {
  SmallConfig config = config_of(kLinux310);
  config.zones = {SmallZone{.type = ZoneType::Normal, .start = 0, .pages = 4096, .node = 0},
                  SmallZone{.type = ZoneType::Normal, .start = 8192, .pages = 4096, .node = 1}};
  config.cpu_nodes = {0, 1};
  SmallMachine m{config};
  m.free_block(0, 3);
  m.free_block(8192, 10);
  m.zone(0).watermark = {100, 100, 100, 0};
  EXPECT_EQ(m.alloc(gfp::kHighUserMovable, 0), 8192U);
  EXPECT_NE(m.view().nodes[0].full_zones[0], 0U);
  // The first attempt of the next request looks at it again: the cache is only asked once a zone has failed.
  m.zone(0).watermark = {0, 0, 0, 0};
  EXPECT_EQ(m.alloc(gfp::kHighUserMovable, 0), 0U);
  m->forget_full_zones();
  EXPECT_EQ(m.view().nodes[0].full_zones[0], 0U);
}

TEST(Cold, PagesAreTakenFromTheTailUntil414) {
  for (const Generation* generation : {&kLinux412, &kLinux61}) {
    SmallMachine m{config_of(*generation, 7)};
    m.free_block(0, 3);
    EXPECT_EQ(m.alloc(gfp::kHighUserMovable, 0), 0U);
    const bool cold = generation == &kLinux412;
    EXPECT_EQ(m.alloc(gfp::kHighUserMovable | gfp::kCold, 0), cold ? 6U : 1U) << generation->name;
  }
  // A cold refill hands out ascending pages all the same.
  SmallMachine m{config_of(kLinux412, 7)};
  m.free_block(0, 3);
  EXPECT_EQ(m.alloc(gfp::kHighUserMovable | gfp::kCold, 0), 0U);
  EXPECT_EQ(m.alloc(gfp::kHighUserMovable | gfp::kCold, 0), 1U);
  EXPECT_EQ(m.alloc(gfp::kHighUserMovable, 0), 6U);
}

// ------------------------------------------------------------- slow path and kswapd (found by the naive model)

TEST(Kswapd, DefragModeAsksForWholePageblocksAboveTheMark) {
  for (const std::uint32_t defrag_mode : {0U, 1U}) {
    SmallConfig config = config_of(kLinux72);
    config.tunables.defrag_mode = defrag_mode;
    SmallMachine m{config};
    m.zone().watermark[2] = 600;
    m.free_block(0, 9);
    for (std::uint64_t pfn = 512; pfn < 4096; pfn += 512)
      m.free_block(pfn, 8);
    EXPECT_EQ(node_balanced(m.view(), NodeId{0}, Order{9}, ZoneIndex{2}), defrag_mode == 0);
    EXPECT_TRUE(node_balanced(m.view(), NodeId{0}, Order{0}, ZoneIndex{2})) << "single pages are asked for as ever";
  }
}

/// Two nodes, each with one Normal zone, and a CPU on the first.
SmallConfig two_nodes(const Generation& generation) {
  SmallConfig config = config_of(generation);
  config.zones = {SmallZone{.start = 0, .pages = 1024}, SmallZone{.start = 1024, .pages = 1024, .node = 1}};
  return config;
}

TEST(Kswapd, Of310IsWokenForEveryZoneOfTheListWhateverTheNodemask) {
  for (const Generation* generation : {&kLinux310, &kLinux412}) {
    SmallMachine m{two_nodes(*generation)};
    m.zone(0).watermark = m.zone(1).watermark = {10, 20, 30, 0};
    Request request{.gfp = gfp::kHighUserMovable.without(gfp::kDirectReclaim), .order = Order{0}, .cpu = CpuId{0}};
    request.nodemask = NodeMask{1};
    EXPECT_EQ(m.alloc(request), SmallMachine::kFailed);
    const bool by_zone = generation == &kLinux310;
    EXPECT_TRUE(m.view().nodes[0].kswapd.running) << generation->name;
    EXPECT_EQ(m.view().nodes[1].kswapd.running, by_zone) << generation->name;
    // What is remembered is the first zone of the request's list there, the highest that it may have here.
    EXPECT_EQ(m.view().nodes[0].kswapd.highest, by_zone ? 2 : 3) << generation->name;
  }
}

TEST(Kswapd, Of310SleepsWhileTheZoneIsAboveLow) {
  for (const Generation* generation : {&kLinux310, &kLinux412}) {
    SmallMachine m{two_nodes(*generation)};
    m.zone(0).watermark = {10, 20, 30, 0};
    m.free_block(0, 4);
    m.free_block(32, 3);
    // 24 pages: enough for LOW and a single page, not for a block of 32.
    const Gfp gfp = gfp::kKernel.without(gfp::kDirectReclaim);
    const AllocContext context = prepare(m.view(), {.gfp = gfp, .order = Order{0}, .cpu = CpuId{0}});
    wake_all_kswapds(m.view(), context, gfp);
    EXPECT_EQ(m.view().nodes[0].kswapd.running, generation == &kLinux412) << generation->name;
  }
}

TEST(OldSlowPath, Of412AsksForTheReserveOfTheFirstZoneWhenItConsidersToGoOn) {
  for (const Generation* generation : {&kLinux412, &kLinux510}) {
    SmallConfig config = config_of(*generation);
    config.zones = {SmallZone{.type = ZoneType::Dma32, .start = 0, .pages = 1024},
                    SmallZone{.type = ZoneType::Normal, .start = 1024, .pages = 1024}};
    SmallMachine m{config};
    m.zone(0).lowmem_reserve = {0, 0, 100, 10, 0, 0};
    m.free_block(0, 6);
    // Normal comes first for a request that could have Movable: 64 pages are above one reserve and below the other.
    const AllocContext context = prepare(m.view(), {.gfp = gfp::kHighUserMovable, .order = Order{0}, .cpu = CpuId{0}});
    unsigned loops = 0;
    EXPECT_EQ(should_reclaim_retry<NoSync>(m.view(), context, alloc_flag::kWmarkMin, false, loops),
              generation == &kLinux510)
        << generation->name;
  }
}

TEST(OldSlowPath, Of310KeepsTheFirstZoneWhenReserveRightsLeadToTheOwnList) {
  for (const Generation* generation : {&kLinux310, &kLinux412}) {
    SmallMachine m{two_nodes(*generation)};
    m.zone(1).watermark = {1000, 1000, 1000, 0};
    m.free_block(1024, 6);
    Request request{.gfp = gfp::kKernel | gfp::kMemalloc, .order = Order{0}, .cpu = CpuId{0}};
    request.node = NodeId{1};
    EXPECT_EQ(m.alloc(request), 1024U);
    // The block comes from where the caller wanted it; 4.12 has forgotten that.
    const bool keeps = generation == &kLinux310;
    EXPECT_EQ(m.pageset(1).events.numa_miss, keeps ? 0U : 1U) << generation->name;
    EXPECT_EQ(m.pageset(0).events.numa_foreign, keeps ? 0U : 1U) << generation->name;
  }
}

TEST(OldSlowPath, Of310SaysThatNoZoneMayServeAMaskBeforeItLooksAtTheNode) {
  SmallMachine m{two_nodes(kLinux310)};
  const auto got = m->alloc({.gfp = gfp::kDma | gfp::kThisNode | gfp::kNoRetry | gfp::kNoWarn, .cpu = CpuId{0}});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error(), AllocFailure::NoZone);
}

TEST(Isolation, A412FreePageblockGoesBackByANormalFree) {
  for (const Generation* generation : {&kLinux412, &kLinux510}) {
    SmallMachine m{config_of(*generation)};
    EventText events;
    m.free_block(512, 9);
    ASSERT_EQ(isolate_pageblock(m.view(), m.zone(), CpuId{0}, m.index(512), false), IsolateFailure::None);
    m->attach(&events);
    unisolate_pageblock(m.view(), m.zone(), CpuId{0}, m.index(512), Movable);
    const bool frees = generation == &kLinux412;
    EXPECT_EQ(m.pageset().events.pgfree, frees ? 512U : 0U) << generation->name;
    EXPECT_EQ(events.count("free"), frees ? 1U : 0U) << generation->name;
    EXPECT_EQ(m.list(9, Movable), (Pfns{512})) << generation->name;
    EXPECT_EQ(m.zone().stat[0], 512) << generation->name;
  }
}

// ------------------------------------------------------------- which generation stands for a release

TEST(GenerationOfRelease, IsTheNearestWithAWord) {
  struct Case {
    const char* release;
    const Generation* generation;
    bool noted;
  };
  for (const Case& c :
       {Case{"6.1.192", &kLinux61, false}, Case{"6.1.0-31-amd64", &kLinux61, false}, Case{"6.1.170", &kLinux61, true},
        Case{"6.1.50", &kLinux610, true}, Case{"5.10.0-32-cloud-amd64", &kLinux510, false},
        Case{"6.12.95+deb12-cloud-amd64", &kLinux612, false}, Case{"7.2.13+deb14-cloud-amd64", &kLinux72, false},
        Case{"5.15.0-100-generic", &kLinux61, true}, Case{"2.6.32", &kLinux310, true}, Case{"4.19.0", &kLinux412, true},
        Case{"9.0.1", &kLinux72, true},
        // A series alone, and a distribution's name, say nothing of a point release; a 0 that stands alone does.
        Case{"linux-6.12", &kLinux612, false}, Case{"6.12", &kLinux612, false}, Case{"6.12.0", &kLinux612, true},
        Case{"linux-6.1", &kLinux61, false}, Case{"6.1.0", &kLinux610, false}, Case{"linux-6.1.0", &kLinux610, false},
        Case{"4.12.0", &kLinux412, false}}) {
    const auto choice = lab::generation_of_release(c.release);
    ASSERT_TRUE(choice) << c.release;
    EXPECT_EQ(choice->generation->name, c.generation->name) << c.release;
    EXPECT_EQ(!choice->note.empty(), c.noted) << c.release << ": " << choice->note;
  }
  EXPECT_FALSE(lab::generation_of_release("custom"));
  EXPECT_FALSE(lab::generation_of_release("6"));
  EXPECT_EQ(lab::generation_of_recording(std::nullopt).generation->name, "linux-6.1");
  EXPECT_EQ(lab::generation_named("linux-6.2"), nullptr);
}

}  // namespace
}  // namespace mmbox
