// The worked examples E1 to E8 of the specification's chapter on failure dumps, to the page; each shipped report
// against its golden file; each recorded failure against the exact state just before it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mmbox/lab/explain/check_against.h"
#include "mmbox/lab/explain/explain_testing.h"
#include "mmbox/lab/explain/print.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab::explain {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

testing::Matcher<const Remedy&> remedy_that(Certainty certainty, const std::string& words) {
  return AllOf(Field("certainty", &Remedy::certainty, certainty), Field("text", &Remedy::text, HasSubstr(words)));
}

// E1: https://lore.kernel.org/all/ead32f5b-730a-4b81-b38f-93d822f990c6@collabora.com/
TEST(Explain, E1TheComparisonIsStrictAndDmaIsShortByOnePageOfReserve) {
  const Explanation e = explain_first("026.txt");
  ASSERT_TRUE(e.request);
  EXPECT_EQ(e.request->order, 0U);
  EXPECT_EQ(e.request->highest_zone, ZoneType::Dma32);
  EXPECT_EQ(e.request->highest_index, 1U);
  EXPECT_EQ(e.request->type, Migratetype::Unmovable);
  EXPECT_TRUE(e.request->may_reclaim);
  EXPECT_FALSE(e.request->may_do_io);
  const ZoneFacts dma32 = zone_of(e, "Node 0 DMA32");
  EXPECT_EQ(dma32.free, 2010);
  EXPECT_EQ(dma32.min, 2065);
  EXPECT_EQ(dma32.check, Check::LowMemory);
  EXPECT_EQ(dma32.short_by, 56);
  EXPECT_EQ(dma32.present, 483934);
  EXPECT_EQ(dma32.reclaimable_file + dma32.reclaimable_anon, 0);
  const ZoneFacts dma = zone_of(e, "Node 0 DMA");
  EXPECT_EQ(dma.free, 1840);
  ASSERT_FALSE(dma.attempts.empty());
  EXPECT_EQ(dma.attempts.back().need, 1840);
  EXPECT_EQ(dma.check, Check::LowmemReserve);
  EXPECT_EQ(dma.short_by, 1);
  EXPECT_EQ(e.verdict.check, Check::LowMemory);
  EXPECT_EQ(e.verdict.zone, "Node 0 DMA32");
  EXPECT_EQ(e.verdict.short_by, 56);
  EXPECT_FALSE(e.request->may_oom_kill);  // DMA32 requests never kill
  EXPECT_THAT(e.notes, Contains(HasSubstr("2152625 of 2156475 free pages")));
  // 466860 managed pages of DMA32 / 257 = 1816
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Exact, "257 for DMA")));
}

// E2: https://lore.kernel.org/all/96481a45-3547-4d23-ad34-3a8f1d90c1cd@suse.cz/
TEST(Explain, E2FragmentationThatTheCallerMayNotRepair) {
  const Explanation e = explain_first("019.txt");
  ASSERT_TRUE(e.request);
  const ZoneFacts normal = zone_of(e, "Node 0 Normal");
  ASSERT_FALSE(normal.attempts.empty());
  EXPECT_EQ(normal.free, 193592);
  EXPECT_EQ(normal.attempts.back().block_pages, 15);
  EXPECT_EQ(normal.attempts.back().highatomic_pages, 512);
  EXPECT_EQ(normal.attempts.back().left, 193065);
  EXPECT_EQ(normal.min, 48482);
  EXPECT_EQ(normal.boost, 33564);
  EXPECT_EQ(normal.check, Check::Fragmented);
  EXPECT_EQ(normal.fragmentation_index, 928);
  EXPECT_EQ(normal.unusable_index, 1000);
  EXPECT_EQ(normal.low, 52211);
  EXPECT_TRUE(normal.is_compaction_suitable);
  const ZoneFacts dma32 = zone_of(e, "Node 0 DMA32");
  ASSERT_FALSE(dma32.attempts.empty());
  EXPECT_EQ(dma32.attempts.back().left, 19364);
  EXPECT_EQ(dma32.attempts.back().need, 19326);
  EXPECT_EQ(dma32.attempts.back().margin, 38);
  EXPECT_EQ(dma32.check, Check::Fragmented);
  EXPECT_EQ(dma32.fragmentation_index, 912);
  const ZoneFacts dma = zone_of(e, "Node 0 DMA");
  ASSERT_FALSE(dma.attempts.empty());
  EXPECT_EQ(dma.attempts.back().left, 2417);
  EXPECT_EQ(dma.attempts.back().need, 17 + 14665);
  EXPECT_EQ(dma.check, Check::LowmemReserve);
  EXPECT_FALSE(e.request->may_compact);
  EXPECT_FALSE(e.request->may_loop);
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Exact, "order-3 request (32 KiB) would have succeeded")));
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Likely, "with __GFP_IO")));
}

