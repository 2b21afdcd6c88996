// What a run looks like over time: vmstat, free blocks and the indices of fragmentation, into CSV files and a database.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mmbox/lab/error.h"
#include "mmbox/lab/io/byte_sink.h"
#include "mmbox/mmbox.h"

namespace mmbox::lab {

/// One zone at one moment, by order.
struct ZoneSample {
  std::uint64_t node = 0;
  std::string zone;
  std::array<std::int64_t, kOrders> free_blocks{};
  std::array<std::int64_t, kOrders> extfrag_index{};   ///< thousandths
  std::array<std::int64_t, kOrders> unusable_index{};  ///< thousandths
};

struct Sample {
  std::uint64_t at_ns = 0;
  std::vector<std::int64_t> vmstat;  ///< by vmstat_names()
  std::vector<ZoneSample> zones;     ///< populated ones
};

/// The names of the lines of /proc/vmstat, in its order.
[[nodiscard]] std::vector<std::string> vmstat_names(const ProcSource& source);
[[nodiscard]] Sample take_sample(const ProcSource& source, std::uint64_t at_ns);

/// Takes samples in order.
class SampleSink {
 public:
  virtual ~SampleSink() = default;
  [[nodiscard]] virtual Expected<void> write(const Sample& sample) = 0;
  /// A pair that describes the whole run: "seed", "1".
  [[nodiscard]] virtual Expected<void> describe(const std::string& key, const std::string& value) = 0;
  [[nodiscard]] virtual Expected<void> finish() = 0;
};

/// vmstat.csv, buddyinfo.csv, extfrag.csv and unusable.csv in `folder`, which is there.
[[nodiscard]] Expected<std::unique_ptr<SampleSink>> csv_samples(const std::string& folder,
                                                                const std::vector<std::string>& vmstat);
/// An SQLite database; a file of that name is replaced. Tables: docs/formats.md.
[[nodiscard]] Expected<std::unique_ptr<SampleSink>> sqlite_samples(const std::string& path,
                                                                   const std::vector<std::string>& vmstat);

}  // namespace mmbox::lab
