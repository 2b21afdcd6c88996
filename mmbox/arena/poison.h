// How free memory is kept from being used: told to AddressSanitizer and Valgrind, or made inaccessible.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#include "mmbox/arena/mapping.h"

#if defined(__SANITIZE_ADDRESS__)
#define MMBOX_ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MMBOX_ARENA_ASAN 1
#endif
#endif
#ifdef MMBOX_ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define MMBOX_ARENA_VALGRIND 1
#endif

namespace mmbox::poison {

/// True if somebody watches.
[[nodiscard]] inline bool is_on() {
#if defined(MMBOX_ARENA_ASAN)
  return true;
#elif defined(MMBOX_ARENA_VALGRIND)
  return RUNNING_ON_VALGRIND != 0;
#else
  return false;
#endif
}

/// Nobody may read or write it.
inline void hide([[maybe_unused]] std::uintptr_t at, [[maybe_unused]] std::size_t size) {
#ifdef MMBOX_ARENA_ASAN
  ASAN_POISON_MEMORY_REGION(pointer_to(at), size);
#endif
#ifdef MMBOX_ARENA_VALGRIND
  static_cast<void>(VALGRIND_MAKE_MEM_NOACCESS(at, size));
#endif
}

/// It may be used again; what is in it counts as never written.
inline void show([[maybe_unused]] std::uintptr_t at, [[maybe_unused]] std::size_t size) {
#ifdef MMBOX_ARENA_ASAN
  ASAN_UNPOISON_MEMORY_REGION(pointer_to(at), size);
#endif
#ifdef MMBOX_ARENA_VALGRIND
  static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(at, size));
#endif
}

/// Whoever touches it gets a SIGSEGV. Best effort: the system may have no room for another mapping.
inline void forbid(std::uintptr_t at, std::size_t size) {
  static_cast<void>(mprotect(pointer_to(at), size, PROT_NONE));
}
inline void allow(std::uintptr_t at, std::size_t size) {
  static_cast<void>(mprotect(pointer_to(at), size, PROT_READ | PROT_WRITE));
}

}  // namespace mmbox::poison
