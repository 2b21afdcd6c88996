#include "mmbox/lab/io/byte_source.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <string>
#include <vector>

namespace mmbox::lab {
namespace {

std::string compressed(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

// Enough text that several buffers are needed.
std::string long_text() {
  std::string text;
  for (int i = 0; i < 100000; ++i)
    text += "line " + std::to_string(i) + "\n";
  return text;
}

std::vector<std::string> lines_of(const std::string& bytes, std::size_t line_max = LineReader::kLineMax) {
  LineReader reader{ByteSource::from_memory("memory", bytes), line_max};
  std::vector<std::string> lines;
  std::string_view line;
  for (;;) {
    auto more = reader.next(line);
    if (!more) {
      lines.push_back("! " + more.error().text());
      return lines;
    }
    if (!*more)
      return lines;
    lines.emplace_back(line);
  }
}

TEST(LineReader, StripsBothKindsOfLineEnds) {
  EXPECT_EQ(lines_of("a\r\nb\n\nc"), (std::vector<std::string>{"a", "b", "", "c"}));
  EXPECT_EQ(lines_of(""), std::vector<std::string>{});
}

TEST(LineReader, KnowsThatTheLastLineIsCutOff) {
  LineReader reader{ByteSource::from_memory("memory", "a\nb")};
  std::string_view line;
  ASSERT_TRUE(*reader.next(line));
  EXPECT_TRUE(reader.terminated());
  ASSERT_TRUE(*reader.next(line));
  EXPECT_FALSE(reader.terminated());
  EXPECT_EQ(reader.number(), 2U);
}

TEST(LineReader, RefusesALineOverTheLimit) {
  EXPECT_EQ(lines_of("1234\n12345\n", 4),
            (std::vector<std::string>{"1234",
                                      "! memory:2: the line is longer than 4 bytes; this is no text of a known kind"}));
}

TEST(ByteSource, CompressedTextReadsAsPlainText) {
  const std::string text = long_text();
  const auto plain = lines_of(text);
  EXPECT_EQ(plain.size(), 100000U);
  EXPECT_EQ(lines_of(compressed(text)), plain);
}

TEST(ByteSource, FramesOneAfterTheOtherReadAsOneText) {
  EXPECT_EQ(lines_of(compressed("a\nb") + compressed("c\n")), (std::vector<std::string>{"a", "bc"}));
}

TEST(ByteSource, EveryCutOfCompressedDataIsAnError) {
  const std::string whole = compressed("some text that is repeated, some text that is repeated\n");
  for (std::size_t n = 5; n < whole.size(); ++n)
    EXPECT_EQ(lines_of(whole.substr(0, n)).back().substr(0, 9), "! memory:") << n;
}

TEST(ByteSource, DamagedCompressedDataIsAnErrorThatNamesTheFile) {
  std::string bytes = compressed(long_text());
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  bytes.resize(bytes.size() - 1);
  EXPECT_EQ(lines_of(bytes).back().substr(0, 9), "! memory:");
}

TEST(ByteSource, PeekDoesNotConsume) {
  const std::string bytes = compressed("abcdef");
  auto source = ByteSource::from_memory("memory", bytes);
  EXPECT_EQ(*source.peek(3), "abc");
  EXPECT_EQ(*source.peek(100), "abcdef");
  source.consume(2);
  EXPECT_EQ(*source.view(), "cdef");
  EXPECT_EQ(source.offset(), 2U);
}

TEST(ByteSource, AMissingFileIsAnErrorWithARemedy) {
  auto source = ByteSource::open("/nonexistent/file");
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().text(), "/nonexistent/file: cannot be opened: No such file or directory; check the path");
}

TEST(ByteSource, SpoolHoldsTheDecodedBytes) {
  const std::string text = long_text();
  const std::string bytes = compressed(text);
  auto source = ByteSource::from_memory("memory", bytes);
  auto file = source.spool();
  ASSERT_TRUE(file);
  std::string back(text.size() + 1, '\0');
  EXPECT_EQ(::pread(file->get(), back.data(), back.size(), 0), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(back.substr(0, text.size()), text);
}

}  // namespace
}  // namespace mmbox::lab
