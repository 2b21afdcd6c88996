// Random operation sequences: the engine against the naive model, everything compared after each operation.
#include <gtest/gtest.h>

#include "tests/effort.h"
#include "tests/model/pair.h"

namespace mmbox::test {
namespace {

/// Masks that random requests use: every composite of the kernel, and the modifiers that change the path.
std::uint32_t draw_gfp(Random& random, const NaiveRules& rules) {
  static const std::vector<std::uint32_t> kBases{0x800,    0xa20,    0xcc0,    0xcc0,    0xcd0, 0x100cca,
                                                 0x100cca, 0x100cc2, 0xcc1,    0xcc4,    0xc00, 0xc40,
                                                 0x820,    0xa28,    0x1c20ca, 0x1c24ca, 0,     0x828};
  static const std::vector<std::uint32_t> kModifiers{0x20,    0x1000,   0x4000, 0x10000, 0x20000, 0x40000,
                                                     0x80000, 0x200000, 0x200,  0x8,     0x212000};
  std::uint32_t gfp = random.pick(kBases);
  while (random.chance(3))
    gfp |= random.pick(kModifiers);
  if (rules.takes_cold_requests && random.chance(4))
    gfp |= naive_gfp::kCold;
  if ((gfp & 0x18) == 0x18)
    gfp &= ~0x10U;
  return gfp;
}

/// How often each kind of operation comes, drawn once for a run.
struct Weights {
  Weights(Random& random, const NaiveRules& of) : rules(of) {
    const auto rare = [&] { return random.chance(2) ? 0 : random.below(4); };
    weights = {0,          0,          rare(), rare(),     rare(),
               rare(),     rare() * 3, rare(), rare(),     rare(),
               rare() * 2, rare(),     rare(), rare(),     rare(),
               rare() * 2, rare(),     rare(), rare() * 2, rules.full_zone_cache ? rare() : 0};
    weights[0] = 40 + random.below(60);
    weights[1] = 40 + random.below(60);
    for (const std::uint64_t w : weights)
      total += w;
    orders = random.below(3);
  }
  std::array<std::uint64_t, std::variant_size_v<Op>> weights{};
  std::uint64_t total = 0;
  NaiveRules rules;
  std::uint64_t orders = 0;  ///< 0: mostly single pages, 1: per-cpu orders, 2: all
};

Op draw(Random& random, const Weights& weights, bool filling) {
  std::uint64_t at = random.below(weights.total);
  std::size_t kind = 0;
  while (at >= weights.weights[kind])
    at -= weights.weights[kind++];
  // Phases of more requests than frees and the other way round, so that both ends of memory are seen.
  if (kind < 2 && random.chance(2))
    kind = filling ? 0 : 1;
  const auto nth = static_cast<std::uint32_t>(random.below(1 << 16));
  const auto cpu = static_cast<unsigned>(random.below(2));
  switch (kind) {
    case 0: {
      unsigned order = 0;
      if (weights.orders == 1 || random.chance(4))
        order = static_cast<unsigned>(random.below(4));
      if (weights.orders == 2 || random.chance(32))
        order = static_cast<unsigned>(random.below(12));
      const int node = random.chance(4) ? static_cast<int>(random.below(2)) : -1;
      const auto mask = static_cast<unsigned>(random.chance(8) ? random.below(4) : 0);
      const auto task = static_cast<unsigned>(random.chance(8) ? random.below(32) : 0);
      return Alloc{draw_gfp(random, weights.rules), order, cpu, node, mask, task};
    }
    case 1: return Free{nth, cpu};
    case 2: return FreeButFirst{nth, cpu};
    case 3: return FreeList{nth, static_cast<unsigned>(random.below(12)), cpu};
    case 4: return Split{nth};
    case 5:
      return Exact{draw_gfp(random, weights.rules),
                   1 + static_cast<unsigned>(random.below(random.chance(8) ? 1100 : 20)), cpu};
    case 6:
      return Bulk{draw_gfp(random, weights.rules) | (random.chance(8) ? 0x400000U : 0),
                  static_cast<unsigned>(random.below(40)),
                  static_cast<unsigned>(random.chance(2) ? 0 : random.next() & random.next()), cpu};
    case 7: return DrainCpu{cpu};
    case 8: return DrainZone{nth, cpu};
    case 9: return DrainAll{};
    case 10: return Fold{cpu, !random.chance(3)};
    case 11: return KswapdSleeps{nth, random.chance(4)};
    case 12:
      return SetMarks{nth, static_cast<int>(random.below(300)), static_cast<int>(random.below(100)),
                      random.chance(2) ? 0 : static_cast<int>(random.below(600))};
    case 13: return ReclaimActive{nth, random.chance(2)};
    case 14: return Isolate{nth, random.chance(8), cpu};
    case 15: return Unisolate{nth, cpu};
    case 16: return TakeOff{nth, cpu};
    case 17: return IsolateFree{nth, cpu};
    case 18: return PutBack{nth, cpu};
    default: return SecondPasses{};
  }
}

struct Failure {
  std::size_t at;  ///< the operation after which the sides differ
  std::string what;
};

std::optional<Failure> run(const Shape& shape, const std::vector<Op>& ops) {
  Pair pair{shape};
  for (std::size_t i = 0; i < ops.size(); ++i)
    if (std::string what = pair.apply(ops[i]); !what.empty())
      return Failure{i, std::move(what)};
  return std::nullopt;
}

/// What the engine tells of the last operation of a run.
std::string last_events(const Shape& shape, const std::vector<Op>& ops) {
  Pair pair{shape};
  EventText events;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (i + 1 == ops.size())
      pair.engine()->attach(&events);
    static_cast<void>(pair.apply(ops[i]));
  }
  return fmt::format("{}", fmt::join(events.lines, "\n    "));
}

/// Leaves out operations while the run still fails.
std::vector<Op> shrink(const Shape& shape, std::vector<Op> ops) {
  for (std::size_t step = ops.size() / 2; step > 0; step /= 2) {
    for (std::size_t at = 0; at < ops.size();) {
      std::vector<Op> fewer = ops;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at),
                  fewer.begin() + static_cast<std::ptrdiff_t>(std::min(at + step, ops.size())));
      if (const auto failure = run(shape, fewer)) {
        fewer.resize(failure->at + 1);
        ops = std::move(fewer);
      } else {
        at += step;
      }
    }
  }
  return ops;
}

