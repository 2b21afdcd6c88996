#include "mmbox/lab/population/trace_population.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/support/small_machine.h"

namespace mmbox::lab {
namespace {

using test::SmallMachine;

constexpr Gfp kAnonymous = gfp::kHighUserMovable | gfp::kZero | gfp::kComp;
constexpr Gfp kReadAhead = gfp::kHighUserMovable | gfp::kNoRetry | gfp::kNoWarn | gfp::kComp;

/// Frames 0 to 4095, all in use and of no use known.
class TracePopulationTest : public testing::Test {
 protected:
  void tell(TraceEvent event, std::int32_t pid = 7, std::string_view comm = "cat") {
    trace_.follow(TraceRecord{.timestamp = 0, .cpu = CpuId{0}, .pid = pid, .comm = Comm{comm}, .event = event});
  }
  void alloc(std::uint64_t pfn, unsigned order, Gfp gfp, std::int32_t pid = 7, std::string_view comm = "cat") {
    tell(MmPageAlloc{Pfn{pfn}, Order{order}, gfp, gfp_migratetype(gfp)}, pid, comm);
  }
  void free(std::uint64_t pfn, unsigned order = 0, std::int32_t pid = 7) {
    tell(MmPageFree{Pfn{pfn}, Order{order}}, pid);
  }
  void target(std::uint64_t pfn, std::int32_t pid = 7) { tell(probe::CompactionAllocRet{Pfn{pfn}}, pid); }
  [[nodiscard]] PageUse use(std::uint64_t pfn) const { return pages_.page(Pfn{pfn}).use; }
  [[nodiscard]] std::string owner(std::uint64_t pfn) const {
    const OwnerId owner = pages_.page(Pfn{pfn}).owner;
    return owner == kNoOwner ? "nobody" : pages_.owner(owner).name;
  }

