#include "mmbox/lab/snapshot/page_dump.h"

#include <algorithm>

#include "mmbox/lab/snapshot/words.h"

namespace mmbox::lab {
namespace {

constexpr std::string_view kKinds = "BStRAFMox";
// More zones than any machine has (1024 nodes × 6).
constexpr std::size_t kZonesMax = 6144;

/// Source: enum pageflags, Linux 6.1. The dumps of 5.10 have the same.
constexpr PageFlagBits kBits61{.locked = 1U << 0,
                               .referenced = 1U << 1,
                               .dirty = 1U << 3,
                               .lru = 1U << 4,
                               .active = 1U << 5,
                               .swap_cache = 1U << 10,
                               .has_private = 1U << 13,
                               .writeback = 1U << 15,
                               .swap_backed = 1U << 19,
                               .unevictable = 1U << 20};
/// Source: the same of 6.12. In the dumps of 6.12 and 7.2 referenced, dirty, LRU, private and swap-backed pages have
/// these bits; pages of the other states were not seen there.
constexpr PageFlagBits kBits612{.locked = 1U << 0,
                                .referenced = 1U << 2,
                                .dirty = 1U << 4,
                                .lru = 1U << 5,
                                .active = 1U << 8,
                                .swap_cache = 1U << 10,
                                .has_private = 1U << 14,
                                .writeback = 1U << 1,
                                .swap_backed = 1U << 17,
                                .unevictable = 1U << 18};

Error refusal(std::string message) {
  return Error{.message = std::move(message), .remedy = "the page dump is cut or was changed: take it again"};
}

std::optional<PageRun> parse_run(std::string_view rest) {
  words::Words line(rest);
  const auto word = [&line] { return line.next().value_or(std::string_view{}); };
  const std::optional<Pfn> start = words::pfn(word());
  const auto pages = words::number<std::uint64_t>(word());
  const auto flags = words::number<std::uint64_t>(word(), 16);
  const auto refcount = words::number<std::int32_t>(word());
  const auto mapcount = words::number<std::int32_t>(word());
  const auto order = words::number<std::int32_t>(word());
  const std::string_view kind = word();
  if (!start || !pages || !flags || !refcount || !mapcount || !order || kind.size() != 1 || !line.at_end())
    return std::nullopt;
  if (*pages == 0 || *pages >= words::kPfnEnd || kKinds.find(kind[0]) == std::string_view::npos)
    return std::nullopt;
  return PageRun{*start, PageCount{*pages}, *flags, *refcount, *mapcount, *order, static_cast<PageKind>(kind[0])};
}

}  // namespace

const PageFlagBits& page_flag_bits(const Generation& generation) {
  return generation.name == kLinux612.name || generation.name == kLinux72.name ? kBits612 : kBits61;
}

const PageRun* PageDump::run_of(Pfn pfn) const {
  for (const PageDumpZone& zone : zones) {
    auto after = std::upper_bound(zone.runs.begin(), zone.runs.end(), pfn,
                                  [](Pfn wanted, const PageRun& run) { return wanted < run.start; });
    if (after == zone.runs.begin())
      continue;
    const PageRun& run = *--after;
    if (pfn < run.end() && run.kind != PageKind::Outside)
      return &run;
  }
  return nullptr;
}

std::optional<PageKind> PageDump::kind_of(Pfn pfn) const {
  const PageRun* run = run_of(pfn);
  return run == nullptr ? std::nullopt : std::optional{run->kind};
}

void write(const PageDump& dump, std::string& out) {
  out += "PAGES " + dump.label;
  if (!dump.legend.empty())
    out += ' ' + dump.legend;
  out += '\n';
  for (const PageDumpZone& zone : dump.zones) {
    out += "PZ node=";
    words::append(out, zone.node.raw());
    out += " zone=";
    out += zone_type_name(zone.type);
    out += '\n';
    for (const PageRun& run : zone.runs) {
      out += "PG ";
      words::append(out, run.start.raw(), 16);
      out += ' ';
      words::append(out, run.pages.raw());
      out += ' ';
      words::append(out, run.flags, 16);
      for (const std::int32_t value : {run.refcount, run.mapcount, run.order}) {
        out += ' ';
        words::append(out, value);
      }
      out += ' ';
      out += static_cast<char>(run.kind);
      out += '\n';
    }
  }
  out += "ENDPAGES " + dump.label + '\n';
}

Expected<bool> PageDumpParser::feed(std::string_view line) {
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  const std::string_view rest = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
  if (word == "PAGES" && !begun_) {
    const std::size_t legend = rest.find(' ');
    dump_.label = rest.substr(0, legend);
    dump_.legend = legend == std::string_view::npos ? std::string_view{} : rest.substr(legend + 1);
    begun_ = true;
    if (dump_.label.empty())
      return refusal("PAGES without a label");
    return false;
  }
  if (!begun_)
    return refusal("no PAGES line where a page dump should begin");
  if (word == "PG") {
    const std::optional<PageRun> run = parse_run(rest);
    if (!run || dump_.zones.empty())
      return refusal("PG line: is not pfn, count, flags, refcount, mapcount, order and kind of a page in a zone");
    std::vector<PageRun>& runs = dump_.zones.back().runs;
    if (!runs.empty() && run->start < runs.back().end())
      return refusal("PG line: begins before the run above it ends");
    runs.push_back(*run);
    return false;
  }
  if (word == "PZ") {
    words::Words words(rest);
    const std::string_view node = words.next().value_or("");
    const std::string_view zone = words.next().value_or("");
    const auto id = words::number<std::uint16_t>(node.starts_with("node=") ? node.substr(5) : std::string_view{});
    const auto type = words::zone_type(zone.starts_with("zone=") ? zone.substr(5) : std::string_view{});
    if (!id || !type || !words.at_end() || dump_.zones.size() == kZonesMax)
      return refusal("PZ line: is not node= and zone=");
    dump_.zones.push_back({NodeId{*id}, *type, {}});
    return false;
  }
  if (word == "ENDPAGES") {
    if (rest != dump_.label)
      return refusal("ENDPAGES " + words::quoted(rest) + " ends page dump " + words::quoted(dump_.label));
    return true;
  }
  return refusal("a line that begins with " + words::quoted(word) + " inside page dump " + words::quoted(dump_.label));
}

}  // namespace mmbox::lab
