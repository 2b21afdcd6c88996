// How one kernel generation decides, as a table of named choices.
//
// Every difference between kernels is a field here; code asks "which rule?", never "which version?". A generation is a
// value of `Generation`. Source: the matrix of policies in docs/generations.md.
#pragma once

#include <cstdint>

namespace mmbox {

/// Which request flags open the reserves, and by how much they lower the mark.
enum class ReserveRule : std::uint8_t {
  HarderOrOom,  ///< 6.1.0: HARDER takes a quarter off, and with OOM opens the high-atomic lists
  Reserves,     ///< 6.1.116: MIN_RESERVE halves the mark, NON_BLOCK takes a quarter more; HIGHATOMIC opens the lists
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
  const char* name;          ///< "linux-6.1"
  ReserveRule reserve_rule;  ///< 03 §4, §5, §8
  PcpHugeLists pcp_huge_lists;
  std::uint8_t free_factor_max;  ///< doublings of a bulk free; 255 stands for "no limit"
  LastUnreserve last_unreserve;
};

/// Debian's 6.1.192, the reference.
inline constexpr Generation kLinux61{
    .name = "linux-6.1",
    .reserve_rule = ReserveRule::Reserves,
    .pcp_huge_lists = PcpHugeLists::Split,
    .free_factor_max = 5,
    .last_unreserve = LastUnreserve::OnEveryNo,
};

/// The first release of the series.
inline constexpr Generation kLinux610{
    .name = "linux-6.1.0",
    .reserve_rule = ReserveRule::HarderOrOom,
    .pcp_huge_lists = PcpHugeLists::Shared,
    .free_factor_max = 255,
    .last_unreserve = LastUnreserve::AfterManyLoops,
};

}  // namespace mmbox
