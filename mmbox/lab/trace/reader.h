// Traces as a stream of records, from any file that holds one.
//
// `open_trace` looks at the first bytes and picks the reader: trace.dat, mmbox's compact form, or one of the text
// forms. Memory does not grow with the trace.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "mmbox/lab/error.h"
#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/trace/record.h"

namespace mmbox::lab {

/// What the caller knows about the traced kernel. Text and trace.dat tell some of it themselves; compact files all.
struct TraceOptions {
  /// How the kernel numbers request flags. nullptr: what the trace tells, else Linux 6.1's.
  const GfpLayout* gfp = nullptr;
  /// How it numbers migratetypes: with CMA (7.2 as recorded), Isolate is 5.
  MigratetypeNumbering migratetypes{false};
  /// Address of the `struct page` of pfn 0, for probes that recorded a page's address.
  std::uint64_t vmemmap_base = 0xffffea0000000000;
};

/// What a trace says about itself.
struct TraceInfo {
  std::string format;              ///< "trace.dat", "text", "recording text", "compact"
  std::string release;             ///< of the kernel; empty where the trace does not tell
  const GfpLayout* gfp = nullptr;  ///< never null once a trace is open
  std::uint32_t cpus = 0;          ///< 0 where the trace does not tell
  bool counts_time = false;        ///< known to have been taken with the counter clock: times are no nanoseconds
};

/// A stream of records in the order of time.
///
/// After an error or the end, no further call of `next` is legal. Events that mmbox does not use come as Unknown.
class TraceReader {
 public:
  virtual ~TraceReader() = default;
  /// Reads one record. False at the end. Text inside `record` lives until the next call.
  virtual Expected<bool> next(TraceRecord& record) = 0;
  [[nodiscard]] virtual Progress progress() const = 0;
  [[nodiscard]] virtual const TraceInfo& info() const = 0;
};

/// Opens a trace; "-" is standard input. Any of the forms may be zstd-compressed.
Expected<std::unique_ptr<TraceReader>> open_trace(const std::string& path, const TraceOptions& options = {});
/// The same from a source from which nothing was consumed.
Expected<std::unique_ptr<TraceReader>> open_trace(ByteSource source, const TraceOptions& options = {});

}  // namespace mmbox::lab
