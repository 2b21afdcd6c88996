// One request's first attempt: its context, the zone loop, and what rmqueue does around the lists.
#include "mmbox/core/alloc/fast_path.h"

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
using testing::HasSubstr;
using testing::IsEmpty;
using Pfns = SmallMachine::Pfns;
using V = ZoneVerdict;
constexpr std::uint64_t kFailed = SmallMachine::kFailed;
constexpr Gfp kMovable = gfp::kHighUserMovable;

// ------------------------------------------------------------- gfp to zone and type (01 §10)

TEST(Context, TheZoneBitsNameTheHighestZone) {
  const std::span<const ZoneType> types = test::kAmd64Zones;
  struct Case {
    std::uint32_t gfp;
    std::size_t zone;
  };
  for (const Case c : {Case{0x0, 2}, Case{0x1, 0}, Case{0x2, 2}, Case{0x4, 1}, Case{0x8, 2}, Case{0x9, 0}, Case{0xa, 3},
                       Case{0xc, 1}, Case{0x100cca, 3}, Case{0xcc0, 2}, Case{0xcd0, 2}, Case{0xcc4, 1}})
    EXPECT_EQ(gfp_zone(Gfp{c.gfp}, types), ZoneIndex{c.zone}) << std::hex << c.gfp;
  for (std::uint32_t nibble = 0; nibble < 16; ++nibble) {
    const bool illegal = nibble == 3 || nibble == 5 || nibble == 6 || nibble == 7 || nibble == 0xb || nibble >= 0xd;
    EXPECT_EQ(gfp_zone_is_valid(Gfp{nibble}), !illegal) << std::hex << nibble;
  }
}

TEST(Context, ZonesThatAreCompiledOutFallToNormal) {
  const std::array few{ZoneType::Normal, ZoneType::Movable};
  EXPECT_EQ(gfp_zone(Gfp{0x1}, few), ZoneIndex{0});
  EXPECT_EQ(gfp_zone(Gfp{0x4}, few), ZoneIndex{0});
  EXPECT_EQ(gfp_zone(Gfp{0xa}, few), ZoneIndex{1});
  const std::array high{ZoneType::Dma, ZoneType::Normal, ZoneType::HighMem, ZoneType::Movable};
  EXPECT_EQ(gfp_zone(Gfp{0x2}, high), ZoneIndex{2});
  EXPECT_EQ(gfp_zone(Gfp{0x8}, high), ZoneIndex{1});
  EXPECT_EQ(gfp_zone(Gfp{0xa}, high), ZoneIndex{3});
}

TEST(Context, TheMobilityBitsNameTheType) {
  EXPECT_EQ(gfp_migratetype(Gfp{0x100cca}), Movable);
  EXPECT_EQ(gfp_migratetype(Gfp{0xcc0}), Unmovable);
  EXPECT_EQ(gfp_migratetype(Gfp{0xcd0}), Reclaimable);
}

TEST(Context, ScopesOfTheTaskTakeBitsAway) {
  Task task;
  const Gfp all{0xcc8};
  EXPECT_EQ(scoped_gfp(kLinux61.requests, all, task), all);
  task.scope_nofs = true;
  EXPECT_EQ(scoped_gfp(kLinux61.requests, all, task), Gfp{0xc48});
  task.scope_noio = true;
  EXPECT_EQ(scoped_gfp(kLinux61.requests, all, task), Gfp{0xc08});
  task = Task{.scope_pin = true};
  EXPECT_EQ(scoped_gfp(kLinux61.requests, all, task), Gfp{0xcc0});
}

TEST(Context, OnASmallMachineEveryRequestIsUnmovable) {
  SmallMachine m;
  m.machine().change_rules([](Rules& rules) { rules.mobility_disabled = true; });
  m.set_type(0, Unmovable);
  m.free_block(0, 4, Unmovable);
  EventText events;
  m->attach(&events);
  EXPECT_EQ(m.alloc(kMovable, 4), 0u);
  EXPECT_EQ(events.lines.back(), "alloc 0 order=4 gfp=0x100cca Unmovable");
}

TEST(Request, OrdersAboveTheLargestAreRefusedWithoutALook) {
  SmallMachine m;
  m.free_block(0, 10);
  EventText events;
  m->attach(&events);
  const AllocResult result = m->alloc({.gfp = kMovable, .order = Order{11}, .cpu = {}, .node = {}, .nodemask = {}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), AllocFailure::OrderTooLarge);
  EXPECT_EQ(events.count("attempt"), 0u);
  EXPECT_EQ(m.alloc(kMovable, 10), 0u);
}

TEST(Request, WithoutAnEligibleZoneTheReasonIsNoZone) {
  SmallMachine m{SmallConfig{.zones = {{.start = 4096, .pages = 1024}}}};
  m.free_block(4096, 10);
  const AllocResult result = m->alloc({.gfp = Gfp{0xcc4}, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), AllocFailure::NoZone);
  const AllocResult other =
      m->alloc({.gfp = gfp::kKernel, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = NodeMask::of(NodeId{5})});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error(), AllocFailure::NoZone);
}

TEST(Request, AFailureIsAnnouncedToo) {
  SmallMachine m;
  EventText events;
  m->attach(&events);
  const AllocResult result = m->alloc({.gfp = gfp::kNowait, .order = Order{2}, .cpu = {}, .node = {}, .nodemask = {}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), AllocFailure::NoMemory);
  EXPECT_EQ(events.lines.back(), "alloc none order=2 gfp=0x800 Unmovable");
}

// ------------------------------------------------------------- the zone loop (03 §3)

/// Three zones of one node, each with an order-10 block.
SmallConfig three_zones() {
  return {.zones = {{.type = ZoneType::Dma, .start = 0, .pages = 1024},
                    {.type = ZoneType::Dma32, .start = 1024, .pages = 1024},
                    {.type = ZoneType::Normal, .start = 2048, .pages = 1024}}};
}

