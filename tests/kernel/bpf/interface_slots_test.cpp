// SPDX-License-Identifier: BSD-3-Clause
// The table of metered interfaces. An interface's index selects its slot, or one of the next slots
// if that is taken.
#include <gtest/gtest.h>

#include "bpf/parity.h"
#include "kernel/bpf_datapath.h"

namespace flowmeter::testing {
namespace {

Interface with_index(unsigned index) {
  Interface interface;
  interface.name = "veth" + std::to_string(index);
  interface.index = index;
  return interface;
}

class InterfaceSlots : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_bpf_cannot_run(); !why.empty()) GTEST_SKIP() << why;
    BpfDatapath::Config config;
    config.settings = fm_default_settings();
    config.max_entries = 1024;
    config.max_fragments = 64;
    config.stream_bytes = 1 << 20;
    auto loaded = BpfDatapath::load(config, [](const void*, size_t) {});
    ASSERT_TRUE(loaded) << loaded.error().message();
    datapath_ = std::move(*loaded);
  }

  std::unique_ptr<BpfDatapath> datapath_;
};

TEST_F(InterfaceSlots, WhereAllPlacesOfAnIndexAreTakenTheErrorNamesTheInterface) {
  std::vector<unsigned> same_place;
  for (unsigned index = 1; same_place.size() <= FM_INTERFACE_PROBES; index++)
    if (fm_interface_slot(index, 0) == 5) same_place.push_back(index);
  const Interface late = with_index(same_place.back());
  same_place.pop_back();
  for (const unsigned index : same_place)
    ASSERT_TRUE(datapath_->add_interface(with_index(index), DeviceMerging::kOff)) << index;
  const Status refused = datapath_->add_interface(late, DeviceMerging::kOff);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find(late.name), std::string::npos)
      << refused.error().message();
  EXPECT_NE(refused.error().message().find("1024"), std::string::npos) << refused.error().message();
  EXPECT_FALSE(datapath_->slot_of(late.index));

  datapath_->remove_interface(same_place[3]);
  EXPECT_FALSE(datapath_->add_interface(late, DeviceMerging::kOff))
      << "old flows may still be open";
  datapath_->reuse_slots();
  EXPECT_TRUE(datapath_->add_interface(late, DeviceMerging::kOff)) << "a slot is free";
  EXPECT_TRUE(datapath_->slot_of(late.index));
}

TEST_F(InterfaceSlots, AnInterfaceHasOnePlaceHoweverOftenItIsAdded) {
  for (int i = 0; i < 3; i++)
    ASSERT_TRUE(datapath_->add_interface(with_index(7), DeviceMerging::kOff));
  EXPECT_EQ(datapath_->interfaces(), std::vector<unsigned>{7});
  datapath_->remove_interface(7);
  EXPECT_TRUE(datapath_->interfaces().empty());
  EXPECT_FALSE(datapath_->slot_of(7));
}

// Interface indexes only grow. After they wrap around the table, new interfaces collide with the
// slots of long-lived ones.
TEST_F(InterfaceSlots, LateOnesFindPlacesBesideManyThatLast) {
  constexpr unsigned kLasting = 300, kLate = 200;
  for (unsigned index = 1; index <= kLasting; index++)
    ASSERT_TRUE(datapath_->add_interface(with_index(index), DeviceMerging::kOff)) << index;
  for (unsigned index = 1; index <= kLate; index++)
    ASSERT_TRUE(
        datapath_->add_interface(with_index(FM_INTERFACE_SLOTS + index), DeviceMerging::kOff))
        << index;
  EXPECT_EQ(datapath_->interfaces().size(), kLasting + kLate);
}

}  // namespace
}  // namespace flowmeter::testing
