// Lists of nodes as the kernel prints them: nodemask=0-3,8 and mems_allowed=0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mmbox::lab::explain {

/// True if node `n` is in a list such as "0-3,8"; false for text that is no list.
[[nodiscard]] bool list_has(std::string_view list, std::uint32_t n);

/// True if something was printed, and it names nodes: "(null)" does not.
[[nodiscard]] bool is_node_list(const std::optional<std::string>& list);

}  // namespace mmbox::lab::explain
