#include "mmbox/lab/explain/record.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string>

#include "mmbox/lab/explain/failure_report.h"
#include "mmbox/lab/explain/text_scan.h"

namespace mmbox::lab::explain {

namespace {

constexpr std::array<std::string_view, 6> kZoneNames{"DMA32", "DMA", "Normal", "HighMem", "Movable", "Device"};

/// "Node 0 DMA32 free:…", "DMA32: 1*4kB …": node, zone name, and what follows.
bool split_zone_lead(std::string_view text, Record& record, std::string_view& rest) {
  record.node.reset();
  rest = text;
  if (starts_with(rest, "Node ")) {
    rest.remove_prefix(5);
    const std::optional<std::int64_t> node = take_number(rest);
    if (!node || *node < 0 || *node > 65535)
      return false;
    record.node = static_cast<std::uint32_t>(*node);
    if (starts_with(rest, ", zone"))
      return false;  // /proc/buddyinfo
    rest = skip_blanks(rest);
  }
  for (const std::string_view name : kZoneNames) {
    if (starts_with(rest, name) && rest.size() > name.size() && !is_key_char(rest[name.size()])) {
      record.zone = name;
      rest.remove_prefix(name.size());
      return true;
    }
  }
  return false;
}

/// The lines that carry a node or a zone; `text` may have unknown words before "Node".
bool classify_zone_record(std::string_view text, Record& record) {
  std::string_view rest;
  std::string_view start = text;
  bool has_zone = split_zone_lead(start, record, rest);
  if (!has_zone && !starts_with(text, "Node ")) {
    const std::size_t node = text.substr(0, 120).find("Node ");
    if (node == std::string_view::npos)
      return false;
    start = text.substr(node);
    has_zone = split_zone_lead(start, record, rest);
  }
  record.text = start;
  if (has_zone) {
    const std::string_view after = skip_blanks(rest);
    if (starts_with(after, "free:")) {
      record.kind = RecordKind::ZoneLine;
      return true;
    }
    if (!after.empty() && after.front() == ':' && !rest.empty()) {
      const std::string_view blocks = skip_blanks(after.substr(1));
      // Digits, or the line was cut right after the name, or "empty" of very old kernels.
      if (blocks.empty() || is_digit(blocks.front()) || starts_with(blocks, "empty")) {
        record.kind = RecordKind::FreeArea;
        return true;
      }
    }
    if (starts_with(after, "per-cpu") || starts_with(after, "free_")) {
      record.kind = RecordKind::Ignored;
      return true;
    }
    return false;
  }
  if (!record.node)
    return false;
  std::string_view after_node = start.substr(5);
  (void)take_number(after_node);
  after_node = skip_blanks(after_node);
  if (after_node.empty()) {
    record.kind = RecordKind::NodeFragment;
    return true;
  }
  if (starts_with(after_node, "hugepages_")) {
    record.kind = RecordKind::Ignored;
    return true;
  }
  if (starts_with(after_node, "active_anon:") || starts_with(after_node, "inactive_anon:")) {
    record.kind = RecordKind::NodeLine;
    return true;
  }
  return false;
}

bool is_global_stats(std::string_view text) {
  // "active_anon:149 inactive_anon:8055 isolated_anon:0": only known names, and no kB.
  if (text.find("kB") != std::string_view::npos)
    return false;
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 >= text.size() || !is_digit(text[colon + 1]))
    return false;
  const std::string_view key = text.substr(0, colon);
  if (key == "Active")
    return contains(text, "inactive:");
  return std::find(kGlobalFieldNames.begin(), kGlobalFieldNames.end(), key) != kGlobalFieldNames.end();
}

bool is_task_row(std::string_view text) {
  // "[  893]     0   893    27572     1402 …"
  if (text.empty() || text.front() != '[')
    return false;
  const std::size_t close = text.substr(0, 16).find(']');
  if (close == std::string_view::npos || close < 2)
    return false;
  const std::string_view inside = skip_blanks(text.substr(1, close - 1));
  if (inside.empty() || !std::all_of(inside.begin(), inside.end(), is_digit))
    return false;
  const std::string_view rest = skip_blanks(text.substr(close + 1));
  return !rest.empty() && is_digit(rest.front());
}

/// "dump_stack+0x9c/0xf5", "[<c010d415>] (warn_alloc) from [<…>]", "[c13a39a0] [c01ae6dc] warn_alloc+0x100/0x178".
bool is_trace_entry(std::string_view text) {
  return (contains(text, "+0x") && contains(text, "/0x")) || starts_with(text, "[<") || starts_with(text, "<IRQ>") ||
         starts_with(text, "<SOFTIRQ>") || starts_with(text, "<TASK>") || starts_with(text, "</");
}

/// True if a task's name, and not prose such as the subject of a mail, stands before the words of a header.
bool has_task_before(std::string_view text, std::size_t words) {
  constexpr std::size_t kLongestComm = 64;  // kworker names; with a prefix that is not known, still shorter than prose
  const std::string_view before = text.substr(0, words);
  if (before.empty() || before.size() > kLongestComm || before.front() == '#' || before.back() != ' ')
    return false;
  for (const std::string_view prose : {"Subject:", "Re: ", "://", " | ", "\""})
    if (contains(before, prose))
      return false;
  return true;
}

/// "comm: page allocation failure: order:4, …", also with the full stop of old kernels, also cut after "failure".
bool is_allocation_header(std::string_view text) {
  if (const std::size_t at = text.find("page allocation failure"); at != std::string_view::npos) {
    const std::string_view rest = text.substr(at + 23);
    if (at == 0)  // the task's name is on the line before
      return starts_with(rest, ": order:") || starts_with(rest, ". order:");
    return at >= 2 && has_task_before(text, at) && text[at - 2] == ':' &&
           (rest.empty() || rest.front() == ':' || rest.front() == '.');
  }
  // Other callers of the kernel's warning put their own words before the same fields: "vmemmap alloc failure: order:9".
  if (const std::size_t order = text.find("failure: order:");
      order != std::string_view::npos && has_task_before(text, order) && contains(text.substr(0, order), ": ") &&
      contains(text, ", mode:0x"))
    return true;
  const std::size_t at = text.find("page allocation stalls for ");
  return at != std::string_view::npos && has_task_before(text, at) && contains(text, "order:");
}

bool is_tail(std::string_view text) {
  if (starts_with(text, "Free swap") || starts_with(text, "Total swap"))
    return true;
  if (text.empty() || !is_digit(text.front()))
    return false;
  return contains(text, " pages RAM") || contains(text, " pages of RAM") || contains(text, " total pagecache pages") ||
         contains(text, " pages in swap cache") || contains(text, " pages HighMem") ||
         contains(text, " pages of HIGHMEM") || contains(text, "pages reserved") || contains(text, " reserved pages") ||
         contains(text, "pages cma reserved") || contains(text, "pages hwpoisoned");
}

}  // namespace

