#include "mmbox/core/observe/mem_info.h"

namespace mmbox {
namespace {

constexpr std::int64_t kKbytesPerPage = static_cast<std::int64_t>(kPageSize / 1024);

/// One run through the block. Fields are written as ` name:VALUEkB`.
class MemInfoWriter {
 public:
  MemInfoWriter(const ProcSource& source, const MemInfoRequest& request, TextSink& sink)
      : source_(source), machine_(source.machine), request_(request), out_(sink) {}

  void write() {
    out_.text("Mem-Info:\n");
    write_totals();
    for (const NodeState& node : machine_.nodes)
      if (is_listed(node))
        write_node(node);
    for_each_zone([&](const ZoneState& zone) { write_zone(zone); });
    for_each_zone([&](const ZoneState& zone) { write_free_area(zone); });
    write_rest();
  }

 private:
  template <class Visit>
  void for_each_zone(Visit&& visit) {
    for (const ZoneState& zone : machine_.zones)
      if (zone.is_populated() && zone.index <= request_.highest && request_.nodes.has(zone.node))
        visit(zone);
  }
  [[nodiscard]] bool is_listed(const NodeState& node) const {
    bool managed = false;
    for (const ZoneState& zone : machine_.zones)
      managed = managed || (zone.node == node.id && zone.index <= request_.highest && zone.managed != 0);
    return managed && request_.nodes.has(node.id);
  }
  [[nodiscard]] std::int64_t of_nodes(std::string_view name) const {
    std::int64_t sum = 0;
    for (const NodeState& node : machine_.nodes)
      sum += node_counter(source_, node.id, name);
    return sum;
  }
  [[nodiscard]] std::int64_t of_zones(std::string_view name) const {
    std::int64_t sum = 0;
    for (const ZoneState& zone : machine_.zones)
      sum += zone_counter(source_, zone, name);
    return sum;
  }
  [[nodiscard]] std::int64_t pcp_pages(const ZoneState& zone) const {
    std::int64_t pages = 0;
    for (std::size_t cpu = 0; cpu < machine_.cpu_nodes.size(); ++cpu)
      pages += machine_.pageset(zone.id, CpuId{cpu}).count;
    return pages;
  }

  MemInfoWriter& pages(std::string_view label, std::int64_t value) {
    out_.text(label).number(value);
    return *this;
  }
  MemInfoWriter& kbytes(std::string_view label, std::int64_t pages) {
    out_.text(label).number(pages * kKbytesPerPage).text("kB");
    return *this;
  }

  void write_totals() {
    std::int64_t free_pcp = 0;
    for_each_zone([&](const ZoneState& zone) { free_pcp += pcp_pages(zone); });
    pages("active_anon:", of_nodes("nr_active_anon"));
    pages(" inactive_anon:", of_nodes("nr_inactive_anon"));
    pages(" isolated_anon:", of_nodes("nr_isolated_anon"));
    pages("\n active_file:", of_nodes("nr_active_file"));
    pages(" inactive_file:", of_nodes("nr_inactive_file"));
    pages(" isolated_file:", of_nodes("nr_isolated_file"));
    pages("\n unevictable:", of_nodes("nr_unevictable"));
    pages(" dirty:", of_nodes("nr_dirty"));
    pages(" writeback:", of_nodes("nr_writeback"));
    pages("\n slab_reclaimable:", of_nodes("nr_slab_reclaimable"));
    pages(" slab_unreclaimable:", of_nodes("nr_slab_unreclaimable"));
    pages("\n mapped:", of_nodes("nr_mapped"));
    pages(" shmem:", of_nodes("nr_shmem"));
    pages(" pagetables:", of_nodes("nr_page_table_pages"));
    pages("\n sec_pagetables:", of_nodes("nr_sec_page_table_pages"));
    pages(" bounce:", of_zones("nr_bounce"));
    pages("\n kernel_misc_reclaimable:", of_nodes("nr_kernel_misc_reclaimable"));
    pages("\n free:", of_zones("nr_free_pages"));
    pages(" free_pcp:", free_pcp);
    pages(" free_cma:", of_zones("nr_free_cma"));
    out_.text("\n");
  }

  void write_node(const NodeState& node) {
    const auto of = [&](std::string_view name) { return node_counter(source_, node.id, name); };
    // Counters of huge pages count huge pages.
    const auto huge = [&](std::string_view name) { return of(name) * static_cast<std::int64_t>(kPageblockPages); };
    out_.text("Node ").unsigned_number(node.id.raw());
    kbytes(" active_anon:", of("nr_active_anon"));
    kbytes(" inactive_anon:", of("nr_inactive_anon"));
    kbytes(" active_file:", of("nr_active_file"));
    kbytes(" inactive_file:", of("nr_inactive_file"));
    kbytes(" unevictable:", of("nr_unevictable"));
    kbytes(" isolated(anon):", of("nr_isolated_anon"));
    kbytes(" isolated(file):", of("nr_isolated_file"));
    kbytes(" mapped:", of("nr_mapped"));
    kbytes(" dirty:", of("nr_dirty"));
    kbytes(" writeback:", of("nr_writeback"));
    kbytes(" shmem:", of("nr_shmem"));
    kbytes(" shmem_thp: ", huge("nr_shmem_hugepages"));
    kbytes(" shmem_pmdmapped: ", huge("nr_shmem_pmdmapped"));
    kbytes(" anon_thp: ", huge("nr_anon_transparent_hugepages"));
    kbytes(" writeback_tmp:", of("nr_writeback_temp"));
    out_.text(" kernel_stack:").number(of("nr_kernel_stack")).text("kB");
    kbytes(" pagetables:", of("nr_page_table_pages"));
    kbytes(" sec_pagetables:", of("nr_sec_page_table_pages"));
    out_.text(" all_unreclaimable? ").text(node.kswapd.failures >= kMaxReclaimRetries ? "yes\n" : "no\n");
  }

