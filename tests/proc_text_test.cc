// The engine's text beside what recorded kernels printed, moments after or before an exact snapshot.
//
// Between the two moments a kernel goes on working, so some zones have other numbers: the table says which, file by
// file. Everything else must be equal byte for byte. What a snapshot does not have (NUMA counters, events) is taken
// from the file itself.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/lab/snapshot/snapshot_testing.h"
#include "mmbox/lab/views/counters.h"
#include "mmbox/lab/views/views.h"

namespace mmbox::lab {
namespace {

using ::testing::HasSubstr;
using Names = std::vector<std::string>;

/// A snapshot, the files printed beside it, and what changed in between.
struct Moment {
  std::string files;
  std::string log;
  std::string label;
  Names buddyinfo{};
  Names pagetypeinfo{};
  Names zoneinfo{};  ///< zones, and "stats 0": the counters of node 0
};

void PrintTo(const Moment& moment, std::ostream* out) {
  *out << moment.files;
}

const std::vector<Moment>& moments() {
  // Reading the files takes page cache, tasks and slab: Normal, or the highest zone, has changed nearly always. The
  // unpopulated Movable zone of later kernels has marks, which no snapshot tells.
  static const std::vector<Moment> kMoments{
      {"6.1-plain",
       "recordings/scripted-basic-plain/basic-1.log.zst",
       "basic-1-before",
       {},
       {},
       {"stats 0", "0/DMA32"}},
      {"6.1-uma",
       "recordings/scripted-basic-uma/basic-1.log.zst",
       "basic-1-before",
       {"0/Normal"},
       {"0/Normal"},
       {"stats 0", "0/Normal"}},
      {"6.1-movable",
       "recordings/scripted-basic-movable/basic-1.log.zst",
       "basic-1-before",
       {"0/Normal", "0/Movable"},
       {"0/Normal", "0/Movable"},
       {"stats 0", "0/Normal", "0/Movable"}},
      {"6.1-numa20",
       "recordings/scripted-basic-numa20/basicn-1.log.zst",
       "basicn-1-before",
       {"0/Normal", "1/Normal"},
       {"0/Normal", "1/Normal"},
       {"stats 0", "0/Normal", "1/Normal", "stats 1"}},
      // After a scripted run the counters' deltas are folded, which moves DMA's and DMA32's nr_free_pages as well.
      {"6.1-uma-fragmented",
       "snapshot/linux-6.1-uma.log.zst",
       "frag-1-after",
       {"0/DMA", "0/Normal"},
       {"0/DMA", "0/Normal"},
       {"0/DMA", "stats 0", "0/DMA32", "0/Normal"}},
      {"5.10-uma-fragmented",
       "snapshot/linux-5.10-uma.log.zst",
       "frag-1-after",
       {"0/Normal"},
       {"0/Normal"},
       {"0/DMA", "stats 0", "0/DMA32", "0/Normal"}},
      {"6.12-uma", "proc/6.12-uma/snapshot.log.zst", "pressure-2-before", {}, {}, {"stats 0", "0/Normal", "0/Movable"}},
      {"7.2-uma", "proc/7.2-uma/snapshot.log.zst", "pressure-1-before", {}, {}, {"stats 0", "0/Normal", "0/Movable"}},
  };
  return kMoments;
}

/// The lines of one zone, by "node/zone"; those of a node by "stats node"; headings by "heading node".
using Parts = std::map<std::string, std::string>;

struct Divided {
  Names order;
  Parts parts;
};

Divided divide(const std::string& text) {
  Divided result;
  std::istringstream lines{text};
  std::string zone;
  std::string part;
  unsigned node = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Node ")) {
      std::istringstream words{line};
      std::string word;
      std::string type;
      words >> word >> node >> word >> word >> type;
      zone = part = fmt::format("{}/{}", node, type.substr(0, type.find(',')));
    } else if (line.starts_with("  per-node stats")) {
      part = fmt::format("stats {}", node);
    } else if (line.starts_with("  pages free")) {
      part = zone;
    } else if (!line.starts_with(' ')) {
      part = "heading";
    }
    if (!result.parts.contains(part))
      result.order.push_back(part);
    result.parts[part] += line + '\n';
  }
  return result;
}

