#include "mmbox/lab/explain/log_scanner.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "mmbox/lab/explain/line_prefix.h"

namespace mmbox::lab::explain {
namespace {

struct Anchor {
  std::string_view word;
  bool wants_look_back;
};

// Each report has one of these in its first line, or, if that is lost, in a later one.
constexpr std::array<Anchor, 11> kAnchors{{{"page allocation", false},
                                           {"oom-killer", false},
                                           {"Mem-Info:", true},
                                           {"Mem-info:", true},
                                           {"vmalloc: alloca", false},
                                           {"vmalloc error", false},
                                           {"vmap allocation", false},
                                           {"cma_alloc", false},
                                           {"Show Memory", false},
                                           {"f memory: Kill", false},
                                           {"lowmem_reserve", true}}};

std::size_t pair_at(const char* p) {
  return static_cast<std::size_t>(static_cast<unsigned char>(p[0])) |
         static_cast<std::size_t>(static_cast<unsigned char>(p[1])) << 8;
}

}  // namespace

AnchorSearch::AnchorSearch() {
  shift_.fill(kShortest - 1);
  for (const Anchor& anchor : kAnchors) {
    static_assert(kShortest == 9 && kLongest == 15);
    for (std::size_t j = 0; j + 1 < kShortest; ++j) {
      std::uint8_t& shift = shift_[pair_at(anchor.word.data() + j)];
      shift = std::min(shift, static_cast<std::uint8_t>(kShortest - 2 - j));
    }
  }
}

AnchorSearch::Hit AnchorSearch::find(std::string_view text, std::size_t from) const {
  // `at` is the position of the last of the first kShortest bytes of a possible match.
  const char* const data = text.data();
  std::size_t at = from + kShortest - 1;
  while (at < text.size()) {
    const std::size_t shift = shift_[pair_at(data + at - 1)];
    if (shift != 0) {
      at += shift;
      continue;
    }
    const std::size_t begin = at + 1 - kShortest;
    const std::string_view rest = text.substr(begin, kLongest);
    for (const Anchor& anchor : kAnchors)
      if (rest.front() == anchor.word.front() && rest.substr(0, anchor.word.size()) == anchor.word)
        return {begin, anchor.wants_look_back};
    ++at;
  }
  return {};
}

void LogScanner::feed(std::string_view bytes) {
  // Large inputs come in large pieces; they are looked at in parts so that the buffer stays small.
  constexpr std::size_t kPart = 1U << 20;
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kPart);
    bytes.remove_prefix(part.size());
    // What is behind us is kept only as far as a report may begin there.
    const std::size_t keep_from =
        std::min(lines_begin_ > position_ ? position_
                                          : std::max(lines_begin_, position_ > kLookBack ? position_ - kLookBack : 0),
                 buffer_.size());
    if (keep_from > 0) {
      if (keep_from > counted_) {
        newlines_ +=
            static_cast<std::uint64_t>(std::count(buffer_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                                  buffer_.begin() + static_cast<std::ptrdiff_t>(keep_from), '\n'));
        counted_ = keep_from;
      }
      buffer_.erase(0, keep_from);
      position_ -= keep_from;
      counted_ -= keep_from;
      lines_begin_ -= std::min(lines_begin_, keep_from);
      read_until_ -= std::min(read_until_, keep_from);
    }
    buffer_ += part;
    scan(End::Open);
  }
}

void LogScanner::finish() {
  scan(End::Final);
  // A last line that was to go on has the number of the line that was read last, so it comes before the rest is
  // counted.
  if (!soft_broken_.empty())
    take_clean_line(std::exchange(soft_broken_, {}));
  if (counted_ < buffer_.size()) {
    newlines_ += static_cast<std::uint64_t>(
        std::count(buffer_.begin() + static_cast<std::ptrdiff_t>(counted_), buffer_.end(), '\n'));
    if (buffer_.back() != '\n')
      ++newlines_;
  }
  assembler_.finish();
  buffer_.clear();
  position_ = lines_begin_ = read_until_ = counted_ = 0;
}

/// Where the line of the byte at `at` begins; where it is cut, if that is further away than a report reaches.
std::size_t LogScanner::line_begin(std::size_t at) const {
  constexpr std::size_t kReach = kLookBack / 2;
  const std::size_t least = at > kReach ? at - kReach : 0;
  const std::size_t newline = std::string_view{buffer_}.substr(least, at - least).rfind('\n');
  return newline == std::string_view::npos ? least : least + newline + 1;
}

