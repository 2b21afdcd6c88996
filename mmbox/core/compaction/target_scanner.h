// The scanner that comes down through a zone and takes free frames out of the free lists, for pages to move into.
#pragma once

#include "mmbox/core/compaction/frames.h"
#include "mmbox/core/compaction/zone_work.h"

namespace mmbox {

class TargetScanner {
 public:
  explicit TargetScanner(ZoneWork& work)
      : work_(work),
        stride_(work.plan.is_async()),
        search_order_(work.plan.order && work.plan.order->raw() > 0 ? work.plan.order->raw() - 1 : 0) {}

  /// Puts frames on the empty stack until there are `wanted`, or there is no place left to look at.
  /// Events: MmCompactionIsolateFreepages.
  void refill(TargetStack& stack, unsigned wanted);

 private:
  /// A free block from the lists, high enough in the zone, and what is free around it. False if there was none.
  [[nodiscard]] bool take_from_lists(TargetStack& stack, unsigned wanted);
  struct Choice {
    FrameIndex index;
    unsigned order;
  };
  /// The lock is held. `highest`: of all blocks that were looked at.
  [[nodiscard]] std::optional<Choice> search_free_lists(TargetWindow window, Pfn& highest);
  [[nodiscard]] bool may_fill(Pfn pageblock) const;
  /// Takes free blocks from `from` on until there are enough frames. Returns where it stopped.
  Pfn take_from(Pfn from, Pfn end, unsigned stride, TargetStack& stack, unsigned wanted);
  /// Takes one free block apart into frames; false if the zone must keep it. The lock is held.
  [[nodiscard]] bool take_block(FrameIndex index, unsigned order, TargetStack& stack);

  ZoneWork& work_;
  Stride stride_;
  unsigned search_order_;  ///< where the next search of the lists begins: that of the last success
};

}  // namespace mmbox
