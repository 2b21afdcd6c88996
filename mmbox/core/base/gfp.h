// What a caller asks for (`Gfp`) and what one attempt may do (`AllocFlags`).
//
// Core knows one numbering, that of Linux 6.1. Layouts of other kernels are translated where text and traces are read
// (mmbox/lab/formats), so that no algorithm ever sees a foreign bit.
#pragma once

#include <cstdint>

#include "mmbox/core/base/migratetype.h"
#include "mmbox/core/base/units.h"

namespace mmbox {

/// A set of request flags.
/// Source: gfp_t, include/linux/gfp_types.h (6.1 values).
class Gfp {
 public:
  constexpr Gfp() = default;
  constexpr explicit Gfp(std::uint32_t bits) : bits_(bits) {}
  [[nodiscard]] constexpr std::uint32_t raw() const { return bits_; }
  /// True if any of the bits of `flags` is set.
  [[nodiscard]] constexpr bool has(Gfp flags) const { return (bits_ & flags.bits_) != 0; }
  [[nodiscard]] constexpr bool has_all(Gfp flags) const { return (bits_ & flags.bits_) == flags.bits_; }
  [[nodiscard]] constexpr Gfp without(Gfp flags) const { return Gfp{bits_ & ~flags.bits_}; }
  friend constexpr Gfp operator|(Gfp a, Gfp b) { return Gfp{a.bits_ | b.bits_}; }
  friend constexpr Gfp operator&(Gfp a, Gfp b) { return Gfp{a.bits_ & b.bits_}; }
  friend constexpr bool operator==(Gfp, Gfp) = default;

 private:
  std::uint32_t bits_ = 0;
};

namespace gfp {
inline constexpr Gfp kDma{0x1};
inline constexpr Gfp kHighMem{0x2};
inline constexpr Gfp kDma32{0x4};
inline constexpr Gfp kMovable{0x8};
inline constexpr Gfp kReclaimable{0x10};
inline constexpr Gfp kHigh{0x20};
inline constexpr Gfp kIo{0x40};
inline constexpr Gfp kFs{0x80};
inline constexpr Gfp kZero{0x100};
inline constexpr Gfp kAtomic{0x200};
inline constexpr Gfp kDirectReclaim{0x400};
inline constexpr Gfp kKswapdReclaim{0x800};
inline constexpr Gfp kWrite{0x1000};
inline constexpr Gfp kNoWarn{0x2000};
inline constexpr Gfp kRetryMayfail{0x4000};
inline constexpr Gfp kNoFail{0x8000};
inline constexpr Gfp kNoRetry{0x10000};
inline constexpr Gfp kMemalloc{0x20000};
inline constexpr Gfp kComp{0x40000};
inline constexpr Gfp kNoMemalloc{0x80000};
inline constexpr Gfp kHardwall{0x100000};
inline constexpr Gfp kThisNode{0x200000};
inline constexpr Gfp kAccount{0x400000};
inline constexpr Gfp kZeroTags{0x800000};
inline constexpr Gfp kCold{0x10000000};  // until 4.14; a bit that 6.1 leaves free

// Composites.
inline constexpr Gfp kReclaim = kDirectReclaim | kKswapdReclaim;
inline constexpr Gfp kNowait = kKswapdReclaim;
inline constexpr Gfp kAtomicRequest = kHigh | kAtomic | kKswapdReclaim;  // GFP_ATOMIC
inline constexpr Gfp kNoIo = kReclaim;
inline constexpr Gfp kNoFs = kReclaim | kIo;
inline constexpr Gfp kKernel = kReclaim | kIo | kFs;
inline constexpr Gfp kUser = kKernel | kHardwall;
inline constexpr Gfp kHighUser = kUser | kHighMem;
inline constexpr Gfp kHighUserMovable = kHighUser | kMovable;
inline constexpr Gfp kTranshugeLight = (kHighUserMovable | kComp | kNoMemalloc | kNoWarn).without(kReclaim);
inline constexpr Gfp kTranshuge = kTranshugeLight | kDirectReclaim;
static_assert(kKernel.raw() == 0xcc0 && kAtomicRequest.raw() == 0xa20 && kHighUserMovable.raw() == 0x100cca);
static_assert(kTranshugeLight.raw() == 0x1c20ca && kTranshuge.raw() == 0x1c24ca);
}  // namespace gfp

/// The mobility that a mask asks for while mobility grouping is on. Both mobility bits set is a caller's bug.
/// Source: gfp_migratetype(), include/linux/gfp.h.
[[nodiscard]] constexpr Migratetype gfp_migratetype(Gfp flags) {
  return static_cast<Migratetype>((flags.raw() & 0x18) >> 3);
}

/// What one attempt at the free lists may do; the low two bits name the watermark.
/// Source: ALLOC_*, mm/internal.h (6.1.116 and later; the older names are in docs/kernel_map.md).
class AllocFlags {
 public:
  constexpr AllocFlags() = default;
  constexpr explicit AllocFlags(std::uint32_t bits) : bits_(bits) {}
  [[nodiscard]] constexpr std::uint32_t raw() const { return bits_; }
  [[nodiscard]] constexpr bool has(AllocFlags flags) const { return (bits_ & flags.bits_) != 0; }
  [[nodiscard]] constexpr AllocFlags without(AllocFlags flags) const { return AllocFlags{bits_ & ~flags.bits_}; }
  /// Index of the watermark to compare with: 0 min, 1 low, 2 high.
  [[nodiscard]] constexpr unsigned watermark() const { return bits_ & 3U; }
  friend constexpr AllocFlags operator|(AllocFlags a, AllocFlags b) { return AllocFlags{a.bits_ | b.bits_}; }
  friend constexpr AllocFlags operator&(AllocFlags a, AllocFlags b) { return AllocFlags{a.bits_ & b.bits_}; }
  constexpr AllocFlags& operator|=(AllocFlags f) {
    bits_ |= f.bits_;
    return *this;
  }
  friend constexpr bool operator==(AllocFlags, AllocFlags) = default;

 private:
  std::uint32_t bits_ = 0;
};

namespace alloc_flag {
inline constexpr AllocFlags kWmarkMin{0};
inline constexpr AllocFlags kWmarkLow{1};
inline constexpr AllocFlags kWmarkHigh{2};
inline constexpr AllocFlags kNoWatermarks{0x04};
inline constexpr AllocFlags kOom{0x08};
inline constexpr AllocFlags kNonBlock{0x10};    // HARDER in 6.1.0
inline constexpr AllocFlags kMinReserve{0x20};  // HIGH in 6.1.0; = __GFP_HIGH
inline constexpr AllocFlags kCpuset{0x40};
inline constexpr AllocFlags kCma{0x80};
inline constexpr AllocFlags kNoFragment{0x100};
inline constexpr AllocFlags kHighAtomic{0x200};
inline constexpr AllocFlags kKswapd{0x800};  // = __GFP_KSWAPD_RECLAIM
inline constexpr AllocFlags kReserves = kNonBlock | kMinReserve | kHighAtomic | kOom;
static_assert(kReserves.raw() == 0x238);
}  // namespace alloc_flag

}  // namespace mmbox