/// Two nodes of one Normal zone each, one CPU on each.
SmallConfig two_nodes() {
  return {.zones = {{.start = 0, .pages = 1024, .node = 0}, {.start = 1024, .pages = 1024, .node = 1}},
          .cpu_nodes = {0, 1}};
}

TEST(ZoneLoop, GoesFromTheHighestAllowedZoneDown) {
  SmallMachine m{three_zones()};
  for (const std::uint64_t pfn : {0u, 1024u, 2048u})
    m.free_block(pfn, 10);
  EXPECT_EQ(m.alloc(gfp::kDma32 | gfp::kKernel, 10), 1024u);
  EXPECT_EQ(m.alloc(gfp::kKernel, 10), 2048u);
  EXPECT_EQ(m.alloc(gfp::kKernel, 10), 0u);
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kNoRetry, 10), kFailed);
}

TEST(ZoneLoop, EachZoneKeepsItsReserveFromHigherRequests) {
  SmallMachine m{three_zones()};
  m.free_block(0, 10);
  m.zone(0).lowmem_reserve[2] = 1024;
  EXPECT_EQ(m.alloc(gfp::kNowait, 0), kFailed) << "1024 free pages are not more than the reserve";
  m.zone(0).lowmem_reserve[2] = 1023;
  EXPECT_EQ(m.alloc(gfp::kNowait, 0), 0u);
  EXPECT_EQ(m.alloc(gfp::kDma | gfp::kNowait, 0), 1u);
}

TEST(ZoneLoop, AtTheLowMarkAPageIsRefusedAndAbovePassed) {
  for (const std::int64_t low : {1022, 1023, 1024}) {
    SmallMachine m{three_zones()};
    m.free_block(2048, 10);
    m.zone(2).watermark = {0, low, 2000, 0};
    EventText events;
    m->attach(&events);
    EXPECT_EQ(m.alloc(gfp::kNowait, 0), 2048u);
    EXPECT_EQ(events.verdicts.front(), low == 1024 ? V::BelowWatermark : V::Passed) << low;
    EXPECT_EQ(events.count("attempt"), low == 1024 ? 2u : 1u) << "the slow path is content with the MIN mark";
  }
}

TEST(ZoneLoop, TheBoostRaisesTheMark) {
  SmallMachine m{three_zones()};
  m.free_block(2048, 10);
  m.free_block(1024, 10);
  m.zone(2).watermark = {0, 512, 2000, 0};
  m.zone(2).watermark_boost = 512;
  EXPECT_EQ(m.alloc(gfp::kKernel, 0), 1024u);
  m.zone(2).watermark_boost = 511;
  EXPECT_EQ(m.alloc(gfp::kKernel, 0), 2048u);
}

TEST(ZoneLoop, TheVerdictNamesItsNumbers) {
  SmallMachine m{three_zones()};
  m.free_block(2048, 10);
  m.zone(2).watermark = {0, 100, 0, 0};
  m.zone(2).watermark_boost = 7;
  m.zone(2).nr_reserved_highatomic = 512;
  m.zone(2).lowmem_reserve[2] = 5;
  EventText events;
  m->attach(&events);
  EXPECT_EQ(m.alloc(gfp::kKernel, 2), 2048u);
  EXPECT_THAT(events.of("checked"),
              ElementsAre(fmt::format("checked zone=2 verdict={} flags=0x901 free=1024 unusable=515 mark=107 reserve=5",
                                      static_cast<unsigned>(V::Passed))));
}

TEST(ZoneLoop, NoFragmentHoldsForNormalWithDma32OrOnOneNode) {
  struct Case {
    SmallConfig config;
    Gfp gfp;
    bool no_fragment;
  };
  const SmallConfig no_dma32{.types = {ZoneType::Dma, ZoneType::Normal, ZoneType::Movable}};
  SmallConfig numa = two_nodes();
  SmallConfig numa_dma32 = two_nodes();
  numa_dma32.zones[0].start = 2048;
  numa_dma32.zones.push_back({.type = ZoneType::Dma32, .start = 0, .pages = 512, .node = 0});
  for (const Case& c : {Case{three_zones(), gfp::kKernel, true}, Case{three_zones(), gfp::kKernel | gfp::kDma32, false},
                        Case{SmallConfig{}, gfp::kKernel, true}, Case{no_dma32, gfp::kKernel, false},
                        Case{numa, gfp::kKernel, false}, Case{numa_dma32, gfp::kKernel, true}}) {
    SmallMachine m{c.config};
    EventText events;
    m->attach(&events);
    static_cast<void>(m.alloc(c.gfp, 0));
    ASSERT_GE(events.count("attempt"), 1u);
    EXPECT_EQ(events.of("attempt")[0].find("flags=0x9") != std::string::npos, c.no_fragment) << events.of("attempt")[0];
  }
}

TEST(ZoneLoop, LowerZonesAreTriedBeforeFragmentingTheFirst) {
  SmallMachine m{three_zones()};
  m.free_block(2048, 4);  // Movable
  m.set_type(1024, Unmovable, 2);
  m.free_block(1024, 4, Unmovable);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 1024u);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 2048u) << "with nothing else left the flag is dropped";
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kNoRetry, 4), kFailed);
}

TEST(ZoneLoop, ARemoteZoneIsNoReasonToAvoidFragmentation) {
  SmallConfig config = two_nodes();
  config.zones[0].start = 2048;
  config.zones.push_back({.type = ZoneType::Dma32, .start = 0, .pages = 512, .node = 0});
  SmallMachine m{config};
  m.free_block(2048, 4);
  m.set_type(1024, Unmovable, 2);
  m.free_block(1024, 4, Unmovable);
  EventText events;
  m->attach(&events);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 2048u);
  EXPECT_THAT(events.verdicts, Contains(V::RestartLocality));
}

