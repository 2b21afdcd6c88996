#include "mmbox/lab/workload/demand.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace mmbox::lab {
namespace {

constexpr Gfp kPageCache = gfp::kHighUserMovable;

std::size_t at(Demanded kind) {
  return static_cast<std::size_t>(kind);
}

/// Weights as small as they can be in proportion: 80, 10, 10 are 8, 1, 1.
std::uint32_t common_divisor(const std::vector<RequestKind>& requests, Demanded kind) {
  std::uint32_t divisor = 0;
  for (const RequestKind& request : requests)
    if (request.kind == kind)
      divisor = std::gcd(divisor, request.weight);
  return std::max(divisor, 1U);
}

}  // namespace

Demand::Demand(World& world, const Workload& workload)
    : world_(world), workload_(workload), random_(workload.seed), cpus_(world.machine().view().cpu_nodes.size()) {
  for (std::uint32_t i = 0; i < workload.tasks; ++i)
    world.task_named(fmt::format("task-{}", i + 1));
  for (std::size_t i = 0; i < workload.requests.size(); ++i) {
    const RequestKind& request = workload.requests[i];
    weighted_[at(request.kind)].insert(weighted_[at(request.kind)].end(),
                                       request.weight / common_divisor(workload.requests, request.kind),
                                       static_cast<std::uint32_t>(i));
  }
}

// ------------------------------------------------------------- the beginning

void Demand::populate() {
  constexpr std::uint64_t kBlocksPerTick = 4096;
  const StartPages& start = workload_.start;
  std::array<std::uint64_t, kDemandedKinds + 1> left{start.anonymous, start.kernel, start.slab,
                                                     std::min(start.file, world_.files().size())};
  std::uint32_t next_place = 0;
  std::uint64_t blocks = 0;
  for (std::uint64_t all = 0; (all = std::accumulate(left.begin(), left.end(), std::uint64_t{0})) > 0; ++blocks) {
    std::uint64_t draw = random_.next() % all;
    std::size_t which = 0;
    while (draw >= left[which])
      draw -= left[which++];
    std::uint64_t got = 0;
    if (which < kDemandedKinds)
      got = take(static_cast<Demanded>(which), random_.below(workload_.tasks), start.pinned_ppm);
    else
      got = use_file(next_place++, random_.chance(start.dirty_ppm) ? FileAccess::Write : FileAccess::Read) ? 1 : 0;
    left[which] = got == 0 ? 0 : left[which] - std::min(left[which], got);
    if (blocks % kBlocksPerTick == kBlocksPerTick - 1)
      world_.advance();
  }
  if (start.holes_ppm == 0)
    return;
  Machine& machine = world_.machine();
  const auto punch = [&](OwnerId id) {
    const std::vector<Pfn>& blocks_of = world_.pages().owner(id).pages;
    for (std::size_t i = blocks_of.size(); i-- > 0;) {
      const Pfn pfn = blocks_of[i];
      const PopulationPage page = world_.pages().page(pfn);
      if (!random_.chance(start.holes_ppm) || page.is_isolated)
        continue;
      world_.pages().forget(pfn);
      machine.free(pfn, Order{page.order}, CpuId{0});
    }
  };
  for (const SimulatedTask& task : world_.tasks())
    punch(task.owner);
  punch(world_.kernel());
  for (std::uint32_t place = 0; place < next_place; ++place) {
    if (!random_.chance(start.holes_ppm))
      continue;
    if (const Pfn pfn = world_.files().remove(place); pfn != kNoPfn)
      machine.free(pfn, Order{0}, CpuId{0});
  }
}

// ------------------------------------------------------------- a tick

