// Factorisations and solves of batches of matrices on the host. Gradients: eagergrad/linalg.
#include "kernels/factor.h"

#include "core/parallel.h"
#include "ops/copy.h"
#include "ops/ops.h"
#include "ops/registry.h"

namespace eg {
namespace {

struct Matrices {
  int64_t count, rows, columns;
  size_t bytes;  // of one
};

Matrices matrices(const char* op, const Tensor& t) {
  EG_CHECK(t.dim() >= 2, "[", op, "] expected a matrix or a batch of them, got shape ", t.sizes());
  EG_CHECK(t.dtype() == DType::Float32 || t.dtype() == DType::Float64, "[", op,
           "] expected float32 or float64, got ", t.dtype());
  EG_CHECK(t.device() == Device{}, "[", op, "] expected a tensor on the CPU, got one on ",
           t.device());
  const int64_t rows = t.size(-2), columns = t.size(-1);
  EG_CHECK(rows <= INT32_MAX && columns <= INT32_MAX, "[", op, "] the matrices are too large");
  const int64_t each = rows * columns;
  return {each ? t.numel() / each : 0, rows, columns, size_t(each) * t.item_size()};
}
Matrices squares(const char* op, const Tensor& t) {
  const Matrices m = matrices(op, t);
  EG_CHECK(m.rows == m.columns, "[", op, "] expected square matrices, got shape ", t.sizes());
  return m;
}
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

Tensor copy_of(const Tensor& t) {
  const Tensor copy = empty(t.sizes(), t.dtype());
  copy_into(copy, t);
  return copy;
}
Dims batch_of(const Tensor& t) {
  Dims sizes = t.sizes();
  sizes.resize(sizes.size() - 2);
  return sizes;
}

// Small matrices are shared out among threads; large ones use all of them one after the other.
template <class F>
void for_each_matrix(int64_t count, int64_t rows, F&& f) {
  constexpr int64_t kLarge = 128;
  const auto some = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  };
  if (rows >= kLarge)
    some(0, count);
  else
    parallel_for(count, kParallelGrain / (rows * rows * rows + 1) + 1, some);
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
  for_each_matrix(m.count, m.rows, [&](int64_t i) {
    int32_t* p = pivots.data<int32_t>() + i * n;
    info.data<int32_t>()[i] = int32_t(kernels.lu[float_index(lu.dtype())](
        lu.raw() + i * m.bytes, m.rows, m.columns, m.columns, p));
    for (int64_t j = 0; j < n; ++j) ++p[j];
  });
  return {lu, pivots, info};
}

std::tuple<Tensor, Tensor> solve(const Tensor& a, const Tensor& b) {
  const Matrices m = squares("linalg.solve", a);
  const Matrices r = right_sides("linalg.solve", a, b);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor lu = copy_of(a), x = copy_of(b);
  const Tensor info = zeros(batch_of(a), DType::Int32);
  const Tensor pivots = empty({m.count, m.rows}, DType::Int32);
  const int64_t n = m.rows, t = float_index(a.dtype());
  for_each_matrix(r.count ? m.count : 0, n, [&](int64_t i) {
    int32_t* p = pivots.data<int32_t>() + i * n;
    char *f = lu.raw() + i * m.bytes, *y = x.raw() + i * r.bytes;
    info.data<int32_t>()[i] = int32_t(kernels.lu[t](f, n, n, n, p));
    kernels.exchange_rows[t](y, r.columns, r.columns, p, n);
    kernels.solve_triangle[t](f, n, n, false, true, y, r.columns, r.columns);
    kernels.solve_triangle[t](f, n, n, true, false, y, r.columns, r.columns);
  });
  return {x, info};
}

Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool unit) {
  const Matrices m = squares("linalg.solve_triangular", a);
  const Matrices r = right_sides("linalg.solve_triangular", a, b);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor t = contiguous(a), x = copy_of(b);
  for_each_matrix(r.count ? m.count : 0, m.rows, [&](int64_t i) {
    kernels.solve_triangle[float_index(a.dtype())](t.raw() + i * m.bytes, m.rows, m.rows, upper,
                                                   unit, x.raw() + i * r.bytes, r.columns,
                                                   r.columns);
  });
  return x;
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

template <class T>
void clear_above_diagonal(T* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) std::fill(a + i * n + i + 1, a + (i + 1) * n, T(0));
}

std::tuple<Tensor, Tensor> cholesky(const Tensor& input) {
  const Matrices m = squares("linalg.cholesky", input);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor l = copy_of(input), info = zeros(batch_of(input), DType::Int32);
  const bool is_double = l.dtype() == DType::Float64;
  for_each_matrix(m.count, m.rows, [&](int64_t i) {
    char* p = l.raw() + i * m.bytes;
    info.data<int32_t>()[i] = int32_t(kernels.cholesky[is_double](p, m.rows, m.rows));
    if (is_double)
      clear_above_diagonal(reinterpret_cast<double*>(p), m.rows);
    else
      clear_above_diagonal(reinterpret_cast<float*>(p), m.rows);
  });
  return {l, info};
}

EG_OP(&lu_factor, "_lu_factor(input) -> (LU, pivots, info)",
      "LU, pivots from 1, and from 1 where the first zero pivot is, or 0. Not recorded.")
EG_OP(&solve, "_solve(A, B) -> (result, info)",
      "The X of A X = B, and from 1 where the first zero pivot of A is, or 0. Not recorded.")
EG_OP(&solve_triangular, "_solve_triangular(A, B, upper, unit)",
      "The X of T X = B with a triangle T of A. Not recorded.")
EG_OP(&lu_order, "_lu_order(pivots, n)", "Where each of n rows came from. Not recorded.")
EG_OP(&cholesky, "_cholesky(input) -> (L, info)",
      "L, and from 1 the first leading part that is not positive definite, or 0. Not recorded.")

}  // namespace
}  // namespace eg
