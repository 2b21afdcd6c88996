#include "mmbox/lab/workload/event_log.h"

#include <algorithm>
#include <utility>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/trace/text_writer.h"

namespace mmbox::lab {

EventLog::EventLog(ByteSink sink, const Generation& generation, std::vector<std::string> systems)
    : sink_(std::move(sink)), wanted_(kEventKinds, systems.empty()) {
  const GfpLayout* const layout = gfp_layout_for_release(generation.name);
  context_.gfp = layout != nullptr ? layout : &gfp_layout_default();
  for (std::size_t kind = 0; kind < kEventKinds && !systems.empty(); ++kind) {
    const std::string_view name = event_name(kind);
    wanted_[kind] = std::ranges::find(systems, name.substr(0, name.find(':'))) != systems.end();
  }
  static_cast<void>(sink_.write("# tracer: nop\n#\n#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"));
}

void EventLog::record(const TraceEvent& event) {
  if (!wanted_[event.index()] || error_)
    return;
  line_.clear();
  append_trace_line(
      line_, {.timestamp = now_ns_, .cpu = actor_.cpu, .pid = actor_.pid, .comm = Comm{actor_.comm}, .event = event},
      context_, TimeUnit::Nanoseconds);
  if (const auto written = sink_.write(line_); !written)
    error_ = written.error();
  ++lines_;
}

Expected<void> EventLog::finish() {
  auto finished = sink_.finish();
  if (error_)
    return *error_;
  return finished;
}

}  // namespace mmbox::lab
