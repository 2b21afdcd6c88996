#include "mmbox/lab/trace/text_writer.h"

#include <fmt/format.h>

#include <iterator>

#include "mmbox/lab/trace/text_args.h"

namespace mmbox::lab {

void append_trace_line(std::string& out, const TraceRecord& record, const FieldContext& context, TimeUnit unit) {
  const auto to = std::back_inserter(out);
  if (const auto* lost = std::get_if<Lost>(&record.event)) {
    if (lost->events == Lost::kUnknownCount)
      fmt::format_to(to, "CPU:{} [EVENTS DROPPED]\n", record.cpu.raw());
    else
      fmt::format_to(to, "CPU:{} [LOST {} EVENTS]\n", record.cpu.raw(), lost->events);
    return;
  }
  const std::string_view comm = record.comm.view();
  fmt::format_to(to, "{:>16}-{:<7} [{:03}] ..... ", comm.empty() ? "<...>" : comm, record.pid, record.cpu.raw());
  if (unit == TimeUnit::Count) {
    fmt::format_to(to, "{:>12}: ", record.timestamp);
  } else {
    const std::uint64_t microseconds = record.timestamp / 1000 + (record.timestamp % 1000 >= 500 ? 1 : 0);
    fmt::format_to(to, "{:>5}.{:06}: ", microseconds / 1000000, microseconds % 1000000);
  }
  std::string_view name = event_name(record.event.index());
  if (const auto* unknown = std::get_if<Unknown>(&record.event))
    name = unknown->name;
  else if (std::holds_alternative<Marker>(record.event))
    name = "tracing_mark_write";
  fmt::format_to(to, "{}: ", name.substr(name.find(':') + 1));
  append_event(out, record.event, context);
  out += '\n';
}

}  // namespace mmbox::lab
