// What readers of TOML files have in common: values of the kinds that users write, and refusals that name their place.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/machine_spec/plan.h"

namespace mmbox::lab {

/// The tables of a file. The error names file and line.
[[nodiscard]] Expected<toml::table> parse_toml(std::string_view text, std::string_view file, std::string_view remedy);

/// A setting as written: its sysctl name, what sysctl would take, and where it stands.
struct WrittenSetting {
  std::string name;
  std::string value;
  Place at;
};

/// The base of a reader. It stops at its first error: each call that returns false has kept one.
class TomlForm {
 protected:
  explicit TomlForm(std::string_view file) : file_(file) {}

  static Place place(const toml::source_region& source, std::string key) {
    return Place{source.begin.line, source.begin.column, std::move(key)};
  }
  bool fail(const Place& at, std::string_view message, std::string_view remedy);
  bool fail(const toml::node& node, std::string key, std::string_view message, std::string_view remedy) {
    return fail(place(node.source(), std::move(key)), message, remedy);
  }
  bool check_keys(const toml::table& table, std::string_view name, std::initializer_list<std::string_view> known);

  // Each of these leaves `out` alone if the key is absent.
  bool read_bool(const toml::table& table, std::string_view name, std::string_view key, bool& out);
  bool read_integer(const toml::table& table, std::string_view name, std::string_view key, std::int64_t min,
                    std::int64_t max, std::int64_t& out);
  bool read_text(const toml::table& table, std::string_view name, std::string_view key, std::string_view remedy,
                 std::string& out);
  /// Whole pages. Unit: bytes.
  bool read_size(const toml::table& table, std::string_view name, std::string_view key, std::uint64_t& bytes);
  bool size_of(const toml::node& node, std::string key, std::uint64_t& bytes);

  /// Settings in the order in which they stand in the file, since some undo others. nullopt after an error.
  [[nodiscard]] std::optional<std::vector<WrittenSetting>> settings_of(const toml::table& table);

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] bool has_failed() const { return error_.has_value(); }
  [[nodiscard]] Error take_error() { return *std::move(error_); }

 private:
  std::string file_;
  std::optional<Error> error_;
};

}  // namespace mmbox::lab