  void write_zone_label(const ZoneState& zone) {
    out_.text("Node ").unsigned_number(zone.node.raw()).text(" ").text(zone_type_name(zone.type));
  }

  void write_zone(const ZoneState& zone) {
    const auto of = [&](std::string_view name) { return zone_counter(source_, zone, name); };
    const auto mark = [&](Watermark which) { return zone.mark(static_cast<unsigned>(which)); };
    write_zone_label(zone);
    kbytes(" free:", of("nr_free_pages"));
    kbytes(" boost:", zone.watermark_boost);
    kbytes(" min:", mark(Watermark::Min));
    kbytes(" low:", mark(Watermark::Low));
    kbytes(" high:", mark(Watermark::High));
    out_.text(" reserved_highatomic:").number(zone.nr_reserved_highatomic * kKbytesPerPage).text("KB");
    kbytes(" active_anon:", of("nr_zone_active_anon"));
    kbytes(" inactive_anon:", of("nr_zone_inactive_anon"));
    kbytes(" active_file:", of("nr_zone_active_file"));
    kbytes(" inactive_file:", of("nr_zone_inactive_file"));
    kbytes(" unevictable:", of("nr_zone_unevictable"));
    kbytes(" writepending:", of("nr_zone_write_pending"));
    kbytes(" present:", zone.present);
    kbytes(" managed:", zone.managed);
    kbytes(" mlocked:", of("nr_mlock"));
    kbytes(" bounce:", of("nr_bounce"));
    kbytes(" free_pcp:", pcp_pages(zone));
    kbytes(" local_pcp:", machine_.pageset(zone.id, request_.cpu).count);
    kbytes(" free_cma:", of("nr_free_cma"));
    out_.text("\nlowmem_reserve[]:");
    for (std::size_t i = 0; i < machine_.zone_types.size(); ++i)
      pages(" ", zone.lowmem_reserve[i]);
    out_.text("\n");
  }

  void write_free_area(const ZoneState& zone) {
    constexpr std::string_view kLetters = "UMEHCI";
    static_assert(kLetters.size() == kMigratetypes);
    write_zone_label(zone);
    out_.text(": ");
    std::int64_t total = 0;
    for (unsigned order = 0; order < kOrders; ++order) {
      const std::int64_t block = kKbytesPerPage << order;
      const std::int64_t blocks = zone.nr_free[order];
      total += blocks * block;
      out_.number(blocks).text("*").number(block).text("kB ");
      if (blocks == 0)
        continue;
      out_.text("(");
      for (unsigned type = 0; type < kMigratetypes; ++type)
        if (zone.lists[order][type].blocks != 0)
          out_.text(kLetters.substr(type, 1));
      out_.text(") ");
    }
    out_.text("= ").number(total).text("kB\n");
  }

  void write_rest() {
    for (const HugePagePool& pool : request_.huge_pages) {
      if (!request_.nodes.has(pool.node))
        continue;
      out_.text("Node ").unsigned_number(pool.node.raw());
      out_.text(" hugepages_total=").unsigned_number(pool.total);
      out_.text(" hugepages_free=").unsigned_number(pool.free);
      out_.text(" hugepages_surp=").unsigned_number(pool.surplus);
      out_.text(" hugepages_size=").unsigned_number(pool.size_kbytes).text("kB\n");
    }
    std::int64_t present = 0;
    std::int64_t highmem = 0;
    std::int64_t reserved = 0;
    for (const ZoneState& zone : machine_.zones) {
      present += zone.present;
      reserved += zone.present - zone.managed;
      highmem += zone.is_highmem ? zone.present : 0;
    }
    out_.number(of_nodes("nr_file_pages")).text(" total pagecache pages\n");
    out_.number(of_nodes("nr_swapcached")).text(" pages in swap cache\n");
    out_.text("Free swap  = ").unsigned_number(request_.free_swap_kbytes).text("kB\n");
    out_.text("Total swap = ").unsigned_number(request_.total_swap_kbytes).text("kB\n");
    out_.number(present).text(" pages RAM\n");
    out_.number(highmem).text(" pages HighMem/MovableOnly\n");
    out_.number(reserved).text(" pages reserved\n");
    if (machine_.env.rules->has_cma)
      out_.text("0 pages cma reserved\n");
  }

  const ProcSource& source_;
  const MachineView& machine_;
  const MemInfoRequest& request_;
  TextWriter out_;
};

}  // namespace

NodeMask listed_nodes(Gfp gfp, const Task& task, const std::optional<NodeMask>& nodemask) {
  const bool frees_memory = task.memalloc || task.oom_victim || task.exiting;
  if (task.in_interrupt || !gfp.has(gfp::kDirectReclaim) || (frees_memory && !gfp.has(gfp::kNoMemalloc)))
    return NodeMask::all();
  return nodemask ? *nodemask : task.mems_allowed;
}

void write_mem_info(const ProcSource& source, const MemInfoRequest& request, TextSink& sink) {
  MemInfoWriter{source, request, sink}.write();
}

}  // namespace mmbox
