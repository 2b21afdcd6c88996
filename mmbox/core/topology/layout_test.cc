// Zone spans, held to machines of which the kernel's own layout was recorded.
#include "mmbox/core/topology/layout.h"

#include <gtest/gtest.h>

#include <ostream>
#include <utility>
#include <vector>

namespace mmbox {
namespace {

constexpr std::array kAmd64{ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable, ZoneType::Device};
constexpr std::uint64_t kMiB = 1024 * 1024 / kPageSize;

struct Row {
  std::uint64_t start, spanned, present;
  friend bool operator==(const Row&, const Row&) = default;
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << "{0x" << std::hex << row.start << std::dec << ", " << row.spanned << ", " << row.present << "}";
}

MemoryRange memory(std::uint64_t begin, std::uint64_t end, std::size_t node = 0, bool is_hotpluggable = false) {
  return MemoryRange{PfnRange{Pfn{begin}, Pfn{end}}, NodeId{node}, is_hotpluggable};
}

/// Rows of [nodes][5 zone types].
std::vector<Row> layout(std::vector<MemoryRange> ranges, std::size_t nodes, MovableShare share = {}) {
  std::vector<ZoneConfig> zones(nodes * kAmd64.size());
  const Pfn end = ranges.back().range.end;
  layout_zones(ranges, kAmd64, x86_zone_limits(kAmd64, end, end), share, zones);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < zones.size(); ++i) {
    EXPECT_EQ(zones[i].node.raw(), i / kAmd64.size());
    EXPECT_EQ(zones[i].index.raw(), i % kAmd64.size());
    EXPECT_EQ(zones[i].type, kAmd64[i % kAmd64.size()]);
    EXPECT_FALSE(zones[i].is_highmem);
    rows.push_back(Row{zones[i].start.raw(), zones[i].spanned.raw(), zones[i].present.raw()});
  }
  return rows;
}

/// The recorded machines: PFN 0 and the legacy hole are not memory; RAM below 4 GiB ends at `low`, the rest is above.
std::vector<MemoryRange> recorded(std::uint64_t low, std::uint64_t high_end) {
  return {memory(1, 0x9f), memory(0x100, low), memory(0x100000, high_end)};
}

TEST(Layout, IsTheRecordedOneOfThreeZones) {
  EXPECT_EQ(layout(recorded(0xffda, 0x118000), 1),
            (std::vector<Row>{{1, 4095, 3998}, {0x1000, 1044480, 61402}, {0x100000, 98304, 98304}, {}, {}}));
}

TEST(Layout, IsTheRecordedOneBelow4GiB) {
  EXPECT_EQ(layout({memory(1, 0x9f), memory(0x100, 0x1ffda)}, 1),
            (std::vector<Row>{{1, 4095, 3998}, {0x1000, 126938, 126938}, {}, {}, {}}));
}

TEST(Layout, IsTheRecordedOneOfTwoNodes) {
  auto ranges = recorded(0x17fda, 0x108000);
  ranges.push_back(memory(0x108000, 0x128000, 1));
  EXPECT_EQ(layout(ranges, 2), (std::vector<Row>{{1, 4095, 3998},
                                                 {0x1000, 1044480, 94170},
                                                 {0x100000, 32768, 32768},
                                                 {},
                                                 {},
                                                 {},
                                                 {},
                                                 {0x108000, 131072, 131072},
                                                 {},
                                                 {}}));
}

TEST(Layout, CarvesTheRecordedMovableZone) {
  // kernelcore=420M on 768 MiB.
  EXPECT_EQ(layout(recorded(0xffda, 0x120000), 1, {.kernelcore = PageCount{420 * kMiB}}),
            (std::vector<Row>{
                {1, 4095, 3998}, {0x1000, 1044480, 61402}, {0x100000, 43008, 43008}, {0x10a800, 88064, 88064}, {}}));
}

TEST(Layout, SpreadsKernelcoreOverTheNodesAndGivesTheRestToThoseThatHaveMore) {
  // 02 §11 example 8: kernelcore=800M on nodes of 640 and 384 MiB.
  auto ranges = recorded(0x17fda, 0x110000);
  ranges.push_back(memory(0x110000, 0x128000, 1));
  const auto rows = layout(ranges, 2, {.kernelcore = PageCount{800 * kMiB}});
  EXPECT_EQ(rows[2], (Row{0x100000, 0x2400, 0x2400}));
  EXPECT_EQ(rows[3], (Row{0x102400, 0xdc00, 0xdc00}));
  EXPECT_EQ(rows[7], (Row{0x110000, 98304, 98304}));
  EXPECT_EQ(rows[8], Row{});
}

TEST(Layout, HasNoMovableZoneIfKernelcoreCoversEverything) {
  const auto ranges = recorded(0xffda, 0x118000);
  const std::uint64_t total = 3998 + 61402 + 98304;
  EXPECT_EQ(layout(ranges, 1, {.kernelcore = PageCount{total}})[3], Row{});
  EXPECT_EQ(layout(ranges, 1, {.kernelcore = PageCount{total - 1024}})[3], (Row{0x117c00, 1024, 1024}));
  // The last 1023 pages are rounded away.
  EXPECT_EQ(layout(ranges, 1, {.kernelcore = PageCount{total - 1023}})[3], Row{});
}

TEST(Layout, GivesMovablecoreRoundedUpToTheLargestBlock) {
  const auto ranges = recorded(0xffda, 0x118000);
  EXPECT_EQ(layout(ranges, 1, {.movablecore = PageCount{1}})[3], (Row{0x117c00, 1024, 1024}));
  EXPECT_EQ(layout(ranges, 1, {.movablecore = PageCount{1025}})[3], (Row{0x117800, 2048, 2048}));
  // The larger kernelcore of the two counts.
  EXPECT_EQ(layout(ranges, 1, {.kernelcore = PageCount{1024}, .movablecore = PageCount{1024}})[3],
            (Row{0x117c00, 1024, 1024}));
}

TEST(Layout, CarvesMovableOnlyFromTheHighestUsableZone) {
  // Almost everything is wished to be movable, but DMA and DMA32 lie below the base zone.
  const auto rows = layout(recorded(0xffda, 0x118000), 1, {.kernelcore = PageCount{1}});
  EXPECT_EQ(rows[1], (Row{0x1000, 1044480, 61402}));
  EXPECT_EQ(rows[2], Row{});
  EXPECT_EQ(rows[3], (Row{0x100000, 98304, 98304}));
  // Without memory above 4 GiB DMA32 is the base.
  const auto low = layout({memory(1, 0x9f), memory(0x100, 0x20000)}, 1, {.kernelcore = PageCount{1}});
  EXPECT_EQ(low[1], Row{});
  EXPECT_EQ(low[3], (Row{0x1000, 0x1f000, 0x1f000}));
}

TEST(Layout, MovableNodePutsHotpluggableMemoryIntoMovable) {
  std::vector<MemoryRange> ranges{memory(1, 0x80000), memory(0x100000, 0x140000, 0),
                                  memory(0x140000, 0x180000, 1, true)};
  const MovableShare share{.kernelcore = PageCount{1}, .movable_node = true};
  const auto rows = layout(ranges, 2, share);
  EXPECT_EQ(rows[2], (Row{0x100000, 0x40000, 0x40000}));
  EXPECT_EQ(rows[3], Row{});
  EXPECT_EQ(rows[7], Row{});
  EXPECT_EQ(rows[8], (Row{0x140000, 0x40000, 0x40000}));
  EXPECT_EQ(layout(ranges, 2)[8], Row{}) << "hotpluggable memory is movable only with movable_node";
}

TEST(Layout, LeavesANodeWithoutMemoryEmpty) {
  const auto rows = layout({memory(1, 0x1000, 0), memory(0x1000, 0x2000, 2)}, 3);
  for (std::size_t i = 5; i < 10; ++i)
    EXPECT_EQ(rows[i], Row{}) << i;
  EXPECT_EQ(rows[11], (Row{0x1000, 0x1000, 0x1000}));
}

TEST(Layout, CountsInterleavedNodesByTheirOwnMemory) {
  const auto rows = layout({memory(0x1000, 0x2000, 0), memory(0x2000, 0x3000, 1), memory(0x3000, 0x4000, 0)}, 2);
  EXPECT_EQ(rows[1], (Row{0x1000, 0x3000, 0x2000}));
  EXPECT_EQ(rows[6], (Row{0x2000, 0x1000, 0x1000}));
}

TEST(Layout, ClosesUpWhereAZoneTypeIsCompiledOut) {
  constexpr std::array kNoDma{ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable};
  std::array<ZoneConfig, 3> zones{};
  const std::array ranges{memory(1, 0x80000), memory(0x100000, 0x110000)};
  layout_zones(ranges, kNoDma, x86_zone_limits(kNoDma, Pfn{0x110000}, Pfn{0x110000}), {}, zones);
  EXPECT_EQ(zones[0].start, Pfn{1});
  EXPECT_EQ(zones[0].spanned, PageCount{0x100000 - 1});
  EXPECT_EQ(zones[1].start, Pfn{0x100000});
}

TEST(Layout, MovableFromHighMemIsHighmem) {
  constexpr std::array kI386{ZoneType::Dma, ZoneType::Normal, ZoneType::HighMem, ZoneType::Movable};
  constexpr Pfn kMaxLow{0x38000};
  std::array<ZoneConfig, 4> zones{};
  const std::array ranges{memory(1, 0x80000)};
  layout_zones(ranges, kI386, x86_zone_limits(kI386, kMaxLow, Pfn{0x80000}), {.movablecore = PageCount{0x8000}}, zones);
  EXPECT_FALSE(zones[1].is_highmem);
  EXPECT_EQ(zones[1].start + zones[1].spanned, kMaxLow);
  EXPECT_TRUE(zones[2].is_highmem);
  EXPECT_EQ(zones[2].spanned, PageCount{0x40000});
  EXPECT_TRUE(zones[3].is_highmem);
  EXPECT_EQ(zones[3].start, Pfn{0x78000});
}

ZoneConfig zone(std::size_t index, std::uint64_t spanned, std::uint64_t present, bool is_highmem = false) {
  return ZoneConfig{.node = NodeId{0},
                    .index = ZoneIndex{index},
                    .type = ZoneType::Normal,
                    .start = Pfn{0},
                    .spanned = PageCount{spanned},
                    .present = PageCount{present},
                    .is_highmem = is_highmem};
}

TEST(ManagedEstimate, TakesTheMemmapAway) {
  EXPECT_EQ(managed_estimate(zone(2, 64, 64)), 63u);
  EXPECT_EQ(managed_estimate(zone(2, 65, 65)), 63u);
  EXPECT_EQ(managed_estimate(zone(2, 64, 64, true)), 64u) << "highmem's memmap lies elsewhere";
}

TEST(ManagedEstimate, CountsHolesInTheMemmapUnlessTheyAreLarge) {
  // 16 of 272 pages missing is just not a large hole: spanned ≤ present + present/16.
  EXPECT_EQ(managed_estimate(zone(2, 272, 256)), 256u - 5);
  EXPECT_EQ(managed_estimate(zone(2, 273, 256)), 256u - 4);
}

TEST(ManagedEstimate, TakesTheDmaReserveFromTheLowestZoneOnly) {
  EXPECT_EQ(managed_estimate(zone(0, 4095, 3998), 158), 3998u - 64 - 158);
  EXPECT_EQ(managed_estimate(zone(1, 4095, 3998), 158), 3998u - 64);
  EXPECT_EQ(managed_estimate(zone(0, 64, 64), 63), 63u) << "not below one page";
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> free_ranges(std::vector<MemoryRange> memory,
                                                                 std::vector<PfnRange> reserved) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for_each_free_range(memory, reserved,
                      [&](const MemoryRange& m) { ranges.emplace_back(m.range.begin.raw(), m.range.end.raw()); });
  return ranges;
}

PfnRange pfns(std::uint64_t begin, std::uint64_t end) {
  return PfnRange{Pfn{begin}, Pfn{end}};
}

TEST(FreeRanges, AreMemoryMinusReserved) {
  using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  const std::vector<MemoryRange> memory{{pfns(1, 100), NodeId{0}}, {pfns(200, 300), NodeId{0}}};
  EXPECT_EQ(free_ranges(memory, {}), (Ranges{{1, 100}, {200, 300}}));
  EXPECT_EQ(free_ranges(memory, {pfns(0, 10), pfns(50, 60), pfns(90, 210), pfns(300, 400)}),
            (Ranges{{10, 50}, {60, 90}, {210, 300}}));
  EXPECT_EQ(free_ranges(memory, {pfns(0, 400)}), Ranges{});
  // Overlapping, nested and empty reservations.
  EXPECT_EQ(free_ranges(memory, {pfns(10, 50), pfns(20, 30), pfns(40, 60), pfns(70, 70)}),
            (Ranges{{1, 10}, {60, 100}, {200, 300}}));
}

TEST(FreeRanges, EndAtNodeBoundariesThoughMemoryGoesOn) {
  std::vector<std::size_t> nodes;
  for_each_free_range(std::array{MemoryRange{pfns(0, 100), NodeId{0}}, MemoryRange{pfns(100, 200), NodeId{1}}},
                      std::span<const PfnRange>{}, [&](const MemoryRange& m) { nodes.push_back(m.node.raw()); });
  EXPECT_EQ(nodes, (std::vector<std::size_t>{0, 1}));
}

}  // namespace
}  // namespace mmbox
