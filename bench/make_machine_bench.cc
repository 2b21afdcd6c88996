// How long does it take to make a machine, and how much memory does it cost?
//
// From the description to the booted machine: zones, zonelists and pageblocks stand, all memory has gone to the free
// lists, watermarks and per-cpu lists have their sizes. `resident_MiB` is what the process grew by, `state_MiB` the
// span that the machine was given, `bytes_per_frame` that span over the frames of memory.
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "bench/bench_main.h"
#include "bench/simulated_machine.h"

namespace mmbox::bench {
namespace {

/// Bytes of this process that are in memory.
std::uint64_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

void make_machine(benchmark::State& state, const std::string& words) {
  constexpr double kMiB = 1 << 20;
  for (auto _ : state) {
    const std::uint64_t before = resident_bytes();
    SimulatedMachine machine{words};
    const std::uint64_t after = resident_bytes();
    const auto size = static_cast<double>(machine->bytes().size());
    state.counters["resident_MiB"] = static_cast<double>(after - before) / kMiB;
    state.counters["state_MiB"] = size / kMiB;
    state.counters["bytes_per_frame"] = size / static_cast<double>(machine.frames());
  }
}

}  // namespace
}  // namespace mmbox::bench

int main(int argc, char** argv) {
  using namespace mmbox::bench;
  for (const char* words : {"8G, 1 cpu", "256G, 64 cpus", "1024G, 128 cpus", "8 nodes of 128G, 128 cpus"})
    benchmark::RegisterBenchmark(words, make_machine, std::string{words})->Unit(benchmark::kMillisecond);
  return run(argc, argv, true);
}
