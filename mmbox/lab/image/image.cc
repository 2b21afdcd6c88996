#include "mmbox/lab/image/image.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace mmbox::lab {

Storage::Storage(std::size_t size) : size_(size) {
  void* const mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED)
    throw std::bad_alloc();
  data_ = static_cast<std::byte*>(mapping);
}

Storage::Storage(Storage&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Storage& Storage::operator=(Storage&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Storage::~Storage() {
  if (data_ != nullptr)
    munmap(data_, size_);
}

void Storage::prefer_huge_pages() const {
  // A system without them says so, and nothing changes.
  static_cast<void>(madvise(data_, size_, MADV_HUGEPAGE));
}

void copy_differences(std::span<std::byte> to, std::span<const std::byte> from) {
  for (std::size_t at = 0; at < from.size(); at += kPageSize) {
    const std::size_t size = std::min<std::size_t>(kPageSize, from.size() - at);
    if (std::memcmp(to.data() + at, from.data() + at, size) != 0)
      std::memcpy(to.data() + at, from.data() + at, size);
  }
}

PageCount CountedContents::movable_pages(Pfn begin, Pfn end) {
  // Counts are kept by pageblock; a zone that begins inside one owns all that is counted there.
  const Pfn block = begin.align_down(Order{kPageblockOrder});
  static_cast<void>(end);
  return PageCount{movable_[(block - first_).raw() >> kPageblockOrder]};
}

void CountedContents::set(Pfn pageblock, std::uint32_t movable_pages) {
  movable_[(pageblock - first_).raw() >> kPageblockOrder] = static_cast<std::uint16_t>(movable_pages);
}

Image::Image(const MachineConfig& config)
    : storage_(Machine::storage_size(config)), machine_(std::make_unique<Machine>(config, storage_.bytes())) {}

Image Image::copy() const {
  Image other;
  other.storage_ = Storage{storage_.bytes().size()};
  copy_differences(other.storage_.bytes(), storage_.bytes());
  other.machine_ = std::make_unique<Machine>(other.storage_.bytes());
  if (contents_) {
    other.contents_ = std::make_unique<CountedContents>(*contents_);
    other.machine_->set_contents(other.contents_.get());
  }
  return other;
}

namespace {

std::int64_t pages(PageCount count) {
  return static_cast<std::int64_t>(count.raw());
}
PageCount page_count(std::int64_t count) {
  return PageCount{static_cast<std::uint64_t>(count)};
}

/// The zone types of a kernel, from how many it has.
Expected<std::vector<ZoneType>> zone_types_of(const Snapshot& snapshot) {
  using enum ZoneType;
  const std::vector<std::vector<ZoneType>> known{{Dma, Dma32, Normal, Movable, Device},
                                                 {Dma32, Normal, Movable, Device},
                                                 {Dma, Normal, Movable, Device},
                                                 {Dma, Dma32, Normal, Movable},
                                                 {Normal, Movable, Device},
                                                 {Dma32, Normal, Movable},
                                                 {Dma, Normal, Movable},
                                                 {Normal, Movable}};
  const std::string count{snapshot.value("max_nr_zones").value_or("5")};
  for (const auto& types : known) {
    if (std::to_string(types.size()) != count)
      continue;
    if (std::ranges::all_of(snapshot.zones, [&](const SnapshotZone& zone) {
          return zone.index.raw() < types.size() && types[zone.index.raw()] == zone.type;
        }))
      return types;
  }
  return Error{
      .message = fmt::format("no known set of {} zone types has the zones of snapshot {}", count, snapshot.label),
      .remedy = "use a snapshot of an x86-64 kernel"};
}

/// Owns what a MachineConfig points to.
struct OwnedConfig {
  std::vector<ZoneType> types;
  std::vector<std::uint8_t> distances;
  std::vector<NodeId> cpus;
  std::vector<ZoneConfig> zones;
  std::vector<MemoryRange> memory;
  MachineConfig config;
};

Tunables tunables_of(const Snapshot& snapshot, const std::vector<ZoneType>& types) {
  Tunables t;
  const auto read = [&](const char* name, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    if (const auto value = snapshot.symbol(name))
      field = static_cast<T>(*value);
  };
  read("min_free_kbytes", t.min_free_kbytes);
  read("user_min_free_kbytes", t.user_min_free_kbytes);
  read("watermark_boost_factor", t.watermark_boost_factor);
  read("watermark_scale_factor", t.watermark_scale_factor);
  read("percpu_pagelist_fraction", t.percpu_pagelist_high_fraction);  // its name until 5.13
  read("percpu_pagelist_high_fraction", t.percpu_pagelist_high_fraction);
  read("node_reclaim_mode", t.zone_reclaim_mode);
  read("node_reclaim_distance", t.node_reclaim_distance);
  read("sysctl_min_unmapped_ratio", t.min_unmapped_ratio);
  read("sysctl_min_slab_ratio", t.min_slab_ratio);
  read("sysctl_extfrag_threshold", t.extfrag_threshold);
  read("sysctl_compaction_proactiveness", t.compaction_proactiveness);
  read("sysctl_compact_unevictable_allowed", t.compact_unevictable_allowed);
  read("vm_swappiness", t.swappiness);
  for (std::size_t i = 0; i < types.size(); ++i)
    t.lowmem_reserve_ratio[i] = default_lowmem_reserve_ratio(types[i]);
  return t;
}

Expected<OwnedConfig> config_of(const Snapshot& snapshot, const Generation& generation) {
  OwnedConfig owned;
  auto types = zone_types_of(snapshot);
  if (!types)
    return types.error();
  owned.types = *types;
  const std::size_t nodes = snapshot.nodes.size();
  if (nodes == 0 || snapshot.zones.empty() || snapshot.cpus.empty())
    return Error{.message = fmt::format("snapshot {}: no node, zone or CPU in it", snapshot.label),
                 .remedy = "a whole snapshot has its N, Z and CPUS lines (docs/formats.md)"};
  for (std::size_t i = 0; i < nodes; ++i) {
    const SnapshotNode& node = snapshot.nodes[i];
    if (node.id.raw() != i || node.distances.size() != nodes)
      return Error{.message = fmt::format("snapshot {}: node ids are not 0 to {}", snapshot.label, nodes - 1),
                   .remedy = "nodes with gaps in their numbers are not modelled"};
    for (const auto& [to, distance] : node.distances) {
      static_cast<void>(to);
      owned.distances.push_back(static_cast<std::uint8_t>(std::min<std::uint32_t>(distance, 255)));
    }
  }
  for (std::size_t i = 0; i < snapshot.cpus.size(); ++i) {
    if (snapshot.cpus[i].cpu.raw() != i || snapshot.cpus[i].node.raw() >= nodes)
      return Error{.message = fmt::format("snapshot {}: CPUs are not numbered without gaps", snapshot.label),
                   .remedy = "bring all CPUs online before recording"};
    owned.cpus.push_back(snapshot.cpus[i].node);
  }
  for (std::size_t n = 0; n < nodes; ++n)
    for (std::size_t i = 0; i < owned.types.size(); ++i) {
      ZoneConfig zone{
          .node = NodeId{n}, .index = ZoneIndex{i}, .type = owned.types[i], .start = {}, .spanned = {}, .present = {}};
      if (const SnapshotZone* from = snapshot.zone(zone.node, zone.index)) {
        zone.start = from->start;
        zone.spanned = from->spanned;
        zone.present = from->present;
        for (const SnapshotPageblock& block : from->pageblocks) {
          const Pfn begin = std::max(block.start, from->start);
          const Pfn end = std::min(block.start + PageCount{kPageblockPages}, from->end());
          owned.memory.push_back({.range = {begin, end}, .node = zone.node});
        }
      }
      owned.zones.push_back(zone);
    }
  owned.config = {.generation = generation,
                  .zone_types = owned.types,
                  .nodes = nodes,
                  .distances = owned.distances,
                  .cpus = owned.cpus,
                  .zones = owned.zones,
                  .memory = owned.memory,
                  .has_cma = snapshot.numbering().has_cma(),
                  .has_thp = true,
                  .tunables = tunables_of(snapshot, owned.types)};
  return owned;
}

/// Where the engine's counters stand among a kernel's zone counters; kNone for one that this kernel does not have.
struct ZoneItems {
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::array<std::size_t, kZoneStats> at{};
  template <class T>
  [[nodiscard]] T get(const std::vector<T>& items, std::size_t which) const {
    return at[which] < items.size() ? items[at[which]] : T{0};
  }
  template <class T>
  void set(std::vector<T>& items, std::size_t which, std::int64_t value) const {
    if (at[which] < items.size())
      items[at[which]] = static_cast<T>(value);
  }
};

ZoneItems zone_items(const Generation& generation, std::size_t items) {
  ZoneItems result;
  result.at[static_cast<std::size_t>(ZoneStat::FreePages)] = 0;
  result.at[static_cast<std::size_t>(ZoneStat::FreePagesBlocks)] =
      generation.free.block_counter == BlockCounter::Kept ? 1 : ZoneItems::kNone;
  // NR_FREE_CMA_PAGES is the last; kernels with typed lists have NR_UNACCEPTED after it.
  const std::size_t after_cma = generation.free.counters == CounterTiming::PerBlock ? 1 : 0;
  result.at[static_cast<std::size_t>(ZoneStat::FreeCmaPages)] =
      items >= 2 + after_cma ? items - 1 - after_cma : ZoneItems::kNone;
  return result;
}

/// The node's page counts that decide about dirty spread and node reclaim. Their places are the same in 5.10 to 7.2.
NodePageStats node_pages(const std::vector<std::int64_t>& items) {
  const auto at = [&](std::size_t index) { return index < items.size() ? items[index] : 0; };
  return {.inactive_anon = at(0),
          .active_anon = at(1),
          .inactive_file = at(2),
          .active_file = at(3),
          .isolated_anon = at(7),
          .isolated_file = at(8),
          .file_mapped = at(18),
          .file_dirty = at(20),
          .writeback = at(21),
          .slab_reclaimable = at(5)};
}

constexpr std::int32_t kPcpPreviousFreeWasHigh = 1;  // PCPF_PREV_FREE_HIGH_ORDER
constexpr std::int32_t kPcpLargeCache = 2;           // PCPF_FREE_HIGH_BATCH

/// Sets counters and lists of one zone to what was recorded.
void restore_zone(const MachineView& view, ZoneState& zone, const SnapshotZone& from) {
  const ZoneItems items = zone_items(view.env.rules->generation, from.vm_stat.size());
  zone.managed = pages(from.managed);
  zone.watermark = {pages(from.min), pages(from.low), pages(from.high), from.promo ? pages(*from.promo) : 0};
  zone.watermark_boost = pages(from.boost);
  zone.nr_reserved_highatomic = pages(from.reserved_highatomic);
  zone.flags = static_cast<std::uint32_t>(from.flags);
  zone.percpu_drift_mark = pages(from.drift_mark);
  zone.nr_isolate_pageblock = static_cast<std::uint32_t>(from.isolated_pageblocks);
  zone.nr_free_highatomic = static_cast<std::int64_t>(from.free_highatomic.value_or(0));
  zone.compaction = {.cached_migrate = from.compact_cached_migrate,
                     .cached_free = from.compact_cached_free,
                     .init_migrate = from.compact_init_migrate,
                     .init_free = from.compact_init_free,
                     .considered = from.compact_considered,
                     .defer_shift = std::min(from.compact_defer_shift, kMaxCompactionDeferShift),
                     .order_failed = from.compact_order_failed,
                     .blockskip_flush = from.compact_blockskip_flush};
  zone.pageset_high = from.pageset_high_min.value_or(from.pageset_high.value_or(0));
  zone.pageset_high_max = from.pageset_high_max.value_or(0);
  zone.pageset_batch = from.pageset_batch.value_or(1);
  for (std::size_t i = 0; i < std::min(from.lowmem_reserve.size(), zone.lowmem_reserve.size()); ++i)
    zone.lowmem_reserve[i] = from.lowmem_reserve[i];
  for (const SnapshotPageblock& block : from.pageblocks) {
    Pageblock& record = view.env.map.pageblock(view.env.map.index(block.start));
    record.type = block.type;
    record.covered = block.type;
    record.skip = block.skip;
    // Frames of another zone, or of none, beside those before the zone's first.
    const PageCount before = block.start < from.start ? from.start - block.start : PageCount{};
    record.is_cut = block.other_zone_pages > before.raw();
  }
  Buddy buddy = view.buddy(zone, CpuId{0});
  for (unsigned order = 0; order < kOrders; ++order)
    for (unsigned type = 0; type < kMigratetypes; ++type)
      for (const Pfn pfn : from.free_areas[order].lists[type])
        buddy.insert(view.env.map.index(pfn), order, static_cast<Migratetype>(type), Buddy::Place::Tail);
  for (const SnapshotZoneCpu& cpu : from.cpus) {
    PcpState& pageset = view.pageset(zone.id, cpu.cpu);
    pageset.stat.threshold = static_cast<std::int16_t>(cpu.stat_threshold);
    for (std::size_t i = 0; i < kZoneStats; ++i)
      pageset.stat.delta[i] = static_cast<std::int8_t>(items.get(cpu.vm_stat_diff, i));
    pageset.high = cpu.high;
    pageset.batch = cpu.batch;
    // A factor that no kernel reaches would shift pages out of a number.
    pageset.free_factor = static_cast<std::int16_t>(std::clamp(cpu.free_factor.value_or(0), 0, 16));
    pageset.expire = static_cast<std::uint8_t>(cpu.expire);
    pageset.high_min = cpu.high_min.value_or(0);
    pageset.high_max = cpu.high_max.value_or(0);
    pageset.alloc_factor = static_cast<std::uint8_t>(std::clamp(cpu.alloc_factor.value_or(0), 0, 5));
    pageset.free_count = static_cast<std::int16_t>(std::clamp(cpu.free_count.value_or(0), 0, 0x7fff));
    pageset.previous_free_was_high = (cpu.flags.value_or(0) & kPcpPreviousFreeWasHigh) != 0;
    pageset.has_large_cache = (cpu.flags.value_or(0) & kPcpLargeCache) != 0;
    for (unsigned list = 0; list < kPcpLists; ++list) {
      const unsigned order = PcpShape::order(list);
      for (const PcpPage& page : cpu.lists[list]) {
        const FrameIndex index = view.env.map.index(page.pfn);
        pageset.lists[list].append(view.env.map, index, order);
        pageset.count += std::int32_t{1} << order;
        view.env.map.set_state(index, order, FrameState::pcp(order, page.cached_type));
      }
    }
  }
  for (std::size_t i = 0; i < kZoneStats; ++i)
    zone.stat[i] = items.get(from.vm_stat, i);
}

/// What this generation would never give back: blocks on lists that its pagesets do not have.
std::optional<std::string> unknown_list(const PcpShape& shape, const SnapshotZone& zone) {
  for (const SnapshotZoneCpu& cpu : zone.cpus)
    for (unsigned list = 0; list < kPcpLists; ++list)
      if (!cpu.lists[list].empty() && (list >= shape.lists() || !shape.allows(PcpShape::order(list))))
        return fmt::format("{}, CPU {}: per-cpu list {} has blocks, and this kernel has no such list", zone.name(),
                           cpu.cpu.raw(), list);
  return std::nullopt;
}

/// The recorded zonelists, if they are not those that the model computes.
std::optional<std::string> zonelist_difference(const Machine& machine, const Snapshot& snapshot) {
  const MachineView& view = machine.view();
  for (const SnapshotNode& node : snapshot.nodes) {
    // A snapshot made from /proc has none.
    if (node.zonelists[0].empty() && node.zonelists[1].empty())
      continue;
    const NodeState& state = view.nodes[node.id.raw()];
    const std::array<NodeState::List, 2> lists{state.fallback, state.no_fallback};
    for (std::size_t which = 0; which < 2; ++which) {
      const auto computed = view.zonelist(lists[which]);
      const auto& recorded = node.zonelists[which];
      const bool equal = std::ranges::equal(computed, recorded, [](const ZoneRef& a, const SnapshotZoneRef& b) {
        return a.node == b.node && a.index == b.index;
      });
      if (!equal)
        return fmt::format("zonelist {} of node {} is not the one that the model computes", which, node.id.raw());
    }
  }
  return std::nullopt;
}

}  // namespace

Expected<Image> image_of(const Snapshot& snapshot, const Generation& generation) {
  auto owned = config_of(snapshot, generation);
  if (!owned)
    return owned.error();
  Image image{owned->config};
  Machine& machine = *image.machine_;
  MachineView& view = machine.view();
  if (const auto difference = zonelist_difference(machine, snapshot))
    return Error{.message = *difference, .remedy = "the snapshot is of a kernel with another zonelist rule"};
  machine.change_rules([&](Rules& rules) {
    rules.mobility_disabled = snapshot.symbol("page_group_by_mobility_disabled").value_or(0) != 0;
  });
  const MemMap& map = view.env.map;
  image.contents_ = std::make_unique<CountedContents>(map.pfn(0), map.frames() >> kPageblockOrder);
  for (const SnapshotNode& from : snapshot.nodes) {
    NodeState& node = view.nodes[from.id.raw()];
    node.totalreserve_pages = pages(from.totalreserve);
    node.min_unmapped_pages = pages(from.min_unmapped);
    node.min_slab_pages = pages(from.min_slab);
    node.pages = node_pages(from.vm_stat);
    node.kcompactd.order = static_cast<std::uint8_t>(from.kcompactd_order);
    node.kcompactd.highest = static_cast<std::uint8_t>(from.kcompactd_highest_zone);
    node.kswapd.order = static_cast<std::uint8_t>(from.kswapd_order);
    const auto highest = static_cast<std::size_t>(from.kswapd_highest_zone);
    node.kswapd.highest = highest < view.zone_types.size() ? static_cast<std::uint8_t>(highest) : KswapdState::kNoZone;
    node.kswapd.failures = static_cast<std::uint8_t>(from.kswapd_failures);
    node.kswapd.running = from.kswapd_waiting ? *from.kswapd_waiting == 0 : node.kswapd.highest != KswapdState::kNoZone;
  }
  for (const SnapshotZone& from : snapshot.zones) {
    if (const auto unknown = unknown_list(view.pcp_shape, from))
      return Error{.message = *unknown, .remedy = "check which kernel the snapshot is of"};
    restore_zone(view, view.zones[from.node.raw() * view.zone_types.size() + from.index.raw()], from);
    for (const SnapshotPageblock& block : from.pageblocks)
      image.contents_->set(block.start, block.movable_pages);
  }
  machine.set_contents(image.contents_.get());
  return image;
}

namespace {

void capture_zone(const MachineView& view, ZoneState& zone, SnapshotZone& to) {
  to.managed = page_count(zone.managed);
  to.min = page_count(zone.watermark[0]);
  to.low = page_count(zone.watermark[1]);
  to.high = page_count(zone.watermark[2]);
  if (to.promo)
    to.promo = page_count(zone.watermark[3]);
  to.boost = page_count(zone.watermark_boost);
  to.reserved_highatomic = page_count(zone.nr_reserved_highatomic);
  to.flags = zone.flags;
  to.drift_mark = page_count(zone.percpu_drift_mark);
  to.isolated_pageblocks = zone.nr_isolate_pageblock;
  to.compact_cached_migrate = zone.compaction.cached_migrate;
  to.compact_cached_free = zone.compaction.cached_free;
  to.compact_init_migrate = zone.compaction.init_migrate;
  to.compact_init_free = zone.compaction.init_free;
  to.compact_considered = zone.compaction.considered;
  to.compact_defer_shift = zone.compaction.defer_shift;
  to.compact_order_failed = zone.compaction.order_failed;
  to.compact_blockskip_flush = zone.compaction.blockskip_flush;
  if (to.pageset_high)
    to.pageset_high = static_cast<std::int32_t>(zone.pageset_high);
  if (to.pageset_high_min)
    to.pageset_high_min = static_cast<std::int32_t>(zone.pageset_high);
  if (to.pageset_high_max)
    to.pageset_high_max = static_cast<std::int32_t>(zone.pageset_high_max);
  if (to.free_highatomic)
    to.free_highatomic = static_cast<std::uint64_t>(zone.nr_free_highatomic);
  if (to.pageset_batch)
    to.pageset_batch = static_cast<std::int32_t>(zone.pageset_batch);
  for (std::size_t i = 0; i < std::min(to.lowmem_reserve.size(), zone.lowmem_reserve.size()); ++i)
    to.lowmem_reserve[i] = zone.lowmem_reserve[i];
  const Generation& generation = view.env.rules->generation;
  const ZoneItems items = zone_items(generation, to.vm_stat.size());
  for (std::size_t i = 0; i < kZoneStats; ++i)
    items.set(to.vm_stat, i, zone.stat[i]);
  for (SnapshotPageblock& block : to.pageblocks)
    block.buddy_pages = 0;
  const auto count_buddy = [&](Pfn pfn, unsigned order) {
    const Pfn start = pfn.align_down(Order{kPageblockOrder});
    const auto at = std::ranges::lower_bound(to.pageblocks, start, {}, &SnapshotPageblock::start);
    if (at != to.pageblocks.end() && at->start == start)
      at->buddy_pages += 1U << order;
  };
  for (unsigned order = 0; order < kOrders; ++order) {
    to.free_areas[order].free_blocks = zone.nr_free[order];
    for (unsigned type = 0; type < kMigratetypes; ++type) {
      std::vector<Pfn>& list = to.free_areas[order].lists[type];
      list.clear();
      for (FrameIndex i = zone.lists[order][type].head; i != kNil; i = view.env.map.links(i, order).next) {
        list.push_back(view.env.map.pfn(i));
        count_buddy(list.back(), order);
      }
    }
  }
  for (SnapshotPageblock& block : to.pageblocks) {
    const Pageblock& record = view.env.map.pageblock(view.env.map.index(block.start));
    block.type = record.type;
    block.skip = record.skip;
    if (generation.take.movable_pages != MovablePages::Lru)
      block.movable_pages = view.buddy(zone, CpuId{0}).movable_pages_of(view.env.map.index(block.start));
  }
  for (SnapshotZoneCpu& cpu : to.cpus) {
    const PcpState& pageset = view.pageset(zone.id, cpu.cpu);
    cpu.stat_threshold = pageset.stat.threshold;
    for (std::size_t i = 0; i < kZoneStats; ++i)
      items.set(cpu.vm_stat_diff, i, pageset.stat.delta[i]);
    cpu.count = pageset.count;
    cpu.high = pageset.high;
    cpu.batch = pageset.batch;
    if (cpu.free_factor)
      cpu.free_factor = pageset.free_factor;
    cpu.expire = pageset.expire;
    if (cpu.high_min)
      cpu.high_min = pageset.high_min;
    if (cpu.high_max)
      cpu.high_max = pageset.high_max;
    if (cpu.alloc_factor)
      cpu.alloc_factor = pageset.alloc_factor;
    if (cpu.free_count)
      cpu.free_count = pageset.free_count;
    if (cpu.flags)
      cpu.flags = (pageset.previous_free_was_high ? kPcpPreviousFreeWasHigh : 0) |
                  (pageset.has_large_cache ? kPcpLargeCache : 0);
    for (unsigned list = 0; list < kPcpLists; ++list) {
      const unsigned order = PcpShape::order(list);
      cpu.lists[list].clear();
      for (FrameIndex i = pageset.lists[list].head; i != kNil; i = view.env.map.links(i, order).next)
        cpu.lists[list].push_back({view.env.map.pfn(i), generation.pcp.type == PcpType::Pageblock
                                                            ? pcp_index_type(list)
                                                            : view.env.map.state(i).type()});
    }
  }
}

}  // namespace

Snapshot snapshot_of(const Machine& machine, const Snapshot& base) {
  Snapshot result = base;
  const MachineView& view = machine.view();
  for (SnapshotNode& to : result.nodes) {
    const NodeState& node = view.nodes[to.id.raw()];
    to.kcompactd_order = node.kcompactd.order;
    to.kcompactd_highest_zone = node.kcompactd.highest;
    to.kswapd_order = node.kswapd.order;
    to.kswapd_highest_zone = node.kswapd.highest == KswapdState::kNoZone
                                 ? static_cast<std::int32_t>(view.zone_types.size())
                                 : node.kswapd.highest;
    to.kswapd_failures = node.kswapd.failures;
    if (to.kswapd_waiting)
      to.kswapd_waiting = node.kswapd.running ? 0 : 1;
    to.totalreserve = page_count(node.totalreserve_pages);
    to.min_unmapped = page_count(node.min_unmapped_pages);
    to.min_slab = page_count(node.min_slab_pages);
  }
  for (SnapshotZone& to : result.zones)
    capture_zone(view, view.zones[to.node.raw() * view.zone_types.size() + to.index.raw()], to);
  return result;
}

}  // namespace mmbox::lab
