// The tape's Python face: modes, backward and grad, nodes, hooks, Functions written in Python.
#include "python/autograd.h"

#include <unordered_map>
#include <unordered_set>

#include "core/gil.h"
#include "ops/ops.h"
#include "python/common.h"
#include "tape/engine.h"
#include "tape/growth.h"

namespace eg::python {
namespace {

PyTypeObject* node_type = nullptr;

// --- Python callables on the tape ------------------------------------------------------------------------------------

// What a hook puts in a gradient's place fits the backward function that takes it next.
void check_replaced(const Tensor& before, const Tensor& after) {
  EG_CHECK(after.sizes() == before.sizes(), "a hook changed the shape of a gradient from ",
           IntSpan(before.sizes()), " to ", IntSpan(after.sizes()));
  EG_CHECK(after.dtype() == before.dtype(), "a hook changed the dtype of a gradient from ",
           before.dtype(), " to ", after.dtype());
}

struct PythonHook final : Hook {
  explicit PythonHook(PyObject* f) : f(f) {}
  Tensor call(const Tensor& grad) override {
    const Object g(wrap(grad));
    const Object result = checked(PyObject_CallOneArg(f.get(), g.get()));
    if (result.get() == Py_None) return {};
    EG_CHECK_TYPE(is_tensor(result.get()), "a hook must return a Tensor or None, got ",
                  Py_TYPE(result.get())->tp_name);
    const Tensor replaced = unwrap(result.get());
    check_replaced(grad, replaced);
    return replaced;
  }
  Callable f;
};

struct RetainGrad final : Hook {
  // The node may outlive the tensor: the tensor's wrapper object says whether it is still there.
  Tensor call(const Tensor& grad) override {
    const Object alive(PyObject_CallNoArgs(weak.get()));
    if (!alive || alive.get() == Py_None) {
      PyErr_Clear();
      return {};
    }
    const Tensor t = unwrap(alive.get());
    const Tensor before = t.grad();
    t.set_grad(before.defined() ? add(before, grad) : (grad_enabled() ? grad : clone(grad)));
    return {};
  }
  Object weak;
};

Object wrap_all(const Tensors& tensors) {
  Object tuple = checked(PyTuple_New(Py_ssize_t(tensors.size())));
  for (size_t i = 0; i < tensors.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), wrap(tensors[i]));
  return tuple;
}
void replace_all(Tensors& tensors, PyObject* result, const char* who) {
  if (result == Py_None) return;
  Object tuple = PyTuple_Check(result) ? Object::borrow(result) : checked(PyTuple_Pack(1, result));
  EG_CHECK(PyTuple_GET_SIZE(tuple.get()) == Py_ssize_t(tensors.size()), who, " returned ",
           PyTuple_GET_SIZE(tuple.get()), " gradients, expected ", tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    PyObject* g = PyTuple_GET_ITEM(tuple.get(), Py_ssize_t(i));
    if (g == Py_None) {
      tensors[i] = Tensor();
      continue;
    }
    EG_CHECK_TYPE(is_tensor(g), who, " must return Tensors or None, got ", Py_TYPE(g)->tp_name);
    tensors[i] = unwrap(g);
  }
}

struct PythonNodeHook final : Node::NodeHook {
  explicit PythonNodeHook(PyObject* f) : f(f) {}
  // Pre-hooks get the outputs' gradients, post-hooks (results, outputs' gradients).
  void call(Tensors& grads, const Tensors* outputs) override {
    const Object first = wrap_all(grads);
    const Object result = outputs ? checked(PyObject_CallFunctionObjArgs(
                                        f.get(), first.get(), wrap_all(*outputs).get(), nullptr))
                                  : checked(PyObject_CallOneArg(f.get(), first.get()));
    const Tensors before = grads;
    replace_all(grads, result.get(), "a node's hook");
    for (size_t i = 0; i < grads.size(); ++i)
      if (before[i].defined() && grads[i].defined()) check_replaced(before[i], grads[i]);
  }
  Callable f;
};

// --- Functions written in Python -----------------------------------------------------------------------------------------

// Where a context finds its node. It must not own it: the node owns the context, and a cycle through C++ is nobody's garbage.
struct Place {
  static constexpr const char* name = "eagergrad.Place";
  Node* node;  // null once it is gone

