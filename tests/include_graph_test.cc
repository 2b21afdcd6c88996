// Who may include whom, as a table, and the test that holds the tree to it.
//
// The order of the table is the order of the layers, lowest first; docs/design.md says why it is that order.
#include <fmt/format.h>
#include <fnmatch.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace mmbox {
namespace {

/// The text of each file, by its path from the root of the tree ("mmbox/core/base/units.h").
using SourceTree = std::map<std::string, std::string>;

/// A folder, and what its files may include of the project besides the folder itself (shell patterns; * crosses /).
struct Layer {
  std::string folder;
  std::vector<std::string> may_include;
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> kLayers = [] {
    std::vector<Layer> table;
    // Within core each folder sees all folders below it.
    std::vector<std::string> below;
    for (const std::string name : {"base", "topology", "buddy", "pcp", "alloc"}) {
      table.push_back({"mmbox/core/" + name, below});
      below.push_back("mmbox/core/" + name + "/*");
    }
    // Two implementations of interfaces that alloc/ declares: strangers to each other.
    table.push_back({"mmbox/core/reclaim", below});
    table.push_back({"mmbox/core/compaction", below});
    below.insert(below.end(), {"mmbox/core/reclaim/*", "mmbox/core/compaction/*"});
    table.push_back({"mmbox/core/observe", below});
    below.emplace_back("mmbox/core/observe/*");
    table.push_back({"mmbox/core/machine", below});
    // Applications enter core by the front door; base is the vocabulary that all share.
    const std::vector<std::string> front_door = {"mmbox/mmbox.h", "mmbox/core/base/*"};
    table.push_back({"mmbox/lab", front_door});
    // The arena brings a locking policy, and compiles the machine for it.
    std::vector<std::string> arena = front_door;
    arena.emplace_back("mmbox/core/machine/machine_impl.h");
    table.push_back({"mmbox/arena", arena});
    // Plain data in, HTML out: the report sees what the lab found, not how.
    table.push_back({"mmbox/report", {"mmbox/core/base/*", "mmbox/lab/*result.h"}});
    std::vector<std::string> all_applications = front_door;
    all_applications.insert(all_applications.end(), {"mmbox/lab/*", "mmbox/arena/*", "mmbox/report/*"});
    table.push_back({"mmbox/cli", all_applications});
    // The front door itself.
    table.push_back({"mmbox", {"mmbox/core/*"}});
    return table;
  }();
  return kLayers;
}

/// Headers of the standard library that core may use: none of them needs a heap, an operating system or a runtime.
constexpr std::string_view kCoreHeaders[] = {
    "array",  "bit", "compare",  "concepts", "cstddef",     "cstdint",     "initializer_list",
    "limits", "new", "optional", "span",     "string_view", "type_traits", "utility"};

bool matches(const std::string& path, const std::string& pattern) {
  return fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
}

/// The layer whose folder is the longest one above `path`; nullptr if the table has none.
const Layer* layer_of(const std::string& path) {
  const Layer* found = nullptr;
  for (const Layer& layer : layers()) {
    const bool is_inside = path.starts_with(layer.folder + "/");
    // "mmbox" means the files right in it: a new folder has to be entered in the table.
    const bool is_direct = layer.folder != "mmbox" || path.find('/', layer.folder.size() + 1) == std::string::npos;
    if (is_inside && is_direct && (found == nullptr || layer.folder.size() > found->folder.size()))
      found = &layer;
  }
  return found;
}

bool is_test(const std::string& path) {
  return matches(path, "*_test.cc") || matches(path, "*_fuzz.cc");
}

struct Include {
  std::size_t line;
  bool is_quoted;
  std::string name;
};

std::vector<Include> includes_of(const std::string& text) {
  std::vector<Include> found;
  std::istringstream lines{text};
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    std::string_view rest = line;
    const auto skip_blanks = [&rest] { rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size())); };
    skip_blanks();
    if (!rest.starts_with('#'))
      continue;
    rest.remove_prefix(1);
    skip_blanks();
    if (!rest.starts_with("include"))
      continue;
    rest.remove_prefix(std::string_view{"include"}.size());
    skip_blanks();
    if (rest.empty())
      continue;
    const bool is_quoted = rest.front() == '"';
    const std::size_t end = rest.find(is_quoted ? '"' : '>', 1);
    if (end != std::string_view::npos)
      found.push_back({number, is_quoted, std::string{rest.substr(1, end - 1)}});
  }
  return found;
}

