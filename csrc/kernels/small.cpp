// Rotations: C. Jacobi, "Ueber ein leichtes Verfahren ..." (1846) for symmetric matrices; M. Hestenes, "Inversion of matrices by
// biorthogonalization and related results" (1958) for singular values, whose columns he turns until they are orthogonal.
#include "kernels/small.h"

#include <math.h>

#include "kernels/grain.h"
#include "kernels/integers.h"
#include "kernels/panel.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

// ---- lanes -------------------------------------------------------------------------------------------------------------

// Element e of each of kLanes matrices of `size` elements, of which `count` exist: the last one fills the other lanes.
template <class T>
void gather_lanes(const T* a, int64_t size, int64_t count, Vec<T>* to) {
  constexpr int64_t L = kLanes<T>;
  T* lanes = reinterpret_cast<T*>(to);
  for (int64_t l = 0; l < L; ++l) {
    const T* from = a + min64(l, count - 1) * size;
    for (int64_t e = 0; e < size; ++e) lanes[e * L + l] = from[e];
  }
}
template <class T>
EG_INLINE T lane(const Vec<T>* v, int64_t e, int64_t l) {
  return reinterpret_cast<const T*>(v)[e * kLanes<T> + l];
}
template <class T>
EG_INLINE Vec<T> magnitude(Vec<T> v) {
  return v < 0 ? -v : v;
}
template <class T>
EG_INLINE Vec<T> square_root(Vec<T> v) {
  for (int l = 0; l < kLanes<T>; ++l) v[l] = sizeof(T) == 4 ? T(sqrtf(float(v[l]))) : T(sqrt(v[l]));
  return v;
}
template <class T>
EG_INLINE bool all_zero(Vec<T> v) {
  for (int l = 0; l < kLanes<T>; ++l)
    if (v[l] != 0) return false;
  return true;
}

// n x columns vectors, row by row, to the first `count` lanes' matrices, column by column.
template <class T>
void scatter_columns(const Vec<T>* a, int64_t n, int64_t columns, int64_t count, T* to) {
  for (int64_t l = 0; l < count; ++l)
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < n; ++i) *to++ = lane<T>(a, i * columns + j, l);
}

// Groups of kLanes matrices: f(first, how many).
template <class T, class F>
EG_INLINE void for_groups(int64_t count, F&& f) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < count; i += L) f(i, min64(L, count - i));
}

// ---- elimination -------------------------------------------------------------------------------------------------------

template <class T>
EG_INLINE void exchange_where(Vec<T> row, T wanted, Vec<T>* x, Vec<T>* y, int64_t n) {
  for (int64_t c = 0; c < n; ++c) {
    const Vec<T> a = x[c], b = y[c];
    x[c] = row == wanted ? b : a;
    y[c] = row == wanted ? a : b;
  }
}

// a = L and U; rows of b (n x columns) are exchanged with a's. Numbers as T.
template <class T>
void eliminate(Vec<T>* a, int64_t n, Vec<T>* b, int64_t columns, Vec<T>* pivots, Vec<T>& info) {
  info = Vec<T>{};
  for (int64_t j = 0; j < n; ++j) {
    Vec<T> most = magnitude<T>(a[j * n + j]), row = splat(T(j));
    for (int64_t i = j + 1; i < n; ++i) {
      const Vec<T> size = magnitude<T>(a[i * n + j]);
      row = size > most ? splat(T(i)) : row;
      most = size > most ? size : most;
    }
    pivots[j] = row;
    for (int64_t i = j + 1; i < n; ++i) {
      exchange_where<T>(row, T(i), a + j * n, a + i * n, n);
      exchange_where<T>(row, T(i), b + j * columns, b + i * columns, columns);
    }
    const Vec<T> d = a[j * n + j], none = Vec<T>{};
    info = d == none ? (info == none ? splat(T(j + 1)) : info) : info;
    const Vec<T> divisor = d == none ? splat(T(1)) : d;
    for (int64_t i = j + 1; i < n; ++i) {
      const Vec<T> f = a[i * n + j] / divisor;
      a[i * n + j] = f;
      for (int64_t c = j + 1; c < n; ++c) a[i * n + c] -= f * a[j * n + c];
    }
  }
}

