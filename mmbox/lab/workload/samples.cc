#include "mmbox/lab/workload/samples.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <span>
#include <utility>

#include "mmbox/core/base/text.h"

namespace mmbox::lab {
namespace {

constexpr std::uint64_t kMillisecondNs = 1'000'000;

/// The three tables that have a row for each zone.
struct ZoneTable {
  const char* name;
  std::array<std::int64_t, kOrders> ZoneSample::*values;
};
constexpr std::array kZoneTables{ZoneTable{"buddyinfo", &ZoneSample::free_blocks},
                                 ZoneTable{"extfrag", &ZoneSample::extfrag_index},
                                 ZoneTable{"unusable", &ZoneSample::unusable_index}};

std::array<std::uint64_t, kOrders> blocks_of(const ZoneState& zone) {
  std::array<std::uint64_t, kOrders> blocks{};
  for (unsigned order = 0; order < kOrders; ++order)
    blocks[order] = zone.nr_free[order];
  return blocks;
}

// ------------------------------------------------------------- CSV

class CsvSamples final : public SampleSink {
 public:
  CsvSamples(ByteSink vmstat, std::array<std::optional<ByteSink>, kZoneTables.size()> zones)
      : vmstat_(std::move(vmstat)), zones_(std::move(zones)) {}

  Expected<void> write(const Sample& sample) override {
    std::string line = fmt::format("{}", sample.at_ns / kMillisecondNs);
    for (const std::int64_t value : sample.vmstat)
      fmt::format_to(std::back_inserter(line), ",{}", value);
    line += '\n';
    if (auto written = vmstat_.write(line); !written)
      return written;
    for (std::size_t i = 0; i < kZoneTables.size(); ++i) {
      for (const ZoneSample& zone : sample.zones) {
        line = fmt::format("{},{},{}", sample.at_ns / kMillisecondNs, zone.node, zone.zone);
        for (const std::int64_t value : zone.*kZoneTables[i].values)
          fmt::format_to(std::back_inserter(line), ",{}", value);
        line += '\n';
        if (auto written = zones_[i]->write(line); !written)
          return written;
      }
    }
    return {};
  }
  Expected<void> describe(const std::string&, const std::string&) override { return {}; }
  Expected<void> finish() override {
    if (auto finished = vmstat_.finish(); !finished)
      return finished;
    for (std::optional<ByteSink>& sink : zones_)
      if (auto finished = sink->finish(); !finished)
        return finished;
    return {};
  }

 private:
  ByteSink vmstat_;
  std::array<std::optional<ByteSink>, kZoneTables.size()> zones_;
};

// ------------------------------------------------------------- SQLite

class SqliteSamples final : public SampleSink {
 public:
  explicit SqliteSamples(std::string path) : path_(std::move(path)) {}
  ~SqliteSamples() override { close(); }
  SqliteSamples(const SqliteSamples&) = delete;
  SqliteSamples& operator=(const SqliteSamples&) = delete;

