// What the allocator asks others for when free memory runs short: declared here, implemented above or outside.
//
// The engine decides when to ask and what to do with the answer; how pages are moved or evicted, and what time it is,
// is the host's. A machine without hosts gets no page from any of these, and a request then fails as it would on a
// kernel where nothing can be reclaimed.
#pragma once

#include <cstdint>
#include <optional>

#include "mmbox/core/base/gfp.h"
#include "mmbox/core/base/units.h"

namespace mmbox {

struct AllocContext;

/// Answer of node_reclaim(). Source: NODE_RECLAIM_*, mm/internal.h.
enum class NodeReclaimResult : std::int8_t { NoScan = -2, Full = -1, Some = 0, Success = 1 };

/// Frees pages of a node, and knows how many it could free.
class Reclaimer {
 public:
  /// Reclaims on one node within a request, until 2^order pages are freed. Called only past the gates of 03 §3.
  virtual NodeReclaimResult node_reclaim(NodeId node, const AllocContext& context) = 0;
  /// One round of direct reclaim over the request's zones. Returns the pages freed, 0 for no progress.
  virtual PageCount direct_reclaim(const AllocContext& context) = 0;
  /// Pages of a zone that reclaim could reach: on its file lists, and on the anonymous ones if there is swap.
  virtual PageCount reclaimable_pages(ZoneId zone) = 0;
  /// kswapd of a node was woken.
  virtual void wake_kswapd(NodeId) {}

 protected:
  ~Reclaimer() = default;
};

/// How hard direct compaction tries; a lower number is harder. Source: enum compact_priority.
enum class CompactPriority : std::uint8_t { SyncFull = 0, SyncLight = 1, Async = 2 };

/// How compaction ended; over several zones the largest counts. Source: enum compact_result.
enum class CompactResult : std::uint8_t {
  NotSuitableZone,
  Skipped,
  Deferred,
  NoSuitablePage,
  Continue,
  Complete,
  PartialSkipped,
  Contended,
  Success,
};

/// What a direct compaction came to.
struct CompactOutcome {
  CompactResult result = CompactResult::Skipped;
  /// A block of the wanted order that was caught as it was freed. It is on no list and counts as not free: the request
  /// takes it without looking at the lists.
  std::optional<Pfn> captured;
};

/// Moves pages within their zone to make larger blocks.
class Compactor {
 public:
  /// One round over the request's zones. `context.flags` are those of the attempt that failed.
  virtual CompactOutcome direct_compact(const AllocContext& context, CompactPriority priority) = 0;
  /// A request succeeded after compaction: its zone is no longer deferred for this order.
  virtual void compaction_succeeded(ZoneId zone, Order order) = 0;
  /// Asks kcompactd of a node for blocks of `order` in its zones up to `highest`.
  virtual void wake_kcompactd(NodeId, Order, ZoneIndex) {}
  /// kswapd of a node goes to sleep: pageblocks that were passed over are worth a look again.
  virtual void reset_skip_hints(NodeId) {}

 protected:
  ~Compactor() = default;
};

/// What somebody who would move a page must know of a frame in use.
struct PageFacts {
  enum class Kind : std::uint8_t {
    Fixed,   ///< stays where it is: kernel memory, page tables, pages on no list, the tail of a compound page
    Lru,     ///< on an LRU list
    Driver,  ///< movable by the driver that owns it
  };
  Kind kind = Kind::Fixed;
  std::uint8_t order = 0;             ///< of the compound page that this frame heads; 0 for every other frame
  bool has_mapping : 1 = false;       ///< belongs to a file, shared memory or the swap cache
  bool is_pinned : 1 = false;         ///< has more holders than those that its mappings and its mapping account for
  bool is_unevictable : 1 = false;    ///< mlocked, or of a file system without a disk
  bool is_dirty : 1 = false;          ///< and not yet on its way to disk
  bool is_writeback : 1 = false;      ///< being written
  bool is_locked : 1 = false;         ///< somebody holds the page lock
  bool mapping_migrates : 1 = false;  ///< a dirty page of this mapping can be moved without writing it first
};

/// How much one attempt to move a page may wait for. Source: enum migrate_mode, and `force` of migrate_pages().
enum class MoveMode : std::uint8_t { Async, SyncLight, Sync };
struct MoveEffort {
  MoveMode mode = MoveMode::Async;
  bool may_wait = false;  ///< for the page lock; in Sync also for writeback
};
enum class MoveResult : std::uint8_t {
  Moved,
  Again,   ///< somebody holds the page; may go better later
  Failed,  ///< will not go at all
};

/// The pages of a machine, as somebody who moves them sees them: implemented by whoever knows what is in them.
///
/// The engine decides which page goes where; the host answers what a page is and moves the contents. Per page the calls
/// come as facts* isolate (move* | putback). Between isolate and the answer Moved, or putback, the page belongs to the
/// caller: the host neither frees nor moves it, and a free by its owner waits until then. Frames that head a free block
/// or lie on a per-cpu list are never asked for; those inside a free block may be, and are Fixed.
class PageMover {
 public:
  virtual PageFacts facts(Pfn pfn) = 0;
  /// Takes a page off its list. False if it is no longer there; nothing has changed then.
  virtual bool isolate(Pfn pfn) = 0;
  /// Puts an isolated page back, unchanged.
  virtual void putback(Pfn pfn) = 0;
  /// Moves the contents of the isolated page `from` into the frame `to`, which nobody else knows.
  ///
  /// Moved: whoever used `from` uses `to` now, which is on the list that `from` came from; the host has forgotten
  ///   `from`, whose frame the caller frees. Otherwise `from` is isolated still, and `to` the caller's.
  virtual MoveResult move(Pfn from, Pfn to, MoveEffort effort) = 0;
  /// Pages that are on their way to a list reach it. Source: lru_add_drain().
  virtual void drain() {}

 protected:
  ~PageMover() = default;
};

/// The last resort.
class OomPolicy {
 public:
  /// Returns true if something was or will be freed (a task killed, a notifier's pages): the request tries again.
  virtual bool out_of_memory(const AllocContext& context) = 0;

 protected:
  ~OomPolicy() = default;
};

/// Time that passes while a request waits, in the host's hands.
class Waiter {
 public:
  virtual void wait_tick() = 0;
  /// The request lets others run, and goes on as soon as it may. Source: cond_resched().
  virtual void yield() { wait_tick(); }

 protected:
  ~Waiter() = default;
};

/// All of them; each may be absent.
struct Hosts {
  Reclaimer* reclaimer = nullptr;
  Compactor* compactor = nullptr;
  OomPolicy* oom = nullptr;
  Waiter* waiter = nullptr;
};

}  // namespace mmbox
