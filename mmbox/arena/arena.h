// The arena: core's page allocator over memory that programs use.
//
//   mmbox::Arena arena{{.bytes = 1 << 30}};
//   void* run = arena.allocate(mmbox::Order{3});             // 32 KiB, aligned to 32 KiB
//   arena.free(run, mmbox::Order{3});
//
// All of the arena's state lies beside the memory that it manages, and nothing is ever written into that unless a
// setting asks for it. All functions may be called by any number of threads at the same time, but not from signal
// handlers. Blocks of up to 4 MiB (order 10) come from the engine's lists; larger runs are put together from
// pageblocks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mmbox/arena/front.h"
#include "mmbox/arena/mapping.h"
#include "mmbox/arena/owners.h"
#include "mmbox/arena/sync.h"
#include "mmbox/mmbox.h"

namespace mmbox {

extern template class BasicMachine<ArenaSync>;

/// How an arena is made. Every field may be left as it is but the size.
struct ArenaOptions {
  std::size_t bytes = 0;  ///< rounded down to whole pages; the sum of `nodes` if those are given
  Backing backing = Backing::Anonymous;
  std::uintptr_t foreign_base = 0;  ///< of Backing::Foreign: what offset 0 is called; a multiple of 4 MiB

  std::vector<NumaShare> nodes{};  ///< one zone for each; empty: one zone without a place
  /// Several zones of equal size, each the home of some of the CPUs: less waiting for zone locks, and large blocks
  /// found in more than one place. At most kMaxNodes; only without `nodes`.
  unsigned shards = 1;
  std::size_t movable_bytes =
      0;                 ///< at the end of each zone: only for movable blocks, so that it can always be emptied
  std::size_t cpus = 0;  ///< CPUs with lists of their own; 0: all that the system may have

  Generation generation = kLinux61;
  std::size_t reserve_bytes = 0;  ///< kept for Effort::Atomic (min_free_kbytes)

  bool background = false;              ///< a thread that frees and compacts before requests have to
  std::uint32_t return_idle_after = 0;  ///< milliseconds; free blocks of 2 MiB go back to the system; 0: never.
                                        ///< Needs `background`.
  bool fill_on_free = false;            ///< writes kFillByte over what is freed
  bool guard_pages = false;             ///< an inaccessible page behind every block; blocks take twice the memory
};

/// What fill_on_free writes.
inline constexpr unsigned char kFillByte = 0xdb;

enum class Mobility : std::uint8_t {
  Unmovable,    ///< stays where it is until it is freed
  Movable,      ///< may be moved by its owner; keep it away from what cannot
  Reclaimable,  ///< can be freed by a Shrinker
};
/// The engine's name for it.
[[nodiscard]] constexpr Migratetype migratetype_of(Mobility mobility) {
  return static_cast<Migratetype>(mobility);
}
static_assert(migratetype_of(Mobility::Unmovable) == Migratetype::Unmovable &&
              migratetype_of(Mobility::Movable) == Migratetype::Movable &&
              migratetype_of(Mobility::Reclaimable) == Migratetype::Reclaimable);

/// How far an allocation may go. Source: GFP_NOWAIT, GFP_ATOMIC, GFP_KERNEL and its modifiers.
enum class Effort : std::uint8_t {
  Normal,   ///< may compact and shrink in the calling thread: owners' and shrinkers' callbacks run in it
  NoWait,   ///< takes what is free; wakes the background thread
  Atomic,   ///< the same, and may use the reserve
  TryHard,  ///< compacts harder before it gives up
};

/// What is wanted of a block besides its size.
struct Want {
  Mobility mobility = Mobility::Unmovable;
  Effort effort = Effort::Normal;
  bool zeroed = false;                ///< filled with zeros; not of foreign memory
  bool this_node = false;             ///< nowhere else than on `node`
  std::optional<NodeId> node = {};    ///< nullopt: that of the CPU
  std::optional<OwnerId> owner = {};  ///< Movable only: who moves it
  std::uint32_t tag = 0;              ///< told to the owner
};

/// What went wrong where memory is given back.
enum class MisuseKind : std::uint8_t {
  DoubleFree,
  WrongOrder,
  ForeignAddress,  ///< of no arena
  WrongArena,      ///< of another arena
  NoBlock,         ///< in the arena, but no block begins there
};

struct Misuse {
  MisuseKind kind;
  std::uintptr_t address;
  std::uint64_t pfn;     ///< the frame; meaningless where the address is foreign
  unsigned order_given;  ///< kOrders if none was
  FrameState state;      ///< of the frame
  const Arena* arena;    ///< that was called
};
/// "double free: 0x7f1234560000, frame 1376, is free already, in a block of order 3"
[[nodiscard]] std::string text_of(const Misuse& misuse);
/// Called for every misuse, in the thread that did it. If it returns, the arena has not changed and goes on.
/// nullptr brings back the handler that prints and aborts. Returns the handler so far.
using MisuseHandler = void (*)(const Misuse& misuse);
MisuseHandler set_misuse_handler(MisuseHandler handler);

/// An arena in numbers. Unit: pages, unless it says otherwise. Taken without stopping anybody: of one moment only when
/// no other thread is at work. Counts of requests may miss a few where threads met on one CPU's lists.
struct ArenaStats {
  std::uint64_t managed = 0;
  std::uint64_t free = 0;     ///< on free lists
  std::uint64_t per_cpu = 0;  ///< free, on the lists and stacks of CPUs
  std::uint64_t used = 0;
  std::array<std::uint64_t, kOrders> free_blocks{};  ///< by order; blocks
  std::uint64_t allocations = 0;                     ///< blocks
  std::uint64_t allocated = 0;                       ///< pages
  std::uint64_t freed = 0;
  std::uint64_t moved = 0;       ///< by owners, for compaction
  std::uint64_t not_moved = 0;   ///< owners refused
  std::uint64_t shrunk = 0;      ///< freed by shrinkers
  std::uint64_t given_back = 0;  ///< to the system, as often as it happened
};

class Block;

class Arena {
 public:
  /// Throws std::system_error if there is no memory, std::invalid_argument if the options contradict each other.
  explicit Arena(const ArenaOptions& options);
  /// Every block is gone with it. Nobody else is in it any more.
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // ------------------------------------------------------------- blocks by address