  static PyObject* capsule() {
    return checked(PyCapsule_New(new Place{}, name,
                                 [](PyObject* o) {
                                   delete static_cast<Place*>(PyCapsule_GetPointer(o, name));
                                 }))
        .release();
  }
  static Place& of(PyObject* capsule) {
    auto* const place = static_cast<Place*>(PyCapsule_GetPointer(capsule, name));
    if (!place) throw PythonError();
    return *place;
  }
};

// forward has run; backward calls the class's backward with the context object.
class PythonNode final : public Node {
 public:
  PythonNode(PyObject* ctx, PyObject* place, std::string title)
      : ctx_(ctx), place_(place), title_(std::move(title)) {
    Place::of(place).node = this;
  }
  ~PythonNode() override { Place::of(place_.get()).node = nullptr; }
  std::string name() const override { return title_; }
  std::string title() const override { return title_; }
  Tensors backward(Context&, const Tensors& grads) override {
    const Object arguments = wrap_all(grads);
    const Object results = checked(
        PyObject_CallFunctionObjArgs(helper("run_backward"), ctx_.get(), arguments.get(), nullptr));
    Tensors out(edges.size());
    replace_all(out, results.get(), title_.c_str());
    return out;
  }
  void release_saved() override {
    const Object kept(PyObject_GetAttrString(ctx_.get(), "_saved"));
    if (!kept) PyErr_Clear();
    released = released || (kept && PyObject_IsTrue(kept.get()) == 1);
    // Clears saved tensors of the context, not the context itself: users may read their own attributes later.
    const Object done(PyObject_CallMethod(ctx_.get(), "_release", nullptr));
    if (!done) PyErr_Clear();
  }
  PyObject* context() const { return ctx_.held(); }

 private:
  Callable ctx_, place_;
  std::string title_;
};

// record_function(ctx, name, inputs, outputs, site is taken now): edges from inputs, outputs become its results. Returns the place
// at which node_at finds the node as long as it lives.
PyObject* record_function(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *ctx, *inputs, *outputs;
    const char* title;
    if (!PyArg_ParseTuple(args, "OsO!O!", &ctx, &title, &PyTuple_Type, &inputs, &PyTuple_Type,
                          &outputs))
      return nullptr;
    Object place(Place::capsule());
    Ref<PythonNode> node(new PythonNode(ctx, place.get(), title));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i) {
      PyObject* o = PyTuple_GET_ITEM(inputs, i);
      node->add_input(is_tensor(o) ? unwrap(o) : Tensor());
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(outputs); ++i) {
      PyObject* o = PyTuple_GET_ITEM(outputs, i);
      node->add_output(is_tensor(o) ? unwrap(o) : Tensor());
    }
    return place.release();
  });
}

// node_at(place) -> node, or None once it is gone.
PyObject* node_at(PyObject*, PyObject* place) {
  return guarded([&] {
    Node* const node = Place::of(place).node;
    return wrap_node(node && node->use_count() > 0 ? Ref<Node>(node) : Ref<Node>());
  });
}

// --- for the garbage collector ---------------------------------------------------------------------------------------------

int visit_hook(const Hook& h, visitproc visit, void* arg) {
  const auto* python = h.use_count() == 1 ? dynamic_cast<const PythonHook*>(&h) : nullptr;
  return python ? visit(python->f.held(), arg) : 0;
}
// What a node holds of Python, where whoever asks is its only owner.
int visit_node(const Node& node, visitproc visit, void* arg) {
  if (node.use_count() != 1) return 0;
  for (const Node::OutputHook& h : node.hooks)
    if (const int stop = visit_hook(*h.hook, visit, arg)) return stop;
  for (const auto* hooks : {&node.pre_hooks, &node.post_hooks})
    for (const Ref<Node::NodeHook>& h : *hooks) {
      const auto* python =
          h->use_count() == 1 ? dynamic_cast<const PythonNodeHook*>(h.get()) : nullptr;
      const int stop = python ? visit(python->f.held(), arg) : 0;
      if (stop) return stop;
    }
  return typeid(node) == typeid(PythonNode)  // final; quicker than a dynamic_cast
             ? visit(static_cast<const PythonNode&>(node).context(), arg)
             : 0;
}

