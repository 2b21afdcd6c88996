#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/replay/free_replay.h"
#include "mmbox/lab/replay/free_side.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

/// What an id of the script holds on one side.
struct Held {
  std::vector<Pfn> pages;  ///< one block, or the single pages of a bulk or a split block
  Order order{0};
  Migratetype type = Migratetype::Unmovable;
  bool single_pages = false;  ///< each is freed alone
  bool is_split = false;
};

/// A side with the ids of the script.
class ScriptSide {
 public:
  ScriptSide(Image image, const Generation& generation) : side_(std::move(image), generation) {}

  [[nodiscard]] FreeSide& engine() { return side_; }
  void begin(const OpsBegin& ops) {
    cpu_ = ops.cpu;
    task_.realtime = ops.realtime;
  }

  /// One request; `tells` keeps its steps.
  std::optional<Pfn> allocate(std::uint32_t id, const ScriptRequest& from, Gfp gfp, bool tells) {
    if (held_.contains(id))
      return std::nullopt;  // the recorder makes no call for an id in use
    gfp = side_.as_meant(gfp);
    const auto pfn = side_.ask(from.order, tells, [&](Machine& machine) -> std::optional<Pfn> {
      const AllocResult result = machine.alloc(request_of(from, gfp));
      return result ? std::optional{*result} : std::nullopt;
    });
    if (pfn)
      held_[id] = {{*pfn}, from.order, gfp_migratetype(gfp), false, false};
    return pfn;
  }
  std::vector<Pfn> allocate_bulk(std::uint32_t id, std::uint32_t wanted, const ScriptRequest& from, Gfp gfp) {
    gfp = side_.as_meant(gfp);
    std::vector<Pfn> pages = side_.ask_bulk(request_of(from, gfp), wanted);
    held_[id] = {pages, Order{0}, gfp_migratetype(gfp), true, false};
    return pages;
  }
  enum class What : bool { AsHeld, Pieces };
  /// Frees what an id holds; a split block only as pieces, and nothing else so.
  void free(std::uint32_t id, What what, bool downwards = false) {
    const auto found = held_.find(id);
    if (found == held_.end() || found->second.is_split != (what == What::Pieces))
      return;
    Held& held = found->second;
    if (downwards)
      std::ranges::reverse(held.pages);
    for (const Pfn pfn : held.pages)
      side_.machine().free(pfn, held.single_pages ? Order{0} : held.order, cpu_);
    held_.erase(found);
  }
  void split(std::uint32_t id) {
    const auto found = held_.find(id);
    if (found == held_.end() || found->second.single_pages ||
        side_.machine().frame_state(found->second.pages[0]).is_compound())
      return;
    Held& held = found->second;
    const Pfn first = held.pages[0];
    side_.machine().split(first, held.order);
    held.pages.clear();
    for (std::uint64_t i = 0; i < PageCount::in(held.order).raw(); ++i)
      held.pages.push_back(first + PageCount{i});
    held.single_pages = true;
    held.is_split = true;
  }
  void drain() { side_.machine().drain(cpu_); }
  void drain_all() { side_.machine().drain_all(); }
  [[nodiscard]] std::vector<std::pair<Pfn, Migratetype>> held() const {
    std::vector<std::pair<Pfn, Migratetype>> all;
    for (const auto& [id, held] : held_)
      for (const Pfn pfn : held.pages)
        all.emplace_back(pfn, held.type);
    return all;
  }

 private:
  Request request_of(const ScriptRequest& from, Gfp gfp) {
    Request request{.gfp = gfp, .order = from.order, .cpu = cpu_, .node = {}, .nodemask = {}, .task = &task_};
    if (from.node >= 0)
      request.node = NodeId{static_cast<std::size_t>(from.node)};
    return request;
  }

  FreeSide side_;
  std::map<std::uint32_t, Held> held_;
  CpuId cpu_;
  Task task_;
};

/// Both sides, and what they have in common so far.
class Pair {
 public:
  Pair(ScriptSide& left, ScriptSide& right, const GfpLayout& layout, FreeReplayReport& report)
      : left_(left), right_(right), layout_(layout), report_(report), compare_(left.engine(), right.engine(), report) {}

  void operator()(const Operation& operation) {
    number_ = operation.number;
    std::visit([this](const auto& call) { run(call); }, operation.call);
  }

