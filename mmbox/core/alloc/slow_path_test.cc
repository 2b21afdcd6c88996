// What a request does when the first attempt fails, and in which order it asks its hosts.
#include "mmbox/core/alloc/slow_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_hosts.h"

namespace mmbox {
namespace {

using enum Migratetype;
using test::EventText;
using test::FakeHosts;
using test::SmallConfig;
using test::SmallMachine;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
constexpr std::uint64_t kFailed = SmallMachine::kFailed;

/// The flags of each attempt, as they are announced.
std::vector<std::string> attempts(const EventText& events) {
  std::vector<std::string> found;
  for (const std::string& line : events.of("attempt")) {
    const std::size_t at = line.find("flags=") + 6;
    found.push_back(line.substr(at, line.find(' ', at) - at));
  }
  return found;
}

struct SlowPath : testing::Test {
  SmallMachine m;
  FakeHosts hosts{m};
  EventText events;
  Task task;
  SlowPath() { m->attach(&events); }
  /// Memory that the LOW mark hides and the MIN mark shows: `pages` above MIN.
  void above_min(std::int64_t pages) {
    m.free_block(0, 10);
    m.zone().watermark = {1024 - pages, 3000, 4000, 0};
  }
  std::uint64_t ask(Gfp gfp, unsigned order = 0) {
    return m.alloc({.gfp = gfp, .order = Order{order}, .cpu = {}, .node = {}, .nodemask = {}, .task = &task});
  }
};

// ------------------------------------------------------------- attempts without reclaim (06 §2, §3)

TEST_F(SlowPath, TriesTheMinMarkAfterWakingKswapd) {
  above_min(1);
  EXPECT_EQ(ask(gfp::kKernel), 0u);
  EXPECT_THAT(attempts(events), ElementsAre("0x901", "0x840"));
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0"));
  const auto wake = std::ranges::find_if(events.lines, [](const auto& l) { return l.starts_with("wakeup"); });
  const auto second = std::ranges::find_if(events.lines, [](const auto& l) { return l.find("0x840") != l.npos; });
  EXPECT_LT(wake, second);
}

TEST_F(SlowPath, WhoCannotWaitTriesTwiceAndFails) {
  EXPECT_EQ(ask(gfp::kNowait), kFailed);
  // First attempt with LOW, then twice with MIN and NON_BLOCK.
  EXPECT_THAT(attempts(events), ElementsAre("0x901", "0x850", "0x850"));
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0"));
  EXPECT_EQ(events.count("alloc"), 1u);
}

TEST_F(SlowPath, WithoutTheRightNobodyIsWoken) {
  EXPECT_EQ(ask(Gfp{}), kFailed);
  EXPECT_THAT(hosts.calls, IsEmpty());
  EXPECT_THAT(attempts(events), ElementsAre("0x101", "0x50", "0x50"));
}

TEST_F(SlowPath, FlagsFollowFromTheMask) {
  struct Case {
    Gfp gfp;
    unsigned order;
    bool realtime;
    bool interrupt;
    const char* flags;
  };
  for (const Case c :
       {Case{gfp::kAtomicRequest, 0, false, false, "0x830"}, Case{gfp::kAtomicRequest, 1, false, false, "0xa30"},
        Case{gfp::kAtomicRequest | gfp::kNoMemalloc, 1, false, false, "0x820"},
        Case{gfp::kNowait | gfp::kNoMemalloc, 0, false, false, "0x840"},
        Case{gfp::kKernel | gfp::kHigh, 0, false, false, "0x860"}, Case{gfp::kKernel, 0, true, false, "0x860"},
        Case{gfp::kKernel, 0, true, true, "0x840"}, Case{gfp::kNowait, 0, true, false, "0x850"},
        Case{gfp::kNowait, 1, true, false, "0x850"}}) {
    events.clear();
    task = Task{.in_interrupt = c.interrupt, .realtime = c.realtime};
    EXPECT_EQ(ask(c.gfp | gfp::kNoRetry, c.order), kFailed);
    ASSERT_GE(attempts(events).size(), 2u);
    EXPECT_EQ(attempts(events)[1], c.flags) << c.gfp.raw();
  }
}

TEST_F(SlowPath, FlagsOfTheFirstReleaseFollowFromAtomic) {
  m.machine().change_rules([](Rules& rules) { rules.generation = kLinux610; });
  struct Case {
    Gfp gfp;
    bool realtime;
    const char* flags;
  };
  for (const Case c : {Case{gfp::kAtomicRequest, false, "0x830"},
                       Case{gfp::kAtomicRequest | gfp::kNoMemalloc, false, "0x820"}, Case{gfp::kNowait, false, "0x840"},
                       Case{gfp::kHigh | gfp::kKswapdReclaim, false, "0x860"}, Case{gfp::kKernel, true, "0x850"}}) {
    events.clear();
    task = Task{.realtime = c.realtime};
    EXPECT_EQ(ask(c.gfp | gfp::kNoRetry, 1), kFailed);
    ASSERT_GE(attempts(events).size(), 2u);
    EXPECT_EQ(attempts(events)[1], c.flags) << c.gfp.raw();
  }
}

TEST_F(SlowPath, CmaIsAddedForMovableRequests) {
  SmallMachine cma{SmallConfig{.has_cma = true}};
  cma->attach(&events);
  EXPECT_EQ(cma.alloc(gfp::kHighUserMovable | gfp::kNoRetry, 0), kFailed);
  EXPECT_THAT(attempts(events), ElementsAre("0x981", "0x8c0", "0x8c0"));
}

TEST_F(SlowPath, RightsReachBelowTheMinMark) {
  // MIN 1000 of 1024 free pages; each right lowers it, and the request stands at one page too few or just enough.
  struct Case {
    Gfp gfp;
    bool realtime;
    std::int64_t lowered;  // of 1000
  };
  for (const Case c : {Case{gfp::kKernel | gfp::kNoRetry, false, 1000}, Case{gfp::kAtomicRequest, false, 375},
                       Case{gfp::kNowait, false, 1000}, Case{gfp::kKernel | gfp::kHigh | gfp::kNoRetry, false, 500},
                       Case{gfp::kKernel | gfp::kNoRetry, true, 500}}) {
    for (const std::int64_t extra : {0, 1}) {
      SmallMachine own;
      own.free_block(0, 10);
      own.zone().stat[0] = c.lowered + extra;
      own.zone().watermark = {1000, 3000, 4000, 0};
      const Task who{.realtime = c.realtime};
      EXPECT_EQ(own.alloc({.gfp = c.gfp, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}, .task = &who}),
                extra == 1 ? 0u : kFailed)
          << c.gfp.raw() << " " << extra;
    }
  }
}

TEST_F(SlowPath, ABoostedMarkDoesNotStopAtomicSinglePages) {
  for (const bool atomic : {true, false}) {
    SmallMachine own;
    own.free_block(0, 10);
    own.zone().watermark = {1000, 1100, 4000, 0};
    own.zone().watermark_boost = 3000;
    EXPECT_EQ(own.alloc(atomic ? gfp::kAtomicRequest | gfp::kNoMemalloc : gfp::kNowait, 0), atomic ? 0u : kFailed);
    EXPECT_EQ(own.alloc(gfp::kAtomicRequest | gfp::kNoMemalloc, 1), kFailed) << "only for single pages";
  }
}

TEST_F(SlowPath, ThoseWhoFreeMemoryIgnoreMarks) {
  m.free_block(0, 10);
  m.zone().watermark = {3000, 3500, 4000, 0};
  struct Case {
    Gfp gfp;
    Task who;
    bool served;
  };
  for (const Case& c : {Case{gfp::kKernel, {.memalloc = true}, true}, Case{gfp::kKernel | gfp::kMemalloc, {}, true},
                        Case{gfp::kKernel | gfp::kMemalloc | gfp::kNoMemalloc | gfp::kNoRetry, {}, false},
                        Case{gfp::kNowait, {.in_interrupt = true, .memalloc = true}, false},
                        Case{gfp::kNowait, {.in_interrupt = true, .serving_softirq = true, .memalloc = true}, true},
                        Case{gfp::kNowait, {.in_interrupt = true, .serving_softirq = true}, false},
                        Case{gfp::kKernel | gfp::kNoRetry, {}, false}}) {
    task = c.who;
    EXPECT_EQ(ask(c.gfp) != kFailed, c.served) << c.gfp.raw();
  }
}

TEST_F(SlowPath, ATaskThatFreesMemoryDoesNotReclaimForItself) {
  task.memalloc = true;
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_EQ(hosts.count("reclaim"), 0u);
  EXPECT_THAT(attempts(events), ElementsAre("0x901", "0x840", "0x804"));
}

TEST_F(SlowPath, AnOomVictimGetsHalfTheMark) {
  m.free_block(0, 10);
  task.oom_victim = true;
  m.zone().watermark = {2046, 3000, 4000, 0};
  EXPECT_EQ(ask(gfp::kKernel), 0u);
  EXPECT_EQ(attempts(events).back(), "0x808");
}

TEST_F(SlowPath, ReserveRightsDropTheNodemask) {
  SmallMachine two{
      SmallConfig{.zones = {{.start = 0, .pages = 1024, .node = 0}, {.start = 1024, .pages = 1024, .node = 1}},
                  .cpu_nodes = {0, 1}}};
  two.free_block(1024, 10);
  const Request request{
      .gfp = gfp::kAtomicRequest, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = NodeMask::of(NodeId{0})};
  EXPECT_EQ(two.alloc(request), 1024u);
  Request ordinary = request;
  ordinary.gfp = gfp::kNowait;
  EXPECT_EQ(two.alloc(ordinary), kFailed);
}

// ------------------------------------------------------------- reclaim, compaction, the last resort (06 §3, §5 to §8)

TEST_F(SlowPath, WithoutProgressThereIsNoAttemptAfterReclaim) {
  EXPECT_EQ(ask(gfp::kKernel | gfp::kNoRetry), kFailed);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0", "reclaim"));
  EXPECT_EQ(attempts(events).size(), 3u);
}

TEST_F(SlowPath, ReclaimWithProgressIsFollowedByAnAttempt) {
  hosts.reclaims = [&] {
    m.free_block(64, 3);
    return 8;
  };
  EXPECT_EQ(ask(gfp::kKernel, 3), 64u);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0", "compact 2", "reclaim"));
}

TEST_F(SlowPath, AfterProgressWithoutAPageTheReserveAndThePerCpuListsAreOpened) {
  m.set_type(0, HighAtomic, 2);
  m.free_block(64, 4, HighAtomic);
  m.free_block(576, 4, HighAtomic);
  m.zone().nr_reserved_highatomic = 1024;
  m.zone().stat[0] = 2000;  // more than the reserve hides
  hosts.reclaims = [] { return 1; };
  EXPECT_EQ(ask(gfp::kKernel | gfp::kNoRetry), 64u);
  EXPECT_EQ(m.zone().nr_reserved_highatomic, 512);
  EXPECT_EQ(m.type(0), Unmovable);
  EXPECT_EQ(m.type(512), HighAtomic);
  EXPECT_THAT(events.of("highatomic"), ElementsAre("highatomic 64 reserved=0 pages=512"));
}

TEST_F(SlowPath, TheLastReservedPageblockIsKept) {
  m.set_type(0, HighAtomic);
  m.free_block(64, 4, HighAtomic);
  m.zone().nr_reserved_highatomic = 512;
  hosts.reclaims = [] { return 1; };
  EXPECT_EQ(ask(gfp::kKernel | gfp::kNoRetry), kFailed);
  EXPECT_EQ(m.zone().nr_reserved_highatomic, 512);
}

TEST_F(SlowPath, PerCpuPagesOfOthersAreDrainedAfterProgress) {
  SmallMachine two{SmallConfig{.cpu_nodes = {0, 0}}};
  FakeHosts own{two};
  two.adopt(16, 0, 2);
  two.free(16, 0, 1);
  two.free(17, 0, 1);
  EXPECT_EQ(two.alloc(gfp::kKernel | gfp::kNoRetry, 1), kFailed);
  own.reclaims = [] { return 1; };
  EXPECT_EQ(two.alloc(gfp::kKernel | gfp::kNoRetry, 1), 16u);
}

TEST_F(SlowPath, SmallOrdersThatDoNotMoveCompactEarly) {
  struct Case {
    Gfp gfp;
    unsigned order;
    std::vector<std::string> calls;
  };
  const Gfp movable = gfp::kHighUserMovable;
  const std::vector<Case> cases{
      {gfp::kKernel, 0, {"wake 0", "reclaim"}},
      {gfp::kKernel, 1, {"wake 0", "compact 2", "reclaim", "compact 1"}},
      {movable, 3, {"wake 0", "reclaim", "compact 1"}},
      // Costly ones end early when compaction was skipped or put off.
      {movable, 4, {"wake 0", "compact 2"}},
      {gfp::kNoIo, 2, {"wake 0", "reclaim"}},
  };
  for (const Case& c : cases) {
    m.view().nodes[0].kswapd.running = false;
    hosts.calls.clear();
    EXPECT_EQ(ask(c.gfp | gfp::kNoRetry, c.order), kFailed);
    EXPECT_EQ(hosts.calls, c.calls) << c.gfp.raw() << " " << c.order;
  }
}

TEST_F(SlowPath, ACostlyRequestThatDoesNotRetryEndsByTheFirstResult) {
  struct Case {
    CompactResult result;
    bool this_node;
    std::vector<std::string> calls;
  };
  const std::vector<std::string> early{"wake 0", "compact 2"};
  const std::vector<std::string> late{"wake 0", "compact 2", "reclaim", "compact 2"};
  for (const Case& c : {Case{CompactResult::Skipped, false, early}, Case{CompactResult::Deferred, false, early},
                        Case{CompactResult::Complete, false, late}, Case{CompactResult::Complete, true, early},
                        Case{CompactResult::Contended, false, late}}) {
    m.view().nodes[0].kswapd.running = false;
    hosts.calls.clear();
    hosts.compacts = [&] { return c.result; };
    EXPECT_EQ(ask((c.this_node ? gfp::kKernel | gfp::kThisNode : gfp::kKernel) | gfp::kNoRetry, 4), kFailed);
    EXPECT_EQ(hosts.calls, c.calls);
  }
}

TEST_F(SlowPath, ACostlyRequestMakesOnePass) {
  hosts.compacts = [] { return CompactResult::Complete; };
  hosts.reclaims = [] { return 1; };
  EXPECT_EQ(ask(gfp::kKernel, 4), kFailed);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0", "compact 2", "reclaim", "compact 1"));
}

TEST_F(SlowPath, ACostlyRequestWithoutIoDoesNotRetry) {
  hosts.reclaims = [] { return 1; };
  hosts.reclaimable = [] { return 1000; };
  EXPECT_EQ(ask(gfp::kNoIo | gfp::kRetryMayfail, 4), kFailed);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0", "reclaim")) << "it cannot compact";
}

TEST_F(SlowPath, CompactionThatMadeABlockIsToldSo) {
  hosts.compacts = [&] {
    m.free_block(64, 2);
    return CompactResult::Success;
  };
  EXPECT_EQ(ask(gfp::kKernel, 2), 64u);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0", "compact 2", "compacted zone=2 order=2"));
}

TEST_F(SlowPath, SkippedCompactionIsNotFollowedByAnAttempt) {
  hosts.compacts = [&] { return CompactResult::Skipped; };
  EXPECT_EQ(ask(gfp::kKernel | gfp::kNoRetry, 2), kFailed);
  EXPECT_EQ(attempts(events).size(), 3u);
  events.clear();
  hosts.compacts = [&] { return CompactResult::Complete; };
  EXPECT_EQ(ask(gfp::kKernel | gfp::kNoRetry, 2), kFailed);
  EXPECT_EQ(attempts(events).size(), 5u);
}

TEST_F(SlowPath, PrioritiesRiseUntilTheHardest) {
  hosts.compacts = [] { return CompactResult::Complete; };
  hosts.reclaims = [] { return 1; };
  EXPECT_EQ(ask(gfp::kKernel, 2), kFailed);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0", "compact 2", "reclaim", "compact 1", "wait", "reclaim", "compact 0",
                                       "wait", "oom"));
}

