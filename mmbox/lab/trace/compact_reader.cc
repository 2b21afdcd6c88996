#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/trace/compact.h"
#include "mmbox/lab/trace/compact_format.h"

namespace mmbox::lab {
namespace {

using namespace compact;

/// Fills the places and counts of an event whose small fields stand already.
using FillFunction = bool (*)(TraceEvent&, const std::uint8_t*&, std::uint64_t*);

template <class E>
bool fill(TraceEvent& out, const std::uint8_t*& at, std::uint64_t* last) {
  E& event = *std::get_if<E>(&out);
  bool good = true;
  for_each_field<E>([&](std::size_t i, const auto& f) {
    if (f.coding == Coding::Symbol)
      return;
    std::uint64_t value = unzigzag(take_varint(at));
    if (f.coding == Coding::Delta) {
      value += last[i];
      if (value != kNoPfn.raw())
        last[i] = value;
    }
    good &= from_core(value, event.*f.member);
  });
  return good;
}

/// Reads the small fields of a new dictionary entry.
using DefineFunction = bool (*)(TraceEvent&, const std::uint8_t*&);

template <class E>
bool define(TraceEvent& out, const std::uint8_t*& at) {
  E event = zero_event<E>();
  bool good = true;
  for_each_field<E>([&](std::size_t, const auto& f) {
    if (f.coding == Coding::Symbol)
      good &= from_core(take_varint(at), event.*f.member);
  });
  out = event;
  return good;
}

template <std::size_t... kind>
constexpr std::array<FillFunction, kEventKinds> make_fillers(std::index_sequence<kind...>) {
  return {&fill<EventOf<kind>>...};
}
template <std::size_t... kind>
constexpr std::array<DefineFunction, kEventKinds> make_definers(std::index_sequence<kind...>) {
  return {&define<EventOf<kind>>...};
}
constexpr auto kFillers = make_fillers(std::make_index_sequence<kEventKinds>{});
constexpr auto kDefiners = make_definers(std::make_index_sequence<kEventKinds>{});

struct Entry {
  std::size_t kind = 0;
  TraceEvent event;
};

class CompactReader final : public TraceReader {
 public:
  explicit CompactReader(ByteSource source) : source_(std::move(source)) { info_.format = "compact"; }

  Expected<void> start(const TraceOptions& options);
  Expected<bool> next(TraceRecord& record) override;
  [[nodiscard]] Progress progress() const override { return source_.progress(); }
  [[nodiscard]] const TraceInfo& info() const override { return info_; }

 private:
  [[nodiscard]] Error error(std::string message) const {
    return Error{.file = source_.name(),
                 .offset = source_.offset(),
                 .message = std::move(message),
                 .remedy = "convert the trace again from what it was made from"};
  }
  // Appends exactly `n` bytes to `out`.
  Expected<void> read_bytes(std::size_t n, std::string& out);
  Expected<void> read_header_bytes(std::string_view bytes, const TraceOptions& options);
  // True if there is another block, false at a sound end.
  Expected<bool> open_block();
  // The text at the cursor, or nothing if it does not fit.
  std::optional<std::string_view> take_text();
  bool read_entry(Entry& entry);
  bool read_context(TraceRecord& record);

  ByteSource source_;
  TraceInfo info_{};
  std::vector<std::size_t> kinds_;  // kind in the file -> ours; kEventKinds: not readable
  std::vector<std::string> kind_names_;
  std::uint64_t events_ = 0;
  std::uint64_t checksums_ = 0;

