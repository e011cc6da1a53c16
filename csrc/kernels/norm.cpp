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

// One copy of each for the channels, whose lines are long.
template <class T, class X>
__attribute__((noinline)) double line_sum(const X* x, int64_t n) {
  return sum_of<T>(x, n);
}
template <class T, class X>
__attribute__((noinline)) double line_squares(const X* x, T mean, int64_t n) {
  return sum_of_squares(x, mean, n);
}
template <class T, class X>
__attribute__((noinline)) double line_products(const X* g, const X* x, T mean, int64_t n) {
  return sum_of_products(g, x, mean, n);
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

// Mean, and squared differences from it, of all that was added: one pass over memory, a block of which is read twice in the first
// cache (Chan, Golub & LeVeque 1983).
struct Moments {
  double count = 0, mean = 0, squares = 0;

  template <class T, class X>
  EG_INLINE void add(const X* x, int64_t n) {
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t m = n - begin < kBlock ? n - begin : kBlock;
      const double average = line_sum<T>(x + begin, m) / double(m);
      const double off = average - mean, part = double(m) / (count + double(m));
      squares += line_squares(x + begin, T(average), m) + off * off * count * part;
      mean += off * part;
      count += double(m);
    }
  }
};

template <class T>
__attribute__((noinline)) void scale_line(int64_t n, const T* x, T a, T b, T* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = a * x[i] + b;
}
template <class T>
__attribute__((noinline)) void scale_each(int64_t n, const T* x, const T* a, const T* b, T* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] * x[i] + b[i];
}
template <class T>
__attribute__((noinline)) void combine_line(int64_t n, const T* g, const T* x, T a,
                                            const GroupTerms<T>& t, T* y) {
  const T slope = t.slope, shift = t.shift;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = a * g[i] + slope * x[i] + shift;
}
template <class T>
__attribute__((noinline)) void combine_each(int64_t n, const T* g, const T* x, const T* a,
                                            const T* b, const T* k, T* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] * g[i] + b[i] * x[i] + k[i];
}

// Groups of channels where they lie: `outer` stretches of `length` values. Where a group is a single column they are `columns` of
// rows instead.
template <class T>
struct Groups {
  const ChannelShape& s;
  int64_t count, length;
  bool columns;
  using Body = FunctionRef<void(int64_t, T*)>;
  using Piece = FunctionRef<void(int64_t, int64_t, T*)>;

  Groups(const ChannelShape& s, const ChannelGroups& of)
      : s(s),
        count(of.groups()),
        length(of.per_group * s.inner),
        columns(s.inner == 1 && of.per_group == 1) {}

  EG_INLINE int64_t at(int64_t o, int64_t g) const { return (o * count + g) * length; }
  // No work for all threads.
  EG_INLINE bool few() const { return count < 4 * num_threads(); }
  // For stretches of two inputs, if they are halves, and three coefficients a channel, if it is one value.
  EG_INLINE int64_t room() const {
    return (is_reduced(s.dtype) ? 2 * length : 0) + (s.inner == 1 ? 3 * length : 0);
  }
  EG_INLINE T* behind_halves(T* room) const {
    return room + (is_reduced(s.dtype) ? 2 * length : 0);
  }

  // body(group, room), then piece(group, offset of a stretch, room) for each of its stretches, while the group is in the caches.
  __attribute__((noinline)) void each(Body body, Piece piece) const {
    parallel_for(count, rows_per_task(s.outer * length), [&](int64_t begin, int64_t end) {
      Scratch<T> scratch(room());
      for (int64_t g = begin; g < end; ++g) {
        body(g, scratch.data());
        for (int64_t o = 0; o < s.outer; ++o) piece(g, at(o, g), scratch.data());
      }
    });
  }
  __attribute__((noinline)) void pieces(Piece piece) const {
    parallel_for(s.outer * count, rows_per_task(length), [&](int64_t begin, int64_t end) {
      Scratch<T> scratch(room());
      for (int64_t l = begin; l < end; ++l) piece(l % count, l * length, scratch.data());
    });
  }
};

