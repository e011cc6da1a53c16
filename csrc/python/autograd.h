#pragma once

#include "python/common.h"
#include "tape/node.h"

namespace eg::python {

struct NodeObject {
  PyObject_HEAD;
  Node* node;  // owned
};
inline Node& node_of(PyObject* o) { return *reinterpret_cast<NodeObject*>(o)->node; }
PyObject* wrap_node(const Ref<Node>& node);
// Raises unless node is a Node that has output nr.
void check_edge(PyObject* node, unsigned nr);

// A callable that outlives a call, dropped with the interpreter's lock held.
class Callable {
 public:
  explicit Callable(PyObject* f) : f_(Py_NewRef(f)) {}
  ~Callable() {
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(f_);
    PyGILState_Release(state);
  }
  Callable(const Callable&) = delete;
  PyObject* get() const {
    device_step = 0;  // what is called may choose another stream
    return f_;
  }

 private:
  PyObject* f_;
};

void add_autograd(PyObject* module);
void add_graph(PyObject* module);  // graph.cpp

}  // namespace eg::python
