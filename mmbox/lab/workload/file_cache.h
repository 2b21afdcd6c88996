// The page cache of a run: pages of files by their place in them, read and written, dirty, and written back.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "mmbox/lab/population/population.h"

namespace mmbox::lab {

enum class FileAccess : bool { Read, Write };

/// What /proc/vmstat tells of it. Unit: pages.
struct FileCacheCounters {
  std::uint64_t workingset_refault_file = 0;
  std::uint64_t workingset_activate_file = 0;
  std::uint64_t workingset_restore_file = 0;
  std::uint64_t nr_dirtied = 0;
  std::uint64_t nr_written = 0;
};

/// All files as one array of pages; a page of it is in memory or is not.
///
/// A page that is read again while it is in memory becomes active. One that was evicted not long ago is active at once:
/// the kernel's rule, with one age for the whole machine. Machine and population outlive it.
class FileCache {
 public:
  FileCache(Machine& machine, Population& pages, std::uint64_t size);

  [[nodiscard]] std::uint64_t size() const { return evicted_at_.size(); }
  /// Pages in memory.
  [[nodiscard]] std::uint64_t resident() const { return pages_.owner(owner_).held_pages; }
  /// Uses a page that is in memory; false if it is not.
  bool use(std::uint32_t place, FileAccess access, std::uint64_t now_ns);
  /// Puts a page that was not in memory into a frame that was allocated for it.
  void add(Pfn pfn, std::uint32_t place, FileAccess access, std::uint64_t now_ns);
  /// Takes a page out of memory, as a truncated file does. The frame is the caller's; kNoPfn if there is none.
  [[nodiscard]] Pfn remove(std::uint32_t place);
  [[nodiscard]] bool holds(const PopulationPage& page) const { return page.owner == owner_; }
  /// The population tells: this page goes.
  void evicted(const PopulationPage& page);

  /// The flusher threads' turn: begins to write what is due, `most` pages at the most.
  void flush(std::uint64_t now_ns, PageCount most);
  void wake_flushers() { flushers_woken_ = true; }
  /// True while whoever writes has to wait. Source: balance_dirty_pages().
  [[nodiscard]] bool is_over_limit() const;
  /// nr_dirty_threshold and nr_dirty_background_threshold. Unit: pages.
  [[nodiscard]] std::uint64_t dirty_limit() const;
  [[nodiscard]] std::uint64_t background_limit() const { return dirty_limit() / 2; }
  [[nodiscard]] const FileCacheCounters& counters() const { return counters_; }

 private:
  struct Written {
    std::uint32_t place;
    std::uint64_t since_ns;
  };
  void make_dirty(Pfn pfn, std::uint32_t place, std::uint64_t now_ns);
  [[nodiscard]] std::uint64_t dirty_pages() const;
  [[nodiscard]] std::uint64_t file_pages_on_lists() const;

  Machine& machine_;
  Population& pages_;
  OwnerId owner_;
  /// By place: 0, or when it was evicted, twice the age of the machine's lists then plus 1 if it was in steady use.
  std::vector<std::uint32_t> evicted_at_;
  std::uint32_t age_ = 1;          ///< evictions and activations
  std::deque<Written> unwritten_;  ///< the first written to in front; some are clean again, or gone
  bool flushers_woken_ = false;
  FileCacheCounters counters_;
};

}  // namespace mmbox::lab
