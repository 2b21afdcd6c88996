// The quick path has no rules of its own: a machine that uses it and one that never does go the same way, in every
// generation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/mmbox.h"
#include "tests/effort.h"

namespace mmbox {
namespace {

/// With a sink attached, even one that does not listen, a machine takes the whole path.
class SilentSink final : public EventSink {};

struct alignas(64) Line {
  std::byte bytes[64];
};

class TestMachine {
 public:
  TestMachine(const lab::MachineSpec& spec, const MachineConfig& config)
      : lines_(Machine::storage_size(config) / sizeof(Line) + 1),
        machine_(config, std::as_writable_bytes(std::span{lines_})) {
    for (const MemoryRange& range : spec.free_ranges())
      machine_.release_boot_memory(range.range);
    machine_.finish_boot();
  }
  Machine& operator*() { return machine_; }
  Machine* operator->() { return &machine_; }

 private:
  std::vector<Line> lines_;
  Machine machine_;
};

struct Live {
  Pfn pfn;
  Order order;
};

struct Case {
  const Generation* generation;
  std::string words;
  bool has_cma;
  friend std::ostream& operator<<(std::ostream& out, const Case& each) {
    return out << each.generation->name << ", " << each.words << (each.has_cma ? ", CMA" : "");
  }
};

class QuickPath : public ::testing::TestWithParam<Case> {};

TEST_P(QuickPath, LeavesTheSameBytesAsTheWholePath) {
  auto spec = lab::read_machine_words(GetParam().words);
  ASSERT_TRUE(spec) << spec.error().text();
  MachineConfig config = spec->config();
  config.generation = *GetParam().generation;
  config.has_cma = GetParam().has_cma;
  TestMachine quick{*spec, config};
  TestMachine whole{*spec, config};
  SilentSink sink;
  whole->attach(&sink);
  const auto on_both = [&](const auto& act) {
    act(*quick);
    act(*whole);
  };

  constexpr Gfp kMasks[] = {gfp::kKernel,        gfp::kHighUserMovable,
                            gfp::kKernel,        gfp::kKernel | gfp::kReclaimable,
                            gfp::kAtomicRequest, gfp::kKernel | gfp::kDma32,
                            gfp::kDma,           gfp::kKernel | gfp::kWrite,
                            gfp::kUser,          gfp::kKernel | gfp::kThisNode | gfp::kNoWarn,
                            gfp::kHighUser,      gfp::kKernel | gfp::kCold};
  std::mt19937_64 random{7};
  const auto below = [&](std::uint64_t n) { return static_cast<std::size_t>(random() % n); };
  const std::size_t cpus = spec->cpus.size();
  std::vector<Live> live;
  std::size_t served = 0;
  const Task task{};
  std::uint64_t filling = 60;  // percent of allocations; changes from phase to phase
  for (std::uint64_t step = 0; step < test::Effort{5'000, 30'000, 500'000}.here(); ++step) {
    if (step % 2048 == 0)
      filling = 30 + below(50);
    const CpuId cpu{below(cpus)};
    const std::size_t what = below(100);
    if (what < filling || live.empty()) {
      Request request{.gfp = kMasks[below(std::size(kMasks))], .order = Order{0}, .cpu = cpu};
      if (below(8) == 0)
        request.order = Order{static_cast<unsigned>(below(11))};
      if (below(8) == 0)
        request.node = NodeId{below(spec->nodes)};
      if (below(32) == 0)
        request.nodemask = NodeMask::of(NodeId{below(spec->nodes)});
      if (below(32) == 0)
        request.task = &task;
      const AllocResult got = quick->alloc(request);
      const AllocResult expected = whole->alloc(request);
      ASSERT_EQ(got.ok(), expected.ok()) << "step " << step;
      if (got) {
        ASSERT_EQ(got->raw(), expected->raw()) << "step " << step;
        live.push_back({*got, request.order});
        ++served;
      }
    } else if (what < 98) {
      const std::size_t i = below(live.size());
      const Live block = live[i];
      live[i] = live.back();
      live.pop_back();
      on_both([&](Machine& machine) { machine.free(block.pfn, block.order, cpu); });
    } else if (what < 99) {
      on_both([&](Machine& machine) { machine.fold(cpu, FoldBy::StatWorker); });
    } else if (below(8) == 0) {
      on_both([&](Machine& machine) { machine.drain(cpu); });
    } else {
      // kswapd begins or ends its work on a zone or its node, the watermark is boosted, pages become CMA pages.
      const std::size_t zone = below(quick->view().zones.size());
      const std::uint32_t flag = below(2) == 0 ? zone_flag::kReclaimActive : zone_flag::kBoostedWatermark;
      const std::int64_t cma = static_cast<std::int64_t>(below(64)) - 16;
      on_both([&](Machine& machine) {
        ZoneState& state = machine.view().zones[zone];
        state.flags ^= flag;
        KswapdState& kswapd = machine.view().nodes[state.node.raw()].kswapd;
        kswapd.running = !kswapd.running;
        if (config.has_cma && state.is_populated())
          state.stat[static_cast<std::size_t>(ZoneStat::FreeCmaPages)] = cma;
      });
    }
    if (step % 16 == 0) {
      const auto got = quick->bytes();
      const auto expected = whole->bytes();
      ASSERT_TRUE(std::ranges::equal(got, expected)) << "step " << step;
    }
  }
  EXPECT_GT(served, 100U);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Generation* generation : lab::generations())
    for (const char* words :
         {"12M, 1 cpus, no reserve", "48M, 2 cpus", "2 nodes of 32M, 4 cpus", "64M, 1 cpus, movablecore 32M"})
      all.push_back({generation, words, all.size() % 3 == 0});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Machines, QuickPath, ::testing::ValuesIn(cases()));

TEST(QuickPath, WhatHangsOnTheRulesFollowsThem) {
  auto spec = lab::read_machine_words("64M, 1 cpus");
  ASSERT_TRUE(spec) << spec.error().text();
  TestMachine machine{*spec, spec->config()};
  const Request request{.gfp = gfp::kHighUserMovable, .order = Order{0}, .cpu = CpuId{0}};
  const auto list_of_next = [&](Migratetype type) {
    const MachineView& view = machine->view();
    const UsualStart& start = view.usual_start(CpuId{0}, gfp::kHighUserMovable);
    return (*start.pageset).lists[view.pcp_shape.index(0, type)].head;
  };
  for (const bool disabled : {true, false, true}) {
    machine->change_rules([&](Rules& rules) { rules.mobility_disabled = disabled; });
    for (const Gfp fill : {gfp::kHighUserMovable, gfp::kKernel})
      for (int i = 0; i < 2; ++i)
        machine->free(*machine->alloc({.gfp = fill, .order = Order{0}, .cpu = CpuId{0}}), Order{0}, CpuId{0});
    const FrameIndex expected = list_of_next(disabled ? Migratetype::Unmovable : Migratetype::Movable);
    const AllocResult got = machine->alloc(request);
    if (expected != kNil) {
      EXPECT_EQ(machine->view().env.map.index(*got), expected);
    }
    machine->free(*got, Order{0}, CpuId{0});
  }
}

}  // namespace
}  // namespace mmbox
