#include "tests/effort.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace mmbox::test {
namespace {

TEST(Effort, EachWordChoosesItsAmount) {
  constexpr Effort kEffort{.quick = 1, .normal = 2, .long_run = 3};
  EXPECT_EQ(kEffort.at("quick"), 1U);
  EXPECT_EQ(kEffort.at(""), 2U);
  EXPECT_EQ(kEffort.at("normal"), 2U);
  EXPECT_EQ(kEffort.at("long"), 3U);
}

TEST(Effort, AMistypedWordIsRefusedRatherThanDoingLess) {
  constexpr Effort kEffort{.quick = 1, .normal = 2, .long_run = 3};
  EXPECT_THROW((void)kEffort.at("Long"), std::invalid_argument);
}

}  // namespace
}  // namespace mmbox::test
