// requests.*, boot.*: what each kernel makes of a request's task, and how it begins.
#include "mmbox/core/topology/zonelist.h"
#include "tests/policies/each_generation.h"

namespace mmbox {
namespace {

using enum Migratetype;
using namespace test;

// ------------------------------------------------------------- requests

TEST(RequestPolicies, WithoutGroupingOldestKernelsTurnEveryTypeIntoUnmovable) {
  expect_each<Migratetype>({Unmovable, HighAtomic, HighAtomic, HighAtomic, HighAtomic, HighAtomic, HighAtomic},
                           [](const Generation& g) {
                             SmallMachine m{config_of(g)};
                             m->change_rules([](Rules& rules) { rules.mobility_disabled = true; });
                             m.buddy().set_pageblock_type(0, HighAtomic);
                             return m.type(0);
                           });
}

/// "page" or "none", and the type that was announced.
TEST(RequestPolicies, ATaskThatPinsPagesGetsNoCmaPage) {
  const std::string page = "page of Movable";
  const std::string none = "none of Unmovable";
  expect_each<std::string>({page, page, "none of Movable", none, none, none, none}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.has_cma = true;
    SmallMachine m{config};
    m.set_type(0, Cma);
    m.free_block(0, 3, Cma);
    LastAlloc last;
    m->attach(&last);
    const Task task{.scope_pin = true};
    const Gfp gfp = gfp::kHighUserMovable.without(gfp::kReclaim);
    const bool got = m.alloc({.gfp = gfp, .cpu = CpuId{0}, .task = &task}) != SmallMachine::kFailed;
    return fmt::format("{} of {}", got ? "page" : "none", migratetype_name(last.event.migratetype));
  });
}

TEST(RequestPolicies, TheFirstAttemptOfOldKernelsDoesNotSeeAScope) {
  expect_each<bool>({true, true, true, false, false, false, false}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.free_block(0, 3);
    LastAlloc last;
    m->attach(&last);
    const Task task{.scope_nofs = true};
    EXPECT_EQ(m.alloc({.gfp = gfp::kHighUserMovable, .cpu = CpuId{0}, .task = &task}), 0U);
    return last.event.gfp.has(gfp::kFs);
  });
}

TEST(RequestPolicies, OldestKernelsKnowNoNofsScope) {
  expect_each<bool>({true, false, false, false, false, false, false}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    LastAlloc last;
    m->attach(&last);
    const Task task{.scope_nofs = true};
    EXPECT_EQ(m.alloc({.gfp = gfp::kKernel | gfp::kNoRetry, .cpu = CpuId{0}, .task = &task}), SmallMachine::kFailed);
    return last.event.gfp.has(gfp::kFs);
  });
}

TEST(RequestPolicies, ACpusetIsAFlagOrANodemask) {
  for (const bool in_interrupt : {false, true}) {
    const std::string later = in_interrupt ? "flag" : "mask";
    expect_each<std::string>({"flag", "mask", later, later, later, later, later}, [&](const Generation& g) {
      SmallMachine m{two_nodes(g)};
      const Task task{.in_interrupt = in_interrupt, .cpusets_enabled = true, .mems_allowed = NodeMask{2}};
      const AllocContext context = prepare(m.view(), {.gfp = gfp::kKernel, .cpu = CpuId{0}, .task = &task});
      return std::string{context.flags.has(alloc_flag::kCpuset) ? "flag" : ""} +
             (context.nodes.has(NodeId{0}) ? "" : "mask");
    });
  }
}

TEST(RequestPolicies, AnOrderThatIsTooLargeIsAnnouncedInOldKernels) {
  expect_each<int>({1, 1, 0, 0, 0, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    LastAlloc last;
    m->attach(&last);
    EXPECT_EQ(m.alloc(gfp::kKernel, 11), SmallMachine::kFailed);
    return last.announced;
  });
}

// ------------------------------------------------------------- boot

TEST(BootPolicies, MemoryComesInWordsOrInTheLargestBlocks) {
  expect_each<std::size_t>({8, 1, 1, 1, 1, 1, 1}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    EventText events;
    m->attach(&events);
    m->release_boot_memory({Pfn{0}, Pfn{512}});
    return events.count("free_one");
  });
}

TEST(BootPolicies, OldKernelsHandOutTheHighestBlockFirst) {
  expect_each<std::uint64_t>({3072, 3072, 0, 0, 0, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m->release_boot_memory({Pfn{0}, Pfn{4096}});
    return m.alloc(gfp::kHighUserMovable, 0);
  });
}

TEST(BootPolicies, AHoleWithARecordMakesAPageblockMovableInOldKernels) {
  expect_each<Migratetype>({Movable, Movable, Unmovable, Unmovable, Unmovable, Unmovable, Unmovable},
                           [](const Generation& g) {
                             const std::array types{ZoneType::Normal, ZoneType::Movable};
                             const std::array<std::uint8_t, 1> distances{10};
                             const std::array cpus{NodeId{0}};
                             // The zone spans its first pageblock, of which the first half is a hole.
                             const std::array zones{ZoneConfig{.node = {},
                                                               .index = ZoneIndex{0},
                                                               .type = ZoneType::Normal,
                                                               .start = Pfn{0},
                                                               .spanned = PageCount{8192},
                                                               .present = PageCount{7936}},
                                                    ZoneConfig{.node = {},
                                                               .index = ZoneIndex{1},
                                                               .type = ZoneType::Movable,
                                                               .start = {},
                                                               .spanned = {},
                                                               .present = {}}};
                             const std::array memory{MemoryRange{.range = {Pfn{256}, Pfn{8192}}, .node = NodeId{0}}};
                             lab::Image image{MachineConfig{.generation = g,
                                                            .zone_types = types,
                                                            .nodes = 1,
                                                            .distances = distances,
                                                            .cpus = cpus,
                                                            .zones = zones,
                                                            .memory = memory,
                                                            .tunables = {}}};
                             const MemMap& map = image.machine().view().env.map;
                             return map.pageblock(map.index(Pfn{256})).type;
                           });
}

