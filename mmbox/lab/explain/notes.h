// What a reader of an explanation should know besides: what was inferred, damaged, hidden or unusual in the report.
#pragma once

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/kernel_facts.h"

namespace mmbox::lab::explain {

/// Appends to `explanation.notes`, and a remedy for a crash-dump kernel. Comes last: it looks at everything else.
void add_notes(Explanation& explanation, const KernelFacts& kernel);

}  // namespace mmbox::lab::explain
