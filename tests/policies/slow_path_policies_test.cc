// slow.*: what a request tries when the first attempt has failed, and whom it asks.
#include <fmt/ranges.h>

#include "mmbox/core/alloc/kswapd.h"
#include "tests/policies/each_generation.h"

namespace mmbox {
namespace {

using enum Migratetype;
using namespace test;

constexpr std::uint64_t kFailed = SmallMachine::kFailed;

/// A machine whose hosts answer, and what a request asks of them.
struct Asked {
  SmallMachine m;
  FakeHosts hosts{m};
  Task task;
  explicit Asked(const Generation& g) : m{config_of(g)} {}
  std::uint64_t ask(Gfp gfp, unsigned order) {
    return m.alloc({.gfp = gfp, .order = Order{order}, .cpu = {}, .node = {}, .nodemask = {}, .task = &task});
  }
};

TEST(SlowPolicies, ACostlyRequestThatDoesNotRetryEndsAfterItsFirstCompaction) {
  struct Case {
    CompactResult result;
    bool this_node;
    Each<bool> reclaims;
  };
  for (const Case& c : {Case{CompactResult::Skipped, false, {true, true, false, false, false, false, true}},
                        Case{CompactResult::Deferred, false, {true, false, false, false, false, false, true}},
                        Case{CompactResult::Complete, false, {true, true, true, true, true, true, true}},
                        Case{CompactResult::Complete, true, {true, true, true, false, false, false, false}}})
    expect_each<bool>(c.reclaims, [&](const Generation& g) {
      Asked asked{g};
      asked.hosts.compacts = [&] { return c.result; };
      EXPECT_EQ(asked.ask((c.this_node ? gfp::kKernel | gfp::kThisNode : gfp::kKernel) | gfp::kNoRetry, 4), kFailed);
      return asked.hosts.count("reclaim") != 0;
    });
}

TEST(SlowPolicies, CompactionThatDidNothingIsFollowedByAnAttemptOrNot) {
  struct Case {
    CompactResult result;
    Each<bool> tries;
  };
  for (const Case& c : {Case{CompactResult::Skipped, {false, false, true, false, false, false, false}},
                        Case{CompactResult::Deferred, {true, false, true, true, true, true, false}}})
    expect_each<bool>(c.tries, [&](const Generation& g) {
      Asked asked{g};
      // Somebody else has made a block meanwhile: whoever looks at once reports it as compaction's.
      asked.hosts.compacts = [&] {
        if (asked.m.list(2, Unmovable).empty())
          asked.m.free_block(0, 2, Unmovable);
        return c.result;
      };
      EXPECT_EQ(asked.ask(gfp::kKernel, 2), 0U);
      return asked.hosts.count("compacted") != 0;
    });
}

TEST(SlowPolicies, WithdrawnCompactionAskedWhatReclaimCouldDoIn412) {
  for (const CompactResult result : {CompactResult::Deferred, CompactResult::Contended, CompactResult::PartialSkipped})
    expect_each<bool>({true, false, true, true, true, true, true}, [&](const Generation& g) {
      SmallMachine m{config_of(g)};
      const AllocContext context = prepare(m.view(), {.gfp = gfp::kKernel, .order = Order{2}, .cpu = CpuId{0}});
      CompactPriority priority = CompactPriority::Async;
      unsigned retries = 0;
      return should_compact_retry(m.view(), context, alloc_flag::kWmarkMin, result, priority, retries);
    });
}

TEST(SlowPolicies, AVictimIgnoresTheMarksUntil413) {
  expect_each<bool>({true, true, false, false, false, false, false}, [](const Generation& g) {
    Asked asked{g};
    asked.m.free_block(0, 3, Unmovable);
    asked.m.zone().watermark = {1000, 1000, 1000, 0};
    asked.task.oom_victim = true;
    return asked.ask(gfp::kKernel | gfp::kNoRetry, 0) != kFailed;
  });
}

TEST(SlowPolicies, ReserveRightsDoNotWakeKswapdInOldKernels) {
  // Is kswapd among the flags of the attempt that ignores the marks?
  expect_each<bool>({false, false, false, true, true, true, true}, [](const Generation& g) {
    Asked asked{g};
    asked.m.free_block(0, 3, Unmovable);
    asked.m.zone().watermark = {1000, 1000, 1000, 0};
    EventText events;
    asked.m->attach(&events);
    asked.task.memalloc = true;
    EXPECT_EQ(asked.ask(gfp::kKernel, 0), 0U);
    const std::string last = events.of("attempt").back();
    const std::size_t at = last.find("flags=") + 6;
    return AllocFlags{static_cast<std::uint32_t>(std::stoul(last.substr(at), nullptr, 16))}.has(alloc_flag::kKswapd);
  });
}

TEST(SlowPolicies, PrivilegedAttemptsStayWithTheNodemaskInOldKernels) {
  expect_each<bool>({false, false, true, true, true, true, true}, [](const Generation& g) {
    SmallMachine m{two_nodes(g)};
    m.free_block(2048, 3, Unmovable);
    Request request{.gfp = gfp::kKernel | gfp::kMemalloc | gfp::kNoRetry, .cpu = CpuId{0}};
    request.nodemask = NodeMask{1};
    return m.alloc(request) != kFailed;
  });
}

TEST(SlowPolicies, AZoneWithNothingToReclaimCountsItsFreePagesTwice) {
  // 64 free pages and a mark of 100: twice is enough.
  expect_each<bool>({false, false, false, true, true, true, false}, [](const Generation& g) {
    Asked asked{g};
    asked.m.free_block(0, 6);
    asked.m.zone().watermark = {100, 1000, 1000, 0};
    const AllocContext context =
        prepare(asked.m.view(), {.gfp = gfp::kHighUserMovable, .order = Order{0}, .cpu = CpuId{0}});
    unsigned loops = 0;
    return should_reclaim_retry<NoSync>(asked.m.view(), context, alloc_flag::kWmarkMin, false, loops);
  });
}

TEST(SlowPolicies, WithoutIoCompactionIsNotAskedOrAnswersSkipped) {
  // "Skipped" is an answer: the costly request goes on while much could be reclaimed.
  expect_each<bool>({true, true, false, true, false, false, false}, [](const Generation& g) {
    Asked asked{g};
    asked.m.free_block(0, 0, Unmovable);
    unsigned calls = 0;
    asked.hosts.reclaims = [&] { return ++calls <= 20 ? 1U : 0U; };
    asked.hosts.reclaimable = [] { return 1000; };
    EXPECT_EQ(asked.ask(gfp::kNoIo | gfp::kRetryMayfail, 4), kFailed);
    return calls > 1;
  });
}

TEST(SlowPolicies, OldestKernelsWakeKswapdOfEveryZone) {
  expect_each<bool>({true, false, false, false, false, false, false}, [](const Generation& g) {
    SmallMachine m{two_nodes(g)};
    m.zone(0).watermark = m.zone(1).watermark = {10, 20, 30, 0};
    Request request{.gfp = gfp::kHighUserMovable.without(gfp::kDirectReclaim), .cpu = CpuId{0}};
    request.nodemask = NodeMask{1};
    EXPECT_EQ(m.alloc(request), kFailed);
    return m.view().nodes[1].kswapd.running;
  });
}

TEST(SlowPolicies, AWakeThatKswapdRefusesGoesToKcompactd) {
  expect_each<bool>({false, false, true, true, true, true, true}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(0, 10);
    m.zone().watermark = {0, 2000, 3000, 0};
    m.view().nodes[0].kswapd.failures = 16;
    FakeHosts hosts{m};
    EXPECT_EQ(m.alloc(gfp::kNowait, 2), 0U);
    return hosts.count("kcompactd") != 0;
  });
}

TEST(SlowPolicies, AHopelessNodeIsTriedAgainWhenAFreeLiftsAZoneAboveHigh) {
  expect_each<int>({16, 16, 16, 16, 16, 16, 0}, [](const Generation& g) {
    SmallMachine m{two_nodes(g)};
    m.free_block(0, 5);
    m.zone(0).watermark = {10, 20, 30, 0};
    m.zone(0).flags |= zone_flag::kBelowHigh;
    m.view().nodes[0].kswapd.failures = 16;
    m.adopt(512, 0, 8);
    for (std::uint64_t pfn = 512; pfn < 520; ++pfn)
      m.free(pfn, 0);
    return int{m.view().nodes[0].kswapd.failures};
  });
}

TEST(SlowPolicies, TheLastReserveIsGivenUpBeforeAnyFailure) {
  expect_each<Migratetype>(
      {HighAtomic, HighAtomic, HighAtomic, HighAtomic, Unmovable, Unmovable, Unmovable}, [](const Generation& g) {
        Asked asked{g};
        asked.m.set_type(0, HighAtomic);
        asked.m.free_block(0, 3, HighAtomic);
        asked.m.zone().nr_reserved_highatomic = 512;
        asked.m.zone().watermark = {1000, 1000, 1000, 0};
        unsigned loops = 0;
        const AllocContext context = prepare(asked.m.view(), {.gfp = gfp::kKernel, .order = Order{0}, .cpu = CpuId{0}});
        static_cast<void>(should_reclaim_retry<NoSync>(asked.m.view(), context, alloc_flag::kWmarkMin, false, loops));
        return asked.m.type(0);
      });
}

}  // namespace
}  // namespace mmbox
