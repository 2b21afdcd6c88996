// A buffer pool that defragments itself while readers run.
//
// Pages of a database have five sizes, 4 KiB to 64 KiB, and come and go at random. Every buffer is a movable block; the
// pool is its owner, and moves a buffer whenever nobody has it pinned. After a while of churn memory is in pieces. Then
// the arena compacts, with readers at work all the time, and what a bulk load needs is there: runs of 2 MiB.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "mmbox/arena/arena.h"

namespace {

using mmbox::Effort;
using mmbox::kPageSize;
using mmbox::Mobility;
using mmbox::Order;

constexpr std::uint32_t kBuffers = 12'000;
constexpr std::size_t kMemory = std::size_t{256} << 20;

class BufferPool final : public mmbox::Owner {
 public:
  explicit BufferPool(mmbox::Arena& arena) : arena_(arena), id_(arena.add_owner(*this)) {}

  /// Puts another page into a buffer: of another size, most often.
  void replace(std::uint32_t which, Order order) {
    Buffer& buffer = buffers_[which];
    if (!lock(buffer))
      return;
    arena_.free(buffer.memory);
    buffer.memory = nullptr;
    // NoWait: the buffer is locked, and Effort::Normal could ask this pool to move others.
    if (const auto got = arena_.try_allocate(
            order, {.mobility = Mobility::Movable, .effort = Effort::NoWait, .owner = id_, .tag = which})) {
      buffer.memory = static_cast<std::uint32_t*>(*got);
      buffer.words = (kPageSize << order.raw()) / sizeof(std::uint32_t);
      for (std::size_t i = 0; i < buffer.words; i += kStride)
        buffer.memory[i] = which + static_cast<std::uint32_t>(i);
    }
    unlock(buffer);
  }

  /// Reads a page and checks it. False if it is not what was put there.
  [[nodiscard]] bool read(std::uint32_t which) {
    Buffer& buffer = buffers_[which];
    if (!pin(buffer))
      return true;  // locked: a real pool would wait
    bool good = true;
    for (std::size_t i = 0; buffer.memory != nullptr && i < buffer.words; i += kStride)
      good = good && buffer.memory[i] == which + static_cast<std::uint32_t>(i);
    unpin(buffer);
    return good;
  }

  bool relocate(const mmbox::Relocation& move) override {
    Buffer& buffer = buffers_[move.tag];
    if (!lock(buffer))
      return false;  // somebody reads or replaces it: perhaps the next time
    const bool is_mine = buffer.memory == move.from_address;
    if (is_mine) {
      std::memcpy(move.to_address, move.from_address, move.bytes);
      buffer.memory = static_cast<std::uint32_t*>(move.to_address);
    }
    unlock(buffer);
    return is_mine;
  }

 private:
  static constexpr std::size_t kStride = 64;
  struct Buffer {
    std::atomic<std::int32_t> pins{0};  ///< readers; -1 while it is replaced or moved
    std::uint32_t* memory = nullptr;
    std::size_t words = 0;
  };
  static bool lock(Buffer& buffer) {
    std::int32_t unpinned = 0;
    return buffer.pins.compare_exchange_strong(unpinned, -1, std::memory_order_acquire);
  }
  static void unlock(Buffer& buffer) { buffer.pins.store(0, std::memory_order_release); }
  static bool pin(Buffer& buffer) {
    std::int32_t seen = buffer.pins.load(std::memory_order_relaxed);
    while (seen >= 0)
      if (buffer.pins.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire))
        return true;
    return false;
  }
  static void unpin(Buffer& buffer) { buffer.pins.fetch_sub(1, std::memory_order_release); }

  mmbox::Arena& arena_;
  mmbox::OwnerId id_;
  std::unique_ptr<Buffer[]> buffers_ = std::make_unique<Buffer[]>(kBuffers);
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint32_t below(std::uint32_t bound) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<std::uint32_t>((state_ >> 33) % bound);
  }

 private:
  std::uint64_t state_;
};

std::uint64_t runs_of_2_mib(const mmbox::Arena& arena) {
  const mmbox::ArenaStats stats = arena.stats();
  return stats.free_blocks[9] + 2 * stats.free_blocks[10];
}

}  // namespace

int main() {
  mmbox::ArenaOptions options;
  options.bytes = kMemory;
  options.backing = mmbox::Backing::HugePages;
  mmbox::Arena arena{options};
  BufferPool pool{arena};

  std::atomic<bool> ends = false;
  std::atomic<std::uint64_t> reads = 0;
  std::atomic<std::uint64_t> wrong = 0;
  std::vector<std::thread> readers;
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    readers.emplace_back([&, seed] {
      Random random{seed};
      while (!ends) {
        wrong += pool.read(random.below(kBuffers)) ? 0 : 1;
        ++reads;
      }
    });
  }

  Random random{7};
  for (std::uint32_t which = 0; which < kBuffers; ++which)
    pool.replace(which, Order{random.below(4)});
  for (unsigned step = 0; step < 400'000; ++step)
    pool.replace(random.below(kBuffers), Order{random.below(2) == 0 ? 0 : random.below(5)});

  arena.drain();
  const std::uint64_t before = runs_of_2_mib(arena);
  const std::uint64_t possible = arena.stats().free / 512;
  const std::uint64_t after = arena.compact();
  std::vector<void*> loaded;
  while (const auto run = arena.try_allocate(Order{9}, {.effort = Effort::NoWait}))
    loaded.push_back(*run);
  ends = true;
  for (std::thread& reader : readers)
    reader.join();

  const mmbox::ArenaStats stats = arena.stats();
  std::printf("free runs of 2 MiB: %llu of %llu possible, after compaction %llu\n",
              static_cast<unsigned long long>(before), static_cast<unsigned long long>(possible),
              static_cast<unsigned long long>(after));
  std::printf("%llu pages moved, %llu refused, while %llu buffers were read; %llu read wrong\n",
              static_cast<unsigned long long>(stats.moved), static_cast<unsigned long long>(stats.not_moved),
              static_cast<unsigned long long>(reads.load()), static_cast<unsigned long long>(wrong.load()));
  std::printf("%zu runs of 2 MiB loaded\n%s", loaded.size(), arena.buddyinfo().c_str());
  const bool good = wrong == 0 && after > before && loaded.size() >= after * 9 / 10;
  std::puts(good ? "ok" : "FAILED");
  return good ? 0 : 1;
}
