#include "mmbox/lab/trace/dat_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "mmbox/lab/trace/dat_reader.h"

namespace mmbox::lab {
namespace {

constexpr std::uint64_t kSectionMax = 256U << 20;  // event formats and kallsyms are a few MiB
// trace-cmd packs ten pages into a chunk. One chunk per cpu is held; all of them together take no more than kChunksMax.
constexpr std::uint64_t kChunkMax = 64U << 20;
constexpr std::uint64_t kChunksMax = 4ULL << 30;
constexpr std::uint32_t kCpusMax = 4096;
constexpr std::uint32_t kNameMax = 256;
constexpr std::string_view kRemedy = "check the file with 'trace-cmd report', or record it again";

// Sections of version 7.
constexpr unsigned kOptionDone = 0;
constexpr unsigned kOptionBuffer = 3;
constexpr unsigned kOptionUname = 5;
constexpr unsigned kOptionTimeOffset = 7;
constexpr unsigned kOptionTimeShift = 12;
constexpr unsigned kOptionTscToNs = 14;
constexpr unsigned kSectionHeaderInfo = 16;
constexpr unsigned kSectionFtraceFormats = 17;
constexpr unsigned kSectionEventFormats = 18;
constexpr unsigned kSectionKallsyms = 19;
constexpr unsigned kSectionPrintk = 20;
constexpr unsigned kSectionCmdlines = 21;

bool pread_whole(int fd, std::uint64_t offset, void* to, std::size_t size) {
  auto* out = static_cast<char*>(to);
  while (size != 0) {
    const ssize_t got = ::pread(fd, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    out += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

/// A range of bytes that is read forward: of the file, or of an unpacked section. After the first read past its end, it
/// has failed, and everything reads as zero.
class Cursor {
 public:
  Cursor(int fd, std::uint64_t begin, std::uint64_t end) : fd_(fd), at_(begin), end_(end), failed_(begin > end) {}
  explicit Cursor(std::string_view memory) : memory_(memory), end_(memory.size()) {}

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::uint64_t at() const { return at_; }
  [[nodiscard]] std::uint64_t left() const { return failed_ ? 0 : end_ - at_; }

  void skip(std::uint64_t size) {
    if (failed_ || size > end_ - at_)
      failed_ = true;
    else
      at_ += size;
  }
  bool read(void* to, std::size_t size) {
    const std::uint64_t from = at_;
    skip(size);
    if (!failed_) {
      if (fd_ < 0)
        std::memcpy(to, memory_.data() + from, size);
      else
        failed_ = !pread_whole(fd_, from, to, size);
    }
    if (failed_)
      std::memset(to, 0, size);
    return !failed_;
  }
  template <class T>
  T number() {
    T value = 0;  // the file's byte order is the machine's: little-endian
    read(&value, sizeof value);
    return value;
  }
  // A string that ends with a zero byte; fails if it is longer than kNameMax.
  std::string string() {
    std::string text;
    for (char c = 0; text.size() <= kNameMax; text += c) {
      c = number<char>();
      if (failed_ || c == '\0')
        return text;
    }
    failed_ = true;
    return {};
  }
  std::string bytes(std::uint64_t size) {
    std::string text;
    if (size > left() || size > kSectionMax) {
      failed_ = true;
      return text;
    }
    text.resize(size);
    read(text.data(), text.size());
    return text;
  }
  void expect(std::string_view wanted) {
    if (bytes(wanted.size()) != wanted)
      failed_ = true;
  }

 private:
  int fd_ = -1;
  std::string_view memory_;
  std::uint64_t at_ = 0;
  std::uint64_t end_ = 0;
  bool failed_ = false;
};

// ------------------------------------------------------------------ parts that both versions have

void walk_header_info(Cursor& in) {
  in.expect({"header_page\0", 12});
  in.skip(in.number<std::uint64_t>());
  in.expect({"header_event\0", 13});
  in.skip(in.number<std::uint64_t>());
}
void walk_ftrace_formats(Cursor& in) {
  for (auto count = in.number<std::uint32_t>(); count != 0 && !in.failed(); --count)
    in.skip(in.number<std::uint64_t>());
}
void walk_event_formats(Cursor& in) {
  for (auto systems = in.number<std::uint32_t>(); systems != 0 && !in.failed(); --systems) {
    in.string();
    walk_ftrace_formats(in);
  }
}
void walk_text(Cursor& in) {
  in.skip(in.number<std::uint32_t>());
}

std::string release_of(std::string_view uname) {
  // "Linux HOST RELEASE MACHINE"
  for (int word = 0; word < 2; ++word) {
    const std::size_t space = uname.find(' ');
    if (space == std::string_view::npos)
      return {};
    uname.remove_prefix(space + 1);
  }
  return std::string{uname.substr(0, uname.find_first_of(std::string_view{" \0", 2}))};
}

class Walker {
 public:
  Walker(int fd, const std::string& name) : fd_(fd), name_(name) {}

  Expected<DatLayout> walk() {
    struct stat status {};
    if (::fstat(fd_, &status) != 0 || status.st_size < 0)
      return error(0, "cannot be read");
    size_ = static_cast<std::uint64_t>(status.st_size);
    Cursor in{fd_, 0, size_};
    in.expect(kDatMagic);
    const std::string version = in.string();
    if (in.failed() || (version != "6" && version != "7"))
      return Error{.file = name_,
                   .message = fmt::format("trace.dat version '{}' is not known", version),
                   .remedy = "convert it with 'trace-cmd convert --file-version 7'"};
    layout_.version = version == "6" ? 6 : 7;
    const auto big_endian = in.number<std::uint8_t>();
    in.number<std::uint8_t>();  // bytes of a long in the traced machine's user space
    if (big_endian != 0)
      return Error{.file = name_,
                   .message = "the trace is from a big-endian machine, which is not read",
                   .remedy = "give the text that 'trace-cmd report' prints"};
    layout_.page_size = in.number<std::uint32_t>();
    auto walked = layout_.version == 6 ? walk_6(in) : walk_7(in);
    if (!walked)
      return std::move(walked).error();
    if (in.failed())
      return error(in.at(), "the file ends in the middle of its description");
    if (auto checked = check(); !checked)
      return std::move(checked).error();
    return std::move(layout_);
  }

 private:
  [[nodiscard]] Error error(std::uint64_t offset, std::string message) const {
    return Error{.file = name_, .offset = offset, .message = std::move(message), .remedy = std::string{kRemedy}};
  }
  [[nodiscard]] Error converted_times() const {
    return Error{.file = name_,
                 .message = "the times of this trace need a correction, which is not read",
                 .remedy = "give the text that 'trace-cmd report -t' prints"};
  }

  // The order of things is fixed.
  Expected<void> walk_6(Cursor& in) {
    walk_header_info(in);
    walk_ftrace_formats(in);
    walk_event_formats(in);
    walk_text(in);  // kallsyms
    walk_text(in);  // printk formats
    layout_.tasks = in.bytes(in.number<std::uint64_t>());
    const auto cpus = in.number<std::uint32_t>();
    std::string part = in.bytes(10);
    if (part == std::string_view{"options  \0", 10}) {
      for (auto id = in.number<std::uint16_t>(); id != kOptionDone && !in.failed(); id = in.number<std::uint16_t>()) {
        const auto size = in.number<std::uint32_t>();
        const std::string data = in.bytes(size);
        if (auto read = read_option(id, data); !read)
          return read;
      }
      part = in.bytes(10);
    }
    if (in.failed())
      return {};
    if (part != std::string_view{"flyrecord\0", 10})
      return error(in.at(), "the file holds no events of the ring buffer");
    if (cpus > kCpusMax)
      return error(in.at(), "the number of cpus is impossible");
    for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) {
      const auto offset = in.number<std::uint64_t>();
      layout_.cpus.push_back({.cpu = cpu, .offset = offset, .size = in.number<std::uint64_t>()});
    }
    return {};
  }

  // Options point at sections, the last option of a list at the next list.
  Expected<void> walk_7(Cursor& in) {
    compression_ = in.string();
    in.string();  // the compressor's version
    std::set<std::uint64_t> seen;
    for (auto offset = in.number<std::uint64_t>(); offset != 0 && !in.failed();) {
      if (!seen.insert(offset).second || seen.size() > 64)
        return error(offset, "the lists of options run in a circle");
      auto section = read_section(offset, 0);
      if (!section)
        return std::move(section).error();
      Cursor options{*section};
      offset = 0;
      while (options.left() != 0) {
        const auto id = options.number<std::uint16_t>();
        const auto size = options.number<std::uint32_t>();
        const std::string data = options.bytes(size);
        if (options.failed())
          return error(offset, "a list of options is damaged");
        if (id == kOptionDone) {
          offset = Cursor{data}.number<std::uint64_t>();
          break;
        }
        auto read = id == kOptionBuffer ? read_buffer(data) : read_option(id, data);
        if (!read)
          return read;
      }
    }
    return {};
  }

  // The contents of a section, unpacked.
  Expected<std::string> read_section(std::uint64_t offset, unsigned wanted) {
    Cursor in{fd_, offset, size_};
    const auto id = in.number<std::uint16_t>();
    const auto flags = in.number<std::uint16_t>();
    in.number<std::uint32_t>();  // its description
    const auto size = in.number<std::uint64_t>();
    if (in.failed() || id != wanted)
      return error(offset, "a section is not where the file says");
    if ((flags & 1) == 0) {
      std::string data = in.bytes(size);
      if (in.failed())
        return error(offset, "a section ends behind the end of the file");
      return data;
    }
    const auto stored = in.number<std::uint32_t>();
    const auto plain = in.number<std::uint32_t>();
    const std::string data = in.bytes(stored);
    if (in.failed() || plain > kSectionMax || stored > size)
      return error(offset, "a section ends behind the end of the file");
    if (auto known = check_compression(); !known)
      return std::move(known).error();
    std::string text(plain, '\0');
    const std::size_t got = ZSTD_decompress(text.data(), text.size(), data.data(), data.size());
    if (ZSTD_isError(got) != 0U || got != plain)
      return error(offset, "a section cannot be unpacked");
    return text;
  }

  Expected<void> check_compression() const {
    if (compression_ == "zstd")
      return {};
    return Error{.file = name_,
                 .message = fmt::format("compressed with '{}', which is not read", compression_),
                 .remedy = "convert it with 'trace-cmd convert --compression zstd'"};
  }

  Expected<void> read_buffer(std::string_view data) {
    Cursor option{data};
    const auto offset = option.number<std::uint64_t>();
    const std::string instance = option.string();
    const std::string clock = option.string();
    const auto page_size = option.number<std::uint32_t>();
    const auto cpus = option.number<std::uint32_t>();
    if (option.failed() || cpus > kCpusMax)
      return error(offset, "the description of the ring buffer is damaged");
    if (!instance.empty() || !layout_.cpus.empty())
      return {};  // the top buffer only, as trace-cmd report shows first
    Cursor section{fd_, offset, size_};
    const auto id = section.number<std::uint16_t>();
    const auto flags = section.number<std::uint16_t>();
    if (section.failed() || id != kOptionBuffer)
      return error(offset, "the ring buffer is not where the file says");
    layout_.compressed = (flags & 1) != 0;
    if (layout_.compressed)
      if (auto known = check_compression(); !known)
        return known;
    layout_.clock = clock;
    layout_.page_size = page_size;
    for (std::uint32_t i = 0; i < cpus; ++i) {
      DatCpu cpu{.cpu = option.number<std::uint32_t>()};
      cpu.offset = option.number<std::uint64_t>();
      cpu.size = option.number<std::uint64_t>();
      // The size leaves out the number of chunks that stands in front of them.
      if (layout_.compressed && cpu.size != 0)
        cpu.size += sizeof(std::uint32_t);
      layout_.cpus.push_back(cpu);
    }
    return option.failed() ? error(offset, "the description of the ring buffer is damaged") : Expected<void>{};
  }

  Expected<void> read_option(unsigned id, std::string_view data) {
    void (*walk_section)(Cursor&) = nullptr;
    switch (id) {
      case kOptionUname: layout_.release = release_of(data); return {};
      case kOptionTimeOffset:
      case kOptionTimeShift:
      case kOptionTscToNs: return converted_times();
      case kSectionHeaderInfo: walk_section = &walk_header_info; break;
      case kSectionFtraceFormats: walk_section = &walk_ftrace_formats; break;
      case kSectionEventFormats: walk_section = &walk_event_formats; break;
      case kSectionKallsyms:
      case kSectionPrintk: walk_section = &walk_text; break;
      case kSectionCmdlines: break;
      default: return {};
    }
    if (layout_.version == 6)
      return {};
    const auto offset = Cursor{data}.number<std::uint64_t>();
    auto section = read_section(offset, id);
    if (!section)
      return std::move(section).error();
    Cursor in{*section};
    if (walk_section != nullptr)
      walk_section(in);
    else
      layout_.tasks = in.bytes(in.number<std::uint64_t>());
    return in.failed() ? error(offset, "a section is shorter than it says") : Expected<void>{};
  }

  Expected<void> check() {
    const std::uint32_t page = layout_.page_size;
    if (page < 256 || page > (1U << 16) || (page & (page - 1)) != 0)
      return error(0, fmt::format("a page size of {} bytes is impossible", page));
    if (layout_.cpus.empty())
      return error(0, "the file holds no events of the ring buffer");
    for (const DatCpu& cpu : layout_.cpus) {
      if (cpu.cpu > std::numeric_limits<std::uint16_t>::max())
        return error(cpu.offset, "the number of a cpu is impossible");
      if (cpu.offset > size_ || cpu.size > size_ - cpu.offset)
        return error(size_, fmt::format("the file ends before the events of cpu {}", cpu.cpu));
      if (!layout_.compressed && cpu.size % page != 0)
        return error(cpu.offset, fmt::format("the events of cpu {} are no whole pages", cpu.cpu));
    }
    std::vector<DatCpu> sorted = layout_.cpus;
    std::sort(sorted.begin(), sorted.end(), [](const DatCpu& a, const DatCpu& b) { return a.offset < b.offset; });
    for (std::size_t i = 1; i < sorted.size(); ++i)
      if (sorted[i - 1].offset + sorted[i - 1].size > sorted[i].offset && sorted[i].size != 0)
        return error(sorted[i].offset, "two cpus have the same pages");
    layout_.chunk_max = std::min(kChunkMax, kChunksMax / layout_.cpus.size());
    return {};
  }

  int fd_;
  const std::string& name_;
  std::uint64_t size_ = 0;
  std::string compression_;
  DatLayout layout_;
};

}  // namespace

Expected<DatLayout> read_dat_layout(int fd, const std::string& name) {
  return Walker{fd, name}.walk();
}

// ------------------------------------------------------------------ pages

DatPages::DatPages(int fd, std::string name, const DatLayout& layout, const DatCpu& cpu)
    : fd_(fd),
      name_(std::move(name)),
      page_size_(layout.page_size),
      compressed_(layout.compressed),
      chunk_max_(layout.chunk_max),
      begin_(cpu.offset),
      at_(cpu.offset),
      end_(cpu.offset + cpu.size),
      position_(cpu.offset) {}

Error DatPages::error(std::string message) const {
  return Error{.file = name_, .offset = at_, .message = std::move(message), .remedy = std::string{kRemedy}};
}

Expected<void> DatPages::read_chunk() {
  position_ = at_;
  next_page_ = 0;
  if (!compressed_) {
    // As many pages at once as make reading cheap.
    constexpr std::uint64_t kReadAhead = 256U << 10;
    pages_.resize(std::min<std::uint64_t>(end_ - at_, std::max<std::uint64_t>(kReadAhead, page_size_)));
    if (!pread_whole(fd_, at_, pages_.data(), pages_.size()))
      return error("cannot be read");
    at_ += pages_.size();
    return {};
  }
  Cursor in{fd_, at_, end_};
  const auto stored = in.number<std::uint32_t>();
  const auto plain = in.number<std::uint32_t>();
  if (in.failed() || stored > in.left() || plain > chunk_max_ || plain == 0 || plain % page_size_ != 0)
    return error("a chunk of compressed pages is damaged");
  stored_.resize(stored);
  pages_.resize(plain);
  if (!in.read(stored_.data(), stored_.size()))
    return error("cannot be read");
  const std::size_t got = ZSTD_decompress(pages_.data(), pages_.size(), stored_.data(), stored_.size());
  if (ZSTD_isError(got) != 0U || got != plain)
    return error("a chunk of compressed pages cannot be unpacked");
  at_ = in.at();
  --chunks_left_;
  return {};
}

Expected<bool> DatPages::next(std::span<const std::byte>& page) {
  if (!std::exchange(started_, true) && compressed_ && begin_ != end_) {
    Cursor in{fd_, at_, end_};
    chunks_left_ = in.number<std::uint32_t>();
    if (in.failed())
      return error("the compressed pages are damaged");
    at_ = in.at();
  }
  if (next_page_ == pages_.size()) {
    if (compressed_ ? chunks_left_ == 0 : at_ == end_) {
      if (at_ != end_)
        return error("there is something behind the last chunk of pages");
      return false;
    }
    if (auto read = read_chunk(); !read)
      return std::move(read).error();
  }
  page = std::span{pages_}.subspan(next_page_, page_size_);
  next_page_ += page_size_;
  return true;
}

// ------------------------------------------------------------------ events of a page

namespace {
constexpr std::uint64_t kInUseMask = (1U << 27) - 1;
constexpr std::uint64_t kMissedEvents = 1U << 31;
constexpr std::uint64_t kMissedStored = 1U << 30;
constexpr std::uint32_t kTypePadding = 29;
constexpr std::uint32_t kTypeTimeExtend = 30;
constexpr std::uint32_t kTypeTimeStamp = 31;
constexpr unsigned kDeltaBits = 27;
}  // namespace

bool RingPage::load(std::span<const std::byte> page, std::size_t word_size) {
  const std::size_t head = sizeof(std::uint64_t) + word_size;
  std::uint64_t commit = 0;
  std::memcpy(&time_, page.data(), sizeof time_);
  std::memcpy(&commit, page.data() + sizeof time_, word_size);
  const std::uint64_t used = commit & kInUseMask;
  if (used > page.size() - head)
    return false;
  data_ = page.subspan(head, used);
  at_ = 0;
  lost_ = 0;
  if ((commit & kMissedEvents) != 0) {
    lost_ = std::numeric_limits<std::uint64_t>::max();
    // The count stands behind the events, if there was room.
    if ((commit & kMissedStored) != 0) {
      if (used + word_size > page.size() - head)
        return false;
      lost_ = 0;
      std::memcpy(&lost_, page.data() + head + used, word_size);
    }
  }
  return true;
}

std::uint32_t RingPage::word(std::size_t at) const {
  std::uint32_t value = 0;
  std::memcpy(&value, data_.data() + at, sizeof value);
  return value;
}

RingPage::Step RingPage::next(RingEvent& event) {
  for (;;) {
    const std::size_t left = data_.size() - at_;
    if (left < sizeof(std::uint32_t))
      return left == 0 ? Step::End : Step::Damaged;
    const std::uint32_t head = word(at_);
    const std::uint32_t type = head & 31;
    const std::uint64_t delta = head >> 5;
    std::size_t body = at_ + sizeof(std::uint32_t);
    if (type >= 1 && type < kTypePadding) {
      const std::size_t size = type * sizeof(std::uint32_t);
      if (size > data_.size() - body)
        return Step::Damaged;
      time_ += delta;
      event = {.timestamp = time_, .data = data_.subspan(body, size)};
      at_ = body + size;
      return Step::Event;
    }
    if (type == kTypePadding && delta == 0)
      return Step::End;  // the rest of the page is not in use
    if (data_.size() - body < sizeof(std::uint32_t))
      return Step::Damaged;
    const std::uint32_t array = word(body);
    switch (type) {
      case kTypeTimeExtend:
        time_ += delta + (std::uint64_t{array} << kDeltaBits);
        at_ = body + sizeof(std::uint32_t);
        continue;
      case kTypeTimeStamp:
        // 59 bits; the upper five stay as they are.
        time_ = (time_ & ~((1ULL << 59) - 1)) | (delta + (std::uint64_t{array} << kDeltaBits));
        at_ = body + sizeof(std::uint32_t);
        continue;
      default: break;
    }
    // The length of a discarded event, or of one too long for the type bits, itself included.
    if (array < sizeof(std::uint32_t) || array > data_.size() - body)
      return Step::Damaged;
    time_ += delta;
    at_ = body + std::min<std::size_t>((array + 3U) & ~3U, data_.size() - body);
    if (type == kTypePadding)
      continue;
    body += sizeof(std::uint32_t);
    event = {.timestamp = time_, .data = data_.subspan(body, array - sizeof(std::uint32_t))};
    return Step::Event;
  }
}

}  // namespace mmbox::lab