void LogScanner::scan(End end) {
  while (true) {
    if (position_ < read_until_ || !assembler_.is_idle()) {
      if (!read_line(end))
        return;
      continue;
    }
    const AnchorSearch::Hit hit = anchors_.find(buffer_, position_);
    if (hit.at == std::string_view::npos) {
      const std::size_t safe = buffer_.size() > AnchorSearch::kLongest ? buffer_.size() - AnchorSearch::kLongest : 0;
      position_ = end == End::Final ? buffer_.size() : std::max(position_, safe);
      return;
    }
    std::size_t begin = hit.at;
    if (hit.wants_look_back)
      begin -= std::min(begin, kLookBack / 2);
    begin = std::max(begin, std::min(lines_begin_, hit.at));
    // Back to the start of that line; a look-back that begins inside a line leaves that line out.
    if (begin < hit.at && begin > lines_begin_) {
      const std::size_t newline = buffer_.find('\n', begin);
      begin = newline == std::string::npos || newline >= hit.at ? hit.at : newline + 1;
    }
    if (begin == hit.at) {
      begin = line_begin(hit.at);
      // One line more: a header may have been broken in the words that are searched for.
      if (begin > 1 && hit.at - begin < kLongestLead)
        begin = line_begin(begin - 1);
      begin = std::max(begin, std::min(lines_begin_, hit.at));
    }
    position_ = begin;
    read_until_ = hit.at + 1;
  }
}

/// Reads the line at `position_`. False if its end is not there yet.
bool LogScanner::read_line(End end) {
  if (position_ >= buffer_.size())
    return false;
  const char* const start = buffer_.data() + position_;
  const std::size_t available = buffer_.size() - position_;
  const std::size_t found = std::string_view{start, available}.find('\n');
  std::size_t length = available;
  bool complete = found != std::string_view::npos;
  if (complete)
    length = found;
  else if (available < kLineMax && end == End::Open)
    return false;
  if (counted_ < position_) {
    newlines_ += static_cast<std::uint64_t>(std::count(buffer_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                                       buffer_.begin() + static_cast<std::ptrdiff_t>(position_), '\n'));
    counted_ = position_;
  }
  if (!skip_to_newline_)
    take_line({start, std::min(length, kLineMax)});
  skip_to_newline_ = !complete;
  position_ += length + (complete ? 1 : 0);
  lines_begin_ = position_;
  return true;
}

namespace {

/// True if `line` looks broken by quoted-printable coding: as long as that allows, with an equals sign at its end that
/// is not a field's own.
bool is_soft_broken(std::string_view line) {
  constexpr std::size_t kShortest = 72;
  constexpr std::size_t kLongest = 76;
  if (line.empty() || line.back() != '=' || line.size() < kShortest || line.size() > kLongest)
    return false;
  line.remove_suffix(1);
  constexpr std::array<std::string_view, 6> kFields{" ",     "nodemask",     "cpuset", "mems_allowed",
                                                    "order", "oom_score_adj"};
  return std::none_of(kFields.begin(), kFields.end(), [&](std::string_view field) {
    return line.size() >= field.size() && line.substr(line.size() - field.size()) == field;
  });
}

}  // namespace

void LogScanner::take_line(std::string_view line) {
  while (!line.empty() && line.back() == '\r')
    line.remove_suffix(1);
  if (!is_quoted_printable_)
    is_quoted_printable_ = line.find("=3D") != std::string_view::npos || is_soft_broken(line);
  if (is_quoted_printable_) {
    if (!line.empty() && line.back() == '=' && soft_broken_.size() < kLineMax) {
      soft_broken_ += line.substr(0, line.size() - 1);
      return;
    }
    if (!soft_broken_.empty()) {
      soft_broken_ += line;
      const std::string joined = std::exchange(soft_broken_, {});
      take_clean_line(clean_line(joined));
      return;
    }
  }
  if (const std::optional<std::string> message = json_message(line))
    take_clean_line(clean_line(*message));
  else if (needs_cleaning(line))
    take_clean_line(clean_line(line));
  else
    assembler_.add_line(strip_prefix(line), newlines_ + 1);
}

/// A line after cleaning may be several.
void LogScanner::take_clean_line(std::string_view line) {
  while (true) {
    const std::size_t newline = line.find('\n');
    assembler_.add_line(strip_prefix(line.substr(0, newline)), newlines_ + 1);
    if (newline == std::string_view::npos)
      return;
    line.remove_prefix(newline + 1);
  }
}

}  // namespace mmbox::lab::explain
