#include "mmbox/lab/explain/report_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <string>
#include <utility>

namespace mmbox::lab::explain {
namespace {

// No line of a report holds more than these; what lies beyond is garbage or an attack.
constexpr std::size_t kMaxTraceEntries = 96;
constexpr std::size_t kMaxZoneIndices = 16;
constexpr std::size_t kMaxOrders = 32;
constexpr std::size_t kMaxName = 200;

constexpr std::array<std::string_view, 6> kZoneNames{"DMA32", "DMA", "Normal", "HighMem", "Movable", "Device"};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
constexpr bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '(' || c == ')' || is_digit(c);
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool contains(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}

std::string_view skip_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  return text;
}

std::string name_of(std::string_view text) {
  return std::string{text.substr(0, kMaxName)};
}

/// Reads a decimal number at the start of `text` and drops it; joins digits that a single blank separates.
std::optional<std::int64_t> take_number(std::string_view& text, bool mend_blanks = false) {
  text = skip_blanks(text);
  const bool negative = !text.empty() && text.front() == '-';
  std::size_t at = negative ? 1 : 0;
  if (at >= text.size() || !is_digit(text[at]))
    return std::nullopt;
  std::int64_t value = 0;
  bool overflow = false;
  while (at < text.size()) {
    if (is_digit(text[at])) {
      constexpr std::int64_t kLimit = 1'000'000'000'000'000'000;  // more pages or kB than 64 bits address
      if (value >= kLimit / 10)
        overflow = true;
      else
        value = value * 10 + (text[at] - '0');
      ++at;
    } else if (mend_blanks && text[at] == ' ' && at + 1 < text.size() && is_digit(text[at + 1])) {
      ++at;
    } else {
      break;
    }
  }
  text.remove_prefix(at);
  if (overflow)
    return std::nullopt;
  return negative ? -value : value;
}

/// Reads the number after `key`, wherever it stands.
std::optional<std::int64_t> number_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos)
    return std::nullopt;
  std::string_view rest = text.substr(at + key.size());
  return take_number(rest);
}

/// Calls `use(key, value)` for each `key:number` of a statistics line; `value` is followed by `unit_rest`.
template <class Use>
void for_each_field(std::string_view text, Use use) {
  for (std::size_t colon = text.find(':'); colon != std::string_view::npos; colon = text.find(':', colon + 1)) {
    std::size_t key_end = colon;
    while (key_end > 0 && is_blank(text[key_end - 1]))
      --key_end;
    std::size_t key_begin = key_end;
    while (key_begin > 0 && is_key_char(text[key_begin - 1]))
      --key_begin;
    std::string_view rest = text.substr(colon + 1);
    if (key_begin == key_end)
      continue;
    if (const std::optional<std::int64_t> value = take_number(rest, true))
      use(text.substr(key_begin, key_end - key_begin), *value);
  }
}

std::optional<bool> yes_or_no_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos)
    return std::nullopt;
  const std::string_view rest = skip_blanks(text.substr(at + key.size()));
  if (starts_with(rest, "yes"))
    return true;
  if (starts_with(rest, "no"))
    return false;
  return std::nullopt;
}

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

namespace {

/// nodemask=…,cpuset=…,mems_allowed=…
void parse_masks(std::string_view text, FailureReport& report) {
  if (const std::size_t at = text.find("nodemask="); at != std::string_view::npos && !report.nodemask) {
    std::string_view rest = text.substr(at + 9);
    std::size_t end = rest.find(",cpuset=");
    if (end == std::string_view::npos) {
      end = 0;
      if (!rest.empty() && rest.front() == '(') {
        end = std::min(rest.find(')'), rest.size() - 1) + 1;
      } else {
        while (end < rest.size() && (is_digit(rest[end]) || rest[end] == '-' || rest[end] == ','))
          ++end;
      }
    }
    rest = rest.substr(0, end);
    while (!rest.empty() && rest.back() == ',')
      rest.remove_suffix(1);
    report.nodemask = name_of(rest);
  }
  if (const std::size_t at = text.find("cpuset="); at != std::string_view::npos && !report.cpuset) {
    const std::string_view rest = text.substr(at + 7);
    std::string_view name =
        rest.substr(0, std::min({rest.find(",mems_allowed="), rest.find(" mems_allowed="), rest.find(' ')}));
    while (!name.empty() && name.back() == ',')
      name.remove_suffix(1);
    report.cpuset = name_of(name);
  }
  if (const std::size_t at = text.find("mems_allowed="); at != std::string_view::npos && !report.mems_allowed) {
    std::string_view rest = text.substr(at + 13);
    std::size_t end = 0;
    while (end < rest.size() && (is_digit(rest[end]) || rest[end] == '-' || rest[end] == ','))
      ++end;
    rest = rest.substr(0, end);
    while (!rest.empty() && rest.back() == ',')
      rest.remove_suffix(1);
    report.mems_allowed = name_of(rest);
  }
}

/// mode:0x40c40(GFP_NOFS|__GFP_COMP), gfp_mask=0x201da
void parse_mask(std::string_view text, std::string_view key, FailureReport& report) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos)
    return;
  std::string_view rest = skip_blanks(text.substr(at + key.size()));
  if (starts_with(rest, "0x") || starts_with(rest, "0X"))
    rest.remove_prefix(2);
  std::uint64_t mask = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), mask, 16);
  if (error != std::errc{} || mask > 0xffffffffULL)
    return;
  report.gfp_mask = mask;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (!rest.empty() && rest.front() == '(') {
    std::string names{rest.substr(1, std::min(rest.find(')'), rest.size()) - 1)};
    std::erase_if(names, is_blank);  // a wrapped list of names has blanks in it
    report.gfp_names = name_of(names);
  }
}

