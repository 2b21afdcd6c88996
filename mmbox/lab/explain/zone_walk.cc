#include "mmbox/lab/explain/zone_walk.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "mmbox/mmbox.h"

namespace mmbox::lab::explain {
namespace {

/// Which letters a request may be given blocks of, in a list of letters.
struct Letters {
  bool usable = false;
  bool cma = false;
  bool highatomic = false;
  bool isolated = false;
};

Letters judge_letters(std::string_view letters, const RequestFacts& request, const KernelFacts& kernel,
                      AllocFlags flags, WhatIf what_if) {
  const WatermarkRule rule = kernel.watermark.rule;
  const Order order{request.order};
  Letters result{};
  for (const char letter : letters) {
    switch (letter) {
      case 'C':
        if (flags.has(alloc_flag::kCma) || what_if.with_cma)
          result.usable = true;
        else
          result.cma = true;
        break;
      case 'H':
        // Counted in the test and given at last are two questions; a block must pass both. Harder's test counts any.
        if (may_take_highatomic(rule, order, flags) &&
            (order.raw() == 0 || may_use_blocks_of(rule, Migratetype::HighAtomic, flags)))
          result.usable = true;
        else
          result.highatomic = true;
        break;
      case 'I': result.isolated = true; break;
      default: result.usable = true; break;  // U, M, E by falling back; R of old kernels as a last resort
    }
  }
  return result;
}

/// The printed free-area line as the core functions see it.
class PrintedBlocks {
 public:
  PrintedBlocks(const ZoneFacts& zone, bool has_letters) : zone_(&zone), has_letters_(has_letters) {}
  [[nodiscard]] std::uint64_t free_blocks(unsigned order) const {
    return order < zone_->blocks.size() ? zone_->blocks[order].count : 0;
  }
  [[nodiscard]] bool has_block(unsigned order, Migratetype type) const {
    if (free_blocks(order) == 0)
      return false;
    const std::string& letters = zone_->blocks[order].letters;
    if (!has_letters_ || letters.empty())
      return type == Migratetype::Unmovable;  // a block of some type: the best guess is a usable one
    constexpr std::string_view kLetters = "UMEHCI";
    return letters.find(kLetters[raw(type)]) != std::string::npos;
  }
  [[nodiscard]] unsigned max_order() const {
    return zone_->blocks.empty() ? 0 : static_cast<unsigned>(zone_->blocks.size() - 1);
  }

