#include "mmbox/arena/arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "mmbox/arena/poison.h"

namespace mmbox {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t{1} << 20;

ArenaOptions of_size(std::size_t bytes) {
  ArenaOptions options;
  options.bytes = bytes;
  return options;
}

/// What the misuse handler was told last.
std::vector<Misuse> seen;
void note(const Misuse& misuse) {
  seen.push_back(misuse);
}
class ArenaMisuse : public ::testing::Test {
 protected:
  ArenaMisuse() : before_(set_misuse_handler(note)) { seen.clear(); }
  ~ArenaMisuse() override { set_misuse_handler(before_); }
  MisuseHandler before_;
};

TEST(Arena, BlocksAreAlignedToTheirSizeAndHoldWhatIsWritten) {
  Arena arena{of_size(16 * kMiB)};
  std::vector<std::pair<void*, Order>> blocks;
  for (unsigned order = 0; order <= 8; ++order) {
    const auto block = arena.try_allocate(Order{order}, Mobility::Movable);
    ASSERT_TRUE(block);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(*block) % (kPageSize << order), 0U);
    std::memset(*block, static_cast<int>(order) + 1, kPageSize << order);
    blocks.emplace_back(*block, Order{order});
  }
  for (const auto& [block, order] : blocks) {
    const auto* const bytes = static_cast<const unsigned char*>(block);
    EXPECT_TRUE(std::all_of(bytes, bytes + (kPageSize << order.raw()),
                            [&, wanted = order.raw() + 1](unsigned char byte) { return byte == wanted; }));
    arena.free(block, order);
  }
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
  EXPECT_FALSE(arena.check_books());
}

TEST(Arena, EveryPageCanBeHandedOutAndTheNextRequestIsRefused) {
  Arena arena{of_size(8 * kMiB)};
  std::vector<void*> pages;
  for (auto page = arena.try_allocate(Order{0}); page; page = arena.try_allocate(Order{0}))
    pages.push_back(*page);
  EXPECT_EQ(pages.size(), 2048U);
  EXPECT_EQ(arena.try_allocate(Order{0}).error(), AllocFailure::NoMemory);
  EXPECT_THROW(static_cast<void>(arena.allocate(Order{0})), std::bad_alloc);
  EXPECT_EQ(arena.stats().used, 2048U);
  arena.free_bulk(pages);
  arena.drain();
  EXPECT_EQ(arena.stats().free_blocks[kMaxPageOrder], 2U);
  EXPECT_FALSE(arena.check_books());
}

TEST(Arena, OrdersThatNoBlockHasAreRefusedWithAReason) {
  Arena arena{of_size(8 * kMiB)};
  EXPECT_EQ(arena.try_allocate(Order{kMaxPageOrder + 1}).error(), AllocFailure::OrderTooLarge);
  EXPECT_EQ(arena.try_allocate_bytes(64 * kMiB).error(), AllocFailure::OrderTooLarge);
  EXPECT_TRUE(arena.try_allocate(Order{kMaxPageOrder}));
}

TEST(Arena, BytesAreRoundedUpToTheSmallestBlockThatHoldsThem) {
  Arena arena{of_size(16 * kMiB)};
  void* const page = arena.allocate_bytes(1);
  void* const two = arena.allocate_bytes(kPageSize + 1);
  EXPECT_EQ(arena.order_of(page), Order{0});
  EXPECT_EQ(arena.order_of(two), Order{1});
  arena.free_bytes(page, 1);
  arena.free_bytes(two, kPageSize + 1);
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
}

