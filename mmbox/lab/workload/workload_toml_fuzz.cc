// Any bytes are a workload or an error that says what to do; what was read can be run as far as its numbers go.
#include <cstdlib>
#include <string_view>

#include "mmbox/lab/workload/workload.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::lab;
  const Expected<Workload> workload = read_workload({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (!workload) {
    if (workload.error().message.empty() || workload.error().remedy.empty())
      std::abort();
    return 0;
  }
  std::array<bool, kDemandedKinds> described{};
  for (const RequestKind& request : workload->requests) {
    if (request.order > mmbox::kMaxPageOrder || request.weight == 0)
      std::abort();
    described[static_cast<std::size_t>(request.kind)] = true;
  }
  for (const bool is_there : described)
    if (!is_there)
      std::abort();
  for (const Phase& phase : workload->phases)
    if (phase.duration_ns == 0 || phase.shares == std::array<std::uint32_t, kDemandedKinds>{})
      std::abort();
  if (workload->phases.empty() || workload->tick_ns == 0)
    std::abort();
  return 0;
}
