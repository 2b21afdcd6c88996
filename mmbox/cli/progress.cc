#include "mmbox/cli/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace mmbox::cli {

ProgressLine::ProgressLine(std::string what) : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (shown_ >= 0)
    std::fprintf(stderr, "\r\033[K");
}

void ProgressLine::show(lab::Progress progress) {
  if (!terminal_ || progress.total == 0)
    return;
  const int percent = static_cast<int>(progress.done * 100 / progress.total);
  if (percent == shown_)
    return;
  shown_ = percent;
  std::fprintf(stderr, "\r%s: %d %%", what_.c_str(), percent);
  std::fflush(stderr);
}

}  // namespace mmbox::cli
