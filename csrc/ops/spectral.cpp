// Eigenvalues, singular values and least squares of batches of matrices on the host. Gradients: eagergrad/linalg.
#include <cmath>

#include "kernels/factor.h"
#include "kernels/lapack.h"
#include "kernels/qr.h"
#include "kernels/small.h"
#include "kernels/symmetric.h"
#include "ops/matrices.h"
#include "ops/registry.h"

namespace eg {
namespace {

// Calls f(begin, end) over parts of the matrices, in which one object of LAPACK's serves them all.
template <class F>
void for_parts(const Matrices& m, F&& f) {
  const double work =
      10.0 * double(m.rows) * double(m.columns) * double(std::min(m.rows, m.columns));
  const Unlocked unlocked(work * double(m.count));
  parallel_for(m.count, int64_t(double(kParallelGrain) / (work + 1)) + 1, f);
}

// Rows of matrices whose vectors our own kernel finds.
constexpr int64_t kLeast = 4, kMost = 64;

std::tuple<Tensor, Tensor, Tensor> eigh(const Tensor& input, bool upper, bool vectors) {
  const Matrices m = squares("linalg.eigh", input);
  const int64_t n = m.rows, size = n * n;
  const Tensor a = contiguous(input), v = empty(input.sizes(), input.dtype());
  const Tensor values = batch_empty(input, {n}), infos = batch_empty(input, {}, DType::Int32);
  int32_t* info = infos.data<int32_t>();
  const bool small = in_lanes(m, 4, vectors || input.dtype() == DType::Float32 ? 16 : INT64_MAX);
  const bool moderate = vectors && n >= kLeast && n <= kMost;
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    const T* from = a.data<T>();
    T *to = v.data<T>(), *w = values.data<T>();
    for_parts(m, [&](int64_t begin, int64_t end) {
      if (small)
        host_kernels<SmallKernels>().eigh[sizeof(T) == 8](
            from + begin * size, end - begin, n, upper, w + begin * n,
            vectors ? to + begin * size : nullptr, info + begin);
      std::optional<SymmetricEigen<T>> eigen;
      for (int64_t i = begin; i < end; ++i) {
        if (small && !info[i]) continue;
        const auto copy = [&] { std::copy(from + i * size, from + (i + 1) * size, to + i * size); };
        copy();
        info[i] = 0;
        if (moderate && host_kernels<SymmetricKernels>().eigen[sizeof(T) == 8](
                            to + i * size, n, upper, vectors, w + i * n))
          continue;
        // Symmetric: rows are as good as columns, with the other triangle.
        if (!eigen) eigen.emplace(n, vectors, !upper);
        if (moderate) copy();
        info[i] = (*eigen)(to + i * size, w + i * n);
      }
    });
  });
  return {values, vectors ? transpose(v, -2, -1) : nothing(input), infos};
}

// In lanes, with U's columns (or rows, if it is wide) and Vt's rows (or columns) one after the other.
template <class T>
void svd_in_lanes(const T* a, const Matrices& m, int64_t mu, int64_t nv, T* u, T* s, T* vt,
                  int32_t* info) {
  const auto svd = host_kernels<SmallKernels>().svd[sizeof(T) == 8];
  const bool wide = m.rows < m.columns;
  const int64_t most = std::max(m.rows, m.columns), k = std::min(m.rows, m.columns);
  for_parts(m, [&](int64_t begin, int64_t end) {
    T* left = u ? u + begin * m.rows * mu : nullptr;
    T* right = vt ? vt + begin * m.columns * nv : nullptr;
    svd(a + begin * most * k, end - begin, most, k, wide, wide ? right : left, wide ? nv : mu,
        s + begin * k, wide ? left : right, info + begin);
  });
}

