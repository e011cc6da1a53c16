#include "ops/copy.h"

#include "core/iterate.h"
#include "kernels/copy.h"
#include "ops/creation.h"
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

// Dimensions in the order of dst's memory, those that lie as one in both tensors joined.
struct Pairing {
  Dims sizes, to, from;  // strides

  Pairing(const Tensor& dst, const Tensor& src) {
    Dims order;
    for (int64_t d = 0; d < dst.dim(); ++d) {
      if (dst.sizes()[d] == 1) continue;
      order.push_back(d);
      for (size_t i = order.size() - 1;
           i > 0 && dst.strides()[order[i - 1]] < dst.strides()[order[i]]; --i)
        std::swap(order[i - 1], order[i]);
    }
    for (const int64_t d : order) add(dst.sizes()[d], dst.strides()[d], src.strides()[d]);
  }

 private:
  void add(int64_t size, int64_t to_stride, int64_t from_stride) {
    if (!sizes.empty() && to.back() == size * to_stride && from.back() == size * from_stride) {
      sizes.back() *= size, to.back() = to_stride, from.back() = from_stride;
      return;
    }
    sizes.push_back(size), to.push_back(to_stride), from.push_back(from_stride);
  }
};

// Matrices whose rows, along the last dimension, are columns of the source: copied in blocks.
bool copy_transposed(const Tensor& dst, const Tensor& src) {
  if (dst.dim() < 2 || dst.dtype() != src.dtype() || dst.sizes() != src.sizes()) return false;
  Pairing p(dst, src);
  if (p.sizes.size() < 2) return false;
  const size_t last = p.sizes.size() - 1;
  size_t dense = last;  // in the source
  while (dense-- > 0 && p.from[dense] != 1) continue;
  if (dense >= last || p.to[last] != 1) return false;
  const int64_t rows = p.sizes[dense], cols = p.sizes[last];
  if (rows < 8 || cols < 8 || p.from[last] < rows) return false;
  const int64_t dst_row = p.to[dense], src_col = p.from[last];
  const int size = static_cast<int>(dst.item_size());
  for (Dims* d : {&p.sizes, &p.to, &p.from}) {
    d->erase(dense);
    d->erase(last - 1);
  }
  Walk walk(p.sizes);
  walk.add(dst.raw(), p.sizes, p.to, size);
  walk.add(src.raw(), p.sizes, p.from, size);
  walk.finish();
  constexpr int64_t kPanel = 64;
  const int64_t panels = (rows + kPanel - 1) / kPanel;
  parallel_for(walk.numel() * panels, std::max<int64_t>(1, kParallelGrain / (kPanel * cols)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t matrix = i / panels, row = i % panels * kPanel;
                   walk.run(matrix, matrix + 1, [&](char* const* at, int64_t) {
                     host_kernels<CopyKernels>().transpose(
                         at[0] + row * dst_row * size, dst_row, at[1] + row * size, src_col,
                         std::min(kPanel, rows - row), cols, size);
                   });
                 }
               });
  return true;
}

// The same elements at every place of `sizes`.
Tensor expanded(const Tensor& t, const Dims& sizes) {
  Dims strides(sizes.size());
  for (size_t d = sizes.size(), own = t.sizes().size(); own-- > 0;)
    if (--d, t.sizes()[own] != 1) strides[d] = t.strides()[own];
  return alias(t, sizes, strides, t.offset());
}

