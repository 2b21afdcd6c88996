// What reaches the reader is not what the kernel printed: prefixes, mail, wrapping, loss, interleaving. The same report
// must come out, or as much of it as is left.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/explain/explain_testing.h"
#include "mmbox/lab/explain/line_prefix.h"
#include "mmbox/lab/explain/print.h"
#include "mmbox/lab/explain/record.h"

namespace mmbox::lab::explain {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text) {
  Lines lines;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string joined(const Lines& lines, const std::string& end = "\n") {
  std::string text;
  for (const std::string& line : lines)
    text += line + end;
  return text;
}

/// A shipped report without the line that names its source.
Lines report_lines(const std::string& name) {
  Lines lines = lines_of(report_text(name));
  lines.erase(lines.begin());
  return lines;
}

/// The text without its timestamp "[ 1186.232273] ".
std::string without_time(const std::string& line) {
  const std::size_t end = line.find("] ");
  return !line.empty() && line.front() == '[' && end != std::string::npos ? line.substr(end + 2) : line;
}

Lines each(const Lines& lines, const std::function<std::string(const std::string&)>& change) {
  Lines result;
  for (const std::string& line : lines)
    result.push_back(change(line));
  return result;
}

/// What an explanation says, apart from where it was found.
std::string gist(const Explanation& e) {
  std::string text = e.verdict.sentence + "\n" + e.report.comm + "\n" + e.kernel + "\n";
  for (const ZoneFacts& zone : e.zones) {
    text += zone.label() + " " + name_of(zone.check) + " short " + std::to_string(zone.short_by) + " free " +
            std::to_string(zone.free.value_or(-1)) + " reserves";
    for (const std::int64_t pages : zone.lowmem_reserve)
      text += fmt::format(" {}", pages);
    if (zone.check != Check::Empty)  // nothing hangs on the blocks of a zone without memory
      for (const OrderBlocks& blocks : zone.blocks)
        text += fmt::format(" {}{}", blocks.count, blocks.letters);
    text += "\n";
  }
  return text;
}

std::string only_gist(const std::string& log) {
  const std::vector<Explanation> all = explain_all(log);
  return all.size() == 1 ? gist(all[0]) : fmt::format("found {} reports", all.size());
}

std::string in_json(const std::string& line) {
  std::string result;
  for (const char c : line) {
    if (c == '"' || c == '\\')
      result += '\\';
    if (c == '\t')
      result += "\\t";
    else
      result += c;
  }
  return result;
}

/// Breaks lines at `width` columns at a blank, as mailers do.
Lines wrapped(const Lines& lines, std::size_t width) {
  Lines result;
  for (std::string line : lines) {
    while (line.size() > width) {
      std::size_t at = line.rfind(' ', width);
      if (at == std::string::npos || at < 20)
        break;
      result.push_back(line.substr(0, at));
      line = line.substr(at + 1);
    }
    result.push_back(line);
  }
  return result;
}

/// Breaks lines hard at `width` columns, in the middle of words.
Lines chopped(const Lines& lines, std::size_t width) {
  Lines result;
  for (const std::string& line : lines)
    for (std::size_t at = 0; at == 0 || at < line.size(); at += width)
      result.push_back(line.substr(at, width));
  return result;
}

class Mangled : public testing::TestWithParam<const char*> {};

TEST_P(Mangled, TheSameReportComesOut) {
  const Lines lines = report_lines(GetParam());
  const std::string clean = only_gist(joined(lines));
  const Lines plain = each(lines, without_time);
  const auto with_prefix = [&](const std::string& prefix) {
    return joined(each(plain, [&](const std::string& line) { return prefix + line; }));
  };
  const std::map<std::string, std::string> ways{
      {"without times", joined(plain)},
      {"carriage returns", joined(lines, "\r\n")},
      {"two carriage returns", joined(lines, "\r\r\n")},
      {"mail quote", joined(each(lines, [](const std::string& line) { return std::string{"> "} + line; }))},
      {"quote of a quote", joined(each(lines, [](const std::string& line) { return std::string{"> >"} + line; }))},
      {"bar quote and indent", joined(each(lines, [](const std::string& line) { return std::string{"| \t"} + line; }))},
      {"level", with_prefix("<4>")},
      {"journal as JSON", joined(each(plain, [](const std::string& line) {
         return R"({"_HOSTNAME":"host","MESSAGE" : ")" + in_json(line) + R"(","_TRANSPORT":"kernel"})";
       }))},
      {"journal as JSON over lines", joined(each(plain, [](const std::string& line) {
         return "{\n\t\"PRIORITY\" : \"4\",\n\t\"MESSAGE\" : \"" + in_json(line) + "\",\n\t\"_PID\" : \"1\"\n}";
       }))},
      {"container's JSON", joined(each(plain, [](const std::string& line) {
         return R"({"log":")" + in_json(line) + R"(\n","stream":"stdout"})";
       }))},
      {"journal export", joined(each(plain, [](const std::string& line) {
         return "__CURSOR=s=1\n_TRANSPORT=kernel\nMESSAGE=" + line + "\n";
       }))},
      {"RFC 5424", with_prefix("<4>1 2024-05-01T12:00:00.123456+02:00 host kernel - - - [75669.581768] ")},
      {"container runtime", with_prefix("2024-05-01T12:00:00.123456789Z stdout F [75669.581768] ")},
      {"syslog server of netconsole", with_prefix("Mar 25 23:35:18 192.168.1.7 [75669.581768] ")},
      {"syslog server without kernel times", with_prefix("Mar 25 23:35:18 192.168.1.7 ")},
      {"netconsole with release", with_prefix("6.6.0-rc1,4,1000,5678901,-;")},
      {"dmesg -H", with_prefix("[  +0.000004] ")},
      {"grep -n", with_prefix("123:")},
      {"cat -n", with_prefix("   123\t")},
      {"table", with_prefix("host-1 | [75669.581768] ")},
      {"NULs", joined(each(plain, [](const std::string& line) { return std::string(2, '\0') + line + '\0'; }))},
      {"word wrap behind a syslog prefix", joined(wrapped(each(plain, [](const std::string& line) {
         return "Mar 25 23:35:18 web-01 kernel: [ 1234.567890] " + line;
       }), 76))},
      {"level and time", with_prefix("<4>[  123.456789] ")},
      {"syslog", with_prefix("Dec 20 03:17:52 host-1 kernel: ")},
      {"syslog with time", with_prefix("Dec 20 03:17:52 host-1 kernel: [75669.581768] ")},
      {"RFC 3339", with_prefix("2024-05-01T12:00:00.123456+02:00 host kernel: ")},
      {"dmesg -T", with_prefix("[Mon Mar 25 23:35:18 2019] ")},
      {"dmesg -T in German", with_prefix("[Di Aug 12 03:54:03 2025] ")},
      {"kern :warn :", with_prefix("kern  :warn  : [   38.708419] ")},
      {"netconsole", with_prefix("4,1234,5678901,-;")},
      {"Android cpu", with_prefix("<6>[  123.456] c3  1234 ")},
      {"Android Samsung", with_prefix("[  123.456] [3:  kswapd0:  123] ")},
      {"Android MediaTek", with_prefix("[  123.456] (0)[123:kworker/0:1]")},
      {"colours",
       joined(each(lines, [](const std::string& line) { return std::string{"\x1b[33m"} + line + "\x1b[0m"; }))},
      {"HTML", joined(each(lines, [](const std::string& line) { return std::string{"&gt; "} + line + "<br>"; }))},
      {"rsyslog #012", joined(plain, "#012")},
      {"escaped newlines", joined(plain, "\\n")},
      {"wrapped at 78", joined(wrapped(lines, 78))},
      {"wrapped at 78 and quoted",
       joined(each(wrapped(lines, 78), [](const std::string& line) { return std::string{"> "} + line; }))},
      {"wrapped at 72 with blanks left",
       joined(each(wrapped(plain, 72), [](const std::string& line) { return line + " "; }))},
      {"underscores for stars", joined(each(lines,
                                            [](std::string line) {
                                              if (line.find("kB = ") != std::string::npos)
                                                std::replace(line.begin(), line.end(), '*', '_');
                                              return line;
                                            }))},
      {"other messages between",
       [&] {
         Lines noisy;
         for (const std::string& line : lines) {
           noisy.push_back(line);
           noisy.emplace_back("[ 1186.232611] eth0: link is up, 1000 Mbps, full duplex");
         }
         return joined(noisy);
       }()},
      {"prose around",
       std::string{"Hello,\n\nwe see a page allocation failure here:\n\n"} + joined(lines) + "\nThanks\n"},
  };
  for (const auto& [way, log] : ways)
    EXPECT_EQ(only_gist(log), clean) << way;
}

TEST_P(Mangled, PiecesOfAnySizeGiveTheSame) {
  const std::string log = std::string{"unrelated\n"} + joined(report_lines(GetParam())) + "unrelated\n";
  const std::string whole = only_gist(log);
  for (const std::size_t piece : {1U, 7U, 64U, 777U, 4096U}) {
    const std::vector<FailureReport> reports = read_reports(log, piece);
    ASSERT_EQ(reports.size(), 1U) << piece;
    EXPECT_EQ(gist(mmbox::lab::explain::explain(reports[0])), whole) << piece;
    EXPECT_EQ(reports[0].first_line, 2U);
  }
}

TEST_P(Mangled, AMissingLineIsNamedOrDoesNotMatter) {
  const Lines lines = report_lines(GetParam());
  const std::string clean = only_gist(joined(lines));
  for (std::size_t skipped = 0; skipped < lines.size(); ++skipped) {
    Lines rest = lines;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(skipped));
    const std::vector<Explanation> all = explain_all(joined(rest));
    ASSERT_EQ(all.size(), 1U) << "without: " << lines[skipped];
    if (gist(all[0]) != clean) {
      EXPECT_FALSE(all[0].missing.empty()) << "without: " << lines[skipped];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Reports, Mangled,
                         testing::Values("001.txt", "019.txt", "026.txt", "017.txt", "024.txt", "042.txt"),
                         [](const auto& file) { return std::string(file.param, 3); });

TEST(LogScanner, LinesChoppedInTheMiddleOfWordsAreGluedTogether) {
  // Terminals of 280 columns did this to 003.txt; here the zone lines of another report are cut at 130.
  const Lines lines = each(report_lines("026.txt"), without_time);
  EXPECT_EQ(only_gist(joined(chopped(lines, 130))), only_gist(joined(lines)));
}

TEST(LogScanner, TwoReportsInterleavedByCpuAreToldApartByTheirWriters) {
  const Lines first = each(report_lines("001.txt"), without_time);
  const Lines second = each(report_lines("026.txt"), without_time);
  Lines mixed;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size())
      mixed.push_back(std::string{"[ 10.000001][ T100] "} + first[i]);
    if (i < second.size())
      mixed.push_back(std::string{"[ 10.000001][   C2] "} + second[i]);
  }
  const std::vector<Explanation> all = explain_all(joined(mixed));
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(gist(all[0]), only_gist(joined(first)));
  EXPECT_EQ(gist(all[1]), only_gist(joined(second)));
}

