#include "mmbox/lab/snapshot/script_log.h"

#include <gtest/gtest.h>

#include "mmbox/lab/snapshot/snapshot_testing.h"

namespace mmbox::lab {
namespace {

const ReadLog& every_line() {
  static const ReadLog kLog = read_log(text_of(kEveryLine));
  return kLog;
}

/// The call of operation `number`, which must be an `Op`.
template <class Op>
Op call(std::uint32_t number) {
  for (const Operation& operation : items_of<Operation>(every_line())) {
    if (operation.number != number)
      continue;
    if (const auto* op = std::get_if<Op>(&operation.call))
      return *op;
  }
  ADD_FAILURE() << "operation " << number << " is of another kind";
  return {};
}

TEST(LogReader, GivesTheItemsInOrder) {
  EXPECT_EQ(every_line().error, "");
  std::vector<std::size_t> kinds;
  for (const LogItem& item : every_line().items) {
    if (kinds.empty() || kinds.back() != item.index())
      kinds.push_back(item.index());
  }
  // FreeAll, Note, RunBegin, Snapshot, PageDump, OpsBegin, Operation, FreeCountsOp, Operation, Snapshot, Operation,
  // OpsEnd, RunEnd.
  EXPECT_EQ(kinds, (std::vector<std::size_t>{8, 9, 3, 1, 2, 4, 0, 7, 0, 1, 0, 5, 6}));
  EXPECT_EQ(items_of<FreeAll>(every_line())[0].pages, 12U);
  EXPECT_EQ(items_of<Note>(every_line())[0].text, "begin here");
}

TEST(LogReader, TellsHowARunIsMade) {
  const RunBegin run = items_of<RunBegin>(every_line())[0];
  EXPECT_EQ(run.label, "every-line");
  EXPECT_EQ(run.operations, 19U);
  EXPECT_TRUE(run.has_mode("irqoff"));
  EXPECT_TRUE(run.has_mode("zfree"));
  EXPECT_FALSE(run.has_mode("page"));
  EXPECT_FALSE(run.has_mode("sleep"));
  const OpsBegin ops = items_of<OpsBegin>(every_line())[0];
  EXPECT_EQ(ops.cpu, CpuId{2});
  EXPECT_FALSE(ops.realtime);
}

TEST(LogReader, TellsThatLinesWereLost) {
  EXPECT_EQ(items_of<RunEnd>(every_line())[0].lost, 3U);
  const Expected<LogContents> contents = list_log(test_data(kEveryLine));
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->lost, 3U);
}

TEST(LogReader, ReadsEveryKindOfOperation) {
  const auto alloc = call<AllocOp>(0);
  EXPECT_EQ(alloc.id, 5U);
  EXPECT_EQ(alloc.request, (ScriptRequest{Order{3}, 0x2a30, -1}));
  EXPECT_EQ(alloc.result, Pfn{0x418});
  const auto failed = call<AllocOp>(1);
  EXPECT_EQ(failed.request, (ScriptRequest{Order{10}, 0x2800, 1}));
  EXPECT_EQ(failed.result, std::nullopt);
  EXPECT_FALSE(call<BusyOp>(2).is_bulk);
  EXPECT_EQ(call<FreeOp>(3).block, std::nullopt);
  EXPECT_EQ(call<FreeOp>(4).block, (ScriptBlock{Pfn{0x418}, Order{3}}));
  const auto bulk = call<BulkOp>(5);
  EXPECT_EQ(bulk.id, 8U);
  EXPECT_EQ(bulk.wanted, 4U);
  EXPECT_EQ(bulk.request, (ScriptRequest{Order{0}, 0x2800, -1}));
  EXPECT_EQ(bulk.pages, (std::vector{Pfn{0x410}, Pfn{0x40f}}));
  EXPECT_TRUE(call<BusyOp>(6).is_bulk);
  EXPECT_EQ(call<FreeBulkOp>(7).pages, 2U);
  EXPECT_TRUE(call<BulkOp>(8).pages.empty());
  const auto exhaust = call<ExhaustOp>(9);
  EXPECT_EQ(exhaust.first_id, 1000U);
  EXPECT_EQ(exhaust.max, 400U);
  EXPECT_EQ(exhaust.pages, (std::vector{Pfn{0x410}, Pfn{0x40f}}));
  EXPECT_TRUE(exhaust.failed);
  EXPECT_FALSE(call<ExhaustOp>(10).failed);
  EXPECT_EQ(call<SplitOp>(12).block, (ScriptBlock{Pfn{0x418}, Order{3}}));
  EXPECT_FALSE(call<FreePiecesOp>(13).downwards);
  EXPECT_EQ(call<FreePiecesOp>(13).block, (ScriptBlock{Pfn{0x418}, Order{3}}));
  EXPECT_TRUE(call<FreePiecesOp>(15).downwards);
  EXPECT_EQ(call<FreePiecesOp>(15).block, std::nullopt);
  (void)call<DrainLocalOp>(16);
  EXPECT_TRUE(call<DrainAllOp>(17).refused);
  const auto counts = call<FreeCountsOp>(18);
  ASSERT_EQ(counts.zones.size(), 2U);
  EXPECT_EQ(counts.zones[1], (ZoneFreeCount{NodeId{0}, ZoneType::Normal, 9, -2, 519, 512, 512}));
}

TEST(LogReader, KnowsTheLineOnWhichAnItemBegins) {
  Expected<LogReader> reader = LogReader::open(test_data(kEveryLine));
  ASSERT_TRUE(reader);
  std::vector<std::uint64_t> lines;
  for (int i = 0; i < 6; ++i) {
    const auto item = reader->next();
    ASSERT_TRUE(item && *item);
    lines.push_back(reader->line());
  }
  EXPECT_EQ(lines, (std::vector<std::uint64_t>{1, 2, 3, 4, 89, 98}));
}

TEST(LogReader, ReadsTheRecordedFillThatAsksUntilARequestFails) {
  const ReadLog log = read_log(text_of("recordings/oom-dump-uma/fail-order0-atomic.log.zst"));
  EXPECT_EQ(log.error, "");
  const std::vector<Operation> operations = items_of<Operation>(log);
  ASSERT_EQ(operations.size(), 5U);  // the fifth of six is a snapshot
  EXPECT_TRUE(std::get<ExhaustOp>(operations[0].call).failed);
  EXPECT_EQ(operations[4].number, 5U);
  EXPECT_EQ(std::get<AllocOp>(operations[4].call).result, std::nullopt);
  EXPECT_EQ(items_of<Snapshot>(log).size(), 2U);
}

// What the four checked-in scripts hold, counted by another program.
TEST(LogReader, ReadsARecordedScriptWhole) {
  const ReadLog log = read_log(text_of("recordings/scripted-basic-numa20/basicn-1.log.zst"));
  ASSERT_EQ(log.error, "");
  std::array<std::size_t, 11> kinds{};
  std::size_t failed = 0;
  for (const Operation& operation : items_of<Operation>(log)) {
    ++kinds[operation.call.index()];
    if (const auto* alloc = std::get_if<AllocOp>(&operation.call))
      failed += alloc->result ? 0 : 1;
  }
  EXPECT_EQ(kinds, (std::array<std::size_t, 11>{2838, 2607, 31, 31, 0, 231, 231, 13, 0, 22, 0}));
  EXPECT_EQ(failed, 27U);
  EXPECT_EQ(items_of<RunEnd>(log)[0].lost, 0U);
}

TEST(LoadSnapshot, FindsTheFirstOrTheOneWithTheLabel) {
  EXPECT_EQ(snapshot_of(kEveryLine).label, "every-line-before");
  EXPECT_EQ(snapshot_of(kEveryLine, "inside").label, "inside");
}

TEST(LoadSnapshot, ALabelThatIsNotThereNamesThoseThatAre) {
  const Expected<Snapshot> snapshot = load_snapshot(test_data(kEveryLine), "outside");
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().text(), test_data(kEveryLine) +
                                         ": the log has no snapshot called \"outside\"; use one of: every-line-before, "
                                         "inside");
}

