// What a checked replay found: how much was compared, how much agreed, and where the first difference lies.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mmbox/core/base/migratetype.h"
#include "mmbox/core/base/units.h"
#include "mmbox/lab/snapshot/compare.h"

namespace mmbox::lab {

/// Decisions that were compared, and those that were the same.
struct Tally {
  std::uint64_t checked = 0;
  std::uint64_t agreed = 0;
  void count(bool equal) {
    ++checked;
    agreed += equal ? 1 : 0;
  }
  /// 1 if nothing was checked.
  [[nodiscard]] double agreement() const {
    return checked == 0 ? 1.0 : static_cast<double>(agreed) / static_cast<double>(checked);
  }
};

/// One decision of the engine that is not the recorded one.
struct Divergence {
  std::string where;                 ///< "run basic-1, operation 17" or "event 123456 (time 4711)"
  std::string request;               ///< the call, in words
  std::string expected;              ///< what the kernel did
  std::string actual;                ///< what the engine did
  std::vector<std::string> context;  ///< the zone's state and the engine's steps: which rule chose
};

/// A snapshot of the recording, compared with the engine's state at that point.
struct ComparedSnapshot {
  std::string label;
  Comparison comparison;
};

/// The outcome of a replay.
struct ReplayReport {
  std::string strength;  ///< "scripted", "buddy" or "top"
  std::string source;    ///< the file
  std::uint64_t events = 0;
  Tally decisions;
  std::optional<Divergence> first_divergence;
  std::vector<ComparedSnapshot> snapshots;
  /// What was taken from the recording because it hangs on things outside the allocator, by kind.
  std::map<std::string, std::uint64_t> taken_from_recording;
  /// Divergences by what was seen to cause them.
  std::map<std::string, std::uint64_t> divergence_kinds;
  std::vector<std::string> notes;  ///< what was left out, and why

  void count(bool equal, Order order, Migratetype type, CpuId cpu) {
    decisions.count(equal);
    order_tallies_[order.raw()].count(equal);
    type_tallies_[raw(type)].count(equal);
    if (cpu.raw() >= cpu_tallies_.size())
      cpu_tallies_.resize(cpu.raw() + 1);
    cpu_tallies_[cpu.raw()].count(equal);
  }
  [[nodiscard]] std::map<unsigned, Tally> by_order() const {
    return counted<unsigned>(order_tallies_, [](std::size_t order) { return static_cast<unsigned>(order); });
  }
  [[nodiscard]] std::map<std::string, Tally> by_type() const {
    return counted<std::string>(type_tallies_,
                                [](std::size_t type) { return migratetype_name(static_cast<Migratetype>(type)); });
  }
  [[nodiscard]] std::map<std::size_t, Tally> by_cpu() const {
    return counted<std::size_t>(cpu_tallies_, [](std::size_t cpu) { return cpu; });
  }
  [[nodiscard]] std::size_t snapshots_equal() const {
    std::size_t equal = 0;
    for (const ComparedSnapshot& snapshot : snapshots)
      equal += snapshot.comparison.equal() ? 1U : 0U;
    return equal;
  }
  [[nodiscard]] bool agrees() const {
    return decisions.checked == decisions.agreed && snapshots_equal() == snapshots.size();
  }

 private:
  /// The tallies that counted anything, under their names.
  template <class Key, class Tallies, class Name>
  static std::map<Key, Tally> counted(const Tallies& tallies, Name name) {
    std::map<Key, Tally> map;
    for (std::size_t i = 0; i < tallies.size(); ++i)
      if (tallies[i].checked != 0)
        map.emplace(name(i), tallies[i]);
    return map;
  }

  std::array<Tally, 256> order_tallies_{};  // by any order that a record can have
  std::array<Tally, kMigratetypes> type_tallies_{};
  std::vector<Tally> cpu_tallies_;
};

}  // namespace mmbox::lab
