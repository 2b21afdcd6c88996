// What compaction does to a zone under locks, with the locking policy taken out of its types.
//
// Compaction is slow by nature: an indirect call for each pageblock and each freed page costs nothing beside the work,
// and saves compiling all of it once for each policy.
#pragma once

#include "mmbox/core/alloc/free_path.h"

namespace mmbox {

struct ZoneHands {
  void (*lock)(ZoneState& zone);
  void (*unlock)(ZoneState& zone);
  /// Frees one page; see release_block().
  void (*release)(const MachineView& machine, FrameIndex index, CpuId cpu);
  /// Returns one CPU's pages of the zone to the free lists, or those of all CPUs.
  void (*drain)(const MachineView& machine, ZoneState& zone, CpuId cpu);
  void (*drain_all_cpus)(const MachineView& machine, ZoneState& zone);
};

template <SyncPolicy S>
inline constexpr ZoneHands kZoneHands{
    .lock = [](ZoneState& zone) { S::lock(zone.lock_word); },
    .unlock = [](ZoneState& zone) { S::unlock(zone.lock_word); },
    .release = [](const MachineView& machine, FrameIndex index,
                  CpuId cpu) { release_block<S>(machine, index, 0, cpu); },
    .drain = [](const MachineView& machine, ZoneState& zone, CpuId cpu) { drain_zone<S>(machine, zone, cpu); },
    .drain_all_cpus = [](const MachineView& machine, ZoneState& zone) { drain_all<S>(machine, zone); },
};

/// Holds a zone's lock for a scope.
class ZoneLock {
 public:
  ZoneLock(const ZoneHands& hands, ZoneState& zone) : hands_(hands), zone_(zone) { hands_.lock(zone_); }
  ~ZoneLock() { hands_.unlock(zone_); }
  ZoneLock(const ZoneLock&) = delete;
  ZoneLock& operator=(const ZoneLock&) = delete;

 private:
  const ZoneHands& hands_;
  ZoneState& zone_;
};

}  // namespace mmbox
