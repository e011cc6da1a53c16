// The step of an optimizer: one call a parameter group, which reads options, gradients and state where Python keeps them.
//
// Nothing is cached between calls: a user may replace any entry of state or group at any time. Looking them all up costs
// about 20 ns an entry.
#include "ops/optim.h"

#include "python/common.h"

namespace eg::python {
namespace {

struct NumberOption {
  const char* key;
  double OptimOptions::* field;
};
constexpr NumberOption kNumbers[] = {
    {"lr", &OptimOptions::lr},
    {"weight_decay", &OptimOptions::weight_decay},
    {"eps", &OptimOptions::eps},
    {"momentum", &OptimOptions::momentum},
    {"dampening", &OptimOptions::dampening},
    {"momentum_decay", &OptimOptions::momentum_decay},
    {"lr_decay", &OptimOptions::lr_decay},
    {"rho", &OptimOptions::rho},
    {"alpha", &OptimOptions::alpha},
    {"lambd", &OptimOptions::lambd},
    {"t0", &OptimOptions::t0},
};
struct PairOption {
  const char* key;
  double OptimOptions::* first;
  double OptimOptions::* second;
};
constexpr PairOption kPairs[] = {
    {"betas", &OptimOptions::beta1, &OptimOptions::beta2},
    {"etas", &OptimOptions::eta_minus, &OptimOptions::eta_plus},
    {"step_sizes", &OptimOptions::step_min, &OptimOptions::step_max},
};
struct FlagOption {
  const char* key;
  bool OptimOptions::* field;
};
constexpr FlagOption kFlags[] = {
    {"maximize", &OptimOptions::maximize},
    {"nesterov", &OptimOptions::nesterov},
    {"amsgrad", &OptimOptions::amsgrad},
    {"centered", &OptimOptions::centered},
    {"decoupled_weight_decay", &OptimOptions::decoupled},
};

constexpr int kKeys = std::size(kNumbers) + std::size(kPairs) + std::size(kFlags);

// The keys above as interned strings, made once.
PyObject* const* keys() {
  static PyObject* interned[kKeys];
  static const bool made = [] {
    int k = 0;
    for (const auto& o : kNumbers) interned[k++] = PyUnicode_InternFromString(o.key);
    for (const auto& o : kPairs) interned[k++] = PyUnicode_InternFromString(o.key);
    for (const auto& o : kFlags) interned[k++] = PyUnicode_InternFromString(o.key);
    return true;
  }();
  static_cast<void>(made);
  return interned;
}

// Borrowed; null if the key is missing.
PyObject* lookup(PyObject* dict, PyObject* key) {
  PyObject* found = PyDict_GetItemWithError(dict, key);
  if (!found && PyErr_Occurred()) throw PythonError();
  return found;
}

double as_number(PyObject* o) {
  const double value = PyFloat_CheckExact(o) ? PyFloat_AS_DOUBLE(o) : PyFloat_AsDouble(o);
  if (value == -1.0 && PyErr_Occurred()) throw PythonError();
  return value;
}

OptimOptions read_options(PyObject* group) {
  OptimOptions options;
  PyObject* const* key = keys();
  for (const auto& o : kNumbers)
    if (PyObject* value = lookup(group, *key++)) options.*o.field = as_number(value);
  for (const auto& o : kPairs) {
    if (PyObject* value = lookup(group, *key++)) {
      options.*o.first = as_number(checked(PySequence_GetItem(value, 0)).get());
      options.*o.second = as_number(checked(PySequence_GetItem(value, 1)).get());
    }
  }
  for (const auto& o : kFlags) {
    if (PyObject* value = lookup(group, *key++)) {
      const int truth = PyObject_IsTrue(value);
      checked(truth);
      options.*o.field = truth != 0;
    }
  }
  options.decays = options.weight_decay != 0;
  options.has_momentum = options.momentum != 0;
  return options;
}

// The options that may be tensors, as tensors: a differentiable step lets gradients through to them.
OptimOptionsOf<Tensor> tensor_options(const OptimOptions& o, PyObject* group) {
  OptimOptionsOf<Tensor> t;
  static_cast<OptimConstants&>(t) = o;
  const auto take = [&](PyObject* value, double number) {
    return value && is_tensor(value) ? unwrap(value) : Tensor(number);
  };
  const auto named = [&](const char* key, double number) {
    return take(PyDict_GetItemString(group, key), number);
  };
  t.lr = named("lr", o.lr);
  t.weight_decay = named("weight_decay", o.weight_decay);
  t.momentum = named("momentum", o.momentum);
  t.beta1 = Tensor(o.beta1);
  t.beta2 = Tensor(o.beta2);
  if (PyObject* betas = PyDict_GetItemString(group, "betas")) {
    t.beta1 = take(checked(PySequence_GetItem(betas, 0)).get(), o.beta1);
    t.beta2 = take(checked(PySequence_GetItem(betas, 1)).get(), o.beta2);
  }
  return t;
}

bool is_true(PyObject* dict, const char* key) {
  PyObject* value = PyDict_GetItemString(dict, key);
  return value && PyObject_IsTrue(value) == 1;
}

// Where one tensor of the state goes.
struct Slot {
  Object key;
  Tensor OptimParam::* scalar = nullptr;
  int index = 0;
  bool is_scalar = false;
  Tensor& in(OptimParam& p) const {
    if (scalar) return p.*scalar;
    return is_scalar ? p.scalar[index] : p.state[index];
  }
};

std::vector<Slot> slots_of(const OptimNames& names) {
  std::vector<Slot> slots;
  const auto add = [&](const char* name, Tensor OptimParam::* field, int index, bool is_scalar) {
    slots.push_back({checked(PyUnicode_InternFromString(name)), field, index, is_scalar});
  };
  if (names.counts) add("step", &OptimParam::step, 0, true);
  for (int k = 0; k < kOptimStates && names.state[k]; ++k) add(names.state[k], nullptr, k, false);
  for (int k = 0; k < kOptimScalars && names.scalar[k]; ++k) add(names.scalar[k], nullptr, k, true);
  return slots;
}

bool complete(PyObject* entries, const std::vector<Slot>& slots) {
  for (const Slot& slot : slots) {
    PyObject* value = lookup(entries, slot.key.get());
    if (!value || value == Py_None) return false;
  }
  return true;
}

// The dict of one parameter, in which Python has filled in what was missing.
Object entries_of(PyObject* state, PyObject* param, PyObject* group, PyObject* init,
                  const std::vector<Slot>& slots, OptimParam& p) {
  Object entries = Object::borrow(lookup(state, param));
  if (!entries) {
    entries = checked(PyDict_New());
    checked(PyDict_SetItem(state, param, entries.get()));
  }
  if (!PyDict_Check(entries.get()))
    fail(ErrorKind::Type, "[optimizer_step] the state of a parameter must be a dict, not ",
         Py_TYPE(entries.get())->tp_name);
  if (complete(entries.get(), slots)) return entries;
  p.fresh = true;
  checked(PyObject_CallFunctionObjArgs(init, param, group, entries.get(), nullptr));
  return entries;
}

void read_state(PyObject* entries, const std::vector<Slot>& slots, OptimParam& p) {
  for (const Slot& slot : slots) {
    PyObject* value = lookup(entries, slot.key.get());
    if (!value || !is_tensor(value))
      fail(ErrorKind::Type, "[optimizer_step] expected the state `",
           PyUnicode_AsUTF8(slot.key.get()), "` to be a tensor, but got ",
           value ? Py_TYPE(value)->tp_name : "nothing");
    slot.in(p) = unwrap(value);
  }
}

// optimizer_step(rule, group, state, init): updates the parameters of a group that have a gradient. `init(param, group,
// entries)` fills missing entries of a parameter's state.
PyObject* step(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    if (count != 4 || !PyDict_Check(args[1]) || !PyDict_Check(args[2]))
      fail(ErrorKind::Type, "[optimizer_step] expected (rule, group, state, init)");
    const char* name = PyUnicode_AsUTF8(args[0]);
    if (!name) throw PythonError();
    PyObject *group = args[1], *state = args[2], *init = args[3];
    const OptimRule rule = optim_rule(name);
    OptimOptions options = read_options(group);
    if (rule == OptimRule::Lion) options.decoupled = true;
    const std::vector<Slot> slots = slots_of(optim_names(rule, options));

    PyObject* listed = PyDict_GetItemString(group, "params");
    if (!listed) fail(ErrorKind::Key, "params");
    const Object sequence = checked(PySequence_Fast(listed, "params must be a list"));
    std::vector<OptimParam> params;
    params.reserve(static_cast<size_t>(PySequence_Fast_GET_SIZE(sequence.get())));
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(sequence.get()); ++k) {
      const Object param = Object::borrow(PySequence_Fast_GET_ITEM(sequence.get(), k));
      if (!is_tensor(param.get()))
        fail(ErrorKind::Type, "[optimizer_step] parameters must be tensors, but got ",
             Py_TYPE(param.get())->tp_name);
      OptimParam p;
      p.param = unwrap(param.get());
      p.grad = p.param.grad();
      if (!p.grad.defined()) continue;
      if (!slots.empty()) {
        const Object entries = entries_of(state, param.get(), group, init, slots, p);
        read_state(entries.get(), slots, p);
      }
      params.push_back(std::move(p));
    }
    if (is_true(group, "differentiable")) {
      optimizer_step(rule, options, tensor_options(options, group), params);
    } else {
      optimizer_step(rule, options, params);
    }
    Py_RETURN_NONE;
  });
}

PyMethodDef kMethods[] = {
    {"optimizer_step", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(step)),
     METH_FASTCALL, "optimizer_step(rule, group, state, init)"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void add_optim(PyObject* module) { checked(PyModule_AddFunctions(module, kMethods)); }

}  // namespace eg::python
