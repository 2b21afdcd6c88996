// What becomes of one page that was found at the end of an inactive list: a table of rules, without a machine.
// 08 §7 of the specification.
#pragma once

#include <cstdint>

namespace mmbox {

/// What reclaim must know of a page on an LRU list.
struct ReclaimFacts {
  std::uint32_t pte_references = 0;  ///< mappings through which it was used since somebody last asked
  bool is_referenced : 1 = false;    ///< it was found used before, or was read or written by a system call
  bool is_mapped : 1 = false;
  bool is_executable : 1 = false;   ///< some mapping may execute it
  bool is_swap_backed : 1 = false;  ///< anonymous, or of shared memory
  bool is_swap_cache : 1 = false;   ///< has a slot in swap
  bool is_dirty : 1 = false;
  bool is_congested : 1 = false;    ///< its device has more to write than it can
  bool is_writeback : 1 = false;    ///< being written
  bool is_reclaim : 1 = false;      ///< is to go as soon as it is written. Source: PG_reclaim
  bool is_locked : 1 = false;       ///< somebody else holds the page lock
  bool is_pinned : 1 = false;       ///< has more holders than its mappings, its file and its swap slot
  bool is_unevictable : 1 = false;  ///< mlocked, or of a file system without a disk
  bool is_working_set : 1 = false;  ///< was active once
};

/// What may be done to a page, and what was seen of its node.
struct FateRules {
  bool by_kswapd = false;
  bool may_unmap = true;
  bool may_write = true;        ///< dirty pages at all
  bool may_enter_fs = true;     ///< __GFP_FS
  bool may_io = true;           ///< __GFP_IO
  bool node_writeback = false;  ///< a whole scan met nothing but pages under writeback
  bool node_dirty = false;      ///< a whole scan of file pages met nothing but dirty ones that nobody writes
};

enum class Fate : std::uint8_t {
  Keep,            ///< back to its list
  KeepUsedOnce,    ///< back to its list, remembered as used
  Activate,        ///< to the active list
  ActivateAtOnce,  ///< to the active list; it was to go as soon as it is written, and is still being written
  ActivateMarked,  ///< to the active list, and to go as soon as it is written
  ActivateDirty,   ///< the same, and others are to write it. Source: nr_vmscan_immediate_reclaim
  SetAside,        ///< to the unevictable list
  NeedsSlot,       ///< first it needs a place in swap; ask again with one
  NeedsUnmap,      ///< first its mappings go; ask again without them
  WriteOut,        ///< it is written now, and goes if that is done at once
  Free,
};

/// The first rule that holds decides.
[[nodiscard]] constexpr Fate page_fate(const ReclaimFacts& page, const FateRules& rules) {
  const bool is_file = !page.is_swap_backed;
  if (page.is_locked)
    return Fate::Keep;
  if (page.is_unevictable)
    return Fate::SetAside;
  if (page.is_mapped && !rules.may_unmap)
    return Fate::Keep;
  if (page.is_writeback)
    return rules.by_kswapd && page.is_reclaim && rules.node_writeback ? Fate::ActivateAtOnce : Fate::ActivateMarked;
  if (page.pte_references > 0) {
    const bool is_in_use = page.is_referenced || page.pte_references > 1 || (page.is_executable && is_file);
    return is_in_use ? Fate::Activate : Fate::KeepUsedOnce;
  }
  if (page.is_referenced && is_file && page.is_dirty)
    return Fate::Keep;
  if (page.is_swap_backed && !page.is_swap_cache)
    return page.is_pinned || !rules.may_io ? Fate::Keep : Fate::NeedsSlot;
  if (page.is_mapped)
    return Fate::NeedsUnmap;
  if (page.is_dirty) {
    // Writing single file pages is slow; the flusher threads do it better unless they do not get round to it.
    if (is_file && !(rules.by_kswapd && page.is_reclaim && rules.node_dirty))
      return Fate::ActivateDirty;
    const bool may_enter = page.is_swap_cache ? rules.may_io : rules.may_enter_fs;
    return may_enter && rules.may_write ? Fate::WriteOut : Fate::Keep;
  }
  return page.is_pinned ? Fate::Keep : Fate::Free;
}

}  // namespace mmbox
