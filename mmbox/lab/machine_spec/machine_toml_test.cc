#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "mmbox/lab/machine_spec/machine_spec.h"

namespace mmbox::lab {
namespace {

const std::filesystem::path kExamples =
    (std::filesystem::path{MMBOX_TEST_DATA} / "../../examples/machines").lexically_normal();

MachineSpec read(std::string_view text) {
  Expected<MachineSpec> spec = read_machine_toml(text, "m.toml");
  EXPECT_TRUE(spec) << spec.error().text();
  return spec ? *spec : MachineSpec{};
}

std::string error_of(std::string_view text) {
  const Expected<MachineSpec> spec = read_machine_toml(text, "m.toml");
  return spec ? "no error" : spec.error().text();
}

MachineSpec example(const char* name) {
  Expected<MachineSpec> spec = load_machine((kExamples / name).string());
  EXPECT_TRUE(spec) << spec.error().text();
  return spec ? *spec : MachineSpec{};
}

std::uint64_t present(const MachineSpec& spec, std::size_t node, ZoneType type) {
  std::uint64_t pages = 0;
  for (const ZoneConfig& zone : spec.zones) {
    if (zone.node == NodeId{node} && zone.type == type)
      pages += zone.present.raw();
  }
  return pages;
}

std::uint64_t free_pages(const MachineSpec& spec) {
  std::uint64_t pages = 0;
  for (const MemoryRange& m : spec.free_ranges())
    pages += m.range.pages().raw();
  return pages;
}

TEST(MachineToml, ALineOfMemoryIsAMachine) {
  const MachineSpec spec = read("[[node]]\nmemory = \"16G\"\ncpus = 8\n");
  EXPECT_EQ(spec.nodes, 1u);
  EXPECT_EQ(spec.cpus, std::vector<NodeId>(8, NodeId{0}));
  EXPECT_EQ(spec.distances, std::vector<std::uint8_t>{10});
  // 16 GiB from address 0 around the hole below 4 GiB, without the first page and the legacy hole.
  EXPECT_EQ(present(spec, 0, ZoneType::Dma), 4096u - 1 - 97);
  EXPECT_EQ(present(spec, 0, ZoneType::Dma32), 0xc0000u - 4096);
  EXPECT_EQ(present(spec, 0, ZoneType::Normal), (16ULL << 18) - 0xc0000);
  EXPECT_EQ(spec.memory.back().range.end, Pfn{(17ULL << 30) / kPageSize});
  EXPECT_EQ(spec.tunables.lowmem_reserve_ratio, (std::array<std::int64_t, kMaxZoneTypes>{256, 256, 32, 0, 0, 0}));
  EXPECT_EQ(spec.tunables.min_free_kbytes, 0u);
}

TEST(MachineToml, WhatIsReservedIsListed) {
  const MachineSpec spec = read("[[node]]\nmemory = \"4G\"\n");
  std::vector<std::string> names;
  std::uint64_t reserved = 0;
  for (const ReservedRange& r : spec.reserved) {
    names.push_back(r.what);
    reserved += r.range.pages().raw();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"first megabyte", "kernel image", "memmap of node 0"}));
  const std::uint64_t memory = (4ULL << 18) - 98;
  EXPECT_EQ(reserved, 158 + 6144 + (memory + 63) / 64);
  EXPECT_EQ(free_pages(spec), memory - reserved);
  const MachineSpec bare = read("[machine]\nreserve = \"none\"\n[[node]]\nmemory = \"4G\"\n");
  EXPECT_TRUE(bare.reserved.empty());
  EXPECT_EQ(free_pages(bare), memory);
}

TEST(MachineToml, TheConfigShowsTheWholeMachine) {
  const MachineSpec spec = example("cxl-expander.toml");
  const MachineConfig config = spec.config();
  EXPECT_EQ(config.nodes, 3u);
  EXPECT_EQ(config.zone_types.size(), 5u);
  EXPECT_EQ(config.zones.size(), 15u);
  ASSERT_EQ(config.distances.size(), 9u);
  EXPECT_EQ(config.distances[2], 24);
  ASSERT_EQ(config.cpus.size(), 16u);
  EXPECT_EQ(config.cpus[8], NodeId{1});
  EXPECT_EQ(config.memory.size(), spec.memory.size());
  EXPECT_EQ(config.generation.name, "linux-6.1");
  EXPECT_EQ(present(spec, 2, ZoneType::Movable), 128ULL << 18);
  EXPECT_EQ(present(spec, 2, ZoneType::Normal), 0u);
}

