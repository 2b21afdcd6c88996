// Replay of recorded call sequences: the engine runs the same calls from the same state, and every frame, every refusal
// and every fact of the snapshots afterwards must be the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/core/base/generation.h"
#include "mmbox/lab/error.h"
#include "mmbox/lab/replay/report.h"

namespace mmbox::lab {

struct ScriptedOptions {
  std::string run{};                       ///< label of the only run to replay; empty: all
  std::optional<Generation> generation{};  ///< nullopt: the one that stands for the snapshot's release
};

/// Replays the script log `path`. An Error if it cannot be read, or holds no run of that label.
/// Runs that slept (interrupts on) are not determined by their calls; they are named in the report and left out.
[[nodiscard]] Expected<ReplayReport> replay_scripted(const std::string& path, const ScriptedOptions& options);

}  // namespace mmbox::lab
