// What the naive model keeps of a machine: maps and vectors, by frame number.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "mmbox/core/base/units.h"

namespace mmbox::test {

inline constexpr int kNaiveOrders = 11;
inline constexpr int kNaiveTypes = 6;
[[nodiscard]] constexpr std::int64_t pages_of(int order) {
  return std::int64_t{1} << order;
}
/// kHighAtomicType is Reserve in 3.10.
enum NaiveType { kUnmovable, kMovable, kReclaimable, kHighAtomicType, kCmaType, kIsolateType };

/// ALLOC_ flags, under the names of 6.1; kNonBlock is HARDER and kMinReserve HIGH in older kernels.
namespace naive_flag {
inline constexpr std::uint32_t kLow = 1, kHigh = 2, kNoWatermarks = 4, kOom = 8, kNonBlock = 0x10, kMinReserve = 0x20,
                               kCpuset = 0x40, kCma = 0x80, kNoFragment = 0x100, kHighAtomic = 0x200, kKswapd = 0x800;
inline constexpr std::uint32_t kReserves = 0x238;
}  // namespace naive_flag

/// Request flags, in the numbering of 6.1. WAIT of 3.10 is kDirectReclaim, its NO_KSWAPD the want of kKswapdReclaim.
namespace naive_gfp {
inline constexpr std::uint32_t kHighPriority = 0x20, kIo = 0x40, kFs = 0x80, kAtomic = 0x200, kDirectReclaim = 0x400,
                               kKswapdReclaim = 0x800, kNoWarn = 0x2000, kRetryMayfail = 0x4000, kNoRetry = 0x10000,
                               kMemalloc = 0x20000, kNoMemalloc = 0x80000, kHardwall = 0x100000, kThisNode = 0x200000,
                               kAccount = 0x400000, kCold = 0x10000000;
}  // namespace naive_gfp

/// One zone as the model keeps it.
struct NaiveZone {
  bool populated = false;
  std::size_t node = 0;
  std::size_t index = 0;
  ZoneType type = ZoneType::Normal;
  std::uint64_t start = 0, end = 0;
  std::int64_t managed = 0;
  std::array<std::int64_t, 4> mark{};
  std::int64_t boost = 0;
  std::int64_t reserved_highatomic = 0;
  std::array<std::int64_t, 6> lowmem_reserve{};
  std::array<std::int64_t, 3> stat{};  // NR_FREE_PAGES, NR_FREE_CMA_PAGES, nr_free_pages_blocks
  std::int64_t drift_mark = 0;
  bool boosted_flag = false;
  bool reclaim_active = false;
  bool below_high = false;
  unsigned isolated_pageblocks = 0;
  /// [order][type], head first.
  std::array<std::array<std::vector<std::uint64_t>, kNaiveTypes>, kNaiveOrders> lists;
  /// Every free block by its first frame.
  struct Block {
    int order;
    int type;
  };
  std::map<std::uint64_t, Block> blocks;

  [[nodiscard]] bool spans(std::uint64_t pfn) const { return start <= pfn && pfn < end; }
  [[nodiscard]] bool spans_pageblock(std::uint64_t pfn) const { return spans(pfn & ~511ULL) && spans(pfn | 511ULL); }
  [[nodiscard]] std::int64_t free_pages() const { return std::max<std::int64_t>(0, stat[0]); }
  [[nodiscard]] std::int64_t free_cma() const { return std::max<std::int64_t>(0, stat[1]); }
  [[nodiscard]] std::int64_t boosted_mark(std::size_t which) const { return mark[which] + boost; }
  [[nodiscard]] const std::vector<std::uint64_t>& list(int order, int of) const {
    return lists[static_cast<std::size_t>(order)][static_cast<std::size_t>(of)];
  }
  [[nodiscard]] bool has_block(int order, int of) const { return !list(order, of).empty(); }
  [[nodiscard]] std::uint64_t first_block(int order, int of) const { return list(order, of).front(); }
  /// Blocks of one order on the lists of all types.
  [[nodiscard]] std::int64_t blocks_of(int order) const {
    std::size_t n = 0;
    for (int of = 0; of < kNaiveTypes; ++of)
      n += list(order, of).size();
    return static_cast<std::int64_t>(n);
  }
  [[nodiscard]] std::int64_t pages_on_highatomic_lists() const {
    std::int64_t pages = 0;
    for (int order = 0; order < kNaiveOrders; ++order)
      pages += static_cast<std::int64_t>(list(order, kHighAtomicType).size()) << order;
    return pages;
  }
};

struct NaivePageset {
  std::int64_t count = 0, high = 0, batch = 1;
  int free_factor = 0;
  int expire = 0;
  // Tuned pagesets.
  std::int64_t high_min = 0, high_max = 0, free_count = 0;
  int alloc_factor = 0;
  bool previous_was_high_order = false;
  bool large_cache = false;

  int threshold = 0;
  std::array<int, 3> delta{};
  struct Page {
    std::uint64_t pfn;
    int cached;
  };
  std::array<std::vector<Page>, 14> lists;  // head first
  struct {
    std::uint64_t pgalloc, pgfree, hit, miss, foreign, local, other;
  } events{};
};

struct NaiveNode {
  int order = 0;
  int highest = 0xff;
  bool running = false;
  int failures = 0;
  std::set<std::size_t> full_zones;  // of its fallback list
};

struct NaiveTask {
  bool interrupt = false, softirq = false, realtime = false, memalloc = false, victim = false;
};

struct NaiveRequest {
  std::uint32_t gfp = 0;
  int order = 0;
  std::size_t cpu = 0;
  int node = -1;
  std::optional<std::uint64_t> nodemask;
  NaiveTask task;
};

}  // namespace mmbox::test
