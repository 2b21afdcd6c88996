// The arena for C: translates, and lets no exception out.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "mmbox/arena/arena.h"
#include "mmbox/arena/mmbox.h"

namespace {

using mmbox::Arena;

class COwner final : public mmbox::Owner {
 public:
  COwner(mmbox_relocate callback, void* context) : relocate_(callback), context_(context) {}
  bool relocate(const mmbox::Relocation& move) override {
    const mmbox_move told{move.from.raw(), move.to.raw(),    move.from_address, move.to_address,
                          move.bytes,      move.order.raw(), move.tag};
    return relocate_(context_, &told);
  }

 private:
  mmbox_relocate relocate_;
  void* context_;
};

class CShrinker final : public mmbox::Shrinker {
 public:
  CShrinker(mmbox_shrink callback, void* context) : shrink_(callback), context_(context) {}
  std::size_t shrink(std::size_t pages) override { return shrink_(context_, pages); }

 private:
  mmbox_shrink shrink_;
  void* context_;
};

std::atomic<mmbox_misuse_handler> c_handler{nullptr};

mmbox::Want wanted(const mmbox_want* want) {
  mmbox::Want out;
  if (want == nullptr)
    return out;
  out.mobility = static_cast<mmbox::Mobility>(want->mobility);
  out.effort = static_cast<mmbox::Effort>(want->effort);
  out.zeroed = want->zeroed;
  out.this_node = want->this_node;
  if (want->node >= 0)
    out.node = mmbox::NodeId{static_cast<std::size_t>(want->node)};
  if (want->owner >= 0)
    out.owner = mmbox::OwnerId{static_cast<std::size_t>(want->owner)};
  out.tag = want->tag;
  return out;
}

mmbox_status status_of(mmbox::AllocFailure failure) {
  switch (failure) {
    case mmbox::AllocFailure::None: return MMBOX_OK;
    case mmbox::AllocFailure::OrderTooLarge: return MMBOX_TOO_LARGE;
    case mmbox::AllocFailure::NoZone: return MMBOX_NO_ZONE;
    case mmbox::AllocFailure::NoMemory: return MMBOX_NO_MEMORY;
  }
  return MMBOX_INVALID;
}

mmbox::Order order_of(unsigned order) {
  return mmbox::Order{std::min(order, mmbox::kOrders)};
}

}  // namespace

struct mmbox_arena {
  explicit mmbox_arena(const mmbox::ArenaOptions& options) : arena(options) {}
  // The callbacks outlive the arena, which may still call them until its thread has ended.
  std::mutex mutex;
  std::vector<std::unique_ptr<COwner>> owners;
  std::vector<std::unique_ptr<CShrinker>> shrinkers;
  Arena arena;
};

const char* mmbox_status_text(mmbox_status status) {
  switch (status) {
    case MMBOX_OK: return "all is well";
    case MMBOX_TOO_LARGE: return "no block is that large";
    case MMBOX_NO_ZONE: return "no zone may serve this request";
    case MMBOX_NO_MEMORY: return "every zone that may serve it said no";
    case MMBOX_INVALID: return "the options contradict each other";
    case MMBOX_SYSTEM: return "the system has no memory";
  }
  return "unknown status";
}

mmbox_status mmbox_arena_create(const mmbox_arena_options* options, mmbox_arena** arena) {
  try {
    mmbox::ArenaOptions out;
    out.bytes = options->bytes;
    out.backing = static_cast<mmbox::Backing>(options->backing);
    out.foreign_base = options->foreign_base;
    for (std::size_t i = 0; i < options->node_count; ++i)
      out.nodes.push_back({options->nodes[i].numa_node, options->nodes[i].bytes});
    out.shards = options->shards;
    out.movable_bytes = options->movable_bytes;
    out.cpus = options->cpus;
    out.reserve_bytes = options->reserve_bytes;
    out.background = options->background;
    out.return_idle_after = options->return_idle_after;
    out.fill_on_free = options->fill_on_free;
    out.guard_pages = options->guard_pages;
    *arena = new mmbox_arena{out};
    return MMBOX_OK;
  } catch (const std::invalid_argument&) {
    return MMBOX_INVALID;
  } catch (const std::system_error& error) {
    errno = error.code().value();
    return MMBOX_SYSTEM;
  } catch (const std::exception&) {
    errno = ENOMEM;
    return MMBOX_SYSTEM;
  }
}

void mmbox_arena_destroy(mmbox_arena* arena) {
  delete arena;
}
uintptr_t mmbox_arena_base(const mmbox_arena* arena) {
  return arena->arena.base();
}
size_t mmbox_arena_bytes(const mmbox_arena* arena) {
  return arena->arena.bytes();
}
mmbox_backing mmbox_arena_backing(const mmbox_arena* arena) {
  return static_cast<mmbox_backing>(arena->arena.mapping().backing());
}
const char* mmbox_arena_notes(const mmbox_arena* arena) {
  return arena->arena.mapping().notes().c_str();
}
int mmbox_arena_file(const mmbox_arena* arena) {
  return arena->arena.mapping().file();
}

// ------------------------------------------------------------- blocks

