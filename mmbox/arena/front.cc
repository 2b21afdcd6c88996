#include "mmbox/arena/front.h"

#include <algorithm>

namespace mmbox {

void FrontStacks::prepare(const MachineView& machine, std::uint64_t frames) {
  cpus_ = static_cast<unsigned>(machine.cpu_nodes.size());
  stacks_ = std::make_unique<Cpu[]>(cpus_);
  const std::uint64_t share = frames / 128 / cpus_;
  for (unsigned order = 0; order < kOrders; ++order)
    limit_[order] = static_cast<std::uint32_t>(std::min<std::uint64_t>(front::depth(order), share >> order));
  const std::size_t types = machine.zone_types.size();
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
    Cpu& mine = stacks_[cpu];
    detail::PagesetLock::prepare(mine.lock_word, static_cast<std::uint16_t>(cpu));
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
  const OwnLock lock{mine.lock_word, cpu};
  if (!lock.held())
    return 0;
  std::uint32_t& count = mine.count[raw(type)][0];
  std::size_t kept = 0;
  for (; kept < pages.size() && count < limit_[0]; ++kept) {
    const FrameIndex index = map.index(pages[kept]);
    map.set_state(index, 0, FrameState{});
    mine.blocks[raw(type)][front::kFirst[0] + count] = index;
    publish(count, count + 1);
  }
  return kept;
}

void FrontStacks::take_all(unsigned cpu, std::vector<std::pair<FrameIndex, unsigned>>& out) {
  Cpu& mine = stacks_[cpu];
  bool has_any = false;
  for (const auto& of_type : mine.count)
    for (const std::uint32_t& count : of_type)
      has_any = has_any || racy(count) != 0;
  if (!has_any)
    return;
  const Guard<ArenaSync::Pageset> lock{mine.lock_word};
  for (unsigned type = 0; type < kTypes; ++type) {
    for (unsigned order = 0; order < kOrders; ++order) {
      std::uint32_t& count = mine.count[type][order];
      for (std::uint32_t i = 0; i < count; ++i)
        out.emplace_back(mine.blocks[type][front::kFirst[order] + i], order);
      publish(count, 0);
    }
  }
}

bool FrontStacks::holds(FrameIndex index, unsigned& order) {
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
    Cpu& mine = stacks_[cpu];
    const Guard<ArenaSync::Pageset> lock{mine.lock_word};
    for (unsigned type = 0; type < kTypes; ++type) {
      for (order = 0; order < kOrders; ++order) {
        const auto begin = mine.blocks[type].begin() + front::kFirst[order];
        const auto end = begin + mine.count[type][order];
        if (std::find(begin, end, index) != end)
          return true;
      }
    }
  }
  return false;
}

std::uint64_t FrontStacks::pages() const {
  std::uint64_t pages = 0;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu)
    for (const auto& of_type : stacks_[cpu].count)
      for (unsigned order = 0; order < kOrders; ++order)
        pages += std::uint64_t{racy(of_type[order])} << order;
  return pages;
}

FrontStacks::Counts FrontStacks::counts() const {
  Counts counts;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
    for (unsigned order = 0; order < kOrders; ++order) {
      const std::uint64_t taken = racy(stacks_[cpu].taken[order]);
      counts.allocations += taken;
      counts.allocated += taken << order;
      counts.freed += racy(stacks_[cpu].given[order]) << order;
    }
  }
  return counts;
}

}  // namespace mmbox
