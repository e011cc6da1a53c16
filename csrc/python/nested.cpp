// Tensors of nested lists of Python numbers: what most small programs start from.
#include "core/tensor.h"
#include "python/common.h"

namespace eg::python {
namespace {

bool is_list(PyObject* o) { return PyList_CheckExact(o) || PyTuple_CheckExact(o); }

// One pass that reads everything as it comes; false where something else than numbers, or a ragged list, is found.
struct Reader {
  Dims sizes;
  std::vector<Scalar> values;
  Scalar::Kind kind = Scalar::Kind::Bool;

  bool shape_of(PyObject* o) {
    while (is_list(o)) {
      if (sizes.size() == kMaxDims) return false;
      sizes.push_back(PySequence_Fast_GET_SIZE(o));
      if (sizes.back() == 0) return true;
      o = PySequence_Fast_GET_ITEM(o, 0);
    }
    return true;
  }

  bool number(PyObject* o) {
    if (PyFloat_CheckExact(o)) {
      values.emplace_back(PyFloat_AS_DOUBLE(o));
      kind = Scalar::Kind::Float;
    } else if (PyLong_CheckExact(o)) {
      int overflow = 0;
      const long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
      if (overflow) return false;
      values.emplace_back(int64_t(v));
      if (kind == Scalar::Kind::Bool) kind = Scalar::Kind::Int;
    } else if (PyBool_Check(o)) {
      values.emplace_back(o == Py_True);
    } else {
      return false;
    }
    return true;
  }

  bool read(PyObject* o, size_t dim) {
    if (dim == sizes.size()) return number(o);
    if (!is_list(o) || PySequence_Fast_GET_SIZE(o) != sizes[dim]) return false;
    for (Py_ssize_t i = 0; i < sizes[dim]; ++i)
      if (!read(PySequence_Fast_GET_ITEM(o, i), dim + 1)) return false;
    return true;
  }
};

}  // namespace

// from_nested(data, floating point dtype or None) -> Tensor, or None if the data is not plain nested numbers.
PyObject* from_nested(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *data, *wanted;
    if (!PyArg_ParseTuple(args, "OO", &data, &wanted)) return nullptr;
    DType given = DType::Bool;
    if (wanted != Py_None && !(as_dtype(wanted, &given) && is_floating(given)))
      return Py_NewRef(Py_None);
    Reader reader;
    if (!reader.shape_of(data) || !reader.read(data, 0)) return Py_NewRef(Py_None);
    const bool nothing = reader.values.empty();
    const DType dtype = wanted != Py_None                               ? given
                        : nothing || reader.kind == Scalar::Kind::Float ? default_dtype()
                        : reader.kind == Scalar::Kind::Int              ? DType::Int64
                                                                        : DType::Bool;
    Tensor t = empty(reader.sizes, dtype, Device{});
    visit_all(dtype, [&](auto zero) {
      using T = decltype(zero);
      T* p = t.data<T>();
      for (const Scalar& s : reader.values) {
        if constexpr (std::is_same_v<T, Half>) {
          *p++ = to_half(static_cast<float>(s.to_double()));
        } else if constexpr (std::is_same_v<T, BFloat16>) {
          *p++ = to_bfloat16(static_cast<float>(s.to_double()));
        } else if constexpr (std::is_floating_point_v<T>) {
          *p++ = static_cast<T>(s.to_double());
        } else {
          *p++ = static_cast<T>(s.to_int());
        }
      }
    });
    return wrap(t);
  });
}

}  // namespace eg::python
