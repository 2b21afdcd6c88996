#include "mmbox/lab/replay/free_side.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "mmbox/lab/image/adapt.h"

namespace mmbox::lab {
namespace {

std::string name_of(std::optional<Pfn> pfn) {
  return pfn ? fmt::format("0x{:x}", pfn->raw()) : "failure";
}

}  // namespace

FreeSide::FreeSide(Image image, const Generation& generation)
    : image_(std::move(image)), counter_(outcome_), story_(machine()) {
  outcome_.generation = generation.name;
  change_generation(machine(), generation);
  rule_ = generation.reserve.atomic_rule;
  has_bulk_ = generation.walk.bulk_api != BulkApi::Absent;
}

Gfp FreeSide::as_meant(Gfp gfp) const {
  const bool atomic = gfp.has(gfp::kHigh) && gfp.has(gfp::kKswapdReclaim) && !gfp.has(gfp::kDirectReclaim);
  return atomic && rule_ == AtomicRule::GfpAtomic ? gfp | gfp::kAtomic : gfp;
}

void FreeSide::begin_telling(bool tells) {
  story_.clear();
  if (tells)
    machine().attach(&story_);
  else
    machine().attach(&counter_);
}

void FreeSide::end_telling(bool tells) {
  machine().attach(nullptr);
  if (!tells)
    return;
  // The story stood where the counter stands otherwise: its lines say the same.
  for (const std::string& line : story_.lines()) {
    if (line.find(" fallback: ") == std::string::npos)
      continue;
    ++outcome_.fallbacks;
    outcome_.claims += line.ends_with("ownership changed") ? 1U : 0U;
  }
}

std::vector<Pfn> FreeSide::ask_bulk(const Request& request, std::size_t wanted) {
  std::vector<Pfn> pages(wanted, kNoPfn);
  std::size_t got = 0;
  machine().attach(&counter_);
  if (has_bulk_) {
    got = machine().alloc_bulk(request, pages);
  } else {
    for (; got < wanted; ++got) {
      const AllocResult result = machine().alloc(request);
      if (!result)
        break;
      pages[got] = *result;
    }
  }
  machine().attach(nullptr);
  pages.resize(got);
  outcome_.requests += wanted;
  if (got == 0)
    ++outcome_.refusals;
  return pages;
}

void FreeSide::sample(std::span<const std::pair<Pfn, Migratetype>> held) {
  const MemMap& map = machine().view().env.map;
  std::set<FrameIndex> mixed;
  for (const auto& [pfn, type] : held)
    if (map.pageblock(map.index(pfn)).type != type)
      mixed.insert(map.index(pfn) >> kPageblockOrder);
  outcome_.mixed_pageblocks = mixed.size();
  outcome_.mixed_pageblocks_most = std::max(outcome_.mixed_pageblocks_most, outcome_.mixed_pageblocks);
}

void FreeSide::finish(std::span<const std::pair<Pfn, Migratetype>> held) {
  const MachineView& view = machine().view();
  for (const ZoneState& zone : view.zones) {
    outcome_.highatomic_pages += static_cast<std::uint64_t>(zone.nr_reserved_highatomic);
    for (unsigned order = 0; order < kOrders; ++order)
      for (unsigned type = 0; type < kMigratetypes; ++type) {
        outcome_.free_blocks[order][type] += zone.lists[order][type].blocks;
        outcome_.free_pages += std::uint64_t{zone.lists[order][type].blocks} << order;
      }
    for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu)
      outcome_.pcp_pages += static_cast<std::uint64_t>(view.pageset(zone.id, CpuId{cpu}).count);
  }
  const MemMap& map = view.env.map;
  for (FrameIndex i = 0; i < map.frames(); i += static_cast<FrameIndex>(kPageblockPages))
    if (map.pageblock(i).zone != kNoZone)
      ++outcome_.pageblocks[raw(map.pageblock(i).type)];
  sample(held);
}

void FreeComparison::part(std::optional<Pfn> left, std::optional<Pfn> right, std::string where, std::string request) {
  Divergence difference{.where = std::move(where),
                        .request = std::move(request),
                        .expected = name_of(left),
                        .actual = name_of(right),
                        .context = {}};
  for (FreeSide* side : {&left_, &right_}) {
    difference.context.push_back(fmt::format("{}:", side->outcome().generation));
    for (const std::string& line : side->story())
      difference.context.push_back("  " + line);
  }
  report_.first_difference = std::move(difference);
}

}  // namespace mmbox::lab