// E3: https://lore.kernel.org/all/2878cfd4-60da-9f70-d4f3-af026d833656@wanyeetech.com/
TEST(Explain, E3OnlyCmaHoldsBlocksOfTheSize) {
  const Explanation e = explain_first("020.txt");
  EXPECT_THAT(e.layout.types, ElementsAre(ZoneType::Normal, ZoneType::HighMem, ZoneType::Movable));
  const ZoneFacts normal = zone_of(e, "Normal");
  ASSERT_FALSE(normal.attempts.empty());
  EXPECT_EQ(normal.free, 8311);
  EXPECT_EQ(normal.attempts.back().block_pages + normal.attempts.back().cma_pages, 3106);
  EXPECT_EQ(normal.attempts.back().left, 5205);
  EXPECT_EQ(normal.min, 489);
  EXPECT_EQ(normal.check, Check::OnlyCma);
  EXPECT_EQ(normal.fragmentation_index, -1000);
  EXPECT_EQ(zone_of(e, "HighMem").check, Check::NotEligible);
  EXPECT_EQ(e.verdict.check, Check::OnlyCma);
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Exact, "kvmalloc()")));
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Exact, "a movable request may use CMA pages")));
}

// E4: https://lore.kernel.org/all/1632481657-68112-1-git-send-email-feng.tang@intel.com/
TEST(Explain, E4ACpusetThatHoldsOnlyMovableMemoryHasNoCandidate) {
  const Explanation e = explain_first("007.txt");
  EXPECT_EQ(e.kind, ReportKind::CpusetOom);
  ASSERT_TRUE(e.request);
  EXPECT_EQ(e.request->highest_zone, ZoneType::Normal);
  ASSERT_EQ(e.zones.size(), 1U);
  EXPECT_EQ(e.zones[0].label(), "Node 4 Movable");
  EXPECT_EQ(e.zones[0].index, 3U);
  EXPECT_EQ(e.zones[0].free, 130021408 / 4);
  EXPECT_EQ(e.zones[0].check, Check::NotEligible);
  EXPECT_EQ(e.verdict.check, Check::NotEligible);
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Likely, "a node that has Normal memory")));
}

// E5: https://lore.kernel.org/linux-mm/53AE2672.9060902@ubuntu.com/
TEST(Explain, E5ThePerOrderRuleOfOldKernelsRefusesDespiteFreeBlocks) {
  const Explanation e = explain_first("042.txt");
  const ZoneFacts dma32 = zone_of(e, "Node 0 DMA32");
  ASSERT_FALSE(dma32.attempts.empty());
  EXPECT_EQ(dma32.attempts.back().left, 30373);
  EXPECT_EQ(dma32.check, Check::HighOrderWatermark);
  EXPECT_EQ(dma32.attempts.back().loop_failed_order, 2U);
  EXPECT_EQ(dma32.attempts.back().loop_left, 673);
  EXPECT_EQ(dma32.attempts.back().loop_mark, 1730);
  EXPECT_EQ(dma32.short_by, 1058);
  const ZoneFacts normal = zone_of(e, "Node 0 Normal");
  ASSERT_FALSE(normal.attempts.empty());
  EXPECT_EQ(normal.attempts.back().left, 6313);
  EXPECT_EQ(normal.check, Check::HighOrderWatermark);
  EXPECT_EQ(normal.attempts.back().loop_failed_order, 3U);
  EXPECT_EQ(normal.attempts.back().loop_left, -61);
  EXPECT_EQ(normal.attempts.back().loop_mark, 186);
  const ZoneFacts dma = zone_of(e, "Node 0 DMA");
  EXPECT_EQ(dma.check, Check::LowmemReserve);
  EXPECT_EQ(dma.short_by, 19);
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Exact, "kernels since 4.4")));
}

