// Python values to the core's and back.
#include <unordered_map>

#include "core/gil.h"
#include "cuda/launch.h"
#include "ops/ops.h"
#include "python/common.h"

namespace eg::python {

// --- errors ----------------------------------------------------------------------------------------------------

static PyObject* out_of_memory_class = PyExc_MemoryError;  // until register_types

void name_op(Error& e, const char* op) {
  if (!e.message().empty() && e.message()[0] != '[' && e.kind() != ErrorKind::Interrupt)
    e.set_message(str("[", op, "] ", e.message()));
}

void set_python_error(const char* op) noexcept {
  try {
    throw;
  } catch (const PythonError&) {
    // set already
  } catch (Error& e) {
    if (op) name_op(e, op);
    PyObject* const kinds[] = {
        PyExc_RuntimeError,        PyExc_TypeError,    PyExc_ValueError,
        PyExc_IndexError,          PyExc_KeyError,     out_of_memory_class,
        PyExc_NotImplementedError, PyExc_BufferError,  PyExc_KeyboardInterrupt,
        PyExc_FloatingPointError,  out_of_memory_class};
    if (!PyErr_Occurred()) PyErr_SetString(kinds[int(e.kind())], e.what());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(out_of_memory_class, "can't allocate memory");
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "unknown C++ exception");
  }
}

// --- helpers written in Python ----------------------------------------------------------------------------------

static PyObject* helpers = nullptr;  // name -> object
static PyObject* dtype_objects[kDTypes];
static PyObject* cpu_device = nullptr;
static PyTypeObject* size_class = nullptr;
static PyTypeObject* array_class = nullptr;
static PyTypeObject* array_scalar_class = nullptr;
static PyTypeObject* device_class = nullptr;

PyObject* helper(const char* name) {
  PyObject* found = helpers ? PyDict_GetItemString(helpers, name) : nullptr;
  if (!found) {
    PyErr_Format(PyExc_SystemError, "eagergrad is not put together yet: %s is missing", name);
    throw PythonError();
  }
  device_step = 0;  // what is called may choose another stream
  return found;
}

// register_types(dict): Tensor, Size, device, cpu, dtypes, ndarray, generic and helper functions by name.
PyObject* register_types(PyObject*, PyObject* dict) {
  return guarded([&]() -> PyObject* {
    if (!PyDict_Check(dict)) {
      PyErr_SetString(PyExc_TypeError, "expected a dict");
      return nullptr;
    }
    Py_XDECREF(helpers);
    helpers = Py_NewRef(dict);
    tensor_class = reinterpret_cast<PyTypeObject*>(helper("Tensor"));
    size_class = reinterpret_cast<PyTypeObject*>(helper("Size"));
    device_class = reinterpret_cast<PyTypeObject*>(helper("device"));
    array_class = reinterpret_cast<PyTypeObject*>(helper("ndarray"));
    array_scalar_class = reinterpret_cast<PyTypeObject*>(helper("generic"));
    cpu_device = helper("cpu");
    out_of_memory_class = helper("OutOfMemoryError");
    PyObject* dtypes = helper("dtypes");
    for (int i = 0; i < kDTypes; ++i) dtype_objects[i] = PyList_GetItem(dtypes, i);
    return Py_NewRef(Py_None);
  });
}

// --- dtypes, devices, sizes ------------------------------------------------------------------------------------------

PyObject* from_dtype(DType t) { return Py_NewRef(dtype_objects[int(t)]); }

bool is_device(PyObject* o) { return PyObject_TypeCheck(o, device_class); }

