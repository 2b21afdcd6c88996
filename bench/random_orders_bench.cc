// How long does a block of a random order take, with half of 8 GiB live?
//
// A fixed number of blocks is live. Each step frees one of them at random and allocates a block of a random order in
// its place. In `equal chance` each order from 0 to 9 is as likely as any other, so that nearly all bytes are in large
// blocks; in `equal bytes` each order has the same share of the bytes, so that half of the blocks are single pages. The
// rivals' blocks have been touched page by page before; mmbox hands out frames of a simulated machine. Unit: per step,
// one free and one allocation.
#include <cstdint>
#include <memory>
#include <string>

#include "bench/bench_main.h"
#include "bench/random_mix.h"
#include "bench/rivals.h"
#include "bench/simulated_machine.h"

namespace mmbox::bench {
namespace {

/// Pages of the machine: 8 GiB, or 256 MiB where only the working is of interest.
std::uint64_t machine_pages() {
  return (is_smoke() ? std::uint64_t{256} << 20 : std::uint64_t{8} << 30) / kPageSize;
}

/// The blocks of the engine.
class EngineBlocks {
 public:
  explicit EngineBlocks(std::uint64_t) : machine_(is_smoke() ? "256M, 1 cpu" : "8G, 1 cpu") {}
  using Block = Pfn;
  [[nodiscard]] Block alloc(unsigned order, std::size_t slot) { return mix_alloc(*machine_, order, slot); }
  void free(Block block, unsigned order) { machine_->free(block, Order{order}, CpuId{0}); }
  void touch(Block, unsigned) {}

 private:
  SimulatedMachine machine_;
};

/// The blocks of a rival.
template <class Rival>
class RivalBlocks {
 public:
  explicit RivalBlocks(std::uint64_t bytes) { Rival::prepare(bytes); }
  ~RivalBlocks() { Rival::release(); }
  RivalBlocks(const RivalBlocks&) = delete;
  RivalBlocks& operator=(const RivalBlocks&) = delete;
  using Block = void*;
  [[nodiscard]] Block alloc(unsigned order, std::size_t) {
    void* const block = Rival::alloc(kPageSize << order);
    if (block == nullptr) [[unlikely]]
      std::abort();
    return block;
  }
  void free(Block block, unsigned order) { Rival::free(block, kPageSize << order); }
  void touch(Block block, unsigned order) {
    for (std::uint64_t at = 0; at < kPageSize << order; at += kPageSize)
      static_cast<volatile char*>(block)[at] = 1;
  }
};

/// What is live now. Kept over the repetitions of one benchmark; the next one takes its place, and the memory with it.
std::shared_ptr<void> current;
std::string current_name;

template <class Blocks>
void run_mix(benchmark::State& state, const std::string& name, OrderShare share) {
  const std::uint64_t half = machine_pages() / 2;
  if (current_name != name) {
    current.reset();
    current_name = name;
    auto made = std::make_shared<RandomMix<Blocks>>(share, half);
    made->warm_up();
    current = made;
  }
  auto& mix = *static_cast<RandomMix<Blocks>*>(current.get());
  for (auto _ : state)
    mix.step();
  state.counters["live_blocks"] = static_cast<double>(mix.live_blocks());
  state.counters["live_MiB"] = static_cast<double>(mix.live_pages() * kPageSize >> 20);
}

template <class Blocks>
void add(const char* allocator, OrderShare share) {
  const std::string name = std::string{share == OrderShare::EqualChance ? "equal chance/" : "equal bytes/"} + allocator;
  benchmark::RegisterBenchmark(name.c_str(),
                               [name, share](benchmark::State& state) { run_mix<Blocks>(state, name, share); });
}

}  // namespace
}  // namespace mmbox::bench

int main(int argc, char** argv) {
  using namespace mmbox::bench;
  for (const OrderShare share : {OrderShare::EqualChance, OrderShare::EqualBytes}) {
    add<EngineBlocks>("mmbox", share);
    add<RivalBlocks<Jemalloc>>(Jemalloc::kName, share);
    add<RivalBlocks<Mimalloc>>(Mimalloc::kName, share);
    add<RivalBlocks<Tcmalloc>>(Tcmalloc::kName, share);
    add<RivalBlocks<OneTbb>>(OneTbb::kName, share);
  }
  // Each allocator holds gigabytes while it runs, so one comes after the other.
  return run(argc, argv, false);
}
