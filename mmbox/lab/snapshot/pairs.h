// Lines of `key=value` pairs whose keys are members of a struct: one description serves reading, writing and comparing.
//
// A description is a function `void zw_fields(auto& zone, auto& on)` that calls, for each key in the recorder's order,
// `on.decimal("min", zone.min)`, `on.hex("flags", zone.flags)` or `on.optional("promo", zone.promo)`. The visitors of
// this file give those calls their meaning. Used in this folder only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "mmbox/core/base/units.h"
#include "mmbox/lab/snapshot/snapshot.h"
#include "mmbox/lab/snapshot/words.h"

namespace mmbox::lab::pairs {

/// How a member's type is made from the number in the text, and back.
template <class T>
struct Codec {
  using Number = T;
  static T make(Number n) { return n; }
  static Number raw(T value) { return value; }
};
template <>
struct Codec<Pfn> {
  using Number = std::uint64_t;
  static Pfn make(Number n) { return Pfn{n}; }
  static Number raw(Pfn value) { return value.raw(); }
};
template <>
struct Codec<PageCount> {
  using Number = std::uint64_t;
  static PageCount make(Number n) { return PageCount{n}; }
  static Number raw(PageCount value) { return value.raw(); }
};
template <class Tag, class Rep>
struct Codec<detail::Index<Tag, Rep>> {
  using Number = Rep;
  static detail::Index<Tag, Rep> make(Number n) { return detail::Index<Tag, Rep>{n}; }
  static Number raw(detail::Index<Tag, Rep> value) { return static_cast<Number>(value.raw()); }
};
template <>
struct Codec<bool> {
  using Number = std::uint8_t;
  static bool make(Number n) { return n != 0; }
  static Number raw(bool value) { return value ? 1 : 0; }
};

/// Takes the pairs of one line into members; what no member asked for is left for `rest`.
class Reader {
 public:
  /// False if there is a word without "=", a key twice or more than kPairs pairs; `problem` says which.
  bool split(std::string_view text) {
    words::Words line(text);
    while (const std::optional<std::string_view> word = line.next()) {
      const std::size_t equals = word->find('=');
      if (equals == std::string_view::npos || equals == 0)
        return refuse("is not a pair key=value", *word);
      if (count_ == kPairs)
        return refuse("is one pair too many", *word);
      const std::string_view key = word->substr(0, equals);
      for (std::size_t i = 0; i < count_; ++i) {
        if (pairs_[i].key == key)
          return refuse("stands twice on its line", key);
      }
      pairs_[count_++] = {key, word->substr(equals + 1), false};
    }
    return true;
  }
  template <class T>
  void decimal(const char* key, T& member) {
    take(key, member, false, true);
  }
  template <class T>
  void hex(const char* key, T& member) {
    take(key, member, true, true);
  }
  template <class T>
  void optional(const char* key, std::optional<T>& member) {
    T value{};
    if (take(key, value, false, false))
      member = value;
  }
  /// The text of a pair, or nullopt.
  std::optional<std::string_view> text(std::string_view key) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (!pairs_[i].taken && pairs_[i].key == key) {
        pairs_[i].taken = true;
        return pairs_[i].value;
      }
    }
    return std::nullopt;
  }
  /// The pairs that no member took, in order.
  [[nodiscard]] KeyValues rest() const {
    KeyValues result;
    for (std::size_t i = 0; i < count_; ++i) {
      if (!pairs_[i].taken)
        result.push_back({std::string{pairs_[i].key}, std::string{pairs_[i].value}});
    }
    return result;
  }
  /// The first thing that was wrong; empty if nothing was.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  static constexpr std::size_t kPairs = 64;  // the longest line has 16 today
  struct Pair {
    std::string_view key;
    std::string_view value;
    bool taken;
  };

  template <class T>
  bool take(const char* key, T& member, bool is_hex, bool is_required) {
    const std::optional<std::string_view> value = text(key);
    if (!value) {
      if (is_required)
        refuse("is missing", key);
      return false;
    }
    using Number = typename Codec<T>::Number;
    std::optional<Number> parsed;
    if (is_hex) {
      if constexpr (sizeof(Number) == 8)
        parsed = words::hex_0x(*value);
    } else {
      parsed = words::number<Number>(*value);
    }
    bool fits = parsed.has_value();
    if constexpr (std::is_same_v<T, bool>)
      fits = fits && *parsed <= 1;
    if constexpr (std::is_same_v<T, Pfn> || std::is_same_v<T, PageCount>)
      fits = fits && *parsed < words::kPfnEnd;
    if (!fits) {
      refuse("is not a number in its range", std::string{key} + "=" + std::string{*value});
      return false;
    }
    member = Codec<T>::make(*parsed);
    return true;
  }
  bool refuse(const char* what, std::string_view word) {
    if (problem_.empty())
      problem_ = words::quoted(word) + " " + what;
    return false;
  }

  std::array<Pair, kPairs> pairs_;
  std::size_t count_ = 0;
  std::string problem_;
};

