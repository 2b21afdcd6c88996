#include "mmbox/lab/replay/buddy.h"

#include <fmt/format.h>

#include <unordered_map>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/replay/moments.h"
#include "mmbox/lab/replay/redirect.h"
#include "mmbox/lab/replay/story.h"
#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {
namespace {

std::string hex(Pfn pfn) {
  return fmt::format("0x{:x}", pfn.raw());
}

/// The free lists of a machine, driven by what a trace says happened to them.
class BuddyReplay {
 public:
  BuddyReplay(Image image, const Snapshot& base, ReplayReport& report)
      : image_(std::move(image)), base_(base), report_(report) {
    // Per-cpu lists are not followed here: what was on them is simply in use.
    MachineView& view = this->view();
    for (const ZoneState& zone : view.zones)
      for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu) {
        PcpState& pageset = view.pageset(zone.id, CpuId{cpu});
        for (unsigned list = 0; list < view.pcp_shape.lists(); ++list)
          for (FrameIndex i = pageset.lists[list].head; i != kNil; i = map().links(i, PcpShape::order(list)).next)
            map().set_state(i, PcpShape::order(list), FrameState{});
        pageset.lists = {};
        pageset.count = 0;
      }
  }

  void operator()(const TraceRecord& record) {
    time_ = record.timestamp;
    cpu_ = record.cpu;
    std::visit([this](const auto& event) { on(event); }, record.event);
  }
  void compare_with(const Snapshot& recorded) {
    report_.snapshots.push_back(
        {recorded.label, compare(recorded, snapshot_of(image_.machine(), base_), CompareOptions::buddy())});
  }

 private:
  [[nodiscard]] MachineView& view() { return image_.machine().view(); }
  [[nodiscard]] const MemMap& map() { return view().env.map; }
  /// The index of a frame that belongs to a zone; nullopt for garbage in a trace.
  std::optional<FrameIndex> index_of(Pfn pfn, unsigned order = 0) {
    if (!map().contains(pfn) || !pfn.is_aligned(Order{order}))
      return std::nullopt;
    const FrameIndex index = map().index(pfn);
    if (map().pageblock(index).zone == kNoZone)
      return std::nullopt;
    return index;
  }
  Buddy buddy_of(FrameIndex index) { return view().buddy(view().zone_of(index), CpuId{0}); }

  void decide(bool equal, std::string what, std::string expected, std::string actual, unsigned order, Migratetype type,
              Pfn pfn) {
    ++report_.events;
    report_.decisions.count(equal);
    report_.by_order[order].count(equal);
    report_.by_type[migratetype_name(type)].count(equal);
    report_.by_cpu[cpu_.raw()].count(equal);
    if (equal)
      return;
    ++report_.divergence_kinds[what];
    if (report_.first_divergence)
      return;
    report_.first_divergence = Divergence{.where = fmt::format("event at time {}, cpu {}", time_, cpu_.raw()),
                                          .request = std::move(what),
                                          .expected = std::move(expected),
                                          .actual = std::move(actual),
                                          .context = {}};
    if (const auto index = index_of(pfn))
      report_.first_divergence->context = describe_zone(image_.machine(), view().zone_of(*index).id);
  }

  void on(const MmPageAllocZoneLocked& e) {
    const auto index = index_of(e.pfn, e.order.raw());
    if (!index) {
      decide(false, "a block outside of every zone was taken", hex(e.pfn), "nothing", e.order.raw(), e.migratetype,
             e.pfn);
      return;
    }
    Buddy buddy = buddy_of(*index);
    const auto taken = buddy.rmqueue_smallest(e.order.raw(), e.migratetype);
    const bool equal = taken && taken->index == *index;
    decide(equal, fmt::format("block of order {} taken from {}", e.order.raw(), migratetype_name(e.migratetype)),
           hex(e.pfn), taken ? hex(map().pfn(taken->index)) : "nothing", e.order.raw(), e.migratetype, e.pfn);
    if (taken)
      buddy.count_free(-(std::int64_t{1} << e.order.raw()), e.migratetype);
    if (equal)
      return;
    if (taken)
      buddy.free_one_page(taken->index, e.order.raw(), e.migratetype);
    if (take_recorded(image_.machine(), e.pfn, e.order, CpuId{0}))
      map().set_state(*index, e.order.raw(), FrameState{});
  }

