// What could be had of a recorded machine: after compaction, after reclaim, and what stands in the way.
//
// From an exact snapshot and the page dump beside it. Every answer comes from the engine at work on a copy.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/population/population.h"
#include "mmbox/lab/snapshot/snapshot.h"

namespace mmbox::lab {

/// A recorded moment with everything in it.
struct Moment {
  Snapshot snapshot;
  PageDump dump;
  Generation generation = kLinux61;
};
/// The snapshot and the page dump that a log has under `label` (empty: its first snapshot).
/// An Error if it has no page dump of that moment.
[[nodiscard]] Expected<Moment> load_moment(const std::string& log, const std::string& label);

/// Free blocks by order.
using BlocksByOrder = std::array<std::uint64_t, kOrders>;

/// What compacting all memory on demand does.
struct CompactionOutlook {
  struct Zone {
    std::string name;  ///< "Node 0, zone Normal"
    BlocksByOrder before{};
    BlocksByOrder after{};  ///< with all per-cpu lists drained
  };
  std::vector<Zone> zones;  ///< populated ones
  std::uint64_t moved_pages = 0;
  std::uint64_t failed_pages = 0;
  std::uint64_t migrate_scanned = 0;
  std::uint64_t free_scanned = 0;
};
[[nodiscard]] Expected<CompactionOutlook> compaction_outlook(const Moment& moment);

/// How many blocks requests of one kind could get, one after the other until the first is refused.
struct RequestOutlook {
  std::uint64_t now = 0;               ///< from the free lists alone
  std::uint64_t after_compaction = 0;  ///< moving pages if need be
  std::uint64_t after_reclaim = 0;     ///< and evicting some
  std::uint64_t moved_pages = 0;       ///< for after_reclaim
  std::uint64_t evicted_pages = 0;
  /// Aligned runs of the size that hold pages which neither move nor can be evicted, and those pages, by what they are.
  std::uint64_t blocked_runs = 0;
  std::map<PageUse, std::uint64_t> obstacles;
};
/// `most`: no more blocks than this are asked for. Checks: order ≤ kMaxPageOrder.
[[nodiscard]] Expected<RequestOutlook> request_outlook(const Moment& moment, Order order, Gfp gfp, std::uint64_t most);

}  // namespace mmbox::lab
