// What stands behind an arena when memory runs short: owners that move blocks, shrinkers that free them, the
// turn-taking between those who compact, and the background thread. Not for users of the arena.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "mmbox/arena/arena.h"

namespace mmbox {

class ArenaHost final : public PageMover,
                        public RangeMigrator,
                        public PageContents,
                        public Compactor,
                        public Reclaimer {
 public:
  ArenaHost(Arena& arena, const ArenaOptions& options);
  ~ArenaHost();
  ArenaHost(const ArenaHost&) = delete;
  ArenaHost& operator=(const ArenaHost&) = delete;

  [[nodiscard]] OwnerId add_owner(Owner& owner);
  void add_shrinker(Shrinker& shrinker);
  void remove_shrinker(Shrinker& shrinker);

  /// See Arena::compact() and Arena::give_back().
  void compact_all();
  std::size_t give_back(bool only_idle);
  /// Allocates a run of whole pageblocks, emptying them if it may. Its single pages are the caller's.
  [[nodiscard]] std::optional<Pfn> take_run(std::uint64_t pageblocks, bool may_move);

  // PageMover: single pages, for the kernel's scanners
  PageFacts facts(Pfn pfn) override;
  bool isolate(Pfn pfn) override;
  void putback(Pfn pfn) override;
  MoveResult move(Pfn from, Pfn to, MoveEffort effort) override;

  // RangeMigrator: blocks of every order, out of a range of frames
  bool has_unmovable(Pfn begin, Pfn end) override;
  bool migrate_range(Pfn begin, Pfn end) override;

  // PageContents: what may move of a pageblock that another mobility asks for
  PageCount movable_pages(Pfn begin, Pfn end) override;

  // Compactor: takes turns, then as core does it
  CompactOutcome direct_compact(const AllocContext& context, CompactPriority priority) override;
  void compaction_succeeded(ZoneId zone, Order order) override;
  void wake_kcompactd(NodeId node, Order order, ZoneIndex highest) override;
  void reset_skip_hints(NodeId node) override;

  // Reclaimer: shrinkers
  NodeReclaimResult node_reclaim(NodeId node, const AllocContext& context) override;
  PageCount direct_reclaim(const AllocContext& context) override;
  PageCount reclaimable_pages(ZoneId zone) override;
  void wake_kswapd(NodeId node) override;

  std::atomic<std::uint64_t> moved{0};
  std::atomic<std::uint64_t> not_moved{0};
  std::atomic<std::uint64_t> shrunk{0};
  std::atomic<std::uint64_t> given_back{0};

 private:
  /// Holds the right to compact. A thread that is compacting already, in an owner's callback, does not get it again.
  class Turn {
   public:
    explicit Turn(ArenaHost& host);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    [[nodiscard]] bool is_mine() const { return mine_; }

   private:
    ArenaHost& host_;
    bool mine_;
  };

  [[nodiscard]] const MachineView& view() const { return arena_.machine_->view(); }
  [[nodiscard]] OwnerRecord& record(Pfn pfn) const { return arena_.records_[pfn.raw()]; }
  /// Asks the owner of the held block `from`.
  [[nodiscard]] bool relocate(Pfn from, Pfn to, std::uint32_t word);
  /// The blocks that moved are known as allocated by now: they become their owners' in full.
  void settle();
  void let_go(Pfn pfn, unsigned order);
  void empty_sparse_pageblocks();
  std::size_t shrink(std::size_t pages);
  void run_background(std::uint32_t return_idle_after);
  void balance(NodeId node);

  Arena& arena_;
  Compaction compaction_;
  std::mutex turn_;
  std::mutex lists_;  ///< of owners and shrinkers
  std::atomic<std::uint32_t> owner_count_{0};
  std::array<std::atomic<Owner*>, 256> owners_{};
  std::vector<Shrinker*> shrinkers_;
  std::mutex shrinking_;
  std::vector<Pfn> moved_to_;  ///< of moves that core has not finished; whoever has the turn
  std::vector<bool> idle_;     ///< by pageblock: was free at the last look
  struct Asked {
    NodeId node;
    Order order;
    ZoneIndex highest;
  };
  std::vector<Asked> asked_;  ///< of kcompactd
  std::mutex bell_mutex_;
  std::condition_variable bell_;
  bool rung_ = false;
  bool ends_ = false;
  std::thread background_;
};

}  // namespace mmbox
