// Where a run's chance comes from: the same numbers from the same seed, everywhere.
#pragma once

#include <cstdint>

namespace mmbox::lab {

/// Source: Sebastiano Vigna, "splitmix64", 2015, public domain.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 … n - 1; `n` is not 0 and below 2^32. The upper half of the product of a random 32-bit number with n.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return (next() >> 32) * n >> 32; }
  /// True for `parts` of a million.
  [[nodiscard]] bool chance(std::uint64_t parts) { return parts != 0 && below(1'000'000) < parts; }

 private:
  std::uint64_t state_;
};

}  // namespace mmbox::lab
