#include "mmbox/lab/generations/generations.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace mmbox::lab {
namespace {

constexpr std::array kAll{&kLinux310, &kLinux412, &kLinux510, &kLinux610, &kLinux61, &kLinux612, &kLinux72};

/// The numbers at the beginning of a release: "6.12.95+deb12" is {6, 12, 95}.
struct Release {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t point = 0;
  bool names_point = false;  ///< "6.12" does not, nor does a distribution's "5.10.0-32": what it ships is a late one
  [[nodiscard]] std::uint32_t series() const { return major * 1000 + minor; }
};

std::optional<Release> parse_release(std::string_view text) {
  if (text.starts_with("linux-"))
    text.remove_prefix(6);
  Release release;
  const bool has_suffix = text.find('-') != std::string_view::npos;
  std::array<std::uint32_t*, 3> parts{&release.major, &release.minor, &release.point};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, *parts[i]);
    if (error != std::errc{} || *parts[i] >= 1000)
      return i < 2 ? std::nullopt : std::optional{release};
    at = next;
    release.names_point = i == 2 && (*parts[i] != 0 || !has_suffix);
    if (i == 2 || at == end || *at != '.')
      return i < 1 ? std::nullopt : std::optional{release};
    ++at;
  }
  return release;
}

}  // namespace

std::span<const Generation* const> generations() {
  return kAll;
}

const Generation* generation_named(std::string_view name) {
  for (const Generation* generation : kAll)
    if (name == generation->name)
      return generation;
  return nullptr;
}

GenerationFacts generation_facts(const Generation& generation) {
  constexpr std::array<std::pair<const Generation*, GenerationFacts>, kAll.size()> kFacts{{
      {&kLinux310, {"3.10.105", false}},
      {&kLinux412, {"4.12.0", false}},
      {&kLinux510, {"5.10.223", true}},
      {&kLinux610, {"6.1.0", false}},
      {&kLinux61, {"6.1.192", true}},
      {&kLinux612, {"6.12.95", true}},
      {&kLinux72, {"7.2.13", true}},
  }};
  for (const auto& [known, facts] : kFacts)
    if (known->name == generation.name)
      return facts;
  return {};
}

std::optional<GenerationChoice> generation_of_release(std::string_view text) {
  const auto release = parse_release(text);
  if (!release)
    return std::nullopt;
  // From the first series that has most of a generation's policies (docs/generations.md, "Between the columns").
  struct Range {
    std::uint32_t since;
    std::uint32_t own;  ///< the series that the generation models
    const Generation* generation;
  };
  constexpr std::array<Range, 6> kRanges{{{0, 3010, &kLinux310},
                                          {4004, 4012, &kLinux412},
                                          {5000, 5010, &kLinux510},
                                          {5014, 6001, &kLinux61},
                                          {6007, 6012, &kLinux612},
                                          {6017, 7002, &kLinux72}}};
  Range range = kRanges.front();
  for (const Range& next : kRanges)
    if (release->series() >= next.since)
      range = next;
  GenerationChoice choice{range.generation, {}};
  // 6.1 changed on the way: most of it between 6.1.57 and 6.1.157.
  if (range.own == 6001 && release->series() == 6001 && release->names_point && release->point < 116)
    choice.generation = &kLinux610;
  const std::string_view reference = generation_facts(*choice.generation).reference;
  if (release->series() != range.own) {
    choice.note = fmt::format("{} is not modelled itself; {}, read from {}, is the nearest", text,
                              choice.generation->name, reference);
    return choice;
  }
  const auto modelled = parse_release(reference);
  if (release->names_point && modelled && modelled->point != release->point)
    choice.note = fmt::format("{} is the point release {}; {} was read from {}", text, release->point,
                              choice.generation->name, reference);
  return choice;
}

GenerationChoice generation_of_recording(std::optional<std::string_view> release) {
  if (!release)
    return {&kLinux61, {}};
  if (auto choice = generation_of_release(*release))
    return *choice;
  return {&kLinux61, fmt::format("the release {} cannot be read; {} is assumed", *release, kLinux61.name)};
}

}  // namespace mmbox::lab
