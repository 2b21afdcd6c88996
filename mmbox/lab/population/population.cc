#include "mmbox/lab/population/population.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mmbox::lab {
namespace {

PageUse use_of(PageKind kind) {
  switch (kind) {
    case PageKind::Slab: return PageUse::Slab;
    case PageKind::Reserved: return PageUse::Reserved;
    case PageKind::Anonymous: return PageUse::Anonymous;
    case PageKind::File: return PageUse::File;
    case PageKind::Driver: return PageUse::Driver;
    case PageKind::Tail:
    case PageKind::Other: return PageUse::Kernel;
    case PageKind::Buddy:
    case PageKind::Outside: return PageUse::None;
  }
  return PageUse::None;
}

PopulationPage page_of(const PageRun& run, const PageFlagBits& bits) {
  const auto has = [&](std::uint64_t bit) { return (run.flags & bit) != 0; };
  PopulationPage page;
  page.use = use_of(run.kind);
  const bool on_lru = page.use == PageUse::Anonymous || page.use == PageUse::File;
  page.is_compound = run.order > 0;
  page.order = static_cast<std::uint8_t>(page.is_compound ? run.order : 0);
  page.is_swap_backed = has(bits.swap_backed);
  page.is_swap_cache = has(bits.swap_backed) && has(bits.swap_cache) && on_lru;
  page.is_unevictable = has(bits.unevictable);
  page.is_dirty = has(bits.dirty);
  page.is_writeback = has(bits.writeback);
  page.is_locked = has(bits.locked);
  page.is_active = has(bits.active);
  page.is_referenced = has(bits.referenced);
  page.is_mapped = on_lru && run.mapcount >= 0;
  if (on_lru) {
    // Each mapping holds a page once, as do its file or the swap cache, for each of its pages, and its buffers.
    std::int32_t expected = run.mapcount + 1;
    if (page.use == PageUse::File || page.is_swap_cache)
      expected += std::int32_t{1} << page.order;
    if (page.use == PageUse::File && has(bits.has_private))
      ++expected;
    page.is_pinned = run.refcount > expected;
  }
  return page;
}

}  // namespace

std::string_view name_of(PageUse use) {
  constexpr std::array<std::string_view, 7> kNames{"unknown", "reserved",  "kernel", "slab",
                                                   "driver",  "anonymous", "file"};
  return kNames[static_cast<std::size_t>(use)];
}

bool stays(const PopulationPage& page) {
  switch (page.use) {
    case PageUse::Reserved:
    case PageUse::Kernel:
    case PageUse::Slab: return true;
    case PageUse::Anonymous:
    case PageUse::File: return page.is_pinned;
    case PageUse::Driver:
    case PageUse::None: return false;
  }
  return false;
}

Population::Population(Machine& machine)
    : machine_(machine),
      first_(machine.view().env.map.pfn(0)),
      pages_(machine.view().env.map.frames()),
      lru_(machine.view()) {}

Population::Population(Machine& machine, const PageDump& dump) : Population(machine) {
  const PageFlagBits& bits = page_flag_bits(machine.rules().generation);
  std::array<OwnerId, 7> owners{};
  for (std::size_t use = 0; use < owners.size(); ++use)
    owners[use] = add_owner(std::string{name_of(static_cast<PageUse>(use))});
  for (const PageDumpZone& zone : dump.zones) {
    // What waits on a per-cpu list looks like memory in use in a dump, and is nobody's.
    Pfn pcp_end;
    PopulationPage head;
    Pfn head_end;
    for (const PageRun& run : zone.runs) {
      PopulationPage page = page_of(run, bits);
      if (page.use == PageUse::None)
        continue;
      if (page.is_compound) {
        head = page;
        head_end = run.start + PageCount::in(Order{page.order});
      }
      // A large folio of a file goes page by page here; the inside of slab is slab.
      const bool is_inside = run.start < head_end && (page.is_compound || run.kind == PageKind::Tail);
      if (is_inside && head.use == PageUse::File) {
        page = head;
        page.order = 0;
        page.is_compound = false;
      } else if (is_inside && head.use == PageUse::Slab) {
        page.use = PageUse::Slab;
      }
      page.owner = owners[static_cast<std::size_t>(page.use)];
      for (Pfn pfn = run.start; pfn < run.end() && contains(pfn); pfn = pfn + PageCount{1}) {
        const FrameState state = machine.frame_state(pfn);
        if (state.kind() == FrameState::Kind::Pcp)
          pcp_end = pfn + PageCount::in(Order{state.order()});
        if (pfn >= pcp_end)
          put(pfn, page);
      }
    }
  }
}