void set_comm(std::string_view text, std::string_view before, FailureReport& report) {
  std::size_t end = text.find(before);
  if (end == std::string_view::npos)
    return;
  while (end > 0 && (is_blank(text[end - 1]) || text[end - 1] == ':'))
    --end;
  // Task names are 15 bytes long at most, kworker names up to 63; more is an unknown prefix.
  std::string_view comm = text.substr(0, end);
  if (comm.size() > 63)
    comm = comm.substr(comm.rfind(' ', comm.size() - 1) + 1);
  report.comm = name_of(comm);
}

std::optional<int> order_of(std::optional<std::int64_t> number) {
  if (!number || *number < -1 || *number > 63)
    return std::nullopt;
  return static_cast<int>(*number);
}

}  // namespace

void parse_allocation_header(std::string_view text, FailureReport& report) {
  if (contains(text, "page allocation stalls")) {
    if (report.headline == Headline::None)
      report.headline = Headline::AllocationStall;
    report.stall_ms = number_after(text, "stalls for ");
    set_comm(text, "page allocation stalls", report);
  } else {
    if (report.headline == Headline::None)
      report.headline = Headline::AllocationFailure;
    set_comm(text, contains(text, "page allocation failure") ? "page allocation failure" : ": ", report);
  }
  // Several CPUs at once may have left "order:0page allocation failure: order:0, mode:…": the last one is whole.
  const std::size_t last = text.rfind("order:");
  if (last != std::string_view::npos)
    report.order = order_of(number_after(text.substr(last), "order:"));
  parse_mask(text, "mode:", report);
  parse_masks(text, report);
}

void parse_oom_header(std::string_view text, FailureReport& report) {
  report.headline = Headline::OomKiller;
  set_comm(text, "invoked oom-killer", report);
  report.order = order_of(number_after(text, "order="));
  if (starts_with(text, "oom-killer:") && !contains(text, "order")) {  // to 2.6.12
    report.order = 0;
    report.notes.assign(1, "this kernel prints no order with an OOM kill; 0 is assumed");
  }
  parse_mask(text, "gfp_mask=", report);
  parse_masks(text, report);
}

void parse_vmalloc_header(std::string_view text, FailureReport& report) {
  report.headline = Headline::VmallocFailure;
  const auto bytes = [](std::optional<std::int64_t> n) -> std::optional<std::uint64_t> {
    if (!n || *n < 0)
      return std::nullopt;
    return static_cast<std::uint64_t>(*n);
  };
  if (const std::size_t at = text.find("allocated "); at != std::string_view::npos) {
    report.vmalloc_got_bytes = bytes(number_after(text.substr(at), "allocated "));
    report.vmalloc_bytes = bytes(number_after(text.substr(at), " of "));
  } else if (contains(text, "size ")) {
    report.vmalloc_bytes = bytes(number_after(text, "size "));
  } else {
    report.vmalloc_bytes = bytes(number_after(text, "allocation failure: "));
  }
  std::size_t begin = text.find("vmalloc");
  if (begin == std::string_view::npos)
    begin = text.find("vmap");
  std::string_view message = text.substr(begin);
  message = message.substr(0, message.find(", mode:"));
  report.vmalloc_message = name_of(message);
  if (begin > 0)
    set_comm(text, text.substr(begin, 7), report);
  if (contains(text, "mode:")) {
    parse_mask(text, "mode:", report);
    report.order = 0;  // this message prints no order: vmalloc asks for single pages
  }
  parse_masks(text, report);
}

