#include "bench/dpdk/dpdk_pool.h"

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include <string>

namespace mmbox::bench {
namespace {

rte_mempool* pool = nullptr;
constexpr unsigned kStock = RTE_MEMPOOL_CACHE_MAX_SIZE;

}  // namespace

bool dpdk_begin(std::size_t objects) {
  std::string memory = std::to_string(objects * 4096 / (1 << 20) + objects * 256 / (1 << 20) + 128);
  std::string words[] = {"arena_bench",   "--no-huge",      "-m",        memory, "--no-pci", "--no-shconf",
                         "--log-level=1", "--no-telemetry", "--lcores=0"};
  char* argv[std::size(words)];
  for (std::size_t i = 0; i < std::size(words); ++i)
    argv[i] = words[i].data();
  if (rte_eal_init(static_cast<int>(std::size(words)), argv) < 0)
    return false;
  pool = rte_mempool_create("pages", static_cast<unsigned>(objects), 4096, kStock, 0, nullptr, nullptr, nullptr,
                            nullptr, SOCKET_ID_ANY, 0);
  return pool != nullptr;
}

void* dpdk_get() {
  void* object = nullptr;
  return rte_mempool_get(pool, &object) == 0 ? object : nullptr;
}

void dpdk_put(void* object) {
  rte_mempool_put(pool, object);
}

void dpdk_enter_thread() {
  if (rte_lcore_id() != LCORE_ID_ANY || rte_thread_register() != 0)
    return;
  // Its stock goes back when it ends: the next thread may get another number.
  struct Leave {
    ~Leave() {
      rte_mempool_cache_flush(rte_mempool_default_cache(pool, rte_lcore_id()), pool);
      rte_thread_unregister();
    }
  };
  static thread_local const Leave leave;
  static_cast<void>(leave);
}

}  // namespace mmbox::bench
