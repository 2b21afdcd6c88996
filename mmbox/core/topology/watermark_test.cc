// The sizing formulas, held to the specification's examples and to recorded machines.
#include "mmbox/core/topology/watermark.h"

#include <gtest/gtest.h>

#include <ostream>
#include <vector>

namespace mmbox {

void PrintTo(const Watermarks& marks, std::ostream* out) {
  *out << marks.min << "/" << marks.low << "/" << marks.high << "/" << marks.promo;
}
void PrintTo(const PcpSize& size, std::ostream* out) {
  *out << "high " << size.high << " batch " << size.batch;
}

namespace {

ZoneSize zone(ZoneType type, std::uint64_t managed, std::size_t node = 0) {
  return ZoneSize{.node = NodeId{node}, .type = type, .present_pages = managed, .managed_pages = managed};
}

/// Everything that is derived when min_free_kbytes is set.
struct Marks {
  std::vector<Watermarks> of_zone;
  explicit Marks(const std::vector<ZoneSize>& zones, std::uint64_t min_free_kbytes, std::uint32_t scale = 10) {
    for (const ZoneSize& z : zones)
      of_zone.push_back(zone_watermarks(z, watermark_lowmem_pages(zones), min_free_kbytes, scale));
  }
};

/// min_free_kbytes as a machine with THP ends up with it: the default, its marks, then khugepaged's wish.
std::uint64_t min_free_after_boot(std::vector<ZoneSize> zones) {
  const std::uint64_t first = recomputed_min_free_kbytes(free_zone_pages(zones, ZoneType::Normal), Tunables{});
  std::uint64_t managed = 0;
  for (const ZoneSize& z : zones)
    managed += z.managed_pages;
  if (managed < kThpMinPages)
    return first;
  const Marks marks(zones, first);
  for (std::size_t i = 0; i < zones.size(); ++i)
    zones[i].high_pages = marks.of_zone[i].high;
  return greater(first, khugepaged_min_free_kbytes(zones));
}

TEST(Arith, MultFracDoesNotOverflow) {
  EXPECT_EQ(mult_frac(1500000, 10, 10000), 1500u);
  EXPECT_EQ(mult_frac(9999, 10, 10000), 9u);
  EXPECT_EQ(mult_frac(10000, 10, 10000), 10u);
  EXPECT_EQ(mult_frac(1ULL << 60, 3000, 10000), (1ULL << 60) / 10000 * 3000 + (1ULL << 60) % 10000 * 3000 / 10000);
}

TEST(Arith, IntSqrtIsTheFloor) {
  for (const std::uint64_t root : {0ULL, 1ULL, 2ULL, 3ULL, 11324ULL, 4294967295ULL}) {
    EXPECT_EQ(int_sqrt(root * root), root);
    if (root != 0) {
      EXPECT_EQ(int_sqrt(root * root - 1), root - 1);
    }
  }
  EXPECT_EQ(int_sqrt(~0ULL), 4294967295u);
  EXPECT_EQ(int_sqrt(128245760), 11324u);
}

TEST(Arith, FlsCountsFromOne) {
  EXPECT_EQ(fls(0), 0u);
  EXPECT_EQ(fls(1), 1u);
  EXPECT_EQ(fls(8), 4u);
}

TEST(Arith, RoundUpKeepsMultiples) {
  EXPECT_EQ(round_up(0, 1024), 0u);
  EXPECT_EQ(round_up(1024, 1024), 1024u);
  EXPECT_EQ(round_up(1025, 1024), 2048u);
}

// 02 §11 example 2.
const std::vector<ZoneSize> kExample{zone(ZoneType::Dma, 3840), zone(ZoneType::Dma32, 500000),
                                     zone(ZoneType::Normal, 1500000)};

TEST(MinFree, IsTheRootOfLowmem) {
  EXPECT_EQ(free_zone_pages(kExample, ZoneType::Normal) * 4, 8015360u);
  EXPECT_EQ(recomputed_min_free_kbytes(2003840, Tunables{}), 11324u);
}

TEST(MinFree, IsBounded) {
  // 4 kB · 16 · 256 pages = 128²
  EXPECT_EQ(recomputed_min_free_kbytes(255, Tunables{}), 128u);
  EXPECT_EQ(recomputed_min_free_kbytes(256, Tunables{}), 128u);
  EXPECT_EQ(recomputed_min_free_kbytes(261, Tunables{}), 129u);
  // 262144² / 64 pages = 4 TiB
  EXPECT_EQ(recomputed_min_free_kbytes(1ULL << 30, Tunables{}), 262144u);
  EXPECT_EQ(recomputed_min_free_kbytes((1ULL << 30) - 1, Tunables{}), 262143u);
  EXPECT_EQ(recomputed_min_free_kbytes(1ULL << 32, Tunables{}), 262144u);
  EXPECT_EQ(recomputed_min_free_kbytes(1ULL << 30, Tunables{}, {.cap_kbytes = 65536}), 65536u);
}

TEST(MinFree, KeepsAUsersValueThatIsNotSmaller) {
  Tunables tunables{.min_free_kbytes = 20000, .user_min_free_kbytes = 11324};
  EXPECT_EQ(recomputed_min_free_kbytes(2003840, tunables), 20000u);
  tunables.user_min_free_kbytes = 11323;
  EXPECT_EQ(recomputed_min_free_kbytes(2003840, tunables), 11324u);
}

TEST(MinFree, LeavesOutHighmemAndMovableZonesAndWhatLiesBelowHigh) {
  std::vector<ZoneSize> zones = kExample;
  zones.push_back(zone(ZoneType::HighMem, 100));
  zones.push_back(zone(ZoneType::Movable, 1000));
  EXPECT_EQ(free_zone_pages(zones, ZoneType::Normal), 2003840u);
  EXPECT_EQ(free_zone_pages(zones, ZoneType::Movable), 2004940u);
  zones[0].high_pages = 5000;
  zones[1].high_pages = 1;
  EXPECT_EQ(free_zone_pages(zones, ZoneType::Normal), 1999999u);
}

TEST(Khugepaged, WantsElevenPageblocksForEachPopulatedZone) {
  EXPECT_EQ(khugepaged_min_free_kbytes(kExample), 67584u);
  EXPECT_EQ(khugepaged_min_free_kbytes(std::vector{kExample[1], kExample[2]}), 45056u);
  EXPECT_EQ(min_free_after_boot(kExample), 67584u);
  // An unpopulated zone and ZONE_MOVABLE do not count.
  std::vector<ZoneSize> zones = kExample;
  zones.push_back(zone(ZoneType::Movable, 1000000));
  zones[0] = zone(ZoneType::Dma, 0);
  EXPECT_EQ(khugepaged_min_free_kbytes(zones), 45056u);
}

TEST(Khugepaged, AsksForFivePercentAtTheMost) {
  // One zone: 5632 pages are 5 % of 112640.
  EXPECT_EQ(khugepaged_min_free_kbytes(std::vector{zone(ZoneType::Normal, 112640)}), 5632u * 4);
  EXPECT_EQ(khugepaged_min_free_kbytes(std::vector{zone(ZoneType::Normal, 112639)}), 5631u * 4);
}

TEST(Watermark, AreThoseOfTheExample) {
  const Marks marks(kExample, 67584);
  EXPECT_EQ(marks.of_zone[0], (Watermarks{32, 40, 48, 56}));
  EXPECT_EQ(marks.of_zone[1], (Watermarks{4215, 5268, 6321, 7374}));
  EXPECT_EQ(marks.of_zone[2], (Watermarks{12647, 15808, 18969, 22130}));
}

TEST(Watermark, LieFurtherApartWithALargerScaleFactor) {
  // 3 % of 1500000 is more than a quarter of the zone's share.
  EXPECT_EQ(Marks(kExample, 67584, 300).of_zone[2], (Watermarks{12647, 57647, 102647, 147647}));
}

TEST(Watermark, OfHighmemHaveASmallMinButTheDistanceOfTheirShare) {
  std::vector<ZoneSize> zones{zone(ZoneType::Normal, 200000), zone(ZoneType::HighMem, 100000)};
  zones[1].is_highmem = true;
  EXPECT_EQ(watermark_lowmem_pages(zones), 200000u);
  // Share 16896 · 100000 / 200000 = 8448, distance 2112, MIN 100000/1024 = 97.
  EXPECT_EQ(Marks(zones, 67584).of_zone[1], (Watermarks{97, 2209, 4321, 6433}));
  zones[1].managed_pages = 32767;
  EXPECT_EQ(Marks(zones, 67584).of_zone[1].min, 32u);
  zones[1].managed_pages = 200000;
  EXPECT_EQ(Marks(zones, 67584).of_zone[1].min, 128u);
}

TEST(Watermark, DoNotOverflowOn16TiB) {
  const std::vector<ZoneSize> zones{zone(ZoneType::Normal, 1ULL << 32)};
  EXPECT_EQ(Marks(zones, 2147483647).of_zone[0].min, 536870911u);
  EXPECT_EQ(Marks(zones, 2147483647, 3000).of_zone[0].low, 536870911u + 1288490188u);
}

TEST(Watermark, OfAMachineWithoutLowmemAreZero) {
  EXPECT_EQ(Marks({zone(ZoneType::Normal, 0)}, 128).of_zone[0], Watermarks{});
}

TEST(LowmemReserve, IsThatOfTheExample) {
  const std::array<std::uint64_t, 5> managed{3840, 500000, 1500000, 0, 0};
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{0}, 256), (LowmemReserve{0, 1953, 7812, 7812, 7812}));
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{1}, 256), (LowmemReserve{0, 0, 5859, 5859, 5859}));
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{2}, 32), LowmemReserve{});
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{4}, 32), LowmemReserve{});
}

