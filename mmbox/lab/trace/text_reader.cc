#include "mmbox/lab/trace/text_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/trace/schema.h"
#include "mmbox/lab/trace/text_args.h"

namespace mmbox::lab {
namespace {

// Lines of a trace are short; the longest carry a print event of up to 1 KiB.
constexpr std::size_t kTraceLineMax = 64U << 10;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

template <class T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, problem] = std::from_chars(text.begin(), text.end(), value);
  return problem == std::errc{} && end == text.end();
}

// Takes the first word off `text`.
std::string_view take_word(std::string_view& text) {
  const std::size_t first = std::min(text.find_first_not_of(' '), text.size());
  text.remove_prefix(first);
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

// "12.345678" in nanoseconds, or "12" as it is.
bool parse_time(std::string_view text, std::uint64_t& time) {
  const std::size_t dot = text.find('.');
  if (!parse_whole(text.substr(0, dot), time))
    return false;
  if (dot == std::string_view::npos)
    return true;
  const std::string_view fraction = text.substr(dot + 1);
  std::uint64_t ns = 0;
  if (fraction.size() > 9 || !parse_whole(fraction, ns))
    return false;
  for (std::size_t i = fraction.size(); i < 9; ++i)
    ns *= 10;
  if (time > (~0ULL - ns) / 1000000000)
    return false;
  time = time * 1000000000 + ns;
  return true;
}

class TextReaderBase : public TraceReader {
 public:
  TextReaderBase(ByteSource source, const TraceOptions& options, std::string format)
      : lines_(std::move(source), kTraceLineMax),
        context_{.gfp = options.gfp != nullptr ? options.gfp : &gfp_layout_default(),
                 .migratetypes = options.migratetypes,
                 .vmemmap_base = options.vmemmap_base} {
    info_.format = std::move(format);
    info_.gfp = context_.gfp;
  }
  [[nodiscard]] Progress progress() const override { return lines_.progress(); }
  [[nodiscard]] const TraceInfo& info() const override { return info_; }

 protected:
  // Reads the event behind its name. The names of other systems' events are Unknown.
  Expected<void> read_event(std::string_view name, const TextArgs& args, TraceEvent& event) {
    const std::size_t kind = find_event(name);
    if (kind == kEventKinds) {
      event = Unknown{name.substr(name.find(':') + 1)};
      return {};
    }
    if (auto problem = parse_event(kind, args, context_, event))
      return lines_.error(fmt::format("event {}: {}", name, *problem),
                          "check the line; if the kernel is another one, say which");
    return {};
  }
  // A line without its end may be a part of one.
  Expected<void> check_terminated() const {
    if (lines_.terminated())
      return {};
    return lines_.error("the last line has no end", "the text was cut off: print or copy it again");
  }

  LineReader lines_;
  FieldContext context_;
  TraceInfo info_{};
};

// ------------------------------------------------------------------ ftrace, trace-cmd, perf

class TraceTextReader final : public TextReaderBase {
 public:
  TraceTextReader(ByteSource source, const TraceOptions& options)
      : TextReaderBase(std::move(source), options, "text") {}

  Expected<bool> next(TraceRecord& record) override {
    if (held_) {
      record = *std::exchange(held_, std::nullopt);
      return true;
    }
    std::string_view line;
    for (;;) {
      auto more = lines_.next(line);
      if (!more || !*more)
        return more;
      if (is_skipped(line))
        continue;
      if (auto ended = check_terminated(); !ended)
        return std::move(ended).error();
      if (const auto lost = parse_lost(line)) {
        lost_ = lost;
        continue;
      }
      if (auto read = read_line(line, record); !read)
        return std::move(read).error();
      if (lost_) {
        // A loss has no time of its own: it is told with that of the event that follows.
        held_ = record;
        record.pid = 0;
        record.comm = {};
        record.event = Lost{*std::exchange(lost_, std::nullopt)};
      }
      return true;
    }
  }

 private:
  static bool is_skipped(std::string_view line) {
    if (line.empty() || line.front() == '#' || line.front() == '\t')
      return true;
    const std::string_view text = trim(line);
    return text.empty() || text.starts_with("=>") || text == "<stack trace>" || line.starts_with("cpus=") ||
           line.starts_with("version = ") || (line.starts_with("CPU ") && line.ends_with(" is empty"));
  }

  // "CPU:1 [LOST 12 EVENTS]", "CPU:1 [EVENTS DROPPED]".
  static std::optional<std::uint64_t> parse_lost(std::string_view line) {
    if (!line.starts_with("CPU:"))
      return std::nullopt;
    const std::size_t open = line.find('[');
    if (open == std::string_view::npos)
      return std::nullopt;
    const std::string_view text = line.substr(open);
    if (text == "[EVENTS DROPPED]")
      return Lost::kUnknownCount;
    constexpr std::string_view kHead = "[LOST ";
    constexpr std::string_view kTail = " EVENTS]";
    std::uint64_t count = 0;
    if (!text.starts_with(kHead) || !text.ends_with(kTail) || text.size() < kHead.size() + kTail.size() ||
        !parse_whole(text.substr(kHead.size(), text.size() - kHead.size() - kTail.size()), count))
      return std::nullopt;
    return count;
  }

  Error line_error(std::string_view what) const {
    return lines_.error(fmt::format("is no line of a trace: {}", what),
                        "give the text of 'trace-cmd report', 'perf script' or the tracefs trace file, unchanged");
  }

  Expected<void> read_line(std::string_view line, TraceRecord& record) {
    // The cpu is the first "[digits]" that stands by itself behind a task and a pid; names of tasks may hold brackets
    // too.
    bool has_cpu = false;
    bool has_task = false;
    std::size_t close = 0;
    for (std::size_t open = line.find(" ["); open != std::string_view::npos && !has_task;
         open = line.find(" [", open + 1)) {
      close = open + 2;
      while (close < line.size() && is_digit(line[close]))
        ++close;
      if (close == open + 2 || close + 1 >= line.size() || line[close] != ']' || line[close + 1] != ' ')
        continue;
      std::uint16_t cpu = 0;
      if (!parse_whole(line.substr(open + 2, close - open - 2), cpu))
        return line_error("the cpu is out of range");
      record.cpu = CpuId{cpu};
      has_cpu = true;
      has_task = read_task(trim(line.substr(0, open)), record);
    }
    if (!has_cpu)
      return line_error("no cpu in brackets");
    if (!has_task)
      return line_error("no task and pid before the cpu");

    std::string_view rest = line.substr(close + 1);
    std::string_view word = take_word(rest);
    if (!word.ends_with(':'))  // the flags: interrupts off, preemption, ...
      word = take_word(rest);
    if (!word.ends_with(':') || !parse_time(word.substr(0, word.size() - 1), record.timestamp))
      return line_error("no time after the cpu");
    std::string_view name = take_word(rest);
    if (name.size() < 2 || !name.ends_with(':'))
      return line_error("no event after the time");
    name.remove_suffix(1);
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));

    if (name == "print" || name == "ftrace:print") {
      const std::size_t raw = rest.find(" buf=");  // of trace-cmd report -R
      if (rest.starts_with("ip=") && raw != std::string_view::npos)
        record.event = Marker{rest.substr(raw + 5)};
      else
        record.event = Marker{rest.substr(std::min(after_function(rest), rest.size()))};
      return {};
    }
    // The tracefs file names a print event by the function that made it.
    if (name == "tracing_mark_write" || rest.starts_with("mmo: ")) {
      record.event = Marker{rest};
      return {};
    }
    return read_event(name, {.text = rest}, record.event);
  }

  // Behind "function: ", if the text begins so.
  static std::size_t after_function(std::string_view text) {
    const std::size_t colon = text.find(": ");
    return colon != std::string_view::npos && colon == text.find_first_of(" :") ? colon + 2 : 0;
  }

  // "comm-pid", "comm-pid (tgid)" or, from perf, "comm pid" or "comm pid/tid".
  static bool read_task(std::string_view text, TraceRecord& record) {
    if (text.ends_with(')'))
      text = trim(text.substr(0, std::min(text.rfind('('), text.size())));
    std::size_t digits = text.size();
    while (digits > 0 && is_digit(text[digits - 1]))
      --digits;
    if (digits == 0 || !parse_whole(text.substr(digits), record.pid))
      return false;
    std::string_view comm = text.substr(0, digits);
    if (comm.ends_with('/')) {
      comm.remove_suffix(1);
      while (!comm.empty() && is_digit(comm.back()))
        comm.remove_suffix(1);
    }
    if (!comm.ends_with('-') && !comm.ends_with(' '))
      return false;
    comm.remove_suffix(1);
    record.comm = Comm{trim(comm)};
    return true;
  }

  std::optional<std::uint64_t> lost_;
  std::optional<TraceRecord> held_;  // its text lies in the line that was read last
};

