// What a recorded machine counted that the allocator does not: the host's side of zoneinfo and vmstat.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/snapshot/snapshot.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// The text format that a snapshot's kernel prints.
///
/// An error if none is known for its generation, or if the snapshot has another number of zone or node counters than
/// the format has names (another build of the kernel).
[[nodiscard]] Expected<const ProcFormat*> proc_format_of(const Snapshot& snapshot);

/// Counters under their names: those of a snapshot's NS and ZS lines, and what is set by hand.
///
/// A counter that is not there is 0. Zone counters are those that zoneinfo prints, without the per-cpu deltas.
class RecordedCounters final : public HostCounters {
 public:
  RecordedCounters() = default;
  RecordedCounters(const Snapshot& snapshot, const ProcFormat& format);

  std::int64_t zone(ZoneId zone, std::string_view name) override;
  std::int64_t node(NodeId node, std::string_view name) override;
  std::int64_t machine(std::string_view name) override;

  void set_zone(ZoneId zone, std::string_view name, std::int64_t value) {
    zones_[zone].insert_or_assign(std::string{name}, value);
  }
  void set_node(NodeId node, std::string_view name, std::int64_t value) {
    nodes_[node].insert_or_assign(std::string{name}, value);
  }
  void set_machine(std::string_view name, std::int64_t value) { machine_.insert_or_assign(std::string{name}, value); }

 private:
  using Named = std::map<std::string, std::int64_t, std::less<>>;
  std::map<ZoneId, Named> zones_;
  std::map<NodeId, Named> nodes_;
  Named machine_;
};

}  // namespace mmbox::lab
