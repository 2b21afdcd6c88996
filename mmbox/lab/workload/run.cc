#include "mmbox/lab/workload/run.h"

#include <fmt/format.h>

#include <numeric>

namespace mmbox::lab {
namespace {

std::uint64_t free_pages(const Machine& machine) {
  std::int64_t pages = 0;
  for (const ZoneState& zone : machine.view().zones)
    pages += zone.stat[static_cast<std::size_t>(ZoneStat::FreePages)];
  return static_cast<std::uint64_t>(pages < 0 ? 0 : pages);
}

}  // namespace

Expected<RunOutcome> run_workload(Machine& machine, const Workload& workload, const PageDump* dump,
                                  const ProcFormat& format, HostCounters* base, RunOutputs& outputs) {
  World world{machine, workload, dump};
  world.set_format(format);
  world.set_base_counters(base);
  Demand demand{world, workload};
  demand.populate();
  demand.begin();
  world.begin();
  world.on_report = outputs.report;
  world.set_log(outputs.events);

  const ProcSource source{machine.view(), format, &world.counters()};
  RunOutcome outcome;
  outcome.seed = workload.seed;
  outcome.duration_ns = workload.duration_ns();
  outcome.vmstat = vmstat_names(source);
  outcome.before = take_sample(source, 0);
  const auto write = [&](const Sample& sample) -> Expected<void> {
    for (const auto& sink : outputs.samples)
      if (auto written = sink->write(sample); !written)
        return written;
    return {};
  };
  if (auto written = write(outcome.before); !written)
    return written.error();

  std::uint64_t next_sample_ns = workload.sample_ns;
  std::uint64_t end_ns = 0;
  for (const Phase& phase : workload.phases) {
    end_ns += phase.duration_ns;
    PhaseOutcome& told = outcome.phases.emplace_back();
    told.name = phase.name;
    told.begin_ns = world.now_ns();
    const auto refused = [&] { return world.stages()[static_cast<std::size_t>(Stage::Refused)].count; };
    const std::uint64_t refused_before = refused();
    const std::size_t kills_before = world.kills().size();
    while (world.now_ns() < end_ns) {
      world.advance();
      demand.run_tick(phase);
      if (world.now_ns() < next_sample_ns)
        continue;
      // A wait may have gone past several: the next one is on the grid again.
      if (auto written = write(take_sample(source, world.now_ns())); !written)
        return written.error();
      next_sample_ns = (world.now_ns() / workload.sample_ns + 1) * workload.sample_ns;
      if (outputs.progress)
        outputs.progress(world.now_ns(), outcome.duration_ns);
    }
    told.end_ns = world.now_ns();
    told.refused = refused() - refused_before;
    told.kills = world.kills().size() - kills_before;
    told.free_pages = free_pages(machine);
  }
  outcome.after = take_sample(source, world.now_ns());
  outcome.waits = world.waits();
  outcome.demand = demand.counters();
  outcome.stages = world.stages();
  outcome.kills = world.kills();
  for (unsigned order = 0; order < kOrders; ++order)
    outcome.refused[order] = world.refused(Order{order});
  outcome.digest = digest(machine.view());
  for (const auto& sink : outputs.samples) {
    if (auto written = sink->describe("seed", std::to_string(workload.seed)); !written)
      return written.error();
    for (std::size_t stage = 0; stage < kStages; ++stage) {
      const Occurrence& occurrence = outcome.stages[stage];
      const std::string name{name_of(static_cast<Stage>(stage))};
      if (auto written = sink->describe(name, std::to_string(occurrence.count)); !written)
        return written.error();
      if (occurrence.count == 0)
        continue;
      if (auto written = sink->describe(name + "_first_ms", std::to_string(occurrence.first_ns / 1'000'000)); !written)
        return written.error();
    }
    if (auto finished = sink->finish(); !finished)
      return finished.error();
  }
  if (outputs.events != nullptr)
    if (auto finished = outputs.events->finish(); !finished)
      return finished.error();
  return outcome;
}

}  // namespace mmbox::lab
