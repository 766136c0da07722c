// SPDX-License-Identifier: BSD-3-Clause
// flowmeter._native: the meter as a library for Python. A thin layer: python/flowmeter/_run.py
// defines the interface of a run, api/metering.h runs it.
//
// The GIL is released while this module waits for the meter's thread. Python owns a batch of flows
// once it has taken it. Columns leave it without a copy, by the buffer protocol and by Arrow's C
// data interface. It must not use the binary interface of another package, such as NumPy's: that
// would bind it to some of their versions. A Row makes Python objects only for cells that are read.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <deque>
#include <set>
#include <thread>

#include "api/arrow.h"
#include "api/metering.h"
#include "features/columns_extra.h"
#include "native_batch.h"
#include "run/options.h"

namespace flowmeter {
namespace {

// The longest time between checks for Python's signals.
constexpr std::chrono::milliseconds kTick{50};

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
  switch (type) {
    case ColumnType::kInteger:
      return "integer";
    case ColumnType::kReal:
      return "real";
    case ColumnType::kText:
      return "text";
    case ColumnType::kCategory:
      return "category";
    case ColumnType::kTime:
      return "time";
  }
  return "";
}

// Name, unit, definition, type, and whether a number can be missing.
py::tuple describe(const Column& column) {
  return py::make_tuple(column.name, unit_name(column.unit), column.definition(),
                        type_name(column.type), column.may_be_empty);
}

// pybind11 takes the GIL by PyGILState, which in a sub-interpreter waits for itself, for ever.
bool in_sub_interpreter() {
  return PyInterpreterState_Get() != PyInterpreterState_Main();
}
constexpr const char* kOnlyMain = "flowmeter works only in Python's main interpreter";

// When Python ends, it ends other threads where they wait for the GIL, in a way that C++ does not
// survive. So end_all() waits for threads that are in native code without it, and from then on none
// gives it away.
std::atomic<bool> ending = false;
std::atomic<int> outside = 0;  // such threads

struct Outside {
  Outside() { outside++; }
  ~Outside() { outside--; }
};

// Releases the GIL, if this thread has it.
class WithoutGil {
 public:
  WithoutGil() {
    if (!PyGILState_Check() || ending) return;
    outside_.emplace();
    state_ = PyEval_SaveThread();
  }
  ~WithoutGil() {
    if (state_) PyEval_RestoreThread(state_);
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  std::optional<Outside> outside_;
  PyThreadState* state_ = nullptr;
};

class Meter {
 public:
  explicit Meter(const Metering::Keywords& options) {
    if (ending) throw Failure("Python is ending");
    // The module of the main interpreter may have been copied into the other one.
    if (in_sub_interpreter()) throw py::import_error(kOnlyMain);
    auto config = Metering::configure(options);
    if (!config) raise(config.error());
    auto run = start(std::move(*config));
    if (!run) raise(run.error());
    run_ = std::move(*run);
    running().insert(this);
  }
  ~Meter() {
    running().erase(this);
    if (run_ && run_->forked()) {  // a fork has none of the threads, not even those of the outputs
      (void)run_.release();
      return;
    }
    const WithoutGil without;
    run_.reset();
  }

