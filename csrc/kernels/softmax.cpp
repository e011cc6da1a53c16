#include <string.h>

#include "kernels/avx512_math.h"
#include "kernels/grain.h"
#include "kernels/integers.h"
#include "kernels/reduce.h"
#include "kernels/square.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace {

// Unrolled at once, a loop over lanes calls the scalar functions of the C library one by one.
#define EG_WHOLE_VECTORS _Pragma("GCC unroll 1")
constexpr int64_t kAbreast = 16;

template <class T>
struct Block {
  T v[kAbreast];
};
// f(l, n) for the vectors of a block, from element l on, of which n exist.
template <class T, class F>
EG_INLINE void over_vectors(int64_t count, F f) {
#pragma GCC unroll 16
  for (int64_t l = 0; l < kAbreast; l += kLanes<T>) f(l, count > l ? count - l : 0);
}
// The last `count` elements of a line before copies of `pad`, and back.
template <class T>
EG_INLINE Block<T> read_rest(const T* x, int64_t count, T pad) {
  Block<T> b;
  over_vectors<T>(count, [&](int64_t l, int64_t n) {
    store(b.v + l, load_some(n ? x + l : x, n, splat(pad)));
  });
  return b;
}
template <class T>
EG_INLINE void write_rest(const T* block, int64_t count, T* y) {
  over_vectors<T>(count, [=](int64_t l, int64_t n) {
    if (n) store_some(y + l, load(block + l), n);
  });
}
// e = exp(x - m) for a block
template <class T>
EG_INLINE void exp_block(const T* x, T m, T* e) {
  EG_WHOLE_VECTORS
  for (int64_t l = 0; l < kAbreast; ++l) e[l] = vocabulary::exp(x[l] - m);
}
#if defined(EG_AVX512_MATH)
EG_INLINE void exp_block(const float* x, float m, float* e) {
  store(e, Vec<float>(exp_of(load(x) - m)));
}
#endif

// f(i, x + i...) for kAbreast elements at a time; the last ones stand before copies of `pad`.
template <class T, class F, class... X>
EG_INLINE void over_blocks(int64_t n, T pad, F f, const X*... x) {
  int64_t i = 0;
  for (; i + kAbreast <= n; i += kAbreast) f(i, x + i...);
  if (i < n) f(i, read_rest(x + i, n - i, pad).v...);
}

// y[l] = f(l) for a block of which the line has room for the first ones.
template <class T, class F>
EG_INLINE void put_block(T* y, int64_t room, F f) {
  T block[kAbreast];
  for (int64_t l = 0; l < kAbreast; ++l) block[l] = f(l);
  if (room >= kAbreast)
    for (int64_t l = 0; l < kAbreast; ++l) y[l] = block[l];
  else
    write_rest(block, room, y);
}

// lane[0] = the join of all lanes, pairwise.
template <int64_t lanes, class T, class F>
EG_INLINE T joined(T* lane, F join) {
#pragma GCC unroll 8
  for (int64_t half = lanes / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) lane[l] = join(lane[l], lane[l + half]);
  return lane[0];
}

template <class T>
EG_INLINE T line_max(const T* x, int64_t n) {
  constexpr int64_t kWide = 4 * kAbreast;  // several comparisons under way at once
  const auto larger = [](T a, T b) { return a > b ? a : b; };
  T lane[kWide];
  for (int64_t l = 0; l < kWide; ++l) lane[l] = T(-INFINITY);
  const int64_t wide = n / kWide * kWide;
  for (int64_t i = 0; i < wide; i += kWide)
    for (int64_t l = 0; l < kWide; ++l) lane[l] = larger(x[i + l], lane[l]);
  const auto compare = [&](int64_t, const T* v) {
    for (int64_t l = 0; l < kAbreast; ++l) lane[l] = larger(v[l], lane[l]);
  };
  over_blocks(n - wide, T(-INFINITY), compare, x + wide);
  return joined<kWide>(lane, larger);
}

