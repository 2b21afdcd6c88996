// What would have let a refused request through, computed on the printed state; nothing that the numbers refute.
#pragma once

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"

namespace mmbox::lab::explain {

/// Fills `explanation.remedies`, cheapest first: the caller's request, its mask, settings, the machine.
/// Needs the request, the walked zones and the verdict.
void find_remedies(Explanation& explanation, const KernelFacts& kernel);

}  // namespace mmbox::lab::explain
