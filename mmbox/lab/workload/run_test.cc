#include "mmbox/lab/workload/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mmbox/lab/image/boot.h"
#include "mmbox/lab/machine_spec/machine_spec.h"

namespace mmbox::lab {
namespace {

using testing::HasSubstr;

Workload workload_of(const std::string& text) {
  auto workload = read_workload(text, "w.toml");
  if (!workload)
    throw std::runtime_error(workload.error().text());
  return std::move(*workload);
}

/// A run with everything that it told, in memory.
struct Told {
  RunOutcome outcome;
  std::string trace;
  std::vector<std::string> reports;
  std::vector<Sample> samples;
};

class KeptSamples final : public SampleSink {
 public:
  explicit KeptSamples(std::vector<Sample>& to) : to_(to) {}
  Expected<void> write(const Sample& sample) override {
    to_.push_back(sample);
    return {};
  }
  Expected<void> describe(const std::string&, const std::string&) override { return {}; }
  Expected<void> finish() override { return {}; }

 private:
  std::vector<Sample>& to_;
};

Told run(const Workload& workload, bool with_trace = false) {
  const auto spec = load_machine(workload.machine);
  auto image = boot_machine(*spec);
  Machine& machine = image->machine();
  Told told;
  RunOutputs outputs;
  outputs.samples.push_back(std::make_unique<KeptSamples>(told.samples));
  outputs.report = [&](const std::string& text) { told.reports.push_back(text); };
  EventLog log{ByteSink::to_memory(told.trace), kLinux61, {"vmscan", "compaction", "oom"}};
  if (with_trace)
    outputs.events = &log;
  auto outcome = run_workload(machine, workload, nullptr, *proc_format("linux-6.1"), nullptr, outputs);
  if (const auto violation = validate(machine.view()))
    ADD_FAILURE() << violation->what << ": " << violation->a << ", " << violation->b;
  told.outcome = std::move(*outcome);
  return told;
}

/// A small machine, of which one task takes more and more.
constexpr const char* kLeak = R"(
machine = "128M, 1 cpu"
swap = "4M"
files = "32M"
sample = "100ms"
tasks = 2
[start]
anonymous = "8M"
kernel = "4M"
slab = "4M"
file = "16M"
dirty = 20
[[request]]
kind = "movable"
order = 0
weight = 95
[[request]]
kind = "movable"
order = 4
weight = 5
[[phase]]
duration = "2s"
task = "leak"
allocations = 8000
movable = 100
reads = 500
writes = 100
touches = 500
)";

TEST(Run, MemoryThatRunsOutGoesThroughEveryStageInOrder) {
  const Told told = run(workload_of(kLeak), true);
  const auto& stages = told.outcome.stages;
  const auto at = [&](Stage stage) { return stages[static_cast<std::size_t>(stage)]; };
  for (const Stage stage : {Stage::KswapdWoken, Stage::KswapdReclaims, Stage::DirectReclaim, Stage::DirectCompaction,
                            Stage::SwapOut, Stage::OomKill})
    ASSERT_GT(at(stage).count, 0u) << name_of(stage);
  EXPECT_LE(at(Stage::KswapdWoken).first_ns, at(Stage::KswapdReclaims).first_ns);
  EXPECT_LE(at(Stage::KswapdReclaims).first_ns, at(Stage::DirectReclaim).first_ns);
  EXPECT_LT(at(Stage::DirectReclaim).first_ns, at(Stage::OomKill).first_ns);
  EXPECT_LT(at(Stage::DirectCompaction).first_ns, at(Stage::OomKill).first_ns);
  ASSERT_FALSE(told.outcome.kills.empty());
  EXPECT_EQ(told.outcome.kills[0].task, "leak") << "it has most pages";
  EXPECT_EQ(told.outcome.refused[0], 0u) << "a single page is never refused while there is somebody to kill";
  // The trace tells the same, in the kernel's words and in the same order.
  std::size_t place = 0;
  for (const char* event :
       {" mm_vmscan_wakeup_kswapd: ", " mm_vmscan_kswapd_wake: ", " mm_vmscan_direct_reclaim_begin: ",
        " mm_compaction_try_to_compact_pages: ", " mark_victim: "}) {
    const std::size_t found = told.trace.find(event, place);
    ASSERT_NE(found, std::string::npos) << event;
    place = found;
  }
}

TEST(Run, TheReportOfAKillIsTheKernels) {
  const Told told = run(workload_of(kLeak));
  const auto found = std::ranges::find_if(
      told.reports, [](const std::string& text) { return text.find(" invoked oom-killer: ") != std::string::npos; });
  ASSERT_NE(found, told.reports.end());
  const std::string& report = *found;
  EXPECT_THAT(report, HasSubstr("leak invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0"));
  EXPECT_THAT(report, HasSubstr("Out of memory: Killed process 1002 (leak)"));
  EXPECT_THAT(report, HasSubstr("Node 0 DMA32 free:"));
}

TEST(Run, WithNobodyToKillTheRequestIsRefusedAndReported) {
  Workload workload = workload_of(kLeak);
  workload.oom = OomDecision::Fail;
  const Told told = run(workload);
  EXPECT_GT(told.outcome.refused[0], 0u);
  EXPECT_TRUE(told.outcome.kills.empty());
  ASSERT_FALSE(told.reports.empty());
  EXPECT_THAT(told.reports[0], HasSubstr("leak: page allocation failure: order:"));
}

TEST(Run, TheSameSeedGivesTheSameRun) {
  const Workload workload = workload_of(kLeak);
  const Told first = run(workload, true);
  const Told second = run(workload, true);
  EXPECT_EQ(first.trace, second.trace);
  EXPECT_EQ(first.outcome.digest, second.outcome.digest);
  EXPECT_EQ(first.reports, second.reports);
  ASSERT_EQ(first.samples.size(), second.samples.size());
  for (std::size_t i = 0; i < first.samples.size(); ++i)
    EXPECT_EQ(first.samples[i].vmstat, second.samples[i].vmstat);
  Workload other = workload;
  other.seed = 2;
  EXPECT_NE(run(other).outcome.digest, first.outcome.digest);
}

TEST(Run, ASteadyLevelIsKept) {
  const Told told = run(workload_of(R"(
machine = "128M, 2 cpus"
[[phase]]
duration = "5s"
allocations = 10000
movable = 50
unmovable = 30
reclaimable = 20
live = "20M"
)"));
  for (const Stage stage : {Stage::DirectReclaim, Stage::DirectCompaction, Stage::Refused, Stage::OomKill})
    EXPECT_EQ(told.outcome.stages[static_cast<std::size_t>(stage)], Occurrence{}) << name_of(stage);
  const std::uint64_t got =
      told.outcome.demand.allocated[0] + told.outcome.demand.allocated[1] + told.outcome.demand.allocated[2];
  EXPECT_EQ(got, 50'000u);
  const auto free = [&](const Sample& sample) {
    return sample.vmstat[static_cast<std::size_t>(std::ranges::find(told.outcome.vmstat, "nr_free_pages") -
                                                  told.outcome.vmstat.begin())];
  };
  EXPECT_NEAR(static_cast<double>(free(told.outcome.before) - free(told.outcome.after)), 5120.0, 300.0);
}

TEST(Run, WhoeverWritesMoreThanTheDiskWaits) {
  const Told told = run(workload_of(R"(
machine = "64M, 1 cpu"
files = "24M"
disk = "1M"
[[phase]]
duration = "5s"
writes = 5000
)"));
  EXPECT_GT(told.outcome.demand.writes_held_back, 0u);
  const auto at = [&](const char* name) {
    return told.outcome.after
        .vmstat[static_cast<std::size_t>(std::ranges::find(told.outcome.vmstat, name) - told.outcome.vmstat.begin())];
  };
  EXPECT_LE(at("nr_dirty") + at("nr_writeback"), at("nr_dirty_threshold") + 1);
  EXPECT_NEAR(static_cast<double>(at("nr_written")), 5.0 * 256, 200.0) << "1 MiB a second";
}

}  // namespace
}  // namespace mmbox::lab