TEST(Arena, RunsLargerThanTheLargestBlockAreContiguousPageblocks) {
  Arena arena{of_size(64 * kMiB)};
  const auto run = arena.try_allocate_bytes(20 * kMiB, {.zeroed = true});
  ASSERT_TRUE(run);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(*run) % (2 * kMiB), 0U);
  std::memset(*run, 1, 20 * kMiB);
  EXPECT_EQ(arena.stats().used, 20 * kMiB / kPageSize);
  const auto other = arena.try_allocate_bytes(30 * kMiB);
  ASSERT_TRUE(other);
  EXPECT_FALSE(arena.try_allocate_bytes(20 * kMiB));
  arena.free_bytes(*run, 20 * kMiB);
  arena.free_bytes(*other, 30 * kMiB);
  arena.drain();
  EXPECT_EQ(arena.stats().free_blocks[kMaxPageOrder], 16U);
  EXPECT_FALSE(arena.check_books());
}

TEST(Arena, AHandleFreesItsBlockOnceAndMovesWithIt) {
  Arena arena{of_size(8 * kMiB)};
  {
    Block block = arena.allocate_block(Order{3}, {.zeroed = true});
    EXPECT_EQ(block.bytes().size(), 8 * kPageSize);
    Block moved = std::move(block);
    EXPECT_FALSE(block);  // NOLINT(bugprone-use-after-move): that it is empty is what is tested
    EXPECT_TRUE(moved);
    EXPECT_EQ(moved.bytes()[5], std::byte{0});
  }
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
}

TEST(Arena, ASplitBlockIsFreedPageByPage) {
  Arena arena{of_size(8 * kMiB)};
  void* const block = arena.allocate(Order{2});
  arena.split(block, Order{2});
  for (unsigned i = 0; i < 4; ++i)
    arena.free(static_cast<char*>(block) + i * kPageSize);
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
}

TEST(Arena, PagesComeInBulk) {
  Arena arena{of_size(8 * kMiB)};
  std::vector<void*> pages(1000);
  EXPECT_EQ(arena.allocate_bulk(pages), 1000U);
  std::vector<void*> sorted = pages;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
  std::vector<void*> more(2000);
  EXPECT_EQ(arena.allocate_bulk(more), 1048U);  // what was left of 2048
  arena.free_bulk(pages);
  arena.free_bulk(std::span{more}.first(1048));
  arena.drain();
  EXPECT_EQ(arena.stats().free_blocks[kMaxPageOrder], 2U);
}

TEST(Arena, ForeignMemoryIsNeverTouched) {
  // The range is inaccessible: a single byte read or written would end the program.
  constexpr std::uintptr_t kBase = std::uintptr_t{1} << 46;
  ArenaOptions options = of_size(64 * kMiB);
  options.backing = Backing::Foreign;
  options.foreign_base = kBase;
  Arena arena{options};
  std::vector<std::pair<Pfn, Order>> blocks;
  for (unsigned i = 0; i < 1000; ++i) {
    const Order order{i % 5};
    const auto got = arena.try_allocate_frames(order, {.mobility = Mobility::Movable, .zeroed = true});
    ASSERT_TRUE(got);
    EXPECT_LT(arena.offset_of(*got), 64 * kMiB);
    blocks.emplace_back(*got, order);
  }
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.address_of(Pfn{3})), kBase + 3 * kPageSize);
  for (const auto& [pfn, order] : blocks)
    arena.free_frames(pfn, order);
  EXPECT_EQ(arena.give_back(), 0U);
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
  EXPECT_FALSE(arena.check_books());
}

TEST(Arena, RequestsAreCountedWhereverTheyAreServed) {
  Arena arena{of_size(64 * kMiB)};
  std::vector<void*> pages;
  for (int i = 0; i < 500; ++i)
    pages.push_back(arena.allocate(Order{0}));
  for (int i = 0; i < 10; ++i) {
    void* const block = arena.allocate(Order{4});
    arena.free(block, Order{4});
  }
  arena.free_bulk(pages);
  for (const bool drained : {false, true}) {
    if (drained)
      arena.drain();
    const ArenaStats stats = arena.stats();
    EXPECT_EQ(stats.allocations, 510U);
    EXPECT_EQ(stats.allocated, 660U);
    EXPECT_EQ(stats.freed, 660U);
    EXPECT_EQ(stats.used, 0U);
  }
}

