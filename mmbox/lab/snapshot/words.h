// Words and numbers of one line of a script log. Used by the readers and writers of this folder only.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mmbox/core/base/units.h"

namespace mmbox::lab::words {

/// Cuts a line at single spaces. Two spaces in a row, or one at the end, give an empty word.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line), done_(line.empty()) {}
  /// The next word; nullopt at the end of the line.
  std::optional<std::string_view> next() {
    if (done_)
      return std::nullopt;
    const std::size_t space = rest_.find(' ');
    const std::string_view word = rest_.substr(0, space);
    done_ = space == std::string_view::npos;
    if (!done_)
      rest_.remove_prefix(space + 1);
    return word;
  }
  /// What `next` has not given yet.
  [[nodiscard]] std::string_view rest() const { return done_ ? std::string_view{} : rest_; }
  [[nodiscard]] bool at_end() const { return done_; }

 private:
  std::string_view rest_;
  bool done_;
};

/// The whole of `text` as a number in the range of `T`; nullopt if it is anything else.
template <std::integral T>
[[nodiscard]] std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

/// A hexadecimal number behind "0x".
[[nodiscard]] inline std::optional<std::uint64_t> hex_0x(std::string_view text) {
  if (!text.starts_with("0x"))
    return std::nullopt;
  return number<std::uint64_t>(text.substr(2), 16);
}

/// Page frame numbers fit 52 bits, so that adding a block's length cannot overflow.
inline constexpr std::uint64_t kPfnEnd = 1ULL << 52;

/// A page frame number in hexadecimal, without prefix.
[[nodiscard]] inline std::optional<Pfn> pfn(std::string_view text) {
  const std::optional<std::uint64_t> value = number<std::uint64_t>(text, 16);
  if (!value || *value >= kPfnEnd)
    return std::nullopt;
  return Pfn{*value};
}

template <std::integral T>
void append(std::string& out, T value, int base = 10) {
  char digits[24];
  const char* const end = std::to_chars(digits, digits + sizeof digits, value, base).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

/// A piece of input as an error message may show it: at most 60 characters, nothing unprintable.
[[nodiscard]] inline std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text.substr(0, 60))
    result += c >= ' ' && c <= '~' ? c : '?';
  return result + (text.size() > 60 ? "…\"" : "\"");
}

/// The zone type with this name.
[[nodiscard]] inline std::optional<ZoneType> zone_type(std::string_view name) {
  for (const ZoneType type :
       {ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::HighMem, ZoneType::Movable, ZoneType::Device}) {
    if (name == zone_type_name(type))
      return type;
  }
  return std::nullopt;
}

}  // namespace mmbox::lab::words
