// The modelled kernels by name, and which of them stands for a given kernel release.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mmbox/core/base/generation.h"

namespace mmbox::lab {

/// All modelled generations, oldest first.
[[nodiscard]] std::span<const Generation* const> generations();

/// The generation called `name` ("linux-6.1"); nullptr if there is none.
[[nodiscard]] const Generation* generation_named(std::string_view name);

/// What is known of a generation beside its policies.
struct GenerationFacts {
  std::string_view reference;  ///< the release it was read from and checked against: "6.1.192"
  bool recorded = false;       ///< proved on recordings of that release; else by specification only
};
[[nodiscard]] GenerationFacts generation_facts(const Generation& generation);

/// The generation that stands for a kernel release such as "6.12.95+deb12-cloud-amd64".
struct GenerationChoice {
  const Generation* generation = nullptr;
  std::string note;  ///< how the release differs from the reference; empty if it does not
};
/// nullopt if `release` does not begin with a version of two numbers. A release between two generations gets the one
/// whose policies it is known to share, with a note.
[[nodiscard]] std::optional<GenerationChoice> generation_of_release(std::string_view release);

/// The same for what a recording says of itself. One without a release is taken for the reference, 6.1, and so, with a
/// note, is one whose release cannot be read.
[[nodiscard]] GenerationChoice generation_of_recording(std::optional<std::string_view> release);

}  // namespace mmbox::lab