TEST(Arena, TextsAreThoseOfTheKernel) {
  Arena arena{of_size(16 * kMiB)};
  EXPECT_EQ(arena.buddyinfo(),
            "Node 0, zone   Normal      0      0      0      0      0      0      0      0      0      0      4 \n");
  EXPECT_THAT(arena.pagetypeinfo(), HasSubstr("Movable"));
  EXPECT_THAT(arena.zoneinfo(), HasSubstr("        managed  4096"));
  EXPECT_THAT(arena.vmstat(), HasSubstr("nr_free_pages 4096"));
}

TEST(Arena, MovableBlocksHaveAZoneOfTheirOwnIfWanted) {
  ArenaOptions options = of_size(32 * kMiB);
  options.movable_bytes = 16 * kMiB;
  Arena arena{options};
  EXPECT_THAT(arena.buddyinfo(), HasSubstr("zone  Movable"));
  std::vector<void*> fixed;
  for (auto page = arena.try_allocate(Order{4}); page; page = arena.try_allocate(Order{4}))
    fixed.push_back(*page);
  EXPECT_EQ(fixed.size(), 16 * kMiB / (16 * kPageSize));
  EXPECT_TRUE(arena.try_allocate(Order{10}, Mobility::Movable));
}

TEST(Arena, ShardsAreZonesThatFallBackToEachOther) {
  ArenaOptions options = of_size(32 * kMiB);
  options.shards = 2;
  Arena arena{options};
  std::size_t blocks = 0;
  while (arena.try_allocate(Order{10}))
    ++blocks;
  EXPECT_EQ(blocks, 8U);
  EXPECT_EQ(arena.try_allocate(Order{10}, {.this_node = true, .node = NodeId{1}}).error(), AllocFailure::NoMemory);
}

TEST(Arena, AtomicRequestsMayUseTheReserve) {
  ArenaOptions options = of_size(32 * kMiB);
  options.reserve_bytes = 4 * kMiB;
  Arena arena{options};
  while (arena.try_allocate(Order{0}, {.effort = Effort::NoWait})) {
  }
  EXPECT_GT(arena.stats().free, 0U);
  EXPECT_TRUE(arena.try_allocate(Order{0}, {.effort = Effort::Atomic}));
}

TEST(Arena, OptionsThatContradictEachOtherAreRefused) {
  ArenaOptions options = of_size(16 * kMiB);
  options.shards = 2;
  options.nodes = {{.numa_node = -1, .bytes = 16 * kMiB}};
  EXPECT_THROW(Arena{options}, std::invalid_argument);
  EXPECT_THROW(Arena{of_size(kMiB)}, std::invalid_argument);
}

TEST(Arena, HugeTlbFallsBackAndSaysSo) {
  ArenaOptions options = of_size(64 * kMiB);
  options.backing = Backing::HugeTlb;
  Arena arena{options};
  // Whether the system has reserved any is not the test's business; that they are had or the lack of them told, is.
  if (arena.mapping().backing() == Backing::HugeTlb) {
    EXPECT_EQ(arena.mapping().notes(), "");
  } else {
    EXPECT_EQ(arena.mapping().backing(), Backing::HugePages);
    EXPECT_THAT(arena.mapping().notes(), HasSubstr("transparent huge pages instead"));
  }
  std::memset(arena.allocate(Order{0}), 1, kPageSize);
}

TEST(Arena, AMemfdIsTheMemory) {
  ArenaOptions options = of_size(8 * kMiB);
  options.backing = Backing::Memfd;
  Arena arena{options};
  char* const block = static_cast<char*>(arena.allocate(Order{0}));
  std::strcpy(block, "shared");
  char read_back[8] = {};
  ASSERT_EQ(pread(arena.mapping().file(), read_back, 6, static_cast<off_t>(arena.offset_of(arena.pfn_of(block)))), 6);
  EXPECT_STREQ(read_back, "shared");
}

