// The front door for C++ users: a machine, requests and frees, settings, events, and what can be read of it.
//
//   std::vector<std::byte> bytes = ...;                       // Machine::storage_size(config), zero-filled, aligned to
//   64 mmbox::Machine machine{config, bytes}; machine.release_boot_memory(range); machine.finish_boot(); auto pfn =
//   machine.alloc({.gfp = mmbox::gfp::kKernel, .order = mmbox::Order{2}, .cpu = mmbox::CpuId{0}});
#pragma once

#include "mmbox/core/compaction/compaction.h"
#include "mmbox/core/machine/machine.h"
#include "mmbox/core/observe/digest.h"
#include "mmbox/core/observe/mem_info.h"
#include "mmbox/core/observe/proc_text.h"
#include "mmbox/core/observe/validate.h"
#include "mmbox/core/reclaim/reclaim.h"
#include "mmbox/core/topology/fragmentation.h"
#include "mmbox/core/topology/watermark.h"
