#include "mmbox/lab/workload/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/views/failure_report.h"

namespace mmbox::lab {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kKbytesPerPage = kPageSize / 1024;

}  // namespace

std::string_view name_of(Stage stage) {
  constexpr std::array<std::string_view, kStages> kNames{"kswapd_woken",      "kswapd_reclaims", "direct_reclaim",
                                                         "direct_compaction", "kcompactd_wakes", "swap_out",
                                                         "refused",           "oom_kill"};
  return kNames[static_cast<std::size_t>(stage)];
}

World::World(Machine& machine, const Workload& workload, const PageDump* dump)
    : machine_(machine),
      tick_ns_(workload.tick_ns),
      disk_pages_(workload.disk_pages),
      oom_(workload.oom),
      swap_pages_(workload.swap_pages),
      pages_(dump == nullptr ? Population{machine} : Population{machine, *dump}),
      files_(machine, pages_, workload.file_pages),
      slab_(machine, pages_, workload.objects_per_page, workload.seed ^ 0x51ab),
      shrinkers_{&slab_},
      compaction_(machine.view(), pages_),
      reclaim_(machine.view(), pages_.lru(), pages_),
      kernel_(pages_.add_owner("kernel")),
      proactive_(machine.view().nodes.size()) {
  if (dump != nullptr)
    pages_.adopt_evictable();
  pages_.keep_lru();
  pages_.set_free_swap(PageCount{swap_pages_});
  pages_.set_watcher(this);
  machine.set_contents(&pages_);
  machine.set_hosts({.reclaimer = this, .compactor = this, .oom = this, .waiter = this});
}

World::~World() {
  machine_.attach(nullptr);
  machine_.set_hosts({});
  machine_.set_contents(nullptr);
}

// ------------------------------------------------------------- time

void World::advance() {
  now_ns_ += tick_ns_;
  if (log_ != nullptr)
    log_->at(now_ns_);
  let_disk_write();
  run_daemons();
  if (now_ns_ >= next_second_ns_)
    once_a_second();
}

void World::wait_tick() {
  // A daemon that waits lets the disk go on; only a request's wait takes its maker's time.
  if (in_daemon_)
    return let_disk_write();
  ++waits_;
  const Actor waiting = actor_;
  advance();
  actor_ = waiting;
  if (log_ != nullptr)
    log_->by(actor_);
}

void World::begin() {
  now_ns_ = 0;
  next_second_ns_ = kSecondNs;
  std::ranges::fill(proactive_, Proactive{});
  stages_ = {};
  kills_.clear();
  refused_ = {};
  waits_ = 0;
  last_report_ns_.reset();
}

void World::let_disk_write() {
  disk_credit_ += disk_pages_ * tick_ns_;
  const std::uint64_t pages = disk_credit_ / kSecondNs;
  if (pages_.being_written() == PageCount{}) {
    disk_credit_ = 0;
    return;
  }
  disk_credit_ %= kSecondNs;
  pages_.tick(PageCount{pages});
}

template <class Work>
void World::as(const Actor& actor, Work work) {
  const Actor before = std::exchange(actor_, actor);
  if (log_ != nullptr)
    log_->by(actor_);
  in_daemon_ = true;
  work();
  in_daemon_ = false;
  actor_ = before;
  if (log_ != nullptr)
    log_->by(actor_);
}

void World::run_daemons() {
  for (const NodeState& node : machine_.view().nodes) {
    if (node.kswapd.running)
      run_kswapd(node);
    if (node.kcompactd.order != 0)
      as({"kcompactd", 60 + static_cast<std::int32_t>(node.id.raw()), CpuId{0}}, [&] {
        note(Stage::KcompactdWakes);
        compaction_.run_kcompactd(node.id, CpuId{0});
      });
    // Source: 07 §10. Every 500 ms, and 64 times as long after work that was in vain.
    if (Proactive& due = proactive_[node.id.raw()]; now_ns_ >= due.next_ns) {
      constexpr std::uint64_t kEvery = kSecondNs / 2;
      due.next_ns = now_ns_ + kEvery;
      as({"kcompactd", 60 + static_cast<std::int32_t>(node.id.raw()), CpuId{0}}, [&] {
        if (compaction_.run_proactively(node.id, CpuId{0}) == ProactiveOutcome::NoProgress)
          due.next_ns = now_ns_ + 64 * kEvery;
      });
    }
  }
  // The flusher threads have written as much as the disk can do in a while, so that it is never idle for them.
  const std::uint64_t ahead = std::max<std::uint64_t>(disk_pages_ / 10, 64);
  if (pages_.being_written().raw() < ahead)
    files_.flush(now_ns_, PageCount{ahead - pages_.being_written().raw()});
}

