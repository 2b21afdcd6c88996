#include "mmbox/lab/trace/compact.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "mmbox/lab/trace/compact_format.h"
#include "mmbox/lab/trace/trace_test_util.h"

namespace mmbox::lab {
namespace {

struct Packed {
  std::string bytes;
  std::uint64_t plain_bytes = 0;
};

Packed pack(const ReadTrace& trace, int zstd_level) {
  Packed packed;
  TraceInfo info = trace.info;
  if (info.gfp == nullptr)
    info.gfp = &gfp_layout_default();
  auto writer = CompactWriter::create(ByteSink::to_memory(packed.bytes), info, {.zstd_level = zstd_level});
  EXPECT_TRUE(writer);
  for (const TraceRecord& record : trace.records)
    EXPECT_TRUE(writer->write(record));
  EXPECT_TRUE(writer->finish());
  EXPECT_EQ(writer->events(), trace.records.size());
  packed.plain_bytes = writer->plain_bytes();
  return packed;
}

/// A source of numbers that is the same everywhere (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  /// Mostly small, sometimes anything.
  std::uint64_t any() { return next() >> below(64); }

 private:
  std::uint64_t state_;
};

template <class E>
TraceEvent random_event(Random& random, ReadTrace& owner) {
  if constexpr (std::is_same_v<E, Marker>) {
    return Marker{owner.texts.emplace_back(std::string(random.below(40), static_cast<char>(random.next())))};
  } else if constexpr (std::is_same_v<E, Unknown>) {
    return Unknown{owner.texts.emplace_back("event_" + std::to_string(random.below(5)))};
  } else if constexpr (std::is_same_v<E, Lost>) {
    return Lost{random.any()};
  } else {
    E event = zero_event<E>();
    for_each_field<E>([&](std::size_t, const auto& f) {
      auto& value = event.*f.member;
      // Any number that the type can hold.
      while (!compact::from_core(random.below(4) == 0 ? random.any() : random.below(6), value)) {
      }
    });
    return event;
  }
}

template <std::size_t... kind>
TraceEvent random_event_of(std::size_t wanted, Random& random, ReadTrace& owner, std::index_sequence<kind...>) {
  TraceEvent event;
  ((kind == wanted ? (event = random_event<EventOf<kind>>(random, owner), 0) : 0), ...);
  return event;
}

// Every kind of event, cpus and pids that change, times that go any way.
ReadTrace random_trace(std::uint64_t seed, std::size_t records) {
  Random random{seed};
  ReadTrace trace;
  TraceRecord record;
  const std::size_t kinds = 1 + random.below(kEventKinds);
  const std::uint64_t jumps = 1 + random.below(8);
  for (std::size_t i = 0; i < records; ++i) {
    record.timestamp += random.below(jumps) == 0 ? random.any() : 1;
    if (random.below(jumps) == 0) {
      record.cpu = CpuId{random.below(random.below(10) == 0 ? 65536 : 4)};
      record.pid = static_cast<std::int32_t>(random.below(5) == 0 ? random.next() : random.below(3000));
      record.comm = Comm{std::string(random.below(16), static_cast<char>('a' + random.below(26)))};
    }
    record.event = random_event_of(random.below(kinds), random, trace, std::make_index_sequence<kEventKinds>{});
    trace.records.push_back(record);
  }
  return trace;
}

TEST(Compact, RandomRecordsOfEveryKindComeBackAsTheyWere) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const ReadTrace trace = random_trace(seed, 1 + (seed * 37) % 3000);
    expect_same(trace, read_bytes(pack(trace, seed % 2 == 0 ? 0 : 1).bytes));
    if (HasFatalFailure())
      return;
  }
}

TEST(Compact, ATraceOfSeveralBlocksComesBackAsItWas) {
  // More combinations than a dictionary holds, and more events than a block.
  const ReadTrace trace = random_trace(4242, 150000);
  expect_same(trace, read_bytes(pack(trace, 0).bytes));
}

