// Field offsets are looked up once per event, then read straight from the ring buffer's bytes; libtraceevent's printing
// is never called for records. The cpus' streams are merged by time, the lowest cpu first among equals, as trace-cmd
// does.
#include "mmbox/lab/trace/dat_reader.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "mmbox/lab/trace/dat_file.h"
#include "mmbox/lab/trace/schema.h"
#include "mmbox/lab/trace/trace_dat_c.h"

namespace mmbox::lab {
namespace {

struct CloseDat {
  void operator()(mmbox_dat* dat) const { mmbox_dat_close(dat); }
};

/// Where a field stands in an event's record.
struct FieldSlot {
  std::uint16_t offset = 0;
  std::uint8_t size = 0;  // 0: the event does not have it
  bool is_signed = false;
  bool is_page = false;  // a struct page pointer
};

/// How one event id is decoded.
struct Binding {
  std::size_t kind = kEventKinds;
  std::uint16_t id = 0;
  std::string name;            // as in the trace
  std::uint32_t size_min = 0;  // bytes that hold all fields
  std::uint32_t missing = 0;   // bit i: field i does not exist
  std::array<FieldSlot, kFieldsMax> slots{};
  std::uint32_t text_offset = 0;  // of a print event
};

std::uint64_t load(const std::byte* data, const FieldSlot& slot) {
  const std::byte* at = data + slot.offset;
  const auto read = [at]<class Signed>(Signed value, bool is_signed) -> std::uint64_t {
    std::memcpy(&value, at, sizeof value);
    return is_signed ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value))
                     : static_cast<std::uint64_t>(static_cast<std::make_unsigned_t<Signed>>(value));
  };
  switch (slot.size) {
    case 1: return read(std::int8_t{}, slot.is_signed);
    case 2: return read(std::int16_t{}, slot.is_signed);
    case 4: return read(std::int32_t{}, slot.is_signed);
    default: return read(std::int64_t{}, slot.is_signed);
  }
}

/// Decodes one event. Returns the number of the field that is out of range, or -1.
using DecodeFunction = int (*)(const Binding&, const std::byte*, const FieldContext&, TraceEvent&);

template <class E>
int decode(const Binding& binding, const std::byte* data, const FieldContext& context, TraceEvent& out) {
  E event = zero_event<E>();
  int bad = -1;
  for_each_field<E>([&](std::size_t i, const auto& f) {
    const FieldSlot& slot = binding.slots[i];
    if (slot.size == 0)
      return;
    std::uint64_t raw = load(data, slot);
    if (slot.is_page && !page_to_pfn(raw, context, raw))
      bad = static_cast<int>(i);
    else if (!from_raw(raw, context, event.*f.member))
      bad = static_cast<int>(i);
  });
  complete_event(event, binding.missing);
  out = event;
  return bad;
}

template <std::size_t... kind>
constexpr std::array<DecodeFunction, kEventKinds> make_decoders(std::index_sequence<kind...>) {
  return {&decode<EventOf<kind>>...};
}
constexpr auto kDecoders = make_decoders(std::make_index_sequence<kEventKinds>{});

/// The events of one cpu; `event` is the next one.
struct Stream {
  Stream(DatPages from, std::uint16_t of_cpu) : pages(std::move(from)), cpu(of_cpu) {}
  DatPages pages;
  RingPage page;
  RingEvent event;
  std::uint64_t lost = 0;  // events lost before `event`
  std::uint16_t cpu;
};

class DatReader final : public TraceReader {
 public:
  DatReader(std::string file, FileHandle handle, DatLayout layout, std::unique_ptr<mmbox_dat, CloseDat> dat)
      : file_(std::move(file)), handle_(std::move(handle)), layout_(std::move(layout)), dat_(std::move(dat)) {
    info_.format = "trace.dat";
    info_.release = layout_.release;
    info_.counts_time = layout_.clock == "counter";
    info_.cpus = static_cast<std::uint32_t>(layout_.cpus.size());
  }

  Expected<void> start(const TraceOptions& options);
  Expected<bool> next(TraceRecord& record) override;
  [[nodiscard]] Progress progress() const override;
  [[nodiscard]] const TraceInfo& info() const override { return info_; }

