#include "mmbox/lab/views/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace mmbox::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<ViewInfo, 6> kViews{{
    {View::Buddyinfo, "buddyinfo", "/proc/buddyinfo", "free blocks of each zone by order"},
    {View::Pagetypeinfo, "pagetypeinfo", "/proc/pagetypeinfo", "free blocks and pageblocks by migratetype"},
    {View::Zoneinfo, "zoneinfo", "/proc/zoneinfo", "watermarks, sizes, counters and per-cpu lists of each zone"},
    {View::Vmstat, "vmstat", "/proc/vmstat", "counters of the whole machine"},
    {View::Extfrag, "extfrag", "/sys/kernel/debug/extfrag/extfrag_index",
     "why a request of each order would fail: toward 0 memory is short, toward 1 it is broken up"},
    {View::Unusable, "unusable", "/sys/kernel/debug/extfrag/unusable_index",
     "the part of free memory that is in blocks too small for each order"},
}};

class StringSink final : public TextSink {
 public:
  void write(std::string_view text) override { text_ += text; }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// "Node 0, zone   Normal", as the files have it.
std::string padded_name(const ZoneState& zone) {
  return fmt::format("Node {}, zone {:>8}", zone.node.raw(), zone_type_name(zone.type));
}

/// Leaves out what stands under the name of a zone that is not shown.
std::string filtered(const std::string& text, const Machine& machine, const ZoneFilter& filter) {
  std::string result;
  bool is_shown = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at) + 1;
    const std::string_view line = std::string_view{text}.substr(at, end - at);
    at = end;
    if (line.starts_with("Node ")) {
      // pagetypeinfo pads the node's number as well.
      const std::string_view number = line.substr(line.find_first_not_of(' ', 4));
      const std::string name = fmt::format("Node {}", number);
      is_shown = std::ranges::any_of(machine.view().zones, [&](const ZoneState& zone) {
        return filter.shows(zone) && name.starts_with(padded_name(zone)) &&
               !std::isalnum(static_cast<unsigned char>(name[padded_name(zone).size()]));
      });
    } else if (!line.starts_with(' ')) {
      is_shown = true;
    }
    if (is_shown)
      result += line;
  }
  return result;
}

Json zone_head(const ZoneState& zone) {
  return {{"node", zone.node.raw()}, {"zone", zone_type_name(zone.type)}};
}

Json pagetypes_json(const MachineView& machine, const ZoneState& zone) {
  const MigratetypeNumbering numbering{machine.env.rules->has_cma};
  const auto pageblocks = count_pageblocks(machine, zone);
  Json result = zone_head(zone);
  for (unsigned number = 0; number < numbering.count(); ++number) {
    const Migratetype type = numbering.type(number);
    Json& blocks = result["free_blocks"][migratetype_name(type)];
    for (unsigned order = 0; order < kOrders; ++order)
      blocks.push_back(zone.lists[order][raw(type)].blocks);
    result["pageblocks"][migratetype_name(type)] = pageblocks[raw(type)];
  }
  return result;
}

Json zone_json(const ProcSource& source, const ZoneState& zone) {
  const MachineView& machine = source.machine;
  Json result = zone_head(zone);
  result["free"] = zone_number(machine, zone, "free");
  for (const std::string_view names : {source.format.zone_lines, source.format.zone_tail_lines}) {
    for_each_name(names, [&](std::string_view name, std::size_t) {
      result[std::string{name}] = zone_number(machine, zone, name);
    });
  }
  for (std::size_t i = 0; i < machine.zone_types.size(); ++i)
    result["protection"].push_back(zone.lowmem_reserve[i]);
  if (!zone.is_populated())
    return result;
  for (const std::string_view names : {source.format.zone_counters, source.format.numa_counters}) {
    for_each_name(names, [&](std::string_view name, std::size_t) {
      result["counters"][std::string{name}] = zone_counter(source, zone, name);
    });
  }
  for (std::size_t cpu = 0; cpu < machine.cpu_nodes.size(); ++cpu) {
    Json pageset{{"cpu", cpu}};
    for_each_name(source.format.pageset_lines, [&](std::string_view name, std::size_t) {
      pageset[std::string{name}] = pageset_number(machine, zone, CpuId{cpu}, name);
    });
    pageset["stat_threshold"] = machine.pageset(zone.id, CpuId{cpu}).stat.threshold;
    result["pagesets"].push_back(std::move(pageset));
  }
  return result;
}