// body(first column, columns): blocks of neighbours, wide stretches of rows that are far apart where they are enough for all
// threads.
constexpr int64_t kColumns = 256;
template <class F>
EG_INLINE void for_columns(const ChannelShape& s, F&& body) {
  const int64_t block = s.channels >= 1024 ? kColumns : 64;
  parallel_for((s.channels + block - 1) / block, rows_per_task(s.outer * block),
               [&](int64_t begin, int64_t end) {
                 for (int64_t b = begin; b < end; ++b) {
                   const int64_t c = b * block;
                   body(c, s.channels - c < block ? s.channels - c : block);
                 }
               });
}
// Sums over rows of what add(row, sums) adds to `n` numbers: runs of kBlock rows in T, runs in double.
constexpr int64_t kColumnSums = 2 * kColumns;
template <class T>
__attribute__((noinline)) void column_sums(int64_t rows, int64_t n, double* total,
                                           FunctionRef<void(int64_t, T*)> add) {
  for (int64_t i = 0; i < n; ++i) total[i] = 0;
  for (int64_t begin = 0; begin < rows; begin += kBlock) {
    const int64_t end = begin + kBlock < rows ? begin + kBlock : rows;
    T part[kColumnSums];
    for (int64_t i = 0; i < n; ++i) part[i] = 0;
    for (int64_t r = begin; r < end; ++r) add(r, part);
    for (int64_t i = 0; i < n; ++i) total[i] += double(part[i]);
  }
}
template <class T>
void column_moments(const ChannelShape& s, Source<T> x, T* mean, T* var) {
  for_columns(s, [&](int64_t c, int64_t n) {
    double total[kColumns];
    alignas(64) T room[kColumns];
    const auto from = [&](int64_t r) { return x.line(r * s.channels + c, n, room); };
    column_sums<T>(s.outer, n, total, [&](int64_t r, T* part) {
      const T* row = from(r);
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) part[i] += row[i];
    });
    for (int64_t i = 0; i < n; ++i) mean[c + i] = T(total[i] / double(s.outer));
    const T* m = mean + c;
    column_sums<T>(s.outer, n, total, [&](int64_t r, T* part) {
      const T* row = from(r);
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) part[i] += (row[i] - m[i]) * (row[i] - m[i]);
    });
    for (int64_t i = 0; i < n; ++i) var[c + i] = T(total[i] / double(s.outer));
  });
}
// Sums of g and of g * (x - mean).
template <class T>
void column_products(const ChannelShape& s, Source<T> g, Source<T> x, const T* mean, T* sum_g,
                     T* sum_gx) {
  for_columns(s, [&](int64_t c, int64_t n) {
    double total[kColumnSums];
    alignas(64) T g_room[kColumns], x_room[kColumns];
    const T* m = mean + c;
    column_sums<T>(s.outer, 2 * n, total, [&](int64_t r, T* level) {
      const T* gs = g.line(r * s.channels + c, n, g_room);
      const T* xs = x.line(r * s.channels + c, n, x_room);
      T* const along = level + n;
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) {
        level[i] += gs[i];
        along[i] += gs[i] * (xs[i] - m[i]);
      }
    });
    for (int64_t i = 0; i < n; ++i) sum_g[c + i] = T(total[i]);
    for (int64_t i = 0; i < n; ++i) sum_gx[c + i] = T(total[n + i]);
  });
}
// line(offset, room for two lines of halves) of each row.
template <class T, class F>
EG_INLINE void for_rows(const ChannelShape& s, F&& line) {
  parallel_for(s.outer, rows_per_task(s.channels), [&](int64_t begin, int64_t end) {
    Scratch<T> room(is_reduced(s.dtype) ? 2 * s.channels : 0);
    for (int64_t r = begin; r < end; ++r) line(r * s.channels, room.data());
  });
}

// Not inlined: their arithmetic in vectors would be most of this file.
template <class T>
__attribute__((noinline)) void settle(const ChannelFold& f, int64_t group) {
  f.group<T>(group);
}
// Scale and shift of a group's channels.
template <class T>
__attribute__((noinline)) void fold_channels(const ChannelFold& f, int64_t group, T* a, T* b) {
  const T m = static_cast<const T*>(f.mean)[group], r = static_cast<const T*>(f.rstd)[group];
  const int64_t first = f.of.first_weight(group), n = f.of.per_group;
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) a[c] = f.scale(first + c, r);
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) b[c] = f.shift(first + c, m, a[c]);
}
// The coefficients of their gradients.
template <class T>
__attribute__((noinline)) void spread_terms(const ChannelTerms& f, int64_t group,
                                            const GroupTerms<T>& t, T* a, T* b, T* k) {
  const int64_t first = f.of.first_weight(group), n = f.of.per_group;
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) a[c] = f.scale(first + c, t.r);
  for (int64_t c = 0; c < n; ++c) b[c] = t.slope, k[c] = t.shift;
}
template <class T>
__attribute__((noinline)) GroupTerms<T> terms_of(const ChannelTerms& f, int64_t group,
                                                 const T* sum_g, const T* sum_gx) {
  return f.group(group, sum_g, sum_gx);
}

