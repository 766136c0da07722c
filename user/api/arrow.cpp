// SPDX-License-Identifier: BSD-3-Clause
#include "api/arrow.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <exception>

namespace flowmeter {
namespace {

// ---- schema ----

// The encoding of the C data interface: the number of pairs, then each text after its length.
std::string encoded(const ArrowMetadata& metadata) {
  std::string bytes;
  const auto put_length = [&](size_t length) {
    const auto number = static_cast<int32_t>(length);
    bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
  };
  put_length(metadata.size());
  for (const auto& [key, value] : metadata)
    for (const std::string& text : {key, value}) {
      put_length(text.size());
      bytes += text;
    }
  return bytes;
}

const char* format_of(const Column& column) {
  switch (column.type) {
    case ColumnType::kInteger:
      return "l";
    case ColumnType::kReal:
      return "g";
    case ColumnType::kText:
      return "u";
    case ColumnType::kCategory:
      return "i";
    case ColumnType::kTime:
      return time_unit(column) == TimeUnit::kMicroseconds ? "tsu:UTC" : "tsn:UTC";
  }
  return "n";
}

// The memory of a schema. A child has its own, because a reader may take it out of its parent.
struct SchemaMemory {
  std::string name, metadata;
  std::vector<ArrowSchema> fields{};
  std::vector<ArrowSchema*> children{};
  ArrowSchema dictionary{};
};

void release_schema(ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; i++)
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
  if (schema->dictionary && schema->dictionary->release)
    schema->dictionary->release(schema->dictionary);
  delete static_cast<SchemaMemory*>(schema->private_data);
  schema->release = nullptr;
}

SchemaMemory& make_schema(const char* format, std::string name, const ArrowMetadata& metadata,
                          ArrowSchema* out) {
  auto* const memory = new SchemaMemory{.name = std::move(name), .metadata = encoded(metadata)};
  *out = {.format = format,
          .name = memory->name.c_str(),
          .metadata = metadata.empty() ? nullptr : memory->metadata.data(),
          .flags = ARROW_FLAG_NULLABLE,
          .n_children = 0,
          .children = nullptr,
          .dictionary = nullptr,
          .release = release_schema,
          .private_data = memory};
  return *memory;
}

void make_field(const Column& column, ArrowSchema* out) {
  const ArrowMetadata metadata = {{"unit", std::string(unit_name(column.unit))},
                                  {"definition", column.definition()}};
  SchemaMemory& memory = make_schema(format_of(column), std::string(column.name), metadata, out);
  if (column.type != ColumnType::kCategory) return;
  make_schema("u", "", {}, &memory.dictionary);
  out->dictionary = &memory.dictionary;
}

// ---- arrays ----

// The memory of an array. The cells belong to the batch, which each child keeps alive, because a
// reader may take a child out of its parent.
struct ArrayMemory {
  std::shared_ptr<const FlowBatch> batch;
  std::array<const void*, 3> buffers{};
  std::vector<ArrowArray> columns{};
  std::vector<ArrowArray*> children{};
  ArrowArray dictionary{};
};

void release_array(ArrowArray* array) {
  for (int64_t i = 0; i < array->n_children; i++)
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
  if (array->dictionary && array->dictionary->release)
    array->dictionary->release(array->dictionary);
  delete static_cast<ArrayMemory*>(array->private_data);
  array->release = nullptr;
}

ArrayMemory& make_array(const std::shared_ptr<const FlowBatch>& batch, size_t length, size_t offset,
                        std::initializer_list<const void*> buffers, ArrowArray* out) {
  auto* const memory = new ArrayMemory{.batch = batch};
  std::copy(buffers.begin(), buffers.end(), memory->buffers.begin());
  *out = {.length = static_cast<int64_t>(length),
          .null_count = 0,
          .offset = static_cast<int64_t>(offset),
          .n_buffers = static_cast<int64_t>(buffers.size()),
          .n_children = 0,
          .buffers = memory->buffers.data(),
          .children = nullptr,
          .dictionary = nullptr,
          .release = release_array,
          .private_data = memory};
  return *memory;
}

void make_column(const BatchPart& part, const CellArray& cells, ArrowArray* out) {
  const size_t offset = part.first_row, length = part.batch->rows - offset;
  const auto make = [&](std::initializer_list<const void*> buffers) -> ArrayMemory& {
    return make_array(part.batch, length, offset, buffers, out);
  };
  switch (cells.type()) {
    case ColumnType::kInteger:
    case ColumnType::kTime:
      make({cells.validity(), cells.integers().data()});
      break;
    case ColumnType::kReal:
      make({cells.validity(), cells.reals().data()});
      break;
    case ColumnType::kText:
      make({cells.validity(), cells.text_ends().data(), cells.texts().data()});
      break;
    case ColumnType::kCategory: {
      ArrayMemory& memory = make({cells.validity(), cells.codes().data()});
      make_array(part.batch, cells.text_ends().size() - 1, 0,
                 {nullptr, cells.text_ends().data(), cells.texts().data()}, &memory.dictionary);
      out->dictionary = &memory.dictionary;
      break;
    }
  }
  // -1: unknown, because some of the nulls may be before the part.
  out->null_count = cells.null_count() == 0 ? 0
                    : offset == 0           ? static_cast<int64_t>(cells.null_count())
                                            : -1;
}

// ---- stream ----

struct StreamMemory {
  std::unique_ptr<BatchSource> source;
  std::string error;
};

StreamMemory& memory_of(ArrowArrayStream* stream) {
  return *static_cast<StreamMemory*>(stream->private_data);
}

// Calls `act`, which returns an error code. No exception may leave a function of the interface.
template <typename Act>
int guarded(ArrowArrayStream* stream, Act act) {
  StreamMemory& memory = memory_of(stream);
  try {
    return act(memory);
  } catch (const std::bad_alloc&) {
    memory.error = "out of memory";
    return ENOMEM;
  } catch (const std::exception& error) {
    memory.error = error.what();
    return EIO;
  }
}

int get_schema(ArrowArrayStream* stream, ArrowSchema* out) {
  return guarded(stream, [&](StreamMemory& memory) {
    export_schema(memory.source->columns(), memory.source->metadata(), out);
    return 0;
  });
}

int get_next(ArrowArrayStream* stream, ArrowArray* out) {
  return guarded(stream, [&](StreamMemory& memory) {
    auto part = memory.source->next();
    if (!part) {
      memory.error = part.error().message();
      return part.error().os_error ? part.error().os_error : EIO;
    }
    if (part->batch)
      export_batch(*part, out);
    else
      out->release = nullptr;
    return 0;
  });
}

const char* get_last_error(ArrowArrayStream* stream) {
  const std::string& error = memory_of(stream).error;
  return error.empty() ? nullptr : error.c_str();
}

void release_stream(ArrowArrayStream* stream) {
  delete &memory_of(stream);
  stream->release = nullptr;
}

}  // namespace

