// Who uses the frames of a machine: owners, the pages that they hold, and what each page is.
//
// The allocator knows frames; this knows what is in them. It answers the engine's questions when pages are to move, and
// keeps its owners' pages where they are now.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/snapshot/page_dump.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// What a page in use is good for.
enum class PageUse : std::uint8_t {
  None,      ///< free, or unknown
  Reserved,  ///< never given to the allocator
  Kernel,    ///< allocated, on no list: page tables, stacks, buffers
  Slab,
  Driver,     ///< movable by its driver
  Anonymous,  ///< of a process, on an LRU list
  File,       ///< of a file or of shared memory, on an LRU list
};
[[nodiscard]] std::string_view name_of(PageUse use);

/// Whoever holds pages.
struct Owner {
  std::string name;
  std::vector<Pfn> pages;        ///< heads of its blocks, by slot; kNoPfn where a slot is empty
  bool has_fixed_slots = false;  ///< a slot means something to it: a page of a file, say; others are kept without gaps
  std::uint64_t held_pages = 0;  ///< of its blocks together
  std::uint64_t swapped_pages = 0;  ///< evicted to swap, and not its pages any more
};
using OwnerId = std::uint32_t;
inline constexpr OwnerId kNoOwner = 0xffff'ffff;

/// One page in use. `order` is that of the block it heads; tails of compound pages are Kernel, of slab Slab.
struct PopulationPage {
  PageUse use = PageUse::None;
  std::uint8_t order = 0;
  bool is_compound : 1 = false;
  bool is_swap_cache : 1 = false;
  bool is_swap_backed : 1 = false;  ///< of shared memory: on the anonymous lists though it is File
  bool is_pinned : 1 = false;
  bool is_unevictable : 1 = false;
  bool is_dirty : 1 = false;
  bool is_writeback : 1 = false;
  bool is_locked : 1 = false;
  bool is_active : 1 = false;
  bool is_mapped : 1 = false;
  bool is_referenced : 1 = false;
  bool is_reclaim : 1 = false;      ///< goes as soon as it is written
  bool is_working_set : 1 = false;  ///< was active once
  bool is_executable : 1 = false;
  bool is_young : 1 = false;  ///< used through a mapping since reclaim last asked
  bool is_isolated : 1 = false;
  bool mapping_migrates : 1 = true;
  OwnerId owner = kNoOwner;
  std::uint32_t slot = 0;
};

/// True for a page that neither moves nor can be evicted.
[[nodiscard]] bool stays(const PopulationPage& page);

/// In which order pages came to their lists, which no snapshot tells.
///
/// Cached pages fill one zone after the other, from the highest down, and then go round: what is evicted is replaced
/// where it was. So the zone that gives pages now has the newest ones, and beside them the oldest, which were not
/// reached yet; the zones behind it follow, as they were filled.
struct LruGuess {
  unsigned refilled_percent = 0;    ///< of that zone's pages are the newest; the others are the oldest
  bool oldest_is_highest = false;   ///< within a zone pages were taken from the highest frame down
  bool small_blocks_first = false;  ///< and before those the ones in pageblocks with pages that stay
};

/// What whoever simulates the owners hears of their pages, and answers for them.
class PopulationWatcher {
 public:
  /// A page goes; it is still what it was.
  virtual void evicted(Pfn, const PopulationPage&) {}
  virtual std::span<SlabShrinker* const> shrinkers() { return {}; }
  virtual void wake_flushers() {}
  /// Compaction of a zone has begun; it has not taken anything yet, and gives way to others.
  virtual void compaction_began() {}

 protected:
  ~PopulationWatcher() = default;
};

/// The pages of one machine by frame.
///
/// Keeps the machine's LRU lists, and the node counters `file_dirty` and `writeback`, once `keep_lru` was called;
/// without them pages can be moved, but not evicted. Written pages are clean at the next `tick`. Slab pages stay unless
/// a watcher has shrinkers.
class Population final : public PageMover, public PageEvictor, public PageContents {
 public:
  /// For the frames of `machine`; knows no page yet. The machine outlives it.
  explicit Population(Machine& machine);
  /// With the pages of a dump. Its owners are named for what the pages are: a dump does not tell whose they are. Large
  /// folios of files become single pages, so that they can be moved and evicted.
  Population(Machine& machine, const PageDump& dump);

  /// The same pages for another machine of the same shape. LRU lists only if that is a copy of the other's machine.
  Population(Machine& machine, const Population& other)
      : machine_(machine),
        first_(other.first_),
        pages_(other.pages_),
        owners_(other.owners_),
        lru_(machine.view(), other.lru_),
        keeps_lru_(other.keeps_lru_),
        free_swap_(other.free_swap_),
        writing_(other.writing_) {}

