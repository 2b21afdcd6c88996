// The TOML form of a machine. Every refusal names file, line, column and key.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/lab/machine_spec/plan.h"
#include "mmbox/lab/machine_spec/settings.h"
#include "mmbox/lab/machine_spec/toml_form.h"
#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

constexpr std::array kZoneTypes{ZoneType::Dma,     ZoneType::Dma32,   ZoneType::Normal,
                                ZoneType::HighMem, ZoneType::Movable, ZoneType::Device};
/// Ranges that the nodes, or the reserved list, may have.
constexpr std::size_t kMaxRanges = 4096;

/// Reads one file into a plan; stops at the first error.
class TomlReader : private TomlForm {
 public:
  explicit TomlReader(std::string_view file) : TomlForm(file) { plan_.file = file; }

  Expected<MachinePlan> read(const toml::table& root) {
    if (!read_root(root))
      return take_error();
    return std::move(plan_);
  }

 private:
  bool pages_of(const toml::table& table, std::string_view name, std::string_view key, PageCount& pages) {
    std::uint64_t bytes = pages.raw() * kPageSize;
    if (!read_size(table, name, key, bytes))
      return false;
    pages = PageCount{bytes / kPageSize};
    return true;
  }

  bool range_of(const toml::node& node, std::string key, PfnRange& out) {
    const toml::value<std::string>* text = node.as_string();
    const std::optional<PfnRange> range = text == nullptr ? std::nullopt : parse_address_range(text->get());
    if (!range) {
      return fail(node, std::move(key), "this is not a range of addresses",
                  "give its begin and its end, in whole pages, \"1M-3G\" or \"0x1000-0x9f000\"");
    }
    out = *range;
    return true;
  }

  bool read_root(const toml::table& root) {
    if (!check_keys(root, "the file", {"machine", "node", "reserved", "settings"}))
      return false;
    if (const toml::node* machine = root.get("machine"); machine != nullptr) {
      if (!machine->is_table())
        return fail(*machine, "machine", "this is not a table", "write [machine], and its keys below");
      if (!read_machine(*machine->as_table()))
        return false;
    }
    plan_.tunables = default_tunables(plan_.zone_types);
    plan_.tunables.node_reclaim_distance = node_reclaim_distance_;
    if (const toml::node* settings = root.get("settings"); settings != nullptr) {
      if (!settings->is_table())
        return fail(*settings, "settings", "this is not a table", "write [settings], and the settings below");
      if (!read_settings(*settings->as_table()))
        return false;
    }
    return read_tables(root, "node", &TomlReader::read_node) &&
           read_tables(root, "reserved", &TomlReader::read_reserved);
  }

  bool read_tables(const toml::table& root, std::string_view key, bool (TomlReader::*read_one)(const toml::table&)) {
    const toml::node* list = root.get(key);
    if (list == nullptr)
      return true;
    if (!list->is_array())
      return fail(*list, std::string{key}, "this is not a list of tables",
                  fmt::format("write [[{}]] before each", key));
    for (const toml::node& one : *list->as_array()) {
      if (!one.is_table())
        return fail(one, std::string{key}, "this is not a table", fmt::format("write [[{}]] before each", key));
      if (!(this->*read_one)(*one.as_table()))
        return false;
    }
    return true;
  }

  bool read_machine(const toml::table& table) {
    constexpr std::string_view kName = "[machine]";
    if (!check_keys(table, kName,
                    {"zones", "generation", "cma", "thp", "reserve", "hole", "max_low", "kernelcore", "movablecore",
                     "movable_node", "node_reclaim_distance", "distances"}))
      return false;
    std::int64_t distance = node_reclaim_distance_;
    if (!read_zones(table) || !read_generation(table) || !read_bool(table, kName, "cma", plan_.has_cma) ||
        !read_bool(table, kName, "thp", plan_.has_thp) || !read_reserve(table) || !read_hole(table) ||
        !read_max_low(table) || !pages_of(table, kName, "kernelcore", plan_.movable.kernelcore) ||
        !pages_of(table, kName, "movablecore", plan_.movable.movablecore) ||
        !read_bool(table, kName, "movable_node", plan_.movable.movable_node) ||
        !read_integer(table, kName, "node_reclaim_distance", 0, 255, distance))
      return false;
    node_reclaim_distance_ = static_cast<std::uint32_t>(distance);
    return read_distances(table);
  }

