#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "mmbox/lab/machine_spec/machine_spec.h"

namespace mmbox::lab {
namespace {

MachineSpec read(std::string_view words) {
  Expected<MachineSpec> spec = read_machine_words(words);
  EXPECT_TRUE(spec) << spec.error().text();
  return spec ? *spec : MachineSpec{};
}

std::string error_of(std::string_view words) {
  const Expected<MachineSpec> spec = read_machine_words(words);
  return spec ? "no error" : spec.error().text();
}

/// Pages of memory and CPUs of each node.
struct Shape {
  std::vector<std::uint64_t> pages;
  std::vector<std::size_t> cpus;
};

Shape shape(const MachineSpec& spec) {
  Shape result{std::vector<std::uint64_t>(spec.nodes), std::vector<std::size_t>(spec.nodes)};
  for (const MemoryRange& m : spec.memory)
    result.pages[m.node.raw()] += m.range.pages().raw();
  for (const NodeId node : spec.cpus)
    ++result.cpus[node.raw()];
  return result;
}

/// Node 0 loses the first page and the legacy hole.
constexpr std::uint64_t kLost = 98;
constexpr std::uint64_t kGiB = 1 << 18;

TEST(MachineWords, NodesOfASizeAndCpusInAll) {
  const MachineSpec spec = read("2 nodes of 64G, 16 cpus");
  EXPECT_EQ(shape(spec).pages, (std::vector<std::uint64_t>{64 * kGiB - kLost, 64 * kGiB}));
  EXPECT_EQ(shape(spec).cpus, (std::vector<std::size_t>{8, 8}));
  EXPECT_EQ(spec.cpus[7], NodeId{0});
  EXPECT_EQ(spec.cpus[8], NodeId{1});
  EXPECT_EQ(spec.distances, (std::vector<std::uint8_t>{10, 20, 20, 10}));
}

TEST(MachineWords, HaveManyForms) {
  EXPECT_EQ(shape(read("64G")).pages, (std::vector<std::uint64_t>{64 * kGiB - kLost}));
  EXPECT_EQ(shape(read("64G")).cpus, (std::vector<std::size_t>{1}));
  EXPECT_EQ(shape(read(" 1 Node with 512 MiB and 2 CPUs ")).cpus, (std::vector<std::size_t>{2}));
  EXPECT_EQ(shape(read("4 nodes of 16G each, 4 cpus each")).cpus, (std::vector<std::size_t>{4, 4, 4, 4}));
  EXPECT_EQ(shape(read("3 nodes of 1G, 4 cpus per node")).cpus, (std::vector<std::size_t>{4, 4, 4}));
  EXPECT_EQ(shape(read("3 nodes of 1G, 4 cpus")).cpus, (std::vector<std::size_t>{2, 1, 1}));
  EXPECT_EQ(shape(read("1 node of 64G, 1 node of 16G")).pages,
            (std::vector<std::uint64_t>{64 * kGiB - kLost, 16 * kGiB}));
  EXPECT_EQ(read("2 nodes of 1G, distance 40").distances, (std::vector<std::uint8_t>{10, 40, 40, 10}));
  EXPECT_EQ(read("8G, kernelcore 2G").movable.kernelcore, PageCount{2 * kGiB});
  EXPECT_EQ(read("8G, movablecore 2 G").movable.movablecore, PageCount{2 * kGiB});
  EXPECT_TRUE(read("8G, no reserve").reserved.empty());
  EXPECT_FALSE(read("8G, no thp").has_thp);
}

TEST(MachineWords, ArisingZonesAreThoseOfAPc) {
  const MachineSpec spec = read("8G");
  EXPECT_EQ(spec.zones[0].start, Pfn{1});
  EXPECT_EQ(spec.zones[0].present, PageCount{3998});
  EXPECT_EQ(spec.zones[1].present, PageCount{0xc0000 - 0x1000});
  EXPECT_EQ(spec.zones[1].spanned, PageCount{0x100000 - 0x1000});
  EXPECT_EQ(spec.zones[2].present, PageCount{5 * kGiB});
  EXPECT_EQ(spec.zones[2].start, Pfn{0x100000});
}

TEST(MachineWords, TheSyntheticFormIsHwlocs) {
  const MachineSpec spec = read("node:2(memory=64GiB) core:8 pu:1");
  EXPECT_EQ(shape(spec).pages, (std::vector<std::uint64_t>{64 * kGiB - kLost, 64 * kGiB}));
  EXPECT_EQ(shape(spec).cpus, (std::vector<std::size_t>{8, 8}));
  // hwloc's GB is 10^9 bytes.
  EXPECT_EQ(shape(read("numa:1(memory=64GB) pu:1")).pages, (std::vector<std::uint64_t>{15625000 - kLost}));
  EXPECT_EQ(shape(read("pack:2 [numa(memory=2GiB)] core:4 pu:2")).cpus, (std::vector<std::size_t>{8, 8}));
}

TEST(MachineWords, TheSyntheticFormMayBeWhatLstopoExports) {
  const MachineSpec spec = read(
      "Package:2 [NUMANode(memory=2147483648)] L3Cache:1(size=8388608) L2Cache:2(size=262144) L1dCache:1(size=32768) "
      "L1iCache:1(size=32768) Core:1 PU:2");
  EXPECT_EQ(shape(spec).pages, (std::vector<std::uint64_t>{2 * kGiB - kLost, 2 * kGiB}));
  EXPECT_EQ(shape(spec).cpus, (std::vector<std::size_t>{4, 4}));
}

TEST(MachineWords, ASecondNodeOnTheSameCpusIsMemoryOnly) {
  const MachineSpec spec = read("pack:2 [numa(memory=2GiB)] [numa(memory=1GiB)] pu:2");
  EXPECT_EQ(shape(spec).pages, (std::vector<std::uint64_t>{2 * kGiB - kLost, kGiB, 2 * kGiB, kGiB}));
  EXPECT_EQ(shape(spec).cpus, (std::vector<std::size_t>{2, 0, 2, 0}));
}

TEST(MachineWords, RefuseWhatIsNotUnderstood) {
  struct Case {
    const char* words;
    const char* says;
  };
  const Case cases[] = {
      {"", "this is not understood"},
      {"16 cpus", "no memory is given"},
      {"2 nodes", "a size is missing or wrong"},
      {"2 nodes of", "a size is missing or wrong"},
      {"2 nodes of 64Q", "a size is missing or wrong"},
      {"0 nodes of 1G", "0 is not a number of nodes"},
      {"65 nodes of 1G", "65 is not a number of nodes"},
      {"64 nodes of 1G, 1G", "1 is not a number of nodes"},
      {"64G, 0 cpus", "0 is not a number of CPUs"},
      {"64G, 8193 cpus", "8193 is not a number of CPUs"},
      {"64 nodes of 1G, 129 cpus each", "8256 CPUs are too many"},
      {"64G now", "\"now\" is not understood"},
      {"64G,", "this is not understood"},
      {"64G, distance 10", "this is not a distance"},
      {"64G, distance 255", "this is not a distance"},
      {"64G, kernelcore", "a size is missing or wrong"},
      {"64G, no memory", "this is not understood"},
      {"1000", "a size is missing or wrong"},
      {"17T", "17T of memory is too much"},
      {"banana", "this is not understood"},
      {"node:2 core:8 pu:1", "the node has no memory"},
      {"core:8 pu:1", "there is no node"},
      {"core:8(memory=1GB) pu:1", "only nodes have memory"},
      {"node:2(memory=1GB) core:2", "the last level is not pu"},
      {"node:2(memory=1GB) pu:2 core:2", "no level comes after pu"},
      {"node:2(memory=1GB) node:2(memory=1GB) pu:1", "there is such a level already"},
      {"node:2(memory=1GB) [numa(memory=1GB)] pu:1", "there is such a level already"},
      {"node:2(memory=1GB) core:2 core:2 pu:1", "there is such a level already"},
      {"node:2(memory=1GB) pu:0", "this is not a level with a number"},
      {"node:2(memory=1GB) pu", "this is not a level with a number"},
      {"node:2(memory=1GB) pu:99999", "these are too many CPUs"},
      {"node:2(memory=1GB) core:1025 pu:1", "these are too many CPUs"},
      {"node:65(memory=1GB) pu:1", "these are too many nodes"},
      {"pack:33 [numa(memory=1GB)] [numa(memory=1GB)] pu:1", "these are too many nodes"},
      {"node:1(memory=1GB) group:1 group:1 group:1 group:1 group:1 group:1 group:1 group:1 group:1 group:1 group:1 "
       "group:1 group:1 group:1 group:1 pu:1",
       "these are too many levels"},
      {"node:1(memory=1GB indexes=0) pu:1", "\"indexes=0\": this attribute is not understood"},
      {"pack:1 [core] pu:1", "only memory can be attached"},
      {"pack:1 [numa:2(memory=1GB)] pu:1", "only memory can be attached"},
      {"node:2(memory=1GB) cores:2 pu:1", "did you mean \"core\"?"},
      {"node:2(memory=1XB) pu:1", "this is not a size"},
      {"node:2(memory=99999999TB) pu:1", "this is not a size"},
      {"node:2(memory=17TiB) pu:1", "17T of memory is too much"},
      {"node:2(memory) pu:1", "this is not a size"},
      {":", "there is no level"},
      {"[", "there is no level"},
      {"(", "there is no level"},
  };
  for (const Case& c : cases) {
    const std::string error = error_of(c.words);
    EXPECT_NE(error.find(c.says), std::string::npos) << c.words << "\n" << error;
    EXPECT_NE(error.find("; "), std::string::npos) << "no remedy: " << error;
  }
  EXPECT_EQ(
      error_of("2 nodes of 64Q"),
      "machine \"2 nodes of 64Q\": a size is missing or wrong; give a number and a unit (K, M, G, T), \"64G\", in "
      "whole pages of 4K");
  EXPECT_NE(error_of(std::string(1025, 'a')).find("this is no description in words"), std::string::npos);
  EXPECT_NE(error_of(std::string("64G\0", 4)).find("this is no description in words"), std::string::npos);
}

TEST(MachineWords, LoadTakesWordsOrAFile) {
  EXPECT_TRUE(load_machine("2 nodes of 64G"));
  EXPECT_FALSE(load_machine("2 nodes of 64G.toml"));
}

}  // namespace
}  // namespace mmbox::lab
