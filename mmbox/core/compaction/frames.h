// The two collections of a run: pages that are to move, and free frames that they move into.
//
// Neither allocates: the pages of a batch come from one pageblock, and isolated frames are on no list, so that their
// links are free to make a stack.
#pragma once

#include <array>
#include <optional>

#include "mmbox/core/buddy/frame.h"

namespace mmbox {

/// Pages taken off their lists, in the order in which they were found. At most a pageblock of them.
class SourceBatch {
 public:
  void add(FrameIndex index) { frames_[count_++] = index; }
  void clear() { count_ = 0; }
  [[nodiscard]] unsigned size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] FrameIndex operator[](unsigned nth) const { return frames_[nth]; }
  /// Forgets each page for which `settled` is true, the one found last first; the others keep their order.
  template <class Predicate>
  void settle_from_last(Predicate settled) {
    unsigned kept = count_;
    for (unsigned nth = count_; nth-- > 0;)
      if (!settled(frames_[nth]))
        frames_[--kept] = frames_[nth];
    const unsigned left = count_ - kept;
    for (unsigned i = 0; i < left; ++i)
      frames_[i] = frames_[kept + i];
    count_ = left;
  }

 private:
  std::array<FrameIndex, kPageblockPages> frames_{};  // 512 × 4 bytes = 2 KiB
  unsigned count_ = 0;
};

/// Free frames taken out of the free lists, the last one on top.
class TargetStack {
 public:
  explicit TargetStack(const MemMap& map) : map_(map) {}
  [[nodiscard]] unsigned size() const { return count_; }
  void push(FrameIndex index) {
    map_.links(index, 0).next = top_;
    top_ = index;
    ++count_;
  }
  [[nodiscard]] std::optional<FrameIndex> pop() {
    if (top_ == kNil)
      return std::nullopt;
    const FrameIndex index = top_;
    top_ = map_.links(index, 0).next;
    --count_;
    return index;
  }

 private:
  const MemMap& map_;
  FrameIndex top_ = kNil;
  unsigned count_ = 0;
};

}  // namespace mmbox
