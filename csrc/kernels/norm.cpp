// Note [Sums of float32]. A block of at most kBlock values is summed in vector lanes, blocks in double: the error stays
// that of a short sum however large the batch, and the order depends on shapes only, never on threads.
#include "kernels/norm.h"

#include "core/parallel.h"
#include "kernels/halves.h"
#include "kernels/panel.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

constexpr int64_t kBlock = 1024;

// Lines of elements as T. Halves pass through float, a line at a time, in memory that stays in cache.
[[maybe_unused]] __attribute__((noinline)) void widen_line(DType type, const void* from, int64_t at,
                                                           int64_t n, float* to) {
  if (type == DType::BFloat16)
    widen(to, static_cast<const BFloat16*>(from) + at, n);
  else
    widen(to, static_cast<const Half*>(from) + at, n);
}
[[maybe_unused]] __attribute__((noinline)) void narrow_line(DType type, const float* from, void* to,
                                                            int64_t at, int64_t n) {
  if (type == DType::BFloat16)
    narrow(static_cast<BFloat16*>(to) + at, from, n);
  else
    narrow(static_cast<Half*>(to) + at, from, n);
}
template <class T>
struct Source {
  DType type;
  const void* data;
  // Room for a line of n elements, if they are not T.
  EG_INLINE int64_t room(int64_t n) const { return is_reduced(type) ? n : 0; }
  EG_INLINE const T* line(int64_t at, int64_t n, T* room) const {
    if constexpr (sizeof(T) == 4)
      if (is_reduced(type)) {
        widen_line(type, data, at, n, room);
        return room;
      }
    return static_cast<const T*>(data) + at;
  }
  // f(a line): of BFloat16 as it lies, where vectors of it are read.
  template <class F>
  EG_INLINE double with_line(int64_t at, int64_t n, T* room, F&& f) const {
#if defined(__AVX512BW__)
    if constexpr (sizeof(T) == 4)
      if (type == DType::BFloat16) return f(static_cast<const BFloat16*>(data) + at);
#endif
    return f(line(at, n, room));
  }
};
template <class T>
struct Sink {
  DType type;
  void* data;
  // Where to write a line, which close() puts in its place.
  EG_INLINE T* line(int64_t at, T* room) const {
    return is_reduced(type) ? room : static_cast<T*>(data) + at;
  }
  EG_INLINE void close(int64_t at, int64_t n, const T* room) const {
    if constexpr (sizeof(T) == 4)
      if (is_reduced(type)) narrow_line(type, room, data, at, n);
  }
};

EG_INLINE Vec<float> wide(const float* p) { return load(p); }
EG_INLINE Vec<double> wide(const double* p) { return load(p); }
template <class T>
EG_INLINE T number(T v) {
  return v;
}
#if defined(__AVX512BW__)
EG_INLINE Vec<float> wide(const BFloat16* p) {
  return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
EG_INLINE float number(BFloat16 v) { return to_float(v); }
#endif

// Sums over [0, n) of f(i), given for a vector at i and for one element at i.
template <class T, class V, class S>
EG_INLINE double block_sum(int64_t n, V&& vector, S&& scalar) {
  constexpr int L = kLanes<T>;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    Vec<T> a{}, b{}, c{}, d{};
    int64_t i = begin;
    for (; i + 4 * L <= end; i += 4 * L) {
      a += vector(i);
      b += vector(i + L);
      c += vector(i + 2 * L);
      d += vector(i + 3 * L);
    }
    for (; i + L <= end; i += L) a += vector(i);
    T rest = 0;
    for (; i < end; ++i) rest += scalar(i);
    total += double(lane_sum<T>((a + b) + (c + d)) + rest);
  }
  return total;
}

// X: T, or BFloat16 that is read as float.
template <class T, class X>
EG_INLINE double sum_of(const X* x, int64_t n) {
  return block_sum<T>(
      n, [&](int64_t i) { return wide(x + i); }, [&](int64_t i) { return number(x[i]); });
}
template <class T, class X>
EG_INLINE double sum_of_squares(const X* x, T mean, int64_t n) {
  return block_sum<T>(
      n,
      [&](int64_t i) {
        const Vec<T> d = wide(x + i) - mean;
        return d * d;
      },
      [&](int64_t i) { return (number(x[i]) - mean) * (number(x[i]) - mean); });
}
template <class T, class X>
EG_INLINE double sum_of_products(const X* g, const X* x, T mean, int64_t n) {
  return block_sum<T>(
      n, [&](int64_t i) { return wide(g + i) * (wide(x + i) - mean); },
      [&](int64_t i) { return number(g[i]) * (number(x[i]) - mean); });
}

