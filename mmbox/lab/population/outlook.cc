#include "mmbox/lab/population/outlook.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/population/asker.h"

namespace mmbox::lab {
namespace {

/// Time for a machine that nobody else uses: the daemons get their turns, and what is being written gets done.
class Ticks final : public Waiter {
 public:
  Ticks(Machine& machine, Population& pages, Reclaim& reclaim, Compaction& compaction)
      : machine_(machine), pages_(pages), reclaim_(reclaim), compaction_(compaction) {}

  void wait_tick() override {
    // A daemon that waits itself just lets the disk go on.
    if (!std::exchange(daemons_run_, true)) {
      for (const NodeState& node : machine_.view().nodes) {
        reclaim_.run_kswapd(node.id, CpuId{0});
        compaction_.run_kcompactd(node.id, CpuId{0});
      }
      daemons_run_ = false;
    }
    pages_.tick();
  }

 private:
  Machine& machine_;
  Population& pages_;
  Reclaim& reclaim_;
  Compaction& compaction_;
  bool daemons_run_ = false;
};

struct Effort {
  bool compacts = false;
  bool reclaims = false;
};

struct Got {
  std::uint64_t blocks = 0;
  std::uint64_t moved = 0;
  std::uint64_t evicted = 0;
};

Got ask(const PopulatedMachine& of, Order order, Gfp gfp, std::uint64_t most, Effort effort, std::uint64_t seed = 1) {
  Image image = of.image.copy();
  Machine& machine = image.machine();
  const VmEvents& events = *machine.view().events;
  const VmEvents before = events;
  Asker asker{machine, of.pages, effort.compacts, effort.reclaims, seed};
  Got got;
  got.blocks = asker.take(order, gfp, most);
  got.moved = events.pgmigrate_success - before.pgmigrate_success;
  got.evicted = events.pgsteal_direct + events.pgsteal_kswapd - before.pgsteal_direct - before.pgsteal_kswapd;
  return got;
}

/// Finds out which pages stand in the way of runs of one size, and whose they are.
class Obstacles {
 public:
  Obstacles(const PopulatedMachine& of, Order order) : pages_(of.pages), order_(order) {}

  /// The frames of a zone, ascending.
  void add(const ZoneState& zone, const MemMap& map) {
    Pfn block_end;
    const PopulationPage* block = nullptr;
    for (FrameIndex i = zone.begin; i < zone.end; ++i) {
      const Pfn pfn = map.pfn(i);
      if (pfn.is_aligned(order_))
        end_run();
      if (map.pageblock(i).zone != zone.id.raw())
        continue;
      // The inside of a block is what its head is.
      if (pfn >= block_end) {
        block = &pages_.page(pfn);
        block_end = pfn + PageCount::in(Order{block->order});
      }
      if (stays(*block))
        ++run_[{block->owner == kNoOwner ? name_of(block->use) : std::string_view{pages_.owner(block->owner).name},
                block->use}];
    }
    end_run();
  }

  void take(RequestOutlook& outlook) const {
    outlook.blocked_runs = blocked_runs_;
    for (const auto& [who, holder] : holders_) {
      outlook.obstacles[who.second] += holder.pages;
      outlook.holders.push_back(holder);
    }
    std::ranges::stable_sort(outlook.holders, std::ranges::greater{}, &RequestOutlook::Holder::pages);
  }

 private:
  /// By name: owners of one name are one.
  using Who = std::pair<std::string_view, PageUse>;

  void end_run() {
    blocked_runs_ += run_.empty() ? 0 : 1;
    const bool is_alone = !run_.empty() && run_.begin()->first.first == run_.rbegin()->first.first;
    for (const auto& [who, count] : run_) {
      RequestOutlook::Holder& holder = holders_[who];
      holder.owner = who.first;
      holder.use = who.second;
      holder.pages += count;
      ++holder.runs;
      holder.runs_alone += is_alone ? 1 : 0;
    }
    run_.clear();
  }

