#include "mmbox/lab/explain/kernel_facts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace mmbox::lab::explain {
namespace {

/// The tests of one range of kernels. Source: the matrix of generations, 05 section 2.3 and section 6.
struct RulesRow {
  std::uint32_t since;
  const char* name;
  WatermarkPolicy watermark;
};
constexpr std::array kRules{
    RulesRow{0, "kernels before 4.4", {WatermarkRule::Loop, WatermarkFastRule::None, BoostException::None}},
    RulesRow{4004, "4.4 to 4.6", {WatermarkRule::Harder, WatermarkFastRule::None, BoostException::None}},
    RulesRow{4007, "4.7 to 4.13", {WatermarkRule::Harder, WatermarkFastRule::CmaOnly, BoostException::None}},
    RulesRow{4014, "4.14 to 5.8", {WatermarkRule::HarderOom, WatermarkFastRule::CmaOnly, BoostException::None}},
    RulesRow{5009,
             "5.9 to 6.2 (6.1: up to 6.1.115)",
             {WatermarkRule::HarderOom, WatermarkFastRule::AllDeductions, BoostException::GfpAtomic}},
    RulesRow{
        6003, "6.3 and later", {WatermarkRule::Reserves, WatermarkFastRule::AllDeductions, BoostException::MinReserve}},
};
/// The long-term series got the later rule in a stable update.
constexpr RulesRow kRules61Stable{
    6001,
    "6.1.116 and later 6.1",
    {WatermarkRule::Reserves, WatermarkFastRule::AllDeductions, BoostException::GfpAtomic}};
constexpr std::uint32_t kStableOfNewRule61 = 116;

/// "6.1.192", "6.8.0-rc3-1.gae4495f", "3.10.0-514.el7": major, minor and third number.
struct Version {
  std::uint32_t version = 0;
  std::uint32_t patch = 0;
};
std::optional<Version> parse_version(std::string_view text) {
  std::array<std::uint32_t, 3> numbers{};
  std::size_t n = 0;
  while (n < numbers.size()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), numbers[n]);
    if (error != std::errc{})
      break;
    ++n;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty() || text.front() != '.')
      break;
    text.remove_prefix(1);
  }
  if (n < 2 || numbers[0] > 99 || numbers[1] > 999)
    return std::nullopt;
  return Version{numbers[0] * 1000 + numbers[1], n == 3 ? numbers[2] : 0};
}

bool any_zone_has(const FailureReport& report, ZoneField field) {
  return std::any_of(report.zones.begin(), report.zones.end(),
                     [&](const ZoneText& zone) { return zone.kb[field].has_value(); });
}

bool any_letter(const FailureReport& report, char letter) {
  for (const ZoneText& zone : report.zones)
    for (const OrderBlocks& blocks : zone.blocks)
      if (letter == '\0' ? !blocks.letters.empty() : blocks.letters.find(letter) != std::string::npos)
        return true;
  return false;
}

/// The first release that prints what this report prints. Source: 09 section 11.
std::uint32_t version_by_fields(const FailureReport& report) {
  if (any_zone_has(report, ZoneField::FreeHighatomic))
    return 6013;
  if (report.global_pages[GlobalField::SecPagetables])
    return 6001;
  if (any_zone_has(report, ZoneField::Boost))
    return 5016;
  if (any_zone_has(report, ZoneField::ReservedHighatomic))
    return 5009;
  if (report.cpuset && report.headline == Headline::AllocationFailure && !report.gfp_names.empty())
    return 5000;
  if (!report.nodes.empty() || any_zone_has(report, ZoneField::Writepending))
    return 4008;
  if (!report.gfp_names.empty())
    return 4006;
  if (any_zone_has(report, ZoneField::FreePcp))
    return 4001;
  if (any_letter(report, 'R') || any_zone_has(report, ZoneField::Managed))
    return 3010;
  if (any_letter(report, '\0'))
    return 3008;
  if (report.global_pages[GlobalField::Active])
    return 2006;
  return report.zones.empty() ? 0 : 3000;
}

/// The layout that the printed names speak for; else the one of the version; else the one that makes sense of the
/// mask.
const GfpLayout* choose_layout(const FailureReport& report, std::uint32_t version) {
  const auto layouts = gfp_layouts();
  const GfpLayout* chosen = &layouts.front();
  for (const GfpLayout& layout : layouts)
    if (layout.since() <= version)
      chosen = &layout;
  if (!report.gfp_mask)
    return chosen;
  const auto mask = static_cast<std::uint32_t>(*report.gfp_mask);
  if (!report.gfp_names.empty()) {
    const auto fits = [&](const GfpLayout& layout) { return layout.parse(report.gfp_names) == mask; };
    if (fits(*chosen))
      return chosen;
    for (auto layout = layouts.rbegin(); layout != layouts.rend(); ++layout)
      if (fits(*layout))
        return &*layout;
    return chosen;
  }
  if (version >= 3000 && version != 4001)
    return chosen;
  // Hex alone and no release: 4.4 and 4.5 have the reclaim bits up here, older kernels nothing.
  const bool is_44 = (mask & 0x2400000U) != 0 && (mask & 0x10U) == 0;
  return is_44 ? &layouts[1] : &layouts.front();
}

}  // namespace

KernelFacts kernel_facts(const FailureReport& report) {
  KernelFacts facts{};
  const std::uint32_t by_fields = version_by_fields(report);
  std::optional<Version> version = parse_version(report.release);
  if (version) {
    facts.text = report.release;
    if (const auto stable = parse_version(report.stable_release); stable && stable->version == version->version)
      version = stable;
  } else {
    facts.is_inferred = true;
    version = Version{by_fields, 0};
    if (by_fields != 0) {
      // The names of the mask may know better than the fields.
      const GfpLayout* const layout = choose_layout(report, by_fields);
      if (!report.gfp_names.empty() && layout->since() > version->version)
        version->version = layout->since();
      facts.text = "about " + std::to_string(version->version / 1000) + "." + std::to_string(version->version % 1000) +
                   " (judged by what it prints)";
    } else {
      version->version = 6001;
      facts.text = "unknown";
    }
  }
  facts.version = version->version;
  facts.patch = version->patch;
  facts.gfp = choose_layout(report, facts.version);

  const RulesRow* row = kRules.data();
  for (const RulesRow& candidate : kRules)
    if (candidate.since <= facts.version)
      row = &candidate;
  if (facts.version == kRules61Stable.since && facts.patch >= kStableOfNewRule61)
    row = &kRules61Stable;
  facts.rules = row->name;
  facts.watermark = row->watermark;

  facts.prints_boost = any_zone_has(report, ZoneField::Boost);
  facts.prints_letters = any_letter(report, '\0');
  if (any_zone_has(report, ZoneField::FreeHighatomic))
    facts.highatomic = HighAtomicPrint::Free;
  else if (any_zone_has(report, ZoneField::ReservedHighatomic))
    facts.highatomic = facts.version >= 6012 ? HighAtomicPrint::Bounded : HighAtomicPrint::Reserved;
  else
    facts.highatomic = facts.version >= 4004 ? HighAtomicPrint::Hidden : HighAtomicPrint::None;
  facts.hides_higher_zones = facts.version >= 6001;
  facts.compaction_needs_fs = facts.version < 4010;
  constexpr std::uint32_t kFirstKmemcg = 3008;
  facts.has_early_movable_bit = facts.version < kFirstKmemcg && !facts.prints_letters;
  return facts;
}

}  // namespace mmbox::lab::explain
