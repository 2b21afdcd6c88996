// One task that asks a machine for blocks, one after the other and without a pause, and what goes on beside it: kswapd,
// kcompactd and the disk.
//
// What a snapshot does not tell is drawn from a seed: which cached pages are the oldest, who has the CPU when both the
// task and kswapd want it, and when kcompactd looks around next.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "mmbox/lab/population/population.h"
#include "mmbox/lab/workload/random.h"

namespace mmbox::lab {

/// Makes one machine live for a task that does nothing but ask. Neither copied nor moved: the machine points to it.
///
/// Recorded (6.1, one CPU): kswapd preempts whoever wakes it, as soon as that request begins to compact or to reclaim
/// (57 of 58 times). When its share of the CPU's time is used up it is put off, awake and perhaps amid its work: once
/// in 2,500 pages that it frees. Then it does not get in again before the request has ended (2 of 58 times) unless that
/// compacts a zone to its end, and between two blocks two times of three (95 of 148). It hands over to kcompactd when
/// it goes to sleep.
class Asker final : public Waiter, public Reclaimer, public Compactor, public PopulationWatcher {
 public:
  /// `pages`: of a machine in the same state. `reclaims`: evicts pages too, with kswapd; otherwise only moves them, and
  /// alone. The machine outlives it, and is without hosts again when this goes.
  Asker(Machine& machine, const Population& pages, bool compacts, bool reclaims, std::uint64_t seed);
  ~Asker();
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  /// Blocks obtained until one was refused, `most` at most.
  [[nodiscard]] std::uint64_t take(Order order, Gfp gfp, std::uint64_t most);

  // What the engine asks.
  void wait_tick() override;
  void yield() override { run_those_woken(); }
  PageCount direct_reclaim(const AllocContext& context) override;
  NodeReclaimResult node_reclaim(NodeId node, const AllocContext& context) override {
    return reclaim_.node_reclaim(node, context);
  }
  PageCount reclaimable_pages(ZoneId zone) override { return reclaim_.reclaimable_pages(zone); }
  void wake_kswapd(NodeId node) override { daemons_[node.raw()].was_just_woken = true; }
  CompactOutcome direct_compact(const AllocContext& context, CompactPriority priority) override;
  void compaction_succeeded(ZoneId zone, Order order) override { compaction_.compaction_succeeded(zone, order); }
  void wake_kcompactd(NodeId node, Order order, ZoneIndex highest) override {
    compaction_.wake_kcompactd(node, order, highest);
  }
  void reset_skip_hints(NodeId node) override { compaction_.reset_skip_hints(node); }
  void compaction_began() override { run_those_woken(); }

 private:
  struct Daemon {
    bool was_just_woken = false;
    std::optional<KswapdRun> run;  ///< not over: it was put off the CPU
  };

  void run_those_woken();
  void run_those_awake();
  void run_kswapd(NodeId node);
  /// kcompactd's turn for nodes that nobody asked it for, if it is due.
  void look_around();
  /// How long that will take it: no page is moved twice.
  [[nodiscard]] std::uint64_t proactive_work_ns();

  Machine& machine_;
  bool reclaims_;
  Random random_;
  Population pages_;
  Compaction compaction_;
  Reclaim reclaim_;
  std::array<Daemon, kMaxNodes> daemons_{};
  bool in_daemon_ = false;
  std::uint64_t now_ns_ = 0;
  std::uint64_t look_around_ns_ = 0;
  bool is_at_work_ = false;    ///< kcompactd, unasked
  std::uint64_t scanned_ = 0;  ///< frames, up to now
  std::uint64_t moved_ = 0;    ///< pages, up to now
};

}  // namespace mmbox::lab
