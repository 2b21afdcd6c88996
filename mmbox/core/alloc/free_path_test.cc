#include "mmbox/core/alloc/free_path.h"

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

// ------------------------------------------------------------- what is counted (04 §1)

TEST(Free, PgfreeCountsPerCpuFreesAndDirectOnesButNotIsolatedPages) {
  SmallMachine m;
  const auto pgfree = [&] { return m.pageset().events.pgfree; };
  m.adopt(0, 2);
  m.free(0, 2);
  EXPECT_EQ(pgfree(), 4u);
  m.adopt(64, 5);
  m.free(64, 5);
  EXPECT_EQ(pgfree(), 36u);
  m.set_type(512, Isolate);
  m.zone().nr_isolate_pageblock = 1;
  m.adopt(512, 0);
  m.free(512, 0);
  EXPECT_EQ(pgfree(), 36u) << "a page that misses its per-cpu list is not counted";
  m.adopt(544, 5);
  m.free(544, 5);
  EXPECT_EQ(pgfree(), 68u) << "larger orders are, wherever they go";
}

TEST(Free, PgfreeCountsTheTailOfAnExactAllocation) {
  SmallMachine m;
  m.free_block(0, 10);
  const AllocResult block =
      m->alloc_exact({.gfp = gfp::kKernel, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}}, PageCount{21});
  ASSERT_TRUE(block);
  EXPECT_EQ(m.pageset().events.pgalloc, 32u);
  EXPECT_EQ(m.pageset().events.pgfree, 11u);
}

// ------------------------------------------------------------- lists, pieces, exact sizes (04 §1, §5, §8)

TEST(Free, AListPutsIsolatedPagesBackFirstAndTheRestInOrder) {
  SmallMachine m;
  m.set_type(512, Isolate);
  m.zone().nr_isolate_pageblock = 1;
  for (const std::uint64_t pfn : {4u, 512u, 8u, 516u})
    m.adopt(pfn, 0);
  EventText events;
  m->attach(&events);
  const std::array pages{Pfn{4}, Pfn{512}, Pfn{8}, Pfn{516}};
  m->free_list(pages, CpuId{0});
  EXPECT_THAT(events.lines, ElementsAre("free 4 order=0", "free 512 order=0", "free_one 512 order=0 Isolate tail=0",
                                        "free 8 order=0", "free 516 order=0", "free_one 516 order=0 Isolate tail=0",
                                        "free_batched 4", "free_batched 8"));
  EXPECT_EQ(m.pcp(1), (Pfns{8, 4}));
  EXPECT_EQ(m.violation(), "");
}

TEST(Free, AllButTheFirstPageGoBackUpperHalfFirst) {
  SmallMachine m;
  m.adopt(64, 3);
  EventText events;
  m->attach(&events);
  m->free_but_first(Pfn{64}, Order{3}, CpuId{0});
  EXPECT_THAT(events.of("free"), ElementsAre("free 68 order=2", "free 66 order=1", "free 65 order=0"));
  EXPECT_EQ(m.pageset().count, 7);
  m.free(64, 0);
  EXPECT_EQ(m.pageset().count, 8);
}

TEST(Free, PiecesOfASplitBlockAreFreedAlone) {
  SmallMachine m;
  m.free_block(0, 10);
  EXPECT_EQ(m.alloc(gfp::kKernel, 4), 0u);
  m->split(Pfn{0}, Order{4});
  for (std::uint64_t pfn = 0; pfn < 16; ++pfn)
    m.free(pfn, 0);
  EXPECT_EQ(m.pageset().count, 16);
  m->drain_all();
  EXPECT_EQ(m.list(10, Unmovable), (Pfns{0}));
  EXPECT_EQ(m.violation(), "");
}

TEST(Free, AnExactAllocationGivesItsTailBackAtTheTailOfTheLists) {
  SmallMachine m;
  m.set_type(0, Unmovable, 2);
  m.free_block(1024, 0, Unmovable);
  m.set_type(1024, Unmovable);
  m.free_block(0, 10, Unmovable);
  const AllocResult block =
      m->alloc_exact({.gfp = gfp::kKernel, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}}, PageCount{21});
  ASSERT_TRUE(block);
  EXPECT_EQ(*block, Pfn{0});
  EXPECT_EQ(m.list(0, Unmovable), (Pfns{1024, 21}));
  EXPECT_EQ(m.list(1, Unmovable), (Pfns{22}));
  EXPECT_EQ(m.list(3, Unmovable), (Pfns{24}));
  EXPECT_EQ(m.zone().stat[0], 1 + 1024 - 21);
  for (std::uint64_t pfn = 0; pfn < 21; ++pfn)
    m.free(pfn, 0);
  EXPECT_EQ(m.violation(), "");
}

TEST(Free, AnExactAllocationOfAWholeBlockHasNoTail) {
  SmallMachine m;
  m.free_block(0, 10);
  const Request request{.gfp = gfp::kHighUserMovable, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}};
  EXPECT_EQ(m->alloc_exact(request, PageCount{32}).value(), Pfn{0});
  EXPECT_EQ(m.zone().stat[0], 1024 - 32);
  EXPECT_EQ(m->alloc_exact(request, PageCount{1025}).error(), AllocFailure::OrderTooLarge);
}

