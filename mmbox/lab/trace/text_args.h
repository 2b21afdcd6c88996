// The part of a line of trace text that follows "event:": reading it into an event and writing it as the kernel does.
//
// Both directions work on the tables in schema.h. Fields are found by name, in any order and amid any others, so that
// the texts of other kernels and of `trace-cmd report -R` read alike.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mmbox/lab/trace/schema.h"

namespace mmbox::lab {

/// Values by name, as `name=value` text, or as a list of values whose names are known.
struct TextArgs {
  std::string_view text;
  /// Given: `text` is the values alone, separated by single spaces, in this order; "-" stands for none.
  std::span<const std::string> positions = {};
  /// The recordings' own text: pages are pfns, and pfns and masks are hexadecimal without 0x.
  bool recording = false;

  /// The value of a field by one of its names in schema.h. The whole of `text` is searched.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
};

/// Reads an event of `kind` (an index into TraceEvent that is not Marker, Lost or Unknown). nullopt if all went well,
/// else what is wrong.
[[nodiscard]] std::optional<std::string> parse_event(std::size_t kind, const TextArgs& args,
                                                     const FieldContext& context, TraceEvent& event);

/// Appends what the kernel prints behind the event's name. Page addresses are computed from `vmemmap_base`; the kernel
/// prints them hashed. Probes are printed without their "(address)"; Marker is its text, Lost and Unknown print
/// nothing.
void append_event(std::string& out, const TraceEvent& event, const FieldContext& context);

}  // namespace mmbox::lab
