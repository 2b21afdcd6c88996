// Any bytes are a machine or an error; a machine that was read is written back as the same machine.
#include <cstdlib>
#include <string_view>

#include "mmbox/lab/machine_spec/machine_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const Expected<MachineSpec> spec = read_machine_toml({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (!spec) {
    if (spec.error().message.empty() || spec.error().remedy.empty())
      std::abort();
    return 0;
  }
  const std::string text = spec->toml();
  const Expected<MachineSpec> again = read_machine_toml(text, "again.toml");
  if (!again || again->toml() != text)
    std::abort();
  return 0;
}
