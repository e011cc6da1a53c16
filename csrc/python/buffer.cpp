// Memory shared with NumPy and everything else that speaks the buffer protocol.
#include "core/exports.h"
#include "core/gil.h"
#include "ops/ops.h"
#include "ops/row_sparse.h"
#include "python/common.h"
#include "tape/node.h"

namespace eg::python {

// bfloat16 has no code of the struct module: it goes out as uint16, and eagergrad.Tensor.numpy() says so.
static const char* format_of(DType t) {
  constexpr const char* codes[kDTypes] = {"?", "B", "b", "h", "i", "q", "e", "H", "f", "d"};
  return codes[int(t)];
}

static bool dtype_of_format(const char* format, Py_ssize_t item_size, DType* out) {
  if (!format) return *out = DType::UInt8, item_size == 1;
  const char* f = format;
  if (*f == '@' || *f == '=') ++f;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (*f == '<') ++f;
#else
  if (*f == '>') ++f;
#endif
  if (!f[0] || f[1]) return false;
  switch (f[0]) {
    case '?':
      return *out = DType::Bool, true;
    case 'B':
      return *out = DType::UInt8, true;
    case 'b':
      return *out = DType::Int8, true;
    case 'e':
      return *out = DType::Float16, true;
    case 'f':
      return *out = DType::Float32, true;
    case 'd':
      return *out = DType::Float64, true;
    case 'h':
    case 'i':
    case 'l':
    case 'q':
      *out = item_size == 2 ? DType::Int16 : item_size == 4 ? DType::Int32 : DType::Int64;
      return true;
    default:
      return false;
  }
}

// scipy.sparse's `matrix @ x` reads any x as an array, where the product would lose its history, unless that fails: then
// it leaves the product to x (see Tensor.__array__).
static bool asked_by_a_sparse_product() {
  static PyObject* const module = PyUnicode_InternFromString("scipy.sparse");
  static PyObject* const product = PyUnicode_InternFromString("_matmul_dispatch");
  const Object loaded(PyImport_GetModule(module));
  if (!loaded) return false;
  const Object frame(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(PyThreadState_Get())));
  if (!frame) return false;
  PyCodeObject* code = PyFrame_GetCode(reinterpret_cast<PyFrameObject*>(frame.get()));
  const bool asked = code->co_name == product;
  Py_DECREF(code);
  return asked;
}

// What a reader of a tensor's memory needs for as long as it reads: set_() and data give the tensor other memory.
struct Exported {
  explicit Exported(const Tensor& t) : storage(t->storage), numbers(2 * t.sizes().size(), 0) {
    pin(*storage);
  }
  ~Exported() { unpin(*storage); }
  Exported(const Exported&) = delete;
  Exported& operator=(const Exported&) = delete;

  const Ref<Storage> storage;
  Dims numbers;  // sizes, then strides in bytes
};

int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags) {
  return guarded_int([&] {
    const Tensor t = unwrap(self);
    EG_CHECK_KIND(Buffer, t.device().is_cpu(), "can't export the memory of a tensor on ",
                  t.device());
    EG_CHECK_KIND(Buffer, !asked_by_a_sparse_product(), "a sparse product is the tensor's work");
    const bool recorded = grad_enabled() && t.requires_grad();  // the tape would not see a write
    const bool writable = t.storage().writable() && !recorded;
    EG_CHECK_KIND(Buffer, writable || !(flags & PyBUF_WRITABLE),
                  recorded ? "a tensor that requires grad is read-only; use x.detach()"
                           : "the tensor is read-only");
    EG_CHECK_KIND(Buffer, t.is_contiguous() || (flags & PyBUF_STRIDES) == PyBUF_STRIDES,
                  "the tensor is not contiguous");
    EG_CHECK_KIND(Buffer, !row_parts(t), "a row-sparse tensor has no memory to export");
    if (may_be_row_sparse(t)) t.storage().mark_written();  // writes from outside go unseen
    const size_t n = t.sizes().size();
    auto* exported = new Exported(t);
    int64_t* const numbers = exported->numbers.data();
    for (size_t i = 0; i < n; ++i) {
      numbers[i] = t.sizes()[i];
      numbers[n + i] = t.strides()[i] * static_cast<int64_t>(t.item_size());
    }
    view->obj = Py_NewRef(self);
    view->buf = t.raw();
    view->len = t.numel() * static_cast<int64_t>(t.item_size());
    view->readonly = !writable;
    view->itemsize = static_cast<Py_ssize_t>(t.item_size());
    view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format_of(t.dtype())) : nullptr;
    view->ndim = static_cast<int>(n);
    static_assert(sizeof(Py_ssize_t) == sizeof(int64_t));
    view->shape = (flags & PyBUF_ND) ? reinterpret_cast<Py_ssize_t*>(numbers) : nullptr;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES
                        ? reinterpret_cast<Py_ssize_t*>(numbers + n)
                        : nullptr;
    view->suboffsets = nullptr;
    view->internal = exported;
    return 0;
  });
}

