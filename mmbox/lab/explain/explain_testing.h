// What the tests of `explain` share: reading a log from memory, and the reports that ship with the project.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mmbox/lab/explain/explain_result.h"
#include "mmbox/lab/explain/log_scanner.h"
#include "mmbox/lab/io/byte_source.h"

namespace mmbox::lab::explain {

class CollectingSink final : public ReportSink {
 public:
  void take(FailureReport&& report) override { reports.push_back(std::move(report)); }
  std::vector<FailureReport> reports{};
};

/// Reads a log that arrives in pieces of `piece` bytes.
inline std::vector<FailureReport> read_reports(std::string_view log, std::size_t piece = 1U << 20) {
  CollectingSink sink;
  LogScanner scanner(sink);
  for (std::size_t at = 0; at < log.size(); at += piece)
    scanner.feed(log.substr(at, piece));
  scanner.finish();
  return std::move(sink.reports);
}

inline std::vector<Explanation> explain_all(std::string_view log) {
  std::vector<Explanation> explanations;
  for (FailureReport& report : read_reports(log))
    explanations.push_back(mmbox::lab::explain::explain(std::move(report)));
  return explanations;
}

/// The text of tests/data/reports/`name`, decompressed if need be. Empty if it cannot be read.
inline std::string report_text(const std::string& name) {
  std::string text;
  auto source = ByteSource::open(std::string{MMBOX_TEST_DATA} + "/reports/" + name);
  while (source) {
    auto bytes = source->view();
    if (!bytes || bytes->empty())
      break;
    const std::size_t size = bytes->size();
    text.append(*bytes);
    source->consume(size);
  }
  return text;
}

/// The first report of a file, explained. A file without a report gives an empty explanation.
inline Explanation explain_first(const std::string& name) {
  std::vector<Explanation> all = explain_all(report_text(name));
  return all.empty() ? Explanation{} : std::move(all.front());
}

/// The zone with this label; an empty one if there is none.
inline ZoneFacts zone_of(const Explanation& explanation, std::string_view label) {
  for (const ZoneFacts& zone : explanation.zones)
    if (zone.label() == label)
      return zone;
  return {};
}

}  // namespace mmbox::lab::explain
