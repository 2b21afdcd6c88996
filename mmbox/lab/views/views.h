// What can be looked at of a machine, by name: the kernel's files as text, and the same numbers as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mmbox/lab/error.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

enum class View : std::uint8_t { Buddyinfo, Pagetypeinfo, Zoneinfo, Vmstat, Extfrag, Unusable };

struct ViewInfo {
  View view;
  std::string_view name;  ///< as a user asks for it: "buddyinfo"
  std::string_view path;  ///< the file that a kernel has it in
  std::string_view help;  ///< one line
};

/// All views.
[[nodiscard]] std::span<const ViewInfo> views();
/// The view of a name. The error names those that there are.
[[nodiscard]] Expected<View> view_named(std::string_view name);
[[nodiscard]] const ViewInfo& info_of(View view);

/// Which zones are shown; default: all. Each part that is given must fit.
struct ZoneFilter {
  std::optional<NodeId> node;
  std::optional<ZoneType> type;
  [[nodiscard]] bool shows(const ZoneState& zone) const {
    return (!node || *node == zone.node) && (!type || *type == zone.type);
  }
  [[nodiscard]] bool is_all() const { return !node && !type; }
};
/// "Normal", "0/Normal", "0" (all zones of node 0); upper and lower case are one.
[[nodiscard]] Expected<ZoneFilter> zone_filter(std::string_view text);

/// The file as the kernel of `format` prints it. `host` may be nullptr: its counters are 0.
///
/// With a filter: the lines of the zones that it shows; vmstat has none.
[[nodiscard]] std::string view_text(const Machine& machine, View view, const ProcFormat& format, HostCounters* host,
                                    const ZoneFilter& filter = {});
/// The same numbers: an array with an object a zone, or for vmstat an object of names and values. Indices of
/// fragmentation are in thousandths.
[[nodiscard]] nlohmann::ordered_json view_json(const Machine& machine, View view, const ProcFormat& format,
                                               HostCounters* host, const ZoneFilter& filter = {});

/// Free lists and per-cpu lists of the zones, head first, PFNs in hexadecimal; a list as in /proc's words:
/// "Node 0, zone Normal, order 3, Movable: 1a2b8 1a340". Empty lists have no line.
[[nodiscard]] std::string lists_text(const Machine& machine, const ZoneFilter& filter = {});
[[nodiscard]] nlohmann::ordered_json lists_json(const Machine& machine, const ZoneFilter& filter = {});

}  // namespace mmbox::lab
