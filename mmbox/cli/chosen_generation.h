// The generation that a command's --generation names.
#pragma once

#include <string>

#include "mmbox/core/base/generation.h"
#include "mmbox/lab/error.h"

namespace mmbox::cli {

/// Never nullptr; an error that lists the known ones if there is none of that name.
[[nodiscard]] lab::Expected<const Generation*> chosen_generation(const std::string& name);

}  // namespace mmbox::cli
