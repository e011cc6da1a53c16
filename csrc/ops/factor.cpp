// Factorisations and solves of batches of matrices on the host. Gradients: eagergrad/linalg.
#include "kernels/factor.h"

#include <cmath>

#include "kernels/small.h"
#include "ops/linalg.h"
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

bool eliminated_in_lanes(const Matrices& m) { return m.rows == m.columns && in_lanes(m, 2, 8); }

}  // namespace

namespace host {

std::tuple<Tensor, Tensor, Tensor> lu_factor(const Tensor& input) {
  const Matrices m = matrices("linalg.lu_factor", input);
  const int64_t n = std::min(m.rows, m.columns), t = float_index(input.dtype());
  const Tensor info = batch_empty(input, {}, DType::Int32);
  const Tensor pivots = batch_empty(input, {n}, DType::Int32);
  int32_t *p = pivots.data<int32_t>(), *problem = info.data<int32_t>();
  const bool small = eliminated_in_lanes(m);
  const Tensor lu = small ? contiguous(input) : copy_of(input);
  const Tensor result = small ? empty(input.sizes(), input.dtype()) : Tensor();
  if (small)
    for_lanes(m, [&](int64_t begin, int64_t end) {
      host_kernels<SmallKernels>().lu[t](lu.raw() + begin * m.bytes, end - begin, n,
                                         result.raw() + begin * m.bytes, p + begin * n,
                                         problem + begin);
    });
  else
    for_each_matrix(m, m.rows, [&](int64_t i) {
      problem[i] = int32_t(host_kernels<FactorKernels>().lu[t](lu.raw() + i * m.bytes, m.rows,
                                                               m.columns, m.columns, p + i * n));
    });
  for (int64_t i = 0; i < m.count * n; ++i) ++p[i];
  return {small ? transpose(result, -2, -1) : by_columns(lu), pivots, info};
}

}  // namespace host

namespace {

template <class T>
void determinant(const T* lu, int64_t step, int64_t n, const int32_t* pivots, bool logarithm,
                 T* sign, T* logabs, T* det) {
  bool negative = false;
  double sum = 0;
  T product = 1;
  for (int64_t i = 0; i < n; ++i) {
    const T d = lu[i * step];
    const bool exchanged = pivots[i] != i + 1;
    negative ^= exchanged ^ (d < 0);
    if (logarithm) sum += std::log(std::fabs(double(d)));
    product *= exchanged ? -d : d;
  }
  const bool zero = std::isinf(sum) && sum < 0;
  *sign = std::isnan(sum) ? T(sum) : T(zero ? 0 : negative ? -1 : 1);
  *logabs = T(sum);
  *det = product;
}

// Not what it is called if there is no logarithm.
std::tuple<Tensor, Tensor, Tensor> slogdet(const Tensor& input, bool logarithm) {
  const Matrices m = squares("linalg.slogdet", input);
  const auto [lu, pivots, info] = host::lu_factor(input);
  const Tensor sign = batch_empty(input, {}), logabs = batch_empty(input, {});
  const Tensor det = batch_empty(input, {});
  const int64_t n = m.rows;
  with_type(input, [&, lu = lu, pivots = pivots](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < m.count; ++i)
      determinant<T>(lu.template data<T>() + i * n * n, n + 1, n,
                     pivots.template data<int32_t>() + i * n, logarithm, sign.data<T>() + i,
                     logabs.data<T>() + i, det.data<T>() + i);
  });
  return {sign, logabs, det};
}

// Calls f(b, order) with what each batch element's row exchanges, numbered from 1, make of the numbers 0 to n - 1.
template <class F>
void for_orders(const Tensor& pivots, int64_t n, F&& f) {
  EG_CHECK(pivots.dtype() == DType::Int32 && pivots.dim() >= 1 && pivots.device() == Device{},
           "[linalg.lu] expected pivots of dtype int32, at least 1-D, on the CPU; got ",
           pivots.dtype(), " of shape ", pivots.sizes());
  const int64_t k = pivots.size(-1);
  EG_CHECK(n >= k && n <= INT32_MAX, "[linalg.lu] ", k, " pivots do not fit ", n, " rows");
  const Tensor exchanges = contiguous(pivots);
  const int32_t* p = exchanges.data<int32_t>();
  int64_t count = 1;
  for (int64_t d = 0; d < pivots.dim() - 1; ++d) count *= pivots.size(d);
  std::vector<int64_t> order(n);
  for (int64_t b = 0; b < count; ++b, p += k) {
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    for (int64_t i = 0; i < k; ++i) {
      EG_CHECK(p[i] >= 1 && p[i] <= n, "[linalg.lu] pivot ", p[i],
               " is out of range: expected 1 to ", n);
      std::swap(order[i], order[p[i] - 1]);
    }
    f(b, order);
  }
}

Tensor lu_order(const Tensor& pivots, int64_t n) {
  Dims sizes = pivots.sizes();
  if (!sizes.empty()) sizes.back() = n;
  const Tensor result = empty(sizes, DType::Int64);
  for_orders(pivots, n, [&](int64_t b, const std::vector<int64_t>& order) {
    std::copy(order.begin(), order.end(), result.data<int64_t>() + b * n);
  });
  return result;
}

