// The steps of one request, told: each function entered, each check with its numbers, the block that was taken.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "mmbox/lab/trace/record.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Keeps the events of one request (or free), to be told as lines of text, indented by depth, if anybody asks.
///
/// What compaction and reclaim do with single pages is not told, only what came of it.
class Story final : public EventSink {
 public:
  explicit Story(const Machine& machine) : machine_(&machine) {}
  void clear() {
    events_.clear();
    depth_ = 0;
  }
  /// Steps that core has no event for: of reclaim, kswapd and the OOM killer. Others are passed over.
  void tell(const TraceEvent& event);
  /// The machine is named as it is now: zones, not their numbers, which the events hold.
  [[nodiscard]] std::vector<std::string> lines() const;

  void on(const MmPageAlloc& e) override { keep(e); }
  void on(const MmPageFree& e) override { keep(e); }
  void on(const MmPageFreeBatched& e) override { keep(e); }
  void on(const MmPageAllocZoneLocked& e) override { keep(e); }
  void on(const MmPagePcpuDrain& e) override { keep(e); }
  void on(const MmPageAllocExtfrag& e) override { keep(e); }
  void on(const MmVmscanWakeupKswapd& e) override { keep(e); }
  void on(const FreeOnePage& e) override { keep(e); }
  void on(const StealFallback& e) override { keep(e); }
  void on(const StealWeighed& e) override { keep(e); }
  void on(const MoveFreepagesBlock& e) override { keep(e); }
  void on(const SetPageblockType& e) override { keep(e); }
  void on(const RmqueueBulk& e) override { keep(e); }
  void on(const FreePcppagesBulk& e) override { keep(e); }
  void on(const ZoneChecked& e) override { keep(e); }
  void on(const AttemptBegins& e) override { keep(e); }
  void on(const HighAtomicReserve& e) override { keep(e); }
  void on(const WatermarkBoost& e) override { keep(e); }
  void on(const MmCompactionTryToCompactPages& e) override { keep(e); }
  void on(const MmCompactionSuitable& e) override { keep(e); }
  void on(const MmCompactionDeferred& e) override { keep(e); }
  void on(const MmCompactionDeferCompaction& e) override { keep(e); }
  void on(const MmCompactionWakeupKcompactd& e) override { events_.emplace_back(e); }
  void on(const MmCompactionBegin& e) override { begin(e); }
  void on(const MmCompactionEnd& e) override { end(e); }
  void on(const MmCompactionMigratepages& e) override;

 private:
  using Event = std::variant<MmPageAlloc, MmPageFree, MmPageFreeBatched, MmPageAllocZoneLocked, MmPagePcpuDrain,
                             MmPageAllocExtfrag, MmVmscanWakeupKswapd, FreeOnePage, StealFallback, StealWeighed,
                             MoveFreepagesBlock, SetPageblockType, RmqueueBulk, FreePcppagesBulk, ZoneChecked,
                             AttemptBegins, HighAtomicReserve, WatermarkBoost, MmCompactionTryToCompactPages,
                             MmCompactionSuitable, MmCompactionDeferred, MmCompactionDeferCompaction,
                             MmCompactionWakeupKcompactd, MmCompactionBegin, MmCompactionEnd, MmCompactionMigratepages,
                             MmVmscanDirectReclaimBegin, MmVmscanDirectReclaimEnd, MmVmscanNodeReclaimBegin,
                             MmVmscanNodeReclaimEnd, MmVmscanBalancePgdatBegin, MmVmscanBalancePgdatEnd, MarkVictim>;
  /// Within compaction and reclaim an event is one of many.
  template <class E>
  void keep(const E& event) {
    if (depth_ == 0)
      events_.emplace_back(event);
  }
  template <class E>
  void begin(const E& event) {
    if (depth_++ == 0)
      events_.emplace_back(event);
  }
  template <class E>
  void end(const E& event) {
    if (depth_ > 0 && --depth_ == 0)
      events_.emplace_back(event);
  }
  const Machine* machine_;
  std::vector<Event> events_;
  unsigned depth_ = 0;  ///< of compaction and reclaim, one in another
};

/// "Node 0, zone Normal".
[[nodiscard]] std::string zone_name(const Machine& machine, ZoneId zone);
/// The numbers of a zone that decide about a request, and its free blocks, as lines of text.
[[nodiscard]] std::vector<std::string> describe_zone(const Machine& machine, ZoneId zone);
/// Names of the set flags, "WMARK_LOW|KSWAPD|NOFRAGMENT".
[[nodiscard]] std::string alloc_flag_names(AllocFlags flags);

}  // namespace mmbox::lab
