// Requests of all kinds on a small machine that is always nearly full, with compaction, reclaim and the daemons at
// work: no page is lost, doubled, or moved against its holder's will, and the same seed gives the same run.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "mmbox/lab/population/population.h"
#include "mmbox/lab/workload/random.h"
#include "tests/effort.h"
#include "tests/support/small_machine.h"

namespace mmbox::lab {
namespace {

/// A machine whose owners take and give back pages as a seed says.
class Churn final : public Waiter, public OomPolicy {
 public:
  explicit Churn(std::uint64_t seed) : random_(seed) {
    for (std::uint64_t pfn = 0; pfn < kPages; pfn += 1024)
      m_.free_block(pfn, 10);
    m_.zone().watermark = {64, 80, 96, 112};
    pages_.keep_lru();
    m_->set_contents(&pages_);
    m_->set_hosts({.reclaimer = &reclaim_, .compactor = &compaction_, .oom = this, .waiter = this});
    for (const char* name : {"files", "processes", "kernel"})
      pages_.add_owner(name);
    pages_.set_free_swap(PageCount{2000});
  }

  void step() {
    const std::uint64_t what = random_.below(100);
    if (what < 35)
      take(gfp::kHighUserMovable, 0, PageUse::File, 0);
    else if (what < 55)
      take(gfp::kHighUserMovable, 0, PageUse::Anonymous, 1);
    else if (what < 65)
      take(gfp::kKernel | gfp::kComp, static_cast<unsigned>(random_.below(6)), PageUse::Kernel, 2);
    else if (what < 67)
      take(gfp::kHighUserMovable | gfp::kComp | gfp::kRetryMayfail, 9, PageUse::Kernel, 2);
    else if (what < 97)
      give_back(static_cast<OwnerId>(random_.below(3)));
    else if (what < 99)
      wait_tick();
    else
      compaction_.compact_all(CpuId{0});
  }

  void wait_tick() override {
    if (std::exchange(daemons_run_, true))
      return pages_.tick();
    reclaim_.run_kswapd(NodeId{0}, CpuId{0});
    // kswapd leaves a machine as small as this with a block of the size or without room to make one: somebody else
    // asks.
    compaction_.wake_kcompactd(NodeId{0}, Order{static_cast<unsigned>(1 + random_.below(kPageblockOrder))},
                               ZoneIndex{2});
    compaction_.run_kcompactd(NodeId{0}, CpuId{0});
    compaction_.run_proactively(NodeId{0}, CpuId{0});
    daemons_run_ = false;
    pages_.tick();
  }
  bool out_of_memory(const AllocContext&) override {
    // Whoever has most gives up a quarter.
    OwnerId largest = 0;
    for (OwnerId id = 0; id < pages_.owners(); ++id)
      if (pages_.owner(id).pages.size() > pages_.owner(largest).pages.size())
        largest = id;
    const std::size_t count = pages_.owner(largest).pages.size() / 4 + 1;
    for (std::size_t i = 0; i < count; ++i)
      give_back(largest);
    ++kills_;
    return true;
  }

  void expect_consistent() {
    if (const auto violation = validate(m_.view())) {
      FAIL() << violation->what << ": " << violation->a << ", " << violation->b;
    }
    std::uint64_t held = 0;
    for (OwnerId id = 0; id < pages_.owners(); ++id) {
      for (std::uint32_t slot = 0; slot < pages_.owner(id).pages.size(); ++slot) {
        const Pfn pfn = pages_.owner(id).pages[slot];
        const PopulationPage& page = pages_.page(pfn);
        ASSERT_EQ(page.owner, id);
        ASSERT_EQ(page.slot, slot);
        ASSERT_FALSE(page.is_isolated);
        ASSERT_TRUE(m_->frame_state(pfn).is_allocated_as(page.order)) << pfn.raw();
        held += std::uint64_t{1} << page.order;
      }
    }
    const auto free = static_cast<std::uint64_t>(m_.zone().stat[0] + m_.pageset().count);
    ASSERT_EQ(free + held, kPages);
    for (const auto& [pfn, owner] : pinned_) {
      ASSERT_EQ(pages_.page(Pfn{pfn}).owner, owner) << "a pinned page is where it was";
      ASSERT_TRUE(pages_.page(Pfn{pfn}).is_pinned);
    }
    const NodePageStats& stats = m_.view().nodes[0].pages;
    ASSERT_EQ(stats.isolated_anon, 0);
    ASSERT_EQ(stats.isolated_file, 0);
  }

  [[nodiscard]] std::uint64_t digest() { return mmbox::digest(m_.view()); }
  [[nodiscard]] const VmEvents& events() { return *m_.view().events; }
  [[nodiscard]] std::uint64_t kills() const { return kills_; }

 private:
  static constexpr std::uint64_t kPages = 8192;

  void take(Gfp gfp, unsigned order, PageUse use, OwnerId owner) {
    const std::uint64_t pfn = m_.alloc(gfp, order);
    if (pfn == test::SmallMachine::kFailed)
      return;
    PopulationPage page;
    page.use = use;
    page.order = static_cast<std::uint8_t>(order);
    page.is_compound = order > 0;
    page.owner = owner;
    page.is_dirty = use == PageUse::File && random_.below(4) == 0;
    page.is_referenced = random_.below(3) == 0;
    page.is_pinned = order == 0 && use != PageUse::Kernel && random_.below(50) == 0;
    pages_.put(Pfn{pfn}, page);
    if (page.is_pinned)
      pinned_[pfn] = owner;
  }
  void give_back(OwnerId owner) {
    const std::vector<Pfn>& held = pages_.owner(owner).pages;
    if (held.empty())
      return;
    const Pfn pfn = held[random_.below(held.size())];
    const PopulationPage page = pages_.page(pfn);
    if (page.is_isolated)
      return;  // its owner waits
    pinned_.erase(pfn.raw());
    pages_.forget(pfn);
    m_->free(pfn, Order{page.order}, CpuId{0});
  }

