// The free replay of a trace: its requests and frees as a demand, by recorded frames that are names only.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/replay/free_replay.h"
#include "mmbox/lab/replay/free_side.h"
#include "mmbox/lab/replay/moments.h"
#include "mmbox/lab/replay/trace_facts.h"
#include "mmbox/lab/replay/window.h"
#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {
namespace {

constexpr std::uint64_t kRecordsPerSample = 1U << 16;

/// A side with the recorded frames that stand for its blocks, and what it knows of the pages in use.
class TraceSide final : public PageContents {
 public:
  TraceSide(Image image, const Generation& generation)
      : side_(std::move(image), generation),
        kswapd_(side_.machine().view()),
        was_used_(map().frames()),
        blocks_(map().frames() >> kPageblockOrder) {
    note_used_pages();
    side_.machine().set_contents(this);
  }

  [[nodiscard]] FreeSide& engine() { return side_; }
  [[nodiscard]] KswapdRuns& kswapd() { return kswapd_; }
  /// Frees of blocks that this side never gave out.
  [[nodiscard]] std::uint64_t unknown_frees() const { return unknown_frees_; }
  [[nodiscard]] std::vector<std::pair<Pfn, Migratetype>> held() const {
    std::vector<std::pair<Pfn, Migratetype>> all;
    for (const auto& [name, block] : held_)
      if (block.pfn != kNoPfn)
        all.emplace_back(block.pfn, block.type);
    return all;
  }

  /// One request. The block that direct compaction caught for a request is asked for regardless of marks.
  std::optional<Pfn> allocate(const Slot& slot, MmPageAlloc event, bool tells) {
    const CpuId cpu = slot.record.cpu;
    if (event.pfn != kNoPfn)
      drop_overlaps(event.pfn, event.order, cpu);
    event.gfp = side_.as_meant(event.gfp);
    const auto pfn = side_.ask(event.order, tells, [&](Machine& machine) {
      auto got = attempt(machine, event, cpu, slot.slow);
      if (!got && slot.captured)
        got = attempt(machine, event, cpu, true, alloc_flag::kNoWatermarks);
      return got;
    });
    if (event.pfn != kNoPfn)
      hold(event.pfn, pfn.value_or(kNoPfn), event.order, event.migratetype);
    else if (pfn)
      side_.machine().free(*pfn, event.order, cpu);  // its caller went without
    return pfn;
  }
  std::vector<Pfn> bulk(Request request, std::size_t wanted) {
    request.gfp = side_.as_meant(request.gfp);
    std::vector<Pfn> pages = side_.ask_bulk(request, wanted);
    unnamed_.insert(unnamed_.end(), pages.begin(), pages.end());
    return pages;
  }

  void free(Pfn name, Order order, CpuId cpu) {
    if (!map().contains(name))
      return;
    if (auto block = held_.find(name.raw()); block != held_.end() && block->second.order == order) {
      const Held held = block->second;
      held_.erase(block);
      release(held, cpu);
      return;
    }
    if (cut(name, order)) {
      free(name, order, cpu);
      return;
    }
    if (release_first_pages(name, order, cpu) || drop_overlaps(name, order, cpu))
      return;
    if (order == Order{0} && !unnamed_.empty()) {
      const Pfn pfn = unnamed_.back();
      unnamed_.pop_back();
      side_.machine().free(pfn, order, cpu);
      return;
    }
    ++unknown_frees_;
  }
  /// A block of split_page(): its frames may be freed one by one.
  void split(Pfn name, Order order) {
    const auto block = held_.find(name.raw());
    if (block != held_.end() && block->second.order == order)
      cut_into(block, Order{0});
  }
  /// Compaction took a free block as a target: the same here if it is free, otherwise another of its order.
  void isolate(Pfn name, Order order, CpuId cpu) {
    if (!map().contains(name) || map().pageblock(map().index(name)).zone == kNoZone)
      return;
    drop_overlaps(name, order, cpu);
    MachineView& view = side_.machine().view();
    const FrameIndex index = map().index(name);
    ZoneState& zone = view.zone_of(index);
    Buddy buddy = view.buddy(zone, cpu);
    std::optional<FrameIndex> taken;
    if (map().is_free_head(index, order.raw())) {
      buddy.count_free(-(std::int64_t{1} << order.raw()), buddy.remove(index, order.raw()));
      taken = index;
    } else if (const auto block = buddy.rmqueue_smallest(order.raw(), Migratetype::Movable)) {
      if (!buddy.counts_per_block())
        buddy.count_free(-(std::int64_t{1} << order.raw()), Migratetype::Movable);
      taken = block->index;
    }
    Pfn pfn = kNoPfn;
    if (taken) {
      map().set_state(*taken, order.raw(), FrameState::allocated(order.raw(), FrameState::Compound::No));
      pfn = map().pfn(*taken);
    }
    hold(name, pfn, order, Migratetype::Movable);
  }

