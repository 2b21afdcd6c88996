// A machine as /proc tells of it, with what /proc does not tell made up: which page lies where.
//
// The numbers are the kernel's: free blocks by order and type, pageblocks by type, pages on the LRU lists, per-cpu
// pages, marks. Their places are drawn by chance, so that what comes of several draws shows how much hangs on them.
// With kpageflags the places are known too, and only the pageblocks' types and the per-cpu pages are guessed.
#pragma once

#include <cstdint>

#include "mmbox/lab/population/outlook.h"
#include "mmbox/lab/proc/proc_files.h"

namespace mmbox::lab {

/// One such machine. The same state and seed give the same machine; with kpageflags the seed hardly matters.
///
/// Pages that stay fill the pageblocks of their types first, each a little; what is left of them fills whole movable
/// pageblocks. Reserved memory lies together. Free blocks of a type lie anywhere in its pageblocks.
/// An Error if the zones do not fit together.
[[nodiscard]] Expected<Moment> approximate_moment(const ProcState& state, std::uint64_t seed);

/// The outlook of a machine whose places are not known: of one layout and of others.
struct ApproximateOutlook {
  RequestOutlook middle;  ///< of each number the median
  RequestOutlook least;
  RequestOutlook most;
  std::size_t layouts = 0;
};
/// Draws `layouts` machines, from the seeds 1, 2, …, and asks each. With kpageflags one is enough.
[[nodiscard]] Expected<ApproximateOutlook> approximate_outlook(const ProcState& state, Order order, Gfp gfp,
                                                               std::uint64_t most, std::size_t layouts);

}  // namespace mmbox::lab
