// The arena's locking policy: real locks for core, and the cheapest lock that there is for per-cpu lists.
//
// Zones are locked by spinning and then giving way. A pageset is almost always locked by threads that run on its CPU;
// where glibc has registered restartable sequences these take it with plain stores, which count only if the thread was
// neither interrupted nor moved meanwhile. Whoever comes from another CPU stops that CPU's takers by a flag and a
// membarrier, and waits for the holder. Without restartable sequences a pageset's lock is an exchange.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <cstdint>

#include "mmbox/core/base/sync.h"
#include "mmbox/core/base/units.h"

// The thread sanitizer does not see what a sequence in assembler orders: it gets the other kind of lock.
#if defined(__SANITIZE_THREAD__)
#define MMBOX_ARENA_RSEQ 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MMBOX_ARENA_RSEQ 0
#endif
#endif
#ifndef MMBOX_ARENA_RSEQ
#if defined(__x86_64__) && __has_include(<sys/rseq.h>)
#define MMBOX_ARENA_RSEQ 1
#else
#define MMBOX_ARENA_RSEQ 0
#endif
#endif

#if MMBOX_ARENA_RSEQ
#include <sys/rseq.h>
/// The beginning and the end of a sequence in assembler. Between the labels 1 and 2 the kernel sends the thread to 4 if
/// it was preempted, moved or interrupted by a signal; the store before 2 is what counts. Operands: `thread`, `cpu`,
/// `lock`; labels: `again`, `busy`. Source: rseq(2), include/uapi/linux/rseq.h.
#define MMBOX_ARENA_SEQUENCE_BEGINS           \
  ".pushsection __mmbox_rseq_cs, \"aw?\"\n\t" \
  ".balign 32\n\t"                            \
  "3:\n\t"                                    \
  ".long 0, 0\n\t"                            \
  ".quad 1f, (2f - 1f), 4f\n\t"               \
  ".popsection\n\t"                           \
  "leaq 3b(%%rip), %%rax\n\t"                 \
  "movq %%rax, 8(%[thread])\n\t"              \
  "1:\n\t"                                    \
  "cmpl 4(%[thread]), %[cpu]\n\t"             \
  "jnz %l[busy]\n\t"
#define MMBOX_ARENA_SEQUENCE_ENDS                \
  "2:\n\t"                                       \
  ".pushsection __mmbox_rseq_abort, \"ax?\"\n\t" \
  ".byte 0x0f, 0xb9, 0x3d\n\t"                   \
  ".long 0x53053053\n\t"                         \
  "4:\n\t"                                       \
  "jmp %l[again]\n\t"                            \
  ".popsection\n\t"
#endif

namespace mmbox {

/// How the threads of this process find their CPU and lock its lists.
enum class PerCpuMeans : std::uint8_t {
  Sequences,  ///< restartable sequences, registered by the C library
  Locks,      ///< sched_getcpu() and a lock for each CPU
};

namespace detail {

#if MMBOX_ARENA_RSEQ
/// The kernel's record of the running thread, if the C library registered one: __rseq_size is 0 otherwise.
[[nodiscard]] inline struct rseq* thread_rseq() {
  return reinterpret_cast<struct rseq*>(static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset);
}
#endif

/// The lock word of a pageset: two bytes for those who lock it, and the CPU, which does not change.
/// Zero-filled memory is an unlocked one of CPU 0.
class PagesetLock {
 public:
  explicit PagesetLock(std::uint32_t& word) : word_(word) {}
  static void prepare(std::uint32_t& word, std::uint16_t cpu) { word = std::uint32_t{cpu} << 16; }
  /// Taken by a thread that ran on this CPU at that time.
  [[nodiscard]] std::uint8_t& held() const { return bytes()[kLittle ? 0 : 3]; }
  /// Somebody from elsewhere wants it, or has it.
  [[nodiscard]] std::uint8_t& stop() const { return bytes()[kLittle ? 1 : 2]; }
  /// Read by itself: a load across bytes that were just written would wait for them.
  [[nodiscard]] std::uint16_t cpu() const {
    std::uint16_t cpu;
    __builtin_memcpy(&cpu, bytes() + (kLittle ? 2 : 0), sizeof cpu);
    return cpu;
  }

