// Does an exact, recorded state refuse the request that a report is about?
//
// The engine is loaded with the snapshot and asked for the block; beside its answer stands what the report's own
// arithmetic (zone_walk) says of each zone, once of the printed numbers and once of the exact ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/snapshot/snapshot.h"

namespace mmbox::lab::explain {

/// What the exact state says of one zone, beside what the report said.
struct ZoneAgreement {
  std::string zone{};
  Check from_report = Check::CannotTell;
  Check from_state = Check::CannotTell;
  std::optional<std::int64_t> report_margin{};
  std::optional<std::int64_t> state_margin{};
  std::optional<std::int64_t> report_free{};
  std::optional<std::int64_t> state_free{};
};

struct RefusalAnswer {
  bool is_known = false;           ///< false: this state cannot be asked (no request, another machine)
  bool refuses = false;            ///< the engine gives no block, with nobody who reclaims or compacts for it
  std::optional<Pfn> served{};     ///< the block that it gives
  std::string engine{};            ///< the engine's generation
  std::string counters_pass_in{};  ///< zones that would serve by their counters; empty: none
  std::string reason{};            ///< one sentence
  std::vector<ZoneAgreement> zones{};
};

/// Asks for the request of `explanation` in the state of `snapshot`, by the rules of the snapshot's kernel.
[[nodiscard]] RefusalAnswer check_against(const Explanation& explanation, const Snapshot& snapshot);

/// How far a snapshot is from what a report printed: the sum of the differences of the zones' free pages. Of several
/// snapshots of a recording the nearest one is the report's. nullopt if they have no zone in common.
[[nodiscard]] std::optional<std::uint64_t> distance(const Explanation& explanation, const Snapshot& snapshot);

/// The answer as text, at most 100 columns, and as JSON.
[[nodiscard]] std::string to_text(const RefusalAnswer& answer);
[[nodiscard]] std::string to_json(const RefusalAnswer& answer);

}  // namespace mmbox::lab::explain
