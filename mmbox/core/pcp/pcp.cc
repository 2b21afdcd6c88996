// The decisions of per-cpu lists: how many blocks a refill takes, and how many pages a free gives back.
#include "mmbox/core/pcp/pcp.h"

namespace mmbox {
namespace {

std::int32_t lesser_of(std::int32_t a, std::int32_t b) {
  return a < b ? a : b;
}
std::int32_t greater_of(std::int32_t a, std::int32_t b) {
  return a < b ? b : a;
}
std::int32_t clamped(std::int32_t x, std::int32_t low, std::int32_t high) {
  return greater_of(low, lesser_of(x, high));
}

std::int32_t plan_free_factor(PcpState& pcp, unsigned free_factor_max, unsigned order, ZoneFlags zone_flags) {
  // While frees prevail over allocations, small high-order blocks go back at once, and everything with them.
  const bool heavy = pcp.free_factor > 0 && order >= 1 && order <= kCostlyOrder;
  std::int32_t high = pcp.high;
  if (high == 0 || heavy)
    high = 0;
  else if ((zone_flags & zone_flag::kReclaimActive) != 0 && pcp.batch * 4 < high)
    high = pcp.batch * 4;
  if (pcp.count < high)
    return 0;
  if (heavy)
    return pcp.count;
  // A pageset too small for a batch (boot, memory being taken offline) keeps nothing.
  if (high < pcp.batch)
    return 1;

  const std::int32_t most = high - pcp.batch;
  const std::int64_t pages = std::int64_t{pcp.batch} << pcp.free_factor;
  if (pages < most && static_cast<unsigned>(pcp.free_factor) < free_factor_max)
    ++pcp.free_factor;
  return pages < most ? static_cast<std::int32_t>(pages) : most;
}

std::int32_t plan_free_tuned(PcpState& pcp, PcpHeavyFree rule, unsigned order, ZoneFlags zone_flags) {
  const bool is_high_order = order >= 1 && order <= kCostlyOrder;
  // Pages that another CPU just freed are of little use in this CPU's cache unless that is large.
  const std::int32_t heavy_from = pcp.batch + (rule == PcpHeavyFree::BatchAndHalfHighMin ? pcp.high_min / 2 : 0);
  const bool heavy = is_high_order && pcp.previous_free_was_high && (!pcp.has_large_cache || pcp.count >= pcp.batch) &&
                     pcp.free_count >= heavy_from;
  const std::int32_t most = pcp.batch << kPcpBatchScaleMax;
  note_tuned_free(pcp, order);

  const std::int32_t high = clamped(pcp.high, pcp.high_min, pcp.high_max);
  pcp.high = high;
  std::int32_t limit = high;
  const auto sink = [&](std::int32_t by) { pcp.high = greater_of(high - by, pcp.high_min); };
  if (high == 0) {
    limit = 0;
  } else if (heavy) {
    limit = 0;
    sink(most);
  } else if ((zone_flags & zone_flag::kReclaimActive) != 0) {
    sink(greater_of(pcp.free_count, pcp.batch));
    limit = lesser_of(4 * pcp.batch, pcp.high);
  } else if (pcp.high_min == pcp.high_max) {
    limit = high;
  } else if ((zone_flags & zone_flag::kBelowHigh) != 0) {
    sink(greater_of(pcp.free_count, pcp.batch));
    limit = greater_of(pcp.count, pcp.high_min);
  } else if (pcp.count >= high && high < pcp.free_count + pcp.batch) {
    pcp.high = clamped(pcp.free_count + pcp.batch, pcp.high_min, pcp.high_max);
  }
  if (pcp.count < limit)
    return 0;
  if (heavy)
    return lesser_of(pcp.count, most);
  if (limit < pcp.batch)
    return 1;
  return lesser_of(greater_of(pcp.free_count, pcp.batch), limit - pcp.batch);
}

}  // namespace

std::int32_t plan_free(PcpState& pcp, const PcpPolicy& policy, unsigned order, ZoneFlags zone_flags) {
  switch (policy.control) {
    case PcpControl::FixedBatch: return pcp.count >= pcp.high ? lesser_of(pcp.batch, pcp.count) : 0;
    case PcpControl::FreeFactor: return plan_free_factor(pcp, policy.free_factor_max, order, zone_flags);
    case PcpControl::Tuned: return plan_free_tuned(pcp, policy.heavy_free, order, zone_flags);
  }
  return 0;
}

std::uint32_t plan_refill(PcpState& pcp, const PcpPolicy& policy, unsigned order, ZoneFlags zone_flags) {
  std::int32_t pages = pcp.batch;
  if (policy.control == PcpControl::Tuned) {
    pcp.high = clamped(pcp.high, pcp.high_min, pcp.high_max);
    if (pcp.high < pcp.batch)
      return 1;  // the pageset of early boot
    if (order == 0)
      pages <<= pcp.alloc_factor;
    std::int32_t high = pcp.high;
    // A refill shows that the lists were too short, unless the zone is short of pages itself.
    if (pcp.high_min != pcp.high_max && (zone_flags & zone_flag::kBelowHigh) == 0)
      high = pcp.high = lesser_of(high + pages, pcp.high_max);
    if (order == 0) {
      const std::int32_t most = greater_of(high - pcp.count - pcp.batch, pcp.batch);
      if (pages <= most && pcp.alloc_factor < kPcpBatchScaleMax)
        ++pcp.alloc_factor;
      pages = lesser_of(pages, most);
    }
  }
  if (pages > 1)
    pages = greater_of(pages >> order, 2);
  return static_cast<std::uint32_t>(pages);
}

std::int32_t decay_high(PcpState& pcp) {
  if (pcp.high > pcp.high_min) {
    const std::int32_t by_count = pcp.count - (pcp.batch << kPcpBatchScaleMax);
    pcp.high = greater_of(greater_of(by_count, pcp.high - (pcp.high >> 3)), pcp.high_min);
  }
  return pcp.count - pcp.high;
}

}  // namespace mmbox
