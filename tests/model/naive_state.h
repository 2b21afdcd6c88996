// What the naive model keeps of a machine: maps and vectors, by frame number.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "mmbox/core/base/units.h"

namespace mmbox::test {

inline constexpr int kNaiveOrders = 11;
inline constexpr int kNaiveTypes = 6;
[[nodiscard]] constexpr std::int64_t pages_of(int order) {
  return std::int64_t{1} << order;
}
enum NaiveType { kUnmovable, kMovable, kReclaimable, kHighAtomicType, kCmaType, kIsolateType };

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
  std::array<std::int64_t, 2> stat{};  // NR_FREE_PAGES, NR_FREE_CMA_PAGES
  std::int64_t drift_mark = 0;
  bool boosted_flag = false;
  bool reclaim_active = false;
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
  [[nodiscard]] std::int64_t free_pages() const { return std::max<std::int64_t>(0, stat[0]); }
  [[nodiscard]] std::int64_t free_cma() const { return std::max<std::int64_t>(0, stat[1]); }
};

struct NaivePageset {
  std::int64_t count = 0, high = 0, batch = 1;
  int free_factor = 0;
  int expire = 0;
  int threshold = 0;
  std::array<int, 2> delta{};
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
