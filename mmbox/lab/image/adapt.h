// A machine in a recorded state, handed to another generation: what would it do from here on?
#pragma once

#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// Lets `machine` go on under the rules of `to`.
///
/// Pages in use, pageblock types and counters stay. What the two kernels keep differently is changed as `to` would have
/// it: blocks leave per-cpu lists that it does not have, free blocks go to the lists of their pageblocks where lists
/// are typed, and watermarks and per-cpu lists are sized anew if it sizes them by another rule.
void change_generation(Machine& machine, const Generation& to);

}  // namespace mmbox::lab
