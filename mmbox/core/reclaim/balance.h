// How much of which list one pass over a node scans: arithmetic on plain numbers. 08 §5 to §7 of the specification.
#pragma once

#include <array>
#include <cstdint>

#include "mmbox/core/topology/arith.h"

namespace mmbox {

/// What is behind a page: swap, or a file.
enum class LruType : std::uint8_t { Anon, File };

/// Pages that are taken off a list at once, and that a request wants freed before it tries again.
/// Source: SWAP_CLUSTER_MAX.
inline constexpr std::uint64_t kReclaimBatch = 32;
/// The first pass looks at 1/2^12 of each list, every further one at twice as much, the one of priority 0 at all of it.
inline constexpr unsigned kFirstPriority = 12;
/// Below it, more and more is done to get pages.
inline constexpr unsigned kHardPriority = 10;

/// True if too few pages of a type wait to be evicted, so that active ones should follow.
/// Of n GiB, one page in 1 + √(10·n) shall be inactive; below one GiB, half of them.
[[nodiscard]] constexpr bool inactive_is_low(std::uint64_t inactive, std::uint64_t active) {
  const std::uint64_t gib = (inactive + active) >> 18;
  return inactive * (gib == 0 ? 1 : int_sqrt(10 * gib)) < active;
}

/// How often taking pages of a type was a bad idea, or dear. Unit: pages; old ones fade.
struct ReclaimCosts {
  std::uint64_t anon = 0;
  std::uint64_t file = 0;

  /// Adds pages; `lru_pages` are all that the node has on its lists.
  constexpr void add(LruType type, std::uint64_t pages, std::uint64_t lru_pages) {
    (type == LruType::Anon ? anon : file) += pages;
    if (anon + file > lru_pages / 4) {
      anon /= 2;
      file /= 2;
    }
  }
};

/// What the choice between anonymous and file pages depends on.
struct ScanBalance {
  bool may_swap = false;  ///< and there is swap left
  unsigned priority = kFirstPriority;
  std::uint32_t swappiness = 60;
  bool file_is_tiny = false;  ///< without file pages the node could not reach its marks
  bool cache_trim = false;    ///< inactive file pages are plenty
  ReclaimCosts costs{};
};

/// The part of a list's pages that is scanned, beside what the priority says: `anon` / `whole` or `file` / `whole`.
struct ScanShare {
  std::uint64_t anon;
  std::uint64_t file;
  std::uint64_t whole;

  /// Pages to scan of a list that has `size`.
  [[nodiscard]] constexpr std::uint64_t pages(LruType type, std::uint64_t size, unsigned priority) const {
    return mult_frac(size >> priority, type == LruType::Anon ? anon : file, whole);
  }
  friend constexpr bool operator==(ScanShare, ScanShare) = default;
};

[[nodiscard]] constexpr ScanShare scan_share(const ScanBalance& balance) {
  constexpr ScanShare kAnonOnly{1, 0, 1};
  constexpr ScanShare kFileOnly{0, 1, 1};
  constexpr ScanShare kAll{1, 1, 1};
  if (!balance.may_swap)
    return kFileOnly;
  if (balance.priority == 0 && balance.swappiness != 0)
    return kAll;
  if (balance.file_is_tiny)
    return kAnonOnly;
  if (balance.cache_trim)
    return kFileOnly;
  // The dearer a type was, the smaller its share; each counts for half of the other's cost too, so that none vanishes.
  const std::uint64_t both = balance.costs.anon + balance.costs.file;
  const std::uint64_t anon_cost = both + balance.costs.anon;
  const std::uint64_t file_cost = both + balance.costs.file;
  const std::uint64_t sum = anon_cost + file_cost + 1;
  const std::uint64_t anon = balance.swappiness * sum / (anon_cost + 1);
  const std::uint64_t file = (200 - lesser(balance.swappiness, 200)) * sum / (file_cost + 1);
  return anon + file == 0 ? kFileOnly : ScanShare{anon, file, anon + file};
}

/// Pages still to be scanned, list by list.
class ScanBudget {
 public:
  /// Sizes of the four ageing lists, in their order: inactive and active anonymous, inactive and active file pages.
  constexpr ScanBudget(const ScanShare& share, const std::array<std::uint64_t, 4>& sizes, unsigned priority) {
    for (std::size_t i = 0; i < sizes.size(); ++i)
      wanted_[i] = left_[i] = share.pages(i < 2 ? LruType::Anon : LruType::File, sizes[i], priority);
  }
  /// What is left of active anonymous pages alone is no reason to go on.
  [[nodiscard]] constexpr bool is_spent() const { return left_[0] + left_[2] + left_[3] == 0; }
  /// Takes the next batch of a list from the budget. Returns its pages.
  constexpr std::uint64_t take(std::size_t list) {
    const std::uint64_t batch = lesser(left_[list], kReclaimBatch);
    left_[list] -= batch;
    return batch;
  }
  /// Enough pages are freed: leaves the type alone of which less is left, and scans the other just as far. False if
  /// one type is at its end, and the scan with it.
  constexpr bool narrow() {
    const std::uint64_t anon_left = left_[0] + left_[1];
    const std::uint64_t file_left = left_[2] + left_[3];
    if (anon_left == 0 || file_left == 0)
      return false;
    const std::size_t dropped = anon_left <= file_left ? 0 : 2;
    const std::uint64_t wanted = wanted_[dropped] + wanted_[dropped + 1];
    const std::uint64_t percent_left = lesser(anon_left, file_left) * 100 / (wanted + 1);
    for (std::size_t i = 0; i < left_.size(); ++i) {
      const std::uint64_t done = wanted_[i] - left_[i];
      const std::uint64_t share = i / 2 == dropped / 2 ? 0 : wanted_[i] * (100 - percent_left) / 100;
      left_[i] = share < done ? 0 : share - done;
    }
    return true;
  }
  [[nodiscard]] constexpr std::uint64_t left(std::size_t list) const { return left_[list]; }

 private:
  std::array<std::uint64_t, 4> wanted_{};
  std::array<std::uint64_t, 4> left_{};
};

}  // namespace mmbox