/// Appends " key=value" for each member.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(&out) {}
  template <class T>
  void decimal(const char* key, const T& member) {
    begin(key);
    words::append(*out_, Codec<T>::raw(member));
  }
  template <class T>
  void hex(const char* key, const T& member) {
    begin(key);
    *out_ += "0x";
    words::append(*out_, Codec<T>::raw(member), 16);
  }
  template <class T>
  void optional(const char* key, const std::optional<T>& member) {
    if (member)
      decimal(key, *member);
  }

 private:
  void begin(const char* key) {
    *out_ += ' ';
    *out_ += key;
    *out_ += '=';
  }
  std::string* out_;
};

/// Collects names and values as text, to compare two structs member by member.
class Lister {
 public:
  template <class T>
  void decimal(const char* key, const T& member) {
    std::string text;
    words::append(text, Codec<T>::raw(member));
    pairs.push_back({key, std::move(text)});
  }
  template <class T>
  void hex(const char* key, const T& member) {
    std::string text = "0x";
    words::append(text, Codec<T>::raw(member), 16);
    pairs.push_back({key, std::move(text)});
  }
  template <class T>
  void optional(const char* key, const std::optional<T>& member) {
    if (member)
      decimal(key, *member);
  }
  KeyValues pairs;
};

// The lines. `Struct` is the snapshot's struct, const or not.

template <class Struct, class On>
void node_fields(Struct& node, On& on) {
  on.hex("start_pfn", node.start);
  on.decimal("spanned", node.spanned);
  on.decimal("present", node.present);
  on.decimal("totalreserve", node.totalreserve);
  on.decimal("min_unmapped", node.min_unmapped);
  on.decimal("min_slab", node.min_slab);
  on.hex("flags", node.flags);
}

template <class Struct, class On>
void nk_fields(Struct& node, On& on) {
  on.decimal("kswapd_order", node.kswapd_order);
  on.decimal("kswapd_highest_zoneidx", node.kswapd_highest_zone);
  on.decimal("kswapd_failures", node.kswapd_failures);
  on.decimal("kcompactd_max_order", node.kcompactd_order);
  on.decimal("kcompactd_highest_zoneidx", node.kcompactd_highest_zone);
  on.optional("kswapd_waiting", node.kswapd_waiting);
  on.optional("proactive", node.proactive_compact);
}

/// Of the ZONE line, what stands behind `name=`.
template <class Struct, class On>
void zone_fields(Struct& zone, On& on) {
  on.hex("start_pfn", zone.start);
  on.decimal("spanned", zone.spanned);
  on.decimal("present", zone.present);
  on.decimal("managed", zone.managed);
}

template <class Struct, class On>
void zw_fields(Struct& zone, On& on) {
  on.decimal("min", zone.min);
  on.decimal("low", zone.low);
  on.decimal("high", zone.high);
  on.optional("promo", zone.promo);
  on.decimal("boost", zone.boost);
  on.decimal("highatomic", zone.reserved_highatomic);
  on.hex("flags", zone.flags);
  on.decimal("drift_mark", zone.drift_mark);
  on.decimal("isolate_blocks", zone.isolated_pageblocks);
  on.decimal("contiguous", zone.contiguous);
  on.decimal("initialized", zone.initialized);
  on.optional("pageset_high", zone.pageset_high);
  on.optional("pageset_high_min", zone.pageset_high_min);
  on.optional("pageset_high_max", zone.pageset_high_max);
  on.optional("pageset_batch", zone.pageset_batch);
  on.optional("free_highatomic", zone.free_highatomic);
  on.optional("cma", zone.cma);
}

template <class Struct, class On>
void zc_fields(Struct& zone, On& on) {
  on.hex("free_pfn", zone.compact_cached_free);
  on.hex("migrate_async", zone.compact_cached_migrate[0]);
  on.hex("migrate_sync", zone.compact_cached_migrate[1]);
  on.hex("init_migrate", zone.compact_init_migrate);
  on.hex("init_free", zone.compact_init_free);
  on.decimal("considered", zone.compact_considered);
  on.decimal("defer_shift", zone.compact_defer_shift);
  on.decimal("order_failed", zone.compact_order_failed);
  on.decimal("blockskip_flush", zone.compact_blockskip_flush);
}

template <class Struct, class On>
void pcp_fields(Struct& cpu, On& on) {
  on.decimal("count", cpu.count);
  on.decimal("high", cpu.high);
  on.decimal("batch", cpu.batch);
  on.optional("free_factor", cpu.free_factor);
  on.optional("high_min", cpu.high_min);
  on.optional("high_max", cpu.high_max);
  on.optional("flags", cpu.flags);
  on.optional("alloc_factor", cpu.alloc_factor);
  on.optional("free_count", cpu.free_count);
  on.decimal("expire", cpu.expire);
}

}  // namespace mmbox::lab::pairs
