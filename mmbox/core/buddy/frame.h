// The record of every page frame: 1 byte of state, 8 bytes of links, and 16 bytes for each pageblock of 512.
//
// Everything that the allocator knows of a frame is here; what is *in* a page is the host's business. Blocks of
// pageblock order and larger keep state and links in the pageblock's record, so that a large free machine touches
// 16 bytes in 2 MiB and the per-frame arrays stay untouched (and cost no resident memory) until blocks are split.
//   per frame: 1 + 8 + 16/512 = 9.03 bytes
#pragma once

#include <cstddef>
#include <cstdint>

#include "mmbox/core/base/migratetype.h"
#include "mmbox/core/base/sync.h"
#include "mmbox/core/base/units.h"

namespace mmbox {

/// A frame's position in the memory map: pfn minus the map's first pfn.
using FrameIndex = std::uint32_t;
/// The end of a list.
inline constexpr FrameIndex kNil = 0xffff'ffffU;

/// What the first page of a block is. Only heads carry a state; all other frames are `None`.
///
/// None:       the inside of a block, a hole, or a page that was in use before this machine knew of it.
/// Buddy:      head of a free block, on the free list of `type`, which may differ from its pageblock's type.
/// Pcp:        on a per-cpu list; `type` is the cached one, under which it will return to the free lists.
/// Allocated:  handed out as one block.
/// Encoding: 1ooo ottt Buddy; 01ss sttt Pcp (s = order, 4 for order 9); 001c oooo Allocated (c = compound).
class FrameState {
 public:
  enum class Kind : std::uint8_t { None, Buddy, Pcp, Allocated };
  enum class Compound : bool { No, Yes };

  constexpr FrameState() = default;
  static constexpr FrameState buddy(unsigned order, Migratetype type) {
    return FrameState{static_cast<std::uint8_t>(0x80U | (order << 3) | mmbox::raw(type))};
  }
  static constexpr FrameState pcp(unsigned order, Migratetype type) {
    const unsigned slot = order == kPageblockOrder ? 4 : order;
    return FrameState{static_cast<std::uint8_t>(0x40U | (slot << 3) | mmbox::raw(type))};
  }
  static constexpr FrameState allocated(unsigned order, Compound compound) {
    return FrameState{static_cast<std::uint8_t>(0x20U | (compound == Compound::Yes ? 0x10U : 0U) | order)};
  }

  [[nodiscard]] constexpr Kind kind() const {
    if ((bits_ & 0x80U) != 0)
      return Kind::Buddy;
    if ((bits_ & 0x40U) != 0)
      return Kind::Pcp;
    return (bits_ & 0x20U) != 0 ? Kind::Allocated : Kind::None;
  }
  [[nodiscard]] constexpr bool is_none() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool is_buddy_of(unsigned order) const { return (bits_ & 0xf8U) == (0x80U | (order << 3)); }
  /// True for a block handed out as `order`, compound or not.
  [[nodiscard]] constexpr bool is_allocated_as(unsigned order) const { return (bits_ & 0xefU) == (0x20U | order); }
  /// Order of the block. Checks: not None.
  [[nodiscard]] constexpr unsigned order() const {
    if ((bits_ & 0x80U) != 0)
      return (bits_ >> 3) & 0xfU;
    if ((bits_ & 0x40U) != 0) {
      const unsigned slot = (bits_ >> 3) & 0x7U;
      return slot == 4 ? kPageblockOrder : slot;
    }
    return bits_ & 0xfU;
  }
  /// List type (Buddy) or cached type (Pcp).
  [[nodiscard]] constexpr Migratetype type() const { return static_cast<Migratetype>(bits_ & 0x7U); }
  [[nodiscard]] constexpr bool is_compound() const { return kind() == Kind::Allocated && (bits_ & 0x10U) != 0; }
  [[nodiscard]] constexpr std::uint8_t raw() const { return bits_; }
  friend constexpr bool operator==(FrameState, FrameState) = default;

