// Does an exact, recorded state refuse the request that a report is about?
//
// `RefusalOracle` is the question. `CounterOracle` answers it from the snapshot's counters and lists with the tests of
// `zone_walk`; an engine that is loaded with the snapshot and asked for the block answers it too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"
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
  bool is_known = false;  ///< false: this state cannot be asked (no request, another machine)
  bool refuses = false;   ///< no zone of the state would serve the request
  std::string reason{};   ///< one sentence
  std::vector<ZoneAgreement> zones{};
};

class RefusalOracle {
 public:
  virtual ~RefusalOracle() = default;
  /// Asks for the request of `explanation` in the oracle's state.
  [[nodiscard]] virtual RefusalAnswer ask(const Explanation& explanation) const = 0;
};

/// Answers from the exact counters and free lists of a snapshot.
class CounterOracle final : public RefusalOracle {
 public:
  /// `snapshot` outlives the oracle.
  explicit CounterOracle(const Snapshot& snapshot) : snapshot_(&snapshot) {}
  [[nodiscard]] RefusalAnswer ask(const Explanation& explanation) const override;

 private:
  const Snapshot* snapshot_;
};

/// How far a snapshot is from what a report printed: the sum of the differences of the zones' free pages. Of several
/// snapshots of a recording the nearest one is the report's. nullopt if they have no zone in common.
[[nodiscard]] std::optional<std::uint64_t> distance(const Explanation& explanation, const Snapshot& snapshot);

/// The answer as text, at most 100 columns, and as JSON.
[[nodiscard]] std::string to_text(const RefusalAnswer& answer);
[[nodiscard]] std::string to_json(const RefusalAnswer& answer);

}  // namespace mmbox::lab::explain
