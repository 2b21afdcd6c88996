// Text to Snapshot: a state per line, and what must hold once a zone and the whole are complete.
#include <algorithm>
#include <utility>

#include "mmbox/lab/snapshot/pairs.h"
#include "mmbox/lab/snapshot/snapshot.h"
#include "mmbox/lab/snapshot/words.h"

namespace mmbox::lab {
namespace {

using words::quoted;

constexpr const char* kCut = "the recording is cut or was changed: take it again, or use another snapshot";
constexpr const char* kForeign = "this is not a snapshot that mmbox's recorder wrote: see docs/formats.md";

// More than any machine has; they keep garbage from growing without bound.
constexpr std::size_t kSymbolsMax = 4096;
constexpr std::size_t kCommentsMax = 4096;

/// The line that may come next; each stage lasts until another's line begins.
enum class Stage : std::uint8_t {
  Snap,
  Symbols,
  Cpus,
  Node,
  NodeDaemons,
  NodeDistances,
  NodeCounters,
  Zonelists,
  Zone,
  Watermarks,
  LowmemReserve,
  Compaction,
  ZoneCounters,
  ZoneCpu,
  Pcp,
  FreeLists,
  FreeListLength,
  Pageblocks,
  End,
};

struct Span {
  Pfn begin;
  Pfn end;
};

}  // namespace

struct SnapshotParser::State {
  Snapshot snapshot;
  Stage stage = Stage::Snap;
  std::size_t zone_types = 0;  // max_nr_zones
  std::size_t zone_stat_items = 0;
  unsigned order = 0;      // of the free area being read
  unsigned free_list = 0;  // number of the migratetype of the last FL line, plus 1
  Pfn next_pageblock;
  std::string message;
  const char* remedy = kCut;

  SnapshotNode& node() { return snapshot.nodes.back(); }
  SnapshotZone& zone() { return snapshot.zones.back(); }

  bool fail(std::string text, const char* what_to_do = kCut) {
    message = std::move(text);
    remedy = what_to_do;
    return false;
  }
  bool fail_line(const char* kind, const std::string& problem) { return fail(std::string{kind} + " line: " + problem); }

  bool line(std::string_view text);
  bool snap_line(std::string_view rest);
  bool symbol_line(std::string_view rest);
  bool cpus_line(std::string_view rest);
  bool node_line(std::string_view rest);
  bool daemons_line(std::string_view rest);
  bool distances_line(std::string_view rest);
  bool zonelist_line(std::string_view rest);
  bool zone_line(std::string_view rest);
  bool watermarks_line(std::string_view rest);
  bool compaction_line(std::string_view rest);
  bool zone_cpu_line(std::string_view rest);
  bool pcp_line(std::string_view rest);
  bool pcp_list_line(std::string_view rest);
  bool free_list_line(std::string_view rest);
  bool free_list_length_line(std::string_view rest);
  bool free_area_line(std::string_view rest);
  bool pageblock_line(std::string_view rest);
  bool end_line(std::string_view rest);

  bool finish_node();
  bool finish_zone();
  bool no_two_blocks_overlap();
  bool zonelists_name_zones();
  bool block_in_zone(Pfn pfn, Order block_order, const char* list);

