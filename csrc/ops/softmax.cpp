#include "kernels/copy.h"
#include "kernels/grain.h"
#include "kernels/reduce.h"
#include "ops/ops.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

// What the kernels read: dense lines along or across memory, on the GPU lines along it.
struct Lines {
  Tensor data;
  int64_t outer = 1, length = 1, inner = 1;
  bool swapped = false;  // with the last dimension
  Lines(const Tensor& x, int64_t dim) {
    swapped = !active_device.is_cpu() && dim + 1 < x.dim();
    data = contiguous_data(swapped ? turned(x, dim) : x);
    if (swapped) dim = x.dim() - 1;
    for (int64_t d = 0; d < x.dim(); ++d)
      (d < dim ? outer : d > dim ? inner : length) *= data.sizes()[d];
    if (data.numel() == 0) outer = 0;
  }
  // A result laid out as the data are, as x is.
  Tensor back(const Tensor& y, int64_t dim) const { return swapped ? turned(y, dim) : y; }

 private:
  static Tensor turned(const Tensor& t, int64_t dim) {
    Dims sizes = t.sizes(), strides = t.strides();
    std::swap(sizes[size_t(dim)], sizes.back());
    std::swap(strides[size_t(dim)], strides.back());
    return alias(t, sizes, strides, t.offset());
  }
};

// kernel(dtype, inputs, output, outer) of dense arrays alike; halves become float32 a few lines at a time where the kernel takes
// none.
template <class F>
void run_lines(std::initializer_list<const Lines*> inputs, const Tensor& out, F kernel) {
  const Lines& l = **inputs.begin();
  const DType type = out.dtype(), compute = line_type(type);
  char* whole[2];
  int count = 0;
  for (const Lines* in : inputs) whole[count++] = in->data.raw();
  if (compute == type) return kernel(type, whole, out.raw(), l.outer);
  const int64_t line = l.length * l.inner, size = int64_t(item_size(type));
  const int64_t each = std::max<int64_t>(1, 4096 / std::max<int64_t>(line, 1));
  const auto cast = host_kernels<CopyKernels>().line;
  parallel_for(ceil_div(l.outer, each), grain_of(4 * each * line), [&](int64_t begin, int64_t end) {
    const Tensor strips = empty({3, each * line}, compute);
    float* const strip = strips.data<float>();
    char* in[2];
    for (int k = 0; k < count; ++k) in[k] = reinterpret_cast<char*>(strip + k * each * line);
    char* const y = reinterpret_cast<char*>(strip + 2 * each * line);
    for (int64_t first = begin * each; first < std::min(end * each, l.outer); first += each) {
      const int64_t lines = std::min(each, l.outer - first), n = lines * line;
      for (int k = 0; k < count; ++k)
        cast(in[k], 4, compute, whole[k] + first * line * size, size, type, n);
      kernel(compute, in, y, lines);
      cast(out.raw() + first * line * size, size, type, y, 4, compute, n);
    }
  });
}

template <bool log>
Tensor softmax_backward(const Tensor& g, const Tensor& y, int64_t dim);

template <bool log>
struct SoftmaxBackward {
  static constexpr const char* name = log ? "LogSoftmaxBackward" : "SoftmaxBackward";
  int64_t dim;
  Tensor forward(Context& ctx, const Tensor& g, const Tensor& y) {
    ctx.save(g);
    ctx.save(y);
    const Lines lg(cast_data(g, y.dtype()), dim), ly(y, dim);
    const Tensor gx = empty(ly.data.sizes(), y.dtype());
    run_lines({&lg, &ly}, gx, [&](DType type, char* const* in, char* out, int64_t outer) {
      kernels<SoftmaxKernels>().backward(log, type, in[0], in[1], out, outer, ly.length, ly.inner);
    });
    return ly.back(gx, dim);
  }
  Tensors backward(Context& ctx, const Tensor& gg) {
    const Tensor g = ctx.saved(0), y = ctx.saved(1);
    if constexpr (log) {
      // gx = g - exp(y) sum(g)
      const Tensor p = exp(y), total = sum(g, {dim}, true);
      return {sub(gg, sum(mul(gg, p), {dim}, true)), neg(mul(mul(gg, p), total))};
    } else {
      // gx = y (g - sum(g y))
      const Tensor dot = sum(mul(g, y), {dim}, true), with_y = sum(mul(gg, y), {dim}, true);
      return {mul(y, sub(gg, with_y)), sub(mul(gg, sub(g, dot)), mul(g, with_y))};
    }
  }
};
template <bool log>
Tensor softmax_backward(const Tensor& g, const Tensor& y, int64_t dim) {
  return apply(SoftmaxBackward<log>{dim}, g, y);
}

template <bool log>
struct Softmax {
  static constexpr const char* name = log ? "LogSoftmax" : "Softmax";
  int64_t dim;
  Tensor forward(Context& ctx, const Tensor& x) {
    const Lines l(x, dim);
    Tensor y = empty(l.data.sizes(), x.dtype());
    run_lines({&l}, y, [&](DType type, char* const* in, char* out, int64_t outer) {
      kernels<SoftmaxKernels>().forward(log, type, in[0], out, outer, l.length, l.inner);
    });
    // Row-major whatever the dimension: programs view the result.
    y = contiguous_data(l.back(y, dim));
    ctx.save(y);
    return y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {softmax_backward<log>(g, ctx.saved(0), dim)};
  }
};

template <bool log>
Tensor run(const Tensor& x, int64_t dim, std::optional<DType> dtype) {
  const Tensor t = dtype ? to(x, *dtype) : x;
  EG_CHECK_KIND(NotImplemented, t.is_floating(), log ? "[log_softmax]" : "[softmax]",
                " not implemented for ", t.dtype());
  return apply(Softmax<log>{wrap_dim(dim, t.dim())}, t);
}

EG_OP(&run<false>, "softmax(input, dim, dtype=None)", "exp(x) / sum(exp(x)) along a dimension.",
      kOut)
EG_OP(&run<true>, "log_softmax(input, dim, dtype=None)", "log(softmax(x)) along a dimension.", kOut)

}  // namespace

Tensor softmax(const Tensor& x, int64_t dim) { return run<false>(x, dim, std::nullopt); }
Tensor log_softmax(const Tensor& x, int64_t dim) { return run<true>(x, dim, std::nullopt); }

}  // namespace eg