void parse_cma_header(std::string_view text, FailureReport& report) {
  report.headline = Headline::CmaFailure;
  if (const auto pages = number_after(text, "req-size:"); pages && *pages >= 0)
    report.cma_pages = static_cast<std::uint64_t>(*pages);
  if (const auto error = number_after(text, "ret:"); error && *error > -4096 && *error <= 0)
    report.cma_error = static_cast<int>(*error);
  const std::size_t at = text.find("cma_alloc:");
  if (at != std::string_view::npos) {
    std::string_view rest = skip_blanks(text.substr(at + 10));
    const std::size_t end = rest.find(": alloc failed");
    if (end != std::string_view::npos)
      report.cma_name = name_of(rest.substr(0, end));
  }
}

void parse_cma_pages(std::string_view text, FailureReport& report) {
  const std::size_t at = text.find("=>");
  if (at == std::string_view::npos)
    return;
  std::string_view rest = text.substr(at + 2);
  if (const auto free = take_number(rest); free && *free >= 0)
    report.cma_free_pages = static_cast<std::uint64_t>(*free);
  if (const auto total = number_after(rest, "free of "); total && *total >= 0)
    report.cma_total_pages = static_cast<std::uint64_t>(*total);
}

void parse_cpuset(std::string_view text, FailureReport& report) {
  parse_masks(text, report);
}

std::string_view comm_of_cpu_line(std::string_view text) {
  std::size_t at = text.find("Comm: ");
  if (at == std::string_view::npos)
    at = text.find("comm: ");
  if (at == std::string_view::npos)
    return {};
  const std::string_view rest = text.substr(at + 6);
  const std::size_t end = std::min({rest.find(" Not tainted"), rest.find(" Tainted:"), rest.find(" Kdump:")});
  std::string_view comm = rest.substr(0, end);
  while (!comm.empty() && is_blank(comm.back()))
    comm.remove_suffix(1);
  return comm;
}

void parse_cpu_line(std::string_view text, FailureReport& report) {
  if (const auto cpu = number_after(text, "CPU: "); cpu && *cpu >= 0 && *cpu < 1 << 20)
    report.cpu = static_cast<int>(*cpu);
  if (!report.pid) {
    report.pid = number_after(text, "PID: ");
    if (!report.pid)
      report.pid = number_after(text, "Pid: ");
  }
  if (report.comm.empty())
    report.comm = name_of(comm_of_cpu_line(text));
  std::size_t at = text.find("ainted");
  if (at == std::string_view::npos)
    return;
  std::string_view rest = text.substr(at);
  while (!rest.empty()) {
    const std::size_t blank = rest.find(' ');
    if (blank == std::string_view::npos)
      return;
    rest = skip_blanks(rest.substr(blank));
    std::string_view token = rest.substr(0, rest.find(' '));
    while (!token.empty() && token.front() == '(')
      token.remove_prefix(1);
    std::string_view number = token;
    if (!token.empty() && is_digit(token.front()) && take_number(number) && !number.empty() && number.front() == '.') {
      while (!token.empty() && (token.back() == ')' || token.back() == ','))
        token.remove_suffix(1);
      report.release = name_of(token);
      // Debian names its packages' stable version after the build number.
      if (const std::size_t debian = rest.find("Debian "); debian != std::string_view::npos) {
        const std::string_view version = rest.substr(debian + 7);
        report.stable_release = name_of(version.substr(0, version.find_first_of(" -")));
      }
      return;
    }
  }
}

void parse_trace_entry(std::string_view text, FailureReport& report) {
  if (starts_with(text, "<IRQ>") || starts_with(text, "<SOFTIRQ>")) {
    report.trace_has_irq = true;
    return;
  }
  if (report.trace.size() >= kMaxTraceEntries || contains(text, "? ") || starts_with(text, "RIP:"))
    return;
  // The function name stands before "+0x"; on 32-bit arm "(name+0x…/0x…) from", the first one is the callee.
  std::size_t plus = text.find("+0x");
  std::string_view name;
  if (starts_with(text, "[<") && contains(text, " from [<")) {
    const std::size_t open = text.find('(');
    const std::size_t close = text.find(')', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos)
      return;
    name = text.substr(open + 1, close - open - 1);
    if (const std::size_t offset = name.find('+'); offset != std::string_view::npos)
      name = name.substr(0, offset);
  } else {
    if (plus == std::string_view::npos)
      return;
    std::size_t begin = plus;
    while (begin > 0 && (is_key_char(text[begin - 1]) || text[begin - 1] == '.' || text[begin - 1] == '$'))
      --begin;
    name = text.substr(begin, plus - begin);
  }
  while (!name.empty() && (name.front() == '(' || is_blank(name.front())))
    name.remove_prefix(1);
  if (!name.empty())
    report.trace.push_back(std::string{name.substr(0, 96)});
}

