#include "mmbox/lab/proc/proc_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "mmbox/lab/io/byte_source.h"

namespace mmbox::lab {
namespace {

constexpr std::array kTypes{ZoneType::Dma,     ZoneType::Dma32,   ZoneType::Normal,
                            ZoneType::HighMem, ZoneType::Movable, ZoneType::Device};
/// More than any kernel has; a file that tells of more is none.
constexpr std::uint64_t kMostNodes = 64;
constexpr std::size_t kMostZones = 512;
constexpr std::size_t kMostCpus = 8192;
constexpr std::int64_t kMostPages = std::int64_t{1} << 28;
constexpr std::size_t kMostText = 64U << 20;

using Words = std::vector<std::string_view>;

Words words_of(std::string_view line) {
  Words words;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t begin = line.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos)
      break;
    at = std::min(line.find_first_of(" \t", begin), line.size());
    words.push_back(line.substr(begin, at - begin));
  }
  return words;
}

/// A number, also one with punctuation around it: "(0,", "198)", ">100000".
std::optional<std::int64_t> number_of(std::string_view word) {
  while (!word.empty() && (word.front() == '(' || word.front() == '>'))
    word.remove_prefix(1);
  while (!word.empty() && (word.back() == ',' || word.back() == ')'))
    word.remove_suffix(1);
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (failed != std::errc{} || end != word.data() + word.size())
    return std::nullopt;
  return value;
}

std::optional<ZoneType> type_named(std::string_view name) {
  while (!name.empty() && name.back() == ',')
    name.remove_suffix(1);
  const auto found = std::ranges::find(kTypes, name, [](ZoneType type) { return zone_type_name(type); });
  return found == kTypes.end() ? std::nullopt : std::optional{*found};
}

std::optional<Migratetype> migratetype_named(std::string_view name) {
  for (std::size_t type = 0; type < kMigratetypes; ++type)
    if (name == migratetype_name(static_cast<Migratetype>(type)))
      return static_cast<Migratetype>(type);
  return std::nullopt;
}

/// Goes through the lines of one file; keeps the first error.
class Reader {
 public:
  Reader(ProcState& state, std::string file) : state_(state), file_(std::move(file)) {}

  /// Calls `line(words)` for each line that is not empty; it returns false after an error.
  template <class Line>
  Expected<void> read(std::string_view text, Line line) {
    for (; !text.empty(); ++number_) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const Words words = words_of(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
      if (!words.empty() && !line(words))
        return *std::move(error_);
    }
    return {};
  }

  bool fail(std::string message) {
    error_ = Error{.file = file_,
                   .line = number_,
                   .message = std::move(message),
                   .remedy = "give the files of /proc as the kernel printed them"};
    return false;
  }
  /// The zone of "Node 0, zone Normal …"; nullptr if it is none that zoneinfo has.
  ProcZone* zone_of(const Words& words) {
    if (words.size() < 4 || words[0] != "Node" || words[2] != "zone")
      return nullptr;
    const auto node = number_of(words[1]);
    const auto type = type_named(words[3]);
    if (!node || !type)
      return nullptr;
    for (ProcZone& zone : state_.zones)
      if (zone.node.raw() == static_cast<std::uint64_t>(*node) && zone.type == *type)
        return &zone;
    return nullptr;
  }

  [[nodiscard]] ProcState& state() { return state_; }

 private:
  ProcState& state_;
  std::string file_;
  std::uint64_t number_ = 1;
  std::optional<Error> error_;
};

// ------------------------------------------------------------- zoneinfo

class ZoneinfoReader : private Reader {
 public:
  ZoneinfoReader(ProcState& state, const std::string& file) : Reader(state, file) {}

  Expected<void> read(std::string_view text) {
    if (auto done = Reader::read(text, [&](const Words& words) { return line(words); }); !done)
      return done;
    std::erase_if(state().zones, [](const ProcZone& zone) { return zone.present == 0; });
    if (state().zones.empty())
      return Error{
          .file = state().where, .message = "no zone with memory in zoneinfo", .remedy = "give the folder of /proc"};
    return {};
  }

