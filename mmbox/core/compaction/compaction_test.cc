// Which pages compaction moves, where to, when it stops, and what it remembers. 07 is the specification.
#include "mmbox/core/compaction/compaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mmbox/core/alloc/suitability.h"
#include "mmbox/core/compaction/deferral.h"
#include "mmbox/core/compaction/frames.h"
#include "mmbox/core/compaction/plan.h"
#include "mmbox/core/compaction/positions.h"
#include "tests/support/fake_pages.h"

namespace mmbox {
namespace {

using enum Migratetype;
using test::FakePages;
using test::SmallConfig;
using test::SmallMachine;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

// ------------------------------------------------------------- deferral (07 §5)

TEST(Deferral, AFreshZoneIsNeverDeferred) {
  CompactionState state;
  for (int i = 0; i < 10; ++i)
    EXPECT_FALSE(compaction_deferred(state, 9));
}

TEST(Deferral, EachFailureDoublesThePauseUpToSixtyFour) {
  CompactionState state;
  for (const unsigned pause : {2U, 4U, 8U, 16U, 32U, 64U, 64U}) {
    defer_compaction(state, 9);
    unsigned attempts = 1;
    while (compaction_deferred(state, 9))
      ++attempts;
    EXPECT_EQ(attempts, pause);
  }
}

TEST(Deferral, OrdersBelowTheOneThatFailedAreTried) {
  CompactionState state;
  state.order_failed = 6;
  defer_compaction(state, 9);
  EXPECT_EQ(state.order_failed, 6);
  defer_compaction(state, 5);
  EXPECT_EQ(state.order_failed, 5);
  EXPECT_FALSE(compaction_deferred(state, 4));
  EXPECT_TRUE(compaction_deferred(state, 5));
}

TEST(Deferral, OnlyAnAllocationEndsThePause) {
  CompactionState state;
  defer_compaction(state, 4);
  defer_compaction(state, 4);
  reset_deferral(state, 4, CompactionSuccess::Expected);
  EXPECT_EQ(state.defer_shift, 2u);
  EXPECT_EQ(state.order_failed, 5);
  reset_deferral(state, 3, CompactionSuccess::Allocated);
  EXPECT_EQ(state.defer_shift, 0u);
  EXPECT_EQ(state.order_failed, 5) << "a smaller order says nothing of this one";
}

TEST(Deferral, TheHintsAreResetAfterTheLongestPause) {
  CompactionState state;
  for (int i = 0; i < 6; ++i)
    defer_compaction(state, 9);
  while (compaction_deferred(state, 9))
    EXPECT_FALSE(ends_longest_pause(state, 9));
  EXPECT_TRUE(ends_longest_pause(state, 9));
  EXPECT_FALSE(ends_longest_pause(state, state.order_failed - 1));
}

// ------------------------------------------------------------- plans, positions, frames (07 §4, §6)

TEST(CompactionPlan, OnlyTheLastTryOfARequestTakesTheWholeZone) {
  AllocContext request;
  request.order = Order{5};
  request.migratetype = Unmovable;
  for (const CompactPriority priority : {CompactPriority::Async, CompactPriority::SyncLight}) {
    const CompactionPlan plan = plan_for_request(request, priority);
    EXPECT_TRUE(plan.is_direct);
    EXPECT_EQ(plan.is_async(), priority == CompactPriority::Async);
    EXPECT_EQ(plan.takes_whole_runs(), priority == CompactPriority::Async);
    EXPECT_FALSE(plan.whole_zone || plan.ignores_hints || plan.any_target_block);
    EXPECT_EQ(plan.told_order(), 5);
    EXPECT_EQ(plan.type, Unmovable);
  }
  const CompactionPlan last = plan_for_request(request, CompactPriority::SyncFull);
  EXPECT_EQ(last.mode, MoveMode::SyncLight) << "not Sync";
  EXPECT_TRUE(last.whole_zone && last.ignores_hints && last.any_target_block);
}

TEST(CompactionPlan, DaemonsAndWritersDifferInHintsAndModes) {
  const CompactionPlan asked = plan_for_kcompactd(Order{3}, ZoneIndex{2});
  EXPECT_EQ(asked.mode, MoveMode::SyncLight);
  EXPECT_FALSE(asked.is_direct || asked.whole_zone || asked.ignores_hints);
  EXPECT_EQ(asked.told_order(), 3);
  const CompactionPlan own = plan_proactive();
  EXPECT_EQ(own.mode, MoveMode::SyncLight);
  EXPECT_TRUE(own.is_proactive && own.whole_zone && own.ignores_hints);
  EXPECT_EQ(own.told_order(), -1);
  const CompactionPlan write = plan_on_demand();
  EXPECT_EQ(write.mode, MoveMode::Sync);
  EXPECT_TRUE(write.whole_zone && write.ignores_hints);
  EXPECT_FALSE(write.is_direct || write.is_proactive || write.any_target_block);
}

TEST(ScanPositions, MeetInOnePageblock) {
  EXPECT_FALSE((ScanPositions{Pfn{0x5ff}, Pfn{0x600}}.have_met()));
  EXPECT_TRUE((ScanPositions{Pfn{0x400}, Pfn{0x5ff}}.have_met()));
  EXPECT_TRUE((ScanPositions{Pfn{0x800}, Pfn{0x600}}.have_met()));
  EXPECT_EQ((ScanPositions{Pfn{0x800}, Pfn{0x600}}.apart()), PageCount{});
}

TEST(ScanPositions, TargetsAreLookedForInTheUpperHalf) {
  const TargetWindow window = target_window({Pfn{0x1000}, Pfn{0x9000}});
  EXPECT_EQ(window.good, Pfn{0x7000});
  EXPECT_EQ(window.fair, Pfn{0x5000});
  EXPECT_EQ(target_window({Pfn{0}, Pfn{0x50}}).fair, Pfn{0});
}

TEST(Stride, GrowsWhereNothingIsFound) {
  Stride stride{false};
  for (const unsigned frames : {1U, 2U, 4U, 8U, 16U, 32U, 32U}) {
    EXPECT_EQ(stride.frames(), frames);
    stride.after(false);
  }
  stride.after(true);
  EXPECT_EQ(stride.frames(), 1u);
  EXPECT_EQ(Stride{true}.frames(), 32u) << "an asynchronous run is in a hurry from the start";
}

TEST(SourceBatch, SettlesTheLastFirstAndKeepsTheOrderOfTheRest) {
  SourceBatch batch;
  for (FrameIndex frame = 10; frame < 16; ++frame)
    batch.add(frame);
  std::vector<FrameIndex> seen;
  batch.settle_from_last([&](FrameIndex frame) {
    seen.push_back(frame);
    return frame % 2 == 0;
  });
  EXPECT_THAT(seen, ElementsAre(15, 14, 13, 12, 11, 10));
  ASSERT_EQ(batch.size(), 3u);
  EXPECT_EQ(batch[0], 11u);
  EXPECT_EQ(batch[2], 15u);
  batch.settle_from_last([](FrameIndex) { return true; });
  EXPECT_TRUE(batch.empty());
}

// ------------------------------------------------------------- suitability (07 §2)

struct Suitability : testing::Test {
  SmallMachine m;
  CompactResult of(unsigned order, AllocFlags flags = {}) {
    return compaction_suitable(m.view(), m.zone(), Order{order}, flags, m.zone().index);
  }
  /// Single free pages, every second one, so that nothing merges.
  void free_singles(unsigned count) {
    for (unsigned i = 0; i < count; ++i)
      m.free_block(2 * i, 0);
  }
};

TEST_F(Suitability, ABlockAboveTheMarkIsSuccess) {
  m.free_block(0, 4);
  EXPECT_EQ(of(4), CompactResult::Success);
  m.zone().watermark[0] = 1;
  EXPECT_EQ(of(4), CompactResult::Skipped) << "16 - 15 is not more than 1";
}

TEST_F(Suitability, SmallOrdersNeedTwiceTheirPagesAboveMin) {
  m.zone().watermark = {100, 1000, 2000, 0};
  free_singles(116);
  EXPECT_EQ(of(3), CompactResult::Skipped);
  m.free_block(2 * 116, 0);
  EXPECT_EQ(of(3), CompactResult::Continue) << "117 > 100 + 16";
}

TEST_F(Suitability, CostlyOrdersNeedThemAboveLow) {
  m.zone().watermark = {0, 100, 2000, 0};
  free_singles(132);
  EXPECT_EQ(of(4), CompactResult::Skipped);
  m.free_block(2 * 132, 0);
  EXPECT_EQ(of(4), CompactResult::Continue) << "133 > 100 + 32";
  m.zone().watermark_boost = 1;
  EXPECT_EQ(of(4), CompactResult::Skipped) << "the boost counts";
}

TEST_F(Suitability, CostlyOrdersAreSkippedWhereMemoryIsShortRatherThanBrokenUp) {
  // Order 9 of blocks of order 8: index 1000 - (1000 + pages × 1000 / 512) / blocks.
  for (unsigned i = 0; i < 5; ++i)
    m.free_block(i * 512, 8);
  // 1280 pages in 5 blocks: 1000 - 3500 / 5 = 300: short of memory, but suitable by its mark.
  EXPECT_EQ(of(9), CompactResult::Skipped);
  m.machine().set_tunables([&] {
    Tunables t = m->tunables();
    t.extfrag_threshold = 299;
    return t;
  }());
  EXPECT_EQ(of(9), CompactResult::Continue);
}

// ------------------------------------------------------------- one zone

/// Hears what the runs say.
struct Ears final : EventSink {
  std::vector<CompactResult> results;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> begins;
  std::vector<MmCompactionIsolateMigratepages> sources;
  unsigned deferred = 0;
  void on(const MmCompactionEnd& e) override { results.push_back(static_cast<CompactResult>(e.status)); }
  void on(const MmCompactionBegin& e) override { begins.emplace_back(e.migrate_pfn.raw(), e.free_pfn.raw()); }
  void on(const MmCompactionIsolateMigratepages& e) override { sources.push_back(e); }
  void on(const MmCompactionDeferred&) override { ++deferred; }
};

/// Where the zone of these tests begins: not at 0, which compaction takes for "never set".
constexpr std::uint64_t kBase = 4096;

SmallConfig at_base() {
  return {.zones = {{ZoneType::Normal, kBase, 4096, 0}}};
}

struct CompactionTest : testing::Test {
  SmallMachine m{at_base()};
  FakePages pages{m};
  Compaction compaction{m.view(), pages};
  Ears ears;
  Task task;
  CompactionTest() { m->attach(&ears); }

