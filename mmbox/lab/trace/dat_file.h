// The container of a trace.dat: where each cpu's ring-buffer pages lie, and the pages themselves, one by one.
//
// libtracecmd reads these too, but keeps all pages of a compressed file in memory, and takes sizes in the file at their
// word. Here every size is checked before it is used, and one chunk per cpu is held at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mmbox/lab/error.h"

namespace mmbox::lab {

/// Pages of one cpu. Offsets and sizes are bytes in the file.
struct DatCpu {
  std::uint32_t cpu = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// What the container says.
struct DatLayout {
  unsigned version = 0;  ///< 6 or 7
  std::uint32_t page_size = 0;
  bool compressed = false;      ///< pages lie in zstd chunks
  std::uint64_t chunk_max = 0;  ///< bytes that a chunk may take unpacked
  std::string clock;            ///< "local", "counter", …; empty if not told
  std::string release;          ///< of the kernel; empty if not told
  std::string tasks;            ///< lines of "PID NAME"
  std::vector<DatCpu> cpus;
};

/// Walks over the whole container of an open trace.dat and checks that all of its parts lie inside the file.
/// Source: trace-cmd.dat.v6(5), trace-cmd.dat.v7(5).
Expected<DatLayout> read_dat_layout(int fd, const std::string& name);

/// The ring-buffer pages of one cpu, in order.
class DatPages {
 public:
  /// `fd` must stay open. `name` stands in errors.
  DatPages(int fd, std::string name, const DatLayout& layout, const DatCpu& cpu);
  /// Reads the next page. False at the end. A page stays valid until the next call.
  Expected<bool> next(std::span<const std::byte>& page);
  /// Bytes of the file read so far.
  [[nodiscard]] std::uint64_t done() const { return at_ - begin_; }
  /// Where in the file the page read last came from (its chunk, if compressed).
  [[nodiscard]] std::uint64_t position() const { return position_; }

 private:
  Expected<void> read_chunk();
  [[nodiscard]] Error error(std::string message) const;

  int fd_;
  std::string name_;
  std::uint32_t page_size_;
  bool compressed_;
  std::uint64_t chunk_max_;
  std::uint64_t begin_;
  std::uint64_t at_;
  std::uint64_t end_;
  std::uint64_t position_;
  bool started_ = false;
  std::uint32_t chunks_left_ = 0;
  std::vector<std::byte> stored_;
  std::vector<std::byte> pages_;
  std::size_t next_page_ = 0;  // offset in pages_
};

/// One recorded event of a page.
struct RingEvent {
  std::uint64_t timestamp = 0;
  std::span<const std::byte> data;
};

/// The events of one ring-buffer page.
///
/// A page is: u64 time, then a word (u32 or u64) with the bytes in use and two flags, then events. An event begins with
/// a u32: five bits of type or length and 27 bits of time since the last. Source: the header_page and header_event
/// texts in every trace.dat.
class RingPage {
 public:
  enum class Step { Event, End, Damaged };
  /// `word_size` is that of the traced kernel's long, 4 or 8. False if the page's sizes are impossible.
  bool load(std::span<const std::byte> page, std::size_t word_size);
  Step next(RingEvent& event);
  /// Events lost before this page: 0 none, UINT64_MAX if their number is not told.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  [[nodiscard]] std::uint32_t word(std::size_t at) const;
  std::span<const std::byte> data_;  // the part in use, without the page's head
  std::size_t at_ = 0;
  std::uint64_t time_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace mmbox::lab