// --- the Python type of nodes ------------------------------------------------------------------------------------------------

// The object of a node, as long as somebody holds it: programs that draw graphs ask for its identity.
std::unordered_map<const Node*, PyObject*>& node_objects() {
  static auto* const objects = new std::unordered_map<const Node*, PyObject*>;
  return *objects;
}

void node_dealloc(PyObject* o) {
  PyObject_GC_UnTrack(o);
  auto* self = reinterpret_cast<NodeObject*>(o);
  if (self->node) {
    node_objects().erase(self->node);
    self->node->release();
  }
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}
int node_traverse(PyObject* o, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(o));
  const Node* const node = reinterpret_cast<NodeObject*>(o)->node;
  return node && may_visit() ? visit_node(*node, visit, arg) : 0;
}
PyObject* node_repr(PyObject* o) {
  return guarded([&]() -> PyObject* {
    const Node& n = node_of(o);
    const std::string line = n.site ? " at " + n.site.describe() : "";
    return PyUnicode_FromString(("<" + n.title() + line + ">").c_str());
  });
}
PyObject* node_name(PyObject* o, PyObject*) {
  return guarded([&] { return PyUnicode_FromString(node_of(o).title().c_str()); });
}
PyObject* node_next(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    const Node& n = node_of(o);
    Object tuple = checked(PyTuple_New(Py_ssize_t(n.edges.size())));
    for (size_t i = 0; i < n.edges.size(); ++i) {
      const Object next(n.edges[i].node ? wrap_node(n.edges[i].node) : Py_NewRef(Py_None));
      PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i),
                       checked(Py_BuildValue("(OI)", next.get(), n.edges[i].nr)).release());
    }
    return tuple.release();
  });
}
PyObject* node_site(PyObject* o, void*) {
  return guarded([&] { return PyUnicode_FromString(node_of(o).site.describe().c_str()); });
}
PyObject* node_code(PyObject* o, void*) {
  void* code = node_of(o).site.code();
  return Py_NewRef(code ? static_cast<PyObject*>(code) : Py_None);
}
PyObject* node_sequence(PyObject* o, void*) {
  return PyLong_FromUnsignedLongLong(node_of(o).sequence);
}
PyObject* node_variable(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    const Node& n = node_of(o);
    if (!is_accumulator(n)) {
      PyErr_SetString(PyExc_AttributeError, "only AccumulateGrad nodes have a variable");
      return nullptr;
    }
    return wrap(accumulated_variable(n));
  });
}
PyObject* node_saved(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    Node& n = node_of(o);
    if (auto* python = dynamic_cast<PythonNode*>(&n))
      return PyObject_GetAttrString(python->context(), "saved_tensors");
    Object tuple = checked(PyTuple_New(Py_ssize_t(n.saved.size())));
    for (size_t i = 0; i < n.saved.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), wrap(n.saved_tensor(i)));
    return tuple.release();
  });
}
PyObject* node_shapes(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    const Node& n = node_of(o);
    Object tuple = checked(PyTuple_New(Py_ssize_t(n.outputs.size())));
    for (size_t i = 0; i < n.outputs.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), from_sizes(n.outputs[i].sizes));
    return tuple.release();
  });
}
PyObject* node_released(PyObject* o, void*) { return PyBool_FromLong(node_of(o).released); }
PyObject* node_context(PyObject* o, void*) {
  auto* python = dynamic_cast<PythonNode*>(&node_of(o));
  return Py_NewRef(python ? python->context() : Py_None);
}
// A node of a Function has its context's attributes, as in PyTorch, where both are one object.
PyObject* node_getattr(PyObject* o, PyObject* name) {
  PyObject* found = PyObject_GenericGetAttr(o, name);
  if (found || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
  auto* python = dynamic_cast<PythonNode*>(&node_of(o));
  if (!python || PyUnicode_ReadChar(name, 0) == '_') return nullptr;
  PyErr_Clear();
  found = PyObject_GetAttr(python->context(), name);
  if (!found && PyErr_ExceptionMatches(PyExc_AttributeError)) {
    PyErr_Clear();
    return PyObject_GenericGetAttr(o, name);  // with the node in the error, not the context
  }
  return found;
}
// A dict that a user keeps with a node: it lives in a hook that does nothing.
struct Metadata final : Node::NodeHook {
  void call(Tensors&, const Tensors*) override {}
  Callable dict{checked(PyDict_New()).get()};
};
PyObject* node_metadata(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    Node& n = node_of(o);
    for (const Ref<Node::NodeHook>& hook : n.post_hooks)
      if (auto* kept = dynamic_cast<Metadata*>(hook.get())) return Py_NewRef(kept->dict.get());
    auto* made = new Metadata;
    n.post_hooks.push_back(Ref<Node::NodeHook>(made));
    return Py_NewRef(made->dict.get());
  });
}
Py_hash_t node_hash(PyObject* o) { return hash_address(&node_of(o)); }
PyObject* node_compare(PyObject* a, PyObject* b, int op) {
  if (!PyObject_TypeCheck(b, node_type) || (op != Py_EQ && op != Py_NE))
    return Py_NewRef(Py_NotImplemented);
  return PyBool_FromLong((&node_of(a) == &node_of(b)) == (op == Py_EQ));
}

