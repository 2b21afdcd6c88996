#include "mmbox/arena/host.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace mmbox {
namespace {

/// The host whose turn this thread has, if any: an owner's callback may come back into the arena.
thread_local const ArenaHost* compacting_here = nullptr;
thread_local const ArenaHost* shrinking_here = nullptr;

constexpr Gfp kMoveTarget = (gfp::kHighUserMovable | gfp::kNoWarn).without(gfp::kReclaim);

}  // namespace

ArenaHost::Turn::Turn(ArenaHost& host) : host_(host), mine_(compacting_here != &host && shrinking_here != &host) {
  if (!mine_)
    return;
  host_.turn_.lock();
  compacting_here = &host_;
}

ArenaHost::Turn::~Turn() {
  if (!mine_)
    return;
  host_.settle();
  compacting_here = nullptr;
  host_.turn_.unlock();
}

ArenaHost::ArenaHost(Arena& arena, const ArenaOptions& options)
    : arena_(arena), compaction_(arena.machine_->view(), *this, kZoneHands<ArenaSync>) {
  arena_.machine_->set_hosts({.reclaimer = this, .compactor = this, .oom = nullptr, .waiter = nullptr});
  arena_.machine_->set_contents(this);
  if (options.background)
    background_ = std::thread{[this, after = options.return_idle_after] { run_background(after); }};
}

ArenaHost::~ArenaHost() {
  if (!background_.joinable())
    return;
  {
    const std::lock_guard lock{bell_mutex_};
    ends_ = true;
  }
  bell_.notify_one();
  background_.join();
}

// ------------------------------------------------------------- owners

OwnerId ArenaHost::add_owner(Owner& owner) {
  const std::lock_guard lock{lists_};
  const std::uint32_t id = owner_count_.load(std::memory_order_relaxed);
  if (id == owners_.size())
    throw std::length_error{"arena: too many owners"};
  owners_[id].store(&owner, std::memory_order_release);
  owner_count_.store(id + 1, std::memory_order_release);
  return OwnerId{id};
}

PageFacts ArenaHost::facts(Pfn pfn) {
  settle();
  const FrameState state = view().env.map.state(view().env.map.index(pfn));
  if (state.kind() != FrameState::Kind::Allocated)
    return {};
  if (state.order() > 0)
    return {.order = static_cast<std::uint8_t>(state.order())};
  const bool owned = owner_word::is_owned(record(pfn).word.load(std::memory_order_acquire));
  return {.kind = owned ? PageFacts::Kind::Lru : PageFacts::Kind::Fixed};
}

bool ArenaHost::isolate(Pfn pfn) {
  std::atomic<std::uint32_t>& word = record(pfn).word;
  std::uint32_t seen = word.load(std::memory_order_acquire);
  return owner_word::is_owned(seen) &&
         word.compare_exchange_strong(seen, owner_word::held(seen), std::memory_order_acq_rel);
}

void ArenaHost::putback(Pfn pfn) {
  settle();
  std::atomic<std::uint32_t>& word = record(pfn).word;
  std::uint32_t seen = word.load(std::memory_order_acquire);
  const unsigned order = owner_word::order(seen);
  if (!owner_word::is_freed(seen) &&
      word.compare_exchange_strong(seen, owner_word::owned(owner_word::owner(seen), order), std::memory_order_acq_rel))
    return;
  // Its owner freed it meanwhile.
  word.store(0, std::memory_order_release);
  let_go(pfn, order);
}

void ArenaHost::let_go(Pfn pfn, unsigned order) {
  arena_.closed(pfn, order);
  arena_.release(pfn, order);
}

