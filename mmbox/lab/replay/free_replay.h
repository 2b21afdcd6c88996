// The same demand under two generations: a recording's requests run on two engines side by side, neither of which is
// put back on the recorded path. Recorded frame numbers are only names of allocations.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/core/base/generation.h"
#include "mmbox/lab/error.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/replay/report.h"

namespace mmbox::lab {

struct FreeReplayOptions {
  std::string run;                 ///< of a script log: label of the only run; empty: the first that can be replayed
  std::optional<Generation> left;  ///< nullopt: the one that stands for the snapshot's release
  Generation right = kLinux61;
  /// Called now and then with how far a trace is read.
  std::function<void(Progress)> progress{};
};

/// What became of the demand under one generation.
struct FreeOutcome {
  std::string generation;
  std::uint64_t requests = 0;  ///< calls for a block; a bulk call counts once for each page
  std::uint64_t refusals = 0;
  std::map<unsigned, std::uint64_t> refusals_by_order;
  /// Free blocks at the end, of all zones. Shape: [order][migratetype].
  std::array<std::array<std::uint64_t, kMigratetypes>, kOrders> free_blocks{};
  std::uint64_t free_pages = 0;
  std::uint64_t pcp_pages = 0;
  /// Pageblocks at the end by type, and those of them that hold blocks allocated for another type.
  std::array<std::uint64_t, kMigratetypes> pageblocks{};
  std::uint64_t mixed_pageblocks = 0;
  std::uint64_t mixed_pageblocks_most = 0;  ///< where they were counted: at snapshots, in traces now and then
  std::uint64_t fallbacks = 0;              ///< requests served from another type's blocks
  std::uint64_t claims = 0;                 ///< of those, the ones that took the pageblock over
  std::uint64_t highatomic_pages = 0;
};

/// Two outcomes of one demand.
struct FreeReplayReport {
  std::string source;
  std::string run;  ///< empty for a trace
  FreeOutcome left;
  FreeOutcome right;
  std::uint64_t same_frames = 0;  ///< requests that both answered alike
  /// The first request that they answered otherwise: `expected` is the left one's answer, `context` the steps of both.
  std::optional<Divergence> first_difference;
  std::vector<std::string> notes;
};

/// Replays one run of the script log `path` under both generations, from the recorded state.
///
/// The state is taken as it is; what only one of them knows of (a mark, the bounds of a per-cpu list) is set as that
/// kernel would set it at boot. An Error if the log cannot be read or holds no such run.
[[nodiscard]] Expected<FreeReplayReport> free_replay_script(const std::string& path, const FreeReplayOptions& options);

/// The same for the requests and frees of `trace`, from the snapshot `label` of `log` (empty: its first).
///
/// What reclaim freed, what compaction took, and when lists were drained and counters folded is part of the demand: it
/// happens on both sides when it was recorded. A request that had to wait for reclaim is asked again at that point, at
/// the mark of the slow path; it is refused if that fails. Pages of movable requests count as movable while they are in
/// use; of those in use at the start, the share that the snapshot tells of their pageblock.
/// An Error as from replay_top().
[[nodiscard]] Expected<FreeReplayReport> free_replay_trace(const std::string& trace, const std::string& log,
                                                           const std::string& label, const FreeReplayOptions& options);

}  // namespace mmbox::lab