  template <class Number>
  bool numbers(const char* kind, std::string_view rest, std::string_view head, std::vector<Number>& out) {
    words::Words line(rest);
    if (line.next() != head)
      return fail_line(kind, "begins with " + quoted(rest) + ", expected " + std::string{head});
    while (const std::optional<std::string_view> word = line.next()) {
      const std::optional<Number> value = words::number<Number>(*word);
      if (!value)
        return fail_line(kind, quoted(*word) + " is not a number in its range");
      out.push_back(*value);
    }
    return true;
  }
  bool at(Stage expected, const char* kind) {
    return stage == expected || fail(std::string{"a "} + kind + " line stands where none can be");
  }
};

bool SnapshotParser::State::line(std::string_view text) {
  const std::size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  const std::string_view rest = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
  if (word == "PB")
    return pageblock_line(rest);
  if (word == "FL")
    return free_list_line(rest);
  if (word == "FLN")
    return free_list_length_line(rest);
  if (word == "FA")
    return free_area_line(rest);
  if (word == "PL")
    return pcp_list_line(rest);
  if (word == "SYM")
    return symbol_line(rest);
  if (word == "SNAP")
    return snap_line(rest);
  if (word == "CPUS")
    return cpus_line(rest);
  if (word == "NODE")
    return node_line(rest);
  if (word == "NK")
    return daemons_line(rest);
  if (word == "ND")
    return distances_line(rest);
  if (word == "NS") {
    if (!at(Stage::NodeCounters, "NS"))
      return false;
    stage = Stage::Zonelists;
    return numbers("NS", rest, "vm_stat", node().vm_stat);
  }
  if (word == "ZL")
    return zonelist_line(rest);
  if (word == "ZONE")
    return zone_line(rest);
  if (word == "ZW")
    return watermarks_line(rest);
  if (word == "ZR") {
    if (!at(Stage::LowmemReserve, "ZR") || !numbers("ZR", rest, "lowmem_reserve", zone().lowmem_reserve))
      return false;
    stage = Stage::Compaction;
    return zone().lowmem_reserve.size() == zone_types || fail("the ZR line has not one number for each zone type");
  }
  if (word == "ZC")
    return compaction_line(rest);
  if (word == "ZS") {
    if (!at(Stage::ZoneCounters, "ZS") || !numbers("ZS", rest, "vm_stat", zone().vm_stat))
      return false;
    stage = Stage::ZoneCpu;
    return zone().vm_stat.size() == zone_stat_items ||
           fail("the ZS line has not as many numbers as zone_stat_items= says");
  }
  if (word == "ZSD")
    return zone_cpu_line(rest);
  if (word == "PCP")
    return pcp_line(rest);
  if (word == "ENDSNAP")
    return end_line(rest);
  if (text.starts_with('#')) {
    const bool in_zone = !snapshot.zones.empty();
    if (stage != Stage::Symbols && !(stage == Stage::Pageblocks && zone().pageblocks.empty() && zone().holes.empty()))
      return fail("a comment stands where the recorder writes none");
    std::vector<std::string>& comments = in_zone ? zone().comments : snapshot.comments;
    if (comments.size() == kCommentsMax)
      return fail("more comments than any recording has", kForeign);
    comments.emplace_back(text);
    return true;
  }
  return fail("a line that begins with " + quoted(word) + " inside snapshot " + quoted(snapshot.label));
}

bool SnapshotParser::State::snap_line(std::string_view rest) {
  if (stage != Stage::Snap)
    return fail("another SNAP begins before ENDSNAP " + quoted(snapshot.label));
  words::Words line(rest);
  const std::optional<std::string_view> label = line.next();
  if (!label || label->empty() || label->find('=') != std::string_view::npos)
    return fail("SNAP without a label", kForeign);
  snapshot.label = *label;
  while (const std::optional<std::string_view> word = line.next()) {
    const std::size_t equals = word->find('=');
    // The name of a task (comm=) may contain spaces.
    if (equals == std::string_view::npos) {
      if (snapshot.info.empty())
        return fail("the SNAP line has " + quoted(*word) + " behind its label, expected key=value", kForeign);
      snapshot.info.back().value += ' ';
      snapshot.info.back().value += *word;
    } else {
      snapshot.info.push_back({std::string{word->substr(0, equals)}, std::string{word->substr(equals + 1)}});
    }
  }
  const auto number = [this](const char* key) {
    return words::number<std::uint32_t>(snapshot.value(key).value_or(std::string_view{})).value_or(0);
  };
  if (number("max_order") != kOrders)
    return fail("the SNAP line does not say max_order=11", "mmbox knows machines with orders 0 to 10 only");
  if (number("pageblock_order") != kPageblockOrder)
    return fail("the SNAP line does not say pageblock_order=9", "mmbox knows machines with pageblocks of order 9 only");
  if (number("migrate_types") != kMigratetypes && number("migrate_types") != kMigratetypes - 1)
    return fail("the SNAP line does not say migrate_types=5 or 6", "mmbox knows kernels with 5 or 6 migratetypes only");
  zone_types = number("max_nr_zones");
  zone_stat_items = number("zone_stat_items");
  if (zone_types == 0 || zone_types > 8)
    return fail("the SNAP line does not say max_nr_zones= with a number from 1 to 8", kForeign);
  if (zone_stat_items == 0)
    return fail("the SNAP line does not say zone_stat_items=", kForeign);
  stage = Stage::Symbols;
  return true;
}

bool SnapshotParser::State::symbol_line(std::string_view rest) {
  if (!at(Stage::Symbols, "SYM"))
    return false;
  words::Words line(rest);
  const std::string_view name = line.next().value_or("");
  const std::string_view value = line.next().value_or("");
  if (name.empty() || value.empty() || !line.at_end())
    return fail_line("SYM", "is not a name and a value");
  if (snapshot.symbols.size() == kSymbolsMax)
    return fail("more SYM lines than any recording has", kForeign);
  snapshot.symbols.push_back({std::string{name}, std::string{value}});
  return true;
}

bool SnapshotParser::State::cpus_line(std::string_view rest) {
  if (!at(Stage::Symbols, "CPUS"))
    return false;
  words::Words line(rest);
  while (const std::optional<std::string_view> word = line.next()) {
    const std::size_t node_at = word->find(":node");
    const std::size_t memory_at = word->find(":mem");
    if (node_at == std::string_view::npos || memory_at == std::string_view::npos || memory_at < node_at + 5)
      return fail_line("CPUS", quoted(*word) + " is not CPU:nodeN:memN");
    const auto cpu = words::number<std::uint16_t>(word->substr(0, node_at));
    const auto node_id = words::number<std::uint16_t>(word->substr(node_at + 5, memory_at - node_at - 5));
    const auto memory_node = words::number<std::uint16_t>(word->substr(memory_at + 4));
    if (!cpu || !node_id || !memory_node)
      return fail_line("CPUS", quoted(*word) + " is not CPU:nodeN:memN");
    if (!snapshot.cpus.empty() && snapshot.cpus.back().cpu.raw() >= *cpu)
      return fail_line("CPUS", "its CPUs do not ascend");
    snapshot.cpus.push_back({CpuId{*cpu}, NodeId{*node_id}, NodeId{*memory_node}});
  }
  stage = Stage::Node;
  return !snapshot.cpus.empty() || fail("the CPUS line names no CPU");
}

bool SnapshotParser::State::finish_node() {
  if (snapshot.nodes.empty() || stage != Stage::Zonelists)
    return true;
  return !node().zonelists[0].empty() || fail("node " + std::to_string(node().id.raw()) + " has no zonelist");
}

bool SnapshotParser::State::node_line(std::string_view rest) {
  if (stage != Stage::Zonelists && !at(Stage::Node, "NODE"))
    return false;
  if (!finish_node())
    return false;
  const std::size_t space = rest.find(' ');
  const auto id = words::number<std::uint16_t>(rest.substr(0, space));
  if (!id || space == std::string_view::npos)
    return fail_line("NODE", "does not begin with the node's number");
  if (!snapshot.nodes.empty() && node().id.raw() >= *id)
    return fail("node " + std::to_string(*id) + " comes twice or out of order");
  SnapshotNode& added = snapshot.nodes.emplace_back();
  added.id = NodeId{*id};
  pairs::Reader reader;
  if (reader.split(rest.substr(space + 1)))
    pairs::node_fields(added, reader);
  added.more = reader.rest();
  stage = Stage::NodeDaemons;
  return reader.problem().empty() || fail_line("NODE", reader.problem());
}

bool SnapshotParser::State::daemons_line(std::string_view rest) {
  if (!at(Stage::NodeDaemons, "NK"))
    return false;
  pairs::Reader reader;
  if (reader.split(rest))
    pairs::nk_fields(node(), reader);
  node().more_daemons = reader.rest();
  stage = Stage::NodeDistances;
  return reader.problem().empty() || fail_line("NK", reader.problem());
}

bool SnapshotParser::State::distances_line(std::string_view rest) {
  if (!at(Stage::NodeDistances, "ND"))
    return false;
  words::Words line(rest);
  if (line.next() != "distance")
    return fail_line("ND", "does not begin with \"distance\"");
  while (const std::optional<std::string_view> word = line.next()) {
    const std::size_t colon = word->find(':');
    const auto other = words::number<std::uint16_t>(word->substr(0, colon));
    const auto distance =
        words::number<std::uint32_t>(colon == std::string_view::npos ? std::string_view{} : word->substr(colon + 1));
    if (!other || !distance)
      return fail_line("ND", quoted(*word) + " is not NODE:DISTANCE");
    node().distances.emplace_back(NodeId{*other}, *distance);
  }
  stage = Stage::NodeCounters;
  return true;
}

bool SnapshotParser::State::zonelist_line(std::string_view rest) {
  if (!at(Stage::Zonelists, "ZL"))
    return false;
  words::Words line(rest);
  const std::string expected = "node=" + std::to_string(node().id.raw());
  if (line.next() != expected)
    return fail_line("ZL", "is not of its node: expected " + expected);
  const std::string_view list = line.next().value_or("");
  if ((list != "list=0" && list != "list=1") || line.next() != ":")
    return fail_line("ZL", "expected list=0 or list=1 and a colon");
  std::vector<SnapshotZoneRef>& zonelist = node().zonelists[list == "list=1" ? 1 : 0];
  if (!zonelist.empty())
    return fail_line("ZL", "the list comes twice");
  while (const std::optional<std::string_view> word = line.next()) {
    const std::size_t slash = word->find('/');
    const std::size_t open = word->find('(');
    if (slash == std::string_view::npos || open == std::string_view::npos || open < slash || !word->ends_with(')'))
      return fail_line("ZL", quoted(*word) + " is not NODE/ZONE(INDEX)");
    const auto node_id = words::number<std::uint16_t>(word->substr(0, slash));
    const auto type = words::zone_type(word->substr(slash + 1, open - slash - 1));
    const auto index = words::number<std::uint8_t>(word->substr(open + 1, word->size() - open - 2));
    if (!node_id || !type || !index)
      return fail_line("ZL", quoted(*word) + " is not NODE/ZONE(INDEX)");
    zonelist.push_back({NodeId{*node_id}, *type, ZoneIndex{*index}});
  }
  return true;
}

bool SnapshotParser::State::zone_line(std::string_view rest) {
  if (snapshot.nodes.empty() || (stage != Stage::Zonelists && stage != Stage::Pageblocks))
    return fail("a ZONE line stands where none can be");
  if (!finish_node() || !finish_zone())
    return false;
  std::uint16_t node_id = 0;
  std::uint8_t index = 0;
  pairs::Reader reader;
  SnapshotZone added;
  added.comments.clear();
  std::optional<ZoneType> type;
  if (reader.split(rest)) {
    reader.decimal("node", node_id);
    reader.decimal("idx", index);
    type = words::zone_type(reader.text("name").value_or(""));
    pairs::zone_fields(added, reader);
  }
  if (!reader.problem().empty())
    return fail_line("ZONE", reader.problem());
  if (!type)
    return fail_line("ZONE", "name= is not a zone that mmbox knows");
  added.node = NodeId{node_id};
  added.index = ZoneIndex{index};
  added.type = *type;
  added.more = reader.rest();
  const auto is_its_node = [&added](const SnapshotNode& one) { return one.id == added.node; };
  if (std::none_of(snapshot.nodes.begin(), snapshot.nodes.end(), is_its_node))
    return fail(added.name() + ": there is no such node");
  if (index >= zone_types)
    return fail(added.name() + ": its index is not below max_nr_zones");
  if (snapshot.zone(added.node, added.index) != nullptr)
    return fail(added.name() + " comes twice");
  if (!snapshot.zones.empty() && std::pair{zone().node, zone().index} > std::pair{added.node, added.index})
    return fail(added.name() + " comes after a later zone");
  if (added.spanned.raw() == 0 || added.end().raw() >= words::kPfnEnd)
    return fail(added.name() + ": its span is empty or not of this world");
  if (added.spanned < added.present || added.present < added.managed)
    return fail(added.name() + ": not managed ≤ present ≤ spanned");
  next_pageblock = added.start.align_down(Order{kPageblockOrder});
  snapshot.zones.push_back(std::move(added));
  order = 0;
  free_list = 0;
  stage = Stage::Watermarks;
  return true;
}

bool SnapshotParser::State::watermarks_line(std::string_view rest) {
  if (!at(Stage::Watermarks, "ZW"))
    return false;
  pairs::Reader reader;
  if (reader.split(rest))
    pairs::zw_fields(zone(), reader);
  zone().more_watermarks = reader.rest();
  stage = Stage::LowmemReserve;
  return reader.problem().empty() || fail_line("ZW", reader.problem());
}

bool SnapshotParser::State::compaction_line(std::string_view rest) {
  if (!at(Stage::Compaction, "ZC"))
    return false;
  pairs::Reader reader;
  if (reader.split(rest))
    pairs::zc_fields(zone(), reader);
  zone().more_compaction = reader.rest();
  stage = Stage::ZoneCounters;
  return reader.problem().empty() || fail_line("ZC", reader.problem());
}

bool SnapshotParser::State::zone_cpu_line(std::string_view rest) {
  if (stage != Stage::FreeLists && !at(Stage::ZoneCpu, "ZSD"))
    return false;
  if (order != 0 || free_list != 0 || zone().cpus.size() == snapshot.cpus.size())
    return fail(zone().name() + ": a ZSD line stands where none can be");
  words::Words line(rest);
  const CpuId expected = snapshot.cpus[zone().cpus.size()].cpu;
  if (line.next() != "cpu=" + std::to_string(expected.raw()))
    return fail_line("ZSD", "is not of CPU " + std::to_string(expected.raw()) + ", which comes next");
  const std::string_view threshold = line.next().value_or("");
  const auto value =
      words::number<std::int32_t>(threshold.starts_with("threshold=") ? threshold.substr(10) : std::string_view{});
  if (!value)
    return fail_line("ZSD", "has no threshold=");
  SnapshotZoneCpu& added = zone().cpus.emplace_back();
  added.cpu = expected;
  added.stat_threshold = *value;
  stage = Stage::Pcp;
  if (!numbers("ZSD", line.rest(), "diff", added.vm_stat_diff))
    return false;
  return added.vm_stat_diff.size() == zone_stat_items ||
         fail("the ZSD line has not as many numbers as zone_stat_items= says");
}

bool SnapshotParser::State::pcp_line(std::string_view rest) {
  if (!at(Stage::Pcp, "PCP"))
    return false;
  SnapshotZoneCpu& cpu = zone().cpus.back();
  std::uint16_t id = 0;
  pairs::Reader reader;
  if (reader.split(rest)) {
    reader.decimal("cpu", id);
    pairs::pcp_fields(cpu, reader);
  }
  cpu.more = reader.rest();
  stage = Stage::FreeLists;
  if (!reader.problem().empty())
    return fail_line("PCP", reader.problem());
  return id == cpu.cpu.raw() || fail_line("PCP", "is not of the CPU of the ZSD line before it");
}

bool SnapshotParser::State::block_in_zone(Pfn pfn, Order block_order, const char* list) {
  if (!pfn.is_aligned(block_order) || pfn < zone().start || zone().end() < pfn + PageCount::in(block_order)) {
    std::string text = zone().name() + ": pfn ";
    words::append(text, pfn.raw(), 16);
    return fail(text + " on a " + list + " list of order " + std::to_string(block_order.raw()) +
                (pfn.is_aligned(block_order) ? " lies outside of the zone" : " is not aligned to its order"));
  }
  return true;
}

bool SnapshotParser::State::pcp_list_line(std::string_view rest) {
  if (stage != Stage::FreeLists || order != 0 || free_list != 0)
    return fail("a PL line stands where none can be");
  SnapshotZoneCpu& cpu = zone().cpus.back();
  const std::size_t colon = rest.find(" : ");
  if (colon == std::string_view::npos)
    return fail_line("PL", "has no list behind \" : \"");
  std::uint16_t id = 0;
  unsigned index = 0;
  unsigned list_order = 0;
  unsigned type = 0;
  pairs::Reader reader;
  if (reader.split(rest.substr(0, colon))) {
    reader.decimal("cpu", id);
    reader.decimal("pindex", index);
    reader.decimal("order", list_order);
    reader.decimal("mt", type);
  }
  if (!reader.problem().empty())
    return fail_line("PL", reader.problem());
  if (id != cpu.cpu.raw())
    return fail_line("PL", "is not of the CPU of the PCP line before it");
  if (index >= kPcpLists || list_order != pcp_index_order(index).raw() || type != raw(pcp_index_type(index)))
    return fail_line("PL", "its order and mt are not those of its pindex");
  std::vector<PcpPage>& list = cpu.lists[index];
  if (!list.empty())
    return fail_line("PL", "pindex=" + std::to_string(index) + " comes twice");
  const MigratetypeNumbering numbering = snapshot.numbering();
  words::Words line(rest.substr(colon + 3));
  while (const std::optional<std::string_view> word = line.next()) {
    const std::size_t mark = word->find(':');
    const std::optional<Pfn> pfn = words::pfn(word->substr(0, mark));
    std::optional<unsigned> cached = type;
    if (mark != std::string_view::npos)
      cached = words::number<unsigned>(word->substr(mark + 1));
    if (!pfn || !cached || *cached >= numbering.count())
      return fail_line("PL", quoted(*word) + " is not a pfn or pfn:migratetype");
    if (!block_in_zone(*pfn, Order{list_order}, "per-cpu"))
      return false;
    list.push_back({*pfn, numbering.type(*cached)});
  }
  return true;
}

bool SnapshotParser::State::free_list_line(std::string_view rest) {
  if (!at(Stage::FreeLists, "FL"))
    return false;
  const std::size_t colon = rest.find(" : ");
  if (colon == std::string_view::npos)
    return fail_line("FL", "has no list behind \" : \"");
  unsigned list_order = 0;
  unsigned type = 0;
  pairs::Reader reader;
  if (reader.split(rest.substr(0, colon))) {
    reader.decimal("order", list_order);
    reader.decimal("mt", type);
  }
  if (!reader.problem().empty())
    return fail_line("FL", reader.problem());
  const MigratetypeNumbering numbering = snapshot.numbering();
  if (list_order != order || order >= kOrders || type >= numbering.count() || type < free_list)
    return fail(zone().name() + ": the FL line of order " + std::to_string(list_order) + ", mt " +
                std::to_string(type) + " comes twice or out of order");
  free_list = type + 1;
  std::vector<Pfn>& list = zone().free_areas[order].lists[raw(numbering.type(type))];
  words::Words line(rest.substr(colon + 3));
  while (const std::optional<std::string_view> word = line.next()) {
    const std::optional<Pfn> pfn = words::pfn(*word);
    if (!pfn)
      return fail_line("FL", quoted(*word) + " is not a pfn");
    if (!block_in_zone(*pfn, Order{order}, "free"))
      return false;
    list.push_back(*pfn);
  }
  stage = Stage::FreeListLength;
  return true;
}

bool SnapshotParser::State::free_list_length_line(std::string_view rest) {
  if (!at(Stage::FreeListLength, "FLN"))
    return false;
  unsigned list_order = 0;
  unsigned type = 0;
  std::uint64_t length = 0;
  std::uint64_t bad = 0;
  pairs::Reader reader;
  if (reader.split(rest)) {
    reader.decimal("order", list_order);
    reader.decimal("mt", type);
    reader.decimal("n", length);
    reader.decimal("bad", bad);
  }
  if (!reader.problem().empty())
    return fail_line("FLN", reader.problem());
  if (list_order != order || type + 1 != free_list)
    return fail_line("FLN", "is not of the FL line before it");
  const std::size_t have = zone().free_areas[order].lists[raw(snapshot.numbering().type(type))].size();
  if (length != have)
    return fail(zone().name() + ": the free list of order " + std::to_string(order) + ", mt " + std::to_string(type) +
                " has " + std::to_string(have) + " blocks, but FLN says n=" + std::to_string(length));
  if (bad != 0)
    return fail(zone().name() + ": " + std::to_string(bad) + " entries of the free list of order " +
                    std::to_string(order) + ", mt " + std::to_string(type) + " were not free (FLN bad=)",
                "the recorded kernel's lists were damaged or changed while they were read: take the snapshot again");
  stage = Stage::FreeLists;
  return true;
}

bool SnapshotParser::State::free_area_line(std::string_view rest) {
  if (!at(Stage::FreeLists, "FA"))
    return false;
  unsigned area = 0;
  std::uint64_t blocks = 0;
  pairs::Reader reader;
  if (reader.split(rest)) {
    reader.decimal("order", area);
    reader.decimal("nr_free", blocks);
  }
  if (!reader.problem().empty())
    return fail_line("FA", reader.problem());
  if (zone().cpus.size() != snapshot.cpus.size())
    return fail(zone().name() + ": not every CPU has its ZSD and PCP lines");
  if (area != order)
    return fail(zone().name() + ": FA of order " + std::to_string(area) + " comes where order " +
                std::to_string(order) + " is expected");
  std::uint64_t listed = 0;
  for (const std::vector<Pfn>& list : zone().free_areas[order].lists)
    listed += list.size();
  if (blocks != listed)
    return fail(zone().name() + ": order " + std::to_string(order) + " has nr_free=" + std::to_string(blocks) +
                ", but " + std::to_string(listed) + " blocks are listed");
  zone().free_areas[order].free_blocks = blocks;
  ++order;
  free_list = 0;
  if (order == kOrders)
    stage = Stage::Pageblocks;
  return true;
}

bool SnapshotParser::State::pageblock_line(std::string_view rest) {
  if (!at(Stage::Pageblocks, "PB"))
    return false;
  words::Words line(rest);
  const std::optional<std::uint64_t> start = words::hex_0x(line.next().value_or(""));
  if (!start || Pfn{*start} != next_pageblock || zone().end() <= next_pageblock) {
    std::string text = zone().name() + ": PB line of " + quoted(rest.substr(0, rest.find(' '))) + " where 0x";
    words::append(text, next_pageblock.raw(), 16);
    return fail(text + " is expected");
  }
  const Pfn pfn = next_pageblock;
  next_pageblock = next_pageblock + PageCount{kPageblockPages};
  if (line.rest() == "hole") {
    std::vector<PfnRange>& holes = zone().holes;
    if (!holes.empty() && holes.back().end == pfn)
      holes.back().end = next_pageblock;
    else
      holes.push_back({pfn, next_pageblock});
    return true;
  }
  std::array<std::uint32_t, 6> numbers{};
  for (std::uint32_t& value : numbers) {
    const auto parsed = words::number<std::uint32_t>(line.next().value_or(""));
    if (!parsed)
      return fail_line("PB", "is not \"hole\" or six numbers");
    value = *parsed;
  }
  const MigratetypeNumbering numbering = snapshot.numbering();
  if (!line.at_end() || numbers[0] >= numbering.count() || numbers[1] > 1)
    return fail_line("PB", "is not \"hole\" or six numbers, with a migratetype and 0 or 1 first");
  zone().pageblocks.push_back(
      {pfn, numbering.type(numbers[0]), numbers[1] != 0, numbers[2], numbers[3], numbers[4], numbers[5]});
  return true;
}

// Two blocks that share a page, and blocks where no memory is, would be misuse of the engine later: told here, as bad
// input.
bool SnapshotParser::State::no_two_blocks_overlap() {
  std::vector<Span> spans;
  for (unsigned area = 0; area < kOrders; ++area) {
    for (const std::vector<Pfn>& list : zone().free_areas[area].lists) {
      for (const Pfn pfn : list)
        spans.push_back({pfn, pfn + PageCount::in(Order{area})});
    }
  }
  for (const SnapshotZoneCpu& cpu : zone().cpus) {
    for (unsigned index = 0; index < kPcpLists; ++index) {
      for (const PcpPage& page : cpu.lists[index])
        spans.push_back({page.pfn, page.pfn + PageCount::in(pcp_index_order(index))});
    }
  }
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  auto hole = zone().holes.begin();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    while (hole != zone().holes.end() && hole->end <= spans[i].begin)
      ++hole;
    const bool overlaps = i + 1 < spans.size() && spans[i + 1].begin < spans[i].end;
    const bool in_hole = hole != zone().holes.end() && hole->begin < spans[i].end;
    if (overlaps || in_hole) {
      std::string text = zone().name() + ": pfn ";
      words::append(text, (overlaps ? spans[i + 1].begin : spans[i].begin).raw(), 16);
      return fail(text + (overlaps ? " is free twice" : " is on a list, but there is a hole"));
    }
  }
  return true;
}