  test::SmallMachine m_{test::SmallConfig{.zones = {{ZoneType::Normal, 0, kPages, 0}}, .batch = 31, .high = 100}};
  Population pages_{m_.machine()};
  Compaction compaction_{m_.view(), pages_};
  Reclaim reclaim_{m_.view(), pages_.lru(), pages_};
  Random random_;
  std::map<std::uint64_t, OwnerId> pinned_;
  bool daemons_run_ = false;
  std::uint64_t kills_ = 0;
};

TEST(SlowPathRandom, NoPageIsLostOrDoubledUnderPressure) {
  const std::uint64_t steps = test::Effort{20'000, 400'000, 10'000'000}.here();
  Churn churn{7};
  for (std::uint64_t i = 0; i < steps; ++i) {
    churn.step();
    if (i % 2048 == 0) {
      churn.expect_consistent();
      if (testing::Test::HasFatalFailure())
        FAIL() << "after step " << i << " of seed 7";
    }
  }
  churn.expect_consistent();
  // All of it was at work.
  EXPECT_GT(churn.events().pgmigrate_success, 500u);
  EXPECT_GT(churn.events().pgsteal_direct, 0u);
  EXPECT_GT(churn.events().pgsteal_kswapd, 500u);
  EXPECT_GT(churn.events().pswpout, 0u);
  EXPECT_GT(churn.events().compact_stall, 0u);
  EXPECT_GT(churn.events().compact_daemon_wake, 0u);
}

TEST(SlowPathRandom, TheSameSeedGivesTheSameRun) {
  Churn first{11};
  Churn second{11};
  Churn other{12};
  for (int i = 0; i < 20'000; ++i) {
    first.step();
    second.step();
    other.step();
  }
  EXPECT_EQ(first.digest(), second.digest());
  EXPECT_EQ(first.events().pgmigrate_success, second.events().pgmigrate_success);
  EXPECT_NE(first.digest(), other.digest());
}

/// Every free block, by order, type and place, whatever the order of its list; and how many there are.
std::vector<std::tuple<unsigned, unsigned, std::uint64_t>> free_blocks(test::SmallMachine& machine) {
  std::vector<std::tuple<unsigned, unsigned, std::uint64_t>> blocks;
  for (unsigned order = 0; order < kOrders; ++order)
    for (unsigned type = 0; type < kMigratetypes; ++type)
      for (const std::uint64_t pfn : machine.list(order, static_cast<Migratetype>(type)))
        blocks.emplace_back(order, type, pfn);
  std::ranges::sort(blocks);
  return blocks;
}

/// What keeps a page from moving: found out before it is taken off its list, or only when it should move.
enum class Hindrance { Pinned, PinnedFile, Locked };

class VainCompaction : public testing::TestWithParam<Hindrance> {};

TEST_P(VainCompaction, LeavesEveryListAsItWasButForOrder) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    test::SmallMachine machine{test::SmallConfig{.zones = {{ZoneType::Normal, 0, 4096, 0}}}};
    for (std::uint64_t pfn = 0; pfn < 4096; pfn += 1024)
      machine.free_block(pfn, 10);
    Population pages{machine.machine()};
    const OwnerId owner = pages.add_owner("owner");
    Random random{seed};
    std::vector<std::uint64_t> taken;
    for (std::uint64_t pfn = 0;
         (pfn = machine.alloc(gfp::kHighUserMovable.without(gfp::kReclaim), 0)) != test::SmallMachine::kFailed;)
      taken.push_back(pfn);
    for (const std::uint64_t pfn : taken) {
      if (random.below(3) == 0) {
        machine.free(pfn, 0);
        continue;
      }
      PopulationPage page;
      page.use = GetParam() == Hindrance::PinnedFile ? PageUse::File : PageUse::Anonymous;
      page.is_pinned = GetParam() != Hindrance::Locked;
      page.is_locked = GetParam() == Hindrance::Locked;
      page.owner = owner;
      pages.put(Pfn{pfn}, page);
    }
    machine->drain_all();
    machine->set_contents(&pages);
    const auto before = free_blocks(machine);
    const std::vector<Pfn> held = pages.owner(owner).pages;
    Compaction compaction{machine.view(), pages};
    compaction.compact_all(CpuId{0});
    compaction.compact_all(CpuId{0});
    machine->drain_all();
    EXPECT_EQ(machine.view().events->pgmigrate_success, 0u);
    EXPECT_EQ(free_blocks(machine), before) << "seed " << seed;
    EXPECT_EQ(pages.owner(owner).pages, held);
    EXPECT_EQ(machine.view().nodes[0].pages.isolated_anon, 0);
    EXPECT_EQ(machine.view().nodes[0].pages.isolated_file, 0);
    EXPECT_EQ(machine.violation(), "");
    if (GetParam() != Hindrance::Pinned) {
      EXPECT_GT(machine.view().events->pgmigrate_fail, 0u) << "it was tried";
    }
  }
}
INSTANTIATE_TEST_SUITE_P(SlowPath, VainCompaction,
                         testing::Values(Hindrance::Pinned, Hindrance::PinnedFile, Hindrance::Locked));

}  // namespace
}  // namespace mmbox::lab
