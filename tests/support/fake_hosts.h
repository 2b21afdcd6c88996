// Hosts that answer what a test tells them to, and write down what they were asked.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/small_machine.h"

namespace mmbox::test {

class FakeHosts final : public Reclaimer, public Compactor, public OomPolicy, public Waiter {
 public:
  explicit FakeHosts(SmallMachine& machine) { machine->set_hosts({this, this, this, this}); }

  std::vector<std::string> calls;
  [[nodiscard]] std::size_t count(const std::string& word) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(calls, [&](const std::string& call) { return call.starts_with(word); }));
  }

  std::function<NodeReclaimResult()> node_reclaims = [] { return NodeReclaimResult::NoScan; };
  std::function<std::uint64_t()> reclaims = [] { return 0; };
  std::function<std::uint64_t()> reclaimable = [] { return 0; };
  std::function<CompactResult()> compacts = [] { return CompactResult::Skipped; };
  std::optional<Pfn> captures;
  std::function<bool()> kills = [] { return false; };
  std::function<void()> waits = [] {};

  NodeReclaimResult node_reclaim(NodeId node, const AllocContext& context) override {
    calls.push_back(
        fmt::format("node_reclaim {} gfp={:#x} order={}", node.raw(), context.gfp.raw(), context.order.raw()));
    return node_reclaims();
  }
  PageCount direct_reclaim(const AllocContext&) override {
    calls.emplace_back("reclaim");
    return PageCount{reclaims()};
  }
  PageCount reclaimable_pages(ZoneId) override { return PageCount{reclaimable()}; }
  void wake_kswapd(NodeId node) override { calls.push_back(fmt::format("wake {}", node.raw())); }
  CompactOutcome direct_compact(const AllocContext&, CompactPriority priority) override {
    calls.push_back(fmt::format("compact {}", static_cast<unsigned>(priority)));
    return {compacts(), captures};
  }
  void compaction_succeeded(ZoneId zone, Order order) override {
    calls.push_back(fmt::format("compacted zone={} order={}", zone.raw(), order.raw()));
  }
  void wake_kcompactd(NodeId node, Order order, ZoneIndex highest) override {
    calls.push_back(fmt::format("kcompactd {} order={} highest={}", node.raw(), order.raw(), highest.raw()));
  }
  bool out_of_memory(const AllocContext&) override {
    calls.emplace_back("oom");
    return kills();
  }
  void wait_tick() override {
    calls.emplace_back("wait");
    waits();
  }
};

}  // namespace mmbox::test