TEST(LowmemReserve, IsNoneForRatioZeroAndForEmptyZones) {
  const std::array<std::uint64_t, 3> managed{0, 500000, 1500000};
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{0}, 256), LowmemReserve{});
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{1}, 0), LowmemReserve{});
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{1}, -1), LowmemReserve{});
  EXPECT_EQ(lowmem_reserve(managed, ZoneIndex{1}, 1), (LowmemReserve{0, 0, 1500000}));
}

TEST(Totalreserve, TakesTheLargestReserveAndTheHighMarkButNotMoreThanTheZone) {
  EXPECT_EQ(zone_totalreserve({0, 1953, 7812, 7812, 7812}, 48, 10000), 7860u);
  EXPECT_EQ(zone_totalreserve({0, 1953, 7812, 7812, 7812}, 48, 3840), 3840u);
  EXPECT_EQ(zone_totalreserve({}, 18969, 1500000), 18969u);
}

TEST(StatThreshold, GrowsWithCpusAndMemory) {
  // 01 §12 example 2.
  EXPECT_EQ(stat_threshold(4, 1500000), 42u);
  EXPECT_EQ(stat_threshold(4, 3840), 6u);
  EXPECT_EQ(stat_threshold(64, 1ULL << 22), 125u);
  EXPECT_EQ(stat_threshold(1, 32767), 2u);
  EXPECT_EQ(stat_threshold(1, 32768), 4u);
  EXPECT_EQ(stat_threshold(1, 65535), 4u);
  EXPECT_EQ(stat_threshold(1, 65536), 6u);
}

