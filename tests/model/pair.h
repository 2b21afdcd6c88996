// One machine twice: operations done by the engine and by the naive model at once, and everything compared after each.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "mmbox/core/alloc/contig.h"
#include "tests/model/naive_machine.h"
#include "tests/model/operations.h"

namespace mmbox::test {

class Pair {
 public:
  explicit Pair(const Shape& shape) : engine_(shape.config), lru_(20000), contents_(*this) {
    const SmallConfig& config = shape.config;
    engine_.machine().change_rules([&](Rules& rules) { rules.mobility_disabled = shape.mobility_disabled; });
    engine_->set_contents(&contents_);
    model_.rules = naive_rules(config.generation.name);
    model_.defrag_mode = config.tunables.defrag_mode != 0;
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
    model_.is_order_one_tail = [this](std::uint64_t pfn) { return order_one_tails_.contains(pfn); };
    model_.movable_index = static_cast<std::size_t>(
        std::find(config.types.begin(), config.types.end(), ZoneType::Movable) - config.types.begin());
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
          if (const std::size_t z = (n + k) % nodes * config.types.size() + index; is_listed(model_.zones[z]))
            list.push_back(z);
      if (model_.rules.zonelists_by_heuristic && zones_come_first(config, nodes))
        std::stable_sort(list.begin(), list.end(), [this](std::size_t a, std::size_t b) {
          return model_.zones[a].index > model_.zones[b].index;
        });
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
      if (k.order != m.order || k.highest != m.highest || k.running != m.running || k.failures != m.failures)
        return fmt::format("kswapd {}: order {} zone {} running {} failures {} are to be {} {} {} {}", n, k.order,
                           k.highest, k.running, k.failures, m.order, m.highest, m.running, m.failures);
      std::uint64_t full = 0;
      for (std::size_t i = 0; i < model_.fallback_list[n].size(); ++i)
        full |= m.full_zones.contains(model_.fallback_list[n][i]) ? 1ULL << i : 0;
      if (model_.nodes.size() > 1 && full != engine_.view().nodes[n].full_zones[0])
        return fmt::format("full zones of node {} are {:#x}, to be {:#x}", n, engine_.view().nodes[n].full_zones[0],
                           full);
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
    explicit Contents(const Pair& pair) : pair_(pair) {}
    PageCount movable_pages(Pfn begin, Pfn end) override {
      std::uint64_t pages = 0;
      for (std::uint64_t pfn = begin.raw(); pfn < end.raw(); ++pfn) {
        // Tails that count in any case are the engine's to count.
        const bool is_told = pair_.model_.rules.order_one_tails_count && pair_.order_one_tails_.contains(pfn);
        pages += pair_.lru_[pfn] != 0 && !is_told ? 1 : 0;
      }
      return PageCount{pages};
    }

   private:
    const Pair& pair_;
  };

