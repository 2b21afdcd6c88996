// The parts of BasicMachine that run seldom. Included by the file that instantiates a locking policy.
#pragma once

#include "mmbox/core/machine/machine.h"
#include "mmbox/core/topology/boot_blocks.h"
#include "mmbox/core/topology/watermark.h"
#include "mmbox/core/topology/zonelist.h"

namespace mmbox {
namespace detail {

inline constexpr std::uint64_t kMachineMagic = 0x6d6d'626f'7800'0002;

/// Where each array lies in a machine's bytes.
struct MachineLayout {
  std::size_t nodes, zones, pagesets, cpu_nodes, types, distances, refs, starts, pageblocks, states, links, end;

  static constexpr std::size_t place(std::size_t& at, std::size_t size) {
    const std::size_t here = at;
    at = (at + size + 63) & ~std::size_t{63};
    return here;
  }
  static constexpr MachineLayout of(std::size_t nodes, std::size_t types, std::size_t cpus, std::size_t frames) {
    MachineLayout layout{};
    std::size_t at = 0;
    place(at, sizeof(MachineHeader));
    layout.nodes = place(at, nodes * sizeof(NodeState));
    layout.zones = place(at, nodes * types * sizeof(ZoneState));
    layout.pagesets = place(at, nodes * types * cpus * sizeof(PcpState));
    layout.cpu_nodes = place(at, cpus * sizeof(NodeId));
    layout.types = place(at, types * sizeof(ZoneType));
    layout.distances = place(at, nodes * nodes);
    // For each node a fallback list over all zones and one over its own.
    layout.refs = place(at, nodes * (nodes + 1) * types * sizeof(ZoneRef));
    layout.starts = place(at, cpus * kUsualMasks * sizeof(UsualStart));
    layout.pageblocks = place(at, frames / kPageblockPages * sizeof(Pageblock));
    layout.states = place(at, frames * sizeof(FrameState));
    layout.links = place(at, frames * sizeof(Links));
    layout.end = at;
    return layout;
  }
};

/// The frames that a memory map must cover, aligned so that every buddy is inside.
inline PfnRange covered_frames(const MachineConfig& config) {
  std::uint64_t begin = ~std::uint64_t{0};
  std::uint64_t end = 0;
  for (const ZoneConfig& zone : config.zones) {
    if (zone.spanned == PageCount{})
      continue;
    begin = zone.start.raw() < begin ? zone.start.raw() : begin;
    const std::uint64_t zone_end = (zone.start + zone.spanned).raw();
    end = zone_end > end ? zone_end : end;
  }
  if (begin > end)
    return {};
  constexpr std::uint64_t kAlign = std::uint64_t{1} << kMaxPageOrder;
  return {Pfn{begin & ~(kAlign - 1)}, Pfn{(end + kAlign - 1) & ~(kAlign - 1)}};
}

inline ZoneSize size_of(const ZoneState& zone) {
  return {.node = zone.node,
          .type = zone.type,
          .is_highmem = zone.is_highmem,
          .present_pages = static_cast<std::uint64_t>(zone.present),
          .managed_pages = static_cast<std::uint64_t>(zone.managed),
          .high_pages = static_cast<std::uint64_t>(zone.mark(static_cast<unsigned>(Watermark::High)))};
}

/// Takes the zones out of a zonelist that have nothing to hand out, by the estimate of early boot. Returns its length.
inline std::size_t drop_unmanaged(std::span<const ZoneConfig> zones, std::span<ZoneRef> list) {
  std::size_t kept = 0;
  for (const ZoneRef& ref : list)
    if (managed_estimate(zones[ref.zone.raw()]) != 0)
      list[kept++] = ref;
  return kept;
}

inline Watermarks marks_of(const ZoneState& zone) {
  const auto mark = [&](Watermark which) {
    return static_cast<std::uint64_t>(zone.watermark[static_cast<unsigned>(which)]);
  };
  return {mark(Watermark::Min), mark(Watermark::Low), mark(Watermark::High), mark(Watermark::Promo)};
}

}  // namespace detail

template <SyncPolicy S>
std::size_t BasicMachine<S>::storage_size(const MachineConfig& config) {
  const std::size_t frames = detail::covered_frames(config).pages().raw();
  return detail::MachineLayout::of(config.nodes, config.zone_types.size(), config.cpus.size(), frames).end;
}

template <SyncPolicy S>
void BasicMachine<S>::open(std::span<std::byte> storage) {
  using namespace detail;
  std::byte* const base = storage.data();
  header_ = reinterpret_cast<MachineHeader*>(base);
  MMBOX_CHECK(header_->magic == kMachineMagic, "these bytes are no machine: magic, size", header_->magic,
              storage.size());
  const MachineHeader& h = *header_;
  const MachineLayout at = MachineLayout::of(h.nodes, h.zone_types, h.cpus, h.frames);
  MMBOX_CHECK(at.end <= storage.size(), "the machine is larger than its bytes: needs, has", at.end, storage.size());
  storage_ = storage.first(at.end);
  view_.env.map = MemMap{h.first, h.frames, reinterpret_cast<FrameState*>(base + at.states),
                         reinterpret_cast<Links*>(base + at.links), reinterpret_cast<Pageblock*>(base + at.pageblocks)};
  view_.env.rules = &header_->rules;
  view_.tunables = &header_->tunables;
  view_.events = &header_->events;
  view_.nodes = {reinterpret_cast<NodeState*>(base + at.nodes), h.nodes};
  const std::size_t zones = std::size_t{h.nodes} * h.zone_types;
  view_.zones = {reinterpret_cast<ZoneState*>(base + at.zones), zones};
  view_.pagesets = {reinterpret_cast<PcpState*>(base + at.pagesets), zones * h.cpus};
  view_.cpu_nodes = {reinterpret_cast<const NodeId*>(base + at.cpu_nodes), h.cpus};
  view_.zone_types = {reinterpret_cast<const ZoneType*>(base + at.types), h.zone_types};
  view_.distances = {reinterpret_cast<const std::uint8_t*>(base + at.distances), std::size_t{h.nodes} * h.nodes};
  view_.zone_refs = {reinterpret_cast<const ZoneRef*>(base + at.refs),
                     std::size_t{h.nodes} * (h.nodes + 1) * h.zone_types};
  view_.usual_starts = {reinterpret_cast<UsualStart*>(base + at.starts), h.cpus * kUsualMasks};
  view_.pcp_shape = PcpShape::of(h.rules.generation.pcp.lists, h.has_thp != 0);
}

template <SyncPolicy S>
BasicMachine<S>::BasicMachine(const MachineConfig& config, std::span<std::byte> storage) {
  using namespace detail;
  const std::size_t types = config.zone_types.size();
  MMBOX_CHECK(storage_size(config) <= storage.size(), "too little storage for the machine: needs, has",
              storage_size(config), storage.size());
  MMBOX_CHECK(config.nodes <= kMaxNodes, "too many nodes: has, may have", config.nodes, kMaxNodes);
  MMBOX_CHECK(types <= kMaxZoneTypes, "too many zone types: has, may have", types, kMaxZoneTypes);
  MMBOX_CHECK(config.zones.size() == config.nodes * types, "one zone for each node and type: has, needs",
              config.zones.size(), config.nodes * types);
  const PfnRange covered = covered_frames(config);
  MMBOX_CHECK(covered.pages().raw() < kNil, "more frames than 32 bits count: has, may have", covered.pages().raw(),
              kNil);

  auto* header = new (storage.data()) MachineHeader{};
  header->magic = kMachineMagic;
  header->rules = {.generation = config.generation,
                   .has_cma = config.has_cma,
                   .mobility_disabled = false,
                   .watermark_boost_factor = config.tunables.watermark_boost_factor};
  header->tunables = config.tunables;
  header->first = covered.begin;
  header->frames = static_cast<std::uint32_t>(covered.pages().raw());
  header->nodes = static_cast<std::uint32_t>(config.nodes);
  header->zone_types = static_cast<std::uint32_t>(types);
  header->cpus = static_cast<std::uint32_t>(config.cpus.size());
  header->has_thp = config.has_thp ? 1 : 0;
  open(storage);

  std::byte* const base = storage.data();
  const MachineLayout at = MachineLayout::of(header->nodes, types, config.cpus.size(), header->frames);
  for (std::size_t i = 0; i < config.cpus.size(); ++i)
    new (base + at.cpu_nodes + i * sizeof(NodeId)) NodeId{config.cpus[i]};
  for (std::size_t i = 0; i < types; ++i)
    new (base + at.types + i * sizeof(ZoneType)) ZoneType{config.zone_types[i]};
  for (std::size_t i = 0; i < config.distances.size(); ++i)
    new (base + at.distances + i) std::uint8_t{config.distances[i]};

  NodeMask with_memory;
  NodeMask with_cpus;
  for (std::size_t i = 0; i < config.nodes; ++i) {
    NodeState& node = *new (&view_.nodes[i]) NodeState{};
    node.id = NodeId{i};
    for (const NodeId cpu_node : config.cpus)
      node.cpus = static_cast<std::uint16_t>(node.cpus + (cpu_node == node.id ? 1 : 0));
    if (node.cpus != 0)
      with_cpus.add(node.id);
  }
  std::uint64_t estimate = 0;
  for (std::size_t i = 0; i < config.zones.size(); ++i) {
    const ZoneConfig& from = config.zones[i];
    ZoneState& zone = *new (&view_.zones[i]) ZoneState{};
    zone.id = ZoneId{i};
    zone.node = from.node;
    zone.index = from.index;
    zone.type = from.type;
    zone.is_highmem = from.is_highmem;
    zone.start = from.start;
    zone.spanned = static_cast<std::int64_t>(from.spanned.raw());
    zone.present = static_cast<std::int64_t>(from.present.raw());
    if (from.spanned != PageCount{}) {
      zone.begin = view_.env.map.index(from.start);
      zone.end = zone.begin + static_cast<FrameIndex>(from.spanned.raw());
    }
    NodeState& node = view_.nodes[from.node.raw()];
    if (zone.is_populated() && from.index.raw() > node.kcompactd.highest)
      node.kcompactd.highest = static_cast<std::uint8_t>(from.index.raw());
    if (zone.is_populated())
      with_memory.add(zone.node);
    for (std::size_t cpu = 0; cpu < config.cpus.size(); ++cpu)
      (new (&view_.pageset(zone.id, CpuId{cpu})) PcpState{})->zone.set(zone);
    if (zone.type <= ZoneType::Movable)
      estimate += managed_estimate(from);
  }
  for (ZoneState& zone : view_.zones) {
    for (const ZoneState& other : view_.zones) {
      if (&zone == &other || !zone.is_populated() || !other.is_populated())
        continue;
      zone.interleaved = zone.interleaved || (other.begin < zone.end && zone.begin < other.end);
    }
  }

  for (std::size_t i = 0; i < header->frames / kPageblockPages; ++i)
    new (base + at.pageblocks + i * sizeof(Pageblock))
        Pageblock{Migratetype::Unmovable, false, kNoZone, {}, Migratetype::Unmovable, true, {kNil, kNil}};
  for (const MemoryRange& memory : config.memory) {
    for (ZoneState& zone : view_.zones) {
      if (zone.node != memory.node || !zone.is_populated())
        continue;
      FrameIndex from = memory.range.begin <= zone.start ? zone.begin : view_.env.map.index(memory.range.begin);
      const Pfn zone_end = zone.start + PageCount{static_cast<std::uint64_t>(zone.spanned)};
      if (memory.range.end <= zone.start || memory.range.begin >= zone_end)
        continue;
      const FrameIndex to = memory.range.end >= zone_end ? zone.end : view_.env.map.index(memory.range.end);
      while (from < to) {
        Pageblock& block = view_.env.map.pageblock(from);
        MMBOX_CHECK(block.zone == kNoZone || block.zone == zone.id.raw(), "two zones share a pageblock: pfn, zone",
                    view_.env.map.pfn(from).raw(), zone.id.raw());
        block.zone = static_cast<std::uint16_t>(zone.id.raw());
        // Only a pageblock whose first page is memory gets a type; others keep the zero of their bitmap. Old kernels
        // look at frames with a record, which holes next to memory have as well.
        const bool is_first =
            from % kPageblockPages == 0 || (config.generation.boot.memmap_movable == MemmapMovable::AnyStructPage &&
                                            (from & ~static_cast<FrameIndex>(kPageblockPages - 1)) >= zone.begin);
        if (is_first)
          block.type = Migratetype::Movable;
        if (to >= (from / kPageblockPages + 1) * kPageblockPages)
          block.is_cut = false;
        from = static_cast<FrameIndex>((from / kPageblockPages + 1) * kPageblockPages);
      }
    }
  }

  // The memory map above was typed while grouping was still on; from here on requests and claims know better.
  header->rules.mobility_disabled = mobility_grouping_disabled(estimate, MigratetypeNumbering{config.has_cma}.count());

  const BootPolicy& boot = config.generation.boot;
  const bool by_zone = boot.zonelist_order == ZonelistOrder::Heuristic && prefers_zone_order(config.zones, types);
  NodeLoads loads{};
  const NodeTopology topology{config.nodes, view_.distances, with_memory, with_cpus};
  auto* const refs = reinterpret_cast<ZoneRef*>(base + at.refs);
  std::size_t used = 0;
  const std::size_t room = config.nodes * (config.nodes + 1) * types;
  for (NodeState& node : view_.nodes) {
    std::array<NodeId, kMaxNodes> order{};
    const std::size_t ordered = node_order(topology, node.id, boot.node_load, loads, order);
    const auto append = [&](std::span<const NodeId> of) {
      const std::span<ZoneRef> out{refs + used, room - used};
      std::size_t count =
          by_zone ? build_zonelist_by_zone(config.zones, types, of, out) : build_zonelist(config.zones, types, of, out);
      if (boot.zonelist_members == ZonelistMembers::Managed)
        count = drop_unmanaged(config.zones, out.first(count));
      const NodeState::List list{static_cast<std::uint32_t>(used), static_cast<std::uint32_t>(count)};
      used += count;
      return list;
    };
    node.fallback = append({order.data(), ordered});
    node.no_fallback = append({&node.id, 1});
  }
  find_usual_starts();
}

template <SyncPolicy S>
void BasicMachine<S>::find_usual_starts() {
  const Rules& rules = header_->rules;
  const Generation& generation = rules.generation;
  for (std::size_t cpu = 0; cpu < view_.cpu_nodes.size(); ++cpu) {
    const NodeId node = view_.cpu_nodes[cpu];
    const std::span<const ZoneRef> list = view_.zonelist(view_.nodes[node.raw()].fallback);
    for (std::uint32_t mask = 0; mask < kUsualMasks; ++mask) {
      UsualStart& start = *new (&view_.usual_starts[cpu * kUsualMasks + mask]) UsualStart{};
      start.highest = gfp_zone(Gfp{mask}, view_.zone_types);
      const Migratetype type = rules.mobility_disabled ? Migratetype::Unmovable : gfp_migratetype(Gfp{mask});
      const std::size_t first = next_zone(list, 0, start.highest);
      const bool is_usual = first < list.size() && list[first].node == node && is_mergeable(type);
      ZoneState& zone = view_.zones[is_usual ? list[first].zone.raw() : 0];
      start.zone.set(zone);
      start.pageset.set(view_.pageset(zone.id, CpuId{cpu}));
      start.highatomic.set(generation.reserve.deduction == ReserveDeduction::FreePages ? zone.nr_free_highatomic
                                                                                       : zone.nr_reserved_highatomic);
      start.mark = static_cast<std::uint8_t>(first_mark(generation.walk));
      start.list = static_cast<std::uint8_t>(is_usual ? view_.pcp_shape.index(0, type) : kNoPcpList);
      start.asks_more = rules.has_cma || prefers_idle_nodes(view_);
    }
  }
}

template <SyncPolicy S>
void BasicMachine<S>::release_boot_memory(PfnRange range) {
  const auto release = [&](Pfn pfn, Order order) {
    const FrameIndex index = index_of(pfn);
    ZoneState& zone = view_.zone_of(index);
    zone.managed += std::int64_t{1} << order.raw();
    const Guard<S> lock{zone.lock_word};
    const bool to_tail = view_.env.rules->generation.boot.place == BootPlace::Tail;
    view_.buddy(zone, CpuId{0}).free_block(index, order.raw(), to_tail ? Buddy::Place::Tail : Buddy::Place::Head);
  };
  if (header_->rules.generation.boot.chunk == BootChunk::Word64)
    for_each_boot_word(range, release);
  else
    for_each_boot_block(range, release);
}

template <SyncPolicy S>
std::uint64_t BasicMachine<S>::free_pages_above_high(ZoneType highest) const {
  std::uint64_t pages = 0;
  for (const ZoneState& zone : view_.zones) {
    const ZoneSize size = detail::size_of(zone);
    pages += free_zone_pages({&size, 1}, highest);
  }
  return pages;
}

template <SyncPolicy S>
void BasicMachine<S>::setup_thresholds() {
  const auto cpus = static_cast<unsigned>(view_.cpu_nodes.size());
  for (ZoneState& zone : view_.zones) {
    if (!zone.is_populated())
      continue;
    const unsigned threshold = stat_threshold(cpus, static_cast<std::uint64_t>(zone.managed));
    for (std::size_t cpu = 0; cpu < cpus; ++cpu)
      view_.pageset(zone.id, CpuId{cpu}).stat.threshold = static_cast<std::int16_t>(threshold);
    zone.percpu_drift_mark = static_cast<std::int64_t>(
        percpu_drift_mark(static_cast<std::uint64_t>(zone.percpu_drift_mark), cpus, threshold, detail::marks_of(zone)));
  }
}

template <SyncPolicy S>
void BasicMachine<S>::setup_watermarks() {
  const BootPolicy& boot = header_->rules.generation.boot;
  std::uint64_t lowmem = 0;
  for (const ZoneState& zone : view_.zones) {
    const ZoneSize size = detail::size_of(zone);
    lowmem += watermark_lowmem_pages({&size, 1}, boot.movable_zone_marks);
  }
  for (ZoneState& zone : view_.zones) {
    const Watermarks marks =
        zone_watermarks(detail::size_of(zone), lowmem, header_->tunables.min_free_kbytes,
                        header_->tunables.watermark_scale_factor, boot.watermark_gaps, boot.movable_zone_marks);
    const Guard<S> lock{zone.lock_word};
    zone.watermark_boost = 0;
    zone.watermark = {static_cast<std::int64_t>(marks.min), static_cast<std::int64_t>(marks.low),
                      static_cast<std::int64_t>(marks.high), static_cast<std::int64_t>(marks.promo)};
    if (header_->rules.generation.reserve.kind == ReserveKind::ReserveBlocks)
      view_.buddy(zone, CpuId{0}).setup_reserve();
  }
  setup_pagesets();
  setup_totalreserve();
}

template <SyncPolicy S>
void BasicMachine<S>::setup_lowmem_reserve() {
  const std::size_t types = view_.zone_types.size();
  for (const NodeState& node : view_.nodes) {
    std::array<std::uint64_t, kMaxZoneTypes> managed{};
    const std::span<ZoneState> zones = view_.zones.subspan(node.id.raw() * types, types);
    for (std::size_t i = 0; i < types; ++i)
      managed[i] = static_cast<std::uint64_t>(zones[i].managed);
    // The last type has nothing above it.
    for (std::size_t i = 0; i + 1 < types; ++i)
      zones[i].lowmem_reserve =
          lowmem_reserve({managed.data(), types}, ZoneIndex{i}, header_->tunables.lowmem_reserve_ratio[i],
                         header_->rules.generation.boot.lowmem_ratio);
  }
  setup_totalreserve();
}

template <SyncPolicy S>
void BasicMachine<S>::setup_totalreserve() {
  const std::size_t types = view_.zone_types.size();
  for (NodeState& node : view_.nodes) {
    node.totalreserve_pages = 0;
    for (const ZoneState& zone : view_.zones.subspan(node.id.raw() * types, types))
      node.totalreserve_pages += static_cast<std::int64_t>(zone_totalreserve(
          zone.lowmem_reserve, detail::size_of(zone).high_pages, static_cast<std::uint64_t>(zone.managed)));
  }
}

template <SyncPolicy S>
void BasicMachine<S>::setup_pagesets() {
  if (!header_->booted)
    return;
  const auto cpus = static_cast<std::uint32_t>(view_.cpu_nodes.size());
  for (ZoneState& zone : view_.zones) {
    if (!zone.is_populated())
      continue;
    const std::uint32_t sharing = view_.nodes[zone.node.raw()].cpus;
    const PcpSize size = pcp_size(static_cast<std::uint64_t>(zone.managed), static_cast<std::uint64_t>(zone.mark(1)),
                                  header_->tunables.percpu_pagelist_high_fraction, sharing == 0 ? cpus : sharing,
                                  header_->rules.generation.pcp.sizing);
    zone.pageset_high = size.high;
    zone.pageset_high_max = size.high_max;
    zone.pageset_batch = size.batch;
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
      PcpState& pageset = view_.pageset(zone.id, CpuId{cpu});
      pageset.batch = static_cast<std::int32_t>(size.batch);
      if (header_->rules.generation.pcp.sizing == PcpSizing::Range) {
        // `high` follows when the pageset is next looked at.
        pageset.high_min = static_cast<std::int32_t>(size.high);
        pageset.high_max = static_cast<std::int32_t>(size.high_max);
      } else {
        pageset.high = static_cast<std::int32_t>(size.high);
      }
    }
  }
}

