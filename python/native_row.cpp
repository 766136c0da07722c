// SPDX-License-Identifier: BSD-3-Clause
#include "native_row.h"

namespace flowmeter {
namespace {

// The text of a cell of a text column.
std::string_view text_of(const CellArray& cells, size_t row) {
  return cells.text(cells.type() == ColumnType::kCategory ? static_cast<size_t>(cells.codes()[row])
                                                          : row);
}

// Returns a new reference, or null with an exception set. A number without a value is None; a text
// is "", as in the CSV.
PyObject* new_value(const CellArray& cells, size_t row) {
  if (!is_number(cells.type())) return new_text(text_of(cells, row));
  if (cells.is_null(row)) Py_RETURN_NONE;
  if (cells.type() == ColumnType::kInteger) return PyLong_FromLongLong(cells.integers()[row]);
  return PyFloat_FromDouble(cells.reals()[row]);
}

struct Row {
  PyObject ob_base;  // what PyObject_HEAD declares
  SharedBatch batch;
  size_t row;
  PyObject* values;  // tuple: the cells, if there is no batch (a flow that was pickled)
  PyObject* names;   // dict: name -> index of the column, in order
};

Row* as_row(PyObject* self) {
  return reinterpret_cast<Row*>(self);
}

void delete_row(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  as_row(self)->batch.~SharedBatch();
  Py_XDECREF(as_row(self)->values);
  Py_DECREF(as_row(self)->names);
  type->tp_free(self);
  Py_DECREF(type);
}

Py_ssize_t row_length(PyObject* self) {
  return PyDict_Size(as_row(self)->names);
}

PyObject* row_cell(PyObject* self, size_t column) {
  const Row& row = *as_row(self);
  if (row.values) return Py_NewRef(PyTuple_GET_ITEM(row.values, static_cast<Py_ssize_t>(column)));
  return new_value(row.batch->columns[column], row.row);
}

PyObject* row_value(PyObject* self, PyObject* name) {
  PyObject* index = PyDict_GetItemWithError(as_row(self)->names, name);
  if (!index) {
    if (!PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, name);
    return nullptr;
  }
  return row_cell(self, PyLong_AsSize_t(index));
}

// flow.src_ip is flow["src_ip"]. No column has the name of a method.
PyObject* row_attribute(PyObject* self, PyObject* name) {
  PyObject* index = PyDict_GetItemWithError(as_row(self)->names, name);
  if (index) return row_cell(self, PyLong_AsSize_t(index));
  return PyErr_Occurred() ? nullptr : PyObject_GenericGetAttr(self, name);
}

PyObject* row_names(PyObject* self) {
  return PyObject_GetIter(as_row(self)->names);
}

PyObject* row_as_tuple(PyObject* self, PyObject*) {
  const Py_ssize_t columns = row_length(self);
  PyObject* values = PyTuple_New(columns);
  if (!values) return nullptr;
  for (Py_ssize_t i = 0; i < columns; i++) {
    PyObject* value = row_cell(self, static_cast<size_t>(i));
    if (!value) {
      Py_DECREF(values);
      return nullptr;
    }
    PyTuple_SET_ITEM(values, i, value);
  }
  return values;
}

PyObject* row_as_dict(PyObject* self, PyObject*) {
  PyObject* values = PyDict_Copy(as_row(self)->names);
  if (!values) return nullptr;
  PyObject *name = nullptr, *index = nullptr;
  Py_ssize_t at = 0;
  size_t i = 0;
  while (PyDict_Next(as_row(self)->names, &at, &name, &index)) {
    PyObject* value = row_cell(self, i++);
    if (!value || PyDict_SetItem(values, name, value) != 0) {
      Py_XDECREF(value);
      Py_DECREF(values);
      return nullptr;
    }
    Py_DECREF(value);
  }
  return values;
}

}  // namespace

PyObject* new_text(std::string_view text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

PyObject* make_row_type() {
  static PyMethodDef methods[] = {
      {"as_tuple", row_as_tuple, METH_NOARGS, "The values, in the order of the columns."},
      {"as_dict", row_as_dict, METH_NOARGS, "A new dict with all columns."},
      {nullptr, nullptr, 0, nullptr}};
  static PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(delete_row)},
                                {Py_mp_length, reinterpret_cast<void*>(row_length)},
                                {Py_mp_subscript, reinterpret_cast<void*>(row_value)},
                                {Py_tp_iter, reinterpret_cast<void*>(row_names)},
                                {Py_tp_getattro, reinterpret_cast<void*>(row_attribute)},
                                {Py_tp_methods, methods},
                                {0, nullptr}};
  static PyType_Spec spec = {
      "flowmeter._native.Row", sizeof(Row), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  return PyType_FromSpec(&spec);
}

PyObject* new_row(PyTypeObject* type, const SharedBatch& batch, size_t row, PyObject* values,
                  PyObject* names) {
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&as_row(self)->batch) SharedBatch(batch);
  as_row(self)->row = row;
  as_row(self)->values = Py_XNewRef(values);
  as_row(self)->names = Py_NewRef(names);
  return self;
}

}  // namespace flowmeter
