// The arena against the allocators of user space, and DPDK's mempool where the build has found it.
//
//   arena_bench [speed|tail|fragmentation]      all of them by default
//
// speed: each allocator in a process of its own, one after the other. Its memory is touched before; every workload is
// run with blocks left alone, and with a word written to every page of each block. Medians of five repetitions, in ns
// of CPU time for one allocation and one free; for two threads the slower one's time is divided by what both did, so
// that half is ideal.
// tail: how long single operations take in an arena that is 99 % full.
// fragmentation: what 100 rounds of churn leave of 8 GiB, and what compaction makes of it.
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/bench_main.h"
#include "bench/rivals.h"
#include "mmbox/arena/arena.h"
#ifdef MMBOX_HAS_DPDK
#include "bench/dpdk/dpdk_pool.h"
#endif

namespace mmbox::bench {
namespace {

using Clock = std::chrono::steady_clock;

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e37'79b9'7f4a'7c15 + 1) {}
  std::uint32_t below(std::uint32_t bound) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<std::uint32_t>(((state_ >> 32) * bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

// ------------------------------------------------------------- the allocators, by the same few functions

struct ArenaBlocks {
  static constexpr const char* kName = "mmbox arena";
  static inline Arena* arena = nullptr;
  static void prepare(std::size_t bytes, unsigned threads) {
    ArenaOptions options;
    options.bytes = bytes;
    options.shards = threads;
    options.backing = Backing::HugePages;
    arena = new Arena{options};
    // The rivals keep what they once had; the arena has it from here on.
    std::memset(reinterpret_cast<void*>(arena->base()), 0, arena->bytes());
  }
  static void* alloc(unsigned order) {
    const auto got = arena->try_allocate(Order{order}, Mobility::Movable);
    return got ? *got : nullptr;
  }
  static void free(void* block, unsigned order) { arena->free(block, Order{order}); }
  static void enter_thread() {}
  static constexpr unsigned kOrderMax = kMaxPageOrder;
};

template <class Rival>
struct RivalBlocks {
  static constexpr const char* kName = Rival::kName;
  static void prepare(std::size_t bytes, unsigned) { Rival::prepare(bytes); }
  static void* alloc(unsigned order) { return Rival::alloc(kPageSize << order); }
  static void free(void* block, unsigned order) { Rival::free(block, kPageSize << order); }
  static void enter_thread() { Rival::prepare(0); }
  static constexpr unsigned kOrderMax = kMaxPageOrder;
};
template <>
void RivalBlocks<Mimalloc>::enter_thread() {}

struct GlibcBlocks {
  static constexpr const char* kName = "glibc";
  static void prepare(std::size_t, unsigned) {
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
    mallopt(M_TOP_PAD, 64 << 20);
  }
  static void* alloc(unsigned order) { return aligned_alloc(kPageSize << order, kPageSize << order); }
  static void free(void* block, unsigned) { std::free(block); }
  static void enter_thread() {}
  static constexpr unsigned kOrderMax = kMaxPageOrder;
};

#ifdef MMBOX_HAS_DPDK
struct DpdkBlocks {
  static constexpr const char* kName = "DPDK mempool";
  static void prepare(std::size_t bytes, unsigned) {
    if (!dpdk_begin(bytes / kPageSize))
      std::exit(1);
  }
  static void* alloc(unsigned) { return dpdk_get(); }
  static void free(void* block, unsigned) { dpdk_put(block); }
  static void enter_thread() { dpdk_enter_thread(); }
  static constexpr unsigned kOrderMax = 0;
};
#endif

// ------------------------------------------------------------- workloads

enum class Touch : bool { No, Yes };

void touch(void* block, unsigned order) {
  for (std::size_t at = 0; at < kPageSize << order; at += kPageSize)
    static_cast<volatile char*>(block)[at] = 1;
}

template <class Blocks>
void* take(unsigned order, Touch touches) {
  void* const block = Blocks::alloc(order);
  if (block == nullptr) [[unlikely]] {
    std::fprintf(stderr, "%s: no block of order %u\n", Blocks::kName, order);
    std::_Exit(1);
  }
  if (touches == Touch::Yes)
    touch(block, order);
  return block;
}

/// CPU time of the calling thread, in ns: on a machine with other work a thread's own time says more than the clock's.
double thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Two threads get a CPU each, if there are as many.
void stay_on(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  static_cast<void>(sched_setaffinity(0, sizeof set, &set));
}

/// Runs `work(thread)` in every thread at once. Returns the time of the thread that took longest, in ns.
double timed(unsigned threads, const std::function<void(unsigned)>& work) {
  std::vector<double> times(threads);
  const auto measured = [&](unsigned thread) {
    const double start = thread_ns();
    work(thread);
    times[thread] = thread_ns() - start;
  };
  if (threads == 1) {
    measured(0);
    return times[0];
  }
  std::atomic<unsigned> ready = 0;
  std::atomic<bool> go = false;
  std::vector<std::thread> workers;
  for (unsigned thread = 0; thread < threads; ++thread) {
    workers.emplace_back([&, thread] {
      stay_on(thread);
      ++ready;
      while (!go)
        std::this_thread::yield();
      measured(thread);
    });
  }
  while (ready != threads)
    std::this_thread::yield();
  go = true;
  for (std::thread& worker : workers)
    worker.join();
  return *std::max_element(times.begin(), times.end());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int repetitions() {
  return is_smoke() ? 1 : 5;
}

/// The size is known where it is asked for, as at nearly every place of a program.
template <class Blocks, unsigned order>
double pair_ns(unsigned threads, Touch touches) {
  const std::uint64_t count = is_smoke() ? 1000 : order > 5 && touches == Touch::Yes ? 20'000 : 2'000'000;
  std::vector<double> times;
  for (int repetition = 0; repetition <= repetitions(); ++repetition) {
    const double time = timed(threads, [&](unsigned) {
      Blocks::enter_thread();
      for (std::uint64_t i = 0; i < count; ++i) {
        void* block = take<Blocks>(order, touches);
        asm volatile("" : "+r"(block) : : "memory");
        Blocks::free(block, order);
      }
    });
    if (repetition > 0)  // the first one warms up
      times.push_back(time / static_cast<double>(count * threads));
  }
  return median(times);
}

enum class FreeOrder : std::uint8_t { Fifo, Lifo, Random };

template <class Blocks>
double fill_ns(FreeOrder order, unsigned threads, Touch touches) {
  const std::size_t pages = (is_smoke() ? std::size_t{4096} : std::size_t{256} << 10) / threads;
  std::vector<std::vector<std::uint32_t>> sequence(threads, std::vector<std::uint32_t>(pages));
  Random random{1};
  for (auto& mine : sequence) {
    for (std::uint32_t i = 0; i < pages; ++i)
      mine[i] = order == FreeOrder::Lifo ? static_cast<std::uint32_t>(pages) - 1 - i : i;
    for (std::uint32_t i = static_cast<std::uint32_t>(pages); order == FreeOrder::Random && i > 1; --i)
      std::swap(mine[i - 1], mine[random.below(i)]);
  }
  std::vector<std::vector<void*>> blocks(threads, std::vector<void*>(pages));
  std::vector<double> times;
  for (int repetition = 0; repetition <= repetitions(); ++repetition) {
    const double time = timed(threads, [&](unsigned thread) {
      Blocks::enter_thread();
      for (void*& block : blocks[thread])
        block = take<Blocks>(0, repetition == 0 ? Touch::Yes : touches);
      for (const std::uint32_t which : sequence[thread])
        Blocks::free(blocks[thread][which], 0);
    });
    if (repetition > 0)
      times.push_back(time / static_cast<double>(pages * threads));
  }
  return median(times);
}

/// Orders 0 to 9, each with the same share of the bytes; half of the memory is live.
template <class Blocks>
double mix_ns(std::size_t bytes, unsigned threads, Touch touches) {
  struct Live {
    void* block;
    unsigned order;
  };
  const std::uint64_t steps = is_smoke() ? 1000 : 200'000;
  const std::uint64_t pages = bytes / 2 / kPageSize / threads;
  std::vector<std::vector<Live>> live(threads);
  const auto draw_order = [](Random& random) {
    const std::uint32_t chance = random.below(1023);
    unsigned order = 0;
    for (std::uint32_t below = 512; chance >= below; below += 512U >> order)
      ++order;
    return order;
  };
  timed(threads, [&](unsigned thread) {
    Blocks::enter_thread();
    Random random{thread};
    for (std::uint64_t held = 0; held < pages;) {
      const unsigned order = draw_order(random);
      live[thread].push_back({take<Blocks>(order, Touch::Yes), order});
      held += std::uint64_t{1} << order;
    }
  });
  std::vector<double> times;
  for (int repetition = 0; repetition <= repetitions(); ++repetition) {
    const double time = timed(threads, [&](unsigned thread) {
      Blocks::enter_thread();
      Random random{static_cast<std::uint64_t>(repetition) * 8 + thread};
      std::vector<Live>& mine = live[thread];
      for (std::uint64_t step = 0; step < steps; ++step) {
        Live& slot = mine[random.below(static_cast<std::uint32_t>(mine.size()))];
        Blocks::free(slot.block, slot.order);
        slot.order = draw_order(random);
        slot.block = take<Blocks>(slot.order, repetition == 0 ? Touch::Yes : touches);
      }
    });
    if (repetition > 0)
      times.push_back(time / static_cast<double>(steps * threads));
  }
  timed(threads, [&](unsigned thread) {
    Blocks::enter_thread();
    for (const Live& each : live[thread])
      Blocks::free(each.block, each.order);
  });
  return median(times);
}

/// Runs the workloads of one allocator in a child process, and prints one line for each number of threads.
template <class Blocks>
void measure() {
  const std::size_t bytes = is_smoke() ? std::size_t{128} << 20 : std::size_t{8} << 30;
  for (const unsigned threads : {1U, 2U}) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      const bool mixes = Blocks::kOrderMax >= 9;
      Blocks::prepare(mixes ? bytes : std::size_t{is_smoke() ? 64U : 1536U} << 20, threads);
      for (const Touch touches : {Touch::No, Touch::Yes}) {
        std::printf("| %s | %u | %s |", Blocks::kName, threads, touches == Touch::Yes ? "yes" : "no");
        std::printf(" %.1f |", pair_ns<Blocks, 0>(threads, touches));
        if constexpr (Blocks::kOrderMax >= 9)
          std::printf(" %.1f |", pair_ns<Blocks, 9>(threads, touches));
        else
          std::printf(" - |");
        for (const FreeOrder order : {FreeOrder::Fifo, FreeOrder::Lifo, FreeOrder::Random})
          std::printf(" %.1f |", fill_ns<Blocks>(order, threads, touches));
        if (mixes)
          std::printf(" %.0f |\n", mix_ns<Blocks>(bytes, threads, touches));
        else
          std::printf(" - |\n");
        std::fflush(stdout);
      }
      std::_Exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0)
      std::printf("| %s | %u | ended with status %d |\n", Blocks::kName, threads, status);
  }
}

void speed() {
  std::printf("| allocator | threads | touched | order 0 | order 9 | FIFO | LIFO | random | mix |\n");
  std::printf("|---|---|---|---|---|---|---|---|---|\n");
  measure<ArenaBlocks>();
  measure<RivalBlocks<Jemalloc>>();
  measure<RivalBlocks<Mimalloc>>();
  measure<RivalBlocks<Tcmalloc>>();
  measure<RivalBlocks<OneTbb>>();
  measure<GlibcBlocks>();
#ifdef MMBOX_HAS_DPDK
  measure<DpdkBlocks>();
#endif
}

// ------------------------------------------------------------- tail

/// Times that the system took this thread off its CPU.
long switches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw + usage.ru_nvcsw;
}

/// Counts of times by their magnitude.
struct Histogram {
  std::array<std::uint64_t, 8> counts{};  ///< below 100 ns, 300 ns, 1 us, 3 us, 10 us, 30 us, 100 us, above
  std::uint64_t operations = 0;
  std::uint64_t long_without_switch = 0;
  double longest_without_switch = 0;
  double seconds = 0;
  long switched = switches();
  void add(double ns) {
    constexpr std::array kBounds{100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5};
    ++operations;
    ++counts[static_cast<std::size_t>(std::upper_bound(kBounds.begin(), kBounds.end(), ns) - kBounds.begin())];
    if (ns < 1e4)
      return;
    const long now = switches();
    if (now == switched) {
      ++long_without_switch;
      longest_without_switch = std::max(longest_without_switch, ns);
    }
    switched = now;
  }
  void print(const char* what) const {
    std::printf("| %s | %.1f | %llu |", what, seconds, static_cast<unsigned long long>(operations));
    for (const std::uint64_t count : counts)
      std::printf(" %llu |", static_cast<unsigned long long>(count));
    std::printf(" %llu | %.1f |\n", static_cast<unsigned long long>(long_without_switch),
                longest_without_switch / 1000);
  }
};

/// Times single calls of `work` for as long as `seconds`, after one turn to warm up.
template <class Work>
Histogram time_singly(double seconds, Work work) {
  Histogram histogram;
  const auto begin = Clock::now();
  auto now = begin;
  while (histogram.seconds < seconds) {
    const auto start = now;
    work();
    now = Clock::now();
    histogram.add(std::chrono::duration<double, std::nano>(now - start).count());
    now = Clock::now();
    histogram.seconds = std::chrono::duration<double>(now - begin).count();
  }
  return histogram;
}

void tail() {
  ArenaOptions options;
  options.bytes = std::size_t{is_smoke() ? 64U : 4096U} << 20;
  options.backing = Backing::Foreign;  // the allocator alone, without page faults
  Arena arena{options};
  Random random{3};
  const std::size_t full = arena.bytes() / kPageSize / 100 * 99;
  std::vector<void*> pages(full);
  for (void*& page : pages)
    page = *arena.try_allocate(Order{0}, Mobility::Movable);
  // Two thousand pages at a time: more than the stacks and per-cpu lists keep.
  const auto churn = [&, left = 0, frees = true, held = std::vector<std::uint32_t>{}]() mutable {
    if (left == 0) {
      frees = !frees || held.empty();
      left = 2000;
    }
    --left;
    if (frees) {
      const std::uint32_t which = random.below(static_cast<std::uint32_t>(full));
      if (pages[which] == nullptr)
        return;
      arena.free(std::exchange(pages[which], nullptr), Order{0});
      held.push_back(which);
    } else if (!held.empty()) {
      pages[held.back()] = *arena.try_allocate(Order{0}, Mobility::Movable);
      held.pop_back();
    }
  };
  const double seconds = is_smoke() ? 0.1 : 10;
  static_cast<void>(time_singly(seconds / 10, churn));
  const Histogram allocator = time_singly(seconds, churn);
  // The same with nothing to measure: what the system does to a program meanwhile.
  const Histogram nothing = time_singly(seconds, [&] { static_cast<void>(random.below(2)); });
  std::printf(
      "\n| single operations at 99 %% | seconds | operations | < 100 ns | < 300 | < 1 us | < 3 | < 10 | < 30 | "
      "< 100 | more | of the last three, without a switch | the longest of those, us |\n");
  std::printf("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  allocator.print("arena");
  nothing.print("nothing");
}

// ------------------------------------------------------------- fragmentation

/// Pages by tag; moving one changes a number.
class Table final : public Owner {
 public:
  explicit Table(Arena& arena) : arena_(arena), id_(arena.add_owner(*this)) {}
  bool fill(std::uint32_t tag) {
    const auto got = arena_.try_allocate_frames(
        Order{0}, {.mobility = Mobility::Movable, .effort = Effort::NoWait, .owner = id_, .tag = tag});
    if (!got)
      return false;
    if (tag >= frames_.size())
      frames_.resize(tag + 1, kNoPfn);
    frames_[tag] = *got;
    return true;
  }
  void empty(std::uint32_t tag) {
    arena_.free_frames(frames_[tag], Order{0});
    frames_[tag] = kNoPfn;
  }
  bool relocate(const Relocation& move) override {
    frames_[move.tag] = move.to;
    return true;
  }
  [[nodiscard]] const std::vector<Pfn>& frames() const { return frames_; }

 private:
  Arena& arena_;
  OwnerId id_;
  std::vector<Pfn> frames_;
};

void fragmentation() {
  ArenaOptions options;
  options.bytes = std::size_t{is_smoke() ? 128U : 8192U} << 20;
  options.backing = Backing::Foreign;
  Arena arena{options};
  Table table{arena};
  Random random{5};
  std::uint32_t tags = 0;
  while (table.fill(tags))
    ++tags;
  std::vector<std::uint32_t> live(tags);
  for (std::uint32_t tag = 0; tag < tags; ++tag)
    live[tag] = tag;
  std::vector<std::uint32_t> gone;
  const auto drop = [&](std::size_t count) {
    for (; count > 0; --count) {
      const std::uint32_t which = random.below(static_cast<std::uint32_t>(live.size()));
      table.empty(live[which]);
      gone.push_back(live[which]);
      live[which] = live.back();
      live.pop_back();
    }
  };
  drop(live.size() / 2);
  for (int round = 0; round < 100; ++round) {
    const std::size_t tenth = live.size() / 10;
    drop(tenth);
    for (std::size_t i = 0; i < tenth; ++i) {
      table.fill(gone.back());
      live.push_back(gone.back());
      gone.pop_back();
    }
  }
  arena.drain();
  // What a mover that knows everything would move: the pageblocks that hold least, until nothing more can be won.
  std::vector<std::uint32_t> used(arena.bytes() / kPageSize / kPageblockPages);
  for (const Pfn pfn : table.frames())
    if (pfn != kNoPfn)
      ++used[pfn.raw() / kPageblockPages];
  std::sort(used.begin(), used.end());
  const std::uint64_t possible = arena.stats().free / kPageblockPages;
  std::uint64_t optimal = 0;
  for (std::uint64_t block = 0; block < possible; ++block)
    optimal += used[block];
  const ArenaStats before = arena.stats();
  const std::uint64_t without = before.free_blocks[9] + 2 * before.free_blocks[10];
  const auto start = Clock::now();
  const std::uint64_t with = arena.compact();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const auto percent = [&](std::uint64_t blocks) {
    return 100.0 * static_cast<double>(blocks) / static_cast<double>(possible);
  };
  const std::uint64_t moved = arena.stats().moved;
  std::printf(
      "\n| 2 MiB blocks of %llu possible | free | share | pages moved | an optimal mover's | ratio | seconds |\n",
      static_cast<unsigned long long>(possible));
  std::printf("|---|---|---|---|---|---|---|\n");
  std::printf("| without compaction | %llu | %.1f %% | | | | |\n", static_cast<unsigned long long>(without),
              percent(without));
  std::printf("| with | %llu | %.1f %% | %llu | %llu | %.3f | %.2f |\n", static_cast<unsigned long long>(with),
              percent(with), static_cast<unsigned long long>(moved), static_cast<unsigned long long>(optimal),
              static_cast<double>(moved) / static_cast<double>(optimal), seconds);
}

}  // namespace
}  // namespace mmbox::bench

int main(int argc, char** argv) {
  using namespace mmbox::bench;
  const std::string_view only = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
  std::printf("cpu: %s\n", proc_value("/proc/cpuinfo", "model name").c_str());
  if (only.empty() || only == "speed")
    speed();
  if (only.empty() || only == "tail")
    tail();
  if (only.empty() || only == "fragmentation")
    fragmentation();
  return 0;
}
