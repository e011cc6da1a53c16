#include "python/autocast.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "ops/ops.h"
#include "tape/node.h"

namespace eg::python {
namespace {

// Of each device type: is a region open for its tensors, and what do they become?
struct Region {
  bool open = false;
  DType dtype = DType::BFloat16;
};
thread_local Region regions[kDeviceTypes];

// What became of a weight in the regions that are open: it is cast once, however often it is used.
struct Cast {
  Tensor weight, cast;
  const Storage* storage;
  uint32_t version;
};
using Casts = std::unordered_map<const void*, Cast>;
thread_local bool keeps_casts = true;
// Never destroyed: a thread may end when Python is no more.
Casts& casts() {
  thread_local auto* all = new Casts;
  return *all;
}

Tensor lowered(const Tensor& t, DType wanted) {
  const bool kept = keeps_casts && t.dtype() == DType::Float32 && grad_enabled() &&
                    t.requires_grad() && t.is_leaf();
  if (!kept) return to(t, wanted);
  Cast& found = casts()[t.operator->()];
  const bool fresh = found.cast.defined() && found.storage == &t.storage() &&
                     found.version == t.version() && found.cast.dtype() == wanted;
  if (!fresh) found = {t, to(t, wanted), &t.storage(), t.version()};
  return found.cast;
}

// PyTorch's lists, for each device type, under this core's names.
constexpr const char* kCpuLower =
    "matmul mm bmm addmm addbmm baddbmm linear convolution conv1d conv2d conv3d "
    "conv_transpose1d conv_transpose2d "
    "conv_transpose3d scaled_dot_product_attention rnn_layer rnn_tanh_cell rnn_relu_cell prelu";
constexpr const char* kCpuFull =
    "avg_pool3d binary_cross_entropy binary_cross_entropy_with_logits cross_entropy ctc_loss "
    "grid_sampler gru_cell "
    "huber_loss kl_div l1_loss lstm_cell mse_loss nll_loss prod smooth_l1_loss";
constexpr const char* kCudaLower =
    "matmul mm mv bmm addmm addmv addr addbmm baddbmm linear convolution conv1d conv2d conv3d "
    "conv_transpose1d "
    "conv_transpose2d conv_transpose3d scaled_dot_product_attention rnn_layer rnn_tanh_cell "
    "rnn_relu_cell lstm_cell "
    "gru_cell prelu";
constexpr const char* kCudaFull =
    "acos arccos asin arcsin cosh erfinv exp expm1 log log10 log1p log2 logsumexp pow reciprocal "
    "rsqrt sinh tan softplus "
    "layer_norm group_norm rms_norm vector_norm cumprod cumsum prod sum softmax log_softmax "
    "upsample "
    "binary_cross_entropy_with_logits cross_entropy huber_loss kl_div l1_loss mse_loss nll_loss "
    "smooth_l1_loss";
constexpr const char* kCudaWidest =
    "addcdiv addcmul atan2 arctan2 dot vdot grid_sampler index_put scatter_add";
constexpr const char* kCudaRefused = "binary_cross_entropy";

// set_autocast(dtype or None for the CPU, dtype or None for the GPU, are casts of weights kept?), for this thread.
PyObject* set_autocast(PyObject*, PyObject* const* dtypes, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(n == kDeviceTypes + 1,
                  "[set_autocast] expected a dtype or None for each device type, and a bool");
    Region made[kDeviceTypes];
    for (int i = 0; i < kDeviceTypes; ++i) {
      made[i].open = dtypes[i] != Py_None;
      EG_CHECK_TYPE(!made[i].open || as_dtype(dtypes[i], &made[i].dtype),
                    "[set_autocast] expected a dtype or None, but got ",
                    Py_TYPE(dtypes[i])->tp_name);
    }
    std::copy(made, made + kDeviceTypes, regions);
    keeps_casts = dtypes[kDeviceTypes] == Py_True;
    Py_RETURN_NONE;
  });
}

PyObject* clear_casts(PyObject*, PyObject*) {
  return guarded([&]() -> PyObject* {
    const Casts gone = std::move(casts());
    casts().clear();
    Py_RETURN_NONE;
  });
}

