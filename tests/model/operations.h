// Operations on a small machine, done by the engine and by the naive model at once, and compared.
//
// A run is a shape (drawn from a seed, or decoded from bytes) and a list of operations; each operation is a small
// struct that `print` writes as C++, so that a failure pastes into a test.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "mmbox/core/alloc/contig.h"
#include "tests/model/naive_machine.h"
#include "tests/support/small_machine.h"

namespace mmbox::test {

/// splitmix64: small, seedable, the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// 0 … n - 1.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  std::uint64_t state_;
};

// ------------------------------------------------------------- operations

struct Alloc {
  std::uint32_t gfp;
  unsigned order;
  unsigned cpu;
  int node;           ///< -1: the CPU's
  unsigned nodemask;  ///< 0: none
  unsigned task;      ///< bits: interrupt, softirq, realtime, memalloc, victim
};
struct Free {
  std::uint32_t nth;
  unsigned cpu;
};
struct FreeButFirst {
  std::uint32_t nth;
  unsigned cpu;
};
struct FreeList {
  std::uint32_t nth;
  unsigned count;
  unsigned cpu;
};
struct Split {
  std::uint32_t nth;
};
struct Exact {
  std::uint32_t gfp;
  unsigned pages;
  unsigned cpu;
};
struct Bulk {
  std::uint32_t gfp;
  unsigned pages;
  unsigned filled;  ///< bit n: slot n holds a page already
  unsigned cpu;
};
struct DrainCpu {
  unsigned cpu;
};
struct DrainZone {
  unsigned zone;
  unsigned cpu;
};
struct DrainAll {};
struct Fold {
  unsigned cpu;
  bool worker;
};
struct KswapdSleeps {
  unsigned node;
  bool failed;
};
struct SetMarks {
  unsigned zone;
  int min;
  int distance;
  int boost;
};
struct ReclaimActive {
  unsigned zone;
  bool on;
};
struct Isolate {
  std::uint32_t nth;
  bool unmovable;
  unsigned cpu;
};
struct Unisolate {
  std::uint32_t nth;
  unsigned cpu;
};
struct TakeOff {
  std::uint32_t nth;
  unsigned cpu;
};
struct IsolateFree {
  std::uint32_t nth;
  unsigned cpu;
};
struct PutBack {
  std::uint32_t nth;
  unsigned cpu;
};

using Op = std::variant<Alloc, Free, FreeButFirst, FreeList, Split, Exact, Bulk, DrainCpu, DrainZone, DrainAll, Fold,
                        KswapdSleeps, SetMarks, ReclaimActive, Isolate, Unisolate, TakeOff, IsolateFree, PutBack>;

inline std::string print(const Op& op) {
  struct Printer {
    std::string operator()(const Alloc& o) const {
      return fmt::format("Alloc{{{:#x}, {}, {}, {}, {}, {}}}", o.gfp, o.order, o.cpu, o.node, o.nodemask, o.task);
    }
    std::string operator()(const Free& o) const { return fmt::format("Free{{{}, {}}}", o.nth, o.cpu); }
    std::string operator()(const FreeButFirst& o) const { return fmt::format("FreeButFirst{{{}, {}}}", o.nth, o.cpu); }
    std::string operator()(const FreeList& o) const {
      return fmt::format("FreeList{{{}, {}, {}}}", o.nth, o.count, o.cpu);
    }
    std::string operator()(const Split& o) const { return fmt::format("Split{{{}}}", o.nth); }
    std::string operator()(const Exact& o) const {
      return fmt::format("Exact{{{:#x}, {}, {}}}", o.gfp, o.pages, o.cpu);
    }
    std::string operator()(const Bulk& o) const {
      return fmt::format("Bulk{{{:#x}, {}, {:#x}, {}}}", o.gfp, o.pages, o.filled, o.cpu);
    }
    std::string operator()(const DrainCpu& o) const { return fmt::format("DrainCpu{{{}}}", o.cpu); }
    std::string operator()(const DrainZone& o) const { return fmt::format("DrainZone{{{}, {}}}", o.zone, o.cpu); }
    std::string operator()(const DrainAll&) const { return "DrainAll{}"; }
    std::string operator()(const Fold& o) const { return fmt::format("Fold{{{}, {}}}", o.cpu, o.worker); }
    std::string operator()(const KswapdSleeps& o) const {
      return fmt::format("KswapdSleeps{{{}, {}}}", o.node, o.failed);
    }
    std::string operator()(const SetMarks& o) const {
      return fmt::format("SetMarks{{{}, {}, {}, {}}}", o.zone, o.min, o.distance, o.boost);
    }
    std::string operator()(const ReclaimActive& o) const {
      return fmt::format("ReclaimActive{{{}, {}}}", o.zone, o.on);
    }
    std::string operator()(const Isolate& o) const {
      return fmt::format("Isolate{{{}, {}, {}}}", o.nth, o.unmovable, o.cpu);
    }
    std::string operator()(const Unisolate& o) const { return fmt::format("Unisolate{{{}, {}}}", o.nth, o.cpu); }
    std::string operator()(const TakeOff& o) const { return fmt::format("TakeOff{{{}, {}}}", o.nth, o.cpu); }
    std::string operator()(const IsolateFree& o) const { return fmt::format("IsolateFree{{{}, {}}}", o.nth, o.cpu); }
    std::string operator()(const PutBack& o) const { return fmt::format("PutBack{{{}, {}}}", o.nth, o.cpu); }
  };
  return std::visit(Printer{}, op);
}

