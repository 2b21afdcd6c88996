// The pages of each node that could be evicted, by age: two lists for anonymous and two for file pages, and one for
// pages that never go. New pages come to the head, the oldest leave at the tail.
//
// A page in use has no links of its own in the allocator's records, so the lists go through the memory map's. A node's
// lists hold pages of all its zones; how many of each zone there are is counted beside them.
#pragma once

#include <array>
#include <cstdint>

#include "mmbox/core/alloc/machine_view.h"
#include "mmbox/core/reclaim/balance.h"

namespace mmbox {

/// The list that a page is on. Source: nr_inactive_anon, … in /proc/zoneinfo.
enum class LruList : std::uint8_t { InactiveAnon, ActiveAnon, InactiveFile, ActiveFile, Unevictable };
inline constexpr std::size_t kLruLists = 5;
/// The lists that are scanned, in the order of their turns.
inline constexpr std::array kAgeingLists{LruList::InactiveAnon, LruList::ActiveAnon, LruList::InactiveFile,
                                         LruList::ActiveFile};

enum class LruAge : std::uint8_t { Inactive, Active };
[[nodiscard]] constexpr LruList lru_list(LruType type, LruAge age) {
  return kAgeingLists[2 * static_cast<std::size_t>(type) + static_cast<std::size_t>(age)];
}
[[nodiscard]] constexpr LruType type_of(LruList list) {
  return list == LruList::InactiveFile || list == LruList::ActiveFile ? LruType::File : LruType::Anon;
}
[[nodiscard]] constexpr bool is_active(LruList list) {
  return list == LruList::ActiveAnon || list == LruList::ActiveFile;
}
static_assert(lru_list(LruType::File, LruAge::Active) == LruList::ActiveFile);

/// How a page that had been evicted comes back.
enum class Refault : std::uint8_t {
  WorkingSet,  ///< it had been in use up to its eviction
  Activated,   ///< and it was gone so briefly that it comes back to an active list
};

/// The lists of a machine, and what is remembered of how dear it was to take from them.
///
/// Single pages that are allocated, each on one list at most: the caller knows on which, and takes a page off before
/// its frame is freed or used otherwise. The machine outlives this, and its node counters `*_anon` and `*_file` follow.
class Lru {
 public:
  explicit Lru(const MachineView& machine) : machine_(&machine) {}
  /// The lists of `other` for a machine whose bytes are a copy of the other's.
  Lru(const MachineView& machine, const Lru& other) : Lru(other) { machine_ = &machine; }

  /// Puts a page on a list as its youngest.
  void add(FrameIndex page, LruList list) { insert(page, list, End::Head); }
  /// Puts a page on a list as the next to go.
  void add_tail(FrameIndex page, LruList list) { insert(page, list, End::Tail); }
  void remove(FrameIndex page, LruList list);
  /// The page that goes next; kNil from an empty list.
  [[nodiscard]] FrameIndex oldest(NodeId node, LruList list) const { return chain(node, list).tail; }

  [[nodiscard]] std::uint64_t pages(NodeId node, LruList list) const { return chain(node, list).pages; }
  [[nodiscard]] std::uint64_t pages(ZoneId zone, LruList list) const {
    return by_zone_[zone.raw()][static_cast<std::size_t>(list)];
  }
  /// Those of a node in its zones up to `highest`.
  [[nodiscard]] std::uint64_t pages(NodeId node, LruList list, ZoneIndex highest) const;

  /// Pages of `type` were written out to be rid of them, or turned out to be needed after all.
  void add_cost(NodeId node, LruType type, std::uint64_t pages);
  /// A page of the working set had to be read again. Where it goes is the caller's choice.
  void refaulted(NodeId node, LruType type, Refault how);
  [[nodiscard]] const ReclaimCosts& costs(NodeId node) const { return memory_[node.raw()].costs; }
  /// True if pages of `type` came back to an active list since the last `forget_refaults`.
  [[nodiscard]] bool refaults(NodeId node, LruType type) const {
    return memory_[node.raw()].activated[static_cast<std::size_t>(type)];
  }
  void forget_refaults(NodeId node) { memory_[node.raw()].activated = {}; }

 private:
  enum class End : bool { Head, Tail };
  struct Chain {
    FrameIndex head = kNil;
    FrameIndex tail = kNil;
    std::uint64_t pages = 0;
  };
  struct Memory {
    ReclaimCosts costs;
    std::array<bool, 2> activated{};
  };

  void insert(FrameIndex page, LruList list, End end);
  void count(const ZoneState& zone, LruList list, std::int64_t change);
  [[nodiscard]] const Chain& chain(NodeId node, LruList list) const {
    return chains_[node.raw()][static_cast<std::size_t>(list)];
  }
  [[nodiscard]] Chain& chain(NodeId node, LruList list) { return chains_[node.raw()][static_cast<std::size_t>(list)]; }

  const MachineView* machine_;
  std::array<std::array<Chain, kLruLists>, kMaxNodes> chains_{};
  std::array<std::array<std::uint64_t, kLruLists>, kMaxZones> by_zone_{};
  std::array<Memory, kMaxNodes> memory_{};
};

}  // namespace mmbox
