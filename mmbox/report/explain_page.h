// `mmbox explain --html`: one page that needs nothing beside itself, report after report.
#pragma once

#include <string>
#include <string_view>

#include "mmbox/lab/explain/explain_result.h"

namespace mmbox::report {

/// Everything before the first report.
[[nodiscard]] std::string explain_page_begin();
/// One report: verdict, zone ladder to scale, blocks by order and type, slow path. `number` counts from 1.
[[nodiscard]] std::string explain_page_report(const lab::explain::Explanation& explanation, unsigned long long number);
/// Everything after the last report.
[[nodiscard]] std::string explain_page_end();

/// Text of a log, made safe inside HTML elements and attribute values.
[[nodiscard]] std::string escape_html(std::string_view text);

}  // namespace mmbox::report
