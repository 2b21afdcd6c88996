// Standard containers whose memory is an arena on huge pages.
#include <cstdio>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <vector>

#include "mmbox/arena/memory_resource.h"

int main() {
  mmbox::ArenaOptions options;
  options.bytes = std::size_t{256} << 20;
  options.backing = mmbox::Backing::HugeTlb;  // or transparent huge pages, or what there is
  mmbox::Arena arena{options};
  mmbox::ArenaResource pages{arena};
  std::size_t found = 0;
  {
    // Large pieces come from the arena itself, small ones from a pool before it.
    std::pmr::vector<std::uint64_t> numbers{&pages};
    for (std::uint64_t i = 0; i < 4'000'000; ++i)
      numbers.push_back(i * i);

    std::pmr::synchronized_pool_resource pool{&pages};
    std::pmr::unordered_map<std::uint64_t, std::pmr::string> names{&pool};
    for (std::uint64_t i = 0; i < 100'000; ++i)
      names.emplace(numbers[i], "the square of " + std::to_string(i));
    for (std::uint64_t i = 0; i < 100'000; i += 1000)
      found += names.at(i * i).ends_with(std::to_string(i)) ? 1 : 0;
    std::printf("%zu numbers and %zu names in %llu pages\n", numbers.size(), names.size(),
                static_cast<unsigned long long>(arena.stats().used));
  }
  arena.drain();
  std::printf("%zu of 100 names found; %llu pages in use at the end\n", found,
              static_cast<unsigned long long>(arena.stats().used));
  if (!arena.mapping().notes().empty())
    std::fprintf(stderr, "note: %s\n", arena.mapping().notes().c_str());
  return found == 100 && arena.stats().used == 0 ? 0 : 1;
}
