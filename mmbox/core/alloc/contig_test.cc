#include "mmbox/core/alloc/contig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/small_machine.h"

namespace mmbox {
namespace {

using enum Migratetype;
using test::EventText;
using test::SmallConfig;
using test::SmallMachine;
using testing::ElementsAre;
using Pfns = SmallMachine::Pfns;

// ------------------------------------------------------------- taking free blocks out (04 §8, §9)

PageCount isolate_free(SmallMachine& m, std::uint64_t pfn, unsigned order) {
  return isolate_free_page(m.view(), m.zone(), CpuId{0}, m.index(pfn), order);
}

TEST(IsolateFree, LeavesTheMinMarkAlone) {
  for (const std::int64_t min : {1008, 1007}) {  // 1024 free pages, a block of 16
    SmallMachine m;
    m.free_block(64, 4);
    m.zone().stat[0] = 1024;
    m.zone().watermark[0] = min;
    EXPECT_EQ(isolate_free(m, 64, 4).raw(), min == 1007 ? 16u : 0u);
    EXPECT_EQ(m.zone().stat[0], min == 1007 ? 1008 : 1024);
    EXPECT_EQ(m.list(4, Movable).empty(), min == 1007);
  }
}

TEST(IsolateFree, ComparesWithTheMarkWithoutTheBoost) {
  SmallMachine m;
  m.free_block(64, 4);
  m.zone().stat[0] = 1024;
  m.zone().watermark_boost = 5000;
  EXPECT_EQ(isolate_free(m, 64, 4).raw(), 16u);
}

TEST(IsolateFree, BlocksOfIsolatedPageblocksAreAlwaysGivenAndNotCounted) {
  SmallMachine m;
  m.set_type(0, Isolate);
  m.free_block(64, 4, Isolate);
  m.zone().watermark[0] = 5000;
  EXPECT_EQ(isolate_free(m, 64, 4).raw(), 16u);
  EXPECT_EQ(m.zone().stat[0], 0);
}

TEST(IsolateFree, LargeBlocksTurnTheirPageblocksMovable) {
  for (const unsigned order : {7u, 8u, 9u, 10u}) {
    SmallMachine m;
    m.set_type(0, Unmovable);
    m.set_type(512, order == 10 ? Reclaimable : Unmovable);
    m.free_block(0, order, Unmovable);
    m.zone().stat[0] = 4096;
    EXPECT_EQ(isolate_free(m, 0, order).raw(), 1u << order);
    EXPECT_EQ(m.type(0), order >= 8 ? Movable : Unmovable) << order;
    EXPECT_EQ(m.type(512), order == 10 ? Movable : Unmovable) << order;
  }
  SmallMachine m;
  m.set_type(0, HighAtomic);
  m.free_block(0, 9, HighAtomic);
  m.zone().stat[0] = 4096;
  EXPECT_EQ(isolate_free(m, 0, 9).raw(), 512u);
  EXPECT_EQ(m.type(0), HighAtomic);
}

TEST(IsolateFree, PuttingBackGoesToTheTailAndMerges) {
  SmallMachine m;
  m.free_block(64, 4);
  m.free_block(96, 4);
  m.free_block(256, 4);
  m.zone().stat[0] = 1024;
  EXPECT_EQ(isolate_free(m, 64, 4).raw(), 16u);
  putback_isolated_page(m.view(), m.zone(), CpuId{0}, m.index(64), 4, Movable);
  EXPECT_EQ(m.list(4, Movable), (Pfns{96, 256, 64}));
  m.adopt(80, 4);
  m.free(80, 4);
  EXPECT_EQ(m.list(5, Movable), (Pfns{64}));
}

TEST(IsolateFreeDeathTest, NeedsTheHeadOfAFreeBlock) {
  SmallMachine m;
  m.free_block(64, 4);
  EXPECT_DEATH(static_cast<void>(isolate_free(m, 64, 3)), "isolate: pfn does not head a free block of order: 0x40, 3");
}

TEST(TakeOff, LeavesTheRestOfTheBlockFree) {
  SmallMachine m;
  m.free_block(512, 2);
  m.free_block(16, 4);
  EXPECT_TRUE(take_page_off_buddy(m.view(), m.zone(), CpuId{0}, m.index(21)));
  EXPECT_EQ(m.lists(), "o0 Movable [20] o1 Movable [22] o2 Movable [16, 512] o3 Movable [24]");
  EXPECT_EQ(m.zone().stat[0], 19);
  EXPECT_FALSE(take_page_off_buddy(m.view(), m.zone(), CpuId{0}, m.index(21)));
  EXPECT_FALSE(take_page_off_buddy(m.view(), m.zone(), CpuId{0}, m.index(32)));
}

TEST(TakeOff, TheRestGoesToThePageblocksType) {
  SmallMachine m;
  m.free_block(16, 1, Reclaimable);
  EXPECT_TRUE(take_page_off_buddy(m.view(), m.zone(), CpuId{0}, m.index(16)));
  EXPECT_EQ(m.list(0, Movable), (Pfns{17}));
}

// ------------------------------------------------------------- pageblock isolation (04 §10)

IsolateFailure isolate(SmallMachine& m, std::uint64_t pfn, bool unmovable = false) {
  return isolate_pageblock(m.view(), m.zone(), CpuId{0}, m.index(pfn), unmovable);
}
void unisolate(SmallMachine& m, std::uint64_t pfn, Migratetype type = Movable) {
  unisolate_pageblock(m.view(), m.zone(), CpuId{0}, m.index(pfn), type);
}

TEST(Isolation, HidesTheFreePagesOfAPageblock) {
  SmallMachine m;
  m.free_block(528, 4);
  m.free_block(16, 4);
  EXPECT_EQ(isolate(m, 512), IsolateFailure::None);
  EXPECT_EQ(m.type(512), Isolate);
  EXPECT_EQ(m.zone().nr_isolate_pageblock, 1u);
  EXPECT_EQ(m.zone().stat[0], 16);
  EXPECT_EQ(m.lists(), "o4 Movable [16] o4 Isolate [528]");
  EXPECT_EQ(m.violation(), "");
  EXPECT_EQ(isolate(m, 512), IsolateFailure::AlreadyIsolated);
  EXPECT_EQ(m.zone().nr_isolate_pageblock, 1u);
  unisolate(m, 512);
  EXPECT_EQ(m.type(512), Movable);
  EXPECT_EQ(m.zone().nr_isolate_pageblock, 0u);
  EXPECT_EQ(m.zone().stat[0], 32);
  EXPECT_EQ(m.list(4, Movable), (Pfns{16, 528}));
  unisolate(m, 512);
  EXPECT_EQ(m.zone().nr_isolate_pageblock, 0u) << "it is not isolated any more";
}

TEST(Isolation, UnmovablePagesForbidIt) {
  SmallMachine m;
  EXPECT_EQ(isolate(m, 512, true), IsolateFailure::Unmovable);
  EXPECT_EQ(m.type(512), Movable);
  EXPECT_EQ(m.zone().nr_isolate_pageblock, 0u);
}

TEST(Isolation, CmaPagesLeaveBothCountersAndComeBack) {
  SmallMachine m{SmallConfig{.has_cma = true}};
  m.set_type(512, Cma);
  m.free_block(528, 4, Cma);
  EXPECT_EQ(isolate(m, 512), IsolateFailure::None);
  EXPECT_EQ(m.zone().stat[0], 0);
  EXPECT_EQ(m.zone().stat[1], 0);
  unisolate(m, 512, Cma);
  EXPECT_EQ(m.zone().stat[0], 16);
  EXPECT_EQ(m.zone().stat[1], 16);
}

TEST(Isolation, AFreePageblockJoinsItsNeighbourWhenItComesBack) {
  SmallMachine m;
  m.free_block(0, 9);
  m.free_block(512, 9);
  EXPECT_EQ(isolate(m, 512), IsolateFailure::None);
  EXPECT_EQ(m.zone().stat[0], 512);
  unisolate(m, 512);
  EXPECT_EQ(m.lists(), "o10 Movable [0]");
  EXPECT_EQ(m.zone().stat[0], 1024);
  EXPECT_EQ(m.violation(), "");
}

TEST(Isolation, ANeighbourThatIsIsolatedTooIsNotJoined) {
  SmallMachine m;
  m.free_block(0, 9);
  m.free_block(512, 9);
  EXPECT_EQ(isolate(m, 0), IsolateFailure::None);
  EXPECT_EQ(isolate(m, 512), IsolateFailure::None);
  unisolate(m, 512);
  EXPECT_EQ(m.lists(), "o9 Movable [512] o9 Isolate [0]");
  EXPECT_EQ(m.zone().stat[0], 512);
}

TEST(Isolation, BesideAnIsolatedNeighbourNothingIsMadeOfItThatCouldBeFreed) {
  // 4.12 joins a free pageblock with its neighbour by freeing it. That shows, and where the two cannot join it is not
  // done.
  const auto events = [](bool neighbour_is_isolated) {
    SmallConfig config;
    config.generation.free.isolation = PageblockIsolation::DrainZone;
    SmallMachine m{config};
    m.free_block(0, 9);
    m.free_block(512, 9);
    if (neighbour_is_isolated) {
      EXPECT_EQ(isolate(m, 0), IsolateFailure::None);
    }
    EXPECT_EQ(isolate(m, 512), IsolateFailure::None);
    unisolate(m, 512);
    return m.pageset().events.pgfree;
  };
  EXPECT_EQ(events(false), 512u);
  EXPECT_EQ(events(true), 0u);
}

TEST(SplitFree, EachPieceGoesToItsOwnPageblocksType) {
  SmallMachine m;
  m.set_type(512, Isolate);
  m.free_block(0, 10);
  split_free_page(m.view(), m.zone(), CpuId{0}, m.index(0), 10, 512);
  EXPECT_EQ(m.lists(), "o9 Movable [0] o9 Isolate [512]");
  EXPECT_EQ(m.zone().stat[0], 512);
}

TEST(SplitFree, PiecesAreTheLargestAlignedOnes) {
  SmallMachine m;
  EventText events;
  m.free_block(1024, 10);
  m->attach(&events);
  // An offset that no pageblock has, to see the pieces.
  m.set_type(1536, HighAtomic);
  split_free_page(m.view(), m.zone(), CpuId{0}, m.index(1024), 10, 704);
  std::vector<std::string> pieces;
  for (const std::string& line : events.of("free_one"))
    pieces.push_back(line.substr(9, line.find(" tail") - 9));
  EXPECT_THAT(pieces, ElementsAre("1024 order=9 Movable", "1536 order=7 HighAtomic", "1664 order=6 HighAtomic",
                                  "1728 order=6 HighAtomic", "1792 order=8 HighAtomic"));
}

// ------------------------------------------------------------- contiguous ranges (04 §10)

class Migrator final : public RangeMigrator {
 public:
  explicit Migrator(SmallMachine& machine) : m_(machine) {}
  bool has_unmovable(Pfn begin, Pfn end) override {
    asked.push_back(fmt::format("{}-{}", begin.raw(), end.raw()));
    return unmovable.raw() >= begin.raw() && unmovable < end;
  }
  bool migrate_range(Pfn begin, Pfn end) override {
    for (std::uint64_t pfn = begin.raw(); pfn < end.raw(); ++pfn)
      if (m_->frame_state(Pfn{pfn}).kind() == FrameState::Kind::Allocated)
        m_.free(pfn, m_->frame_state(Pfn{pfn}).order());
    return can_migrate;
  }
  std::vector<std::string> asked;
  Pfn unmovable = kNoPfn;
  bool can_migrate = true;

