// What differs between kernels in how they print a failure and how they decide it, as data.
//
// Vendors back-port: what a report prints outweighs what its release promises.
#pragma once

#include <cstdint>
#include <string>

#include "mmbox/lab/explain/failure_report.h"
#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab::explain {

/// How a kernel makes the high-atomic pages known that its watermark test deducts.
enum class HighAtomicPrint : std::uint8_t {
  None,      ///< before 4.4 there are none
  Hidden,    ///< 4.4 to 5.4: deducted, not printed
  Reserved,  ///< 5.5 to 6.11: the size of the reserved blocks is printed and deducted
  Bounded,   ///< 6.12: free pages are deducted (in later 6.12.y), the size of the blocks is printed
  Free,      ///< 6.13 on: free pages are printed and deducted
};

/// __GFP_MOVABLE of 2.6.23 to 2.6.30. Nothing else had this bit before __GFP_KMEMCG of 3.8.
inline constexpr std::uint32_t kEarlyMovableBit = 0x100000;

struct KernelFacts {
  std::string text{};  ///< release as printed, or "about 5.10 (by its fields)"
  bool is_inferred = false;
  std::uint32_t version = 0;  ///< 1000 × major + minor
  std::uint32_t patch = 0;    ///< stable level; 0 if not known
  const char* rules = "";     ///< the name of the row that applies
  WatermarkPolicy watermark{WatermarkRule::Reserves, WatermarkFastRule::AllDeductions, BoostException::MinReserve};
  HighAtomicPrint highatomic = HighAtomicPrint::Free;
  bool prints_boost = true;            ///< 5.16 on
  bool prints_letters = true;          ///< 3.8 on
  bool hides_higher_zones = true;      ///< 6.1 on: zones above the request's are not printed
  bool compaction_needs_fs = false;    ///< before 4.10
  const GfpLayout* gfp = nullptr;      ///< never null
  bool has_early_movable_bit = false;  ///< 2.6.23 to 2.6.30: `kEarlyMovableBit` is __GFP_MOVABLE
};

/// Chooses the facts for a report: by release, else by the fields that it prints; the gfp layout also by the names
/// that stand beside the mask.
[[nodiscard]] KernelFacts kernel_facts(const FailureReport& report);

}  // namespace mmbox::lab::explain