bool as_dtype(PyObject* o, DType* out) {
  for (int i = 0; i < kDTypes; ++i) {
    if (dtype_objects[i] == o) {
      *out = static_cast<DType>(i);
      return true;
    }
  }
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type)) return *out = DType::Float64, true;
  if (o == reinterpret_cast<PyObject*>(&PyLong_Type)) return *out = DType::Int64, true;
  if (o == reinterpret_cast<PyObject*>(&PyBool_Type)) return *out = DType::Bool, true;
  if (PyUnicode_Check(o) || PyNumber_Check(o) || o == Py_None || PySequence_Check(o)) return false;
  if (is_device(o)) return false;
  // numpy.dtype, numpy.float32 ...
  Object found(PyObject_CallFunctionObjArgs(helper("dtype_from_numpy"), o, nullptr));
  if (!found) {
    PyErr_Clear();
    return false;
  }
  if (found.get() == Py_None) return false;
  return as_dtype(found.get(), out);
}

PyObject* from_device(Device d) {
  if (d.is_cpu()) return Py_NewRef(cpu_device);
  return PyObject_CallFunction(reinterpret_cast<PyObject*>(device_class), "si", "cuda",
                               int(d.index));
}

bool as_device(PyObject* o, Device* out) {
  const auto is_cpu = [](PyObject* name) {
    return PyUnicode_CompareWithASCIIString(name, "cpu") == 0;
  };
  if (o == cpu_device || (PyUnicode_Check(o) && is_cpu(o))) return *out = Device{}, true;
  Object made = Object::borrow(o);
  if (PyUnicode_Check(o) || (PyLong_Check(o) && !PyBool_Check(o))) {
    made = checked(PyObject_CallOneArg(reinterpret_cast<PyObject*>(device_class), o));
  } else if (!PyObject_TypeCheck(o, device_class)) {
    return false;
  }
  static PyObject* const names[] = {PyUnicode_InternFromString("type"),
                                    PyUnicode_InternFromString("index")};
  const Object type = checked(PyObject_GetAttr(made.get(), names[0]));
  const Object index = checked(PyObject_GetAttr(made.get(), names[1]));
  const bool cpu = is_cpu(type.get());
  if (cpu && index.get() == Py_None) return *out = Device{}, true;
  // A device that is not there raises, with the reason.
  checked(PyObject_CallOneArg(helper("check_device"), made.get()));
  *out = Device{cpu ? DeviceType::CPU : DeviceType::CUDA,
                int8_t(cpu                      ? 0
                       : index.get() == Py_None ? cuda::current()
                                                : to_index(index.get()))};
  return true;
}

static PyObject* size_item(PyObject* self, PyObject* key) {
  if (PyLong_CheckExact(key)) {
    const Py_ssize_t given = PyLong_AsSsize_t(key), n = PyTuple_GET_SIZE(self);
    const bool fits = given != -1 || !PyErr_Occurred();
    const Py_ssize_t i = given < 0 ? given + n : given;
    if (fits && i >= 0 && i < n) return Py_NewRef(PyTuple_GET_ITEM(self, i));
    if (!fits) PyErr_Clear();  // the tuple refuses it
  }
  const Object item(PyTuple_Type.tp_as_mapping->mp_subscript(self, key));
  if (!item.get() || !PySlice_Check(key)) return Py_XNewRef(item.get());
  const Py_ssize_t n = PyTuple_GET_SIZE(item.get());
  PyObject* const size = Py_TYPE(self)->tp_alloc(Py_TYPE(self), n);
  for (Py_ssize_t i = 0; size && i < n; ++i)
    PyTuple_SET_ITEM(size, i, Py_NewRef(PyTuple_GET_ITEM(item.get(), i)));
  return size;
}
PyObject* size_base() {
  static PyType_Slot slots[] = {{Py_mp_subscript, reinterpret_cast<void*>(size_item)},
                                {0, nullptr}};
  static PyType_Spec spec = {"eagergrad._C.SizeBase", 0, 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  return PyType_FromSpecWithBases(&spec, reinterpret_cast<PyObject*>(&PyTuple_Type));
}

PyObject* from_sizes(IntSpan sizes) {
  PyObject* tuple = size_class->tp_alloc(size_class, static_cast<Py_ssize_t>(sizes.size()));
  if (!tuple) throw PythonError();
  for (size_t i = 0; i < sizes.size(); ++i)
    PyTuple_SET_ITEM(tuple, static_cast<Py_ssize_t>(i), PyLong_FromLongLong(sizes[i]));
  return tuple;
}

// --- numbers ------------------------------------------------------------------------------------------------------------

bool is_array(PyObject* o) { return array_class && PyObject_TypeCheck(o, array_class); }
static bool is_array_scalar(PyObject* o) {
  return array_scalar_class && PyObject_TypeCheck(o, array_scalar_class);
}

bool is_number(PyObject* o) { return PyFloat_Check(o) || PyLong_Check(o) || is_array_scalar(o); }

bool is_index(PyObject* o) {
  if (PyLong_Check(o)) return !PyBool_Check(o);
  if (is_tensor(o)) {
    const Tensor t = unwrap(o);
    return t.dim() == 0 && is_integral(t.dtype());
  }
  if (is_array(o)) return false;
  return PyIndex_Check(o) != 0;
}

int64_t to_index(PyObject* o) {
  const Object number = checked(PyNumber_Index(o));
  const long long v = PyLong_AsLongLong(number.get());
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::Runtime, "Overflow when unpacking long: the number does not fit 64 bits");
  }
  return v;
}