TEST_F(SlowPath, CostlyRetriesStopAtTheDefaultPriority) {
  hosts.compacts = [] { return CompactResult::Complete; };
  hosts.reclaims = [] { return 1; };
  EXPECT_EQ(ask(gfp::kKernel | gfp::kRetryMayfail, 4), kFailed);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0", "compact 2", "reclaim", "compact 1", "wait"));
}

TEST_F(SlowPath, SuccessfulCompactionIsRetriedSixteenTimesForEachPriority) {
  hosts.compacts = [] { return CompactResult::Success; };
  hosts.reclaims = [] { return 1; };
  EXPECT_EQ(ask(gfp::kKernel, 2), kFailed);
  EXPECT_EQ(hosts.count("compact 1"), 17u);
  EXPECT_EQ(hosts.count("compact 0"), 17u);
  hosts.calls.clear();
  EXPECT_EQ(ask(gfp::kKernel | gfp::kRetryMayfail, 4), kFailed);
  EXPECT_EQ(hosts.count("compact 1"), 5u) << "costly: a quarter of that";
}

TEST_F(SlowPath, SkippedCompactionIsRetriedWhileReclaimCouldMakeItSuitable) {
  // Suitable for order 3 if more than MIN + 16 pages would be free: 16 are, in blocks too small to be a reason to go on
  // reclaiming, and a third of what reclaim can reach.
  hosts.reclaims = [] { return 1; };
  for (const std::uint64_t pfn : {0U, 8U, 16U, 24U})
    m.free_block(pfn, 2);
  m.zone().watermark = {500, 600, 700, 0};
  int left = 3;
  hosts.waits = [&] { --left; };
  hosts.reclaimable = [&] { return left >= 0 ? 3 * 501 : 3 * 500 + 2; };
  EXPECT_EQ(ask(gfp::kKernel, 3), kFailed);
  EXPECT_EQ(hosts.count("compact 1"), 4u);
}

