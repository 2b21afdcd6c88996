// Any bytes are files of /proc or an error; of files that fit together a machine can be made.
//
// The input is three texts with a line "====" between: zoneinfo, buddyinfo, pagetypeinfo.
#include <cstdlib>
#include <string>
#include <string_view>

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/proc/approximate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  std::string_view text{reinterpret_cast<const char*>(data), size};
  ProcTexts texts;
  for (std::string* part : {&texts.zoneinfo, &texts.buddyinfo, &texts.pagetypeinfo}) {
    const std::size_t end = text.find("====\n");
    *part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 5);
  }
  const auto state = parse_proc(texts, "fuzz");
  if (!state) {
    if (state.error().message.empty() || state.error().remedy.empty())
      std::abort();
    return 0;
  }
  // A large machine is as good as a small one here, and takes time.
  std::int64_t pages = 0;
  std::size_t cpus = 0;
  for (const ProcZone& zone : state->zones) {
    pages += zone.spanned;
    cpus += zone.pagesets.size();
  }
  if (pages > (1 << 18) || cpus > 64)
    return 0;
  const auto moment = approximate_moment(*state, 1);
  if (moment)
    static_cast<void>(image_of(moment->snapshot, moment->generation).has_value());
  return 0;
}
