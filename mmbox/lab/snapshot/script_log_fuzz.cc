// Any bytes as a script log: items or an error, and what is read as a snapshot or page dump can be written and read
// again without change.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mmbox/lab/snapshot/compare.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

void must(bool holds) {
  if (!holds)
    std::abort();
}

template <class Block>
Block read_again(const std::string& text) {
  LogReader reader{LineReader{ByteSource::from_memory("again", text)}};
  auto item = reader.next();
  must(item && *item && std::holds_alternative<Block>(**item));
  return std::get<Block>(std::move(**item));
}

template <class Block>
void round_trip(const Block& block) {
  std::string first;
  write(block, first);
  const Block again = read_again<Block>(first);
  std::string second;
  write(again, second);
  must(first == second);
  if constexpr (std::is_same_v<Block, Snapshot>) {
    CompareOptions all;
    all.header = true;
    must(compare(block, again, all).equal());
  }
}

}  // namespace
}  // namespace mmbox::lab

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  LogReader reader{
      LineReader{ByteSource::from_memory("fuzz", std::string_view{reinterpret_cast<const char*>(data), size})}};
  for (;;) {
    const auto item = reader.next();
    if (!item) {
      must(!item.error().message.empty());
      must(!item.error().remedy.empty());
      return 0;
    }
    if (!*item)
      return 0;
    if (const auto* snapshot = std::get_if<Snapshot>(&**item))
      round_trip(*snapshot);
    else if (const auto* dump = std::get_if<PageDump>(&**item))
      round_trip(*dump);
  }
}
