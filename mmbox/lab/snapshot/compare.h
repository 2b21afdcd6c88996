// Two snapshots, fact by fact: what differs, in words, and how much was compared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mmbox/lab/snapshot/snapshot.h"

namespace mmbox::lab {

/// Which facts are compared. By default all but the SNAP and ENDSNAP lines.
struct CompareOptions {
  bool header = false;                 ///< SNAP and ENDSNAP: label, cpu, clock, task, …
  bool layout = true;                  ///< SYM, CPUS, NODE, ND, ZL, ZONE, holes
  bool daemons = true;                 ///< NK: kswapd, kcompactd
  bool node_counters = true;           ///< NS
  bool watermarks = true;              ///< ZW, ZR
  bool compaction = true;              ///< ZC
  bool zone_counters = true;           ///< ZS
  bool cpu_counters = true;            ///< ZSD
  bool pcp = true;                     ///< PCP and PL
  bool cached_types = true;            ///< of the pages on PL
  bool free_lists = true;              ///< FL, FA
  bool pageblock_types = true;         ///< PB: migratetype
  bool pageblock_skip = true;          ///< PB: skip
  bool pageblock_counts = true;        ///< PB: pages free, movable, reserved, of another zone
  std::size_t differences_max = 1000;  ///< kept as text; the others are counted only

  /// Free lists and pageblock types only: what a replay of buddy-level events decides.
  [[nodiscard]] static CompareOptions buddy() {
    CompareOptions options = allocator();
    options.watermarks = options.zone_counters = options.cpu_counters = options.pcp = false;
    return options;
  }
  /// What the page allocator alone decides: lists, types, counters, watermarks and per-cpu state; nothing of reclaim,
  /// compaction, or of what the pages are used for.
  [[nodiscard]] static CompareOptions allocator() {
    CompareOptions options;
    options.layout = options.daemons = options.node_counters = options.compaction = false;
    options.pageblock_skip = options.pageblock_counts = false;
    return options;
  }
};

/// One fact that is not the same. A list gives one difference, at its first unequal position.
struct Difference {
  std::string where;     ///< "Node 0, zone Normal: free list of order 3, Movable, position 2 of 17"
  std::string expected;  ///< a number, a name, or "nothing"
  std::string actual;
  std::string note;  ///< of a list: how the rest of it differs
  /// One line: "WHERE: expected EXPECTED, got ACTUAL (NOTE)".
  [[nodiscard]] std::string text() const;
};

/// The outcome of a comparison.
struct Comparison {
  std::vector<Difference> differences;  ///< in the order of the snapshot's lines, at most `differences_max`
  std::uint64_t found = 0;              ///< all differences
  std::uint64_t lists = 0;              ///< free lists, per-cpu lists and zonelists compared
  std::uint64_t entries = 0;            ///< places of those lists
  std::uint64_t counters = 0;           ///< single facts compared: counters, settings, pageblock types
  [[nodiscard]] bool equal() const { return found == 0; }
};

/// Compares `actual` with `expected`. Zones, nodes and CPUs are matched by their numbers.
[[nodiscard]] Comparison compare(const Snapshot& expected, const Snapshot& actual, const CompareOptions& options = {});

}  // namespace mmbox::lab
