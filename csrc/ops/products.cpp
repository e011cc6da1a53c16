// Products and norms composed of other ops: trace, dist, kron, tensordot, renorm.
#include <cmath>

#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {

// ops/vector_norm.cpp
Tensor vector_norm(const Tensor& x, double p, const std::optional<Dims>& dims, bool keepdim);

namespace {

EG_OP(
    +[](const Tensor& input) {
      EG_CHECK(input.dim() == 2, "trace: expected a matrix, but got tensor with dim ", input.dim());
      EG_CHECK_KIND(NotImplemented, input.dtype() != DType::Bool,
                    "trace is not implemented for bool");
      return named(sum(diagonal(input, 0, 0, 1)), "TraceBackward0");
    },
    "trace(input)", "Sum of a matrix's diagonal.")

EG_OP(
    +[](const Tensor& input, const Tensor& other, double p) {
      const Tensor difference = sub(input, other);
      return named(vector_norm(difference, p, std::nullopt, false), "DistBackward0");
    },
    "_dist(input, other, p)", "p-norm of input - other.", kInternal)

// [1, ..., sizes] of n dimensions.
Dims padded(const Tensor& x, int64_t n) {
  Dims sizes(size_t(n - x.dim()), 1);
  sizes.append(x.sizes().begin(), x.sizes().end());
  return sizes;
}
// The last two dimensions as one, dimension `dim` of size 1 repeated.
Tensor laid_out(const Tensor& x, int64_t dim, int64_t count) {
  Dims wide = x.sizes();
  wide[size_t(dim)] = count;
  const Tensor repeated = expand(x, wide);
  const int64_t last = wide.back();
  wide.pop_back();
  wide.back() *= last;
  return reshape(repeated, wide);
}
EG_OP(
    +[](const Tensor& input, const Tensor& other) {
      const int64_t n = std::max(input.dim(), other.dim());
      const Dims a = padded(input, n), b = padded(other, n);
      Dims wide_a, wide_b, sizes;
      for (int64_t d = 0; d < n; ++d) {
        wide_a.push_back(a[d]), wide_a.push_back(1);
        wide_b.push_back(1), wide_b.push_back(b[d]);
        sizes.push_back(a[d] * b[d]);
      }
      Tensor x = reshape(input, wide_a), y = reshape(other, wide_b);
      if (n > 0) {  // the last dimension is laid out, so that lines are as long as the result's
        x = laid_out(x, 2 * n - 1, b[n - 1]);
        y = laid_out(y, 2 * n - 2, a[n - 1]);
      }
      return view(contiguous(mul(x, y)), sizes);
    },
    "kron(input, other)", "Kronecker product of tensors of any dimensions.", kOutCasts)

int64_t product_of(IntSpan sizes, const Dims& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= sizes[size_t(d)];
  return n;
}
Dims others(int64_t n, const Dims& dims) {
  Dims rest;
  for (int64_t d = 0; d < n; ++d)
    if (std::find(dims.begin(), dims.end(), d) == dims.end()) rest.push_back(d);
  return rest;
}
Dims joined(Dims a, const Dims& b) {
  a.append(b.begin(), b.end());
  return a;
}
// x as a matrix of the dimensions `first` by `then`.
Tensor as_matrix(const Tensor& x, const Dims& first, const Dims& then) {
  const Dims order = joined(first, then);
  const bool stays = std::is_sorted(order.begin(), order.end());
  return reshape(stays ? x : permute(x, order),
                 {product_of(x.sizes(), first), product_of(x.sizes(), then)});
}
Dims wrapped(const Dims& dims, int64_t n) {
  Dims out;
  for (int64_t d : dims) out.push_back(wrap_dim(d, n));
  return out;
}

Tensor tensordot(const Tensor& input, const Tensor& other, const Dims& dims_a, const Dims& dims_b) {
  EG_CHECK(dims_a.size() == dims_b.size(),
           "tensordot expects both dimension lists to have the same length");
  Tensor a = input, b = other;
  const Dims in_a = wrapped(dims_a, a.dim()), in_b = wrapped(dims_b, b.dim());
  for (size_t i = 0; i < in_a.size(); ++i) {
    const int64_t n = a.size(in_a[i]), m = b.size(in_b[i]);
    // A dimension of size 1 stands for a repeated one.
    if (n == 1 && m != 1)
      b = to(sum(b, {in_b[i]}, true), b.dtype());
    else if (m == 1 && n != 1)
      a = to(sum(a, {in_a[i]}, true), a.dtype());
    else
      EG_CHECK(n == m, "contracted dimensions need to match, but first has size ", n, " in dim ",
               in_a[i], " and second has size ", m, " in dim ", in_b[i]);
  }
  const Dims free_a = others(a.dim(), in_a), free_b = others(b.dim(), in_b);
  Dims sizes;
  for (int64_t d : free_a) sizes.push_back(a.size(d));
  for (int64_t d : free_b) sizes.push_back(b.size(d));
  const Tensor product = mm(as_matrix(a, free_a, in_a), as_matrix(b, in_b, free_b));
  return sizes == product.sizes() ? product : view(product, sizes);
}
EG_OP(&tensordot, "_tensordot(input, other, dims_a, dims_b)",
      "Contracts dimensions of two tensors.", kInternal)

EG_OP(
    +[](const Tensor& input, double p, int64_t dim, double maxnorm) {
      EG_CHECK(input.dim() >= 2, "renorm: input needs at least 2 dimensions, got ", input.dim(),
               " dimensions");
      EG_CHECK(p > 0 && maxnorm >= 0, "renorm: expected p > 0 and maxnorm >= 0, got ", p, " and ",
               maxnorm);
      if (std::isinf(maxnorm)) return named(mul(input, Tensor(1.0)), "RenormBackward0");
      const Dims rest = others(input.dim(), {wrap_dim(dim, input.dim())});
      const Tensor lengths = vector_norm(input, p, rest, true), most(maxnorm);
      const Tensor scale =
          where(gt(lengths.detach(), most), div(most, add(lengths, Tensor(1e-7))), Tensor(1.0));
      return named(mul(input, scale), "RenormBackward0");
    },
    "_renorm(input, p, dim, maxnorm)", "Slices scaled down to a norm.", kInternal)

}  // namespace
}  // namespace eg
