#include "mmbox/cli/chosen_generation.h"

#include <fmt/format.h>

#include "mmbox/lab/generations/generations.h"

namespace mmbox::cli {

lab::Expected<const Generation*> chosen_generation(const std::string& name) {
  if (const Generation* generation = lab::generation_named(name))
    return generation;
  std::string known;
  for (const Generation* generation : lab::generations())
    known += fmt::format("{}{}", known.empty() ? "" : ", ", generation->name);
  return lab::Error{.file = "generation " + name, .message = "no such generation", .remedy = "known are " + known};
}

}  // namespace mmbox::cli
