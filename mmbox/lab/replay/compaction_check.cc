#include "mmbox/lab/replay/compaction_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <span>
#include <type_traits>
#include <utility>

namespace mmbox::lab {
namespace {

/// Compaction's events as lines that can be compared.
class Lines final : public EventSink {
 public:
  std::vector<std::string> lines;

  void on(const MmCompactionIsolateMigratepages& e) override { scanned("migrate", e); }
  void on(const MmCompactionIsolateFreepages& e) override { scanned("free", e); }
  void on(const MmCompactionMigratepages& e) override { add("moved {} failed {}", e.nr_migrated, e.nr_failed); }
  void on(const MmCompactionBegin& e) override {
    add("begin {:x} migrate={:x} free={:x}", e.zone_start.raw(), e.migrate_pfn.raw(), e.free_pfn.raw());
  }
  void on(const MmCompactionEnd& e) override {
    add("end {:x} migrate={:x} free={:x} result={}", e.zone_start.raw(), e.migrate_pfn.raw(), e.free_pfn.raw(),
        e.status);
  }
  void on(const MmCompactionSuitable& e) override { add("suitable zone={} {}", e.zone.raw(), e.result); }
  void on(const MmCompactionFinished& e) override { add("finished zone={} {}", e.zone.raw(), e.result); }
  void on(const MmCompactionDeferred& e) override { deferral("deferred", e); }
  void on(const MmCompactionDeferCompaction& e) override { deferral("defer", e); }
  void on(const MmCompactionDeferReset& e) override { deferral("reset", e); }
  void on(const PageMigrated& e) override { add("{:x} -> {:x}", e.from.raw(), e.to.raw()); }
  void on(const PageNotMigrated& e) override { add("not to {:x}", e.target.raw()); }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    lines.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  void scanned(const char* who, const MmCompactionIsolateMigratepages& e) {
    add("{} {:x}..{:x} scanned {} taken {}", who, e.start.raw(), e.end.raw(), e.nr_scanned, e.nr_taken);
  }
  void deferral(const char* what, const MmCompactionDeferred& e) {
    add("{} zone={} order={} considered={} shift={} failed={}", what, e.zone.raw(), e.order, e.considered,
        e.defer_shift, e.order_failed);
  }
};

/// The recorded pages, moved or not as the recording says.
class RecordedMover final : public PageMover {
 public:
  explicit RecordedMover(Population& pages) : pages_(pages) {}
  std::deque<bool> outcomes;

  PageFacts facts(Pfn pfn) override { return pages_.facts(pfn); }
  bool isolate(Pfn pfn) override { return pages_.isolate(pfn); }
  void putback(Pfn pfn) override { pages_.putback(pfn); }
  MoveResult move(Pfn from, Pfn to, MoveEffort effort) override {
    bool moves = true;
    if (!outcomes.empty()) {
      moves = outcomes.front();
      outcomes.pop_front();
    }
    if (!moves)
      return MoveResult::Again;
    pages_.page(from).is_pinned = false;
    return pages_.move(from, to, effort);
  }

 private:
  Population& pages_;
};

bool is_move(const std::string& line) {
  return line.find(" -> ") != std::string::npos;
}

}  // namespace

struct CompactionCheck::Attempt {
  std::uint64_t time = 0;
  std::optional<MmCompactionTryToCompactPages> direct;
  MmCompactionKcompactdWake daemon{};
  CpuId cpu;
  Image image;
  Population pages;
  Lines recorded;
  std::deque<bool> outcomes;
  bool found_block = false;
  std::vector<MmCompactionBegin> begins;
  std::map<std::size_t, MmCompactionDeferred> deferrals;  // by zone: what was said of it last

