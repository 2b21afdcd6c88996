#include "mmbox/lab/proc/approximate.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/workload/random.h"

namespace mmbox::lab {
namespace {

constexpr std::uint64_t kBlockPages = kPageblockPages;

/// What lies in a frame; the first ones are those of a layout that is still being made.
enum class Cell : std::uint8_t {
  Unknown,
  Outside,
  Free,
  Pcp,
  Reserved,
  Kernel,
  Slab,
  InactiveAnon,
  ActiveAnon,
  InactiveFile,
  ActiveFile,
  DirtyFile,
  Unevictable,
};

constexpr unsigned kKpfReserved = 32;

/// Which kernel the numbers are of.
Generation generation_of(const ProcState& state) {
  if (const auto choice = generation_of_release(state.release))
    return *choice->generation;
  return kLinux61;
}

struct FreeBlock {
  std::uint64_t at;  ///< frame, from the first of the layout
  unsigned order;
  Migratetype type;
};

bool has(std::uint64_t flags, Kpf bit) {
  return (flags >> static_cast<unsigned>(bit) & 1U) != 0;
}

/// Where everything lies in one zone.
class ZoneLayout {
 public:
  ZoneLayout(const ProcState& state, const ProcZone& zone, std::uint64_t slab_pages, Random& random)
      : state_(state), zone_(zone), slab_left_(slab_pages), random_(random) {
    base_ = zone.start_pfn / kBlockPages * kBlockPages;
    const std::uint64_t before = zone.start_pfn - base_;
    std::uint64_t blocks = (before + static_cast<std::uint64_t>(zone.present) + kBlockPages - 1) / kBlockPages;
    const std::uint64_t told = std::accumulate(zone.pageblocks.begin(), zone.pageblocks.end(), std::uint64_t{0});
    const std::uint64_t spanned = (before + static_cast<std::uint64_t>(zone.spanned) + kBlockPages - 1) / kBlockPages;
    blocks = std::min(std::max(blocks, told), spanned);
    if (!state.kpageflags.empty())
      blocks = spanned;
    cells_.assign(blocks * kBlockPages, Cell::Unknown);
    types_.assign(blocks, Migratetype::Movable);
    is_memory_.assign(blocks, true);
    for (std::uint64_t i = 0; i < cells_.size(); ++i)
      if (base_ + i < zone.start_pfn || base_ + i >= zone.start_pfn + static_cast<std::uint64_t>(zone.spanned))
        cells_[i] = Cell::Outside;
  }

  void make() {
    if (state_.kpageflags.empty())
      draw();
    else
      take_over();
  }

  [[nodiscard]] SnapshotZone snapshot_zone(ZoneIndex index) const;
  [[nodiscard]] PageDumpZone dump_zone() const;

 private:
  // ------------------------------------------------------------- from numbers alone
  void draw() {
    const auto typed = typed_blocks();
    draw_types(typed);
    draw_small_blocks(typed);
    place_used_pages();
  }

  [[nodiscard]] std::int64_t lru_pages() const {
    std::int64_t pages = 0;
    for (const char* name : {"nr_zone_inactive_anon", "nr_zone_active_anon", "nr_zone_inactive_file",
                             "nr_zone_active_file", "nr_zone_unevictable"})
      pages += zone_.counter(name);
    return std::clamp<std::int64_t>(pages, 0, zone_.managed);
  }
  [[nodiscard]] std::int64_t pcp_pages() const {
    std::int64_t pages = 0;
    for (const ProcPageset& pageset : zone_.pagesets)
      pages += pageset.count;
    return std::clamp<std::int64_t>(pages, 0, zone_.managed);
  }
  [[nodiscard]] std::uint64_t free_pages() const {
    std::uint64_t pages = 0;
    for (unsigned order = 0; order < kOrders; ++order)
      pages += zone_.blocks[order] << order;
    return pages;
  }
  /// In use, and on no list.
  [[nodiscard]] std::uint64_t fixed_pages() const {
    const std::int64_t fixed = zone_.managed - static_cast<std::int64_t>(free_pages()) - pcp_pages() - lru_pages();
    return static_cast<std::uint64_t>(std::max<std::int64_t>(fixed, 0));
  }

