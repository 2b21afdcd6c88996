/* The arena for C: the page allocator of the Linux kernel over memory of this process, or over a range that it cannot
 * touch. What the functions do stands with their C++ twins in mmbox/arena/arena.h.
 *
 *   mmbox_arena_options options = MMBOX_ARENA_OPTIONS;
 *   options.bytes = (size_t)1 << 30;
 *   mmbox_arena* arena = NULL;
 *   if (mmbox_arena_create(&options, &arena) != MMBOX_OK) ...
 *   void* run = mmbox_allocate(arena, 3, NULL);               32 KiB, aligned to 32 KiB
 *   mmbox_free_sized(arena, run, 3);
 *
 * All functions may be called by any number of threads at once, but not from signal handlers. No function throws.
 */
#ifndef MMBOX_ARENA_MMBOX_H
#define MMBOX_ARENA_MMBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names are C's. NOLINTBEGIN(readability-identifier-naming) */

#define MMBOX_ORDERS 11 /* 0 to 10: 4 KiB to 4 MiB */
#define MMBOX_PAGE_SIZE 4096

typedef struct mmbox_arena mmbox_arena;

/* Why there is nothing. */
typedef enum mmbox_status {
  MMBOX_OK = 0,
  MMBOX_TOO_LARGE = 1, /* no block is that large */
  MMBOX_NO_ZONE = 2,   /* no zone may serve this request */
  MMBOX_NO_MEMORY = 3, /* every zone that may serve it said no */
  MMBOX_INVALID = 4,   /* the options contradict each other */
  MMBOX_SYSTEM = 5     /* the system has no memory; errno says why */
} mmbox_status;
/* "every zone that may serve it said no" */
const char* mmbox_status_text(mmbox_status status);

typedef enum mmbox_backing {
  MMBOX_ANONYMOUS = 0,
  MMBOX_HUGE_PAGES = 1,
  MMBOX_HUGETLB = 2,
  MMBOX_MEMFD = 3,
  MMBOX_FOREIGN = 4
} mmbox_backing;

typedef struct mmbox_numa_share {
  int numa_node; /* -1: anywhere */
  size_t bytes;
} mmbox_numa_share;

typedef struct mmbox_arena_options {
  size_t bytes;
  mmbox_backing backing;
  uintptr_t foreign_base;
  const mmbox_numa_share* nodes;
  size_t node_count;
  unsigned shards;
  size_t movable_bytes;
  size_t cpus;
  size_t reserve_bytes;
  bool background;
  uint32_t return_idle_after; /* milliseconds */
  bool fill_on_free;
  bool guard_pages;
} mmbox_arena_options;
/* What mmbox_arena_options begins with. */
#define MMBOX_ARENA_OPTIONS \
  { 0, MMBOX_ANONYMOUS, 0, NULL, 0, 1, 0, 0, 0, false, 0, false, false }

mmbox_status mmbox_arena_create(const mmbox_arena_options* options, mmbox_arena** arena);
void mmbox_arena_destroy(mmbox_arena* arena);
uintptr_t mmbox_arena_base(const mmbox_arena* arena);
size_t mmbox_arena_bytes(const mmbox_arena* arena);
/* What the memory became; not what was asked for where the system had none of that. */
mmbox_backing mmbox_arena_backing(const mmbox_arena* arena);
/* What went otherwise than asked, in words; "" if nothing did. As long as the arena. */
const char* mmbox_arena_notes(const mmbox_arena* arena);
/* The file descriptor of MMBOX_MEMFD; -1 for the others. */
int mmbox_arena_file(const mmbox_arena* arena);

typedef enum mmbox_mobility { MMBOX_UNMOVABLE = 0, MMBOX_MOVABLE = 1, MMBOX_RECLAIMABLE = 2 } mmbox_mobility;
typedef enum mmbox_effort {
  MMBOX_NORMAL = 0,  /* may compact and shrink in the calling thread */
  MMBOX_NO_WAIT = 1, /* takes what is free */
  MMBOX_ATOMIC = 2,  /* the same, and may use the reserve */
  MMBOX_TRY_HARD = 3 /* compacts harder before it gives up */
} mmbox_effort;