void World::run_kswapd(const NodeState& node) {
  as({"kswapd", 50 + static_cast<std::int32_t>(node.id.raw()), CpuId{0}}, [&] {
    const ZoneIndex highest{node.kswapd.highest == KswapdState::kNoZone ? machine_.view().zone_types.size() - 1
                                                                        : node.kswapd.highest};
    const auto order = static_cast<std::int32_t>(node.kswapd.order);
    tell(MmVmscanKswapdWake{node.id, highest, order});
    const std::uint64_t swapped = machine_.view().events->pswpout;
    // 6.1 has no tracepoints for these two.
    if (on_event)
      on_event(MmVmscanBalancePgdatBegin{node.id, order, highest});
    const KswapdRun run = reclaim_.run_kswapd(node.id, CpuId{0});
    if (on_event)
      on_event(MmVmscanBalancePgdatEnd{{node.id, order, highest}, run.reclaimed});
    if (run.reclaimed > 0)
      note(Stage::KswapdReclaims);
    note(Stage::SwapOut, machine_.view().events->pswpout - swapped);
    if (!node.kswapd.running)
      tell(MmVmscanKswapdSleep{node.id});
  });
}

void World::once_a_second() {
  next_second_ns_ = now_ns_ + kSecondNs;
  machine_.forget_full_zones();
  for (std::size_t cpu = 0; cpu < machine_.view().cpu_nodes.size(); ++cpu)
    machine_.fold(CpuId{cpu}, FoldBy::StatWorker);
}

// ------------------------------------------------------------- requests

std::optional<Pfn> World::allocate(Gfp gfp, Order order, const Actor& actor) {
  actor_ = actor;
  if (log_ != nullptr)
    log_->by(actor_);
  const AllocResult result =
      machine_.alloc({.gfp = gfp, .order = order, .cpu = actor.cpu, .node = {}, .nodemask = {}, .task = nullptr});
  if (result)
    return *result;
  ++refused_[order.raw()];
  note(Stage::Refused);
  report_failure(gfp, order, actor);
  return std::nullopt;
}

void World::note(Stage stage, std::uint64_t times) {
  if (times == 0)
    return;
  Occurrence& occurrence = stages_[static_cast<std::size_t>(stage)];
  if (occurrence.count == 0)
    occurrence.first_ns = now_ns_;
  occurrence.count += times;
}

void World::set_log(EventLog* log) {
  log_ = log;
  machine_.attach(log);
  if (log != nullptr)
    log->at(now_ns_);
}

std::size_t World::task_named(const std::string& name) {
  const auto found = std::ranges::find(tasks_, name, &SimulatedTask::name);
  if (found != tasks_.end())
    return static_cast<std::size_t>(found - tasks_.begin());
  tasks_.push_back({name, next_pid_++, pages_.add_owner(name)});
  return tasks_.size() - 1;
}

// ------------------------------------------------------------- what the engine asks

void World::wake_kswapd(NodeId node) {
  note(Stage::KswapdWoken);
  reclaim_.wake_kswapd(node);
}

PageCount World::direct_reclaim(const AllocContext& context) {
  note(Stage::DirectReclaim);
  const auto order = static_cast<std::int32_t>(context.order.raw());
  tell(MmVmscanDirectReclaimBegin{order, context.gfp});
  const std::uint64_t swapped = machine_.view().events->pswpout;
  const PageCount freed = reclaim_.direct_reclaim(context);
  note(Stage::SwapOut, machine_.view().events->pswpout - swapped);
  tell(MmVmscanDirectReclaimEnd{freed.raw()});
  return freed;
}