void export_schema(const std::vector<Column>& columns, const ArrowMetadata& metadata,
                   ArrowSchema* out) {
  SchemaMemory& memory = make_schema("+s", "", metadata, out);
  out->flags = 0;
  memory.fields.resize(columns.size());
  memory.children.reserve(columns.size());
  out->children = memory.children.data();
  for (size_t i = 0; i < columns.size(); i++) {
    make_field(columns[i], &memory.fields[i]);
    memory.children.push_back(&memory.fields[i]);
    out->n_children++;
  }
}

void export_batch(const BatchPart& part, ArrowArray* out) {
  ArrayMemory& memory =
      make_array(part.batch, part.batch->rows - part.first_row, 0, {nullptr}, out);
  const std::vector<CellArray>& columns = part.batch->columns;
  memory.columns.resize(columns.size());
  memory.children.reserve(columns.size());
  out->children = memory.children.data();
  for (size_t i = 0; i < columns.size(); i++) {
    make_column(part, columns[i], &memory.columns[i]);
    memory.children.push_back(&memory.columns[i]);
    out->n_children++;
  }
}

void export_stream(std::unique_ptr<BatchSource> source, ArrowArrayStream* out) {
  *out = {.get_schema = get_schema,
          .get_next = get_next,
          .get_last_error = get_last_error,
          .release = release_stream,
          .private_data = new StreamMemory{std::move(source), ""}};
}

}  // namespace flowmeter
