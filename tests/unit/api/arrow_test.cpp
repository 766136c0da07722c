// SPDX-License-Identifier: BSD-3-Clause
// The structures of Arrow's C data interface. That Arrow's own readers accept them is tested from
// Python (tests/python/arrow_test.py).
#include "api/arrow.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>

namespace flowmeter {
namespace {

constexpr Column kPort{"port", QuantityOf{Unit::kPackets, "a port",
                                          [](const FlowRecord& f) { return f.key.port[0]; }}};
constexpr Column kParity{"parity",
                         CategoryOf{Unit::kText, "even or odd", [](const FlowRecord& f) {
                                      return std::string_view(f.key.port[0] % 2 ? "odd" : "even");
                                    }}};
const std::vector<Column> kColumns = {kPort, kParity};

std::shared_ptr<const FlowBatch> batch(uint16_t rows) {
  auto batch = std::make_shared<FlowBatch>();
  for (const Column& column : kColumns) batch->columns.emplace_back(column, rows);
  for (uint16_t i = 0; i < rows; i++) {
    fm_flow_key key{};
    key.port[0] = i;
    const fm_flow flow{};
    for (CellArray& cells : batch->columns) cells.put(FlowRecord{key, flow, {}, FM_END_INPUT});
  }
  batch->rows = rows;
  return batch;
}

TEST(ArrowTest, TheSchemaHasNamesTypesAndDefinitions) {
  ArrowSchema schema{};
  export_schema(kColumns, {{"a", "bc"}}, &schema);
  EXPECT_STREQ(schema.format, "+s");
  EXPECT_EQ(std::string_view(schema.metadata, 15),
            std::string_view("\1\0\0\0\1\0\0\0a\2\0\0\0bc", 15));
  ASSERT_EQ(schema.n_children, 2);
  EXPECT_STREQ(schema.children[0]->name, "port");
  EXPECT_STREQ(schema.children[0]->format, "l");
  EXPECT_EQ(schema.children[0]->flags, ARROW_FLAG_NULLABLE);
  EXPECT_NE(std::string_view(schema.children[0]->metadata, 60).find("a port"),
            std::string_view::npos);
  EXPECT_EQ(schema.children[0]->dictionary, nullptr);
  EXPECT_STREQ(schema.children[1]->format, "i");
  EXPECT_STREQ(schema.children[1]->dictionary->format, "u");
  schema.release(&schema);
  EXPECT_EQ(schema.release, nullptr);
}

TEST(ArrowTest, AnArrayPointsIntoTheBatchAndKeepsIt) {
  auto flows = batch(5);
  const int64_t* const numbers = flows->columns[0].integers().data();
  const std::weak_ptr<const FlowBatch> kept = flows;
  ArrowArray array{};
  export_batch({std::move(flows), 2}, &array);
  EXPECT_EQ(array.length, 3);
  EXPECT_EQ(array.offset, 0);
  ASSERT_EQ(array.n_children, 2);
  EXPECT_EQ(array.children[0]->offset, 2);
  EXPECT_EQ(array.children[0]->length, 3);
  EXPECT_EQ(array.children[0]->null_count, 0);
  EXPECT_EQ(array.children[0]->buffers[0], nullptr);
  EXPECT_EQ(array.children[0]->buffers[1], numbers);
  EXPECT_EQ(array.children[1]->dictionary->length, 2);

  ArrowArray child = *array.children[0];  // a reader moves it out of its parent
  array.children[0]->release = nullptr;
  array.release(&array);
  EXPECT_EQ(array.release, nullptr);
  EXPECT_FALSE(kept.expired());
  EXPECT_EQ(static_cast<const int64_t*>(child.buffers[1])[4], 4);
  child.release(&child);
  EXPECT_TRUE(kept.expired());
}

class Source final : public BatchSource {
 public:
  explicit Source(bool* ended) : ended_(ended) {}
  ~Source() override { *ended_ = true; }
  const std::vector<Column>& columns() const override { return kColumns; }
  ArrowMetadata metadata() const override { return {}; }
  Result<BatchPart> next() override {
    switch (step_++) {
      case 0:
        return BatchPart{batch(3)};
      case 1:
        return Error{"it broke"};
      case 2:
        throw std::runtime_error("it threw");
      default:
        return BatchPart{};
    }
  }

 private:
  bool* const ended_;
  int step_ = 0;
};

TEST(ArrowTest, AStreamHasBatchesAndErrors) {
  bool ended = false;
  ArrowArrayStream stream{};
  export_stream(std::make_unique<Source>(&ended), &stream);
  ArrowArray array{};
  EXPECT_EQ(stream.get_last_error(&stream), nullptr);
  ASSERT_EQ(stream.get_next(&stream, &array), 0);
  EXPECT_EQ(array.length, 3);
  array.release(&array);
  EXPECT_EQ(stream.get_next(&stream, &array), EIO);
  EXPECT_STREQ(stream.get_last_error(&stream), "it broke");
  EXPECT_EQ(stream.get_next(&stream, &array), EIO);
  EXPECT_STREQ(stream.get_last_error(&stream), "it threw");
  ASSERT_EQ(stream.get_next(&stream, &array), 0);
  EXPECT_EQ(array.release, nullptr);  // the end
  EXPECT_FALSE(ended);
  stream.release(&stream);
  EXPECT_EQ(stream.release, nullptr);
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace flowmeter