template <class T>
void lu(const void* a, int64_t count, int64_t n, void* result, int32_t* pivots, int32_t* info) {
  Scratch<Vec<T>> matrix(n * n + n);
  Vec<T>*lanes = matrix.data(), *rows = lanes + n * n;
  for_groups<T>(count, [&](int64_t first, int64_t some) {
    Vec<T> problem;
    gather_lanes(static_cast<const T*>(a) + first * n * n, n * n, some, lanes);
    eliminate<T>(lanes, n, nullptr, 0, rows, problem);
    scatter_columns(lanes, n, n, some, static_cast<T*>(result) + first * n * n);
    for (int64_t l = 0; l < some; ++l) {
      info[first + l] = int32_t(problem[l]);
      for (int64_t i = 0; i < n; ++i) pivots[(first + l) * n + i] = int32_t(rows[i][l]);
    }
  });
}

template <class T>
void substitute(const Vec<T>* lu, int64_t n, Vec<T>* x, int64_t columns) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < i; ++k)
      for (int64_t c = 0; c < columns; ++c)
        x[i * columns + c] -= lu[i * n + k] * x[k * columns + c];
  for (int64_t i = n - 1; i >= 0; --i) {
    for (int64_t k = i + 1; k < n; ++k)
      for (int64_t c = 0; c < columns; ++c)
        x[i * columns + c] -= lu[i * n + k] * x[k * columns + c];
    for (int64_t c = 0; c < columns; ++c) x[i * columns + c] /= lu[i * (n + 1)];
  }
}

template <class T>
void solve(const void* a, int64_t count, int64_t n, const void* b, int64_t columns, void* x,
           int32_t* info) {
  Scratch<Vec<T>> memory(n * n + n + n * columns);
  Vec<T>*lanes = memory.data(), *rows = lanes + n * n, *right = rows + n;
  for_groups<T>(count, [&](int64_t first, int64_t some) {
    Vec<T> problem;
    gather_lanes(static_cast<const T*>(a) + first * n * n, n * n, some, lanes);
    if (b)
      gather_lanes(static_cast<const T*>(b) + first * n * columns, n * columns, some, right);
    else
      for (int64_t e = 0; e < n * n; ++e) right[e] = splat(T(e % (n + 1) == 0));
    eliminate<T>(lanes, n, right, columns, rows, problem);
    substitute<T>(lanes, n, right, columns);
    scatter_columns(right, n, columns, some, static_cast<T*>(x) + first * n * columns);
    for (int64_t l = 0; l < some; ++l) info[first + l] = int32_t(problem[l]);
  });
}

// ---- sizes -------------------------------------------------------------------------------------------------------------

template <class T>
constexpr T kEpsilon = sizeof(T) == 4 ? T(1.1920929e-7) : T(2.220446049250313e-16);
constexpr int kSweeps = 24;

// The power of 2 below each positive number, 1 if there is none.
template <class T>
Vec<T> power_below(Vec<T> v) {
  typedef typename std::conditional<sizeof(T) == 4, int32_t, int64_t>::type I;
  typedef I Bits __attribute__((vector_size(kVectorBytes)));
  constexpr I exponent = sizeof(T) == 4 ? I(0x7f800000) : I(0x7ff0000000000000);
  const Vec<T> power = (Vec<T>)((Bits)v & exponent);
  return power == 0 ? splat(T(1)) : power;
}

// Divides each lane's matrix by a power of 2 near its largest element; that, 0 for what is not finite.
template <class T>
Vec<T> scale(Vec<T>* a, int64_t size) {
  Vec<T> most{}, broken{};
  for (int64_t e = 0; e < size; ++e) {
    most = larger<T>(magnitude<T>(a[e]), most);
    broken += a[e] - a[e];  // NaN of what is not finite
  }
  const Vec<T> divisor = power_below<T>(most);
  for (int64_t e = 0; e < size; ++e) a[e] = broken == 0 ? a[e] / divisor : Vec<T>{};
  return broken == 0 ? divisor : Vec<T>{};
}

// ---- reflections -------------------------------------------------------------------------------------------------------

