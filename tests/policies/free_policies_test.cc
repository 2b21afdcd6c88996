// pcp.*, free.*: how pages go back, by which lists, and what is told of it.
#include "mmbox/core/alloc/contig.h"
#include "mmbox/core/compaction/compaction.h"
#include "tests/policies/each_generation.h"

namespace mmbox {
namespace {

using enum Migratetype;
using namespace test;
using Pfns = SmallMachine::Pfns;

// ------------------------------------------------------------- per-cpu lists

TEST(PcpPolicies, HugeBlocksWaitByMobilitySince6197) {
  // Of two order-9 blocks that were freed, one unmovable: what does a movable request get? Older lists keep no such
  // blocks, or both on one.
  expect_each<std::uint64_t>({0, 0, 0, 1024, 0, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.pageset().high = m.pageset().high_min = m.pageset().high_max = 4000;
    m.set_type(1024, Unmovable);
    m.free_block(2048, 10);
    m.adopt(0, 9);
    m.adopt(1024, 9);
    m.free(0, 9);
    m.free(1024, 9);
    return m.alloc(gfp::kHighUserMovable, 9);
  });
}

TEST(PcpPolicies, SizesFollowFourFormulas) {
  // 2 GiB, whose LOW mark is 1972, on one CPU: high, batch, and the most that traffic makes of high.
  expect_each<std::string>(
      {"186 31 0", "186 31 0", "378 63 0", "1972 63 0", "1972 63 0", "1972 63 65536", "1972 63 65536"},
      [](const Generation& g) {
        SmallMachine m{config_of(g)};
        m.zone().managed = 1 << 19;
        m->finish_boot();
        return fmt::format("{} {} {}", m.zone().pageset_high, m.zone().pageset_batch, m.zone().pageset_high_max);
      });
}

TEST(PcpPolicies, AMovableRequestWithoutCmaPassesThePerCpuListIn510) {
  // A pinning task stays movable in 5.10 only; later ones ask for unmovable pages, earlier ones know no pins.
  expect_each<std::uint64_t>({0, 0, 512, 512, 512, 512, 512}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.has_cma = true;
    SmallMachine m{config};
    m.pageset().high = m.pageset().high_min = m.pageset().high_max = 1000;
    m.adopt(0, 0);
    m.free(0, 0);
    EXPECT_EQ(m.pcp(1), Pfns{0}) << "on the Movable list";
    m.free_block(512, 3);
    const Task task{.scope_pin = true};
    return m.alloc({.gfp = gfp::kHighUserMovable, .cpu = CpuId{0}, .task = &task});
  });
}

TEST(PcpPolicies, ColdPagesComeFromTheTailUntil414) {
  expect_each<std::uint64_t>({6, 6, 1, 1, 1, 1, 1}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.batch = 7;
    SmallMachine m{config};
    m.pageset().high = m.pageset().high_min = m.pageset().high_max = 1000;
    m.free_block(0, 3);
    EXPECT_EQ(m.alloc(gfp::kHighUserMovable, 0), 0U);
    return m.alloc(gfp::kHighUserMovable | gfp::kCold, 0);
  });
}

TEST(PcpPolicies, ADrainReturnsEverythingAtOnceUntil6103) {
  // 40 pages and batches of one: 32 and 8.
  expect_each<std::size_t>({1, 1, 1, 1, 2, 2, 2}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.pageset().high = m.pageset().high_min = m.pageset().high_max = 1000;
    m.adopt(0, 0, 40);
    for (std::uint64_t pfn = 0; pfn < 40; ++pfn)
      m.free(pfn, 0);
    EventText events;
    m->attach(&events);
    drain_zone<NoSync>(m.view(), m.zone(), CpuId{0});
    EXPECT_EQ(m.pageset().count, 0);
    return events.count("bulk");
  });
}

// ------------------------------------------------------------- freeing

TEST(FreePolicies, TheTailOfAnExactAllocationGoesToPerCpuListsUntil510) {
  expect_each<std::int32_t>({3, 3, 3, 0, 0, 0, 0}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.pageset().high = m.pageset().high_min = m.pageset().high_max = 1000;
    m.free_block(0, 3);
    EXPECT_TRUE(m->alloc_exact({.gfp = gfp::kKernel, .cpu = CpuId{0}}, PageCount{5}));
    return m.pageset().count;
  });
}

TEST(FreePolicies, AHeldFirstPageKeepsTheRestInOldKernels) {
  expect_each<bool>({true, true, false, false, false, false, false}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.pageset().high = 0;
    m.adopt(0, 4);
    m->free_but_first(Pfn{0}, Order{4}, CpuId{0});
    return m.list(3, Movable).empty();
  });
}

