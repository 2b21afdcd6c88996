#include "mmbox/lab/replay/top.h"

#include <fmt/format.h>

#include <map>
#include <unordered_map>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/replay/moments.h"
#include "mmbox/lab/replay/recorded_state.h"
#include "mmbox/lab/replay/redirect.h"
#include "mmbox/lab/replay/story.h"
#include "mmbox/lab/replay/trace_facts.h"
#include "mmbox/lab/replay/window.h"

namespace mmbox::lab {
namespace {

std::string name_of(std::optional<Pfn> pfn) {
  return pfn ? fmt::format("0x{:x}", pfn->raw()) : "failure";
}

class TopReplay final : public PageContents {
 public:
  TopReplay(Image image, const Snapshot& base, TraceWindow& window, ReplayReport& report)
      : image_(std::move(image)),
        base_(base),
        window_(window),
        report_(report),
        story_(image_.machine()),
        zone_addresses_(window, image_.machine().view()),
        kswapd_(image_.machine().view()),
        recorded_(image_.copy(), base.numbering(), RecordedState::PcpLists::Followed,
                  [this](const RecordedDecision& decision) {
                    if (!decision.equal)
                      ++report_.divergence_kinds["the recorded lists could not be followed"];
                  }) {
    machine().set_contents(this);
  }

  void operator()(const Slot& slot) {
    cpu_ = slot.record.cpu;
    if (slot.cause != Slot::kNone) {
      if (const auto waiting = waiting_.extract(slot.cause); !waiting.empty())
        apply(waiting.mapped());
    }
    if (slot.request != Slot::kNone)
      begin_request(slot.request);
    if (slot.takes_effect_later)
      waiting_.emplace(window_.position(), slot);
    else
      apply(slot);
    if (slot.reclaim_ends)
      kswapd_.end();
    recorded_.apply(slot.record);
    if (auto bulk = bulks_.find(cpu_.raw()); bulk != bulks_.end() && !recorded_.in_operation(cpu_)) {
      recorded_.take_bulk(bulk->second);
      bulks_.erase(bulk);
    }
    if (off_path_ && begun_.empty() && waiting_.empty() && !recorded_.in_operation()) {
      recorded_.copy_lists_to(machine());
      off_path_ = false;
    }
  }

  void compare_with(const Snapshot& recorded) {
    report_.snapshots.push_back(
        {recorded.label, compare(recorded, snapshot_of(machine(), base_), CompareOptions::buddy())});
  }

  /// Completes the report.
  void finish() {
    if (kswapd_.boosts_ended() != 0)
      report_.taken_from_recording["watermark boosts ended by kswapd"] = kswapd_.boosts_ended();
  }

  /// The steal that is being weighed is in the window: the trace says whether the pageblock was claimed.
  PageCount movable_pages(Pfn begin, Pfn end) override {
    ++report_.taken_from_recording["pageblocks weighed in steals"];
    const Pfn block = begin.align_down(Order{kPageblockOrder});
    bool stealing = false;
    bool claimed = false;
    Migratetype start_type = Migratetype::Movable;
    for (std::uint64_t i = window_.position(); const Slot* slot = window_.at(i); ++i) {
      if (slot->record.cpu != cpu_)
        continue;
      const TraceEvent& event = slot->record.event;
      if (const auto* steal = std::get_if<probe::Steal>(&event)) {
        if (stealing)
          break;
        stealing = steal->page.align_down(Order{kPageblockOrder}) == block;
        start_type = steal->start_type;
      } else if (const auto* flags = std::get_if<probe::SetPageblockFlags>(&event); flags != nullptr && stealing) {
        claimed = claimed || ((flags->mask & 7U) != 0 && flags->pfn.align_down(Order{kPageblockOrder}) == block);
      } else if (std::holds_alternative<MmPageAllocExtfrag>(event) && stealing) {
        break;
      }
    }
    if (!stealing)
      return image_.contents()->movable_pages(begin, end);
    // Alike pages are the movable ones for a Movable request, and the others for a request of another type.
    const bool many = claimed == (start_type == Migratetype::Movable);
    if (many)
      return PageCount{start_type == Migratetype::Movable ? kPageblockPages : kPageblockPages - free_pages_of(block)};
    return PageCount{0};
  }