/// One run from one seed; returns how many operations were done, 0 after a failure.
std::uint64_t run_seed(const Generation& generation, std::uint64_t seed, std::uint64_t length) {
  Random random{seed};
  const Shape shape = draw_shape(random, generation);
  const Weights weights{random, naive_rules(generation.name)};
  Pair pair{shape};
  if (const std::string what = pair.difference(); !what.empty()) {
    ADD_FAILURE() << "seed " << seed << ": the sides differ before the first operation: " << what;
    return 0;
  }
  std::vector<Op> ops;
  bool filling = true;
  for (std::uint64_t i = 0; i < length; ++i) {
    if (random.chance(150))
      filling = !filling;
    ops.push_back(draw(random, weights, filling));
    const std::string what = pair.apply(ops.back());
    if (what.empty())
      continue;
    std::string text;
    const std::vector<Op> few = shrink(shape, ops);
    for (const Op& op : few)
      text += "    " + print(op) + ",\n";
    const auto failure = run(shape, few);
    ADD_FAILURE() << "seed " << seed << ", operation " << i << ": " << what << "\n  " << print(shape)
                  << "\n  shortened to\n"
                  << text << "  " << (failure ? failure->what : "") << "\n  the engine's last steps:\n    "
                  << last_events(shape, few) << "\nrepeat: MMBOX_SEED=" << seed
                  << " mmbox_test --gtest_filter='*Model.*/" << test_name(generation) << "'";
    return 0;
  }
  return length;
}

class Model : public testing::TestWithParam<const Generation*> {};

TEST_P(Model, RandomOperationsLeaveBothSidesEqual) {
  constexpr std::uint64_t kLength = 1000;
  if (const char* seed = std::getenv("MMBOX_SEED")) {
    run_seed(*GetParam(), std::stoull(seed), kLength);
    return;
  }
  // All generations together: 70 thousand, 2.1 million, 105 million.
  const std::uint64_t operations = Effort{.quick = 10'000, .normal = 300'000, .long_run = 15'000'000}.here();
  for (std::uint64_t seed = 1, done = 0; done < operations; ++seed) {
    const std::uint64_t more = run_seed(*GetParam(), seed, kLength);
    if (more == 0)
      return;
    done += more;
  }
}

INSTANTIATE_TEST_SUITE_P(Generations, Model, testing::ValuesIn(lab::generations().begin(), lab::generations().end()),
                         [](const auto& test) { return test_name(*test.param); });

}  // namespace
}  // namespace mmbox::test