TEST(Arena, SharesOfNodesAreZones) {
  ArenaOptions options;
  options.nodes = {{.numa_node = 0, .bytes = 16 * kMiB}, {.numa_node = -1, .bytes = 8 * kMiB}};
  Arena arena{options};
  EXPECT_EQ(arena.bytes(), 24 * kMiB);
  const auto second = arena.try_allocate(Order{0}, {.this_node = true, .node = NodeId{1}});
  ASSERT_TRUE(second);
  EXPECT_GE(arena.pfn_of(*second).raw(), 16 * kMiB / kPageSize);
}

TEST(Arena, WhatGoesBackToTheSystemComesBackAsZeros) {
  Arena arena{of_size(16 * kMiB)};
  void* const block = arena.allocate(Order{10});
  std::memset(block, 7, 4 * kMiB);
  arena.free(block, Order{10});
  EXPECT_EQ(arena.give_back(), 16 * kMiB);
  unsigned char resident[1024];
  ASSERT_EQ(mincore(block, 4 * kMiB, resident), 0);
  EXPECT_EQ(std::count_if(std::begin(resident), std::end(resident), [](unsigned char page) { return (page & 1) != 0; }),
            0);
  void* const again = arena.allocate(Order{10});
  EXPECT_EQ(static_cast<char*>(again)[12345], 0);
  EXPECT_FALSE(arena.check_books());
}

TEST(Arena, AChildProcessHasAnArenaOfItsOwn) {
  Arena arena{of_size(8 * kMiB)};
  int* const number = static_cast<int*>(arena.allocate(Order{0}));
  *number = 1;
  const pid_t child = fork();
  if (child == 0) {
    *number = 2;
    arena.free(number, Order{0});
    void* const another = arena.allocate(Order{5});
    arena.free(another, Order{5});
    arena.drain();
    _exit(arena.stats().used == 0 && !arena.check_books() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*number, 1);
  arena.free(number, Order{0});
}

#ifdef MMBOX_ARENA_ASAN
TEST(ArenaDeathTest, AddressSanitizerSeesFreeBlocksAsPoisoned) {
  Arena arena{of_size(8 * kMiB)};
  char* const block = static_cast<char*>(arena.allocate(Order{0}));
  block[0] = 1;
  arena.free(block, Order{0});
  EXPECT_DEATH(static_cast<volatile char*>(block)[0] = 2, "use-after-poison");
}
#else  // which would rather report the read itself
TEST(Arena, FreedMemoryIsFilledIfWanted) {
  ArenaOptions options = of_size(8 * kMiB);
  options.fill_on_free = true;
  Arena arena{options};
  auto* const block = static_cast<unsigned char*>(arena.allocate(Order{1}));
  std::memset(block, 1, 2 * kPageSize);
  arena.free(block, Order{1});
  EXPECT_EQ(block[0], kFillByte);
  EXPECT_EQ(block[2 * kPageSize - 1], kFillByte);
}
#endif

TEST(ArenaDeathTest, TheGuardBehindABlockIsInaccessible) {
  ArenaOptions options = of_size(8 * kMiB);
  options.guard_pages = true;
  Arena arena{options};
  char* const block = static_cast<char*>(arena.allocate(Order{1}));
  std::memset(block, 1, 2 * kPageSize);
  EXPECT_DEATH(static_cast<volatile char*>(block)[2 * kPageSize] = 1, "");
  EXPECT_EQ(arena.order_of(block), Order{1});
  arena.free(block, Order{1});
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
}

TEST(ArenaDeathTest, MisuseEndsTheProgramUnlessSomebodyElseDecides) {
  Arena arena{of_size(8 * kMiB)};
  void* const block = arena.allocate(Order{0});
  arena.free(block, Order{0});
  EXPECT_DEATH(arena.free(block, Order{0}), "double free: 0x[0-9a-f]+, frame [0-9]+, is free already");
}

TEST_F(ArenaMisuse, ASecondFreeIsSeenOnACpusListAndInsideAMergedBlock) {
  Arena arena{of_size(8 * kMiB)};
  void* const block = arena.allocate(Order{0});
  arena.free(block, Order{0});
  arena.free(block, Order{0});
  arena.drain();  // merged upward by now
  arena.free(block, Order{0});
  arena.free(block);
  ASSERT_EQ(seen.size(), 3U);
  for (const Misuse& misuse : seen) {
    EXPECT_EQ(misuse.kind, MisuseKind::DoubleFree);
    EXPECT_EQ(misuse.address, reinterpret_cast<std::uintptr_t>(block));
    EXPECT_EQ(misuse.pfn, arena.pfn_of(block).raw());
  }
  EXPECT_FALSE(arena.check_books());
}

TEST_F(ArenaMisuse, AWrongOrderNamesTheRightOne) {
  Arena arena{of_size(8 * kMiB)};
  void* const block = arena.allocate(Order{3});
  arena.free(block, Order{2});
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].kind, MisuseKind::WrongOrder);
  EXPECT_THAT(text_of(seen[0]), HasSubstr("is a block of order 3, not of order 2"));
  arena.free(block, Order{3});
  EXPECT_EQ(seen.size(), 1U);
}

