#include "mmbox/core/base/text.h"

#include <array>

namespace mmbox {
namespace {

/// The digits of one number, least significant written last.
class Digits {
 public:
  Digits(std::uint64_t value, unsigned base, bool negative) {
    do {
      buffer_[--begin_] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    if (negative)
      buffer_[--begin_] = '-';
  }
  [[nodiscard]] std::string_view view() const { return {buffer_.data() + begin_, buffer_.size() - begin_}; }

 private:
  std::array<char, 24> buffer_{};
  std::size_t begin_ = 24;
};

}  // namespace

void TextWriter::pad(std::size_t columns) {
  constexpr std::string_view kBlanks = "                                ";
  while (columns > 0) {
    const std::size_t n = columns < kBlanks.size() ? columns : kBlanks.size();
    sink_->write(kBlanks.substr(0, n));
    columns -= n;
  }
}

TextWriter& TextWriter::text(std::string_view text) {
  sink_->write(text);
  return *this;
}

TextWriter& TextWriter::right(std::string_view text, std::size_t width) {
  if (text.size() < width)
    pad(width - text.size());
  sink_->write(text);
  return *this;
}

TextWriter& TextWriter::left(std::string_view text, std::size_t width) {
  sink_->write(text);
  if (text.size() < width)
    pad(width - text.size());
  return *this;
}

TextWriter& TextWriter::number(std::int64_t value, std::size_t width) {
  const std::uint64_t magnitude =
      value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
  return right(Digits{magnitude, 10, value < 0}.view(), width);
}

TextWriter& TextWriter::unsigned_number(std::uint64_t value, std::size_t width) {
  return right(Digits{value, 10, false}.view(), width);
}

TextWriter& TextWriter::hex(std::uint64_t value) {
  return text(Digits{value, 16, false}.view());
}

}  // namespace mmbox
