// What reclaim looks at, what becomes of each page, and when it stops. 08 is the specification.
#include "mmbox/core/reclaim/reclaim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/support/small_machine.h"

namespace mmbox {
namespace {

using test::SmallConfig;
using test::SmallMachine;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// ------------------------------------------------------------- arithmetic (08 §5, §6)

TEST(ReclaimBalance, TheShareOfInactivePagesFallsWithTheSizeOfMemory) {
  constexpr std::uint64_t kGib = 1U << 18;
  // Below 1 GiB as many inactive as active pages are wanted.
  EXPECT_FALSE(inactive_is_low(100, 100));
  EXPECT_TRUE(inactive_is_low(99, 100));
  for (const auto& [gib, ratio] : {std::pair<std::uint64_t, std::uint64_t>{1, 3}, {10, 10}, {100, 31}, {1024, 101}}) {
    const std::uint64_t inactive = gib * kGib / (ratio + 1);
    EXPECT_FALSE(inactive_is_low(inactive + 1, gib * kGib - inactive - 1)) << gib;
    EXPECT_TRUE(inactive_is_low(inactive - 1, gib * kGib - inactive + 1)) << gib;
  }
}

TEST(ReclaimBalance, CostsFadeBeyondAQuarterOfAllPages) {
  ReclaimCosts costs;
  costs.add(LruType::File, 20, 100);
  costs.add(LruType::Anon, 5, 100);
  EXPECT_EQ(costs.file, 20u);
  costs.add(LruType::Anon, 1, 100);
  EXPECT_EQ(costs.file, 10u);
  EXPECT_EQ(costs.anon, 3u);
}

TEST(ReclaimBalance, FirstMatchDecidesWhichKindIsScanned) {
  constexpr ScanShare kFileOnly{0, 1, 1};
  EXPECT_EQ(scan_share({.may_swap = false}), kFileOnly);
  EXPECT_EQ(scan_share({.may_swap = true, .priority = 0}), (ScanShare{1, 1, 1}));
  EXPECT_EQ(scan_share({.may_swap = true, .priority = 0, .swappiness = 0, .cache_trim = true}), kFileOnly);
  EXPECT_EQ(scan_share({.may_swap = true, .file_is_tiny = true, .cache_trim = true}), (ScanShare{1, 0, 1}));
  EXPECT_EQ(scan_share({.may_swap = true, .cache_trim = true}), kFileOnly);
}

TEST(ReclaimBalance, OtherwiseSwappinessAndCostsDo) {
  // Without costs: 60 × 1 / 1 to 140 × 1 / 1.
  const ScanShare even = scan_share({.may_swap = true});
  EXPECT_EQ(even, (ScanShare{60, 140, 200}));
  EXPECT_EQ(even.pages(LruType::Anon, 4096 * 200, 12), 60u);
  EXPECT_EQ(even.pages(LruType::File, 4096 * 200, 12), 140u);
  // Costs 300 and 100: T 400, A 700, C 500, T' 1200: 60 × 1201 / 701 = 102, 140 × 1201 / 501 = 335.
  EXPECT_EQ(scan_share({.may_swap = true, .costs = {300, 100}}), (ScanShare{102, 335, 437}));
  EXPECT_EQ(scan_share({.may_swap = true, .swappiness = 0}).anon, 0u);
  EXPECT_EQ(scan_share({.may_swap = true, .swappiness = 200}).file, 0u);
}

TEST(ReclaimBudget, ListsAreScannedInBatchesAndActiveAnonymousPagesAloneDoNotKeepItGoing) {
  ScanBudget budget{{1, 1, 1}, {40, 50, 0, 10}, 0};
  EXPECT_EQ(budget.take(0), 32u);
  EXPECT_EQ(budget.take(0), 8u);
  EXPECT_EQ(budget.take(0), 0u);
  EXPECT_EQ(budget.take(2), 0u);
  EXPECT_FALSE(budget.is_spent());
  EXPECT_EQ(budget.take(3), 10u);
  EXPECT_TRUE(budget.is_spent());
  EXPECT_EQ(budget.left(1), 50u);
}

TEST(ReclaimBudget, WithEnoughFreedTheLargerTypeIsScannedJustAsFarAsTheSmaller) {
  ScanBudget budget{{1, 1, 1}, {99, 0, 1000, 200}, 0};
  for (const std::size_t list : {0U, 2U, 3U})
    budget.take(list);
  ASSERT_TRUE(budget.narrow());
  // Of 99 anonymous pages 67 are left: 67 × 100 / 100 = 67 %. 33 % of the others are 330 and 66, less the 32 done.
  EXPECT_EQ(budget.left(0), 0u);
  EXPECT_EQ(budget.left(2), 298u);
  EXPECT_EQ(budget.left(3), 34u);
}

TEST(ReclaimBudget, WithEnoughFreedAndOneTypeAtItsEndTheScanEnds) {
  ScanBudget budget{{0, 1, 1}, {1000, 1000, 1000, 1000}, 0};
  EXPECT_FALSE(budget.narrow());
}

// ------------------------------------------------------------- what becomes of a page (08 §7)

TEST(PageFate, TheFirstRuleThatHoldsDecides) {
  struct Case {
    const char* name;
    ReclaimFacts page;
    FateRules rules;
    Fate fate;
  };
  for (const Case& c : {
           Case{"clean", {}, {}, Fate::Free},
           Case{"locked", {.is_locked = true, .is_unevictable = true}, {}, Fate::Keep},
           Case{"mlocked", {.is_mapped = true, .is_unevictable = true}, {.may_unmap = false}, Fate::SetAside},
           Case{"mapped, must stay so", {.is_mapped = true, .is_writeback = true}, {.may_unmap = false}, Fate::Keep},
           Case{"mapped", {.is_mapped = true, .is_dirty = true}, {}, Fate::NeedsUnmap},
           Case{"writeback", {.is_writeback = true, .is_reclaim = true}, {.by_kswapd = true}, Fate::ActivateMarked},
           Case{"writeback again",
                {.is_writeback = true, .is_reclaim = true},
                {.by_kswapd = true, .node_writeback = true},
                Fate::ActivateAtOnce},
           Case{"writeback, direct reclaim",
                {.is_writeback = true, .is_reclaim = true},
                {.node_writeback = true},
                Fate::ActivateMarked},
           Case{"used once", {.pte_references = 1, .is_mapped = true}, {}, Fate::KeepUsedOnce},
           Case{"used again", {.pte_references = 1, .is_referenced = true, .is_mapped = true}, {}, Fate::Activate},
           Case{"used by two", {.pte_references = 2, .is_mapped = true}, {}, Fate::Activate},
           Case{"program", {.pte_references = 1, .is_mapped = true, .is_executable = true}, {}, Fate::Activate},
           Case{"executable memory of a process",
                {.pte_references = 1, .is_mapped = true, .is_executable = true, .is_swap_backed = true},
                {},
                Fate::KeepUsedOnce},
           Case{"read", {.is_referenced = true}, {}, Fate::Free},
           Case{"written", {.is_referenced = true, .is_dirty = true}, {}, Fate::Keep},
           Case{"anonymous", {.is_mapped = true, .is_swap_backed = true}, {}, Fate::NeedsSlot},
           Case{"anonymous, no IO", {.is_swap_backed = true}, {.may_io = false}, Fate::Keep},
           Case{"anonymous, pinned", {.is_swap_backed = true, .is_pinned = true}, {}, Fate::Keep},
           Case{"dirty file", {.is_dirty = true}, {}, Fate::ActivateDirty},
           Case{"dirty file, kswapd, again",
                {.is_dirty = true, .is_reclaim = true},
                {.by_kswapd = true, .node_dirty = true},
                Fate::WriteOut},
           Case{"the same, by direct reclaim",
                {.is_dirty = true, .is_reclaim = true},
                {.node_dirty = true},
                Fate::ActivateDirty},
           Case{"the same, without FS",
                {.is_dirty = true, .is_reclaim = true},
                {.by_kswapd = true, .may_enter_fs = false, .node_dirty = true},
                Fate::Keep},
           Case{
               "dirty, in swap", {.is_swap_backed = true, .is_swap_cache = true, .is_dirty = true}, {}, Fate::WriteOut},
           Case{"the same, without FS",
                {.is_swap_backed = true, .is_swap_cache = true, .is_dirty = true},
                {.may_enter_fs = false},
                Fate::WriteOut},
           Case{"the same, without IO",
                {.is_swap_backed = true, .is_swap_cache = true, .is_dirty = true},
                {.may_enter_fs = false, .may_io = false},
                Fate::Keep},
           Case{"the same, without writing",
                {.is_swap_backed = true, .is_swap_cache = true, .is_dirty = true},
                {.may_write = false},
                Fate::Keep},
           Case{"clean, in swap", {.is_swap_backed = true, .is_swap_cache = true}, {}, Fate::Free},
           Case{"pinned", {.is_pinned = true}, {}, Fate::Keep},
       })
    EXPECT_EQ(page_fate(c.page, c.rules), c.fate) << c.name;
}

// ------------------------------------------------------------- slab caches (08 §9)

TEST(SlabDue, FallsWithThePriorityAndTheSeeks) {
  EXPECT_EQ(slab_due(4096, 0, 2, 12).total, 2u);
  EXPECT_EQ(slab_due(4096, 0, 2, 4).total, 512u);
  EXPECT_EQ(slab_due(4096, 0, 4, 4).total, 256u);
  EXPECT_EQ(slab_due(100, 0, 0, 12).total, 50u) << "what costs nothing is halved at once";
  EXPECT_EQ(slab_due(4096, 160, 2, 4).total, 522u);
  EXPECT_EQ(slab_due(4096, 1 << 20, 2, 0).total, 8192u) << "no more than twice what there is";
  EXPECT_EQ(slab_put_off(4096, 10, 512, 512), 10u);
  EXPECT_EQ(slab_put_off(4096, 10, 512, 1024), 0u);
  EXPECT_EQ(slab_put_off(10, 100, 0, 0), 20u);
}

// ------------------------------------------------------------- pages

struct Page {
  ReclaimFacts facts;
  LruList list = LruList::InactiveFile;
};

class FakeCache final : public SlabShrinker {
 public:
  std::uint64_t objects = 0;
  std::uint64_t pages_per_call = 0;
  bool refuses = false;
  std::vector<std::uint64_t> calls;