TEST(LogScanner, TwoReportsInterleavedLineByLineDoNotMix) {
  const Lines first = report_lines("001.txt");
  const Lines second = report_lines("002.txt");
  Lines mixed;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size())
      mixed.push_back(first[i]);
    if (i < second.size())
      mixed.push_back(second[i]);
  }
  const std::vector<Explanation> all = explain_all(joined(mixed));
  ASSERT_EQ(all.size(), 2U);
  // Both headers are alike, and nothing in the lines says whose memory state follows: it may be either's, but never a
  // mixture of both.
  EXPECT_THAT((std::vector<std::string>{gist(all[0]), gist(all[1])}),
              testing::UnorderedElementsAre(only_gist(joined(first)), only_gist(joined(second))));
}

TEST(LogScanner, ReportsOneAfterTheOtherAreAllFoundInOrder) {
  std::string log;
  std::vector<std::string> expected;
  for (const char* name : {"001.txt", "002.txt", "017.txt", "019.txt", "026.txt", "042.txt"}) {
    log += joined(report_lines(name));
    expected.push_back(only_gist(joined(report_lines(name))));
  }
  std::vector<std::string> found;
  for (const Explanation& e : explain_all(log))
    found.push_back(gist(e));
  EXPECT_EQ(found, expected);
}

