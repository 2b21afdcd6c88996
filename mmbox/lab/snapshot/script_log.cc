#include "mmbox/lab/snapshot/script_log.h"

#include <utility>

#include "mmbox/lab/snapshot/words.h"

namespace mmbox::lab {
namespace {

using words::number;
using words::quoted;
using words::Words;

constexpr const char* kCut = "the log is cut or was changed: record it again";
constexpr const char* kForeign = "this is not a log that mmbox's recorder wrote: see docs/formats.md";

Error refusal(std::string message, const char* remedy = kCut) {
  return Error{.message = std::move(message), .remedy = remedy};
}

/// The words of one operation's line. The first that is not as expected makes `ok` false, for good.
class Fields {
 public:
  explicit Fields(std::string_view text) : words_(text) {}
  std::string_view word() {
    const std::optional<std::string_view> next = words_.next();
    ok_ = ok_ && next.has_value();
    return next.value_or(std::string_view{});
  }
  template <std::integral T>
  T integer(int base = 10) {
    const std::optional<T> value = number<T>(word(), base);
    ok_ = ok_ && value.has_value();
    return value.value_or(T{});
  }
  /// Scripts may ask for orders that no kernel has: such requests fail.
  Order order() {
    const auto value = integer<std::uint8_t>();
    ok_ = ok_ && value < 64;
    return Order{value < 64U ? value : 0U};
  }
  Pfn pfn(Order order) { return checked(word(), order); }
  Pfn checked(std::string_view text, Order order) {
    const std::optional<Pfn> value = words::pfn(text);
    ok_ = ok_ && value.has_value() && order.raw() <= kMaxPageOrder && value->is_aligned(order);
    return value.value_or(Pfn{});
  }
  void expect(std::string_view text) { ok_ = word() == text && ok_; }
  [[nodiscard]] std::optional<std::string_view> next() { return words_.next(); }
  /// What is left of the line, up to its end.
  [[nodiscard]] std::string_view rest() const { return words_.rest(); }
  void fail() { ok_ = false; }
  /// Everything was as expected, and nothing is left.
  [[nodiscard]] bool complete() const { return ok_ && words_.at_end(); }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  Words words_;
  bool ok_ = true;
};

ScriptRequest request_after_order(Fields& fields, Order order) {
  ScriptRequest request;
  request.order = order;
  request.gfp = fields.integer<std::uint32_t>(16);
  request.node = fields.integer<std::int32_t>();
  return request;
}

AllocOp parse_alloc(Fields& fields, std::uint32_t id) {
  AllocOp op{.id = id, .request = {}, .result = std::nullopt};
  const Order order = fields.order();
  op.request = request_after_order(fields, order);
  fields.expect("=");
  const std::string_view result = fields.word();
  if (result != "FAIL")
    op.result = fields.checked(result, order);
  return op;
}

BulkOp parse_bulk(Fields& fields, std::uint32_t id) {
  BulkOp op{.id = id, .wanted = fields.integer<std::uint32_t>(), .request = {}, .pages = {}};
  op.request = request_after_order(fields, Order{0});
  fields.expect("=");
  const auto got = fields.integer<std::uint32_t>();
  fields.expect(":");
  while (const std::optional<std::string_view> word = fields.next())
    op.pages.push_back(fields.checked(*word, Order{0}));
  if (op.pages.size() != got || got > op.wanted)
    fields.fail();
  return op;
}

ExhaustOp parse_exhaust(Fields& fields, std::uint32_t id) {
  ExhaustOp op{.first_id = id, .request = {}, .max = 0, .pages = {}, .failed = false};
  const Order order = fields.order();
  op.request = request_after_order(fields, order);
  op.max = fields.integer<std::uint32_t>();
  fields.expect("=");
  std::string_view word = fields.word();
  for (; fields.ok() && word != "FAIL" && word != ":"; word = fields.word())
    op.pages.push_back(fields.checked(word, order));
  op.failed = word == "FAIL";
  if (op.failed)
    fields.expect(":");
  if (fields.integer<std::uint64_t>() != op.pages.size() || op.pages.size() > op.max ||
      op.failed != (op.pages.size() < op.max))
    fields.fail();
  return op;
}

/// "ORDER = PFN" or "EMPTY".
std::optional<ScriptBlock> parse_block(Fields& fields) {
  if (fields.rest() == "EMPTY") {
    (void)fields.word();
    return std::nullopt;
  }
  const Order order = fields.order();
  fields.expect("=");
  return ScriptBlock{fields.pfn(order), order};
}

/// "NODE/ZONE=FREE±DIFF/PCP/BOOST/HIGHATOMIC".
std::optional<ZoneFreeCount> parse_free_count(std::string_view word) {
  std::string_view rest = word;
  const auto until = [&rest](char separator) {
    const std::size_t at = rest.find(separator);
    const std::string_view part = rest.substr(0, at);
    rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
    return part;
  };
  const auto node = number<std::uint16_t>(until('/'));
  const auto type = words::zone_type(until('='));
  const std::string_view free_and_diff = until('/');
  const auto pcp = number<std::int64_t>(until('/'));
  const auto boost = number<std::uint64_t>(until('/'));
  const auto highatomic = number<std::uint64_t>(rest);
  // The sign that divides the two is not the one in front.
  const std::size_t sign = free_and_diff.find_first_of("+-", 1);
  if (!node || !type || !pcp || !boost || !highatomic || sign == std::string_view::npos)
    return std::nullopt;
  const auto free_pages = number<std::int64_t>(free_and_diff.substr(0, sign));
  const auto diff = number<std::int64_t>(free_and_diff.substr(free_and_diff[sign] == '+' ? sign + 1 : sign));
  if (!free_pages || !diff)
    return std::nullopt;
  return ZoneFreeCount{NodeId{*node}, *type, *free_pages, *diff, *pcp, *boost, *highatomic};
}

FreeCountsOp parse_free_counts(Fields& fields) {
  FreeCountsOp op;
  while (const std::optional<std::string_view> word = fields.next()) {
    const std::optional<ZoneFreeCount> count = parse_free_count(*word);
    if (!count)
      fields.fail();
    else
      op.zones.push_back(*count);
  }
  return op;
}

/// The call behind an operation's number; `fields.complete()` says whether it is one.
decltype(Operation::call) parse_call(Fields& fields) {
  const std::string_view kind = fields.word();
  if (kind.size() != 1) {
    fields.fail();
    return {};
  }
  switch (kind[0]) {
    case 'l': return DrainLocalOp{};
    case 'L': {
      const std::optional<std::string_view> word = fields.next();
      if (word && *word != "REFUSED")
        fields.fail();
      return DrainAllOp{.refused = word.has_value()};
    }
    case 'z': return parse_free_counts(fields);
    default: break;
  }
  const auto id = fields.integer<std::uint32_t>();
  switch (kind[0]) {
    case 'a':
    case 'b':
      if (fields.rest() == "BUSY") {
        (void)fields.word();
        return BusyOp{.id = id, .is_bulk = kind[0] == 'b'};
      }
      if (kind[0] == 'a')
        return parse_alloc(fields, id);
      return parse_bulk(fields, id);
    case 'x': return parse_exhaust(fields, id);
    case 'f':
      if (fields.rest().starts_with("bulk ")) {
        (void)fields.word();
        return FreeBulkOp{.id = id, .pages = fields.integer<std::uint32_t>()};
      }
      return FreeOp{.id = id, .block = parse_block(fields)};
    case 's': return SplitOp{.id = id, .block = parse_block(fields)};
    case 'u':
    case 'd': return FreePiecesOp{.id = id, .downwards = kind[0] == 'd', .block = parse_block(fields)};
    default: fields.fail(); return {};
  }
}

/// The value of a word `key=value`.
std::string_view value_of(std::string_view word, std::string_view key) {
  return word.size() > key.size() && word.starts_with(key) && word[key.size()] == '=' ? word.substr(key.size() + 1)
                                                                                      : std::string_view{};
}

}  // namespace

bool RunBegin::has_mode(std::string_view word) const {
  std::string_view rest = mode;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (rest.substr(0, comma) == word)
      return true;
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  return false;
}

Expected<std::optional<LogItem>> LogParser::operation(std::string_view line) {
  Fields fields(line);
  Operation op;
  op.number = fields.integer<std::uint32_t>();
  if (!in_operations_)
    return refusal("an operation stands outside of OPS … ENDOPS");
  // The numbers that are left out are those of S and P, and each of those has left a block.
  if (op.number < next_number_ || op.number > next_number_ + blocks_)
    return refusal("operation " + std::to_string(op.number) + " comes where " + std::to_string(next_number_) +
                   " is expected");
  op.call = parse_call(fields);
  if (!fields.complete())
    return refusal("operation " + std::to_string(op.number) + " cannot be read: " + quoted(line));
  next_number_ = std::uint64_t{op.number} + 1;
  blocks_ = 0;
  return std::optional<LogItem>{std::move(op)};
}

Expected<std::optional<LogItem>> LogParser::structure(std::string_view word, std::string_view rest) {
  Fields fields(rest);
  if (word == "RUN") {
    RunBegin run{.label = std::string{fields.word()}, .mode = {}, .operations = 0};
    run.mode = value_of(fields.word(), "mode");
    const auto operations = number<std::uint32_t>(value_of(fields.word(), "ops"));
    if (!fields.complete() || !operations || run.label.empty())
      return refusal("RUN line: is not a label, mode= and ops=", kForeign);
    if (in_run_)
      return refusal("RUN " + run.label + " begins before ENDRUN " + run_);
    run.operations = *operations;
    run_ = run.label;
    operations_ = *operations;
    in_run_ = true;
    had_operations_ = false;
    return std::optional<LogItem>{std::move(run)};
  }
  if (word == "OPS") {
    OpsBegin begin{.label = std::string{fields.word()}, .cpu = {}, .realtime = false};
    const auto cpu = number<std::uint16_t>(value_of(fields.word(), "cpu"));
    const auto realtime = number<std::uint8_t>(value_of(fields.word(), "rt"));
    if (!fields.complete() || !cpu || !realtime || *realtime > 1)
      return refusal("OPS line: is not a label, cpu= and rt=", kForeign);
    if (!in_run_ || had_operations_ || begin.label != run_)
      return refusal("OPS " + quoted(begin.label) + " is not inside the run of that label");
    begin.cpu = CpuId{*cpu};
    begin.realtime = *realtime != 0;
    in_operations_ = had_operations_ = true;
    next_number_ = blocks_ = 0;
    return std::optional<LogItem>{std::move(begin)};
  }
  if (word == "ENDOPS") {
    if (!in_operations_ || rest != run_)
      return refusal("ENDOPS " + quoted(rest) + " without its OPS");
    if (operations_ < next_number_ || operations_ > next_number_ + blocks_)
      return refusal("run " + run_ + " has ops=" + std::to_string(operations_) + ", but its last operation is number " +
                     std::to_string(next_number_ + blocks_) + " (counted from 1)");
    in_operations_ = false;
    return std::optional<LogItem>{OpsEnd{.label = run_}};
  }
  if (word == "ENDRUN") {
    RunEnd end{.label = std::string{fields.word()}, .lost = 0};
    const auto lost = number<std::uint64_t>(value_of(fields.word(), "lost"));
    if (!fields.complete() || !lost)
      return refusal("ENDRUN line: is not a label and lost=", kForeign);
    if (!in_run_ || in_operations_ || !had_operations_ || end.label != run_)
      return refusal("ENDRUN " + quoted(end.label) + " ends a run that has not come to its end");
    in_run_ = false;
    lost_ = end.lost = *lost;
    return std::optional<LogItem>{std::move(end)};
  }
  if (word == "z") {
    FreeCountsOp counts = parse_free_counts(fields);
    if (!fields.complete() || !in_operations_)
      return refusal("z line: cannot be read here: " + quoted(rest));
    return std::optional<LogItem>{std::move(counts)};
  }
  if (word == "FREEALL") {
    FreeAll all{.pages = fields.integer<std::uint64_t>()};
    fields.expect("pages");
    if (!fields.complete())
      return refusal("FREEALL line: is not a number of pages", kForeign);
    return std::optional<LogItem>{all};
  }
  if (word == "NOTE")
    return std::optional<LogItem>{Note{std::string{rest}}};
  return refusal("a line that begins with " + quoted(word), kForeign);
}

Expected<std::optional<LogItem>> LogParser::feed(std::string_view line) {
  if (snapshot_) {
    const Expected<bool> done = snapshot_->feed(line);
    if (!done)
      return done.error();
    if (!*done)
      return std::optional<LogItem>{};
    std::optional<LogItem> item{snapshot_->take()};
    snapshot_.reset();
    ++blocks_;
    return item;
  }
  if (page_dump_) {
    const Expected<bool> done = page_dump_->feed(line);
    if (!done)
      return done.error();
    if (!*done)
      return std::optional<LogItem>{};
    std::optional<LogItem> item{page_dump_->take()};
    page_dump_.reset();
    ++blocks_;
    return item;
  }
  any_ = true;
  if (!line.empty() && line[0] >= '0' && line[0] <= '9')
    return operation(line);
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  if (word == "SNAP")
    snapshot_.emplace();
  else if (word == "PAGES")
    page_dump_.emplace();
  else
    return structure(word, space == std::string_view::npos ? std::string_view{} : line.substr(space + 1));
  return feed(line);
}

Expected<void> LogParser::finish() const {
  if (snapshot_)
    return refusal("the log ends inside a snapshot");
  if (page_dump_)
    return refusal("the log ends inside a page dump");
  if (in_run_)
    return refusal("the log ends inside run " + run_);
  if (!any_)
    return refusal("the log is empty", kForeign);
  return {};
}

Expected<LogReader> LogReader::open(const std::string& path) {
  Expected<ByteSource> source = ByteSource::open(path);
  if (!source)
    return std::move(source).error();
  return LogReader{LineReader{std::move(source).value()}};
}

Expected<std::optional<LogItem>> LogReader::next() {
  std::string_view text;
  for (;;) {
    const Expected<bool> more = lines_.next(text);
    if (!more)
      return more.error();
    if (!*more)
      break;
    // A number or list that is cut short may well look like a whole one.
    if (!lines_.terminated())
      return lines_.error("the log ends in the middle of a line", kCut);
    if (!parser_.inside_block())
      line_ = lines_.number();
    Expected<std::optional<LogItem>> item = parser_.feed(text);
    if (!item)
      return lines_.error(item.error().message, item.error().remedy);
    if (*item)
      return item;
  }
  const Expected<void> complete = parser_.finish();
  if (!complete)
    return lines_.error(complete.error().message, complete.error().remedy);
  return std::optional<LogItem>{};
}

Expected<LogContents> list_log(const std::string& path) {
  Expected<LogReader> reader = LogReader::open(path);
  if (!reader)
    return std::move(reader).error();
  LogContents contents;
  for (;;) {
    Expected<std::optional<LogItem>> item = reader->next();
    if (!item)
      return std::move(item).error();
    if (!*item)
      break;
    if (const auto* snapshot = std::get_if<Snapshot>(&**item))
      contents.snapshots.push_back({snapshot->label, reader->line()});
    else if (const auto* dump = std::get_if<PageDump>(&**item))
      contents.page_dumps.push_back({dump->label, reader->line()});
    else if (const auto* run = std::get_if<RunBegin>(&**item))
      contents.runs.push_back({*run, reader->line()});
  }
  contents.lost = reader->lost();
  return contents;
}

namespace {

/// The first block of type `Block` that is called `label` (any, if that is empty).
template <class Block>
Expected<Block> load_block(const std::string& path, std::string_view label, const std::string& what) {
  Expected<LogReader> reader = LogReader::open(path);
  if (!reader)
    return std::move(reader).error();
  std::string seen;
  for (;;) {
    Expected<std::optional<LogItem>> item = reader->next();
    if (!item)
      return std::move(item).error();
    if (!*item)
      break;
    if (auto* block = std::get_if<Block>(&**item)) {
      if (label.empty() || block->label == label)
        return std::move(*block);
      if (seen.size() < 2000)
        (seen += seen.empty() ? "" : ", ") += block->label;
    }
  }
  if (seen.empty())
    return Error{.file = path, .message = "the log has no " + what, .remedy = "use another log"};
  return Error{
      .file = path, .message = "the log has no " + what + " called " + quoted(label), .remedy = "use one of: " + seen};
}

}  // namespace

Expected<Snapshot> load_snapshot(const std::string& path, std::string_view label) {
  return load_block<Snapshot>(path, label, "snapshot");
}

Expected<PageDump> load_page_dump(const std::string& path, std::string_view label) {
  return load_block<PageDump>(path, label, "page dump");
}

Expected<std::optional<PageDump>> find_page_dump(const std::string& path, std::string_view label) {
  Expected<LogReader> reader = LogReader::open(path);
  if (!reader)
    return std::move(reader).error();
  for (;;) {
    Expected<std::optional<LogItem>> item = reader->next();
    if (!item)
      return std::move(item).error();
    if (!*item)
      return std::optional<PageDump>{};
    if (auto* dump = std::get_if<PageDump>(&**item); dump != nullptr && dump->label == label)
      return std::optional{std::move(*dump)};
  }
}

}  // namespace mmbox::lab
