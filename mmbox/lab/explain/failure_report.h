// What one failure report of the kernel says, as it says it: numbers in the units of the text, nothing concluded.
//
// Every member is optional, since a pasted report may lack any line. `report_assembler` fills it, `analyze` reads it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mmbox::lab::explain {

/// The message that a report began with.
enum class Headline : std::uint8_t {
  None,               ///< the report starts in the middle: its first line is missing
  AllocationFailure,  ///< "page allocation failure"
  AllocationStall,    ///< "page allocation stalls for N ms" (4.10 to 4.14)
  OomKiller,          ///< "invoked oom-killer"
  OomKill,            ///< only "Out of memory: Killed process" is there
  MemcgOomKill,       ///< only "Memory cgroup out of memory: Killed process" is there
  VmallocFailure,     ///< "vmalloc error", "vmalloc: allocation failure"
  CmaFailure,         ///< "cma_alloc: … alloc failed"
  ShowMemory,         ///< "SysRq : Show Memory"
};

/// Fields of the zone lines; kB unless the name says otherwise. The order is that of `kZoneFieldNames`.
enum class ZoneField : std::uint8_t {
  Free,
  Boost,
  Min,
  Low,
  High,
  ReservedHighatomic,
  FreeHighatomic,
  ActiveAnon,
  InactiveAnon,
  ActiveFile,
  InactiveFile,
  Unevictable,
  Writepending,
  Dirty,
  Writeback,
  Present,
  Managed,
  Mlocked,
  SlabReclaimable,
  SlabUnreclaimable,
  FreePcp,
  LocalPcp,
  FreeCma,
  Active,    ///< to 2.6.27
  Inactive,  ///< to 2.6.27
  Count
};
inline constexpr std::array<const char*, static_cast<std::size_t>(ZoneField::Count)> kZoneFieldNames{
    "free",
    "boost",
    "min",
    "low",
    "high",
    "reserved_highatomic",
    "free_highatomic",
    "active_anon",
    "inactive_anon",
    "active_file",
    "inactive_file",
    "unevictable",
    "writepending",
    "dirty",
    "writeback",
    "present",
    "managed",
    "mlocked",
    "slab_reclaimable",
    "slab_unreclaimable",
    "free_pcp",
    "local_pcp",
    "free_cma",
    "active",
    "inactive"};

/// Fields of the block after "Mem-Info:"; pages.
enum class GlobalField : std::uint8_t {
  ActiveAnon,
  InactiveAnon,
  IsolatedAnon,
  ActiveFile,
  InactiveFile,
  IsolatedFile,
  Unevictable,
  Dirty,
  Writeback,
  Unstable,
  SlabReclaimable,
  SlabUnreclaimable,
  Mapped,
  Shmem,
  Pagetables,
  SecPagetables,
  Bounce,
  KernelMiscReclaimable,
  Free,
  FreePcp,
  FreeCma,
  Active,    ///< to 2.6.27
  Inactive,  ///< to 2.6.27
  Slab,      ///< to 2.6.27
  Count
};
inline constexpr std::array<const char*, static_cast<std::size_t>(GlobalField::Count)> kGlobalFieldNames{
    "active_anon", "inactive_anon", "isolated_anon", "active_file",    "inactive_file",    "isolated_file",
    "unevictable", "dirty",         "writeback",     "unstable",       "slab_reclaimable", "slab_unreclaimable",
    "mapped",      "shmem",         "pagetables",    "sec_pagetables", "bounce",           "kernel_misc_reclaimable",
    "free",        "free_pcp",      "free_cma",      "active",         "inactive",         "slab"};

/// A set of optional numbers, by an enum that ends in `Count`.
template <class Field>
class OptionalFields {
 public:
  [[nodiscard]] const std::optional<std::int64_t>& operator[](Field field) const {
    return values_[static_cast<std::size_t>(field)];
  }
  std::optional<std::int64_t>& operator[](Field field) { return values_[static_cast<std::size_t>(field)]; }
  [[nodiscard]] std::int64_t value_or(Field field, std::int64_t fallback) const {
    return (*this)[field].value_or(fallback);
  }

 private:
  std::array<std::optional<std::int64_t>, static_cast<std::size_t>(Field::Count)> values_{};
};