  bool read_zones(const toml::table& table) {
    const toml::node* node = table.get("zones");
    if (node == nullptr)
      return true;
    const std::string key = "[machine] zones";
    constexpr std::string_view kRemedy = "list them from low to high, [\"DMA\", \"DMA32\", \"Normal\", \"Movable\"]";
    if (!node->is_array())
      return fail(*node, key, "this is not a list of zone types", kRemedy);
    std::vector<ZoneType> types;
    for (const toml::node& one : *node->as_array()) {
      const std::string text = one.value_or(std::string{});
      const auto type =
          std::find_if(kZoneTypes.begin(), kZoneTypes.end(), [&](ZoneType t) { return text == zone_type_name(t); });
      if (type == kZoneTypes.end()) {
        return fail(one, key, fmt::format("there is no zone type {}", in_quotes(text)),
                    suggestion(text, {"DMA", "DMA32", "Normal", "HighMem", "Movable", "Device"}));
      }
      if (!types.empty() && *type <= types.back())
        return fail(one, key, fmt::format("{} must not follow {}", text, zone_type_name(types.back())), kRemedy);
      types.push_back(*type);
    }
    for (const ZoneType needed : {ZoneType::Normal, ZoneType::Movable}) {
      if (std::find(types.begin(), types.end(), needed) == types.end()) {
        return fail(*node, key, fmt::format("{} is missing", zone_type_name(needed)),
                    "every kernel has Normal and Movable");
      }
    }
    plan_.zone_types = types;
    return true;
  }

  bool read_generation(const toml::table& table) {
    const toml::node* node = table.get("generation");
    if (node == nullptr)
      return true;
    const std::string name = node->value_or(std::string{});
    std::vector<std::string_view> names;
    for (const Generation* generation : generations()) {
      if (name == generation->name) {
        plan_.generation = *generation;
        return true;
      }
      names.push_back(generation->name);
    }
    return fail(*node, "[machine] generation", fmt::format("there is no generation {}", in_quotes(name)),
                fmt::format("known are {}", fmt::join(names, ", ")));
  }

  bool read_reserve(const toml::table& table) {
    const toml::node* node = table.get("reserve");
    if (node == nullptr)
      return true;
    const std::string word = node->value_or(std::string{});
    if (word != "typical" && word != "none") {
      return fail(*node, "[machine] reserve", "this is neither \"typical\" nor \"none\"",
                  "give \"typical\" for what a kernel takes at boot, or \"none\" and list it under [[reserved]]");
    }
    plan_.has_typical_reserve = word == "typical";
    return true;
  }

  bool read_hole(const toml::table& table) {
    const toml::node* node = table.get("hole");
    if (node == nullptr)
      return true;
    if (node->value_or(std::string{}) == "none") {
      plan_.hole = PfnRange{};
      return true;
    }
    return range_of(*node, "[machine] hole", plan_.hole);
  }

  bool read_max_low(const toml::table& table) {
    const toml::node* node = table.get("max_low");
    if (node == nullptr)
      return true;
    const auto& types = plan_.zone_types;
    std::uint64_t bytes = 0;
    if (!size_of(*node, "[machine] max_low", bytes))
      return false;
    if (std::find(types.begin(), types.end(), ZoneType::HighMem) == types.end()) {
      return fail(*node, "[machine] max_low", "all memory is low without a HighMem zone",
                  "add \"HighMem\" to zones, or leave max_low out");
    }
    if (bytes == 0)
      return fail(*node, "[machine] max_low", "some memory must be low", "give the end of low memory, \"896M\"");
    plan_.max_low = Pfn{bytes / kPageSize};
    return true;
  }

  bool read_distances(const toml::table& table) {
    const toml::node* node = table.get("distances");
    if (node == nullptr)
      return true;
    plan_.distances_place = place(node->source(), "[machine] distances");
    constexpr std::string_view kRemedy =
        "give one row for each node, [[10, 20], [20, 10]], with numbers from 10 to 254";
    if (!node->is_array())
      return fail(plan_.distances_place, "these are not distances", kRemedy);
    const toml::array& rows = *node->as_array();
    for (const toml::node& row : rows) {
      if (!row.is_array() || row.as_array()->size() != rows.size())
        return fail(row, plan_.distances_place.key, "this is not a row of as many numbers as there are rows", kRemedy);
      for (const toml::node& one : *row.as_array()) {
        const std::int64_t distance = one.is_integer() ? one.value_or(std::int64_t{0}) : 0;
        if (distance < kLocalDistance || distance > 254)
          return fail(one, plan_.distances_place.key, "this is not a distance", kRemedy);
        plan_.distances.push_back(static_cast<std::uint8_t>(distance));
      }
    }
    if (plan_.distances.empty())
      return fail(plan_.distances_place, "there are no distances", kRemedy);
    return true;
  }

