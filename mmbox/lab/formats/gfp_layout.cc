#include "mmbox/lab/formats/gfp_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

namespace mmbox::lab {
namespace {

using namespace gfp;

// ------------------------------------------------------------------ bits by generation (05 §4, 09 §7.1)

// GFP_WAIT allowed direct reclaim; kswapd was woken unless NO_KSWAPD forbade it.
constexpr GfpBit kBits310[] = {
    {kDma, 0x1},
    {kHighMem, 0x2},
    {kDma32, 0x4},
    {kMovable, 0x8},
    {kDirectReclaim, 0x10},
    {kHigh, 0x20},
    {kIo, 0x40},
    {kFs, 0x80},
    {gfp_foreign::kCold, 0x100},
    {kNoWarn, 0x200},
    {kRetryMayfail, 0x400},
    {kNoFail, 0x800},
    {kNoRetry, 0x1000},
    {kMemalloc, 0x2000},
    {kComp, 0x4000},
    {kZero, 0x8000},
    {kNoMemalloc, 0x10000},
    {kHardwall, 0x20000},
    {kThisNode, 0x40000},
    {kReclaimable, 0x80000},
    {kAccount, 0x100000},
    {gfp_foreign::kNoTrack, 0x200000},
    {kKswapdReclaim, 0x400000, true},
    {gfp_foreign::kOtherNode, 0x800000},
    {kWrite, 0x1000000},
};
constexpr GfpBit kBits44[] = {
    {kDma, 0x1},
    {kHighMem, 0x2},
    {kDma32, 0x4},
    {kMovable, 0x8},
    {kReclaimable, 0x10},
    {kHigh, 0x20},
    {kIo, 0x40},
    {kFs, 0x80},
    {gfp_foreign::kCold, 0x100},
    {kNoWarn, 0x200},
    {kRetryMayfail, 0x400},
    {kNoFail, 0x800},
    {kNoRetry, 0x1000},
    {kMemalloc, 0x2000},
    {kComp, 0x4000},
    {kZero, 0x8000},
    {kNoMemalloc, 0x10000},
    {kHardwall, 0x20000},
    {kThisNode, 0x40000},
    {kAtomic, 0x80000},
    {kAccount, 0x100000},
    {gfp_foreign::kNoTrack, 0x200000},
    {kDirectReclaim, 0x400000},
    {gfp_foreign::kOtherNode, 0x800000},
    {kWrite, 0x1000000},
    {kKswapdReclaim, 0x2000000},
};
constexpr GfpBit kBits410[] = {
    {kDma, 0x1},
    {kHighMem, 0x2},
    {kDma32, 0x4},
    {kMovable, 0x8},
    {kReclaimable, 0x10},
    {kHigh, 0x20},
    {kIo, 0x40},
    {kFs, 0x80},
    {gfp_foreign::kCold, 0x100},
    {kNoWarn, 0x200},
    {kRetryMayfail, 0x400},
    {kNoFail, 0x800},
    {kNoRetry, 0x1000},
    {kMemalloc, 0x2000},
    {kComp, 0x4000},
    {kZero, 0x8000},
    {kNoMemalloc, 0x10000},
    {kHardwall, 0x20000},
    {kThisNode, 0x40000},
    {kAtomic, 0x80000},
    {kAccount, 0x100000},
    {gfp_foreign::kNoTrack, 0x200000},
    {kDirectReclaim, 0x400000},
    {kWrite, 0x800000},
    {kKswapdReclaim, 0x1000000},
    {gfp_foreign::kNoLockdep, 0x2000000},
};
constexpr GfpBit kBits418[] = {
    {kDma, 0x1},
    {kHighMem, 0x2},
    {kDma32, 0x4},
    {kMovable, 0x8},
    {kReclaimable, 0x10},
    {kHigh, 0x20},
    {kIo, 0x40},
    {kFs, 0x80},
    {kWrite, 0x100},
    {kNoWarn, 0x200},
    {kRetryMayfail, 0x400},
    {kNoFail, 0x800},
    {kNoRetry, 0x1000},
    {kMemalloc, 0x2000},
    {kComp, 0x4000},
    {kZero, 0x8000},
    {kNoMemalloc, 0x10000},
    {kHardwall, 0x20000},
    {kThisNode, 0x40000},
    {kAtomic, 0x80000},
    {kAccount, 0x100000},
    {kDirectReclaim, 0x200000},
    {kKswapdReclaim, 0x400000},
    {gfp_foreign::kNoLockdep, 0x800000},
};
// Since 5.1 the bits are core's. Those from 0x1000000 up depend on the kernel's configuration; they are kept as they
// are.
template <std::uint32_t known>
constexpr auto identity_bits() {
  std::array<GfpBit, static_cast<std::size_t>(std::popcount(known))> bits{};
  std::size_t n = 0;
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1)
    if ((known & bit) != 0)
      bits[n++] = {Gfp{bit}, bit};
  return bits;
}
constexpr auto kBits51 = identity_bits<0x0fffffff>();
constexpr auto kBits63 = identity_bits<0x0fffffff & ~kAtomic.raw()>();

// ------------------------------------------------------------------ names in printing order (09 §7.2)

// Until 4.5 without underscores.
constexpr GfpName kNames310[] = {
    {0x4352da, "GFP_TRANSHUGE"},
    {0x200da, "GFP_HIGHUSER_MOVABLE"},
    {0x200d2, "GFP_HIGHUSER"},
    {0x200d0, "GFP_USER"},
    {0x800d0, "GFP_TEMPORARY"},
    {0xd0, "GFP_KERNEL"},
    {0x50, "GFP_NOFS"},
    {0x20, "GFP_ATOMIC"},
    {0x10, "GFP_NOIO"},
    {0x20, "GFP_HIGH"},
    {0x10, "GFP_WAIT"},
    {0x40, "GFP_IO"},
    {0x100, "GFP_COLD"},
    {0x200, "GFP_NOWARN"},
    {0x400, "GFP_REPEAT"},
    {0x800, "GFP_NOFAIL"},
    {0x1000, "GFP_NORETRY"},
    {0x4000, "GFP_COMP"},
    {0x8000, "GFP_ZERO"},
    {0x10000, "GFP_NOMEMALLOC"},
    {0x2000, "GFP_MEMALLOC"},
    {0x20000, "GFP_HARDWALL"},
    {0x40000, "GFP_THISNODE"},
    {0x80000, "GFP_RECLAIMABLE"},
    {0x8, "GFP_MOVABLE"},
    {0x200000, "GFP_NOTRACK"},
    {0x400000, "GFP_NO_KSWAPD"},
    {0x800000, "GFP_OTHER_NODE"},
    {0x1, "GFP_DMA"},
    {0x2, "GFP_HIGHMEM"},
    {0x4, "GFP_DMA32"},
    {0x100000, "GFP_KMEMCG"},
    {0x1000000, "GFP_WRITE"},
};
constexpr GfpName kNames44[] = {
    {0x24200ca, "GFP_HIGHUSER_MOVABLE"},
    {0x24200c2, "GFP_HIGHUSER"},
    {0x24200c0, "GFP_USER"},
    {0x25000c0, "GFP_KERNEL_ACCOUNT"},
    {0x24000c0, "GFP_KERNEL"},
    {0x2400040, "GFP_NOFS"},
    {0x2080020, "GFP_ATOMIC"},
    {0x2400000, "GFP_NOIO"},
    {0x2000000, "GFP_NOWAIT"},
    {0x1, "GFP_DMA"},
    {0x2, "__GFP_HIGHMEM"},
    {0x4, "GFP_DMA32"},
    {0x20, "__GFP_HIGH"},
    {0x80000, "__GFP_ATOMIC"},
    {0x40, "__GFP_IO"},
    {0x80, "__GFP_FS"},
    {0x100, "__GFP_COLD"},
    {0x200, "__GFP_NOWARN"},
    {0x400, "__GFP_REPEAT"},
    {0x800, "__GFP_NOFAIL"},
    {0x1000, "__GFP_NORETRY"},
    {0x4000, "__GFP_COMP"},
    {0x8000, "__GFP_ZERO"},
    {0x10000, "__GFP_NOMEMALLOC"},
    {0x2000, "__GFP_MEMALLOC"},
    {0x20000, "__GFP_HARDWALL"},
    {0x40000, "__GFP_THISNODE"},
    {0x10, "__GFP_RECLAIMABLE"},
    {0x8, "__GFP_MOVABLE"},
    {0x100000, "__GFP_ACCOUNT"},
    {0x200000, "__GFP_NOTRACK"},
    {0x1000000, "__GFP_WRITE"},
    {0x2400000, "__GFP_RECLAIM"},
    {0x400000, "__GFP_DIRECT_RECLAIM"},
    {0x2000000, "__GFP_KSWAPD_RECLAIM"},
    {0x800000, "__GFP_OTHER_NODE"},
};
constexpr GfpName kNames410[] = {
    {0x4342ca, "GFP_TRANSHUGE"},
    {0x342ca, "GFP_TRANSHUGE_LIGHT"},
    {0x14200ca, "GFP_HIGHUSER_MOVABLE"},
    {0x14200c2, "GFP_HIGHUSER"},
    {0x14200c0, "GFP_USER"},
    {0x14000d0, "GFP_TEMPORARY"},
    {0x15000c0, "GFP_KERNEL_ACCOUNT"},
    {0x14000c0, "GFP_KERNEL"},
    {0x1400040, "GFP_NOFS"},
    {0x1080020, "GFP_ATOMIC"},
    {0x1400000, "GFP_NOIO"},
    {0x1000000, "GFP_NOWAIT"},
    {0x1, "GFP_DMA"},
    {0x2, "__GFP_HIGHMEM"},
    {0x4, "GFP_DMA32"},
    {0x20, "__GFP_HIGH"},
    {0x80000, "__GFP_ATOMIC"},
    {0x40, "__GFP_IO"},
    {0x80, "__GFP_FS"},
    {0x100, "__GFP_COLD"},
    {0x200, "__GFP_NOWARN"},
    {0x400, "__GFP_RETRY_MAYFAIL"},
    {0x800, "__GFP_NOFAIL"},
    {0x1000, "__GFP_NORETRY"},
    {0x4000, "__GFP_COMP"},
    {0x8000, "__GFP_ZERO"},
    {0x10000, "__GFP_NOMEMALLOC"},
    {0x2000, "__GFP_MEMALLOC"},
    {0x20000, "__GFP_HARDWALL"},
    {0x40000, "__GFP_THISNODE"},
    {0x10, "__GFP_RECLAIMABLE"},
    {0x8, "__GFP_MOVABLE"},
    {0x100000, "__GFP_ACCOUNT"},
    {0x200000, "__GFP_NOTRACK"},
    {0x800000, "__GFP_WRITE"},
    {0x1400000, "__GFP_RECLAIM"},
    {0x400000, "__GFP_DIRECT_RECLAIM"},
    {0x1000000, "__GFP_KSWAPD_RECLAIM"},
};
constexpr GfpName kNames418[] = {
    {0x2342ca, "GFP_TRANSHUGE"},
    {0x342ca, "GFP_TRANSHUGE_LIGHT"},
    {0x6200ca, "GFP_HIGHUSER_MOVABLE"},
    {0x6200c2, "GFP_HIGHUSER"},
    {0x6200c0, "GFP_USER"},
    {0x7000c0, "GFP_KERNEL_ACCOUNT"},
    {0x6000c0, "GFP_KERNEL"},
    {0x600040, "GFP_NOFS"},
    {0x480020, "GFP_ATOMIC"},
    {0x600000, "GFP_NOIO"},
    {0x400000, "GFP_NOWAIT"},
    {0x1, "GFP_DMA"},
    {0x2, "__GFP_HIGHMEM"},
    {0x4, "GFP_DMA32"},
    {0x20, "__GFP_HIGH"},
    {0x80000, "__GFP_ATOMIC"},
    {0x40, "__GFP_IO"},
    {0x80, "__GFP_FS"},
    {0x200, "__GFP_NOWARN"},
    {0x400, "__GFP_RETRY_MAYFAIL"},
    {0x800, "__GFP_NOFAIL"},
    {0x1000, "__GFP_NORETRY"},
    {0x4000, "__GFP_COMP"},
    {0x8000, "__GFP_ZERO"},
    {0x10000, "__GFP_NOMEMALLOC"},
    {0x2000, "__GFP_MEMALLOC"},
    {0x20000, "__GFP_HARDWALL"},
    {0x40000, "__GFP_THISNODE"},
    {0x10, "__GFP_RECLAIMABLE"},
    {0x8, "__GFP_MOVABLE"},
    {0x100000, "__GFP_ACCOUNT"},
    {0x100, "__GFP_WRITE"},
    {0x600000, "__GFP_RECLAIM"},
    {0x200000, "__GFP_DIRECT_RECLAIM"},
    {0x400000, "__GFP_KSWAPD_RECLAIM"},
};
// 5.1 to 6.2, as recorded from 5.10 (which has no ZEROTAGS, so that its name cannot match) and 6.1.
constexpr GfpName kNames51[] = {
    {0x1c24ca, "GFP_TRANSHUGE"},
    {0x1c20ca, "GFP_TRANSHUGE_LIGHT"},
    {0x100cca, "GFP_HIGHUSER_MOVABLE"},
    {0x100cc2, "GFP_HIGHUSER"},
    {0x100cc0, "GFP_USER"},
    {0x400cc0, "GFP_KERNEL_ACCOUNT"},
    {0xcc0, "GFP_KERNEL"},
    {0xc40, "GFP_NOFS"},
    {0xa20, "GFP_ATOMIC"},
    {0xc00, "GFP_NOIO"},
    {0x800, "GFP_NOWAIT"},
    {0x1, "GFP_DMA"},
    {0x2, "__GFP_HIGHMEM"},
    {0x4, "GFP_DMA32"},
    {0x20, "__GFP_HIGH"},
    {0x200, "__GFP_ATOMIC"},
    {0x40, "__GFP_IO"},
    {0x80, "__GFP_FS"},
    {0x2000, "__GFP_NOWARN"},
    {0x4000, "__GFP_RETRY_MAYFAIL"},
    {0x8000, "__GFP_NOFAIL"},
    {0x10000, "__GFP_NORETRY"},
    {0x40000, "__GFP_COMP"},
    {0x100, "__GFP_ZERO"},
    {0x80000, "__GFP_NOMEMALLOC"},
    {0x20000, "__GFP_MEMALLOC"},
    {0x100000, "__GFP_HARDWALL"},
    {0x200000, "__GFP_THISNODE"},
    {0x10, "__GFP_RECLAIMABLE"},
    {0x8, "__GFP_MOVABLE"},
    {0x400000, "__GFP_ACCOUNT"},
    {0x1000, "__GFP_WRITE"},
    {0xc00, "__GFP_RECLAIM"},
    {0x400, "__GFP_DIRECT_RECLAIM"},
    {0x800, "__GFP_KSWAPD_RECLAIM"},
    {0x800000, "__GFP_ZEROTAGS"},
};
template <std::uint32_t nowait>
constexpr auto names_without_atomic() {
  std::array<GfpName, std::size(kNames51) - 1> names{};
  std::size_t n = 0;
  for (GfpName name : kNames51) {
    if (name.name == "__GFP_ATOMIC")
      continue;
    if (name.name == "GFP_ATOMIC")
      name.raw = 0x820;
    if (name.name == "GFP_NOWAIT")
      name.raw = nowait;
    names[n++] = name;
  }
  return names;
}
constexpr auto kNames63 = names_without_atomic<0x800>();
constexpr auto kNames68 = names_without_atomic<0x2800>();
// Later kernels list the single flags by bit.
constexpr GfpName kNames72[] = {
    {0x1c24ca, "GFP_TRANSHUGE"},
    {0x1c20ca, "GFP_TRANSHUGE_LIGHT"},
    {0x100cca, "GFP_HIGHUSER_MOVABLE"},
    {0x100cc2, "GFP_HIGHUSER"},
    {0x100cc0, "GFP_USER"},
    {0x400cc0, "GFP_KERNEL_ACCOUNT"},
    {0xcc0, "GFP_KERNEL"},
    {0xc40, "GFP_NOFS"},
    {0x820, "GFP_ATOMIC"},
    {0xc00, "GFP_NOIO"},
    {0x2800, "GFP_NOWAIT"},
    {0x1, "GFP_DMA"},
    {0x4, "GFP_DMA32"},
    {0xc00, "__GFP_RECLAIM"},
    {0x1, "__GFP_DMA"},
    {0x2, "__GFP_HIGHMEM"},
    {0x4, "__GFP_DMA32"},
    {0x8, "__GFP_MOVABLE"},
    {0x10, "__GFP_RECLAIMABLE"},
    {0x20, "__GFP_HIGH"},
    {0x40, "__GFP_IO"},
    {0x80, "__GFP_FS"},
    {0x100, "__GFP_ZERO"},
    {0x400, "__GFP_DIRECT_RECLAIM"},
    {0x800, "__GFP_KSWAPD_RECLAIM"},
    {0x1000, "__GFP_WRITE"},
    {0x2000, "__GFP_NOWARN"},
    {0x4000, "__GFP_RETRY_MAYFAIL"},
    {0x8000, "__GFP_NOFAIL"},
    {0x10000, "__GFP_NORETRY"},
    {0x20000, "__GFP_MEMALLOC"},
    {0x40000, "__GFP_COMP"},
    {0x80000, "__GFP_NOMEMALLOC"},
    {0x100000, "__GFP_HARDWALL"},
    {0x200000, "__GFP_THISNODE"},
    {0x400000, "__GFP_ACCOUNT"},
    {0x800000, "__GFP_ZEROTAGS"},
    {0x1000000, "__GFP_NO_OBJ_EXT"},
};

// Oldest first. The release where the flags came to be printed by bit lies between 6.12 and 6.17 (09 §7.2); 6.13 is a
// guess that only moves names.
constexpr GfpLayout kLayouts[] = {
    {"linux-3.10", 3010, kBits310, kNames310}, {"linux-4.4", 4004, kBits44, kNames44},
    {"linux-4.10", 4010, kBits410, kNames410}, {"linux-4.18", 4018, kBits418, kNames418},
    {"linux-5.1", 5001, kBits51, kNames51},    {"linux-6.3", 6003, kBits63, kNames63},
    {"linux-6.8", 6008, kBits63, kNames68},    {"linux-6.13", 6013, kBits63, kNames72},
};

// Single flags under names that only other kernels print, without "__" and "GFP_".
struct Alias {
  std::string_view name;
  Gfp flag;
};
constexpr Alias kAliases[] = {
    {"DMA", kDma},
    {"HIGHMEM", kHighMem},
    {"DMA32", kDma32},
    {"MOVABLE", kMovable},
    {"RECLAIMABLE", kReclaimable},
    {"HIGH", kHigh},
    {"IO", kIo},
    {"FS", kFs},
    {"ZERO", kZero},
    {"DIRECT_RECLAIM", kDirectReclaim},
    {"WAIT", kDirectReclaim},
    {"KSWAPD_RECLAIM", kKswapdReclaim},
    {"RECLAIM", kReclaim},
    {"WRITE", kWrite},
    {"NOWARN", kNoWarn},
    {"RETRY_MAYFAIL", kRetryMayfail},
    {"REPEAT", kRetryMayfail},
    {"NOFAIL", kNoFail},
    {"NORETRY", kNoRetry},
    {"MEMALLOC", kMemalloc},
    {"COMP", kComp},
    {"NOMEMALLOC", kNoMemalloc},
    {"HARDWALL", kHardwall},
    {"THISNODE", kThisNode},
    {"ACCOUNT", kAccount},
    {"ZEROTAGS", kZeroTags},
    {"COLD", gfp_foreign::kCold},
    {"NOTRACK", gfp_foreign::kNoTrack},
    {"OTHER_NODE", gfp_foreign::kOtherNode},
    {"NOLOCKDEP", gfp_foreign::kNoLockdep},
};

}  // namespace

