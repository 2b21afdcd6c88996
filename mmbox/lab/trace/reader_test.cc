// One recording, in every form that it can have: all readers tell the same.
#include "mmbox/lab/trace/reader.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "mmbox/lab/trace/text_args.h"
#include "mmbox/lab/trace/text_reader.h"
#include "mmbox/lab/trace/trace_test_util.h"

namespace mmbox::lab {
namespace {

struct Slice {
  const char* name;
  std::size_t records;
  const char* release;
  bool has_cma;
  const char* layout;
};
void PrintTo(const Slice& slice, std::ostream* out) {
  *out << slice.name;
}

class EverySlice : public testing::TestWithParam<Slice> {
 protected:
  [[nodiscard]] TraceOptions options() const {
    return {.gfp = gfp_layout_for_release(GetParam().release),
            .migratetypes = MigratetypeNumbering{GetParam().has_cma}};
  }
  [[nodiscard]] ReadTrace read(const char* suffix) const {
    return read_all(open_trace(trace_data(std::string{GetParam().name} + suffix), options()));
  }
};

TEST_P(EverySlice, HoldsItsEvents) {
  const ReadTrace dat = read(".v6.dat.zst");
  EXPECT_EQ(dat.error, "");
  EXPECT_EQ(dat.records.size(), GetParam().records);
  for (const TraceRecord& record : dat.records)
    ASSERT_FALSE(std::holds_alternative<Unknown>(record.event)) << print_record(record);
  EXPECT_TRUE(std::is_sorted(dat.records.begin(), dat.records.end(),
                             [](const TraceRecord& a, const TraceRecord& b) { return a.timestamp < b.timestamp; }));
}

TEST_P(EverySlice, TellsTheLayoutOfItsFlagsInItsFormats) {
  const TraceOptions options{.migratetypes = MigratetypeNumbering{GetParam().has_cma}};
  const ReadTrace dat = read_all(open_trace(trace_data(std::string{GetParam().name} + ".v7.dat.zst"), options));
  EXPECT_EQ(dat.error, "");
  EXPECT_EQ(dat.info.gfp->name(), GetParam().layout);
  EXPECT_TRUE(dat.info.release.starts_with(GetParam().release)) << dat.info.release;
  EXPECT_TRUE(dat.info.counts_time);
}

TEST_P(EverySlice, VersionSevenReadsAsVersionSix) {
  expect_same(read(".v6.dat.zst"), read(".v7.dat.zst"));
}

TEST_P(EverySlice, RawTextReadsAsTheBinary) {
  expect_same(read(".v6.dat.zst"), read(".raw.zst"));
}

TEST_P(EverySlice, RecordingTextReadsAsTheBinaryButForTaskNames) {
  expect_same(read(".v6.dat.zst"), read(".recording.zst"), /*with_comm=*/false);
}

TEST_P(EverySlice, ReportTextReadsAsTheBinaryButForKswapdsZones) {
  ReadTrace dat = read(".v6.dat.zst");
  for (TraceRecord& record : dat.records) {
    if (auto* wake = std::get_if<MmVmscanKswapdWake>(&record.event))
      wake->highest = kZoneNotTold;
    if (auto* wakeup = std::get_if<MmVmscanWakeupKswapd>(&record.event))
      wakeup->highest = kZoneNotTold;
  }
  expect_same(dat, read(".report.zst"));
}

TEST_P(EverySlice, OurOwnLinesReadBack) {
  ReadTrace dat = read(".v6.dat.zst");
  const FieldContext context{.gfp = options().gfp, .migratetypes = options().migratetypes};
  std::string text;
  for (TraceRecord& record : dat.records) {
    append_trace_line(text, record, context, TimeUnit::Count);
    if (auto* wake = std::get_if<MmVmscanKswapdWake>(&record.event))
      wake->highest = kZoneNotTold;
    if (auto* wakeup = std::get_if<MmVmscanWakeupKswapd>(&record.event))
      wakeup->highest = kZoneNotTold;
  }
  expect_same(dat, read_bytes(text, options()));
}

// trace-cmd prints the address of the symbol vmemmap_base plus the pfn where the kernel prints a page, so that only the
// rest can be compared.
std::string without_page(const std::string& args) {
  const std::size_t begin = args.find("page=");
  const std::size_t end = args.find(' ', begin);
  return begin == std::string::npos || end == std::string::npos ? args : args.substr(0, begin) + args.substr(end + 1);
}

// libtraceevent reads the expression behind "fragmenting" of 6.1 in another order than C does, and prints 10 for false.
std::string without_fragmenting(const std::string& args) {
  const std::size_t begin = args.find("fragmenting=");
  const std::size_t end = args.find(' ', begin);
  return begin == std::string::npos ? args : args.substr(0, begin) + args.substr(end + 1);
}

std::size_t compare_with_report(const std::string& slice, const TraceOptions& options) {
  const ReadTrace dat = read_all(open_trace(trace_data(slice + ".v6.dat.zst"), options));
  const std::string report = slurp(trace_data(slice + ".report.zst"));
  LineReader lines{ByteSource::from_memory(slice, report)};
  const FieldContext context{.gfp = dat.info.gfp, .migratetypes = options.migratetypes};
  std::string_view line;
  EXPECT_TRUE(*lines.next(line));  // "cpus=N"
  std::size_t compared = 0;
  for (const TraceRecord& record : dat.records) {
    EXPECT_TRUE(*lines.next(line));
    const std::string_view name = event_name(record.event.index());
    // The rest is printed with symbols of the kernel, or for people.
    const bool is_plain = name.starts_with("kmem:") || name.starts_with("compaction:") ||
                          (name.starts_with("vmscan:") && name.find("shrink_slab") == std::string_view::npos) ||
                          name == "oom:reclaim_retry_zone" || name == "oom:compact_retry" ||
                          name.starts_with("mmoracle:");
    if (!is_plain)
      continue;
    std::string ours;
    append_event(ours, record.event, context);
    const std::string head = std::string{name.substr(name.find(':') + 1)} + ":";
    const std::size_t at = line.find(head);
    EXPECT_NE(at, std::string_view::npos) << line;
    std::string theirs{line.substr(at + head.size())};
    theirs.erase(0, theirs.find_first_not_of(' '));
    EXPECT_EQ(without_fragmenting(without_page(ours)), without_fragmenting(without_page(theirs)));
    ++compared;
  }
  return compared;
}

TEST(TraceText, EqualsWhatTraceCmdPrintsByteForByte) {
  EXPECT_EQ(compare_with_report("work", {}), 1452U);
  EXPECT_GT(compare_with_report("two-cpus", {}), 800U);
}

TEST(TraceText, SaysAsTheKernelWhetherAFallbackFragments) {
  const FieldContext context{.gfp = &gfp_layout_default()};
  for (const unsigned order : {8U, 9U}) {
    std::string text;
    append_event(text,
                 MmPageAllocExtfrag{.pfn = Pfn{0x10},
                                    .alloc_order = Order{1},
                                    .fallback_order = Order{order},
                                    .alloc_migratetype = Migratetype::Unmovable,
                                    .fallback_migratetype = Migratetype::Movable,
                                    .change_ownership = false},
                 context);
    EXPECT_EQ(text, "page=0xffffea0000000400 pfn=0x10 alloc_order=1 fallback_order=" + std::to_string(order) +
                        " pageblock_order=9 alloc_migratetype=0 fallback_migratetype=1 fragmenting=" +
                        (order < 9 ? "1" : "0") + " change_ownership=0");
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, EverySlice,
                         testing::Values(Slice{"work", 1642, "6.1.0", false, "linux-5.1"},
                                         Slice{"two-cpus", 873, "6.1.0", false, "linux-5.1"},
                                         Slice{"linux-5.10", 499, "5.10.0", false, "linux-5.1"},
                                         Slice{"linux-7.2", 491, "7.2.13", true, "linux-6.13"}));

TEST(TraceReader, ReadsTheEventsAsTheyWereRecorded) {
  const ReadTrace dat = read_all(open_trace(trace_data("work.v7.dat.zst")));
  ASSERT_EQ(dat.error, "");
  std::map<std::uint64_t, const TraceRecord*> by_time;
  for (const TraceRecord& record : dat.records)
    by_time[record.timestamp] = &record;

  EXPECT_EQ(std::get<Marker>(by_time.at(4)->event).text, "mmo: snapshot-begin workload-before");
  EXPECT_EQ(by_time.at(4)->comm.view(), "migration/0");
  EXPECT_EQ(by_time.at(4)->pid, 16);

  const auto& alloc = std::get<MmPageAlloc>(by_time.at(7)->event);
  EXPECT_EQ(alloc.pfn, Pfn{0x101dea});
  EXPECT_EQ(alloc.order, Order{1});
  EXPECT_EQ(alloc.gfp, Gfp{0x400dc0});
  EXPECT_EQ(alloc.migratetype, Migratetype::Unmovable);

  const auto& steal = std::get<probe::Steal>(by_time.at(20314)->event);
  EXPECT_EQ(steal.page, Pfn{0x10ec00});
  EXPECT_EQ(steal.zone, 0xffff888117fd4c00U);
  EXPECT_EQ(steal.flags, AllocFlags{0x901});
  EXPECT_EQ(steal.start_type, Migratetype::Reclaimable);
  EXPECT_TRUE(steal.whole_block);

  const auto& captured = std::get<probe::FreeOne>(by_time.at(1858863)->event);
  EXPECT_EQ(captured.pfn, Pfn{0x10cc3a});
  EXPECT_EQ(captured.captured, Pfn{0x10cc00});

  const auto& end = std::get<MmCompactionEnd>(by_time.at(1858950)->event);
  EXPECT_EQ(end.free_pfn, Pfn{0x10f4a0});
  EXPECT_TRUE(end.sync);
  EXPECT_EQ(end.status, 8);

  // The request failed.
  EXPECT_EQ(std::get<MmPageAlloc>(by_time.at(2067680)->event).pfn, kNoPfn);
}

TEST(TraceReader, OldKernelsWithoutPercpuRefillTellItFromTheOrder) {
  const ReadTrace dat = read_all(open_trace(trace_data("linux-5.10.v6.dat.zst")));
  std::set<std::pair<unsigned, bool>> seen;
  for (const TraceRecord& record : dat.records)
    if (const auto* locked = std::get_if<MmPageAllocZoneLocked>(&record.event))
      seen.insert({locked->order.raw() == 0 ? 0U : 1U, locked->percpu_refill});
  EXPECT_EQ(seen, (std::set<std::pair<unsigned, bool>>{{0, true}, {1, false}}));
}

TEST(TraceReader, ProgressEndsAtTheTotal) {
  for (const char* name : {"work.v6.dat.zst", "work.v7.dat.zst", "work.report.zst"}) {
    auto reader = open_trace(trace_data(name));
    ASSERT_TRUE(reader);
    TraceRecord record;
    std::uint64_t last = 0;
    while (*(*reader)->next(record)) {
      EXPECT_GE((*reader)->progress().done, last);
      last = (*reader)->progress().done;
    }
    EXPECT_EQ((*reader)->progress().done, (*reader)->progress().total) << name;
  }
}

TEST(TraceReader, AMigratetypeThatTheNumberingLacksIsAnError) {
  const ReadTrace trace = read_bytes("a-1 [000] 5: mm_page_pcpu_drain: pfn=0x10 order=0 migratetype=5\n");
  EXPECT_NE(trace.error.find("migratetype cannot be '5'"), std::string::npos) << trace.error;
  const TraceOptions cma{.migratetypes = MigratetypeNumbering{true}};
  EXPECT_EQ(read_bytes("a-1 [000] 5: mm_page_pcpu_drain: pfn=0x10 order=0 migratetype=5\n", cma).error, "");
}

TEST(TraceReader, RefusesWhatIsNoTrace) {
  EXPECT_EQ(read_bytes("").error, "memory: is empty; record it again");
  EXPECT_EQ(read_bytes(std::string_view{"\x7f"
                                        "ELF\0\0",
                                        6})
                .error,
            "memory: is no trace of a known kind; give a trace.dat, or the text of 'trace-cmd report'");
}

}  // namespace
}  // namespace mmbox::lab