TEST(LogScanner, ATornReportDoesNotTakeTheLinesOfTheNext) {
  const Lines torn = {"[ 1.0] bash: page allocation failure: order:2, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
                      "[ 1.0] CPU: 0 PID: 9 Comm: bash Not tainted 6.1.0 #1"};
  const Lines whole = report_lines("026.txt");
  const std::vector<Explanation> all = explain_all(joined(torn) + joined(whole));
  ASSERT_EQ(all.size(), 2U);
  EXPECT_TRUE(all[0].is_torn);
  EXPECT_EQ(all[0].verdict.check, Check::CannotTell);
  EXPECT_EQ(gist(all[1]), only_gist(joined(whole)));
}

TEST(LogScanner, TheSubjectOfAMailIsNoReport) {
  EXPECT_TRUE(explain_all("Subject: Re: kswapd0: page allocation failure: order:0, mode:0x820(GFP_ATOMIC)\n").empty());
  EXPECT_TRUE(explain_all("# a | kswapd0: page allocation failure: order:0, mode:0x820(GFP_ATOMIC)\n").empty());
  EXPECT_TRUE(explain_all("see https://example.org/x: page allocation failure: order:0\n").empty());
  EXPECT_TRUE(explain_all("the kernel then invoked oom-killer and we lost\n").empty());
}

