#include "mmbox/core/pcp/pcp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/small_machine.h"

namespace mmbox {
namespace {

using enum Migratetype;
using test::EventText;
using test::SmallConfig;
using test::SmallMachine;
using testing::ElementsAre;
using Pfns = SmallMachine::Pfns;

constexpr Gfp kMovable = gfp::kHighUserMovable;

// ------------------------------------------------------------- taking (03 §6)

TEST(Pcp, ARefillIsHandedOutInTheOrderItWasTaken) {
  SmallMachine m;
  m.free_block(1024, 10);
  for (std::uint64_t pfn = 1024; pfn <= 1031; ++pfn)
    EXPECT_EQ(m.alloc(kMovable, 0), pfn);
  EXPECT_EQ(m.pcp(1), (Pfns{1032, 1033, 1034, 1035, 1036, 1037}));
  EXPECT_EQ(m.pageset().count, 6);
  EXPECT_EQ(m.lists(),
            "o1 Movable [1038] o4 Movable [1040] o5 Movable [1056] o6 Movable [1088] o7 Movable [1152] o8 Movable "
            "[1280] o9 Movable [1536]");
  EXPECT_EQ(m.alloc(kMovable, 1), 1038u);
  EXPECT_EQ(m.pcp(4), (Pfns{1040, 1042}));
  EXPECT_EQ(m.pageset().count, 10);
  EXPECT_EQ(m.lists(),
            "o2 Movable [1044] o3 Movable [1048] o5 Movable [1056] o6 Movable [1088] o7 Movable [1152] o8 Movable "
            "[1280] o9 Movable [1536]");
  EXPECT_EQ(m.violation(), "");
}

TEST(Pcp, ARefillTakesABatchOfPagesButAtLeastTwoBlocks) {
  struct Case {
    std::int32_t batch;
    unsigned order;
    unsigned blocks;
  };
  for (const Case c : {Case{63, 0, 63}, Case{63, 1, 31}, Case{63, 3, 7}, Case{63, 9, 2}, Case{7, 1, 3}, Case{7, 2, 2},
                       Case{15, 2, 3}, Case{2, 0, 2}, Case{2, 1, 2}, Case{1, 0, 1}, Case{1, 3, 1}}) {
    SmallMachine m{SmallConfig{.batch = c.batch}};
    for (const std::uint64_t pfn : {0u, 1024u, 2048u, 3072u})
      m.free_block(pfn, 10);
    EventText events;
    m->attach(&events);
    EXPECT_NE(m.alloc(kMovable, c.order), SmallMachine::kFailed);
    EXPECT_EQ(events.count("zone_locked"), c.blocks) << c.batch << " " << c.order;
    EXPECT_EQ(m.pageset().count, static_cast<std::int32_t>((c.blocks - 1) << c.order));
    EXPECT_EQ(m.violation(), "");
  }
}

TEST(Pcp, ARefillEndsWhenTheFreeListsDo) {
  SmallMachine m;
  m.free_block(16, 1);
  EXPECT_EQ(m.alloc(kMovable, 0), 16u);
  EXPECT_EQ(m.pcp(1), (Pfns{17}));
  EXPECT_EQ(m.zone().stat[0], 0);
}

TEST(Pcp, OneRefillIsOneCounterUpdate) {
  SmallMachine m{SmallConfig{.threshold = 10}};
  m.free_block(0, 6);
  EXPECT_EQ(m.alloc(kMovable, 0), 0u);
  EXPECT_EQ(m.pageset().stat.delta[0], -7);
  EXPECT_EQ(m.zone().stat[0], 64);
  EXPECT_EQ(m.alloc(kMovable, 3), 8u);  // two blocks of 8 pages: -7 - 16 = -23
  EXPECT_EQ(m.pageset().stat.delta[0], 0);
  EXPECT_EQ(m.zone().stat[0], 64 - 23);
}

TEST(Pcp, CmaPagesOfARefillAreCountedOneByOne) {
  SmallMachine m{SmallConfig{.has_cma = true, .threshold = 4}};
  m.set_type(0, Cma);
  m.free_block(0, 6, Cma);
  EXPECT_EQ(m.alloc(kMovable, 0), 0u);
  // NR_FREE_PAGES: once, -7. NR_FREE_CMA_PAGES: seven times -1; the fifth passes the threshold.
  EXPECT_EQ(m.zone().stat[0], 64 - 7);
  EXPECT_EQ(m.zone().stat[1], 64 - 5);
  EXPECT_EQ(m.pageset().stat.delta[1], -2);
}

TEST(Pcp, AnAllocationHalvesTheFreeFactor) {
  SmallMachine m;
  m.free_block(0, 5);
  m.pageset().free_factor = 5;
  EXPECT_NE(m.alloc(kMovable, 0), SmallMachine::kFailed);
  EXPECT_EQ(m.pageset().free_factor, 2);
  EXPECT_NE(m.alloc(kMovable, 0), SmallMachine::kFailed);
  EXPECT_NE(m.alloc(kMovable, 0), SmallMachine::kFailed);
  EXPECT_EQ(m.pageset().free_factor, 0);
}

TEST(Pcp, OrdersFourAndUpBypassThePerCpuListsExceptNine) {
  for (unsigned order = 0; order <= kMaxPageOrder; ++order) {
    SmallMachine m;
    m.free_block(0, 10);
    m.free_block(1024, 10);
    m.pageset().high = 4000;
    m.pageset().free_factor = 8;
    EXPECT_EQ(m.alloc(kMovable, order), 0u);
    const bool through = order <= 3 || order == 9;
    EXPECT_EQ(m.pageset().count != 0, through) << order;
    EXPECT_EQ(m.pageset().free_factor, through ? 4 : 8) << order;
    m->drain_all();
    m.pageset().free_factor = 0;
    m.free(0, order);
    EXPECT_EQ(m.pageset().count, through ? std::int32_t{1} << order : 0) << order;
    EXPECT_EQ(m.violation(), "");
  }
}

TEST(Pcp, WithoutHugePagesOrderNineHasNoList) {
  SmallMachine m{SmallConfig{.has_thp = false}};
  m.free_block(0, 10);
  EXPECT_EQ(m.alloc(kMovable, 9), 0u);
  EXPECT_EQ(m.pageset().count, 0);
  m.free(0, 9);
  EXPECT_EQ(m.pageset().count, 0);
  EXPECT_EQ(m.lists(), "o10 Movable [0]");
}

// ------------------------------------------------------------- freeing (04 §3)

/// Frees one adopted block of `order` at `pfn`.
void give(SmallMachine& m, std::uint64_t pfn, unsigned order) {
  m.adopt(pfn, order);
  m.free(pfn, order);
}

TEST(Pcp, AFreedPageIsTheNextToBeHandedOut) {
  SmallMachine m;
  give(m, 5, 0);
  give(m, 9, 0);
  EXPECT_EQ(m.pcp(1), (Pfns{9, 5}));
  m.zone().stat[0] = 100;
  EXPECT_EQ(m.alloc(kMovable, 0), 9u);
}

TEST(Pcp, TheListFollowsThePageblockAsItIsNow) {
  SmallMachine m{SmallConfig{.has_cma = true}};
  m.set_type(0, Unmovable);
  m.set_type(512, Reclaimable);
  m.set_type(1024, HighAtomic);
  m.set_type(1536, Cma);
  m.set_type(2048, Isolate);
  m.zone().nr_isolate_pageblock = 1;
  for (const std::uint64_t pfn : {0u, 512u, 1024u, 1536u, 2048u, 2560u})
    give(m, pfn, 0);
  EXPECT_EQ(m.pcp(0), (Pfns{0}));
  EXPECT_EQ(m.pcp(2), (Pfns{512}));
  EXPECT_EQ(m.pcp(1), (Pfns{2560, 1536, 1024})) << "HighAtomic and CMA share the Movable list";
  EXPECT_EQ(m.list(0, Isolate), (Pfns{2048})) << "isolated pages do not stay on per-cpu lists";
  EXPECT_EQ(m->frame_state(Pfn{1024}).type(), HighAtomic);
  EXPECT_EQ(m->frame_state(Pfn{1536}).type(), Cma);
}

TEST(Pcp, HugeBlocksHaveTwoListsAndInTheFirstReleaseOne) {
  SmallMachine m{SmallConfig{.high = 4000}};
  m.set_type(0, Unmovable);
  m.set_type(512, Reclaimable);
  for (const std::uint64_t pfn : {0u, 512u, 1024u})
    give(m, pfn, 9);
  EXPECT_EQ(m.pcp(12), (Pfns{512, 0}));
  EXPECT_EQ(m.pcp(13), (Pfns{1024}));

  SmallMachine first{SmallConfig{.generation = kLinux610, .high = 4000}};
  first.set_type(0, Unmovable);
  first.set_type(512, Reclaimable);
  for (const std::uint64_t pfn : {0u, 512u, 1024u})
    give(first, pfn, 9);
  EXPECT_EQ(first.pcp(12), (Pfns{1024, 512, 0}));
}

TEST(Pcp, RunsOfFreesReturnMoreAndMore) {
  SmallMachine m{SmallConfig{.high = 40}};
  m.adopt(0, 0, 512);
  std::map<int, std::pair<int, int>> bulks;  // by number of the free: count and factor afterwards
  for (int i = 1; i <= 160; ++i) {
    const int before = m.pageset().count;
    m.free(static_cast<std::uint64_t>(i), 0);
    if (m.pageset().count != before + 1)
      bulks[i] = {m.pageset().count, m.pageset().free_factor};
  }
  EXPECT_THAT(bulks, ElementsAre(std::pair{40, std::pair{33, 1}}, std::pair{47, std::pair{26, 2}},
                                 std::pair{61, std::pair{12, 3}}, std::pair{89, std::pair{7, 3}},
                                 std::pair{122, std::pair{7, 3}}, std::pair{155, std::pair{7, 3}}));
  EXPECT_NE(m.alloc(kMovable, 0), SmallMachine::kFailed);
  EXPECT_EQ(m.pageset().free_factor, 1);
}

TEST(Pcp, TheFreeFactorStopsAtFiveAndInTheFirstReleaseDoesNot) {
  for (const Generation& generation : {kLinux61, kLinux610}) {
    SmallMachine m{SmallConfig{.generation = generation, .batch = 1, .high = 1000}};
    m.adopt(0, 0, 1024);
    m.adopt(1024, 0, 1024);
    int top = 0;
    for (std::uint64_t pfn = 0; pfn < 2048; ++pfn) {
      m.free(pfn, 0);
      top = std::max<int>(top, m.pageset().free_factor);
    }
    if (generation.name == "linux-6.1")
      EXPECT_EQ(top, 5);
    else
      EXPECT_GT(top, 5);
  }
}

TEST(Pcp, FreeingAHighOrderInARunReturnsEverything) {
  SmallMachine m{SmallConfig{.high = 40}};
  for (std::uint64_t pfn = 0; pfn < 66; pfn += 2)
    give(m, pfn, 0);
  EXPECT_EQ(m.pageset().count, 33);
  m.pageset().free_factor = 1;
  EventText events;
  m->attach(&events);
  m.adopt(1024, 2);
  m.free(1024, 2);
  EXPECT_EQ(m.pageset().count, 0);
  EXPECT_EQ(m.pageset().free_factor, 1);
  const auto drained = events.of("pcpu_drain");
  ASSERT_EQ(drained.size(), 34u);
  EXPECT_EQ(drained[0], "pcpu_drain 1024 order=2 Movable");
  EXPECT_EQ(drained[1], "pcpu_drain 0 order=0 Movable");
}

TEST(Pcp, OnlyOrdersOneToThreeInARunCountAsHeavy) {
  for (const unsigned order : {0u, 1u, 3u, 9u}) {
    SmallMachine m{SmallConfig{.high = 4000}};
    m.pageset().free_factor = 1;
    give(m, 512, order);
    EXPECT_EQ(m.pageset().count == 0, order == 1 || order == 3) << order;
  }
  SmallMachine calm{SmallConfig{.high = 4000}};
  give(calm, 512, 3);
  EXPECT_EQ(calm.pageset().count, 8);
}

TEST(Pcp, WhileReclaimRunsAPagesetKeepsFourBatches) {
  SmallMachine m{SmallConfig{.high = 1000}};
  m.zone().flags = zone_flag::kReclaimActive;
  m.adopt(0, 0, 64);
  std::uint64_t pfn = 0;
  while (m.pageset().count < 27)
    m.free(pfn++, 0);
  m.free(pfn, 0);  // 28 = 4 · 7
  EXPECT_EQ(m.pageset().count, 21);
  SmallMachine small{SmallConfig{.high = 10}};
  small.zone().flags = zone_flag::kReclaimActive;
  small.adopt(0, 0, 64);
  for (pfn = 0; pfn < 9; ++pfn)
    small.free(pfn, 0);
  EXPECT_EQ(small.pageset().count, 9);
  small.free(9, 0);  // n = min(7, 10 - 7)
  EXPECT_EQ(small.pageset().count, 7);
}

TEST(Pcp, ATinyLimitReturnsOnlyTheOldest) {
  SmallMachine m{SmallConfig{.high = 8}};
  for (std::uint64_t pfn = 0; pfn < 16; pfn += 2)
    give(m, pfn, 0);
  EXPECT_EQ(m.pageset().count, 7);
  EXPECT_EQ(m.list(0, Movable), (Pfns{0}));
}

TEST(Pcp, ALimitBelowABatchReturnsOneBlock) {
  SmallMachine m{SmallConfig{.high = 6}};
  for (std::uint64_t pfn = 0; pfn < 12; pfn += 2)
    give(m, pfn, 0);
  EXPECT_EQ(m.pageset().count, 5);
  EXPECT_EQ(m.list(0, Movable), (Pfns{0}));
  EXPECT_EQ(m.pageset().free_factor, 0);
}

TEST(Pcp, ALimitOfExactlyABatchReturnsNothing) {
  SmallMachine m{SmallConfig{.high = 7}};
  for (std::uint64_t pfn = 0; pfn < 20; pfn += 2)
    give(m, pfn, 0);
  EXPECT_EQ(m.pageset().count, 10) << "n = min(max(7, 7), 7 - 7)";
}

TEST(Pcp, TheBootPagesetReturnsEachBlockAtOnce) {
  SmallMachine m{SmallConfig{.batch = 1, .high = 0}};
  for (const unsigned order : {0u, 3u, 9u}) {
    give(m, 1024, order);
    EXPECT_EQ(m.pageset().count, 0) << order;
    EXPECT_EQ(m.list(order, Movable), (Pfns{1024})) << order;
    EXPECT_EQ(m.alloc(kMovable, order), 1024u);
    EXPECT_EQ(m.pageset().count, 0) << "a refill takes one";
    m.view().env.map.set_state(m.index(1024), order, FrameState{});
  }
}

TEST(Pcp, AListIsEmptiedBeforeTheNextIsLookedAt) {
  SmallMachine m;
  m.set_type(512, Unmovable, 3);
  for (const std::uint64_t pfn : {512u, 514u, 516u})
    give(m, pfn, 0);
  for (const std::uint64_t pfn : {0u, 2u, 4u, 6u, 8u, 10u})
    give(m, pfn, 0);
  for (const std::uint64_t pfn : {20u, 24u})
    give(m, pfn, 1);
  EXPECT_EQ(m.pageset().count, 13);
  EventText events;
  m->attach(&events);
  m.view().pcp<NoSync>(m.zone(), CpuId{0}).free_bulk(9, 1);
  EXPECT_THAT(events.of("pcpu_drain"), ElementsAre("pcpu_drain 0 order=0 Movable", "pcpu_drain 2 order=0 Movable",
                                                   "pcpu_drain 4 order=0 Movable", "pcpu_drain 6 order=0 Movable",
                                                   "pcpu_drain 8 order=0 Movable", "pcpu_drain 10 order=0 Movable",
                                                   "pcpu_drain 20 order=1 Movable", "pcpu_drain 24 order=1 Movable"));
  EXPECT_EQ(m.pcp(0), (Pfns{516, 514, 512}));
  EXPECT_EQ(m.pageset().count, 3);
}

TEST(Pcp, ABulkFreeWrapsAroundTheLists) {
  SmallMachine m;
  m.set_type(512, Unmovable);
  give(m, 512, 0);
  give(m, 1024, 9);
  EventText events;
  m->attach(&events);
  m.view().pcp<NoSync>(m.zone(), CpuId{0}).free_bulk(1000, 5);
  EXPECT_THAT(events.of("pcpu_drain"),
              ElementsAre("pcpu_drain 1024 order=9 Movable", "pcpu_drain 512 order=0 Unmovable"));
  EXPECT_EQ(m.pageset().count, 0);
}

TEST(Pcp, AStalePageReturnsToItsOldTypesList) {
  SmallMachine m;
  give(m, 16, 0);
  m.set_type(0, Unmovable);
  m->drain_all();
  EXPECT_EQ(m.list(0, Movable), (Pfns{16}));
  EXPECT_EQ(m.violation(), "");
}

TEST(Pcp, WhileAPageblockIsIsolatedTypesAreReadAnew) {
  SmallMachine m;
  give(m, 16, 0);
  m.set_type(0, Unmovable);
  m.set_type(512, Isolate);
  m.zone().nr_isolate_pageblock = 1;
  EventText events;
  m->attach(&events);
  m->drain_all();
  EXPECT_EQ(m.list(0, Unmovable), (Pfns{16}));
  EXPECT_THAT(events.of("pcpu_drain"), ElementsAre("pcpu_drain 16 order=0 Unmovable"));
}

// ------------------------------------------------------------- drains (04 §6)

TEST(Drain, GoesThroughTheListsInPortions) {
  SmallMachine m;
  m.adopt(0, 0, 1024);
  for (std::uint64_t pfn = 0; pfn < 500; ++pfn)
    m.free(pfn, 0);
  EventText events;
  m->attach(&events);
  m->drain(CpuId{0});
  EXPECT_THAT(events.of("bulk"), ElementsAre("bulk zone=2 cpu=0 pages=224 list=0", "bulk zone=2 cpu=0 pages=224 list=0",
                                             "bulk zone=2 cpu=0 pages=52 list=0"));
  EXPECT_EQ(m.pageset().count, 0);
  EXPECT_EQ(m.violation(), "");
}

TEST(Drain, TakesAllCpusInTurnAndAllZonesOfEach) {
  SmallMachine m{SmallConfig{.zones = {{.type = ZoneType::Dma32, .start = 0, .pages = 1024},
                                       {.type = ZoneType::Normal, .start = 1024, .pages = 1024}},
                             .cpu_nodes = {0, 0}}};
  for (const std::uint64_t pfn : {16u, 20u, 1040u, 1044u})
    m.adopt(pfn, 0);
  m.free(1044, 0, 1);
  m.free(20, 0, 1);
  m.free(1040, 0, 0);
  m.free(16, 0, 0);
  EventText events;
  m->attach(&events);
  m->drain_all();
  EXPECT_THAT(events.of("pcpu_drain"), ElementsAre("pcpu_drain 16 order=0 Movable", "pcpu_drain 1040 order=0 Movable",
                                                   "pcpu_drain 20 order=0 Movable", "pcpu_drain 1044 order=0 Movable"));
}

TEST(Drain, OfOneZoneLeavesTheOthers) {
  SmallMachine m{SmallConfig{.zones = {{.type = ZoneType::Dma32, .start = 0, .pages = 1024},
                                       {.type = ZoneType::Normal, .start = 1024, .pages = 1024}},
                             .cpu_nodes = {0, 0}}};
  for (const std::uint64_t pfn : {16u, 20u, 1040u})
    m.adopt(pfn, 0);
  m.free(16, 0, 0);
  m.free(20, 0, 1);
  m.free(1040, 0, 0);
  m->drain(m.zone(0).id, CpuId{0});
  EXPECT_EQ(m.pageset(0, 0).count, 0);
  EXPECT_EQ(m.pageset(0, 1).count, 1);
  EXPECT_EQ(m.pageset(1, 0).count, 1);
}

// ------------------------------------------------------------- folding (04 §6)

struct Folding : testing::Test {
  // CPU 0 on node 0; the second zone is remote to it.
  SmallMachine m{
      SmallConfig{.zones = {{.start = 0, .pages = 1024, .node = 0}, {.start = 1024, .pages = 1024, .node = 1}},
                  .cpu_nodes = {0, 1},
                  .batch = 31,
                  .threshold = 12}};
  void fill() {
    m.adopt(1024, 0, 180);
    for (std::uint64_t pfn = 1024; pfn < 1204; ++pfn)
      m.free(pfn, 0, 0);
    m.adopt(0, 0, 10);
    for (std::uint64_t pfn = 0; pfn < 10; ++pfn)
      m.free(pfn, 0, 0);
  }
};

TEST_F(Folding, AddsAllDeltasOfTheCpuToTheZones) {
  m.pageset(0, 0).stat.delta = {5, -3};
  m.pageset(1, 0).stat.delta = {-4, 0};
  m.pageset(0, 1).stat.delta = {7, 0};
  m->fold(CpuId{0}, FoldBy::IdleCpu);
  EXPECT_EQ(m.zone(0).stat[0], 5);
  EXPECT_EQ(m.zone(0).stat[1], -3);
  EXPECT_EQ(m.zone(1).stat[0], -4);
  EXPECT_EQ(m.pageset(0, 0).stat.delta[0], 0);
  EXPECT_EQ(m.pageset(0, 1).stat.delta[0], 7);
  EXPECT_EQ(m.pageset(0, 0).expire, 3);
  EXPECT_EQ(m.pageset(1, 0).expire, 3);
  EXPECT_EQ(m.pageset(0, 1).expire, 0);
}

TEST(OneNode, FoldingArmsNoPageset) {
  SmallMachine m;
  m.pageset().stat.delta = {5, 0};
  m->fold(CpuId{0}, FoldBy::IdleCpu);
  EXPECT_EQ(m.zone().stat[0], 5);
  EXPECT_EQ(m.pageset().expire, 0) << "there is nobody to trim it for";
}

TEST(Tuned, AHighOutsideItsBoundsIsNotAPlainFree) {
  const PcpPolicy& policy = kLinux612.pcp;
  for (const std::int32_t high : {9, 10, 50, 51}) {
    PcpState pcp;
    pcp.count = 1;
    pcp.high = high;
    pcp.high_min = 10;
    pcp.high_max = 50;
    EXPECT_EQ(keeps_block(pcp, policy, 0, ZoneFlags{0}), high == 10 || high == 50) << high;
  }
}

TEST_F(Folding, TheWorkerTrimsARemotePagesetAtItsThirdRun) {
  fill();
  m.pageset(1, 0).stat.delta[0] = 1;
  m.zone(1).stat[0] -= 1;
  std::vector<int> expires;
  std::vector<int> counts;
  for (int i = 0; i < 8; ++i) {
    m->fold(CpuId{0}, FoldBy::StatWorker);
    expires.push_back(m.pageset(1, 0).expire);
    counts.push_back(m.pageset(1, 0).count);
  }
  // The trim of 31 single pages leaves a delta of 5, which arms it again.
  EXPECT_THAT(expires, ElementsAre(2, 1, 0, 2, 1, 0, 2, 1));
  EXPECT_THAT(counts, ElementsAre(180, 180, 149, 149, 149, 118, 118, 118));
  EXPECT_EQ(m.pageset(0, 0).count, 10);
  EXPECT_EQ(m.pageset(0, 0).expire, 0);
}

TEST_F(Folding, IdleCpusArmButDoNotCountDown) {
  fill();
  m.pageset(1, 0).stat.delta[0] = 1;
  for (int i = 0; i < 5; ++i)
    m->fold(CpuId{0}, FoldBy::IdleCpu);
  EXPECT_EQ(m.pageset(1, 0).expire, 3);
  EXPECT_EQ(m.pageset(1, 0).count, 180);
}

TEST_F(Folding, OtherCountersOfTheZoneKeepItAlive) {
  fill();
  m.pageset(1, 0).expire = 2;
  std::array<bool, 16> others{};
  others[m.zone(1).id.raw()] = true;
  for (int i = 0; i < 5; ++i)
    m->fold(CpuId{0}, FoldBy::StatWorker, std::span{others}.first(m.view().zones.size()));
  EXPECT_EQ(m.pageset(1, 0).expire, 2);
  EXPECT_EQ(m.pageset(1, 0).count, 180);
}

TEST_F(Folding, AnEmptyPagesetDoesNotCountDown) {
  m.pageset(1, 0).expire = 2;
  m->fold(CpuId{0}, FoldBy::StatWorker);
  EXPECT_EQ(m.pageset(1, 0).expire, 2);
}

TEST_F(Folding, ASmallRemotePagesetIsEmptied) {
  m.adopt(1024, 0, 5);
  for (std::uint64_t pfn = 1024; pfn < 1029; ++pfn)
    m.free(pfn, 0, 0);
  m.pageset(1, 0).expire = 1;
  m->fold(CpuId{0}, FoldBy::StatWorker);
  EXPECT_EQ(m.pageset(1, 0).count, 0);
}

}  // namespace
}  // namespace mmbox
