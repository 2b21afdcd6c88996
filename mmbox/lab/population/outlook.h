// What could be had of a recorded machine: after compaction, after reclaim, and what stands in the way.
//
// Every answer comes from the engine at work on a copy of the machine.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/population/moment.h"

namespace mmbox::lab {

/// Free blocks by order.
using BlocksByOrder = std::array<std::uint64_t, kOrders>;

/// What compacting all memory on demand does.
struct CompactionOutlook {
  struct Zone {
    std::string name;  ///< "Node 0, zone Normal"
    BlocksByOrder before{};
    BlocksByOrder after{};  ///< with all per-cpu lists drained
  };
  std::vector<Zone> zones;  ///< populated ones
  std::uint64_t moved_pages = 0;
  std::uint64_t failed_pages = 0;
  std::uint64_t migrate_scanned = 0;
  std::uint64_t free_scanned = 0;
};
[[nodiscard]] CompactionOutlook compaction_outlook(const PopulatedMachine& of);

/// Draws of what a snapshot does not tell.
inline constexpr std::uint64_t kDraws = 25;

/// How many blocks requests of one kind could get, one after the other until the first is refused.
struct RequestOutlook {
  std::uint64_t now = 0;               ///< from the free lists alone
  std::uint64_t after_compaction = 0;  ///< moving pages if need be
  std::uint64_t after_reclaim = 0;     ///< and evicting some: the median of several draws
  std::uint64_t least_after_reclaim = 0;
  std::uint64_t most_after_reclaim = 0;
  std::uint64_t moved_pages = 0;  ///< for after_reclaim
  std::uint64_t evicted_pages = 0;
  /// Aligned runs of the size that hold pages which neither move nor can be evicted, and those pages, by what they are.
  std::uint64_t blocked_runs = 0;
  std::map<PageUse, std::uint64_t> obstacles;
  /// Whose pages of one use stand in the way.
  struct Holder {
    std::string owner;
    PageUse use = PageUse::None;
    std::uint64_t pages = 0;
    std::uint64_t runs = 0;        ///< in which it has such pages
    std::uint64_t runs_alone = 0;  ///< in which nobody else has: they could be had without it
  };
  std::vector<Holder> holders;  ///< those of most pages first
};
/// `most`: no more blocks than this are asked for. What no machine tells (asker.h) is drawn `draws` times, from `seed`
/// on. Checks: order ≤ kMaxPageOrder, draws > 0.
[[nodiscard]] RequestOutlook request_outlook(const PopulatedMachine& of, Order order, Gfp gfp, std::uint64_t most,
                                             std::uint64_t draws = kDraws, std::uint64_t seed = 1);

/// What is to be reclaimed, in one of three ways.
struct ReclaimWish {
  enum class By : std::uint8_t {
    Direct,  ///< as a request does that found nothing: rounds of 32 pages and more until `pages` are freed
    Kswapd,  ///< one run of kswapd, woken for `order`
    Node,    ///< as zone_reclaim_mode has it, once
    Pass,    ///< one look through a node's lists at `priority`
  };
  By by = By::Direct;
  NodeId node{0};
  std::optional<ZoneType> highest;  ///< pages of higher zones are of no use; nullopt: of any zone
  std::uint64_t pages = 32;
  Order order{0};
  Gfp gfp = gfp::kHighUserMovable;
  unsigned priority = 12;
  std::uint32_t zone_reclaim_mode = 1;  ///< bits 1 on, 2 write, 4 unmap
  PageCount free_swap;
};

struct ReclaimOutlook {
  struct Zone {
    std::string name;
    std::int64_t free_before = 0;
    std::int64_t free_after = 0;
    std::int64_t low = 0;
    std::int64_t high = 0;
  };
  /// Pages on the lists of the node, by LruList.
  using Lists = std::array<std::uint64_t, kLruLists>;
  std::vector<Zone> zones;  ///< populated ones of the node
  Lists before{};
  Lists after{};
  std::uint64_t scanned_anon = 0;
  std::uint64_t scanned_file = 0;
  std::uint64_t reclaimed = 0;
  std::uint64_t swapped_out = 0;
  std::uint64_t rounds = 0;  ///< Direct: calls until enough was freed, or nothing more came
  std::string result;        ///< in words
};
/// An Error if the machine has no such node, or no such zone there.
[[nodiscard]] Expected<ReclaimOutlook> reclaim_outlook(const PopulatedMachine& of, const ReclaimWish& wish);

}  // namespace mmbox::lab
