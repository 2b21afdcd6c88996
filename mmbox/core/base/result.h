// Refusals whose reason the caller may want: a value or an error, without exceptions.
#pragma once

#include <utility>

namespace mmbox {

/// Either a value or the reason why there is none.
template <class T, class E>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) : value_(std::move(value)), ok_(true) {}
  constexpr Result(E error) : error_(std::move(error)), ok_(false) {}
  [[nodiscard]] constexpr bool ok() const { return ok_; }
  constexpr explicit operator bool() const { return ok_; }
  [[nodiscard]] constexpr const T& value() const { return value_; }
  [[nodiscard]] constexpr const E& error() const { return error_; }
  constexpr const T& operator*() const { return value_; }
  constexpr const T* operator->() const { return &value_; }

 private:
  T value_{};
  E error_{};
  bool ok_;
};

}  // namespace mmbox
