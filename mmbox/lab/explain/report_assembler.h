// Puts the lines of failure reports together, several reports at a time, each line to the report it belongs to.
//
// A report is assembled by the grammar of its records, not by position: lines may be missing, foreign lines may stand
// in between, a record may be broken over lines, and two CPUs may print at once. Memory is bounded: at most
// `kMaxOpenReports` reports of bounded size are held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "mmbox/lab/explain/failure_report.h"
#include "mmbox/lab/explain/line_prefix.h"
#include "mmbox/lab/explain/record.h"

namespace mmbox::lab::explain {

/// Takes finished reports, in the order in which they began.
class ReportSink {
 public:
  virtual ~ReportSink() = default;
  virtual void take(FailureReport&& report) = 0;
};

class ReportAssembler {
 public:
  /// Reports that are assembled at the same time; more than CPUs print at once in practice.
  static constexpr std::size_t kMaxOpenReports = 16;

  /// `sink` outlives the assembler.
  explicit ReportAssembler(ReportSink& sink) : sink_(&sink) {}

  /// Takes the next line. `number` counts from 1 and never falls.
  void add_line(const StrippedLine& line, std::uint64_t number);
  /// Ends all reports that are still open.
  void finish();
  /// True if no line can matter before the next anchor word.
  [[nodiscard]] bool is_idle() const { return open_.empty(); }

 private:
  struct Open {
    FailureReport report{};
    std::uint64_t touched = 0;  ///< line of the last record taken
    std::uint64_t writer = 0;   ///< who prints it; 0: not known
    bool has_cpu_line = false;
    bool has_tail = false;
    bool closed = false;
    // The record that the next line may continue.
    RecordKind last_kind = RecordKind::Unknown;
    std::string last_text{};
    bool last_ended_in_blank = false;
    std::size_t last_index = 0;        ///< of its zone or node
    std::size_t reserve_zone = kNone;  ///< the zone whose lowmem_reserve line is due
  };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  template <class Accepts>
  Open* choose(const StrippedLine& line, Accepts accepts);
  template <class Accepts>
  Open* choose_body(const StrippedLine& line, Accepts accepts);
  Open& start(const StrippedLine& line, std::uint64_t number);
  void touch(Open& open, const Record& record, const StrippedLine& line, std::uint64_t number);
  bool continue_record(const StrippedLine& line, std::uint64_t number);
  void remember(const StrippedLine& line, std::uint64_t number);
  bool join_lines(const StrippedLine& line, std::uint64_t number);
  void reparse(Open& open);
  void apply(const Record& record, const StrippedLine& line, std::uint64_t number);
  void apply_header(const Record& record, const StrippedLine& line, std::uint64_t number);
  void apply_zone(const Record& record, const StrippedLine& line, std::uint64_t number);
  void apply_free_area(const Record& record, const StrippedLine& line, std::uint64_t number);
  void close_stale(std::uint64_t number);
  void emit_closed();

  ReportSink* sink_;
  std::deque<Open> open_{};
  std::string before_{};             ///< the last line that is no record
  std::uint64_t before_line_ = 0;    ///< its number
  std::uint64_t fragment_line_ = 0;  ///< line of a lone "Node 0"
  std::uint32_t fragment_node_ = 0;
  bool switched_ = false;            ///< the last two records went to different reports
  const Open* last_open_ = nullptr;  ///< touched last; compared, never followed
};

}  // namespace mmbox::lab::explain