Json vmstat_json(const ProcSource& source) {
  class Members final : public CounterVisitor {
   public:
    void on(std::string_view name, std::string_view suffix, std::int64_t value) override {
      json[std::string{name} + std::string{suffix}] = value;
    }
    Json json = Json::object();
  };
  Members members;
  for_each_vmstat_line(source, members);
  return std::move(members.json);
}

template <class Index>
Json index_json(const ZoneState& zone, Index index) {
  Json result = zone_head(zone);
  const auto blocks = free_blocks_of(zone);
  for (unsigned order = 0; order < kOrders; ++order)
    result["permille"].push_back(index(blocks, Order{order}));
  return result;
}

/// Calls `visit(head, order)` for each free list that is not empty, then for each such per-cpu list.
template <class Free, class Pcp>
void for_each_list(const Machine& machine, const ZoneFilter& filter, Free&& free_list, Pcp&& pcp_list) {
  const MachineView& view = machine.view();
  for (const ZoneState& zone : view.zones) {
    if (!zone.is_populated() || !filter.shows(zone))
      continue;
    for (unsigned order = 0; order < kOrders; ++order) {
      for (unsigned type = 0; type < kMigratetypes; ++type) {
        if (zone.lists[order][type].blocks != 0)
          free_list(zone, order, static_cast<Migratetype>(type), zone.lists[order][type].head);
      }
    }
    for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu) {
      const PcpState& pageset = view.pageset(zone.id, CpuId{cpu});
      for (unsigned list = 0; list < view.pcp_shape.lists(); ++list) {
        if (pageset.lists[list].head != kNil)
          pcp_list(zone, cpu, list, pageset.lists[list].head);
      }
    }
  }
}

std::vector<std::string> pfns_of(const MachineView& view, FrameIndex head, unsigned order) {
  std::vector<std::string> pfns;
  for (FrameIndex i = head; i != kNil; i = view.env.map.links(i, order).next)
    pfns.push_back(fmt::format("{:x}", view.env.map.pfn(i).raw()));
  return pfns;
}

/// What a per-cpu list holds: of the large ones, the one of blocks that move is Movable's.
std::string_view pcp_list_name(const PcpShape& shape, unsigned list) {
  if (list < kPcpSmallLists)
    return migratetype_name(static_cast<Migratetype>(list % kPcpTypes));
  if (!shape.splits_huge)
    return "all types";
  return list == kPcpSmallLists ? "not Movable" : "Movable";
}

std::string lower(std::string_view text) {
  std::string result{text};
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

}  // namespace

std::span<const ViewInfo> views() {
  return kViews;
}

const ViewInfo& info_of(View view) {
  return *std::ranges::find(kViews, view, &ViewInfo::view);
}

Expected<View> view_named(std::string_view name) {
  std::string known;
  for (const ViewInfo& info : kViews) {
    if (info.name == name)
      return info.view;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", info.name);
  }
  return Error{.message = fmt::format("no view \"{}\"", name), .remedy = fmt::format("views are {}", known)};
}

Expected<ZoneFilter> zone_filter(std::string_view text) {
  const Error error{.message = fmt::format("\"{}\" names no zone", text),
                    .remedy = "write NODE, ZONE or NODE/ZONE, as 0, Normal or 0/DMA32"};
  ZoneFilter filter;
  const std::size_t slash = text.find('/');
  std::string_view node = slash == std::string_view::npos ? std::string_view{} : text.substr(0, slash);
  std::string_view type = slash == std::string_view::npos ? text : text.substr(slash + 1);
  if (slash == std::string_view::npos && !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())))
    std::swap(node, type);
  if (!node.empty()) {
    std::uint16_t number = 0;
    const auto [end, code] = std::from_chars(node.data(), node.data() + node.size(), number);
    if (code != std::errc{} || end != node.data() + node.size())
      return error;
    filter.node = NodeId{number};
  }
  if (!type.empty()) {
    for (unsigned i = 0; i <= static_cast<unsigned>(ZoneType::Device); ++i) {
      if (lower(zone_type_name(static_cast<ZoneType>(i))) == lower(type))
        filter.type = static_cast<ZoneType>(i);
    }
    if (!filter.type)
      return error;
  }
  if (filter.is_all() || (slash != std::string_view::npos && (!filter.node || !filter.type)))
    return error;
  return filter;
}

