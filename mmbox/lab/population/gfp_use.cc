#include "mmbox/lab/population/gfp_use.h"

#include <algorithm>
#include <array>

namespace mmbox::lab {
namespace {

/// A mask has all of `all` and none of `none`, at an order from `least` to `most`.
struct Row {
  Gfp all;
  Gfp none;
  unsigned least;
  unsigned most;
  GfpUse use;
};

constexpr unsigned kAny = kMaxPageOrder;
/// Above it requests are costly (PAGE_ALLOC_COSTLY_ORDER), and slab does not ask.
constexpr unsigned kSlabMost = 3;

/// The first row that fits counts; the last fits all. "Seen": in the page dump after a recorded trace (5.10 to 7.2)
/// pages of the mask were of that use, all but those that docs/fidelity.md names.
constexpr std::array kRows{
    // Pages on LRU lists and slab are single or compound. Seen.
    Row{{}, gfp::kComp, 1, kAny, {.what = "kernel memory"}},
    // Caches that shrink ask so, nobody else does. Seen.
    Row{gfp::kReclaimable, {}, 0, kSlabMost, {.what = "slab that shrinks", .use = PageUse::Slab}},

    // Only a process's new memory is both zeroed and movable; a cache is filled from a file. Seen.
    Row{gfp::kMovable | gfp::kZero,
        {},
        0,
        kAny,
        {.what = "anonymous memory", .use = PageUse::Anonymous, .is_swap_backed = true, .is_mapped = true}},
    // GFP_TRANSHUGE and its light form, which clear the page themselves.
    Row{gfp::kMovable | gfp::kNoMemalloc | gfp::kComp,
        {},
        1,
        kAny,
        {.what = "huge anonymous memory", .use = PageUse::Anonymous, .is_swap_backed = true, .is_mapped = true}},
    // The recorded mask of nr_hugepages, whose pages are on no LRU list: compaction and reclaim pass them by.
    Row{gfp::kMovable | gfp::kRetryMayfail | gfp::kComp, {}, kSlabMost + 1, kAny, {.what = "pool of huge pages"}},
    // A write to a file that goes to a disk.
    Row{gfp::kMovable | gfp::kWrite,
        {},
        0,
        kAny,
        {.what = "page cache, written", .use = PageUse::File, .is_dirty = true}},
    // Readahead may fail and says nothing. Seen.
    Row{gfp::kMovable | gfp::kNoRetry | gfp::kNoWarn,
        {},
        0,
        kAny,
        {.what = "page cache, read ahead", .use = PageUse::File}},
    // Two kinds: tmpfs, or a private page copied on write. Both are on the anonymous lists and go to swap. Seen: nearly
    // all are tmpfs.
    Row{gfp::kMovable | gfp::kHighMem | gfp::kFs | gfp::kIo | gfp::kDirectReclaim,
        gfp::kNoFail,
        0,
        kAny,
        {.what = "shared memory or a copy on write", .use = PageUse::File, .is_swap_backed = true}},
    // Who cannot wait fills no cache: compressed swap, balloons.
    Row{gfp::kMovable, gfp::kDirectReclaim, 0, 0, {.what = "memory that its driver moves", .use = PageUse::Driver}},
    // A file system's own reads (no __GFP_FS) and the cache of a block device (__GFP_NOFAIL). Seen.
    Row{gfp::kMovable, {}, 0, kAny, {.what = "page cache", .use = PageUse::File}},

    // Slab's first try for a cache, at the order it likes best. Seen.
    Row{gfp::kNoRetry | gfp::kNoWarn, gfp::kHighMem | gfp::kZero, 0, kSlabMost, {.what = "slab", .use = PageUse::Slab}},
    // A single page that is compound is a folio (5.16 on); those that nobody zeroes are a block device's cache. Seen.
    Row{gfp::kComp,
        gfp::kZero | gfp::kHighMem | gfp::kAccount,
        0,
        0,
        {.what = "block device's cache", .use = PageUse::File}},
    // The same before folios.
    Row{gfp::kNoFail | gfp::kHardwall, {}, 0, 0, {.what = "block device's cache", .use = PageUse::File}},

    // From here on pages stay, whatever they are. GFP_TRANSHUGE without __GFP_MOVABLE. Seen.
    Row{gfp::kHighMem | gfp::kZero | gfp::kComp | gfp::kNoMemalloc, {}, 1, kAny, {.what = "the huge zero page"}},
    Row{gfp::kZero | gfp::kAccount, {}, 0, 1, {.what = "page tables"}},
    Row{gfp::kHighMem, {}, 0, kAny, {.what = "kernel memory for a process"}},
    Row{{}, {}, 0, kAny, {.what = "kernel memory"}},
};

}  // namespace

const GfpUse& use_of(Gfp gfp, Order order) {
  const auto row = std::ranges::find_if(kRows, [&](const Row& each) {
    return gfp.has_all(each.all) && !gfp.has(each.none) && order.raw() >= each.least && order.raw() <= each.most;
  });
  return row == kRows.end() ? kRows.back().use : row->use;
}

PopulationPage page_of(const GfpUse& use, Gfp gfp, Order order) {
  PopulationPage page;
  page.use = use.use;
  page.order = static_cast<std::uint8_t>(order.raw());
  page.is_compound = gfp.has(gfp::kComp) && order > Order{0};
  page.is_swap_backed = use.is_swap_backed;
  page.is_mapped = use.is_mapped;
  page.is_dirty = use.is_dirty;
  return page;
}

}  // namespace mmbox::lab