// Sum in lanes, joined pairwise; lines of float in blocks so that long ones stay accurate. f(lane, i, x + i...) adds a block of
// the inputs, whose ends are filled up with `pad`.
template <class T, class F, class... X>
EG_INLINE T line_sum(int64_t n, T pad, F f, const X*... x) {
  constexpr int64_t kAccurate = 4096;
  double total = 0;
  for (int64_t b = 0; b < n; b += kAccurate) {
    T lane[kAbreast] = {};
    const auto add = [&](int64_t i, const X*... block) { f(lane, b + i, block...); };
    over_blocks(n - b < kAccurate ? n - b : kAccurate, pad, add, x + b...);
    total += double(joined<kAbreast>(lane, [](T a, T c) { return a + c; }));
  }
  return T(total);
}

// Of x - m.
template <class T>
EG_INLINE T line_sum(const T* x, int64_t n, T m = 0) {
  const auto add = [m](T* lane, int64_t, const T* v) {
    for (int64_t l = 0; l < kAbreast; ++l) lane[l] += v[l] - m;
  };
  return line_sum(n, m, add, x);
}

// Of exp(x - m). use(i, e) gets the exponentials of a block.
template <class T, class F>
EG_INLINE T line_sum_of_exp(const T* x, int64_t n, T m, F use) {
  const auto add = [=](T* lane, int64_t i, const T* v) {
    T e[kAbreast];
    exp_block(v, m, e);
    for (int64_t l = 0; l < kAbreast; ++l) lane[l] += e[l];
    use(i, e);
  };
  return line_sum(n, T(-INFINITY), add, x);
}
template <class T>
EG_INLINE T line_sum_of_exp(const T* x, int64_t n, T m) {
  return line_sum_of_exp(x, n, m, [](int64_t, const T*) {});
}

template <class F>
void over_lines(int64_t lines, int64_t length, F f) {
  parallel_for(lines, grain_of(4 * length), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

// Short lines are taken kAbreast at a time, side by side: what a line alone would do element by element, vectors do for all.
constexpr int64_t kShort = 63;

template <class T>
struct SideBySide {
  T v[kShort * kAbreast];  // element i of line r at i * kAbreast + r

  EG_INLINE void read(const T* x, int64_t lines, int64_t n) {
    if (lines < kAbreast) memset(v, 0, size_t(n * kAbreast) * sizeof(T));
    transpose_matrix(x, n, lines, n, v, kAbreast);
  }
  EG_INLINE void write(T* y, int64_t lines, int64_t n) const {
    transpose_matrix(v, kAbreast, n, lines, y, n);
  }
  EG_INLINE void max(int64_t n, T* m) const {
    for (int64_t r = 0; r < kAbreast; ++r) m[r] = T(-INFINITY);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < kAbreast; ++r)
        m[r] = v[i * kAbreast + r] > m[r] ? v[i * kAbreast + r] : m[r];
  }
  // f(element, line) of all elements, summed line by line.
  template <class F>
  EG_INLINE void sum(int64_t n, T* total, F f) {
    for (int64_t r = 0; r < kAbreast; ++r) total[r] = 0;
    for (int64_t i = 0; i < n; ++i) {
      EG_WHOLE_VECTORS
      for (int64_t r = 0; r < kAbreast; ++r) total[r] += f(v[i * kAbreast + r], r);
    }
  }
  template <class F>
  EG_INLINE void each(int64_t n, F f) {
    for (int64_t i = 0; i < n; ++i) {
      EG_WHOLE_VECTORS
      for (int64_t r = 0; r < kAbreast; ++r) f(v[i * kAbreast + r], r);
    }
  }
};

// body(first line, lines) for strips of kAbreast lines
template <class F>
void over_strips(int64_t lines, int64_t n, F body) {
  parallel_for(ceil_div(lines, kAbreast), grain_of(4 * n * kAbreast),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   body(i * kAbreast, min64(kAbreast, lines - i * kAbreast));
               });
}