 private:
  void apply(const Slot& slot) {
    std::visit([&](const auto& event) { on(slot, event); }, slot.record.event);
  }
  [[nodiscard]] Machine& machine() { return image_.machine(); }
  [[nodiscard]] MachineView& view() { return image_.machine().view(); }
  [[nodiscard]] const MemMap& map() { return view().env.map; }
  std::optional<FrameIndex> index_of(Pfn pfn) {
    if (!map().contains(pfn))
      return std::nullopt;
    const FrameIndex index = map().index(pfn);
    return map().pageblock(index).zone == kNoZone ? std::nullopt : std::optional{index};
  }
  std::uint64_t free_pages_of(Pfn block) {
    std::uint64_t pages = 0;
    for (FrameIndex i = map().index(block), end = i + static_cast<FrameIndex>(kPageblockPages); i < end; ++i)
      if (const FrameState state = map().state(i); state.kind() == FrameState::Kind::Buddy)
        pages += std::uint64_t{1} << state.order();
    return pages;
  }

  // ------------------------------------------------------------------ requests

  struct Outcome {
    std::optional<Pfn> pfn;
    std::optional<Story> steps;  ///< of a request that was run at an earlier slot
  };

  /// Runs a request's attempts; what happens between them (reclaim, compaction) comes from the trace by itself.
  Outcome allocate(const MmPageAlloc& event, bool slow) {
    const bool tell = !report_.first_divergence;
    story_.clear();
    if (tell)
      machine().attach(&story_);
    Outcome outcome;
    outcome.pfn = attempt(machine(), event, cpu_, slow);
    machine().attach(nullptr);
    return outcome;
  }

  void begin_request(std::uint64_t sequence) {
    const Slot* slot = window_.at(sequence);
    if (slot == nullptr)
      return;
    Outcome outcome = allocate(std::get<MmPageAlloc>(slot->record.event), slot->slow);
    if (!report_.first_divergence)
      outcome.steps.emplace(story_);
    begun_.erase(sequence);
    begun_.emplace(sequence, std::move(outcome));
  }

  void on(const Slot& slot, const MmPageAlloc& event) {
    ++report_.events;
    if (slot.captured) {
      ++report_.taken_from_recording["blocks captured by direct compaction"];
      if (!ensure_allocated(machine(), event.pfn, event.order, cpu_))
        ++report_.divergence_kinds["captured block is not free in the engine"];
      return;
    }
    const auto run = [&] {
      if (!slot.began_earlier)
        return allocate(event, slot.slow);
      auto begun = begun_.extract(window_.position());
      return begun.empty() ? Outcome{} : std::move(begun.mapped());
    };
    Outcome outcome = run();
    const std::optional<Pfn> recorded = event.pfn == kNoPfn ? std::nullopt : std::optional{event.pfn};
    const bool equal = outcome.pfn == recorded;
    report_.count(equal, event.order, event.migratetype, cpu_);
    if (!equal)
      diverge(slot, event, recorded, std::move(outcome));
  }

  void diverge(const Slot& slot, const MmPageAlloc& event, std::optional<Pfn> recorded, Outcome outcome) {
    off_path_ = true;
    ++report_.divergence_kinds[kind_of(slot, event, recorded, outcome.pfn)];
    if (!report_.first_divergence) {
      report_.first_divergence =
          Divergence{.where = fmt::format("event at time {}, cpu {}", slot.record.timestamp, cpu_.raw()),
                     .request = fmt::format("request of order {}, gfp 0x{:x}", event.order.raw(), event.gfp.raw()),
                     .expected = name_of(recorded),
                     .actual = name_of(outcome.pfn),
                     .context = (outcome.steps ? *outcome.steps : story_).lines()};
      const auto index = recorded ? index_of(*recorded) : std::nullopt;
      if (index)
        for (std::string& line : describe_zone(machine(), view().zone_of(*index).id))
          report_.first_divergence->context.push_back(std::move(line));
    }
    if (outcome.pfn)
      give_back(machine(), *outcome.pfn, event.order, cpu_);
    if (recorded && !settle(*recorded, event.order))
      ++report_.divergence_kinds["recorded block is in use otherwise in the engine"];
  }

  std::string kind_of(const Slot& slot, const MmPageAlloc& event, std::optional<Pfn> recorded, std::optional<Pfn> got) {
    const char* path = slot.slow ? "after reclaim or compaction: " : "";
    if (!recorded)
      return fmt::format("{}the kernel refused, the engine did not", path);
    const auto index = index_of(*recorded);
    if (!index)
      return "the recorded frame is in no zone";
    if (!got)
      return fmt::format("{}the engine refused, the kernel did not", path);
    if (view().zone_of(*index).id != view().zone_of(map().index(*got)).id)
      return fmt::format("{}another zone", path);
    const FrameState state = map().state(*index);
    if (state.kind() == FrameState::Kind::Pcp)
      return fmt::format("{}another page of the per-cpu list", path);
    if (state.kind() == FrameState::Kind::Allocated)
      return fmt::format("{}the engine has the frame in use", path);
    return fmt::format("{}another block of order {} of the free lists", path, event.order.raw());
  }

