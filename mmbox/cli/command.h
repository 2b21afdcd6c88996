// What the subcommands share: exit codes, where they write, and how a moment of a log is named.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "mmbox/lab/error.h"

namespace mmbox::cli {

inline constexpr int kDone = 0;
inline constexpr int kFlagged = 1;   ///< done, and something is worth a look: a difference, a doubt
inline constexpr int kUnusable = 2;  ///< an input or a word that cannot be used

/// Where a command writes: results, and complaints. References live as long as the application.
struct Streams {
  std::ostream& out;
  std::ostream& err;
};
[[nodiscard]] Streams standard_streams();

/// "FILE" or "FILE:LABEL".
struct LogMoment {
  std::string file;
  std::string label;  ///< empty: none was given
};
/// Takes a name apart at its last colon, unless the whole of it is a file or the last part has a slash.
[[nodiscard]] LogMoment log_moment(const std::string& name);

/// Writes "mmbox COMMAND: ERROR" and returns kUnusable.
int refuse(const Streams& streams, std::string_view command, const lab::Error& error);
/// Ends a command that has written its result: `code`, or kUnusable if not all could be written.
int finish(const Streams& streams, std::string_view command, int code);

}  // namespace mmbox::cli
