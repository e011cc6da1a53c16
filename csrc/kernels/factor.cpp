// Matrices are cut into halves whose parts meet in products, which do nearly all of the work; blocks of kBlock are left to
// plain loops. LU so: S. Toledo, "Locality of reference in LU decomposition with partial pivoting" (1997).
#include "kernels/factor.h"

#include <math.h>

#include "core/parallel.h"
#include "kernels/gemm.h"
#include "kernels/integers.h"
#include "kernels/panel.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

constexpr int64_t kBlock = 16;

EG_INLINE int64_t half_of(int64_t n) { return round_up(n / 2, kBlock); }

// A matrix in memory; parts of it.
template <class T>
struct Part {
  T* at;
  int64_t ld;
  EG_INLINE T* row(int64_t i) const { return at + i * ld; }
  EG_INLINE Part from(int64_t i, int64_t j) const { return {at + i * ld + j, ld}; }
};

// c (m x n) += a (m x k) by b, or by the transpose of b.
template <class T>
void add_product(Part<T> c, int64_t m, int64_t n, int64_t k, Part<T> a, Part<T> b, bool trans_b) {
  gemm(Gemm<T>{false, trans_b, true, m, n, k, a.at, a.ld, b.at, b.ld, c.at, c.ld}, !in_parallel());
}

// The negative of a part, packed.
template <class T>
class Negative {
 public:
  Negative(Part<T> a, int64_t rows, int64_t columns) : columns_(columns), data_(rows * columns) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) data_.data()[i * columns + j] = -a.row(i)[j];
  }
  Part<T> part() { return {data_.data(), columns_}; }

 private:
  int64_t columns_;
  Scratch<T> data_;
};

template <class T>
void subtract_product(Part<T> c, int64_t m, int64_t n, int64_t k, Part<T> a, Part<T> b,
                      bool trans_b = false) {
  Negative<T> negative(a, m, k);
  add_product(c, m, n, k, negative.part(), b, trans_b);
}

// ---- triangles -----------------------------------------------------------------------------------------------------------

// Of `columns` columns of b, which stay in registers row by row.
template <class T, bool Upper, int Vectors>
EG_INLINE void solve_strip(Part<const T> t, int64_t n, bool unit, T* b, int64_t ldb) {
  constexpr int L = kLanes<T>;
  for (int64_t s = 0; s < n; ++s) {
    const int64_t i = Upper ? n - 1 - s : s;
    const T* row = t.row(i);
    Vec<T> x[Vectors];
    for (int v = 0; v < Vectors; ++v) x[v] = load(b + i * ldb + v * L);
    for (int64_t k = Upper ? i + 1 : 0; k < (Upper ? n : i); ++k)
      for (int v = 0; v < Vectors; ++v) x[v] -= row[k] * load(b + k * ldb + v * L);
    for (int v = 0; v < Vectors; ++v) store(b + i * ldb + v * L, unit ? x[v] : x[v] / row[i]);
  }
}

template <class T, bool Upper>
void solve_block(Part<const T> t, int64_t n, bool unit, Part<T> b, int64_t columns) {
  constexpr int64_t L = kLanes<T>;
  int64_t j = 0;
  for (; j + 4 * L <= columns; j += 4 * L) solve_strip<T, Upper, 4>(t, n, unit, b.at + j, b.ld);
  for (; j + L <= columns; j += L) solve_strip<T, Upper, 1>(t, n, unit, b.at + j, b.ld);
  if (j == columns) return;
  T strip[kBlock * L];
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < L; ++c) strip[i * L + c] = j + c < columns ? b.row(i)[j + c] : T(0);
  solve_strip<T, Upper, 1>(t, n, unit, strip, L);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; j + c < columns; ++c) b.row(i)[j + c] = strip[i * L + c];
}

template <class T, bool Upper>
void solve(Part<const T> t, int64_t n, bool unit, Part<T> b, int64_t columns) {
  if (n <= kBlock) return solve_block<T, Upper>(t, n, unit, b, columns);
  const int64_t h = half_of(n);
  const auto part = [&](int64_t i, int64_t j) {
    return Part<T>{const_cast<T*>(t.from(i, j).at), t.ld};
  };
  if (Upper) {
    solve<T, true>(t.from(h, h), n - h, unit, b.from(h, 0), columns);
    subtract_product(b, h, columns, n - h, part(0, h), b.from(h, 0));
    solve<T, true>(t, h, unit, b, columns);
  } else {
    solve<T, false>(t, h, unit, b, columns);
    subtract_product(b.from(h, 0), n - h, columns, h, part(h, 0), b);
    solve<T, false>(t.from(h, h), n - h, unit, b.from(h, 0), columns);
  }
}

