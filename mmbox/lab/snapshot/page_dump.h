// What every page of the machine is at one moment: a recording's PAGES … ENDPAGES block, kept as runs of equal pages.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/core/base/generation.h"
#include "mmbox/core/base/units.h"
#include "mmbox/lab/error.h"

namespace mmbox::lab {

/// What a page is, by the recorder's letter.
enum class PageKind : char {
  Buddy = 'B',  ///< in a free block (a run is one block)
  Slab = 'S',
  Tail = 't',  ///< of a compound page
  Reserved = 'R',
  Anonymous = 'A',  ///< on an LRU list
  File = 'F',       ///< on an LRU list
  Driver = 'M',     ///< movable by its driver
  Other = 'o',      ///< allocated, or on a per-cpu list
  Outside = 'x',    ///< not of this zone
};

/// A kernel's bits of a page's flags, as masks.
struct PageFlagBits {
  std::uint64_t locked;
  std::uint64_t referenced;
  std::uint64_t dirty;
  std::uint64_t lru;
  std::uint64_t active;
  std::uint64_t swap_cache;  ///< only of a swap-backed page
  std::uint64_t has_private;
  std::uint64_t writeback;
  std::uint64_t swap_backed;
  std::uint64_t unevictable;
};
[[nodiscard]] const PageFlagBits& page_flag_bits(const Generation& generation);

/// Consecutive pages with equal fields.
struct PageRun {
  Pfn start;
  PageCount pages;
  std::uint64_t flags = 0;
  std::int32_t refcount = 0;
  std::int32_t mapcount = 0;  ///< raw: -1 is "not mapped"
  std::int32_t order = -1;    ///< of a free block or a compound head; else -1
  PageKind kind{};
  [[nodiscard]] Pfn end() const { return start + pages; }
  friend bool operator==(const PageRun&, const PageRun&) = default;
};

struct PageDumpZone {
  NodeId node;
  ZoneType type{};
  std::vector<PageRun> runs;  ///< ascending, disjoint
};

struct PageDump {
  std::string label;
  std::string legend{"(PG pfn count flags refcount mapcount order_if_head_or_buddy kind)"};
  std::vector<PageDumpZone> zones;

  /// The run that holds a page, of the zone that it belongs to; nullptr if no zone has it.
  [[nodiscard]] const PageRun* run_of(Pfn pfn) const;
  /// What a page is; nullopt if no zone has it.
  [[nodiscard]] std::optional<PageKind> kind_of(Pfn pfn) const;
};

/// Appends the PAGES … ENDPAGES block to `out`: the bytes that were read.
void write(const PageDump& dump, std::string& out);

/// Takes a page dump line by line: the PAGES line first, until a call returns true (ENDPAGES), then `take` once.
/// An Error has no file and line; the state is of no use after it.
class PageDumpParser {
 public:
  [[nodiscard]] Expected<bool> feed(std::string_view line);
  [[nodiscard]] PageDump take() { return std::move(dump_); }

 private:
  bool begun_ = false;
  PageDump dump_;
};

}  // namespace mmbox::lab
