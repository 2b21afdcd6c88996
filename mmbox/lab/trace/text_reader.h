// Traces as text: what trace-cmd report, perf script and the tracefs `trace` file say, and the recordings' own form.
#pragma once

#include <memory>
#include <string_view>

#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {

/// What the recordings' own text begins with.
inline constexpr std::string_view kRecordingTextHead = "# time_ns cpu pid event";

/// Reads lines `COMM-PID [CPU] FLAGS TIME: EVENT: ARGS` (ftrace, trace-cmd report, also with -R or -t) or
/// `COMM PID [CPU] TIME: SYSTEM:EVENT: ARGS` (perf script). Comments, headers and stack traces are skipped; any other
/// line is an error. Times are told in microseconds unless the text says more; a plain number is a count of the counter
/// clock.
Expected<std::unique_ptr<TraceReader>> open_trace_text(ByteSource source, const TraceOptions& options);

/// Reads the recordings' text, `TIME CPU PID EVENT VALUES`, whose comments at the top name the values of the short
/// events.
Expected<std::unique_ptr<TraceReader>> open_recording_text(ByteSource source, const TraceOptions& options);

}  // namespace mmbox::lab
