// The grammar of single records of a failure report: one line of text in, fields of `FailureReport` out.
//
// Names are keys and unknown ones are skipped; a blank that a mailer put into a number, `4*5 12kB` or `28k B`, is
// mended.
#pragma once

#include <string_view>

#include "mmbox/lab/explain/failure_report.h"

namespace mmbox::lab::explain {

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