// ------------------------------------------------------------- shapes

/// A machine's size and settings, drawn; both sides are set to the same.
struct Shape {
  SmallConfig config;
  bool mobility_disabled = false;
  std::int64_t boost_factor = 15000;
  struct Zone {
    std::array<std::int64_t, 3> marks{};  ///< min, low, high
    std::array<std::int64_t, kMaxZoneTypes> reserve{};
    std::int64_t drift_mark = 0;
    std::vector<int> types;  ///< of each pageblock
  };
  std::vector<Zone> zones;  ///< of config.zones
};

inline std::string print(const Shape& shape) {
  const SmallConfig& c = shape.config;
  std::string text =
      fmt::format("{} cma={:d} thp={:d} mobility_disabled={:d} batch={} high={} threshold={} boost={} cpus on {}",
                  c.generation.name, c.has_cma, c.has_thp, shape.mobility_disabled, c.batch, c.high, c.threshold,
                  shape.boost_factor, c.cpu_nodes);
  for (std::size_t i = 0; i < c.zones.size(); ++i)
    text += fmt::format("\n    {} of node {}: [{}, {}) marks {} reserve {} drift {} types {}",
                        zone_type_name(c.zones[i].type), c.zones[i].node, c.zones[i].start,
                        c.zones[i].start + c.zones[i].pages, shape.zones[i].marks, shape.zones[i].reserve,
                        shape.zones[i].drift_mark, shape.zones[i].types);
  return text;
}

/// Draws a shape. `pageblocks`: how large a zone may be.
inline Shape draw_shape(Random& random, unsigned pageblocks = 3) {
  static const std::vector<std::vector<SmallZone>> kLayouts{
      {{.type = ZoneType::Normal}},
      {{.type = ZoneType::Dma32}, {.type = ZoneType::Normal}},
      {{.type = ZoneType::Dma}, {.type = ZoneType::Normal}, {.type = ZoneType::Movable}},
      {{.type = ZoneType::Normal, .node = 0}, {.type = ZoneType::Normal, .node = 1}},
      {{.type = ZoneType::Dma32, .node = 0},
       {.type = ZoneType::Normal, .node = 0},
       {.type = ZoneType::Movable, .node = 1}},
      {{.type = ZoneType::Dma32, .node = 0},
       {.type = ZoneType::Normal, .node = 0},
       {.type = ZoneType::Normal, .node = 1}},
  };
  Shape shape;
  SmallConfig& config = shape.config;
  config.zones = random.pick(kLayouts);
  config.generation = random.chance(4) ? kLinux610 : kLinux61;
  config.has_cma = random.chance(3);
  config.has_thp = !random.chance(6);
  shape.mobility_disabled = random.chance(10);
  if (random.chance(8) && config.zones.size() == 1)
    config.types = {ZoneType::Normal, ZoneType::Movable};
  config.cpu_nodes = {0};
  if (random.chance(2))
    config.cpu_nodes.push_back(config.zones.back().node);
  config.batch = static_cast<std::int32_t>(random.pick(std::vector<int>{1, 3, 7, 15, 31}));
  config.high =
      static_cast<std::int32_t>(random.chance(8) ? 0 : random.below(static_cast<std::uint64_t>(8 * config.batch) + 8));
  config.threshold = static_cast<std::int16_t>(random.pick(std::vector<int>{0, 2, 10, 30, 125}));
  config.tunables.watermark_boost_factor =
      static_cast<std::uint32_t>(random.pick(std::vector<int>{0, 15000, 15000, 40000}));
  shape.boost_factor = config.tunables.watermark_boost_factor;
  std::uint64_t at = random.below(2) * 512;
  for (SmallZone& zone : config.zones) {
    const bool ragged = random.chance(3);
    zone.start = at + (ragged ? random.below(512) : 0);
    const std::uint64_t blocks = 1 + random.below(pageblocks);
    const std::uint64_t end =
        at + 512 * blocks - (ragged && random.chance(2) ? random.below(zone.start == at || blocks > 1 ? 511 : 1) : 0);
    zone.pages = end > zone.start ? end - zone.start : 1;
    at = (zone.start + zone.pages + 511) / 512 * 512;
    Shape::Zone more;
    const auto pages = static_cast<std::int64_t>(zone.pages);
    const auto some = [&](std::int64_t most) {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most) + 1));
    };
    more.marks[0] = random.chance(3) ? 0 : some(pages / 4);
    more.marks[1] = more.marks[0] + some(pages / 8);
    more.marks[2] = more.marks[1] + some(pages / 8);
    const auto index =
        static_cast<std::size_t>(std::find(config.types.begin(), config.types.end(), zone.type) - config.types.begin());
    if (random.chance(2))
      for (std::size_t i = index + 1; i < config.types.size(); ++i)
        more.reserve[i] = some(pages / 4);
    more.drift_mark = random.chance(2) ? 0 : some(pages / 2);
    for (std::uint64_t block = zone.start / 512; block * 512 < zone.start + zone.pages; ++block) {
      const bool is_whole = block * 512 >= zone.start && (block + 1) * 512 <= zone.start + zone.pages;
      int type = random.chance(3) ? static_cast<int>(random.below(3)) : kMovable;
      if (shape.mobility_disabled)
        type = kUnmovable;
      if (config.has_cma && is_whole && random.chance(3))
        type = kCmaType;
      more.types.push_back(type);
    }
    shape.zones.push_back(more);
  }
  return shape;
}

