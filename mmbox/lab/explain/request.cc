#include "mmbox/lab/explain/request.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "mmbox/lab/explain/text_scan.h"

namespace mmbox::lab::explain {
namespace {

bool has_zone(const FailureReport& report, ZoneType type) {
  return std::any_of(report.zones.begin(), report.zones.end(),
                     [&](const ZoneText& zone) { return zone.name == zone_type_name(type); });
}

/// True if the layout agrees with every printed zone and its reserves.
bool fits(const ZoneLayout& layout, const FailureReport& report) {
  for (const ZoneText& zone : report.zones) {
    std::optional<unsigned> own;
    for (unsigned i = 0; i < layout.types.size(); ++i)
      if (zone.name == zone_type_name(layout.types[i]))
        own = i;
    if (!own)
      return false;
    if (zone.lowmem_reserve.empty())
      continue;
    if (zone.lowmem_reserve.size() != layout.types.size())
      return false;
    for (unsigned i = 0; i <= *own; ++i)
      if (zone.lowmem_reserve[i] != 0)
        return false;
  }
  return true;
}

/// How usual a build is, given what the report shows. Larger is better.
int usualness(const ZoneLayout& layout, const FailureReport& report) {
  const auto built = [&](ZoneType type) { return layout.index_of(type).has_value(); };
  const bool shows_dma32 = has_zone(report, ZoneType::Dma32);
  const bool shows_highmem = has_zone(report, ZoneType::HighMem);
  // Kernels for 64 bits count memory of zone Movable here too.
  const bool has_highmem_pages =
      report.highmem_pages.value_or(0) > 0 && !shows_dma32 && !has_zone(report, ZoneType::Movable);
  std::size_t reserves = 0;
  for (const ZoneText& zone : report.zones)
    reserves = std::max(reserves, zone.lowmem_reserve.size());
  const bool looks_32_bit = shows_highmem || has_highmem_pages || (reserves == 3 && !shows_dma32);
  int score = built(ZoneType::Movable) ? 16 : 0;
  if (built(ZoneType::HighMem) ==
      (looks_32_bit && !(reserves == 3 && has_zone(report, ZoneType::Dma) && !shows_highmem)))
    score += 8;
  if (built(ZoneType::Dma32) == (shows_dma32 || (!looks_32_bit && reserves == 5)))
    score += 4;
  if (built(ZoneType::Dma) == (has_zone(report, ZoneType::Dma) || shows_dma32 || (!looks_32_bit && reserves == 5)))
    score += 2;
  if (built(ZoneType::Device) == (reserves == 5))
    score += 1;
  return score;
}

bool stack_has(const FailureReport& report, std::string_view name) {
  return std::any_of(report.trace.begin(), report.trace.end(), [&](const std::string& entry) {
    return entry.size() >= name.size() && entry.compare(0, name.size(), name) == 0 &&
           (entry.size() == name.size() || entry[name.size()] == '.');
  });
}

template <std::size_t n>
bool stack_has_any(const FailureReport& report, const std::array<std::string_view, n>& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return stack_has(report, name); });
}

/// What the slow path may do. Source: 06 sections 3 and 8, 10 section 4.
void set_slow_path(RequestFacts& request, const KernelFacts& kernel) {
  const Gfp gfp = request.gfp;
  const bool costly = request.order > kCostlyOrder;
  request.may_wake_kswapd = gfp.has(gfp::kKswapdReclaim);
  request.may_reclaim = gfp.has(gfp::kDirectReclaim) && !request.context.has_pf_memalloc;
  request.may_do_io = gfp.has(gfp::kIo);
  request.may_enter_fs = gfp.has(gfp::kFs);
  request.may_compact = request.order > 0 && request.may_reclaim && request.may_do_io &&
                        (!kernel.compaction_needs_fs || request.may_enter_fs);
  request.may_loop = request.may_reclaim && !gfp.has(gfp::kNoRetry) && (!costly || gfp.has(gfp::kRetryMayfail));
  const bool reaches_normal = request.highest_zone != ZoneType::Dma && request.highest_zone != ZoneType::Dma32;
  // Before 4.13 the flag is __GFP_REPEAT, which does not keep small orders from the killer.
  const bool mayfail = gfp.has(gfp::kRetryMayfail) && kernel.version >= 4013;
  request.may_oom_kill = request.may_reclaim && !costly && !gfp.has(gfp::kNoRetry) && !mayfail &&
                         !gfp.has(gfp::kThisNode) && reaches_normal && gfp.has(gfp::kFs);
  request.may_not_fail = gfp.has(gfp::kNoFail);
  request.may_use_reserves = request.no_watermarks || request.flags.has(alloc_flag::kReserves);
}

}  // namespace