Record classify(std::string_view text) {
  Record record{};
  record.text = text;
  if (text.size() < 4)
    return record;
  const auto as = [&](RecordKind kind) {
    record.kind = kind;
    return record;
  };
  // The frequent and unmistakable ones first; then those that are searched for anywhere in the line.
  if (classify_zone_record(text, record))
    return record;
  record = Record{};
  record.text = text;
  if (const std::size_t at = text.find("lowmem_reserve[]:"); at != std::string_view::npos) {
    record.text = text.substr(at);
    return as(RecordKind::LowmemReserve);
  }
  if (const std::size_t at = text.find("protections[]:"); at != std::string_view::npos) {
    record.text = text.substr(at);
    return as(RecordKind::LowmemReserve);
  }
  if (is_task_row(text))
    return as(RecordKind::TaskRow);
  constexpr std::size_t kCpuAlone = 10;  // "CPU: 12", broken after the number
  if (starts_with(text, "CPU: ") && (contains(text, "PID:") || contains(text, "Comm:") || text.size() < kCpuAlone))
    return as(RecordKind::CpuLine);
  if (starts_with(text, "Pid: ") && contains(text, "comm:"))
    return as(RecordKind::CpuLine);
  if (is_trace_entry(text))
    return as(RecordKind::TraceEntry);
  if (is_global_stats(text))
    return as(RecordKind::GlobalStats);
  if (is_tail(text))
    return as(RecordKind::Tail);
  if (starts_with(text, "Mem-Info:") || starts_with(text, "Mem-info:"))
    return as(RecordKind::MemInfo);
  if (is_allocation_header(text))
    return as(RecordKind::AllocationHeader);
  if (const std::size_t at = text.find("invoked oom-killer");
      at != std::string_view::npos &&
      (has_task_before(text, at) || starts_with(text, "invoked oom-killer: gfp_mask")) &&
      (at + 18 == text.size() || text[at + 18] == ':'))
    return as(RecordKind::OomHeader);
  if (starts_with(text, "oom-killer: gfp_mask="))  // to 2.6.17
    return as(RecordKind::OomHeader);
  if (contains(text, "vmalloc error") || contains(text, "vmalloc: allocation failure") ||
      contains(text, "vmap allocation for size"))
    return as(RecordKind::VmallocHeader);
  if (contains(text, "cma_alloc") && contains(text, "fail"))
    return as(RecordKind::CmaHeader);
  if (starts_with(text, "cma: number of available pages"))
    return as(RecordKind::CmaPages);
  if (contains(text, "Show Memory") && (starts_with(text, "SysRq") || starts_with(text, "sysrq")))
    return as(RecordKind::ShowMemory);
  if (const std::size_t at = text.find("oom-kill:constraint="); at != std::string_view::npos) {
    record.text = text.substr(at);
    return as(RecordKind::OomSummary);
  }
  if (contains(text, "emory cgroup stats") || starts_with(text, "memory: usage ") ||
      starts_with(text, "memory+swap: usage") || starts_with(text, "kmem: usage ") ||
      (starts_with(text, "Task in ") && contains(text, "as a result of limit of")))
    return as(RecordKind::Memcg);
  if ((contains(text, "ut of memory") || contains(text, "ut of Memory") || starts_with(text, "Kill")) &&
      (contains(text, "Killed process") || contains(text, "Kill process") || contains(text, "kill process")))
    return as(RecordKind::KillLine);
  if (starts_with(text, "Workqueue:"))
    return as(RecordKind::Workqueue);
  if (contains(text, "cpuset=") && contains(text, "mems_allowed="))
    return as(RecordKind::CpusetLine);
  if (starts_with(text, "CPU") && contains(text, "btch:"))
    return as(RecordKind::Ignored);
  if (starts_with(text, "Hardware name:") || starts_with(text, "Call Trace:") || starts_with(text, "Call trace:") ||
      starts_with(text, "Swap cache stats:") || starts_with(text, "Swap cache:") || starts_with(text, "Tasks state") ||
      starts_with(text, "[  pid") || starts_with(text, "[ pid ") || starts_with(text, "RIP:") ||
      starts_with(text, "Code:") || starts_with(text, "Unreclaimable slab info"))
    return as(RecordKind::Ignored);
  return record;
}

