// Finds failure reports in the bytes of a log of any length.
//
// While no report is open, only anchor words are searched for, in raw bytes; lines are cut out and read from there on.
// Memory is bounded by the look-back, the longest line that is read whole, and the open reports.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmbox/lab/explain/report_assembler.h"

namespace mmbox::lab::explain {

/// Searches for any of the anchor words at once.
/// Source: Wu and Manber, "A fast algorithm for multi-pattern searching", 1994, with blocks of two bytes.
class AnchorSearch {
 public:
  AnchorSearch();

  struct Hit {
    std::size_t at = std::string_view::npos;
    bool wants_look_back = false;  ///< what stands before may belong to the report
  };
  /// The first anchor that begins in `text` at `from` or later.
  [[nodiscard]] Hit find(std::string_view text, std::size_t from) const;
  /// Bytes at the end of a text in which a cut anchor may begin.
  static constexpr std::size_t kLongest = 15;

 private:
  static constexpr std::size_t kShortest = 9;
  std::array<std::uint8_t, 65536> shift_{};
};

class LogScanner {
 public:
  /// `sink` outlives the scanner.
  explicit LogScanner(ReportSink& sink) : assembler_(sink) {}

  /// Takes the next bytes of the log.
  void feed(std::string_view bytes);
  /// Ends the log.
  void finish();

  /// Lines seen so far, the last one included if it does not end with a newline.
  [[nodiscard]] std::uint64_t lines() const { return newlines_; }

 private:
  // Long enough for the stack dump before a "Mem-Info:" whose header is lost.
  static constexpr std::size_t kLookBack = 16384;
  // What stands before the words of a header: prefixes and the task's name.
  static constexpr std::size_t kLongestLead = 256;
  // rsyslog escapes a whole block into one line; none is longer than this. More of a line is skipped.
  static constexpr std::size_t kLineMax = 262144;
  enum class End : std::uint8_t { Open, Final };

  void scan(End end);
  [[nodiscard]] std::size_t line_begin(std::size_t at) const;
  bool read_line(End end);
  void take_line(std::string_view line);
  void take_clean_line(std::string_view line);

  AnchorSearch anchors_{};
  ReportAssembler assembler_;
  std::string buffer_{};
  std::size_t position_ = 0;     ///< next byte to look at
  std::size_t lines_begin_ = 0;  ///< bytes before this were read as lines, or cannot be any more
  std::size_t read_until_ = 0;   ///< lines up to here are read, whatever the assembler says
  std::size_t counted_ = 0;      ///< newlines before this are counted
  std::uint64_t newlines_ = 0;
  bool skip_to_newline_ = false;
  bool is_quoted_printable_ = false;
  std::string soft_broken_{};  ///< the part of a quoted-printable line before `=` and its newline
};

}  // namespace mmbox::lab::explain