/// Parts whose bytes are not the same, in the order of the recorded file.
Names changed_parts(const std::string& recorded, const std::string& ours) {
  const Divided expected = divide(recorded);
  const Divided actual = divide(ours);
  Names changed;
  for (const std::string& part : expected.order) {
    const auto found = actual.parts.find(part);
    if (found == actual.parts.end() || found->second != expected.parts.at(part))
      changed.push_back(part);
  }
  for (const std::string& part : actual.order) {
    if (!expected.parts.contains(part))
      changed.push_back(part + " (not recorded)");
  }
  return changed;
}

/// The text without its numbers. Right-aligned ones leave blanks, so that columns still count; others leave one '0'.
std::string layout(std::string_view text, bool is_right_aligned) {
  std::string result;
  for (const char c : text) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (is_digit && is_right_aligned)
      result += ' ';
    else if (!is_digit || result.empty() || result.back() != '0')
      result += is_digit ? '0' : c;
  }
  return result;
}

class ProcText : public ::testing::TestWithParam<Moment> {
 protected:
  ProcText() : snapshot_(snapshot_of(GetParam().log, GetParam().label)) {
    const Expected<const ProcFormat*> format = proc_format_of(snapshot_);
    EXPECT_TRUE(format) << format.error().text();
    format_ = *format;
    host_ = RecordedCounters{snapshot_, *format_};
    Expected<Image> image = image_of(snapshot_, *generation_of_recording(snapshot_.release()).generation);
    EXPECT_TRUE(image) << image.error().text();
    image_.emplace(std::move(image).value());
  }

  [[nodiscard]] static std::string recorded(const std::string& file) {
    return text_of("proc/" + GetParam().files + "/" + file + ".zst");
  }
  [[nodiscard]] std::string ours(View view) { return view_text(image_->machine(), view, *format_, &host_); }

  /// Gives the host the counters of the recorded zoneinfo that no snapshot has.
  void take_numa_counters(const std::string& zoneinfo) {
    const std::size_t types = image_->machine().view().zone_types.size();
    for (const auto& [part, text] : divide(zoneinfo).parts) {
      if (!std::isdigit(static_cast<unsigned char>(part.front())))
        continue;
      const std::size_t node = static_cast<std::size_t>(part.front() - '0');
      for (std::size_t i = 0; i < types; ++i) {
        const ZoneState& zone = image_->machine().view().zones[node * types + i];
        if (part.substr(2) != zone_type_name(zone.type))
          continue;
        std::istringstream lines{text};
        for (std::string name, line; std::getline(lines, line);) {
          std::istringstream words{line};
          std::int64_t value = 0;
          if (words >> name >> value && name.starts_with("numa_"))
            host_.set_zone(zone.id, name, value);
        }
      }
    }
  }

  Snapshot snapshot_;
  const ProcFormat* format_ = nullptr;
  RecordedCounters host_;
  std::optional<Image> image_;
};

std::string test_name(const ::testing::TestParamInfo<Moment>& moment) {
  std::string name = moment.param.files;
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Recorded, ProcText, ::testing::ValuesIn(moments()), test_name);

TEST_P(ProcText, BuddyinfoIsTheKernelsInEveryZoneThatDidNotChange) {
  const std::string file = recorded("buddyinfo");
  EXPECT_EQ(layout(ours(View::Buddyinfo), true), layout(file, true));
  EXPECT_EQ(changed_parts(file, ours(View::Buddyinfo)), GetParam().buddyinfo);
}

TEST_P(ProcText, PagetypeinfoIsTheKernelsInEveryZoneThatDidNotChange) {
  const std::string file = recorded("pagetypeinfo");
  EXPECT_EQ(layout(ours(View::Pagetypeinfo), true), layout(file, true));
  EXPECT_EQ(changed_parts(file, ours(View::Pagetypeinfo)), GetParam().pagetypeinfo);
}

TEST_P(ProcText, ZoneinfoIsTheKernelsInEveryZoneThatDidNotChange) {
  const std::string file = recorded("zoneinfo");
  take_numa_counters(file);
  EXPECT_EQ(layout(ours(View::Zoneinfo), false), layout(file, false));
  EXPECT_EQ(changed_parts(file, ours(View::Zoneinfo)), GetParam().zoneinfo);
}

TEST_P(ProcText, VmstatHasTheKernelsLinesInTheirOrder) {
  EXPECT_EQ(layout(ours(View::Vmstat), false), layout(recorded("vmstat"), false));
}

