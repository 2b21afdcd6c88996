#include "mmbox/core/observe/proc_text.h"

#include "mmbox/core/alloc/suitability.h"
#include "mmbox/core/topology/fragmentation.h"

namespace mmbox {
namespace {

using FreeBlocks = std::array<std::uint64_t, kOrders>;

/// What the kernel reads of a counter that races with its deltas: never less than nothing.
std::int64_t not_negative(std::int64_t value) {
  return value < 0 ? 0 : value;
}

/// "Node 0, zone   Normal"
void write_zone_name(TextWriter& out, const ZoneState& zone) {
  out.text("Node ").unsigned_number(zone.node.raw()).text(", zone ").right(zone_type_name(zone.type), 8);
}

std::span<ZoneState> zones_of(const MachineView& machine, const NodeState& node) {
  const std::size_t types = machine.zone_types.size();
  return machine.zones.subspan(node.id.raw() * types, types);
}

bool has_memory(const MachineView& machine, const NodeState& node) {
  for (const ZoneState& zone : zones_of(machine, node)) {
    if (zone.is_populated())
      return true;
  }
  return false;
}

/// Pages that stand free under one type.
std::int64_t free_pages_of_type(const ZoneState& zone, Migratetype type) {
  std::int64_t pages = 0;
  for (unsigned order = 0; order < kOrders; ++order)
    pages += std::int64_t{zone.lists[order][raw(type)].blocks} << order;
  return pages;
}

/// Free pages in blocks of pageblock order and more, isolated ones not counted.
std::int64_t free_pages_in_pageblocks(const ZoneState& zone) {
  std::int64_t pages = 0;
  for (unsigned order = kPageblockOrder; order < kOrders; ++order) {
    for (unsigned type = 0; type < kMigratetypes; ++type) {
      if (static_cast<Migratetype>(type) != Migratetype::Isolate)
        pages += std::int64_t{zone.lists[order][type].blocks} << order;
    }
  }
  return pages;
}

std::int64_t lines_of_huge_pages(const ProcFormat& format, std::string_view name, std::int64_t value) {
  const bool is_huge = name == "nr_shmem_hugepages" || name == "nr_shmem_pmdmapped" || name == "nr_file_hugepages" ||
                       name == "nr_file_pmdmapped" || name == "nr_anon_transparent_hugepages";
  return is_huge ? value / static_cast<std::int64_t>(format.huge_page_unit) : value;
}

using EventCount = std::uint64_t (*)(const CpuEvents&);

/// How CpuEvents counts what a name stands for; nullptr if it is no such name.
EventCount event_named(std::string_view name) {
  if (name == "numa_hit")
    return [](const CpuEvents& events) { return events.numa_hit(); };
  if (name == "numa_miss")
    return [](const CpuEvents& events) { return events.numa_miss; };
  if (name == "numa_foreign")
    return [](const CpuEvents& events) { return events.numa_foreign; };
  if (name == "numa_local")
    return [](const CpuEvents& events) { return events.numa_local(); };
  if (name == "numa_other")
    return [](const CpuEvents& events) { return events.numa_other; };
  if (name == "pgalloc_")
    return [](const CpuEvents& events) { return events.pgalloc; };
  if (name == "pgfree")
    return [](const CpuEvents& events) { return events.pgfree; };
  return nullptr;
}

std::int64_t sum_events(const MachineView& machine, const ZoneState& zone, EventCount count) {
  std::uint64_t sum = 0;
  for (std::size_t cpu = 0; cpu < machine.cpu_nodes.size(); ++cpu)
    sum += count(machine.pageset(zone.id, CpuId{cpu}).events);
  return static_cast<std::int64_t>(sum);
}

/// The same over all zones, or those of one type.
std::int64_t sum_events(const MachineView& machine, EventCount count, std::optional<ZoneType> type) {
  std::int64_t sum = 0;
  for (const ZoneState& zone : machine.zones) {
    if (!type || zone.type == *type)
      sum += sum_events(machine, zone, count);
  }
  return sum;
}

/// Labels of zoneinfo's counters: "nr_mlock     0", and a longer name with one blank.
void write_counter(TextWriter& out, std::string_view name, std::int64_t value) {
  out.text("      ").left(name, 12).text(" ").number(value).text("\n");
}

void write_pagesets(TextWriter& out, const ProcSource& source, const ZoneState& zone) {
  out.text("  pagesets\n");
  for (std::size_t i = 0; i < source.machine.cpu_nodes.size(); ++i) {
    const CpuId cpu{i};
    out.text("    cpu: ").unsigned_number(i).text("\n");
    for_each_name(source.format.pageset_lines, [&](std::string_view name, std::size_t) {
      out.text("              ").text(name).left(":", source.format.pageset_label_width - name.size());
      out.number(pageset_number(source.machine, zone, cpu, name)).text("\n");
    });
    out.text("  vm stats threshold: ").number(source.machine.pageset(zone.id, cpu).stat.threshold).text("\n");
  }
}

void write_zone(TextWriter& out, const ProcSource& source, const ZoneState& zone, bool is_first_of_node) {
  const MachineView& machine = source.machine;
  const ProcFormat& format = source.format;
  write_zone_name(out, zone);
  out.text("\n");
  if (is_first_of_node) {
    out.text("  per-node stats\n");
    for_each_name(format.node_counters, [&](std::string_view name, std::size_t) {
      write_counter(out, name, node_counter(source, zone.node, name));
    });
  }
  out.text("  pages free     ").number(zone_number(machine, zone, "free")).text("\n");
  for_each_name(format.zone_lines, [&](std::string_view name, std::size_t) {
    out.text("        ").left(name, 9).number(zone_number(machine, zone, name)).text("\n");
  });
  out.text("        protection: (");
  for (std::size_t i = 0; i < machine.zone_types.size(); ++i)
    out.text(i == 0 ? std::string_view{} : ", ").number(zone.lowmem_reserve[i]);
  out.text(")\n");
  if (!zone.is_populated())
    return;
  for (const std::string_view names : {format.zone_counters, format.numa_counters}) {
    for_each_name(
        names, [&](std::string_view name, std::size_t) { write_counter(out, name, zone_counter(source, zone, name)); });
  }
  write_pagesets(out, source, zone);
  for_each_name(format.zone_tail_lines, [&](std::string_view name, std::size_t) {
    constexpr std::size_t kLabel = 21;
    out.text("  ").text(name).left(":", kLabel - name.size()).number(zone_number(machine, zone, name)).text("\n");
  });
}

void write_pagetypes_of(TextWriter& out, const ProcSource& source, const NodeState& node) {
  const MachineView& machine = source.machine;
  const MigratetypeNumbering numbering{machine.env.rules->has_cma};
  out.text("Page block order: ").unsigned_number(kPageblockOrder).text("\n");
  out.text("Pages per block:  ").unsigned_number(kPageblockPages).text("\n\n");

  out.left("Free pages count per migrate type at order", 43).text(" ");
  for (unsigned order = 0; order < kOrders; ++order)
    out.unsigned_number(order, 6).text(" ");
  out.text("\n");
  for (const ZoneState& zone : zones_of(machine, node)) {
    if (!zone.is_populated())
      continue;
    for (unsigned number = 0; number < numbering.count(); ++number) {
      const Migratetype type = numbering.type(number);
      out.text("Node ").unsigned_number(node.id.raw(), 4).text(", zone ").right(zone_type_name(zone.type), 8);
      out.text(", type ").right(migratetype_name(type), 12).text(" ");
      for (unsigned order = 0; order < kOrders; ++order) {
        const std::uint64_t blocks = zone.lists[order][raw(type)].blocks;
        const bool is_more = blocks >= source.format.free_count_max;
        out.text(is_more ? ">" : std::string_view{})
            .unsigned_number(is_more ? source.format.free_count_max : blocks, 6)
            .text(" ");
      }
      out.text("\n");
    }
  }

  out.text("\n").left("Number of blocks type", 23);
  for (unsigned number = 0; number < numbering.count(); ++number)
    out.right(migratetype_name(numbering.type(number)), 12).text(" ");
  out.text("\n");
  for (const ZoneState& zone : zones_of(machine, node)) {
    if (!zone.is_populated())
      continue;
    write_zone_name(out, zone);
    out.text(" ");
    const auto pageblocks = count_pageblocks(machine, zone);
    for (unsigned number = 0; number < numbering.count(); ++number)
      out.unsigned_number(pageblocks[raw(numbering.type(number))], 12).text(" ");
    out.text("\n");
  }
}

std::string_view suffix_of(ZoneType type) {
  switch (type) {
    case ZoneType::Dma: return "dma";
    case ZoneType::Dma32: return "dma32";
    case ZoneType::Normal: return "normal";
    case ZoneType::HighMem: return "high";
    case ZoneType::Movable: return "movable";
    case ZoneType::Device: return "device";
  }
  return "";
}

/// What the machine itself counted of an event that is not a request's; 0 for any other name.
std::uint64_t vm_event(const MachineView& machine, std::string_view name, std::optional<ZoneType> type) {
  if (type) {
    const auto index = machine.index_of(*type);
    if (index && name == "allocstall_")
      return machine.events->allocstall[index->raw()];
    return index && name == "pgskip_" ? machine.events->pgskip[index->raw()] : 0;
  }
  for (const VmEventName& event : kVmEventNames)
    if (event.name == name)
      return machine.events->*event.counter;
  return 0;
}

/// An event or total of the whole machine. `type` is given for a name of which each zone type has a line.
std::int64_t machine_counter(const ProcSource& source, std::string_view name, std::string_view suffix,
                             std::optional<ZoneType> type) {
  std::int64_t value = 0;
  if (source.host != nullptr) {
    // The host knows the whole name; the longest is "allocstall_movable".
    std::array<char, 32> whole{};
    std::size_t size = 0;
    for (const std::string_view part : {name, suffix}) {
      for (const char c : part) {
        if (size < whole.size())
          whole[size++] = c;
      }
    }
    value = source.host->machine(suffix.empty() ? name : std::string_view{whole.data(), size});
  }
  if ((type && name == "pgalloc_") || name == "pgfree")
    value += sum_events(source.machine, event_named(name), type);
  else
    value += static_cast<std::int64_t>(vm_event(source.machine, name, type));
  return value;
}

template <class Index>
void write_index_lines(const MachineView& machine, TextSink& sink, std::size_t width, Index&& index) {
  TextWriter out{sink};
  for (const ZoneState& zone : machine.zones) {
    if (!zone.is_populated())
      continue;
    write_zone_name(out, zone);
    out.text(" ");
    const FreeBlocks blocks = free_blocks_of(zone);
    for (unsigned order = 0; order < kOrders; ++order) {
      const std::int64_t permille = index(blocks, Order{order});
      // As printf's %d.%03d: a negative remainder keeps its sign, and zeros fill up behind it.
      const std::int64_t rest = permille % 1000;
      const std::int64_t magnitude = rest < 0 ? -rest : rest;
      const std::int64_t fill_below = rest < 0 ? 10 : 100;
      out.number(permille / 1000, width).text(".").text(rest < 0 ? "-" : std::string_view{});
      for (std::int64_t limit = fill_below; limit > 1 && magnitude < limit; limit /= 10)
        out.text("0");
      out.number(magnitude).text(" ");
    }
    out.text("\n");
  }
}

}  // namespace

std::array<std::uint64_t, kMigratetypes> count_pageblocks(const MachineView& machine, const ZoneState& zone) {
  std::array<std::uint64_t, kMigratetypes> count{};
  // The kernel walks from the zone's first page in steps of a pageblock.
  for (FrameIndex i = zone.begin; i < zone.end; i += static_cast<FrameIndex>(kPageblockPages)) {
    const Pageblock& block = machine.env.map.pageblock(i);
    if (block.zone == zone.id.raw())
      ++count[raw(block.type)];
  }
  return count;
}

std::int64_t zone_number(const MachineView& machine, const ZoneState& zone, std::string_view name) {
  const auto mark = [&](Watermark which) { return zone.mark(static_cast<unsigned>(which)); };
  if (name == "free")
    return not_negative(zone.stat[static_cast<unsigned>(ZoneStat::FreePages)]);
  if (name == "boost")
    return zone.watermark_boost;
  if (name == "min")
    return mark(Watermark::Min);
  if (name == "low")
    return mark(Watermark::Low);
  if (name == "high")
    return mark(Watermark::High);
  if (name == "promo")
    return mark(Watermark::Promo);
  if (name == "spanned")
    return zone.spanned;
  if (name == "present")
    return zone.present;
  if (name == "managed")
    return zone.managed;
  if (name == "cma")
    return static_cast<std::int64_t>(count_pageblocks(machine, zone)[raw(Migratetype::Cma)] * kPageblockPages);
  if (name == "node_unreclaimable")
    return machine.nodes[zone.node.raw()].kswapd.failures >= kMaxReclaimRetries ? 1 : 0;
  if (name == "start_pfn")
    return static_cast<std::int64_t>(zone.start.raw());
  if (name == "reserved_highatomic")
    return zone.nr_reserved_highatomic;
  if (name == "free_highatomic")
    return free_pages_of_type(zone, Migratetype::HighAtomic);
  return 0;
}

std::int64_t pageset_number(const MachineView& machine, const ZoneState& zone, CpuId cpu, std::string_view name) {
  const PcpState& pageset = machine.pageset(zone.id, cpu);
  if (name == "count")
    return pageset.count;
  if (name == "high")
    return pageset.high;
  if (name == "batch")
    return pageset.batch;
  if (name == "high_min")
    return pageset.high_min;
  if (name == "high_max")
    return pageset.high_max;
  return 0;
}

std::int64_t zone_counter(const ProcSource& source, const ZoneState& zone, std::string_view name) {
  if (name == "nr_free_pages")
    return not_negative(zone.stat[static_cast<unsigned>(ZoneStat::FreePages)]);
  if (name == "nr_free_cma")
    return not_negative(zone.stat[static_cast<unsigned>(ZoneStat::FreeCmaPages)]);
  if (name == "nr_free_pages_blocks")
    return free_pages_in_pageblocks(zone);
  std::int64_t value = source.host != nullptr ? source.host->zone(zone.id, name) : 0;
  if (const EventCount count = event_named(name))
    value += sum_events(source.machine, zone, count);
  return not_negative(value);
}

std::int64_t node_counter(const ProcSource& source, NodeId node, std::string_view name) {
  const std::int64_t value = source.host != nullptr ? source.host->node(node, name) : 0;
  return lines_of_huge_pages(source.format, name, not_negative(value));
}

void write_buddyinfo(const MachineView& machine, TextSink& sink) {
  TextWriter out{sink};
  for (const ZoneState& zone : machine.zones) {
    if (!zone.is_populated())
      continue;
    write_zone_name(out, zone);
    out.text(" ");
    for (const std::uint64_t blocks : free_blocks_of(zone))
      out.unsigned_number(blocks, 6).text(" ");
    out.text("\n");
  }
}

void write_pagetypeinfo(const ProcSource& source, TextSink& sink) {
  TextWriter out{sink};
  for (const NodeState& node : source.machine.nodes) {
    if (has_memory(source.machine, node))
      write_pagetypes_of(out, source, node);
  }
}

void write_zoneinfo(const ProcSource& source, TextSink& sink) {
  TextWriter out{sink};
  for (const NodeState& node : source.machine.nodes) {
    bool is_first = true;
    for (const ZoneState& zone : zones_of(source.machine, node)) {
      write_zone(out, source, zone, is_first && zone.is_populated());
      is_first = is_first && !zone.is_populated();
    }
  }
}

void for_each_vmstat_line(const ProcSource& source, CounterVisitor& visitor) {
  const MachineView& machine = source.machine;
  for (const std::string_view names : {source.format.zone_counters, source.format.numa_counters}) {
    for_each_name(names, [&](std::string_view name, std::size_t) {
      std::int64_t sum = 0;
      for (const ZoneState& zone : machine.zones)
        sum += zone_counter(source, zone, name);
      visitor.on(name, "", sum);
    });
  }
  for_each_name(source.format.node_counters, [&](std::string_view name, std::size_t) {
    std::int64_t sum = 0;
    for (const NodeState& node : machine.nodes)
      sum += node_counter(source, node.id, name);
    visitor.on(name, "", sum);
  });
  for (const std::string_view names : {source.format.totals, source.format.events}) {
    for_each_name(names, [&](std::string_view name, std::size_t) {
      if (!name.ends_with('*')) {
        visitor.on(name, "", machine_counter(source, name, "", std::nullopt));
        return;
      }
      name.remove_suffix(1);
      for (const ZoneType type : machine.zone_types) {
        if (type == ZoneType::Device && !source.format.has_device_events)
          continue;
        visitor.on(name, suffix_of(type), machine_counter(source, name, suffix_of(type), type));
      }
    });
  }
}

void write_vmstat(const ProcSource& source, TextSink& sink) {
  class Lines final : public CounterVisitor {
   public:
    explicit Lines(TextSink& to) : out_(to) {}
    void on(std::string_view name, std::string_view suffix, std::int64_t value) override {
      out_.text(name).text(suffix).text(" ").number(value).text("\n");
    }

   private:
    TextWriter out_;
  };
  Lines lines{sink};
  for_each_vmstat_line(source, lines);
}

void write_unusable_index(const MachineView& machine, TextSink& sink) {
  write_index_lines(machine, sink, 0,
                    [](const FreeBlocks& blocks, Order order) { return unusable_free_index(blocks, order); });
}

void write_extfrag_index(const MachineView& machine, TextSink& sink) {
  write_index_lines(machine, sink, 2,
                    [](const FreeBlocks& blocks, Order order) { return fragmentation_index(blocks, order); });
}

}  // namespace mmbox
