// Where the scanners of a zone are, and the distances from which they look ahead.
//
// One goes up through the pages in use, the other comes down through the free frames; where they meet, the run ends.
#pragma once

#include "mmbox/core/base/units.h"

namespace mmbox {

inline constexpr Order kPageblock{kPageblockOrder};

[[nodiscard]] constexpr Pfn pageblock_start(Pfn pfn) {
  return pfn.align_down(kPageblock);
}
/// The first frame of the next pageblock.
[[nodiscard]] constexpr Pfn pageblock_end(Pfn pfn) {
  return pageblock_start(pfn) + PageCount{kPageblockPages};
}
/// The frame `pages` below; the first frame of all if there are not as many.
[[nodiscard]] constexpr Pfn below(Pfn pfn, PageCount pages) {
  return pfn.raw() < pages.raw() ? Pfn{} : Pfn{pfn.raw() - pages.raw()};
}

struct ScanPositions {
  Pfn sources;  ///< the next page that may move up
  Pfn targets;  ///< the next frame that may be free
  [[nodiscard]] constexpr bool have_met() const { return pageblock_start(targets) <= pageblock_start(sources); }
  [[nodiscard]] constexpr PageCount apart() const { return sources < targets ? targets - sources : PageCount{}; }
};

/// Entries of the free lists that one search for sources looks at: half as many after each that was in vain.
/// Recorded: 34, 18, 10, one more each than the description has.
[[nodiscard]] constexpr unsigned source_search_limit(unsigned vain_searches) {
  return (vain_searches < 6 ? 32U >> vain_searches : 0U) + 2;
}
/// Entries of each list that a search for targets looks at, at first. Recorded wherever the scanner stood.
inline constexpr unsigned kTargetSearchLimit = kPageblockPages / 2;
/// Pageblocks with free blocks below this are worth emptying first: half of the way at the zone's start, then an
/// eighth.
[[nodiscard]] constexpr Pfn source_window_end(ScanPositions at, bool at_zone_start) {
  return pageblock_start(at.sources + PageCount{at.apart().raw() / (at_zone_start ? 2 : 8)});
}
/// Free blocks from `good` on are taken as they are found; the highest from `fair` on will do.
struct TargetWindow {
  Pfn good;
  Pfn fair;
};
[[nodiscard]] constexpr TargetWindow target_window(ScanPositions at) {
  const std::uint64_t pages = at.apart().raw();
  return {pageblock_start(below(at.targets, PageCount{pages / 4})),
          pageblock_start(below(at.targets, PageCount{pages / 2}))};
}
static_assert(source_search_limit(0) == 34 && source_search_limit(1) == 18 && source_search_limit(40) == 2);
static_assert(source_window_end({Pfn{0}, Pfn{0x4000}}, true) == Pfn{0x2000});
static_assert(source_window_end({Pfn{0x200}, Pfn{0x4200}}, false) == Pfn{0xa00});

/// How far apart the frames lie at which the free scanner looks: it hurries through what gives nothing.
class Stride {
 public:
  explicit constexpr Stride(bool hurried) : frames_(hurried ? kMost : 1) {}
  [[nodiscard]] constexpr unsigned frames() const { return frames_; }
  /// A pageblock was looked through.
  constexpr void after(bool found) { frames_ = found ? 1 : frames_ < kMost ? frames_ * 2 : kMost; }

 private:
  static constexpr unsigned kMost = 32;
  unsigned frames_;
};

}  // namespace mmbox
