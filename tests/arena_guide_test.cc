// The code of docs/arena.md, compiled and run; and a test that it is that code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "mmbox/arena/arena.h"
#include "mmbox/arena/memory_resource.h"
#include "mmbox/core/machine/machine_impl.h"

namespace {

class Frames final : public mmbox::Owner {
 public:
  bool relocate(const mmbox::Relocation& move) override {
    const std::unique_lock lock{mutex, std::try_to_lock};
    if (!lock || at[move.tag] != move.from_address)
      return false;  // in use, or freed by now: not this time
    std::memcpy(move.to_address, move.from_address, move.bytes);
    at[move.tag] = move.to_address;
    return true;
  }
  std::mutex mutex;
  std::array<void*, 16> at{};
};

}  // namespace

struct KernelSync {
  static bool try_lock(std::uint32_t& word) { return __atomic_exchange_n(&word, 1, __ATOMIC_ACQUIRE) == 0; }
  static void lock(std::uint32_t& word) {
    while (!try_lock(word)) {
    }
  }
  static void unlock(std::uint32_t& word) { __atomic_store_n(&word, 0, __ATOMIC_RELEASE); }
};
static_assert(mmbox::SyncPolicy<KernelSync>);

template class mmbox::BasicMachine<KernelSync>;

namespace {

TEST(ArenaGuide, TenLines) {
  mmbox::Arena arena{{.bytes = std::size_t{64} << 20}};
  void* const page = arena.allocate(mmbox::Order{0});          // 4 KiB
  void* const run = arena.allocate_bytes(100'000);             // 128 KiB, aligned to 128 KiB
  arena.free(page, mmbox::Order{0});                           // sized: the order is checked
  arena.free(run);                                             // unsized: the order is looked up
  mmbox::Block block = arena.allocate_block(mmbox::Order{9});  // 2 MiB, freed by its destructor
  EXPECT_TRUE(block);

  const auto got = arena.try_allocate(mmbox::Order{10}, {.mobility = mmbox::Mobility::Movable});
  if (!got)
    std::puts(std::string{mmbox::reason_text(got.error())}.c_str());
  EXPECT_TRUE(got);
}

TEST(ArenaGuide, Containers) {
  mmbox::Arena arena{{.bytes = std::size_t{64} << 20}};
  mmbox::ArenaResource resource{arena};
  std::pmr::vector<double> samples{&resource};
  std::pmr::unsynchronized_pool_resource small{&resource};  // for what is smaller than a page
  samples.push_back(1);
  EXPECT_TRUE(arena.contains(samples.data()));
}

TEST(ArenaGuide, ForeignMemory) {
  mmbox::ArenaOptions options;
  options.bytes = std::size_t{256} << 20;
  options.backing = mmbox::Backing::Foreign;
  mmbox::Arena device{options};
  const auto frames = device.try_allocate_frames(mmbox::Order{4});
  const std::uint64_t offset = device.offset_of(*frames);
  device.free_frames(*frames, mmbox::Order{4});
  EXPECT_EQ(offset % (16 * mmbox::kPageSize), 0U);
}

TEST(ArenaGuide, Owners) {
  mmbox::Arena arena{{.bytes = std::size_t{64} << 20}};
  Frames frames;
  const mmbox::OwnerId owner = arena.add_owner(frames);
  frames.at[7] = arena.allocate(mmbox::Order{0}, {.mobility = mmbox::Mobility::Movable, .owner = owner, .tag = 7});
  const std::uint64_t free_2_mib = arena.compact();
  EXPECT_EQ(free_2_mib, 31U);
}

TEST(ArenaGuide, Misuse) {
  const mmbox::MisuseHandler before =
      mmbox::set_misuse_handler([](const mmbox::Misuse& misuse) { std::puts(mmbox::text_of(misuse).c_str()); });
  mmbox::set_misuse_handler(before);
}

TEST(ArenaGuide, AKernelsMachine) {
  using mmbox::ZoneType;
  constexpr std::array kTypes{ZoneType::Normal};
  constexpr std::array<std::uint8_t, 1> kDistances{10};
  constexpr std::array kCpus{mmbox::NodeId{0}};
  const std::array zones{mmbox::ZoneConfig{.node = mmbox::NodeId{0},
                                           .index = mmbox::ZoneIndex{0},
                                           .type = ZoneType::Normal,
                                           .start = mmbox::Pfn{0},
                                           .spanned = mmbox::PageCount{8192},
                                           .present = mmbox::PageCount{8192}}};
  const std::array memory{mmbox::MemoryRange{.range = {mmbox::Pfn{0}, mmbox::Pfn{8192}}, .node = mmbox::NodeId{0}}};
  const mmbox::MachineConfig config{
      .zone_types = kTypes, .distances = kDistances, .cpus = kCpus, .zones = zones, .memory = memory, .tunables = {}};
  const std::size_t size = mmbox::BasicMachine<KernelSync>::storage_size(config);
  const auto storage = std::make_unique<std::byte[]>(size + 63);
  void* at = storage.get();
  std::size_t room = size + 63;
  std::align(64, size, at, room);
  const std::span<std::byte> books{static_cast<std::byte*>(at), size};

  mmbox::BasicMachine<KernelSync> machine{config, books};
  machine.release_boot_memory({mmbox::Pfn{1024}, mmbox::Pfn{8192}});
  machine.finish_boot();
  const mmbox::AllocResult page = machine.alloc({.gfp = mmbox::gfp::kKernel, .cpu = mmbox::CpuId{0}});
  machine.free(*page, mmbox::Order{0}, mmbox::CpuId{0});
  EXPECT_TRUE(page);
}

std::string read(const std::string& name) {
  std::ifstream file{MMBOX_SOURCE_DIR "/" + name};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// Without blanks and line ends, which differ with the depth of the code.
std::string bare(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

TEST(ArenaGuide, ItsCodeIsTheCodeOfThisFile) {
  const std::string here = bare(read("tests/arena_guide_test.cc"));
  const std::string guide = read("docs/arena.md");
  std::size_t blocks = 0;
  const std::string fence = "```";
  for (std::size_t begin = guide.find(fence + "cpp"); begin != std::string::npos;
       begin = guide.find(fence + "cpp", begin)) {
    begin = guide.find('\n', begin);
    const std::size_t end = guide.find(fence, begin);
    const std::string code = guide.substr(begin, end - begin);
    EXPECT_NE(here.find(bare(code)), std::string::npos) << "not in this file: " << code;
    ++blocks;
    begin = end + fence.size();
  }
  EXPECT_EQ(blocks, 9U);
}

}  // namespace