TEST(LogScanner, NothingIsFoundInNothing) {
  EXPECT_TRUE(explain_all("").empty());
  EXPECT_TRUE(explain_all("\n\n\n").empty());
  EXPECT_TRUE(explain_all(std::string(100000, '\0')).empty());
  EXPECT_TRUE(explain_all(std::string(1000000, 'a')).empty());
}

TEST(LogScanner, CountsLinesAcrossPiecesAndWithoutALastNewline) {
  CollectingSink sink;
  LogScanner scanner(sink);
  scanner.feed("a\nb");
  scanner.feed("c\n");
  scanner.feed("d");
  scanner.finish();
  EXPECT_EQ(scanner.lines(), 3U);
}

TEST(LogScanner, AnEndlessLineIsCutAndTheNextOneRead) {
  const std::string log = "x: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL) " + std::string(1U << 20, 'y') +
                          "\n" + joined(report_lines("026.txt"));
  const std::vector<Explanation> all = explain_all(log);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(gist(all[1]), only_gist(joined(report_lines("026.txt"))));
}

TEST(LogScanner, QuotedPrintableIsUndone) {
  const std::string log =
      "[ 1.0] a: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=3D(null)=\n"
      ",cpuset=3D/,mems_allowed=3D0\n"
      "[ 1.0] Mem-Info:\n"
      "[ 1.0] Node 0 Normal free:40kB boost:0kB min:80kB low:100kB high:120kB reserv=\n"
      "ed_highatomic:0KB present:9999kB managed:9999kB free_pcp:0kB local_pcp:0kB free_cma:0kB\n"
      "[ 1.0] lowmem_reserve[]: 0 0 0 0 0\n"
      "[ 1.0] Node 0 Normal: 10*4kB (U) 0*8kB =3D 40kB\n";
  const std::vector<FailureReport> reports = read_reports(log);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].mems_allowed, "0");
  ASSERT_EQ(reports[0].zones.size(), 1U);
  EXPECT_EQ(reports[0].zones[0].kb[ZoneField::ReservedHighatomic], 0);
  EXPECT_EQ(reports[0].zones[0].blocks_total_kb, 40);
}

// Found by mutation: it was given the number of a line after the last one.
TEST(LogScanner, ALastLineThatWasToGoOnHasItsOwnNumber) {
  const std::vector<FailureReport> reports = read_reports(
      "a: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=3D(null)\n"
      "Mem-Info:\n"
      "Node 0 Normal free:40kB min:80kB low:100kB high:120kB=\n");
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].zones.size(), 1U);
  EXPECT_EQ(reports[0].last_line, 3U);
}