// E6: https://lore.kernel.org/all/20190515202714.GF20359@hungrycats.org/
TEST(Explain, E6AHighAtomicBlockThatIsNotPrintedIsSeenByItsLetter) {
  const Explanation e = explain_first("003.txt");
  ASSERT_TRUE(e.request);
  EXPECT_FALSE(e.request->may_use_reserves);
  const ZoneFacts normal = zone_of(e, "Node 0 Normal");
  ASSERT_FALSE(normal.attempts.empty());
  EXPECT_EQ(normal.free, 10072);
  EXPECT_EQ(normal.min, 10031);
  EXPECT_EQ(normal.attempts.back().cma_pages, 13);
  EXPECT_EQ(normal.highatomic_least, 512);
  EXPECT_FALSE(normal.highatomic_is_exact);
  EXPECT_EQ(normal.attempts.back().left, 9547);
  EXPECT_EQ(normal.check, Check::HighAtomic);
  EXPECT_EQ(normal.short_by, 485);
  EXPECT_EQ(zone_of(e, "Node 0 DMA32").short_by, 85);
  EXPECT_EQ(zone_of(e, "Node 0 DMA32").check, Check::LowmemReserve);
  EXPECT_EQ(zone_of(e, "Node 0 DMA").check, Check::LowmemReserve);
  EXPECT_EQ(e.confidence, Confidence::Medium);
  EXPECT_THAT(e.notes, Contains(HasSubstr("passes by 28 pages")));
  EXPECT_THAT(e.missing, Contains(HasSubstr("high-atomic")));
}

// E7: sample of https://github.com/CarstenGrohmann/OOMAnalyser
TEST(Explain, E7ExhaustionIsJudgedAtTheHighMarkOnTwoNodes) {
  const Explanation e = explain_first("040.txt");
  EXPECT_EQ(e.kind, ReportKind::GlobalOom);
  ASSERT_TRUE(e.request);
  EXPECT_EQ(e.request->highest_zone, ZoneType::Movable);
  EXPECT_EQ(e.request->highest_index, 3U);
  const auto at = [&](const char* zone, std::size_t attempt) {
    const ZoneFacts facts = zone_of(e, zone);
    return attempt < facts.attempts.size() ? facts.attempts[attempt] : Attempt{};
  };
  EXPECT_EQ(at("Node 1 Normal", 0).check, Check::Passes);
  EXPECT_EQ(at("Node 1 Normal", 0).need, 11361);
  EXPECT_EQ(at("Node 1 Normal", 1).left, 12359);
  EXPECT_EQ(at("Node 1 Normal", 1).need, 17041);
  EXPECT_EQ(at("Node 1 Normal", 1).check, Check::LowMemory);
  EXPECT_EQ(at("Node 0 Normal", 0).short_by, 24);
  EXPECT_EQ(at("Node 0 Normal", 1).left, 9173);
  EXPECT_EQ(at("Node 0 Normal", 1).need, 13794);
  EXPECT_EQ(at("Node 0 DMA32", 0).need, 15013);
  EXPECT_EQ(at("Node 0 DMA32", 0).short_by, 82);
  EXPECT_EQ(at("Node 0 DMA32", 1).need, 15992);
  EXPECT_EQ(at("Node 0 DMA", 1).need, 15 + 15835);
  ASSERT_TRUE(e.report.largest_task);
  EXPECT_EQ(e.report.largest_task->name, "mysqld");
  EXPECT_EQ(e.report.largest_task->rss_pages, 5157063);
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Likely, "swap is full")));
}

// E8: https://lore.kernel.org/all/d2d3e617-17bf-8d43-f4a2-e4a7a2d421bd@gmail.com/
TEST(Explain, E8FragmentationInTwoZonesOfWhichOneCouldBeCompacted) {
  const Explanation e = explain_first("008.txt");
  ASSERT_TRUE(e.request);
  EXPECT_EQ(e.request->highest_index, 2U);
  const ZoneFacts dma32 = zone_of(e, "Node 0 DMA32");
  ASSERT_FALSE(dma32.attempts.empty());
  EXPECT_EQ(dma32.free, 15049);
  EXPECT_EQ(dma32.attempts.back().highatomic_pages, 512);
  EXPECT_EQ(dma32.attempts.back().cma_pages, 194);
  EXPECT_EQ(dma32.attempts.back().left, 14312);
  EXPECT_EQ(dma32.check, Check::Fragmented);
  EXPECT_EQ(dma32.fragmentation_index, 939);
  EXPECT_EQ(dma32.compaction, "too little free memory");
  const ZoneFacts dma = zone_of(e, "Node 0 DMA");
  ASSERT_FALSE(dma.attempts.empty());
  EXPECT_EQ(dma.attempts.back().left, 19493);
  EXPECT_EQ(dma.attempts.back().need, 6937);
  EXPECT_EQ(dma.fragmentation_index, 956);
  EXPECT_TRUE(dma.is_compaction_suitable);
  EXPECT_THAT(e.remedies, Contains(remedy_that(Certainty::Exact, "kvmalloc()")));
}

