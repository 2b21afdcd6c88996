// Compaction: pages in use move toward the end of their zone, so that free memory comes together at its beginning.
//
// The front of the folder. Requests, kcompactd, and whoever writes to compact_memory come in here; a zone's run is in
// zone_compaction.h. What is in a page, and how it is moved, is the host's: PageMover in alloc/hosts.h.
#pragma once

#include "mmbox/core/alloc/hosts.h"
#include "mmbox/core/compaction/plan.h"
#include "mmbox/core/compaction/zone_hands.h"

namespace mmbox {

/// What became of one look at a node's score.
enum class ProactiveOutcome : std::uint8_t {
  NotDue,      ///< the score is good enough, kswapd is at work, or proactive work is off
  Improved,    ///< the score fell
  NoProgress,  ///< it did not: the next look is worth it only after a longer while (07 §10: 32 s for 500 ms)
};

/// How broken up a node's free memory is, its zones weighted by size. Unit: percent.
[[nodiscard]] unsigned fragmentation_score(const MachineView& machine, NodeId node);

/// Compacts the zones of one machine. Keeps nothing itself: what is remembered lies in the machine.
class Compaction final : public Compactor {
 public:
  /// Machine, pages and hands outlive it.
  Compaction(const MachineView& machine, PageMover& pages, const ZoneHands& hands = kZoneHands<NoSync>)
      : machine_(machine), pages_(pages), hands_(hands) {}

  // Compactor
  CompactOutcome direct_compact(const AllocContext& context, CompactPriority priority) override;
  void compaction_succeeded(ZoneId zone, Order order) override;
  void wake_kcompactd(NodeId node, Order order, ZoneIndex highest) override;
  void reset_skip_hints(NodeId node) override;

  /// One turn of a node's kcompactd. False if nothing was asked of it.
  bool run_kcompactd(NodeId node, CpuId cpu);
  /// One look at a node's score, and what follows from it.
  ProactiveOutcome run_proactively(NodeId node, CpuId cpu);
  /// A write to compact_memory: every zone of every node, from end to end.
  void compact_all(CpuId cpu);

 private:
  template <class Visit>
  void for_each_zone(NodeId node, Visit visit);
  void defer(ZoneState& zone, Order order);
  void reset_deferral_of(ZoneState& zone, Order order, bool allocated);
  [[nodiscard]] bool is_deferred(ZoneState& zone, Order order);
  [[nodiscard]] bool is_worth_waking(NodeId node, Order order, ZoneIndex highest);

  const MachineView& machine_;
  PageMover& pages_;
  const ZoneHands& hands_;
};

}  // namespace mmbox