TEST(StatThreshold, UnderPressureKeepsTheDeltasOfAllCpusBelowTheDistanceOfLowAndMin) {
  EXPECT_EQ(pressure_stat_threshold(4, Watermarks{100, 139, 0, 0}), 9u);
  EXPECT_EQ(pressure_stat_threshold(4, Watermarks{100, 103, 0, 0}), 1u);
  EXPECT_EQ(pressure_stat_threshold(4, Watermarks{0, 504, 0, 0}), 125u);
}

TEST(DriftMark, IsSetIfTheDeltasCouldHideTheDistanceOfLowAndMin) {
  const Watermarks marks{336, 420, 504, 588};
  EXPECT_EQ(percpu_drift_mark(0, 7, 12, marks), 0u);
  EXPECT_EQ(percpu_drift_mark(77, 7, 12, marks), 77u) << "84 is not more than 84: the old mark stays";
  EXPECT_EQ(percpu_drift_mark(77, 8, 12, marks), 600u);
  EXPECT_EQ(percpu_drift_mark(77, 8, 12, marks, 1000), 1600u);
}

TEST(DriftMark, IsAsRecordedOnTwoNodes) {
  // 01 §12 example 6: the mark of DMA stems from the default min_free_kbytes, those of the others from the moment when
  // the second CPU came online and all marks were 0.
  const std::vector<ZoneSize> zones{zone(ZoneType::Dma, 3840), zone(ZoneType::Dma32, 83647),
                                    zone(ZoneType::Normal, 30612), zone(ZoneType::Normal, 128909, 1)};
  const std::uint64_t min_free = recomputed_min_free_kbytes(free_zone_pages(zones, ZoneType::Normal), Tunables{});
  const Marks marks(zones, min_free);
  EXPECT_EQ(marks.of_zone[0], (Watermarks{15, 18, 21, 24}));
  EXPECT_EQ(marks.of_zone[1], (Watermarks{336, 420, 504, 588}));
  const auto mark = [&](std::size_t i, std::uint64_t managed_then) {
    const std::uint64_t early = percpu_drift_mark(0, 2, stat_threshold(2, managed_then), Watermarks{});
    return percpu_drift_mark(early, 2, stat_threshold(2, zones[i].managed_pages), marks.of_zone[i]);
  };
  EXPECT_EQ(mark(0, 3840), 29u);
  EXPECT_EQ(mark(1, 83647), 24u);
  EXPECT_EQ(mark(2, 30612), 8u);
  // One section of node 1 had been released by then; the rest of its memmap was still deferred.
  EXPECT_EQ(mark(3, 32768), 16u);
}

