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

Expected<bool> TraceWindow::advance() {
  if (begun_) {
    ++first_;
    --size_;
  }
  begun_ = true;
  while (!ended_ && size_ < kRecords) {
    auto more = fill();
    if (!more)
      return more.error();
  }
  return size_ != 0;
}

Expected<bool> TraceWindow::fill() {
  Slot& next = slots_[(first_ + size_) % kRecords];
  static_cast<Marks&>(next) = {};
  auto more = reader_.next(next.record);
  if (!more)
    return more.error();
  if (!*more) {
    ended_ = true;
    return false;
  }
  if (const auto* marker = std::get_if<Marker>(&next.record.event))
    next.text = marker->text;
  enter(first_ + size_++);
  return true;
}

void TraceWindow::enter(std::uint64_t sequence) {
  Slot& self = slots_[sequence % kRecords];
  const TraceEvent& event = self.record.event;
  Cpu& cpu = cpu_of(self);

  // A free whose very next event on the CPU is the block's own insertion did not stop at a per-cpu list.
  if (const auto* entering = std::get_if<probe::FreeOne>(&event)) {
    if (Slot* freed = slot(cpu.last_free); freed != nullptr && cpu.last_free != Slot::kNone) {
      const auto* free = std::get_if<MmPageFree>(&freed->record.event);
      freed->straight = free != nullptr && free->pfn == entering->pfn && free->order == entering->order;
    }
  }
  cpu.last_free = Slot::kNone;

  const auto ends_request = [&] {
    cpu.request_begin = Slot::kNone;
    cpu.in_bulk = false;
  };
  const auto takes_effect = [&] {
    if (cpu.cause == Slot::kNone)
      return;
    if (Slot* cause = slot(cpu.cause)) {
      cause->takes_effect_later = true;
      self.cause = cpu.cause;
    }
    cpu.cause = Slot::kNone;
  };

  if (const auto* free = std::get_if<MmPageFree>(&event)) {
    if (free->order == Order{0})
      open_frees_[free->pfn] = sequence;
    cpu.last_free = sequence;
    cpu.cause = sequence;
    ends_request();
  } else if (const auto* batched = std::get_if<MmPageFreeBatched>(&event)) {
    if (Slot* freed = slot(std::exchange(open_frees_[batched->pfn], Slot::kNone))) {
      const auto* first_pass = std::get_if<MmPageFree>(&freed->record.event);
      freed->batched = first_pass != nullptr && first_pass->pfn == batched->pfn;
    }
    cpu.cause = sequence;
    ends_request();
  } else if (holds<probe::DrainZone, probe::DrainZonePages>(event)) {
    cpu.cause = sequence;
  } else if (const auto* one = std::get_if<probe::FreeOne>(&event)) {
    takes_effect();
    if (one->captured != Pfn{0})
      captures_[one->captured.raw()] = sequence;
  } else if (std::holds_alternative<probe::BulkAlloc>(event)) {
    ends_request();
    cpu.in_bulk = true;
    cpu.slow = false;
    cpu.cause = sequence;
  } else if (holds<MmPageAllocZoneLocked, probe::Steal>(event)) {
    if (cpu.in_bulk)
      takes_effect();
    else if (cpu.request_begin == Slot::kNone)
      cpu.request_begin = sequence;
  } else if (const auto* wake = std::get_if<probe::WakeupKswapdCall>(&event)) {
    // A boosted zone wakes kswapd without a mask; the slow path does it with the request's.
    if (wake->gfp.raw() != 0)
      cpu.slow = true;
  } else if (const auto* alloc = std::get_if<MmPageAlloc>(&event)) {
    open_frees_[alloc->pfn] = Slot::kNone;
    self.slow = cpu.slow;
    const auto captured = captures_.empty() ? captures_.end() : captures_.find(alloc->pfn.raw());
    if (captured != captures_.end()) {
      self.captured = true;
      if (Slot* by = slot(captured->second)) {
        by->captured_order = alloc->order.raw();
        by->captured_for_request = true;
      }
      captures_.erase(captured);
    } else if (Slot* begin = slot(cpu.request_begin); begin != nullptr && cpu.request_begin != Slot::kNone) {
      begin->request = sequence;
      self.began_earlier = true;
    }
    cpu.slow = false;
    cpu.cause = Slot::kNone;
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

Expected<const TraceRecord*> WindowRecords::next() {
  tick_();
  auto more = window_.advance();
  if (!more)
    return more.error();
  if (!*more)
    return nullptr;
  const Slot& slot = window_.current();
  if (!std::holds_alternative<Marker>(slot.record.event))
    return &slot.record;
  marker_ = slot.record;
  marker_.event = Marker{slot.text};
  return &marker_;
}

}  // namespace mmbox::lab
