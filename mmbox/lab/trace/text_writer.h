// Records as lines of the tracefs `trace` file.
#pragma once

#include <string>

#include "mmbox/lab/trace/schema.h"

namespace mmbox::lab {

/// What a record's time counts.
enum class TimeUnit {
  Nanoseconds,  ///< written as seconds and microseconds, as the kernel does
  Count,        ///< of the counter clock, written as it is
};

/// Appends one line with its end: `COMM-PID [CPU] FLAGS TIME: EVENT: ARGS`. The flags (interrupts off, …) are not known
/// and stand as dots. A loss becomes the kernel's "CPU:N [LOST M EVENTS]".
/// Source: 09 §8.
void append_trace_line(std::string& out, const TraceRecord& record, const FieldContext& context, TimeUnit unit);

}  // namespace mmbox::lab