 private:
  SmallMachine& m_;
};

TEST(Contig, TakesExactlyTheRangeOutOfALargerFreeBlock) {
  SmallMachine m;
  m.free_block(0, 10);
  Migrator host{m};
  EXPECT_TRUE(m->alloc_range({Pfn{100}, Pfn{200}}, CpuId{0}, host));
  EXPECT_EQ(m.zone().stat[0], 1024 - 100);
  EXPECT_EQ(m.lists(),
            "o2 Movable [96] o3 Movable [200] o4 Movable [208] o5 Movable [64, 224] o6 Movable [0] o8 Movable [256] "
            "o9 Movable [512]");
  EXPECT_EQ(m.type(0), Movable);
  EXPECT_EQ(m.zone().nr_isolate_pageblock, 0u);
  for (std::uint64_t pfn = 100; pfn < 200; ++pfn) {
    ASSERT_TRUE(m->frame_state(Pfn{pfn}).is_allocated_as(0));
    m.free(pfn, 0);
  }
  m->drain_all();
  EXPECT_EQ(m.list(10, Movable), (Pfns{0}));
  EXPECT_EQ(m.violation(), "");
}

TEST(Contig, MovesWhatIsInTheWay) {
  SmallMachine m;
  for (std::uint64_t pfn = 512; pfn < 1024; pfn += 16)
    m.adopt(pfn, 4);
  Migrator host{m};
  EXPECT_TRUE(m->alloc_range({Pfn{512}, Pfn{1024}}, CpuId{0}, host));
  EXPECT_EQ(m.zone().stat[0], 0);
  EXPECT_EQ(m.lists(), "");
  EXPECT_EQ(m.violation(), "");
}

TEST(Contig, DrainsThePerCpuListsOfTheZone) {
  SmallMachine m{SmallConfig{.cpu_nodes = {0, 0}}};
  m.adopt(512, 8, 2);
  for (std::uint64_t pfn = 512; pfn < 1024; pfn += 256)
    m->split(Pfn{pfn}, Order{8});
  for (std::uint64_t pfn = 512; pfn < 1024; ++pfn)
    m.free(pfn, 0, pfn % 2);
  EXPECT_GT(m.pageset(0, 0).count + m.pageset(0, 1).count, 0);
  Migrator host{m};
  EXPECT_TRUE(m->alloc_range({Pfn{512}, Pfn{1024}}, CpuId{0}, host));
  EXPECT_EQ(m.pageset(0, 0).count + m.pageset(0, 1).count, 0);
  EXPECT_EQ(m.violation(), "");
}

TEST(Contig, AsksForTheFirstAndTheLastPageblockBeforeTheMiddle) {
  SmallMachine m;
  Migrator host{m};
  EXPECT_FALSE(m->alloc_range({Pfn{600}, Pfn{2500}}, CpuId{0}, host));  // in use, and nothing frees it
  EXPECT_THAT(host.asked, ElementsAre("600-1024", "2048-2500", "1024-1536", "1536-2048"));
}

TEST(Contig, AnUnmovablePageAnywhereUndoesEverything) {
  for (const std::uint64_t bad : {700u, 1100u, 1600u, 2100u, 600u, 2499u}) {
    SmallMachine m;
    for (const std::uint64_t pfn : {512u, 1024u, 1536u, 2048u})
      m.free_block(pfn, 9);
    Migrator host{m};
    host.unmovable = Pfn{bad};
    EXPECT_FALSE(m->alloc_range({Pfn{600}, Pfn{2500}}, CpuId{0}, host));
    EXPECT_EQ(m.zone().nr_isolate_pageblock, 0u) << bad;
    EXPECT_EQ(m.zone().stat[0], 2048) << bad;
    for (const std::uint64_t pfn : {512u, 1024u, 1536u, 2048u})
      EXPECT_EQ(m.type(pfn), Movable) << bad;
    EXPECT_EQ(m.violation(), "") << bad;
  }
}

TEST(Contig, PagesThatStayedUndoEverything) {
  SmallMachine m;
  m.free_block(512, 9);
  Migrator host{m};
  host.can_migrate = false;
  EXPECT_FALSE(m->alloc_range({Pfn{512}, Pfn{1024}}, CpuId{0}, host));
  EXPECT_EQ(m.lists(), "o9 Movable [512]");
  EXPECT_EQ(m.zone().stat[0], 512);
  host.can_migrate = true;
  EXPECT_FALSE(m->alloc_range({Pfn{512}, Pfn{1025}}, CpuId{0}, host)) << "1024 is in use";
  EXPECT_EQ(m.zone().stat[0], 512);
  EXPECT_EQ(m.violation(), "");
}

TEST(Contig, CmaPageblocksAreForCmaAllocationsOnly) {
  SmallMachine m{SmallConfig{.has_cma = true}};
  m.set_type(512, Cma);
  m.free_block(512, 9, Cma);
  Migrator host{m};
  EXPECT_FALSE(m->alloc_range({Pfn{512}, Pfn{600}}, CpuId{0}, host));
  EXPECT_TRUE(alloc_contig_range<NoSync>(m.view(), CpuId{0}, m.index(512), m.index(600), Cma, host));
  EXPECT_EQ(m.type(512), Cma);
  EXPECT_EQ(m.zone().stat[1], 512 - 88);
}

TEST(Contig, ABlockOverTheEndOfTheRangeIsSplitThere) {
  SmallMachine m;
  m.free_block(1024, 10);
  Migrator host{m};
  EXPECT_TRUE(m->alloc_range({Pfn{1024}, Pfn{1536}}, CpuId{0}, host));
  EXPECT_EQ(m.lists(), "o9 Movable [1536]");
  SmallMachine n;
  n.free_block(1024, 10);
  Migrator other{n};
  EXPECT_TRUE(n->alloc_range({Pfn{1536}, Pfn{2048}}, CpuId{0}, other));
  EXPECT_EQ(n.lists(), "o9 Movable [1024]");
  EXPECT_EQ(n.violation(), "");
}

}  // namespace
}  // namespace mmbox
