#include "mmbox/lab/replay/trace_moment.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "mmbox/lab/population/trace_population.h"
#include "mmbox/lab/replay/top.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

/// The owner's name of what the trace does not tell of.
constexpr const char* kBefore = "in use before the trace";

/// The time that a moment names, if it is a number.
std::optional<std::uint64_t> time_of(const std::string& text) {
  std::uint64_t time = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), time);
  return code == std::errc{} && end == text.data() + text.size() ? std::optional{time} : std::nullopt;
}

/// Rides on a replay and takes the machine away, copied, at one moment.
class Passenger {
 public:
  Passenger(const TraceMoment& where, std::string start, std::optional<PageDump> dump)
      : where_(where), start_(std::move(start)), dump_(std::move(dump)), time_(time_of(where.at)) {}

  void see(const TraceRecord& record, Image& image) {
    first_time_ = std::min(first_time_, record.timestamp);
    last_time_ = std::max(last_time_, record.timestamp);
    if (time_ && !taken_ && record.timestamp >= *time_ && first_time_ <= *time_)
      take(image, fmt::format("time {}", *time_));
    trace_->follow(record);
  }
  void arrive(const Snapshot* snapshot, Image& image) {
    if (snapshot != nullptr && !pages_)
      begin(*snapshot, image);
    if (taken_)
      return;
    if (snapshot == nullptr && where_.at.empty())
      take(image, "its end");
    else if (snapshot != nullptr && !time_ && snapshot->label == where_.at)
      take(image, snapshot->label);
  }

  Expected<PopulatedMachine> result() && {
    if (trace_->requests() != 0 && trace_->requests_with_flags() == 0)
      return Error{.file = where_.trace,
                   .message = "the requests of this trace have no gfp_flags, so that it does not tell what pages are",
                   .remedy = "record kmem:mm_page_alloc with all its fields, or take the state from a page dump"};
    if (!taken_ && time_)
      return Error{.file = where_.trace,
                   .message = fmt::format("time {} lies outside of the trace", *time_),
                   .remedy = first_time_ > last_time_
                                 ? "no event comes after the snapshot " + start_
                                 : fmt::format("its times go from {} to {}", first_time_, last_time_)};
    if (!taken_)
      return Error{.file = where_.trace,
                   .message = "the trace never comes to a snapshot " + where_.at,
                   .remedy =
                       "`mmbox show LOG` lists the snapshots of a log; a time is a number, as `mmbox replay` "
                       "prints it"};
    return std::move(*taken_);
  }

 private:
  void begin(const Snapshot& start, Image& image) {
    Machine& machine = image.machine();
    if (dump_) {
      pages_.emplace(machine, *dump_);
      for (OwnerId owner = 0; owner < pages_->owners(); ++owner)
        pages_->owner_of(owner).name = kBefore;
    } else {
      pages_.emplace(machine);
      guess_pages(*pages_, machine, start, pages_->add_owner(kBefore));
    }
    trace_.emplace(*pages_, machine, dump_ ? TracePopulation::First::Told : TracePopulation::First::Guessed);
  }

  void take(const Image& image, std::string label) {
    Image copy = image.copy();
    Population pages{copy.machine(), *pages_};
    const TracePopulation::Mismatch mismatch = trace_->settle(pages, copy.machine());
    std::vector<std::string> lacks;
    if (trace_->requests() == 0)
      lacks.emplace_back("whether anybody asked for memory: no event kmem:mm_page_alloc comes before this moment");
    const std::uint64_t first = trace_->first_pages(pages);
    if (first != 0)
      lacks.push_back(dump_ ? fmt::format("whose {} pages are that were in use before the trace began", first)
                            : fmt::format("what {} pages are that were in use before the trace began: the log has no "
                                          "page dump of {}; each pageblock has as many that move and that stay as the "
                                          "snapshot counts, which ones is a guess",
                                          first, start_));
    if (mismatch.unknown != 0)
      lacks.push_back(
          fmt::format("what {} pages in use are of which no event tells: taken to move or to stay as their "
                      "pageblock's type says",
                      mismatch.unknown));
    if (mismatch.freed != 0)
      lacks.push_back(
          fmt::format("{} pages that the trace has in use are free in the replay, and are left so", mismatch.freed));
    lacks.emplace_back("which pages somebody holds, or has written to, used or mapped since they were allocated");
    taken_.emplace(
        PopulatedMachine{std::move(label), std::move(copy), std::move(pages), where_.trace, std::move(lacks)});
  }

  const TraceMoment& where_;
  std::string start_;  // the snapshot's label
  std::optional<PageDump> dump_;
  std::optional<std::uint64_t> time_;
  std::optional<Population> pages_;  // of the replay's machine
  std::optional<TracePopulation> trace_;
  std::optional<PopulatedMachine> taken_;
  std::uint64_t first_time_ = ~std::uint64_t{0};
  std::uint64_t last_time_ = 0;
};

}  // namespace

Expected<PopulatedMachine> populated_machine(const TraceMoment& where, const std::function<void(Progress)>& progress) {
  const auto start = load_snapshot(where.log, where.label);
  if (!start)
    return start.error();
  auto dump = find_page_dump(where.log, start->label);
  if (!dump)
    return dump.error();
  Passenger passenger{where, start->label, std::move(*dump)};
  TraceReplayOptions options;
  options.progress = progress;
  options.observer = [&](const TraceRecord& record, Image& image) { passenger.see(record, image); };
  options.at_moment = [&](const Snapshot* snapshot, Image& image) { passenger.arrive(snapshot, image); };
  const auto replayed = replay_top(where.trace, where.log, where.label, options);
  if (!replayed)
    return replayed.error();
  return std::move(passenger).result();
}

}  // namespace mmbox::lab
