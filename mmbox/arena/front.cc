#include "mmbox/arena/front.h"

#include <algorithm>

namespace mmbox {

void FrontStacks::prepare(const MachineView& machine, std::uint64_t frames) {
  cpus_ = static_cast<unsigned>(machine.cpu_nodes.size());
  stacks_ = std::make_unique<Cpu[]>(cpus_);
  const std::uint64_t share = frames / 128 / cpus_;
  const std::size_t types = machine.zone_types.size();
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
    Cpu& mine = stacks_[cpu];
    detail::PagesetLock::prepare(mine.lock_word, static_cast<std::uint16_t>(cpu));
    for (unsigned type = 0; type < kTypes; ++type) {
      for (unsigned order = 0; order < kOrders; ++order) {
        FrameIndex* const base = mine.blocks[type].data() + front::kFirst[order];
        Stack& stack = mine.of[type][order];
        stack.top = stack.base = base;
        stack.end = base + std::min<std::uint64_t>(front::depth(order), share >> order);
      }
    }
    for (std::size_t i = 0; i < types; ++i) {
      const ZoneState& zone = machine.zones[machine.cpu_nodes[cpu].raw() * types + i];
      if (!zone.is_populated())
        continue;
      if (zone.type != ZoneType::Movable)
        mine.home.fill(static_cast<std::uint16_t>(zone.id.raw()));
      else
        mine.home[raw(Migratetype::Movable)] = static_cast<std::uint16_t>(zone.id.raw());
    }
  }
}

std::size_t FrontStacks::stock(const MemMap& map, std::span<const Pfn> pages, Migratetype type, unsigned cpu) {
  if (cpu >= cpus_)
    return 0;
  Cpu& mine = stacks_[cpu];
  const TryGuard<ArenaSync::Pageset> lock{mine.lock_word};
  if (!lock.held())
    return 0;
  Stack& stack = mine.of[raw(type)][0];
  std::size_t kept = 0;
  for (; kept < pages.size() && stack.top != stack.end; ++kept) {
    const FrameIndex index = map.index(pages[kept]);
    map.set_state(index, 0, FrameState{});
    *stack.top = index;
    publish(stack.top, stack.top + 1);
  }
  return kept;
}

void FrontStacks::take_all(unsigned cpu, std::vector<std::pair<FrameIndex, unsigned>>& out) {
  Cpu& mine = stacks_[cpu];
  bool has_any = false;
  for (const auto& of_type : mine.of)
    for (const Stack& stack : of_type)
      has_any = has_any || racy(stack.top) != stack.base;
  if (!has_any)
    return;
  const Guard<ArenaSync::Pageset> lock{mine.lock_word};
  for (auto& of_type : mine.of) {
    for (unsigned order = 0; order < kOrders; ++order) {
      Stack& stack = of_type[order];
      for (const FrameIndex* at = stack.base; at != stack.top; ++at) {
        out.emplace_back(*at, order);
        publish(mine.emptied, mine.emptied + 1);
        publish(mine.emptied_pages, mine.emptied_pages + (std::uint64_t{1} << order));
      }
      publish(stack.top, stack.base);
    }
  }
}

bool FrontStacks::holds(FrameIndex index, unsigned& order) {
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
    Cpu& mine = stacks_[cpu];
    const Guard<ArenaSync::Pageset> lock{mine.lock_word};
    for (const auto& of_type : mine.of) {
      for (order = 0; order < kOrders; ++order)
        if (std::find(of_type[order].base, of_type[order].top, index) != of_type[order].top)
          return true;
    }
  }
  return false;
}

std::uint64_t FrontStacks::pages() const {
  std::uint64_t pages = 0;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu)
    for (const auto& of_type : stacks_[cpu].of)
      for (unsigned order = 0; order < kOrders; ++order)
        pages += static_cast<std::uint64_t>(racy(of_type[order].top) - of_type[order].base) << order;
  return pages;
}

FrontStacks::Counts FrontStacks::counts() const {
  // Handed out is what came, from programs or from the engine, and is neither here nor went back. What came from the
  // engine was counted there as allocated already, and what went back will be as freed.
  Counts counts;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
    const Cpu& each = stacks_[cpu];
    const auto emptied_pages = static_cast<std::int64_t>(racy(each.emptied_pages));
    counts.allocations -= static_cast<std::int64_t>(racy(each.emptied));
    counts.allocated -= emptied_pages;
    counts.freed -= emptied_pages;
    for (const auto& of_type : each.of) {
      for (unsigned order = 0; order < kOrders; ++order) {
        const auto given = static_cast<std::int64_t>(racy(of_type[order].given));
        const std::int64_t here = racy(of_type[order].top) - of_type[order].base;
        counts.allocations += given - here;
        counts.allocated += (given - here) * (std::int64_t{1} << order);
        counts.freed += given * (std::int64_t{1} << order);
      }
    }
  }
  return counts;
}

}  // namespace mmbox