 private:
  [[nodiscard]] Error error(std::uint64_t offset, std::string message) const {
    return Error{.file = file_,
                 .offset = offset,
                 .message = std::move(message),
                 .remedy = "check the file with 'trace-cmd report', or record it again"};
  }
  // Reads the next event of a stream. False at its end.
  Expected<bool> advance(Stream& stream);
  Expected<void> bind(int position);
  template <std::size_t kind>
  Expected<void> bind_fields(Binding& binding, int position);
  const GfpLayout* told_layout() const;
  const Comm& comm(std::int32_t pid);
  static bool later(const Stream* a, const Stream* b) {
    return std::pair{a->event.timestamp, a->cpu} > std::pair{b->event.timestamp, b->cpu};
  }

  std::string file_;
  FileHandle handle_;
  DatLayout layout_;
  std::unique_ptr<mmbox_dat, CloseDat> dat_;
  FieldContext context_{};
  TraceInfo info_{};
  FieldSlot type_slot_;
  FieldSlot pid_slot_;
  std::vector<Binding> bindings_;
  std::vector<std::uint16_t> binding_of_id_;  // 0: none, else index + 1
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> heap_;  // those that are not at their end, the one with the earliest event first
  bool handed_out_ = false;    // the first stream's event was
  std::size_t word_size_ = 8;
  struct CachedComm {
    std::int32_t pid = -1;
    Comm comm;
  };
  std::array<CachedComm, 256> comms_;
};

template <std::size_t kind>
Expected<void> DatReader::bind_fields(Binding& binding, int position) {
  using E = EventOf<kind>;
  Expected<void> result;
  for_each_field<E>([&](std::size_t i, const auto& f) {
    for (std::string_view name : f.names) {
      const bool is_page = name.starts_with('*');
      if (is_page)
        name.remove_prefix(1);
      mmbox_dat_field found{};
      if (name.empty() || !mmbox_dat_event_field(dat_.get(), position, std::string{name}.c_str(), &found))
        continue;
      const bool is_number = found.size == 1 || found.size == 2 || found.size == 4 || found.size == 8;
      if (!is_number || found.offset > 0x1000) {
        result = error(0, fmt::format("field {} of event {} is no number", name, binding.name));
        return;
      }
      binding.slots[i] = {.offset = static_cast<std::uint16_t>(found.offset),
                          .size = static_cast<std::uint8_t>(found.size),
                          .is_signed = found.is_signed,
                          .is_page = is_page};
      binding.size_min = std::max(binding.size_min, found.offset + found.size);
      return;
    }
    binding.missing |= 1U << i;
    if (f.required && result)
      result = error(0, fmt::format("event {} has no field {}", binding.name, f.names[0]));
  });
  return result;
}

Expected<void> DatReader::bind(int position) {
  const int id = mmbox_dat_event_id(dat_.get(), position);
  if (id < 0 || id > 0xffff)
    return {};
  Binding binding;
  binding.id = static_cast<std::uint16_t>(id);
  binding.name = mmbox_dat_event_name(dat_.get(), position);
  binding.kind = find_event(binding.name);
  mmbox_dat_field common{};
  if (type_slot_.size == 0 && mmbox_dat_event_field(dat_.get(), position, "common_type", &common) && common.size == 2)
    type_slot_ = {.offset = static_cast<std::uint16_t>(common.offset), .size = 2};
  if (pid_slot_.size == 0 && mmbox_dat_event_field(dat_.get(), position, "common_pid", &common) && common.size == 4)
    pid_slot_ = {.offset = static_cast<std::uint16_t>(common.offset), .size = 4, .is_signed = true};
  Expected<void> bound;
  if (binding.kind == kKindOf<Marker>) {
    if (mmbox_dat_event_field(dat_.get(), position, "buf", &common) && common.offset < 0x1000)
      binding.text_offset = common.offset;
  } else if (binding.kind < kEventKinds) {
    bound = [&]<std::size_t... kind>(std::index_sequence<kind...>) {
      Expected<void> result;
      ((binding.kind == kind ? (result = bind_fields<kind>(binding, position), 0) : 0), ...);
      return result;
    }
    (std::make_index_sequence<kEventKinds>{});
  }
  if (!bound)
    return bound;
  bindings_.push_back(std::move(binding));
  const auto index = static_cast<std::size_t>(id);
  if (binding_of_id_.size() <= index)
    binding_of_id_.resize(index + 1);
  binding_of_id_[index] = static_cast<std::uint16_t>(bindings_.size());
  return {};
}