TEST(Explain, KindsAreToldApart) {
  const std::map<std::string, ReportKind> kinds{
      {"001.txt", ReportKind::AllocationFailure}, {"005.txt", ReportKind::PageFaultOom},
      {"006.txt", ReportKind::PageFaultOom},      {"007.txt", ReportKind::CpusetOom},
      {"017.txt", ReportKind::GlobalOom},         {"037.txt", ReportKind::VmallocFailure},
      {"041.txt", ReportKind::Snapshot},          {"047.txt", ReportKind::VmallocFailure},
      {"048.txt", ReportKind::Snapshot}};
  for (const auto& [name, kind] : kinds)
    EXPECT_EQ(explain_first(name).kind, kind) << name;
}

TEST(Explain, MemcgCmaStallAndMempolicyAreToldApart) {
  const auto kind = [](std::string_view log) {
    const std::vector<Explanation> all = explain_all(log);
    return all.size() == 1 ? all[0].kind : ReportKind::Headless;
  };
  EXPECT_EQ(kind("a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
                 "memory: usage 1024kB, limit 1024kB, failcnt 24\n"
                 "Memory cgroup stats for /x:\n"
                 "Memory cgroup out of memory: Killed process 7 (a) total-vm:4kB, anon-rss:0kB\n"),
            ReportKind::MemcgOom);
  EXPECT_EQ(kind("Memory cgroup out of memory: Killed process 7 (a) total-vm:4kB, anon-rss:0kB\n"),
            ReportKind::MemcgOom);
  EXPECT_EQ(kind("cma: cma_alloc: linux,cma: alloc failed, req-size: 256 pages, ret: -12\n"
                 "cma: number of available pages: 3@125+20@172=> 23 free of 4096 total pages\n"),
            ReportKind::CmaFailure);
  EXPECT_EQ(kind("a: page allocation stalls for 10024ms, order:0, mode:0x14200ca(GFP_HIGHUSER_MOVABLE), "
                 "nodemask=(null)\n"),
            ReportKind::AllocationStall);
  EXPECT_EQ(kind("a: vmalloc error: size 4096, failed to allocate pages, mode:0xcc0(GFP_KERNEL), nodemask=(null)\n"),
            ReportKind::VmallocFailure);
  EXPECT_EQ(kind("a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
                 "oom-kill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=1,cpuset=/,mems_allowed=0-1,global_oom\n"),
            ReportKind::MempolicyOom);
}

TEST(Explain, ACmaFailureNamesAreaPagesAndReason) {
  const std::vector<Explanation> all =
      explain_all("[    9.1] cma: cma_alloc: linux,cma: alloc failed, req-size: 256 pages, ret: -16\n");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(all[0].verdict.sentence, AllOf(HasSubstr("linux,cma"), HasSubstr("256"), HasSubstr("EBUSY")));
  EXPECT_EQ(all[0].verdict.check, Check::None);
}

TEST(Explain, ARefusalThatTheStateContradictsIsCalledARace) {
  const Explanation e = explain_first("014.txt");
  EXPECT_EQ(e.verdict.check, Check::Passes);
  EXPECT_EQ(e.confidence, Confidence::Low);
  EXPECT_THAT(e.verdict.sentence, HasSubstr("race"));
  ASSERT_TRUE(e.request);
  EXPECT_TRUE(e.request->no_watermarks);  // kswapd
}

TEST(Explain, ABoostThatIsNotPrintedIsFoundInTheMarks) {
  // 5.9: min 1726, low 1901; without a boost min is at most 4 * 175 + 3 = 703.
  const Explanation e = explain_first("032.txt");
  const ZoneFacts normal = zone_of(e, "Normal");
  EXPECT_TRUE(normal.boost_is_inferred);
  EXPECT_EQ(normal.boost, 1023);
  EXPECT_EQ(normal.check, Check::Boost);
  EXPECT_EQ(normal.short_by, 5);
  ASSERT_FALSE(normal.attempts.empty());
  EXPECT_THAT(normal.attempts.back().also, ElementsAre(Check::Cma));
}

