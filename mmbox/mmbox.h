// The front door: what users of the library include.
#pragma once

#include "mmbox/core/alloc/watermark_check.h"  // IWYU pragma: export
#include "mmbox/core/base/gfp.h"               // IWYU pragma: export
#include "mmbox/core/base/migratetype.h"       // IWYU pragma: export
#include "mmbox/core/base/units.h"             // IWYU pragma: export
#include "mmbox/core/observe/fragmentation.h"  // IWYU pragma: export