void Demand::run_tick(const Phase& phase) {
  for (std::size_t kind = 0; kind < kDemandedKinds; ++kind)
    held_[kind] = held(static_cast<Demanded>(kind));
  std::array<std::uint64_t, 4> left{
      allocations_.take(phase.allocations, workload_.tick_ns), reads_.take(phase.reads, workload_.tick_ns),
      writes_.take(phase.writes, workload_.tick_ns), touches_.take(phase.touches, workload_.tick_ns)};
  for (std::uint64_t all = left[0] + left[1] + left[2] + left[3]; all > 0; --all) {
    std::size_t which = 0;
    if (all != left[0]) {
      std::uint64_t draw = random_.below(all);
      while (draw >= left[which])
        draw -= left[which++];
    }
    --left[which];
    switch (which) {
      case 0: allocate(phase); break;
      case 1: use_file(static_cast<std::uint32_t>(random_.below(world_.files().size())), FileAccess::Read); break;
      case 2:
        // Whoever writes waits until there is less to be written; the others go on meanwhile.
        if (world_.files().is_over_limit())
          ++counters_.writes_held_back;
        else
          use_file(static_cast<std::uint32_t>(random_.below(world_.files().size())), FileAccess::Write);
        break;
      default: touch(); break;
    }
  }
}

const RequestKind& Demand::random_request(Demanded kind) {
  const std::vector<std::uint32_t>& weighted = weighted_[at(kind)];
  return workload_.requests[weighted[weighted.size() == 1 ? 0 : random_.below(weighted.size())]];
}

Demanded Demand::random_kind(const Phase& phase) {
  std::uint64_t draw = random_.below(phase.shares[0] + phase.shares[1] + phase.shares[2]);
  std::size_t kind = 0;
  while (draw >= phase.shares[kind])
    draw -= phase.shares[kind++];
  return static_cast<Demanded>(kind);
}

std::uint64_t Demand::held(Demanded kind) const {
  switch (kind) {
    case Demanded::Movable: {
      std::uint64_t pages = 0;
      for (const SimulatedTask& task : world_.tasks())
        pages += world_.pages_of(task);
      return pages;
    }
    case Demanded::Unmovable: return world_.pages().owner(world_.kernel()).held_pages;
    case Demanded::Reclaimable: return world_.slab().pages();
  }
  return 0;
}

void Demand::allocate(const Phase& phase) {
  const Demanded kind = random_kind(phase);
  const std::size_t task = phase.task.empty() ? random_.below(workload_.tasks) : world_.task_named(phase.task);
  held_[at(kind)] += take(kind, task, phase.pinned_ppm);
  if (phase.live_pages == Phase::kNoLimit)
    return;
  const std::uint64_t shares = phase.shares[0] + phase.shares[1] + phase.shares[2];
  const std::uint64_t level = phase.live_pages * phase.shares[at(kind)] / shares;
  // Two blocks for one, so that a level that has sunk is reached.
  for (int i = 0; i < 2 && held_[at(kind)] > level; ++i)
    held_[at(kind)] -= std::min(held_[at(kind)], give_back(kind));
}

std::uint64_t Demand::take(Demanded kind, std::size_t task_index, std::uint32_t pinned_ppm) {
  const RequestKind& request = random_request(kind);
  const SimulatedTask& task = world_.tasks()[task_index];
  const Order order{request.order};
  const auto pfn = world_.allocate(request.gfp, order, actor_of(task));
  if (!pfn)
    return 0;
  ++counters_.allocated[at(kind)];
  const bool is_compound = request.gfp.has(gfp::kComp) && request.order > 0;
  if (kind == Demanded::Reclaimable) {
    world_.slab().add(*pfn, order, is_compound);
    return PageCount::in(order).raw();
  }
  PopulationPage page;
  page.order = static_cast<std::uint8_t>(request.order);
  page.is_compound = is_compound;
  page.owner = world_.kernel();
  page.use = PageUse::Kernel;
  if (kind == Demanded::Movable) {
    page.use = PageUse::Anonymous;
    page.owner = task.owner;
    page.is_mapped = true;
    page.is_swap_backed = true;
    page.is_pinned = request.order == 0 && random_.chance(pinned_ppm);
    counters_.pinned += page.is_pinned ? 1 : 0;
  }
  world_.pages().put(*pfn, page);
  return PageCount::in(order).raw();
}

