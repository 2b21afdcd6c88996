// Any bytes as the container of a trace.dat, and as a page of its ring buffer. The description of the events is not
// read here: libtraceevent does that, in a process of its own, which a fuzzer would watch die all the time.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/trace/dat_file.h"

namespace mmbox::lab {
namespace {

void must(bool holds) {
  if (!holds)
    std::abort();
}

std::uint64_t read_page(std::span<const std::byte> bytes, std::size_t word_size) {
  RingPage page;
  std::uint64_t sum = 0;
  if (!page.load(bytes, word_size))
    return sum;
  for (RingEvent event; page.next(event) == RingPage::Step::Event;) {
    must(event.data.data() >= bytes.data() && event.data.data() + event.data.size() <= bytes.data() + bytes.size());
    for (const std::byte b : event.data)
      sum += static_cast<std::uint64_t>(b);
  }
  return sum;
}

void read_file(std::span<const std::uint8_t> bytes) {
  const FileHandle file{::memfd_create("fuzz", MFD_CLOEXEC)};
  must(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  const auto layout = read_dat_layout(file.get(), "fuzz");
  if (!layout) {
    must(!layout.error().message.empty() && !layout.error().remedy.empty());
    return;
  }
  for (const DatCpu& cpu : layout->cpus) {
    DatPages pages{file.get(), "fuzz", *layout, cpu};
    std::span<const std::byte> page;
    for (int i = 0; i < 1000; ++i) {
      const auto more = pages.next(page);
      if (!more || !*more)
        break;
      read_page(page, 8);
    }
  }
}

}  // namespace
}  // namespace mmbox::lab

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const std::span<const std::uint8_t> bytes{data, size};
  read_file(bytes);
  // Exactly as large as the input, so that a sanitizer sees a byte too far.
  if (size >= 16) {
    const auto as_bytes = std::as_bytes(bytes);
    const std::vector<std::byte> page{as_bytes.begin(), as_bytes.end()};
    read_page(page, 8);
    read_page(page, 4);
  }
  return 0;
}
