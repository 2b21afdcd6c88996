// The engine inside another program: found by find_package(mmbox) or by pkg-config, with nothing of the laboratory.
//
// Prints where the pages of one block lie, through core's own text writer, since core brings no output of its own.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "mmbox/core/base/check.h"
#include "mmbox/core/base/text.h"
#include "mmbox/core/base/units.h"

/// What core calls when the program misuses it. A kernel would halt here.
extern "C" void mmbox_panic(const mmbox::Panic& panic) {
  std::fprintf(stderr, "%s:%u: %s (%llu, %llu)\n", panic.file, panic.line, panic.what,
               static_cast<unsigned long long>(panic.a), static_cast<unsigned long long>(panic.b));
  std::abort();
}

namespace {

/// Hands core's text to stdio.
class Output final : public mmbox::TextSink {
 public:
  void write(std::string_view text) override { std::fwrite(text.data(), 1, text.size(), stdout); }
};

}  // namespace

int main() {
  Output output;
  mmbox::TextWriter writer{output};
  const mmbox::Pfn page{0x12345};
  writer.text("page frame 0x").hex(page.raw()).text("\norder  block starts at  its buddy\n");
  for (unsigned order = 0; order <= mmbox::kMaxPageOrder; ++order) {
    const mmbox::Pfn block = page.align_down(mmbox::Order{order});
    writer.number(order, 5).text("         0x").hex(block.raw()).text("      0x");
    writer.hex(block.buddy(mmbox::Order{order}).raw()).text("\n");
  }
}
