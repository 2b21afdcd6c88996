// In which order a request of one node looks at the zones of the machine: node order by distance, then the lists.
//
// Pure arithmetic on a layout; the results go into the caller's spans. The walk over a list is here too, since what
// counts as "the first zone" of a request is a property of the list.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mmbox/core/base/policy.h"
#include "mmbox/core/base/units.h"
#include "mmbox/core/topology/layout.h"
#include "mmbox/core/topology/tunables.h"

namespace mmbox {

/// A set of nodes.
class NodeMask {
 public:
  constexpr NodeMask() = default;
  /// Bit n stands for node n.
  constexpr explicit NodeMask(std::uint64_t bits) : bits_(bits) {}
  [[nodiscard]] static constexpr NodeMask all() { return NodeMask{~0ULL}; }
  [[nodiscard]] static constexpr NodeMask of(NodeId node) { return NodeMask{1ULL << node.raw()}; }
  [[nodiscard]] constexpr std::uint64_t raw() const { return bits_; }
  [[nodiscard]] constexpr bool has(NodeId node) const { return (bits_ >> node.raw() & 1) != 0; }
  constexpr void add(NodeId node) { bits_ |= 1ULL << node.raw(); }
  friend constexpr bool operator==(NodeMask, NodeMask) = default;

 private:
  std::uint64_t bits_ = 0;
};
static_assert(kMaxNodes == 64, "NodeMask has one bit for each node");

/// What the node order depends on. The span belongs to the caller.
struct NodeTopology {
  std::size_t nodes;                        ///< ids are 0 … nodes - 1
  std::span<const std::uint8_t> distances;  ///< shape [nodes][nodes], row = from; 10 = local
  NodeMask with_memory;                     ///< nodes with a populated zone
  NodeMask with_cpus;
  [[nodiscard]] constexpr unsigned distance(NodeId from, NodeId to) const {
    return distances[from.raw() * nodes + to.raw()];
  }
};

/// How often each node was the first of its distance. Zero before the order of node 0, kept while the orders of all
/// nodes are made, in ascending order.
using NodeLoads = std::array<std::uint32_t, kMaxNodes>;

/// Writes the nodes that `local` turns to, itself first, and accounts for the choice in `loads`.
///
/// `local` is in it even if it has no memory; every other node only if it has.
/// Returns how many were written; `out` needs room for `topology.nodes`.
/// Source: find_next_best_node() and build_zonelists(), mm/page_alloc.c.
constexpr std::size_t node_order(const NodeTopology& topology, NodeId local, NodeLoadRule rule, NodeLoads& loads,
                                 std::span<NodeId> out) {
  // Larger than any load can grow, so that the load only breaks ties.
  constexpr std::uint64_t kLoadScale = 1024;
  static_assert(kLoadScale > kMaxNodes, "a load grows at most once for each node's order");
  NodeMask used;
  NodeId previous = local;
  std::size_t count = 0;
  while (count < topology.nodes) {
    NodeId best = local;
    if (count != 0) {
      bool found = false;
      std::uint64_t best_value = 0;
      for (std::size_t n = 0; n < topology.nodes; ++n) {
        const NodeId node{n};
        if (used.has(node) || !topology.with_memory.has(node))
          continue;
        // Nodes above the local one come first, so that not everyone falls on node 0; a node with CPUs has users of its
        // own.
        std::uint64_t value = topology.distance(local, node) + (node < local ? 1u : 0u);
        value += topology.with_cpus.has(node) ? 1u : 0u;
        value = value * kLoadScale + loads[n];
        if (!found || value < best_value) {
          found = true;
          best = node;
          best_value = value;
        }
      }
      if (!found)
        break;
    }
    if (topology.distance(local, best) != topology.distance(local, previous)) {
      switch (rule) {
        case NodeLoadRule::Rank: loads[best.raw()] = static_cast<std::uint32_t>(topology.nodes - count); break;
        case NodeLoadRule::PlusOne: loads[best.raw()] += 1; break;
      }
    }
    out[count++] = best;
    used.add(best);
    previous = best;
  }
  return count;
}

/// One entry of a zonelist.
struct ZoneRef {
  ZoneId zone;
  ZoneIndex index;
  NodeId node;
  friend constexpr bool operator==(ZoneRef, ZoneRef) = default;
};

/// Writes a zonelist: for each node of `order` its populated zones, highest index first.
///
/// The FALLBACK list of a node takes its whole node_order(); the NOFALLBACK list (__GFP_THISNODE) only itself.
/// Populated means present pages, be they managed or not; Device zones are in no list. `zones` has the shape
/// [nodes][zone_types]. Returns how many were written; `out` needs room for nodes × zone_types. Source:
/// build_zonerefs_node(), mm/page_alloc.c.
constexpr std::size_t build_zonelist(std::span<const ZoneConfig> zones, std::size_t zone_types,
                                     std::span<const NodeId> order, std::span<ZoneRef> out) {
  std::size_t count = 0;
  for (const NodeId node : order) {
    for (std::size_t i = zone_types; i-- > 0;) {
      const std::size_t id = node.raw() * zone_types + i;
      if (zones[id].present != PageCount{} && zones[id].type != ZoneType::Device)
        out[count++] = ZoneRef{ZoneId{id}, ZoneIndex{i}, node};
    }
  }
  return count;
}

/// Writes a zonelist in zone order: the highest zone type of every node of `order`, then the next lower one, ….
/// Source: build_zonelists_in_zone_order(), until 4.13.
constexpr std::size_t build_zonelist_by_zone(std::span<const ZoneConfig> zones, std::size_t zone_types,
                                             std::span<const NodeId> order, std::span<ZoneRef> out) {
  std::size_t count = 0;
  for (std::size_t i = zone_types; i-- > 0;) {
    for (const NodeId node : order) {
      const std::size_t id = node.raw() * zone_types + i;
      if (zones[id].present != PageCount{} && zones[id].type != ZoneType::Device)
        out[count++] = ZoneRef{ZoneId{id}, ZoneIndex{i}, node};
    }
  }
  return count;
}

/// True if 3.10's default is zone order: the zones below Normal are worth saving for those who need them.
///
/// `zones` has the shape [nodes][zone_types]. With one node both orders are the same. Source: default_zonelist_order().
[[nodiscard]] constexpr bool prefers_zone_order(std::span<const ZoneConfig> zones, std::size_t zone_types) {
  std::uint64_t low = 0;
  std::uint64_t total = 0;
  std::uint64_t with_memory = 0;
  const auto add = [&](std::size_t node, std::uint64_t& node_low, std::uint64_t& node_total) {
    bool has_normal = false;
    for (std::size_t i = 0; i < zone_types; ++i) {
      const ZoneConfig& zone = zones[node * zone_types + i];
      node_total += zone.present.raw();
      node_low += zone.type < ZoneType::Normal ? zone.present.raw() : 0;
      has_normal = has_normal || (zone.type == ZoneType::Normal && zone.present != PageCount{});
    }
    return has_normal;
  };
  const std::size_t nodes = zones.size() / zone_types;
  for (std::size_t n = 0; n < nodes; ++n) {
    std::uint64_t node_total = 0;
    // A node with low memory alone would be bypassed by its own requests.
    if (!add(n, low, node_total))
      return false;
    total += node_total;
    with_memory += node_total != 0 ? 1 : 0;
  }
  if (low == 0 || low > total / 2)
    return false;
  const std::uint64_t average = total / (with_memory + 1);
  for (std::size_t n = 0; n < nodes; ++n) {
    std::uint64_t node_low = 0;
    std::uint64_t node_total = 0;
    static_cast<void>(add(n, node_low, node_total));
    if (node_low != 0 && node_total > average && node_low > node_total * 70 / 100)
      return false;
  }
  return true;
}

/// The first position at or after `from` that a request may use, or the list's length.
///
/// The first zone of a request is next_zone(list, 0, …); after position p comes next_zone(list, p + 1, …).
/// Source: next_zones_zonelist(), mm/mmzone.c.
[[nodiscard]] constexpr std::size_t next_zone(std::span<const ZoneRef> list, std::size_t from, ZoneIndex highest,
                                              NodeMask nodes = NodeMask::all()) {
  while (from < list.size() && (list[from].index > highest || !nodes.has(list[from].node)))
    ++from;
  return from;
}

}  // namespace mmbox
