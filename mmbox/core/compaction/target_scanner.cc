#include "mmbox/core/compaction/target_scanner.h"

#include "mmbox/core/alloc/contig.h"

namespace mmbox {

void TargetScanner::refill(TargetStack& stack, unsigned wanted) {
  if (work_.plan.order && work_.plan.order->raw() > 0 && take_from_lists(stack, wanted))
    return;
  const Pfn lowest = pageblock_end(work_.at.sources);
  Pfn from = work_.at.targets;
  Pfn block = pageblock_start(from);
  for (; block >= lowest; block = below(block, PageCount{kPageblockPages}), from = block) {
    if (!work_.memory.owns_pageblock(block) || !may_fill(block))
      continue;
    if (!work_.plan.ignores_hints && work_.memory.is_skipped(block))
      continue;
    const unsigned before = stack.size();
    const Pfn end = pageblock_end(block);
    const Pfn stopped = take_from(from, end, stride_.frames(), stack, wanted);
    if (stopped == end)
      work_.memory.targets_done(block);
    if (stack.size() >= wanted) {
      from = stopped == end ? below(block, PageCount{kPageblockPages}) : stopped;
      break;
    }
    stride_.after(stack.size() > before);
  }
  work_.at.targets = from;
}

bool TargetScanner::may_fill(Pfn pageblock) const {
  const FrameState state = work_.map().state(work_.index(pageblock));
  if (state.kind() == FrameState::Kind::Buddy && state.order() >= kPageblockOrder)
    return false;
  const Migratetype type = racy(work_.memory.pageblock(pageblock).type);
  return work_.plan.any_target_block || type == Migratetype::Movable || type == Migratetype::Cma;
}

Pfn TargetScanner::take_from(Pfn from, Pfn end, unsigned stride, TargetStack& stack, unsigned wanted) {
  ScannedRange range{from, end};
  {
    const ZoneLock lock{work_.hands, work_.zone};
    for (Pfn pfn = from; pfn < end; pfn = pfn + PageCount{stride}) {
      ++range.scanned;
      const FrameState state = work_.map().state(work_.index(pfn));
      if (state.kind() != FrameState::Kind::Buddy)
        continue;
      if (!take_block(work_.index(pfn), state.order(), stack)) {
        range.end = pfn;
        break;
      }
      const std::uint64_t frames = std::uint64_t{1} << state.order();
      range.taken += frames;
      range.scanned += frames - 1;
      pfn = pfn + PageCount{frames - 1};
      if (stack.size() >= wanted) {
        range.end = pfn + PageCount{1};
        break;
      }
    }
  }
  if (range.end == end)
    work_.memory.skip(pageblock_start(from));
  work_.targets_scanned += range.scanned;
  count_event(work_.machine.events->compact_isolated, range.taken);
  work_.machine.env.trace.emit(MmCompactionIsolateFreepages{{range.start, range.end, range.scanned, range.taken}});
  return range.end;
}

bool TargetScanner::take_block(FrameIndex index, unsigned order, TargetStack& stack) {
  const PageCount frames = isolate_free_page(work_.machine, work_.zone, work_.cpu, index, order);
  for (FrameIndex i = 0; i < frames.raw(); ++i)
    stack.push(index + i);
  return frames.raw() > 0;
}

bool TargetScanner::take_from_lists(TargetStack& stack, unsigned wanted) {
  const TargetWindow window = target_window(work_.at);
  Pfn highest{};
  std::optional<Choice> choice;
  {
    const ZoneLock lock{work_.hands, work_.zone};
    choice = search_free_lists(window, highest);
    if (choice && !take_block(choice->index, choice->order, stack))
      choice.reset();
  }
  if (!choice) {
    ++work_.vain_searches;
    // The lists hold nothing above these: the run need not walk down to them.
    const bool at_start = work_.at.targets == work_.began.targets;
    if (at_start && work_.plan.is_direct)
      work_.at.targets = window.fair;
    else if (at_start && highest > Pfn{})
      work_.at.targets = highest;
    return false;
  }
  count_event(work_.machine.events->compact_isolated, stack.size());
  const Pfn block = pageblock_start(work_.map().pfn(choice->index));
  if (stack.size() < wanted && !work_.plan.takes_whole_runs() && work_.memory.owns_pageblock(block)) {
    const Pfn begin = block < work_.memory.begin() ? work_.memory.begin() : block;
    static_cast<void>(take_from(begin, pageblock_end(block), 1, stack, wanted));
  }
  return true;
}

std::optional<TargetScanner::Choice> TargetScanner::search_free_lists(TargetWindow window, Pfn& highest) {
  const MemMap& map = work_.map();
  const unsigned orders = work_.plan.order->raw();
  unsigned limit = kTargetSearchLimit;
  for (unsigned tried = 0; tried < orders; ++tried) {
    const unsigned order = (search_order_ + orders - tried) % orders;
    // The first good block will do; else the best of the fair ones. Each of those makes the search more content.
    FrameIndex last = kNil;
    FrameIndex fair = kNil;
    bool good = false;
    unsigned examined = 0;
    for (FrameIndex block = work_.movable_blocks(order).tail; block != kNil && examined < limit && !good;
         block = map.links(block, order).prev) {
      ++examined;
      last = block;
      const Pfn pfn = map.pfn(block);
      highest = highest < pfn ? pfn : highest;
      good = pfn >= window.good;
      if (!good && pfn >= window.fair && (fair == kNil || map.pfn(fair) < pfn)) {
        fair = block;
        limit /= 2;
      }
    }
    if (good) {
      work_.vain_searches = 0;
      search_order_ = order;
    }
    const FrameIndex choice = good ? last : fair;
    // The next search of this list begins beyond what was seen.
    if (last != kNil)
      static_cast<void>(work_.buddy().rotate_to_head(choice != kNil ? choice : last, order));
    if (choice != kNil)
      return Choice{choice, order};
    if (examined >= limit && limit > 1)
      limit /= 2;
  }
  return std::nullopt;
}

}  // namespace mmbox
