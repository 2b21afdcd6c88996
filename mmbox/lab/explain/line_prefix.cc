#include "mmbox/lab/explain/line_prefix.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <system_error>
#include <utility>

#include "mmbox/lab/explain/text_scan.h"

namespace mmbox::lab::explain {
namespace {

/// Also what ends a line in a file from elsewhere.
constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

std::string_view trim_left(std::string_view text) {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  return text;
}

std::string_view trim(std::string_view text) {
  text = trim_left(text);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

std::size_t count_digits(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n]))
    ++n;
  return n;
}

std::uint64_t hash_writer(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash | 1U;
}

/// "[  123.456]", "[  +0.000004]", "[Mon Mar 25 23:35:18 2019]", "[T67023]", "[    C1]", "[3:  kswapd0:  123]"; not "[
/// 893]" (a row of the task table), not "[<ffffffff81cac64d>]" or "[c0770974]" (addresses).
bool strip_bracket(std::string_view& text, StrippedLine& line) {
  if (text.empty() || text.front() != '[')
    return false;
  const std::size_t end = text.substr(0, 64).find(']');
  if (end == std::string_view::npos)
    return false;
  const std::string_view inside = trim(text.substr(1, end - 1));
  if (inside.empty())
    return false;
  const bool is_caller = (inside.front() == 'T' || inside.front() == 'C') && inside.size() > 1 &&
                         count_digits(inside.substr(1)) == inside.size() - 1;
  const std::size_t digits = count_digits(inside);
  const std::size_t sign = inside.front() == '+' ? 1 : 0;  // dmesg -H and -d print what has passed
  const std::size_t whole = count_digits(inside.substr(sign));
  const bool is_seconds = whole > 0 && sign + whole < inside.size() && inside[sign + whole] == '.';
  const bool is_date = inside.find(':') != std::string_view::npos && inside.front() != '<';
  if (!is_caller && !is_seconds && !is_date)
    return false;
  if (is_caller || (is_date && digits > 0 && digits < inside.size() && inside[digits] == ':'))
    line.writer = hash_writer(inside);
  text.remove_prefix(end + 1);
  return true;
}

/// Log levels `<4>`.
bool strip_level(std::string_view& text) {
  if (text.size() < 3 || text.front() != '<')
    return false;
  const std::size_t digits = count_digits(text.substr(1));
  if (digits == 0 || digits > 3 || 1 + digits >= text.size() || text[1 + digits] != '>')
    return false;
  text.remove_prefix(digits + 2);
  return true;
}

/// netconsole with headers, /dev/kmsg: `4,1234,5678901,-;` or `4,1234,5678901,-,caller=T12;`, a release before it.
bool strip_kmsg_header(std::string_view& text, StrippedLine& line) {
  std::string_view rest = text;
  if (const std::size_t digits = count_digits(rest); digits > 0 && digits < rest.size() && rest[digits] == '.')
    if (const std::size_t comma = rest.substr(0, 80).find(','); comma != std::string_view::npos)
      rest.remove_prefix(comma + 1);
  for (int field = 0; field < 3; ++field) {
    const std::size_t digits = count_digits(rest);
    if (digits == 0 || digits >= rest.size() || rest[digits] != ',')
      return false;
    rest.remove_prefix(digits + 1);
  }
  const std::size_t end = rest.substr(0, 64).find(';');
  if (end == std::string_view::npos)
    return false;
  if (const std::size_t caller = rest.substr(0, end).find("caller="); caller != std::string_view::npos)
    line.writer = hash_writer(rest.substr(caller + 7, end - caller - 7));
  text = rest.substr(end + 1);
  return true;
}

