// SPDX-License-Identifier: BSD-3-Clause
// In a time namespace the daemon's clock must still be the kernel's, by which packets are stamped.
#include <linux/sched.h>
#include <time.h>

#include "base/clock.h"
#include "veth/own_namespaces.h"

namespace flowmeter::testing {
namespace {

constexpr int64_t kS = 1'000'000'000;

int64_t clock_monotonic() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kS + now.tv_nsec;
}

TEST(TimeNamespace, ClockIsTheKernels) {
  if (!has_capability(CAP_SYS_ADMIN)) GTEST_SKIP() << "needs CAP_SYS_ADMIN for a time namespace";
  if (monotonic_shift_ns() != 0) GTEST_SKIP() << "runs in a time namespace itself";
  if (::access("/proc/self/timens_offsets", R_OK) != 0)
    GTEST_SKIP() << "this kernel has no time namespaces";
  const int64_t before = clock_monotonic();
  const std::string answer = in_child([]() -> std::string {
    if (::unshare(CLONE_NEWTIME) != 0) return std::strerror(errno);
    std::ofstream("/proc/self/timens_offsets") << "monotonic 1000000 250000000\n";
    // The new namespace is for children; this process is still in the initial one.
    if (monotonic_shift_ns() != 0) return "the shift applies too early";
    return in_child([]() -> std::string {
      return std::to_string(monotonic_shift_ns()) + " " +
             std::to_string(static_cast<int64_t>(monotonic_ns())) + " " +
             std::to_string(clock_monotonic());
    });
  });
  const int64_t after = clock_monotonic();
  long long shift = 0, kernel = 0, shifted = 0;
  ASSERT_EQ(std::sscanf(answer.c_str(), "%lld %lld %lld", &shift, &kernel, &shifted), 3) << answer;
  EXPECT_EQ(shift, 1'000'000 * kS + kS / 4);
  EXPECT_GE(kernel, before);
  EXPECT_LE(kernel, after);
  EXPECT_GT(shifted, after) << "the namespace shifts nothing: the test proves nothing";
}

}  // namespace
}  // namespace flowmeter::testing
