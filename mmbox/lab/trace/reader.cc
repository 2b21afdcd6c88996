#include "mmbox/lab/trace/reader.h"

#include <algorithm>

#include "mmbox/lab/trace/compact.h"
#include "mmbox/lab/trace/dat_reader.h"
#include "mmbox/lab/trace/text_reader.h"

namespace mmbox::lab {

Expected<std::unique_ptr<TraceReader>> open_trace(const std::string& path, const TraceOptions& options) {
  auto source = ByteSource::open(path);
  if (!source)
    return std::move(source).error();
  return open_trace(std::move(*source), options);
}

Expected<std::unique_ptr<TraceReader>> open_trace(ByteSource source, const TraceOptions& options) {
  const auto head = source.peek(ByteSource::kPeekMax);
  if (!head)
    return head.error();
  if (head->empty())
    return Error{.file = source.name(), .message = "is empty", .remedy = "record it again"};
  if (head->starts_with(kDatMagic))
    return open_dat(std::move(source), options);
  if (head->starts_with(kCompactMagic))
    return open_compact(std::move(source), options);
  if (head->starts_with(kRecordingTextHead))
    return open_recording_text(std::move(source), options);
  const bool is_text = std::none_of(head->begin(), head->end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r';
  });
  if (is_text)
    return open_trace_text(std::move(source), options);
  return Error{.file = source.name(),
               .message = "is no trace of a known kind",
               .remedy = "give a trace.dat, or the text of 'trace-cmd report'"};
}

}  // namespace mmbox::lab
