// A strided view of a storage, plus its place on the tape.
#pragma once

#include <memory>
#include <optional>

#include "core/device.h"
#include "core/error.h"
#include "core/scalar.h"
#include "core/small.h"
#include "core/storage.h"

namespace eg {

class Node;  // tape/node.h
class Tensor;
struct AutogradMeta;  // tape/node.h: gradient, hooks and such; most tensors have none

// A root tensor and the epoch of its history at which a view of it was made or last refreshed.
struct TensorImpl final : public Counted {
  TensorImpl();
  ~TensorImpl() override;

  Ref<Storage> storage;
  int64_t offset = 0;  // in elements
  Dims sizes;
  Dims strides;  // in elements
  int64_t numel = 1;
  DType dtype = DType::Float32;
  Device device;
  bool contiguous = true;  // row-major, no gaps
  bool weak =
      false;  // stands for a Python number: does not decide the result's dtype category-wide
  bool requires_grad = false;  // set on leaves by the user; on results it follows grad_fn
  bool inference = false;      // made under inference_mode
  uint32_t output_nr = 0;      // which output of grad_fn this is
  Ref<Node> grad_fn;
  Ref<TensorImpl> base;     // root of a differentiable view
  uint32_t base_epoch = 0;  // base's epoch when grad_fn was last in step with it
  uint32_t epoch = 0;       // grows when an in-place write replaces the history
  std::unique_ptr<AutogradMeta> meta;
  void* pyobj = nullptr;  // the Python object that wraps this, borrowed
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}  // NOLINT
  // Numbers in gradient formulas: weak 0-d tensors.
  explicit Tensor(const Scalar& value);
  explicit Tensor(double value) : Tensor(Scalar(value)) {}
  explicit Tensor(int value) : Tensor(Scalar(value)) {}

  bool defined() const { return static_cast<bool>(impl_); }
  TensorImpl* impl() const { return impl_.get(); }
  TensorImpl* give_up() { return impl_.detach(); }  // with the reference
  TensorImpl* operator->() const { return impl_.get(); }
  bool same(const Tensor& o) const { return impl_ == o.impl_; }

  const Dims& sizes() const { return impl_->sizes; }
  const Dims& strides() const { return impl_->strides; }
  int64_t size(int64_t dim) const;  // negative dims count from the end; checked
  int64_t stride(int64_t dim) const;
  int64_t dim() const { return static_cast<int64_t>(impl_->sizes.size()); }
  int64_t numel() const { return impl_->numel; }
  int64_t offset() const { return impl_->offset; }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->device; }
  bool is_floating() const { return eg::is_floating(dtype()); }
  bool is_contiguous() const { return impl_->contiguous; }
  bool is_weak() const { return impl_->weak; }
  size_t item_size() const { return eg::item_size(dtype()); }
  Storage& storage() const { return *impl_->storage; }
  uint32_t version() const { return impl_->storage->version(); }

  char* raw() const {
    return static_cast<char*>(impl_->storage->data()) + impl_->offset * item_size();
  }
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(raw());
  }
  // Value of a one-element tensor. Raises RuntimeError otherwise.
  Scalar item() const;

  // The tape. Views refresh their history when their base was written through another view.
  bool requires_grad() const;
  const Ref<Node>& grad_fn() const;  // null on leaves
  bool is_leaf() const { return !grad_fn(); }
  Tensor grad() const;  // undefined if there is none
  void set_grad(Tensor g) const;
  void set_requires_grad(bool on) const;  // leaves only, floating point only
  Tensor detach() const;                  // same memory, no history
  AutogradMeta& meta() const;             // made on demand

 private:
  Ref<TensorImpl> impl_;
};

// Tensors hold whole lists of gradients, inputs and outputs.
using Tensors = SmallVec<Tensor, 3>;
using TensorList = std::vector<Tensor>;

// The device of an op's inputs as the active one, while this lives. Numbers and 0-d tensors on the host go with any device;
// else RuntimeError names both. Free of cost while no device is in use.
class OpDevice {
 public:
  explicit OpDevice(const char* op) : op_(op), before_(active_device) {}
  OpDevice(const char* op, const Tensor* const* inputs, int n) : OpDevice(op) {
    if (EG_UNLIKELY(devices_in_use))
      for (int i = 0; i < n; ++i) add(*inputs[i]);
  }
  ~OpDevice() { active_device = before_; }
  OpDevice(const OpDevice&) = delete;
  void add(const Tensor& t);
  // Follows t without objecting: for callers whose ops check for themselves.
  void prefer(const Tensor& t);

