#include "mmbox/lab/replay/free_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/image/adapt.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/replay/story.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

/// Tells the steps of the last request, and counts the fallbacks of all.
class FallbackCounter final : public EventSink {
 public:
  explicit FallbackCounter(FreeOutcome& outcome) : outcome_(outcome) {}
  void on(const MmPageAllocExtfrag& e) override {
    ++outcome_.fallbacks;
    outcome_.claims += e.change_ownership ? 1 : 0;
  }

 private:
  FreeOutcome& outcome_;
};

/// What an id of the script holds on one side.
struct Held {
  std::vector<Pfn> pages;  ///< one block, or the single pages of a bulk or a split block
  Order order{0};
  Migratetype type = Migratetype::Unmovable;
  bool single_pages = false;  ///< each is freed alone
  bool is_split = false;
};

/// One engine under one generation.
class Side {
 public:
  Side(Image image, const Generation& generation) : image_(std::move(image)), counter_(outcome_), story_(machine()) {
    outcome_.generation = generation.name;
    change_generation(machine(), generation);
    rule_ = generation.reserve.atomic_rule;
    has_bulk_ = generation.walk.bulk_api != BulkApi::Absent;
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  [[nodiscard]] Machine& machine() { return image_.machine(); }
  [[nodiscard]] FreeOutcome& outcome() { return outcome_; }
  [[nodiscard]] std::vector<std::string> story() const { return story_.lines(); }
  void begin(const OpsBegin& ops) {
    cpu_ = ops.cpu;
    task_.realtime = ops.realtime;
  }

  /// One request; `tells` keeps its steps, else only fallbacks are counted.
  std::optional<Pfn> allocate(std::uint32_t id, const ScriptRequest& from, Gfp gfp, bool tells) {
    if (held_.contains(id))
      return std::nullopt;  // the recorder makes no call for an id in use
    gfp = as_meant(gfp);
    const Request request = request_of(from, gfp);
    story_.clear();
    if (tells)
      machine().attach(&story_);
    else
      machine().attach(&counter_);
    const AllocResult result = machine().alloc(request);
    machine().attach(nullptr);
    if (tells)
      count_told_fallbacks();
    ++outcome_.requests;
    if (!result) {
      ++outcome_.refusals;
      ++outcome_.refusals_by_order[from.order.raw()];
      return std::nullopt;
    }
    held_[id] = {{*result}, from.order, gfp_migratetype(gfp), false, false};
    return *result;
  }
  std::vector<Pfn> allocate_bulk(std::uint32_t id, std::uint32_t wanted, const ScriptRequest& from, Gfp gfp) {
    gfp = as_meant(gfp);
    std::vector<Pfn> pages(wanted, kNoPfn);
    std::size_t got = 0;
    machine().attach(&counter_);
    if (has_bulk_) {
      got = machine().alloc_bulk(request_of(from, gfp), pages);
    } else {
      for (; got < wanted; ++got) {
        const AllocResult result = machine().alloc(request_of(from, gfp));
        if (!result)
          break;
        pages[got] = *result;
      }
    }
    machine().attach(nullptr);
    pages.resize(got);
    outcome_.requests += wanted;
    if (got == 0)
      ++outcome_.refusals;
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
      machine().free(pfn, held.single_pages ? Order{0} : held.order, cpu_);
    held_.erase(found);
  }
  void split(std::uint32_t id) {
    const auto found = held_.find(id);
    if (found == held_.end() || found->second.single_pages ||
        machine().frame_state(found->second.pages[0]).is_compound())
      return;
    Held& held = found->second;
    const Pfn first = held.pages[0];
    machine().split(first, held.order);
    held.pages.clear();
    for (std::uint64_t i = 0; i < PageCount::in(held.order).raw(); ++i)
      held.pages.push_back(first + PageCount{i});
    held.single_pages = true;
    held.is_split = true;
  }
  void drain() { machine().drain(cpu_); }
  void drain_all() { machine().drain_all(); }

  void finish() {
    const MachineView& view = machine().view();
    for (const ZoneState& zone : view.zones) {
      outcome_.highatomic_pages += static_cast<std::uint64_t>(zone.nr_reserved_highatomic);
      for (unsigned order = 0; order < kOrders; ++order)
        for (unsigned type = 0; type < kMigratetypes; ++type) {
          outcome_.free_blocks[order][type] += zone.lists[order][type].blocks;
          outcome_.free_pages += std::uint64_t{zone.lists[order][type].blocks} << order;
        }
      for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu)
        outcome_.pcp_pages += static_cast<std::uint64_t>(view.pageset(zone.id, CpuId{cpu}).count);
    }
    const MemMap& map = view.env.map;
    for (FrameIndex i = 0; i < map.frames(); i += static_cast<FrameIndex>(kPageblockPages))
      if (map.pageblock(i).zone != kNoZone)
        ++outcome_.pageblocks[raw(map.pageblock(i).type)];
    outcome_.mixed_pageblocks = count_mixed();
    outcome_.mixed_pageblocks_most = std::max(outcome_.mixed_pageblocks_most, outcome_.mixed_pageblocks);
  }
  /// At a point of the script where the recorder took a snapshot.
  void sample() { outcome_.mixed_pageblocks_most = std::max(outcome_.mixed_pageblocks_most, count_mixed()); }