 private:
  /// Makes the text that says where in the script this is.
  [[nodiscard]] auto where() const {
    return [this] { return fmt::format("run {}, operation {}", report_.run, number_); };
  }
  /// Both answers to one request.
  void allocate(std::uint32_t id, const ScriptRequest& request) {
    const bool tells = compare_.tells();
    const Gfp gfp = layout_.decode(request.gfp);
    const auto a = left_.allocate(id, request, gfp, tells);
    const auto b = right_.allocate(id, request, gfp, tells);
    compare_(a, b, where(), [&] {
      return fmt::format("request of order {}, gfp 0x{:x}, node {}", request.order.raw(), request.gfp, request.node);
    });
  }
  void run(const AllocOp& op) { allocate(op.id, op.request); }
  void run(const BulkOp& op) {
    const Gfp gfp = layout_.decode(op.request.gfp);
    const std::vector<Pfn> a = left_.allocate_bulk(op.id, op.wanted, op.request, gfp);
    const std::vector<Pfn> b = right_.allocate_bulk(op.id, op.wanted, op.request, gfp);
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i)
      compare_(i < a.size() ? std::optional{a[i]} : std::nullopt, i < b.size() ? std::optional{b[i]} : std::nullopt,
               where(), [&] { return fmt::format("page {} of a bulk request of {}", i, op.wanted); });
  }
  void run(const ExhaustOp& op) {
    // Each side goes on until it is refused.
    const Gfp gfp = layout_.decode(op.request.gfp);
    bool a = true;
    bool b = true;
    for (std::uint32_t i = 0; i < op.max && (a || b); ++i) {
      if (a && b) {
        const std::uint64_t refused_left = left_.engine().outcome().refusals;
        const std::uint64_t refused_right = right_.engine().outcome().refusals;
        allocate(op.first_id + i, op.request);
        a = left_.engine().outcome().refusals == refused_left;
        b = right_.engine().outcome().refusals == refused_right;
      } else if (a) {
        a = left_.allocate(op.first_id + i, op.request, gfp, false).has_value();
      } else {
        b = right_.allocate(op.first_id + i, op.request, gfp, false).has_value();
      }
    }
  }
  void both(auto&& what) {
    what(left_);
    what(right_);
  }
  void run(const FreeOp& op) {
    both([&](ScriptSide& side) { side.free(op.id, ScriptSide::What::AsHeld); });
  }
  void run(const FreeBulkOp& op) {
    both([&](ScriptSide& side) { side.free(op.id, ScriptSide::What::AsHeld); });
  }
  void run(const SplitOp& op) {
    both([&](ScriptSide& side) { side.split(op.id); });
  }
  void run(const FreePiecesOp& op) {
    both([&](ScriptSide& side) { side.free(op.id, ScriptSide::What::Pieces, op.downwards); });
  }
  void run(const DrainLocalOp&) {
    both([](ScriptSide& side) { side.drain(); });
  }
  void run(const DrainAllOp& op) {
    if (!op.refused)
      both([](ScriptSide& side) { side.drain_all(); });
  }
  void run(const FreeCountsOp&) {}
  // An id that the recorded kernel had in use may be free here, where a request failed; it stays unused.
  void run(const BusyOp&) {}

  ScriptSide& left_;
  ScriptSide& right_;
  const GfpLayout& layout_;
  FreeReplayReport& report_;
  FreeComparison compare_;
  std::uint32_t number_ = 0;
};

}  // namespace

Expected<FreeReplayReport> free_replay_script(const std::string& path, const FreeReplayOptions& options) {
  auto reader = LogReader::open(path);
  if (!reader)
    return reader.error();
  FreeReplayReport report;
  report.source = path;
  std::optional<Snapshot> before;
  std::unique_ptr<ScriptSide> left;
  std::unique_ptr<ScriptSide> right;
  std::optional<Pair> pair;
  bool wanted = false;
  while (true) {
    auto item = reader->next();
    if (!item)
      return item.error();
    if (!*item)
      break;
    LogItem& what = **item;
    if (const auto* begin = std::get_if<RunBegin>(&what)) {
      wanted = (options.run.empty() || options.run == begin->label) && begin->has_mode("irqoff");
      before.reset();
    } else if (auto* snapshot = std::get_if<Snapshot>(&what)) {
      if (pair) {
        left->engine().sample(left->held());
        right->engine().sample(right->held());
      } else {
        before = std::move(*snapshot);
      }
    } else if (const auto* ops = std::get_if<OpsBegin>(&what); ops != nullptr && wanted && before) {
      const std::string release{before->release().value_or(kLinux61.name)};
      const GenerationChoice own = generation_of_recording(before->release());
      if (!own.note.empty())
        report.notes.push_back(own.note);
      auto image = image_of(*before, *own.generation);
      if (!image) {
        Error error = image.error();
        error.file = path;
        error.line = reader->line();
        return error;
      }
      report.run = ops->label;
      right = std::make_unique<ScriptSide>(image->copy(), options.right);
      left = std::make_unique<ScriptSide>(std::move(*image), options.left ? *options.left : *own.generation);
      left->begin(*ops);
      right->begin(*ops);
      const GfpLayout* layout = gfp_layout_for_release(release);
      pair.emplace(*left, *right, layout == nullptr ? gfp_layout_default() : *layout, report);
    } else if (const auto* operation = std::get_if<Operation>(&what); operation != nullptr && pair) {
      (*pair)(*operation);
    } else if (std::holds_alternative<OpsEnd>(what) && pair) {
      break;
    }
  }
  if (!pair)
    return Error{.file = path,
                 .message = options.run.empty() ? "the log holds no run that can be replayed"
                                                : fmt::format("no run that can be replayed is called {}", options.run),
                 .remedy = "give a script log (a *.log.zst with OPS lines) recorded with interrupts off"};
  left->engine().finish(left->held());
  right->engine().finish(right->held());
  report.left = left->engine().outcome();
  report.right = right->engine().outcome();
  return report;
}

}  // namespace mmbox::lab
