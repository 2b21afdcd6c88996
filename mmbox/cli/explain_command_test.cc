#include "mmbox/cli/explain_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mmbox::cli {
namespace {

using testing::HasSubstr;

struct Result {
  int exit_code = -1;
  std::string out{};
  std::string err{};
};

/// Runs `mmbox explain` with these words.
Result run(std::vector<std::string> words) {
  CLI::App app{"test"};
  Result result;
  add_explain_command(app, result.exit_code);
  words.insert(words.begin(), "explain");
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError&) {
    result.exit_code = 2;
  }
  std::fflush(stdout);
  result.out = testing::internal::GetCapturedStdout();
  result.err = testing::internal::GetCapturedStderr();
  return result;
}

std::string data(const std::string& name) {
  return std::string{MMBOX_TEST_DATA} + "/reports/" + name;
}

std::string temporary(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "explain_command_" + name;
  std::ofstream{path} << text;
  return path;
}

TEST(ExplainCommand, AWholeReportGivesZero) {
  const Result result = run({data("019.txt")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("memory is fragmented"));
  EXPECT_EQ(result.err, "");
}

TEST(ExplainCommand, NothingFoundAndTornReportsGiveOne) {
  const Result none = run({temporary("none", "nothing here\n")});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("no failure report in 1 line"));
  EXPECT_EQ(run({temporary("empty", "")}).exit_code, 1);
  EXPECT_EQ(run({temporary("torn", "a: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL)\n")}).exit_code, 1);
}

TEST(ExplainCommand, WhatCannotBeReadGivesTwoAndSaysWhy) {
  const Result folder = run({testing::TempDir()});
  EXPECT_EQ(folder.exit_code, 2);
  EXPECT_THAT(folder.err, HasSubstr("folder"));
  EXPECT_EQ(run({"/nonexistent/file"}).exit_code, 2);
  EXPECT_EQ(run({}).exit_code, 2);
  EXPECT_EQ(run({"--json", "--html", data("019.txt")}).exit_code, 2);
  const Result wide = run({temporary("utf16", std::string{"\xff\xfe"
                                                          "a\0",
                                                          4})});
  EXPECT_EQ(wide.exit_code, 2);
  EXPECT_THAT(wide.err, HasSubstr("iconv"));
}

TEST(ExplainCommand, AGoodFileIsExplainedBesideABadOne) {
  const Result result = run({"/nonexistent/file", data("026.txt")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.out, HasSubstr("short by 56 pages"));
}

TEST(ExplainCommand, JsonIsWholeAndVersioned) {
  const Result result = run({"--json", data("019.txt"), data("003.txt")});
  const nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["schema"], "mmbox-explain/1");
  ASSERT_EQ(json["reports"].size(), 3U);
  EXPECT_EQ(json["reports"][0]["verdict"]["check"], "fragmented");
  EXPECT_EQ(json["reports"][1]["verdict"]["short_by_pages"], 485);
  EXPECT_EQ(json["reports"][2]["request"], nullptr);
  EXPECT_EQ(result.exit_code, 1);  // the second report of 003.txt has no header
  EXPECT_EQ(nlohmann::json::parse(run({"--json", temporary("empty2", "")}).out)["reports"].size(), 0U);
}

TEST(ExplainCommand, ARecordedStateIsAskedWhetherItRefuses) {
  const Result result =
      run({"--json", data("oom-dump-6.1.dmesg.zst"), "--check-against", data("oom-dump-6.1.log.zst")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["reports"].size(), 15U);
  for (const auto& report : json["reports"])
    EXPECT_EQ(report["check_against"]["refuses"], true);
  EXPECT_EQ(run({data("019.txt"), "--check-against", data("019.txt")}).exit_code, 2);
}

TEST(ExplainCommand, HtmlIsOnePage) {
  const Result result = run({"--html", data("019.txt")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("<!DOCTYPE html>"));
  EXPECT_THAT(result.out, HasSubstr("</html>"));
}

}  // namespace
}  // namespace mmbox::cli
