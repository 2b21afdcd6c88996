// The arena under many threads: more of them than CPUs, memory short, owners that move blocks while others use theirs,
// a background thread that compacts, shrinks and gives memory back. The content of every block is verified.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "mmbox/arena/arena.h"

namespace mmbox {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::chrono::milliseconds stress_time() {
  const char* const effort = std::getenv("MMBOX_EFFORT");
  const std::string_view word = effort == nullptr ? "" : effort;
  using std::chrono::milliseconds;
  return word == "long" ? milliseconds{600'000} : word == "quick" ? milliseconds{2'000} : milliseconds{5'000};
}

/// Own numbers, so that every run of a seed does the same as far as threads allow it.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e37'79b9'7f4a'7c15 + 1) {}
  std::uint32_t below(std::uint32_t bound) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<std::uint32_t>((state_ >> 33) % bound);
  }

 private:
  std::uint64_t state_;
};

/// A word at the beginning of every page and one at its end, which say whose it is.
void mark(void* block, Order order, std::uint64_t word) {
  auto* const bytes = static_cast<std::byte*>(block);
  for (std::size_t at = 0; at < kPageSize << order.raw(); at += kPageSize) {
    const std::uint64_t mine = word + at;
    std::memcpy(bytes + at, &mine, sizeof mine);
    std::memcpy(bytes + at + kPageSize - sizeof mine, &mine, sizeof mine);
  }
}
bool is_marked(const void* block, Order order, std::uint64_t word) {
  const auto* const bytes = static_cast<const std::byte*>(block);
  for (std::size_t at = 0; at < kPageSize << order.raw(); at += kPageSize) {
    const std::uint64_t mine = word + at;
    if (std::memcmp(bytes + at, &mine, sizeof mine) != 0 ||
        std::memcmp(bytes + at + kPageSize - sizeof mine, &mine, sizeof mine) != 0)
      return false;
  }
  return true;
}

/// One thread's movable blocks: whoever moves one holds the table's lock, or refuses.
class Table final : public Owner {
 public:
  static constexpr std::uint32_t kSlots = 512;
  Table(Arena& arena, std::uint64_t salt) : arena_(arena), salt_(salt), id_(arena.add_owner(*this)) {}

  /// Frees what is in the slot, or puts a block there. False if what was there was damaged.
  bool turn(std::uint32_t tag, Order order, Effort effort) {
    Slot& slot = slots_[tag];
    void* old = nullptr;
    Order old_order{0};
    {
      const std::lock_guard lock{mutex_};
      old = std::exchange(slot.block, nullptr);
      old_order = slot.order;
    }
    if (old != nullptr) {
      const bool intact = is_marked(old, old_order, word(tag));
      arena_.free(old, old_order);
      return intact;
    }
    // The lock is not held: with Effort::Normal this thread may itself compact, and ask this table.
    const auto got =
        arena_.try_allocate(order, {.mobility = Mobility::Movable, .effort = effort, .owner = id_, .tag = tag});
    if (!got)
      return true;
    const std::lock_guard lock{mutex_};
    // Until it is in the table, relocate() refuses to move it.
    mark(*got, order, word(tag));
    slot = {*got, order};
    return true;
  }
  bool clear() {
    bool intact = true;
    for (std::uint32_t tag = 0; tag < kSlots; ++tag)
      if (has_block(tag))
        intact = turn(tag, Order{0}, Effort::NoWait) && intact;
    return intact;
  }
  bool relocate(const Relocation& move) override {
    const std::unique_lock lock{mutex_, std::try_to_lock};
    if (!lock || slots_[move.tag].block != move.from_address)
      return false;
    std::memcpy(move.to_address, move.from_address, move.bytes);
    slots_[move.tag].block = move.to_address;
    return true;
  }

 private:
  struct Slot {
    void* block = nullptr;
    Order order{0};
  };
  /// The background thread may be moving it meanwhile.
  [[nodiscard]] bool has_block(std::uint32_t tag) {
    const std::lock_guard lock{mutex_};
    return slots_[tag].block != nullptr;
  }
  [[nodiscard]] std::uint64_t word(std::uint32_t tag) const { return salt_ << 48 | std::uint64_t{tag} << 32; }
  Arena& arena_;
  std::uint64_t salt_;
  std::mutex mutex_;
  std::array<Slot, kSlots> slots_{};
  OwnerId id_;
};

/// Pages that anybody may take away.
class Cache final : public Shrinker {
 public:
  explicit Cache(Arena& arena) : arena_(arena) { arena.add_shrinker(*this); }
  void grow() {
    const auto page = arena_.try_allocate(Order{0}, {.mobility = Mobility::Reclaimable, .effort = Effort::NoWait});
    if (!page)
      return;
    const std::lock_guard lock{mutex_};
    pages_.push_back(*page);
  }
  std::size_t shrink(std::size_t pages) override {
    const std::unique_lock lock{mutex_, std::try_to_lock};
    if (!lock)
      return 0;
    std::size_t freed = 0;
    for (; freed < pages && !pages_.empty(); ++freed) {
      arena_.free(pages_.back(), Order{0});
      pages_.pop_back();
    }
    return freed;
  }

