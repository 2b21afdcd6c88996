// Bytes as a machine and a sequence of operations: the engine and the naive model must agree after each, and the
// engine's invariants hold.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "tests/model/pair.h"

namespace mmbox::test {
namespace {

/// Reads small numbers from bytes; zeros when they are used up.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), end_(data + size) {}
  [[nodiscard]] bool empty() const { return data_ == end_; }
  std::uint8_t byte() { return empty() ? std::uint8_t{0} : *data_++; }
  std::uint32_t number() { return byte() | static_cast<std::uint32_t>(byte()) << 8; }

 private:
  const std::uint8_t* data_;
  const std::uint8_t* end_;
};

std::uint32_t gfp_of(Bytes& bytes) {
  static constexpr std::uint32_t kGfps[] = {0x800, 0xa20,   0xcc0,    0xcd0,   0x100cca,  0xcc1,
                                            0xcc4, 0xc40,   0x820,    0xa28,   0x1c20ca,  0x1c24ca,
                                            0,     0x20cc0, 0x200cc0, 0x14cc0, 0x10100cca};
  return kGfps[bytes.byte() % std::size(kGfps)];
}

Op op_of(Bytes& bytes) {
  const unsigned kind = bytes.byte();
  const auto cpu = [&] { return bytes.byte() % 2U; };
  switch (kind % 24) {
    case 0: return FreeButFirst{bytes.number(), cpu()};
    case 1: return FreeList{bytes.number(), bytes.byte() % 16U, cpu()};
    case 2: return Split{bytes.number()};
    case 3: return Exact{gfp_of(bytes), 1U + bytes.number() % 1100U, cpu()};
    case 4: return Bulk{gfp_of(bytes), bytes.byte() % 40U, bytes.number(), cpu()};
    case 5: return DrainCpu{cpu()};
    case 6: return DrainZone{bytes.byte(), cpu()};
    case 7: return DrainAll{};
    case 8: return Fold{cpu(), bytes.byte() % 2 == 0};
    case 9: return KswapdSleeps{bytes.byte(), bytes.byte() % 4 == 0};
    case 10: return SetMarks{bytes.byte(), bytes.byte(), bytes.byte(), static_cast<int>(bytes.number() % 700)};
    case 11: return ReclaimActive{bytes.byte(), bytes.byte() % 2 == 0};
    case 12: return Isolate{bytes.byte(), bytes.byte() % 8 == 0, cpu()};
    case 13: return Unisolate{bytes.byte(), cpu()};
    case 14: return TakeOff{bytes.number(), cpu()};
    case 15: return IsolateFree{bytes.number(), cpu()};
    case 16: return PutBack{bytes.byte(), cpu()};
    case 17: return SecondPasses{};
    case 18:
    case 19:
    case 20: return Free{bytes.number(), cpu()};
    default: {
      const std::uint32_t gfp = gfp_of(bytes);
      const unsigned order = bytes.byte() % 12U;
      const unsigned rest = bytes.byte();
      return Alloc{gfp, order, rest & 1, static_cast<int>(rest >> 1 & 3) - 1, rest >> 3 & 3, rest >> 5 == 7 ? rest : 0};
    }
  }
}

}  // namespace
}  // namespace mmbox::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmbox::test;
  Bytes bytes{data, size};
  Random random{bytes.number()};
  const std::span<const mmbox::Generation* const> generations = mmbox::lab::generations();
  const Shape shape = draw_shape(random, *generations[random.below(generations.size())]);
  Pair pair{shape};
  std::string done;
  while (!bytes.empty()) {
    const Op op = op_of(bytes);
    done += "  " + print(op) + ",\n";
    const std::string what = pair.apply(op);
    if (what.empty())
      continue;
    std::fprintf(stderr, "%s\n%s\nafter\n%s", what.c_str(), print(shape).c_str(), done.c_str());
    std::abort();
  }
  return 0;
}
