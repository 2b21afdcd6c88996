// Text without heap, locale or exceptions: what observe/ prints the kernel's files with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mmbox {

/// Takes finished pieces of text, in order.
class TextSink {
 public:
  virtual void write(std::string_view text) = 0;

 protected:
  ~TextSink() = default;
};

/// Writes strings and numbers to a sink, padded as printf does.
class TextWriter {
 public:
  explicit TextWriter(TextSink& sink) : sink_(&sink) {}
  TextWriter& text(std::string_view text);
  /// Right-aligned in at least `width` columns.
  TextWriter& right(std::string_view text, std::size_t width);
  /// Left-aligned in at least `width` columns.
  TextWriter& left(std::string_view text, std::size_t width);
  TextWriter& number(std::int64_t value, std::size_t width = 0);
  TextWriter& unsigned_number(std::uint64_t value, std::size_t width = 0);
  /// Hexadecimal, lower case, without prefix.
  TextWriter& hex(std::uint64_t value);

 private:
  void pad(std::size_t columns);
  TextSink* sink_;
};

}  // namespace mmbox
