// What a request's flags say that its pages are good for.
#pragma once

#include <string_view>

#include "mmbox/core/base/gfp.h"
#include "mmbox/core/base/units.h"
#include "mmbox/lab/population/population.h"

namespace mmbox::lab {

/// One kind of request, as its mask and order tell.
struct GfpUse {
  std::string_view what;  ///< in words: "page cache, read ahead"
  PageUse use = PageUse::Kernel;
  bool is_swap_backed = false;
  bool is_mapped = false;
  bool is_dirty = false;
};

/// What a block is used for that was asked for with this mask. A mask tells who asks, not what becomes of the page:
/// two rows of the table in gfp_use.cc stand for two kinds of pages each, and say which.
[[nodiscard]] const GfpUse& use_of(Gfp gfp, Order order);

/// A page of that use, without an owner.
[[nodiscard]] PopulationPage page_of(const GfpUse& use, Gfp gfp, Order order);

}  // namespace mmbox::lab