TEST(MachineToml, ReproducesARecordedLayout) {
  const MachineSpec spec = example("vm-640M.toml");
  ASSERT_EQ(spec.zones.size(), 5u);
  EXPECT_EQ(spec.zones[0].present, PageCount{3998});
  EXPECT_EQ(spec.zones[1].present, PageCount{61402});
  EXPECT_EQ(spec.zones[1].spanned, PageCount{1044480});
  EXPECT_EQ(spec.zones[2].present, PageCount{98304});
  EXPECT_EQ(free_pages(spec), 3840u + 53299 + 95242);
}

TEST(MachineToml, KernelcoreCarvesAMovableZone) {
  const MachineSpec spec = example("kernelcore.toml");
  EXPECT_EQ(spec.movable.kernelcore, PageCount{8ULL << 18});
  EXPECT_EQ(spec.zones[3].type, ZoneType::Movable);
  // 8 GiB lie below, rounded up to the largest block.
  EXPECT_EQ(spec.zones[3].start, Pfn{((9ULL << 18) + 98 + 1023) / 1024 * 1024});
}

TEST(MachineToml, EveryExampleIsReadAndWrittenBackUnchanged) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{kExamples}) {
    if (entry.path().extension() != ".toml")
      continue;
    SCOPED_TRACE(entry.path().filename());
    const MachineSpec spec = example(entry.path().filename().c_str());
    const std::string text = spec.toml();
    const MachineSpec again = read(text);
    EXPECT_EQ(again.toml(), text);
    EXPECT_EQ(again.reserved, spec.reserved);
    EXPECT_EQ(again.cpus, spec.cpus);
    EXPECT_EQ(again.distances, spec.distances);
    ASSERT_EQ(again.zones.size(), spec.zones.size());
    for (std::size_t i = 0; i < spec.zones.size(); ++i) {
      EXPECT_EQ(again.zones[i].start, spec.zones[i].start);
      EXPECT_EQ(again.zones[i].spanned, spec.zones[i].spanned);
      EXPECT_EQ(again.zones[i].present, spec.zones[i].present);
    }
    ++count;
  }
  EXPECT_GE(count, 5u);
}

TEST(MachineToml, WritesBackEveryKey) {
  const MachineSpec spec = read(R"(
[machine]
zones = ["DMA", "Normal", "HighMem", "Movable"]
generation = "linux-6.1.0"
cma = true
thp = false
max_low = "512M"
kernelcore = "1G"
movablecore = "256M"
node_reclaim_distance = 32
[[node]]
memory = "2G"
cpus = "0,2"
[[node]]
memory = "1G"
cpus = "1,3"
hotpluggable = true
[[reserved]]
range = "64M-65M"
what = "a \"frame\\buffer\"\n"
[settings]
"vm.min_free_kbytes" = 4096
vm.dirty_bytes = 1048576
"vm.lowmem_reserve_ratio" = [128, 16]
)");
  EXPECT_EQ(spec.max_low, Pfn{512 * 256});
  EXPECT_EQ(spec.cpus, (std::vector<NodeId>{NodeId{0}, NodeId{1}, NodeId{0}, NodeId{1}}));
  EXPECT_EQ(spec.tunables.user_min_free_kbytes, 4096);
  EXPECT_EQ(spec.tunables.dirty_ratio, 0u);
  EXPECT_EQ(spec.tunables.node_reclaim_distance, 32u);
  EXPECT_EQ(spec.tunables.lowmem_reserve_ratio, (std::array<std::int64_t, kMaxZoneTypes>{128, 16, 0, 0, 0, 0}));
  EXPECT_TRUE(spec.zones[2].is_highmem);
  const std::string text = spec.toml();
  const MachineSpec again = read(text);
  EXPECT_EQ(again.toml(), text);
  EXPECT_EQ(again.reserved, spec.reserved);
  EXPECT_EQ(again.tunables.dirty_bytes, 1048576u);
  EXPECT_EQ(again.tunables.user_min_free_kbytes, 4096);
  EXPECT_EQ(again.generation.name, "linux-6.1.0");
  EXPECT_TRUE(again.has_cma);
  EXPECT_FALSE(again.has_thp);
  EXPECT_EQ(again.movable.movablecore, PageCount{256 * 256});
}

