// The steps of one request, told: each function entered, each check with its numbers, the block that was taken.
#pragma once

#include <string>
#include <vector>

#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Collects the events of one request (or free) as lines of text, indented by depth.
class Story final : public EventSink {
 public:
  explicit Story(const Machine& machine) : machine_(machine) {}
  void clear() { lines_.clear(); }
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

  void on(const MmPageAlloc&) override;
  void on(const MmPageFree&) override;
  void on(const MmPageFreeBatched&) override;
  void on(const MmPageAllocZoneLocked&) override;
  void on(const MmPagePcpuDrain&) override;
  void on(const MmPageAllocExtfrag&) override;
  void on(const MmVmscanWakeupKswapd&) override;
  void on(const FreeOnePage&) override;
  void on(const StealFallback&) override;
  void on(const StealWeighed&) override;
  void on(const MoveFreepagesBlock&) override;
  void on(const SetPageblockType&) override;
  void on(const RmqueueBulk&) override;
  void on(const FreePcppagesBulk&) override;
  void on(const ZoneChecked&) override;
  void on(const AttemptBegins&) override;
  void on(const HighAtomicReserve&) override;
  void on(const WatermarkBoost&) override;

 private:
  const Machine& machine_;
  std::vector<std::string> lines_;
};

/// "Node 0, zone Normal".
[[nodiscard]] std::string zone_name(const Machine& machine, ZoneId zone);
/// The numbers of a zone that decide about a request, and its free blocks, as lines of text.
[[nodiscard]] std::vector<std::string> describe_zone(const Machine& machine, ZoneId zone);
/// Names of the set flags, "WMARK_LOW|KSWAPD|NOFRAGMENT".
[[nodiscard]] std::string alloc_flag_names(AllocFlags flags);

}  // namespace mmbox::lab
