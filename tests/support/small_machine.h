// A machine small enough to reason about, its state set by hand: free blocks, types and per-cpu lists where a test
// wants them. Beside it a sink that writes events as one line of text each.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "mmbox/lab/image/image.h"
#include "mmbox/mmbox.h"

namespace mmbox::test {

/// Zone types of Debian's amd64 kernel, by zone index.
inline constexpr std::array kAmd64Zones{ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable,
                                        ZoneType::Device};

/// One zone with memory. Unit: page frames.
struct SmallZone {
  ZoneType type = ZoneType::Normal;
  std::uint64_t start = 0;
  std::uint64_t pages = 4096;
  std::size_t node = 0;
};

/// What a small machine is made from. The default is the one of the specification's examples: frames 0 … 4095 in one
/// Normal zone, exact counters, batch 7, no watermarks, and no frame free.
struct SmallConfig {
  std::vector<SmallZone> zones{SmallZone{}};
  std::vector<std::size_t> cpu_nodes{0};
  std::vector<std::uint8_t> distances{};  ///< [nodes][nodes]; empty: 10 and 20
  std::vector<ZoneType> types{kAmd64Zones.begin(), kAmd64Zones.end()};
  Generation generation = kLinux61;
  bool has_cma = false;
  bool has_thp = true;
  std::int32_t batch = 7;
  std::int32_t high = 1000;
  std::int16_t threshold = 0;
  Tunables tunables{};
};

/// The pages that a test declares as movable, as the host would know them.
class MovablePages final : public PageContents {
 public:
  PageCount movable_pages(Pfn begin, Pfn end) override {
    std::uint64_t pages = 0;
    for (const PfnRange& range : ranges)
      pages += PfnRange{std::max(begin, range.begin), std::min(end, range.end)}.pages().raw();
    return PageCount{pages};
  }
  std::vector<PfnRange> ranges;
};

class SmallMachine {
 public:
  explicit SmallMachine(const SmallConfig& config = {}) : image_(make(config)) {
    for (const SmallZone& zone : config.zones) {
      const auto index = std::find(config.types.begin(), config.types.end(), zone.type) - config.types.begin();
      ids_.push_back(zone.node * config.types.size() + static_cast<std::size_t>(index));
    }
    for (std::size_t id : ids_) {
      ZoneState& state = view().zones[id];
      state.managed = state.present;
      for (std::size_t cpu = 0; cpu < config.cpu_nodes.size(); ++cpu) {
        PcpState& pageset = view().pageset(state.id, CpuId{cpu});
        pageset.batch = config.batch;
        pageset.high = config.high;
        pageset.stat.threshold = config.threshold;
      }
    }
    machine().change_rules([](Rules& rules) { rules.mobility_disabled = false; });
    machine().set_contents(&contents);
  }

  [[nodiscard]] Machine& machine() { return image_.machine(); }
  Machine* operator->() { return &image_.machine(); }
  [[nodiscard]] MachineView& view() { return machine().view(); }
  /// The zones of the configuration, in its order.
  [[nodiscard]] ZoneState& zone(std::size_t nth = 0) { return view().zones[ids_[nth]]; }
  [[nodiscard]] PcpState& pageset(std::size_t nth = 0, std::size_t cpu = 0) {
    return view().pageset(zone(nth).id, CpuId{cpu});
  }
  [[nodiscard]] Buddy buddy(std::size_t nth = 0, std::size_t cpu = 0) { return view().buddy(zone(nth), CpuId{cpu}); }
  [[nodiscard]] FrameIndex index(std::uint64_t pfn) { return view().env.map.index(Pfn{pfn}); }

  /// Puts a free block at the tail of a list and counts it.
  void free_block(std::uint64_t pfn, unsigned order, Migratetype list = Migratetype::Movable) {
    ZoneState& zone = view().zone_of(index(pfn));
    view().buddy(zone, CpuId{0}).insert(index(pfn), order, list, Buddy::Place::Tail);
    if (list != Migratetype::Isolate)
      zone.stat[0] += std::int64_t{1} << order;
    if (list == Migratetype::Cma)
      zone.stat[1] += std::int64_t{1} << order;
  }
  /// Sets the types of the pageblocks from that of `pfn` on.
  void set_type(std::uint64_t pfn, Migratetype type, unsigned pageblocks = 1) {
    for (unsigned i = 0; i < pageblocks; ++i)
      view().env.map.pageblock(index(pfn + i * kPageblockPages)).type = type;
  }
  [[nodiscard]] Migratetype type(std::uint64_t pfn) { return view().env.map.pageblock(index(pfn)).type; }

