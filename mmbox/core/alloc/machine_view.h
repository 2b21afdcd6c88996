// The parts of a machine as the allocator sees them: zones, nodes, pagesets and lists, wherever they lie.
//
// Plain data and pointers; the machine that owns the bytes fills it in and hands it down.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mmbox/core/alloc/hosts.h"
#include "mmbox/core/alloc/vm_events.h"
#include "mmbox/core/base/near.h"
#include "mmbox/core/buddy/buddy.h"
#include "mmbox/core/pcp/pcp.h"
#include "mmbox/core/topology/zonelist.h"

namespace mmbox {

/// Page counts of a node that the host keeps and the allocator's gates read. Unit: pages.
struct NodePageStats {
  std::int64_t inactive_anon = 0;
  std::int64_t active_anon = 0;
  std::int64_t inactive_file = 0;
  std::int64_t active_file = 0;
  std::int64_t isolated_anon = 0;  ///< taken off their lists, to be moved or evicted
  std::int64_t isolated_file = 0;
  std::int64_t file_mapped = 0;
  std::int64_t file_dirty = 0;
  std::int64_t writeback = 0;
  std::int64_t slab_reclaimable = 0;
};

/// What is remembered for a node's kswapd until it runs.
struct KswapdState {
  static constexpr std::uint8_t kNoZone = 0xff;
  std::uint8_t order = 0;
  std::uint8_t highest = kNoZone;  ///< zone index; kNoZone while nothing is asked
  bool running = false;            ///< woken and not asleep again
  std::uint8_t failures = 0;       ///< fruitless runs in a row; hopeless from 16 on
};
inline constexpr unsigned kMaxReclaimRetries = 16;

/// What is remembered for a node's kcompactd until it runs.
struct KcompactdState {
  std::uint8_t order = 0;    ///< the largest that was asked for; 0 while nothing is
  std::uint8_t highest = 0;  ///< zone index
};

struct NodeState {
  NodeId id;
  std::uint16_t cpus = 0;
  KswapdState kswapd;
  KcompactdState kcompactd;
  bool reclaim_locked = false;  ///< somebody is in node reclaim
  std::int64_t totalreserve_pages = 0;
  std::int64_t min_unmapped_pages = 0;
  std::int64_t min_slab_pages = 0;
  NodePageStats pages;
  /// Positions in the machine's zone references: the fallback list, then the list of __GFP_THISNODE.
  struct List {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
  };
  List fallback;
  List no_fallback;
  /// FullZoneCache: by position in the fallback list, zones that were full not long ago.
  std::array<std::uint64_t, (kMaxZones + 63) / 64> full_zones{};
};

/// Masks as far as they choose zone and type: the lowest five bits, gfp::kDma to gfp::kReclaimable.
inline constexpr std::size_t kUsualMasks = 32;
/// Where a request of one CPU for one page begins if nothing is said but its mask, worked out once.
struct UsualStart {
  Near<ZoneState> zone;                 ///< the first one of the list of the CPU's node
  Near<PcpState> pageset;               ///< of the CPU in that zone
  Near<const std::int64_t> highatomic;  ///< what the watermark test takes off that zone's free pages
  ZoneIndex highest;                    ///< the highest zone that the mask allows
  std::uint8_t mark = 0;                ///< the watermark that a first attempt is held to first
  std::uint8_t list = kNoPcpList;       ///< of the mask's type; none if no zone of the CPU's own node comes first
  bool asks_more = false;               ///< the walk of this machine has more to ask
};

/// A machine, taken apart. Spans live as long as the machine's bytes.
struct MachineView {
  BuddyEnv env;
  const Tunables* tunables = nullptr;
  std::span<ZoneState> zones;         ///< by ZoneId: [nodes][zone types]
  std::span<NodeState> nodes;         ///< by NodeId
  std::span<PcpState> pagesets;       ///< [cpus][zones]
  std::span<const NodeId> cpu_nodes;  ///< by CpuId
  std::span<const ZoneType> zone_types;
  std::span<const ZoneRef> zone_refs;
  std::span<const std::uint8_t> distances;  ///< [nodes][nodes]
  std::span<UsualStart> usual_starts;       ///< [cpus][kUsualMasks]
  PcpShape pcp_shape{};
  VmEvents* events = nullptr;
  Hosts hosts;

  [[nodiscard]] PcpState& pageset(ZoneId zone, CpuId cpu) const {
    return pagesets[cpu.raw() * zones.size() + zone.raw()];
  }
  [[nodiscard]] Buddy buddy(ZoneState& zone, CpuId cpu) const { return {env, zone, pageset(zone.id, cpu).stat}; }
  /// `of` is the pageset of `cpu` in `zone`.
  template <SyncPolicy S>
  [[nodiscard]] Pcp<S> pcp(ZoneState& zone, PcpState& of, CpuId cpu) const {
    return {Buddy{env, zone, of.stat}, of, pcp_shape, cpu};
  }
  template <SyncPolicy S>
  [[nodiscard]] Pcp<S> pcp(ZoneState& zone, CpuId cpu) const {
    return pcp<S>(zone, pageset(zone.id, cpu), cpu);
  }
  [[nodiscard]] std::span<const ZoneRef> zonelist(NodeState::List list) const {
    return zone_refs.subspan(list.begin, list.count);
  }
  [[nodiscard]] const UsualStart& usual_start(CpuId cpu, Gfp gfp) const {
    return usual_starts[cpu.raw() * kUsualMasks + gfp.raw() % kUsualMasks];
  }
  /// The index of a zone type; nullopt if it is compiled out.
  [[nodiscard]] std::optional<ZoneIndex> index_of(ZoneType type) const {
    for (std::size_t i = 0; i < zone_types.size(); ++i)
      if (zone_types[i] == type)
        return ZoneIndex{i};
    return std::nullopt;
  }
  [[nodiscard]] unsigned distance(NodeId a, NodeId b) const { return distances[a.raw() * nodes.size() + b.raw()]; }
  /// The zone that a frame belongs to. Checks: the frame is memory of some zone.
  [[nodiscard]] ZoneState& zone_of(FrameIndex index) const {
    const std::uint16_t zone = env.map.pageblock(index).zone;
    MMBOX_CHECK(zone != kNoZone, "frame in a hole: pfn, frames of the map", env.map.pfn(index).raw(), env.map.frames());
    return zones[zone];
  }
};

}  // namespace mmbox
