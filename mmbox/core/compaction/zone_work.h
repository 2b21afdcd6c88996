// One run's hold on one zone: what both scanners read, and where they are.
#pragma once

#include "mmbox/core/compaction/plan.h"
#include "mmbox/core/compaction/zone_hands.h"
#include "mmbox/core/compaction/zone_memory.h"

namespace mmbox {

struct ZoneWork {
  const MachineView& machine;
  ZoneState& zone;
  CpuId cpu;
  PageMover& pages;
  const ZoneHands& hands;
  const CompactionPlan& plan;
  ZoneMemory memory{machine.env.map, zone};

  ScanPositions began{};  ///< where the run began
  ScanPositions at{};
  unsigned vain_searches = 0;  ///< of free lists in a row, by either scanner
  std::uint64_t sources_scanned = 0;
  std::uint64_t targets_scanned = 0;

  [[nodiscard]] const MemMap& map() const { return machine.env.map; }
  [[nodiscard]] FrameIndex index(Pfn pfn) const { return machine.env.map.index(pfn); }
  [[nodiscard]] Buddy buddy() const { return machine.buddy(zone, cpu); }
  /// The free list on which searches look for pageblocks that are partly free, or for free frames.
  [[nodiscard]] const FreeList& movable_blocks(unsigned order) const {
    return zone.lists[order][raw(Migratetype::Movable)];
  }
};

/// One range that a scanner went through, as its event tells it. `end` is set when it is known.
struct ScannedRange {
  Pfn start;
  Pfn end;
  std::uint64_t scanned = 0;
  std::uint64_t taken = 0;
};

}  // namespace mmbox