  std::uint64_t freeable(NodeId) override { return objects; }
  std::optional<SlabFreed> scan(NodeId, std::uint64_t wanted, Gfp, CpuId) override {
    if (refuses)
      return std::nullopt;
    calls.push_back(wanted);
    return SlabFreed{wanted, PageCount{pages_per_call}};
  }
};

class FakeEvictor final : public PageEvictor {
 public:
  std::map<std::uint64_t, Page> pages;
  std::vector<std::uint64_t> evicted;
  std::vector<std::uint64_t> written;
  std::uint64_t swap = 0;
  bool writes_at_once = false;
  bool unmaps = true;
  unsigned flushers = 0;
  FakeCache cache;
  std::array<SlabShrinker*, 1> caches{&cache};

  void taken(Pfn pfn) override { ASSERT_TRUE(pages.contains(pfn.raw())); }
  ReclaimFacts reclaim_facts(Pfn pfn) override {
    const ReclaimFacts facts = pages.at(pfn.raw()).facts;
    pages.at(pfn.raw()).facts.pte_references = 0;
    return facts;
  }
  void mark(Pfn pfn, ReclaimMark mark) override {
    ReclaimFacts& facts = pages.at(pfn.raw()).facts;
    switch (mark) {
      case ReclaimMark::Referenced: facts.is_referenced = true; break;
      case ReclaimMark::Reclaim: facts.is_reclaim = true; break;
      case ReclaimMark::WorkingSet: facts.is_working_set = true; break;
    }
  }
  void returned(Pfn pfn, LruList list) override { pages.at(pfn.raw()).list = list; }
  bool add_to_swap(Pfn pfn) override {
    if (swap == 0)
      return false;
    --swap;
    pages.at(pfn.raw()).facts.is_swap_cache = pages.at(pfn.raw()).facts.is_dirty = true;
    return true;
  }
  bool unmap(Pfn) override { return unmaps; }
  bool write_out(Pfn pfn) override {
    written.push_back(pfn.raw());
    ReclaimFacts& facts = pages.at(pfn.raw()).facts;
    facts.is_dirty = false;
    facts.is_writeback = facts.is_reclaim = !writes_at_once;
    return writes_at_once;
  }
  void evict(Pfn pfn) override {
    pages.erase(pfn.raw());
    evicted.push_back(pfn.raw());
  }
  PageCount free_swap() override { return PageCount{swap}; }
  std::span<SlabShrinker* const> shrinkers() override { return caches; }
  void wake_flushers() override { ++flushers; }
};

struct ReclaimTest : testing::Test {
  SmallMachine m;
  Lru lru{m.view()};
  FakeEvictor host;
  Reclaim reclaim{m.view(), lru, host};
  Task task;