  /// Makes sure that the block is allocated with this order, cutting up what the engine has there as one block.
  bool settle(Pfn pfn, Order order) {
    if (ensure_allocated(machine(), pfn, order, cpu_))
      return true;
    const auto index = index_of(pfn);
    if (!index || !pfn.is_aligned(order))
      return false;
    for (unsigned o = 0; o < kOrders; ++o) {
      const FrameIndex head = *index & ~((FrameIndex{1} << o) - 1);
      const FrameState state = map().state(head);
      if (state.kind() == FrameState::Kind::Allocated && state.order() == o)
        map().set_state(head, o, FrameState{});
    }
    for (FrameIndex i = *index; i < *index + (FrameIndex{1} << order.raw()); ++i)
      if (const FrameState state = map().state(i); state.kind() == FrameState::Kind::Allocated)
        map().set_state(i, state.order(), FrameState{});
    return machine().adopt(pfn, order);
  }

  // ------------------------------------------------------------------ frees

  void free_block(Pfn pfn, Order order, bool straight) {
    ++report_.events;
    if (!straight)
      recorded_.put_on_pcp(pfn, order, cpu_);
    if (!index_of(pfn))
      return;
    if (!machine().frame_state(pfn).is_allocated_as(order.raw())) {
      const auto kind = machine().frame_state(pfn).kind();
      if (kind == FrameState::Kind::Buddy || kind == FrameState::Kind::Pcp)
        ++report_.divergence_kinds["freed block is free in the engine"];
      if (!settle(pfn, order))
        return;
    }
    if (straight && view().pcp_shape.allows(order.raw())) {
      // The per-cpu list was locked by whoever this free interrupted.
      ++report_.taken_from_recording["frees past a busy per-cpu list"];
      const FrameIndex index = map().index(pfn);
      map().set_state(index, order.raw(), FrameState{});
      view().buddy(view().zone_of(index), cpu_).free_one_page(index, order.raw(), map().pageblock(index).type);
      return;
    }
    machine().free(pfn, order, cpu_);
  }

  void on(const Slot& slot, const MmPageFree& event) {
    if (!slot.batched)
      free_block(event.pfn, event.order, slot.straight);
  }
  void on(const Slot&, const MmPageFreeBatched& event) { free_block(event.pfn, Order{0}, false); }
  void on(const Slot&, const probe::SplitPage& event) {
    if (machine().frame_state(event.page).is_allocated_as(event.order.raw()))
      machine().split(event.page, event.order);
  }

  // ------------------------------------------------------------------ bulk requests

  void on(const Slot&, const probe::BulkAlloc& event) {
    const Request request{
        .gfp = event.gfp, .order = Order{0}, .cpu = cpu_, .node = {}, .nodemask = {}, .task = nullptr};
    std::vector<Pfn> pages(static_cast<std::size_t>(std::clamp(event.pages, 0, 4096)), kNoPfn);
    // Where a single allocation serves instead, it is in the trace like any other.
    const std::size_t got = take_bulk<NoSync>(view(), request, pages);
    // The recorded lists get these pages by the refill events that are still to come.
    auto& taken = bulks_[cpu_.raw()];
    taken.insert(taken.end(), pages.begin(), pages.end());
    if (got != 0)
      ++report_.taken_from_recording["bulk requests (their pages are not in the trace)"];
  }

  // ------------------------------------------------------------------ drains and folds

  void on(const Slot&, const probe::DrainZone& event) {
    const auto zone = zone_addresses_.find(event.zone);
    if (!zone || event.cpu >= view().cpu_nodes.size())
      return;  // nothing came of it
    ++report_.taken_from_recording["drains of per-cpu lists"];
    machine().drain(*zone, CpuId{event.cpu});
  }
  void on(const Slot&, const probe::FoldVmstat& event) {
    ++report_.taken_from_recording["folds of per-cpu counters"];
    machine().fold(cpu_, event.do_pagesets ? FoldBy::StatWorker : FoldBy::IdleCpu);
  }

  // ------------------------------------------------------------------ compaction