 private:
  const ZoneFacts* zone_;
  bool has_letters_;
};

/// Kernels 5.0 to 5.15 boost the marks without saying so. Without a boost min is at most 4 × (low - min) + 3, since
/// that distance is at least a quarter of it; what is above is boost.
/// Source: __setup_per_zone_wmarks(), mm/page_alloc.c; 05a section 4.
void infer_boost(ZoneFacts& zone, const KernelFacts& kernel) {
  constexpr std::uint32_t kFirstBoost = 5000;
  if (zone.boost || kernel.version < kFirstBoost || !zone.min || !zone.low)
    return;
  const std::int64_t most = 4 * (*zone.low - *zone.min) + 3;
  if (*zone.min > most && *zone.low > *zone.min) {
    zone.boost = *zone.min - most;
    zone.boost_is_inferred = true;
  }
}

std::string letters_from_order(const ZoneFacts& zone, unsigned order) {
  std::string result;
  for (std::size_t o = order; o < zone.blocks.size(); ++o)
    if (zone.blocks[o].count > 0)
      for (const char letter : zone.blocks[o].letters)
        if (result.find(letter) == std::string::npos)
          result += letter;
  return result;
}

bool has_blocks_from_order(const ZoneFacts& zone, unsigned order) {
  for (std::size_t o = order; o < zone.blocks.size(); ++o)
    if (zone.blocks[o].count > 0)
      return true;
  return false;
}

/// Is there a block to take? Passes, or why not.
Check judge_blocks(const ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel, AllocFlags flags,
                   WhatIf what_if) {
  if (zone.blocks.empty())
    return request.order == 0 ? Check::Passes : Check::CannotTell;
  if (!has_blocks_from_order(zone, request.order)) {
    if (zone.blocks_elided)
      return request.order == 0 ? Check::Passes : Check::CannotTell;
    return request.order == 0 ? Check::Exhausted : Check::Fragmented;
  }
  const std::string letters = letters_from_order(zone, request.order);
  if (letters.empty())
    return Check::Passes;
  const Letters judged = judge_letters(letters, request, kernel, flags, what_if);
  if (judged.usable)
    return Check::Passes;
  if (judged.cma)
    return Check::OnlyCma;
  if (judged.highatomic)
    return Check::OnlyHighAtomic;
  return Check::OnlyIsolated;
}

/// Bounds of the free pages on HighAtomic lists, from the letters: "(H)" alone counts all blocks of that order,
/// "(UH)" at least one, and leaves at least one for each other letter.
void bound_highatomic(ZoneFacts& zone) {
  std::int64_t least = 0;
  std::int64_t most = 0;
  for (std::size_t o = 0; o < zone.blocks.size(); ++o) {
    const OrderBlocks& blocks = zone.blocks[o];
    if (blocks.letters.find('H') == std::string::npos)
      continue;
    const auto count = static_cast<std::int64_t>(blocks.count);
    const auto others = static_cast<std::int64_t>(blocks.letters.size()) - 1;
    least += (others == 0 ? count : 1) << o;
    most += std::max<std::int64_t>(count - others, 1) << o;
  }
  zone.highatomic_least = least;
  zone.highatomic_most = most;
}

void set_highatomic(ZoneFacts& zone, const KernelFacts& kernel) {
  switch (kernel.highatomic) {
    case HighAtomicPrint::None: zone.highatomic_least = zone.highatomic_most = 0; return;
    case HighAtomicPrint::Free: zone.highatomic_least = zone.highatomic_most = zone.free_highatomic.value_or(0); return;
    case HighAtomicPrint::Reserved:
      zone.highatomic_least = zone.highatomic_most = zone.reserved_highatomic.value_or(0);
      return;
    case HighAtomicPrint::Bounded:
      bound_highatomic(zone);
      if (zone.reserved_highatomic) {
        zone.highatomic_most = std::min(zone.highatomic_most, *zone.reserved_highatomic);
        zone.highatomic_least = std::min(zone.highatomic_least, zone.highatomic_most);
      }
      break;
    case HighAtomicPrint::Hidden: {
      bound_highatomic(zone);
      const bool has_reserve = zone.highatomic_most > 0;
      // One pageblock at least is reserved if a free high-atomic block is seen; the limit is 1 % and one block.
      const std::int64_t pageblock =
          std::int64_t{1} << std::min<std::size_t>(kPageblockOrder, zone.blocks.empty() ? 0 : zone.blocks.size() - 1);
      zone.highatomic_least = has_reserve ? pageblock : 0;
      zone.highatomic_most = zone.managed ? *zone.managed / 100 + pageblock : zone.highatomic_least;
      zone.highatomic_most = std::max(zone.highatomic_most, zone.highatomic_least);
      if (!zone.blocks.empty() && kernel.prints_letters && !has_reserve)
        zone.highatomic_most = zone.highatomic_least;  // none of it is free, if there is any
      break;
    }
  }
  zone.highatomic_is_exact = zone.highatomic_least == zone.highatomic_most;
}

std::int64_t reserve_for(const ZoneFacts& zone, unsigned highest_index) {
  return highest_index < zone.lowmem_reserve.size() ? zone.lowmem_reserve[highest_index] : 0;
}

/// 07 section 2 on the printed numbers. Source: compaction_suitable(), mm/compaction.c.
void judge_compaction(ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel) {
  if (request.order == 0 || !zone.free || !zone.min || !zone.low)
    return;
  if (zone.check == Check::Passes) {
    zone.compaction = "not needed";
    return;
  }
  const bool is_loop = kernel.watermark.rule == WatermarkRule::Loop;
  const std::int64_t gap = std::int64_t{2} << request.order;
  // 3.10 compares with LOW for every order, at index 0 and without CMA pages.
  const std::int64_t mark = (is_loop || request.order > kCostlyOrder ? *zone.low : *zone.min) + gap;
  const std::int64_t reserve = is_loop ? reserve_for(zone, 0) : reserve_for(zone, request.highest_index);
  const std::int64_t usable = *zone.free - zone.highatomic_least - (is_loop ? zone.free_cma.value_or(0) : 0);
  if (usable <= mark + reserve) {
    zone.compaction = "too little free memory";
    return;
  }
  constexpr std::int64_t kExtfragThreshold = 500;  // vm.extfrag_threshold is not printed; this is its default
  if (zone.blocks.empty()) {
    zone.compaction = "cannot tell";
    return;
  }
  if ((is_loop || request.order > kCostlyOrder) && zone.fragmentation_index && *zone.fragmentation_index >= 0 &&
      *zone.fragmentation_index <= kExtfragThreshold) {
    zone.compaction = "memory is short rather than fragmented";
    return;
  }
  zone.compaction = "yes";
  zone.is_compaction_suitable = true;
}

}  // namespace

std::string ZoneFacts::label() const {
  return node ? "Node " + std::to_string(*node) + " " + name : name;
}

ZoneFacts zone_facts(const ZoneText& text, const FailureReport& report, const KernelFacts& kernel,
                     const ZoneLayout& layout, std::uint64_t page_bytes) {
  ZoneFacts zone{};
  zone.node = text.node;
  zone.name = text.name;
  for (unsigned i = 0; i < layout.types.size(); ++i)
    if (zone.name == zone_type_name(layout.types[i]))
      zone.index = i;
  const auto page_kb = static_cast<std::int64_t>(page_bytes / 1024);
  const auto pages = [&](ZoneField field) -> std::optional<std::int64_t> {
    const auto& kb = text.kb[field];
    if (!kb)
      return std::nullopt;
    return *kb / page_kb;
  };
  zone.free = pages(ZoneField::Free);
  zone.boost = pages(ZoneField::Boost);
  zone.min = pages(ZoneField::Min);
  zone.low = pages(ZoneField::Low);
  zone.high = pages(ZoneField::High);
  zone.reserved_highatomic = pages(ZoneField::ReservedHighatomic);
  zone.free_highatomic = pages(ZoneField::FreeHighatomic);
  zone.free_cma = pages(ZoneField::FreeCma);
  zone.present = pages(ZoneField::Present);
  zone.managed = pages(ZoneField::Managed);
  if (!zone.managed)
    zone.managed = zone.present;  // before 3.9
  zone.free_pcp = pages(ZoneField::FreePcp);
  zone.local_pcp = pages(ZoneField::LocalPcp);
  zone.lowmem_reserve = text.lowmem_reserve;
  zone.blocks = text.blocks;
  zone.blocks_elided = text.blocks_elided;
  zone.all_unreclaimable = text.all_unreclaimable;
  if (!zone.all_unreclaimable && text.node)
    for (const NodeText& node : report.nodes)
      if (node.node == *text.node)
        zone.all_unreclaimable = node.all_unreclaimable;

  const auto of = [&](ZoneField field) { return pages(field).value_or(0); };
  const std::int64_t file = of(ZoneField::ActiveFile) + of(ZoneField::InactiveFile);
  const std::int64_t busy = pages(ZoneField::Writepending).value_or(of(ZoneField::Dirty) + of(ZoneField::Writeback));
  zone.reclaimable_file = std::max<std::int64_t>(0, file - busy);
  if (report.free_swap_kb.value_or(0) > 0)
    zone.reclaimable_anon = of(ZoneField::ActiveAnon) + of(ZoneField::InactiveAnon);
  set_highatomic(zone, kernel);
  infer_boost(zone, kernel);
  return zone;
}

Attempt test_zone(const ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel, AllocFlags flags,
                  const char* mark_name, WhatIf what_if) {
  Attempt attempt{};
  attempt.mark_name = mark_name;
  const std::optional<std::int64_t> printed = std::strcmp(mark_name, "high") == 0 ? zone.high : zone.min;
  const WatermarkRule rule = kernel.watermark.rule;
  const Order order{request.order};

  if (request.no_watermarks && std::strcmp(mark_name, "min") == 0) {
    // No comparison at all: a block of the size is enough.
    attempt.mark_name = "none";
    attempt.left = zone.free.value_or(0);
    attempt.check = judge_blocks(zone, request, kernel, AllocFlags{}, what_if);
    if (request.order == 0 && zone.blocks.empty() && zone.free)
      attempt.check = *zone.free > 0 ? Check::Passes : Check::Exhausted;
    attempt.margin = attempt.left;
    return attempt;
  }
  if (!zone.free || !printed)
    return attempt;

  std::int64_t mark = *printed;
  if (what_if.without_boost)
    mark -= zone.boost.value_or(0);
  WatermarkZone counts{};
  counts.free_pages = *zone.free;
  counts.highatomic_pages = what_if.without_highatomic ? 0 : zone.highatomic_least;
  counts.free_cma_pages = what_if.with_cma ? 0 : zone.free_cma.value_or(0);
  counts.lowmem_reserve = what_if.without_reserve ? 0 : reserve_for(zone, request.highest_index);

  attempt.printed_mark = mark;
  attempt.lowered_mark = lowered_mark(rule, mark, flags);
  attempt.block_pages = (std::int64_t{1} << order.raw()) - 1;
  attempt.highatomic_pages = reaches_highatomic_pages(rule, flags) ? 0 : counts.highatomic_pages;
  attempt.cma_pages = flags.has(alloc_flag::kCma) ? 0 : counts.free_cma_pages;
  attempt.left = counts.free_pages - unusable_pages(rule, order, flags, counts);
  attempt.lowmem_reserve = counts.lowmem_reserve;
  attempt.need = attempt.lowered_mark + counts.lowmem_reserve;
  attempt.margin = attempt.left - attempt.need;

  const PrintedBlocks blocks(zone, kernel.prints_letters);
  if (rule == WatermarkRule::Loop) {
    // The test of these kernels takes CMA pages off in its first comparison only, as does `left` above.
    const LoopOutcome outcome = loop_test(order, attempt.lowered_mark, flags, counts, blocks);
    attempt.is_loop = true;
    attempt.loop_failed_first = outcome.failed_first;
    attempt.loop_failed_order = outcome.failed_order;
    attempt.loop_left = outcome.free_left;
    attempt.loop_mark = outcome.mark;
    if (outcome.failed_first) {
      attempt.short_by = 1 - attempt.margin;
      attempt.check = Check::LowMemory;
    } else if (zone.blocks.empty() && request.order > 0) {
      attempt.check = Check::CannotTell;
    } else if (!outcome.passes) {
      attempt.short_by = outcome.mark - outcome.free_left + 1;
      attempt.check = Check::HighOrderWatermark;
    } else {
      attempt.check = judge_blocks(zone, request, kernel, flags, what_if);
    }
    return attempt;
  }

  if (attempt.margin <= 0 && may_ignore_boost(kernel.watermark.boost_exception, order, request.gfp, flags) &&
      zone.boost.value_or(0) > 0 && std::strcmp(mark_name, "min") == 0 && !what_if.without_boost) {
    attempt.without_boost = true;
    attempt.lowered_mark = lowered_mark(rule, mark - *zone.boost, flags);
    attempt.need = attempt.lowered_mark + counts.lowmem_reserve;
    attempt.margin = attempt.left - attempt.need;
  }
  if (attempt.margin <= 0) {
    attempt.short_by = 1 - attempt.margin;
    attempt.check = Check::LowMemory;
    return attempt;
  }
  attempt.check = judge_blocks(zone, request, kernel, flags, what_if);
  return attempt;
}

Attempt last_attempt(const ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel, TestPlan plan,
                     WhatIf what_if) {
  if (plan.tests_high)
    return test_zone(zone, request, kernel, alloc_flag::kWmarkHigh | alloc_flag::kCpuset, "high", what_if);
  return test_zone(zone, request, kernel, request.flags, "min", what_if);
}

void walk_zone(ZoneFacts& zone, const RequestFacts& request, const KernelFacts& kernel, TestPlan plan) {
  zone.attempts.clear();
  if (plan.tests_min)
    zone.attempts.push_back(test_zone(zone, request, kernel, request.flags, "min"));
  if (plan.tests_high)
    zone.attempts.push_back(last_attempt(zone, request, kernel, plan));
  // Why a comparison failed: what single deduction decided it. Order of 10 section 3.
  for (Attempt& attempt : zone.attempts) {
    if (attempt.check != Check::LowMemory)
      continue;
    const bool is_high = std::strcmp(attempt.mark_name, "high") == 0;
    const AllocFlags flags = is_high ? alloc_flag::kWmarkHigh | alloc_flag::kCpuset : request.flags;
    const auto pages_suffice = [&](WhatIf what_if) {
      const Attempt other = test_zone(zone, request, kernel, flags, attempt.mark_name, what_if);
      return other.check != Check::LowMemory && other.margin > 0;  // blocks may be missing: pages are asked for here
    };
    const auto blame = [&](bool deducted, WhatIf what_if, Check check) {
      if (!deducted || !pages_suffice(what_if))
        return;
      if (attempt.check == Check::LowMemory)
        attempt.check = check;
      else
        attempt.also.push_back(check);
    };
    blame(attempt.lowmem_reserve > 0, {.without_reserve = true}, Check::LowmemReserve);
    blame(zone.boost.value_or(0) > 0 && !attempt.without_boost, {.without_boost = true}, Check::Boost);
    blame(attempt.highatomic_pages > 0, {.without_highatomic = true}, Check::HighAtomic);
    blame(attempt.cma_pages > 0, {.with_cma = true}, Check::Cma);
  }
  if (zone.attempts.empty())
    return;
  zone.check = zone.attempts.back().check;
  zone.short_by = zone.attempts.back().short_by;
  zone.reserve_is_known = !zone.lowmem_reserve.empty() || (zone.index && *zone.index == request.highest_index);

  if (request.order > 0) {
    zone.fitting_letters = letters_from_order(zone, request.order);
    zone.fitting_letters_known = kernel.prints_letters;
    if (!zone.blocks.empty() && !zone.blocks_elided) {
      std::vector<std::uint64_t> counts;
      counts.reserve(zone.blocks.size());
      for (const OrderBlocks& blocks : zone.blocks)
        counts.push_back(blocks.count);
      zone.fragmentation_index = fragmentation_index(counts, Order{request.order});
      zone.unusable_index = unusable_free_index(counts, Order{request.order});
    }
  }
  judge_compaction(zone, request, kernel);
}

}  // namespace mmbox::lab::explain
