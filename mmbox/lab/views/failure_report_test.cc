#include "mmbox/lab/views/failure_report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <sstream>

#include "mmbox/lab/explain/explain_testing.h"
#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/snapshot/script_log.h"
#include "mmbox/lab/views/counters.h"
#include "tests/support/fake_hosts.h"

namespace mmbox::lab {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    lines.push_back(line);
  return lines;
}

/// The kernel's lines without time stamps, from "Mem-Info:" to "pages reserved".
std::vector<std::string> recorded_mem_info(const std::string& dmesg) {
  std::vector<std::string> lines;
  bool inside = false;
  for (std::string line : lines_of(dmesg)) {
    if (const auto end = line.find("] "); line.starts_with("[") && end != std::string::npos)
      line = line.substr(end + 2);
    inside = inside || line == "Mem-Info:";
    if (inside)
      lines.push_back(line);
    if (inside && line.ends_with("pages reserved"))
      break;
  }
  return lines;
}

std::string without_numbers(const std::string& line) {
  std::string form;
  for (const char c : line)
    if (std::isdigit(static_cast<unsigned char>(c)) == 0)
      form += c;
    else if (form.empty() || form.back() != '#')
      form += '#';
  return form;
}

/// The request that the recorded report is about: order 0, GFP_ATOMIC.
struct RecordedFailure : testing::Test {
  std::string dmesg = explain::report_text("oom-dump-6.1.dmesg.zst");
  Snapshot snapshot = *load_snapshot(std::string{MMBOX_TEST_DATA} + "/reports/oom-dump-6.1.log.zst");
  Image image = *image_of(snapshot, kLinux61);
  const ProcFormat& format = **proc_format_of(snapshot);
  RecordedCounters counters{snapshot, format};
  explain::Explanation recorded = std::move(explain::explain_all(dmesg).front());
  Request request{.gfp = gfp_layout_default().decode(static_cast<std::uint32_t>(recorded.report.gfp_mask.value_or(0))),
                  .order = Order{static_cast<unsigned>(recorded.report.order.value_or(0))},
                  .cpu = CpuId{0},
                  .node = {},
                  .nodemask = {},
                  .task = nullptr};
};

TEST_F(RecordedFailure, IsWrittenAsTheKernelWroteIt) {
  Task task;
  task.mems_allowed = NodeMask::of(NodeId{0});
  request.task = &task;
  const auto expected = recorded_mem_info(dmesg);
  const auto actual = recorded_mem_info(failure_report(image.machine(), request, format, &counters));
  ASSERT_EQ(actual.size(), expected.size());
  std::size_t equal = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // Which types a free list has, and how much, may have changed between the snapshot and the report.
    if (expected[i].find("*4kB") == std::string::npos) {
      EXPECT_EQ(without_numbers(actual[i]), without_numbers(expected[i]));
    }
    equal += actual[i] == expected[i] ? 1 : 0;
  }
  EXPECT_GE(equal * 10, expected.size() * 8) << "only a few numbers moved on";
}

TEST(FailureReport, ExplainReadsItBack) {
  test::SmallMachine m;
  test::FakeHosts hosts{m};
  m.free_block(16, 2);
  m.free_block(32, 0, Migratetype::Unmovable);
  m.zone().watermark = {500, 600, 700, 0};
  m.zone().nr_reserved_highatomic = 512;
  const Request request{
      .gfp = gfp::kKernel, .order = Order{4}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = nullptr};
  ASSERT_EQ(m.alloc(request), test::SmallMachine::kFailed);
  const std::string text = failure_report(m.machine(), request, *proc_format("linux-6.1"), nullptr);
  EXPECT_TRUE(text.starts_with(
      "mmbox: page allocation failure: order:4, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=/,mems_allowed=0"))
      << text;
  const auto explained = explain::explain_all(text);
  ASSERT_EQ(explained.size(), 1u) << text;
  const auto& report = explained[0].report;
  EXPECT_EQ(report.order, 4);
  EXPECT_EQ(report.gfp_mask, 0xcc0u);
  ASSERT_EQ(report.zones.size(), 1u);
  EXPECT_EQ(report.zones[0].kb[explain::ZoneField::Free], 20);
  EXPECT_EQ(report.zones[0].kb[explain::ZoneField::Min], 2000);
  EXPECT_EQ(report.zones[0].blocks_total_kb, 20);
  EXPECT_EQ(report.ram_pages, 4096);
  EXPECT_THAT(text, testing::HasSubstr("Node 0 Normal: 1*4kB (U) 0*8kB 1*16kB (M) 0*32kB"));
}

TEST(FailureReport, ZonesAboveTheRequestAreLeftOut) {
  test::SmallMachine m{test::SmallConfig{.zones = {{ZoneType::Dma32, 0, 4096, 0}, {ZoneType::Normal, 4096, 4096, 0}}}};
  const Request request{.gfp = gfp::kKernel | gfp::kDma32,
                        .order = Order{0},
                        .cpu = CpuId{0},
                        .node = {},
                        .nodemask = {},
                        .task = nullptr};
  const std::string text = failure_report(m.machine(), request, *proc_format("linux-6.1"), nullptr);
  EXPECT_THAT(text, testing::HasSubstr("Node 0 DMA32 free:"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("Node 0 Normal free:")));
}

TEST(FailureReport, RequestsThatStayOnTheirNodesListOnlyThose) {
  const NodeMask one = NodeMask::of(NodeId{1});
  Task task;
  EXPECT_EQ(listed_nodes(gfp::kKernel, task, one), one);
  EXPECT_EQ(listed_nodes(gfp::kAtomicRequest, task, one), NodeMask::all()) << "cannot wait: may look anywhere";
  task.memalloc = true;
  EXPECT_EQ(listed_nodes(gfp::kKernel, task, one), NodeMask::all());
  EXPECT_EQ(listed_nodes(gfp::kKernel | gfp::kNoMemalloc, task, one), one);
  task = Task{.in_interrupt = true};
  EXPECT_EQ(listed_nodes(gfp::kKernel, task, one), NodeMask::all());
}

TEST(FailureReport, SomeFailuresAreNotReported) {
  test::SmallMachine m;
  Request request{.gfp = gfp::kKernel, .order = Order{0}, .cpu = CpuId{0}, .node = {}, .nodemask = {}, .task = nullptr};
  EXPECT_TRUE(reports_failure(m.machine(), request));
  request.gfp = gfp::kKernel | gfp::kNoWarn;
  EXPECT_FALSE(reports_failure(m.machine(), request));
  request.gfp = gfp::kKernel | gfp::kDma;
  EXPECT_FALSE(reports_failure(m.machine(), request)) << "there is no DMA memory";
}

}  // namespace
}  // namespace mmbox::lab
