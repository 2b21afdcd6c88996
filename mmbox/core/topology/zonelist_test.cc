#include "mmbox/core/topology/zonelist.h"

#include <gtest/gtest.h>

#include <vector>

namespace mmbox {
namespace {

constexpr std::array kAmd64{ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable, ZoneType::Device};

using Ids = std::vector<std::size_t>;

struct Orders {
  std::vector<Ids> of_node;
  NodeLoads loads{};
};

Orders node_orders(std::size_t nodes, std::vector<std::uint8_t> distances, std::uint64_t with_memory,
                   std::uint64_t with_cpus) {
  Orders orders;
  const NodeTopology topology{nodes, distances, NodeMask{with_memory}, NodeMask{with_cpus}};
  for (std::size_t n = 0; n < nodes; ++n) {
    std::array<NodeId, kMaxNodes> out{};
    const std::size_t count = node_order(topology, NodeId{n}, NodeLoadRule::PlusOne, orders.loads, out);
    Ids ids;
    for (std::size_t i = 0; i < count; ++i)
      ids.push_back(out[i].raw());
    orders.of_node.push_back(ids);
  }
  return orders;
}

std::vector<std::uint8_t> flat(std::size_t nodes, std::uint8_t remote) {
  std::vector<std::uint8_t> distances(nodes * nodes, remote);
  for (std::size_t n = 0; n < nodes; ++n)
    distances[n * nodes + n] = 10;
  return distances;
}

TEST(NodeOrder, RotatesWhenAllRemoteNodesAreEquallyFar) {
  // 02 §11 example 5.
  const Orders orders = node_orders(4, flat(4, 20), 0xf, 0xf);
  EXPECT_EQ(orders.of_node, (std::vector<Ids>{{0, 1, 2, 3}, {1, 2, 3, 0}, {2, 3, 0, 1}, {3, 0, 1, 2}}));
  for (std::size_t n = 0; n < 4; ++n)
    EXPECT_EQ(orders.loads[n], 1u) << n;
}

TEST(NodeOrder, PutsNearNodesFirst) {
  // Two sockets of two nodes each.
  const std::vector<std::uint8_t> distances{10, 12, 32, 32, 12, 10, 32, 32, 32, 32, 10, 12, 32, 32, 12, 10};
  const Orders orders = node_orders(4, distances, 0xf, 0xf);
  EXPECT_EQ(orders.of_node[0], (Ids{0, 1, 2, 3}));
  EXPECT_EQ(orders.of_node[1][1], 0u);
  EXPECT_EQ(orders.of_node[2][1], 3u);
  EXPECT_EQ(orders.of_node[3][1], 2u);
  // Node 0 chose 2 first among the far ones, so that node 1 chooses 3.
  EXPECT_EQ(orders.of_node[1], (Ids{1, 0, 3, 2}));
}

TEST(NodeOrder, PrefersANodeWithoutCpusAmongEqualOnes) {
  EXPECT_EQ(node_orders(3, flat(3, 20), 0x7, 0x3).of_node[0], (Ids{0, 2, 1}));
}

TEST(NodeOrder, LeavesOutNodesWithoutMemoryExceptTheLocalOne) {
  const Orders orders = node_orders(3, flat(3, 20), 0x5, 0x7);
  EXPECT_EQ(orders.of_node, (std::vector<Ids>{{0, 2}, {1, 2, 0}, {2, 0}}));
}

TEST(NodeOrder, BreaksTiesByLoadAndThenById) {
  // From node 3 all others are below it; 1 and 2 are loaded by then, 0 is not.
  const Orders orders = node_orders(4, flat(4, 20), 0xf, 0x0);
  EXPECT_EQ(orders.of_node[3], (Ids{3, 0, 1, 2}));
  EXPECT_EQ(node_orders(1, flat(1, 20), 0x1, 0x1).of_node[0], (Ids{0}));
}

TEST(NodeOrder, HoldsTheLargestMachine) {
  const Orders orders = node_orders(kMaxNodes, flat(kMaxNodes, 20), ~0ULL, ~0ULL);
  EXPECT_EQ(orders.of_node[63].size(), kMaxNodes);
  EXPECT_EQ(orders.of_node[63].front(), 63u);
}

std::vector<ZoneConfig> machine(std::vector<std::vector<std::uint64_t>> present) {
  std::vector<ZoneConfig> zones;
  for (std::size_t n = 0; n < present.size(); ++n) {
    for (std::size_t i = 0; i < kAmd64.size(); ++i) {
      zones.push_back(ZoneConfig{.node = NodeId{n},
                                 .index = ZoneIndex{i},
                                 .type = kAmd64[i],
                                 .start = Pfn{0},
                                 .spanned = PageCount{present[n][i]},
                                 .present = PageCount{present[n][i]}});
    }
  }
  return zones;
}

std::vector<std::string> list_of(const std::vector<ZoneConfig>& zones, std::vector<std::size_t> order) {
  std::vector<NodeId> nodes;
  for (const std::size_t n : order)
    nodes.push_back(NodeId{n});
  std::array<ZoneRef, kMaxZones> out{};
  const std::size_t count = build_zonelist(zones, kAmd64.size(), nodes, out);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_EQ(out[i].zone.raw(), out[i].node.raw() * kAmd64.size() + out[i].index.raw());
    names.push_back(std::to_string(out[i].node.raw()) + "/" + std::string{zone_type_name(kAmd64[out[i].index.raw()])});
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(Zonelist, GoesFromTheHighestZoneDown) {
  // 01 §12 example 5.
  EXPECT_EQ(list_of(machine({{3998, 61402, 65536, 0, 0}}), {0}), (Names{"0/Normal", "0/DMA32", "0/DMA"}));
}

TEST(Zonelist, FallsToTheNextNodeOnlyAfterAllZonesOfTheFirst) {
  // As recorded on two nodes.
  const auto zones = machine({{3998, 94170, 32768, 0, 0}, {0, 0, 131072, 0, 0}});
  EXPECT_EQ(list_of(zones, {0, 1}), (Names{"0/Normal", "0/DMA32", "0/DMA", "1/Normal"}));
  EXPECT_EQ(list_of(zones, {1, 0}), (Names{"1/Normal", "0/Normal", "0/DMA32", "0/DMA"}));
  EXPECT_EQ(list_of(zones, {1}), (Names{"1/Normal"}));
}

TEST(Zonelist, StartsWithMovable) {
  EXPECT_EQ(list_of(machine({{3998, 61402, 43008, 88064, 0}}), {0}),
            (Names{"0/Movable", "0/Normal", "0/DMA32", "0/DMA"}));
}

TEST(Zonelist, LeavesOutEmptyAndDeviceZones) {
  EXPECT_EQ(list_of(machine({{0, 1, 0, 0, 512}}), {0}), (Names{"0/DMA32"}));
  EXPECT_EQ(list_of(machine({{0, 0, 0, 0, 0}}), {0}), Names{});
}

TEST(Zonelist, IsWalkedPastZonesThatAreTooHighOrOnOtherNodes) {
  const auto zones = machine({{3998, 94170, 32768, 0, 0}, {0, 0, 131072, 0, 0}});
  std::array<ZoneRef, 8> out{};
  const std::array order{NodeId{0}, NodeId{1}};
  const std::span<const ZoneRef> list = std::span{out}.first(build_zonelist(zones, kAmd64.size(), order, out));
  EXPECT_EQ(next_zone(list, 0, ZoneIndex{3}), 0u);
  // GFP_DMA32: first the DMA32 entry, then DMA, and nothing on node 1.
  EXPECT_EQ(next_zone(list, 0, ZoneIndex{1}), 1u);
  EXPECT_EQ(next_zone(list, 2, ZoneIndex{1}), 2u);
  EXPECT_EQ(next_zone(list, 3, ZoneIndex{1}), list.size());
  EXPECT_EQ(next_zone(list, 0, ZoneIndex{2}, NodeMask::of(NodeId{1})), 3u);
  EXPECT_EQ(next_zone(list, 0, ZoneIndex{2}, NodeMask{}), list.size());
  EXPECT_EQ(next_zone(list, list.size(), ZoneIndex{2}), list.size());
}

}  // namespace
}  // namespace mmbox
