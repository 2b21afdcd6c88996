// kswapd's turn: from the wake-up to the next sleep. 08 §8 of the specification.
#include "mmbox/core/alloc/kswapd.h"

#include "mmbox/core/alloc/suitability.h"
#include "mmbox/core/reclaim/reclaim.h"

namespace mmbox {
namespace {

/// The boosts of some zones when kswapd began. They are taken off when it is done, whatever it could do for them.
class Boosts {
 public:
  explicit Boosts(std::span<const ZoneState> zones) {
    for (std::size_t i = 0; i < zones.size(); ++i)
      pages_[i] = zones[i].watermark_boost;
  }
  [[nodiscard]] std::uint64_t pages() const {
    std::uint64_t sum = 0;
    for (const std::int64_t pages : pages_)
      sum += static_cast<std::uint64_t>(pages);
    return sum;
  }
  void take_off(std::span<ZoneState> zones) const {
    for (std::size_t i = 0; i < zones.size(); ++i)
      zones[i].watermark_boost -= zones[i].watermark_boost < pages_[i] ? zones[i].watermark_boost : pages_[i];
  }

 private:
  std::array<std::int64_t, kMaxZoneTypes> pages_{};
};

/// Pages that one pass is content with.
std::uint64_t target_of(std::span<const ZoneState> zones) {
  std::uint64_t pages = 0;
  for (const ZoneState& zone : zones)
    if (zone.managed > 0)
      pages += greater(static_cast<std::uint64_t>(zone.mark(static_cast<unsigned>(Watermark::High))), kReclaimBatch);
  return pages;
}

}  // namespace

KswapdRun Reclaim::run_kswapd(NodeId id, CpuId cpu) {
  KswapdRun run;
  NodeState& node = machine_.nodes[id.raw()];
  KswapdState& state = node.kswapd;
  if (!state.running)
    return run;
  const Order asked{state.order};
  const ZoneIndex highest{state.highest == KswapdState::kNoZone ? machine_.zone_types.size() - 1 : state.highest};
  // From here on others ask for the next run.
  state.order = 0;
  state.highest = KswapdState::kNoZone;
  run.order = asked;
  if (state.failures < kMaxReclaimRetries)
    balance(node, highest, cpu, run);
  go_to_sleep(node, asked, highest, run);
  return run;
}

void Reclaim::balance(NodeState& node, ZoneIndex highest, CpuId cpu, KswapdRun& run) {
  run.ran = true;
  count_event(machine_.events->pageoutrun);
  const std::span<ZoneState> zones = zones_of(node.id, highest);
  const Boosts boosts{zones};
  std::uint64_t boost_left = boosts.pages();
  for (ZoneState& zone : zones)
    zone.flags |= zone_flag::kReclaimActive;
  const ReclaimParts all = parts();
  unsigned priority = kFirstPriority;
  bool is_done = false;
  while (!is_done && priority >= 1) {
    const bool balanced = node_balanced(machine_, node.id, run.order, highest);
    if (balanced && boost_left == 0)
      break;
    if (!balanced && boost_left > 0) {
      // Memory is short: there is no time for spare pages.
      boost_left = 0;
      priority = kFirstPriority;
      continue;
    }
    // Spare pages are not worth a write.
    const bool for_boost = boost_left > 0;
    const ReclaimEffort effort{.by = ReclaimEffort::By::Kswapd,
                               .gfp = gfp::kKernel,
                               .order = run.order,
                               .highest = highest,
                               .cpu = cpu,
                               .target = target_of(zones),
                               .may_write = !for_boost,
                               .may_swap = !for_boost};
    ReclaimProgress progress;
    NodePass pass{all, node.id, effort, priority, progress};
    pass.age_anon();
    pass.run();
    run.reclaimed += progress.reclaimed;
    // Enough pages are free to make the block from: that is compaction's work.
    if (run.reclaimed >= static_cast<std::uint64_t>(compact_gap(run.order)))
      run.order = Order{0};
    boost_left -= lesser(boost_left, progress.reclaimed);
    if (progress.reclaimed == 0) {
      is_done = for_boost;
      --priority;
    } else if (progress.scanned < effort.target && !(for_boost && priority == kHardPriority)) {
      --priority;
    }
  }
  if (run.reclaimed == 0 && (is_done || priority == 0))
    ++node.kswapd.failures;
  for (ZoneState& zone : zones)
    zone.flags &= ~zone_flag::kReclaimActive;
  if (boosts.pages() == 0)
    return;
  boosts.take_off(zones);
  if (machine_.hosts.compactor != nullptr)
    machine_.hosts.compactor->wake_kcompactd(node.id, Order{kPageblockOrder}, highest);
}

void Reclaim::go_to_sleep(NodeState& node, Order asked, ZoneIndex highest, KswapdRun& run) {
  KswapdState& state = node.kswapd;
  const auto may_sleep = [&] {
    run.balanced = node_balanced(machine_, node.id, run.order, highest);
    return run.balanced || state.failures >= kMaxReclaimRetries;
  };
  const auto stay_awake = [&] {
    state.running = true;
    if (state.order < asked.raw())
      state.order = static_cast<std::uint8_t>(asked.raw());
    if (state.highest == KswapdState::kNoZone || state.highest < highest.raw())
      state.highest = static_cast<std::uint8_t>(highest.raw());
  };
  if (!may_sleep())
    return stay_awake();
  marks_[node.id.raw()] = {};
  if (Compactor* compactor = machine_.hosts.compactor) {
    compactor->reset_skip_hints(node.id);
    compactor->wake_kcompactd(node.id, asked, highest);
  }
  state.running = false;
  // A first, short sleep shows whether the peace lasts.
  if (machine_.hosts.waiter != nullptr)
    machine_.hosts.waiter->wait_tick();
  if (state.running) {
    count_event(machine_.events->kswapd_low_wmark_hit_quickly);
  } else if (!may_sleep()) {
    count_event(machine_.events->kswapd_high_wmark_hit_quickly);
    stay_awake();
  }
}

}  // namespace mmbox
