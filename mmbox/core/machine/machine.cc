#include "mmbox/core/machine/machine_impl.h"

namespace mmbox {

template class BasicMachine<NoSync>;

}  // namespace mmbox
