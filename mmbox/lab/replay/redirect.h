// After a divergence: bring the engine back onto the recorded path, so that what follows is judged by itself.
#pragma once

#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Takes the block `pfn` out of wherever it is free (a per-cpu list, or inside a free block) and marks it allocated.
/// False if it is not free as a whole; nothing has changed then.
[[nodiscard]] bool take_recorded(Machine& machine, Pfn pfn, Order order, CpuId cpu);

/// Undoes an allocation that the recorded kernel did not make: the block goes back to the head of its per-cpu list, or
/// to the free lists, without any of the consequences of a free.
void give_back(Machine& machine, Pfn pfn, Order order, CpuId cpu);

/// Makes sure that `pfn` is allocated with `order`, whatever the engine thought of it. False if parts of it are in use
/// otherwise.
[[nodiscard]] bool ensure_allocated(Machine& machine, Pfn pfn, Order order, CpuId cpu);

}  // namespace mmbox::lab