mmbox_status mmbox_try_allocate(mmbox_arena* arena, unsigned order, const mmbox_want* want, void** block) {
  const auto got = want == nullptr ? arena->arena.try_allocate(order_of(order))
                                   : arena->arena.try_allocate(order_of(order), wanted(want));
  *block = got ? *got : nullptr;
  return got ? MMBOX_OK : status_of(got.error());
}
mmbox_status mmbox_try_allocate_bytes(mmbox_arena* arena, size_t bytes, const mmbox_want* want, void** block) {
  const auto got = arena->arena.try_allocate_bytes(bytes, wanted(want));
  *block = got ? *got : nullptr;
  return got ? MMBOX_OK : status_of(got.error());
}
void* mmbox_allocate(mmbox_arena* arena, unsigned order, const mmbox_want* want) {
  void* block = nullptr;
  static_cast<void>(mmbox_try_allocate(arena, order, want, &block));
  return block;
}
void* mmbox_allocate_bytes(mmbox_arena* arena, size_t bytes, const mmbox_want* want) {
  void* block = nullptr;
  static_cast<void>(mmbox_try_allocate_bytes(arena, bytes, want, &block));
  return block;
}
size_t mmbox_allocate_bulk(mmbox_arena* arena, void** pages, size_t count, const mmbox_want* want) {
  return arena->arena.allocate_bulk({pages, count}, wanted(want));
}
void mmbox_free_sized(mmbox_arena* arena, void* block, unsigned order) {
  arena->arena.free(block, order_of(order));
}
void mmbox_free(mmbox_arena* arena, void* block) {
  arena->arena.free(block);
}
void mmbox_free_bytes(mmbox_arena* arena, void* block, size_t bytes) {
  arena->arena.free_bytes(block, bytes);
}
void mmbox_free_bulk(mmbox_arena* arena, void* const* pages, size_t count) {
  arena->arena.free_bulk({pages, count});
}
void mmbox_split(mmbox_arena* arena, void* block, unsigned order) {
  arena->arena.split(block, order_of(order));
}
int mmbox_order_of(const mmbox_arena* arena, const void* block) {
  const auto order = arena->arena.order_of(block);
  return order ? static_cast<int>(order->raw()) : -1;
}
mmbox_status mmbox_try_allocate_frames(mmbox_arena* arena, unsigned order, const mmbox_want* want, uint64_t* first) {
  const auto got = arena->arena.try_allocate_frames(order_of(order), wanted(want));
  if (!got)
    return status_of(got.error());
  *first = got->raw();
  return MMBOX_OK;
}
void mmbox_free_frames(mmbox_arena* arena, uint64_t first, unsigned order) {
  arena->arena.free_frames(mmbox::Pfn{first}, order_of(order));
}

// ------------------------------------------------------------- moving, shrinking

int mmbox_add_owner(mmbox_arena* arena, mmbox_relocate relocate, void* context) {
  try {
    const std::lock_guard lock{arena->mutex};
    arena->owners.push_back(std::make_unique<COwner>(relocate, context));
    return static_cast<int>(arena->arena.add_owner(*arena->owners.back()).raw());
  } catch (const std::exception&) {
    return -1;
  }
}
int mmbox_add_shrinker(mmbox_arena* arena, mmbox_shrink shrink, void* context) {
  try {
    const std::lock_guard lock{arena->mutex};
    arena->shrinkers.push_back(std::make_unique<CShrinker>(shrink, context));
    arena->arena.add_shrinker(*arena->shrinkers.back());
    return 0;
  } catch (const std::exception&) {
    return -1;
  }
}
uint64_t mmbox_compact(mmbox_arena* arena) {
  return arena->arena.compact();
}
void mmbox_drain(mmbox_arena* arena) {
  arena->arena.drain();
}
size_t mmbox_give_back(mmbox_arena* arena) {
  return arena->arena.give_back();
}

// ------------------------------------------------------------- statistics, misuse

void mmbox_get_stats(const mmbox_arena* arena, mmbox_stats* stats) {
  const mmbox::ArenaStats now = arena->arena.stats();
  static_assert(MMBOX_ORDERS == mmbox::kOrders);
  *stats = {now.managed,   now.free,  now.per_cpu, now.used,      {},         now.allocations,
            now.allocated, now.freed, now.moved,   now.not_moved, now.shrunk, now.given_back};
  std::copy(now.free_blocks.begin(), now.free_blocks.end(), stats->free_blocks);
}

size_t mmbox_get_text(const mmbox_arena* arena, mmbox_text which, char* buffer, size_t size) {
  std::string text;
  switch (which) {
    case MMBOX_BUDDYINFO: text = arena->arena.buddyinfo(); break;
    case MMBOX_PAGETYPEINFO: text = arena->arena.pagetypeinfo(); break;
    case MMBOX_ZONEINFO: text = arena->arena.zoneinfo(); break;
    case MMBOX_VMSTAT: text = arena->arena.vmstat(); break;
  }
  if (size > 0) {
    const std::size_t copied = std::min(text.size(), size - 1);
    std::memcpy(buffer, text.data(), copied);
    buffer[copied] = 0;
  }
  return text.size();
}

void mmbox_set_misuse_handler(mmbox_misuse_handler handler) {
  c_handler.store(handler);
  if (handler == nullptr) {
    mmbox::set_misuse_handler(nullptr);
    return;
  }
  mmbox::set_misuse_handler([](const mmbox::Misuse& misuse) {
    if (const mmbox_misuse_handler told = c_handler.load(); told != nullptr)
      told(mmbox::text_of(misuse).c_str());
  });
}