TEST_F(ArenaMisuse, AddressesOfOtherArenasAndOfNoneAreToldApart) {
  Arena arena{of_size(8 * kMiB)};
  Arena other{of_size(8 * kMiB)};
  void* const block = other.allocate(Order{0});
  int on_the_stack = 0;
  arena.free(block, Order{0});
  arena.free(&on_the_stack, Order{0});
  arena.free(static_cast<void*>(nullptr));
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].kind, MisuseKind::WrongArena);
  EXPECT_EQ(seen[1].kind, MisuseKind::ForeignAddress);
}

TEST_F(ArenaMisuse, TheInsideOfABlockIsNoBlock) {
  Arena arena{of_size(8 * kMiB)};
  char* const block = static_cast<char*>(arena.allocate(Order{3}));
  arena.free(block + kPageSize, Order{0});
  arena.free(block + 100, Order{3});
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].kind, MisuseKind::NoBlock);
  EXPECT_EQ(seen[1].kind, MisuseKind::NoBlock);
}

// ------------------------------------------------------------- moving

/// A table of pages, each filled with its own number.
class Pages final : public Owner {
 public:
  explicit Pages(Arena& arena) : arena_(arena), id_(arena.add_owner(*this)) {}
  bool add(unsigned order = 0) {
    const auto tag = static_cast<std::uint32_t>(slots_.size());
    const auto got = arena_.try_allocate(
        Order{order}, {.mobility = Mobility::Movable, .effort = Effort::NoWait, .owner = id_, .tag = tag});
    if (!got)
      return false;
    slots_.push_back({static_cast<std::uint32_t*>(*got), order});
    std::fill_n(slots_.back().memory, words(order), tag);
    return true;
  }
  void drop(std::size_t slot) {
    arena_.free(slots_[slot].memory, Order{slots_[slot].order});
    slots_[slot].memory = nullptr;
  }
  bool relocate(const Relocation& move) override {
    Slot& slot = slots_[move.tag];
    if (refuses || slot.memory != move.from_address)
      return false;
    std::memcpy(move.to_address, move.from_address, move.bytes);
    slot.memory = static_cast<std::uint32_t*>(move.to_address);
    return true;
  }
  [[nodiscard]] bool is_intact() const {
    for (std::size_t tag = 0; tag < slots_.size(); ++tag) {
      const Slot& slot = slots_[tag];
      if (slot.memory != nullptr &&
          !std::all_of(slot.memory, slot.memory + words(slot.order), [tag](std::uint32_t word) { return word == tag; }))
        return false;
    }
    return true;
  }
  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  [[nodiscard]] bool has(std::size_t slot) const { return slots_[slot].memory != nullptr; }
  [[nodiscard]] void* at(std::size_t slot) const { return slots_[slot].memory; }
  bool refuses = false;

