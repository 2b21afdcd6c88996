// Replay of a trace at the level of requests: each mm_page_alloc and mm_page_free, with its CPU, drives the whole
// engine, which must name the recorded frame.
//
// What hangs on things outside the allocator is taken from the trace: when lists are drained and counters folded, what
// compaction isolates and captures, and whether the pages of a pageblock are movable when a steal is weighed. Each kind
// is named and counted in the report.
#pragma once

#include <string>

#include "mmbox/lab/replay/buddy.h"

namespace mmbox::lab {

/// Replays `trace` from the snapshot `label` of `log` (empty: its first); see replay_buddy for files and errors.
[[nodiscard]] Expected<ReplayReport> replay_top(const std::string& trace, const std::string& log,
                                                const std::string& label, const TraceReplayOptions& options);

}  // namespace mmbox::lab