  // The open block, with kEventMax zero bytes behind it, so that an event is checked once and not at every byte.
  std::string block_;
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  std::uint32_t events_left_ = 0;
  std::vector<Entry> entries_;
  Entry spare_;  // for entries beyond a full dictionary
  Expectation expected_;
};

Expected<void> CompactReader::read_bytes(std::size_t n, std::string& out) {
  while (n != 0) {
    auto bytes = source_.view();
    if (!bytes)
      return std::move(bytes).error();
    if (bytes->empty())
      return error("the file ends in the middle");
    const std::size_t part = std::min(n, bytes->size());
    out += bytes->substr(0, part);
    source_.consume(part);
    n -= part;
  }
  return {};
}

Expected<void> CompactReader::start(const TraceOptions& options) {
  std::string head;
  if (auto ok = read_bytes(kCompactMagic.size() + 8, head); !ok)
    return ok;
  const auto version = take<std::uint32_t>(head.data() + kCompactMagic.size());
  const auto length = take<std::uint32_t>(head.data() + kCompactMagic.size() + 4);
  if (version != kVersion)
    return error(fmt::format("compact form version {} is not known", version));
  if (length > kHeaderMax)
    return error("the header is damaged");
  if (auto ok = read_bytes(length + sizeof(std::uint64_t), head); !ok)
    return ok;
  const std::string_view whole = std::string_view{head}.substr(0, head.size() - sizeof(std::uint64_t));
  if (take<std::uint64_t>(head.data() + whole.size()) != checksum(whole))
    return error("the header is damaged");
  return read_header_bytes(whole.substr(kCompactMagic.size() + 8), options);
}

Expected<void> CompactReader::read_header_bytes(std::string_view bytes, const TraceOptions& options) {
  std::string padded{bytes};
  padded.append(kEventMax, '\0');
  const auto* at = reinterpret_cast<const std::uint8_t*>(padded.data());
  const auto* const end = at + bytes.size();
  const std::uint64_t since = take_varint(at);
  info_.cpus = static_cast<std::uint32_t>(take_varint(at));
  const std::uint64_t kinds = take_varint(at);
  info_.gfp = &gfp_layout_default();
  for (const GfpLayout& layout : gfp_layouts())
    if (layout.since() == since)
      info_.gfp = &layout;
  if (options.gfp != nullptr)
    info_.gfp = options.gfp;
  const auto prints = fingerprints();
  for (std::uint64_t i = 0; i < kinds; ++i) {
    const std::uint64_t size = take_varint(at);
    if (at > end || size > static_cast<std::uint64_t>(end - at))
      return error("the header is damaged");
    const std::string_view name{reinterpret_cast<const char*>(at), size};
    at += size;
    const std::uint64_t print = take_varint(at);
    std::size_t kind = 0;
    while (kind < kEventKinds && (kind_name(kind) != name || prints[kind] != print))
      ++kind;
    kinds_.push_back(kind);
    kind_names_.emplace_back(name);
  }
  if (at > end)
    return error("the header is damaged");
  return {};
}

Expected<bool> CompactReader::open_block() {
  std::string head;
  if (auto ok = read_bytes(kBlockMark.size(), head); !ok)
    return std::move(ok).error();
  if (head == kEndMark) {
    if (auto ok = read_bytes(kEndSize - kEndMark.size(), head); !ok)
      return std::move(ok).error();
    const auto events = take<std::uint64_t>(head.data() + 4);
    if (events != events_ || take<std::uint64_t>(head.data() + 12) != checksum({}, checksums_ ^ events))
      return error("a part of the file is missing");
    auto rest = source_.view();
    if (!rest)
      return std::move(rest).error();
    if (!rest->empty())
      return error("there is something behind the end");
    return false;
  }
  if (head != kBlockMark)
    return error("damaged: no block begins here");
  if (auto ok = read_bytes(kBlockHead - kBlockMark.size(), head); !ok)
    return std::move(ok).error();
  events_left_ = take<std::uint32_t>(head.data() + 4);
  const auto plain = take<std::uint32_t>(head.data() + 8);
  const auto stored = take<std::uint32_t>(head.data() + 12);
  const auto sum = take<std::uint64_t>(head.data() + 16);
  if (events_left_ == 0 || events_left_ > kBlockEvents || plain > kBlockBytes || stored > plain)
    return error("damaged: a block's sizes are impossible");
  std::string bytes;
  if (auto ok = read_bytes(stored, bytes); !ok)
    return std::move(ok).error();
  if (sum != checksum(bytes, checksum(std::string_view{head}.substr(4, 12))))
    return error("damaged: a block's checksum is wrong");
  checksums_ = checksum({}, checksums_ ^ sum);
  if (stored < plain) {
    block_.resize(plain);
    const std::size_t size = ZSTD_decompress(block_.data(), block_.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(size) != 0U || size != plain)
      return error("damaged: a block cannot be unpacked");
  } else {
    block_ = std::move(bytes);
  }
  block_.append(kEventMax, '\0');
  at_ = reinterpret_cast<const std::uint8_t*>(block_.data());
  end_ = at_ + plain;
  entries_.clear();
  entries_.emplace_back();  // entry 0 introduces others
  expected_ = {};
  return true;
}

std::optional<std::string_view> CompactReader::take_text() {
  const std::uint64_t size = take_varint(at_);
  if (at_ > end_ || size > static_cast<std::uint64_t>(end_ - at_))
    return std::nullopt;
  const std::string_view text{reinterpret_cast<const char*>(at_), size};
  at_ += size;
  return text;
}

bool CompactReader::read_entry(Entry& entry) {
  const std::uint64_t kind = take_varint(at_);
  if (kind >= kinds_.size() || kinds_[kind] == kEventKinds)
    return false;
  entry.kind = kinds_[kind];
  if (!kDefiners[entry.kind](entry.event, at_))
    return false;
  if (entry.kind == kKindOf<Unknown>) {
    const auto name = take_text();
    if (!name)
      return false;
    entry.event = Unknown{*name};
  }
  return true;
}

bool CompactReader::read_context(TraceRecord& record) {
  const std::uint8_t context = *at_++;
  if ((context & kContextCpu) != 0) {
    const std::uint64_t cpu = take_varint(at_);
    if (cpu > 0xffff)
      return false;
    expected_.cpu = static_cast<std::uint16_t>(cpu);
  }
  if ((context & kContextPid) != 0)
    expected_.pid_of(expected_.cpu) = static_cast<std::int32_t>(unzigzag(take_varint(at_)));
  if ((context & kContextTime) != 0)
    record.timestamp = expected_.time + unzigzag(take_varint(at_));
  if ((context & kContextComm) != 0) {
    const auto comm = take_text();
    if (!comm || comm->size() > 15)
      return false;
    expected_.comm_of(expected_.pid_of(expected_.cpu)) = Comm{*comm};
  }
  return true;
}

Expected<bool> CompactReader::next(TraceRecord& record) {
  if (events_left_ == 0) {
    auto more = open_block();
    if (!more || !*more)
      return more;
  }
  const auto damaged = [this] { return error("damaged: an event cannot be read"); };
  const std::uint64_t head = take_varint(at_);
  record.timestamp = expected_.time + 1;
  if ((head & 1) != 0 && !read_context(record))
    return damaged();
  const std::size_t index = head >> 1;
  const Entry* entry = nullptr;
  if (index == 0) {
    Entry* fresh = &spare_;
    if (entries_.size() <= kEntriesMax)
      fresh = &entries_.emplace_back();
    const std::uint8_t* const at = at_;
    if (!read_entry(*fresh)) {
      const std::uint8_t* name_at = at;
      const std::uint64_t kind = take_varint(name_at);
      if (kind < kinds_.size() && kinds_[kind] == kEventKinds)
        return error(fmt::format("event {} was written by another version of mmbox", kind_names_[kind]));
      return damaged();
    }
    entry = fresh;
  } else {
    if (index >= entries_.size())
      return damaged();
    entry = &entries_[index];
  }
  record.event = entry->event;
  if (!kFillers[entry->kind](record.event, at_, expected_.places(entry->kind)))
    return damaged();
  if (entry->kind == kKindOf<Marker>) {
    const auto text = take_text();
    if (!text)
      return damaged();
    record.event = Marker{*text};
  } else if (entry->kind == kKindOf<Lost>) {
    record.event = Lost{take_varint(at_)};
  }
  if (at_ > end_)
    return damaged();
  expected_.time = record.timestamp;
  record.cpu = CpuId{expected_.cpu};
  record.pid = expected_.pid_of(expected_.cpu);
  record.comm = expected_.comm_of(record.pid);
  ++events_;
  if (--events_left_ == 0 && at_ != end_)
    return damaged();
  return true;
}

}  // namespace

Expected<std::unique_ptr<TraceReader>> open_compact(ByteSource source, const TraceOptions& options) {
  auto reader = std::make_unique<CompactReader>(std::move(source));
  if (auto started = reader->start(options); !started)
    return std::move(started).error();
  return std::unique_ptr<TraceReader>{std::move(reader)};
}

}  // namespace mmbox::lab