// Returns a callable that takes the hook off again.
template <class List, class Item>
PyObject* remover(Ref<Node> node, List Node::* list, const Item* item) {
  struct State {
    Ref<Node> node;
    List Node::* list;
    const Item* item;
  };
  static PyMethodDef def = {
      "remove",
      [](PyObject* capsule, PyObject*) -> PyObject* {
        auto* s = static_cast<State*>(PyCapsule_GetPointer(capsule, nullptr));
        if (!s) return nullptr;
        List& hooks = (*s->node).*(s->list);
        for (size_t i = 0; i < hooks.size(); ++i) {
          if constexpr (std::is_same_v<typename List::value_type, Node::OutputHook>) {
            if (hooks[i].hook.get() == s->item) {
              hooks.erase(hooks.begin() + Py_ssize_t(i));
              break;
            }
          } else if (hooks[i].get() == s->item) {
            hooks.erase(hooks.begin() + Py_ssize_t(i));
            break;
          }
        }
        return Py_NewRef(Py_None);
      },
      METH_NOARGS, nullptr};
  auto* state = new State{std::move(node), list, item};
  const Object capsule = checked(PyCapsule_New(state, nullptr, [](PyObject* c) {
    delete static_cast<State*>(PyCapsule_GetPointer(c, nullptr));
  }));
  return PyCFunction_New(&def, capsule.get());
}

PyObject* node_register(PyObject* o, PyObject* f, bool pre) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(PyCallable_Check(f), "a hook must be callable");
    Node& n = node_of(o);
    Ref<Node::NodeHook> hook(new PythonNodeHook(f));
    const Node::NodeHook* key = hook.get();
    auto list = pre ? &Node::pre_hooks : &Node::post_hooks;
    (n.*list).push_back(hook);
    const Object remove(remover(Ref<Node>(&n), list, key));
    return PyObject_CallOneArg(helper("handle"), remove.get());
  });
}
PyObject* node_register_hook(PyObject* o, PyObject* f) { return node_register(o, f, false); }
PyObject* node_register_prehook(PyObject* o, PyObject* f) { return node_register(o, f, true); }

