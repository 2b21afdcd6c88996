// Any bytes as the text of a trace: records or an error; and what was read as an event of the allocator is read the
// same from the line that we write for it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mmbox/lab/trace/schema.h"
#include "mmbox/lab/trace/text_reader.h"
#include "mmbox/lab/trace/text_writer.h"

namespace mmbox::lab {
namespace {

void must(bool holds) {
  if (!holds)
    std::abort();
}

bool is_kmem(const TraceEvent& event) {
  return event_name(event.index()).starts_with("kmem:");
}

void read_line_again(const TraceRecord& record) {
  const FieldContext context{.gfp = &gfp_layout_default()};
  std::string line;
  append_trace_line(line, record, context, TimeUnit::Count);
  auto reader = open_trace_text(ByteSource::from_memory("again", line), {});
  TraceRecord again;
  const auto more = (*reader)->next(again);
  must(more && *more);
  must(again.timestamp == record.timestamp && again.cpu == record.cpu && again.pid == record.pid);
  must(same_event(again.event, record.event));
}

void read_all(Expected<std::unique_ptr<TraceReader>> reader) {
  must(reader.has_value());
  TraceRecord record;
  for (;;) {
    const auto more = (*reader)->next(record);
    if (!more) {
      must(more.error().line != 0);
      must(!more.error().message.empty() && !more.error().remedy.empty());
      return;
    }
    if (!*more)
      return;
    // A pid below zero is written with a second dash.
    if (is_kmem(record.event) && record.pid >= 0)
      read_line_again(record);
  }
}

}  // namespace
}  // namespace mmbox::lab

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  read_all(open_trace_text(ByteSource::from_memory("fuzz", text), {}));
  read_all(open_recording_text(ByteSource::from_memory("fuzz", text), {}));
  return 0;
}