  CompactOutcome direct(unsigned order, CompactPriority priority, Gfp gfp = gfp::kHighUserMovable) {
    const Request request{
        .gfp = gfp, .order = Order{order}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &task};
    return compaction.direct_compact(prepare(m.view(), request), priority);
  }
  void expect_valid() {
    const auto violation = validate(m.view());
    EXPECT_FALSE(violation) << (violation ? violation->what : "");
  }
  /// Frees [begin, end) page by page, but for every `step`th.
  void free_all_but(std::uint64_t begin, std::uint64_t end, std::uint64_t step) {
    for (std::uint64_t pfn = begin; pfn < end; ++pfn)
      if (pfn % step != 0)
        m.free_direct(pfn, 0);
  }
};

TEST_F(CompactionTest, AFreePageblockStaysWhole) {
  pages.use(kBase + 10);
  free_all_but(kBase + 3584, kBase + 4096, 4096);
  compaction.compact_all(CpuId{0});
  EXPECT_THAT(pages.moves, IsEmpty());
  EXPECT_EQ(m.zone().nr_free[9], 1u);
}

TEST_F(CompactionTest, TheLastIsolatedPageMovesFirstAndIntoTheHighestFrame) {
  pages.use(kBase + 10, 3);
  free_all_but(kBase + 3584, kBase + 4096, 16);
  compaction.compact_all(CpuId{0});
  // Frames are isolated from the pageblock's start upward, blocks as they stand: 3585, 3586-3587, …
  EXPECT_THAT(pages.moves, ElementsAre(Pair(kBase + 12, kBase + 3587), Pair(kBase + 11, kBase + 3586),
                                       Pair(kBase + 10, kBase + 3585)));
  EXPECT_THAT(ears.results, ElementsAre(CompactResult::Complete));
}

TEST_F(CompactionTest, FreedFramesAndUnusedTargetsAreFreeAgain) {
  pages.use(kBase + 10, 3);
  free_all_but(kBase + 3584, kBase + 4096, 16);
  const std::int64_t before = m.zone().stat[0];
  compaction.compact_all(CpuId{0});
  m->drain_all();
  EXPECT_EQ(m.zone().stat[0], before);
  EXPECT_EQ(m.view().events->pgmigrate_success, 3u);
  EXPECT_EQ(m.view().events->pgmigrate_fail, 0u);
  expect_valid();
}

TEST_F(CompactionTest, PagesThatAreHeldStayAfterTenPasses) {
  pages.use(kBase + 10, 2);
  pages.busy.insert(kBase + 11);
  free_all_but(kBase + 3584, kBase + 4096, 16);
  compaction.compact_all(CpuId{0});
  ASSERT_EQ(pages.moves.size(), 1u);
  EXPECT_EQ(pages.moves[0].first, kBase + 10);
  EXPECT_EQ(pages.attempts.size(), 11u);
  EXPECT_TRUE(pages.isolated.empty());
  EXPECT_EQ(m.view().events->pgmigrate_fail, 1u);
  // It waits from the fourth pass on.
  EXPECT_FALSE(pages.attempts[3].second.may_wait);
  EXPECT_TRUE(pages.attempts[4].second.may_wait);
}

TEST_F(CompactionTest, OnlyPagesThatMayMoveAreIsolated) {
  PageFacts pinned = FakePages::lru();
  pinned.has_mapping = false;
  pinned.is_pinned = true;
  PageFacts writeback = FakePages::lru();
  writeback.is_writeback = true;
  PageFacts dirty = FakePages::lru();
  dirty.is_dirty = true;
  PageFacts dirty_without_routine = dirty;
  dirty_without_routine.mapping_migrates = false;
  PageFacts dirty_locked = dirty;
  dirty_locked.is_locked = true;
  PageFacts mlocked = FakePages::lru();
  mlocked.is_unevictable = true;
  PageFacts driver;
  driver.kind = PageFacts::Kind::Driver;
  PageFacts anonymous = FakePages::lru();
  anonymous.has_mapping = false;
  struct Case {
    const char* name;
    PageFacts facts;
    bool sync_light;
    bool sync;
  };
  for (const Case& c : {Case{"pinned", pinned, false, false}, Case{"writeback", writeback, false, true},
                        Case{"dirty", dirty, true, true}, Case{"no routine", dirty_without_routine, false, true},
                        Case{"locked", dirty_locked, false, true}, Case{"mlocked", mlocked, true, true},
                        Case{"driver", driver, true, true}, Case{"anonymous", anonymous, true, true},
                        Case{"fixed", PageFacts{}, false, false}}) {
    for (const bool sync : {false, true}) {
      SmallMachine machine{at_base()};
      FakePages contents{machine};
      Compaction each{machine.view(), contents};
      contents.use(kBase + 10, 1, c.facts);
      for (std::uint64_t pfn = kBase + 3584; pfn < kBase + 4096; ++pfn)
        if (pfn % 16 != 0)
          machine.free_direct(pfn, 0);
      if (sync) {
        each.compact_all(CpuId{0});
      } else {
        machine.view().nodes[0].kcompactd.order = 5;
        EXPECT_TRUE(each.run_kcompactd(NodeId{0}, CpuId{0}));
      }
      EXPECT_EQ(contents.moves.size(), (sync ? c.sync : c.sync_light) ? 1u : 0u) << c.name << sync;
    }
  }
}

TEST_F(CompactionTest, WithoutFsOnlyPagesWithoutAMappingMove) {
  pages.use(kBase + 10);
  PageFacts anonymous = FakePages::lru();
  anonymous.has_mapping = false;
  pages.use(kBase + 20, 1, anonymous);
  free_all_but(kBase + 3584, kBase + 4096, 8);
  direct(3, CompactPriority::SyncFull, gfp::kNoFs | gfp::kMovable);
  ASSERT_EQ(pages.moves.size(), 1u);
  EXPECT_EQ(pages.moves[0].first, kBase + 20);
}

TEST_F(CompactionTest, MlockedPagesStayIfTheyShall) {
  Tunables t = m->tunables();
  t.compact_unevictable_allowed = 0;
  m->set_tunables(t);
  PageFacts mlocked = FakePages::lru();
  mlocked.is_unevictable = true;
  pages.use(kBase + 10, 1, mlocked);
  free_all_but(kBase + 3584, kBase + 4096, 16);
  compaction.compact_all(CpuId{0});
  EXPECT_THAT(pages.moves, IsEmpty());
}

TEST_F(CompactionTest, AnAsynchronousRequestTakesWholeRunsOrNothing) {
  // Two runs of order 2: [8, 12) movable but for 11, [12, 16) all movable.
  pages.use(kBase + 8, 3);
  pages.use(kBase + 12, 4);
  for (std::uint64_t pfn = kBase + 16; pfn < kBase + 512; ++pfn)
    m.adopt(pfn, 0);
  free_all_but(kBase + 3584, kBase + 4096, 2);
  direct(2, CompactPriority::Async);
  ASSERT_EQ(pages.moves.size(), 4u);
  for (const auto& [from, to] : pages.moves)
    EXPECT_GE(from, kBase + 12);
  EXPECT_TRUE(pages.isolated.empty());
}

TEST_F(CompactionTest, AnAsynchronousRequestEmptiesOnlyPageblocksOfItsType) {
  m.set_type(kBase + 0, Unmovable);
  pages.use(kBase + 0, 32);
  pages.use(kBase + 512, 32);
  free_all_but(kBase + 3584, kBase + 4096, 2);
  direct(2, CompactPriority::Async);
  for (const auto& [from, to] : pages.moves)
    EXPECT_GE(from, kBase + 512);
  EXPECT_FALSE(pages.moves.empty());
}

TEST_F(CompactionTest, TargetsLieInMovablePageblocksUnlessItIsTheLastTry) {
  m.set_type(kBase + 1536, Unmovable);
  pages.use(kBase + 0, 4);
  free_all_but(kBase + 1536, kBase + 2048, 4);
  EXPECT_EQ(direct(3, CompactPriority::SyncLight).result, CompactResult::PartialSkipped);
  EXPECT_THAT(pages.moves, IsEmpty());
  direct(3, CompactPriority::SyncFull);
  EXPECT_EQ(pages.moves.size(), 4u);
}

TEST_F(CompactionTest, ItStopsAtTheEndOfThePageblockThatMadeTheBlock) {
  // Movable pages all over the first two pageblocks; emptying the first gives what is asked for.
  pages.use(kBase + 0, 64);
  pages.use(kBase + 512, 64);
  free_all_but(kBase + 3072, kBase + 4096, 8);
  EXPECT_EQ(direct(4, CompactPriority::SyncLight).result, CompactResult::Success);
  for (const auto& [from, to] : pages.moves)
    EXPECT_LT(from, kBase + 512);
  EXPECT_EQ(pages.moves.size(), 64u);
}

TEST(CompactionCma, AMovableRequestStopsForABlockOfACmaPageblock) {
  SmallConfig config = at_base();
  config.has_cma = true;
  SmallMachine m{config};
  FakePages pages{m};
  Compaction compaction{m.view(), pages};
  Task task;
  m.set_type(kBase, Migratetype::Cma);
  pages.use(kBase, 64);
  pages.use(kBase + 512, 64);
  for (std::uint64_t pfn = kBase + 3072; pfn < kBase + 4096; ++pfn)
    if (pfn % 8 != 0)
      m.free_direct(pfn, 0);
  const Request request{
      .gfp = gfp::kHighUserMovable, .order = Order{4}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &task};
  EXPECT_EQ(compaction.direct_compact(prepare(m.view(), request), CompactPriority::SyncLight).result,
            CompactResult::Success);
  EXPECT_EQ(pages.moves.size(), 64u);
  for (const auto& [from, to] : pages.moves)
    EXPECT_LT(from, kBase + 512);
}

TEST_F(CompactionTest, TheNextRunGoesOnWhereTheLastOneStopped) {
  pages.use(kBase + 0, 64);
  pages.use(kBase + 512, 64);
  free_all_but(kBase + 3072, kBase + 4096, 8);
  direct(4, CompactPriority::SyncLight);
  ASSERT_EQ(m.alloc(gfp::kHighUserMovable, 4) % 16, 0u);
  EXPECT_TRUE(m.view().env.map.pageblock(m.index(kBase + 0)).skip);
}

TEST_F(CompactionTest, ScannersThatMeetBeginAnew) {
  pages.use(kBase + 0, 4);
  m.free_block(kBase + 3601, 0);
  m.zone().compaction.cached_migrate = {Pfn{kBase + 1024}, Pfn{kBase + 1024}};
  m.zone().compaction.cached_free = Pfn{kBase + 2048};
  m.free_block(kBase + 3603, 0);
  m.free_block(kBase + 3605, 0);
  m.free_block(kBase + 3607, 0);
  m.free_block(kBase + 3609, 0);
  EXPECT_EQ(direct(1, CompactPriority::SyncLight).result, CompactResult::PartialSkipped);
  EXPECT_THAT(ears.begins, ElementsAre(Pair(kBase + 1024, kBase + 2048)));
  EXPECT_EQ(m.zone().compaction.cached_migrate[0].raw(), kBase + 0);
  EXPECT_EQ(m.zone().compaction.cached_free.raw(), kBase + 3584);
  EXPECT_TRUE(m.zone().compaction.blockskip_flush);
}

TEST_F(CompactionTest, AFailedRunDefersTheNext) {
  for (std::uint64_t pfn = kBase + 3601; pfn < kBase + 3700; pfn += 2)
    m.free_block(pfn, 0);
  EXPECT_EQ(direct(2, CompactPriority::SyncLight).result, CompactResult::PartialSkipped);
  EXPECT_EQ(m.zone().compaction.defer_shift, 1u);
  EXPECT_EQ(direct(2, CompactPriority::SyncLight).result, CompactResult::Deferred);
  EXPECT_EQ(ears.deferred, 1u);
  EXPECT_EQ(direct(2, CompactPriority::SyncLight).result, CompactResult::PartialSkipped);
  EXPECT_EQ(direct(2, CompactPriority::SyncFull).result, CompactResult::Complete) << "the last try is not deferred";
}

TEST_F(CompactionTest, AsynchronousFailuresDoNotDefer) {
  for (std::uint64_t pfn = kBase + 3601; pfn < kBase + 3700; pfn += 2)
    m.free_block(pfn, 0);
  EXPECT_EQ(direct(2, CompactPriority::Async).result, CompactResult::PartialSkipped);
  EXPECT_EQ(m.zone().compaction.defer_shift, 0u);
}

TEST_F(CompactionTest, WithoutIoNothingIsTried) {
  EXPECT_EQ(direct(2, CompactPriority::SyncFull, gfp::kNoIo).result, CompactResult::Skipped);
  EXPECT_THAT(ears.begins, IsEmpty());
}

TEST_F(CompactionTest, ABlockIsCaughtAsItIsFreed) {
  // One page in the way of an order-9 block in an Unmovable pageblock: the drain after it has left completes the block.
  m.set_type(kBase + 0, Unmovable);
  pages.use(kBase + 0, 1);
  for (std::uint64_t pfn = kBase + 1; pfn < kBase + 512; ++pfn)
    m.free_direct(pfn, 0);
  for (std::uint64_t pfn = kBase + 1024; pfn < kBase + 4096; ++pfn)
    if (pfn % 4 != 0)
      m.free_direct(pfn, 0);
  const CompactOutcome outcome = direct(9, CompactPriority::SyncLight, gfp::kKernel);
  EXPECT_EQ(outcome.result, CompactResult::Success);
  ASSERT_TRUE(outcome.captured);
  EXPECT_EQ(outcome.captured->raw(), kBase + 0);
  EXPECT_TRUE(m->frame_state(Pfn{kBase + 0}).is_none()) << "on no list";
}

TEST_F(CompactionTest, PageblocksWithoutAnythingToMoveAreSkippedNextTime) {
  pages.use(kBase + 512, 1);
  free_all_but(kBase + 3584, kBase + 4096, 2);
  compaction.compact_all(CpuId{0});
  EXPECT_TRUE(m.view().env.map.pageblock(m.index(kBase + 0)).skip);
  EXPECT_FALSE(m.view().env.map.pageblock(m.index(kBase + 512)).skip);
  ears.sources.clear();
  direct(2, CompactPriority::SyncLight);
  for (const auto& e : ears.sources)
    EXPECT_NE(e.start.raw(), kBase + 0) << "hints are honoured by those who come after";
  ears.sources.clear();
  compaction.compact_all(CpuId{0});
  ASSERT_FALSE(ears.sources.empty());
  EXPECT_EQ(ears.sources[0].start.raw(), kBase + 0) << "and ignored on demand";
}

TEST_F(CompactionTest, ASearchedPageblockIsLeftAtItsFirstFrameByItsOwnHint) {
  pages.use(kBase + 0, 4);
  pages.use(kBase + 512, 8);
  m.free_block(kBase + 512 + 16, 4);
  free_all_but(kBase + 3072, kBase + 4096, 4);
  static_cast<void>(direct(5, CompactPriority::SyncLight));
  ASSERT_GE(ears.sources.size(), 2u);
  EXPECT_EQ(ears.sources[0].start.raw(), kBase + 512);
  EXPECT_EQ(ears.sources[0].end.raw(), kBase + 1024);
  EXPECT_EQ(ears.sources[0].nr_scanned, 1u);
  EXPECT_EQ(ears.sources[0].nr_taken, 0u);
  EXPECT_TRUE(m.view().env.map.pageblock(m.index(kBase + 512)).skip);
  // The second search finds nothing: it goes on from the free block that the first one found.
  EXPECT_EQ(ears.sources[1].start.raw(), kBase + 512 + 16);
}

TEST_F(CompactionTest, SearchesForSourcesAreForMovableAndCostlyBlocksOnly) {
  pages.use(kBase + 0, 4);
  pages.use(kBase + 512, 8);
  m.free_block(kBase + 512 + 16, 2);
  free_all_but(kBase + 3072, kBase + 4096, 4);
  static_cast<void>(direct(3, CompactPriority::SyncLight));
  ASSERT_FALSE(ears.sources.empty());
  EXPECT_EQ(ears.sources[0].start.raw(), kBase + 0);
}

TEST_F(CompactionTest, ARunGivesWayWhileMoreThanHalfOfTheListedPagesAreIsolated) {
  pages.use(kBase + 0, 16);
  free_all_but(kBase + 3072, kBase + 4096, 4);
  NodePageStats& listed = m.view().nodes[0].pages;
  listed.inactive_file = 100;
  listed.isolated_file = 51;
  static_cast<void>(direct(4, CompactPriority::SyncLight));
  EXPECT_THAT(pages.moves, IsEmpty());
  listed.isolated_file = 50;
  static_cast<void>(direct(4, CompactPriority::SyncLight));
  EXPECT_EQ(pages.moves.size(), 16u);
}

TEST_F(CompactionTest, TargetsComeFromTheListsIfABlockLiesHighEnough) {
  pages.use(kBase + 0, 16);
  // Enough to be suitable, on other lists. In order of position the last pageblock would come first.
  m.set_type(kBase + 1024, Unmovable);
  for (unsigned i = 0; i < 40; ++i)
    m.free_block(kBase + 1024 + 2 * i, 0, Unmovable);
  m.free_block(kBase + 3584 + 8, 0);
  m.free_block(kBase + 3072 + 64, 3);
  static_cast<void>(direct(4, CompactPriority::Async));
  ASSERT_GE(pages.moves.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_GE(pages.moves[i].second, kBase + 3072 + 64);
    EXPECT_LT(pages.moves[i].second, kBase + 3072 + 72);
  }
}

TEST_F(CompactionTest, ADirectRunThatFindsNothingOnTheListsBeginsHalfWayDown) {
  pages.use(kBase + 0, 4);
  m.set_type(kBase + 3584, Unmovable);
  // On no Movable list, and in the upper half: passed over.
  m.free_block(kBase + 3584 + 8, 0, Unmovable);
  m.free_block(kBase + 3584 + 16, 0, Unmovable);
  m.free_block(kBase + 3584 + 24, 0, Unmovable);
  m.free_block(kBase + 3584 + 32, 0, Unmovable);
  m.free_block(kBase + 3584 + 40, 0, Unmovable);
  static_cast<void>(direct(1, CompactPriority::SyncFull));
  EXPECT_THAT(pages.moves, IsEmpty());
}

TEST_F(CompactionTest, KcompactdSleepsOnWhereNoZoneIsSuitable) {
  compaction.wake_kcompactd(NodeId{0}, Order{4}, ZoneIndex{2});
  EXPECT_EQ(m.view().nodes[0].kcompactd.order, 0) << "nothing is free";
  for (unsigned i = 0; i < 40; ++i)
    m.free_block(kBase + 1024 + 2 * i, 0);
  compaction.wake_kcompactd(NodeId{0}, Order{4}, ZoneIndex{2});
  EXPECT_EQ(m.view().nodes[0].kcompactd.order, 4);
}

TEST_F(CompactionTest, KcompactdsFirstLookLeavesOutWhatIsKeptFromHigherZones) {
  for (std::uint64_t pfn = kBase + 3601; pfn < kBase + 3700; pfn += 2)
    m.free_block(pfn, 0);
  struct Verdicts final : EventSink {
    std::vector<CompactResult> results;
    void on(const MmCompactionSuitable& e) override { results.push_back(static_cast<CompactResult>(e.result)); }
  } verdicts;
  m.zone().lowmem_reserve[3] = 100;
  m.view().nodes[0].kcompactd.order = 2;
  m.view().nodes[0].kcompactd.highest = 3;
  m->attach(&verdicts);
  EXPECT_TRUE(compaction.run_kcompactd(NodeId{0}, CpuId{0}));
  EXPECT_THAT(verdicts.results, ElementsAre(CompactResult::Continue, CompactResult::Skipped));
  m->attach(nullptr);
}

TEST_F(CompactionTest, OneCallOfTheDaemonCountsItsFramesTwice) {
  pages.use(kBase + 0, 4);
  free_all_but(kBase + 3584, kBase + 4096, 2);
  m.view().nodes[0].kcompactd.order = 3;
  EXPECT_TRUE(compaction.run_kcompactd(NodeId{0}, CpuId{0}));
  const VmEvents& events = *m.view().events;
  EXPECT_GT(events.compact_daemon_migrate_scanned, 0u);
  EXPECT_EQ(events.compact_daemon_migrate_scanned, events.compact_migrate_scanned);
  EXPECT_EQ(events.compact_daemon_free_scanned, events.compact_free_scanned);
  EXPECT_GE(events.compact_isolated, 8u) << "pages and the frames they move to";
}

TEST_F(CompactionTest, HintsAreTakenBackWhereASampleFindsSomething) {
  pages.use(kBase + 520, 1);   // a multiple of 8: found
  pages.use(kBase + 1030, 1);  // not
  m.free_block(kBase + 3592, 0);
  for (unsigned block = 0; block < 8; ++block)
    m.view().env.map.pageblock(m.index(kBase + block * 512)).skip = true;
  m.zone().compaction.blockskip_flush = true;
  compaction.reset_skip_hints(NodeId{0});
  EXPECT_FALSE(m.view().env.map.pageblock(m.index(kBase + 512)).skip);
  EXPECT_TRUE(m.view().env.map.pageblock(m.index(kBase + 1024)).skip);
  EXPECT_FALSE(m.view().env.map.pageblock(m.index(kBase + 3584)).skip);
  EXPECT_EQ(m.zone().compaction.cached_migrate[1].raw(), kBase + 512);
  EXPECT_EQ(m.zone().compaction.cached_free.raw(), kBase + 4095);
  EXPECT_FALSE(m.zone().compaction.blockskip_flush);
}

TEST_F(CompactionTest, ThirtyTwoPagesAreMovedInOneGo) {
  pages.use(kBase + 0, 100);
  free_all_but(kBase + 3072, kBase + 4096, 4);
  compaction.compact_all(CpuId{0});
  ASSERT_GE(ears.sources.size(), 2u);
  EXPECT_EQ(ears.sources[0].nr_taken, 32u);
  EXPECT_EQ(ears.sources[1].nr_taken, 68u) << "a pageblock that is scanned again is taken whole";
}

TEST_F(CompactionTest, TheZoneKeepsItsMinMark) {
  pages.use(kBase + 0, 32);
  for (std::uint64_t pfn = kBase + 3585; pfn < kBase + 3585 + 128; pfn += 2)
    m.free_direct(pfn, 0);
  m.zone().watermark = {60, 60, 60, 0};
  compaction.compact_all(CpuId{0});
  // 64 pages are free; each frame taken must leave more than 60 + 1.
  EXPECT_EQ(pages.moves.size(), 3u);
}

TEST_F(CompactionTest, AProactiveRunEndsAtALowEnoughScore) {
  EXPECT_EQ(proactive_low_score(20), 80u);
  EXPECT_EQ(proactive_high_score(20), 90u);
  EXPECT_EQ(proactive_low_score(100), 5u);
  EXPECT_EQ(proactive_high_score(5), 100u);
  EXPECT_EQ(proactive_high_score(0), 100u);
}

TEST_F(CompactionTest, ProactiveRunsNeedABadScoreAndAnIdleKswapd) {
  // Freed pages reach the free lists at once.
  m.pageset().high = 0;
  m.pageset().batch = 1;
  pages.use(kBase + 0, 1);
  for (std::uint64_t pfn = kBase + 1; pfn < kBase + 512; ++pfn)
    m.free_direct(pfn, 0);
  free_all_but(kBase + 3584, kBase + 4096, 2);
  EXPECT_EQ(fragmentation_score(m.view(), NodeId{0}), 99u) << "weighted by present / (present + 1)";
  m.view().nodes[0].kswapd.running = true;
  EXPECT_EQ(compaction.run_proactively(NodeId{0}, CpuId{0}), ProactiveOutcome::NotDue);
  m.view().nodes[0].kswapd.running = false;
  EXPECT_EQ(compaction.run_proactively(NodeId{0}, CpuId{0}), ProactiveOutcome::Improved);
  EXPECT_EQ(ears.results.back(), CompactResult::Success);
  EXPECT_GT(m.view().events->compact_migrate_scanned, 0u);
  EXPECT_EQ(m.view().events->compact_daemon_migrate_scanned, 0u) << "nobody asked the daemon";
  EXPECT_EQ(compaction.run_proactively(NodeId{0}, CpuId{0}), ProactiveOutcome::NotDue);
}

TEST_F(CompactionTest, KcompactdWorksForTheLargestOrderThatWasAsked) {
  EXPECT_FALSE(compaction.run_kcompactd(NodeId{0}, CpuId{0}));
  compaction.wake_kcompactd(NodeId{0}, Order{0}, ZoneIndex{2});
  EXPECT_FALSE(compaction.run_kcompactd(NodeId{0}, CpuId{0}));
  for (std::uint64_t pfn = kBase + 3601; pfn < kBase + 3700; pfn += 2)
    m.free_block(pfn, 0);
  compaction.wake_kcompactd(NodeId{0}, Order{2}, ZoneIndex{2});
  compaction.wake_kcompactd(NodeId{0}, Order{1}, ZoneIndex{2});
  EXPECT_EQ(m.view().nodes[0].kcompactd.order, 2);
  EXPECT_TRUE(compaction.run_kcompactd(NodeId{0}, CpuId{0}));
  EXPECT_THAT(ears.results, ElementsAre(CompactResult::PartialSkipped));
  EXPECT_EQ(m.zone().compaction.defer_shift, 1u);
  EXPECT_EQ(m.view().events->compact_daemon_wake, 1u);
  EXPECT_GT(m.view().events->compact_daemon_migrate_scanned, 0u);
  EXPECT_FALSE(compaction.run_kcompactd(NodeId{0}, CpuId{0}));
}

}  // namespace
}  // namespace mmbox