/// One entry of a free-area line: `12*64kB (UM)`.
struct OrderBlocks {
  std::uint64_t count = 0;
  std::uint64_t size_kb = 0;
  std::string letters{};  ///< as printed, without brackets; empty if not printed

  friend bool operator==(const OrderBlocks&, const OrderBlocks&) = default;
};

/// The lines of one zone.
struct ZoneText {
  std::optional<std::uint32_t> node{};  ///< absent on builds without NUMA, which print no node
  std::string name{};
  bool has_zone_line = false;  ///< `DMA free:…`
  OptionalFields<ZoneField> kb{};
  std::optional<bool> all_unreclaimable{};
  std::vector<std::int64_t> lowmem_reserve{};  ///< pages, one per zone index
  std::vector<OrderBlocks> blocks{};           ///< by order from 0; empty: no such line
  bool blocks_elided = false;                  ///< the poster cut the line short
  std::optional<std::int64_t> blocks_total_kb{};
};

/// The line of one node (4.8 on); kB.
struct NodeText {
  std::uint32_t node = 0;
  std::optional<std::int64_t> active_file_kb{};
  std::optional<std::int64_t> inactive_file_kb{};
  std::optional<std::int64_t> writeback_kb{};
  std::optional<std::int64_t> dirty_kb{};
  std::optional<bool> all_unreclaimable{};
};

/// A row of the task table, or the victim.
struct TaskText {
  std::int64_t pid = 0;
  std::int64_t rss_pages = 0;
  std::string name{};
};

/// One report. Lines count from 1 in the file it was found in.
struct FailureReport {
  std::uint64_t first_line = 0;
  std::uint64_t last_line = 0;
  Headline headline = Headline::None;

  // The header.
  std::string comm{};
  std::optional<int> order{};
  std::optional<std::uint64_t> gfp_mask{};
  std::string gfp_names{};  ///< as printed in brackets; empty if not printed
  std::optional<std::string> nodemask{};
  std::optional<std::string> cpuset{};
  std::optional<std::string> mems_allowed{};
  std::optional<std::int64_t> stall_ms{};
  std::string vmalloc_message{};
  std::optional<std::uint64_t> vmalloc_bytes{};
  std::optional<std::uint64_t> vmalloc_got_bytes{};
  std::optional<std::uint64_t> cma_pages{};
  std::optional<int> cma_error{};
  std::string cma_name{};
  std::optional<std::uint64_t> cma_free_pages{};
  std::optional<std::uint64_t> cma_total_pages{};

  // The stack dump.
  std::optional<int> cpu{};
  std::optional<std::int64_t> pid{};
  std::string release{};
  std::string stable_release{};  ///< "6.1.192" where a distribution prints it beside its own name of the release
  std::string workqueue{};
  std::vector<std::string> trace{};  ///< function names that are certain ("?" left out), innermost first
  bool trace_has_irq = false;        ///< "<IRQ>" or "<SOFTIRQ>" stands in the trace

  // Mem-Info.
  bool has_mem_info = false;
  bool has_hot_cold = false;  ///< per-cpu blocks with Hot and Cold (to 2.6.24)
  OptionalFields<GlobalField> global_pages{};
  std::vector<NodeText> nodes{};
  std::vector<ZoneText> zones{};
  std::optional<std::int64_t> pagecache_pages{};
  std::optional<std::int64_t> swapcache_pages{};
  std::optional<std::int64_t> free_swap_kb{};
  std::optional<std::int64_t> total_swap_kb{};
  std::optional<std::int64_t> ram_pages{};
  std::optional<std::int64_t> highmem_pages{};
  std::optional<std::int64_t> reserved_pages{};
  std::optional<std::int64_t> cma_reserved_pages{};

  // OOM.
  bool is_memcg = false;  ///< memory-controller lines were seen
  std::string constraint{};
  std::optional<std::int64_t> memcg_usage_kb{};
  std::optional<std::int64_t> memcg_limit_kb{};
  std::string memcg_path{};
  std::string victim{};
  std::optional<std::int64_t> victim_pid{};
  std::optional<std::int64_t> victim_anon_rss_kb{};
  std::optional<TaskText> largest_task{};
  std::uint64_t tasks = 0;

  /// What the reader had to mend or leave out, for the reader of the explanation.
  std::vector<std::string> notes{};
};

}  // namespace mmbox::lab::explain