EG_INLINE int64_t rows_per_task(int64_t n) { return kParallelGrain / 4 / (n > 0 ? n : 1) + 1; }

// ---- rows -----------------------------------------------------------------------------------------------------------

template <class T, bool Weight, bool Bias>
EG_INLINE void write_row(int64_t n, const T* x, T mean, T rstd, const T* w, const T* b, T* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    T v = (x[i] - mean) * rstd;
    if (Weight) v *= w[i];
    if (Bias) v += b[i];
    y[i] = v;
  }
}

// The same past the caches; n is a multiple of the vector, y aligned to it.
template <class T>
EG_INLINE void stream_row(int64_t n, const T* x, T mean, T rstd, const T* w, const T* b, T* y) {
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    Vec<T> v = (load(x + i) - mean) * rstd;
    if (w) v *= load(w + i);
    if (b) v += load(b + i);
    store_past_caches(y + i, v);
  }
}

// Results of this many bytes leave the second-level cache before anybody reads them.
constexpr int64_t kBeyondCache = 8 << 20;
template <class T>
EG_INLINE bool streams(int64_t rows, int64_t n, const Sink<T>& to) {
  return !is_reduced(to.type) && rows * n * int64_t(sizeof(T)) > kBeyondCache &&
         n % kLanes<T> == 0 && reinterpret_cast<uintptr_t>(to.data) % kVectorBytes == 0;
}

template <class T>
void row_forward(int64_t rows, int64_t n, bool center, T eps, Source<T> x, const T* w, const T* b,
                 Sink<T> y, T* mean, T* rstd) {
  const bool stream = streams(rows, n, y);
  parallel_for(rows, rows_per_task(n), [&](int64_t begin, int64_t end) {
    Scratch<T> room(x.room(n));
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x.line(r * n, n, room.data());
      const T m = center ? T(sum_of<T>(row, n) / double(n)) : T(0);
      const T s = T(1 / sqrt(sum_of_squares(row, m, n) / double(n) + eps));
      if (center) mean[r] = m;
      rstd[r] = s;
      T* to = y.line(r * n, room.data());
      if (stream)
        stream_row(n, row, m, s, w, b, to);
      else if (w && b)
        write_row<T, true, true>(n, row, m, s, w, b, to);
      else if (w)
        write_row<T, true, false>(n, row, m, s, w, b, to);
      else if (b)
        write_row<T, false, true>(n, row, m, s, w, b, to);
      else
        write_row<T, false, false>(n, row, m, s, w, b, to);
      y.close(r * n, n, to);
    }
    drain_stores();
  });
}

// The weights' gradients are sums over rows: at most kParts partial sums over fixed runs of rows, then their sum.
constexpr int64_t kParts = 16;
EG_INLINE int64_t rows_per_part(int64_t rows) {
  const int64_t even = (rows + kParts - 1) / kParts;
  return even > 16 ? even : 16;
}
EG_INLINE int64_t parts_of(int64_t rows) {
  return (rows + rows_per_part(rows) - 1) / rows_per_part(rows);
}
int64_t row_scratch(int64_t rows, int64_t n) { return 2 * parts_of(rows) * n; }

// One row of the backward pass; all runs over it in the same blocks.
template <class T>
struct RowBackward {
  int64_t n;
  bool center;
  const T *g, *x, *w;
  T mean, rstd;

  EG_INLINE Vec<T> weighted(int64_t i) const { return w ? load(g + i) * load(w + i) : load(g + i); }
  EG_INLINE T weighted1(int64_t i) const { return w ? g[i] * w[i] : g[i]; }

