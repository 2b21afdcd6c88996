// What the lab does when code breaks one of core's rules: say which, with the values, and stop.
#include <cstdio>
#include <cstdlib>

#include "mmbox/core/base/check.h"

extern "C" void mmbox_panic(const mmbox::Panic& panic) {
  std::fprintf(stderr, "mmbox: %s:%u: %s: 0x%llx, %llu\n", panic.file, panic.line, panic.what,
               static_cast<unsigned long long>(panic.a), static_cast<unsigned long long>(panic.b));
  std::abort();
}
