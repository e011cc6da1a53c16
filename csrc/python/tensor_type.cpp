// The CPython type of tensors: slots for operators, and the few methods whose cost matters. The rest is Python
// (eagergrad/tensor/tensor.py) and the ops themselves.
#include <Python.h>
#include <structmember.h>

#include "core/profile.h"
#include "ops/copy.h"
#include "ops/ops.h"
#include "ops/row_sparse.h"
#include "ops/watch.h"
#include "python/autocast.h"
#include "python/autograd.h"
#include "python/common.h"
#include "tape/engine.h"

namespace eg::python {

PyTypeObject* tensor_base = nullptr;
PyTypeObject* tensor_class = nullptr;

// --- life ------------------------------------------------------------------------------------------------------

PyObject* wrap_as(PyTypeObject* type, Tensor t) {
  PyObject* o = type->tp_alloc(type, 0);
  if (!o) throw PythonError();
  auto* self = reinterpret_cast<PyTensor*>(o);
  self->impl = t.give_up();
  self->impl->pyobj = o;
  return o;
}

static PyTypeObject* class_of(const Tensor& t) {
  if (!row_parts(t)) return tensor_class;
  static PyObject* const row_sparse = [] {
    const Object module = checked(PyImport_ImportModule("eagergrad.sparse.row_sparse"));
    return checked(PyObject_GetAttrString(module.get(), "RowSparse")).release();
  }();
  return reinterpret_cast<PyTypeObject*>(row_sparse);
}

PyObject* wrap(Tensor t) {
  if (!t.defined()) return Py_NewRef(Py_None);
  if (t->pyobj) return Py_NewRef(static_cast<PyObject*>(t->pyobj));
  if (EG_UNLIKELY(t.is_weak())) {
    // A number in a formula becomes a value of its own.
    Tensor own = scalar_tensor(t.item(), t.is_floating() ? default_dtype() : t.dtype());
    return wrap_as(tensor_class, std::move(own));
  }
  if (EG_UNLIKELY(may_be_row_sparse(t))) return wrap_as(class_of(t), t);
  return wrap_as(tensor_class, std::move(t));
}

static void tensor_dealloc(PyObject* o) {
  auto* self = reinterpret_cast<PyTensor*>(o);
  if (self->weakrefs) PyObject_ClearWeakRefs(o);
  Py_CLEAR(self->dict);
  if (self->impl) {
    TensorImpl* impl = std::exchange(self->impl, nullptr);
    if (impl->pyobj == o) impl->pyobj = nullptr;
    impl->release();
  }
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}

// The garbage collector asks by way of the class Tensor. Cycles that it may take apart go through attributes, hooks and
// contexts; counts of references tell who else holds these, so no thread may be at work without the lock.
static int tensor_traverse(PyObject* o, visitproc visit, void* arg) {
  const auto* self = reinterpret_cast<PyTensor*>(o);
  Py_VISIT(self->dict);
  const TensorImpl* const impl = self->impl;
  return impl && may_visit() && impl->use_count() == 1 ? visit_history(*impl, visit, arg) : 0;
}

// TensorBase.__new__(cls, tensor): another object over the same memory, without history.
static PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject*) {
  return guarded([&]() -> PyObject* {
    PyObject* data = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : nullptr;
    EG_CHECK_TYPE(data && is_tensor(data), type->tp_name, " is made from a Tensor");
    return wrap_as(type, unwrap(data).detach());
  });
}

// --- operators ---------------------------------------------------------------------------------------------------

// The tensor of an operand: its own, or one made of it and kept in `made`; null if it is none.
static const Tensor* operand(PyObject* o, Tensor* made) {
  if (is_tensor(o)) return &borrowed(o);
  if (!is_number(o) && !is_array(o)) return nullptr;
  *made = to_operand(o, "other");
  return made;
}

// What a foreign operand (a sparse matrix) makes of the op of this name: perhaps NotImplemented.
static PyObject* foreign(const char* name, PyObject* a, PyObject* b) {
  return PyObject_CallFunction(helper("override"), "s(OO){}", name, a, b);
}

