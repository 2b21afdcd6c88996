// How many pages each zone keeps back, and how much its per-cpu lists and counters may hold: the sizing formulas.
//
// Pure arithmetic; no formula here changes a zone. Amounts are pages unless a name says kbytes. The largest product is
// pages_min · managed: with min_free_kbytes below 2^31, as the sysctl has it, it fits 64 bits up to 2^35 pages (128
// TiB).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mmbox/core/base/policy.h"
#include "mmbox/core/base/units.h"
#include "mmbox/core/topology/arith.h"
#include "mmbox/core/topology/tunables.h"

namespace mmbox {

/// What the formulas read of one zone.
struct ZoneSize {
  NodeId node;
  ZoneType type;
  bool is_highmem = false;  ///< HighMem, or Movable carved from it
  std::uint64_t present_pages;
  std::uint64_t managed_pages;
  std::uint64_t high_pages = 0;  ///< the HIGH watermark now in force, boost included; 0 at boot
};

/// Σ max(0, managed − high) over the zones up to `highest` by type: what may be handed out above the high marks.
/// Source: nr_free_zone_pages(), mm/page_alloc.c.
[[nodiscard]] constexpr std::uint64_t free_zone_pages(std::span<const ZoneSize> zones, ZoneType highest) {
  std::uint64_t sum = 0;
  for (const ZoneSize& zone : zones) {
    if (zone.type <= highest && zone.managed_pages > zone.high_pages)
      sum += zone.managed_pages - zone.high_pages;
  }
  return sum;
}

/// True if a machine is too small for mobility grouping: fewer pages than one pageblock of every type.
///
/// `total_pages` is free_zone_pages(…, Movable) when the zonelists are built, from the managed estimate at boot;
///   `migratetypes` counts the compiled-in types, 5 or 6.
/// Source: build_all_zonelists(), mm/page_alloc.c.
[[nodiscard]] constexpr bool mobility_grouping_disabled(std::uint64_t total_pages, unsigned migratetypes) {
  return total_pages < kPageblockPages * migratetypes;
}

/// The bounds of a computed vm.min_free_kbytes; what a user writes is not held to them.
struct MinFreeBounds {
  std::uint64_t floor_kbytes = 128;
  std::uint64_t cap_kbytes = 262144;
};

/// vm.min_free_kbytes after the kernel has recomputed it for `lowmem_pages` = free_zone_pages(…, Normal).
///
/// Unit: kB. A user's value that is not below the formula's protects the value now in force, unless `user` says that
/// nothing does.
/// Source: calculate_min_free_kbytes(), mm/page_alloc.c.
[[nodiscard]] constexpr std::uint64_t recomputed_min_free_kbytes(std::uint64_t lowmem_pages, const Tunables& tunables,
                                                                 MinFreeBounds bounds = {},
                                                                 UserMinFree user = UserMinFree::KeptIfNotLower) {
  const std::uint64_t wanted = int_sqrt(lowmem_pages * (kPageSize / 1024) * 16);
  if (user == UserMinFree::KeptIfNotLower && tunables.user_min_free_kbytes >= 0 &&
      wanted <= static_cast<std::uint64_t>(tunables.user_min_free_kbytes))
    return tunables.min_free_kbytes;
  return bounded(wanted, bounds.floor_kbytes, bounds.cap_kbytes);
}

/// Below this many managed pages in the whole machine (512 MiB) transparent huge pages are off at boot.
inline constexpr std::uint64_t kThpMinPages = 512ULL * 1024 * 1024 / kPageSize;

/// The vm.min_free_kbytes that khugepaged wants: two pageblocks for each populated zone up to Normal, and one for each
/// pair of per-cpu types, but no more than 5 % of what lies above the high marks now in force.
///
/// `populated`: populated zones up to Normal; `lowmem_pages`: free_zone_pages(…, Normal).
/// Unit: kB. It replaces a smaller min_free_kbytes; the caller recomputes the watermarks in any case.
/// Source: set_recommended_min_free_kbytes(), mm/khugepaged.c.
[[nodiscard]] constexpr std::uint64_t khugepaged_min_free_kbytes(std::uint64_t populated, std::uint64_t lowmem_pages) {
  const std::uint64_t recommended = kPageblockPages * populated * (2 + 3 * 3);
  return lesser(recommended, lowmem_pages / 20) * (kPageSize / 1024);
}

/// The same, counted over `zones`.
[[nodiscard]] constexpr std::uint64_t khugepaged_min_free_kbytes(std::span<const ZoneSize> zones) {
  std::uint64_t populated = 0;
  for (const ZoneSize& zone : zones)
    populated += zone.type <= ZoneType::Normal && zone.present_pages != 0 ? 1 : 0;
  return khugepaged_min_free_kbytes(populated, free_zone_pages(zones, ZoneType::Normal));
}

/// The marks of a zone, without boost.
struct Watermarks {
  std::uint64_t min = 0;
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::uint64_t promo = 0;
  friend constexpr bool operator==(const Watermarks&, const Watermarks&) = default;
};

/// True if a zone has a small MIN of its own and no share of min_free_kbytes: highmem, since 6.6 the Movable zone too.
[[nodiscard]] constexpr bool has_own_min(const ZoneSize& zone, MovableZoneMarks movable) {
  return zone.is_highmem || (movable == MovableZoneMarks::OwnSmall && zone.type == ZoneType::Movable);
}

/// Σ managed over the zones among which min_free_kbytes is shared out.
[[nodiscard]] constexpr std::uint64_t watermark_lowmem_pages(std::span<const ZoneSize> zones,
                                                             MovableZoneMarks movable = MovableZoneMarks::AsLowmem) {
  std::uint64_t sum = 0;
  for (const ZoneSize& zone : zones)
    sum += has_own_min(zone, movable) ? 0 : zone.managed_pages;
  return sum;
}

/// The marks of one zone; `lowmem_pages` is watermark_lowmem_pages() of the machine.
///
/// A zone with a small MIN of its own follows its share in the distance between its marks.
/// Source: __setup_per_zone_wmarks(), mm/page_alloc.c.
[[nodiscard]] constexpr Watermarks zone_watermarks(const ZoneSize& zone, std::uint64_t lowmem_pages,
                                                   std::uint64_t min_free_kbytes, std::uint32_t watermark_scale_factor,
                                                   WatermarkGaps gaps = WatermarkGaps::ScaledAndPromo,
                                                   MovableZoneMarks movable = MovableZoneMarks::AsLowmem) {
  const std::uint64_t pages_min = min_free_kbytes / (kPageSize / 1024);
  // Without lowmem there is nothing to share out (and no zone that would get a share).
  const std::uint64_t share = lowmem_pages == 0 ? 0 : pages_min * zone.managed_pages / lowmem_pages;
  Watermarks marks;
  marks.min = has_own_min(zone, movable) ? bounded(zone.managed_pages / 1024, 32, 128) : share;
  if (gaps == WatermarkGaps::Quarters) {
    marks.low = marks.min + share / 4;
    marks.high = marks.min + share / 2;  // an odd share is truncated once, not twice
    return marks;
  }
  const std::uint64_t distance = greater(share / 4, mult_frac(zone.managed_pages, watermark_scale_factor, 10000));
  marks.low = marks.min + distance;
  marks.high = marks.low + distance;
  if (gaps == WatermarkGaps::ScaledAndPromo)
    marks.promo = marks.high + distance;
  return marks;
}

/// Pages of one zone that requests which could go higher leave alone, by the request's highest zone index.
using LowmemReserve = std::array<std::int64_t, kMaxZoneTypes>;

/// The reserve of zone `index` of a node: the managed pages of the zones above, up to the request's, over `ratio`.
///
/// `node_managed`: managed pages of each zone type of the node, by index. A ratio below 1 stands for "no reserve", or
/// for 1; `rule` says which, and whether a zone without managed pages has a reserve all the same.
/// Source: setup_per_zone_lowmem_reserve(), mm/page_alloc.c.
[[nodiscard]] constexpr LowmemReserve lowmem_reserve(std::span<const std::uint64_t> node_managed, ZoneIndex index,
                                                     std::int64_t ratio, LowmemRatio rule = LowmemRatio::ZeroIsOff) {
  const bool old = rule == LowmemRatio::AtLeastOne;
  if (old && ratio < 1)
    ratio = 1;
  LowmemReserve reserve{};
  std::uint64_t above = 0;
  for (std::size_t j = index.raw() + 1; j < node_managed.size(); ++j) {
    above += node_managed[j];
    if (ratio >= 1 && (old || node_managed[index.raw()] != 0))
      reserve[j] = static_cast<std::int64_t>(above / static_cast<std::uint64_t>(ratio));
  }
  return reserve;
}

/// A zone's part of totalreserve_pages: its largest reserve and its HIGH mark (with boost), at most all it has.
/// Source: calculate_totalreserve_pages(), mm/page_alloc.c.
[[nodiscard]] constexpr std::uint64_t zone_totalreserve(const LowmemReserve& reserve, std::uint64_t high_pages,
                                                        std::uint64_t managed_pages) {
  std::uint64_t largest = 0;
  for (const std::int64_t pages : reserve)
    largest = greater(largest, static_cast<std::uint64_t>(pages));
  return lesser(managed_pages, largest + high_pages);
}

/// A zone's part of min_unmapped_pages (ratio: vm.min_unmapped_ratio) or of min_slab_pages (vm.min_slab_ratio).
/// Each zone is truncated by itself. Source: setup_min_unmapped_ratio(), setup_min_slab_ratio(), mm/page_alloc.c.
[[nodiscard]] constexpr std::uint64_t zone_percent(std::uint64_t managed_pages, std::uint32_t percent) {
  return managed_pages * percent / 100;
}

/// The largest per-cpu delta that fits the kernel's counters, and its limit.
inline constexpr unsigned kMaxStatThreshold = 125;

/// How far a per-cpu delta of a zone counter may go before it is added to the zone's.
/// Source: calculate_normal_threshold(), mm/vmstat.c.
[[nodiscard]] constexpr unsigned stat_threshold(unsigned online_cpus, std::uint64_t managed_pages) {
  return static_cast<unsigned>(
      lesser(kMaxStatThreshold, std::uint64_t{2} * fls(online_cpus) * (1 + fls(managed_pages >> 15))));
}

/// The smaller threshold while kswapd works on a zone with a drift mark, so that the sum of all deltas cannot hide the
/// MIN mark. Source: calculate_pressure_threshold(), mm/vmstat.c.
[[nodiscard]] constexpr unsigned pressure_stat_threshold(unsigned online_cpus, const Watermarks& marks) {
  return static_cast<unsigned>(bounded((marks.low - marks.min) / greater(1, online_cpus), 1, kMaxStatThreshold));
}

/// The mark below which a zone's free pages are counted with all deltas; the old one stays if the deltas are harmless.
///
/// `boost` is the zone's watermark boost at that moment. Source: refresh_zone_stat_thresholds(), mm/vmstat.c.
[[nodiscard]] constexpr std::uint64_t percpu_drift_mark(std::uint64_t old_mark, unsigned online_cpus,
                                                        unsigned threshold, const Watermarks& marks,
                                                        std::uint64_t boost = 0) {
  const std::uint64_t drift = std::uint64_t{online_cpus} * threshold;
  return drift > marks.low - marks.min ? marks.high + boost + drift : old_mark;
}

/// How much a per-cpu list of a zone moves at once, and holds.
struct PcpSize {
  std::uint32_t high = 0;  ///< PcpSizing::Range: the least
  std::uint32_t batch = 1;
  std::uint32_t high_max = 0;  ///< PcpSizing::Range only
  friend constexpr bool operator==(PcpSize, PcpSize) = default;
};

/// In force before the lists are set up, and while they are disabled: a freed page is returned at once, refills take 1.
inline constexpr PcpSize kBootPcpSize{.high = 0, .batch = 1, .high_max = 0};

/// Pages that a per-cpu list takes from, or returns to, the free lists in one go; 0 in tiny zones, where it is 1.
/// `cap_bytes`: 1 MiB, to 4.17 512 KiB. Source: zone_batchsize(), mm/page_alloc.c.
[[nodiscard]] constexpr std::uint32_t pcp_raw_batch(std::uint64_t managed_pages, std::uint64_t cap_bytes) {
  // 1/1024 of the zone, at most the cap, and a quarter of that: then one less than a power of two, so that the cache
  // colours of what moves together differ.
  const std::uint64_t quarter = greater(1, lesser(managed_pages >> 10, cap_bytes / kPageSize) / 4);
  return static_cast<std::uint32_t>(std::bit_floor(quarter + quarter / 2) - 1);
}
/// The same, at least 1.
[[nodiscard]] constexpr std::uint32_t pcp_batch(std::uint64_t managed_pages) {
  return static_cast<std::uint32_t>(greater(1, pcp_raw_batch(managed_pages, 1ULL << 20)));
}

/// Pages a per-cpu list may hold: the LOW mark (with boost) shared by the node's CPUs, or 1/fraction of the zone.
///
/// `cpus`: CPUs of the zone's node, one more while a CPU is coming online, all online ones if that makes 0.
/// `high_fraction`: vm.percpu_pagelist_high_fraction, 0 for none.
/// Source: zone_highsize(), mm/page_alloc.c.
[[nodiscard]] constexpr std::uint32_t pcp_high(std::uint64_t managed_pages, std::uint64_t low_pages,
                                               std::uint32_t batch, std::uint32_t high_fraction, std::uint32_t cpus) {
  const std::uint64_t total = high_fraction == 0 ? low_pages : managed_pages / high_fraction;
  return static_cast<std::uint32_t>(greater(total / greater(1, cpus), std::uint64_t{batch} * 4));
}

/// Per-cpu lists of six batches, or of a fraction of the zone, whatever the number of CPUs.
/// Source: pageset_set_batch(), pageset_set_high() to 5.12.
[[nodiscard]] constexpr PcpSize pcp_size_of_batches(std::uint64_t managed_pages, std::uint32_t fraction,
                                                    std::uint64_t cap_bytes) {
  if (fraction != 0) {
    const std::uint64_t high = managed_pages / fraction;
    constexpr std::uint64_t kBatchMax = 96;
    const std::uint64_t batch = bounded(high / 4, 1, kBatchMax);
    return {static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(batch), 0};
  }
  const std::uint32_t batch = pcp_raw_batch(managed_pages, cap_bytes);
  // Six times what was computed, not six times the batch: tiny zones keep nothing.
  return {6 * batch, batch < 1 ? 1 : batch, 0};
}

/// `low_pages` includes the boost; see pcp_high() for the others.
[[nodiscard]] constexpr PcpSize pcp_size(std::uint64_t managed_pages, std::uint64_t low_pages,
                                         std::uint32_t high_fraction, std::uint32_t cpus,
                                         PcpSizing sizing = PcpSizing::LowMark) {
  const std::uint32_t batch = pcp_batch(managed_pages);
  switch (sizing) {
    case PcpSizing::SixBatchesOf512K: return pcp_size_of_batches(managed_pages, high_fraction, 1ULL << 19);
    case PcpSizing::SixBatchesOf1M: return pcp_size_of_batches(managed_pages, high_fraction, 1ULL << 20);
    case PcpSizing::LowMark: return {pcp_high(managed_pages, low_pages, batch, high_fraction, cpus), batch, 0};
    case PcpSizing::Range: break;
  }
  // Between the share of LOW and that of an eighth of the zone; a user's fraction fixes both.
  constexpr std::uint32_t kEighth = 8;
  return {pcp_high(managed_pages, low_pages, batch, high_fraction, cpus), batch,
          pcp_high(managed_pages, low_pages, batch, high_fraction == 0 ? kEighth : high_fraction, cpus)};
}

}  // namespace mmbox