  Expected<void> open(const std::vector<std::string>& vmstat) {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
    if (sqlite3_open(path_.c_str(), &database_) != SQLITE_OK)
      return error();
    // One writer, and nobody reads before it is finished.
    std::string schema =
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;"
        "CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
        "CREATE TABLE vmstat (ms INTEGER PRIMARY KEY";
    std::string insert = "INSERT INTO vmstat VALUES (?";
    for (const std::string& name : vmstat) {
      schema += fmt::format(", \"{}\" INTEGER", name);
      insert += ",?";
    }
    schema += ");";
    for (const ZoneTable& table : kZoneTables) {
      schema += fmt::format("CREATE TABLE {} (ms INTEGER, node INTEGER, zone TEXT", table.name);
      for (unsigned order = 0; order < kOrders; ++order)
        schema += fmt::format(", order_{} INTEGER", order);
      schema += ", PRIMARY KEY (ms, node, zone)) WITHOUT ROWID;";
    }
    if (sqlite3_exec(database_, schema.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      return error();
    if (auto prepared = prepare(insert + ")", vmstat_); !prepared)
      return prepared;
    for (std::size_t i = 0; i < kZoneTables.size(); ++i) {
      insert = fmt::format("INSERT INTO {} VALUES (?,?,?", kZoneTables[i].name);
      for (unsigned order = 0; order < kOrders; ++order)
        insert += ",?";
      if (auto prepared = prepare(insert + ")", zones_[i]); !prepared)
        return prepared;
    }
    return prepare("INSERT OR REPLACE INTO run VALUES (?,?)", run_);
  }

  Expected<void> write(const Sample& sample) override {
    const auto ms = static_cast<std::int64_t>(sample.at_ns / kMillisecondNs);
    sqlite3_bind_int64(vmstat_, 1, ms);
    for (std::size_t i = 0; i < sample.vmstat.size(); ++i)
      sqlite3_bind_int64(vmstat_, static_cast<int>(i) + 2, sample.vmstat[i]);
    if (auto done = step(vmstat_); !done)
      return done;
    for (std::size_t i = 0; i < kZoneTables.size(); ++i) {
      for (const ZoneSample& zone : sample.zones) {
        sqlite3_bind_int64(zones_[i], 1, ms);
        sqlite3_bind_int64(zones_[i], 2, static_cast<std::int64_t>(zone.node));
        bind_text(zones_[i], 3, zone.zone);
        for (unsigned order = 0; order < kOrders; ++order)
          sqlite3_bind_int64(zones_[i], static_cast<int>(order) + 4, (zone.*kZoneTables[i].values)[order]);
        if (auto done = step(zones_[i]); !done)
          return done;
      }
    }
    return {};
  }
  Expected<void> describe(const std::string& key, const std::string& value) override {
    bind_text(run_, 1, key);
    bind_text(run_, 2, value);
    return step(run_);
  }
  Expected<void> finish() override {
    finalize();
    if (sqlite3_exec(database_, "COMMIT", nullptr, nullptr, nullptr) != SQLITE_OK)
      return error();
    close();
    return {};
  }

 private:
  Expected<void> prepare(const std::string& text, sqlite3_stmt*& statement) {
    if (sqlite3_prepare_v2(database_, text.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      return error();
    return {};
  }
  static void bind_text(sqlite3_stmt* statement, int at, const std::string& text) {
    // The statement is stepped before the text goes.
    sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), nullptr);
  }
  Expected<void> step(sqlite3_stmt* statement) {
    const bool is_done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    return is_done ? Expected<void>{} : error();
  }
  [[nodiscard]] Error error() const {
    return {.file = path_,
            .message = fmt::format("the database cannot be written: {}", sqlite3_errmsg(database_)),
            .remedy = "choose a folder that can be written to, with room on its disk"};
  }
  void finalize() {
    for (sqlite3_stmt*& statement : all_)
      sqlite3_finalize(std::exchange(statement, nullptr));
  }
  void close() {
    finalize();
    sqlite3_close(std::exchange(database_, nullptr));
  }

  std::string path_;
  sqlite3* database_ = nullptr;
  std::array<sqlite3_stmt*, kZoneTables.size() + 2> all_{};
  sqlite3_stmt*& vmstat_ = all_[0];
  sqlite3_stmt*& run_ = all_[1];
  std::span<sqlite3_stmt*, kZoneTables.size()> zones_ = std::span{all_}.last<kZoneTables.size()>();
};

}  // namespace

std::vector<std::string> vmstat_names(const ProcSource& source) {
  struct Names final : CounterVisitor {
    std::vector<std::string> names;
    void on(std::string_view name, std::string_view suffix, std::int64_t) override {
      names.push_back(std::string{name} + std::string{suffix});
    }
  };
  Names names;
  for_each_vmstat_line(source, names);
  return std::move(names.names);
}

Sample take_sample(const ProcSource& source, std::uint64_t at_ns) {
  struct Values final : CounterVisitor {
    std::vector<std::int64_t> values;
    void on(std::string_view, std::string_view, std::int64_t value) override { values.push_back(value); }
  };
  Values values;
  for_each_vmstat_line(source, values);
  Sample sample{at_ns, std::move(values.values), {}};
  for (const ZoneState& zone : source.machine.zones) {
    if (!zone.is_populated())
      continue;
    ZoneSample& one = sample.zones.emplace_back();
    one.node = zone.node.raw();
    one.zone = zone_type_name(zone.type);
    const auto blocks = blocks_of(zone);
    for (unsigned order = 0; order < kOrders; ++order) {
      one.free_blocks[order] = static_cast<std::int64_t>(blocks[order]);
      one.extfrag_index[order] = fragmentation_index(blocks, Order{order});
      one.unusable_index[order] = unusable_free_index(blocks, Order{order});
    }
  }
  return sample;
}

Expected<std::unique_ptr<SampleSink>> csv_samples(const std::string& folder, const std::vector<std::string>& vmstat) {
  auto counters = ByteSink::create(folder + "/vmstat.csv");
  if (!counters)
    return counters.error();
  std::string header = "ms";
  for (const std::string& name : vmstat)
    (header += ',') += name;
  if (auto written = counters->write(header + '\n'); !written)
    return written.error();
  std::array<std::optional<ByteSink>, kZoneTables.size()> zones;
  header = "ms,node,zone";
  for (unsigned order = 0; order < kOrders; ++order)
    header += fmt::format(",order_{}", order);
  for (std::size_t i = 0; i < kZoneTables.size(); ++i) {
    auto sink = ByteSink::create(fmt::format("{}/{}.csv", folder, kZoneTables[i].name));
    if (!sink)
      return sink.error();
    if (auto written = sink->write(header + '\n'); !written)
      return written.error();
    zones[i].emplace(std::move(*sink));
  }
  return std::unique_ptr<SampleSink>{std::make_unique<CsvSamples>(std::move(*counters), std::move(zones))};
}

Expected<std::unique_ptr<SampleSink>> sqlite_samples(const std::string& path, const std::vector<std::string>& vmstat) {
  auto samples = std::make_unique<SqliteSamples>(path);
  if (auto opened = samples->open(vmstat); !opened)
    return opened.error();
  return std::unique_ptr<SampleSink>{std::move(samples)};
}

}  // namespace mmbox::lab
