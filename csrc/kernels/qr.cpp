// Columns are halved until few are left, which reflect one after the other; what lies to their right is reflected by a whole
// block of them at once, in products. R. Schreiber and C. Van Loan, "A storage-efficient WY representation for products of
// Householder transformations" (1989); E. Elmroth and F. Gustavson, "Applying recursion to serial and parallel QR
// factorization leads to better performance" (2000).
#include "kernels/qr.h"

#include <math.h>

#include "core/gil.h"
#include "core/parallel.h"
#include "kernels/gemm.h"
#include "kernels/integers.h"
#include "kernels/panel.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

constexpr int64_t kFew = 16;    // columns, which reflect one by one
constexpr int64_t kBlock = 64;  // reflections at once

// Columns in memory, each contiguous.
template <class T>
struct Columns {
  T* at;
  int64_t ld;
  EG_INLINE T* operator[](int64_t j) const { return at + j * ld; }
  EG_INLINE Columns from(int64_t i, int64_t j) const { return {at + j * ld + i, ld}; }
};

template <class T>
void add_multiple(T* y, T factor, const T* x, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

template <class T>
T length(const T* x, int64_t n) {
  constexpr T least = sizeof(T) == 4 ? T(1e-30) : T(1e-280), most = 1 / least;
  const T square = dot(x, x, n);
  if (square > least && square < most) return T(sqrt(square));
  T largest = 0, sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T size = T(fabs(x[i]));
    largest = size > largest || size != size ? size : largest;
  }
  for (int64_t i = 0; largest > 0 && i < n; ++i) sum += (x[i] / largest) * (x[i] / largest);
  return largest > 0 ? largest * T(sqrt(sum)) : largest;
}

// Makes a multiple of the first unit vector of x, and x its reflection's vector behind a 1 that is not stored.
template <class T>
T reflection_of(T* x, int64_t n) {
  const T rest = length(x + 1, n - 1);
  if (rest == 0) return 0;
  const T size = T(hypot(x[0], rest)), y = x[0] < 0 ? size : -size;
  const T tau = (y - x[0]) / y, below = x[0] - y;
  for (int64_t i = 1; i < n; ++i) x[i] /= below;
  x[0] = y;
  return tau;
}

// c -= tau v (v' c), v behind a 1 in the place of its first element.
template <class T>
void reflect(const T* v, T tau, int64_t m, Columns<T> c, int64_t columns) {
  for (int64_t j = 0; j < columns; ++j) {
    T* x = c[j];
    const T factor = -tau * (x[0] + dot(v + 1, x + 1, m - 1));
    x[0] += factor;
    add_multiple(x + 1, factor, v + 1, m - 1);
  }
}

// The product of k <= kBlock reflections, 1 - V T V': V's columns, whole, and -T.
template <class T>
class Block {
 public:
  Block(Columns<const T> a, int64_t m, int64_t k, const T* tau)
      : m_(m), k_(k), v_(m * k), t_(k * k) {
    for (int64_t j = 0; j < k; ++j) {
      T* v = v_.data() + j * m;
      for (int64_t i = 0; i < j; ++i) v[i] = 0;
      v[j] = 1;
      for (int64_t i = j + 1; i < m; ++i) v[i] = a[j][i];
    }
    Scratch<T> products(k * k);
    multiply(products.data(), k, k, k, m, v_.data(), m, v_.data(), m, true, false);
    for (int64_t i = 0; i < k; ++i) {
      T *row = t_.data() + i * k, sums[kBlock] = {};
      for (int64_t j = 0; j < i; ++j) row[j] = 0;
      row[i] = -tau[i];
      for (int64_t j = i; j < k; ++j) {
        if (j > i) row[j] = -tau[j] * sums[j];
        add_multiple(sums + j + 1, row[j], products.data() + j * k + j + 1, k - j - 1);
      }
    }
  }

  // c = (1 - V T V') c, or its transpose.
  void apply(bool transposed, Columns<T> c, int64_t columns) {
    if (columns == 0) return;
    Scratch<T> seen(columns * k_), turned(columns * k_);
    multiply(seen.data(), k_, columns, k_, m_, c.at, c.ld, v_.data(), m_, true, false);
    multiply(turned.data(), k_, columns, k_, k_, seen.data(), k_, t_.data(), k_, !transposed,
             false);
    multiply(c.at, c.ld, columns, m_, k_, turned.data(), k_, v_.data(), m_, false, true);
  }

 private:
  static void multiply(T* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda,
                       const T* b, int64_t ldb, bool trans_b, bool add) {
    gemm(Gemm<T>{false, trans_b, add, m, n, k, a, lda, b, ldb, c, ldc}, !in_parallel());
  }

  int64_t m_, k_;
  Scratch<T> v_, t_;
};

void look_for_interrupt() {
  if (poll_interrupt && !in_parallel()) poll_interrupt();
}

