// Cumulative sums, products and extremes.
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

// Halves go through float32 and, on the CPU, every whole number through int64.
DType scan_type(DType t) {
  if (is_reduced(t)) return DType::Float32;
  return active_device.is_cpu() && !is_floating(t) ? DType::Int64 : t;
}

Tensor scan_data(Scan op, const Tensor& x, int64_t dim, Tensor* positions = nullptr) {
  const DType compute = scan_type(x.dtype());
  const Layout l(cast_data(x, compute), {dim});
  Tensor y = empty(x.sizes(), compute);
  if (positions) *positions = empty(x.sizes(), DType::Int64);
  kernels<ReduceKernels>().scan(op, compute, l.data.raw(), y.raw(),
                                positions ? positions->data<int64_t>() : nullptr, l.outer, l.length,
                                l.inner);
  return cast_data(y, x.dtype());
}

// Sum from the end.
Tensor reversed_cumsum(const Tensor& x, int64_t dim) {
  return flip(cumsum(flip(x, {dim}), dim), {dim});
}

struct CumSum {
  static constexpr const char* name = "Cumsum";
  int64_t dim;
  Tensor forward(Context&, const Tensor& x) { return scan_data(Scan::Sum, x, dim); }
  Tensors backward(Context&, const Tensor& g) { return {reversed_cumsum(g, dim)}; }
};

bool has_zero(const Tensor& x) {
  return eq(x.detach(), Tensor(0)).numel() > 0 &&
         sum(eq(x.detach(), Tensor(0))).item().to_int() > 0;
}

struct CumProd {
  static constexpr const char* name = "Cumprod";
  int64_t dim;
  Tensor forward(Context& ctx, const Tensor& x) {
    Tensor y = scan_data(Scan::Prod, x, dim);
    ctx.save(x);
    ctx.save(y);
    return y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), y = ctx.saved(1);
    if (!has_zero(x)) return {div(reversed_cumsum(mul(g, y), dim), x)};
    // A zero has no reciprocal: for each place, the products with that factor left out.
    const int64_t n = x.sizes()[dim];
    const Tensor place = arange_like(n, x, dim);
    TensorList parts;
    for (int64_t i = 0; i < n; ++i) {
      const Tensor others = cumprod(where(eq(place, Tensor(int(i))), Tensor(1.0), x), dim);
      const Tensor from_here = where(ge(place, Tensor(int(i))), mul(g, others), Tensor(0.0));
      parts.push_back(sum(from_here, {dim}, true));
    }
    return {cat(parts, dim)};
  }
  // 0 .. n - 1 along dim.
  static Tensor arange_like(int64_t n, const Tensor& x, int64_t dim) {
    Dims sizes(size_t(x.dim()), 1);
    sizes[size_t(dim)] = n;
    return alias(arange(n), sizes, contiguous_strides(sizes), 0);
  }
};

template <Scan op>
struct CumExtreme {
  static constexpr const char* name = op == Scan::Max ? "Cummax" : "Cummin";
  int64_t dim;
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& x) {
    Tensor at;
    Tensor y = scan_data(op, x, dim, &at);
    ctx.save(at);
    return {y, at};
  }
  Tensors backward(Context& ctx, const Tensors& g) {
    return {scatter_add(zeros(g[0].sizes(), g[0].dtype()), dim, ctx.saved(0), g[0])};
  }
};

// With weights exp(x_i - y_j) for i <= j: of v the sums over j (`later`), or over i. Linear in v, and each the other's
// transpose, so the gradients close. The sums are taken in logarithms for each sign of v: exp(-y) alone may overflow.
struct ExpWeightedSums {
  static constexpr const char* name = "LogcumsumexpSums";
  int64_t dim;
  bool later;

  Tensor forward(Context& ctx, const Tensor& v, const Tensor& x, const Tensor& y) {
    const Tensor result = sub(part(v, x, y), part(neg(v), x, y));
    for (const Tensor& saved : {v, x, y, result}) ctx.save(saved);
    return result;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor v = ctx.saved(0), x = ctx.saved(1), y = ctx.saved(2), result = ctx.saved(3);
    const Tensor gv = eg::apply(ExpWeightedSums{dim, !later}, g, x, y);
    const Tensor outer = mul(g, result), inner = mul(v, gv);
    return later ? Tensors{gv, outer, neg(inner)} : Tensors{gv, inner, neg(outer)};
  }

