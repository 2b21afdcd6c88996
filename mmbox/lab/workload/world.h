// A machine at work: its pages, its daemons, its disk and its clock.
//
// Time is a number of ticks, and passes only when somebody lets it: whoever runs the machine (`advance`), or a request
// that waits. In each tick the disk ends what it can, then kswapd, kcompactd and, where it is due, proactive compaction
// get their turns, node by node, then the flusher threads; always in this order.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/lab/population/population.h"
#include "mmbox/lab/workload/event_log.h"
#include "mmbox/lab/workload/file_cache.h"
#include "mmbox/lab/workload/slab_cache.h"
#include "mmbox/lab/workload/workload.h"

namespace mmbox::lab {

/// What a machine short of memory does, in the order in which it should come to it.
enum class Stage : std::uint8_t {
  KswapdWoken,
  KswapdReclaims,
  DirectReclaim,
  DirectCompaction,
  KcompactdWakes,
  SwapOut,
  Refused,  ///< a request got nothing
  OomKill,
};
inline constexpr std::size_t kStages = 8;
[[nodiscard]] std::string_view name_of(Stage stage);

/// How often something happened, and when first.
struct Occurrence {
  std::uint64_t count = 0;
  std::uint64_t first_ns = 0;  ///< of a count above 0
  friend bool operator==(const Occurrence&, const Occurrence&) = default;
};

/// A process with pages of its own.
struct SimulatedTask {
  std::string name;
  std::int32_t pid = 0;  ///< another one after it was killed: it comes back
  OwnerId owner = 0;
};

struct OomKillRecord {
  std::uint64_t at_ns = 0;
  std::string task;
  std::int32_t pid = 0;
  std::uint64_t freed_pages = 0;
  std::uint64_t freed_swap_pages = 0;
};

/// Makes a machine live. Neither copied nor moved: the machine points to it.
class World final : public Waiter, public OomPolicy, public Reclaimer, public Compactor, public PopulationWatcher {
 public:
  /// The machine outlives it, and is without hosts again when this goes. `dump`: what is in the machine's pages
  /// already, if that is known; nullptr: nothing is in use that could be moved or freed.
  World(Machine& machine, const Workload& workload, const PageDump* dump);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] Population& pages() { return pages_; }
  [[nodiscard]] FileCache& files() { return files_; }
  [[nodiscard]] SlabCache& slab() { return slab_; }
  [[nodiscard]] OwnerId kernel() const { return kernel_; }

