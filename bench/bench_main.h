// The main() of every benchmark: how often a measurement is repeated, how much work it does, and on what machine and
// build it ran.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace mmbox::bench {

/// True if only the working of the benchmark is of interest, not its numbers (MMBOX_EFFORT=quick).
[[nodiscard]] inline bool is_smoke() {
  const char* effort = std::getenv("MMBOX_EFFORT");
  return effort != nullptr && std::string_view{effort} == "quick";
}

/// The value of the first line of a /proc file that begins with `key`; "?" if there is none.
[[nodiscard]] inline std::string proc_value(const char* path, std::string_view key) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos)
      return line.substr(line.find_first_not_of(' ', colon + 1));
  }
  return "?";
}

inline void print_machine_and_build() {
  benchmark::AddCustomContext("cpu", proc_value("/proc/cpuinfo", "model name"));
  benchmark::AddCustomContext("memory", proc_value("/proc/meminfo", "MemTotal"));
  std::ifstream thp{"/sys/kernel/mm/transparent_hugepage/enabled"};
  std::string huge_pages = "none";
  std::getline(thp, huge_pages);
  benchmark::AddCustomContext("transparent_hugepage", huge_pages);
#ifdef __clang__
  benchmark::AddCustomContext("compiler", "clang " __clang_version__);
#else
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
#endif
#ifdef NDEBUG
  benchmark::AddCustomContext("mmbox_build", "release");
#else
  benchmark::AddCustomContext("mmbox_build", "debug: not for numbers");
#endif
}

/// Runs what is registered: seven repetitions, medians; `interleaved` mixes the repetitions of different benchmarks, so
/// that a change of the machine's speed hits all of them. Flags on the command line win.
inline int run(int argc, char** argv, bool interleaved) {
  std::vector<std::string> words{argv[0]};
  if (!is_smoke()) {
    words.emplace_back("--benchmark_repetitions=7");
    words.emplace_back("--benchmark_report_aggregates_only=true");
    if (interleaved)
      words.emplace_back("--benchmark_enable_random_interleaving=true");
  }
  words.insert(words.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  for (std::string& word : words)
    pointers.push_back(word.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data()))
    return 2;
  print_machine_and_build();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace mmbox::bench