  const Population& pages_;
  Order order_;
  std::map<Who, std::uint64_t> run_;  // pages of the run that is being looked at
  std::map<Who, RequestOutlook::Holder> holders_;
  std::uint64_t blocked_runs_ = 0;
};

}  // namespace

CompactionOutlook compaction_outlook(const PopulatedMachine& of) {
  PopulatedMachine copy = of.copy();
  Machine& machine = copy.image.machine();
  Population& pages = copy.pages;
  *machine.view().events = {};
  machine.set_contents(&pages);
  const auto blocks = [](const ZoneState& zone) {
    BlocksByOrder counts{};
    std::ranges::copy(zone.nr_free, counts.begin());
    return counts;
  };
  CompactionOutlook outlook;
  for (const ZoneState& zone : machine.view().zones)
    if (zone.is_populated())
      outlook.zones.push_back(
          {fmt::format("Node {}, zone {}", zone.node.raw(), zone_type_name(zone.type)), blocks(zone), {}});
  Compaction compaction{machine.view(), pages};
  compaction.compact_all(CpuId{0});
  machine.drain_all();
  std::size_t nth = 0;
  for (const ZoneState& zone : machine.view().zones)
    if (zone.is_populated())
      outlook.zones[nth++].after = blocks(zone);
  const VmEvents& events = *machine.view().events;
  outlook.moved_pages = events.pgmigrate_success;
  outlook.failed_pages = events.pgmigrate_fail;
  outlook.migrate_scanned = events.compact_migrate_scanned;
  outlook.free_scanned = events.compact_free_scanned;
  return outlook;
}

RequestOutlook request_outlook(const PopulatedMachine& of, Order order, Gfp gfp, std::uint64_t most,
                               std::uint64_t draws, std::uint64_t seed) {
  RequestOutlook outlook;
  outlook.now = ask(of, order, gfp, most, {}).blocks;
  outlook.after_compaction = ask(of, order, gfp, most, {.compacts = true, .reclaims = false}).blocks;
  std::vector<Got> chances;
  for (std::uint64_t nth = 0; nth < draws; ++nth)
    chances.push_back(ask(of, order, gfp, most, {.compacts = true, .reclaims = true}, seed + nth));
  std::ranges::sort(chances, {}, &Got::blocks);
  const Got& middle = chances[chances.size() / 2];
  outlook.after_reclaim = middle.blocks;
  outlook.moved_pages = middle.moved;
  outlook.evicted_pages = middle.evicted;
  outlook.least_after_reclaim = chances.front().blocks;
  outlook.most_after_reclaim = chances.back().blocks;

  Obstacles obstacles{of, order};
  const MachineView& view = of.image.machine().view();
  for (const ZoneState& zone : view.zones)
    if (zone.is_populated())
      obstacles.add(zone, view.env.map);
  obstacles.take(outlook);
  return outlook;
}

namespace {

std::string_view words_of(NodeReclaimResult result) {
  switch (result) {
    case NodeReclaimResult::NoScan: return "not tried: the mask cannot wait, or the node is another CPU's";
    case NodeReclaimResult::Full: return "full: no more than min_unmapped_pages and min_slab_pages could be taken";
    case NodeReclaimResult::Some: return "some: fewer than the request needs";
    case NodeReclaimResult::Success: return "success: as many as the request needs";
  }
  return "";
}

/// The CPU of a node that asks; the first one if it has none.
CpuId cpu_of(const MachineView& view, NodeId node) {
  for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu)
    if (view.cpu_nodes[cpu] == node)
      return CpuId{cpu};
  return CpuId{0};
}

/// The reclaim of one wish. Every word of `Reclaim` that it needs is told by the engine's own counters.
class Wish {
 public:
  Wish(Machine& machine, Population& pages, const ReclaimWish& wish, ZoneIndex highest)
      : machine_(machine),
        pages_(pages),
        wish_(wish),
        highest_(highest),
        compaction_(machine.view(), pages),
        reclaim_(machine.view(), pages.lru(), pages),
        ticks_(machine, pages, reclaim_, compaction_) {
    machine.set_hosts({.reclaimer = &reclaim_, .compactor = nullptr, .oom = nullptr, .waiter = &ticks_});
  }
  ~Wish() { machine_.set_hosts({}); }
  Wish(const Wish&) = delete;
  Wish& operator=(const Wish&) = delete;

  void run(ReclaimOutlook& outlook) {
    switch (wish_.by) {
      case ReclaimWish::By::Direct: direct(outlook); break;
      case ReclaimWish::By::Kswapd: kswapd(outlook); break;
      case ReclaimWish::By::Node: node(outlook); break;
      case ReclaimWish::By::Pass: pass(outlook); break;
    }
  }

 private:
  [[nodiscard]] std::uint64_t stolen() const {
    return machine_.view().events->pgsteal_direct + machine_.view().events->pgsteal_kswapd;
  }
  [[nodiscard]] AllocContext context() const {
    AllocContext context = prepare(machine_.view(), {.gfp = wish_.gfp,
                                                     .order = wish_.order,
                                                     .cpu = cpu_of(machine_.view(), wish_.node),
                                                     .node = wish_.node,
                                                     .nodemask = {},
                                                     .task = nullptr});
    context.highest = highest_;
    context.nodes = NodeMask{};
    context.nodes.add(wish_.node);
    context.preferred = next_zone(context.list, 0, context.highest, context.nodes);
    return context;
  }