TEST(LogScanner, ANodeThatWasPrintedOnALineOfItsOwnIsKept) {
  const std::vector<FailureReport> reports = read_reports(
      "a: page allocation failure: order:0, mode:0x20\n"
      "Mem-Info:\n"
      "Node 1 \n"
      "Normal free:40kB min:80kB low:100kB high:120kB present:9999kB managed:9999kB\n"
      "lowmem_reserve[]:\n 0\n 0\n 0\n 0\n"
      "Node 1 \n"
      "Normal: 1*4kB (U)\n 2*8kB (UM)\n 1*16kB\n = 36kB\n");
  ASSERT_EQ(reports.size(), 1U);
  ASSERT_EQ(reports[0].zones.size(), 1U);
  EXPECT_EQ(reports[0].zones[0].node, 1U);
  EXPECT_EQ(reports[0].zones[0].lowmem_reserve.size(), 4U);
  ASSERT_EQ(reports[0].zones[0].blocks.size(), 3U);
  EXPECT_EQ(reports[0].zones[0].blocks[1].letters, "UM");
  EXPECT_EQ(reports[0].zones[0].blocks_total_kb, 36);
}

TEST(LogScanner, HeadersOfEveryAgeAreRead) {
  struct Case {
    const char* line;
    const char* comm;
    int order;
    std::uint64_t mask;
  };
  for (const Case& c :
       {Case{"swapper: page allocation failure. order:3, mode:0x20", "swapper", 3, 0x20},
        Case{"[1.0] java: page allocation failure: order:4, mode:0x10c0d0", "java", 4, 0x10c0d0},
        Case{"[1.0] Web Content: page allocation failure: order:0, mode:0x400000(GFP_NOWAIT), nodemask=0-1",
             "Web Content", 0, 0x400000},
        Case{"httpd invoked oom-killer: gfp_mask=0x201d2, order=0, oomkilladj=0", "httpd", 0, 0x201d2},
        Case{"a invoked oom-killer: gfp_mask=0x14200ca(GFP_HIGHUSER_MOVABLE), nodemask=(null),  order=2, "
             "oom_score_adj=0",
             "a", 2, 0x14200ca}}) {
    const std::vector<FailureReport> reports = read_reports(std::string{c.line} + "\n");
    ASSERT_EQ(reports.size(), 1U) << c.line;
    EXPECT_EQ(reports[0].comm, c.comm);
    EXPECT_EQ(reports[0].order, c.order);
    EXPECT_EQ(reports[0].gfp_mask, c.mask);
  }
}

// Found by the fuzzer: the line ends right after the words that it was known by.
TEST(LogScanner, AKillLineThatEndsEarlyIsNoReport) {
  EXPECT_TRUE(explain_all("Out of memory: Killed process\n").empty());
  EXPECT_TRUE(explain_all("Out of memory: Kill process \n").empty());
}

TEST(LinePrefix, TaskRowsAndAddressesAreNotPrefixes) {
  EXPECT_EQ(strip_prefix("[  893]     0   893    27572").text, "[  893]     0   893    27572");
  EXPECT_EQ(strip_prefix("[<c010d415>] (unwind_backtrace)").text, "[<c010d415>] (unwind_backtrace)");
  EXPECT_EQ(strip_prefix("[ 1.5] [c13a3980] [c0770974] dump_stack_lvl").text, "[c13a3980] [c0770974] dump_stack_lvl");
}

TEST(LinePrefix, TheWriterIsKept) {
  EXPECT_NE(strip_prefix("[  1.5][T67023] x").writer, 0U);
  EXPECT_NE(strip_prefix("[  1.5][T67023] x").writer, strip_prefix("[  1.5][   C1] x").writer);
  EXPECT_EQ(strip_prefix("[  1.5] x").writer, 0U);
  EXPECT_NE(strip_prefix("4,1,2,-,caller=T7;x").writer, 0U);
}

}  // namespace
}  // namespace mmbox::lab::explain
