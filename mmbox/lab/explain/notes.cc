#include "mmbox/lab/explain/notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "mmbox/lab/explain/request.h"

namespace mmbox::lab::explain {

namespace {

/// The guess matters if another layout that fits gives the request another reserve somewhere.
bool zones_guess_matters(const Explanation& e) {
  const RequestFacts& request = *e.request;
  const auto reserve = [](const ZoneFacts& zone, std::size_t index) {
    return index < zone.lowmem_reserve.size() ? zone.lowmem_reserve[index] : 0;
  };
  for (const std::vector<ZoneType>& types : e.layout.also_fit) {
    const ZoneLayout other{types};
    const std::size_t index = other.index_of(highest_zone(request.gfp, other)).value_or(0);
    for (const ZoneFacts& zone : e.zones)
      if (zone.is_eligible && reserve(zone, index) != reserve(zone, request.highest_index))
        return true;
  }
  return false;
}

void hidden_memory_note(Explanation& e, const KernelFacts& kernel) {
  const auto& global = e.report.global_pages[GlobalField::Free];
  if (!global || !kernel.hides_higher_zones || !e.request)
    return;
  std::int64_t listed = 0;
  for (const ZoneFacts& zone : e.zones)
    listed += zone.free.value_or(0);
  constexpr std::int64_t kNoise = 4096;  // the two are read at different instants
  if (*global - listed > kNoise && *global > listed * 2)
    e.notes.push_back(
        fmt::format("{} of {} free pages are in zones or nodes that are not listed, because this "
                    "request may not use them",
                    *global - listed, *global));
}

void total_note(Explanation& e) {
  for (std::size_t i = 0; i < e.report.zones.size(); ++i) {
    const ZoneText& zone = e.report.zones[i];
    if (!zone.blocks_total_kb || zone.blocks_elided || zone.blocks.empty())
      continue;
    std::uint64_t sum = 0;
    for (const OrderBlocks& blocks : zone.blocks)
      sum += blocks.count * blocks.size_kb;
    if (sum != static_cast<std::uint64_t>(std::max<std::int64_t>(0, *zone.blocks_total_kb)))
      e.notes.push_back(fmt::format("the blocks of {} add up to {} kB, not the {} kB printed: the line is damaged",
                                    zone.name, sum, *zone.blocks_total_kb));
  }
}

void kdump_note(Explanation& e) {
  bool is_empty_dma = false;
  std::int64_t managed = 0;
  for (const ZoneFacts& zone : e.zones) {
    is_empty_dma = is_empty_dma || (zone.name == "DMA" && zone.managed == 0 && zone.min == 0);
    managed += zone.managed.value_or(0);
  }
  constexpr std::int64_t kSmallPages = 131072;  // 512 MiB
  if (is_empty_dma && managed > 0 && managed < kSmallPages) {
    e.notes.emplace_back("little memory and an empty DMA zone: this looks like a crash-dump (kdump) kernel");
    e.remedies.push_back({Certainty::Likely, "if this is the kdump kernel, a larger crashkernel=", {}, {}});
  }
}

}  // namespace

void add_notes(Explanation& e, const KernelFacts& kernel) {
  auto& notes = e.notes;
  for (const ZoneFacts& zone : e.zones)
    if (zone.boost_is_inferred)
      notes.push_back(
          fmt::format("min of {} is more than 4 x (low - min), so at least {} pages of it are a boost that "
                      "this kernel does not print",
                      zone.label(), zone.boost.value_or(0)));
  if (e.request) {
    const RequestFacts& request = *e.request;
    const bool loops = request.may_loop && request.order <= kCostlyOrder && !request.no_watermarks;
    if (e.kind == ReportKind::AllocationFailure && loops && request.may_oom_kill)
      notes.emplace_back(
          "a request like this loops or calls the OOM killer rather than fail: a dying task, or "
          "PF_MEMALLOC that the stack does not show, is likely");
    if (request.names_contradict_mask)
      notes.push_back(fmt::format(
          "the mask 0x{:x} and its names contradict each other in every known layout; the names are believed",
          request.raw_mask));
    if (request.no_watermarks)
      notes.push_back(fmt::format("{}: watermarks do not apply, only free blocks count",
                                  request.gfp.has(gfp::kMemalloc) ? "the mask has __GFP_MEMALLOC"
                                                                  : "the stack or the task's name shows PF_MEMALLOC"));
    for (const ZoneFacts& zone : e.zones)
      if (zone.is_eligible && zone.fitting_letters.size() > 1 &&
          zone.fitting_letters.find_first_of("CHI") != std::string::npos && zone.check == Check::Passes)
        notes.push_back(fmt::format("in {} blocks of the size are ({}): the letters do not say how many may be used",
                                    zone.label(), zone.fitting_letters));
  }
  hidden_memory_note(e, kernel);
  total_note(e);
  kdump_note(e);
  for (const std::string& note : e.report.notes)
    notes.push_back(note);
  if (e.request && zones_guess_matters(e))
    notes.emplace_back("several zone layouts fit this report; the usual one was taken");
}

}  // namespace mmbox::lab::explain
