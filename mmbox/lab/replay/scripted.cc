#include "mmbox/lab/replay/scripted.h"

#include <fmt/format.h>

#include <algorithm>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/image/image.h"
#include "mmbox/lab/replay/moments.h"
#include "mmbox/lab/replay/redirect.h"
#include "mmbox/lab/replay/story.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {
namespace {

std::string name_of(std::optional<Pfn> pfn) {
  return pfn ? fmt::format("0x{:x}", pfn->raw()) : "failure";
}

/// One run: the engine, and how it compares so far.
class Run {
 public:
  Run(Image image, Snapshot base, const GfpLayout& layout, ReplayReport& report)
      : image_(std::move(image)), base_(std::move(base)), layout_(layout), report_(report), story_(image_.machine()) {}

  void begin(const OpsBegin& ops) {
    label_ = ops.label;
    cpu_ = ops.cpu;
    task_.realtime = ops.realtime;
  }
  [[nodiscard]] const std::string& label() const { return label_; }

  void compare_with(const Snapshot& recorded) {
    CompareOptions options;
    options.node_counters = false;  // of reclaim and the page cache, not of the allocator
    // What kcompactd and kswapd do with a wake is theirs, but what was asked of them is compared.
    report_.snapshots.push_back({recorded.label, compare(recorded, snapshot_of(image_.machine(), base_), options)});
  }

  void operator()(const Operation& operation) {
    number_ = operation.number;
    ++report_.events;
    std::visit([this](const auto& call) { run(call); }, operation.call);
  }

 private:
  Machine& machine() { return image_.machine(); }
  Request request_of(const ScriptRequest& from) {
    Request request{
        .gfp = layout_.decode(from.gfp), .order = from.order, .cpu = cpu_, .node = {}, .nodemask = {}, .task = &task_};
    if (from.node >= 0)
      request.node = NodeId{static_cast<std::size_t>(from.node)};
    return request;
  }

  /// One request, compared and, if need be, corrected.
  void allocate(const ScriptRequest& from, std::optional<Pfn> recorded) {
    const bool tell = !report_.first_divergence;
    story_.clear();
    if (tell)
      machine().attach(&story_);
    const AllocResult result = machine().alloc(request_of(from));
    machine().attach(nullptr);
    const std::optional<Pfn> got = result ? std::optional{*result} : std::nullopt;
    judge(fmt::format("request of order {}, gfp 0x{:x}, node {}", from.order.raw(), from.gfp, from.node), from.order,
          gfp_migratetype(layout_.decode(from.gfp)), recorded, got);
  }

  void judge(std::string request, Order order, Migratetype type, std::optional<Pfn> recorded, std::optional<Pfn> got) {
    const bool equal = recorded == got;
    report_.count(equal, order, type, cpu_);
    if (equal)
      return;
    if (!report_.first_divergence) {
      report_.first_divergence = Divergence{.where = fmt::format("run {}, operation {}", label_, number_),
                                            .request = std::move(request),
                                            .expected = name_of(recorded),
                                            .actual = name_of(got),
                                            .context = story_.lines()};
      for (const ZoneState& zone : machine().view().zones) {
        if (!zone.is_populated())
          continue;
        for (std::string& line : describe_zone(machine(), zone.id))
          report_.first_divergence->context.push_back(std::move(line));
      }
    }
    if (got)
      give_back(machine(), *got, order, cpu_);
    if (recorded && !ensure_allocated(machine(), *recorded, order, cpu_))
      ++report_.divergence_kinds["frame not free in the engine"];
  }

  void free(Pfn pfn, Order order) {
    if (!machine().frame_state(pfn).is_allocated_as(order.raw()) && !ensure_allocated(machine(), pfn, order, cpu_)) {
      ++report_.divergence_kinds["freed block is in use otherwise in the engine"];
      return;
    }
    machine().free(pfn, order, cpu_);
  }

