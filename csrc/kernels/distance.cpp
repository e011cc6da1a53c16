#include "kernels/distance.h"

#include "kernels/grain.h"
#include "kernels/lanes.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace {

// --- norms: what an element adds, how sums join, what the sum becomes, and the slope of the norm in an element ----------------------

template <class T>
EG_INLINE Vec<T> size_of(Vec<T> d) {
  return d < 0 ? -d : d;
}

// What norms have in common: sums that are joined by adding, and those that are the norm.
struct Added {
  template <class V>
  static EG_INLINE V join(V a, V b) {
    return a + b;
  }
};
struct Final {
  template <class V>
  static EG_INLINE V finish(V sum) {
    return sum;
  }
};

template <class T>
struct Zero : Added, Final {  // how many are not 0
  static EG_INLINE Vec<T> add(Vec<T> sum, Vec<T> d) {
    return sum + (d != 0 ? splat(T(1)) : Vec<T>{});
  }
  static EG_INLINE T add(T sum, T d) { return sum + T(d != 0); }
  static EG_INLINE T scale(T, T) { return 0; }
  static EG_INLINE T slope(T, T, T) { return 0; }
};
template <class T>
struct One : Added, Final {
  static EG_INLINE Vec<T> add(Vec<T> sum, Vec<T> d) { return sum + size_of<T>(d); }
  static EG_INLINE T add(T sum, T d) { return sum + vocabulary::abs(d); }
  static EG_INLINE T scale(T g, T) { return g; }
  static EG_INLINE T slope(T d, T scale, T) { return d > 0 ? scale : d < 0 ? -scale : T(0); }
};
template <class T>
struct Two : Added {
  static EG_INLINE Vec<T> add(Vec<T> sum, Vec<T> d) { return sum + d * d; }
  static EG_INLINE T add(T sum, T d) { return sum + d * d; }
  static EG_INLINE T finish(T sum) { return vocabulary::sqrt(sum); }
  static EG_INLINE Vec<T> finish(Vec<T> sum) { return sqrt(lanes::Lanes<T>(sum)).v; }
  static EG_INLINE T scale(T g, T y) { return y == 0 ? T(0) : g / y; }
  static EG_INLINE T slope(T d, T scale, T) { return d * scale; }
};
template <class T>
struct Largest : Final {
  static EG_INLINE Vec<T> add(Vec<T> sum, Vec<T> d) {
    const Vec<T> size = size_of<T>(d);
    return (size > sum) | (size != size) ? size : sum;
  }
  template <class V>
  static EG_INLINE V join(V a, V b) {
    return (b > a) | (b != b) ? b : a;
  }
  static EG_INLINE T add(T sum, T d) { return join(sum, vocabulary::abs(d)); }
  static EG_INLINE T scale(T g, T) { return g; }
  static EG_INLINE T slope(T d, T scale, T y) {
    const T there = vocabulary::abs(d) == y ? scale : T(0);
    return d > 0 ? there : d < 0 ? -there : T(0);
  }
};

template <class N, class T>
EG_INLINE T distance(const T* a, const T* b, int64_t n) {
  Vec<T> even = {}, odd = {};
  int64_t i = 0;
  for (; i + 2 * kLanes<T> <= n; i += 2 * kLanes<T>) {
    even = N::add(even, load(a + i) - load(b + i));
    odd = N::add(odd, load(a + i + kLanes<T>) - load(b + i + kLanes<T>));
  }
  if (i + kLanes<T> <= n) even = N::add(even, load(a + i) - load(b + i)), i += kLanes<T>;
  T sum = 0;
  for (; i < n; ++i) sum = N::add(sum, T(a[i] - b[i]));
  if (n >= kLanes<T>) {  // joined in halves
    T lanes[2 * kLanes<T>];
    store(lanes, even);
    store(lanes + kLanes<T>, odd);
#pragma GCC unroll 6
    for (int half = kLanes<T>; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) lanes[l] = N::join(lanes[l], lanes[l + half]);
    sum = N::join(sum, lanes[0]);
  }
  return N::finish(sum);
}
// Of any other p: powers of a strip at a time.
template <class T>
EG_INLINE T distance(const T* a, const T* b, int64_t n, T p) {
  constexpr int64_t kStrip = 64;
  T sum = 0;
  for (int64_t i = 0; i < n; i += kStrip) {
    const int64_t m = min64(kStrip, n - i);
    T powers[kStrip];
    for (int64_t k = 0; k < m; ++k)
      powers[k] = vocabulary::pow(vocabulary::abs(a[i + k] - b[i + k]), p);
    for (int64_t k = 0; k < m; ++k) sum += powers[k];
  }
  return vocabulary::pow(sum, 1 / p);
}

