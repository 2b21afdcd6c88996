// From a printed mask to what the request was: zones it may use, mobility, rights, and what its slow path may do.
#pragma once

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"

namespace mmbox::lab::explain {

/// Finds out which zone types the kernel was built with, from the printed names and the length and zeros of
/// lowmem_reserve[].
/// Source: 10 section 1 of the specification, "Zone indices".
[[nodiscard]] ZoneLayout zone_layout(const FailureReport& report);

/// The highest zone that a mask may use. Source: gfp_zone(), 01 section 10.
[[nodiscard]] ZoneType highest_zone(Gfp gfp, const ZoneLayout& layout);

/// Interrupt, kernel thread, PF_MEMALLOC: from the name of the task and its stack.
[[nodiscard]] Context request_context(const FailureReport& report);

/// Flags of the first attempt of the slow path. `no_watermarks` is told apart, since it comes later.
/// Source: gfp_to_alloc_flags(), 06 section 2 and 05a section 16.0.
[[nodiscard]] AllocFlags slow_path_flags(WatermarkRule rule, Gfp gfp, Order order);

/// Everything about the request; nullopt if the report has no mask or no order, or if nothing was requested.
[[nodiscard]] std::optional<RequestFacts> request_facts(const FailureReport& report, const KernelFacts& kernel,
                                                        const ZoneLayout& layout, std::uint64_t page_bytes);

/// The same request with another mask, order and rights; used to ask what would have passed.
[[nodiscard]] RequestFacts with_mask(const RequestFacts& request, Gfp gfp, unsigned order, const KernelFacts& kernel,
                                     const ZoneLayout& layout, std::uint64_t page_bytes);

}  // namespace mmbox::lab::explain