  using TypedBlocks = std::array<std::array<std::uint64_t, kOrders>, kMigratetypes>;
  [[nodiscard]] TypedBlocks typed_blocks() const {
    if (zone_.has_types)
      return zone_.typed_blocks;
    TypedBlocks typed{};
    typed[raw(Migratetype::Movable)] = zone_.blocks;
    return typed;
  }
  /// Pageblocks by type, as many as there are.
  [[nodiscard]] std::array<std::uint64_t, kMigratetypes> pageblocks() const {
    std::array<std::uint64_t, kMigratetypes> counts = zone_.pageblocks;
    if (!zone_.has_types) {
      counts = {};
      counts[raw(Migratetype::Unmovable)] =
          std::min<std::uint64_t>((fixed_pages() + kBlockPages - 1) / kBlockPages, types_.size());
    }
    std::uint64_t sum = 0;
    for (std::uint64_t& count : counts) {
      count = std::min<std::uint64_t>(count, types_.size() - sum);
      sum += count;
    }
    counts[raw(Migratetype::Movable)] += types_.size() - sum;
    return counts;
  }

  [[nodiscard]] bool is_empty(std::uint64_t at, std::uint64_t pages) const {
    if (at + pages > cells_.size())
      return false;
    return std::all_of(cells_.begin() + static_cast<std::ptrdiff_t>(at),
                       cells_.begin() + static_cast<std::ptrdiff_t>(at + pages),
                       [](Cell cell) { return cell == Cell::Unknown; });
  }
  void set(std::uint64_t at, std::uint64_t pages, Cell cell) {
    std::fill_n(cells_.begin() + static_cast<std::ptrdiff_t>(at), pages, cell);
  }
  /// True if a free block may lie there: the place is empty, and its buddy is not free, with which it would have
  /// merged.
  [[nodiscard]] bool may_be_free(std::uint64_t at, unsigned order) const {
    if (!is_empty(at, std::uint64_t{1} << order))
      return false;
    if (order == kMaxPageOrder)
      return true;
    const std::uint64_t buddy = ((base_ + at) ^ (std::uint64_t{1} << order));
    if (buddy < base_ || buddy - base_ >= cells_.size())
      return true;
    return cells_[buddy - base_] != Cell::Free || order_at(buddy - base_) != order;
  }
  [[nodiscard]] unsigned order_at(std::uint64_t at) const {
    const auto found = head_orders_.find(at);
    return found == head_orders_.end() ? kOrders : found->second;
  }
  void put_free(std::uint64_t at, unsigned order, Migratetype type) {
    set(at, std::uint64_t{1} << order, Cell::Free);
    head_orders_[at] = order;
    free_.push_back({at, order, type});
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[random_.below(i)]);
  }

  /// Types of the pageblocks, and the free blocks that fill them whole.
  void draw_types(const TypedBlocks& typed) {
    auto left = pageblocks();
    std::vector<bool> is_typed(types_.size());
    const auto take = [&](std::uint64_t block, Migratetype type) {
      is_typed[block] = true;
      types_[block] = type;
      std::uint64_t& of_type = left[raw(type)];
      // Where lists and pageblocks do not agree, a movable one is it.
      --(of_type > 0 ? of_type : left[raw(Migratetype::Movable)] > 0 ? left[raw(Migratetype::Movable)] : surplus_);
    };
    std::vector<std::uint64_t> blocks(types_.size());
    std::iota(blocks.begin(), blocks.end(), 0);
    shuffle(blocks);
    for (unsigned order = kMaxPageOrder; order >= kPageblockOrder; --order) {
      const std::uint64_t count = std::uint64_t{1} << (order - kPageblockOrder);
      for (std::size_t type = 0; type < kMigratetypes; ++type) {
        std::uint64_t wanted = typed[type][order];
        for (std::size_t i = 0; i < blocks.size() && wanted > 0; ++i) {
          const std::uint64_t block = blocks[i];
          if ((base_ / kBlockPages + block) % count != 0 || is_typed[block] || !may_be_free(block * kBlockPages, order))
            continue;
          put_free(block * kBlockPages, order, static_cast<Migratetype>(type));
          for (std::uint64_t j = 0; j < count; ++j)
            take(block + j, static_cast<Migratetype>(type));
          --wanted;
        }
      }
    }
    std::size_t type = 0;
    for (const std::uint64_t block : blocks) {
      if (is_typed[block])
        continue;
      while (type < kMigratetypes && left[type] == 0)
        ++type;
      if (type < kMigratetypes) {
        types_[block] = static_cast<Migratetype>(type);
        --left[type];
      }
    }
  }

