// What the kernel prints of memory when a request fails or the OOM killer runs: the Mem-Info block.
//
// Form and words are those of 6.1; since then only blanks and a field or two changed. What the allocator does not count
// is the host's (HostCounters).
#pragma once

#include <span>

#include "mmbox/core/alloc/request.h"
#include "mmbox/core/observe/proc_text.h"
#include "mmbox/core/topology/zonelist.h"

namespace mmbox {

/// One size of huge pages on one node. Unit: huge pages.
struct HugePagePool {
  NodeId node;
  std::uint64_t size_kbytes = 2048;
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t surplus = 0;
};

/// For whom the block is printed, and what neither the machine nor its counters know.
struct MemInfoRequest {
  ZoneIndex highest;                         ///< zones above it are left out
  NodeMask nodes = NodeMask::all();          ///< other nodes are left out
  CpuId cpu;                                 ///< whose per-cpu pages are called local
  std::span<const HugePagePool> huge_pages;  ///< in the order of the lines
  std::uint64_t free_swap_kbytes = 0;
  std::uint64_t total_swap_kbytes = 0;
};

/// The nodes that a failure report lists: those that the request was bound to, or all if it may look beyond them.
/// `nodemask` is that of the request, nullopt for none. Source: warn_alloc_show_mem().
[[nodiscard]] NodeMask listed_nodes(Gfp gfp, const Task& task, const std::optional<NodeMask>& nodemask);

/// Writes "Mem-Info:" to "… pages reserved". Source: show_free_areas() and show_mem().
void write_mem_info(const ProcSource& source, const MemInfoRequest& request, TextSink& sink);

}  // namespace mmbox