/// `… host kernel: `, `kernel: `, `kern  :warn  : `: everything up to the program's name.
bool strip_program(std::string_view& text) {
  constexpr std::size_t kReach = 96;  // longer host names than this are cut by syslog itself
  const std::string_view head = text.substr(0, kReach);
  constexpr std::string_view kJournalField = "MESSAGE=";  // journalctl -o export, -o verbose
  if (head.substr(0, kJournalField.size()) == kJournalField) {
    text.remove_prefix(kJournalField.size());
    return true;
  }
  if (const std::size_t at = head.find("kernel:"); at != std::string_view::npos &&
                                                   (at == 0 || is_space(text[at - 1])) &&
                                                   text.substr(0, at).find("free:") == std::string_view::npos) {
    text.remove_prefix(at + 7);
    return true;
  }
  if (head.substr(0, 4) == "kern") {
    std::size_t at = 4;
    while (at < head.size() && is_space(head[at]))
      ++at;
    if (at < head.size() && head[at] == ':') {
      const std::size_t second = head.find(':', at + 1);
      if (second != std::string_view::npos && second - at < 12) {
        text.remove_prefix(second + 1);
        return true;
      }
    }
  }
  return false;
}

/// Android: `c3  1234 `, `(0)[123:kworker/0:1]`, `01-02 03:04:05.678  1000  123  456 I tag:`.
bool strip_android(std::string_view& text, StrippedLine& line) {
  if (text.size() > 3 && text[0] == 'c' && is_digit(text[1])) {
    std::size_t at = 1 + count_digits(text.substr(1));
    std::string_view rest = trim_left(text.substr(at));
    const std::size_t digits = count_digits(rest);
    if (rest.size() < text.size() - at && digits > 0 && digits < rest.size() && is_space(rest[digits])) {
      line.writer = hash_writer(text.substr(0, static_cast<std::size_t>(rest.data() - text.data()) + digits));
      text = rest.substr(digits);
      return true;
    }
  }
  if (text.size() > 4 && text[0] == '(' && is_digit(text[1])) {
    const std::size_t close = text.substr(0, 8).find(')');
    if (close != std::string_view::npos && close + 1 < text.size() && text[close + 1] == '[') {
      const std::size_t end = text.substr(0, 64).find(']', close);
      if (end != std::string_view::npos) {
        line.writer = hash_writer(text.substr(0, end));
        text.remove_prefix(end + 1);
        return true;
      }
    }
  }
  if (text.size() > 20 && is_digit(text[0]) && is_digit(text[1]) && text[2] == '-' && is_digit(text[3]) &&
      text[5] == ' ' && text[8] == ':') {
    // Numbers, then one letter for the level, then the tag up to its colon.
    std::size_t at = 18;
    while (at < text.size() && (is_space(text[at]) || is_digit(text[at])))
      ++at;
    if (at + 1 < text.size() && text[at] >= 'A' && text[at] <= 'Z' && is_space(text[at + 1])) {
      const std::size_t colon = text.substr(0, 96).find(':', at);
      if (colon != std::string_view::npos) {
        text.remove_prefix(colon + 1);
        return true;
      }
    }
  }
  return false;
}

/// Mail quoting.
bool strip_quote(std::string_view& text) {
  if (text.empty() || (text.front() != '>' && text.front() != '|'))
    return false;
  text.remove_prefix(1);
  return true;
}

/// A bare time such as `2024-05-01T12:00:00.123456+02:00 ` or `2024-05-01 12:00:00,123 ` that no program name follows.
bool strip_iso_time(std::string_view& text) {
  if (text.size() < 20 || count_digits(text) != 4 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != ' ') || text[13] != ':')
    return false;
  const std::size_t end = text.find(' ', 11);
  if (end == std::string_view::npos)
    return false;
  text.remove_prefix(end);
  return true;
}

/// "23:35:18" or "23:35:18.123" and a blank; the length, 0 if it does not stand there.
std::size_t clock_length(std::string_view text) {
  if (text.size() < 9 || count_digits(text) != 2 || text[2] != ':' || count_digits(text.substr(3)) != 2 ||
      text[5] != ':' || count_digits(text.substr(6)) != 2)
    return 0;
  std::size_t at = 8;
  if (text[at] == '.' || text[at] == ',')
    at += 1 + count_digits(text.substr(at + 1));
  return at < text.size() && is_space(text[at]) ? at : 0;
}

