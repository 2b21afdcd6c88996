// What is asked of a world: the generator of a workload, which draws from its seed alone.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mmbox/lab/workload/random.h"
#include "mmbox/lab/workload/world.h"

namespace mmbox::lab {

/// What was asked for. Unit: requests, and pages of files or of tasks.
struct DemandCounters {
  std::array<std::uint64_t, kDemandedKinds> allocated{};  ///< blocks that were got
  std::uint64_t freed = 0;                                ///< blocks that were given back
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t file_misses = 0;  ///< pages of files that had to be read
  std::uint64_t writes_held_back = 0;
  std::uint64_t touches = 0;
  std::uint64_t swap_ins = 0;
  std::uint64_t pinned = 0;
};

/// Fills a world and keeps it busy. The world and the workload outlive it.
class Demand {
 public:
  Demand(World& world, const Workload& workload);

  /// Puts into memory what is there at the beginning, in random order, and frees the holes again. Pages for which there
  /// is no room are left out.
  void populate();
  /// What `phase` asks for in one tick, in random order.
  void run_tick(const Phase& phase);
  /// What was asked for up to now was preparation: the counters begin anew.
  void begin() { counters_ = {}; }
  [[nodiscard]] const DemandCounters& counters() const { return counters_; }

 private:
  /// What is due of something that comes so often a second; the rest is kept for the next tick.
  class Due {
   public:
    std::uint64_t take(std::uint64_t per_second, std::uint64_t tick_ns) {
      credit_ += per_second * tick_ns;
      const std::uint64_t whole = credit_ / 1'000'000'000;
      credit_ %= 1'000'000'000;
      return whole;
    }

   private:
    std::uint64_t credit_ = 0;
  };

  [[nodiscard]] CpuId random_cpu() { return CpuId{random_.below(cpus_)}; }
  [[nodiscard]] const RequestKind& random_request(Demanded kind);
  [[nodiscard]] Demanded random_kind(const Phase& phase);
  void allocate(const Phase& phase);
  /// Makes a request of this kind and puts what it got. Pages that were got; 0 if it was refused.
  std::uint64_t take(Demanded kind, std::size_t task, std::uint32_t pinned_ppm);
  /// Frees a random block; the pages that went.
  std::uint64_t give_back(Demanded kind);
  std::uint64_t give_back_of_task(const SimulatedTask& task, CpuId cpu);
  /// False if there was no room for the page.
  bool use_file(std::uint32_t place, FileAccess access);
  void touch();
  [[nodiscard]] std::uint64_t held(Demanded kind) const;
  [[nodiscard]] Actor actor_of(const SimulatedTask& task) { return {task.name, task.pid, random_cpu()}; }

  World& world_;
  const Workload& workload_;
  Random random_;
  std::uint64_t cpus_;
  /// By kind: each request as often as its weight says, its index in the workload.
  std::array<std::vector<std::uint32_t>, kDemandedKinds> weighted_;
  std::array<std::uint64_t, kDemandedKinds> held_{};  ///< pages, as of this tick
  Due allocations_;
  Due reads_;
  Due writes_;
  Due touches_;
  DemandCounters counters_;
};

}  // namespace mmbox::lab
