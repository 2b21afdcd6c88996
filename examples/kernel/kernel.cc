// A kernel of one page: boots, brings up mmbox on the memory that the boot loader reports, tries it out, and prints
// /proc/buddyinfo on the serial port.
//
// What core needs of a kernel stands first: a lock, a CPU number, a way to stop; and the four functions on memory that
// compilers call by themselves.
#include "mmbox_core.h"

// ------------------------------------------------------------- the machine underneath

namespace {

void out8(std::uint16_t port, std::uint8_t value) {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
std::uint8_t in8(std::uint16_t port) {
  std::uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

constexpr std::uint16_t kSerial = 0x3f8;

class Serial final : public mmbox::TextSink {
 public:
  Serial() {
    out8(kSerial + 3, 0x80);  // 115200 baud, 8 bits, no parity
    out8(kSerial, 1);
    out8(kSerial + 1, 0);
    out8(kSerial + 3, 0x03);
  }
  void write(std::string_view text) override {
    for (const char c : text) {
      while ((in8(kSerial + 5) & 0x20) == 0) {
      }
      out8(kSerial, static_cast<std::uint8_t>(c));
    }
  }
};

/// Ends QEMU (isa-debug-exit), or waits for ever on a machine that has no such device.
[[noreturn]] void stop(std::uint8_t code) {
  out8(0xf4, code);
  for (;;)
    asm volatile("cli; hlt");
}
constexpr std::uint8_t kAllIsWell = 0x10;
constexpr std::uint8_t kFailed = 0x11;

mmbox::CpuId this_cpu() {
  return mmbox::CpuId{0};
}

}  // namespace

/// A spinlock that keeps interrupts out: one that allocates must not find the zone's lock held by its own CPU.
/// (This kernel has neither interrupts nor a second CPU; a real one also puts back what the flag was.)
struct KernelSync {
  static bool try_lock(std::uint32_t& word) {
    asm volatile("cli");
    return __atomic_exchange_n(&word, 1, __ATOMIC_ACQUIRE) == 0;
  }
  static void lock(std::uint32_t& word) {
    while (!try_lock(word))
      asm volatile("pause");
  }
  static void unlock(std::uint32_t& word) { __atomic_store_n(&word, 0, __ATOMIC_RELEASE); }
};
static_assert(mmbox::SyncPolicy<KernelSync>);

extern "C" {

[[noreturn]] void mmbox_panic(const mmbox::Panic& panic) {
  Serial serial;
  mmbox::TextWriter{serial}.text(panic.file).text(": ").text(panic.what).text(": ").unsigned_number(panic.a).text("\n");
  stop(kFailed);
}
void __cxa_pure_virtual() {
  stop(kFailed);
}
void* memset(void* target, int value, std::size_t size) {
  void* at = target;
  asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
  return target;
}
void* memcpy(void* target, const void* source, std::size_t size) {
  void* at = target;
  asm volatile("rep movsb" : "+D"(at), "+S"(source), "+c"(size) : : "memory");
  return target;
}
void* memmove(void* target, const void* source, std::size_t size) {
  auto* const to = static_cast<unsigned char*>(target);
  const auto* const from = static_cast<const unsigned char*>(source);
  if (to <= from)
    return memcpy(target, source, size);
  while (size > 0) {
    --size;
    to[size] = from[size];
    asm volatile("" : : : "memory");  // or the compiler would make a call of memmove() of it
  }
  return target;
}
int memcmp(const void* a, const void* b, std::size_t size) {
  const auto* const left = static_cast<const unsigned char*>(a);
  const auto* const right = static_cast<const unsigned char*>(b);
  for (std::size_t i = 0; i < size; ++i)
    if (left[i] != right[i])
      return left[i] < right[i] ? -1 : 1;
  return 0;
}
std::size_t strlen(const char* text) {
  std::size_t length = 0;
  while (text[length] != 0)
    ++length;
  return length;
}
extern std::byte kernel_end;

}  // extern "C"

template class mmbox::BasicMachine<KernelSync>;

// ------------------------------------------------------------- the kernel

namespace {

using namespace mmbox;
using KernelMachine = BasicMachine<KernelSync>;

/// What a multiboot loader leaves, as far as it matters here.
struct [[gnu::packed]] BootInfo {
  std::uint32_t flags;
  std::uint32_t unused[10];
  std::uint32_t map_length;
  std::uint32_t map_address;
};
struct [[gnu::packed]] MapEntry {
  std::uint32_t size;  ///< of what follows
  std::uint64_t base;
  std::uint64_t length;
  std::uint32_t type;  ///< 1: memory
};

constexpr std::size_t kRanges = 16;
struct MemoryMap {
  MemoryRange ranges[kRanges];
  std::size_t count = 0;
  [[nodiscard]] std::span<const MemoryRange> all() const { return {ranges, count}; }
};

/// Whole pages of memory above the first MiB, as far as the page table reaches.
MemoryMap read_map(const BootInfo& boot) {
  constexpr std::uint64_t kFirst = 0x100;
  constexpr std::uint64_t kEnd = 0x100000;
  MemoryMap map;
  for (std::uint32_t at = 0; at < boot.map_length && map.count < kRanges;) {
    const auto& entry = *reinterpret_cast<const MapEntry*>(std::uintptr_t{boot.map_address} + at);
    at += entry.size + sizeof entry.size;
    std::uint64_t begin = (entry.base + kPageSize - 1) / kPageSize;
    std::uint64_t end = (entry.base + entry.length) / kPageSize;
    begin = begin < kFirst ? kFirst : begin;
    end = end > kEnd ? kEnd : end;
    if (entry.type == 1 && begin < end)
      map.ranges[map.count++] = {.range = {Pfn{begin}, Pfn{end}}, .node = NodeId{0}};
  }
  return map;
}

/// The part of the memory that lies between two frames.
ZoneConfig zone_between(const MemoryMap& map, std::size_t index, ZoneType type, std::uint64_t low, std::uint64_t high) {
  std::uint64_t first = high;
  std::uint64_t last = low;
  std::uint64_t present = 0;
  for (const MemoryRange& memory : map.all()) {
    const std::uint64_t begin = memory.range.begin.raw() < low ? low : memory.range.begin.raw();
    const std::uint64_t end = memory.range.end.raw() > high ? high : memory.range.end.raw();
    if (begin >= end)
      continue;
    present += end - begin;
    first = begin < first ? begin : first;
    last = end > last ? end : last;
  }
  const bool has_any = present > 0;
  return {.node = NodeId{0},
          .index = ZoneIndex{index},
          .type = type,
          .start = Pfn{has_any ? first : 0},
          .spanned = PageCount{has_any ? last - first : 0},
          .present = PageCount{present}};
}

/// Allocates and frees blocks of all orders, and writes into each of them whose it is. False if one was overwritten.
bool try_out(KernelMachine& machine, TextWriter& out) {
  struct Held {
    Pfn pfn;
    Order order{0};
    bool is_held = false;
  };
  static Held held[256];
  std::uint64_t random = 1;
  std::uint64_t allocated = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t step = 0; step < 200'000; ++step) {
    random = random * 6364136223846793005 + 1442695040888963407;
    Held& slot = held[(random >> 33) % 256];
    auto* const word = reinterpret_cast<std::uint64_t*>(slot.pfn.raw() * kPageSize);
    if (slot.is_held) {
      if (*word != slot.pfn.raw())
        return false;
      machine.free(slot.pfn, slot.order, this_cpu());
      slot.is_held = false;
      continue;
    }
    const Order order{static_cast<unsigned>((random >> 45) % kOrders)};
    const Gfp gfp = (random >> 50) % 2 == 0 ? gfp::kKernel : gfp::kHighUserMovable;
    const AllocResult got = machine.alloc({.gfp = gfp, .order = order, .cpu = this_cpu()});
    if (!got) {
      ++refused;
      continue;
    }
    ++allocated;
    slot = {*got, order, true};
    *reinterpret_cast<std::uint64_t*>(slot.pfn.raw() * kPageSize) = slot.pfn.raw();
  }
  out.text("under load:\n");
  Serial serial;
  write_buddyinfo(machine.view(), serial);
  for (Held& slot : held)
    if (slot.is_held)
      machine.free(slot.pfn, slot.order, this_cpu());
  machine.drain_all();
  out.unsigned_number(allocated).text(" blocks allocated and freed, ").unsigned_number(refused).text(" refused\n");
  return true;
}

}  // namespace

extern "C" [[noreturn]] void kernel_main(const BootInfo* boot) {
  Serial serial;
  TextWriter out{serial};
  if ((boot->flags & 0x40U) == 0) {
    out.text("the boot loader left no memory map\n");
    stop(kFailed);
  }
  const MemoryMap map = read_map(*boot);
  constexpr std::array kTypes{ZoneType::Dma, ZoneType::Dma32, ZoneType::Normal, ZoneType::Movable, ZoneType::Device};
  const std::array zones{zone_between(map, 0, kTypes[0], 0, 0x1000), zone_between(map, 1, kTypes[1], 0x1000, 0x100000),
                         zone_between(map, 2, kTypes[2], 0, 0), zone_between(map, 3, kTypes[3], 0, 0),
                         zone_between(map, 4, kTypes[4], 0, 0)};
  constexpr std::array<std::uint8_t, 1> kDistances{10};
  constexpr std::array kCpus{NodeId{0}};
  MachineConfig config{.generation = kLinux61,
                       .zone_types = kTypes,
                       .nodes = 1,
                       .distances = kDistances,
                       .cpus = kCpus,
                       .zones = zones,
                       .memory = map.all(),
                       .has_cma = false,
                       .has_thp = true,
                       .tunables = {}};
  config.tunables.lowmem_reserve_ratio = {256, 256, 32, 0, 0, 0};

  // The books go behind the kernel's image; what lies before their end is never handed out.
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(&kernel_end) + 4095) & ~std::uintptr_t{4095};
  const std::size_t size = (KernelMachine::storage_size(config) + 4095) & ~std::size_t{4095};
  const std::span<std::byte> books{reinterpret_cast<std::byte*>(begin), size};
  memset(books.data(), 0, books.size());
  KernelMachine machine{config, books};
  const Pfn first_free{(begin + size) / kPageSize};
  for (const MemoryRange& memory : map.all()) {
    const PfnRange range{memory.range.begin < first_free ? first_free : memory.range.begin, memory.range.end};
    if (range.begin < range.end)
      machine.release_boot_memory(range);
  }
  machine.finish_boot();
  out.text("mmbox on ").unsigned_number(map.count).text(" ranges of memory; its books take ");
  out.unsigned_number(size / 1024).text(" kB\n");
  write_buddyinfo(machine.view(), serial);

  if (!try_out(machine, out)) {
    out.text("a block was overwritten\n");
    stop(kFailed);
  }
  write_buddyinfo(machine.view(), serial);
  if (const auto violation = validate(machine.view())) {
    out.text(violation->what).text("\n");
    stop(kFailed);
  }
  out.text("allocation test passed\n");
  stop(kAllIsWell);
}