template <class N, class T>
EG_INLINE void add_slopes(const T* a, const T* b, int64_t n, T g, T y, T* out) {
  const T scale = N::scale(g, y);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] += N::slope(T(a[i] - b[i]), scale, y);
}
template <class T>
EG_INLINE void add_slopes(const T* a, const T* b, int64_t n, T g, T y, T* out, T p) {
  const T scale = y == 0 ? T(0) : g / vocabulary::pow(y, p - 1);
  for (int64_t i = 0; i < n; ++i) {
    const T d = a[i] - b[i], steep = vocabulary::pow(vocabulary::abs(d), p - 1) * scale;
    out[i] += d > 0 ? steep : d < 0 ? -steep : T(0);
  }
}

// f(a, b, n) and the slopes' by the norm that p asks for.
template <class T, class F>
EG_INLINE void with_norm(double p, F&& f) {
  if (p == 0) return f(Zero<T>{});
  if (p == 1) return f(One<T>{});
  if (p == 2) return f(Two<T>{});
  if (p == INFINITY) return f(Largest<T>{});
  f(nullptr);
}
template <class N>
constexpr bool is_general = std::is_same_v<N, std::nullptr_t>;

// Where the distance of rows i < j stands.
EG_INLINE int64_t pair_index(int64_t n, int64_t i, int64_t j) {
  return i * n - i * (i + 1) / 2 + j - i - 1;
}

// A row of lanes for each element of as many rows as a vector has lanes, of which there are `count`.
template <class T>
EG_INLINE void lay_across(const T* rows, int64_t count, int64_t width, T* tile) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t l = 0; l < L; ++l) {
    const T* row = rows + min64(l, count - 1) * width;
    for (int64_t k = 0; k < width; ++k) tile[k * L + l] = row[k];
  }
}
// Distances of R rows to those of a tile, summed by runs.
template <class N, int R, class T>
EG_INLINE void tile_distances(const T* rows, const T* tile, int64_t width, T* out) {
  constexpr int64_t L = kLanes<T>, kRun = 64;
  Vec<T> sum[R] = {};
  for (int64_t begin = 0; begin < width; begin += kRun) {
    const int64_t end = min64(begin + kRun, width);
    Vec<T> part[R] = {};
    for (int64_t k = begin; k < end; ++k) {
      const Vec<T> other = load(tile + k * L);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) part[r] = N::add(part[r], rows[r * width + k] - other);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) sum[r] = N::join(sum[r], part[r]);
  }
  for (int r = 0; r < R; ++r) store(out + r * L, N::finish(sum[r]));
}
// Many rows with many: some tiles of the second ones, which stay in cache, are laid across once for a run of the first.
template <class N, class T>
void forward_by_tiles(const DistanceShape& s, const T* a, const T* b, T* y) {
  constexpr int64_t L = kLanes<T>, kRows = 4, kTileBytes = 32 << 10;
  const int64_t run = max64(kRows, min64(64, s.a_rows / 2 / kRows * kRows));
  const int64_t runs = ceil_div(s.a_rows, run), tile = s.width * L;
  const int64_t tiles = max64(1, min64(ceil_div(s.b_rows, L), kTileBytes / (tile * sizeof(T) + 1)));
  parallel_for(s.batch * runs, grain_of(run * s.b_rows * s.width), [&](int64_t u0, int64_t u1) {
    Scratch<T> across(tiles * tile);
    T out[kRows * L];
    for (int64_t u = u0; u < u1; ++u) {
      const int64_t batch = u / runs, first = u % runs * run, last = min64(first + run, s.a_rows);
      const T *rows = a + batch * s.a_rows * s.width, *others = b + batch * s.b_rows * s.width;
      for (int64_t j0 = s.pairs ? first + 1 : 0; j0 < s.b_rows; j0 += tiles * L) {
        const int64_t j1 = min64(j0 + tiles * L, s.b_rows);
        for (int64_t j = j0; j < j1; j += L)
          lay_across(others + j * s.width, min64(L, j1 - j), s.width,
                     across.data() + (j - j0) / L * tile);
        for (int64_t i = first; i < last; i += kRows) {
          const int64_t m = min64(kRows, last - i);
          for (int64_t j = j0; j < j1; j += L) {
            const T* there = across.data() + (j - j0) / L * tile;
            if (m == kRows)
              tile_distances<N, kRows>(rows + i * s.width, there, s.width, out);
            else
              for (int64_t r = 0; r < m; ++r)
                tile_distances<N, 1>(rows + (i + r) * s.width, there, s.width, out + r * L);
            for (int64_t r = 0; r < m; ++r) {
              const int64_t row = i + r, skip = s.pairs ? max64(0, row + 1 - j) : 0;
              T* to = s.pairs ? y + pair_index(s.a_rows, row, j)
                              : y + (batch * s.a_rows + row) * s.b_rows + j;
              if (skip == 0 && j + L <= j1)
                store(to, load(out + r * L));
              else
                for (int64_t l = skip; l < j1 - j && l < L; ++l) to[l] = out[r * L + l];
            }
          }
        }
      }
    }
  });
}

