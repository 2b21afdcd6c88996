// What a trace tells about the allocator's surroundings, brought to an engine: a request's attempts, runs of kswapd,
// and which zone lies at an address. Shared by the checked and the free replay of requests.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>

#include "mmbox/lab/replay/window.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Asks for what `event` asked for: the first attempt, unless it failed long ago (`slow`), and one at the slow path's
/// mark. What happens between attempts (reclaim, compaction) comes from the trace by itself.
[[nodiscard]] std::optional<Pfn> attempt(Machine& machine, const MmPageAlloc& event, CpuId cpu, bool slow,
                                         AllocFlags more = {}, std::optional<NodeId> node = {});

/// The node that a request asked for, which its event does not say, if it shows: it was served from another node than
/// its CPU's, or refused, although a zone of the CPU's node is above its low mark and has a block.
[[nodiscard]] std::optional<NodeId> node_asked_for(const Machine& machine, const MmPageAlloc& event, CpuId cpu);

/// Runs of kswapd: while one lasts, its node's zones are under reclaim; it ends the boosts that it found.
class KswapdRuns {
 public:
  explicit KswapdRuns(MachineView& machine) : machine_(machine) {}
  void wake(NodeId node);
  void sleep(NodeId node);
  /// The last sign of life of a run.
  void end();
  /// Boosts taken off so far.
  [[nodiscard]] std::uint64_t boosts_ended() const { return boosts_ended_; }

 private:
  void lower_boosts();

  MachineView& machine_;
  std::map<std::size_t, std::int64_t> boosts_;
  std::optional<NodeId> reclaiming_;
  std::uint64_t boosts_ended_ = 0;
};

/// Runs of the statistics worker in traces without the probe of its fold: since 6.7 it decays each populated zone's
/// per-cpu list in turn, which has a probe.
class StatWorker {
 public:
  explicit StatWorker(const MachineView& machine);
  /// Counts a DecayPcp event. True for the first of a run.
  [[nodiscard]] bool begins(CpuId cpu) { return seen_[cpu.raw()]++ % zones_ == 0; }

 private:
  std::size_t zones_ = 0;
  std::unordered_map<std::size_t, std::size_t> seen_;  // by CPU
};

/// Zones by their kernel address, which a probe gives: told by the first block that a refill or a return there moves.
class ZoneAddresses {
 public:
  ZoneAddresses(const TraceWindow& window, const MachineView& machine) : window_(window), machine_(machine) {}
  [[nodiscard]] std::optional<ZoneId> find(std::uint64_t address);

 private:
  const TraceWindow& window_;
  const MachineView& machine_;
  std::unordered_map<std::uint64_t, ZoneId> known_;
};

}  // namespace mmbox::lab