  /// Of a pageblock's movable pages at the start, those whose share is still in use, and what the demand holds there.
  PageCount movable_pages(Pfn begin, Pfn) override {
    const Block& block = blocks_[map().index(begin) >> kPageblockOrder];
    const std::uint64_t first =
        block.used_at_start == 0 ? 0 : block.movable_at_start * block.used / block.used_at_start;
    return PageCount{std::min<std::uint64_t>(first + block.movable, kPageblockPages)};
  }

 private:
  struct Held {
    Pfn pfn;  ///< kNoPfn: this side refused it
    Order order;
    Migratetype type;
  };
  /// What is known of the pages of a pageblock. Unit: pages.
  struct Block {
    std::uint64_t used_at_start = 0;
    std::uint64_t movable_at_start = 0;
    std::uint64_t used = 0;     ///< of those at the start, still in use
    std::uint64_t movable = 0;  ///< allocated since, for movable requests
  };
  using HeldBlocks = std::unordered_map<std::uint64_t, Held>;

  [[nodiscard]] const MemMap& map() { return side_.machine().view().env.map; }

  void note_used_pages() {
    for (FrameIndex i = 0; i < map().frames();) {
      const FrameState state = map().state(i);
      if (state.kind() == FrameState::Kind::Buddy || state.kind() == FrameState::Kind::Pcp) {
        i += FrameIndex{1} << state.order();
        continue;
      }
      if (map().pageblock(i).zone != kNoZone) {
        was_used_[i] = true;
        ++blocks_[i >> kPageblockOrder].used_at_start;
      }
      ++i;
    }
    for (FrameIndex i = 0; i < blocks_.size(); ++i) {
      Block& block = blocks_[i];
      block.used = block.used_at_start;
      const FrameIndex first = i << kPageblockOrder;
      if (side_.contents() != nullptr && map().pageblock(first).zone != kNoZone)
        block.movable_at_start =
            side_.contents()->movable_pages(map().pfn(first), map().pfn(first) + PageCount{kPageblockPages}).raw();
    }
  }

  void count_movable(const Held& held, bool allocated) {
    if (held.type != Migratetype::Movable || held.pfn == kNoPfn)
      return;
    const std::uint64_t pages = PageCount::in(held.order).raw();
    for (std::uint64_t at = 0; at < pages; at += kPageblockPages) {
      std::uint64_t& count = blocks_[map().index(held.pfn + PageCount{at}) >> kPageblockOrder].movable;
      const std::uint64_t part = std::min<std::uint64_t>(pages, kPageblockPages);
      count = allocated ? count + part : count - std::min(count, part);
    }
  }
  void hold(Pfn name, Pfn pfn, Order order, Migratetype type) {
    const Held held{pfn, order, type};
    held_.insert_or_assign(name.raw(), held);
    count_movable(held, true);
  }
  void release(const Held& held, CpuId cpu) {
    count_movable(held, false);
    if (held.pfn != kNoPfn)
      side_.machine().free(held.pfn, held.order, cpu);
  }

