#include "mmbox/arena/sync.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>

#include <thread>

namespace mmbox {
namespace {

/// Waits in ever larger steps: whoever holds a lock for longer than this is not running.
class Patience {
 public:
  void wait() {
    constexpr unsigned kSpins = 64;
    if (turns_++ < kSpins)
      pause();
    else
      std::this_thread::yield();
  }

 private:
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  unsigned turns_ = 0;
};

#if MMBOX_ARENA_RSEQ
long membarrier(int command, unsigned flags, int cpu) {
  return syscall(SYS_membarrier, command, flags, cpu);
}

/// Sends every thread that is inside a sequence on `cpu` back to its beginning.
void restart_sequences(std::uint16_t cpu) {
  if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU, cpu) == 0)
    return;
  // A child process is not registered, and a kernel may know the command only for all CPUs.
  membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
  membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0);
}
#endif

}  // namespace

PerCpuMeans per_cpu_means() {
#if MMBOX_ARENA_RSEQ
  if (__rseq_size != 0)
    return PerCpuMeans::Sequences;
#endif
  return PerCpuMeans::Locks;
}

void prepare_per_cpu_locks() {
#if MMBOX_ARENA_RSEQ
  if (__rseq_size != 0)
    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
#endif
}

namespace detail {

void wait_for(std::uint32_t& word) {
  Patience patience;
  do {
    while (__atomic_load_n(&word, __ATOMIC_RELAXED) != 0)
      patience.wait();
  } while (!ArenaSync::try_lock(word));
}

void lock_from_elsewhere(PagesetLock lock) {
  Patience patience;
#if MMBOX_ARENA_RSEQ
  if (__rseq_size != 0) {
    while (__atomic_exchange_n(&lock.stop(), 1, __ATOMIC_ACQUIRE) != 0)
      patience.wait();
    restart_sequences(lock.cpu());
    while (__atomic_load_n(&lock.held(), __ATOMIC_ACQUIRE) != 0)
      patience.wait();
    return;
  }
#endif
  while (__atomic_exchange_n(&lock.held(), 1, __ATOMIC_ACQUIRE) != 0)
    patience.wait();
}

}  // namespace detail
}  // namespace mmbox