PyGetSetDef node_getset[] = {
    {"next_functions", node_next, nullptr, "(node, output number) for each input.", nullptr},
    {"site", node_site, nullptr, "The user's line: 'file.py:12, in function'.", nullptr},
    {"code", node_code, nullptr, "Code object of the user's line.", nullptr},
    {"sequence_nr", node_sequence, nullptr, "Order of creation.", nullptr},
    {"variable", node_variable, nullptr, "The leaf of an AccumulateGrad node.", nullptr},
    {"saved_tensors", node_saved, nullptr, "What backward will read.", nullptr},
    {"output_shapes", node_shapes, nullptr, "Shapes of the outputs.", nullptr},
    {"released", node_released, nullptr, "True once a backward freed it.", nullptr},
    {"context", node_context, nullptr, "The ctx of a Function written in Python, else None.",
     nullptr},
    {"metadata", node_metadata, nullptr, "A dict for the user's notes.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMethodDef node_methods[] = {
    {"name", node_name, METH_NOARGS, "name()\n--\n\nName of the recorded operation."},
    {"register_hook", node_register_hook, METH_O,
     "register_hook(hook)\n--\n\nhook(grad_inputs, grad_outputs) runs after this node's backward."},
    {"register_prehook", node_register_prehook, METH_O,
     "register_prehook(hook)\n--\n\nhook(grad_outputs) runs before this node's backward."},
    {nullptr, nullptr, 0, nullptr}};
PyType_Slot node_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                            {Py_tp_traverse, reinterpret_cast<void*>(node_traverse)},
                            {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
                            {Py_tp_hash, reinterpret_cast<void*>(node_hash)},
                            {Py_tp_richcompare, reinterpret_cast<void*>(node_compare)},
                            {Py_tp_getattro, reinterpret_cast<void*>(node_getattr)},
                            {Py_tp_getset, node_getset},
                            {Py_tp_methods, node_methods},
                            {0, nullptr}};
PyType_Spec node_spec = {"eagergrad._C.Node", sizeof(NodeObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
                             Py_TPFLAGS_DISALLOW_INSTANTIATION,
                         node_slots};

// Programs that print or draw a graph ask for type(node).__name__: each title has a type of its own, made when first met.
PyTypeObject* type_of(const Node& node) {
  static auto* const types = new std::unordered_map<std::string, PyTypeObject*>;
  PyTypeObject*& known = (*types)[node.title()];
  if (known) return known;
  PyObject* const metaclass = reinterpret_cast<PyObject*>(&PyType_Type);
  const Object made =
      checked(PyObject_CallFunction(metaclass, "s(O){s(),ss}", node.title().c_str(), node_type,
                                    "__slots__", "__module__", "eagergrad.autograd.graph"));
  known = reinterpret_cast<PyTypeObject*>(Py_NewRef(made.get()));
  return known;
}

// named(tensor, title) -> tensor: eg::named for compositions in Python.
PyObject* named_result(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    static auto* const titles = new std::unordered_set<std::string>;  // nodes keep pointers
    PyObject* tensor;
    const char* title;
    if (!PyArg_ParseTuple(args, "Os", &tensor, &title)) return nullptr;
    // What is no tensor of the core (an item of a vmap) is made of ops whose names stay.
    if (is_tensor(tensor)) named(unwrap(tensor), titles->insert(title).first->c_str());
    return Py_NewRef(tensor);
  });
}

// --- backward and grad ---------------------------------------------------------------------------------------------------------

TensorList tensors_of(PyObject* o, const char* what, bool allow_none) {
  TensorList list;
  if (o == Py_None) return list;
  if (is_tensor(o)) return {unwrap(o)};
  const Object sequence = checked(PySequence_Fast(o, what));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence.get()); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(sequence.get(), i);
    if (item == Py_None && allow_none) {
      list.push_back(Tensor());
      continue;
    }
    EG_CHECK_TYPE(is_tensor(item), what, " must be Tensors, got ", Py_TYPE(item)->tp_name);
    list.push_back(unwrap(item));
  }
  return list;
}

// None, or one for each root.
TensorList gradients_of(const TensorList& roots, PyObject* o, const char* what) {
  TensorList list = tensors_of(o, what, true);
  EG_CHECK(o == Py_None || list.size() >= roots.size(), "got ", roots.size(), " tensors and ",
           list.size(), " gradients");
  return list;
}

// run_backward(tensors, grad_tensors, retain_graph, create_graph, inputs or None)
PyObject* run_backward(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *tensors, *grads, *inputs;
    int retain, create;
    if (!PyArg_ParseTuple(args, "OOppO", &tensors, &grads, &retain, &create, &inputs))
      return nullptr;
    const TensorList roots = tensors_of(tensors, "tensors", false),
                     wanted = tensors_of(inputs, "inputs", false);
    EG_CHECK(inputs == Py_None || !wanted.empty(),
             "'inputs' argument to backward cannot be empty.");
    backward(roots, gradients_of(roots, grads, "grad_tensors"), {retain != 0, create != 0},
             inputs == Py_None ? nullptr : &wanted);
    return Py_NewRef(Py_None);
  });
}