  /// Pages in use on a list, the first one next to go.
  void put(std::uint64_t pfn, std::uint64_t count, LruList list, ReclaimFacts facts = {}) {
    for (std::uint64_t i = 0; i < count; ++i) {
      m.adopt(pfn + i, 0);
      host.pages[pfn + i] = {facts, list};
      lru.add(m.index(pfn + i), list);
    }
  }
  AllocContext context(Gfp gfp = gfp::kKernel, unsigned order = 0) {
    request = Request{.gfp = gfp, .order = Order{order}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &task};
    return prepare(m.view(), request);
  }
  void set_mode(std::uint32_t bits) {
    Tunables t = m->tunables();
    t.zone_reclaim_mode = bits;
    m->set_tunables(t);
  }
  std::uint64_t direct(Gfp gfp = gfp::kKernel, unsigned order = 0) {
    return reclaim.direct_reclaim(context(gfp, order)).raw();
  }
  Request request{.gfp = {}, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = nullptr};
};

TEST_F(ReclaimTest, ThirtyTwoPagesAreEnoughAndTheOldestGoFirst) {
  put(0, 200, LruList::InactiveFile);
  // 200 >> 12 … 200 >> 8 are nothing; then 200 >> 7, 199 >> 6, 196 >> 5, … until there are at least 32.
  EXPECT_EQ(direct(), 1u + 3u + 6u + 11u + 22u);
  ASSERT_EQ(host.evicted.size(), 43u);
  // A batch goes youngest first, batch after batch.
  EXPECT_EQ(host.evicted[0], 0u);
  EXPECT_EQ(host.evicted[1], 3u);
  EXPECT_EQ(host.evicted[4], 9u);
  EXPECT_EQ(std::ranges::max(host.evicted), 42u);
  EXPECT_EQ(m.view().events->allocstall[m.zone().index.raw()], 1u);
  EXPECT_EQ(m.view().events->pgsteal_direct, host.evicted.size());
  EXPECT_EQ(m.view().events->pgsteal_file, host.evicted.size());
  EXPECT_FALSE(validate(m.view()));
}

TEST_F(ReclaimTest, WithoutSwapAnonymousPagesStay) {
  put(0, 200, LruList::InactiveAnon, {.is_swap_backed = true});
  EXPECT_EQ(direct(), 0u);
  EXPECT_THAT(host.evicted, IsEmpty());
  EXPECT_EQ(reclaim.reclaimable_pages(m.zone().id).raw(), 0u);
  host.swap = 1000;
  host.writes_at_once = true;
  EXPECT_EQ(reclaim.reclaimable_pages(m.zone().id).raw(), 200u);
  EXPECT_GE(direct(), 32u);
  EXPECT_EQ(m.view().events->pswpout, host.written.size());
}

TEST_F(ReclaimTest, EachPageEndsWhereItsFateSays) {
  struct Case {
    const char* name;
    LruList list;
    ReclaimFacts facts;
    bool freed;
    LruList then;
  };
  constexpr auto kFile = LruList::InactiveFile;
  constexpr auto kActive = LruList::ActiveFile;
  constexpr auto kAnon = LruList::InactiveAnon;
  for (const Case& c : {
           Case{"clean", kFile, {}, true, kFile},
           Case{"locked", kFile, {.is_locked = true}, false, kFile},
           Case{"mlocked", kFile, {.is_unevictable = true}, false, LruList::Unevictable},
           Case{"writeback", kFile, {.is_writeback = true}, false, kActive},
           Case{"used once", kFile, {.pte_references = 1, .is_mapped = true}, false, kFile},
           Case{"used again", kFile, {.pte_references = 1, .is_referenced = true, .is_mapped = true}, false, kActive},
           Case{"mapped, not used", kFile, {.is_mapped = true}, true, kFile},
           Case{"dirty", kFile, {.is_dirty = true}, false, kActive},
           Case{"anonymous, pinned", kAnon, {.is_swap_backed = true, .is_pinned = true}, false, kAnon},
           Case{"swap cache, clean", kAnon, {.is_swap_backed = true, .is_swap_cache = true}, true, kAnon},
           Case{"anonymous", kAnon, {.is_swap_backed = true}, false, kAnon},
       }) {
    SmallMachine machine;
    Lru lists{machine.view()};
    FakeEvictor pages;
    Reclaim each{machine.view(), lists, pages};
    machine.adopt(7, 0);
    pages.pages[7] = {c.facts, c.list};
    lists.add(machine.index(7), c.list);
    pages.swap = 1;
    Tunables t = machine->tunables();
    t.zone_reclaim_mode = 7;
    machine->set_tunables(t);
    // Node reclaim comes to a list of one page once, at priority 0.
    const Request r{.gfp = gfp::kKernel, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &task};
    static_cast<void>(each.node_reclaim(NodeId{0}, prepare(machine.view(), r)));
    EXPECT_EQ(pages.evicted.size(), c.freed ? 1u : 0u) << c.name;
    EXPECT_EQ(lists.pages(NodeId{0}, c.then), c.freed ? 0u : 1u) << c.name;
    if (!c.freed) {
      EXPECT_EQ(pages.pages.at(7).list, c.then) << c.name;
    }
    const NodePageStats& stats = machine.view().nodes[0].pages;
    EXPECT_EQ(stats.isolated_anon + stats.isolated_file, 0) << c.name;
  }
}

TEST_F(ReclaimTest, APageUsedOnceIsRememberedAndGoesIfNotUsedAgain) {
  put(7, 1, LruList::InactiveFile, {.pte_references = 1, .is_mapped = true});
  set_mode(7);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Some);
  EXPECT_TRUE(host.pages.at(7).facts.is_referenced);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Success);
}