TEST(ZoneLoop, AnotherZoneOfTheSameNodeIsTriedBeforeFragmentingTheFirst) {
  SmallConfig config = two_nodes();
  config.zones[0].start = 2048;
  config.zones.push_back({.type = ZoneType::Dma32, .start = 0, .pages = 512, .node = 0});
  SmallMachine m{config};
  m.free_block(2048, 4);  // Movable
  m.set_type(0, Unmovable);
  m.free_block(0, 4, Unmovable);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 0u);
}

TEST(DriftMark, BelowItTheDeltasAreCounted) {
  SmallMachine m;
  m.zone().percpu_drift_mark = 100;
  const auto is_above = [&](std::int64_t mark) {
    return zone_watermark_ok_safe(m.view(), m.zone(), Order{0}, mark, m.zone().index);
  };
  m.zone().stat[0] = 50;
  m.pageset().stat.delta[0] = 40;
  EXPECT_TRUE(is_above(80));
  EXPECT_FALSE(is_above(90));
  m.zone().stat[0] = 150;
  m.pageset().stat.delta[0] = -40;
  EXPECT_TRUE(is_above(140)) << "above it what is seen is good enough";
}

TEST(ZoneLoop, TheOwnNodeComesFirstAndTheMaskHolds) {
  SmallMachine m{two_nodes()};
  m.free_block(0, 10);
  m.free_block(1024, 10);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4, 1), 1024u);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4, 0), 0u);
  Request request{.gfp = gfp::kKernel, .order = Order{4}, .cpu = CpuId{0}, .node = NodeId{1}, .nodemask = {}};
  EXPECT_EQ(m.alloc(request), 1040u);
  request.nodemask = NodeMask::of(NodeId{0});
  EXPECT_EQ(m.alloc(request), 16u);
}

TEST(ZoneLoop, ThisNodeDoesNotLeaveTheNode) {
  SmallMachine m{two_nodes()};
  m.free_block(1024, 10);
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kThisNode | gfp::kNoRetry, 0), kFailed);
  EXPECT_EQ(m.alloc(gfp::kKernel, 0), 1024u);
}

TEST(ZoneLoop, NumaCountersSayWhoseMemoryItWas) {
  SmallMachine m{two_nodes()};
  m.free_block(1024, 10);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4, 0), 1024u);  // CPU and preferred node 0, memory of node 1
  const CpuEvents& remote = m.pageset(1, 0).events;
  EXPECT_EQ(remote.pgalloc, 16u);
  EXPECT_EQ(remote.numa_miss, 1u);
  EXPECT_EQ(remote.numa_hit(), 0u);
  EXPECT_EQ(remote.numa_other, 1u);
  EXPECT_EQ(remote.numa_local(), 0u);
  EXPECT_EQ(m.pageset(0, 0).events.numa_foreign, 1u);
  EXPECT_EQ(m.alloc({.gfp = gfp::kKernel, .order = Order{0}, .cpu = CpuId{0}, .node = NodeId{1}, .nodemask = {}}),
            1040u);
  EXPECT_EQ(remote.numa_hit(), 1u) << "the preferred node is what counts";
  EXPECT_EQ(remote.numa_other, 2u);
  EXPECT_EQ(m.alloc(gfp::kKernel, 0, 1), 1047u) << "CPU 1 has its own pageset";
  EXPECT_EQ(m.pageset(1, 1).events.numa_local(), 1u);
}

TEST(ZoneLoop, CpusetsForbidNodesUnlessTheTaskIsSpecial) {
  struct Case {
    const char* name;
    Task task;
    Gfp gfp;
    bool allowed;
  };
  const NodeMask second = NodeMask::of(NodeId{1});
  const Task confined{.cpusets_enabled = true, .mems_allowed = second, .hardwall_mems_allowed = second};
  const auto with = [&](auto change) {
    Task task = confined;
    change(task);
    return task;
  };
  // A nodemask is given, so that the cpuset is not simply taken as one.
  for (const Case& c :
       {Case{"confined", confined, gfp::kKernel | gfp::kNoRetry, false},
        Case{"interrupt", with([](Task& t) { t.in_interrupt = true; }), gfp::kNowait, true},
        Case{"own node allowed", with([](Task& t) { t.mems_allowed = NodeMask::of(NodeId{0}); }), gfp::kKernel, true},
        Case{"victim", with([](Task& t) { t.oom_victim = true; }), gfp::kKernel | gfp::kNoRetry, true},
        // The first attempt adds HARDWALL; the later ones look at what the caller gave.
        Case{"ancestor allows", with([](Task& t) { t.hardwall_mems_allowed = NodeMask::all(); }),
             gfp::kKernel | gfp::kNoRetry, true},
        Case{"ancestor allows, but a wall", with([](Task& t) { t.hardwall_mems_allowed = NodeMask::all(); }),
             gfp::kUser | gfp::kNoRetry, false},
        Case{"exiting", with([](Task& t) { t.exiting = true; }), gfp::kKernel | gfp::kNoRetry, true},
        Case{"atomic", confined, gfp::kAtomicRequest, true}, Case{"nowait", confined, gfp::kNowait, false}}) {
    SmallMachine m{two_nodes()};
    m.free_block(0, 10);
    const Request request{.gfp = c.gfp,
                          .order = Order{4},
                          .cpu = CpuId{0},
                          .node = NodeId{0},
                          .nodemask = NodeMask::of(NodeId{0}),
                          .task = &c.task};
    EXPECT_EQ(m.alloc(request) != kFailed, c.allowed) << c.name;
  }
}