// ------------------------------------------------------------- both sides at once

class Pair {
 public:
  explicit Pair(const Shape& shape) : engine_(shape.config), lru_(20000), contents_(lru_) {
    const SmallConfig& config = shape.config;
    engine_.machine().change_rules([&](Rules& rules) { rules.mobility_disabled = shape.mobility_disabled; });
    engine_->set_contents(&contents_);
    model_.first_release = std::string_view{config.generation.name} == "linux-6.1.0";
    model_.has_cma = config.has_cma;
    model_.has_thp = config.has_thp;
    model_.mobility_disabled = shape.mobility_disabled;
    model_.boost_factor = shape.boost_factor;
    model_.types = config.types;
    model_.zone_types = config.types.size();
    model_.dma32_compiled_in =
        std::find(config.types.begin(), config.types.end(), ZoneType::Dma32) != config.types.end();
    model_.cpu_node = config.cpu_nodes;
    model_.is_lru = [this](std::uint64_t pfn) { return lru_[pfn] != 0; };
    std::size_t nodes = 1;
    for (const SmallZone& zone : config.zones)
      nodes = std::max(nodes, zone.node + 1);
    model_.nodes.resize(nodes);
    model_.zones.resize(nodes * config.types.size());
    model_.pagesets.resize(model_.zones.size(), std::vector<NaivePageset>(config.cpu_nodes.size()));
    for (std::size_t n = 0; n < nodes; ++n) {
      for (std::size_t i = 0; i < config.types.size(); ++i) {
        NaiveZone& zone = model_.zones[n * config.types.size() + i];
        zone.node = n;
        zone.index = i;
        zone.type = config.types[i];
      }
    }
    for (std::size_t i = 0; i < config.zones.size(); ++i)
      add_zone(shape, i);
    for (std::size_t n = 0; n < nodes; ++n) {
      std::vector<std::size_t> list;
      for (std::size_t k = 0; k < nodes; ++k)
        for (std::size_t index = config.types.size(); index-- > 0;)
          if (const std::size_t z = (n + k) % nodes * config.types.size() + index; model_.zones[z].populated)
            list.push_back(z);
      model_.fallback_list.push_back(list);
    }
  }

