// SPDX-License-Identifier: BSD-3-Clause
// Batches of flows by Arrow's C data interface and C stream interface: the columns stay where they
// are, and the reader gets pointers to them.
// https://arrow.apache.org/docs/format/CDataInterface.html
//
// An integer column is int64, a real one float64, a text utf8, a category dictionary(int32, utf8),
// a time timestamp[us, UTC], or timestamp[ns, UTC] if its text has nanoseconds. Every column may
// have nulls. The metadata of a column has its unit and its definition.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/flow_batch.h"
#include "base/result.h"

// ---- the interface's own declarations; their guards are also its own ----
extern "C" {
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};
#endif
#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE
struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
  int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
  const char* (*get_last_error)(struct ArrowArrayStream*);
  void (*release)(struct ArrowArrayStream*);
  void* private_data;
};
#endif
}

namespace flowmeter {

using ArrowMetadata = std::vector<std::pair<std::string, std::string>>;

// The schema of a table with these columns. metadata: of the table.
void export_schema(const std::vector<Column>& columns, const ArrowMetadata& metadata,
                   ArrowSchema* out);

// The rows of the batch from first_row on.
struct BatchPart {
  std::shared_ptr<const FlowBatch> batch;  // null: there are no more rows
  size_t first_row = 0;
};
void export_batch(const BatchPart& part, ArrowArray* out);

// What a stream reads from.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual const std::vector<Column>& columns() const = 0;
  virtual ArrowMetadata metadata() const = 0;
  // Any thread may call this, but not two at a time.
  virtual Result<BatchPart> next() = 0;
};
void export_stream(std::unique_ptr<BatchSource> source, ArrowArrayStream* out);

}  // namespace flowmeter