// Short stretches that are dense in both tensors, or of one number each; a number for all of them is made a stretch.
bool copy_rows(const Tensor& dst, const Tensor& src) {
  if (dst.dim() < 2 || (dst.dtype() != src.dtype() && src.numel() != 1)) return false;
  constexpr int64_t kShort = 512;  // bytes
  if (src.numel() == 1) {
    const int64_t n = dst.sizes().back(), bytes = n * int64_t(dst.item_size());
    if (n == 1 || bytes > kShort || dst.strides().back() != 1) return false;
    const Tensor number = cast_data(src, dst.dtype()), line = empty({n}, dst.dtype());
    host_kernels<CopyKernels>().spread(line.raw(), number.raw(), 0, 1, n, int(dst.item_size()));
    return copy_rows(dst, line);
  }
  Pairing p(dst, expanded(src, dst.sizes()));
  if (p.sizes.size() < 2) return false;
  const size_t last = p.sizes.size() - 1;
  const int64_t size = int64_t(dst.item_size()), bytes = p.sizes[last] * size;
  const int64_t rows = p.sizes[last - 1];
  const int64_t dst_row = p.to[last - 1] * size, src_row = p.from[last - 1] * size;
  const bool repeats = p.from[last] == 0 && dst_row == bytes;
  if (p.to[last] != 1 || !(p.from[last] == 1 || repeats) || bytes > kShort) return false;
  for (Dims* d : {&p.sizes, &p.to, &p.from}) {
    d->erase(last);
    d->erase(last - 1);
  }
  Walk walk(p.sizes);
  walk.add(dst.raw(), p.sizes, p.to, int(size));
  walk.add(src.raw(), p.sizes, p.from, int(size));
  walk.finish();
  const CopyKernels& copy = host_kernels<CopyKernels>();
  parallel_for(walk.numel() * rows, kParallelGrain * size / bytes + 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end;) {
                   const int64_t matrix = i / rows, row = i % rows;
                   const int64_t count = std::min(rows - row, end - i);
                   walk.run(matrix, matrix + 1, [&](char* const* at, int64_t) {
                     char *to = at[0] + row * dst_row, *from = at[1] + row * src_row;
                     if (repeats)
                       copy.spread(to, from, src_row, count, bytes / size, int(size));
                     else
                       copy.rows(to, dst_row, from, src_row, count, bytes);
                   });
                   i += count;
                 }
               });
  return true;
}

