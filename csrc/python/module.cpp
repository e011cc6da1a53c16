// eagergrad._C
#include <pybind11/pybind11.h>

#include <chrono>

#include "core/gil.h"
#include "core/parallel.h"
#include "kernels/copy.h"
#include "kernels/gemm.h"
#include "kernels/registry.h"
#include "ops/copy.h"
#include "ops/registry.h"
#include "python/autocast.h"
#include "python/autograd.h"
#include "python/common.h"

namespace py = pybind11;

namespace eg::python {

// --- Generator ---------------------------------------------------------------------------------------------------

PyTypeObject* generator_class = nullptr;

struct PyGenerator {
  Ref<Generator> generator;
};

Generator* generator_of(PyObject* o) {
  return py::cast<PyGenerator&>(py::handle(o)).generator.get();
}

void add_cuda(py::module_& m);  // cuda.cpp

static void add_generator(py::module_& m) {
  auto c =
      py::class_<PyGenerator>(m, "Generator",
                              "State of a stream of random numbers.\n\n"
                              "Generator(device='cpu')")
          .def(py::init(
                   [](const py::object&) { return PyGenerator{new Generator(67280421310721)}; }),
               py::arg("device") = py::none())
          .def(
              "manual_seed",
              [](py::object self, const py::int_& seed) {
                const py::int_ low = py::reinterpret_steal<py::int_>(
                    PyNumber_And(seed.ptr(), py::int_(UINT64_MAX).ptr()));
                self.cast<PyGenerator&>().generator->seed(low.cast<uint64_t>());
                return self;
              },
              py::arg("seed"), "Starts the stream of the given seed; returns the generator.")
          .def_property_readonly(
              "device",
              [](PyGenerator&) { return py::reinterpret_steal<py::object>(from_device(Device{})); })
          .def(
              "get_state",
              [](PyGenerator& g) {
                Tensor t = empty({16}, DType::UInt8, Device{});
                const uint64_t words[] = {g.generator->initial_seed(), g.generator->offset()};
                std::memcpy(t.raw(), words, 16);
                return py::reinterpret_steal<py::object>(wrap(t));
              },
              "The state as a tensor of 16 bytes.")
          .def(
              "set_state",
              [](py::object self, py::object state) {
                if (!is_tensor(state.ptr()))
                  throw py::type_error("expected a state as a ByteTensor");
                const Tensor t = contiguous_data(unwrap(state.ptr()));
                if (t.dtype() != DType::UInt8 || t.numel() != 16)
                  throw py::value_error("RNG state is wrong size: expected 16 bytes");
                uint64_t words[2];
                std::memcpy(words, t.raw(), 16);
                self.cast<PyGenerator&>().generator->set_state(words[0], words[1]);
                return self;
              },
              py::arg("new_state"), "Continues from a state of get_state().")
          .def(
              "seed",
              [](PyGenerator& g) {
                const py::object bytes = py::module_::import("os").attr("urandom")(8);
                uint64_t s;
                std::memcpy(&s, PyBytes_AsString(bytes.ptr()), 8);
                g.generator->seed(s);
                return s;
              },
              "Starts a stream from the system's randomness; returns the seed.")
          .def(
              "clone_state",
              [](PyGenerator& g) {
                Ref<Generator> copy(new Generator(0));
                copy->set_state(g.generator->initial_seed(), g.generator->offset());
                return PyGenerator{copy};
              },
              "Another generator that goes on as this one would.")
          .def("initial_seed", [](PyGenerator& g) { return g.generator->initial_seed(); })
          .def("_state",
               [](PyGenerator& g) {
                 return py::make_tuple(g.generator->initial_seed(), g.generator->offset());
               })
          .def("_set_state", [](PyGenerator& g, uint64_t seed, uint64_t offset) {
            g.generator->set_state(seed, offset);
          });
  generator_class = reinterpret_cast<PyTypeObject*>(c.ptr());
  m.attr("default_generator") = py::cast(PyGenerator{Ref<Generator>(&default_generator())});
}

// --- the interpreter's lock and Ctrl-C -----------------------------------------------------------------------------

std::atomic<int> working_unlocked{0};

static void* release_gil() {
  if (!PyGILState_Check()) return nullptr;
  ++working_unlocked;
  return PyEval_SaveThread();
}
static void acquire_gil(void* state) {
  PyEval_RestoreThread(static_cast<PyThreadState*>(state));
  --working_unlocked;
}

static void warn(const std::string& message) {
  if (PyErr_WarnEx(PyExc_UserWarning, message.c_str(), 1) < 0) throw PythonError();
}

static void poll() {
  using Clock = std::chrono::steady_clock;
  static thread_local Clock::time_point last{};
  const auto now = Clock::now();
  if (now - last < std::chrono::milliseconds(50)) return;
  last = now;
  const PyGILState_STATE state = PyGILState_Ensure();
  const int status = PyErr_CheckSignals();
  PyGILState_Release(state);
  if (status != 0) throw PythonError();
}

}  // namespace eg::python

