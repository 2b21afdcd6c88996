#include "mmbox/lab/replay/trace_facts.h"

#include <gtest/gtest.h>

#include "tests/support/small_machine.h"

namespace mmbox::lab {
namespace {

using test::SmallConfig;
using test::SmallMachine;
using test::SmallZone;

/// Two nodes of one Normal zone; a CPU on the first, which has 32 pages free of order 5.
struct TwoNodes {
  SmallMachine m{
      SmallConfig{.zones = {SmallZone{.start = 0, .pages = 2048}, SmallZone{.start = 2048, .pages = 2048, .node = 1}}}};
  TwoNodes() {
    m.free_block(0, 5);
    m.zone(0).watermark = {10, 20, 30, 0};
  }
  std::optional<NodeId> asked(Pfn pfn, unsigned order = 0, Gfp gfp = gfp::kKernel) {
    return node_asked_for(m.machine(), {pfn, Order{order}, gfp, Migratetype::Unmovable}, CpuId{0});
  }
};

TEST(NodeAskedFor, ShowsWhenTheOwnNodeWouldHaveServed) {
  TwoNodes nodes;
  EXPECT_EQ(nodes.asked(Pfn{2048}), NodeId{1});
  EXPECT_EQ(nodes.asked(Pfn{2048}, 3), NodeId{1});
}

TEST(NodeAskedFor, DoesNotShowWhenTheOwnNodeServedOrCouldNot) {
  TwoNodes nodes;
  EXPECT_FALSE(nodes.asked(Pfn{100}));
  EXPECT_FALSE(nodes.asked(Pfn{1 << 20})) << "in no zone";
  EXPECT_FALSE(nodes.asked(Pfn{2048}, 6)) << "no block as large";
  nodes.m.zone(0).watermark = {10, 32, 40, 0};
  EXPECT_FALSE(nodes.asked(Pfn{2048})) << "at its low mark";
}

TEST(NodeAskedFor, ARefusalShowsItWithThisNodeOnly) {
  TwoNodes nodes;
  EXPECT_FALSE(nodes.asked(kNoPfn));
  EXPECT_EQ(nodes.asked(kNoPfn, 0, gfp::kKernel | gfp::kThisNode), NodeId{1});
}

TEST(NodeAskedFor, IsNoQuestionOnOneNode) {
  SmallMachine m;
  m.free_block(0, 5);
  EXPECT_FALSE(node_asked_for(m.machine(), {Pfn{100}, Order{0}, gfp::kKernel, Migratetype::Unmovable}, CpuId{0}));
}

}  // namespace
}  // namespace mmbox::lab