void tensor_releasebuffer(PyObject*, Py_buffer* view) {
  delete static_cast<Exported*>(view->internal);
}

// A tensor of the memory of an array, which is let go of; undefined where it cannot be shared as it is.
static Tensor share_view(Py_buffer* view, bool writable);

PyObject* share_array(PyObject*, PyObject* array) {
  return guarded([&]() -> PyObject* {
    auto* view = new Py_buffer;
    if (PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) != 0) {
      PyErr_Clear();
      delete view;
      Py_RETURN_NONE;
    }
    const Tensor shared = share_view(view, true);
    return shared.defined() ? wrap(shared) : Py_NewRef(Py_None);
  });
}

Tensor from_array(PyObject* array) {
  // Arrays that cannot be shared as they are (byte order, 0 or unusual dtypes) are converted by Python code first.
  auto* view = new Py_buffer;
  bool writable = true;
  if (PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) != 0) {
    PyErr_Clear();
    writable = false;
    if (PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
      delete view;
      PyErr_Clear();
      const Object plain = checked(PyObject_CallOneArg(helper("plain_array"), array));
      EG_CHECK_TYPE(plain.get() != array, "can't convert an object of type ",
                    Py_TYPE(array)->tp_name, " to a tensor");
      return from_array(plain.get());
    }
  }
  const Tensor shared = share_view(view, writable);
  if (shared.defined()) return shared;
  const Object plain = checked(PyObject_CallOneArg(helper("plain_array"), array));
  EG_CHECK_TYPE(plain.get() != array, "can't convert an array of this dtype to a tensor");
  return from_array(plain.get());
}

static Tensor share_view(Py_buffer* view, bool writable) {
  DType dtype;
  bool usable = dtype_of_format(view->format, view->itemsize, &dtype) &&
                view->itemsize == static_cast<Py_ssize_t>(item_size(dtype));
  Dims sizes, strides;
  for (int i = 0; usable && i < view->ndim; ++i) {
    sizes.push_back(view->shape[i]);
    usable = view->strides[i] >= 0 && view->strides[i] % view->itemsize == 0;
    strides.push_back(view->strides[i] / view->itemsize);
  }
  usable = usable && reinterpret_cast<uintptr_t>(view->buf) % item_size(dtype) == 0;
  if (!usable) {
    PyBuffer_Release(view);
    delete view;
    return {};
  }
  int64_t items = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) items = 0;
    if (items) items += (sizes[i] - 1) * strides[i];
  }
  Ref<Storage> storage =
      Storage::borrow(view->buf, size_t(items) * item_size(dtype), {}, writable, [view] {
        const PyGILState_STATE state = PyGILState_Ensure();
        PyBuffer_Release(view);
        delete view;
        PyGILState_Release(state);
      });
  Tensor whole = empty({0}, dtype, Device{});
  whole->storage = std::move(storage);
  return alias(whole, sizes, strides, 0);
}

}  // namespace eg::python
