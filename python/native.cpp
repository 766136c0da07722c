// SPDX-License-Identifier: BSD-3-Clause
// flowmeter._native: the meter as a library for Python. A thin layer: python/flowmeter/_run.py
// defines the interface of a run, api/metering.h runs it.
//
// The GIL is released while this module waits for the meter's thread. Python owns a batch of flows
// once it has taken it. Columns of numbers become NumPy arrays without a copy. A Row makes Python
// objects only for cells that are read.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>

#include "api/metering.h"
#include "features/columns_extra.h"
#include "run/options.h"

namespace py = pybind11;

namespace flowmeter {
namespace {

using SharedBatch = std::shared_ptr<const FlowBatch>;

// The longest time between checks for Python's signals.
constexpr std::chrono::milliseconds kTick{50};

PyObject* new_text(std::string_view text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

// Returns a new reference, or null with an exception set. An empty number is None.
PyObject* new_value(const CellArray& cells, size_t row) {
  switch (cells.type()) {
    case ColumnType::kInteger:
      return PyLong_FromLongLong(cells.integers()[row]);
    case ColumnType::kReal:
      if (std::isnan(cells.reals()[row])) Py_RETURN_NONE;
      return PyFloat_FromDouble(cells.reals()[row]);
    case ColumnType::kText:
      return new_text(cells.text(row));
  }
  Py_RETURN_NONE;
}

// ---- Row: a flow of a batch, by column name. It uses Python's C API instead of pybind11, because
// a Row is made for every flow.

struct Row {
  PyObject ob_base;  // what PyObject_HEAD declares
  SharedBatch batch;
  size_t row;
  PyObject* names;  // dict: name -> index of the column
};

Row* as_row(PyObject* self) {
  return reinterpret_cast<Row*>(self);
}

PyObject* new_row(PyTypeObject* type, const SharedBatch& batch, size_t row, PyObject* names) {
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&as_row(self)->batch) SharedBatch(batch);
  as_row(self)->row = row;
  as_row(self)->names = Py_NewRef(names);
  return self;
}

void delete_row(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  as_row(self)->batch.~SharedBatch();
  Py_DECREF(as_row(self)->names);
  type->tp_free(self);
  Py_DECREF(type);
}

Py_ssize_t row_length(PyObject* self) {
  return PyDict_Size(as_row(self)->names);
}

PyObject* row_value(PyObject* self, PyObject* name) {
  PyObject* index = PyDict_GetItemWithError(as_row(self)->names, name);
  if (!index) {
    if (!PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, name);
    return nullptr;
  }
  return new_value(as_row(self)->batch->columns[PyLong_AsSize_t(index)], as_row(self)->row);
}

PyObject* row_names(PyObject* self) {
  return PyObject_GetIter(as_row(self)->names);
}

PyObject* row_as_tuple(PyObject* self, PyObject*) {
  const FlowBatch& batch = *as_row(self)->batch;
  PyObject* values = PyTuple_New(static_cast<Py_ssize_t>(batch.columns.size()));
  if (!values) return nullptr;
  for (size_t i = 0; i < batch.columns.size(); i++) {
    PyObject* value = new_value(batch.columns[i], as_row(self)->row);
    if (!value) {
      Py_DECREF(values);
      return nullptr;
    }
    PyTuple_SET_ITEM(values, static_cast<Py_ssize_t>(i), value);
  }
  return values;
}

PyObject* row_as_dict(PyObject* self, PyObject*) {
  const FlowBatch& batch = *as_row(self)->batch;
  PyObject* values = PyDict_Copy(as_row(self)->names);
  if (!values) return nullptr;
  PyObject *name = nullptr, *index = nullptr;
  Py_ssize_t at = 0;
  size_t i = 0;
  while (PyDict_Next(as_row(self)->names, &at, &name, &index)) {
    PyObject* value = new_value(batch.columns[i++], as_row(self)->row);
    if (!value || PyDict_SetItem(values, name, value) != 0) {
      Py_XDECREF(value);
      Py_DECREF(values);
      return nullptr;
    }
    Py_DECREF(value);
  }
  return values;
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
                                {Py_tp_methods, methods},
                                {0, nullptr}};
  static PyType_Spec spec = {
      "flowmeter._native.Row", sizeof(Row), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  return PyType_FromSpec(&spec);
}

// ---- Batch

// A NumPy array over the batch's own numbers. The array keeps the batch alive.
template <typename Number>
py::array number_array(const SharedBatch& batch, const std::vector<Number>& numbers) {
  const py::capsule owner(new SharedBatch(batch),
                          [](void* kept) { delete static_cast<SharedBatch*>(kept); });
  return py::array_t<Number>(static_cast<py::ssize_t>(numbers.size()), numbers.data(), owner);
}

py::array text_array(const CellArray& cells, size_t rows) {
  py::array array(py::dtype("O"), std::vector<size_t>{rows});
  auto** at = static_cast<PyObject**>(array.mutable_data());
  for (size_t row = 0; row < rows; row++) {
    PyObject* text = cells.text(row).empty() ? Py_NewRef(Py_None) : new_text(cells.text(row));
    if (!text) throw py::error_already_set();
    Py_XSETREF(at[row], text);
  }
  return array;
}

struct Batch {
  SharedBatch flows;

  py::array column(size_t i) const {
    const CellArray& cells = flows->columns.at(i);
    if (cells.type() == ColumnType::kInteger) return number_array(flows, cells.integers());
    if (cells.type() == ColumnType::kReal) return number_array(flows, cells.reals());
    return text_array(cells, flows->rows);
  }