ZoneLayout zone_layout(const FailureReport& report) {
  ZoneLayout best{};
  int best_score = -1;
  std::vector<std::pair<int, std::vector<ZoneType>>> others;
  // Normal is always built in, Movable since 2.6.23; the others are choices.
  for (unsigned choice = 0; choice < 32; ++choice) {
    ZoneLayout layout{};
    const auto add = [&](ZoneType type, bool built) {
      if (built)
        layout.types.push_back(type);
    };
    add(ZoneType::Dma, (choice & 1U) != 0);
    add(ZoneType::Dma32, (choice & 2U) != 0);
    add(ZoneType::Normal, true);
    add(ZoneType::HighMem, (choice & 4U) != 0);
    add(ZoneType::Movable, (choice & 16U) == 0);
    add(ZoneType::Device, (choice & 8U) != 0);
    if (!fits(layout, report))
      continue;
    // Builds without Movable are older than nearly all reports, and taken only where nothing else fits.
    const bool is_old = !layout.index_of(ZoneType::Movable);
    if (is_old && best_score >= 0)
      continue;
    const int score = usualness(layout, report);
    if (score > best_score) {
      others.emplace_back(best_score, best.types);
      best_score = score;
      best.types = layout.types;
      continue;
    }
    others.emplace_back(score, std::move(layout.types));
  }
  constexpr int kMatters = 8;  // what the report shows of HighMem excludes the builds that differ in it
  for (auto& [score, types] : others)
    if (!types.empty() && score + kMatters > best_score)
      best.also_fit.push_back(std::move(types));
  if (best.types.empty())
    best.types = {ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable, ZoneType::Device};
  return best;
}

std::optional<unsigned> ZoneLayout::index_of(ZoneType type) const {
  for (unsigned i = 0; i < types.size(); ++i)
    if (types[i] == type)
      return i;
  return std::nullopt;
}

ZoneType highest_zone(Gfp gfp, const ZoneLayout& layout) {
  if (gfp.has(gfp::kMovable) && gfp.has(gfp::kHighMem) && layout.index_of(ZoneType::Movable))
    return ZoneType::Movable;
  if (gfp.has(gfp::kHighMem))
    return layout.index_of(ZoneType::HighMem) ? ZoneType::HighMem : ZoneType::Normal;
  if (gfp.has(gfp::kDma32))
    return layout.index_of(ZoneType::Dma32) ? ZoneType::Dma32 : ZoneType::Normal;
  if (gfp.has(gfp::kDma))
    return layout.index_of(ZoneType::Dma) ? ZoneType::Dma : ZoneType::Normal;
  return ZoneType::Normal;
}

Context request_context(const FailureReport& report) {
  // Interrupt entries are innermost-first in the stack: functions below them belong to whoever was interrupted.
  constexpr std::array<std::string_view, 12> kSoftirq{
      "__do_softirq",  "do_softirq", "handle_softirqs", "call_softirq",   "net_rx_action",  "__napi_poll",
      "net_tx_action", "irq_exit",   "irq_exit_rcu",    "__irq_exit_rcu", "tasklet_action", "run_timer_softirq"};
  constexpr std::array<std::string_view, 8> kInterrupt{
      "do_IRQ",         "common_interrupt", "asm_common_interrupt", "__handle_domain_irq",
      "gic_handle_irq", "handle_irq_event", "generic_handle_irq",   "sysvec_apic_timer_interrupt"};
  constexpr std::array<std::string_view, 12> kReclaim{
      "try_to_free_pages", "__perform_reclaim", "balance_pgdat",        "kswapd",
      "shrink_node",       "shrink_zone",       "shrink_lruvec",        "do_try_to_free_pages",
      "node_reclaim",      "__node_reclaim",    "try_to_compact_pages", "compact_zone"};
  constexpr std::array<std::string_view, 5> kThread{"kthread", "worker_thread", "start_kernel_thread", "kswapd",
                                                    "ret_from_kernel_thread"};
  Context context{};
  const bool is_ksoftirqd = starts_with(report.comm, "ksoftirqd");
  context.is_softirq = stack_has_any(report, kSoftirq) || is_ksoftirqd;
  context.is_interrupt = report.trace_has_irq || context.is_softirq || stack_has_any(report, kInterrupt);
  context.is_kernel_thread = !report.workqueue.empty() || starts_with(report.comm, "kworker/") ||
                             starts_with(report.comm, "kswapd") || stack_has_any(report, kThread);
  context.has_pf_memalloc = starts_with(report.comm, "kswapd") || stack_has_any(report, kReclaim);
  context.is_dying = stack_has(report, "do_exit") || stack_has(report, "mmput") || stack_has(report, "exit_mmap");
  return context;
}