  /// A block of 2^order pages, aligned to its size, or why there is none.
  [[nodiscard, gnu::always_inline]] Result<void*, AllocFailure> try_allocate(Order order,
                                                                             Mobility mobility = Mobility::Unmovable);
  [[nodiscard]] Result<void*, AllocFailure> try_allocate(Order order, const Want& want);
  /// The same for a number of bytes: the smallest block that holds them. Past 4 MiB a run of whole pageblocks.
  [[nodiscard]] Result<void*, AllocFailure> try_allocate_bytes(std::size_t bytes, const Want& want = {});
  /// Throws std::bad_alloc where try_allocate() refuses.
  [[nodiscard]] void* allocate(Order order, const Want& want = {});
  [[nodiscard]] void* allocate_bytes(std::size_t bytes, const Want& want = {});
  [[nodiscard]] Block allocate_block(Order order, const Want& want = {});
  /// Single pages into `out`, from its front. Returns how many there were; fewer only if memory is short.
  std::size_t allocate_bulk(std::span<void*> out, const Want& want = {});

  /// Misuse: see MisuseKind. A null pointer is nothing to free.
  [[gnu::always_inline]] void free(void* block, Order order);
  /// Looks the order up.
  void free(void* block);
  /// What came from try_allocate_bytes() with as many bytes.
  void free_bytes(void* block, std::size_t bytes);
  void free_bulk(std::span<void* const> pages);
  /// Makes single pages of a block, each to be freed alone. Not of a block with an owner.
  void split(void* block, Order order);

  // ------------------------------------------------------------- blocks by frame, for memory that has no address here

  [[nodiscard]] Result<Pfn, AllocFailure> try_allocate_frames(Order order, const Want& want = {});
  void free_frames(Pfn first, Order order);
  /// Of a block's first frame; frame 0 is the arena's first page.
  [[nodiscard]] std::uint64_t offset_of(Pfn pfn) const { return pfn.raw() * kPageSize; }

  // ------------------------------------------------------------- what is where

