// A mix of blocks of random orders, of which a fixed number is live: the same sequence for every allocator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include "mmbox/mmbox.h"

namespace mmbox::bench {

/// What the orders 0 … 9 have in equal shares.
enum class OrderShare : bool { EqualChance, EqualBytes };

inline constexpr unsigned kMixOrders = 10;

/// Allocates from the engine: every other slot of a mix holds memory of a user, which is movable, the rest the
/// kernel's.
[[nodiscard]] inline Pfn mix_alloc(Machine& machine, unsigned order, std::size_t slot) {
  const AllocResult block = machine.alloc(
      {.gfp = (slot & 1U) != 0 ? gfp::kHighUserMovable : gfp::kKernel, .order = Order{order}, .cpu = CpuId{0}});
  if (!block) [[unlikely]]
    std::abort();
  return *block;
}

/// `Blocks`: `Block alloc(order, slot)`, `free(block, order)`, and `touch(block, order)` for each block before the
/// measurement begins; made from the number of bytes that will be live.
template <class Blocks>
class RandomMix {
 public:
  /// Makes as many blocks as have about `pages` pages together. Steps come from a fixed seed.
  RandomMix(OrderShare share, std::uint64_t pages) : blocks_(pages * kPageSize) {
    std::mt19937_64 random{20240229};
    const auto draw_order = [&] {
      if (share == OrderShare::EqualChance)
        return static_cast<unsigned>(random() % kMixOrders);
      // 512 + 256 + … + 1 chances: order n has half as many as order n - 1.
      const std::uint64_t chance = random() % ((1U << kMixOrders) - 1);
      unsigned order = 0;
      for (std::uint64_t below = 1U << (kMixOrders - 1); chance >= below; below += 1U << (kMixOrders - 1 - order))
        ++order;
      return order;
    };
    while (live_pages_ < pages) {
      const unsigned order = draw_order();
      live_.push_back({blocks_.alloc(order, live_.size()), order});
      live_pages_ += std::uint64_t{1} << order;
      blocks_.touch(live_.back().block, order);
    }
    steps_.resize(kSteps);
    for (Step& step : steps_)
      step = {static_cast<std::uint32_t>(random() % live_.size()), draw_order()};
  }
  ~RandomMix() {
    for (const Live& each : live_)
      blocks_.free(each.block, each.order);
  }
  RandomMix(const RandomMix&) = delete;
  RandomMix& operator=(const RandomMix&) = delete;

  void step() {
    const Step& step = steps_[at_++ % kSteps];
    replace(step);
  }
  /// Goes through all steps once, and touches what they allocate.
  void warm_up() {
    for (const Step& step : steps_) {
      replace(step);
      blocks_.touch(live_[step.slot].block, step.order);
    }
  }

  [[nodiscard]] std::size_t live_blocks() const { return live_.size(); }
  [[nodiscard]] std::uint64_t live_pages() const {
    std::uint64_t pages = 0;
    for (const Live& each : live_)
      pages += std::uint64_t{1} << each.order;
    return pages;
  }

 private:
  struct Live {
    typename Blocks::Block block;
    unsigned order;
  };
  struct Step {
    std::uint32_t slot;
    unsigned order;
  };
  // Long enough to go many times through the live blocks; 8 bytes each, read in order.
  static constexpr std::size_t kSteps = std::size_t{1} << 18;

  void replace(const Step& step) {
    Live& live = live_[step.slot];
    blocks_.free(live.block, live.order);
    live = {blocks_.alloc(step.order, step.slot), step.order};
  }

  Blocks blocks_;
  std::vector<Live> live_;
  std::vector<Step> steps_;
  std::uint64_t live_pages_ = 0;
  std::size_t at_ = 0;
};

}  // namespace mmbox::bench
