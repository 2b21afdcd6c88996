// The scanner that goes up through a zone and takes pages in use that may move.
#pragma once

#include "mmbox/core/compaction/frames.h"
#include "mmbox/core/compaction/zone_work.h"

namespace mmbox {

class SourceScanner {
 public:
  explicit SourceScanner(ZoneWork& work) : work_(work) {}

  enum class Step : std::uint8_t {
    Took,      ///< there are pages to move
    Nothing,   ///< not in this pageblock, or there is none left
    GivesWay,  ///< too many pages are off their lists already
  };
  /// Looks at the next pageblock that is worth it, and fills the empty `batch`.
  /// `takes_all`: all pages of the pageblock, not just 32. Events: MmCompactionIsolateMigratepages.
  [[nodiscard]] Step next(SourceBatch& batch, bool takes_all);

  /// Pages that are moved in one go, unless a pageblock is taken whole.
  static constexpr unsigned kBatch = 32;

 private:
  /// A pageblock that has free blocks already, by a short look at the free lists; the current position otherwise.
  [[nodiscard]] Pfn choose_start(bool& was_searched);
  [[nodiscard]] bool may_search() const;
  /// A free block in a pageblock without a hint, not too far ahead.
  [[nodiscard]] std::optional<Pfn> search_free_lists();
  [[nodiscard]] bool is_worth_emptying(Pfn pageblock) const;
  [[nodiscard]] bool waits_for_isolated_pages() const;
  void take_from(Pfn from, Pfn end, SourceBatch& batch, bool takes_all);
  void give_back(SourceBatch& batch);
  /// True if a compound page in use of at least `order` begins here.
  [[nodiscard]] bool heads_compound(Pfn pfn, unsigned order) const;

  ZoneWork& work_;
  std::optional<Pfn> lowest_found_;  ///< of the free blocks that searches found
  bool went_back_ = false;
};

}  // namespace mmbox