// `columns` columns of c, m long, -= tau v (v' c), v behind a 1 in the place of its first element.
template <class T>
void reflect(const Vec<T>* v, int64_t ldv, Vec<T> tau, int64_t m, Vec<T>* c, int64_t ldc,
             int64_t columns) {
  for (int64_t k = 0; k < columns; ++k) {
    Vec<T> shared = c[k];
    for (int64_t i = 1; i < m; ++i) shared += v[i * ldv] * c[i * ldc + k];
    shared *= tau;
    c[k] -= shared;
    for (int64_t i = 1; i < m; ++i) c[i * ldc + k] -= shared * v[i * ldv];
  }
}

// a: R on and above the diagonal, the reflections' vectors below it, as in kernels/qr.h.
template <class T>
void reflect_all(Vec<T>* a, int64_t m, int64_t n, Vec<T>* tau) {
  for (int64_t j = 0; j < min64(m, n); ++j) {
    Vec<T>*x = a + j * (n + 1), rest{};
    for (int64_t i = 1; i < m - j; ++i) rest += x[i * n] * x[i * n];
    const Vec<T> size = square_root<T>(x[0] * x[0] + rest), y = x[0] < 0 ? size : -size;
    tau[j] = rest == 0 ? Vec<T>{} : (y - x[0]) / y;
    const Vec<T> divisor = rest == 0 ? splat(T(1)) : x[0] - y;
    for (int64_t i = 1; i < m - j; ++i) x[i * n] /= divisor;
    x[0] = rest == 0 ? x[0] : y;
    reflect<T>(x, n, tau[j], m - j, x + 1, n, n - j - 1);
  }
}

template <class T>
void qr(const void* a, int64_t count, int64_t m, int64_t n, void* q, int64_t columns, void* r,
        int64_t rows) {
  const int64_t k = min64(m, n);
  Scratch<Vec<T>> memory(m * n + k + max64(m * columns, rows * n));
  Vec<T>*lanes = memory.data(), *tau = lanes + m * n, *result = tau + k;
  for_groups<T>(count, [&](int64_t first, int64_t some) {
    gather_lanes(static_cast<const T*>(a) + first * m * n, m * n, some, lanes);
    const Vec<T> size = scale<T>(lanes, m * n), zero{};
    const Vec<T> broken = size == 0 ? splat(T(NAN)) : zero;
    reflect_all<T>(lanes, m, n, tau);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < n; ++j)
        result[i * n + j] = i > j ? zero : lanes[i * n + j] * size + broken;
    scatter_columns(result, rows, n, some, static_cast<T*>(r) + first * rows * n);
    if (!q) return;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < columns; ++j) result[i * columns + j] = broken + T(i == j);
    for (int64_t j = k - 1; j >= 0; --j)
      reflect<T>(lanes + j * (n + 1), n, tau[j], m - j, result + j * (columns + 1), columns,
                 columns - j);
    scatter_columns(result, m, columns, some, static_cast<T*>(q) + first * m * columns);
  });
}

// ---- exponentials ------------------------------------------------------------------------------------------------------

// c = a b / divisor, plus the unit matrix if `plus`.
template <class T>
void multiply(const Vec<T>* a, const Vec<T>* b, int64_t n, T divisor, bool plus, Vec<T>* c) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      Vec<T> sum{};
      for (int64_t k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum / divisor + T(plus && i == j);
    }
}