Expected<void> DatReader::start(const TraceOptions& options) {
  for (int position = 0; mmbox_dat_event_name(dat_.get(), position) != nullptr; ++position)
    if (auto bound = bind(position); !bound)
      return bound;
  if (type_slot_.size == 0 || pid_slot_.size == 0)
    return error(0, "the trace describes no events");
  word_size_ = static_cast<std::size_t>(mmbox_dat_long_size(dat_.get()));
  if ((word_size_ != 4 && word_size_ != 8) || mmbox_dat_is_old_format(dat_.get()))
    return error(0, "the ring buffer is of a kind that is not read");
  context_ = {.gfp = options.gfp, .migratetypes = options.migratetypes, .vmemmap_base = options.vmemmap_base};
  if (context_.gfp == nullptr)
    context_.gfp = told_layout();
  info_.gfp = context_.gfp;
  for (const DatCpu& cpu : layout_.cpus) {
    auto stream =
        std::make_unique<Stream>(DatPages{handle_.get(), file_, layout_, cpu}, static_cast<std::uint16_t>(cpu.cpu));
    auto more = advance(*stream);
    if (!more)
      return std::move(more).error();
    if (*more)
      heap_.push_back(stream.get());
    streams_.push_back(std::move(stream));
  }
  std::make_heap(heap_.begin(), heap_.end(), later);
  return {};
}

// The masks of the named composites and the order of the names stand in the event's print format. Rather than parse C,
// let the library print made-up events and see which layout says the same.
const GfpLayout* DatReader::told_layout() const {
  const auto alloc = std::find_if(bindings_.begin(), bindings_.end(),
                                  [](const Binding& binding) { return binding.kind == kKindOf<MmPageAlloc>; });
  if (alloc == bindings_.end())
    return &gfp_layout_default();
  const FieldSlot& gfp = alloc->slots[2];
  std::vector<std::byte> data(std::max<std::size_t>(alloc->size_min, type_slot_.offset + sizeof(std::uint16_t)));
  if (gfp.size < sizeof(std::uint32_t))
    return &gfp_layout_default();
  const auto printed = [&](std::uint32_t mask) {
    std::array<char, 512> text{};
    std::memcpy(data.data() + type_slot_.offset, &alloc->id, sizeof alloc->id);
    std::memcpy(data.data() + gfp.offset, &mask, sizeof mask);
    mmbox_dat_print(dat_.get(), data.data(), static_cast<std::uint32_t>(data.size()), text.data(), text.size());
    std::string line{text.data()};
    return line.substr(line.rfind('=') + 1);
  };
  for (const GfpLayout& layout : gfp_layouts()) {
    const auto agrees = [&](std::string_view names) {
      const auto mask = layout.parse(names);
      return mask.has_value() && printed(*mask) == layout.text(*mask);
    };
    if (agrees("GFP_KERNEL") && agrees("GFP_ATOMIC") && agrees("GFP_NOWAIT") && agrees("__GFP_COMP|__GFP_ZERO"))
      return &layout;
  }
  return &gfp_layout_default();
}

const Comm& DatReader::comm(std::int32_t pid) {
  CachedComm& cached = comms_[static_cast<std::uint32_t>(pid) % comms_.size()];
  if (cached.pid != pid)
    cached = {.pid = pid, .comm = Comm{mmbox_dat_comm(dat_.get(), pid)}};
  return cached.comm;
}