template <class T>
void forward_of_short(bool log, const T* x, T* y, int64_t lines, int64_t n) {
  over_strips(lines, n, [&](int64_t first, int64_t count) {
    SideBySide<T> s;
    T m[kAbreast], total[kAbreast];
    s.read(x + first * n, count, n);
    s.max(n, m);
    if (log) {
      s.sum(n, total, [&](T& v, int64_t r) { return vocabulary::exp(v -= m[r]); });
      EG_WHOLE_VECTORS
      for (int64_t r = 0; r < kAbreast; ++r) total[r] = vocabulary::log(total[r]);
      s.each(n, [&](T& v, int64_t r) { v -= total[r]; });
    } else {
      s.sum(n, total, [&](T& v, int64_t r) { return v = vocabulary::exp(v - m[r]); });
      for (int64_t r = 0; r < kAbreast; ++r) total[r] = 1 / total[r];
      s.each(n, [&](T& v, int64_t r) { v *= total[r]; });
    }
    s.write(y + first * n, count, n);
  });
}

template <class T>
void backward_of_short(bool log, const T* g, const T* y, T* gx, int64_t lines, int64_t n) {
  over_strips(lines, n, [&](int64_t first, int64_t count) {
    SideBySide<T> s, from;
    T total[kAbreast];
    s.read(y + first * n, count, n);
    from.read(g + first * n, count, n);
    const T* pg = from.v;
    if (log) {
      from.sum(n, total, [](T v, int64_t) { return v; });
      s.each(n, [&](T& v, int64_t r) { v = *pg++ - vocabulary::exp(v) * total[r]; });
    } else {
      s.sum(n, total, [&](T v, int64_t) { return v * *pg++; });
      pg = from.v;
      s.each(n, [&](T& v, int64_t r) { v *= *pg++ - total[r]; });
    }
    s.write(gx + first * n, count, n);
  });
}

// Lines across memory, kAcross of them side by side: a row holds one element of each. The end of a row goes through whole
// vectors too, so that the bits of a line do not depend on where it stands.
constexpr int64_t kAcross = 256;

template <class T, class F>
__attribute__((noinline)) void each_step(const T* x, int64_t first, int64_t n, F f) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n / kAbreast * kAbreast; ++i) f(x[i], first + i);
}
template <class T, class F>
EG_INLINE void each_of_row(int64_t width, const T* x, F f) {
  const int64_t whole = width / kAbreast * kAbreast;
  if (whole) each_step(x, 0, whole, f);
  if (whole == width) return;
  each_step(read_rest(x + whole, width - whole, T(0)).v, whole, kAbreast, f);
}
template <class T, class F>
__attribute__((noinline)) void each_pair_step(const T* a, const T* b, int64_t first, int64_t n,
                                              F f) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n / kAbreast * kAbreast; ++i) f(a[i], b[i], first + i);
}
template <class T, class F>
EG_INLINE void each_pair_of_rows(int64_t width, const T* a, const T* b, F f) {
  const int64_t whole = width / kAbreast * kAbreast;
  if (whole) each_pair_step(a, b, 0, whole, f);
  if (whole == width) return;
  const int64_t left = width - whole;
  each_pair_step(read_rest(a + whole, left, T(0)).v, read_rest(b + whole, left, T(0)).v, whole,
                 kAbreast, f);
}
template <class T, class F>
__attribute__((noinline)) void map_step(T* y, const T* a, const T* b, int64_t first, int64_t n,
                                        F f) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n / kAbreast * kAbreast; ++i) y[i] = f(a[i], b[i], first + i);
}
template <class T, class F>
EG_INLINE void map_row(int64_t width, T* y, const T* a, const T* b, F f) {
  const int64_t whole = width / kAbreast * kAbreast;
  if (whole) map_step(y, a, b, 0, whole, f);
  if (whole == width) return;
  const int64_t left = width - whole;
  T rest[kAbreast];
  map_step(rest, read_rest(a + whole, left, T(0)).v, read_rest(b + whole, left, T(0)).v, whole,
           kAbreast, f);
  write_rest(rest, left, y + whole);
}

