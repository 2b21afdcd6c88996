// One pass over one node: how much of each list is looked at, and what becomes of what is found. 08 §4 and §7.
#pragma once

#include <array>
#include <cstdint>

#include "mmbox/core/alloc/machine_view.h"
#include "mmbox/core/reclaim/evictor.h"

namespace mmbox {

/// Who wants pages, and what may be done to get them.
struct ReclaimEffort {
  enum class By : std::uint8_t { Direct, Kswapd, NodeReclaim };
  By by = By::Direct;
  Gfp gfp;
  Order order{0};
  ZoneIndex highest;  ///< pages of higher zones are of no use
  CpuId cpu;
  std::uint64_t target = kReclaimBatch;  ///< pages
  bool may_write = true;
  bool may_unmap = true;
  bool may_swap = true;
  bool spares_active = true;  ///< active pages stay as long as there are enough inactive ones
};

/// What came of it. Unit: pages.
struct ReclaimProgress {
  std::uint64_t scanned = 0;
  std::uint64_t reclaimed = 0;  ///< freed, those of slab caches included
  bool spared_active = false;   ///< active pages were due and left alone
};

/// What scans of a node came upon, until its kswapd is content.
struct NodeMarks {
  bool writeback = false;  ///< nothing but pages under writeback
  bool dirty = false;      ///< nothing but dirty file pages that nobody writes
  bool congested = false;  ///< all dirty pages wait for a device that is busy
};

/// Everything that a pass works on.
struct ReclaimParts {
  const MachineView& machine;
  Lru& lru;
  PageEvictor& host;
  std::array<NodeMarks, kMaxNodes>& marks;
  std::array<std::uint64_t, kMaxNodes>& immediate;  ///< nr_vmscan_immediate_reclaim, pages by node
};

/// A pass over one node at one priority. Made, run once, and read in `progress`.
class NodePass {
 public:
  NodePass(const ReclaimParts& parts, NodeId node, const ReclaimEffort& effort, unsigned priority,
           ReclaimProgress& progress)
      : parts_(parts),
        machine_(parts.machine),
        lru_(parts.lru),
        host_(parts.host),
        marks_(parts.marks[node.raw()]),
        node_(machine_.nodes[node.raw()]),
        effort_(effort),
        priority_(priority),
        progress_(progress) {}

  /// Scans the lists and shrinks the slab caches; again and again if the request wants a large block and only more free
  /// pages would let compaction make it. Adds to the progress.
  void run();
  /// Lets some active anonymous pages age if too few are inactive and there is swap.
  void age_anon();

 private:
  /// Pages that are off their list at the moment: a stack, so that the youngest of them has its turn first.
  struct Batch {
    std::array<FrameIndex, kReclaimBatch> pages{};
    std::size_t size = 0;
    std::uint64_t scanned = 0;  ///< those of higher zones included
    void push(FrameIndex page) { pages[kReclaimBatch - ++size] = page; }
    [[nodiscard]] std::span<const FrameIndex> span() const { return std::span{pages}.last(size); }
  };
  /// What one round over the lists came upon. Unit: pages.
  struct Sightings {
    std::uint64_t taken = 0;
    std::uint64_t file = 0;
    std::uint64_t dirty = 0;
    std::uint64_t unqueued = 0;  ///< dirty, and nobody writes them
    std::uint64_t congested = 0;
    std::uint64_t writeback = 0;
    bool met_again = false;  ///< a page that was to go when it is written, and is still being written
  };

  void shrink_lists();
  void shrink_slab_caches();
  void heed_sightings();
  [[nodiscard]] bool wants_more(std::uint64_t reclaimed) const;

  [[nodiscard]] ScanBudget budget() const;
  [[nodiscard]] bool may_deactivate(LruType type) const;
  /// Takes up to `pages` from the old end of a list.
  Batch take(LruList list, std::uint64_t pages);
  void put_back(FrameIndex page, LruList from, LruList to);
  /// Moves old active pages to the inactive list.
  void age(LruList list, std::uint64_t pages);
  /// Evicts old inactive pages.
  void evict(LruList list, std::uint64_t pages);
  /// The frame of `page` if it was let go of; otherwise the page is on a list again.
  [[nodiscard]] bool let_go(FrameIndex page, LruList list);
  void note(const ReclaimFacts& facts, LruType type);
  [[nodiscard]] bool too_many_isolated(LruType type) const;

  [[nodiscard]] std::uint64_t pages(LruList list) const { return lru_.pages(node_.id, list); }
  [[nodiscard]] bool is_low(LruType type) const {
    return inactive_is_low(pages(lru_list(type, LruAge::Inactive)), pages(lru_list(type, LruAge::Active)));
  }
  [[nodiscard]] bool has_swap() const { return host_.free_swap() > PageCount{}; }
  [[nodiscard]] bool can_swap() const { return effort_.may_swap && has_swap(); }
  [[nodiscard]] bool by_kswapd() const { return effort_.by == ReclaimEffort::By::Kswapd; }
  [[nodiscard]] std::int64_t& isolated(LruType type) const {
    return type == LruType::File ? node_.pages.isolated_file : node_.pages.isolated_anon;
  }
  [[nodiscard]] std::span<ZoneState> usable_zones() const;
  void wait_tick() const {
    if (machine_.hosts.waiter != nullptr)
      machine_.hosts.waiter->wait_tick();
  }

  const ReclaimParts& parts_;
  const MachineView& machine_;
  Lru& lru_;
  PageEvictor& host_;
  NodeMarks& marks_;
  NodeState& node_;
  const ReclaimEffort& effort_;
  unsigned priority_;
  ReclaimProgress& progress_;
  Sightings seen_;
};

}  // namespace mmbox
