// A recording's script log: snapshots, page dumps and the operations of scripts with their results, in order.
//
// `LogReader` streams a file; it holds one item at a time, the largest of which is a snapshot or the line of one
// operation. gfp values are the recorded kernel's own bits (its release stands in the snapshots).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mmbox/core/base/units.h"
#include "mmbox/lab/error.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/snapshot/page_dump.h"
#include "mmbox/lab/snapshot/snapshot.h"

namespace mmbox::lab {

/// The block that an id of a script holds.
struct ScriptBlock {
  Pfn pfn;
  Order order{0};
  friend bool operator==(const ScriptBlock&, const ScriptBlock&) = default;
};

/// What a request of a script asks for. `node` -1 is the CPU's own (its nearest with memory).
struct ScriptRequest {
  Order order{0};
  std::uint32_t gfp = 0;
  std::int32_t node = -1;
  friend bool operator==(const ScriptRequest&, const ScriptRequest&) = default;
};

/// `a`: one request into `id`.
struct AllocOp {
  std::uint32_t id = 0;
  ScriptRequest request;
  std::optional<Pfn> result;  ///< nullopt: the request failed
};
/// `b`: the bulk API, order 0, into `id`.
struct BulkOp {
  std::uint32_t id = 0;
  std::uint32_t wanted = 0;
  ScriptRequest request;
  std::vector<Pfn> pages;  ///< got, in array order
};
/// `x`: requests into `first_id`, `first_id` + 1, … until one fails or `max` have succeeded.
struct ExhaustOp {
  std::uint32_t first_id = 0;
  ScriptRequest request;
  std::uint32_t max = 0;
  std::vector<Pfn> pages;  ///< first pfn of each block, in order
  /// After `pages` there was one request more, which failed. (The recorder also says so if an id was in use.)
  bool failed = false;
};
/// `a` or `b` with an id in use: no call was made.
struct BusyOp {
  std::uint32_t id = 0;
  bool is_bulk = false;
};
/// `f`: frees what `id` holds. A block that is split has to be freed by `u` or `d`.
struct FreeOp {
  std::uint32_t id = 0;
  std::optional<ScriptBlock> block;  ///< nullopt: EMPTY, no call was made
};
/// `f` of a bulk: its pages are freed one by one, in array order.
struct FreeBulkOp {
  std::uint32_t id = 0;
  std::uint32_t pages = 0;
};
/// `s`: split_page(). No list changes.
struct SplitOp {
  std::uint32_t id = 0;
  std::optional<ScriptBlock> block;  ///< nullopt: EMPTY, no call was made
};
/// `u`, `d`: frees the pages of a split block one by one.
struct FreePiecesOp {
  std::uint32_t id = 0;
  bool downwards = false;
  std::optional<ScriptBlock> block;  ///< nullopt: EMPTY, no call was made
};
/// `l`: drain_local_pages().
struct DrainLocalOp {};
/// `L`: drain_all_pages(). Not done with interrupts off.
struct DrainAllOp {
  bool refused = false;
};
/// One zone's part of `z`.
struct ZoneFreeCount {
  NodeId node;
  ZoneType type{};
  std::int64_t free_pages = 0;  ///< NR_FREE_PAGES without the deltas
  std::int64_t diff = 0;        ///< the CPUs' deltas together
  std::int64_t pcp_pages = 0;   ///< on per-cpu lists, all CPUs
  std::uint64_t boost = 0;
  std::uint64_t reserved_highatomic = 0;
  friend bool operator==(const ZoneFreeCount&, const ZoneFreeCount&) = default;
};
/// `z`: counters of every populated zone.
struct FreeCountsOp {
  std::vector<ZoneFreeCount> zones;
};

/// One operation of a script with its result.
///
/// `S LABEL` and `P LABEL` are operations too, but leave no line of their own: the snapshot or page dump stands in
/// the log at their place, and their number is left out.
struct Operation {
  std::uint32_t number = 0;  ///< its place in the script, from 0
  std::variant<AllocOp, FreeOp, BulkOp, FreeBulkOp, ExhaustOp, SplitOp, FreePiecesOp, DrainLocalOp, DrainAllOp,
               FreeCountsOp, BusyOp>
      call;
};

/// `RUN LABEL mode=… ops=N`.
struct RunBegin {
  std::string label;
  std::string mode;  ///< words joined by commas: irqoff, sleep, mark, pages, nosnap, zfree
  std::uint32_t operations = 0;
  [[nodiscard]] bool has_mode(std::string_view word) const;
};
/// `OPS LABEL cpu=N rt=N`: the operations begin.
struct OpsBegin {
  std::string label;
  CpuId cpu;
  bool realtime = false;
};
struct OpsEnd {
  std::string label;
};
/// `ENDRUN LABEL lost=N`. Lines were dropped if `lost` is not 0: the recording is not complete.
struct RunEnd {
  std::string label;
  std::uint64_t lost = 0;
};
/// `FREEALL N pages`: the recorder freed what all ids held.
struct FreeAll {
  std::uint64_t pages = 0;
};
/// `NOTE …`: whoever recorded wrote something down.
struct Note {
  std::string text;
};

/// FreeCountsOp outside of an operation follows each operation in mode zfree.
using LogItem =
    std::variant<Operation, Snapshot, PageDump, RunBegin, OpsBegin, OpsEnd, RunEnd, FreeCountsOp, FreeAll, Note>;

/// Takes a log line by line and gives an item whenever one is complete.
///
/// An Error (without file and line) ends it. Told are: lines of no known form, a block inside another, operations that
/// are missing or out of order (by their numbers and ops=), lists that are not as long as they say, a result that is
/// not aligned to its order, and at `finish` whatever has not ended.
class LogParser {
 public:
  [[nodiscard]] Expected<std::optional<LogItem>> feed(std::string_view line);
  /// To be called at the end of the input.
  [[nodiscard]] Expected<void> finish() const;
  /// Lines that the recorder dropped, as the last ENDRUN said.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  /// True while a snapshot or page dump is being taken.
  [[nodiscard]] bool inside_block() const { return snapshot_.has_value() || page_dump_.has_value(); }

