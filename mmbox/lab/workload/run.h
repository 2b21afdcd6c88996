// A run of a workload on a machine, from the first tick to the last, and what came of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/lab/workload/demand.h"
#include "mmbox/lab/workload/samples.h"
#include "mmbox/lab/workload/workload.h"
#include "mmbox/lab/workload/world.h"

namespace mmbox::lab {

/// Where a run tells of itself. Everything may be absent.
struct RunOutputs {
  std::vector<std::unique_ptr<SampleSink>> samples;
  EventLog* events = nullptr;
  std::function<void(const std::string&)> report;  ///< kernel-form reports of failures and kills
  std::function<void(std::uint64_t done_ns, std::uint64_t all_ns)> progress;
};

struct PhaseOutcome {
  std::string name;
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint64_t refused = 0;
  std::uint64_t kills = 0;
  std::uint64_t free_pages = 0;  ///< at its end
};

struct RunOutcome {
  std::uint64_t seed = 0;
  std::uint64_t duration_ns = 0;
  std::uint64_t waits = 0;  ///< ticks
  DemandCounters demand;
  std::array<Occurrence, kStages> stages{};
  std::vector<PhaseOutcome> phases;
  std::vector<OomKillRecord> kills;
  std::array<std::uint64_t, kOrders> refused{};
  Sample before;
  Sample after;
  std::vector<std::string> vmstat;  ///< names of the samples' counters
  std::uint64_t digest = 0;         ///< of the machine's state in the end
};

/// Runs it. The machine has booted and has its settings; afterwards it is as the workload left it, without hosts.
///
/// `dump`: what is in the machine's pages, nullptr if that is not known or nothing. `base`: what its kernel had counted
/// before, or nullptr. The same workload on an equal machine gives the same outputs, byte for byte. An error only if an
/// output cannot be written.
[[nodiscard]] Expected<RunOutcome> run_workload(Machine& machine, const Workload& workload, const PageDump* dump,
                                                const ProcFormat& format, HostCounters* base, RunOutputs& outputs);

}  // namespace mmbox::lab
