// Explicit compaction (a write to compact_memory) from the state that a real 6.1.192 was in, against what it did: each
// pageblock that a scanner went through, each page that moved and where to, and every list afterwards, in order.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/population/population.h"
#include "mmbox/lab/snapshot/compare.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

/// What the engine does, in the words of the fixture: begin, end, M(igrate scanner), F(ree scanner), moves.
class Steps final : public EventSink {
 public:
  std::vector<std::string> lines;

  void on(const MmCompactionIsolateMigratepages& e) override { scanned('M', e); }
  void on(const MmCompactionIsolateFreepages& e) override { scanned('F', e); }
  void on(const MmCompactionMigratepages& e) override {
    lines.push_back(fmt::format("moved {} {}", e.nr_migrated, e.nr_failed));
  }
  void on(const MmCompactionBegin& e) override { lines.push_back(fmt::format("begin {}", positions(e))); }
  void on(const MmCompactionEnd& e) override { lines.push_back(fmt::format("end {} {}", positions(e), e.status)); }
  void on(const MmCompactionSuitable& e) override { zone("suitable", e); }
  void on(const MmCompactionFinished& e) override { zone("finished", e); }
  void on(const PageMigrated& e) override { lines.push_back(fmt::format("{:x} -> {:x}", e.from.raw(), e.to.raw())); }
  void on(const PageNotMigrated& e) override { lines.push_back(fmt::format("not {:x}", e.target.raw())); }

 private:
  static std::string positions(const MmCompactionBegin& e) {
    return fmt::format("{:x} {:x} {:x} {:x} {}", e.zone_start.raw(), e.migrate_pfn.raw(), e.free_pfn.raw(),
                       e.zone_end.raw(), e.sync);
  }
  void scanned(char who, const MmCompactionIsolateMigratepages& e) {
    lines.push_back(fmt::format("{} {:x} {:x} {} {}", who, e.start.raw(), e.end.raw(), e.nr_scanned, e.nr_taken));
  }
  void zone(const char* what, const MmCompactionSuitable& e) {
    lines.push_back(fmt::format("{} {} {} {} {}", what, e.node.raw(), e.zone.raw(), e.order, e.result));
  }
};

/// The recorded pages. Whether a page could be moved at that moment (its buffers may have been held) is not in the
/// dump: the recording's answers are given in their order, if there are any.
class Mover final : public PageMover {
 public:
  explicit Mover(Population& pages) : pages_(pages) {}
  std::deque<bool> answers;

  PageFacts facts(Pfn pfn) override { return pages_.facts(pfn); }
  bool isolate(Pfn pfn) override { return pages_.isolate(pfn); }
  void putback(Pfn pfn) override { pages_.putback(pfn); }
  MoveResult move(Pfn from, Pfn to, MoveEffort effort) override {
    if (answers.empty())
      return pages_.move(from, to, effort);
    const bool moves = answers.front();
    answers.pop_front();
    if (!moves)
      return MoveResult::Again;
    pages_.page(from).is_pinned = false;
    return pages_.move(from, to, effort);
  }

 private:
  Population& pages_;
};

struct RecordedCompaction : testing::Test {
  const std::string log = std::string{MMBOX_TEST_DATA} + "/compaction/explicit.log.zst";
  Snapshot before = *load_snapshot(log, "explicit-before");
  Snapshot after = *load_snapshot(log, "explicit-after");
  Image image = *image_of(before, kLinux61);
  Population pages{image.machine(), *load_page_dump(log, "explicit-before")};
  Mover mover{pages};
  Compaction compaction{image.machine().view(), mover};
  std::vector<std::string> recorded;

  RecordedCompaction() {
    image.machine().set_contents(&pages);
    auto source = ByteSource::open(std::string{MMBOX_TEST_DATA} + "/compaction/explicit.steps.zst");
    if (!source)
      return;
    LineReader lines{std::move(*source)};
    std::string_view line;
    for (auto more = lines.next(line); more && *more; more = lines.next(line))
      recorded.emplace_back(line);
  }
};

TEST_F(RecordedCompaction, IsRepeatedStepByStepAndPageByPage) {
  ASSERT_EQ(recorded.size(), 20014u);
  for (const std::string& line : recorded) {
    if (line.find(" -> ") != std::string::npos)
      mover.answers.push_back(true);
    else if (line.starts_with("not "))
      mover.answers.push_back(false);
  }
  Steps steps;
  image.machine().attach(&steps);
  compaction.compact_all(CpuId{0});
  image.machine().attach(nullptr);
  ASSERT_EQ(steps.lines.size(), recorded.size());
  for (std::size_t i = 0; i < recorded.size(); ++i)
    ASSERT_EQ(steps.lines[i], recorded[i]) << "line " << i + 1;

  CompareOptions options = CompareOptions::buddy();
  options.compaction = options.pageblock_skip = options.pcp = true;
  const Comparison comparison = compare(after, snapshot_of(image.machine(), before), options);
  EXPECT_EQ(comparison.found, 0u) << (comparison.differences.empty() ? "" : comparison.differences[0].text());
  EXPECT_GT(comparison.entries, 10000u);
}

TEST_F(RecordedCompaction, IsNearlyTheSameWithoutTheRecordingsAnswers) {
  // 8 % of the pages of one kind are held by their buffers, and the dump does not tell which.
  compaction.compact_all(CpuId{0});
  std::size_t moved = 0;
  for (const std::string& line : recorded)
    moved += line.find(" -> ") != std::string::npos ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(image.machine().view().events->pgmigrate_success), static_cast<double>(moved),
              0.01 * static_cast<double>(moved));
  for (const SnapshotZone& zone : after.zones) {
    const ZoneState& state = image.machine().view().zones[zone.index.raw()];
    for (unsigned order = 4; order < kOrders; ++order) {
      const auto expected = static_cast<double>(zone.free_areas[order].free_blocks << order);
      const auto actual = static_cast<double>(std::uint64_t{state.nr_free[order]} << order);
      EXPECT_NEAR(actual, expected, 0.05 * expected + 1024) << zone.name() << ", order " << order;
    }
  }
}

TEST_F(RecordedCompaction, LosesAndDoublesNoPage) {
  std::uint64_t held = 0;
  for (OwnerId id = 0; id < pages.owners(); ++id)
    held += pages.owner(id).pages.size();
  compaction.compact_all(CpuId{0});
  std::uint64_t still_held = 0;
  for (OwnerId id = 0; id < pages.owners(); ++id)
    for (std::uint32_t slot = 0; slot < pages.owner(id).pages.size(); ++slot) {
      const Pfn pfn = pages.owner(id).pages[slot];
      ASSERT_EQ(pages.page(pfn).owner, id);
      ASSERT_EQ(pages.page(pfn).slot, slot);
      ++still_held;
    }
  EXPECT_EQ(still_held, held);
  const auto violation = validate(image.machine().view());
  EXPECT_FALSE(violation) << violation->what;
}

}  // namespace
}  // namespace mmbox::lab