  // Adds to the weights' gradients (null: not wanted); level and along: sums of g * w, and of that times x - mean.
  EG_INLINE void sums(T* dw, T* db, double* level, double* along) const {
    constexpr int L = kLanes<T>;
    *level = *along = 0;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t end = begin + kBlock < n ? begin + kBlock : n;
      Vec<T> a{}, b{};
      int64_t i = begin;
      for (; i + L <= end; i += L) {
        const Vec<T> gs = load(g + i), unit = load(x + i) - mean, gw = weighted(i);
        a += gw;
        b += gw * unit;
        if (dw) store(dw + i, load(dw + i) + gs * (unit * rstd));
        if (db) store(db + i, load(db + i) + gs);
      }
      T rest = 0, rest_along = 0;
      for (; i < end; ++i) {
        const T unit = x[i] - mean, gw = weighted1(i);
        rest += gw;
        rest_along += gw * unit;
        if (dw) dw[i] += g[i] * (unit * rstd);
        if (db) db[i] += g[i];
      }
      *level += double(lane_sum<T>(a) + rest);
      *along += double(lane_sum<T>(b) + rest_along);
    }
  }

  EG_INLINE void dx(double level, double along, bool stream, T* to) const {
    const T slope = T(along / double(n)) * rstd * rstd * rstd;
    const T shift = center ? T(level / double(n)) * rstd : T(0);
    if (stream) {
      for (int64_t i = 0; i < n; i += kLanes<T>)
        store_past_caches(to + i, weighted(i) * rstd - (load(x + i) - mean) * slope - shift);
      return;
    }
    if (w) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = g[i] * w[i] * rstd - (x[i] - mean) * slope - shift;
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = g[i] * rstd - (x[i] - mean) * slope - shift;
    }
  }
};

template <class T>
void row_backward(int64_t rows, int64_t n, bool center, Source<T> g, Source<T> x, const T* w,
                  const T* mean, const T* rstd, Sink<T> dx, T* dw, T* db, T* scratch) {
  const int64_t each = rows_per_part(rows), parts = parts_of(rows);
  const bool stream = streams(rows, n, dx);
  T *part_w = scratch, *part_b = scratch + parts * n;
  parallel_for(parts, rows_per_task(n * each), [&](int64_t begin, int64_t end) {
    Scratch<T> g_room(g.room(n)), x_room(x.room(n));
    for (int64_t p = begin; p < end; ++p) {
      T *pw = dw ? part_w + p * n : nullptr, *pb = db ? part_b + p * n : nullptr;
      if (pw) memset(pw, 0, n * sizeof(T));
      if (pb) memset(pb, 0, n * sizeof(T));
      const int64_t last = (p + 1) * each < rows ? (p + 1) * each : rows;
      for (int64_t r = p * each; r < last; ++r) {
        const T* gs = g.line(r * n, n, g_room.data());
        const T* xs = x.line(r * n, n, x_room.data());
        const RowBackward<T> row{n, center, gs, xs, w, center ? mean[r] : T(0), rstd[r]};
        double level, along;
        row.sums(pw, pb, &level, &along);
        if (!dx.data) continue;
        T* to = dx.line(r * n, g_room.data());
        row.dx(level, along, stream, to);
        dx.close(r * n, n, to);
      }
    }
    drain_stores();
  });
  const auto total = [&](const T* part, T* out) {
    memset(out, 0, n * sizeof(T));
    for (int64_t p = 0; p < parts; ++p) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) out[i] += part[p * n + i];
    }
  };
  if (dw) total(part_w, dw);
  if (db) total(part_b, db);
}

// ---- channels -------------------------------------------------------------------------------------------------------

// body(first channel, channels): whole channels where a channel's values lie together, else blocks of neighbours.
template <class F>
EG_INLINE void for_channels(const ChannelShape& s, int64_t block, F&& body) {
  const int64_t blocks = (s.channels + block - 1) / block;
  parallel_for(blocks, rows_per_task(s.outer * s.inner * block), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t c = b * block;
      body(c, s.channels - c < block ? s.channels - c : block);
    }
  });
}
// Columns of a pass over rows: wide stretches of rows that are far apart, where they are enough for all threads.
constexpr int64_t kColumns = 256;
EG_INLINE int64_t columns_of_pass(const ChannelShape& s) {
  return s.channels >= 1024 ? kColumns : 64;
}

// Column sums of row(r)(column) for `n` <= kColumns neighbouring columns: runs of kBlock rows in T, runs in double.
template <class T, class F>
EG_INLINE void column_sums(int64_t rows, int64_t n, double* total, F&& row) {
  for (int64_t i = 0; i < n; ++i) total[i] = 0;
  for (int64_t begin = 0; begin < rows; begin += kBlock) {
    const int64_t end = begin + kBlock < rows ? begin + kBlock : rows;
    T part[kColumns] = {};
    for (int64_t r = begin; r < end; ++r) {
      const auto f = row(r);
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) part[i] += f(i);
    }
    for (int64_t i = 0; i < n; ++i) total[i] += double(part[i]);
  }
}

