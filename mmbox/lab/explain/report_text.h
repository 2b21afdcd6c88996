// The grammar of single records of a failure report: one line of text in, fields of `FailureReport` out.
//
// Names are keys and unknown ones are skipped; a blank that a mailer put into a number, `4*5 12kB` or `28k B`, is
// mended. Which report a record belongs to is `report_assembler`'s business.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mmbox/lab/explain/failure_report.h"

namespace mmbox::lab::explain {

/// What kind of record a line starts.
enum class RecordKind : std::uint8_t {
  Unknown,
  Ignored,  ///< known, nothing in it that an explanation needs
  AllocationHeader,
  OomHeader,
  VmallocHeader,
  CmaHeader,
  CmaPages,
  ShowMemory,
  CpusetLine,
  CpuLine,
  Workqueue,
  TraceEntry,
  MemInfo,
  GlobalStats,
  NodeLine,
  NodeFragment,  ///< `Node 0` alone: the zone follows on the next line
  ZoneLine,
  LowmemReserve,
  FreeArea,
  Tail,
  TaskRow,
  Memcg,
  OomSummary,
  KillLine,
};

/// A classified line. `text` starts at the record, after anything unknown that stood before it.
struct Record {
  RecordKind kind = RecordKind::Unknown;
  std::string_view text{};
  std::optional<std::uint32_t> node{};  ///< NodeLine, ZoneLine, FreeArea, NodeFragment
  std::string_view zone{};              ///< ZoneLine, FreeArea
};

[[nodiscard]] Record classify(std::string_view text);

/// True if `text` can be the rest of a record of this kind that was broken over lines after `before`.
[[nodiscard]] bool may_continue(RecordKind kind, std::string_view before, std::string_view text);

/// True if a break went through the words by which a header is known: "… page allocation" and "failure: order:4, …".
[[nodiscard]] bool is_header_broken_between(std::string_view before, std::string_view after);

/// True if a break went between the name of a node or zone and its numbers: "Node 0 DMA32" and "free:44672kB …".
[[nodiscard]] bool is_zone_broken_between(std::string_view before, std::string_view after);

/// Glues a broken record together: with a blank where a token ended, without one where a token was cut.
[[nodiscard]] bool needs_blank_between(RecordKind kind, std::string_view before, std::string_view after);

// Each fills what its record says and leaves the rest alone. Numbers beyond int64 are left out.
void parse_allocation_header(std::string_view text, FailureReport& report);
void parse_oom_header(std::string_view text, FailureReport& report);
void parse_vmalloc_header(std::string_view text, FailureReport& report);
void parse_cma_header(std::string_view text, FailureReport& report);
void parse_cma_pages(std::string_view text, FailureReport& report);
void parse_cpuset(std::string_view text, FailureReport& report);
void parse_cpu_line(std::string_view text, FailureReport& report);
void parse_trace_entry(std::string_view text, FailureReport& report);
void parse_global_stats(std::string_view text, FailureReport& report);
void parse_node_line(std::string_view text, NodeText& node);
void parse_zone_line(std::string_view text, ZoneText& zone);
void parse_lowmem_reserve(std::string_view text, ZoneText& zone);
void parse_free_area(std::string_view text, ZoneText& zone);
/// Returns false if the field that this line holds is set already.
bool parse_tail(std::string_view text, FailureReport& report);
void parse_task_row(std::string_view text, FailureReport& report);
void parse_memcg(std::string_view text, FailureReport& report);
void parse_oom_summary(std::string_view text, FailureReport& report);
void parse_kill_line(std::string_view text, FailureReport& report);

/// The comm of a CPU line, to match it with its header; empty if there is none.
[[nodiscard]] std::string_view comm_of_cpu_line(std::string_view text);

}  // namespace mmbox::lab::explain