// body(first element, lines, first line) of every kAcross lines of an (outer, n, inner) array.
template <class F>
void over_across(int64_t outer, int64_t n, int64_t inner, F body) {
  over_panels(outer, n, inner, kAcross, 4, body);
}

// The largest number of each line and the sum of the exponentials below it.
template <class T>
__attribute__((noinline)) void across_sums(const T* x, int64_t n, int64_t width, int64_t inner,
                                           T* m, T* total) {
  for (int64_t c = 0; c < kAcross; ++c) m[c] = T(-INFINITY), total[c] = 0;
  for (int64_t i = 0; i < n; ++i)
    each_of_row(width, x + i * inner, [&](T v, int64_t c) { m[c] = v > m[c] ? v : m[c]; });
  for (int64_t i = 0; i < n; ++i)
    each_of_row(width, x + i * inner,
                [&](T v, int64_t c) { total[c] += vocabulary::exp(v - m[c]); });
}

template <class T>
void forward_across(bool log, const T* x, T* y, int64_t n, int64_t width, int64_t inner) {
  T m[kAcross], total[kAcross];
  if (log) {
    across_sums(x, n, width, inner, m, total);
    for (int64_t c = 0; c < round_up(width, kAbreast); ++c) total[c] = vocabulary::log(total[c]);
    for (int64_t k = 0; k < n * inner; k += inner)
      map_row(width, y + k, x + k, x + k, [&](T v, T, int64_t c) { return (v - m[c]) - total[c]; });
    return;
  }
  for (int64_t c = 0; c < kAcross; ++c) m[c] = T(-INFINITY), total[c] = 0;
  for (int64_t k = 0; k < n * inner; k += inner)
    each_of_row(width, x + k, [&](T v, int64_t c) { m[c] = v > m[c] ? v : m[c]; });
  for (int64_t k = 0; k < n * inner; k += inner)
    map_row(width, y + k, x + k, x + k, [&](T v, T, int64_t c) {
      const T e = vocabulary::exp(v - m[c]);
      total[c] += e;
      return e;
    });
  for (int64_t c = 0; c < round_up(width, kAbreast); ++c) total[c] = 1 / total[c];
  for (int64_t k = 0; k < n * inner; k += inner)
    map_row(width, y + k, y + k, y + k, [&](T v, T, int64_t c) { return v * total[c]; });
}

// Which of the two, outside of the loops: they would not vectorise around the choice.
template <class T>
void backward_across(bool log, const T* g, const T* y, T* gx, int64_t n, int64_t width,
                     int64_t inner) {
  T total[kAcross] = {};
  if (log) {
    for (int64_t k = 0; k < n * inner; k += inner)
      each_of_row(width, g + k, [&](T gv, int64_t c) { total[c] += gv; });
    for (int64_t k = 0; k < n * inner; k += inner)
      map_row(width, gx + k, g + k, y + k,
              [&](T gv, T yv, int64_t c) { return gv - vocabulary::exp(yv) * total[c]; });
    return;
  }
  for (int64_t k = 0; k < n * inner; k += inner)
    each_pair_of_rows(width, g + k, y + k, [&](T gv, T yv, int64_t c) { total[c] += gv * yv; });
  for (int64_t k = 0; k < n * inner; k += inner)
    map_row(width, gx + k, g + k, y + k,
            [&](T gv, T yv, int64_t c) { return yv * (gv - total[c]); });
}

