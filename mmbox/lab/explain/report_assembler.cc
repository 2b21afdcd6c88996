#include "mmbox/lab/explain/report_assembler.h"

#include <algorithm>
#include <utility>

#include "mmbox/lab/explain/record_fields.h"

namespace mmbox::lab::explain {
namespace {

// How many lines may pass without a record before a report counts as ended. Call traces are touched line by line, so
// these are foreign lines only: a burst of other messages, or the rest of a log after a torn report.
constexpr std::uint64_t kPatienceBeforeMemInfo = 400;
constexpr std::uint64_t kPatienceInMemInfo = 120;
constexpr std::uint64_t kPatienceAfterTail = 12;
constexpr std::uint64_t kPatienceForKill = 60;
constexpr std::uint64_t kPatienceOfCma = 3;
constexpr std::uint64_t kPatienceForHeader = 64;  // between vmalloc's complaint and the allocator's: journals export

// A report lists zones × nodes; 1024 nodes of 4 zones is the largest machine that Linux is built for.
constexpr std::size_t kMaxZones = 4096;
constexpr std::size_t kMaxNodes = 1024;
constexpr std::size_t kMaxRecordText = 8192;
constexpr std::size_t kMaxNotes = 16;

ZoneText* find_zone(FailureReport& report, const Record& record) {
  for (ZoneText& zone : report.zones)
    if (zone.node == record.node && zone.name == record.zone)
      return &zone;
  return nullptr;
}

const ZoneText* find_zone(const FailureReport& report, const Record& record) {
  for (const ZoneText& zone : report.zones)
    if (zone.node == record.node && zone.name == record.zone)
      return &zone;
  return nullptr;
}

bool is_oom(const FailureReport& report) {
  return report.headline == Headline::OomKiller;
}

/// A report whose first line is lost may be the OOM killer's as well.
bool may_be_oom(const FailureReport& report) {
  return is_oom(report) || (report.headline == Headline::None && (report.has_mem_info || !report.zones.empty()));
}

std::uint64_t patience(const FailureReport& report, bool has_tail) {
  if (report.headline == Headline::CmaFailure || report.headline == Headline::OomKill ||
      report.headline == Headline::MemcgOomKill)
    return kPatienceOfCma;
  if (!report.has_mem_info && report.zones.empty())
    return kPatienceBeforeMemInfo;
  if (may_be_oom(report) && report.victim.empty())
    return has_tail ? kPatienceForKill : kPatienceInMemInfo;
  return has_tail ? kPatienceAfterTail : kPatienceInMemInfo;
}

/// True if the report says enough to be told about: a lone stack dump does not.
bool is_worth_telling(const FailureReport& report) {
  return report.headline != Headline::None || report.has_mem_info || !report.zones.empty();
}

}  // namespace

/// Chooses among the open reports that accept a record.
///
/// A known writer decides. Otherwise the report that took the last record goes on, except while the records alternate
/// between reports, line by line: then it is the turn of the one that has waited longest.
template <class Accepts>
ReportAssembler::Open* ReportAssembler::choose(const StrippedLine& line, Accepts accepts) {
  Open* newest = nullptr;
  Open* oldest = nullptr;
  for (Open& open : open_) {
    if (open.closed || (line.writer != 0 && open.writer != 0 && line.writer != open.writer) || !accepts(open))
      continue;
    if (line.writer != 0 && open.writer == line.writer)
      return &open;
    if (newest == nullptr || open.touched >= newest->touched)
      newest = &open;
    if (oldest == nullptr || open.touched < oldest->touched)
      oldest = &open;
  }
  if (newest == nullptr)
    return nullptr;
  constexpr std::uint64_t kAlternating = 4;  // lines; two or three CPUs printing at once
  if (switched_ && newest == last_open_ && newest->touched - oldest->touched <= kAlternating)
    return oldest;
  return newest;
}

/// As `choose`, for lines that stand after "Mem-Info:": a report that is not there yet gets them only if no other does.
template <class Accepts>
ReportAssembler::Open* ReportAssembler::choose_body(const StrippedLine& line, Accepts accepts) {
  Open* const open =
      choose(line, [&](const Open& candidate) { return candidate.report.has_mem_info && accepts(candidate); });
  return open != nullptr ? open : choose(line, accepts);
}

ReportAssembler::Open& ReportAssembler::start(const StrippedLine& line, std::uint64_t number) {
  if (open_.size() >= kMaxOpenReports) {
    open_.front().closed = true;
    emit_closed();
  }
  Open& open = open_.emplace_back();
  open.report.first_line = number;
  open.report.last_line = number;
  open.writer = line.writer;
  open.touched = number;
  return open;
}

void ReportAssembler::touch(Open& open, const Record& record, const StrippedLine& line, std::uint64_t number) {
  // A new header says nothing about the order in which two reports go on.
  const bool is_header = open.report.first_line == number;
  switched_ = !is_header && last_open_ != nullptr && last_open_ != &open;
  last_open_ = &open;
  open.touched = number;
  open.report.last_line = std::max(open.report.last_line, number);
  if (open.writer == 0)
    open.writer = line.writer;
  open.last_kind = record.kind;
  open.last_text.assign(record.text.substr(0, kMaxRecordText));
  open.last_ended_in_blank = line.ended_in_blank;
}

void ReportAssembler::add_line(const StrippedLine& line, std::uint64_t number) {
  close_stale(number);
  const Record record = classify(line.text);
  if (record.kind == RecordKind::Ignored)
    return;
  // The rest of a broken statistics line looks like one of its own, so that is asked only for unknown lines.
  if (record.kind == RecordKind::Unknown || record.kind == RecordKind::CpusetLine) {
    if (join_lines(line, number) || continue_record(line, number))
      return;
    if (record.kind == RecordKind::Unknown) {
      remember(line, number);
      return;
    }
  }
  apply(record, line, number);
  if (record.kind == RecordKind::NodeFragment)
    remember(line, number);
}

/// Keeps a line that may turn out to be the start of a record.
void ReportAssembler::remember(const StrippedLine& line, std::uint64_t number) {
  constexpr std::size_t kLongestStart = 200;  // prefixes are off: a task's name, or a zone's
  before_.assign(line.text.size() <= kLongestStart ? line.text : std::string_view{});
  before_line_ = number;
}

/// A record that was broken in the words by which it is known: the line before this one has its start.
bool ReportAssembler::join_lines(const StrippedLine& line, std::uint64_t number) {
  if (before_.empty() || number - before_line_ > 1 ||
      (!is_header_broken_between(before_, line.text) && !is_zone_broken_between(before_, line.text)))
    return false;
  for (const std::string_view blank : {"", " "}) {
    const std::string whole = before_ + std::string{blank} + std::string{line.text};
    const Record record = classify(whole);
    if (record.kind == RecordKind::Unknown || record.kind == RecordKind::Ignored)
      continue;
    StrippedLine joined = line;
    joined.text = whole;
    before_.clear();
    apply(record, joined, number);
    return true;
  }
  return false;
}

bool ReportAssembler::continue_record(const StrippedLine& line, std::uint64_t number) {
  constexpr std::uint64_t kReach = 3;  // lines between the parts of one record
  Open* const open = choose(line, [&](const Open& candidate) {
    const bool late_header = candidate.last_kind == RecordKind::AllocationHeader && !candidate.report.cpuset &&
                             line.text.substr(0, 8) == ",cpuset=";
    return (number - candidate.touched <= kReach || late_header) &&
           may_continue(candidate.last_kind, candidate.last_text, line.text) &&
           candidate.last_text.size() + line.text.size() < kMaxRecordText;
  });
  if (open == nullptr)
    return false;
  if (open->last_ended_in_blank || open->last_kind == RecordKind::LowmemReserve ||
      needs_blank_between(open->last_kind, open->last_text, line.text))
    open->last_text += ' ';
  open->last_text += line.text;
  open->last_ended_in_blank = line.ended_in_blank;
  open->touched = number;
  open->report.last_line = std::max(open->report.last_line, number);
  reparse(*open);
  return true;
}

/// Reads the last record again, now that more of it is known.
void ReportAssembler::reparse(Open& open) {
  FailureReport& report = open.report;
  const std::string_view text = open.last_text;
  switch (open.last_kind) {
    case RecordKind::AllocationHeader:
      report.nodemask.reset();
      report.cpuset.reset();
      report.mems_allowed.reset();
      parse_allocation_header(text, report);
      break;
    case RecordKind::OomHeader: parse_oom_header(text, report); break;
    case RecordKind::VmallocHeader: parse_vmalloc_header(text, report); break;
    case RecordKind::CpuLine: parse_cpu_line(text, report); break;
    case RecordKind::GlobalStats: parse_global_stats(text, report); break;
    case RecordKind::NodeLine:
      if (open.last_index < report.nodes.size())
        parse_node_line(text, report.nodes[open.last_index]);
      break;
    case RecordKind::ZoneLine:
      if (open.last_index < report.zones.size())
        parse_zone_line(text, report.zones[open.last_index]);
      break;
    case RecordKind::LowmemReserve:
      if (open.last_index < report.zones.size())
        parse_lowmem_reserve(text, report.zones[open.last_index]);
      break;
    case RecordKind::FreeArea:
      if (open.last_index < report.zones.size())
        parse_free_area(text, report.zones[open.last_index]);
      break;
    case RecordKind::OomSummary:
      report.nodemask.reset();
      report.cpuset.reset();
      report.mems_allowed.reset();
      parse_oom_summary(text, report);
      break;
    case RecordKind::Tail: (void)parse_tail(text, report); break;
    case RecordKind::KillLine: parse_kill_line(text, report); break;
    default: break;
  }
}

void ReportAssembler::apply_header(const Record& record, const StrippedLine& line, std::uint64_t number) {
  // vmalloc of 5.x and older complains first, then the page allocator's header follows.
  if (record.kind == RecordKind::AllocationHeader) {
    Open* const complaint = choose(line, [&](const Open& open) {
      return open.report.headline == Headline::VmallocFailure && !open.report.order &&
             number - open.touched <= kPatienceForHeader &&
             (open.report.comm.empty() || record.text.substr(0, open.report.comm.size()) == open.report.comm);
    });
    if (complaint != nullptr) {
      parse_allocation_header(record.text, complaint->report);
      touch(*complaint, record, line, number);
      return;
    }
  }
  Open& open = start(line, number);
  switch (record.kind) {
    case RecordKind::AllocationHeader: parse_allocation_header(record.text, open.report); break;
    case RecordKind::OomHeader: parse_oom_header(record.text, open.report); break;
    case RecordKind::VmallocHeader: parse_vmalloc_header(record.text, open.report); break;
    case RecordKind::CmaHeader: parse_cma_header(record.text, open.report); break;
    case RecordKind::ShowMemory: open.report.headline = Headline::ShowMemory; break;
    default: break;
  }
  touch(open, record, line, number);
}

void ReportAssembler::apply_zone(const Record& record, const StrippedLine& line, std::uint64_t number) {
  Open* open = choose_body(line, [&](const Open& candidate) {
    const ZoneText* const zone = find_zone(candidate.report, record);
    return zone == nullptr || !zone->has_zone_line;
  });
  if (open == nullptr)
    open = &start(line, number);
  ZoneText* zone = find_zone(open->report, record);
  if (zone == nullptr) {
    if (open->report.zones.size() >= kMaxZones)
      return;
    open->report.zones.push_back({.node = record.node, .name = std::string{record.zone}});
    zone = &open->report.zones.back();
  }
  parse_zone_line(record.text, *zone);
  open->last_index = static_cast<std::size_t>(zone - open->report.zones.data());
  open->reserve_zone = open->last_index;
  touch(*open, record, line, number);
}

void ReportAssembler::apply_free_area(const Record& record, const StrippedLine& line, std::uint64_t number) {
  const auto accepts = [&](const Open& candidate) {
    const ZoneText* const zone = find_zone(candidate.report, record);
    return zone == nullptr ? candidate.report.has_mem_info : zone->blocks.empty();
  };
  Open* open = choose_body(line, accepts);
  if (open != nullptr && line.writer == 0) {
    // Two reports wait for this line: its total belongs to the zone whose free pages are nearest.
    ZoneText blocks{};
    parse_free_area(record.text, blocks);
    std::int64_t nearest = -1;
    for (Open& candidate : open_) {
      const ZoneText* const zone = find_zone(candidate.report, record);
      if (candidate.closed || !accepts(candidate) || zone == nullptr || !zone->kb[ZoneField::Free] ||
          !blocks.blocks_total_kb)
        continue;
      const std::int64_t distance = std::abs(*zone->kb[ZoneField::Free] - *blocks.blocks_total_kb);
      if (nearest < 0 || distance < nearest) {
        nearest = distance;
        open = &candidate;
      }
    }
  }
  if (open == nullptr)
    return;
  ZoneText* zone = find_zone(open->report, record);
  if (zone == nullptr) {
    if (open->report.zones.size() >= kMaxZones)
      return;
    open->report.zones.push_back({.node = record.node, .name = std::string{record.zone}});
    zone = &open->report.zones.back();
  }
  parse_free_area(record.text, *zone);
  open->last_index = static_cast<std::size_t>(zone - open->report.zones.data());
  touch(*open, record, line, number);
}

void ReportAssembler::apply(const Record& original, const StrippedLine& line, std::uint64_t number) {
  Record record = original;
  // "Node 0 " printed alone: the zone is on the next line.
  if (record.kind == RecordKind::NodeFragment) {
    fragment_line_ = number;
    fragment_node_ = *record.node;
    return;
  }
  if ((record.kind == RecordKind::ZoneLine || record.kind == RecordKind::FreeArea) && !record.node &&
      fragment_line_ != 0 && number - fragment_line_ == 1)
    record.node = fragment_node_;

  const auto use = [&](Open* open, auto parse) {
    if (open == nullptr)
      return false;
    parse(*open);
    touch(*open, record, line, number);
    return true;
  };
  const auto with = [&](auto accepts, auto parse) { return use(choose(line, accepts), parse); };
  const auto with_body = [&](auto accepts, auto parse) { return use(choose_body(line, accepts), parse); };
  switch (record.kind) {
    case RecordKind::AllocationHeader:
    case RecordKind::OomHeader:
    case RecordKind::VmallocHeader:
    case RecordKind::CmaHeader:
    case RecordKind::ShowMemory: apply_header(record, line, number); break;
    case RecordKind::CmaPages:
      (void)with([](const Open& open) { return open.report.headline == Headline::CmaFailure; },
                 [&](Open& open) { parse_cma_pages(record.text, open.report); });
      break;
    case RecordKind::CpusetLine:
      (void)with(
          [](const Open& open) { return !open.report.mems_allowed && open.report.headline != Headline::CmaFailure; },
          [&](Open& open) { parse_cpuset(record.text, open.report); });
      break;
    case RecordKind::CpuLine: {
      const std::string_view comm = comm_of_cpu_line(record.text);
      const auto is_due = [](const Open& open) {
        return !open.has_cpu_line && !open.report.has_mem_info && open.report.headline != Headline::CmaFailure;
      };
      const auto parse = [&](Open& open) {
        open.has_cpu_line = true;
        parse_cpu_line(record.text, open.report);
      };
      if (with([&](const Open& open) { return is_due(open) && open.report.comm == comm; }, parse) ||
          with([&](const Open& open) { return is_due(open) && open.report.comm.empty(); }, parse) ||
          with(is_due, parse))
        break;
      // The header is lost; whether this becomes a report shows when Mem-Info follows.
      Open& open = start(line, number);
      parse(open);
      touch(open, record, line, number);
      break;
    }
    case RecordKind::Workqueue:
      (void)with([](const Open& open) { return !open.report.has_mem_info && open.report.workqueue.empty(); },
                 [&](Open& open) { open.report.workqueue.assign(record.text.substr(10, 120)); });
      break;
    case RecordKind::TraceEntry:
      (void)with(
          [](const Open& open) { return !open.report.has_mem_info; },
          [&](Open& open) {
            // "[<address>] ?" alone, wrapped: the name on this line is as uncertain.
            if (open.last_kind != RecordKind::TraceEntry || open.last_text.empty() || open.last_text.back() != '?')
              parse_trace_entry(record.text, open.report);
          });
      break;
    case RecordKind::MemInfo:
      if (!with(
              [](const Open& open) {
                return !open.report.has_mem_info && open.report.headline != Headline::CmaFailure &&
                       open.report.headline != Headline::OomKill && open.report.headline != Headline::MemcgOomKill;
              },
              [](Open& open) { open.report.has_mem_info = true; })) {
        Open& open = start(line, number);
        open.report.has_mem_info = true;
        touch(open, record, line, number);
      }
      break;
    case RecordKind::GlobalStats: {
      FailureReport fields{};
      parse_global_stats(record.text, fields);
      const auto is_new = [&](const Open& open) {
        for (std::size_t i = 0; i < kGlobalFieldNames.size(); ++i) {
          const auto field = static_cast<GlobalField>(i);
          if (fields.global_pages[field] && open.report.global_pages[field])
            return false;
        }
        return open.report.headline != Headline::CmaFailure;
      };
      (void)with_body(is_new, [&](Open& open) { parse_global_stats(record.text, open.report); });
      break;
    }
    case RecordKind::NodeLine:
      (void)with_body(
          [&](const Open& open) {
            return open.report.nodes.size() < kMaxNodes &&
                   std::none_of(open.report.nodes.begin(), open.report.nodes.end(),
                                [&](const NodeText& node) { return node.node == *record.node; });
          },
          [&](Open& open) {
            open.report.nodes.push_back({.node = *record.node});
            open.last_index = open.report.nodes.size() - 1;
            parse_node_line(record.text, open.report.nodes.back());
          });
      break;
    case RecordKind::ZoneLine: apply_zone(record, line, number); break;
    case RecordKind::LowmemReserve:
      (void)with(
          [](const Open& open) {
            return open.reserve_zone != kNone && open.report.zones[open.reserve_zone].lowmem_reserve.empty();
          },
          [&](Open& open) {
            parse_lowmem_reserve(record.text, open.report.zones[open.reserve_zone]);
            open.last_index = open.reserve_zone;
          });
      break;
    case RecordKind::FreeArea: apply_free_area(record, line, number); break;
    case RecordKind::Tail:
      (void)with(
          [&](const Open& open) {
            if (!open.report.has_mem_info && open.report.zones.empty())
              return false;
            FailureReport copy{};  // does this report lack the field?
            copy.pagecache_pages = open.report.pagecache_pages;
            copy.swapcache_pages = open.report.swapcache_pages;
            copy.free_swap_kb = open.report.free_swap_kb;
            copy.total_swap_kb = open.report.total_swap_kb;
            copy.ram_pages = open.report.ram_pages;
            copy.highmem_pages = open.report.highmem_pages;
            copy.reserved_pages = open.report.reserved_pages;
            copy.cma_reserved_pages = open.report.cma_reserved_pages;
            return parse_tail(record.text, copy);
          },
          [&](Open& open) {
            (void)parse_tail(record.text, open.report);
            open.has_tail = open.has_tail || open.report.reserved_pages.has_value();
          });
      break;
    case RecordKind::TaskRow:
      (void)with([](const Open& open) { return may_be_oom(open.report) && open.report.victim.empty(); },
                 [&](Open& open) { parse_task_row(record.text, open.report); });
      break;
    case RecordKind::Memcg:
      (void)with([](const Open& open) { return is_oom(open.report); },
                 [&](Open& open) { parse_memcg(record.text, open.report); });
      break;
    case RecordKind::OomSummary:
      (void)with([](const Open& open) { return may_be_oom(open.report) && open.report.constraint.empty(); },
                 [&](Open& open) {
                   open.report.headline = Headline::OomKiller;
                   parse_oom_summary(record.text, open.report);
                 });
      break;
    case RecordKind::KillLine:
      if (!with([](const Open& open) { return may_be_oom(open.report) && open.report.victim.empty(); },
                [&](Open& open) {
                  open.report.headline = Headline::OomKiller;
                  parse_kill_line(record.text, open.report);
                })) {
        // "Killed process N" repeats the "Kill process N" before it in old kernels.
        FailureReport kill{};
        parse_kill_line(record.text, kill);
        const bool is_repeat = std::any_of(open_.begin(), open_.end(), [&](const Open& open) {
          return open.report.victim_pid && open.report.victim_pid == kill.victim_pid;
        });
        if (is_repeat || !kill.victim_pid)
          break;
        // "Kill process A … or sacrifice child", then "Killed process B": B, a child of it, is the victim.
        constexpr std::uint64_t kNear = 4;
        Open* const chosen = choose(line, [&](const Open& open) {
          return open.report.victim_pid && open.last_kind == RecordKind::KillLine && number - open.touched <= kNear &&
                 open.last_text.find("ill process") != std::string::npos;
        });
        if (chosen != nullptr && record.text.find("Killed process") != std::string_view::npos) {
          parse_kill_line(record.text, chosen->report);
          touch(*chosen, record, line, number);
          break;
        }
        Open& open = start(line, number);
        parse_kill_line(record.text, open.report);
        touch(open, record, line, number);
      }
      break;
    case RecordKind::Unknown:
    case RecordKind::Ignored:
    case RecordKind::NodeFragment: break;
  }
}

void ReportAssembler::close_stale(std::uint64_t number) {
  bool any = false;
  for (Open& open : open_) {
    if (!open.closed && number - open.touched > patience(open.report, open.has_tail))
      open.closed = true;
    any = any || open.closed;
  }
  if (any)
    emit_closed();
}

void ReportAssembler::emit_closed() {
  while (!open_.empty() && open_.front().closed) {
    if (last_open_ == &open_.front())
      last_open_ = nullptr;
    FailureReport report = std::move(open_.front().report);
    open_.pop_front();
    if (report.notes.size() > kMaxNotes)
      report.notes.resize(kMaxNotes);
    if (is_worth_telling(report))
      sink_->take(std::move(report));
  }
}

void ReportAssembler::finish() {
  for (Open& open : open_)
    open.closed = true;
  emit_closed();
}

}  // namespace mmbox::lab::explain