TEST_F(SlowPath, ACapturedBlockIsTakenWithoutALookAtTheLists) {
  m.zone().watermark = {500, 600, 700, 0};
  hosts.compacts = [] { return CompactResult::Success; };
  hosts.captures = Pfn{64};
  events.clear();
  EXPECT_EQ(ask(gfp::kKernel | gfp::kComp, 4), 64u);
  // LOW, MIN, and no further attempt after the early compaction.
  EXPECT_THAT(attempts(events), ElementsAre("0x901", "0x840"));
  EXPECT_TRUE(m->frame_state(Pfn{64}).is_allocated_as(4));
  EXPECT_TRUE(m->frame_state(Pfn{64}).is_compound());
  EXPECT_EQ(hosts.count("compacted zone=2 order=4"), 1u);
}

TEST_F(SlowPath, StallsAreCountedUnlessCompactionWasSkipped) {
  hosts.compacts = [] { return CompactResult::Skipped; };
  EXPECT_EQ(ask(gfp::kKernel, 4), kFailed);
  EXPECT_EQ(m.view().events->compact_stall, 0u);
  hosts.compacts = [] { return CompactResult::Deferred; };
  EXPECT_EQ(ask(gfp::kKernel, 4), kFailed);
  EXPECT_EQ(m.view().events->compact_stall, 2u);
  EXPECT_EQ(m.view().events->compact_fail, 2u);
  m.free_block(0, 10);
  m.zone().watermark = {100, 3000, 4000, 0};
  hosts.captures = Pfn{2048};
  m.zone().watermark[0] = 5000;
  EXPECT_EQ(ask(gfp::kKernel, 4), 2048u);
  EXPECT_EQ(m.view().events->compact_success, 1u);
}