AllocFlags slow_path_flags(WatermarkRule rule, Gfp gfp, Order order) {
  using namespace alloc_flag;
  AllocFlags flags = kWmarkMin | kCpuset;
  if (gfp.has(gfp::kHigh))
    flags |= kMinReserve;
  switch (rule) {
    case WatermarkRule::Loop: {
      // kDirectReclaim stands for WAIT here, kKswapdReclaim for the absence of NO_KSWAPD.
      const bool atomic = !gfp.has(gfp::kDirectReclaim) && gfp.has(gfp::kKswapdReclaim);
      if (atomic) {
        if (!gfp.has(gfp::kNoMemalloc))
          flags |= kHarder;
        flags = flags.without(kCpuset);
      }
      break;
    }
    case WatermarkRule::Harder:
    case WatermarkRule::HarderOom:
      if (gfp.has(gfp::kAtomic)) {
        if (!gfp.has(gfp::kNoMemalloc))
          flags |= kHarder;
        flags = flags.without(kCpuset);
      }
      break;
    case WatermarkRule::Reserves:
      if (!gfp.has(gfp::kDirectReclaim)) {
        if (!gfp.has(gfp::kNoMemalloc)) {
          flags |= kNonBlock;
          if (order.raw() > 0 && gfp.has(gfp::kHigh))
            flags |= kHighAtomic;
        }
        if (gfp.has(gfp::kHigh))
          flags = flags.without(kCpuset);
      }
      break;
  }
  if (gfp.has(gfp::kKswapdReclaim))
    flags |= kKswapd;
  if (gfp_migratetype(gfp) == Migratetype::Movable)
    flags |= kCma;
  return flags;
}

std::optional<RequestFacts> request_facts(const FailureReport& report, const KernelFacts& kernel,
                                          const ZoneLayout& layout, std::uint64_t page_bytes) {
  if (!report.gfp_mask || !report.order || *report.order < 0)
    return std::nullopt;
  auto raw = static_cast<std::uint32_t>(*report.gfp_mask);
  if (kernel.has_early_movable_bit && (raw & kEarlyMovableBit) != 0)
    raw = (raw & ~kEarlyMovableBit) | gfp::kMovable.raw();
  if (raw == 0 && report.headline == Headline::OomKiller)
    return std::nullopt;
  RequestFacts request{};
  request.context = request_context(report);
  // A size gone wrong can make the order 52; shifts stay defined, and the verdict is the same.
  constexpr int kOrderMax = 40;
  const auto order = static_cast<unsigned>(std::min(*report.order, kOrderMax));
  // Names mean the same on every kernel; a number hangs on a layout, which a vendor may have changed.
  const std::optional<std::uint32_t> named =
      report.gfp_names.empty() ? std::nullopt : kernel.gfp->parse(report.gfp_names);
  request.names_contradict_mask = named && *named != raw;
  const Gfp gfp = kernel.gfp->decode(request.names_contradict_mask ? *named : raw);
  RequestFacts result = with_mask(request, gfp, order, kernel, layout, page_bytes);
  result.raw_mask = *report.gfp_mask;
  result.layout_name = kernel.gfp->name();
  if (!report.gfp_names.empty()) {
    result.mask_text = report.gfp_names;
  } else if (raw == 0) {
    // 3.x: no flag at all is what callers write as GFP_NOWAIT.
    result.mask_text = "GFP_NOWAIT";
  } else {
    result.mask_text = kernel.gfp->text(raw);
  }
  return result;
}

RequestFacts with_mask(const RequestFacts& base, Gfp gfp, unsigned order, const KernelFacts& kernel,
                       const ZoneLayout& layout, std::uint64_t page_bytes) {
  RequestFacts request = base;
  request.gfp = gfp;
  request.order = order;
  request.bytes = page_bytes << order;
  request.highest_zone = highest_zone(gfp, layout);
  request.highest_index = layout.index_of(request.highest_zone).value_or(0);
  // Both mobility bits at once are a caller's bug; the kernel's table has no such type, so take the first.
  request.type = gfp.has(gfp::kMovable)       ? Migratetype::Movable
                 : gfp.has(gfp::kReclaimable) ? Migratetype::Reclaimable
                                              : Migratetype::Unmovable;
  request.flags = slow_path_flags(kernel.watermark.rule, gfp, Order{order});
  // PF_MEMALLOC counts in task context, and in softirq; never with NOMEMALLOC. Source: 06 section 2.
  const Context& context = request.context;
  const bool memalloc_context = context.has_pf_memalloc && (!context.is_interrupt || context.is_softirq);
  request.no_watermarks = !gfp.has(gfp::kNoMemalloc) && (gfp.has(gfp::kMemalloc) || memalloc_context);
  set_slow_path(request, kernel);
  return request;
}

}  // namespace mmbox::lab::explain
