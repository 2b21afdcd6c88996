#include "mmbox/lab/io/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace mmbox::lab {
namespace {

constexpr std::string_view kZstdMagic{"\x28\xb5\x2f\xfd", 4};
constexpr std::size_t kStoredBuffer = 128U << 10;
constexpr std::size_t kDecodedBuffer = 256U << 10;
static_assert(ByteSource::kPeekMax < kDecodedBuffer);

struct FreeStream {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

std::string errno_text() {
  return std::strerror(errno);
}

}  // namespace

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  const FileHandle old{std::exchange(fd_, std::exchange(other.fd_, -1))};
  return *this;
}

FileHandle::~FileHandle() {
  if (fd_ > STDIN_FILENO)
    ::close(fd_);
}

struct ByteSource::State {
  std::string name;
  FileHandle fd;
  bool is_regular = false;
  std::uint64_t stored_total = 0;
  std::uint64_t stored_done = 0;  // bytes taken from the file or the memory
  std::uint64_t consumed = 0;

  // Where stored bytes come from: `memory` for from_memory, else `stored` filled from fd.
  std::vector<char> stored;
  std::string_view memory;
  bool from_memory = false;
  std::string_view stored_left;  // not yet decoded
  bool stored_end = false;

  bool is_zstd = false;
  bool started = false;
  std::unique_ptr<ZSTD_DStream, FreeStream> stream;
  bool frame_open = false;

  std::vector<char> decoded;  // used for zstd, and for peeks that span two reads
  std::string_view left;      // decoded, not consumed; lies in `decoded`, `stored` or `memory`

  Error error(std::string message, std::string remedy) const {
    return Error{
        .file = name, .offset = consumed + left.size(), .message = std::move(message), .remedy = std::move(remedy)};
  }

