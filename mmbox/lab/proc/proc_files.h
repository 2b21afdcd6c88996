// What a live machine tells of its memory in /proc: zoneinfo, buddyinfo, pagetypeinfo, and kpageflags if it may be
// read.
//
// Numbers as the kernel prints them, and nothing made up; approximate.h makes a machine from them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// One CPU's lists in one zone, as zoneinfo has them.
struct ProcPageset {
  std::int32_t count = 0;
  std::int32_t high = 0;
  std::int32_t batch = 1;
  std::int32_t threshold = 0;
};

/// One populated zone. Unit: pages.
struct ProcZone {
  NodeId node;
  ZoneType type{};
  std::int64_t free = 0;
  std::int64_t boost = 0;
  std::int64_t min = 0;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::int64_t spanned = 0;
  std::int64_t present = 0;
  std::int64_t managed = 0;
  std::uint64_t start_pfn = 0;
  std::vector<std::int64_t> protection;
  std::map<std::string, std::int64_t, std::less<>> counters;  ///< nr_zone_inactive_file, …
  std::vector<ProcPageset> pagesets;                          ///< by CPU
  /// Free blocks by order, of all types. Shape: [kOrders].
  std::array<std::uint64_t, kOrders> blocks{};
  /// By migratetype and order, and pageblocks by migratetype; only if `has_types`.
  std::array<std::array<std::uint64_t, kOrders>, kMigratetypes> typed_blocks{};
  std::array<std::uint64_t, kMigratetypes> pageblocks{};
  bool has_types = false;

  [[nodiscard]] std::int64_t counter(std::string_view name) const {
    const auto found = counters.find(name);
    return found == counters.end() ? 0 : found->second;
  }
};

struct ProcNode {
  NodeId id;
  std::map<std::string, std::int64_t, std::less<>> counters;  ///< nr_slab_reclaimable, …
};

/// Everything that was found.
struct ProcState {
  std::string where;    ///< the folder, as the user wrote it
  std::string release;  ///< "6.1.0-44-amd64"; empty if there is no `version`
  std::size_t zone_types = 0;
  std::vector<ZoneType> types;  ///< compiled in, by zone index
  std::vector<ProcNode> nodes;
  std::vector<ProcZone> zones;  ///< populated ones, in the order of zoneinfo
  /// Flags of each page by pfn, from 0; empty if they could not be read.
  std::vector<std::uint64_t> kpageflags;
  /// What is missing, in words, and what follows from it.
  std::vector<std::string> lacks;
};

/// Bits of kpageflags. Source: Documentation/admin-guide/mm/pagemap.rst.
enum class Kpf : unsigned {
  Locked = 0,
  Referenced = 2,
  Dirty = 4,
  Lru = 5,
  Active = 6,
  Slab = 7,
  Writeback = 8,
  Buddy = 10,
  Mmap = 11,
  Anon = 12,
  SwapCache = 13,
  SwapBacked = 14,
  CompoundHead = 15,
  CompoundTail = 16,
  Unevictable = 18,
  NoPage = 20,
};

/// Texts of the files; an empty one is missing.
struct ProcTexts {
  std::string zoneinfo;
  std::string buddyinfo;
  std::string pagetypeinfo;
  std::string version;
};
/// Understands the texts. An error names the file and the line.
[[nodiscard]] Expected<ProcState> parse_proc(const ProcTexts& texts, const std::string& folder);
/// Reads a folder that has these files, plain or zstd-compressed ("zoneinfo.zst"): /proc itself, or copies of its
/// files.
[[nodiscard]] Expected<ProcState> load_proc(const std::string& folder);

}  // namespace mmbox::lab
