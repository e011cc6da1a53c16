#include "core/tensor.h"

#include "tape/node.h"

namespace eg {

int64_t Tensor::size(int64_t d) const {
  EG_CHECK_INDEX(dim() > 0, "Dimension specified as ", d, " but tensor has no dimensions");
  return sizes()[wrap_dim(d, dim())];
}
int64_t Tensor::stride(int64_t d) const {
  EG_CHECK_INDEX(dim() > 0, "Dimension specified as ", d, " but tensor has no dimensions");
  return strides()[wrap_dim(d, dim())];
}

namespace {

Tensor make(Ref<Storage> storage, IntSpan sizes, int64_t numel, DType dtype) {
  auto impl = Ref<TensorImpl>::adopt(new TensorImpl);
  impl->device = storage->device();
  impl->storage = std::move(storage);
  impl->sizes.append(sizes.begin(), sizes.end());
  impl->strides = contiguous_strides(sizes);
  impl->numel = numel;
  impl->dtype = dtype;
  impl->inference = inference_enabled();
  return Tensor(std::move(impl));
}

// Elements from the storage's start that a view reaches; raises where their bytes overflow.
int64_t reach(IntSpan sizes, IntSpan strides, int64_t offset) {
  int64_t last = offset;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return 0;
    int64_t span;
    EG_CHECK(!__builtin_mul_overflow(sizes[i] - 1, strides[i], &span) &&
                 !__builtin_add_overflow(last, span, &last) && last < (int64_t(1) << 59),
             "strides ", strides, " of a tensor of shape ", sizes, " overflow");
  }
  return last + 1;
}

}  // namespace

Tensor empty(IntSpan sizes, DType dtype, Device device) {
  const int64_t numel = checked_numel(sizes);
  const size_t bytes = size_t(numel) * item_size(dtype);
  return make(EG_LIKELY(device.is_cpu()) ? Storage::create(bytes) : Storage::create(bytes, device),
              sizes, numel, dtype);
}

Tensor empty_strided(IntSpan sizes, IntSpan strides, DType dtype, Device device) {
  EG_CHECK(sizes.size() == strides.size(),
           "[empty_strided] expected as many strides as sizes, got ", strides, " for shape ",
           sizes);
  for (int64_t s : strides)
    EG_CHECK(s >= 0, "[empty_strided] negative strides are not supported, got ", strides);
  checked_numel(sizes);
  const int64_t items = reach(sizes, strides, 0);
  return alias(empty({items}, dtype, device), sizes, strides, 0);
}

Tensor zeros(IntSpan sizes, DType dtype, Device device) {
  Tensor t = empty(sizes, dtype, device);
  if (EG_LIKELY(device.is_cpu())) {
    std::memset(t.raw(), 0, size_t(t.numel()) * t.item_size());
  } else {
    fill(t, Scalar(0));
  }
  return t;
}

Tensor full(IntSpan sizes, const Scalar& value, DType dtype, Device device) {
  Tensor t = empty(sizes, dtype, device);
  fill(t, value);
  return t;
}

static void store(char* p, DType dtype, const Scalar& v) {
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    T x;
    if constexpr (std::is_same_v<T, Half>) {
      x = to_half(static_cast<float>(v.to_double()));
    } else if constexpr (std::is_same_v<T, BFloat16>) {
      x = to_bfloat16(static_cast<float>(v.to_double()));
    } else if constexpr (std::is_same_v<T, bool>) {
      x = v.to_bool();
    } else if constexpr (std::is_integral_v<T>) {
      x = static_cast<T>(v.to_int());
    } else {
      x = static_cast<T>(v.to_double());
    }
    std::memcpy(p, &x, sizeof(T));
  });
}

Tensor scalar_tensor(const Scalar& value, DType dtype, bool weak) {
  Tensor t = make(Storage::create(item_size(dtype)), {}, 1, dtype);
  store(t.raw(), dtype, value);
  t->weak = weak;
  return t;
}

// Python numbers keep their full precision until they meet the other operand.
Tensor::Tensor(const Scalar& value)
    : Tensor(scalar_tensor(value,
                           value.is_float() ? DType::Float64
                           : value.is_int() ? DType::Int64
                                            : DType::Bool,
                           true)) {}

Scalar Tensor::item() const {
  EG_CHECK(numel() == 1, "a Tensor with ", numel(), " elements cannot be converted to Scalar");
  char bytes[8];
  if (EG_LIKELY(device().is_cpu())) {
    std::memcpy(bytes, raw(), item_size());
  } else {
    device_memory->copy(Device{}, bytes, device(), raw(), item_size());
  }
  return visit_all(dtype(), [&](auto zero) -> Scalar {
    using T = decltype(zero);
    T x;
    std::memcpy(&x, bytes, sizeof(T));
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
      return Scalar(to_float(x));
    } else {
      return Scalar(x);
    }
  });
}

void OpDevice::add(const Tensor& t) {
  if (!t.defined()) return;
  const Device d = t.device();
  const bool number = d.is_cpu() && t.dim() == 0;
  if (!decided_) {
    // A number decides too, until something else does: two numbers are computed on the host.
    active_device = d;
    decided_ = !number;
  } else if (!number) {
    EG_CHECK(d == active_device, "[", op_,
             "] Expected all tensors to be on the same device, but found at least two devices, ",
             active_device, " and ", d, "!");
  }
}

void OpDevice::prefer(const Tensor& t) {
  if (!t.defined() || decided_) return;
  active_device = t.device();
  decided_ = !(t.device().is_cpu() && t.dim() == 0);
}

Tensor alias(const Tensor& t, IntSpan sizes, IntSpan strides, int64_t offset) {
  EG_CHECK(sizes.size() == strides.size(), "expected as many strides as sizes, got ", strides,
           " for shape ", sizes);
  EG_CHECK(offset >= 0, "storage offset must not be negative, got ", offset);
  for (int64_t s : strides) EG_CHECK(s >= 0, "negative strides are not supported, got ", strides);
  const int64_t numel = checked_numel(sizes);
  const int64_t items = reach(sizes, strides, offset);
  EG_CHECK(uint64_t(items) * t.item_size() <= t.storage().bytes(), "a view of shape ", sizes,
           ", strides ", strides, " and offset ", offset, " needs ", items,
           " elements, but the storage has ", t.storage().bytes() / t.item_size());
  auto impl = Ref<TensorImpl>::adopt(new TensorImpl);
  impl->storage = t->storage;
  impl->offset = offset;
  impl->sizes = sizes.dims();
  impl->strides = strides.dims();
  impl->numel = numel;
  impl->dtype = t.dtype();
  impl->device = t.device();
  impl->contiguous = is_contiguous(sizes, strides);
  impl->inference = t->inference;
  return Tensor(std::move(impl));
}

Tensor Tensor::detach() const {
  auto impl = Ref<TensorImpl>::adopt(new TensorImpl);
  impl->storage = impl_->storage;
  impl->offset = impl_->offset;
  impl->sizes = impl_->sizes;
  impl->strides = impl_->strides;
  impl->numel = impl_->numel;
  impl->dtype = impl_->dtype;
  impl->device = impl_->device;
  impl->contiguous = impl_->contiguous;
  impl->weak = impl_->weak;
  impl->inference = impl_->inference;
  return Tensor(std::move(impl));
}

}  // namespace eg