 private:
  /// Pageblocks that hold a block which this script allocated for another type.
  [[nodiscard]] std::uint64_t count_mixed() {
    const MemMap& map = machine().view().env.map;
    std::set<FrameIndex> mixed;
    for (const auto& [id, held] : held_)
      for (const Pfn pfn : held.pages)
        if (map.pageblock(map.index(pfn)).type != held.type)
          mixed.insert(map.index(pfn) >> kPageblockOrder);
    return mixed.size();
  }
  Request request_of(const ScriptRequest& from, Gfp gfp) {
    Request request{.gfp = gfp, .order = from.order, .cpu = cpu_, .node = {}, .nodemask = {}, .task = &task_};
    if (from.node >= 0)
      request.node = NodeId{static_cast<std::size_t>(from.node)};
    return request;
  }
  /// GFP_ATOMIC as this generation writes it: newer kernels have no bit of its own for it.
  [[nodiscard]] Gfp as_meant(Gfp gfp) const {
    const bool atomic = gfp.has(gfp::kHigh) && gfp.has(gfp::kKswapdReclaim) && !gfp.has(gfp::kDirectReclaim);
    return atomic && rule_ == AtomicRule::GfpAtomic ? gfp | gfp::kAtomic : gfp;
  }
  /// The story has the attachment that the counter would have: its lines say the same.
  void count_told_fallbacks() {
    for (const std::string& line : story_.lines()) {
      if (line.find(" fallback: ") == std::string::npos)
        continue;
      ++outcome_.fallbacks;
      outcome_.claims += line.ends_with("ownership changed") ? 1 : 0;
    }
  }

  Image image_;
  FreeOutcome outcome_;
  FallbackCounter counter_;
  Story story_;
  std::map<std::uint32_t, Held> held_;
  CpuId cpu_;
  Task task_;
  AtomicRule rule_{};
  bool has_bulk_ = true;
};

std::string name_of(std::optional<Pfn> pfn) {
  return pfn ? fmt::format("0x{:x}", pfn->raw()) : "failure";
}

/// Both sides, and what they have in common so far.
class Pair {
 public:
  Pair(Side& left, Side& right, const GfpLayout& layout, FreeReplayReport& report)
      : left_(left), right_(right), layout_(layout), report_(report) {}

  void operator()(const Operation& operation) {
    number_ = operation.number;
    std::visit([this](const auto& call) { run(call); }, operation.call);
  }

