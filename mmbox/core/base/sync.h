// The locking policy: where the kernel takes the zone lock and the per-cpu lock, core calls it.
//
// The lab runs one request at a time and uses `NoSync`, which costs nothing. The arena and kernels bring a policy with
// real locks; the lock words lie in the machine's bytes and start as 0.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace mmbox {

/// A locking policy. `try_lock` may fail only because another thread holds the word.
template <class S>
concept SyncPolicy = requires(std::uint32_t& word) {
  { S::lock(word) } -> std::same_as<void>;
  { S::try_lock(word) } -> std::same_as<bool>;
  { S::unlock(word) } -> std::same_as<void>;
};

struct NoSync {
  static constexpr void lock(std::uint32_t&) {}
  static constexpr bool try_lock(std::uint32_t&) { return true; }
  static constexpr void unlock(std::uint32_t&) {}
};
static_assert(SyncPolicy<NoSync>);

namespace detail {
template <class S>
struct PagesetSyncOf {
  using type = S;
};
template <class S>
requires requires {
  typename S::Pageset;
}
struct PagesetSyncOf<S> {
  using type = typename S::Pageset;
};
}  // namespace detail
/// How a policy locks per-cpu lists: by `S::Pageset` if it has one, since a lock that one CPU takes almost always can
/// be had for less than a zone's; else like everything. Source: struct per_cpu_pages, lock.
template <SyncPolicy S>
using PagesetSync = typename detail::PagesetSyncOf<S>::type;

/// Holds a lock word for a scope.
template <SyncPolicy S>
class Guard {
 public:
  explicit Guard(std::uint32_t& word) : word_(word) { S::lock(word_); }
  ~Guard() { S::unlock(word_); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  std::uint32_t& word_;
};

/// Holds a lock word for a scope if it was free.
template <SyncPolicy S>
class TryGuard {
 public:
  explicit TryGuard(std::uint32_t& word) : word_(word), held_(S::try_lock(word)) {}
  ~TryGuard() {
    if (held_)
      S::unlock(word_);
  }
  TryGuard(const TryGuard&) = delete;
  TryGuard& operator=(const TryGuard&) = delete;
  [[nodiscard]] bool held() const { return held_; }

 private:
  std::uint32_t& word_;
  bool held_;
};

/// Reads a number or a frame's state that another CPU may be changing; any recent value will do.
template <class T>
[[nodiscard]] inline T racy(const T& value) {
  T result;
  __atomic_load(&value, &result, __ATOMIC_RELAXED);
  return result;
}
/// The same under a locking policy: where there is no other CPU, the compiler may read as it likes.
template <SyncPolicy S, class T>
[[nodiscard]] inline T racy(const T& value) {
  if constexpr (std::same_as<S, NoSync>)
    return value;
  else
    return racy(value);
}
/// Writes what other CPUs read without a lock.
template <class T>
inline void publish(T& target, std::type_identity_t<T> value) {
  __atomic_store(&target, &value, __ATOMIC_RELAXED);
}
/// Adds to a number that other CPUs read without a lock. Where two of them add without a lock in common, one of the
/// additions may be lost: for counts that only statistics read.
template <SyncPolicy S, class T>
inline void add(T& target, std::type_identity_t<T> n) {
  if constexpr (std::same_as<S, NoSync>)
    target = static_cast<T>(target + n);
  else
    publish(target, static_cast<T>(racy(target) + n));
}
/// Sets and clears bits that several CPUs change without a lock.
inline void set_bits(std::uint32_t& flags, std::uint32_t bits) {
  __atomic_fetch_or(&flags, bits, __ATOMIC_RELAXED);
}
inline void clear_bits(std::uint32_t& flags, std::uint32_t bits) {
  __atomic_fetch_and(&flags, ~bits, __ATOMIC_RELAXED);
}

}  // namespace mmbox