template <class T>
void solve_triangle(const void* t, int64_t n, int64_t ldt, bool upper, bool unit, void* b,
                    int64_t columns, int64_t ldb) {
  const Part<const T> triangle{static_cast<const T*>(t), ldt};
  const Part<T> right{static_cast<T*>(b), ldb};
  if (upper)
    solve<T, true>(triangle, n, unit, right, columns);
  else
    solve<T, false>(triangle, n, unit, right, columns);
}

// ---- LU ------------------------------------------------------------------------------------------------------------------

template <class T>
void exchange(Part<T> b, int64_t columns, const int32_t* pivots, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (pivots[i] == i) continue;
    T *x = b.row(i), *y = b.row(pivots[i]);
    for (int64_t j = 0; j < columns; ++j) {
      const T v = x[j];
      x[j] = y[j];
      y[j] = v;
    }
  }
}
template <class T>
void exchange_rows(void* b, int64_t columns, int64_t ldb, const int32_t* pivots, int64_t n) {
  exchange(Part<T>{static_cast<T*>(b), ldb}, columns, pivots, n);
}

// From `first` on, the largest by magnitude: the first of them, NaN left out.
template <class T>
int64_t pivot_of(const T* x, int64_t first, int64_t m) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> most{};
  int64_t i = first;
  for (; i + L <= m; i += L) {
    const Vec<T> v = load(x + i), size = v < 0 ? -v : v;
    most = size > most ? size : most;
  }
  T largest = 0;
  for (int64_t l = 0; l < L; ++l) largest = most[l] > largest ? most[l] : largest;
  for (; i < m; ++i) largest = fabs(x[i]) > largest ? T(fabs(x[i])) : largest;
  for (i = first; i < m; ++i)
    if (fabs(x[i]) == largest) return i;
  return first;
}

// Of n columns, each of which lies contiguously.
template <class T>
int64_t lu_by_columns(T* a, int64_t ld, int64_t m, int64_t n, int32_t* pivots) {
  int64_t info = 0;
  for (int64_t j = 0; j < min64(m, n); ++j) {
    T* const column = a + j * ld;
    const int64_t p = pivot_of(column, j, m);
    pivots[j] = int32_t(p);
    if (column[p] == 0) {
      if (!info) info = j + 1;
      continue;
    }
    for (int64_t c = 0; p != j && c < n; ++c) {
      const T v = a[c * ld + j];
      a[c * ld + j] = a[c * ld + p];
      a[c * ld + p] = v;
    }
    const T d = column[j];
    for (int64_t i = j + 1; i < m; ++i) column[i] /= d;
    for (int64_t c = j + 1; c < n; ++c) {
      T* const other = a + c * ld;
      const T f = other[j];
#pragma GCC ivdep
      for (int64_t i = j + 1; i < m; ++i) other[i] -= f * column[i];
    }
  }
  return info;
}

// At most kBlock columns, turned for the time being.
template <class T>
int64_t lu_panel(Part<T> a, int64_t m, int64_t n, int32_t* pivots) {
  constexpr int64_t L = kLanes<T>;
  const int64_t ld = round_up(m, L);
  Scratch<T> turned(kBlock * ld);
  int64_t whole = n == kBlock ? m / L * L : 0;
  for (int64_t i = 0; i < whole; i += L)
    for (int64_t c = 0; c < n; c += L)
      transpose_square(a.row(i) + c, a.ld, turned.data() + c * ld + i, ld);
  for (int64_t i = whole; i < m; ++i)
    for (int64_t c = 0; c < n; ++c) turned.data()[c * ld + i] = a.row(i)[c];
  const int64_t info = lu_by_columns(turned.data(), ld, m, n, pivots);
  for (int64_t i = 0; i < whole; i += L)
    for (int64_t c = 0; c < n; c += L)
      transpose_square(turned.data() + c * ld + i, ld, a.row(i) + c, a.ld);
  for (int64_t i = whole; i < m; ++i)
    for (int64_t c = 0; c < n; ++c) a.row(i)[c] = turned.data()[c * ld + i];
  return info;
}