  void draw_small_blocks(const TypedBlocks& typed) {
    constexpr int kDraws = 64;
    std::array<std::vector<std::uint64_t>, kMigratetypes> blocks;
    for (std::uint64_t block = 0; block < types_.size(); ++block)
      blocks[raw(types_[block])].push_back(block);
    // Large ones first: they need room in one piece.
    for (unsigned order = kPageblockOrder; order-- > 0;) {
      const std::uint64_t places = kBlockPages >> order;
      for (std::size_t type = 0; type < kMigratetypes; ++type) {
        for (std::uint64_t left = typed[type][order]; left > 0; --left) {
          std::optional<std::uint64_t> found;
          for (int i = 0; i < kDraws && !found && !blocks[type].empty(); ++i) {
            const std::uint64_t at =
                blocks[type][random_.below(blocks[type].size())] * kBlockPages + (random_.below(places) << order);
            if (may_be_free(at, order))
              found = at;
          }
          // Crowded: the first place that there is, in a pageblock of another type if need be.
          for (std::uint64_t& at = search_from_[order]; !found && at + (std::uint64_t{1} << order) <= cells_.size();
               at += std::uint64_t{1} << order)
            if (may_be_free(at, order))
              found = at;
          if (found)
            put_free(*found, order, types_[*found / kBlockPages]);
        }
      }
    }
  }

