#include "mmbox/arena/arena.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>

#include "mmbox/arena/host.h"
#include "mmbox/arena/poison.h"
#include "mmbox/core/machine/machine_impl.h"

namespace mmbox {

template class BasicMachine<ArenaSync>;

namespace {

constexpr std::uint64_t kLargestPages = std::uint64_t{1} << kMaxPageOrder;
constexpr std::size_t kLargestBytes = kPageSize << kMaxPageOrder;

/// The mask of a request by mobility. Reserves are for those who ask for them; refusals are the caller's to report.
constexpr Gfp mobility_mask(Mobility mobility) {
  switch (mobility) {
    case Mobility::Movable: return gfp::kHighMem | gfp::kMovable;
    case Mobility::Reclaimable: return gfp::kReclaimable;
    case Mobility::Unmovable: break;
  }
  return Gfp{};
}

constexpr Gfp effort_mask(Effort effort) {
  switch (effort) {
    case Effort::NoWait: return gfp::kNowait | gfp::kNoWarn;
    case Effort::Atomic: return gfp::kAtomicRequest | gfp::kNoWarn;
    case Effort::TryHard: return gfp::kKernel | gfp::kRetryMayfail | gfp::kNoWarn;
    case Effort::Normal: break;
  }
  return gfp::kKernel | gfp::kNoWarn;
}

Gfp mask_of(const Want& want) {
  const Gfp mask = mobility_mask(want.mobility) | effort_mask(want.effort);
  return want.this_node ? mask | gfp::kThisNode : mask;
}

/// The smallest order whose blocks hold `bytes`, at least one.
unsigned order_for(std::size_t bytes) {
  const std::size_t pages = (bytes + kPageSize - 1) / kPageSize;
  return pages <= 1 ? 0 : static_cast<unsigned>(std::bit_width(pages - 1));
}

/// Whole pageblocks that hold `bytes`.
std::uint64_t pageblocks_for(std::size_t bytes) {
  constexpr std::size_t kBytes = kPageblockPages * kPageSize;
  return (bytes + kBytes - 1) / kBytes;
}

// ------------------------------------------------------------- who is asked about an address

/// All arenas of the process, for the one question whose address a foreign one is.
struct Registry {
  std::mutex mutex;
  std::vector<const Arena*> arenas;
};
Registry& registry() {
  static Registry* const kRegistry = new Registry;  // arenas may be static as well, and outlive it
  return *kRegistry;
}

void print_and_abort(const Misuse& misuse) {
  std::fprintf(stderr, "mmbox: %s\n", text_of(misuse).c_str());
  std::abort();
}
std::atomic<MisuseHandler> misuse_handler{print_and_abort};

}  // namespace

MisuseHandler set_misuse_handler(MisuseHandler handler) {
  return misuse_handler.exchange(handler == nullptr ? print_and_abort : handler);
}

std::string text_of(const Misuse& misuse) {
  char where[64];
  std::snprintf(where, sizeof where, "0x%llx, frame %llu", static_cast<unsigned long long>(misuse.address),
                static_cast<unsigned long long>(misuse.pfn));
  const std::string block = " of order " + std::to_string(misuse.state.is_none() ? 0 : misuse.state.order());
  const std::string given = misuse.order_given < kOrders ? std::to_string(misuse.order_given) : "unknown";
  switch (misuse.kind) {
    case MisuseKind::DoubleFree:
      return std::string{"double free: "} + where + ", is free already, " +
             (misuse.state.kind() == FrameState::Kind::Pcp ? "on a CPU's list, as a block"
                                                           : "on a free list, as a block") +
             block;
    case MisuseKind::WrongOrder:
      return std::string{"free with the wrong order: "} + where + ", is a block" + block + ", not of order " + given;
    case MisuseKind::ForeignAddress: return std::string{"free of a foreign address: "} + where + " of no arena";
    case MisuseKind::WrongArena: return std::string{"free through the wrong arena: "} + where + " of another arena";
    case MisuseKind::NoBlock:
      return std::string{"free of what is no block: "} + where + ", no block begins there, order given " + given;
  }
  return where;
}

// ------------------------------------------------------------- making and unmaking

Arena::Arena(const ArenaOptions& options) {
  std::size_t bytes = options.bytes;
  if (!options.nodes.empty()) {
    bytes = 0;
    for (const NumaShare& share : options.nodes)
      bytes += share.bytes;
    if (options.shards != 1)
      throw std::invalid_argument{"arena: shards and nodes exclude each other"};
    for (const NumaShare& share : options.nodes)
      if (share.bytes == 0 || share.bytes % kLargestBytes != 0)
        throw std::invalid_argument{"arena: the share of a node is a multiple of 4 MiB"};
  }
  bytes_ = bytes / kPageSize * kPageSize;
  frames_ = bytes_ / kPageSize;
  const std::size_t zones = options.nodes.empty() ? options.shards : options.nodes.size();
  if (zones == 0 || zones > kMaxNodes)
    throw std::invalid_argument{"arena: between one and " + std::to_string(kMaxNodes) + " zones"};
  if (bytes_ / zones < kLargestBytes)
    throw std::invalid_argument{"arena: at least 4 MiB for each zone"};
  if (options.foreign_base % kLargestBytes != 0)
    throw std::invalid_argument{"arena: a foreign range begins at a multiple of 4 MiB"};
  if (options.backing == Backing::Foreign && (options.fill_on_free || options.guard_pages))
    throw std::invalid_argument{"arena: foreign memory is neither filled nor guarded"};

  prepare_per_cpu_locks();
  if (options.backing == Backing::Foreign)
    mapping_ = std::make_unique<Mapping>(options.foreign_base, bytes_);
  else
    mapping_ = std::make_unique<Mapping>(options.backing, bytes_, options.nodes);
  base_ = mapping_->base();
  make_machine(options);
  record_bytes_ = Books{frames_ * sizeof(OwnerRecord)};
  records_ = {reinterpret_cast<OwnerRecord*>(record_bytes_.bytes().data()), frames_};
  has_guards_ = options.guard_pages;
  hooks_.poison = options.backing != Backing::Foreign && poison::is_on();
  hooks_.fill = options.fill_on_free;
  hooks_.guard = options.guard_pages;
  hooks_.any = hooks_.poison || hooks_.fill || hooks_.guard;
  takes_care_ = hooks_.any;
  if (hooks_.poison)
    poison::hide(base_, bytes_);
  host_ = std::make_unique<ArenaHost>(*this, options);
  const std::lock_guard lock{registry().mutex};
  registry().arenas.push_back(this);
}

Arena::~Arena() {
  {
    const std::lock_guard lock{registry().mutex};
    std::erase(registry().arenas, this);
  }
  host_.reset();
  if (hooks_.poison)
    poison::show(base_, bytes_);
}

void Arena::make_machine(const ArenaOptions& options) {
  const long configured = sysconf(_SC_NPROCESSORS_CONF);
  cpus_ = options.cpus != 0 ? static_cast<unsigned>(options.cpus) : static_cast<unsigned>(std::max(configured, 1L));

  // One node for each share or shard, each with a Normal zone, and a Movable one behind it if that is wanted.
  static constexpr std::array kTypes{ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable,
                                     ZoneType::Device};
  const std::size_t nodes = options.nodes.empty() ? options.shards : options.nodes.size();
  std::vector<ZoneConfig> zones;
  std::vector<MemoryRange> memory;
  std::uint64_t at = 0;
  for (std::size_t node = 0; node < nodes; ++node) {
    std::uint64_t pages = frames_ / nodes / kLargestPages * kLargestPages;
    if (!options.nodes.empty())
      pages = options.nodes[node].bytes / kPageSize;
    else if (node + 1 == nodes)
      pages = frames_ - at;
    std::uint64_t movable = options.movable_bytes / nodes / kLargestBytes * kLargestPages;
    movable = std::min(movable, (pages - 1) / kLargestPages * kLargestPages);
    for (std::size_t type = 0; type < kTypes.size(); ++type) {
      std::uint64_t span = 0;
      std::uint64_t start = at;
      if (kTypes[type] == ZoneType::Normal)
        span = pages - movable;
      if (kTypes[type] == ZoneType::Movable) {
        span = movable;
        start = at + pages - movable;
      }
      zones.push_back({.node = NodeId{node},
                       .index = ZoneIndex{type},
                       .type = kTypes[type],
                       .start = Pfn{span == 0 ? 0 : start},
                       .spanned = PageCount{span},
                       .present = PageCount{span}});
    }
    memory.push_back({.range = {Pfn{at}, Pfn{at + pages}}, .node = NodeId{node}});
    at += pages;
  }
  std::vector<std::uint8_t> distances(nodes * nodes, 20);
  for (std::size_t node = 0; node < nodes; ++node)
    distances[node * nodes + node] = 10;
  std::vector<NodeId> cpu_nodes(cpus_, NodeId{0});
  const std::vector<int> system_nodes = numa_node_of_cpus(cpus_);
  for (std::size_t cpu = 0; cpu < cpus_; ++cpu) {
    cpu_nodes[cpu] = NodeId{cpu % nodes};
    for (std::size_t node = 0; node < options.nodes.size(); ++node)
      if (options.nodes[node].numa_node == system_nodes[cpu])
        cpu_nodes[cpu] = NodeId{node};
  }
  MachineConfig config{.generation = options.generation,
                       .zone_types = kTypes,
                       .nodes = nodes,
                       .distances = distances,
                       .cpus = cpu_nodes,
                       .zones = zones,
                       .memory = memory,
                       .has_cma = false,
                       .has_thp = true,
                       .tunables = {}};
  // A free that found its list full would give back ever more at once, for 10 us and longer.
  config.generation.pcp.free_factor_max = 0;
  // A boost would keep memory back until kswapd has worked it off; here there may be none.
  config.tunables.watermark_boost_factor = 0;

  machine_bytes_ = Books{SharedMachine::storage_size(config)};
  machine_.emplace(config, machine_bytes_.bytes());
  for (const MemoryRange& range : memory)
    machine_->release_boot_memory(range.range);
  machine_->finish_boot();
  Tunables tunables = machine_->tunables();
  tunables.min_free_kbytes = options.reserve_bytes / 1024;
  machine_->set_tunables(tunables);
  MachineView& view = machine_->view();
  front_.prepare(view, frames_);
  // The kernel moves 63 pages at a time between per-cpu and free lists, which takes 10 us and longer where their
  // records are in no cache.
  constexpr std::int32_t kBatch = 15;
  for (PcpState& pageset : view.pagesets)
    pageset.batch = std::min(pageset.batch, kBatch);
  for (ZoneState& zone : view.zones)
    zone.pageset_batch = std::min<std::int64_t>(zone.pageset_batch, kBatch);
  for (std::size_t cpu = 0; cpu < cpus_; ++cpu)
    for (const ZoneState& zone : view.zones)
      detail::PagesetLock::prepare(view.pageset(zone.id, CpuId{cpu}).lock_word, static_cast<std::uint16_t>(cpu));
}

// ------------------------------------------------------------- taking

Result<void*, AllocFailure> Arena::allocate_past_front(Order order, Mobility mobility) {
  if (!hooks_.any) {
    const Gfp gfp = mobility_mask(mobility) | effort_mask(Effort::Normal);
    const AllocResult got = order == Order{0} ? take_and_stock(gfp, migratetype_of(mobility))
                                              : machine_->alloc({.gfp = gfp, .order = order, .cpu = cpu()});
    if (got) [[likely]]
      return address_of(*got);
  }
  return try_allocate(order, Want{.mobility = mobility});
}

AllocResult Arena::take_and_stock(Gfp gfp, Migratetype type) {
  constexpr std::size_t kStock = 32;
  const Request request{.gfp = gfp, .order = Order{0}, .cpu = cpu()};
  std::array<Pfn, kStock> pages;
  pages.fill(kNoPfn);
  const std::size_t got = machine_->alloc_bulk(request, pages);
  if (got == 0)
    return machine_->alloc(request);
  // The first one is the request's, the next one the next request's.
  std::reverse(pages.begin() + 1, pages.begin() + static_cast<std::ptrdiff_t>(got));
  const std::span<const Pfn> rest = std::span{pages}.first(got).subspan(1);
  const bool is_home =
      machine_->view().zone_of(map().index(pages[0])).node == machine_->view().cpu_nodes[request.cpu.raw()];
  const std::size_t kept = is_home ? front_.stock(map(), rest, type, static_cast<unsigned>(request.cpu.raw())) : 0;
  for (const Pfn pfn : rest.subspan(kept))
    release(pfn, 0);
  return pages[0];
}

void Arena::empty_front() {
  front_.empty(
      [this](FrameIndex index, unsigned order) { release_block<ArenaSync>(machine_->view(), index, order, cpu()); });
}

Result<void*, AllocFailure> Arena::try_allocate(Order order, const Want& want) {
  return finish(take(order, want), order, want);
}

Result<Pfn, AllocFailure> Arena::try_allocate_frames(Order order, const Want& want) {
  return take(order, want);
}

Result<Pfn, AllocFailure> Arena::take(Order order, const Want& want) {
  // The upper half of a guarded block is the guard's.
  const Order taken{order.raw() + (has_guards_ ? 1 : 0)};
  const Request request{.gfp = mask_of(want), .order = taken, .cpu = cpu(), .node = want.node};
  const bool may_be_any = !want.node && !want.this_node && taken.raw() <= kMaxPageOrder;
  const FrameIndex index =
      may_be_any ? front_.take(taken.raw(), migratetype_of(want.mobility), static_cast<unsigned>(request.cpu.raw()))
                 : kNil;
  if (index != kNil)
    map().set_state(index, taken.raw(), FrameState::allocated(taken.raw(), FrameState::Compound::No));
  AllocResult got = index != kNil ? AllocResult{Pfn{index}} : machine_->alloc(request);
  if (!got && got.error() == AllocFailure::NoMemory) [[unlikely]]
    got = take_after_drain(request);
  if (!got)
    return got.error();
  if (want.owner) {
    OwnerRecord& record = records_[got->raw()];
    record.tag = want.tag;
    record.word.store(owner_word::owned(*want.owner, order.raw()), std::memory_order_release);
  }
  return *got;
}

/// What is missing may lie on the lists of other CPUs, or not yet have reached the counters.
AllocResult Arena::take_after_drain(const Request& request) {
  empty_front();
  machine_->drain_all();
  for (std::size_t each = 0; each < cpus_; ++each)
    machine_->fold(CpuId{each}, FoldBy::IdleCpu);
  return machine_->alloc(request);
}

Result<void*, AllocFailure> Arena::finish(Result<Pfn, AllocFailure> got, Order order, const Want& want) {
  if (!got)
    return got.error();
  if (hooks_.any)
    opened(*got, order.raw());
  void* const memory = address_of(*got);
  if (want.zeroed && mapping_->backing() != Backing::Foreign)
    std::memset(memory, 0, kPageSize << order.raw());
  return memory;
}

Result<void*, AllocFailure> Arena::try_allocate_bytes(std::size_t bytes, const Want& want) {
  const unsigned order = order_for(bytes);
  if (order <= kMaxPageOrder - (has_guards_ ? 1U : 0U))
    return try_allocate(Order{order}, want);
  return take_run(bytes, want);
}

Result<void*, AllocFailure> Arena::take_run(std::size_t bytes, const Want& want) {
  if (bytes > bytes_ || want.owner || has_guards_)
    return AllocFailure::OrderTooLarge;
  const auto first =
      host_->take_run(pageblocks_for(bytes), want.effort == Effort::Normal || want.effort == Effort::TryHard);
  if (!first)
    return AllocFailure::NoMemory;
  const std::size_t size = pageblocks_for(bytes) * kPageblockPages * kPageSize;
  if (hooks_.poison)
    poison::show(base_ + offset_of(*first), size);
  void* const memory = address_of(*first);
  if (want.zeroed && mapping_->backing() != Backing::Foreign)
    std::memset(memory, 0, size);
  return memory;
}

void* Arena::allocate(Order order, const Want& want) {
  const auto got = try_allocate(order, want);
  if (!got)
    throw std::bad_alloc{};
  return *got;
}

void* Arena::allocate_bytes(std::size_t bytes, const Want& want) {
  const auto got = try_allocate_bytes(bytes, want);
  if (!got)
    throw std::bad_alloc{};
  return *got;
}

Block Arena::allocate_block(Order order, const Want& want) {
  return {*this, allocate(order, want), order};
}

std::size_t Arena::allocate_bulk(std::span<void*> out, const Want& want) {
  constexpr std::size_t kChunk = 64;
  std::size_t done = 0;
  const bool is_plain = !has_guards_ && !want.owner;
  while (is_plain && done < out.size()) {
    std::array<Pfn, kChunk> pages;
    const std::span<Pfn> wanted = std::span{pages}.first(std::min(kChunk, out.size() - done));
    std::fill(wanted.begin(), wanted.end(), kNoPfn);
    const std::size_t got = machine_->alloc_bulk({.gfp = mask_of(want), .cpu = cpu(), .node = want.node}, wanted);
    if (got == 0)
      break;
    for (const Pfn pfn : wanted.first(got))
      out[done++] = *finish(pfn, Order{0}, want);
  }
  for (; done < out.size(); ++done) {
    const auto one = try_allocate(Order{0}, want);
    if (!one)
      break;
    out[done] = *one;
  }
  return done;
}

// ------------------------------------------------------------- giving back

void Arena::free_with_care(void* block, Order order) {
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(block);
  const std::uintptr_t offset = address - base_;
  const auto index = static_cast<FrameIndex>(offset / kPageSize);
  const unsigned held = order.raw() + (has_guards_ ? 1U : 0U);
  if (offset >= bytes_ || held > kMaxPageOrder || offset % kPageSize != 0 ||
      !map().state(index, held).is_allocated_as(held)) {
    if (block != nullptr)
      report(address, order.raw());
    return;
  }
  if (has_owners_.load(std::memory_order_relaxed) && !leaves_owner(index, order.raw()))
    return;
  if (hooks_.any)
    closed(Pfn{index}, order.raw());
  if (!front_.put(map(), index, held, current_cpu()))
    release(Pfn{index}, held);
}

void Arena::free(void* block) {
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(block) - base_;
  unsigned order = kOrders;
  if (offset < bytes_) {
    const Pfn pfn{offset / kPageSize};
    const FrameState state = map().state(map().index(pfn));
    if (state.kind() == FrameState::Kind::Allocated)
      order = state.order() - (has_guards_ ? 1U : 0U);
    else if (const std::uint32_t word = records_[pfn.raw()].word.load(std::memory_order_acquire); word != 0)
      order = owner_word::order(word);  // it has just moved here
  }
  if (order < kOrders)
    free(block, Order{order});
  else if (block != nullptr)
    report(reinterpret_cast<std::uintptr_t>(block), kOrders);
}

void Arena::free_frames(Pfn first, Order order) {
  free(address_of(first), order);
}

void Arena::free_bytes(void* block, std::size_t bytes) {
  const unsigned order = order_for(bytes);
  if (order <= kMaxPageOrder - (has_guards_ ? 1U : 0U)) {
    free(block, Order{order});
    return;
  }
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(block) - base_;
  const std::uint64_t pages = pageblocks_for(bytes) * kPageblockPages;
  if (offset % kPageSize != 0 || offset >= bytes_ || pages * kPageSize > bytes_ - offset) {
    report(reinterpret_cast<std::uintptr_t>(block), kOrders);
    return;
  }
  release_run(Pfn{offset / kPageSize}, pages);
}

void Arena::release_run(Pfn first, std::size_t pages) {
  // A run is handed out as single pages.
  for (std::uint64_t i = 0; i < pages; ++i) {
    if (!map().state(map().index(first + PageCount{i}), 0).is_allocated_as(0)) {
      report(base_ + offset_of(first + PageCount{i}), 0);
      return;
    }
  }
  if (hooks_.fill)
    std::memset(address_of(first), kFillByte, pages * kPageSize);
  if (hooks_.poison)
    poison::hide(base_ + offset_of(first), pages * kPageSize);
  machine_->free_range({first, first + PageCount{pages}}, cpu());
  // What waits on a CPU's list would keep the run from becoming whole.
  machine_->drain(cpu());
}

void Arena::free_bulk(std::span<void* const> pages) {
  for (void* const page : pages)
    free(page, Order{0});
}

void Arena::split(void* block, Order order) {
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(block) - base_;
  const auto index = static_cast<FrameIndex>(offset / kPageSize);
  if (offset >= bytes_ || order.raw() > kMaxPageOrder || has_guards_ ||
      !map().state(index, order.raw()).is_allocated_as(order.raw()) ||
      records_[index].word.load(std::memory_order_relaxed) != 0) {
    report(reinterpret_cast<std::uintptr_t>(block), order.raw());
    return;
  }
  machine_->split(Pfn{index}, order);
}

bool Arena::leaves_owner(FrameIndex index, unsigned order) {
  std::atomic<std::uint32_t>& word = records_[index].word;
  std::uint32_t seen = word.load(std::memory_order_acquire);
  while (seen != 0) {
    if (owner_word::is_freed(seen) || owner_word::order(seen) != order) {
      report(base_ + offset_of(Pfn{index}), order);
      return false;
    }
    const bool is_held = owner_word::is_held(seen);
    if (word.compare_exchange_weak(seen, is_held ? seen | owner_word::kFreed : 0, std::memory_order_acq_rel))
      return !is_held;
  }
  return true;
}

void Arena::release(Pfn pfn, unsigned order) {
  release_block<ArenaSync>(machine_->view(), map().index(pfn), order, cpu());
}

void Arena::report(std::uintptr_t address, unsigned order) {
  const std::uintptr_t offset = address - base_;
  Misuse misuse{.kind = MisuseKind::ForeignAddress,
                .address = address,
                .pfn = offset / kPageSize,
                .order_given = order,
                .state = {},
                .arena = this};
  if (offset >= bytes_) {
    const std::lock_guard lock{registry().mutex};
    for (const Arena* const arena : registry().arenas)
      if (arena->contains(pointer_to(address)))
        misuse.kind = MisuseKind::WrongArena;
  } else {
    const auto index = static_cast<FrameIndex>(misuse.pfn);
    misuse.state = map().state(index);
    const std::uint32_t word = records_[misuse.pfn].word.load(std::memory_order_acquire);
    // A block that moves here right now is known to its record before it is to the map.
    if (offset % kPageSize == 0 && word != 0 && !owner_word::is_freed(word) && owner_word::order(word) == order) {
      const bool is_known = misuse.state.is_allocated_as(order);
      if (is_known || leaves_owner(index, order))
        free(pointer_to(address), Order{order});
      return;
    }
    misuse.kind = MisuseKind::NoBlock;
    if (offset % kPageSize == 0) {
      switch (misuse.state.kind()) {
        case FrameState::Kind::Buddy:
        case FrameState::Kind::Pcp: misuse.kind = MisuseKind::DoubleFree; break;
        case FrameState::Kind::Allocated:
          misuse.kind = owner_word::is_freed(word) ? MisuseKind::DoubleFree : MisuseKind::WrongOrder;
          break;
        case FrameState::Kind::None: {
          unsigned held = 0;
          if (front_.holds(index, held)) {
            misuse.kind = MisuseKind::DoubleFree;
            misuse.state = FrameState::buddy(held, Migratetype::Unmovable);
            break;
          }
          // The inside of a larger free block, into which it has merged since.
          for (unsigned above = 1; above < kOrders; ++above) {
            const FrameIndex head = index & ~((FrameIndex{1} << above) - 1);
            const FrameState state = map().state(head, above);
            const bool is_free = state.kind() == FrameState::Kind::Buddy || state.kind() == FrameState::Kind::Pcp;
            if (is_free && state.order() >= above) {
              misuse.kind = MisuseKind::DoubleFree;
              misuse.state = state;
              break;
            }
          }
        }
      }
    }
  }
  misuse_handler.load()(misuse);
}

std::optional<Order> Arena::order_of(const void* block) const {
  if (!contains(block) || (reinterpret_cast<std::uintptr_t>(block) - base_) % kPageSize != 0)
    return std::nullopt;
  const FrameState state = map().state(map().index(pfn_of(block)));
  if (state.kind() != FrameState::Kind::Allocated)
    return std::nullopt;
  return Order{state.order() - (has_guards_ ? 1U : 0U)};
}

// ------------------------------------------------------------- contents

void Arena::opened(Pfn pfn, unsigned order) {
  const std::uintptr_t at = base_ + offset_of(pfn);
  const std::size_t size = kPageSize << order;
  if (hooks_.poison)
    poison::show(at, size);
  if (hooks_.guard)
    poison::forbid(at + size, kPageSize);
}

void Arena::closed(Pfn pfn, unsigned order) {
  const std::uintptr_t at = base_ + offset_of(pfn);
  const std::size_t size = kPageSize << order;
  if (hooks_.guard)
    poison::allow(at + size, kPageSize);
  if (hooks_.fill)
    std::memset(pointer_to(at), kFillByte, size);
  if (hooks_.poison)
    poison::hide(at, size);
}

// ------------------------------------------------------------- moving, shrinking

OwnerId Arena::add_owner(Owner& owner) {
  if (has_guards_)
    throw std::invalid_argument{"arena: guarded blocks do not move"};
  const OwnerId id = host_->add_owner(owner);
  has_owners_.store(true);
  __atomic_store_n(&takes_care_, true, __ATOMIC_RELAXED);
  return id;
}

void Arena::add_shrinker(Shrinker& shrinker) {
  host_->add_shrinker(shrinker);
}
void Arena::remove_shrinker(Shrinker& shrinker) {
  host_->remove_shrinker(shrinker);
}

std::uint64_t Arena::compact() {
  empty_front();
  host_->compact_all();
  const ArenaStats now = stats();
  return now.free_blocks[kPageblockOrder] + 2 * now.free_blocks[kMaxPageOrder];
}

void Arena::drain() {
  empty_front();
  machine_->drain_all();
}

std::size_t Arena::give_back() {
  drain();
  return host_->give_back(false);
}

// ------------------------------------------------------------- statistics

namespace {

class StringSink final : public TextSink {
 public:
  void write(std::string_view text) override { text_ += text; }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

ArenaStats Arena::stats() const {
  ArenaStats stats;
  const MachineView& view = machine_->view();
  for (const ZoneState& zone : view.zones) {
    if (!zone.is_populated())
      continue;
    stats.managed += static_cast<std::uint64_t>(zone.managed);
    for (unsigned order = 0; order < kOrders; ++order) {
      stats.free_blocks[order] += racy(zone.nr_free[order]);
      stats.free += std::uint64_t{racy(zone.nr_free[order])} << order;
    }
    for (std::size_t each = 0; each < cpus_; ++each) {
      const PcpState& pageset = view.pageset(zone.id, CpuId{each});
      stats.per_cpu += static_cast<std::uint64_t>(std::max(racy(pageset.count), 0));
      stats.allocations += racy(pageset.events.allocs);
      stats.allocated += racy(pageset.events.pgalloc);
      stats.freed += racy(pageset.events.pgfree);
    }
  }
  const FrontStacks::Counts front = front_.counts();
  stats.per_cpu += front_.pages();
  const auto add_signed = [](std::uint64_t& sum, std::int64_t n) { sum += static_cast<std::uint64_t>(n); };
  add_signed(stats.allocations, front.allocations);
  add_signed(stats.allocated, front.allocated);
  add_signed(stats.freed, front.freed);
  stats.used = stats.managed - std::min(stats.managed, stats.free + stats.per_cpu);
  stats.moved = host_->moved.load(std::memory_order_relaxed);
  stats.not_moved = host_->not_moved.load(std::memory_order_relaxed);
  stats.shrunk = host_->shrunk.load(std::memory_order_relaxed);
  stats.given_back = host_->given_back.load(std::memory_order_relaxed);
  return stats;
}

std::string Arena::buddyinfo() const {
  StringSink sink;
  write_buddyinfo(machine_->view(), sink);
  return sink.take();
}

namespace {

template <class Write>
std::string proc_text(const MachineView& view, Write write) {
  StringSink sink;
  const ProcFormat* const own = proc_format(view.env.rules->generation.name);
  // No file of the oldest kernels was recorded.
  write(ProcSource{view, own == nullptr ? proc_formats().front() : *own}, sink);
  return sink.take();
}

}  // namespace

std::string Arena::pagetypeinfo() const {
  return proc_text(machine_->view(), write_pagetypeinfo);
}
std::string Arena::zoneinfo() const {
  return proc_text(machine_->view(), write_zoneinfo);
}
std::string Arena::vmstat() const {
  return proc_text(machine_->view(), write_vmstat);
}

std::optional<Violation> Arena::check_books() const {
  return validate(machine_->view());
}

}  // namespace mmbox