OwnerId Population::add_owner(std::string name) {
  owners_.emplace_back().name = std::move(name);
  return static_cast<OwnerId>(owners_.size() - 1);
}

OwnerId Population::add_owner_of_slots(std::string name, std::size_t slots) {
  const OwnerId id = add_owner(std::move(name));
  owners_[id].has_fixed_slots = true;
  owners_[id].pages.assign(slots, kNoPfn);
  return id;
}

void Population::put(Pfn pfn, PopulationPage page) {
  if (page.owner != kNoOwner) {
    Owner& owner = owners_[page.owner];
    owner.held_pages += std::uint64_t{1} << page.order;
    if (owner.has_fixed_slots) {
      owner.pages[page.slot] = pfn;
    } else {
      page.slot = static_cast<std::uint32_t>(owner.pages.size());
      owner.pages.push_back(pfn);
    }
  }
  this->page(pfn) = page;
  if (!keeps_lru_ || !is_on_lru(page))
    return;
  lru_.add(index(pfn), list_of(page));
  count_unwritten(pfn, 1);
}

void Population::forget(Pfn pfn) {
  const PopulationPage& page = this->page(pfn);
  if (keeps_lru_ && is_on_lru(page) && !page.is_isolated)
    lru_.remove(index(pfn), list_of(page));
  if (page.is_swap_cache)
    release_swap();
  forget_contents(pfn);
}

void Population::evict(Pfn pfn) {
  const PopulationPage& page = this->page(pfn);
  if (page.is_swap_cache && page.owner != kNoOwner)
    ++owners_[page.owner].swapped_pages;
  if (watcher_ != nullptr)
    watcher_->evicted(pfn, page);
  forget_contents(pfn);
}

void Population::forget_contents(Pfn pfn) {
  PopulationPage& page = this->page(pfn);
  if (keeps_lru_ && is_on_lru(page))
    count_unwritten(pfn, -1);
  if (page.owner != kNoOwner) {
    Owner& owner = owners_[page.owner];
    owner.held_pages -= std::uint64_t{1} << page.order;
    std::vector<Pfn>& slots = owner.pages;
    if (owner.has_fixed_slots) {
      slots[page.slot] = kNoPfn;
    } else {
      // The last page takes the slot, so that an owner's pages stay without gaps.
      slots[page.slot] = slots.back();
      this->page(slots[page.slot]).slot = page.slot;
      slots.pop_back();
    }
  }
  page = PopulationPage{};
}

PageFacts Population::facts(Pfn pfn) {
  PageFacts facts;
  if (!contains(pfn))
    return facts;
  const PopulationPage& page = this->page(pfn);
  facts.order = page.is_compound ? page.order : 0;
  switch (page.use) {
    case PageUse::Anonymous:
    case PageUse::File: facts.kind = PageFacts::Kind::Lru; break;
    case PageUse::Driver: facts.kind = PageFacts::Kind::Driver; break;
    default: return facts;
  }
  facts.has_mapping = page.use == PageUse::File || page.is_swap_cache;
  facts.is_pinned = page.is_pinned;
  facts.is_unevictable = page.is_unevictable;
  facts.is_dirty = page.is_dirty;
  facts.is_writeback = page.is_writeback;
  facts.is_locked = page.is_locked;
  facts.mapping_migrates = page.mapping_migrates;
  return facts;
}

std::int64_t& Population::isolated_count(Pfn pfn, const PopulationPage& page) {
  const MachineView& view = machine_.view();
  NodePageStats& stats = view.nodes[view.zone_of(view.env.map.index(pfn)).node.raw()].pages;
  return page.use == PageUse::File && !page.is_swap_backed ? stats.isolated_file : stats.isolated_anon;
}

bool Population::isolate(Pfn pfn) {
  PopulationPage& page = this->page(pfn);
  if (page.is_isolated)
    return false;
  page.is_isolated = true;
  if (keeps_lru_ && is_on_lru(page))
    lru_.remove(index(pfn), list_of(page));
  ++isolated_count(pfn, page);
  return true;
}

void Population::putback(Pfn pfn) {
  PopulationPage& page = this->page(pfn);
  page.is_isolated = false;
  if (keeps_lru_ && is_on_lru(page))
    lru_.add(index(pfn), list_of(page));
  --isolated_count(pfn, page);
}