std::tuple<Tensor, Tensor, Tensor, Tensor> svd(const Tensor& input, bool full, bool vectors) {
  const Matrices m = matrices("linalg.svd", input);
  const int64_t k = std::min(m.rows, m.columns), size = m.rows * m.columns;
  const int64_t mu = full ? m.rows : k, nv = full ? m.columns : k;
  const bool small = in_lanes(m, 4, vectors || input.dtype() == DType::Float32 ? 16 : INT64_MAX);
  const Tensor s = batch_empty(input, {k}), infos = batch_empty(input, {}, DType::Int32);
  const Tensor u = vectors ? batch_empty(input, {mu, m.rows}) : nothing(input);
  Tensor vt = vectors ? batch_empty(input, {m.columns, nv}) : nothing(input);
  int32_t* info = infos.data<int32_t>();
  bool all = true;
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    if (small) {
      const Tensor a = contiguous(input);
      const Tensor rows = vectors ? batch_empty(input, {nv, m.columns}) : nothing(input);
      svd_in_lanes<T>(a.data<T>(), m, mu, nv, vectors ? u.data<T>() : nullptr, s.data<T>(),
                      vectors ? rows.data<T>() : nullptr, info);
      if (vectors) vt = columns_of(rows);
      all = std::any_of(info, info + m.count, [](int32_t i) { return i != 0; });
    }
    if (!all) return;
    const Tensor a = columns_of(input);
    const SingularVectors which = !vectors ? SingularVectors::None
                                  : full   ? SingularVectors::All
                                           : SingularVectors::Some;
    for_parts(m, [&](int64_t begin, int64_t end) {
      SingularValues<T> values(m.rows, m.columns, which);
      for (int64_t i = begin; i < end; ++i)
        if (!small || info[i])
          info[i] = values(a.data<T>() + i * size, s.data<T>() + i * k,
                           vectors ? u.data<T>() + i * mu * m.rows : nullptr,
                           vectors ? vt.data<T>() + i * nv * m.columns : nullptr);
    });
    if (k == 0 && vectors) {  // LAPACK returns at once
      fill_unit<T>(u);
      fill_unit<T>(vt);
    }
  });
  if (!vectors) return {u, s, vt, infos};
  return {transpose(u, -2, -1), s, transpose(vt, -2, -1), infos};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> eig(const Tensor& input, bool vectors) {
  const Matrices m = squares("linalg.eig", input);
  const int64_t n = m.rows;
  const Tensor a = columns_of(input), real = batch_empty(input, {n});
  const Tensor imaginary = batch_empty(input, {n}), info = batch_empty(input, {}, DType::Int32);
  const Tensor v = vectors ? batch_empty(input, {n, n}) : nothing(input);
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    for_parts(m, [&](int64_t begin, int64_t end) {
      GeneralEigen<T> eigen(n, vectors);
      for (int64_t i = begin; i < end; ++i)
        info.data<int32_t>()[i] =
            eigen(a.data<T>() + i * n * n, real.data<T>() + i * n, imaginary.data<T>() + i * n,
                  vectors ? v.data<T>() + i * n * n : nullptr);
    });
  });
  return {real, imaginary, vectors ? transpose(v, -2, -1) : v, info};
}

// Least squares by QR without pivots, of tall matrices a (m x n, column by column) of which R's condition shows that they have full
// rank, whichever way that is found out: LAPACK's drivers look for it column by column.
template <class T>
class FullRankSolver {
 public:
  FullRankSolver(int64_t m, int64_t n, int64_t columns, double rcond)
      : m_(m), n_(n), columns_(columns), rcond_(rcond) {
    const int64_t size = m * n + n + m * columns + 2 * n * n + n * columns;
    if (m >= n && n > 0) memory_.take(size);
  }

