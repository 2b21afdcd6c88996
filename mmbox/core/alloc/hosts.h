// What the allocator asks others for when free memory runs short: declared here, implemented above or outside.
//
// The engine decides when to ask and what to do with the answer; how pages are moved or evicted, and what time it is,
// is the host's. A machine without hosts gets no page from any of these, and a request then fails as it would on a
// kernel where nothing can be reclaimed.
#pragma once

#include <cstdint>

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
  virtual NodeReclaimResult node_reclaim(NodeId node, Gfp gfp, Order order) = 0;
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

/// Moves pages within their zone to make larger blocks.
class Compactor {
 public:
  virtual CompactResult direct_compact(const AllocContext& context, CompactPriority priority) = 0;
  /// A request succeeded after compaction: its zone is no longer deferred for this order.
  virtual void compaction_succeeded(ZoneId zone, Order order) = 0;
  /// True if, with `free_pages` in place of the zone's own count, compaction of the zone would be tried.
  virtual bool suitable_with(ZoneId zone, const AllocContext& context, PageCount free_pages) = 0;
  virtual void wake_kcompactd(NodeId, Order, ZoneIndex) {}

 protected:
  ~Compactor() = default;
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
