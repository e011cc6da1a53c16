// Starting a GPU and asking after its memory.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "core/device.h"
#include "cuda/attention_cudnn.h"
#include "cuda/cudnn.h"
#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/nvidia.h"
#include "ops/linalg.h"
#include "python/common.h"

namespace py = pybind11;

namespace eg::python {

// Python compiles kernels: compile(device, file, expression) -> the address of what the driver launches.
static cuda::Compile compiler(py::object compile) {
  auto* kept = new py::object(std::move(compile));  // lives as long as the process
  return [kept](int device, const char* file, const char* expression) {
    const py::gil_scoped_acquire gil;
    const Object made =
        checked(PyObject_CallFunction(kept->ptr(), "iss", device, file, expression));
    void* p = PyLong_AsVoidPtr(made.get());
    if (!p && PyErr_Occurred()) throw PythonError();
    return p;
  };
}

// CuPy's current stream, by the function that its own modules call (a capsule "intptr_t (void)"), or by Python.
static std::function<void*(int)> stream_getter(const py::object& source) {
  if (PyCapsule_IsValid(source.ptr(), "intptr_t (void)")) {
    auto* get =
        reinterpret_cast<intptr_t (*)()>(PyCapsule_GetPointer(source.ptr(), "intptr_t (void)"));
    return [get](int) {
      const py::gil_scoped_acquire gil;
      return reinterpret_cast<void*>(get());
    };
  }
  auto* kept = new py::object(source);
  return [kept](int) {
    const py::gil_scoped_acquire gil;
    return PyLong_AsVoidPtr(checked(PyObject_CallNoArgs(kept->ptr())).get());
  };
}

// allocate(device, bytes) -> address, 0 if there is no memory; release(device, address); stream: see above.
static size_t nvidia(py::object allocate, py::object release, const py::object& stream) {
  auto* take = new py::object(std::move(allocate));
  auto* give = new py::object(std::move(release));
  cuda::Host host;
  host.allocate = [take](int device, size_t bytes) -> void* {
    const py::gil_scoped_acquire gil;
    return PyLong_AsVoidPtr(
        checked(PyObject_CallFunction(take->ptr(), "in", device, Py_ssize_t(bytes))).get());
  };
  host.release = [give](int device, void* p) {
    const py::gil_scoped_acquire gil;
    const Object address = checked(PyLong_FromVoidPtr(p));
    checked(PyObject_CallFunction(give->ptr(), "iO", device, address.get()));
  };
  host.stream = stream_getter(stream);
  return reinterpret_cast<size_t>(cuda::nvidia_driver(std::move(host)));
}

// A Python object that any thread may let go of.
static std::shared_ptr<py::object> shared(py::object x) {
  return {new py::object(std::move(x)), [](py::object* p) {
            const py::gil_scoped_acquire gil;
            delete p;
          }};
}

// What Python raises in a call goes on as the core's own exceptions do.
template <class F>
static auto passing_on(F call) {
  try {
    return call();
  } catch (py::error_already_set& e) {
    e.restore();
    throw PythonError();
  }
}

// plan(device, backward, dtype, sizes, scale, causal, strides) -> (bytes of workspace, run), or None;
// run(addresses, workspace, stream) -> what went wrong, if anything. Sizes and strides: cuda/attention_cudnn.h.
static void set_attention_planner(const py::object& plan, py::object warn) {
  cuda::AttentionPlanner planner;
  if (!plan.is_none())
    planner = [p = shared(plan)](const cuda::AttentionRequest& r) {
      const py::gil_scoped_acquire gil;
      const AttentionShape& s = r.shape;
      const auto sizes =
          py::make_tuple(s.batch, s.heads, s.kv_heads, s.queries, s.keys, s.width, s.value_width);
      const py::object made = passing_on([&] {
        return (*p)(r.device, r.backward, str(s.dtype), sizes, s.scale, s.causal,
                    py::tuple(py::cast(r.strides)));
      });
      std::optional<cuda::AttentionPlan> result;
      if (made.is_none()) return result;
      const auto [bytes, run] = made.cast<std::pair<size_t, py::object>>();
      result = {bytes, [f = shared(run)](const std::vector<const void*>& matrices, void* workspace,
                                         void* stream) {
                  const py::gil_scoped_acquire held;
                  py::tuple addresses(matrices.size());
                  for (size_t i = 0; i < matrices.size(); ++i)
                    addresses[i] = reinterpret_cast<size_t>(matrices[i]);
                  const py::object error = passing_on([&] {
                    return (*f)(addresses, reinterpret_cast<size_t>(workspace),
                                reinterpret_cast<size_t>(stream));
                  });
                  return error.cast<std::string>();
                }};
      return result;
    };
  cuda::set_attention_planner(std::move(planner),
                              [f = shared(std::move(warn))](const std::string& message) {
                                const py::gil_scoped_acquire gil;
                                passing_on([&] { return (*f)(message); });
                              });
}

// Python has the libraries that factor matrices on a GPU.
static TensorList factorized(const char* name, const TensorList& inputs, bool flag, bool second) {
  const py::gil_scoped_acquire gil;
  const Object given = checked(PyTuple_New(Py_ssize_t(inputs.size())));
  for (size_t i = 0; i < inputs.size(); ++i)
    PyTuple_SET_ITEM(given.get(), Py_ssize_t(i), wrap(inputs[i]));
  const Object made =
      checked(PyObject_CallFunction(helper("factorized"), "sOOO", name, given.get(),
                                    flag ? Py_True : Py_False, second ? Py_True : Py_False));
  TensorList results;
  EG_CHECK_TYPE(PyTuple_Check(made.get()), "[linalg] expected a tuple of tensors");
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(made.get()); ++i) {
    PyObject* t = PyTuple_GET_ITEM(made.get(), i);
    EG_CHECK_TYPE(is_tensor(t), "[linalg] expected a tuple of tensors");
    results.push_back(unwrap(t));
  }
  return results;
}

