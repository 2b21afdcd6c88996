#include "mmbox/lab/snapshot/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mmbox/lab/snapshot/pairs.h"
#include "mmbox/lab/snapshot/words.h"

namespace mmbox::lab {
namespace {

namespace lines = pairs;  // a member of Comparer has the other name

constexpr const char* kNothing = "nothing";

std::string to_text(const std::string& value) {
  return value;
}
template <std::integral T>
std::string to_text(T value) {
  return std::to_string(value);
}
std::string to_text(Migratetype type) {
  return std::string{migratetype_name(type)};
}
std::string to_text(Pfn pfn) {
  std::string text;
  words::append(text, pfn.raw(), 16);
  return text;
}
std::string to_text(const PcpPage& page) {
  return to_text(page.pfn) + " (" + std::string{migratetype_name(page.cached_type)} + ")";
}
std::string to_text(const SnapshotZoneRef& ref) {
  return std::to_string(ref.node.raw()) + "/" + std::string{zone_type_name(ref.type)};
}
std::string to_text(const PfnRange& range) {
  return fmt::format("[{:x}, {:x})", range.begin.raw(), range.end.raw());
}

/// What tells two entries of a list apart when their order does not matter.
Pfn identity(Pfn pfn) {
  return pfn;
}
Pfn identity(const PcpPage& page) {
  return page.pfn;
}

class Comparer {
 public:
  explicit Comparer(const CompareOptions& options) : options_(options) {}
  Comparison result;

  void snapshots(const Snapshot& expected, const Snapshot& actual) {
    if (options_.header) {
      fact("label", expected.label, actual.label);
      pairs("SNAP: ", expected.info, actual.info);
    }
    if (options_.layout) {
      matched(
          expected.symbols, actual.symbols, [](const SnapshotSymbol& symbol) { return symbol.name; },
          [](const SnapshotSymbol& symbol) { return "SYM " + symbol.name; },
          [this](const std::string& where, const SnapshotSymbol& a, const SnapshotSymbol& b) {
            fact(where, a.value, b.value);
          });
      matched(
          expected.cpus, actual.cpus, [](const SnapshotCpu& cpu) { return cpu.cpu; },
          [](const SnapshotCpu& cpu) { return "CPU " + std::to_string(cpu.cpu.raw()); },
          [this](const std::string& where, const SnapshotCpu& a, const SnapshotCpu& b) {
            fact(where + ": node", a.node.raw(), b.node.raw());
            fact(where + ": nearest node with memory", a.memory_node.raw(), b.memory_node.raw());
          });
    }
    matched(
        expected.nodes, actual.nodes, [](const SnapshotNode& node) { return node.id; },
        [](const SnapshotNode& node) { return "Node " + std::to_string(node.id.raw()); },
        [this](const std::string& where, const SnapshotNode& a, const SnapshotNode& b) { nodes(where, a, b); });
    matched(
        expected.zones, actual.zones,
        [](const SnapshotZone& zone) {
          return std::pair{zone.node, zone.index};
        },
        [](const SnapshotZone& zone) { return zone.name(); },
        [this](const std::string& where, const SnapshotZone& a, const SnapshotZone& b) { zones(where, a, b); });
    if (options_.header)
      pairs("ENDSNAP: ", expected.end_info, actual.end_info);
  }

 private:
  void nodes(const std::string& where, const SnapshotNode& expected, const SnapshotNode& actual) {
    if (options_.layout) {
      fields(where + ": ", expected, actual, [](const auto& node, auto& on) { lines::node_fields(node, on); });
      pairs(where + ": ", expected.more, actual.more);
    }
    if (options_.daemons) {
      fields(where + ": ", expected, actual, [](const auto& node, auto& on) { lines::nk_fields(node, on); });
      pairs(where + ": ", expected.more_daemons, actual.more_daemons);
    }
    if (options_.layout) {
      matched(
          expected.distances, actual.distances, [](const auto& entry) { return entry.first; },
          [&where](const auto& entry) { return where + ": distance to node " + std::to_string(entry.first.raw()); },
          [this](const std::string& what, const auto& a, const auto& b) { fact(what, a.second, b.second); });
    }
    if (options_.node_counters)
      numbers(where + ": vm_stat", expected.vm_stat, actual.vm_stat);
    if (options_.layout) {
      list(where + ": zonelist", expected.zonelists[0], actual.zonelists[0], std::string{});
      list(where + ": __GFP_THISNODE zonelist", expected.zonelists[1], actual.zonelists[1], std::string{});
    }
  }

