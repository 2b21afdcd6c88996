#include "mmbox/lab/workload/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "mmbox/lab/formats/gfp_layout.h"
#include "mmbox/lab/io/byte_source.h"
#include "mmbox/lab/machine_spec/settings.h"
#include "mmbox/lab/machine_spec/toml_form.h"
#include "mmbox/lab/machine_spec/words.h"

namespace mmbox::lab {
namespace {

constexpr std::array<std::string_view, kDemandedKinds> kKindNames{"movable", "unmovable", "reclaimable"};
constexpr std::size_t kMaxPhases = 1000;
constexpr std::size_t kMaxRequests = 256;
/// No machine has more frames.
constexpr std::uint64_t kMaxPages = std::uint64_t{1} << 32;
constexpr std::int64_t kMaxRate = 1'000'000'000;

/// What is asked for if a file says nothing: mostly single pages; some of the kernel's blocks are larger.
std::vector<RequestKind> usual_requests() {
  using enum Demanded;
  const Gfp slab = gfp::kKernel | gfp::kReclaimable;
  return {{Movable, 0, gfp::kHighUserMovable, 1},
          {Unmovable, 0, gfp::kKernel, 80},
          {Unmovable, 1, gfp::kKernel, 10},
          {Unmovable, 2, gfp::kKernel | gfp::kComp, 7},
          {Unmovable, 3, gfp::kKernel | gfp::kComp, 3},
          {Reclaimable, 0, slab, 90},
          {Reclaimable, 1, slab | gfp::kComp, 10}};
}

class WorkloadReader : private TomlForm {
 public:
  explicit WorkloadReader(std::string_view file) : TomlForm(file) {}

  Expected<Workload> read(const toml::table& root) {
    if (!read_root(root))
      return take_error();
    return std::move(workload_);
  }

 private:
  bool read_root(const toml::table& root) {
    constexpr std::string_view kName = "the file";
    if (!check_keys(root, kName,
                    {"machine", "snapshot", "generation", "seed", "tick", "sample", "oom", "swap", "disk", "files",
                     "tasks", "objects_per_page", "settings", "request", "start", "phase"}))
      return false;
    return read_machine(root) && read_numbers(root) && read_oom(root) && read_settings(root) && read_start(root) &&
           read_requests(root) && read_phases(root);
  }

  bool read_machine(const toml::table& root) {
    constexpr std::string_view kName = "the file";
    if (!read_text(root, kName, "machine", "give a machine as `mmbox boot` takes it, \"64G, 16 cpus\"",
                   workload_.machine) ||
        !read_text(root, kName, "snapshot", "give a recorded moment, \"FILE:LABEL\"", workload_.snapshot) ||
        !read_text(root, kName, "generation", "give a kernel, \"linux-6.1\"", workload_.generation))
      return false;
    if (workload_.machine.empty() == workload_.snapshot.empty()) {
      return fail(root, std::string{kName},
                  workload_.machine.empty() ? "no machine is given" : "two machines are given",
                  "give either machine = \"64G, 16 cpus\" or snapshot = \"FILE:LABEL\"");
    }
    for (std::string* path : {&workload_.machine, &workload_.snapshot})
      if (path->ends_with(".toml") || path == &workload_.snapshot)
        *path = beside(*path);
    return true;
  }

  /// A path as seen from the workload file's folder.
  [[nodiscard]] std::string beside(const std::string& path) const {
    if (path.empty())
      return path;
    return (std::filesystem::path{file()}.parent_path() / path).string();
  }