 private:
  /// Both answers to one request. True if both got a block.
  bool allocate(std::uint32_t id, const ScriptRequest& request) {
    const bool tells = !report_.first_difference;
    const Gfp gfp = layout_.decode(request.gfp);
    const auto a = left_.allocate(id, request, gfp, tells);
    const auto b = right_.allocate(id, request, gfp, tells);
    compare(fmt::format("request of order {}, gfp 0x{:x}, node {}", request.order.raw(), request.gfp, request.node), a,
            b);
    return a && b;
  }
  void compare(const std::string& request, std::optional<Pfn> a, std::optional<Pfn> b) {
    if (a == b) {
      ++report_.same_frames;
      return;
    }
    if (report_.first_difference)
      return;
    Divergence difference{.where = fmt::format("run {}, operation {}", report_.run, number_),
                          .request = request,
                          .expected = name_of(a),
                          .actual = name_of(b),
                          .context = {}};
    for (Side* side : {&left_, &right_}) {
      difference.context.push_back(fmt::format("{}:", side->outcome().generation));
      for (const std::string& line : side->story())
        difference.context.push_back("  " + line);
    }
    report_.first_difference = std::move(difference);
  }

  void run(const AllocOp& op) { allocate(op.id, op.request); }
  void run(const BulkOp& op) {
    const Gfp gfp = layout_.decode(op.request.gfp);
    const std::vector<Pfn> a = left_.allocate_bulk(op.id, op.wanted, op.request, gfp);
    const std::vector<Pfn> b = right_.allocate_bulk(op.id, op.wanted, op.request, gfp);
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i)
      compare(fmt::format("page {} of a bulk request of {}", i, op.wanted),
              i < a.size() ? std::optional{a[i]} : std::nullopt, i < b.size() ? std::optional{b[i]} : std::nullopt);
  }
  void run(const ExhaustOp& op) {
    // Each side goes on until it is refused.
    const Gfp gfp = layout_.decode(op.request.gfp);
    bool a = true;
    bool b = true;
    for (std::uint32_t i = 0; i < op.max && (a || b); ++i) {
      if (a && b) {
        const std::uint64_t refused_left = left_.outcome().refusals;
        const std::uint64_t refused_right = right_.outcome().refusals;
        allocate(op.first_id + i, op.request);
        a = left_.outcome().refusals == refused_left;
        b = right_.outcome().refusals == refused_right;
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
    both([&](Side& side) { side.free(op.id, Side::What::AsHeld); });
  }
  void run(const FreeBulkOp& op) {
    both([&](Side& side) { side.free(op.id, Side::What::AsHeld); });
  }
  void run(const SplitOp& op) {
    both([&](Side& side) { side.split(op.id); });
  }
  void run(const FreePiecesOp& op) {
    both([&](Side& side) { side.free(op.id, Side::What::Pieces, op.downwards); });
  }
  void run(const DrainLocalOp&) {
    both([](Side& side) { side.drain(); });
  }
  void run(const DrainAllOp& op) {
    if (!op.refused)
      both([](Side& side) { side.drain_all(); });
  }
  void run(const FreeCountsOp&) {}
  // An id that the recorded kernel had in use may be free here, where a request failed; it stays unused.
  void run(const BusyOp&) {}

  Side& left_;
  Side& right_;
  const GfpLayout& layout_;
  FreeReplayReport& report_;
  std::uint32_t number_ = 0;
};

}  // namespace

Expected<FreeReplayReport> free_replay(const std::string& path, const FreeReplayOptions& options) {
  auto reader = LogReader::open(path);
  if (!reader)
    return reader.error();
  FreeReplayReport report;
  report.source = path;
  std::optional<Snapshot> before;
  std::unique_ptr<Side> left;
  std::unique_ptr<Side> right;
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
        left->sample();
        right->sample();
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
      right = std::make_unique<Side>(image->copy(), options.right);
      left = std::make_unique<Side>(std::move(*image), options.left ? *options.left : *own.generation);
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
  left->finish();
  right->finish();
  report.left = left->outcome();
  report.right = right->outcome();
  return report;
}

}  // namespace mmbox::lab