  // False if it may not have. The solutions come in the first n of b's m rows.
  bool operator()(const T* a, T* b) {
    if (m_ < n_ || n_ == 0) return false;
    T *q = memory_.data(), *tau = q + m_ * n_, *c = tau + n_;
    T *r = c + m_ * columns_, *inverse = r + n_ * n_, *x = inverse + n_ * n_;
    const QrKernels& reflections = host_kernels<QrKernels>();
    const auto solve = host_kernels<FactorKernels>().solve_triangle[kDouble];
    std::copy(a, a + m_ * n_, q);
    reflections.factor[kDouble](q, m_, n_, m_, tau);
    for (int64_t i = 0; i < n_; ++i)
      for (int64_t j = 0; j < n_; ++j) {
        r[i * n_ + j] = j < i ? T(0) : q[j * m_ + i];
        inverse[i * n_ + j] = T(i == j);
      }
    solve(r, n_, n_, true, false, inverse, n_, n_);
    // The product of the norms is the condition at the least, and infinite or NaN where it should be.
    if (!(rcond_ * norm(r) * norm(inverse) < 0.5)) return false;
    std::copy(b, b + m_ * columns_, c);
    reflections.apply[kDouble](q, m_, n_, m_, tau, true, c, columns_, m_);
    for (int64_t i = 0; i < n_; ++i)
      for (int64_t j = 0; j < columns_; ++j) x[i * columns_ + j] = c[j * m_ + i];
    solve(r, n_, n_, true, false, x, columns_, columns_);
    for (int64_t i = 0; i < n_; ++i)
      for (int64_t j = 0; j < columns_; ++j) b[j * m_ + i] = x[i * columns_ + j];
    return true;
  }

 private:
  static constexpr bool kDouble = sizeof(T) == 8;
  double norm(const T* x) const {
    double sum = 0;
    for (int64_t i = 0; i < n_ * n_; ++i) sum += double(x[i]) * double(x[i]);
    return std::sqrt(sum);
  }

  int64_t m_, n_, columns_;
  double rcond_;
  Workspace<T> memory_;
};

std::tuple<Tensor, Tensor, Tensor, Tensor> lstsq(const Tensor& a, const Tensor& b, double rcond,
                                                 int64_t driver) {
  const Matrices m = matrices("linalg.lstsq", a), r = matrices("linalg.lstsq", b);
  bool fits = a.dim() == b.dim() && r.rows == m.rows && a.dtype() == b.dtype();
  for (int64_t d = 0; fits && d < a.dim() - 2; ++d) fits = a.size(d) == b.size(d);
  EG_CHECK(fits, "[linalg.lstsq] matrices of shapes ", a.sizes(), " and ", b.sizes(), ", ",
           a.dtype(), " and ", b.dtype(), ", do not fit");
  EG_CHECK(driver >= 0 && driver < 4, "[linalg.lstsq] there is no driver ", driver);
  const int64_t k = std::min(m.rows, m.columns), most = std::max(m.rows, m.columns);
  const bool with_values =
      LeastSquares(driver) == LeastSquares::Gelsd || LeastSquares(driver) == LeastSquares::Gelss;
  const Tensor left = columns_of(a),
               x = zeros(batch_empty(a, {r.columns, most}).sizes(), a.dtype());
  copy_into(narrow(x, -1, 0, m.rows), transpose(b, -2, -1));
  const Tensor s = batch_empty(a, {k}), rank = batch_empty(a, {}, DType::Int32);
  const Tensor info = batch_empty(a, {}, DType::Int32);
  with_type(a, [&](auto zero) {
    using T = decltype(zero);
    for_parts(m, [&](int64_t begin, int64_t end) {
      std::optional<LeastSquaresSolver<T>> solver;
      FullRankSolver<T> quick(m.rows, m.columns, r.columns, rcond);
      for (int64_t i = begin; i < end; ++i) {
        T *matrix = left.data<T>() + i * m.rows * m.columns,
          *y = x.data<T>() + i * most * r.columns;
        int32_t *found = rank.data<int32_t>() + i, *problem = info.data<int32_t>() + i;
        if (!with_values && quick(matrix, y)) {
          *found = int32_t(m.columns), *problem = 0;
          continue;
        }
        if (!solver) solver.emplace(LeastSquares(driver), m.rows, m.columns, r.columns, rcond);
        *problem = (*solver)(matrix, y, s.data<T>() + i * k, found);
      }
    });
  });
  return {transpose(x, -2, -1), s, rank, info};
}

std::tuple<Tensor, Tensor, Tensor> factor_ldl(const Tensor& input) {
  const Matrices m = squares("linalg.ldl_factor", input);
  const int64_t n = m.rows;
  const Tensor a = columns_of(input), pivots = batch_empty(input, {n}, DType::Int32);
  const Tensor info = batch_empty(input, {}, DType::Int32);
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    for_parts(m, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* factors = a.data<T>() + i * n * n;
        info.data<int32_t>()[i] = ldl_factor(factors, n, pivots.data<int32_t>() + i * n);
        for (int64_t j = 1; j < n; ++j) std::fill(factors + j * n, factors + j * (n + 1), T(0));
      }
    });
  });
  return {transpose(a, -2, -1), pivots, info};
}

