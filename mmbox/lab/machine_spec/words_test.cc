#include "mmbox/lab/machine_spec/words.h"

#include <gtest/gtest.h>

namespace mmbox::lab {
namespace {

TEST(Size, IsReadInBinaryUnits) {
  EXPECT_EQ(parse_size("64G"), 64ULL << 30);
  EXPECT_EQ(parse_size(" 64 GiB "), 64ULL << 30);
  EXPECT_EQ(parse_size("64gb"), 64ULL << 30);
  EXPECT_EQ(parse_size("4k"), 4096u);
  EXPECT_EQ(parse_size("1.5G"), 3ULL << 29);
  EXPECT_EQ(parse_size("0.25M"), 1ULL << 18);
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("0x9f000"), 0x9f000u);
  EXPECT_EQ(parse_size("16777215T"), 16777215ULL << 40);
}

TEST(Size, IsRefusedIfItIsNoneOrTooLarge) {
  for (const char* text : {"", "G", "64X", "64GX", "64GiBs", "-1G", "1.G", ".5G", "1.1234567G", "16777216T", "0x",
                           "1 2", "18446744073709551616", "99999999999999999999G", "64Gi"})
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
}

TEST(Size, IsWrittenAsItIsRead) {
  for (const std::uint64_t bytes : {0ULL, 1ULL, 4096ULL, 1536ULL << 20, 64ULL << 30, 1ULL << 50, ~0ULL})
    EXPECT_EQ(parse_size(size_text(bytes)), bytes) << size_text(bytes);
  EXPECT_EQ(size_text(64ULL << 30), "64G");
}

TEST(AddressRange, IsWholePages) {
  EXPECT_EQ(parse_address_range("1M-3G"), (PfnRange{Pfn{0x100}, Pfn{0xc0000}}));
  EXPECT_EQ(parse_address_range("0x1000-0x9f000"), (PfnRange{Pfn{1}, Pfn{0x9f}}));
  for (const char* text : {"1M", "3G-1M", "1M-1M", "1-2", "0x800-0x1000", "0-4097", "a-b", ""})
    EXPECT_EQ(parse_address_range(text), std::nullopt) << text;
  EXPECT_EQ(address_range_text(PfnRange{Pfn{1}, Pfn{0x9f}}), "0x1000-0x9f000");
}

TEST(CpuList, IsTheKernelsForm) {
  const std::vector<std::uint64_t> expected{0, 1, 2, 3, 8, 10, 11};
  EXPECT_EQ(parse_cpu_list("0-3,8,10-11", 12), expected);
  EXPECT_EQ(cpu_list_text(expected), "0-3,8,10-11");
  EXPECT_EQ(parse_cpu_list("", 12), std::vector<std::uint64_t>{});
  for (const char* text : {"0-12", "3-1", "1,1", "2,1", "0,", ",", "a", "0--1", "0-18446744073709551615"})
    EXPECT_EQ(parse_cpu_list(text, 12), std::nullopt) << text;
}

TEST(Suggestion, NamesTheNearestWordOrAll) {
  EXPECT_EQ(suggestion("kernelcor", {"kernelcore", "movablecore"}), "did you mean \"kernelcore\"?");
  EXPECT_EQ(suggestion("Kernelcore", {"kernelcore", "movablecore"}), "did you mean \"kernelcore\"?");
  EXPECT_EQ(suggestion("banana", {"kernelcore", "movablecore"}), "known are kernelcore, movablecore");
  EXPECT_EQ(suggestion("x", {"cma", "thp"}), "known are cma, thp");
  EXPECT_EQ(suggestion(std::string(100000, 'k'), {"kernelcore"}), "known are kernelcore");
}

TEST(InQuotes, IsShortAndPrintable) {
  EXPECT_EQ(in_quotes("a\nb"), "\"a?b\"");
  EXPECT_EQ(in_quotes(std::string(61, 'a')), "\"" + std::string(60, 'a') + "…\"");
}

}  // namespace
}  // namespace mmbox::lab