  py::list rows(const py::type& type, const py::dict& names) const {
    auto* row_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    py::list rows(flows->rows);
    for (size_t i = 0; i < flows->rows; i++) {
      PyObject* row = new_row(row_type, flows, i, names.ptr());
      if (!row) throw py::error_already_set();
      PyList_SET_ITEM(rows.ptr(), static_cast<Py_ssize_t>(i), row);
    }
    return rows;
  }
};

// ---- Meter

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void raise(const Error& error) {
  if (error.usage) throw py::value_error(error.doing);
  if (error.os_error == EPERM) {
    PyErr_SetString(PyExc_PermissionError, error.doing.c_str());
    throw py::error_already_set();
  }
  throw Failure(error.message());
}

const char* type_name(ColumnType type) {
  return type == ColumnType::kInteger ? "integer" : type == ColumnType::kReal ? "real" : "text";
}

py::tuple describe(const Column& column) {
  return py::make_tuple(column.name, unit_name(column.unit), column.definition(),
                        type_name(column.type));
}

class Meter {
 public:
  explicit Meter(const Metering::Keywords& options) {
    auto config = Metering::configure(options);
    if (!config) raise(config.error());
    auto run = start(std::move(*config));
    if (!run) raise(run.error());
    run_ = std::move(*run);
  }
  ~Meter() {
    if (run_ && run_->forked()) {  // a fork has none of the threads, not even those of the outputs
      (void)run_.release();
      return;
    }
    const py::gil_scoped_release release;
    run_.reset();
  }

  // Returns the next flows, or None at the end.
  std::optional<Batch> next_batch() {
    require_own_process();
    for (;;) {
      bool finished = false;
      std::unique_ptr<FlowBatch> batch;
      {
        const py::gil_scoped_release release;
        const std::lock_guard one(taking_);
        batch = run_->take(kTick);
        if (!batch) finished = run_->finished(std::chrono::milliseconds(0));
      }
      if (batch) return Batch{std::move(batch)};
      if (finished) return std::nullopt;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

  // Waits for the end of the run, without a limit if seconds is None. Returns whether it is over.
  bool wait(std::optional<double> seconds) {
    require_own_process();
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds.value_or(0));
    for (;;) {
      bool finished = false;
      {
        const py::gil_scoped_release release;
        finished = run_->finished(kTick);
      }
      if (finished || (seconds && Clock::now() >= end)) return finished;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

  void stop() { run_->stop(); }
  void abandon() { run_->abandon(); }
  bool succeeded() const { return run_->succeeded(); }
  bool outputs_complete() const { return run_->outputs_complete(); }

  py::list lines() {
    py::list lines;
    for (const LogLine& line : run_->lines()) lines.append(py::make_tuple(line.level, line.text));
    return lines;
  }

  py::list columns() const {
    py::list columns;
    for (const Column& column : run_->columns()) columns.append(describe(column));
    return columns;
  }

 private:
  void require_own_process() const {
    if (run_->forked())
      throw std::runtime_error("the run belongs to the process that started it, not to a fork");
  }

  static Result<std::unique_ptr<Metering>> start(Config config) {
    const py::gil_scoped_release release;
    return Metering::start(std::move(config));
  }

  std::unique_ptr<Metering> run_;
  std::mutex taking_;
};

py::list described(FeatureSet set) {
  py::list columns;
  for (const Column& column : set) columns.append(describe(column));
  return columns;
}

py::list columns_of(const std::string& name) {
  const NamedFeatureSet* set = find_feature_set(name);
  if (!set)
    throw py::value_error("\"" + name +
                          "\" is not a feature set (choose from: " + feature_set_names() + ")");
  return described(set->columns);
}

py::list all_feature_sets() {
  py::list sets;
  for (const NamedFeatureSet& set : feature_sets())
    sets.append(py::make_tuple(set.name, set.description));
  return sets;
}

// The options that are keyword arguments, in the order of help.
py::list keyword_options() {
  Config defaults;
  py::list all;
  for (const Option& option : options_of(defaults)) {
    if (!option.rules.is_keyword) continue;
    py::dict row;
    row["name"] = option.long_name();
    row["former_name"] = option.rules.former_name.empty() ? "" : option.long_names().back();
    row["live_only"] = option.rules.live_only;
    row["type"] = option.value.type;  // "": a flag
    row["words"] = option.value.words;
    row["default"] = !option.rules.shown_default.empty() ? std::string(option.rules.shown_default)
                     : option.value.in_force             ? option.value.in_force()
                                                         : "";
    row["help"] = option.help;
    all.append(std::move(row));
  }
  return all;
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "The flow meter's library. Its interface is the package flowmeter.";
  module.attr("version") = FLOWMETER_VERSION;
  module.attr("Row") = py::reinterpret_steal<py::object>(make_row_type());
  py::register_exception<Failure>(module, "Failure");

  py::class_<Batch>(module, "Batch")
      .def("__len__", [](const Batch& batch) { return batch.flows->rows; })
      .def("column", &Batch::column)
      .def("rows", &Batch::rows);

  py::class_<Meter>(module, "Meter")
      .def(py::init<const Metering::Keywords&>())
      .def("next_batch", &Meter::next_batch)
      .def("wait", &Meter::wait)
      .def("stop", &Meter::stop)
      .def("abandon", &Meter::abandon)
      .def("lines", &Meter::lines)
      .def_property_readonly("succeeded", &Meter::succeeded)
      .def_property_readonly("outputs_complete", &Meter::outputs_complete)
      .def_property_readonly("columns", &Meter::columns);

  module.def("columns_of", &columns_of);
  module.def("further_columns", [] { return described(columns_extra()); });
  module.def("feature_sets", &all_feature_sets);
  module.def("options", &keyword_options);
}

}  // namespace flowmeter
