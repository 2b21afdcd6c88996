// Bytes of an input, streamed: a plain file, a zstd-compressed one, standard input, or memory.
//
// Every reader of the lab stands on this. Compression is told by the first bytes, not by the name. Memory is two
// buffers of fixed size, however long the input is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "mmbox/lab/error.h"

namespace mmbox::lab {

/// How far a reader is, in stored (compressed) bytes. `total` is 0 where it cannot be known, as for a pipe.
struct Progress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

/// A file descriptor that is closed with its owner.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle();
  [[nodiscard]] int get() const { return fd_; }
  /// Gives the descriptor to the caller, who closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// A forward-only stream of decoded bytes.
///
/// A view stays valid until the next call of `view` or `peek`. Errors (unreadable file, damaged or torn compressed
/// data) are final: no further call is legal.
class ByteSource {
 public:
  /// Largest number of bytes that `peek` can promise.
  static constexpr std::size_t kPeekMax = 4096;

  /// Opens `path`; "-" is standard input.
  static Expected<ByteSource> open(const std::string& path);
  /// Reads from `bytes`, which must live as long as the source. `name` stands in errors.
  static ByteSource from_memory(std::string name, std::string_view bytes);

  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;
  ~ByteSource();

  /// Decoded bytes that are not yet consumed; empty only at the end of the input.
  Expected<std::string_view> view();
  /// The next `n` bytes, fewer only at the end of the input. `n` ≤ kPeekMax.
  Expected<std::string_view> peek(std::size_t n);
  /// Takes `n` bytes off the front of the last view.
  void consume(std::size_t n);

  [[nodiscard]] const std::string& name() const;
  /// Decoded bytes consumed so far.
  [[nodiscard]] std::uint64_t offset() const;
  [[nodiscard]] Progress progress() const;

  /// Writes all bytes that are left to an unlinked temporary file (in $TMPDIR, else /tmp) and returns it, rewound.
  /// For readers that must seek in what may be compressed.
  Expected<FileHandle> spool();
  /// The descriptor of an uncompressed regular file from which nothing was consumed, rewound; otherwise as `spool`.
  Expected<FileHandle> seekable();

 private:
  struct State;
  explicit ByteSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Lines of a source, without their end ("\n" or "\r\n").
class LineReader {
 public:
  /// A longer line than this is an error: garbage shall not fill memory.
  static constexpr std::size_t kLineMax = 64U << 20;

  explicit LineReader(ByteSource source, std::size_t line_max = kLineMax);

  /// Reads the next line. False at the end. `line` stays valid until the next call.
  Expected<bool> next(std::string_view& line);
  /// Number of the last line read, counted from 1.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  /// True if the last line read ended with a line feed; a cut-off file's last line does not.
  [[nodiscard]] bool terminated() const { return terminated_; }
  [[nodiscard]] const std::string& name() const { return source_.name(); }
  [[nodiscard]] Progress progress() const { return source_.progress(); }
  /// An error that points at the last line read.
  [[nodiscard]] Error error(std::string message, std::string remedy) const;

 private:
  ByteSource source_;
  std::size_t line_max_;
  std::string carry_;  // a line that spans two views
  std::size_t pending_ = 0;
  std::uint64_t number_ = 0;
  bool terminated_ = true;
};

}  // namespace mmbox::lab
