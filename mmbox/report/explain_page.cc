#include "mmbox/report/explain_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace mmbox::report {
namespace {

using namespace lab::explain;

// Colours carry nothing that text, letters or hatching do not say as well.
constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>mmbox explain</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem;color:#111;background:#fff}
section{border-top:2px solid #111;padding:.5rem 0 2rem}
h2{font-size:1.05rem;margin:.4rem 0;font-weight:600;color:#444}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
.verdict{font-size:1.2rem;margin:.4rem 0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.15rem .6rem;border-bottom:1px solid #ccc;text-align:right}
th{font-weight:600}td:first-child,th:first-child,td.l,th.l{text-align:left}
svg{display:block;max-width:100%;height:auto;font:12px system-ui,sans-serif}
.tag{border:1px solid #111;border-radius:3px;padding:0 .3rem;font-size:.85em}
.small{color:#444;font-size:.92em}
.wide{overflow-x:auto}
</style></head><body>
<h1>mmbox explain</h1>
)";

std::string pages(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : std::string{"?"};
}

/// One zone as a bar from 0 to `scale` pages: what is free, what of it is held back, and where the marks stand.
void zone_bar(std::string& out, const ZoneFacts& zone, std::int64_t scale, unsigned y) {
  constexpr double kLeft = 150;
  constexpr double kWidth = 700;
  const auto x = [&](std::int64_t n) {
    const auto inside = static_cast<double>(std::clamp<std::int64_t>(n, 0, scale));
    return kLeft + kWidth * inside / static_cast<double>(scale);
  };
  const Attempt& attempt = zone.attempts.back();
  const std::int64_t free = zone.free.value_or(0);
  out += fmt::format("<text x=\"0\" y=\"{}\">{}</text>", y + 15, escape_html(zone.label()));
  out += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"20\" fill=\"#9ec5e8\" stroke=\"#111\">"
      "<title>{} free pages</title></rect>",
      kLeft, y, x(free) - kLeft, free);
  if (attempt.left < free)
    out += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"20\" fill=\"url(#held)\" stroke=\"#111\">"
        "<title>{} pages held back</title></rect>",
        x(attempt.left), y, x(free) - x(attempt.left), free - attempt.left);
  const auto mark = [&](std::int64_t at, const char* dash, const std::string& name) {
    out += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\" stroke=\"#111\" stroke-width=\"2\" "
        "stroke-dasharray=\"{3}\"><title>{4} {5}</title></line>",
        x(at), y - 4, y + 24, dash, escape_html(name), at);
  };
  if (zone.min)
    mark(*zone.min, "2 2", "min");
  if (zone.low)
    mark(*zone.low, "4 3", "low");
  if (zone.high)
    mark(*zone.high, "8 3", "high");
  mark(attempt.need, "none", "needed:");
  out += fmt::format("<text x=\"{:.0f}\" y=\"{}\">{}</text>", kLeft, y + 38,
                     escape_html(fmt::format("free {}, left {}, needed more than {} (reserve {}), margin {:+d}: {}",
                                             free, attempt.left, attempt.need, attempt.lowmem_reserve, attempt.margin,
                                             name_of(zone.check))));
}

void ladder(std::string& out, const Explanation& e) {
  std::int64_t scale = 1;
  unsigned rows = 0;
  for (const ZoneFacts& zone : e.zones) {
    if (zone.attempts.empty())
      continue;
    ++rows;
    scale = std::max({scale, zone.free.value_or(0), zone.high.value_or(0), zone.attempts.back().need});
  }
  if (rows == 0)
    return;
  constexpr unsigned kRow = 58;
  out += "<h3>Zone ladder, to scale</h3>\n<div class=\"wide\">";
  out += fmt::format(
      "<svg viewBox=\"0 0 870 {0}\" width=\"870\" height=\"{0}\" role=\"img\" aria-label=\"free pages and "
      "marks of each zone\"><defs><pattern id=\"held\" width=\"6\" height=\"6\" "
      "patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"6\" fill=\"#fff\"/><path d=\"M0 6L6 "
      "0\" stroke=\"#111\"/></pattern></defs>",
      rows * kRow + 10);
  unsigned y = 8;
  for (const ZoneFacts& zone : e.zones) {
    if (zone.attempts.empty())
      continue;
    zone_bar(out, zone, scale, y);
    y += kRow;
  }
  out +=
      "</svg></div>\n<p class=\"small\">Full bar: free pages; hatched: held back from this request. Marks: dotted min, "
      "dashed low, long dashes high (boost included); solid: what must be exceeded.</p>\n";
}

void blocks(std::string& out, const Explanation& e) {
  std::size_t orders = 0;
  for (const ZoneFacts& zone : e.zones)
    orders = std::max(orders, zone.blocks.size());
  if (orders == 0)
    return;
  out += "<h3>Free blocks by order and type</h3>\n<div class=\"wide\"><table><tr><th>zone</th>";
  for (std::size_t o = 0; o < orders; ++o) {
    const bool wanted = e.request && o == e.request->order;
    out += fmt::format("<th>{}{}</th>", o, wanted ? " ◂" : "");
  }
  out += "</tr>\n";
  for (const ZoneFacts& zone : e.zones) {
    if (zone.blocks.empty())
      continue;
    out += fmt::format("<tr><td>{}</td>", escape_html(zone.label()));
    for (std::size_t o = 0; o < orders; ++o) {
      if (o >= zone.blocks.size())
        out += "<td></td>";
      else
        out +=
            fmt::format("<td>{}{}</td>", zone.blocks[o].count,
                        zone.blocks[o].letters.empty() ? std::string{} : "<br>" + escape_html(zone.blocks[o].letters));
    }
    out += "</tr>\n";
  }
  out +=
      "</table></div>\n<p class=\"small\">U unmovable, M movable, E reclaimable, H high-order atomic, C CMA (movable "
      "only), I isolated, R old reserve. ◂ the order that was asked for.</p>\n";
}

void zone_table(std::string& out, const Explanation& e) {
  if (e.zones.empty())
    return;
  out +=
      "<h3>Zones walked (pages)</h3>\n<div class=\"wide\"><table><tr><th>zone</th><th>free</th><th>rest of "
      "block</th><th>high-atomic</th><th>CMA</th><th>left</th><th>mark</th><th>with rights</th><th>reserve</th>"
      "<th>margin</th><th class=\"l\">verdict</th></tr>\n";
  for (const ZoneFacts& zone : e.zones) {
    if (zone.attempts.empty()) {
      out += fmt::format("<tr><td>{}</td><td>{}</td><td colspan=\"8\"></td><td class=\"l\">{}</td></tr>\n",
                         escape_html(zone.label()), pages(zone.free), e.request ? name_of(zone.check) : "");
      continue;
    }
    for (const Attempt& a : zone.attempts)
      out += fmt::format(
          "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} {}</td>"
          "<td>{}</td><td>{}</td><td>{:+d}</td><td class=\"l\">{}</td></tr>\n",
          escape_html(zone.label()), pages(zone.free), a.block_pages, a.highatomic_pages, a.cma_pages, a.left,
          a.mark_name, a.printed_mark, a.lowered_mark, a.lowmem_reserve, a.margin, name_of(a.check));
  }
  out += "</table></div>\n";
}

void list(std::string& out, std::string_view title, const std::vector<std::string>& items) {
  if (items.empty())
    return;
  out += fmt::format("<h3>{}</h3>\n<ul>\n", title);
  for (const std::string& item : items)
    out += fmt::format("<li>{}</li>\n", escape_html(item));
  out += "</ul>\n";
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default:
        // Other control characters have no place in a page.
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t')
          result += c;
        else
          result += ' ';
    }
  }
  return result;
}