TEST(MachineToml, MinFreeWrittenByTheUserIsKeptEvenAtItsDefault) {
  const MachineSpec spec = read("[[node]]\nmemory = \"1G\"\n[settings]\n\"vm.min_free_kbytes\" = 0\n");
  EXPECT_EQ(read(spec.toml()).tunables.user_min_free_kbytes, 0);
}

TEST(MachineToml, SettingsApplyInTheOrderOfTheFile) {
  const std::string node = "[[node]]\nmemory = \"1G\"\n[settings]\n";
  EXPECT_EQ(read(node + "\"vm.dirty_bytes\" = 8192\n\"vm.dirty_ratio\" = 5\n").tunables.dirty_bytes, 0u);
  EXPECT_EQ(read(node + "\"vm.dirty_ratio\" = 5\n\"vm.dirty_bytes\" = 8192\n").tunables.dirty_bytes, 8192u);
}

TEST(MachineToml, ErrorsNameFileLineColumnKeyAndRemedy) {
  EXPECT_EQ(error_of("[machine]\nkernelcor = \"1G\"\n"),
            "m.toml:2: column 1, [machine]: unknown key \"kernelcor\"; did you mean \"kernelcore\"?");
  EXPECT_EQ(
      error_of("[[node]]\nmemory = \"64Q\"\n"),
      "m.toml:2: column 10, [[node]] memory: \"64Q\" is not a size; give a number and a unit (K, M, G, T), \"64G\"");
  EXPECT_EQ(error_of("[[node]]\nmemory = \"1G\"\n[settings]\n\"vm.swapiness\" = 1\n"),
            "m.toml:4: column 1, [settings]: there is no setting \"vm.swapiness\"; did you mean \"vm.swappiness\"?");
  EXPECT_EQ(error_of("[machine\n").substr(0, 9), "m.toml:1:");
  EXPECT_EQ(error_of(""),
            "m.toml: a machine needs a node; describe one, \"[[node]]\" with memory = \"4G\" and cpus = 4");
}

