#include "mmbox/core/compaction/zone_compaction.h"

#include "mmbox/core/alloc/suitability.h"
#include "mmbox/core/compaction/deferral.h"

namespace mmbox {
namespace {

/// One run, in its steps: is it over? take pages; move them; let what became free merge.
class Run {
 public:
  explicit Run(ZoneWork& work) : work_(work), sources_(work), targets_(work) {}

  [[nodiscard]] CompactResult go_on_until_over();
  /// Releases the frames that were not needed, and remembers how high they lie.
  void finish();

 private:
  /// How the moving of one batch went.
  enum class Moving : std::uint8_t { AllMoved, SomeStayed, NoTargets };

  [[nodiscard]] CompactResult is_over();
  [[nodiscard]] bool has_wanted_block() const;
  [[nodiscard]] CompactResult told(CompactResult result) const;
  [[nodiscard]] Moving move_batch();
  [[nodiscard]] std::optional<MoveResult> move_one(FrameIndex from, MoveEffort effort);
  void free_frame(FrameIndex index);
  void put_back_batch();
  void drain_behind();
  [[nodiscard]] bool is_killed() const { return work_.plan.is_direct && work_.plan.task->fatal_signal; }
  [[nodiscard]] bool has_caught() const {
    return work_.machine.env.capture != nullptr && work_.machine.env.capture->page.has_value();
  }