TEST(LoadSnapshot, AFileThatIsNotThereIsAnError) {
  EXPECT_FALSE(load_snapshot(test_data("snapshot/none.log")));
}

TEST(ListLog, NamesWhatALogHolds) {
  const Expected<LogContents> contents = list_log(test_data(kEveryLine));
  ASSERT_TRUE(contents);
  ASSERT_EQ(contents->snapshots.size(), 2U);
  EXPECT_EQ(contents->snapshots[0].label, "every-line-before");
  EXPECT_EQ(contents->snapshots[0].line, 4U);
  EXPECT_EQ(contents->snapshots[1].label, "inside");
  ASSERT_EQ(contents->page_dumps.size(), 1U);
  ASSERT_EQ(contents->runs.size(), 1U);
  EXPECT_EQ(contents->runs[0].begin.label, "every-line");
  EXPECT_EQ(contents->runs[0].line, 3U);
}

TEST(LogReader, RefusesWhatIsDamagedAndSaysWhere) {
  const std::string good = text_of(kEveryLine);
  const struct {
    const char* from;
    const char* to;
    const char* told;
  } cases[] = {
      {"RUN every-line mode=", "RUN every-line made=ops=3 ops=x mode=", "log:3: RUN line"},
      {"FREEALL 12", "RUN a mode=sleep ops=0\nFREEALL 12", "begins before ENDRUN a"},
      {"OPS every-line cpu", "OPS other cpu", "is not inside the run"},
      {"OPS every-line cpu=2 rt=0\n", "", "outside of OPS"},
      {"4 f 5 3 = 418\n", "", "operation 5 comes where 4 is expected"},
      {"4 f 5 3 = 418", "3 f 5 3 = 418", "operation 3 comes where 4 is expected"},
      {"15 d 6 EMPTY", "16 d 6 EMPTY", "operation 16 comes where 14 is expected"},
      {"18 z 0/DMA=516+0/0/0/0 0/Normal=9-2/519/512/512\n", "", "ops=19, but its last operation is number 18"},
      {"ops=19", "ops=18", "ops=18, but its last operation is number 19"},
      {"0 a 5 3 2a30 -1 = 418", "0 a 5 3 2a30 -1 = 419", "cannot be read: \"0 a 5 3 2a30 -1 = 419\""},
      {"0 a 5 3 2a30 -1 = 418", "0 a 5 3 2a30 -1 =", "cannot be read"},
      {"0 a 5 3 2a30 -1 = 418", "0 a 5 3 2a30 -1 = 418 419", "cannot be read"},
      {"0 a 5 3 2a30 -1 = 418", "0 a 5 64 2a30 -1 = FAIL", "cannot be read"},
      {"0 a 5 3 2a30 -1 = 418", "0 a 5 11 2a30 -1 = 800", "cannot be read"},
      {"0 a 5 3 2a30 -1 = 418", "0 a 5 3 12a302a30 -1 = 418", "cannot be read"},
      {"3 f 7 EMPTY", "3 f 7 EMPTIED", "cannot be read"},
      {"3 f 7 EMPTY", "3 q 7 EMPTY", "cannot be read"},
      {"= 2 : 410 40f", "= 3 : 410 40f", "cannot be read"},
      {"5 b 8 4 2800", "5 b 8 1 2800", "cannot be read"},
      {"FAIL : 2", "FAIL : 3", "cannot be read"},
      {"FAIL : 2", ": 2", "cannot be read"},
      {"= 412 : 1", "= 412 FAIL : 1", "cannot be read"},
      {"17 L REFUSED", "17 L", ""},
      {"17 L REFUSED", "17 L NOT", "cannot be read"},
      {"18 z 0/DMA=516+0/0/0/0", "18 z 0/DMA=516/0/0/0", "cannot be read"},
      {"z 0/DMA=516+0/0/0/0", "z 0/DMA=516+0/0/0", "z line"},
      {"ENDOPS every-line\n", "", "has not come to its end"},
      {"ENDRUN every-line lost=3\n", "", "the log ends inside run every-line"},
      {"ENDRUN every-line lost=3", "ENDRUN every-line lost=", "ENDRUN line"},
      {"NOTE begin", "NOPE begin", "log:2: a line that begins with \"NOPE\"; this is not a log"},
  };
  for (const auto& damage : cases) {
    const ReadLog log = read_log(replaced(good, damage.from, damage.to));
    EXPECT_EQ(log.error.empty(), std::string_view{damage.told}.empty()) << damage.from << " gives: " << log.error;
    EXPECT_NE(log.error.find(damage.told), std::string::npos) << damage.from << " gives: " << log.error;
  }
}

TEST(LogReader, ATornLogIsAnErrorWhereverItIsTorn) {
  const std::string good = text_of(kEveryLine);
  const std::size_t in_run = good.find("RUN");
  for (std::size_t size = in_run + 1; size < good.size(); ++size) {
    const ReadLog log = read_log(good.substr(0, size));
    ASSERT_NE(log.error, "") << "cut to " << size << " bytes";
  }
}

TEST(LogReader, AnEmptyLogIsAnError) {
  EXPECT_EQ(read_log("").error,
            "log: the log is empty; this is not a log that mmbox's recorder wrote: see docs/formats.md");
}

}  // namespace
}  // namespace mmbox::lab
