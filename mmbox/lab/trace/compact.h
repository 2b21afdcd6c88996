// mmbox's own form of a trace: a few bytes an event, and fast enough that replay is not waiting for it.
//
// A file is a header, blocks of up to 65536 events, and an end mark with the count of all events. Each part carries a
// checksum, so that a torn or damaged file is an error with an offset and never a short answer. A block stands alone:
// nothing in it refers to an earlier one. Integers are little-endian; "varint" is LEB128, "zigzag" folds the sign in.
//
//   header   "MMBOXTR\x1a"  u32 version  u32 length  bytes[length]  u64 checksum
//            bytes: varint gfp layout (its `since`), varint cpus, varint kinds, and per kind: varint length, name,
//            varint fingerprint of its fields
//   block    "BLK\n"  u32 events  u32 plain bytes  u32 stored bytes  u64 checksum of these numbers and the stored bytes
//            stored bytes: the plain ones, or a zstd frame of them where that is smaller (stored < plain)
//   end      "END\n"  u64 events  u64 checksum of all blocks' checksums
//
// An event is a varint head (entry << 1 | context), a context if that bit is set, then its places and counts. An entry
// of the block's dictionary stands for a kind of event with the values of its small fields (order, flags, types, …),
// since few combinations occur; entry 0 introduces a new one: varint kind, and a varint per small field. A context
// tells a cpu, pid, task name or time that is not what was expected: the cpu of the last event, the last pid of that
// cpu, the last name of that pid, and one tick later. Places are zigzag distances from the last one of that kind.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "mmbox/lab/io/byte_sink.h"
#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {

/// What every compact file begins with.
inline constexpr std::string_view kCompactMagic{"MMBOXTR\x1a", 8};

struct CompactOptions {
  /// zstd level of the blocks; 0 leaves them plain.
  int zstd_level = 3;
};

/// Writes records as a compact file.
class CompactWriter {
 public:
  /// `info` is that of the trace the records come from.
  static Expected<CompactWriter> create(ByteSink sink, const TraceInfo& info, const CompactOptions& options = {});
  CompactWriter(CompactWriter&&) noexcept;
  CompactWriter& operator=(CompactWriter&&) noexcept;
  ~CompactWriter();

  Expected<void> write(const TraceRecord& record);
  /// Writes the end mark. Without it the file counts as torn.
  Expected<void> finish();
  /// Records written so far.
  [[nodiscard]] std::uint64_t events() const;
  /// Bytes of finished blocks before compression.
  [[nodiscard]] std::uint64_t plain_bytes() const;

 private:
  struct State;
  explicit CompactWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Reads a compact file; `options` matter only where they name a gfp layout.
Expected<std::unique_ptr<TraceReader>> open_compact(ByteSource source, const TraceOptions& options);

}  // namespace mmbox::lab
