// An arena as the memory of standard containers.
#pragma once

#include <memory_resource>

#include "mmbox/arena/arena.h"

namespace mmbox {

/// Hands out whole blocks: at least a page for every allocation. Put a std::pmr::unsynchronized_pool_resource or a
/// std::pmr::monotonic_buffer_resource in front of it for small ones. Throws std::bad_alloc.
class ArenaResource final : public std::pmr::memory_resource {
 public:
  explicit ArenaResource(Arena& arena, const Want& want = {}) : arena_(arena), want_(want) { want_.owner.reset(); }
  [[nodiscard]] Arena& arena() const { return arena_; }

 private:
  /// The size of a block is its alignment; more than a block's size is had by a larger block.
  static std::size_t padded(std::size_t bytes, std::size_t alignment) { return bytes < alignment ? alignment : bytes; }
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    constexpr std::size_t kRunAlignment = kPageblockPages * kPageSize;  // of what is larger than any block
    if (alignment > kRunAlignment && padded(bytes, alignment) > kPageSize << kMaxPageOrder)
      throw std::bad_alloc{};
    return arena_.allocate_bytes(padded(bytes, alignment), want_);
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    arena_.free_bytes(block, padded(bytes, alignment));
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    const auto* const resource = dynamic_cast<const ArenaResource*>(&other);
    return resource != nullptr && &resource->arena_ == &arena_;
  }

  Arena& arena_;
  Want want_;
};

}  // namespace mmbox