  void zones(const std::string& where, const SnapshotZone& expected, const SnapshotZone& actual) {
    if (options_.layout) {
      fields(where + ": ", expected, actual, [](const auto& zone, auto& on) { lines::zone_fields(zone, on); });
      pairs(where + ": ", expected.more, actual.more);
      fact(where + ": name", std::string{zone_type_name(expected.type)}, std::string{zone_type_name(actual.type)});
    }
    if (options_.watermarks) {
      fields(where + ": ", expected, actual, [](const auto& zone, auto& on) { lines::zw_fields(zone, on); });
      pairs(where + ": ", expected.more_watermarks, actual.more_watermarks);
      numbers(where + ": lowmem_reserve", expected.lowmem_reserve, actual.lowmem_reserve);
    }
    if (options_.compaction) {
      fields(where + ": compaction ", expected, actual, [](const auto& zone, auto& on) { lines::zc_fields(zone, on); });
      pairs(where + ": compaction ", expected.more_compaction, actual.more_compaction);
    }
    if (options_.zone_counters)
      numbers(where + ": vm_stat", expected.vm_stat, actual.vm_stat);
    if (options_.cpu_counters || options_.pcp) {
      matched(
          expected.cpus, actual.cpus, [](const SnapshotZoneCpu& cpu) { return cpu.cpu; },
          [&where](const SnapshotZoneCpu& cpu) { return where + ", CPU " + std::to_string(cpu.cpu.raw()); },
          [this](const std::string& what, const SnapshotZoneCpu& a, const SnapshotZoneCpu& b) {
            zone_cpus(what, a, b);
          });
    }
    if (options_.free_lists)
      free_areas(where, expected, actual);
    pageblocks(where, expected, actual);
  }

  void zone_cpus(const std::string& where, const SnapshotZoneCpu& expected, const SnapshotZoneCpu& actual) {
    if (options_.cpu_counters) {
      fact(where + ": stat threshold", expected.stat_threshold, actual.stat_threshold);
      numbers(where + ": vm_stat_diff", expected.vm_stat_diff, actual.vm_stat_diff);
    }
    if (!options_.pcp)
      return;
    fields(where + ": pcp ", expected, actual, [](const auto& cpu, auto& on) { lines::pcp_fields(cpu, on); });
    pairs(where + ": pcp ", expected.more, actual.more);
    for (unsigned index = 0; index < kPcpLists; ++index) {
      const std::string what = where + ": per-cpu list " + std::to_string(index) + " (order " +
                               std::to_string(pcp_index_order(index).raw()) + ", " +
                               std::string{migratetype_name(pcp_index_type(index))} + ")";
      if (options_.cached_types) {
        list(what, expected.lists[index], actual.lists[index],
             note_on_order(expected.lists[index], actual.lists[index]));
      } else {
        const std::vector<Pfn> a = pfns(expected.lists[index]);
        const std::vector<Pfn> b = pfns(actual.lists[index]);
        list(what, a, b, note_on_order(a, b));
      }
    }
  }

  void free_areas(const std::string& where, const SnapshotZone& expected, const SnapshotZone& actual) {
    for (unsigned order = 0; order < kOrders; ++order) {
      const std::string of_order = "order " + std::to_string(order);
      for (unsigned type = 0; type < kMigratetypes; ++type) {
        const std::vector<Pfn>& a = expected.free_areas[order].lists[type];
        const std::vector<Pfn>& b = actual.free_areas[order].lists[type];
        list(fmt::format("{}: free list of {}, {}", where, of_order, migratetype_name(static_cast<Migratetype>(type))),
             a, b, note_on_order(a, b));
      }
      fact(fmt::format("{}: nr_free of {}", where, of_order), expected.free_areas[order].free_blocks,
           actual.free_areas[order].free_blocks);
    }
  }

  void pageblocks(const std::string& where, const SnapshotZone& expected, const SnapshotZone& actual) {
    if (options_.pageblock_types || options_.pageblock_skip || options_.pageblock_counts) {
      matched(
          expected.pageblocks, actual.pageblocks, [](const SnapshotPageblock& block) { return block.start; },
          [&where](const SnapshotPageblock& block) { return where + ": pageblock " + to_text(block.start); },
          [this](const std::string& what, const SnapshotPageblock& a, const SnapshotPageblock& b) {
            if (options_.pageblock_types)
              fact(what, a.type, b.type);
            if (options_.pageblock_skip)
              fact(what + ": skip", a.skip, b.skip);
            if (options_.pageblock_counts) {
              fact(what + ": free pages", a.buddy_pages, b.buddy_pages);
              fact(what + ": movable pages", a.movable_pages, b.movable_pages);
              fact(what + ": reserved pages", a.reserved_pages, b.reserved_pages);
              fact(what + ": pages of another zone", a.other_zone_pages, b.other_zone_pages);
            }
          });
    }
    if (options_.layout)
      list(where + ": holes", expected.holes, actual.holes, std::string{});
  }

