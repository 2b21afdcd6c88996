#include "mmbox/core/observe/proc_format.h"

#include <array>

namespace mmbox {
namespace {

/// The parts, one after another with a blank between.
template <const std::string_view&... Parts>
struct Names {
  static constexpr std::size_t kSize = (Parts.size() + ...) + sizeof...(Parts) - 1;
  static constexpr std::array<char, kSize> kText = [] {
    std::array<char, kSize> text{};
    std::size_t at = 0;
    const auto append = [&](std::string_view part) {
      if (at != 0)
        text[at++] = ' ';
      for (const char c : part)
        text[at++] = c;
    };
    (append(Parts), ...);
    return text;
  }();
  static constexpr std::string_view kList{kText.data(), kSize};
};

using Text = std::string_view;

// ---------------------------------------------------------------- counters of zones and nodes

constexpr Text kNuma = "numa_hit numa_miss numa_foreign numa_interleave numa_local numa_other";

constexpr Text kZoneFree = "nr_free_pages";
constexpr Text kZoneLru =
    "nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file nr_zone_active_file nr_zone_unevictable "
    "nr_zone_write_pending nr_mlock";
constexpr Text kZonePageTables = "nr_page_table_pages";
constexpr Text kZoneBounce = "nr_bounce";
constexpr Text kZoneEnd = "nr_zspages nr_free_cma";
constexpr Text kZoneFreeBlocks = "nr_free_pages_blocks";
constexpr Text kZoneUnaccepted = "nr_unaccepted";

constexpr Text kNodeBegin =
    "nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable nr_slab_reclaimable "
    "nr_slab_unreclaimable nr_isolated_anon nr_isolated_file workingset_nodes workingset_refault_anon "
    "workingset_refault_file workingset_activate_anon workingset_activate_file workingset_restore_anon "
    "workingset_restore_file workingset_nodereclaim nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback";
constexpr Text kNodeWritebackTemp = "nr_writeback_temp";
constexpr Text kNodeShmem =
    "nr_shmem nr_shmem_hugepages nr_shmem_pmdmapped nr_file_hugepages nr_file_pmdmapped nr_anon_transparent_hugepages "
    "nr_vmscan_write nr_vmscan_immediate_reclaim nr_dirtied nr_written";
constexpr Text kNodeThrottled = "nr_throttled_written";
constexpr Text kNodePins = "nr_kernel_misc_reclaimable nr_foll_pin_acquired nr_foll_pin_released";
constexpr Text kNodeVmalloc = "nr_vmalloc";
constexpr Text kNodeStack = "nr_kernel_stack";
constexpr Text kNodePageTables = "nr_page_table_pages nr_sec_page_table_pages";
constexpr Text kNodeIommu = "nr_iommu_pages";
constexpr Text kNodePromote = "nr_swapcached pgpromote_success pgpromote_candidate";
constexpr Text kNodePromoteNrl = "pgpromote_candidate_nrl";
constexpr Text kNodeDemote = "pgdemote_kswapd pgdemote_direct pgdemote_khugepaged";
constexpr Text kNodeReclaim =
    "pgdemote_proactive pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgsteal_proactive pgsteal_anon pgsteal_file "
    "pgscan_kswapd pgscan_direct pgscan_khugepaged pgscan_proactive pgscan_anon pgscan_file pgrefill nr_hugetlb "
    "nr_balloon_pages nr_kernel_file_pages nr_gpu_active nr_gpu_reclaim";

// ---------------------------------------------------------------- vmstat

constexpr Text kDirty = "nr_dirty_threshold nr_dirty_background_threshold";
constexpr Text kMemmap = "nr_memmap_pages nr_memmap_boot_pages";

constexpr Text kEventsBegin =
    "pgpgin pgpgout pswpin pswpout pgalloc_* allocstall_* pgskip_* pgfree pgactivate pgdeactivate pglazyfree pgfault "
    "pgmajfault pglazyfreed";
constexpr Text kEventsReclaim510 =
    "pgrefill pgreuse pgsteal_kswapd pgsteal_direct pgscan_kswapd pgscan_direct pgscan_direct_throttle pgscan_anon "
    "pgscan_file pgsteal_anon pgsteal_file zone_reclaim_failed";
constexpr Text kEventsReclaim61 =
    "pgrefill pgreuse pgsteal_kswapd pgsteal_direct pgdemote_kswapd pgdemote_direct pgscan_kswapd pgscan_direct "
    "pgscan_direct_throttle pgscan_anon pgscan_file pgsteal_anon pgsteal_file zone_reclaim_failed";
constexpr Text kEventsReclaim612 =
    "pgrefill pgreuse pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgscan_kswapd pgscan_direct pgscan_khugepaged "
    "pgscan_direct_throttle pgscan_anon pgscan_file pgsteal_anon pgsteal_file zone_reclaim_success "
    "zone_reclaim_failed";
constexpr Text kEventsReclaim72 = "pgreuse pgscan_direct_throttle zone_reclaim_success zone_reclaim_failed";
constexpr Text kEventsMiddle =
    "pginodesteal slabs_scanned kswapd_inodesteal kswapd_low_wmark_hit_quickly kswapd_high_wmark_hit_quickly "
    "pageoutrun pgrotated drop_pagecache drop_slab oom_kill numa_pte_updates numa_huge_pte_updates numa_hint_faults "
    "numa_hint_faults_local numa_pages_migrated pgmigrate_success pgmigrate_fail thp_migration_success "
    "thp_migration_fail thp_migration_split compact_migrate_scanned compact_free_scanned compact_isolated "
    "compact_stall compact_fail compact_success compact_daemon_wake compact_daemon_migrate_scanned "
    "compact_daemon_free_scanned htlb_buddy_alloc_success htlb_buddy_alloc_fail";
constexpr Text kEventsCma = "cma_alloc_success cma_alloc_fail";
constexpr Text kEventsThp =
    "unevictable_pgs_culled unevictable_pgs_scanned unevictable_pgs_rescued unevictable_pgs_mlocked "
    "unevictable_pgs_munlocked unevictable_pgs_cleared unevictable_pgs_stranded thp_fault_alloc thp_fault_fallback "
    "thp_fault_fallback_charge thp_collapse_alloc thp_collapse_alloc_failed thp_file_alloc thp_file_fallback "
    "thp_file_fallback_charge thp_file_mapped thp_split_page thp_split_page_failed thp_deferred_split_page";
constexpr Text kEventsThpUnderused = "thp_underused_split_page";
constexpr Text kEventsThpPmd = "thp_split_pmd";
constexpr Text kEventsThpScan = "thp_scan_exceed_none_pte thp_scan_exceed_swap_pte thp_scan_exceed_share_pte";
constexpr Text kEventsSwap =
    "thp_split_pud thp_zero_page_alloc thp_zero_page_alloc_failed thp_swpout thp_swpout_fallback balloon_inflate "
    "balloon_deflate balloon_migrate swap_ra swap_ra_hit";
constexpr Text kEventsSwapZero = "swpin_zero swpout_zero";
constexpr Text kEventsKsm = "ksm_swpin_copy cow_ksm";
constexpr Text kEventsZswap = "zswpin zswpout zswpwb";
constexpr Text kEventsDirectMap = "direct_map_level2_splits direct_map_level3_splits";
constexpr Text kEventsCollapses = "direct_map_level2_collapses direct_map_level3_collapses";
constexpr Text kEventsEnd = "nr_unstable";

// ---------------------------------------------------------------- the formats

constexpr std::array<ProcFormat, 4> kFormats{{
    {.generation = "linux-5.10",
     .free_count_max = 100000,
     .zone_lines = "min low high spanned present managed",
     .pageset_lines = "count high batch",
     .pageset_label_width = 7,
     .zone_tail_lines = "node_unreclaimable start_pfn",
     .zone_counters = Names<kZoneFree, kZoneLru, kZonePageTables, kZoneBounce, kZoneEnd>::kList,
     .numa_counters = kNuma,
     .node_counters = Names<kNodeBegin, kNodeWritebackTemp, kNodeShmem, kNodePins, kNodeStack>::kList,
     .huge_page_unit = 1,
     .totals = kDirty,
     .events = Names<kEventsBegin, kEventsReclaim510, kEventsMiddle, kEventsThp, kEventsThpPmd, kEventsSwap,
                     kEventsEnd>::kList,
     .has_device_events = false},
    {.generation = "linux-6.1",
     .free_count_max = 100000,
     .zone_lines = "boost min low high spanned present managed cma",
     .pageset_lines = "count high batch",
     .pageset_label_width = 7,
     .zone_tail_lines = "node_unreclaimable start_pfn",
     .zone_counters = Names<kZoneFree, kZoneLru, kZoneBounce, kZoneEnd>::kList,
     .numa_counters = kNuma,
     .node_counters = Names<kNodeBegin, kNodeWritebackTemp, kNodeShmem, kNodeThrottled, kNodePins, kNodeStack,
                            kNodePageTables, kNodePromote>::kList,
     .huge_page_unit = 512,
     .totals = kDirty,
     .events = Names<kEventsBegin, kEventsReclaim61, kEventsMiddle, kEventsThp, kEventsThpPmd, kEventsThpScan,
                     kEventsSwap, kEventsKsm, kEventsDirectMap, kEventsEnd>::kList,
     .has_device_events = true},
    {.generation = "linux-6.12",
     .free_count_max = 100000,
     .zone_lines = "boost min low high promo spanned present managed cma",
     .pageset_lines = "count high batch",
     .pageset_label_width = 7,
     .zone_tail_lines = "node_unreclaimable start_pfn",
     .zone_counters = Names<kZoneFree, kZoneLru, kZoneBounce, kZoneEnd, kZoneUnaccepted>::kList,
     .numa_counters = kNuma,
     .node_counters = Names<kNodeBegin, kNodeWritebackTemp, kNodeShmem, kNodeThrottled, kNodePins, kNodeStack,
                            kNodePageTables, kNodeIommu, kNodePromote, kNodeDemote>::kList,
     .huge_page_unit = 512,
     .totals = Names<kDirty, kMemmap>::kList,
     .events = Names<kEventsBegin, kEventsReclaim612, kEventsMiddle, kEventsThp, kEventsThpUnderused, kEventsThpPmd,
                     kEventsThpScan, kEventsSwap, kEventsSwapZero, kEventsKsm, kEventsDirectMap, kEventsEnd>::kList,
     .has_device_events = true},
    {.generation = "linux-7.2",
     .free_count_max = 100000,
     .zone_lines = "boost min low high promo spanned present managed cma",
     .pageset_lines = "count high batch high_min high_max",
     .pageset_label_width = 10,
     .zone_tail_lines = "node_unreclaimable start_pfn reserved_highatomic free_highatomic",
     .zone_counters = Names<kZoneFree, kZoneFreeBlocks, kZoneLru, kZoneEnd, kZoneUnaccepted>::kList,
     .numa_counters = kNuma,
     .node_counters =
         Names<kNodeBegin, kNodeShmem, kNodeThrottled, kNodePins, kNodeVmalloc, kNodeStack, kNodePageTables, kNodeIommu,
               kNodePromote, kNodePromoteNrl, kNodeDemote, kNodeReclaim>::kList,
     .huge_page_unit = 512,
     .totals = Names<kDirty, kMemmap>::kList,
     .events = Names<kEventsBegin, kEventsReclaim72, kEventsMiddle, kEventsCma, kEventsThp, kEventsThpUnderused,
                     kEventsThpPmd, kEventsThpScan, kEventsSwap, kEventsSwapZero, kEventsKsm, kEventsZswap,
                     kEventsDirectMap, kEventsCollapses, kEventsEnd>::kList,
     .has_device_events = true},
}};

}  // namespace

std::span<const ProcFormat> proc_formats() {
  return kFormats;
}

const ProcFormat* proc_format(std::string_view generation) {
  for (const ProcFormat& format : kFormats) {
    // A release of the series, as "linux-6.1.0", prints as the series does.
    if (generation.starts_with(format.generation) &&
        (generation.size() == format.generation.size() || generation[format.generation.size()] == '.'))
      return &format;
  }
  return nullptr;
}

}  // namespace mmbox
