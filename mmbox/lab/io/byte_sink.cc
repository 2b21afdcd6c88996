#include "mmbox/lab/io/byte_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mmbox::lab {
namespace {
constexpr std::size_t kBuffer = 256U << 10;
}  // namespace

Expected<ByteSink> ByteSink::create(const std::string& path) {
  ByteSink sink;
  sink.name_ = path;
  sink.fd_ =
      FileHandle{path == "-" ? STDOUT_FILENO : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (sink.fd_.get() < 0)
    return Error{.file = path,
                 .message = std::string{"cannot be written: "}.append(std::strerror(errno)),
                 .remedy = "name a file in a folder that you may write to"};
  return sink;
}

ByteSink ByteSink::to_memory(std::string& bytes) {
  ByteSink sink;
  sink.memory_ = &bytes;
  return sink;
}

Expected<void> ByteSink::write(std::string_view bytes) {
  if (memory_ != nullptr) {
    *memory_ += bytes;
    return {};
  }
  buffer_ += bytes;
  return buffer_.size() < kBuffer ? Expected<void>{} : flush();
}

Expected<void> ByteSink::finish() {
  return memory_ != nullptr ? Expected<void>{} : flush();
}

Expected<void> ByteSink::flush() {
  std::string_view todo = buffer_;
  while (!todo.empty()) {
    const ssize_t wrote = ::write(fd_.get(), todo.data(), todo.size());
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return Error{.file = name_,
                   .message = std::string{"cannot be written: "}.append(std::strerror(errno)),
                   .remedy = "make room, or name another file"};
    todo.remove_prefix(static_cast<std::size_t>(wrote));
  }
  buffer_.clear();
  return {};
}

}  // namespace mmbox::lab
