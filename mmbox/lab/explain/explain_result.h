// What `explain` concludes from one failure report: plain data for the printers and for tests.
//
// All numbers are base pages unless the name says otherwise. A margin is what is left above what is needed: the
// kernel's comparison is strict, so a zone passes if its margin is at least 1, and is short by `1 - margin` otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/core/base/gfp.h"
#include "mmbox/core/base/migratetype.h"
#include "mmbox/core/base/units.h"
#include "mmbox/lab/explain/failure_report.h"

namespace mmbox::lab::explain {

/// What a report is about.
enum class ReportKind : std::uint8_t {
  AllocationFailure,
  AllocationStall,
  GlobalOom,
  MemcgOom,
  CpusetOom,
  MempolicyOom,
  VmallocFailure,
  PageFaultOom,
  Snapshot,
  CmaFailure,
  Headless,  ///< memory state of a report whose first line is lost
};
[[nodiscard]] const char* name_of(ReportKind kind);
/// The page allocator refused somebody and the OOM killer was called: whole machine, cpuset or memory policy.
[[nodiscard]] bool is_oom(ReportKind kind);
/// There is a request to the page allocator whose walk can be repeated.
[[nodiscard]] bool is_refusal(ReportKind kind);

/// The check that refused, of one zone or of the whole request.
enum class Check : std::uint8_t {
  None,                ///< nothing was refused by the page allocator, or there is no request
  Empty,               ///< the zone has no memory: the walk does not visit it
  NotEligible,         ///< the zone lies above the highest one that the request may use
  NodeForbidden,       ///< nodemask or cpuset
  LowmemReserve,       ///< would pass without lowmem_reserve
  Boost,               ///< would pass without the temporary watermark boost
  HighAtomic,          ///< would pass if the high-atomic reserve counted
  Cma,                 ///< would pass if CMA pages counted
  LowMemory,           ///< too few free pages
  HighOrderWatermark,  ///< the per-order test of kernels before 4.4
  Fragmented,          ///< enough pages, no block large enough
  OnlyCma,             ///< blocks of the size are CMA's only
  OnlyHighAtomic,
  OnlyIsolated,
  Exhausted,   ///< no watermark applies and nothing usable is free
  Passes,      ///< the printed state would satisfy the request
  CannotTell,  ///< the report lacks the numbers
};
[[nodiscard]] const char* name_of(Check check);

enum class Confidence : std::uint8_t { High, Medium, Low, None };
[[nodiscard]] const char* name_of(Confidence confidence);

/// The zone types that a kernel was built with, by index.
struct ZoneLayout {
  std::vector<ZoneType> types{};
  std::vector<std::vector<ZoneType>> also_fit{};  ///< other builds that the report may come from
  [[nodiscard]] std::optional<unsigned> index_of(ZoneType type) const;
};

/// Who asked, as far as it decides rights.
struct Context {
  bool is_interrupt = false;
  bool is_softirq = false;
  bool is_kernel_thread = false;
  bool has_pf_memalloc = false;  ///< kswapd, direct reclaim, direct compaction
  bool is_dying = false;
};

/// The request in core's terms.
struct RequestFacts {
  unsigned order = 0;
  std::uint64_t bytes = 0;
  std::uint64_t raw_mask = 0;
  std::string mask_text{};             ///< names in that kernel's layout
  std::string layout_name{};           ///< first release that has the layout
  bool names_contradict_mask = false;  ///< no known layout has the number for the names; the names are believed
  Gfp gfp{};
  ZoneType highest_zone = ZoneType::Normal;
  unsigned highest_index = 2;
  Migratetype type = Migratetype::Unmovable;
  AllocFlags flags{};  ///< of the slow path's first attempt
  bool no_watermarks = false;
  Context context{};

  // What the slow path may do with this mask.
  bool may_wake_kswapd = false;
  bool may_reclaim = false;
  bool may_compact = false;
  bool may_enter_fs = false;
  bool may_do_io = false;
  bool may_loop = false;
  bool may_oom_kill = false;
  bool may_use_reserves = false;
  bool may_not_fail = false;
};

/// One comparison with a mark.
struct Attempt {
  const char* mark_name = "min";
  std::int64_t printed_mark = 0;  ///< boost included
  std::int64_t lowered_mark = 0;  ///< after what the request's rights take off
  std::int64_t block_pages = 0;   ///< 2^order - 1
  std::int64_t highatomic_pages = 0;
  std::int64_t cma_pages = 0;
  std::int64_t left = 0;  ///< free pages minus the three above
  std::int64_t lowmem_reserve = 0;
  std::int64_t need = 0;  ///< lowered mark + reserve
  std::int64_t margin = 0;
  bool without_boost = false;  ///< the second chance of atomic order-0 requests
  // The per-order test, if that is what this kernel does.
  bool is_loop = false;
  bool loop_failed_first = false;
  unsigned loop_failed_order = 0;
  std::int64_t loop_left = 0;
  std::int64_t loop_mark = 0;

