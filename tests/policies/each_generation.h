// One expectation for each modelled kernel.
//
// What a policy does is said here by the kernel's name and never read from its table: a test that asks the table what
// to expect cannot notice a wrong entry.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "mmbox/lab/generations/generations.h"
#include "tests/support/fake_hosts.h"
#include "tests/support/fake_pages.h"
#include "tests/support/small_machine.h"

namespace mmbox::test {

/// Expectations in the order of the generations: 3.10, 4.12, 5.10, 6.1.0, 6.1, 6.12, 7.2.
template <class T>
using Each = std::array<T, 7>;

/// Compares what happens under each generation, as `outcome(generation)` tells it, with what is expected.
template <class T, class Outcome>
void expect_each(const Each<T>& expected, Outcome outcome) {
  const auto generations = lab::generations();
  ASSERT_EQ(generations.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(T{outcome(*generations[i])}, expected[i]) << generations[i]->name;
}

inline SmallConfig config_of(const Generation& generation) {
  SmallConfig config;
  config.generation = generation;
  config.batch = 1;
  return config;
}

/// Two nodes with one Normal zone each, and a CPU on the first.
inline SmallConfig two_nodes(const Generation& generation) {
  SmallConfig config = config_of(generation);
  config.zones = {SmallZone{.start = 0, .pages = 2048}, SmallZone{.start = 2048, .pages = 2048, .node = 1}};
  return config;
}

/// Remembers the last announced request.
struct LastAlloc final : EventSink {
  int announced = 0;
  MmPageAlloc event{kNoPfn, Order{0}, Gfp{}, Migratetype::Unmovable};
  using EventSink::on;
  void on(const MmPageAlloc& e) override {
    ++announced;
    event = e;
  }
};

}  // namespace mmbox::test
