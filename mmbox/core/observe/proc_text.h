// The allocator's files as the kernel prints them: /proc/buddyinfo, pagetypeinfo, zoneinfo, vmstat, and the two
// fragmentation indices of debugfs.
//
// Reads a machine, writes to a TextSink. Which lines a file has is the ProcFormat's; what the allocator does not count
// itself is the host's (HostCounters).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "mmbox/core/alloc/machine_view.h"
#include "mmbox/core/base/text.h"
#include "mmbox/core/observe/proc_format.h"

namespace mmbox {

/// Counters that the allocator does not keep, asked for under the names that they are printed with.
///
/// Of those that count requests (numa_*, pgalloc_*, pgfree) the host tells what was counted before this machine began;
/// the machine adds what it saw itself.
class HostCounters {
 public:
  virtual std::int64_t zone(ZoneId zone, std::string_view name) = 0;
  virtual std::int64_t node(NodeId node, std::string_view name) = 0;
  /// An event or a total of the whole machine.
  virtual std::int64_t machine(std::string_view name) = 0;

 protected:
  ~HostCounters() = default;
};

/// What is printed: a machine in the format of one kernel. Without a host its counters are 0.
struct ProcSource {
  const MachineView& machine;
  const ProcFormat& format;
  HostCounters* host = nullptr;
};

/// Free blocks of every populated zone by order.
void write_buddyinfo(const MachineView& machine, TextSink& sink);
/// Free blocks by order and migratetype, and pageblocks by migratetype.
void write_pagetypeinfo(const ProcSource& source, TextSink& sink);
/// Marks, sizes, counters and per-cpu lists of every zone, empty ones too.
void write_zoneinfo(const ProcSource& source, TextSink& sink);
/// Counters of the whole machine, one a line.
void write_vmstat(const ProcSource& source, TextSink& sink);
/// /sys/kernel/debug/extfrag/unusable_index: the part of free memory that is in too small blocks, by order.
void write_unusable_index(const MachineView& machine, TextSink& sink);
/// /sys/kernel/debug/extfrag/extfrag_index: why a request of each order would fail, by order; -1.000 if it would not.
void write_extfrag_index(const MachineView& machine, TextSink& sink);

// ---------------------------------------------------------------- the numbers behind the lines

/// A line of zoneinfo that is not a counter, by the words of ProcFormat::zone_lines and zone_tail_lines, "free" too.
/// Marks include the boost. 0 for a name that is none of them.
[[nodiscard]] std::int64_t zone_number(const MachineView& machine, const ZoneState& zone, std::string_view name);
/// A line of ProcFormat::pageset_lines.
[[nodiscard]] std::int64_t pageset_number(const MachineView& machine, const ZoneState& zone, CpuId cpu,
                                          std::string_view name);
/// A zone counter or NUMA counter of one zone, per-cpu deltas not included.
[[nodiscard]] std::int64_t zone_counter(const ProcSource& source, const ZoneState& zone, std::string_view name);
/// A node counter, as printed: those of huge pages in huge pages, although most kernels keep them in base pages.
[[nodiscard]] std::int64_t node_counter(const ProcSource& source, NodeId node, std::string_view name);
/// Pageblocks of a zone by migratetype. Shape: [kMigratetypes].
[[nodiscard]] std::array<std::uint64_t, kMigratetypes> count_pageblocks(const MachineView& machine,
                                                                        const ZoneState& zone);

/// Takes vmstat's lines in order.
class CounterVisitor {
 public:
  /// `suffix` is the second half of the name of a line that exists for each zone type: {"pgalloc_", "dma32"}.
  virtual void on(std::string_view name, std::string_view suffix, std::int64_t value) = 0;

 protected:
  ~CounterVisitor() = default;
};
void for_each_vmstat_line(const ProcSource& source, CounterVisitor& visitor);

}  // namespace mmbox