  void place_used_pages() {
    std::vector<std::uint64_t> kept;     // pageblocks of pages that stay
    std::vector<std::uint64_t> movable;  // and of others
    for (std::uint64_t block = 0; block < types_.size(); ++block)
      (types_[block] == Migratetype::Movable || types_[block] == Migratetype::Cma ? movable : kept).push_back(block);
    shuffle(movable);
    std::uint64_t pcp = static_cast<std::uint64_t>(pcp_pages());
    std::uint64_t fixed = fixed_pages();
    std::uint64_t outside = 0;
    for (const Cell cell : cells_)
      outside += cell == Cell::Outside ? 1 : 0;
    const std::uint64_t frames = cells_.size() - outside;
    std::uint64_t reserved = frames - std::min(frames, static_cast<std::uint64_t>(zone_.managed));

    // Some pages that stay in each of their pageblocks, and reserved memory beside them.
    std::uint64_t room = 0;
    for (const std::uint64_t block : kept)
      room += unknown_in(block);
    std::uint64_t of_kept = std::min(fixed, room);
    fixed -= of_kept;
    for (const std::uint64_t block : kept) {
      const std::uint64_t here = unknown_in(block);
      const std::uint64_t share = room == 0 ? 0 : (of_kept * here + room - 1) / room;
      of_kept -= fill(block, std::min(share, of_kept), types_[block]);
      room -= here;
    }
    for (const std::uint64_t block : kept)
      reserved -= fill(block, reserved, Cell::Reserved);
    // What is left lies together in movable ones.
    for (const std::uint64_t block : movable) {
      pcp -= fill(block, pcp, Cell::Pcp);
      reserved -= fill(block, reserved, Cell::Reserved);
      fixed -= fill(block, fixed, Migratetype::Unmovable);
    }
    place_lru_pages();
  }
  [[nodiscard]] std::uint64_t unknown_in(std::uint64_t block) const {
    const auto begin = cells_.begin() + static_cast<std::ptrdiff_t>(block * kBlockPages);
    return static_cast<std::uint64_t>(std::count(begin, begin + kBlockPages, Cell::Unknown));
  }
  /// Fills up to `pages` empty frames of a pageblock; how many.
  std::uint64_t fill(std::uint64_t block, std::uint64_t pages, Cell cell) {
    std::uint64_t filled = 0;
    for (std::uint64_t at = block * kBlockPages; at < (block + 1) * kBlockPages && filled < pages; ++at)
      if (cells_[at] == Cell::Unknown) {
        cells_[at] = cell;
        ++filled;
      }
    return filled;
  }
  /// The same with pages that stay: slab in reclaimable pageblocks, and elsewhere as long as there is some.
  std::uint64_t fill(std::uint64_t block, std::uint64_t pages, Migratetype type) {
    const bool is_slab = slab_left_ > 0 && (type == Migratetype::Reclaimable || random_.below(4) == 0);
    const std::uint64_t filled = fill(block, pages, is_slab ? Cell::Slab : Cell::Kernel);
    if (is_slab)
      slab_left_ -= std::min(slab_left_, filled);
    return filled;
  }
  void place_lru_pages() {
    const auto count = [&](const char* name) {
      return static_cast<std::uint64_t>(std::clamp<std::int64_t>(zone_.counter(name), 0, zone_.managed));
    };
    const std::uint64_t inactive_file = count("nr_zone_inactive_file");
    const std::uint64_t dirty = std::min(count("nr_zone_write_pending"), inactive_file);
    std::array<std::pair<Cell, std::uint64_t>, 6> left{{{Cell::InactiveAnon, count("nr_zone_inactive_anon")},
                                                        {Cell::ActiveAnon, count("nr_zone_active_anon")},
                                                        {Cell::InactiveFile, inactive_file - dirty},
                                                        {Cell::ActiveFile, count("nr_zone_active_file")},
                                                        {Cell::DirtyFile, dirty},
                                                        {Cell::Unevictable, count("nr_zone_unevictable")}}};
    // Whether pages of a kind lie together was decided long ago: a handful of them, or two whole pageblocks.
    const std::uint64_t together = std::uint64_t{16} << random_.below(7);
    Cell cell = Cell::Kernel;
    std::uint64_t run = 0;
    for (Cell& place : cells_) {
      if (place != Cell::Unknown)
        continue;
      if (run == 0) {
        std::uint64_t all = 0;
        for (const auto& [kind, pages] : left)
          all += pages;
        std::size_t which = left.size();
        if (all > 0) {
          std::uint64_t draw = random_.next() % all;
          for (which = 0; draw >= left[which].second; ++which)
            draw -= left[which].second;
        }
        // Numbers that do not add up leave pages of which nothing is known.
        cell = which < left.size() ? left[which].first : Cell::Kernel;
        run = which < left.size() ? std::min(together, left[which].second) : together;
        if (which < left.size())
          left[which].second -= run;
      }
      place = cell;
      --run;
    }
  }

