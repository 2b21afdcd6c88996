#include "mmbox/lab/trace/text_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "mmbox/lab/trace/trace_test_util.h"

namespace mmbox::lab {
namespace {

// The one record of a text.
TraceRecord one(const ReadTrace& trace) {
  EXPECT_EQ(trace.error, "");
  EXPECT_EQ(trace.records.size(), 1U);
  return trace.records.empty() ? TraceRecord{} : trace.records[0];
}

constexpr std::string_view kArgs =
    "page=0x1 pfn=0x101dea order=1 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO";

TEST(TextReader, EveryFormOfALineTellsTheSame) {
  struct Form {
    const char* head;
    const char* comm;
    std::uint64_t time;
  };
  for (const Form& form : {
           // trace-cmd report, with microseconds, nanoseconds (-t) and a count
           Form{"            init-1     [001]    29.398232: mm_page_alloc:        ", "init", 29398232000},
           Form{"            init-1     [001]    29.398232549: mm_page_alloc:        ", "init", 29398232549},
           Form{"            init-1     [001]           7: mm_page_alloc:        ", "init", 7},
           // tracefs, old and new flags, with thread group
           Form{"            init-1     [001] d..2    29.398232: mm_page_alloc: ", "init", 29398232000},
           Form{"            init-1     [001] d..2.   29.398232: mm_page_alloc: ", "init", 29398232000},
           Form{"            init-1     (      1) [001] .....    29.398232: mm_page_alloc: ", "init", 29398232000},
           Form{"            init-1     (-------) [001] .....    29.398232: mm_page_alloc: ", "init", 29398232000},
           // perf script, with pid, and with pid and tid
           Form{"init     1 [001]    29.398232: kmem:mm_page_alloc: ", "init", 29398232000},
           Form{"init     77/1 [001]    29.398232: kmem:mm_page_alloc: ", "init", 29398232000},
           // names with blanks, dashes, digits and brackets
           Form{"Web Content     1 [001]    29.398232: kmem:mm_page_alloc: ", "Web Content", 29398232000},
           Form{"   kworker/1:2-ev-1     [001]    29.398232: mm_page_alloc: ", "kworker/1:2-ev", 29398232000},
           Form{"       a [0] b-1     [001]    29.398232: mm_page_alloc: ", "a [0] b", 29398232000},
           Form{"          <idle>-1     [001] 29.398232: mm_page_alloc: ", "<idle>", 29398232000},
       }) {
    const TraceRecord record = one(read_bytes(std::string{form.head}.append(kArgs).append("\n")));
    EXPECT_EQ(record.comm.view(), form.comm) << form.head;
    EXPECT_EQ(record.pid, 1) << form.head;
    EXPECT_EQ(record.cpu, CpuId{1}) << form.head;
    EXPECT_EQ(record.timestamp, form.time) << form.head;
    ASSERT_TRUE(std::holds_alternative<MmPageAlloc>(record.event)) << form.head;
    const auto& alloc = std::get<MmPageAlloc>(record.event);
    EXPECT_EQ(alloc.pfn, Pfn{0x101dea});
    EXPECT_EQ(alloc.order, Order{1});
    EXPECT_EQ(alloc.migratetype, Migratetype::Movable);
    EXPECT_EQ(alloc.gfp, Gfp{0x140dca});
  }
}

// Reads the arguments of one event behind a plain head.
TraceRecord event(const std::string& text, const TraceOptions& options = {}) {
  return one(read_bytes("a-1 [000] 5: " + text + "\n", options));
}

TEST(TextReader, OldKernelsPrintPfnsInDecimal) {
  EXPECT_EQ(std::get<MmPageFree>(event("mm_page_free: page=0xffffea0004077a80 pfn=1056234 order=0").event).pfn,
            Pfn{1056234});
}

TEST(TextReader, VeryOldKernelsTellThePageOnly) {
  EXPECT_EQ(std::get<MmPageFree>(event("mm_page_free: page=ffffea0004077a80 order=0").event).pfn, Pfn{0x101dea});
  EXPECT_EQ(
      std::get<MmPageFreeBatched>(event("mm_page_free_batched: page=0xffffea0000000040 order=0 cold=1").event).pfn,
      Pfn{1});
}

TEST(TextReader, AFailedRequestHasNoPage) {
  for (const char* page :
       {"page=(nil) pfn=0x0", "page=          (null) pfn=0", "page=0 pfn=0x0", "pfn=0xffffffffffffffff", "pfn=-1"})
    EXPECT_EQ(std::get<MmPageAlloc>(
                  event(std::string{"mm_page_alloc: "} + page + " order=9 migratetype=1 gfp_flags=GFP_KERNEL").event)
                  .pfn,
              kNoPfn)
        << page;
}

TEST(TextReader, FlagsAreNamesOrNumbersInTheKernelsLayout) {
  const auto gfp = [](const std::string& text, const char* release) {
    return std::get<MmPageAlloc>(event("mm_page_alloc: pfn=0x1 order=0 migratetype=0 gfp_flags=" + text,
                                       {.gfp = gfp_layout_for_release(release)})
                                     .event)
        .gfp;
  };
  EXPECT_EQ(gfp("GFP_KERNEL", "6.1"), gfp::kKernel);
  EXPECT_EQ(gfp("0xcc0", "6.1"), gfp::kKernel);
  EXPECT_EQ(gfp("0xd0", "3.10"), gfp::kKernel);
  EXPECT_EQ(gfp("GFP_WAIT|GFP_IO|GFP_FS", "3.10"), gfp::kKernel);
  EXPECT_EQ(gfp("0x14000c0", "4.12"), gfp::kKernel);
  EXPECT_EQ(gfp("none", "6.1"), Gfp{});
  EXPECT_EQ(gfp("GFP_ATOMIC", "6.1"), gfp::kAtomicRequest);
  EXPECT_EQ(gfp("GFP_ATOMIC", "6.12"), gfp::kHigh | gfp::kKswapdReclaim);
}

TEST(TextReader, WordsStandForNumbers) {
  const auto finished = std::get<MmCompactionFinished>(
      event("mm_compaction_finished: node=0 zone=DMA32    order=-1 ret=no_suitable_page").event);
  EXPECT_EQ(finished.zone, ZoneIndex{1});
  EXPECT_EQ(finished.order, -1);
  EXPECT_EQ(finished.result, 3);
  const auto deferred = std::get<MmCompactionDeferred>(
      event("mm_compaction_deferred: node=0 zone=Normal   order=9 order_failed=9 consider=1 limit=4").event);
  EXPECT_EQ(deferred.defer_shift, 2U);
  EXPECT_EQ(deferred.considered, 1U);
  const auto range = std::get<MmCompactionIsolateFreepages>(
      event("mm_compaction_isolate_freepages: range=(0x10 ~ 0x20) nr_scanned=3 nr_taken=4").event);
  EXPECT_EQ(range.start, Pfn{0x10});
  EXPECT_EQ(range.end, Pfn{0x20});
  EXPECT_EQ(range.nr_taken, 4U);
}

TEST(TextReader, PrintEventsAreMarkers) {
  for (const char* line :
       {"print:                do_snapshot: mmo: phase two", "print: 0xffffffffc022ee60: mmo: phase two",
        "do_snapshot: mmo: phase two", "tracing_mark_write: mmo: phase two",
        "print:                 ip=do_snapshot buf=mmo: phase two"}) {
    const ReadTrace trace = read_bytes(std::string{"a-1 [000] 5: "} + line + "\n");
    ASSERT_EQ(trace.records.size(), 1U) << line << trace.error;
    ASSERT_TRUE(std::holds_alternative<Marker>(trace.records[0].event)) << line;
    EXPECT_EQ(std::get<Marker>(trace.records[0].event).text, "mmo: phase two") << line;
  }
}

TEST(TextReader, AnotherEventIsUnknownByName) {
  const ReadTrace trace = read_bytes("a 1 [000] 5.0: sched:sched_switch: prev_comm=x\n");
  ASSERT_EQ(trace.records.size(), 1U) << trace.error;
  EXPECT_EQ(std::get<Unknown>(trace.records[0].event).name, "sched_switch");
}

TEST(TextReader, ALossIsToldBeforeTheEventThatFollows) {
  const ReadTrace trace = read_bytes(
      "# tracer: nop\n\n"
      "CPU:1 [LOST 12 EVENTS]\n"
      "a-1 [001] 5: mm_page_free: pfn=0x10 order=0\n"
      "CPU:1 [EVENTS DROPPED]\n"
      "a-1 [001] 6: mm_page_free: pfn=0x11 order=0\n");
  ASSERT_EQ(trace.error, "");
  ASSERT_EQ(trace.records.size(), 4U);
  EXPECT_EQ(std::get<Lost>(trace.records[0].event).events, 12U);
  EXPECT_EQ(trace.records[0].timestamp, 5U);
  EXPECT_EQ(std::get<MmPageFree>(trace.records[1].event).pfn, Pfn{0x10});
  EXPECT_EQ(std::get<Lost>(trace.records[2].event).events, Lost::kUnknownCount);
  EXPECT_EQ(std::get<MmPageFree>(trace.records[3].event).pfn, Pfn{0x11});
}

TEST(TextReader, HeadersCommentsAndStacksAreSkipped) {
  const ReadTrace trace = read_bytes(
      "version = 7\ncpus=2\nCPU 1 is empty\n# comment\n   \n"
      "a-1 [000] 5: mm_page_free: pfn=0x10 order=0\n"
      "a-1 [000] 6: mm_page_free: pfn=0x12 order=0\n"
      " => free_unref_page\n\tffffffff812e free_unref_page ([kernel.kallsyms])\n");
  EXPECT_EQ(trace.error, "");
  EXPECT_EQ(trace.records.size(), 2U);
}

TEST(TextReader, ABadLineIsAnErrorWithItsNumber) {
  struct Bad {
    const char* line;
    const char* says;
  };
  for (const Bad& bad : {
           Bad{"garbage", "no cpu in brackets"},
           Bad{"a-1 [000]", "no cpu in brackets"},
           Bad{"a-1 [99999] 5: mm_page_free: pfn=0x1 order=0", "the cpu is out of range"},
           Bad{"a [000] 5: mm_page_free: pfn=0x1 order=0", "no task and pid"},
           Bad{"a-99999999999 [000] 5: mm_page_free: pfn=0x1 order=0", "no task and pid"},
           Bad{"a-1 [000] mm_page_free: pfn=0x1 order=0", "no time"},
           Bad{"a-1 [000] 5.1234567890: mm_page_free: pfn=0x1 order=0", "no time"},
           Bad{"a-1 [000] 99999999999999999999: mm_page_free: pfn=0x1 order=0", "no time"},
           Bad{"a-1 [000] 18446744073709551615.0: mm_page_free: pfn=0x1 order=0", "no time"},
           Bad{"a-1 [000] 5: ", "no event"},
           Bad{"a-1 [000] 5: mm_page_free", "no event"},
           Bad{"a-1 [000] 5: mm_page_free: pfn=0x1", "order is missing"},
           Bad{"a-1 [000] 5: mm_page_free: order=1", "pfn is missing"},
           Bad{"a-1 [000] 5: mm_page_free: pfn=0x1 order=11", "order cannot be '11'"},
           Bad{"a-1 [000] 5: mm_page_free: pfn=0x1 order=-1", "order cannot be '-1'"},
           Bad{"a-1 [000] 5: mm_page_free: pfn=zz order=1", "pfn cannot be 'zz'"},
           Bad{"a-1 [000] 5: mm_page_free: pfn=0x11111111111111111 order=1", "pfn cannot be"},
           Bad{"a-1 [000] 5: mm_page_free: pfn= order=1", "pfn cannot be ''"},
           Bad{"a-1 [000] 5: mm_vmscan_kswapd_sleep: nid=5000", "nid cannot be '5000'"},
           Bad{"a-1 [000] 5: mm_compaction_suitable: node=0 zone=Normol order=1 ret=success",
               "zone cannot be 'Normol'"},
           Bad{"a-1 [000] 5: mm_compaction_deferred: node=0 zone=DMA order=9 order_failed=9 consider=1 limit=3",
               "limit cannot be '3'"},
           Bad{"a-1 [000] 5: steal: zone=0x1 page=0x1000 aflags=0x1 start=1 whole=1", "page cannot be '0x1000'"},
           Bad{"CPU:1 [LOST many EVENTS]", "no cpu in brackets"},
       }) {
    const ReadTrace trace = read_bytes(std::string{"a-1 [000] 4: mm_page_free: pfn=0x10 order=0\n"} + bad.line + "\n");
    EXPECT_EQ(trace.records.size(), 1U) << bad.line;
    EXPECT_TRUE(trace.error.starts_with("memory:2: ")) << trace.error;
    EXPECT_NE(trace.error.find(bad.says), std::string::npos) << bad.line << "\n" << trace.error;
  }
}

TEST(TextReader, ALastLineWithoutItsEndIsCutOff) {
  EXPECT_EQ(read_bytes("a-1 [000] 4: mm_page_free: pfn=0x10 order=1").error,
            "memory:1: the last line has no end; the text was cut off: print or copy it again");
  EXPECT_NE(read_bytes("# time_ns cpu pid event fields\n1 0 1 mm_page_free pfn=10 order=1").error, "");
}

TEST(RecordingText, ShortNamesAreWhatTheHeaderSays) {
  const ReadTrace trace = read_bytes(
      "# time_ns cpu pid event fields\n"
      "# X = mm_page_alloc_zone_locked: order pfn percpu_refill migratetype\n"
      "5 0 7 X 3 10ff 1 2\n"
      "6 1 7 # mmo: snapshot-begin a\n"
      "7 1 7 steal zone=0xffff8881 page=10ec00 aflags=901 start=2 whole=1\n"
      "8 1 7 compaction_alloc_ret page=0\n");
  ASSERT_EQ(trace.error, "");
  ASSERT_EQ(trace.records.size(), 4U);
  const auto& locked = std::get<MmPageAllocZoneLocked>(trace.records[0].event);
  EXPECT_EQ(locked.pfn, Pfn{0x10ff});
  EXPECT_EQ(locked.order, Order{3});
  EXPECT_EQ(locked.migratetype, Migratetype::Reclaimable);
  EXPECT_TRUE(locked.percpu_refill);
  EXPECT_EQ(std::get<Marker>(trace.records[1].event).text, "mmo: snapshot-begin a");
  EXPECT_EQ(std::get<probe::Steal>(trace.records[2].event).page, Pfn{0x10ec00});
  EXPECT_EQ(std::get<probe::Steal>(trace.records[2].event).flags, AllocFlags{0x901});
  EXPECT_EQ(std::get<probe::CompactionAllocRet>(trace.records[3].event).page, kNoPfn);
}

TEST(RecordingText, ABadLineIsAnErrorWithItsNumber) {
  for (const char* line : {"x 0 1 F 10 0", "5 x 1 F 10 0", "5 0 x F 10 0", "5 0 1", "5 0 1 mm_page_free pfn=10"}) {
    const ReadTrace trace = read_bytes(std::string{"# time_ns cpu pid event fields\n"} + line + "\n");
    EXPECT_TRUE(trace.error.starts_with("memory:2: ")) << line << trace.error;
  }
}

}  // namespace
}  // namespace mmbox::lab
