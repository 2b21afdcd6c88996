#include "mmbox/core/compaction/source_scanner.h"

#include <utility>

namespace mmbox {

SourceScanner::Step SourceScanner::next(SourceBatch& batch, bool takes_all) {
  if (waits_for_isolated_pages())
    return Step::GivesWay;
  bool was_searched = false;
  Pfn& at = work_.at.sources;
  at = choose_start(was_searched);
  for (; pageblock_end(at) <= work_.at.targets; at = pageblock_end(at), was_searched = false) {
    if (!work_.memory.owns_pageblock(at))
      continue;
    const bool at_start = at.is_aligned(kPageblock) || at == work_.memory.begin();
    if (at_start && !was_searched && !work_.plan.ignores_hints && work_.memory.is_skipped(at))
      continue;
    if (!is_worth_emptying(pageblock_start(at))) {
      work_.memory.sources_done(at, work_.plan.mode);
      continue;
    }
    take_from(at, pageblock_end(at), batch, takes_all);
    break;
  }
  return batch.empty() ? Step::Nothing : Step::Took;
}

bool SourceScanner::waits_for_isolated_pages() const {
  const NodePageStats& pages = work_.machine.nodes[work_.zone.node.raw()].pages;
  const auto too_many = [&] {
    const std::int64_t listed = pages.inactive_anon + pages.active_anon + pages.inactive_file + pages.active_file;
    return pages.isolated_anon + pages.isolated_file > listed / 2;
  };
  // A host's tick stands for the 20 ms after which the kernel asks again; without one nothing would change.
  if (too_many() && !work_.plan.is_async() && work_.machine.hosts.waiter != nullptr)
    work_.machine.hosts.waiter->wait_tick();
  return too_many();
}

bool SourceScanner::may_search() const {
  const CompactionPlan& plan = work_.plan;
  if (plan.ignores_hints || !plan.order || plan.order->raw() <= kCostlyOrder)
    return false;
  if (plan.is_direct && plan.type != Migratetype::Movable)
    return false;
  return work_.at.sources == work_.memory.begin() || work_.at.sources.is_aligned(kPageblock);
}

Pfn SourceScanner::choose_start(bool& was_searched) {
  if (!may_search())
    return work_.at.sources;
  if (const auto found = search_free_lists()) {
    work_.vain_searches = 0;
    if (!lowest_found_ || *found < *lowest_found_)
      lowest_found_ = *found;
    const Pfn block = pageblock_start(*found);
    // Recorded: where the scanner is already, the hint that the search has just put there sends it on.
    was_searched = block != work_.at.sources;
    return block < work_.memory.begin() ? work_.memory.begin() : block;
  }
  ++work_.vain_searches;
  // The searches jumped about: what they jumped over is looked at in order, once.
  if (lowest_found_ && !std::exchange(went_back_, true))
    return *lowest_found_;
  return work_.at.sources;
}

std::optional<Pfn> SourceScanner::search_free_lists() {
  const MemMap& map = work_.map();
  const Pfn window_end = source_window_end(work_.at, work_.at.sources == work_.memory.begin());
  unsigned left = source_search_limit(work_.vain_searches);
  const ZoneLock lock{work_.hands, work_.zone};
  for (unsigned order = work_.plan.order->raw() - 1; order >= kCostlyOrder && left > 0; --order) {
    FrameIndex last = kNil;
    std::optional<Pfn> found;
    for (FrameIndex block = work_.movable_blocks(order).head; block != kNil && left > 0 && !found;
         block = map.links(block, order).next) {
      --left;
      last = block;
      const Pfn pfn = map.pfn(block);
      if (pfn < window_end && !work_.memory.is_skipped(pfn))
        found = pfn;
    }
    // Others shall not be told the same again.
    if (last != kNil)
      static_cast<void>(work_.buddy().rotate_to_tail(last, order));
    if (found) {
      work_.memory.skip(*found);
      return found;
    }
  }
  return std::nullopt;
}

bool SourceScanner::is_worth_emptying(Pfn pageblock) const {
  // A page as large as the pageblock leaves nothing to be gained.
  if (heads_compound(pageblock, kPageblockOrder) ||
      heads_compound(pageblock.align_down(Order{kMaxPageOrder}), kMaxPageOrder))
    return false;
  if (!work_.plan.takes_whole_runs())
    return true;
  const Migratetype type = racy(work_.memory.pageblock(pageblock).type);
  if (work_.plan.type == Migratetype::Movable)
    return type == Migratetype::Movable || type == Migratetype::Cma;
  return type == work_.plan.type;
}

bool SourceScanner::heads_compound(Pfn pfn, unsigned order) const {
  if (pfn < work_.memory.begin())
    return false;
  const FrameState::Kind kind = work_.map().state(work_.index(pfn)).kind();
  return kind != FrameState::Kind::Buddy && kind != FrameState::Kind::Pcp && work_.pages.facts(pfn).order >= order;
}

void SourceScanner::take_from(Pfn from, Pfn end, SourceBatch& batch, bool takes_all) {
  const CompactionPlan& plan = work_.plan;
  const bool whole_runs = plan.takes_whole_runs();
  const bool mlocked_too = work_.machine.tunables->compact_unevictable_allowed != 0;
  const auto run_end = [&](Pfn pfn) { return pfn.align_down(*plan.order) + PageCount::in(*plan.order); };
  const bool honours_hints = !plan.ignores_hints;
  ScannedRange range{from, from};
  Pfn run = whole_runs ? run_end(from) : end;
  Pfn pfn = from;
  while (pfn < end) {
    if (pfn >= run) {
      if (!batch.empty())
        break;
      run = run_end(pfn);
    }
    ++range.scanned;
    // A search has put this hint here: whoever it told of the pageblock leaves again at its first frame. Recorded.
    if (honours_hints && pfn.is_aligned(kPageblock) && work_.memory.is_skipped(pfn)) {
      pfn = end;
      break;
    }
    const FrameState state = work_.map().state(work_.index(pfn));
    if (state.kind() == FrameState::Kind::Buddy) {
      pfn = pfn + PageCount::in(Order{state.order()});
      continue;
    }
    const PageFacts page = state.kind() == FrameState::Kind::Pcp ? PageFacts{} : work_.pages.facts(pfn);
    bool taken = false;
    if (page.order == 0 && may_move(page, plan, mlocked_too)) {
      // Whoever takes a pageblock's first page keeps others from scanning it meanwhile.
      if (honours_hints && pfn.is_aligned(kPageblock))
        work_.memory.skip(pfn);
      taken = work_.pages.isolate(pfn);
    }
    pfn = pfn + PageCount::in(Order{page.order});
    if (taken) {
      batch.add(work_.index(pfn) - 1);
      if (batch.size() == kBatch && !takes_all)
        break;
    } else if (whole_runs) {
      give_back(batch);
      pfn = pfn < run ? run : pfn;
    }
  }
  range.end = pfn < end ? pfn : end;
  range.taken = batch.size();
  if (range.end == end && (batch.empty() || takes_all)) {
    // Recorded: only a scan from the pageblock's first frame says something of all of it.
    if (from.is_aligned(kPageblock))
      work_.memory.skip(from);
    work_.memory.sources_done(from, plan.mode);
  }
  work_.at.sources = range.end;
  work_.sources_scanned += range.scanned;
  count_event(work_.machine.events->compact_isolated, range.taken);
  work_.machine.env.trace.emit(MmCompactionIsolateMigratepages{range.start, range.end, range.scanned, range.taken});
}

void SourceScanner::give_back(SourceBatch& batch) {
  for (unsigned nth = 0; nth < batch.size(); ++nth)
    work_.pages.putback(work_.map().pfn(batch[nth]));
  batch.clear();
}

}  // namespace mmbox