// f(a, b), the op of this name; for operands that are no tensors, what they make of it (unless foreign: NotImplemented).
enum class Foreign { Ask, Refuse };
template <bool writes = false, class F>
static PyObject* with_operands(const char* name, Foreign others, PyObject* a, PyObject* b, F&& f) {
  return guarded(
      [&]() -> PyObject* {
        if (EG_UNLIKELY(subclasses_exist) && (handed_over(a) || handed_over(b)))
          return ask_operator(writes ? str(name, "_").c_str() : name, a, b);
        Tensor made[2];
        const Tensor *x = operand(a, &made[0]), *y = x ? operand(b, &made[1]) : nullptr;
        if (!y) return others == Foreign::Ask ? foreign(name, a, b) : Py_NewRef(Py_NotImplemented);
        ProfileScope scope(name);
        if (scope.is_open())
          for (const Tensor* t : {x, y}) scope.operand(*t);
        const DeviceStep step;
        PyObject* const result = f(*x, *y);
        if (EG_LIKELY(!watching)) return result;
        PyObject* const operands[] = {a, b};
        return watch_call(name, result, writes, operands, 2);
      },
      name);
}

#define EG_BINARY(NAME, ...) #NAME,
static constexpr const char* binary_names[] = {
#include "ops/elementwise.def"
};

template <Binary op>
static PyObject* nb_binary(PyObject* a, PyObject* b) {
  return with_operands(binary_names[int(op)], Foreign::Ask, a, b,
                       [](const Tensor& x, const Tensor& y) { return wrap(binary(op, x, y)); });
}

template <Binary op>
static PyObject* nb_inplace(PyObject* a, PyObject* b) {
  return with_operands<true>(binary_names[int(op)], Foreign::Refuse, a, b,
                             [a](const Tensor& x, const Tensor& y) {
                               binary_(op, x, y);
                               return Py_NewRef(a);
                             });
}

#define EG_UNARY(NAME, ...) #NAME,
static constexpr const char* unary_names[] = {
#include "ops/elementwise.def"
};

template <Unary op>
static PyObject* nb_unary(PyObject* a) {
  return guarded([&] {
    if (EG_UNLIKELY(subclasses_exist) && handed_over(a))
      return ask_operator(unary_names[int(op)], a, nullptr);
    const ProfileScope scope(unary_names[int(op)]);
    const DeviceStep step;
    PyObject* const result = wrap(unary(op, borrowed(a)));
    return EG_LIKELY(!watching) ? result : watch_call(unary_names[int(op)], result, false, &a, 1);
  });
}

static PyObject* nb_invert(PyObject* a) {
  if (borrowed(a).is_floating()) {
    PyErr_SetString(PyExc_TypeError,
                    "~ (operator.invert) is only implemented on integer and Boolean-type tensors");
    return nullptr;
  }
  return nb_unary<Unary::bitwise_not>(a);
}

static PyObject* nb_power(PyObject* a, PyObject* b, PyObject* mod) {
  if (mod != Py_None) return Py_NewRef(Py_NotImplemented);
  return with_operands("pow", Foreign::Refuse, a, b, [](const Tensor& x, const Tensor& y) {
    static const AutocastRule rule = autocasts("pow");
    if (EG_UNLIKELY(autocast_on())) return wrap(power(autocast(x, rule), autocast(y, rule)));
    return wrap(power(x, y));
  });
}
static PyObject* nb_inplace_power(PyObject* a, PyObject* b, PyObject*) {
  return nb_inplace<Binary::pow>(a, b);
}
static PyObject* nb_matmul(PyObject* a, PyObject* b) {
  return with_operands("matmul", Foreign::Ask, a, b, [](const Tensor& x, const Tensor& y) {
    static const AutocastRule rule = autocasts("matmul");
    if (x.is_weak() || y.is_weak()) return Py_NewRef(Py_NotImplemented);  // a Python number
    if (EG_UNLIKELY(autocast_on())) return wrap(matmul(autocast(x, rule), autocast(y, rule)));
    return wrap(matmul(x, y));
  });
}