 private:
  Tensor part(const Tensor& size, const Tensor& x, const Tensor& y) const {
    const Tensor there = gt(size, Tensor(0));
    const Tensor nothing(x.dtype() == DType::Float64 ? -1e300 : -1e30);
    const Tensor logs = where(there, log(where(there, size, Tensor(1.0))), nothing);
    if (!later) return exp(sub(scan_data(Scan::LogSumExp, add(logs, x), dim), y));
    const Tensor sums = scan_data(Scan::LogSumExp, flip(sub(logs, y), {dim}), dim);
    return exp(add(flip(sums, {dim}), x));
  }
};

struct LogCumSumExp {
  static constexpr const char* name = "Logcumsumexp";
  int64_t dim;
  Tensor forward(Context& ctx, const Tensor& x) {
    Tensor y = scan_data(Scan::LogSumExp, x, dim);
    ctx.save(x);
    ctx.save(y);
    return y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {eg::apply(ExpWeightedSums{dim, true}, g, ctx.saved(0), ctx.saved(1))};
  }
};

Tensor whole(const Tensor& x, std::optional<DType> dtype) {
  return to(x, dtype.value_or(x.is_floating() ? x.dtype() : DType::Int64));
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t dim) {
  const int64_t d = wrap_dim(dim, x.dim());
  return x.dim() == 0 ? clone(x) : apply(CumSum{d}, x);
}
Tensor cumprod(const Tensor& x, int64_t dim) {
  const int64_t d = wrap_dim(dim, x.dim());
  return x.dim() == 0 ? clone(x) : apply(CumProd{d}, x);
}

namespace {

EG_OP(
    +[](const Tensor& input, int64_t dim, std::optional<DType> dtype) {
      return cumsum(whole(input, dtype), dim);
    },
    "cumsum(input, dim, *, dtype=None)", "Sums of the elements so far.", kInplace | kOutCasts)
EG_OP(
    +[](const Tensor& input, int64_t dim, std::optional<DType> dtype) {
      return cumprod(whole(input, dtype), dim);
    },
    "cumprod(input, dim, *, dtype=None)", "Products of the elements so far.", kInplace | kOutCasts)

template <Scan op>
std::tuple<Tensor, Tensor> extreme(const Tensor& x, int64_t dim) {
  const int64_t d = wrap_dim(dim, x.dim());
  if (x.dim() == 0) return {clone(x), zeros({}, DType::Int64)};
  return apply(CumExtreme<op>{d}, x);
}
EG_OP(&extreme<Scan::Max>, "cummax(input, dim) -> (values, indices)", "Largest elements so far.",
      kOut)
EG_OP(&extreme<Scan::Min>, "cummin(input, dim) -> (values, indices)", "Smallest elements so far.",
      kOut)
EG_OP(
    +[](const Tensor& input, int64_t dim) {
      const int64_t d = wrap_dim(dim, input.dim());
      EG_CHECK_KIND(NotImplemented, input.is_floating(),
                    "logcumsumexp expects a floating point tensor, got ", input.dtype());
      return input.dim() == 0 ? clone(input) : apply(LogCumSumExp{d}, input);
    },
    "logcumsumexp(input, dim)", "log of the sums of exp so far.", kOut)

Tensor diff_once(const Tensor& x, int64_t dim) {
  const int64_t n = x.sizes()[dim];
  const int64_t m = std::max<int64_t>(n - 1, 0);
  const Tensor later = narrow(x, dim, n - m, m), earlier = narrow(x, dim, 0, m);
  return x.dtype() == DType::Bool ? logical_xor(later, earlier) : sub(later, earlier);
}
EG_OP(
    +[](const Tensor& input, int64_t n, int64_t dim, std::optional<Tensor> prepend,
        std::optional<Tensor> append) {
      EG_CHECK(input.dim() > 0, "diff expects input to be at least one-dimensional");
      EG_CHECK(n >= 0, "order must be non-negative but got ", n);
      const int64_t d = wrap_dim(dim, input.dim());
      TensorList parts;
      if (prepend) parts.push_back(*prepend);
      parts.push_back(input);
      if (append) parts.push_back(*append);
      if (n == 0) return clone(input);
      Tensor x = diff_once(parts.size() > 1 ? cat(parts, d) : input, d);
      for (int64_t i = 1; i < n && x.sizes()[d] > 0; ++i) x = diff_once(x, d);
      return x;
    },
    "diff(input, n=1, dim=-1, prepend=None, append=None)", "n-th differences of neighbours.",
    kOutCasts)

}  // namespace
}  // namespace eg
