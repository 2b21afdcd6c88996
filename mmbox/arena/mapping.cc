#include "mmbox/arena/mapping.h"

#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#ifdef MMBOX_HAS_LIBNUMA
#include <numa.h>
#endif

namespace mmbox {
namespace {

/// The largest block is 4 MiB and aligned to itself.
constexpr std::size_t kAlign = std::size_t{4} << 20;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t step) {
  return (bytes + step - 1) / step * step;
}

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Mapping::Mapping(Backing backing, std::size_t bytes, std::span<const NumaShare> shares)
    : bytes_(bytes), backing_(backing) {
  constexpr int kAccess = PROT_READ | PROT_WRITE;
  if (backing == Backing::HugeTlb) {
    // Their mappings are aligned to one huge page; room for the rest of the alignment would cost reserved pages, so
    // that the place is found first.
    const std::size_t huge_bytes = round_up(bytes, kHugePage);
    void* const room =
        mmap(nullptr, huge_bytes + kAlign, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
      fail("arena: no address space");
    const std::uintptr_t at = round_up(reinterpret_cast<std::uintptr_t>(room), kAlign);
    void* const huge =
        mmap(pointer_to(at), huge_bytes, kAccess, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0);
    reserved_ = reinterpret_cast<std::uintptr_t>(room);
    reserved_bytes_ = huge_bytes + kAlign;
    if (huge != MAP_FAILED) {
      base_ = at;
      place(shares);
      return;
    }
    note(std::string{"hugetlb: "} + std::strerror(errno) + ", transparent huge pages instead");
    munmap(room, reserved_bytes_);
    backing_ = Backing::HugePages;
  }

  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t mapped = round_up(bytes, page);
  reserved_bytes_ = mapped + kAlign;
  void* const room = mmap(nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED)
    fail("arena: no address space");
  reserved_ = reinterpret_cast<std::uintptr_t>(room);
  base_ = round_up(reserved_, kAlign);
  int sharing = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (backing_ == Backing::Memfd) {
    file_ = memfd_create("mmbox-arena", MFD_CLOEXEC);
    if (file_ < 0 || ftruncate(file_, static_cast<off_t>(mapped)) != 0)
      fail("arena: no memfd");
    sharing = MAP_SHARED;
  }
  if (mmap(pointer_to(base_), mapped, kAccess, sharing | MAP_FIXED, file_, 0) == MAP_FAILED)
    fail("arena: no memory");
  if (backing_ == Backing::HugePages && madvise(pointer_to(base_), mapped, MADV_HUGEPAGE) != 0)
    note(std::string{"transparent huge pages: "} + std::strerror(errno) + ", pages of 4 KiB instead");
  place(shares);
}

Mapping::~Mapping() {
  if (reserved_ != 0)
    munmap(pointer_to(reserved_), reserved_bytes_);
  if (file_ >= 0)
    close(file_);
}

void Mapping::note(const std::string& text) {
  notes_ += (notes_.empty() ? "" : "; ") + text;
}

void Mapping::place([[maybe_unused]] std::span<const NumaShare> shares) {
  bool wants = false;
  for (const NumaShare& share : shares)
    wants = wants || share.numa_node >= 0;
  if (!wants)
    return;
  if (!numa_is_available()) {
    note("no NUMA here: memory is wherever the system puts it");
    return;
  }
#ifdef MMBOX_HAS_LIBNUMA
  std::uintptr_t at = base_;
  for (const NumaShare& share : shares) {
    if (share.numa_node > numa_max_node())
      note("there is no node " + std::to_string(share.numa_node));
    else if (share.numa_node >= 0)
      numa_tonode_memory(pointer_to(at), share.bytes, share.numa_node);
    at += share.bytes;
  }
#endif
}

bool Mapping::give_back(std::uintptr_t begin, std::size_t bytes) const {
  switch (backing_) {
    case Backing::Foreign: return false;
    // What MADV_DONTNEED takes from a shared mapping stays in the file.
    case Backing::Memfd: return madvise(pointer_to(begin), bytes, MADV_REMOVE) == 0;
    default: return madvise(pointer_to(begin), bytes, MADV_DONTNEED) == 0;
  }
}

Books::Books(std::size_t bytes) : size_(bytes) {
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    fail("arena: no memory for its books");
  base_ = static_cast<std::byte*>(at);
}

Books::~Books() {
  if (base_ != nullptr)
    munmap(base_, size_);
}

Books::Books(Books&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Books& Books::operator=(Books&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  return *this;
}

bool numa_is_available() {
#ifdef MMBOX_HAS_LIBNUMA
  return numa_available() >= 0;
#else
  return false;
#endif
}

std::vector<int> numa_node_of_cpus(std::size_t cpus) {
  std::vector<int> nodes(cpus, 0);
#ifdef MMBOX_HAS_LIBNUMA
  if (numa_is_available())
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
      const int node = numa_node_of_cpu(static_cast<int>(cpu));
      nodes[cpu] = node < 0 ? 0 : node;
    }
#endif
  return nodes;
}

}  // namespace mmbox