template <class T>
void normalise(const ChannelShape& s, const ChannelFold& f, bool given, Source<T> x, Sink<T> y) {
  const Groups<T> groups(s, f.of);
  T *const mean = static_cast<T*>(f.mean), *const var = static_cast<T*>(f.var);
  const T* const rstd = static_cast<const T*>(f.rstd);
  if (groups.columns) {
    if (!given) column_moments(s, x, mean, var);
    Scratch<T> terms(2 * s.channels);
    T *const a = terms.data(), *const b = a + s.channels;
    for (int64_t c = 0; c < s.channels; ++c) {
      settle<T>(f, c);
      fold_channels(f, c, a + c, b + c);
    }
    return for_rows<T>(s, [&](int64_t at, T* room) {
      const T* from = x.line(at, s.channels, room);
      T* to = y.line(at, room);
      scale_each(s.channels, from, a, b, to);
      y.close(at, s.channels, to);
    });
  }
  const double values = double(s.outer) * double(groups.length);
  const auto learn = [&](int64_t g, T* room) {
    const auto over = [&](auto&& each) {
      double total = 0;
      for (int64_t o = 0; o < s.outer; ++o)
        total += x.with_line(groups.at(o, g), groups.length, room, each);
      return total;
    };
    if (groups.length < kBlock / 2 && s.outer > 1) {  // short stretches: twice through all of them
      const T m = T(over([&](auto* line) { return line_sum<T>(line, groups.length); }) / values);
      mean[g] = m;
      var[g] = T(over([&](auto* line) { return line_squares(line, m, groups.length); }) / values);
    } else {
      Moments all;
      over([&](auto* line) {
        all.add<T>(line, groups.length);
        return 0.0;
      });
      mean[g] = T(all.mean);
      var[g] = T(all.squares / values);
    }
    settle<T>(f, g);
  };
  const auto write = [&](int64_t g, int64_t at, T* room) {
    const T m = mean[g], r = rstd[g];
    const int64_t first = f.of.first_weight(g);
    const T* from = x.line(at, groups.length, room);
    T* const to = y.line(at, room);
    if (s.inner == 1) {
      T *const a = groups.behind_halves(room), *const b = a + groups.length;
      fold_channels(f, g, a, b);
      scale_each(groups.length, from, a, b, to);
    } else {
      for (int64_t c = 0, i = 0; c < f.of.per_group; ++c, i += s.inner) {
        const T scale = f.scale(first + c, r);
        scale_line(s.inner, from + i, scale, f.shift(first + c, m, scale), to + i);
      }
    }
    y.close(at, groups.length, to);
  };
  if (!given && !groups.few()) return groups.each(learn, write);
  if (given)
    for (int64_t g = 0; g < groups.count; ++g) settle<T>(f, g);
  else
    groups.each(learn, [](int64_t, int64_t, T*) {});
  groups.pieces(write);
}

