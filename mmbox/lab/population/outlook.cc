#include "mmbox/lab/population/outlook.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/snapshot/script_log.h"

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

Expected<Got> ask(const Moment& moment, Order order, Gfp gfp, std::uint64_t most, Effort effort) {
  auto image = image_of(moment.snapshot, moment.generation);
  if (!image)
    return image.error();
  Machine& machine = image->machine();
  Population pages{machine, moment.dump};
  pages.adopt_evictable();
  pages.keep_lru();
  machine.set_contents(&pages);
  Compaction compaction{machine.view(), pages};
  Reclaim reclaim{machine.view(), pages.lru(), pages};
  Ticks ticks{machine, pages, reclaim, compaction};
  machine.set_hosts({.reclaimer = effort.reclaims ? &reclaim : nullptr,
                     .compactor = effort.compacts ? &compaction : nullptr,
                     .oom = nullptr,
                     .waiter = effort.reclaims ? &ticks : nullptr});
  Got got;
  while (got.blocks < most) {
    const AllocResult block =
        machine.alloc({.gfp = gfp, .order = order, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = nullptr});
    if (!block)
      break;
    ++got.blocks;
    PopulationPage page;
    page.use = PageUse::Kernel;
    page.order = static_cast<std::uint8_t>(order.raw());
    page.is_compound = gfp.has(gfp::kComp) && order > Order{0};
    pages.put(*block, page);
    if (effort.reclaims)
      ticks.wait_tick();
  }
  const VmEvents& events = *machine.view().events;
  got.moved = events.pgmigrate_success;
  got.evicted = events.pgsteal_direct + events.pgsteal_kswapd;
  return got;
}

}  // namespace

Expected<Moment> load_moment(const std::string& log, const std::string& label) {
  auto snapshot = load_snapshot(log, label);
  if (!snapshot)
    return snapshot.error();
  auto dump = load_page_dump(log, snapshot->label);
  if (!dump) {
    Error error = dump.error();
    error.remedy = "record the moment with its pages (ctl snapx), or choose a label that has them";
    return error;
  }
  return Moment{std::move(*snapshot), std::move(*dump), kLinux61};
}

Expected<CompactionOutlook> compaction_outlook(const Moment& moment) {
  auto image = image_of(moment.snapshot, moment.generation);
  if (!image)
    return image.error();
  Machine& machine = image->machine();
  Population pages{machine, moment.dump};
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

Expected<RequestOutlook> request_outlook(const Moment& moment, Order order, Gfp gfp, std::uint64_t most) {
  RequestOutlook outlook;
  const auto now = ask(moment, order, gfp, most, {});
  if (!now)
    return now.error();
  outlook.now = now->blocks;
  const auto compacted = ask(moment, order, gfp, most, {.compacts = true, .reclaims = false});
  if (!compacted)
    return compacted.error();
  outlook.after_compaction = compacted->blocks;
  const auto reclaimed = ask(moment, order, gfp, most, {.compacts = true, .reclaims = true});
  if (!reclaimed)
    return reclaimed.error();
  outlook.after_reclaim = reclaimed->blocks;
  outlook.moved_pages = reclaimed->moved;
  outlook.evicted_pages = reclaimed->evicted;

  auto image = image_of(moment.snapshot, moment.generation);
  if (!image)
    return image.error();
  const Population pages{image->machine(), moment.dump};
  const MachineView& view = image->machine().view();
  for (const SnapshotZone& zone : moment.snapshot.zones) {
    for (Pfn run = zone.start.align_down(order); run < zone.end(); run = run + PageCount::in(order)) {
      bool blocked = false;
      for (Pfn pfn = std::max(run, zone.start); pfn < run + PageCount::in(order) && pfn < zone.end();
           pfn = pfn + PageCount{1}) {
        if (!pages.contains(pfn) || view.env.map.pageblock(view.env.map.index(pfn)).zone == kNoZone)
          break;
        const PopulationPage& page = pages.page(pfn);
        if (!stays(page))
          continue;
        blocked = true;
        ++outlook.obstacles[page.use];
      }
      outlook.blocked_runs += blocked ? 1 : 0;
    }
  }
  return outlook;
}

}  // namespace mmbox::lab