TEST(Explain, WithoutARequestNothingIsClaimed) {
  const std::vector<Explanation> all = explain_all(report_text("003.txt"));
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].kind, ReportKind::Headless);
  EXPECT_EQ(all[1].verdict.check, Check::CannotTell);
  EXPECT_EQ(all[1].confidence, Confidence::None);
  EXPECT_TRUE(all[1].remedies.empty());
  EXPECT_EQ(all[1].zones.size(), 3U);
}

TEST(Explain, PagesOf64KiBAreCountedAsSuch) {
  const std::vector<Explanation> all = explain_all(
      "[1.0] a: page allocation failure: order:3, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=/,mems_allowed=0\n"
      "[1.0] CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\n"
      "[1.0] Mem-Info:\n"
      "[1.0]  free:1000 free_pcp:0 free_cma:0\n"
      "[1.0] Node 0 Normal free:64000kB boost:0kB min:32000kB low:40000kB high:48000kB reserved_highatomic:0KB "
      "present:9999kB managed:9999kB free_pcp:0kB local_pcp:0kB free_cma:0kB\n"
      "[1.0] lowmem_reserve[]: 0 0 0\n"
      "[1.0] Node 0 Normal: 1000*64kB (UME) 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB 0*8192kB 0*16384kB "
      "0*32768kB 0*65536kB 0*131072kB 0*262144kB 0*524288kB = 64000kB\n");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].page_bytes, 65536U);
  ASSERT_EQ(all[0].zones.size(), 1U);
  EXPECT_EQ(all[0].zones[0].free, 1000);
  EXPECT_EQ(all[0].zones[0].min, 500);
  EXPECT_EQ(all[0].verdict.check, Check::Fragmented);
  EXPECT_EQ(all[0].request->bytes, 524288U);
}

/// The golden files are what the command prints; docs/explain.md has the line that writes them anew.
TEST(Explain, EveryShippedReportIsExplainedAsItsGoldenFileSays) {
  unsigned files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string{MMBOX_TEST_DATA} + "/reports")) {
    if (entry.path().extension() != ".txt")
      continue;
    ++files;
    const std::string name = entry.path().filename().string();
    std::string text;
    unsigned long long number = 0;
    for (const Explanation& e : explain_all(report_text(name))) {
      ++number;
      if (number > 1)
        text += '\n';
      text += to_text(e, number);
    }
    EXPECT_EQ(text, report_text(entry.path().stem().string() + ".golden")) << name;
  }
  EXPECT_EQ(files, 67U);
}

TEST(Explain, NoLineIsWiderThanAHundredColumns) {
  for (const auto& entry : std::filesystem::directory_iterator(std::string{MMBOX_TEST_DATA} + "/reports")) {
    if (entry.path().extension() != ".golden")
      continue;
    std::ifstream file(entry.path());
    std::string line;
    while (std::getline(file, line)) {
      // Bytes that continue a UTF-8 character take no column.
      const auto columns = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
      EXPECT_LE(columns, 100) << entry.path().filename() << ": " << line;
    }
  }
}

/// The exact states that a recording of failures holds, in order.
std::vector<std::shared_ptr<const Snapshot>> snapshots_of(const std::string& name) {
  std::vector<std::shared_ptr<const Snapshot>> snapshots;
  auto log = LogReader::open(std::string{MMBOX_TEST_DATA} + "/reports/" + name + ".log.zst");
  while (log) {
    auto item = log->next();
    if (!item || !item->has_value())
      break;
    if (auto* snapshot = std::get_if<Snapshot>(&**item))
      snapshots.push_back(std::make_shared<const Snapshot>(std::move(*snapshot)));
  }
  return snapshots;
}

class RecordedFailures : public testing::TestWithParam<const char*> {};

