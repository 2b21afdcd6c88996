// Small pieces of user-written text: sizes, address ranges, CPU lists, and guesses at what a misspelt word meant.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/core/base/units.h"

namespace mmbox::lab {

/// Decimal digits only; nullopt for anything else, and for what does not fit.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

/// Bytes of "64G", "1.5GiB", "512 MB", "4096k", "0x1000", "0": binary units, as the kernel's boot options have them.
///
/// A number without a unit is bytes. Errors: nullopt for no size, an unknown unit, or 2^64 bytes and more.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// The shortest text that parse_size() reads back, in whole units: "64G", "4K", "0".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// A half-open range of addresses, "1M-3G", "0x1000-0x9f000": whole pages, not empty.
[[nodiscard]] std::optional<PfnRange> parse_address_range(std::string_view text);
[[nodiscard]] std::string address_range_text(PfnRange range);

/// CPU ids of "0-7,16-23", ascending; nullopt if it is no such list, or an id is `limit` or more.
[[nodiscard]] std::optional<std::vector<std::uint64_t>> parse_cpu_list(std::string_view text, std::uint64_t limit);
/// The kernel's form of an ascending list: "0-7,16".
[[nodiscard]] std::string cpu_list_text(std::span<const std::uint64_t> cpus);

/// `did you mean "NEAREST"?` if a candidate is near enough, else `known are A, B, …`.
[[nodiscard]] std::string suggestion(std::string_view word, std::span<const std::string_view> candidates);
[[nodiscard]] std::string suggestion(std::string_view word, std::initializer_list<std::string_view> candidates);

/// `text` in quotes for a message: control characters replaced, long text cut.
[[nodiscard]] std::string in_quotes(std::string_view text);

[[nodiscard]] std::string_view trimmed(std::string_view text);
/// The words between white space, in lower case.
[[nodiscard]] std::vector<std::string> split_words(std::string_view text);
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace mmbox::lab
