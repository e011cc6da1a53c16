#include "python/autocast.h"

#include "ops/ops.h"

namespace eg::python {
namespace {

thread_local bool region_open = false;
thread_local DType region_dtype = DType::BFloat16;

// What PyTorch runs in lower precision on the CPU.
constexpr const char* kReached[] = {
    "matmul",
    "mm",
    "mv",
    "bmm",
    "addmm",
    "addbmm",
    "baddbmm",
    "linear",
    "convolution",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "scaled_dot_product_attention",
    "rnn_layer",
    "lstm_cell",
    "gru_cell",
    "rnn_tanh_cell",
    "rnn_relu_cell",
};

// set_autocast(dtype or None), for this thread.
PyObject* set_autocast(PyObject*, PyObject* dtype) {
  return guarded([&]() -> PyObject* {
    if (dtype != Py_None && !as_dtype(dtype, &region_dtype))
      fail(ErrorKind::Type, "[set_autocast] expected a dtype or None, but got ",
           Py_TYPE(dtype)->tp_name);
    region_open = dtype != Py_None;
    Py_RETURN_NONE;
  });
}

PyMethodDef methods[] = {{"set_autocast", set_autocast, METH_O, "set_autocast(dtype)"},
                         {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool autocast_on() { return region_open; }

bool autocasts(const std::string& op) {
  const size_t start = op.find_first_not_of('_');
  for (const char* name : kReached)
    if (start != std::string::npos && op.compare(start, std::string::npos, name) == 0) return true;
  return false;
}

Tensor autocast(const Tensor& t) {
  const bool reached = t.is_floating() && t.dtype() != DType::Float64 && t.device().is_cpu();
  return reached && t.dtype() != region_dtype ? to(t, region_dtype) : t;
}

namespace {

// A list of tensors (the states and weights of a recurrent layer), each cast; null for anything else.
Object autocast_list(PyObject* items) {
  if (!PyList_Check(items) && !PyTuple_Check(items)) return {};
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(items);
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!is_tensor(PySequence_Fast_GET_ITEM(items, i))) return {};
  Object list = checked(PyList_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    Object item = checked(wrap(autocast(unwrap(PySequence_Fast_GET_ITEM(items, i)))));
    PyList_SET_ITEM(list.get(), i, item.release());
  }
  return list;
}

}  // namespace

void autocast(PyObject** values, size_t n, SmallVec<Object, 4>& kept) {
  for (size_t i = 0; i < n; ++i) {
    if (!values[i]) continue;
    Object cast = is_tensor(values[i]) ? checked(wrap(autocast(unwrap(values[i]))))
                                       : autocast_list(values[i]);
    if (!cast) continue;
    kept.push_back(cast);
    values[i] = kept.back().get();
  }
}

void add_autocast(PyObject* module) { checked(PyModule_AddFunctions(module, methods)); }

}  // namespace eg::python
