#include "mmbox/lab/workload/slab_cache.h"

#include <fmt/format.h>

namespace mmbox::lab {

SlabCache::SlabCache(Machine& machine, Population& pages, std::uint32_t objects_per_page, std::uint64_t seed)
    : machine_(machine),
      pages_(pages),
      objects_per_page_(objects_per_page),
      random_(seed),
      objects_of_node_(machine.view().nodes.size()),
      objects_(machine.view().env.map.frames()) {
  for (const NodeState& node : machine.view().nodes)
    owners_.push_back(pages.add_owner(fmt::format("slab of node {}", node.id.raw())));
}

void SlabCache::add(Pfn pfn, Order order, bool is_compound) {
  NodeState& node = machine_.view().nodes[machine_.view().zone_of(machine_.view().env.map.index(pfn)).node.raw()];
  PopulationPage page;
  page.use = PageUse::Slab;
  page.order = static_cast<std::uint8_t>(order.raw());
  page.is_compound = is_compound;
  page.owner = owners_[node.id.raw()];
  pages_.put(pfn, page);
  node.pages.slab_reclaimable += static_cast<std::int64_t>(PageCount::in(order).raw());
  objects_[at(pfn)] = objects_per_page_ << order.raw();
  objects_of_node_[node.id.raw()] += objects_[at(pfn)];
}

std::uint64_t SlabCache::pages() const {
  std::uint64_t sum = 0;
  for (const OwnerId owner : owners_)
    sum += pages_.owner(owner).held_pages;
  return sum;
}

PageCount SlabCache::release(Pfn pfn, CpuId cpu) {
  const Order order{pages_.page(pfn).order};
  NodeState& node = machine_.view().nodes[machine_.view().zone_of(machine_.view().env.map.index(pfn)).node.raw()];
  const PageCount count = PageCount::in(order);
  objects_of_node_[node.id.raw()] -= objects_[at(pfn)];
  objects_[at(pfn)] = 0;
  node.pages.slab_reclaimable -= static_cast<std::int64_t>(count.raw());
  pages_.forget(pfn);
  machine_.free(pfn, order, cpu);
  return count;
}

void SlabCache::free_random(CpuId cpu) {
  const std::size_t first = random_.below(owners_.size());
  for (std::size_t i = 0; i < owners_.size(); ++i) {
    const std::vector<Pfn>& blocks = pages_.owner(owners_[(first + i) % owners_.size()]).pages;
    if (blocks.empty())
      continue;
    release(blocks[random_.below(blocks.size())], cpu);
    return;
  }
}

std::optional<SlabFreed> SlabCache::scan(NodeId node, std::uint64_t objects, Gfp gfp, CpuId cpu) {
  // As dentries and inodes: their locks are those of a file system.
  if (!gfp.has(gfp::kFs))
    return std::nullopt;
  SlabFreed freed;
  const std::vector<Pfn>& blocks = pages_.owner(owners_[node.raw()]).pages;
  for (; freed.scanned < objects && !blocks.empty(); ++freed.scanned) {
    const Pfn pfn = blocks[random_.below(blocks.size())];
    --objects_of_node_[node.raw()];
    if (--objects_[at(pfn)] == 0)
      freed.pages += release(pfn, cpu);
  }
  return freed;
}

}  // namespace mmbox::lab
