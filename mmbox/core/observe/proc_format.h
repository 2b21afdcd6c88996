// What the allocator's files in /proc look like on one kernel: which lines they have, under which names, in which
// order.
//
// Tables only; proc_text.h prints with them. The names are those of Debian's amd64 kernels, since which counters exist
// hangs on the build. Lists of names are one string, with one blank between names.
// Source: recorded files of 5.10, 6.1, 6.12 and 7.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mmbox {

/// The lines of one kernel's files.
struct ProcFormat {
  std::string_view generation;   ///< "linux-6.1"
  std::uint64_t free_count_max;  ///< pagetypeinfo prints a larger number of blocks as ">" and this

  // -------- zoneinfo
  std::string_view zone_lines;      ///< after "pages free", before "protection"
  std::string_view pageset_lines;   ///< for each CPU
  std::size_t pageset_label_width;  ///< of those, colon included
  std::string_view zone_tail_lines;

  // -------- zoneinfo and vmstat
  std::string_view zone_counters;
  std::string_view numa_counters;
  std::string_view node_counters;
  std::uint64_t huge_page_unit;  ///< counters of huge pages are kept in units of so many to one that is printed

  // -------- vmstat
  std::string_view totals;  ///< numbers of the whole machine that stand before the events
  /// A name that ends in '*' stands for one line a zone type: "pgalloc_*" for pgalloc_dma, pgalloc_dma32, ….
  std::string_view events;
  bool has_device_events;  ///< such names have a line for Device
};

/// All formats, oldest kernel first.
[[nodiscard]] std::span<const ProcFormat> proc_formats();
/// The format of a generation ("linux-6.1", also "linux-6.1.0"); nullptr if there is none.
[[nodiscard]] const ProcFormat* proc_format(std::string_view generation);

/// Calls `visit(name, position)` for each name of a list.
template <class Visit>
constexpr void for_each_name(std::string_view names, Visit&& visit) {
  // By hand: string_view's find() and substr() ask a freestanding host for memchr() and exceptions.
  const char* const end = names.data() + names.size();
  const char* name = names.data();
  for (std::size_t position = 0; name < end; ++position) {
    const char* blank = name;
    while (blank < end && *blank != ' ')
      ++blank;
    visit(std::string_view{name, static_cast<std::size_t>(blank - name)}, position);
    name = blank + 1;
  }
}

}  // namespace mmbox
