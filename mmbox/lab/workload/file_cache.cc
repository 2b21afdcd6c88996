#include "mmbox/lab/workload/file_cache.h"

#include <algorithm>
#include <utility>

namespace mmbox::lab {
namespace {

/// vm.dirty_expire_centisecs.
constexpr std::uint64_t kExpireNs = 30'000'000'000;
/// What is kept of the age in `evicted_at_`.
constexpr std::uint32_t kAgeMask = 0x7fff'ffff;

}  // namespace

FileCache::FileCache(Machine& machine, Population& pages, std::uint64_t size)
    : machine_(machine), pages_(pages), owner_(pages.add_owner_of_slots("files", size)), evicted_at_(size) {}

bool FileCache::use(std::uint32_t place, FileAccess access, std::uint64_t now_ns) {
  const Pfn pfn = pages_.owner(owner_).pages[place];
  if (pfn == kNoPfn)
    return false;
  PopulationPage& page = pages_.page(pfn);
  // Source: mark_page_accessed().
  if (!page.is_referenced) {
    page.is_referenced = true;
  } else if (!page.is_active) {
    pages_.set_active(pfn, true);
    page.is_referenced = false;
    ++age_;
    count_event(machine_.view().events->pgactivate);
  }
  if (access == FileAccess::Write)
    make_dirty(pfn, place, now_ns);
  return true;
}

void FileCache::add(Pfn pfn, std::uint32_t place, FileAccess access, std::uint64_t now_ns) {
  PopulationPage page;
  page.use = PageUse::File;
  page.owner = owner_;
  page.slot = place;
  page.is_referenced = true;
  if (const std::uint32_t shadow = std::exchange(evicted_at_[place], 0); shadow != 0) {
    ++counters_.workingset_refault_file;
    const MachineView& view = machine_.view();
    const NodeState& node = view.nodes[view.zone_of(view.env.map.index(pfn)).node.raw()];
    std::int64_t room = node.pages.active_file;
    if (pages_.free_swap() > PageCount{})
      room += node.pages.active_anon + node.pages.inactive_anon;
    if (((age_ - (shadow >> 1)) & kAgeMask) <= static_cast<std::uint64_t>(std::max<std::int64_t>(room, 0))) {
      page.is_active = true;
      ++age_;
      ++counters_.workingset_activate_file;
      if ((shadow & 1U) != 0) {
        page.is_working_set = true;
        ++counters_.workingset_restore_file;
        pages_.lru().refaulted(node.id, LruType::File, Refault::Activated);
      }
    }
  }
  pages_.put(pfn, page);
  if (access == FileAccess::Write)
    make_dirty(pfn, place, now_ns);
}

Pfn FileCache::remove(std::uint32_t place) {
  const Pfn pfn = pages_.owner(owner_).pages[place];
  if (pfn != kNoPfn && !pages_.page(pfn).is_isolated) {
    pages_.forget(pfn);
    return pfn;
  }
  return kNoPfn;
}

void FileCache::evicted(const PopulationPage& page) {
  evicted_at_[page.slot] = (age_ & kAgeMask) << 1 | (page.is_working_set ? 1U : 0U);
  ++age_;
}

void FileCache::make_dirty(Pfn pfn, std::uint32_t place, std::uint64_t now_ns) {
  if (pages_.page(pfn).is_dirty)
    return;
  pages_.set_dirty(pfn);
  unwritten_.push_back({place, now_ns});
  ++counters_.nr_dirtied;
}

std::uint64_t FileCache::dirty_pages() const {
  std::int64_t pages = 0;
  for (const NodeState& node : machine_.view().nodes)
    pages += node.pages.file_dirty;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(pages, 0));
}

std::uint64_t FileCache::file_pages_on_lists() const {
  std::int64_t pages = 0;
  for (const NodeState& node : machine_.view().nodes)
    pages += node.pages.inactive_file + node.pages.active_file;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(pages, 0));
}

std::uint64_t FileCache::dirty_limit() const {
  const Tunables& tunables = machine_.tunables();
  if (tunables.dirty_bytes != 0)
    return (tunables.dirty_bytes + kPageSize - 1) / kPageSize;
  std::int64_t free = 0;
  std::int64_t reserve = 0;
  for (const ZoneState& zone : machine_.view().zones)
    free += zone.stat[static_cast<std::size_t>(ZoneStat::FreePages)];
  for (const NodeState& node : machine_.view().nodes)
    reserve += node.totalreserve_pages;
  const auto usable = static_cast<std::uint64_t>(std::max<std::int64_t>(free - reserve, 0));
  return (usable + file_pages_on_lists() + 1) * tunables.dirty_ratio / 100;
}

bool FileCache::is_over_limit() const {
  std::int64_t writeback = 0;
  for (const NodeState& node : machine_.view().nodes)
    writeback += node.pages.writeback;
  return dirty_pages() + static_cast<std::uint64_t>(std::max<std::int64_t>(writeback, 0)) > dirty_limit();
}

void FileCache::flush(std::uint64_t now_ns, PageCount most) {
  std::uint64_t dirty = dirty_pages();
  const std::uint64_t background = background_limit();
  const bool was_woken = std::exchange(flushers_woken_, false);
  for (std::uint64_t left = most.raw(); left > 0 && !unwritten_.empty();) {
    const Written next = unwritten_.front();
    if (!was_woken && dirty <= background && now_ns - next.since_ns < kExpireNs)
      break;
    unwritten_.pop_front();
    const Pfn pfn = pages_.owner(owner_).pages[next.place];
    if (pfn == kNoPfn || !pages_.page(pfn).is_dirty)
      continue;
    pages_.begin_writeback(pfn);
    ++counters_.nr_written;
    --dirty;
    --left;
  }
}

}  // namespace mmbox::lab
