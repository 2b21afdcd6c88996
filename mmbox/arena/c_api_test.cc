#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory_resource>
#include <string>
#include <vector>

#include "mmbox/arena/memory_resource.h"
#include "mmbox/arena/mmbox.h"

namespace mmbox {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::size_t kMiB = std::size_t{1} << 20;
std::string last_misuse;

class CArena : public ::testing::Test {
 protected:
  CArena() {
    mmbox_arena_options options = MMBOX_ARENA_OPTIONS;
    options.bytes = 32 * kMiB;
    EXPECT_EQ(mmbox_arena_create(&options, &arena_), MMBOX_OK);
  }
  ~CArena() override { mmbox_arena_destroy(arena_); }
  mmbox_arena* arena_ = nullptr;
};

TEST_F(CArena, BlocksComeAndGo) {
  void* const block = mmbox_allocate(arena_, 3, nullptr);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(mmbox_order_of(arena_, block), 3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % (8 * MMBOX_PAGE_SIZE), 0U);
  mmbox_free(arena_, block);
  EXPECT_EQ(mmbox_order_of(arena_, block), -1);
  mmbox_want want = MMBOX_WANT;
  want.zeroed = true;
  void* bytes = nullptr;
  EXPECT_EQ(mmbox_try_allocate_bytes(arena_, 5000, &want, &bytes), MMBOX_OK);
  mmbox_free_bytes(arena_, bytes, 5000);
  void* pages[10];
  EXPECT_EQ(mmbox_allocate_bulk(arena_, pages, 10, nullptr), 10U);
  mmbox_free_bulk(arena_, pages, 10);
  std::uint64_t frame = 0;
  EXPECT_EQ(mmbox_try_allocate_frames(arena_, 2, nullptr, &frame), MMBOX_OK);
  mmbox_free_frames(arena_, frame, 2);
  void* const four = mmbox_allocate(arena_, 2, nullptr);
  mmbox_split(arena_, four, 2);
  for (int i = 0; i < 4; ++i)
    mmbox_free_sized(arena_, static_cast<char*>(four) + i * MMBOX_PAGE_SIZE, 0);
  mmbox_drain(arena_);
  mmbox_stats stats;
  mmbox_get_stats(arena_, &stats);
  EXPECT_EQ(stats.used, 0U);
  EXPECT_EQ(stats.free_blocks[10], 8U);
}

TEST_F(CArena, RefusalsHaveReasons) {
  void* block = arena_;
  EXPECT_EQ(mmbox_try_allocate(arena_, 11, nullptr, &block), MMBOX_TOO_LARGE);
  EXPECT_EQ(block, nullptr);
  EXPECT_EQ(mmbox_try_allocate(arena_, 300, nullptr, &block), MMBOX_TOO_LARGE);
  while (mmbox_allocate(arena_, 10, nullptr) != nullptr) {
  }
  EXPECT_EQ(mmbox_try_allocate(arena_, 10, nullptr, &block), MMBOX_NO_MEMORY);
  EXPECT_STREQ(mmbox_status_text(MMBOX_NO_MEMORY), "every zone that may serve it said no");
  mmbox_arena_options options = MMBOX_ARENA_OPTIONS;
  mmbox_arena* none = nullptr;
  EXPECT_EQ(mmbox_arena_create(&options, &none), MMBOX_INVALID);
}

TEST_F(CArena, TextsAreCutWhereTheBufferEnds) {
  char small[10];
  const std::size_t length = mmbox_get_text(arena_, MMBOX_BUDDYINFO, small, sizeof small);
  EXPECT_GT(length, sizeof small);
  EXPECT_STREQ(small, "Node 0, z");
  std::vector<char> all(mmbox_get_text(arena_, MMBOX_VMSTAT, nullptr, 0) + 1);
  mmbox_get_text(arena_, MMBOX_VMSTAT, all.data(), all.size());
  EXPECT_THAT(all.data(), StartsWith("nr_free_pages 8192\n"));
}

TEST_F(CArena, MisuseIsToldInWords) {
  mmbox_set_misuse_handler([](const char* text) { last_misuse = text; });
  void* const block = mmbox_allocate(arena_, 0, nullptr);
  mmbox_free_sized(arena_, block, 1);
  EXPECT_THAT(last_misuse, HasSubstr("wrong order"));
  mmbox_free_sized(arena_, block, 0);
  mmbox_free_sized(arena_, block, 0);
  EXPECT_THAT(last_misuse, StartsWith("double free"));
  mmbox_set_misuse_handler(nullptr);
}

struct Moving {
  std::map<std::uint32_t, void*> blocks;
};

TEST_F(CArena, OwnersMoveAndShrinkersFree) {
  Moving moving;
  const int owner = mmbox_add_owner(
      arena_,
      [](void* context, const mmbox_move* move) {
        auto& blocks = static_cast<Moving*>(context)->blocks;
        const auto found = blocks.find(move->tag);
        if (found == blocks.end() || found->second != move->from_address)
          return false;
        std::memcpy(move->to_address, move->from_address, move->bytes);
        found->second = move->to_address;
        return true;
      },
      &moving);
  ASSERT_GE(owner, 0);
  mmbox_want want = MMBOX_WANT;
  want.mobility = MMBOX_MOVABLE;
  want.owner = owner;
  for (want.tag = 0;; ++want.tag) {
    void* const block = mmbox_allocate(arena_, 0, &want);
    if (block == nullptr)
      break;
    std::memcpy(block, &want.tag, sizeof want.tag);
    moving.blocks[want.tag] = block;
  }
  for (std::uint32_t tag = 0; tag < want.tag; tag += 2) {
    mmbox_free(arena_, moving.blocks[tag]);
    moving.blocks.erase(tag);
  }
  EXPECT_GE(mmbox_compact(arena_), 7U);  // of 8, which are half of 32 MiB
  for (const auto& [tag, block] : moving.blocks)
    EXPECT_EQ(std::memcmp(block, &tag, sizeof tag), 0);

  struct Stock {
    mmbox_arena* arena;
    void* block;
  } stock{arena_, nullptr};
  mmbox_add_shrinker(
      arena_,
      [](void* context, size_t) -> size_t {
        auto* const mine = static_cast<Stock*>(context);
        if (mine->block == nullptr)
          return 0;
        mmbox_free(mine->arena, std::exchange(mine->block, nullptr));
        return 1;
      },
      &stock);
  stock.block = mmbox_allocate(arena_, 0, nullptr);
  while (mmbox_allocate(arena_, 0, nullptr) != nullptr) {
  }
  EXPECT_EQ(stock.block, nullptr);
}

TEST(ArenaResource, FeedsContainers) {
  ArenaOptions options;
  options.bytes = 32 * kMiB;
  Arena arena{options};
  {
    ArenaResource resource{arena};
    std::pmr::unsynchronized_pool_resource pool{&resource};
    std::pmr::vector<int> large{&resource};
    std::pmr::map<int, std::pmr::string> small{&pool};
    for (int i = 0; i < 100'000; ++i)
      large.push_back(i);
    for (int i = 0; i < 1000; ++i)
      small.emplace(i, "a string that is too long for the string itself");
    EXPECT_EQ(large[99'999], 99'999);
    EXPECT_GT(arena.stats().used, 100U);
    EXPECT_TRUE(resource.is_equal(ArenaResource{arena}));
    void* const aligned = resource.allocate(10, 1 << 16);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % (1 << 16), 0U);
    resource.deallocate(aligned, 10, 1 << 16);
  }
  arena.drain();
  EXPECT_EQ(arena.stats().used, 0U);
}

}  // namespace
}  // namespace mmbox