 private:
  static constexpr bool kLittle = std::endian::native == std::endian::little;
  [[nodiscard]] std::uint8_t* bytes() const { return reinterpret_cast<std::uint8_t*>(&word_); }
  std::uint32_t& word_;
};

void lock_from_elsewhere(PagesetLock lock);
void wait_for(std::uint32_t& word);

}  // namespace detail

/// Can sequences be used? Decided once, before the first arena is made.
[[nodiscard]] PerCpuMeans per_cpu_means();
/// Readies the process for locks taken from other CPUs. Called for each arena.
void prepare_per_cpu_locks();

/// The CPU that the thread runs on, or ran on a moment ago.
[[nodiscard]] inline unsigned current_cpu() {
#if MMBOX_ARENA_RSEQ
  if (__rseq_size != 0) [[likely]]
    return __atomic_load_n(&detail::thread_rseq()->cpu_id_start, __ATOMIC_RELAXED);
#endif
  const int cpu = sched_getcpu();
  return cpu < 0 ? 0 : static_cast<unsigned>(cpu);
}

/// A stack of 32-bit numbers that belongs to one CPU, as sequences see it.
struct CpuStack {
  std::uint32_t* top = nullptr;  ///< where the next number goes
  std::uint32_t* base = nullptr;
  std::uint32_t* end = nullptr;
};
static_assert(offsetof(CpuStack, top) == 0 && offsetof(CpuStack, base) == 8 && offsetof(CpuStack, end) == 16);

struct ArenaSync {
  static void lock(std::uint32_t& word) {
    if (!try_lock(word)) [[unlikely]]
      detail::wait_for(word);
  }
  static bool try_lock(std::uint32_t& word) { return __atomic_exchange_n(&word, 1, __ATOMIC_ACQUIRE) == 0; }
  static void unlock(std::uint32_t& word) { __atomic_store_n(&word, 0, __ATOMIC_RELEASE); }

  /// The locks of pagesets. `try_lock` also fails for a thread that does not run on the pageset's CPU: it then has the
  /// wrong pageset, and goes to the zone.
  struct Pageset {
    static bool try_lock(std::uint32_t& word) { return try_lock_on(word, detail::PagesetLock{word}.cpu()); }
    /// The same for who knows the CPU of the lock.
    [[gnu::always_inline]] static bool try_lock_on(std::uint32_t& word, unsigned cpu) {
      const detail::PagesetLock lock{word};
#if MMBOX_ARENA_RSEQ
      if (__rseq_size != 0) [[likely]]
        return take_in_sequence(lock, cpu);
#endif
      static_cast<void>(cpu);
      if (__atomic_load_n(&lock.stop(), __ATOMIC_RELAXED) != 0)
        return false;
      return __atomic_exchange_n(&lock.held(), 1, __ATOMIC_ACQUIRE) == 0;
    }
    static void lock(std::uint32_t& word) {
      if (!try_lock(word))
        detail::lock_from_elsewhere(detail::PagesetLock{word});
    }
    /// Gives back what try_lock_on() gave.
    static void unlock_own(std::uint32_t& word) {
      __atomic_store_n(&detail::PagesetLock{word}.held(), 0, __ATOMIC_RELEASE);
    }
    static void unlock(std::uint32_t& word) {
      const detail::PagesetLock lock{word};
#if MMBOX_ARENA_RSEQ
      // Whoever came from elsewhere has it only while nobody holds it.
      if (__rseq_size != 0 && __atomic_load_n(&lock.held(), __ATOMIC_RELAXED) == 0) [[unlikely]] {
        __atomic_store_n(&lock.stop(), 0, __ATOMIC_RELEASE);
        return;
      }
#endif
      __atomic_store_n(&lock.held(), 0, __ATOMIC_RELEASE);
    }