/// `Mar 25 23:35:18 192.168.1.7 `, as a syslog server writes what netconsole sends it; `23:35:18.123 `.
bool strip_clock(std::string_view& text) {
  std::string_view rest = text;
  bool has_date = false;
  if (rest.size() > 16 && rest[3] == ' ' && rest[0] >= 'A' && rest[0] <= 'Z' && rest[6] == ' ' &&
      (is_digit(rest[4]) || rest[4] == ' ') && is_digit(rest[5])) {
    rest.remove_prefix(7);
    has_date = true;
  }
  const std::size_t clock = clock_length(rest);
  if (clock == 0)
    return false;
  rest = trim_left(rest.substr(clock));
  if (has_date) {
    const std::size_t host = rest.find(' ');
    if (host == std::string_view::npos || rest.front() == '[')
      return false;
    rest.remove_prefix(host);
  }
  text = rest;
  return true;
}

/// Numbers that tools put before lines: `123:` and `123-` of grep, `   123<tab>` of cat.
bool strip_line_number(std::string_view& text) {
  constexpr std::size_t kLongest = 9;
  const std::size_t digits = count_digits(text);
  if (digits == 0 || digits > kLongest || digits + 1 >= text.size())
    return false;
  const char after = text[digits];
  if (after != ':' && after != '\t' && (after != '-' || is_digit(text[digits + 1])))
    return false;
  text.remove_prefix(digits + 1);
  return true;
}

/// Whatever stands before the kernel's own time `[ 1234.567890] `: host names, container logs, tables.
bool strip_to_printk_time(std::string_view& text) {
  constexpr std::size_t kReach = 160;
  const std::string_view head = text.substr(0, kReach);
  for (std::size_t open = head.find('['); open != std::string_view::npos; open = head.find('[', open + 1)) {
    const std::string_view inside = trim_left(head.substr(open + 1));
    const std::size_t whole = count_digits(inside);
    if (whole == 0 || whole + 7 >= inside.size() || inside[whole] != '.' ||
        count_digits(inside.substr(whole + 1)) != 6 || inside[whole + 7] != ']')
      continue;
    // A time in the middle of a record means that two lines run into each other.
    const std::string_view before = text.substr(0, open);
    for (const std::string_view record : {"kB", "order", "mode:", "+0x", "lowmem", "free:", "CPU"})
      if (contains(before, record))
        return false;
    text.remove_prefix(open);
    return open > 0;
  }
  return false;
}

/// Decodes the string that begins after the quote at `text`: escapes of JSON.
std::string json_string(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      result += text[i];
      continue;
    }
    ++i;
    switch (text[i]) {
      case 'n': result += '\n'; break;
      case 't': result += '\t'; break;
      case 'r': result += '\r'; break;
      case 'u': {
        // What a kernel prints, and what a web page makes of blanks and stars; the rest has a stand-in.
        unsigned code = 0;
        const std::string_view digits = text.substr(i + 1, 4);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (error != std::errc{} || end != digits.data() + 4)
          break;
        if (code < 0x80) {
          result += static_cast<char>(code);
        } else if (code < 0x100) {
          result += static_cast<char>(0xc0U | (code >> 6));
          result += static_cast<char>(0x80U | (code & 0x3fU));
        } else {
          result += '?';
        }
        i += 4;
        break;
      }
      default: result += text[i];
    }
  }
  return result;
}

}  // namespace

StrippedLine strip_prefix(std::string_view line) {
  StrippedLine result{};
  std::string_view text = trim(line);
  result.ended_in_blank = !line.empty() && is_space(line.back());
  // Prefixes nest (a quoted syslog line with a level and a time); no known way stacks more than eight.
  for (int round = 0; round < 8; ++round) {
    const bool stripped = strip_quote(text) || strip_level(text) || strip_bracket(text, result) ||
                          strip_kmsg_header(text, result) || strip_program(text) || strip_android(text, result) ||
                          strip_iso_time(text) || strip_clock(text) || strip_line_number(text) ||
                          strip_to_printk_time(text);
    if (!stripped)
      break;
    text = trim_left(text);
  }
  result.text = text;
  return result;
}