  void direct(ReclaimOutlook& outlook) {
    const std::uint64_t begin = stolen();
    std::uint64_t before = begin;
    do {
      before = stolen();
      const PageCount progress = reclaim_.direct_reclaim(context());
      ++outlook.rounds;
      if (progress > PageCount{} && stolen() == before)
        break;
    } while (stolen() > before && stolen() - begin < wish_.pages);
    outlook.result = stolen() - begin >= wish_.pages ? "as many as were asked for"
                     : stolen() == before            ? "nothing more can be taken"
                                                     : "fewer than were asked for";
  }
  void kswapd(ReclaimOutlook& outlook) {
    KswapdState& state = machine_.view().nodes[wish_.node.raw()].kswapd;
    state.running = true;
    state.order = static_cast<std::uint8_t>(wish_.order.raw());
    state.highest = static_cast<std::uint8_t>(highest_.raw());
    const KswapdRun run = reclaim_.run_kswapd(wish_.node, CpuId{0});
    outlook.rounds = 1;
    outlook.result = !run.ran                   ? "hopeless: sixteen runs in a row were in vain"
                     : run.balanced             ? "balanced: some zone is above its high mark"
                     : state.running            ? "not balanced: it stays awake"
                     : run.order == wish_.order ? "not balanced: there is no such block, but single pages are free"
                                                : "not balanced; for the block itself it leaves the work to compaction";
  }
  void node(ReclaimOutlook& outlook) {
    Tunables tunables = machine_.tunables();
    tunables.zone_reclaim_mode = wish_.zone_reclaim_mode;
    machine_.set_tunables(tunables);
    outlook.rounds = 1;
    outlook.result = words_of(node_reclaim(machine_.view(), context(), wish_.node));
  }
  void pass(ReclaimOutlook& outlook) {
    std::array<NodeMarks, kMaxNodes> marks{};
    std::array<std::uint64_t, kMaxNodes> immediate{};
    const ReclaimParts parts{machine_.view(), pages_.lru(), pages_, marks, immediate};
    const ReclaimEffort effort{.by = ReclaimEffort::By::Direct,
                               .gfp = wish_.gfp,
                               .order = wish_.order,
                               .highest = highest_,
                               .cpu = cpu_of(machine_.view(), wish_.node),
                               .target = wish_.pages};
    ReclaimProgress progress;
    NodePass{parts, wish_.node, effort, wish_.priority, progress}.run();
    outlook.rounds = 1;
    outlook.result = progress.spared_active ? "done; active pages were due and were spared" : "done";
  }

  Machine& machine_;
  Population& pages_;
  const ReclaimWish& wish_;
  ZoneIndex highest_;
  Compaction compaction_;
  Reclaim reclaim_;
  Ticks ticks_;
};

}  // namespace

Expected<ReclaimOutlook> reclaim_outlook(const PopulatedMachine& of, const ReclaimWish& wish) {
  PopulatedMachine copy = of.copy();
  Machine& machine = copy.image.machine();
  Population& pages = copy.pages;
  const MachineView& view = machine.view();
  if (wish.node.raw() >= view.nodes.size())
    return Error{.message = fmt::format("the machine has no node {}", wish.node.raw()),
                 .remedy = fmt::format("its nodes are 0 to {}", view.nodes.size() - 1)};
  ZoneIndex highest{view.zone_types.size() - 1};
  if (wish.highest) {
    const auto index = view.index_of(*wish.highest);
    if (!index || !view.zones[wish.node.raw() * view.zone_types.size() + index->raw()].is_populated())
      return Error{.message = fmt::format("node {} has no zone {}", wish.node.raw(), zone_type_name(*wish.highest)),
                   .remedy = "`mmbox show FILE:LABEL --view buddyinfo` lists the zones"};
    highest = *index;
  }
  pages.adopt_evictable();
  pages.keep_lru();
  pages.set_free_swap(wish.free_swap);
  machine.set_contents(&pages);
  ReclaimOutlook outlook;
  const auto lists = [&] {
    ReclaimOutlook::Lists counts{};
    for (std::size_t list = 0; list < kLruLists; ++list)
      counts[list] = pages.lru().pages(wish.node, static_cast<LruList>(list));
    return counts;
  };
  const auto free_of = [&](const ZoneState& zone) {
    std::int64_t free = zone.stat[static_cast<std::size_t>(ZoneStat::FreePages)];
    for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu)
      free += view.pageset(zone.id, CpuId{cpu}).count + view.pageset(zone.id, CpuId{cpu}).stat.delta[0];
    return free;
  };
  outlook.before = lists();
  for (const ZoneState& zone : view.zones)
    if (zone.node == wish.node && zone.is_populated())
      outlook.zones.push_back({std::string{zone_type_name(zone.type)}, free_of(zone), 0,
                               zone.mark(static_cast<unsigned>(Watermark::Low)),
                               zone.mark(static_cast<unsigned>(Watermark::High))});
  *view.events = {};
  Wish{machine, pages, wish, highest}.run(outlook);
  outlook.after = lists();
  std::size_t nth = 0;
  for (const ZoneState& zone : view.zones)
    if (zone.node == wish.node && zone.is_populated())
      outlook.zones[nth++].free_after = free_of(zone);
  const VmEvents& events = *view.events;
  outlook.scanned_anon = events.pgscan_anon;
  outlook.scanned_file = events.pgscan_file;
  outlook.reclaimed = events.pgsteal_direct + events.pgsteal_kswapd;
  outlook.swapped_out = events.pswpout;
  return outlook;
}

}  // namespace mmbox::lab