 private:
  Arena& arena_;
  std::mutex mutex_;
  std::vector<void*> pages_;
};

void stress(const ArenaOptions& options, unsigned threads) {
  Arena arena{options};
  Cache cache{arena};
  std::vector<std::unique_ptr<Table>> tables;
  for (unsigned thread = 0; thread < threads; ++thread)
    tables.push_back(std::make_unique<Table>(arena, thread + 1));
  std::atomic<std::uint64_t> damaged = 0;
  std::atomic<std::uint64_t> steps = 0;
  const auto end = std::chrono::steady_clock::now() + stress_time();
  std::vector<std::thread> workers;
  for (unsigned thread = 0; thread < threads; ++thread) {
    workers.emplace_back([&, thread] {
      // Each life of a thread is short, so that many end with pages on their CPU's lists.
      for (std::uint64_t life = 0; std::chrono::steady_clock::now() < end; ++life) {
        std::thread{[&, life] {
          Random random{thread * 1000 + life};
          struct Held {
            void* block;
            Order order;
            std::uint64_t word;
          };
          std::vector<Held> held;
          const auto give_back = [&](std::size_t which) {
            damaged += is_marked(held[which].block, held[which].order, held[which].word) ? 0 : 1;
            arena.free(held[which].block, held[which].order);
            held[which] = held.back();
            held.pop_back();
          };
          for (unsigned step = 0; step < 3000; ++step) {
            const Order order{random.below(4) == 0 ? random.below(8) : 0};
            const Effort effort = random.below(8) == 0 ? Effort::Normal : Effort::NoWait;
            const std::uint32_t dice = random.below(100);
            if (dice < 60) {
              damaged += tables[thread]->turn(random.below(Table::kSlots), order, effort) ? 0 : 1;
            } else if (dice < 75) {
              const auto got = arena.try_allocate(order, {.effort = effort});
              if (got) {
                held.push_back({*got, order, std::uint64_t{thread} << 56 | std::uint64_t{step} << 32});
                mark(*got, order, held.back().word);
              }
            } else if (dice < 90 && !held.empty()) {
              give_back(random.below(static_cast<std::uint32_t>(held.size())));
            } else if (dice < 98) {
              cache.grow();
            } else if (step % 64 == 0) {
              arena.drain();
            } else if (step % 512 == 1) {
              arena.compact();
            }
          }
          while (!held.empty())
            give_back(held.size() - 1);
          steps += 3000;
        }}.join();
      }
    });
  }
  for (std::thread& worker : workers)
    worker.join();
  for (const auto& table : tables)
    damaged += table->clear() ? 0 : 1;
  while (cache.shrink(1000) != 0) {
  }
  arena.remove_shrinker(cache);
  EXPECT_EQ(damaged, 0U);
  EXPECT_GT(arena.stats().moved, 0U);
  std::printf("%llu steps, %llu pages moved, %llu refused, %llu shrunk\n",
              static_cast<unsigned long long>(steps.load()), static_cast<unsigned long long>(arena.stats().moved),
              static_cast<unsigned long long>(arena.stats().not_moved),
              static_cast<unsigned long long>(arena.stats().shrunk));
  // Frames that the background thread has in hand, as targets of moves or to give them back, count as used until it
  // lays them down. What is lost stays so.
  arena.drain();
  for (int look = 0; look < 1000 && arena.stats().used != 0; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    arena.drain();
  }
  EXPECT_EQ(arena.stats().used, 0U);
}

TEST(ArenaThreads, NothingIsLostOrDamagedWhileMemoryIsShort) {
  ArenaOptions options;
  options.bytes = 16 * kMiB;
  options.background = true;
  options.return_idle_after = 20;
  stress(options, 4);
}

TEST(ArenaThreads, NothingIsLostOrDamagedInTwoShards) {
  ArenaOptions options;
  options.bytes = 32 * kMiB;
  options.shards = 2;
  stress(options, 3);
}

TEST(ArenaThreads, BlocksAreFreedByOtherThreads) {
  ArenaOptions options;
  options.bytes = 16 * kMiB;
  Arena arena{options};
  std::array<std::atomic<void*>, 256> table{};
  std::vector<std::thread> workers;
  for (unsigned thread = 0; thread < 4; ++thread) {
    workers.emplace_back([&, thread] {
      Random random{thread};
      for (unsigned step = 0; step < 20000; ++step) {
        const auto got = arena.try_allocate(Order{0}, Mobility::Movable);
        void* const old = table[random.below(256)].exchange(got ? *got : nullptr);
        arena.free(old);
      }
    });
  }
  for (std::thread& worker : workers)
    worker.join();
  for (std::atomic<void*>& block : table)
    arena.free(block.load());
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
  EXPECT_FALSE(arena.check_books());
}

}  // namespace
}  // namespace mmbox
