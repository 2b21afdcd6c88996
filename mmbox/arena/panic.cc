// What happens when core finds its books broken, in a program that has no mmbox_panic of its own.
#include <cstdio>
#include <cstdlib>

#include "mmbox/core/base/check.h"

extern "C" [[gnu::weak]] void mmbox_panic(const mmbox::Panic& panic) {
  std::fprintf(stderr, "mmbox: %s:%u: %s: 0x%llx, %llu\n", panic.file, panic.line, panic.what,
               static_cast<unsigned long long>(panic.a), static_cast<unsigned long long>(panic.b));
  std::abort();
}