// Taylor's series of a matrix whose norm a power of 2 makes at most 1, and squares.
template <class T>
void exponential(const void* a, int64_t count, int64_t n, void* result) {
  constexpr int64_t L = kLanes<T>;
  constexpr int kTerms = sizeof(T) == 4 ? 10 : 17;
  Scratch<Vec<T>> memory(3 * n * n);
  Vec<T>*x = memory.data(), *y = x + n * n, *next = y + n * n;
  for_groups<T>(count, [&](int64_t first, int64_t some) {
    gather_lanes(static_cast<const T*>(a) + first * n * n, n * n, some, x);
    Vec<T> norm{};
    for (int64_t i = 0; i < n; ++i) {
      Vec<T> sum{};
      for (int64_t j = 0; j < n; ++j) sum += magnitude<T>(x[i * n + j]);
      norm = sum > norm || sum != sum ? sum : norm;
    }
    Vec<T> factor = splat(T(1)), squarings{};
    constexpr int kMost = sizeof(T) == 4 ? 130 : 1026;
    int steps = 0;
    for (; steps < kMost; ++steps) {
      const auto large = norm * factor > T(1);
      if (all_zero<T>(large ? splat(T(1)) : Vec<T>{})) break;
      factor = large ? factor * T(0.5) : factor;
      squarings = large ? squarings + T(1) : squarings;
    }
    for (int64_t e = 0; e < n * n; ++e) {
      x[e] *= factor;
      y[e] = splat(T(e % (n + 1) == 0));
    }
    for (int term = kTerms; term > 0; --term) {
      multiply<T>(x, y, n, T(term), true, next);
      Vec<T>* const before = y;
      y = next, next = before;
    }
    for (int step = 0; step < steps; ++step) {
      multiply<T>(y, y, n, T(1), false, next);
      const auto wanted = squarings > T(step);
      for (int64_t e = 0; e < n * n; ++e) y[e] = wanted ? next[e] : y[e];
    }
    T* to = static_cast<T*>(result) + first * n * n;
    for (int64_t l = 0; l < some; ++l)
      for (int64_t e = 0; e < n * n; ++e) *to++ = reinterpret_cast<const T*>(y)[e * L + l];
  });
}

// ---- rotations ---------------------------------------------------------------------------------------------------------

// The rotation (c, s = t c) that takes a symmetric 2 x 2 matrix's element off the diagonal away; none where `still`.
template <class T>
struct Rotation {
  Vec<T> t, c, s;
  template <class M>
  EG_INLINE Rotation(Vec<T> first, Vec<T> second, Vec<T> off, M still) {
    const Vec<T> one = splat(T(1)), zeta = (second - first) / (off + off);
    const Vec<T> way = one / (magnitude<T>(zeta) + square_root<T>(one + zeta * zeta));
    t = still ? Vec<T>{} : zeta < 0 ? -way : way;
    c = one / square_root<T>(one + t * t);
    s = t * c;
  }
  EG_INLINE void turn(Vec<T>* x, Vec<T>* y, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) {
      const Vec<T> a = x[i], b = y[i];
      x[i] = c * a - s * b;
      y[i] = s * a + c * b;
    }
  }
};

template <class T>
void set_unit(Vec<T>* v, int64_t n) {
  for (int64_t e = 0; e < n * n; ++e) v[e] = splat(T(e % (n + 1) == 0));
}

// Makes symmetric matrices diagonal; rows of v are the vectors. In each lane 0 if that is done.
template <class T>
Vec<T> diagonalize(Vec<T>* a, int64_t n, Vec<T>* v) {
  Vec<T> left{};
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    Vec<T> off{}, all{};
    for (int64_t p = 0; p < n; ++p) {
      all += a[p * (n + 1)] * a[p * (n + 1)];
      for (int64_t q = p + 1; q < n; ++q) off += a[p * n + q] * a[p * n + q];
    }
    const T enough = kEpsilon<T> * kEpsilon<T> * T(n) / 8;  // rounding leaves some
    left = off <= enough * (all + off) ? Vec<T>{} : splat(T(1));
    if (all_zero<T>(left)) break;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        const Vec<T> apq = a[p * n + q];
        // Smaller ones would only shrink to numbers that are slow to reckon with.
        const auto still = magnitude<T>(apq) < kEpsilon<T> * kEpsilon<T>;
        const Rotation<T> r(a[p * (n + 1)], a[q * (n + 1)], apq, still);
        a[p * (n + 1)] -= r.t * apq;
        a[q * (n + 1)] += r.t * apq;
        a[p * n + q] = Vec<T>{};
        for (int64_t i = 0; i < n; ++i) {  // in the upper triangle
          if (i == p || i == q) continue;
          r.turn(a + (i < p ? i * n + p : p * n + i), a + (i < q ? i * n + q : q * n + i), 1);
        }
        if (v) r.turn(v + p * n, v + q * n, n);
      }
  }
  return left;
}