  void on(const probe::FreeOne& e) {
    const auto index = index_of(e.pfn, e.order.raw());
    if (!index || buddy_of(*index).free_block_of(*index)) {
      decide(false, "a block was freed that is free already, or in no zone", hex(e.pfn), "free", e.order.raw(),
             e.migratetype, e.pfn);
      return;
    }
    Buddy buddy = buddy_of(*index);
    if (e.captured != Pfn{0}) {
      // Handed to direct compaction as it merged: its buddies leave the lists with it, up to the block captured.
      ++report_.taken_from_recording["blocks captured by direct compaction"];
      FrameIndex at = *index;
      unsigned order = e.order.raw();
      while (order < kMaxPageOrder && map().pfn(at) != e.captured) {
        const FrameIndex other = at ^ (FrameIndex{1} << order);
        if (!map().is_free_head(other, order))
          break;
        buddy.count_free(-(std::int64_t{1} << order), buddy.remove(other, order));
        at &= ~(FrameIndex{1} << order);
        ++order;
      }
      captured_[e.captured.raw()] = order;
      return;
    }
    ++report_.events;
    buddy.free_one_page(*index, e.order.raw(), e.migratetype,
                        (e.fpi & 2) != 0 ? Buddy::Place::Tail : Buddy::Place::Head);
  }

  /// A captured block is handed out: it may be larger than what the free had merged to when it was caught.
  void on(const MmPageAlloc& e) {
    const auto captured = captured_.find(e.pfn.raw());
    if (captured == captured_.end())
      return;
    for (unsigned order = captured->second; order < e.order.raw(); ++order) {
      const FrameIndex other = map().index(e.pfn) ^ (FrameIndex{1} << order);
      if (!map().is_free_head(other, order))
        break;
      Buddy buddy = buddy_of(other);
      buddy.count_free(-(std::int64_t{1} << order), buddy.remove(other, order));
    }
    captured_.erase(captured);
  }

