#include "mmbox/lab/snapshot/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "mmbox/lab/snapshot/snapshot_testing.h"

namespace mmbox::lab {
namespace {

std::vector<std::string> texts(const Comparison& comparison) {
  std::vector<std::string> result;
  for (const Difference& difference : comparison.differences)
    result.push_back(difference.text());
  return result;
}

TEST(Compare, ASnapshotEqualsItselfAndTheFactsAreCounted) {
  const Snapshot snapshot = snapshot_of("snapshot/linux-7.2-numa20.log.zst");
  CompareOptions all;
  all.header = true;
  const Comparison comparison = compare(snapshot, snapshot, all);
  EXPECT_TRUE(comparison.equal());
  // 4 zones × (11 orders × 6 types + 2 CPUs × 14 per-cpu lists + holes), and 2 nodes × 2 zonelists.
  EXPECT_EQ(comparison.lists, 4U * (66 + 28 + 1) + 4);
  std::uint64_t pages = 0;
  for (const SnapshotZone& zone : snapshot.zones) {
    for (const SnapshotFreeArea& area : zone.free_areas)
      pages += area.free_blocks;
    for (const SnapshotZoneCpu& cpu : zone.cpus) {
      for (const auto& list : cpu.lists)
        pages += list.size();
    }
    pages += zone.holes.size();
  }
  for (const SnapshotNode& node : snapshot.nodes)
    pages += node.zonelists[0].size() + node.zonelists[1].size();
  EXPECT_EQ(comparison.entries, pages);
  EXPECT_GT(comparison.counters, 1000U);
}

TEST(Compare, BeforeAndAfterARunDiffer) {
  const std::string file = "recordings/scripted-basic-uma/basic-1.log.zst";
  const Comparison comparison = compare(snapshot_of(file, "basic-1-before"), snapshot_of(file, "basic-1-after"));
  EXPECT_GT(comparison.found, 20U);
  EXPECT_EQ(comparison.found, comparison.differences.size());
}

struct Change {
  std::function<void(Snapshot&)> apply;
  std::string told;
  bool CompareOptions::*option;  ///< the option that turns it off
};

TEST(Compare, FindsEachKindOfDifferenceAndOptionsTurnItOff) {
  const Snapshot good = snapshot_of(kEveryLine);
  const auto zone = [](Snapshot& s) -> SnapshotZone& { return s.zones[1]; };
  const std::string normal = "Node 0, zone Normal: ";
  const std::vector<Change> cases = {
      {[](Snapshot& s) { s.label = std::string{"x"}; }, "label: expected every-line-before, got x",
       &CompareOptions::header},
      {[](Snapshot& s) { s.info[1].value = std::string{"7"}; }, "SNAP: clock: expected 18234313031, got 7",
       &CompareOptions::header},
      {[](Snapshot& s) { s.end_info[0].value = std::string{"7"}; }, "ENDSNAP: free_one_missed: expected 0, got 7",
       &CompareOptions::header},
      {[](Snapshot& s) { s.symbols[0].value = std::string{"7"}; }, "SYM min_free_kbytes: expected 2746, got 7",
       &CompareOptions::layout},
      {[](Snapshot& s) { s.symbols.erase(s.symbols.begin() + 1); },
       "SYM user_min_free_kbytes: expected to be there, got nothing", &CompareOptions::layout},
      {[](Snapshot& s) { s.cpus[1].node = NodeId{0}; }, "CPU 2: node: expected 1, got 0", &CompareOptions::layout},
      {[](Snapshot& s) { s.nodes[1].more[0].value = std::string{"8"}; }, "Node 1: extra: expected 7, got 8",
       &CompareOptions::layout},
      {[](Snapshot& s) { s.nodes[0].present = PageCount{1}; }, "Node 0: present: expected 2047, got 1",
       &CompareOptions::layout},
      {[](Snapshot& s) { s.nodes[0].kswapd_waiting = 0; }, "Node 0: kswapd_waiting: expected 1, got 0",
       &CompareOptions::daemons},
      {[](Snapshot& s) { s.nodes[0].distances[1].second = 40; }, "Node 0: distance to node 1: expected 20, got 40",
       &CompareOptions::layout},
      {[](Snapshot& s) { s.nodes[0].vm_stat[2] = 4; }, "Node 0: vm_stat[2]: expected -18, got 4",
       &CompareOptions::node_counters},
      {[](Snapshot& s) { std::swap(s.nodes[0].zonelists[0][0], s.nodes[0].zonelists[0][1]); },
       "Node 0: zonelist, position 0 of 2: expected 0/Normal, got 0/DMA", &CompareOptions::layout},
      {[&](Snapshot& s) { zone(s).managed = PageCount{1019}; }, normal + "managed: expected 1020, got 1019",
       &CompareOptions::layout},
      {[&](Snapshot& s) { zone(s).boost = PageCount{0}; }, normal + "boost: expected 512, got 0",
       &CompareOptions::watermarks},
      {[&](Snapshot& s) { zone(s).flags = 0; }, normal + "flags: expected 0x1, got 0x0", &CompareOptions::watermarks},
      {[&](Snapshot& s) { zone(s).free_highatomic.reset(); },
       normal + "free_highatomic: expected to be there, got nothing", &CompareOptions::watermarks},
      {[&](Snapshot& s) { zone(s).lowmem_reserve[4] = 1; }, normal + "lowmem_reserve[4]: expected 0, got 1",
       &CompareOptions::watermarks},
      {[&](Snapshot& s) { zone(s).compact_defer_shift = 1; }, normal + "compaction defer_shift: expected 2, got 1",
       &CompareOptions::compaction},
      {[&](Snapshot& s) { zone(s).vm_stat[0] = 18; }, normal + "vm_stat[0]: expected 17, got 18",
       &CompareOptions::zone_counters},
      {[&](Snapshot& s) { zone(s).cpus[0].vm_stat_diff[0] = 1; },
       "Node 0, zone Normal, CPU 0: vm_stat_diff[0]: expected -4, got 1", &CompareOptions::cpu_counters},
      {[&](Snapshot& s) { zone(s).cpus[1].stat_threshold = 5; },
       "Node 0, zone Normal, CPU 2: stat threshold: expected 4, got 5", &CompareOptions::cpu_counters},
      {[&](Snapshot& s) { zone(s).cpus[1].count = 5; }, "Node 0, zone Normal, CPU 2: pcp count: expected 4, got 5",
       &CompareOptions::pcp},
      {[&](Snapshot& s) { zone(s).cpus[0].lists[1].pop_back(); },
       "Node 0, zone Normal, CPU 0: per-cpu list 1 (order 0, Movable), position 2 of 3: expected 40e (Movable), got "
       "end "
       "of the list (1 expected entries are missing, 0 are there unexpectedly)",
       &CompareOptions::pcp},
      {[&](Snapshot& s) { zone(s).cpus[0].lists[1][1].cached_type = Migratetype::Movable; },
       "Node 0, zone Normal, CPU 0: per-cpu list 1 (order 0, Movable), position 1 of 3: expected 40f (HighAtomic), got "
       "40f (Movable) (the same entries in another order or with other types)",
       &CompareOptions::cached_types},
      {[&](Snapshot& s) {
         auto& list = zone(s).free_areas[0].lists[1];
         std::swap(list[1], list[2]);
       },
       normal +
           "free list of order 0, Movable, position 1 of 3: expected 404, got 40a (the same entries in another order "
           "or with other types)",
       &CompareOptions::free_lists},
      {[&](Snapshot& s) { zone(s).free_areas[3].free_blocks = 2; }, normal + "nr_free of order 3: expected 1, got 2",
       &CompareOptions::free_lists},
      {[&](Snapshot& s) { zone(s).pageblocks[1].type = Migratetype::Movable; },
       normal + "pageblock 600: expected Reclaimable, got Movable", &CompareOptions::pageblock_types},
      {[&](Snapshot& s) { zone(s).pageblocks[0].skip = false; }, normal + "pageblock 400: skip: expected 1, got 0",
       &CompareOptions::pageblock_skip},
      {[&](Snapshot& s) { zone(s).pageblocks[0].movable_pages = 31; },
       normal + "pageblock 400: movable pages: expected 32, got 31", &CompareOptions::pageblock_counts},
      {[&](Snapshot& s) { zone(s).holes[0].end = Pfn{0x900}; },
       normal + "holes, position 0 of 1: expected [800, a00), got [800, 900)", &CompareOptions::layout},
  };
  for (const Change& change : cases) {
    Snapshot changed = good;
    change.apply(changed);
    CompareOptions options;
    options.header = true;
    EXPECT_EQ(texts(compare(good, changed, options)), std::vector{change.told});
    options.*change.option = false;
    EXPECT_TRUE(compare(good, changed, options).equal()) << change.told;
  }
}

TEST(Compare, TellsWhatOnlyOneSideHas) {
  const Snapshot good = snapshot_of(kEveryLine);
  Snapshot lacking = good;
  lacking.zones.erase(lacking.zones.begin());
  EXPECT_EQ(texts(compare(good, lacking)),
            std::vector<std::string>{"Node 0, zone DMA: expected to be there, got nothing"});
  EXPECT_EQ(texts(compare(lacking, good)),
            std::vector<std::string>{"Node 0, zone DMA: expected nothing, got it is there"});
}

TEST(Compare, KeepsAsManyDifferencesAsAskedForAndCountsAll) {
  const Snapshot good = snapshot_of(kEveryLine);
  Snapshot changed = good;
  for (SnapshotZone& zone : changed.zones)
    zone.boost = PageCount{99};
  CompareOptions options;
  options.differences_max = 1;
  const Comparison comparison = compare(good, changed, options);
  EXPECT_EQ(comparison.found, 2U);
  EXPECT_EQ(comparison.differences.size(), 1U);
  EXPECT_FALSE(comparison.equal());
}

TEST(Compare, BuddyComparesOnlyListsAndTypes) {
  const Snapshot good = snapshot_of(kEveryLine);
  Snapshot changed = good;
  changed.zones[1].vm_stat[0] = 1;
  changed.zones[1].cpus[0].lists[1].clear();
  changed.zones[1].boost = PageCount{0};
  EXPECT_TRUE(compare(good, changed, CompareOptions::buddy()).equal());
  EXPECT_EQ(compare(good, changed, CompareOptions::allocator()).found, 3U);
  changed.zones[1].pageblocks[0].type = Migratetype::Unmovable;
  EXPECT_EQ(compare(good, changed, CompareOptions::buddy()).found, 1U);
}

}  // namespace
}  // namespace mmbox::lab
