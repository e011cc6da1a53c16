#include "kernels/grain.h"
#include "kernels/integers.h"
#include "kernels/reduce.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace {

constexpr int64_t kLanes = 16;

template <class T>
EG_INLINE T line_max(const T* x, int64_t n) {
  constexpr int64_t kWide = 4 * kLanes;  // several comparisons under way at once
  T lane[kWide];
  for (int64_t l = 0; l < kWide; ++l) lane[l] = T(-INFINITY);
  int64_t i = 0;
  for (; i + kWide <= n; i += kWide)
    for (int64_t l = 0; l < kWide; ++l) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
  T m = T(-INFINITY);
  for (int64_t l = 0; l < kWide; ++l) m = lane[l] > m ? lane[l] : m;
  for (; i < n; ++i) m = x[i] > m ? x[i] : m;
  return m;
}

// Sum in lanes, joined pairwise; lines of float in blocks so that long ones stay accurate.
template <class T, class F>
EG_INLINE T line_sum(int64_t n, F f) {
  double total = 0;
  for (int64_t b = 0; b < n; b += 4096) {
    const int64_t end = n - b < 4096 ? n : b + 4096;
    T lane[kLanes];
    for (int64_t l = 0; l < kLanes; ++l) lane[l] = 0;
    int64_t i = b;
    for (; i + kLanes <= end; i += kLanes)
      for (int64_t l = 0; l < kLanes; ++l) lane[l] += f(i + l);
    for (int64_t l = 0; i < end; ++i, ++l) lane[l] += f(i);
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
      for (int64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
    total += double(lane[0]);
  }
  return T(total);
}

template <class F>
void over_lines(int64_t lines, int64_t length, F f) {
  parallel_for(lines, grain_of(4 * length), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

// Short lines are taken kLanes at a time, side by side: what a line alone would do element by element, vectors do for all.
constexpr int64_t kShort = 64;

template <class T>
struct SideBySide {
  T v[kShort * kLanes];  // element i of line r at i * kLanes + r

  EG_INLINE void read(const T* x, int64_t lines, int64_t n) {
    for (int64_t r = 0; r < kLanes; ++r)
      for (int64_t i = 0; i < n; ++i) v[i * kLanes + r] = r < lines ? x[r * n + i] : T(0);
  }
  EG_INLINE void write(T* y, int64_t lines, int64_t n) const {
    for (int64_t r = 0; r < lines; ++r)
      for (int64_t i = 0; i < n; ++i) y[r * n + i] = v[i * kLanes + r];
  }
  EG_INLINE void max(int64_t n, T* m) const {
    for (int64_t r = 0; r < kLanes; ++r) m[r] = T(-INFINITY);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < kLanes; ++r)
        m[r] = v[i * kLanes + r] > m[r] ? v[i * kLanes + r] : m[r];
  }
  // f(element, line) of all elements, summed line by line.
  template <class F>
  EG_INLINE void sum(int64_t n, T* total, F f) {
    for (int64_t r = 0; r < kLanes; ++r) total[r] = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < kLanes; ++r) total[r] += f(v[i * kLanes + r], r);
  }
  template <class F>
  EG_INLINE void each(int64_t n, F f) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < kLanes; ++r) f(v[i * kLanes + r], r);
  }
};

// body(first line, lines) for strips of kLanes lines
template <class F>
void over_strips(int64_t lines, int64_t n, F body) {
  parallel_for(ceil_div(lines, kLanes), grain_of(4 * n * kLanes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i * kLanes, min64(kLanes, lines - i * kLanes));
  });
}

template <class T>
void forward_of_short(bool log, const T* x, T* y, int64_t lines, int64_t n) {
  over_strips(lines, n, [&](int64_t first, int64_t count) {
    SideBySide<T> s;
    T m[kLanes], total[kLanes];
    s.read(x + first * n, count, n);
    s.max(n, m);
    if (log) {
      s.sum(n, total, [&](T v, int64_t r) { return vocabulary::exp(v - m[r]); });
      for (int64_t r = 0; r < kLanes; ++r) m[r] += vocabulary::log(total[r]);
      s.each(n, [&](T& v, int64_t r) { v -= m[r]; });
    } else {
      s.sum(n, total, [&](T& v, int64_t r) { return v = vocabulary::exp(v - m[r]); });
      for (int64_t r = 0; r < kLanes; ++r) total[r] = 1 / total[r];
      s.each(n, [&](T& v, int64_t r) { v *= total[r]; });
    }
    s.write(y + first * n, count, n);
  });
}

