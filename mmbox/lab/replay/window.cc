#include "mmbox/lab/replay/window.h"

#include <type_traits>
#include <utility>

namespace mmbox::lab {
namespace {

template <class... Events>
bool holds(const TraceEvent& event) {
  return (std::holds_alternative<Events>(event) || ...);
}

}  // namespace

Expected<void> TraceWindow::fill() {
  while (size_ < kRecords) {
    Slot& next = slots_[(first_ + size_) % kRecords];
    static_cast<Marks&>(next) = {};
    auto more = reader_.next(next.record);
    if (!more)
      return std::move(more).error();
    if (!*more) {
      ended_ = true;
      break;
    }
    if (const auto* marker = std::get_if<Marker>(&next.record.event))
      marker_texts_.emplace_back(marker->text);
    enter(first_ + size_++);
  }
  return {};
}

void TraceWindow::enter(std::uint64_t sequence) {
  Slot& self = slots_[sequence % kRecords];
  const TraceEvent& event = self.record.event;
  Running& running = running_on(self.record.cpu);
  if (const std::uint64_t now = key(self.record); running.task == nullptr || running.key != now) {
    if (running.task != nullptr) {
      // What the task before did has taken effect: it held no lock when it lost the CPU. Only its request may go on.
      running.task->cause = Slot::kNone;
      running.task->last_free = Slot::kNone;
    }
    running = {now, &tasks_[now]};
  }
  Task& task = *running.task;

  // A free whose very next event on the CPU is the block's own insertion did not stop at a per-cpu list.
  if (const auto* entering = std::get_if<probe::FreeOne>(&event)) {
    if (Slot* freed = slot(task.last_free); freed != nullptr && task.last_free != Slot::kNone) {
      const auto* free = std::get_if<MmPageFree>(&freed->record.event);
      freed->straight = free != nullptr && free->pfn == entering->pfn && free->order == entering->order;
    }
  }
  task.last_free = Slot::kNone;

  const auto ends_request = [&] {
    task.request_begin = Slot::kNone;
    task.in_bulk = false;
  };
  const auto takes_effect = [&] {
    if (task.cause == Slot::kNone)
      return;
    if (Slot* cause = slot(task.cause)) {
      cause->takes_effect_later = true;
      self.cause = task.cause;
    }
    task.cause = Slot::kNone;
  };

  if (const auto* free = std::get_if<MmPageFree>(&event)) {
    self.kept = std::exchange(task.kept_by_compaction, kNoPfn) == free->pfn;
    if (self.kept)
      return;
    open_frees_[free->pfn] = sequence;
    task.last_free = sequence;
    task.cause = sequence;
    task.in_bulk = false;
  } else if (const auto* batched = std::get_if<MmPageFreeBatched>(&event)) {
    if (Slot* freed = slot(std::exchange(open_frees_[batched->pfn], Slot::kNone))) {
      const auto* first_pass = std::get_if<MmPageFree>(&freed->record.event);
      freed->batched = first_pass != nullptr && first_pass->pfn == batched->pfn;
      if (freed->batched)
        self.order = first_pass->order;
    }
    task.cause = sequence;
    task.in_bulk = false;
  } else if (holds<probe::DrainZone, probe::DrainZonePages>(event)) {
    task.cause = sequence;
  } else if (const auto* one = std::get_if<probe::FreeOne>(&event)) {
    takes_effect();
    if (one->captured != Pfn{0})
      captures_[one->captured.raw()] = sequence;
  } else if (std::holds_alternative<probe::BulkAlloc>(event)) {
    ends_request();
    task.in_bulk = true;
    task.slow = false;
    task.cause = sequence;
  } else if (const auto* kept = std::get_if<probe::CompactionFree>(&event)) {
    task.kept_by_compaction = kept->page;
  } else if (std::holds_alternative<probe::MoveBlockP>(event)) {
    task.moves_for_reserve = true;
  } else if (std::holds_alternative<probe::MoveBlock>(event) && task.moves_for_reserve) {
    task.moves_for_reserve = false;
  } else if (holds<MmPageAllocZoneLocked, probe::Steal, probe::MoveBlock, MmPageAllocExtfrag>(event)) {
    if (task.in_bulk)
      takes_effect();
    else if (task.request_begin == Slot::kNone)
      task.request_begin = sequence;
  } else if (const auto* wake = std::get_if<probe::WakeupKswapdCall>(&event)) {
    // A boosted zone wakes kswapd without a mask; the slow path does it with the request's.
    if (wake->gfp.raw() != 0)
      task.slow = true;
  } else if (const auto* alloc = std::get_if<MmPageAlloc>(&event)) {
    open_frees_[alloc->pfn] = Slot::kNone;
    self.slow = task.slow;
    const auto captured = captures_.empty() ? captures_.end() : captures_.find(alloc->pfn.raw());
    if (captured != captures_.end()) {
      self.captured = true;
      if (Slot* by = slot(captured->second)) {
        by->captured_order = alloc->order.raw();
        by->captured_for_request = true;
      }
      captures_.erase(captured);
    } else if (Slot* begin = slot(task.request_begin); begin != nullptr && task.request_begin != Slot::kNone) {
      begin->request = sequence;
      self.began_earlier = true;
    }
    task.slow = false;
    task.cause = Slot::kNone;
    ends_request();
  }

  // A run of kswapd ends unannounced: its last event before the next wake or sleep is taken for the end.
  if (holds<MmVmscanKswapdWake, MmVmscanKswapdSleep>(event)) {
    const auto last = kswapd_last_.find(self.record.pid);
    if (last != kswapd_last_.end())
      if (Slot* end = slot(last->second))
        end->reclaim_ends = true;
    if (std::holds_alternative<MmVmscanKswapdWake>(event))
      kswapd_last_[self.record.pid] = sequence;
    else
      kswapd_last_.erase(self.record.pid);
  } else if (!kswapd_last_.empty()) {
    if (const auto run = kswapd_last_.find(self.record.pid); run != kswapd_last_.end())
      run->second = sequence;
  }
}

const TraceRecord& WindowRecords::marker() {
  marker_ = window_.current().record;
  marker_.event = Marker{window_.marker_text()};
  return marker_;
}

}  // namespace mmbox::lab
