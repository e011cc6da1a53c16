// eg.seterr's looks at what calls from Python return.
#include "ops/watch.h"

#include <Python.h>

#include <algorithm>

#include "python/common.h"

namespace eg::python {
namespace {

void collect(PyObject* o, Tensors& tensors) {
  if (!o) return;
  if (is_tensor(o)) tensors.push_back(unwrap(o));
  if (!PyList_Check(o) && !PyTuple_Check(o)) return;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
    collect(PySequence_Fast_GET_ITEM(o, i), tensors);
}

bool share(const Tensor& a, const Tensor& b) {
  return a->storage && a->storage.get() == b->storage.get();
}

// set_watch(nan, inf): each 0 to ignore, 1 to warn, 2 to raise; returns what they were.
PyObject* set_responses(PyObject*, PyObject* args) {
  int nan, inf;
  if (!PyArg_ParseTuple(args, "ii", &nan, &inf)) return nullptr;
  return guarded([&]() -> PyObject* {
    for (const int r : {nan, inf}) EG_CHECK_VALUE(r >= 0 && r <= 2, "expected 0, 1 or 2, got ", r);
    const Watch before = watched();
    set_watch({Response(nan), Response(inf)});
    return Py_BuildValue("ii", int(before.nan), int(before.inf));
  });
}

PyObject* get_responses(PyObject*, PyObject*) {
  return Py_BuildValue("ii", int(watched().nan), int(watched().inf));
}

// watch_values(who, tensors): a look at values that no op returns, such as an optimizer's parameters.
PyObject* watch_values(PyObject*, PyObject* args) {
  const char* who;
  PyObject* values;
  if (!PyArg_ParseTuple(args, "sO!", &who, &PyList_Type, &values)) return nullptr;
  return guarded([&] {
    Tensors tensors;
    collect(values, tensors);
    watch_results(who, tensors, {}, Site::here());
    return Py_NewRef(Py_None);
  });
}

}  // namespace

PyObject* watch_call(const char* name, PyObject* result, bool writes, PyObject* const* inputs,
                     size_t n) {
  Object owner(result);
  Tensors results, all, given;
  collect(result, results);
  if (std::none_of(results.begin(), results.end(), has_nan_or_inf)) return owner.release();
  for (size_t i = 0; i < n; ++i) collect(inputs[i], all);
  // What an op wrote over tells nothing about what came in, and a view shows nothing new.
  for (const Tensor& x : all) {
    const auto shares = [&](const Tensor& r) { return share(r, x); };
    if (std::none_of(results.begin(), results.end(), shares))
      given.push_back(x);
    else if (!writes)
      return owner.release();
  }
  watch_results(writes ? str(name, "_") : name, results, given, Site::here());
  return owner.release();
}

void add_watch(PyObject* module) {
  static PyMethodDef functions[] = {{"set_watch", set_responses, METH_VARARGS, nullptr},
                                    {"get_watch", get_responses, METH_NOARGS, nullptr},
                                    {"watch_values", watch_values, METH_VARARGS, nullptr},
                                    {nullptr, nullptr, 0, nullptr}};
  checked(PyModule_AddFunctions(module, functions));
}

}  // namespace eg::python