MoveResult Population::move(Pfn from, Pfn to, MoveEffort effort) {
  PopulationPage& page = this->page(from);
  if (page.is_pinned || page.is_locked)
    return MoveResult::Again;
  if (page.is_writeback) {
    if (effort.mode != MoveMode::Sync)
      return MoveResult::Failed;
    if (!effort.may_wait)
      return MoveResult::Again;
    tick();
  }
  --isolated_count(from, page);
  if (page.owner != kNoOwner)
    owners_[page.owner].pages[page.slot] = to;
  page.is_isolated = false;
  this->page(to) = page;
  if (keeps_lru_ && is_on_lru(page))
    lru_.add(index(to), list_of(page));
  page = PopulationPage{};
  return MoveResult::Moved;
}

LruList Population::list_of(const PopulationPage& page) {
  if (page.is_unevictable)
    return LruList::Unevictable;
  const bool is_file = page.use == PageUse::File && !page.is_swap_backed;
  return lru_list(is_file ? LruType::File : LruType::Anon, page.is_active ? LruAge::Active : LruAge::Inactive);
}

void Population::adopt_evictable() {
  for (const Owner& owner : owners_)
    for (const Pfn pfn : owner.pages)
      if (contains(pfn) && page(pfn).order == 0 && !stays(page(pfn)))  // a slot of a file may be empty
        static_cast<void>(machine_.adopt(pfn, Order{0}));
}

void Population::keep_lru(std::optional<LruGuess> guess) {
  keeps_lru_ = true;
  const MachineView& view = machine_.view();
  const std::size_t types = view.zone_types.size();
  for (NodeState& node : view.nodes) {
    NodePageStats& stats = node.pages;
    stats.inactive_anon = stats.active_anon = stats.inactive_file = stats.active_file = 0;
    const std::span<const ZoneState> zones = view.zones.subspan(node.id.raw() * types, types);
    const std::size_t now = guess ? giving_zone(zones) : types - 1;
    const LruGuess order = guess.value_or(LruGuess{});
    // From the oldest on: what this round has not reached, the zones after it, and what it has replaced.
    add_to_lru(zones[now], order, order.refilled_percent, 100);
    for (std::size_t nth = 1; nth < types; ++nth)
      add_to_lru(zones[(now + types - nth) % types], order, 0, 100);
    add_to_lru(zones[now], order, 0, order.refilled_percent);
  }
}

std::size_t Population::giving_zone(std::span<const ZoneState> zones) const {
  const ZoneIndex highest{zones.size() - 1};
  std::size_t first = 0;
  for (std::size_t i = zones.size(); i-- > 0;) {
    if (!zones[i].is_populated())
      continue;
    const std::int64_t low = zones[i].mark(static_cast<unsigned>(Watermark::Low));
    if (zone_watermark_ok_safe(machine_.view(), zones[i], Order{0}, low, highest))
      return i;
    first = std::max(first, i);
  }
  return first;
}

void Population::add_to_lru(const ZoneState& zone, LruGuess guess, unsigned from_percent, unsigned to_percent) {
  if (!zone.is_populated() || from_percent == to_percent)
    return;
  std::vector<FrameIndex> frames;
  for (FrameIndex i = zone.begin; i < zone.end; ++i)
    if (is_on_lru(pages_[PageCount{i}]) && machine_.view().env.map.pageblock(i).zone == zone.id.raw())
      frames.push_back(i);
  if (guess.oldest_is_highest)
    std::reverse(frames.begin(), frames.end());
  // Small free blocks are used up first, and they lie among pages that stay.
  if (guess.small_blocks_first) {
    Pfn block = kNoPfn;
    bool is_broken_up = false;
    std::stable_partition(frames.begin(), frames.end(), [&](FrameIndex i) {
      const Pfn own = machine_.view().env.map.pfn(i).align_down(Order{kPageblockOrder});
      if (std::exchange(block, own) != own)
        is_broken_up = !can_become_whole(own);
      return is_broken_up;
    });
  }
  const std::size_t begin = frames.size() * from_percent / 100;
  const std::size_t end = frames.size() * to_percent / 100;
  for (std::size_t nth = begin; nth < end; ++nth)
    lru_.add(frames[nth], list_of(pages_[PageCount{frames[nth]}]));
}

bool Population::can_become_whole(Pfn pageblock) const {
  for (Pfn pfn = pageblock; pfn < pageblock + PageCount{kPageblockPages}; pfn = pfn + PageCount{1})
    if (!contains(pfn) || (stays(page(pfn)) && !is_on_lru(page(pfn))))
      return false;
  return true;
}

