#include "mmbox/core/observe/validate.h"

namespace mmbox {
namespace {

class Validator {
 public:
  Validator(const MachineView& machine, const ZoneState& zone)
      : machine_(machine), map_(machine.env.map), zone_(zone) {}

  std::optional<Violation> run() {
    for (unsigned order = 0; order < kOrders; ++order)
      if (auto bad = free_area(order))
        return bad;
    for (std::size_t cpu = 0; cpu < machine_.cpu_nodes.size(); ++cpu)
      if (auto bad = pageset(machine_.pageset(zone_.id, CpuId{cpu})))
        return bad;
    if (auto bad = frames())
      return bad;
    return counters();
  }

 private:
  [[nodiscard]] Violation at(const char* what, FrameIndex index, std::uint64_t other = 0) const {
    return {what, map_.pfn(index).raw(), other};
  }

  std::optional<Violation> block(FrameIndex index, unsigned order) const {
    if (index >= map_.frames())
      return Violation{"a list leads out of the machine: index, order", index, order};
    if (index % (FrameIndex{1} << order) != 0)
      return at("block is not aligned: pfn, order", index, order);
    if (index < zone_.begin || index + (FrameIndex{1} << order) > zone_.end)
      return at("block is not inside its zone: pfn, order", index, order);
    return std::nullopt;
  }

  std::optional<Violation> free_area(unsigned order) {
    std::uint64_t blocks = 0;
    for (unsigned t = 0; t < kMigratetypes; ++t) {
      const FreeList& list = zone_.lists[order][t];
      const bool marked = (zone_.nonempty[t] >> order & 1U) != 0;
      if (marked != (list.blocks != 0))
        return Violation{"nonempty bit and list disagree: order, type", order, t};
      std::uint32_t seen = 0;
      FrameIndex before = kNil;
      for (FrameIndex i = list.head; i != kNil; i = map_.links(i, order).next) {
        if (auto bad = block(i, order))
          return bad;
        const FrameState state = map_.state(i);
        if (!state.is_buddy_of(order) || raw(state.type()) != t)
          return at("block on a free list is marked otherwise: pfn, order", i, order);
        if (map_.links(i, order).prev != before)
          return at("free list is not linked back: pfn, order", i, order);
        if (++seen > list.blocks)
          return at("free list is longer than it says: pfn, blocks", i, list.blocks);
        if (auto bad = merged(i, order))
          return bad;
        before = i;
        if (static_cast<Migratetype>(t) != Migratetype::Isolate)
          free_pages_ += std::int64_t{1} << order;
        if (static_cast<Migratetype>(t) == Migratetype::Cma)
          free_cma_pages_ += std::int64_t{1} << order;
      }
      if (seen != list.blocks)
        return Violation{"free list is shorter than it says: seen, blocks", seen, list.blocks};
      if (list.blocks != 0 && list.tail != before)
        return Violation{"free list ends elsewhere than it says: tail, last", list.tail, before};
      blocks += list.blocks;
      listed_blocks_ += list.blocks;
    }
    if (blocks != zone_.nr_free[order])
      return Violation{"nr_free is not the number of blocks: blocks, nr_free", blocks, zone_.nr_free[order]};
    return std::nullopt;
  }

  /// Below pageblock order every pair of free buddies must have merged; above, pageblocks that are set apart may stay
  /// so.
  std::optional<Violation> merged(FrameIndex index, unsigned order) const {
    if (order >= kPageblockOrder)
      return std::nullopt;
    const FrameIndex buddy = index ^ (FrameIndex{1} << order);
    const bool inside =
        buddy >= zone_.begin && buddy < zone_.end && map_.pageblock(buddy).zone == map_.pageblock(index).zone;
    if (inside && map_.is_free_head(buddy, order))
      return at("free buddies have not merged: pfn, order", index, order);
    return std::nullopt;
  }