  /// Declares pages in use as known, so that they can be freed.
  void adopt(std::uint64_t pfn, unsigned order, unsigned blocks = 1) {
    for (unsigned i = 0; i < blocks; ++i)
      MMBOX_CHECK(machine().adopt(Pfn{pfn + (std::uint64_t{i} << order)}, Order{order}), "test: cannot adopt", pfn,
                  order);
  }
  /// Frees a block straight to the free lists, as a direct free does.
  void free_direct(std::uint64_t pfn, unsigned order) {
    view().env.map.set_state(index(pfn), order, FrameState{});
    view().buddy(view().zone_of(index(pfn)), CpuId{0}).free_one_page(index(pfn), order, type(pfn));
  }

  void free(std::uint64_t pfn, unsigned order, std::size_t cpu = 0) {
    machine().free(Pfn{pfn}, Order{order}, CpuId{cpu});
  }
  /// The frame of an allocation, or kFailed.
  static constexpr std::uint64_t kFailed = ~0ULL;
  std::uint64_t alloc(Gfp gfp, unsigned order, std::size_t cpu = 0) {
    return alloc(Request{.gfp = gfp, .order = Order{order}, .cpu = CpuId{cpu}, .node = {}, .nodemask = {}});
  }
  std::uint64_t alloc(const Request& request) {
    const AllocResult result = machine().alloc(request);
    return result ? result->raw() : kFailed;
  }

  using Pfns = std::vector<std::uint64_t>;
  /// A free list, head to tail.
  [[nodiscard]] Pfns list(unsigned order, Migratetype type, std::size_t nth = 0) {
    return walk(zone(nth).lists[order][raw(type)].head, order);
  }
  /// A per-cpu list, head to tail.
  [[nodiscard]] Pfns pcp(unsigned list, std::size_t nth = 0, std::size_t cpu = 0) {
    return walk(pageset(nth, cpu).lists[list].head, PcpShape::order(list));
  }
  /// All free lists of a zone as text: "o0 Movable [1, 3] o4 Movable [16]".
  [[nodiscard]] std::string lists(std::size_t nth = 0) {
    std::string text;
    for (unsigned order = 0; order < kOrders; ++order)
      for (unsigned type = 0; type < kMigratetypes; ++type)
        if (const Pfns blocks = list(order, static_cast<Migratetype>(type), nth); !blocks.empty())
          text += fmt::format("{}o{} {} {}", text.empty() ? "" : " ", order,
                              migratetype_name(static_cast<Migratetype>(type)), blocks);
    return text;
  }
  /// What is wrong with the state, or an empty text.
  [[nodiscard]] std::string violation() {
    const auto found = validate(view());
    return found ? fmt::format("{}: {}, {}", found->what, found->a, found->b) : "";
  }

  MovablePages contents;

 private:
  static lab::Image make(const SmallConfig& from) {
    std::size_t nodes = 1;
    for (const SmallZone& zone : from.zones)
      nodes = std::max(nodes, zone.node + 1);
    for (const std::size_t node : from.cpu_nodes)
      nodes = std::max(nodes, node + 1);
    std::vector<std::uint8_t> distances = from.distances;
    if (distances.empty())
      for (std::size_t i = 0; i < nodes * nodes; ++i)
        distances.push_back(i % (nodes + 1) == 0 ? 10 : 20);
    std::vector<NodeId> cpus;
    for (const std::size_t node : from.cpu_nodes)
      cpus.push_back(NodeId{node});
    std::vector<ZoneConfig> zones;
    std::vector<MemoryRange> memory;
    for (std::size_t n = 0; n < nodes; ++n)
      for (std::size_t i = 0; i < from.types.size(); ++i)
        zones.push_back({.node = NodeId{n},
                         .index = ZoneIndex{i},
                         .type = from.types[i],
                         .start = {},
                         .spanned = {},
                         .present = {}});
    for (const SmallZone& zone : from.zones)
      for (ZoneConfig& to : zones)
        if (to.node == NodeId{zone.node} && to.type == zone.type) {
          to.start = Pfn{zone.start};
          to.spanned = to.present = PageCount{zone.pages};
          memory.push_back({.range = {Pfn{zone.start}, Pfn{zone.start + zone.pages}}, .node = to.node});
        }
    return lab::Image{MachineConfig{.generation = from.generation,
                                    .zone_types = from.types,
                                    .nodes = nodes,
                                    .distances = distances,
                                    .cpus = cpus,
                                    .zones = zones,
                                    .memory = memory,
                                    .has_cma = from.has_cma,
                                    .has_thp = from.has_thp,
                                    .tunables = from.tunables}};
  }
  [[nodiscard]] Pfns walk(FrameIndex at, unsigned order) {
    Pfns pfns;
    for (; at != kNil; at = view().env.map.links(at, order).next)
      pfns.push_back(view().env.map.pfn(at).raw());
    return pfns;
  }

