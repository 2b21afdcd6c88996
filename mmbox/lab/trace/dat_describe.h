// What a trace.dat says about its events: their numbers, names and fields.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/formats/gfp_layout.h"

namespace mmbox::lab {

/// A field of an event's records.
struct DatField {
  std::string name;
  std::uint32_t offset = 0;
  std::uint32_t size = 0;  ///< 0: up to the end of the record
  bool is_signed = false;
};

struct DatEvent {
  std::uint16_t id = 0;
  std::string name;
  std::vector<DatField> fields;  ///< empty for events that mmbox does not use
};

struct DatDescription {
  std::uint32_t long_size = 8;     ///< bytes of a long in the traced kernel, 4 or 8
  const GfpLayout* gfp = nullptr;  ///< nullptr if the formats do not tell
  std::vector<DatEvent> events;
};

/// Lets libtracecmd and libtraceevent read the description, in a child process: on damaged files they crash or loop,
/// and that shall be an error like any other. `fd` is a trace.dat whose container was found sound; its position is
/// undefined afterwards.
Expected<DatDescription> describe_dat(int fd, const std::string& file);

}  // namespace mmbox::lab
