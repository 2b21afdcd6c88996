// How many records a second each reader gives. One pass over a file is one iteration.
//
//   build/bench/trace_read_bench                    the slices of the tests
//   build/bench/trace_read_bench FILE…              these files, and the compact form made of the first
//
// The recorded workload has 2.2 million events; slices of some hundred show the cost of opening.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "mmbox/lab/trace/compact.h"
#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {
namespace {

// The benchmarks are run from the folder of the sources.
constexpr const char* kTestTraces = "tests/data/trace";

[[noreturn]] void fail(const Error& error) {
  fmt::print(stderr, "{}\n", error.text());
  std::exit(2);
}

std::uint64_t read_all(Expected<std::unique_ptr<TraceReader>> reader) {
  if (!reader)
    fail(reader.error());
  std::uint64_t records = 0;
  TraceRecord record;
  for (;; ++records) {
    const auto more = (*reader)->next(record);
    if (!more)
      fail(more.error());
    if (!*more)
      return records;
    benchmark::DoNotOptimize(record);
  }
}

void read_file(benchmark::State& state, const std::string& path) {
  std::uint64_t records = 0;
  for (auto _ : state)
    records += read_all(open_trace(path));
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
}

std::string make_compact(const std::string& path, int level, std::uint64_t& events, std::uint64_t& plain_bytes) {
  auto reader = open_trace(path);
  if (!reader)
    fail(reader.error());
  std::string bytes;
  auto writer = CompactWriter::create(ByteSink::to_memory(bytes), (*reader)->info(), {.zstd_level = level});
  if (!writer)
    fail(writer.error());
  TraceRecord record;
  for (;;) {
    const auto more = (*reader)->next(record);
    if (!more)
      fail(more.error());
    if (!*more)
      break;
    if (auto wrote = writer->write(record); !wrote)
      fail(wrote.error());
  }
  if (auto done = writer->finish(); !done)
    fail(done.error());
  events = writer->events();
  plain_bytes = writer->plain_bytes();
  return bytes;
}

void read_compact(benchmark::State& state, const std::string& path, int level) {
  std::uint64_t events = 0;
  std::uint64_t plain_bytes = 0;
  const std::string bytes = make_compact(path, level, events, plain_bytes);
  std::uint64_t records = 0;
  for (auto _ : state)
    records += read_all(open_trace(ByteSource::from_memory("compact", bytes)));
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
  if (events != 0) {
    state.counters["bytes_per_event"] = static_cast<double>(bytes.size()) / static_cast<double>(events);
    state.counters["plain_bytes_per_event"] = static_cast<double>(plain_bytes) / static_cast<double>(events);
  }
}

void write_compact(benchmark::State& state, const std::string& path) {
  std::uint64_t events = 0;
  std::uint64_t plain_bytes = 0;
  std::uint64_t records = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(make_compact(path, 3, events, plain_bytes));
    records += events;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
}

}  // namespace
}  // namespace mmbox::lab

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::string> paths(argv + 1, argv + argc);
  if (paths.empty())
    for (const char* name :
         {"work.v7.dat.zst", "work.v6.dat.zst", "work.report.zst", "work.raw.zst", "work.recording.zst"})
      paths.push_back(fmt::format("{}/{}", mmbox::lab::kTestTraces, name));
  for (const std::string& path : paths)
    benchmark::RegisterBenchmark(fmt::format("read/{}", path).c_str(), mmbox::lab::read_file, path);
  benchmark::RegisterBenchmark("read/compact/plain", mmbox::lab::read_compact, paths[0], 0);
  benchmark::RegisterBenchmark("read/compact/zstd", mmbox::lab::read_compact, paths[0], 3);
  benchmark::RegisterBenchmark("convert_to_compact", mmbox::lab::write_compact, paths[0]);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