TEST(ZoneLoop, InterruptsAreNotConfinedToTheCpusetOfTheirTask) {
  SmallMachine m{two_nodes()};
  m.free_block(0, 10);
  m.free_block(1024, 10);
  const NodeMask second = NodeMask::of(NodeId{1});
  const Task interrupt{
      .in_interrupt = true, .cpusets_enabled = true, .mems_allowed = second, .hardwall_mems_allowed = second};
  EXPECT_EQ(
      m.alloc(
          {.gfp = gfp::kNowait, .order = Order{4}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &interrupt}),
      0u);
}

TEST(ZoneLoop, TheCpusetIsTheNodemaskOfATaskWithoutOne) {
  SmallMachine m{two_nodes()};
  m.free_block(0, 10);
  m.free_block(1024, 10);
  const NodeMask second = NodeMask::of(NodeId{1});
  const Task confined{.cpusets_enabled = true, .mems_allowed = second, .hardwall_mems_allowed = second};
  EventText events;
  m->attach(&events);
  const Request request{
      .gfp = gfp::kKernel, .order = Order{4}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = &confined};
  EXPECT_EQ(m.alloc(request), 1024u);
  EXPECT_EQ(events.count("checked"), 1u) << "node 0 is not even looked at";
  EXPECT_EQ(events.lines.back(), "alloc 1024 order=4 gfp=0x100cc0 Unmovable") << "the first attempt adds HARDWALL";
}

// ------------------------------------------------------------- dirty pages (03 §3)

TEST(DirtySpreading, WritersAvoidANodeAboveItsLimit) {
  // node 0: 1024 free, 0 reserved, 1976 file pages → 3000 dirtyable, 20 % = 600.
  for (const std::int64_t dirty : {600, 601}) {
    for (const bool write : {true, false}) {
      SmallMachine m{two_nodes()};
      m.free_block(0, 10);
      m.free_block(1024, 10);
      NodePageStats& pages = m.view().nodes[0].pages;
      pages.inactive_file = 1000;
      pages.active_file = 976;
      pages.file_dirty = dirty - 100;
      pages.writeback = 100;
      const Gfp gfp = write ? gfp::kKernel | gfp::kWrite : gfp::kKernel;
      EXPECT_EQ(m.alloc(gfp, 4), write && dirty == 601 ? 1024u : 0u) << dirty << write;
    }
  }
}

TEST(DirtySpreading, APageOnAPerCpuListDoesNotTemptWriters) {
  SmallMachine m{two_nodes()};
  m.free_block(0, 10);
  m.free_block(1024, 10);
  ASSERT_EQ(m.alloc(gfp::kKernel, 0), 0u);
  m.view().nodes[0].pages.file_dirty = 1000;
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kWrite, 0), 1024u);
  EXPECT_EQ(m.alloc(gfp::kKernel, 0), 1u);
}

TEST(DirtySpreading, ReservedPagesAreNotDirtyableAndRealtimeTasksGetAQuarterMore) {
  const Task realtime{.realtime = true};
  struct Case {
    const Task* task;
    std::int64_t dirty;
    bool local;
  };
  // 1024 free - 24 reserved + 2000 file = 3000: 600, and 750 for the realtime task.
  for (const Case c :
       {Case{nullptr, 600, true}, Case{nullptr, 601, false}, Case{&realtime, 750, true}, Case{&realtime, 751, false}}) {
    SmallMachine m{two_nodes()};
    m.free_block(0, 10);
    m.free_block(1024, 10);
    m.view().nodes[0].totalreserve_pages = 24;
    m.view().nodes[0].pages.inactive_file = 2000;
    m.view().nodes[0].pages.file_dirty = c.dirty;
    EXPECT_EQ(m.alloc({.gfp = gfp::kKernel | gfp::kWrite,
                       .order = Order{4},
                       .cpu = CpuId{0},
                       .node = {},
                       .nodemask = {},
                       .task = c.task}),
              c.local ? 0u : 1024u)
        << c.dirty;
  }
}

TEST(DirtySpreading, DirtyBytesAreSharedByDirtyablePages) {
  // Both nodes have 1024 dirtyable pages: node 0 gets half of ceil(4097 bytes / page) = 2 pages.
  for (const std::int64_t dirty : {1, 2}) {
    SmallConfig config = two_nodes();
    config.tunables.dirty_bytes = 4097;
    SmallMachine m{config};
    m.free_block(0, 10);
    m.free_block(1024, 10);
    m.view().nodes[0].pages.file_dirty = dirty;
    EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kWrite, 4), dirty == 1 ? 0u : 1024u) << dirty;
  }
}

TEST(DirtySpreading, IsDroppedRatherThanFailing) {
  SmallMachine m;
  m.free_block(0, 10);
  m.view().nodes[0].pages.file_dirty = 4000;
  EventText events;
  m->attach(&events);
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kWrite, 4), 0u);
  EXPECT_EQ(events.verdicts.front(), V::DirtyLimit);
}

// ------------------------------------------------------------- node reclaim (03 §3)

struct NodeReclaim : testing::Test {
  static SmallConfig config() {
    SmallConfig c = two_nodes();
    c.tunables.zone_reclaim_mode = 1;
    return c;
  }
  NodeReclaim() {
    m.free_block(0, 8);
    m.free_block(1024, 10);
    m.zone(0).watermark = {0, 300, 600, 0};
    m.view().nodes[0].min_unmapped_pages = 10;
    m.view().nodes[0].min_slab_pages = 50;
    m.view().nodes[0].pages = {.inactive_file = 100, .active_file = 50, .file_mapped = 20};
    m->attach(&events);
  }
  std::uint64_t ask(Gfp gfp = gfp::kKernel, const Task* task = nullptr) {
    return m.alloc({.gfp = gfp, .order = Order{4}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = task});
  }
  SmallMachine m{config()};
  FakeHosts hosts{m};
  EventText events;
};

