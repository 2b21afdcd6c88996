#include "mmbox/report/explain_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mmbox::report {
namespace {

using lab::explain::Attempt;
using lab::explain::Explanation;
using lab::explain::RequestFacts;
using lab::explain::ZoneFacts;
using testing::HasSubstr;
using testing::Not;

TEST(ExplainPage, WhatALogSaysIsEscaped) {
  EXPECT_EQ(escape_html("<script>\"&'\x01"), "&lt;script&gt;&quot;&amp;&#39; ");
  Explanation e{};
  e.report.comm = "<script>alert(1)</script>";
  e.kernel = "6.1\"><img src=x>";
  e.verdict.sentence = "<b>";
  e.remedies.push_back({.text = "<i>", .zone = "", .margin = {}});
  e.missing.emplace_back("<u>");
  e.notes.emplace_back("</section>");
  e.slow_path.push_back({"<s>", true, "<t>"});
  ZoneFacts zone{};
  zone.name = "<zone>";
  zone.is_eligible = true;
  zone.free = 10;
  zone.min = 5;
  zone.blocks.push_back({.count = 1, .size_kb = 4, .letters = "<L>"});
  zone.attempts.push_back(Attempt{});
  e.zones.push_back(zone);
  e.request = RequestFacts{};
  e.request->mask_text = "<m>";
  const std::string html = explain_page_report(e, 1);
  for (const char* raw :
       {"<script>", "<img", "<b>", "<i>", "<u>", "</section>\n</ul>", "<s>", "<t>", "<zone>", "<L>", "<m>"})
    EXPECT_THAT(html, Not(HasSubstr(raw))) << raw;
  EXPECT_THAT(html, HasSubstr("&lt;zone&gt;"));
}

TEST(ExplainPage, ThePageLoadsNothing) {
  const std::string page = explain_page_begin() + explain_page_report(Explanation{}, 1) + explain_page_end();
  for (const char* outside : {"http:", "https:", "<script", "<link", "url(http", "@import", "src="})
    EXPECT_THAT(page, Not(HasSubstr(outside))) << outside;
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(ExplainPage, TheLadderIsToScale) {
  Explanation e{};
  e.request = RequestFacts{};
  ZoneFacts zone{};
  zone.name = "Normal";
  zone.is_eligible = true;
  zone.free = 500;
  zone.min = 250;
  zone.high = 1000;
  Attempt attempt{};
  attempt.left = 400;
  attempt.need = 250;
  zone.attempts.push_back(attempt);
  e.zones.push_back(zone);
  const std::string html = explain_page_report(e, 1);
  // 1000 pages are 700 units wide and begin at 150.
  EXPECT_THAT(html, HasSubstr("width=\"350.0\" height=\"20\" fill=\"#9ec5e8\""));  // free
  EXPECT_THAT(html, HasSubstr("x=\"430.0\""));                                     // held back: 400 to 500
  EXPECT_THAT(html, HasSubstr("x1=\"325.0\""));                                    // min
  EXPECT_THAT(html, HasSubstr("x1=\"850.0\""));                                    // high
}

}  // namespace
}  // namespace mmbox::report
