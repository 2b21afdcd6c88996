#include "mmbox/lab/trace/dat_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "mmbox/lab/trace/dat_reader.h"
#include "mmbox/lab/trace/trace_test_util.h"

namespace mmbox::lab {
namespace {

constexpr std::uint32_t head(std::uint32_t type, std::uint32_t delta) {
  return type | delta << 5;
}

// A page of a 64-bit kernel that holds `words`.
std::vector<std::byte> page_of(const std::vector<std::uint32_t>& words, std::uint64_t flags = 0,
                               std::uint64_t time = 1000) {
  std::vector<std::byte> page(4096);
  const std::uint64_t commit = (words.size() * 4) | flags;
  std::memcpy(page.data(), &time, 8);
  std::memcpy(page.data() + 8, &commit, 8);
  std::ranges::copy(std::as_bytes(std::span{words}), page.begin() + 16);
  return page;
}

// Times and first words of the events; "damaged" as time 0.
std::vector<std::pair<std::uint64_t, std::uint32_t>> events_of(const std::vector<std::byte>& bytes) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> events;
  RingPage page;
  if (!page.load(bytes, 8))
    return {{0, 0}};
  for (RingEvent event;;) {
    const RingPage::Step step = page.next(event);
    if (step == RingPage::Step::End)
      return events;
    if (step == RingPage::Step::Damaged) {
      events.emplace_back(0, 0);
      return events;
    }
    std::uint32_t word = 0;
    std::memcpy(&word, event.data.data(), std::min<std::size_t>(4, event.data.size()));
    events.emplace_back(event.timestamp, word);
  }
}

using Events = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

TEST(RingPage, AddsUpTimesOverEveryTypeOfEvent) {
  EXPECT_EQ(events_of(page_of({
                head(2, 5),  0xaa,       0xab,        // two words of data
                head(29, 7), 8,          0,           // discarded: its time counts, its data does not
                head(1, 3),  0xbb,                    //
                head(30, 3), 1,                       // 3 + 1 << 27 later
                head(0, 1),  12,         0xcc, 0xcd,  // the length in a word of its own
                head(31, 9), 2,                       // an absolute time
                head(1, 1),  0xdd,                    //
                head(29, 0), 0xffffffff,              // not in use
            })),
            (Events{{1005, 0xaa}, {1015, 0xbb}, {1019 + (1ULL << 27), 0xcc}, {10 + (2ULL << 27), 0xdd}}));
}

TEST(RingPage, AnAbsoluteTimeKeepsTheUpperFiveBits) {
  EXPECT_EQ(events_of(page_of({head(31, 9), 2, head(1, 0), 0xdd}, 0, 5ULL << 59)),
            (Events{{(5ULL << 59) + 9 + (2ULL << 27), 0xdd}}));
}

TEST(RingPage, LengthsThatLeaveThePageAreDamage) {
  for (const auto& words : std::vector<std::vector<std::uint32_t>>{
           {head(28, 1), 0},           // 112 bytes, of which 4 are there
           {head(0, 1)},               // no length
           {head(0, 1), 3},            // shorter than itself
           {head(0, 1), 12, 0},        // one word short
           {head(0, 1), 0xfffffff0},   // would wrap around
           {head(29, 1), 0xffffffff},  //
           {head(30, 1)},              // half a time
       })
    EXPECT_EQ(events_of(page_of(words)), (Events{{0, 0}})) << words[0];
}

TEST(RingPage, MoreInUseThanThePageHoldsIsDamage) {
  auto page = page_of({});
  const std::uint64_t commit = 4096 - 16 + 1;
  std::memcpy(page.data() + 8, &commit, 8);
  EXPECT_EQ(events_of(page), (Events{{0, 0}}));
}

TEST(RingPage, TellsHowManyEventsWereLostBefore) {
  RingPage page;
  ASSERT_TRUE(page.load(page_of({head(1, 0), 1}), 8));
  EXPECT_EQ(page.lost(), 0U);
  ASSERT_TRUE(page.load(page_of({head(1, 0), 1}, 1ULL << 31), 8));
  EXPECT_EQ(page.lost(), std::numeric_limits<std::uint64_t>::max());
  auto counted = page_of({head(1, 0), 1}, 1ULL << 31 | 1ULL << 30);
  const std::uint64_t count = 77;
  std::memcpy(counted.data() + 16 + 8, &count, 8);
  ASSERT_TRUE(page.load(counted, 8));
  EXPECT_EQ(page.lost(), 77U);
}

TEST(TraceDat, ALossIsToldBeforeTheEventThatFollows) {
  std::string bytes = slurp(trace_data("work.v6.dat.zst"));
  const ReadTrace whole = read_bytes(bytes);
  auto file = ByteSource::from_memory("memory", bytes).spool();
  ASSERT_TRUE(file);
  const auto layout = read_dat_layout(file->get(), "memory");
  ASSERT_TRUE(layout);
  // Bit 31 of the word that says how much of the second page is in use.
  const std::size_t flag = layout->cpus[0].offset + 4096 + 8 + 3;
  bytes[flag] = static_cast<char>(bytes[flag] | 0x80);
  const ReadTrace trace = read_bytes(bytes);
  ASSERT_EQ(trace.error, "");
  ASSERT_EQ(trace.records.size(), whole.records.size() + 1);
  std::size_t lost = 0;
  while (!std::holds_alternative<Lost>(trace.records[lost].event))
    ++lost;
  EXPECT_EQ(std::get<Lost>(trace.records[lost].event).events, Lost::kUnknownCount);
  EXPECT_EQ(trace.records[lost].timestamp, trace.records[lost + 1].timestamp);
  EXPECT_TRUE(same_event(trace.records[lost + 1].event, whole.records[lost].event));
}

// What was cut off is never silently missing.
class CutOff : public testing::TestWithParam<const char*> {};

TEST_P(CutOff, IsAnErrorThatNamesTheFile) {
  const std::string bytes = slurp(trace_data(GetParam()));
  const ReadTrace whole = read_bytes(bytes);
  ASSERT_EQ(whole.error, "");
  std::size_t step = 1;
  for (std::size_t size = 11; size < bytes.size(); size += step) {
    step = size < 200 ? 1 : 997;
    const ReadTrace cut = read_bytes(std::string_view{bytes}.substr(0, size));
    EXPECT_TRUE(cut.error.starts_with("memory: ")) << size << " of " << bytes.size() << ": " << cut.error;
    EXPECT_LT(cut.records.size(), whole.records.size() + 1);
  }
}

INSTANTIATE_TEST_SUITE_P(TraceDat, CutOff, testing::Values("work.v6.dat.zst", "linux-5.10.v7.dat.zst"));

TEST(TraceDat, ADamagedByteIsAnErrorOrAnotherValueButNeverACrash) {
  for (const char* name : {"linux-5.10.v6.dat.zst", "linux-5.10.v7.dat.zst"}) {
    const std::string whole = slurp(trace_data(name));
    std::size_t errors = 0;
    std::uint64_t state = 12345;
    for (int i = 0; i < 300; ++i) {
      state = state * 6364136223846793005 + 1442695040888963407;
      std::string bytes = whole;
      bytes[state % bytes.size()] = static_cast<char>(state >> 56);
      const ReadTrace trace = read_bytes(bytes);
      errors += trace.error.empty() ? 0 : 1;
    }
    EXPECT_GT(errors, 0U) << name;
  }
}

TEST(TraceDat, ABigEndianTraceIsRefusedWithARemedy) {
  std::string bytes = slurp(trace_data("work.v6.dat.zst"));
  bytes[12] = 1;
  EXPECT_EQ(read_bytes(bytes).error,
            "memory: the trace is from a big-endian machine, which is not read; give the text that 'trace-cmd report' "
            "prints");
}

TEST(TraceDat, AnUnknownVersionIsRefusedWithARemedy) {
  std::string bytes = slurp(trace_data("work.v6.dat.zst"));
  bytes[10] = '8';
  EXPECT_EQ(read_bytes(bytes).error,
            "memory: trace.dat version '8' is not known; convert it with 'trace-cmd convert --file-version 7'");
}

}  // namespace
}  // namespace mmbox::lab