typedef struct mmbox_want {
  mmbox_mobility mobility;
  mmbox_effort effort;
  bool zeroed;
  bool this_node;
  int node;  /* -1: that of the CPU */
  int owner; /* -1: none */
  uint32_t tag;
} mmbox_want;
#define MMBOX_WANT \
  { MMBOX_UNMOVABLE, MMBOX_NORMAL, false, false, -1, -1, 0 }

/* `want` may be NULL. NULL if there is none; mmbox_try_allocate says why. */
void* mmbox_allocate(mmbox_arena* arena, unsigned order, const mmbox_want* want);
void* mmbox_allocate_bytes(mmbox_arena* arena, size_t bytes, const mmbox_want* want);
mmbox_status mmbox_try_allocate(mmbox_arena* arena, unsigned order, const mmbox_want* want, void** block);
mmbox_status mmbox_try_allocate_bytes(mmbox_arena* arena, size_t bytes, const mmbox_want* want, void** block);
size_t mmbox_allocate_bulk(mmbox_arena* arena, void** pages, size_t count, const mmbox_want* want);
void mmbox_free_sized(mmbox_arena* arena, void* block, unsigned order);
void mmbox_free(mmbox_arena* arena, void* block);
void mmbox_free_bytes(mmbox_arena* arena, void* block, size_t bytes);
void mmbox_free_bulk(mmbox_arena* arena, void* const* pages, size_t count);
void mmbox_split(mmbox_arena* arena, void* block, unsigned order);
/* The order of an allocated block; -1 if none begins there. */
int mmbox_order_of(const mmbox_arena* arena, const void* block);

/* By frame, for memory that has no address here: frame n begins n * 4096 bytes after the arena. */
mmbox_status mmbox_try_allocate_frames(mmbox_arena* arena, unsigned order, const mmbox_want* want, uint64_t* first);
void mmbox_free_frames(mmbox_arena* arena, uint64_t first, unsigned order);

/* Moves a block, or refuses; see Owner::relocate() in mmbox/arena/owners.h for what it may do. */
typedef struct mmbox_move {
  uint64_t from, to; /* frames */
  void *from_address, *to_address;
  size_t bytes;
  unsigned order;
  uint32_t tag;
} mmbox_move;
typedef bool (*mmbox_relocate)(void* context, const mmbox_move* move);
/* The owner's number; -1 if there are too many. */
int mmbox_add_owner(mmbox_arena* arena, mmbox_relocate relocate, void* context);
/* Frees about `pages` pages, and returns how many it freed. */
typedef size_t (*mmbox_shrink)(void* context, size_t pages);
/* 0, or -1 if there is no memory for it. As long as the arena. */
int mmbox_add_shrinker(mmbox_arena* arena, mmbox_shrink shrink, void* context);
/* The number of free 2 MiB afterwards. */
uint64_t mmbox_compact(mmbox_arena* arena);
void mmbox_drain(mmbox_arena* arena);
size_t mmbox_give_back(mmbox_arena* arena);

typedef struct mmbox_stats {
  uint64_t managed, free, per_cpu, used; /* pages */
  uint64_t free_blocks[MMBOX_ORDERS];
  uint64_t allocations;      /* blocks */
  uint64_t allocated, freed; /* pages */
  uint64_t moved, not_moved, shrunk, given_back;
} mmbox_stats;
void mmbox_get_stats(const mmbox_arena* arena, mmbox_stats* stats);
/* The kernel's files. Writes at most `size` bytes with a 0 at the end; returns the length of all of it. */
typedef enum mmbox_text { MMBOX_BUDDYINFO, MMBOX_PAGETYPEINFO, MMBOX_ZONEINFO, MMBOX_VMSTAT } mmbox_text;
size_t mmbox_get_text(const mmbox_arena* arena, mmbox_text which, char* buffer, size_t size);

/* Called with a sentence for every misuse. If it returns, the arena goes on unchanged. NULL: prints and aborts. */
typedef void (*mmbox_misuse_handler)(const char* text);
void mmbox_set_misuse_handler(mmbox_misuse_handler handler);

/* NOLINTEND(readability-identifier-naming) */

#ifdef __cplusplus
}
#endif

#endif
