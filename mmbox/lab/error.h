// How every reader of the lab says that its input is unusable: where, what, and what to do about it.
//
// Lowest file of lab. Readers return `Expected<T>`; nothing in lab throws on bad input.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace mmbox::lab {

/// Why an input cannot be used. A field that is not known is empty or 0.
struct Error {
  std::string file{};        ///< path as the user wrote it; "-" for standard input
  std::uint64_t line = 0;    ///< counted from 1, for text
  std::uint64_t offset = 0;  ///< byte offset after decompression, for binary input; told only if `line` is 0
  std::string message{};     ///< what is wrong, without a full stop
  std::string remedy{};      ///< what the user can do

  /// One line: `FILE:LINE: message; remedy` or `FILE: at byte OFFSET: message; remedy`.
  [[nodiscard]] std::string text() const {
    std::string result = file;
    if (line != 0)
      (result += ':') += std::to_string(line);
    if (!result.empty())
      result += ": ";
    if (line == 0 && offset != 0)
      ((result += "at byte ") += std::to_string(offset)) += ": ";
    result += message;
    if (!remedy.empty())
      (result += "; ") += remedy;
    return result;
  }
  friend bool operator==(const Error&, const Error&) = default;
};

/// A value, or the reason why there is none. `value()` and `error()` are legal only on their own side.
///
/// The error lies behind a pointer: a reader returns one of these for each of millions of records.
template <class T>
class [[nodiscard]] Expected {
 public:
  Expected(T value) : value_(std::move(value)) {}
  Expected(Error error) : error_(std::make_unique<Error>(std::move(error))) {}

  [[nodiscard]] bool has_value() const { return error_ == nullptr; }
  explicit operator bool() const { return has_value(); }
  [[nodiscard]] T& value() & { return *value_; }
  [[nodiscard]] const T& value() const& { return *value_; }
  [[nodiscard]] T&& value() && { return *std::move(value_); }
  [[nodiscard]] Error& error() & { return *error_; }
  [[nodiscard]] const Error& error() const& { return *error_; }
  [[nodiscard]] Error&& error() && { return std::move(*error_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  std::unique_ptr<Error> error_;
};

/// Success without a value, or an error.
template <>
class [[nodiscard]] Expected<void> {
 public:
  Expected() = default;
  Expected(Error error) : error_(std::make_unique<Error>(std::move(error))) {}

  [[nodiscard]] bool has_value() const { return error_ == nullptr; }
  explicit operator bool() const { return has_value(); }
  [[nodiscard]] const Error& error() const& { return *error_; }
  [[nodiscard]] Error&& error() && { return std::move(*error_); }

 private:
  std::unique_ptr<Error> error_;
};

}  // namespace mmbox::lab