// Do both fill stretches of memory in one order, so that copying the bytes copies the tensor?
bool is_memory_alike(const Tensor& a, const Tensor& b) {
  int64_t reach = 1;
  for (size_t d = 0; d < a.sizes().size(); ++d) reach += (a.sizes()[d] - 1) * a.strides()[d];
  return reach == a.numel() && a.dtype() == b.dtype() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
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
  if (is_memory_alike(dst, src)) {
    device_memory->copy(dst.device(), dst.raw(), src.device(), src.raw(),
                        size_t(dst.numel()) * dst.item_size());
    return;
  }
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
  if (copy_transposed(dst, src) || copy_rows(dst, src)) return;
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
  const DeviceScope there(device);
  Tensor copy = empty_result(t, t.dtype());
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
    Tensor y = empty_result(x, dtype);
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
  std::optional<Dims> strides;  // as x's if not given
  Tensor forward(Context&, const Tensor& x) {
    Tensor y = strides ? empty_strided(x.sizes(), *strides, x.dtype()) : empty_result(x, x.dtype());
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
Tensor clone(const Tensor& x) { return apply(Clone{}, x); }
Tensor contiguous(const Tensor& x) {
  return x.is_contiguous() ? x : apply(Clone{contiguous_strides(x.sizes())}, x);
}

// The strides that a memory format asks of a tensor of these sizes; nothing for preserve_format.
static std::optional<Dims> format_strides(IntSpan sizes, const std::string& format) {
  if (format == "preserve_format") return std::nullopt;
  if (format == "contiguous_format") return contiguous_strides(sizes);
  EG_CHECK_VALUE(format == "channels_last" || format == "channels_last_3d",
                 "memory_format expected contiguous_format, preserve_format, channels_last or "
                 "channels_last_3d, got ",
                 format);
  const size_t rank = format == "channels_last" ? 4 : 5;
  EG_CHECK(sizes.size() == rank, "required rank ", rank, " tensor to use ", format, " format, got ",
           sizes);
  Dims strides(rank, 1);
  int64_t step = sizes[1];
  for (size_t d = rank - 1; d > 1; step *= std::max<int64_t>(sizes[d], 1), --d) strides[d] = step;
  strides[0] = step;
  return strides;
}
static bool is_laid_out(const Tensor& x, const Dims& strides) {
  for (size_t d = 0; d < strides.size(); ++d)
    if (x.sizes()[d] > 1 && x.strides()[d] != strides[d]) return false;
  return true;
}
Tensor in_format(const Tensor& x, const std::string& format) {
  const auto strides = format_strides(x.sizes(), format);
  return !strides || is_laid_out(x, *strides) ? x : apply(Clone{strides}, x);
}
static const char* last_format(const Tensor& x) {
  return x.dim() == 4 ? "channels_last" : "channels_last_3d";
}
bool channels_last(const Tensor& x) {
  return !x.is_contiguous() && (x.dim() == 4 || x.dim() == 5) && x.numel() > 0 &&
         is_laid_out(x, *format_strides(x.sizes(), last_format(x)));
}
Tensor as_lies(const Tensor& x, const Tensor& y) {
  if (x.is_contiguous() || x.dim() != y.dim() || !channels_last(x)) return y;
  return in_format(y, last_format(y));
}
Tensor empty_as_lies(const Tensor& x, IntSpan sizes, DType dtype) {
  if (x.is_contiguous() || !channels_last(x)) return empty(sizes, dtype, x.device());
  return empty_strided(sizes, *format_strides(sizes, last_format(x)), dtype);
}
Tensor zeros_like(const Tensor& x) {
  const DeviceScope scope(x.device());
  Tensor y = empty_result(x, x.dtype());
  fill(y, Scalar(0));
  return y;
}
Tensor ones_like(const Tensor& x) {
  const DeviceScope scope(x.device());
  Tensor y = empty_result(x, x.dtype());
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

void (*warn_user)(const std::string& message) = nullptr;
void warn_once(std::atomic<bool>& said, const char* message) {
  if (warn_user && !said.exchange(true)) warn_user(message);
}

// Every element in a place of its own, without gaps.
static bool is_dense(const Tensor& t) {
  int64_t span = 1;
  for (int64_t d = 0; d < t.dim(); ++d) span += (t.sizes()[d] - 1) * t.strides()[d];
  return t.numel() > 0 && span == t.numel() && !has_internal_overlap(t);
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
    if (out.numel() && warn_user)
      warn_user(str("An output with one or more elements was resized since it had shape ",
                    IntSpan(out.sizes()), ", which does not match the required output shape ",
                    IntSpan(result.sizes()), " of [", op,
                    "]. Empty it first to say that this is meant: out.resize_(0)"));
    const size_t bytes = size_t(result.numel()) * out.item_size();
    EG_CHECK_VALUE(out.storage().writable(), "[", op, "] out is read-only");
    if (bytes + out.offset() * out.item_size() > out.storage().bytes())
      out.storage().resize(bytes + out.offset() * out.item_size());
    out->sizes = result.sizes();
    out->strides = is_dense(result) ? result.strides() : contiguous_strides(result.sizes());
    out->numel = result.numel();
    out->contiguous = is_contiguous(out->sizes, out->strides);
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
    +[](const Tensor& x, std::optional<std::string> format) {
      return apply(Clone{format ? format_strides(x.sizes(), *format) : std::nullopt}, x);
    },
    "clone(input, *, memory_format=None)", "A recorded copy.")
EG_OP(
    +[](const Tensor& x) { return contiguous(x); }, "contiguous(input)",
    "Row-major in memory: a copy if it is not already.", kMethodOnly)
EG_OP(&in_format, "contiguous(input, *, memory_format='contiguous_format')",
      "Row-major, or channels last, in memory: a copy if it is not already.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, const std::string& format) {
      const auto strides = format_strides(x.sizes(), format);
      return !strides || is_laid_out(x, *strides);
    },
    "_is_laid_out(input, memory_format)", "Whether memory is in this order.", kInternal)
EG_OP(
    +[](const Tensor& input, DType dtype) { return to(input, dtype); }, "_cast(input, dtype)",
    "Elements converted to a dtype; the gradient is converted back.", kInternal)
EG_WAITS("_to_device copy_", "the values, where one side is the host's")
EG_OP(
    +[](const Tensor& input, Device device) { return to(input, device); },
    "_to_device(input, device)",
    "The same values on another device, or the tensor itself; the gradient comes back.", kInternal)
// What the three signatures of `to` share.
Tensor to_all(const Tensor& x, DType dtype, Device device, bool copy,
              const std::optional<std::string>& format) {
  Tensor y = to(to(x, dtype), device);
  if (format) y = in_format(y, *format);
  return copy && y.same(x) ? clone(x) : y;
}
EG_OP(
    +[](const Tensor& input, DType dtype, bool, bool copy, std::optional<std::string> format) {
      return to_all(input, dtype, input.device(), copy, format);
    },
    "to(input, dtype, non_blocking=False, copy=False, *, memory_format=None)",
    "This tensor with another dtype or on another device: the tensor itself if nothing changes and "
    "copy is not set.",
    kMethodOnly)
EG_OP(
    +[](const Tensor& input, std::optional<Device> device, std::optional<DType> dtype, bool,
        bool copy, std::optional<std::string> format) {
      return to_all(input, dtype.value_or(input.dtype()), device.value_or(input.device()), copy,
                    format);
    },
    "to(input, device=None, dtype=None, non_blocking=False, copy=False, *, memory_format=None)",
    "This tensor on another device, with another dtype.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, const Tensor& other, bool, bool copy,
        std::optional<std::string> format) {
      return to_all(input, other.dtype(), other.device(), copy, format);
    },
    "to(input, other, non_blocking=False, copy=False, *, memory_format=None)",
    "This tensor with the other's dtype, on its device.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, const Tensor& other) {
      return to_all(input, other.dtype(), other.device(), false, std::nullopt);
    },
    "type_as(input, other)", "This tensor cast to the other's dtype.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, const Tensor& other) { return input.sizes() == other.sizes(); },
    "is_same_size(input, other)", "Whether the shapes are equal.")
