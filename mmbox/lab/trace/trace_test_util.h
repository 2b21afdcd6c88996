// What the tests of traces share.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/trace/reader.h"
#include "mmbox/lab/trace/schema.h"
#include "mmbox/lab/trace/text_writer.h"

namespace mmbox::lab {

/// All that a reader said: the records, with their texts kept alive, and how it ended.
struct ReadTrace {
  std::vector<TraceRecord> records;
  std::deque<std::string> texts;
  TraceInfo info;
  std::string error;  ///< empty: it ended well
};

inline ReadTrace read_all(Expected<std::unique_ptr<TraceReader>> reader) {
  ReadTrace result;
  if (!reader) {
    result.error = reader.error().text();
    return result;
  }
  result.info = (*reader)->info();
  TraceRecord record;
  for (;;) {
    auto more = (*reader)->next(record);
    if (!more) {
      result.error = more.error().text();
      return result;
    }
    if (!*more)
      return result;
    if (auto* marker = std::get_if<Marker>(&record.event))
      marker->text = result.texts.emplace_back(marker->text);
    if (auto* unknown = std::get_if<Unknown>(&record.event))
      unknown->name = result.texts.emplace_back(unknown->name);
    result.records.push_back(record);
  }
}
inline ReadTrace read_bytes(std::string_view bytes, const TraceOptions& options = {}) {
  return read_all(open_trace(ByteSource::from_memory("memory", bytes), options));
}
inline std::string trace_data(const std::string& name) {
  return std::string{MMBOX_TEST_DATA "/trace/"}.append(name);
}
/// The bytes of a file, decompressed.
inline std::string slurp(const std::string& path) {
  std::string bytes;
  auto source = ByteSource::open(path);
  EXPECT_TRUE(source) << path;
  while (source) {
    auto view = source->view();
    if (!view || view->empty())
      break;
    bytes += *view;
    source->consume(view->size());
  }
  return bytes;
}
/// A record in words, for failure messages.
inline std::string print_record(const TraceRecord& record) {
  std::string line;
  append_trace_line(line, record,
                    FieldContext{.gfp = &gfp_layout_default(), .migratetypes = MigratetypeNumbering{true}},
                    TimeUnit::Count);
  return line;
}

/// Expects the same records. `with_comm`: also the same task names.
inline void expect_same(const ReadTrace& wanted, const ReadTrace& got, bool with_comm = true) {
  EXPECT_EQ(got.error, "");
  ASSERT_EQ(got.records.size(), wanted.records.size());
  for (std::size_t i = 0; i < wanted.records.size(); ++i) {
    const TraceRecord& a = wanted.records[i];
    const TraceRecord& b = got.records[i];
    const bool same = a.timestamp == b.timestamp && a.cpu == b.cpu && a.pid == b.pid && same_event(a.event, b.event) &&
                      (!with_comm || a.comm == b.comm);
    ASSERT_TRUE(same) << "record " << i << "\n wanted " << print_record(a) << " got    " << print_record(b);
  }
}

}  // namespace mmbox::lab