  /// Tells the machine of the pages that were in use before its time and may be evicted, so that they can be freed.
  void adopt_evictable();
  /// Puts all pages that may be evicted on LRU lists, and keeps them there. Without a guess memory was filled just
  /// once, and each zone from its lowest frame up.
  void keep_lru(std::optional<LruGuess> guess = std::nullopt);
  [[nodiscard]] Lru& lru() { return lru_; }
  void set_free_swap(PageCount pages) { free_swap_ = pages; }
  /// One of its owners gives back a slot of swap.
  void release_swap() { free_swap_ = free_swap_ + PageCount{1}; }
  void set_watcher(PopulationWatcher* watcher) { watcher_ = watcher; }
  /// Time passes: what was being written is clean.
  void tick() { tick(PageCount{~std::uint64_t{0}}); }
  /// The same for a disk that writes no more than so many pages in that time, the first asked for first.
  void tick(PageCount most);
  /// A page of a file is written to, and on its way to disk from there.
  void set_dirty(Pfn pfn);
  void begin_writeback(Pfn pfn);
  /// Moves a page between the lists of active and inactive pages.
  void set_active(Pfn pfn, bool active);
  /// Pages whose writing has not ended, those counted that have gone meanwhile.
  [[nodiscard]] PageCount being_written() const { return PageCount{writing_.size()}; }

  OwnerId add_owner(std::string name);
  /// An owner with fixed slots, all empty. A page that is put there has its slot given.
  OwnerId add_owner_of_slots(std::string name, std::size_t slots);
  [[nodiscard]] const Owner& owner(OwnerId id) const { return owners_[id]; }
  /// To keep what is swapped out of it; its pages are put and forgotten.
  [[nodiscard]] Owner& owner_of(OwnerId id) { return owners_[id]; }
  [[nodiscard]] std::size_t owners() const { return owners_.size(); }

  /// Gives a frame contents; `page.owner` gets it at its next slot, or at `page.slot`, unless it is kNoOwner.
  void put(Pfn pfn, PopulationPage page);
  /// Forgets a page: its frame is about to be freed.
  void forget(Pfn pfn);
  [[nodiscard]] const PopulationPage& page(Pfn pfn) const { return pages_[pfn - first_]; }
  [[nodiscard]] PopulationPage& page(Pfn pfn) { return pages_[pfn - first_]; }
  [[nodiscard]] bool contains(Pfn pfn) const { return pfn >= first_ && pfn.raw() - first_.raw() < pages_.size(); }

  // PageMover
  PageFacts facts(Pfn pfn) override;
  bool isolate(Pfn pfn) override;
  void putback(Pfn pfn) override;
  MoveResult move(Pfn from, Pfn to, MoveEffort effort) override;
  void drain() override {
    if (watcher_ != nullptr)
      watcher_->compaction_began();
  }
  // PageEvictor
  void taken(Pfn pfn) override { page(pfn).is_isolated = true; }
  ReclaimFacts reclaim_facts(Pfn pfn) override;
  void mark(Pfn pfn, ReclaimMark mark) override;
  bool add_to_swap(Pfn pfn) override;
  bool unmap(Pfn pfn) override;
  bool write_out(Pfn pfn) override;
  void evict(Pfn pfn) override;
  void returned(Pfn pfn, LruList list) override;
  PageCount free_swap() override { return free_swap_; }
  std::span<SlabShrinker* const> shrinkers() override {
    return watcher_ == nullptr ? std::span<SlabShrinker* const>{} : watcher_->shrinkers();
  }
  void wake_flushers() override {
    if (watcher_ != nullptr)
      watcher_->wake_flushers();
  }
  // PageContents
  PageCount movable_pages(Pfn begin, Pfn end) override;

 private:
  /// The zone of a node that a page of cache would come from now: the first that is above its low mark.
  [[nodiscard]] std::size_t giving_zone(std::span<const ZoneState> zones) const;
  void add_to_lru(const ZoneState& zone, LruGuess guess, unsigned from_percent, unsigned to_percent);
  /// True if no page of a pageblock is there for good; one that is pinned now came with the others.
  [[nodiscard]] bool can_become_whole(Pfn pageblock) const;
  [[nodiscard]] std::int64_t& isolated_count(Pfn pfn, const PopulationPage& page);

  /// By frame from the first of the machine.
  class Pages {
   public:
    explicit Pages(std::size_t size) : pages_(size) {}
    PopulationPage& operator[](PageCount at) { return pages_[at.raw()]; }
    const PopulationPage& operator[](PageCount at) const { return pages_[at.raw()]; }
    [[nodiscard]] std::size_t size() const { return pages_.size(); }

   private:
    std::vector<PopulationPage> pages_;
  };

  [[nodiscard]] FrameIndex index(Pfn pfn) const { return machine_.view().env.map.index(pfn); }
  [[nodiscard]] static bool is_on_lru(const PopulationPage& page) {
    return (page.use == PageUse::Anonymous || page.use == PageUse::File) && !page.is_compound && page.order == 0;
  }
  [[nodiscard]] static LruList list_of(const PopulationPage& page);
  [[nodiscard]] NodePageStats& node_stats(Pfn pfn);
  /// Counts a page that is dirty or under writeback as one more, or one less.
  void count_unwritten(Pfn pfn, std::int64_t change);
  void forget_contents(Pfn pfn);

  Machine& machine_;
  Pfn first_;
  Pages pages_;
  std::vector<Owner> owners_;
  Lru lru_;
  bool keeps_lru_ = false;
  PageCount free_swap_;
  std::deque<Pfn> writing_;  ///< the first asked for in front
  PopulationWatcher* watcher_ = nullptr;
};

}  // namespace mmbox::lab
