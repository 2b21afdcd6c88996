// Reclaim against recordings of a real 6.1.192: how often a node is reclaimed while a file is written to it, and what
// slab caches are asked for.
#include <gtest/gtest.h>

#include <array>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mmbox/lab/io/byte_source.h"
#include "tests/support/small_machine.h"

namespace mmbox::lab {
namespace {

// ------------------------------------------------------------- numa-reclaim: a file is written with zone_reclaim_mode
// 1

/// Pages of a file that nobody uses.
class FilePages final : public PageEvictor {
 public:
  std::vector<std::uint64_t> evicted;

  void taken(Pfn) override {}
  ReclaimFacts reclaim_facts(Pfn) override { return {}; }
  void mark(Pfn, ReclaimMark) override {}
  bool add_to_swap(Pfn) override { return false; }
  bool unmap(Pfn) override { return false; }
  bool write_out(Pfn) override { return false; }
  void evict(Pfn pfn) override { evicted.push_back(pfn.raw()); }
  void returned(Pfn, LruList) override {}
  PageCount free_swap() override { return {}; }
};

/// Pages written between two reclaims of the node, `.` 30 and `+` 45: from the first reclaim to the first time that
/// somebody else's pages come into play.
constexpr std::string_view kRecordedGaps =
    "..+......+.......+......+.......+......+.......+......+.......+......+.......+......+.......+..."
    "...+.......+......+.......+......+.......+......+.......+......+.......+......+.......+......+.."
    ".....+......+.......+......+.......+......+.......+......+.......+......+.......+......+.......+"
    "......+.......+......+.......+......+.......+......+.......+......+.......+......+.......+......"
    "+.......+......+.......+......+.......+......+.......+......+.......+......+.......+......+....."
    "..+......+.......+......+.......+......+.......+......+.......+......+.......+......+.......+..."
    "...+.......+......+.......+......+.......+......+.......+......+.......+......+.......+......+.."
    ".....+......+.......+......+.......+......+.......+......+.......+......+.......+......+.......+"
    "......+.......+......+.......+......+.......+......+.......+......+.......+......+.......+......"
    "+.......+......+.......+......+.......+......+.......";

TEST(RecordedNodeReclaim, ComesAsOftenAsRecordedWhileAFileIsWritten) {
  // A zone that is always below its mark, so that each request asks for node reclaim, above one that serves it.
  test::SmallMachine m{
      test::SmallConfig{.zones = {{ZoneType::Dma32, 0, 4096, 0}, {ZoneType::Normal, 4096, 1024, 0}}, .batch = 15}};
  Lru lru{m.view()};
  FilePages host;
  Reclaim reclaim{m.view(), lru, host};
  m->set_hosts({.reclaimer = &reclaim, .compactor = nullptr, .oom = nullptr, .waiter = nullptr});
  Tunables t = m->tunables();
  t.zone_reclaim_mode = 1;
  m->set_tunables(t);
  NodeState& node = m.view().nodes[0];
  // Limit and mapped pages are the recorded ones.
  node.min_unmapped_pages = 1180;
  node.pages.file_mapped = 416;
  m.zone(1).watermark = {1521, 1901, 2281, 0};
  const std::uint64_t on_list = 1180 + 416 + 5;
  for (std::uint64_t pfn = 0; pfn < on_list; ++pfn) {
    m.adopt(pfn, 0);
    lru.add(m.index(pfn), LruList::InactiveFile);
  }
  m.free_block(2048, 10);
  m.free_block(3072, 10);

  std::string gaps;
  std::vector<std::uint64_t> on_their_way;
  std::uint64_t written = 0;
  std::size_t reclaims = 0;
  while (gaps.size() < kRecordedGaps.size()) {
    const std::uint64_t pfn = m.alloc(gfp::kNoFs | gfp::kHighMem | gfp::kMovable, 0);
    ASSERT_NE(pfn, test::SmallMachine::kFailed);
    if (host.evicted.size() > reclaims * 32) {
      ASSERT_EQ(host.evicted.size(), ++reclaims * 32) << "one batch at a time";
      if (reclaims > 1)
        gaps += written == 30 ? '.' : written == 45 ? '+' : '?';
      written = 0;
    }
    ++written;
    // Pages reach the list fifteen at a time.
    on_their_way.push_back(pfn);
    if (on_their_way.size() == 15) {
      for (const std::uint64_t page : on_their_way)
        lru.add(m.index(page), LruList::InactiveFile);
      on_their_way.clear();
    }
  }
  EXPECT_EQ(gaps, kRecordedGaps);
  EXPECT_EQ(m.view().events->zone_reclaim_failed, 0u);
  EXPECT_EQ(m.violation(), "");
}

// ------------------------------------------------------------- slab caches

class RecordedCache final : public SlabShrinker {
 public:
  std::uint64_t objects = 0;
  std::uint32_t cost = 2;
  std::uint64_t able = ~0ULL;  ///< objects before it cannot go on
  std::uint64_t freeable(NodeId) override { return objects; }
  std::optional<SlabFreed> scan(NodeId, std::uint64_t wanted, Gfp, CpuId) override {
    if (wanted > able)
      return std::nullopt;
    able -= wanted;
    return SlabFreed{wanted, {}};
  }
  [[nodiscard]] std::uint32_t seeks() const override { return cost; }
};

TEST(RecordedSlabCalls, AreAskedForTheSameObjects) {
  auto source = ByteSource::open(std::string{MMBOX_TEST_DATA} + "/reclaim/slab-calls.txt.zst");
  ASSERT_TRUE(source) << source.error().message;
  LineReader lines{std::move(*source)};
  std::string_view line;
  std::size_t calls = 0;
  std::size_t begun = 0;
  for (auto more = lines.next(line); more && *more; more = lines.next(line)) {
    if (line.starts_with('#'))
      continue;
    std::array<std::uint64_t, 8> row{};
    std::istringstream words{std::string{line}};
    for (std::uint64_t& number : row)
      ASSERT_TRUE(words >> number) << line;
    const auto [seeks, priority, freeable, put_off, added, total, scanned, afterwards] = row;
    const SlabDue due = slab_due(freeable, put_off, static_cast<std::uint32_t>(seeks), static_cast<unsigned>(priority));
    EXPECT_EQ(due.added, added) << line;
    EXPECT_EQ(due.total, total) << line;
    EXPECT_EQ(slab_put_off(freeable, put_off, added, scanned), afterwards) << line;
    RecordedCache cache;
    cache.objects = freeable;
    cache.cost = static_cast<std::uint32_t>(seeks);
    cache.deferred[0] = put_off;
    // In two of the calls the cache could not go on.
    if (total == 251 || total == 2874)
      cache.able = scanned;
    const SlabFreed freed = shrink_slab(cache, NodeId{0}, {}, static_cast<unsigned>(priority), CpuId{0});
    EXPECT_EQ(freed.scanned, scanned) << line;
    EXPECT_EQ(cache.deferred[0], afterwards) << line;
    ++calls;
    begun += scanned > 0 ? 1 : 0;
  }
  EXPECT_EQ(calls, 1898u);
  EXPECT_EQ(begun, 14u);
}

}  // namespace
}  // namespace mmbox::lab
