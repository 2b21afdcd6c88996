// A machine at one moment with what is in its pages, from whatever tells it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/population/population.h"
#include "mmbox/lab/snapshot/page_dump.h"
#include "mmbox/lab/snapshot/snapshot.h"

namespace mmbox::lab {

/// A recorded moment with everything in it.
struct Moment {
  Snapshot snapshot;
  PageDump dump;
  Generation generation = kLinux61;
};
/// The snapshot and the page dump that a log has under `label` (empty: its first snapshot).
/// An Error if it has no page dump of that moment.
[[nodiscard]] Expected<Moment> load_moment(const std::string& log, const std::string& label);

/// A machine and who uses its pages. Move-only; `copy` makes another in the same state.
struct PopulatedMachine {
  std::string label;  ///< of the snapshot; of a trace's moment in words, "its end"
  Image image;
  Population pages;     ///< of the image's machine; keeps no LRU lists
  std::string trace{};  ///< whose moment it is: owners are tasks then. Empty: from a page dump, which names none
  std::vector<std::string> lacks{};  ///< what is not known of this moment, or guessed

  [[nodiscard]] PopulatedMachine copy() const {
    Image other = image.copy();
    Population same{other.machine(), pages};
    return {label, std::move(other), std::move(same), trace, lacks};
  }
  /// "snapshot LABEL", "TRACE at its end".
  [[nodiscard]] std::string name() const { return trace.empty() ? "snapshot " + label : trace + " at " + label; }
};
/// The machine of a recorded moment.
/// An Error if its zones or lists do not fit the model, see image_of().
[[nodiscard]] Expected<PopulatedMachine> populated_machine(const Moment& moment);

}  // namespace mmbox::lab