// The maximum and the logarithm are subtracted one after the other: their sum would round the logarithm away where scores are
// large. All -inf: exp(-inf - (-inf)) is NaN, as PyTorch.
template <class T>
void forward_typed(bool log, const T* x, T* y, int64_t lines, int64_t n, int64_t inner) {
  if (inner > 1)
    return over_across(lines, n, inner, [&](int64_t at, int64_t width, int64_t) {
      forward_across(log, x + at, y + at, n, width, inner);
    });
  if (n <= kShort) return forward_of_short(log, x, y, lines, n);
  over_lines(lines, n, [&](int64_t line) {
    const T* p = x + line * n;
    T* q = y + line * n;
    const T m = line_max(p, n);
    if (log) {
      const T rest = vocabulary::log(line_sum_of_exp(p, n, m));
      for (int64_t i = 0; i < n; ++i) q[i] = (p[i] - m) - rest;
    } else {
      const T total = line_sum_of_exp(p, n, m, [=](int64_t i, const T* e) {
        put_block(q + i, n - i, [e](int64_t l) { return e[l]; });
      });
      const T scale = 1 / total;
      for (int64_t i = 0; i < n; ++i) q[i] *= scale;
    }
  });
}

template <class T>
void backward_typed(bool log, const T* g, const T* y, T* gx, int64_t lines, int64_t n,
                    int64_t inner) {
  if (inner > 1)
    return over_across(lines, n, inner, [&](int64_t at, int64_t width, int64_t) {
      backward_across(log, g + at, y + at, gx + at, n, width, inner);
    });
  if (n <= kShort) return backward_of_short(log, g, y, gx, lines, n);
  over_lines(lines, n, [&](int64_t line) {
    const T *pg = g + line * n, *py = y + line * n;
    T* q = gx + line * n;
    if (log) {
      const T total = line_sum(pg, n);
      const auto rule = [=](int64_t i, const T* vg, const T* vy) {
        T e[kAbreast];
        exp_block(vy, T(0), e);
        put_block(q + i, n - i, [=](int64_t l) { return vg[l] - e[l] * total; });
      };
      over_blocks(n, T(0), rule, pg, py);
    } else {
      const auto add = [](T* lane, int64_t, const T* vg, const T* vy) {
        for (int64_t l = 0; l < kAbreast; ++l) lane[l] += vg[l] * vy[l];
      };
      const T dot = line_sum(n, T(0), add, pg, py);
      for (int64_t i = 0; i < n; ++i) q[i] = py[i] * (pg[i] - dot);
    }
  });
}

template <class T>
EG_INLINE bool is_finite(T m) {
  return m > T(-INFINITY) && m < T(INFINITY);
}
// No finite maximum to subtract: the answer is the maximum itself unless a NaN is there.
template <class T>
EG_INLINE T infinite_logsumexp(T m, const T* p, int64_t n, int64_t step) {
  for (int64_t i = 0; i < n; ++i)
    if (p[i * step] != p[i * step]) m = p[i * step];
  return m;
}

// put(line, a, b): a + b is the logarithm of the sum of exponentials, a the maximum where that is finite.
template <class T, class F>
void logsumexp_lines(const T* x, int64_t lines, int64_t n, F put) {
  const auto put_one = [&](int64_t line, T m, T rest) {
    if (is_finite(m)) return put(line, m, rest);
    put(line, infinite_logsumexp(m, x + line * n, n, 1), T(0));
  };
  if (n > kShort)
    return over_lines(lines, n, [&](int64_t line) {
      const T* p = x + line * n;
      const T m = line_max(p, n);
      put_one(line, m, vocabulary::log(line_sum_of_exp(p, n, m)));
    });
  over_strips(lines, n, [&](int64_t first, int64_t count) {
    SideBySide<T> s;
    T m[kAbreast], total[kAbreast];
    s.read(x + first * n, count, n);
    s.max(n, m);
    s.sum(n, total, [&](T v, int64_t r) { return vocabulary::exp(v - m[r]); });
    for (int64_t r = 0; r < kAbreast; ++r) total[r] = vocabulary::log(total[r]);
    for (int64_t r = 0; r < count; ++r) put_one(first + r, m[r], total[r]);
  });
}