  /// Nanoseconds since the run began.
  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }
  /// One tick passes.
  void advance();
  /// What happened up to now was preparation: the clock and the first times begin anew.
  void begin();

  /// Makes a request in the name of `actor`. A refusal is counted and reported.
  [[nodiscard]] std::optional<Pfn> allocate(Gfp gfp, Order order, const Actor& actor);

  /// Index of a task, which is made if there is none of the name.
  std::size_t task_named(const std::string& name);
  [[nodiscard]] const std::vector<SimulatedTask>& tasks() const { return tasks_; }
  [[nodiscard]] std::uint64_t pages_of(const SimulatedTask& task) const {
    const Owner& owner = pages_.owner(task.owner);
    return owner.held_pages + owner.swapped_pages;
  }

  // ------------------------------------------------------------- what is told

  /// Events go there from now on; nullptr: nowhere.
  void set_log(EventLog* log);
  /// Hears what core has no event for: reclaim, kswapd's runs, the OOM killer.
  std::function<void(const TraceEvent&)> on_event;
  /// The kernel's reports of failures and kills, as text; at most one failure in 10 s, as in the kernel.
  std::function<void(const std::string&)> on_report;
  [[nodiscard]] const std::array<Occurrence, kStages>& stages() const { return stages_; }
  [[nodiscard]] const std::vector<OomKillRecord>& kills() const { return kills_; }
  [[nodiscard]] std::uint64_t refused(Order order) const { return refused_[order.raw()]; }
  [[nodiscard]] std::uint64_t waits() const { return waits_; }  ///< ticks for which requests waited
  [[nodiscard]] std::uint64_t immediate_reclaim(NodeId node) const { return reclaim_.immediate_reclaim(node); }
  /// Counters that the allocator does not keep, for /proc. `base` is what a recording had counted before; may be null.
  [[nodiscard]] HostCounters& counters() { return counters_; }
  void set_base_counters(HostCounters* base) { counters_.base = base; }
  void set_format(const ProcFormat& format) { format_ = &format; }

  // ------------------------------------------------------------- what the engine asks

  void wait_tick() override;
  bool out_of_memory(const AllocContext& context) override;
  NodeReclaimResult node_reclaim(NodeId node, const AllocContext& context) override;
  PageCount direct_reclaim(const AllocContext& context) override;
  PageCount reclaimable_pages(ZoneId zone) override { return reclaim_.reclaimable_pages(zone); }
  void wake_kswapd(NodeId node) override;
  CompactOutcome direct_compact(const AllocContext& context, CompactPriority priority) override;
  void compaction_succeeded(ZoneId zone, Order order) override { compaction_.compaction_succeeded(zone, order); }
  void wake_kcompactd(NodeId node, Order order, ZoneIndex highest) override {
    compaction_.wake_kcompactd(node, order, highest);
  }
  void reset_skip_hints(NodeId node) override { compaction_.reset_skip_hints(node); }
  void evicted(Pfn pfn, const PopulationPage& page) override;
  std::span<SlabShrinker* const> shrinkers() override { return shrinkers_; }
  void wake_flushers() override { files_.wake_flushers(); }

 private:
  struct Counters final : HostCounters {
    explicit Counters(World& of) : world(of) {}
    std::int64_t zone(ZoneId zone, std::string_view name) override;
    std::int64_t node(NodeId node, std::string_view name) override;
    std::int64_t machine(std::string_view name) override;
    World& world;
    HostCounters* base = nullptr;
  };
  struct Proactive {
    std::uint64_t next_ns = 0;
  };

  void note(Stage stage, std::uint64_t times = 1);
  template <class Event>
  void tell(const Event& event) {
    if (log_ != nullptr)
      log_->record(TraceEvent{event});
    if (on_event)
      on_event(TraceEvent{event});
  }
  /// Does `work` in the name of a daemon.
  template <class Work>
  void as(const Actor& actor, Work work);
  void let_disk_write();
  void run_daemons();
  void run_kswapd(const NodeState& node);
  void once_a_second();
  void kill(SimulatedTask& task, CpuId cpu);
  void report_failure(Gfp gfp, Order order, const Actor& actor);
  [[nodiscard]] std::string oom_report(const AllocContext& context, const SimulatedTask& victim);

  Machine& machine_;
  std::uint64_t tick_ns_;
  std::uint64_t disk_pages_;  ///< a second
  OomDecision oom_;
  std::uint64_t swap_pages_;
  Population pages_;
  FileCache files_;
  SlabCache slab_;
  std::array<SlabShrinker*, 1> shrinkers_;
  Compaction compaction_;
  Reclaim reclaim_;
  OwnerId kernel_;
  std::vector<SimulatedTask> tasks_;
  std::int32_t next_pid_ = 1000;
  Counters counters_{*this};
  const ProcFormat* format_ = nullptr;

  std::uint64_t now_ns_ = 0;
  std::uint64_t disk_credit_ = 0;  ///< pages × nanoseconds
  std::uint64_t next_second_ns_ = 0;
  std::vector<Proactive> proactive_;  ///< by node
  bool in_daemon_ = false;
  Actor actor_{"mmbox", 1, CpuId{0}};
  EventLog* log_ = nullptr;
  std::optional<std::uint64_t> last_report_ns_;
  std::array<Occurrence, kStages> stages_{};
  std::vector<OomKillRecord> kills_;
  std::array<std::uint64_t, kOrders> refused_{};
  std::uint64_t waits_ = 0;
};

}  // namespace mmbox::lab
