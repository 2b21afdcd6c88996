// A stack of blocks for each CPU, order and mobility, in front of the engine's per-cpu lists.
//
// What a program frees it mostly allocates again at once. A block that comes back to the stack of its own kind needs no
// watermark, no list and no look at the zone: its index is pushed, its state cleared. The engine sees such blocks as in
// use. Stacks are short, hold only blocks of the CPU's own zones, and are emptied whenever memory is short or is to be
// compacted. Each CPU's stacks are behind one lock of ArenaSync::Pageset.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mmbox/arena/sync.h"
#include "mmbox/mmbox.h"

namespace mmbox {

namespace front {
/// The most blocks of a stack, by order: 4 MiB of larger ones, but always two.
[[nodiscard]] constexpr unsigned depth(unsigned order) {
  const unsigned blocks = 1024U >> order;
  return blocks > 256 ? 256 : blocks < 2 ? 2 : blocks;
}
/// Where the stack of an order begins among those of one type.
inline constexpr std::array<std::uint32_t, kOrders + 1> kFirst = [] {
  std::array<std::uint32_t, kOrders + 1> first{};
  for (unsigned order = 0; order < kOrders; ++order)
    first[order + 1] = first[order] + depth(order);
  return first;
}();
}  // namespace front

class FrontStacks {
 public:
  /// `machine` has its zones. The stacks of one order and type hold at most a 128th of its memory, over all CPUs.
  void prepare(const MachineView& machine, std::uint64_t frames);

  /// A block of this order and type, without a state; kNil if this CPU has none.
  [[nodiscard, gnu::always_inline]] FrameIndex take(unsigned order, Migratetype type, unsigned cpu) {
    if (cpu >= cpus_) [[unlikely]]
      return kNil;
    Cpu& mine = stacks_[cpu];
    FrameIndex index;
    return ArenaSync::Pageset::pop(mine.lock_word, cpu, mine.of[raw(type)][order], index) ? index : kNil;
  }

  /// Keeps a block that its owner gave back. False if it is not for here, or there is no room. Its state is gone either
  /// way, unless it is not for here.
  [[nodiscard, gnu::always_inline]] bool put(const MemMap& map, FrameIndex index, unsigned order, unsigned cpu) {
    if (cpu >= cpus_) [[unlikely]]
      return false;
    Cpu& mine = stacks_[cpu];
    const Pageblock& block = map.pageblock(index);
    const Migratetype type = racy(block.type);
    if (!is_mergeable(type) || block.zone != mine.home[raw(type)]) [[unlikely]]
      return false;
    Stack& stack = mine.of[raw(type)][order];
    // Before somebody else can take it. Whoever releases it, if it does not fit, does not read the state.
    map.set_state(index, order, FrameState{});
    if (!ArenaSync::Pageset::push(mine.lock_word, cpu, stack, index)) [[unlikely]]
      return false;
    publish(stack.given, racy(stack.given) + 1);
    return true;
  }

  /// Puts single pages there as they come from the engine, allocated, until the stack is full; returns how many.
  std::size_t stock(const MemMap& map, std::span<const Pfn> pages, Migratetype type, unsigned cpu);

  /// Gives every block of every CPU to `release(index, order)`. No lock is held meanwhile.
  template <class Release>
  void empty(Release release) {
    std::vector<std::pair<FrameIndex, unsigned>> out;
    for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
      take_all(cpu, out);
      for (const auto& [index, order] : out)
        release(index, order);
      out.clear();
    }
  }

  [[nodiscard]] bool holds(FrameIndex index, unsigned& order);
  [[nodiscard]] std::uint64_t pages() const;
  /// What requests and frees of programs make here, less what the engine counts of it.
  struct Counts {
    std::int64_t allocations = 0;  ///< blocks
    std::int64_t allocated = 0;    ///< pages
    std::int64_t freed = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  static constexpr unsigned kTypes = kPcpTypes;
  struct Stack : CpuStack {
    std::uint64_t given = 0;  ///< blocks that were put here since the beginning
  };
  struct alignas(64) Cpu {
    std::uint32_t lock_word = 0;
    std::array<std::uint16_t, kTypes> home{};  ///< the zone whose blocks are kept, by type
    std::uint64_t emptied = 0;                 ///< blocks that went back to it
    std::uint64_t emptied_pages = 0;
    std::array<std::array<Stack, kOrders>, kTypes> of{};
    std::array<std::array<FrameIndex, front::kFirst[kOrders]>, kTypes> blocks{};
  };
  void take_all(unsigned cpu, std::vector<std::pair<FrameIndex, unsigned>>& out);

  std::unique_ptr<Cpu[]> stacks_;
  unsigned cpus_ = 0;
};

}  // namespace mmbox
