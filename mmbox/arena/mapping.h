// The memory that an arena hands out, as the operating system gives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mmbox {

/// The one place where a number becomes an address: of foreign memory an arena has only numbers.
[[nodiscard]] inline void* pointer_to(std::uintptr_t address) {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr)
}

/// Where an arena's memory comes from.
enum class Backing : std::uint8_t {
  Anonymous,  ///< private memory, 4 KiB pages or what the system makes of it
  HugePages,  ///< the same, with a wish for 2 MiB pages (madvise)
  HugeTlb,    ///< from the pool of reserved 2 MiB pages; HugePages if that has not enough
  Memfd,      ///< shared memory with a file descriptor
  Foreign,    ///< the caller's range, which nobody here reads or writes
};

/// Part of an arena's memory, to be placed on one NUMA node of the system.
struct NumaShare {
  int numa_node = -1;  ///< as the system numbers them; -1: anywhere
  std::size_t bytes = 0;
};

/// Memory of whole pages, aligned to 4 MiB. Given back by its destructor, unless it is foreign.
class Mapping {
 public:
  /// `shares` are placed one after the other and may be empty. Throws std::system_error if there is no memory.
  Mapping(Backing backing, std::size_t bytes, std::span<const NumaShare> shares);
  /// A foreign range; `base` is only a number.
  Mapping(std::uintptr_t base, std::size_t bytes) : base_(base), bytes_(bytes), backing_(Backing::Foreign) {}
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::uintptr_t base() const { return base_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// What it became, which is not what was asked for where the system had none of that.
  [[nodiscard]] Backing backing() const { return backing_; }
  /// What went otherwise than asked, in words; empty if nothing did.
  [[nodiscard]] const std::string& notes() const { return notes_; }
  /// Of Backing::Memfd; -1 for the others.
  [[nodiscard]] int file() const { return file_; }
  /// Lets the system have the pages of a range back. They read as zero afterwards, and come back when touched.
  /// False if it would not, as with reserved huge pages that the range cuts.
  bool give_back(std::uintptr_t begin, std::size_t bytes) const;

 private:
  void place(std::span<const NumaShare> shares);
  void note(const std::string& text);

  std::uintptr_t base_ = 0;
  std::size_t bytes_ = 0;
  std::uintptr_t reserved_ = 0;  ///< what was mapped, the alignment's share included
  std::size_t reserved_bytes_ = 0;
  Backing backing_;
  int file_ = -1;
  std::string notes_;
};

/// Memory for an arena's own books: zero-filled, resident only where it is written.
class Books {
 public:
  Books() = default;
  explicit Books(std::size_t bytes);
  ~Books();
  Books(const Books&) = delete;
  Books& operator=(const Books&) = delete;
  Books(Books&& other) noexcept;
  Books& operator=(Books&& other) noexcept;
  [[nodiscard]] std::span<std::byte> bytes() const { return {base_, size_}; }

 private:
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
};

/// The system's node of each CPU, by CPU; all 0 where the system has no NUMA or this build no libnuma.
[[nodiscard]] std::vector<int> numa_node_of_cpus(std::size_t cpus);
/// True if this build places memory with libnuma and the system has NUMA.
[[nodiscard]] bool numa_is_available();

}  // namespace mmbox