  /// Does one operation on both sides. Returns what differs, or an empty text.
  std::string apply(const Op& op) {
    const std::string result = std::visit([this](const auto& o) { return run(o); }, op);
    if (!result.empty())
      return result;
    const std::string different = difference();
    return different.empty() ? engine_.violation() : different;
  }
  /// Where the two states differ, or an empty text.
  [[nodiscard]] std::string difference() {
    for (std::size_t z = 0; z < model_.zones.size(); ++z)
      if (model_.zones[z].populated)
        if (std::string text = zone_difference(z); !text.empty())
          return fmt::format("zone {}: {}", z, text);
    for (const auto& [pfn, type] : model_.pageblock_type)
      if (static_cast<int>(raw(engine_.type(pfn))) != type)
        return fmt::format("pageblock {}: type {} is to be {}", pfn, migratetype_name(engine_.type(pfn)), type);
    for (std::size_t n = 0; n < model_.nodes.size(); ++n) {
      const KswapdState& k = engine_.view().nodes[n].kswapd;
      const NaiveNode& m = model_.nodes[n];
      if (k.order != m.order || k.highest != m.highest || k.running != m.running)
        return fmt::format("kswapd {}: order {} zone {} running {} are to be {} {} {}", n, k.order, k.highest,
                           k.running, m.order, m.highest, m.running);
    }
    return "";
  }
  [[nodiscard]] SmallMachine& engine() { return engine_; }
  [[nodiscard]] std::size_t live() const { return live_.size(); }

 private:
  struct Live {
    std::uint64_t pfn;
    int order;
    bool compound;
    bool movable;
  };
  class Contents final : public PageContents {
   public:
    explicit Contents(const std::vector<char>& lru) : lru_(lru) {}
    PageCount movable_pages(Pfn begin, Pfn end) override {
      std::uint64_t pages = 0;
      for (std::uint64_t pfn = begin.raw(); pfn < end.raw(); ++pfn)
        pages += lru_[pfn] != 0 ? 1 : 0;
      return PageCount{pages};
    }

   private:
    const std::vector<char>& lru_;
  };

  void add_zone(const Shape& shape, std::size_t i) {
    const SmallConfig& config = shape.config;
    const SmallZone& from = config.zones[i];
    ZoneState& state = engine_.zone(i);
    const std::size_t z = state.id.raw();
    NaiveZone& zone = model_.zones[z];
    zone.populated = true;
    zone.start = from.start;
    zone.end = from.start + from.pages;
    zone.managed = static_cast<std::int64_t>(from.pages);
    for (std::size_t mark = 0; mark < 3; ++mark)
      state.watermark[mark] = zone.mark[mark] = shape.zones[i].marks[mark];
    state.lowmem_reserve = zone.lowmem_reserve = shape.zones[i].reserve;
    state.percpu_drift_mark = zone.drift_mark = shape.zones[i].drift_mark;
    for (std::size_t cpu = 0; cpu < config.cpu_nodes.size(); ++cpu) {
      NaivePageset& p = model_.pagesets[z][cpu];
      p.batch = config.batch;
      p.high = config.high;
      p.threshold = config.threshold;
    }
    for (std::size_t block = 0; block < shape.zones[i].types.size(); ++block) {
      const std::uint64_t pfn = (from.start / 512 + block) * 512;
      engine_.set_type(pfn, static_cast<Migratetype>(shape.zones[i].types[block]));
      model_.pageblock_type[pfn] = shape.zones[i].types[block];
    }
    for (std::uint64_t pfn = zone.start; pfn < zone.end;) {
      int order = 0;
      // A CMA area is given in pageblocks, so that none lies inside a larger block of another type.
      while (order < (config.has_cma ? 9 : 10) && pfn % (2ULL << order) == 0 && pfn + (2ULL << order) <= zone.end)
        ++order;
      engine_.buddy(i).free_one_page(engine_.index(pfn), static_cast<unsigned>(order), engine_.type(pfn),
                                     Buddy::Place::Tail);
      model_.put_back(pfn, order, model_.type_of(pfn), 0);
      pfn += 1ULL << order;
    }
  }

