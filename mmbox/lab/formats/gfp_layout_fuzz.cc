// Any text as request flags: a mask that prints and reads back, or nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mmbox/lab/formats/gfp_layout.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  for (const GfpLayout& layout : gfp_layouts()) {
    const auto raw = layout.parse(text);
    if (raw && layout.parse(layout.text(*raw)) != raw)
      std::abort();
  }
  (void)gfp_layout_for_release(text);
  return 0;
}
