// The events of a run as a trace that the kernel's tools, and mmbox itself, can read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/io/byte_sink.h"
#include "mmbox/lab/trace/schema.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Who does what is told next.
struct Actor {
  std::string_view comm;  ///< outlives the events that it stands for
  std::int32_t pid = 0;
  CpuId cpu;
};

/// Writes events as lines of the tracefs `trace` file, under the names of the kernel's tracepoints. Attach it to the
/// machine; what core has no event for (reclaim, the OOM killer) is told by `record`.
class EventLog final : public EventSink {
 public:
  /// `systems`: only events of these ("vmscan", "compaction", …); empty: all.
  EventLog(ByteSink sink, const Generation& generation, std::vector<std::string> systems);

  void at(std::uint64_t now_ns) { now_ns_ = now_ns; }
  void by(const Actor& actor) { actor_ = actor; }
  [[nodiscard]] const Actor& actor() const { return actor_; }
  void record(const TraceEvent& event);
  /// Writes what is left. The first error of all calls.
  [[nodiscard]] Expected<void> finish();
  [[nodiscard]] std::uint64_t lines() const { return lines_; }

  void on(const MmPageAlloc& e) override { record(e); }
  void on(const MmPageFree& e) override { record(e); }
  void on(const MmPageFreeBatched& e) override { record(e); }
  void on(const MmPageAllocZoneLocked& e) override { record(e); }
  void on(const MmPagePcpuDrain& e) override { record(e); }
  void on(const MmPageAllocExtfrag& e) override { record(e); }
  void on(const MmVmscanWakeupKswapd& e) override { record(e); }
  void on(const MmCompactionIsolateMigratepages& e) override { record(e); }
  void on(const MmCompactionIsolateFreepages& e) override { record(e); }
  void on(const MmCompactionMigratepages& e) override { record(e); }
  void on(const MmCompactionBegin& e) override { record(e); }
  void on(const MmCompactionEnd& e) override { record(e); }
  void on(const MmCompactionTryToCompactPages& e) override { record(e); }
  void on(const MmCompactionSuitable& e) override { record(e); }
  void on(const MmCompactionFinished& e) override { record(e); }
  void on(const MmCompactionDeferred& e) override { record(e); }
  void on(const MmCompactionDeferCompaction& e) override { record(e); }
  void on(const MmCompactionDeferReset& e) override { record(e); }
  void on(const MmCompactionKcompactdSleep& e) override { record(e); }
  void on(const MmCompactionWakeupKcompactd& e) override { record(e); }
  void on(const MmCompactionKcompactdWake& e) override { record(e); }

 private:
  ByteSink sink_;
  FieldContext context_;
  std::vector<bool> wanted_;  ///< by kind of event
  Actor actor_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t lines_ = 0;
  std::string line_;
  std::optional<Error> error_;
};

}  // namespace mmbox::lab