void parse_global_stats(std::string_view text, FailureReport& report) {
  for_each_field(text, [&](std::string_view key, std::int64_t value) {
    if (key == "Active")
      key = "active";
    for (std::size_t i = 0; i < kGlobalFieldNames.size(); ++i)
      if (key == kGlobalFieldNames[i] && value >= 0)
        report.global_pages[static_cast<GlobalField>(i)] = value;
  });
}

void parse_node_line(std::string_view text, NodeText& node) {
  for_each_field(text, [&](std::string_view key, std::int64_t value) {
    if (key == "active_file")
      node.active_file_kb = value;
    else if (key == "inactive_file")
      node.inactive_file_kb = value;
    else if (key == "writeback")
      node.writeback_kb = value;
    else if (key == "dirty")
      node.dirty_kb = value;
  });
  if (const auto answer = yes_or_no_after(text, "all_unreclaimable?"))
    node.all_unreclaimable = answer;
}

void parse_zone_line(std::string_view text, ZoneText& zone) {
  zone.has_zone_line = true;
  for_each_field(text, [&](std::string_view key, std::int64_t value) {
    for (std::size_t i = 0; i < kZoneFieldNames.size(); ++i)
      if (key == kZoneFieldNames[i] && value >= 0)
        zone.kb[static_cast<ZoneField>(i)] = value;
  });
  if (const auto answer = yes_or_no_after(text, "all_unreclaimable?"))
    zone.all_unreclaimable = answer;
}

void parse_lowmem_reserve(std::string_view text, ZoneText& zone) {
  const std::size_t at = text.find("]:");
  std::string_view rest = text.substr(at == std::string_view::npos ? 0 : at + 2);
  zone.lowmem_reserve.clear();
  while (zone.lowmem_reserve.size() < kMaxZoneIndices) {
    const std::optional<std::int64_t> value = take_number(rest);
    if (!value)
      break;
    zone.lowmem_reserve.push_back(*value);
  }
}

void parse_free_area(std::string_view text, ZoneText& zone) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos)
    return;
  std::string_view rest = text.substr(colon + 1);
  zone.blocks.clear();
  zone.blocks_elided = false;
  zone.blocks_total_kb.reset();
  while (true) {
    rest = skip_blanks(rest);
    if (rest.empty())
      return;
    if (rest.front() == '=') {
      rest.remove_prefix(1);
      zone.blocks_total_kb = take_number(rest, true);
      return;
    }
    if (rest.front() == '<' || rest.front() == '.') {  // "<...>", put there by whoever posted it
      zone.blocks_elided = true;
      const std::size_t equals = rest.find('=');
      if (equals == std::string_view::npos)
        return;
      rest.remove_prefix(equals);
      continue;
    }
    const std::optional<std::int64_t> count = take_number(rest, true);
    rest = skip_blanks(rest);
    if (!count || *count < 0 || rest.empty() || (rest.front() != '*' && rest.front() != '_' && rest.front() != 'x'))
      return;
    rest.remove_prefix(1);
    const std::optional<std::int64_t> size = take_number(rest, true);
    rest = skip_blanks(rest);
    if (!size || *size <= 0 || rest.empty() || (rest.front() != 'k' && rest.front() != 'K'))
      return;
    rest = skip_blanks(rest.substr(1));
    if (rest.empty() || rest.front() != 'B')
      return;
    rest = skip_blanks(rest.substr(1));
    OrderBlocks blocks{.count = static_cast<std::uint64_t>(*count), .size_kb = static_cast<std::uint64_t>(*size)};
    if (!rest.empty() && rest.front() == '(') {
      const std::size_t close = rest.find(')');
      if (close > 16)  // or npos
        return;
      for (const char c : rest.substr(1, close - 1))
        if (c >= 'A' && c <= 'Z')
          blocks.letters += c;
      rest.remove_prefix(close + 1);
    }
    // Larger than any machine: garbage, and a danger to the sums.
    constexpr std::uint64_t kMaxKb = 1ULL << 46;
    const bool is_power = (blocks.size_kb & (blocks.size_kb - 1)) == 0;
    if (!is_power || blocks.size_kb > kMaxKb || blocks.count > kMaxKb / blocks.size_kb)
      return;
    if (zone.blocks.size() >= kMaxOrders || (!zone.blocks.empty() && blocks.size_kb != zone.blocks.back().size_kb * 2))
      return;  // not a free-area line any more
    zone.blocks.push_back(std::move(blocks));
  }
}

