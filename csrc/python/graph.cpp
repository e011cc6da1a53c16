// What eagergrad.autograd.graph needs of the tape: hooks of saved tensors and of in-place writes, places on the tape.
#include "ops/ops.h"
#include "python/autograd.h"
#include "tape/engine.h"

namespace eg::python {
namespace {

struct PythonPacked final : PackedTensor {
  PythonPacked(PyObject* value, PyObject* unpack) : value(value), hook(unpack) {}
  Tensor unpack() override {
    const Object result = checked(PyObject_CallOneArg(hook.get(), value.get()));
    EG_CHECK_TYPE(is_tensor(result.get()),
                  "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                  "type ",
                  Py_TYPE(result.get())->tp_name);
    return unwrap(result.get());
  }
  Callable value, hook;
};

struct PythonSavedHooks final : SavedTensorHooks {
  PythonSavedHooks(PyObject* pack, PyObject* unpack) : pack_hook(pack), unpack_hook(unpack) {}
  Ref<PackedTensor> pack(const Tensor& t) override {
    const Object given(wrap(t));
    const Object value = checked(PyObject_CallOneArg(pack_hook.get(), given.get()));
    return Ref<PackedTensor>(new PythonPacked(value.get(), unpack_hook.get()));
  }
  Callable pack_hook, unpack_hook;
};

PyObject* push_hooks(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *pack, *unpack;
    if (!PyArg_ParseTuple(args, "OO", &pack, &unpack)) return nullptr;
    EG_CHECK_TYPE(PyCallable_Check(pack) && PyCallable_Check(unpack),
                  "pack_hook and unpack_hook must be callable");
    push_saved_tensor_hooks(Ref<SavedTensorHooks>(new PythonSavedHooks(pack, unpack)));
    return Py_NewRef(Py_None);
  });
}
PyObject* pop_hooks(PyObject*, PyObject*) {
  return guarded([&]() -> PyObject* {
    pop_saved_tensor_hooks();
    return Py_NewRef(Py_None);
  });
}
// (pack, unpack) of this thread's innermost hooks, or None.
PyObject* top_hooks(PyObject*, PyObject*) {
  auto* hooks = static_cast<PythonSavedHooks*>(saved_tensor_hooks());
  if (!hooks) return Py_NewRef(Py_None);
  return PyTuple_Pack(2, hooks->pack_hook.get(), hooks->unpack_hook.get());
}

// watch_writes(True): the helper "before_write" is called with each tensor that this thread is about to write in place.
PyObject* watch_writes(PyObject*, PyObject* on) {
  const int truth = PyObject_IsTrue(on);
  if (truth < 0) return nullptr;
  before_inplace_write = !truth ? nullptr : +[](const Tensor& t) {
    const Object given(wrap(t));
    checked(PyObject_CallOneArg(helper("before_write"), given.get()));
  };
  return Py_NewRef(Py_None);
}

// place_of(tensor) -> (node, output number), or None if it has no place on the tape.
PyObject* place_of(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(is_tensor(o), "expected a Tensor, got ", Py_TYPE(o)->tp_name);
    const Edge edge = gradient_edge(unwrap(o));
    if (!edge.node) return Py_NewRef(Py_None);
    return Py_BuildValue("(NI)", wrap_node(edge.node), edge.nr);
  });
}

// stand_in(node, nr): a tensor without memory of its own at that place, for run_grad.
PyObject* stand_in(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* node;
    unsigned nr;
    if (!PyArg_ParseTuple(args, "OI", &node, &nr)) return nullptr;
    check_edge(node, nr);
    const OutputMeta& meta = node_of(node).outputs[nr];
    const Tensor one = zeros({1}, meta.dtype, meta.device);
    const Tensor t = alias(one, meta.sizes, Dims(meta.sizes.size(), 0), 0);
    t->grad_fn = &node_of(node);
    t->output_nr = nr;
    return wrap(t);
  });
}

PyObject* output_nr(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(is_tensor(o), "expected a Tensor, got ", Py_TYPE(o)->tp_name);
    const Tensor t = unwrap(o);
    return PyLong_FromUnsignedLong(t.grad_fn() ? t->output_nr : 0);
  });
}

PyObject* mark_written(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(is_tensor(o), "expected a Tensor, got ", Py_TYPE(o)->tp_name);
    unwrap(o).storage().mark_written();
    return Py_NewRef(Py_None);
  });
}

// The number of the backward in progress on this thread, -1 outside of one.
PyObject* task_id(PyObject*, PyObject*) {
  const uint64_t id = current_backward();
  return PyLong_FromLongLong(id ? int64_t(id) : -1);
}
PyObject* will_visit(PyObject*, PyObject* node) {
  return guarded([&]() -> PyObject* {
    check_edge(node, 0);
    return PyBool_FromLong(backward_visits(node_of(node)));
  });
}
PyObject* at_end(PyObject*, PyObject* f) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(PyCallable_Check(f), "a callback must be callable, got ", Py_TYPE(f)->tp_name);
    queue_callback([kept = Object::borrow(f)] { checked(PyObject_CallNoArgs(kept.get())); });
    return Py_NewRef(Py_None);
  });
}

PyMethodDef functions[] = {{"push_saved_hooks", push_hooks, METH_VARARGS, nullptr},
                           {"pop_saved_hooks", pop_hooks, METH_NOARGS, nullptr},
                           {"saved_hooks", top_hooks, METH_NOARGS, nullptr},
                           {"watch_writes", watch_writes, METH_O, nullptr},
                           {"place_of", place_of, METH_O, nullptr},
                           {"stand_in", stand_in, METH_VARARGS, nullptr},
                           {"output_nr", output_nr, METH_O, nullptr},
                           {"mark_written", mark_written, METH_O, nullptr},
                           {"graph_task_id", task_id, METH_NOARGS, nullptr},
                           {"will_visit", will_visit, METH_O, nullptr},
                           {"queue_callback", at_end, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_graph(PyObject* module) { checked(PyModule_AddFunctions(module, functions)); }

}  // namespace eg::python
