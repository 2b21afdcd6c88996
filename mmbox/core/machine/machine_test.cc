#include "mmbox/core/machine/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/support/small_machine.h"

namespace mmbox {
namespace {

using enum Migratetype;
using test::SmallConfig;
using test::SmallMachine;
using testing::ElementsAre;
using Pfns = SmallMachine::Pfns;

// ------------------------------------------------------------- boot (02 §3, §4, §11)

TEST(Boot, ReleasesMemoryInTheKernelsBlocks) {
  SmallMachine m{SmallConfig{.zones = {{.start = 0, .pages = 3072}}}};
  m.zone().managed = 0;
  m->release_boot_memory({Pfn{1}, Pfn{3000}});
  EXPECT_EQ(m.lists(),
            "o0 Movable [1] o1 Movable [2] o2 Movable [4] o3 Movable [8, 2992] o4 Movable [16, 2976] o5 Movable [32, "
            "2944] o6 Movable [64] o7 Movable [128, 2816] o8 Movable [256, 2560] o9 Movable [512, 2048] o10 Movable "
            "[1024]");
  EXPECT_EQ(m.zone().managed, 2999);
  EXPECT_EQ(m.zone().stat[0], 2999);
  EXPECT_EQ(m.pageset().count, 0);
}

TEST(Boot, APageblockWhoseFirstPageIsNoMemoryStaysUnmovable) {
  for (const std::uint64_t start : {1u, 2u, 511u}) {
    SmallMachine m{SmallConfig{.zones = {{.start = start, .pages = 1536 - start}}}};
    EXPECT_EQ(m.type(0), Unmovable) << start;
    EXPECT_EQ(m.type(512), Movable);
    EXPECT_EQ(m.type(1024), Movable);
  }
}

TEST(Boot, TheMobilitySwitchCountsAPageblockOfEachType) {
  struct Case {
    std::uint64_t pages;
    bool has_cma;
    bool disabled;
  };
  // The estimate leaves out the memmap: ⌈pages · 64 / 4096⌉.
  for (const Case c :
       {Case{2600, false, true}, Case{2601, false, false}, Case{3120, true, true}, Case{3121, true, false}}) {
    const std::array types{ZoneType::Normal, ZoneType::Movable};
    const std::array<std::uint8_t, 1> distances{10};
    const std::array cpus{NodeId{0}};
    const std::array zones{
        ZoneConfig{.node = {},
                   .index = ZoneIndex{0},
                   .type = ZoneType::Normal,
                   .start = Pfn{0},
                   .spanned = PageCount{c.pages},
                   .present = PageCount{c.pages}},
        ZoneConfig{
            .node = {}, .index = ZoneIndex{1}, .type = ZoneType::Movable, .start = {}, .spanned = {}, .present = {}}};
    const std::array memory{MemoryRange{.range = {Pfn{0}, Pfn{c.pages}}, .node = {}}};
    lab::Image image{MachineConfig{.zone_types = types,
                                   .nodes = 1,
                                   .distances = distances,
                                   .cpus = cpus,
                                   .zones = zones,
                                   .memory = memory,
                                   .has_cma = c.has_cma,
                                   .tunables = {}}};
    EXPECT_EQ(image.machine().rules().mobility_disabled, c.disabled) << c.pages;
  }
}

/// Example 2 of the boot chapter: 3840, 500000 and 1500000 pages managed, four CPUs.
struct Booted : testing::Test {
  static SmallConfig config() {
    SmallConfig c{.zones = {{.type = ZoneType::Dma, .start = 256, .pages = 3840},
                            {.type = ZoneType::Dma32, .start = 4096, .pages = 500000},
                            {.type = ZoneType::Normal, .start = 1048576, .pages = 1500000}},
                  .cpu_nodes = {0, 0, 0, 0}};
    for (std::size_t i = 0; i < c.types.size(); ++i)
      c.tunables.lowmem_reserve_ratio[i] = default_lowmem_reserve_ratio(c.types[i]);
    return c;
  }
  Booted() {
    for (std::size_t i = 0; i < 3; ++i) {
      m.zone(i).managed = 0;
      m->release_boot_memory(
          {m.zone(i).start, m.zone(i).start + PageCount{static_cast<std::uint64_t>(m.zone(i).spanned)}});
    }
    m->finish_boot();
  }
  std::array<std::int64_t, 4> marks(std::size_t i) { return m.zone(i).watermark; }
  SmallMachine m{config()};
};

TEST_F(Booted, SizesFollowTheManagedPages) {
  EXPECT_EQ(m->tunables().min_free_kbytes, 11324u);
  EXPECT_EQ(m->tunables().user_min_free_kbytes, -1);
  EXPECT_EQ(m.pageset(2, 0).stat.threshold, 42);
  EXPECT_EQ(m.pageset(0, 3).stat.threshold, 6);
  EXPECT_THAT(m.zone(0).lowmem_reserve, ElementsAre(0, 1953, 7812, 7812, 7812, 0));
  EXPECT_THAT(m.zone(1).lowmem_reserve, ElementsAre(0, 0, 5859, 5859, 5859, 0));
  EXPECT_THAT(m.zone(2).lowmem_reserve, ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_EQ(m.view().nodes[0].min_unmapped_pages, 38 + 5000 + 15000);
  EXPECT_EQ(m.view().nodes[0].min_slab_pages, 192 + 25000 + 75000);
}

TEST_F(Booted, KhugepagedRaisesTheMarks) {
  m->start_khugepaged();
  EXPECT_EQ(m->tunables().min_free_kbytes, 67584u);
  EXPECT_THAT(marks(0), ElementsAre(32, 40, 48, 56));
  EXPECT_THAT(marks(1), ElementsAre(4215, 5268, 6321, 7374));
  EXPECT_THAT(marks(2), ElementsAre(12647, 15808, 18969, 22130));
  EXPECT_EQ(m.pageset(0).batch, 1);
  EXPECT_EQ(m.pageset(0).high, 10);
  EXPECT_EQ(m.pageset(1).batch, 63);
  EXPECT_EQ(m.pageset(1).high, 1317);
  EXPECT_EQ(m.pageset(2, 3).batch, 63);
  EXPECT_EQ(m.pageset(2, 3).high, 3952);
  EXPECT_EQ(m.view().nodes[0].totalreserve_pages, 3840 + (5859 + 6321) + 18969);
}

TEST_F(Booted, SettingsChangeWhatDependsOnThem) {
  m->start_khugepaged();
  Tunables t = m->tunables();
  t.percpu_pagelist_high_fraction = 8;
  m->set_tunables(t);
  EXPECT_EQ(m.pageset(2).high, 1500000 / 8 / 4);
  EXPECT_EQ(m.zone(2).pageset_high, 1500000 / 8 / 4);
  t.percpu_pagelist_high_fraction = 0;
  m->set_tunables(t);
  EXPECT_EQ(m.pageset(2).high, 3952);

  t.min_free_kbytes = 11324;
  m->set_tunables(t);
  EXPECT_EQ(m->tunables().user_min_free_kbytes, 11324);
  EXPECT_LT(marks(2)[0], 12647);
  t = m->tunables();
  t.min_free_kbytes = 67584;
  m->set_tunables(t);
  EXPECT_EQ(marks(2)[0], 12647);

  t = m->tunables();
  t.watermark_scale_factor = 1000;
  m->set_tunables(t);
  EXPECT_EQ(marks(2)[1], 12647 + 150000);
  EXPECT_EQ(m.pageset(2).high, (12647 + 150000) / 4);

  t.lowmem_reserve_ratio[1] = 0;
  t.lowmem_reserve_ratio[0] = -5;
  m->set_tunables(t);
  EXPECT_THAT(m.zone(1).lowmem_reserve, ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(m.zone(0).lowmem_reserve, ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_EQ(m->tunables().lowmem_reserve_ratio[0], 0);

  t.min_unmapped_ratio = 2;
  t.min_slab_ratio = 10;
  m->set_tunables(t);
  EXPECT_EQ(m.view().nodes[0].min_unmapped_pages, 76 + 10000 + 30000);
  EXPECT_EQ(m.view().nodes[0].min_slab_pages, 384 + 50000 + 150000);

  t.watermark_boost_factor = 0;
  m->set_tunables(t);
  EXPECT_EQ(m.machine().rules().watermark_boost_factor, 0u);
}

TEST_F(Booted, NewMarksEndABoost) {
  m.zone(2).watermark_boost = 512;
  Tunables t = m->tunables();
  t.watermark_scale_factor = 20;
  m->set_tunables(t);
  EXPECT_EQ(m.zone(2).watermark_boost, 0);
}

TEST_F(Booted, TheFirstAllocationsComeFromTheLowestBlocksOfTheHighestZone) {
  EXPECT_EQ(m.alloc(gfp::kHighUserMovable, 10), 1048576u);
  EXPECT_EQ(m.alloc(gfp::kHighUserMovable, 10), 1049600u);
  EXPECT_EQ(m.violation(), "");
}

TEST(Boot, WithoutTransparentHugePagesKhugepagedDoesNotRun) {
  SmallMachine m;
  m->finish_boot();
  const std::uint64_t before = m->tunables().min_free_kbytes;
  m->start_khugepaged();
  EXPECT_EQ(m->tunables().min_free_kbytes, before) << "too small a machine";
}

TEST(Boot, BeforeTheListsAreSizedEachPageReturnsAtOnce) {
  SmallMachine m{SmallConfig{.batch = 1, .high = 0}};
  m->release_boot_memory({Pfn{0}, Pfn{4096}});
  const std::uint64_t page = m.alloc(gfp::kHighUserMovable, 0);
  EXPECT_EQ(page, 0u);
  EXPECT_EQ(m.pageset().count, 0);
  m.free(page, 0);
  EXPECT_EQ(m.pageset().count, 0);
}

// ------------------------------------------------------------- the bytes

TEST(Machine, ACopyOfTheBytesIsTheSameMachine) {
  SmallConfig config{.cpu_nodes = {0, 0}, .high = 30, .threshold = 10};
  SmallMachine m{config};
  m->release_boot_memory({Pfn{0}, Pfn{4096}});
  std::vector<std::uint64_t> live;
  for (unsigned i = 0; i < 200; ++i)
    live.push_back(m.alloc(i % 3 == 0 ? gfp::kKernel : gfp::kHighUserMovable, i % 4, i % 2));

  const auto bytes = m->bytes();
  lab::Storage storage{bytes.size()};
  std::memcpy(storage.bytes().data(), bytes.data(), bytes.size());
  Machine copy{storage.bytes()};
  copy.set_contents(&m.contents);
  EXPECT_EQ(validate(copy.view()), std::nullopt);
  const auto equal = [&] { return std::memcmp(copy.bytes().data(), bytes.data(), bytes.size()) == 0; };
  EXPECT_TRUE(equal());
  m.free(live[7], 3, 1);
  EXPECT_FALSE(equal());
  copy.free(Pfn{live[7]}, Order{3}, CpuId{1});
  EXPECT_TRUE(equal());
  for (unsigned i = 0; i < 500; ++i) {
    const Request request{.gfp = gfp::kKernel, .order = Order{i % 5}, .cpu = CpuId{i % 2}, .node = {}, .nodemask = {}};
    const AllocResult a = m->alloc(request);
    const AllocResult b = copy.alloc(request);
    ASSERT_EQ(a.ok(), b.ok());
    if (a) {
      ASSERT_EQ(*a, *b);
    }
  }
  EXPECT_TRUE(equal());
}

TEST(Machine, ItsBytesDoNotDependOnWhereTheyLie) {
  SmallMachine a;
  SmallMachine b;
  for (SmallMachine* m : {&a, &b}) {
    m->machine().release_boot_memory({Pfn{0}, Pfn{4096}});
    static_cast<void>(m->alloc(gfp::kKernel, 0));
  }
  ASSERT_EQ(a->bytes().size(), b->bytes().size());
  // The settings in front may have padding, whose value is anybody's; the digest covers them.
  EXPECT_EQ(digest(a->view()), digest(b->view()));
  const auto state_of = [](SmallMachine& m) {
    const auto* const begin = reinterpret_cast<const std::byte*>(m.view().nodes.data());
    return std::vector<std::byte>{begin, m->bytes().data() + m->bytes().size()};
  };
  EXPECT_TRUE(state_of(a) == state_of(b));
}

TEST(Machine, TakesFewBytesForEachFrame) {
  SmallMachine m{SmallConfig{.zones = {{.start = 0, .pages = 1 << 20}}}};
  EXPECT_LT(m->bytes().size(), (1u << 20) * 10u);
}

TEST(MachineDeathTest, TheBytesHaveToBeAMachine) {
  alignas(64) static std::array<std::byte, 4096> bytes{};
  EXPECT_DEATH(Machine{std::span<std::byte>{bytes}}, "these bytes are no machine");
}

TEST(MachineDeathTest, TwoZonesDoNotShareAPageblock) {
  EXPECT_DEATH((SmallMachine{SmallConfig{.zones = {{.type = ZoneType::Dma32, .start = 0, .pages = 600},
                                                   {.type = ZoneType::Normal, .start = 600, .pages = 600}}}}),
               "two zones share a pageblock: pfn, zone: 0x258, 2");
}

TEST(Machine, TornCopiesAreRefused) {
  SmallMachine m;
  std::vector<std::byte> torn(m->bytes().size() + 64);
  auto* aligned = torn.data() + (64 - reinterpret_cast<std::uintptr_t>(torn.data()) % 64) % 64;
  std::memcpy(aligned, m->bytes().data(), m->bytes().size() - 64);
  EXPECT_DEATH(Machine(std::span{aligned, m->bytes().size() - 64}), "the machine is larger than its bytes");
}

}  // namespace
}  // namespace mmbox