  bool read_numbers(const toml::table& root) {
    constexpr std::string_view kName = "the file";
    std::int64_t seed = 1;
    std::int64_t tasks = workload_.tasks;
    std::int64_t objects = workload_.objects_per_page;
    if (!read_integer(root, kName, "seed", 0, std::numeric_limits<std::int64_t>::max(), seed) ||
        !read_integer(root, kName, "tasks", 1, 10'000, tasks) ||
        !read_integer(root, kName, "objects_per_page", 1, 512, objects) ||
        !read_duration(root, kName, "tick", workload_.tick_ns) ||
        !read_duration(root, kName, "sample", workload_.sample_ns) ||
        !read_pages(root, kName, "swap", workload_.swap_pages) ||
        !read_pages(root, kName, "disk", workload_.disk_pages) ||
        !read_pages(root, kName, "files", workload_.file_pages))
      return false;
    workload_.seed = static_cast<std::uint64_t>(seed);
    workload_.tasks = static_cast<std::uint32_t>(tasks);
    workload_.objects_per_page = static_cast<std::uint32_t>(objects);
    if (workload_.tick_ns < 100'000 || workload_.tick_ns > 1'000'000'000)
      return fail(*root.get("tick"), "tick", "a tick is too short or too long", "give 100us to 1s; 10ms is usual");
    if (workload_.sample_ns < workload_.tick_ns || workload_.sample_ns < 1'000'000)
      return fail(root, "sample", "samples are closer than ticks, or than 1ms", "give a longer one, \"1s\"");
    if (workload_.file_pages == 0 || workload_.file_pages >= kMaxPages)
      return fail(*root.get("files"), "files", "files of this size are none", "give 4K to 16T");
    return true;
  }

  bool read_duration(const toml::table& table, std::string_view name, std::string_view key, std::uint64_t& out) {
    const toml::node* node = table.get(key);
    if (node == nullptr)
      return true;
    const auto duration = parse_duration(node->value_or(std::string{}));
    if (!duration || *duration == 0) {
      return fail(*node, fmt::format("{} {}", name, key), "this is not a length of time",
                  "give a number and a unit (us, ms, s, min, h) in quotes, \"10s\"");
    }
    out = *duration;
    return true;
  }

  bool read_pages(const toml::table& table, std::string_view name, std::string_view key, std::uint64_t& out) {
    std::uint64_t bytes = out * kPageSize;
    if (!read_size(table, name, key, bytes))
      return false;
    out = bytes / kPageSize;
    return true;
  }

  /// Percent, with a fraction if need be. Unit of `out`: millionths.
  bool read_percent(const toml::table& table, std::string_view name, std::string_view key, std::uint32_t& out) {
    const toml::node* node = table.get(key);
    if (node == nullptr)
      return true;
    const auto percent = node->value<double>();
    if (!node->is_number() || !percent || !(*percent >= 0.0 && *percent <= 100.0)) {
      return fail(*node, fmt::format("{} {}", name, key), "this is not a share in percent",
                  "give a number from 0 to 100, 2.5");
    }
    out = static_cast<std::uint32_t>(std::lround(*percent * 10'000.0));
    return true;
  }

  bool read_oom(const toml::table& root) {
    const toml::node* node = root.get("oom");
    if (node == nullptr)
      return true;
    const std::string word = node->value_or(std::string{});
    if (word != "kill" && word != "fail")
      return fail(*node, "oom", "this is neither \"kill\" nor \"fail\"",
                  "give \"kill\" to end the task with the most pages, \"fail\" to refuse the request");
    workload_.oom = word == "kill" ? OomDecision::Kill : OomDecision::Fail;
    return true;
  }

  bool read_settings(const toml::table& root) {
    const toml::node* node = root.get("settings");
    if (node == nullptr)
      return true;
    if (!node->is_table())
      return fail(*node, "settings", "this is not a table", "write [settings], and the settings below");
    const auto settings = settings_of(*node->as_table());
    if (!settings)
      return false;
    for (const WrittenSetting& setting : *settings) {
      Tunables scratch;
      if (const Expected<void> result = set(scratch, setting.name, setting.value); !result)
        return fail(setting.at, result.error().message, result.error().remedy);
      workload_.settings.push_back(setting.name + "=" + setting.value);
    }
    return true;
  }

  bool read_start(const toml::table& root) {
    const toml::node* node = root.get("start");
    if (node == nullptr)
      return true;
    constexpr std::string_view kName = "[start]";
    if (!node->is_table())
      return fail(*node, "start", "this is not a table", "write [start], and what memory holds below");
    const toml::table& table = *node->as_table();
    StartPages& start = workload_.start;
    return check_keys(table, kName, {"anonymous", "kernel", "slab", "file", "dirty", "pinned", "holes"}) &&
           read_pages(table, kName, "anonymous", start.anonymous) && read_pages(table, kName, "kernel", start.kernel) &&
           read_pages(table, kName, "slab", start.slab) && read_pages(table, kName, "file", start.file) &&
           read_percent(table, kName, "dirty", start.dirty_ppm) &&
           read_percent(table, kName, "pinned", start.pinned_ppm) &&
           read_percent(table, kName, "holes", start.holes_ppm);
  }

  /// Calls `read_one` for each table of the list `key`.
  template <class ReadOne>
  bool read_list(const toml::table& root, std::string_view key, std::size_t most, ReadOne read_one) {
    const toml::node* list = root.get(key);
    if (list == nullptr)
      return true;
    const std::string remedy = fmt::format("write [[{}]] before each", key);
    if (!list->is_array())
      return fail(*list, std::string{key}, "this is not a list of tables", remedy);
    if (list->as_array()->size() > most)
      return fail(*list, std::string{key}, "too many of them", fmt::format("a workload may have {}", most));
    for (const toml::node& one : *list->as_array()) {
      if (!one.is_table())
        return fail(one, std::string{key}, "this is not a table", remedy);
      if (!read_one(*one.as_table()))
        return false;
    }
    return true;
  }

  bool read_requests(const toml::table& root) {
    if (!read_list(root, "request", kMaxRequests, [&](const toml::table& table) { return read_request(table); }))
      return false;
    // A kind that is not described is asked for as usual.
    for (const RequestKind& usual : usual_requests())
      if (!described_[static_cast<std::size_t>(usual.kind)])
        workload_.requests.push_back(usual);
    return true;
  }

  bool read_request(const toml::table& table) {
    constexpr std::string_view kName = "[[request]]";
    RequestKind request;
    std::string kind;
    std::string mask;
    std::int64_t order = 0;
    std::int64_t weight = 1;
    if (!check_keys(table, kName, {"kind", "order", "gfp", "weight"}) ||
        !read_text(table, kName, "kind", "give \"movable\", \"unmovable\" or \"reclaimable\"", kind) ||
        !read_text(table, kName, "gfp", "give names joined with |, \"GFP_KERNEL|__GFP_COMP\"", mask) ||
        !read_integer(table, kName, "order", 0, kMaxPageOrder, order) ||
        !read_integer(table, kName, "weight", 1, 1'000'000, weight))
      return false;
    const auto known = std::ranges::find(kKindNames, kind);
    if (known == kKindNames.end()) {
      return fail(table, std::string{kName}, kind.empty() ? "the kind is missing" : "there is no such kind",
                  "give kind = \"movable\", \"unmovable\" or \"reclaimable\"");
    }
    request.kind = static_cast<Demanded>(known - kKindNames.begin());
    request.order = static_cast<unsigned>(order);
    request.weight = static_cast<std::uint32_t>(weight);
    constexpr std::array kUsual{gfp::kHighUserMovable, gfp::kKernel, gfp::kKernel | gfp::kReclaimable};
    request.gfp = kUsual[static_cast<std::size_t>(request.kind)];
    if (order > 0)
      request.gfp = request.gfp | gfp::kComp;
    if (!mask.empty() && !read_mask(table, mask, request))
      return false;
    described_[static_cast<std::size_t>(request.kind)] = true;
    workload_.requests.push_back(request);
    return true;
  }

  bool read_mask(const toml::table& table, const std::string& text, RequestKind& request) {
    const toml::node& node = *table.get("gfp");
    const std::string key = "[[request]] gfp";
    const auto mask = gfp_layout_default().parse(text);
    if (!mask)
      return fail(node, key, fmt::format("there are no such flags: {}", in_quotes(text)),
                  "write names joined with | (GFP_KERNEL|__GFP_COMP) or a number (0x40cc0)");
    request.gfp = gfp_layout_default().decode(*mask);
    const unsigned zones = request.gfp.raw() & 0x7;
    if ((zones & (zones - 1)) != 0)
      return fail(node, key, "names two zones at once", "give at most one of __GFP_DMA, __GFP_DMA32, __GFP_HIGHMEM");
    if (request.gfp.has_all(gfp::kMovable | gfp::kReclaimable))
      return fail(node, key, "is movable and reclaimable at once", "give one of __GFP_MOVABLE and __GFP_RECLAIMABLE");
    if (request.gfp.has(gfp::kNoFail))
      return fail(node, key, "a request that must not fail would never end when memory is exhausted",
                  "leave __GFP_NOFAIL out");
    return true;
  }

  bool read_phases(const toml::table& root) {
    if (!read_list(root, "phase", kMaxPhases, [&](const toml::table& table) { return read_phase(table); }))
      return false;
    if (workload_.phases.empty())
      return fail(root, "phase", "nothing is asked of the machine", "write [[phase]], and what happens in it below");
    return true;
  }

  bool read_phase(const toml::table& table) {
    constexpr std::string_view kName = "[[phase]]";
    if (!check_keys(table, kName,
                    {"name", "duration", "allocations", "movable", "unmovable", "reclaimable", "live", "reads",
                     "writes", "touches", "pinned", "task"}))
      return false;
    Phase phase;
    phase.name = fmt::format("phase {}", workload_.phases.size() + 1);
    if (!read_text(table, kName, "name", "give it a name in quotes, \"fill\"", phase.name) ||
        !read_text(table, kName, "task", "give the name of a task in quotes, \"leak\"", phase.task) ||
        !read_duration(table, kName, "duration", phase.duration_ns) ||
        !read_rate(table, "allocations", phase.allocations) || !read_rate(table, "reads", phase.reads) ||
        !read_rate(table, "writes", phase.writes) || !read_rate(table, "touches", phase.touches) ||
        !read_percent(table, kName, "pinned", phase.pinned_ppm) || !read_shares(table, phase))
      return false;
    if (phase.duration_ns == 0)
      return fail(table, std::string{kName}, "the duration is missing", "give duration = \"30s\"");
    if (table.contains("live")) {
      phase.live_pages = 0;
      if (!read_pages(table, kName, "live", phase.live_pages))
        return false;
    }
    workload_.phases.push_back(std::move(phase));
    return true;
  }

  bool read_rate(const toml::table& table, std::string_view key, std::uint64_t& out) {
    std::int64_t rate = 0;
    if (!read_integer(table, "[[phase]]", key, 0, kMaxRate, rate))
      return false;
    out = static_cast<std::uint64_t>(rate);
    return true;
  }

  bool read_shares(const toml::table& table, Phase& phase) {
    std::array<std::int64_t, kDemandedKinds> shares{};
    bool any = false;
    for (std::size_t kind = 0; kind < kDemandedKinds; ++kind) {
      any = any || table.contains(kKindNames[kind]);
      if (!read_integer(table, "[[phase]]", kKindNames[kind], 0, 1'000'000, shares[kind]))
        return false;
    }
    if (!any)
      return true;
    for (std::size_t kind = 0; kind < kDemandedKinds; ++kind)
      phase.shares[kind] = static_cast<std::uint32_t>(shares[kind]);
    if (shares == decltype(shares){})
      return fail(table, "[[phase]]", "all shares are 0", "give at least one of movable, unmovable, reclaimable");
    return true;
  }

  Workload workload_;
  std::array<bool, kDemandedKinds> described_{};
};

}  // namespace

std::uint64_t Workload::duration_ns() const {
  std::uint64_t sum = 0;
  for (const Phase& phase : phases)
    sum += phase.duration_ns;
  return sum;
}

std::optional<std::uint64_t> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t>, 5> kUnits{
      {{"us", 1'000}, {"ms", 1'000'000}, {"min", 60'000'000'000}, {"h", 3'600'000'000'000}, {"s", 1'000'000'000}}};
  constexpr std::uint64_t kMost = std::uint64_t{31} * 24 * 3'600'000'000'000;
  text = trimmed(text);
  for (const auto& [unit, ns] : kUnits) {
    if (!text.ends_with(unit))
      continue;
    text.remove_suffix(unit.size());
    const auto number = parse_number(trimmed(text));
    if (!number || *number > kMost / ns)
      return std::nullopt;
    return *number * ns;
  }
  return std::nullopt;
}

Expected<Workload> read_workload(std::string_view text, std::string_view file) {
  if (text.size() > kMaxWorkloadText)
    return error_at(file, {}, "a workload of more than 1 MiB is none", "give the description of a workload");
  const Expected<toml::table> root =
      parse_toml(text, file, "write valid TOML; examples/workloads has some to start from");
  if (!root)
    return root.error();
  return WorkloadReader{file}.read(*root);
}

Expected<Workload> load_workload(const std::string& path) {
  Expected<ByteSource> source = ByteSource::open(path);
  if (!source)
    return source.error();
  std::string text;
  while (text.size() <= kMaxWorkloadText) {
    const Expected<std::string_view> bytes = source->view();
    if (!bytes)
      return bytes.error();
    if (bytes->empty())
      break;
    text += *bytes;
    source->consume(bytes->size());
  }
  return read_workload(text, path);
}

}  // namespace mmbox::lab
