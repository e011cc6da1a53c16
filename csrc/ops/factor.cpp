// Factorisations and solves of batches of matrices on the host. Gradients: eagergrad/linalg.
#include "kernels/factor.h"

#include <cmath>

#include "ops/matrices.h"
#include "ops/registry.h"

namespace eg {
namespace {

// Of the same batch as a, which is square.
Matrices right_sides(const char* op, const Tensor& a, const Tensor& b) {
  const Matrices m = matrices(op, b);
  EG_CHECK(a.dtype() == b.dtype(), "[", op, "] expected one dtype, got ", a.dtype(), " and ",
           b.dtype());
  bool fits = a.dim() == b.dim() && m.rows == a.size(-1);
  for (int64_t d = 0; fits && d < a.dim() - 2; ++d) fits = a.size(d) == b.size(d);
  EG_CHECK(fits, "[", op, "] shapes ", a.sizes(), " and ", b.sizes(), " do not fit");
  return m;
}

std::tuple<Tensor, Tensor, Tensor> lu_factor(const Tensor& input) {
  const Matrices m = matrices("linalg.lu_factor", input);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor lu = copy_of(input);
  const int64_t n = std::min(m.rows, m.columns);
  Dims sizes = batch_of(input);
  const Tensor info = zeros(sizes, DType::Int32);
  sizes.push_back(n);
  const Tensor pivots = empty(sizes, DType::Int32);
  for_each_matrix(m, m.rows, [&](int64_t i) {
    int32_t* p = pivots.data<int32_t>() + i * n;
    info.data<int32_t>()[i] = int32_t(kernels.lu[float_index(lu.dtype())](
        lu.raw() + i * m.bytes, m.rows, m.columns, m.columns, p));
    for (int64_t j = 0; j < n; ++j) ++p[j];
  });
  return {by_columns(lu), pivots, info};
}

template <class T>
void determinant(const T* lu, int64_t n, const int32_t* pivots, T* sign, T* logabs, T* det) {
  bool negative = false;
  double sum = 0;
  T product = 1;
  for (int64_t i = 0; i < n; ++i) {
    const T d = lu[i * (n + 1)];
    negative ^= (pivots[i] != i) ^ (d < 0);
    sum += std::log(std::fabs(double(d)));
    product *= pivots[i] != i ? -d : d;
  }
  const bool zero = std::isinf(sum) && sum < 0;
  *sign = std::isnan(sum) ? T(sum) : T(zero ? 0 : negative ? -1 : 1);
  *logabs = T(sum);
  *det = product;
}

std::tuple<Tensor, Tensor, Tensor> slogdet(const Tensor& input) {
  const Matrices m = squares("linalg.slogdet", input);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Dims sizes = batch_of(input);
  const Tensor lu = copy_of(input), pivots = empty({m.count, m.rows}, DType::Int32);
  const Tensor sign = empty(sizes, input.dtype()), logabs = empty(sizes, input.dtype());
  const Tensor det = empty(sizes, input.dtype());
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    for_each_matrix(m, m.rows, [&](int64_t i) {
      int32_t* p = pivots.data<int32_t>() + i * m.rows;
      T* f = lu.data<T>() + i * m.rows * m.rows;
      kernels.lu[float_index(lu.dtype())](f, m.rows, m.rows, m.rows, p);
      determinant<T>(f, m.rows, p, sign.data<T>() + i, logabs.data<T>() + i, det.data<T>() + i);
    });
  });
  return {sign, logabs, det};
}

