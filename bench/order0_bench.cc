// How long does one page take, allocated and freed again?
//
// Through the whole engine (zone loop, watermark, per-cpu lists, counters) on a machine of 8 GiB, and from allocators
// of user space. Every generation has a pair of its own. `pair` frees each page before it takes the next one, so that
// everything is in the cache; `stack/N` takes N pages and frees them in reverse, which goes through the per-cpu lists
// and the free lists below them. Unit: per pair.
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/bench_main.h"
#include "bench/rivals.h"
#include "bench/simulated_machine.h"
#include "mmbox/lab/generations/generations.h"

namespace mmbox::bench {
namespace {

constexpr std::int64_t kStack = 1024;

SimulatedMachine& machine(const Generation* generation) {
  static std::map<const Generation*, SimulatedMachine> machines;
  return machines.try_emplace(generation, "8G, 1 cpu", HugePages::No, *generation).first->second;
}

// What is asked for and where is not known when these are compiled, nor is which page comes back; that it is one page
// without further wishes is, as at nearly every place of a program.
void engine_pair(benchmark::State& state, const Generation* generation, Gfp mask) {
  Machine& engine = *machine(generation);
  CpuId cpu{0};
  for (auto _ : state) {
    benchmark::DoNotOptimize(mask);
    benchmark::DoNotOptimize(cpu);
    const AllocResult page = engine.alloc({.gfp = mask, .order = Order{0}, .cpu = cpu});
    if (!page) [[unlikely]]
      std::abort();
    Pfn pfn = *page;
    benchmark::DoNotOptimize(pfn);
    engine.free(pfn, Order{0}, cpu);
  }
}

void engine_stack(benchmark::State& state, const Generation* generation, Gfp mask) {
  Machine& engine = *machine(generation);
  CpuId cpu{0};
  std::vector<Pfn> pages(static_cast<std::size_t>(kStack));
  while (state.KeepRunningBatch(kStack)) {
    for (Pfn& page : pages) {
      benchmark::DoNotOptimize(mask);
      benchmark::DoNotOptimize(cpu);
      page = *engine.alloc({.gfp = mask, .order = Order{0}, .cpu = cpu});
    }
    for (auto page = pages.rbegin(); page != pages.rend(); ++page)
      engine.free(*page, Order{0}, cpu);
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
  using mmbox::Generation;
  // Kernel memory and user memory, as most requests of a kernel ask for them.
  for (const auto& [name, mask] : {std::pair{"GFP_KERNEL", mmbox::gfp::kKernel},
                                   std::pair{"GFP_HIGHUSER_MOVABLE", mmbox::gfp::kHighUserMovable}}) {
    const std::string engine = std::string{"mmbox "} + name;
    benchmark::RegisterBenchmark(("pair/" + engine).c_str(), engine_pair, &mmbox::kLinux61, mask);
    benchmark::RegisterBenchmark(("stack/" + engine).c_str(), engine_stack, &mmbox::kLinux61, mask);
  }
  for (const Generation* generation : mmbox::lab::generations())
    benchmark::RegisterBenchmark(std::string{"pair/mmbox "}.append(generation->name).c_str(), engine_pair, generation,
                                 mmbox::gfp::kKernel);
  add_rival<Jemalloc>();
  add_rival<Mimalloc>();
  add_rival<Tcmalloc>();
  add_rival<OneTbb>();
  return run(argc, argv, true);
}