  // ------------------------------------------------------------- from the flags of each page
  void take_over() {
    std::vector<std::uint32_t> fixed(types_.size());
    std::vector<std::uint32_t> slab(types_.size());
    for (std::uint64_t block = 0; block < types_.size(); ++block) {
      bool any = false;
      for (std::uint64_t at = block * kBlockPages; at < (block + 1) * kBlockPages; ++at) {
        if (cells_[at] == Cell::Outside)
          continue;
        const std::uint64_t pfn = base_ + at;
        cells_[at] = pfn < state_.kpageflags.size() ? cell_of(state_.kpageflags[pfn]) : Cell::Outside;
        any = any || cells_[at] != Cell::Outside;
        fixed[block] += cells_[at] == Cell::Kernel || cells_[at] == Cell::Slab ? 1 : 0;
        slab[block] += cells_[at] == Cell::Slab ? 1 : 0;
      }
      is_memory_[block] = any;
    }
    guess_types(fixed, slab);
    std::uint64_t pcp = static_cast<std::uint64_t>(pcp_pages());
    for (std::uint64_t at = 0; at < cells_.size() && pcp > 0; ++at)
      if (cells_[at] == Cell::Kernel && types_[at / kBlockPages] == Migratetype::Movable &&
          state_.kpageflags[base_ + at] == 0) {
        cells_[at] = Cell::Pcp;
        --pcp;
      }
    // Buddies have merged: a run of free pages is as few blocks as it can be.
    for (std::uint64_t at = 0; at < cells_.size();) {
      if (cells_[at] != Cell::Free) {
        ++at;
        continue;
      }
      std::uint64_t end = at;
      while (end < cells_.size() && cells_[end] == Cell::Free)
        ++end;
      while (at < end) {
        unsigned order = kMaxPageOrder;
        while ((base_ + at) % (std::uint64_t{1} << order) != 0 || at + (std::uint64_t{1} << order) > end)
          --order;
        put_free(at, order, types_[at / kBlockPages]);
        at += std::uint64_t{1} << order;
      }
    }
  }
  static Cell cell_of(std::uint64_t flags) {
    if (has(flags, Kpf::NoPage))
      return Cell::Outside;
    if (has(flags, Kpf::Buddy))
      return Cell::Free;
    if ((flags >> kKpfReserved & 1U) != 0)
      return Cell::Reserved;
    if (has(flags, Kpf::Slab))
      return Cell::Slab;
    // Pages of a compound page, a transparent huge page for one, do not move in 6.1's compaction.
    if (!has(flags, Kpf::Lru) || has(flags, Kpf::CompoundHead) || has(flags, Kpf::CompoundTail))
      return Cell::Kernel;
    if (has(flags, Kpf::Unevictable))
      return Cell::Unevictable;
    const bool active = has(flags, Kpf::Active);
    if (has(flags, Kpf::Anon) || has(flags, Kpf::SwapBacked))
      return active ? Cell::ActiveAnon : Cell::InactiveAnon;
    if (has(flags, Kpf::Dirty) || has(flags, Kpf::Writeback))
      return Cell::DirtyFile;
    return active ? Cell::ActiveFile : Cell::InactiveFile;
  }
  /// Pageblocks with most pages that stay are those that are kept for them, as many as the kernel says there are.
  void guess_types(const std::vector<std::uint32_t>& fixed, const std::vector<std::uint32_t>& slab) {
    std::vector<std::uint64_t> blocks(types_.size());
    std::iota(blocks.begin(), blocks.end(), 0);
    std::ranges::stable_sort(blocks, std::greater{}, [&](std::uint64_t block) { return fixed[block]; });
    std::uint64_t kept = 0;
    for (const std::uint64_t count : fixed)
      kept += count > 0 ? 1 : 0;
    if (zone_.has_types)
      kept = std::min<std::uint64_t>(
          zone_.pageblocks[raw(Migratetype::Unmovable)] + zone_.pageblocks[raw(Migratetype::Reclaimable)],
          blocks.size());
    for (std::uint64_t i = 0; i < kept; ++i)
      types_[blocks[i]] = slab[blocks[i]] * 2 > fixed[blocks[i]] ? Migratetype::Reclaimable : Migratetype::Unmovable;
  }

