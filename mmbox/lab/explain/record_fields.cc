#include "mmbox/lab/explain/record_fields.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <utility>

#include "mmbox/lab/explain/text_scan.h"

namespace mmbox::lab::explain {

namespace {

// No line of a report holds more than these; what lies beyond is garbage or an attack.
constexpr std::size_t kMaxTraceEntries = 96;
constexpr std::size_t kMaxZoneIndices = 16;
constexpr std::size_t kMaxOrders = 32;
constexpr std::size_t kMaxName = 200;

std::string name_of(std::string_view text) {
  return std::string{text.substr(0, kMaxName)};
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