// The places of n <= kSmall numbers, of the smallest first.
template <class T>
void order_of(const T* x, int64_t n, int64_t* order) {
  for (int64_t i = 0; i < n; ++i) {
    int64_t j = i;
    for (; j > 0 && x[order[j - 1]] > x[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
}

template <class T>
void eigh(const void* a, int64_t count, int64_t n, bool upper, void* values, void* vectors,
          int32_t* info) {
  Scratch<Vec<T>> memory(2 * n * n);
  Vec<T>*lanes = memory.data(), *v = vectors ? lanes + n * n : nullptr;
  for_groups<T>(count, [&](int64_t first, int64_t some) {
    gather_lanes(static_cast<const T*>(a) + first * n * n, n * n, some, lanes);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < i; ++j) {
        if (!upper) lanes[j * n + i] = lanes[i * n + j];
        lanes[i * n + j] = Vec<T>{};
      }
    const Vec<T> size = scale<T>(lanes, n * n);
    if (v) set_unit<T>(v, n);
    const Vec<T> left = diagonalize<T>(lanes, n, v);
    for (int64_t l = 0; l < some; ++l) {
      T found[kSmall];
      int64_t order[kSmall];
      for (int64_t i = 0; i < n; ++i) found[i] = lane<T>(lanes, i * (n + 1), l) * size[l];
      order_of(found, n, order);
      info[first + l] = left[l] != 0 || size[l] == 0;
      T* w = static_cast<T*>(values) + (first + l) * n;
      T* z = static_cast<T*>(vectors) + (v ? (first + l) * n * n : 0);
      for (int64_t i = 0; i < n; ++i) {
        w[i] = found[order[i]];
        for (int64_t j = 0; v && j < n; ++j) z[i * n + j] = lane<T>(v, order[i] * n + j, l);
      }
    }
  });
}

// ---- singular values ---------------------------------------------------------------------------------------------------

// Turns the n columns g of m elements, each contiguous, until they are orthogonal; rows of v with them. In each lane 0 if done.
template <class T>
Vec<T> make_orthogonal(Vec<T>* g, int64_t m, int64_t n, Vec<T>* v) {
  constexpr T none = sizeof(T) == 4 ? T(1e-30) : T(1e-280);  // the square of what is as good as 0
  Vec<T> left{};
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    left = Vec<T>{};
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        Vec<T> first{}, second{}, both{};
        for (int64_t i = 0; i < m; ++i) {
          const Vec<T> x = g[p * m + i], y = g[q * m + i];
          first += x * x, second += y * y, both += x * y;
        }
        constexpr T enough = 4 * kEpsilon<T>;
        const Vec<T> size = square_root<T>(first) * square_root<T>(second);
        const auto still = (magnitude<T>(both) <= enough * size) | (first < none) | (second < none);
        left = still ? left : splat(T(1));
        const Rotation<T> r(first, second, both, still);
        r.turn(g + p * m, g + q * m, m);
        if (v) r.turn(v + p * n, v + q * n, n);
      }
    if (all_zero<T>(left)) break;
  }
  return left;
}

// Of u's columns, orthonormal from 0 to `have`, the one at `have`: what is left of the unit vector that they show least of.
template <class T>
void add_orthogonal(T* u, int64_t m, int64_t have) {
  int64_t least = 0;
  T smallest = 2;
  for (int64_t i = 0; i < m; ++i) {
    T seen = 0;
    for (int64_t j = 0; j < have; ++j) seen += u[j * m + i] * u[j * m + i];
    if (seen < smallest) least = i, smallest = seen;
  }
  T* w = u + have * m;
  for (int64_t i = 0; i < m; ++i) w[i] = i == least;
  for (int again = 0; again < 2; ++again) {
    for (int64_t j = 0; j < have; ++j) {
      T shared = 0;
      for (int64_t i = 0; i < m; ++i) shared += u[j * m + i] * w[i];
      for (int64_t i = 0; i < m; ++i) w[i] -= shared * u[j * m + i];
    }
    T square = 0;
    for (int64_t i = 0; i < m; ++i) square += w[i] * w[i];
    const T length = T(sqrt(square));
    for (int64_t i = 0; i < m; ++i) w[i] /= length;
  }
}