TEST_F(ReclaimTest, APageThatCannotBeUnmappedIsActivated) {
  put(7, 1, LruList::InactiveFile, {.is_mapped = true});
  set_mode(7);
  host.unmaps = false;
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Some);
  EXPECT_EQ(host.pages.at(7).list, LruList::ActiveFile);
  EXPECT_EQ(m.view().events->pgactivate, 1u);
}

TEST_F(ReclaimTest, WhatIsWrittenIsACost) {
  put(0, 400, LruList::InactiveAnon, {.is_swap_backed = true});
  host.swap = 1000;
  EXPECT_EQ(direct(), 0u) << "nothing is written at once";
  EXPECT_FALSE(host.written.empty());
  EXPECT_GT(lru.costs(NodeId{0}).anon, 0u);
  EXPECT_EQ(lru.costs(NodeId{0}).file, 0u);
}

TEST_F(ReclaimTest, AThrottledTaskThatIsKilledCallsItProgress) {
  struct Killer final : Waiter {
    Task& task;
    unsigned ticks = 0;
    explicit Killer(Task& victim) : task(victim) {}
    void wait_tick() override { task.fatal_signal = ++ticks == 3; }
  } killer{task};
  put(0, 200, LruList::InactiveFile);
  m.zone().watermark = {100, 125, 150, 0};
  m->set_hosts({.reclaimer = &reclaim, .compactor = nullptr, .oom = nullptr, .waiter = &killer});
  EXPECT_EQ(direct(), 1u);
  EXPECT_EQ(killer.ticks, 3u);
  EXPECT_THAT(host.evicted, IsEmpty());
  EXPECT_TRUE(m.view().nodes[0].kswapd.running);
  EXPECT_EQ(m.view().events->pgscan_direct_throttle, 1u);
  EXPECT_EQ(m.view().events->allocstall[m.zone().index.raw()], 0u);
}

TEST_F(ReclaimTest, NobodyWaitsWhileHalfTheReservesAreFreeOrForAHopelessNode) {
  put(0, 200, LruList::InactiveFile);
  m.free_block(1024, 6);
  m.zone().watermark = {126, 150, 175, 0};
  EXPECT_GE(direct(), 32u) << "64 of 126";
  EXPECT_EQ(m.view().events->pgscan_direct_throttle, 0u);
  m.zone().watermark = {1000, 1250, 1500, 0};
  m.view().nodes[0].kswapd.failures = 16;
  EXPECT_GE(direct(), 32u);
  EXPECT_EQ(m.view().events->pgscan_direct_throttle, 0u);
  m.view().nodes[0].kswapd.failures = 0;
  EXPECT_GE(direct(), 32u);
  EXPECT_EQ(m.view().events->pgscan_direct_throttle, 1u);
}

TEST_F(ReclaimTest, TooManyIsolatedPagesHoldDirectReclaimBack) {
  put(0, 200, LruList::InactiveFile);
  m.view().nodes[0].pages.isolated_file = 26;
  EXPECT_EQ(direct(), 0u) << "more than 200 / 8";
  m.view().nodes[0].pages.isolated_file = 25;
  EXPECT_GE(direct(gfp::kNoFs), 32u);
}

TEST_F(ReclaimTest, RefaultsOfTheWorkingSetLetActivePagesAge) {
  put(0, 2000, LruList::InactiveFile);
  put(2000, 1000, LruList::ActiveFile);
  lru.refaulted(NodeId{0}, LruType::File, Refault::WorkingSet);
  EXPECT_FALSE(lru.refaults(NodeId{0}, LruType::File));
  EXPECT_EQ(lru.costs(NodeId{0}).file, 1u);
  lru.refaulted(NodeId{0}, LruType::File, Refault::Activated);
  set_mode(7);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Success);
  EXPECT_GT(m.view().events->pgdeactivate, 0u);
  EXPECT_FALSE(lru.refaults(NodeId{0}, LruType::File)) << "once";
}

TEST_F(ReclaimTest, ProgramsInUseStayActive) {
  const ReclaimFacts program{.pte_references = 1, .is_mapped = true, .is_executable = true, .is_working_set = true};
  put(0, 1, LruList::ActiveFile, program);
  set_mode(7);
  static_cast<void>(reclaim.node_reclaim(NodeId{0}, context()));
  EXPECT_EQ(host.pages.at(0).list, LruList::ActiveFile);
  EXPECT_EQ(m.view().events->pgrefill, 1u);
  EXPECT_EQ(m.view().events->pgdeactivate, 0u);
  EXPECT_EQ(lru.costs(NodeId{0}).file, 0u) << "one of one page fades at once";
  static_cast<void>(reclaim.node_reclaim(NodeId{0}, context()));
  EXPECT_EQ(host.pages.at(0).list, LruList::InactiveFile) << "not used since";
  EXPECT_TRUE(host.pages.at(0).facts.is_working_set);
}

TEST_F(ReclaimTest, OtherPagesInUseBecomeInactive) {
  put(0, 1, LruList::ActiveFile, {.pte_references = 1, .is_referenced = true, .is_mapped = true});
  set_mode(7);
  static_cast<void>(reclaim.node_reclaim(NodeId{0}, context()));
  EXPECT_EQ(host.pages.at(0).list, LruList::InactiveFile);
}

TEST_F(ReclaimTest, WithoutIoAnonymousPagesAreNotWritten) {
  host.swap = 100;
  put(0, 64, LruList::InactiveAnon, {.is_swap_backed = true});
  EXPECT_EQ(direct(gfp::kNoIo), 0u);
  EXPECT_THAT(host.written, IsEmpty());
}