TEST(PcpBatch, IsOneLessThanAPowerOfTwo) {
  struct Case {
    std::uint64_t managed;
    std::uint32_t batch;
  };
  for (const Case& c :
       {Case{0, 1}, Case{3840, 1}, Case{8191, 1}, Case{8192, 1}, Case{16384, 3}, Case{40000, 7}, Case{65535, 15},
        Case{65536, 15}, Case{500000, 63}, Case{176127, 31}, Case{176128, 63}, Case{262144, 63}, Case{1ULL << 32, 63}})
    EXPECT_EQ(pcp_batch(c.managed), c.batch) << c.managed;
}

TEST(PcpHigh, IsTheLowMarkSharedByTheCpus) {
  // 02 §11 example 4.
  EXPECT_EQ(pcp_size(3840, 40, 0, 4), (PcpSize{.high = 10, .batch = 1}));
  EXPECT_EQ(pcp_size(500000, 5268, 0, 4), (PcpSize{.high = 1317, .batch = 63}));
  EXPECT_EQ(pcp_size(1500000, 15808, 0, 4), (PcpSize{.high = 3952, .batch = 63}));
}

TEST(PcpHigh, IsAtLeastFourBatches) {
  EXPECT_EQ(pcp_size(500000, 1008, 0, 4).high, 252u);
  EXPECT_EQ(pcp_size(500000, 1012, 0, 4).high, 253u);
  EXPECT_EQ(pcp_size(500000, 0, 0, 1).high, 252u);
}

TEST(PcpHigh, IsAFractionOfTheZoneIfOneIsSet) {
  EXPECT_EQ(pcp_size(500000, 5268, 8, 4).high, 15625u);
  EXPECT_EQ(pcp_size(1ULL << 32, 5268, 8, 1).high, 1u << 29);
}

TEST(Mobility, GroupingIsOffBelowOnePageblockOfEachType) {
  // 02 §11 example 6.
  EXPECT_TRUE(mobility_grouping_disabled(2559, 5));
  EXPECT_FALSE(mobility_grouping_disabled(2560, 5));
  EXPECT_TRUE(mobility_grouping_disabled(3071, 6));
  EXPECT_FALSE(mobility_grouping_disabled(3072, 6));
}

// ------------------------------------------------------------------------------------------- recorded machines

/// What a snapshot of a recorded machine says of one zone, and the managed pages of the moment when it was computed:
/// those of the snapshot, but for DMA32 less 2420 pages of init memory that were released later. That number is
/// deduced: it is the only one near it that yields all recorded values of all machines.
struct RecordedZone {
  std::size_t node;
  ZoneType type;
  std::uint64_t managed;
  Watermarks marks;
  LowmemReserve reserve;
  PcpSize pcp;
  unsigned threshold;
};

struct RecordedMachine {
  const char* name;
  unsigned cpus;
  std::uint64_t min_free_kbytes;
  std::vector<std::uint64_t> totalreserve, min_unmapped, min_slab;  ///< by node
  std::vector<RecordedZone> zones;
};

using enum ZoneType;