bool ArenaHost::relocate(Pfn from, Pfn to, std::uint32_t word) {
  const unsigned order = owner_word::order(word);
  OwnerRecord& target = record(to);
  target.tag = record(from).tag;
  target.word.store(owner_word::held(owner_word::owned(owner_word::owner(word), order)), std::memory_order_release);
  arena_.opened(to, order);
  Owner* const owner = owners_[owner_word::owner(word).raw()].load(std::memory_order_acquire);
  const bool has_addresses = arena_.mapping().backing() != Backing::Foreign;
  const Relocation move{.arena = arena_,
                        .from = from,
                        .to = to,
                        .order = Order{order},
                        .tag = target.tag,
                        .from_address = has_addresses ? arena_.address_of(from) : nullptr,
                        .to_address = has_addresses ? arena_.address_of(to) : nullptr,
                        .bytes = kPageSize << order};
  if (!owner->relocate(move)) {
    not_moved.fetch_add(1, std::memory_order_relaxed);
    target.word.store(0, std::memory_order_release);
    arena_.closed(to, order);
    return false;
  }
  moved.fetch_add(std::uint64_t{1} << order, std::memory_order_relaxed);
  // Freed by its old name while it moved.
  if (owner_word::is_freed(record(from).word.exchange(0, std::memory_order_acq_rel)))
    target.word.fetch_or(owner_word::kFreed, std::memory_order_acq_rel);
  arena_.closed(from, order);
  return true;
}

MoveResult ArenaHost::move(Pfn from, Pfn to, MoveEffort) {
  settle();
  const std::uint32_t word = record(from).word.load(std::memory_order_acquire);
  if (owner_word::is_freed(word) || !relocate(from, to, word))
    return MoveResult::Failed;
  moved_to_.push_back(to);
  return MoveResult::Moved;
}

void ArenaHost::settle() {
  for (const Pfn pfn : moved_to_) {
    std::atomic<std::uint32_t>& word = record(pfn).word;
    std::uint32_t seen = word.load(std::memory_order_acquire);
    const unsigned order = owner_word::order(seen);
    if (!owner_word::is_freed(seen) &&
        word.compare_exchange_strong(seen, owner_word::owned(owner_word::owner(seen), order),
                                     std::memory_order_acq_rel))
      continue;
    word.store(0, std::memory_order_release);
    let_go(pfn, order);
  }
  moved_to_.clear();
}

// ------------------------------------------------------------- blocks out of a range

bool ArenaHost::has_unmovable(Pfn begin, Pfn end) {
  const MemMap& map = view().env.map;
  // A block that begins before the range reaches into it.
  const Pfn large = begin.align_down(Order{kMaxPageOrder});
  if (large != begin) {
    const FrameState state = map.state(map.index(large));
    if (state.kind() == FrameState::Kind::Allocated && state.order() == kMaxPageOrder)
      return true;
  }
  for (Pfn pfn = begin; pfn < end;) {
    const FrameState state = map.state(map.index(pfn));
    if (state.kind() == FrameState::Kind::Allocated &&
        !owner_word::is_owned(record(pfn).word.load(std::memory_order_acquire)))
      return true;
    pfn = pfn + PageCount::in(Order{state.is_none() ? 0 : state.order()});
  }
  return false;
}

PageCount ArenaHost::movable_pages(Pfn begin, Pfn end) {
  if (owner_count_.load(std::memory_order_relaxed) == 0)
    return PageCount{};
  PageCount pages;
  for (Pfn pfn = begin; pfn < end && pfn.raw() < arena_.frames_; pfn = pfn + PageCount{1}) {
    const std::uint32_t word = record(pfn).word.load(std::memory_order_relaxed);
    if (owner_word::is_owned(word))
      pages += PageCount::in(Order{owner_word::order(word)});
  }
  return pages;
}

bool ArenaHost::migrate_range(Pfn begin, Pfn end) {
  const MemMap& map = view().env.map;
  const CpuId cpu = arena_.cpu();
  for (Pfn pfn = begin; pfn < end;) {
    const FrameState state = map.state(map.index(pfn));
    if (state.kind() != FrameState::Kind::Allocated) {
      pfn = pfn + PageCount::in(Order{state.kind() == FrameState::Kind::Buddy ? state.order() : 0});
      continue;
    }
    const Order order{state.order()};
    if (!isolate(pfn))
      return false;
    const AllocResult to = arena_.machine_->alloc({.gfp = kMoveTarget, .order = order, .cpu = cpu});
    const std::uint32_t word = record(pfn).word.load(std::memory_order_acquire);
    if (!to || owner_word::is_freed(word) || !relocate(pfn, *to, word)) {
      if (to)
        arena_.release(*to, order.raw());
      putback(pfn);
      if (!owner_word::is_freed(word))
        return false;
    } else {
      moved_to_.push_back(*to);
      settle();
      arena_.release(pfn, order.raw());
    }
    pfn = pfn + PageCount::in(order);
  }
  return true;
}

