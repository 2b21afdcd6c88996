// How fast is a log read for failure reports? The log is synthetic and does not exist as a file: unrelated kernel lines
// with a whole report every `lines_between` lines, fed in pieces as a file would be.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <utility>

#include "mmbox/lab/explain/log_scanner.h"
#include "mmbox/lab/explain/print.h"

namespace mmbox::lab::explain {
namespace {

constexpr const char* kReport =
    R"([  126.345116] kswapd0: page allocation failure: order:4, mode:0x40c40(GFP_NOFS|__GFP_COMP), nodemask=(null),cpuset=/,mems_allowed=0
[  126.345779] CPU: 0 PID: 40 Comm: md5sum Not tainted 6.1.0-rc2 #10
[  126.346299] Call Trace:
[  126.346410]  dump_stack_lvl+0x70/0x8c
[  126.346712]  warn_alloc+0x100/0x178
[  126.346955]  __alloc_pages_slowpath.constprop.0+0x370/0x8d0
[  126.350476] Mem-Info:
[  126.350595] active_anon:3729 inactive_anon:476741 isolated_anon:0
[  126.350595]  active_file:4318 inactive_file:4585 isolated_file:0
[  126.350595]  unevictable:4 dirty:2 writeback:2
[  126.350595]  slab_reclaimable:1350 slab_unreclaimable:5384
[  126.350595]  mapped:8161 shmem:687 pagetables:753
[  126.350595]  sec_pagetables:0 bounce:0
[  126.350595]  kernel_misc_reclaimable:0
[  126.350595]  free:50919 free_pcp:182 free_cma:0
[  126.352082] Node 0 active_anon:14916kB inactive_anon:1906960kB active_file:17272kB inactive_file:18356kB unevictable:16kB isolated(anon):0kB isolated(file):0kB mapped:32644kB dirty:16kB writeback:8kB shmem:2748kB writeback_tmp:0kB kernel_stack:1008kB pagetables:3012kB sec_pagetables:0kB all_unreclaimable? no
[  126.353306] Node 0 DMA32 free:63492kB boost:0kB min:3556kB low:4444kB high:5332kB reserved_highatomic:0KB active_anon:0kB inactive_anon:0kB active_file:103308kB inactive_file:727636kB unevictable:0kB writepending:0kB present:964268kB managed:898436kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB
[  126.354393] lowmem_reserve[]: 0 0 14975 14975 14975
[  126.354401] Node 0 Normal free:126872kB boost:0kB min:63960kB low:79948kB high:95936kB reserved_highatomic:0KB active_anon:596kB inactive_anon:32220kB active_file:3413572kB inactive_file:11453916kB unevictable:0kB writepending:0kB present:15663104kB managed:15343300kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB
[  126.354402] lowmem_reserve[]: 0 0 0 0 0
[  126.354601] Node 0 DMA32: 1*4kB (U) 2*8kB (UE) 3*16kB (UE) 4*32kB (UME) 5*64kB (UE) 6*128kB (UME) 3*256kB (UM) 2*512kB (ME) 3*1024kB (UME) 2*2048kB (U) 13*4096kB (M) = 63492kB
[  126.354602] Node 0 Normal: 10995*4kB (UME) 3433*8kB (UME) 3233*16kB (UME) 124*32kB (UME) 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 127140kB
[  126.355088] 9781 total pagecache pages
[  126.355433] Free swap  = 8350420kB
[  126.355615] Total swap = 8388604kB
[  126.355832] 4160841 pages RAM
[  126.356153] 96567 pages reserved
)";

/// A piece of log: `reports` reports, each after `lines_between` unrelated lines.
std::string make_log(unsigned reports, unsigned lines_between) {
  std::string log;
  unsigned n = 0;
  for (unsigned report = 0; report < reports; ++report) {
    for (unsigned line = 0; line < lines_between; ++line, ++n)
      log += "[ " + std::to_string(1000 + n / 100) + "." + std::to_string(100000 + n * 37 % 900000) + "] usb 1-" +
             std::to_string(n % 7) + ": new high-speed USB device number " + std::to_string(n % 120) +
             " using xhci_hcd, bandwidth allocated, memory page order normal\n";
    log += kReport;
  }
  return log;
}

class ExplainingSink final : public ReportSink {
 public:
  void take(FailureReport&& report) override {
    ++reports;
    bytes += to_text(mmbox::lab::explain::explain(std::move(report)), reports).size();
  }
  std::uint64_t reports = 0;
  std::uint64_t bytes = 0;
};

/// Question: at which rate is a log read that has a report every 1000 lines (a GiB then has about 10,000), each report
/// explained and printed to memory?
void BM_LogWithAReportEveryThousandLines(benchmark::State& state) {
  const std::string log = make_log(40, 1000);
  std::uint64_t reports = 0;
  for (auto _ : state) {
    ExplainingSink sink;
    LogScanner scanner(sink);
    constexpr std::size_t kPiece = 1U << 17;
    for (std::size_t at = 0; at < log.size(); at += kPiece)
      scanner.feed(std::string_view{log}.substr(at, kPiece));
    scanner.finish();
    reports += sink.reports;
    benchmark::DoNotOptimize(sink.bytes);
  }
  if (reports == 0)
    state.SkipWithError("no report found");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(log.size()));
  state.counters["reports"] = benchmark::Counter(static_cast<double>(reports), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_LogWithAReportEveryThousandLines)->Unit(benchmark::kMillisecond);

/// Question: at which rate are lines read that belong to reports, one after the other?
void BM_OnlyReports(benchmark::State& state) {
  const std::string log = make_log(500, 0);
  for (auto _ : state) {
    ExplainingSink sink;
    LogScanner scanner(sink);
    scanner.feed(log);
    scanner.finish();
    benchmark::DoNotOptimize(sink.bytes);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(log.size()));
}
BENCHMARK(BM_OnlyReports)->Unit(benchmark::kMillisecond);

/// Question: what does an unrelated line cost?
void BM_UnrelatedLines(benchmark::State& state) {
  const std::string log = make_log(1, 100000);
  const std::string_view lines = std::string_view{log}.substr(0, log.size() - std::string_view{kReport}.size());
  for (auto _ : state) {
    ExplainingSink sink;
    LogScanner scanner(sink);
    scanner.feed(lines);
    scanner.finish();
    if (sink.reports != 0)
      state.SkipWithError("a report where there is none");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(lines.size()));
}
BENCHMARK(BM_UnrelatedLines)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mmbox::lab::explain

BENCHMARK_MAIN();
