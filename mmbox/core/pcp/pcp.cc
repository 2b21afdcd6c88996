#include "mmbox/core/pcp/pcp.h"

namespace mmbox {

FreePlan plan_free(const PcpState& pcp, unsigned order, bool reclaim_active, unsigned free_factor_max) {
  // While frees prevail over allocations, small high-order blocks go back at once, and everything with them.
  const bool heavy = pcp.free_factor > 0 && order >= 1 && order <= kCostlyOrder;
  std::int32_t high = pcp.high;
  if (high == 0 || heavy)
    high = 0;
  else if (reclaim_active && pcp.batch * 4 < high)
    high = pcp.batch * 4;
  if (pcp.count < high)
    return {0, pcp.free_factor};
  if (heavy)
    return {pcp.count, pcp.free_factor};
  // A pageset too small for a batch (boot, memory being taken offline) keeps nothing.
  if (high < pcp.batch)
    return {1, pcp.free_factor};

  const std::int32_t most = high - pcp.batch;
  std::int64_t pages = std::int64_t{pcp.batch} << pcp.free_factor;
  std::int16_t factor = pcp.free_factor;
  if (pages < most && static_cast<unsigned>(factor) < free_factor_max)
    ++factor;
  if (pages < pcp.batch)
    pages = pcp.batch;
  if (pages > most)
    pages = most;
  return {static_cast<std::int32_t>(pages), factor};
}

}  // namespace mmbox