TEST(Free, ACompoundExactAllocationIsNotCompound) {
  SmallMachine m;
  m.free_block(0, 10);
  ASSERT_TRUE(m->alloc_exact(
      {.gfp = gfp::kHighUserMovable | gfp::kComp, .order = Order{0}, .cpu = {}, .node = {}, .nodemask = {}},
      PageCount{5}));
  for (std::uint64_t pfn = 0; pfn < 5; ++pfn)
    EXPECT_TRUE(m->frame_state(Pfn{pfn}).is_allocated_as(0));
}

// ------------------------------------------------------------- misuse

struct MisuseDeathTest : testing::Test {
  SmallMachine m;
  MisuseDeathTest() {
    m.free_block(1024, 10);
    m.adopt(16, 2);
    m.adopt(32, 2);
  }
};

TEST_F(MisuseDeathTest, FreeingAFreeBlockIsADoubleFree) {
  EXPECT_DEATH(m.free(1024, 10), "double free: pfn is free already, as a block of order: 0x400, 10");
  m.free(16, 2);
  EXPECT_DEATH(m.free(16, 2), "double free: pfn is free already, as a block of order: 0x10, 2");
  m->drain_all();
  EXPECT_DEATH(m.free(16, 2), "double free");
  EXPECT_DEATH(m.free(16, 0), "double free");
}

TEST_F(MisuseDeathTest, FreeingWithAnotherOrderIsTold) {
  EXPECT_DEATH(m.free(16, 1), "free with the wrong order: pfn was allocated with order: 0x10, 2");
  EXPECT_DEATH(m.free(16, 3), "free with the wrong order");
  EXPECT_DEATH(m->free_but_first(Pfn{16}, Order{3}, CpuId{0}), "free with the wrong order");
}

TEST_F(MisuseDeathTest, FreeingWhatIsNoBlockIsTold) {
  EXPECT_DEATH(m.free(17, 0), "free of a foreign frame: pfn heads no allocated block; order given: 0x11, 0");
  EXPECT_DEATH(m.free(1025, 0), "free of a foreign frame") << "the inside of a free block";
  EXPECT_DEATH(m.free(500, 9), "free of a foreign frame");
  EXPECT_DEATH(m->free_list(std::array{Pfn{500}}, CpuId{0}), "free of a foreign frame");
}

TEST_F(MisuseDeathTest, FramesOutsideOfTheMachineAreTold) {
  EXPECT_DEATH(m.free(4096, 0), "frame outside of the machine: pfn, frames of the map: 0x1000, 4096");
  EXPECT_DEATH(m.free(~0ULL, 0), "frame outside of the machine");
  EXPECT_DEATH(m->free_list(std::array{Pfn{9999}}, CpuId{0}), "frame outside of the machine");
  EXPECT_DEATH(m->split(Pfn{4096}, Order{0}), "frame outside of the machine");
  SmallMachine high{SmallConfig{.zones = {{.start = 4096, .pages = 1024}}}};
  EXPECT_DEATH(high.free(4095, 0), "frame outside of the machine");
}

TEST_F(MisuseDeathTest, CompoundBlocksAreNotSplit) {
  EXPECT_EQ(m.alloc(gfp::kKernel | gfp::kComp, 2), 1024u);
  EXPECT_DEATH(m->split(Pfn{1024}, Order{2}), "split: pfn is a compound block of order: 0x400, 2");
  EXPECT_DEATH(m->split(Pfn{16}, Order{3}), "split: pfn is not an allocated block of order: 0x10, 3");
}

TEST(Adopt, TakesOnlyFramesThatNobodyHas) {
  SmallMachine m;
  m.free_block(1024, 10);
  EXPECT_TRUE(m->adopt(Pfn{16}, Order{2}));
  EXPECT_FALSE(m->adopt(Pfn{16}, Order{2}));
  EXPECT_FALSE(m->adopt(Pfn{12}, Order{3})) << "not aligned";
  EXPECT_FALSE(m->adopt(Pfn{16}, Order{4})) << "holds an allocated block";
  EXPECT_FALSE(m->adopt(Pfn{0}, Order{5})) << "holds an allocated block";
  EXPECT_FALSE(m->adopt(Pfn{18}, Order{1})) << "inside an allocated block";
  EXPECT_FALSE(m->adopt(Pfn{1500}, Order{0})) << "inside a free block";
  EXPECT_FALSE(m->adopt(Pfn{4096}, Order{0}));
  m.free(16, 2);
  EXPECT_FALSE(m->adopt(Pfn{16}, Order{2})) << "on a per-cpu list";
  EXPECT_FALSE(m->adopt(Pfn{17}, Order{0})) << "inside a block on a per-cpu list";
  EXPECT_TRUE(m->adopt(Pfn{20}, Order{2}));
}

}  // namespace
}  // namespace mmbox
