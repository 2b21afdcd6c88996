#include "mmbox/lab/trace/schema.h"

#include <algorithm>

namespace mmbox::lab {
namespace {

template <std::size_t... kind>
constexpr std::array<std::string_view, kEventKinds> make_names(std::index_sequence<kind...>) {
  return {Schema<EventOf<kind>>::kName...};
}
constexpr auto kNames = make_names(std::make_index_sequence<kEventKinds>{});

constexpr std::string_view without_system(std::string_view name) {
  return name.substr(name.find(':') + 1);
}

struct NamedKind {
  std::string_view name;
  std::size_t kind;
};

// Sorted by plain name; the empty names of Lost and Unknown are left at the front and never asked for.
constexpr auto sorted_names() {
  std::array<NamedKind, kEventKinds> sorted{};
  for (std::size_t kind = 0; kind < kEventKinds; ++kind)
    sorted[kind] = {without_system(kNames[kind]), kind};
  std::sort(sorted.begin(), sorted.end(), [](const NamedKind& a, const NamedKind& b) { return a.name < b.name; });
  return sorted;
}
constexpr auto kSorted = sorted_names();

}  // namespace

std::string_view event_name(std::size_t kind) {
  return kNames[kind];
}

std::size_t find_event(std::string_view name) {
  const std::string_view plain = without_system(name);
  if (plain.empty())
    return kEventKinds;
  const auto found = std::lower_bound(kSorted.begin(), kSorted.end(), plain,
                                      [](const NamedKind& a, std::string_view b) { return a.name < b; });
  return found != kSorted.end() && found->name == plain ? found->kind : kEventKinds;
}

bool same_event(const TraceEvent& a, const TraceEvent& b) {
  if (a.index() != b.index())
    return false;
  return std::visit(
      [&b](const auto& left) {
        using E = std::remove_cvref_t<decltype(left)>;
        const E& right = std::get<E>(b);
        if constexpr (std::is_same_v<E, Marker>) {
          return left.text == right.text;
        } else if constexpr (std::is_same_v<E, Unknown>) {
          return left.name == right.name;
        } else if constexpr (std::is_same_v<E, Lost>) {
          return left.events == right.events;
        } else {
          bool same = true;
          for_each_field<E>([&](std::size_t, const auto& f) { same = same && left.*f.member == right.*f.member; });
          return same;
        }
      },
      a);
}

}  // namespace mmbox::lab