TEST_P(ProcText, VmstatSumsTheCountersOfZonesAndNodes) {
  std::map<std::string, std::int64_t> sums;
  for (const SnapshotZone& zone : snapshot_.zones) {
    for_each_name(format_->zone_counters, [&](std::string_view name, std::size_t position) {
      sums[std::string{name}] += std::max<std::int64_t>(0, zone.vm_stat[position]);
    });
  }
  for (const SnapshotNode& node : snapshot_.nodes) {
    for_each_name(format_->node_counters, [&](std::string_view name, std::size_t position) {
      sums[std::string{name}] += std::max<std::int64_t>(0, node.vm_stat[position]);
    });
  }
  std::istringstream lines{ours(View::Vmstat)};
  std::map<std::string, std::int64_t> printed;
  std::int64_t value = 0;
  for (std::string name; lines >> name >> value;)
    printed[name] = value;
  for (const auto& [name, sum] : sums)
    EXPECT_EQ(printed[name], sum) << name;
}

// ---------------------------------------------------------------- lines that no recording shows

/// 64 MiB, one CPU, booted; its state may be set by hand.
class ProcTextByHand : public ::testing::Test {
 protected:
  ProcTextByHand() : image_(spec().config()) {
    const MachineSpec machine = spec();
    for (const MemoryRange& range : machine.free_ranges())
      image_.machine().release_boot_memory(range.range);
    image_.machine().finish_boot();
  }
  static MachineSpec spec() {
    Expected<MachineSpec> result = read_machine_words("64M, 1 cpus, no reserve");
    EXPECT_TRUE(result) << result.error().text();
    return std::move(result).value();
  }
  [[nodiscard]] ZoneState& dma32() { return image_.machine().view().zones[1]; }
  [[nodiscard]] std::string text(View view, HostCounters* host = nullptr, const char* generation = "linux-6.1") {
    return view_text(image_.machine(), view, *proc_format(generation), host);
  }

  Image image_;
};

TEST_F(ProcTextByHand, ACountOfAHundredThousandBlocksIsPrintedAsMore) {
  FreeList& list = dma32().lists[0][raw(Migratetype::Movable)];
  list.blocks = 99'999;
  EXPECT_THAT(text(View::Pagetypeinfo), HasSubstr("zone    DMA32, type      Movable  99999      0"));
  list.blocks = 100'000;
  EXPECT_THAT(text(View::Pagetypeinfo), HasSubstr("zone    DMA32, type      Movable >100000      0"));
  list.blocks = 7'654'321;
  EXPECT_THAT(text(View::Pagetypeinfo), HasSubstr("zone    DMA32, type      Movable >100000      0"));
}

TEST_F(ProcTextByHand, BuddyinfoPrintsWideCountsWhole) {
  dma32().nr_free[0] = 7'654'321;
  EXPECT_THAT(text(View::Buddyinfo), HasSubstr("Node 0, zone    DMA32 7654321      0"));
}

TEST_F(ProcTextByHand, MarksIncludeTheBoost) {
  dma32().watermark = {100, 125, 150, 175};
  dma32().watermark_boost = 1000;
  EXPECT_THAT(text(View::Zoneinfo), HasSubstr("        boost    1000\n        min      1100\n        low      1125\n"
                                              "        high     1150\n        spanned  "));
  EXPECT_THAT(text(View::Zoneinfo, nullptr, "linux-7.2"), HasSubstr("        promo    1175\n"));
}

TEST_F(ProcTextByHand, ACounterThatDeltasMadeNegativeIsPrintedAsZero) {
  dma32().stat[0] = -3;
  EXPECT_EQ(zone_number(image_.machine().view(), dma32(), "free"), 0);
  EXPECT_THAT(text(View::Zoneinfo), HasSubstr("zone    DMA32\n  pages free     0\n"));
}

TEST_F(ProcTextByHand, ANodeIsUnreclaimableFromTheSixteenthFruitlessRunOn) {
  NodeState& node = image_.machine().view().nodes[0];
  node.kswapd.failures = 15;
  EXPECT_THAT(text(View::Zoneinfo), HasSubstr("  node_unreclaimable:  0\n"));
  node.kswapd.failures = 16;
  EXPECT_THAT(text(View::Zoneinfo), HasSubstr("  node_unreclaimable:  1\n"));
}

TEST_F(ProcTextByHand, CountersOfHugePagesAreDividedWhereTheKernelKeepsBasePages) {
  RecordedCounters host;
  host.set_node(NodeId{0}, "nr_anon_transparent_hugepages", 3 * 512);
  EXPECT_THAT(text(View::Zoneinfo, &host), HasSubstr("      nr_anon_transparent_hugepages 3\n"));
  EXPECT_THAT(text(View::Zoneinfo, &host, "linux-5.10"), HasSubstr("      nr_anon_transparent_hugepages 1536\n"));
}