// LAPACK trusts them.
void check_ldl_pivots(const int32_t* p, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    bool fits = p[i] != 0 && p[i] >= -n && p[i] <= n;
    if (fits && p[i] < 0) {
      ++i;
      fits = i < n && p[i] < 0 && p[i] >= -n;
    }
    EG_CHECK(fits, "[linalg.ldl_solve] expected pivots from 1 to ", n,
             ", negative in pairs, as ldl_factor returns them");
  }
}

Tensor solve_ldl(const Tensor& input, const Tensor& pivots, const Tensor& b) {
  const Matrices m = squares("linalg.ldl_solve", input), r = matrices("linalg.ldl_solve", b);
  const int64_t n = m.rows;
  bool fits = b.dim() == input.dim() && pivots.dim() == input.dim() - 1 && r.rows == n &&
              b.dtype() == input.dtype();
  for (int64_t d = 0; fits && d < input.dim() - 1; ++d)
    fits = b.size(d) == input.size(d) && pivots.size(d) == input.size(d);
  EG_CHECK(fits, "[linalg.ldl_solve] factors of shape ", input.sizes(), ", pivots of shape ",
           pivots.sizes(), " and right sides of shape ", b.sizes(), " do not fit");
  EG_CHECK(pivots.dtype() == DType::Int32 && pivots.device() == Device{},
           "[linalg.ldl_solve] expected pivots of dtype int32 on the CPU, got ", pivots.dtype());
  const Tensor factors = columns_of(input), x = columns_of(b), exchanges = contiguous(pivots);
  const int32_t* p = exchanges.data<int32_t>();
  for (int64_t i = 0; i < m.count; ++i) check_ldl_pivots(p + i * n, n);
  with_type(input, [&](auto zero) {
    using T = decltype(zero);
    for_parts(m, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        ldl_solve(factors.data<T>() + i * n * n, n, p + i * n, x.data<T>() + i * n * r.columns,
                  r.columns);
    });
  });
  return transpose(x, -2, -1);
}

// Where the first number other than 0 is; -1: nowhere.
int64_t first_nonzero(const Tensor& info) {
  EG_CHECK(info.dtype() == DType::Int32 && info.device() == Device{} && info.is_contiguous(),
           "[linalg] expected a contiguous tensor of int32 on the CPU");
  const int32_t* p = info.data<int32_t>();
  for (int64_t i = 0; i < info.numel(); ++i)
    if (p[i]) return i;
  return -1;
}

EG_OP(&eigh, "_eigh(input, upper, vectors) -> (eigenvalues, eigenvectors, info)",
      "Of symmetric matrices, by one triangle; no eigenvectors unless asked for. Not recorded.")
EG_OP(&svd, "_svd(input, full, vectors) -> (U, S, Vh, info)",
      "Singular values, and vectors if asked for. Not recorded.")
EG_OP(&eig, "_eig(input, vectors) -> (real, imaginary, eigenvectors, info)",
      "Eigenvalues, and vectors if asked for as LAPACK packs them. Not recorded.")
EG_OP(&lstsq, "_lstsq(A, B, rcond, driver) -> (X, singular_values, rank, info)",
      "Least squares by LAPACK's gels, gelsd, gelss or gelsy (0 to 3); max(m, n) rows of X. Not "
      "recorded.")
EG_OP(&factor_ldl, "_ldl_factor(input) -> (LD, pivots, info)",
      "L D L^T of symmetric matrices by their lower triangle. Not recorded.")
EG_OP(&solve_ldl, "_ldl_solve(LD, pivots, B)",
      "The X of A X = B for the A that was factored. Not recorded.")
EG_OP(&first_nonzero, "_first_nonzero(input)", "The place of the first number other than 0, or -1.")

}  // namespace
}  // namespace eg
