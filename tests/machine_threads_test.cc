// A machine under real locks: many CPUs at once, and nothing lost.
//
// With memory to spare: what a shortage sets in motion (boosts, kswapd's state, types of pageblocks) is not yet written
// for other CPUs to read meanwhile.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "mmbox/core/machine/machine_impl.h"
#include "mmbox/mmbox.h"

// This program stands on core alone, and is its host.
extern "C" void mmbox_panic(const mmbox::Panic& panic) {
  std::fprintf(stderr, "%s:%u: %s\n", panic.file, panic.line, panic.what);
  std::abort();
}

namespace mmbox {
namespace test {

/// Lock words that spin, and let others run meanwhile.
struct SpinSync {
  static void lock(std::uint32_t& word) {
    while (!try_lock(word))
      std::this_thread::yield();
  }
  static bool try_lock(std::uint32_t& word) {
    return std::atomic_ref{word}.exchange(1, std::memory_order_acquire) == 0;
  }
  static void unlock(std::uint32_t& word) { std::atomic_ref{word}.store(0, std::memory_order_release); }
};
static_assert(SyncPolicy<SpinSync>);

}  // namespace test

template class BasicMachine<test::SpinSync>;

namespace {

using SharedMachine = BasicMachine<test::SpinSync>;

constexpr std::size_t kCpus = 4;
constexpr std::uint64_t kFrames = 32768;

/// One node of 128 MiB, all free, and the bytes that it lives in.
class Shared {
 public:
  Shared() {
    const std::array types{ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable, ZoneType::Device};
    std::vector<ZoneConfig> zones;
    for (std::size_t i = 0; i < types.size(); ++i) {
      const PageCount pages{types[i] == ZoneType::Normal ? kFrames : 0};
      zones.push_back({.node = NodeId{0},
                       .index = ZoneIndex{i},
                       .type = types[i],
                       .start = Pfn{0},
                       .spanned = pages,
                       .present = pages});
    }
    const std::array memory{MemoryRange{.range = {Pfn{0}, Pfn{kFrames}}, .node = NodeId{0}}};
    const std::array<std::uint8_t, 1> distances{10};
    const std::vector<NodeId> cpus(kCpus, NodeId{0});
    const MachineConfig config{.generation = kLinux61,
                               .zone_types = types,
                               .nodes = 1,
                               .distances = distances,
                               .cpus = cpus,
                               .zones = zones,
                               .memory = memory,
                               .has_cma = false,
                               .has_thp = true,
                               .tunables = {}};
    const std::size_t size = (SharedMachine::storage_size(config) + 63) / 64 * 64;
    storage_.reset(static_cast<std::byte*>(std::aligned_alloc(64, size)));
    std::memset(storage_.get(), 0, size);
    machine_.emplace(config, std::span{storage_.get(), size});
    machine_->release_boot_memory({Pfn{0}, Pfn{kFrames}});
    machine_->finish_boot();
  }
  SharedMachine* operator->() { return &*machine_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> storage_;
  std::optional<SharedMachine> machine_;
};

struct Held {
  Pfn pfn;
  Order order;
  [[nodiscard]] std::uint64_t pages() const { return std::uint64_t{1} << order.raw(); }
};

TEST(MachineThreads, FramesAreHandedOutOnceAndComeBackWhole) {
  Shared machine;
  const std::int64_t free_at_first = machine->view().zones[2].stat[0];
  std::vector<std::atomic<std::uint8_t>> owned(kFrames);
  std::atomic<std::uint64_t> doubles = 0;
  std::vector<std::thread> threads;
  for (std::size_t cpu = 0; cpu < kCpus; ++cpu) {
    threads.emplace_back([&, cpu] {
      std::uint64_t random = 0x9e37'79b9'7f4a'7c15 * (cpu + 1);
      std::vector<Held> held;
      const auto give_back = [&](std::size_t which) {
        const Held block = held[which];
        held[which] = held.back();
        held.pop_back();
        for (std::uint64_t i = 0; i < block.pages(); ++i)
          owned[block.pfn.raw() + i].store(0, std::memory_order_relaxed);
        machine->free(block.pfn, block.order, CpuId{cpu});
      };
      for (int step = 0; step < 20000; ++step) {
        random = random * 6364136223846793005 + 1442695040888963407;
        const auto dice = static_cast<unsigned>(random >> 33);
        if (step % 500 == 499) {
          machine->fold(CpuId{cpu}, FoldBy::IdleCpu);
          machine->drain(CpuId{cpu});
        } else if (held.size() < 200 && dice % 8 < 5) {
          const Order order{dice % 16 < 10 ? 0 : dice % 5};
          const Gfp gfp = dice % 3 == 0 ? gfp::kHighUserMovable : gfp::kKernel;
          const AllocResult got = machine->alloc({.gfp = gfp, .order = order, .cpu = CpuId{cpu}});
          if (!got)
            continue;
          held.push_back({*got, order});
          for (std::uint64_t i = 0; i < held.back().pages(); ++i)
            doubles += owned[got->raw() + i].exchange(1, std::memory_order_relaxed);
        } else if (!held.empty()) {
          give_back(dice % held.size());
        }
      }
      while (!held.empty())
        give_back(held.size() - 1);
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(doubles, 0U);
  machine->drain_all();
  for (std::size_t cpu = 0; cpu < kCpus; ++cpu)
    machine->fold(CpuId{cpu}, FoldBy::IdleCpu);
  EXPECT_EQ(machine->view().zones[2].stat[0], free_at_first);
  const auto violation = validate(machine->view());
  EXPECT_FALSE(violation) << violation->what << ": " << violation->a << ", " << violation->b;
}

}  // namespace
}  // namespace mmbox
