// The integer arithmetic that the kernel's sizing formulas are written in.
#pragma once

#include <bit>
#include <cstdint>

namespace mmbox {

/// x · n / q, computed so that x · n need not fit; truncated.
/// Source: mult_frac(), include/linux/math.h.
[[nodiscard]] constexpr std::uint64_t mult_frac(std::uint64_t x, std::uint64_t n, std::uint64_t q) {
  return x / q * n + x % q * n / q;
}

/// floor(√x).
/// Source: int_sqrt(), lib/math/int_sqrt.c.
[[nodiscard]] constexpr std::uint64_t int_sqrt(std::uint64_t x) {
  std::uint64_t root = 0;
  for (std::uint64_t bit = 1ULL << 31; bit != 0; bit >>= 1) {
    const std::uint64_t candidate = root | bit;
    if (candidate <= x / candidate)
      root = candidate;
  }
  return root;
}

/// 1 + the position of the highest set bit; 0 for 0.
[[nodiscard]] constexpr unsigned fls(std::uint64_t x) {
  return static_cast<unsigned>(std::bit_width(x));
}

// <algorithm> is not a freestanding header, and its min() and max() return references, which formulas do not want.
[[nodiscard]] constexpr std::uint64_t lesser(std::uint64_t a, std::uint64_t b) {
  return a < b ? a : b;
}
[[nodiscard]] constexpr std::uint64_t greater(std::uint64_t a, std::uint64_t b) {
  return a < b ? b : a;
}
/// `x`, or the bound that it lies beyond. Needs low ≤ high.
[[nodiscard]] constexpr std::uint64_t bounded(std::uint64_t x, std::uint64_t low, std::uint64_t high) {
  return lesser(greater(x, low), high);
}
/// The next multiple of `step`, a power of two; `x` itself if it is one.
[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t x, std::uint64_t step) {
  return (x + step - 1) & ~(step - 1);
}

}  // namespace mmbox
