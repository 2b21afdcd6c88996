// Any bytes as a log: reports are found or not, and each is explained and printed; in pieces or at once, the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "mmbox/lab/explain/log_scanner.h"
#include "mmbox/lab/explain/print.h"

namespace mmbox::lab::explain {
namespace {

class PrintingSink final : public ReportSink {
 public:
  explicit PrintingSink(bool prints_json) : prints_json_(prints_json) {}
  void take(FailureReport&& report) override {
    const Explanation explanation = mmbox::lab::explain::explain(std::move(report));
    text += to_text(explanation, ++reports);
    if (prints_json_ && to_json(explanation).empty())
      std::abort();
  }
  std::string text{};
  unsigned long long reports = 0;

 private:
  bool prints_json_;
};

std::string read(std::string_view log, std::size_t piece) {
  // JSON costs more than all the rest: for every sixteenth input.
  PrintingSink sink(log.size() % 16 == 0);
  LogScanner scanner(sink);
  for (std::size_t at = 0; at < log.size(); at += piece)
    scanner.feed(log.substr(at, piece));
  scanner.finish();
  return std::move(sink.text);
}

}  // namespace
}  // namespace mmbox::lab::explain

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view log(reinterpret_cast<const char*>(data), size);
  const std::string whole = mmbox::lab::explain::read(log, size == 0 ? 1 : size);
  if (mmbox::lab::explain::read(log, 1 + size / 7) != whole)
    std::abort();
  return 0;
}
