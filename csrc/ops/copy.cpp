#include "ops/copy.h"

#include "core/iterate.h"
#include "kernels/copy.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {

// --- data movement -----------------------------------------------------------------------------------------

namespace {

bool may_overlap(const Tensor& a, const Tensor& b) {
  if (&a.storage() != &b.storage()) return false;
  const auto end = [](const Tensor& t) {
    int64_t last = t.offset();
    for (int64_t d = 0; d < t.dim(); ++d) last += (t.sizes()[d] - 1) * t.strides()[d];
    return last;
  };
  return a.numel() && b.numel() && a.offset() <= end(b) && b.offset() <= end(a);
}

// A matrix whose rows are columns of the source: copied in blocks.
bool copy_transposed(const Tensor& dst, const Tensor& src) {
  const int64_t n = dst.dim();
  if (n < 2 || dst.dtype() != src.dtype() || dst.sizes() != src.sizes()) return false;
  const int64_t rows = dst.sizes()[n - 2], cols = dst.sizes()[n - 1];
  if (dst.strides()[n - 1] != 1 || src.strides()[n - 2] != 1) return false;
  if (rows < 8 || cols < 8 || src.strides()[n - 1] < rows) return false;
  const int size = static_cast<int>(dst.item_size());
  const Dims outer(dst.sizes().begin(), dst.sizes().end() - 2);
  Walk walk(outer);
  walk.add(dst.raw(), outer, IntSpan(dst.strides().data(), n - 2), size);
  walk.add(src.raw(), outer, IntSpan(src.strides().data(), n - 2), size);
  walk.finish();
  const int64_t dst_row = dst.strides()[n - 2], src_col = src.strides()[n - 1];
  constexpr int64_t kPanel = 64;
  const int64_t panels = (rows + kPanel - 1) / kPanel;
  parallel_for(walk.numel() * panels, std::max<int64_t>(1, kParallelGrain / (kPanel * cols)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t matrix = i / panels, row = i % panels * kPanel;
                   walk.run(matrix, matrix + 1, [&](char* const* p, int64_t) {
                     host_kernels<CopyKernels>().transpose(
                         p[0] + row * dst_row * size, dst_row, p[1] + row * size, src_col,
                         std::min(kPanel, rows - row), cols, size);
                   });
                 }
               });
  return true;
}

// One strided loop on the device where both are, or the bytes of a dense copy between two.
void copy_with_device(const Tensor& dst, const Tensor& src) {
  const bool number = src.device().is_cpu() && src.numel() == 1;
  if (dst.device() == src.device() || number) {
    Tensor from = src;
    if (may_overlap(dst, src)) {
      from = empty(src.sizes(), src.dtype(), src.device());
      copy_into(from, src);
    }
    const LoopOperand operand = {&from, dst.dtype()};
    run_elementwise(kCopyLoop, nullptr, dst, dst.dtype(), &operand, 1, nullptr, false);
    return;
  }
  const DeviceScope there(src.device());
  Tensor dense = contiguous_data(cast_data(src, dst.dtype()));
  if (dst.is_contiguous() && dst.sizes() == src.sizes()) {
    device_memory->copy(dst.device(), dst.raw(), src.device(), dense.raw(),
                        size_t(dst.numel()) * dst.item_size());
    return;
  }
  Tensor arrived = empty(src.sizes(), dst.dtype(), dst.device());
  copy_into(arrived, dense);
  copy_into(dst, arrived);
}

}  // namespace