TEST_F(ReclaimTest, PagesOfHigherZonesAreSkippedAndCounted) {
  SmallMachine two{SmallConfig{.zones = {{ZoneType::Dma32, 0, 4096, 0}, {ZoneType::Normal, 4096, 4096, 0}}}};
  Lru lists{two.view()};
  FakeEvictor pages;
  Reclaim each{two.view(), lists, pages};
  for (std::uint64_t pfn : {4096U, 4097U, 4098U, 4099U, 0U, 1U, 2U, 3U}) {
    two.adopt(pfn, 0);
    pages.pages[pfn] = {};
    lists.add(two.index(pfn), LruList::InactiveFile);
  }
  const Request r{
      .gfp = gfp::kKernel | gfp::kDma32, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &task};
  EXPECT_EQ(each.direct_reclaim(prepare(two.view(), r)).raw(), 4u);
  EXPECT_THAT(pages.evicted, UnorderedElementsAre(0, 1, 2, 3));
  EXPECT_GT(two.view().events->pgskip[two.zone(1).index.raw()], 0u);
  EXPECT_EQ(lists.pages(NodeId{0}, LruList::InactiveFile), 4u);
}

TEST_F(ReclaimTest, ActivePagesAreSparedWhileInactiveOnesSuffice) {
  put(0, 2000, LruList::InactiveFile);
  put(2000, 1000, LruList::ActiveFile);
  EXPECT_GE(direct(), 32u);
  EXPECT_EQ(m.view().events->pgdeactivate, 0u);
}

TEST_F(ReclaimTest, WhenNothingElseIsLeftActivePagesGoToo) {
  put(0, 100, LruList::ActiveFile);
  EXPECT_GE(direct(), 32u);
  EXPECT_GT(m.view().events->pgdeactivate, 0u);
  EXPECT_GT(m.view().events->pgrefill, 0u);
}

TEST_F(ReclaimTest, SparedActivePagesGoIfNothingElseDoes) {
  put(0, 200, LruList::InactiveFile, {.is_locked = true});
  put(200, 100, LruList::ActiveFile);
  EXPECT_GT(direct(), 0u);
  EXPECT_EQ(m.view().events->allocstall[m.zone().index.raw()], 2u);
}

TEST_F(ReclaimTest, ANodeIsPassedOverOnceForAllOfItsZones) {
  SmallMachine two{SmallConfig{.zones = {{ZoneType::Dma32, 0, 4096, 0}, {ZoneType::Normal, 4096, 4096, 0}}}};
  Lru lists{two.view()};
  FakeEvictor pages;
  Reclaim each{two.view(), lists, pages};
  for (std::uint64_t pfn = 4096; pfn < 4296; ++pfn) {
    two.adopt(pfn, 0);
    pages.pages[pfn] = {};
    lists.add(two.index(pfn), LruList::InactiveFile);
  }
  const Request r{.gfp = gfp::kKernel, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &task};
  EXPECT_EQ(each.direct_reclaim(prepare(two.view(), r)).raw(), 43u);
}

TEST_F(ReclaimTest, AnonymousPagesGoWhereFilePagesCouldNotReachTheMarks) {
  host.swap = 1000;
  put(0, 1000, LruList::InactiveAnon, {.is_swap_backed = true, .is_swap_cache = true});
  put(1000, 90, LruList::InactiveFile);
  m.zone().watermark = {1, 2, 90, 0};
  m.view().nodes[0].kswapd.failures = 16;
  EXPECT_GE(direct(), 32u);
  EXPECT_EQ(m.view().events->pgscan_file, 0u);
  m.zone().watermark = {1, 2, 30, 0};
  EXPECT_GE(direct(), 32u);
  EXPECT_GT(m.view().events->pgscan_file, 0u);
}

TEST_F(ReclaimTest, ItRestsOnlyForWhatIsBeingWritten) {
  struct Ticks final : Waiter {
    unsigned ticks = 0;
    void wait_tick() override { ++ticks; }
  } waiter;
  m->set_hosts({.reclaimer = &reclaim, .compactor = nullptr, .oom = nullptr, .waiter = &waiter});
  put(0, 64, LruList::InactiveFile, {.is_locked = true});
  m.view().nodes[0].pages.file_dirty = 32;
  EXPECT_EQ(direct(), 0u);
  EXPECT_EQ(waiter.ticks, 0u) << "no more than half";
  m.view().nodes[0].pages.writeback = 1;
  EXPECT_EQ(direct(), 0u);
  EXPECT_EQ(waiter.ticks, 1u) << "once, late";
}

TEST_F(ReclaimTest, AllDirtyPagesWakeTheFlusher) {
  put(0, 64, LruList::InactiveFile, {.is_dirty = true});
  EXPECT_EQ(direct(), 0u);
  EXPECT_GT(host.flushers, 0u);
}

TEST_F(ReclaimTest, FreedSlabPagesAreProgress) {
  host.cache.objects = 1 << 18;
  host.cache.pages_per_call = 20;
  // 2^18 >> 12, twice, is a batch of 128; the second pass has two.
  EXPECT_EQ(direct(), 60u);
  EXPECT_THAT(host.cache.calls, ElementsAre(128, 128, 128));
  EXPECT_EQ(m.view().events->slabs_scanned, 384u);
  EXPECT_EQ(host.cache.deferred[0], 0u);
}

TEST_F(ReclaimTest, WhatACacheCannotDoNowIsPutOff) {
  host.cache.objects = 1 << 18;
  host.cache.pages_per_call = 20;
  host.cache.refuses = true;
  EXPECT_EQ(direct(), 0u);
  EXPECT_EQ(m.view().events->slabs_scanned, 0u);
  EXPECT_EQ(host.cache.deferred[0], 2u << 18) << "no more than twice what there is";
}

TEST_F(ReclaimTest, FewObjectsAreScannedOnlyOnceAllOfThemAreDue) {
  host.cache.objects = 60;
  EXPECT_EQ(direct(), 0u);
  // Priorities 5 to 2 put off 2 + 6 + 14 + 30; at 1, 60 fall due beside 52 / 2. At 0, no more than twice all.
  EXPECT_THAT(host.cache.calls, ElementsAre(86, 120));
}

TEST_F(ReclaimTest, RequestsForLargeBlocksStopWhenCompactionCouldMakeThem) {
  put(0, 1000, LruList::InactiveFile);
  for (std::uint64_t pfn = 2048; pfn < 4096; pfn += 2)
    m.free_block(pfn, 0);
  // 1024 single pages free and no mark: suitable for order 4, and above HIGH + 32.
  EXPECT_EQ(direct(gfp::kKernel, 4), 1u) << "progress without a page freed";
  EXPECT_THAT(host.evicted, IsEmpty());
}