TEST_F(NodeReclaim, IsAskedForAZoneBelowItsMark) {
  EXPECT_EQ(ask(), 1024u);
  EXPECT_THAT(hosts.calls, Contains("node_reclaim 0 gfp=0xcc0 order=4"));
  EXPECT_EQ(events.verdicts.front(), V::ReclaimNoScan);
}

TEST_F(NodeReclaim, IsNotAskedWhenOffOrTooFar) {
  Tunables tunables = m->tunables();
  tunables.zone_reclaim_mode = 0;
  m->set_tunables(tunables);
  EXPECT_EQ(ask(), 1024u);
  EXPECT_EQ(hosts.count("node_reclaim"), 0u);
  EXPECT_EQ(events.verdicts.front(), V::BelowWatermark);
  tunables.zone_reclaim_mode = 1;
  tunables.node_reclaim_distance = 9;
  m->set_tunables(tunables);
  events.verdicts.clear();
  EXPECT_EQ(ask(), 1040u);
  EXPECT_EQ(hosts.count("node_reclaim"), 0u);
  EXPECT_EQ(events.verdicts.front(), V::ReclaimTooFar);
}

TEST_F(NodeReclaim, AnyOfItsThreeBitsTurnsItOn) {
  for (const std::uint32_t mode : {1u, 2u, 4u, 8u}) {
    Tunables tunables = m->tunables();
    tunables.zone_reclaim_mode = mode;
    m->set_tunables(tunables);
    hosts.calls.clear();
    static_cast<void>(ask());
    EXPECT_EQ(hosts.count("node_reclaim"), mode == 8 ? 0u : 1u) << mode;
  }
}

TEST_F(NodeReclaim, ReachesAsFarAsTheReclaimDistance) {
  for (const std::uint32_t distance : {9u, 10u}) {  // the own node is at 10
    Tunables tunables = m->tunables();
    tunables.node_reclaim_distance = distance;
    m->set_tunables(tunables);
    hosts.calls.clear();
    static_cast<void>(ask());
    EXPECT_EQ(hosts.count("node_reclaim"), distance == 10 ? 1u : 0u);
  }
}

TEST_F(NodeReclaim, NeedsEnoughUnmappedFileOrSlabPages) {
  NodePageStats& pages = m.view().nodes[0].pages;
  pages = {.inactive_file = 20, .active_file = 10, .file_mapped = 20, .slab_reclaimable = 50};
  EXPECT_EQ(ask(), 1024u);
  EXPECT_EQ(hosts.count("node_reclaim"), 0u) << "10 unmapped and 50 slab pages are not more than the minimum";
  EXPECT_EQ(events.verdicts.front(), V::ReclaimFull);
  pages.slab_reclaimable = 51;
  static_cast<void>(ask());
  EXPECT_EQ(hosts.count("node_reclaim"), 1u);
  pages.slab_reclaimable = 50;
  pages.file_mapped = 19;
  static_cast<void>(ask());
  EXPECT_EQ(hosts.count("node_reclaim"), 2u);
  pages.file_dirty = 1;
  static_cast<void>(ask());
  EXPECT_EQ(hosts.count("node_reclaim"), 2u) << "without the write bit dirty pages do not count";
  Tunables tunables = m->tunables();
  tunables.zone_reclaim_mode = 3;
  m->set_tunables(tunables);
  static_cast<void>(ask());
  EXPECT_EQ(hosts.count("node_reclaim"), 3u);
  tunables.zone_reclaim_mode = 5;
  m->set_tunables(tunables);
  pages.file_mapped = 30;
  static_cast<void>(ask());
  EXPECT_EQ(hosts.count("node_reclaim"), 4u) << "with the unmap bit mapped pages count";
  pages = {.inactive_file = 5, .active_file = 0, .file_mapped = 20, .slab_reclaimable = 0};
  tunables.zone_reclaim_mode = 1;
  m->set_tunables(tunables);
  static_cast<void>(ask());
  EXPECT_EQ(hosts.count("node_reclaim"), 4u) << "more mapped than file pages is nothing, not less";
}

TEST_F(NodeReclaim, NeedsATaskThatMayReclaim) {
  EXPECT_EQ(ask(gfp::kNowait), 1024u);
  const Task memalloc{.memalloc = true};
  EXPECT_EQ(ask(gfp::kKernel, &memalloc), 1040u);
  EXPECT_EQ(hosts.count("node_reclaim"), 0u);
  EXPECT_EQ(events.verdicts.front(), V::ReclaimNoScan);
}

TEST_F(NodeReclaim, LeavesNodesWithOtherCpusAndBusyNodesAlone) {
  m.view().nodes[0].reclaim_locked = true;
  static_cast<void>(ask());
  EXPECT_EQ(hosts.count("node_reclaim"), 0u);
  m.view().nodes[0].reclaim_locked = false;
  // Asked for by CPU 1, whose node is another.
  static_cast<void>(
      m.alloc({.gfp = gfp::kKernel, .order = Order{4}, .cpu = CpuId{1}, .node = NodeId{0}, .nodemask = {}}));
  EXPECT_EQ(hosts.count("node_reclaim"), 0u);
  m.view().nodes[0].cpus = 0;
  static_cast<void>(
      m.alloc({.gfp = gfp::kKernel, .order = Order{4}, .cpu = CpuId{1}, .node = NodeId{0}, .nodemask = {}}));
  EXPECT_EQ(hosts.count("node_reclaim"), 1u) << "a node without CPUs has nobody else to do it";
}

TEST_F(NodeReclaim, IsFollowedByASecondLookAtTheMark) {
  hosts.node_reclaims = [&] {
    EXPECT_TRUE(m.view().nodes[0].reclaim_locked);
    m.free_block(256, 8);
    return NodeReclaimResult::Some;
  };
  EXPECT_EQ(ask(), 0u);
  EXPECT_EQ(events.verdicts.front(), V::Passed);
  EXPECT_FALSE(m.view().nodes[0].reclaim_locked);
}

