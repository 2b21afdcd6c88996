#include "mmbox/lab/explain/node_list.h"

#include <charconv>

namespace mmbox::lab::explain {

bool list_has(std::string_view list, std::uint32_t n) {
  while (!list.empty()) {
    std::uint32_t first = 0;
    auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), first);
    if (error != std::errc{})
      return false;
    list.remove_prefix(static_cast<std::size_t>(end - list.data()));
    std::uint32_t last = first;
    if (!list.empty() && list.front() == '-') {
      list.remove_prefix(1);
      const auto range = std::from_chars(list.data(), list.data() + list.size(), last);
      if (range.ec != std::errc{})
        return false;
      list.remove_prefix(static_cast<std::size_t>(range.ptr - list.data()));
    }
    if (n >= first && n <= last)
      return true;
    if (!list.empty() && list.front() == ',')
      list.remove_prefix(1);
    else if (!list.empty())
      return false;
  }
  return false;
}

bool is_node_list(const std::optional<std::string>& list) {
  return list && !list->empty() && list->front() >= '0' && list->front() <= '9';
}

}  // namespace mmbox::lab::explain