 private:
  bool line(const Words& words) {
    if (words[0] == "Node" && words.size() >= 4)
      return begin_zone(words);
    if (state().zones.empty())
      return fail("this is not a line of zoneinfo: no zone has begun");
    ProcZone& zone = state().zones.back();
    if (words[0] == "per-node") {
      in_node_ = true;
      return true;
    }
    if (words[0] == "pages" && words.size() == 3) {
      in_node_ = false;
      return set(zone.free, words[2]);
    }
    if (words[0] == "protection:") {
      for (std::size_t i = 1; i < words.size() && i <= kTypes.size(); ++i)
        if (const auto value = number_of(words[i]))
          zone.protection.push_back(std::clamp<std::int64_t>(*value, 0, kMostPages));
      return true;
    }
    if (words[0] == "cpu:" && words.size() == 2) {
      if (zone.pagesets.size() == kMostCpus)
        return fail("more CPUs than a kernel has");
      zone.pagesets.emplace_back();
      return true;
    }
    if (words[0] == "vm" && words.size() == 4 && !zone.pagesets.empty())
      return set(zone.pagesets.back().threshold, words[3], 127);
    if (words.size() != 2)
      return true;
    return named(zone, words[0], words[1]);
  }

  bool named(ProcZone& zone, std::string_view name, std::string_view value) {
    const std::pair<std::string_view, std::int64_t*> numbers[] = {
        {"boost", &zone.boost},     {"min", &zone.min},         {"low", &zone.low},        {"high", &zone.high},
        {"spanned", &zone.spanned}, {"present", &zone.present}, {"managed", &zone.managed}};
    for (const auto& [known, number] : numbers)
      if (name == known)
        return set(*number, value);
    if (name == "start_pfn:") {
      std::int64_t pfn = 0;
      if (!set(pfn, value, (std::int64_t{1} << 40)))
        return false;
      zone.start_pfn = static_cast<std::uint64_t>(pfn);
      return true;
    }
    if (!zone.pagesets.empty()) {
      ProcPageset& pageset = zone.pagesets.back();
      if (name == "count:")
        return set(pageset.count, value, kMostPages);
      if (name == "high:")
        return set(pageset.high, value, kMostPages);
      if (name == "batch:")
        return set(pageset.batch, value, 1 << 16);
    }
    if (!name.starts_with("nr_"))
      return true;
    auto& counters = in_node_ ? state().nodes.back().counters : zone.counters;
    std::int64_t number = 0;
    if (!set(number, value, std::int64_t{1} << 62))
      return false;
    counters.insert_or_assign(std::string{name}, number);
    return true;
  }

  template <class Number>
  bool set(Number& to, std::string_view word, std::int64_t most = kMostPages) {
    const auto value = number_of(word);
    if (!value || *value < 0)
      return fail(fmt::format("a number is expected where \"{}\" stands", word.substr(0, 40)));
    if (*value > most)
      return fail(fmt::format("{} is more than mmbox takes ({})", *value, most));
    to = static_cast<Number>(*value);
    return true;
  }

  bool begin_zone(const Words& words) {
    const auto node = number_of(words[1]);
    const auto type = type_named(words[3]);
    if (!node || *node < 0 || static_cast<std::uint64_t>(*node) >= kMostNodes)
      return fail("this is no node");
    if (!type)
      return fail(fmt::format("there is no zone type \"{}\"", words[3].substr(0, 40)));
    if (state().zones.size() == kMostZones)
      return fail("more zones than a kernel has");
    const NodeId id{static_cast<std::uint64_t>(*node)};
    if (state().nodes.empty() || state().nodes.back().id != id) {
      if (id.raw() != state().nodes.size())
        return fail(fmt::format("node {} after {} nodes: nodes with gaps in their numbers are not modelled", id.raw(),
                                state().nodes.size()));
      state().nodes.push_back({id, {}});
    }
    if (id.raw() == 0) {
      if (!state().types.empty() && *type <= state().types.back())
        return fail(fmt::format("zone {} stands twice, or out of order", zone_type_name(*type)));
      state().types.push_back(*type);
    }
    in_node_ = false;
    ProcZone& zone = state().zones.emplace_back();
    zone.node = id;
    zone.type = *type;
    return true;
  }

