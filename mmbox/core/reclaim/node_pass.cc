#include "mmbox/core/reclaim/node_pass.h"

#include "mmbox/core/alloc/free_path.h"
#include "mmbox/core/alloc/suitability.h"

namespace mmbox {

void NodePass::run() {
  const std::uint64_t before = progress_.reclaimed;
  std::uint64_t reclaimed = 0;
  do {
    const std::uint64_t begin = progress_.reclaimed;
    seen_ = {};
    shrink_lists();
    shrink_slab_caches();
    heed_sightings();
    reclaimed = progress_.reclaimed - begin;
  } while (wants_more(reclaimed));
  lru_.forget_refaults(node_.id);
  // A node that gave something is not hopeless.
  if (progress_.reclaimed > before)
    node_.kswapd.failures = 0;
}

std::span<ZoneState> NodePass::usable_zones() const {
  const std::size_t types = machine_.zone_types.size();
  return machine_.zones.subspan(node_.id.raw() * types, lesser(effort_.highest.raw() + 1, types));
}

// ------------------------------------------------------------- how much

bool NodePass::may_deactivate(LruType type) const {
  return !effort_.spares_active || is_low(type) || lru_.refaults(node_.id, type);
}

ScanBudget NodePass::budget() const {
  std::int64_t free = 0;
  std::int64_t high = 0;
  const std::size_t types = machine_.zone_types.size();
  for (const ZoneState& zone : machine_.zones.subspan(node_.id.raw() * types, types)) {
    free += zone_stat_snapshot(machine_, zone, ZoneStat::FreePages);
    high += zone.managed > 0 ? zone.mark(static_cast<unsigned>(Watermark::High)) : 0;
  }
  const auto file = static_cast<std::int64_t>(pages(LruList::InactiveFile) + pages(LruList::ActiveFile));
  const ScanBalance balance{
      .may_swap = can_swap(),
      .priority = priority_,
      .swappiness = machine_.tunables->swappiness,
      .file_is_tiny =
          file + free <= high && !may_deactivate(LruType::Anon) && (pages(LruList::InactiveAnon) >> priority_) > 0,
      .cache_trim = (pages(LruList::InactiveFile) >> priority_) > 0 && !may_deactivate(LruType::File),
      .costs = lru_.costs(node_.id)};
  std::array<std::uint64_t, kAgeingLists.size()> sizes{};
  for (std::size_t i = 0; i < sizes.size(); ++i)
    sizes[i] = lru_.pages(node_.id, kAgeingLists[i], effort_.highest);
  return {scan_share(balance), sizes, priority_};
}

void NodePass::shrink_lists() {
  ScanBudget left = budget();
  const std::array<bool, 2> deactivates{may_deactivate(LruType::Anon), may_deactivate(LruType::File)};
  // The first, light pass of a request goes to its end: what it scans is little.
  bool narrowed = effort_.by == ReclaimEffort::By::Direct && priority_ == kFirstPriority;
  while (!left.is_spent()) {
    for (std::size_t i = 0; i < kAgeingLists.size(); ++i) {
      const LruList list = kAgeingLists[i];
      const std::uint64_t batch = left.take(i);
      if (batch == 0)
        continue;
      if (!is_active(list))
        evict(list, batch);
      else if (deactivates[static_cast<std::size_t>(type_of(list))])
        age(list, batch);
      else
        progress_.spared_active = true;
    }
    if (narrowed || progress_.reclaimed < effort_.target)
      continue;
    narrowed = true;
    if (!left.narrow())
      break;
  }
  age_anon();
}

void NodePass::age_anon() {
  if (has_swap() && is_low(LruType::Anon))
    age(LruList::ActiveAnon, kReclaimBatch);
}

bool NodePass::wants_more(std::uint64_t reclaimed) const {
  const bool for_compaction = effort_.gfp.has(gfp::kIo) && effort_.order > Order{0} &&
                              (effort_.order.raw() > kCostlyOrder || priority_ < kHardPriority);
  if (!for_compaction || reclaimed == 0)
    return false;
  for (const ZoneState& zone : usable_zones())
    if (zone.managed > 0 &&
        compaction_suitable(machine_, zone, effort_.order, AllocFlags{}, effort_.highest) != CompactResult::Skipped)
      return false;
  const std::uint64_t left = pages(LruList::InactiveFile) + (can_swap() ? pages(LruList::InactiveAnon) : 0);
  return left > static_cast<std::uint64_t>(compact_gap(effort_.order));
}

// ------------------------------------------------------------- off the lists and back

NodePass::Batch NodePass::take(LruList list, std::uint64_t wanted) {
  Batch batch;
  // Every page is met once, also those that go to the other end.
  for (std::uint64_t left = pages(list); left > 0 && batch.size < wanted; --left) {
    const FrameIndex page = lru_.oldest(node_.id, list);
    const ZoneIndex zone = machine_.zone_of(page).index;
    ++batch.scanned;
    lru_.remove(page, list);
    if (zone > effort_.highest) {
      lru_.add(page, list);
      count_event(machine_.events->pgskip[zone.raw()]);
      continue;
    }
    batch.push(page);
    host_.taken(machine_.env.map.pfn(page));
  }
  isolated(type_of(list)) += static_cast<std::int64_t>(batch.size);
  progress_.scanned += is_active(list) ? 0 : batch.scanned;
  return batch;
}

void NodePass::put_back(FrameIndex page, LruList from, LruList to) {
  --isolated(type_of(from));
  lru_.add(page, to);
  host_.returned(machine_.env.map.pfn(page), to);
}

void NodePass::age(LruList list, std::uint64_t wanted) {
  const LruType type = type_of(list);
  const Batch batch = take(list, wanted);
  std::uint64_t moved = 0;
  std::uint64_t needed_again = 0;
  for (const FrameIndex page : batch.span()) {
    const Pfn pfn = machine_.env.map.pfn(page);
    const ReclaimFacts facts = host_.reclaim_facts(pfn);
    if (facts.is_unevictable) {
      put_back(page, list, LruList::Unevictable);
    } else if (type == LruType::File && facts.is_executable && facts.pte_references > 0) {
      // Programs that run stay.
      needed_again += facts.is_working_set ? 1 : 0;
      put_back(page, list, list);
    } else {
      host_.mark(pfn, ReclaimMark::WorkingSet);
      put_back(page, list, lru_list(type, LruAge::Inactive));
      ++moved;
    }
  }
  count_event(machine_.events->pgrefill, batch.scanned);
  count_event(machine_.events->pgdeactivate, moved);
  if (needed_again > 0)
    lru_.add_cost(node_.id, type, needed_again);
}

// ------------------------------------------------------------- eviction

bool NodePass::too_many_isolated(LruType type) const {
  const bool stands_back = effort_.gfp.has(gfp::kIo) && effort_.gfp.has(gfp::kFs);
  // Whoever holds locks of a file system may go further than those who hold none.
  const std::uint64_t inactive = pages(lru_list(type, LruAge::Inactive)) >> (stands_back ? 3 : 0);
  return isolated(type) > static_cast<std::int64_t>(inactive);
}

void NodePass::evict(LruList list, std::uint64_t wanted) {
  const LruType type = type_of(list);
  if (effort_.by == ReclaimEffort::By::Direct && too_many_isolated(type)) {
    wait_tick();
    if (too_many_isolated(type))
      return;
  }
  const Batch batch = take(list, wanted);
  const Sightings before = seen_;
  VmEvents& events = *machine_.events;
  count_event(by_kswapd() ? events.pgscan_kswapd : events.pgscan_direct, batch.scanned);
  count_event(type == LruType::File ? events.pgscan_file : events.pgscan_anon, batch.scanned);
  std::array<Pfn, kReclaimBatch> frames;
  std::size_t freed = 0;
  for (const FrameIndex page : batch.span())
    if (let_go(page, list))
      frames[freed++] = machine_.env.map.pfn(page);
  progress_.reclaimed += freed;
  count_event(by_kswapd() ? events.pgsteal_kswapd : events.pgsteal_direct, freed);
  count_event(type == LruType::File ? events.pgsteal_file : events.pgsteal_anon, freed);
  free_page_list<NoSync>(machine_, std::span{frames}.first(freed), effort_.cpu);
  if (batch.size > 0 && seen_.unqueued - before.unqueued == batch.size)
    host_.wake_flushers();
}

void NodePass::note(const ReclaimFacts& facts, LruType type) {
  ++seen_.taken;
  seen_.file += type == LruType::File ? 1 : 0;
  seen_.dirty += facts.is_dirty ? 1 : 0;
  seen_.unqueued += facts.is_dirty && !facts.is_writeback ? 1 : 0;
  seen_.congested += facts.is_dirty && facts.is_congested ? 1 : 0;
  seen_.writeback += facts.is_writeback ? 1 : 0;
  seen_.met_again = seen_.met_again || (facts.is_writeback && facts.is_reclaim);
}

bool NodePass::let_go(FrameIndex page, LruList list) {
  const Pfn pfn = machine_.env.map.pfn(page);
  const LruType type = type_of(list);
  ReclaimFacts facts = host_.reclaim_facts(pfn);
  note(facts, type);
  const FateRules rules{.by_kswapd = by_kswapd(),
                        .may_unmap = effort_.may_unmap,
                        .may_write = effort_.may_write,
                        .may_enter_fs = effort_.gfp.has(gfp::kFs),
                        .may_io = effort_.gfp.has(gfp::kIo),
                        .node_writeback = marks_.writeback,
                        .node_dirty = marks_.dirty};
  Fate fate = page_fate(facts, rules);
  if (fate == Fate::NeedsSlot) {
    facts.is_swap_cache = facts.is_dirty = host_.add_to_swap(pfn);
    fate = facts.is_swap_cache ? page_fate(facts, rules) : Fate::Activate;
  }
  if (fate == Fate::NeedsUnmap) {
    facts.is_mapped = !host_.unmap(pfn);
    fate = facts.is_mapped ? Fate::Activate : page_fate(facts, rules);
  }
  if (fate == Fate::WriteOut) {
    const bool is_written = host_.write_out(pfn);
    lru_.add_cost(node_.id, type, 1);
    count_event(machine_.events->pswpout, facts.is_swap_cache ? 1 : 0);
    fate = is_written && !facts.is_pinned ? Fate::Free : Fate::Keep;
  }
  switch (fate) {
    case Fate::Free:
      --isolated(type);
      host_.evict(pfn);
      return true;
    case Fate::SetAside: put_back(page, list, LruList::Unevictable); return false;
    case Fate::KeepUsedOnce: host_.mark(pfn, ReclaimMark::Referenced); [[fallthrough]];
    case Fate::Keep: put_back(page, list, list); return false;
    case Fate::ActivateDirty: ++parts_.immediate[node_.id.raw()]; [[fallthrough]];
    case Fate::ActivateMarked: host_.mark(pfn, ReclaimMark::Reclaim); break;
    default: break;
  }
  count_event(machine_.events->pgactivate);
  put_back(page, list, lru_list(type, LruAge::Active));
  return false;
}

// ------------------------------------------------------------- beside the lists

void NodePass::shrink_slab_caches() {
  for (SlabShrinker* cache : host_.shrinkers()) {
    const SlabFreed freed = shrink_slab(*cache, node_.id, effort_.gfp, priority_, effort_.cpu);
    count_event(machine_.events->slabs_scanned, freed.scanned);
    progress_.reclaimed += freed.pages.raw();
  }
}

void NodePass::heed_sightings() {
  if (by_kswapd()) {
    marks_.writeback = marks_.writeback || (seen_.taken > 0 && seen_.writeback == seen_.taken);
    marks_.dirty = marks_.dirty || (seen_.file > 0 && seen_.unqueued == seen_.file);
    if (seen_.met_again)
      wait_tick();
  }
  marks_.congested = marks_.congested || (seen_.dirty > 0 && seen_.congested == seen_.dirty);
  if (effort_.by == ReclaimEffort::By::Direct && marks_.congested)
    wait_tick();
}

}  // namespace mmbox
