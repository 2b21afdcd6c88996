// From a machine's description to a machine that has booted: memory on the free lists, everything sized.
#pragma once

#include "mmbox/lab/image/image.h"
#include "mmbox/lab/machine_spec/machine_spec.h"

namespace mmbox::lab {

/// Boots a machine as a kernel does: memory that is not reserved goes to the free lists, then watermarks, reserves and
/// per-cpu lists get their sizes, then khugepaged asks for its reserve, and last the settings of `spec` are written.
///
/// An error if the machine is one that the engine cannot hold: more frames than it can number, or a pageblock that two
/// zones share; or if the system does not give the memory for its records.
[[nodiscard]] Expected<Image> boot_machine(const MachineSpec& spec);

}  // namespace mmbox::lab