  Attempt(const Image& from, const Population& of) : image(from.copy()), pages(image.machine(), of) {}
};

CompactionCheck::CompactionCheck(const Image& image, const PageDump& dump)
    : pages_(const_cast<Machine&>(image.machine()), dump),
      trace_(pages_, image.machine(), TracePopulation::First::Told) {
  for (const ZoneState& zone : image.machine().view().zones)
    states_[zone.id.raw()] = zone.compaction;
}
CompactionCheck::~CompactionCheck() = default;

void CompactionCheck::begin(const TraceRecord& record, const Image& engine) {
  auto attempt = std::make_unique<Attempt>(engine, pages_);
  for (ZoneState& zone : attempt->image.machine().view().zones)
    zone.compaction = states_[zone.id.raw()];
  attempt->time = record.timestamp;
  attempt->cpu = record.cpu;
  if (const auto* direct = std::get_if<MmCompactionTryToCompactPages>(&record.event))
    attempt->direct = *direct;
  else if (const auto* daemon = std::get_if<MmCompactionKcompactdWake>(&record.event))
    attempt->daemon = *daemon;
  attempts_.insert_or_assign(record.pid, std::move(attempt));
}

void CompactionCheck::compare(Attempt& attempt, const std::vector<std::string>& actual) {
  const std::vector<std::string>& expected = attempt.recorded.lines;
  const auto count = std::min(expected.size(), actual.size());
  std::size_t equal = 0;
  while (equal < count && expected[equal] == actual[equal])
    ++equal;
  for (std::size_t i = 0; i < expected.size(); ++i)
    (is_move(expected[i]) ? report_.moves : report_.steps).count(i < equal);
  const bool whole = equal == expected.size() && equal == actual.size();
  report_.whole.count(whole);

  // The outcome of each zone: left alone, not suitable, or how its run ended.
  const auto results = [](const std::vector<std::string>& lines) {
    std::vector<std::string> found;
    for (const std::string& line : lines) {
      if (line.starts_with("suitable") || line.starts_with("deferred"))
        found.push_back(line.substr(0, line.find(" order")));
      else if (line.starts_with("end") && !found.empty())
        found.back() = line.substr(0, line.find(" migrate")) + line.substr(line.find(" result"));
    }
    return found;
  };
  const auto wanted = results(expected);
  const auto got = results(actual);
  for (std::size_t i = 0; i < std::max(wanted.size(), got.size()); ++i)
    report_.results.count(i < wanted.size() && i < got.size() && wanted[i] == got[i]);
  report_.attempts.count(wanted == got);
  if (!whole && report_.differences.size() < 20)
    report_.differences.push_back(fmt::format(
        "{} of order {} at time {}, line {} of {}: expected \"{}\", got \"{}\"",
        attempt.direct ? "direct compaction" : "kcompactd",
        attempt.direct ? attempt.direct->order : attempt.daemon.order, attempt.time, equal + 1, expected.size(),
        equal < expected.size() ? expected[equal] : "the end", equal < actual.size() ? actual[equal] : "the end"));
}

void CompactionCheck::finish(std::int32_t pid) {
  auto found = attempts_.extract(pid);
  if (found.empty())
    return;
  Attempt& attempt = *found.mapped();
  Machine& machine = attempt.image.machine();
  RecordedMover mover{attempt.pages};
  mover.outcomes = std::move(attempt.outcomes);
  machine.set_contents(&attempt.pages);
  // Where the scanners began is a check of what was remembered; the steps are then compared from there.
  for (const MmCompactionBegin& begin : attempt.begins) {
    for (ZoneState& zone : machine.view().zones) {
      if (!zone.is_populated() || zone.start != begin.zone_start)
        continue;
      const bool whole = attempt.direct && attempt.direct->priority == 0;
      CompactionState& state = zone.compaction;
      Pfn& migrate = state.cached_migrate[begin.sync ? 1 : 0];
      const Pfn zone_end = zone.start + PageCount{static_cast<std::uint64_t>(zone.spanned)};
      const auto used = [&](Pfn cached, Pfn otherwise) {
        return whole || cached < zone.start || cached >= zone_end ? otherwise : cached;
      };
      const Pfn last = Pfn{zone_end.raw() - 1}.align_down(Order{kPageblockOrder});
      report_.positions.count(used(migrate, zone.start) == begin.migrate_pfn &&
                              used(state.cached_free, last) == begin.free_pfn);
      if (!whole) {
        migrate = begin.migrate_pfn;
        state.cached_free = begin.free_pfn;
      }
    }
  }
  Compaction compaction{machine.view(), mover};
  Lines actual;
  machine.attach(&actual);
  if (attempt.direct) {
    const Task task{};
    const Request request{.gfp = attempt.direct->gfp,
                          .order = Order{static_cast<unsigned>(attempt.direct->order)},
                          .cpu = attempt.cpu,
                          .node = {},
                          .nodemask = {},
                          .task = &task};
    AllocContext context = prepare(machine.view(), request);
    context.flags = slow_path_flags(machine.view(), context, request.gfp);
    static_cast<void>(compaction.direct_compact(context, static_cast<CompactPriority>(attempt.direct->priority)));
  } else {
    NodeState& node = machine.view().nodes[attempt.daemon.node.raw()];
    node.kcompactd.order = static_cast<std::uint8_t>(attempt.daemon.order);
    node.kcompactd.highest = static_cast<std::uint8_t>(attempt.daemon.highest.raw());
    static_cast<void>(compaction.run_kcompactd(attempt.daemon.node, attempt.cpu));
  }
  machine.attach(nullptr);
  // The kernel stops asynchronous work between two zones when somebody else is to run: no state tells when.
  if (attempt.direct && attempt.direct->priority == 2 && actual.lines.size() > attempt.recorded.lines.size() &&
      std::ranges::equal(attempt.recorded.lines, std::span{actual.lines}.first(attempt.recorded.lines.size())))
    actual.lines.resize(attempt.recorded.lines.size());
  compare(attempt, actual.lines);
  for (const ZoneState& zone : machine.view().zones)
    states_[zone.id.raw()] = zone.compaction;
  for (const auto& [zone, told] : attempt.deferrals)
    take_over(zone, told);
}

void CompactionCheck::take_over(std::size_t zone, const MmCompactionDeferred& told) {
  CompactionState& state = states_[zone];
  state.considered = told.considered;
  state.defer_shift = told.defer_shift;
  state.order_failed = told.order_failed;
}

void CompactionCheck::record(const TraceRecord& record, Image& engine) {
  const TraceEvent& event = record.event;
  const auto running = attempts_.find(record.pid);
  if (running != attempts_.end()) {
    Attempt& attempt = *running->second;
    const bool is_over =
        attempt.direct
            ? std::holds_alternative<MmPageAlloc>(event) || std::holds_alternative<probe::RmqueueBulk>(event) ||
                  std::holds_alternative<MmVmscanDirectReclaimBegin>(event) ||
                  std::holds_alternative<MmCompactionTryToCompactPages>(event) ||
                  std::holds_alternative<MmPageAllocZoneLocked>(event) || std::holds_alternative<probe::Steal>(event) ||
                  std::holds_alternative<CompactRetry>(event) || std::holds_alternative<ReclaimRetryZone>(event) ||
                  std::holds_alternative<probe::WakeupKswapdCall>(event) || std::holds_alternative<Marker>(event) ||
                  (std::holds_alternative<MmCompactionDeferReset>(event) && attempt.found_block)
            : std::holds_alternative<MmCompactionKcompactdSleep>(event);
    if (is_over) {
      finish(record.pid);
    } else {
      if (std::holds_alternative<probe::CompactionFree>(event)) {
        attempt.outcomes.push_back(false);
        attempt.recorded.on(PageNotMigrated{Pfn{}, std::get<probe::CompactionFree>(event).page});
      } else if (const auto* free = std::get_if<MmPageFree>(&event)) {
        if (const auto target = trace_.target_of(record.pid)) {
          attempt.outcomes.push_back(true);
          attempt.recorded.on(PageMigrated{free->pfn, *target});
        }
      } else {
        std::visit(
            [&](const auto& e) {
              if constexpr (requires { attempt.recorded.on(e); })
                attempt.recorded.on(e);
            },
            event);
        if (const auto* begun = std::get_if<MmCompactionBegin>(&event))
          attempt.begins.push_back(*begun);
        attempt.found_block = attempt.found_block || std::holds_alternative<MmCompactionDeferReset>(event);
      }
    }
  }
  std::visit(
      [&](const auto& e) {
        if constexpr (std::is_base_of_v<MmCompactionDeferred, std::decay_t<decltype(e)>>) {
          const auto attempt = attempts_.find(record.pid);
          if (attempt != attempts_.end())
            attempt->second->deferrals.insert_or_assign(e.zone.raw(), e);
          else
            states_[e.zone.raw()].blockskip_flush = false;  // the request got its block
          take_over(e.zone.raw(), e);
        }
      },
      event);
  if (std::holds_alternative<probe::ResetIsolationSuitable>(event)) {
    MachineView& view = engine.machine().view();
    for (ZoneState& zone : view.zones)
      zone.compaction = states_[zone.id.raw()];
    // The hints themselves are the recording's: each change of one is in the trace.
    std::vector<bool> hints;
    for (FrameIndex at = 0; at < view.env.map.frames(); at += kPageblockPages)
      hints.push_back(view.env.map.pageblock(at).skip);
    Compaction compaction{view, pages_};
    for (const NodeState& node : view.nodes)
      compaction.reset_skip_hints(node.id);
    for (FrameIndex at = 0; at < view.env.map.frames(); at += kPageblockPages)
      view.env.map.pageblock(at).skip = hints[at / kPageblockPages];
    for (const ZoneState& zone : view.zones)
      states_[zone.id.raw()] = zone.compaction;
  }
  if (const auto* flags = std::get_if<probe::SetPageblockFlags>(&event); flags != nullptr && (flags->mask & 8U) != 0) {
    const MemMap& map = engine.machine().view().env.map;
    if (map.contains(flags->pfn))
      map.pageblock(map.index(flags->pfn)).skip = (flags->flags & 8U) != 0;
  }
  if (std::holds_alternative<MmCompactionTryToCompactPages>(event) ||
      std::holds_alternative<MmCompactionKcompactdWake>(event))
    begin(record, engine);
  trace_.follow(record);
}

}  // namespace mmbox::lab
