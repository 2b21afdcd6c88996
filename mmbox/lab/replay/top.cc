#include "mmbox/lab/replay/top.h"

#include <fmt/format.h>

#include <map>
#include <unordered_map>
#include <unordered_set>

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
        stat_worker_(image_.machine().view()),
        kswapd_(image_.machine().view()),
        takes_by_extfrag_(RecordedKernel::of(base).takes_by_extfrag),
        releases_ranges_(view().env.rules->generation.free.ranges != RangeFree::PageByPage),
        recorded_(image_.copy(), RecordedKernel::of(base), RecordedState::PcpLists::Followed,
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
    if (!bulks_.empty() && !recorded_.in_operation(cpu_)) {
      if (const auto bulk = bulks_.extract(cpu_.raw()); !bulk.empty())
        recorded_.take_bulk(bulk.mapped());
    }
    if (off_path_ && waiting_.empty() && !recorded_.in_operation()) {
      recorded_.copy_lists_to(machine());
      // What a request got whose event is still to come lies on the recorded lists.
      for (const auto& [sequence, outcome] : begun_)
        if (const Slot* request = window_.at(sequence); request != nullptr && outcome.pfn)
          static_cast<void>(
              ensure_allocated(machine(), *outcome.pfn, std::get<MmPageAlloc>(request->record.event).order, cpu_));
      off_path_ = false;
    }
  }

  [[nodiscard]] Image& image() { return image_; }

  void compare_with(const Snapshot& recorded) {
    report_.snapshots.push_back(
        {recorded.label, compare(recorded, snapshot_of(machine(), base_), CompareOptions::buddy())});
  }

  /// Completes the report.
  void finish() {
    if (kswapd_.boosts_ended() != 0)
      report_.taken_from_recording["watermark boosts ended by kswapd"] = kswapd_.boosts_ended();
  }

  /// The steal or claim for which a pageblock is weighed is in the window: the trace says whether it was claimed.
  PageCount movable_pages(Pfn begin, Pfn end) override {
    ++report_.taken_from_recording["pageblocks weighed in steals"];
    const Pfn block = begin.align_down(Order{kPageblockOrder});
    const std::optional<Weighed> weighed = takes_by_extfrag_ ? weighed_claim(block) : weighed_steal(block);
    if (!weighed)
      return image_.contents()->movable_pages(begin, end);
    // Alike pages are the movable ones for a Movable request, and the others for a request of another type.
    if (weighed->claimed != (weighed->type == Migratetype::Movable))
      return PageCount{0};
    return PageCount{weighed->type == Migratetype::Movable ? kPageblockPages : kPageblockPages - free_pages_of(block)};
  }

 private:
  /// For which type a pageblock was weighed, and what came of it.
  struct Weighed {
    Migratetype type = Migratetype::Movable;
    bool claimed = false;
  };
  std::optional<Weighed> weighed_steal(Pfn block) {
    std::optional<Weighed> weighed;
    for (std::uint64_t i = window_.position(); const Slot* slot = window_.at(i); ++i) {
      if (slot->record.cpu != cpu_)
        continue;
      const TraceEvent& event = slot->record.event;
      if (const auto* steal = std::get_if<probe::Steal>(&event)) {
        if (weighed)
          break;
        if (steal->page.align_down(Order{kPageblockOrder}) == block)
          weighed = Weighed{steal->start_type};
      } else if (const auto* flags = std::get_if<probe::SetPageblockFlags>(&event); flags != nullptr && weighed) {
        weighed->claimed =
            weighed->claimed || ((flags->mask & 7U) != 0 && flags->pfn.align_down(Order{kPageblockOrder}) == block);
      } else if (std::holds_alternative<MmPageAllocExtfrag>(event) && weighed) {
        break;
      }
    }
    return weighed;
  }
  /// A claim moves the pageblock's blocks before anything else; one that comes to nothing leaves no event.
  std::optional<Weighed> weighed_claim(Pfn block) {
    if (!asking_)
      return std::nullopt;
    bool reserves = false;
    for (std::uint64_t i = window_.position(); const Slot* slot = window_.at(i); ++i) {
      if (slot->record.cpu != cpu_)
        continue;
      const TraceEvent& event = slot->record.event;
      if (std::holds_alternative<probe::MoveBlockP>(event)) {
        reserves = true;
      } else if (const auto* move = std::get_if<probe::MoveBlock>(&event)) {
        if (!reserves && move->start.align_down(Order{kPageblockOrder}) == block && move->new_type == *asking_)
          return Weighed{*asking_, true};
        reserves = false;
      } else if (std::holds_alternative<MmPageAlloc>(event)) {
        break;
      }
    }
    return Weighed{*asking_, false};
  }

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
    story_.clear();
    // Most requests have nothing to tell.
    const std::optional<NodeId> node = node_asked_for(machine(), event, cpu_);
    if (node)
      ++report_.taken_from_recording["nodes that requests asked for"];
    const FrameIndex at_once =
        slow || node ? kNil : take_at_once<NoSync>(view(), event.gfp.without(gfp::kHardwall), event.order.raw(), cpu_);
    if (at_once != kNil)
      return {map().pfn(at_once), {}};
    if (!report_.first_divergence)
      machine().attach(&story_);
    Outcome outcome;
    asking_ = event.migratetype;
    outcome.pfn = attempt(machine(), event, cpu_, slow, {}, node);
    asking_.reset();
    machine().attach(nullptr);
    return outcome;
  }

  void begin_request(std::uint64_t sequence) {
    const Slot* slot = window_.at(sequence);
    if (slot == nullptr)
      return;
    const auto& event = std::get<MmPageAlloc>(slot->record.event);
    if (!slot->slow)
      empty_list(event, slot->record.pid);
    begin(sequence, event, slot->slow);
  }

  /// Runs a request whose event is still to come.
  void begin(std::uint64_t sequence, const MmPageAlloc& event, bool slow) {
    Outcome outcome = allocate(event, slow);
    if (!report_.first_divergence)
      outcome.steps = story_;
    begun_.insert_or_assign(sequence, std::move(outcome));
  }

  /// What the order of events leaves open. The event of a request comes after it got its page, that of a free before
  /// the page reaches its list; a task that is interrupted or loses its CPU in between leaves room for others. It shows
  /// when the recorded page lies on the right per-cpu list, but not on top.
  ///
  /// The pages above it are those of requests that are told later, if each was taken by a task that tells nothing else
  /// of its own first: these requests are run now. Otherwise the page itself was taken earlier or came later: it is
  /// lifted. True if that was so.
  bool reorder(const MmPageAlloc& event, std::int32_t pid) {
    constexpr std::size_t kMaxAbove = 256;
    const auto index = index_of(event.pfn);
    if (!index || event.migratetype > Migratetype::Reclaimable || !view().pcp_shape.allows(event.order.raw()) ||
        map().state(*index).kind() != FrameState::Kind::Pcp)
      return false;
    const unsigned order = event.order.raw();
    PcpState& pageset = view().pageset(view().zone_of(*index).id, cpu_);
    PcpList& list = pageset.lists[view().pcp_shape.index(order, event.migratetype)];
    std::vector<FrameIndex> above;
    FrameIndex at = list.head;
    for (; at != *index && at != kNil && above.size() < kMaxAbove; at = map().links(at, order).next)
      above.push_back(at);
    if (at != *index || above.empty())
      return false;
    std::vector<std::uint64_t> told_later;
    for (const FrameIndex page : above)
      if (const auto later = told_later_by_another(map().pfn(page), event.order, pid))
        told_later.push_back(*later);
      else
        break;
    if (told_later.size() == above.size()) {
      run_now(told_later);
      return false;
    }
    ++report_.taken_from_recording["per-cpu pages taken earlier or freed later than their event"];
    const FrameIndex before = map().links(*index, order).prev;
    const FrameIndex next = map().links(*index, order).next;
    map().links(before, order).next = next;
    (next == kNil ? list.tail : map().links(next, order).prev) = before;
    map().links(list.head, order).prev = *index;
    map().links(*index, order) = {list.head, kNil};
    list.head = *index;
    return true;
  }
  /// A request that refills a per-cpu list found it empty: what lies there in the engine belongs to requests that are
  /// told later, if all of it does.
  void empty_list(const MmPageAlloc& event, std::int32_t pid) {
    const auto index = index_of(event.pfn);
    const auto* taken = std::get_if<MmPageAllocZoneLocked>(&window_.current().record.event);
    const bool refills = taken == nullptr || taken->percpu_refill;
    if (!index || !refills || event.migratetype > Migratetype::Reclaimable ||
        !view().pcp_shape.allows(event.order.raw()) || map().state(*index).kind() == FrameState::Kind::Pcp)
      return;
    const unsigned order = event.order.raw();
    const PcpState& pageset = view().pageset(view().zone_of(*index).id, cpu_);
    const PcpList& list = pageset.lists[view().pcp_shape.index(order, event.migratetype)];
    std::vector<std::uint64_t> told_later;
    for (FrameIndex at = list.head; at != kNil; at = map().links(at, order).next) {
      const auto later = told_later_by_another(map().pfn(at), event.order, pid);
      if (!later)
        return;
      told_later.push_back(*later);
    }
    run_now(told_later);
  }
  void run_now(const std::vector<std::uint64_t>& requests) {
    for (const std::uint64_t sequence : requests) {
      ++report_.taken_from_recording["requests that got their page before the event of another, told later"];
      open_.insert(sequence);
      const Slot* slot = window_.at(sequence);
      begin(sequence, std::get<MmPageAlloc>(slot->record.event), slot->slow);
    }
  }
  /// The request that gets a page next, if a task other than `pid` makes it, and has made none since.
  std::optional<std::uint64_t> told_later_by_another(Pfn pfn, Order order, std::int32_t pid) {
    constexpr std::uint64_t kLookAhead = 8192;
    std::unordered_map<std::int32_t, bool> has_asked;
    for (std::uint64_t i = window_.position() + 1; i < window_.position() + kLookAhead; ++i) {
      const Slot* slot = window_.at(i);
      if (slot == nullptr)
        return std::nullopt;
      if (slot->record.cpu != cpu_)
        continue;
      const auto* alloc = std::get_if<MmPageAlloc>(&slot->record.event);
      if (alloc == nullptr)
        continue;
      if (alloc->pfn == pfn && alloc->order == order && slot->record.pid != pid && !has_asked[slot->record.pid] &&
          !begun_.contains(i))
        return i;
      if (alloc->pfn == pfn)
        return std::nullopt;
      has_asked[slot->record.pid] = true;
    }
    return std::nullopt;
  }

  void on(const Slot& slot, const MmPageAlloc& event) {
    ++report_.events;
    auto begun = begun_.extract(window_.position());
    if (slot.captured) {
      if (!begun.empty() && begun.mapped().pfn)
        give_back(machine(), *begun.mapped().pfn, event.order, cpu_);
      ++report_.taken_from_recording["blocks captured by direct compaction"];
      if (!ensure_allocated(machine(), event.pfn, event.order, cpu_))
        ++report_.divergence_kinds["captured block is not free in the engine"];
      return;
    }
    Outcome outcome;
    if (!begun.empty()) {
      outcome = std::move(begun.mapped());
    } else if (!slot.began_earlier) {
      if (reorder(event, slot.record.pid))
        open_.insert(window_.position());
      outcome = allocate(event, slot.slow);
    }
    const std::optional<Pfn> recorded = event.pfn == kNoPfn ? std::nullopt : std::optional{event.pfn};
    const bool equal = outcome.pfn == recorded;
    if (open_.erase(window_.position()) == 0 || !equal)
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
      if (outcome.pfn && report_.first_divergence->context.empty())
        report_.first_divergence->context.emplace_back(
            "the first block of a per-cpu list; the zone is above its marks");
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
    if (slot.kept || in_range_.erase(window_.position()) != 0)
      return;
    if (!slot.batched && !(releases_ranges_ && event.order == Order{0} && free_range(slot, event.pfn)))
      free_block(event.pfn, event.order, slot.straight);
  }
  /// Pages that a task freed one after the other, ascending, may have been one range, which 7.2 releases in the largest
  /// blocks that fit: it shows when a block of them is next heard of. False if they were single pages.
  bool free_range(const Slot& slot, Pfn first) {
    std::vector<std::uint64_t> later;
    for (std::uint64_t i = window_.position() + 1; const Slot* next = window_.at(i); ++i) {
      if (next->record.cpu != cpu_)
        continue;
      const auto* free = std::get_if<MmPageFree>(&next->record.event);
      if (free == nullptr || next->record.pid != slot.record.pid || next->batched || free->order != Order{0} ||
          free->pfn != first + PageCount{later.size() + 1})
        break;
      later.push_back(i);
    }
    const PfnRange range{first, first + PageCount{later.size() + 1}};
    if (later.empty() || !heard_of_as_block(range, later.back()))
      return false;
    ++report_.taken_from_recording["ranges of pages released in blocks"];
    in_range_.insert(later.begin(), later.end());
    for (Pfn pfn = range.begin; pfn < range.end; pfn = pfn + PageCount{1}) {
      ++report_.events;
      if (!index_of(pfn) || (!machine().frame_state(pfn).is_allocated_as(0) && !settle(pfn, Order{0})))
        return true;
    }
    for (Pfn pfn = range.begin; pfn < range.end;) {
      unsigned order = kMaxPageOrder;
      while (!pfn.is_aligned(Order{order}) || pfn + PageCount::in(Order{order}) > range.end)
        --order;
      recorded_.put_on_pcp(pfn, Order{order}, cpu_);
      pfn = pfn + PageCount::in(Order{order});
    }
    machine().free_range(range, cpu_);
    return true;
  }
  /// Whether a block of more than one page is the first that is heard of these pages after `sequence`.
  bool heard_of_as_block(PfnRange range, std::uint64_t sequence) {
    const auto block_in_range = [&](Pfn pfn, Order order) -> std::optional<bool> {
      if (pfn < range.begin || pfn >= range.end)
        return std::nullopt;
      return order > Order{0};
    };
    for (std::uint64_t i = sequence + 1; const Slot* slot = window_.at(i); ++i) {
      std::optional<bool> heard;
      if (const auto* alloc = std::get_if<MmPageAlloc>(&slot->record.event))
        heard = block_in_range(alloc->pfn, alloc->order);
      else if (const auto* one = std::get_if<probe::FreeOne>(&slot->record.event))
        heard = block_in_range(one->pfn, one->order);
      if (heard)
        return *heard;
    }
    return false;
  }
  void on(const Slot& slot, const MmPageFreeBatched& event) { free_block(event.pfn, slot.order, false); }
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
    asking_ = gfp_migratetype(event.gfp);
    const std::size_t got = take_bulk<NoSync>(view(), request, pages);
    asking_.reset();
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
  void on(const Slot&, const probe::DrainPages& event) {
    if (event.cpu >= view().cpu_nodes.size())
      return;
    ++report_.taken_from_recording["drains of per-cpu lists"];
    machine().drain(CpuId{event.cpu});
  }
  void on(const Slot&, const probe::DecayPcp&) {
    if (!stat_worker_.begins(cpu_))
      return;
    ++report_.taken_from_recording["folds of per-cpu counters, told by the decay of per-cpu lists"];
    machine().fold(cpu_, FoldBy::StatWorker);
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
    if ((event.mask & 7U) != 0)
      unreserve(event.pfn, static_cast<unsigned>(event.flags & 7U));
  }
  void on(const Slot&, const probe::SetPageblockMigratetype& event) { unreserve(event.pfn, event.migratetype & 7U); }
  void unreserve(Pfn pfn, unsigned number) {
    const auto index = index_of(pfn);
    if (!index || !unreserving_[cpu_.raw()] || map().pageblock(*index).type != Migratetype::HighAtomic ||
        number >= base_.numbering().count())
      return;
    ++report_.taken_from_recording["high-atomic pageblocks given back"];
    ZoneState& zone = view().zone_of(*index);
    zone.nr_reserved_highatomic -= std::min<std::int64_t>(zone.nr_reserved_highatomic, kPageblockPages);
    Buddy buddy = view().buddy(zone, cpu_);
    const Migratetype type = base_.numbering().type(number);
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
  std::unordered_set<std::uint64_t> open_;           // requests whose place in the order was taken from the recording
  std::unordered_map<std::uint64_t, Slot> waiting_;  // causes whose first effect is still to come
  ZoneAddresses zone_addresses_;
  StatWorker stat_worker_;
  KswapdRuns kswapd_;
  bool takes_by_extfrag_;
  bool releases_ranges_;
  std::unordered_set<std::uint64_t> in_range_;  // frees of a range that has been released
  std::optional<Migratetype> asking_;           // the type of the request that is being run
  std::unordered_map<std::size_t, std::pair<Pfn, Order>> isolating_;
  std::unordered_map<std::size_t, bool> unreserving_;
  std::unordered_map<std::size_t, std::vector<Pfn>> bulks_;  // by CPU: pages taken in bulk, not yet told to recorded_
  RecordedState recorded_;
  bool off_path_ = false;  // a divergence is to be repaired at the next quiet moment
};

}  // namespace

Expected<ReplayReport> replay_top(const std::string& trace, const std::string& log, const std::string& label,
                                  const TraceReplayOptions& options) {
  ReplayReport report;
  auto recording = Recording::open(trace, log, label, options.generation, report.notes);
  if (!recording)
    return std::move(recording).error();
  const Snapshot& start = recording->start();

  report.strength = "top";
  report.source = trace;
  TraceWindow window{*recording->reader};
  TopReplay replay{std::move(recording->image), start, window, report};
  WindowRecords records{window, 65536, [&] {
                          if (options.progress)
                            options.progress(recording->reader->progress());
                        }};
  const auto tell_moment = [&](const Snapshot* snapshot) {
    if (options.at_moment)
      options.at_moment(snapshot, replay.image());
  };
  tell_moment(&start);
  const auto ended = follow([&] { return records.next(); }, *recording,
                            [&](const TraceRecord& record) {
                              if (options.observer)
                                options.observer(record, replay.image());
                              replay(window.current());
                            },
                            [&](const Snapshot& recorded) {
                              replay.compare_with(recorded);
                              tell_moment(&recorded);
                            });
  if (!ended)
    return ended.error();
  tell_moment(nullptr);
  replay.finish();
  return report;
}

}  // namespace mmbox::lab
