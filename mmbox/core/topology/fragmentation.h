// How badly a zone's free memory is broken up, for a wanted order: the kernel's two indices and the percentage form.
//
// Pure functions on a zone's free blocks by order. Integers in thousandths, truncated as the kernel does.
// Source: __fragmentation_index(), unusable_free_index(), extfrag_for_order(), mm/vmstat.c.
#pragma once

#include <cstdint>
#include <span>

#include "mmbox/core/base/units.h"

namespace mmbox {

/// Sums over the free blocks of one zone, of all migratetypes (isolated ones too).
struct FreeBlockSums {
  std::uint64_t pages = 0;            ///< Σ blocks × 2^order
  std::uint64_t blocks = 0;           ///< Σ blocks
  std::uint64_t suitable_blocks = 0;  ///< blocks of the wanted order that the larger ones could be split into
};

/// Adds up `free_blocks[order]`. Unit: blocks, one entry an order from 0.
[[nodiscard]] constexpr FreeBlockSums sum_free_blocks(std::span<const std::uint64_t> free_blocks, Order wanted) {
  FreeBlockSums sums;
  for (unsigned o = 0; o < free_blocks.size(); ++o) {
    sums.pages += free_blocks[o] << o;
    sums.blocks += free_blocks[o];
    if (o >= wanted.raw())
      sums.suitable_blocks += free_blocks[o] << (o - wanted.raw());
  }
  return sums;
}

/// -1000 if a block of `wanted` exists; else toward 0 memory is short, toward 1000 it is broken up. Thousandths.
///
/// With a single free block the value is between -500 and 0. An order above the top one gives 0.
[[nodiscard]] constexpr std::int64_t fragmentation_index(std::span<const std::uint64_t> free_blocks, Order wanted) {
  if (wanted.raw() >= free_blocks.size())
    return 0;
  const FreeBlockSums sums = sum_free_blocks(free_blocks, wanted);
  if (sums.blocks == 0)
    return 0;
  if (sums.suitable_blocks > 0)
    return -1000;
  const std::uint64_t wanted_scaled = 1000 + sums.pages * 1000 / (1ULL << wanted.raw());
  return 1000 - static_cast<std::int64_t>(wanted_scaled / sums.blocks);
}

/// The part of free memory that is in blocks too small for `wanted`. Thousandths; 1000 if nothing is free.
[[nodiscard]] constexpr std::int64_t unusable_free_index(std::span<const std::uint64_t> free_blocks, Order wanted) {
  const FreeBlockSums sums = sum_free_blocks(free_blocks, wanted);
  if (sums.pages == 0)
    return 1000;
  return static_cast<std::int64_t>((sums.pages - (sums.suitable_blocks << wanted.raw())) * 1000 / sums.pages);
}

/// The same in percent, 0 if nothing is free: the score that proactive compaction goes by.
[[nodiscard]] constexpr unsigned external_fragmentation_percent(std::span<const std::uint64_t> free_blocks,
                                                                Order wanted) {
  const FreeBlockSums sums = sum_free_blocks(free_blocks, wanted);
  if (sums.pages == 0)
    return 0;
  return static_cast<unsigned>((sums.pages - (sums.suitable_blocks << wanted.raw())) * 100 / sums.pages);
}

}  // namespace mmbox