TEST_F(SlowPath, WithoutProgressCompactionIsNoReasonToRetry) {
  hosts.compacts = [] { return CompactResult::Success; };
  EXPECT_EQ(ask(gfp::kKernel, 2), kFailed);
  EXPECT_EQ(hosts.count("compact"), 2u);
}

TEST_F(SlowPath, ReclaimIsRetriedWhileEnoughCouldBeFreed) {
  m.zone().watermark = {100, 200, 300, 0};
  hosts.reclaimable = [] { return 101; };
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_EQ(hosts.count("reclaim"), 17u) << "sixteen rounds without progress are tolerated";
  EXPECT_EQ(hosts.count("oom"), 1u);
  EXPECT_EQ(hosts.count("wait"), 16u) << "the seventeenth is not looked at";
}

TEST_F(SlowPath, ReclaimIsNotRetriedWhenTheRestWouldNotDo) {
  m.zone().watermark = {100, 200, 300, 0};
  hosts.reclaimable = [] { return 100; };
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_EQ(hosts.count("reclaim"), 1u);
}

TEST_F(SlowPath, ProgressStartsTheCountAnew) {
  m.zone().watermark = {100, 200, 300, 0};
  hosts.reclaimable = [] { return 101; };
  int rounds = 0;
  hosts.reclaims = [&] { return ++rounds == 10 ? 1 : 0; };
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_EQ(rounds, 10 + 17);
}

