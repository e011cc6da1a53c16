// What the binding's files share: the Python object of a tensor, conversions, and errors.
#pragma once

#include <Python.h>

#include "core/tensor.h"

namespace eg::python {

// --- the Python object that is a tensor ------------------------------------------------------------------------
struct PyTensor {
  PyObject_HEAD;
  TensorImpl* impl;  // owned
  PyObject* dict;    // made when the user sets an attribute
  PyObject* weakrefs;
};
extern PyTypeObject* tensor_base;   // eagergrad._C.TensorBase
extern PyTypeObject* tensor_class;  // eagergrad.Tensor, a subclass written in Python

inline bool is_tensor(PyObject* o) {
  return Py_TYPE(o) == tensor_class || PyObject_TypeCheck(o, tensor_base);
}
inline Tensor unwrap(PyObject* o) {
  return Tensor(Ref<TensorImpl>(reinterpret_cast<PyTensor*>(o)->impl));
}
// The same without a reference of its own: valid while the object lives. A Tensor is one pointer.
inline const Tensor& borrowed(PyObject* o) {
  static_assert(sizeof(Tensor) == sizeof(TensorImpl*), "a Tensor is a reference");
  return reinterpret_cast<const Tensor&>(reinterpret_cast<PyTensor*>(o)->impl);
}
// A new reference; the same object as long as one is alive for this tensor. Undefined tensors become None.
PyObject* wrap(Tensor t);
// As an instance of a subclass (Parameter).
PyObject* wrap_as(PyTypeObject* type, Tensor t);

PyTypeObject* make_tensor_type(PyObject* module);

// --- subclasses with a __torch_function__ ------------------------------------------------------------------------
// Set once a class of tensors exists that is asked about ops, or a mode: programs without one pay a test of this flag.
extern bool subclasses_exist;
// Whether a tensor is of such a class, and asking is not switched off in this thread.
bool takes_over(PyObject* o);
// Whether a call with this argument is handed over: to its class, or to a TorchFunctionMode, which takes every call.
bool handed_over(PyObject* o);
// What the operands' classes make of the op of a name; b may be null.
PyObject* ask_operator(const char* name, PyObject* a, PyObject* b, PyObject* c = nullptr);
void add_subclasses(PyObject* module);

// --- eg.seterr ---------------------------------------------------------------------------------------------------
// The result of a call, after a look for NaN and infinity. The op, named without its underscore, may write over inputs, which may
// hold other things than tensors. Asked while `watching`.
PyObject* watch_call(const char* name, PyObject* result, bool writes, PyObject* const* inputs,
                     size_t n);
void add_watch(PyObject* module);

// --- references ----------------------------------------------------------------------------------------------------
class Object {
 public:
  Object() = default;
  explicit Object(PyObject* stolen) : p_(stolen) {}
  static Object borrow(PyObject* p) {
    Py_XINCREF(p);
    return Object(p);
  }
  Object(const Object& o) : p_(o.p_) { Py_XINCREF(p_); }
  Object(Object&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Object& operator=(Object o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Object() { Py_XDECREF(p_); }
  PyObject* get() const { return p_; }
  PyObject* release() { return std::exchange(p_, nullptr); }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  PyObject* p_ = nullptr;
};

// --- errors ------------------------------------------------------------------------------------------------------------
// A Python exception is set; unwinds C++ frames.
struct PythonError {};
inline Object checked(PyObject* p) {
  if (!p) throw PythonError();
  return Object(p);
}
inline void checked(int status) {
  if (status < 0) throw PythonError();
}
// Puts the op's name in front of a message that has none.
void name_op(Error& e, const char* op);
// Sets the Python exception of the C++ exception in flight, with the name of the op where one is given.
void set_python_error(const char* op = nullptr) noexcept;

// Runs f and turns exceptions into Python's.
template <class F>
PyObject* guarded(F&& f, const char* op = nullptr) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error(op);
    return nullptr;
  }
}
template <class F>
int guarded_int(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return -1;
  }
}

// --- conversions -------------------------------------------------------------------------------------------------------
bool is_number(PyObject* o);  // bool, int, float and NumPy's scalars
bool is_array(PyObject* o);   // numpy.ndarray
Scalar to_scalar(PyObject* number);
PyObject* from_scalar(const Scalar& s);
// A tensor, number or array as a tensor (numbers are weak). Raises TypeError naming `what`.
Tensor to_operand(PyObject* o, const char* what);
// Shares memory where the array allows it.
Tensor from_array(PyObject* array);
// share_array(array) -> Tensor of the array's memory, or None where it cannot be one as it is, or not be written to.
PyObject* share_array(PyObject*, PyObject* array);
int64_t to_index(PyObject* o);  // anything with __index__
bool is_index(PyObject* o);

PyObject* from_dtype(DType t);  // new reference to the singleton
bool as_dtype(PyObject* o, DType* out);
PyObject* from_device(Device d);
bool is_device(PyObject* o);
bool as_device(PyObject* o, Device* out);
PyObject* from_sizes(IntSpan sizes);  // eagergrad.Size
PyObject* size_base();  // what that derives from: a tuple whose slices are of its class

// Called by Python when the package is put together.
PyObject* register_types(PyObject*, PyObject* args);
PyObject* from_nested(PyObject*, PyObject* data);

// Objects of the package that the binding needs: registered under a name.
PyObject* helper(const char* name);  // borrowed; raises if missing

inline Py_hash_t hash_address(const void* p) {
  const auto h = static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(p) >> 4);
  return h == -1 ? -2 : h;
}

// --- parts -----------------------------------------------------------------------------------------------------------------
PyObject* get_item(PyObject* self, PyObject* index);
int set_item(PyObject* self, PyObject* index, PyObject* value);
void add_ops(PyObject* module);
void add_optim(PyObject* module);
void add_nn_module(PyObject* module);
void add_profile(PyObject* module);
PyObject* make_op_type();
extern PyMethodDef tensor_methods[];
extern PyGetSetDef tensor_getset[];
int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags);
void tensor_releasebuffer(PyObject* self, Py_buffer* view);
void install_site_hooks(const char* package_folder);

}  // namespace eg::python
