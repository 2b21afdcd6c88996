#include "mmbox/cli/command.h"

#include <filesystem>
#include <iostream>

namespace mmbox::cli {

Streams standard_streams() {
  return {std::cout, std::cerr};
}

LogMoment log_moment(const std::string& name) {
  const std::size_t colon = name.rfind(':');
  std::error_code ignored;
  if (colon == std::string::npos || name.find('/', colon) != std::string::npos ||
      std::filesystem::exists(name, ignored))
    return {name, {}};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

int refuse(const Streams& streams, std::string_view command, const lab::Error& error) {
  streams.err << "mmbox " << command << ": " << error.text() << '\n';
  return kUnusable;
}

int finish(const Streams& streams, std::string_view command, int code) {
  streams.out.flush();
  if (streams.out.good())
    return code;
  return refuse(streams, command,
                {.message = "the result could not be written", .remedy = "look for a full disk or a closed pipe"});
}

}  // namespace mmbox::cli
