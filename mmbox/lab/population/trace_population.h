// A population that follows a trace: what is allocated is of the use that its gfp flags tell, and of the task that
// asked; what is freed is gone; what compaction moves goes with its use and owner.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mmbox/lab/population/population.h"
#include "mmbox/lab/snapshot/snapshot.h"
#include "mmbox/lab/trace/record.h"

namespace mmbox::lab {

/// Gives the pages in use of a machine just made from `snapshot` their uses where no page dump tells them: in each
/// pageblock as many can move, and as many are reserved, as the snapshot counts. Which of them is a guess (from the
/// lowest frame up: reserved, those that stay, those that move), as is which of the movable ones are of files: as many
/// as on their node's lists. Those that stay are slab in a reclaimable pageblock, otherwise the kernel's. All are
/// `owner`'s.
void guess_pages(Population& pages, const Machine& machine, const Snapshot& snapshot, OwnerId owner);

/// Keeps a population as a trace goes on.
///
/// Requests of tasks are told with their name and pid; where a trace does not tell these, owners are named for what the
/// mask says. Pages of bulk requests are in no event. Where compaction moves a page to is told by a probe
/// (compaction_alloc_ret); in a trace without it the page is gone, and its new frame of unknown use.
class TracePopulation {
 public:
  /// Whether what `pages` holds at first was told by a page dump or guessed.
  enum class First : bool { Told, Guessed };
  /// `pages` holds what was in use when the trace began, and outlives this; `machine` is as it was then.
  TracePopulation(Population& pages, const Machine& machine, First first);

  void follow(const TraceRecord& record);

  /// The frame that a task has taken for the page which it moves next; nullopt if it moves none, or no probe tells.
  [[nodiscard]] std::optional<Pfn> target_of(std::int32_t pid) const {
    const auto target = targets_.find(pid);
    return target == targets_.end() || target->second.empty() ? std::nullopt : std::optional{target->second.front()};
  }

  /// What did not fit together at `settle`. Unit: pages.
  struct Mismatch {
    std::uint64_t unknown = 0;  ///< in use in the machine, and no event or dump says what for
    std::uint64_t freed = 0;    ///< in use according to the trace, and free in the machine
  };
  /// Brings `pages`, which are `machine`'s or a copy of the followed ones, in line with the machine: what that has free
  /// is nobody's; what it has in use and nobody knows moves or stays as its pageblock's type says. Large folios of
  /// files become single pages in both, as in a population from a page dump.
  Mismatch settle(Population& pages, Machine& machine) const;

  /// Pages of `pages` (see `settle`) that were in use when the trace began, but for those that never were free.
  [[nodiscard]] std::uint64_t first_pages(const Population& pages) const;

  /// Requests that got a block, and those of them that told flags.
  [[nodiscard]] std::uint64_t requests() const { return requests_; }
  [[nodiscard]] std::uint64_t requests_with_flags() const { return requests_with_flags_; }

 private:
  void allocate(const TraceRecord& record, const MmPageAlloc& event);
  void free(const TraceRecord& record, const MmPageFree& event);
  /// True if this free ends the move of a page.
  bool move(Pfn from, Order order, std::int32_t pid);
  [[nodiscard]] OwnerId owner_of(const TraceRecord& record, std::string_view what);
  [[nodiscard]] OwnerId owner_named(std::string name);

  Population& pages_;
  First first_;
  std::size_t first_owners_;   ///< owners that were there before this
  std::vector<bool> is_hole_;  ///< by frame: neither free nor of any use at first
  std::map<std::string, OwnerId, std::less<>> owners_;
  struct Task {
    Comm comm;
    OwnerId owner = kNoOwner;
  };
  std::unordered_map<std::int32_t, Task> tasks_;  ///< by pid: who it was when it last asked
  /// By pid: frames taken for the pages of a batch, which then move in the same order. Up to 6.2 each moves at once.
  std::unordered_map<std::int32_t, std::deque<Pfn>> targets_;
  std::uint64_t requests_ = 0;
  std::uint64_t requests_with_flags_ = 0;
};

}  // namespace mmbox::lab