// autocast_on(device_type=any of them)
PyObject* is_on(PyObject*, PyObject* const* types, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n == 0) return PyBool_FromLong(autocast_on());
    const char* type = PyUnicode_AsUTF8(types[0]);
    if (!type) throw PythonError();
    return PyBool_FromLong(regions[std::strcmp(type, "cuda") == 0].open);
  });
}

PyMethodDef methods[] = {
    {"set_autocast", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(set_autocast)),
     METH_FASTCALL, "set_autocast(cpu_dtype, cuda_dtype, cache)"},
    {"clear_autocast_cache", clear_casts, METH_NOARGS, "clear_autocast_cache()"},
    {"autocast_on", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(is_on)),
     METH_FASTCALL, "autocast_on(device_type=None) -> bool"},
    {nullptr, nullptr, 0, nullptr}};

bool among(const char* list, const std::string& op) {
  const size_t start = op.find_first_not_of('_');
  if (start == std::string::npos) return false;
  return str(' ', list, ' ').find(str(' ', op.substr(start), ' ')) != std::string::npos;
}

// Is a region open for this tensor, and does it make anything of it?
bool reached(const Tensor& t) {
  return regions[static_cast<int>(t.device().type)].open && t.is_floating() &&
         t.dtype() != DType::Float64;
}

}  // namespace

bool autocast_on() { return regions[0].open || regions[1].open; }

AutocastRule autocasts(const std::string& op) {
  AutocastRule rule;
  rule.of[0] = among(kCpuLower, op)  ? Autocast::Lower
               : among(kCpuFull, op) ? Autocast::Full
                                     : Autocast::None;
  rule.of[1] = among(kCudaLower, op)     ? Autocast::Lower
               : among(kCudaFull, op)    ? Autocast::Full
               : among(kCudaWidest, op)  ? Autocast::Widest
               : among(kCudaRefused, op) ? Autocast::Refused
                                         : Autocast::None;
  return rule;
}

Tensor autocast(const Tensor& t, const AutocastRule& rule, bool wide) {
  if (!reached(t)) return t;
  const int type = static_cast<int>(t.device().type);
  DType wanted = t.dtype();
  switch (rule.of[type]) {
    case Autocast::None:
      break;
    case Autocast::Lower:
      wanted = regions[type].dtype;
      return t.dtype() != wanted ? lowered(t, wanted) : t;
    case Autocast::Widest:
      if (wide) wanted = DType::Float32;
      break;
    case Autocast::Full:
      wanted = DType::Float32;
      break;
    case Autocast::Refused:
      fail(ErrorKind::Runtime,
           "probabilities from a region may have lost what the logarithm needs: this loss is "
           "unsafe to "
           "autocast. Use binary_cross_entropy_with_logits (BCEWithLogitsLoss), or leave the "
           "region");
  }
  return t.dtype() != wanted ? to(t, wanted) : t;
}

namespace {

bool is_list(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o); }

// Has one of the tensors that a region reaches 32 bits?
bool any_wide(PyObject* const* values, size_t n) {
  return std::any_of(values, values + n, [](PyObject* v) {
    return v && is_tensor(v) && reached(unwrap(v)) && unwrap(v).dtype() == DType::Float32;
  });
}

// A list of tensors (the states and weights of a recurrent layer), each cast; null for anything else.
Object autocast_list(PyObject* items, const AutocastRule& rule) {
  if (!is_list(items)) return {};
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(items);
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!is_tensor(PySequence_Fast_GET_ITEM(items, i))) return {};
  Object list = checked(PyList_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    Object item = checked(wrap(autocast(unwrap(PySequence_Fast_GET_ITEM(items, i)), rule, false)));
    PyList_SET_ITEM(list.get(), i, item.release());
  }
  return list;
}

}  // namespace

void autocast(PyObject** values, size_t n, const AutocastRule& rule, SmallVec<Object, 4>& kept) {
  const bool wide = any_wide(values, n);
  for (size_t i = 0; i < n; ++i) {
    if (!values[i]) continue;
    Object cast = is_tensor(values[i]) ? checked(wrap(autocast(unwrap(values[i]), rule, wide)))
                                       : autocast_list(values[i], rule);
    if (!cast) continue;
    kept.push_back(cast);
    values[i] = kept.back().get();
  }
}

void add_autocast(PyObject* module) { checked(PyModule_AddFunctions(module, methods)); }

}  // namespace eg::python