/// What is wrong with one include, or "" if nothing is.
std::string judge(const SourceTree& tree, const std::string& path, const Layer& layer, const Include& include) {
  if (!include.is_quoted) {
    if (include.name.starts_with("mmbox/"))
      return "is the project's own: write it in quotes";
    const bool is_allowed =
        std::find(std::begin(kCoreHeaders), std::end(kCoreHeaders), include.name) != std::end(kCoreHeaders);
    if (path.starts_with("mmbox/core/") && !is_test(path) && !is_allowed)
      return "is not among the headers that core may use";
    return "";
  }
  if (!tree.contains(include.name))
    return "is not in the tree: name it from the root, as in \"mmbox/core/base/units.h\"";
  if (include.name.starts_with("tests/"))
    return is_test(path) ? "" : "belongs to the tests";
  if (layer_of(include.name) == &layer)
    return "";
  for (const std::string& pattern : layer.may_include) {
    if (matches(include.name, pattern))
      return "";
  }
  return "is above or beside " + layer.folder;
}

/// Follows the includes from `path`; appends the first way that leads back to a file on it.
void find_cycle(const SourceTree& tree, const std::string& path, std::vector<std::string>& way,
                std::set<std::string>& done, std::vector<std::string>& violations) {
  const auto again = std::find(way.begin(), way.end(), path);
  if (again != way.end()) {
    std::string text = "cycle: ";
    for (auto step = again; step != way.end(); ++step)
      text += *step + " -> ";
    violations.push_back(text + path);
    return;
  }
  const auto file = tree.find(path);
  if (file == tree.end() || done.contains(path))
    return;
  way.push_back(path);
  for (const Include& include : includes_of(file->second)) {
    if (include.is_quoted)
      find_cycle(tree, include.name, way, done, violations);
  }
  way.pop_back();
  done.insert(path);
}

/// One sentence for each include of `tree` that breaks a rule, with file and line; empty if it keeps to them.
std::vector<std::string> include_violations(const SourceTree& tree) {
  std::vector<std::string> violations;
  std::vector<std::string> way;
  std::set<std::string> done;
  for (const auto& [path, text] : tree) {
    find_cycle(tree, path, way, done, violations);
    if (!path.starts_with("mmbox/"))
      continue;
    const Layer* layer = layer_of(path);
    if (layer == nullptr) {
      violations.push_back(path + ": its folder is in no layer; enter it in tests/include_graph_test.cc");
      continue;
    }
    for (const Include& include : includes_of(text)) {
      const std::string wrong = judge(tree, path, *layer, include);
      if (!wrong.empty())
        violations.push_back(fmt::format("{}:{}: {} {}", path, include.line, include.name, wrong));
    }
  }
  return violations;
}

