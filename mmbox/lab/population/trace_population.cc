#include "mmbox/lab/population/trace_population.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/population/gfp_use.h"

namespace mmbox::lab {
namespace {

bool is_free(const FrameState& state) {
  return state.kind() == FrameState::Kind::Buddy || state.kind() == FrameState::Kind::Pcp;
}

/// Calls `in_use(index)` for each frame of a zone that is neither free nor on a per-cpu list, `free_block(index,
/// order)` for each block that is.
void for_each_frame(const Machine& machine, auto in_use, auto free_block) {
  const MemMap& map = machine.view().env.map;
  for (FrameIndex i = 0; i < map.frames();) {
    const FrameState state = map.state(i);
    if (is_free(state)) {
      free_block(i, state.order());
      i += FrameIndex{1} << state.order();
      continue;
    }
    if (map.pageblock(i).zone != kNoZone)
      in_use(i);
    ++i;
  }
}

/// The head of a block of several pages that `pfn` lies in, its first page included; nullopt if it lies in none.
std::optional<Pfn> head_of_block(const Population& pages, Pfn pfn) {
  for (unsigned order = 1; order <= kMaxPageOrder; ++order) {
    const Pfn head = pfn.align_down(Order{order});
    if (pages.contains(head) && pages.page(head).use != PageUse::None && pages.page(head).order >= order)
      return head;
  }
  return std::nullopt;
}

void forget_all(Population& pages, Pfn pfn, unsigned order) {
  for (Pfn at = pfn; at < pfn + PageCount::in(Order{order}) && pages.contains(at); at = at + PageCount{1})
    if (pages.page(at).use != PageUse::None)
      pages.forget(at);
}

/// Makes single pages of a block.
void break_up(Population& pages, Pfn head) {
  PopulationPage piece = pages.page(head);
  const unsigned order = std::exchange(piece.order, std::uint8_t{0});
  piece.is_compound = false;
  forget_all(pages, head, order);
  for (Pfn at = head; at < head + PageCount::in(Order{order}) && pages.contains(at); at = at + PageCount{1})
    pages.put(at, piece);
}

/// Forgets what lies in a block. A larger one around it was split without an event.
void clear(Population& pages, Pfn pfn, unsigned order) {
  if (const auto head = head_of_block(pages, pfn); head && pages.page(*head).order > order)
    break_up(pages, *head);
  forget_all(pages, pfn, order);
}

bool moves(const PopulationPage& page) {
  return page.use == PageUse::Anonymous || page.use == PageUse::File || page.use == PageUse::Driver;
}

/// What a page is taken for that nothing is known of, by its pageblock's type.
PageUse use_by_type(Migratetype type) {
  switch (type) {
    case Migratetype::Movable:
    case Migratetype::Cma: return PageUse::Anonymous;
    case Migratetype::Reclaimable: return PageUse::Slab;
    default: return PageUse::Kernel;
  }
}

}  // namespace

void guess_pages(Population& pages, const Machine& machine, const Snapshot& snapshot, OwnerId owner) {
  const MachineView& view = machine.view();
  std::map<Pfn, std::uint32_t> in_use;  // by pageblock
  for_each_frame(
      machine, [&](FrameIndex i) { ++in_use[view.env.map.pfn(i).align_down(Order{kPageblockOrder})]; },
      [](FrameIndex, unsigned) {});
  /// Of a pageblock: pages still to be given each use; the rest moves.
  struct Counts {
    std::uint32_t reserved = 0;
    std::uint32_t stay = 0;
  };
  std::map<Pfn, Counts> blocks;
  for (const SnapshotZone& zone : snapshot.zones)
    for (const SnapshotPageblock& block : zone.pageblocks) {
      const std::uint32_t used = in_use[block.start];
      blocks[block.start] = {block.reserved_pages, used - std::min(used, block.reserved_pages + block.movable_pages)};
    }
  std::vector<std::int64_t> due(view.nodes.size());
  for_each_frame(
      machine,
      [&](FrameIndex i) {
        const Pfn pfn = view.env.map.pfn(i);
        const auto block = blocks.find(pfn.align_down(Order{kPageblockOrder}));
        if (block == blocks.end())
          return;
        PopulationPage page;
        page.owner = owner;
        if (block->second.reserved > 0) {
          --block->second.reserved;
          page.use = PageUse::Reserved;
        } else if (block->second.stay > 0) {
          --block->second.stay;
          page.use = view.env.map.pageblock(i).type == Migratetype::Reclaimable ? PageUse::Slab : PageUse::Kernel;
        } else {
          // Files and processes take turns as their shares are.
          const NodeId node = view.zone_of(i).node;
          const NodePageStats& stats = view.nodes[node.raw()].pages;
          const std::int64_t anon = stats.inactive_anon + stats.active_anon;
          const std::int64_t file = stats.inactive_file + stats.active_file;
          std::int64_t& turn = due[node.raw()];
          turn += file;
          page.use = PageUse::Anonymous;
          if (turn >= anon + file && file > 0) {
            turn -= anon + file;
            page.use = PageUse::File;
          }
          page.is_swap_backed = page.use == PageUse::Anonymous;
        }
        pages.put(pfn, page);
      },
      [](FrameIndex, unsigned) {});
}

TracePopulation::TracePopulation(Population& pages, const Machine& machine, First first)
    : pages_(pages), first_(first), first_owners_(pages.owners()), is_hole_(machine.view().env.map.frames()) {
  const MemMap& map = machine.view().env.map;
  for_each_frame(
      machine,
      [&](FrameIndex i) {
        const Pfn pfn = map.pfn(i);
        is_hole_[i] = pages.page(pfn).use == PageUse::None && !head_of_block(pages, pfn);
      },
      [](FrameIndex, unsigned) {});
}

void TracePopulation::follow(const TraceRecord& record) {
  if (const auto* alloc = std::get_if<MmPageAlloc>(&record.event)) {
    allocate(record, *alloc);
  } else if (const auto* freed = std::get_if<MmPageFree>(&record.event)) {
    free(record, *freed);
  } else if (const auto* split = std::get_if<probe::SplitPage>(&record.event)) {
    if (const auto head = pages_.contains(split->page) ? head_of_block(pages_, split->page) : std::nullopt)
      break_up(pages_, *head);
  } else if (const auto* target = std::get_if<probe::CompactionAllocRet>(&record.event)) {
    if (pages_.contains(target->page))
      targets_[record.pid].push_back(target->page);
  } else if (const auto* kept = std::get_if<probe::CompactionFree>(&record.event)) {
    if (const auto targets = targets_.find(record.pid); targets != targets_.end())
      std::erase(targets->second, kept->page);
  } else if (std::holds_alternative<MmCompactionMigratepages>(record.event)) {
    targets_.erase(record.pid);  // the end of a batch
  }
}

void TracePopulation::allocate(const TraceRecord& record, const MmPageAlloc& event) {
  const unsigned order = event.order.raw();
  if (order > kMaxPageOrder || !event.pfn.is_aligned(event.order) || !pages_.contains(event.pfn) ||
      !pages_.contains(event.pfn + PageCount{PageCount::in(event.order).raw() - 1}))
    return;
  ++requests_;
  requests_with_flags_ += event.gfp == Gfp{} ? 0 : 1;
  clear(pages_, event.pfn, order);
  const GfpUse& use = use_of(event.gfp, event.order);
  PopulationPage page = page_of(use, event.gfp, event.order);
  page.owner = owner_of(record, use.what);
  pages_.put(event.pfn, page);
}

void TracePopulation::free(const TraceRecord& record, const MmPageFree& event) {
  if (event.order.raw() > kMaxPageOrder || !event.pfn.is_aligned(event.order) || !pages_.contains(event.pfn))
    return;
  if (move(event.pfn, event.order, record.pid))
    return;
  clear(pages_, event.pfn, event.order.raw());
}

bool TracePopulation::move(Pfn from, Order order, std::int32_t pid) {
  const auto found = targets_.find(pid);
  if (found == targets_.end() || found->second.empty())
    return false;
  PopulationPage page = pages_.page(from);
  const Pfn to = found->second.front();
  if (page.use == PageUse::None || page.order != order.raw() || !to.is_aligned(order))
    return false;
  if (!moves(page)) {
    // An interrupt may free something of its own meanwhile; what was only guessed to stay has now been seen to move.
    if (first_ == First::Told || page.owner >= first_owners_)
      return false;
    page.use = PageUse::Anonymous;
  }
  found->second.pop_front();
  // Held by somebody, it would not have moved.
  page.is_pinned = page.is_locked = page.is_writeback = page.is_isolated = false;
  forget_all(pages_, from, order.raw());
  clear(pages_, to, order.raw());
  pages_.put(to, page);
  return true;
}

OwnerId TracePopulation::owner_of(const TraceRecord& record, std::string_view what) {
  if (record.pid == 0 && record.comm == Comm{})
    return owner_named(std::string{what});
  Task& task = tasks_[record.pid];
  if (task.owner == kNoOwner || task.comm != record.comm) {
    const std::string_view comm = record.comm.view();
    task = {record.comm, owner_named(fmt::format("{}:{}", comm.empty() ? "pid" : comm, record.pid))};
  }
  return task.owner;
}

OwnerId TracePopulation::owner_named(std::string name) {
  const auto known = owners_.find(name);
  if (known != owners_.end())
    return known->second;
  const OwnerId owner = pages_.add_owner(name);
  owners_.emplace(std::move(name), owner);
  return owner;
}

TracePopulation::Mismatch TracePopulation::settle(Population& pages, Machine& machine) const {
  Mismatch mismatch;
  const MemMap& map = machine.view().env.map;
  const OwnerId nobody = pages.add_owner("unknown");
  std::vector<FrameIndex> unknown;
  for_each_frame(
      machine,
      [&](FrameIndex i) {
        const Pfn pfn = map.pfn(i);
        if (!is_hole_[i] && pages.page(pfn).use == PageUse::None && !head_of_block(pages, pfn))
          unknown.push_back(i);
      },
      [&](FrameIndex i, unsigned order) {
        const Pfn begin = map.pfn(i);
        for (Pfn pfn = begin; pfn < begin + PageCount::in(Order{order}) && pages.contains(pfn);
             pfn = pfn + PageCount{1})
          mismatch.freed += pages.page(pfn).use != PageUse::None || head_of_block(pages, pfn) ? 1 : 0;
        clear(pages, begin, order);
      });
  for_each_frame(
      machine,
      [&](FrameIndex i) {
        const Pfn pfn = map.pfn(i);
        const PopulationPage page = pages.page(pfn);
        if (page.use != PageUse::File || page.order == 0)
          return;
        break_up(pages, pfn);
        if (!map.state(i).is_allocated_as(page.order))
          return;
        map.set_state(i, page.order, FrameState{});
        for (FrameIndex at = i; at < i + (FrameIndex{1} << page.order); ++at)
          map.set_state(at, 0, FrameState::allocated(0, FrameState::Compound::No));
      },
      [](FrameIndex, unsigned) {});
  mismatch.unknown = unknown.size();
  for (const FrameIndex i : unknown) {
    PopulationPage page;
    page.use = use_by_type(map.pageblock(i).type);
    page.is_swap_backed = page.use == PageUse::Anonymous;
    page.owner = nobody;
    pages.put(map.pfn(i), page);
  }
  return mismatch;
}

std::uint64_t TracePopulation::first_pages(const Population& pages) const {
  std::uint64_t count = 0;
  for (OwnerId owner = 0; owner < first_owners_; ++owner)
    for (const Pfn pfn : pages.owner(owner).pages)
      count += pages.page(pfn).use == PageUse::Reserved ? 0 : 1;
  return count;
}

}  // namespace mmbox::lab