std::uint64_t Demand::give_back(Demanded kind) {
  ++counters_.freed;
  const CpuId cpu = random_cpu();
  if (kind == Demanded::Movable) {
    const std::vector<SimulatedTask>& tasks = world_.tasks();
    const std::size_t first = random_.below(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i)
      if (const SimulatedTask& task = tasks[(first + i) % tasks.size()]; world_.pages_of(task) > 0)
        return give_back_of_task(task, cpu);
    return 0;
  }
  if (kind == Demanded::Reclaimable) {
    const std::uint64_t before = world_.slab().pages();
    world_.slab().free_random(cpu);
    return before - world_.slab().pages();
  }
  const std::vector<Pfn>& blocks = world_.pages().owner(world_.kernel()).pages;
  if (blocks.empty())
    return 0;
  const Pfn pfn = blocks[random_.below(blocks.size())];
  const Order order{world_.pages().page(pfn).order};
  world_.pages().forget(pfn);
  world_.machine().free(pfn, order, cpu);
  return PageCount::in(order).raw();
}

std::uint64_t Demand::give_back_of_task(const SimulatedTask& task, CpuId cpu) {
  Owner& owner = world_.pages().owner_of(task.owner);
  const std::uint64_t draw = random_.below(owner.pages.size() + owner.swapped_pages);
  if (draw >= owner.pages.size()) {
    --owner.swapped_pages;
    world_.pages().release_swap();
    return 1;
  }
  const Pfn pfn = owner.pages[draw];
  const PopulationPage page = world_.pages().page(pfn);
  if (page.is_isolated)
    return 0;
  world_.pages().forget(pfn);
  world_.machine().free(pfn, Order{page.order}, cpu);
  return std::uint64_t{1} << page.order;
}

bool Demand::use_file(std::uint32_t place, FileAccess access) {
  ++(access == FileAccess::Write ? counters_.writes : counters_.reads);
  FileCache& files = world_.files();
  if (files.use(place, access, world_.now_ns()))
    return true;
  ++counters_.file_misses;
  const SimulatedTask& task = world_.tasks()[random_.below(workload_.tasks)];
  const Gfp mask = access == FileAccess::Write ? kPageCache | gfp::kWrite : kPageCache;
  const auto pfn = world_.allocate(mask, Order{0}, actor_of(task));
  if (pfn)
    files.add(*pfn, place, access, world_.now_ns());
  return pfn.has_value();
}

void Demand::touch() {
  ++counters_.touches;
  const SimulatedTask& task = world_.tasks()[random_.below(world_.tasks().size())];
  Owner& owner = world_.pages().owner_of(task.owner);
  if (owner.pages.size() + owner.swapped_pages == 0)
    return;
  const std::uint64_t draw = random_.below(owner.pages.size() + owner.swapped_pages);
  if (draw < owner.pages.size()) {
    PopulationPage& page = world_.pages().page(owner.pages[draw]);
    page.is_young = true;
    page.is_mapped = true;
    return;
  }
  // It comes back from swap into a frame of its own.
  const auto pfn = world_.allocate(gfp::kHighUserMovable, Order{0}, actor_of(task));
  if (!pfn)
    return;
  if (owner.swapped_pages == 0) {
    // Its owner was killed while the request waited.
    world_.machine().free(*pfn, Order{0}, CpuId{0});
    return;
  }
  --owner.swapped_pages;
  world_.pages().release_swap();
  ++counters_.swap_ins;
  count_event(world_.machine().view().events->pswpin);
  PopulationPage page;
  page.use = PageUse::Anonymous;
  page.owner = task.owner;
  page.is_mapped = true;
  page.is_swap_backed = true;
  page.is_young = true;
  world_.pages().put(*pfn, page);
}

}  // namespace mmbox::lab
