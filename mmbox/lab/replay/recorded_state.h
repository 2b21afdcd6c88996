// The recorded kernel's lists, followed event by event: what the trace says left, entered and moved.
//
// Used in two ways: the buddy-level replay checks each step against the rules; the replay of requests keeps it beside
// the engine, to put the engine back on the recorded path after a divergence.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/trace/record.h"

namespace mmbox::lab {

/// One step of the recorded kernel that the rules decide as well.
struct RecordedDecision {
  bool equal;
  std::string what;           ///< if not equal
  Pfn expected;               ///< the kernel's choice
  std::optional<Pfn> actual;  ///< what the rules choose; nullopt: nothing
  Order order;
  Migratetype type;
  std::uint64_t time;
  CpuId cpu;
};

/// How a kernel's events are to be read.
struct RecordedKernel {
  MigratetypeNumbering numbering{false};  ///< for the probes that give a type as a number
  /// 6.12 on: a block of another type is taken with no event but the extfrag event.
  bool takes_by_extfrag = false;
  /// 5.10: zone_locked gives the request's type for a block of the high-atomic reserve.
  bool hides_reserve = false;
  [[nodiscard]] static RecordedKernel of(const Snapshot& snapshot);
};

class RecordedState {
 public:
  /// Whether per-cpu lists are followed too. Without, what is on them counts as in use.
  enum class PcpLists : bool { Ignored, Followed };
  using OnDecision = std::function<void(const RecordedDecision&)>;

  RecordedState(Image image, RecordedKernel kernel, PcpLists pcp, OnDecision on_decision);

  void apply(const TraceRecord& record);
  /// A free of `pfn` puts it on the CPU's list. Called where a free takes effect; which one that is, the trace alone
  /// does not say (see TraceWindow).
  void put_on_pcp(Pfn pfn, Order order, CpuId cpu);
  /// Pages that a bulk request took from a per-cpu list: no event tells them.
  void take_bulk(const std::vector<Pfn>& pages);
  /// True while some CPU is in the middle of a refill, a spill or a steal.
  [[nodiscard]] bool in_operation() const;
  [[nodiscard]] bool in_operation(CpuId cpu) const { return cpus_[cpu.raw()].busy; }
  /// Sets the lists of `engine` (of the same shape) to the recorded ones; its counters follow the pages.
  void copy_lists_to(Machine& engine) const;

  [[nodiscard]] Image& image() { return image_; }
  /// Steps taken over because they hang on compaction, by kind.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& taken_from_recording() const { return taken_; }
  /// Events that changed the lists.
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  [[nodiscard]] MachineView& view() { return image_.machine().view(); }
  [[nodiscard]] const MemMap& map() { return view().env.map; }
  [[nodiscard]] std::optional<FrameIndex> index_of(Pfn pfn, unsigned order = 0);
  [[nodiscard]] Buddy buddy_of(FrameIndex index) { return view().buddy(view().zone_of(index), CpuId{0}); }
  void decide(bool equal, std::string what, Pfn expected, std::optional<Pfn> actual, Order order, Migratetype type);
  void set_type(Pfn pfn, unsigned number);
  void unlink_if_on_pcp(FrameIndex index);
  void set_allocated(FrameIndex index, unsigned order);
  /// A block that is one now was several before: none of them may stay on a per-cpu list.
  void clear_inside(FrameIndex index, unsigned order);
  /// A block has left the free lists: it goes to the end of a per-cpu list if its order and type have one. A request
  /// that takes it straight from there is told by its own event.
  void refill(FrameIndex index, Order order, Migratetype type);
  /// The head of the smallest list of a type that holds `order`.
  [[nodiscard]] std::optional<Pfn> smallest(const Buddy& buddy, Order order, Migratetype type);

  void on(const MmPageAllocZoneLocked& e);
  void on(const MmPageAlloc& e);
  void on(const probe::FreeOne& e);
  void on(const MmPageAllocExtfrag& e);
  void on(const probe::Steal& e);
  void on(const probe::MoveFreepagesBlock& e);
  void on(const probe::MoveBlock& e);
  void on(const probe::UnreserveHighatomic&) { cpus_[cpu_.raw()].unreserving = true; }
  void on(const probe::SetPageblockFlags& e);
  void on(const probe::SetPageblockMigratetype& e) { set_type(e.pfn, e.migratetype & 7U); }
  void on(const probe::IsolateFree& e);
  void on(const probe::IsolateFreeRet& e);
  void on(const probe::ListHead& e);
  template <class Other>
  void on(const Other&) {}

  struct Cpu {
    std::optional<Pfn> moved_by_steal;
    std::optional<std::pair<Pfn, Order>> isolating;
    std::optional<Pfn> last_locked;  // by the last zone_locked event: an extfrag event that follows is about it
    bool unreserving = false;
    bool busy = false;  // the last event is one that others of the same operation follow
  };

  Image image_;
  RecordedKernel kernel_;
  PcpLists pcp_;
  OnDecision on_decision_;
  std::map<std::string, std::uint64_t> taken_;
  std::uint64_t events_ = 0;
  std::uint64_t time_ = 0;
  CpuId cpu_;
  std::vector<Cpu> cpus_;
  std::unordered_map<std::uint64_t, unsigned> captured_;  // pfn -> order it had when it was caught
};

}  // namespace mmbox::lab
