// The settings of a machine under their sysctl names, with the kernel's defaults.
#pragma once

#include <array>
#include <cstdint>

#include "mmbox/core/base/units.h"

namespace mmbox {

/// Zone types that a kernel may have compiled in, at the most.
inline constexpr std::size_t kMaxZoneTypes = 6;

/// Values of vm.* that the allocator reads. Each field is named as its sysctl.
/// Source: Documentation/admin-guide/sysctl/vm.rst; defaults of 6.1.
struct Tunables {
  std::uint64_t min_free_kbytes = 0;             ///< kB; 0 while it has not been computed
  std::int64_t user_min_free_kbytes = -1;        ///< kB; what a user wrote, -1 if nothing was written
  std::uint32_t watermark_scale_factor = 10;     ///< 1/10000 of managed pages, 1 … 3000
  std::uint32_t watermark_boost_factor = 15000;  ///< 1/10000 of the high mark; 0 turns boosting off
  /// By zone index; pages of higher zones are divided by it, 0 turns the reserve of that zone off.
  std::array<std::int64_t, kMaxZoneTypes> lowmem_reserve_ratio{};
  std::uint32_t percpu_pagelist_high_fraction = 0;  ///< 0 or ≥ 8
  std::uint32_t zone_reclaim_mode = 0;              ///< bits: 1 on, 2 write, 4 unmap
  std::uint32_t min_unmapped_ratio = 1;             ///< percent
  std::uint32_t min_slab_ratio = 5;                 ///< percent
  std::uint32_t dirty_ratio = 20;                   ///< percent
  std::uint64_t dirty_bytes = 0;                    ///< bytes; wins over dirty_ratio unless 0
  std::uint32_t node_reclaim_distance = 30;         ///< not a sysctl: RECLAIM_DISTANCE, 32 on some AMD machines
  std::uint32_t defrag_mode = 0;                    ///< 1: avoid mixing pageblocks at almost any price
  std::uint32_t extfrag_threshold = 500;            ///< permille
  std::uint32_t compaction_proactiveness = 20;      ///< 0 … 100
  std::uint32_t compact_unevictable_allowed = 1;    ///< 0: compaction leaves mlocked pages where they are
  std::uint32_t swappiness = 60;                    ///< 0 … 200: how dear evicting file pages is beside swapping
};

/// The default of lowmem_reserve_ratio for one zone type.
[[nodiscard]] constexpr std::int64_t default_lowmem_reserve_ratio(ZoneType type) {
  switch (type) {
    case ZoneType::Dma:
    case ZoneType::Dma32: return 256;
    case ZoneType::Normal: return 32;
    default: return 0;
  }
}

}  // namespace mmbox