  const ProcState& state_;
  const ProcZone& zone_;
  std::uint64_t slab_left_;
  Random& random_;
  std::uint64_t base_ = 0;  ///< pfn of the layout's first frame
  std::vector<Cell> cells_;
  std::vector<Migratetype> types_;  ///< by pageblock
  std::vector<bool> is_memory_;     ///< by pageblock
  std::vector<FreeBlock> free_;
  std::map<std::uint64_t, unsigned> head_orders_;
  std::array<std::uint64_t, kOrders> search_from_{};
  std::uint64_t surplus_ = ~std::uint64_t{0} / 2;
};

SnapshotZone ZoneLayout::snapshot_zone(ZoneIndex index) const {
  const auto pages = [](std::int64_t count) { return PageCount{static_cast<std::uint64_t>(count)}; };
  SnapshotZone zone;
  zone.node = zone_.node;
  zone.index = index;
  zone.type = zone_.type;
  zone.start = Pfn{zone_.start_pfn};
  zone.spanned = pages(zone_.spanned);
  zone.present = pages(zone_.present);
  zone.managed = pages(zone_.managed);
  // zoneinfo prints marks with the boost.
  const std::int64_t boost = std::min(zone_.boost, zone_.min);
  zone.min = pages(zone_.min - boost);
  zone.low = pages(std::max(zone_.low, zone_.min) - boost);
  zone.high = pages(std::max({zone_.high, zone_.low, zone_.min}) - boost);
  zone.boost = pages(boost);
  zone.lowmem_reserve = zone_.protection;
  const Pfn last =
      Pfn{zone_.start_pfn + static_cast<std::uint64_t>(zone_.spanned) - 1}.align_down(Order{kPageblockOrder});
  zone.compact_cached_free = zone.compact_init_free = std::max(last, zone.start);
  zone.compact_cached_migrate = {zone.start, zone.start};
  zone.compact_init_migrate = zone.start;
  std::vector<Pfn> pcp;
  for (std::uint64_t at = 0; at < cells_.size(); ++at)
    if (cells_[at] == Cell::Pcp)
      pcp.push_back(Pfn{base_ + at});
  for (std::size_t cpu = 0; cpu < zone_.pagesets.size(); ++cpu) {
    const ProcPageset& from = zone_.pagesets[cpu];
    SnapshotZoneCpu& to = zone.cpus.emplace_back();
    to.cpu = CpuId{cpu};
    to.stat_threshold = from.threshold;
    to.high = from.high;
    to.batch = std::max(from.batch, 1);
    for (; to.count < from.count && !pcp.empty(); ++to.count) {
      to.lists[raw(Migratetype::Movable)].push_back({pcp.back(), Migratetype::Movable});
      pcp.pop_back();
    }
  }
  zone.pageset_batch = zone.cpus.empty() ? 1 : zone.cpus[0].batch;
  zone.pageset_high = zone.cpus.empty() ? 0 : zone.cpus[0].high;
  std::int64_t free = 0;
  std::int64_t in_blocks = 0;
  std::int64_t cma = 0;
  for (const FreeBlock& block : free_) {
    SnapshotFreeArea& area = zone.free_areas[block.order];
    area.lists[raw(block.type)].push_back(Pfn{base_ + block.at});
    ++area.free_blocks;
    if (block.type == Migratetype::Isolate)
      continue;
    free += std::int64_t{1} << block.order;
    in_blocks += block.order >= kPageblockOrder ? std::int64_t{1} << block.order : 0;
    cma += block.type == Migratetype::Cma ? std::int64_t{1} << block.order : 0;
  }
  // Free pages first; where those of CMA stand hangs on the kernel, and what is between is not looked at.
  zone.vm_stat = {free, in_blocks, cma, cma};
  for (std::uint64_t block = 0; block < types_.size(); ++block) {
    if (!is_memory_[block])
      continue;
    SnapshotPageblock& to = zone.pageblocks.emplace_back();
    to.start = Pfn{base_ + block * kBlockPages};
    to.type = types_[block];
    for (std::uint64_t at = block * kBlockPages; at < (block + 1) * kBlockPages; ++at)
      to.movable_pages += cells_[at] >= Cell::InactiveAnon ? 1 : 0;
  }
  return zone;
}

PageDumpZone ZoneLayout::dump_zone() const {
  const PageFlagBits& bits = page_flag_bits(generation_of(state_));
  PageDumpZone zone;
  zone.node = zone_.node;
  zone.type = zone_.type;
  for (std::uint64_t at = 0; at < cells_.size();) {
    std::uint64_t end = at + 1;
    while (end < cells_.size() && cells_[end] == cells_[at])
      ++end;
    PageRun run;
    run.start = Pfn{base_ + at};
    run.pages = PageCount{end - at};
    run.refcount = 1;
    run.mapcount = -1;
    const bool is_lru = cells_[at] >= Cell::InactiveAnon;
    run.flags = is_lru ? bits.lru : 0;
    switch (cells_[at]) {
      case Cell::Unknown:
      case Cell::Outside: run.kind = PageKind::Outside; break;
      case Cell::Free: run.kind = PageKind::Buddy; break;
      case Cell::Reserved: run.kind = PageKind::Reserved; break;
      case Cell::Pcp:
      case Cell::Kernel: run.kind = PageKind::Other; break;
      case Cell::Slab: run.kind = PageKind::Slab; break;
      case Cell::ActiveAnon: run.flags |= bits.active; [[fallthrough]];
      case Cell::InactiveAnon:
        run.kind = PageKind::Anonymous;
        run.flags |= bits.swap_backed;
        run.mapcount = 0;
        break;
      case Cell::ActiveFile: run.flags |= bits.active; [[fallthrough]];
      case Cell::InactiveFile: run.kind = PageKind::File; break;
      case Cell::DirtyFile:
        run.kind = PageKind::File;
        run.flags |= bits.dirty;
        break;
      case Cell::Unevictable:
        run.kind = PageKind::File;
        run.flags |= bits.unevictable;
        break;
    }
    zone.runs.push_back(run);
    at = end;
  }
  return zone;
}

/// Zones must not lie over one another, nor share a pageblock.
std::optional<Error> zones_that_clash(const ProcState& state) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const ProcZone& zone : state.zones)
    ranges.emplace_back(zone.start_pfn / kBlockPages,
                        (zone.start_pfn + static_cast<std::uint64_t>(zone.spanned) + kBlockPages - 1) / kBlockPages);
  std::ranges::sort(ranges);
  for (std::size_t i = 0; i + 1 < ranges.size(); ++i)
    if (ranges[i].second > ranges[i + 1].first)
      return Error{.file = state.where + "/zoneinfo",
                   .message = "two zones share memory or a pageblock",
                   .remedy = "take an exact snapshot of this machine instead"};
  if (!ranges.empty() && ranges.back().second - ranges.front().first > (std::uint64_t{1} << 22))
    return Error{.file = state.where + "/zoneinfo",
                 .message = "the machine's addresses span more than 8 TiB",
                 .remedy = "take an exact snapshot of it instead"};
  for (const ProcZone& zone : state.zones)
    if (zone.spanned < zone.present || zone.present < zone.managed)
      return Error{.file = state.where + "/zoneinfo",
                   .message = fmt::format("node {}, zone {}: spanned, present and managed do not descend",
                                          zone.node.raw(), zone_type_name(zone.type)),
                   .remedy = "give the files of /proc as the kernel printed them"};
  return std::nullopt;
}

}  // namespace

