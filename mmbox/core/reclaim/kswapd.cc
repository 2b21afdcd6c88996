// kswapd's turn: from the wake-up to the next sleep. 08 §8 of the specification.
#include "mmbox/core/alloc/kswapd.h"

#include "mmbox/core/alloc/suitability.h"
#include "mmbox/core/reclaim/reclaim.h"

namespace mmbox {
namespace {

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
  if (!machine_.nodes[id.raw()].kswapd.running)
    return {};
  KswapdRun run = begin_kswapd(id);
  static_cast<void>(let_kswapd_work(id, cpu, run, ~std::uint64_t{0}));
  let_kswapd_rest(id, run);
  return run;
}

KswapdRun Reclaim::begin_kswapd(NodeId id) {
  KswapdRun run;
  KswapdState& state = machine_.nodes[id.raw()].kswapd;
  run.order = run.asked = Order{state.order};
  run.highest = ZoneIndex{state.highest == KswapdState::kNoZone ? machine_.zone_types.size() - 1 : state.highest};
  // From here on others ask for the next run.
  state.order = 0;
  state.highest = KswapdState::kNoZone;
  if (state.failures >= kMaxReclaimRetries)
    return run;
  run.ran = true;
  run.priority = kFirstPriority;
  count_event(machine_.events->pageoutrun);
  for (ZoneState& zone : zones_of(id, run.highest)) {
    run.boosts[zone.index.raw()] = zone.watermark_boost;
    run.boost_left += static_cast<std::uint64_t>(zone.watermark_boost);
    zone.flags |= zone_flag::kReclaimActive;
  }
  return run;
}

bool Reclaim::let_kswapd_work(NodeId id, CpuId cpu, KswapdRun& run, std::uint64_t enough) {
  if (!run.ran)
    return true;
  NodeState& node = machine_.nodes[id.raw()];
  const std::uint64_t before = run.reclaimed;
  const ReclaimParts all = parts();
  bool is_in_vain = false;
  while (!is_in_vain && run.priority >= 1) {
    if (run.reclaimed - before >= enough)
      return false;
    const bool balanced = node_balanced(machine_, id, run.order, run.highest);
    if (balanced && run.boost_left == 0)
      break;
    if (!balanced && run.boost_left > 0) {
      // Memory is short: there is no time for spare pages.
      run.boost_left = 0;
      run.priority = kFirstPriority;
      continue;
    }
    // Spare pages are not worth a write.
    const bool for_boost = run.boost_left > 0;
    const ReclaimEffort effort{.by = ReclaimEffort::By::Kswapd,
                               .gfp = gfp::kKernel,
                               .order = run.order,
                               .highest = run.highest,
                               .cpu = cpu,
                               .target = target_of(zones_of(id, run.highest)),
                               .may_write = !for_boost,
                               .may_swap = !for_boost};
    ReclaimProgress progress;
    NodePass pass{all, id, effort, run.priority, progress};
    pass.age_anon();
    pass.run();
    run.reclaimed += progress.reclaimed;
    // Enough pages are free to make the block from: that is compaction's work.
    if (run.reclaimed >= static_cast<std::uint64_t>(compact_gap(run.order)))
      run.order = Order{0};
    run.boost_left -= lesser(run.boost_left, progress.reclaimed);
    if (progress.reclaimed == 0) {
      is_in_vain = for_boost;
      --run.priority;
    } else if (progress.scanned < effort.target && !(for_boost && run.priority == kHardPriority)) {
      --run.priority;
    }
  }
  if (run.reclaimed == 0 && (is_in_vain || run.priority == 0))
    ++node.kswapd.failures;
  end_kswapd_work(node, run);
  return true;
}

/// Takes the boosts off, whatever could be done for them.
void Reclaim::end_kswapd_work(NodeState& node, const KswapdRun& run) {
  bool any = false;
  for (ZoneState& zone : zones_of(node.id, run.highest)) {
    zone.flags &= ~zone_flag::kReclaimActive;
    const std::int64_t boost = run.boosts[zone.index.raw()];
    zone.watermark_boost -= zone.watermark_boost < boost ? zone.watermark_boost : boost;
    any = any || boost > 0;
  }
  if (any && machine_.hosts.compactor != nullptr)
    machine_.hosts.compactor->wake_kcompactd(node.id, Order{kPageblockOrder}, run.highest);
}

void Reclaim::let_kswapd_rest(NodeId id, KswapdRun& run) {
  KswapdState& state = machine_.nodes[id.raw()].kswapd;
  run.balanced = node_balanced(machine_, id, run.order, run.highest);
  // Once it has left a block to compaction, it may sleep over single pages. Otherwise the block is forgotten, whether
  // there is one or not: recorded, what others have asked for since decides, and what kcompactd hears of.
  const bool left_it = run.order < run.asked;
  const Order asked = left_it ? run.asked : Order{state.order};
  const Order order = left_it ? run.order : asked;
  ZoneIndex highest = run.highest;
  if (!left_it && state.highest != KswapdState::kNoZone)
    highest = ZoneIndex{state.highest};
  const auto may_sleep = [&] {
    return node_balanced(machine_, id, order, highest) || state.failures >= kMaxReclaimRetries;
  };
  const auto stay_awake = [&] {
    state.running = true;
    if (state.highest == KswapdState::kNoZone)
      state.highest = static_cast<std::uint8_t>(highest.raw());
  };
  if (!may_sleep())
    return stay_awake();
  marks_[id.raw()] = {};
  if (Compactor* compactor = machine_.hosts.compactor) {
    compactor->reset_skip_hints(id);
    if (asked > Order{0})
      compactor->wake_kcompactd(id, asked, highest);
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