TEST_F(SlowPath, CostlyRoundsCountThoughTheyMadeProgress) {
  m.free_block(64, 4);
  m.zone().watermark = {100, 200, 300, 0};
  hosts.reclaimable = [] { return 101; };
  int rounds = 0;
  hosts.reclaims = [&] { return ++rounds < 100 ? 1 : 0; };
  EXPECT_EQ(ask(gfp::kKernel | gfp::kRetryMayfail, 4), kFailed);
  EXPECT_EQ(rounds, 17);
}

TEST_F(SlowPath, BeforeGivingUpTheReserveIsOpenedByForce) {
  m.set_type(0, HighAtomic);
  m.free_block(64, 4, HighAtomic);
  m.zone().nr_reserved_highatomic = 512;
  EXPECT_EQ(ask(gfp::kKernel), 64u);
  EXPECT_EQ(m.zone().nr_reserved_highatomic, 0);
  EXPECT_EQ(hosts.count("reclaim"), 1u);
  EXPECT_EQ(hosts.count("oom"), 0u);
}

TEST_F(SlowPath, TheFirstReleaseForcesItOnlyAfterManyRounds) {
  m.machine().change_rules([](Rules& rules) { rules.generation = kLinux610; });
  m.set_type(0, HighAtomic);
  m.free_block(64, 4, HighAtomic);
  m.zone().nr_reserved_highatomic = 512;
  m.zone().watermark = {100, 200, 300, 0};
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_EQ(m.zone().nr_reserved_highatomic, 512);
  EXPECT_EQ(hosts.count("oom"), 1u);
}

