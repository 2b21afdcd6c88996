// Pages in use as a test declares them: what they are, whether they move, and where they went.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/support/small_machine.h"

namespace mmbox::test {

class FakePages final : public PageMover, public PageContents {
 public:
  explicit FakePages(SmallMachine& machine) : machine_(machine) { machine->set_contents(this); }

  std::map<std::uint64_t, PageFacts> pages;  ///< by pfn; frames that are not in it are Fixed
  std::set<std::uint64_t> busy;              ///< do not move when asked to
  std::set<std::uint64_t> isolated;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> moves;
  std::vector<std::pair<std::uint64_t, MoveEffort>> attempts;

  /// Pages on an LRU list, with a file behind them unless told otherwise.
  void use(std::uint64_t pfn, std::uint64_t count = 1, PageFacts facts = lru()) {
    for (std::uint64_t i = 0; i < count; ++i) {
      pages[pfn + i] = facts;
      machine_.adopt(pfn + i, 0);
    }
  }
  static PageFacts lru() {
    PageFacts facts;
    facts.kind = PageFacts::Kind::Lru;
    facts.has_mapping = true;
    facts.mapping_migrates = true;
    return facts;
  }

  PageFacts facts(Pfn pfn) override {
    const auto page = pages.find(pfn.raw());
    return page == pages.end() ? PageFacts{} : page->second;
  }
  bool isolate(Pfn pfn) override { return isolated.insert(pfn.raw()).second; }
  void putback(Pfn pfn) override { MMBOX_CHECK(isolated.erase(pfn.raw()) == 1, "test: not isolated", pfn.raw(), 0); }
  MoveResult move(Pfn from, Pfn to, MoveEffort effort) override {
    attempts.emplace_back(from.raw(), effort);
    if (busy.contains(from.raw()))
      return MoveResult::Again;
    MMBOX_CHECK(isolated.erase(from.raw()) == 1, "test: moved without being isolated", from.raw(), to.raw());
    MMBOX_CHECK(!pages.contains(to.raw()), "test: the target is in use", from.raw(), to.raw());
    pages[to.raw()] = pages.at(from.raw());
    pages.erase(from.raw());
    moves.emplace_back(from.raw(), to.raw());
    return MoveResult::Moved;
  }
  PageCount movable_pages(Pfn begin, Pfn end) override {
    std::uint64_t count = 0;
    for (auto at = pages.lower_bound(begin.raw()); at != pages.end() && at->first < end.raw(); ++at)
      count += at->second.kind == PageFacts::Kind::Fixed ? 0 : 1;
    return PageCount{count};
  }

 private:
  SmallMachine& machine_;
};

}  // namespace mmbox::test
