// SPDX-License-Identifier: BSD-3-Clause
// Columns of one type, made of cells; and the queue between the meter's thread and another one.
#include "api/flow_batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "features/feature_sets.h"

namespace flowmeter {
namespace {

TEST(CellArrayTest, IntegersStayIntegersUntilACellIsNone) {
  CellArray cells(ColumnType::kInteger, 1);
  cells.put(Cell(uint64_t{7}));
  cells.put(Cell::not_applicable());
  ASSERT_EQ(cells.type(), ColumnType::kInteger);
  EXPECT_EQ(cells.integers(), (std::vector<int64_t>{7, -1}));
  cells.put(Cell(std::string_view()));  // empty
  cells.put(Cell(0.5));
  ASSERT_EQ(cells.type(), ColumnType::kReal);
  ASSERT_EQ(cells.reals().size(), 4u);
  EXPECT_EQ(cells.reals()[0], 7);
  EXPECT_EQ(cells.reals()[1], -1);
  EXPECT_TRUE(std::isnan(cells.reals()[2]));
  EXPECT_EQ(cells.reals()[3], 0.5);
}

TEST(CellArrayTest, RealsTakeEveryNumber) {
  CellArray cells(ColumnType::kReal, 1);
  cells.put(Cell(1.25));
  cells.put(Cell(Nanoseconds{300'000'000}));
  cells.put(Cell(uint64_t{3}));
  EXPECT_EQ(cells.reals(), (std::vector<double>{1.25, 0.3, 3}));
}

TEST(CellArrayTest, TextsTakeEveryCellAsTheCsvHasIt) {
  CellArray cells(ColumnType::kText, 1);
  for (const Cell& cell : {Cell(std::string_view("a,b")), Cell(std::string_view()), Cell(0.5),
                           Cell(Nanoseconds{20'000'000'000}), Cell(uint64_t{42})})
    cells.put(cell);
  const std::string_view expected[] = {"a,b", "", "0.5", "20", "42"};
  for (size_t row = 0; row < std::size(expected); row++) EXPECT_EQ(cells.text(row), expected[row]);
}

// The definition of the quantity decides, not the packets that were seen.
TEST(ColumnTypeTest, IsThatOfTheQuantity) {
  const auto type = [](std::string_view set, std::string_view name) {
    for (const Column& column : find_feature_set(set)->columns)
      if (column.name == name) return column.type;
    ADD_FAILURE() << name;
    return ColumnType::kText;
  };
  for (const char* name : {"src_port", "protocol", "tot_fwd_pkts", "syn_flag_cnt", "pkt_len_max"})
    EXPECT_EQ(type("cic82", name), ColumnType::kInteger) << name;
  for (const char* name : {"flow_duration", "fwd_pkt_len_mean", "pkt_len_var", "subflow_fwd_pkts"})
    EXPECT_EQ(type("cic82", name), ColumnType::kReal) << name;
  for (const char* name : {"src_ip", "timestamp"})
    EXPECT_EQ(type("cic82", name), ColumnType::kText) << name;
  EXPECT_EQ(type("netflowmeter114", "protocol"), ColumnType::kText);
}

constexpr Column kPort{
    "port", QuantityOf{Unit::kNone, "", [](const FlowRecord& f) { return f.key.port[0]; }}};

class FlowBatchQueueTest : public testing::Test {
 protected:
  void write(uint64_t number) {
    fm_flow_key key{};
    key.port[0] = static_cast<uint16_t>(number);
    const fm_flow flow{};
    queue_.write(FlowRecord{key, flow, {}, FM_END_INPUT});
  }
  size_t take_rows() {
    const auto batch = queue_.take(std::chrono::milliseconds(0));
    return batch ? batch->rows : 0;
  }

  FlowBatchQueue queue_{{kPort}, 1};
};

TEST_F(FlowBatchQueueTest, HandsOverFullBatchesAndWhatIsFlushed) {
  for (uint64_t i = 0; i < FlowBatchQueue::kBatchRows + 2; i++) write(i);
  EXPECT_EQ(take_rows(), FlowBatchQueue::kBatchRows);
  EXPECT_EQ(take_rows(), 0u);
  ASSERT_TRUE(queue_.flush());
  const auto batch = queue_.take(std::chrono::milliseconds(0));
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->columns[0].integers(), (std::vector<int64_t>{4096, 4097}));
  EXPECT_FALSE(queue_.ended());
  queue_.end();
  EXPECT_TRUE(queue_.ended());
  EXPECT_TRUE(queue_.wait_begun());
}

TEST_F(FlowBatchQueueTest, EndsWithoutABeginning) {
  queue_.end();
  EXPECT_FALSE(queue_.wait_begun());
}

TEST_F(FlowBatchQueueTest, IsBoundedAndLosesNothing) {
  constexpr uint64_t kRows = 5 * FlowBatchQueue::kQueuedRows;
  std::atomic<uint64_t> written = 0;
  std::thread meter([&] {
    for (; written < kRows; written++) write(written);
    (void)queue_.flush();
    queue_.end();
  });
  uint64_t taken = 0;
  for (bool first = true; !queue_.ended(); first = false) {
    // The meter is ahead by no more than the queue, the batch that it waits with, and the next row.
    if (first) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_LE(written, taken + FlowBatchQueue::kQueuedRows + FlowBatchQueue::kBatchRows);
    const auto batch = queue_.take(std::chrono::milliseconds(1000));
    if (!batch) continue;
    for (const int64_t number : batch->columns[0].integers())
      ASSERT_EQ(static_cast<uint64_t>(number), taken++ & 0xffff);
  }
  meter.join();
  EXPECT_EQ(taken, kRows);
}

TEST_F(FlowBatchQueueTest, AbandonedItTakesAndDropsEverything) {
  std::thread meter([&] {
    for (uint64_t i = 0; i < 3 * FlowBatchQueue::kQueuedRows; i++) write(i);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_FALSE(queue_.failed());
  queue_.abandon();  // while the other waits
  meter.join();
  EXPECT_TRUE(queue_.failed());
  EXPECT_EQ(take_rows(), 0u);
}

}  // namespace
}  // namespace flowmeter
