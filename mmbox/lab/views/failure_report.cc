#include "mmbox/lab/views/failure_report.h"

#include <fmt/format.h>

#include <vector>

#include "mmbox/lab/formats/gfp_layout.h"

namespace mmbox::lab {
namespace {

/// "0-1,3": how the kernel prints a set of nodes.
std::string node_list(const Machine& machine, const NodeMask& nodes) {
  std::string text;
  const std::size_t count = machine.view().nodes.size();
  for (std::size_t first = 0; first < count; ++first) {
    if (!nodes.has(NodeId{first}))
      continue;
    std::size_t last = first;
    while (last + 1 < count && nodes.has(NodeId{last + 1}))
      ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", first);
    if (last != first)
      text += fmt::format("-{}", last);
    first = last;
  }
  return text;
}

class StringSink final : public TextSink {
 public:
  explicit StringSink(std::string& to) : to_(to) {}
  void write(std::string_view text) override { to_ += text; }

 private:
  std::string& to_;
};

}  // namespace

bool reports_failure(const Machine& machine, const Request& request) {
  if (request.gfp.has(gfp::kNoWarn))
    return false;
  if (!request.gfp.has(gfp::kDma))
    return true;
  for (const ZoneState& zone : machine.view().zones)
    if (zone.type == ZoneType::Dma && zone.managed != 0)
      return true;
  return false;
}

std::string failure_report(const Machine& machine, const Request& request, const ProcFormat& format, HostCounters* host,
                           const FailureReportOptions& options) {
  const MachineView& view = machine.view();
  const Task& task = request.task == nullptr ? kPlainTask : *request.task;
  const GfpLayout* layout = gfp_layout_for_release(format.generation);
  if (layout == nullptr)
    layout = &gfp_layout_default();
  const std::uint32_t mode = layout->encode(request.gfp);
  std::string text =
      fmt::format("{}: page allocation failure: order:{}, mode:{:#x}({}), nodemask={},cpuset={},mems_allowed={}\n",
                  options.command, request.order.raw(), mode, layout->text(mode),
                  request.nodemask ? node_list(machine, *request.nodemask) : "(null)", options.cpuset,
                  node_list(machine, task.mems_allowed));
  std::vector<HugePagePool> pools{options.huge_pages.begin(), options.huge_pages.end()};
  if (pools.empty())
    for (const NodeState& node : view.nodes)
      for (const std::uint64_t size : {1U << 20, 2U << 10})
        pools.push_back({.node = node.id, .size_kbytes = size, .total = 0, .free = 0, .surplus = 0});
  const MemInfoRequest mem_info{.highest = gfp_zone(request.gfp, view.zone_types),
                                .nodes = listed_nodes(request.gfp, task, request.nodemask),
                                .cpu = request.cpu,
                                .huge_pages = pools,
                                .free_swap_kbytes = options.free_swap_kbytes,
                                .total_swap_kbytes = options.total_swap_kbytes};
  StringSink sink{text};
  write_mem_info(ProcSource{view, format, host}, mem_info, sink);
  return text;
}

}  // namespace mmbox::lab
