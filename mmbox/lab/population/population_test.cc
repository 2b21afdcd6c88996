#include "mmbox/lab/population/population.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/population/outlook.h"
#include "tests/support/small_machine.h"

namespace mmbox::lab {
namespace {

using testing::ElementsAre;

/// A recorded machine with a full cache, whose zone Normal is above its low mark.
class LruGuessTest : public testing::Test {
 protected:
  LruGuessTest()
      : moment_(std::move(
            *load_moment(std::string{MMBOX_TEST_DATA} + "/hugepages/cachefull.log.zst", "cachefull-before"))) {}

  /// Fills `frames_`. Zones of the inactive file pages from the oldest on, each as often as the pages change to it.
  std::vector<ZoneType> ages(std::optional<LruGuess> guess) {
    Image image = std::move(*image_of(moment_.snapshot, moment_.generation));
    const MachineView& view = image.machine().view();
    Population pages{image.machine(), moment_.dump};
    pages.keep_lru(guess);
    std::vector<ZoneType> zones;
    frames_.clear();
    while (pages.lru().pages(NodeId{0}, LruList::InactiveFile) > 0) {
      const FrameIndex page = pages.lru().oldest(NodeId{0}, LruList::InactiveFile);
      pages.lru().remove(page, LruList::InactiveFile);
      frames_.push_back(view.env.map.pfn(page));
      if (const ZoneType zone = view.zone_of(page).type; zones.empty() || zones.back() != zone)
        zones.push_back(zone);
    }
    return zones;
  }

  Moment moment_;
  std::vector<Pfn> frames_;  ///< from the oldest on
};

TEST_F(LruGuessTest, ZonesAreFilledFromTheHighestDown) {
  EXPECT_THAT(ages({}), ElementsAre(ZoneType::Normal, ZoneType::Dma32, ZoneType::Dma));
  EXPECT_TRUE(std::is_sorted(frames_.begin(), frames_.begin() + 1000));
}

TEST_F(LruGuessTest, TheZoneThatGivesPagesHasTheOldestAndTheNewest) {
  const LruGuess half{.refilled_percent = 50};
  EXPECT_THAT(ages(half), ElementsAre(ZoneType::Normal, ZoneType::Dma32, ZoneType::Dma, ZoneType::Normal));
}

TEST_F(LruGuessTest, PagesAmongThoseThatStayAreOlder) {
  // In zone DMA32 of the recorded machine reserved memory lies here and there.
  const auto shared_blocks_come_first = [&] {
    Image image = std::move(*image_of(moment_.snapshot, moment_.generation));
    const Population pages{image.machine(), moment_.dump};
    std::vector<Pfn> of_zone = frames_;
    std::erase_if(of_zone, [](Pfn pfn) { return pfn < Pfn{0x1000} || pfn >= Pfn{0x100000}; });
    return std::ranges::is_partitioned(of_zone, [&](Pfn of) {
      const Pfn begin = of.align_down(Order{kPageblockOrder});
      for (Pfn pfn = begin; pfn < begin + PageCount{kPageblockPages}; pfn = pfn + PageCount{1})
        if (const PageUse use = pages.page(pfn).use;
            use == PageUse::Reserved || use == PageUse::Kernel || use == PageUse::Slab)
          return true;
      return false;
    });
  };
  ages(LruGuess{.oldest_is_highest = true});
  EXPECT_GT(frames_[0], frames_[1]);
  EXPECT_FALSE(shared_blocks_come_first());
  std::vector<Pfn> plain = frames_;
  ages(LruGuess{.oldest_is_highest = true, .small_blocks_first = true});
  EXPECT_TRUE(shared_blocks_come_first());
  std::ranges::sort(frames_);
  std::ranges::sort(plain);
  EXPECT_EQ(frames_, plain) << "the same pages";
}

TEST(Population, LargeFoliosOfADumpAreSinglePagesAndTheInsideOfSlabIsSlab) {
  test::SmallMachine machine;
  const auto run = [](std::uint64_t pfn, std::uint64_t pages, std::int32_t refcount, std::int32_t order,
                      PageKind kind) {
    return PageRun{.start = Pfn{pfn},
                   .pages = PageCount{pages},
                   .flags = 0,
                   .refcount = refcount,
                   .mapcount = -1,
                   .order = order,
                   .kind = kind};
  };
  PageDump dump;
  dump.zones.push_back(
      {NodeId{0},
       ZoneType::Normal,
       {run(16, 1, 4, 2, PageKind::File), run(17, 3, 0, -1, PageKind::Tail), run(20, 1, 5, 2, PageKind::File),
        run(21, 3, 0, -1, PageKind::Tail), run(24, 1, 1, 1, PageKind::Slab), run(25, 1, 0, -1, PageKind::Tail),
        run(26, 1, 1, 1, PageKind::Other), run(27, 1, 0, -1, PageKind::Tail)}});
  const Population pages{machine.machine(), dump};
  for (std::uint64_t pfn = 16; pfn < 24; ++pfn) {
    EXPECT_EQ(pages.page(Pfn{pfn}).use, PageUse::File) << pfn;
    EXPECT_EQ(pages.page(Pfn{pfn}).order, 0) << pfn;
    EXPECT_EQ(pages.page(Pfn{pfn}).is_pinned, pfn >= 20) << pfn << ": its file holds a folio once for each page";
  }
  EXPECT_EQ(pages.page(Pfn{24}).order, 1);
  EXPECT_EQ(pages.page(Pfn{25}).use, PageUse::Slab);
  EXPECT_EQ(pages.page(Pfn{27}).use, PageUse::Kernel);
}

}  // namespace
}  // namespace mmbox::lab