  /// Frees what this side holds under names inside a block that the recorded kernel has given away since. False if
  /// there was nothing.
  bool drop_overlaps(Pfn name, Order order, CpuId cpu) {
    cut(name, order);
    bool found = false;
    for (std::uint64_t i = 0; i < PageCount::in(order).raw(); ++i) {
      const auto block = held_.find(name.raw() + i);
      if (block == held_.end())
        continue;
      const Held held = block->second;
      held_.erase(block);
      release(held, cpu);
      found = true;
    }
    return found;
  }
  /// Cuts a larger block that contains the named one into blocks of its order. False if there is none.
  bool cut(Pfn name, Order order) {
    for (unsigned o = order.raw() + 1; o < kOrders; ++o) {
      const auto block = held_.find(name.align_down(Order{o}).raw());
      if (block != held_.end() && block->second.order == Order{o}) {
        cut_into(block, order);
        return true;
      }
    }
    return false;
  }
  void cut_into(HeldBlocks::iterator block, Order order) {
    const std::uint64_t name = block->first;
    const Held whole = block->second;
    held_.erase(block);
    const bool here = whole.pfn != kNoPfn;
    if (here)
      map().set_state(map().index(whole.pfn), whole.order.raw(), FrameState{});
    for (std::uint64_t at = 0; at < PageCount::in(whole.order).raw(); at += PageCount::in(order).raw()) {
      const Pfn piece = here ? whole.pfn + PageCount{at} : kNoPfn;
      if (here)
        map().set_state(map().index(piece), order.raw(), FrameState::allocated(order.raw(), FrameState::Compound::No));
      held_.insert_or_assign(name + at, Held{piece, order, whole.type});
    }
  }
  /// Frees pages that were in use at the start; they lie where they were recorded. False if they are not all such.
  bool release_first_pages(Pfn name, Order order, CpuId cpu) {
    const FrameIndex first = map().index(name);
    const FrameIndex end = first + (FrameIndex{1} << order.raw());
    if (end > map().frames() || !name.is_aligned(order))
      return false;
    for (FrameIndex i = first; i < end; ++i)
      if (!was_used_[i])
        return false;
    if (!side_.machine().adopt(name, order))
      return false;
    for (FrameIndex i = first; i < end; ++i) {
      was_used_[i] = false;
      --blocks_[i >> kPageblockOrder].used;
    }
    side_.machine().free(name, order, cpu);
    return true;
  }

  FreeSide side_;
  KswapdRuns kswapd_;
  HeldBlocks held_;  // by recorded frame
  std::vector<bool> was_used_;
  std::vector<Block> blocks_;
  std::vector<Pfn> unnamed_;  // of bulk requests: their recorded frames are not in the trace
  std::uint64_t unknown_frees_ = 0;
};

class FreeTrace {
 public:
  FreeTrace(TraceSide& left, TraceSide& right, TraceWindow& window, FreeReplayReport& report)
      : left_(left),
        right_(right),
        compare_(left.engine(), right.engine(), report),
        zones_(window, left.engine().machine().view()),
        stat_worker_(left.engine().machine().view()) {}

  void operator()(const Slot& slot) {
    cpu_ = slot.record.cpu;
    slot_ = &slot;
    std::visit([this](const auto& event) { on(event); }, slot.record.event);
    if (slot.reclaim_ends)
      both([](TraceSide& side) { side.kswapd().end(); });
  }
  void sample() {
    both([](TraceSide& side) { side.engine().sample(side.held()); });
  }
  /// Free blocks that compaction took.
  [[nodiscard]] std::uint64_t isolated() const { return isolated_; }

 private:
  void both(auto&& what) {
    what(left_);
    what(right_);
  }
  /// Makes the text that says where in the trace this is.
  [[nodiscard]] auto where() const {
    return [this] { return fmt::format("event at time {}, cpu {}", slot_->record.timestamp, cpu_.raw()); };
  }

