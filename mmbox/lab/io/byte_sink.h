// Where finished bytes go: a file, standard output, or memory.
#pragma once

#include <string>
#include <string_view>

#include "mmbox/lab/error.h"
#include "mmbox/lab/io/byte_source.h"

namespace mmbox::lab {

/// A buffered stream of bytes out. Nothing is promised to be in the file before `finish` has succeeded.
class ByteSink {
 public:
  /// Creates or empties `path`; "-" is standard output.
  static Expected<ByteSink> create(const std::string& path);
  /// Appends to `bytes`, which must outlive the sink.
  static ByteSink to_memory(std::string& bytes);

  Expected<void> write(std::string_view bytes);
  /// Writes what is buffered. No further call is legal.
  Expected<void> finish();

 private:
  Expected<void> flush();
  std::string name_;
  FileHandle fd_;
  std::string buffer_;
  std::string* memory_ = nullptr;
};

}  // namespace mmbox::lab
