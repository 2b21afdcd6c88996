#include "mmbox/lab/machine_spec/toml_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {

Expected<toml::table> parse_toml(std::string_view text, std::string_view file, std::string_view remedy) {
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    const Place at{error.source().begin.line, error.source().begin.column, ""};
    return error_at(file, at, error.description(), remedy);
  }
}

bool TomlForm::fail(const Place& at, std::string_view message, std::string_view remedy) {
  error_ = error_at(file_, at, message, remedy);
  return false;
}

bool TomlForm::check_keys(const toml::table& table, std::string_view name,
                          std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : table) {
    if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
      return fail(place(key.source(), std::string{name}), fmt::format("unknown key {}", in_quotes(key.str())),
                  suggestion(key.str(), known));
    }
  }
  return true;
}

bool TomlForm::read_bool(const toml::table& table, std::string_view name, std::string_view key, bool& out) {
  const toml::node* node = table.get(key);
  if (node == nullptr)
    return true;
  const toml::value<bool>* value = node->as_boolean();
  if (value == nullptr)
    return fail(*node, fmt::format("{} {}", name, key), "this is not a switch", "give true or false");
  out = value->get();
  return true;
}

bool TomlForm::read_integer(const toml::table& table, std::string_view name, std::string_view key, std::int64_t min,
                            std::int64_t max, std::int64_t& out) {
  const toml::node* node = table.get(key);
  if (node == nullptr)
    return true;
  const toml::value<std::int64_t>* value = node->as_integer();
  if (value == nullptr || value->get() < min || value->get() > max) {
    return fail(*node, fmt::format("{} {}", name, key), "this number does not fit",
                fmt::format("give a whole number from {} to {}", min, max));
  }
  out = value->get();
  return true;
}

bool TomlForm::read_text(const toml::table& table, std::string_view name, std::string_view key, std::string_view remedy,
                         std::string& out) {
  const toml::node* node = table.get(key);
  if (node == nullptr)
    return true;
  if (!node->is_string())
    return fail(*node, fmt::format("{} {}", name, key), "this is not a text", remedy);
  out = node->as_string()->get();
  return true;
}

bool TomlForm::read_size(const toml::table& table, std::string_view name, std::string_view key, std::uint64_t& bytes) {
  const toml::node* node = table.get(key);
  return node == nullptr || size_of(*node, fmt::format("{} {}", name, key), bytes);
}

bool TomlForm::size_of(const toml::node& node, std::string key, std::uint64_t& bytes) {
  const toml::value<std::string>* text = node.as_string();
  if (text == nullptr)
    return fail(node, std::move(key), "this is not a size", "give a number and a unit in quotes, \"64G\"");
  const std::optional<std::uint64_t> size = parse_size(text->get());
  if (!size) {
    return fail(node, std::move(key), fmt::format("{} is not a size", in_quotes(text->get())),
                "give a number and a unit (K, M, G, T), \"64G\"");
  }
  if (*size % kPageSize != 0) {
    return fail(node, std::move(key), fmt::format("{} is not a whole number of pages", in_quotes(text->get())),
                "give a multiple of 4K");
  }
  bytes = *size;
  return true;
}

namespace {

std::optional<std::string> setting_text(const toml::node& node) {
  if (node.is_integer())
    return std::to_string(node.as_integer()->get());
  if (node.is_string())
    return node.as_string()->get();
  if (!node.is_array())
    return std::nullopt;
  std::string text;
  for (const toml::node& one : *node.as_array()) {
    if (!one.is_integer())
      return std::nullopt;
    (text += ' ') += std::to_string(one.as_integer()->get());
  }
  return text;
}

}  // namespace

std::optional<std::vector<WrittenSetting>> TomlForm::settings_of(const toml::table& table) {
  std::vector<WrittenSetting> found;
  // vm.swappiness without quotes is a table "vm" to TOML.
  const auto collect = [&](const auto& self, const toml::table& level, const std::string& prefix) -> bool {
    for (const auto& [key, value] : level) {
      const std::string name = prefix + std::string{key.str()};
      if (value.is_table()) {
        if (!self(self, *value.as_table(), name + "."))
          return false;
        continue;
      }
      const std::optional<std::string> text = setting_text(value);
      if (!text) {
        return fail(value, "[settings]", fmt::format("{} has no value that sysctl would take", in_quotes(name)),
                    "give a whole number, a list of them, or a text in quotes");
      }
      found.push_back({name, *text, place(key.source(), "[settings]")});
    }
    return true;
  };
  if (!collect(collect, table, ""))
    return std::nullopt;
  std::stable_sort(found.begin(), found.end(), [](const WrittenSetting& a, const WrittenSetting& b) {
    return std::pair{a.at.line, a.at.column} < std::pair{b.at.line, b.at.column};
  });
  return found;
}

}  // namespace mmbox::lab