template <class T>
void moments(const ChannelShape& s, Source<T> x, T* mean, T* var) {
  const double count = double(s.outer * s.inner);
  if (s.inner == 1) {
    for_channels(s, columns_of_pass(s), [&](int64_t c, int64_t n) {
      double total[kColumns];
      alignas(64) T room[kColumns];
      column_sums<T>(s.outer, n, total, [&](int64_t r) {
        const T* from = x.line(r * s.channels + c, n, room);
        return [=](int64_t i) { return from[i]; };
      });
      for (int64_t i = 0; i < n; ++i) mean[c + i] = T(total[i] / count);
      const T* m = mean + c;
      column_sums<T>(s.outer, n, total, [&](int64_t r) {
        const T* from = x.line(r * s.channels + c, n, room);
        return [=](int64_t i) { return (from[i] - m[i]) * (from[i] - m[i]); };
      });
      for (int64_t i = 0; i < n; ++i) var[c + i] = T(total[i] / count);
    });
    return;
  }
  for_channels(s, 1, [&](int64_t c, int64_t) {
    Scratch<T> room(x.room(s.inner));
    const auto over = [&](auto&& f) {
      double total = 0;
      for (int64_t o = 0; o < s.outer; ++o)
        total += x.with_line((o * s.channels + c) * s.inner, s.inner, room.data(), f);
      return total;
    };
    const T m = T(over([&](auto* line) { return sum_of<T>(line, s.inner); }) / count);
    const double squares = over([&](auto* line) { return sum_of_squares(line, m, s.inner); });
    mean[c] = m;
    var[c] = T(squares / count);
  });
}

template <class T>
void sums(const ChannelShape& s, Source<T> g, Source<T> x, const T* mean, int64_t per_mean,
          T* sum_g) {
  T* sum_gx = sum_g + s.channels;
  if (s.inner == 1) {
    for_channels(s, columns_of_pass(s), [&](int64_t c, int64_t n) {
      double total[kColumns];
      alignas(64) T g_room[kColumns], x_room[kColumns], means[kColumns];
      for (int64_t i = 0; i < n; ++i) means[i] = mean[(c + i) / per_mean];
      const T* m = means;
      column_sums<T>(s.outer, n, total, [&](int64_t r) {
        const T* gs = g.line(r * s.channels + c, n, g_room);
        return [=](int64_t i) { return gs[i]; };
      });
      for (int64_t i = 0; i < n; ++i) sum_g[c + i] = T(total[i]);
      column_sums<T>(s.outer, n, total, [&](int64_t r) {
        const T* gs = g.line(r * s.channels + c, n, g_room);
        const T* xs = x.line(r * s.channels + c, n, x_room);
        return [=](int64_t i) { return gs[i] * (xs[i] - m[i]); };
      });
      for (int64_t i = 0; i < n; ++i) sum_gx[c + i] = T(total[i]);
    });
    return;
  }
  for_channels(s, 1, [&](int64_t c, int64_t) {
    Scratch<T> g_room(g.room(s.inner)), x_room(x.room(s.inner));
    double total = 0, products = 0;
    for (int64_t o = 0; o < s.outer; ++o) {
      const int64_t at = (o * s.channels + c) * s.inner;
      const T m = mean[c / per_mean];
      products += g.with_line(at, s.inner, g_room.data(), [&](auto* gs) {
        using X = std::remove_reference_t<decltype(*gs)>;
        total += sum_of<T>(gs, s.inner);
        const X* xs = nullptr;
        if constexpr (sizeof(X) == sizeof(T))
          xs = x.line(at, s.inner, x_room.data());
        else
          xs = static_cast<const X*>(x.data) + at;
        return sum_of_products(gs, xs, m, s.inner);
      });
    }
    sum_g[c] = T(total);
    sum_gx[c] = T(products);
  });
}

// line(offset, first channel, length, room for two lines of halves): the channel is the same all along the line, or each
// element's is the next one if inner is 1.
template <class T, class F>
EG_INLINE void for_lines(const ChannelShape& s, F&& line) {
  const bool columns = s.inner == 1;
  const int64_t lines = columns ? s.outer : s.outer * s.channels;
  const int64_t length = columns ? s.channels : s.inner;
  parallel_for(lines, rows_per_task(length), [&](int64_t begin, int64_t end) {
    Scratch<T> room(is_reduced(s.dtype) ? 2 * length : 0);
    for (int64_t l = begin; l < end; ++l)
      line(l * length, columns ? 0 : l % s.channels, length, room.data());
  });
}