// ------------------------------------------------------------- compaction

CompactOutcome ArenaHost::direct_compact(const AllocContext& context, CompactPriority priority) {
  if (owner_count_.load(std::memory_order_relaxed) == 0)
    return {};
  arena_.empty_front();
  const Turn turn{*this};
  return turn.is_mine() ? compaction_.direct_compact(context, priority) : CompactOutcome{};
}

void ArenaHost::compaction_succeeded(ZoneId zone, Order order) {
  if (const Turn turn{*this}; turn.is_mine())
    compaction_.compaction_succeeded(zone, order);
}

void ArenaHost::wake_kcompactd(NodeId node, Order order, ZoneIndex highest) {
  if (!background_.joinable() || compacting_here == this)
    return;
  {
    const std::lock_guard lock{bell_mutex_};
    asked_.push_back({node, order, highest});
    rung_ = true;
  }
  bell_.notify_one();
}

void ArenaHost::reset_skip_hints(NodeId node) {
  if (const Turn turn{*this}; turn.is_mine())
    compaction_.reset_skip_hints(node);
}

void ArenaHost::compact_all() {
  const Turn turn{*this};
  if (!turn.is_mine())
    return;
  arena_.machine_->drain_all();
  if (owner_count_.load(std::memory_order_relaxed) == 0)
    return;
  compaction_.compact_all(arena_.cpu());
  settle();
  arena_.machine_->drain_all();
  empty_sparse_pageblocks();
  arena_.machine_->drain_all();
}

void ArenaHost::empty_sparse_pageblocks() {
  const MemMap& map = view().env.map;
  struct Sparse {
    Pfn first;
    std::uint32_t used;  ///< pages
  };
  std::vector<Sparse> sparse;
  // The scanners leave blocks behind that are larger than one page, and the pageblock in which they met. Pageblocks
  // with something that stays are left alone; so are those more than half full, since what moves out needs room
  // elsewhere.
  for (Pfn first{}; first.raw() + kPageblockPages <= arena_.frames_; first = first + PageCount{kPageblockPages}) {
    const Pfn end = first + PageCount{kPageblockPages};
    std::uint32_t used = 0;
    for (Pfn pfn = first; pfn < end;) {
      const FrameState state = map.state(map.index(pfn));
      const unsigned order = state.is_none() ? 0 : state.order();
      if (state.kind() == FrameState::Kind::Allocated)
        used += 1U << order;
      pfn = pfn + PageCount::in(Order{order});
    }
    if (used > 0 && used < kPageblockPages && !has_unmovable(first, end))
      sparse.push_back({first, used});
  }
  // Moving into a block of 2 MiB would only make another pageblock sparse.
  const auto has_room_elsewhere = [&] {
    std::uint64_t pages = 0;
    for (const ZoneState& zone : view().zones)
      for (unsigned order = 0; order < kPageblockOrder; ++order)
        pages += std::uint64_t{racy(zone.nr_free[order])} << order;
    return pages >= kPageblockPages;  // its own free pages, and as many more as it has in use
  };
  std::sort(sparse.begin(), sparse.end(), [](const Sparse& a, const Sparse& b) { return a.used < b.used; });
  const auto large_blocks = [&] {
    std::uint64_t blocks = 0;
    for (const ZoneState& zone : view().zones)
      blocks += racy(zone.nr_free[kPageblockOrder]) + 2 * std::uint64_t{racy(zone.nr_free[kMaxPageOrder])};
    return blocks;
  };
  unsigned in_vain = 0;
  for (const Sparse& each : sparse) {
    const PfnRange range{each.first, each.first + PageCount{kPageblockPages}};
    // Since they were counted, others may have moved in.
    if (has_unmovable(range.begin, range.end))
      continue;
    const std::uint64_t before = large_blocks();
    if (!has_room_elsewhere())
      return;
    if (arena_.machine_->alloc_range(range, arena_.cpu(), *this))
      arena_.machine_->free_range(range, arena_.cpu());
    arena_.machine_->drain_all();
    // The room that there is may be in pieces that are too small, or the owners refuse.
    constexpr unsigned kPatience = 16;
    in_vain = large_blocks() > before ? 0 : in_vain + 1;
    if (in_vain == kPatience)
      return;
  }
}