bool SnapshotParser::State::finish_zone() {
  if (snapshot.zones.empty())
    return true;
  if (next_pageblock < zone().end())
    return fail(zone().name() + ": its PB lines end before the zone does");
  for (const SnapshotZoneCpu& cpu : zone().cpus) {
    std::uint64_t pages = 0;
    for (unsigned index = 0; index < kPcpLists; ++index)
      pages += cpu.lists[index].size() << pcp_index_order(index).raw();
    if (cpu.count < 0 || static_cast<std::uint64_t>(cpu.count) != pages)
      snapshot.doubts.push_back(zone().name() + ", CPU " + std::to_string(cpu.cpu.raw()) + ": count=" +
                                std::to_string(cpu.count) + ", but its lists hold " + std::to_string(pages) + " pages");
  }
  return no_two_blocks_overlap();
}

bool SnapshotParser::State::zonelists_name_zones() {
  for (const SnapshotNode& one : snapshot.nodes) {
    for (const std::vector<SnapshotZoneRef>& list : one.zonelists) {
      for (const SnapshotZoneRef& ref : list) {
        const SnapshotZone* found = snapshot.zone(ref.node, ref.index);
        if (found == nullptr || found->type != ref.type)
          return fail("a zonelist of node " + std::to_string(one.id.raw()) + " names node " +
                      std::to_string(ref.node.raw()) + "'s zone " + std::string{zone_type_name(ref.type)} +
                      ", which is not there");
      }
    }
  }
  return true;
}