template <SyncPolicy S>
void BasicMachine<S>::setup_reclaim_ratios() {
  const std::size_t types = view_.zone_types.size();
  for (NodeState& node : view_.nodes) {
    node.min_unmapped_pages = 0;
    node.min_slab_pages = 0;
    for (const ZoneState& zone : view_.zones.subspan(node.id.raw() * types, types)) {
      const auto managed = static_cast<std::uint64_t>(zone.managed);
      node.min_unmapped_pages += static_cast<std::int64_t>(zone_percent(managed, header_->tunables.min_unmapped_ratio));
      node.min_slab_pages += static_cast<std::int64_t>(zone_percent(managed, header_->tunables.min_slab_ratio));
    }
  }
}

template <SyncPolicy S>
void BasicMachine<S>::finish_boot() {
  header_->booted = true;
  Tunables& tunables = header_->tunables;
  const BootPolicy& boot = header_->rules.generation.boot;
  MinFreeBounds bounds;
  bounds.cap_kbytes = boot.min_free_cap_kbytes;
  const std::uint64_t computed =
      recomputed_min_free_kbytes(free_pages_above_high(ZoneType::Normal), tunables, bounds, boot.user_min_free);
  tunables.min_free_kbytes = computed;
  setup_watermarks();
  setup_thresholds();
  setup_lowmem_reserve();
  setup_reclaim_ratios();
}