  // ---- comparing
  [[nodiscard]] std::string zone_difference(std::size_t z) {
    ZoneState& e = engine_.view().zones[z];
    const NaiveZone& m = model_.zones[z];
    const MemMap& map = engine_.view().env.map;
    const auto differs = [](const char* what, auto a, auto b) { return fmt::format("{} is {}, to be {}", what, a, b); };
    if (e.stat[0] != m.stat[0] || e.stat[1] != m.stat[1])
      return fmt::format("counters are {} {}, to be {} {}", e.stat[0], e.stat[1], m.stat[0], m.stat[1]);
    if (e.watermark_boost != m.boost)
      return differs("boost", e.watermark_boost, m.boost);
    if (e.nr_reserved_highatomic != m.reserved_highatomic)
      return differs("reserve", e.nr_reserved_highatomic, m.reserved_highatomic);
    if (e.nr_isolate_pageblock != m.isolated_pageblocks)
      return differs("isolated pageblocks", e.nr_isolate_pageblock, m.isolated_pageblocks);
    const std::uint32_t flags =
        (m.boosted_flag ? zone_flag::kBoostedWatermark : 0U) | (m.reclaim_active ? zone_flag::kReclaimActive : 0U);
    if (e.flags != flags)
      return differs("flags", e.flags, flags);
    for (std::size_t order = 0; order < kOrders; ++order) {
      for (std::size_t type = 0; type < kMigratetypes; ++type) {
        const auto& list = m.lists[order][type];
        FrameIndex at = e.lists[order][type].head;
        std::size_t n = 0;
        for (; at != kNil && n < list.size() && map.pfn(at).raw() == list[n]; ++n)
          at = map.links(at, static_cast<unsigned>(order)).next;
        if (at != kNil || n != list.size())
          return fmt::format("list of order {}, type {} differs at {}: is [{}], to be {}", order, type, n,
                             engine_list(e.lists[order][type].head, static_cast<unsigned>(order)), list);
      }
    }
    for (std::size_t cpu = 0; cpu < model_.cpu_node.size(); ++cpu)
      if (std::string text = pageset_difference(z, cpu); !text.empty())
        return fmt::format("cpu {}: {}", cpu, text);
    return "";
  }
  [[nodiscard]] std::string pageset_difference(std::size_t z, std::size_t cpu) {
    const PcpState& e = engine_.view().pageset(ZoneId{z}, CpuId{cpu});
    const NaivePageset& m = model_.pagesets[z][cpu];
    const MemMap& map = engine_.view().env.map;
    if (e.count != m.count || e.free_factor != m.free_factor || e.expire != m.expire)
      return fmt::format("count, factor, expire are {} {} {}, to be {} {} {}", e.count, e.free_factor, e.expire,
                         m.count, m.free_factor, m.expire);
    if (e.stat.delta[0] != m.delta[0] || e.stat.delta[1] != m.delta[1])
      return fmt::format("deltas are {} {}, to be {} {}", e.stat.delta[0], e.stat.delta[1], m.delta[0], m.delta[1]);
    for (unsigned list = 0; list < kPcpLists; ++list) {
      FrameIndex at = e.lists[list].head;
      std::size_t n = 0;
      const auto& pages = m.lists[list];
      for (; at != kNil && n < pages.size() && map.pfn(at).raw() == pages[n].pfn &&
             static_cast<int>(raw(map.state(at).type())) == pages[n].cached;
           ++n)
        at = map.links(at, PcpShape::order(list)).next;
      if (at != kNil || n != pages.size())
        return fmt::format("per-cpu list {} differs at {}: is [{}]", list, n,
                           engine_list(e.lists[list].head, PcpShape::order(list)));
    }
    const auto& a = e.events;
    const auto& b = m.events;
    if (a.pgalloc != b.pgalloc || a.pgfree != b.pgfree || a.numa_hit() != b.hit || a.numa_miss != b.miss ||
        a.numa_foreign != b.foreign || a.numa_local() != b.local || a.numa_other != b.other)
      return fmt::format("events are {} {} {} {} {} {} {}, to be {} {} {} {} {} {} {}", a.pgalloc, a.pgfree,
                         a.numa_hit(), a.numa_miss, a.numa_foreign, a.numa_local(), a.numa_other, b.pgalloc, b.pgfree,
                         b.hit, b.miss, b.foreign, b.local, b.other);
    return "";
  }
  [[nodiscard]] std::string engine_list(FrameIndex at, unsigned order) {
    std::string text;
    for (; at != kNil; at = engine_.view().env.map.links(at, order).next)
      text += fmt::format("{}{}", text.empty() ? "" : ", ", engine_.view().env.map.pfn(at).raw());
    return text;
  }
  static std::string same(std::uint64_t engine, std::uint64_t model) {
    return engine == model ? "" : fmt::format("the engine gave {}, the model {}", name(engine), name(model));
  }
  static std::string name(std::uint64_t pfn) { return pfn == NaiveMachine::kNone ? "nothing" : std::to_string(pfn); }

  // ---- what is in use
  void hold(std::uint64_t pfn, int order, bool compound, bool movable) {
    live_.push_back({pfn, order, compound, movable});
    mark(pfn, order, movable);
  }
  void mark(std::uint64_t pfn, int order, bool movable) {
    std::fill_n(lru_.begin() + static_cast<std::ptrdiff_t>(pfn), std::size_t{1} << order, movable ? 1 : 0);
  }
  Live drop(std::size_t nth) {
    const Live block = live_[nth % live_.size()];
    live_[nth % live_.size()] = live_.back();
    live_.pop_back();
    mark(block.pfn, block.order, false);
    return block;
  }
  [[nodiscard]] std::size_t cpu_of(unsigned cpu) const { return cpu % model_.cpu_node.size(); }
  [[nodiscard]] static bool moves(std::uint32_t gfp) { return (gfp & 0x18) == 0x8; }