  std::optional<Violation> pageset(const PcpState& pageset) {
    std::int64_t pages = 0;
    for (unsigned l = 0; l < kPcpLists; ++l) {
      const unsigned order = PcpShape::order(l);
      FrameIndex last = kNil;
      for (FrameIndex i = pageset.lists[l].head; i != kNil; i = map_.links(i, order).next) {
        if (auto bad = block(i, order))
          return bad;
        const FrameState state = map_.state(i);
        if (state.kind() != FrameState::Kind::Pcp || state.order() != order)
          return at("block on a per-cpu list is marked otherwise: pfn, list", i, l);
        pages += std::int64_t{1} << order;
        if (pages > pageset.count)
          return at("per-cpu lists hold more than count: pfn, count", i, static_cast<std::uint64_t>(pageset.count));
        last = i;
        ++listed_blocks_;
      }
      if (last != kNil && pageset.lists[l].tail != last)
        return Violation{"per-cpu list ends elsewhere than it says: tail, last", pageset.lists[l].tail, last};
    }
    if (pages != pageset.count)
      return Violation{"per-cpu lists hold fewer pages than count: pages, count", static_cast<std::uint64_t>(pages),
                       static_cast<std::uint64_t>(pageset.count)};
    return std::nullopt;
  }

  /// Every head that the frames show is on a list, and no block holds another one.
  std::optional<Violation> frames() const {
    std::uint64_t free_heads = 0;
    FrameIndex busy_until = 0;
    for (FrameIndex i = zone_.begin; i < zone_.end;) {
      if (i % kPageblockPages == 0 && map_.pageblock(i).zone != zone_.id.raw()) {
        i += static_cast<FrameIndex>(kPageblockPages);  // a hole, or another zone's
        continue;
      }
      const FrameState state = map_.state(i);
      if (!state.is_none()) {
        if (i < busy_until)
          return at("a block holds the head of another: pfn, end of the block", i, map_.pfn(busy_until).raw());
        busy_until = i + (FrameIndex{1} << state.order());
        if (state.kind() != FrameState::Kind::Allocated)
          ++free_heads;
      }
      ++i;
    }
    if (free_heads != listed_blocks_)
      return Violation{"frames show other free blocks than the lists: heads, listed", free_heads, listed_blocks_};
    return std::nullopt;
  }

  std::optional<Violation> counters() const {
    std::int64_t free = zone_.stat[0];
    std::int64_t cma = zone_.stat[1];
    for (std::size_t cpu = 0; cpu < machine_.cpu_nodes.size(); ++cpu) {
      free += machine_.pageset(zone_.id, CpuId{cpu}).stat.delta[0];
      cma += machine_.pageset(zone_.id, CpuId{cpu}).stat.delta[1];
    }
    if (free != free_pages_)
      return Violation{"NR_FREE_PAGES and its deltas are not what the lists hold: counted, held",
                       static_cast<std::uint64_t>(free), static_cast<std::uint64_t>(free_pages_)};
    if (machine_.env.rules->has_cma && cma != free_cma_pages_)
      return Violation{"NR_FREE_CMA_PAGES is not what the lists hold: counted, held", static_cast<std::uint64_t>(cma),
                       static_cast<std::uint64_t>(free_cma_pages_)};
    for (unsigned w = 1; w < 3; ++w)
      if (zone_.watermark[w - 1] > zone_.watermark[w])
        return Violation{"watermarks do not ascend: zone, mark", zone_.id.raw(), w};
    return std::nullopt;
  }

  const MachineView& machine_;
  const MemMap& map_;
  const ZoneState& zone_;
  std::int64_t free_pages_ = 0;
  std::int64_t free_cma_pages_ = 0;
  std::uint64_t listed_blocks_ = 0;
};

}  // namespace

std::optional<Violation> validate(const MachineView& machine) {
  for (const ZoneState& zone : machine.zones) {
    if (!zone.is_populated())
      continue;
    if (auto bad = Validator{machine, zone}.run())
      return bad;
  }
  return std::nullopt;
}

}  // namespace mmbox
