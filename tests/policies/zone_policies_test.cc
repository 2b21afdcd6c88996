// walk.*, take.*, reserve.*: which zone serves, from which lists, and what is kept for atomic requests.
#include <algorithm>

#include "tests/policies/each_generation.h"

namespace mmbox {
namespace {

using enum Migratetype;
using namespace test;

// ------------------------------------------------------------- the walk

TEST(WalkPolicies, TheBoundOfNoFragmentHeldForLargeRequestsToo) {
  expect_each<Migratetype>({Movable, Movable, Unmovable, Movable, Movable, Movable, Movable}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(512, 9);
    RmqueueMode mode = RmqueueMode::Normal;
    EXPECT_FALSE(m.buddy().rmqueue(10, Unmovable, alloc_flag::kNoFragment, mode));
    return m.type(512);
  });
}

TEST(WalkPolicies, OldKernelsSpareNoPageblockInTheFirstAttempt) {
  expect_each<bool>({false, false, true, true, true, true, true}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.zones = {SmallZone{.type = ZoneType::Dma32, .start = 0, .pages = 1024},
                    SmallZone{.type = ZoneType::Normal, .start = 1024, .pages = 1024}};
    SmallMachine m{config};
    const AllocContext context = prepare(m.view(), {.gfp = gfp::kKernel, .cpu = CpuId{0}});
    return first_attempt_flags(m.view(), context).has(alloc_flag::kNoFragment);
  });
}

TEST(WalkPolicies, AnUnknownBitTurnsNodeReclaimOnInOldKernels) {
  expect_each<bool>({true, true, true, false, false, false, false}, [](const Generation& g) {
    SmallConfig config = two_nodes(g);
    config.tunables.zone_reclaim_mode = 8;
    SmallMachine m{config};
    m.view().nodes[0].min_unmapped_pages = 10;
    m.view().nodes[0].pages = {.inactive_file = 100, .active_file = 50, .file_mapped = 20};
    m.zone(0).watermark = {100, 200, 300, 0};
    m.free_block(2048, 10);
    FakeHosts hosts{m};
    EXPECT_EQ(m.alloc(gfp::kKernel, 0), 2048U);
    return hosts.count("node_reclaim") != 0;
  });
}

TEST(WalkPolicies, ABulkRequestCountsFilledSlotsUntil72) {
  // 8 pages above LOW: enough for the 6 that are wanted, not for all 10 slots.
  expect_each<std::size_t>({0, 0, 0, 0, 0, 0, 6}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(0, 5);
    m.zone().watermark = {10, 24, 30, 0};
    std::array<Pfn, 10> slots{};
    slots.fill(kNoPfn);
    for (std::size_t i = 0; i < 4; ++i)
      slots[i] = Pfn{1000 + i};
    return take_bulk<NoSync>(m.view(), {.gfp = gfp::kKernel, .cpu = CpuId{0}}, slots);
  });
}

TEST(WalkPolicies, AZoneThatIsNotAboveHighIsMarkedSince67) {
  expect_each<bool>({false, false, false, false, false, true, true}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(0, 5);
    m.zone().watermark = {10, 20, 40, 0};
    EXPECT_EQ(m.alloc(gfp::kKernel, 0), 0U);
    return (m.zone().flags & zone_flag::kBelowHigh) != 0;
  });
}

// ------------------------------------------------------------- taking

TEST(TakePolicies, SecondPagesOfOrderOneBlocksCountIn510) {
  expect_each<std::uint32_t>({0, 0, 1, 0, 0, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(0, 2);
    EXPECT_EQ(m.alloc(gfp::kHighUserMovable | gfp::kComp, 1), 0U);
    return m.buddy().movable_pages_of(0);
  });
}