  bool in_node_ = false;
};

// ------------------------------------------------------------- buddyinfo and pagetypeinfo

Expected<void> read_buddyinfo(ProcState& state, std::string_view text, const std::string& file) {
  Reader reader{state, file};
  return reader.read(text, [&](const Words& words) {
    ProcZone* const zone = reader.zone_of(words);
    if (zone == nullptr)
      return reader.fail("this is not a line of buddyinfo, or of a zone that zoneinfo does not have");
    for (unsigned order = 0; order < kOrders && order + 4 < words.size(); ++order) {
      const auto blocks = number_of(words[order + 4]);
      if (!blocks || *blocks < 0 || *blocks > kMostPages)
        return reader.fail("a number of blocks is expected");
      zone->blocks[order] = static_cast<std::uint64_t>(*blocks);
    }
    return true;
  });
}

Expected<void> read_pagetypeinfo(ProcState& state, std::string_view text, const std::string& file) {
  Reader reader{state, file};
  std::vector<Migratetype> columns;
  return reader.read(text, [&](const Words& words) {
    if (words[0] == "Number" && words.size() > 4) {
      columns.clear();
      for (std::size_t i = 4; i < words.size(); ++i) {
        const auto type = migratetype_named(words[i]);
        if (!type)
          return reader.fail("there is no such migratetype");
        columns.push_back(*type);
      }
      return true;
    }
    if (words[0] != "Node")
      return true;
    ProcZone* const zone = reader.zone_of(words);
    if (zone == nullptr)
      return reader.fail("a zone that zoneinfo does not have");
    if (words.size() > 6 && words[4] == "type") {
      const auto type = migratetype_named(words[5]);
      if (!type)
        return reader.fail("there is no such migratetype");
      for (unsigned order = 0; order < kOrders && order + 6 < words.size(); ++order) {
        const auto blocks = number_of(words[order + 6]);
        if (!blocks || *blocks < 0 || *blocks > kMostPages)
          return reader.fail("a number of blocks is expected");
        zone->typed_blocks[raw(*type)][order] = static_cast<std::uint64_t>(*blocks);
      }
      return true;
    }
    for (std::size_t i = 0; i < columns.size() && i + 4 < words.size(); ++i) {
      const auto blocks = number_of(words[i + 4]);
      if (!blocks || *blocks < 0 || *blocks > kMostPages)
        return reader.fail("a number of pageblocks is expected");
      zone->pageblocks[raw(columns[i])] = static_cast<std::uint64_t>(*blocks);
      zone->has_types = true;
    }
    return true;
  });
}

/// The text of a file, "" if it is not there or may not be read.
Expected<std::string> text_of(const std::string& folder, const std::string& name) {
  std::string path = folder + "/" + name;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored) && std::filesystem::exists(path + ".zst", ignored))
    path += ".zst";
  auto source = ByteSource::open(path);
  std::string text;
  while (source && text.size() <= kMostText) {
    const auto bytes = source->view();
    // A file that may be opened but not read is as good as missing; /proc has such.
    if (!bytes || bytes->empty())
      return text;
    text += *bytes;
    source->consume(bytes->size());
  }
  if (text.size() > kMostText)
    return Error{.file = path, .message = "the file is too long to be one of /proc", .remedy = "give another folder"};
  return text;
}

