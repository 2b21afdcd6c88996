// One zone of a report against one request: the tests of the zone walk, with all intermediate numbers.
#pragma once

#include <cstdint>

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"

namespace mmbox::lab::explain {

/// Which marks are compared, and with which flags.
struct TestPlan {
  bool tests_min = true;    ///< the slow path's first attempt
  bool tests_high = false;  ///< the last try before the OOM killer: HIGH mark, no rights
};

/// What may be imagined away, to ask what would have passed.
struct WhatIf {
  bool without_reserve = false;
  bool without_boost = false;
  bool without_highatomic = false;
  bool with_cma = false;
};

/// Reads the printed numbers of a zone into pages.
[[nodiscard]] ZoneFacts zone_facts(const ZoneText& text, const FailureReport& report, const KernelFacts& kernel,
                                   const ZoneLayout& layout, std::uint64_t page_bytes);

/// One comparison: `mark` is "min" or "high".
[[nodiscard]] Attempt test_zone(const ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel,
                                AllocFlags flags, const char* mark_name, WhatIf what_if = {});

/// Runs the plan, sets `check`, `short_by`, fragmentation and compaction of an eligible zone.
void walk_zone(ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel, TestPlan plan);

/// True if the zone would satisfy the request under `what_if` (last comparison of the plan).
[[nodiscard]] Attempt last_attempt(const ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel,
                                   TestPlan plan, WhatIf what_if = {});

}  // namespace mmbox::lab::explain
