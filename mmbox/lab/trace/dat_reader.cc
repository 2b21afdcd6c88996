// Field offsets are looked up once per event, then read straight from the ring buffer's bytes; libtraceevent's printing
// is never called for records. The cpus' streams are merged by time, the lowest cpu first among equals, as trace-cmd
// does.
#include "mmbox/lab/trace/dat_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mmbox/lab/trace/dat_describe.h"
#include "mmbox/lab/trace/dat_file.h"
#include "mmbox/lab/trace/schema.h"

namespace mmbox::lab {
namespace {

// Bytes of the largest record whose fields are looked at.
constexpr std::uint32_t kRecordMax = 4096;

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
    const bool known = !slot.is_page || page_to_pfn(raw, context, raw);
    if (!known || !from_raw(raw, context, event.*f.member))
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
  DatReader(std::string file, FileHandle handle, DatLayout layout)
      : file_(std::move(file)), handle_(std::move(handle)), layout_(std::move(layout)) {
    info_.format = "trace.dat";
    info_.release = layout_.release;
    info_.counts_time = layout_.clock == "counter";
    info_.cpus = static_cast<std::uint32_t>(layout_.cpus.size());
  }

  Expected<void> start(const DatDescription& description, const TraceOptions& options);
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
  Expected<void> bind(const DatEvent& event);
  template <std::size_t kind>
  Expected<void> bind_fields(Binding& binding, const DatEvent& event);
  void read_tasks();
  const Comm& comm(std::int32_t pid) const;
  static bool later(const Stream* a, const Stream* b) {
    return std::pair{a->event.timestamp, a->cpu} > std::pair{b->event.timestamp, b->cpu};
  }

  std::string file_;
  FileHandle handle_;
  DatLayout layout_;
  FieldContext context_{};
  TraceInfo info_{};
  FieldSlot type_slot_;
  FieldSlot pid_slot_;
  std::vector<Binding> bindings_;
  std::vector<std::uint32_t> binding_of_id_;  // 0: none, else index + 1
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> heap_;  // those that are not at their end, the one with the earliest event first
  bool handed_out_ = false;    // the first stream's event was
  std::size_t word_size_ = 8;
  std::unordered_map<std::int32_t, Comm> comms_;
};

const DatField* find_field(const DatEvent& event, std::string_view name) {
  const auto found =
      std::find_if(event.fields.begin(), event.fields.end(), [name](const DatField& f) { return f.name == name; });
  return found != event.fields.end() ? &*found : nullptr;
}

FieldSlot slot_of(const DatField& field) {
  return {.offset = static_cast<std::uint16_t>(field.offset),
          .size = static_cast<std::uint8_t>(field.size),
          .is_signed = field.is_signed};
}

template <std::size_t kind>
Expected<void> DatReader::bind_fields(Binding& binding, const DatEvent& event) {
  using E = EventOf<kind>;
  Expected<void> result;
  for_each_field<E>([&](std::size_t i, const auto& f) {
    for (std::string_view name : f.names) {
      const bool is_page = name.starts_with('*');
      if (is_page)
        name.remove_prefix(1);
      const DatField* const found = name.empty() ? nullptr : find_field(event, name);
      if (found == nullptr)
        continue;
      if ((found->size != 1 && found->size != 2 && found->size != 4 && found->size != 8) ||
          found->offset > kRecordMax) {
        result = error(0, fmt::format("field {} of event {} is no number", name, binding.name));
        return;
      }
      binding.slots[i] = slot_of(*found);
      binding.slots[i].is_page = is_page;
      binding.size_min = std::max(binding.size_min, found->offset + found->size);
      return;
    }
    binding.missing |= 1U << i;
    if (f.required && result)
      result = error(0, fmt::format("event {} has no field {}", binding.name, f.names[0]));
  });
  return result;
}

Expected<void> DatReader::bind(const DatEvent& event) {
  Binding binding;
  binding.name = event.name;
  binding.kind = find_event(event.name);
  if (const DatField* type = find_field(event, "common_type"); type != nullptr && type->size == 2)
    type_slot_ = slot_of(*type);
  if (const DatField* pid = find_field(event, "common_pid"); pid != nullptr && pid->size == 4)
    pid_slot_ = slot_of(*pid);
  Expected<void> bound;
  if (binding.kind == kKindOf<Marker>) {
    if (const DatField* text = find_field(event, "buf"); text != nullptr)
      binding.text_offset = text->offset;
  } else if (binding.kind < kEventKinds) {
    bound = [&]<std::size_t... kind>(std::index_sequence<kind...>) {
      Expected<void> result;
      ((binding.kind == kind ? (result = bind_fields<kind>(binding, event), 0) : 0), ...);
      return result;
    }
    (std::make_index_sequence<kEventKinds>{});
  }
  if (!bound)
    return bound;
  bindings_.push_back(std::move(binding));
  if (binding_of_id_.size() <= event.id)
    binding_of_id_.resize(event.id + 1U);
  binding_of_id_[event.id] = static_cast<std::uint32_t>(bindings_.size());
  return {};
}

Expected<void> DatReader::start(const DatDescription& description, const TraceOptions& options) {
  for (const DatEvent& event : description.events)
    if (auto bound = bind(event); !bound)
      return bound;
  // All events have the same common fields; those of an event that mmbox knows are as good as any.
  if (type_slot_.size == 0 || pid_slot_.size == 0 || type_slot_.offset > kRecordMax || pid_slot_.offset > kRecordMax)
    return error(0, "the trace describes no event that mmbox knows");
  word_size_ = description.long_size;
  context_ = {.gfp = options.gfp, .migratetypes = options.migratetypes, .vmemmap_base = options.vmemmap_base};
  if (context_.gfp == nullptr)
    context_.gfp = description.gfp;
  if (context_.gfp == nullptr)
    context_.gfp = gfp_layout_for_release(layout_.release);
  if (context_.gfp == nullptr)
    context_.gfp = &gfp_layout_default();
  info_.gfp = context_.gfp;
  read_tasks();
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

void DatReader::read_tasks() {
  comms_[0] = Comm{"<idle>"};
  std::string_view text = layout_.tasks;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::int32_t pid = 0;
    const auto [end, problem] = std::from_chars(line.begin(), line.end(), pid);
    if (problem == std::errc{} && end != line.end() && *end == ' ')
      comms_[pid] = Comm{line.substr(static_cast<std::size_t>(end - line.begin()) + 1)};
  }
  layout_.tasks.clear();
  layout_.tasks.shrink_to_fit();
}

const Comm& DatReader::comm(std::int32_t pid) const {
  static constexpr Comm kUnknownTask{"<...>"};
  const auto found = comms_.find(pid);
  return found != comms_.end() ? found->second : kUnknownTask;
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
  auto description = describe_dat(file->get(), source.name());
  if (!description)
    return std::move(description).error();
  auto reader = std::make_unique<DatReader>(source.name(), std::move(*file), std::move(*layout));
  if (auto started = reader->start(*description, options); !started)
    return std::move(started).error();
  return std::unique_ptr<TraceReader>{std::move(reader)};
}

}  // namespace mmbox::lab