std::string view_text(const Machine& machine, View view, const ProcFormat& format, HostCounters* host,
                      const ZoneFilter& filter) {
  const ProcSource source{machine.view(), format, host};
  StringSink sink;
  switch (view) {
    case View::Buddyinfo: write_buddyinfo(source.machine, sink); break;
    case View::Pagetypeinfo: write_pagetypeinfo(source, sink); break;
    case View::Zoneinfo: write_zoneinfo(source, sink); break;
    case View::Vmstat: write_vmstat(source, sink); break;
    case View::Extfrag: write_extfrag_index(source.machine, sink); break;
    case View::Unusable: write_unusable_index(source.machine, sink); break;
  }
  return filter.is_all() ? sink.take() : filtered(sink.take(), machine, filter);
}

nlohmann::ordered_json view_json(const Machine& machine, View view, const ProcFormat& format, HostCounters* host,
                                 const ZoneFilter& filter) {
  const ProcSource source{machine.view(), format, host};
  if (view == View::Vmstat)
    return vmstat_json(source);
  Json result = Json::array();
  for (const ZoneState& zone : source.machine.zones) {
    if (!filter.shows(zone) || (!zone.is_populated() && view != View::Zoneinfo))
      continue;
    switch (view) {
      case View::Buddyinfo:
        result.push_back(zone_head(zone));
        result.back()["free_blocks"] = zone.nr_free;
        break;
      case View::Pagetypeinfo: result.push_back(pagetypes_json(source.machine, zone)); break;
      case View::Zoneinfo: result.push_back(zone_json(source, zone)); break;
      case View::Extfrag:
        result.push_back(
            index_json(zone, [](const auto& blocks, Order order) { return fragmentation_index(blocks, order); }));
        break;
      case View::Unusable:
        result.push_back(
            index_json(zone, [](const auto& blocks, Order order) { return unusable_free_index(blocks, order); }));
        break;
      case View::Vmstat: break;
    }
  }
  return result;
}

std::string lists_text(const Machine& machine, const ZoneFilter& filter) {
  const MachineView& view = machine.view();
  std::string result;
  for_each_list(
      machine, filter,
      [&](const ZoneState& zone, unsigned order, Migratetype type, FrameIndex head) {
        result += fmt::format("Node {}, zone {}, order {}, {}: {}\n", zone.node.raw(), zone_type_name(zone.type), order,
                              migratetype_name(type), fmt::join(pfns_of(view, head, order), " "));
      },
      [&](const ZoneState& zone, std::size_t cpu, unsigned list, FrameIndex head) {
        result +=
            fmt::format("Node {}, zone {}, cpu {}, order {}, {}: {}\n", zone.node.raw(), zone_type_name(zone.type), cpu,
                        PcpShape::order(list), pcp_list_name(view.pcp_shape, list),
                        fmt::join(pfns_of(view, head, PcpShape::order(list)), " "));
      });
  return result;
}

nlohmann::ordered_json lists_json(const Machine& machine, const ZoneFilter& filter) {
  const MachineView& view = machine.view();
  Json result{{"free", Json::array()}, {"pcp", Json::array()}};
  for_each_list(
      machine, filter,
      [&](const ZoneState& zone, unsigned order, Migratetype type, FrameIndex head) {
        Json list = zone_head(zone);
        list["order"] = order;
        list["migratetype"] = migratetype_name(type);
        list["pfns"] = pfns_of(view, head, order);
        result["free"].push_back(std::move(list));
      },
      [&](const ZoneState& zone, std::size_t cpu, unsigned index, FrameIndex head) {
        Json list = zone_head(zone);
        list["cpu"] = cpu;
        list["order"] = PcpShape::order(index);
        list["migratetype"] = pcp_list_name(view.pcp_shape, index);
        list["pfns"] = pfns_of(view, head, PcpShape::order(index));
        result["pcp"].push_back(std::move(list));
      });
  return result;
}

}  // namespace mmbox::lab