TEST_F(SlowPath, AnUnreservedPageblockTakesTheRequestsType) {
  m.set_type(0, HighAtomic);
  m.free_block(64, 4, HighAtomic);
  m.zone().nr_reserved_highatomic = 512;
  EXPECT_EQ(ask(gfp::kHighUserMovable), 64u);
  EXPECT_EQ(m.type(0), Movable);
}

TEST_F(SlowPath, TheOomStepTriesTheHighMarkFirst) {
  hosts.reclaimable = [] { return 0; };
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_EQ(attempts(events).back(), "0x42") << "HIGH mark, cpuset enforced, nothing else";
  EXPECT_EQ(hosts.count("oom"), 1u);
}

TEST_F(SlowPath, SomeRequestsDoNotKill) {
  struct Case {
    Gfp gfp;
    unsigned order;
    bool asks;
  };
  for (const Case c :
       {Case{gfp::kKernel, 0, true}, Case{gfp::kKernel | gfp::kRetryMayfail, 0, false},
        Case{gfp::kKernel | gfp::kThisNode, 0, false}, Case{gfp::kKernel | gfp::kNoRetry, 0, false},
        Case{gfp::kKernel, 3, true}, Case{gfp::kKernel | gfp::kRetryMayfail, 4, false}, Case{gfp::kNowait, 0, false}}) {
    hosts.calls.clear();
    EXPECT_EQ(ask(c.gfp, c.order), kFailed);
    EXPECT_EQ(hosts.count("oom"), c.asks ? 1u : 0u) << c.gfp.raw() << " " << c.order;
  }
  SmallMachine low{SmallConfig{.zones = {{.type = ZoneType::Dma32, .start = 0, .pages = 1024},
                                         {.type = ZoneType::Normal, .start = 1024, .pages = 1024}}}};
  FakeHosts own{low};
  EXPECT_EQ(low.alloc(gfp::kKernel | gfp::kDma32, 0), kFailed);
  EXPECT_EQ(own.count("oom"), 0u) << "killing does not make low memory";
}