static PyObject* tensor_compare(PyObject* a, PyObject* b, int op) {
  constexpr Binary ops[] = {Binary::lt, Binary::le, Binary::eq, Binary::ne, Binary::gt, Binary::ge};
  return with_operands(
      binary_names[int(ops[op])], Foreign::Refuse, a, b,
      [op, &ops](const Tensor& x, const Tensor& y) { return wrap(binary(ops[op], x, y)); });
}
static Py_hash_t tensor_hash(PyObject* o) { return hash_address(o); }

static Scalar the_value(PyObject* o) { return unwrap(o).item(); }
// What int() and float() take; item() raises RuntimeError.
static Scalar the_number(PyObject* o) {
  const Tensor t = unwrap(o);
  EG_CHECK_VALUE(t.numel() == 1,
                 "only one element tensors can be converted to Python scalars, got shape ",
                 IntSpan(t.sizes()));
  return t.item();
}
static int nb_bool(PyObject* o) {
  return guarded_int([&]() -> int {
    const Tensor t = unwrap(o);
    EG_CHECK(t.numel() == 1, t.numel()
                                 ? "Boolean value of Tensor with more than one value is ambiguous"
                                 : "Boolean value of Tensor with no values is ambiguous");
    return t.item().to_bool();
  });
}
static PyObject* nb_int(PyObject* o) {
  return guarded([&]() -> PyObject* {
    const Scalar s = the_number(o);
    return s.is_float() ? PyLong_FromDouble(s.to_double()) : PyLong_FromLongLong(s.to_int());
  });
}
static PyObject* nb_float(PyObject* o) {
  return guarded([&] { return PyFloat_FromDouble(the_number(o).to_double()); });
}
static PyObject* nb_index(PyObject* o) {
  return guarded([&]() -> PyObject* {
    const Tensor t = unwrap(o);
    EG_CHECK_TYPE(!t.is_floating() && t.numel() == 1,
                  "only integer tensors of a single element can be converted to an index");
    return PyLong_FromLongLong(t.item().to_int());
  });
}

static Py_ssize_t tensor_length(PyObject* o) {
  const Tensor t = unwrap(o);
  if (t.dim() == 0) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return t.sizes()[0];
}
static PyObject* tensor_iter(PyObject* o) {
  return guarded([&]() -> PyObject* {
    const Tensor t = unwrap(o);
    EG_CHECK_TYPE(t.dim() > 0, "iteration over a 0-d tensor");
    if (EG_UNLIKELY(subclasses_exist) && handed_over(o)) {
      const Object rows = checked(PyObject_CallMethod(o, "unbind", nullptr));
      return PyObject_GetIter(rows.get());
    }
    const TensorList rows = unbind(t, 0);
    const Object list = checked(PyList_New(Py_ssize_t(rows.size())));
    for (size_t i = 0; i < rows.size(); ++i)
      PyList_SET_ITEM(list.get(), Py_ssize_t(i), wrap(rows[i]));
    return PyObject_GetIter(list.get());
  });
}

// --- attributes -------------------------------------------------------------------------------------------------------

#define EG_GETTER(name, expression)                 \
  static PyObject* get_##name(PyObject* o, void*) { \
    return guarded([&]() -> PyObject* {             \
      const Tensor t = unwrap(o);                   \
      return expression;                            \
    });                                             \
  }
