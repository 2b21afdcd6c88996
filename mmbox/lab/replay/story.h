// The steps of one request, told: each function entered, each check with its numbers, the block that was taken.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Keeps the events of one request (or free), to be told as lines of text, indented by depth, if anybody asks.
class Story final : public EventSink {
 public:
  explicit Story(const Machine& machine) : machine_(&machine) {}
  void clear() { events_.clear(); }
  /// The machine is named as it is now: zones, not their numbers, which the events hold.
  [[nodiscard]] std::vector<std::string> lines() const;

  void on(const MmPageAlloc& e) override { events_.emplace_back(e); }
  void on(const MmPageFree& e) override { events_.emplace_back(e); }
  void on(const MmPageFreeBatched& e) override { events_.emplace_back(e); }
  void on(const MmPageAllocZoneLocked& e) override { events_.emplace_back(e); }
  void on(const MmPagePcpuDrain& e) override { events_.emplace_back(e); }
  void on(const MmPageAllocExtfrag& e) override { events_.emplace_back(e); }
  void on(const MmVmscanWakeupKswapd& e) override { events_.emplace_back(e); }
  void on(const FreeOnePage& e) override { events_.emplace_back(e); }
  void on(const StealFallback& e) override { events_.emplace_back(e); }
  void on(const StealWeighed& e) override { events_.emplace_back(e); }
  void on(const MoveFreepagesBlock& e) override { events_.emplace_back(e); }
  void on(const SetPageblockType& e) override { events_.emplace_back(e); }
  void on(const RmqueueBulk& e) override { events_.emplace_back(e); }
  void on(const FreePcppagesBulk& e) override { events_.emplace_back(e); }
  void on(const ZoneChecked& e) override { events_.emplace_back(e); }
  void on(const AttemptBegins& e) override { events_.emplace_back(e); }
  void on(const HighAtomicReserve& e) override { events_.emplace_back(e); }
  void on(const WatermarkBoost& e) override { events_.emplace_back(e); }

 private:
  using Event = std::variant<MmPageAlloc, MmPageFree, MmPageFreeBatched, MmPageAllocZoneLocked, MmPagePcpuDrain,
                             MmPageAllocExtfrag, MmVmscanWakeupKswapd, FreeOnePage, StealFallback, StealWeighed,
                             MoveFreepagesBlock, SetPageblockType, RmqueueBulk, FreePcppagesBulk, ZoneChecked,
                             AttemptBegins, HighAtomicReserve, WatermarkBoost>;
  const Machine* machine_;
  std::vector<Event> events_;
};

/// "Node 0, zone Normal".
[[nodiscard]] std::string zone_name(const Machine& machine, ZoneId zone);
/// The numbers of a zone that decide about a request, and its free blocks, as lines of text.
[[nodiscard]] std::vector<std::string> describe_zone(const Machine& machine, ZoneId zone);
/// Names of the set flags, "WMARK_LOW|KSWAPD|NOFRAGMENT".
[[nodiscard]] std::string alloc_flag_names(AllocFlags flags);

}  // namespace mmbox::lab
