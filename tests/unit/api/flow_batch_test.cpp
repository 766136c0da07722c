// SPDX-License-Identifier: BSD-3-Clause
// Columns of one type, made of cells; and the queue between the meter's thread and another one.
#include "api/flow_batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "features/feature_sets.h"
#include "features/instant.h"

namespace flowmeter {
namespace {

Column column_of(ColumnType type, Unit unit = Unit::kNone) {
  return {"x", Quantity{.type = type, .unit = unit, .way = Way::kBoth, .text = "", .get = nullptr}};
}

CellArray cells_of(ColumnType type, std::initializer_list<Cell> values) {
  CellArray cells(column_of(type), 1);
  for (const Cell& value : values) cells.put(value);
  return cells;
}

std::vector<bool> nulls(const CellArray& cells, size_t rows) {
  std::vector<bool> nulls;
  for (size_t row = 0; row < rows; row++) nulls.push_back(cells.is_null(row));
  return nulls;
}

const Cell kEmpty{std::string_view()};

TEST(CellArrayTest, IntegersStayIntegersWhateverTheCellsAre) {
  const CellArray cells =
      cells_of(ColumnType::kInteger, {Cell(uint64_t{7}), Cell::not_applicable(), kEmpty,
                                      Cell(std::string_view("18446744073709551615"))});
  EXPECT_EQ(cells.type(), ColumnType::kInteger);
  EXPECT_EQ(cells.integers(), (std::vector<int64_t>{7, -1, 0, 0}));
  EXPECT_EQ(nulls(cells, 4), (std::vector<bool>{false, false, true, true}));
  EXPECT_EQ(cells.null_count(), 2u);
}

TEST(CellArrayTest, RealsTakeEveryNumber) {
  const CellArray cells = cells_of(
      ColumnType::kReal, {Cell(1.25), Cell(Nanoseconds{300'000'000}), Cell(uint64_t{3}), kEmpty});
  ASSERT_EQ(cells.reals().size(), 4u);
  EXPECT_EQ(cells.reals()[0], 1.25);
  EXPECT_EQ(cells.reals()[1], 0.3);
  EXPECT_EQ(cells.reals()[2], 3);
  EXPECT_TRUE(std::isnan(cells.reals()[3]));
  EXPECT_EQ(nulls(cells, 4), (std::vector<bool>{false, false, false, true}));
}

TEST(CellArrayTest, TextsTakeEveryCellAsTheCsvHasIt) {
  const CellArray cells =
      cells_of(ColumnType::kText, {Cell(std::string_view("a,b")), kEmpty, Cell(0.5),
                                   Cell(Nanoseconds{20'000'000'000}), Cell(uint64_t{42})});
  const std::string_view expected[] = {"a,b", "", "0.5", "20", "42"};
  for (size_t row = 0; row < std::size(expected); row++) EXPECT_EQ(cells.text(row), expected[row]);
  EXPECT_EQ(nulls(cells, 5), (std::vector<bool>{false, true, false, false, false}));
}

TEST(CellArrayTest, CategoriesAreStoredOnce) {
  const Cell tcp(std::string_view("TCP")), udp(std::string_view("UDP"));
  const CellArray cells = cells_of(ColumnType::kCategory, {tcp, udp, udp, kEmpty, tcp});
  EXPECT_EQ(cells.codes(), (std::vector<int32_t>{0, 1, 1, 2, 0}));
  EXPECT_EQ(cells.texts(), "TCPUDP");
  EXPECT_EQ(cells.text_ends(), (std::vector<int32_t>{0, 3, 6, 6}));
  EXPECT_EQ(nulls(cells, 5), (std::vector<bool>{false, false, false, true, false}));
}

// A bit per row, also where the first null comes late and where a byte is full.
TEST(CellArrayTest, ValidityIsABitmap) {
  for (size_t null = 0; null < 20; null++) {
    CellArray cells(column_of(ColumnType::kInteger), 1);
    for (size_t row = 0; row < 20; row++) {
      EXPECT_EQ(cells.validity() != nullptr, row > null);
      cells.put(row == null ? kEmpty : Cell(row));
    }
    for (size_t row = 0; row < 20; row++) {
      EXPECT_EQ(cells.is_null(row), row == null);
      EXPECT_EQ(cells.validity()[row / 8] >> row % 8 & 1, row != null);
    }
  }
}

// time: nanoseconds since 1970.
CellArray times(Unit unit, std::initializer_list<__int128> instants) {
  Quantity quantity = instant_of<time_text, 6>(unit, "", [](const FlowRecord& f) {
    return Instant{f.clock, f.flow.counters.first_ns};
  });
  CellArray cells({"time", quantity}, 1);
  for (const __int128 ns : instants) {
    const fm_flow_key key{};
    fm_flow flow{};
    flow.counters.first_ns = 1'999'999'999;
    cells.put(FlowRecord{key, flow, clock_origin(ns - 1'999'999'999), FM_END_INPUT});
  }
  return cells;
}

constexpr __int128 kSecond = 1'000'000'000;

TEST(CellArrayTest, TimesAreCountedSinceTheEpoch) {
  const CellArray cells = times(Unit::kTime, {0, 1'500, -1, -1'000, 5 * kSecond + 999'999'999});
  EXPECT_EQ(cells.integers(), (std::vector<int64_t>{0, 1, -1, -1, 5'999'999}));
  EXPECT_EQ(cells.null_count(), 0u);
  EXPECT_EQ(cells.text(4), "1970-01-01 00:00:05.999999");
  EXPECT_EQ(times(Unit::kSeconds, {1'500, -1}).integers(), (std::vector<int64_t>{1'500, -1}));
}

TEST(CellArrayTest, ATimeThatATimestampCannotRepresentIsNull) {
  constexpr __int128 kYear1 = -62'135'596'800 * kSecond, kYear10000 = 253'402'300'800 * kSecond;
  const CellArray cells =
      times(Unit::kTime, {kYear1 - 1, kYear1, kYear10000 - 1, kYear10000, kSecond * INT64_MAX});
  EXPECT_EQ(nulls(cells, 5), (std::vector<bool>{true, false, false, true, true}));
  EXPECT_EQ(cells.integers()[2], static_cast<int64_t>(kYear10000 / 1000 - 1));
  EXPECT_EQ(cells.text(3), "253402300800.000000");
  const CellArray precise = times(Unit::kSeconds, {INT64_MIN, INT64_MAX, __int128{INT64_MAX} + 1});
  EXPECT_EQ(nulls(precise, 3), (std::vector<bool>{false, false, true}));
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
  EXPECT_EQ(type("cic82", "src_ip"), ColumnType::kText);
  EXPECT_EQ(type("cic82", "timestamp"), ColumnType::kTime);
  EXPECT_EQ(type("realtime97", "Timestamp"), ColumnType::kTime);
  EXPECT_EQ(type("netflowmeter114", "protocol"), ColumnType::kCategory);
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
  EXPECT_EQ(batch->columns[0].integers(), (std::vector<int64_t>{8192, 8193}));
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
