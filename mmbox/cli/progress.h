// A line of progress on standard error, while it is a terminal.
#pragma once

#include <cstdint>
#include <string>

#include "mmbox/lab/io/byte_source.h"

namespace mmbox::cli {

/// Rewrites one line; clears it when it goes.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(lab::Progress progress);

 private:
  std::string what_;
  bool terminal_;
  int shown_ = -1;  // percent
};

}  // namespace mmbox::cli
