#include "mmbox/core/compaction/zone_memory.h"

namespace mmbox {

bool ZoneMemory::owns_pageblock(Pfn pfn) const {
  if (pageblock_end(pfn) > end())
    return false;
  const Pageblock& block = pageblock(pfn);
  return block.zone == zone_.id.raw() && !block.is_cut;
}

bool ZoneMemory::modes_agree() const {
  return zone_.compaction.cached_migrate[0] == zone_.compaction.cached_migrate[1];
}

ScanPositions ZoneMemory::resume(MoveMode mode) {
  CompactionState& state = zone_.compaction;
  const auto is_outside = [&](Pfn pfn) { return pfn < begin() || pfn >= end(); };
  const std::size_t kind = mode == MoveMode::Async ? 0 : 1;
  if (is_outside(state.cached_free))
    state.cached_free = last_pageblock();
  if (is_outside(state.cached_migrate[kind]))
    state.cached_migrate = {begin(), begin()};
  return {state.cached_migrate[kind], state.cached_free};
}

void ZoneMemory::forget_positions() {
  const ScanPositions ends = whole_zone();
  zone_.compaction.cached_migrate = {ends.sources, ends.sources};
  zone_.compaction.cached_free = ends.targets;
}

void ZoneMemory::sources_done(Pfn pfn, MoveMode mode) {
  // Recorded: one pageblock further than the next one.
  const Pfn next = pageblock_end(pageblock_end(pfn));
  CompactionState& state = zone_.compaction;
  const auto advance = [&](Pfn& cached) { cached = cached < next ? next : cached; };
  advance(state.cached_migrate[0]);
  if (mode != MoveMode::Async)
    advance(state.cached_migrate[1]);
}

void ZoneMemory::targets_done(Pfn pageblock) {
  if (pageblock < zone_.compaction.cached_free)
    zone_.compaction.cached_free = pageblock;
}

void ZoneMemory::targets_returned(Pfn pageblock) {
  if (pageblock > zone_.compaction.cached_free)
    zone_.compaction.cached_free = pageblock;
}

bool ZoneMemory::sample(Pfn pfn, Wanted wanted, PageMover& pages) {
  if (!owns_pageblock(pfn))
    return false;
  Pageblock& block = pageblock(pfn);
  // From above, until the first is found, only pageblocks that every run may fill.
  if (wanted == Wanted::Targets && racy(block.type) != Migratetype::Movable)
    return false;
  constexpr std::uint64_t kSampleStep = 8;
  const Pfn from = pageblock_start(pfn);
  for (Pfn at = from; at < pageblock_end(pfn); at = at + PageCount{kSampleStep}) {
    if (at < begin())
      continue;
    const FrameState::Kind kind = map_.state(map_.index(at)).kind();
    const bool is_target = kind == FrameState::Kind::Buddy;
    const bool is_source = !is_target && kind != FrameState::Kind::Pcp && pages.facts(at).kind == PageFacts::Kind::Lru;
    if ((is_source && wanted != Wanted::Targets) || (is_target && wanted != Wanted::Sources)) {
      block.skip = false;
      return true;
    }
  }
  return false;
}

void ZoneMemory::reset_hints(PageMover& pages) {
  CompactionState& state = zone_.compaction;
  if (!state.blockskip_flush)
    return;
  state.blockskip_flush = false;
  Pfn low = begin();
  Pfn high = below(end(), PageCount{1});
  std::optional<Pfn> source;
  std::optional<Pfn> target;
  for (; low < high; low = pageblock_end(low), high = below(high, PageCount{kPageblockPages})) {
    if (sample(low, source ? Wanted::Either : Wanted::Sources, pages) && !source) {
      source = low;
      state.init_migrate = low;
      state.cached_migrate = {low, low};
    }
    if (sample(high, target ? Wanted::Either : Wanted::Targets, pages) && !target) {
      target = high;
      state.init_free = state.cached_free = high;
    }
  }
  // Nothing lies between them: the next run is to be over at once.
  if (!source || !target || *source >= *target) {
    state.cached_migrate = {low, low};
    state.cached_free = high;
  }
}

}  // namespace mmbox
