// Mobility of a pageblock or a request, and the order in which one type falls back on the others.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace mmbox {

/// Mobility of a pageblock, of a free list, or of a request.
///
/// These numbers are mmbox's own and do not depend on the build of a kernel: a kernel without CMA prints Isolate as 4.
/// `MigratetypeNumbering` converts. The first three have per-cpu lists; a block of those types merges with any of them.
/// Source: enum migratetype (6.1).
enum class Migratetype : std::uint8_t {
  Unmovable = 0,
  Movable = 1,
  Reclaimable = 2,
  HighAtomic = 3,
  Cma = 4,
  Isolate = 5
};
inline constexpr unsigned kMigratetypes = 6;
/// What kernels before 4.4 set aside instead of HighAtomic. No kernel has both, so it has the same place.
inline constexpr Migratetype kReserve = Migratetype::HighAtomic;
/// Types that have per-cpu lists.
inline constexpr unsigned kPcpTypes = 3;

[[nodiscard]] constexpr unsigned raw(Migratetype type) {
  return static_cast<unsigned>(type);
}
/// Blocks of two mergeable types may join at pageblock order and above.
[[nodiscard]] constexpr bool is_mergeable(Migratetype type) {
  return raw(type) < kPcpTypes;
}
/// The per-cpu list that a page of this type goes to: HighAtomic and CMA pages share the Movable list.
[[nodiscard]] constexpr Migratetype pcp_list_type(Migratetype type) {
  return is_mergeable(type) ? type : Migratetype::Movable;
}

[[nodiscard]] constexpr std::string_view migratetype_name(Migratetype type) {
  constexpr std::array<std::string_view, kMigratetypes> kNames{"Unmovable",  "Movable", "Reclaimable",
                                                               "HighAtomic", "CMA",     "Isolate"};
  return kNames[raw(type)];
}

/// How a kernel numbers the migratetypes in traces and snapshots: Isolate is 4 where CMA is not built, else 5.
class MigratetypeNumbering {
 public:
  constexpr explicit MigratetypeNumbering(bool has_cma) : has_cma_(has_cma) {}
  /// Number of types of that kernel, 5 or 6.
  [[nodiscard]] constexpr unsigned count() const { return has_cma_ ? kMigratetypes : kMigratetypes - 1; }
  [[nodiscard]] constexpr bool has_cma() const { return has_cma_; }
  [[nodiscard]] constexpr unsigned number(Migratetype type) const {
    return type == Migratetype::Isolate && !has_cma_ ? 4 : raw(type);
  }
  /// Checks: `number` < count(); the caller has validated its input.
  [[nodiscard]] constexpr Migratetype type(unsigned number) const {
    return number == 4 && !has_cma_ ? Migratetype::Isolate : static_cast<Migratetype>(number);
  }

 private:
  bool has_cma_;
};

/// The types that a request of `type` takes from when its own lists are empty, in this order.
///
/// Shape: [3 request types][2 alternatives]. CMA, HighAtomic and Isolate are never in it.
/// Source: fallbacks[][], mm/page_alloc.c.
inline constexpr std::array<std::array<Migratetype, 2>, kPcpTypes> kFallbacks{{
    {Migratetype::Reclaimable, Migratetype::Movable},    // Unmovable
    {Migratetype::Reclaimable, Migratetype::Unmovable},  // Movable
    {Migratetype::Unmovable, Migratetype::Movable},      // Reclaimable
}};

static_assert(MigratetypeNumbering{false}.number(Migratetype::Isolate) == 4);
static_assert(MigratetypeNumbering{true}.type(4) == Migratetype::Cma);

}  // namespace mmbox