Scalar to_scalar(PyObject* o) {
  if (PyFloat_Check(o)) return Scalar(PyFloat_AS_DOUBLE(o));
  if (PyBool_Check(o)) return Scalar(o == Py_True);
  if (PyLong_Check(o)) {
    int overflow = 0;
    const long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    EG_CHECK(!overflow, "Overflow when unpacking long: the number does not fit 64 bits");
    return Scalar(int64_t(v));
  }
  if (is_tensor(o)) return unwrap(o).item();
  if (PyComplex_Check(o)) fail(ErrorKind::Type, "complex numbers are not supported");
  // NumPy's scalars
  if (!PyObject_HasAttrString(o, "item"))
    fail(ErrorKind::Type, "expected a number, got ", Py_TYPE(o)->tp_name);
  const Object plain = checked(PyObject_CallMethod(o, "item", nullptr));
  if (PyFloat_Check(plain.get()) || PyLong_Check(plain.get())) return to_scalar(plain.get());
  fail(ErrorKind::Type, "expected a number, got ", Py_TYPE(o)->tp_name);
}

PyObject* from_scalar(const Scalar& s) {
  if (s.is_float()) return PyFloat_FromDouble(s.to_double());
  if (s.is_bool()) return PyBool_FromLong(s.to_bool());
  return PyLong_FromLongLong(s.to_int());
}

// Python numbers of a loop recur: their tensors (immutable, never seen by a user) are kept in a small table.
static Tensor weak_number(PyObject* o) {
  struct Entry {
    int64_t bits = 0;
    Tensor tensor;
  };
  static auto& table = *new std::array<std::array<Entry, 64>, 2>;
  const bool is_float = PyFloat_CheckExact(o);
  if (!is_float && !PyLong_CheckExact(o)) return Tensor(to_scalar(o));
  const Scalar s = to_scalar(o);
  int64_t bits = s.to_int();
  if (is_float) {
    const double d = s.to_double();
    std::memcpy(&bits, &d, sizeof bits);
  }
  Entry& e = table[is_float][(uint64_t(bits) * 0x9e3779b97f4a7c15u) >> 58];
  if (!e.tensor.defined() || e.bits != bits) {
    e.tensor = Tensor(s);
    e.tensor->inference = false;  // it outlives the inference_mode that it may be made in
    e.bits = bits;
  }
  return e.tensor;
}

Tensor to_operand(PyObject* o, const char* what) {
  if (is_tensor(o)) return unwrap(o);
  if (is_number(o)) return weak_number(o);
  if (is_array(o)) return from_array(o);
  fail(ErrorKind::Type, what, " must be Tensor or number, not ", Py_TYPE(o)->tp_name);
}

}  // namespace eg::python
