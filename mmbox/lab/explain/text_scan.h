// Small questions about the text of a line, and numbers out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mmbox::lab::explain {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
constexpr bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '(' || c == ')' || is_digit(c);
}

inline bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

inline bool contains(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}

inline std::string_view skip_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  return text;
}

/// Reads a decimal number at the start of `text` and drops it; joins digits that a single blank separates.
inline std::optional<std::int64_t> take_number(std::string_view& text, bool mend_blanks = false) {
  text = skip_blanks(text);
  const bool negative = !text.empty() && text.front() == '-';
  std::size_t at = negative ? 1 : 0;
  if (at >= text.size() || !is_digit(text[at]))
    return std::nullopt;
  std::int64_t value = 0;
  bool overflow = false;
  while (at < text.size()) {
    if (is_digit(text[at])) {
      constexpr std::int64_t kLimit = 1'000'000'000'000'000'000;  // more pages or kB than 64 bits address
      if (value >= kLimit / 10)
        overflow = true;
      else
        value = value * 10 + (text[at] - '0');
      ++at;
    } else if (mend_blanks && text[at] == ' ' && at + 1 < text.size() && is_digit(text[at + 1])) {
      ++at;
    } else {
      break;
    }
  }
  text.remove_prefix(at);
  if (overflow)
    return std::nullopt;
  return negative ? -value : value;
}

}  // namespace mmbox::lab::explain