std::string explain_page_begin() {
  return std::string{kHead};
}

std::string explain_page_report(const Explanation& e, unsigned long long number) {
  std::string out =
      fmt::format("<section>\n<h2>Report {}, line {}: {}, task {}, kernel {}</h2>\n", number, e.report.first_line,
                  name_of(e.kind), escape_html(e.report.comm.empty() ? "?" : e.report.comm), escape_html(e.kernel));
  out += fmt::format("<p class=\"verdict\">{}</p>\n", escape_html(e.verdict.sentence));
  out += fmt::format("<p><span class=\"tag\">confidence {}</span>", name_of(e.confidence));
  if (e.request)
    out +=
        fmt::format(" order {} ({} bytes), {} (0x{:x}), zones up to {}, {}; tests of {}", e.request->order,
                    e.request->bytes, escape_html(e.request->mask_text), e.request->raw_mask,
                    zone_type_name(e.request->highest_zone), migratetype_name(e.request->type), escape_html(e.rules));
  out += "</p>\n";
  if (!e.remedies.empty()) {
    out += fmt::format("<h3>{}</h3>\n<ol>\n", lab::explain::remedies_heading(e));
    for (const Remedy& remedy : e.remedies)
      out += fmt::format("<li><span class=\"tag\">{}</span> {}</li>\n",
                         remedy.certainty == Certainty::Exact ? "exact" : "likely", escape_html(remedy.text));
    out += "</ol>\n";
  }
  ladder(out, e);
  zone_table(out, e);
  blocks(out, e);
  if (!e.slow_path.empty()) {
    out += "<h3>Slow path</h3>\n<div class=\"wide\"><table>\n";
    for (const SlowPathFact& fact : e.slow_path)
      out += fmt::format("<tr><td>{}</td><td class=\"l\">{}</td><td class=\"l\">{}</td></tr>\n", escape_html(fact.name),
                         fact.can ? "yes" : "no", escape_html(fact.text));
    out += "</table></div>\n";
  }
  list(out, "Missing", e.missing);
  list(out, "Notes", e.notes);
  out += "</section>\n";
  return out;
}

std::string explain_page_end() {
  return "</body></html>\n";
}

}  // namespace mmbox::report
