#include "mmbox/lab/trace/text_args.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <iterator>
#include <utility>

namespace mmbox::lab {
namespace {

// Which fields the recordings' text writes in hexadecimal without 0x.
constexpr std::string_view kBareHexNames[] = {"pfn", "gfp_flags", "captured", "gfp", "page", "flags", "mask", "aflags"};

bool is_boundary(char c) {
  return c == ' ' || c == ',' || c == '(';
}

std::string_view token_at(std::string_view text, std::size_t at) {
  return text.substr(at, text.find_first_of(" ,)", at) - at);
}

std::optional<std::uint64_t> parse_number(std::string_view text, bool bare_hex) {
  const bool negative = text.starts_with('-');
  if (negative)
    text.remove_prefix(1);
  int base = bare_hex ? 16 : 10;
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.begin(), text.end(), value, base);
  if (problem != std::errc{} || end != text.end() || text.empty())
    return std::nullopt;
  return negative ? ~value + 1 : value;
}

// Words of a table, joined with '|'.
std::optional<std::uint64_t> parse_words(std::string_view text, std::span<const Symbol> words) {
  std::uint64_t value = 0;
  for (;;) {
    const std::size_t bar = text.find('|');
    const std::string_view word = text.substr(0, bar);
    const auto found = std::find_if(words.begin(), words.end(), [word](const Symbol& s) { return s.text == word; });
    if (found == words.end())
      return std::nullopt;
    value |= static_cast<std::uint64_t>(found->value);
    if (bar == std::string_view::npos)
      return value;
    text.remove_prefix(bar + 1);
  }
}

bool is_null_word(std::string_view text) {
  return text == "(nil" || text == "(null" || text == "(nil)" || text == "(null)" || text == "none";
}

template <class E, class T>
bool parse_value(std::string_view text, std::string_view name, const Field<E, T>& f, const TextArgs& args,
                 const FieldContext& context, T& value) {
  const bool is_page = name.starts_with('*');
  if (is_page)
    name.remove_prefix(1);
  // The kernel's %p has no 0x in front.
  const bool bare_hex = is_page || (args.recording && std::find(std::begin(kBareHexNames), std::end(kBareHexNames),
                                                                name) != std::end(kBareHexNames));
  std::optional<std::uint64_t> raw;
  if constexpr (std::is_same_v<T, Gfp>) {
    if (!bare_hex)
      raw = context.gfp->parse(text);
    if (!raw)
      raw = parse_number(text, bare_hex);
  } else {
    raw = parse_number(text, bare_hex);
    if (!raw && !f.symbols.empty())
      raw = parse_words(text, f.symbols);
    if (!raw && is_page && is_null_word(text))
      raw = 0;
  }
  if (!raw)
    return false;
  if (name.starts_with("1<<")) {
    if (!std::has_single_bit(*raw))
      return false;
    raw = static_cast<std::uint64_t>(std::countr_zero(*raw));
  }
  if (is_page) {
    // What `recording` wrote as a pfn is 0 for a null pointer.
    if (args.recording)
      raw = *raw == 0 ? kNoPfn.raw() : *raw;
    else if (!page_to_pfn(*raw, context, *raw))
      return false;
  }
  if (f.zero_is_none && *raw == 0)
    raw = kNoPfn.raw();
  return from_raw(*raw, context, value);
}

// Without the marks of schema.h.
std::string_view plain_name(std::string_view name) {
  if (name.starts_with('*'))
    name.remove_prefix(1);
  if (name.starts_with("1<<"))
    name.remove_prefix(3);
  return name;
}

template <class E>
std::optional<std::string> parse(const TextArgs& args, const FieldContext& context, TraceEvent& out) {
  E event = zero_event<E>();
  std::uint32_t missing = 0;
  std::optional<std::string> problem;
  for_each_field<E>([&](std::size_t i, const auto& f) {
    for (const std::string_view name : f.names) {
      if (name.empty())
        continue;
      const auto text = args.find(name);
      if (!text)
        continue;
      if (!parse_value(*text, name, f, args, context, event.*f.member) && !problem)
        problem = fmt::format("{} cannot be '{}'", plain_name(name), *text);
      return;
    }
    missing |= 1U << i;
    if (f.required && !problem)
      problem = fmt::format("{} is missing", plain_name(f.names[0]));
  });
  if (problem)
    return problem;
  complete_event(event, missing);
  out = event;
  return std::nullopt;
}

using ParseFunction = std::optional<std::string> (*)(const TextArgs&, const FieldContext&, TraceEvent&);
template <std::size_t... kind>
constexpr std::array<ParseFunction, kEventKinds> make_parsers(std::index_sequence<kind...>) {
  return {&parse<EventOf<kind>>...};
}
constexpr auto kParsers = make_parsers(std::make_index_sequence<kEventKinds>{});

// ------------------------------------------------------------------ writing

std::string_view word_of(std::uint64_t raw, std::span<const Symbol> words) {
  const auto found = std::find_if(words.begin(), words.end(),
                                  [raw](const Symbol& s) { return s.value == static_cast<std::int64_t>(raw); });
  return found != words.end() ? found->text : std::string_view{};
}

// One field in the style that Schema::kText asks for.
template <class T>
void append_value(std::string& out, char style, const T& value, std::span<const Symbol> words,
                  const FieldContext& context) {
  const std::uint64_t raw = to_raw(value, context);
  const auto to = std::back_inserter(out);
  switch (style) {
    case 'x': fmt::format_to(to, "{:#x}", raw); break;
    case 'n': fmt::format_to(to, "{:#x}", raw == kNoPfn.raw() ? 0 : raw); break;  // a missing page is printed as pfn 0
    case 'p':
      if (const std::uint64_t page = pfn_to_page(Pfn{raw}, context); page != 0)
        fmt::format_to(to, "{:#x}", page);
      else
        out += "(nil)";
      break;
    case 'g': out += context.gfp->text(static_cast<std::uint32_t>(raw)); break;
    case 's':
    case 'S':
      if (const std::string_view word = word_of(raw, words); !word.empty())
        fmt::format_to(to, style == 'S' ? fmt::runtime("{:<8}") : fmt::runtime("{}"), word);
      else
        fmt::format_to(to, style == 'S' ? fmt::runtime("{:<#8x}") : fmt::runtime("{:#x}"), raw);
      break;
    case 'r': {
      bool first = true;
      for (const Symbol& word : words) {
        if ((raw & static_cast<std::uint64_t>(word.value)) == 0)
          continue;
        if (!std::exchange(first, false))
          out += '|';
        out += word.text;
      }
      if (first)
        out += "RECLAIM_WB_NONE";
      break;
    }
    case 'b': fmt::format_to(to, "{}", std::uint64_t{1} << (raw & 63)); break;
    case 'P': fmt::format_to(to, "{}", kPageblockOrder); break;
    case 'f': out += raw < kPageblockOrder ? '1' : '0'; break;
    default:
      if constexpr (std::is_unsigned_v<T>)
        fmt::format_to(to, "{}", raw);
      else
        fmt::format_to(to, "{}", static_cast<std::int64_t>(raw));
  }
}

template <class E>
void append_fields(std::string& out, const E& event, const FieldContext& context) {
  std::string_view text = Schema<E>::kText;
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    out += text.substr(0, open);
    if (open == std::string_view::npos)
      return;
    const std::size_t close = text.find('}', open);
    std::size_t wanted = 0;
    const char* const digits = text.data() + open + 1;
    const char* const end = std::from_chars(digits, text.data() + close, wanted).ptr;
    const char style = end < text.data() + close ? *end : 'd';
    for_each_field<E>([&](std::size_t i, const auto& f) {
      if (i == wanted)
        append_value(out, style, event.*f.member, f.symbols, context);
    });
    text.remove_prefix(close + 1);
  }
}

}  // namespace