template <SyncPolicy S>
void BasicMachine<S>::start_khugepaged() {
  std::uint64_t managed = 0;
  for (const ZoneState& zone : view_.zones)
    managed += static_cast<std::uint64_t>(zone.managed);
  if (header_->has_thp == 0 || managed < kThpMinPages)
    return;
  std::uint64_t zones = 0;
  const ZoneType highest =
      header_->rules.generation.boot.khugepaged_zones == KhugepagedZones::All ? ZoneType::Movable : ZoneType::Normal;
  for (const ZoneState& zone : view_.zones)
    zones += zone.is_populated() && zone.type <= highest ? 1 : 0;
  const std::uint64_t wanted = khugepaged_min_free_kbytes(zones, free_pages_above_high(ZoneType::Normal));
  if (wanted > header_->tunables.min_free_kbytes)
    header_->tunables.min_free_kbytes = wanted;
  setup_watermarks();
}

template <SyncPolicy S>
void BasicMachine<S>::set_tunables(const Tunables& wanted) {
  const Tunables old = header_->tunables;
  header_->tunables = wanted;
  const std::int64_t least = header_->rules.generation.boot.lowmem_ratio == LowmemRatio::AtLeastOne ? 1 : 0;
  for (std::int64_t& ratio : header_->tunables.lowmem_reserve_ratio)
    ratio = ratio < 1 ? least : ratio;
  header_->rules.watermark_boost_factor = wanted.watermark_boost_factor;
  if (wanted.min_free_kbytes != old.min_free_kbytes)
    header_->tunables.user_min_free_kbytes = static_cast<std::int64_t>(wanted.min_free_kbytes);
  if (wanted.min_free_kbytes != old.min_free_kbytes || wanted.watermark_scale_factor != old.watermark_scale_factor)
    setup_watermarks();
  if (wanted.percpu_pagelist_high_fraction != old.percpu_pagelist_high_fraction)
    setup_pagesets();
  if (wanted.lowmem_reserve_ratio != old.lowmem_reserve_ratio)
    setup_lowmem_reserve();
  if (wanted.min_unmapped_ratio != old.min_unmapped_ratio || wanted.min_slab_ratio != old.min_slab_ratio)
    setup_reclaim_ratios();
}

