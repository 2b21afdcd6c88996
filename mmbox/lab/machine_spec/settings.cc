#include "mmbox/lab/machine_spec/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>
#include <vector>

#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

/// The kernel keeps most settings in an int.
constexpr std::uint64_t kIntMax = 2147483647;
constexpr std::uint64_t kHighFractionMin = 8;

/// How a setting of one number is read from and written to the tunables; null for a list.
struct Access {
  std::uint64_t (*get)(const Tunables&);
  void (*set)(Tunables&, std::uint64_t);
};

template <auto kField>
constexpr Access field() {
  using Value = std::remove_cvref_t<decltype(std::declval<Tunables&>().*kField)>;
  return Access{[](const Tunables& t) { return std::uint64_t{t.*kField}; },
                [](Tunables& t, std::uint64_t value) { t.*kField = static_cast<Value>(value); }};
}

constexpr Access kList{nullptr, nullptr};
constexpr Access kMinFree{[](const Tunables& t) { return t.min_free_kbytes; },
                          [](Tunables& t, std::uint64_t value) {
                            t.min_free_kbytes = value;
                            t.user_min_free_kbytes = static_cast<std::int64_t>(value);
                          }};
// The two forms of the dirty limit exclude each other.
constexpr Access kDirtyBytes{[](const Tunables& t) { return t.dirty_bytes; },
                             [](Tunables& t, std::uint64_t value) {
                               t.dirty_bytes = value;
                               t.dirty_ratio = 0;
                             }};
constexpr Access kDirtyRatio{[](const Tunables& t) { return std::uint64_t{t.dirty_ratio}; },
                             [](Tunables& t, std::uint64_t value) {
                               t.dirty_ratio = static_cast<std::uint32_t>(value);
                               t.dirty_bytes = 0;
                             }};

struct Row {
  SettingInfo info;
  Access access;
};

constexpr std::array kRows{
    Row{{"vm.compact_unevictable_allowed", "switch", "1: compaction moves mlocked pages too", 0, 1, Recompute::Nothing},
        field<&Tunables::compact_unevictable_allowed>()},
    Row{{"vm.compaction_proactiveness", "0 to 100", "how eagerly kcompactd works without being asked", 0, 100,
         Recompute::Nothing},
        field<&Tunables::compaction_proactiveness>()},
    Row{{"vm.defrag_mode", "switch", "1: pageblocks of mixed use are avoided at almost any price (since 6.15)", 0, 1,
         Recompute::Nothing},
        field<&Tunables::defrag_mode>()},
    Row{{"vm.dirty_bytes", "bytes", "dirty page cache at which writers are held up; 0: vm.dirty_ratio counts", 0,
         (1ULL << 63) - 1, Recompute::Nothing},
        kDirtyBytes},
    Row{{"vm.dirty_ratio", "percent", "dirty page cache at which writers are held up, as a share of available memory",
         0, 100, Recompute::Nothing},
        kDirtyRatio},
    Row{{"vm.extfrag_threshold", "permille",
         "fragmentation index up to which a failed request is reclaimed for rather than compacted", 0, 1000,
         Recompute::Nothing},
        field<&Tunables::extfrag_threshold>()},
    Row{{"vm.lowmem_reserve_ratio", "1/ratio, for each zone",
         "what a zone keeps from requests that could go higher; 0: nothing", 0, kIntMax, Recompute::LowmemReserve},
        kList},
    Row{{"vm.min_free_kbytes", "kB", "memory kept for urgent requests: the MIN watermarks of all zones together", 0,
         kIntMax, Recompute::Watermarks},
        kMinFree},
    Row{{"vm.min_slab_ratio", "percent", "reclaimable slab below which node reclaim leaves slab alone", 0, 100,
         Recompute::NodeLimits},
        field<&Tunables::min_slab_ratio>()},
    Row{{"vm.min_unmapped_ratio", "percent", "unmapped page cache below which node reclaim leaves it alone", 0, 100,
         Recompute::NodeLimits},
        field<&Tunables::min_unmapped_ratio>()},
    Row{{"vm.percpu_pagelist_high_fraction", "1/fraction of a zone", "what the per-cpu lists may hold: 0 or at least 8",
         0, kIntMax, Recompute::PcpSizes},
        field<&Tunables::percpu_pagelist_high_fraction>()},
    Row{{"vm.swappiness", "0 to 200", "how dear evicting file pages is beside swapping; 100: as dear", 0, 200,
         Recompute::Nothing},
        field<&Tunables::swappiness>()},
    Row{{"vm.watermark_boost_factor", "1/10000 of HIGH", "how far fallbacks may raise the watermarks; 0: not at all", 0,
         kIntMax, Recompute::Nothing},
        field<&Tunables::watermark_boost_factor>()},
    Row{{"vm.watermark_scale_factor", "1/10000 of a zone", "least distance between the watermarks", 1, 3000,
         Recompute::Watermarks},
        field<&Tunables::watermark_scale_factor>()},
    Row{{"vm.zone_reclaim_mode", "bits", "reclaim the own node before trying the next: 1 on, 2 write, 4 unmap", 0,
         kIntMax, Recompute::Nothing},
        field<&Tunables::zone_reclaim_mode>()},
};

