#include "mmbox/lab/image/boot.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <new>
#include <optional>
#include <utility>

namespace mmbox::lab {
namespace {

/// The frames of a zone that are memory, and which zone that is.
struct ZonePart {
  PfnRange range;
  std::size_t zone;
};

std::vector<ZonePart> memory_by_zone(const MachineSpec& spec) {
  std::vector<ZonePart> parts;
  for (const MemoryRange& memory : spec.memory) {
    for (std::size_t i = 0; i < spec.zones.size(); ++i) {
      const ZoneConfig& zone = spec.zones[i];
      if (zone.node != memory.node || zone.present == PageCount{})
        continue;
      const PfnRange part{std::max(memory.range.begin, zone.start),
                          std::min(memory.range.end, zone.start + zone.spanned)};
      if (part.begin < part.end)
        parts.push_back({part, i});
    }
  }
  return parts;
}

/// A pageblock has one migratetype and lies on the lists of one zone.
std::optional<Error> shared_pageblock(const MachineSpec& spec) {
  std::map<std::uint64_t, std::size_t> zone_of;  // of the pageblocks in which a part begins or ends
  for (const ZonePart& part : memory_by_zone(spec)) {
    for (const std::uint64_t pfn : {part.range.begin.raw(), part.range.end.raw() - 1}) {
      const auto [at, is_new] = zone_of.try_emplace(pfn >> kPageblockOrder, part.zone);
      if (!is_new && at->second != part.zone)
        return Error{.message = fmt::format("two zones share the pageblock at {:#x}",
                                            (pfn >> kPageblockOrder << kPageblockOrder) * kPageSize),
                     .remedy = "let the memory of each node begin and end at a multiple of 2 MiB"};
    }
  }
  return std::nullopt;
}

std::optional<Error> too_large(const MachineSpec& spec) {
  std::optional<Pfn> begin;
  Pfn end;
  for (const ZoneConfig& zone : spec.zones) {
    if (zone.spanned == PageCount{})
      continue;
    begin = std::min(begin.value_or(zone.start), zone.start);
    end = std::max(end, zone.start + zone.spanned);
  }
  // Frames are covered in whole blocks of the largest order, and the last index stands for "none".
  constexpr std::uint64_t kRoom = (std::uint64_t{1} << 32) - (std::uint64_t{2} << kMaxPageOrder);
  if (!begin)
    return Error{.message = "the machine has no memory", .remedy = "give a node some, as in \"64G\""};
  if ((end - *begin).raw() > kRoom)
    return Error{
        .message = fmt::format("the machine spans {} frames, the engine numbers {}", (end - *begin).raw(), kRoom),
        .remedy = "describe a machine whose addresses span less than 16 TiB"};
  return std::nullopt;
}

}  // namespace

Expected<Image> boot_machine(const MachineSpec& spec) {
  for (const auto& refusal : {too_large(spec), shared_pageblock(spec)}) {
    if (refusal)
      return *refusal;
  }
  // Settings are files that are written when the machine runs: it boots with the defaults.
  MachineConfig config = spec.config();
  config.tunables = Tunables{};
  config.tunables.node_reclaim_distance = spec.tunables.node_reclaim_distance;
  for (std::size_t i = 0; i < spec.zone_types.size(); ++i)
    config.tunables.lowmem_reserve_ratio[i] = default_lowmem_reserve_ratio(spec.zone_types[i]);
  std::optional<Image> image;
  try {
    image.emplace(config);
  } catch (const std::bad_alloc&) {
    return Error{.message = fmt::format("no room for the machine's records: {} MiB of address space",
                                        Machine::storage_size(config) >> 20),
                 .remedy = "raise the limit on address space (ulimit -v), or describe a smaller machine"};
  }
  Machine& machine = image->machine();
  for (const MemoryRange& range : spec.free_ranges())
    machine.release_boot_memory(range.range);
  machine.finish_boot();
  machine.start_khugepaged();
  Tunables settings = spec.tunables;
  if (settings.min_free_kbytes == 0) {
    settings.min_free_kbytes = machine.tunables().min_free_kbytes;
    settings.user_min_free_kbytes = machine.tunables().user_min_free_kbytes;
  }
  machine.set_tunables(settings);
  return std::move(*image);
}

}  // namespace mmbox::lab