NodeReclaimResult World::node_reclaim(NodeId node, const AllocContext& context) {
  const VmEvents& events = *machine_.view().events;
  tell(MmVmscanNodeReclaimBegin{node, static_cast<std::int32_t>(context.order.raw()), context.gfp});
  const std::uint64_t before = events.pgsteal_direct;
  const NodeReclaimResult result = reclaim_.node_reclaim(node, context);
  tell(MmVmscanNodeReclaimEnd{events.pgsteal_direct - before});
  return result;
}

CompactOutcome World::direct_compact(const AllocContext& context, CompactPriority priority) {
  const CompactOutcome outcome = compaction_.direct_compact(context, priority);
  if (outcome.result != CompactResult::Skipped)
    note(Stage::DirectCompaction);
  return outcome;
}

void World::evicted(Pfn, const PopulationPage& page) {
  if (files_.holds(page))
    files_.evicted(page);
}

bool World::out_of_memory(const AllocContext& context) {
  if (oom_ == OomDecision::Fail)
    return false;
  const auto largest = std::ranges::max_element(tasks_, {}, [&](const SimulatedTask& task) { return pages_of(task); });
  if (largest == tasks_.end() || pages_of(*largest) == 0)
    return false;
  if (on_report)
    on_report(oom_report(context, *largest));
  kill(*largest, context.cpu);
  return true;
}

void World::kill(SimulatedTask& task, CpuId cpu) {
  note(Stage::OomKill);
  count_event(machine_.view().events->oom_kill);
  tell(MarkVictim{task.pid});
  Owner& owner = pages_.owner_of(task.owner);
  OomKillRecord record{now_ns_, task.name, task.pid, 0, owner.swapped_pages};
  for (; owner.swapped_pages > 0; --owner.swapped_pages)
    pages_.release_swap();
  for (std::size_t i = owner.pages.size(); i-- > 0;) {
    const Pfn pfn = owner.pages[i];
    const PopulationPage page = pages_.page(pfn);
    // Somebody works on it; the exit waits, and this one goes when its owner is killed again.
    if (page.is_isolated)
      continue;
    record.freed_pages += std::uint64_t{1} << page.order;
    pages_.forget(pfn);
    machine_.free(pfn, Order{page.order}, cpu);
  }
  task.pid = next_pid_++;
  kills_.push_back(std::move(record));
}

// ------------------------------------------------------------- reports

void World::report_failure(Gfp gfp, Order order, const Actor& actor) {
  // Source: nopage_rs, 10 * HZ.
  constexpr std::uint64_t kQuietNs = 10 * kSecondNs;
  const Request request{.gfp = gfp, .order = order, .cpu = actor.cpu, .node = {}, .nodemask = {}, .task = nullptr};
  if (!on_report || format_ == nullptr || !reports_failure(machine_, request))
    return;
  if (last_report_ns_ && now_ns_ - *last_report_ns_ < kQuietNs)
    return;
  last_report_ns_ = now_ns_;
  on_report(failure_report(machine_, request, *format_, &counters_,
                           {.command = actor.comm,
                            .cpuset = "/",
                            .huge_pages = {},
                            .free_swap_kbytes = pages_.free_swap().raw() * kKbytesPerPage,
                            .total_swap_kbytes = swap_pages_ * kKbytesPerPage}));
}

std::string World::oom_report(const AllocContext& context, const SimulatedTask& victim) {
  const GfpLayout* layout = format_ == nullptr ? nullptr : gfp_layout_for_release(format_->generation);
  if (layout == nullptr)
    layout = &gfp_layout_default();
  const std::uint32_t mask = layout->encode(context.gfp);
  std::string text = fmt::format("{} invoked oom-killer: gfp_mask={:#x}({}), order={}, oom_score_adj=0\n", actor_.comm,
                                 mask, layout->text(mask), context.order.raw());
  if (format_ != nullptr) {
    const Request request{
        .gfp = context.gfp, .order = context.order, .cpu = context.cpu, .node = {}, .nodemask = {}, .task = nullptr};
    const std::string failure = failure_report(machine_, request, *format_, &counters_,
                                               {.command = actor_.comm,
                                                .cpuset = "/",
                                                .huge_pages = {},
                                                .free_swap_kbytes = pages_.free_swap().raw() * kKbytesPerPage,
                                                .total_swap_kbytes = swap_pages_ * kKbytesPerPage});
    // From "Mem-Info:" on: the first line is of a request that got nothing.
    text += failure.substr(failure.find('\n') + 1);
  }
  const Owner& owner = pages_.owner(victim.owner);
  const std::uint64_t resident = owner.held_pages * kKbytesPerPage;
  const std::uint64_t all = resident + owner.swapped_pages * kKbytesPerPage;
  text += fmt::format(
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task={},"
      "pid={},uid=0\n"
      "Out of memory: Killed process {} ({}) total-vm:{}kB, anon-rss:{}kB, file-rss:0kB, shmem-rss:0kB, UID:0 "
      "pgtables:0kB oom_score_adj:0\n",
      victim.name, victim.pid, victim.pid, victim.name, all, resident);
  return text;
}

