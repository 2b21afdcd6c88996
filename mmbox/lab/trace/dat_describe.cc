// The child writes lines of words to a pipe: `long N`, `gfp SINCE`, `event ID NAME`, `field NAME OFFSET SIZE SIGNED`,
// `end`. The parent believes none of it without a check.
#include "mmbox/lab/trace/dat_describe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/trace/schema.h"
#include "mmbox/lab/trace/trace_dat_c.h"

namespace mmbox::lab {
namespace {

// A sound file of 4 MiB of formats and symbols takes a fifth of a second.
constexpr unsigned kSecondsMax = 30;
constexpr std::size_t kDescriptionMax = 16U << 20;

// ------------------------------------------------------------------ the child

// A name of the file's, as one word.
std::string word(const char* name) {
  std::string text{name != nullptr ? name : ""};
  for (char& c : text)
    if (static_cast<unsigned char>(c) <= ' ')
      c = '?';
  return text.empty() ? "?" : text;
}

// The masks of the named composites and the order of the names stand in the event's print format. Rather than parse C,
// let the library print made-up events and see which layout says the same.
const GfpLayout* told_layout(const mmbox_dat* dat, int position, std::uint16_t id) {
  mmbox_dat_field field{};
  int offset = -1;
  std::size_t size = 0;
  for (int number = 0; mmbox_dat_field_at(dat, position, number, &field); ++number) {
    if (field.offset < 0 || field.size < 0 || field.offset > 4096 || field.size > 4096)
      return nullptr;
    size = std::max(size, static_cast<std::size_t>(field.offset + field.size));
    if (std::string_view{field.name} == "gfp_flags")
      offset = field.offset;
  }
  if (offset < 0)
    return nullptr;
  std::vector<char> data(size + sizeof(std::uint64_t));
  std::memcpy(data.data(), &id, sizeof id);  // common_type is the first field of every kernel
  const auto printed = [&](std::uint32_t mask) {
    std::array<char, 512> text{};
    std::memcpy(data.data() + offset, &mask, sizeof mask);
    mmbox_dat_print(dat, data.data(), data.size(), text.data(), text.size());
    const std::string line{text.data()};
    return line.substr(line.rfind('=') + 1);
  };
  for (const GfpLayout& layout : gfp_layouts()) {
    const auto agrees = [&](std::string_view names) {
      const auto mask = layout.parse(names);
      return mask.has_value() && printed(*mask) == layout.text(*mask);
    };
    if (agrees("GFP_KERNEL") && agrees("GFP_ATOMIC") && agrees("GFP_NOWAIT") && agrees("__GFP_COMP|__GFP_ZERO"))
      return &layout;
  }
  return nullptr;
}

// Everything at once: a description that ends in the middle is none.
bool write_description(int fd, int to) {
  const mmbox_dat* const dat = mmbox_dat_open(fd);
  if (dat == nullptr || mmbox_dat_is_old_format(dat))
    return false;
  std::string text = fmt::format("long {}\n", mmbox_dat_long_size(dat));
  mmbox_dat_event event{};
  for (int position = 0; mmbox_dat_event_at(dat, position, &event); ++position) {
    if (event.id < 0 || event.id > std::numeric_limits<std::uint16_t>::max())
      continue;
    const std::string name = word(event.name);
    text += fmt::format("event {} {}\n", event.id, name);
    const std::size_t kind = find_event(name);
    if (kind == kEventKinds)
      continue;
    mmbox_dat_field field{};
    for (int number = 0; mmbox_dat_field_at(dat, position, number, &field); ++number)
      text += fmt::format("field {} {} {} {}\n", word(field.name), field.offset, field.size, field.is_signed ? 1 : 0);
    if (kind != kKindOf<MmPageAlloc>)
      continue;
    if (const GfpLayout* gfp = told_layout(dat, position, static_cast<std::uint16_t>(event.id)); gfp != nullptr)
      text += fmt::format("gfp {}\n", gfp->since());
  }
  text += "end\n";
  for (std::string_view todo = text; !todo.empty();) {
    const ssize_t wrote = ::write(to, todo.data(), todo.size());
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return false;
    todo.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

[[noreturn]] void run_child(int fd, int to) {
  // What the libraries print is meant for people at a terminal; here our error says it.
  const int nowhere = ::open("/dev/null", O_WRONLY);
  if (nowhere >= 0) {
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
  }
  // A crash here is expected, and nobody's business but our parent's.
  const rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM})
    ::signal(number, SIG_DFL);
  ::alarm(kSecondsMax);
  ::_exit(write_description(fd, to) ? 0 : 1);
}

// ------------------------------------------------------------------ the parent

// Takes the first word off a line.
std::string_view take_word(std::string_view& line) {
  const std::string_view found = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), found.size() + 1));
  return found;
}

template <class T>
bool take_number(std::string_view& line, T& value) {
  const std::string_view text = take_word(line);
  const auto [end, problem] = std::from_chars(text.begin(), text.end(), value);
  return problem == std::errc{} && end == text.end();
}

bool read_line(std::string_view line, DatDescription& out) {
  const std::string_view what = take_word(line);
  if (what == "long")
    return take_number(line, out.long_size) && (out.long_size == 4 || out.long_size == 8);
  if (what == "gfp") {
    std::uint32_t since = 0;
    if (!take_number(line, since))
      return false;
    for (const GfpLayout& layout : gfp_layouts())
      if (layout.since() == since)
        out.gfp = &layout;
    return true;
  }
  if (what == "event") {
    DatEvent event;
    if (!take_number(line, event.id))
      return false;
    event.name = take_word(line);
    out.events.push_back(std::move(event));
    return true;
  }
  if (what == "field" && !out.events.empty()) {
    DatField field;
    field.name = take_word(line);
    std::uint32_t is_signed = 0;
    if (!take_number(line, field.offset) || !take_number(line, field.size) || !take_number(line, is_signed))
      return false;
    field.is_signed = is_signed != 0;
    // The largest record is a page.
    if (field.offset > (1U << 16) || field.size > (1U << 16))
      return false;
    out.events.back().fields.push_back(std::move(field));
    return true;
  }
  return false;
}

bool read_description(std::string_view text, DatDescription& out) {
  while (text != "end\n") {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || !read_line(text.substr(0, end), out))
      return false;
    text.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace

Expected<DatDescription> describe_dat(int fd, const std::string& file) {
  const auto error = [&file](std::string message) {
    return Error{.file = file,
                 .message = std::move(message),
                 .remedy = "check the file with 'trace-cmd report', or record it again"};
  };
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return error("no pipe for the description of the events");
  FileHandle from{ends[0]};
  FileHandle to{ends[1]};
  const pid_t child = ::fork();
  if (child < 0)
    return error("no process for reading the description of the events");
  if (child == 0)
    run_child(fd, to.get());
  to = FileHandle{};  // so that the end of the child is the end of the pipe

  std::string text;
  std::array<char, 64U << 10> buffer{};
  for (;;) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0 || text.size() > kDescriptionMax)
      break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  from = FileHandle{};
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  DatDescription description;
  if (status != 0 || !read_description(text, description))
    return error("libtracecmd cannot read the description of the events");
  return description;
}

}  // namespace mmbox::lab
