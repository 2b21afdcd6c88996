// The allocators that mmbox is measured against, each by its own entry points, which leave malloc() alone.
//
// All hand out blocks aligned to their size. They are set up to keep the memory that they once had, so that what is
// measured is the work of the allocator and not that of munmap() and page faults. `release()` gives it back between two
// of them. Where there is an entry point for a free that knows the size, it is used, since mmbox's free knows the
// order.
#pragma once

#include <gperftools/malloc_extension.h>
#include <gperftools/tcmalloc.h>
#include <jemalloc/jemalloc.h>
#include <mimalloc.h>
#include <sys/types.h>
#include <tbb/scalable_allocator.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace mmbox::bench {

struct Jemalloc {
  static constexpr const char* kName = "jemalloc";
  static void prepare(std::size_t) {
    unsigned arena = 0;
    std::size_t size = sizeof arena;
    set("thread.arena", &arena, &size, nullptr, 0);
    ssize_t never = -1;
    for (const char* what : {"dirty_decay_ms", "muzzy_decay_ms"})
      set(("arena." + std::to_string(arena) + '.' + what).c_str(), nullptr, nullptr, &never, sizeof never);
  }
  static void* alloc(std::size_t size) { return mallocx(size, MALLOCX_ALIGN(size)); }
  static void free(void* block, std::size_t size) { sdallocx(block, size, MALLOCX_ALIGN(size)); }
  static void release() {
    // 4096 stands for all arenas (MALLCTL_ARENAS_ALL).
    set("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
    set("arena.4096.purge", nullptr, nullptr, nullptr, 0);
  }

 private:
  static void set(const char* what, void* old, std::size_t* old_size, void* value, std::size_t size) {
    if (mallctl(what, old, old_size, value, size) != 0) {
      std::fprintf(stderr, "jemalloc does not know %s\n", what);
      std::exit(1);
    }
  }
};

struct Mimalloc {
  static constexpr const char* kName = "mimalloc";
  /// `bytes`: what will be live at most; twice as much is set aside, because it cuts large blocks out of segments.
  static void prepare(std::size_t bytes) {
    mi_option_disable(mi_option_allow_decommit);
    mi_option_disable(mi_option_page_reset);
    static const bool kReserved = mi_reserve_os_memory(2 * bytes, true, false) == 0;
    static_cast<void>(kReserved);
  }
  static void* alloc(std::size_t size) { return mi_malloc_aligned(size, size); }
  static void free(void* block, std::size_t size) { mi_free_size_aligned(block, size, size); }
  static void release() { mi_collect(true); }
};

struct Tcmalloc {
  static constexpr const char* kName = "tcmalloc";
  static void prepare(std::size_t) { MallocExtension::instance()->SetMemoryReleaseRate(0); }
  static void* alloc(std::size_t size) { return tc_memalign(size, size); }
  static void free(void* block, std::size_t) { tc_free(block); }
  static void release() { MallocExtension::instance()->ReleaseFreeMemory(); }
};

struct OneTbb {
  static constexpr const char* kName = "oneTBB";
  static void prepare(std::size_t) {}
  static void* alloc(std::size_t size) { return scalable_aligned_malloc(size, size); }
  static void free(void* block, std::size_t) { scalable_aligned_free(block); }
  static void release() { static_cast<void>(scalable_allocation_command(TBBMALLOC_CLEAN_ALL_BUFFERS, nullptr)); }
};

}  // namespace mmbox::bench
