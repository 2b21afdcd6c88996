#include "mmbox/core/observe/digest.h"

#include <string_view>

namespace mmbox {
namespace {

/// Takes numbers in order. Each step is a bijection of the state, so that two runs part at the first difference.
class Digest {
 public:
  template <class T>
  void add(T value) {
    // Multipliers and shifts of splitmix64, whose output stage this is.
    std::uint64_t x = state_ ^ static_cast<std::uint64_t>(value);
    x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11ebULL;
    state_ = (x ^ (x >> 31)) + 0x9e37'79b9'7f4a'7c15ULL;
  }
  void add(Pfn pfn) { add(pfn.raw()); }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text)
      add(static_cast<unsigned char>(c));
  }
  template <class Range>
  void add_all(const Range& values) {
    for (const auto& value : values)
      add(value);
  }
  [[nodiscard]] std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0;
};

/// Ends a list: no frame has this number.
constexpr std::uint64_t kEnd = ~std::uint64_t{0};

void add_rules(Digest& digest, const Rules& rules) {
  digest.add(rules.generation.name);
  digest.add(rules.has_cma);
  digest.add(rules.mobility_disabled);
}

void add_settings(Digest& digest, const Tunables& tunables) {
  digest.add(tunables.min_free_kbytes);
  digest.add(tunables.user_min_free_kbytes);
  digest.add(tunables.watermark_scale_factor);
  digest.add(tunables.watermark_boost_factor);
  digest.add_all(tunables.lowmem_reserve_ratio);
  digest.add(tunables.percpu_pagelist_high_fraction);
  digest.add(tunables.zone_reclaim_mode);
  digest.add(tunables.min_unmapped_ratio);
  digest.add(tunables.min_slab_ratio);
  digest.add(tunables.dirty_ratio);
  digest.add(tunables.dirty_bytes);
  digest.add(tunables.node_reclaim_distance);
  digest.add(tunables.extfrag_threshold);
  digest.add(tunables.compaction_proactiveness);
}

void add_node(Digest& digest, const MachineView& machine, const NodeState& node) {
  digest.add(node.kswapd.order);
  digest.add(node.kswapd.highest);
  digest.add(node.kswapd.running);
  digest.add(node.kswapd.failures);
  digest.add(node.reclaim_locked);
  digest.add(node.totalreserve_pages);
  digest.add(node.min_unmapped_pages);
  digest.add(node.min_slab_pages);
  digest.add(node.pages.inactive_file);
  digest.add(node.pages.active_file);
  digest.add(node.pages.file_mapped);
  digest.add(node.pages.file_dirty);
  digest.add(node.pages.writeback);
  digest.add(node.pages.slab_reclaimable);
  for (const NodeState::List& list : {node.fallback, node.no_fallback}) {
    for (const ZoneRef& ref : machine.zonelist(list)) {
      digest.add(ref.node.raw());
      digest.add(ref.index.raw());
    }
    digest.add(kEnd);
  }
}

void add_pageset(Digest& digest, const MachineView& machine, const PcpState& pageset) {
  digest.add(pageset.count);
  digest.add(pageset.high);
  digest.add(pageset.batch);
  digest.add(pageset.free_factor);
  digest.add(pageset.expire);
  digest.add(pageset.alloc_factor);
  digest.add(pageset.previous_free_was_high);
  digest.add(pageset.has_large_cache);
  digest.add(pageset.free_count);
  digest.add(pageset.high_min);
  digest.add(pageset.high_max);
  digest.add(pageset.stat.threshold);
  digest.add_all(pageset.stat.delta);
  digest.add(pageset.events.pgalloc);
  digest.add(pageset.events.pgfree);
  digest.add(pageset.events.numa_hit());
  digest.add(pageset.events.numa_miss);
  digest.add(pageset.events.numa_foreign);
  digest.add(pageset.events.numa_local());
  digest.add(pageset.events.numa_other);
  const MemMap& map = machine.env.map;
  for (unsigned list = 0; list < kPcpLists; ++list) {
    const unsigned order = PcpShape::order(list);
    for (FrameIndex i = pageset.lists[list].head; i != kNil; i = map.links(i, order).next)
      digest.add(map.pfn(i));
    digest.add(kEnd);
  }
}

void add_zone(Digest& digest, const MachineView& machine, const ZoneState& zone) {
  digest.add_all(zone.stat);
  digest.add_all(zone.watermark);
  digest.add(zone.watermark_boost);
  digest.add(zone.nr_reserved_highatomic);
  digest.add_all(zone.lowmem_reserve);
  digest.add(zone.flags);
  digest.add(zone.nr_isolate_pageblock);
  digest.add(zone.type);
  digest.add(zone.start);
  digest.add(zone.spanned);
  digest.add(zone.present);
  digest.add(zone.managed);
  digest.add(zone.nr_free_highatomic);
  digest.add(zone.pageset_high);
  digest.add(zone.pageset_high_max);
  digest.add(zone.pageset_batch);
  digest.add(zone.percpu_drift_mark);
  const MemMap& map = machine.env.map;
  for (unsigned order = 0; order < kOrders; ++order) {
    digest.add(zone.nr_free[order]);
    for (const FreeList& list : zone.lists[order]) {
      for (FrameIndex i = list.head; i != kNil; i = map.links(i, order).next)
        digest.add(map.pfn(i));
      digest.add(kEnd);
    }
  }
  for (std::size_t cpu = 0; cpu < machine.cpu_nodes.size(); ++cpu)
    add_pageset(digest, machine, machine.pageset(zone.id, CpuId{cpu}));
}

void add_frames(Digest& digest, const MemMap& map) {
  for (FrameIndex block = 0; block < map.frames(); block += static_cast<FrameIndex>(kPageblockPages)) {
    const Pageblock& record = map.pageblock(block);
    digest.add((std::uint64_t{record.zone} << 24) | (std::uint64_t{record.skip} << 16) |
               (std::uint64_t{raw(record.covered)} << 8) | raw(record.type));
  }
  // Only heads have a state, so a number is added for each block and none for what was never touched.
  for (FrameIndex i = 0; i < map.frames();) {
    const FrameState state = map.state(i);
    if (state.is_none()) {
      ++i;
      continue;
    }
    digest.add((map.pfn(i).raw() << 8) | state.raw());
    i += FrameIndex{1} << state.order();
  }
  digest.add(kEnd);
}

}  // namespace

std::uint64_t digest(const MachineView& machine) {
  Digest digest;
  add_rules(digest, *machine.env.rules);
  add_settings(digest, *machine.tunables);
  for (const NodeId node : machine.cpu_nodes)
    digest.add(node.raw());
  digest.add_all(machine.zone_types);
  digest.add_all(machine.distances);
  for (const NodeState& node : machine.nodes)
    add_node(digest, machine, node);
  for (const ZoneState& zone : machine.zones)
    add_zone(digest, machine, zone);
  add_frames(digest, machine.env.map);
  return digest.value();
}

}  // namespace mmbox