// run_grad(outputs, grad_outputs, inputs, retain_graph, create_graph) -> tuple with None where there is no path
PyObject* run_grad(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *outputs, *grads, *inputs;
    int retain, create;
    if (!PyArg_ParseTuple(args, "OOOpp", &outputs, &grads, &inputs, &retain, &create))
      return nullptr;
    const TensorList roots = tensors_of(outputs, "outputs", false),
                     wanted = tensors_of(inputs, "inputs", false);
    EG_CHECK(!wanted.empty(), "`inputs` argument to `grad()` cannot be empty.");
    const TensorList results =
        grad(roots, gradients_of(roots, grads, "grad_outputs"), wanted, {retain != 0, create != 0});
    Object tuple = checked(PyTuple_New(Py_ssize_t(results.size())));
    for (size_t i = 0; i < results.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), wrap(results[i]));
    return tuple.release();
  });
}

// --- hooks of tensors ------------------------------------------------------------------------------------------------------------

// add_hook(tensor, callable, kind): kind 0 gradient hook, 1 post-accumulate hook. Returns a callable that removes it.
PyObject* add_hook(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *f;
    int kind;
    if (!PyArg_ParseTuple(args, "OOi", &o, &f, &kind)) return nullptr;
    EG_CHECK_TYPE(is_tensor(o), "expected a Tensor");
    EG_CHECK_TYPE(PyCallable_Check(f), "a hook must be callable, got ", Py_TYPE(f)->tp_name);
    const Tensor t = unwrap(o);
    EG_CHECK(t.requires_grad(), "cannot register a hook on a tensor that doesn't require gradient");
    Ref<Hook> hook(new PythonHook(f));
    if (t.is_leaf()) {
      (kind ? t.meta().post_accumulate_hooks : t.meta().hooks).push_back(hook);
      struct State {
        Ref<TensorImpl> tensor;
        const Hook* hook;
      };
      static PyMethodDef def = {
          "remove",
          [](PyObject* capsule, PyObject*) -> PyObject* {
            auto* s = static_cast<State*>(PyCapsule_GetPointer(capsule, nullptr));
            if (!s) return nullptr;
            for (Hooks* list : {&s->tensor->meta->hooks, &s->tensor->meta->post_accumulate_hooks})
              for (size_t i = 0; i < list->size(); ++i)
                if ((*list)[i].get() == s->hook) {
                  list->erase(list->begin() + Py_ssize_t(i));
                  break;
                }
            return Py_NewRef(Py_None);
          },
          METH_NOARGS, nullptr};
      auto* state = new State{Ref<TensorImpl>(t.impl()), hook.get()};
      const Object capsule = checked(PyCapsule_New(state, nullptr, [](PyObject* c) {
        delete static_cast<State*>(PyCapsule_GetPointer(c, nullptr));
      }));
      return PyCFunction_New(&def, capsule.get());
    }
    EG_CHECK(!kind, "post accumulate grad hooks cannot be registered on non-leaf tensors");
    const Ref<Node> node = t.grad_fn();
    node->hooks.push_back({t->output_nr, hook});
    return remover(node, &Node::hooks, static_cast<const Hook*>(hook.get()));
  });
}

PyObject* retain_grad(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(is_tensor(o), "expected a Tensor");
    const Tensor t = unwrap(o);
    EG_CHECK(t.requires_grad(), "can't retain_grad on Tensor that has requires_grad=False");
    if (t.is_leaf() || t.meta().retain_grad) return Py_NewRef(Py_None);
    auto* hook = new RetainGrad;
    Ref<Hook> keep(hook);
    hook->weak = checked(PyWeakref_NewRef(o, nullptr));
    t.grad_fn()->retain_hooks.push_back({t->output_nr, keep});
    t.meta().retain_grad = true;
    return Py_NewRef(Py_None);
  });
}

