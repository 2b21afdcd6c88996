#include "mmbox/lab/views/counters.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "mmbox/lab/generations/generations.h"

namespace mmbox::lab {
namespace {

std::size_t count_names(std::string_view names) {
  std::size_t count = 0;
  for_each_name(names, [&](std::string_view, std::size_t) { ++count; });
  return count;
}

/// The names and values of one list, by position.
template <class Named>
void name_values(std::string_view names, const std::vector<std::int64_t>& values, Named& to) {
  for_each_name(names, [&](std::string_view name, std::size_t position) {
    if (position < values.size())
      to.insert_or_assign(std::string{name}, values[position]);
  });
}

template <class Map, class Key>
std::int64_t find(const Map& map, const Key& key, std::string_view name) {
  const auto named = map.find(key);
  if (named == map.end())
    return 0;
  const auto value = named->second.find(name);
  return value == named->second.end() ? 0 : value->second;
}

}  // namespace

Expected<const ProcFormat*> proc_format_of(const Snapshot& snapshot) {
  const GenerationChoice choice = generation_of_recording(snapshot.release());
  const ProcFormat* const format = proc_format(choice.generation->name);
  if (format == nullptr) {
    std::string known;
    for (const ProcFormat& other : proc_formats())
      known += fmt::format("{}{}", known.empty() ? "" : ", ", other.generation);
    return Error{.message = fmt::format("snapshot {} is of {}, whose /proc files are not known", snapshot.label,
                                        choice.generation->name),
                 .remedy = fmt::format("known are {}", known)};
  }
  const auto mismatch = [&](const std::string& where, std::size_t has, std::size_t prints) {
    return Error{.message = fmt::format("snapshot {}: {} has {} counters, {} prints {}", snapshot.label, where, has,
                                        format->generation, prints),
                 .remedy = "the kernel was built with other options than Debian's, so its counters have no names"};
  };
  const std::size_t zone_counters = count_names(format->zone_counters);
  const std::size_t node_counters = count_names(format->node_counters);
  for (const SnapshotZone& zone : snapshot.zones) {
    if (zone.vm_stat.size() != zone_counters)
      return mismatch(zone.name(), zone.vm_stat.size(), zone_counters);
  }
  for (const SnapshotNode& node : snapshot.nodes) {
    if (node.vm_stat.size() != node_counters)
      return mismatch(fmt::format("node {}", node.id.raw()), node.vm_stat.size(), node_counters);
  }
  return format;
}

RecordedCounters::RecordedCounters(const Snapshot& snapshot, const ProcFormat& format) {
  std::size_t zone_types = 5;
  if (const auto text = snapshot.value("max_nr_zones"))
    std::from_chars(text->data(), text->data() + text->size(), zone_types);
  for (const SnapshotNode& node : snapshot.nodes)
    name_values(format.node_counters, node.vm_stat, nodes_[node.id]);
  for (const SnapshotZone& zone : snapshot.zones) {
    const ZoneId id{zone.node.raw() * zone_types + zone.index.raw()};
    name_values(format.zone_counters, zone.vm_stat, zones_[id]);
  }
}

std::int64_t RecordedCounters::zone(ZoneId zone, std::string_view name) {
  return find(zones_, zone, name);
}

std::int64_t RecordedCounters::node(NodeId node, std::string_view name) {
  return find(nodes_, node, name);
}

std::int64_t RecordedCounters::machine(std::string_view name) {
  const auto value = machine_.find(name);
  return value == machine_.end() ? 0 : value->second;
}

}  // namespace mmbox::lab