// ------------------------------------------------------------- node reclaim (08 §10)

TEST_F(ReclaimTest, NodeReclaimSucceedsWithTheRequestsPages) {
  put(0, 64, LruList::InactiveFile);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context(gfp::kKernel, 3)), NodeReclaimResult::Success);
  EXPECT_GE(host.evicted.size(), 8u);
  EXPECT_EQ(m.view().events->zone_reclaim_failed, 0u);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context(gfp::kKernel, 9)), NodeReclaimResult::Some);
  EXPECT_EQ(m.view().events->zone_reclaim_failed, 1u);
}

TEST_F(ReclaimTest, NodeReclaimBeginsWithASixteenthOfTheListsAndStopsWithThirtyTwoPages) {
  put(0, 1024, LruList::InactiveFile);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Success);
  EXPECT_EQ(m.view().events->pgscan_direct, 32u) << "half of what was due";
  EXPECT_EQ(host.evicted.size(), 32u);
}

TEST_F(ReclaimTest, WhatIsEvictedIsFreedAsAList) {
  test::EventText text;
  m->attach(&text);
  put(0, 512, LruList::InactiveFile);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Success);
  ASSERT_EQ(text.count("free"), 32u);
  ASSERT_EQ(text.count("free_batched"), 32u);
  EXPECT_EQ(text.lines[0], "free 31 order=0") << "the youngest of the batch";
  EXPECT_EQ(text.lines[31], "free 0 order=0");
  EXPECT_EQ(text.lines[32], "free_batched 31");
}

TEST_F(ReclaimTest, NodeReclaimUnmapsOnlyIfItShall) {
  put(0, 64, LruList::InactiveFile, {.is_mapped = true});
  for (const std::uint32_t mode : {1U, 1U | 2U}) {
    set_mode(mode);
    EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Some) << mode;
  }
  set_mode(1 | 4);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Success);
}

TEST_F(ReclaimTest, NodeReclaimWritesOnlyIfItShall) {
  put(0, 64, LruList::InactiveAnon, {.is_swap_backed = true, .is_swap_cache = true, .is_dirty = true});
  host.swap = 100;
  set_mode(1 | 4);
  static_cast<void>(reclaim.node_reclaim(NodeId{0}, context()));
  EXPECT_THAT(host.written, IsEmpty());
  set_mode(1 | 2 | 4);
  static_cast<void>(reclaim.node_reclaim(NodeId{0}, context()));
  EXPECT_FALSE(host.written.empty());
}

TEST_F(ReclaimTest, NodeReclaimGoesOnOnlyUntilTheRequestHasItsPages) {
  put(0, 16, LruList::InactiveFile);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context()), NodeReclaimResult::Success);
  EXPECT_EQ(host.evicted.size(), 1u) << "a sixteenth";
}

TEST_F(ReclaimTest, RoundsGoOnUntilCompactionCouldMakeTheBlock) {
  m.pageset().high = 0;
  m.pageset().batch = 1;
  m.zone().watermark = {200, 250, 300, 0};
  // Every other page is somebody's for good, so that no block of order 3 comes of itself.
  for (std::uint64_t pfn = 0; pfn < 2048; pfn += 2)
    put(pfn, 1, LruList::InactiveFile);
  EXPECT_EQ(reclaim.node_reclaim(NodeId{0}, context(gfp::kKernel, 3)), NodeReclaimResult::Success);
  EXPECT_GT(host.evicted.size(), 216u) << "MIN and twice the block";
  EXPECT_LE(host.evicted.size(), 216u + 33u);
}

TEST_F(ReclaimTest, BothTypesAreScannedAsFarOnceEnoughIsFreed) {
  SmallMachine large{SmallConfig{.zones = {{ZoneType::Normal, 0, 16384, 0}}}};
  Lru lists{large.view()};
  FakeEvictor pages;
  Reclaim each{large.view(), lists, pages};
  Tunables t = large->tunables();
  t.zone_reclaim_mode = 7;
  large->set_tunables(t);
  pages.swap = 1;
  for (std::uint64_t pfn = 0; pfn < 9600; ++pfn) {
    const bool anon = pfn < 1600;
    large.adopt(pfn, 0);
    pages.pages[pfn] = {{.is_swap_backed = anon, .is_swap_cache = anon},
                        anon ? LruList::InactiveAnon : LruList::InactiveFile};
    lists.add(large.index(pfn), pages.pages[pfn].list);
  }
  const Request r{.gfp = gfp::kKernel, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &task};
  // Costs 0 and 1: 120 / 306 of 100 and 186 / 306 of 500. With a batch of each, 17 % of the 39 are left.
  lists.refaulted(NodeId{0}, LruType::File, Refault::Activated);
  static_cast<void>(each.node_reclaim(NodeId{0}, prepare(large.view(), r)));
  EXPECT_EQ(large.view().events->pgsteal_anon, 32u);
  EXPECT_EQ(large.view().events->pgsteal_file, 251u) << "83 % of 303";
  static_cast<void>(each.node_reclaim(NodeId{0}, prepare(large.view(), r)));
  EXPECT_EQ(large.view().events->pgsteal_anon, 32u) << "many inactive file pages, and active ones need not follow";
}

// ------------------------------------------------------------- kswapd (08 §8)

struct KswapdTest : ReclaimTest {
  KswapdState& kswapd() { return m.view().nodes[0].kswapd; }
  void wake(unsigned order = 0) {
    kswapd().running = true;
    kswapd().order = static_cast<std::uint8_t>(order);
    kswapd().highest = static_cast<std::uint8_t>(m.zone().index.raw());
  }
  KswapdTest() { m.zone().watermark = {10, 20, 100, 0}; }
};

TEST_F(KswapdTest, ItSleepsUntilItIsWoken) {
  put(0, 500, LruList::InactiveFile);
  EXPECT_FALSE(reclaim.run_kswapd(NodeId{0}, CpuId{0}).ran);
  EXPECT_THAT(host.evicted, IsEmpty());
}

