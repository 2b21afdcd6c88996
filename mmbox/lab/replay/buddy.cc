#include "mmbox/lab/replay/buddy.h"

#include <fmt/format.h>

#include "mmbox/lab/replay/moments.h"
#include "mmbox/lab/replay/recorded_state.h"
#include "mmbox/lab/replay/story.h"
#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {

Expected<ReplayReport> replay_buddy(const std::string& trace, const std::string& log, const std::string& label,
                                    const TraceReplayOptions& options) {
  ReplayReport report;
  auto recording = Recording::open(trace, log, label, options.generation, report.notes);
  if (!recording)
    return std::move(recording).error();
  const Snapshot& start = recording->start();

  report.strength = "buddy";
  report.source = trace;
  RecordedState* following = nullptr;
  const auto name = [](std::optional<Pfn> pfn) {
    return pfn ? fmt::format("0x{:x}", pfn->raw()) : std::string{"nothing"};
  };
  const auto decide = [&](const RecordedDecision& decision) {
    report.count(decision.equal, decision.order, decision.type, decision.cpu);
    if (decision.equal)
      return;
    ++report.divergence_kinds[decision.what];
    if (report.first_divergence)
      return;
    report.first_divergence =
        Divergence{.where = fmt::format("event at time {}, cpu {}", decision.time, decision.cpu.raw()),
                   .request = decision.what,
                   .expected = name(decision.expected),
                   .actual = name(decision.actual),
                   .context = {}};
    const Machine& machine = following->image().machine();
    const MemMap& map = machine.view().env.map;
    if (map.contains(decision.expected) && map.pageblock(map.index(decision.expected)).zone != kNoZone)
      report.first_divergence->context =
          describe_zone(machine, machine.view().zone_of(map.index(decision.expected)).id);
  };
  RecordedState state{std::move(recording->image), RecordedKernel::of(start), RecordedState::PcpLists::Ignored, decide};
  following = &state;
  TraceRecord record;
  std::uint64_t count = 0;
  const auto next = [&]() -> Expected<const TraceRecord*> {
    if (options.progress && count++ % 65536 == 0)
      options.progress(recording->reader->progress());
    auto more = recording->reader->next(record);
    if (!more)
      return more.error();
    return *more ? &record : nullptr;
  };
  const auto ended = follow(
      next, *recording, [&](const TraceRecord& each) { state.apply(each); },
      [&](const Snapshot& recorded) {
        report.snapshots.push_back(
            {recorded.label, compare(recorded, snapshot_of(state.image().machine(), start), CompareOptions::buddy())});
      });
  if (!ended)
    return ended.error();
  report.events = state.events();
  report.taken_from_recording = state.taken_from_recording();
  return report;
}

}  // namespace mmbox::lab
