// Any bytes as a compact file, and, since checksums turn most of those away, any bytes as the contents of a block whose
// checksums are right: records or an error; and the records are written and read again without change.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mmbox/lab/trace/compact.h"
#include "mmbox/lab/trace/compact_format.h"

namespace mmbox::lab {
namespace {

void must(bool holds) {
  if (!holds)
    std::abort();
}

// The header of an empty file.
const std::string& header() {
  static const std::string bytes = [] {
    std::string file;
    auto writer = CompactWriter::create(ByteSink::to_memory(file), {.gfp = &gfp_layout_default()});
    must(writer && writer->finish());
    file.resize(file.size() - compact::kEndSize);
    return file;
  }();
  return bytes;
}

// A file with one block that holds `bytes` as `events` events.
std::string with_block(std::string_view bytes, std::uint32_t events) {
  std::string numbers;
  compact::put<std::uint32_t>(numbers, events);
  compact::put<std::uint32_t>(numbers, static_cast<std::uint32_t>(bytes.size()));
  compact::put<std::uint32_t>(numbers, static_cast<std::uint32_t>(bytes.size()));
  const std::uint64_t sum = compact::checksum(bytes, compact::checksum(numbers));
  std::string file = header();
  file += compact::kBlockMark;
  file += numbers;
  compact::put<std::uint64_t>(file, sum);
  file += bytes;
  file += compact::kEndMark;
  compact::put<std::uint64_t>(file, events);
  compact::put<std::uint64_t>(file, compact::checksum({}, compact::checksum({}, sum) ^ events));
  return file;
}

// Writes all that can be read of `file` into `again`.
void read_file(std::string_view file, std::string& again) {
  auto reader = open_compact(ByteSource::from_memory("fuzz", file), {});
  if (!reader) {
    must(!reader.error().message.empty() && !reader.error().remedy.empty());
    return;
  }
  auto writer = CompactWriter::create(ByteSink::to_memory(again), (*reader)->info(), {.zstd_level = 0});
  must(writer.has_value());
  TraceRecord record;
  for (;;) {
    const auto more = (*reader)->next(record);
    if (!more || !*more)
      break;
    must(writer->write(record).has_value());
  }
  must(writer->finish().has_value());
}

}  // namespace
}  // namespace mmbox::lab

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  std::string ignored;
  read_file(bytes, ignored);
  if (size < 2 || size > compact::kBlockBytes)
    return 0;
  // The first two bytes say how many events there are.
  const std::uint32_t events = 1U + compact::take<std::uint16_t>(bytes.data());
  std::string first;
  read_file(with_block(bytes.substr(2), events), first);
  if (!first.empty()) {
    std::string second;
    read_file(first, second);
    must(first == second);
  }
  return 0;
}
