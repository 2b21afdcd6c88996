#include "mmbox/cli/explain_command.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmbox/lab/explain/check_against.h"
#include "mmbox/lab/explain/log_scanner.h"
#include "mmbox/lab/explain/print.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/snapshot/script_log.h"
#include "mmbox/report/explain_page.h"

namespace mmbox::cli {
namespace {

namespace ex = lab::explain;

constexpr int kDone = 0;
constexpr int kFlagged = 1;
constexpr int kUnusable = 2;

// Reports are held for --check-against, since the snapshot that belongs to each must be found first.
constexpr std::size_t kMaxHeldReports = 256;

constexpr const char* kExamples = R"(Examples
  dmesg | mmbox explain -                      what the kernel printed last, from a pipe
  journalctl -k | mmbox explain -              the same with the journal's prefixes
  mmbox explain mail.txt syslog.1.zst          quoted, wrapped, compressed: several files
  mmbox explain --json report.txt              for programs (schema: docs/explain.md)
  mmbox explain --html report.txt > page.html  one self-contained page
  mmbox explain report.txt --check-against state.log.zst
                                               does the recorded exact state refuse it too?

Exit code: 0 explained; 1 no report found, or a report is torn, or the exact state does not refuse;
2 an input that cannot be used.)";

enum class Format { Text, Json, Html };

struct Options {
  std::vector<std::string> files{};
  bool json = false;
  bool html = false;
  std::string check_against{};
};

/// Writes to standard output; a closed pipe ends the command quietly, a full disk does not.
class Output {
 public:
  void write(const std::string& text) {
    if (!failed_ && std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
      failed_ = true;
  }
  [[nodiscard]] bool finish() { return std::fflush(stdout) == 0 && !failed_; }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

/// Explains reports as they are found and prints them, or holds them for a comparison with exact states.
class Explainer final : public ex::ReportSink {
 public:
  Explainer(Format format, bool holds, Output& output) : format_(format), holds_(holds), output_(&output) {}

  void set_file(const std::string& file) { file_ = file; }

  void take(ex::FailureReport&& report) override {
    ex::Explanation explanation = ex::explain(std::move(report));
    is_torn_ = is_torn_ || explanation.is_torn;
    ++found_;
    if (!holds_)
      print(explanation, file_, nullptr);
    else if (held_.size() < kMaxHeldReports)
      held_.push_back({std::move(explanation), file_, {}, {}});
  }

  struct Held {
    ex::Explanation explanation;
    std::string file;
    std::optional<std::uint64_t> distance;
    std::shared_ptr<const lab::Snapshot> snapshot;
  };
  [[nodiscard]] std::vector<Held>& held() { return held_; }

  void begin() {
    if (format_ == Format::Json)
      output_->write(fmt::format("{{\n\"schema\": \"{}\",\n\"reports\": [", ex::kJsonSchema));
    else if (format_ == Format::Html)
      output_->write(report::explain_page_begin());
  }

  void print(const ex::Explanation& explanation, const std::string& file, const ex::RefusalAnswer* answer) {
    ++printed_;
    switch (format_) {
      case Format::Text:
        if (printed_ > 1)
          output_->write("\n");
        output_->write(ex::to_text(explanation, printed_));
        if (answer != nullptr)
          output_->write(ex::to_text(*answer));
        break;
      case Format::Json: {
        std::string json = ex::to_json(explanation, file);
        if (answer != nullptr)
          json.insert(json.rfind('\n'), ",\n  \"check_against\": " + ex::to_json(*answer));
        output_->write((printed_ > 1 ? ",\n" : "\n") + json);
        break;
      }
      case Format::Html: output_->write(report::explain_page_report(explanation, printed_)); break;
    }
  }

  void end() {
    if (format_ == Format::Json)
      output_->write("\n]\n}\n");
    else if (format_ == Format::Html)
      output_->write(report::explain_page_end());
  }

  [[nodiscard]] std::uint64_t found() const { return found_; }
  [[nodiscard]] bool is_torn() const { return is_torn_; }

 private:
  Format format_;
  bool holds_;
  Output* output_;
  std::string file_{};
  std::uint64_t found_ = 0;
  std::uint64_t printed_ = 0;
  bool is_torn_ = false;
  std::vector<Held> held_{};
};

void complain(const std::string& text) {
  fmt::print(stderr, "mmbox explain: {}\n", text);
}

/// Reads one log into the explainer. False if it cannot be used.
bool read_log(const std::string& path, Explainer& explainer, const Output& output) {
  lab::Expected<lab::ByteSource> source = lab::ByteSource::open(path);
  if (!source) {
    complain(source.error().text());
    return false;
  }
  explainer.set_file(path);
  const std::uint64_t found_before = explainer.found();
  lab::Expected<std::string_view> head = source->peek(2);
  if (head && (*head == "\xff\xfe" || *head == "\xfe\xff")) {
    complain(fmt::format("{}: this is UTF-16 text; convert it first: iconv -f UTF-16 -t UTF-8", path));
    return false;
  }
  ex::LogScanner scanner(explainer);
  while (!output.failed()) {
    lab::Expected<std::string_view> bytes = source->view();
    if (!bytes) {
      scanner.finish();
      complain(bytes.error().text());
      return false;
    }
    if (bytes->empty())
      break;
    const std::size_t size = bytes->size();
    scanner.feed(*bytes);
    source->consume(size);
  }
  scanner.finish();
  if (explainer.found() == found_before)
    complain(
        fmt::format("{}: no failure report in {} line{}; look for \"page allocation failure\" or \"invoked "
                    "oom-killer\" in the kernel's log",
                    path, scanner.lines(), scanner.lines() == 1 ? "" : "s"));
  return true;
}

/// Gives each held report the snapshot of `path` that is nearest to what it printed. False if the log cannot be used.
bool match_snapshots(const std::string& path, std::vector<Explainer::Held>& held) {
  lab::Expected<lab::LogReader> reader = lab::LogReader::open(path);
  if (!reader) {
    complain(reader.error().text());
    return false;
  }
  bool any = false;
  while (true) {
    auto item = reader->next();
    if (!item) {
      complain(item.error().text());
      return false;
    }
    if (!item->has_value())
      break;
    auto* const found = std::get_if<lab::Snapshot>(&**item);
    if (found == nullptr)
      continue;
    any = true;
    const auto snapshot = std::make_shared<const lab::Snapshot>(std::move(*found));
    for (Explainer::Held& report : held) {
      const auto distance = ex::distance(report.explanation, *snapshot);
      // Later ones win ties: the last before the report is nearest to it in time as well.
      if (distance && (!report.distance || *distance <= *report.distance)) {
        report.distance = distance;
        report.snapshot = snapshot;
      }
    }
  }
  if (!any) {
    complain(fmt::format("{}: no snapshot in it; --check-against wants a log with SNAP … ENDSNAP", path));
    return false;
  }
  return true;
}

int run(const Options& options) {
  const Format format = options.json ? Format::Json : options.html ? Format::Html : Format::Text;
  const bool holds = !options.check_against.empty();
  Output output;
  Explainer explainer(format, holds, output);
  explainer.begin();
  bool usable = true;
  for (const std::string& file : options.files)
    usable = read_log(file, explainer, output) && usable;
  bool agrees = true;
  if (holds) {
    usable = match_snapshots(options.check_against, explainer.held()) && usable;
    for (const Explainer::Held& report : explainer.held()) {
      ex::RefusalAnswer answer{};
      answer.reason = "No snapshot has the zones of this report.";
      if (report.snapshot)
        answer = ex::check_against(report.explanation, *report.snapshot);
      agrees = agrees && answer.is_known && answer.refuses;
      explainer.print(report.explanation, report.file, &answer);
    }
    if (explainer.found() > explainer.held().size())
      complain(fmt::format("only the first {} of {} reports are compared", kMaxHeldReports, explainer.found()));
  }
  explainer.end();
  if (!output.finish())
    usable = false;
  if (!usable)
    return kUnusable;
  return explainer.found() == 0 || explainer.is_torn() || !agrees ? kFlagged : kDone;
}

}  // namespace

CLI::App* add_explain_command(CLI::App& app, int& exit_code) {
  CLI::App* const command = app.add_subcommand(
      "explain",
      "Explain the kernel's failure reports in a log: which zone refused, which check, what would have helped");
  const auto options = std::make_shared<Options>();
  command->add_option("FILE", options->files, "logs, also zstd-compressed; - is standard input")->required();
  CLI::Option* const json = command->add_flag("--json", options->json, "print JSON (docs/explain.md has the schema)");
  CLI::Option* const html = command->add_flag("--html", options->html, "print one self-contained HTML page");
  json->excludes(html);
  command->add_option("--check-against", options->check_against,
                      "a script log with exact snapshots: does the state nearest to the report refuse as well?");
  command->footer(kExamples);
  command->callback([options, &exit_code] { exit_code = run(*options); });
  return command;
}

}  // namespace mmbox::cli