std::optional<std::string> json_message(std::string_view line) {
  // The names that journalctl, dmesg --json, container engines and log collectors give the text.
  constexpr std::array<std::string_view, 6> kNames{"MESSAGE", "message", "msg", "log", "short_message", "text"};
  for (std::size_t quote = line.find('"'); quote != std::string_view::npos; quote = line.find('"', quote + 1)) {
    std::string_view rest = line.substr(quote + 1);
    for (const std::string_view name : kNames) {
      if (rest.substr(0, name.size()) != name || rest.substr(name.size(), 1) != "\"")
        continue;
      std::string_view value = trim_left(rest.substr(name.size() + 1));
      if (value.empty() || value.front() != ':')
        break;
      value = trim_left(value.substr(1));
      if (value.empty() || value.front() != '"')
        break;
      return json_string(value.substr(1));
    }
  }
  return std::nullopt;
}

bool needs_cleaning(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    switch (line[i]) {
      case '\0':
      case '\x1b':
      case '&': return true;
      case '#':
        if (line.substr(i, 4) == "#012")
          return true;
        break;
      case '\\':
        if (line.substr(i, 2) == "\\n" || line.substr(i, 4) == "\\x0a" || line.substr(i, 4) == "\\012")
          return true;
        break;
      case '=':
        if (line.substr(i, 3) == "=3D" || line.substr(i, 3) == "=20" || i + 1 == line.size())
          return true;
        break;
      case '<':
        if (i + 1 < line.size() && (line[i + 1] == 'b' || line[i + 1] == 'B' || line[i + 1] == '/'))
          return true;
        break;
      case '\r':
        if (i + 1 < line.size())
          return true;
        break;
      case '\xc2':
        if (line.substr(i, 2) == "\xc2\xa0")  // a blank that does not break
          return true;
        break;
      case '\xc3':
        if (line.substr(i, 2) == "\xc3\x97")  // the multiplication sign
          return true;
        break;
      case '\xef':
        if (line.substr(i, 3) == "\xef\xbb\xbf")  // a byte order mark
          return true;
        break;
      default: break;
    }
  }
  return false;
}

std::string clean_line(std::string_view line) {
  struct Replacement {
    std::string_view from;
    std::string_view to;
  };
  // "<TASK>" and "<IRQ>" are the kernel's own and stay.
  constexpr std::array<Replacement, 22> kReplacements{
      {{"\xc2\xa0", " "}, {"&gt;", ">"},  {"&lt;", "<"}, {"&amp;", "&"},      {"&quot;", "\""}, {"&#39;", "'"},
       {"&nbsp;", " "},   {"#012", "\n"}, {"\\n", "\n"}, {"\\x0a", "\n"},     {"\\012", "\n"},  {"=3D", "="},
       {"=20", " "},      {"<br>", ""},   {"<br/>", ""}, {"<br />", ""},      {"<BR>", ""},     {"</p>", ""},
       {"\xc3\x97", "*"}, {"</pre>", ""}, {"\r", "\n"},  {"\xef\xbb\xbf", ""}}};
  std::string result;
  result.reserve(line.size());
  for (std::size_t i = 0; i < line.size();) {
    if (line[i] == '\0') {  // a serial line's noise, or the end of a pstore record
      ++i;
      continue;
    }
    if (line[i] == '\x1b') {  // ESC [ … letter
      ++i;
      if (i < line.size() && line[i] == '[') {
        ++i;
        while (i < line.size() && !(line[i] >= '@' && line[i] <= '~'))
          ++i;
        if (i < line.size())
          ++i;
      }
      continue;
    }
    bool replaced = false;
    for (const auto& [from, to] : kReplacements) {
      if (line[i] == from.front() && line.substr(i, from.size()) == from) {
        result += to;
        i += from.size();
        replaced = true;
        break;
      }
    }
    if (!replaced)
      result += line[i++];
  }
  return result;
}

}  // namespace mmbox::lab::explain