TEST(FreePolicies, AListIsFreedInOnePassOrTwo) {
  // A page, and one of an isolated pageblock: what is told of them, in order, with the end of a free to the lists.
  const std::string one = "batched 0, free 0, batched 512, free 512, one 512";
  const std::string in_place = "free 0, free 512, batched 0, batched 512, one 512";
  const std::string first = "free 0, free 512, one 512, batched 0";
  expect_each<std::string>({one, one, in_place, first, first, in_place, in_place}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    m.pageset().high = m.pageset().high_min = m.pageset().high_max = 1000;
    m.adopt(0, 0);
    m.adopt(512, 0);
    m.set_type(512, Isolate);
    m.zone().nr_isolate_pageblock = 1;
    EventText events;
    m->attach(&events);
    const std::array pages{Pfn{0}, Pfn{512}};
    free_page_list<NoSync>(m.view(), pages, CpuId{0});
    std::string told;
    for (const std::string& line : events.lines)
      for (const auto& [word, name] :
           {std::pair{"free ", "free"}, std::pair{"free_batched ", "batched"}, std::pair{"free_one ", "one"}})
        if (line.starts_with(word)) {
          const std::string rest = line.substr(std::string{word}.size());
          told += fmt::format("{}{} {}", told.empty() ? "" : ", ", name, rest.substr(0, rest.find(' ')));
        }
    return told;
  });
}

TEST(FreePolicies, CompactionCapturesWhatItFreesSince51) {
  // A request for an unmovable pageblock, and one page in the way of it: is the block caught as it comes together?
  constexpr std::uint64_t kBase = 4096;
  expect_each<bool>({false, false, true, true, true, true, true}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.zones = {SmallZone{.start = kBase, .pages = 4096}};
    SmallMachine m{config};
    FakePages pages{m};
    m.set_type(kBase, Unmovable);
    pages.use(kBase);
    for (std::uint64_t pfn = kBase + 1; pfn < kBase + 4096; ++pfn)
      if (pfn < kBase + 512 || (pfn >= kBase + 1024 && pfn % 4 != 0))
        m.free_direct(pfn, 0);
    Compaction compaction{m.view(), pages};
    const AllocContext context = prepare(m.view(), {.gfp = gfp::kKernel, .order = Order{9}, .cpu = CpuId{0}});
    return compaction.direct_compact(context, CompactPriority::SyncLight).captured.has_value();
  });
}

TEST(FreePolicies, ASmallMovableBlockIsCaughtForAMovableRequestSince612) {
  expect_each<bool>({false, false, false, false, false, true, true}, [](const Generation& g) {
    SmallMachine m{config_of(g)};
    CaptureControl control{.zone = m.zone().id, .order = Order{1}, .migratetype = Movable, .page = {}};
    m.free_block(1, 0);
    m.view().env.capture = &control;
    m.free_direct(0, 0);
    m.view().env.capture = nullptr;
    return control.page.has_value();
  });
}

TEST(FreePolicies, OldKernelsSetAPageblockApartTwiceAndNewOnesTakeItOutOfItsBlock) {
  const std::string whole = "o10 Isolate [0]";
  const std::string pieces = "o9 Movable [512] o9 Isolate [0]";
  expect_each<std::string>(
      {whole + ", twice", whole + ", twice", whole, whole, whole, pieces, pieces}, [](const Generation& g) {
        SmallMachine m{config_of(g)};
        m.free_block(0, 10);
        const auto isolate = [&] {
          return isolate_pageblock(m.view(), m.zone(), CpuId{0}, m.index(0), false) == IsolateFailure::None;
        };
        EXPECT_TRUE(isolate());
        const std::string lists = m.lists();
        return lists + (isolate() ? ", twice" : "");
      });
}

TEST(FreePolicies, IsolationDrainedPerCpuListsUntil515) {
  struct Host final : RangeMigrator {
    bool has_unmovable(Pfn, Pfn) override { return false; }
    bool migrate_range(Pfn, Pfn) override { return true; }
  };
  // What is left on the lists of the zone, and of another one.
  expect_each<std::string>({"0 0", "0 1", "0 1", "1 1", "1 1", "1 1", "1 1"}, [](const Generation& g) {
    SmallConfig config = config_of(g);
    config.zones = {SmallZone{.type = ZoneType::Dma32, .start = 0, .pages = 2048},
                    SmallZone{.type = ZoneType::Normal, .start = 2048, .pages = 2048}};
    SmallMachine m{config};
    for (std::size_t zone = 0; zone < 2; ++zone) {
      m.pageset(zone).high = m.pageset(zone).high_min = m.pageset(zone).high_max = 1000;
      m.adopt(zone * 2048, 0);
      m.free(zone * 2048, 0);
    }
    PageRangeIsolation<NoSync> isolation{m.view(), CpuId{0}, m.index(3072), m.index(4096), Movable};
    Host host;
    EXPECT_TRUE(isolation.start(host));
    return fmt::format("{} {}", m.pageset(1).count, m.pageset(0).count);
  });
}

}  // namespace
}  // namespace mmbox