EG_OP(
    +[](const Tensor& input, const Operand& src, bool) {
      Tensor self = input;
      return copy_(self, src);
    },
    "copy_(input, src, non_blocking=False)",
    "Copies src, broadcast and cast, into this tensor; recorded.", kMethodOnly)

// One value everywhere: what expand() repeats is written once.
Tensor set_all(const Tensor& input, const Tensor& value) {
  Tensor target = input;
  for (int64_t d = 0; d < input.dim(); ++d)
    if (input.strides()[d] == 0 && input.sizes()[d] > 1) target = narrow(target, d, 0, 1);
  const bool recorded = grad_enabled() && (input.requires_grad() || value.requires_grad());
  if (!recorded && value.is_weak() && target.is_contiguous() && target.device().is_cpu()) {
    check_inplace(target, "copy_");
    fill(target, value.item());
    target.storage().mark_written();
    return input;
  }
  copy_(target, value);
  return input;
}
EG_OP(
    +[](const Tensor& input, const Operand& value) {
      EG_CHECK(value.tensor.dim() == 0,
               "fill_ only supports 0-dimension value tensor but got tensor with ",
               value.tensor.dim(), " dimensions.");
      check_fits("fill_", value.tensor, input.dtype());
      return set_all(input, value);
    },
    "fill_(input, value)", "Sets every element.", kMethodOnly)
EG_OP(
    +[](const Tensor& input) { return set_all(input, Tensor(0)); }, "zero_(input)",
    "Sets every element to 0.", kMethodOnly)

}  // namespace
}  // namespace eg
