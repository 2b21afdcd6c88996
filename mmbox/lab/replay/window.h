// A stretch of a trace that can be looked ahead in: what a record means often shows only a little later.
//
// Four things are found out as records enter the window: which frees belong to a freed list and take effect only at
// their "batched" event; at which event a request began to change the free lists (it is reported at its end); when a
// free, a drain or a bulk request got the zone lock that it had to wait for (probes stand before the lock); and which
// block direct compaction captures. Memory is bounded by the window, not by the trace.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {

/// What later records said about one in the window.
struct Marks {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  std::uint64_t request = kNone;      ///< first internal event of a request: the sequence number of its MmPageAlloc
  std::uint64_t cause = kNone;        ///< first effect of an earlier free, drain or bulk request: that one's number
  unsigned captured_order = 0;        ///< FreeOne with a captured block: the order of the request that gets it
  Order order{0};                     ///< MmPageFreeBatched: of the block, which since 6.10 may be large
  bool batched = false;               ///< MmPageFree: goes to its per-cpu list at its MmPageFreeBatched
  bool kept = false;                  ///< MmPageFree: compaction keeps the block as a target, it is not freed
  bool takes_effect_later = false;    ///< a free, drain or bulk request that waits for its first effect
  bool began_earlier = false;         ///< MmPageAlloc: its request was run at an earlier slot
  bool slow = false;                  ///< MmPageAlloc: the request had left the fast path
  bool captured_for_request = false;  ///< FreeOne: direct compaction captured a block here, and a request got it
  bool captured = false;              ///< MmPageAlloc: the block was captured by direct compaction
  bool straight = false;              ///< MmPageFree of a per-cpu order: went past the per-cpu list
  bool reclaim_ends = false;          ///< the last sign of life of a kswapd run
};

/// A record in the window.
struct Slot : Marks {
  TraceRecord record;  ///< of a Marker, the text is TraceWindow::marker_text()
};

/// Numbers by pfn, Slot::kNone where there is none: an array made as far as it is used, since pfns of a machine lie
/// close together. Pfns above all of them share places.
class PfnMap {
 public:
  [[nodiscard]] std::uint64_t& operator[](Pfn pfn) {
    auto& chunk = chunks_[std::min<std::uint64_t>(pfn.raw() / kChunk, kChunks - 1)];
    if (chunk == nullptr) {
      chunk = std::make_unique<Chunk>();
      chunk->fill(Slot::kNone);
    }
    return (*chunk)[pfn.raw() % kChunk];
  }

 private:
  static constexpr std::uint64_t kChunk = 2048;
  static constexpr std::uint64_t kChunks = 1U << 17;  // 1 TiB
  using Chunk = std::array<std::uint64_t, kChunk>;
  std::vector<std::unique_ptr<Chunk>> chunks_{kChunks};
};

class TraceWindow {
 public:
  static constexpr std::size_t kRecords = 1U << 16;

  explicit TraceWindow(TraceReader& reader) : reader_(reader) {}

  /// Moves to the next record. False at the end of the trace.
  Expected<bool> advance() {
    if (begun_)
      leave();
    begun_ = true;
    if (size_ <= kRecords - kBatch && !ended_) [[unlikely]] {
      if (auto filled = fill(); !filled)
        return std::move(filled).error();
    }
    return size_ != 0;
  }
  [[nodiscard]] const Slot& current() const { return slots_[first_ % kRecords]; }
  /// The text of the current record, which is a Marker.
  [[nodiscard]] const std::string& marker_text() const { return marker_texts_.front(); }
  [[nodiscard]] std::uint64_t position() const { return first_; }
  /// A record at or after the current one, by sequence number; nullptr if it is not in the window.
  [[nodiscard]] const Slot* at(std::uint64_t sequence) const {
    return sequence - first_ < size_ ? &slots_[sequence % kRecords] : nullptr;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  /// A task on a CPU: another one may run between the events of its request.
  struct Task {
    std::uint64_t request_begin = Slot::kNone;  // first internal event since the last event that ends something
    bool slow = false;
    std::uint64_t cause = Slot::kNone;  // a free, drain or bulk request without an effect so far
    Pfn kept_by_compaction = kNoPfn;
    bool in_bulk = false;
    bool moves_for_reserve = false;         // the next MoveBlock is a reserve's or an isolation's
    std::uint64_t last_free = Slot::kNone;  // an MmPageFree that nothing has followed yet
  };
  static constexpr std::size_t kBatch = 1U << 10;  // records are read so many at a time
  Expected<void> fill();
  void enter(std::uint64_t sequence);
  void leave() {
    if (size_ != 0 && std::holds_alternative<Marker>(current().record.event)) [[unlikely]]
      marker_texts_.pop_front();
    ++first_;
    --size_;
  }
  Slot* slot(std::uint64_t sequence) { return sequence - first_ < size_ ? &slots_[sequence % kRecords] : nullptr; }

  TraceReader& reader_;
  std::vector<Slot> slots_{kRecords};     // a ring: each at its sequence number
  std::deque<std::string> marker_texts_;  // of the markers in the window, in their order
  std::uint64_t first_ = 0;
  std::uint64_t size_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  [[nodiscard]] static std::uint64_t key(const TraceRecord& record) {
    return record.cpu.raw() << 32 | static_cast<std::uint32_t>(record.pid);
  }
  std::unordered_map<std::uint64_t, Task> tasks_;  // by CPU and pid
  /// The task that told something last on a CPU.
  struct Running {
    std::uint64_t key = 0;
    Task* task = nullptr;  // of tasks_, whose elements stay where they are
  };
  Running& running_on(CpuId cpu) {
    if (cpu.raw() >= running_.size())
      running_.resize(cpu.raw() + 1);
    return running_[cpu.raw()];
  }
  std::vector<Running> running_;                                 // by CPU
  PfnMap open_frees_;                                            // pfn -> sequence of its MmPageFree
  std::unordered_map<std::uint64_t, std::uint64_t> captures_;    // pfn -> sequence of its FreeOne
  std::unordered_map<std::int32_t, std::uint64_t> kswapd_last_;  // pid -> its last record in a run
};

/// The records of a window one after the other, for follow(): a marker with its text, which the window keeps aside.
class WindowRecords {
 public:
  /// `tick` is called before the first record, and before each `every`th from there.
  WindowRecords(TraceWindow& window, std::uint64_t every, std::function<void()> tick)
      : window_(window), every_(every), tick_(std::move(tick)) {}
  /// nullptr at the end of the trace.
  Expected<const TraceRecord*> next() {
    if (until_tick_-- == 0) [[unlikely]] {
      until_tick_ = every_ - 1;
      tick_();
    }
    auto more = window_.advance();
    if (!more) [[unlikely]]
      return std::move(more).error();
    if (!*more)
      return nullptr;
    const TraceRecord& record = window_.current().record;
    return std::holds_alternative<Marker>(record.event) ? &marker() : &record;
  }

 private:
  const TraceRecord& marker();

  TraceWindow& window_;
  std::uint64_t every_;
  std::uint64_t until_tick_ = 0;
  std::function<void()> tick_;
  TraceRecord marker_;
};

}  // namespace mmbox::lab