constexpr auto kInfos = [] {
  std::array<SettingInfo, kRows.size()> infos{};
  for (std::size_t i = 0; i < infos.size(); ++i)
    infos[i] = kRows[i].info;
  return infos;
}();

const Row* find(std::string_view name) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.info.name == name; });
  return row == kRows.end() ? nullptr : &*row;
}

Error unknown(std::string_view name) {
  std::vector<std::string_view> names;
  names.reserve(kInfos.size());
  for (const SettingInfo& info : kInfos)
    names.push_back(info.name);
  return Error{.message = fmt::format("there is no setting {}", in_quotes(name)), .remedy = suggestion(name, names)};
}

Expected<std::uint64_t> number_in_range(const SettingInfo& info, std::string_view text) {
  const std::optional<std::uint64_t> value = parse_number(text);
  if (value && *value >= info.min && *value <= info.max)
    return *value;
  return Error{.message = fmt::format("{} is no value for {}", in_quotes(text), info.name),
               .remedy = fmt::format("give a whole number from {} to {} ({})", info.min, info.max, info.unit)};
}

Expected<void> set_lowmem_reserve_ratio(Tunables& tunables, const SettingInfo& info, std::string_view text) {
  auto ratios = tunables.lowmem_reserve_ratio;
  std::size_t count = 0;
  text = trimmed(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    if (count == ratios.size()) {
      return Error{.message = fmt::format("{} takes at most {} numbers", info.name, ratios.size()),
                   .remedy = "give one number for each zone type, from DMA upwards"};
    }
    const Expected<std::uint64_t> ratio = number_in_range(info, text.substr(0, end));
    if (!ratio)
      return ratio.error();
    ratios[count++] = static_cast<std::int64_t>(*ratio);
    text = trimmed(text.substr(end));
  }
  if (count == 0) {
    return Error{.message = fmt::format("{} has no value", info.name),
                 .remedy = "give one number for each zone type, from DMA upwards"};
  }
  tunables.lowmem_reserve_ratio = ratios;
  return {};
}

}  // namespace

std::span<const SettingInfo> settings() {
  return kInfos;
}

Expected<void> set(Tunables& tunables, std::string_view name, std::string_view value) {
  const Row* row = find(name);
  if (row == nullptr)
    return unknown(name);
  if (row->access.set == nullptr)
    return set_lowmem_reserve_ratio(tunables, row->info, value);
  const Expected<std::uint64_t> number = number_in_range(row->info, value);
  if (!number)
    return number.error();
  const bool is_high_fraction = row->access.set == field<&Tunables::percpu_pagelist_high_fraction>().set;
  if (is_high_fraction && *number != 0 && *number < kHighFractionMin) {
    return Error{.message = fmt::format("{} is too small a value for {}", *number, name),
                 .remedy = fmt::format("give 0 or at least {}", kHighFractionMin)};
  }
  if (row->access.set == kDirtyBytes.set && *number != 0 && *number < 2 * kPageSize) {
    return Error{.message = fmt::format("{} is too small a value for {}", *number, name),
                 .remedy = fmt::format("give 0 or at least two pages, {}", 2 * kPageSize)};
  }
  row->access.set(tunables, *number);
  return {};
}

Expected<std::string> get(const Tunables& tunables, std::string_view name, std::size_t zone_types) {
  const Row* row = find(name);
  if (row == nullptr)
    return unknown(name);
  if (row->access.get != nullptr)
    return fmt::format("{}", row->access.get(tunables));
  const std::span all{tunables.lowmem_reserve_ratio};
  return fmt::format("{}", fmt::join(all.first(std::min(zone_types, all.size())), "\t"));
}

}  // namespace mmbox::lab
