// Requests that left the fast path, as recorded on a 6.1.192: each is asked of the engine in the state that it began
// in, with the engine's own kswapd, reclaim and compaction at work on the pages that the trace says are there.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <unordered_map>

#include "mmbox/lab/population/asker.h"
#include "mmbox/lab/population/trace_population.h"
#include "mmbox/lab/replay/top.h"
#include "mmbox/lab/snapshot/script_log.h"
#include "tests/effort.h"

namespace mmbox::lab {
namespace {

/// What came of the requests of one kind, by whether the kernel and the engine had a block for them.
struct Outcomes {
  std::uint64_t both_got = 0;
  std::uint64_t both_failed = 0;
  std::uint64_t only_kernel_got = 0;
  std::uint64_t only_engine_got = 0;
};

/// Rides on a replay. A request is asked at its first sign that it left the fast path, and told by its end.
class SlowRequests {
 public:
  /// Asks each `every`th of them.
  SlowRequests(const PageDump& dump, std::uint64_t every) : dump_(dump), every_(every) {}

  void arrive(Image& engine) {
    if (pages_)
      return;
    pages_.emplace(engine.machine(), dump_);
    trace_.emplace(*pages_, engine.machine(), TracePopulation::First::Told);
  }
  void see(const TraceRecord& record, const Image& engine) {
    if (const auto* wake = std::get_if<probe::WakeupKswapdCall>(&record.event)) {
      // A boosted zone wakes kswapd without a mask, and the request goes on as it was.
      if (wake->gfp.raw() != 0)
        ask(record.pid, engine, wake->order, wake->gfp);
    } else if (const auto* compacts = std::get_if<MmCompactionTryToCompactPages>(&record.event)) {
      ask(record.pid, engine, Order{static_cast<unsigned>(compacts->order)}, compacts->gfp);
    } else if (const auto* reclaims = std::get_if<MmVmscanDirectReclaimBegin>(&record.event)) {
      ask(record.pid, engine, Order{static_cast<unsigned>(reclaims->order)}, reclaims->gfp);
    } else if (const auto* end = std::get_if<MmPageAlloc>(&record.event)) {
      if (const auto asked = asked_.extract(record.pid); !asked.empty() && asked.mapped())
        count(end->pfn != kNoPfn, *asked.mapped());
    }
    trace_->follow(record);
  }
  [[nodiscard]] const Outcomes& outcomes() const { return outcomes_; }

 private:
  void ask(std::int32_t pid, const Image& engine, Order order, Gfp gfp) {
    const auto [asked, is_new] = asked_.try_emplace(pid);
    if (!is_new || seen_++ % every_ != 0)
      return;
    Image image = engine.copy();
    Population pages{image.machine(), *pages_};
    trace_->settle(pages, image.machine());
    Asker asker{image.machine(), pages, true, true, seen_};
    asked->second = asker.take(order, gfp, 1) == 1;
  }
  void count(bool kernel_got, bool engine_got) {
    if (kernel_got)
      ++(engine_got ? outcomes_.both_got : outcomes_.only_kernel_got);
    else
      ++(engine_got ? outcomes_.only_engine_got : outcomes_.both_failed);
  }

  const PageDump& dump_;
  std::uint64_t every_;
  std::uint64_t seen_ = 0;
  std::optional<Population> pages_;
  std::optional<TracePopulation> trace_;
  /// By pid: under way since it left the fast path; whether the engine had a block, if that was asked.
  std::unordered_map<std::int32_t, std::optional<bool>> asked_;
  Outcomes outcomes_;
};

Outcomes outcomes_of(const std::string& trace, const std::string& log, const std::string& label, std::uint64_t every) {
  const auto dump = load_page_dump(log, label);
  if (!dump) {
    ADD_FAILURE() << dump.error().text();
    return {};
  }
  SlowRequests requests{*dump, every};
  TraceReplayOptions options;
  options.at_moment = [&](const Snapshot*, Image& engine) { requests.arrive(engine); };
  options.observer = [&](const TraceRecord& record, const Image& engine) { requests.see(record, engine); };
  const auto replayed = replay_top(trace, log, label, options);
  EXPECT_TRUE(replayed) << replayed.error().text();
  return requests.outcomes();
}

TEST(SlowRequests, OfTheHighestOrdersGetABlockOrNoneAsTheKernelsDid) {
  constexpr test::Effort kEvery{.quick = 10, .normal = 1, .long_run = 1};
  const std::string recording = std::string{MMBOX_TEST_DATA} + "/compaction/direct";
  const Outcomes of = outcomes_of(recording + ".mmbox", recording + ".log.zst", "direct-before", kEvery.here());
  EXPECT_GE(of.both_got, 41 / kEvery.here());
  EXPECT_GE(of.both_failed, 7 / kEvery.here());
  EXPECT_LE(of.only_kernel_got, 1u);
  EXPECT_LE(of.only_engine_got, 2u);
}

TEST(SlowRequests, OfAWorkloadGetTheirBlocks) {
  constexpr test::Effort kEvery{.quick = 80, .normal = 8, .long_run = 1};
  const std::string recording = std::string{MMBOX_SOURCE_DIR} + "/examples/recordings/workload";
  const Outcomes of = outcomes_of(recording + ".mmbox", recording + ".log.zst", "workload-before", kEvery.here());
  EXPECT_GE(of.both_got, 883 / kEvery.here());
  EXPECT_EQ(of.only_kernel_got, 0u);
  EXPECT_LE(of.only_engine_got + of.both_failed, 1u) << "the one refusal, of a huge page";
}

}  // namespace
}  // namespace mmbox::lab
