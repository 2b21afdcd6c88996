// What stands before the kernel's own text on a line of a log, and what the way to us did to the text itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mmbox::lab::explain {

/// A line without its prefixes.
struct StrippedLine {
  std::string_view text;        ///< trimmed on both sides
  std::uint64_t writer = 0;     ///< which task or CPU printed it (T67023, C1, …), hashed; 0: not told
  bool ended_in_blank = false;  ///< a mailer that wraps at blanks leaves one at the end
};

/// Strips mail quoting, log levels, times, host and program names, line numbers, netconsole and Android prefixes, and
/// anything at all that stands before the kernel's own time.
/// Source: 09 section 12 of the specification, docs/explain.md.
[[nodiscard]] StrippedLine strip_prefix(std::string_view line);

/// The text that a line of JSON carries as its message, decoded: journalctl -o json, dmesg --json, container logs.
/// Empty if the line has no such member.
[[nodiscard]] std::optional<std::string> json_message(std::string_view line);

/// True if the line needs `clean_line` before it can be read: colours, HTML, quoted-printable, escaped newlines, NULs.
[[nodiscard]] bool needs_cleaning(std::string_view line);

/// Removes ANSI colours and HTML tags, decodes entities, `=3D`, and turns `#012`, `\n` and `\x0a` into newlines.
[[nodiscard]] std::string clean_line(std::string_view line);

}  // namespace mmbox::lab::explain