  // Makes stored_left non-empty, or sets stored_end.
  Expected<void> fill_stored() {
    if (!stored_left.empty() || stored_end)
      return {};
    if (from_memory) {
      stored_left = memory;
      memory = {};
      stored_end = stored_left.empty();
      stored_done += stored_left.size();
      return {};
    }
    stored.resize(kStoredBuffer);
    ssize_t got = 0;
    do {
      got = ::read(fd.get(), stored.data(), stored.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0)
      return error("cannot be read: " + errno_text(), "check the file and its permissions");
    stored_left = {stored.data(), static_cast<std::size_t>(got)};
    stored_done += stored_left.size();
    stored_end = got == 0;
    return {};
  }

  Expected<void> start() {
    started = true;
    if (auto filled = fill_stored(); !filled)
      return filled;
    // A pipe may give fewer than four bytes at first.
    std::string head{stored_left};
    while (!from_memory && head.size() < kZstdMagic.size() && !stored_end) {
      stored_left = {};
      if (auto filled = fill_stored(); !filled)
        return filled;
      head += stored_left;
      if (head.size() > kStoredBuffer)
        break;
    }
    if (head.size() != stored_left.size()) {
      stored.assign(head.begin(), head.end());
      stored_left = {stored.data(), stored.size()};
      stored_end = false;
    }
    if (!stored_left.starts_with(kZstdMagic))
      return {};
    is_zstd = true;
    stream.reset(ZSTD_createDStream());
    if (!stream)
      return error("no memory for decompression", "free some memory");
    return {};
  }

  // Appends decoded bytes behind `left`, at most up to the end of `decoded`. Adds nothing at the end of the input.
  Expected<void> decode() {
    if (!started)
      if (auto ok = start(); !ok)
        return ok;
    if (!is_zstd) {
      if (left.empty()) {
        if (auto ok = fill_stored(); !ok)
          return ok;
        left = std::exchange(stored_left, {});
        return {};
      }
      compact();
      // `left` is safe in `decoded` now, so that the stored buffer may be filled anew.
      if (auto ok = fill_stored(); !ok)
        return ok;
      const std::size_t n = std::min(stored_left.size(), decoded.size() - left.size());
      std::copy_n(stored_left.begin(), n, decoded.begin() + static_cast<std::ptrdiff_t>(left.size()));
      stored_left.remove_prefix(n);
      left = {decoded.data(), left.size() + n};
      return {};
    }
    compact();
    ZSTD_outBuffer out{decoded.data(), decoded.size(), left.size()};
    const std::size_t before = out.pos;
    while (out.pos == before && out.pos < out.size) {
      if (auto ok = fill_stored(); !ok)
        return ok;
      if (stored_end) {
        if (frame_open)
          return error("the compressed data ends in the middle", "the file was cut off: copy or record it again");
        break;
      }
      ZSTD_inBuffer in{stored_left.data(), stored_left.size(), 0};
      const std::size_t rest = ZSTD_decompressStream(stream.get(), &out, &in);
      stored_left.remove_prefix(in.pos);
      if (ZSTD_isError(rest) != 0U) {
        left = {decoded.data(), out.pos};
        return error(std::string{"damaged zstd data: "} + ZSTD_getErrorName(rest),
                     "copy the file again, or check it with 'zstd -t'");
      }
      frame_open = rest != 0;
    }
    left = {decoded.data(), out.pos};
    return {};
  }

  // Moves what is left to the front of `decoded`.
  void compact() {
    decoded.resize(kDecodedBuffer);
    if (!left.empty())
      std::memmove(decoded.data(), left.data(), left.size());
    left = {decoded.data(), left.size()};
  }
};

ByteSource::ByteSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource& ByteSource::operator=(ByteSource&&) noexcept = default;
ByteSource::~ByteSource() = default;

Expected<ByteSource> ByteSource::open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->name = path;
  if (path == "-") {
    state->fd = FileHandle{STDIN_FILENO};
  } else {
    state->fd = FileHandle{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (state->fd.get() < 0)
      return Error{.file = path, .message = "cannot be opened: " + errno_text(), .remedy = "check the path"};
  }
  struct stat status {};
  if (::fstat(state->fd.get(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return Error{.file = path, .message = "is a folder", .remedy = "name a file in it"};
    state->is_regular = S_ISREG(status.st_mode);
    if (state->is_regular)
      state->stored_total = static_cast<std::uint64_t>(status.st_size);
  }
  return ByteSource{std::move(state)};
}

ByteSource ByteSource::from_memory(std::string name, std::string_view bytes) {
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  state->from_memory = true;
  state->memory = bytes;
  state->stored_total = bytes.size();
  return ByteSource{std::move(state)};
}

Expected<std::string_view> ByteSource::view() {
  if (state_->left.empty())
    if (auto ok = state_->decode(); !ok)
      return std::move(ok).error();
  return state_->left;
}

Expected<std::string_view> ByteSource::peek(std::size_t n) {
  n = std::min(n, kPeekMax);
  while (state_->left.size() < n) {
    const std::size_t before = state_->left.size();
    if (auto ok = state_->decode(); !ok)
      return std::move(ok).error();
    if (state_->left.size() == before)
      break;
  }
  return state_->left.substr(0, n);
}

void ByteSource::consume(std::size_t n) {
  n = std::min(n, state_->left.size());
  state_->left.remove_prefix(n);
  state_->consumed += n;
}

const std::string& ByteSource::name() const {
  return state_->name;
}

std::uint64_t ByteSource::offset() const {
  return state_->consumed;
}

Progress ByteSource::progress() const {
  return {.done = state_->stored_done - state_->stored_left.size() - (state_->is_zstd ? 0 : state_->left.size()),
          .total = state_->stored_total};
}

Expected<FileHandle> ByteSource::spool() {
  const char* folder = std::getenv("TMPDIR");
  std::string path = (folder != nullptr && *folder != '\0' ? folder : "/tmp") + std::string{"/mmbox-XXXXXX"};
  FileHandle file{::mkostemp(path.data(), O_CLOEXEC)};
  const Error trouble{.file = state_->name,
                      .message = "cannot be unpacked to " + path,
                      .remedy = "set TMPDIR to a folder with enough free space"};
  if (file.get() < 0)
    return trouble;
  ::unlink(path.c_str());
  for (;;) {
    auto bytes = view();
    if (!bytes)
      return std::move(bytes).error();
    if (bytes->empty())
      break;
    std::string_view todo = *bytes;
    while (!todo.empty()) {
      const ssize_t wrote = ::write(file.get(), todo.data(), todo.size());
      if (wrote < 0 && errno == EINTR)
        continue;
      if (wrote <= 0)
        return trouble;
      todo.remove_prefix(static_cast<std::size_t>(wrote));
    }
    consume(bytes->size());
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0)
    return trouble;
  return file;
}

Expected<FileHandle> ByteSource::seekable() {
  if (auto first = view(); !first)
    return std::move(first).error();
  if (!state_->is_regular || state_->is_zstd || state_->consumed != 0)
    return spool();
  FileHandle copy{::fcntl(state_->fd.get(), F_DUPFD_CLOEXEC, 3)};
  if (copy.get() < 0 || ::lseek(copy.get(), 0, SEEK_SET) != 0)
    return spool();
  return copy;
}

LineReader::LineReader(ByteSource source, std::size_t line_max) : source_(std::move(source)), line_max_(line_max) {}

Expected<bool> LineReader::next(std::string_view& line) {
  source_.consume(std::exchange(pending_, 0));
  carry_.clear();
  for (;;) {
    auto bytes = source_.view();
    if (!bytes) {
      Error error = std::move(bytes).error();
      error.line = number_ + 1;
      return error;
    }
    const std::size_t end = bytes->find('\n');
    const std::string_view piece = bytes->substr(0, end);
    if (carry_.size() + piece.size() > line_max_) {
      ++number_;
      return error("the line is longer than " + std::to_string(line_max_) + " bytes",
                   "this is no text of a known kind");
    }
    terminated_ = end != std::string_view::npos;
    if (terminated_ && carry_.empty()) {
      line = piece;
      pending_ = end + 1;
      break;
    }
    carry_ += piece;
    line = carry_;
    if (terminated_) {
      pending_ = end + 1;
      break;
    }
    if (bytes->empty()) {
      if (carry_.empty())
        return false;
      break;
    }
    source_.consume(piece.size());
  }
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  ++number_;
  return true;
}

Error LineReader::error(std::string message, std::string remedy) const {
  return Error{.file = source_.name(), .line = number_, .message = std::move(message), .remedy = std::move(remedy)};
}

}  // namespace mmbox::lab