    /// Takes the number on top of a stack of `cpu`, whose lock this is. False if there is none, or somebody has the
    /// lock.
    [[gnu::always_inline]] static bool pop(std::uint32_t& word, unsigned cpu, CpuStack& stack, std::uint32_t& number) {
#if MMBOX_ARENA_RSEQ
      if (__rseq_size != 0) [[likely]]
        return pop_in_sequence(word, cpu, stack, number);
#endif
      if (!try_lock_on(word, cpu))
        return false;
      std::uint32_t* const top = stack.top;
      const bool has_any = top != stack.base;
      if (has_any) {
        number = top[-1];
        publish(stack.top, top - 1);
      }
      unlock_own(word);
      return has_any;
    }
    /// Puts a number on top. False if the stack is full, or somebody has the lock.
    [[gnu::always_inline]] static bool push(std::uint32_t& word, unsigned cpu, CpuStack& stack, std::uint32_t number) {
#if MMBOX_ARENA_RSEQ
      if (__rseq_size != 0) [[likely]]
        return push_in_sequence(word, cpu, stack, number);
#endif
      if (!try_lock_on(word, cpu))
        return false;
      std::uint32_t* const top = stack.top;
      const bool has_room = top != stack.end;
      if (has_room) {
        *top = number;
        publish(stack.top, top + 1);
      }
      unlock_own(word);
      return has_room;
    }

   private:
#if MMBOX_ARENA_RSEQ
    [[gnu::always_inline]] static bool take_in_sequence(detail::PagesetLock lock, std::uint32_t cpu) {
      struct rseq* const thread = detail::thread_rseq();
    again:
      asm volatile goto(MMBOX_ARENA_SEQUENCE_BEGINS
                        "cmpb $0, (%[lock])\n\t"
                        "jnz %l[busy]\n\t"
                        "cmpb $0, 1(%[lock])\n\t"
                        "jnz %l[busy]\n\t"
                        "movb $1, (%[lock])\n\t" MMBOX_ARENA_SEQUENCE_ENDS
                        :
                        : [thread] "r"(thread), [lock] "r"(&lock.held()), [cpu] "r"(cpu)
                        : "rax", "cc", "memory"
                        : again, busy);
      return true;
    busy:
      return false;
    }
    [[gnu::always_inline]] static bool pop_in_sequence(std::uint32_t& word, std::uint32_t cpu, CpuStack& stack,
                                                       std::uint32_t& number) {
      struct rseq* const thread = detail::thread_rseq();
      std::uint32_t* top;
      std::uint32_t taken;
    again:
      asm volatile goto(
          MMBOX_ARENA_SEQUENCE_BEGINS
          "cmpw $0, (%[lock])\n\t"
          "jnz %l[busy]\n\t"
          "movq (%[stack]), %[top]\n\t"
          "cmpq 8(%[stack]), %[top]\n\t"
          "je %l[busy]\n\t"
          "movl -4(%[top]), %[taken]\n\t"
          "subq $4, %[top]\n\t"
          "movq %[top], (%[stack])\n\t" MMBOX_ARENA_SEQUENCE_ENDS
          : [top] "=&r"(top), [taken] "=&r"(taken)
          : [thread] "r"(thread), [lock] "r"(&detail::PagesetLock{word}.held()), [cpu] "r"(cpu), [stack] "r"(&stack)
          : "rax", "cc", "memory"
          : again, busy);
      number = taken;
      return true;
    busy:
      return false;
    }
    [[gnu::always_inline]] static bool push_in_sequence(std::uint32_t& word, std::uint32_t cpu, CpuStack& stack,
                                                        std::uint32_t number) {
      struct rseq* const thread = detail::thread_rseq();
      std::uint32_t* top;
    again:
      asm volatile goto(MMBOX_ARENA_SEQUENCE_BEGINS
                        "cmpw $0, (%[lock])\n\t"
                        "jnz %l[busy]\n\t"
                        "movq (%[stack]), %[top]\n\t"
                        "cmpq 16(%[stack]), %[top]\n\t"
                        "je %l[busy]\n\t"
                        "movl %[number], (%[top])\n\t"
                        "addq $4, %[top]\n\t"
                        "movq %[top], (%[stack])\n\t" MMBOX_ARENA_SEQUENCE_ENDS
                        : [top] "=&r"(top)
                        : [thread] "r"(thread), [lock] "r"(&detail::PagesetLock{word}.held()), [cpu] "r"(cpu),
                          [stack] "r"(&stack), [number] "r"(number)
                        : "rax", "cc", "memory"
                        : again, busy);
      return true;
    busy:
      return false;
    }
#endif
  };
};
static_assert(SyncPolicy<ArenaSync> && SyncPolicy<ArenaSync::Pageset>);

}  // namespace mmbox
