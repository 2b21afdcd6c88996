// What the tests of this folder share: recorded text, and small changes to it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {

inline std::string test_data(const std::string& name) {
  return std::string{MMBOX_TEST_DATA} + "/" + name;
}

/// A log with every kind of line that a recorder writes.
inline const std::string kEveryLine = "snapshot/every-line.log";

/// The whole of a test file, decompressed.
inline std::string text_of(const std::string& name) {
  Expected<ByteSource> source = ByteSource::open(test_data(name));
  EXPECT_TRUE(source) << source.error().text();
  std::string text;
  while (source) {
    const Expected<std::string_view> view = source->view();
    EXPECT_TRUE(view);
    if (!view || view->empty())
      break;
    text += *view;
    source->consume(view->size());
  }
  return text;
}

/// `text` with the first `from` replaced; fails if there is none.
inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << "no \"" << from << "\" to replace";
  if (at != std::string::npos)
    text.replace(at, from.size(), to);
  return text;
}

/// All items of a log in memory, and the error that ended it, if one did.
struct ReadLog {
  std::vector<LogItem> items;
  std::string error;
};
inline ReadLog read_log(const std::string& text) {
  LogReader reader{LineReader{ByteSource::from_memory("log", text)}};
  ReadLog result;
  for (;;) {
    Expected<std::optional<LogItem>> item = reader.next();
    if (!item) {
      result.error = item.error().text();
      return result;
    }
    if (!*item)
      return result;
    result.items.push_back(std::move(**item));
  }
}

template <class Item>
std::vector<Item> items_of(const ReadLog& log) {
  std::vector<Item> result;
  for (const LogItem& item : log.items) {
    if (const auto* one = std::get_if<Item>(&item))
      result.push_back(*one);
  }
  return result;
}

/// The first snapshot of a test file.
inline Snapshot snapshot_of(const std::string& name, std::string_view label = {}) {
  Expected<Snapshot> snapshot = load_snapshot(test_data(name), label);
  EXPECT_TRUE(snapshot) << snapshot.error().text();
  return snapshot ? std::move(snapshot).value() : Snapshot{};
}

}  // namespace mmbox::lab
