// A refused request, reported as the kernel reports it: the "page allocation failure" line and the Mem-Info block.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// What the report says beside the machine's own numbers.
struct FailureReportOptions {
  std::string_view command = "mmbox";          ///< the task's name
  std::string_view cpuset = "/";               ///< its cpuset
  std::span<const HugePagePool> huge_pages{};  ///< in the order of the lines; empty: two empty pools for each node
  std::uint64_t free_swap_kbytes = 0;
  std::uint64_t total_swap_kbytes = 0;
};

/// Does a request report its failure at all? Not with __GFP_NOWARN, nor for DMA on a machine without such memory.
/// The kernel also holds back what comes sooner than 10 s after the last; that is the caller's.
[[nodiscard]] bool reports_failure(const Machine& machine, const Request& request);

/// The report that the kernel of `format` prints when `request` fails on `machine` as it is now.
///
/// Without the lines that say who asked (CPU, hardware, call trace). `host` may be nullptr: its counters are 0.
[[nodiscard]] std::string failure_report(const Machine& machine, const Request& request, const ProcFormat& format,
                                         HostCounters* host, const FailureReportOptions& options = {});

}  // namespace mmbox::lab
