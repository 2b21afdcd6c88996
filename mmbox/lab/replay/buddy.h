// Replay of a trace at the level of the free lists: what leaves them, what enters them and what moves drives the buddy;
// each block that the kernel took must be the one that the rules take, and each later snapshot's lists the same, in
// order.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "mmbox/core/base/generation.h"
#include "mmbox/lab/error.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/replay/report.h"
#include "mmbox/lab/snapshot/snapshot.h"
#include "mmbox/lab/trace/record.h"

namespace mmbox::lab {

struct TraceReplayOptions {
  std::optional<Generation> generation{};  ///< nullopt: the one that stands for the snapshot's release
  /// Called now and then with how far the trace is read.
  std::function<void(Progress)> progress;
  /// Replay of requests only: shown every event, with the engine as it is before the event takes effect.
  std::function<void(const TraceRecord&, Image&)> observer{};
  /// Replay of requests only: called when the trace comes to the moment of a snapshot, that of the start included, and
  /// at its end (nullptr).
  std::function<void(const Snapshot*, Image&)> at_moment{};
};

/// Replays `trace` from the snapshot `label` of the log `log` (empty: its first). Snapshots of the log that the trace
/// names later are compared as they come by.
///
/// An Error if a file cannot be read, or the trace never comes to the moment of the snapshot.
[[nodiscard]] Expected<ReplayReport> replay_buddy(const std::string& trace, const std::string& log,
                                                  const std::string& label, const TraceReplayOptions& options);

}  // namespace mmbox::lab
