// Any bytes as a file, compressed or not: the same bytes by views and by lines, or the same error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mmbox/lab/io/byte_source.h"

namespace mmbox::lab {
namespace {

// A few bytes of zstd may stand for any number of zeros.
constexpr std::size_t kReadMax = 4U << 20;

std::string by_views(std::string_view bytes, bool& failed) {
  auto source = ByteSource::from_memory("fuzz", bytes);
  std::string all;
  for (std::size_t step = 1; all.size() < kReadMax; step = step * 3 % 4099 + 1) {
    const auto view = source.peek(step);
    failed = !view;
    if (!view || view->empty())
      break;
    all += *view;
    source.consume(view->size());
  }
  return all;
}

std::string by_lines(std::string_view bytes, bool& failed) {
  LineReader reader{ByteSource::from_memory("fuzz", bytes), kReadMax};
  std::string all;
  std::string_view line;
  while (all.size() < kReadMax) {
    const auto more = reader.next(line);
    failed = !more;
    if (!more || !*more)
      break;
    all += line;
    all += '\n';
  }
  return all;
}

}  // namespace
}  // namespace mmbox::lab

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  bool views_failed = false;
  bool lines_failed = false;
  const std::string views = by_views(bytes, views_failed);
  const std::string lines = by_lines(bytes, lines_failed);
  if (views.size() >= kReadMax || lines.size() >= kReadMax)
    return 0;
  if (views_failed != lines_failed)
    std::abort();
  // Carriage returns at line ends are all that may be missing.
  if (!views_failed && views.find('\r') == std::string::npos) {
    std::string wanted = views;
    if (!wanted.empty() && !wanted.ends_with('\n'))
      wanted += '\n';
    if (wanted != lines)
      std::abort();
  }
  return 0;
}
