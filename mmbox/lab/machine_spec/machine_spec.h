// A machine as a user describes it, with everything that follows from the description written out.
//
// Three ways in: a TOML file, a few plain words ("2 nodes of 64G, 16 cpus"), and hwloc's synthetic description
// ("node:2(memory=64GB) core:8 pu:1"). All give a MachineSpec, which owns what a MachineConfig only points to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Memory that is taken before the page allocator starts, and for what.
struct ReservedRange {
  PfnRange range;
  std::string what;  ///< "kernel image"
  friend bool operator==(const ReservedRange&, const ReservedRange&) = default;
};

/// A machine before its first page is freed.
///
/// Invariants: `zones` is layout_zones() of the memory; memory and reserved ranges are ascending, memory ranges are
/// disjoint, and lie below kMaxPfn; every node has at most one entry for each zone type, CPUs are numbered without
/// gaps.
struct MachineSpec {
  Generation generation = kLinux61;
  std::vector<ZoneType> zone_types;
  std::size_t nodes = 1;
  std::vector<std::uint8_t> distances;  ///< shape [nodes][nodes], row = from
  std::vector<NodeId> cpus;             ///< the node of each CPU
  std::vector<MemoryRange> memory;
  std::vector<ZoneConfig> zones;  ///< shape [nodes][zone types]
  std::vector<ReservedRange> reserved;
  MovableShare movable;
  Pfn max_low;  ///< end of low memory; the end of memory unless there is a HighMem zone
  bool has_cma = false;
  bool has_thp = true;
  /// min_free_kbytes is 0 unless the description sets it; the kernel applies such settings after it has booted.
  Tunables tunables;

  /// The view that core takes. It points into this object, which must outlive it.
  [[nodiscard]] MachineConfig config() const;
  /// What memblock releases to the page allocator: memory minus reserved, ascending.
  [[nodiscard]] std::vector<MemoryRange> free_ranges() const;
  /// The same machine as a TOML file in which nothing is left to defaults or placement.
  [[nodiscard]] std::string toml() const;
};

/// Frames that an engine can name: 16 TiB of addresses.
inline constexpr std::uint64_t kMaxPfn = 1ULL << 32;
/// CPUs that a machine may have (NR_CPUS of Debian's kernels).
inline constexpr std::size_t kMaxCpus = 8192;
/// Bytes that a description may have.
inline constexpr std::size_t kMaxMachineText = 1 << 20;

/// Reads a machine file; the keys are described in examples/machines/.
///
/// `file` is only named in errors, which also tell line, column and key.
Expected<MachineSpec> read_machine_toml(std::string_view text, std::string_view file);

/// Reads a short description: plain words, or hwloc's synthetic form.
///
/// Plain words are clauses with commas between: "2 nodes of 64G" or "64G"; "16 cpus" (in all, spread evenly over the
/// nodes) or "8 cpus each"; "distance 21" between all nodes; "kernelcore 4G", "movablecore 8G"; "no reserve" for a
/// machine whose memory is all free.
Expected<MachineSpec> read_machine_words(std::string_view words);

/// What a command line takes: the path of a TOML file (recognised by ".toml" at its end), else words.
Expected<MachineSpec> load_machine(std::string_view path_or_words);

}  // namespace mmbox::lab
