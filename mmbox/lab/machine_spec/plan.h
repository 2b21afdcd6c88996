// What the readers of machine descriptions have in common: the wishes as written, before memory is placed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/machine_spec/machine_spec.h"

namespace mmbox::lab {

/// Where in the input a wish stands.
struct Place {
  std::uint64_t line = 0;  ///< 0 if the input has no lines
  std::uint64_t column = 0;
  std::string key;  ///< "[[node]] memory"
};

/// `FILE:LINE: column COLUMN, KEY: message`, as far as they are known.
[[nodiscard]] Error error_at(std::string_view file, const Place& place, std::string_view message,
                             std::string_view remedy);

/// An error in a description that has no lines: `machine "PART": message`.
[[nodiscard]] Error refuse_words(std::string_view part, std::string_view message, std::string_view remedy);

struct NodePlan {
  Place place;
  std::uint64_t bytes = 0;       ///< memory to be placed; 0 if `ranges` tells where it lies, and for a node without any
  std::vector<PfnRange> ranges;  ///< as written
  std::vector<std::uint64_t> cpus;
  bool is_hotpluggable = false;
};

struct ReservedPlan {
  Place place;
  ReservedRange reserved;
};

/// Debian's zone types on amd64.
[[nodiscard]] std::vector<ZoneType> default_zone_types();
/// The defaults of all settings for these zone types.
[[nodiscard]] Tunables default_tunables(std::span<const ZoneType> zone_types);
/// All remote nodes equally far. Shape [nodes][nodes].
[[nodiscard]] std::vector<std::uint8_t> flat_distances(std::size_t nodes, std::uint8_t remote);

inline constexpr std::uint8_t kLocalDistance = 10;
inline constexpr std::uint8_t kRemoteDistance = 20;
/// 3 GiB to 4 GiB, where a PC has its devices.
inline constexpr PfnRange kPciHole{Pfn{0xc0000}, Pfn{0x100000}};

struct MachinePlan {
  std::string file;
  Generation generation = kLinux61;
  std::vector<ZoneType> zone_types = default_zone_types();
  std::vector<NodePlan> nodes;
  Place distances_place;
  std::vector<std::uint8_t> distances;  ///< empty: flat_distances()
  PfnRange hole = kPciHole;             ///< not memory when memory is placed; empty for none
  bool has_typical_reserve = true;      ///< reserve what a kernel typically takes, beside `reserved`
  std::vector<ReservedPlan> reserved;
  MovableShare movable;
  std::optional<Pfn> max_low;
  bool has_cma = false;
  bool has_thp = true;
  Tunables tunables = default_tunables(default_zone_types());
};

/// Places memory, checks everything, and writes out what follows.
Expected<MachineSpec> build(const MachinePlan& plan);

/// hwloc's synthetic form. Bounded in time: up to 2048 CPUs in 16 levels.
Expected<MachinePlan> read_synthetic(std::string_view text);

}  // namespace mmbox::lab
