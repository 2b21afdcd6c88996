// How one kernel generation decides, as a table of named choices.
//
// Every difference between kernels is a field here; code asks "which rule?", never "which version?". A generation is a
// value of `Generation`. Source: the matrix of policies in docs/generations.md.
#pragma once

#include <cstdint>

namespace mmbox {

/// How a kernel compares a zone's free pages with a mark.
enum class WatermarkRule : std::uint8_t {
  Loop,    ///< to 4.3: each smaller order's pages are taken off and the mark is halved; lists are not looked at
  Harder,  ///< 4.4 to 4.13: HARDER takes a quarter off, and opens the high-atomic reserve; a fitting block must exist
  HarderOom,  ///< 4.14 to 6.2, 6.1.0 to 6.1.115: as Harder, but an OOM victim takes half off instead of the quarter
  Reserves,   ///< 6.3 on, 6.1.116 on: NON_BLOCK counts only with MIN_RESERVE; any right cancels the high-atomic
              ///< deduction
};

/// The shortcut that order-0 requests are tried with before the full test.
enum class WatermarkFastRule : std::uint8_t {
  None,           ///< 3.10: always the full test
  CmaOnly,        ///< 4.4 to 5.8: only CMA pages are taken off, compared unsigned
  AllDeductions,  ///< 5.9 on: the same pages are taken off as in the full test
};

/// Who may ignore a boosted MIN mark for one page, as a second chance.
enum class BoostException : std::uint8_t {
  None,        ///< before 5.10
  GfpAtomic,   ///< 5.10, 6.1: masks with __GFP_ATOMIC
  MinReserve,  ///< 6.3 on: attempts with MIN_RESERVE
};

/// The three of one generation.
struct WatermarkPolicy {
  WatermarkRule rule;
  WatermarkFastRule fast;
  BoostException boost_exception;
  friend constexpr bool operator==(const WatermarkPolicy&, const WatermarkPolicy&) = default;
};

/// How a mask without direct reclaim becomes allocation flags.
enum class AtomicRule : std::uint8_t {
  GfpAtomic,  ///< 6.1.0: __GFP_ATOMIC gives HARDER; high-atomic blocks serve and follow any HARDER request of order > 0
  NonBlock,   ///< 6.1.116: no direct reclaim gives NON_BLOCK, and with __GFP_HIGH and order > 0 HIGHATOMIC
};

/// Which high-order per-cpu lists exist beside those of orders 0 to 3.
enum class PcpHugeLists : std::uint8_t {
  Shared,  ///< 6.1.0 to 6.1.96: one list for order-9 blocks of every type
  Split,   ///< 6.1.97: one for blocks that do not move, one for those that do
};

/// When the last high-atomic pageblock is given back before a request fails.
enum class LastUnreserve : std::uint8_t {
  AfterManyLoops,  ///< 6.1.0: only once the rounds without progress exceed 16
  OnEveryNo,       ///< 6.1.76: whenever the answer to "retry reclaim?" is no
};

struct Generation {
  const char* name;           ///< "linux-6.1"
  WatermarkPolicy watermark;  ///< 03 §4
  AtomicRule atomic_rule;     ///< 01 §11, 03 §5 and §8
  PcpHugeLists pcp_huge_lists;
  std::uint8_t free_factor_max;  ///< doublings of a bulk free; 255 stands for "no limit"
  LastUnreserve last_unreserve;
};

/// Debian's 6.1.192, the reference.
inline constexpr Generation kLinux61{
    .name = "linux-6.1",
    .watermark = {WatermarkRule::Reserves, WatermarkFastRule::AllDeductions, BoostException::GfpAtomic},
    .atomic_rule = AtomicRule::NonBlock,
    .pcp_huge_lists = PcpHugeLists::Split,
    .free_factor_max = 5,
    .last_unreserve = LastUnreserve::OnEveryNo,
};

/// The first release of the series.
inline constexpr Generation kLinux610{
    .name = "linux-6.1.0",
    .watermark = {WatermarkRule::HarderOom, WatermarkFastRule::AllDeductions, BoostException::GfpAtomic},
    .atomic_rule = AtomicRule::GfpAtomic,
    .pcp_huge_lists = PcpHugeLists::Shared,
    .free_factor_max = 255,
    .last_unreserve = LastUnreserve::AfterManyLoops,
};

}  // namespace mmbox