void Population::tick(PageCount most) {
  for (std::uint64_t left = most.raw(); left > 0 && !writing_.empty(); --left) {
    const Pfn pfn = writing_.front();
    writing_.pop_front();
    PopulationPage& page = this->page(pfn);
    if (!page.is_writeback)
      continue;
    page.is_writeback = false;
    --node_stats(pfn).writeback;
    // What was only waiting for this goes next.
    if (page.is_reclaim && !page.is_isolated && keeps_lru_) {
      lru_.remove(index(pfn), list_of(page));
      page.is_active = false;
      lru_.add_tail(index(pfn), list_of(page));
      count_event(machine_.view().events->pgrotated);
    }
    page.is_reclaim = false;
  }
}

NodePageStats& Population::node_stats(Pfn pfn) {
  const MachineView& view = machine_.view();
  return view.nodes[view.zone_of(index(pfn)).node.raw()].pages;
}

void Population::count_unwritten(Pfn pfn, std::int64_t change) {
  const PopulationPage& page = this->page(pfn);
  // A page of an anonymous mapping is not dirty as a file's is.
  if (page.is_dirty && page.use == PageUse::File)
    node_stats(pfn).file_dirty += change;
  if (page.is_writeback)
    node_stats(pfn).writeback += change;
}

void Population::set_dirty(Pfn pfn) {
  PopulationPage& page = this->page(pfn);
  if (!page.is_dirty && page.use == PageUse::File && keeps_lru_)
    ++node_stats(pfn).file_dirty;
  page.is_dirty = true;
}

void Population::begin_writeback(Pfn pfn) {
  PopulationPage& page = this->page(pfn);
  if (page.is_dirty && page.use == PageUse::File && keeps_lru_)
    --node_stats(pfn).file_dirty;
  page.is_dirty = false;
  if (page.is_writeback)
    return;
  page.is_writeback = true;
  writing_.push_back(pfn);
  ++node_stats(pfn).writeback;
}

void Population::set_active(Pfn pfn, bool active) {
  PopulationPage& page = this->page(pfn);
  if (page.is_active == active || page.is_isolated || page.is_unevictable || !is_on_lru(page))
    return;
  if (keeps_lru_)
    lru_.remove(index(pfn), list_of(page));
  page.is_active = active;
  if (keeps_lru_)
    lru_.add(index(pfn), list_of(page));
}

ReclaimFacts Population::reclaim_facts(Pfn pfn) {
  PopulationPage& page = this->page(pfn);
  ReclaimFacts facts;
  facts.pte_references = page.is_young ? 1 : 0;
  page.is_young = false;
  facts.is_referenced = page.is_referenced;
  facts.is_mapped = page.is_mapped;
  facts.is_executable = page.is_executable;
  facts.is_swap_backed = page.use == PageUse::Anonymous || page.is_swap_backed;
  facts.is_swap_cache = page.is_swap_cache;
  facts.is_dirty = page.is_dirty;
  facts.is_writeback = page.is_writeback;
  facts.is_reclaim = page.is_reclaim;
  facts.is_locked = page.is_locked;
  facts.is_pinned = page.is_pinned;
  facts.is_unevictable = page.is_unevictable;
  facts.is_working_set = page.is_working_set;
  return facts;
}

void Population::mark(Pfn pfn, ReclaimMark mark) {
  PopulationPage& page = this->page(pfn);
  switch (mark) {
    case ReclaimMark::Referenced: page.is_referenced = true; break;
    case ReclaimMark::Reclaim: page.is_reclaim = true; break;
    case ReclaimMark::WorkingSet: page.is_working_set = true; break;
  }
}

void Population::returned(Pfn pfn, LruList list) {
  PopulationPage& page = this->page(pfn);
  page.is_isolated = false;
  page.is_unevictable = list == LruList::Unevictable;
  page.is_active = mmbox::is_active(list);
}

bool Population::add_to_swap(Pfn pfn) {
  if (free_swap_ == PageCount{})
    return false;
  free_swap_ = free_swap_ - PageCount{1};
  page(pfn).is_swap_cache = true;
  page(pfn).is_dirty = true;
  return true;
}

bool Population::unmap(Pfn pfn) {
  page(pfn).is_mapped = false;
  return true;
}

bool Population::write_out(Pfn pfn) {
  begin_writeback(pfn);
  page(pfn).is_reclaim = true;
  return false;
}

PageCount Population::movable_pages(Pfn begin, Pfn end) {
  std::uint64_t pages = 0;
  for (Pfn pfn = begin; pfn < end && contains(pfn); pfn = pfn + PageCount{1}) {
    const PageUse use = page(pfn).use;
    pages += use == PageUse::Anonymous || use == PageUse::File || use == PageUse::Driver ? 1 : 0;
  }
  return PageCount{pages};
}

}  // namespace mmbox::lab
