// Which record of a failure report a line begins or goes on with; lines that were broken are known by what they hold.
//
// Which report a record belongs to is `report_assembler`'s business, what it says that of `record_fields`.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mmbox::lab::explain {

/// What kind of record a line starts.
enum class RecordKind : std::uint8_t {
  Unknown,
  Ignored,  ///< known, nothing in it that an explanation needs
  AllocationHeader,
  OomHeader,
  VmallocHeader,
  CmaHeader,
  CmaPages,
  ShowMemory,
  CpusetLine,
  CpuLine,
  Workqueue,
  TraceEntry,
  MemInfo,
  GlobalStats,
  NodeLine,
  NodeFragment,  ///< `Node 0` alone: the zone follows on the next line
  ZoneLine,
  LowmemReserve,
  FreeArea,
  Tail,
  TaskRow,
  Memcg,
  OomSummary,
  KillLine,
};

/// A classified line. `text` starts at the record, after anything unknown that stood before it.
struct Record {
  RecordKind kind = RecordKind::Unknown;
  std::string_view text{};
  std::optional<std::uint32_t> node{};  ///< NodeLine, ZoneLine, FreeArea, NodeFragment
  std::string_view zone{};              ///< ZoneLine, FreeArea
};

[[nodiscard]] Record classify(std::string_view text);

/// True if `text` can be the rest of a record of this kind that was broken over lines after `before`.
[[nodiscard]] bool may_continue(RecordKind kind, std::string_view before, std::string_view text);

/// True if a break went through the words by which a header is known: "… page allocation" and "failure: order:4, …".
[[nodiscard]] bool is_header_broken_between(std::string_view before, std::string_view after);

/// True if a break went between the name of a node or zone and its numbers: "Node 0 DMA32" and "free:44672kB …".
[[nodiscard]] bool is_zone_broken_between(std::string_view before, std::string_view after);

/// Glues a broken record together: with a blank where a token ended, without one where a token was cut.
[[nodiscard]] bool needs_blank_between(RecordKind kind, std::string_view before, std::string_view after);

}  // namespace mmbox::lab::explain
