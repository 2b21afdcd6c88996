// A simulated machine for the benchmarks: booted, one CPU unless told otherwise, its state in memory of its own.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/mmbox.h"

namespace mmbox::bench {

enum class HugePages : bool { No, Yes };

/// Zero-filled memory from the operating system; none of it is resident before it is written.
class Mapping {
 public:
  /// With HugePages::Yes the kernel is asked for 2 MiB pages behind it (it may not have any).
  Mapping(std::size_t size, HugePages huge_pages) : size_(size) {
    void* const base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
      std::perror("mmap");
      std::exit(1);
    }
    base_ = static_cast<std::byte*>(base);
    // The answer does not matter: EINVAL says that this kernel has no huge pages.
    static_cast<void>(madvise(base, size, huge_pages == HugePages::Yes ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
  }
  ~Mapping() { munmap(base_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return {base_, size_}; }

 private:
  std::byte* base_ = nullptr;
  std::size_t size_;
};

[[nodiscard]] inline lab::MachineSpec machine_spec(const std::string& words) {
  auto spec = lab::read_machine_words(words);
  if (!spec) {
    std::fprintf(stderr, "%s\n", spec.error().text().c_str());
    std::exit(1);
  }
  return std::move(spec).value();
}

class SimulatedMachine {
 public:
  /// `words`: as read_machine_words() takes them, "8G, 1 cpu".
  explicit SimulatedMachine(const std::string& words, HugePages huge_pages = HugePages::No,
                            const Generation& generation = kLinux61)
      : spec_(machine_spec(words)),
        storage_(Machine::storage_size(config(generation)), huge_pages),
        machine_(config(generation), storage_.bytes()) {
    for (const MemoryRange& free : spec_.free_ranges())
      machine_.release_boot_memory(free.range);
    machine_.finish_boot();
  }

  [[nodiscard]] Machine& operator*() { return machine_; }
  [[nodiscard]] Machine* operator->() { return &machine_; }
  /// Frames of memory, without the holes.
  [[nodiscard]] std::uint64_t frames() const {
    std::uint64_t frames = 0;
    for (const MemoryRange& memory : spec_.memory)
      frames += memory.range.pages().raw();
    return frames;
  }

 private:
  [[nodiscard]] MachineConfig config(const Generation& generation) const {
    MachineConfig config = spec_.config();
    config.generation = generation;
    return config;
  }

  lab::MachineSpec spec_;
  Mapping storage_;
  Machine machine_;
};

}  // namespace mmbox::bench