template <SyncPolicy S>
AllocResult BasicMachine<S>::alloc_exact(Request request, PageCount pages) {
  unsigned order = 0;
  while (PageCount::in(Order{order}) < pages && order <= kMaxPageOrder)
    ++order;
  request.order = Order{order};
  request.gfp = request.gfp.without(gfp::kComp);
  const AllocResult block = alloc(request);
  if (!block)
    return block;
  const FrameIndex index = index_of(*block);
  split_page(view_, index, order);
  for (FrameIndex at = index + static_cast<FrameIndex>(pages.raw()); at < index + (FrameIndex{1} << order); ++at) {
    if (header_->rules.generation.free.exact_trim == ExactTrim::PerCpu) {
      free_pages<S>(view_, at, 0, request.cpu);
      continue;
    }
    surrender_block(view_, at, 0);
    ZoneState& zone = view_.zone_of(at);
    view_.env.trace.emit(MmPageFree{view_.env.map.pfn(at), Order{0}});
    const Guard<S> lock{zone.lock_word};
    view_.buddy(zone, request.cpu).free_one_page(at, 0, view_.env.map.pageblock(at).type, Buddy::Place::Tail);
    view_.pageset(zone.id, request.cpu).events.pgfree += 1;
  }
  return block;
}

template <SyncPolicy S>
bool BasicMachine<S>::adopt(Pfn pfn, Order order) {
  const MemMap& map = view_.env.map;
  if (!pfn.is_aligned(order) || !map.contains(pfn))
    return false;
  const FrameIndex index = map.index(pfn);
  if (map.pageblock(index).zone == kNoZone)
    return false;
  // Heads alone have a state: one below may be of a block that reaches as far as this.
  for (unsigned above = 1; above < kOrders; ++above) {
    const FrameState head = map.state(index & ~((FrameIndex{1} << above) - 1));
    if (!head.is_none() && head.order() >= above)
      return false;
  }
  for (FrameIndex at = index; at < index + (FrameIndex{1} << order.raw()); ++at)
    if (!map.state(at).is_none())
      return false;
  map.set_state(index, order.raw(), FrameState::allocated(order.raw(), FrameState::Compound::No));
  return true;
}

}  // namespace mmbox
