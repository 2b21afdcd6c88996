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
constexpr std::uint64_t kFailed = SmallMachine::kFailed;

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

}  // namespace
}  // namespace mmbox
