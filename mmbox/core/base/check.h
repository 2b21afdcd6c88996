// Misuse by code ends here: a check that fails names its values and does not return.
//
// Core has no globals and no output. It calls `mmbox_panic`, which the program that embeds core supplies: the lab and
// the arena print and abort (or call the host's handler), a kernel halts.
#pragma once

#include <cstdint>

namespace mmbox {

/// What a failed check knows. `what` is a static string; its meaning of `a` and `b` stands in the text.
struct Panic {
  const char* what;
  const char* file;
  std::uint64_t a;
  std::uint64_t b;
  std::uint32_t line;
};

}  // namespace mmbox

/// Supplied by the host. Must not return into core.
extern "C" [[noreturn]] void mmbox_panic(const mmbox::Panic& panic);

/// Checks a condition that only wrong code can break. The two values are printed with the text.
#define MMBOX_CHECK(condition, text, a_value, b_value)                                                        \
  do {                                                                                                        \
    if (!(condition)) [[unlikely]]                                                                            \
      mmbox_panic(::mmbox::Panic{text, __FILE__, static_cast<std::uint64_t>(a_value),                         \
                                 static_cast<std::uint64_t>(b_value), static_cast<std::uint32_t>(__LINE__)}); \
  } while (false)
