// SPDX-License-Identifier: BSD-3-Clause
// A batch of flows for Python: its columns as buffers and lists, and its rows.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "native_row.h"

namespace flowmeter {

namespace py = pybind11;

// One column of a batch: a buffer of its numbers.
struct Numbers {
  SharedBatch batch;
  const CellArray& cells;

  py::buffer_info buffer() const {
    if (cells.type() == ColumnType::kReal) return buffer_of(cells.reals());
    return buffer_of(cells.integers());
  }

 private:
  template <typename Number>
  static py::buffer_info buffer_of(const std::vector<Number>& numbers) {
    return {const_cast<Number*>(numbers.data()),
            sizeof(Number),
            py::format_descriptor<Number>::format(),
            1,
            {static_cast<py::ssize_t>(numbers.size())},
            {sizeof(Number)},
            true};
  }
};

struct Batch {
  SharedBatch flows;

  // Requires: a column of numbers.
  Numbers numbers(size_t i) const { return {flows, flows->columns.at(i)}; }

  // The rows without a value in a column.
  py::list nulls(size_t i) const {
    const CellArray& cells = flows->columns.at(i);
    py::list rows;
    if (cells.null_count() > 0)
      for (size_t row = 0; row < flows->rows; row++)
        if (cells.is_null(row)) rows.append(row);
    return rows;
  }

  // Texts; an empty one is None. Equal texts of a category are one object.
  py::list texts(size_t i) const {
    const CellArray& cells = flows->columns.at(i);
    std::vector<py::object> categories;
    if (cells.type() == ColumnType::kCategory)
      for (size_t code = 0; code + 1 < cells.text_ends().size(); code++)
        categories.push_back(text_or_none(cells.text(code)));
    py::list texts(flows->rows);
    for (size_t row = 0; row < flows->rows; row++) {
      py::object text = cells.type() == ColumnType::kCategory
                            ? categories[static_cast<size_t>(cells.codes()[row])]
                            : text_or_none(cells.text(row));
      PyList_SET_ITEM(texts.ptr(), static_cast<py::ssize_t>(row), text.release().ptr());
    }
    return texts;
  }

  // The number of times that are null, because a timestamp cannot represent them.
  size_t unrepresentable_times() const {
    size_t count = 0;
    for (const CellArray& cells : flows->columns)
      if (cells.type() == ColumnType::kTime) count += cells.null_count();
    return count;
  }

  py::list rows(const py::type& type, const py::dict& names) const {
    auto* row_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    py::list rows(flows->rows);
    for (size_t i = 0; i < flows->rows; i++) {
      PyObject* row = new_row(row_type, flows, i, nullptr, names.ptr());
      if (!row) throw py::error_already_set();
      PyList_SET_ITEM(rows.ptr(), static_cast<Py_ssize_t>(i), row);
    }
    return rows;
  }

 private:
  static py::object text_or_none(std::string_view text) {
    if (text.empty()) return py::none();
    PyObject* object = new_text(text);
    if (!object) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(object);
  }
};

// A row that has its own cells.
inline py::object row_of(const py::type& type, const py::dict& names, const py::tuple& values) {
  if (names.size() != values.size()) throw py::value_error("there must be a value for each name");
  PyObject* row =
      new_row(reinterpret_cast<PyTypeObject*>(type.ptr()), nullptr, 0, values.ptr(), names.ptr());
  if (!row) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(row);
}

}  // namespace flowmeter
