// Freeing pages in use: direct reclaim within a request, kswapd beside all of them, and node reclaim before a request
// turns to a farther node. 08 of the specification.
//
// Which page goes is decided here, from the LRU lists; what a page is, and how it is written and forgotten, is the
// host's (evictor.h). Nothing here runs by itself: kswapd gets its turn when the host calls it.
#pragma once

#include <array>
#include <cstdint>

#include "mmbox/core/alloc/context.h"
#include "mmbox/core/reclaim/node_pass.h"

namespace mmbox {

/// What one run of a kswapd came to, and where it is if it is not over.
struct KswapdRun {
  bool ran = false;             ///< it was awake and not without hope
  bool balanced = false;        ///< some zone is above HIGH for `order`
  std::uint64_t reclaimed = 0;  ///< pages
  Order order{0};               ///< that it worked for in the end
  Order asked{0};               ///< that it was woken for
  ZoneIndex highest{0};         ///< the same
  unsigned priority = 0;        ///< of the next pass
  std::uint64_t boost_left = 0;
  std::array<std::int64_t, kMaxZoneTypes> boosts{};  ///< of the zones up to `highest` when it began
};

/// Reclaim for a machine that does one thing at a time.
///
/// Attached as `Hosts::reclaimer`. Uses the machine's compactor (skip hints, kcompactd) and waiter if there are any.
/// The machine, the lists and the host outlive this.
class Reclaim final : public Reclaimer {
 public:
  Reclaim(const MachineView& machine, Lru& lru, PageEvictor& host) : machine_(machine), lru_(lru), host_(host) {}

  /// Frees 32 pages for a request, or tells that it was of no use.
  ///
  /// Returns the pages freed; 1 also if the request is to go on without: its task was killed while it waited for
  ///   kswapd, or compaction could serve it now. 0: nothing can be freed on the nodes of this request.
  PageCount direct_reclaim(const AllocContext& context) override;
  /// Frees pages of one node without leaving it. Success: as many as the request wants; Some: fewer, or none.
  /// The gates before it (whether the node has enough to give) are in alloc/fast_path.h.
  NodeReclaimResult node_reclaim(NodeId node, const AllocContext& context) override;
  PageCount reclaimable_pages(ZoneId zone) override;

  /// One turn of a node's kswapd, if it is awake: works until the node is balanced or nothing more is to be had, and
  /// goes to sleep if it may: it is balanced for what was asked meanwhile, single pages if nothing was, or hopeless.
  KswapdRun run_kswapd(NodeId node, CpuId cpu);
  /// The parts of a run, for a host that lets others work in between. kswapd is awake until it rests.
  KswapdRun begin_kswapd(NodeId node);
  /// Goes on until the work is done (true), or at least `enough` pages were freed.
  bool let_kswapd_work(NodeId node, CpuId cpu, KswapdRun& run, std::uint64_t enough);
  void let_kswapd_rest(NodeId node, KswapdRun& run);

  /// Dirty file pages that were left to the flusher threads. Source: nr_vmscan_immediate_reclaim, by node.
  [[nodiscard]] std::uint64_t immediate_reclaim(NodeId node) const { return immediate_[node.raw()]; }

 private:
  [[nodiscard]] ReclaimParts parts() { return {machine_, lru_, host_, marks_, immediate_}; }
  /// Passes at ever lower priorities until enough is freed. True if it stopped because some zone needs compaction
  /// rather than pages.
  [[nodiscard]] bool reclaim_harder_and_harder(const AllocContext& context, const ReclaimEffort& effort,
                                               ReclaimProgress& progress);
  /// One pass over all nodes of the request. Same result.
  [[nodiscard]] bool pass_over_nodes(const AllocContext& context, const ReclaimEffort& effort, unsigned priority,
                                     ReclaimProgress& progress);
  [[nodiscard]] bool is_ready_for_compaction(const ZoneState& zone, const ReclaimEffort& effort) const;
  void rest_without_progress(const AllocContext& context, unsigned priority, const ReclaimProgress& progress);
  /// Lets kswapd free the last reserves' worth. True if the task was killed meanwhile.
  [[nodiscard]] bool is_killed_waiting_for_kswapd(const AllocContext& context);
  [[nodiscard]] bool has_reserves(const NodeState& node, ZoneIndex highest);

  void end_kswapd_work(NodeState& node, const KswapdRun& run);
  [[nodiscard]] std::span<ZoneState> zones_of(NodeId node, ZoneIndex highest) const;

  const MachineView& machine_;
  Lru& lru_;
  PageEvictor& host_;
  std::array<NodeMarks, kMaxNodes> marks_{};
  std::array<std::uint64_t, kMaxNodes> immediate_{};
};

}  // namespace mmbox
