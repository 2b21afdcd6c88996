#include "mmbox/lab/machine_spec/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <tuple>

namespace mmbox::lab {
namespace {

constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::optional<std::uint64_t> parse_digits(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    return std::nullopt;
  return value;
}

/// log2 of "", "b", "k", "kb", "kib", "m", …
std::optional<unsigned> unit_shift(std::string_view unit) {
  constexpr std::string_view kPrefixes = "kmgt";
  const std::string word = lower_case(unit);
  if (word.empty() || word == "b")
    return 0;
  const std::size_t at = kPrefixes.find(word[0]);
  if (at == std::string_view::npos)
    return std::nullopt;
  const std::string_view rest = std::string_view{word}.substr(1);
  if (!rest.empty() && rest != "b" && rest != "ib")
    return std::nullopt;
  return static_cast<unsigned>(10 * (at + 1));
}

/// Letters to insert, delete or replace (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

std::string lower_case(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  text = trimmed(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n"), text.size());
    words.push_back(lower_case(text.substr(0, end)));
    text = trimmed(text.substr(end));
  }
  return words;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  return parse_digits(trimmed(text), 10);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with("0x") || text.starts_with("0X"))
    return parse_digits(text.substr(2), 16);
  const std::size_t whole_end = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::uint64_t> whole = parse_digits(text.substr(0, whole_end), 10);
  if (!whole)
    return std::nullopt;
  text.remove_prefix(whole_end);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const std::size_t fraction_end = std::min(text.find_first_not_of("0123456789"), text.size());
    fraction = text.substr(0, fraction_end);
    if (fraction.empty() || fraction.size() > 6)
      return std::nullopt;
    text.remove_prefix(fraction_end);
  }
  const std::optional<unsigned> shift = unit_shift(trimmed(text));
  if (!shift || *whole > (~0ULL >> *shift))
    return std::nullopt;
  std::uint64_t bytes = *whole << *shift;
  if (!fraction.empty()) {
    // Six digits times a unit of 2^40 stay below 2^60.
    std::uint64_t scale = 1;
    for (std::size_t i = 0; i < fraction.size(); ++i)
      scale *= 10;
    const std::uint64_t part = (*parse_digits(fraction, 10) << *shift) / scale;
    if (bytes > ~0ULL - part)
      return std::nullopt;
    bytes += part;
  }
  return bytes;
}

std::string size_text(std::uint64_t bytes) {
  unsigned unit = 0;
  while (unit < 4 && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  constexpr std::string_view kUnits[] = {"", "K", "M", "G", "T"};
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::optional<PfnRange> parse_address_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos)
    return std::nullopt;
  const std::optional<std::uint64_t> begin = parse_size(text.substr(0, dash));
  const std::optional<std::uint64_t> end = parse_size(text.substr(dash + 1));
  if (!begin || !end || *begin >= *end || *begin % kPageSize != 0 || *end % kPageSize != 0)
    return std::nullopt;
  return PfnRange{Pfn{*begin / kPageSize}, Pfn{*end / kPageSize}};
}

std::string address_range_text(PfnRange range) {
  return fmt::format("{:#x}-{:#x}", range.begin.raw() * kPageSize, range.end.raw() * kPageSize);
}

std::optional<std::vector<std::uint64_t>> parse_cpu_list(std::string_view text, std::uint64_t limit) {
  std::vector<std::uint64_t> cpus;
  text = trimmed(text);
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const std::optional<std::uint64_t> first = parse_number(part.substr(0, dash));
    const std::optional<std::uint64_t> last =
        dash == std::string_view::npos ? first : parse_number(part.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= limit || (!cpus.empty() && *first <= cpus.back()))
      return std::nullopt;
    for (std::uint64_t cpu = *first; cpu <= *last; ++cpu)
      cpus.push_back(cpu);
    if (comma == text.size())
      break;
    text.remove_prefix(comma + 1);
    if (text.empty())
      return std::nullopt;
  }
  return cpus;
}

std::string cpu_list_text(std::span<const std::uint64_t> cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1)
      ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpus[i]);
    if (last != i)
      text += fmt::format("-{}", cpus[last]);
    i = last + 1;
  }
  return text;
}

std::string suggestion(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view nearest;
  std::size_t nearest_distance = ~std::size_t{0};
  // A long word is no misspelling, and the comparison takes time.
  if (word.size() <= 64) {
    for (const std::string_view candidate : candidates) {
      // The last part of a dotted name may stand for all of it.
      const std::string_view tail = candidate.substr(candidate.rfind('.') + 1);
      const std::size_t distance = std::min(edit_distance(word, candidate), edit_distance(word, tail));
      if (distance < nearest_distance)
        std::tie(nearest, nearest_distance) = std::tuple{candidate, distance};
    }
  }
  if (nearest_distance <= std::max<std::size_t>(2, word.size() / 3) && nearest_distance < nearest.size())
    return fmt::format("did you mean \"{}\"?", nearest);
  return fmt::format("known are {}", fmt::join(candidates, ", "));
}

std::string suggestion(std::string_view word, std::initializer_list<std::string_view> candidates) {
  return suggestion(word, std::span{candidates.begin(), candidates.size()});
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string result = "\"";
  for (const char c : text.substr(0, kLongest))
    result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return result + (text.size() > kLongest ? "…\"" : "\"");
}

}  // namespace mmbox::lab