  void run(const AllocOp& op) { allocate(op.request, op.result); }
  void run(const FreeOp& op) {
    if (op.block)
      free(op.block->pfn, op.block->order);
  }
  void run(const BulkOp& op) {
    if (machine().rules().generation.walk.bulk_api == BulkApi::Absent) {
      // The recorder asked for single pages, until one failed.
      for (std::size_t i = 0; i < op.wanted && i <= op.pages.size(); ++i)
        allocate(op.request, i < op.pages.size() ? std::optional{op.pages[i]} : std::nullopt);
      bulks_[op.id] = op.pages;
      return;
    }
    std::vector<Pfn> pages(op.wanted, kNoPfn);
    story_.clear();
    if (!report_.first_divergence)
      machine().attach(&story_);
    const std::size_t got = machine().alloc_bulk(request_of(op.request), pages);
    machine().attach(nullptr);
    for (std::size_t i = 0; i < std::max(got, op.pages.size()); ++i) {
      judge(fmt::format("bulk request of {} pages, gfp 0x{:x}, page {}", op.wanted, op.request.gfp, i), Order{0},
            gfp_migratetype(layout_.decode(op.request.gfp)),
            i < op.pages.size() ? std::optional{op.pages[i]} : std::nullopt,
            i < got ? std::optional{pages[i]} : std::nullopt);
    }
    if (op.pages.empty() && got == 0)
      report_.decisions.count(true);
    bulks_[op.id] = op.pages;
  }
  void run(const FreeBulkOp& op) {
    for (const Pfn pfn : bulks_[op.id])
      free(pfn, Order{0});
    bulks_.erase(op.id);
  }
  void run(const ExhaustOp& op) {
    for (const Pfn pfn : op.pages)
      allocate(op.request, pfn);
    if (op.failed)
      allocate(op.request, std::nullopt);
  }
  void run(const SplitOp& op) {
    if (!op.block)
      return;
    if (machine().frame_state(op.block->pfn).is_allocated_as(op.block->order.raw()))
      machine().split(op.block->pfn, op.block->order);
    else
      ++report_.divergence_kinds["split block is in use otherwise in the engine"];
  }
  void run(const FreePiecesOp& op) {
    if (!op.block)
      return;
    const std::uint64_t pages = PageCount::in(op.block->order).raw();
    for (std::uint64_t i = 0; i < pages; ++i)
      free(op.block->pfn + PageCount{op.downwards ? pages - 1 - i : i}, Order{0});
  }
  void run(const DrainLocalOp&) { machine().drain(cpu_); }
  void run(const DrainAllOp& op) {
    if (!op.refused)
      machine().drain_all();
  }
  void run(const FreeCountsOp& op) {
    const MachineView& view = machine().view();
    for (const ZoneFreeCount& counts : op.zones) {
      for (const ZoneState& zone : view.zones) {
        if (zone.node != counts.node || zone.type != counts.type || !zone.is_populated())
          continue;
        std::int64_t diff = 0;
        std::int64_t pcp = 0;
        for (std::size_t cpu = 0; cpu < view.cpu_nodes.size(); ++cpu) {
          diff += view.pageset(zone.id, CpuId{cpu}).stat.delta[0];
          pcp += view.pageset(zone.id, CpuId{cpu}).count;
        }
        const bool equal = zone.stat[0] == counts.free_pages && diff == counts.diff && pcp == counts.pcp_pages &&
                           zone.watermark_boost == static_cast<std::int64_t>(counts.boost) &&
                           zone.nr_reserved_highatomic == static_cast<std::int64_t>(counts.reserved_highatomic);
        report_.decisions.count(equal);
        if (!equal && !report_.first_divergence)
          report_.first_divergence =
              Divergence{.where = fmt::format("run {}, operation {}", label_, number_),
                         .request = "free counts of " + zone_name(machine(), zone.id),
                         .expected = fmt::format("{}{:+}/{}/{}/{}", counts.free_pages, counts.diff, counts.pcp_pages,
                                                 counts.boost, counts.reserved_highatomic),
                         .actual = fmt::format("{}{:+}/{}/{}/{}", zone.stat[0], diff, pcp, zone.watermark_boost,
                                               zone.nr_reserved_highatomic),
                         .context = {}};
      }
    }
  }
  void run(const BusyOp&) {}

  Image image_;
  Snapshot base_;
  const GfpLayout& layout_;
  ReplayReport& report_;
  Story story_;
  std::string label_;
  CpuId cpu_;
  Task task_;
  std::uint32_t number_ = 0;
  std::map<std::uint32_t, std::vector<Pfn>> bulks_;
};

}  // namespace

Expected<ReplayReport> replay_scripted(const std::string& path, const ScriptedOptions& options) {
  auto reader = LogReader::open(path);
  if (!reader)
    return reader.error();
  ReplayReport report;
  report.strength = "scripted";
  report.source = path;
  std::optional<Run> run;
  std::optional<RunBegin> begun;
  std::optional<Snapshot> before;  // the last snapshot outside of a script: where a run starts
  bool wanted = false;
  bool found = false;
  while (true) {
    auto item = reader->next();
    if (!item)
      return item.error();
    if (!*item)
      break;
    LogItem& what = **item;
    if (const auto* begin = std::get_if<RunBegin>(&what)) {
      begun = *begin;
      before.reset();
      run.reset();
      const bool named = options.run.empty() || options.run == begin->label;
      found = found || named;
      wanted = named && begin->has_mode("irqoff");
      if (named && !wanted)
        report.notes.push_back(fmt::format("run {} slept and is left out: other tasks ran beside it", begin->label));
    } else if (const auto* ops = std::get_if<OpsBegin>(&what); ops != nullptr && wanted) {
      if (!before) {
        report.notes.push_back(fmt::format("run {} has no snapshot before it and is left out", ops->label));
        continue;
      }
      const std::string release{before->release().value_or(kLinux61.name)};
      auto image = recorded_image(*before, options.generation, report.notes);
      if (!image) {
        Error error = image.error();
        error.file = path;
        error.line = reader->line();
        return error;
      }
      const GfpLayout* layout = gfp_layout_for_release(release);
      run.emplace(std::move(*image), std::move(*before), layout == nullptr ? gfp_layout_default() : *layout, report);
      run->begin(*ops);
    } else if (auto* snapshot = std::get_if<Snapshot>(&what)) {
      if (run)
        run->compare_with(*snapshot);
      else
        before = std::move(*snapshot);
    } else if (const auto* operation = std::get_if<Operation>(&what); operation != nullptr && run) {
      (*run)(*operation);
    } else if (std::holds_alternative<RunEnd>(what)) {
      run.reset();
    }
  }
  if (!found) {
    return Error{.file = path,
                 .message = options.run.empty() ? "the log holds no run of a script"
                                                : fmt::format("no run is called {}", options.run),
                 .remedy = "give a script log (a *.log.zst with OPS lines); `mmbox show` lists what a log holds"};
  }
  if (reader->lost() != 0)
    report.notes.push_back(fmt::format("the recorder lost {} lines of the log", reader->lost()));
  return report;
}

}  // namespace mmbox::lab