std::optional<std::string_view> TextArgs::find(std::string_view name) const {
  if (name.starts_with('*'))
    name.remove_prefix(1);
  if (!positions.empty()) {
    std::string_view rest = text;
    for (const std::string& position : positions) {
      const std::string_view value = rest.substr(0, rest.find(' '));
      if (position == name) {
        if (value.empty() || value == "-")
          return std::nullopt;
        return value;
      }
      rest.remove_prefix(std::min(rest.size(), value.size() + 1));
    }
    return std::nullopt;
  }
  if (name.starts_with("1<<"))
    name.remove_prefix(3);
  const bool has_own_separator = name.ends_with(' ') || name.ends_with('(');
  for (std::size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    if (at != 0 && !is_boundary(text[at - 1]))
      continue;
    std::size_t value = at + name.size();
    if (!has_own_separator) {
      if (value >= text.size() || text[value] != '=')
        continue;
      ++value;
    }
    return token_at(text, value);
  }
  return std::nullopt;
}

std::optional<std::string> parse_event(std::size_t kind, const TextArgs& args, const FieldContext& context,
                                       TraceEvent& event) {
  return kParsers[kind](args, context, event);
}

void append_event(std::string& out, const TraceEvent& event, const FieldContext& context) {
  if (const auto* marker = std::get_if<Marker>(&event))
    out += marker->text;
  else
    std::visit([&](const auto& e) { append_fields(out, e, context); }, event);
}

}  // namespace mmbox::lab