Expected<Moment> approximate_moment(const ProcState& state, std::uint64_t seed) {
  if (const auto clash = zones_that_clash(state))
    return *clash;
  Random random{seed};
  Moment moment;
  moment.generation = generation_of(state);
  Snapshot& snapshot = moment.snapshot;
  snapshot.label = state.where;
  snapshot.info.push_back({"max_nr_zones", std::to_string(state.zone_types)});
  const bool has_cma =
      std::ranges::any_of(state.zones, [](const ProcZone& zone) { return zone.pageblocks[raw(Migratetype::Cma)] > 0; });
  snapshot.info.push_back({"migrate_types", has_cma ? "6" : "5"});
  std::size_t cpus = 1;
  for (const ProcZone& zone : state.zones)
    cpus = std::max(cpus, zone.pagesets.size());
  for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
    const NodeId node{cpu * state.nodes.size() / cpus};
    snapshot.cpus.push_back({CpuId{cpu}, node, node});
  }
  moment.dump.label = state.where;
  for (const ProcNode& from : state.nodes) {
    SnapshotNode& node = snapshot.nodes.emplace_back();
    node.id = from.id;
    node.kswapd_highest_zone = static_cast<std::int32_t>(state.zone_types);
    const auto count = [&](std::string_view name) {
      const auto found = from.counters.find(name);
      return found == from.counters.end() ? std::int64_t{0} : found->second;
    };
    node.vm_stat.assign(22, 0);
    node.vm_stat[0] = count("nr_inactive_anon");
    node.vm_stat[1] = count("nr_active_anon");
    node.vm_stat[2] = count("nr_inactive_file");
    node.vm_stat[3] = count("nr_active_file");
    node.vm_stat[5] = count("nr_slab_reclaimable");
    node.vm_stat[18] = count("nr_mapped");
    node.vm_stat[20] = count("nr_dirty");
    node.vm_stat[21] = count("nr_writeback");
    for (const ProcNode& to : state.nodes)
      node.distances.emplace_back(to.id, to.id == from.id ? 10 : 20);
    const auto slab = static_cast<std::uint64_t>(
        std::max<std::int64_t>(count("nr_slab_reclaimable") + count("nr_slab_unreclaimable"), 0));
    std::uint64_t managed = 0;
    for (const ProcZone& zone : state.zones)
      managed += zone.node == from.id ? static_cast<std::uint64_t>(zone.managed) : 0;
    std::uint64_t reserve = 0;
    for (const ProcZone& zone : state.zones) {
      if (zone.node != from.id)
        continue;
      const ZoneIndex index{static_cast<std::size_t>(std::ranges::find(state.types, zone.type) - state.types.begin())};
      ZoneLayout layout{state, zone,
                        slab * static_cast<std::uint64_t>(zone.managed) / std::max<std::uint64_t>(managed, 1), random};
      layout.make();
      snapshot.zones.push_back(layout.snapshot_zone(index));
      moment.dump.zones.push_back(layout.dump_zone());
      const std::int64_t highest = zone.protection.empty() ? 0 : *std::ranges::max_element(zone.protection);
      reserve += static_cast<std::uint64_t>(std::min(highest + zone.high, zone.managed));
    }
    node.totalreserve = PageCount{reserve};
    node.min_unmapped = PageCount{managed / 100};
    node.min_slab = PageCount{managed / 20};
  }
  // Files of less than all nodes have zones of types that the first node does not name.
  for (const SnapshotZone& zone : snapshot.zones)
    if (zone.index.raw() >= state.types.size())
      return Error{.file = state.where + "/zoneinfo",
                   .message = fmt::format("zone {} is not one of node 0's", zone_type_name(zone.type)),
                   .remedy = "give the whole of zoneinfo"};
  return moment;
}

