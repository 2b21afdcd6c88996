// Recorded compactions, run again by the engine from the recorded state, and compared step by step.
//
// It rides on the replay of requests: that keeps the free lists, per-cpu lists and counters as they were. What the
// pages in use are comes from a page dump and is followed through the trace; whether a page could be moved at that
// moment is the recording's word.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/population/population.h"
#include "mmbox/lab/population/trace_population.h"
#include "mmbox/lab/replay/report.h"
#include "mmbox/lab/trace/record.h"

namespace mmbox::lab {

/// What was compared.
struct CompactionReport {
  Tally attempts;   ///< direct compactions and turns of kcompactd: all zones' results equal
  Tally results;    ///< one zone in one attempt
  Tally steps;      ///< what the scanners and the main loop said, line by line until the first difference
  Tally moves;      ///< pages moved: from the same frame to the same frame
  Tally positions;  ///< where the scanners of a run began
  Tally whole;      ///< attempts of which every line is equal
  std::vector<std::string> differences;  ///< of the first attempts that differ: where, expected, actual
};

/// Follows one trace. Call `record` for each event, with the state before it takes effect.
class CompactionCheck {
 public:
  /// `dump` was taken at the snapshot that `image` was made from.
  CompactionCheck(const Image& image, const PageDump& dump);
  ~CompactionCheck();
  CompactionCheck(const CompactionCheck&) = delete;
  CompactionCheck& operator=(const CompactionCheck&) = delete;

  void record(const TraceRecord& record, Image& engine);
  [[nodiscard]] CompactionReport take() { return std::move(report_); }

 private:
  struct Attempt;
  void begin(const TraceRecord& record, const Image& engine);
  void finish(std::int32_t pid);
  void take_over(std::size_t zone, const MmCompactionDeferred& told);
  void compare(Attempt& attempt, const std::vector<std::string>& actual);

  Population pages_;
  TracePopulation trace_;
  std::map<std::int32_t, std::unique_ptr<Attempt>> attempts_;  // by pid
  std::map<std::size_t, CompactionState> states_;              // by zone, what compaction remembers of it
  CompactionReport report_;
};

}  // namespace mmbox::lab