  void add(Difference difference) {
    ++result.found;
    if (result.differences.size() < options_.differences_max)
      result.differences.push_back(std::move(difference));
  }

  template <class T>
  void fact(const std::string& where, const T& expected, const T& actual) {
    ++result.counters;
    if (expected != actual)
      add({where, to_text(expected), to_text(actual), {}});
  }

  /// Calls `both` for each pair of entries with equal `key`, and tells those that only one side has.
  template <class T, class Key, class Name, class Both>
  void matched(const std::vector<T>& expected, const std::vector<T>& actual, Key key, Name name, Both both) {
    std::vector<bool> is_matched(actual.size(), false);
    const auto less = [&](const T& a, const T& b) { return key(a) < key(b); };
    const bool ascends = std::is_sorted(actual.begin(), actual.end(), less);
    std::size_t next = 0;
    for (const T& one : expected) {
      const auto is_it = [&](const T& other) { return key(other) == key(one); };
      // The order is the same on both sides, so it is the next one unless something is missing.
      if (next == actual.size() || !is_it(actual[next])) {
        const auto found = ascends ? std::lower_bound(actual.begin(), actual.end(), one, less)
                                   : std::find_if(actual.begin(), actual.end(), is_it);
        if (found == actual.end() || !is_it(*found)) {
          ++result.counters;
          add({name(one), "to be there", kNothing, {}});
          continue;
        }
        next = static_cast<std::size_t>(found - actual.begin());
      }
      is_matched[next] = true;
      both(name(one), one, actual[next]);
      ++next;
    }
    for (std::size_t i = 0; i < actual.size(); ++i) {
      if (!is_matched[i])
        add({name(actual[i]), kNothing, "it is there", {}});
    }
  }

  template <class Struct, class Describe>
  void fields(const std::string& where, const Struct& expected, const Struct& actual, Describe describe) {
    lines::Lister a;
    lines::Lister b;
    describe(expected, a);
    describe(actual, b);
    pairs(where, a.pairs, b.pairs);
  }

  void pairs(const std::string& where, const KeyValues& expected, const KeyValues& actual) {
    matched(
        expected, actual, [](const KeyValue& pair) { return pair.key; },
        [&where](const KeyValue& pair) { return where + pair.key; },
        [this](const std::string& what, const KeyValue& a, const KeyValue& b) { fact(what, a.value, b.value); });
  }

  template <class T>
  void numbers(const std::string& where, const std::vector<T>& expected, const std::vector<T>& actual) {
    if (expected.size() != actual.size())
      add({where + ", number of items", std::to_string(expected.size()), std::to_string(actual.size()), {}});
    for (std::size_t i = 0; i < std::min(expected.size(), actual.size()); ++i) {
      ++result.counters;
      if (expected[i] != actual[i])
        add({where + "[" + std::to_string(i) + "]", to_text(expected[i]), to_text(actual[i]), {}});
    }
  }

  template <class T>
  void list(const std::string& where, const std::vector<T>& expected, const std::vector<T>& actual, std::string note) {
    ++result.lists;
    result.entries += expected.size();
    if (expected == actual)
      return;
    const auto [a, b] = std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end());
    const auto position = static_cast<std::size_t>(a - expected.begin());
    add({where + ", position " + std::to_string(position) + " of " + std::to_string(expected.size()),
         a == expected.end() ? "end of the list" : to_text(*a), b == actual.end() ? "end of the list" : to_text(*b),
         std::move(note)});
  }

  template <class T>
  static std::string note_on_order(const std::vector<T>& expected, const std::vector<T>& actual) {
    if (expected == actual)
      return {};
    std::vector<Pfn> a = pfns(expected);
    std::vector<Pfn> b = pfns(actual);
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    if (a == b)
      return "the same entries in another order or with other types";
    std::vector<Pfn> missing;
    std::vector<Pfn> foreign;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(missing));
    std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(foreign));
    return std::to_string(missing.size()) + " expected entries are missing, " + std::to_string(foreign.size()) +
           " are there unexpectedly";
  }
  template <class T>
  static std::vector<Pfn> pfns(const std::vector<T>& entries) {
    std::vector<Pfn> result;
    result.reserve(entries.size());
    for (const T& entry : entries)
      result.push_back(identity(entry));
    return result;
  }

  const CompareOptions& options_;
};

}  // namespace

std::string Difference::text() const {
  return where + ": expected " + expected + ", got " + actual + (note.empty() ? "" : " (" + note + ")");
}

Comparison compare(const Snapshot& expected, const Snapshot& actual, const CompareOptions& options) {
  Comparer comparer(options);
  comparer.snapshots(expected, actual);
  return std::move(comparer.result);
}

}  // namespace mmbox::lab
