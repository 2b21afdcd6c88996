// The settings of a machine under their sysctl names: one table for reading, writing, listing and explaining them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "mmbox/lab/error.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// What a kernel computes anew when a setting is written.
enum class Recompute : std::uint8_t {
  Nothing,
  Watermarks,     ///< all marks (boosts are reset), then totalreserve and the per-cpu sizes
  LowmemReserve,  ///< lowmem_reserve of all zones, then totalreserve
  PcpSizes,       ///< high and batch of all per-cpu lists
  NodeLimits,     ///< min_unmapped_pages and min_slab_pages of all nodes
};

/// One setting. The texts are static.
struct SettingInfo {
  std::string_view name;  ///< as sysctl prints it: "vm.min_free_kbytes"
  std::string_view unit;  ///< of its value; empty for switches
  std::string_view help;  ///< one line
  std::uint64_t min;
  std::uint64_t max;
  Recompute recompute;
};

/// All settings, by name.
[[nodiscard]] std::span<const SettingInfo> settings();

/// Writes the text of a value, as into /proc/sys/vm, into `tunables`.
///
/// A list (vm.lowmem_reserve_ratio) may be shorter than the machine's: the rest keeps its values. Side effects on other
/// settings are the kernel's: min_free_kbytes counts as the user's from now on; of dirty_ratio and dirty_bytes the one
/// not written becomes 0. Nothing is recomputed; see SettingInfo::recompute.
/// Errors: unknown name (with the nearest one), no number, out of range; `tunables` is unchanged then.
Expected<void> set(Tunables& tunables, std::string_view name, std::string_view value);

/// The value as /proc/sys/vm prints it, without a newline; a list is tab-separated.
///
/// `zone_types`: number of compiled-in zone types, the length of per-zone lists; at most kMaxZoneTypes.
/// Errors: unknown name.
Expected<std::string> get(const Tunables& tunables, std::string_view name, std::size_t zone_types);

}  // namespace mmbox::lab
