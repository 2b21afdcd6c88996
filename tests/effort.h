// How much a random or exhaustive test does, chosen by the environment variable MMBOX_EFFORT.
//
// `quick` is for slow builds (sanitizers, debug) and for mutants, unset or `normal` for a commit, `long` for
// `./check --long`. The amount of work is all that may depend on it: seeds, machines and claims stay the same, but for
// a claim about what many draws come to, which a few cannot make.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mmbox::test {

/// The amounts of work of one test, in its own unit (operations, cases, lengths).
struct Effort {
  std::uint64_t quick;
  std::uint64_t normal;
  std::uint64_t long_run;

  /// The amount for a value of MMBOX_EFFORT; throws std::invalid_argument for a word that is none of the three.
  [[nodiscard]] std::uint64_t at(std::string_view level) const {
    if (level == "quick")
      return quick;
    if (level.empty() || level == "normal")
      return normal;
    if (level == "long")
      return long_run;
    throw std::invalid_argument("MMBOX_EFFORT is quick, normal or long, not \"" + std::string{level} + "\"");
  }
  /// The amount that this run asks for.
  [[nodiscard]] std::uint64_t here() const {
    const char* level = std::getenv("MMBOX_EFFORT");
    return at(level == nullptr ? "" : level);
  }
};

}  // namespace mmbox::test