 private:
  Expected<std::optional<LogItem>> operation(std::string_view line);
  Expected<std::optional<LogItem>> structure(std::string_view word, std::string_view rest);

  std::optional<SnapshotParser> snapshot_;
  std::optional<PageDumpParser> page_dump_;
  std::string run_;                // label of the run that has begun
  std::uint32_t operations_ = 0;   // of that run
  std::uint64_t next_number_ = 0;  // of an operation, if no S or P has come since the last
  std::uint64_t blocks_ = 0;       // snapshots and page dumps since the last operation
  bool in_run_ = false;
  bool in_operations_ = false;
  bool had_operations_ = false;
  bool any_ = false;
  std::uint64_t lost_ = 0;
};

/// Streams the items of a log from a file (plain or zstd), standard input or memory.
class LogReader {
 public:
  /// Opens `path`; "-" is standard input.
  static Expected<LogReader> open(const std::string& path);
  explicit LogReader(LineReader lines) : lines_(std::move(lines)) {}

  /// The next item; nullopt at the end of a complete log. No further call is legal after either that or an Error.
  [[nodiscard]] Expected<std::optional<LogItem>> next();
  /// The line on which the last item began, counted from 1.
  [[nodiscard]] std::uint64_t line() const { return line_; }
  /// Lines that the recorder dropped, as the last ENDRUN said; not 0 means that the log is not complete.
  [[nodiscard]] std::uint64_t lost() const { return parser_.lost(); }
  [[nodiscard]] const std::string& name() const { return lines_.name(); }
  [[nodiscard]] Progress progress() const { return lines_.progress(); }

 private:
  LineReader lines_;
  LogParser parser_;
  std::uint64_t line_ = 0;
};

/// What a log holds.
struct LogContents {
  struct Block {
    std::string label;
    std::uint64_t line = 0;  ///< where it begins, from 1
  };
  struct Run {
    RunBegin begin;
    std::uint64_t line = 0;
  };
  std::vector<Block> snapshots;  ///< in order; a label may come more than once
  std::vector<Block> page_dumps;
  std::vector<Run> runs;
  std::uint64_t lost = 0;  ///< lines that the recorder dropped
};

/// Reads a log to its end and tells what it holds.
[[nodiscard]] Expected<LogContents> list_log(const std::string& path);

/// The first snapshot of a log, or the first that is called `label`.
///
/// Reads no further than it must. A label that is not there gives an Error that names those that are.
[[nodiscard]] Expected<Snapshot> load_snapshot(const std::string& path, std::string_view label = {});
/// The same for page dumps.
[[nodiscard]] Expected<PageDump> load_page_dump(const std::string& path, std::string_view label = {});
/// The page dump called `label`; nullopt if the log, read to its end, has none. An Error is about the log itself.
[[nodiscard]] Expected<std::optional<PageDump>> find_page_dump(const std::string& path, std::string_view label);

}  // namespace mmbox::lab
