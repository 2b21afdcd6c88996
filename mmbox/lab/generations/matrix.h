// The matrix of policies as plain data: what each generation does, in words, and where two of them differ.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mmbox/core/base/policy.h"

namespace mmbox::lab {

/// One policy in one or several generations.
struct MatrixRow {
  std::string_view section;              ///< "Per-cpu lists"
  std::string_view policy;               ///< "which lists"
  std::string_view field;                ///< as the source has it: "pcp.lists"
  std::vector<std::string_view> values;  ///< in words, by generation in the order asked for
};

/// All policies, section by section, for every generation of generations().
[[nodiscard]] std::vector<MatrixRow> generation_matrix();
/// The policies in which two generations differ; `values` has two words each.
[[nodiscard]] std::vector<MatrixRow> generation_difference(const Generation& a, const Generation& b);

/// A generation that differs from another in one policy.
struct GenerationFlip {
  std::string_view field;
  std::string_view value;  ///< in words
  Generation generation;
};
/// `from` with one policy taken from another generation, for each policy and each other value that any of them has:
/// what a test of a policy must be able to tell from `from`.
[[nodiscard]] std::vector<GenerationFlip> generation_flips(const Generation& from);

}  // namespace mmbox::lab
