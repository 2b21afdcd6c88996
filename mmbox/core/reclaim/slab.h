// Caches of kernel objects that shrink when asked: how many objects each is asked for. 08 §9 of the specification.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "mmbox/core/base/gfp.h"
#include "mmbox/core/topology/arith.h"
#include "mmbox/core/topology/layout.h"

namespace mmbox {

/// What one call of a shrinker came to.
struct SlabFreed {
  std::uint64_t scanned = 0;  ///< objects
  PageCount pages;            ///< that held only freed objects, and were freed by the shrinker
};

/// A cache that can shrink, in the host's hands.
class SlabShrinker {
 public:
  /// Objects of a node that could be freed.
  virtual std::uint64_t freeable(NodeId node) = 0;
  /// Frees up to `objects`. nullopt if it cannot work for this mask: it needs a lock of a file system, say.
  virtual std::optional<SlabFreed> scan(NodeId node, std::uint64_t objects, Gfp gfp, CpuId cpu) = 0;
  /// How dear an object is to make again; 0: nothing. Two is usual.
  [[nodiscard]] virtual std::uint32_t seeks() const { return 2; }
  /// Objects of one call.
  [[nodiscard]] virtual std::uint64_t batch() const { return 128; }

  /// By node: objects that were due and have not been scanned. Kept here for `shrink_slab`.
  std::array<std::uint64_t, kMaxNodes> deferred{};

 protected:
  ~SlabShrinker() = default;
};

/// Objects that fall due at one priority. Unit: objects.
struct SlabDue {
  std::uint64_t added;  ///< because of the priority
  std::uint64_t total;  ///< with a part of what was put off before
};
[[nodiscard]] constexpr SlabDue slab_due(std::uint64_t freeable, std::uint64_t deferred, std::uint32_t seeks,
                                         unsigned priority) {
  const std::uint64_t added = seeks == 0 ? freeable / 2 : (freeable >> priority) * 4 / seeks;
  return {added, lesser((deferred >> priority) + added, 2 * freeable)};
}
/// What is put off after `scanned` objects.
[[nodiscard]] constexpr std::uint64_t slab_put_off(std::uint64_t freeable, std::uint64_t deferred, std::uint64_t added,
                                                   std::uint64_t scanned) {
  const std::uint64_t due = deferred + added;
  return lesser(due < scanned ? 0 : due - scanned, 2 * freeable);
}

/// Asks one shrinker for what is due.
inline SlabFreed shrink_slab(SlabShrinker& cache, NodeId node, Gfp gfp, unsigned priority, CpuId cpu) {
  SlabFreed freed;
  const std::uint64_t freeable = cache.freeable(node);
  if (freeable == 0)
    return freed;
  std::uint64_t& deferred = cache.deferred[node.raw()];
  const SlabDue due = slab_due(freeable, deferred, cache.seeks(), priority);
  // A batch is not begun for less, unless that is all there is.
  for (std::uint64_t left = due.total; left >= cache.batch() || left >= freeable;) {
    const std::uint64_t objects = lesser(left, cache.batch());
    const auto some = cache.scan(node, objects, gfp, cpu);
    if (!some)
      break;
    freed.scanned += some->scanned;
    freed.pages += some->pages;
    left -= objects;
  }
  deferred = slab_put_off(freeable, deferred, due.added, freed.scanned);
  return freed;
}

}  // namespace mmbox