std::optional<Pfn> ArenaHost::take_run(std::uint64_t pageblocks, bool may_move) {
  arena_.empty_front();
  const Turn turn{*this};
  if (!turn.is_mine())
    return std::nullopt;
  arena_.machine_->drain_all();
  const MemMap& map = view().env.map;
  const auto pageblock_is_free = [&](Pfn first) {
    const Pfn large = first.align_down(Order{kMaxPageOrder});
    const FrameState head = map.state(map.index(large));
    if (head.kind() == FrameState::Kind::Buddy && head.order() == kMaxPageOrder)
      return true;
    const FrameState own = map.state(map.index(first));
    return own.kind() == FrameState::Kind::Buddy && own.order() == kPageblockOrder;
  };
  // Free runs first; then, if that is allowed, runs that can be emptied. Each zone by itself.
  for (const bool moves : {false, true}) {
    if (moves && (!may_move || owner_count_.load(std::memory_order_relaxed) == 0))
      break;
    std::uint64_t good = 0;
    ZoneId zone{};
    for (Pfn first{}; first.raw() + kPageblockPages <= arena_.frames_; first = first + PageCount{kPageblockPages}) {
      const ZoneId here = view().zone_of(map.index(first)).id;
      if (here != zone) {
        good = 0;
        zone = here;
      }
      const bool serves =
          pageblock_is_free(first) || (moves && !has_unmovable(first, first + PageCount{kPageblockPages}));
      good = serves ? good + 1 : 0;
      if (good < pageblocks)
        continue;
      const Pfn end = first + PageCount{kPageblockPages};
      const PfnRange range{Pfn{end.raw() - pageblocks * kPageblockPages}, end};
      if (arena_.machine_->alloc_range(range, arena_.cpu(), *this))
        return range.begin;
      --good;
    }
  }
  return std::nullopt;
}

// ------------------------------------------------------------- shrinking

void ArenaHost::add_shrinker(Shrinker& shrinker) {
  const std::lock_guard lock{shrinking_};
  shrinkers_.push_back(&shrinker);
}

void ArenaHost::remove_shrinker(Shrinker& shrinker) {
  const std::lock_guard lock{shrinking_};
  std::erase(shrinkers_, &shrinker);
}

std::size_t ArenaHost::shrink(std::size_t pages) {
  if (shrinking_here == this || compacting_here == this)
    return 0;
  const std::lock_guard lock{shrinking_};
  shrinking_here = this;
  std::size_t freed = 0;
  for (Shrinker* const each : shrinkers_)
    if (freed < pages)
      freed += each->shrink(pages - freed);
  shrinking_here = nullptr;
  shrunk.fetch_add(freed, std::memory_order_relaxed);
  return freed;
}

NodeReclaimResult ArenaHost::node_reclaim(NodeId, const AllocContext&) {
  return NodeReclaimResult::NoScan;
}

PageCount ArenaHost::direct_reclaim(const AllocContext& context) {
  constexpr std::size_t kBatch = 32;
  return PageCount{shrink(std::max(kBatch, std::size_t{1} << context.order.raw()))};
}

PageCount ArenaHost::reclaimable_pages(ZoneId) {
  if (shrinking_here == this || compacting_here == this)
    return PageCount{};
  const std::lock_guard lock{shrinking_};
  std::size_t pages = 0;
  for (Shrinker* const each : shrinkers_)
    pages += each->shrinkable();
  return PageCount{pages};
}

// ------------------------------------------------------------- in the background

void ArenaHost::wake_kswapd(NodeId) {
  if (!background_.joinable())
    return;
  {
    const std::lock_guard lock{bell_mutex_};
    rung_ = true;
  }
  bell_.notify_one();
}

