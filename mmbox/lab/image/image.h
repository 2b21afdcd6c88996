// A machine of the lab with the bytes that it lives in; made from a configuration or from an exact snapshot, and
// written back to one.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "mmbox/lab/error.h"
#include "mmbox/lab/snapshot/snapshot.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Zero-filled bytes straight from the operating system: what is never touched costs no memory.
class Storage {
 public:
  Storage() = default;
  /// Throws std::bad_alloc if the system refuses the mapping.
  explicit Storage(std::size_t size);
  Storage(Storage&& other) noexcept;
  Storage& operator=(Storage&& other) noexcept;
  ~Storage();
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }
  /// Asks the system for 2 MiB pages behind what will be touched. Faster for who touches it all, larger for others.
  void prefer_huge_pages() const;

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Makes `to` equal to `from`, which is as long. What is equal already is not written: memory that neither has touched
/// stays untouched.
void copy_differences(std::span<std::byte> to, std::span<const std::byte> from);

/// The pages of each pageblock that could be migrated, as numbers: what a snapshot says of them.
class CountedContents final : public PageContents {
 public:
  explicit CountedContents(Pfn first, std::size_t pageblocks) : first_(first), movable_(pageblocks) {}
  [[nodiscard]] PageCount movable_pages(Pfn begin, Pfn end) override;
  void set(Pfn pageblock, std::uint32_t movable_pages);

 private:
  Pfn first_;
  std::vector<std::uint16_t> movable_;
};

/// A machine and its bytes. Move-only; `copy` makes another in the same state.
class Image {
 public:
  explicit Image(const MachineConfig& config);
  [[nodiscard]] Image copy() const;
  /// For a machine that will be worked hard, see Storage.
  void prefer_huge_pages() const { storage_.prefer_huge_pages(); }
  [[nodiscard]] Machine& machine() { return *machine_; }
  [[nodiscard]] const Machine& machine() const { return *machine_; }
  /// What this image knows of the pages in use; nullptr unless it was made from a snapshot.
  [[nodiscard]] CountedContents* contents() { return contents_.get(); }

 private:
  friend Expected<Image> image_of(const Snapshot& snapshot, const Generation& generation);
  Image() = default;
  Storage storage_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<CountedContents> contents_;
};

/// Makes a machine in exactly the state of `snapshot`: every list in order, every counter with its deltas.
///
/// `generation`: of the recorded kernel; change_generation() hands the machine to another one. An error if the
/// snapshot's zones or lists do not fit the model (an unknown set of zone types, another number of orders); its text
/// says what. Zonelists are computed and compared with the recorded ones.
[[nodiscard]] Expected<Image> image_of(const Snapshot& snapshot, const Generation& generation);

/// The state of `machine` as a snapshot. What the allocator does not keep (node counters,
/// reserved pages of pageblocks, kernel variables) is taken over from `base`, the snapshot that the machine was made
/// from. With nothing done in between the result equals `base`.
[[nodiscard]] Snapshot snapshot_of(const Machine& machine, const Snapshot& base);

}  // namespace mmbox::lab