  SmallMachine machine_;
  Population pages_{machine_.machine()};
  TracePopulation trace_{pages_, machine_.machine(), TracePopulation::First::Told};
};

TEST_F(TracePopulationTest, PagesBelongToTheTaskThatAskedForThem) {
  alloc(16, 0, kAnonymous);
  alloc(17, 0, kReadAhead, 8, "dd");
  alloc(18, 0, kReadAhead, 8, "dd");
  EXPECT_EQ(use(16), PageUse::Anonymous);
  EXPECT_EQ(owner(16), "cat:7");
  EXPECT_EQ(owner(17), "dd:8");
  EXPECT_EQ(pages_.owner(pages_.page(Pfn{17}).owner).held_pages, 2u);
}

TEST_F(TracePopulationTest, ATaskWithAnotherNameIsAnotherOwner) {
  alloc(16, 0, kAnonymous, 7, "sh");
  alloc(17, 0, kAnonymous, 7, "cat");
  alloc(18, 0, kAnonymous, 7, "sh");
  EXPECT_EQ(owner(16), "sh:7");
  EXPECT_EQ(owner(17), "cat:7");
  EXPECT_EQ(pages_.page(Pfn{16}).owner, pages_.page(Pfn{18}).owner);
}

TEST_F(TracePopulationTest, WithoutATaskTheOwnerIsNamedForTheMask) {
  alloc(16, 0, kReadAhead, 0, "");
  EXPECT_EQ(owner(16), "page cache, read ahead");
  alloc(17, 0, kReadAhead, 9, "");
  EXPECT_EQ(owner(17), "pid:9");
}

TEST_F(TracePopulationTest, AFreedPageIsNobodys) {
  alloc(16, 3, gfp::kKernel);
  EXPECT_EQ(pages_.page(Pfn{16}).order, 3);
  free(16, 3);
  EXPECT_EQ(use(16), PageUse::None);
  EXPECT_EQ(pages_.owner(0).held_pages, 0u);
}

TEST_F(TracePopulationTest, ABlockThatIsFreedInPiecesWasSplitWithoutAnEvent) {
  alloc(16, 2, gfp::kTranshuge);
  EXPECT_TRUE(pages_.page(Pfn{16}).is_compound);
  free(18);
  for (const std::uint64_t pfn : {16U, 17U, 19U}) {
    EXPECT_EQ(use(pfn), PageUse::Anonymous) << pfn;
    EXPECT_EQ(pages_.page(Pfn{pfn}).order, 0) << pfn;
    EXPECT_FALSE(pages_.page(Pfn{pfn}).is_compound) << pfn;
  }
  EXPECT_EQ(use(18), PageUse::None);
  EXPECT_EQ(pages_.owner(0).held_pages, 3u);
}

TEST_F(TracePopulationTest, WhatIsAllocatedOverSomethingElseReplacesIt) {
  alloc(16, 3, gfp::kKernel);
  alloc(20, 1, kReadAhead);
  EXPECT_EQ(use(20), PageUse::File);
  EXPECT_EQ(use(16), PageUse::Kernel);
  EXPECT_EQ(pages_.page(Pfn{16}).order, 0);
  alloc(16, 3, gfp::kKernel);
  EXPECT_EQ(use(20), PageUse::None) << "inside of a block";
}

TEST_F(TracePopulationTest, SplitPagesAreSingle) {
  alloc(16, 2, gfp::kKernel);
  tell(probe::SplitPage{Pfn{16}, Order{2}});
  for (std::uint64_t pfn = 16; pfn < 20; ++pfn)
    EXPECT_EQ(pages_.page(Pfn{pfn}).order, 0);
  EXPECT_EQ(use(19), PageUse::Kernel);
}

TEST_F(TracePopulationTest, AMovedPageKeepsUseAndOwner) {
  alloc(16, 0, kAnonymous, 3, "sh");
  target(100);
  EXPECT_EQ(trace_.target_of(7), Pfn{100});
  free(16);
  EXPECT_EQ(use(16), PageUse::None);
  EXPECT_EQ(use(100), PageUse::Anonymous);
  EXPECT_EQ(owner(100), "sh:3");
  EXPECT_EQ(trace_.target_of(7), std::nullopt);
}

TEST_F(TracePopulationTest, PagesOfABatchMoveInTheOrderOfTheirTargets) {
  alloc(16, 0, kAnonymous);
  alloc(17, 0, kReadAhead);
  target(100);
  target(101);
  target(102);
  tell(probe::CompactionFree{Pfn{101}});
  free(16);
  free(17);
  EXPECT_EQ(use(100), PageUse::Anonymous);
  EXPECT_EQ(use(101), PageUse::None) << "it was not needed";
  EXPECT_EQ(use(102), PageUse::File);
}

TEST_F(TracePopulationTest, TargetsAreForgottenAtTheEndOfABatch) {
  alloc(16, 0, kAnonymous);
  target(100);
  tell(MmCompactionMigratepages{});
  free(16);
  EXPECT_EQ(use(100), PageUse::None);
}

TEST_F(TracePopulationTest, LargePagesMoveToo) {
  alloc(16, 2, kReadAhead);
  target(100);
  free(16, 2);
  EXPECT_EQ(use(100), PageUse::File);
  EXPECT_EQ(pages_.page(Pfn{100}).order, 2);
}

TEST_F(TracePopulationTest, WhatAnInterruptFreesMeanwhileIsNotMoved) {
  alloc(16, 0, kAnonymous);
  alloc(17, 0, gfp::kAtomicRequest);
  target(100);
  free(17);
  EXPECT_EQ(use(100), PageUse::None);
  free(16);
  EXPECT_EQ(use(100), PageUse::Anonymous);
}

TEST_F(TracePopulationTest, AnothersTargetIsNotOurs) {
  alloc(16, 0, kAnonymous);
  target(100, 8);
  free(16);
  EXPECT_EQ(use(100), PageUse::None);
}

TEST_F(TracePopulationTest, EventsOutsideOfTheMachineAreLeftAlone) {
  alloc(4096, 0, kAnonymous);
  alloc(4095, 1, kAnonymous);
  alloc(4094, 200, kAnonymous);
  tell(MmPageAlloc{kNoPfn, Order{0}, kAnonymous, Migratetype::Movable});
  free(1ULL << 50);
  target(1ULL << 50);
  EXPECT_EQ(trace_.requests(), 0u);
  EXPECT_EQ(trace_.target_of(7), std::nullopt);
}

TEST_F(TracePopulationTest, RequestsWithoutFlagsAreCounted) {
  alloc(16, 0, Gfp{});
  alloc(17, 0, kAnonymous);
  EXPECT_EQ(trace_.requests(), 2u);
  EXPECT_EQ(trace_.requests_with_flags(), 1u);
}

TEST(Settle, WhatIsInUseAndUnknownIsWhatItsPageblockIsFor) {
  for (const auto& [type, use_then] :
       {std::pair{Migratetype::Movable, PageUse::Anonymous}, std::pair{Migratetype::Reclaimable, PageUse::Slab},
        std::pair{Migratetype::Unmovable, PageUse::Kernel}}) {
    SmallMachine machine;
    machine.set_type(0, type);
    machine.free_block(0, 4, type);
    Population pages{machine.machine()};
    const TracePopulation trace{pages, machine.machine(), TracePopulation::First::Told};
    static_cast<void>(machine.buddy().remove(machine.index(0), 4));
    const auto mismatch = trace.settle(pages, machine.machine());
    EXPECT_EQ(mismatch.unknown, 16u);
    EXPECT_EQ(mismatch.freed, 0u);
    EXPECT_EQ(pages.page(Pfn{3}).use, use_then) << migratetype_name(type);
    EXPECT_EQ(pages.owner(pages.page(Pfn{3}).owner).name, "unknown");
    EXPECT_EQ(pages.page(Pfn{100}).use, PageUse::None) << "never free and of no use: no memory";
  }
}

TEST(Settle, WhatTheMachineHasFreeIsNobodys) {
  SmallMachine machine;
  Population pages{machine.machine()};
  PopulationPage slab;
  slab.use = PageUse::Slab;
  for (std::uint64_t pfn = 16; pfn < 32; ++pfn)
    pages.put(Pfn{pfn}, slab);
  const TracePopulation trace{pages, machine.machine(), TracePopulation::First::Told};
  machine.free_block(16, 3);
  const auto mismatch = trace.settle(pages, machine.machine());
  EXPECT_EQ(mismatch.freed, 8u);
  EXPECT_EQ(mismatch.unknown, 0u);
  EXPECT_EQ(pages.page(Pfn{16}).use, PageUse::None);
  EXPECT_EQ(pages.page(Pfn{24}).use, PageUse::Slab);
}

TEST(Settle, LargeFoliosOfFilesBecomeSinglePagesInBoth) {
  SmallMachine machine;
  machine.free_block(0, 10);
  Population pages{machine.machine()};
  TracePopulation trace{pages, machine.machine(), TracePopulation::First::Told};
  std::uint64_t file = 0;
  std::uint64_t huge = 0;
  for (const auto& [gfp, pfn] : {std::pair{kReadAhead, &file}, std::pair{gfp::kTranshuge, &huge}}) {
    *pfn = machine.alloc(gfp, 2);
    ASSERT_NE(*pfn, SmallMachine::kFailed);
    trace.follow({.timestamp = 0,
                  .cpu = {},
                  .pid = 7,
                  .comm = {},
                  .event = MmPageAlloc{Pfn{*pfn}, Order{2}, gfp, Migratetype::Movable}});
  }
  static_cast<void>(trace.settle(pages, machine.machine()));
  for (std::uint64_t pfn = file; pfn < file + 4; ++pfn) {
    EXPECT_EQ(pages.page(Pfn{pfn}).use, PageUse::File);
    EXPECT_TRUE(machine->frame_state(Pfn{pfn}).is_allocated_as(0));
  }
  EXPECT_EQ(pages.page(Pfn{huge}).order, 2) << "that has to be split first";
  EXPECT_TRUE(machine->frame_state(Pfn{huge}).is_allocated_as(2));
}

TEST(GuessPages, EachPageblockHasAsManyOfEachKindAsTheSnapshotCounts) {
  SmallMachine machine;
  machine.free_block(0, 5);
  machine.set_type(0, Migratetype::Unmovable);
  machine.set_type(512, Migratetype::Reclaimable);
  machine.set_type(1024, Migratetype::Movable, 6);
  machine.view().nodes[0].pages.active_anon = 300;
  machine.view().nodes[0].pages.inactive_file = 100;
  Snapshot snapshot;
  SnapshotZone& zone = snapshot.zones.emplace_back();
  zone.pageblocks.push_back({.start = Pfn{0}, .movable_pages = 10, .reserved_pages = 20});
  zone.pageblocks.push_back({.start = Pfn{512}, .movable_pages = 0});
  zone.pageblocks.push_back({.start = Pfn{1024}, .movable_pages = 400});
  Population pages{machine.machine()};
  guess_pages(pages, machine.machine(), snapshot, pages.add_owner("before"));
  const auto count = [&](std::uint64_t block, PageUse use) {
    std::uint64_t found = 0;
    for (std::uint64_t pfn = block; pfn < block + 512; ++pfn)
      found += pages.page(Pfn{pfn}).use == use ? 1 : 0;
    return found;
  };
  EXPECT_EQ(count(0, PageUse::None), 32u) << "the free block";
  EXPECT_EQ(count(0, PageUse::Reserved), 20u);
  EXPECT_EQ(count(0, PageUse::Kernel), 512u - 32 - 20 - 10);
  EXPECT_EQ(count(512, PageUse::Slab), 512u);
  EXPECT_EQ(count(1024, PageUse::Kernel), 112u);
  const std::uint64_t files = count(0, PageUse::File) + count(1024, PageUse::File);
  EXPECT_EQ(files, 102u) << "a quarter of those that move";
  EXPECT_EQ(count(0, PageUse::Anonymous) + count(1024, PageUse::Anonymous), 308u);
  EXPECT_EQ(pages.owner(0).held_pages, 512u * 3 - 32);
}

TEST(GuessPages, APageSeenToMoveWasMovable) {
  SmallMachine machine;
  Snapshot snapshot;
  snapshot.zones.emplace_back().pageblocks.push_back({.start = Pfn{0}});
  Population pages{machine.machine()};
  guess_pages(pages, machine.machine(), snapshot, pages.add_owner("before"));
  EXPECT_EQ(pages.page(Pfn{16}).use, PageUse::Kernel);
  TracePopulation trace{pages, machine.machine(), TracePopulation::First::Guessed};
  trace.follow({.timestamp = 0, .cpu = {}, .pid = 7, .comm = {}, .event = probe::CompactionAllocRet{Pfn{17}}});
  trace.follow({.timestamp = 0, .cpu = {}, .pid = 7, .comm = {}, .event = MmPageFree{Pfn{16}, Order{0}}});
  EXPECT_EQ(pages.page(Pfn{16}).use, PageUse::None);
  EXPECT_EQ(pages.page(Pfn{17}).use, PageUse::Anonymous);
}

}  // namespace
}  // namespace mmbox::lab