namespace {
/// What the parts of a broken header begin with.
constexpr std::array<std::string_view, 13> kHeaderParts{
    "order:", "mode:",     "order=",  "gfp_mask=",     "GFP_",           "__GFP_", "|",
    ",",      "nodemask=", "cpuset=", "mems_allowed=", "oom_score_adj=", "failure"};
/// The words of a header that a break may go through.
constexpr std::array<std::string_view, 8> kHeaderWords{"order:",    "mode:0x", "order=",        "gfp_mask=0x",
                                                       "nodemask=", "cpuset=", "mems_allowed=", "oom_score_adj="};

/// True if `before` ends in a part of `word` and `after` begins with the rest of it.
bool is_broken_through(std::string_view word, std::string_view before, std::string_view after) {
  for (std::size_t cut = 1; cut < word.size(); ++cut)
    if (before.size() >= cut && before.substr(before.size() - cut) == word.substr(0, cut) &&
        starts_with(after, word.substr(cut)))
      return true;
  return false;
}

/// A header that was cut at a column: in the names of the mask, in its number, or in a word.
bool goes_on_header(std::string_view before, std::string_view text) {
  const std::size_t mask = std::min(before.rfind("mode:0x"), before.rfind("mask=0x"));
  if (mask != std::string_view::npos) {
    const std::string_view number = before.substr(mask + 7);
    const std::size_t close = text.find(')');
    if (const std::size_t open = number.find('('); open != std::string_view::npos) {
      if (contains(number, "nodemask=(") ? contains(number.substr(number.find("nodemask=(")), ")")
                                         : contains(number, ")"))
        return std::any_of(kHeaderWords.begin(), kHeaderWords.end(),
                           [&](std::string_view word) { return is_broken_through(word, before, text); });
      return close != std::string_view::npos &&
             std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(close),
                         [](char c) { return is_key_char(c) || c == '|' || is_blank(c); });
    }
    const std::size_t digits = static_cast<std::size_t>(
        std::find_if_not(text.begin(), text.end(),
                         [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }) -
        text.begin());
    if (digits > 0 && digits < text.size() && (text[digits] == '(' || text[digits] == ','))
      return true;
  }
  return std::any_of(kHeaderWords.begin(), kHeaderWords.end(),
                     [&](std::string_view word) { return is_broken_through(word, before, text); });
}

/// The key that the break between `before` and `text` goes through is one of a global statistics line.
bool goes_on_global_stats(std::string_view before, std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view head = before.substr(before.find_last_of(" :") + 1);
  if (colon == std::string_view::npos || head.empty() || colon > 32)
    return false;
  const std::string key = std::string{head} + std::string{text.substr(0, colon)};
  return std::find(kGlobalFieldNames.begin(), kGlobalFieldNames.end(), key) != kGlobalFieldNames.end();
}
}  // namespace

