#include "mmbox/lab/machine_spec/machine_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <ios>
#include <span>

#include "mmbox/lab/machine_spec/plan.h"
#include "mmbox/lab/machine_spec/settings.h"
#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

/// A basic TOML string.
std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (result += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    else
      result += c;
  }
  return result += '"';
}

std::string settings_toml(const Tunables& tunables, std::span<const ZoneType> zone_types) {
  const Tunables defaults = default_tunables(zone_types);
  std::string lines;
  for (const SettingInfo& info : settings()) {
    // Written after dirty_bytes, a dirty_ratio would undo it.
    if (info.name == "vm.dirty_ratio" && tunables.dirty_bytes != 0)
      continue;
    std::string value = *get(tunables, info.name, zone_types.size());
    const bool is_written = info.name == "vm.min_free_kbytes" && tunables.user_min_free_kbytes >= 0;
    if (value == *get(defaults, info.name, zone_types.size()) && !is_written)
      continue;
    for (std::size_t tab = value.find('\t'); tab != std::string::npos; tab = value.find('\t', tab))
      value.replace(tab, 1, ", ");
    const bool is_list = info.name == "vm.lowmem_reserve_ratio";
    lines += fmt::format("{} = {}{}{}\n", toml_string(info.name), is_list ? "[" : "", value, is_list ? "]" : "");
  }
  return lines.empty() ? lines : "\n[settings]\n" + lines;
}

}  // namespace

MachineConfig MachineSpec::config() const {
  MachineConfig config;
  config.generation = generation;
  config.zone_types = zone_types;
  config.nodes = nodes;
  config.distances = distances;
  config.cpus = cpus;
  config.zones = zones;
  config.memory = memory;
  config.has_cma = has_cma;
  config.has_thp = has_thp;
  config.tunables = tunables;
  return config;
}

std::vector<MemoryRange> MachineSpec::free_ranges() const {
  std::vector<PfnRange> taken;
  for (const ReservedRange& r : reserved)
    taken.push_back(r.range);
  std::vector<MemoryRange> ranges;
  for_each_free_range(memory, taken, [&](const MemoryRange& range) { ranges.push_back(range); });
  return ranges;
}

std::string MachineSpec::toml() const {
  std::vector<std::string> names;
  for (const ZoneType type : zone_types)
    names.push_back(toml_string(zone_type_name(type)));
  std::string text = fmt::format("[machine]\nzones = [{}]\ngeneration = {}\ncma = {}\nthp = {}\nreserve = \"none\"\n",
                                 fmt::join(names, ", "), toml_string(generation.name), has_cma, has_thp);
  if (std::count(zone_types.begin(), zone_types.end(), ZoneType::HighMem) != 0)
    text += fmt::format("max_low = \"{}\"\n", size_text(max_low.raw() * kPageSize));
  if (movable.kernelcore != PageCount{})
    text += fmt::format("kernelcore = \"{}\"\n", size_text(movable.kernelcore.raw() * kPageSize));
  if (movable.movablecore != PageCount{})
    text += fmt::format("movablecore = \"{}\"\n", size_text(movable.movablecore.raw() * kPageSize));
  if (movable.movable_node)
    text += "movable_node = true\n";
  text += fmt::format("node_reclaim_distance = {}\n", tunables.node_reclaim_distance);
  text += "distances = [\n";
  for (std::size_t n = 0; n < nodes; ++n)
    text += fmt::format("  [{}],\n", fmt::join(std::span{distances}.subspan(n * nodes, nodes), ", "));
  text += "]\n";
  for (std::size_t n = 0; n < nodes; ++n) {
    std::vector<std::string> ranges;
    bool is_hotpluggable = false;
    for (const MemoryRange& m : memory) {
      if (m.node != NodeId{n})
        continue;
      ranges.push_back(toml_string(address_range_text(m.range)));
      is_hotpluggable = m.is_hotpluggable;
    }
    std::vector<std::uint64_t> own_cpus;
    for (std::size_t cpu = 0; cpu < cpus.size(); ++cpu) {
      if (cpus[cpu] == NodeId{n})
        own_cpus.push_back(cpu);
    }
    text += fmt::format("\n[[node]]\nmemory = [{}]\ncpus = \"{}\"\n", fmt::join(ranges, ", "), cpu_list_text(own_cpus));
    if (is_hotpluggable)
      text += "hotpluggable = true\n";
  }
  for (const ReservedRange& r : reserved) {
    text +=
        fmt::format("\n[[reserved]]\nrange = \"{}\"\nwhat = {}\n", address_range_text(r.range), toml_string(r.what));
  }
  return text + settings_toml(tunables, zone_types);
}

Expected<MachineSpec> load_machine(std::string_view path_or_words) {
  if (!path_or_words.ends_with(".toml"))
    return read_machine_words(path_or_words);
  const std::string path{path_or_words};
  std::ifstream file{path, std::ios::binary};
  if (!file) {
    return Error{.file = path,
                 .message = "the machine file cannot be opened",
                 .remedy = "give the path of a readable TOML file, or words like \"2 nodes of 64G, 16 cpus\""};
  }
  // One byte more than is allowed, so that the reader can refuse it.
  std::string text(kMaxMachineText + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad() || (text.empty() && !file.eof())) {
    return Error{.file = path, .message = "the machine file cannot be read", .remedy = "check that it is a plain file"};
  }
  return read_machine_toml(text, path);
}

}  // namespace mmbox::lab
