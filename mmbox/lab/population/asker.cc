#include "mmbox/lab/population/asker.h"

#include <algorithm>
#include <utility>

namespace mmbox::lab {
namespace {

/// Pages that kswapd frees on average before others are due. Recorded, 111 times in 275,000 pages, on an emulated CPU;
/// it is a matter of speed.
constexpr std::uint64_t kPagesOfAShare = 2'500;
constexpr std::uint64_t kShareStep = 50;  ///< how finely that is drawn
/// What takes time on the same CPU: a block, which is cleared; a frame that compaction looks at; a page that it moves.
/// Recorded, about.
constexpr std::uint64_t kBlockNs = 8'000'000;
constexpr std::uint64_t kFrameNs = 200;
constexpr std::uint64_t kMoveNs = 27'000;
/// kcompactd looks around this often, and less often after work that was in vain. Source: 07 §10.
constexpr std::uint64_t kProactiveNs = 500'000'000;
constexpr std::uint64_t kProactivePause = 64;
/// And then works so long at most, while the task goes on asking; what it made is there at the end. Recorded. But it
/// goes first, as whoever slept, and little work is done by then.
constexpr std::uint64_t kProactiveWorkNs = 400'000'000;
constexpr std::uint64_t kGoesFirstNs = 25'000'000;

}  // namespace

Asker::Asker(Machine& machine, const Population& pages, bool compacts, bool reclaims, std::uint64_t seed)
    : machine_(machine),
      reclaims_(reclaims),
      random_(seed),
      pages_(machine, pages),
      compaction_(machine.view(), pages_),
      reclaim_(machine.view(), pages_.lru(), pages_) {
  pages_.adopt_evictable();
  look_around_ns_ = random_.below(kProactiveNs);
  const auto refilled = static_cast<unsigned>(random_.below(101));
  pages_.keep_lru(
      LruGuess{.refilled_percent = refilled, .oldest_is_highest = random_.below(2) == 0, .small_blocks_first = true});
  pages_.set_watcher(this);
  machine.set_contents(&pages_);
  machine.set_hosts({.reclaimer = reclaims ? this : nullptr,
                     .compactor = compacts ? this : nullptr,
                     .oom = nullptr,
                     .waiter = reclaims ? this : nullptr});
}

Asker::~Asker() {
  machine_.set_hosts({});
  machine_.set_contents(nullptr);
}

std::uint64_t Asker::take(Order order, Gfp gfp, std::uint64_t most) {
  std::uint64_t blocks = 0;
  for (; blocks < most; ++blocks) {
    const AllocResult block =
        machine_.alloc({.gfp = gfp, .order = order, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = nullptr});
    if (!block)
      break;
    PopulationPage page;
    page.use = PageUse::Kernel;
    page.order = static_cast<std::uint8_t>(order.raw());
    page.is_compound = gfp.has(gfp::kComp) && order > Order{0};
    pages_.put(*block, page);
    if (!reclaims_)
      continue;
    now_ns_ += kBlockNs;
    run_those_woken();
    if (random_.below(3) < 2)
      run_those_awake();
    look_around();
  }
  return blocks;
}

void Asker::look_around() {
  const MachineView& view = machine_.view();
  const std::uint64_t scanned = view.events->compact_migrate_scanned + view.events->compact_free_scanned;
  const std::uint64_t moved = view.events->pgmigrate_success;
  now_ns_ += kFrameNs * (scanned - std::exchange(scanned_, scanned)) + kMoveNs * (moved - std::exchange(moved_, moved));
  if (in_daemon_ || now_ns_ < look_around_ns_)
    return;
  const unsigned high = proactive_high_score(view.tunables->compaction_proactiveness);
  const bool is_due = std::ranges::any_of(view.nodes, [&](const NodeState& node) {
    return !node.kswapd.running && fragmentation_score(view, node.id) > high;
  });
  if (!is_at_work_ && !is_due) {
    look_around_ns_ += kProactiveNs;
    return;
  }
  if (const std::uint64_t work = proactive_work_ns(); !is_at_work_ && work > kGoesFirstNs) {
    is_at_work_ = true;
    look_around_ns_ += work;
    return;
  }
  is_at_work_ = false;
  look_around_ns_ = now_ns_ + kProactiveNs;
  in_daemon_ = true;
  for (const NodeState& node : view.nodes)
    if (compaction_.run_proactively(node.id, CpuId{0}) == ProactiveOutcome::NoProgress)
      look_around_ns_ = now_ns_ + kProactivePause * kProactiveNs;
  in_daemon_ = false;
}

std::uint64_t Asker::proactive_work_ns() {
  std::uint64_t movable = 0;
  for (const NodeState& node : machine_.view().nodes)
    for (std::size_t list = 0; list < kLruLists; ++list)
      movable += pages_.lru().pages(node.id, static_cast<LruList>(list));
  return std::min(kMoveNs * movable, kProactiveWorkNs);
}

void Asker::wait_tick() {
  // A daemon that waits lets the disk go on; a task that sleeps lets everybody.
  if (!in_daemon_)
    run_those_awake();
  pages_.tick();
}

PageCount Asker::direct_reclaim(const AllocContext& context) {
  run_those_woken();
  return reclaim_.direct_reclaim(context);
}

CompactOutcome Asker::direct_compact(const AllocContext& context, CompactPriority priority) {
  const VmEvents& events = *machine_.view().events;
  const std::uint64_t scanned = events.compact_migrate_scanned;
  const CompactOutcome outcome = compaction_.direct_compact(context, priority);
  const bool took_long = outcome.result == CompactResult::Complete || outcome.result == CompactResult::PartialSkipped;
  if (reclaims_ && took_long && events.compact_migrate_scanned > scanned)
    run_those_awake();
  if (reclaims_)
    look_around();
  return outcome;
}

void Asker::run_those_woken() {
  if (in_daemon_)
    return;
  for (const NodeState& node : machine_.view().nodes)
    if (std::exchange(daemons_[node.id.raw()].was_just_woken, false))
      run_kswapd(node.id);
}

void Asker::run_those_awake() {
  for (const NodeState& node : machine_.view().nodes)
    run_kswapd(node.id);
}

void Asker::run_kswapd(NodeId id) {
  if (in_daemon_)
    return;
  Daemon& kswapd = daemons_[id.raw()];
  if (!kswapd.run && !machine_.view().nodes[id.raw()].kswapd.running)
    return;
  in_daemon_ = true;
  if (!kswapd.run)
    kswapd.run = reclaim_.begin_kswapd(id);
  // Others become due at any time, however long it has had the CPU.
  std::uint64_t share = 0;
  while (!random_.chance(1'000'000 * kShareStep / kPagesOfAShare))
    share += kShareStep;
  if (reclaim_.let_kswapd_work(id, CpuId{0}, *kswapd.run, share)) {
    reclaim_.let_kswapd_rest(id, *kswapd.run);
    kswapd.run.reset();
    compaction_.run_kcompactd(id, CpuId{0});
  }
  in_daemon_ = false;
}

}  // namespace mmbox::lab
