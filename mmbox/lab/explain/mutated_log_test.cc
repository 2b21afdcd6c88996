// Many logs that were damaged at random: each is read to its end, and what is said of it holds together.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/explain/explain_testing.h"
#include "mmbox/lab/explain/print.h"
#include "tests/effort.h"

namespace mmbox::lab::explain {
namespace {

/// Source: Sebastiano Vigna, "splitmix64", 2015, public domain.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }

 private:
  std::uint64_t state_;
};

constexpr std::array<std::string_view, 20> kWords{"Mem-Info:", "free:",  "lowmem_reserve[]:",
                                                  "Node 0 ",   "Normal", "9223372036854775807",
                                                  "-1",        "kB",     "\n",
                                                  "\r\n",      "#012",   "=3D",
                                                  "=\n",       "> ",     "(UMEHCI)",
                                                  "order:63",  "0x",     "<br>",
                                                  "\x1b[1m",   "*"};

void mutate(std::string& log, const std::vector<std::string>& seeds, Random& random) {
  const std::size_t at = random.below(log.size() + 1);
  const std::size_t length = std::min(random.below(200), log.size() - at);
  switch (random.below(7)) {
    case 0:
      if (at < log.size())
        log[at] = static_cast<char>(random.below(256));
      break;
    case 1: log.erase(at, length); break;
    case 2: log.insert(random.below(log.size() + 1), log.substr(at, length)); break;
    case 3: log.insert(at, kWords[random.below(kWords.size())]); break;
    case 4: {  // a line goes elsewhere
      const std::size_t end = std::min(log.find('\n', at), log.size());
      const std::string line = log.substr(at, end - at);
      log.erase(at, end - at);
      log.insert(random.below(log.size() + 1), line);
      break;
    }
    case 5: {  // digits become other digits
      for (std::size_t i = at; i < at + length; ++i)
        if (log[i] >= '0' && log[i] <= '9')
          log[i] = static_cast<char>('0' + random.below(10));
      break;
    }
    default: log = log.substr(0, at) + seeds[random.below(seeds.size())].substr(0, 4096);
  }
  if (log.size() > 8192)
    log.resize(8192);
}

TEST(MutatedLog, IsReadToItsEndAndExplained) {
  std::vector<std::string> seeds;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string{MMBOX_SOURCE_DIR} + "/tests/corpus/explain")) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  ASSERT_FALSE(seeds.empty());
  std::sort(seeds.begin(), seeds.end());  // a folder lists its files in any order
  const std::uint64_t cases = test::Effort{.quick = 500, .normal = 5'000, .long_run = 10'000'000}.here();
  Random random(20261121);
  std::string log;
  std::uint64_t found = 0;
  for (std::uint64_t n = 0; n < cases; ++n) {
    // Damage adds up over a few cases, then a fresh log is taken.
    if (n % 12 == 0)
      log = seeds[random.below(seeds.size())];
    mutate(log, seeds, random);
    const std::uint64_t lines = static_cast<std::uint64_t>(std::count(log.begin(), log.end(), '\n')) + 1;
    for (FailureReport& report : read_reports(log, 1 + random.below(4096))) {
      ++found;
      ASSERT_GE(report.first_line, 1U) << "case " << n;
      ASSERT_LE(report.first_line, report.last_line) << "case " << n;
      ASSERT_LE(report.last_line, lines) << "case " << n;
      const Explanation e = mmbox::lab::explain::explain(std::move(report));
      ASSERT_FALSE(e.verdict.sentence.empty()) << "case " << n;
      ASSERT_FALSE(to_text(e, found).empty()) << "case " << n;
      for (const ZoneFacts& zone : e.zones)
        for (const Attempt& attempt : zone.attempts)
          ASSERT_EQ(attempt.margin > 0 || attempt.short_by > 0 || attempt.check == Check::CannotTell ||
                        attempt.mark_name == std::string_view{"none"},
                    true)
              << "case " << n;
    }
  }
  EXPECT_GT(found, cases / 4);
}

}  // namespace
}  // namespace mmbox::lab::explain
