#include "mmbox/cli/convert_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

#include "mmbox/cli/progress.h"
#include "mmbox/lab/trace/compact.h"
#include "mmbox/lab/trace/reader.h"

namespace mmbox::cli {
namespace {

struct Options {
  std::string input{};
  std::string output{};
  int level = 3;
  bool force = false;
};

int run(const Options& options, const Streams& streams) {
  std::error_code ignored;
  if (!options.force && options.output != "-" && std::filesystem::exists(options.output, ignored))
    return refuse(streams, "convert",
                  {.file = options.output, .message = "exists already", .remedy = "give another name, or --force"});
  auto reader = lab::open_trace(options.input);
  if (!reader)
    return refuse(streams, "convert", reader.error());
  auto sink = lab::ByteSink::create(options.output);
  if (!sink)
    return refuse(streams, "convert", sink.error());
  auto writer = lab::CompactWriter::create(std::move(*sink), (*reader)->info(), {.zstd_level = options.level});
  if (!writer)
    return refuse(streams, "convert", writer.error());
  ProgressLine line{"converting " + options.input};
  std::uint64_t lost = 0;
  lab::TraceRecord record;
  while (true) {
    const auto more = (*reader)->next(record);
    if (!more)
      return refuse(streams, "convert", more.error());
    if (!*more)
      break;
    lost += std::holds_alternative<lab::Lost>(record.event) ? 1 : 0;
    if (writer->events() % 65536 == 0)
      line.show((*reader)->progress());
    if (const auto written = writer->write(record); !written)
      return refuse(streams, "convert", written.error());
  }
  const std::uint64_t events = writer->events();
  if (const auto ended = writer->finish(); !ended)
    return refuse(streams, "convert", ended.error());
  if (options.output == "-")
    return lost == 0 ? kDone : kFlagged;
  const auto bytes = std::filesystem::file_size(options.output, ignored);
  streams.out << fmt::format("{}: {} events, {} bytes, {:.2f} bytes an event\n", options.output, events, bytes,
                             events == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(events));
  if (lost != 0)
    streams.err << fmt::format("mmbox convert: {}: the recorder lost events in {} places\n", options.input, lost);
  return finish(streams, "convert", lost == 0 ? kDone : kFlagged);
}

}  // namespace

CLI::App* add_convert_command(CLI::App& app, int& exit_code, const Streams& streams) {
  CLI::App* const command = app.add_subcommand("convert", "Write a trace in mmbox's compact form");
  const auto options = std::make_shared<Options>();
  command
      ->add_option("TRACE", options->input,
                   "trace.dat or a trace in text, plain or zstd-compressed; - for standard input")
      ->required();
  command->add_option("OUTPUT", options->output, "the file to write; - for standard output")->required();
  command->add_option("--level", options->level, "zstd level of the blocks, 0 to leave them plain")
      ->check(CLI::Range(0, 19));
  command->add_flag("--force", options->force, "overwrite an existing file");
  command->footer(R"(
Examples
  mmbox convert trace.dat trace.mmbox
  trace-cmd report trace.dat | mmbox convert - trace.mmbox --level 9

Exit code: 0 done; 1 done, but the trace says that events were lost; 2 an input that cannot be used.)");
  command->callback([=, &exit_code] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