TEST_F(SlowPath, AKillLetsTheRequestTryAgain) {
  hosts.kills = [&] {
    m.free_block(8, 0);
    return true;
  };
  EXPECT_EQ(ask(gfp::kKernel), 8u);
  EXPECT_EQ(hosts.count("oom"), 1u);
}

TEST_F(SlowPath, AVictimDoesNotKillForever) {
  task.oom_victim = true;
  hosts.kills = [] { return true; };
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_LE(hosts.count("oom"), 1u);
}

TEST_F(SlowPath, NoFailDoesNotFail) {
  int rounds = 0;
  hosts.waits = [&] {
    if (++rounds == 5)
      m.free_block(8, 0);
  };
  EXPECT_EQ(ask(gfp::kKernel | gfp::kNoFail), 8u);
  EXPECT_GE(rounds, 5);
}

TEST_F(SlowPath, NoFailWithoutReclaimFailsAllTheSame) {
  EXPECT_EQ(ask(gfp::kNowait | gfp::kNoFail), kFailed);
}

TEST_F(SlowPath, AtomicTogetherWithReclaimIsAnOrdinaryRequest) {
  m.free_block(0, 10);
  m.zone().watermark = {1000, 1100, 4000, 0};
  m.zone().watermark_boost = 3000;
  EXPECT_EQ(ask(gfp::kKernel | gfp::kAtomic | gfp::kNoRetry), kFailed) << "the boost is not ignored for it";
}

TEST_F(SlowPath, WithoutHostsARequestEnds) {
  m->set_hosts({});
  EXPECT_EQ(ask(gfp::kKernel), kFailed);
  EXPECT_EQ(ask(gfp::kKernel, 3), kFailed);
  EXPECT_EQ(ask(gfp::kKernel, 4), kFailed);
}

}  // namespace
}  // namespace mmbox
