// The snapshots of a log, found again as moments of the trace that ran beside it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/snapshot/script_log.h"
#include "mmbox/lab/trace/reader.h"

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

/// The machine of a recorded snapshot, under `generation`, or under the one that stands for its kernel's release.
///
/// Adds to `notes` how that kernel differs from the reference, once.
[[nodiscard]] Expected<Image> recorded_image(const Snapshot& snapshot, const std::optional<Generation>& generation,
                                             std::vector<std::string>& notes);

/// A trace and the log beside it, opened for a replay.
struct Recording {
  std::string trace;  ///< file
  Moments moments;
  Image image;  ///< the machine of the start snapshot
  std::unique_ptr<TraceReader> reader;

  /// See Moments::open() and recorded_image(). An Error if one of the files cannot be used.
  [[nodiscard]] static Expected<Recording> open(const std::string& trace, const std::string& log,
                                                const std::string& label, const std::optional<Generation>& generation,
                                                std::vector<std::string>& notes);
  [[nodiscard]] const Snapshot& start() const { return moments.start(); }
};

/// Goes through a recording from the moment of its start snapshot to the trace's end: each record goes to `on_record`,
/// each later snapshot of the log to `on_snapshot` when the trace comes to its moment.
///
/// `next` reads a record and says whether there was one. An Error if reading fails or the start never comes.
template <class Next, class OnRecord, class OnSnapshot>
Expected<void> follow(Next next, Recording& recording, OnRecord on_record, OnSnapshot on_snapshot) {
  bool started = false;
  while (true) {
    auto record = next();
    if (!record) {
      Error error = std::move(record).error();
      if (error.file.empty())
        error.file = recording.trace;
      return error;
    }
    if (*record == nullptr)
      break;
    const auto* marker = std::get_if<Marker>(&(*record)->event);
    if (marker == nullptr) {
      if (started)
        on_record(**record);
      continue;
    }
    const auto label = Moments::label_of(*marker);
    if (!label)
      continue;
    if (!started) {
      started = *label == recording.start().label;
      continue;
    }
    auto snapshot = recording.moments.find(*label);
    if (!snapshot)
      return snapshot.error();
    if (*snapshot)
      on_snapshot(**snapshot);
  }
  if (started)
    return {};
  return Error{.file = recording.trace,
               .message = "the trace never comes to the snapshot " + recording.start().label,
               .remedy = "give the log that was recorded with this trace, and a label whose moment it contains"};
}

}  // namespace mmbox::lab
