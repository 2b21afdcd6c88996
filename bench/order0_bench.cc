// How long does one page take, allocated and freed again?
//
// Through the whole engine (zone loop, watermark, per-cpu lists, counters) on a machine of 8 GiB, and from allocators
// of user space. `pair` frees each page before it takes the next one, so that everything is in the cache; `stack/N`
// takes N pages and frees them in reverse, which goes through the per-cpu lists and the free lists below them. Unit:
// per pair.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/bench_main.h"
#include "bench/rivals.h"
#include "bench/simulated_machine.h"

namespace mmbox::bench {
namespace {

constexpr std::int64_t kStack = 1024;

/// Kernel memory and user memory, as most requests of a kernel ask for them.
constexpr Gfp kMasks[] = {gfp::kKernel, gfp::kHighUserMovable};

SimulatedMachine& machine() {
  static SimulatedMachine machine{"8G, 1 cpu"};
  return machine;
}

void engine_pair(benchmark::State& state, Gfp mask) {
  Machine& engine = *machine();
  Request request{.gfp = mask, .order = Order{0}, .cpu = CpuId{0}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(request);  // the engine does not get to know the request when it is compiled
    const AllocResult page = engine.alloc(request);
    if (!page) [[unlikely]]
      std::abort();
    engine.free(*page, Order{0}, CpuId{0});
  }
}

void engine_stack(benchmark::State& state, Gfp mask) {
  Machine& engine = *machine();
  Request request{.gfp = mask, .order = Order{0}, .cpu = CpuId{0}};
  std::vector<Pfn> pages(static_cast<std::size_t>(kStack));
  while (state.KeepRunningBatch(kStack)) {
    for (Pfn& page : pages) {
      benchmark::DoNotOptimize(request);
      page = *engine.alloc(request);
    }
    for (auto page = pages.rbegin(); page != pages.rend(); ++page)
      engine.free(*page, Order{0}, CpuId{0});
  }
}

template <class Rival>
void rival_pair(benchmark::State& state) {
  Rival::prepare(std::size_t{1} << 30);
  for (auto _ : state) {
    void* const page = Rival::alloc(kPageSize);
    if (page == nullptr) [[unlikely]]
      std::abort();
    benchmark::DoNotOptimize(page);
    Rival::free(page, kPageSize);
  }
}

template <class Rival>
void rival_stack(benchmark::State& state) {
  Rival::prepare(std::size_t{1} << 30);
  std::vector<void*> pages(static_cast<std::size_t>(kStack));
  const auto take_all = [&] {
    for (void*& page : pages)
      page = Rival::alloc(kPageSize);
  };
  const auto free_all = [&] {
    for (auto page = pages.rbegin(); page != pages.rend(); ++page)
      Rival::free(*page, kPageSize);
  };
  take_all();
  for (void* const page : pages)
    *static_cast<volatile char*>(page) = 1;  // memory is behind it before it is measured
  free_all();
  while (state.KeepRunningBatch(kStack)) {
    take_all();
    free_all();
  }
}

template <class Rival>
void add_rival() {
  benchmark::RegisterBenchmark((std::string{"pair/"} + Rival::kName).c_str(), rival_pair<Rival>);
  benchmark::RegisterBenchmark((std::string{"stack/"} + Rival::kName).c_str(), rival_stack<Rival>);
}

}  // namespace
}  // namespace mmbox::bench

int main(int argc, char** argv) {
  using namespace mmbox::bench;
  benchmark::RegisterBenchmark("pair/mmbox GFP_KERNEL", engine_pair, kMasks[0]);
  benchmark::RegisterBenchmark("pair/mmbox GFP_HIGHUSER_MOVABLE", engine_pair, kMasks[1]);
  benchmark::RegisterBenchmark("stack/mmbox GFP_KERNEL", engine_stack, kMasks[0]);
  benchmark::RegisterBenchmark("stack/mmbox GFP_HIGHUSER_MOVABLE", engine_stack, kMasks[1]);
  add_rival<Jemalloc>();
  add_rival<Mimalloc>();
  add_rival<Tcmalloc>();
  add_rival<OneTbb>();
  return run(argc, argv, true);
}
