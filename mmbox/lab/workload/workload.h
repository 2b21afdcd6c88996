// What a run does: a machine, what is in its memory at the beginning, and what is asked of it, phase by phase.
//
// Plain data, read from a TOML file; docs/formats.md has the keys. Nothing here is drawn by chance yet: that begins
// with the seed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/core/base/gfp.h"
#include "mmbox/lab/error.h"

namespace mmbox::lab {

/// What becomes of the pages that are asked for: the dial of a workload.
enum class Demanded : std::uint8_t {
  Movable,      ///< anonymous pages of tasks
  Unmovable,    ///< the kernel's own
  Reclaimable,  ///< slab caches that shrink
};
inline constexpr std::size_t kDemandedKinds = 3;

/// One kind of request, and how often it is made beside the others of its kind.
struct RequestKind {
  Demanded kind = Demanded::Movable;
  unsigned order = 0;
  Gfp gfp;
  std::uint32_t weight = 1;
};

/// What is asked for in a stretch of time. Rates are by simulated second.
struct Phase {
  std::string name;
  std::uint64_t duration_ns = 0;
  std::uint64_t allocations = 0;                                 ///< blocks
  std::array<std::uint32_t, kDemandedKinds> shares{70, 20, 10};  ///< of the allocations, and of `live_pages`
  /// What is allocated beyond it is freed, a random block at a time; nothing is freed while there is no limit.
  std::uint64_t live_pages = kNoLimit;
  std::uint64_t reads = 0;       ///< pages of files
  std::uint64_t writes = 0;      ///< pages of files, dirty afterwards
  std::uint64_t touches = 0;     ///< pages of tasks
  std::uint32_t pinned_ppm = 0;  ///< of the movable single pages: they stay where they are while they live
  std::string task;              ///< whose the movable pages are; empty: all tasks'

  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
};

/// What memory holds when the run begins. Unit: pages.
struct StartPages {
  std::uint64_t anonymous = 0;
  std::uint64_t kernel = 0;
  std::uint64_t slab = 0;
  std::uint64_t file = 0;
  std::uint32_t dirty_ppm = 0;   ///< of the file pages
  std::uint32_t pinned_ppm = 0;  ///< of the anonymous pages
  std::uint32_t holes_ppm = 0;   ///< of all these pages: freed again, here and there
};

enum class OomDecision : std::uint8_t {
  Kill,  ///< the task with the most pages
  Fail,  ///< nobody: the request is refused
};

struct Workload {
  std::string machine;     ///< as `mmbox boot` takes it; empty if there is a snapshot
  std::string snapshot;    ///< FILE[:LABEL]
  std::string generation;  ///< of a described machine; empty: its own
  std::uint64_t seed = 1;
  std::uint64_t tick_ns = 10'000'000;
  std::uint64_t sample_ns = 1'000'000'000;
  OomDecision oom = OomDecision::Kill;
  std::uint64_t swap_pages = 0;
  std::uint64_t disk_pages = 51'200;   ///< that the disk writes in a second: 200 MiB
  std::uint64_t file_pages = 262'144;  ///< of all files together: 1 GiB
  std::uint32_t tasks = 8;
  std::uint32_t objects_per_page = 16;  ///< of the slab caches
  std::vector<std::string> settings;    ///< "vm.swappiness=10", in order
  std::vector<RequestKind> requests;    ///< at least one of each kind
  StartPages start;
  std::vector<Phase> phases;  ///< at least one

  [[nodiscard]] std::uint64_t duration_ns() const;
};

/// Bytes that a description may have.
inline constexpr std::size_t kMaxWorkloadText = 1 << 20;

/// Reads a workload. Paths in it are relative to the folder of `file`, which is also named in errors, with line and
/// column.
[[nodiscard]] Expected<Workload> read_workload(std::string_view text, std::string_view file);
[[nodiscard]] Expected<Workload> load_workload(const std::string& path);

/// "1h", "90s", "10ms": nanoseconds; nullopt for anything else, and for more than 31 days.
[[nodiscard]] std::optional<std::uint64_t> parse_duration(std::string_view text);

}  // namespace mmbox::lab