void copy_into(const Tensor& dst, const Tensor& src) {
  EG_CHECK(is_expandable_to(src.sizes(), dst.sizes()), "The expanded size of the tensor ",
           IntSpan(dst.sizes()), " must match the existing size: cannot copy a tensor of shape ",
           IntSpan(src.sizes()), " into one of shape ", IntSpan(dst.sizes()));
  if (dst.numel() == 0) return;
  if (EG_UNLIKELY(devices_in_use) && !(dst.device().is_cpu() && src.device().is_cpu()))
    return copy_with_device(dst, src);
  const DeviceScope host(Device{});
  const CopyKernels& copy = host_kernels<CopyKernels>();
  if (may_overlap(dst, src)) {
    if (dst.offset() == src.offset() && dst.strides() == src.strides() &&
        dst.sizes() == src.sizes() && dst.dtype() == src.dtype())
      return;
    Tensor apart = empty(src.sizes(), src.dtype());
    copy_into(apart, src);
    copy_into(dst, apart);
    return;
  }
  if (dst.is_contiguous() && src.is_contiguous() && dst.sizes() == src.sizes()) {
    const int64_t to = dst.item_size(), from = src.item_size();
    char *d = dst.raw(), *s = src.raw();
    parallel_for(dst.numel(), 2 * kParallelGrain, [&](int64_t begin, int64_t end) {
      copy.line(d + begin * to, to, dst.dtype(), s + begin * from, from, src.dtype(), end - begin);
    });
    return;
  }
  if (copy_transposed(dst, src)) return;
  Walk walk(dst.sizes());
  walk.add(dst);
  walk.add(src);
  walk.finish();
  const int64_t* stride = walk.line_strides();
  parallel_for(walk.numel(), kParallelGrain, [&](int64_t begin, int64_t end) {
    walk.run(begin, end, [&](char* const* p, int64_t n) {
      copy.line(p[0], stride[0], dst.dtype(), p[1], stride[1], src.dtype(), n);
    });
  });
}

void fill(const Tensor& dst, const Scalar& value) {
  if (dst.numel() == 0) return;
  const Tensor one = scalar_tensor(value, dst.dtype());
  if (!dst.is_contiguous() || !dst.device().is_cpu()) {
    copy_into(dst, one);
    return;
  }
  const int64_t size = dst.item_size();
  parallel_for(dst.numel(), 2 * kParallelGrain, [&](int64_t begin, int64_t end) {
    host_kernels<CopyKernels>().fill(dst.raw() + begin * size, one.raw(), static_cast<int>(size),
                                     end - begin);
  });
}

Tensor contiguous_data(const Tensor& t) {
  if (t.is_contiguous()) return t;
  Tensor copy = empty(t.sizes(), t.dtype(), t.device());
  copy_into(copy, t);
  return copy;
}

Tensor cast_data(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  Tensor copy = empty(t.sizes(), dtype, t.device());
  copy_into(copy, t);
  return copy;
}

Tensor device_data(const Tensor& t, Device device) {
  if (t.device() == device) return t;
  Tensor copy = empty(t.sizes(), t.dtype(), device);
  copy_into(copy, t);
  copy->weak = t.is_weak();
  return copy;
}

// --- recorded copies ---------------------------------------------------------------------------------------------

namespace {

struct Cast {
  static constexpr const char* name = "ToCopy";
  DType dtype;
  Tensor forward(Context&, const Tensor& x) {
    const Tensor* one[] = {&x};
    Tensor y = empty_result(x.sizes(), dtype, one, 1);
    copy_into(y, x);
    return y;
  }
  Tensors backward(Context&, const Tensor& g) { return {g}; }  // the engine casts back
};

// To another device; the gradient goes back.
struct Move {
  static constexpr const char* name = "ToCopy";
  Device device, from;
  Tensor forward(Context&, const Tensor& x) { return device_data(x, device); }
  Tensors backward(Context&, const Tensor& g) { return {to(g, from)}; }
};

struct Clone {
  static constexpr const char* name = "Clone";
  bool row_major;
  Tensor forward(Context&, const Tensor& x) {
    const Tensor* one[] = {&x};
    Tensor y = row_major ? empty(x.sizes(), x.dtype()) : empty_result(x.sizes(), x.dtype(), one, 1);
    copy_into(y, x);
    return y;
  }
  Tensors backward(Context&, const Tensor& g) { return {g}; }
};

struct CopyValue {
  static constexpr const char* name = "Copy";
  Tensor forward(Context&, const Tensor& src) {
    Tensor y = empty(src.sizes(), src.dtype());
    copy_into(y, src);
    return y;
  }
  Tensors backward(Context&, const Tensor& g) { return {g}; }
};

}  // namespace

Tensor to(const Tensor& x, DType dtype) {
  return x.dtype() == dtype && !x.is_weak() ? x : apply(Cast{dtype}, x);
}
Tensor to(const Tensor& x, Device device) {
  check_device(device);
  return x.device() == device ? x : apply(Move{device, x.device()}, x);
}
Tensor clone(const Tensor& x) { return apply(Clone{false}, x); }
Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : apply(Clone{true}, x); }
Tensor zeros_like(const Tensor& x) {
  const DeviceScope scope(x.device());
  const Tensor* one[] = {&x};
  Tensor y = empty_result(x.sizes(), x.dtype(), one, 1);
  fill(y, Scalar(0));
  return y;
}
Tensor ones_like(const Tensor& x) {
  const DeviceScope scope(x.device());
  const Tensor* one[] = {&x};
  Tensor y = empty_result(x.sizes(), x.dtype(), one, 1);
  fill(y, Scalar(1));
  return y;
}

