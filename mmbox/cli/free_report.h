// What a free replay found, as text and as JSON.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>

#include "mmbox/lab/replay/free_replay.h"

namespace mmbox::cli {

void write_text(const lab::FreeReplayReport& report, std::ostream& out);
/// Schema mmbox-free-replay/1; see docs/generations.md.
[[nodiscard]] nlohmann::ordered_json to_json(const lab::FreeReplayReport& report);

}  // namespace mmbox::cli