PyObject* set_mode(bool& mode, PyObject* on) {
  const int truth = PyObject_IsTrue(on);
  if (truth < 0) return nullptr;
  mode = truth != 0;
  return Py_NewRef(Py_None);
}
PyObject* get_grad_mode(PyObject*, PyObject*) { return PyBool_FromLong(grad_enabled()); }
// Nothing is recorded in inference_mode, whatever is asked for inside.
PyObject* set_grad_mode(PyObject*, PyObject* on) {
  return set_mode(grad_mode, inference_enabled() ? Py_False : on);
}
PyObject* get_inference_mode(PyObject*, PyObject*) { return PyBool_FromLong(inference_enabled()); }
PyObject* set_inference_mode(PyObject*, PyObject* on) { return set_mode(inference_mode, on); }
PyObject* get_strict_broadcast(PyObject*, PyObject*) { return PyBool_FromLong(strict_broadcast); }
PyObject* set_strict_broadcast(PyObject*, PyObject* on) { return set_mode(strict_broadcast, on); }

// mark_inplace(tensor, value): tensor's memory was written by a Function; it takes value's place on the tape.
PyObject* mark_inplace(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *v;
    if (!PyArg_ParseTuple(args, "OO", &o, &v)) return nullptr;
    EG_CHECK_TYPE(is_tensor(o) && is_tensor(v), "expected Tensors");
    rewrite_history(unwrap(o), unwrap(v));
    return Py_NewRef(Py_None);
  });
}

PyObject* get_nan_check(PyObject*, PyObject*) { return PyBool_FromLong(nan_check()); }
PyObject* switch_nan_check(PyObject*, PyObject* on) {
  const int truth = PyObject_IsTrue(on);
  if (truth < 0) return nullptr;
  set_nan_check(truth != 0);
  return Py_NewRef(Py_None);
}

// with_history(tensor, node, nr): the same values as output nr of the node.
PyObject* with_history(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *node;
    unsigned int nr;
    if (!PyArg_ParseTuple(args, "OOI", &o, &node, &nr)) return nullptr;
    EG_CHECK_TYPE(is_tensor(o), "expected a Tensor");
    check_edge(node, nr);
    Tensor t = unwrap(o).detach();
    if (grad_enabled()) {
      t->grad_fn = &node_of(node);
      t->output_nr = nr;
    }
    return wrap(t);
  });
}

// --- graphs that grow -------------------------------------------------------------------------------------------------------

PyObject* after_step(PyObject*, PyObject*) { return PyBool_FromLong(count_optimizer_step()); }

PyObject* switch_growth_watch(PyObject*, PyObject* on) {
  const int truth = PyObject_IsTrue(on);
  if (truth < 0) return nullptr;
  watch_growth(truth != 0);
  return Py_NewRef(Py_None);
}

// graph_keepers() -> [(line, title, shape, tensors, steps)]
PyObject* get_keepers(PyObject*, PyObject*) {
  return guarded([&]() -> PyObject* {
    const std::vector<Keeper> keepers = graph_keepers();
    Object list = checked(PyList_New(0));
    for (const Keeper& k : keepers) {
      const Object item = checked(
          Py_BuildValue("ssNLL", k.site.describe().c_str(), k.title.c_str(), from_sizes(k.sizes),
                        static_cast<long long>(k.tensors), static_cast<long long>(k.steps)));
      checked(PyList_Append(list.get(), item.get()));
    }
    return list.release();
  });
}

