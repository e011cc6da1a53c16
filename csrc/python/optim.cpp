// The step of an optimizer: one call a parameter group, which reads options, gradients and state where Python keeps them.
//
// Nothing is cached between calls: a user may replace any entry of state or group at any time. Looking them all up costs
// about 20 ns an entry.
#include "ops/optim.h"

#include "python/common.h"

namespace eg::python {
namespace {

using Number = double OptimOptions::*;
using Flag = bool OptimOptions::*;

// An entry of a group: a number, a pair of numbers or a flag.
struct Option {
  const char* key;
  Number first;
  Number second;
  Flag flag;
};
constexpr Option kOptions[] = {
    {"lr", &OptimOptions::lr, nullptr, nullptr},
    {"weight_decay", &OptimOptions::weight_decay, nullptr, nullptr},
    {"maximize", nullptr, nullptr, &OptimOptions::maximize},
    {"eps", &OptimOptions::eps, nullptr, nullptr},
    {"betas", &OptimOptions::beta1, &OptimOptions::beta2, nullptr},
    {"momentum", &OptimOptions::momentum, nullptr, nullptr},
    {"dampening", &OptimOptions::dampening, nullptr, nullptr},
    {"nesterov", nullptr, nullptr, &OptimOptions::nesterov},
    {"amsgrad", nullptr, nullptr, &OptimOptions::amsgrad},
    {"decoupled_weight_decay", nullptr, nullptr, &OptimOptions::decoupled},
    {"momentum_decay", &OptimOptions::momentum_decay, nullptr, nullptr},
    {"lr_decay", &OptimOptions::lr_decay, nullptr, nullptr},
    {"rho", &OptimOptions::rho, nullptr, nullptr},
    {"alpha", &OptimOptions::alpha, nullptr, nullptr},
    {"centered", nullptr, nullptr, &OptimOptions::centered},
    {"etas", &OptimOptions::eta_minus, &OptimOptions::eta_plus, nullptr},
    {"step_sizes", &OptimOptions::step_min, &OptimOptions::step_max, nullptr},
    {"lambd", &OptimOptions::lambd, nullptr, nullptr},
    {"t0", &OptimOptions::t0, nullptr, nullptr},
};

// The options that each rule needs, as one string of keys.
constexpr const char* kNeeded[kOptimRules] = {
    "lr weight_decay maximize momentum dampening nesterov",
    "lr weight_decay maximize eps betas amsgrad decoupled_weight_decay",
    "lr weight_decay maximize eps betas",
    "lr weight_decay maximize eps betas momentum_decay decoupled_weight_decay",
    "lr weight_decay maximize eps betas decoupled_weight_decay",
    "lr weight_decay maximize eps lr_decay",
    "lr weight_decay maximize eps rho",
    "lr weight_decay maximize eps alpha momentum centered",
    "lr maximize etas step_sizes",
    "lr weight_decay maximize lambd alpha t0",
    "lr weight_decay maximize betas",
    "lr maximize eps betas",
};

struct Needed {
  const Option* option;
  PyObject* key;  // interned, kept for ever
};

const std::vector<Needed>& needed(OptimRule rule) {
  static const auto* const lists = [] {
    auto* made = new std::vector<Needed>[kOptimRules];
    for (int r = 0; r < kOptimRules; ++r) {
      std::istringstream keys(kNeeded[r]);
      for (std::string key; keys >> key;)
        for (const Option& o : kOptions)
          if (key == o.key) made[r].push_back({&o, PyUnicode_InternFromString(o.key)});
    }
    return made;
  }();
  return lists[static_cast<int>(rule)];
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

bool is_true(PyObject* dict, const char* key) {
  PyObject* value = PyDict_GetItemString(dict, key);
  return value && PyObject_IsTrue(value) == 1;
}

// The rate, where a capturable group keeps it on a device.
Tensor device_rate(PyObject* group) {
  PyObject* lr = PyDict_GetItemString(group, "lr");
  if (!lr || !is_tensor(lr) || unwrap(lr).device().is_cpu() || !is_true(group, "capturable"))
    return {};
  return unwrap(lr);
}

// `rate` stands in for the option lr, if it is defined.
OptimOptions read_options(OptimRule rule, PyObject* group, const Tensor& rate) {
  OptimOptions options;
  for (const auto& [option, key] : needed(rule)) {
    PyObject* value = lookup(group, key);
    if (!value) fail(ErrorKind::Key, option->key);
    if (rate.defined() && option->first == &OptimOptions::lr) continue;
    if (option->flag) {
      const int truth = PyObject_IsTrue(value);
      checked(truth);
      options.*option->flag = truth != 0;
    } else if (option->second) {
      options.*option->first = as_number(checked(PySequence_GetItem(value, 0)).get());
      options.*option->second = as_number(checked(PySequence_GetItem(value, 1)).get());
    } else {
      options.*option->first = as_number(value);
    }
  }
  if (rule == OptimRule::Lion) options.decoupled = true;
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

// The dict of one parameter.
Object entries_of(PyObject* state, PyObject* param) {
  Object entries = Object::borrow(lookup(state, param));
  if (!entries) {
    entries = checked(PyDict_New());
    checked(PyDict_SetItem(state, param, entries.get()));
  }
  if (!PyDict_Check(entries.get()))
    fail(ErrorKind::Type, "[optimizer_step] the state of a parameter must be a dict, not ",
         Py_TYPE(entries.get())->tp_name);
  return entries;
}

void read_slots(PyObject* entries, const std::vector<Slot>& slots, OptimParam& p) {
  for (const Slot& slot : slots) {
    PyObject* value = lookup(entries, slot.key.get());
    if (!value || !is_tensor(value))
      fail(ErrorKind::Type, "[optimizer_step] expected the state `",
           PyUnicode_AsUTF8(slot.key.get()), "` to be a tensor, but got ",
           value ? Py_TYPE(value)->tp_name : "nothing");
    slot.in(p) = unwrap(value);
  }
}

// Steps through one group's parameters.
class GroupStep {
 public:
  GroupStep(PyObject* rule, PyObject* group, PyObject* state, PyObject* init)
      : group_(group), state_(state), init_(init) {
    const char* name = PyUnicode_AsUTF8(rule);
    if (!name) throw PythonError();
    rule_ = optim_rule(name);
    rate_ = device_rate(group);
    options_ = read_options(rule_, group, rate_);
    options_.lazy = is_true(group, "lazy");
    slots_ = slots_of(optim_names(rule_, options_));
  }

  void run(bool updates) {
    PyObject* listed = PyDict_GetItemString(group_, "params");
    if (!listed) fail(ErrorKind::Key, "params");
    const Object sequence = checked(PySequence_Fast(listed, "params must be a list"));
    params_.reserve(static_cast<size_t>(PySequence_Fast_GET_SIZE(sequence.get())));
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(sequence.get()); ++k)
      take(PySequence_Fast_GET_ITEM(sequence.get(), k), updates);
    if (updates && is_true(group_, "differentiable")) {
      if (rate_.defined()) options_ = read_options(rule_, group_, {});
      for (OptimParam& p : params_) p.lr = {};
      EG_CHECK_VALUE(!options_.lazy, "[optimizer_step] a group is either lazy or differentiable");
      optimizer_step(rule_, options_, tensor_options(options_, group_), params_);
    } else {
      optimizer_step(rule_, options_, params_, updates);
    }
    for (const Object& entries : settled_) checked(PyDict_DelItemString(entries.get(), "row_step"));
  }

 private:
  void take(PyObject* param, bool updates) {
    if (!is_tensor(param))
      fail(ErrorKind::Type, "[optimizer_step] parameters must be tensors, but got ",
           Py_TYPE(param)->tp_name);
    OptimParam p;
    p.param = unwrap(param);
    if (rate_.defined() && rate_.device() == p.param.device()) {
      p.lr = rate_;
    } else if (rate_.defined()) {
      options_.lr = as_number(PyDict_GetItemString(group_, "lr"));
    }
    if (updates) {
      p.grad = p.param.grad();
      if (!p.grad.defined()) return;
      p.rows = row_parts(p.grad);
    }
    const bool lags = options_.lazy && p.rows && rows_lag(rule_, options_);
    const Object entries = updates && (lags || !slots_.empty())
                               ? entries_of(state_, param)
                               : Object::borrow(lookup(state_, param));
    const bool lagged =
        entries && PyDict_Check(entries.get()) && PyDict_GetItemString(entries.get(), "row_step");
    if (!updates && !lagged) return;
    if (entries) {
      p.fresh = !complete(entries.get(), slots_);
      if (updates && (p.fresh || (lags && !lagged)))
        checked(PyObject_CallFunctionObjArgs(init_, param, group_, entries.get(),
                                             lags ? Py_True : Py_False, nullptr));
      read_slots(entries.get(), slots_, p);
      read_rows(entries, p);
    }
    params_.push_back(std::move(p));
  }

  // Rows that lag behind: all of them catch up in this step if the group is lazy no more.
  void read_rows(const Object& entries, OptimParam& p) {
    PyObject* rows = PyDict_GetItemString(entries.get(), "row_step");
    if (!rows) return;
    PyObject* step = PyDict_GetItemString(entries.get(), "step");
    EG_CHECK_TYPE(is_tensor(rows) && step && is_tensor(step),
                  "[optimizer_step] expected the states `row_step` and `step` to be tensors");
    p.row_step = unwrap(rows);
    p.step = unwrap(step);
    if (!options_.lazy) settled_.push_back(entries);
  }

  PyObject *group_, *state_, *init_;
  OptimRule rule_;
  OptimOptions options_;
  Tensor rate_;
  std::vector<Slot> slots_;
  std::vector<OptimParam> params_;
  std::vector<Object> settled_;  // their states without rows that lag behind, from now on
};

// optimizer_step(rule, group, state, init): updates the parameters of a group that have a gradient. `init(param, group,
// entries, lags)` fills missing entries of a parameter's state. Without init: rows that lag behind catch up.
PyObject* step(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    if (count != 4 || !PyDict_Check(args[1]) || !PyDict_Check(args[2]))
      fail(ErrorKind::Type, "[optimizer_step] expected (rule, group, state, init)");
    GroupStep(args[0], args[1], args[2], args[3]).run(args[3] != Py_None);
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
