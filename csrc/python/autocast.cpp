#include "python/autocast.h"

#include <algorithm>

#include "kernels/registry.h"
#include "ops/ops.h"

namespace eg::python {
namespace {

// Of each device type: is a region open for its tensors, and what do they become?
struct Region {
  bool open = false;
  DType dtype = DType::BFloat16;
};
thread_local Region regions[kDeviceTypes];

// What PyTorch runs in lower precision.
constexpr const char* kLower[] = {
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
    "rnn_tanh_cell",
    "rnn_relu_cell",
    "prelu",
};
// What it runs in float32 there, whatever dtype comes.
constexpr const char* kFull[] = {
    "avg_pool3d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "ctc_loss",
    "grid_sampler",
    "gru_cell",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "lstm_cell",
    "mse_loss",
    "nll_loss",
    "prod",
    "smooth_l1_loss",
};

// set_autocast(dtype or None for the CPU, dtype or None for the GPU), for this thread.
PyObject* set_autocast(PyObject*, PyObject* const* dtypes, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(n == kDeviceTypes,
                  "[set_autocast] expected a dtype or None for each device type");
    Region made[kDeviceTypes];
    for (int i = 0; i < kDeviceTypes; ++i) {
      made[i].open = dtypes[i] != Py_None;
      EG_CHECK_TYPE(!made[i].open || as_dtype(dtypes[i], &made[i].dtype),
                    "[set_autocast] expected a dtype or None, but got ",
                    Py_TYPE(dtypes[i])->tp_name);
    }
    std::copy(made, made + kDeviceTypes, regions);
    Py_RETURN_NONE;
  });
}

PyObject* is_on(PyObject*, PyObject*) { return PyBool_FromLong(autocast_on()); }

PyMethodDef methods[] = {
    {"set_autocast", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(set_autocast)),
     METH_FASTCALL, "set_autocast(cpu_dtype, cuda_dtype)"},
    {"autocast_on", is_on, METH_NOARGS, "autocast_on() -> bool"},
    {nullptr, nullptr, 0, nullptr}};

template <size_t n>
bool among(const char* const (&names)[n], const std::string& op) {
  const size_t start = op.find_first_not_of('_');
  if (start == std::string::npos) return false;
  return std::any_of(names, names + n, [&](const char* name) {
    return op.compare(start, std::string::npos, name) == 0;
  });
}

}  // namespace

bool autocast_on() { return regions[0].open || regions[1].open; }

Autocast autocasts(const std::string& op) {
  return among(kLower, op) ? Autocast::Lower : among(kFull, op) ? Autocast::Full : Autocast::None;
}

Tensor autocast(const Tensor& t, Autocast kind) {
  const Region& region = regions[static_cast<int>(t.device().type)];
  const bool reached = region.open && t.is_floating() && t.dtype() != DType::Float64;
  const DType wanted = kind == Autocast::Full ? DType::Float32 : region.dtype;
  return reached && t.dtype() != wanted ? to(t, wanted) : t;
}

namespace {

// A list of tensors (the states and weights of a recurrent layer), each cast; null for anything else.
Object autocast_list(PyObject* items, Autocast kind) {
  if (!PyList_Check(items) && !PyTuple_Check(items)) return {};
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(items);
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!is_tensor(PySequence_Fast_GET_ITEM(items, i))) return {};
  Object list = checked(PyList_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    Object item = checked(wrap(autocast(unwrap(PySequence_Fast_GET_ITEM(items, i)), kind)));
    PyList_SET_ITEM(list.get(), i, item.release());
  }
  return list;
}

}  // namespace

void autocast(PyObject** values, size_t n, Autocast kind, SmallVec<Object, 4>& kept) {
  for (size_t i = 0; i < n; ++i) {
    if (!values[i]) continue;
    Object cast = is_tensor(values[i]) ? checked(wrap(autocast(unwrap(values[i]), kind)))
                                       : autocast_list(values[i], kind);
    if (!cast) continue;
    kept.push_back(cast);
    values[i] = kept.back().get();
  }
}

void add_autocast(PyObject* module) { checked(PyModule_AddFunctions(module, methods)); }

}  // namespace eg::python