Tensor& copy_(Tensor& self, const Tensor& src) {
  check_inplace(self, "copy_");
  EG_CHECK(is_expandable_to(src.sizes(), self.sizes()), "[copy_] The size of tensor a ",
           IntSpan(self.sizes()), " must match the size of tensor b ", IntSpan(src.sizes()),
           ": the source must broadcast to the destination");
  if (!grad_enabled() || !(src.requires_grad() || self.requires_grad())) {
    copy_into(self, src);
    self.storage().mark_written();
    return self;
  }
  if (self.same(src)) return self;
  copy_into(self, src);
  // The written value as a tensor of its own, so that self does not become src's output.
  Tensor value = src;
  if (src.requires_grad()) {
    value = to(src, self.dtype());
    if (value.sizes() != self.sizes()) value = expand(value, self.sizes());
    if (value.same(src)) value = apply(CopyValue{}, src);
  }
  rewrite_history(self, value);
  return self;
}

void write_out(const Tensor& out, const Tensor& result, const char* op, bool casts) {
  EG_CHECK(!(grad_enabled() && (out.requires_grad() || result.requires_grad())), "[", op,
           "] functions with out=... arguments don't support automatic differentiation, but one of "
           "the arguments requires grad.");
  if (casts) {
    check_castable(op, result.dtype(), out.dtype());
  } else {
    EG_CHECK(out.dtype() == result.dtype(), "[", op, "] Expected out tensor to have dtype ",
             result.dtype(), ", but got ", out.dtype(), " instead");
  }
  EG_CHECK(out.device() == result.device(), "[", op, "] expected out on ", result.device(),
           ", got ", out.device());
  if (out.sizes() != result.sizes()) {
    const size_t bytes = size_t(result.numel()) * out.item_size();
    EG_CHECK_VALUE(out.storage().writable(), "[", op, "] out is read-only");
    if (bytes + out.offset() * out.item_size() > out.storage().bytes())
      out.storage().resize(bytes + out.offset() * out.item_size());
    out->sizes = result.sizes();
    out->strides = contiguous_strides(result.sizes());
    out->numel = result.numel();
    out->contiguous = true;
  }
  check_inplace(out, op);
  copy_into(out, result);
  out.storage().mark_written();
}

// --- Python names ----------------------------------------------------------------------------------------------------

namespace {

EG_OP(
    +[](const Tensor& out, const Tensor& result, std::string op, bool casts) {
      write_out(out, result, op.c_str(), casts);
    },
    "_write_out(out, result, op, casts)", "What out= of functions written in Python does.",
    kInternal)

EG_OP(
    +[](const Tensor& input, std::optional<std::string>) { return clone(input); },
    "clone(input, *, memory_format=None)", "A recorded copy.")
EG_OP(&contiguous, "contiguous(input)", "Row-major in memory: a copy if it is not already.",
      kMethodOnly)
EG_OP(
    +[](const Tensor& input, DType dtype) { return to(input, dtype); }, "_cast(input, dtype)",
    "Elements converted to a dtype; the gradient is converted back.", kInternal)
EG_WAITS("_to_device copy_", "the values, where one side is the host's")
EG_OP(
    +[](const Tensor& input, Device device) { return to(input, device); },
    "_to_device(input, device)",
    "The same values on another device, or the tensor itself; the gradient comes back.", kInternal)
EG_OP(
    +[](const Tensor& input, const Operand& src, bool) {
      Tensor self = input;
      return copy_(self, src);
    },
    "copy_(input, src, non_blocking=False)",
    "Copies src, broadcast and cast, into this tensor; recorded.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, const Operand& value) {
      EG_CHECK(value.tensor.dim() == 0,
               "fill_ only supports 0-dimension value tensor but got tensor with ",
               value.tensor.dim(), " dimensions.");
      Tensor self = input;
      return copy_(self, value);
    },
    "fill_(input, value)", "Sets every element.", kMethodOnly)
EG_OP(
    +[](const Tensor& input) {
      Tensor self = input;
      return copy_(self, Tensor(0));
    },
    "zero_(input)", "Sets every element to 0.", kMethodOnly)

}  // namespace
}  // namespace eg