template <class T>
void affine(const ChannelShape& s, Source<T> x, const T* a, const T* b, Sink<T> y) {
  const bool columns = s.inner == 1;
  for_lines<T>(s, [&](int64_t at, int64_t c, int64_t n, T* room) {
    const T* from = x.line(at, n, room);
    T* to = y.line(at, room);
    if (columns) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = a[i] * from[i] + b[i];
    } else {
      const T scale = a[c], shift = b[c];
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = scale * from[i] + shift;
    }
    y.close(at, n, to);
  });
}

template <class T>
void combine(const ChannelShape& s, Source<T> g, Source<T> x, const T* a, const T* b, const T* k,
             Sink<T> y) {
  const bool columns = s.inner == 1;
  for_lines<T>(s, [&](int64_t at, int64_t c, int64_t n, T* room) {
    const T *gs = g.line(at, n, room), *xs = x.line(at, n, is_reduced(s.dtype) ? room + n : room);
    T* to = y.line(at, room);
    if (columns) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = a[i] * gs[i] + b[i] * xs[i] + k[i];
    } else {
      const T ga = a[c], xb = b[c], shift = k[c];
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = ga * gs[i] + xb * xs[i] + shift;
    }
    y.close(at, n, to);
  });
}

// ---- dispatch -------------------------------------------------------------------------------------------------------

#define P(p) static_cast<const T*>(p)
#define Q(p) static_cast<T*>(p)

void row_forward_any(DType t, int64_t rows, int64_t n, bool center, double eps, const void* x,
                     const void* w, const void* b, void* y, void* mean, void* rstd) {
  visit_float(t, [&](auto zero) {
    using T = decltype(zero);
    row_forward<T>(rows, n, center, T(eps), Source<T>{t, x}, P(w), P(b), Sink<T>{t, y}, Q(mean),
                   Q(rstd));
  });
}
void row_backward_any(DType t, int64_t rows, int64_t n, bool center, const void* g, const void* x,
                      const void* w, const void* mean, const void* rstd, void* dx, void* dw,
                      void* db, void* scratch) {
  visit_float(t, [&](auto zero) {
    using T = decltype(zero);
    row_backward<T>(rows, n, center, Source<T>{t, g}, Source<T>{t, x}, P(w), P(mean), P(rstd),
                    Sink<T>{t, dx}, Q(dw), Q(db), Q(scratch));
  });
}
void moments_any(const ChannelShape& s, const void* x, void* mean, void* var) {
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    moments<T>(s, Source<T>{s.dtype, x}, Q(mean), Q(var));
  });
}
void sums_any(const ChannelShape& s, const void* g, const void* x, const void* mean,
              int64_t per_mean, void* to) {
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    sums<T>(s, Source<T>{s.dtype, g}, Source<T>{s.dtype, x}, P(mean), per_mean, Q(to));
  });
}
void affine_any(const ChannelShape& s, const void* x, const void* a, const void* b, void* y) {
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    affine<T>(s, Source<T>{s.dtype, x}, P(a), P(b), Sink<T>{s.dtype, y});
  });
}
void combine_any(const ChannelShape& s, const void* g, const void* x, const void* a, const void* b,
                 const void* k, void* y) {
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    combine<T>(s, Source<T>{s.dtype, g}, Source<T>{s.dtype, x}, P(a), P(b), P(k),
               Sink<T>{s.dtype, y});
  });
}

void fold(DType t, const ChannelFold& f) {
  visit_float(t, [&](auto zero) {
    for (int64_t c = 0; c < f.of.channels; ++c) f.channel<decltype(zero)>(c);
  });
}
void terms(DType t, const ChannelTerms& f) {
  visit_float(t, [&](auto zero) {
    for (int64_t g = 0; g < f.of.groups(); ++g) f.group<decltype(zero)>(g);
    for (int64_t i = 0; i < f.of.weights; ++i) f.weight_gradient<decltype(zero)>(i);
  });
}

#undef P
#undef Q

}  // namespace

EG_KERNELS(NormKernels, {&row_forward_any, &row_backward_any, &row_scratch, &moments_any, &sums_any,
                         &affine_any, &combine_any, &fold, &terms});

}  // namespace eg
