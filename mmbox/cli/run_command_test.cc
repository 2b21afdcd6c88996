#include "mmbox/cli/run_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "mmbox/cli/command_testing.h"

namespace mmbox::cli {
namespace {

using testing::HasSubstr;

std::string example(const std::string& name) {
  return std::string{MMBOX_SOURCE_DIR} + "/examples/workloads/" + name;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(RunCommand, TheExampleRunsOutOfMemoryAndSaysHow) {
  const Ran ran = run_command(add_run_command, {"run", example("exhaustion.toml")});
  EXPECT_EQ(ran.exit_code, kFlagged) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("kswapd is woken        first at"));
  EXPECT_THAT(ran.out, HasSubstr("killed at"));
  EXPECT_LT(ran.out.find("kswapd is woken"), ran.out.find("direct reclaim"));
  EXPECT_LT(ran.out.find("direct reclaim"), ran.out.find("a task is killed"));
}

TEST(RunCommand, WritesTheSameFilesForTheSameSeed) {
  const auto folder = std::filesystem::path{testing::TempDir()} / "mmbox-run-test";
  std::filesystem::remove_all(folder);
  for (const char* run : {"a", "b"}) {
    const Ran ran =
        run_command(add_run_command, {"run", example("exhaustion.toml"), "--json", "--out", (folder / run).string(),
                                      "--events", (folder / run / "t").string(), "--systems", "oom,vmscan"});
    EXPECT_EQ(ran.exit_code, kFlagged) << ran.err;
    EXPECT_EQ(nlohmann::json::parse(ran.out)["schema"], "mmbox-run/1");
  }
  for (const char* name :
       {"vmstat.csv", "buddyinfo.csv", "extfrag.csv", "unusable.csv", "run.db", "reports.txt", "t"}) {
    const std::string first = bytes_of(folder / "a" / name);
    EXPECT_GT(first.size(), 200u) << name;
    EXPECT_TRUE(first == bytes_of(folder / "b" / name)) << name;
  }
  EXPECT_TRUE(bytes_of(folder / "a" / "run.db").starts_with("SQLite format 3"));
  EXPECT_TRUE(bytes_of(folder / "a" / "vmstat.csv").starts_with("ms,nr_free_pages,"));
  std::filesystem::remove_all(folder);
}

TEST(RunCommand, BadWordsAreTold) {
  const Ran none = run_command(add_run_command, {"run", "/no/such/workload.toml"});
  EXPECT_EQ(none.exit_code, kUnusable);
  EXPECT_THAT(none.err, HasSubstr("mmbox run: /no/such/workload.toml:"));
  EXPECT_EQ(run_command(add_run_command, {"run", example("exhaustion.toml"), "--oom", "panic"}).exit_code, kUnusable);
  const Ran folder = run_command(add_run_command, {"run", example("exhaustion.toml"), "--out", "/proc/none"});
  EXPECT_EQ(folder.exit_code, kUnusable);
  EXPECT_THAT(folder.err, HasSubstr("the folder cannot be made"));
}

}  // namespace
}  // namespace mmbox::cli
