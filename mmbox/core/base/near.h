// Pointers inside a machine's bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mmbox {

/// Points to another part of the same machine by the distance from itself: in a copy of the bytes it points into the
/// copy. At most 2 GiB away; not to be copied alone. Before set() it points to itself.
template <class T>
class Near {
 public:
  void set(T& target) {
    distance_ =
        static_cast<std::int32_t>(reinterpret_cast<std::intptr_t>(&target) - reinterpret_cast<std::intptr_t>(this));
  }
  [[nodiscard]] T& operator*() const {
    // Through bytes, as of one object: the machine's.
    return *reinterpret_cast<T*>(reinterpret_cast<std::byte*>(const_cast<Near*>(this)) + distance_);
  }

 private:
  std::int32_t distance_ = 0;
};

}  // namespace mmbox