Gfp GfpLayout::decode(std::uint32_t raw) const {
  Gfp flags;
  for (const GfpBit& bit : bits_)
    if (((raw & bit.raw) != 0) != bit.inverted)
      flags = flags | bit.flag;
  return flags;
}

std::uint32_t GfpLayout::encode(Gfp flags) const {
  std::uint32_t raw = 0;
  for (const GfpBit& bit : bits_)
    if (flags.has(bit.flag) != bit.inverted)
      raw |= bit.raw;
  return raw;
}

std::string GfpLayout::text(std::uint32_t raw) const {
  if (raw == 0)
    return "none";
  std::string text;
  const auto add = [&text](std::string_view word) {
    if (!text.empty())
      text += '|';
    text += word;
  };
  for (const GfpName& name : names_) {
    if ((raw & name.raw) != name.raw)
      continue;
    add(name.name);
    raw &= ~name.raw;
  }
  if (raw != 0) {
    std::array<char, 8> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), raw, 16).ptr;
    add("0x");
    text.append(digits.begin(), end);
  }
  return text;
}

std::optional<std::uint32_t> GfpLayout::parse(std::string_view text) const {
  if (text == "none")
    return 0;
  std::uint32_t raw = 0;
  while (true) {
    const std::size_t bar = text.find('|');
    std::string_view word = text.substr(0, bar);
    if (word.starts_with("0x")) {
      std::uint32_t bits = 0;
      word.remove_prefix(2);
      const auto [end, problem] = std::from_chars(word.begin(), word.end(), bits, 16);
      if (problem != std::errc{} || end != word.end())
        return std::nullopt;
      raw |= bits;
    } else if (const auto name =
                   std::find_if(names_.begin(), names_.end(), [word](const GfpName& n) { return n.name == word; });
               name != names_.end()) {
      raw |= name->raw;
    } else {
      if (word.starts_with("__"))
        word.remove_prefix(2);
      if (!word.starts_with("GFP_"))
        return std::nullopt;
      word.remove_prefix(4);
      const auto alias =
          std::find_if(std::begin(kAliases), std::end(kAliases), [word](const Alias& a) { return a.name == word; });
      if (alias == std::end(kAliases))
        return std::nullopt;
      for (const GfpBit& bit : bits_)
        if (alias->flag.has(bit.flag) && !bit.inverted)
          raw |= bit.raw;
    }
    if (bar == std::string_view::npos)
      return raw;
    text.remove_prefix(bar + 1);
  }
}

std::span<const GfpLayout> gfp_layouts() {
  return kLayouts;
}

const GfpLayout& gfp_layout_default() {
  return *gfp_layout_for_release("6.1");
}

const GfpLayout* gfp_layout_for_release(std::string_view release) {
  if (release.starts_with("linux-"))
    release.remove_prefix(6);
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  const auto first = std::from_chars(release.begin(), release.end(), major);
  if (first.ec != std::errc{} || first.ptr == release.end() || *first.ptr != '.')
    return nullptr;
  if (std::from_chars(first.ptr + 1, release.end(), minor).ec != std::errc{} || major > 1000 || minor > 999)
    return nullptr;
  const GfpLayout* found = std::begin(kLayouts);
  for (const GfpLayout& layout : kLayouts)
    if (layout.since() <= 1000 * major + minor)
      found = &layout;
  return found;
}

}  // namespace mmbox::lab
