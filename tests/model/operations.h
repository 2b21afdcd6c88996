// Operations on a small machine, and the machines that they are done on; pair.h does them.
//
// A run is a shape (drawn from a seed, or decoded from bytes) and a list of operations; each operation is a small
// struct that `print` writes as C++, so that a failure pastes into a test.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <variant>
#include <vector>

#include "mmbox/lab/generations/generations.h"
#include "tests/model/naive_rules.h"
#include "tests/model/naive_state.h"
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

/// Long enough for 3.10 to forget which zones were full.
struct SecondPasses {};

using Op = std::variant<Alloc, Free, FreeButFirst, FreeList, Split, Exact, Bulk, DrainCpu, DrainZone, DrainAll, Fold,
                        KswapdSleeps, SetMarks, ReclaimActive, Isolate, Unisolate, TakeOff, IsolateFree, PutBack,
                        SecondPasses>;

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
    std::string operator()(const SecondPasses&) const { return "SecondPasses{}"; }
  };
  return std::visit(Printer{}, op);
}

// ------------------------------------------------------------- shapes

/// A generation's name as a test's may be: "linux_6_1_0".
inline std::string test_name(const Generation& generation) {
  std::string name{generation.name};
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

/// A machine's size and settings, drawn; both sides are set to the same.
struct Shape {
  SmallConfig config;
  bool mobility_disabled = false;
  std::int64_t boost_factor = 15000;
  /// Bounds of a tuned pageset's `high`, and whether its CPU has much cache.
  std::int64_t high_min = 0, high_max = 0;
  bool large_cache = false;
  struct Zone {
    std::int64_t managed = 0;             ///< 0: as many as it has; sizes boosts and the high-atomic reserve
    std::array<std::int64_t, 3> marks{};  ///< min, low, high
    std::array<std::int64_t, kMaxZoneTypes> reserve{};
    std::int64_t drift_mark = 0;
    std::vector<int> types;  ///< of each pageblock
  };
  std::vector<Zone> zones;  ///< of config.zones
};

inline std::string print(const Shape& shape) {
  const SmallConfig& c = shape.config;
  std::string text = fmt::format(
      "{} cma={:d} thp={:d} mobility_disabled={:d} defrag_mode={} batch={} high={} ({} to {}, cache {:d}) threshold={} "
      "boost={} cpus on {}",
      c.generation.name, c.has_cma, c.has_thp, shape.mobility_disabled, c.tunables.defrag_mode, c.batch, c.high,
      shape.high_min, shape.high_max, shape.large_cache, c.threshold, shape.boost_factor, c.cpu_nodes);
  for (std::size_t i = 0; i < c.zones.size(); ++i)
    text += fmt::format("\n    {} of node {}: [{}, {}) managed {} marks {} reserve {} drift {} types {}",
                        zone_type_name(c.zones[i].type), c.zones[i].node, c.zones[i].start,
                        c.zones[i].start + c.zones[i].pages, shape.zones[i].managed, shape.zones[i].marks,
                        shape.zones[i].reserve, shape.zones[i].drift_mark, shape.zones[i].types);
  return text;
}

/// Draws a shape. `pageblocks`: how large a zone may be.
inline Shape draw_shape(Random& random, const Generation& generation, unsigned pageblocks = 3) {
  const NaiveRules rules = naive_rules(generation.name);
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
  config.generation = generation;
  config.has_cma = random.chance(3);
  config.has_thp = !random.chance(6);
  shape.mobility_disabled = random.chance(10);
  if (random.chance(8) && config.zones.size() == 1)
    config.types = {ZoneType::Normal, ZoneType::Movable};
  config.cpu_nodes = {0};
  if (random.chance(2))
    config.cpu_nodes.push_back(config.zones.back().node);
  config.batch = static_cast<std::int32_t>(random.pick(std::vector<int>{1, 3, 7, 15, 31}));
  const auto highest = static_cast<std::uint64_t>((random.chance(8) ? 64 : 8) * config.batch) + 8;
  config.high = static_cast<std::int32_t>(random.chance(8) ? 0 : random.below(highest));
  // Before 5.10 a return takes a whole batch, whatever the pageset holds: it holds one.
  if (rules.fixed_returns)
    config.high = std::max(config.high, config.batch);
  if (rules.tuned) {
    shape.high_min = random.chance(10) ? 0 : config.batch * static_cast<std::int64_t>(2 + random.below(6));
    shape.high_max = shape.high_min + (random.chance(6) ? 0 : static_cast<std::int64_t>(random.below(600)));
    if (shape.high_min == 0)
      config.batch = 1, shape.high_max = 0;
    config.high = 0;
    shape.large_cache = random.chance(2);
  }
  if (rules.slow_path == NaiveSlowPath::Sp72)
    config.tunables.defrag_mode = random.chance(4) ? 1 : 0;
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
    more.managed = random.chance(2) ? 0 : random.pick(std::vector<std::int64_t>{4000, 51199, 60000, 120000});
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
      const auto is_inside = [&](std::uint64_t nth) {
        return nth * 512 >= zone.start && (nth + 1) * 512 <= zone.start + zone.pages;
      };
      const bool is_whole = is_inside(block);
      // Where other types merge with CMA, a CMA area comes in blocks of the largest order.
      const bool in_pairs = rules.merge == NaiveMerge::Always || rules.merge == NaiveMerge::UnlessIsolated;
      const bool may_be_cma = is_whole && (!in_pairs || (block % 2 == 0 && is_inside(block + 1)));
      int type = random.chance(3) ? static_cast<int>(random.below(3)) : kMovable;
      if (shape.mobility_disabled)
        type = kUnmovable;
      if (!rules.has_highatomic && is_whole && random.chance(4))
        type = kHighAtomicType;  // Reserve
      const bool second = in_pairs && block % 2 == 1 && !more.types.empty() && more.types.back() == kCmaType;
      if (second || (config.has_cma && may_be_cma && random.chance(3)))
        type = kCmaType;
      more.types.push_back(type);
    }
    shape.zones.push_back(more);
  }
  return shape;
}

}  // namespace mmbox::test