TEST_F(NodeReclaim, ThatWasNotEnoughGoesOn) {
  hosts.node_reclaims = [] { return NodeReclaimResult::Success; };
  EXPECT_EQ(ask(), 1024u);
  EXPECT_EQ(events.verdicts.front(), V::ReclaimNotEnough);
}

TEST_F(NodeReclaim, FullGoesOnWithoutALook) {
  hosts.node_reclaims = [&] {
    m.free_block(256, 8);
    return NodeReclaimResult::Full;
  };
  EXPECT_EQ(ask(), 1024u);
  EXPECT_EQ(events.verdicts.front(), V::ReclaimFull);
}

// ------------------------------------------------------------- rmqueue: boosted zones, the reserve (03 §5, §8)

TEST(Rmqueue, ABoostedZoneWakesItsKswapdOnce) {
  SmallMachine m;
  m.free_block(0, 10);
  m.zone().flags = zone_flag::kBoostedWatermark;
  m.zone().watermark = {0, 0, 5000, 0};
  EventText events;
  m->attach(&events);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 0u);
  EXPECT_THAT(events.of("wakeup_kswapd"), ElementsAre("wakeup_kswapd node=0 zone=2 order=0 gfp=0x0"));
  EXPECT_EQ(m.zone().flags, 0u);
  m.view().nodes[0].kswapd.running = false;
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 16u);
  EXPECT_EQ(events.count("wakeup_kswapd"), 1u);
}

/// A request that only the slow path can serve, with the right to the high-atomic reserve.
SmallConfig reserve_machine(Generation generation = kLinux61) {
  return {.generation = generation};
}

TEST(HighAtomic, ASuccessReservesThePageblock) {
  SmallMachine m{reserve_machine()};
  for (const std::uint64_t pfn : {0u, 1024u, 2048u, 3072u})
    m.free_block(pfn, 10);
  m.zone().watermark = {0, 5000, 6000, 0};
  EXPECT_EQ(m.alloc(gfp::kAtomicRequest, 1), 0u);
  EXPECT_EQ(m.type(0), HighAtomic);
  EXPECT_EQ(m.type(512), Unmovable);
  EXPECT_EQ(m.zone().nr_reserved_highatomic, 512);
  EXPECT_EQ(m.pcp(3), (Pfns{2, 4}));
  EXPECT_EQ(m.lists(),
            "o1 HighAtomic [6] o3 HighAtomic [8] o4 HighAtomic [16] o5 HighAtomic [32] o6 HighAtomic [64] o7 "
            "HighAtomic [128] o8 HighAtomic [256] o9 Unmovable [512] o10 Movable [1024, 2048, 3072]");
  EXPECT_EQ(m.violation(), "");
  // The per-cpu list comes first, then the reserve.
  EXPECT_EQ(m.alloc(gfp::kAtomicRequest, 1), 2u);
  EXPECT_EQ(m.alloc(gfp::kAtomicRequest, 4), 16u);
  EXPECT_EQ(m.zone().nr_reserved_highatomic, 512) << "that block is part of it already";
}

TEST(HighAtomic, IsForOrdersAboveZeroAndMasksWithoutReclaim) {
  struct Case {
    Gfp gfp;
    unsigned order;
    bool reserves;
  };
  for (const Case c :
       {Case{gfp::kAtomicRequest, 0, false}, Case{gfp::kAtomicRequest, 4, true}, Case{gfp::kNowait, 4, false},
        Case{gfp::kKernel | gfp::kHigh, 4, false}, Case{gfp::kAtomicRequest | gfp::kNoMemalloc, 4, false}}) {
    SmallMachine m;
    m.free_block(0, 10);
    m.zone().watermark = {0, 5000, 6000, 0};
    EXPECT_EQ(m.alloc(c.gfp, c.order), 0u);
    EXPECT_EQ(m.zone().nr_reserved_highatomic, c.reserves ? 512 : 0) << c.gfp.raw() << " " << c.order;
  }
}

TEST(HighAtomic, TheReserveEndsAtOnePercentAndAPageblock) {
  // 4096 / 100 + 512 = 552: the second pageblock may still be reserved, the third not.
  SmallMachine m;
  for (const std::uint64_t pfn : {0u, 1024u, 2048u, 3072u})
    m.free_block(pfn, 9);
  m.zone().watermark = {0, 5000, 6000, 0};
  std::vector<std::int64_t> reserved;
  for (int i = 0; i < 4; ++i) {
    const std::uint64_t pfn = m.alloc(gfp::kAtomicRequest, 8);
    EXPECT_NE(pfn, kFailed);
    EXPECT_NE(m.alloc(gfp::kAtomicRequest, 8), kFailed);  // the other half, from the reserve
    reserved.push_back(m.zone().nr_reserved_highatomic);
  }
  EXPECT_THAT(reserved, ElementsAre(512, 1024, 1024, 1024));
}

TEST(HighAtomic, AtItsLimitTheReserveDoesNotGrow) {
  for (const std::int64_t managed : {51199, 51200, 51300}) {  // 511, 512 and 513 pages and a pageblock
    SmallMachine m;
    for (const std::uint64_t pfn : {0u, 1024u, 2048u, 3072u})
      m.free_block(pfn, 9);
    m.zone().watermark = {0, 5000, 6000, 0};
    m.zone().managed = managed;
    for (int i = 0; i < 8; ++i)
      EXPECT_NE(m.alloc(gfp::kAtomicRequest, 8), kFailed);
    EXPECT_EQ(m.zone().nr_reserved_highatomic, managed == 51300 ? 1536 : 1024) << managed;
  }
}

TEST(HighAtomic, OrdinaryRequestsCannotUseIt) {
  SmallMachine m;
  m.set_type(0, HighAtomic);
  m.free_block(0, 9, HighAtomic);
  m.zone().nr_reserved_highatomic = 512;
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kNoRetry, 0), kFailed);
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kNoRetry, 4), kFailed);
  EXPECT_EQ(m.alloc(gfp::kAtomicRequest, 4), 0u);
}

