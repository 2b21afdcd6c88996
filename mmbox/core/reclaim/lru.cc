#include "mmbox/core/reclaim/lru.h"

namespace mmbox {

void Lru::count(const ZoneState& zone, LruList list, std::int64_t change) {
  const auto more = static_cast<std::uint64_t>(change);  // adding it wraps where it is negative
  by_zone_[zone.id.raw()][static_cast<std::size_t>(list)] += more;
  chain(zone.node, list).pages += more;
  NodePageStats& stats = machine_->nodes[zone.node.raw()].pages;
  switch (list) {
    case LruList::InactiveAnon: stats.inactive_anon += change; break;
    case LruList::ActiveAnon: stats.active_anon += change; break;
    case LruList::InactiveFile: stats.inactive_file += change; break;
    case LruList::ActiveFile: stats.active_file += change; break;
    case LruList::Unevictable: break;
  }
}

void Lru::insert(FrameIndex page, LruList list, End end) {
  const MemMap& map = machine_->env.map;
  const ZoneState& zone = machine_->zone_of(page);
  Chain& to = chain(zone.node, list);
  const FrameIndex next = end == End::Head ? to.head : kNil;
  const FrameIndex prev = end == End::Head ? kNil : to.tail;
  map.links(page, 0) = {next, prev};
  (next == kNil ? to.tail : map.links(next, 0).prev) = page;
  (prev == kNil ? to.head : map.links(prev, 0).next) = page;
  count(zone, list, 1);
}

void Lru::remove(FrameIndex page, LruList list) {
  const MemMap& map = machine_->env.map;
  const ZoneState& zone = machine_->zone_of(page);
  Chain& from = chain(zone.node, list);
  MMBOX_CHECK(from.pages > 0, "page taken off an empty LRU list: pfn, list", map.pfn(page).raw(), list);
  const auto [next, prev] = map.links(page, 0);
  (next == kNil ? from.tail : map.links(next, 0).prev) = prev;
  (prev == kNil ? from.head : map.links(prev, 0).next) = next;
  count(zone, list, -1);
}

std::uint64_t Lru::pages(NodeId node, LruList list, ZoneIndex highest) const {
  const std::size_t types = machine_->zone_types.size();
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i <= highest.raw() && i < types; ++i)
    sum += pages(ZoneId{node.raw() * types + i}, list);
  return sum;
}

void Lru::add_cost(NodeId node, LruType type, std::uint64_t pages) {
  std::uint64_t all = 0;
  for (const LruList list : kAgeingLists)
    all += this->pages(node, list);
  memory_[node.raw()].costs.add(type, pages, all);
}

void Lru::refaulted(NodeId node, LruType type, Refault how) {
  add_cost(node, type, 1);
  if (how == Refault::Activated)
    memory_[node.raw()].activated[static_cast<std::size_t>(type)] = true;
}

}  // namespace mmbox
