// SPDX-License-Identifier: BSD-3-Clause
// Row: a flow of a batch, by column name. It uses Python's C API instead of pybind11, because a Row
// is made for every flow. It makes Python objects only for cells that are read.
#pragma once

#include <Python.h>

#include <memory>
#include <string_view>

#include "api/flow_batch.h"

namespace flowmeter {

using SharedBatch = std::shared_ptr<const FlowBatch>;

// All return a new reference, or null with an exception set.

PyObject* new_text(std::string_view text);

// A new type; flowmeter.Flow is a subclass of it.
PyObject* make_row_type();

// values: a tuple with the cells, for a flow without a batch (one that was pickled), else null.
// names: a dict from the names of the columns, in order, to their indices.
PyObject* new_row(PyTypeObject* type, const SharedBatch& batch, size_t row, PyObject* values,
                  PyObject* names);

}  // namespace flowmeter