// ------------------------------------------------------------------ the recordings' own text

class RecordingTextReader final : public TextReaderBase {
 public:
  RecordingTextReader(ByteSource source, const TraceOptions& options)
      : TextReaderBase(std::move(source), options, "recording text") {}

  Expected<bool> next(TraceRecord& record) override {
    std::string_view line;
    for (;;) {
      auto more = lines_.next(line);
      if (!more || !*more)
        return more;
      if (!line.starts_with('#'))
        break;
      read_short_name(line);
    }
    if (auto ended = check_terminated(); !ended)
      return std::move(ended).error();
    const auto fail = [this](std::string_view what) {
      return lines_.error(fmt::format("{} cannot be read", what), "print the text again from the trace.dat");
    };
    std::string_view rest = line;
    std::uint16_t cpu = 0;
    if (!parse_whole(take_word(rest), record.timestamp))
      return fail("the time");
    if (!parse_whole(take_word(rest), cpu))
      return fail("the cpu");
    if (!parse_whole(take_word(rest), record.pid))
      return fail("the pid");
    record.cpu = CpuId{cpu};
    record.comm = {};
    const std::string_view name = take_word(rest);
    if (name.empty())
      return fail("the event");
    if (!rest.empty())
      rest.remove_prefix(1);
    if (name == "#") {
      // What print events add in front is known from the recordings' other forms.
      record.event = Marker{rest};
      return true;
    }
    const auto named = short_names_.find(name);
    TextArgs args{.text = rest, .recording = true};
    if (named != short_names_.end())
      args.positions = named->second.values;
    if (auto read = read_event(named != short_names_.end() ? named->second.event : name, args, record.event); !read)
      return std::move(read).error();
    return true;
  }