template <class T>
void logsumexp_typed(const T* x, T* y, int64_t lines, int64_t n, int64_t inner) {
  if (inner > 1)
    return over_across(lines, n, inner, [&](int64_t at, int64_t width, int64_t first) {
      T m[kAcross], total[kAcross];
      T* const out = y + first;
      across_sums(x + at, n, width, inner, m, total);
      for (int64_t c = 0; c < round_up(width, kAbreast); ++c)
        total[c] = m[c] + vocabulary::log(total[c]);
      for (int64_t c = 0; c < width; ++c)
        out[c] = is_finite(m[c]) ? total[c] : infinite_logsumexp(m[c], x + at + c, n, inner);
    });
  logsumexp_lines(x, lines, n, [&](int64_t line, T m, T rest) { y[line] = m + rest; });
}

// Losses of a panel of lines across memory, and of them the maxima and what the logarithms add.
template <class T>
void cross_entropy_across(const T* x, const int64_t* target, int64_t ignore, T smoothing, T* loss,
                          T* most, T* logs, int64_t n, int64_t width, int64_t inner) {
  T m[kAcross], total[kAcross], level[kAcross] = {};
  across_sums(x, n, width, inner, m, total);
  for (int64_t c = 0; c < round_up(width, kAbreast); ++c) total[c] = vocabulary::log(total[c]);
  for (int64_t k = 0; smoothing != 0 && k < n * inner; k += inner)
    each_of_row(width, x + k, [&](T v, int64_t c) { level[c] += v - m[c]; });
  for (int64_t c = 0; c < width; ++c) {
    if (!is_finite(m[c])) {
      m[c] = infinite_logsumexp(m[c], x + c, n, inner);
      total[c] = 0;
    }
    most[c] = m[c];
    logs[c] = total[c];
    if (target[c] == ignore) {
      loss[c] = 0;
      continue;
    }
    loss[c] = total[c] - (1 - smoothing) * (x[target[c] * inner + c] - m[c]);
    if (smoothing != 0) loss[c] -= smoothing * (level[c] / T(n));
  }
}
template <class T>
void cross_entropy_backward_across(const T* x, const int64_t* target, int64_t ignore, T smoothing,
                                   const T* most, const T* logs, const T* scale, T* gx, int64_t n,
                                   int64_t width, int64_t inner) {
  T m[kAcross] = {}, rest[kAcross] = {}, s[kAcross] = {};
  for (int64_t c = 0; c < width; ++c) m[c] = most[c], rest[c] = logs[c], s[c] = scale[c];
  const T even = smoothing / T(n);
  for (int64_t k = 0; k < n * inner; k += inner)
    map_row(width, gx + k, x + k, x + k, [&](T v, T, int64_t c) {
      return s[c] * (vocabulary::exp((v - m[c]) - rest[c]) - even);
    });
  for (int64_t c = 0; c < width; ++c) {
    if (target[c] == ignore)
      for (int64_t k = 0; k < n * inner; k += inner) gx[k + c] = 0;
    else
      gx[target[c] * inner + c] -= s[c] * (1 - smoothing);
  }
}

template <class T>
void cross_entropy_typed(const T* x, const int64_t* target, int64_t ignore, T smoothing, T* loss,
                         T* lse, int64_t outer, int64_t n, int64_t inner) {
  T* const logs = lse + outer * inner;
  if (inner > 1)
    return over_across(outer, n, inner, [&](int64_t at, int64_t width, int64_t first) {
      cross_entropy_across(x + at, target + first, ignore, smoothing, loss + first, lse + first,
                           logs + first, n, width, inner);
    });
  logsumexp_lines(x, outer, n, [&](int64_t line, T m, T rest) {
    lse[line] = m;
    logs[line] = rest;
    const T* p = x + line * n;
    const int64_t t = target[line];
    if (t == ignore) {
      loss[line] = 0;
      return;
    }
    T v = rest - (1 - smoothing) * (p[t] - m);
    if (smoothing != 0) v -= smoothing * (line_sum(p, n, m) / T(n));
    loss[line] = v;
  });
}