TEST_F(ProcTextByHand, RequestsOfThisMachineAreAddedToWhatTheHostCounted) {
  Machine& machine = image_.machine();
  RecordedCounters host;
  host.set_machine("pgalloc_dma32", 1000);
  host.set_machine("pgfree", 2000);
  host.set_zone(dma32().id, "numa_hit", 10);
  const AllocResult block =
      machine.alloc({.gfp = gfp::kKernel, .order = Order{3}, .cpu = CpuId{0}, .node = {}, .nodemask = {}});
  ASSERT_TRUE(block);
  EXPECT_THAT(text(View::Vmstat, &host), HasSubstr("\npgalloc_dma32 1008\n"));
  EXPECT_THAT(text(View::Vmstat, &host), HasSubstr("\npgfree 2000\n"));
  EXPECT_THAT(text(View::Zoneinfo, &host), HasSubstr("      numa_hit     11\n"));
  machine.free(*block, Order{3}, CpuId{0});
  EXPECT_THAT(text(View::Vmstat, &host), HasSubstr("\npgfree 2008\n"));
}

TEST_F(ProcTextByHand, HighAtomicPagesAndFreePageblocksAreCountedFromTheLists) {
  dma32().nr_reserved_highatomic = 512;
  dma32().lists = {};
  dma32().lists[3][raw(Migratetype::HighAtomic)].blocks = 2;
  dma32().lists[9][raw(Migratetype::Movable)].blocks = 1;
  dma32().lists[10][raw(Migratetype::Movable)].blocks = 2;
  dma32().lists[10][raw(Migratetype::Isolate)].blocks = 4;
  const std::string zoneinfo = text(View::Zoneinfo, nullptr, "linux-7.2");
  EXPECT_THAT(zoneinfo, HasSubstr("  reserved_highatomic: 512\n  free_highatomic:     16\n"));
  EXPECT_THAT(zoneinfo, HasSubstr("      nr_free_pages_blocks 2560\n"));
}

TEST_F(ProcTextByHand, FragmentationIndicesArePrintedInThousandths) {
  dma32().nr_free = {};
  dma32().nr_free[0] = 1;
  // One free page: for order 0 a block exists; for order 1, 1000 - (1000 + 500)/1 = -500, printed with its odd sign.
  EXPECT_THAT(text(View::Extfrag), HasSubstr("Node 0, zone    DMA32 -1.000  0.-500  0.-250  0.-125  0.-62  0.-31  "
                                             "0.-15  0.-07  0.-03  0.-01  0.000 \n"));
  EXPECT_THAT(text(View::Unusable), HasSubstr("Node 0, zone    DMA32 0.000 1.000 1.000"));
  dma32().nr_free[0] = 100;
  // 100 single pages for order 3: 1000 - (1000 + 100 × 1000/8)/100 = 1000 - 135 = 865.
  EXPECT_THAT(text(View::Extfrag), HasSubstr("Node 0, zone    DMA32 -1.000  0.490  0.740  0.865 "));
}

TEST_F(ProcTextByHand, AZoneWithoutMemoryHasItsMarksAndNoCounters) {
  const std::string zoneinfo = text(View::Zoneinfo);
  EXPECT_TRUE(zoneinfo.ends_with("        cma      0\n        protection: (0, 0, 0, 0, 0)\n"));
  EXPECT_THAT(text(View::Buddyinfo), ::testing::Not(HasSubstr("Device")));
}

TEST(ProcFormats, AReleaseOfASeriesPrintsAsTheSeries) {
  ASSERT_NE(proc_format("linux-6.1.0"), nullptr);
  EXPECT_EQ(proc_format("linux-6.1.0")->generation, "linux-6.1");
  EXPECT_EQ(proc_format("linux-6.12")->generation, "linux-6.12");
  EXPECT_EQ(proc_format("linux-6.13"), nullptr);
}

TEST(ProcFormats, ASnapshotOfAnotherBuildIsRefused) {
  Snapshot snapshot = snapshot_of("recordings/scripted-basic-plain/basic-1.log.zst");
  ASSERT_TRUE(proc_format_of(snapshot));
  snapshot.zones.front().vm_stat.push_back(0);
  const auto format = proc_format_of(snapshot);
  ASSERT_FALSE(format);
  EXPECT_THAT(format.error().text(), HasSubstr("Node 0, zone DMA has 12 counters, linux-6.1 prints 11"));
}

}  // namespace
}  // namespace mmbox::lab