bool may_continue(RecordKind kind, std::string_view before, std::string_view text) {
  if (text.empty() || text.size() > 800)
    return false;
  const auto only = [&](std::string_view allowed) {
    return std::all_of(text.begin(), text.end(), [&](char c) { return allowed.find(c) != std::string_view::npos; });
  };
  switch (kind) {
    case RecordKind::ZoneLine:
    case RecordKind::NodeLine: {
      if (!std::all_of(text.begin(), text.end(),
                       [](char c) { return is_key_char(c) || is_blank(c) || c == ':' || c == '?'; }))
        return false;
      return contains(text, ":") || contains(text, "kB") || contains(text, "KB") || contains(text, "unreclaim") ||
             contains(text, "? ") || text == "yes" || text == "no" || text == "B" || only("0123456789");
    }
    case RecordKind::LowmemReserve: return only("0123456789 -");
    case RecordKind::FreeArea: return only("0123456789*_x kKMB()UMERHCI=");
    case RecordKind::AllocationHeader:
    case RecordKind::OomHeader:
    case RecordKind::VmallocHeader:
      return goes_on_header(before, text) ||
             std::any_of(kHeaderParts.begin(), kHeaderParts.end(),
                         [&](std::string_view part) { return starts_with(text, part); });
    case RecordKind::CpuLine:
      return contains(text, "ainted") || starts_with(text, "PID: ") || starts_with(text, "UID: ") ||
             starts_with(text, "Comm: ") || (contains(text, "#") && text.size() < 160) ||
             is_broken_through("Not tainted", before, text) || is_broken_through("Tainted:", before, text);
    case RecordKind::GlobalStats:
      return text.size() < 160 && contains(text, ":") && (is_global_stats(text) || goes_on_global_stats(before, text));
    case RecordKind::OomSummary: return contains(text, "=") && contains(text, ",");
    case RecordKind::KillLine:  // "Killed process" and "12 (name)"
      return !contains(before, "(") && (is_digit(text.front()) || text.front() == '(');
    case RecordKind::Tail:  // "Free swap" and "= 0kB"
      return contains(before, " swap") && std::none_of(before.begin(), before.end(), is_digit) &&
             (text.front() == '=' || is_digit(text.front()));
    default: return false;
  }
}

bool is_header_broken_between(std::string_view before, std::string_view after) {
  constexpr std::array<std::string_view, 3> kPhrases{"page allocation failure", "invoked oom-killer", "Killed process"};
  for (const std::string_view phrase : kPhrases)
    for (std::size_t cut = 4; cut < phrase.size(); ++cut) {
      std::string_view head = phrase.substr(0, cut);
      if (is_blank(head.back()))
        head.remove_suffix(1);
      if (before.size() > head.size() + 1 && before.substr(before.size() - head.size()) == head &&
          is_blank(before[before.size() - head.size() - 1]) && starts_with(after, skip_blanks(phrase.substr(cut))))
        return true;
    }
  return false;
}

bool is_zone_broken_between(std::string_view before, std::string_view after) {
  if (!starts_with(after, "free:") && !starts_with(after, "active_anon:") &&
      (after.empty() || !is_digit(after.front()) || !contains(after.substr(0, 24), "*")))
    return false;
  if (starts_with(before, "Node ")) {
    before.remove_prefix(5);
    if (!take_number(before))
      return false;
    before = skip_blanks(before);
    if (before.empty())
      return true;
  }
  if (!before.empty() && before.back() == ':')
    before.remove_suffix(1);
  return std::find(kZoneNames.begin(), kZoneNames.end(), before) != kZoneNames.end();
}

bool needs_blank_between(RecordKind kind, std::string_view before, std::string_view after) {
  if (before.empty() || after.empty())
    return false;
  const char last = before.back();
  const char first = after.front();
  if (is_blank(last) || is_blank(first) || first == ':' || first == '=' || last == ':' || last == '=' || first == ',')
    return false;
  if (kind == RecordKind::KillLine)
    return true;
  // A release goes on after the break, its build number `#1` does not.
  const std::string_view token = before.substr(before.rfind(' ') + 1);
  if (kind == RecordKind::CpuLine)
    return first == '#' || first == '(' ||
           !((!token.empty() && is_digit(token.front()) && contains(token, ".")) ||
             is_broken_through("Not tainted", before, after) || is_broken_through("Tainted:", before, after));
  // A complete value ends in "kB", a closed bracket or a comma; anything else was cut in the middle.
  const bool complete = last == 'B' || last == ')' || last == ',' || last == ';';
  return complete || first == '(';
}

}  // namespace mmbox::lab::explain