void ArenaHost::run_background(std::uint32_t return_idle_after) {
  using Clock = std::chrono::steady_clock;
  // The kernel looks at its score every 500 ms.
  const std::chrono::milliseconds look{return_idle_after == 0 ? 500 : std::min(500U, std::max(return_idle_after, 1U))};
  Clock::time_point returned = Clock::now();
  std::unique_lock lock{bell_mutex_};
  while (!ends_) {
    bell_.wait_for(lock, look, [this] { return rung_ || ends_; });
    if (ends_)
      return;
    rung_ = false;
    const std::vector<Asked> asked = std::move(asked_);
    asked_.clear();
    lock.unlock();
    for (const NodeState& node : view().nodes)
      if (racy(node.kswapd.running))
        balance(node.id);
    if (owner_count_.load(std::memory_order_relaxed) != 0) {
      if (const Turn turn{*this}; turn.is_mine()) {
        for (const Asked& each : asked) {
          compaction_.wake_kcompactd(each.node, each.order, each.highest);
          compaction_.run_kcompactd(each.node, arena_.cpu());
        }
        for (const NodeState& node : view().nodes)
          static_cast<void>(compaction_.run_proactively(node.id, arena_.cpu()));
      }
    }
    if (return_idle_after != 0 && Clock::now() - returned >= std::chrono::milliseconds{return_idle_after}) {
      returned = Clock::now();
      give_back(true);
    }
    lock.lock();
  }
}

void ArenaHost::balance(NodeId id) {
  constexpr std::size_t kBatch = 256;
  NodeState& node = arena_.machine_->view().nodes[id.raw()];
  const Order order{racy(node.kswapd.order)};
  const std::uint8_t asked = racy(node.kswapd.highest);
  const ZoneIndex highest{asked == KswapdState::kNoZone ? 0U : asked};
  while (!node_balanced(view(), id, Order{0}, highest) && shrink(kBatch) != 0) {
  }
  publish(node.kswapd.order, 0);
  publish(node.kswapd.highest, KswapdState::kNoZone);
  publish(node.kswapd.running, false);
  if (order.raw() > 0 && !node_balanced(view(), id, order, highest) &&
      owner_count_.load(std::memory_order_relaxed) != 0) {
    if (const Turn turn{*this}; turn.is_mine()) {
      compaction_.reset_skip_hints(id);
      compaction_.wake_kcompactd(id, order, highest);
      compaction_.run_kcompactd(id, arena_.cpu());
    }
  }
}

std::size_t ArenaHost::give_back(bool only_idle) {
  if (arena_.mapping().backing() == Backing::Foreign)
    return 0;
  const Turn turn{*this};
  if (!turn.is_mine())
    return 0;
  const MachineView& machine = view();
  const MemMap& map = machine.env.map;
  const CpuId cpu = arena_.cpu();
  idle_.resize(arena_.frames_ / kPageblockPages + 1);
  std::size_t bytes = 0;
  for (Pfn first{}; first.raw() + kPageblockPages <= arena_.frames_;) {
    const FrameIndex index = map.index(first);
    const FrameState state = map.state(index);
    const bool is_free = state.kind() == FrameState::Kind::Buddy && state.order() >= kPageblockOrder;
    const unsigned order = is_free ? state.order() : kPageblockOrder;
    const std::size_t block = first.raw() / kPageblockPages;
    const bool was_free = idle_[block];
    idle_[block] = is_free;
    if (is_free && (was_free || !only_idle)) {
      // While the system takes its pages the block is nobody's.
      ZoneState& zone = machine.zone_of(index);
      bool taken = false;
      {
        const Guard<ArenaSync> lock{zone.lock_word};
        if (map.is_free_head(index, order)) {
          Buddy buddy = machine.buddy(zone, cpu);
          const Migratetype type = buddy.remove(index, order);
          buddy.count_free(-(std::int64_t{1} << order), type);
          taken = true;
        }
      }
      if (taken) {
        if (arena_.mapping().give_back(arena_.base() + arena_.offset_of(first), kPageSize << order))
          bytes += kPageSize << order;
        const Guard<ArenaSync> lock{zone.lock_word};
        machine.buddy(zone, cpu).free_block(index, order, Buddy::Place::Tail);
      }
    }
    first = first + PageCount::in(Order{order});
  }
  given_back.fetch_add(bytes / kPageSize, std::memory_order_relaxed);
  return bytes;
}

}  // namespace mmbox
