// The sentence that comes first: which zone refused, by which check, how sure that is; and what follows from it.
#pragma once

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"

namespace mmbox::lab::explain {

/// Fills `explanation.verdict`, `confidence` and `remedies`. Needs the kind, the request and the walked zones.
void find_verdict(Explanation& explanation, const KernelFacts& kernel);

}  // namespace mmbox::lab::explain