  // Waits for the next flows; null at the end. The caller may or may not hold the GIL. Throws
  // error_already_set if a signal handler has raised an exception.
  SharedBatch next() {
    require_own_process();
    for (;;) {
      bool finished = false;
      std::unique_ptr<FlowBatch> batch;
      {
        // With it, the threads that a run may need (of a capture that is a Python file) would stop.
        const WithoutGil without;
        const std::lock_guard one(taking_);
        batch = run_->take(kTick);
        if (!batch) finished = run_->finished(std::chrono::milliseconds(0));
      }
      if (batch) rows_taken_ += batch->rows;
      if (batch || finished) return batch;
      const py::gil_scoped_acquire acquire;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

  // Returns the next flows, or None at the end.
  std::optional<Batch> next_batch() {
    SharedBatch batch = next();
    if (!batch) return std::nullopt;
    return Batch{std::move(batch)};
  }

  // Waits for the end of the run, without a limit if seconds is None. Returns whether it is over;
  // in a fork it is.
  bool wait(std::optional<double> seconds) {
    if (run_->forked()) return true;
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds.value_or(0));
    for (;;) {
      bool finished = false;
      {
        const WithoutGil without;
        finished = run_->finished(kTick);
      }
      if (finished || (seconds && Clock::now() >= end)) return finished;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

  void stop() { run_->stop(); }
  void abandon() { run_->abandon(); }
  uint64_t rows_taken() const { return rows_taken_; }
  // The packets and bytes of the captures that were read, and whether the run is over. It neither
  // waits nor releases the GIL.
  py::tuple progress() {
    return py::make_tuple(run_->packets_read(), run_->bytes_read(),
                          run_->finished(std::chrono::milliseconds(0)));
  }
  bool succeeded() const { return run_->succeeded(); }
  bool outputs_complete() const { return run_->outputs_complete(); }

  py::list lines() {
    py::list lines;
    for (const LogLine& line : run_->lines()) {
      // Like the names of files, which may be in it.
      PyObject* text = PyUnicode_DecodeFSDefaultAndSize(line.text.data(),
                                                        static_cast<Py_ssize_t>(line.text.size()));
      if (!text) throw py::error_already_set();
      lines.append(py::make_tuple(line.level, py::reinterpret_steal<py::str>(text)));
    }
    return lines;
  }

  py::list columns() const {
    py::list columns;
    for (const Column& column : run_->columns()) columns.append(describe(column));
    return columns;
  }

  py::list provenance() const {
    py::list all;
    for (const auto& [name, value] : run_->provenance()) all.append(py::make_tuple(name, value));
    return all;
  }

  const Metering& run() const { return *run_; }

  // Ends all runs of this process. Not a destructor of a static object, because at that time there
  // is no Python any more, which a run may need (of a capture that is a Python file).
  static void end_all() {
    ending = true;
    constexpr int kMostTicks = 1000;
    for (int tick = 0; !all_ended() && tick < kMostTicks; tick++) {
      {
        const py::gil_scoped_release release;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

 private:
  // Holding the GIL protects it.
  static std::set<Meter*>& running() {
    static std::set<Meter*> meters;
    return meters;
  }

  static bool all_ended() {
    bool all = outside <= 0;
    for (Meter* meter : running()) {
      if (meter->run_->forked()) continue;
      meter->abandon();
      all = meter->run_->finished(std::chrono::milliseconds(0)) && all;
    }
    return all;
  }

  void require_own_process() const {
    if (run_->forked())
      throw std::runtime_error("the run belongs to the process that started it, not to a fork");
  }

  static Result<std::unique_ptr<Metering>> start(Config config) {
    const WithoutGil without;
    return Metering::start(std::move(config));
  }

  std::unique_ptr<Metering> run_;
  std::mutex taking_;
  std::atomic<uint64_t> rows_taken_ = 0;
};

// ---- Arrow

// What an Arrow stream reads: parts of batches that were begun, and all later batches. The reader
// may be a thread without the GIL.
class ArrowSource final : public BatchSource {
 public:
  // after: a function that is called with each batch, and with None at the end; its second argument
  // is an exception that a signal handler has raised, or None.
  ArrowSource(py::object meter, std::deque<BatchPart> begun, py::object after)
      : meter_(std::move(meter)),
        after_(std::move(after)),
        run_(meter_.cast<Meter&>()),
        begun_(std::move(begun)) {}

  // Flows that were not read are lost.
  ~ArrowSource() override {
    run_.abandon();
    const Outside here;
    if (!ending || PyGILState_Check()) {
      const py::gil_scoped_acquire acquire;
      meter_ = after_ = py::object();
    } else {  // they end with Python
      (void)meter_.release();
      (void)after_.release();
    }
  }

  const std::vector<Column>& columns() const override { return run_.run().columns(); }
  ArrowMetadata metadata() const override { return table_metadata(run_); }

  Result<BatchPart> next() override {
    BatchPart part;
    if (!begun_.empty()) {
      part = begun_.front();
      begun_.pop_front();
      return part;
    }
    if (ended_) return part;
    const Outside here;
    if (ending && !PyGILState_Check()) return Error{"Python is ending"};
    try {
      part.batch = run_.next();
      ended_ = !part.batch;
      const py::gil_scoped_acquire acquire;
      after_(ended_ ? py::object(py::none()) : py::cast(Batch{part.batch}), py::none());
      return part;
    } catch (py::error_already_set& error) {
      const py::gil_scoped_acquire acquire;
      Error failure{text_of(error)};
      after_(py::none(), error.value());
      // The reader raises an exception of its own. Then the interrupt is raised again.
      if (error.matches(PyExc_KeyboardInterrupt)) PyErr_SetInterrupt();
      return failure;
    }
  }

  static ArrowMetadata table_metadata(const Meter& meter) {
    ArrowMetadata metadata = meter.run().provenance();
    for (auto& [name, value] : metadata) name.insert(0, "flowmeter.");
    return metadata;
  }

 private:
  static std::string text_of(const py::error_already_set& error) {
    std::string text = py::str(error.type().attr("__name__"));
    if (const std::string what = py::str(error.value()); !what.empty()) text += ": " + what;
    return text;
  }

  py::object meter_, after_;
  Meter& run_;
  std::deque<BatchPart> begun_;
  bool ended_ = false;
};

// A capsule that owns what the interface's structure holds, unless a reader has taken it.
template <typename Structure>
py::capsule capsule_of(std::unique_ptr<Structure> structure, const char* name) {
  return py::capsule(structure.release(), name, [](PyObject* capsule) {
    auto* kept = static_cast<Structure*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
    if (kept->release) kept->release(kept);
    delete kept;
  });
}

// begun: (batch, number of its last rows to read) of batches that were taken before.
py::capsule arrow_stream(const py::object& meter,
                         const std::vector<std::pair<Batch*, size_t>>& begun,
                         const py::object& after) {
  std::deque<BatchPart> parts;
  for (const auto& [batch, rest] : begun)
    if (rest > 0) parts.push_back({batch->flows, batch->flows->rows - rest});
  auto stream = std::make_unique<ArrowArrayStream>();
  export_stream(std::make_unique<ArrowSource>(meter, std::move(parts), after), stream.get());
  return capsule_of(std::move(stream), "arrow_array_stream");
}

py::capsule arrow_schema(const Meter& meter) {
  auto schema = std::make_unique<ArrowSchema>();
  export_schema(meter.run().columns(), ArrowSource::table_metadata(meter), schema.get());
  return capsule_of(std::move(schema), "arrow_schema");
}

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

// pybind11's entry point gets another name, because it must not be called in a sub-interpreter.
#define PyInit__native PyInit_native_of_pybind11
PYBIND11_MODULE(_native, module) {
  module.doc() = "The flow meter's library. Its interface is the package flowmeter.";
  module.attr("version") = FLOWMETER_VERSION;
  module.attr("Row") = py::reinterpret_steal<py::object>(make_row_type());
  py::register_exception<Failure>(module, "Failure");

  py::class_<Batch>(module, "Batch")
      .def("__len__", [](const Batch& batch) { return batch.flows->rows; })
      .def("numbers", &Batch::numbers)
      .def("nulls", &Batch::nulls)
      .def("texts", &Batch::texts)
      .def("rows", &Batch::rows)
      .def_property_readonly("unrepresentable_times", &Batch::unrepresentable_times);
  py::class_<Numbers>(module, "Numbers", py::buffer_protocol()).def_buffer(&Numbers::buffer);

  py::class_<Meter>(module, "Meter")
      .def(py::init<const Metering::Keywords&>())
      .def("next_batch", &Meter::next_batch)
      .def("wait", &Meter::wait)
      .def("stop", &Meter::stop)
      .def("abandon", &Meter::abandon)
      .def("lines", &Meter::lines)
      .def("progress", &Meter::progress)
      .def_property_readonly("rows_taken", &Meter::rows_taken)
      .def("provenance", &Meter::provenance)
      .def("arrow_schema", &arrow_schema)
      .def("arrow_stream", &arrow_stream)
      .def_property_readonly("succeeded", &Meter::succeeded)
      .def_property_readonly("outputs_complete", &Meter::outputs_complete)
      .def_property_readonly("columns", &Meter::columns);

  module.def("end_all", &Meter::end_all);
  module.def("after_fork", [] { outside = 0; });  // the other threads are not in the child
  module.def("row_of", &row_of);
  module.def("columns_of", &columns_of);
  module.def("further_columns", [] { return described(columns_extra()); });
  module.def("feature_sets", &all_feature_sets);
  module.def("options", &keyword_options);
}
#undef PyInit__native

extern "C" PYBIND11_EXPORT PyObject* PyInit__native() {
  if (!in_sub_interpreter()) return PyInit_native_of_pybind11();
  PyErr_SetString(PyExc_ImportError, kOnlyMain);
  return nullptr;
}

}  // namespace flowmeter
