#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>

#include "mmbox/lab/explain/print.h"

namespace mmbox::lab::explain {
namespace {

constexpr std::size_t kColumns = 100;

/// Breaks `text` at blanks; the first line follows `head`, later ones are indented by `indent`.
void append_wrapped(std::string& out, std::string_view head, std::string_view text, std::size_t indent) {
  std::string line{head};
  std::size_t used = line.size();
  bool is_empty = true;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    const std::string_view word = text.substr(0, blank);
    if (!is_empty && used + 1 + word.size() > kColumns) {
      out += line + "\n";
      line.assign(indent, ' ');
      used = indent;
      is_empty = true;
    }
    if (!is_empty) {
      line += ' ';
      ++used;
    }
    // A single word that is too long, such as a cpuset's name, is cut hard.
    std::string_view rest = word;
    while (used + rest.size() > kColumns && used < kColumns) {
      const std::size_t fits = kColumns - used;
      out += line + std::string{rest.substr(0, fits)} + "\n";
      rest.remove_prefix(fits);
      line.assign(indent, ' ');
      used = indent;
    }
    line += rest;
    used += rest.size();
    is_empty = false;
    if (blank == std::string_view::npos)
      break;
    text.remove_prefix(blank + 1);
  }
  out += line + "\n";
}

void section(std::string& out, std::string_view name, std::string_view text) {
  append_wrapped(out, fmt::format("  {:<12}", name), text, 14);
}

std::string title(const Explanation& e, unsigned long long number) {
  std::string text = fmt::format("Report {}, line {}: {}", number, e.report.first_line, name_of(e.kind));
  if (!e.report.comm.empty())
    text += fmt::format(", task {}", printable(e.report.comm));
  text += fmt::format(", kernel {}", printable(e.kernel));
  return text;
}

std::string signed_pages(std::int64_t pages) {
  return fmt::format("{:+d}", pages);
}

void print_request(std::string& out, const Explanation& e) {
  if (!e.request)
    return;
  const RequestFacts& request = *e.request;
  section(out, "Request",
          fmt::format("order {} = {} page{} of {} KiB, {} (0x{:x}, bits as in {})", request.order,
                      std::uint64_t{1} << request.order, request.order == 0 ? "" : "s", e.page_bytes / 1024,
                      printable(request.mask_text), request.raw_mask, request.layout_name));
  std::string context = request.context.is_interrupt       ? "in interrupt context"
                        : request.context.is_kernel_thread ? "kernel thread"
                                                           : "task context";
  if (request.context.has_pf_memalloc)
    context += ", inside reclaim (PF_MEMALLOC)";
  section(out, "",
          fmt::format("zones up to {}, {}, {}", zone_type_name(request.highest_zone), migratetype_name(request.type),
                      context));
  std::string where;
  if (e.report.cpuset)
    where += fmt::format("cpuset {}", printable(*e.report.cpuset));
  if (e.report.mems_allowed)
    where += fmt::format("{}nodes {}", where.empty() ? "" : ", ", *e.report.mems_allowed);
  if (e.report.nodemask && *e.report.nodemask != "(null)")
    where += fmt::format("{}nodemask {}", where.empty() ? "" : ", ", *e.report.nodemask);
  if (!where.empty())
    section(out, "", where);
}

std::string verdict_text(const ZoneFacts& zone) {
  return zone.check == Check::Passes ? "passes" : name_of(zone.check);
}

void print_zones(std::string& out, const Explanation& e) {
  if (e.zones.empty())
    return;
  out += "\n";
  if (!e.request) {
    out += fmt::format("  {:<18}{:>12}{:>10}{:>10}{:>10}   pages\n", "zone", "free", "min", "low", "high");
    for (const ZoneFacts& zone : e.zones) {
      const auto cell = [](const std::optional<std::int64_t>& value) {
        return value ? std::to_string(*value) : std::string{"?"};
      };
      out += fmt::format("  {:<18}{:>12}{:>10}{:>10}{:>10}\n", zone.label(), cell(zone.free), cell(zone.min),
                         cell(zone.low), cell(zone.high));
    }
    return;
  }
  out += fmt::format("  {:<18}{:>11}{:>10}{:>11}{:>10}{:>11}  {}\n", "zone (pages)", "free", "held back", "mark",
                     "reserve", "margin", "verdict");
  for (const ZoneFacts& zone : e.zones) {
    if (zone.attempts.empty()) {
      out += fmt::format("  {:<18}{:>11}{:>42}  {}\n", zone.label(), zone.free ? std::to_string(*zone.free) : "?", "",
                         verdict_text(zone));
      continue;
    }
    const Attempt& attempt = zone.attempts.back();
    if (std::strcmp(attempt.mark_name, "none") == 0 || attempt.check == Check::CannotTell) {
      out += fmt::format("  {:<18}{:>11}{:>42}  {}\n", zone.label(), zone.free ? std::to_string(*zone.free) : "?",
                         attempt.check == Check::CannotTell ? "" : "no watermark", verdict_text(zone));
      continue;
    }
    out +=
        fmt::format("  {:<18}{:>11}{:>10}{:>11}{:>10}{:>11}  {}\n", zone.label(), zone.free.value_or(0),
                    zone.free.value_or(0) - attempt.left, fmt::format("{} {}", attempt.mark_name, attempt.lowered_mark),
                    attempt.lowmem_reserve, signed_pages(attempt.margin), verdict_text(zone));
  }
}

std::string attempt_text(const ZoneFacts& zone, const Attempt& attempt, unsigned e_order) {
  std::string text = fmt::format("{} free", zone.free.value_or(0));
  if (attempt.block_pages > 0)
    text += fmt::format(" - {} (rest of the block)", attempt.block_pages);
  if (attempt.highatomic_pages > 0)
    text += fmt::format(" - {}{} high-atomic", zone.highatomic_is_exact ? "" : "at least ", attempt.highatomic_pages);
  if (attempt.cma_pages > 0)
    text += fmt::format(" - {} CMA", attempt.cma_pages);
  text += fmt::format(" = {} left; {} {}", attempt.left, attempt.mark_name, attempt.printed_mark);
  if (zone.boost.value_or(0) > 0)
    text += attempt.without_boost
                ? fmt::format(" without boost {}", *zone.boost)
                : fmt::format(" (a boost of {}{} in it)", zone.boost_is_inferred ? "at least " : "", *zone.boost);
  if (attempt.lowered_mark != attempt.printed_mark)
    text += fmt::format(", lowered to {} by its rights", attempt.lowered_mark);
  if (attempt.lowmem_reserve > 0)
    text += fmt::format(" + lowmem_reserve {} = {}", attempt.lowmem_reserve, attempt.need);
  text += fmt::format(": {} {} {}", attempt.left, attempt.margin > 0 ? ">" : "is not >", attempt.need);
  if (attempt.margin > 0)
    text += fmt::format(", {} to spare", attempt.margin);
  else
    text += fmt::format(", short by {}", 1 - attempt.margin);
  if (attempt.is_loop && !attempt.loop_failed_first && attempt.check == Check::HighOrderWatermark)
    text +=
        fmt::format("; without the blocks of order{}: {} is not > {} (mark halved {}), short by {}",
                    attempt.loop_failed_order == 0 ? " 0" : fmt::format("s 0 to {}", attempt.loop_failed_order),
                    attempt.loop_left, attempt.loop_mark,
                    attempt.loop_failed_order == 0 ? "once" : fmt::format("{} times", attempt.loop_failed_order + 1),
                    attempt.short_by);
  else if (attempt.is_loop && attempt.check == Check::Passes && e_order > 0)
    text += fmt::format("; without all smaller blocks: {} > {}, {} to spare", attempt.loop_left, attempt.loop_mark,
                        attempt.spare());
  else if (attempt.margin > 0 && attempt.check != Check::Passes)
    text += fmt::format("; but {}", name_of(attempt.check));
  return text;
}

void print_arithmetic(std::string& out, const Explanation& e) {
  if (!e.request)
    return;
  out += "\n";
  for (const ZoneFacts& zone : e.zones) {
    if (zone.check == Check::NotEligible) {
      append_wrapped(out, fmt::format("  {}: ", zone.label()),
                     fmt::format("above {}: this request may not use it", zone_type_name(e.request->highest_zone)), 6);
      continue;
    }
    if (zone.check == Check::Empty) {
      append_wrapped(out, fmt::format("  {}: ", zone.label()), "has no memory", 6);
      continue;
    }
    if (zone.check == Check::NodeForbidden) {
      append_wrapped(out, fmt::format("  {}: ", zone.label()), "node forbidden by nodemask or cpuset", 6);
      continue;
    }
    for (const Attempt& attempt : zone.attempts) {
      if (std::strcmp(attempt.mark_name, "none") == 0)
        append_wrapped(out, fmt::format("  {}: ", zone.label()),
                       fmt::format("no watermark applies; {} free, {}", zone.free.value_or(0),
                                   attempt.check == Check::Passes ? "and a block to take" : "and no block to take"),
                       6);
      else if (attempt.check == Check::CannotTell)
        append_wrapped(out, fmt::format("  {}: ", zone.label()), "its numbers are not all in the report", 6);
      else
        append_wrapped(out, fmt::format("  {}: ", zone.label()), attempt_text(zone, attempt, e.request->order), 6);
    }
  }
}

void print_blocks(std::string& out, const Explanation& e) {
  const bool any = std::any_of(e.zones.begin(), e.zones.end(), [](const ZoneFacts& z) { return !z.blocks.empty(); });
  if (!any)
    return;
  out +=
      "\n  Free blocks by order, and by who may use them: U unmovable, M movable, E reclaimable (each lends\n"
      "  to the others), H high-order atomic, C CMA (movable only), I isolated (nobody), R old reserve\n";
  for (const ZoneFacts& zone : e.zones) {
    if (zone.blocks.empty())
      continue;
    std::string text;
    for (std::size_t o = 0; o < zone.blocks.size(); ++o) {
      const OrderBlocks& blocks = zone.blocks[o];
      text += fmt::format("{}{}:{}{}", o == 0 ? "" : " ", o, blocks.count,
                          blocks.letters.empty() ? std::string{} : fmt::format("({})", blocks.letters));
    }
    if (zone.blocks_elided)
      text += " … cut by the poster";
    append_wrapped(out, fmt::format("  {}: ", zone.label()), text, 6);
    if (zone.fragmentation_index && zone.is_eligible) {
      std::string indices = fmt::format("fragmentation index {}, unusable {} of 1000 for order {}",
                                        *zone.fragmentation_index, zone.unusable_index.value_or(0), e.request->order);
      if (!zone.fitting_letters.empty())
        indices += fmt::format("; blocks of order {} and above: ({})", e.request->order, zone.fitting_letters);
      append_wrapped(out, "      ", indices, 6);
    }
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      result += fmt::format("\\x{:02x}", byte);
    else
      result += c;
  }
  return result;
}

std::string to_text(const Explanation& e, unsigned long long number) {
  std::string out;
  append_wrapped(out, "", title(e, number), 4);
  out += "\n";
  append_wrapped(out, "  ", printable(e.verdict.sentence), 2);
  if (!e.remedies.empty()) {
    out += fmt::format("\n  {}\n", remedies_heading(e));
    for (const Remedy& remedy : e.remedies)
      append_wrapped(out, remedy.certainty == Certainty::Exact ? "  [exact]  " : "  [likely] ", printable(remedy.text),
                     11);
  }
  out += "\n";
  print_request(out, e);
  print_zones(out, e);
  print_arithmetic(out, e);
  print_blocks(out, e);
  if (!e.slow_path.empty()) {
    out += "\n  Slow path\n";
    for (const SlowPathFact& fact : e.slow_path)
      append_wrapped(out, fmt::format("  {:<4}{:<15}", fact.can ? "yes" : "no", fact.name), printable(fact.text), 21);
  }
  out += "\n";
  std::string confidence = name_of(e.confidence);
  if (e.request)
    confidence += fmt::format(" (tests of {})", e.rules);
  section(out, "Confidence", confidence);
  for (std::size_t i = 0; i < e.missing.size(); ++i)
    section(out, i == 0 ? "Missing" : "", printable(e.missing[i]));
  for (std::size_t i = 0; i < e.notes.size(); ++i)
    section(out, i == 0 ? "Notes" : "", printable(e.notes[i]));
  return out;
}

}  // namespace mmbox::lab::explain
