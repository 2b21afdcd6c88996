#include "mmbox/core/buddy/buddy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/small_machine.h"

namespace mmbox {
namespace {

using alloc_flag::kKswapd;
using alloc_flag::kNoFragment;
using enum Migratetype;
using test::EventText;
using test::SmallConfig;
using test::SmallMachine;
using testing::ElementsAre;
using testing::IsEmpty;

/// Takes one block the buddy way; its frame, or kFailed.
std::uint64_t take(SmallMachine& m, unsigned order, Migratetype type, AllocFlags flags = {}) {
  RmqueueMode mode = RmqueueMode::Normal;
  const auto block = m.buddy().rmqueue(order, type, flags, mode);
  return block ? m.view().env.map.pfn(block->index).raw() : SmallMachine::kFailed;
}

/// A Movable pageblock with four scattered free blocks, 17 pages: examples 4 and 5 of 03 §12.
void scatter(SmallMachine& m) {
  m.free_block(100, 0);
  m.free_block(16, 2);
  m.free_block(64, 2);
  m.free_block(40, 3);
  m.zone().watermark = {0, 0, 150, 0};
  m.machine().change_rules([](Rules& rules) { rules.watermark_boost_factor = 15000; });
}

// ------------------------------------------------------------- taking and splitting (03 §7)

TEST(Buddy, SplittingKeepsTheLowerHalf) {
  SmallMachine m;
  m.free_block(1024, 10);
  EXPECT_EQ(take(m, 0, Movable), 1024u);
  EXPECT_EQ(m.lists(),
            "o0 Movable [1025] o1 Movable [1026] o2 Movable [1028] o3 Movable [1032] o4 Movable [1040] o5 Movable "
            "[1056] o6 Movable [1088] o7 Movable [1152] o8 Movable [1280] o9 Movable [1536]");
  EXPECT_EQ(take(m, 1, Movable), 1026u);
  EXPECT_EQ(take(m, 0, Movable), 1025u);
}

TEST(Buddy, TheSmallestSufficientBlockIsTaken) {
  SmallMachine m;
  m.free_block(1024, 10);
  m.free_block(64, 5);
  m.free_block(16, 3);
  EXPECT_EQ(take(m, 3, Movable), 16u);
  EXPECT_EQ(take(m, 3, Movable), 64u);
  EXPECT_EQ(m.lists(), "o3 Movable [72] o4 Movable [80] o10 Movable [1024]");
}

TEST(Buddy, TheHeadOfAListIsTakenFirst) {
  SmallMachine m;
  m.free_block(512, 3);
  m.free_block(16, 3);
  EXPECT_EQ(take(m, 3, Movable), 512u);
  EXPECT_EQ(take(m, 3, Movable), 16u);
  EXPECT_EQ(take(m, 3, Movable), SmallMachine::kFailed);
}

TEST(Buddy, SeveralBlocksAtOnceAreThoseOfAsManyRequests) {
  for (unsigned order = 0; order <= kCostlyOrder; ++order) {
    for (const std::uint32_t most : {1u, 2u, 5u, 8u, 31u, 63u, 200u}) {
      SmallMachine at_once;
      SmallMachine one_by_one;
      for (SmallMachine* m : {&at_once, &one_by_one}) {
        m->free_block(1024, 10);
        m->free_block(64, 6);
        m->free_block(16, 4);
      }
      while (const auto run = at_once.buddy().rmqueue_smallest(order, Movable, most)) {
        EXPECT_LE(run->blocks, most);
        for (std::uint32_t i = 0; i < run->blocks; ++i)
          EXPECT_EQ(take(one_by_one, order, Movable), run->index + (std::uint64_t{i} << order));
        EXPECT_EQ(at_once.lists(), one_by_one.lists()) << "order " << order << ", up to " << most;
      }
      EXPECT_EQ(take(one_by_one, order, Movable), SmallMachine::kFailed);
    }
  }
}

TEST(Buddy, WhoeverListensSeesEachBlockTaken) {
  SmallMachine m;
  EventText events;
  m->attach(&events);
  m.free_block(1024, 10);
  EXPECT_EQ(m.buddy().rmqueue_smallest(0, Movable, 8)->blocks, 1u);
  EXPECT_THAT(events.lines, ElementsAre("zone_locked 1024 order=0 Movable refill=1"));
}

TEST(Buddy, SplitPartsStayOnTheListsOfTheTypeTakenFrom) {
  SmallMachine m;  // the pageblock is Movable, the block sits on the Reclaimable list
  m.free_block(16, 2, Reclaimable);
  const auto block = m.buddy().rmqueue_smallest(0, Reclaimable);
  ASSERT_TRUE(block);
  EXPECT_EQ(block->type, Reclaimable);
  EXPECT_EQ(m.lists(), "o0 Reclaimable [17] o1 Reclaimable [18]");
}

TEST(Buddy, TheTakenBlockIsAnnouncedWithItsListType) {
  SmallMachine m;
  EventText events;
  m->attach(&events);
  m.free_block(16, 4, HighAtomic);
  m.free_block(1024, 9);
  static_cast<void>(m.buddy().rmqueue_smallest(1, HighAtomic));
  static_cast<void>(m.buddy().rmqueue_smallest(9, Movable));
  static_cast<void>(m.buddy().rmqueue_smallest(9, Movable));
  // percpu_refill says that order and type may have per-cpu lists.
  EXPECT_THAT(events.lines,
              ElementsAre("zone_locked 16 order=1 HighAtomic refill=0", "zone_locked 1024 order=9 Movable refill=1"));
}

TEST(Buddy, OrdersFourToEightAndTenHaveNoPerCpuLists) {
  for (unsigned order = 0; order <= kMaxPageOrder; ++order) {
    SmallMachine m;
    EventText events;
    m->attach(&events);
    m.free_block(1024, 10);
    static_cast<void>(m.buddy().rmqueue_smallest(order, Movable));
    const bool has_list = order <= 3 || order == 9;
    EXPECT_THAT(events.lines,
                ElementsAre(fmt::format("zone_locked 1024 order={} Movable refill={:d}", order, has_list)));
  }
}

// ------------------------------------------------------------- fallback (03 §7)

TEST(Fallback, AWholePageblockIsTakenOverWithItsNeighbour) {
  SmallMachine m;
  for (const std::uint64_t pfn : {0u, 1024u, 2048u, 3072u})
    m.free_block(pfn, 10);
  m.machine().change_rules([](Rules& rules) { rules.watermark_boost_factor = 15000; });
  m.zone().watermark[2] = 150;
  EventText events;
  m->attach(&events);
  EXPECT_EQ(take(m, 0, Unmovable), 0u);
  EXPECT_EQ(m.type(0), Unmovable);
  EXPECT_EQ(m.type(512), Unmovable);
  EXPECT_EQ(m.type(1024), Movable);
  EXPECT_EQ(m.lists(),
            "o0 Unmovable [1] o1 Unmovable [2] o2 Unmovable [4] o3 Unmovable [8] o4 Unmovable [16] o5 Unmovable [32] "
            "o6 Unmovable [64] o7 Unmovable [128] o8 Unmovable [256] o9 Unmovable [512] o10 Movable [1024, 2048, "
            "3072]");
  EXPECT_EQ(m.zone().watermark_boost, 0) << "taking a whole pageblock fragments nothing";
  EXPECT_THAT(events.lines, ElementsAre("steal 0 order=10 Unmovable whole=1", "type 0 Unmovable", "type 512 Unmovable",
                                        "extfrag 0 order=0 fallback=10 Unmovable<-Movable owned=1",
                                        "zone_locked 0 order=0 Unmovable refill=1"));
}

TEST(Fallback, TooLittleAlikeMovesTheFreePagesButNotTheType) {
  SmallMachine m;
  scatter(m);
  m.contents.ranges = {{Pfn{128}, Pfn{512}}};
  EventText events;
  m->attach(&events);
  EXPECT_EQ(take(m, 0, Unmovable, kKswapd), 100u);
  EXPECT_EQ(m.type(0), Movable);
  EXPECT_EQ(m.lists(), "o2 Unmovable [16, 64] o3 Unmovable [40]");
  EXPECT_EQ(m.zone().watermark_boost, 512);
  EXPECT_EQ(m.zone().flags, zone_flag::kBoostedWatermark);
  EXPECT_THAT(events.lines, ElementsAre("steal 40 order=3 Unmovable whole=1", "boost zone=2 pages=512",
                                        "move 40 Unmovable pages=17", "weighed 0 free=17 alike=111 claimed=0",
                                        "extfrag 40 order=0 fallback=3 Unmovable<-Movable owned=0",
                                        "zone_locked 100 order=0 Unmovable refill=1"));
}

TEST(Fallback, UnmovableAndReclaimableRequestsGoForTheWholePageblockAtAnyOrder) {
  for (const Migratetype type : {Unmovable, Reclaimable}) {
    SmallMachine m;
    scatter(m);
    m.contents.ranges = {{Pfn{128}, Pfn{512}}};
    EXPECT_EQ(take(m, 0, type), 100u) << "the smallest of what was moved, not the largest that was found";
    EXPECT_EQ(m.list(3, type), (SmallMachine::Pfns{40})) << migratetype_name(type);
  }
}

TEST(Fallback, HalfAPageblockOfFreeAndAlikePagesIsClaimed) {
  // 17 pages are free, 512 - 17 - movable are alike: 256 together, as long as no more than 256 are movable.
  for (const std::uint64_t movable : {172u, 256u, 257u}) {
    SmallMachine m;
    scatter(m);
    m.contents.ranges = {{Pfn{128}, Pfn{128 + movable}}};
    EXPECT_EQ(take(m, 0, Unmovable, kKswapd), 100u);
    EXPECT_EQ(m.type(0), movable <= 256 ? Unmovable : Movable) << movable;
  }
}

TEST(Fallback, AMovableRequestCountsMovablePagesAsAlike) {
  // 16 free pages and 240 movable ones make half a pageblock.
  for (const std::uint64_t movable : {239u, 240u}) {
    SmallMachine m;
    m.set_type(0, Unmovable);
    m.free_block(16, 4, Unmovable);
    m.contents.ranges = {{Pfn{128}, Pfn{128 + movable}}};
    EXPECT_EQ(take(m, 0, Movable), 16u);
    EXPECT_EQ(m.type(0), movable == 240 ? Movable : Unmovable) << movable;
  }
}

TEST(Fallback, BetweenUnmovableAndReclaimableOnlyFreePagesCount) {
  for (const unsigned order : {7u, 8u}) {
    SmallMachine m;
    m.set_type(0, Reclaimable);
    m.free_block(0, order, Reclaimable);
    EXPECT_EQ(take(m, 0, Unmovable), 0u);
    EXPECT_EQ(m.type(0), order == 8 ? Unmovable : Reclaimable);
  }
}

TEST(Fallback, AMovableRequestTakesTheSmallestOfSmallBlocks) {
  SmallMachine m;
  m.set_type(0, Unmovable);
  m.set_type(512, Reclaimable);
  m.free_block(100, 0, Unmovable);
  m.free_block(16, 2, Unmovable);
  m.free_block(40, 3, Unmovable);
  m.free_block(600, 1, Reclaimable);
  m.free_block(640, 3, Reclaimable);
  m.zone().watermark[2] = 150;
  m.machine().change_rules([](Rules& rules) { rules.watermark_boost_factor = 15000; });
  EXPECT_EQ(take(m, 0, Movable), 100u);
  EXPECT_EQ(m.zone().watermark_boost, 512);
  EXPECT_EQ(m.zone().flags, 0u) << "without the right to wake kswapd nothing is flagged";
  EXPECT_EQ(take(m, 1, Movable), 600u);
}

TEST(Fallback, AMovableRequestTakesTheLargestFromOrderFourOn) {
  for (const unsigned largest : {3u, 4u}) {
    SmallMachine m;
    m.set_type(0, Unmovable);
    m.free_block(8, 0, Unmovable);
    m.free_block(64, largest, Unmovable);
    EXPECT_EQ(take(m, 0, Movable), 8u);
    // With an order-4 block all free blocks of the pageblock move; with an order-3 one only the page itself.
    EXPECT_EQ(m.lists(), largest == 3 ? "o3 Unmovable [64]" : "o4 Movable [64]");
  }
}

TEST(Fallback, TheLargestBlockIsStolenAtTheSizeOfTheRequestToo) {
  SmallMachine m;
  m.set_type(0, Unmovable);
  m.free_block(16, 2, Unmovable);
  EXPECT_EQ(take(m, 2, Movable), 16u);
  EXPECT_EQ(take(m, 2, Movable), SmallMachine::kFailed);
}

TEST(Fallback, EachTypeHasItsOwnOrderOfAlternatives) {
  struct Case {
    Migratetype request;
    Migratetype first;
    Migratetype second;
  };
  for (const Case c : {Case{Unmovable, Reclaimable, Movable}, Case{Movable, Reclaimable, Unmovable},
                       Case{Reclaimable, Unmovable, Movable}}) {
    SmallMachine m;
    m.set_type(0, c.second);
    m.set_type(512, c.first);
    m.free_block(16, 4, c.second);
    m.free_block(528, 4, c.first);
    EXPECT_EQ(take(m, 4, c.request), 528u) << migratetype_name(c.request);
    EXPECT_EQ(take(m, 4, c.request), 16u) << migratetype_name(c.request);
  }
}

TEST(Fallback, ALargerBlockOfTheSecondChoiceBeatsASmallerOfTheFirst) {
  SmallMachine m;
  m.set_type(512, Reclaimable);
  m.free_block(16, 5, Movable);
  m.free_block(528, 4, Reclaimable);
  EXPECT_EQ(take(m, 4, Unmovable), 16u);
}

TEST(Fallback, HighAtomicCmaAndIsolatedBlocksAreNoAlternative) {
  for (const Migratetype type : {HighAtomic, Cma, Isolate}) {
    SmallMachine m{SmallConfig{.has_cma = true}};
    m.set_type(0, type);
    m.free_block(0, 9, type);
    for (const Migratetype request : {Unmovable, Movable, Reclaimable})
      EXPECT_EQ(take(m, 0, request), SmallMachine::kFailed);
  }
}

TEST(Fallback, ABlockInAHighAtomicPageblockIsStolenAlone) {
  SmallMachine m;  // on the Movable list, but its pageblock has become HighAtomic
  m.set_type(0, HighAtomic);
  m.free_block(16, 4, Movable);
  m.free_block(64, 4, Movable);
  m.zone().watermark[2] = 150;
  m.machine().change_rules([](Rules& rules) { rules.watermark_boost_factor = 15000; });
  EXPECT_EQ(take(m, 4, Unmovable, kKswapd), 16u);
  EXPECT_EQ(m.type(0), HighAtomic);
  EXPECT_EQ(m.lists(), "o4 Movable [64]");
  EXPECT_EQ(m.zone().watermark_boost, 0);
}

TEST(Fallback, NoFragmentTakesOnlyWholePageblocks) {
  SmallMachine m;
  m.free_block(16, 4);
  EXPECT_EQ(take(m, 0, Unmovable, kNoFragment), SmallMachine::kFailed);
  m.free_block(512, 8);
  EXPECT_EQ(take(m, 0, Unmovable, kNoFragment), SmallMachine::kFailed);
  m.free_block(1024, 9);
  EXPECT_EQ(take(m, 0, Unmovable, kNoFragment), 1024u);
  SmallMachine same;
  same.free_block(16, 4);
  EXPECT_EQ(take(same, 0, Unmovable), 16u);
}

TEST(Fallback, MovedBlocksGoToTheTail) {
  SmallMachine m;
  m.set_type(512, Unmovable);
  m.free_block(516, 2, Unmovable);  // already there, too small for the request
  m.free_block(16, 4);
  m.free_block(64, 2);
  m.free_block(32, 2);
  EXPECT_EQ(take(m, 4, Unmovable), 16u);
  // The scan goes by frames, not by list order.
  EXPECT_EQ(m.list(2, Unmovable), (SmallMachine::Pfns{516, 32, 64}));
}

TEST(Fallback, APageblockIsMovedToItsVeryLastPage) {
  SmallMachine m;
  m.free_block(0, 0);
  m.free_block(511, 0);
  m.free_block(512, 0);
  EXPECT_EQ(m.buddy().move_freepages_block(m.index(100), Unmovable), PageCount{2});
  EXPECT_EQ(m.lists(), "o0 Unmovable [0, 511] o0 Movable [512]");
}

TEST(Fallback, APageblockThatReachesBeyondTheZoneIsNotMoved) {
  SmallMachine m{SmallConfig{.zones = {{.start = 0, .pages = 700}}}};
  m.free_block(600, 3);
  m.free_block(520, 2);
  EXPECT_EQ(take(m, 0, Unmovable), 600u);
  EXPECT_EQ(m.list(2, Movable), (SmallMachine::Pfns{520}));
  EXPECT_EQ(m.type(512), Movable);
}

TEST(Fallback, APageblockBelowTheZoneIsMovedFromThePageOn) {
  SmallMachine m{SmallConfig{.zones = {{.start = 100, .pages = 924}}}};
  m.view().env.map.pageblock(m.index(100)).type = Movable;
  m.free_block(104, 2);
  m.free_block(240, 4);
  m.free_block(300, 2);
  EXPECT_EQ(take(m, 4, Unmovable), 240u);
  // 104 lies below the page that was asked for: the zone does not own the whole pageblock.
  EXPECT_EQ(m.lists(), "o2 Unmovable [300] o2 Movable [104]");
}

TEST(Fallback, OnASmallMachineEverythingIsClaimedAsUnmovable) {
  SmallMachine m;
  m.machine().change_rules([](Rules& rules) { rules.mobility_disabled = true; });
  m.free_block(16, 0);
  m.free_block(64, 1);
  m.free_block(32, 0);
  EXPECT_EQ(take(m, 0, Unmovable), 16u) << "moved with its pageblock, lowest frame first";
  EXPECT_EQ(m.type(0), Unmovable);
  EXPECT_EQ(m.lists(), "o0 Unmovable [32] o1 Unmovable [64]");
}

TEST(Fallback, WithoutMobilityTypesAreStoredAsUnmovableButReservesAreNot) {
  SmallMachine m;
  m.machine().change_rules([](Rules& rules) { rules.mobility_disabled = true; });
  m.buddy().set_pageblock_type(m.index(0), Movable);
  EXPECT_EQ(m.type(0), Unmovable);
  m.buddy().set_pageblock_type(m.index(0), Reclaimable);
  EXPECT_EQ(m.type(0), Unmovable);
  m.buddy().set_pageblock_type(m.index(0), HighAtomic);
  EXPECT_EQ(m.type(0), HighAtomic);
  m.buddy().set_pageblock_type(m.index(0), Isolate);
  EXPECT_EQ(m.type(0), Isolate);
}

// ------------------------------------------------------------- the boost (03 §7)

TEST(Boost, GrowsByAPageblockUpToItsShareOfTheHighMark) {
  SmallMachine m;
  m.machine().change_rules([](Rules& rules) { rules.watermark_boost_factor = 15000; });
  m.zone().watermark = {0, 0, 1000, 0};  // at most 1500
  std::vector<std::int64_t> boosts;
  for (std::uint64_t block = 0; block < 4; ++block) {
    m.free_block(block * 512 + 16, 0);
    EXPECT_EQ(take(m, 0, Unmovable), block * 512 + 16);
    boosts.push_back(m.zone().watermark_boost);
  }
  EXPECT_THAT(boosts, ElementsAre(512, 1024, 1500, 1500));
}

TEST(Boost, NeedsAFactorAMarkAndAZoneOfFourPageblocks) {
  struct Case {
    std::uint32_t factor;
    std::int64_t high;
    std::int64_t managed;
    std::int64_t boost;
  };
  for (const Case c :
       {Case{15000, 150, 2048, 512}, Case{15000, 150, 2047, 0}, Case{0, 150, 4096, 0}, Case{15000, 0, 4096, 0},
        Case{1, 9999, 4096, 0}, Case{1, 10000, 4096, 512}, Case{10000, 511, 4096, 512}, Case{10000, 600, 4096, 512}}) {
    SmallMachine m;
    m.machine().change_rules([&](Rules& rules) { rules.watermark_boost_factor = c.factor; });
    m.zone().watermark[2] = c.high;
    m.zone().managed = c.managed;
    m.free_block(16, 0);
    EXPECT_EQ(take(m, 0, Unmovable, kKswapd), 16u);
    EXPECT_EQ(m.zone().watermark_boost, c.boost);
    EXPECT_EQ(m.zone().flags, c.boost == 0 ? 0 : zone_flag::kBoostedWatermark);
  }
}

TEST(Boost, IsMeasuredByTheMarkWithoutTheBoost) {
  SmallMachine m;
  m.machine().change_rules([](Rules& rules) { rules.watermark_boost_factor = 10000; });
  m.zone().watermark[2] = 600;
  m.zone().watermark_boost = 512;
  m.free_block(16, 0);
  EXPECT_EQ(take(m, 0, Unmovable), 16u);
  EXPECT_EQ(m.zone().watermark_boost, 600);
}

// ------------------------------------------------------------- CMA (03 §7)

TEST(Cma, ServesMovableRequestsWhileItHoldsMoreThanHalf) {
  SmallMachine m{SmallConfig{.has_cma = true}};
  m.set_type(2048, Cma, 4);
  m.free_block(0, 10);
  m.free_block(1024, 10);
  m.free_block(2048, 10, Cma);
  m.free_block(3072, 10, Cma);
  std::vector<std::uint64_t> got;
  for (int i = 0; i < 4; ++i)
    got.push_back(m.alloc(gfp::kHighUserMovable, 10));
  EXPECT_THAT(got, ElementsAre(0, 2048, 1024, 3072));
  EXPECT_EQ(m.zone().stat[0], 0);
  EXPECT_EQ(m.zone().stat[1], 0);
}

TEST(Cma, IsUsedBeforeOtherTypesAreStolenFrom) {
  SmallMachine m{SmallConfig{.has_cma = true}};
  m.set_type(0, Unmovable, 2);
  m.set_type(1024, Cma);
  m.free_block(0, 10, Unmovable);
  m.free_block(1024, 9, Cma);
  EXPECT_EQ(take(m, 4, Movable), 0u) << "without the flag it is not touched";
  EXPECT_EQ(take(m, 9, Movable, alloc_flag::kCma), 512u) << "its own list is first, now that it has a block";
  EXPECT_EQ(take(m, 9, Movable, alloc_flag::kCma), 1024u);
  EXPECT_EQ(take(m, 9, Unmovable), SmallMachine::kFailed);
}

// ------------------------------------------------------------- freeing and merging (04 §2)

TEST(Buddy, ABlockThatMayMergeSoonGoesToTheTail) {
  SmallMachine m;
  m.free_block(0, 10);
  for (std::uint64_t pfn = 0; pfn < 8; ++pfn)
    EXPECT_EQ(take(m, 0, Movable), pfn);
  m.free_direct(2, 0);
  EXPECT_EQ(m.list(0, Movable), (SmallMachine::Pfns{2}));
  m.free_direct(4, 0);
  EXPECT_EQ(m.list(0, Movable), (SmallMachine::Pfns{4, 2}));
  m.free_direct(0, 0);
  EXPECT_EQ(m.list(0, Movable), (SmallMachine::Pfns{0, 4, 2}));
  m.free_direct(5, 0);
  EXPECT_EQ(m.list(0, Movable), (SmallMachine::Pfns{0, 2}));
  EXPECT_EQ(m.list(1, Movable), (SmallMachine::Pfns{4}));
  m.free_direct(3, 0);
  EXPECT_EQ(m.list(0, Movable), (SmallMachine::Pfns{0}));
  EXPECT_EQ(m.list(1, Movable), (SmallMachine::Pfns{2, 4}));
  m.free_direct(7, 0);
  EXPECT_EQ(m.list(0, Movable), (SmallMachine::Pfns{0, 7}));
  EXPECT_EQ(m.list(1, Movable), (SmallMachine::Pfns{2, 4}));
}

TEST(Buddy, FreeingTheLastPageMergesUpToTheLargestOrder) {
  SmallMachine m;
  m.free_block(0, 10);
  EXPECT_EQ(take(m, 0, Movable), 0u);
  m.free_direct(0, 0);
  EXPECT_EQ(m.lists(), "o10 Movable [0]");
  m.free_direct(1024, 10);
  EXPECT_EQ(m.list(10, Movable), (SmallMachine::Pfns{1024, 0})) << "order 10 does not merge";
}

TEST(Buddy, LargeBlocksGoToTheHeadThoughTheyMayMerge) {
  SmallMachine m;
  // An order-8 block whose pair's buddy is free goes to the tail, an order-9 block to the head.
  m.free_block(2560, 9);
  m.free_block(1024, 8);
  m.free_direct(2048, 8);
  EXPECT_EQ(m.list(8, Movable), (SmallMachine::Pfns{1024, 2048}));
  SmallMachine n;
  n.free_block(3072, 10);
  n.free_block(512, 9);
  n.free_direct(2048, 9);
  EXPECT_EQ(n.list(9, Movable), (SmallMachine::Pfns{2048, 512}));
}

TEST(Buddy, MergingBelowPageblockOrderDoesNotLookAtTypes) {
  SmallMachine m;  // the buddy sits on another type's list; the merged block goes to the freed page's
  m.free_block(0, 3, HighAtomic);
  m.free_direct(8, 3);
  EXPECT_EQ(m.lists(), "o4 Movable [0]");
}

TEST(Buddy, HalvesOfAPageblockJoinWhateverTypeTheyComeBackUnder) {
  SmallMachine m;  // the per-cpu list still knows the page as Movable
  m.set_type(0, HighAtomic);
  m.free_block(256, 8, HighAtomic);
  m.buddy().free_one_page(m.index(0), 8, Movable);
  EXPECT_EQ(m.lists(), "o9 Movable [0]");
}

TEST(Buddy, MergeablePageblocksJoinAtOrderTenAndKeepTheirTypes) {
  SmallMachine m;
  m.set_type(512, Reclaimable);
  m.free_block(512, 9, Reclaimable);
  m.free_direct(0, 9);
  EXPECT_EQ(m.lists(), "o10 Movable [0]");
  EXPECT_EQ(m.type(0), Movable);
  EXPECT_EQ(m.type(512), Reclaimable);
}

TEST(Buddy, ReservedPageblocksDoNotJoinOthers) {
  for (const Migratetype type : {HighAtomic, Cma, Isolate}) {
    SmallMachine m{SmallConfig{.has_cma = true}};
    m.set_type(512, type);
    m.free_block(512, 9, type);
    m.free_direct(0, 9);
    EXPECT_EQ(m.list(9, Movable), (SmallMachine::Pfns{0})) << migratetype_name(type);
    EXPECT_EQ(m.list(9, type), (SmallMachine::Pfns{512})) << migratetype_name(type);
    // The other way round, too.
    SmallMachine n{SmallConfig{.has_cma = true}};
    n.set_type(512, type);
    n.free_block(0, 9);
    n.free_direct(512, 9);
    EXPECT_EQ(n.list(9, type), (SmallMachine::Pfns{512})) << migratetype_name(type);
    // Two of the same type join.
    SmallMachine same{SmallConfig{.has_cma = true}};
    same.set_type(0, type, 2);
    same.free_block(0, 9, type);
    same.free_direct(512, 9);
    EXPECT_EQ(same.list(10, type), (SmallMachine::Pfns{0})) << migratetype_name(type);
  }
}

TEST(Buddy, BlocksOfTwoZonesDoNotMerge) {
  SmallMachine m{SmallConfig{.zones = {{.type = ZoneType::Dma32, .start = 0, .pages = 512},
                                       {.type = ZoneType::Normal, .start = 512, .pages = 512}}}};
  m.free_block(0, 9);
  m.free_direct(512, 9);
  EXPECT_EQ(m.lists(0), "o9 Movable [0]");
  EXPECT_EQ(m.lists(1), "o9 Movable [512]");
  EXPECT_EQ(m.violation(), "");
}

TEST(Buddy, IsolatedPagesAreNotCountedAndCmaPagesTwice) {
  SmallMachine m{SmallConfig{.has_cma = true}};
  m.set_type(0, Isolate);
  m.set_type(512, Cma);
  m.free_direct(16, 3);
  EXPECT_EQ(m.zone().stat[0], 0);
  m.free_direct(528, 3);
  EXPECT_EQ(m.zone().stat[0], 8);
  EXPECT_EQ(m.zone().stat[1], 8);
  m.free_direct(1040, 3);
  EXPECT_EQ(m.zone().stat[0], 16);
  EXPECT_EQ(m.zone().stat[1], 8);
}

TEST(Buddy, ForcedTailPlacementHoldsForTheMergedBlock) {
  SmallMachine m;
  m.free_block(64, 1);
  m.free_block(2, 0);
  m.buddy().free_one_page(m.index(3), 0, Movable, Buddy::Place::Tail);
  EXPECT_EQ(m.list(1, Movable), (SmallMachine::Pfns{64, 2}));
}

TEST(Buddy, AnyFrameOfAFreeBlockLeadsToItsHead) {
  SmallMachine m;
  m.free_block(1024, 10);
  m.free_block(64, 5);
  EXPECT_EQ(m.buddy().free_block_of(m.index(2047)), m.index(1024));
  EXPECT_EQ(m.buddy().free_block_of(m.index(1024)), m.index(1024));
  EXPECT_EQ(m.buddy().free_block_of(m.index(95)), m.index(64));
  EXPECT_EQ(m.buddy().free_block_of(m.index(96)), std::nullopt);
  EXPECT_EQ(m.buddy().free_block_of(m.index(63)), std::nullopt);
}

// ------------------------------------------------------------- counters (01 §9, example 3)

TEST(Counters, ADeltaBeyondTheThresholdMovesWhole) {
  SmallMachine m{SmallConfig{.threshold = 10}};
  m.zone().stat[0] = 1000;
  m.pageset().stat.delta[0] = 8;
  m.buddy().count_free(-4, Movable);
  EXPECT_EQ(m.zone().stat[0], 1000);
  EXPECT_EQ(m.pageset().stat.delta[0], 4);
  m.buddy().count_free(7, Movable);
  EXPECT_EQ(m.zone().stat[0], 1011);
  EXPECT_EQ(m.pageset().stat.delta[0], 0);
}

TEST(Counters, ADeltaAtTheThresholdStays) {
  for (const int sign : {1, -1}) {
    SmallMachine m{SmallConfig{.threshold = 10}};
    m.zone().stat[0] = 1000;
    m.buddy().count_free(sign * 10, Movable);
    EXPECT_EQ(m.zone().stat[0], 1000);
    EXPECT_EQ(m.pageset().stat.delta[0], sign * 10);
    m.buddy().count_free(sign, Movable);
    EXPECT_EQ(m.zone().stat[0], 1000 + sign * 11);
    EXPECT_EQ(m.pageset().stat.delta[0], 0);
  }
}

TEST(Counters, EachCpuHasItsOwnDelta) {
  SmallMachine m{SmallConfig{.cpu_nodes = {0, 0}, .threshold = 10}};
  m.buddy(0, 0).count_free(10, Movable);
  m.buddy(0, 1).count_free(-10, Movable);
  EXPECT_EQ(m.pageset(0, 0).stat.delta[0], 10);
  EXPECT_EQ(m.pageset(0, 1).stat.delta[0], -10);
  EXPECT_EQ(m.zone().stat[0], 0);
}

// ------------------------------------------------------------- capture (04 §2)

struct Capturing : testing::Test {
  SmallMachine m;
  CaptureControl capture{.zone = m.zone().id, .order = Order{2}, .migratetype = Movable, .page = {}};
  void SetUp() override { m.view().env.capture = &capture; }
};

TEST_F(Capturing, TheWantedOrderIsTakenAsItForms) {
  m.set_type(0, Unmovable, 2);
  m.free_block(0, 1, Unmovable);
  m.free_direct(2, 1);
  EXPECT_EQ(capture.page, Pfn{0});
  EXPECT_EQ(m.lists(), "");
  EXPECT_EQ(m.zone().stat[0], 0);
  m.free_direct(8, 2);
  EXPECT_EQ(m.list(2, Unmovable), (SmallMachine::Pfns{8})) << "one block is enough";
}

TEST_F(Capturing, OtherOrdersZonesAndReservedTypesPass) {
  m.set_type(0, Unmovable);
  m.free_direct(32, 3);
  EXPECT_FALSE(capture.page);
  m.set_type(512, Isolate);
  m.free_direct(516, 2);
  EXPECT_FALSE(capture.page) << "isolated blocks stay where they are";
  m.set_type(1024, Cma);
  m.free_direct(1028, 2);
  EXPECT_FALSE(capture.page);
  capture.zone = ZoneId{0};
  m.free_direct(4, 2);
  EXPECT_FALSE(capture.page);
}

TEST_F(Capturing, SmallBlocksOfMovablePageblocksAreLeftToThem) {
  m.free_direct(4, 2);
  EXPECT_FALSE(capture.page);
  m.set_type(512, Reclaimable);
  m.free_direct(516, 2);
  EXPECT_EQ(capture.page, Pfn{516});
  capture.page.reset();
  capture.order = Order{9};
  m.free_direct(1024, 9);
  EXPECT_EQ(capture.page, Pfn{1024}) << "a whole pageblock pollutes nothing";
}

}  // namespace
}  // namespace mmbox