Tensor lu_permutation(const Tensor& pivots, int64_t n, DType dtype) {
  Dims sizes = pivots.sizes();
  if (!sizes.empty()) sizes.back() = n;
  sizes.push_back(n);
  const Tensor result = zeros(sizes, dtype);
  EG_CHECK(dtype == DType::Float32 || dtype == DType::Float64,
           "[linalg.lu] expected float32 or float64, got ", dtype);
  with_type(result, [&](auto zero) {
    using T = decltype(zero);
    for_orders(pivots, n, [&](int64_t b, const std::vector<int64_t>& order) {
      for (int64_t i = 0; i < n; ++i) result.data<T>()[(b * n + order[i]) * n + i] = T(1);
    });
  });
  return result;
}

std::tuple<Tensor, Tensor> lu_triangles(const Tensor& input) {
  const Matrices m = matrices("linalg.lu", input);
  const int64_t k = std::min(m.rows, m.columns);
  const Tensor l = batch_empty(input, {m.rows, k}), u = batch_empty(input, {k, m.columns});
  const Tensor lu = contiguous(input);
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    const T* from = lu.data<T>();
    T *lower = l.data<T>(), *upper = u.data<T>();
    for (int64_t b = 0; b < m.count; ++b) {
      for (int64_t i = 0; i < m.rows; ++i, from += m.columns, lower += k) {
        const int64_t below = std::min(i, k);
        std::copy(from, from + below, lower);
        for (int64_t j = below; j < k; ++j) lower[j] = T(i == j);
        if (i >= k) continue;
        std::fill(upper, upper + i, T(0));
        std::copy(from + i, from + m.columns, upper + i);
        upper += m.columns;
      }
    }
  });
  return {l, u};
}

Tensor matrix_exp(const Tensor& input) {
  const Matrices m = squares("linalg.matrix_exp", input);
  EG_CHECK(m.rows > 0 && m.rows <= kSmall, "[linalg.matrix_exp] expected from 1 to ", kSmall,
           " rows, got ", m.rows);
  const Tensor a = contiguous(input), result = empty(input.sizes(), input.dtype());
  for_lanes(m, [&](int64_t begin, int64_t end) {
    host_kernels<SmallKernels>().exponential[float_index(a.dtype())](
        a.raw() + begin * m.bytes, end - begin, m.rows, result.raw() + begin * m.bytes);
  });
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

EG_OP(&slogdet, "_slogdet(input, logarithm) -> (sign, logabsdet, det)",
      "Determinants, and their signs and logarithms if asked for. Not recorded.")
EG_OP(&lu_order, "_lu_order(pivots, n)", "Where each of n rows came from. Not recorded.")
EG_OP(&lu_permutation, "_lu_permutation(pivots, n, dtype)",
      "The P of A = P L U for n rows. Not recorded.")
EG_OP(&lu_triangles, "_lu_triangles(input) -> (L, U)", "What lu_factor packs. Not recorded.")
EG_OP(&matrix_exp, "_matrix_exp(input)", "Of small matrices. Not recorded.")

}  // namespace

namespace host {

Tensor lu_inverse_order(const Tensor& pivots, int64_t n) {
  const DeviceScope on_host(Device{});  // a gradient on another device asks too
  const Tensor from = lu_order(pivots, n), result = empty(from.sizes(), DType::Int64);
  const int64_t* order = from.data<int64_t>();
  int64_t* to = result.data<int64_t>();
  for (int64_t i = 0; i < from.numel(); ++i) to[i / n * n + order[i]] = i % n;
  return result;
}

// Without b, the inverse.
std::tuple<Tensor, Tensor> solve(const Tensor& a, const std::optional<Tensor>& b) {
  const Matrices m = squares("linalg.solve", a);
  const Matrices r = b ? right_sides("linalg.solve", a, *b) : m;
  const int64_t n = m.rows, t = float_index(a.dtype());
  const Tensor info = batch_empty(a, {}, DType::Int32);
  int32_t* problem = info.data<int32_t>();
  if (eliminated_in_lanes(m)) {
    const Tensor matrix = contiguous(a), right = b ? contiguous(*b) : matrix;
    const Tensor x = batch_empty(a, {r.columns, n});
    for_lanes(m, [&](int64_t begin, int64_t end) {
      host_kernels<SmallKernels>().solve[t](matrix.raw() + begin * m.bytes, end - begin, n,
                                            b ? right.raw() + begin * r.bytes : nullptr, r.columns,
                                            x.raw() + begin * r.bytes, problem + begin);
    });
    return {transpose(x, -2, -1), info};
  }
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor lu = copy_of(a), x = b ? copy_of(*b) : empty(a.sizes(), a.dtype());
  if (!b) with_type(a, [&](auto zero) { fill_unit<decltype(zero)>(x); });
  const Tensor pivots = empty({m.count, m.rows}, DType::Int32);
  for_each_matrix(m, n, [&](int64_t i) {
    int32_t* p = pivots.data<int32_t>() + i * n;
    char *f = lu.raw() + i * m.bytes, *y = x.raw() + i * r.bytes;
    problem[i] = int32_t(kernels.lu[t](f, n, n, n, p));
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

std::tuple<Tensor, Tensor> cholesky(const Tensor& input) {
  const Matrices m = squares("linalg.cholesky", input);
  const FactorKernels& kernels = host_kernels<FactorKernels>();
  const Tensor l = copy_of(input), info = batch_empty(input, {}, DType::Int32);
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

}  // namespace host
}  // namespace eg