 private:
  struct ShortName {
    std::string event;
    std::vector<std::string> values;
  };

  // "# A = mm_page_alloc: pfn order gfp_flags migratetype". Other comments mean nothing.
  void read_short_name(std::string_view line) {
    line.remove_prefix(1);
    const std::string_view name = take_word(line);
    if (take_word(line) != "=" || name.size() > 8 || short_names_.size() >= 64)
      return;
    const std::string_view event = take_word(line);
    if (event.size() < 2 || !event.ends_with(':'))
      return;
    ShortName entry{.event = std::string{event.substr(0, event.size() - 1)}, .values = {}};
    for (std::string_view value = take_word(line); !value.empty() && entry.values.size() < kFieldsMax;
         value = take_word(line))
      entry.values.emplace_back(value);
    if (!entry.values.empty())
      short_names_.insert_or_assign(std::string{name}, std::move(entry));
  }

  std::map<std::string, ShortName, std::less<>> short_names_;
};

}  // namespace

Expected<std::unique_ptr<TraceReader>> open_trace_text(ByteSource source, const TraceOptions& options) {
  return std::unique_ptr<TraceReader>{std::make_unique<TraceTextReader>(std::move(source), options)};
}

Expected<std::unique_ptr<TraceReader>> open_recording_text(ByteSource source, const TraceOptions& options) {
  return std::unique_ptr<TraceReader>{std::make_unique<RecordingTextReader>(std::move(source), options)};
}

}  // namespace mmbox::lab
