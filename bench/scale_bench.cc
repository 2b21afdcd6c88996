// How much dearer is an operation on a large machine?
//
// The same operations on 4 GiB and on 256 GiB of frames, with the machine's state in huge pages. `random pages`: half
// of the machine is allocated as single pages; a step frees one of them at random and allocates one. `random mix`: the
// mix of orders 0 to 9 (equal chance) with half of the machine live. Unit: per step, one free and one allocation.
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/bench_main.h"
#include "bench/random_mix.h"
#include "bench/simulated_machine.h"

namespace mmbox::bench {
namespace {

std::string words_for(std::uint64_t bytes) {
  return std::to_string(bytes >> 20).append("M, 1 cpu");
}

/// Blocks of a machine of twice `live_bytes`, its state in huge pages.
class EngineBlocks {
 public:
  explicit EngineBlocks(std::uint64_t live_bytes) : machine_(words_for(2 * live_bytes), HugePages::Yes) {}
  using Block = Pfn;
  [[nodiscard]] Block alloc(unsigned order, std::size_t slot) { return mix_alloc(*machine_, order, slot); }
  void free(Block block, unsigned order) { machine_->free(block, Order{order}, CpuId{0}); }
  void touch(Block, unsigned) {}

 private:
  SimulatedMachine machine_;
};

/// Single pages, half of the machine live.
class RandomPages {
 public:
  explicit RandomPages(std::uint64_t live_bytes)
      : machine_(words_for(2 * live_bytes), HugePages::Yes), live_(live_bytes / kPageSize) {
    for (std::uint32_t& page : live_)
      page = static_cast<std::uint32_t>(mix_alloc(*machine_, 0, 0).raw());
    // Memory that has been in use for long: what is freed next has nothing to do with what was allocated last.
    for (std::size_t i = live_.size() - 1; i > 0; --i)
      std::swap(live_[i], live_[random_() % (i + 1)]);
  }
  void step() {
    std::uint32_t& page = live_[at_];
    at_ = at_ + 1 == live_.size() ? 0 : at_ + 1;
    machine_->free(Pfn{page}, Order{0}, CpuId{0});
    page = static_cast<std::uint32_t>(mix_alloc(*machine_, 0, 0).raw());
  }

 private:
  SimulatedMachine machine_;
  std::vector<std::uint32_t> live_;
  std::mt19937_64 random_{20240229};
  std::size_t at_ = 0;
};

/// The machine of the benchmark that ran last; the next one takes its place, and its memory.
std::shared_ptr<void> current;
std::string current_name;

template <class Work, class... Args>
Work& work_of(const std::string& name, const Args&... args) {
  if (current_name != name) {
    current.reset();
    current_name = name;
    current = std::make_shared<Work>(args...);
  }
  return *static_cast<Work*>(current.get());
}

void add(std::uint64_t gib) {
  const std::uint64_t bytes = is_smoke() ? gib << 27 : gib << 30;
  const std::string size = std::to_string(gib).append(" GiB");
  const std::string pages = "random pages/" + size;
  benchmark::RegisterBenchmark(pages.c_str(), [pages, bytes](benchmark::State& state) {
    auto& work = work_of<RandomPages>(pages, bytes / 2);
    for (auto _ : state)
      work.step();
  });
  const std::string mix = "random mix/" + size;
  benchmark::RegisterBenchmark(mix.c_str(), [mix, bytes](benchmark::State& state) {
    auto& work = work_of<RandomMix<EngineBlocks>>(mix, OrderShare::EqualChance, bytes / 2 / kPageSize);
    for (auto _ : state)
      work.step();
  });
}

}  // namespace
}  // namespace mmbox::bench

int main(int argc, char** argv) {
  using namespace mmbox::bench;
  for (const std::uint64_t gib : {4, 256})
    add(gib);
  return run(argc, argv, false);
}