template <class T>
void cross_entropy_backward_typed(const T* x, const int64_t* target, int64_t ignore, T smoothing,
                                  const T* lse, const T* scale, T* gx, int64_t outer, int64_t n,
                                  int64_t inner) {
  const T* const logs = lse + outer * inner;
  if (inner > 1)
    return over_across(outer, n, inner, [&](int64_t at, int64_t width, int64_t first) {
      cross_entropy_backward_across(x + at, target + first, ignore, smoothing, lse + first,
                                    logs + first, scale + first, gx + at, n, width, inner);
    });
  over_lines(outer, n, [&](int64_t line) {
    const T* p = x + line * n;
    T* q = gx + line * n;
    const int64_t t = target[line];
    if (t == ignore) {
      for (int64_t i = 0; i < n; ++i) q[i] = 0;
      return;
    }
    const T s = scale[line], m = lse[line], rest = logs[line], even = smoothing / T(n);
    const auto rule = [=](int64_t i, const T* v) {
      T e[kAbreast];
      for (int64_t l = 0; l < kAbreast; ++l) e[l] = v[l] - m;
      exp_block(e, rest, e);
      put_block(q + i, n - i, [=](int64_t l) { return s * (e[l] - even); });
    };
    over_blocks(n, T(0), rule, p);
    q[t] -= s * (1 - smoothing);
  });
}

void check_targets(const int64_t* target, int64_t n, int64_t classes, int64_t ignore,
                   int64_t* first_wrong, int64_t* ignored) {
  *first_wrong = n;
  *ignored = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (target[i] == ignore) {
      ++*ignored;
    } else if ((target[i] < 0 || target[i] >= classes) && i < *first_wrong) {
      *first_wrong = i;
    }
  }
}

#define EG_TYPED(expression)         \
  visit_float(type, [&](auto zero) { \
    using T = decltype(zero);        \
    expression;                      \
  })
#define EG_IN(p) reinterpret_cast<const T*>(p)
#define EG_OUT(p) reinterpret_cast<T*>(p)

void forward(bool log, DType type, const char* x, char* y, int64_t outer, int64_t length,
             int64_t inner) {
  EG_TYPED(forward_typed(log, EG_IN(x), EG_OUT(y), outer, length, inner));
}
void backward(bool log, DType type, const char* g, const char* y, char* gx, int64_t outer,
              int64_t length, int64_t inner) {
  EG_TYPED(backward_typed(log, EG_IN(g), EG_IN(y), EG_OUT(gx), outer, length, inner));
}
void logsumexp(DType type, const char* x, char* y, int64_t outer, int64_t length, int64_t inner) {
  EG_TYPED(logsumexp_typed(EG_IN(x), EG_OUT(y), outer, length, inner));
}
void cross_entropy(DType type, const char* x, const int64_t* target, int64_t ignore,
                   double smoothing, char* loss, char* lse, int64_t outer, int64_t length,
                   int64_t inner) {
  EG_TYPED(cross_entropy_typed(EG_IN(x), target, ignore, T(smoothing), EG_OUT(loss), EG_OUT(lse),
                               outer, length, inner));
}
void cross_entropy_backward(DType type, const char* x, const int64_t* target, int64_t ignore,
                            double smoothing, const char* lse, const char* scale, char* gx,
                            int64_t outer, int64_t length, int64_t inner) {
  EG_TYPED(cross_entropy_backward_typed(EG_IN(x), target, ignore, T(smoothing), EG_IN(lse),
                                        EG_IN(scale), EG_OUT(gx), outer, length, inner));
}

}  // namespace

EG_KERNELS(SoftmaxKernels, {&forward, &backward, &logsumexp, &cross_entropy,
                            &cross_entropy_backward, &check_targets, nullptr})

}  // namespace eg