PYBIND11_MODULE(_C, m) {
  using namespace eg;
  using namespace eg::python;
  m.doc() = "eagergrad's core: tensors, tape and CPU kernels.";
  if (!KernelSlot<CopyKernels>::table[0])
    throw py::import_error("this build of eagergrad has no kernels for instruction-set level " +
                           std::to_string(isa_level()) +
                           " or below (EAGERGRAD_BUILD_ISA, EAGERGRAD_ISA)");
  gil_hooks = {&release_gil, &acquire_gil};
  poll_interrupt = &poll;
  warn_user = &warn;
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error&) {
      set_python_error();
    } catch (const PythonError&) {
    }
  });
  try {
    checked(PyModule_AddObjectRef(m.ptr(), "TensorBase",
                                  reinterpret_cast<PyObject*>(make_tensor_type(m.ptr()))));
    checked(PyModule_AddObjectRef(m.ptr(), "Op", make_op_type()));
    add_autograd(m.ptr());
    add_generator(m);
    add_ops(m.ptr());
    add_subclasses(m.ptr());
    add_optim(m.ptr());
    add_autocast(m.ptr());
    add_nn_module(m.ptr());
    add_profile(m.ptr());
    add_watch(m.ptr());
    add_cuda(m);
  } catch (...) {
    set_python_error();
    throw py::error_already_set();
  }
  static PyMethodDef functions[] = {{"register_types", register_types, METH_O, nullptr},
                                    {"from_nested", from_nested, METH_VARARGS, nullptr},
                                    {"share_array", share_array, METH_O, nullptr},
                                    {nullptr, nullptr, 0, nullptr}};
  PyModule_AddFunctions(m.ptr(), functions);
  m.attr("SizeBase") = py::reinterpret_steal<py::object>(size_base());
  m.def("install_site_hooks",
        [](const std::string& folder) { install_site_hooks(folder.c_str()); });
  m.def("from_array", [](py::object array) {
    return py::reinterpret_steal<py::object>(wrap(from_array(array.ptr())));
  });
  m.def("freeze", [](py::object tensor) {
    if (!is_tensor(tensor.ptr())) throw py::type_error("expected a Tensor");
    unwrap(tensor.ptr()).storage().freeze();
  });
  m.def("set_num_threads", [](int n) { set_num_threads(n); });
  m.def("get_num_threads", [] { return num_threads(); });
  m.def("set_blas_path", [](const std::string& path) { set_blas_path(path.c_str()); });
  m.def("isa_level", [] { return isa_level(); });
  m.def("memory_stats", [] {
    const MemoryStats s = memory_stats();
    py::dict d;
    d["live"] = s.live;
    d["cached"] = s.cached;
    d["peak"] = s.peak;
    d["allocations"] = s.allocations;
    return d;
  });
  m.def("reset_peak_memory", [] { reset_peak_memory(); });
  m.def("empty_cache", [] { empty_cache(); });
  m.def("get_default_dtype",
        [] { return py::reinterpret_steal<py::object>(from_dtype(default_dtype())); });
  m.def("set_default_dtype", [](py::object o) {
    DType t;
    if (!as_dtype(o.ptr(), &t)) throw py::type_error("invalid dtype object");
    set_default_dtype(t);
  });
}