std::int64_t World::Counters::zone(ZoneId zone, std::string_view name) {
  const Lru& lru = world.pages_.lru();
  const auto of = [&](LruList list) { return static_cast<std::int64_t>(lru.pages(zone, list)); };
  if (name == "nr_zone_inactive_anon")
    return of(LruList::InactiveAnon);
  if (name == "nr_zone_active_anon")
    return of(LruList::ActiveAnon);
  if (name == "nr_zone_inactive_file")
    return of(LruList::InactiveFile);
  if (name == "nr_zone_active_file")
    return of(LruList::ActiveFile);
  if (name == "nr_zone_unevictable")
    return of(LruList::Unevictable);
  return base == nullptr ? 0 : base->zone(zone, name);
}

std::int64_t World::Counters::node(NodeId node, std::string_view name) {
  const NodePageStats& stats = world.machine_.view().nodes[node.raw()].pages;
  const std::array<std::pair<std::string_view, std::int64_t>, 14> known{{
      {"nr_inactive_anon", stats.inactive_anon},
      {"nr_active_anon", stats.active_anon},
      {"nr_inactive_file", stats.inactive_file},
      {"nr_active_file", stats.active_file},
      {"nr_isolated_anon", stats.isolated_anon},
      {"nr_isolated_file", stats.isolated_file},
      {"nr_anon_pages", stats.inactive_anon + stats.active_anon},
      {"nr_file_pages", stats.inactive_file + stats.active_file},
      {"nr_mapped", stats.file_mapped},
      {"nr_dirty", stats.file_dirty},
      {"nr_writeback", stats.writeback},
      {"nr_slab_reclaimable", stats.slab_reclaimable},
      {"nr_vmscan_immediate_reclaim", static_cast<std::int64_t>(world.immediate_reclaim(node))},
      {"nr_unevictable", static_cast<std::int64_t>(world.pages_.lru().pages(node, LruList::Unevictable))},
  }};
  const auto found = std::ranges::find(known, name, &std::pair<std::string_view, std::int64_t>::first);
  if (found != known.end())
    return found->second;
  const std::int64_t before = base == nullptr ? 0 : base->node(node, name);
  // The page cache is one for all nodes; what it counted is told of the first.
  if (node.raw() != 0)
    return before;
  const FileCacheCounters& files = world.files_.counters();
  const std::array<std::pair<std::string_view, std::uint64_t>, 5> of_files{{
      {"workingset_refault_file", files.workingset_refault_file},
      {"workingset_activate_file", files.workingset_activate_file},
      {"workingset_restore_file", files.workingset_restore_file},
      {"nr_dirtied", files.nr_dirtied},
      {"nr_written", files.nr_written},
  }};
  const auto of_file = std::ranges::find(of_files, name, &std::pair<std::string_view, std::uint64_t>::first);
  return before + (of_file == of_files.end() ? 0 : static_cast<std::int64_t>(of_file->second));
}

std::int64_t World::Counters::machine(std::string_view name) {
  if (name == "nr_dirty_threshold")
    return static_cast<std::int64_t>(world.files_.dirty_limit());
  if (name == "nr_dirty_background_threshold")
    return static_cast<std::int64_t>(world.files_.background_limit());
  return base == nullptr ? 0 : base->machine(name);
}

}  // namespace mmbox::lab