 private:
  struct Slot {
    std::uint32_t* memory;
    unsigned order;
  };
  static std::size_t words(unsigned order) { return (kPageSize << order) / sizeof(std::uint32_t); }
  Arena& arena_;
  OwnerId id_;
  std::vector<Slot> slots_;
};

/// Fills the arena, then frees half of it at random.
void fill_and_thin(Pages& pages, unsigned order_max) {
  std::mt19937 random{1};
  while (pages.add(order_max == 0 ? 0U : static_cast<unsigned>(random() % (order_max + 1)))) {
  }
  for (std::size_t slot = 0; slot < pages.size(); ++slot)
    if (random() % 2 == 0)
      pages.drop(slot);
}

TEST(ArenaCompaction, MakesLargeBlocksOutOfScatteredOnes) {
  Arena arena{of_size(64 * kMiB)};
  Pages pages{arena};
  fill_and_thin(pages, 0);
  arena.drain();
  EXPECT_EQ(arena.stats().free_blocks[9] + arena.stats().free_blocks[10], 0U);
  const std::uint64_t free = arena.stats().free;
  const std::uint64_t large = arena.compact();
  EXPECT_GE(large, free / kPageblockPages * 9 / 10);
  EXPECT_TRUE(pages.is_intact());
  EXPECT_GT(arena.stats().moved, 0U);
  EXPECT_EQ(arena.stats().free, free);
  EXPECT_FALSE(arena.check_books());
}

TEST(ArenaCompaction, MovesBlocksOfAllOrdersOnDemand) {
  Arena arena{of_size(64 * kMiB)};
  Pages pages{arena};
  fill_and_thin(pages, 5);
  // Thinner still: what moves out of one pageblock needs room in another.
  for (std::size_t slot = 0; slot < pages.size(); slot += 2)
    if (pages.has(slot))
      pages.drop(slot);
  arena.drain();
  const std::uint64_t before = arena.stats().free_blocks[9] + 2 * arena.stats().free_blocks[10];
  const std::uint64_t after = arena.compact();
  EXPECT_GT(after, before + arena.stats().free / kPageblockPages / 2);
  EXPECT_TRUE(pages.is_intact());
  EXPECT_FALSE(arena.check_books());
}

TEST(ArenaCompaction, ARequestForALargeBlockCompactsByItself) {
  Arena arena{of_size(64 * kMiB)};
  Pages pages{arena};
  fill_and_thin(pages, 0);
  const auto refused = arena.try_allocate(Order{9}, {.mobility = Mobility::Movable, .effort = Effort::NoWait});
  EXPECT_FALSE(refused);
  const auto block = arena.try_allocate(Order{9}, {.mobility = Mobility::Movable});
  ASSERT_TRUE(block);
  EXPECT_TRUE(pages.is_intact());
}

TEST(ArenaCompaction, NothingMovesIfTheOwnerRefuses) {
  Arena arena{of_size(32 * kMiB)};
  Pages pages{arena};
  fill_and_thin(pages, 0);
  pages.refuses = true;
  std::vector<void*> before;
  for (std::size_t slot = 0; slot < pages.size(); ++slot)
    before.push_back(pages.at(slot));
  arena.compact();
  for (std::size_t slot = 0; slot < pages.size(); ++slot)
    ASSERT_EQ(pages.at(slot), before[slot]);
  EXPECT_EQ(arena.stats().moved, 0U);
  EXPECT_GT(arena.stats().not_moved, 0U);
  EXPECT_TRUE(pages.is_intact());
  EXPECT_FALSE(arena.check_books());
}