/// Every source below mmbox/ and tests/.
SourceTree read_tree(const std::filesystem::path& root) {
  SourceTree tree;
  for (const char* top : {"mmbox", "tests"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator{root / top}) {
      const std::string extension = entry.path().extension().string();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cc" && extension != ".c"))
        continue;
      std::ifstream file{entry.path(), std::ios::binary};
      tree[entry.path().lexically_relative(root).generic_string()] =
          std::string{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
    }
  }
  return tree;
}

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(IncludeGraph, TheTreeKeepsToItsLayers) {
  const SourceTree tree = read_tree(MMBOX_SOURCE_DIR);
  EXPECT_TRUE(tree.contains("mmbox/core/base/units.h")) << "the tree was not found";
  EXPECT_THAT(include_violations(tree), IsEmpty());
}

TEST(IncludeGraph, AFolderSeesItselfAndFoldersBelow) {
  EXPECT_THAT(include_violations({{"mmbox/core/base/units.h", "#include <cstdint>\n"},
                                  {"mmbox/core/buddy/areas.h", "#include \"mmbox/core/base/units.h\"\n"},
                                  {"mmbox/core/buddy/areas.cc", "#include \"mmbox/core/buddy/areas.h\"\n"}}),
              IsEmpty());
}

TEST(IncludeGraph, ALowerLayerMayNotIncludeAHigherOne) {
  const SourceTree tree = {{"mmbox/core/pcp/lists.h", "// per-cpu lists\n"},
                           {"mmbox/core/buddy/areas.h", "#pragma once\n#include \"mmbox/core/pcp/lists.h\"\n"}};
  EXPECT_THAT(include_violations(tree), ElementsAre(HasSubstr("mmbox/core/buddy/areas.h:2: mmbox/core/pcp/lists.h")));
}

/// Two files, of which the first includes the second.
SourceTree pair_of(const std::string& from, const std::string& to) {
  return {{from, "#include \"" + to + "\"\n"}, {to, ""}};
}

TEST(IncludeGraph, StrangersMayNotIncludeEachOther) {
  const std::pair<const char*, const char*> strangers[] = {
      {"mmbox/core/reclaim/a.h", "mmbox/core/compaction/b.h"},
      {"mmbox/core/compaction/a.h", "mmbox/core/reclaim/b.h"},
      {"mmbox/lab/a.h", "mmbox/arena/b.h"},
      {"mmbox/arena/a.h", "mmbox/lab/b.h"},
      {"mmbox/lab/a.h", "mmbox/core/machine/machine.h"},
      {"mmbox/report/a.h", "mmbox/lab/replay/replayer.h"},
      {"mmbox/lab/a.h", "mmbox/cli/b.h"},
      {"mmbox/core/machine/a.h", "mmbox/mmbox.h"},
  };
  for (const auto& [from, to] : strangers)
    EXPECT_THAT(include_violations(pair_of(from, to)), ElementsAre(HasSubstr(to))) << from;
}

TEST(IncludeGraph, ApplicationsEnterCoreByTheFrontDoor) {
  const std::pair<const char*, const char*> friends[] = {
      {"mmbox/lab/replay/a.h", "mmbox/mmbox.h"},
      {"mmbox/lab/replay/a.h", "mmbox/core/base/units.h"},
      {"mmbox/mmbox.h", "mmbox/core/machine/machine.h"},
      {"mmbox/cli/a.cc", "mmbox/lab/replay/b.h"},
      {"mmbox/report/a.h", "mmbox/lab/replay/replay_result.h"},
  };
  for (const auto& [from, to] : friends)
    EXPECT_THAT(include_violations(pair_of(from, to)), IsEmpty()) << from << " includes " << to;
}

TEST(IncludeGraph, CoreMayNotUseHeadersThatNeedAHeapOrAnOperatingSystem) {
  for (const char* header : {"iostream", "vector", "string", "memory", "mutex", "chrono", "unistd.h"}) {
    const std::string text = std::string{"#include <"} + header + ">\n";
    EXPECT_THAT(include_violations({{"mmbox/core/base/a.h", text}}), ElementsAre(HasSubstr(header)));
    EXPECT_THAT(include_violations({{"mmbox/core/base/a_test.cc", text}}), IsEmpty());
    EXPECT_THAT(include_violations({{"mmbox/lab/a.h", text}}), IsEmpty());
  }
}

TEST(IncludeGraph, ACycleWithinAFolderIsFoundOnce) {
  EXPECT_THAT(include_violations({{"mmbox/core/base/a.h", "#include \"mmbox/core/base/b.h\"\n"},
                                  {"mmbox/core/base/b.h", "#include \"mmbox/core/base/a.h\"\n"}}),
              ElementsAre("cycle: mmbox/core/base/a.h -> mmbox/core/base/b.h -> mmbox/core/base/a.h"));
}

TEST(IncludeGraph, AFolderThatNoLayerNamesIsFound) {
  EXPECT_THAT(include_violations({{"mmbox/utils/a.h", ""}}), ElementsAre(HasSubstr("in no layer")));
  EXPECT_THAT(include_violations({{"mmbox/core/utils/a.h", ""}}), ElementsAre(HasSubstr("in no layer")));
}

TEST(IncludeGraph, IncludesAreNamedFromTheRootAndInQuotes) {
  const SourceTree tree = {{"mmbox/core/base/a.h", ""},
                           {"mmbox/core/base/b.h", "#include \"a.h\"\n  #  include <mmbox/core/base/a.h>\n"}};
  EXPECT_THAT(include_violations(tree), ElementsAre(HasSubstr("b.h:1: a.h is not in the tree"),
                                                    HasSubstr("b.h:2: mmbox/core/base/a.h is the project's own")));
}

TEST(IncludeGraph, OnlyTestsIncludeHeadersOfTheTests) {
  EXPECT_THAT(include_violations(pair_of("mmbox/core/base/a_test.cc", "tests/effort.h")), IsEmpty());
  EXPECT_THAT(include_violations(pair_of("mmbox/core/base/a.cc", "tests/effort.h")),
              ElementsAre(HasSubstr("belongs to the tests")));
}

}  // namespace
}  // namespace mmbox