  ZoneWork& work_;
  SourceScanner sources_;
  TargetScanner targets_;
  SourceBatch batch_;
  TargetStack frames_{work_.map()};
  /// Where the step began that last gave pages to move; none since the per-cpu lists were drained.
  std::optional<Pfn> moved_from_;
};

CompactResult Run::go_on_until_over() {
  const bool began_in_step = work_.memory.modes_agree();
  bool has_taken = false;
  for (;;) {
    if (const CompactResult result = is_over(); result != CompactResult::Continue)
      return result;
    const Pfn from = work_.at.sources;
    const bool again = moved_from_ && pageblock_start(*moved_from_) == pageblock_start(from);
    switch (sources_.next(batch_, again)) {
      case SourceScanner::Step::GivesWay: return CompactResult::Contended;
      case SourceScanner::Step::Nothing:
        if (work_.plan.is_async() && began_in_step && !has_taken)
          work_.memory.let_modes_agree();
        break;
      case SourceScanner::Step::Took: {
        has_taken = true;
        moved_from_ = from;
        const Moving moving = move_batch();
        if (moving == Moving::NoTargets && !work_.at.have_met())
          return CompactResult::Contended;
        // One page that stays spoils the run that it lies in.
        if (moving == Moving::SomeStayed && work_.plan.takes_whole_runs())
          work_.at.sources =
              below(work_.at.sources, PageCount{1}).align_down(*work_.plan.order) + PageCount::in(*work_.plan.order);
        break;
      }
    }
    drain_behind();
    if (has_caught())
      return CompactResult::Success;
  }
}

// ------------------------------------------------------------- is it over?

CompactResult Run::is_over() {
  const CompactionPlan& plan = work_.plan;
  if (work_.at.have_met()) {
    work_.memory.forget_positions();
    if (plan.is_direct)
      work_.zone.compaction.blockskip_flush = true;
    return told(plan.whole_zone ? CompactResult::Complete : CompactResult::PartialSkipped);
  }
  if (plan.is_proactive) {
    const NodeState& node = work_.machine.nodes[work_.zone.node.raw()];
    if (racy(node.kswapd.running))
      return told(CompactResult::PartialSkipped);
    const unsigned enough = proactive_low_score(work_.machine.tunables->compaction_proactiveness);
    return told(zone_fragmentation_score(work_.zone) <= enough ? CompactResult::Success : CompactResult::Continue);
  }
  // A pageblock that was begun is finished first.
  if (!plan.order || !work_.at.sources.is_aligned(kPageblock))
    return told(CompactResult::Continue);
  if (has_wanted_block())
    return told(CompactResult::Success);
  return told(is_killed() ? CompactResult::Contended : CompactResult::NoSuitablePage);
}

/// Tells a verdict; "nothing suitable yet" is a reason to go on.
CompactResult Run::told(CompactResult result) const {
  const ZoneState& zone = work_.zone;
  work_.machine.env.trace.emit(
      MmCompactionFinished{{zone.node, zone.index, work_.plan.told_order(), static_cast<std::int32_t>(result)}});
  return result == CompactResult::NoSuitablePage ? CompactResult::Continue : result;
}

bool Run::has_wanted_block() const {
  const Migratetype type = work_.plan.type;
  const auto has = [&](Migratetype of, unsigned order) {
    return (racy(work_.zone.nonempty[raw(of)]) >> order & 1U) != 0;
  };
  const bool no_grouping = work_.machine.env.rules->mobility_disabled;
  for (unsigned order = work_.plan.order->raw(); order < kOrders; ++order) {
    if (has(type, order) || (type == Migratetype::Movable && has(Migratetype::Cma, order)))
      return true;
    if (can_steal_fallback(order, type, no_grouping) && work_.buddy().find_fallback(order, type))
      return true;
  }
  return false;
}

// ------------------------------------------------------------- moving

Run::Moving Run::move_batch() {
  constexpr unsigned kPasses = 10;
  constexpr unsigned kPatientPasses = 3;  // before it waits for anybody
  const unsigned taken = batch_.size();
  unsigned moved = 0;
  bool out_of_targets = false;
  for (unsigned pass = 0; pass < kPasses && !batch_.empty() && !out_of_targets; ++pass) {
    const MoveEffort effort{work_.plan.mode, pass >= kPatientPasses && !work_.plan.is_async() && !work_.plan.is_direct};
    batch_.settle_from_last([&](FrameIndex from) {
      if (out_of_targets)
        return false;
      const auto result = move_one(from, effort);
      out_of_targets = !result;
      if (result == MoveResult::Failed)
        work_.pages.putback(work_.map().pfn(from));
      moved += result == MoveResult::Moved ? 1 : 0;
      return result == MoveResult::Moved || result == MoveResult::Failed;
    });
  }
  VmEvents& events = *work_.machine.events;
  count_event(events.pgmigrate_success, moved);
  count_event(events.pgmigrate_fail, taken - moved);
  work_.machine.env.trace.emit(MmCompactionMigratepages{moved, taken - moved});
  put_back_batch();
  if (out_of_targets)
    return Moving::NoTargets;
  return moved == taken ? Moving::AllMoved : Moving::SomeStayed;
}

/// None if there is no frame to move it to.
std::optional<MoveResult> Run::move_one(FrameIndex from, MoveEffort effort) {
  if (frames_.size() == 0)
    targets_.refill(frames_, batch_.size());
  const auto to = frames_.pop();
  if (!to)
    return std::nullopt;
  const MemMap& map = work_.map();
  const MoveResult result = work_.pages.move(map.pfn(from), map.pfn(*to), effort);
  if (result == MoveResult::Moved) {
    map.set_state(*to, 0, FrameState::allocated(0, FrameState::Compound::No));
    work_.machine.env.trace.emit(PageMigrated{map.pfn(from), map.pfn(*to)});
    free_frame(from);
  } else {
    work_.machine.env.trace.emit(PageNotMigrated{map.pfn(from), map.pfn(*to)});
    frames_.push(*to);
  }
  return result;
}

/// The frame may come from before this machine's time, and is then not known as allocated.
void Run::free_frame(FrameIndex index) {
  work_.map().set_state(index, 0, FrameState{});
  work_.machine.env.trace.emit(MmPageFree{work_.map().pfn(index), Order{0}});
  work_.hands.release(work_.machine, index, work_.cpu);
}

void Run::put_back_batch() {
  for (unsigned nth = 0; nth < batch_.size(); ++nth)
    work_.pages.putback(work_.map().pfn(batch_[nth]));
  batch_.clear();
}

/// Behind the scanner, what waits on this CPU's lists may be all that keeps a block from being whole.
void Run::drain_behind() {
  if (!work_.plan.order || work_.plan.order->raw() == 0 || !moved_from_)
    return;
  if (*moved_from_ >= work_.at.sources.align_down(*work_.plan.order))
    return;
  work_.hands.drain(work_.machine, work_.zone, work_.cpu);
  moved_from_.reset();
}

void Run::finish() {
  std::optional<Pfn> highest;
  while (const auto index = frames_.pop()) {
    const Pfn pfn = work_.map().pfn(*index);
    if (!highest || *highest < pfn)
      highest = pfn;
    free_frame(*index);
  }
  if (highest)
    work_.memory.targets_returned(pageblock_start(*highest));
}

/// Is there work to do, and could it help? Events: MmCompactionSuitable.
CompactResult is_suitable(const MachineView& machine, const ZoneState& zone, const CompactionPlan& plan) {
  if (plan.order)
    return compaction_suitable(machine, zone, *plan.order, plan.flags, plan.highest);
  machine.env.trace.emit(
      MmCompactionSuitable{zone.node, zone.index, -1, static_cast<std::int32_t>(CompactResult::Continue)});
  return CompactResult::Continue;
}

}  // namespace

unsigned zone_fragmentation_score(const ZoneState& zone) {
  return external_fragmentation_percent(free_blocks_of(zone), kPageblock);
}

ZoneCompacted compact_zone(const MachineView& machine, ZoneState& zone, CpuId cpu, PageMover& pages,
                           const ZoneHands& hands, const CompactionPlan& asked) {
  if (const CompactResult result = is_suitable(machine, zone, asked); result != CompactResult::Continue)
    return {.result = result};
  // What this task frees may be caught, and nobody else's: the run has its own view of the machine.
  CaptureControl capture{
      .zone = zone.id, .order = asked.order.value_or(Order{0}), .migratetype = asked.type, .page = {}};
  MachineView view = machine;
  const bool catches = asked.is_direct && machine.env.rules->generation.free.capture != CaptureRule::Off;
  view.env.capture = catches ? &capture : nullptr;
  CompactionPlan plan = asked;
  ZoneWork work{.machine = view, .zone = zone, .cpu = cpu, .pages = pages, .hands = hands, .plan = plan};

  if (plan.order && ends_longest_pause(zone.compaction, plan.told_order()))
    work.memory.reset_hints(pages);
  if (plan.whole_zone) {
    work.at = work.memory.whole_zone();
  } else {
    work.at = work.memory.resume(plan.mode);
    plan.whole_zone = work.memory.covers_everything_new(work.at.sources);
  }
  work.began = work.at;
  const auto positions = [&] {
    return MmCompactionBegin{zone.start, work.at.sources, work.at.targets, work.memory.end(), !plan.is_async()};
  };
  view.env.trace.emit(positions());
  pages.drain();
  Run run{work};
  const CompactResult result = run.go_on_until_over();
  run.finish();
  count_event(machine.events->compact_migrate_scanned, work.sources_scanned);
  count_event(machine.events->compact_free_scanned, work.targets_scanned);
  view.env.trace.emit(MmCompactionEnd{positions(), static_cast<std::int32_t>(result)});
  return {result, capture.page, work.sources_scanned, work.targets_scanned};
}

}  // namespace mmbox