bool parse_tail(std::string_view text, FailureReport& report) {
  const auto set = [](std::optional<std::int64_t>& field, std::optional<std::int64_t> value) {
    if (field)
      return false;
    field = value;
    return true;
  };
  if (starts_with(text, "Free swap") || starts_with(text, "Total swap")) {
    std::size_t at = text.find_first_of("=:");
    if (at == std::string_view::npos)
      return true;
    std::string_view rest = text.substr(at + 1);
    return set(text.front() == 'F' ? report.free_swap_kb : report.total_swap_kb, take_number(rest));
  }
  std::string_view rest = text;
  const std::optional<std::int64_t> value = take_number(rest);
  if (contains(rest, "total pagecache pages"))
    return set(report.pagecache_pages, value);
  if (contains(rest, "pages in swap cache"))
    return set(report.swapcache_pages, value);
  if (contains(rest, "pages RAM") || contains(rest, "pages of RAM"))
    return set(report.ram_pages, value);
  if (contains(rest, "pages HighMem") || contains(rest, "pages of HIGHMEM"))
    return set(report.highmem_pages, value);
  if (contains(rest, "pages cma reserved"))
    return set(report.cma_reserved_pages, value);
  if (contains(rest, "pages reserved") || contains(rest, "reserved pages"))
    return set(report.reserved_pages, value);
  return true;
}

void parse_task_row(std::string_view text, FailureReport& report) {
  const std::size_t close = text.find(']');
  std::string_view inside = text.substr(1, close - 1);
  std::string_view rest = text.substr(close + 1);
  TaskText task{};
  const std::optional<std::int64_t> pid = take_number(inside);
  std::optional<std::int64_t> columns[4];  // uid, tgid, total_vm, rss
  for (auto& column : columns)
    column = take_number(rest);
  if (!pid || !columns[3])
    return;
  task.pid = *pid;
  task.rss_pages = *columns[3];
  // The name is what follows the last number.
  while (true) {
    std::string_view attempt = rest;
    if (!take_number(attempt) || (!attempt.empty() && !is_blank(attempt.front())))
      break;
    rest = attempt;
  }
  task.name = std::string{skip_blanks(rest).substr(0, 32)};
  ++report.tasks;
  if (!report.largest_task || task.rss_pages > report.largest_task->rss_pages)
    report.largest_task = task;
}

void parse_memcg(std::string_view text, FailureReport& report) {
  report.is_memcg = true;
  if (starts_with(text, "memory: usage ")) {
    report.memcg_usage_kb = number_after(text, "usage ");
    report.memcg_limit_kb = number_after(text, "limit ");
  }
  if (const std::size_t at = text.find("stats for "); at != std::string_view::npos) {
    const std::string_view path = text.substr(at + 10);
    report.memcg_path = name_of(path.substr(0, path.find(':')));
  } else if (const std::size_t limit = text.find("limit of "); limit != std::string_view::npos) {
    report.memcg_path = name_of(text.substr(limit + 9));
  }
}

void parse_oom_summary(std::string_view text, FailureReport& report) {
  const std::string_view rest = text.substr(std::string_view{"oom-kill:constraint="}.size());
  report.constraint = name_of(rest.substr(0, rest.find_first_of(", ")));
  if (report.constraint == "CONSTRAINT_MEMCG")
    report.is_memcg = true;
  parse_masks(rest, report);
}

void parse_kill_line(std::string_view text, FailureReport& report) {
  if (contains(text, "emory cgroup out of memory"))
    report.is_memcg = true;
  if (report.headline == Headline::None)
    report.headline = report.is_memcg ? Headline::MemcgOomKill : Headline::OomKill;
  const std::size_t at = std::min({text.find("Kill process"), text.find("Killed process"), text.find("kill process")});
  if (at == std::string_view::npos)
    return;
  const std::string_view rest = text.substr(at);
  report.victim_pid = number_after(rest, "process ");
  if (const std::size_t open = rest.find('('); open != std::string_view::npos)
    report.victim = name_of(rest.substr(open + 1, std::min(rest.find(')', open), rest.size()) - open - 1));
  if (const auto rss = number_after(rest, "anon-rss:"))
    report.victim_anon_rss_kb = rss;
}

}  // namespace mmbox::lab::explain