Expected<bool> DatReader::advance(Stream& stream) {
  for (;;) {
    switch (stream.page.next(stream.event)) {
      case RingPage::Step::Event: return true;
      case RingPage::Step::Damaged: return error(stream.pages.position(), "a page of events is damaged");
      case RingPage::Step::End: break;
    }
    std::span<const std::byte> page;
    auto more = stream.pages.next(page);
    if (!more || !*more)
      return more;
    if (!stream.page.load(page, word_size_))
      return error(stream.pages.position(), "a page of events is damaged");
    // A page may be lost and the next one empty.
    if (stream.page.lost() != 0)
      stream.lost = stream.page.lost();
  }
}

Progress DatReader::progress() const {
  Progress progress;
  for (const auto& stream : streams_)
    progress.done += stream->pages.done();
  for (const DatCpu& cpu : layout_.cpus)
    progress.total += cpu.size;
  return progress;
}

Expected<bool> DatReader::next(TraceRecord& record) {
  if (std::exchange(handed_out_, false)) {
    auto more = advance(*heap_.front());
    if (!more)
      return more;
    if (!*more) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      heap_.pop_back();
    } else if (heap_.size() > 1) {
      // The first one's event has changed: take it out and put it where it belongs.
      std::pop_heap(heap_.begin(), heap_.end(), later);
      std::push_heap(heap_.begin(), heap_.end(), later);
    }
  }
  if (heap_.empty())
    return false;
  Stream& stream = *heap_.front();
  record.timestamp = stream.event.timestamp;
  record.cpu = CpuId{stream.cpu};
  if (stream.lost != 0) {
    record.pid = 0;
    record.comm = {};
    record.event = Lost{std::exchange(stream.lost, 0)};
    return true;
  }
  handed_out_ = true;
  const std::span<const std::byte> data = stream.event.data;
  const auto offset = [&stream] { return stream.pages.position(); };
  if (data.size() < std::max(type_slot_.offset + 2U, pid_slot_.offset + 4U))
    return error(offset(), "an event record is too short");
  const auto id = static_cast<std::size_t>(load(data.data(), type_slot_));
  record.pid = static_cast<std::int32_t>(load(data.data(), pid_slot_));
  record.comm = comm(record.pid);
  if (id >= binding_of_id_.size() || binding_of_id_[id] == 0)
    return error(offset(), fmt::format("event number {} is not described in the file", id));
  const Binding& binding = bindings_[binding_of_id_[id] - 1U];
  if (binding.kind == kEventKinds) {
    record.event = Unknown{binding.name};
    return true;
  }
  if (data.size() < binding.size_min)
    return error(offset(), fmt::format("a record of event {} is too short", binding.name));
  if (binding.kind == kKindOf<Marker>) {
    const std::string_view bytes{reinterpret_cast<const char*>(data.data()), data.size()};
    std::string_view text = bytes.substr(std::min<std::size_t>(binding.text_offset, bytes.size()));
    text = text.substr(0, text.find('\0'));
    while (text.ends_with('\n'))
      text.remove_suffix(1);
    record.event = Marker{text};
    return true;
  }
  const int bad = kDecoders[binding.kind](binding, data.data(), context_, record.event);
  if (bad >= 0)
    return error(offset(), fmt::format("event {} has a value out of range", binding.name));
  return true;
}

}  // namespace

Expected<std::unique_ptr<TraceReader>> open_dat(ByteSource source, const TraceOptions& options) {
  auto file = source.seekable();
  if (!file)
    return std::move(file).error();
  auto layout = read_dat_layout(file->get(), source.name());
  if (!layout)
    return std::move(layout).error();
  FileHandle for_library{::fcntl(file->get(), F_DUPFD_CLOEXEC, 3)};
  std::unique_ptr<mmbox_dat, CloseDat> dat{for_library.get() < 0 ? nullptr : mmbox_dat_open(for_library.release())};
  if (!dat)
    return Error{.file = source.name(),
                 .message = "libtracecmd cannot read the description of the events",
                 .remedy = "check the file with 'trace-cmd report', or record it again"};
  auto reader = std::make_unique<DatReader>(source.name(), std::move(*file), std::move(*layout), std::move(dat));
  if (auto started = reader->start(options); !started)
    return std::move(started).error();
  return std::unique_ptr<TraceReader>{std::move(reader)};
}

}  // namespace mmbox::lab
