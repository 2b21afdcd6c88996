// A moment of a trace as a machine with everything in it: the replay gives the lists, what the requests said of
// themselves the pages.
#pragma once

#include <functional>
#include <string>

#include "mmbox/lab/error.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/population/moment.h"

namespace mmbox::lab {

/// Where in a trace.
struct TraceMoment {
  std::string trace;  ///< file
  std::string log;    ///< file with the exact snapshot that the replay starts from
  std::string label;  ///< of that snapshot; empty: the log's first
  /// The label of a later snapshot that the trace comes by; or a time as the trace counts it (a number), before whose
  /// first event it is; empty: the end.
  std::string at;
};

/// Replays the requests of a trace up to that moment.
///
/// What was in use before is told by the page dump that the log has of the start, and otherwise guessed from the
/// snapshot's counts; `lacks` says which. An Error if a file cannot be read, if the trace never comes to the start or
/// to the moment, or if its requests tell no flags.
[[nodiscard]] Expected<PopulatedMachine> populated_machine(const TraceMoment& where,
                                                           const std::function<void(Progress)>& progress = {});

}  // namespace mmbox::lab