bool SnapshotParser::State::end_line(std::string_view rest) {
  if (snapshot.zones.empty() || stage != Stage::Pageblocks)
    return fail("ENDSNAP comes before the snapshot is complete");
  words::Words line(rest);
  const std::string_view label = line.next().value_or("");
  if (label != snapshot.label)
    return fail("ENDSNAP " + quoted(label) + " ends snapshot " + quoted(snapshot.label));
  if (!line.at_end()) {
    pairs::Reader reader;
    if (!reader.split(line.rest()))
      return fail_line("ENDSNAP", reader.problem());
    snapshot.end_info = reader.rest();
  }
  stage = Stage::End;
  return finish_zone() && zonelists_name_zones();
}

SnapshotParser::SnapshotParser() : state_(std::make_unique<State>()) {}
SnapshotParser::SnapshotParser(SnapshotParser&&) noexcept = default;
SnapshotParser& SnapshotParser::operator=(SnapshotParser&&) noexcept = default;
SnapshotParser::~SnapshotParser() = default;

Expected<bool> SnapshotParser::feed(std::string_view line) {
  if (state_->stage == Stage::Snap && !line.starts_with("SNAP "))
    return Error{.message = "no SNAP line where a snapshot should begin", .remedy = kForeign};
  if (state_->stage == Stage::End)
    return Error{.message = "a line behind ENDSNAP", .remedy = kForeign};
  if (!state_->line(line))
    return Error{.message = state_->message, .remedy = state_->remedy};
  return state_->stage == Stage::End;
}

Snapshot SnapshotParser::take() {
  return std::move(state_->snapshot);
}

}  // namespace mmbox::lab