 private:
  const char* op_;
  Device before_;
  bool decided_ = false;  // by an input that is not just a number
};

// --- shapes -----------------------------------------------------------------------------------
constexpr size_t kMaxDims = 64;
Dims contiguous_strides(IntSpan sizes);
bool is_contiguous(IntSpan sizes, IntSpan strides);
// Product of sizes. Raises on negative sizes and on overflow.
int64_t checked_numel(IntSpan sizes);
// Dimension in [0, ndim); raises IndexError in PyTorch's words. 0-d tensors accept 0 and -1.
int64_t wrap_dim(int64_t dim, int64_t ndim);
// Several distinct dims, wrapped. Empty or absent list: all dims, if all_if_empty.
Dims wrap_dims(IntSpan dims, int64_t ndim, bool all_if_empty = true);
// Shape that all broadcast to. Raises RuntimeError naming both shapes and the axis.
Dims broadcast_shapes(IntSpan a, IntSpan b);
bool can_broadcast(IntSpan a, IntSpan b);
// The same for an op on elements of both. Where this thread's strict_broadcast is on and the program itself makes the call, it
// raises if shapes of different lengths would both be stretched, as (n, 1) and (n,) are.
Dims elementwise_shape(IntSpan a, IntSpan b);
extern __thread bool strict_broadcast EG_TLS_MODEL;
// The shape in which x's elements are to be seen: resolves one -1. Raises if their number does not fit.
Dims infer_size(IntSpan shape, const Tensor& x);
bool is_expandable_to(IntSpan from, IntSpan to);

// --- dtypes -----------------------------------------------------------------------------------
DType default_dtype();
void set_default_dtype(DType t);
DType promote(DType a, DType b);
// PyTorch's promotion: tensors with dimensions before 0-d tensors before Python numbers.
DType result_type(const Tensor* tensors, size_t n);
inline DType result_type(const Tensor& a, const Tensor& b) {
  const Tensor both[] = {a, b};
  return result_type(both, 2);
}
inline DType float_type(DType t) { return is_floating(t) ? t : default_dtype(); }

// --- creation (not recorded) ----------------------------------------------------------------------
// On the active device unless another is named.
Tensor empty(IntSpan sizes, DType dtype = DType::Float32, Device device = active_device);
Tensor empty_strided(IntSpan sizes, IntSpan strides, DType dtype, Device device = active_device);
Tensor zeros(IntSpan sizes, DType dtype = DType::Float32, Device device = active_device);
Tensor full(IntSpan sizes, const Scalar& value, DType dtype, Device device = active_device);
inline Tensor empty_like(const Tensor& t) { return empty(t.sizes(), t.dtype(), t.device()); }
// A 0-d tensor of the given number, always on the host: ops on any device read it from there.
Tensor scalar_tensor(const Scalar& value, DType dtype, bool weak = false);
// Another view of t's storage; no history. offset in elements from the storage's start. Bounds are checked.
Tensor alias(const Tensor& t, IntSpan sizes, IntSpan strides, int64_t offset);

// --- data movement (not recorded) --------------------------------------------------------------------
// dst[...] = src, broadcast and cast. Overlapping memory is handled. Does not touch the version.
void copy_into(const Tensor& dst, const Tensor& src);
void fill(const Tensor& dst, const Scalar& value);
// Row-major copy or t itself; never recorded.
Tensor contiguous_data(const Tensor& t);
// Cast copy or t itself; never recorded.
Tensor cast_data(const Tensor& t, DType dtype);
// A copy on another device or t itself; never recorded.
Tensor device_data(const Tensor& t, Device device);
// t's values where the host can read them: for decisions that the host takes.
inline Tensor host_data(const Tensor& t) {
  return EG_LIKELY(t.device().is_cpu()) ? t : device_data(t, Device{});
}

// Could two elements of t share memory (expanded or overlapping strides)? Such tensors refuse in-place writes.
bool has_internal_overlap(const Tensor& t);

}  // namespace eg