TEST(Compact, AnEmptyTraceComesBackEmpty) {
  const ReadTrace back = read_bytes(pack({}, 3).bytes);
  EXPECT_EQ(back.error, "");
  EXPECT_TRUE(back.records.empty());
}

TEST(Compact, RecordingsComeBackAsTheyWereInFewBytes) {
  for (const char* name : {"work.v6.dat.zst", "two-cpus.v6.dat.zst", "linux-5.10.v6.dat.zst"}) {
    const ReadTrace trace = read_all(open_trace(trace_data(name)));
    for (const int level : {0, 3}) {
      const Packed packed = pack(trace, level);
      const ReadTrace back = read_bytes(packed.bytes);
      expect_same(trace, back);
      EXPECT_EQ(back.info.gfp, trace.info.gfp);
      EXPECT_EQ(back.info.cpus, trace.info.cpus);
    }
    // Short slices carry their dictionary; whole recordings take less than three.
    EXPECT_LT(pack(trace, 0).plain_bytes, 8 * trace.records.size()) << name;
  }
}

TEST(Compact, AFileInsideZstdReadsToo) {
  // What `zstd` makes of a compact file. The source unpacks it before the form is told.
  const ReadTrace trace = random_trace(7, 500);
  const std::string bytes = pack(trace, 0).bytes;
  auto source = ByteSource::from_memory("memory", bytes);
  expect_same(trace, read_all(open_trace(std::move(source))));
}

TEST(Compact, EveryCutIsAnError) {
  const ReadTrace trace = random_trace(11, 200);
  for (const int level : {0, 3}) {
    const std::string bytes = pack(trace, level).bytes;
    for (std::size_t size = 1; size < bytes.size(); ++size) {
      const ReadTrace cut = read_bytes(std::string_view{bytes}.substr(0, size));
      ASSERT_TRUE(cut.error.starts_with("memory:")) << size << ": " << cut.error;
      ASSERT_LE(cut.records.size(), trace.records.size());
    }
  }
}

TEST(Compact, EveryChangedBitIsAnError) {
  const ReadTrace trace = random_trace(13, 60);
  const std::string whole = pack(trace, 0).bytes;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      ASSERT_NE(read_bytes(bytes).error, "") << "bit " << bit << " of byte " << at;
    }
  }
}

TEST(Compact, AMissingOrRepeatedBlockIsAnError) {
  const ReadTrace trace = random_trace(17, 70000);
  const std::string whole = pack(trace, 0).bytes;
  const std::size_t first = whole.find(compact::kBlockMark);
  const std::size_t stored = compact::take<std::uint32_t>(whole.data() + first + 12);
  const std::size_t second = first + compact::kBlockHead + stored;
  ASSERT_EQ(whole.substr(second, 4), compact::kBlockMark);
  EXPECT_NE(read_bytes(whole.substr(0, first) + whole.substr(second)).error.find("a part of the file is missing"),
            std::string::npos);
  EXPECT_NE(read_bytes(whole.substr(0, second) + whole.substr(first)).error.find("a part of the file is missing"),
            std::string::npos);
}

TEST(Compact, SomethingBehindTheEndIsAnError) {
  EXPECT_NE(read_bytes(pack(random_trace(19, 10), 3).bytes + "x").error.find("behind the end"), std::string::npos);
}

TEST(Compact, AnotherVersionIsRefusedByItsNumber) {
  std::string bytes = pack({}, 3).bytes;
  bytes[8] = 9;
  EXPECT_NE(read_bytes(bytes).error.find("version 9 is not known"), std::string::npos);
}

TEST(Compact, ErrorsTellTheOffset) {
  const std::string bytes = pack(random_trace(23, 100), 0).bytes;
  const std::string cut = bytes.substr(0, bytes.size() - 3);
  EXPECT_EQ(read_bytes(cut).error, "memory: at byte " + std::to_string(cut.size()) +
                                       ": the file ends in the middle; convert the trace again from what it was made "
                                       "from");
}

}  // namespace
}  // namespace mmbox::lab
