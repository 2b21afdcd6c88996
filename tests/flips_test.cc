// Every policy of the matrix, flipped: the other half of tests/flips/run.
//
// In the build that tests/flips/run makes (MMBOX_FLIPS) the generations can be changed. Before the tests begin,
// MMBOX_FLIP="GENERATION FIELD VALUE" gives one generation one policy's other value; some test has to fail then.
// MMBOX_FLIP=list prints every flip instead.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/generations/matrix.h"

namespace mmbox::lab {
namespace {

TEST(Flips, EveryPolicyHasAnotherValueInSomeGeneration) {
  for (const MatrixRow& row : generation_matrix()) {
    const bool differs = std::ranges::any_of(row.values, [&](std::string_view v) { return v != row.values.front(); });
    EXPECT_TRUE(differs) << row.field;
  }
}

TEST(Flips, AFlipChangesOneRow) {
  for (const Generation* generation : generations()) {
    for (const GenerationFlip& flip : generation_flips(*generation)) {
      const auto rows = generation_difference(*generation, flip.generation);
      ASSERT_EQ(rows.size(), 1U) << flip.field;
      EXPECT_EQ(rows.front().field, flip.field);
      EXPECT_EQ(rows.front().values[1], flip.value);
    }
  }
}

/// The flips that are tried: where two neighbours of the matrix differ, the newer gets the older one's value. Of a
/// policy that is changed back later, each change is one.
[[maybe_unused]] void list_flips() {
  const auto all = generations();
  for (std::size_t i = 1; i < all.size(); ++i)
    for (const GenerationFlip& flip : generation_flips(*all[i]))
      for (const MatrixRow& row : generation_difference(*all[i - 1], *all[i]))
        if (row.field == flip.field && row.values[0] == flip.value)
          std::fputs(fmt::format("{}\t{}\t{}\n", all[i]->name, flip.field, flip.value).c_str(), stdout);
}

#ifdef MMBOX_FLIPS

[[maybe_unused]] const bool kFlipped = [] {
  const char* const wish = std::getenv("MMBOX_FLIP");
  if (wish == nullptr)
    return false;
  if (std::string_view{wish} == "list") {
    list_flips();
    std::exit(0);
  }
  for (Generation* generation : {&kLinux310, &kLinux412, &kLinux510, &kLinux610, &kLinux61, &kLinux612, &kLinux72}) {
    for (const GenerationFlip& flip : generation_flips(*generation)) {
      if (std::string{generation->name} + "\t" + std::string{flip.field} + "\t" + std::string{flip.value} != wish)
        continue;
      *generation = flip.generation;
      return true;
    }
  }
  std::fprintf(stderr, "there is no flip \"%s\"\n", wish);
  std::exit(2);
}();

#endif

}  // namespace
}  // namespace mmbox::lab
