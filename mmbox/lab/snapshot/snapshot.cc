#include "mmbox/lab/snapshot/snapshot.h"

#include "mmbox/lab/snapshot/pairs.h"
#include "mmbox/lab/snapshot/words.h"

namespace mmbox::lab {
namespace {

void append_pairs(std::string& out, const KeyValues& pairs) {
  for (const KeyValue& pair : pairs) {
    out += ' ';
    out += pair.key;
    out += '=';
    out += pair.value;
  }
}

template <class Values>
void append_numbers(std::string& out, const Values& values) {
  for (const auto value : values) {
    out += ' ';
    words::append(out, value);
  }
}

void append_named(std::string& out, const char* name, std::uint64_t value) {
  out += name;
  words::append(out, value);
}

void write_node(const SnapshotNode& node, std::string& out) {
  pairs::Writer writer(out);
  append_named(out, "NODE ", node.id.raw());
  pairs::node_fields(node, writer);
  append_pairs(out, node.more);
  out += "\nNK";
  pairs::nk_fields(node, writer);
  append_pairs(out, node.more_daemons);
  out += "\nND distance";
  for (const auto& [other, distance] : node.distances) {
    append_named(out, " ", other.raw());
    append_named(out, ":", distance);
  }
  out += "\nNS vm_stat";
  append_numbers(out, node.vm_stat);
  out += '\n';
  for (std::size_t list = 0; list < node.zonelists.size(); ++list) {
    append_named(out, "ZL node=", node.id.raw());
    append_named(out, " list=", list);
    out += " :";
    for (const SnapshotZoneRef& ref : node.zonelists[list]) {
      append_named(out, " ", ref.node.raw());
      out += '/';
      out += zone_type_name(ref.type);
      append_named(out, "(", ref.index.raw());
      out += ')';
    }
    out += '\n';
  }
}

void write_zone_cpu(const SnapshotZoneCpu& cpu, MigratetypeNumbering numbering, std::string& out) {
  append_named(out, "ZSD cpu=", cpu.cpu.raw());
  out += " threshold=";
  words::append(out, cpu.stat_threshold);
  out += " diff";
  append_numbers(out, cpu.vm_stat_diff);
  append_named(out, "\nPCP cpu=", cpu.cpu.raw());
  pairs::Writer writer(out);
  pairs::pcp_fields(cpu, writer);
  append_pairs(out, cpu.more);
  out += '\n';
  for (unsigned index = 0; index < kPcpLists; ++index) {
    if (cpu.lists[index].empty())
      continue;
    const Migratetype list_type = pcp_index_type(index);
    append_named(out, "PL cpu=", cpu.cpu.raw());
    append_named(out, " pindex=", index);
    append_named(out, " order=", pcp_index_order(index).raw());
    append_named(out, " mt=", raw(list_type));
    out += " :";
    for (const PcpPage& page : cpu.lists[index]) {
      out += ' ';
      words::append(out, page.pfn.raw(), 16);
      if (page.cached_type != list_type)
        append_named(out, ":", numbering.number(page.cached_type));
    }
    out += '\n';
  }
}

void write_free_areas(const SnapshotZone& zone, MigratetypeNumbering numbering, std::string& out) {
  for (unsigned order = 0; order < kOrders; ++order) {
    const SnapshotFreeArea& area = zone.free_areas[order];
    for (unsigned number = 0; number < numbering.count(); ++number) {
      const std::vector<Pfn>& list = area.lists[raw(numbering.type(number))];
      if (list.empty())
        continue;
      append_named(out, "FL order=", order);
      append_named(out, " mt=", number);
      out += " :";
      for (const Pfn pfn : list) {
        out += ' ';
        words::append(out, pfn.raw(), 16);
      }
      append_named(out, "\nFLN order=", order);
      append_named(out, " mt=", number);
      append_named(out, " n=", list.size());
      out += " bad=0\n";
    }
    append_named(out, "FA order=", order);
    append_named(out, " nr_free=", area.free_blocks);
    out += '\n';
  }
}

void write_pageblocks(const SnapshotZone& zone, MigratetypeNumbering numbering, std::string& out) {
  const auto write_holes = [&out](PfnRange hole) {
    for (Pfn pfn = hole.begin; pfn < hole.end; pfn = pfn + PageCount{kPageblockPages}) {
      out += "PB 0x";
      words::append(out, pfn.raw(), 16);
      out += " hole\n";
    }
  };
  auto hole = zone.holes.begin();
  for (const SnapshotPageblock& block : zone.pageblocks) {
    for (; hole != zone.holes.end() && hole->begin < block.start; ++hole)
      write_holes(*hole);
    out += "PB 0x";
    words::append(out, block.start.raw(), 16);
    append_named(out, " ", numbering.number(block.type));
    out += block.skip ? " 1" : " 0";
    append_numbers(out,
                   std::array{block.buddy_pages, block.movable_pages, block.reserved_pages, block.other_zone_pages});
    out += '\n';
  }
  for (; hole != zone.holes.end(); ++hole)
    write_holes(*hole);
}

void write_zone(const SnapshotZone& zone, MigratetypeNumbering numbering, std::string& out) {
  pairs::Writer writer(out);
  append_named(out, "ZONE node=", zone.node.raw());
  append_named(out, " idx=", zone.index.raw());
  out += " name=";
  out += zone_type_name(zone.type);
  pairs::zone_fields(zone, writer);
  append_pairs(out, zone.more);
  out += "\nZW";
  pairs::zw_fields(zone, writer);
  append_pairs(out, zone.more_watermarks);
  out += "\nZR lowmem_reserve";
  append_numbers(out, zone.lowmem_reserve);
  out += "\nZC";
  pairs::zc_fields(zone, writer);
  append_pairs(out, zone.more_compaction);
  out += "\nZS vm_stat";
  append_numbers(out, zone.vm_stat);
  out += '\n';
  for (const SnapshotZoneCpu& cpu : zone.cpus)
    write_zone_cpu(cpu, numbering, out);
  write_free_areas(zone, numbering, out);
  for (const std::string& comment : zone.comments)
    out += comment + '\n';
  write_pageblocks(zone, numbering, out);
}

}  // namespace

std::string SnapshotZone::name() const {
  return "Node " + std::to_string(node.raw()) + ", zone " + std::string{zone_type_name(type)};
}

std::optional<std::string_view> Snapshot::value(std::string_view key) const {
  for (const KeyValue& pair : info) {
    if (pair.key == key)
      return pair.value;
  }
  return std::nullopt;
}

std::optional<std::int64_t> Snapshot::symbol(std::string_view name) const {
  for (const SnapshotSymbol& symbol : symbols) {
    if (symbol.name == name)
      return words::number<std::int64_t>(symbol.value);
  }
  return std::nullopt;
}

const SnapshotZone* Snapshot::zone(NodeId node, ZoneIndex index) const {
  for (const SnapshotZone& zone : zones) {
    if (zone.node == node && zone.index == index)
      return &zone;
  }
  return nullptr;
}

void write(const Snapshot& snapshot, std::string& out) {
  const MigratetypeNumbering numbering = snapshot.numbering();
  out += "SNAP ";
  out += snapshot.label;
  append_pairs(out, snapshot.info);
  out += '\n';
  for (const std::string& comment : snapshot.comments)
    out += comment + '\n';
  for (const SnapshotSymbol& symbol : snapshot.symbols)
    out += "SYM " + symbol.name + ' ' + symbol.value + '\n';
  out += "CPUS";
  for (const SnapshotCpu& cpu : snapshot.cpus) {
    append_named(out, " ", cpu.cpu.raw());
    append_named(out, ":node", cpu.node.raw());
    append_named(out, ":mem", cpu.memory_node.raw());
  }
  out += '\n';
  for (const SnapshotNode& node : snapshot.nodes)
    write_node(node, out);
  for (const SnapshotZone& zone : snapshot.zones)
    write_zone(zone, numbering, out);
  out += "ENDSNAP ";
  out += snapshot.label;
  append_pairs(out, snapshot.end_info);
  out += '\n';
}

}  // namespace mmbox::lab