  // ---- the operations
  std::string run(const Alloc& o) {
    const Task task{.in_interrupt = (o.task & 1) != 0,
                    .serving_softirq = (o.task & 2) != 0,
                    .realtime = (o.task & 4) != 0,
                    .memalloc = (o.task & 8) != 0,
                    .oom_victim = (o.task & 16) != 0};
    const std::size_t nodes = model_.nodes.size();
    Request request{.gfp = Gfp{o.gfp},
                    .order = Order{o.order},
                    .cpu = CpuId{cpu_of(o.cpu)},
                    .node = {},
                    .nodemask = {},
                    .task = &task};
    NaiveRequest asked{
        .gfp = o.gfp,
        .order = static_cast<int>(o.order),
        .cpu = cpu_of(o.cpu),
        .node = -1,
        .nodemask = {},
        .task = {task.in_interrupt, task.serving_softirq, task.realtime, task.memalloc, task.oom_victim}};
    if (o.node >= 0) {
      asked.node = static_cast<int>(static_cast<std::size_t>(o.node) % nodes);
      request.node = NodeId{static_cast<std::size_t>(asked.node)};
    }
    if (o.nodemask != 0) {
      asked.nodemask = o.nodemask;
      request.nodemask = NodeMask{o.nodemask};
    }
    const AllocResult got = engine_->alloc(request);
    bool no_zone = false;
    const std::uint64_t wanted = model_.alloc(asked, &no_zone);
    if (got)
      hold(got->raw(), static_cast<int>(o.order), (o.gfp & 0x40000) != 0 && o.order > 0, moves(o.gfp));
    else if (wanted == NaiveMachine::kNone && o.order <= 10 && (got.error() == AllocFailure::NoZone) != no_zone)
      return "the reasons for the refusal differ";
    return same(got ? got->raw() : NaiveMachine::kNone, wanted);
  }
  std::string run(const Free& o) {
    if (live_.empty())
      return "";
    const Live block = drop(o.nth);
    engine_.free(block.pfn, static_cast<unsigned>(block.order), cpu_of(o.cpu));
    model_.free(block.pfn, block.order, cpu_of(o.cpu));
    return "";
  }
  std::string run(const FreeButFirst& o) {
    if (live_.empty() || live_[o.nth % live_.size()].compound)
      return "";
    const Live block = drop(o.nth);
    engine_->free_but_first(Pfn{block.pfn}, Order{static_cast<unsigned>(block.order)}, CpuId{cpu_of(o.cpu)});
    model_.free_but_first(block.pfn, block.order, cpu_of(o.cpu));
    hold(block.pfn, 0, false, block.movable);
    return "";
  }
  std::string run(const FreeList& o) {
    std::vector<Pfn> pages;
    std::vector<std::uint64_t> frames;
    for (std::size_t i = live_.size(); i-- > 0 && frames.size() < o.count;) {
      const std::size_t nth = (o.nth + i) % live_.size();
      if (live_[nth].order != 0)
        continue;
      frames.push_back(drop(nth).pfn);
      pages.push_back(Pfn{frames.back()});
    }
    engine_->free_list(pages, CpuId{cpu_of(o.cpu)});
    model_.free_list(frames, cpu_of(o.cpu));
    return "";
  }
  std::string run(const Split& o) {
    if (live_.empty() || live_[o.nth % live_.size()].compound || live_[o.nth % live_.size()].order > 4)
      return "";
    const Live block = drop(o.nth);
    engine_->split(Pfn{block.pfn}, Order{static_cast<unsigned>(block.order)});
    for (std::uint64_t i = 0; i < 1ULL << block.order; ++i)
      hold(block.pfn + i, 0, false, block.movable);
    return "";
  }
  std::string run(const Exact& o) {
    Request request{.gfp = Gfp{o.gfp}, .order = Order{0}, .cpu = CpuId{cpu_of(o.cpu)}, .node = {}, .nodemask = {}};
    NaiveRequest asked{
        .gfp = o.gfp & ~0x40000U, .order = 0, .cpu = cpu_of(o.cpu), .node = -1, .nodemask = {}, .task = {}};
    const AllocResult got = engine_->alloc_exact(request, PageCount{o.pages});
    const std::uint64_t wanted = model_.alloc_exact(asked, o.pages);
    if (got)
      for (std::uint64_t i = 0; i < o.pages; ++i)
        hold(got->raw() + i, 0, false, moves(o.gfp));
    return same(got ? got->raw() : NaiveMachine::kNone, wanted);
  }
  std::string run(const Bulk& o) {
    std::vector<Pfn> pages(o.pages, kNoPfn);
    std::vector<std::uint64_t> frames(o.pages, NaiveMachine::kNone);
    for (unsigned i = 0; i < o.pages && i < 32; ++i) {
      if ((o.filled >> i & 1) == 0)
        continue;
      pages[i] = Pfn{~1ULL};
      frames[i] = ~1ULL;
    }
    const std::size_t got = engine_->alloc_bulk(
        {.gfp = Gfp{o.gfp}, .order = Order{0}, .cpu = CpuId{cpu_of(o.cpu)}, .node = {}, .nodemask = {}}, pages);
    const std::size_t wanted = model_.alloc_bulk(
        {.gfp = o.gfp, .order = 0, .cpu = cpu_of(o.cpu), .node = -1, .nodemask = {}, .task = {}}, frames);
    for (const Pfn page : pages)
      if (page != kNoPfn && page != Pfn{~1ULL})
        hold(page.raw(), 0, false, moves(o.gfp));
    for (std::size_t i = 0; i < pages.size(); ++i)
      if (pages[i].raw() != frames[i])
        return fmt::format("slot {}: {}", i, same(pages[i].raw(), frames[i]));
    return got == wanted ? "" : fmt::format("{} slots at the front are filled, to be {}", got, wanted);
  }
  std::string run(const DrainCpu& o) {
    engine_->drain(CpuId{cpu_of(o.cpu)});
    model_.drain_cpu(cpu_of(o.cpu));
    return "";
  }
  std::string run(const DrainZone& o) {
    const std::size_t z = o.zone % model_.zones.size();
    if (!model_.zones[z].populated)
      return "";
    engine_->drain(ZoneId{z}, CpuId{cpu_of(o.cpu)});
    model_.drain(z, cpu_of(o.cpu));
    return "";
  }
  std::string run(const DrainAll&) {
    engine_->drain_all();
    model_.drain_all();
    return "";
  }
  std::string run(const Fold& o) {
    engine_->fold(CpuId{cpu_of(o.cpu)}, o.worker ? FoldBy::StatWorker : FoldBy::IdleCpu);
    model_.fold(cpu_of(o.cpu), o.worker);
    return "";
  }
  std::string run(const KswapdSleeps& o) {
    const std::size_t n = o.node % model_.nodes.size();
    model_.nodes[n] = {.order = 0, .highest = 0xff, .running = false, .failures = o.failed ? 16 : 0};
    engine_.view().nodes[n].kswapd = {.order = 0,
                                      .highest = KswapdState::kNoZone,
                                      .running = false,
                                      .failures = static_cast<std::uint8_t>(o.failed ? 16 : 0)};
    return "";
  }
  std::string run(const SetMarks& o) {
    const std::size_t z = o.zone % model_.zones.size();
    NaiveZone& zone = model_.zones[z];
    ZoneState& state = engine_.view().zones[z];
    if (!zone.populated)
      return "";
    for (std::size_t i = 0; i < 3; ++i)
      state.watermark[i] = zone.mark[i] = o.min + static_cast<int>(i) * o.distance;
    state.watermark_boost = zone.boost = o.boost;
    return "";
  }
  std::string run(const ReclaimActive& o) {
    const std::size_t z = o.zone % model_.zones.size();
    if (!model_.zones[z].populated)
      return "";
    model_.zones[z].reclaim_active = o.on;
    std::uint32_t& flags = engine_.view().zones[z].flags;
    flags = (flags & ~zone_flag::kReclaimActive) | (o.on ? zone_flag::kReclaimActive : 0);
    return "";
  }

