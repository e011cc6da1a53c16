// Norms of vectors, with the gradients that PyTorch chooses where there is none: 0 at a zero vector, a fair share each where
// several elements are the largest.
#include <cmath>

#include "ops/ops.h"
#include "ops/registry.h"
#include "ops/terms.h"
#include "tape/function.h"

namespace eg {
namespace {

// Halves give float32.
Tensor norm_of(const Tensor& x, double p, const Dims& dims) {
  const DType type = x.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
  if (p == 0) return to(sum(ne(x, Tensor(0)), dims, true), type);
  if (p == 1) return reduce_terms(Reduce::Sum, {x, Unary::abs}, dims, true, type);
  if (p == 2) return sqrt(reduce_terms(Reduce::Sum, {x, Unary::square}, dims, true, type));
  if (std::isinf(p))
    return reduce_terms(p > 0 ? Reduce::Max : Reduce::Min, {x, Unary::abs}, dims, true, type);
  return pow(sum(pow(abs(to(x, type)), Tensor(p)), dims, true), Tensor(1 / p));
}

struct VectorNorm {
  static constexpr const char* name = "LinalgVectorNorm";
  double p;
  Dims dims;

  Tensor forward(Context& ctx, const Tensor& x) {
    const Tensor y = to(norm_of(x, p, dims), x.dtype());
    ctx.save(x);
    ctx.save(y);
    return y;
  }

  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), y = ctx.saved(1), zero(0.0);
    if (p == 0) return {zeros_like(x)};
    if (p == 1) return {mul(g, sign(x))};
    if (std::isinf(p)) {
      const Tensor size = abs(x.detach());
      const Tensor same =
          to(where(isnan(y.detach()), isnan(size), eq(size, y.detach())), x.dtype());
      return {mul(mul(sign(x), same), div(g, sum(same, dims, true)))};
    }
    const auto none = [&](const Tensor& t) { return where(eq(y.detach(), zero), zero, t); };
    if (p == 2) return {mul(g, none(div(x, y)))};
    const Tensor size = abs(x);
    if (p < 1) {
      const Tensor slope =
          where(eq(x.detach(), zero), zero, mul(sign(x), pow(size, Tensor(p - 1))));
      return {mul(mul(slope, g), pow(y, Tensor(1 - p)))};
    }
    const Tensor slope =
        p < 2 ? mul(sign(x), pow(size, Tensor(p - 1))) : mul(x, pow(size, Tensor(p - 2)));
    // No division by 0 where it is thrown away: its derivative would not be.
    const Tensor length = where(eq(y.detach(), zero), Tensor(1.0), y);
    return {mul(slope, none(div(g, pow(length, Tensor(p - 1)))))};
  }
};

}  // namespace

Tensor vector_norm(const Tensor& x, double p, const std::optional<Dims>& dim, bool keepdim) {
  EG_CHECK(x.is_floating(), "Expected a floating point or complex tensor as input. Got ",
           x.dtype());
  const Dims dims = wrap_dims(dim ? IntSpan(*dim) : IntSpan(), x.dim());
  if (std::isinf(p) || p < 0)
    for (int64_t d : dims)
      EG_CHECK(x.sizes()[d] != 0, "cannot compute the ", p,
               " norm along an empty dimension: the operation has no identity");
  const Tensor y = apply(VectorNorm{p, dims}, x);
  return keepdim ? y : named(squeeze(y, dims), "LinalgVectorNormBackward0");
}

namespace {

EG_OP(&vector_norm, "_vector_norm(input, p, dim=None, keepdim=False)",
      "(sum |x|^p)^(1/p) along dims.", kInternal)

}  // namespace
}  // namespace eg
