// Any bytes are a machine or an error; a machine that was read has free memory and at least one CPU.
#include <cstdlib>
#include <string_view>

#include "mmbox/lab/machine_spec/machine_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const Expected<MachineSpec> spec = read_machine_words({reinterpret_cast<const char*>(data), size});
  if (!spec) {
    if (spec.error().message.empty() || spec.error().remedy.empty())
      std::abort();
    return 0;
  }
  if (spec->free_ranges().empty() || spec->cpus.empty())
    std::abort();
  return 0;
}