TEST(TakePolicies, OldKernelsGiveMovableRequestsCmaPagesWhateverTheFlags) {
  expect_each<bool>({true, true, false, false, false, false, false}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.has_cma = true;
    SmallMachine m{config};
    m.set_type(0, Cma);
    m.free_block(0, 3, Cma);
    RmqueueMode mode = RmqueueMode::Normal;
    return m.buddy().rmqueue(0, Movable, AllocFlags{}, mode).has_value();
  });
}

TEST(TakePolicies, CmaComesFirstOnceItHasMoreThanHalf) {
  expect_each<std::uint64_t>({512, 512, 0, 0, 0, 0, 0}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.has_cma = true;
    SmallMachine m{config};
    m.set_type(0, Cma);
    m.free_block(0, 3, Cma);
    m.free_block(512, 1);
    RmqueueMode mode = RmqueueMode::Normal;
    const auto taken = m.buddy().rmqueue(0, Movable, alloc_flag::kCma, mode);
    return taken ? m.view().env.map.pfn(taken->index).raw() : SmallMachine::kFailed;
  });
}

TEST(TakePolicies, ABlockThatCannotServeJoinsTheTailOfItsNewList) {
  // Only 5.10 takes a block of order 9 for a request of order 10, which its own one cannot serve either.
  SmallMachine m{config_of(kLinux510)};
  m.set_type(1024, Unmovable);
  m.free_block(1024, 9, Unmovable);
  m.free_block(512, 9);
  RmqueueMode mode = RmqueueMode::Normal;
  EXPECT_FALSE(m.buddy().rmqueue(10, Unmovable, alloc_flag::kNoFragment, mode));
  EXPECT_EQ(m.list(9, Unmovable), (SmallMachine::Pfns{1024, 512}));
}

TEST(TakePolicies, ABoostWakesKswapdForAnyRequestUntil65) {
  // 3.10 knows no boosts, and wakes below LOW only.
  expect_each<std::size_t>({0, 1, 1, 1, 1, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(0, 5);
    m.zone().watermark = {0, 0, 2000, 0};
    m.zone().flags |= zone_flag::kBoostedWatermark;
    FakeHosts hosts{m};
    EXPECT_EQ(m.alloc(gfp::kKernel.without(gfp::kReclaim), 0), 0U);
    return hosts.count("wake");
  });
}

// ------------------------------------------------------------- the reserve

TEST(ReservePolicies, OldestKernelsSetPageblocksAsideAtBoot) {
  expect_each<bool>({true, false, false, false, false, false, false}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m->release_boot_memory({Pfn{0}, Pfn{4096}});
    m->finish_boot();
    return m.type(0) == kReserve;
  });
}

TEST(ReservePolicies, WhatTheReserveHoldsIsNotCountedOn) {
  // 32 free pages in a pageblock that is reserved.
  expect_each<std::int64_t>({0, 512, 512, 512, 512, 32, 32}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(512, 3);
    m.set_type(0, HighAtomic);
    m.free_block(0, 5, HighAtomic);
    m.zone().nr_reserved_highatomic = 512;
    m.zone().nr_free_highatomic = 32;
    return unusable_pages(g.watermark.rule, Order{0}, AllocFlags{}, watermark_zone(g, m.zone(), ZoneIndex{2}));
  });
}

TEST(ReservePolicies, SmallZonesHaveNoneSince67) {
  expect_each<std::int64_t>({1024, 1024, 1024, 1024, 1024, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.zone().managed = 40000;
    for (FrameIndex block = 0; block < 8; ++block)
      reserve_highatomic<NoSync>(m.view(), m.zone(), CpuId{0}, block * 512, 1);
    return m.zone().nr_reserved_highatomic;
  });
}

TEST(ReservePolicies, ALargeBlockReservesAllItsPageblocksSince612) {
  expect_each<std::int64_t>({512, 512, 512, 512, 512, 1024, 1024}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.zone().managed = 400000;
    reserve_highatomic<NoSync>(m.view(), m.zone(), CpuId{0}, 0, 10);
    return m.zone().nr_reserved_highatomic;
  });
}

}  // namespace
}  // namespace mmbox
