#include <zstd.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mmbox/lab/trace/compact.h"
#include "mmbox/lab/trace/compact_format.h"

namespace mmbox::lab {

using namespace compact;

struct CompactWriter::State {
  explicit State(ByteSink to, const CompactOptions& with) : sink(std::move(to)), options(with) {}

  ByteSink sink;
  CompactOptions options;
  std::uint64_t events = 0;
  std::uint64_t plain_bytes = 0;
  std::uint64_t checksums = 0;

  // The open block.
  std::string block;
  std::uint32_t block_events = 0;
  std::unordered_map<std::string, std::size_t> entries;  // definition -> entry
  Expectation expected;
  std::string definition;  // of the event at hand; kept for its memory
  std::string places;      // its places and counts

  Expected<void> write_header(const TraceInfo& info) {
    std::string bytes;
    put_varint(bytes, info.gfp->since());
    put_varint(bytes, info.cpus);
    put_varint(bytes, kEventKinds);
    const auto prints = fingerprints();
    for (std::size_t kind = 0; kind < kEventKinds; ++kind) {
      put_varint(bytes, kind_name(kind).size());
      bytes += kind_name(kind);
      put_varint(bytes, prints[kind]);
    }
    std::string head{kCompactMagic};
    put<std::uint32_t>(head, kVersion);
    put<std::uint32_t>(head, static_cast<std::uint32_t>(bytes.size()));
    head += bytes;
    put<std::uint64_t>(head, checksum(head));
    return sink.write(head);
  }

  template <class E>
  void pack(const E& event, std::size_t kind) {
    put_varint(definition, kind);
    std::uint64_t* const last = expected.places(kind);
    for_each_field<E>([&](std::size_t i, const auto& f) {
      const std::uint64_t value = to_core(event.*f.member);
      switch (f.coding) {
        case Coding::Symbol: put_varint(definition, value); break;
        case Coding::Value: put_varint(places, zigzag(value)); break;
        case Coding::Delta:
          put_varint(places, zigzag(value - last[i]));
          // "No page" is far from everywhere; the page before it is the better neighbour.
          if (value != kNoPfn.raw())
            last[i] = value;
          break;
      }
    });
    if constexpr (std::is_same_v<E, Unknown>) {
      const std::string_view name = event.name.substr(0, kTextMax);
      put_varint(definition, name.size());
      definition += name;
    } else if constexpr (std::is_same_v<E, Marker>) {
      const std::string_view text = event.text.substr(0, kTextMax);
      put_varint(places, text.size());
      places += text;
    } else if constexpr (std::is_same_v<E, Lost>) {
      put_varint(places, event.events);
    }
  }

  // What is not as expected. Empty: all is.
  void put_context(std::string& out, const TraceRecord& record) {
    std::uint8_t context = 0;
    const auto cpu = static_cast<std::uint16_t>(record.cpu.raw());
    if (cpu != expected.cpu)
      context |= kContextCpu;
    if (record.pid != expected.pid_of(cpu))
      context |= kContextPid;
    if (record.timestamp != expected.time + 1)
      context |= kContextTime;
    if (record.comm != expected.comm_of(record.pid))
      context |= kContextComm;
    if (context == 0)
      return;
    out += static_cast<char>(context);
    if ((context & kContextCpu) != 0)
      put_varint(out, cpu);
    if ((context & kContextPid) != 0)
      put_varint(out, zigzag(static_cast<std::uint64_t>(static_cast<std::int64_t>(record.pid))));
    if ((context & kContextTime) != 0)
      put_varint(out, zigzag(record.timestamp - expected.time));
    if ((context & kContextComm) != 0) {
      put_varint(out, record.comm.view().size());
      out += record.comm.view();
    }
  }

  Expected<void> write(const TraceRecord& record) {
    definition.clear();
    places.clear();
    std::visit([&](const auto& event) { pack(event, record.event.index()); }, record.event);
    std::string context;
    put_context(context, record);
    const auto cpu = static_cast<std::uint16_t>(record.cpu.raw());
    expected.cpu = cpu;
    expected.pid_of(cpu) = record.pid;
    expected.comm_of(record.pid) = record.comm;
    expected.time = record.timestamp;

    const auto found = entries.find(definition);
    const std::size_t entry = found != entries.end() ? found->second : 0;
    put_varint(block, entry << 1 | (context.empty() ? 0U : 1U));
    block += context;
    if (entry == 0) {
      block += definition;
      if (entries.size() < kEntriesMax)
        entries.emplace(definition, entries.size() + 1);
    }
    block += places;
    ++block_events;
    ++events;
    if (block_events == kBlockEvents || block.size() + kEventMax > kBlockBytes)
      return close_block();
    return {};
  }

  Expected<void> close_block() {
    if (block_events == 0)
      return {};
    std::string packed;
    std::string_view stored = block;
    if (options.zstd_level != 0) {
      packed.resize(ZSTD_compressBound(block.size()));
      const std::size_t size =
          ZSTD_compress(packed.data(), packed.size(), block.data(), block.size(), options.zstd_level);
      if (ZSTD_isError(size) == 0U && size < block.size())
        stored = std::string_view{packed}.substr(0, size);
    }
    std::string numbers;
    put<std::uint32_t>(numbers, block_events);
    put<std::uint32_t>(numbers, static_cast<std::uint32_t>(block.size()));
    put<std::uint32_t>(numbers, static_cast<std::uint32_t>(stored.size()));
    const std::uint64_t sum = checksum(stored, checksum(numbers));
    checksums = checksum({}, checksums ^ sum);
    std::string head{kBlockMark};
    head += numbers;
    put<std::uint64_t>(head, sum);
    plain_bytes += block.size() + head.size();
    if (auto ok = sink.write(head); !ok)
      return ok;
    if (auto ok = sink.write(stored); !ok)
      return ok;
    block.clear();
    block_events = 0;
    entries.clear();
    expected = {};
    return {};
  }

  Expected<void> finish() {
    if (auto ok = close_block(); !ok)
      return ok;
    std::string end{kEndMark};
    put<std::uint64_t>(end, events);
    put<std::uint64_t>(end, checksum({}, checksums ^ events));
    if (auto ok = sink.write(end); !ok)
      return ok;
    return sink.finish();
  }
};

CompactWriter::CompactWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
CompactWriter::CompactWriter(CompactWriter&&) noexcept = default;
CompactWriter& CompactWriter::operator=(CompactWriter&&) noexcept = default;
CompactWriter::~CompactWriter() = default;

Expected<CompactWriter> CompactWriter::create(ByteSink sink, const TraceInfo& info, const CompactOptions& options) {
  auto state = std::make_unique<State>(std::move(sink), options);
  if (auto ok = state->write_header(info); !ok)
    return std::move(ok).error();
  return CompactWriter{std::move(state)};
}

Expected<void> CompactWriter::write(const TraceRecord& record) {
  return state_->write(record);
}
Expected<void> CompactWriter::finish() {
  return state_->finish();
}
std::uint64_t CompactWriter::events() const {
  return state_->events;
}
std::uint64_t CompactWriter::plain_bytes() const {
  return state_->plain_bytes;
}

}  // namespace mmbox::lab