  Check check = Check::CannotTell;
  /// Pages short of passing this comparison; 0 if the pages suffice.
  std::int64_t short_by = 0;
  /// Further single deductions without each of which the comparison would pass as well.
  std::vector<Check> also{};

  /// Pages to spare in the comparison that is passed last.
  [[nodiscard]] std::int64_t spare() const { return is_loop && !loop_failed_first ? loop_left - loop_mark : margin; }
};

/// The state of one zone and what its tests said.
struct ZoneFacts {
  std::optional<std::uint32_t> node{};
  std::string name{};
  std::optional<unsigned> index{};
  bool is_eligible = false;
  Check check = Check::CannotTell;
  std::int64_t short_by = 0;

  std::optional<std::int64_t> free{};
  std::optional<std::int64_t> boost{};
  bool boost_is_inferred = false;  ///< not printed; at least this much is in the marks
  std::optional<std::int64_t> min{};
  std::optional<std::int64_t> low{};
  std::optional<std::int64_t> high{};
  std::optional<std::int64_t> reserved_highatomic{};
  std::optional<std::int64_t> free_highatomic{};
  std::optional<std::int64_t> free_cma{};
  std::optional<std::int64_t> present{};
  std::optional<std::int64_t> managed{};
  std::optional<std::int64_t> free_pcp{};
  std::optional<std::int64_t> local_pcp{};
  std::vector<std::int64_t> lowmem_reserve{};
  std::vector<OrderBlocks> blocks{};
  bool blocks_elided = false;

  /// The comparisons, in the order in which the kernel made them; the last one decides. Empty: not eligible.
  std::vector<Attempt> attempts{};
  /// The high-atomic pages that the kernel deducted are known only to lie between these.
  std::int64_t highatomic_least = 0;
  std::int64_t highatomic_most = 0;
  bool highatomic_is_exact = true;
  bool reserve_is_known = true;

  // For order > 0.
  std::optional<std::int64_t> fragmentation_index{};
  std::optional<std::int64_t> unusable_index{};
  std::string fitting_letters{};      ///< of the blocks of the order and above
  bool fitting_letters_known = true;  ///< old kernels print no letters
  /// Would compaction have been suitable: "yes", "too little free memory", "not fragmented enough", "not needed".
  std::optional<std::string> compaction{};
  bool is_compaction_suitable = false;

  std::int64_t reclaimable_file = 0;
  std::int64_t reclaimable_anon = 0;
  std::optional<bool> all_unreclaimable{};

  /// "Node 0 Normal", or "Normal" where nodes are not printed.
  [[nodiscard]] std::string label() const;
};

/// How sure a remedy is.
enum class Certainty : std::uint8_t {
  Exact,   ///< computed: in the printed state the request would have passed
  Likely,  ///< the numbers support it, the outcome depends on what is not printed
};

struct Remedy {
  Certainty certainty = Certainty::Likely;
  std::string text{};
  std::string zone{};                    ///< label; empty: not one zone
  std::optional<std::int64_t> margin{};  ///< pages to spare with this remedy
};

/// A fact of the slow path: could it, and if not, what follows.
struct SlowPathFact {
  std::string name{};
  bool can = false;
  std::string text{};
};

struct Verdict {
  Check check = Check::CannotTell;
  std::string zone{};  ///< label of the zone that decided; empty if none
  std::optional<std::int64_t> short_by{};
  std::string sentence{};
};

struct Explanation {
  ReportKind kind = ReportKind::Headless;
  FailureReport report{};
  std::string kernel{};  ///< release as printed, or what was inferred
  bool kernel_is_inferred = false;
  std::string rules{};  ///< which generation's tests were applied
  std::uint64_t page_bytes = 4096;
  ZoneLayout layout{};
  std::optional<RequestFacts> request{};
  std::vector<ZoneFacts> zones{};  ///< in the order of the walk; not eligible ones last
  std::vector<SlowPathFact> slow_path{};
  Verdict verdict{};
  std::vector<Remedy> remedies{};
  Confidence confidence = Confidence::None;
  std::vector<std::string> missing{};
  std::vector<std::string> notes{};
  /// A part of the report that a whole one has is not there.
  bool is_torn = false;
};

/// What stands above the remedies: what would have helped, or, if nothing was refused, what to look at.
[[nodiscard]] bool has_several_nodes(const Explanation& explanation);

/// "64 KiB", "2 MiB".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

[[nodiscard]] const char* remedies_heading(const Explanation& explanation);

/// Explains one report. Total: any report gives an explanation, if only "cannot tell".
[[nodiscard]] Explanation explain(FailureReport report);

}  // namespace mmbox::lab::explain