// Recorded: reports of a real kernel, each with the exact state at that moment.
TEST_P(RecordedFailures, AgreeWithTheExactStateInEveryZone) {
  const std::string name = std::string{"oom-dump-"} + GetParam();
  const std::vector<Explanation> all = explain_all(report_text(name + ".dmesg.zst"));
  const std::vector<std::shared_ptr<const Snapshot>> snapshots = snapshots_of(name);
  ASSERT_FALSE(snapshots.empty());
  ASSERT_GE(all.size(), 13U);
  for (const Explanation& e : all) {
    std::shared_ptr<const Snapshot> nearest;
    std::optional<std::uint64_t> best;
    for (const auto& snapshot : snapshots) {
      const auto d = distance(e, *snapshot);
      if (d && (!best || *d <= *best)) {
        best = d;
        nearest = snapshot;
      }
    }
    ASSERT_TRUE(nearest);
    EXPECT_LE(*best, 256U) << "line " << e.report.first_line;
    const RefusalAnswer answer = check_against(e, *nearest);
    EXPECT_TRUE(answer.is_known);
    EXPECT_TRUE(answer.refuses) << "line " << e.report.first_line;
    for (const ZoneAgreement& zone : answer.zones)
      EXPECT_EQ(zone.from_state, zone.from_report) << name << ", line " << e.report.first_line << ", " << zone.zone;
    EXPECT_NE(e.verdict.check, Check::Passes) << "line " << e.report.first_line;
    EXPECT_NE(e.verdict.check, Check::CannotTell) << "line " << e.report.first_line;
  }
}
INSTANTIATE_TEST_SUITE_P(Kernels, RecordedFailures, testing::Values("5.10", "6.1", "6.12", "7.2"),
                         [](const auto& kernel) {
                           std::string name = kernel.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(Explain, NamesAreBelievedWhereNoLayoutHasTheNumberForThem) {
  const std::string head =
      "ls invoked oom-killer: gfp_mask=0x42dcc0(GFP_KERNEL|__GFP_ZERO), order=0, oom_score_adj=0\n";
  const std::string kernel = "CPU: 1 PID: 322 Comm: ls Not tainted 5.15.0-rpi #1\n";
  const std::vector<Explanation> all = explain_all(head + kernel + "Mem-Info:\n");
  ASSERT_EQ(all.size(), 1U);
  ASSERT_TRUE(all[0].request);
  EXPECT_EQ(all[0].request->gfp, gfp::kKernel | gfp::kZero);
  EXPECT_FALSE(all[0].request->no_watermarks);
  EXPECT_THAT(all[0].notes, testing::Contains(testing::HasSubstr("contradict")));
}

TEST(CheckAgainst, AStateWithoutZonesCannotBeAsked) {
  const std::vector<Explanation> all = explain_all(report_text("oom-dump-6.1.dmesg.zst"));
  ASSERT_FALSE(all.empty());
  const RefusalAnswer answer = check_against(all[0], Snapshot{});
  EXPECT_FALSE(answer.is_known);
  EXPECT_FALSE(answer.reason.empty());
}

TEST(CheckAgainst, TheEngineNamesTheFrameThatItWouldGive) {
  std::vector<Explanation> all = explain_all(report_text("oom-dump-6.1.dmesg.zst"));
  const std::vector<std::shared_ptr<const Snapshot>> snapshots = snapshots_of("oom-dump-6.1");
  // Nobody reports a failed order-0 request for movable memory in a state that has a page for it.
  Explanation& e = all[0];
  ASSERT_TRUE(e.request);
  e.request->order = 0;
  e.request->gfp = gfp::kKernel | gfp::kMemalloc;
  const RefusalAnswer answer = check_against(e, *snapshots.front());
  ASSERT_TRUE(answer.is_known) << answer.reason;
  EXPECT_FALSE(answer.refuses);
  ASSERT_TRUE(answer.served);
  EXPECT_EQ(answer.engine, "linux-6.1");
}

TEST(Print, JsonHasTheDocumentedMembersInTheirOrder) {
  const std::string json = to_json(explain_first("019.txt"), "a.txt");
  std::size_t at = 0;
  for (const char* member : {"\"file\"", "\"kind\"", "\"line\"", "\"request\"", "\"verdict\"", "\"short_by_pages\"",
                             "\"remedies\"", "\"certainty\"", "\"zones\"", "\"confidence\"", "\"missing\""}) {
    const std::size_t found = json.find(member, at);
    ASSERT_NE(found, std::string::npos) << member;
    at = found;
  }
}

TEST(Print, ControlCharactersOfALogDoNotReachTheTerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\x07"), "a\\x1b[31mb\\x07");
}

}  // namespace
}  // namespace mmbox::lab::explain
