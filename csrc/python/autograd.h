#pragma once

#include <atomic>

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

// For the garbage collector: what a tensor's place on the tape holds of Python (hooks, a Function's context), as far as nobody
// else holds the place. What lies further back stays unseen.
int visit_history(const TensorImpl& t, visitproc visit, void* arg);

// Threads at work without the interpreter's lock. It changes only with the lock held, so not while the collector runs.
extern std::atomic<int> working_unlocked;

// A callable that outlives a call, dropped with the interpreter's lock held.
class Callable {
 public:
  explicit Callable(PyObject* f) : f_(Py_NewRef(f)) { any = true; }
  ~Callable() {
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(f_);
    PyGILState_Release(state);
  }
  Callable(const Callable&) = delete;
  static inline bool any = false;  // was one ever made?
  PyObject* held() const { return f_; }
  PyObject* get() const {
    device_step = 0;  // what is called may choose another stream
    return f_;
  }

 private:
  PyObject* f_;
};

// Whether the garbage collector may look at counts of references: the tape was given objects of Python's, and no thread is at
// work.
inline bool may_visit() { return Callable::any && working_unlocked == 0; }

void add_autograd(PyObject* module);
void add_graph(PyObject* module);  // graph.cpp

}  // namespace eg::python