  void on(const Slot&, const probe::IsolateFree& event) {
    isolating_.insert_or_assign(cpu_.raw(), std::pair{event.page, event.order});
  }
  void on(const Slot&, const probe::IsolateFreeRet& event) {
    const auto asked = isolating_.find(cpu_.raw());
    if (asked == isolating_.end())
      return;
    const auto [pfn, order] = asked->second;
    isolating_.erase(asked);
    if (event.got_pages == 0)
      return;
    ++report_.taken_from_recording["free blocks isolated by compaction"];
    const auto index = index_of(pfn);
    if (index && map().is_free_head(*index, order.raw()) &&
        isolate_free_page(view(), view().zone_of(*index), cpu_, *index, order.raw()).raw() != 0)
      return;
    ++report_.divergence_kinds["isolated block is not free as such in the engine"];
    if (take_recorded(machine(), pfn, order, cpu_))
      map().set_state(map().index(pfn), order.raw(), FrameState{});
  }
  void on(const Slot& slot, const probe::FreeOne& event) {
    if (!slot.captured_for_request)
      return;
    static_cast<void>(take_recorded(machine(), event.captured, Order{slot.captured_order}, cpu_));
  }
  void on(const Slot&, const probe::ListHead& event) {
    const auto index = index_of(event.pfn);
    if (!index || !map().is_free_head(*index, event.order.raw()) || map().state(*index).type() != Migratetype::Movable)
      return;
    Buddy buddy = view().buddy(view().zone_of(*index), cpu_);
    if (buddy.rotate_to_head(*index, event.order.raw()))
      ++report_.taken_from_recording["movable lists rotated by compaction"];
  }

  // ------------------------------------------------------------------ the high-atomic reserve, given back in the slow
  // path

  void on(const Slot&, const probe::UnreserveHighatomic&) { unreserving_[cpu_.raw()] = true; }
  void on(const Slot&, const probe::SetPageblockFlags& event) {
    const auto index = index_of(event.pfn);
    if ((event.mask & 7U) == 0 || !index || !unreserving_[cpu_.raw()])
      return;
    if (map().pageblock(*index).type != Migratetype::HighAtomic)
      return;
    ++report_.taken_from_recording["high-atomic pageblocks given back"];
    ZoneState& zone = view().zone_of(*index);
    zone.nr_reserved_highatomic -= std::min<std::int64_t>(zone.nr_reserved_highatomic, kPageblockPages);
    Buddy buddy = view().buddy(zone, cpu_);
    const Migratetype type = base_.numbering().type(static_cast<unsigned>(event.flags & 7U));
    buddy.set_pageblock_type(*index, type);
    buddy.move_freepages_block(*index, type);
    unreserving_[cpu_.raw()] = false;
  }

  void on(const Slot&, const MmVmscanKswapdWake& event) { kswapd_.wake(event.node); }
  void on(const Slot&, const MmVmscanKswapdSleep& event) { kswapd_.sleep(event.node); }

  template <class Other>
  void on(const Slot&, const Other&) {}

  Image image_;
  const Snapshot& base_;
  TraceWindow& window_;
  ReplayReport& report_;
  Story story_;
  CpuId cpu_;
  std::unordered_map<std::uint64_t, Outcome> begun_;
  std::unordered_map<std::uint64_t, Slot> waiting_;  // causes whose first effect is still to come
  ZoneAddresses zone_addresses_;
  KswapdRuns kswapd_;
  std::unordered_map<std::size_t, std::pair<Pfn, Order>> isolating_;
  std::unordered_map<std::size_t, bool> unreserving_;
  std::unordered_map<std::size_t, std::vector<Pfn>> bulks_;  // by CPU: pages taken in bulk, not yet told to recorded_
  RecordedState recorded_;
  bool off_path_ = false;  // a divergence is to be repaired at the next quiet moment
};

}  // namespace

Expected<ReplayReport> replay_top(const std::string& trace, const std::string& log, const std::string& label,
                                  const TraceReplayOptions& options) {
  auto moments = Moments::open(log, label);
  if (!moments)
    return moments.error();
  const Snapshot& start = moments->start();
  ReplayReport report;
  auto image = recorded_image(start, options.generation, report.notes);
  if (!image)
    return image.error();
  auto reader = open_trace(trace, {.gfp = nullptr, .migratetypes = start.numbering()});
  if (!reader)
    return reader.error();

  report.strength = "top";
  report.source = trace;
  TraceWindow window{**reader};
  TopReplay replay{std::move(*image), start, window, report};
  WindowRecords records{window, [&, count = std::uint64_t{0}]() mutable {
                          if (options.progress && count++ % 65536 == 0)
                            options.progress((*reader)->progress());
                        }};
  const auto ended =
      follow([&] { return records.next(); }, *moments, [&](const TraceRecord&) { replay(window.current()); },
             [&](const Snapshot& recorded) { replay.compare_with(recorded); });
  if (!ended) {
    Error error = ended.error();
    if (error.file.empty())
      error.file = trace;
    return error;
  }
  replay.finish();
  return report;
}

}  // namespace mmbox::lab