  void on(const MmPageAlloc& event) {
    const bool tells = compare_.tells();
    const auto a = left_.allocate(*slot_, event, tells);
    const auto b = right_.allocate(*slot_, event, tells);
    compare_(a, b, where(),
             [&] { return fmt::format("request of order {}, gfp 0x{:x}", event.order.raw(), event.gfp.raw()); });
  }
  void on(const MmPageFree& event) {
    if (!slot_->batched && !slot_->kept)
      both([&](TraceSide& side) { side.free(event.pfn, event.order, cpu_); });
  }
  void on(const MmPageFreeBatched& event) {
    both([&](TraceSide& side) { side.free(event.pfn, slot_->order, cpu_); });
  }
  void on(const probe::BulkAlloc& event) {
    const Request request{
        .gfp = event.gfp, .order = Order{0}, .cpu = cpu_, .node = {}, .nodemask = {}, .task = nullptr};
    const auto wanted = static_cast<std::size_t>(std::clamp(event.pages, 0, 4096));
    const std::vector<Pfn> a = left_.bulk(request, wanted);
    const std::vector<Pfn> b = right_.bulk(request, wanted);
    for (std::size_t i = 0; i < wanted; ++i)
      compare_(i < a.size() ? std::optional{a[i]} : std::nullopt, i < b.size() ? std::optional{b[i]} : std::nullopt,
               where(), [&] { return fmt::format("page {} of a bulk request of {}", i, wanted); });
  }
  void on(const probe::SplitPage& event) {
    both([&](TraceSide& side) { side.split(event.page, event.order); });
  }
  void on(const probe::DrainZone& event) {
    const auto zone = zones_.find(event.zone);
    if (zone && event.cpu < cpus())
      both([&](TraceSide& side) { side.engine().machine().drain(*zone, CpuId{event.cpu}); });
  }
  void on(const probe::DrainPages& event) {
    if (event.cpu < cpus())
      both([&](TraceSide& side) { side.engine().machine().drain(CpuId{event.cpu}); });
  }
  void on(const probe::FoldVmstat& event) {
    const FoldBy by = event.do_pagesets ? FoldBy::StatWorker : FoldBy::IdleCpu;
    both([&](TraceSide& side) { side.engine().machine().fold(cpu_, by); });
  }
  void on(const probe::DecayPcp&) {
    if (stat_worker_.begins(cpu_))
      both([&](TraceSide& side) { side.engine().machine().fold(cpu_, FoldBy::StatWorker); });
  }
  void on(const probe::IsolateFree& event) { isolating_.insert_or_assign(cpu_.raw(), event); }
  void on(const probe::IsolateFreeRet& event) {
    const auto asked = isolating_.extract(cpu_.raw());
    if (asked.empty() || event.got_pages == 0)
      return;
    ++isolated_;
    both([&](TraceSide& side) { side.isolate(asked.mapped().page, asked.mapped().order, cpu_); });
  }
  void on(const MmVmscanKswapdWake& event) {
    both([&](TraceSide& side) { side.kswapd().wake(event.node); });
  }
  void on(const MmVmscanKswapdSleep& event) {
    both([&](TraceSide& side) { side.kswapd().sleep(event.node); });
  }
  template <class Other>
  void on(const Other&) {}

  [[nodiscard]] std::size_t cpus() { return left_.engine().machine().view().cpu_nodes.size(); }

  TraceSide& left_;
  TraceSide& right_;
  FreeComparison compare_;
  ZoneAddresses zones_;
  StatWorker stat_worker_;
  const Slot* slot_ = nullptr;
  CpuId cpu_;
  std::unordered_map<std::size_t, probe::IsolateFree> isolating_;
  std::uint64_t isolated_ = 0;
};

}  // namespace

Expected<FreeReplayReport> free_replay_trace(const std::string& trace, const std::string& log, const std::string& label,
                                             const FreeReplayOptions& options) {
  FreeReplayReport report;
  report.source = trace;
  auto recording = Recording::open(trace, log, label, std::nullopt, report.notes);
  if (!recording)
    return std::move(recording).error();
  const Generation own = recording->image.machine().rules().generation;
  TraceSide right{recording->image.copy(), options.right};
  TraceSide left{std::move(recording->image), options.left.value_or(own)};
  TraceWindow window{*recording->reader};
  FreeTrace replay{left, right, window, report};
  WindowRecords records{window, kRecordsPerSample, [&] {
                          replay.sample();
                          if (options.progress)
                            options.progress(recording->reader->progress());
                        }};
  const auto ended = follow([&] { return records.next(); }, *recording,
                            [&](const TraceRecord&) { replay(window.current()); }, [](const Snapshot&) {});
  if (!ended)
    return ended.error();
  left.engine().finish(left.held());
  right.engine().finish(right.held());
  report.left = left.engine().outcome();
  report.right = right.engine().outcome();
  if (replay.isolated() != 0)
    report.notes.push_back(
        fmt::format("{} free blocks that compaction took are taken on both sides, the same block "
                    "where it is free and another of its order where not",
                    replay.isolated()));
  if (left.unknown_frees() + right.unknown_frees() != 0)
    report.notes.push_back(fmt::format("{} frees ({} on the other side) are of blocks that no request of the trace got",
                                       left.unknown_frees(), right.unknown_frees()));
  return report;
}

}  // namespace mmbox::lab