template <class T>
void factor_columns(Columns<T> a, int64_t m, int64_t n, T* tau) {
  while (min64(m, n) > kFew) {
    int64_t left = kFew;
    while (2 * left < min64(m, n) && left < kBlock) left *= 2;
    factor_columns(a, m, left, tau);
    Block<T>({a.at, a.ld}, m, left, tau).apply(true, a.from(0, left), n - left);
    look_for_interrupt();
    a = a.from(left, left), m -= left, n -= left, tau += left;
  }
  for (int64_t j = 0; j < min64(m, n); ++j) {
    tau[j] = reflection_of(a[j] + j, m - j);
    reflect(a[j] + j, tau[j], m - j, a.from(j, j + 1), n - j - 1);
  }
}
template <class T>
void factor(void* a, int64_t m, int64_t n, int64_t lda, void* tau) {
  factor_columns(Columns<T>{static_cast<T*>(a), lda}, m, n, static_cast<T*>(tau));
}

// Below and to the right of a unit matrix's first columns, Q has no other elements than its own.
template <class T>
void apply_all(Columns<const T> a, int64_t m, int64_t k, const T* tau, bool transposed,
               Columns<T> c, int64_t columns, bool unit) {
  const int64_t width = k <= kFew ? 1 : k <= 2 * kBlock ? kBlock / 2 : kBlock;
  const int64_t blocks = ceil_div(k, width);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t i = width * (transposed ? b : blocks - 1 - b), first = unit ? i : 0;
    const Columns<T> rest = c.from(i, first);
    if (width == 1) {
      reflect(a[i] + i, tau[i], m - i, rest, columns - first);
    } else {
      Block<T>(a.from(i, i), m - i, min64(width, k - i), tau + i)
          .apply(transposed, rest, columns - first);
      look_for_interrupt();
    }
  }
}
template <class T>
void apply(const void* a, int64_t m, int64_t k, int64_t lda, const void* tau, bool transposed,
           void* c, int64_t columns, int64_t ldc) {
  apply_all(Columns<const T>{static_cast<const T*>(a), lda}, m, k, static_cast<const T*>(tau),
            transposed, Columns<T>{static_cast<T*>(c), ldc}, columns, false);
}
template <class T>
void form(const void* a, int64_t m, int64_t k, int64_t lda, const void* tau, void* c,
          int64_t columns, int64_t ldc) {
  const Columns<T> q{static_cast<T*>(c), ldc};
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < m; ++i) q[j][i] = i == j;
  apply_all(Columns<const T>{static_cast<const T*>(a), lda}, m, k, static_cast<const T*>(tau),
            false, q, columns, true);
}

// ---- symmetric matrices ------------------------------------------------------------------------------------------------

// row -= v w + w' v', n long; the inner product of what that makes with `next`.
template <class T>
T update_row(T* row, T v, const T* w, T other, const T* vs, const T* next, int64_t n) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> sums{};
  int64_t k = 0;
  for (; k + L <= n; k += L) {
    const Vec<T> x = load(row + k) - v * load(w + k) - other * load(vs + k);
    store(row + k, x);
    sums += x * load(next + k);
  }
  T sum = lane_sum<T>(sums);
  for (; k < n; ++k) {
    row[k] -= v * w[k] + other * vs[k];
    sum += row[k] * next[k];
  }
  return sum;
}

// Each row is changed by one reflection in the same pass that multiplies it with the vector of the next.
template <class T>
void tridiagonal(void* matrix, int64_t n, void* diagonal, void* beside, void* factors) {
  const Columns<T> a{static_cast<T*>(matrix), n};  // symmetric: rows
  T *d = static_cast<T*>(diagonal), *e = static_cast<T*>(beside), *tau = static_cast<T*>(factors);
  Scratch<T> memory(4 * n);
  T *v = memory.data(), *w = v + n, *next_v = w + n, *next_w = next_v + n;
  for (int64_t i = 0; i < 4 * n; ++i) v[i] = 0;
  for (int64_t j = 0; j < n; ++j) {
    T* const row = a[j];
    update_row(row + j, v[j], w + j, w[j], v + j, v + j, n - j);
    d[j] = row[j];
    if (j + 1 == n) break;
    const int64_t first = j + 1, rest = n - first;
    const T t = tau[j] = reflection_of(row + first, rest);
    e[j] = row[first];
    next_v[first] = 1;
    for (int64_t i = first + 1; i < n; ++i) next_v[i] = row[i];
    for (int64_t i = first; i < n; ++i)
      next_w[i] =
          t * update_row(a[i] + first, v[i], w + first, w[i], v + first, next_v + first, rest);
    add_multiple(next_w + first, T(-0.5) * t * dot(next_w + first, next_v + first, rest),
                 next_v + first, rest);
    T *const old_v = v, *const old_w = w;
    v = next_v, w = next_w, next_v = old_v, next_w = old_w;
  }
}

}  // namespace

EG_KERNELS(QrKernels, {{&factor<float>, &factor<double>},
                       {&apply<float>, &apply<double>},
                       {&form<float>, &form<double>},
                       {&tridiagonal<float>, &tridiagonal<double>}})

}  // namespace eg
