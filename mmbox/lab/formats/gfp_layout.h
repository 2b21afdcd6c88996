// Request flags as each kernel numbers and names them, beside core's one numbering.
//
// Core computes with the bits of Linux 6.1 (mmbox/core/base/gfp.h). Traces and logs of other kernels are translated
// here, from tables of bits and names, so that a foreign bit reaches no algorithm.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mmbox/core/base/gfp.h"

namespace mmbox::lab {

/// Flags that core has no use for, at values that 6.1 leaves free, so that reading and writing lose nothing.
namespace gfp_foreign {
inline constexpr Gfp kNoLockdep{0x08000000};
inline constexpr Gfp kCold{0x10000000};       // until 4.14
inline constexpr Gfp kNoTrack{0x20000000};    // until 4.14
inline constexpr Gfp kOtherNode{0x40000000};  // until 4.9
}  // namespace gfp_foreign

/// One bit of a kernel: the flag it stands for, and its value there.
struct GfpBit {
  Gfp flag;
  std::uint32_t raw;
  bool inverted = false;  ///< the kernel sets it where core's flag is absent (NO_KSWAPD of 3.10)
};

/// A name under which a kernel prints one or more raw bits.
struct GfpName {
  std::uint32_t raw;
  std::string_view name;
};

/// How one range of kernels numbers and prints request flags.
///
/// Source: 05 §4, 09 §7; the order of the names of 5.10 to 7.2 is that of the recorded event formats.
class GfpLayout {
 public:
  constexpr GfpLayout(std::string_view name, std::uint32_t since, std::span<const GfpBit> bits,
                      std::span<const GfpName> names)
      : name_(name), since_(since), bits_(bits), names_(names) {}
  /// "linux-6.1": the first release that has this layout.
  [[nodiscard]] constexpr std::string_view name() const { return name_; }
  /// 1000 × major + minor of that release.
  [[nodiscard]] constexpr std::uint32_t since() const { return since_; }

  /// Core's flags for a raw mask. Raw bits that the layout does not know are dropped.
  [[nodiscard]] Gfp decode(std::uint32_t raw) const;
  /// The raw mask for core's flags. Flags that this kernel does not have are dropped.
  [[nodiscard]] std::uint32_t encode(Gfp flags) const;

  /// Writes a raw mask as the kernel does: names joined with '|', left-over bits in hex; "none" for zero.
  [[nodiscard]] std::string text(std::uint32_t raw) const;
  /// Reads names in any order joined with '|', or a number with 0x; the inverse of `text`. Names of other kernels are
  /// understood where they mean a single flag. nullopt: a word that no kernel prints.
  [[nodiscard]] std::optional<std::uint32_t> parse(std::string_view text) const;

 private:
  std::string_view name_;
  std::uint32_t since_;
  std::span<const GfpBit> bits_;
  std::span<const GfpName> names_;
};

/// All layouts, oldest first.
[[nodiscard]] std::span<const GfpLayout> gfp_layouts();
/// The layout of Linux 6.1, which is core's numbering.
[[nodiscard]] const GfpLayout& gfp_layout_default();
/// The layout of a kernel release such as "6.12.95-amd64", or of a generation's name such as "linux-6.12". nullptr if
/// `release` does not begin with a version.
[[nodiscard]] const GfpLayout* gfp_layout_for_release(std::string_view release);

}  // namespace mmbox::lab