  /// The `nth` pageblock; its zone owns all of it, or nothing is returned.
  std::optional<std::uint64_t> whole_pageblock(std::uint32_t nth) {
    auto it = model_.pageblock_type.begin();
    std::advance(it, nth % model_.pageblock_type.size());
    const std::size_t z = model_.zone_of(it->first);
    if (z == model_.zones.size() || !model_.zones[z].spans(it->first + 511))
      return std::nullopt;
    return it->first;
  }
  std::string run(const Isolate& o) {
    const auto pfn = whole_pageblock(o.nth);
    if (!pfn)
      return "";
    // The callers of isolation split what reaches over a pageblock first; without them the counters would go wrong.
    const auto reaches = [&](std::uint64_t start, int order) { return order == 10 && start == (*pfn & ~1023ULL); };
    if (model_.pageblock_type.contains(*pfn ^ 512) && model_.type_of(*pfn ^ 512) == kIsolateType)
      return "";
    for (const Live& block : live_)
      if (reaches(block.pfn, block.order))
        return "";
    for (const Live& block : held_)
      if (reaches(block.pfn, block.order))
        return "";
    const NaiveZone& zone = model_.zones[model_.zone_of(*pfn)];
    if (const auto it = zone.blocks.find(*pfn & ~1023ULL); it != zone.blocks.end() && it->second.order == 10)
      return "";
    if (!o.unmovable && model_.type_of(*pfn) != kIsolateType)
      type_before_[*pfn] = model_.type_of(*pfn) == kCmaType ? kCmaType : kMovable;
    const auto failure = isolate_pageblock(engine_.view(), engine_.view().zone_of(engine_.index(*pfn)),
                                           CpuId{cpu_of(o.cpu)}, engine_.index(*pfn), o.unmovable);
    const bool done = model_.isolate(*pfn, cpu_of(o.cpu), o.unmovable);
    return done == (failure == IsolateFailure::None) ? "" : "only one side isolated the pageblock";
  }
  std::string run(const Unisolate& o) {
    const auto pfn = whole_pageblock(o.nth);
    if (!pfn || model_.type_of(*pfn) != kIsolateType)
      return "";
    const int type = type_before_[*pfn];
    unisolate_pageblock(engine_.view(), engine_.view().zone_of(engine_.index(*pfn)), CpuId{cpu_of(o.cpu)},
                        engine_.index(*pfn), static_cast<Migratetype>(type));
    model_.unisolate(*pfn, cpu_of(o.cpu), type);
    return "";
  }
  /// The `nth` free block of all zones, by zone and frame.
  std::optional<std::pair<std::uint64_t, int>> free_block(std::uint32_t nth) {
    std::size_t blocks = 0;
    for (const NaiveZone& zone : model_.zones)
      blocks += zone.blocks.size();
    if (blocks == 0)
      return std::nullopt;
    std::size_t left = nth % blocks;
    for (const NaiveZone& zone : model_.zones) {
      if (left >= zone.blocks.size()) {
        left -= zone.blocks.size();
        continue;
      }
      auto it = zone.blocks.begin();
      std::advance(it, left);
      return std::pair{it->first, it->second.order};
    }
    return std::nullopt;
  }
  std::string run(const TakeOff& o) {
    const auto block = free_block(o.nth);
    if (!block || model_.type_of(block->first) == kIsolateType)
      return "";
    const std::uint64_t pfn = block->first + (o.nth * 7919ULL) % (1ULL << block->second);
    const bool got = take_page_off_buddy(engine_.view(), engine_.view().zone_of(engine_.index(pfn)),
                                         CpuId{cpu_of(o.cpu)}, engine_.index(pfn));
    const bool wanted = model_.take_off(pfn, cpu_of(o.cpu));
    if (got != wanted)
      return "only one side took the page off";
    engine_.adopt(pfn, 0);
    hold(pfn, 0, false, false);
    return "";
  }
  std::string run(const IsolateFree& o) {
    const auto block = free_block(o.nth);
    if (!block)
      return "";
    const auto [pfn, order] = *block;
    const PageCount got = isolate_free_page(engine_.view(), engine_.view().zone_of(engine_.index(pfn)),
                                            CpuId{cpu_of(o.cpu)}, engine_.index(pfn), static_cast<unsigned>(order));
    const std::int64_t wanted = model_.isolate_free(pfn, order, cpu_of(o.cpu));
    if (static_cast<std::int64_t>(got.raw()) != wanted)
      return fmt::format("isolate_free_page gave {} pages, to be {}", got.raw(), wanted);
    if (wanted != 0)
      held_.push_back({pfn, order, false, false});
    return "";
  }
  std::string run(const PutBack& o) {
    if (held_.empty())
      return "";
    const std::size_t nth = o.nth % held_.size();
    const Live block = held_[nth];
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(nth));
    const int type = model_.type_of(block.pfn);
    putback_isolated_page(engine_.view(), engine_.view().zone_of(engine_.index(block.pfn)), CpuId{cpu_of(o.cpu)},
                          engine_.index(block.pfn), static_cast<unsigned>(block.order), static_cast<Migratetype>(type));
    model_.put_back(block.pfn, block.order, type, cpu_of(o.cpu));
    return "";
  }

  SmallMachine engine_;
  NaiveMachine model_;
  std::vector<char> lru_;  ///< by frame: in use and movable
  Contents contents_;
  std::vector<Live> live_;
  std::vector<Live> held_;  ///< isolated free blocks
  std::map<std::uint64_t, int> type_before_;
};

}  // namespace mmbox::test