template <class T>
void differentiate(const ChannelShape& s, const ChannelTerms& f, Source<T> g, Source<T> x,
                   Sink<T> dx) {
  const Groups<T> groups(s, f.of);
  const int64_t per_group = f.of.per_group, weights = f.of.weights;
  const T* const mean = static_cast<const T*>(f.mean);
  Scratch<T> sums(2 * s.channels);
  Scratch<GroupTerms<T>> terms(groups.count);
  T *const sum_g = sums.data(), *const sum_gx = sum_g + s.channels;
  const auto learn = [&](int64_t group) {
    const int64_t first = group * per_group;
    terms.data()[group] = terms_of(f, group, sum_g + first, sum_gx + first);
  };
  if (groups.columns) {
    column_products(s, g, x, mean, sum_g, sum_gx);
    for (int64_t c = 0; c < s.channels; ++c) learn(c);
    Scratch<T> coefficients(dx.data ? 3 * s.channels : 0);
    T *const a = coefficients.data(), *const b = a + s.channels, *const k = b + s.channels;
    for (int64_t c = 0; dx.data && c < s.channels; ++c)
      spread_terms(f, c, terms.data()[c], a + c, b + c, k + c);
    if (dx.data)
      for_rows<T>(s, [&](int64_t at, T* room) {
        const T* gs = g.line(at, s.channels, room);
        T* const to = dx.line(at, room);
        if (f.fixed)
          scale_each(s.channels, gs, a, k, to);
        else
          combine_each(s.channels, gs, x.line(at, s.channels, room + (room ? s.channels : 0)), a, b,
                       k, to);
        dx.close(at, s.channels, to);
      });
  } else {
    const auto sum_channel = [&](int64_t c, T* room) {
      const T m = mean[c / per_group];
      double total = 0, products = 0;
      for (int64_t o = 0; o < s.outer; ++o) {
        const int64_t at = (o * s.channels + c) * s.inner;
        products += g.with_line(at, s.inner, room, [&](auto* gs) {
          using X = std::remove_reference_t<decltype(*gs)>;
          total += line_sum<T>(gs, s.inner);
          const X* xs = nullptr;
          if constexpr (sizeof(X) == sizeof(T))
            xs = x.line(at, s.inner, room + (room ? s.inner : 0));
          else
            xs = static_cast<const X*>(x.data) + at;
          return line_products(gs, xs, m, s.inner);
        });
      }
      sum_g[c] = T(total);
      sum_gx[c] = T(products);
    };
    const auto sum = [&](int64_t group, T* room) {
      const int64_t first = group * per_group;
      if (s.inner == 1 && s.outer == 1) {
        const T m = mean[group];
        T *const level = sum_g + first, *const along = sum_gx + first;
        const T* gs = g.line(first, per_group, room);
        const T* xs = x.line(first, per_group, room + (room ? per_group : 0));
        for (int64_t i = 0; i < per_group; ++i) level[i] = gs[i], along[i] = gs[i] * (xs[i] - m);
      } else {
        for (int64_t c = first; c < first + per_group; ++c) sum_channel(c, room);
      }
      learn(group);
    };
    const auto write = [&](int64_t group, int64_t at, T* room) {
      if (!dx.data) return;
      const GroupTerms<T> t = terms.data()[group];
      const int64_t first = f.of.first_weight(group), n = groups.length;
      const T* gs = g.line(at, n, room);
      T* const to = dx.line(at, room);
      if (f.fixed) {  // a group is a channel
        scale_line(n, gs, f.scale(first, t.r), T(0), to);
        return dx.close(at, n, to);
      }
      const T* xs = x.line(at, n, room + (room ? n : 0));
      if (s.inner == 1) {
        T *const a = groups.behind_halves(room), *const b = a + n, *const k = b + n;
        spread_terms(f, group, t, a, b, k);
        combine_each(n, gs, xs, a, b, k, to);
      } else {
        for (int64_t c = 0, i = 0; c < per_group; ++c, i += s.inner)
          combine_line(s.inner, gs + i, xs + i, f.scale(first + c, t.r), t, to + i);
      }
      dx.close(at, n, to);
    };
    if (groups.few()) {
      parallel_for(s.channels, rows_per_task(s.outer * s.inner), [&](int64_t begin, int64_t end) {
        Scratch<T> scratch(groups.room());
        for (int64_t c = begin; c < end; ++c) sum_channel(c, scratch.data());
      });
      for (int64_t group = 0; group < groups.count; ++group) learn(group);
      groups.pieces(write);
    } else {
      groups.each(sum, write);
    }
  }
  T *const d_weight = static_cast<T*>(f.d_weight), *const d_bias = static_cast<T*>(f.d_bias);
  memset(d_weight, 0, weights * sizeof(T));
  memset(d_bias, 0, weights * sizeof(T));
  for (int64_t group = 0, c = 0; group < groups.count; ++group, c += per_group)
    f.add_weights(group, sum_g + c, sum_gx + c, d_weight + f.of.first_weight(group),
                  d_bias + f.of.first_weight(group), per_group);
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
void normalise_any(const ChannelShape& s, const ChannelFold& f, bool given, const void* x,
                   void* y) {
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    normalise<T>(s, f, given, Source<T>{s.dtype, x}, Sink<T>{s.dtype, y});
  });
}
void differentiate_any(const ChannelShape& s, const ChannelTerms& f, const void* g, const void* x,
                       void* dx) {
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    differentiate<T>(s, f, Source<T>{s.dtype, g}, Source<T>{s.dtype, x}, Sink<T>{s.dtype, dx});
  });
}

#undef P
#undef Q

}  // namespace

EG_KERNELS(NormKernels,
           {&row_forward_any, &row_backward_any, &row_scratch, &normalise_any, &differentiate_any});

}  // namespace eg