  bool read_node(const toml::table& table) {
    constexpr std::string_view kName = "[[node]]";
    NodePlan node;
    node.place = place(table.source(), std::string{kName});
    if (!check_keys(table, kName, {"memory", "cpus", "hotpluggable"}) ||
        !read_bool(table, kName, "hotpluggable", node.is_hotpluggable) || !read_memory(table, node) ||
        !read_cpus(table, node))
      return false;
    plan_.nodes.push_back(std::move(node));
    return true;
  }

  bool read_memory(const toml::table& table, NodePlan& node) {
    const toml::node* memory = table.get("memory");
    if (memory == nullptr)
      return true;
    const std::string key = "[[node]] memory";
    node.place = place(memory->source(), key);
    if (!memory->is_array())
      return size_of(*memory, key, node.bytes);
    for (const toml::node& one : *memory->as_array()) {
      PfnRange range{};
      if (!range_of(one, key, range))
        return false;
      if (++ranges_ > kMaxRanges)
        return fail(one, key, "too many ranges", fmt::format("a machine may have {}", kMaxRanges));
      node.ranges.push_back(range);
    }
    return true;
  }

  bool read_cpus(const toml::table& table, NodePlan& node) {
    const toml::node* cpus = table.get("cpus");
    const std::string key = "[[node]] cpus";
    std::uint64_t count = 1;
    if (cpus != nullptr && cpus->is_string()) {
      const auto list = parse_cpu_list(cpus->as_string()->get(), kMaxCpus);
      if (!list) {
        return fail(*cpus, key, "this is not a list of CPUs",
                    fmt::format("give ascending ids below {}, \"0-7,16-23\", or how many there are, 8", kMaxCpus));
      }
      node.cpus = *list;
      if (!list->empty())
        next_cpu_ = std::max(next_cpu_, list->back() + 1);
      return true;
    }
    if (cpus != nullptr) {
      const std::int64_t number = cpus->is_integer() ? cpus->value_or(std::int64_t{-1}) : -1;
      if (number < 0 || number > static_cast<std::int64_t>(kMaxCpus)) {
        return fail(*cpus, key, "this is not a number of CPUs",
                    fmt::format("give a number up to {}, or a list of ids, \"0-7,16-23\"", kMaxCpus));
      }
      count = static_cast<std::uint64_t>(number);
    }
    for (std::uint64_t i = 0; i < count; ++i)
      node.cpus.push_back(next_cpu_++);
    return true;
  }

  bool read_reserved(const toml::table& table) {
    const std::string name = "[[reserved]]";
    if (!check_keys(table, name, {"range", "what"}))
      return false;
    const toml::node* range = table.get("range");
    if (range == nullptr)
      return fail(table, name, "the range is missing", "give range = \"16M-40M\"");
    ReservedPlan reserved;
    reserved.place = place(range->source(), name + " range");
    if (!range_of(*range, reserved.place.key, reserved.reserved.range))
      return false;
    if (const toml::node* what = table.get("what"); what != nullptr) {
      if (!what->is_string())
        return fail(*what, name + " what", "this is not a text", "say what takes the memory, \"kernel image\"");
      reserved.reserved.what = what->as_string()->get();
    }
    if (plan_.reserved.size() == kMaxRanges)
      return fail(*range, name, "too many reserved ranges", fmt::format("a machine may have {}", kMaxRanges));
    plan_.reserved.push_back(std::move(reserved));
    return true;
  }

  bool read_settings(const toml::table& table) {
    const auto settings = settings_of(table);
    if (!settings)
      return false;
    for (const WrittenSetting& setting : *settings)
      if (const Expected<void> result = set(plan_.tunables, setting.name, setting.value); !result)
        return fail(setting.at, result.error().message, result.error().remedy);
    return true;
  }

  MachinePlan plan_;
  std::uint32_t node_reclaim_distance_ = Tunables{}.node_reclaim_distance;
  std::uint64_t next_cpu_ = 0;
  std::size_t ranges_ = 0;
};

}  // namespace

Expected<MachineSpec> read_machine_toml(std::string_view text, std::string_view file) {
  if (text.size() > kMaxMachineText) {
    return error_at(file, {}, "a machine file of more than 1 MiB is none", "give the description of a machine");
  }
  const Expected<toml::table> root =
      parse_toml(text, file, "write valid TOML; examples/machines has some to start from");
  if (!root)
    return root.error();
  const Expected<MachinePlan> plan = TomlReader{file}.read(*root);
  if (!plan)
    return plan.error();
  return build(*plan);
}

}  // namespace mmbox::lab
