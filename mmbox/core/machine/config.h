// What a machine is made from: its nodes, CPUs, zones and memory, before the first page is freed.
//
// The spans belong to the caller and are read only while the machine is being made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mmbox/core/base/generation.h"
#include "mmbox/core/base/migratetype.h"
#include "mmbox/core/base/units.h"
#include "mmbox/core/topology/layout.h"
#include "mmbox/core/topology/tunables.h"

namespace mmbox {

struct MachineConfig {
  Generation generation = kLinux61;
  std::span<const ZoneType> zone_types;     ///< compiled in, by zone index
  std::size_t nodes = 1;                    ///< node ids are 0 … nodes - 1
  std::span<const std::uint8_t> distances;  ///< shape [nodes][nodes], 10 = local
  std::span<const NodeId> cpus;             ///< the node of each CPU, by CPU id
  std::span<const ZoneConfig> zones;        ///< shape [nodes][zone types]
  std::span<const MemoryRange> memory;      ///< ascending, disjoint
  bool has_cma = false;                     ///< CONFIG_CMA; Debian's amd64 kernels have none
  bool has_thp = true;                      ///< CONFIG_TRANSPARENT_HUGEPAGE: per-cpu lists of order 9
  Tunables tunables;
};

}  // namespace mmbox