std::tuple<Tensor, Tensor> solve(const Tensor& a, const Tensor& b) {
  const Matrices m = squares("linalg.solve", a);
  const Matrices r = right_sides("linalg.solve", a, b);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor lu = copy_of(a), x = copy_of(b);
  const Tensor info = zeros(batch_of(a), DType::Int32);
  const Tensor pivots = empty({m.count, m.rows}, DType::Int32);
  const int64_t n = m.rows, t = float_index(a.dtype());
  for_each_matrix(m, n, [&](int64_t i) {
    int32_t* p = pivots.data<int32_t>() + i * n;
    char *f = lu.raw() + i * m.bytes, *y = x.raw() + i * r.bytes;
    info.data<int32_t>()[i] = int32_t(kernels.lu[t](f, n, n, n, p));
    kernels.exchange_rows[t](y, r.columns, r.columns, p, n);
    kernels.solve_triangle[t](f, n, n, false, true, y, r.columns, r.columns);
    kernels.solve_triangle[t](f, n, n, true, false, y, r.columns, r.columns);
  });
  return {by_columns(x), info};
}

Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool unit) {
  const Matrices m = squares("linalg.solve_triangular", a);
  const Matrices r = right_sides("linalg.solve_triangular", a, b);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor t = contiguous(a), x = copy_of(b);
  for_each_matrix(m, m.rows, [&](int64_t i) {
    kernels.solve_triangle[float_index(a.dtype())](t.raw() + i * m.bytes, m.rows, m.rows, upper,
                                                   unit, x.raw() + i * r.bytes, r.columns,
                                                   r.columns);
  });
  return by_columns(x);
}

// What row exchanges, numbered from 1, make of the numbers 0 to n - 1.
Tensor lu_order(const Tensor& pivots, int64_t n) {
  EG_CHECK(pivots.dtype() == DType::Int32 && pivots.dim() >= 1 && pivots.device() == Device{},
           "[linalg.lu] expected pivots of dtype int32, at least 1-D, on the CPU; got ",
           pivots.dtype(), " of shape ", pivots.sizes());
  const int64_t k = pivots.size(-1);
  EG_CHECK(n >= k && n <= INT32_MAX, "[linalg.lu] ", k, " pivots do not fit ", n, " rows");
  const Tensor exchanges = contiguous(pivots);
  Dims sizes = pivots.sizes();
  sizes.back() = n;
  const Tensor result = empty(sizes, DType::Int64);
  const int32_t* p = exchanges.data<int32_t>();
  int64_t* order = result.data<int64_t>();
  for (int64_t b = n ? result.numel() / n : 0; b > 0; --b, order += n, p += k) {
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    for (int64_t i = 0; i < k; ++i) {
      EG_CHECK(p[i] >= 1 && p[i] <= n, "[linalg.lu] pivot ", p[i],
               " is out of range: expected 1 to ", n);
      std::swap(order[i], order[p[i] - 1]);
    }
  }
  return result;
}

// A lower triangle, row by row, to the same column by column.
template <class T>
void turn_lower_triangle(T* a, int64_t n) {
  constexpr int64_t kTile = 16;
  for (int64_t first = 0; first < n; first += kTile)
    for (int64_t i = first; i < n; ++i)
      for (int64_t j = first; j < std::min(i, first + kTile); ++j) {
        a[j * n + i] = a[i * n + j];
        a[i * n + j] = T(0);
      }
}

std::tuple<Tensor, Tensor> cholesky(const Tensor& input) {
  const Matrices m = squares("linalg.cholesky", input);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor l = copy_of(input), info = empty(batch_of(input), DType::Int32);
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    for_each_matrix(m, m.rows, [&](int64_t i) {
      T* p = l.data<T>() + i * m.rows * m.rows;
      info.data<int32_t>()[i] =
          int32_t(kernels.cholesky[float_index(l.dtype())](p, m.rows, m.rows));
      turn_lower_triangle(p, m.rows);
    });
  });
  return {transpose(l, -2, -1), info};
}

EG_OP(&lu_factor, "_lu_factor(input) -> (LU, pivots, info)",
      "LU, pivots from 1, and from 1 where the first zero pivot is, or 0. Not recorded.")
EG_OP(&slogdet, "_slogdet(input) -> (sign, logabsdet, det)",
      "Determinants, and their signs and logarithms. Not recorded.")
EG_OP(&solve, "_solve(A, B) -> (result, info)",
      "The X of A X = B, and from 1 where the first zero pivot of A is, or 0. Not recorded.")
EG_OP(&solve_triangular, "_solve_triangular(A, B, upper, unit)",
      "The X of T X = B with a triangle T of A. Not recorded.")
EG_OP(&lu_order, "_lu_order(pivots, n)", "Where each of n rows came from. Not recorded.")
EG_OP(&cholesky, "_cholesky(input) -> (L, info)",
      "L, and from 1 the first leading part that is not positive definite, or 0. Not recorded.")

}  // namespace
}  // namespace eg
