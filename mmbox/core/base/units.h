// Units of the page allocator: what a number counts is part of its type.
//
// Lowest file of core: everything else speaks in these types. A position (`Pfn`) and a distance (`PageCount`) differ,
// and an `Order` is neither, so that mixing them up does not compile.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mmbox {

/// The log2 of the largest block's pages; inclusive.
/// Source: MAX_ORDER - 1 before 6.4, MAX_PAGE_ORDER since 6.8.
inline constexpr unsigned kMaxPageOrder = 10;
/// Number of orders: 0 … kMaxPageOrder.
inline constexpr unsigned kOrders = kMaxPageOrder + 1;
/// The log2 of the pages of a pageblock, the unit that carries a migratetype.
inline constexpr unsigned kPageblockOrder = 9;
inline constexpr std::uint64_t kPageblockPages = 1ULL << kPageblockOrder;
/// Orders above this one are "costly": the allocator does not retry for them without end.
inline constexpr unsigned kCostlyOrder = 3;
inline constexpr std::uint64_t kPageSize = 4096;

/// log2 of a block's pages. Compares and converts like a number, but is not a number of pages.
class Order {
 public:
  constexpr explicit Order(unsigned value) : value_(static_cast<std::uint8_t>(value)) {}
  [[nodiscard]] constexpr unsigned raw() const { return value_; }
  friend constexpr auto operator<=>(Order, Order) = default;

 private:
  std::uint8_t value_;
};

/// A number of base pages.
class PageCount {
 public:
  constexpr PageCount() = default;
  constexpr explicit PageCount(std::uint64_t value) : value_(value) {}
  /// The pages of one block of `order`.
  [[nodiscard]] static constexpr PageCount in(Order order) { return PageCount{1ULL << order.raw()}; }
  [[nodiscard]] constexpr std::uint64_t raw() const { return value_; }
  friend constexpr auto operator<=>(PageCount, PageCount) = default;
  friend constexpr PageCount operator+(PageCount a, PageCount b) { return PageCount{a.value_ + b.value_}; }
  friend constexpr PageCount operator-(PageCount a, PageCount b) { return PageCount{a.value_ - b.value_}; }
  constexpr PageCount& operator+=(PageCount n) {
    value_ += n.value_;
    return *this;
  }

 private:
  std::uint64_t value_ = 0;
};

/// A page frame number: the position of one base page in the machine.
class Pfn {
 public:
  constexpr Pfn() = default;
  constexpr explicit Pfn(std::uint64_t value) : value_(value) {}
  [[nodiscard]] constexpr std::uint64_t raw() const { return value_; }
  /// The other half of the order-(n+1) block that holds this order-n block.
  [[nodiscard]] constexpr Pfn buddy(Order order) const { return Pfn{value_ ^ PageCount::in(order).raw()}; }
  /// The start of the order-n block that holds this page.
  [[nodiscard]] constexpr Pfn align_down(Order order) const { return Pfn{value_ & ~(PageCount::in(order).raw() - 1)}; }
  [[nodiscard]] constexpr bool is_aligned(Order order) const { return align_down(order) == *this; }
  friend constexpr auto operator<=>(Pfn, Pfn) = default;
  friend constexpr Pfn operator+(Pfn pfn, PageCount n) { return Pfn{pfn.value_ + n.raw()}; }
  friend constexpr PageCount operator-(Pfn a, Pfn b) { return PageCount{a.value_ - b.value_}; }

 private:
  std::uint64_t value_ = 0;
};

/// A half-open run of page frames, `[begin, end)`.
struct PfnRange {
  Pfn begin;
  Pfn end;
  [[nodiscard]] constexpr PageCount pages() const { return begin < end ? end - begin : PageCount{}; }
  [[nodiscard]] constexpr bool contains(Pfn pfn) const { return begin <= pfn && pfn < end; }
  friend constexpr bool operator==(PfnRange, PfnRange) = default;
};

namespace detail {
/// A small index with a name; `Tag` keeps two of them apart.
template <class Tag, class Rep>
class Index {
 public:
  constexpr Index() = default;
  constexpr explicit Index(std::size_t value) : value_(static_cast<Rep>(value)) {}
  [[nodiscard]] constexpr std::size_t raw() const { return value_; }
  friend constexpr auto operator<=>(Index, Index) = default;

 private:
  Rep value_ = 0;
};
}  // namespace detail

/// A NUMA node of the machine.
using NodeId = detail::Index<struct NodeTag, std::uint16_t>;
/// A CPU, as an index that the caller passes.
using CpuId = detail::Index<struct CpuTag, std::uint16_t>;
/// The position of a zone type among the compiled-in ones: DMA 0, DMA32 1, Normal 2, Movable 3, Device 4 on amd64.
using ZoneIndex = detail::Index<struct ZoneIndexTag, std::uint8_t>;
/// The position of one zone in the machine: all zones of node 0 by index, then those of node 1, ….
using ZoneId = detail::Index<struct ZoneIdTag, std::uint16_t>;

/// Logical time that the caller passes; the kernel's jiffies.
using Tick = std::uint64_t;

/// The kind of a zone.
/// Source: enum zone_type; /proc/zoneinfo prints these names.
enum class ZoneType : std::uint8_t { Dma, Dma32, Normal, HighMem, Movable, Device };

[[nodiscard]] constexpr std::string_view zone_type_name(ZoneType type) {
  switch (type) {
    case ZoneType::Dma: return "DMA";
    case ZoneType::Dma32: return "DMA32";
    case ZoneType::Normal: return "Normal";
    case ZoneType::HighMem: return "HighMem";
    case ZoneType::Movable: return "Movable";
    case ZoneType::Device: return "Device";
  }
  return "?";
}

template <class A, class B>
concept Addable = requires(A a, B b) {
  a + b;
};
static_assert(Pfn{8}.buddy(Order{2}) == Pfn{12});
static_assert(Addable<Pfn, PageCount>);
static_assert(!Addable<Pfn, Pfn>);    // two places do not add up to a place
static_assert(!Addable<Pfn, Order>);  // an order is not a distance
static_assert(!std::convertible_to<unsigned, Order> && !std::convertible_to<std::uint64_t, Pfn>);
static_assert(!std::equality_comparable_with<NodeId, CpuId>);

}  // namespace mmbox