TEST(MachineToml, RefusesWhatCannotBe) {
  const std::string node = "[[node]]\nmemory = \"1G\"\n";
  const std::string machine = "[machine]\n";
  struct Case {
    std::string text;
    const char* says;
  };
  const Case cases[] = {
      {"machine = 3\n", "this is not a table"},
      {"node = 3\n", "this is not a list of tables"},
      {"node = [3]\n", "this is not a table"},
      {"settings = 3\n" + node, "this is not a table"},
      {"nodes = 3\n", "unknown key \"nodes\"; did you mean \"node\"?"},
      {machine + "thp = 1\n" + node, "this is not a switch"},
      {machine + "zones = 1\n" + node, "this is not a list of zone types"},
      {machine + "zones = [\"Normal\", \"DMA\", \"Movable\"]\n" + node, "DMA must not follow Normal"},
      {machine + "zones = [\"Normal\", \"Normal\", \"Movable\"]\n" + node, "Normal must not follow Normal"},
      {machine + "zones = [\"Normal\"]\n" + node, "Movable is missing"},
      {machine + "zones = [\"Movable\"]\n" + node, "Normal is missing"},
      {machine + "zones = [\"normal\"]\n" + node, "did you mean \"Normal\"?"},
      {machine + "zones = [1]\n" + node, "there is no zone type"},
      {machine + "generation = \"linux-6.2\"\n" + node,
       "known are linux-3.10, linux-4.12, linux-5.10, linux-6.1.0, linux-6.1, linux-6.12, linux-7.2"},
      {machine + "reserve = \"some\"\n" + node, "neither \"typical\" nor \"none\""},
      {machine + "hole = \"4G-3G\"\n" + node, "this is not a range of addresses"},
      {machine + "max_low = \"1G\"\n" + node, "all memory is low without a HighMem zone"},
      {machine + "zones = [\"Normal\", \"HighMem\", \"Movable\"]\nmax_low = \"0\"\n" + node, "some memory must be low"},
      {machine + "kernelcore = 8\n" + node, "this is not a size"},
      {machine + "kernelcore = \"1000\"\n" + node, "not a whole number of pages"},
      {machine + "node_reclaim_distance = 256\n" + node, "this number does not fit"},
      {machine + "distances = 10\n" + node, "these are not distances"},
      {machine + "distances = []\n" + node, "there are no distances"},
      {machine + "distances = [[10, 20]]\n" + node, "as many numbers as there are rows"},
      {machine + "distances = [[9]]\n" + node, "this is not a distance"},
      {machine + "distances = [[255]]\n" + node, "this is not a distance"},
      {machine + "distances = [[11]]\n" + node, "node 0 is 11 away from itself"},
      {machine + "distances = [[10, 20], [20, 10]]\n" + node, "1 nodes need 1 rows of 1 distances"},
      {"[[node]]\ncpus = 1\n", "no node has memory"},
      {"[[node]]\nmemory = \"1G\"\ncpus = 0\n", "no node has a CPU"},
      {"[[node]]\nmemory = \"1G\"\ncpus = -1\n", "this is not a number of CPUs"},
      {"[[node]]\nmemory = \"1G\"\ncpus = 8193\n", "this is not a number of CPUs"},
      {"[[node]]\nmemory = \"1G\"\ncpus = \"3-1\"\n", "this is not a list of CPUs"},
      {"[[node]]\nmemory = \"1G\"\ncpus = \"1\"\n", "there is a CPU 1, but no CPU 0"},
      {node + "cpus = \"0-1\"\n" + node + "cpus = \"1-2\"\n", "CPU 1 belongs to two nodes"},
      {node + "cpus = 8000\n" + node + "cpus = 193\n", "8193 CPUs are too many"},
      {"[[node]]\nmemory = [\"1M\"]\n", "this is not a range of addresses"},
      {"[[node]]\nmemory = [\"1M-3M\", \"2M-4M\"]\n",
       "0x200000-0x400000 of node 0 overlaps 0x100000-0x300000 of node 0"},
      {"[[node]]\nmemory = [\"1M-3M\"]\n" + node, "some nodes have a size and others have ranges"},
      {"[[node]]\nmemory = \"17T\"\n", "17T of memory is too much"},
      {"[[node]]\nmemory = \"16T\"\n", "memory ends at 0x1000"},
      {"[[node]]\nmemory = [\"15T-17T\"]\n", "memory ends at 0x1100"},
      {node + "[[reserved]]\nwhat = \"x\"\n", "the range is missing"},
      {node + "[[reserved]]\nrange = 3\n", "this is not a range of addresses"},
      {node + "[[reserved]]\nrange = \"1G-2G\"\n", "there is no memory at 0x40000000-0x80000000"},
      {node + "[[reserved]]\nrange = \"0-1G\"\n", "all memory is reserved"},
      {node + "[settings]\n\"vm.dirty_ratio\" = 1.5\n", "has no value that sysctl would take"},
      {node + "[settings]\n\"vm.dirty_ratio\" = 101\n", "give a whole number from 0 to 100 (percent)"},
      {node + "[settings]\n\"vm.lowmem_reserve_ratio\" = [\"a\"]\n", "has no value that sysctl would take"},
  };
  for (const Case& c : cases) {
    const std::string error = error_of(c.text);
    EXPECT_NE(error.find(c.says), std::string::npos) << c.text << "\n" << error;
    EXPECT_TRUE(error.starts_with("m.toml")) << error;
    EXPECT_NE(error.find("; "), std::string::npos) << "no remedy: " << error;
  }
}

TEST(MachineToml, HoldsTheLargestMachine) {
  std::string text = "[machine]\nhole = \"none\"\nreserve = \"none\"\n";
  for (int n = 0; n < 64; ++n)
    text += "[[node]]\nmemory = \"256G\"\ncpus = 128\n";
  const MachineSpec spec = read(text);
  EXPECT_EQ(spec.zones.size(), 64u * 5);
  EXPECT_EQ(spec.cpus.size(), kMaxCpus);
  EXPECT_EQ(spec.memory.back().range.end, Pfn{kMaxPfn});
  EXPECT_NE(error_of(text + "[[node]]\nmemory = \"4K\"\n").find("65 nodes are too many"), std::string::npos);
}

TEST(MachineToml, AFileThatIsNoneIsRefused) {
  const Expected<MachineSpec> missing = load_machine("no/such/machine.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().file, "no/such/machine.toml");
  EXPECT_EQ(missing.error().message, "the machine file cannot be opened");
  EXPECT_NE(error_of(std::string(kMaxMachineText + 1, '\n')).find("more than 1 MiB"), std::string::npos);
  // Deep nesting is an error of the TOML reader, not the end of the stack.
  EXPECT_NE(error_of("x = " + std::string(100000, '[')).find("m.toml:1"), std::string::npos);
}

}  // namespace
}  // namespace mmbox::lab