TEST(ArenaCompaction, RunsAreEmptiedForTheRequestThatNeedsThem) {
  Arena arena{of_size(64 * kMiB)};
  Pages pages{arena};
  fill_and_thin(pages, 2);
  const auto run = arena.try_allocate_bytes(8 * kMiB);
  ASSERT_TRUE(run);
  std::memset(*run, 0xff, 8 * kMiB);
  EXPECT_TRUE(pages.is_intact());
  arena.free_bytes(*run, 8 * kMiB);
  EXPECT_FALSE(arena.check_books());
}

/// Frees every second page while it is asked to move it.
class Fickle final : public Owner {
 public:
  explicit Fickle(Arena& arena) : arena_(arena), id_(arena.add_owner(*this)) {
    for (std::size_t tag = 0;; ++tag) {
      const auto got = arena_.try_allocate(Order{0}, {.mobility = Mobility::Movable,
                                                      .effort = Effort::NoWait,
                                                      .owner = id_,
                                                      .tag = static_cast<std::uint32_t>(tag)});
      if (!got)
        break;
      pages_.push_back(*got);
    }
    for (std::size_t tag = 0; tag < pages_.size(); ++tag)
      if (tag % 3 != 0)
        arena_.free(std::exchange(pages_[tag], nullptr), Order{0});
  }
  bool relocate(const Relocation& move) override {
    void*& page = pages_[move.tag];
    switch (++calls_ % 3) {
      case 0: arena_.free(std::exchange(page, nullptr), Order{0}); return false;  // gone
      case 1:  // lets it move, and lets go of it under its old name at once
        arena_.free(std::exchange(page, nullptr), Order{0});
        return true;
      default: page = move.to_address; return true;
    }
  }
  [[nodiscard]] std::size_t live() const {
    return pages_.size() - static_cast<std::size_t>(std::count(pages_.begin(), pages_.end(), nullptr));
  }

 private:
  Arena& arena_;
  OwnerId id_;
  std::vector<void*> pages_;
  unsigned calls_ = 0;
};

TEST(ArenaCompaction, BlocksFreedWhileTheyMoveAreFreedOnce) {
  Arena arena{of_size(32 * kMiB)};
  Fickle owner{arena};
  arena.compact();
  arena.drain();
  EXPECT_EQ(arena.stats().used, owner.live());
  EXPECT_FALSE(arena.check_books());
}

// ------------------------------------------------------------- shrinking

class Cache final : public Shrinker {
 public:
  explicit Cache(Arena& arena) : arena_(arena) { arena.add_shrinker(*this); }
  ~Cache() { arena_.remove_shrinker(*this); }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;
  bool grow() {
    const auto page = arena_.try_allocate(Order{0}, {.mobility = Mobility::Reclaimable, .effort = Effort::NoWait});
    if (page)
      pages_.push_back(*page);
    return page.ok();
  }
  std::size_t shrink(std::size_t pages) override {
    std::size_t freed = 0;
    for (; freed < pages && !pages_.empty(); ++freed) {
      arena_.free(pages_.back(), Order{0});
      pages_.pop_back();
    }
    return freed;
  }
  std::size_t shrinkable() override { return pages_.size(); }
  [[nodiscard]] std::size_t size() const { return pages_.size(); }

 private:
  Arena& arena_;
  std::vector<void*> pages_;
};

TEST(ArenaShrinking, ARequestShrinksCachesBeforeItFails) {
  Arena arena{of_size(16 * kMiB)};
  Cache cache{arena};
  while (cache.grow()) {
  }
  const std::size_t before = cache.size();
  EXPECT_TRUE(arena.try_allocate(Order{0}));
  EXPECT_LT(cache.size(), before);
  EXPECT_GT(arena.stats().shrunk, 0U);
}

}  // namespace
}  // namespace mmbox