TEST(BootPolicies, AZoneOfNothingButItsMemmapIsInTheZonelist) {
  expect_each<std::size_t>({2, 1, 2, 2, 2, 2, 2}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.zones = {SmallZone{.type = ZoneType::Dma32, .start = 0, .pages = 1},
                    SmallZone{.type = ZoneType::Normal, .start = 1024, .pages = 4096}};
    SmallMachine m{config};
    return m.view().zonelist(m.view().nodes[0].fallback).size();
  });
}

TEST(BootPolicies, TheFirstNodeOfADistanceIsMadeDearer) {
  // Nodes 0 and 1 are a pair, and so are 2 and 3: whom does node 3 ask first of the distant pair?
  expect_each<std::size_t>({0, 0, 0, 1, 1, 1, 1}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.zones.clear();
    for (std::size_t node = 0; node < 4; ++node)
      config.zones.push_back({.start = node * 2048, .pages = 2048, .node = node});
    config.cpu_nodes = {0, 1, 2, 3};
    config.distances = {10, 12, 20, 20, 12, 10, 20, 20, 20, 20, 10, 12, 20, 20, 12, 10};
    SmallMachine m{config};
    return m.view().zonelist(m.view().nodes[3].fallback)[2].node.raw();
  });
}

/// A machine of one Normal zone that counts as `pages` pages of memory.
std::uint64_t min_free_of(const Generation& g, std::int64_t pages, Tunables tunables = {}) {
  SmallConfig config = config_of(g);
  config.tunables = tunables;
  SmallMachine m{config};
  m.zone().managed = pages;
  m->finish_boot();
  return m->tunables().min_free_kbytes;
}

TEST(BootPolicies, TheComputedMinFreeKbytesHasACap) {
  // 4 · √(1 TiB in kB): 131072
  expect_each<std::uint64_t>({65536, 65536, 131072, 131072, 131072, 131072, 131072},
                             [](const Generation& g) { return min_free_of(g, std::int64_t{1} << 28); });
  expect_each<std::uint64_t>({65536, 65536, 262144, 262144, 262144, 262144, 262144},
                             [](const Generation& g) { return min_free_of(g, std::int64_t{1} << 32); });
}

TEST(BootPolicies, OldestKernelsOverwriteAUsersMinFreeKbytes) {
  expect_each<std::uint64_t>({8192, 90000, 90000, 90000, 90000, 90000, 90000}, [](const Generation& g) {
    Tunables tunables;
    tunables.min_free_kbytes = 90000;
    tunables.user_min_free_kbytes = 90000;
    return min_free_of(g, 1 << 20, tunables);
  });
}

TEST(BootPolicies, TheGapsBetweenTheMarksGrew) {
  // 4 GiB: 8192 kB are 2048 pages; a quarter of them is 512, and a thousandth of the zone 1048.
  const std::string gaps = "2048 2560 3072 0";
  const std::string scaled = "2048 3096 4144 0";
  const std::string promo = "2048 3096 4144 5192";
  expect_each<std::string>({gaps, scaled, scaled, promo, promo, promo, promo}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.zone().managed = 1 << 20;
    m->finish_boot();
    return fmt::format("{}", fmt::join(m.zone().watermark, " "));
  });
}

TEST(BootPolicies, KhugepagedCountsTheMovableZoneInOldKernels) {
  // Two pageblocks and one for each pair of types that have per-cpu lists, for each zone, in kB: 11 · 2048.
  expect_each<std::uint64_t>({45056, 45056, 22528, 22528, 22528, 22528, 22528}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.zones = {SmallZone{.type = ZoneType::Normal, .start = 0, .pages = 4096},
                    SmallZone{.type = ZoneType::Movable, .start = 4096, .pages = 4096}};
    SmallMachine m{config};
    m.zone(0).managed = m.zone(1).managed = 1 << 20;
    m->finish_boot();
    m->start_khugepaged();
    return m->tunables().min_free_kbytes;
  });
}

TEST(BootPolicies, TheMovableZoneHasItsOwnMarksSince66) {
  expect_each<std::int64_t>({1024, 1024, 1024, 1024, 1024, 128, 128}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.zones = {SmallZone{.type = ZoneType::Normal, .start = 0, .pages = 4096},
                    SmallZone{.type = ZoneType::Movable, .start = 4096, .pages = 4096}};
    SmallMachine m{config};
    m.zone(0).managed = m.zone(1).managed = 1 << 20;
    m->finish_boot();
    return m.zone(1).watermark[0];
  });
}

TEST(BootPolicies, ARatioOfZeroMeansOneInOldKernels) {
  expect_each<std::int64_t>({1, 1, 0, 0, 0, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    Tunables tunables = m->tunables();
    tunables.lowmem_reserve_ratio[0] = 0;
    m->set_tunables(tunables);
    return m->tunables().lowmem_reserve_ratio[0];
  });
}

}  // namespace
}  // namespace mmbox