template <class T>
int64_t lu_of(Part<T> a, int64_t m, int64_t n, int32_t* pivots) {
  const int64_t k = min64(m, n);
  if (n <= kBlock) return lu_panel(a, m, n, pivots);
  const int64_t h = k <= kBlock ? k : half_of(k);
  const int64_t info = lu_of(a, m, h, pivots);
  const Part<T> right = a.from(0, h), rest = a.from(h, h);
  exchange(right, n - h, pivots, h);
  solve<T, false>({a.at, a.ld}, h, true, right, n - h);
  if (m == h) return info;
  subtract_product(rest, m - h, n - h, h, a.from(h, 0), right);
  const int64_t later = lu_of(rest, m - h, n - h, pivots + h);
  exchange(a.from(h, 0), h, pivots + h, k - h);
  for (int64_t i = h; i < k; ++i) pivots[i] += int32_t(h);
  return info ? info : later ? later + h : 0;
}
template <class T>
int64_t lu(void* a, int64_t m, int64_t n, int64_t lda, int32_t* pivots) {
  return lu_of(Part<T>{static_cast<T*>(a), lda}, m, n, pivots);
}

// ---- Cholesky ------------------------------------------------------------------------------------------------------------

template <class T>
EG_INLINE T short_dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

template <class T>
int64_t cholesky_block(Part<T> a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    T* row = a.row(j);
    const T square = row[j] - short_dot(row, row, j);
    if (!(square > 0)) return j + 1;
    row[j] = T(sqrt(square));
    for (int64_t i = j + 1; i < n; ++i)
      a.row(i)[j] = (a.row(i)[j] - short_dot(a.row(i), row, j)) / row[j];
  }
  return 0;
}

// x (m x n) by the inverse of the transpose of l, a lower triangle. Blocks are turned, so that vectors hold columns of x.
template <class T>
void solve_right(Part<T> l, int64_t n, Part<T> x, int64_t m) {
  if (n > kBlock) {
    const int64_t h = half_of(n);
    solve_right(l, h, x, m);
    subtract_product(x.from(0, h), m, n - h, h, x, l.from(h, 0), true);
    return solve_right(l.from(h, h), n - h, x.from(0, h), m);
  }
  constexpr int64_t kRows = 32;
  T turned[kBlock * kRows];
  for (int64_t first = 0; first < m; first += kRows) {
    const int64_t rows = min64(kRows, m - first);
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t j = 0; j < n; ++j) turned[j * kRows + r] = r < rows ? x.row(first + r)[j] : T(0);
    solve_strip<T, false, kRows / kLanes<T>>({l.at, l.ld}, n, false, turned, kRows);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < n; ++j) x.row(first + r)[j] = turned[j * kRows + r];
  }
}

// The lower triangle of c (n x n) += a (n x k) by the transpose of b; more is written.
template <class T>
void add_square(Part<T> c, int64_t n, int64_t k, Part<T> a, Part<T> b) {
  constexpr int64_t kWhole = 128;
  if (n <= kWhole) return add_product(c, n, n, k, a, b, true);
  const int64_t h = half_of(n);
  add_square(c, h, k, a, b);
  add_product(c.from(h, 0), n - h, h, k, a.from(h, 0), b, true);
  add_square(c.from(h, h), n - h, k, a.from(h, 0), b.from(h, 0));
}

template <class T>
int64_t cholesky_of(Part<T> a, int64_t n) {
  if (n <= kBlock) return cholesky_block(a, n);
  const int64_t h = half_of(n);
  if (const int64_t info = cholesky_of(a, h)) return info;
  const Part<T> below = a.from(h, 0);
  solve_right(a, h, below, n - h);
  Negative<T> negative(below, n - h, h);
  add_square(a.from(h, h), n - h, h, negative.part(), below);
  const int64_t later = cholesky_of(a.from(h, h), n - h);
  return later ? later + h : 0;
}
template <class T>
int64_t cholesky(void* a, int64_t n, int64_t lda) {
  return cholesky_of(Part<T>{static_cast<T*>(a), lda}, n);
}

}  // namespace

EG_KERNELS(FactorKernels, {{&lu<float>, &lu<double>},
                           {&cholesky<float>, &cholesky<double>},
                           {&solve_triangle<float>, &solve_triangle<double>},
                           {&exchange_rows<float>, &exchange_rows<double>}})

}  // namespace eg
