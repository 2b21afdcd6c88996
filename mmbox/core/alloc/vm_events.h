// What happened on a machine beside requests: counters under the names that /proc/vmstat prints.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "mmbox/core/topology/tunables.h"

namespace mmbox {

/// One counter for each event. Unit: pages for pg*, frames for *_scanned, else times.
/// Source: enum vm_event_item.
struct VmEvents {
  std::array<std::uint64_t, kMaxZoneTypes> allocstall{};  ///< by the highest zone that the request may use
  std::array<std::uint64_t, kMaxZoneTypes> pgskip{};
  std::uint64_t pgscan_kswapd = 0;
  std::uint64_t pgscan_direct = 0;
  std::uint64_t pgscan_anon = 0;
  std::uint64_t pgscan_file = 0;
  std::uint64_t pgsteal_kswapd = 0;
  std::uint64_t pgsteal_direct = 0;
  std::uint64_t pgsteal_anon = 0;
  std::uint64_t pgsteal_file = 0;
  std::uint64_t pgscan_direct_throttle = 0;
  std::uint64_t pgactivate = 0;
  std::uint64_t pgdeactivate = 0;
  std::uint64_t pgrefill = 0;
  std::uint64_t pgrotated = 0;
  std::uint64_t zone_reclaim_failed = 0;
  std::uint64_t slabs_scanned = 0;
  std::uint64_t kswapd_low_wmark_hit_quickly = 0;
  std::uint64_t kswapd_high_wmark_hit_quickly = 0;
  std::uint64_t pageoutrun = 0;
  std::uint64_t pswpin = 0;
  std::uint64_t pswpout = 0;
  std::uint64_t oom_kill = 0;
  std::uint64_t pgmigrate_success = 0;
  std::uint64_t pgmigrate_fail = 0;
  std::uint64_t compact_migrate_scanned = 0;
  std::uint64_t compact_free_scanned = 0;
  std::uint64_t compact_isolated = 0;
  std::uint64_t compact_stall = 0;
  std::uint64_t compact_fail = 0;
  std::uint64_t compact_success = 0;
  std::uint64_t compact_daemon_wake = 0;
  std::uint64_t compact_daemon_migrate_scanned = 0;
  std::uint64_t compact_daemon_free_scanned = 0;
};

/// A counter and the name that it is printed with.
struct VmEventName {
  std::string_view name;
  std::uint64_t VmEvents::*counter;
};
inline constexpr std::array kVmEventNames{
    VmEventName{"pgscan_kswapd", &VmEvents::pgscan_kswapd},
    VmEventName{"pgscan_direct", &VmEvents::pgscan_direct},
    VmEventName{"pgscan_anon", &VmEvents::pgscan_anon},
    VmEventName{"pgscan_file", &VmEvents::pgscan_file},
    VmEventName{"pgsteal_kswapd", &VmEvents::pgsteal_kswapd},
    VmEventName{"pgsteal_direct", &VmEvents::pgsteal_direct},
    VmEventName{"pgsteal_anon", &VmEvents::pgsteal_anon},
    VmEventName{"pgsteal_file", &VmEvents::pgsteal_file},
    VmEventName{"pgscan_direct_throttle", &VmEvents::pgscan_direct_throttle},
    VmEventName{"pgactivate", &VmEvents::pgactivate},
    VmEventName{"pgdeactivate", &VmEvents::pgdeactivate},
    VmEventName{"pgrefill", &VmEvents::pgrefill},
    VmEventName{"pgrotated", &VmEvents::pgrotated},
    VmEventName{"zone_reclaim_failed", &VmEvents::zone_reclaim_failed},
    VmEventName{"slabs_scanned", &VmEvents::slabs_scanned},
    VmEventName{"kswapd_low_wmark_hit_quickly", &VmEvents::kswapd_low_wmark_hit_quickly},
    VmEventName{"kswapd_high_wmark_hit_quickly", &VmEvents::kswapd_high_wmark_hit_quickly},
    VmEventName{"pageoutrun", &VmEvents::pageoutrun},
    VmEventName{"pswpin", &VmEvents::pswpin},
    VmEventName{"pswpout", &VmEvents::pswpout},
    VmEventName{"oom_kill", &VmEvents::oom_kill},
    VmEventName{"pgmigrate_success", &VmEvents::pgmigrate_success},
    VmEventName{"pgmigrate_fail", &VmEvents::pgmigrate_fail},
    VmEventName{"compact_migrate_scanned", &VmEvents::compact_migrate_scanned},
    VmEventName{"compact_free_scanned", &VmEvents::compact_free_scanned},
    VmEventName{"compact_isolated", &VmEvents::compact_isolated},
    VmEventName{"compact_stall", &VmEvents::compact_stall},
    VmEventName{"compact_fail", &VmEvents::compact_fail},
    VmEventName{"compact_success", &VmEvents::compact_success},
    VmEventName{"compact_daemon_wake", &VmEvents::compact_daemon_wake},
    VmEventName{"compact_daemon_migrate_scanned", &VmEvents::compact_daemon_migrate_scanned},
    VmEventName{"compact_daemon_free_scanned", &VmEvents::compact_daemon_free_scanned},
};
// Every counter that is not an array has a name.
static_assert(sizeof(VmEvents) == (2 * kMaxZoneTypes + kVmEventNames.size()) * sizeof(std::uint64_t));

/// Adds to a counter that other CPUs add to as well.
inline void count_event(std::uint64_t& counter, std::uint64_t n = 1) {
  __atomic_fetch_add(&counter, n, __ATOMIC_RELAXED);
}

}  // namespace mmbox