  void on(const probe::Steal& e) {
    const auto index = index_of(e.page);
    if (!index || map().state(*index).kind() != FrameState::Kind::Buddy) {
      decide(false, "a block was stolen that is not free", hex(e.page), "not free", 0, e.start_type, e.page);
      return;
    }
    Buddy buddy = buddy_of(*index);
    const FrameState state = map().state(*index);
    const unsigned order = state.order();
    const FrameIndex head = buddy.zone().lists[order][raw(state.type())].head;
    decide(head == *index, fmt::format("block of order {} stolen for {}", order, migratetype_name(e.start_type)),
           hex(e.page), hex(map().pfn(head)), order, e.start_type, e.page);
    const bool single =
        buddy.pageblock_type(*index) == Migratetype::HighAtomic || order >= kPageblockOrder || !e.whole_block;
    if (single || buddy.move_freepages_block(*index, e.start_type).raw() == 0)
      buddy.move_to_tail(*index, order, e.start_type);
    else
      moved_by_steal_[cpu_.raw()] = e.page;
  }
  void on(const probe::MoveFreepagesBlock& e) {
    const auto moved = moved_by_steal_.find(cpu_.raw());
    if (moved != moved_by_steal_.end() && moved->second == e.page) {
      moved_by_steal_.erase(moved);
      return;
    }
    if (const auto index = index_of(e.page)) {
      ++report_.events;
      buddy_of(*index).move_freepages_block(*index, e.migratetype);
    }
  }
  void on(const probe::SetPageblockFlags& e) {
    if ((e.mask & 7U) == 0)
      return;
    set_type(e.pfn, static_cast<unsigned>(e.flags & 7U));
  }
  void on(const probe::SetPageblockMigratetype& e) { set_type(e.pfn, e.migratetype & 7U); }
  void set_type(Pfn pfn, unsigned number) {
    const auto index = index_of(pfn);
    if (!index || number >= base_.numbering().count())
      return;
    ++report_.events;
    map().pageblock(*index).type = base_.numbering().type(number);
  }
  void on(const probe::IsolateFree& e) { isolating_.insert_or_assign(cpu_.raw(), std::pair{e.page, e.order}); }
  void on(const probe::IsolateFreeRet& e) {
    const auto asked = isolating_.find(cpu_.raw());
    if (asked == isolating_.end())
      return;
    const auto [pfn, order] = asked->second;
    isolating_.erase(asked);
    if (e.got_pages == 0)
      return;
    ++report_.taken_from_recording["free blocks isolated by compaction"];
    const auto index = index_of(pfn, order.raw());
    const bool free = index && map().is_free_head(*index, order.raw());
    if (!free) {
      decide(false, "a block was isolated that is not free", hex(pfn), "not free", order.raw(), Migratetype::Movable,
             pfn);
      return;
    }
    Buddy buddy = buddy_of(*index);
    buddy.count_free(-(std::int64_t{1} << order.raw()), buddy.remove(*index, order.raw()));
  }
  void on(const probe::ListHead& e) {
    const auto index = index_of(e.pfn, e.order.raw());
    if (!index || !map().is_free_head(*index, e.order.raw())) {
      ++report_.taken_from_recording["list heads read too late to be followed"];
      return;
    }
    if (map().state(*index).type() == Migratetype::Movable && buddy_of(*index).rotate_to_head(*index, e.order.raw()))
      ++report_.taken_from_recording["movable lists rotated by compaction"];
  }
  template <class Other>
  void on(const Other&) {}

  Image image_;
  const Snapshot& base_;
  ReplayReport& report_;
  std::uint64_t time_ = 0;
  CpuId cpu_;
  std::unordered_map<std::size_t, Pfn> moved_by_steal_;
  std::unordered_map<std::size_t, std::pair<Pfn, Order>> isolating_;
  std::unordered_map<std::uint64_t, unsigned> captured_;
};

}  // namespace

Expected<ReplayReport> replay_buddy(const std::string& trace, const std::string& log, const std::string& label,
                                    const TraceReplayOptions& options) {
  auto moments = Moments::open(log, label);
  if (!moments)
    return moments.error();
  const Snapshot& start = moments->start();
  auto image = image_of(start, options.generation);
  if (!image)
    return image.error();
  auto reader = open_trace(trace, {.gfp = nullptr, .migratetypes = start.numbering()});
  if (!reader)
    return reader.error();

  ReplayReport report;
  report.strength = "buddy";
  report.source = trace;
  BuddyReplay replay{std::move(*image), start, report};
  bool started = false;
  TraceRecord record;
  for (std::uint64_t count = 0;; ++count) {
    auto more = (*reader)->next(record);
    if (!more)
      return more.error();
    if (!*more)
      break;
    if (options.progress && count % 65536 == 0)
      options.progress((*reader)->progress());
    if (const auto* marker = std::get_if<Marker>(&record.event)) {
      const auto name = Moments::label_of(*marker);
      if (!name)
        continue;
      if (!started) {
        started = *name == start.label;
        continue;
      }
      auto snapshot = moments->find(*name);
      if (!snapshot)
        return snapshot.error();
      if (*snapshot)
        replay.compare_with(**snapshot);
      continue;
    }
    if (started)
      replay(record);
  }
  if (!started)
    return Error{.file = trace,
                 .message = fmt::format("the trace never comes to the snapshot {}", start.label),
                 .remedy = "give the log that was recorded with this trace, and a label whose moment it contains"};
  return report;
}

}  // namespace mmbox::lab
