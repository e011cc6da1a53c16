// Python subscripts to ops/indexing.h.
#include "ops/indexing.h"

#include "core/profile.h"
#include "ops/ops.h"
#include "python/common.h"

namespace eg::python {
namespace {

std::optional<int64_t> bound(PyObject* o) {
  if (o == Py_None) return std::nullopt;
  EG_CHECK_TYPE(is_index(o) || PyBool_Check(o),
                "slice indices must be integers or None or have an __index__ method");
  return to_index(o);
}

// Lists are index tensors, as in NumPy: [0, 2], [[0], [1]], [True, False].
Tensor list_tensor(PyObject* list) {
  const Object made = checked(PyObject_CallOneArg(helper("index_tensor"), list));
  EG_CHECK_TYPE(is_tensor(made.get()), "cannot index with this list");
  return unwrap(made.get());
}

IndexItem item_of(PyObject* o) {
  IndexItem item;
  using Kind = IndexItem::Kind;
  if (PySlice_Check(o)) {
    auto* s = reinterpret_cast<PySliceObject*>(o);
    item.kind = Kind::Slice;
    item.start = bound(s->start);
    item.stop = bound(s->stop);
    item.step = bound(s->step);
  } else if (o == Py_None) {
    item.kind = Kind::None;
  } else if (o == Py_Ellipsis) {
    item.kind = Kind::Ellipsis;
  } else if (PyBool_Check(o)) {
    item.kind = Kind::Bool;
    item.i = o == Py_True;
  } else if (PyLong_Check(o)) {
    item.kind = Kind::Int;
    item.i = to_index(o);
  } else if (is_tensor(o)) {
    item.t = unwrap(o);
    item.kind = Kind::Tensor;
    // A 0-d integer tensor selects, as an integer does.
    if (item.t.dim() == 0 && is_integral(item.t.dtype()) && item.t.dtype() != DType::UInt8) {
      item.kind = Kind::Int;
      item.i = item.t.item().to_int();
      item.t = Tensor();
    }
  } else if (is_array(o)) {
    item.kind = Kind::Tensor;
    item.t = from_array(o);
  } else if (PyList_Check(o) || PyTuple_Check(o) || PyRange_Check(o)) {
    item.kind = Kind::Tensor;
    item.t = list_tensor(o);
  } else if (is_index(o)) {
    item.kind = Kind::Int;
    item.i = to_index(o);
  } else if (is_number(o) && !PyFloat_Check(o)) {  // numpy.bool_
    item.kind = Kind::Bool;
    item.i = to_scalar(o).to_bool();
  } else {
    fail(PyUnicode_Check(o) ? ErrorKind::Type : ErrorKind::Index,
         "only integers, slices (`:`), ellipsis (`...`), None and long, byte or bool Variables are "
         "valid indices (got ",
         Py_TYPE(o)->tp_name, ")");
  }
  return item;
}

// PyTorch's old rule: a short list that holds anything but numbers means the tuple of its items.
bool means_tuple(PyObject* index) {
  if (PyTuple_Check(index)) return true;
  if (!PyList_Check(index) || PyList_GET_SIZE(index) >= 32) return false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(index); ++i) {
    PyObject* o = PyList_GET_ITEM(index, i);
    if (is_tensor(o) || is_array(o) || PyList_Check(o) || PyTuple_Check(o) || PySlice_Check(o) ||
        o == Py_None || o == Py_Ellipsis)
      return true;
  }
  return false;
}

IndexItems items_of(PyObject* index) {
  IndexItems items;
  if (means_tuple(index)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(index); ++i)
      items.push_back(item_of(PySequence_Fast_GET_ITEM(index, i)));
  } else {
    items.push_back(item_of(index));
  }
  return items;
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* index) {
  return guarded([&] {
    if (EG_UNLIKELY(subclasses_exist) && (handed_over(self) || handed_over(index)))
      return ask_operator("__getitem__", self, index);
    const ProfileScope scope("getitem");
    const Tensor x = unwrap(self);
    return wrap(eg::get_item(x, items_of(index)));
  });
}

int set_item(PyObject* self, PyObject* index, PyObject* value) {
  return guarded_int([&] {
    if (!value) fail(ErrorKind::Type, "Tensor does not support deleting items");
    if (EG_UNLIKELY(subclasses_exist) && (handed_over(self) || handed_over(value))) {
      checked(ask_operator("__setitem__", self, index, value));
      return 0;
    }
    const ProfileScope scope("setitem");
    const Tensor x = unwrap(self);
    Tensor v;
    if (PyList_Check(value) || PyTuple_Check(value)) {
      const Object made = checked(PyObject_CallOneArg(helper("tensor"), value));
      v = unwrap(made.get());
    } else {
      v = to_operand(value, "value");
    }
    eg::set_item(x, items_of(index), v);
    return 0;
  });
}

}  // namespace eg::python
