// What writer and reader of the compact form share. The form itself is described in compact.h.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "mmbox/lab/trace/schema.h"

namespace mmbox::lab::compact {

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::string_view kBlockMark = "BLK\n";
inline constexpr std::string_view kEndMark = "END\n";
inline constexpr std::size_t kBlockHead = 4 + 3 * sizeof(std::uint32_t) + sizeof(std::uint64_t);
inline constexpr std::size_t kEndSize = 4 + 2 * sizeof(std::uint64_t);
inline constexpr std::uint32_t kBlockEvents = 65536;
/// A block is closed when it holds so many bytes; one event adds at most kEventMax.
inline constexpr std::uint32_t kBlockBytes = 4U << 20;
inline constexpr std::size_t kTextMax = 4096;
/// Head, context, fields of at most ten bytes each, and a text.
inline constexpr std::size_t kEventMax = 64 + 10 * (kFieldsMax + 2) + kTextMax;
inline constexpr std::uint32_t kHeaderMax = 64U << 10;
/// Dictionary entries of a block; when it is full, new combinations are written out in full each time.
inline constexpr std::size_t kEntriesMax = 16384;

// Bits of a context byte.
inline constexpr std::uint8_t kContextCpu = 1;
inline constexpr std::uint8_t kContextPid = 2;
inline constexpr std::uint8_t kContextTime = 4;
inline constexpr std::uint8_t kContextComm = 8;

/// What writer and reader expect of the next event, by the same rules.
class Expectation {
 public:
  std::uint64_t time = 0;
  std::uint16_t cpu = 0;

  [[nodiscard]] std::int32_t& pid_of(std::uint16_t of_cpu) { return pids_[of_cpu % pids_.size()]; }
  /// Direct-mapped: two pids may share a slot, which costs a few bytes and nothing else.
  [[nodiscard]] Comm& comm_of(std::int32_t pid) { return comms_[static_cast<std::uint32_t>(pid) % comms_.size()]; }
  /// The last place of a field of a kind.
  [[nodiscard]] std::uint64_t* places(std::size_t kind) { return places_[kind].data(); }

 private:
  std::array<std::int32_t, 256> pids_{};
  std::array<Comm, 1024> comms_{};
  std::array<std::array<std::uint64_t, kFieldsMax>, kEventKinds> places_{};
};

constexpr std::uint64_t zigzag(std::uint64_t value) {
  return (value << 1) ^ (0 - (value >> 63));
}
constexpr std::uint64_t unzigzag(std::uint64_t value) {
  return (value >> 1) ^ (0 - (value & 1));
}

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}
/// Reads at most ten bytes; the caller has room for that behind the data.
inline std::uint64_t take_varint(const std::uint8_t*& at) {
  std::uint64_t byte = *at++;
  if (byte < 0x80)
    return byte;
  std::uint64_t value = byte & 0x7f;
  for (unsigned shift = 7; shift < 64; shift += 7) {
    byte = *at++;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80)
      break;
  }
  return value;
}

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>(value >> (8 * i));
}
template <class T>
T take(const char* at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i)
    value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(at[i])) << (8 * i));
  return value;
}

/// Tells damage, not malice: 64 bits, a multiply and a rotation for every eight bytes.
inline std::uint64_t checksum(std::string_view bytes, std::uint64_t seed = 0) {
  constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio, odd
  std::uint64_t hash = seed ^ (bytes.size() * kMultiplier);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8)
    hash = std::rotl((hash ^ take<std::uint64_t>(bytes.data() + i)) * kMultiplier, 29);
  for (; i < bytes.size(); ++i)
    hash = std::rotl((hash ^ static_cast<unsigned char>(bytes[i])) * kMultiplier, 29);
  hash ^= hash >> 32;
  return hash * kMultiplier;
}

/// A number as core counts it, so that a file means the same whatever kernel it came from.
template <class T>
std::uint64_t to_core(const T& value) {
  if constexpr (std::is_same_v<T, Gfp>)
    return value.raw();
  else if constexpr (std::is_same_v<T, Migratetype>)
    return raw(value);
  else
    return to_raw(value, FieldContext{.gfp = nullptr});
}
/// False if out of range.
template <class T>
bool from_core(std::uint64_t number, T& value) {
  if constexpr (std::is_same_v<T, Gfp>) {
    value = Gfp{static_cast<std::uint32_t>(number)};
    return number <= 0xffffffff;
  } else if constexpr (std::is_same_v<T, Migratetype>) {
    value = static_cast<Migratetype>(number % kMigratetypes);
    return number < kMigratetypes;
  } else {
    return from_raw(number, FieldContext{.gfp = nullptr}, value);
  }
}

/// Changes when a field is renamed, moved, or packed in another way.
template <class E>
std::uint64_t fingerprint() {
  std::uint64_t hash = kFieldsOf<E>;
  for_each_field<E>([&hash](std::size_t, const auto& f) {
    hash = checksum(f.names[0], hash ^ static_cast<std::uint64_t>(f.coding));
  });
  return hash;
}
template <std::size_t... kind>
std::array<std::uint64_t, kEventKinds> make_fingerprints(std::index_sequence<kind...>) {
  return {fingerprint<EventOf<kind>>()...};
}
inline std::array<std::uint64_t, kEventKinds> fingerprints() {
  return make_fingerprints(std::make_index_sequence<kEventKinds>{});
}
/// The name of a kind in a header; those without a name in traces get one here.
inline std::string_view kind_name(std::size_t kind) {
  if (kind == kKindOf<Lost>)
    return "mmbox:lost";
  if (kind == kKindOf<Unknown>)
    return "mmbox:unknown";
  return event_name(kind);
}

}  // namespace mmbox::lab::compact