  lab::Image image_;
  std::vector<std::size_t> ids_;
};

/// Events as lines of text, in order.
class EventText final : public EventSink {
 public:
  std::vector<std::string> lines;
  void clear() { lines.clear(); }
  /// The lines that begin with `word`.
  [[nodiscard]] std::vector<std::string> of(const std::string& word) const {
    std::vector<std::string> found;
    std::ranges::copy_if(lines, std::back_inserter(found),
                         [&](const std::string& line) { return line.starts_with(word + " "); });
    return found;
  }
  [[nodiscard]] std::size_t count(const std::string& word) const { return of(word).size(); }

  void on(const MmPageAlloc& e) override {
    add("alloc {} order={} gfp={:#x} {}", name(e.pfn), e.order.raw(), e.gfp.raw(), migratetype_name(e.migratetype));
  }
  void on(const MmPageFree& e) override { add("free {} order={}", name(e.pfn), e.order.raw()); }
  void on(const MmPageFreeBatched& e) override { add("free_batched {}", name(e.pfn)); }
  void on(const MmPageAllocZoneLocked& e) override {
    add("zone_locked {} order={} {} refill={:d}", name(e.pfn), e.order.raw(), migratetype_name(e.migratetype),
        e.percpu_refill);
  }
  void on(const MmPagePcpuDrain& e) override {
    add("pcpu_drain {} order={} {}", name(e.pfn), e.order.raw(), migratetype_name(e.migratetype));
  }
  void on(const MmPageAllocExtfrag& e) override {
    add("extfrag {} order={} fallback={} {}<-{} owned={:d}", name(e.pfn), e.alloc_order.raw(), e.fallback_order.raw(),
        migratetype_name(e.alloc_migratetype), migratetype_name(e.fallback_migratetype), e.change_ownership);
  }
  void on(const MmVmscanWakeupKswapd& e) override {
    add("wakeup_kswapd node={} zone={} order={} gfp={:#x}", e.node.raw(), e.highest.raw(), e.order.raw(), e.gfp.raw());
  }
  void on(const FreeOnePage& e) override {
    add("free_one {} order={} {} tail={:d}", name(e.pfn), e.order.raw(), migratetype_name(e.migratetype), e.to_tail);
  }
  void on(const StealFallback& e) override {
    add("steal {} order={} {} whole={:d}", name(e.pfn), e.order.raw(), migratetype_name(e.start_type), e.whole_block);
  }
  void on(const StealWeighed& e) override {
    add("weighed {} free={} alike={} claimed={:d}", name(e.pageblock), e.free_pages, e.alike_pages, e.claimed);
  }
  void on(const MoveFreepagesBlock& e) override {
    add("move {} {} pages={}", name(e.pfn), migratetype_name(e.migratetype), e.moved_pages);
  }
  void on(const SetPageblockType& e) override { add("type {} {}", name(e.pfn), migratetype_name(e.migratetype)); }
  void on(const RmqueueBulk& e) override {
    add("refill zone={} order={} {} blocks={} flags={:#x}", e.zone.raw(), e.order.raw(),
        migratetype_name(e.migratetype), e.blocks, e.flags.raw());
  }
  void on(const FreePcppagesBulk& e) override {
    add("bulk zone={} cpu={} pages={} list={}", e.zone.raw(), e.cpu.raw(), e.pages, e.list_index);
  }
  void on(const ZoneChecked& e) override {
    add("checked zone={} verdict={} flags={:#x} free={} unusable={} mark={} reserve={}", e.zone.raw(),
        static_cast<unsigned>(e.verdict), e.flags.raw(), e.free_pages, e.unusable_pages, e.mark, e.lowmem_reserve);
    verdicts.push_back(e.verdict);
  }
  void on(const AttemptBegins& e) override {
    add("attempt gfp={:#x} order={} flags={:#x} highest={}", e.gfp.raw(), e.order.raw(), e.flags.raw(),
        e.highest.raw());
  }
  void on(const HighAtomicReserve& e) override {
    add("highatomic {} reserved={:d} pages={}", name(e.pfn), e.reserved, e.reserved_pages);
  }
  void on(const WatermarkBoost& e) override { add("boost zone={} pages={}", e.zone.raw(), e.boost); }

  std::vector<ZoneVerdict> verdicts;

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    lines.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  static std::string name(Pfn pfn) { return pfn == kNoPfn ? "none" : std::to_string(pfn.raw()); }
};

}  // namespace mmbox::test