PyMethodDef functions[] = {{"with_history", with_history, METH_VARARGS, nullptr},
                           {"nan_check", get_nan_check, METH_NOARGS, nullptr},
                           {"set_nan_check", switch_nan_check, METH_O, nullptr},
                           {"run_backward", run_backward, METH_VARARGS, nullptr},
                           {"run_grad", run_grad, METH_VARARGS, nullptr},
                           {"record_function", record_function, METH_VARARGS, nullptr},
                           {"node_at", node_at, METH_O, nullptr},
                           {"mark_inplace", mark_inplace, METH_VARARGS, nullptr},
                           {"add_hook", add_hook, METH_VARARGS, nullptr},
                           {"retain_grad", retain_grad, METH_O, nullptr},
                           {"named", named_result, METH_VARARGS, nullptr},
                           {"is_grad_enabled", get_grad_mode, METH_NOARGS, nullptr},
                           {"set_grad_enabled", set_grad_mode, METH_O, nullptr},
                           {"is_inference_mode_enabled", get_inference_mode, METH_NOARGS, nullptr},
                           {"set_inference_mode", set_inference_mode, METH_O, nullptr},
                           {"is_broadcast_strict", get_strict_broadcast, METH_NOARGS, nullptr},
                           {"set_strict_broadcast", set_strict_broadcast, METH_O, nullptr},
                           {"after_step", after_step, METH_NOARGS, nullptr},
                           {"watch_growth", switch_growth_watch, METH_O, nullptr},
                           {"graph_keepers", get_keepers, METH_NOARGS, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

int visit_history(const TensorImpl& t, visitproc visit, void* arg) {
  if (t.meta) {
    for (const Hooks* hooks : {&t.meta->hooks, &t.meta->post_accumulate_hooks})
      for (const Ref<Hook>& h : *hooks)
        if (const int stop = visit_hook(*h, visit, arg)) return stop;
  }
  return t.grad_fn ? visit_node(*t.grad_fn, visit, arg) : 0;
}

PyObject* wrap_node(const Ref<Node>& node) {
  if (!node) return Py_NewRef(Py_None);
  auto& objects = node_objects();
  if (const auto known = objects.find(node.get()); known != objects.end())
    return Py_NewRef(known->second);
  PyTypeObject* const type = type_of(*node);
  Object o = checked(type->tp_alloc(type, 0));
  objects[node.get()] = o.get();
  node->retain();
  reinterpret_cast<NodeObject*>(o.get())->node = node.get();
  return o.release();
}

void check_edge(PyObject* node, unsigned nr) {
  EG_CHECK_TYPE(PyObject_TypeCheck(node, node_type), "expected a Node, got ",
                Py_TYPE(node)->tp_name);
  EG_CHECK_INDEX(nr < node_of(node).outputs.size(), "the node has no output ", nr);
}

PyObject* get_grad_fn(PyObject* o, void*) {
  return guarded([&] { return wrap_node(unwrap(o).grad_fn()); });
}

PyObject* m_backward(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&]() -> PyObject* {
    static const char* const parameters[] = {"gradient", "retain_graph", "create_graph", "inputs"};
    PyObject* values[4] = {};
    EG_CHECK_TYPE(n <= 4, "backward() takes at most 4 arguments (", n, " given)");
    for (Py_ssize_t i = 0; i < n; ++i) values[i] = args[i];
    for (Py_ssize_t k = 0; names && k < PyTuple_GET_SIZE(names); ++k) {
      PyObject* key = PyTuple_GET_ITEM(names, k);
      int at = 0;
      while (at < 4 && PyUnicode_CompareWithASCIIString(key, parameters[at]) != 0) ++at;
      EG_CHECK_TYPE(at < 4, "backward() got an unexpected keyword argument '",
                    PyUnicode_AsUTF8(key), "'");
      values[at] = args[n + k];
    }
    const auto truth = [](PyObject* v, bool otherwise) {
      return v && v != Py_None ? PyObject_IsTrue(v) == 1 : otherwise;
    };
    BackwardOptions options;
    options.create_graph = truth(values[2], false);
    options.retain_graph = truth(values[1], options.create_graph);
    TensorList grads, inputs;
    if (values[0] && values[0] != Py_None) {
      EG_CHECK_TYPE(is_tensor(values[0]), "gradient must be Tensor or None, not ",
                    Py_TYPE(values[0])->tp_name);
      grads.push_back(unwrap(values[0]));
    }
    const bool some = values[3] && values[3] != Py_None;
    if (some) {
      inputs = tensors_of(values[3], "inputs", false);
      EG_CHECK(!inputs.empty(), "'inputs' argument to backward cannot be empty.");
    }
    backward({unwrap(o)}, grads, options, some ? &inputs : nullptr);
    return Py_NewRef(Py_None);
  });
}

void add_autograd(PyObject* module) {
  node_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&node_spec)).release());
  checked(PyModule_AddObjectRef(module, "Node", reinterpret_cast<PyObject*>(node_type)));
  checked(PyModule_AddFunctions(module, functions));
  add_graph(module);
}

}  // namespace eg::python