Expected<ApproximateOutlook> approximate_outlook(const ProcState& state, Order order, Gfp gfp, std::uint64_t most,
                                                 std::size_t layouts) {
  // Beside where pages lie, what no machine tells is drawn in each.
  const std::uint64_t draws = layouts == 1 ? kDraws : 3;
  std::vector<RequestOutlook> all;
  for (std::size_t seed = 1; seed <= layouts; ++seed) {
    const auto moment = approximate_moment(state, seed);
    if (!moment)
      return moment.error();
    const auto machine = populated_machine(*moment);
    if (!machine)
      return machine.error();
    all.push_back(request_outlook(*machine, order, gfp, most, draws, seed * 100));
  }
  ApproximateOutlook result;
  result.layouts = all.size();
  const auto merge = [&](std::uint64_t RequestOutlook::*number) {
    std::ranges::sort(all, {}, number);
    result.least.*number = all.front().*number;
    result.middle.*number = all[all.size() / 2].*number;
    result.most.*number = all.back().*number;
  };
  for (const auto number :
       {&RequestOutlook::now, &RequestOutlook::after_compaction, &RequestOutlook::moved_pages,
        &RequestOutlook::evicted_pages, &RequestOutlook::blocked_runs, &RequestOutlook::after_reclaim})
    merge(number);
  result.least.after_reclaim = std::ranges::min(all, {}, &RequestOutlook::least_after_reclaim).least_after_reclaim;
  result.most.after_reclaim = std::ranges::max(all, {}, &RequestOutlook::most_after_reclaim).most_after_reclaim;
  // Kinds are counts of the kernel's, the same in each layout.
  result.middle.obstacles = all[all.size() / 2].obstacles;
  return result;
}

}  // namespace mmbox::lab
