// One number for the whole state of a machine: equal states have equal digests, wherever their bytes lie.
#pragma once

#include <cstdint>

#include "mmbox/core/alloc/machine_view.h"

namespace mmbox {

/// Digest of everything that decides what a machine does next, or that it tells about what it did.
///
/// Of the rules and settings; of each zone's counters, marks and flags; of every free list and per-cpu list, block by
/// block in order; of every pageblock's type; of which blocks are handed out; and of what was counted. Not of
/// addresses, hosts, lock words, or links of blocks that are on no list. The same on every compiler and every little-
/// or big-endian machine. Not a cryptographic hash: it finds mistakes, not malice.
///
/// Cost: one pass over the lists and one over the frames; frames inside a block are skipped with it.
[[nodiscard]] std::uint64_t digest(const MachineView& machine);

}  // namespace mmbox