TEST_F(KswapdTest, ItWorksUntilTheHighMark) {
  m.pageset().high = 0;
  m.pageset().batch = 1;
  put(0, 2000, LruList::InactiveFile);
  wake();
  const KswapdRun run = reclaim.run_kswapd(NodeId{0}, CpuId{0});
  EXPECT_TRUE(run.balanced);
  EXPECT_GT(m.zone().stat[0], 100);
  EXPECT_FALSE(kswapd().running);
  EXPECT_EQ(kswapd().highest, KswapdState::kNoZone);
  EXPECT_EQ(m.view().events->pageoutrun, 1u);
  EXPECT_EQ(m.view().events->pgsteal_kswapd, run.reclaimed);
  EXPECT_LT(host.evicted.size(), 400u) << "and not much further";
}

TEST_F(KswapdTest, SixteenFruitlessRunsMakeTheNodeHopeless) {
  for (int i = 0; i < 20; ++i) {
    wake();
    reclaim.run_kswapd(NodeId{0}, CpuId{0});
  }
  EXPECT_EQ(kswapd().failures, 16);
  EXPECT_FALSE(kswapd().running) << "it gives up";
  put(0, 500, LruList::InactiveFile);
  EXPECT_GE(direct(), 32u);
  EXPECT_EQ(kswapd().failures, 0) << "any success gives hope";
}

TEST_F(KswapdTest, DirtyFilePagesAreWrittenOnceNothingElseIsMet) {
  put(0, 500, LruList::InactiveFile, {.is_dirty = true});
  host.writes_at_once = true;
  EXPECT_EQ(direct(), 0u);
  EXPECT_GT(reclaim.immediate_reclaim(NodeId{0}), 0u);
  EXPECT_THAT(host.written, IsEmpty()) << "direct reclaim writes no file pages";
  wake();
  const KswapdRun run = reclaim.run_kswapd(NodeId{0}, CpuId{0});
  EXPECT_FALSE(host.written.empty());
  EXPECT_GT(run.reclaimed, 0u);
}

TEST_F(KswapdTest, ItStaysAwakeUntilTheNodeIsBalancedOrHopeless) {
  wake(3);
  EXPECT_FALSE(reclaim.run_kswapd(NodeId{0}, CpuId{0}).balanced);
  EXPECT_TRUE(kswapd().running);
  EXPECT_EQ(kswapd().order, 0) << "for single pages: nobody has asked for a block since";
  EXPECT_EQ(kswapd().highest, m.zone().index.raw());
}

TEST_F(KswapdTest, ItsFirstSleepIsShort) {
  struct Someone final : Waiter {
    SmallMachine& m;
    bool wakes = false;
    explicit Someone(SmallMachine& machine) : m(machine) {}
    void wait_tick() override {
      if (wakes)
        m.view().nodes[0].kswapd.running = true;
      else
        m.zone().stat[0] = 0;
    }
  } someone{m};
  m->set_hosts({.reclaimer = &reclaim, .compactor = nullptr, .oom = nullptr, .waiter = &someone});
  m.free_block(1024, 8);
  wake();
  static_cast<void>(reclaim.run_kswapd(NodeId{0}, CpuId{0}));
  EXPECT_TRUE(kswapd().running) << "too little is free again";
  EXPECT_EQ(m.view().events->kswapd_high_wmark_hit_quickly, 1u);
  m.zone().stat[0] = 256;
  someone.wakes = true;
  static_cast<void>(reclaim.run_kswapd(NodeId{0}, CpuId{0}));
  EXPECT_TRUE(kswapd().running);
  EXPECT_EQ(m.view().events->kswapd_low_wmark_hit_quickly, 1u);
}

TEST_F(KswapdTest, ABoostThatNothingCanBeFreedForIsAFailure) {
  m.free_block(2048, 10);
  host.cache.objects = 1 << 18;
  m.zone().watermark_boost = 40;
  wake();
  EXPECT_TRUE(reclaim.run_kswapd(NodeId{0}, CpuId{0}).balanced);
  EXPECT_EQ(kswapd().failures, 1);
  EXPECT_EQ(m.zone().watermark_boost, 0);
  EXPECT_THAT(host.cache.calls, ElementsAre(128)) << "one pass";
}

TEST_F(KswapdTest, ForABoostItNeitherSwapsNorTriesHard) {
  m.free_block(2048, 10);
  put(0, 2000, LruList::InactiveAnon, {.is_swap_backed = true});
  host.swap = 100;
  host.cache.objects = 1 << 18;
  host.cache.pages_per_call = 1;
  m.zone().watermark_boost = 40;
  wake();
  // One call at priority 12, two at 11, four each time at 10.
  EXPECT_EQ(reclaim.run_kswapd(NodeId{0}, CpuId{0}).reclaimed, 1u + 2u + 10u * 4u);
  EXPECT_EQ(host.swap, 100u);
}

TEST_F(KswapdTest, ForABoostItWritesNothing) {
  m.free_block(2048, 10);
  // Pages that were dirty when they were met before: kswapd writes them once a scan has met nothing else.
  put(0, 2000, LruList::InactiveFile, {.is_dirty = true, .is_reclaim = true});
  host.cache.objects = 1 << 18;
  host.cache.pages_per_call = 1;
  m.zone().watermark_boost = 40;
  wake();
  EXPECT_GT(reclaim.run_kswapd(NodeId{0}, CpuId{0}).reclaimed, 40u);
  EXPECT_THAT(host.written, IsEmpty());
}

TEST_F(KswapdTest, ABoostIsForgottenWhileTheNodeIsShort) {
  m.pageset().high = 0;
  m.pageset().batch = 1;
  put(0, 2000, LruList::InactiveFile);
  m.zone().watermark_boost = 40;
  wake();
  const KswapdRun run = reclaim.run_kswapd(NodeId{0}, CpuId{0});
  EXPECT_TRUE(run.balanced);
  EXPECT_GE(run.reclaimed, 140u) << "above HIGH, boost included";
  EXPECT_EQ(m.zone().watermark_boost, 0);
}