// The GPU of that number. Raises before any is started, and where there is none of that number.
static Device gpu(int number) {
  const int gpus = cuda::driver().device_count;
  EG_CHECK(number >= 0 && number < gpus, "invalid device ordinal: cuda:", number,
           " was asked for, and there are ", gpus, " GPUs");
  return {DeviceType::CUDA, static_cast<int8_t>(number)};
}

void add_cuda(py::module_& m) {
  factorized_elsewhere = &factorized;
  m.def("cuda_count", [] {
    std::string why;
    const int n = cuda::count_devices(&why);
    return py::make_tuple(n, why);
  });
  m.def("cuda_nvidia", &nvidia);
  m.def("cuda_set_tf32", &cuda::set_tf32);
  m.def("cudnn_add_path", [](const std::string& path) { cuda::add_cudnn_path(path.c_str()); });
  m.def("cudnn_version", &cuda::cudnn_version);
  m.def("cudnn_set", [](bool enabled, bool allow_tf32, bool benchmark) {
    cuda::set_cudnn({enabled, allow_tf32, benchmark});
  });
  m.def("cudnn_attention_planner", &set_attention_planner);
  m.def("cudnn_set_attention", &cuda::set_cudnn_attention);
  m.def("cuda_start", [](size_t driver, py::object compile) {
    cuda::start(reinterpret_cast<const cuda::Driver*>(driver), compiler(std::move(compile)));
  });
  m.def("cuda_started", [] { return devices_in_use; });
  m.def("cuda_device_count", [] { return cuda::driver().device_count; });
  m.def("cuda_memory_stats", [](int device) {
    const MemoryStats s = cuda::memory_stats(device);
    return py::make_tuple(s.live, s.cached, s.peak, s.allocations);
  });
  m.def("cuda_live_blocks", [](int device) {
    py::list all;
    for (const cuda::LiveBlocks& b : cuda::live_blocks(device))
      all.append(py::make_tuple(b.where, b.bytes, b.count));
    return all;
  });
  // random: address of a RandomPlace in device memory.
  m.def("cuda_begin_capture",
        [](size_t random) { cuda::begin_capture(reinterpret_cast<const RandomPlace*>(random)); });
  m.def("cuda_end_capture", &cuda::end_capture);
  m.def("cuda_capturing", &cuda::capturing);
  // The graph of that address will not be replayed any more.
  m.def("cuda_drop_graph",
        [](size_t random) { cuda::drop_graph_memory(reinterpret_cast<const void*>(random)); });
  m.def("cuda_current", &cuda::current);
  m.def("cuda_set_current", &cuda::set_current);
  m.def(
      "cuda_table_kernels",
      [](const py::object& dtype, bool strided) {
        DType t;
        if (!as_dtype(dtype.ptr(), &t)) throw py::type_error("invalid dtype object");
        py::list all;
        for (const std::string& e : cuda::table_kernels(t, strided)) all.append(e);
        return all;
      },
      py::arg("dtype"), py::arg("strided") = false);
  // A tensor over device memory that `owner` keeps alive. Sizes and strides count elements.
  m.def("from_device_memory", [](size_t address, const std::vector<int64_t>& sizes,
                                 const std::vector<int64_t>& strides, const py::object& dtype,
                                 int device, py::object owner, bool writable) {
    DType t;
    if (!as_dtype(dtype.ptr(), &t)) throw py::type_error("invalid dtype object");
    if (sizes.size() != strides.size()) throw py::value_error("as many strides as sizes");
    const Device where = gpu(device);
    int64_t last = 0;  // the furthest element
    for (size_t i = 0; i < sizes.size(); ++i) {
      int64_t span;
      EG_CHECK_VALUE(strides[i] >= 0, "negative strides are not supported");
      EG_CHECK_VALUE(!__builtin_mul_overflow(sizes[i] - 1, strides[i], &span) &&
                         !__builtin_add_overflow(last, span, &last) && last < (int64_t(1) << 59),
                     "the array's strides reach beyond memory");
    }
    const size_t items = checked_numel(sizes) ? size_t(last) + 1 : 0;
    auto* kept = new py::object(std::move(owner));
    Tensor whole = empty({0}, t, where);
    whole->storage = Storage::borrow(reinterpret_cast<void*>(address), items * item_size(t), where,
                                     writable, [kept] {
                                       const py::gil_scoped_acquire gil;
                                       delete kept;
                                     });
    const Dims s(sizes.begin(), sizes.end()), st(strides.begin(), strides.end());
    return py::reinterpret_steal<py::object>(wrap(alias(whole, s, st, 0)));
  });
  m.def("cuda_reset_peak", &cuda::reset_peak_memory);
  m.def("cuda_record_stream", [](py::object tensor, size_t stream) {
    if (!is_tensor(tensor.ptr())) throw py::type_error("expected a Tensor");
    const Tensor t = unwrap(tensor.ptr());
    if (t.device().is_cpu())
      fail(ErrorKind::NotImplemented, "[record_stream] expected a tensor on a GPU, came one on ",
           t.device());
    cuda::note_reader(t.device().index, t.storage().data(), reinterpret_cast<void*>(stream));
  });
  m.def("cuda_empty_cache", [] { cuda::empty_cache(); });
  m.def("cuda_synchronize", [](int device) {
    const Device where = gpu(device);
    device_memory->synchronize(where);
  });
  m.def("set_active_device", [](const std::string& type, int index) {
    active_device = type == "cpu" ? Device{} : gpu(index);
  });
}

}  // namespace eg::python