TEST(HighAtomic, IsTheLastResortOfRequestsThatCannotWait) {
  // GFP_NOWAIT of order 0: the mark is met, all other lists are empty; NON_BLOCK may look into the reserve.
  SmallMachine m;
  m.set_type(0, HighAtomic);
  m.free_block(0, 9, HighAtomic);
  m.zone().nr_reserved_highatomic = 512;
  EXPECT_EQ(m.alloc(gfp::kNowait, 0), 0u);
  EXPECT_EQ(m.pageset().count, 0) << "taken from the free lists, not through a refill";
  const Task victim{.oom_victim = true};
  EXPECT_EQ(m.alloc({.gfp = gfp::kKernel | gfp::kNoRetry,
                     .order = Order{0},
                     .cpu = {},
                     .node = {},
                     .nodemask = {},
                     .task = &victim}),
            1u);
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kNoRetry, 0), kFailed);
}

TEST(HighAtomic, TheFirstReleaseAsksForAtomicInstead) {
  struct Case {
    Gfp gfp;
    bool reserves;
  };
  for (const Case c : {Case{gfp::kAtomicRequest, true}, Case{gfp::kHigh | gfp::kKswapdReclaim, false},
                       Case{gfp::kAtomicRequest | gfp::kNoMemalloc, false}}) {
    SmallMachine m{reserve_machine(kLinux610)};
    m.free_block(0, 10);
    m.zone().watermark = {0, 5000, 6000, 0};
    EXPECT_EQ(m.alloc(c.gfp, 4), 0u);
    EXPECT_EQ(m.zone().nr_reserved_highatomic, c.reserves ? 512 : 0) << c.gfp.raw();
  }
  // A realtime task gets HARDER, and with it the reserve, though it can reclaim.
  SmallMachine m{reserve_machine(kLinux610)};
  m.free_block(0, 10);
  m.zone().watermark = {0, 5000, 6000, 0};
  const Task realtime{.realtime = true};
  EXPECT_EQ(m.alloc({.gfp = gfp::kKernel, .order = Order{4}, .cpu = {}, .node = {}, .nodemask = {}, .task = &realtime}),
            0u);
  EXPECT_EQ(m.zone().nr_reserved_highatomic, 512);
}

TEST(Rmqueue, CompoundBlocksAreMarkedAndTheirOrderKept) {
  SmallMachine m;
  m.free_block(0, 10);
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kComp, 4), 0u);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 16u);
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kComp, 0), 32u);
  EXPECT_TRUE(m->frame_state(Pfn{0}).is_compound());
  EXPECT_FALSE(m->frame_state(Pfn{16}).is_compound());
  EXPECT_FALSE(m->frame_state(Pfn{32}).is_compound());
  EXPECT_EQ(m->frame_state(Pfn{0}).order(), 4u);
}

// ------------------------------------------------------------- kswapd (06 §4)

TEST(Kswapd, RemembersTheLargestWishAndWakesOnlyWhenNeeded) {
  SmallMachine m;
  m.free_block(0, 10);
  m.zone().watermark = {0, 2000, 3000, 0};
  FakeHosts hosts{m};
  EventText events;
  m->attach(&events);
  EXPECT_EQ(m.alloc(gfp::kKernel, 2), 0u);
  EXPECT_THAT(hosts.calls, ElementsAre("wake 0"));
  EXPECT_EQ(m.view().nodes[0].kswapd.order, 2);
  EXPECT_EQ(m.view().nodes[0].kswapd.highest, 2);
  EXPECT_NE(m.alloc(kMovable, 5), kFailed);
  EXPECT_EQ(hosts.calls.size(), 1u) << "it runs already";
  EXPECT_EQ(m.view().nodes[0].kswapd.order, 5);
  EXPECT_EQ(m.view().nodes[0].kswapd.highest, 3);
  EXPECT_EQ(events.count("wakeup_kswapd"), 1u);
}

TEST(Kswapd, AHopelessNodeIsNotWokenAndKcompactdOnlyForThoseWhoCannotReclaim) {
  for (const std::uint8_t failures : {std::uint8_t{15}, std::uint8_t{16}}) {
    SmallMachine m;
    m.free_block(0, 10);
    m.zone().watermark = {0, 2000, 3000, 0};
    m.view().nodes[0].kswapd.failures = failures;
    FakeHosts hosts{m};
    EXPECT_EQ(m.alloc(gfp::kKernel, 2), 0u);
    EXPECT_EQ(hosts.count("wake"), failures == 15 ? 1u : 0u);
    EXPECT_EQ(hosts.count("kcompactd"), 0u);
    m.view().nodes[0].kswapd.running = false;
    EXPECT_EQ(m.alloc(gfp::kNowait, 2), 4u);
    EXPECT_EQ(hosts.count("kcompactd"), failures == 15 ? 0u : 1u);
  }
}