template <class N, class T>
void forward(const DistanceShape& s, const T* a, const T* b, T* y) {
  if constexpr (!is_general<N>)
    if (s.a_rows >= 8 && s.b_rows >= kLanes<T>) return forward_by_tiles<N>(s, a, b, y);
  const T p = T(s.p);
  parallel_for(s.batch * s.a_rows, grain_of(s.b_rows * s.width), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t i = r % s.a_rows;
      const T* row = a + r * s.width;
      const T* others = b + r / s.a_rows * s.b_rows * s.width;
      const int64_t first = s.pairs ? i + 1 : 0;
      T* to = s.pairs ? y + pair_index(s.a_rows, i, i + 1) - first : y + r * s.b_rows;
      for (int64_t j = first; j < s.b_rows; ++j) {
        if constexpr (is_general<N>)
          to[j] = distance(row, others + j * s.width, s.width, p);
        else
          to[j] = distance<N>(row, others + j * s.width, s.width);
      }
    }
  });
}

template <class N, class T>
void backward(const DistanceShape& s, bool of_b, const T* g, const T* a, const T* b, const T* y,
              T* gradient) {
  const T p = T(s.p);
  const int64_t rows = of_b ? s.b_rows : s.a_rows, others = of_b ? s.a_rows : s.b_rows;
  // Some rows at a time: distances are read along lines, and each of the other rows once for all of them.
  constexpr int64_t kRows = 16;
  const int64_t blocks = ceil_div(rows, kRows);
  parallel_for(s.batch * blocks, grain_of(kRows * others * s.width), [&](int64_t u0, int64_t u1) {
    for (int64_t u = u0; u < u1; ++u) {
      const int64_t batch = u / blocks, first = u % blocks * kRows;
      const int64_t last = min64(first + kRows, rows), before = batch * rows;
      for (int64_t k = (before + first) * s.width; k < (before + last) * s.width; ++k)
        gradient[k] = T(0);
      for (int64_t j = 0; j < others; ++j) {
        const T* other = (of_b ? a : b) + (batch * others + j) * s.width;
        for (int64_t i = first; i < last; ++i) {
          if (s.pairs && i == j) continue;
          const int64_t r = before + i;
          const int64_t at = s.pairs ? pair_index(rows, min64(i, j), max64(i, j))
                             : of_b  ? (batch * others + j) * rows + i
                                     : r * others + j;
          const T* row = (of_b ? b : a) + r * s.width;
          if constexpr (is_general<N>)
            add_slopes(row, other, s.width, g[at], y[at], gradient + r * s.width, p);
          else
            add_slopes<N>(row, other, s.width, g[at], y[at], gradient + r * s.width);
        }
      }
    }
  });
}

void forward_any(const DistanceShape& s, DType dtype, const void* a, const void* b, void* y) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    with_norm<T>(s.p, [&](auto norm) {
      forward<decltype(norm)>(s, static_cast<const T*>(a), static_cast<const T*>(b),
                              static_cast<T*>(y));
    });
  });
}
void backward_any(const DistanceShape& s, DType dtype, bool of_b, const void* g, const void* a,
                  const void* b, const void* y, void* gradient) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    with_norm<T>(s.p, [&](auto norm) {
      backward<decltype(norm)>(s, of_b, static_cast<const T*>(g), static_cast<const T*>(a),
                               static_cast<const T*>(b), static_cast<const T*>(y),
                               static_cast<T*>(gradient));
    });
  });
}

}  // namespace

EG_KERNELS(DistanceKernels, {&forward_any, &backward_any})

}  // namespace eg
