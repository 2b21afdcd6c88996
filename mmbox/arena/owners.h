// Who can move blocks, and who can free some: the callbacks that an arena's users bring.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "mmbox/core/base/units.h"

namespace mmbox {

class Arena;

/// A move that the arena asks for.
struct Relocation {
  Arena& arena;
  Pfn from;
  Pfn to;  ///< as large as `from`, and unknown to everybody
  Order order;
  std::uint32_t tag;  ///< as given when the block was allocated
  /// Addresses of both, where the memory has any.
  void* from_address;
  void* to_address;
  std::size_t bytes;
};

/// Owns movable blocks, and can move them.
class Owner {
 public:
  /// Moves a block: copies its contents, and makes whoever used `from` use `to`. True if that is done: `from` is the
  /// arena's from then on, `to` the owner's, with the same tag. False refuses, and leaves everything as it was.
  ///
  /// Runs in a thread that compacts, one move at a time, which may be any thread inside of allocate() with
  /// Effort::Normal. So it must not wait for a lock that a thread may hold while it allocates or frees: it tries the
  /// lock, and refuses. It may free other blocks, and allocate with NoWait. A block that its owner frees while it is
  /// being moved is freed when the move is over, wherever it then is; the owner should refuse to move it.
  virtual bool relocate(const Relocation& move) = 0;

 protected:
  ~Owner() = default;
};

/// Keeps memory that it can do without.
class Shrinker {
 public:
  /// Frees up to about `pages` pages. Returns how many it freed; 0 says that there is nothing left.
  /// Runs in the background thread, or in a thread inside of allocate(); see Owner::relocate() for what that means.
  virtual std::size_t shrink(std::size_t pages) = 0;
  /// Pages that it could free; an estimate.
  virtual std::size_t shrinkable() { return 0; }

 protected:
  ~Shrinker() = default;
};

/// Names an owner of one arena.
using OwnerId = detail::Index<struct OwnerTag, std::uint16_t>;

/// What an arena remembers of a block that has an owner, at the block's first frame. All zero for every other frame.
///
/// The word changes by compare-and-exchange alone:
///   none -> owned          its allocation
///   owned -> none          its free
///   owned -> held          somebody is about to move it
///   held -> owned          and did, or did not
///   held -> held, freed    its owner let go meanwhile; whoever holds it frees it
struct OwnerRecord {
  std::atomic<std::uint32_t> word;
  std::uint32_t tag;
};
static_assert(sizeof(OwnerRecord) == 8);

namespace owner_word {
inline constexpr std::uint32_t kOwned = 1;
inline constexpr std::uint32_t kHeld = 2;
inline constexpr std::uint32_t kFreed = 4;
/// Owned by `owner`, of this order.
[[nodiscard]] constexpr std::uint32_t owned(OwnerId owner, unsigned order) {
  return static_cast<std::uint32_t>(owner.raw()) << 16 | order << 8 | kOwned;
}
[[nodiscard]] constexpr std::uint32_t held(std::uint32_t word) {
  return (word & ~kOwned) | kHeld;
}
[[nodiscard]] constexpr bool is_owned(std::uint32_t word) {
  return (word & kOwned) != 0;
}
[[nodiscard]] constexpr bool is_held(std::uint32_t word) {
  return (word & kHeld) != 0;
}
[[nodiscard]] constexpr bool is_freed(std::uint32_t word) {
  return (word & kFreed) != 0;
}
[[nodiscard]] constexpr unsigned order(std::uint32_t word) {
  return (word >> 8) & 0xfU;
}
[[nodiscard]] constexpr OwnerId owner(std::uint32_t word) {
  return OwnerId{word >> 16};
}
}  // namespace owner_word

}  // namespace mmbox
