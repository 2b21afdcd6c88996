#include "mmbox/lab/workload/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mmbox::lab {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& text) {
  const auto workload = read_workload(text, "w.toml");
  return workload ? "" : workload.error().text();
}

/// The shortest workload that there is, with more lines in front.
std::string with(const std::string& lines) {
  return lines + "machine = \"64M\"\n[[phase]]\nduration = \"1s\"\n";
}

TEST(Workload, TheShortestHasDefaultsForEverything) {
  const auto workload = read_workload(with(""), "w.toml");
  ASSERT_TRUE(workload) << workload.error().text();
  EXPECT_EQ(workload->machine, "64M");
  EXPECT_EQ(workload->phases.size(), 1u);
  EXPECT_EQ(workload->phases[0].name, "phase 1");
  EXPECT_EQ(workload->duration_ns(), 1'000'000'000u);
  for (const Demanded kind : {Demanded::Movable, Demanded::Unmovable, Demanded::Reclaimable})
    EXPECT_TRUE(std::ranges::any_of(workload->requests, [&](const RequestKind& r) { return r.kind == kind; }));
}

TEST(Workload, WhatIsWrittenIsRead) {
  const auto workload = read_workload(R"(
machine = "machines/small.toml"
seed = 9
tick = "1ms"
sample = "2s"
oom = "fail"
swap = "1M"
[settings]
vm.swappiness = 100
vm.min_free_kbytes = 4096
[start]
anonymous = "2M"
holes = 12.5
[[request]]
kind = "unmovable"
order = 3
gfp = "GFP_ATOMIC"
weight = 5
[[phase]]
name = "one"
duration = "2min"
allocations = 100
movable = 1
live = "3M"
pinned = 0.01
)",
                                      "dir/w.toml");
  ASSERT_TRUE(workload) << workload.error().text();
  EXPECT_EQ(workload->machine, "dir/machines/small.toml") << "paths are seen from the file's folder";
  EXPECT_EQ(workload->seed, 9u);
  EXPECT_EQ(workload->tick_ns, 1'000'000u);
  EXPECT_EQ(workload->sample_ns, 2'000'000'000u);
  EXPECT_EQ(workload->oom, OomDecision::Fail);
  EXPECT_EQ(workload->swap_pages, 256u);
  EXPECT_THAT(workload->settings, testing::ElementsAre("vm.swappiness=100", "vm.min_free_kbytes=4096"));
  EXPECT_EQ(workload->start.anonymous, 512u);
  EXPECT_EQ(workload->start.holes_ppm, 125'000u);
  EXPECT_EQ(workload->requests[0].order, 3u);
  EXPECT_EQ(workload->requests[0].gfp, gfp::kAtomicRequest);
  const Phase& phase = workload->phases[0];
  EXPECT_EQ(phase.duration_ns, 120'000'000'000u);
  EXPECT_EQ(phase.shares, (std::array<std::uint32_t, 3>{1, 0, 0}));
  EXPECT_EQ(phase.live_pages, 768u);
  EXPECT_EQ(phase.pinned_ppm, 100u);
}

TEST(Workload, ARefusalNamesPlaceAndRemedy) {
  EXPECT_EQ(error_of("[[phase]]\nduration = \"1s\"\n"),
            "w.toml:1: column 1, the file: no machine is given; give either machine = \"64G, 16 cpus\" or snapshot = "
            "\"FILE:LABEL\"");
  EXPECT_THAT(error_of("machine = \"1G\"\n"), HasSubstr("nothing is asked of the machine; write [[phase]]"));
  EXPECT_EQ(error_of(with("sede = 1\n")), "w.toml:1: column 1, the file: unknown key \"sede\"; did you mean \"seed\"?");
  EXPECT_THAT(error_of(with("tick = \"10 fortnights\"\n")),
              HasSubstr("w.toml:1: column 8, the file tick: this is not"));
  EXPECT_THAT(error_of(with("tick = \"1h\"\n")), HasSubstr("give 100us to 1s"));
  EXPECT_THAT(error_of(with("oom = \"panic\"\n")), HasSubstr("neither \"kill\" nor \"fail\""));
  EXPECT_THAT(error_of(with("swap = 12\n")), HasSubstr("this is not a size"));
  EXPECT_THAT(error_of(with("") + "movable = 0\nunmovable = 0\n"), HasSubstr("all shares are 0"));
  EXPECT_THAT(error_of(with("") + "pinned = 101\n"), HasSubstr("give a number from 0 to 100"));
  EXPECT_THAT(error_of(with("") + "pinned = nan\n"), HasSubstr("give a number from 0 to 100"));
  EXPECT_THAT(error_of(with("") + "[settings]\nvm.min_free = 1\n"), HasSubstr("there is no setting"));
  const std::string request = with("") + "[[request]]\nkind = \"unmovable\"\n";
  EXPECT_THAT(error_of(request + "gfp = \"GFP_WHAT\"\n"),
              HasSubstr("w.toml:6: column 7, [[request]] gfp: there are no"));
  EXPECT_THAT(error_of(request + "gfp = \"GFP_KERNEL|__GFP_NOFAIL\"\n"), HasSubstr("leave __GFP_NOFAIL out"));
  EXPECT_THAT(error_of(request + "gfp = \"__GFP_DMA|__GFP_DMA32\"\n"), HasSubstr("two zones"));
  EXPECT_THAT(error_of(request + "order = 11\n"), HasSubstr("0 to 10"));
  EXPECT_THAT(error_of("machine"), HasSubstr("examples/workloads"));
}

TEST(Workload, LengthsOfTimeHaveUnits) {
  EXPECT_EQ(parse_duration("10ms"), 10'000'000u);
  EXPECT_EQ(parse_duration("1 h"), 3'600'000'000'000u);
  EXPECT_EQ(parse_duration("250us"), 250'000u);
  for (const char* none : {"", "10", "s", "1.5s", "-1s", "10 days", "99999999999h", "18446744073709551616s"})
    EXPECT_EQ(parse_duration(none), std::nullopt) << none;
}

TEST(Workload, AFileThatIsNotThereIsNamed) {
  const auto workload = load_workload("/no/such/w.toml");
  ASSERT_FALSE(workload);
  EXPECT_EQ(workload.error().file, "/no/such/w.toml");
}

}  // namespace
}  // namespace mmbox::lab
