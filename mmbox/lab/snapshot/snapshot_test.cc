#include "mmbox/lab/snapshot/snapshot.h"

#include <gtest/gtest.h>

#include "mmbox/lab/snapshot/snapshot_testing.h"

namespace mmbox::lab {
namespace {

const Snapshot& every_line() {
  static const Snapshot kSnapshot = snapshot_of(kEveryLine);
  return kSnapshot;
}

TEST(Snapshot, NamesTheZonesWithTheirSpansAndWatermarks) {
  const Snapshot& snapshot = every_line();
  ASSERT_EQ(snapshot.zones.size(), 2U);
  const SnapshotZone* zone = snapshot.zone(NodeId{0}, ZoneIndex{2});
  ASSERT_EQ(zone, &snapshot.zones[1]);
  EXPECT_EQ(snapshot.zone(NodeId{1}, ZoneIndex{2}), nullptr);
  EXPECT_EQ(zone->type, ZoneType::Normal);
  EXPECT_EQ(zone->name(), "Node 0, zone Normal");
  EXPECT_EQ(zone->start, Pfn{0x400});
  EXPECT_EQ(zone->end(), Pfn{0xc00});
  EXPECT_EQ(zone->present, PageCount{1024});
  EXPECT_EQ(zone->managed, PageCount{1020});
  EXPECT_EQ(zone->min, PageCount{4});
  EXPECT_EQ(zone->low, PageCount{5});
  EXPECT_EQ(zone->high, PageCount{6});
  EXPECT_EQ(zone->promo, PageCount{7});
  EXPECT_EQ(zone->boost, PageCount{512});
  EXPECT_EQ(zone->reserved_highatomic, PageCount{512});
  EXPECT_EQ(zone->flags, 1U);
  EXPECT_EQ(zone->drift_mark, PageCount{29});
  EXPECT_FALSE(zone->contiguous);
  EXPECT_EQ(zone->pageset_high, std::nullopt);
  EXPECT_EQ(zone->pageset_high_max, 50);
  EXPECT_EQ(zone->free_highatomic, 8U);
  EXPECT_EQ(snapshot.zones[0].lowmem_reserve, (std::vector<std::int64_t>{0, 198, 445, 445, 445}));
  EXPECT_EQ(snapshot.zones[0].cma, 512U);
  EXPECT_EQ(zone->compact_cached_free, Pfn{0xa00});
  EXPECT_EQ(zone->compact_order_failed, 9);
  EXPECT_EQ(zone->vm_stat, (std::vector<std::int64_t>{17, 1, 2}));
}

TEST(Snapshot, KeepsFreeListsHeadFirst) {
  const SnapshotZone& zone = every_line().zones[1];
  EXPECT_EQ(zone.free_areas[0].lists[raw(Migratetype::Movable)], (std::vector{Pfn{0x408}, Pfn{0x404}, Pfn{0x40a}}));
  EXPECT_EQ(zone.free_areas[0].free_blocks, 3U);
  EXPECT_EQ(zone.free_areas[1].lists[raw(Migratetype::Reclaimable)], std::vector{Pfn{0x406}});
  EXPECT_EQ(zone.free_areas[3].lists[raw(Migratetype::HighAtomic)], std::vector{Pfn{0x418}});
}

TEST(Snapshot, KeepsPerCpuListsWithTheCachedTypes) {
  const SnapshotZone& zone = every_line().zones[1];
  ASSERT_EQ(zone.cpus.size(), 2U);
  const SnapshotZoneCpu& cpu = zone.cpus[0];
  EXPECT_EQ(cpu.stat_threshold, 4);
  EXPECT_EQ(cpu.vm_stat_diff, (std::vector{-4, 0, 0}));
  EXPECT_EQ(cpu.count, 515);
  EXPECT_EQ(cpu.free_factor, std::nullopt);
  EXPECT_EQ(cpu.high_max, 50);
  EXPECT_EQ(cpu.flags, 2);
  EXPECT_EQ(cpu.free_count, 4);
  EXPECT_EQ(cpu.expire, 3);
  EXPECT_EQ(cpu.lists[1],
            (std::vector{PcpPage{Pfn{0x410}, Migratetype::Movable}, PcpPage{Pfn{0x40f}, Migratetype::HighAtomic},
                         PcpPage{Pfn{0x40e}, Migratetype::Movable}}));
  EXPECT_EQ(cpu.lists[12], (std::vector{PcpPage{Pfn{0x600}, Migratetype::Unmovable}}));
  EXPECT_EQ(zone.cpus[1].cpu, CpuId{2});
  EXPECT_EQ(zone.cpus[1].lists[6], (std::vector{PcpPage{Pfn{0x420}, Migratetype::Unmovable}}));
}

TEST(Snapshot, KeepsPageblocksAndHoles) {
  const SnapshotZone& zone = every_line().zones[1];
  ASSERT_EQ(zone.pageblocks.size(), 3U);
  EXPECT_EQ(zone.pageblocks[0], (SnapshotPageblock{Pfn{0x400}, Migratetype::Movable, true, 15, 32, 0, 0}));
  EXPECT_EQ(zone.pageblocks[1].type, Migratetype::Reclaimable);
  EXPECT_EQ(zone.holes, (std::vector{PfnRange{Pfn{0x800}, Pfn{0xa00}}}));
}

TEST(Snapshot, TranslatesIsolateByTheKernelsNumberOfTypes) {
  // Type 5 of a kernel with CMA, 4 of one without.
  const Snapshot& with_cma = every_line();
  EXPECT_TRUE(with_cma.numbering().has_cma());
  EXPECT_EQ(with_cma.zones[0].free_areas[5].lists[raw(Migratetype::Isolate)], std::vector{Pfn{0x40}});
  EXPECT_EQ(with_cma.zones[0].free_areas[9].lists[raw(Migratetype::Cma)], std::vector{Pfn{0x200}});
  EXPECT_EQ(with_cma.zones[0].pageblocks[1].type, Migratetype::Cma);
  const Snapshot without = snapshot_of(kEveryLine, "inside");
  EXPECT_FALSE(without.numbering().has_cma());
  EXPECT_EQ(without.zones[0].free_areas[9].lists[raw(Migratetype::Isolate)], std::vector{Pfn{0}});
  EXPECT_EQ(without.zones[0].pageblocks[0].type, Migratetype::Isolate);
}

TEST(Snapshot, KeepsNodesCpusZonelistsAndSymbols) {
  const Snapshot& snapshot = every_line();
  EXPECT_EQ(snapshot.value("comm"), "Web Content");
  EXPECT_EQ(snapshot.release(), "6.12.95+deb12-cloud-amd64");
  EXPECT_EQ(snapshot.symbol("min_free_kbytes"), 2746);
  EXPECT_EQ(snapshot.symbol("user_min_free_kbytes"), -1);
  EXPECT_EQ(snapshot.symbol("percpu_pagelist_fraction"), std::nullopt);  // absent
  EXPECT_EQ(snapshot.symbol("vmemmap_base"), std::nullopt);              // does not fit
  EXPECT_EQ(snapshot.cpus[1], (SnapshotCpu{CpuId{2}, NodeId{1}, NodeId{0}}));
  ASSERT_EQ(snapshot.nodes.size(), 2U);
  const SnapshotNode& node = snapshot.nodes[0];
  EXPECT_EQ(node.present, PageCount{2047});
  EXPECT_EQ(node.totalreserve, PageCount{40});
  EXPECT_EQ(node.kswapd_waiting, 1);
  EXPECT_EQ(node.distances[1], (std::pair{NodeId{1}, 20U}));
  EXPECT_EQ(node.vm_stat, (std::vector<std::int64_t>{66, 531, -18}));
  EXPECT_EQ(node.zonelists[0][1], (SnapshotZoneRef{NodeId{0}, ZoneType::Dma, ZoneIndex{0}}));
  EXPECT_EQ(snapshot.nodes[1].zonelists[1].size(), 0U);
  EXPECT_EQ(snapshot.nodes[1].more, (KeyValues{{"extra", "7"}}));
}

TEST(Snapshot, TellsACountThatItsListsDoNotHold) {
  const Snapshot snapshot = snapshot_of(kEveryLine, "inside");
  ASSERT_EQ(snapshot.doubts.size(), 1U);
  EXPECT_EQ(snapshot.doubts[0], "Node 0, zone DMA, CPU 0: count=1, but its lists hold 0 pages");
  EXPECT_TRUE(every_line().doubts.empty());
}

// Every snapshot of a file is written back as the bytes that were read.
class Recorded : public testing::TestWithParam<std::string> {};
class RecordedByAKernel : public Recorded {};

const std::vector<std::string> kRecordings = {"recordings/scripted-basic-uma/basic-1.log.zst",
                                              "recordings/scripted-basic-plain/basic-1.log.zst",
                                              "recordings/scripted-basic-movable/basic-1.log.zst",
                                              "recordings/scripted-basic-numa20/basicn-1.log.zst",
                                              "recordings/oom-dump-uma/fail-order0-atomic.log.zst",
                                              "snapshot/linux-5.10-uma.log.zst",
                                              "snapshot/linux-6.1-uma.log.zst",
                                              "snapshot/linux-6.12-numa20.log.zst",
                                              "snapshot/linux-7.2-numa20.log.zst"};

TEST_P(Recorded, SnapshotsAndPageDumpsAreWrittenBackByteForByte) {
  const std::string text = text_of(GetParam());
  LogParser parser;
  std::size_t blocks = 0;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    if (!parser.inside_block())
      begin = at;
    const Expected<std::optional<LogItem>> item = parser.feed(std::string_view{text}.substr(at, end - at));
    ASSERT_TRUE(item) << item.error().text();
    at = end + 1;
    if (!*item)
      continue;
    std::string written;
    if (const auto* snapshot = std::get_if<Snapshot>(&**item))
      write(*snapshot, written);
    else if (const auto* dump = std::get_if<PageDump>(&**item))
      write(*dump, written);
    else
      continue;
    ++blocks;
    ASSERT_TRUE(written == std::string_view{text}.substr(begin, at - begin)) << "the block that ends at byte " << at;
  }
  EXPECT_TRUE(parser.finish());
  EXPECT_GT(blocks, 0U);
}

// Counters, lists and pageblocks come from different lines: that they agree says that each was read as what it is.
TEST_P(RecordedByAKernel, TheFreePagesCounterIsWhatTheListsHold) {
  for (const Snapshot& snapshot : items_of<Snapshot>(read_log(text_of(GetParam())))) {
    for (const SnapshotZone& zone : snapshot.zones) {
      std::int64_t counted = zone.vm_stat[0];
      for (const SnapshotZoneCpu& cpu : zone.cpus)
        counted += cpu.vm_stat_diff[0];
      std::int64_t listed = 0;
      for (unsigned order = 0; order < kOrders; ++order) {
        for (unsigned type = 0; type < raw(Migratetype::Isolate); ++type)
          listed += static_cast<std::int64_t>(zone.free_areas[order].lists[type].size()) << order;
      }
      std::int64_t in_pageblocks = 0;
      for (const SnapshotPageblock& block : zone.pageblocks)
        in_pageblocks += block.buddy_pages;
      EXPECT_EQ(counted, listed) << snapshot.label << ", " << zone.name();
      EXPECT_EQ(in_pageblocks, listed) << snapshot.label << ", " << zone.name();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(MadeByHand, Recorded, testing::Values(kEveryLine));
INSTANTIATE_TEST_SUITE_P(Files, Recorded, testing::ValuesIn(kRecordings));
INSTANTIATE_TEST_SUITE_P(Files, RecordedByAKernel, testing::ValuesIn(kRecordings));

TEST(Snapshot, ReadsWhatEachGenerationRecords) {
  const Snapshot v510 = snapshot_of("snapshot/linux-5.10-uma.log.zst");
  EXPECT_FALSE(v510.zones[0].promo);
  EXPECT_FALSE(v510.zones[0].pageset_batch);
  EXPECT_FALSE(v510.zones[0].cpus[0].free_factor);
  const Snapshot v61 = snapshot_of("snapshot/linux-6.1-uma.log.zst");
  EXPECT_FALSE(v61.release());
  EXPECT_TRUE(v61.zones[0].pageset_high);
  EXPECT_TRUE(v61.zones[0].cpus[0].free_factor);
  const Snapshot v612 = snapshot_of("snapshot/linux-6.12-numa20.log.zst");
  EXPECT_TRUE(v612.zones[0].free_highatomic);
  EXPECT_FALSE(v612.zones[0].cma);
  EXPECT_TRUE(v612.zones[0].cpus[1].alloc_factor);
  const Snapshot v72 = snapshot_of("snapshot/linux-7.2-numa20.log.zst");
  EXPECT_TRUE(v72.numbering().has_cma());
  EXPECT_EQ(v72.nodes[1].kswapd_waiting, 0);
  EXPECT_EQ(v72.zones[3].node, NodeId{1});
  for (const Snapshot* snapshot : {&v510, &v61, &v612, &v72})
    EXPECT_TRUE(snapshot->doubts.empty());
}

struct Damage {
  const char* from;
  const char* to;
  const char* told;
};

// One change to a good snapshot, and what the reader must say about it.
TEST(SnapshotParser, RefusesWhatIsDamagedAndSaysWhere) {
  const std::string good = text_of(kEveryLine);
  const Damage cases[] = {
      {"SNAP every-line-before ", "SNAP ", "log:4: SNAP without a label"},
      {"every-line-before cpu=0 clock", "every-line-before cpu clock", "\"cpu\" behind its label"},
      {"max_order=11", "max_order=12", "log:4: the SNAP line does not say max_order=11; mmbox knows"},
      {"pageblock_order=9", "pageblock_order=10", "pageblock_order=9"},
      {"migrate_types=6", "migrate_types=7", "migrate_types=5 or 6"},
      {"max_nr_zones=5", "max_nr_zones=x", "max_nr_zones="},
      {"zone_stat_items=3", "zone_stat_item=3", "zone_stat_items="},
      {"zone_stat_items=3", "zone_stat_items=4", "the ZS line has not as many numbers"},
      {"SYM min_free_kbytes 2746", "SYM min_free_kbytes", "SYM line"},
      {"2:node1:mem0", "2:node1", "CPU:nodeN:memN"},
      {"CPUS 0:node0:mem0 2", "CPUS 3:node0:mem0 2", "do not ascend"},
      {"NODE 1", "NODE 0", "node 0 comes twice"},
      {"present=2047 total", "total", "NODE line: \"present\" is missing"},
      {"present=2047 total", "present=-1 total", "\"present=-1\" is not a number in its range"},
      {"present=2047 total", "present=2047 present=2047 total", "stands twice"},
      {"start_pfn=0x1 spanned=3071", "start_pfn=1 spanned=3071", "\"start_pfn=1\" is not a number"},
      {"NK kswapd", "NX kswapd", "a line that begins with \"NX\""},
      {"ND distance 0:10 1:20", "ND distance 0:10 1", "NODE:DISTANCE"},
      {"NS vm_stat 66 531 -18", "NS vm_stat 66 5e31 -18", "\"5e31\" is not a number"},
      {"ZL node=0 list=0", "ZL node=1 list=0", "expected node=0"},
      {"0/Normal(2)", "0/Narmal(2)", "NODE/ZONE(INDEX)"},
      {"0/Normal(2)", "1/Normal(2)", "names node 1's zone Normal, which is not there"},
      {"0/Normal(2)", "0/DMA32(2)", "names node 0's zone DMA32, which is not there"},
      {"ZL node=0 list=1", "ZL node=0 list=0", "comes twice"},
      {"ZONE node=0 idx=0", "ZONE node=2 idx=0", "no such node"},
      {"ZONE node=0 idx=0", "ZONE node=0 idx=7", "not below max_nr_zones"},
      {"ZONE node=0 idx=2 name=Normal", "ZONE node=0 idx=0 name=DMA", "Node 0, zone DMA comes twice"},
      {"managed=1000", "managed=1024", "managed ≤ present ≤ spanned"},
      {"managed=1000", "managed=18446744073709551615", "not a number in its range"},
      {"name=DMA", "name=DNA", "not a zone that mmbox knows"},
      {"ZW min=2", "ZW mim=2", "\"min\" is missing"},
      {"ZR lowmem_reserve 0 198", "ZR lowmem_reserve 198", "one number for each zone type"},
      {"blockskip_flush=0", "blockskip_flush=2", "not a number in its range"},
      {"ZSD cpu=0 threshold=2 diff 0 0 -1", "ZSD cpu=1 threshold=2 diff 0 0 -1", "is not of CPU 0"},
      {"threshold=2", "thresh=2", "no threshold="},
      {"diff 0 0 -1", "diff 0 -1", "the ZSD line has not as many numbers"},
      {"PCP cpu=0", "PCP cpu=2", "is not of the CPU"},
      {"pindex=1 order=0", "pindex=1 order=1", "are not those of its pindex"},
      {"pindex=1 ", "pindex=14 ", "are not those of its pindex"},
      {"40f:3 40e", "40f:6 40e", "\"40f:6\" is not a pfn"},
      {"40f:3 40e", "4oe", "\"4oe\" is not a pfn"},
      {"PL cpu=0 pindex=12 order=9 mt=0 : 600", "PL cpu=0 pindex=1 order=0 mt=1 : 43f", "pindex=1 comes twice"},
      {"pindex=12 order=9 mt=0 : 600", "pindex=12 order=9 mt=0 : 601", "is not aligned to its order"},
      {": 408 404 40a", ": 408 404 40a c00", "pfn c00 on a free list of order 0 lies outside of the zone"},
      {": 408 404 40a", ": 408 404", "has 2 blocks, but FLN says n=3"},
      {": 408 404 40a", ": 408 404 404", "pfn 404 is free twice"},
      {": 408 404 40a", ": 408 404 412", "pfn 412 is free twice"},
      {": 408 404 40a", ": 408 404 410", "pfn 410 is free twice"},  // also on a per-cpu list
      {": 408 404 40a", ": 408 404 3ff", "pfn 3ff on a free list of order 0 lies outside of the zone"},
      {": 408 404 40a", ": 408 404 800", "pfn 800 is on a list, but there is a hole"},
      {": 408 404 40a", ": 408  40a", "\"\" is not a pfn"},
      {"FLN order=0 mt=1 n=3 bad=0", "FLN order=0 mt=1 n=3 bad=1", "1 entries of the free list of order 0"},
      {"FLN order=0 mt=1 n=3 bad=0", "FLN order=0 mt=2 n=3 bad=0", "not of the FL line before it"},
      {"FL order=1 mt=0", "FL order=1 mt=2", "not of the FL line"},
      {"FL order=1 mt=0", "FL order=2 mt=0", "order 2, mt 0 comes twice or out of order"},
      {"FL order=1 mt=2", "FL order=1 mt=0", "order 1, mt 0 comes twice"},
      {"FL order=1 mt=2", "FL order=1 mt=6", "order 1, mt 6 comes twice or out of order"},
      {"FLN order=0 mt=1 n=3 bad=0\n", "", "a FA line stands where none can be"},
      {"FA order=0 nr_free=3", "FA order=0 nr_free=4", "nr_free=4, but 3 blocks are listed"},
      {"FA order=0 nr_free=3\n", "", "order 1, mt 0 comes twice or out of order"},
      {"FA order=10 nr_free=0\n", "", "a comment stands where"},
      {"PB 0x200 4", "PB 0x400 4", "Node 0, zone DMA: PB line of \"0x400\" where 0x200 is expected"},
      {"PB 0x200 4 0 512", "PB 0x200 6 0 512", "PB line"},
      {"PB 0x200 4 0 512", "PB 0x200 4 2 512", "PB line"},
      {"PB 0x200 4 0 512 0 0 0", "PB 0x200 4 0 512 0 0", "six numbers"},
      {"PB 0xa00 1 0 0 0 512 0\n", "", "its PB lines end before the zone does"},
      {"PB 0xa00 1 0 0 0 512 0\n", "PB 0xa00 1 0 0 0 512 0\nPB 0xc00 hole\n", "\"0xc00\" where 0xc00 is expected"},
      {"ENDSNAP every-line-before free_one_missed=0\n", "", "a line that begins with \"PAGES\" inside snapshot"},
      {"ENDSNAP every-line-before", "ENDSNAP other", "ENDSNAP \"other\" ends snapshot \"every-line-before\""},
      {"ZONE node=0 idx=2", "SNAP again\nZONE node=0 idx=2", "another SNAP begins before ENDSNAP"},
      {"ZONE node=0 idx=2", "ZW min=1\nZONE node=0 idx=2", "a ZW line stands where none can be"},
  };
  for (const Damage& damage : cases) {
    const ReadLog log = read_log(replaced(good, damage.from, damage.to));
    EXPECT_NE(log.error.find(damage.told), std::string::npos)
        << "\"" << damage.from << "\" to \"" << damage.to << "\" gives: " << log.error;
    EXPECT_EQ(items_of<Snapshot>(log).size(), 0U) << damage.from;
  }
}

TEST(SnapshotParser, AnEmptyZoneSpanOrAnEnormousOneIsRefused) {
  const std::string good = text_of(kEveryLine);
  for (const char* span : {"spanned=0 present=0 managed=0", "spanned=4503599627370495 present=0 managed=0"}) {
    const ReadLog log = read_log(replaced(good, "spanned=1023 present=1023 managed=1000", span));
    EXPECT_NE(log.error.find("its span is empty or not of this world"), std::string::npos) << log.error;
  }
}

}  // namespace
}  // namespace mmbox::lab