EG_GETTER(shape, from_sizes(t.sizes()))
EG_GETTER(dtype, from_dtype(t.dtype()))
EG_GETTER(device, from_device(t.device()))
EG_GETTER(ndim, PyLong_FromLongLong(t.dim()))
EG_GETTER(requires_grad, PyBool_FromLong(t.requires_grad()))
EG_GETTER(is_dense, PyBool_FromLong(t.is_contiguous()))
EG_GETTER(is_leaf, PyBool_FromLong(t.is_leaf()))
EG_GETTER(version, PyLong_FromUnsignedLong(t.version()))
EG_GETTER(is_inference, PyBool_FromLong(t->inference))
EG_GETTER(is_view, PyBool_FromLong(bool(t->base)))
EG_GETTER(base, t->base ? wrap(Tensor(t->base)) : Py_NewRef(Py_None))
static bool retains_grad(const Tensor& t) {
  return !t.is_leaf() && t->meta && t->meta->retain_grad;
}
static Tensor grad_of(const Tensor& t) {
  Tensor g = t.grad();
  if (EG_UNLIKELY(!g.defined() && !t.is_leaf() && !retains_grad(t)) && warn_user)
    warn_user(
        str("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. It is "
            "None whatever backward() does: ",
            t.grad_fn()->title(), " made the tensor at ", t.grad_fn()->site.describe(),
            ". Call .retain_grad() on it before backward(), or "
            "read the .grad of the leaf that you meant."));
  return g;
}
EG_GETTER(grad, wrap(grad_of(t)))
EG_GETTER(retains_grad, PyBool_FromLong(retains_grad(t)))

// .data: the same memory with a version counter of its own, as in PyTorch: writes through it are not the tape's business.
static Tensor untracked(const Tensor& t) {
  Tensor d = t.detach();
  if (may_be_row_sparse(t)) return d;  // its versions tell whether its rows still hold
  const Ref<Storage> owner = t->storage;
  d->storage = Storage::borrow(owner->data(), owner->bytes(), owner->device(), owner->writable(),
                               [owner] {});
  return d;
}
EG_GETTER(data, wrap(untracked(t)))
#undef EG_GETTER

static int set_data(PyObject* o, PyObject* value, void*) {
  return guarded_int([&] {
    EG_CHECK_TYPE(value && is_tensor(value), "data must be a Tensor");
    const Tensor self = unwrap(o), from = unwrap(value);
    EG_CHECK(!self.requires_grad() || from.is_floating(),
             "data set to a tensor that requires gradients must be floating point, got ",
             from.dtype());
    self->storage = from->storage;
    self->offset = from->offset;
    self->sizes = from->sizes;
    self->strides = from->strides;
    self->numel = from->numel;
    self->dtype = from->dtype;
    self->device = from->device;
    self->contiguous = from->contiguous;
    if (self->meta && self->meta->accumulator)
      self->meta->accumulator->outputs[0] = {self->sizes, self->dtype, self->device};
    return 0;
  });
}
static int set_requires_grad(PyObject* o, PyObject* value, void*) {
  return guarded_int([&] {
    EG_CHECK_TYPE(value && PyBool_Check(value), "requires_grad must be a bool");
    unwrap(o).set_requires_grad(value == Py_True);
    return 0;
  });
}
static int set_grad(PyObject* o, PyObject* value, void*) {
  return guarded_int([&] {
    const Tensor self = unwrap(o);
    if (!value || value == Py_None) {
      self.set_grad(Tensor());
      return 0;
    }
    const Object made = is_tensor(value)
                            ? Object::borrow(value)
                            : checked(PyObject_CallOneArg(helper("as_gradient"), value));
    EG_CHECK_TYPE(is_tensor(made.get()), "assigned grad expected to be a Tensor or None but got ",
                  Py_TYPE(value)->tp_name);
    const Tensor g = unwrap(made.get());
    EG_CHECK(!g.same(self), "can't assign Tensor as its own grad");
    EG_CHECK(g.dtype() == self.dtype(), "assigned grad has data of a different type: expected ",
             self.dtype(), ", got ", g.dtype());
    EG_CHECK(g.sizes() == self.sizes(), "assigned grad has data of a different size: expected ",
             IntSpan(self.sizes()), ", got ", IntSpan(g.sizes()));
    self.set_grad(g);
    return 0;
  });
}
PyObject* get_grad_fn(PyObject* o, void*);  // autograd.cpp

PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr, "Size: the length of each dimension.", nullptr},
    {"dtype", get_dtype, nullptr, "Type of the elements.", nullptr},
    {"device", get_device, nullptr, "Where the memory is.", nullptr},
    {"ndim", get_ndim, nullptr, "Number of dimensions.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad,
     "Whether operations on this tensor are recorded.", nullptr},
    {"_is_dense", get_is_dense, nullptr, "Whether the elements lie in row-major order.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "True if no recorded operation made this tensor.", nullptr},
    {"grad", get_grad, set_grad, "Gradient accumulated by backward(), or None.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "The recorded operation that made this tensor, or None.",
     nullptr},
    {"data", get_data, set_data, "The same memory without history.", nullptr},
    {"retains_grad", get_retains_grad, nullptr, "True for a non-leaf after retain_grad().",
     nullptr},
    {"_version", get_version, nullptr, "How often the memory was written in place.", nullptr},
    {"_base", get_base, nullptr, "The tensor of which this is a view, or None.", nullptr},
    {"_is_inference", get_is_inference, nullptr, nullptr, nullptr},
    {"_is_view_flag", get_is_view, nullptr, nullptr, nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

// --- methods -----------------------------------------------------------------------------------------------------------

static PyObject* m_item(PyObject* o, PyObject*) {
  return guarded([&] { return from_scalar(the_value(o)); });
}
static PyObject* m_dim(PyObject* o, PyObject*) { return PyLong_FromLongLong(unwrap(o).dim()); }
static PyObject* m_numel(PyObject* o, PyObject*) { return PyLong_FromLongLong(unwrap(o).numel()); }
static PyObject* m_storage_offset(PyObject* o, PyObject*) {
  return PyLong_FromLongLong(unwrap(o).offset());
}
static PyObject* m_data_ptr(PyObject* o, PyObject*) { return PyLong_FromVoidPtr(unwrap(o).raw()); }
static PyObject* m_detach(PyObject* o, PyObject*) {
  return guarded([&] { return wrap(unwrap(o).detach()); });
}

static PyObject* dims_or_one(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names,
                             bool strides) {
  return guarded([&]() -> PyObject* {
    const Tensor t = unwrap(o);
    const Py_ssize_t keywords = names ? PyTuple_GET_SIZE(names) : 0;
    PyObject* dim = n + keywords > 0 ? args[0] : Py_None;
    if (dim == Py_None) {
      if (!strides) return from_sizes(t.sizes());
      const Object tuple(from_sizes(t.strides()));
      return PySequence_Tuple(tuple.get());
    }
    EG_CHECK_TYPE(is_index(dim), strides ? "stride" : "size",
                  "(): argument 'dim' must be int, not ", Py_TYPE(dim)->tp_name);
    return PyLong_FromLongLong(strides ? t.stride(to_index(dim)) : t.size(to_index(dim)));
  });
}
static PyObject* m_size(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return dims_or_one(o, args, n, names, false);
}
static PyObject* m_stride(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return dims_or_one(o, args, n, names, true);
}

static PyObject* nested(const Tensor& t, char* p, int64_t dim) {
  if (dim == t.dim()) {
    return visit_all(t.dtype(), [&](auto zero) -> PyObject* {
      using T = decltype(zero);
      T v;
      std::memcpy(&v, p, sizeof(T));
      if constexpr (std::is_same_v<T, bool>)
        return PyBool_FromLong(v);
      else if constexpr (std::is_integral_v<T>)
        return PyLong_FromLongLong(v);
      else if constexpr (std::is_floating_point_v<T>)
        return PyFloat_FromDouble(v);
      else
        return PyFloat_FromDouble(to_float(v));
    });
  }
  const int64_t n = t.sizes()[dim], step = t.strides()[dim] * int64_t(t.item_size());
  Object list = checked(PyList_New(n));
  for (int64_t i = 0; i < n; ++i)
    PyList_SET_ITEM(list.get(), i, checked(nested(t, p + i * step, dim + 1)).release());
  return list.release();
}
static PyObject* m_tolist(PyObject* o, PyObject*) {
  return guarded([&] {
    const Tensor t = host_data(unwrap(o));
    return nested(t, t.raw(), 0);
  });
}

static PyObject* m_requires_grad_(PyObject* o, PyObject* const* args, Py_ssize_t n,
                                  PyObject* names) {
  return guarded([&]() -> PyObject* {
    const Py_ssize_t given = n + (names ? PyTuple_GET_SIZE(names) : 0);
    const int on = given ? PyObject_IsTrue(args[0]) : 1;
    checked(on);
    unwrap(o).set_requires_grad(on != 0);
    return Py_NewRef(o);
  });
}

static PyObject* m_detach_(PyObject* o, PyObject*) {
  return guarded([&]() -> PyObject* {
    const Tensor t = unwrap(o);
    leave_dead_root(t);
    EG_CHECK(!t->base || !t.requires_grad(), "Can't detach views in-place. Use detach() instead.");
    t->grad_fn = nullptr;
    t->requires_grad = false;
    t->output_nr = 0;
    return Py_NewRef(o);
  });
}

static PyObject* m_is_set_to(PyObject* o, PyObject* other) {
  return guarded([&]() -> PyObject* {
    EG_CHECK_TYPE(is_tensor(other), "expected a Tensor");
    const Tensor a = unwrap(o), b = unwrap(other);
    return PyBool_FromLong(a.raw() == b.raw() && a.sizes() == b.sizes() &&
                           a.strides() == b.strides());
  });
}

PyObject* m_backward(PyObject* o, PyObject* const* args, Py_ssize_t n,
                     PyObject* names);  // autograd.cpp

template <class F>
constexpr PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}
constexpr int kFast = METH_FASTCALL | METH_KEYWORDS;
PyMethodDef tensor_methods[] = {
    {"item", m_item, METH_NOARGS,
     "item()\n--\n\nThe value of a one-element tensor as a Python number."},
    {"dim", m_dim, METH_NOARGS, "dim()\n--\n\nNumber of dimensions."},
    {"ndimension", m_dim, METH_NOARGS, "ndimension()\n--\n\nNumber of dimensions."},
    {"numel", m_numel, METH_NOARGS, "numel()\n--\n\nNumber of elements."},
    {"nelement", m_numel, METH_NOARGS, "nelement()\n--\n\nNumber of elements."},
    {"storage_offset", m_storage_offset, METH_NOARGS,
     "storage_offset()\n--\n\nElements before the first one in the storage."},
    {"data_ptr", m_data_ptr, METH_NOARGS, "data_ptr()\n--\n\nAddress of the first element."},
    {"detach", m_detach, METH_NOARGS, "detach()\n--\n\nThe same memory without history."},
    {"detach_", m_detach_, METH_NOARGS, "detach_()\n--\n\nDrops this tensor's history."},
    {"size", method(m_size), kFast,
     "size(dim=None)\n--\n\nThe shape, or the length of one dimension."},
    {"stride", method(m_stride), kFast, "stride(dim=None)\n--\n\nSteps in memory, in elements."},
    {"tolist", m_tolist, METH_NOARGS,
     "tolist()\n--\n\nThe values as nested lists of Python numbers."},
    {"requires_grad_", method(m_requires_grad_), kFast,
     "requires_grad_(requires_grad=True)\n--\n\nSwitches recording for this leaf; returns it."},
    {"is_set_to", m_is_set_to, METH_O,
     "is_set_to(tensor)\n--\n\nWhether both are the same view of the same memory."},
    {"backward", method(m_backward), kFast,
     "backward(gradient=None, retain_graph=None, create_graph=False, inputs=None)\n--\n\n"
     "Accumulates the gradient of this tensor into the .grad of the leaves it depends on."},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef tensor_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(PyTensor, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

#define EG_SLOT(slot, f) {slot, reinterpret_cast<void*>(f)}
static PyType_Slot tensor_slots[] = {
    EG_SLOT(Py_tp_dealloc, tensor_dealloc),
    EG_SLOT(Py_tp_traverse, tensor_traverse),
    EG_SLOT(Py_tp_new, tensor_new),
    EG_SLOT(Py_tp_richcompare, tensor_compare),
    EG_SLOT(Py_tp_hash, tensor_hash),
    EG_SLOT(Py_tp_iter, tensor_iter),
    {Py_tp_getset, tensor_getset},
    {Py_tp_methods, tensor_methods},
    {Py_tp_members, tensor_members},
    EG_SLOT(Py_bf_getbuffer, tensor_getbuffer),
    EG_SLOT(Py_bf_releasebuffer, tensor_releasebuffer),
    EG_SLOT(Py_mp_length, tensor_length),
    EG_SLOT(Py_mp_subscript, get_item),
    EG_SLOT(Py_mp_ass_subscript, set_item),
    EG_SLOT(Py_nb_add, nb_binary<Binary::add>),
    EG_SLOT(Py_nb_subtract, nb_binary<Binary::sub>),
    EG_SLOT(Py_nb_multiply, nb_binary<Binary::mul>),
    EG_SLOT(Py_nb_true_divide, nb_binary<Binary::div>),
    EG_SLOT(Py_nb_floor_divide, nb_binary<Binary::floor_divide>),
    EG_SLOT(Py_nb_remainder, nb_binary<Binary::remainder>),
    EG_SLOT(Py_nb_power, nb_power),
    EG_SLOT(Py_nb_matrix_multiply, nb_matmul),
    EG_SLOT(Py_nb_and, nb_binary<Binary::bitwise_and>),
    EG_SLOT(Py_nb_or, nb_binary<Binary::bitwise_or>),
    EG_SLOT(Py_nb_xor, nb_binary<Binary::bitwise_xor>),
    EG_SLOT(Py_nb_lshift, nb_binary<Binary::bitwise_left_shift>),
    EG_SLOT(Py_nb_rshift, nb_binary<Binary::bitwise_right_shift>),
    EG_SLOT(Py_nb_inplace_add, nb_inplace<Binary::add>),
    EG_SLOT(Py_nb_inplace_subtract, nb_inplace<Binary::sub>),
    EG_SLOT(Py_nb_inplace_multiply, nb_inplace<Binary::mul>),
    EG_SLOT(Py_nb_inplace_true_divide, nb_inplace<Binary::div>),
    EG_SLOT(Py_nb_inplace_floor_divide, nb_inplace<Binary::floor_divide>),
    EG_SLOT(Py_nb_inplace_remainder, nb_inplace<Binary::remainder>),
    EG_SLOT(Py_nb_inplace_power, nb_inplace_power),
    EG_SLOT(Py_nb_inplace_and, nb_inplace<Binary::bitwise_and>),
    EG_SLOT(Py_nb_inplace_or, nb_inplace<Binary::bitwise_or>),
    EG_SLOT(Py_nb_inplace_xor, nb_inplace<Binary::bitwise_xor>),
    EG_SLOT(Py_nb_inplace_lshift, nb_inplace<Binary::bitwise_left_shift>),
    EG_SLOT(Py_nb_inplace_rshift, nb_inplace<Binary::bitwise_right_shift>),
    EG_SLOT(Py_nb_negative, nb_unary<Unary::neg>),
    EG_SLOT(Py_nb_absolute, nb_unary<Unary::abs>),
    EG_SLOT(Py_nb_invert, nb_invert),
    EG_SLOT(
        Py_nb_positive, +[](PyObject* o) { return Py_NewRef(o); }),
    EG_SLOT(Py_nb_bool, nb_bool),
    EG_SLOT(Py_nb_int, nb_int),
    EG_SLOT(Py_nb_float, nb_float),
    EG_SLOT(Py_nb_index, nb_index),
    {0, nullptr}};
static PyType_Spec tensor_spec = {"eagergrad._C.TensorBase", sizeof(PyTensor), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, tensor_slots};

PyTypeObject* make_tensor_type(PyObject*) {
  tensor_base = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&tensor_spec)).release());
  tensor_class = tensor_base;
  return tensor_base;
}

}  // namespace eg::python
