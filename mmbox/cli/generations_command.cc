#include "mmbox/cli/generations_command.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/generations/matrix.h"

namespace mmbox::cli {
namespace {

struct Options {
  std::vector<std::string> diff;
  bool json = false;
};

/// Prints rows section by section: the policy, and below it the values, each with the generations that have it.
void print_text(const std::vector<lab::MatrixRow>& rows, const std::vector<std::string_view>& names) {
  std::string_view section;
  for (const lab::MatrixRow& row : rows) {
    if (row.section != section)
      fmt::print("{}{}\n", section.empty() ? "" : "\n", row.section);
    section = row.section;
    fmt::print("  {} ({})\n", row.policy, row.field);
    for (std::size_t i = 0; i < row.values.size(); ++i) {
      // Neighbours with the same value share a line.
      std::size_t last = i;
      while (last + 1 < row.values.size() && row.values[last + 1] == row.values[i])
        ++last;
      const std::string range =
          last == i ? std::string{names[i]} : fmt::format("{} to {}", names[i], names[last].substr(6));
      fmt::print("    {:<20} {}\n", range, row.values[i]);
      i = last;
    }
  }
}

void print_json(const std::vector<lab::MatrixRow>& rows, const std::vector<std::string_view>& names) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const lab::MatrixRow& row : rows) {
    nlohmann::ordered_json values;
    for (std::size_t i = 0; i < names.size(); ++i)
      values[std::string{names[i]}] = row.values[i];
    all.push_back({{"section", row.section}, {"policy", row.policy}, {"field", row.field}, {"values", values}});
  }
  fmt::print("{}\n", all.dump(2));
}

int run(const Options& options) {
  constexpr int kUnusable = 2;
  std::vector<std::string_view> names;
  std::vector<lab::MatrixRow> rows;
  if (options.diff.empty()) {
    for (const Generation* generation : lab::generations())
      names.emplace_back(generation->name);
    rows = lab::generation_matrix();
  } else {
    std::vector<const Generation*> pair;
    for (const std::string& name : options.diff) {
      pair.push_back(lab::generation_named(name));
      if (pair.back() == nullptr) {
        std::string known;
        for (const Generation* generation : lab::generations())
          known += fmt::format("{}{}", known.empty() ? "" : ", ", generation->name);
        fmt::print(stderr, "mmbox: there is no generation \"{}\"; known are {}\n", name, known);
        return kUnusable;
      }
      names.emplace_back(pair.back()->name);
    }
    rows = lab::generation_difference(*pair[0], *pair[1]);
  }
  if (options.json) {
    print_json(rows, names);
    return 0;
  }
  for (const std::string_view name : names) {
    const lab::GenerationFacts facts = lab::generation_facts(*lab::generation_named(name));
    fmt::print("{:<12} {}, {}\n", name, facts.reference,
               facts.recorded ? "proved on recordings" : "by specification, not proved against a kernel");
  }
  fmt::print("\n");
  print_text(rows, names);
  return 0;
}

}  // namespace

CLI::App* add_generations_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("generations", "Show the policies of the modelled kernels");
  command->add_option("--diff", options->diff, "Show only where two generations differ")->expected(2)->type_name("A B");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &exit_code] { exit_code = run(*options); });
  return command;
}

}  // namespace mmbox::cli