TEST_F(KswapdTest, ItWaitsWhereWritingDoesNotKeepUp) {
  struct Ticks final : Waiter {
    unsigned ticks = 0;
    void wait_tick() override { ++ticks; }
  } waiter;
  m->set_hosts({.reclaimer = &reclaim, .compactor = nullptr, .oom = nullptr, .waiter = &waiter});
  put(0, 64, LruList::InactiveFile, {.is_locked = true});
  wake();
  static_cast<void>(reclaim.run_kswapd(NodeId{0}, CpuId{0}));
  EXPECT_EQ(waiter.ticks, 0u);
  for (auto& [pfn, page] : host.pages)
    page.facts = {.is_writeback = true, .is_reclaim = true};
  static_cast<void>(reclaim.run_kswapd(NodeId{0}, CpuId{0}));
  EXPECT_GT(waiter.ticks, 0u) << "pages that were to go when written are met again";
}

TEST_F(KswapdTest, GoingToSleepItTurnsToCompaction) {
  struct Asked final : Compactor {
    std::vector<unsigned> orders;
    unsigned resets = 0;
    CompactOutcome direct_compact(const AllocContext&, CompactPriority) override { return {}; }
    void compaction_succeeded(ZoneId, Order) override {}
    void wake_kcompactd(NodeId, Order order, ZoneIndex) override { orders.push_back(order.raw()); }
    void reset_skip_hints(NodeId) override { ++resets; }
  } compactor;
  m->set_hosts({.reclaimer = &reclaim, .compactor = &compactor, .oom = nullptr, .waiter = nullptr});
  m.pageset().high = 0;
  m.pageset().batch = 1;
  put(1, 1500, LruList::InactiveFile);
  wake(2);
  EXPECT_EQ(reclaim.run_kswapd(NodeId{0}, CpuId{0}).order, Order{0});
  EXPECT_THAT(compactor.orders, ElementsAre(2)) << "which it has left to compaction";
  EXPECT_EQ(compactor.resets, 1u);
  m.zone().watermark_boost = 1;
  wake();
  static_cast<void>(reclaim.run_kswapd(NodeId{0}, CpuId{0}));
  EXPECT_THAT(compactor.orders, ElementsAre(2, 9)) << "whole pageblocks for a boost";
}

TEST_F(KswapdTest, ARunInPiecesIsTheSameRun) {
  m.pageset().high = 0;
  m.pageset().batch = 1;
  put(0, 2000, LruList::InactiveFile);
  wake();
  KswapdRun run = reclaim.begin_kswapd(NodeId{0});
  unsigned pieces = 1;
  while (!reclaim.let_kswapd_work(NodeId{0}, CpuId{0}, run, 1)) {
    EXPECT_TRUE(kswapd().running) << "it is awake until it rests";
    ++pieces;
  }
  EXPECT_GT(pieces, 2u);
  reclaim.let_kswapd_rest(NodeId{0}, run);
  EXPECT_TRUE(run.balanced);
  EXPECT_FALSE(kswapd().running);
  EXPECT_EQ(m.view().events->pageoutrun, 1u);
  EXPECT_EQ(m.view().events->pgsteal_kswapd, run.reclaimed);
}

TEST_F(KswapdTest, ABlockThatItCouldNotGetDoesNotKeepItAwake) {
  m.pageset().high = 0;
  m.pageset().batch = 1;
  for (std::uint64_t pfn = 0; pfn < 1000; pfn += 2)
    m.free_block(pfn, 0);
  wake(3);
  const KswapdRun run = reclaim.run_kswapd(NodeId{0}, CpuId{0});
  EXPECT_FALSE(run.balanced);
  EXPECT_EQ(run.order, Order{3});
  EXPECT_FALSE(kswapd().running) << "single pages there are";
  EXPECT_EQ(kswapd().failures, 1);
}

TEST_F(KswapdTest, ABoostIsTakenOffAgain) {
  m.pageset().high = 0;
  m.pageset().batch = 1;
  m.free_block(2048, 10);
  put(0, 600, LruList::InactiveFile);
  host.cache.objects = 1 << 18;
  host.cache.pages_per_call = 8;
  m.zone().watermark_boost = 40;
  wake();
  const KswapdRun run = reclaim.run_kswapd(NodeId{0}, CpuId{0});
  EXPECT_EQ(m.zone().watermark_boost, 0);
  EXPECT_GE(run.reclaimed, 40u) << "pages are freed for it although the node is balanced";
  EXPECT_THAT(host.written, IsEmpty());
}

TEST_F(KswapdTest, AllThatARunFreedCountsForALargeBlock) {
  SmallMachine large{SmallConfig{.zones = {{ZoneType::Normal, 0, 8192, 0}}, .batch = 1, .high = 0}};
  Lru lists{large.view()};
  FakeEvictor pages;
  Reclaim each{large.view(), lists, pages};
  large.zone().watermark = {10, 20, 100, 0};
  // Every other page is somebody's for good. Compaction could begin from the start, so that no pass goes on for its
  // sake; none frees much more than the mark.
  for (std::uint64_t pfn = 0; pfn < 4000; pfn += 2) {
    large.adopt(pfn, 0);
    pages.pages[pfn] = {};
    lists.add(large.index(pfn), LruList::InactiveFile);
  }
  for (std::uint64_t pfn = 4096; pfn < 8192; pfn += 2)
    large.free_block(pfn, 0);
  KswapdState& state = large.view().nodes[0].kswapd;
  state.running = true;
  state.order = 9;
  state.highest = static_cast<std::uint8_t>(large.zone().index.raw());
  const KswapdRun run = each.run_kswapd(NodeId{0}, CpuId{0});
  EXPECT_EQ(run.order, Order{0});
  EXPECT_TRUE(run.balanced);
  EXPECT_GE(run.reclaimed, 1024u);
  EXPECT_LT(run.reclaimed, 1024u + 132u);
}

TEST_F(KswapdTest, ALargeBlockIsLeftToCompactionOnceItsPagesAreFree) {
  m.pageset().high = 0;
  m.pageset().batch = 1;
  put(1, 1500, LruList::InactiveFile);
  wake(2);
  const KswapdRun run = reclaim.run_kswapd(NodeId{0}, CpuId{0});
  EXPECT_EQ(run.order, Order{0});
  EXPECT_TRUE(run.balanced);
}

}  // namespace
}  // namespace mmbox
