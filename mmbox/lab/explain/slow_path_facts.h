// What the slow path could do for a request of this mask, and why that did not help.
#pragma once

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"

namespace mmbox::lab::explain {

/// Fills `explanation.slow_path`. Needs the request and the walked zones.
void describe_slow_path(Explanation& explanation, const KernelFacts& kernel);

}  // namespace mmbox::lab::explain
