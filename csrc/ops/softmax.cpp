#include "kernels/reduce.h"
#include "ops/ops.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

// The kernels work on dense lines; other layouts are brought there and back.
struct Lines {
  Tensor data;
  int64_t lines, length;
  Lines(const Tensor& x, int64_t dim, DType compute) {
    const Tensor t = cast_data(x, compute);
    Dims sizes = t.sizes(), strides = t.strides();
    if (!sizes.empty()) {
      std::swap(sizes[size_t(dim)], sizes.back());
      std::swap(strides[size_t(dim)], strides.back());
    }
    data = contiguous_data(alias(t, sizes, strides, t.offset()));
    length = sizes.empty() ? 1 : sizes.back();
    lines = length ? data.numel() / length : 0;
  }
};
Tensor back_in_place(const Tensor& lines, int64_t dim) {
  Dims sizes = lines.sizes(), strides = lines.strides();
  if (!sizes.empty()) {
    std::swap(sizes[size_t(dim)], sizes.back());
    std::swap(strides[size_t(dim)], strides.back());
  }
  return alias(lines, sizes, strides, lines.offset());
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
    const DType compute = line_type(y.dtype());
    const Lines lg(g, dim, compute), ly(y, dim, compute);
    Tensor gx = empty(ly.data.sizes(), compute);
    kernels<SoftmaxKernels>().backward(log, compute, lg.data.raw(), ly.data.raw(), gx.raw(),
                                       ly.lines, ly.length);
    return cast_data(back_in_place(gx, dim), y.dtype());
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
    const DType compute = line_type(x.dtype());
    const Lines l(x, dim, compute);
    Tensor y = empty(l.data.sizes(), compute);
    kernels<SoftmaxKernels>().forward(log, compute, l.data.raw(), y.raw(), l.lines, l.length);
    // Row-major whatever the dimension: programs view the result.
    y = contiguous_data(cast_data(back_in_place(y, dim), x.dtype()));
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