template <class T>
void backward_of_short(bool log, const T* g, const T* y, T* gx, int64_t lines, int64_t n) {
  over_strips(lines, n, [&](int64_t first, int64_t count) {
    SideBySide<T> s, from;
    T total[kLanes];
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

// All -inf: exp(-inf - (-inf)) is NaN, as PyTorch.
template <class T>
void forward_typed(bool log, const T* x, T* y, int64_t lines, int64_t n) {
  if (n <= kShort) return forward_of_short(log, x, y, lines, n);
  over_lines(lines, n, [&](int64_t line) {
    const T* p = x + line * n;
    T* q = y + line * n;
    const T m = line_max(p, n);
    if (log) {
      const T total = line_sum<T>(n, [&](int64_t i) { return vocabulary::exp(p[i] - m); });
      const T lse = m + vocabulary::log(total);
      for (int64_t i = 0; i < n; ++i) q[i] = p[i] - lse;
    } else {
      const T total = line_sum<T>(n, [&](int64_t i) { return q[i] = vocabulary::exp(p[i] - m); });
      const T scale = 1 / total;
      for (int64_t i = 0; i < n; ++i) q[i] *= scale;
    }
  });
}

template <class T>
void backward_typed(bool log, const T* g, const T* y, T* gx, int64_t lines, int64_t n) {
  if (n <= kShort) return backward_of_short(log, g, y, gx, lines, n);
  over_lines(lines, n, [&](int64_t line) {
    const T *pg = g + line * n, *py = y + line * n;
    T* q = gx + line * n;
    if (log) {
      const T total = line_sum<T>(n, [&](int64_t i) { return pg[i]; });
      for (int64_t i = 0; i < n; ++i) q[i] = pg[i] - vocabulary::exp(py[i]) * total;
    } else {
      const T dot = line_sum<T>(n, [&](int64_t i) { return pg[i] * py[i]; });
      for (int64_t i = 0; i < n; ++i) q[i] = py[i] * (pg[i] - dot);
    }
  });
}

template <class T>
EG_INLINE T line_logsumexp(const T* p, int64_t n) {
  const T m = line_max(p, n);
  if (m == T(-INFINITY) || m == T(INFINITY)) {
    // No finite maximum to subtract: the answer is the maximum itself unless a NaN is there.
    T sum = m;
    for (int64_t i = 0; i < n; ++i)
      if (p[i] != p[i]) sum = p[i];
    return sum;
  }
  return m + vocabulary::log(line_sum<T>(n, [&](int64_t i) { return vocabulary::exp(p[i] - m); }));
}

template <class T>
void logsumexp_typed(const T* x, T* y, int64_t lines, int64_t n) {
  if (n > kShort)
    return over_lines(lines, n, [&](int64_t i) { y[i] = line_logsumexp(x + i * n, n); });
  over_strips(lines, n, [&](int64_t first, int64_t count) {
    SideBySide<T> s;
    T m[kLanes], total[kLanes];
    s.read(x + first * n, count, n);
    s.max(n, m);
    s.sum(n, total, [&](T v, int64_t r) { return vocabulary::exp(v - m[r]); });
    for (int64_t r = 0; r < kLanes; ++r) total[r] = m[r] + vocabulary::log(total[r]);
    for (int64_t r = 0; r < count; ++r) {
      const bool is_finite = m[r] > T(-INFINITY) && m[r] < T(INFINITY);
      y[first + r] = is_finite ? total[r] : line_logsumexp(x + (first + r) * n, n);
    }
  });
}

template <class T>
void cross_entropy_typed(const T* x, const int64_t* target, int64_t ignore, T smoothing, T* loss,
                         T* lse, int64_t lines, int64_t n) {
  logsumexp_typed(x, lse, lines, n);
  over_lines(lines, smoothing != 0 ? n : 1, [&](int64_t line) {
    const T* p = x + line * n;
    const int64_t t = target[line];
    if (t == ignore) {
      loss[line] = 0;
      return;
    }
    T v = lse[line] - (1 - smoothing) * p[t];
    if (smoothing != 0) v -= smoothing * (line_sum<T>(n, [&](int64_t i) { return p[i]; }) / T(n));
    loss[line] = v;
  });
}

template <class T>
void cross_entropy_backward_typed(const T* x, const int64_t* target, int64_t ignore, T smoothing,
                                  const T* lse, const T* scale, T* gx, int64_t lines, int64_t n) {
  over_lines(lines, n, [&](int64_t line) {
    const T* p = x + line * n;
    T* q = gx + line * n;
    const int64_t t = target[line];
    if (t == ignore) {
      for (int64_t i = 0; i < n; ++i) q[i] = 0;
      return;
    }
    const T s = scale[line], m = lse[line], even = smoothing / T(n);
    for (int64_t i = 0; i < n; ++i) q[i] = s * (vocabulary::exp(p[i] - m) - even);
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

void forward(bool log, DType type, const char* x, char* y, int64_t lines, int64_t length) {
  EG_TYPED(forward_typed(log, EG_IN(x), EG_OUT(y), lines, length));
}
void backward(bool log, DType type, const char* g, const char* y, char* gx, int64_t lines,
              int64_t length) {
  EG_TYPED(backward_typed(log, EG_IN(g), EG_IN(y), EG_OUT(gx), lines, length));
}
void logsumexp(DType type, const char* x, char* y, int64_t lines, int64_t length) {
  EG_TYPED(logsumexp_typed(EG_IN(x), EG_OUT(y), lines, length));
}
void cross_entropy(DType type, const char* x, const int64_t* target, int64_t ignore,
                   double smoothing, char* loss, char* lse, int64_t lines, int64_t length) {
  EG_TYPED(cross_entropy_typed(EG_IN(x), target, ignore, T(smoothing), EG_OUT(loss), EG_OUT(lse),
                               lines, length));
}
void cross_entropy_backward(DType type, const char* x, const int64_t* target, int64_t ignore,
                            double smoothing, const char* lse, const char* scale, char* gx,
                            int64_t lines, int64_t length) {
  EG_TYPED(cross_entropy_backward_typed(EG_IN(x), target, ignore, T(smoothing), EG_IN(lse),
                                        EG_IN(scale), EG_OUT(gx), lines, length));
}

}  // namespace

EG_KERNELS(SoftmaxKernels, {&forward, &backward, &logsumexp, &cross_entropy,
                            &cross_entropy_backward, &check_targets, nullptr})

}  // namespace eg
