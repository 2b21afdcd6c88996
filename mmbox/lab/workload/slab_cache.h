// Kernel objects in slab pages, of which a shrinker frees some: a page goes when its last object does.
#pragma once

#include <cstdint>
#include <vector>

#include "mmbox/lab/population/population.h"
#include "mmbox/lab/workload/random.h"

namespace mmbox::lab {

/// One cache for the whole machine, with the pages of each node apart.
///
/// Every page holds the same number of objects when it is new. Which object goes next has nothing to do with where it
/// lies: a random one, so that the pages of a cache that shrinks are long held by few objects.
class SlabCache final : public SlabShrinker {
 public:
  /// Machine and population outlive it.
  SlabCache(Machine& machine, Population& pages, std::uint32_t objects_per_page, std::uint64_t seed);

  /// A block that was allocated for the cache.
  void add(Pfn pfn, Order order, bool is_compound);
  /// Frees one block, whatever lies in it.
  void free_random(CpuId cpu);
  [[nodiscard]] std::uint64_t pages() const;

  // SlabShrinker
  std::uint64_t freeable(NodeId node) override { return objects_of_node_[node.raw()]; }
  std::optional<SlabFreed> scan(NodeId node, std::uint64_t objects, Gfp gfp, CpuId cpu) override;

 private:
  PageCount release(Pfn pfn, CpuId cpu);
  [[nodiscard]] std::size_t at(Pfn pfn) const { return machine_.view().env.map.index(pfn); }

  Machine& machine_;
  Population& pages_;
  std::uint32_t objects_per_page_;
  Random random_;
  std::vector<OwnerId> owners_;                 ///< by node
  std::vector<std::uint64_t> objects_of_node_;  ///< by node
  std::vector<std::uint32_t> objects_;          ///< left in a block, by the index of its first frame
};

}  // namespace mmbox::lab
