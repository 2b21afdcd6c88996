// The slow path at work: compaction of a large zone, and an hour of a large machine under churn.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/bench_main.h"
#include "mmbox/lab/image/boot.h"
#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/lab/workload/random.h"
#include "mmbox/lab/workload/run.h"

namespace mmbox::bench {
namespace {

template <class T>
T or_exit(lab::Expected<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().text().c_str());
    std::exit(1);
  }
  return std::move(*result);
}

/// A machine of which every other page is in use, by chance, and may move.
class HalfFull {
 public:
  explicit HalfFull(const std::string& words)
      : image_(or_exit(lab::boot_machine(or_exit(lab::read_machine_words(words))))), pages_(image_.machine()) {
    image_.prefer_huge_pages();
    Machine& machine = image_.machine();
    const lab::OwnerId owner = pages_.add_owner("owner");
    while (const AllocResult page =
               machine.alloc({.gfp = gfp::kHighUserMovable.without(gfp::kReclaim), .order = Order{0}, .cpu = CpuId{0}}))
      taken_.push_back(*page);
    // Without an order that memory or lists could have kept.
    lab::Random random{1};
    for (std::size_t i = taken_.size(); i > 1; --i)
      std::swap(taken_[i - 1], taken_[random.below(i)]);
    const std::size_t half = taken_.size() / 2;
    for (std::size_t i = half; i < taken_.size(); ++i)
      machine.free(taken_[i], Order{0}, CpuId{0});
    taken_.resize(half);
    machine.drain_all();
    // The population comes to know them in the order of a page dump.
    std::ranges::sort(taken_);
    for (const Pfn pfn : taken_) {
      lab::PopulationPage page;
      page.use = lab::PageUse::Anonymous;
      page.owner = owner;
      pages_.put(pfn, page);
    }
    machine.set_contents(&pages_);
  }
  Machine& machine() { return image_.machine(); }
  lab::Population& pages() { return pages_; }

 private:
  lab::Image image_;
  lab::Population pages_;
  std::vector<Pfn> taken_;
};

/// A write to compact_memory. `frames/s` are those that either scanner went through.
void compact_half_full(benchmark::State& state) {
  const std::string words = is_smoke() ? "256M, 1 cpu, no reserve" : "64G, 1 cpu, no reserve";
  std::uint64_t scanned = 0;
  std::uint64_t moved = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto machine = std::make_unique<HalfFull>(words);
    VmEvents& events = *machine->machine().view().events;
    events = {};
    Compaction compaction{machine->machine().view(), machine->pages()};
    state.ResumeTiming();
    compaction.compact_all(CpuId{0});
    state.PauseTiming();
    scanned += events.compact_migrate_scanned + events.compact_free_scanned;
    moved += events.pgmigrate_success;
    machine.reset();
    state.ResumeTiming();
  }
  state.counters["frames/s"] = benchmark::Counter(static_cast<double>(scanned), benchmark::Counter::kIsRate);
  state.counters["moved/s"] = benchmark::Counter(static_cast<double>(moved), benchmark::Counter::kIsRate);
}

/// An hour of 64 GiB: 10,000 allocations and as many frees a second, and a page cache that fills the rest.
void an_hour_of_churn(benchmark::State& state) {
  const std::string text =
      std::string{is_smoke() ? "machine = \"1G, 4 cpus\"\nfiles = \"2G\"\n"
                             : "machine = \"64G, 16 cpus\"\nfiles = \"64G\"\n"} +
      (is_smoke() ? "[start]\nanonymous = \"400M\"\nkernel = \"50M\"\nslab = \"20M\"\nfile = \"400M\"\n"
                  : "[start]\nanonymous = \"24G\"\nkernel = \"2G\"\nslab = \"1G\"\nfile = \"34G\"\n") +
      "[[phase]]\nduration = \"" + (is_smoke() ? "5s" : "1h") + "\"\n" +
      "allocations = 10000\nmovable = 80\nunmovable = 15\nreclaimable = 5\nlive = \"" + (is_smoke() ? "480M" : "28G") +
      "\"\nreads = 1000\nwrites = 200\n";
  const lab::Workload workload = or_exit(lab::read_workload(text, "bench"));
  std::uint64_t requests = 0;
  for (auto _ : state) {
    lab::Image image = or_exit(lab::boot_machine(or_exit(lab::read_machine_words(workload.machine))));
    image.prefer_huge_pages();
    lab::RunOutputs outputs;
    const lab::RunOutcome outcome =
        or_exit(lab::run_workload(image.machine(), workload, nullptr, *proc_format("linux-6.1"), nullptr, outputs));
    for (const std::uint64_t blocks : outcome.demand.allocated)
      requests += blocks;
    state.counters["kswapd runs"] =
        static_cast<double>(outcome.stages[static_cast<std::size_t>(lab::Stage::KswapdReclaims)].count);
  }
  state.counters["requests/s"] = benchmark::Counter(static_cast<double>(requests), benchmark::Counter::kIsRate);
}

BENCHMARK(compact_half_full)->Unit(benchmark::kMillisecond)->Iterations(1);
BENCHMARK(an_hour_of_churn)->Unit(benchmark::kSecond)->Iterations(1);

}  // namespace
}  // namespace mmbox::bench

int main(int argc, char** argv) {
  return mmbox::bench::run(argc, argv, false);
}
