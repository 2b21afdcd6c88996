// What reclaim asks of whoever knows what is in the pages.
#pragma once

#include <cstdint>
#include <span>

#include "mmbox/core/reclaim/lru.h"
#include "mmbox/core/reclaim/page_fate.h"
#include "mmbox/core/reclaim/slab.h"

namespace mmbox {

/// Marks of a page that reclaim sets and reads again in its facts.
enum class ReclaimMark : std::uint8_t {
  Referenced,  ///< ReclaimFacts::is_referenced
  Reclaim,     ///< is_reclaim
  WorkingSet,  ///< is_working_set
};

/// The pages on LRU lists, as somebody who evicts them sees them.
///
/// The engine decides which page goes and frees its frame; the host knows what the page is, writes it and forgets it.
/// Per page the calls come as taken facts (mark | add_to_swap | unmap | write_out)* (returned | evict): between `taken`
/// and the last one the page is on no list, and the host neither frees nor moves it; a free by its owner waits. The
/// engine keeps the node counters `isolated_anon` and `isolated_file`.
class PageEvictor {
 public:
  /// Off its list now.
  virtual void taken(Pfn pfn) = 0;
  /// What the page is. References through mappings are forgotten by being told.
  virtual ReclaimFacts reclaim_facts(Pfn pfn) = 0;
  virtual void mark(Pfn pfn, ReclaimMark mark) = 0;
  /// Gives an anonymous page a place in swap: it is dirty then. False if there is none.
  virtual bool add_to_swap(Pfn pfn) = 0;
  /// Takes the page out of all page tables. False if that cannot be done now.
  virtual bool unmap(Pfn pfn) = 0;
  /// Writes a dirty page. True if that is done already; otherwise the page is under writeback, marked Reclaim, and goes
  /// to the tail of its inactive list when it is written (Lru::remove, add_tail).
  virtual bool write_out(Pfn pfn) = 0;
  /// Forgets a page, whose frame will be freed.
  virtual void evict(Pfn pfn) = 0;
  /// Back on a list, as its youngest.
  virtual void returned(Pfn pfn, LruList list) = 0;

  /// Slots of swap that are not in use.
  virtual PageCount free_swap() = 0;
  /// Caches that can shrink, in the order of their turns.
  virtual std::span<SlabShrinker* const> shrinkers() { return {}; }
  /// Everything that was found is dirty, and nobody writes it: those who should are to begin.
  virtual void wake_flushers() {}

 protected:
  ~PageEvictor() = default;
};

}  // namespace mmbox
