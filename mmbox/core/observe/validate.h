// Does a machine's state hold together? Every invariant of the data, checked from the lists and from the frames.
#pragma once

#include <cstdint>
#include <optional>

#include "mmbox/core/alloc/machine_view.h"

namespace mmbox {

/// The first invariant that does not hold; `what` is a static string that says what `a` and `b` are.
struct Violation {
  const char* what;
  std::uint64_t a;
  std::uint64_t b;
};

/// Checks, for every zone: lists are linked both ways and as long as they say; blocks are aligned, inside the zone,
/// disjoint and marked as what they are; nothing stands twice; buddies that may merge have merged; counters and their
/// deltas add up to what the lists hold; per-cpu counts agree with their lists; marks ascend.
///
/// Cost: one pass over the lists, and one over the frames of the zones. Reads only.
[[nodiscard]] std::optional<Violation> validate(const MachineView& machine);

}  // namespace mmbox
