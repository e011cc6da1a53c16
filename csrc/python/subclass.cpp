// Which tensors are of a class that is asked about ops: PyTorch's __torch_function__. The protocol itself is Python
// (eagergrad/tensor/subclass.py).
#include <Python.h>

#include "ops/ops.h"
#include "python/common.h"
#include "tape/node.h"

namespace eg::python {

bool subclasses_exist = false;

static thread_local bool asking = true;

bool takes_over(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  if (!asking || type == tensor_class || !PyType_IsSubtype(type, tensor_base)) return false;
  static PyObject* const name = PyUnicode_InternFromString("__torch_function__");
  return _PyType_Lookup(type, name) != helper("disabled_torch_function");
}

static thread_local int modes = 0;

bool handed_over(PyObject* o) { return modes > 0 || (o && takes_over(o)); }

PyObject* ask_operator(const char* name, PyObject* a, PyObject* b, PyObject* c) {
  const Object text = checked(PyUnicode_FromString(name));
  return PyObject_CallFunctionObjArgs(helper("ask_operator"), text.get(), a, b, c, nullptr);
}

static PyObject* set_asking(PyObject*, PyObject* on) {
  const int value = PyObject_IsTrue(on);
  if (value < 0) return nullptr;
  return PyBool_FromLong(std::exchange(asking, value != 0));
}
static PyObject* is_asking(PyObject*, PyObject*) { return PyBool_FromLong(asking); }
static PyObject* set_modes(PyObject*, PyObject* count) {
  const long n = PyLong_AsLong(count);
  if (n == -1 && PyErr_Occurred()) return nullptr;
  modes = int(n);
  Py_RETURN_NONE;
}
static PyObject* handed_over_(PyObject*, PyObject* o) {
  return guarded([&] { return PyBool_FromLong(handed_over(o)); });
}
static PyObject* expect_subclasses(PyObject*, PyObject*) {
  subclasses_exist = true;
  Py_RETURN_NONE;
}
static PyObject* takes_over_(PyObject*, PyObject* o) {
  return guarded([&] { return PyBool_FromLong(takes_over(o)); });
}
static PyObject* as_class(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *type;
    if (!PyArg_ParseTuple(args, "OO", &o, &type)) return nullptr;
    EG_CHECK_TYPE(is_tensor(o), "[as_subclass] expected a Tensor, got ", Py_TYPE(o)->tp_name);
    EG_CHECK_TYPE(
        PyType_Check(type) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type), tensor_base),
        "[as_subclass] expected a subclass of Tensor");
    const Tensor x = unwrap(o);
    Dims same;
    for (int64_t d = 0; d < x.dim(); ++d) same.push_back(d);
    return wrap_as(reinterpret_cast<PyTypeObject*>(type),
                   named(permute(x, same), "AliasBackward0"));
  });
}

void add_subclasses(PyObject* module) {
  static PyMethodDef functions[] = {
      {"set_asking_subclasses", set_asking, METH_O, "Switches asking in this thread; was it on?"},
      {"asks_subclasses", is_asking, METH_NOARGS, "Whether subclasses are asked in this thread."},
      {"expect_subclasses", expect_subclasses, METH_NOARGS, "From now on arguments are looked at."},
      {"takes_over", takes_over_, METH_O, "Whether an argument's class is asked about ops."},
      {"handed_over", handed_over_, METH_O, "Whether a call with an argument is handed over."},
      {"set_modes", set_modes, METH_O, "How many modes take this thread's calls over."},
      {"as_class", as_class, METH_VARARGS, "A recorded view of a tensor, of another class."},
      {nullptr, nullptr, 0, nullptr}};
  checked(PyModule_AddFunctions(module, functions));
}

}  // namespace eg::python
