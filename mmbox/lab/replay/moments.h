// The snapshots of a log, found again as moments of the trace that ran beside it.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "mmbox/lab/snapshot/script_log.h"
#include "mmbox/lab/trace/record.h"

namespace mmbox::lab {

/// Hands out a log's snapshots one after the other: the first when opened, each later one when the trace names it.
class Moments {
 public:
  /// Reads the log up to the snapshot `label`, or to its first snapshot.
  static Expected<Moments> open(const std::string& log, const std::string& label);

  [[nodiscard]] const Snapshot& start() const { return start_; }
  /// The label of a "snapshot-begin" marker.
  [[nodiscard]] static std::optional<std::string_view> label_of(const Marker& marker);
  /// The snapshot of that label, if one of the later snapshots has it. Snapshots in between are passed over.
  [[nodiscard]] Expected<std::optional<Snapshot>> find(std::string_view label);

 private:
  Moments(LogReader reader, Snapshot start) : reader_(std::move(reader)), start_(std::move(start)) {}
  LogReader reader_;
  Snapshot start_;
  std::deque<Snapshot> ahead_;  // read while looking for another one
  bool ended_ = false;
};

}  // namespace mmbox::lab
