// DPDK's mempool: objects of one size, with a stock for each thread. Kept apart, since its headers want flags of their
// own.
#pragma once

#include <cstddef>

namespace mmbox::bench {

/// Starts DPDK without huge pages, and makes a pool of `objects` pages. False if it does not start.
[[nodiscard]] bool dpdk_begin(std::size_t objects);
[[nodiscard]] void* dpdk_get();
void dpdk_put(void* object);
/// Called by each thread before its first object: without it a thread has no stock.
void dpdk_enter_thread();

}  // namespace mmbox::bench