/// The flags of all pages up to the last zone's end.
std::vector<std::uint64_t> kpageflags_of(const std::string& folder, std::uint64_t pages) {
  std::vector<std::uint64_t> flags;
  std::string path = folder + "/kpageflags";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored) && std::filesystem::exists(path + ".zst", ignored))
    path += ".zst";
  auto source = ByteSource::open(path);
  std::string carry;
  while (source && flags.size() < pages) {
    const auto bytes = source->view();
    if (!bytes || bytes->empty())
      break;
    carry += *bytes;
    source->consume(bytes->size());
    std::size_t at = 0;
    for (; at + sizeof(std::uint64_t) <= carry.size() && flags.size() < pages; at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, carry.data() + at, sizeof(word));
      flags.push_back(word);
    }
    carry.erase(0, at);
  }
  return flags;
}

}  // namespace

Expected<ProcState> parse_proc(const ProcTexts& texts, const std::string& folder) {
  ProcState state;
  state.where = folder;
  if (texts.zoneinfo.empty())
    return Error{.file = folder + "/zoneinfo",
                 .message = "it is not there, or may not be read",
                 .remedy = "give a folder with copies of /proc/zoneinfo, buddyinfo and pagetypeinfo"};
  if (auto done = ZoneinfoReader{state, folder + "/zoneinfo"}.read(texts.zoneinfo); !done)
    return done.error();
  state.zone_types = state.types.size();
  if (auto done = read_buddyinfo(state, texts.buddyinfo, folder + "/buddyinfo"); !done)
    return done.error();
  if (auto done = read_pagetypeinfo(state, texts.pagetypeinfo, folder + "/pagetypeinfo"); !done)
    return done.error();
  std::int64_t pages = 0;
  for (ProcZone& zone : state.zones) {
    pages += zone.present;
    if (texts.buddyinfo.empty())
      for (const auto& of_type : zone.typed_blocks)
        for (unsigned order = 0; order < kOrders; ++order)
          zone.blocks[order] += of_type[order];
  }
  if (pages > kMostPages)
    return Error{.file = folder + "/zoneinfo",
                 .message = "the machine is larger than 1 TiB",
                 .remedy = "take an exact snapshot of it instead"};
  if (texts.buddyinfo.empty() && texts.pagetypeinfo.empty())
    return Error{.file = folder + "/buddyinfo",
                 .message = "neither it nor pagetypeinfo is there",
                 .remedy = "give a folder with copies of /proc/zoneinfo, buddyinfo and pagetypeinfo"};
  if (texts.pagetypeinfo.empty())
    state.lacks.emplace_back(
        "pagetypeinfo (only root may read it): how many pageblocks hold pages that stay is guessed from how many such "
        "pages there are");
  const Words version = words_of(std::string_view{texts.version}.substr(0, 200));
  if (version.size() >= 3 && version[0] == "Linux" && version[1] == "version")
    state.release = version[2];
  return state;
}

Expected<ProcState> load_proc(const std::string& folder) {
  ProcTexts texts;
  for (const auto& [name, text] :
       {std::pair{"zoneinfo", &texts.zoneinfo}, std::pair{"buddyinfo", &texts.buddyinfo},
        std::pair{"pagetypeinfo", &texts.pagetypeinfo}, std::pair{"version", &texts.version}}) {
    auto read = text_of(folder, name);
    if (!read)
      return read.error();
    *text = std::move(*read);
  }
  auto state = parse_proc(texts, folder);
  if (!state)
    return state;
  std::uint64_t end = 0;
  for (const ProcZone& zone : state->zones)
    end = std::max(end, zone.start_pfn + static_cast<std::uint64_t>(zone.spanned));
  state->kpageflags = kpageflags_of(folder, std::min<std::uint64_t>(end, std::uint64_t{1} << 28));
  if (state->kpageflags.size() < end) {
    state->kpageflags.clear();
    state->lacks.emplace_back(
        "kpageflags (only root may read it): which pages lie where is not known; they are laid out by chance, several "
        "times");
  }
  return state;
}

}  // namespace mmbox::lab
