// One run of compaction over one zone, from its two ends until there is a reason to stop (07 §6, §7).
#pragma once

#include "mmbox/core/compaction/frames.h"
#include "mmbox/core/compaction/source_scanner.h"
#include "mmbox/core/compaction/target_scanner.h"

namespace mmbox {

/// How one zone's run ended.
struct ZoneCompacted {
  CompactResult result = CompactResult::Skipped;
  std::optional<Pfn> captured{};
  std::uint64_t sources_scanned = 0;  ///< frames
  std::uint64_t targets_scanned = 0;
};

/// Compacts one zone as `plan` says.
///
/// Skipped or Success at once if the zone is not suitable or has such a block. Per-cpu lists of other CPUs stay as they
/// are. Events: MmCompactionSuitable; unless that ended it, MmCompactionBegin and MmCompactionEnd around everything
/// else.
[[nodiscard]] ZoneCompacted compact_zone(const MachineView& machine, ZoneState& zone, CpuId cpu, PageMover& pages,
                                         const ZoneHands& hands, const CompactionPlan& plan);

/// How much of a zone's free memory, in percent, is in blocks too small for a huge page.
[[nodiscard]] unsigned zone_fragmentation_score(const ZoneState& zone);

}  // namespace mmbox