  [[nodiscard]] std::uintptr_t base() const { return base_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool contains(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - base_ < bytes_;
  }
  [[nodiscard]] Pfn pfn_of(const void* address) const {
    return Pfn{(reinterpret_cast<std::uintptr_t>(address) - base_) / kPageSize};
  }
  [[nodiscard]] void* address_of(Pfn pfn) const { return pointer_to(base_ + offset_of(pfn)); }
  /// The order of an allocated block by its address; nullopt if none begins there.
  [[nodiscard]] std::optional<Order> order_of(const void* block) const;
  [[nodiscard]] const Mapping& mapping() const { return *mapping_; }

  // ------------------------------------------------------------- moving and shrinking

  /// Makes an owner known; it outlives its blocks. At most 256.
  [[nodiscard]] OwnerId add_owner(Owner& owner);
  void add_shrinker(Shrinker& shrinker);
  void remove_shrinker(Shrinker& shrinker);
  /// Moves what can be moved, so that free memory comes together: single pages by the kernel's scanners, from the
  /// beginning of each zone to its end; larger blocks out of the pageblocks that hold least.
  /// Returns the number of free 2 MiB that there are afterwards.
  std::uint64_t compact();
  /// Returns the pages on CPUs' lists to the free lists.
  void drain();
  /// Gives the memory behind free blocks of 2 MiB and more back to the system. Unit of the result: bytes.
  std::size_t give_back();

  // ------------------------------------------------------------- statistics

  [[nodiscard]] ArenaStats stats() const;
  /// As /proc has them.
  [[nodiscard]] std::string buddyinfo() const;
  [[nodiscard]] std::string pagetypeinfo() const;
  [[nodiscard]] std::string zoneinfo() const;
  [[nodiscard]] std::string vmstat() const;
  /// The first thing that does not hold of the arena's books; nullopt if all does. Nobody else is at work meanwhile.
  [[nodiscard]] std::optional<Violation> check_books() const;

 private:
  friend class ArenaHost;
  using SharedMachine = BasicMachine<ArenaSync>;

  /// What happens to a block's contents besides being handed out; none of it by default.
  struct Hooks {
    bool any = false;
    bool poison = false;  ///< sanitizer or Valgrind
    bool fill = false;
    bool guard = false;
  };

  void make_machine(const ArenaOptions& options);
  [[nodiscard]] CpuId cpu() const {
    const unsigned now = current_cpu();
    return CpuId{now < cpus_ ? now : now % cpus_};
  }
  [[nodiscard]] Result<Pfn, AllocFailure> take(Order order, const Want& want);
  [[nodiscard]] AllocResult take_after_drain(const Request& request);
  /// A page for a request that found its CPU's stack empty; fills the stack.
  [[nodiscard]] AllocResult take_and_stock(Gfp gfp, Migratetype type);
  void empty_front();
  [[nodiscard]] Result<void*, AllocFailure> take_run(std::size_t bytes, const Want& want);
  [[nodiscard]] Result<void*, AllocFailure> finish(Result<Pfn, AllocFailure> got, Order order, const Want& want);
  [[gnu::noinline]] Result<void*, AllocFailure> allocate_past_front(Order order, Mobility mobility);
  [[gnu::noinline]] void free_with_care(void* block, Order order);
  [[gnu::noinline]] void release(Pfn pfn, unsigned order);
  void release_run(Pfn first, std::size_t pages);
  /// True if the block may be freed now; false if that is settled otherwise.
  [[nodiscard]] bool leaves_owner(FrameIndex index, unsigned order);
  void opened(Pfn pfn, unsigned order);
  void closed(Pfn pfn, unsigned order);
  [[gnu::cold, gnu::noinline]] void report(std::uintptr_t address, unsigned order);
  [[nodiscard]] const MemMap& map() const { return machine_->view().env.map; }

  std::uintptr_t base_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t frames_ = 0;
  unsigned cpus_ = 1;
  bool takes_care_ = false;  ///< blocks have owners, guards, or contents that somebody watches
  FrontStacks front_;
  std::optional<SharedMachine> machine_;
  bool has_guards_ = false;
  Hooks hooks_;
  std::atomic<bool> has_owners_ = false;
  std::span<OwnerRecord> records_;
  std::unique_ptr<Mapping> mapping_;
  Books machine_bytes_;
  Books record_bytes_;
  std::unique_ptr<class ArenaHost> host_;
};

/// Holds one block and frees it. Empty after a move.
class Block {
 public:
  Block() = default;
  Block(Arena& arena, void* memory, Order order) : arena_(&arena), memory_(memory), order_(order) {}
  Block(Block&& other) noexcept
      : arena_(other.arena_), memory_(std::exchange(other.memory_, nullptr)), order_(other.order_) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(arena_, other.arena_);
    std::swap(memory_, other.memory_);
    std::swap(order_, other.order_);
    return *this;
  }
  ~Block() {
    if (memory_ != nullptr)
      arena_->free(memory_, order_);
  }
  [[nodiscard]] explicit operator bool() const { return memory_ != nullptr; }
  [[nodiscard]] void* get() const { return memory_; }
  [[nodiscard]] Order order() const { return order_; }
  [[nodiscard]] std::size_t size() const { return kPageSize << order_.raw(); }
  [[nodiscard]] std::span<std::byte> bytes() const {
    return {static_cast<std::byte*>(memory_), memory_ == nullptr ? 0 : size()};
  }
  /// Lets go of the block without freeing it.
  [[nodiscard]] void* release() { return std::exchange(memory_, nullptr); }

 private:
  Arena* arena_ = nullptr;
  void* memory_ = nullptr;
  Order order_{0};
};

inline Result<void*, AllocFailure> Arena::try_allocate(Order order, Mobility mobility) {
  if (order.raw() <= kMaxPageOrder && !hooks_.any) [[likely]] {
    const FrameIndex index = front_.take(order.raw(), migratetype_of(mobility), current_cpu());
    if (index != kNil) [[likely]] {
      map().set_state(index, order.raw(), FrameState::allocated(order.raw(), FrameState::Compound::No));
      return address_of(Pfn{index});
    }
  }
  return allocate_past_front(order, mobility);
}

inline void Arena::free(void* block, Order order) {
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(block) - base_;
  const auto index = static_cast<FrameIndex>(offset / kPageSize);
  if (racy(takes_care_) || offset >= bytes_ || order.raw() > kMaxPageOrder || offset % kPageSize != 0 ||
      !map().state(index, order.raw()).is_allocated_as(order.raw())) [[unlikely]] {
    free_with_care(block, order);
    return;
  }
  if (!front_.put(map(), index, order.raw(), current_cpu())) [[unlikely]]
    release(Pfn{index}, order.raw());
}

}  // namespace mmbox
