// One of the two engines of a free replay: it serves the demand by its own rules, and counts what became of it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/replay/free_replay.h"
#include "mmbox/lab/replay/story.h"

namespace mmbox::lab {

/// Counts the requests that took another type's blocks.
class FallbackCounter final : public EventSink {
 public:
  explicit FallbackCounter(FreeOutcome& outcome) : outcome_(outcome) {}
  void on(const MmPageAllocExtfrag& event) override {
    ++outcome_.fallbacks;
    outcome_.claims += event.change_ownership ? 1U : 0U;
  }

 private:
  FreeOutcome& outcome_;
};

class FreeSide {
 public:
  /// Puts the machine of `image` under `generation`; see change_generation().
  FreeSide(Image image, const Generation& generation);
  FreeSide(const FreeSide&) = delete;
  FreeSide& operator=(const FreeSide&) = delete;

  [[nodiscard]] Machine& machine() { return image_.machine(); }
  [[nodiscard]] CountedContents* contents() { return image_.contents(); }
  [[nodiscard]] FreeOutcome& outcome() { return outcome_; }
  /// The steps of the last request that was told.
  [[nodiscard]] std::vector<std::string> story() const { return story_.lines(); }
  [[nodiscard]] bool has_bulk() const { return has_bulk_; }
  /// GFP_ATOMIC as this generation writes it: newer kernels have no bit of its own for it.
  [[nodiscard]] Gfp as_meant(Gfp gfp) const;

  /// Runs `attempt`, which asks this engine for one block, and counts the answer. `tells` keeps the steps.
  template <class Attempt>
  std::optional<Pfn> ask(Order order, bool tells, Attempt attempt) {
    begin_telling(tells);
    const std::optional<Pfn> pfn = attempt(machine());
    end_telling(tells);
    ++outcome_.requests;
    if (!pfn) {
      ++outcome_.refusals;
      ++outcome_.refusals_by_order[order.raw()];
    }
    return pfn;
  }
  /// As many single pages as it gives, in one call where its kernel has one. Every page wanted counts as a request.
  std::vector<Pfn> ask_bulk(const Request& request, std::size_t wanted);

  /// Counts pageblocks that hold a block which the demand asked for with another type, out of `held`.
  void sample(std::span<const std::pair<Pfn, Migratetype>> held);
  /// Counts what is free, and what the pageblocks are, at the end.
  void finish(std::span<const std::pair<Pfn, Migratetype>> held);

 private:
  void begin_telling(bool tells);
  void end_telling(bool tells);

  Image image_;
  FreeOutcome outcome_;
  FallbackCounter counter_;
  Story story_;
  AtomicRule rule_{};
  bool has_bulk_ = true;
};

/// Notes the first request that the two answered otherwise, and counts those that they answered alike.
class FreeComparison {
 public:
  FreeComparison(FreeSide& left, FreeSide& right, FreeReplayReport& report)
      : left_(left), right_(right), report_(report) {}

  /// Whether the steps of the next request are still wanted.
  [[nodiscard]] bool tells() const { return !report_.first_difference; }
  /// `where` and `request` make texts; they are asked only for the first difference.
  template <class Where, class Request>
  void operator()(std::optional<Pfn> left, std::optional<Pfn> right, Where where, Request request) {
    if (left == right)
      ++report_.same_frames;
    else if (tells())
      part(left, right, where(), request());
  }

 private:
  void part(std::optional<Pfn> left, std::optional<Pfn> right, std::string where, std::string request);

  FreeSide& left_;
  FreeSide& right_;
  FreeReplayReport& report_;
};

}  // namespace mmbox::lab
