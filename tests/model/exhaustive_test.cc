// All operation sequences up to a length, on the smallest machines that have something to decide.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/effort.h"
#include "tests/model/pair.h"

namespace mmbox::test {
namespace {

/// Runs every sequence of `length` operations out of `choices`; returns how many. Each sequence is made from the start,
/// so that one failing is short and complete.
std::uint64_t run_all(const Shape& shape, const std::vector<Op>& choices, unsigned length) {
  std::vector<std::size_t> at(length, 0);
  std::uint64_t sequences = 0;
  while (true) {
    Pair pair{shape};
    ++sequences;
    std::size_t changed = 0;  // the operation that this sequence differs in from the one before
    for (std::size_t i = 0; i < length; ++i) {
      const std::string what = pair.apply(choices[at[i]]);
      if (what.empty())
        continue;
      std::string text;
      for (std::size_t k = 0; k <= i; ++k)
        text += "    " + print(choices[at[k]]) + ",\n";
      ADD_FAILURE() << what << "\n  " << print(shape) << "\n  after\n" << text;
      return sequences;
    }
    for (changed = length; changed-- > 0;) {
      if (++at[changed] < choices.size())
        break;
      at[changed] = 0;
    }
    if (changed >= length)
      return sequences;
  }
}

Shape tiny(const Generation& generation, std::uint64_t pages, std::int32_t batch, std::int32_t high) {
  Shape shape;
  shape.config = {.zones = {{.start = 0, .pages = pages}},
                  .generation = generation,
                  .batch = batch,
                  .high = naive_rules(generation.name).tuned ? 0 : high,
                  .threshold = 2};
  shape.high_min = naive_rules(generation.name).tuned ? high : 0;
  shape.high_max = 2 * shape.high_min;
  shape.zones.push_back({.marks = {1, 2, 4}, .types = std::vector<int>((pages + 511) / 512, kMovable)});
  return shape;
}

constexpr std::uint32_t kMove = 0x100cca;
constexpr std::uint32_t kKernel = 0xcc0;
constexpr std::uint32_t kAtomic = 0xa20;

class Exhaustive : public testing::TestWithParam<const Generation*> {};

TEST_P(Exhaustive, TwentyFourPagesByOneCpu) {
  // Zones smaller than a pageblock never move one; what is left is splitting, merging, stealing single blocks and the
  // per-cpu lists.
  const std::vector<Op> choices{Alloc{kMove, 0, 0, -1, 0, 0},
                                Alloc{kKernel, 0, 0, -1, 0, 0},
                                Alloc{kKernel, 2, 0, -1, 0, 0},
                                Alloc{kMove, 4, 0, -1, 0, 0},
                                Free{0, 0},
                                Free{1, 0},
                                DrainAll{}};
  const auto length = static_cast<unsigned>(Effort{.quick = 4, .normal = 5, .long_run = 7}.here());
  EXPECT_EQ(run_all(tiny(*GetParam(), 24, 3, 6), choices, length),
            static_cast<std::uint64_t>(std::pow(choices.size(), length)));
}

TEST_P(Exhaustive, TwoPageblocksWithStealsAndTheReserve) {
  const std::vector<Op> choices{Alloc{kMove, 9, 0, -1, 0, 0},
                                Alloc{kKernel, 8, 0, -1, 0, 0},
                                Alloc{kAtomic, 1, 0, -1, 0, 0},
                                Alloc{kMove, 0, 0, -1, 0, 0},
                                Free{0, 0},
                                Free{1, 0}};
  const auto length = static_cast<unsigned>(Effort{.quick = 4, .normal = 5, .long_run = 7}.here());
  Shape shape = tiny(*GetParam(), 1024, 2, 8);
  shape.zones[0].marks = {100, 600, 700};
  EXPECT_EQ(run_all(shape, choices, length), static_cast<std::uint64_t>(std::pow(choices.size(), length)));
}

TEST_P(Exhaustive, TwoCpusWithIsolation) {
  const std::vector<Op> choices{Alloc{kMove, 0, 0, -1, 0, 0},
                                Alloc{kMove, 3, 1, -1, 0, 0},
                                Free{0, 0},
                                Free{0, 1},
                                Isolate{0, false, 0},
                                Unisolate{0, 1},
                                Fold{1, true}};
  const auto length = static_cast<unsigned>(Effort{.quick = 4, .normal = 5, .long_run = 6}.here());
  Shape shape = tiny(*GetParam(), 1024, 3, 6);
  shape.config.cpu_nodes = {0, 0};
  // The pageblocks never join, so that the first can be isolated: they differ in type, and are no buddies.
  shape.config.zones[0].start = 512;
  shape.config.has_cma = true;
  shape.zones[0].types = {kMovable, kCmaType};
  EXPECT_EQ(run_all(shape, choices, length), static_cast<std::uint64_t>(std::pow(choices.size(), length)));
}

INSTANTIATE_TEST_SUITE_P(Generations, Exhaustive,
                         testing::ValuesIn(lab::generations().begin(), lab::generations().end()),
                         [](const auto& test) { return test_name(*test.param); });

}  // namespace
}  // namespace mmbox::test