  [[nodiscard]] bool is_listed(const NaiveZone& zone) const {
    // 64 bytes of every page are taken off for the page's record.
    const std::uint64_t pages = zone.end - zone.start;
    return zone.populated && (!model_.rules.zonelists_by_estimate || pages > (pages * 64 + 4095) / 4096);
  }
  /// 3.10: are zonelists sorted by zone, so that low memory is spared, or by node?
  [[nodiscard]] static bool zones_come_first(const SmallConfig& config, std::size_t nodes) {
    std::uint64_t low = 0, total = 0;
    std::vector<std::uint64_t> low_of(nodes), total_of(nodes);
    std::vector<bool> has_normal(nodes);
    for (const SmallZone& zone : config.zones) {
      const bool is_low = zone.type == ZoneType::Dma || zone.type == ZoneType::Dma32;
      low_of[zone.node] += is_low ? zone.pages : 0;
      total_of[zone.node] += zone.pages;
      low += is_low ? zone.pages : 0;
      total += zone.pages;
      has_normal[zone.node] = has_normal[zone.node] || zone.type == ZoneType::Normal;
    }
    if (std::find(has_normal.begin(), has_normal.end(), false) != has_normal.end() || low == 0 || low > total / 2)
      return false;
    const std::uint64_t average = total / (nodes + 1);
    for (std::size_t n = 0; n < nodes; ++n)
      if (low_of[n] != 0 && total_of[n] > average && low_of[n] > total_of[n] * 70 / 100)
        return false;
    return true;
  }
  void add_zone(const Shape& shape, std::size_t i) {
    const SmallConfig& config = shape.config;
    const SmallZone& from = config.zones[i];
    ZoneState& state = engine_.zone(i);
    const std::size_t z = state.id.raw();
    NaiveZone& zone = model_.zones[z];
    zone.populated = true;
    zone.start = from.start;
    zone.end = from.start + from.pages;
    zone.managed = shape.zones[i].managed != 0 ? shape.zones[i].managed : static_cast<std::int64_t>(from.pages);
    state.managed = zone.managed;
    for (std::size_t mark = 0; mark < 3; ++mark)
      state.watermark[mark] = zone.mark[mark] = shape.zones[i].marks[mark];
    state.lowmem_reserve = zone.lowmem_reserve = shape.zones[i].reserve;
    state.percpu_drift_mark = zone.drift_mark = shape.zones[i].drift_mark;
    for (std::size_t cpu = 0; cpu < config.cpu_nodes.size(); ++cpu) {
      NaivePageset& p = model_.pagesets[z][cpu];
      p.batch = config.batch;
      p.high = config.high;
      p.threshold = config.threshold;
      PcpState& e = engine_.view().pageset(ZoneId{z}, CpuId{cpu});
      p.high_min = shape.high_min;
      p.high_max = shape.high_max;
      p.large_cache = shape.large_cache;
      e.high_min = static_cast<std::int32_t>(shape.high_min);
      e.high_max = static_cast<std::int32_t>(shape.high_max);
      e.has_large_cache = shape.large_cache;
    }
    for (std::size_t block = 0; block < shape.zones[i].types.size(); ++block) {
      const std::uint64_t pfn = (from.start / 512 + block) * 512;
      engine_.set_type(pfn, static_cast<Migratetype>(shape.zones[i].types[block]));
      model_.pageblock_type[pfn] = shape.zones[i].types[block];
    }
    for (std::uint64_t pfn = zone.start; pfn < zone.end;) {
      int order = 0;
      // By pageblocks, so that none lies inside a larger block of another type that may not merge with it.
      while (order < 9 && pfn % (2ULL << order) == 0 && pfn + (2ULL << order) <= zone.end)
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
    if (e.stat[0] != m.stat[0] || e.stat[1] != m.stat[1] || e.stat[2] != m.stat[2])
      return fmt::format("counters are {}, to be {}", e.stat, m.stat);
    if (model_.rules.deducts_free_highatomic && e.nr_free_highatomic != m.pages_on_highatomic_lists())
      return differs("free high-atomic pages", e.nr_free_highatomic, m.pages_on_highatomic_lists());
    if (e.watermark_boost != m.boost)
      return differs("boost", e.watermark_boost, m.boost);
    if (e.nr_reserved_highatomic != m.reserved_highatomic)
      return differs("reserve", e.nr_reserved_highatomic, m.reserved_highatomic);
    if (e.nr_isolate_pageblock != m.isolated_pageblocks)
      return differs("isolated pageblocks", e.nr_isolate_pageblock, m.isolated_pageblocks);
    const std::uint32_t flags = (m.boosted_flag ? zone_flag::kBoostedWatermark : 0U) |
                                (m.reclaim_active ? zone_flag::kReclaimActive : 0U) |
                                (m.below_high ? zone_flag::kBelowHigh : 0U);
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
    if (e.high != m.high || e.alloc_factor != m.alloc_factor || e.previous_free_was_high != m.previous_was_high_order ||
        (model_.rules.tuned && e.free_count != m.free_count))
      return fmt::format("high, alloc factor, free count, high order are {} {} {} {}, to be {} {} {} {}", e.high,
                         e.alloc_factor, e.free_count, e.previous_free_was_high, m.high, m.alloc_factor, m.free_count,
                         m.previous_was_high_order);
    for (std::size_t item = 0; item < 3; ++item)
      if (e.stat.delta[item] != m.delta[item])
        return fmt::format("delta {} is {}, to be {}", item, e.stat.delta[item], m.delta[item]);
    for (unsigned list = 0; list < kPcpLists; ++list) {
      FrameIndex at = e.lists[list].head;
      std::size_t n = 0;
      const auto& pages = m.lists[list];
      for (; at != kNil && n < pages.size() && map.pfn(at).raw() == pages[n].pfn &&
             (!model_.rules.cached_type_at_bulk || static_cast<int>(raw(map.state(at).type())) == pages[n].cached);
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
    if (compound && order == 1)
      order_one_tails_.insert(pfn + 1);
  }
  void mark(std::uint64_t pfn, int order, bool movable) {
    std::fill_n(lru_.begin() + static_cast<std::ptrdiff_t>(pfn), std::size_t{1} << order, movable ? 1 : 0);
  }
  Live drop(std::size_t nth) {
    const Live block = live_[nth % live_.size()];
    live_[nth % live_.size()] = live_.back();
    live_.pop_back();
    mark(block.pfn, block.order, false);
    if (block.compound && block.order == 1)
      order_one_tails_.erase(block.pfn + 1);
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
    if (!model_.rules.bulk_api)
      return "";
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
    NaiveNode& node = model_.nodes[n];
    node.order = 0;
    node.highest = 0xff;
    node.running = false;
    node.failures = o.failed ? 16 : 0;
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
    state.watermark_boost = zone.boost = model_.rules.boosts ? o.boost : 0;
    return "";
  }
  std::string run(const ReclaimActive& o) {
    const std::size_t z = o.zone % model_.zones.size();
    if (!model_.zones[z].populated || !model_.rules.reclaim_active_flag)
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
    // With mobility off 3.10 cannot isolate: it stores Unmovable.
    if (model_.rules.unmovable_for_every_type && model_.mobility_disabled)
      return "";
    if (model_.rules.isolation == NaiveIsolation::Plain)
      return isolate_pair(*pfn, o);
    if (model_.rules.isolation != NaiveIsolation::Stepwise && is_within_something_larger(*pfn))
      return "";
    for (const Live& block : held_)
      if (block.order == 10 && block.pfn == (*pfn & ~1023ULL))
        return "";
    return isolate_one(*pfn, o);
  }
  /// 3.10 isolates in pairs of pageblocks, and drains the per-cpu lists: only so its counters stay right.
  std::string isolate_pair(std::uint64_t pfn, const Isolate& o) {
    engine_->drain_all();
    model_.drain_all();
    const std::uint64_t other = pfn ^ 512;
    const std::size_t z = model_.zone_of(pfn);
    if (!model_.zones[z].spans_pageblock(other))
      return isolate_one(pfn, o);
    const std::string text = isolate_one(std::min(pfn, other), o);
    return text.empty() ? isolate_one(std::max(pfn, other), o) : text;
  }
  /// The callers of isolation split what reaches over a pageblock first; without them the counters would go wrong.
  bool is_within_something_larger(std::uint64_t pfn) {
    if (model_.pageblock_type.contains(pfn ^ 512) && model_.type_of(pfn ^ 512) == kIsolateType)
      return true;
    const std::uint64_t large = pfn & ~1023ULL;
    for (const Live& block : live_)
      if (block.order == 10 && block.pfn == large)
        return true;
    const NaiveZone& zone = model_.zones[model_.zone_of(pfn)];
    const auto it = zone.blocks.find(large);
    return it != zone.blocks.end() && it->second.order == 10;
  }
  std::string isolate_one(std::uint64_t pfn, const Isolate& o) {
    if (!o.unmovable && model_.type_of(pfn) != kIsolateType)
      type_before_[pfn] = model_.type_of(pfn) == kCmaType ? kCmaType : kMovable;
    const auto failure = isolate_pageblock(engine_.view(), engine_.view().zone_of(engine_.index(pfn)),
                                           CpuId{cpu_of(o.cpu)}, engine_.index(pfn), o.unmovable);
    const bool done = model_.isolate(pfn, cpu_of(o.cpu), o.unmovable);
    return done == (failure == IsolateFailure::None) ? "" : "only one side isolated the pageblock";
  }
  std::string run(const Unisolate& o) {
    const auto pfn = whole_pageblock(o.nth);
    if (!pfn || model_.type_of(*pfn) != kIsolateType)
      return "";
    const std::uint64_t other = *pfn ^ 512;
    const bool is_pair =
        model_.rules.isolation == NaiveIsolation::Plain && model_.zones[model_.zone_of(*pfn)].spans_pageblock(other);
    unisolate_one(is_pair ? std::min(*pfn, other) : *pfn, o);
    if (is_pair)
      unisolate_one(std::max(*pfn, other), o);
    return "";
  }
  void unisolate_one(std::uint64_t pfn, const Unisolate& o) {
    const int type = type_before_[pfn];
    unisolate_pageblock(engine_.view(), engine_.view().zone_of(engine_.index(pfn)), CpuId{cpu_of(o.cpu)},
                        engine_.index(pfn), static_cast<Migratetype>(type));
    model_.unisolate(pfn, cpu_of(o.cpu), type);
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
    if (!block || model_.type_of(block->first) == kIsolateType || !model_.rules.takes_pages_off)
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
    if (wanted != 0 && model_.rules.takes_pages_off) {
      held_.push_back({pfn, order, false, false});
    } else if (wanted != 0) {
      // Before 5.10 what compaction takes becomes a block in use, and goes back as any other.
      engine_.adopt(pfn, static_cast<unsigned>(order));
      hold(pfn, order, false, false);
    }
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
  std::string run(const SecondPasses&) {
    engine_->forget_full_zones();
    for (NaiveNode& node : model_.nodes)
      node.full_zones.clear();
    return "";
  }

  SmallMachine engine_;
  NaiveMachine model_;
  std::vector<char> lru_;  ///< by frame: in use and movable
  Contents contents_;
  std::vector<Live> live_;
  std::vector<Live> held_;  ///< isolated free blocks
  std::map<std::uint64_t, int> type_before_;
  std::set<std::uint64_t> order_one_tails_;  ///< of compound blocks in use
};

}  // namespace mmbox::test