// One lane's u, s and vt, of its orthogonal columns.
template <class T>
void unpack(const Vec<T>* g, const Vec<T>* v, int64_t l, int64_t m, int64_t n, T size, T* u,
            int64_t columns, T* s, T* vt) {
  T lengths[kSmall];
  int64_t order[kSmall];
  for (int64_t j = 0; j < n; ++j) {
    T square = 0;
    for (int64_t i = 0; i < m; ++i) square += lane<T>(g, j * m + i, l) * lane<T>(g, j * m + i, l);
    lengths[j] = T(sqrt(square));
  }
  order_of(lengths, n, order);
  for (int64_t k = 0; k < n; ++k) {
    const int64_t j = order[n - 1 - k];
    s[k] = lengths[j] * size;
    for (int64_t i = 0; vt && i < n; ++i) vt[k * n + i] = lane<T>(v, j * n + i, l);
    const bool vanishes = lengths[j] < (sizeof(T) == 4 ? T(1e-15) : T(1e-140));
    for (int64_t i = 0; u && !vanishes && i < m; ++i)
      u[k * m + i] = lane<T>(g, j * m + i, l) / lengths[j];
    if (u && vanishes) add_orthogonal(u, m, k);
  }
  for (int64_t k = n; u && k < columns; ++k) add_orthogonal(u, m, k);
}

template <class T>
void svd(const void* a, int64_t count, int64_t m, int64_t n, bool turned, void* u, int64_t columns,
         void* s, void* vt, int32_t* info) {
  Scratch<Vec<T>> memory(2 * m * n + n * n);
  Vec<T>*lanes = memory.data(), *g = lanes + m * n, *v = u || vt ? g + m * n : nullptr;
  for_groups<T>(count, [&](int64_t first, int64_t some) {
    gather_lanes(static_cast<const T*>(a) + first * m * n, m * n, some, turned ? g : lanes);
    for (int64_t i = 0; !turned && i < m; ++i)
      for (int64_t j = 0; j < n; ++j) g[j * m + i] = lanes[i * n + j];
    const Vec<T> size = scale<T>(g, m * n);
    if (v) set_unit<T>(v, n);
    const Vec<T> left = make_orthogonal<T>(g, m, n, v);
    for (int64_t l = 0; l < some; ++l) {
      const int64_t at = first + l;
      info[at] = left[l] != 0 || size[l] == 0;
      unpack<T>(g, v, l, m, n, size[l], u ? static_cast<T*>(u) + at * m * columns : nullptr,
                columns, static_cast<T*>(s) + at * n,
                vt ? static_cast<T*>(vt) + at * n * n : nullptr);
    }
  });
}

// ---- cross products ----------------------------------------------------------------------------------------------------

template <class T>
EG_INLINE void cross_of(const T* __restrict a, const T* __restrict b, int64_t n, T* __restrict c) {
  for (int64_t i = 0; i < n; ++i) {
    const T x = a[i], y = a[n + i], z = a[2 * n + i], u = b[i], v = b[n + i], w = b[2 * n + i];
    c[i] = y * w - z * v;
    c[n + i] = z * u - x * w;
    c[2 * n + i] = x * v - y * u;
  }
}
template <class T>
void cross(const void* a, const void* b, int64_t outer, int64_t inner, void* c) {
  parallel_for(outer, grain_of(9 * inner), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * 3 * inner; i < end * 3 * inner; i += 3 * inner) {
      const T *x = static_cast<const T*>(a) + i, *y = static_cast<const T*>(b) + i;
      T* const z = static_cast<T*>(c) + i;
      if (inner == 1)
        cross_of(x, y, 1, z);
      else
        cross_of(x, y, inner, z);
    }
  });
}

}  // namespace

EG_KERNELS(SmallKernels, {{&lu<float>, &lu<double>},
                          {&solve<float>, &solve<double>},
                          {&qr<float>, &qr<double>},
                          {&exponential<float>, &exponential<double>},
                          {&eigh<float>, &eigh<double>},
                          {&svd<float>, &svd<double>},
                          {&cross<float>, &cross<double>}})

}  // namespace eg