 private:
  constexpr explicit FrameState(std::uint8_t bits) : bits_(bits) {}
  std::uint8_t bits_ = 0;
};
static_assert(sizeof(FrameState) == 1);
static_assert(FrameState::buddy(10, Migratetype::Isolate).order() == 10);
static_assert(FrameState::pcp(9, Migratetype::Cma).order() == 9 &&
              FrameState::pcp(9, Migratetype::Cma).type() == Migratetype::Cma);
static_assert(FrameState::allocated(10, FrameState::Compound::Yes).is_allocated_as(10));

/// Neighbours in a list.
struct Links {
  FrameIndex next;
  FrameIndex prev;
};

/// The record of 512 frames that share a mobility type.
struct Pageblock {
  Migratetype type;     ///< as every reader sees it: Isolate while it is set apart
  bool skip;            ///< compaction's hint: nothing to find here
  std::uint16_t zone;   ///< ZoneId of its first frame, kNoZone in a hole
  FrameState head;      ///< state of a block of order ≥ 9 that starts here
  Migratetype covered;  ///< the type beneath Isolate, for kernels that keep it (IsolationMark::Covers)
  bool is_cut = false;  ///< its last frame is not memory of its zone: nothing scans it for pages to move
  Links links;          ///< of that block
};
inline constexpr std::uint16_t kNoZone = 0xffff;
static_assert(sizeof(Pageblock) == 16);

/// All frame records of a machine: a view on arrays that live in the machine's bytes.
///
/// Shape: `frames` entries of state and links, `frames` / 512 pageblocks; `frames` is a multiple of 1024 and the first
/// pfn is aligned to 1024, so that a buddy's index is always inside the arrays.
///
/// Under locks, a state becomes or ceases to be Buddy only with its zone's lock held. The others change with the
/// block's owner, while whoever holds the lock may look at them for a buddy: so states are read and written whole.
class MemMap {
 public:
  MemMap() = default;
  MemMap(Pfn first, FrameIndex frames, FrameState* states, Links* links, Pageblock* pageblocks)
      : first_(first), frames_(frames), states_(states), links_(links), pageblocks_(pageblocks) {}

  [[nodiscard]] FrameIndex index(Pfn pfn) const { return static_cast<FrameIndex>(pfn.raw() - first_.raw()); }
  [[nodiscard]] Pfn pfn(FrameIndex index) const { return Pfn{first_.raw() + index}; }
  /// A pfn below the first one is a large distance from it.
  [[nodiscard]] bool contains(Pfn pfn) const { return pfn.raw() - first_.raw() < frames_; }
  [[nodiscard]] FrameIndex frames() const { return frames_; }

  [[nodiscard]] Pageblock& pageblock(FrameIndex index) const { return pageblocks_[index >> kPageblockOrder]; }

  /// The state of a frame, whatever the size of the block that it heads.
  [[nodiscard]] FrameState state(FrameIndex index) const {
    if ((index & (kPageblockPages - 1)) == 0) {
      if (const FrameState head = racy(pageblock(index).head); !head.is_none())
        return head;
    }
    return racy(states_[index]);
  }
  /// The state of a frame as far as it could head a block of `order`.
  [[nodiscard]] FrameState state(FrameIndex index, unsigned order) const {
    return racy(order >= kPageblockOrder ? pageblock(index).head : states_[index]);
  }
  /// Writes the state of a block's head; `order` says where it is kept.
  void set_state(FrameIndex index, unsigned order, FrameState state) const {
    publish(order >= kPageblockOrder ? pageblock(index).head : states_[index], state);
  }
  [[nodiscard]] Links& links(FrameIndex index, unsigned order) const {
    return order >= kPageblockOrder ? pageblock(index).links : links_[index];
  }
  [[nodiscard]] bool is_free_head(FrameIndex index, unsigned order) const {
    return state(index, order).is_buddy_of(order);
  }

 private:
  Pfn first_;
  FrameIndex frames_ = 0;
  FrameState* states_ = nullptr;
  Links* links_ = nullptr;
  Pageblock* pageblocks_ = nullptr;
};

}  // namespace mmbox
