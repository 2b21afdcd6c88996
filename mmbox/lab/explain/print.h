// Explanations as text for a terminal and as JSON. The HTML page is in mmbox/report.
#pragma once

#include <string>
#include <string_view>

#include "mmbox/lab/explain/explain_result.h"

namespace mmbox::lab::explain {

/// Version of the JSON schema; docs/explain.md documents it. Fields are only added within a version.
inline constexpr const char* kJsonSchema = "mmbox-explain/1";

/// Plain text, at most 100 columns, no colour; the verdict comes first. `number` counts reports from 1.
[[nodiscard]] std::string to_text(const Explanation& explanation, unsigned long long number);

/// One element of `reports[]`, indented by two spaces a level, without a final newline. `file` is where it was found.
[[nodiscard]] std::string to_json(const Explanation& explanation, std::string_view file = {});

/// Control characters of a log, made harmless for a terminal.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace mmbox::lab::explain
