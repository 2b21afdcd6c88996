#include "mmbox/lab/machine_spec/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace mmbox::lab {
namespace {

std::string error_of(std::string_view name, std::string_view value) {
  Tunables tunables;
  const Expected<void> result = set(tunables, name, value);
  return result ? "" : result.error().text();
}

TEST(Settings, AreSortedDescribedAndWritable) {
  std::string_view previous;
  for (const SettingInfo& info : settings()) {
    SCOPED_TRACE(info.name);
    EXPECT_LT(previous, info.name);
    previous = info.name;
    EXPECT_TRUE(info.name.starts_with("vm."));
    EXPECT_FALSE(info.unit.empty());
    EXPECT_FALSE(info.help.empty());
    EXPECT_LT(info.min, info.max);
    Tunables tunables;
    // Both ends of the range go in and come out again; what lies beyond is refused and changes nothing.
    for (const std::uint64_t value : {info.max, info.min}) {
      EXPECT_TRUE(set(tunables, info.name, std::to_string(value)));
      EXPECT_EQ(*get(tunables, info.name, 1), std::to_string(value));
    }
    EXPECT_FALSE(set(tunables, info.name, std::to_string(info.max + 1)));
    EXPECT_FALSE(set(tunables, info.name, "-1"));
    EXPECT_FALSE(set(tunables, info.name, ""));
    EXPECT_FALSE(set(tunables, info.name, "1x"));
    EXPECT_EQ(*get(tunables, info.name, 1), std::to_string(info.min));
  }
}

TEST(Settings, ChangeOnlyTheirOwnField) {
  // Writing each to its maximum leaves all others at their defaults, but for the counterpart of a dirty limit.
  for (const SettingInfo& written : settings()) {
    Tunables tunables;
    ASSERT_TRUE(set(tunables, written.name, std::to_string(written.max)));
    for (const SettingInfo& other : settings()) {
      if (other.name == written.name || (written.name.starts_with("vm.dirty_") && other.name.starts_with("vm.dirty_")))
        continue;
      EXPECT_EQ(*get(tunables, other.name, kMaxZoneTypes), *get(Tunables{}, other.name, kMaxZoneTypes))
          << written.name << " changed " << other.name;
    }
  }
}

TEST(Settings, AWrittenMinFreeIsTheUsers) {
  Tunables tunables;
  ASSERT_TRUE(set(tunables, "vm.min_free_kbytes", "67584\n"));
  EXPECT_EQ(tunables.min_free_kbytes, 67584u);
  EXPECT_EQ(tunables.user_min_free_kbytes, 67584);
}

TEST(Settings, TheTwoDirtyLimitsExcludeEachOther) {
  Tunables tunables;
  ASSERT_TRUE(set(tunables, "vm.dirty_bytes", "8192"));
  EXPECT_EQ(tunables.dirty_ratio, 0u);
  ASSERT_TRUE(set(tunables, "vm.dirty_ratio", "20"));
  EXPECT_EQ(tunables.dirty_bytes, 0u);
  EXPECT_EQ(error_of("vm.dirty_bytes", "8191"),
            "8191 is too small a value for vm.dirty_bytes; give 0 or at least two pages, 8192");
}

TEST(Settings, TheReserveRatioIsAListOfOneNumberForEachZone) {
  Tunables tunables;
  ASSERT_TRUE(set(tunables, "vm.lowmem_reserve_ratio", "256 128\t32 0 0"));
  EXPECT_EQ(*get(tunables, "vm.lowmem_reserve_ratio", 5), "256\t128\t32\t0\t0");
  // A shorter list leaves the rest alone.
  ASSERT_TRUE(set(tunables, "vm.lowmem_reserve_ratio", "1"));
  EXPECT_EQ(*get(tunables, "vm.lowmem_reserve_ratio", 4), "1\t128\t32\t0");
  EXPECT_FALSE(set(tunables, "vm.lowmem_reserve_ratio", "7 x"));
  EXPECT_FALSE(set(tunables, "vm.lowmem_reserve_ratio", "7 7 7 7 7 7 7"));
  EXPECT_EQ(*get(tunables, "vm.lowmem_reserve_ratio", 4), "1\t128\t32\t0");
}

TEST(Settings, TheHighFractionIsZeroOrAtLeastEight) {
  EXPECT_EQ(error_of("vm.percpu_pagelist_high_fraction", "0"), "");
  EXPECT_EQ(error_of("vm.percpu_pagelist_high_fraction", "8"), "");
  EXPECT_EQ(error_of("vm.percpu_pagelist_high_fraction", "7"),
            "7 is too small a value for vm.percpu_pagelist_high_fraction; give 0 or at least 8");
}

TEST(Settings, AnErrorSaysWhatWouldBeRight) {
  EXPECT_EQ(error_of("vm.min_free_kbyte", "1"),
            "there is no setting \"vm.min_free_kbyte\"; did you mean \"vm.min_free_kbytes\"?");
  EXPECT_EQ(error_of("min_free_kbytes", "1"),
            "there is no setting \"min_free_kbytes\"; did you mean \"vm.min_free_kbytes\"?");
  EXPECT_NE(error_of("net.core", "1").find("; known are vm.compact_unevictable_allowed, "), std::string::npos);
  EXPECT_EQ(
      error_of("vm.watermark_scale_factor", "3001"),
      "\"3001\" is no value for vm.watermark_scale_factor; give a whole number from 1 to 3000 (1/10000 of a zone)");
  EXPECT_FALSE(get(Tunables{}, "vm.nothing", 5));
}

}  // namespace
}  // namespace mmbox::lab
