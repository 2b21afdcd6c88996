#include "mmbox/cli/generations_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "mmbox/cli/chosen_generation.h"
#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/generations/matrix.h"

namespace mmbox::cli {
namespace {

constexpr const char* kCommand = "generations";
constexpr const char* kSchema = "mmbox-generations/1";

struct Options {
  std::vector<std::string> diff;
  bool json = false;
};

/// A generation's series alone: "6.12" of "linux-6.12".
std::string_view series(std::string_view name) {
  name.remove_prefix(std::min(name.size(), std::string_view{"linux-"}.size()));
  return name;
}

/// Prints rows section by section: the policy, and below it the values, each with the generations that have it.
void write_text(const std::vector<lab::MatrixRow>& rows, const std::vector<std::string_view>& names,
                std::ostream& out) {
  std::string_view section;
  for (const lab::MatrixRow& row : rows) {
    if (row.section != section)
      out << fmt::format("{}{}\n", section.empty() ? "" : "\n", row.section);
    section = row.section;
    out << fmt::format("  {} ({})\n", row.policy, row.field);
    for (std::size_t i = 0; i < row.values.size(); ++i) {
      // Neighbours with the same value share a line.
      std::size_t last = i;
      while (last + 1 < row.values.size() && row.values[last + 1] == row.values[i])
        ++last;
      const std::string range =
          last == i ? std::string{names[i]} : fmt::format("{} to {}", names[i], series(names[last]));
      out << fmt::format("    {:<20} {}\n", range, row.values[i]);
      i = last;
    }
  }
}

nlohmann::ordered_json to_json(const std::vector<lab::MatrixRow>& rows, const std::vector<const Generation*>& shown) {
  nlohmann::ordered_json json{{"schema", kSchema}};
  for (const Generation* generation : shown) {
    const lab::GenerationFacts facts = lab::generation_facts(*generation);
    json["generations"].push_back(
        {{"name", generation->name}, {"reference", facts.reference}, {"recorded", facts.recorded}});
  }
  json["policies"] = nlohmann::ordered_json::array();
  for (const lab::MatrixRow& row : rows) {
    nlohmann::ordered_json values;
    for (std::size_t i = 0; i < shown.size(); ++i)
      values[shown[i]->name] = row.values[i];
    json["policies"].push_back(
        {{"section", row.section}, {"policy", row.policy}, {"field", row.field}, {"values", values}});
  }
  return json;
}

int run(const Options& options, const Streams& streams) {
  std::vector<const Generation*> shown;
  std::vector<lab::MatrixRow> rows;
  if (options.diff.empty()) {
    shown.assign(lab::generations().begin(), lab::generations().end());
    rows = lab::generation_matrix();
  } else {
    for (const std::string& name : options.diff) {
      const auto generation = chosen_generation(name);
      if (!generation)
        return refuse(streams, kCommand, generation.error());
      shown.push_back(*generation);
    }
    if (shown[0] == shown[1])
      return refuse(streams, kCommand,
                    {.file = "--diff", .message = "a generation does not differ from itself", .remedy = "name two"});
    rows = lab::generation_difference(*shown[0], *shown[1]);
  }
  if (options.json) {
    streams.out << to_json(rows, shown).dump(2) << '\n';
    return finish(streams, kCommand, kDone);
  }
  std::vector<std::string_view> names;
  for (const Generation* generation : shown) {
    names.emplace_back(generation->name);
    const lab::GenerationFacts facts = lab::generation_facts(*generation);
    streams.out << fmt::format(
        "{:<12} {}, {}\n", generation->name, facts.reference,
        facts.recorded ? "proved on recordings" : "by specification, not proved against a kernel");
  }
  streams.out << '\n';
  write_text(rows, names, streams.out);
  return finish(streams, kCommand, kDone);
}

}  // namespace

CLI::App* add_generations_command(CLI::App& app, int& exit_code, const Streams& streams) {
  const auto options = std::make_shared<Options>();
  CLI::App* const command =
      app.add_subcommand("generations", "The modelled kernels, policy by policy, and where two of them differ");
  command->add_option("--diff", options->diff, "A B: only the policies in which two generations differ")
      ->expected(2)
      ->type_name("A B");
  command->add_flag("--json", options->json, "print JSON");
  command->footer(R"(
Examples
  mmbox generations                               the whole matrix
  mmbox generations --diff linux-6.1 linux-6.12   what an upgrade changes
  mmbox generations --diff linux-6.1.0 linux-6.1 --json

Exit code: 0 printed; 2 a generation is not known.)");
  command->callback([options, &exit_code, streams] { exit_code = run(*options, streams); });
  return command;
}

}  // namespace mmbox::cli
