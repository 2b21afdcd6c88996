// What compaction remembers of a zone from one run to the next: where the scanners stopped, and which pageblocks are
// not worth a visit (07 §6, §8).
#pragma once

#include "mmbox/core/alloc/hosts.h"
#include "mmbox/core/buddy/buddy.h"
#include "mmbox/core/compaction/positions.h"

namespace mmbox {

/// A handle on one zone's memory of earlier runs; the state lies in the machine's bytes.
class ZoneMemory {
 public:
  ZoneMemory(const MemMap& map, ZoneState& zone) : map_(map), zone_(zone) {}

  [[nodiscard]] Pfn begin() const { return zone_.start; }
  [[nodiscard]] Pfn end() const { return zone_.start + PageCount{static_cast<std::uint64_t>(zone_.spanned)}; }
  [[nodiscard]] Pfn last_pageblock() const { return pageblock_start(below(end(), PageCount{1})); }
  /// True if the pageblock of `pfn` is the zone's to its last frame; only such pageblocks are scanned.
  [[nodiscard]] bool owns_pageblock(Pfn pfn) const;
  [[nodiscard]] Pageblock& pageblock(Pfn pfn) const { return map_.pageblock(map_.index(pfn)); }

  // ---- positions

  /// Where a run that does not take the whole zone goes on. Positions outside the zone are forgotten first.
  [[nodiscard]] ScanPositions resume(MoveMode mode);
  /// Where a run over the whole zone begins.
  [[nodiscard]] ScanPositions whole_zone() const { return {begin(), last_pageblock()}; }
  /// True if a run that begins at `sources` covers what was not looked at since the hints were reset.
  [[nodiscard]] bool covers_everything_new(Pfn sources) const { return sources <= zone_.compaction.init_migrate; }
  /// True if both kinds of runs would begin at the same page.
  [[nodiscard]] bool modes_agree() const;
  /// Synchronous runs begin where asynchronous ones do, too.
  void let_modes_agree() { zone_.compaction.cached_migrate[1] = zone_.compaction.cached_migrate[0]; }
  /// The next runs begin at the ends of the zone again.
  void forget_positions();
  /// The pageblock of `pfn` need not be looked at for pages again: runs of this mode begin after it.
  void sources_done(Pfn pfn, MoveMode mode);
  /// There is nothing to be found from this pageblock upward.
  void targets_done(Pfn pageblock);
  /// Free frames up to this pageblock were given back.
  void targets_returned(Pfn pageblock);

  // ---- hints

  [[nodiscard]] bool is_skipped(Pfn pfn) const { return pageblock(pfn).skip; }
  void skip(Pfn pfn) { pageblock(pfn).skip = true; }
  /// If a whole round went by, takes back the hints of pageblocks in which a sample finds something, and lets the
  /// scanners begin at the outermost of these.
  void reset_hints(PageMover& pages);

 private:
  enum class Wanted : std::uint8_t { Sources, Targets, Either };
  /// Is this pageblock worth a visit, by every eighth of its frames? Takes back its hint if it is.
  [[nodiscard]] bool sample(Pfn pfn, Wanted wanted, PageMover& pages);

  const MemMap& map_;
  ZoneState& zone_;
};

}  // namespace mmbox