std::vector<RecordedMachine> recorded_machines() {
  return {
      {"640 MiB",
       1,
       29760,
       {12099},
       {1498},
       {7497},
       {{0, Dma, 3840, {190, 237, 284, 331}, {0, 198, 570, 570, 570}, {237, 1}, 2},
        {0, Dma32, 50879, {2524, 3155, 3786, 4417}, {0, 0, 372, 372, 372}, {3155, 15}, 4},
        {0, Normal, 95242, {4725, 5906, 7087, 8268}, {}, {5906, 31}, 6}}},
      {"512 MiB",
       1,
       2746,
       {1716},
       {1177},
       {5893},
       {{0, Dma, 3840, {22, 27, 32, 37}, {0, 198, 445, 445, 445}, {27, 1}, 2},
        {0, Dma32, 50879, {296, 370, 444, 518}, {0, 0, 246, 246, 246}, {370, 15}, 4},
        {0, Normal, 63178, {367, 458, 549, 640}, {}, {458, 15}, 4}}},
      {"512 MiB without memory above 4 GiB",
       1,
       2746,
       {1470},
       {1178},
       {5894},
       {{0, Dma, 3840, {22, 27, 32, 37}, {0, 445, 445, 445, 445}, {27, 1}, 2},
        {0, Dma32, 114058, {663, 828, 993, 1158}, {}, {828, 31}, 6}}},
      {"768 MiB with a Movable zone",
       1,
       19440,
       {11119},
       {1820},
       {9109},
       {{0, Dma, 3840, {102, 127, 152, 177}, {0, 198, 366, 696, 696}, {127, 1}, 2},
        {0, Dma32, 50879, {1357, 1696, 2035, 2374}, {0, 0, 168, 498, 498}, {1696, 15}, 4},
        {0, Normal, 43008, {1147, 1433, 1719, 2005}, {0, 0, 0, 2640, 2640}, {1433, 7}, 4},
        {0, Movable, 84490, {2253, 2816, 3379, 3942}, {}, {2816, 15}, 6}}},
      {"two nodes",
       2,
       49104,
       {9365, 9608},
       {1180, 1289},
       {5904, 6445},
       {{0, Dma, 3840, {190, 237, 284, 331}, {0, 326, 446, 446, 446}, {237, 1}, 4},
        {0, Dma32, 83647, {4157, 5196, 6235, 7274}, {0, 0, 119, 119, 119}, {5196, 15}, 12},
        {0, Normal, 30612, {1521, 1901, 2281, 2661}, {}, {1901, 7}, 4},
        {1, Normal, 128909, {6406, 8007, 9608, 11209}, {}, {8007, 31}, 12}}},
      {"768 MiB, two CPUs",
       2,
       36176,
       {14754},
       {1820},
       {9106},
       {{0, Dma, 3840, {190, 237, 284, 331}, {0, 198, 696, 696, 696}, {118, 1}, 4},
        {0, Dma32, 50879, {2526, 3157, 3788, 4419}, {0, 0, 497, 497, 497}, {1578, 15}, 8},
        {0, Normal, 127437, {6327, 7908, 9489, 11070}, {}, {3954, 31}, 12}}},
  };
}

TEST(RecordedMachines, HaveTheComputedNumbers) {
  for (const RecordedMachine& machine : recorded_machines()) {
    SCOPED_TRACE(machine.name);
    const std::size_t nodes = machine.totalreserve.size();
    std::vector<ZoneSize> zones;
    for (const RecordedZone& z : machine.zones)
      zones.push_back(zone(z.type, z.managed, z.node));
    const std::uint64_t min_free = min_free_after_boot(zones);
    EXPECT_EQ(min_free, machine.min_free_kbytes);
    const Marks marks(zones, min_free);
    std::vector<std::uint64_t> totalreserve(nodes), min_unmapped(nodes), min_slab(nodes);
    for (std::size_t i = 0; i < zones.size(); ++i) {
      const RecordedZone& z = machine.zones[i];
      SCOPED_TRACE(zone_type_name(z.type));
      EXPECT_EQ(marks.of_zone[i], z.marks);
      std::array<std::uint64_t, 5> managed{};
      for (const RecordedZone& other : machine.zones) {
        if (other.node == z.node)
          managed[other.type == Movable ? 3 : static_cast<std::size_t>(other.type)] = other.managed;
      }
      const ZoneIndex index{z.type == Movable ? 3 : static_cast<std::size_t>(z.type)};
      const LowmemReserve reserve = lowmem_reserve(managed, index, default_lowmem_reserve_ratio(z.type));
      EXPECT_EQ(reserve, z.reserve);
      const auto node_cpus = static_cast<std::uint32_t>(machine.cpus / nodes);
      EXPECT_EQ(pcp_size(z.managed, z.marks.low, 0, node_cpus), z.pcp);
      EXPECT_EQ(stat_threshold(machine.cpus, z.managed), z.threshold);
      totalreserve[z.node] += zone_totalreserve(reserve, z.marks.high, z.managed);
      min_unmapped[z.node] += zone_percent(z.managed, 1);
      min_slab[z.node] += zone_percent(z.managed, 5);
    }
    EXPECT_EQ(totalreserve, machine.totalreserve);
    EXPECT_EQ(min_unmapped, machine.min_unmapped);
    EXPECT_EQ(min_slab, machine.min_slab);
  }
}

}  // namespace
}  // namespace mmbox
