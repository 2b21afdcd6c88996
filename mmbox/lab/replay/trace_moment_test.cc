// The population that a recorded trace's flags give, page by page beside the page dump of the same moment.
#include "mmbox/lab/replay/trace_moment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "mmbox/lab/population/outlook.h"
#include "mmbox/lab/snapshot/script_log.h"
#include "mmbox/lab/trace/trace_test_util.h"

namespace mmbox::lab {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

const std::string kWorkload = MMBOX_SOURCE_DIR "/examples/recordings/workload";

TraceMoment moment(const std::string& at) {
  return {.trace = kWorkload + ".mmbox", .log = kWorkload + ".log.zst", .label = "workload-before", .at = at};
}

/// Pages by what the dump shows and what the trace made of them; free ones and those on per-cpu lists left out.
struct Confusion {
  using Table = std::map<std::pair<PageKind, PageUse>, std::uint64_t>;
  Table since;   ///< allocated in the trace
  Table before;  ///< in use before it
  [[nodiscard]] static std::uint64_t sum(const Table& table) {
    std::uint64_t pages = 0;
    for (const auto& [kinds, count] : table)
      pages += count;
    return pages;
  }
};

Confusion confusion(const PopulatedMachine& machine, const PageDump& dump) {
  Confusion confusion;
  const MemMap& map = machine.image.machine().view().env.map;
  for (const PageDumpZone& zone : dump.zones) {
    PageKind head = PageKind::Tail;
    Pfn free_end;
    Pfn block_end;
    const PopulationPage* block = nullptr;
    for (const PageRun& run : zone.runs) {
      if (run.kind != PageKind::Tail)
        head = run.kind;
      for (Pfn pfn = run.start; pfn < run.end() && run.kind != PageKind::Outside; pfn = pfn + PageCount{1}) {
        const FrameState state = map.state(map.index(pfn));
        if (state.kind() == FrameState::Kind::Buddy || state.kind() == FrameState::Kind::Pcp)
          free_end = pfn + PageCount::in(Order{state.order()});
        if (pfn < free_end)
          continue;
        if (pfn >= block_end) {
          block = &machine.pages.page(pfn);
          block_end = pfn + PageCount::in(Order{block->order});
        }
        const bool is_first =
            block->owner != kNoOwner && machine.pages.owner(block->owner).name == "in use before the trace";
        ++(is_first ? confusion.before : confusion.since)[{head, block->use}];
      }
    }
  }
  return confusion;
}

/// A log without its page dump of the start.
std::string log_without_pages() {
  std::string text;
  std::string all = slurp(kWorkload + ".log.zst");
  const std::size_t begin = all.find("\nPAGES workload-before") + 1;
  const std::string end = "ENDPAGES workload-before\n";
  all.erase(begin, all.find(end, begin) + end.size() - begin);
  const std::string path = testing::TempDir() + "/trace_moment_without_pages.log";
  std::ofstream{path, std::ios::binary} << all;
  return path;
}

TEST(TraceMoment, FlagsTellWhatTheDumpShows) {
  const auto dump = load_page_dump(kWorkload + ".log.zst", "workload-cachefull");
  ASSERT_TRUE(dump) << dump.error().text();
  const auto machine = populated_machine(moment("workload-cachefull"));
  ASSERT_TRUE(machine) << machine.error().text();
  EXPECT_EQ(machine->name(), kWorkload + ".mmbox at workload-cachefull");
  const Confusion found = confusion(*machine, *dump);
  // 6 pages copied on write look like shared memory; all others are what they are.
  const Confusion::Table since{{{PageKind::File, PageUse::File}, 88'459},
                               {{PageKind::Slab, PageUse::Slab}, 1'931},
                               {{PageKind::Other, PageUse::Kernel}, 520},
                               {{PageKind::Anonymous, PageUse::File}, 6}};
  EXPECT_EQ(found.since, since);
  const Confusion::Table before{{{PageKind::File, PageUse::File}, 639},
                                {{PageKind::Anonymous, PageUse::Anonymous}, 15},
                                {{PageKind::Slab, PageUse::Slab}, 4'234},
                                {{PageKind::Reserved, PageUse::Reserved}, 11'420},
                                {{PageKind::Other, PageUse::Kernel}, 46'028}};
  EXPECT_EQ(found.before, before);
}

TEST(TraceMoment, WithoutAPageDumpWhatWasThereIsGuessed) {
  const auto dump = load_page_dump(kWorkload + ".log.zst", "workload-cachefull");
  ASSERT_TRUE(dump);
  TraceMoment where = moment("workload-cachefull");
  where.log = log_without_pages();
  const auto machine = populated_machine(where);
  std::remove(where.log.c_str());
  ASSERT_TRUE(machine) << machine.error().text();
  const Confusion found = confusion(*machine, *dump);
  EXPECT_EQ(found.since.at({PageKind::File, PageUse::File}), 88'459u) << "what the trace tells is the same";
  std::uint64_t agreed = 0;
  std::uint64_t stays_or_moves = 0;
  for (const auto& [kinds, count] : found.before) {
    const auto& [is, guessed] = kinds;
    const bool moves = is == PageKind::File || is == PageKind::Anonymous;
    agreed += (is == PageKind::Reserved && guessed == PageUse::Reserved) ||
                      (is == PageKind::Slab && guessed == PageUse::Slab) ||
                      (is == PageKind::Other && guessed == PageUse::Kernel) ||
                      (is == PageKind::File && guessed == PageUse::File) ||
                      (is == PageKind::Anonymous && guessed == PageUse::Anonymous)
                  ? count
                  : 0;
    stays_or_moves += moves == (guessed == PageUse::File || guessed == PageUse::Anonymous) ? count : 0;
  }
  const auto all = static_cast<double>(Confusion::sum(found.before));
  EXPECT_GE(static_cast<double>(agreed), 0.95 * all);
  EXPECT_GE(static_cast<double>(stays_or_moves), 0.99 * all);
  EXPECT_THAT(machine->lacks, Contains(HasSubstr("the log has no page dump of workload-before")));
}

TEST(TraceMoment, CompactionDoesAsFromThePageDumpOfThatMoment) {
  const auto told = load_moment(kWorkload + ".log.zst", "workload-cachefull");
  ASSERT_TRUE(told);
  const CompactionOutlook from_dump = compaction_outlook(*populated_machine(*told));
  const CompactionOutlook from_trace = compaction_outlook(*populated_machine(moment("workload-cachefull")));
  EXPECT_EQ(from_trace.moved_pages, from_dump.moved_pages);
  ASSERT_EQ(from_trace.zones.size(), from_dump.zones.size());
  for (std::size_t i = 0; i < from_dump.zones.size(); ++i)
    EXPECT_EQ(from_trace.zones[i].after, from_dump.zones[i].after) << from_dump.zones[i].name;
}

TEST(TraceMoment, ThoseInTheWayAreTasks) {
  const auto machine = populated_machine(moment(""));
  ASSERT_TRUE(machine) << machine.error().text();
  EXPECT_EQ(machine->label, "its end");
  const RequestOutlook outlook = request_outlook(*machine, Order{9}, gfp::kHighUserMovable, 1, 1);
  ASSERT_FALSE(outlook.holders.empty());
  EXPECT_EQ(outlook.holders.front().owner, "in use before the trace");
  std::uint64_t pages = 0;
  for (const RequestOutlook::Holder& holder : outlook.holders) {
    pages += holder.pages;
    EXPECT_LE(holder.runs_alone, holder.runs);
    EXPECT_LE(holder.runs, outlook.blocked_runs);
  }
  std::uint64_t obstacles = 0;
  for (const auto& [use, count] : outlook.obstacles)
    obstacles += count;
  EXPECT_EQ(pages, obstacles);
  EXPECT_THAT(outlook.holders, Contains(AllOf(testing::Field(&RequestOutlook::Holder::owner, "cp:128"),
                                              testing::Field(&RequestOutlook::Holder::use, PageUse::Slab))));
}

TEST(TraceMoment, ATimeIsBeforeItsFirstEvent) {
  const auto trace = open_trace(kWorkload + ".mmbox");
  ASSERT_TRUE(trace);
  TraceRecord record;
  std::uint64_t time = 0;
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(*(*trace)->next(record));
    time = record.timestamp;
  }
  const auto machine = populated_machine(moment(std::to_string(time)));
  ASSERT_TRUE(machine) << machine.error().text();
  EXPECT_EQ(machine->label, "time " + std::to_string(time));
  const auto later = populated_machine(moment("18446744073709551615"));
  ASSERT_FALSE(later);
  EXPECT_THAT(later.error().text(), AllOf(HasSubstr("lies outside of the trace"), HasSubstr("its times go from")));
  EXPECT_FALSE(populated_machine(moment("0")));
}

TEST(TraceMoment, AMomentThatTheTraceNeverComesToIsToldWithARemedy) {
  const auto machine = populated_machine(moment("nowhere"));
  ASSERT_FALSE(machine);
  EXPECT_THAT(machine.error().text(), AllOf(HasSubstr("workload.mmbox: the trace never comes to a snapshot nowhere"),
                                            HasSubstr("`mmbox show LOG` lists the snapshots")));
}

TEST(TraceMoment, TheStartMustBeThere) {
  TraceMoment where = moment("");
  where.label = "nowhere";
  EXPECT_FALSE(populated_machine(where));
  where = moment("");
  where.log = "/no/such/log";
  EXPECT_FALSE(populated_machine(where));
  where = moment("");
  where.trace = "/no/such/trace";
  EXPECT_FALSE(populated_machine(where));
}

/// Some lines of text as a trace that begins with the recording's first snapshot.
Expected<PopulatedMachine> from_text(const std::string& name, const std::string& lines) {
  TraceMoment where = moment("");
  where.trace = testing::TempDir() + "/trace_moment_" + name + ".txt";
  std::ofstream{where.trace, std::ios::binary}
      << "a-1 [000] 5: print: do_snapshot: mmo: snapshot-begin workload-before\n"
      << lines;
  auto machine = populated_machine(where);
  std::remove(where.trace.c_str());
  return machine;
}

TEST(TraceMoment, ATraceWithoutFlagsIsRefused) {
  const auto machine =
      from_text("flags", "a-1 [000] 6: mm_page_alloc: pfn=0x10dea0 order=0 migratetype=1 gfp_flags=none\n");
  ASSERT_FALSE(machine);
  EXPECT_THAT(machine.error().text(), AllOf(HasSubstr("have no gfp_flags"), HasSubstr("with all its fields")));
}

TEST(TraceMoment, ATraceWithoutRequestsSaysSo) {
  const auto machine = from_text("requests", "a-1 [000] 6: mm_page_free: pfn=0x10dea0 order=0\n");
  ASSERT_TRUE(machine) << machine.error().text();
  EXPECT_THAT(machine->lacks, Contains(HasSubstr("no event kmem:mm_page_alloc")));
}

}  // namespace
}  // namespace mmbox::lab