TEST(Kswapd, ABalancedNodeIsNotWokenUnlessBoosted) {
  struct Case {
    std::int64_t dma32_high;
    std::int64_t normal_high;
    std::int64_t dma32_boost;
    std::int64_t movable_boost;
    bool wakes;
  };
  // Order-0 balance up to Normal: 1024 and 1008 free pages; one balanced zone is enough.
  for (const Case c : {Case{1024, 1024, 0, 0, true}, Case{1023, 1024, 0, 0, false}, Case{1024, 1007, 0, 0, false},
                       Case{1024, 1008, 0, 0, true}, Case{0, 0, 1, 0, true}, Case{0, 0, 0, 1, false}}) {
    SmallMachine m{SmallConfig{.zones = {{.type = ZoneType::Dma32, .start = 0, .pages = 1024},
                                         {.type = ZoneType::Normal, .start = 1024, .pages = 1024},
                                         {.type = ZoneType::Movable, .start = 2048, .pages = 1024}}}};
    m.free_block(0, 10);
    m.free_block(1024, 10);
    m.zone(0).watermark[2] = c.dma32_high;
    m.zone(1).watermark[2] = c.normal_high;
    m.zone(0).watermark_boost = c.dma32_boost;
    m.zone(2).watermark_boost = c.movable_boost;
    m.zone(1).flags = zone_flag::kBoostedWatermark;
    FakeHosts hosts{m};
    EXPECT_EQ(m.alloc(gfp::kKernel, 4), 1024u);
    EXPECT_EQ(hosts.count("wake"), c.wakes ? 1u : 0u) << c.dma32_high << " " << c.normal_high;
  }
}

// ------------------------------------------------------------- the bulk API (03 §10)

struct Bulk : testing::Test {
  SmallMachine m;
  EventText events;
  Bulk() {
    m.free_block(0, 10);
    m->attach(&events);
  }
  std::size_t ask(std::vector<Pfn>& pages, Gfp gfp = gfp::kKernel) {
    return m->alloc_bulk({.gfp = gfp, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}}, pages);
  }
};

TEST_F(Bulk, FillsTheArrayInOrderFromThePerCpuList) {
  std::vector<Pfn> pages(10, kNoPfn);
  m.pageset().free_factor = 4;
  EXPECT_EQ(ask(pages), 10u);
  for (std::uint64_t i = 0; i < 10; ++i)
    EXPECT_EQ(pages[i], Pfn{i});
  EXPECT_EQ(m.pageset().free_factor, 4) << "the bulk API does not halve it";
  EXPECT_EQ(m.pageset().count, 4);
  EXPECT_EQ(events.count("alloc"), 0u) << "its pages have no mm_page_alloc";
  EXPECT_EQ(m.pageset().events.pgalloc, 10u);
  EXPECT_EQ(m.pageset().events.numa_hit(), 10u);
  EXPECT_EQ(m.violation(), "");
}

TEST_F(Bulk, KeepsWhatIsFilledAlready) {
  std::vector<Pfn> pages(6, kNoPfn);
  pages[0] = Pfn{700};
  pages[3] = Pfn{701};
  EXPECT_EQ(ask(pages), 6u);
  EXPECT_THAT(pages, ElementsAre(Pfn{700}, Pfn{0}, Pfn{1}, Pfn{701}, Pfn{2}, Pfn{3}));
  EXPECT_EQ(ask(pages), 6u);
  EXPECT_EQ(m.pageset().count, 3);
}

TEST_F(Bulk, OnePageOrAccountedPagesComeFromTheSinglePath) {
  std::vector<Pfn> one(1, kNoPfn);
  EXPECT_EQ(ask(one), 1u);
  EXPECT_EQ(events.count("alloc"), 1u);
  std::vector<Pfn> many(5, kNoPfn);
  EXPECT_EQ(ask(many, gfp::kKernel | gfp::kAccount), 1u);
  EXPECT_EQ(events.count("alloc"), 2u);
  EXPECT_EQ(many[1], kNoPfn);
  std::vector<Pfn> almost(3, kNoPfn);
  almost[0] = Pfn{900};
  almost[1] = Pfn{901};
  EXPECT_EQ(ask(almost), 3u);
  EXPECT_EQ(events.count("alloc"), 3u) << "one page is missing";
}

TEST_F(Bulk, AsksForTheMarkPlusAllPages) {
  m.zone().watermark = {0, 1013, 2000, 0};
  std::vector<Pfn> pages(10, kNoPfn);
  EXPECT_EQ(ask(pages), 10u) << "1024 > 1013 + 10";
  m.zone().watermark[1] = 1007;  // 1024 - 14 = 1010 free pages are counted now
  std::vector<Pfn> more(3, kNoPfn);
  EXPECT_EQ(ask(more), 1u) << "not above 1007 + 3: one page, from the single path";
  EXPECT_EQ(events.count("alloc"), 1u);
}

TEST_F(Bulk, WakesNobodyAndMayFragment) {
  m.zone().flags = zone_flag::kBoostedWatermark;
  std::vector<Pfn> pages(3, kNoPfn);
  EXPECT_EQ(ask(pages), 3u);
  EXPECT_EQ(m.zone().flags, zone_flag::kBoostedWatermark);
  ASSERT_EQ(events.count("refill"), 1u);
  EXPECT_THAT(events.of("refill")[0], HasSubstr("flags=0x1"));
  EXPECT_EQ(events.of("refill")[0].substr(events.of("refill")[0].find("flags=")), "flags=0x1");
}

TEST_F(Bulk, StopsWhenThePagesEnd) {
  SmallMachine few;
  few.free_block(16, 2);
  std::vector<Pfn> pages(3, kNoPfn);
  few.zone().stat[0] = 100;  // the counter says more than the lists hold
  EXPECT_EQ(few->alloc_bulk({.gfp = gfp::kKernel, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}}, pages),
            3u);
  std::vector<Pfn> rest(3, kNoPfn);
  EXPECT_EQ(few->alloc_bulk({.gfp = gfp::kKernel, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}}, rest), 1u);
}

TEST(BulkZones, DoNotLeaveTheNodeBeforeTheSinglePathDoes) {
  SmallMachine m{two_nodes()};
  m.free_block(1024, 10);
  EventText events;
  m->attach(&events);
  std::vector<Pfn> pages(3, kNoPfn);
  EXPECT_EQ(m->alloc_bulk({.gfp = gfp::kKernel, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}}, pages), 1u);
  EXPECT_EQ(pages[0], Pfn{1024});
  EXPECT_EQ(events.count("alloc"), 1u);
}

}  // namespace
}  // namespace mmbox
